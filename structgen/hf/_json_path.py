"""Paths of JSON texts: the elements of arrays, each array on its own."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from structgen._core import DEAD, Repeats
from structgen._structure import Event
from structgen._vocabulary.vocabulary import Vocabulary
from structgen.hf._structure_path import Critical, Ids, Place, StructurePath

_BLANK = b" \t\r\n"
_LITERALS = (b"true", b"false", b"null")

# What a token has behind the rest of a value: brackets, the comma, and perhaps the beginning of an element.
_COMMA = rb'([ \t\r\n}\]]*),[ \t\r\n]*(?:$|["\[{0-9tfn-])'
_REST_OF_STRING = rb'(?:[^"\\\x00-\x1f]|\\.)*"'
_REST_OF_NUMBER = rb"(?:[0-9.eE+-]*[0-9])?"


# Transitions that are remembered; loops and the insides of strings come back to the same states.
_REMEMBERED = 1 << 16


class Commas(NamedTuple):
    """Tokens that end a value, close brackets and have a comma."""

    tokens: dict[bytes, Ids]
    """By the brackets."""
    beginnings: frozenset[bytes]
    """Of the brackets."""


class Level:
    """An object or array that is open."""

    __slots__ = ("closings", "elements", "is_array", "names", "outer", "shape")

    def __init__(
        self, is_array: bool, shape: int, elements: Repeats, names: tuple[str, ...], outer: "Level | None"
    ) -> None:
        self.is_array = is_array
        self.shape = shape
        """What has been read of it: keys by their text, scalars by their kinds, others by their shapes."""
        self.elements = elements
        """The shapes of the elements of an array so far, as far as they count."""
        self.names = names
        """The schemas that have been opened with it."""
        self.outer = outer
        self.closings: dict[tuple[str, bytes], list[Closing]] = {}
        """What has been found of it, by the kind of the scalar under way and the regex of its rest."""


class Closing(NamedTuple):
    """An array that another element would make longer, once what is inside of it is closed."""

    repeats: int
    closers: bytes
    """The brackets that close what is inside."""
    closer: bytes
    """The array's own."""
    tokens: Ids
    """Those with the brackets and the comma."""


class JsonPlace(Place):
    """What is known of arrays after one generated prefix."""

    __slots__ = ("ended", "key", "level")

    def __init__(self, state: int, content: Repeats) -> None:
        super().__init__(state, content)
        self.level: Level | None = None
        self.ended = False
        """The last lexeme was the end of a value."""
        self.key = False
        """The next lexeme is a key, if it is a string."""


