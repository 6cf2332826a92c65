"""The ``report`` command."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from jsonschemabench.commands.options import add_report_options, write_failures
from jsonschemabench.report import Printer
from jsonschemabench.reports import export, page, sections
from jsonschemabench.runs import reading
from jsonschemabench.runs.reading import Part


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command to those of the command line."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "report", help="tables of runs: in the terminal, as an HTML page with plots, as Markdown, as CSV"
    )
    parser.add_argument(
        "runs", type=Path, nargs="+", metavar="RUN", help="a folder of run, or a file of masks --out"
    )
    add_report_options(parser)
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page that needs nothing else")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables as Markdown")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write a line for every row")
    parser.add_argument("--quiet", action="store_true", help="print nothing, only write files")
    parser.add_argument("--title", help="of the page and the Markdown (default: names of the runs)")
    parser.set_defaults(run=_run)
    return parser


def _run(options: argparse.Namespace) -> int:
    parts = reading.read_all(options.runs)
    title = options.title or " and ".join(dict.fromkeys(part.run for part in parts))
    if not options.quiet:
        printer = Printer(plain=options.plain)
        for part in parts:
            if len(parts) > 1:
                printer.line(f"\n== {part.title} ==")
            sections.show(part, printer, reference=options.reference, listed=options.list)
    write(parts, title, html=options.html, markdown=options.markdown, reference=options.reference)
    if options.csv is not None:
        options.csv.write_text(export.rows_csv(parts), encoding="utf-8", newline="", errors="replace")
    write_failures(options, [row for part in parts for row in part.rows])
    return 0


def write(
    parts: list[Part],
    title: str,
    *,
    html: Path | None = None,
    markdown: Path | None = None,
    reference: str | None = None,
) -> None:
    """Write a report into files."""
    if html is not None:
        text = page.page(parts, title, reference=reference)
        html.write_text(text, encoding="utf-8", errors="replace")
    if markdown is not None:
        text = export.markdown(parts, title, reference=reference)
        markdown.write_text(text, encoding="utf-8", errors="replace")
