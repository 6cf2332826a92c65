"""The ``lark`` runs: Python's standard library under lark's own grammar, and peers on grammars of ours."""

from __future__ import annotations

import sysconfig
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from time import perf_counter_ns

import numpy as np

from jsonschemabench import lark_inputs, masks, statistics
from jsonschemabench.datasets import Case, Instance
from jsonschemabench.engines import LARK_ENGINES, SchemaInput
from jsonschemabench.report import Printer, figure
from jsonschemabench.results import Row, Status
from jsonschemabench.vocabularies import BenchVocabulary
from jsonschemabench.worker import memory_bytes

_MIB = 1 << 20
_HEADER = ("count", "mean", "p50", "p90", "p99", "p99.9", "max")


# -- python ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class PythonRun:
    """The standard library, walked twice: the second time, all states have been seen.

    Attributes
    ----------
    files, characters, tokens
        Of the files that lark parses.
    unparsed
        Files that lark does not parse, by name.
    failures
        Files that lark parses and the automaton refuses, with the place.
    first_ns, second_ns
        Nanoseconds per mask and step of both walks.
    states
        Interned by the first walk.
    state_bytes
        What the automaton holds, masks included.
    """

    files: int = 0
    characters: int = 0
    tokens: int = 0
    unparsed: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    first_ns: array[int] = field(default_factory=lambda: array("q"))
    second_ns: array[int] = field(default_factory=lambda: array("q"))
    compile_ns: int = 0
    first_mask_ns: int = 0
    states: int = 0
    state_bytes: int = 0
    rss_before: int = 0
    rss_after: int = 0
    peak: int = 0


def run_python(
    vocabulary: BenchVocabulary, limit: int | None, progress: Callable[[str], None] = lambda _: None
) -> PythonRun:
    """Walk every top-level file of the standard library that lark's python.lark parses.

    Parameters
    ----------
    vocabulary
        What the files are tokenised with.
    limit
        Take this many files, evenly spread over the sizes; None takes all.
    progress
        Called with the name of every file.

    Raises
    ------
    EngineUnavailableError
        If structgen can't read Lark grammars.
    """
    import lark
    from lark.indenter import PythonIndenter

    from jsonschemabench.engines.lark import StructgenLarkEngine

    grammar = (Path(lark.__file__).parent / "grammars" / "python.lark").read_text(encoding="utf-8")
    oracle = lark.Lark(grammar, parser="lalr", start="file_input", postlex=PythonIndenter())
    engine = StructgenLarkEngine(vocabulary)
    run = PythonRun()
    texts: list[tuple[str, list[int]]] = []
    for file in _library(limit):
        text = file.read_text(encoding="utf-8")
        progress(file.name)
        try:
            oracle.parse(text)
        except (lark.exceptions.LarkError, AssertionError, IndexError):
            # The indenter of lark asserts, and indexes, where it should say that the text is wrong.
            run.unparsed.append(file.name)
            continue
        texts.append((file.name, vocabulary.encode(text)))
        run.characters += len(text)
    run.files, run.tokens = len(texts), sum(len(tokens) for _, tokens in texts)
    run.rss_before = memory_bytes("VmRSS")
    begin = perf_counter_ns()
    engine.compile(SchemaInput(grammar, {"start": "file_input", "indenter": "python"}))
    run.compile_ns = perf_counter_ns() - begin
    engine.first_mask()
    run.first_mask_ns = perf_counter_ns() - begin
    before = engine.stats()["states"]
    for name, tokens in texts:
        accepted = engine.walk(tokens, run.first_ns)
        if accepted <= len(tokens):
            run.failures.append(f"{name}: {_place(vocabulary, tokens, accepted)}")
        progress(name)
    stats = engine.stats()
    run.states, run.state_bytes = stats["states"] - before, stats["bytes"]
    run.rss_after, run.peak = memory_bytes("VmRSS"), memory_bytes("VmHWM")
    for _, tokens in texts:
        engine.walk(tokens, run.second_ns)
    return run


def _library(limit: int | None) -> list[Path]:
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    if limit is None or limit >= len(files):
        return files
    files.sort(key=lambda file: (file.stat().st_size, file.name))
    return [files[i] for i in np.linspace(0, len(files) - 1, limit, dtype=int)]


def _place(vocabulary: BenchVocabulary, tokens: Sequence[int], accepted: int) -> str:
    before = b"".join(vocabulary.tokens[token] for token in tokens[:accepted])
    refused = vocabulary.tokens[tokens[accepted]] if accepted < len(tokens) else b"<end>"
    line = before.count(b"\n") + 1
    return f"line {line}: {before[-60:].decode(errors='replace')!r} >>{refused.decode(errors='replace')!r}<<"


