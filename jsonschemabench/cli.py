"""Command line: measurements of engines and samplers, and their results."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from types import ModuleType

from jsonschemabench import (
    caching,
    diversity,
    forced,
    gpu,
    kernels,
    repetition,
    repetition_overhead,
    sampler_quality,
)
from jsonschemabench import import_time as import_times
from jsonschemabench.commands import (
    compare,
    exact,
    freeze,
    import_time,
    lark,
    load,
    masks,
    memory,
    report,
    run,
    samplers,
    suite,
)
from jsonschemabench.datasets import DatasetError
from jsonschemabench.engines import EngineUnavailableError
from jsonschemabench.progress import progress
from jsonschemabench.runs.executors import ExecutorError
from jsonschemabench.vocabularies import VocabularyError


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
    options = parser().parse_args(arguments)
    try:
        code: int = options.run(options)
    except (
        DatasetError,
        VocabularyError,
        EngineUnavailableError,
        import_times.ImportTimeError,
        ExecutorError,
        ValueError,
    ) as error:
        print(f"jsonschemabench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("jsonschemabench: interrupted", file=sys.stderr)
        return 130
    return code


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    found = argparse.ArgumentParser(
        prog="python -m jsonschemabench",
        description="Benchmarks of structured-generation engines, side by side.",
    )
    commands = found.add_subparsers(required=True, metavar="COMMAND")
    for module in (masks, suite, lark):
        module.add_parser(commands)
    for study in (sampler_quality, repetition, repetition_overhead, diversity, kernels, forced, gpu):
        study.add_parser(commands).set_defaults(run=partial(_run_study, study))
    for module in (samplers, exact, freeze, run, report, compare, load, memory, caching, import_time):
        module.add_parser(commands)
    return found


def _run_study(study: ModuleType, options: argparse.Namespace) -> int:
    code: int = study.command(options, progress)
    return code
