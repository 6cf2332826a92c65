"""The tables of a part of a run, whatever they are shown on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean

from jsonschemabench import report, sampler_quality, suite
from jsonschemabench.report import Sink
from jsonschemabench.reports import outputs
from jsonschemabench.runs.reading import Part


@dataclass(frozen=True, slots=True)
class Table:
    """A table: all cells are texts, the first column names the rows."""

    title: str
    header: list[str]
    rows: list[list[str]]


@dataclass(slots=True)
class Collector:
    """Takes lines and tables in the order in which they come."""

    parts: list[str | Table] = field(default_factory=list)

    def line(self, text: str = "") -> None:
        """Take one line."""
        if text.strip():
            self.parts.append(text.strip())

    def table(self, title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Take a table."""
        self.parts.append(Table(title, list(header), [list(row) for row in rows]))


def show(part: Part, sink: Sink, *, reference: str | None = None, listed: int = 0, by: str = "file") -> None:
    """Write all tables of a part.

    Parameters
    ----------
    part
        Of a run.
    sink
        Where to.
    reference, listed
        See :func:`jsonschemabench.report.report`.
    by
        Lines of the tables of the official suite, see :func:`jsonschemabench.suite.tables`.
    """
    for manifest in part.others[1:]:
        report.print_manifest(manifest, sink)
    if part.kind == "masks":
        report.report(part.manifest, part.rows, sink, reference=reference, listed=listed)
        return
    report.print_manifest(part.manifest, sink)
    if part.kind == "outputs":
        outputs.report(part.manifest, part.rows, sink, listed=listed)
        return
    if part.kind == "suite":
        suite.report(part.manifest, part.rows, sink, by)
        return
    for title, table in sampler_quality.tables(part.quality):
        sink.table(title, sampler_quality.HEADER, table)
    if part.failures:
        lines = [[method, name, reason[-200:]] for (method, name), reason in part.failures.items()]
        sink.table("without a result", ["method", "task", "reason"], lines)


def collect(part: Part, *, reference: str | None = None, by: str = "group") -> list[str | Table]:
    """Return all lines and tables of a part."""
    collector = Collector()
    show(part, collector, reference=reference, by=by)
    return collector.parts


@dataclass(frozen=True, slots=True)
class Point:
    """Quality against cost of one engine or method, with the ends of an interval of the quality."""

    name: str
    cost: float
    quality: float
    low: float
    high: float


def quality_points(part: Part) -> list[Point]:
    """Return posterior accuracy against evaluations of the model, by sampling method."""
    groups: dict[str, list[sampler_quality.QualityRow]] = {}
    for row in part.quality:
        groups.setdefault(row.method, []).append(row)
    points = []
    for name, rows in groups.items():
        accuracy = sampler_quality.interval(rows, lambda row: row.posterior)
        cost = fmean(row.evaluations for row in rows)
        points.append(Point(name, cost, accuracy.mean, accuracy.low, accuracy.high))
    return points
