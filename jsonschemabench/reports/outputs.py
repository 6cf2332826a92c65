"""Tables of the outputs that engines wrote."""

from __future__ import annotations

from collections.abc import Sequence

from jsonschemabench import statistics
from jsonschemabench.report import Sink, figure
from jsonschemabench.results import Manifest, OutputOutcome, Row, Status

_COVERAGE = ["engine", "of schemas", "declared coverage", "empirical coverage", "compliance rate"]
_FATES = ["engine", "outputs", "valid", "invalid", "unfinished", "refused", "undecided", "valid of judged"]
_COST = ["engine", "tokens", "ms to first mask, median", "µs per token, mean", "p50", "p99", "max"]
_STATUSES = [status for status in Status if status is not Status.OK]


def report(manifest: Manifest, rows: Sequence[Row], printer: Sink, *, listed: int = 0) -> None:
    """Write the tables: coverage, what became of outputs, what they cost, and what is not valid.

    Parameters
    ----------
    manifest, rows
        As read back.
    printer
        Where to.
    listed
        How many invalid outputs to show per engine.
    """
    groups = statistics.by_engine(rows, manifest.engines)
    if not groups:
        printer.line("no engine ran")
        return
    printer.table(
        "coverage by what engines write", _COVERAGE, [_coverage(*group) for group in groups.items()]
    )
    printer.table("outputs", _FATES, [_fates(*group) for group in groups.items()])
    lost = [
        [name, *(str(sum(row.status is status for row in group)) for status in _STATUSES)]
        for name, group in groups.items()
    ]
    printer.table("schemas without outputs", ["engine", *_STATUSES], lost)
    printer.table("cost", _COST, [_cost(*group) for group in groups.items()])
    for name, group in groups.items():
        wrong = [
            [row.schema, output.detail[-200:], output.text[:80]]
            for row in group
            for output in row.outputs
            if output.outcome is OutputOutcome.INVALID
        ][:listed]
        if wrong:
            printer.table(f"invalid outputs of {name}", ["schema", "why", "text"], wrong)


def _coverage(name: str, rows: Sequence[Row]) -> list[str]:
    found = statistics.output_coverage(rows)
    compliance = "-" if found.compliance is None else f"{found.compliance:.1%}"
    return [
        name,
        str(found.schemas),
        f"{found.declared_share:.1%}",
        f"{found.empirical_share:.1%}",
        compliance,
    ]


def _fates(name: str, rows: Sequence[Row]) -> list[str]:
    found = statistics.count_outputs(rows)
    fates = (found.outputs, found.valid, found.invalid, found.unfinished, found.refused, found.undecided)
    return [name, *map(str, fates), "-" if found.compliance is None else f"{found.compliance:.1%}"]


def _cost(name: str, rows: Sequence[Row]) -> list[str]:
    found = statistics.count_outputs(rows)
    each = found.nanoseconds / found.tokens / 1e3 if found.tokens else 0.0
    steps = statistics.summarise(statistics.step_us(rows))
    first = statistics.summarise(statistics.first_mask_ms(row for row in rows if len(row.step_ns)))
    if steps is None or first is None:
        # Without masks, there is only the time of whole outputs.
        return [name, str(found.tokens), "-", figure(each), "-", "-", "-"]
    median, high = steps.percentiles[0], steps.percentiles[2]
    return [
        name,
        str(found.tokens),
        figure(first.percentiles[0]),
        *map(figure, (each, median, high, steps.maximum)),
    ]
