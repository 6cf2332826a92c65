"""Options that several commands have, and what they read and write."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from jsonschemabench import datasets, failures, masks, results, vocabularies
from jsonschemabench.datasets import Case, DatasetError
from jsonschemabench.engines import EngineUnavailableError, engine_class
from jsonschemabench.progress import progress
from jsonschemabench.results import Manifest, Row
from jsonschemabench.vocabularies import BenchVocabulary

MIB = 1 << 20


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Add which schemas to take, and the limits."""
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR_OR_TAR",
        help=f"MaskBench files, in a folder or a tar archive (default: ${datasets.DATA_VARIABLE}, "
        f"else {datasets.DEFAULT_FOLDER / datasets.MASKBENCH_ARCHIVE})",
    )
    parser.add_argument("--sample", type=whole_number, metavar="N", help="how many schemas (default: all)")
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the sample and its order (default: %(default)s)"
    )
    add_limits(parser, vocabulary="tekken", timeout=60.0, memory_mib=8192)


def add_limits(parser: argparse.ArgumentParser, *, vocabulary: str, timeout: float, memory_mib: int) -> None:
    """Add the vocabulary and the limits of a schema, with their defaults."""
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
        type=whole_number,
        default=memory_mib,
        metavar="MIB",
        help="resident memory of a worker (default: %(default)s)",
    )


def add_report_options(parser: argparse.ArgumentParser) -> None:
    """Add what a report shows."""
    parser.add_argument(
        "--reference", metavar="ENGINE", help="compare the others with this one (default: the first)"
    )
    parser.add_argument(
        "--list", type=whole_number, default=0, metavar="N", help="name up to N schemas per kind of failure"
    )
    parser.add_argument(
        "--failures",
        type=Path,
        metavar="FILE",
        help="also write every schema that does not pass, grouped by reason",
    )
    parser.add_argument("--plain", action="store_true", help="plain text even where rich is installed")


def whole_number(text: str) -> int:
    """Read a number that is not negative."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{number} is negative")
    return number


def split_names(text: str | None) -> tuple[str, ...]:
    """Split names at commas."""
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def read_engines(options: argparse.Namespace) -> list[str]:
    """Return the names of the engines."""
    engines = [name.strip() for name in options.engines.split(",") if name.strip()]
    if not engines or len(set(engines)) != len(engines):
        raise ValueError("--engines wants different names, separated by commas")
    return engines


def read_limits(options: argparse.Namespace, fresh_process_every: int = 0) -> masks.Limits:
    """Return the limits of a schema."""
    if options.timeout <= 0:
        raise ValueError("--timeout must be positive")
    return masks.Limits(options.timeout, options.memory_limit * MIB, fresh_process_every)


def read_inputs(
    options: argparse.Namespace, fresh_process_every: int
) -> tuple[list[Case], BenchVocabulary, masks.Limits, Path]:
    """Read the schemas and the vocabulary."""
    data = options.data or datasets.default_data()
    if data is None:
        raise DatasetError(f"no data: name it with --data or in {datasets.DATA_VARIABLE}")
    limits = read_limits(options, fresh_process_every)
    vocabulary = vocabularies.load(options.vocabulary)
    cases = datasets.load(data, sample=options.sample, seed=options.seed)
    return cases, vocabulary, limits, data


def new_manifest(
    options: argparse.Namespace,
    engines: list[str],
    cases: Sequence[Case],
    vocabulary: BenchVocabulary,
    limits: masks.Limits,
    data: Path,
) -> Manifest:
    """Describe the run that is about to begin."""
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


def collect(
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


def read_results(path: Path) -> tuple[Manifest, list[Row]]:
    """Read a file of results."""
    try:
        return results.read(path)
    except OSError as error:
        raise ValueError(str(error)) from error


def write_failures(options: argparse.Namespace, rows: list[Row]) -> None:
    """Write the list of failures if it is asked for."""
    if options.failures is not None:
        options.failures.write_text(failures.text(rows), encoding="utf-8")
