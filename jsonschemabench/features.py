"""What engines make of each keyword of JSON Schema: outcomes of the schemas that use it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from jsonschemabench.results import Outcome, OutputOutcome, Row, Status


@dataclass(slots=True)
class Counts:
    """Outcomes of the schemas that use a keyword, under one engine.

    A schema that is both under- and over-constrained counts as both.

    Attributes
    ----------
    schemas
        How many use the keyword.
    passing
        Every instance judged as labelled; of outputs, see :attr:`jsonschemabench.results.Row.passes`.
    under
        Under-constrained: an invalid instance was accepted, or an invalid output written.
    over
        Over-constrained: a valid instance was rejected, be it by the order of its keys alone. Outputs can't
        show it.
    refused
        Not compiled.
    failed
        Crash, time-out, or too much memory.
    """

    schemas: int = 0
    passing: int = 0
    under: int = 0
    over: int = 0
    refused: int = 0
    failed: int = 0

    def add(self, row: Row) -> None:
        """Count a schema."""
        self.schemas += 1
        self.passing += row.passes
        self.refused += row.status is Status.COMPILE_ERROR
        self.failed += not row.judged and row.status is not Status.COMPILE_ERROR
        self.under += any(not v.valid and v.outcome is Outcome.ACCEPTED for v in row.verdicts) or any(
            output.outcome is OutputOutcome.INVALID for output in row.outputs
        )
        self.over += any(v.valid and v.outcome is not Outcome.ACCEPTED for v in row.verdicts)


def count(groups: Mapping[str, Iterable[Row]]) -> dict[str, dict[str, Counts]]:
    """Count outcomes by keyword and engine, keywords that most schemas use first.

    A schema counts once for each keyword that it uses, so that a failure shows beside every keyword it may be
    due to.
    """
    found: dict[str, dict[str, Counts]] = {}
    used: Counter[str] = Counter()
    for engine, rows in groups.items():
        for row in rows:
            for keyword in row.keywords:
                found.setdefault(keyword, {}).setdefault(engine, Counts()).add(row)
                used[keyword] = max(used[keyword], found[keyword][engine].schemas)
    return {keyword: found[keyword] for keyword in sorted(found, key=lambda name: (-used[name], name))}


def cell(counts: Counts) -> str:
    """Write counts in their order: passing / under / over / refused / failed."""
    return f"{counts.passing} / {counts.under} / {counts.over} / {counts.refused} / {counts.failed}"
