"""The ``masks`` command."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from jsonschemabench.commands.options import (
    add_data_options,
    add_report_options,
    collect,
    new_manifest,
    read_engines,
    read_inputs,
    whole_number,
    write_failures,
)
from jsonschemabench.engines import ANY_ORDER, DEFAULT_ENGINES
from jsonschemabench.report import Printer, report


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command to those of the command line."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "masks", help="compile schemas, walk their instances, compare engines in one run"
    )
    parser.add_argument(
        "--engines",
        default=",".join(DEFAULT_ENGINES),
        help="comma-separated; names or module:Class (default: %(default)s)",
    )
    parser.add_argument(
        "--property-order",
        choices=("schema", "any"),
        default="schema",
        help=f'"any": engines that can let keys come in any order do ({", ".join(ANY_ORDER)})',
    )
    add_data_options(parser)
    parser.add_argument(
        "--fresh-process-every",
        type=whole_number,
        default=0,
        metavar="K",
        help="start every engine's process again after K schemas; 1 measures schemas with nothing warm",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="also write a manifest and rows as JSON lines"
    )
    add_report_options(parser)
    parser.set_defaults(run=_run)

    return parser


def _run(options: argparse.Namespace) -> int:
    engines = read_engines(options)
    if options.property_order == "any":
        engines = [ANY_ORDER.get(name, name) for name in engines]
    cases, vocabulary, limits, data = read_inputs(options, options.fresh_process_every)
    manifest = new_manifest(options, engines, cases, vocabulary, limits, data)
    rows = collect(manifest, cases, vocabulary, limits, options.out)
    report(manifest, rows, Printer(plain=options.plain), reference=options.reference, listed=options.list)
    write_failures(options, rows)
    return 0 if rows or not cases else 2