def report_python(run: PythonRun, printer: Printer) -> None:
    """Print what came of the standard library."""
    printer.line(
        f"{run.files} files that lark parses, {run.characters:,} characters, {run.tokens:,} tokens; "
        f"{len(run.unparsed)} not parsed by lark: {', '.join(run.unparsed) or 'none'}"
    )
    printer.line(f"refused although lark parses them: {len(run.failures)}")
    for failure in run.failures:
        printer.line(f"  {failure}")
    printer.line(f"compile {run.compile_ns / 1e6:,.1f} ms, with first mask {run.first_mask_ns / 1e6:,.1f} ms")
    rows = []
    for name, times in (("first walk", run.first_ns), ("second walk", run.second_ns)):
        summary = statistics.summarise(np.frombuffer(times, dtype=np.int64) / 1e3)
        if summary is not None:
            rows.append([name, str(summary.count), *map(figure, summary.figures)])
    printer.table("mask+step of python.lark, µs per token", ["", *_HEADER], rows)
    fresh = (sum(run.first_ns) - sum(run.second_ns)) / max(1, run.states) / 1e3
    printer.line(f"{run.states:,} states, {figure(fresh)} µs for each beyond the second walk's time")
    printer.line(
        f"automaton {run.state_bytes / _MIB:,.1f} MiB; resident {run.rss_before / _MIB:,.0f} MiB before, "
        f"{run.rss_after / _MIB:,.0f} MiB after, peak {run.peak / _MIB:,.0f} MiB"
    )


# -- peers -------------------------------------------------------------------------------------------------

STRUCTGEN, LLGUIDANCE = LARK_ENGINES


def run_peers(
    names: Sequence[str],
    vocabulary: BenchVocabulary,
    limits: masks.Limits,
    *,
    folder: Path | None = None,
    unavailable: Callable[[str, str], None],
) -> list[Row]:
    """Walk the same texts under structgen and llguidance, grammar by grammar, engines alternating.

    Parameters
    ----------
    names
        Of the grammars.
    vocabulary, limits, unavailable
        As for :func:`jsonschemabench.masks.run`. Every grammar is compiled in fresh processes.
    folder
        Where the grammars are.

    Returns
    -------
    list of Row
        One per grammar and engine, in this order.
    """
    cases = []
    for name in names:
        text = lark_inputs.grammar_text(name, folder)
        instances = tuple(Instance(None, True, text=example) for example in lark_inputs.texts(name))
        dialect = lark_inputs.llguidance_dialect(name, text)
        options = {"llguidance": dialect, "start": lark_inputs.START.get(name, "start")}
        cases.append(Case(name, options, instances, text=text))
    alone = replace(limits, fresh_process_every=1)
    rows = masks.run(cases, [STRUCTGEN, LLGUIDANCE], vocabulary, alone, unavailable=unavailable)
    return sorted(rows, key=lambda row: (names.index(row.schema), row.engine != STRUCTGEN))


def report_peers(rows: Sequence[Row], printer: Printer) -> None:
    """Print both engines side by side, and how many times longer llguidance takes."""
    for name, group in groupby(rows, key=lambda row: row.schema):
        table = []
        summaries = {}
        for row in group:
            if row.status is not Status.OK:
                printer.line(f"{row.engine} on {name}: {row.status}: {row.detail}")
                continue
            refused = [verdict.description for verdict in row.verdicts if verdict.outcome.value != "accepted"]
            printer.line(f"{row.engine} on {name}: {row.instances} texts, {len(refused)} refused")
            for description in refused:
                printer.line(f"  {description}")
            for title, values in (
                ("all walks", statistics.step_us([row])),
                ("first walk", statistics.first_visit_us([row])),
            ):
                summary = statistics.summarise(values)
                if summary is not None:
                    summaries[row.engine, title] = summary.figures
                    cells = [figure(row.compile_ns / 1e6), figure(row.first_mask_ns / 1e6)]
                    cells += [figure(row.peak_bytes / _MIB), str(summary.count)]
                    table.append([f"{row.engine}, {title}", *cells, *map(figure, summary.figures)])
        for title in ("all walks", "first walk"):
            ours, theirs = summaries.get((STRUCTGEN, title)), summaries.get((LLGUIDANCE, title))
            if ours and theirs:
                ratios = [f"{b / a:.2f}x" if a else "-" for a, b in zip(ours, theirs, strict=True)]
                table.append([f"    {LLGUIDANCE} / {STRUCTGEN}, {title}", "", "", "", "", *ratios])
        if table:
            printer.table(
                f"{name}: mask+step, µs per token",
                ["", "compile, ms", "to first mask, ms", "peak MiB", *_HEADER],
                table,
            )
