"""A slow and independent matcher of patterns: it records what the builder is told, and backtracks.

It also says whether it looked at the end of the text: if not, the match is the same whatever follows.
"""

from collections.abc import Callable, Sequence
from typing import Any

from tests.regex.reference import ReferenceBuilder

Pattern = tuple[Any, ...]
# Takes where a match ends; gives where the whole match ends, or None to ask for another.
Continue = Callable[[int], int | None]


class PatternRecorder(ReferenceBuilder):
    """Patterns as trees; a handle is an index."""

    def __init__(self) -> None:
        super().__init__()
        self.patterns: list[Pattern] = []
        self._cells: Sequence[Sequence[tuple[int, int]]] = [[(0, 0x10FFFF)]]
        self._following: Sequence[Sequence[int]] = [[0]]

    def left_context(
        self, cells: Sequence[Sequence[tuple[int, int]]], following: Sequence[Sequence[int]]
    ) -> None:
        assert not self.patterns
        assert all(len(row) == len(cells) for row in following)
        self._cells, self._following = cells, following

    def _record(self, *pattern: Any) -> int:
        self.patterns.append(pattern)
        return len(self.patterns) - 1

    def pat_empty(self) -> int:
        return self._record("concat", [])

    def pat_chars(self, ranges: Sequence[tuple[int, int]]) -> int:
        return self._record("chars", ranges)

    def pat_literal(self, text: str) -> int:
        return self._record("literal", text)

    def pat_concat(self, parts: Sequence[int]) -> int:
        return self._record("concat", parts)

    def pat_choice(self, parts: Sequence[int]) -> int:
        return self._record("choice", parts)

    def pat_repeat(self, body: int, low: int, high: int, lazy: bool) -> int:
        return self._record("repeat", body, low, high, lazy)

    def pat_ahead(self, rest: Sequence[int], negative: bool) -> int:
        assert len(rest) == len(self._following)
        return self._record("ahead", rest, negative)

    def pat_behind(self, states: Sequence[int]) -> int:
        assert set(states) < set(range(len(self._following)))
        return self._record("behind", states)

    def match(self, handle: int, text: str, start: int) -> int | None:
        """Where the preferred match from a place of a text ends; ``None`` where there is no match."""
        return self.match_open(handle, text, start)[0]

    def match_open(self, handle: int, text: str, start: int) -> tuple[int | None, bool]:
        """Where the preferred match ends, and whether that can depend on what follows the text."""
        matcher = _Matcher(self, self.left_states(text), text)
        return matcher.run(handle, start, lambda end: end), matcher.open

    def settled(self, regex: int, text: str) -> bool:
        """Whether a beginning of the text decides its membership, whatever follows."""
        for character in text:
            if regex in (self._none, self._all):
                return True
            regex = self._derive(regex, ord(character))
        return regex in (self._none, self._all)

    def left_states(self, text: str) -> list[int]:
        """The state of the left context at every place of a text."""
        states = [0]
        for character in text:
            cell = next(i for i, c in enumerate(self._cells) if _contains(c, character))
            states.append(self._following[states[-1]][cell])
        return states


def _contains(ranges: Sequence[tuple[int, int]], character: str) -> bool:
    return any(low <= ord(character) <= high for low, high in ranges)


class _Matcher:
    def __init__(self, recorder: PatternRecorder, left: list[int], text: str) -> None:
        self._recorder = recorder
        self._left = left
        self._text = text
        self._fuel = 200_000
        self.open = False

    def _rest(self, regexes: Sequence[int], at: int) -> bool:
        return self._recorder.re_matches(regexes[self._left[at]], self._text[at:])

    def run(self, handle: int, at: int, then: Continue) -> int | None:
        self._fuel -= 1
        if self._fuel < 0:
            raise TimeoutError
        text = self._text
        match self._recorder.patterns[handle]:
            case ("chars", ranges):
                self.open |= at == len(text)
                return then(at + 1) if at < len(text) and _contains(ranges, text[at]) else None
            case ("literal", word):
                self.open |= len(text) - at < len(word) and word.startswith(text[at:])
                return then(at + len(word)) if text.startswith(word, at) else None
            case ("concat", parts):
                if not parts:
                    return then(at)
                return self.run(parts[0], at, lambda end: self._concat(parts, 1, end, then))
            case ("choice", parts):
                return next((e for p in parts if (e := self.run(p, at, then)) is not None), None)
            case ("ahead", rest, negative):
                self.open |= not self._recorder.settled(rest[self._left[at]], text[at:])
                return then(at) if self._rest(rest, at) is not negative else None
            case ("behind", states):
                return then(at) if self._left[at] in states else None
            case ("repeat", body, low, high, lazy):
                return self._repeat((body, low, high, lazy), 0, at, then)
        raise AssertionError(handle)

    def _concat(self, parts: Sequence[int], index: int, at: int, then: Continue) -> int | None:
        if index == len(parts):
            return then(at)
        return self.run(parts[index], at, lambda end: self._concat(parts, index + 1, end, then))

    def _repeat(self, loop: tuple[Any, ...], count: int, at: int, then: Continue) -> int | None:
        body, low, high, lazy = loop

        def again(end: int) -> int | None:
            # An optional iteration that is empty is the last.
            if end == at and count >= low:
                return then(end)
            return self._repeat(loop, count + 1, end, then)

        if count < low:
            return self.run(body, at, again)
        more: list[Callable[[], int | None]] = [lambda: then(at)]
        if high < 0 or count < high:
            more.insert(1 if lazy else 0, lambda: self.run(body, at, again))
        return next((end for way in more if (end := way()) is not None), None)
