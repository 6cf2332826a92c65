"""The ``repetition-overhead`` run: what the repetition penalty takes per row and token, next to no-ops."""

from __future__ import annotations

import argparse
import gc
import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from jsonschemabench import results
from jsonschemabench.engines import EngineUnavailableError
from jsonschemabench.progress import Progress
from jsonschemabench.report import Printer
from jsonschemabench.studies import counts, names

if TYPE_CHECKING:
    from structgen import TokenAutomaton, Vocabulary

BATCHES = (1, 8)
TOKENS = 400
REPEATS = 5
LIMIT_US = 30.0

# A processor of transformers that changes scores, too: mostly the copy of them that it returns.
PEER = "RepetitionPenaltyLogitsProcessor"
NO_OP = "no-op"

_WORDS = (
    "the cat sat on a mat while old rain fell over grey roofs and nobody said much about where "
    "its owner went after supper or why every lamp in that house stayed dark until morning came"
).split()

# Takes ids and scores, as processors of transformers do.
Processor = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Case:
    """Texts that a penalty reads.

    Attributes
    ----------
    name
        What they are.
    grammar
        Name of a grammar in :data:`GRAMMARS`.
    rule
        The level "rule"; empty where there is none.
    text
        Makes a text of a number: rows of a batch differ.
    constrained
        Whether the constraint is in front of the penalty. Its time does not count, but it drives the
        penalty's code and data out of the caches, as a model's forward pass does.
    """

    name: str
    grammar: str
    rule: str
    text: Callable[[int], str]
    constrained: bool = False


def _of_schema(schema: Any) -> Callable[[Vocabulary], TokenAutomaton]:
    def compiled(vocabulary: Vocabulary) -> TokenAutomaton:
        import structgen

        return structgen.compile_json_schema(schema, vocabulary)

    return compiled


def _of_lark(name: str, **options: Any) -> Callable[[Vocabulary], TokenAutomaton]:
    def compiled(vocabulary: Vocabulary) -> TokenAutomaton:
        import structgen

        return structgen.compile_lark(f"grammars:{name}", vocabulary, **options)

    return compiled


_RECORD = {"type": "object", "properties": {"name": {"type": "string"}, "value": {"type": "number"}}}

GRAMMARS: dict[str, Callable[[Vocabulary], TokenAutomaton]] = {
    "records": _of_schema({"type": "array", "items": _RECORD}),
    "table": _of_schema({"type": "array", "items": {"type": "array", "items": {"type": "number"}}}),
    "any JSON": _of_schema(True),
    "json": _of_lark("json"),
    "sql": _of_lark("sql"),
    "c": _of_lark("c", start="translation_unit"),
    "python": _of_lark("python", start="file_input", postlex="python"),
}
"""What compiles the automata."""


def _prose(row: int) -> str:
    draw = random.Random(row)
    return " ".join(draw.choice(_WORDS) for _ in range(800))


def _lines(row: int) -> str:
    return "".join(f"{line}\n" for line in _prose(row).split(" and "))


def _loop(begin: str, unit: str, row: int) -> str:
    return (begin + unit * 200).replace("ROW", str(row))


def _json(value: Any, row: int) -> str:
    return json.dumps([value] * 200).replace("ROW", f"of row {row}")


def _values(row: int) -> str:
    draw = random.Random(row)
    return json.dumps([[round(draw.gauss(0, 9), draw.randrange(4)) for _ in range(5)] for _ in range(60)])


def _library(row: int) -> str:
    from jsonschemabench.repetition_sources import library_functions

    functions = library_functions(held_out=True)
    return "\n".join(functions[row * 40 : row * 40 + 40])


def _c_functions(row: int) -> str:
    return "\n".join(
        f"static int find_{i}(const struct entry *table, int count, int key) {{\n"
        f"    int low = {i}, high = count - 1;\n"
        "    while (low <= high) {\n"
        "        int middle = low + (high - low) / 2;\n"
        "        if (table[middle].key == key)\n"
        '            return log_hit("found", &table[middle]), middle;\n'
        "        if (table[middle].key < key) low = middle + 1; else high = middle - 1;\n"
        "    }\n"
        "    return -1;\n}\n"
        for i in range(row, row + 30)
    )


_MAIN = 'int main(void) {\n    int total = ROW;\n    printf("%d items", total);\n'
_INSERT = "INSERT INTO items (id, name, price) VALUES (ROW, 'first', 2.5)"
_SELECT = "SELECT id, name FROM part_ROW WHERE price > 10 "

_STATEMENT = "expression_statement"
_PHRASE = "the cat sat on mat ROW and "

