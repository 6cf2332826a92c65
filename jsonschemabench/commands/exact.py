"""The ``exact`` command: sampling methods against an exact conditional."""

from __future__ import annotations

import argparse
from typing import Any

from jsonschemabench import exact, sampler_quality
from jsonschemabench.commands.options import split_names
from jsonschemabench.engines import EngineUnavailableError
from jsonschemabench.report import Printer


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command to those of the command line."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "exact", help="sampling methods where the conditional distribution can be enumerated"
    )
    parser.add_argument(
        "--methods",
        default=",".join(sampler_quality.METHODS),
        help="comma-separated (default: %(default)s)",
    )
    parser.add_argument("--runs", type=int, default=200, help="of each method (default: %(default)s)")
    parser.add_argument("--particles", type=int, default=5, help="of a run (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the model (default: %(default)s)")
    parser.add_argument("--plain", action="store_true", help="plain text even where rich is installed")
    parser.set_defaults(run=_run)
    return parser


def _run(options: argparse.Namespace) -> int:
    methods = split_names(options.methods)
    unknown = [name for name in methods if name not in sampler_quality.METHODS]
    if unknown or not methods:
        known = ", ".join(sampler_quality.METHODS)
        raise ValueError(f"--methods: no {', '.join(unknown) or 'name'}; there are {known}")
    if options.runs < 1 or options.particles < 1:
        raise ValueError("--runs and --particles: a whole number, 1 or more")
    try:
        found = exact.measure(methods, options.runs, options.particles, options.seed)
    except ImportError as error:
        raise EngineUnavailableError(
            f"sampling needs PyTorch and transformers ({error}): pip install 'structgen[hf]'"
        ) from error
    texts = len(exact.exact(options.seed)[0])
    title = f"{options.runs} runs of {options.particles} particles, {texts} conforming texts"
    Printer(plain=options.plain).table(title, exact.HEADER, [accuracy.cells() for accuracy in found])
    return 0
