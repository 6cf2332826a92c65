"""Counts, percentiles and comparisons of rows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jsonschemabench.results import Outcome, OutputOutcome, Row, Status

PERCENTILES = (50.0, 90.0, 99.0, 99.9)


@dataclass(frozen=True, slots=True)
class Summary:
    """A distribution in a few numbers, all in the unit of its values.

    ``percentiles`` are those of :data:`PERCENTILES`, interpolated linearly between the two nearest ranks.
    """

    count: int
    mean: float
    percentiles: tuple[float, ...]
    maximum: float

    @property
    def figures(self) -> tuple[float, ...]:
        """Mean, the percentiles, and the maximum."""
        return (self.mean, *self.percentiles, self.maximum)


def summarise(values: npt.NDArray[np.float64]) -> Summary | None:
    """Summarise values, shape (n,); None when there are none."""
    if not len(values):
        return None
    percentiles = tuple(float(value) for value in np.percentile(values, PERCENTILES))
    return Summary(len(values), float(values.mean()), percentiles, float(values.max()))


def step_us(rows: Iterable[Row]) -> npt.NDArray[np.float64]:
    """Microseconds per mask and step, of all instances of the rows; shape (steps,)."""
    return _microseconds([np.frombuffer(row.step_ns, dtype=np.int64) for row in rows])


def first_visit_us(rows: Iterable[Row]) -> npt.NDArray[np.float64]:
    """Microseconds per mask and step, of the first walk of every row alone; shape (steps,)."""
    return _microseconds([np.frombuffer(row.step_ns, dtype=np.int64)[: row.first_visit] for row in rows])


def first_mask_ms(rows: Iterable[Row]) -> npt.NDArray[np.float64]:
    """Milliseconds from the schema to its first mask; shape (rows,)."""
    return np.array([row.first_mask_ns for row in rows], dtype=np.float64) / 1e6


def _microseconds(parts: Sequence[npt.NDArray[np.int64]]) -> npt.NDArray[np.float64]:
    joined = np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)
    return joined.astype(np.float64) / 1e3


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of an engine's schemas and instances."""

    schemas: int
    passing: int
    passing_but_order: int
    unsatisfiable: int
    compile_errors: int
    valid_rejected_schemas: int
    valid_rejected: int
    valid_rejected_by_order: int
    invalid_accepted_schemas: int
    invalid_accepted: int
    crashes: int
    timeouts: int
    memory_limits: int


def count(rows: Sequence[Row]) -> Counts:
    """Count outcomes. ``valid_rejected`` leaves out what only the order of keys kept from acceptance."""
    statuses = Counter(row.status for row in rows)
    rejected = [sum(v.valid and v.outcome is Outcome.REJECTED for v in row.verdicts) for row in rows]
    ordered = sum(v.valid and v.outcome is Outcome.ORDER for row in rows for v in row.verdicts)
    accepted = [sum(not v.valid and v.outcome is Outcome.ACCEPTED for v in row.verdicts) for row in rows]
    return Counts(
        schemas=len(rows),
        passing=sum(row.passes for row in rows),
        passing_but_order=sum(row.passes_but_order for row in rows),
        unsatisfiable=statuses[Status.UNSATISFIABLE],
        compile_errors=statuses[Status.COMPILE_ERROR],
        valid_rejected_schemas=sum(map(bool, rejected)),
        valid_rejected=sum(rejected),
        valid_rejected_by_order=ordered,
        invalid_accepted_schemas=sum(map(bool, accepted)),
        invalid_accepted=sum(accepted),
        crashes=statuses[Status.CRASH],
        timeouts=statuses[Status.TIMEOUT],
        memory_limits=statuses[Status.MEMORY],
    )


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many schemas an engine takes, and how many it gets right.

    Attributes
    ----------
    schemas
        How many there were.
    declared
        Taken: compiled, or said to be unsatisfiable, and every instance walked.
    empirical
        Of these, with every instance judged as it is labelled.

    References
    ----------
    Geng et al., "Generating Structured Outputs from Language Models: Benchmark and Studies" (2025), where
    texts are generated; here labelled ones are walked, so that what an engine refuses to say counts as much
    as what it says.
    """

    schemas: int
    declared: int
    empirical: int

    @property
    def declared_share(self) -> float:
        """Declared coverage, of all schemas."""
        return self.declared / self.schemas

    @property
    def empirical_share(self) -> float:
        """Empirical coverage, of all schemas."""
        return self.empirical / self.schemas

    @property
    def compliance(self) -> float | None:
        """Compliance rate: the empirical share of the declared; None when nothing is."""
        return self.empirical / self.declared if self.declared else None


def coverage(rows: Sequence[Row]) -> Coverage:
    """Count the coverage of an engine; there must be a row."""
    return Coverage(len(rows), sum(row.judged for row in rows), sum(row.passes for row in rows))


def output_coverage(rows: Sequence[Row]) -> Coverage:
    """Count the coverage of an engine by what it wrote; there must be a row.

    Declared: compiled, with all outputs written within the bounds of time and memory, and none refused.
    Empirical: of these, with at least one output that ended, and all that ended valid. An output that the
    token bound cut off, or that the validator could not judge, counts for neither side.

    References
    ----------
    Geng et al., "Generating Structured Outputs from Language Models: Benchmark and Studies" (2025), on
    coverage: declared coverage (processed without an error or a time-out), empirical coverage (what is
    generated conforms to the schema), and compliance rate (the second of the first).
    """
    declared = [row for row in rows if _declares(row)]
    return Coverage(len(rows), len(declared), sum(row.passes for row in declared))


def _declares(row: Row) -> bool:
    refused = any(output.outcome is OutputOutcome.REFUSED for output in row.outputs)
    return row.status is Status.OK and bool(row.outputs) and not refused


@dataclass(frozen=True, slots=True)
class OutputCounts:
    """What became of an engine's outputs, and how many tokens they have in all."""

    outputs: int
    valid: int
    invalid: int
    unfinished: int
    refused: int
    undecided: int
    tokens: int
    nanoseconds: int

    @property
    def compliance(self) -> float | None:
        """The valid of those that were judged; None when none was."""
        judged = self.valid + self.invalid
        return self.valid / judged if judged else None


