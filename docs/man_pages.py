"""Write the man pages of the command line from its own help: ``python docs/man_pages.py [FOLDER]``.

One page for ``structgen`` and one for each command, with the sections that ``--help`` has.
"""

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from structgen import __version__
from structgen.cli import cli

FOLDER = Path(__file__).parent / "man"


def pages() -> dict[str, str]:
    """Return the pages by their file names."""
    found: dict[str, str] = {}
    with click.Context(cli, info_name="structgen", **cli.context_settings) as parent:
        found["structgen.1"] = _page(parent)
        for name in cli.list_commands(parent):
            command = cli.get_command(parent, name)
            assert command is not None
            found[f"structgen-{name}.1"] = _page(click.Context(command, info_name=name, parent=parent))
    return found


def _page(ctx: click.Context) -> str:
    command = ctx.command
    name = ctx.command_path.replace(" ", "-")
    summary = command.get_short_help_str(limit=100).rstrip(".")
    lines = [
        f'.TH "{name.upper()}" "1" "" "structgen {__version__}" "structgen"',
        ".SH NAME",
        rf"{_text(name)} \- {_text(summary[:1].lower() + summary[1:])}",
        ".SH SYNOPSIS",
        rf"\fB{_text(ctx.command_path)}\fR {_text(' '.join(command.collect_usage_pieces(ctx)))}",
        ".SH DESCRIPTION",
        *_paragraphs(inspect.cleandoc(command.help or "")),
    ]
    options = [
        record
        for option in command.get_params(ctx)
        if isinstance(option, click.Option) and (record := option.get_help_record(ctx))
    ]
    if options:
        lines.append(".SH OPTIONS")
        for option, text in options:
            lines += [".TP", rf"\fB{_text(option)}\fR", _text(text)]
    if isinstance(command, click.Group):
        lines.append(".SH COMMANDS")
        for child in command.list_commands(ctx):
            known = command.get_command(ctx, child)
            assert known is not None
            lines += [".TP", rf"\fB{_text(name)}\-{_text(child)}\fR(1)", _text(known.get_short_help_str(100))]
    if command.epilog:
        lines += [".SH NOTES", *_paragraphs(inspect.cleandoc(command.epilog))]
    if ctx.parent is not None:
        lines += [".SH SEE ALSO", r"\fBstructgen\fR(1)"]
    return "\n".join(lines) + "\n"


def _paragraphs(text: str) -> Iterator[str]:
    """Write paragraphs; those that click keeps as they are (marked by ``\\b``) are kept here, too."""
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        lines = [_text(line) for line in paragraph.split("\n")]
        if lines[0] == "\b":
            yield from [".PP", ".nf", *lines[1:], ".fi"]
        else:
            yield from [".PP", *(line.strip() for line in lines)]


def _text(text: str) -> str:
    """Escape what roff reads as its own: backslashes, hyphens, quotes, and dots that begin a line."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-").replace("`", r"\(ga").replace("'", r"\(aq")
    return r"\&" + escaped if escaped.startswith(".") else escaped


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("structgen*.1"):
        old.unlink()
    for name, page in pages().items():
        (folder / name).write_text(page, encoding="utf-8")
