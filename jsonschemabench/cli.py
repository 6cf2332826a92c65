"""Command line: measurements of engines and samplers, and their results."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from jsonschemabench import (
    datasets,
    diversity,
    failures,
    import_time,
    lark_bench,
    lark_inputs,
    masks,
    memory,
    official_suite,
    results,
    sampler_quality,
    suite,
    vocabularies,
)
from jsonschemabench.datasets import Case, DatasetError
from jsonschemabench.engines import ANY_ORDER, DEFAULT_ENGINES, EngineUnavailableError, engine_class
from jsonschemabench.progress import progress
from jsonschemabench.report import Printer, report
from jsonschemabench.results import Manifest, Row, Status
from jsonschemabench.vocabularies import BenchVocabulary, VocabularyError

_MIB = 1 << 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments
        As on the command line; ``sys.argv[1:]`` by default.

    Returns
    -------
    int
        0 when it ran, 1 when a bound was missed, 2 when it could not run.
    """
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options)
    except (
        DatasetError,
        VocabularyError,
        EngineUnavailableError,
        import_time.ImportTimeError,
        ValueError,
    ) as error:
        print(f"jsonschemabench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("jsonschemabench: interrupted", file=sys.stderr)
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m jsonschemabench",
        description="Benchmarks of structured-generation engines, side by side.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    masks_parser = commands.add_parser(
        "masks", help="compile schemas, walk their instances, compare engines in one run"
    )
    masks_parser.add_argument(
        "--engines",
        default=",".join(DEFAULT_ENGINES),
        help="comma-separated; names or module:Class (default: %(default)s)",
    )
    masks_parser.add_argument(
        "--property-order",
        choices=("schema", "any"),
        default="schema",
        help=f'"any": engines that can let keys come in any order do ({", ".join(ANY_ORDER)})',
    )
    _add_data_options(masks_parser)
    masks_parser.add_argument(
        "--fresh-process-every",
        type=_whole_number,
        default=0,
        metavar="K",
        help="start every engine's process again after K schemas; 1 measures schemas with nothing warm",
    )
    masks_parser.add_argument(
        "--out", type=Path, metavar="FILE", help="also write a manifest and rows as JSON lines"
    )
    _add_report_options(masks_parser)
    masks_parser.set_defaults(run=_run_masks)

    suite_parser = commands.add_parser(
        "suite", help="coverage of the official JSON Schema Test Suite, by keyword, draft and engine"
    )
    _add_suite_options(suite_parser)
    suite_parser.set_defaults(run=_run_suite, seed=0)

    lark_parser = commands.add_parser(
        "lark", help="Lark grammars: the standard library of Python, and structgen next to llguidance"
    )
    _add_lark_options(lark_parser)
    lark_parser.set_defaults(run=_run_lark)

    quality_parser = sampler_quality.add_parser(commands)
    quality_parser.set_defaults(run=lambda options: sampler_quality.command(options, progress))
    diversity_parser = diversity.add_parser(commands)
    diversity_parser.set_defaults(run=lambda options: diversity.command(options, progress))
    samplers_parser = commands.add_parser(
        "samplers", help="adaptive weighted rejection next to masks: predicate calls and time per token"
    )
    _add_samplers_options(samplers_parser)
    samplers_parser.set_defaults(run=_run_samplers)

    report_parser = commands.add_parser("report", help="print the tables of a results file again")
    report_parser.add_argument("results", type=Path, help="a file written by masks --out")
    _add_report_options(report_parser)
    report_parser.set_defaults(run=_run_report)

    memory_parser = commands.add_parser("memory", help="resident memory over many schemas in one process")
    memory_parser.add_argument(
        "--engine", default="structgen", help="a name or module:Class (default: %(default)s)"
    )
    _add_data_options(memory_parser)
    memory_parser.add_argument(
        "--limit",
        type=float,
        metavar="MIB",
        help="fail when the peak is over this many MiB or memory keeps growing",
    )
    memory_parser.add_argument("--plain", action="store_true", help="plain text even where rich is installed")
    memory_parser.set_defaults(run=_run_memory)

    import_parser = commands.add_parser("import-time", help="median time of an import in fresh interpreters")
    import_parser.add_argument("--module", default="structgen", help="what to import (default: %(default)s)")
    import_parser.add_argument("--runs", type=_whole_number, default=11, help="default: %(default)s")
    import_parser.add_argument(
        "--limit",
        type=float,
        default=150.0,
        metavar="MS",
        help="fail over this many ms (default: %(default)s)",
    )
    import_parser.set_defaults(run=_run_import_time)
    return parser


