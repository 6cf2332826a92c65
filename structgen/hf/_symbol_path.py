"""Paths of symbols that follow each other: terminals, or what rules read."""

import re
from functools import lru_cache
from typing import Any

from structgen._core import Repeats
from structgen._structure import Event
from structgen.hf._structure_path import Critical, Ids, Place, StructurePath

# What rules of statements are called where nothing else is said.
_STATEMENT = re.compile(r"(^|_)(stmt|statement)s?$")

_CLOSING = (b")", b"]", b"}")

# Spellings of a unit's first lexeme that count: those of its last copies.
_SPELLINGS = 16

# A lexeme with what is ignored in front of it: (ignored, lexeme).
First = tuple[bytes, bytes]

# A symbol's first lexeme and its last one.
Ends = tuple[First, bytes]


def names_statements(name: str) -> bool:
    """Tell whether a rule reads a statement, by its name."""
    return _STATEMENT.search(name) is not None


class SymbolPlace(Place):
    """What is known of symbols after one generated prefix."""

    __slots__ = ("ends", "first", "ignored", "shape", "symbols")

    def __init__(
        self,
        state: int,
        symbols: Repeats,
        content: Repeats,
        ends: tuple[Ends, ...] = (),
        ignored: bytes = b"",
        shape: tuple[str, ...] = (),
        first: First = (b"", b""),
    ) -> None:
        super().__init__(state, content)
        self.symbols = symbols
        self.ends = ends
        """Of the last symbols, in step with `symbols`."""
        self.ignored = ignored
        """Ignored text in front of the lexeme under way."""
        self.shape = shape
        """Terminals of the symbol under way."""
        self.first = first
        """Its first lexeme."""


