"""What a run measures: run files and their checks."""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from jsonschemabench import official_suite, sampler_quality, vocabularies
from jsonschemabench.engines import DEFAULT_ENGINES
from jsonschemabench.tasks import DOMAINS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

KINDS = ("masks", "suite", "quality", "outputs")
"""What can be measured: masks on the schemas of a dataset, the official suite, sampling methods on tasks, and
outputs that engines write for the schemas of a dataset."""


class PlanError(ValueError):
    """A run file, or flags, that say no run; the message names the key and what it takes."""


@dataclass(frozen=True, slots=True)
class Masks:
    """Every schema of a dataset under every engine, or every case of the official suite.

    Attributes
    ----------
    name
        What the rows are filed under.
    kind
        "masks" or "suite".
    engines
        Names, or module:Class.
    data
        As :func:`jsonschemabench.datasets.find` takes it; for the official suite a folder or an archive.
        None is the default dataset.
    sample
        How many schemas are drawn; None takes all.
    seed
        Seed of the draw and of the order.
    vocabulary
        The name of a vocabulary.
    timeout_s, memory_limit_mib
        Bounds of a schema under an engine.
    fresh_process_every
        See :class:`jsonschemabench.masks.Limits`.
    drafts, sections
        Of the official suite.
    """

    name: str
    kind: str
    engines: tuple[str, ...] = DEFAULT_ENGINES
    data: str | None = None
    sample: int | None = None
    seed: int = 0
    vocabulary: str = "tekken"
    timeout_s: float = 60.0
    memory_limit_mib: int = 8192
    fresh_process_every: int = 0
    drafts: tuple[str, ...] = ()
    sections: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outputs(Masks):
    """Every schema of a dataset under every engine, which writes texts for it.

    Attributes
    ----------
    outputs, max_tokens
        How many for each schema, and how long at most; see :class:`jsonschemabench.masks.Outputs`.
    """

    outputs: int = 3
    max_tokens: int = 256


@dataclass(frozen=True, slots=True)
class Quality:
    """Sampling methods on tasks; see :class:`jsonschemabench.sampler_quality.Plan`."""

    name: str
    kind: str = "quality"
    domains: tuple[str, ...] = tuple(DOMAINS)
    methods: tuple[str, ...] = tuple(sampler_quality.METHODS)
    tasks: int = 25
    seeds: int = 3
    particles: int = 5
    model: str | None = None
    timeout_s: float = 600.0


Measure = Masks | Outputs | Quality
_CLASSES: dict[str, type[Masks] | type[Quality]] = {
    "masks": Masks,
    "suite": Masks,
    "quality": Quality,
    "outputs": Outputs,
}


@dataclass(frozen=True, slots=True)
class Plan:
    """A run.

    Attributes
    ----------
    name
        Of the run, for reports.
    measures
        What to measure, one after another.
    out
        Folder of the results.
    report
        Folder for a report when the run is complete; None writes none.
    workers
        How many units are worked on at a time; on a Ray cluster None is one for each of its CPUs.
    ray
        Address of a Ray cluster; None stays on this machine.
    """

    name: str
    measures: tuple[Measure, ...]
    out: Path
    report: Path | None = None
    workers: int | None = None
    ray: str | None = None

    def content(self) -> list[dict[str, Any]]:
        """Return what decides on the results, as JSON values: not where they go, nor who computes them."""
        found: list[dict[str, Any]] = json.loads(json.dumps([asdict(measure) for measure in self.measures]))
        for measure in found:
            # Where the data lies on this machine is nobody's business: its digest says what it is.
            for key in ("data", "model"):
                if measure.get(key) is not None:
                    measure[key] = Path(measure[key]).name
        return found


_MASKS = {"kind": "masks"}
_SUITE = {"kind": "suite", "vocabulary": "bytes", "timeout_s": 20.0, "memory_limit_mib": 4096}
_SUITE_PARTS = {"drafts": tuple(official_suite.DRAFTS), "sections": ("required", "format")}
_DEFAULTS: dict[str, dict[str, Any]] = {
    "masks": _MASKS,
    "suite": _SUITE | _SUITE_PARTS,
    "quality": {},
    "outputs": {"kind": "outputs"},
}
_NOT_OF: dict[str, set[str]] = {
    "masks": set(_SUITE_PARTS),
    "suite": {"sample", "seed"},
    "quality": set(),
    "outputs": set(_SUITE_PARTS),
}


def keys_of(kind: str) -> list[str]:
    """Return the keys that a measure of a kind takes."""
    names = [field.name for field in fields(_CLASSES[kind])]
    return [name for name in names if name not in _NOT_OF[kind]]


def read(path: Path) -> dict[str, Any]:
    """Read a run file, unchecked.

    Raises
    ------
    PlanError
        If it can't be read as TOML (``.toml``) or YAML (``.yaml``, ``.yml``), by its name.
    """
    try:
        if path.suffix == ".toml":
            content: Any = tomllib.loads(path.read_text(encoding="utf-8"))
        elif path.suffix in (".yaml", ".yml"):
            content = _yaml(path.read_text(encoding="utf-8"))
        else:
            raise PlanError(f"{path}: run files end in .toml, .yaml or .yml")
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PlanError(f"{path}: {error}") from error
    if not isinstance(content, dict):
        raise PlanError(f"{path}: a run file is a table of keys, not a {type(content).__name__}")
    return content