def _add_data_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR_OR_TAR",
        help=f"MaskBench files, in a folder or a tar archive (default: ${datasets.DATA_VARIABLE}, "
        f"else {datasets.DEFAULT_FOLDER / datasets.MASKBENCH_ARCHIVE})",
    )
    parser.add_argument("--sample", type=_whole_number, metavar="N", help="how many schemas (default: all)")
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the sample and its order (default: %(default)s)"
    )
    _add_limits(parser, vocabulary="tekken", timeout=60.0, memory_mib=8192)


def _add_suite_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--engines",
        default=",".join(DEFAULT_ENGINES),
        help="comma-separated; names or module:Class (default: %(default)s)",
    )
    parser.add_argument("--draft", action="append", choices=official_suite.DRAFTS, help="default: all")
    parser.add_argument(
        "--section",
        action="append",
        choices=official_suite.SECTIONS,
        help="required, optional or format (the cases that assert formats); default: required and format",
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR_OR_TAR",
        help=f"the suite, as a folder or a tar archive (default: {official_suite.ARCHIVE} in "
        f"${datasets.DATA_VARIABLE}, else in {datasets.DEFAULT_FOLDER})",
    )
    _add_limits(parser, vocabulary="bytes", timeout=20.0, memory_mib=4096)
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="also write a manifest and rows as JSON lines"
    )
    parser.add_argument(
        "--results", type=Path, metavar="FILE", help="run nothing: sum up a file written by --out"
    )
    parser.add_argument(
        "--by", choices=("file", "group"), default="file", help="lines of the tables (default: %(default)s)"
    )
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the tables as Markdown")
    parser.add_argument(
        "--failures", type=Path, metavar="FILE", help="also write every case that does not pass, by reason"
    )
    parser.add_argument("--plain", action="store_true", help="plain text even where rich is installed")


def _add_lark_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what",
        nargs="*",
        metavar="WHAT",
        help='"python": all top-level files of the standard library under lark\'s python.lark; '
        '"peers": structgen and llguidance on the same texts of our grammars (default: both)',
    )
    parser.add_argument(
        "--limit", type=_whole_number, metavar="N", help="python: take N files, evenly spread over the sizes"
    )
    parser.add_argument(
        "--grammars",
        default=",".join(lark_inputs.GRAMMARS),
        help="peers: comma-separated names (default: %(default)s)",
    )
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", help="peers: where the grammars are (default: structgen's own)"
    )
    _add_limits(parser, vocabulary="tekken", timeout=120.0, memory_mib=8192)
    parser.add_argument("--plain", action="store_true", help="plain text even where rich is installed")


def _add_samplers_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cases", help="comma-separated constraints (default: all)")
    parser.add_argument("--families", help="comma-separated families of probabilities (default: all)")
    parser.add_argument(
        "--predicates-us",
        default="0,10,100",
        metavar="US",
        help="comma-separated microseconds of Python predicates (default: %(default)s)",
    )
    parser.add_argument(
        "--positions", type=_whole_number, default=40, metavar="N", help="of each case (default: %(default)s)"
    )
    parser.add_argument(
        "--draws",
        type=_whole_number,
        default=20,
        metavar="N",
        help="at each position with the automaton (default: %(default)s)",
    )
    parser.add_argument(
        "--predicate-draws",
        type=_whole_number,
        default=5,
        metavar="N",
        help="at each position with a Python predicate (default: %(default)s)",
    )
    parser.add_argument(
        "--asked",
        type=_whole_number,
        default=100,
        metavar="N",
        help="tokens from which the time to ask about all is extrapolated (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--quick", action="store_true", help="two cases, 8 positions each")
    parser.add_argument(
        "--genlm-python",
        metavar="PATH",
        help="an interpreter with genlm-control, to run its sampler on the same rows",
    )
    parser.add_argument(
        "--vocabulary",
        default="tekken",
        choices=list(vocabularies.VOCABULARIES),
        help="default: %(default)s",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="also write a manifest and samples as JSON lines"
    )
    parser.add_argument("--plain", action="store_true", help="plain text even where rich is installed")


