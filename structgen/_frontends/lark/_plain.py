"""Grammars that the core's own loader reads, which does what Lark's does, many times faster.

It reads what is common and right. Templates, ``%override``, ``%extend``, relative imports and everything
wrong are left to Lark's loader.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any

from lark.lexer import PatternRE, PatternStr, TerminalDef
from lark.utils import get_regexp_width

from structgen._core._native import LoadedGrammar, lark_load
from structgen._frontends.lark._options import Options
from structgen._frontends.lark._sources import Sources
from structgen._frontends.regex import python

# Widths of unbounded loops exceed 64 bits, so that the core takes two halves.
_HALF = 1 << 32


class Plain:
    """What Lark's loader would make of a grammar, numbered as the core wants it.

    Attributes
    ----------
    native
        What the core's loader made; all else is told by it, once it is asked for.
    """

    def __init__(self, native: LoadedGrammar) -> None:
        self.native = native

    @cached_property
    def _described(self) -> tuple[Any, ...]:
        return self.native.described()

    @cached_property
    def terminals(self) -> list[TerminalDef]:
        """The terminals that have a pattern, in the order of Lark's scanner."""
        return [_definition(*terminal) for terminal in self._described[0]]

    @property
    def declared(self) -> list[str]:
        """The names of those that are only declared."""
        names: list[str] = self._described[1]
        return names

    @property
    def nonterminals(self) -> list[str]:
        """The names of the rules."""
        names: list[str] = self._described[2]
        return names

    @property
    def productions(self) -> list[tuple[int, tuple[int, ...], int, str]]:
        """The nonterminal, symbols, priority and name of each alternative."""
        rules: list[tuple[int, tuple[int, ...], int, str]] = self._described[3]
        return rules

    @property
    def ignore(self) -> list[str]:
        """The names of what is ignored."""
        names: list[str] = self._described[4]
        return names

    @property
    def productive(self) -> bool:
        """Whether every rule derives a text, if every declared terminal has one."""
        return bool(self._described[5])


def load_plain(sources: Sources, options: Options) -> Plain | None:
    """Load a grammar without Lark's loader; None if that is needed."""
    keep = set() if options.indenter is None else {options.indenter.newline}
    try:
        loaded = lark_load(
            sources.main.text,
            options.starts,
            keep,
            _width,
            lambda path: str(sources(None, path)[1]),
            python.members if python.NATIVE else None,
        )
    except Exception:
        # Whatever it is about a pattern or a file, Lark's loader says it better.
        return None
    return None if loaded is None else Plain(loaded)


def _width(regexp: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """Do what Lark's ``get_regexp_width`` does, with a tree that serves to lower the terminal, too."""
    low, high = _python_width(regexp)
    return divmod(low, _HALF), divmod(high, _HALF)


def _python_width(regexp: str) -> tuple[int, int]:
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
    low: tuple[int, int],
    high: tuple[int, int],
) -> TerminalDef:
    if string:
        return TerminalDef(name, PatternStr(value, flag, raw), priority)
    pattern = PatternRE(value, flag, raw)
    pattern._width = low[0] * _HALF + low[1], high[0] * _HALF + high[1]
    return TerminalDef(name, pattern, priority)
