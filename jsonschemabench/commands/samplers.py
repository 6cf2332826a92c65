"""The ``samplers`` command."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from jsonschemabench import vocabularies
from jsonschemabench.commands.options import split_names, whole_number
from jsonschemabench.engines import EngineUnavailableError
from jsonschemabench.progress import progress
from jsonschemabench.report import Printer


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command to those of the command line."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "samplers", help="adaptive weighted rejection next to masks: predicate calls and time per token"
    )
    parser.add_argument("--cases", help="comma-separated constraints (default: all)")
    parser.add_argument("--families", help="comma-separated families of probabilities (default: all)")
    parser.add_argument(
        "--predicates-us",
        default="0,10,100",
        metavar="US",
        help="comma-separated microseconds of Python predicates (default: %(default)s)",
    )
    parser.add_argument(
        "--positions", type=whole_number, default=40, metavar="N", help="of each case (default: %(default)s)"
    )
    parser.add_argument(
        "--draws",
        type=whole_number,
        default=20,
        metavar="N",
        help="at each position with the automaton (default: %(default)s)",
    )
    parser.add_argument(
        "--predicate-draws",
        type=whole_number,
        default=5,
        metavar="N",
        help="at each position with a Python predicate (default: %(default)s)",
    )
    parser.add_argument(
        "--asked",
        type=whole_number,
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
    parser.set_defaults(run=_run)
    return parser


def _run(options: argparse.Namespace) -> int:
    try:
        # PyTorch takes seconds to import, and the other commands do without it.
        from jsonschemabench import sampler_bench, sampler_inputs
    except ImportError as error:
        raise EngineUnavailableError(f"{error}: pip install 'structgen[hf,bench]'") from error
    if not (options.positions and options.draws and options.predicate_draws and options.asked):
        raise ValueError("--positions, --draws, --predicate-draws and --asked must be positive")
    settings = sampler_bench.Settings(
        cases=split_names(options.cases) or sampler_inputs.CASES,
        families=split_names(options.families) or tuple(sampler_inputs.FAMILIES),
        predicates_us=tuple(float(us) for us in split_names(options.predicates_us)),
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