CASES = (
    Case("JSON: records in a loop", "records", "#/items", partial(_json, {"name": "ROW", "value": 12.5})),
    Case("JSON: a table of numbers", "table", "#/items", _values),
    Case("JSON: a table, constrained", "table", "#/items", _values, True),
    Case("JSON: numbers in a loop", "any JSON", "", lambda row: json.dumps([row + 12.5] * 200)),
    Case("JSON: a phrase in a loop", "any JSON", "", partial(_loop, '"', _PHRASE)),
    Case("JSON: prose in a string", "any JSON", "", lambda row: json.dumps(_prose(row))),
    Case("JSON by Lark: records in a loop", "json", "object", partial(_json, {"name": "ROW", "value": 12.5})),
    Case("SQL: rows in a loop", "sql", "row", partial(_loop, _INSERT, ", (ROW, 'second', 3.5)")),
    Case("SQL: a union in a loop", "sql", "open_select", partial(_loop, _SELECT, "UNION ALL " + _SELECT)),
    Case("C: calls in a loop", "c", _STATEMENT, partial(_loop, _MAIN, "    total = add(total, ROW);\n")),
    Case("C: functions", "c", _STATEMENT, _c_functions),
    Case(
        "Python: calls in a loop",
        "python",
        _STATEMENT,
        partial(_loop, "", "result = compute(value, ROW) + 1\n"),
    ),
    Case("Python: two lines in turn", "python", _STATEMENT, partial(_loop, "", "x = f(x, ROW)\nprint(x)\n")),
    Case("Python: a phrase in a loop", "python", _STATEMENT, partial(_loop, 's = "', _PHRASE)),
    Case("Python: functions", "python", _STATEMENT, _library),
    Case("Python: functions, constrained", "python", _STATEMENT, _library, True),
    Case("prose, no constraint", "python", _STATEMENT, _lines),
)
"""What is timed."""

LEVELS = ("statement", "terminal", "rule")


@dataclass(frozen=True, slots=True)
class Row:
    """The times of one processor.

    Attributes
    ----------
    name, level, batch
        What was timed.
    tokens
        Calls, of `batch` rows each.
    penalised
        Share of rows of which a score changed, over all calls.
    mean, p50, p90, p99, highest
        Microseconds of the thread per row and token.
    """

    name: str
    level: str
    batch: int
    tokens: int
    penalised: float
    mean: float
    p50: float
    p90: float
    p99: float
    highest: float


def measure(
    make: Callable[[], Processor],
    ids: Any,
    width: int,
    repeats: int = REPEATS,
    before: Processor | None = None,
) -> tuple[npt.NDArray[np.float64], float]:
    """Time a processor along rows, as ``generate`` calls it: a token more each time, and scores of its own.

    Parameters
    ----------
    make
        Makes the processor, anew for each repeat: what is done once for a text is in the times.
    ids : LongTensor
        Tokens, shape ``(B, L)``.
    width
        How many scores a row has, float32.
    repeats
        How many times all is done. Of each call the least time counts, since all do the same, and what else a
        machine does only adds.
    before
        A processor in front, whose time does not count.

    Returns
    -------
    times : ndarray
        Microseconds that the thread took per row, shape ``(L - 1,)``.
    penalised : float
        Share of rows of which a score changed.
    """
    import torch

    batch, length = ids.shape
    logits = torch.randn(batch, width, generator=torch.Generator().manual_seed(0))
    best = np.full(length - 1, np.inf)
    changed = 0
    for repeat in range(repeats):
        processor = make()
        for end in range(1, length):
            so_far, scores = ids[:, :end].clone(), logits.clone()
            if before is not None:
                scores = before(so_far, scores)
            begin = time.thread_time_ns()
            out = processor(so_far, scores)
            spent = (time.thread_time_ns() - begin) / 1e3 / batch
            best[end - 1] = min(best[end - 1], spent)
            if repeat == 0 and out is not scores:
                changed += int((out != scores).any(-1).sum())
            # Memory goes back in time for the next call, as in a loop that keeps no scores.
            del out, scores
    return best, changed / (batch * (length - 1))


def summed_up(name: str, level: str, batch: int, measured: tuple[npt.NDArray[np.float64], float]) -> Row:
    """Return the row of a measurement."""
    times, penalised = measured
    p50, p90, p99 = (float(value) for value in np.percentile(times, (50, 90, 99)))
    return Row(
        name, level, batch, len(times), penalised, float(np.mean(times)), p50, p90, p99, float(times.max())
    )