def _add_limits(parser: argparse.ArgumentParser, *, vocabulary: str, timeout: float, memory_mib: int) -> None:
    parser.add_argument(
        "--vocabulary",
        default=vocabulary,
        choices=list(vocabularies.VOCABULARIES),
        help="default: %(default)s",
    )
    parser.add_argument(
        "--timeout", type=float, default=timeout, metavar="S", help="seconds a schema (default: %(default)s)"
    )
    parser.add_argument(
        "--memory-limit",
        type=_whole_number,
        default=memory_mib,
        metavar="MIB",
        help="resident memory of a worker (default: %(default)s)",
    )


def _add_report_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--reference", metavar="ENGINE", help="compare the others with this one (default: the first)"
    )
    parser.add_argument(
        "--list", type=_whole_number, default=0, metavar="N", help="name up to N schemas per kind of failure"
    )
    parser.add_argument(
        "--failures",
        type=Path,
        metavar="FILE",
        help="also write every schema that does not pass, grouped by reason",
    )
    parser.add_argument("--plain", action="store_true", help="plain text even where rich is installed")


def _whole_number(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{number} is negative")
    return number


def _run_masks(options: argparse.Namespace) -> int:
    engines = _engines(options)
    if options.property_order == "any":
        engines = [ANY_ORDER.get(name, name) for name in engines]
    cases, vocabulary, limits, data = _read_inputs(options, options.fresh_process_every)
    manifest = _manifest(options, engines, cases, vocabulary, limits, data)
    rows = _collect(manifest, cases, vocabulary, limits, options.out)
    report(manifest, rows, Printer(plain=options.plain), reference=options.reference, listed=options.list)
    _write_failures(options, rows)
    return 0 if rows or not cases else 2


def _engines(options: argparse.Namespace) -> list[str]:
    engines = [name.strip() for name in options.engines.split(",") if name.strip()]
    if not engines or len(set(engines)) != len(engines):
        raise ValueError("--engines wants different names, separated by commas")
    return engines


def _collect(
    manifest: Manifest,
    cases: Sequence[Case],
    vocabulary: BenchVocabulary,
    limits: masks.Limits,
    file: Path | None,
) -> list[Row]:
    """Run the engines of the manifest; rows go to the file, if any, as they come."""
    collected: list[Row] = []
    with ExitStack() as stack:
        out = stack.enter_context(file.open("w", encoding="utf-8")) if file else None
        if out is not None:
            out.write(results.to_json(manifest) + "\n")
        parts = stack.enter_context(progress(len(cases) * len(manifest.engines)))

        def unavailable(name: str, reason: str) -> None:
            manifest.unavailable[name] = reason
            print(f"{name} is left out: {reason}", file=sys.stderr)

        for row in masks.run(cases, manifest.engines, vocabulary, limits, unavailable=unavailable):
            collected.append(row)
            if out is not None:
                out.write(results.to_json(row) + "\n")
                out.flush()
            parts.advance(row.schema)
        if out is not None and manifest.unavailable:
            # Known only now; of two manifests in a file the later one counts.
            out.write(results.to_json(manifest) + "\n")
    return collected


def _run_suite(options: argparse.Namespace) -> int:
    if options.results is not None:
        manifest, rows = _read_results(options.results)
    else:
        engines, limits = _engines(options), _limits(options)
        data = options.data or official_suite.default_data()
        if data is None:
            raise DatasetError(f"no data: name it with --data or in {datasets.DATA_VARIABLE}")
        drafts, sections = options.draft or official_suite.DRAFTS, options.section or ("required", "format")
        cases = suite.cases(data, drafts, sections)
        vocabulary = vocabularies.load(options.vocabulary)
        manifest = _manifest(options, engines, cases, vocabulary, limits, data)
        rows = _collect(manifest, cases, vocabulary, limits, options.out)
    suite.report(manifest, rows, Printer(plain=options.plain), options.by)
    _write_failures(options, rows)
    if options.markdown is not None:
        options.markdown.write_text(suite.markdown(manifest, rows, options.by), encoding="utf-8")
    return 0 if rows else 2


def _run_lark(options: argparse.Namespace) -> int:
    what = options.what or ["python", "peers"]
    if unknown := set(what) - {"python", "peers"}:
        raise ValueError(f"lark runs python and peers, not {', '.join(sorted(unknown))}")
    vocabulary = vocabularies.load(options.vocabulary)
    printer = Printer(plain=options.plain)
    versions = results.versions(dict.fromkeys(("structgen", "lark", "llguidance")))
    printer.line(f"{results.cpu_name()}; vocabulary {vocabulary.name}")
    printer.line(", ".join(f"{name} {version}" for name, version in versions.items()))
    code = 0
    if "python" in what:
        python = lark_bench.run_python(vocabulary, options.limit)
        lark_bench.report_python(python, printer)
        code = int(bool(python.failures) or not python.files)
    if "peers" in what:
        names = [name.strip() for name in options.grammars.split(",") if name.strip()]
        missing: dict[str, str] = {}
        rows = lark_bench.run_peers(
            names, vocabulary, _limits(options), folder=options.folder, unavailable=missing.__setitem__
        )
        for name, reason in missing.items():
            printer.line(f"{name} is left out: {reason}")
        lark_bench.report_peers(rows, printer)
        code = code or int(bool(missing) or any(not row.passes for row in rows))
    return code


def _run_samplers(options: argparse.Namespace) -> int:
    try:
        # PyTorch takes seconds to import, and the other commands do without it.
        from jsonschemabench import sampler_bench, sampler_inputs
    except ImportError as error:
        raise EngineUnavailableError(f"{error}: pip install 'structgen[hf,bench]'") from error
    if not (options.positions and options.draws and options.predicate_draws and options.asked):
        raise ValueError("--positions, --draws, --predicate-draws and --asked must be positive")
    settings = sampler_bench.Settings(
        cases=_names(options.cases) or sampler_inputs.CASES,
        families=_names(options.families) or tuple(sampler_inputs.FAMILIES),
        predicates_us=tuple(float(us) for us in _names(options.predicates_us)),
        positions=options.positions,
        draws=options.draws,
        predicate_draws=options.predicate_draws,
        asked=options.asked,
        seed=options.seed,
        genlm_python=options.genlm_python,
    )
    if options.quick:
        settings = replace(settings, cases=settings.cases[:1] + settings.cases[-2:-1], positions=8)
    vocabulary = vocabularies.load(options.vocabulary)
    with progress(len(settings.cases) * len(settings.families)) as parts:
        record = sampler_bench.run(settings, vocabulary, out=options.out, progress=parts.advance)
    return int(not sampler_bench.report(record, Printer(plain=options.plain)))


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def _run_report(options: argparse.Namespace) -> int:
    manifest, rows = _read_results(options.results)
    report(manifest, rows, Printer(plain=options.plain), reference=options.reference, listed=options.list)
    _write_failures(options, rows)
    return 0


def _read_results(path: Path) -> tuple[Manifest, list[Row]]:
    try:
        return results.read(path)
    except OSError as error:
        raise ValueError(str(error)) from error


def _write_failures(options: argparse.Namespace, rows: list[Row]) -> None:
    if options.failures is not None:
        options.failures.write_text(failures.text(rows), encoding="utf-8")


def _run_memory(options: argparse.Namespace) -> int:
    cases, vocabulary, limits, data = _read_inputs(options, 0)
    rows: list[Row] = []
    failed: list[str] = []
    with progress(len(cases)) as parts:
        for row in masks.run(
            cases, [options.engine], vocabulary, limits, unavailable=lambda _, reason: failed.append(reason)
        ):
            rows.append(row)
            parts.advance(row.schema)
            if row.status in (Status.CRASH, Status.TIMEOUT, Status.MEMORY):
                failed.append(f"{row.schema}: {row.status}, {row.detail}")
                break
    printer = Printer(plain=options.plain)
    printer.line(f"{options.engine}, {len(rows)} of {len(cases)} schemas of {data.name} in one process")
    # Refused schemas cost nothing: without these counts, an engine that refuses all would look steady.
    walked = [row for row in rows if row.status is Status.OK]
    refused = sum(row.status is Status.COMPILE_ERROR for row in rows)
    steps = sum(len(row.step_ns) for row in walked)
    printer.line(f"{len(walked)} compiled and walked ({steps:,} masks), {refused} compile errors")
    cut = memory.parts(rows)
    table = [
        [str(part.schemas), f"{part.median_bytes / _MIB:,.0f}", f"{part.highest_bytes / _MIB:,.0f}"]
        for part in cut
    ]
    printer.table("resident memory, MiB", ["schemas", "median", "highest"], table)
    peak = max((row.peak_bytes for row in rows), default=0) / _MIB
    is_steady = memory.steady(cut) and bool(walked)
    printer.line(f"peak {peak:,.0f} MiB; {'steady' if is_steady else 'not steady'}")
    for reason in failed:
        printer.line(f"stopped: {reason}")
    over = options.limit is not None and (peak > options.limit or not is_steady)
    return 2 if failed else int(over)


def _run_import_time(options: argparse.Namespace) -> int:
    times = import_time.measure(options.module, options.runs)
    median = import_time.median(times)
    verdict = "within" if median < options.limit else "over"
    print(
        f"import {options.module}: median {median:.1f} ms of {len(times)} fresh interpreters "
        f"(lowest {min(times):.1f}, highest {max(times):.1f}); {verdict} {options.limit:g} ms"
    )
    return int(median >= options.limit)


def _read_inputs(
    options: argparse.Namespace, fresh_process_every: int
) -> tuple[list[Case], BenchVocabulary, masks.Limits, Path]:
    data = options.data or datasets.default_data()
    if data is None:
        raise DatasetError(f"no data: name it with --data or in {datasets.DATA_VARIABLE}")
    limits = _limits(options, fresh_process_every)
    vocabulary = vocabularies.load(options.vocabulary)
    cases = datasets.load(data, sample=options.sample, seed=options.seed)
    return cases, vocabulary, limits, data


def _limits(options: argparse.Namespace, fresh_process_every: int = 0) -> masks.Limits:
    if options.timeout <= 0:
        raise ValueError("--timeout must be positive")
    return masks.Limits(options.timeout, options.memory_limit * _MIB, fresh_process_every)


def _manifest(
    options: argparse.Namespace,
    engines: list[str],
    cases: Sequence[Case],
    vocabulary: BenchVocabulary,
    limits: masks.Limits,
    data: Path,
) -> Manifest:
    distributions = ["numpy"]
    for name in engines:
        try:
            distributions.extend(engine_class(name).distributions)
        except EngineUnavailableError:
            continue
    return Manifest(
        engines=engines,
        command=results.command_line(),
        vocabulary=vocabulary.name,
        vocabulary_size=vocabulary.size,
        data=data.name,
        schemas=len(cases),
        seed=options.seed,
        timeout_s=limits.timeout_s,
        memory_limit_bytes=limits.memory_limit_bytes,
        fresh_process_every=limits.fresh_process_every,
        versions=results.versions(dict.fromkeys(distributions)),
    )