def count_outputs(rows: Iterable[Row]) -> OutputCounts:
    """Count outputs."""
    found = [output for row in rows for output in row.outputs]
    outcomes = Counter(output.outcome for output in found)
    return OutputCounts(
        outputs=len(found),
        valid=outcomes[OutputOutcome.VALID],
        invalid=outcomes[OutputOutcome.INVALID],
        unfinished=outcomes[OutputOutcome.UNFINISHED],
        refused=outcomes[OutputOutcome.REFUSED],
        undecided=outcomes[OutputOutcome.UNDECIDED],
        tokens=sum(output.tokens for output in found),
        nanoseconds=sum(output.ns for output in found),
    )


def by_engine(rows: Iterable[Row], engines: Sequence[str]) -> dict[str, list[Row]]:
    """Group rows by engine, in the order of ``engines``; engines without rows are left out."""
    groups: dict[str, list[Row]] = {engine: [] for engine in engines}
    for row in rows:
        groups.setdefault(row.engine, []).append(row)
    return {engine: group for engine, group in groups.items() if group}


def shared(first: Sequence[Row], second: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Keep the rows of the schemas that both engines pass and have timed, in the same order."""
    timed = [
        {row.schema: row for row in rows if row.passes and row.status is Status.OK}
        for rows in (first, second)
    ]
    names = [name for name in timed[0] if name in timed[1]]
    return [timed[0][name] for name in names], [timed[1][name] for name in names]


def reasons(rows: Iterable[Row]) -> list[tuple[str, int]]:
    """Count the reasons of compile errors, most frequent first.

    What differs from schema to schema (pointers, quoted names, numbers, source places) is folded.
    """
    return Counter(fold(row.detail) for row in rows if row.status is Status.COMPILE_ERROR).most_common()


def fold(reason: str) -> str:
    """Reduce a reason to its kind: one line, with what is particular to one schema replaced."""
    lines = [line.strip() for line in reason.splitlines() if line.strip()]
    line = lines[0] if lines else ""
    line = re.sub(r"^\[\d\d:\d\d:\d\d\]\s*\S+\s*", "", line)
    line = re.sub(r"'[#/]?/[^']*'", "'<pointer>'", line)
    line = re.sub(r"(?<![\w.])[#/][^\s:,;()\"']*/[^\s:,;()\"']*", "<pointer>", line)
    line = re.sub(r"\"[^\"]{25,}\"|'[^']{25,}'|`[^`]{25,}`", "<...>", line)
    line = re.sub(r"\d+", "N", line)
    return line[:140]
