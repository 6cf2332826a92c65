"""The ``cache`` run: automata from disk and from memory, and the start of a process."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

import structgen
from jsonschemabench import datasets, vocabularies
from jsonschemabench.commands.options import whole_number
from jsonschemabench.datasets import Case
from jsonschemabench.report import Printer
from jsonschemabench.vocabularies import BenchVocabulary
from structgen import AutomatonCache, StructgenError, Vocabulary


@dataclass(frozen=True, slots=True)
class Timing:
    """What one schema takes, in milliseconds of the thread.

    Attributes
    ----------
    compilation
        Without a cache.
    miss
        Compiled, recorded and written to disk.
    load
        From disk.
    hit
        From memory.
    """

    compilation: float
    miss: float
    load: float
    hit: float


@dataclass(frozen=True, slots=True)
class Result:
    """Timings of the schemas with a form on disk, and of the others how many there are.

    Attributes
    ----------
    timings
        By schema.
    memory_only, refused
        Schemas that ask Python, and that cannot be compiled.
    file_bytes, automaton_bytes
        Of all schemas: on disk, and in memory when nothing has been generated yet.
    """

    timings: list[Timing]
    memory_only: int
    refused: int
    file_bytes: int
    automaton_bytes: int


def measure(cases: Sequence[Case], vocabulary: BenchVocabulary, directory: Path) -> Result:
    """Time schemas one after the other, each way with a vocabulary, and so with tables, of its own.

    Parameters
    ----------
    cases
        The schemas.
    vocabulary
        Their tokens.
    directory
        An empty one, for files.
    """
    plain, missing, loading = (_vocabulary(vocabulary) for _ in range(3))
    first, second = AutomatonCache(missing, directory=directory), AutomatonCache(loading, directory=directory)
    # Imports, and what the first compilation of a vocabulary makes.
    structgen.compile_json_schema({}, plain)
    for cache in (first, second):
        cache.json_schema({})
    timings, refused = [], 0
    for case in cases:
        schema, loads = case.schema, second.stats()["loads"]
        try:
            compilation = _milliseconds(structgen.compile_json_schema, schema, plain)
        except StructgenError:
            refused += 1
            continue
        miss = _milliseconds(first.json_schema, schema)
        load = _milliseconds(second.json_schema, schema)
        hit = _milliseconds(second.json_schema, schema)
        if second.stats()["loads"] > loads:
            timings.append(Timing(compilation, miss, load, hit))
    stats = first.stats()
    return Result(timings, stats["memory_only"], refused, stats["file_bytes"], stats["bytes"])


def _vocabulary(tokens: BenchVocabulary) -> Vocabulary:
    made = Vocabulary(
        tokens.tokens, eos_token_ids=tokens.eos_token_id, special_token_ids=tokens.special_token_ids
    )
    assert made.native.mask_words == tokens.mask_words
    return made


def _milliseconds(work: Callable[..., Any], *arguments: Any) -> float:
    begin = time.thread_time_ns()
    work(*arguments)
    return (time.thread_time_ns() - begin) / 1e6


_TOKENIZER = """
def tokens():
    from structgen.testing.vocabularies import _data_file
    return structgen.Vocabulary.from_mistral(_data_file("tekken_240911.json"))
"""
_BYTES = """
tokens = structgen.Vocabulary.of_bytes
"""
_PROGRAM = """
import sys, time
import structgen
{tokens}
directory, schema = sys.argv[1:]
if directory:
    vocabulary = structgen.Vocabulary.cached(tokens, key=["tokens"], directory=directory)
    automaton = structgen.AutomatonCache(vocabulary, directory=directory).json_schema(schema)
else:
    automaton = structgen.compile_json_schema(schema, tokens())
automaton.mask(automaton.start)
print(time.process_time_ns())
"""
_SCHEMA = """{"type": "object", "required": ["id", "when"], "properties": {
"id": {"type": "integer", "minimum": 1}, "when": {"type": "string", "format": "date-time"},
"tags": {"type": "array", "items": {"enum": ["a", "b"]}}}}"""


def starts(vocabulary: str, directory: Path, runs: int) -> dict[str, float]:
    """Return the seconds of processor time of new processes up to their first mask, medians.

    Parameters
    ----------
    vocabulary : {"tekken", "bytes"}
        Whose tokens; tekken is read with mistral-common.
    directory
        For the vocabulary and the automaton.
    runs
        How many processes, after one that is not counted.
    """
    program = _PROGRAM.format(tokens=_TOKENIZER if vocabulary == "tekken" else _BYTES)
    found = {}
    for name, argument in (("without a cache", ""), ("with a cache", str(directory))):
        times = []
        for _ in range(runs + 1):
            done = subprocess.run(
                [sys.executable, "-c", program, argument, _SCHEMA],
                capture_output=True,
                text=True,
                timeout=600,
                check=True,
            )
            times.append(int(done.stdout) / 1e9)
        found[name] = statistics.median(times[1:])
    return found


# -- the command -------------------------------------------------------------------------------------------


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command to those of the command line."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "cache", help="automata from disk and from memory next to their compilation"
    )
    parser.add_argument("--data", metavar="DATA", help="as for masks")
    parser.add_argument(
        "--sample", type=whole_number, default=1000, metavar="N", help="(default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    parser.add_argument("--vocabulary", default="tekken", choices=list(vocabularies.VOCABULARIES))
    parser.add_argument(
        "--runs", type=whole_number, default=5, help="processes a way of starting (default: %(default)s)"
    )
    parser.add_argument("--plain", action="store_true", help="plain text even where rich is installed")
    parser.set_defaults(run=command)
    return parser


def command(options: argparse.Namespace) -> int:
    """Measure, and print tables."""
    cases = datasets.load(datasets.find(options.data), sample=options.sample, seed=options.seed)
    with tempfile.TemporaryDirectory() as folder:
        result = measure(cases, vocabularies.load(options.vocabulary), Path(folder) / "schemas")
        begun = starts(options.vocabulary, Path(folder) / "starts", options.runs) if options.runs else {}
    printer = Printer(plain=options.plain)
    printer.line(
        f"{len(result.timings)} of {len(cases)} schemas loaded, {result.memory_only} kept in memory alone, "
        f"{result.refused} refused; {result.file_bytes:,} bytes of files, "
        f"{result.automaton_bytes:,} bytes of automata"
    )
    if result.timings:
        printer.table(
            "milliseconds of the thread", ["", "mean", "p50", "p90", "p99", "max"], _lines(result.timings)
        )
    if begun:
        lines = [[name, f"{seconds:.3f}"] for name, seconds in begun.items()]
        printer.table("a new process up to its first mask, seconds of the processor", ["", "median"], lines)
    return 0


def _lines(timings: Sequence[Timing]) -> list[list[str]]:
    found = []
    columns = dict(
        zip(
            (field.name for field in fields(Timing)),
            np.array([astuple(one) for one in timings]).T,
            strict=True,
        )
    )
    ratios = {"compilation / load": columns["compilation"] / columns["load"]}
    for name, values in (columns | ratios).items():
        numbers = [float(values.mean()), *map(float, np.percentile(values, [50, 90, 99, 100]))]
        found.append([name, *(f"{number:.3f}" for number in numbers)])
    return found
