"""The ``suite`` command."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from jsonschemabench import datasets, official_suite, suite, vocabularies
from jsonschemabench.commands.options import (
    add_limits,
    collect,
    new_manifest,
    read_engines,
    read_limits,
    read_results,
    write_failures,
)
from jsonschemabench.datasets import DatasetError
from jsonschemabench.engines import DEFAULT_ENGINES
from jsonschemabench.report import Printer


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command to those of the command line."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "suite", help="coverage of the official JSON Schema Test Suite, by keyword, draft and engine"
    )
    parser.add_argument(
        "--engines",
        default=",".join(DEFAULT_ENGINES),
        help="comma-separated; names or module:Class (default: %(default)s)",
    )
    parser.add_argument("--draft", action="append", choices=official_suite.DRAFTS, help="default: all")
    parser.add_argument(
        "--section",
        action="append",
        choices=official_suite.SECTIONS,
        help="required, optional or format (the cases that assert formats); default: required and format",
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR_OR_TAR",
        help=f"the suite, as a folder or a tar archive (default: {official_suite.ARCHIVE} in "
        f"${datasets.DATA_VARIABLE}, else in {datasets.DEFAULT_FOLDER})",
    )
    add_limits(parser, vocabulary="bytes", timeout=20.0, memory_mib=4096)
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="also write a manifest and rows as JSON lines"
    )
    parser.add_argument(
        "--results", type=Path, metavar="FILE", help="run nothing: sum up a file written by --out"
    )
    parser.add_argument(
        "--by", choices=("file", "group"), default="file", help="lines of the tables (default: %(default)s)"
    )
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the tables as Markdown")
    parser.add_argument(
        "--failures", type=Path, metavar="FILE", help="also write every case that does not pass, by reason"
    )
    parser.add_argument("--plain", action="store_true", help="plain text even where rich is installed")
    parser.set_defaults(run=_run, seed=0)
    return parser


def _run(options: argparse.Namespace) -> int:
    if options.results is not None:
        manifest, rows = read_results(options.results)
    else:
        engines, limits = read_engines(options), read_limits(options)
        data = options.data or official_suite.default_data()
        if data is None:
            raise DatasetError(f"no data: name it with --data or in {datasets.DATA_VARIABLE}")
        drafts, sections = options.draft or official_suite.DRAFTS, options.section or ("required", "format")
        cases = suite.cases(data, drafts, sections)
        vocabulary = vocabularies.load(options.vocabulary)
        manifest = new_manifest(options, engines, cases, vocabulary, limits, data)
        rows = collect(manifest, cases, vocabulary, limits, options.out)
    suite.report(manifest, rows, Printer(plain=options.plain), options.by)
    write_failures(options, rows)
    if options.markdown is not None:
        options.markdown.write_text(suite.markdown(manifest, rows, options.by), encoding="utf-8")
    return 0 if rows else 2