class SymbolPath(StructurePath[SymbolPlace]):
    """Symbols of one level, whatever they are nested in."""

    def __init__(self, automaton: Any, level: str, window: int, content: bool) -> None:
        super().__init__(automaton, level, window, content)
        self._terminals = level == "terminal"
        self._json = bool(automaton.reads_json)
        # JSON's terminals are certain all the same.
        self._kinds = frozenset(("terminal", "ignored") if self._json else ("terminal", "ignored", "unknown"))
        self._closing = frozenset(filter(self._closes, automaton.rule_names))
        self._symbols: dict[tuple[str, ...], int] = {}
        self._shapes: list[tuple[str, ...]] = []
        self._spelled = lru_cache(1024)(self._spell)

    def _fresh(self, state: int) -> SymbolPlace:
        return SymbolPlace(state, self._empty, self._empty)

    # -- reading -----------------------------------------------------------------------------

    def _wanted(self, events: list[Event]) -> list[Event]:
        kinds, closing = self._kinds, self._closing
        return [
            event for event in events if event[0] in kinds or (event[0] == "close" and event[1] in closing)
        ]

    def _read(self, place: SymbolPlace, token: int, state: int, events: list[Event]) -> SymbolPlace:
        after = SymbolPlace(
            state, place.symbols, place.content, place.ends, place.ignored, place.shape, place.first
        )
        text = place.pending + self._tokens[token]
        if events:
            cut = self._take_all(after, events, text, len(place.pending))
            if cut:
                text, after.content = text[cut:], self._empty
        after.pending = text
        return after

    def _take_all(
        self, after: SymbolPlace, events: list[Event], text: bytes, before: int, *, until_symbol: bool = False
    ) -> int:
        """Take events of a text with some bytes `before` the token, perhaps only until they make a symbol.

        Return where the lexeme under way begins.
        """
        cut = 0
        last = after.ends[-1][1] if after.ends else b""
        known = after.symbols
        for kind, name, position in events:
            at = before + position
            last = self._take(after, kind, name, text[cut:at], last)
            if at > cut and kind != "close":
                cut = at
            if until_symbol and after.symbols is not known:
                break
        return cut

    def _take(self, after: SymbolPlace, kind: str, name: str, lexeme: bytes, last: bytes) -> bytes:
        """Take one event; return the last lexeme that the parser was shown."""
        if kind == "terminal":
            if not lexeme:
                # Indents and dedents have no text to begin with: they only end what is in front of them.
                if not self._terminals:
                    self._complete(after, last)
                return last
            if self._json:
                blank = len(lexeme) - len(lexeme.lstrip())
                after.ignored += lexeme[:blank]
                lexeme = lexeme[blank:].rstrip()
                if name == "key":
                    # Members of different names are no repeats.
                    name = lexeme.decode("utf-8", "replace")
            elif not self._terminals and lexeme.isspace():
                # The ends of lines belong to no statement, or each copy would begin with one.
                after.ignored += lexeme
                return last
            if not after.shape:
                after.first = (after.ignored, lexeme)
            after.shape += (name,)
            after.ignored = b""
            if self._terminals:
                self._complete(after, lexeme)
            return lexeme
        if kind == "ignored":
            after.ignored += lexeme
        elif kind == "unknown":
            after.symbols, after.ends, after.shape, after.ignored = self._empty, (), (), b""
        else:
            self._complete(after, last)
        return last

    def _closes(self, rule: str) -> bool:
        if self._level == "statement":
            return names_statements(rule)
        return rule == self._level and not self._terminals

    def _complete(self, after: SymbolPlace, last: bytes) -> None:
        """Make a symbol of the terminals since the symbol before."""
        if not after.shape:
            return
        symbol = self._symbols.get(after.shape)
        if symbol is None:
            symbol = self._symbols[after.shape] = len(self._shapes)
            self._shapes.append(after.shape)
        after.symbols = after.symbols.append(symbol)
        after.ends = (*after.ends[1 - self._window :], (after.first, last))
        after.shape = ()

    # -- critical tokens ---------------------------------------------------------------------

    def _find_structure(self, place: SymbolPlace, found: Critical) -> None:
        pending = place.pending
        if not place.shape and (not pending or pending.isspace()):
            self._find_at_end(place, found)
        if pending or place.shape:
            self._find_nearly(place, found)

    def _find_at_end(self, place: SymbolPlace, found: Critical) -> None:
        """Find the tokens behind complete symbols, with nothing but white space under way."""
        ends, pending = place.ends, place.pending
        for period, matched in place.symbols.runs:
            # The first lexeme of a unit longer than the window is forgotten.
            if matched % period or period > len(ends):
                continue
            repeats = matched // period
            for front, lexeme in {
                (front, lexeme)
                for ignored, lexeme in self._firsts(ends, period, period, repeats + 1)
                for front in (b"", ignored[len(pending) :] if ignored.startswith(pending) else b"")
            }:
                tokens = self._spelled(front, lexeme)
                if tokens is not None:
                    found.append((repeats, tokens))

    def _find_nearly(self, place: SymbolPlace, found: Critical) -> None:
        """Find the tokens that end the symbol under way and begin the next copy."""
        ends, pending, shape = place.ends, place.pending, place.shape
        # The periods of runs that go on alike differ, but not what is expected of them.
        asked: dict[tuple[bytes, bytes, int], int] = {}
        for period, matched in place.symbols.nearly():
            if period > len(ends):
                continue
            symbol = place.symbols.ago(period)
            whole = self._shapes[symbol]
            missing = len(whole) - len(shape)
            if missing > (1 if pending else 0) or whole[: len(shape)] != shape:
                continue
            repeats = (matched + 1) // period
            last = ends[-period][1] if missing else b""
            rest = last[len(pending) :] if last.startswith(pending) else b""
            # The copy under way has begun with an earlier symbol, or is the symbol under way.
            firsts = self._firsts(ends, period - 1 or 1, period, repeats + (period > 1))
            if period == 1:
                firsts.add(place.first)
            for ignored, lexeme in firsts:
                fronts = {b"", rest}
                if ignored:
                    fronts |= {ignored, rest + ignored}
                    if ignored.startswith(pending):
                        fronts.add(ignored[len(pending) :])
                for front in fronts:
                    key = front, lexeme, symbol
                    if asked.get(key, 0) < repeats:
                        asked[key] = repeats
        completed: dict[int, int | None] = {}
        for (front, lexeme, symbol), repeats in asked.items():
            tokens = self._spelled(front, lexeme)
            if tokens is None:
                continue
            # The first tells for all whether what is under way ends there, and as what.
            first = tokens.item(0)
            if first not in completed:
                completed[first] = self._completed_by(place, first)
            if completed[first] == symbol:
                found.append((repeats, tokens))

    @staticmethod
    def _firsts(ends: tuple[Ends, ...], back: int, period: int, copies: int) -> set[First]:
        """Return the first lexemes of copies, the last of which begins `back` symbols ago."""
        furthest = min(back + (min(copies, _SPELLINGS) - 1) * period, len(ends))
        return {ends[-at][0] for at in range(back, furthest + 1, period)}

    def _spell(self, front: bytes, lexeme: bytes) -> Ids | None:
        """Return the tokens, if any, that spell `front` and a beginning of `lexeme`, or more."""
        # A closing bracket never begins what could go on for ever.
        if not lexeme or lexeme in _CLOSING:
            return None
        tokens = self._spelling.beginnings_and_longer(front + lexeme, len(front))
        return tokens if len(tokens) else None

    def _completed_by(self, place: SymbolPlace, token: int) -> int | None:
        """Return the symbol that `token` makes of the one under way."""
        state, events = self._tell(place.state, token)
        if not events or any(event[0] == "unknown" for event in events):
            return None
        after = SymbolPlace(
            state, place.symbols, self._empty, place.ends, place.ignored, place.shape, place.first
        )
        text = place.pending + self._tokens[token]
        self._take_all(after, events, text, len(place.pending), until_symbol=True)
        return after.symbols.ago(1) if after.symbols is not place.symbols else None
