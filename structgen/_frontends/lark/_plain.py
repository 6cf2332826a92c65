"""Grammars that the core's own loader reads, which does what Lark's does, many times faster.

It reads what is common and right. Templates, ``%override``, ``%extend``, relative imports and everything
wrong are left to Lark's loader.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from lark.lexer import PatternRE, PatternStr, TerminalDef
from lark.utils import get_regexp_width

from structgen._core._native import lark_load
from structgen._frontends.lark._options import Options
from structgen._frontends.lark._sources import Sources
from structgen._frontends.regex import python

# Widths of unbounded loops exceed 64 bits, so that the core takes two halves.
_HALF = 1 << 32


class Plain(NamedTuple):
    """What Lark's loader would make of a grammar, numbered as the core wants it."""

    terminals: list[TerminalDef]  # in the order of Lark's scanner
    declared: list[str]
    nonterminals: list[str]
    productions: list[tuple[int, tuple[int, ...], int, str]]
    ignore: list[str]
    productive: bool  # every rule derives a text, if every declared terminal has one


def load_plain(sources: Sources, options: Options) -> Plain | None:
    """Load a grammar without Lark's loader; None if that is needed."""
    widths: dict[str, tuple[int, int]] = {}

    def width(regexp: str) -> tuple[tuple[int, int], tuple[int, int]]:
        low, high = widths[regexp] = _width(regexp)
        return divmod(low, _HALF), divmod(high, _HALF)

    keep = set() if options.indenter is None else {options.indenter.newline}
    try:
        loaded = lark_load(
            sources.main.text, options.starts, keep, width, lambda path: str(sources(None, path)[1])
        )
    except Exception:
        # Whatever it is about a pattern or a file, Lark's loader says it better.
        return None
    if loaded is None:
        return None
    return Plain([_definition(*terminal, widths) for terminal in loaded[0]], *loaded[1:])


def _width(regexp: str) -> tuple[int, int]:
    """Do what Lark's ``get_regexp_width`` does, with a tree that serves to lower the terminal, too."""
    if "\\p{" not in regexp:
        try:
            return python.width(regexp)
        except re.error:
            pass
    low, high = get_regexp_width(regexp)
    return low, high


def _definition(
    name: str,
    value: str,
    string: bool,
    flag: str,
    raw: str | None,
    priority: int,
    widths: dict[str, Any],
) -> TerminalDef:
    if string:
        return TerminalDef(name, PatternStr(value, flag, raw), priority)
    pattern = PatternRE(value, flag, raw)
    pattern._width = widths[pattern.to_regexp()]
    return TerminalDef(name, pattern, priority)