@contextmanager
def _alone() -> Iterator[None]:
    """Keep the collector of garbage and other threads of PyTorch out of the times."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        torch.set_num_threads(threads)


def run(
    cases: Sequence[Case],
    levels: Sequence[str],
    batches: Sequence[int],
    length: int = TOKENS,
    repeats: int = REPEATS,
    report: Callable[[str], None] = lambda _: None,
) -> list[Row]:
    """Time the penalty in each case, at each level and for each batch, over the tekken vocabulary.

    Parameters
    ----------
    cases, levels, batches
        Of them all combinations.
    length
        Tokens a row is read to.
    repeats
        As for :func:`measure`.
    report
        Called with the name of each that is done.

    Returns
    -------
    list of Row
        First, for each batch, of a processor that does nothing and of transformers' own repetition penalty.
    """
    import torch
    from transformers import RepetitionPenaltyLogitsProcessor

    from structgen.hf import AutomatonLogitsProcessor, GrammarRepetitionPenalty
    from structgen.testing.vocabularies import tekken

    vocabulary, encode = tekken()
    width = vocabulary.logits_size

    def tokens(case: Case, batch: int) -> Any:
        rows = [encode(case.text(row))[:length] for row in range(batch)]
        shortest = min(map(len, rows))
        return torch.tensor([row[:shortest] for row in rows])

    def nothing() -> Processor:
        return lambda ids, scores: scores

    def peer() -> Processor:
        made: Processor = RepetitionPenaltyLogitsProcessor(1.2)
        return made

    rows = []
    with _alone():
        for batch in batches:
            ids = tokens(cases[0], batch)
            for name, make in ((NO_OP, nothing), (PEER, peer)):
                rows.append(summed_up(name, "", batch, measure(make, ids, width, repeats)))
        for grammar in dict.fromkeys(case.grammar for case in cases):
            automaton = GRAMMARS[grammar](vocabulary)
            for case in cases:
                if case.grammar != grammar:
                    continue
                for batch in batches:
                    ids = tokens(case, batch)
                    for level in levels:
                        chosen = case.rule if level == "rule" else level
                        if not chosen:
                            continue
                        penalty = partial(GrammarRepetitionPenalty, automaton, level=chosen, prompt_length=0)
                        before = (
                            AutomatonLogitsProcessor(automaton, prompt_length=0) if case.constrained else None
                        )
                        measured = measure(penalty, ids, width, repeats, before)
                        rows.append(summed_up(case.name, chosen, batch, measured))
                        report(f"{case.name}, {level}, {batch}")
                gc.collect()
    return rows


# -- the command -------------------------------------------------------------------------------------------

_HEADER = ("level", "rows", "penalised", "mean", "p50", "p90", "p99", "max")


def cells(rows: Sequence[Row]) -> list[list[str]]:
    """Return the cells of a table."""
    return [
        [
            row.name,
            row.level,
            str(row.batch),
            f"{row.penalised:.2f}",
            *(f"{value:.1f}" for value in (row.mean, row.p50, row.p90, row.p99, row.highest)),
        ]
        for row in rows
    ]


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command to those of the command line."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "repetition-overhead", help="what the repetition penalty takes per row and token on the CPU"
    )
    parser.add_argument("--levels", default=",".join(LEVELS), help="comma-separated (default: %(default)s)")
    parser.add_argument("--batches", default=",".join(map(str, BATCHES)), help="(default: %(default)s)")
    parser.add_argument("--tokens", type=int, default=TOKENS, help="of each row (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="best of (default: %(default)s)")
    parser.add_argument("--only", default="", metavar="TEXT", help="cases whose names have this")
    parser.add_argument(
        "--limit",
        type=float,
        default=LIMIT_US,
        metavar="US",
        help="fail where a mean is over this many microseconds (default: %(default)s)",
    )
    parser.add_argument("--plain", action="store_true", help="plain text even where rich is installed")
    return parser


def command(options: argparse.Namespace, progress: Callable[[int], AbstractContextManager[Progress]]) -> int:
    """Run the command.

    Returns
    -------
    int
        0, or 1 if a mean is over the limit.

    Raises
    ------
    ValueError
        An option is wrong.
    EngineUnavailableError
        PyTorch, transformers or the vocabulary is not installed.
    """
    levels = names(options.levels, LEVELS, "--levels")
    batches = counts(options.batches, "--batches")
    if options.tokens < 2 or options.repeats < 1:
        raise ValueError("--repeats is 1 at least, --tokens 2")
    cases = [case for case in CASES if options.only in case.name]
    if not cases:
        raise ValueError(
            f"no case has {options.only!r} in its name; there are {', '.join(c.name for c in CASES)}"
        )
    with progress(len(cases) * len(levels) * len(batches)) as bar:
        try:
            rows = run(cases, levels, batches, options.tokens, options.repeats, bar.advance)
        except ImportError as error:
            raise EngineUnavailableError(
                f"the run needs PyTorch, transformers and mistral-common ({error}): "
                "pip install 'structgen[hf,bench]'"
            ) from error
    printer = Printer(plain=options.plain)
    versions = results.versions(("torch", "transformers", "numpy"))
    printer.line(
        f"{results.cpu_name()}; " + ", ".join(f"{name} {version}" for name, version in versions.items())
    )
    printer.table("µs of the thread per row and token", ["", *_HEADER], cells(rows))
    over = [row for row in rows if row.name not in (NO_OP, PEER) and row.mean > options.limit]
    for row in over:
        printer.line(f"over {options.limit:g} µs: {row.name}, {row.level}, {row.batch} rows: {row.mean:.1f}")
    return int(bool(over))
