"""The ``suite`` run: how much of JSON Schema every engine gets right, by the official test suite.

A test is one instance of a case. It comes out right when the engine lets the text through to the end token
exactly if it is valid; what is not right has a name of its own (:data:`OUTCOMES`). Rows are those of
``masks``, one per case and engine, named ``DRAFT/FILE#NUMBER DESCRIPTION``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from jsonschemabench import datasets, official_suite, statistics
from jsonschemabench.datasets import Instance, Reading
from jsonschemabench.report import Sink
from jsonschemabench.results import Manifest, Outcome, Row, Status

OUTCOMES = ("right", "invalid accepted", "valid rejected", "refused", "crash or time-out")
"""Of a test. Refused: the engine does not compile the schema. Crash or time-out, or too much memory: in any
instance of a case, it counts for all of them."""

_GROUPS = {
    "types and constants": "type enum const boolean_schema",
    "numbers": "minimum maximum exclusiveMinimum exclusiveMaximum multipleOf",
    "strings": "minLength maxLength pattern",
    "objects": (
        "properties patternProperties additionalProperties propertyNames required minProperties maxProperties"
    ),
    "dependencies": "dependencies dependentRequired dependentSchemas",
    "arrays": "items prefixItems additionalItems minItems maxItems",
    "contains": "contains minContains maxContains",
    "uniqueItems": "uniqueItems",
    "allOf, anyOf, oneOf": "allOf anyOf oneOf",
    "not, if": "not if-then-else",
    "unevaluated": "unevaluatedItems unevaluatedProperties",
    "references": (
        "ref defs definitions anchor id dynamicRef recursiveRef infinite-loop-detection unknownKeyword"
    ),
    "references to other documents": "refRemote",
    "vocabularies": "vocabulary",
    "annotations": "format default content",
}
_GROUP_OF = {file: group for group, files in _GROUPS.items() for file in files.split()}


def cases(path: Path, drafts: Sequence[str], sections: Sequence[str]) -> list[datasets.Case]:
    """Read the suite.

    Parameters
    ----------
    path
        A folder or a tar archive of the suite.
    drafts, sections
        Which of :data:`official_suite.DRAFTS` and :data:`official_suite.SECTIONS`.

    Raises
    ------
    DatasetError
        If the suite is not there.
    """
    suite = official_suite.load(path.resolve())
    return [
        _case(case, f"{draft}/{file}#{number} {case.description}", path.resolve())
        for draft in drafts
        for file in suite.files(draft)
        if official_suite.section_of(file) in sections
        for number, case in enumerate(suite.cases(draft, file), 1)
    ]


def _case(case: official_suite.Case, name: str, suite: Path) -> datasets.Case:
    compact = official_suite.compact
    return datasets.Case(
        name,
        case.schema,
        tuple(Instance(test.data, test.valid, test.description, compact(test.data)) for test in case.tests),
        compact(case.schema),
        Reading(
            draft=case.option,
            dialect=official_suite.DIALECTS[case.draft],
            assert_formats=case.section == "format",
            suite=suite,
            remotes=case.draft,
        ),
    )


def outcomes(row: Row) -> Counter[str]:
    """Count the tests of a row by :data:`OUTCOMES`."""
    if row.status is Status.COMPILE_ERROR:
        return Counter({"refused": row.instances})
    if not row.judged:
        return Counter({"crash or time-out": row.instances})
    return Counter(
        "right"
        if verdict.right
        else "invalid accepted"
        if verdict.outcome is Outcome.ACCEPTED
        else "valid rejected"
        for verdict in row.verdicts
    )


def place(row: Row) -> tuple[str, str]:
    """Return the draft and the file of a row."""
    draft, _, file = row.schema.partition("#")[0].partition("/")
    return draft, file


def group_of(file: str) -> str:
    """Return the group of keywords that a file belongs to."""
    section = official_suite.section_of(file)
    if section == "format":
        return "formats, asserted"
    return "optional" if section == "optional" else _GROUP_OF.get(file, file)


Cells = dict[str, dict[str, Counter[str]]]
"""Line of a table -> engine -> outcomes; the line ``TOTAL`` is the sum of the others."""

TOTAL = "total"


def tables(rows: Sequence[Row], engines: Sequence[str], by: str) -> Iterator[tuple[str, list[str], Cells]]:
    """Sum up a run, draft by draft.

    Parameters
    ----------
    rows, engines
        The run.
    by
        "file" or "group": what the lines of a table are.

    Yields
    ------
    tuple
        The draft, the engines that have rows, and the cells.
    """
    shown = list(statistics.by_engine(rows, engines))
    order = [*_GROUPS, "optional", "formats, asserted"]
    drafts: dict[str, Cells] = {}
    for row in rows:
        draft, file = place(row)
        for name in (file if by == "file" else group_of(file), TOTAL):
            line = drafts.setdefault(draft, {}).setdefault(name, {engine: Counter() for engine in shown})
            line[row.engine] += outcomes(row)
    for draft, cells in drafts.items():
        total = cells.pop(TOTAL)
        names = sorted(cells, key=(*order, *cells).index) if by == "group" else list(cells)
        yield draft, shown, {**{name: cells[name] for name in names}, TOTAL: total}


def report(manifest: Manifest, rows: Sequence[Row], printer: Sink, by: str) -> None:
    """Print a table per draft (right / tests for every line and engine) and its totals by outcome."""
    for draft, engines, cells in tables(rows, manifest.engines, by):
        lines = [
            [name, *(f"{cells[name][engine]['right']}/{cells[name][engine].total()}" for engine in engines)]
            for name in cells
        ]
        printer.table(f"draft {draft}: right / tests", ["", *engines], lines)
        lines = [
            [outcome, *(str(cells[TOTAL][engine][outcome]) for engine in engines)] for outcome in OUTCOMES
        ]
        printer.table(f"draft {draft}: tests by outcome", ["", *engines], lines)


def markdown(manifest: Manifest, rows: Sequence[Row], by: str) -> str:
    """Write the run as Markdown: how it was made, and a table per draft.

    Returns
    -------
    str
        Cells are the counts of :data:`OUTCOMES`, in their order, with a zero crash left out.
    """
    versions = ", ".join(f"{name} {version}" for name, version in manifest.versions.items())
    text = [
        f"`{' '.join(manifest.command)}`",
        "",
        f"{versions}; vocabulary {manifest.vocabulary}; {manifest.started[:10]}.",
        "",
        f"A cell is {' / '.join(OUTCOMES[:-1])}, and, where there are any, crashes and time-outs.",
    ]
    for name, reason in manifest.unavailable.items():
        text += ["", f"{name} did not run: {reason}"]
    for draft, engines, cells in tables(rows, manifest.engines, by):
        head = [by, "tests", *engines]
        text += ["", f"**Draft {draft}**", "", _line(head), _line(["---"] * len(head))]
        for name, counts in cells.items():
            tests = max(count.total() for count in counts.values())
            shown = f"**{name}**" if name == TOTAL else name
            text.append(_line([shown, str(tests), *(_cell(counts[engine]) for engine in engines)]))
    return "\n".join(text) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(counts: Counter[str]) -> str:
    shown = OUTCOMES if counts[OUTCOMES[-1]] else OUTCOMES[:-1]
    return " / ".join(f"**{counts[name]}**" if name == "right" else str(counts[name]) for name in shown)
