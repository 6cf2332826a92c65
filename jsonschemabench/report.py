"""Tables of a run: with rich where it is installed, else plain text."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TextIO

import numpy as np
import numpy.typing as npt

from jsonschemabench import features, statistics
from jsonschemabench.results import Manifest, Outcome, Row, Status

_FIGURES = ("mean", "p50", "p90", "p99", "p99.9", "max")
_REASONS = 8
_MIB = 1 << 20

Series = Callable[[Iterable[Row]], npt.NDArray[np.float64]]

_SERIES: tuple[tuple[str, Series], ...] = (
    ("mask+step, µs", statistics.step_us),
    ("mask+step on a schema's first walk, µs", statistics.first_visit_us),
    ("schema to first mask, ms", statistics.first_mask_ms),
)


class Sink(Protocol):
    """What lines and tables are written to."""

    def line(self, text: str = "") -> None:
        """Take one line."""

    def table(self, title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Take a table: its title, the names of its columns, and its cells."""


class Printer:
    """Prints titles, lines and tables.

    Parameters
    ----------
    out
        Where to; standard output by default.
    plain
        Do without rich even where it is installed.
    """

    def __init__(self, out: TextIO | None = None, *, plain: bool = False) -> None:
        self._out = sys.stdout if out is None else out
        self._console: Any = None
        if not plain:
            try:
                from rich.console import Console
            except ImportError:
                return
            # Into a file or a pipe, tables must not be folded to 80 columns.
            width = None if self._out.isatty() else 160
            self._console = Console(file=self._out, width=width, highlight=False)

    def line(self, text: str = "") -> None:
        """Print one line, as it is."""
        self._out.write(text + "\n")

    def flush(self) -> None:
        """Write what is held back, as it is where the output is no terminal."""
        self._out.flush()

    def table(self, title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table: the first column is left-aligned, the others right-aligned."""
        self.line()
        if self._console is not None:
            from rich.table import Table
            from rich.text import Text

            table = Table(title=title, title_justify="left", title_style="bold")
            for i, name in enumerate(header):
                table.add_column(name, justify="right" if i else "left", overflow="fold")
            for row in rows:
                table.add_row(*(Text(cell) for cell in row))
            self._console.print(table)
            return
        widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
        self.line(title)
        for row in (header, ["-" * width for width in widths], *rows):
            cells = [cell.rjust(widths[i]) if i else cell.ljust(widths[i]) for i, cell in enumerate(row)]
            self.line("  ".join(cells).rstrip())


def report(
    manifest: Manifest,
    rows: Sequence[Row],
    printer: Sink,
    *,
    reference: str | None = None,
    listed: int = 0,
) -> None:
    """Print all tables of a run.

    Parameters
    ----------
    manifest, rows
        As read back or as collected.
    printer
        Where to.
    reference
        The engine that the others are compared with, one by one; by default the first that has rows.
    listed
        How many schemas to name per kind of failure and engine.
    """
    groups = statistics.by_engine(rows, manifest.engines)
    print_manifest(manifest, printer)
    if not groups:
        printer.line("no engine ran")
        return
    _print_coverage(groups, printer)
    _print_counts(groups, printer)
    for title, series in _SERIES:
        _print_times(f"{title}: all schemas of each engine", groups, series, printer)
    reference = reference if reference in groups else next(iter(groups))
    for peer in groups:
        if peer != reference:
            _print_pair(reference, groups[reference], peer, groups[peer], printer)
    _print_features(groups, printer)
    _print_memory(groups, printer)
    _print_reasons(groups, printer)
    if listed:
        _print_failures(groups, printer, listed)


def print_manifest(manifest: Manifest, printer: Sink) -> None:
    """Print how a run was made."""
    versions = ", ".join(f"{name} {version}" for name, version in manifest.versions.items())
    what = "schemas" if manifest.vocabulary else "tasks"
    printer.line(f"{manifest.schemas} {what} of {manifest.data}, seed {manifest.seed}")
    if manifest.vocabulary:
        printer.line(f"vocabulary {manifest.vocabulary}, {manifest.vocabulary_size} ids")
    printer.line(f"{manifest.cpu}, {manifest.cpus} CPUs; {manifest.system}; Python {manifest.python}")
    printer.line(f"{versions}; commit {manifest.commit}; {manifest.started}")
    if manifest.timeout_s:
        memory = manifest.memory_limit_bytes // _MIB
        printer.line(f"time-out {manifest.timeout_s:g} s, memory limit {memory} MiB")
    printer.line(" ".join(manifest.command))
    for name, reason in manifest.unavailable.items():
        printer.line(f"{name} did not run: {reason}")


def _print_coverage(groups: dict[str, list[Row]], printer: Sink) -> None:
    table = []
    for engine, rows in groups.items():
        coverage = statistics.coverage(rows)
        table.append(
            [
                engine,
                str(coverage.schemas),
                f"{coverage.declared_share:.1%}",
                f"{coverage.empirical_share:.1%}",
                "-" if coverage.compliance is None else f"{coverage.compliance:.1%}",
            ]
        )
    header = ["engine", "of schemas", "declared coverage", "empirical coverage", "compliance rate"]
    printer.table("coverage: schemas taken, and taken with every instance judged as labelled", header, table)


def _print_features(groups: dict[str, list[Row]], printer: Sink) -> None:
    found = features.count(groups)
    if not found:
        return
    table = []
    for keyword, counts in found.items():
        used = max(count.schemas for count in counts.values())
        cells = [features.cell(counts[engine]) if engine in counts else "-" for engine in groups]
        table.append([keyword, str(used), *cells])
    title = "by keyword that a schema uses: passing / under-constrained / over-constrained / refused / failed"
    printer.table(title, ["keyword", "schemas", *groups], table)


def _print_counts(groups: dict[str, list[Row]], printer: Sink) -> None:
    counts = [statistics.count(rows) for rows in groups.values()]
    rows = [
        ("schemas", [str(c.schemas) for c in counts]),
        ("passing: every instance as labelled", [str(c.passing) for c in counts]),
        ("passing but for the order of keys", [str(c.passing_but_order) for c in counts]),
        ("compile errors", [str(c.compile_errors) for c in counts]),
        ("unsatisfiable: reject all", [str(c.unsatisfiable) for c in counts]),
        (
            "valid rejected: schemas (instances)",
            [f"{c.valid_rejected_schemas} ({c.valid_rejected})" for c in counts],
        ),
        (
            "valid rejected by the order of keys alone: instances",
            [str(c.valid_rejected_by_order) for c in counts],
        ),
        (
            "invalid accepted: schemas (instances)",
            [f"{c.invalid_accepted_schemas} ({c.invalid_accepted})" for c in counts],
        ),
        ("crashes", [str(c.crashes) for c in counts]),
        ("time-outs", [str(c.timeouts) for c in counts]),
        ("over the memory limit", [str(c.memory_limits) for c in counts]),
    ]
    printer.table("outcomes", ["", *groups], [[name, *cells] for name, cells in rows])


def _print_times(title: str, groups: dict[str, list[Row]], series: Series, printer: Sink) -> None:
    table = []
    for engine, rows in groups.items():
        summary = statistics.summarise(series(row for row in rows if row.status is Status.OK))
        if summary is not None:
            table.append([engine, str(summary.count), *map(figure, summary.figures)])
    if table:
        printer.table(title, ["engine", "count", *_FIGURES], table)


def _print_pair(reference: str, ours: list[Row], peer: str, theirs: list[Row], printer: Sink) -> None:
    left, right = statistics.shared(ours, theirs)
    table = []
    for title, series in _SERIES:
        first, second = statistics.summarise(series(left)), statistics.summarise(series(right))
        if first is None or second is None:
            continue
        table.append([f"{title}: {reference}", str(first.count), *map(figure, first.figures)])
        table.append([f"{title}: {peer}", str(second.count), *map(figure, second.figures)])
        ratios = [f"{b / a:.2f}x" if a else "-" for a, b in zip(first.figures, second.figures, strict=True)]
        table.append([f"    {peer} / {reference}", "", *ratios])
    if table:
        title = f"{reference} and {peer}, on the {len(left)} schemas that both pass"
        printer.table(title, ["", "count", *_FIGURES], table)
    else:
        printer.line(f"\n{reference} and {peer} pass no schema in common")
    _print_alone(reference, ours, peer, theirs, printer)


def _print_alone(reference: str, ours: list[Row], peer: str, theirs: list[Row], printer: Sink) -> None:
    """Print the times on the schemas that only the reference passes: nothing compares with them."""
    passed = {row.schema for row in theirs if row.passes}
    alone = [row for row in ours if row.passes and row.status is Status.OK and row.schema not in passed]
    table = [
        [title, str(summary.count), *map(figure, summary.figures)]
        for title, series in _SERIES
        if (summary := statistics.summarise(series(alone))) is not None
    ]
    if table:
        title = f"{reference}, on the {len(alone)} schemas that {peer} does not pass"
        printer.table(title, ["", "count", *_FIGURES], table)


def _print_memory(groups: dict[str, list[Row]], printer: Sink) -> None:
    table = [
        [
            engine,
            figure(max(row.peak_bytes for row in rows) / _MIB),
            figure(rows[-1].rss_bytes / _MIB),
        ]
        for engine, rows in groups.items()
    ]
    printer.table("resident memory of the worker, MiB", ["engine", "peak", "after the last schema"], table)


def _print_reasons(groups: dict[str, list[Row]], printer: Sink) -> None:
    for engine, rows in groups.items():
        found = statistics.reasons(rows)
        if found:
            table = [[reason, str(number)] for reason, number in found[:_REASONS]]
            others = sum(number for _, number in found[_REASONS:])
            if others:
                table.append(["(other reasons)", str(others)])
            printer.table(f"compile errors of {engine}", ["reason", "schemas"], table)


def _print_failures(groups: dict[str, list[Row]], printer: Sink, listed: int) -> None:
    for engine, rows in groups.items():
        table = []
        for status in (Status.CRASH, Status.TIMEOUT, Status.MEMORY):
            for row in [row for row in rows if row.status is status][:listed]:
                table.append(
                    [row.schema, f"{status} ({row.phase})" if row.phase else status, row.detail[-200:]]
                )
        for valid, outcome in ((True, Outcome.REJECTED), (False, Outcome.ACCEPTED)):
            kind = "valid rejected" if valid else "invalid accepted"
            found = [
                [row.schema, kind, verdict.description]
                for row in rows
                for verdict in row.verdicts
                if verdict.valid is valid and verdict.outcome is outcome
            ]
            table.extend(found[:listed])
        if table:
            printer.table(f"failures of {engine}", ["schema", "failure", "detail"], table)


def figure(value: float) -> str:
    """Three significant digits below 100, whole numbers with separators above."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