class JsonPath(StructurePath[JsonPlace]):
    """Elements of arrays, all of them or those that one schema reads."""

    def __init__(self, automaton: Any, level: str, window: int, content: bool) -> None:
        super().__init__(automaton, level, window, content)
        # Of names, and of values by their numbers, which no name is.
        self._shapes: dict[tuple[int, str | int], int] = {}
        self._with_commas = _with_commas(automaton.vocabulary)
        self._told: dict[tuple[int, int], tuple[int, list[Event]]] = {}
        self._commas = lru_cache(64)(self._find_commas)

    def root(self) -> JsonPlace:
        self._open()
        self._shapes = {}
        self._told = {}
        return self._fresh(self._states.start)

    def _fresh(self, state: int) -> JsonPlace:
        return JsonPlace(state, self._empty)

    # -- reading -----------------------------------------------------------------------------

    def _tell(self, state: int, token: int) -> tuple[int, list[Event]]:
        """Return the state after a token and the events on the way; DEAD and none if it is not allowed."""
        asked = state, token
        told = self._told.get(asked)
        if told is None:
            after = self._states.step(state, token)
            told = after, [] if after == DEAD else self._states.events(state, token)
            if len(self._told) >= _REMEMBERED:
                self._told.clear()
            self._told[asked] = told
        return told

    def _after(self, place: JsonPlace, token: int) -> JsonPlace | None:
        state, events = self._tell(place.state, token)
        if state == DEAD:
            return None
        after = JsonPlace(state, place.content)
        after.level, after.ended, after.key = place.level, place.ended, place.key
        text = place.pending + self._tokens[token]
        cut = 0
        for i, event in enumerate(events):
            if event.kind != "terminal":
                continue
            at = len(place.pending) + event.position
            lexeme, name, level = text[cut:at], event.name, after.level
            cut = at
            after.ended = after.key = False
            if name in ("{", "["):
                after.level = Level(name == "[", 0, self._empty, self._names(events[i + 1 :], "open"), level)
                after.key = name == "{"
            elif name == "key":
                assert level is not None
                shape = self._shape(level.shape, lexeme.strip(_BLANK).decode())
                after.level = Level(False, shape, level.elements, level.names, level.outer)
            elif name == ",":
                after.key = level is not None and not level.is_array
            elif name in ("}", "]"):
                assert level is not None
                names = level.names + self._names(events[i + 1 :], "close")
                after.level = self._with_value(level.outer, self._shape(level.shape, name), names)
                after.ended = True
            elif name != ":":
                after.level = self._with_value(level, self._shape(0, name), ())
                after.ended = True
        self._go_on(after, place, token, len(text) - cut if cut else -1)
        return after

    @staticmethod
    def _names(events: list[Event], kind: str) -> tuple[str, ...]:
        """Return the schemas that are opened or closed with a bracket, from the events behind it."""
        names = []
        for event in events:
            if event.kind == "terminal":
                break
            if event.kind == kind:
                names.append(event.name)
        return tuple(names)

    def _shape(self, before: int, name: str | int) -> int:
        """Return the number of a sequence of names."""
        key = before, name
        number = self._shapes.get(key)
        if number is None:
            number = self._shapes[key] = len(self._shapes) + 1
        return number

    def _with_value(self, level: Level | None, shape: int, names: tuple[str, ...]) -> Level | None:
        """Return an object or array after one more value."""
        if level is None:
            return None
        elements = level.elements
        if level.is_array:
            counts = self._level == "statement" or self._level in names
            elements = elements.append(shape) if counts else self._empty
        return Level(level.is_array, self._shape(level.shape, shape), elements, level.names, level.outer)

    # -- critical tokens ---------------------------------------------------------------------

    def _find_structure(self, place: JsonPlace, found: Critical) -> None:
        level = place.level
        if level is None:
            return
        pending = place.pending.lstrip(_BLANK)
        kind, ending, rest = self._end_of_value(place, pending)
        if kind is None:
            return
        closings = level.closings.get((kind, rest))
        if closings is None:
            # The same holds for all tokens of a scalar.
            closings = level.closings[kind, rest] = list(self._closings(level, kind, rest))
        for repeats, closers, closer, tokens in closings:
            # Where the array must not end, or must, another element is no choice.
            complete = ending + closers
            ended, further = (
                self._states.advance_bytes(place.state, complete + text) for text in (closer, b",")
            )
            if DEAD not in (ended, further):
                found.append((repeats, tokens))

    def _closings(self, open_level: Level, kind: str, rest: bytes) -> Iterator[Closing]:
        """Find the arrays that a comma behind the value under way, or just complete, would make longer."""
        level = self._with_value(open_level, self._shape(0, kind), ()) if kind else open_level
        commas = self._commas(rest)
        # The value is complete; then come the brackets that a token can close in front of its comma.
        closers = b""
        while level is not None:
            closer = "]" if level.is_array else "}"
            repeats = 0
            for period, matched in level.elements.runs:
                if matched % period == 0:
                    repeats = max(repeats, matched // period)
            if repeats and closers in commas.tokens:
                yield Closing(repeats, closers, closer.encode(), commas.tokens[closers])
            closers += closer.encode()
            if closers not in commas.beginnings:
                return
            level = self._with_value(level.outer, self._shape(level.shape, closer), level.names)

    @staticmethod
    def _end_of_value(place: JsonPlace, pending: bytes) -> tuple[str | None, bytes, bytes]:
        """Return the scalar under way (None: no value can end), what ends it, and the regex of its rest."""
        if not pending:
            return "" if place.ended else None, b"", b""
        if pending[:1] == b'"':
            escaped = (len(pending) - len(pending.rstrip(b"\\"))) % 2
            return None if place.key or escaped else "string", b'"', _REST_OF_STRING
        for literal in _LITERALS:
            if literal.startswith(pending):
                return "literal", literal[len(pending) :], literal[len(pending) :]
        return "number", b"", _REST_OF_NUMBER

    def _find_commas(self, rest: bytes) -> Commas:
        """Return the tokens that end a value, close brackets and have a comma, by the brackets."""
        match = re.compile(rest + _COMMA, re.DOTALL).match
        tokens: dict[bytes, list[int]] = {}
        for token, data in self._with_commas:
            if found := match(data):
                tokens.setdefault(bytes(found[1].translate(None, _BLANK)), []).append(token)
        beginnings = frozenset(closers[:length] for closers in tokens for length in range(len(closers) + 1))
        return Commas({closers: np.array(ids, np.int64) for closers, ids in tokens.items()}, beginnings)


# Each schema has a penalty of its own.
_known_commas: WeakKeyDictionary[Vocabulary, list[tuple[int, bytes]]] = WeakKeyDictionary()


def _with_commas(vocabulary: Vocabulary) -> list[tuple[int, bytes]]:
    """Return the tokens of a vocabulary that have a comma, with their bytes."""
    found = _known_commas.get(vocabulary)
    if found is None:
        found = [(token, data) for token, data in enumerate(vocabulary.tokens) if b"," in data]
        _known_commas[vocabulary] = found
    return found