def _yaml(text: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise PlanError(f"not YAML: {error}") from error


def check(content: Mapping[str, Any], default_name: str = "run") -> Plan:
    """Check the content of a run file and make a plan of it.

    Parameters
    ----------
    content
        As read from TOML or YAML.
    default_name
        Name of the run where it has none.

    Raises
    ------
    PlanError
        If a key is unknown, a value is of the wrong kind, or two measures have the same name.
    """
    top = dict(content)
    given = top.pop("measure", [{"kind": "masks"}])
    shared: dict[str, Any] = {key: top.pop(key) for key in ("engines", "seed") if key in top}
    _known(top, ("name", "out", "report", "workers", "ray"), "the run file", ("measure", "engines", "seed"))
    values = {key: _value(key, value, "the run file") for key, value in top.items()}
    name = values.get("name", default_name)
    if not isinstance(given, list) or not given:
        raise PlanError("measure: a list of tables, [[measure]] in TOML, with at least one")
    measures = tuple(_measure(number, item, shared) for number, item in enumerate(given, 1))
    names = [measure.name for measure in measures]
    for twice in {one for one in names if names.count(one) > 1}:
        raise PlanError(f"two measures are named {twice!r}; give each a name of its own")
    out = Path(values.get("out", Path("runs") / name))
    report = Path(values["report"]) if "report" in values else None
    return Plan(name, measures, out, report, values.get("workers"), values.get("ray"))


def _measure(number: int, item: Any, shared: Mapping[str, Any]) -> Measure:
    where = f"measure {number}"
    if not isinstance(item, dict):
        raise PlanError(f"{where}: a table of keys, not {item!r}")
    kind = item.get("kind", "masks")
    if kind not in KINDS:
        raise PlanError(f"{where}, kind: one of {', '.join(KINDS)}, not {kind!r}{_like(str(kind), KINDS)}")
    known = keys_of(kind)
    _known(item, known, f"{where} ({kind})")
    merged = {"name": kind, **_DEFAULTS[kind]}
    merged |= {key: value for key, value in shared.items() if key in known}
    merged |= item
    values = {key: _value(key, value, where) for key, value in merged.items()}
    return _CLASSES[kind](**values)


def override(plan: Plan, values: Mapping[str, Any]) -> Plan:
    """Put values given as flags in the place of those of a run file, in every measure that has the key.

    Raises
    ------
    PlanError
        If a value is wrong, or no measure of the plan takes the key.
    """
    measures = plan.measures
    for key, value in values.items():
        checked = _value(key, value, "the command line")
        takes = [key in keys_of(measure.kind) for measure in measures]
        if not any(takes):
            kinds = ", ".join(measure.kind for measure in measures)
            raise PlanError(f"nothing that this run measures ({kinds}) takes {key}")
        measures = tuple(
            replace(measure, **{key: checked}) if taken else measure
            for measure, taken in zip(measures, takes, strict=True)
        )
    return replace(plan, measures=measures)


# -- values ------------------------------------------------------------------------------------------------


def _known(table: Mapping[str, Any], known: Iterable[str], where: str, more: Iterable[str] = ()) -> None:
    names = [*known, *more]
    for key in table:
        if key not in names:
            raise PlanError(
                f"{where} has no key {key!r}{_like(str(key), names)}; it takes {', '.join(names)}"
            )


def _like(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _value(key: str, value: Any, where: str) -> Any:
    if value is None and key in ("data", "sample", "model"):
        return None
    checked = _CHECKS[key](value)
    if checked is None:
        raise PlanError(f"{where}, {key}: {_WANTED[_CHECKS[key]]}, not {value!r}")
    if isinstance(checked, tuple) and key in _CHOICES:
        for name in checked:
            if name not in _CHOICES[key]:
                known = _CHOICES[key]
                raise PlanError(
                    f"{where}, {key}: no {name!r}{_like(name, known)}; there are {', '.join(known)}"
                )
    return checked


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value.strip() else None


def _vocabulary(value: Any) -> str | None:
    return value if isinstance(value, str) and value in vocabularies.VOCABULARIES else None


def _count(value: Any) -> int | None:
    return value if type(value) is int and value >= 0 else None


def _positive(value: Any) -> int | None:
    return value if type(value) is int and value > 0 else None


def _integer(value: Any) -> int | None:
    return value if type(value) is int else None


def _seconds(value: Any) -> float | None:
    return float(value) if type(value) in (int, float) and 0 < value < 1e9 else None


def _names(value: Any) -> tuple[str, ...] | None:
    if not isinstance(value, (list, tuple)) or not value or not all(_text(name) for name in value):
        return None
    return tuple(value) if len(set(value)) == len(value) else None


_WANTED: dict[Callable[[Any], Any], str] = {
    _text: "a text that is not empty",
    _vocabulary: f"one of {', '.join(vocabularies.VOCABULARIES)}",
    _count: "a whole number, 0 or more",
    _positive: "a whole number, 1 or more",
    _integer: "a whole number",
    _seconds: "a number of seconds over 0",
    _names: "a list of different names, at least one",
}
_CHECKS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("name", "kind", "out", "report", "ray", "data", "model"), _text),
    **dict.fromkeys(("engines", "drafts", "sections", "domains", "methods"), _names),
    **dict.fromkeys(("sample", "workers", "memory_limit_mib", "tasks", "seeds", "particles"), _positive),
    **dict.fromkeys(("outputs", "max_tokens"), _positive),
    "fresh_process_every": _count,
    "seed": _integer,
    "vocabulary": _vocabulary,
    "timeout_s": _seconds,
}
_CHOICES: dict[str, tuple[str, ...]] = {
    "drafts": tuple(official_suite.DRAFTS),
    "sections": tuple(official_suite.SECTIONS),
    "domains": tuple(DOMAINS),
    "methods": tuple(sampler_quality.METHODS),
}
