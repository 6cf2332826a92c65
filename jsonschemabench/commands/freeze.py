"""The ``freeze`` command."""

from __future__ import annotations

import argparse
from typing import Any

from jsonschemabench import datasets, frozen, results, vocabularies
from jsonschemabench.commands.options import MIB, split_names, whole_number
from jsonschemabench.progress import progress
from jsonschemabench.report import Printer
from structgen import Vocabulary


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command to those of the command line."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "freeze", help="which schemas are finite automata that fit into tables, and what these cost"
    )
    parser.add_argument("--data", metavar="DATA", help="schemas, as for masks")
    parser.add_argument("--sample", type=whole_number, metavar="N", help="how many schemas (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the sample (default: %(default)s)")
    parser.add_argument(
        "--vocabulary",
        default="tekken",
        choices=list(vocabularies.VOCABULARIES),
        help="default: %(default)s",
    )
    parser.add_argument(
        "--whitespace",
        default="flexible,compact",
        help="styles of structgen's option, comma-separated (default: %(default)s)",
    )
    parser.add_argument(
        "--closed", action="store_true", help="as if objects allowed no property that they do not name"
    )
    parser.add_argument(
        "--max-states", type=whole_number, default=20_000, metavar="N", help="default: %(default)s"
    )
    parser.add_argument(
        "--max-mib", type=whole_number, default=256, metavar="MIB", help="default: %(default)s"
    )
    parser.add_argument("--timeout", type=float, default=60.0, metavar="S", help="default: %(default)s")
    parser.add_argument("--plain", action="store_true", help="plain text even where rich is installed")
    parser.set_defaults(run=_run)
    return parser


def _run(options: argparse.Namespace) -> int:
    data = datasets.find(options.data)
    found = vocabularies.load(options.vocabulary)
    vocabulary = Vocabulary(
        list(found.tokens),
        eos_token_ids=found.eos_token_id,
        special_token_ids=list(found.special_token_ids),
    )
    cases = datasets.load(data, sample=options.sample, seed=options.seed)
    styles = split_names(options.whitespace)
    if not styles:
        raise ValueError("--whitespace names no style")
    limits = (options.max_states, options.max_mib * MIB, options.timeout)
    printer = Printer(plain=options.plain)
    printer.line(
        f"{results.cpu_name()}; {data.name}, vocabulary {found.name}; at most {options.max_states:,} states, "
        f"{options.max_mib} MiB, {options.timeout:g} s"
    )
    with progress(len(cases) * len(styles)) as parts:
        for style in styles:
            rows = frozen.run(
                cases, vocabulary, style, limits, options.closed, lambda row: parts.advance(row.schema)
            )
            frozen.print_tables(rows, style, options.max_states, printer)
    return 0
