"""The ``lark`` command."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from jsonschemabench import lark_bench, lark_inputs, results, vocabularies
from jsonschemabench.commands.options import add_limits, read_limits, whole_number
from jsonschemabench.report import Printer


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command to those of the command line."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "lark", help="Lark grammars: the standard library of Python, and structgen next to llguidance"
    )
    parser.add_argument(
        "what",
        nargs="*",
        metavar="WHAT",
        help='"python": all top-level files of the standard library under lark\'s python.lark; '
        '"peers": structgen and llguidance on the same texts of our grammars (default: both)',
    )
    parser.add_argument(
        "--limit", type=whole_number, metavar="N", help="python: take N files, evenly spread over the sizes"
    )
    parser.add_argument(
        "--grammars",
        default=",".join(lark_inputs.GRAMMARS),
        help="peers: comma-separated names (default: %(default)s)",
    )
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", help="peers: where the grammars are (default: structgen's own)"
    )
    add_limits(parser, vocabulary="tekken", timeout=120.0, memory_mib=8192)
    parser.add_argument("--plain", action="store_true", help="plain text even where rich is installed")
    parser.set_defaults(run=_run)
    return parser


def _run(options: argparse.Namespace) -> int:
    what = options.what or ["python", "peers"]
    if unknown := set(what) - {"python", "peers"}:
        raise ValueError(f"lark runs python and peers, not {', '.join(sorted(unknown))}")
    vocabulary = vocabularies.load(options.vocabulary)
    printer = Printer(plain=options.plain)
    versions = results.versions(dict.fromkeys(("structgen", "lark", "llguidance")))
    printer.line(f"{results.cpu_name()}; vocabulary {vocabulary.name}")
    printer.line(", ".join(f"{name} {version}" for name, version in versions.items()))
    code = 0
    if "python" in what:
        python = lark_bench.run_python(vocabulary, options.limit)
        lark_bench.report_python(python, printer)
        code = int(bool(python.failures) or not python.files)
    if "peers" in what:
        names = [name.strip() for name in options.grammars.split(",") if name.strip()]
        missing: dict[str, str] = {}
        rows = lark_bench.run_peers(
            names, vocabulary, read_limits(options), folder=options.folder, unavailable=missing.__setitem__
        )
        for name, reason in missing.items():
            printer.line(f"{name} is left out: {reason}")
        lark_bench.report_peers(rows, printer)
        code = code or int(bool(missing) or any(not row.passes for row in rows))
    return code
