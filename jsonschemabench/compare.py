"""Two runs compared, engine by engine: what changed, how sure that is, and whether it is a regression."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from jsonschemabench import sampler_quality, statistics
from jsonschemabench.report import Sink, figure
from jsonschemabench.results import Manifest, Row, Status
from jsonschemabench.runs.reading import Part

FEWEST = 10
"""Pairs below which an interval proves nothing: no verdict is given then."""

_CHUNK = 1 << 22


@dataclass(frozen=True, slots=True)
class Limits:
    """What is a regression. Times and accuracies regress when the whole interval is beyond the limit.

    Attributes
    ----------
    slower
        By how much of itself a time may grow: 0.1 is 10 percent.
    lost
        How many schemas that passed may not pass any more.
    memory
        By how much of itself the peak memory may grow.
    accuracy
        By how much the accuracy of a sampling method may fall.
    """

    slower: float = 0.1
    lost: int = 0
    memory: float = 0.25
    accuracy: float = 0.02


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """How intervals are made: their level in percent, the number of resamples, and their seed."""

    level: float = 95.0
    resamples: int = 2000
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one figure from one run to the other.

    Attributes
    ----------
    what
        The figure.
    before, after
        In the two runs, as they are shown.
    change
        The ratio or the difference, with its interval, as it is shown.
    pairs
        How many schemas or tasks it rests on.
    regression
        Whether it is one.
    """

    what: str
    before: str
    after: str
    change: str
    pairs: int
    regression: bool


@dataclass(slots=True)
class Comparison:
    """What became of one engine or method in one measure.

    Attributes
    ----------
    measure, name
        Which.
    changes
        Of its figures.
    missing
        How many schemas of the first run the second has not.
    lost, gained
        Names of the schemas that pass in the first run alone, and in the second alone.
    """

    measure: str
    name: str
    changes: list[Change] = field(default_factory=list)
    missing: int = 0
    lost: list[str] = field(default_factory=list)
    gained: list[str] = field(default_factory=list)

    @property
    def regression(self) -> bool:
        """Whether any of its figures is one."""
        return any(change.regression for change in self.changes)


