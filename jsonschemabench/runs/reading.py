"""Runs read back: folders of ``run``, and files of ``masks --out`` and ``suite --out``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from jsonschemabench import official_suite, results
from jsonschemabench.results import Manifest, Row
from jsonschemabench.runs import store
from jsonschemabench.runs.store import RunManifest
from jsonschemabench.sampler_quality import QualityRow


@dataclass(slots=True)
class Part:
    """One measure of a run.

    Attributes
    ----------
    run, measure
        Their names.
    kind
        "masks", "suite" or "quality".
    manifest
        How it was run.
    rows
        Of engines, for masks and suite.
    quality
        Of sampling methods.
    failures
        What kept methods from having a row, by method and task.
    others
        Where runs are put side by side, how each of them was run.
    """

    run: str
    measure: str
    kind: str
    manifest: Manifest
    rows: list[Row] = field(default_factory=list)
    quality: list[QualityRow] = field(default_factory=list)
    failures: dict[tuple[str, str], str] = field(default_factory=dict)
    others: list[Manifest] = field(default_factory=list)

    @property
    def title(self) -> str:
        """What a report is headed with."""
        return self.run if self.run == self.measure else f"{self.run}: {self.measure}"


def read(path: Path) -> list[Part]:
    """Read a run.

    Parameters
    ----------
    path
        A folder of ``run``, or a file of ``masks --out`` or ``suite --out``.

    Raises
    ------
    ValueError
        If it is neither, or a line is broken.
    """
    if path.is_dir():
        return _folder(path)
    try:
        manifest, rows = results.read(path)
    except OSError as error:
        raise ValueError(str(error)) from error
    drafts = {row.schema.partition("/")[0] for row in rows}
    kind = "suite" if rows and drafts <= set(official_suite.DRAFTS) else "masks"
    return [Part(path.stem, kind, kind, manifest, rows)]


def _folder(path: Path) -> list[Part]:
    about = store.read_manifest(path)
    parts = {
        content["name"]: Part(about.name, content["name"], content["kind"], _manifest(about, content))
        for content in about.plan
    }
    for record in store.read_rows(path):
        kind, part = record.pop("kind"), parts.get(record.pop("measure"))
        try:
            if part is None:
                raise KeyError("measure")
            if kind == "row":
                part.rows.append(results.row(record))
            elif kind == "quality":
                part.quality.append(QualityRow(**record))
            else:
                part.failures[record["engine"], record["name"]] = record["detail"]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: a row of another version ({error!r})") from error
    return list(parts.values())


def _manifest(about: RunManifest, measure: dict[str, Any]) -> Manifest:
    machines = [machine for session in about.sessions for machine in session["machines"]]
    # Without a worker that came up, nothing is known of the machine.
    machine: dict[str, Any] = (
        machines[0] if machines else {"cpu": "unknown", "cpus": 0, "system": "", "python": ""}
    )
    data = about.data[measure["name"]]
    return Manifest(
        engines=list(measure.get("engines") or measure.get("methods") or ()),
        command=about.command,
        vocabulary=measure.get("vocabulary", ""),
        vocabulary_size=about.vocabularies.get(measure.get("vocabulary", ""), 0),
        data=data["source"],
        schemas=data["units"],
        seed=measure.get("seed", 0),
        timeout_s=measure.get("timeout_s", 0.0),
        memory_limit_bytes=measure.get("memory_limit_mib", 0) << 20,
        fresh_process_every=measure.get("fresh_process_every", 0),
        versions=about.versions,
        unavailable=about.unavailable.get(measure["name"], {}),
        python=machine["python"],
        system=machine["system"],
        cpu=machine["cpu"],
        cpus=machine["cpus"],
        commit=about.commit,
        started=about.sessions[0]["started"] if about.sessions else "",
    )


def read_all(paths: Sequence[Path]) -> list[Part]:
    """Read runs, and put what measures the same kind of thing side by side.

    With several runs, parts of the same kind and name become one, where engines and methods are named
    "ENGINE (RUN)".

    Raises
    ------
    ValueError
        If a path is no run.
    """
    found = [(path, part) for path in paths for part in read(path)]
    if len(paths) == 1:
        return [part for _, part in found]
    labels = _labels(paths)
    together: dict[tuple[str, str], Part] = {}
    for path, part in found:
        merged = together.setdefault(
            (part.kind, part.measure),
            Part(part.measure, part.measure, part.kind, replace(part.manifest, engines=[], unavailable={})),
        )
        renamed = {name: f"{name} ({labels[path]})" for name in part.manifest.engines}
        merged.manifest.engines += renamed.values()
        merged.manifest.unavailable |= {
            renamed.get(name, name): reason for name, reason in part.manifest.unavailable.items()
        }
        merged.others += [part.manifest]
        for row in part.rows:
            row.engine = renamed.get(row.engine, row.engine)
        merged.rows += part.rows
        merged.quality += [replace(row, method=renamed.get(row.method, row.method)) for row in part.quality]
        merged.failures |= {(renamed.get(a, a), b): why for (a, b), why in part.failures.items()}
    return list(together.values())


def _labels(paths: Sequence[Path]) -> dict[Path, str]:
    names = [path.stem if path.is_file() else path.name for path in paths]
    return {
        path: name if names.count(name) == 1 else str(path) for path, name in zip(paths, names, strict=True)
    }
