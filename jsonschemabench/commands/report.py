"""The ``report`` command."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from jsonschemabench.commands.options import add_report_options, read_results, write_failures
from jsonschemabench.report import Printer, report


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command to those of the command line."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "report", help="print the tables of a results file again"
    )
    parser.add_argument("results", type=Path, help="a file written by masks --out")
    add_report_options(parser)
    parser.set_defaults(run=_run)

    return parser


def _run(options: argparse.Namespace) -> int:
    manifest, rows = read_results(options.results)
    report(manifest, rows, Printer(plain=options.plain), reference=options.reference, listed=options.list)
    write_failures(options, rows)
    return 0
