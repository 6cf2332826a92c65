"""What the structure of a generated text repeats, and with which tokens it would repeat once more.

The path of a row is a chain of :class:`Place`, one for each generated token and each a pure function of the
tokens up to it.
"""

from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from structgen._core import DEAD, FINISHED, Repeats

# Inside a lexeme, a repeat has at least this many bytes in all, a letter or digit among them.
_CONTENT_BYTES = 8

# Bytes of a long lexeme that are kept of its beginning, and the least of its end.
_HEAD = 512

# What introduces a block, in languages like Python. Indented lines are read as such a block's.
_HEADER = b"if x:\n"

Ids = npt.NDArray[np.int64]

# Groups of tokens and how often what they begin was repeated, rising; the last count of a token holds.
Critical = list[tuple[int, Ids]]


class Place:
    """What is known after one generated prefix."""

    __slots__ = ("begins", "children", "content", "critical", "pending", "state")

    def __init__(self, state: int, content: Repeats) -> None:
        self.state = state
        self.content = content
        """Bytes of the lexeme under way."""
        self.pending = b""
        """Text of the lexeme under way; of a long one the beginning and the end."""
        self.begins = False
        """At the beginning of a line behind text outside the language."""
        self.critical: Critical | None = None
        self.children: dict[int, Any] = {}


P = TypeVar("P", bound=Place)


class StructurePath(ABC, Generic[P]):
    """Makes places and finds their critical tokens."""

    def __init__(self, automaton: Any, level: str, window: int, content: bool) -> None:
        self._automaton = automaton
        self._states = automaton
        self._level = level
        self._content = content
        self._empty = Repeats(window)
        self._window = window
        self._tokens: list[bytes] = list(automaton.vocabulary.tokens)
        self._ends = frozenset(automaton.vocabulary.eos_token_ids)
        self._spelling = automaton.vocabulary.native
        # Repeats in a lexeme are found in its end.
        self._tail = max(_HEAD, window)
        self._block = DEAD

    @abstractmethod
    def root(self) -> P:
        """Open a new session and return the place of the empty prefix."""

    def _open(self) -> None:
        self._states = self._automaton.session()
        self._block = self._block_of_lines()

    def _block_of_lines(self) -> int:
        """Return the state from which indented lines are read; DEAD if indentation means nothing."""
        start, advance = self._states.start, self._states.advance_bytes
        block: int = advance(start, _HEADER)
        if DEAD in (block, advance(start, _HEADER + b" x")):
            return DEAD
        return block if advance(start, b" x") == DEAD == advance(start, _HEADER + b"x") else DEAD

    def child(self, place: P, token: int) -> P:
        """Return the place after one more token, whatever the token is."""
        after: P | None = place.children.get(token)
        if after is None:
            after = place.children[token] = self._step(place, token)
        return after

    def critical(self, place: P) -> Critical:
        """Return the tokens that begin another copy of what was repeated."""
        if place.critical is None:
            found: Critical = []
            if place.state not in (DEAD, FINISHED):
                self._find_structure(place, found)
                if place.content.length:
                    self._find_content(place, found)
            if found:
                found = _by_count(self._chosen(place.state, found))
            place.critical = found
        return place.critical

    def _chosen(self, state: int, found: Critical) -> Critical:
        """Leave out what the grammar forces: only tokens that go beyond that could have been others."""
        forced = self._states.forced(state)
        if not forced:
            return found
        chosen: Critical = []
        for repeats, ids in found:
            longer = [token for token in ids.tolist() if self._tokens[token].startswith(forced)]
            beyond = [t for t in longer if self._tokens[t] != forced and self._states.step(state, t) != DEAD]
            if beyond:
                chosen.append((repeats, np.array(beyond, np.int64)))
        return chosen

    # -- what paths differ in ----------------------------------------------------------------

    @abstractmethod
    def _fresh(self, state: int) -> P:
        """Return a place at which nothing has been read."""

    @abstractmethod
    def _after(self, place: P, token: int) -> P | None:
        """Return the place after a token, by :meth:`_go_on`; None if the token is not allowed."""

    @abstractmethod
    def _find_structure(self, place: P, found: Critical) -> None:
        """Find the tokens that begin another copy of repeated symbols."""

    # -- what they share ---------------------------------------------------------------------

    def _step(self, place: P, token: int) -> P:
        if place.state == FINISHED or token in self._ends:
            return self._fresh(FINISHED)
        if not 0 <= token < len(self._tokens):
            return self._fresh(DEAD)
        if place.begins:
            data = self._tokens[token]
            if data.isspace() and b"\n" in data:
                return self._behind_line_feed(data)
            if self._block != DEAD and data[:1].isspace():
                place = self._fresh(self._block)
        after = None if place.state == DEAD else self._after(place, token)
        return self._behind_line_feed(self._tokens[token]) if after is None else after

    def _go_on(self, after: P, place: P, token: int, kept: int) -> None:
        """Give `after` its lexeme: `kept` bytes of the token, or (-1) all of it behind what was under way."""
        data = self._tokens[token]
        if kept < 0:
            content, pending = place.content, place.pending + data
        else:
            content, pending = self._empty, data[len(data) - kept :]
        # Most lexemes are too short to count.
        if self._content and len(pending) >= _CONTENT_BYTES:
            content = content.extend(data if content.length else pending)
        surplus = len(pending) - _HEAD - self._tail
        if surplus > 1:
            # The number of backslashes at the end stays odd or even.
            pending = pending[:_HEAD] + pending[_HEAD + surplus // 2 * 2 :]
        after.content, after.pending = content, pending

    def _behind_line_feed(self, data: bytes) -> P:
        """Return the place after a token outside the language: its last line may be a text of it again."""
        _, feed, line = data.rpartition(b"\n")
        place = self._fresh(self._states.start if feed else DEAD)
        place.begins = bool(feed)
        while line and place.state != DEAD:
            beginnings = self._spelling.beginnings(line)
            if not beginnings:
                return self._fresh(DEAD)
            place = self._step(place, beginnings[-1])
            line = line[len(self._tokens[beginnings[-1]]) :]
        return place

    def _find_content(self, place: P, found: Critical) -> None:
        for period, matched in place.content.runs:
            unit = place.pending[-period:]
            if matched + period < _CONTENT_BYTES or not any(map(str.isalnum, unit.decode("latin-1"))):
                continue
            # What would follow, and how much of it belongs to the copy under way.
            follows = unit * (2 + 64 // period)
            tokens = self._spelling.beginnings(follows, -matched % period)
            if tokens:
                found.append((matched // period, np.array(tokens, np.int64)))


def _by_count(found: Critical) -> Critical:
    """Return one group for each count, rising."""
    if len(found) == 1:
        return found
    groups: dict[int, list[Ids]] = {}
    for repeats, ids in found:
        groups.setdefault(repeats, []).append(ids)
    return [
        (repeats, ids[0] if len(ids) == 1 else np.concatenate(ids)) for repeats, ids in sorted(groups.items())
    ]
