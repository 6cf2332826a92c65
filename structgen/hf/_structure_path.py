"""What the structure of a generated text repeats, and with which tokens it would repeat once more.

The path of a row is a chain of :class:`Place`, one for each generated token and each a pure function of the
tokens up to it.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

from structgen._core import DEAD, FINISHED
from structgen._structure import Event
from structgen.hf._repeats import Repeats

# What rules of statements are called where nothing else is said.
_STATEMENT = re.compile(r"(^|_)(stmt|statement)s?$")

# Inside a lexeme, a repeat has at least this many bytes in all, a letter or digit among them.
_CONTENT_BYTES = 8

# A symbol's first lexeme with what is ignored in front of it, and its last lexeme: (ignored, first, last).
Ends = tuple[bytes, bytes, bytes]


class Place:
    """What is known after one generated prefix."""

    __slots__ = (
        "children", "content", "critical", "depth", "ends", "first", "ignored", "pending", "shape", "state",
        "symbols",
    )  # fmt: skip

    def __init__(self, state: int, depth: int, symbols: Repeats, content: Repeats) -> None:
        self.state = state
        self.depth = depth
        self.symbols = symbols
        self.content = content
        """Bytes of the lexeme under way."""
        self.ends: tuple[Ends, ...] = ()
        """Of the last symbols, in step with `symbols`."""
        self.pending = b""
        """Text of the lexeme under way."""
        self.ignored = b""
        """Ignored text in front of it."""
        self.shape: tuple[str, ...] = ()
        """Terminals of the symbol under way."""
        self.first: tuple[bytes, bytes] = (b"", b"")
        """Its first lexeme, behind what is ignored in front."""
        self.critical: dict[int, int] | None = None
        self.children: dict[int, Place] = {}


class Spelling:
    """Finds the tokens that spell the beginning of a text, or the text and more."""

    def __init__(self, tokens: list[bytes]) -> None:
        self._ids: dict[bytes, list[int]] = {}
        for token, data in enumerate(tokens):
            if data:
                self._ids.setdefault(data, []).append(token)
        self._sorted = sorted(self._ids)
        self._longest = max(map(len, self._sorted), default=0)

    def beginnings(self, text: bytes, beyond: int) -> Iterator[int]:
        """Yield the tokens that are a beginning of `text` longer than `beyond` bytes."""
        for length in range(beyond + 1, min(len(text), self._longest) + 1):
            yield from self._ids.get(text[:length], ())

    def longer(self, text: bytes) -> Iterator[int]:
        """Yield the tokens that begin with `text` and have more."""
        for data in self._sorted[bisect_left(self._sorted, text) :]:
            if not data.startswith(text):
                return
            if data != text:
                yield from self._ids[data]


class StructurePath:
    """Makes places and finds their critical tokens."""

    def __init__(self, automaton: Any, level: str, window: int, content: bool) -> None:
        self._automaton = automaton
        self._states = automaton
        self._level = level
        self._content = content
        self._empty = Repeats(window)
        self._tokens: list[bytes] = list(automaton.vocabulary.tokens)
        self._ends = frozenset(automaton.vocabulary.eos_token_ids)
        self._spelling = Spelling(self._tokens)
        self._symbols: dict[tuple[str, ...], str] = {}
        self._shapes: list[tuple[str, ...]] = []

    def root(self) -> Place:
        """Open a new session and return the place of the empty prefix."""
        self._states = self._automaton.session()
        return Place(self._states.start, 0, self._empty, self._empty)

    def child(self, place: Place, token: int) -> Place:
        """Return the place after one more token, whatever the token is."""
        if token not in place.children:
            place.children[token] = self._step(place, token)
        return place.children[token]

    def critical(self, place: Place) -> dict[int, int]:
        """Return the tokens that begin another copy of what was repeated, with how often it was."""
        if place.critical is None:
            place.critical = {}
            # Where the grammar forces the text, nothing could be chosen instead.
            if place.state not in (DEAD, FINISHED) and not self._states.forced(place.state):
                self._find_structure(place, place.critical)
                self._find_content(place, place.critical)
        return place.critical

    # -- reading -----------------------------------------------------------------------------

    def _step(self, place: Place, token: int) -> Place:
        if place.state == FINISHED or not 0 <= token < len(self._tokens):
            return Place(place.state if place.state == FINISHED else DEAD, place.depth + 1, *self._nothing)
        state = DEAD if place.state == DEAD else self._states.step(place.state, token)
        if token in self._ends:
            return Place(FINISHED, place.depth + 1, *self._nothing)
        if state == DEAD:
            # Outside the language. What follows a line's end may be a text of it again.
            if self._tokens[token].endswith(b"\n"):
                state = self._states.start
            return Place(state, place.depth + 1, *self._nothing)
        return self._read(place, token, state, self._content)

    @property
    def _nothing(self) -> tuple[Repeats, Repeats]:
        return self._empty, self._empty

    def _read(self, place: Place, token: int, state: int, content: bool) -> Place:
        after = Place(state, place.depth + 1, place.symbols, place.content)
        after.ends, after.shape, after.first = place.ends, place.shape, place.first
        after.ignored = place.ignored
        data = self._tokens[token]
        text = place.pending + data
        cut = 0
        last = place.ends[-1][2] if place.ends else b""
        for event in self._states.events(place.state, token):
            at = len(place.pending) + event.position
            last = self._take(after, event, text[cut:at], last)
            if event.kind not in ("open", "close"):
                cut = max(cut, at)
        after.pending = text[cut:]
        if content:
            # Most lexemes are too short to count.
            if len(after.pending) < _CONTENT_BYTES:
                after.content = self._empty
            else:
                known = 0 if cut else place.content.length
                after.content = self._empty if cut else place.content
                for byte in after.pending[known:]:
                    after.content = after.content.append(chr(byte))
        return after

    def _take(self, after: Place, event: Event, lexeme: bytes, last: bytes) -> bytes:
        """Take one event; return the last lexeme that the parser was shown."""
        if event.kind == "terminal":
            if not lexeme:
                # Indents and dedents have no text to begin with: they only end what is in front of them.
                if self._level != "terminal":
                    self._complete(after, last)
                return last
            if self._level != "terminal" and lexeme.isspace():
                # The ends of lines belong to no statement, or each copy would begin with one.
                after.ignored += lexeme
                return last
            if not after.shape:
                after.first = (after.ignored, lexeme)
            after.shape += (event.name,)
            after.ignored = b""
            if self._level == "terminal":
                self._complete(after, lexeme)
            return lexeme
        if event.kind == "ignored":
            after.ignored += lexeme
        elif event.kind == "unknown":
            after.symbols, after.ends, after.shape, after.ignored = self._empty, (), (), b""
        elif event.kind == "close" and self._closes(event.name):
            self._complete(after, last)
        return last

    def _closes(self, rule: str) -> bool:
        if self._level == "statement":
            return _STATEMENT.search(rule) is not None
        return rule == self._level

    def _complete(self, after: Place, last: bytes) -> None:
        """Make a symbol of the terminals since the symbol before."""
        if not after.shape:
            return
        symbol = self._symbols.get(after.shape)
        if symbol is None:
            symbol = self._symbols[after.shape] = chr(len(self._shapes))
            self._shapes.append(after.shape)
        after.symbols = after.symbols.append(symbol)
        after.ends = (*after.ends, (*after.first, last))[-self._empty.window :]
        after.shape = ()

    # -- critical tokens ---------------------------------------------------------------------

    def _find_structure(self, place: Place, found: dict[int, int]) -> None:
        if not place.shape:
            for run in place.symbols.runs:
                # The first lexeme of a unit longer than the window is forgotten.
                if run.position == 0 and run.period <= len(place.ends):
                    ignored, lexeme, _ = place.ends[-run.period]
                    if place.pending and not place.pending.isspace():
                        continue
                    rest = ignored[len(place.pending) :] if ignored.startswith(place.pending) else b""
                    for token in self._spelled(b"", rest, lexeme):
                        found[token] = max(found.get(token, 0), run.repeats)
            if not place.pending:
                return
        # A symbol is under way: does it end with the token that begins the next copy?
        symbols, ends, shape = place.symbols, place.ends, place.shape
        probes: dict[int, Repeats] = {}
        for run in symbols.nearly():
            symbol = symbols.expected(run)
            whole = self._shapes[ord(symbol)]
            missing = len(whole) - len(shape)
            if whole[: len(shape)] != shape or missing > (1 if place.pending else 0):
                continue
            if run.period > len(ends):
                continue
            ignored, lexeme, _ = ends[-max(run.period - 1, 1)]
            last = ends[-run.period][2] if missing else b""
            rest = last[len(place.pending) :] if last.startswith(place.pending) else b""
            between = ignored[len(place.pending) :] if ignored.startswith(place.pending) else b""
            for front in {b"", ignored, between, rest, rest + ignored}:
                tokens = self._spelled(front, b"", lexeme)
                if not tokens:
                    continue
                # One of them tells for all whether what is under way ends there, and as what.
                probe = min(tokens, key=lambda token: (len(self._tokens[token]), token))
                if probe not in probes:
                    probes[probe] = self._probe(place, probe)
                after = probes[probe]
                back = after.length - symbols.length
                if 0 < back <= len(after.text) and after.text[-back] == symbol:
                    for token in tokens:
                        found[token] = max(found.get(token, 0), (run.matched + 1) // run.period)

    def _spelled(self, head: bytes, ignored: bytes, lexeme: bytes) -> set[int]:
        """Return the tokens that spell `head` and then begin, or more than begin, `lexeme`."""
        if not lexeme:
            return set()
        tokens: set[int] = set()
        for front in {head, head + ignored}:
            tokens.update(self._spelling.beginnings(front + lexeme, len(front)))
            tokens.update(self._spelling.longer(front + lexeme))
        return tokens

    def _probe(self, place: Place, token: int) -> Repeats:
        """Return the symbols after `token`."""
        state = self._states.step(place.state, token)
        return self._empty if state == DEAD else self._read(place, token, state, False).symbols

    def _find_content(self, place: Place, found: dict[int, int]) -> None:
        for run in place.content.runs:
            unit = place.content.text[-run.period :]
            if run.matched + run.period < _CONTENT_BYTES or not any(c.isalnum() for c in unit):
                continue
            # What would follow, and how much of it belongs to the copy under way.
            follows = unit.encode("latin-1") * (2 + 64 // run.period)
            rest = -run.position % run.period
            for token in self._spelling.beginnings(follows, rest):
                found[token] = max(found.get(token, 0), run.repeats)
