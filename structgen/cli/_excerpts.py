"""A line of a document with carets below a part of it."""

from __future__ import annotations

import unicodedata

from structgen.cli._common import printable
from structgen.cli._documents import Document

_BEFORE, _WIDTH = 40, 80


def excerpt(document: Document, start: int, end: int) -> tuple[str, str]:
    """Return the line that holds a part, and carets below it; of a long line, what is around the part."""
    line, column = document.line_at(start)
    first = max(0, column - _BEFORE) if len(line) > _WIDTH else 0
    last = min(len(line), first + _WIDTH)
    shown = "…" if first else ""
    before, marked = len(shown), 0
    # A container spans lines, and all of it is rarely meant: one caret.
    stop = start + 1 if document.text[start : start + 1] in ("{", "[", "") else end
    window = line[first:last]
    if window.isascii() and window.isprintable():
        shown += window
        before += column - first
        marked = min(stop - start, last - column)
    else:
        for index, character in enumerate(window, first):
            piece = " " if character == "\t" else printable(character)
            width = sum(map(_columns, piece))
            shown += piece
            if index < column:
                before += width
            elif index < column + stop - start:
                marked += width
    if last < len(line):
        shown += "…"
    return shown.rstrip(), " " * before + "^" + "~" * max(0, marked - 1)


def _columns(character: str) -> int:
    """Return how many columns of a terminal a character takes."""
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
