"""The ``import-time`` command."""

from __future__ import annotations

import argparse
from typing import Any

from jsonschemabench import import_time
from jsonschemabench.commands.options import whole_number


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command to those of the command line."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "import-time", help="median time of an import in fresh interpreters"
    )
    parser.add_argument("--module", default="structgen", help="what to import (default: %(default)s)")
    parser.add_argument("--runs", type=whole_number, default=11, help="default: %(default)s")
    parser.add_argument(
        "--limit",
        type=float,
        default=150.0,
        metavar="MS",
        help="fail over this many ms (default: %(default)s)",
    )
    parser.set_defaults(run=_run)
    return parser


def _run(options: argparse.Namespace) -> int:
    times = import_time.measure(options.module, options.runs)
    median = import_time.median(times)
    verdict = "within" if median < options.limit else "over"
    print(
        f"import {options.module}: median {median:.1f} ms of {len(times)} fresh interpreters "
        f"(lowest {min(times):.1f}, highest {max(times):.1f}); {verdict} {options.limit:g} ms"
    )
    return int(median >= options.limit)