def mean_interval(values: npt.NDArray[np.float64], how: Bootstrap) -> tuple[float, float, float]:
    """Return the mean of values, shape (n,), and the ends of its percentile bootstrap interval.

    References
    ----------
    Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), section 13.3.
    """
    rng = np.random.default_rng(how.seed)
    size = max(1, min(how.resamples, _CHUNK // max(1, len(values))))
    means: list[npt.NDArray[np.float64]] = []
    left = how.resamples
    while left > 0:
        part = min(size, left)
        means.append(values[rng.integers(len(values), size=(part, len(values)))].mean(1))
        left -= part
    tail = (100 - how.level) / 2
    low, high = np.percentile(np.concatenate(means), [tail, 100 - tail])
    return float(values.mean()), float(low), float(high)


# -- engines -----------------------------------------------------------------------------------------------

_TIMES: tuple[tuple[str, str, Callable[[Row], float]], ...] = (
    ("mean mask and step of a schema", "µs", lambda row: sum(row.step_ns) / len(row.step_ns) / 1e3),
    ("slowest mask and step of a schema", "µs", lambda row: max(row.step_ns) / 1e3),
    ("schema to first mask", "ms", lambda row: row.first_mask_ns / 1e6),
)


def engines(
    before: Part,
    after: Part,
    limits: Limits,
    how: Bootstrap,
    *,
    names: Sequence[str] = (),
    reference: str | None = None,
) -> list[Comparison]:
    """Compare the engines that both runs have, schema by schema.

    Parameters
    ----------
    before, after
        The same measure of two runs.
    limits, how
        What is a regression, and how intervals are made.
    names
        Which engines; all that both have by default.
    reference
        An engine of both runs that has not changed. Times are then taken relative to its own of the same run,
        so that a machine that was slower on one day is not taken for an engine that is.

    Raises
    ------
    ValueError
        If an engine, or the reference, is not in both.
    """
    old, new = _by_schema(before), _by_schema(after)
    shared = [name for name in old if name in new]
    for name in (*names, *([reference] if reference else [])):
        if name not in shared:
            raise ValueError(f"{name} is not in both runs; there {_are(shared)}")
    drift = (old[reference], new[reference]) if reference else None
    chosen = names or [name for name in shared if name != reference]
    return [_engine(before.measure, name, old[name], new[name], drift, limits, how) for name in chosen]


def _are(names: Sequence[str]) -> str:
    return f"are {', '.join(names)}" if names else "is none"


def _by_schema(part: Part) -> dict[str, dict[str, Row]]:
    groups = statistics.by_engine(part.rows, part.manifest.engines)
    return {engine: {row.schema: row for row in rows} for engine, rows in groups.items()}


def _engine(
    measure: str,
    name: str,
    old: dict[str, Row],
    new: dict[str, Row],
    drift: tuple[dict[str, Row], dict[str, Row]] | None,
    limits: Limits,
    how: Bootstrap,
) -> Comparison:
    found = Comparison(measure, name, missing=len(old.keys() - new.keys()))
    both = [schema for schema in old if schema in new]
    if not both:
        return found
    found.lost = [schema for schema in both if old[schema].passes and not new[schema].passes]
    found.gained = [schema for schema in both if new[schema].passes and not old[schema].passes]
    found.changes.append(_passing(both, old, new, found, limits, how))
    for what, unit, value in _TIMES:
        change = _time(what, unit, value, both, (old, new), drift, limits, how)
        if change is not None:
            found.changes.append(change)
    if len(both) == len(old) == len(new):
        # Otherwise one engine saw schemas that the other did not.
        found.changes.append(_memory(old, new, limits))
    return found


def _passing(
    both: Sequence[str],
    old: dict[str, Row],
    new: dict[str, Row],
    found: Comparison,
    limits: Limits,
    how: Bootstrap,
) -> Change:
    passes = np.array([[old[schema].passes, new[schema].passes] for schema in both], dtype=np.float64)
    mean, low, high = mean_interval(passes[:, 1] - passes[:, 0], how)
    before, after = passes.mean(0)
    return Change(
        "schemas passing",
        f"{before:.2%}",
        f"{after:.2%}",
        f"{mean:+.2%} [{low:+.2%}, {high:+.2%}], {len(found.lost)} lost, {len(found.gained)} gained",
        len(both),
        # Judgements have no noise: one schema that is lost is one.
        len(found.lost) > limits.lost,
    )


def _timed(rows: dict[str, Row], schema: str) -> Row | None:
    row = rows.get(schema)
    return row if row is not None and row.status is Status.OK and row.step_ns else None


def _time(
    what: str,
    unit: str,
    value: Callable[[Row], float],
    both: Sequence[str],
    runs: tuple[dict[str, Row], dict[str, Row]],
    drift: tuple[dict[str, Row], dict[str, Row]] | None,
    limits: Limits,
    how: Bootstrap,
) -> Change | None:
    """Compare a time by the geometric mean, over schemas, of its ratio."""
    logs = []
    for schema in both:
        rows = [_timed(run, schema) for run in (*runs, *(drift or ()))]
        values = [value(row) for row in rows if row is not None]
        if len(values) == len(rows) and min(values) > 0:
            logs.append([math.log(value) for value in values])
    if not logs:
        return None
    table = np.array(logs)
    ratios = table[:, 1] - table[:, 0]
    if drift is not None:
        ratios = ratios - (table[:, 3] - table[:, 2])
    mean, low, high = (math.exp(edge) for edge in mean_interval(ratios, how))
    before, after = np.exp(table[:, :2].mean(0))
    enough = len(logs) >= FEWEST
    shown = f"{mean:.3f}x [{low:.3f}, {high:.3f}]" if enough else f"{mean:.3f}x, too few to judge"
    regression = enough and low > 1 + limits.slower
    return Change(what, f"{figure(before)} {unit}", f"{figure(after)} {unit}", shown, len(logs), regression)


def _memory(old: dict[str, Row], new: dict[str, Row], limits: Limits) -> Change:
    before, after = (max(row.peak_bytes for row in rows.values()) / (1 << 20) for rows in (old, new))
    ratio = after / before if before else 1.0
    return Change(
        "peak memory",
        f"{figure(before)} MiB",
        f"{figure(after)} MiB",
        f"{ratio:.3f}x",
        len(old),
        ratio > 1 + limits.memory,
    )


# -- sampling methods --------------------------------------------------------------------------------------


def methods(
    before: Part, after: Part, limits: Limits, how: Bootstrap, *, names: Sequence[str] = ()
) -> list[Comparison]:
    """Compare the sampling methods that both runs have, task by task, by their posterior accuracy."""
    known = list(dict.fromkeys(row.method for row in before.quality))
    shared = [name for name in known if any(row.method == name for row in after.quality)]
    for name in names:
        if name not in shared:
            raise ValueError(f"{name} is not in both runs; there {_are(shared)}")
    comparisons = []
    for name in names or shared:
        found = Comparison(before.measure, name)
        old, new = (
            sampler_quality.by_task(
                [row for row in part.quality if row.method == name], lambda row: row.posterior
            )
            for part in (before, after)
        )
        both = [key for key in old if key in new]
        if both:
            values = np.array([[old[key], new[key]] for key in both])
            mean, low, high = mean_interval(values[:, 1] - values[:, 0], how)
            first, second = values.mean(0)
            enough = len(both) >= FEWEST
            shown = f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]" if enough else f"{mean:+.3f}, too few to judge"
            found.changes.append(
                Change(
                    "posterior accuracy",
                    f"{first:.3f}",
                    f"{second:.3f}",
                    shown,
                    len(both),
                    enough and high < -limits.accuracy,
                )
            )
        comparisons.append(found)
    return comparisons


# -- both --------------------------------------------------------------------------------------------------


def compare(
    before: Sequence[Part],
    after: Sequence[Part],
    limits: Limits,
    how: Bootstrap,
    *,
    names: Sequence[str] = (),
    reference: str | None = None,
) -> list[Comparison]:
    """Compare two runs, measure by measure; see :func:`engines` for the parameters.

    Raises
    ------
    ValueError
        If the runs have nothing in common, or an engine is not in both.
    """
    found = []
    for old, new in pairs(before, after):
        if old.kind == "quality":
            found += methods(old, new, limits, how, names=names)
        else:
            found += engines(old, new, limits, how, names=names, reference=reference)
    if not any(comparison.changes for comparison in found):
        raise ValueError("the two runs have no measure, engine and schema in common")
    return found


def pairs(before: Sequence[Part], after: Sequence[Part]) -> list[tuple[Part, Part]]:
    """Return the parts of two runs that measure the same, by kind and name; one of a kind needs no name."""
    found = []
    for old in before:
        same = [new for new in after if new.kind == old.kind]
        named = [new for new in same if new.measure == old.measure]
        alone = len(same) == 1 and sum(part.kind == old.kind for part in before) == 1
        if named or alone:
            found.append((old, (named or same)[0]))
    return found


def differences(old: Manifest, new: Manifest) -> list[str]:
    """Return what two runs were not made alike in, beside what is compared."""
    names = "cpu cpus system python vocabulary vocabulary_size data schemas seed timeout_s".split()
    names += ["memory_limit_bytes", "fresh_process_every"]
    return [
        f"{name}: {getattr(old, name)}, then {getattr(new, name)}"
        for name in names
        if getattr(old, name) != getattr(new, name)
    ]


def show(found: Sequence[Comparison], sink: Sink, *, listed: int = 10) -> None:
    """Write a table for each engine, and the names of schemas that were lost and gained."""
    for comparison in found:
        table = [
            [
                change.what,
                change.before,
                change.after,
                change.change,
                str(change.pairs),
                "REGRESSION" if change.regression else "",
            ]
            for change in comparison.changes
        ]
        if table:
            header = ["", "before", "after", "change", "pairs", ""]
            sink.table(f"{comparison.measure}: {comparison.name}", header, table)
        if comparison.missing:
            sink.line(f"{comparison.missing} schemas of the first run are missing in the second")
        for what, schemas in (("lost", comparison.lost), ("gained", comparison.gained)):
            for schema in schemas[:listed]:
                sink.line(f"{what}: {schema}")
            if len(schemas) > listed:
                sink.line(f"{what}: {len(schemas) - listed} more")
