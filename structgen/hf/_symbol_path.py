"""Paths of symbols that follow each other: terminals, or what rules read. The core reads them."""

import re
from typing import Any

from structgen._core import DEAD, FINISHED, Repeats, SymbolReader
from structgen.hf._structure_path import Critical, Place, StructurePath

# What rules of statements are called where nothing else is said.
_STATEMENT = re.compile(r"(^|_)(stmt|statement)s?$")


def names_statements(name: str) -> bool:
    """Tell whether a rule reads a statement, by its name."""
    return _STATEMENT.search(name) is not None


class SymbolPlace(Place):
    """What is known of symbols after one generated prefix."""

    __slots__ = ("found", "symbols")

    def __init__(self, state: int, content: Repeats, symbols: int) -> None:
        super().__init__(state, content)
        self.symbols = symbols
        """The reader's number of this place."""
        self.found: Critical = []
        """What the reader has found."""


class SymbolPath(StructurePath[SymbolPlace]):
    """Symbols of one level, whatever they are nested in."""

    def __init__(self, automaton: Any, level: str, window: int, content: bool) -> None:
        super().__init__(automaton, level, window, content)
        self._closing = [] if level == "terminal" else list(filter(self._closes, automaton.rule_names))

    def root(self) -> SymbolPlace:
        self._open()
        self._reader = SymbolReader(
            self._states, closing=self._closing, window=self._window, terminals=self._level == "terminal"
        )
        return self._fresh(self._states.start)

    def _closes(self, rule: str) -> bool:
        return names_statements(rule) if self._level == "statement" else rule == self._level

    def _fresh(self, state: int) -> SymbolPlace:
        is_open = state not in (DEAD, FINISHED)
        return SymbolPlace(state, self._empty, self._reader.fresh(state) if is_open else -1)

    def _after(self, place: SymbolPlace, token: int) -> SymbolPlace | None:
        symbols, state, kept, found = self._reader.step(place.symbols, token)
        if state == DEAD:
            return None
        after = SymbolPlace(state, place.content, symbols)
        after.found = found
        self._go_on(after, place, token, kept)
        return after

    def _find_structure(self, place: SymbolPlace, found: Critical) -> None:
        found += place.found
