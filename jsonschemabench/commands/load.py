"""The ``load`` command."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from jsonschemabench import datasets, vocabularies
from jsonschemabench.commands.options import whole_number
from jsonschemabench.engines import EngineUnavailableError
from jsonschemabench.progress import progress
from jsonschemabench.report import Printer


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command to those of the command line."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "load", help="many requests at a time, each with another schema: throughput, latency, memory"
    )
    parser.add_argument("--data", metavar="DATA", help="as of masks")
    parser.add_argument(
        "--requests", type=whole_number, default=200, metavar="N", help="at a time (default: %(default)s)"
    )
    parser.add_argument(
        "--steps", type=whole_number, default=60_000, metavar="N", help="default: %(default)s"
    )
    parser.add_argument(
        "--step-ms",
        type=float,
        default=30.0,
        metavar="MS",
        help="milliseconds of the model in a step, which compilers have to themselves (default: %(default)s)",
    )
    parser.add_argument(
        "--budget",
        type=whole_number,
        default=256,
        metavar="MIB",
        help="of automata that are kept (default: %(default)s)",
    )
    parser.add_argument(
        "--workers",
        type=whole_number,
        default=2,
        metavar="N",
        help="threads that compile (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument(
        "--vocabulary",
        default="tekken",
        choices=list(vocabularies.VOCABULARIES),
        help="default: %(default)s",
    )
    parser.add_argument("--quick", action="store_true", help="20 requests at a time and 400 steps")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write figures and samples as JSON")
    parser.add_argument("--plain", action="store_true", help="plain text even where rich is installed")
    parser.set_defaults(run=_run)
    return parser


def _run(options: argparse.Namespace) -> int:
    try:
        from jsonschemabench import load
    except ImportError as error:
        raise EngineUnavailableError(f"{error}: pip install 'structgen[bench]'") from error
    settings = load.Settings(
        requests=20 if options.quick else options.requests,
        steps=400 if options.quick else options.steps,
        step_ms=options.step_ms,
        budget_mib=options.budget,
        workers=options.workers,
        seed=options.seed,
    )
    # A sample of all of them is an order at random.
    cases = datasets.load(datasets.find(options.data), sample=1 << 30, seed=options.seed)
    vocabulary = vocabularies.load(options.vocabulary)
    with progress(min(load.SAMPLES, settings.steps)) as parts:
        record = load.run(settings, cases, vocabulary, parts.advance)
    load.report(record, Printer(plain=options.plain))
    if options.out is not None:
        load.write(record, options.out)
    # A few steps end before memory can settle.
    return int(not options.quick and not load.flat(load.quarters(record.samples)))
