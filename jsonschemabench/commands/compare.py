"""The ``compare`` command."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from jsonschemabench import compare
from jsonschemabench.commands.options import split_names, whole_number
from jsonschemabench.compare import Bootstrap, Limits
from jsonschemabench.report import Printer
from jsonschemabench.reports import export
from jsonschemabench.reports.sections import Collector
from jsonschemabench.runs import reading

_EPILOG = """\
Exit status: 0 without a regression, 1 with one, 2 when the runs can't be compared.

A time regresses when the whole interval of its ratio is over the limit. Two runs of a machine that other work
slows differ by more than their intervals: --relative-to an engine that has not changed takes that out.

example:
  compare runs/main runs/branch --engines structgen --relative-to llguidance --max-slower 5
"""


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command to those of the command line."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "compare",
        help="what changed between two runs, with intervals; exit status 1 when something got worse",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    limits, how = Limits(), Bootstrap()
    parser.add_argument(
        "before", type=Path, metavar="BEFORE", help="a folder of run, or a file of masks --out"
    )
    parser.add_argument("after", type=Path, metavar="AFTER", help="the same, of later")
    parser.add_argument("--engines", metavar="NAMES", help="comma-separated (default: all that both have)")
    parser.add_argument("--relative-to", metavar="ENGINE", help="take times relative to this engine's")
    parser.add_argument(
        "--max-slower",
        type=_percent,
        default=limits.slower,
        metavar="PERCENT",
        help="by how much times may grow (default: 10)",
    )
    parser.add_argument(
        "--max-lost",
        type=whole_number,
        default=limits.lost,
        metavar="N",
        help="schemas that passed and may fail now (default: %(default)s)",
    )
    parser.add_argument(
        "--max-memory",
        type=_percent,
        default=limits.memory,
        metavar="PERCENT",
        help="by how much peak memory may grow (default: 25)",
    )
    parser.add_argument(
        "--max-accuracy-drop",
        type=_percent,
        default=limits.accuracy,
        metavar="POINTS",
        help="by how many percentage points a sampling method's accuracy may fall (default: 2)",
    )
    parser.add_argument("--level", type=float, default=how.level, help="of intervals (default: %(default)g)")
    parser.add_argument(
        "--resamples", type=int, default=how.resamples, metavar="N", help="bootstrap (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=how.seed, help="of the bootstrap (default: %(default)s)")
    parser.add_argument(
        "--list",
        type=whole_number,
        default=10,
        metavar="N",
        help="name up to N schemas (default: %(default)s)",
    )
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the tables as Markdown")
    parser.add_argument("--plain", action="store_true", help="plain text even where rich is installed")
    parser.set_defaults(run=_run)
    return parser


def _percent(text: str) -> float:
    number = float(text)
    if not 0 <= number < 1e6:
        raise argparse.ArgumentTypeError(f"{text} is no share in percent, 0 or more")
    return number / 100


def _run(options: argparse.Namespace) -> int:
    if not (0 < options.level < 100 and options.resamples > 0):
        raise ValueError("--level lies between 0 and 100, and --resamples is 1 at least")
    before, after = reading.read(options.before), reading.read(options.after)
    found = compare.compare(
        before,
        after,
        Limits(options.max_slower, options.max_lost, options.max_memory, options.max_accuracy_drop),
        Bootstrap(options.level, options.resamples, options.seed),
        names=split_names(options.engines),
        reference=options.relative_to,
    )
    written = Collector()
    for sink in (Printer(plain=options.plain), written):
        for old, new in compare.pairs(before, after):
            for difference in compare.differences(old.manifest, new.manifest):
                sink.line(f"{old.measure} not alike, {difference}")
        compare.show(found, sink, listed=options.list)
        worse = [f"{one.measure}: {one.name}" for one in found if one.regression]
        sink.line()
        sink.line(f"regressions: {', '.join(worse)}" if worse else "no regression")
    if options.markdown is not None:
        text = export.items(f"{options.before.name} and {options.after.name}", written.parts)
        options.markdown.write_text(text, encoding="utf-8", errors="replace")
    return int(bool(worse))
