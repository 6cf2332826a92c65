"""The ``freeze`` run: which schemas are finite automata small enough for tables, and what these cost."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jsonschemabench.datasets import Case
from jsonschemabench.report import Sink, figure
from structgen import (
    FreezeError,
    LimitError,
    StructgenError,
    TokenAutomaton,
    Vocabulary,
    compile_json_schema,
)
from structgen.frozen import freeze_tables

STATES = (100, 1_000, 10_000, 100_000)
"""The counts of states that shares are given for."""

PERCENTILES = (50, 90, 99, 100)

FROZEN = "frozen"
LIMIT = "infinite, or over a limit"
REMEMBERS = "remembers text (guards, distinct items)"
REFUSED = "refused by the compiler"
OUTCOMES = (FROZEN, LIMIT, REMEMBERS, REFUSED)


@dataclass(frozen=True, slots=True)
class FreezeRow:
    """One schema.

    Attributes
    ----------
    schema
        Its name.
    outcome
        One of :data:`OUTCOMES`.
    seconds
        Processor time of freezing, or of giving up; the compilation not counted.
    states, classes, bytes
        Of the tables; 0 where there are none.
    """

    schema: str
    outcome: str
    seconds: float = 0.0
    states: int = 0
    classes: int = 0
    bytes: int = 0


def measure(
    name: str, compile_: Callable[[], TokenAutomaton], max_states: int, max_bytes: int, max_seconds: float
) -> FreezeRow:
    """Compile and freeze one schema."""
    try:
        automaton = compile_()
    except StructgenError:
        return FreezeRow(name, REFUSED)
    begin = time.thread_time()
    try:
        tables = freeze_tables(automaton, max_states=max_states, max_bytes=max_bytes, max_seconds=max_seconds)
    except LimitError:
        return FreezeRow(name, LIMIT, time.thread_time() - begin)
    except FreezeError:
        return FreezeRow(name, REMEMBERS, time.thread_time() - begin)
    seconds = time.thread_time() - begin
    return FreezeRow(name, FROZEN, seconds, tables.states, tables.classes, tables.nbytes)


def closed(schema: Any) -> Any:
    """Return a schema whose objects allow only the properties that they name.

    As if every place with ``properties`` said ``additionalProperties: false``, unless it says something else:
    the schemas that some services ask for.
    """
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    # Values of these are not schemas.
    data = ("enum", "const", "default", "examples", "required", "dependentRequired")
    found = {name: value if name in data else closed(value) for name, value in schema.items()}
    if isinstance(found.get("properties"), dict):
        found.setdefault("additionalProperties", False)
    return found


def run(
    cases: Sequence[Case],
    vocabulary: Vocabulary,
    whitespace: str,
    limits: tuple[int, int, float],
    close: bool = False,
    report: Callable[[FreezeRow], None] = lambda _: None,
) -> list[FreezeRow]:
    """Freeze the automata of schemas in turn.

    Parameters
    ----------
    cases, vocabulary
        Schemas and tokens.
    whitespace
        As for :func:`structgen.compile_json_schema`.
    limits
        The `max_states`, `max_bytes` and `max_seconds` of :func:`structgen.frozen.freeze_tables`.
    close
        Take what :func:`closed` makes of the schemas.
    report
        Called with every row.
    """
    rows = []
    for case in cases:
        schema: Any = closed(case.schema) if close else case.text or case.schema

        def compiled(schema: Any = schema) -> TokenAutomaton:
            return compile_json_schema(schema, vocabulary, whitespace=whitespace)

        rows.append(measure(case.name, compiled, *limits))
        report(rows[-1])
    return rows


def shares(rows: Sequence[FreezeRow], max_states: int) -> list[list[str]]:
    """Return, by the number of states, the share of schemas that have no more."""
    found = [row.states for row in rows if row.outcome == FROZEN]
    bounds = [bound for bound in STATES if bound < max_states] + [max_states]
    return [
        [f"≤ {bound:,}", str(count := sum(states <= bound for states in found)), f"{count / len(rows):.1%}"]
        for bound in bounds
    ]


def costs(rows: Iterable[FreezeRow]) -> list[list[str]]:
    """Return percentiles over the schemas that freeze, and over the time of those that do not."""
    rows = list(rows)
    frozen = [row for row in rows if row.outcome == FROZEN]
    given_up = [row for row in rows if row.outcome in (LIMIT, REMEMBERS)]
    series: dict[str, list[float]] = {
        "states": [row.states for row in frozen],
        "classes of tokens": [row.classes for row in frozen],
        "KiB of tables": [row.bytes / 1024 for row in frozen],
        "ms to freeze": [1e3 * row.seconds for row in frozen],
        "ms to give up": [1e3 * row.seconds for row in given_up],
    }
    return [
        [name, *(figure(float(value)) for value in np.percentile(values, PERCENTILES))]
        for name, values in series.items()
        if values
    ]


def print_tables(rows: Sequence[FreezeRow], whitespace: str, max_states: int, printer: Sink) -> None:
    """Print what became of the schemas, the shares by number of states, and the costs."""
    outcomes = Counter(row.outcome for row in rows)
    printer.table(
        f"{len(rows)} schemas, white space {whitespace}",
        ["outcome", "schemas", "share"],
        [[name, str(outcomes[name]), f"{outcomes[name] / len(rows):.1%}"] for name in OUTCOMES],
    )
    printer.table("frozen, by states", ["states", "schemas", "share"], shares(rows, max_states))
    printer.table("costs", ["", *(f"p{p}" if p < 100 else "max" for p in PERCENTILES)], costs(rows))
