"""The ``memory`` command."""

from __future__ import annotations

import argparse
from typing import Any

from jsonschemabench import masks, memory
from jsonschemabench.commands.options import MIB, add_data_options, read_inputs
from jsonschemabench.progress import progress
from jsonschemabench.report import Printer
from jsonschemabench.results import Row, Status


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command to those of the command line."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "memory", help="resident memory over many schemas in one process"
    )
    parser.add_argument("--engine", default="structgen", help="a name or module:Class (default: %(default)s)")
    add_data_options(parser)
    parser.add_argument(
        "--limit",
        type=float,
        metavar="MIB",
        help="fail when the peak is over this many MiB or memory keeps growing",
    )
    parser.add_argument("--plain", action="store_true", help="plain text even where rich is installed")
    parser.set_defaults(run=_run)

    return parser


def _run(options: argparse.Namespace) -> int:
    cases, vocabulary, limits, data = read_inputs(options, 0)
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
        [str(part.schemas), f"{part.median_bytes / MIB:,.0f}", f"{part.highest_bytes / MIB:,.0f}"]
        for part in cut
    ]
    printer.table("resident memory, MiB", ["schemas", "median", "highest"], table)
    peak = max((row.peak_bytes for row in rows), default=0) / MIB
    is_steady = memory.steady(cut) and bool(walked)
    printer.line(f"peak {peak:,.0f} MiB; {'steady' if is_steady else 'not steady'}")
    for reason in failed:
        printer.line(f"stopped: {reason}")
    over = options.limit is not None and (peak > options.limit or not is_steady)
    return 2 if failed else int(over)
