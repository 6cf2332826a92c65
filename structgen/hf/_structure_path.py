"""What the structure of a generated text repeats, and with which tokens it would repeat once more.

The path of a row is a chain of :class:`Place`, one for each generated token and each a pure function of the
tokens up to it.
"""

from abc import ABC, abstractmethod
from bisect import bisect_right
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from structgen._core import DEAD, FINISHED, Repeats
from structgen._structure import Event
from structgen._vocabulary.vocabulary import Vocabulary

# Inside a lexeme, a repeat has at least this many bytes in all, a letter or digit among them.
_CONTENT_BYTES = 8

# Transitions that are remembered; loops and the insides of strings come back to the same states.
_REMEMBERED = 1 << 16

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
        """Text of the lexeme under way."""
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
        self._spelling = _spelling(automaton.vocabulary)
        self._told: dict[tuple[int, int], tuple[int, list[Event]]] = {}
        self._block = DEAD

    def root(self) -> P:
        """Open a new session and return the place of the empty prefix."""
        self._states = self._automaton.session()
        self._told = {}
        self._block = self._block_of_lines()
        return self._fresh(self._states.start)

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
            beyond = [t for t in longer if self._tokens[t] != forced and self._tell(state, t)[0] != DEAD]
            if beyond:
                chosen.append((repeats, np.array(beyond, np.int64)))
        return chosen

    # -- what paths differ in ----------------------------------------------------------------

    @abstractmethod
    def _fresh(self, state: int) -> P:
        """Return a place at which nothing has been read."""

    @abstractmethod
    def _wanted(self, events: list[Event]) -> list[Event]:
        """Return the events that :meth:`_read` takes."""

    @abstractmethod
    def _read(self, place: P, token: int, state: int, events: list[Event]) -> P:
        """Return the place after a token of the language, with the content of the lexeme that goes on.

        `state` and `events` are what :meth:`_tell` says of the token.
        """

    @abstractmethod
    def _find_structure(self, place: P, found: Critical) -> None:
        """Find the tokens that begin another copy of repeated symbols."""

    # -- what they share ---------------------------------------------------------------------

    def _tell(self, state: int, token: int) -> tuple[int, list[Event]]:
        """Return the state after a token and the events wanted; DEAD and none if it is not allowed."""
        asked = state, token
        told = self._told.get(asked)
        if told is None:
            after = self._states.step(state, token)
            told = after, [] if after == DEAD else self._wanted(self._states.events(state, token))
            if len(self._told) >= _REMEMBERED:
                self._told.clear()
            self._told[asked] = told
        return told

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
        state, events = (DEAD, []) if place.state == DEAD else self._tell(place.state, token)
        if state == DEAD:
            return self._behind_line_feed(self._tokens[token])
        after = self._read(place, token, state, events)
        # Most lexemes are too short to count.
        if self._content and len(after.pending) >= _CONTENT_BYTES:
            after.content = after.content.extend(after.pending[after.content.length :])
        return after

    def _behind_line_feed(self, data: bytes) -> P:
        """Return the place after a token outside the language: its last line may be a text of it again."""
        _, feed, line = data.rpartition(b"\n")
        place = self._fresh(self._states.start if feed else DEAD)
        place.begins = bool(feed)
        while line and place.state != DEAD:
            token = self._spelling.longest(line)
            if token is None:
                return self._fresh(DEAD)
            place = self._step(place, token)
            line = line[len(self._tokens[token]) :]
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


class Spelling:
    """Finds the tokens that spell the beginning of a text, or the text and more."""

    def __init__(self, tokens: list[bytes]) -> None:
        order = sorted((data, token) for token, data in enumerate(tokens) if data)
        self._texts = [data for data, _ in order]
        self._ids = [token for _, token in order]
        self._order = np.array(self._ids, np.int64)
        self._longest = max(map(len, self._texts), default=0)
        # For each text the longest other one that it begins with, or -1.
        self._shorter: list[int] = []
        begun: list[int] = []
        for at, data in enumerate(self._texts):
            while begun and not data.startswith(self._texts[begun[-1]]):
                begun.pop()
            self._shorter.append(begun[-1] if begun else -1)
            begun.append(at)
        self.with_commas = [(token, data) for token, data in enumerate(tokens) if b"," in data]
        """Tokens that have a comma, with their bytes."""

    def beginnings(self, text: bytes, beyond: int) -> list[int]:
        """Return the tokens that are a beginning of `text` longer than `beyond` bytes, the shortest first."""
        texts = self._texts
        # Whatever stands between a beginning of the text and the text begins with it, too.
        at = bisect_right(texts, text) - 1
        found = []
        while at >= 0 and len(texts[at]) > beyond:
            if text.startswith(texts[at]):
                found.append(self._ids[at])
            at = self._shorter[at]
        found.reverse()
        return found

    def longest(self, text: bytes) -> int | None:
        """Return the longest token that is a beginning of `text`, if there is one."""
        found = self.beginnings(text, 0)
        return found[-1] if found else None

    def beginnings_and_longer(self, text: bytes, beyond: int) -> Ids:
        """Return the tokens of :meth:`beginnings`, and then those that begin with `text` and have more."""
        texts = self._texts
        begin = bisect_right(texts, text)
        end = min(begin + 1, len(texts))
        # Mostly, there are few.
        while end < len(texts) and texts[end].startswith(text):
            end = min(2 * end - begin, len(texts))
        if begin < end:
            # No byte of a text is greater.
            end = bisect_right(texts, text + b"\xff" * self._longest, begin, end)
        return np.concatenate((np.array(self.beginnings(text, beyond), np.int64), self._order[begin:end]))


# Sorting a vocabulary of 131,072 tokens takes half a second, and each schema has a penalty of its own.
_spellings: WeakKeyDictionary[Vocabulary, Spelling] = WeakKeyDictionary()


def _spelling(vocabulary: Vocabulary) -> Spelling:
    """Return what is shared by all paths over a vocabulary."""
    found = _spellings.get(vocabulary)
    if found is None:
        found = _spellings[vocabulary] = Spelling(list(vocabulary.tokens))
    return found
