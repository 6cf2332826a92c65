"""A small, slow and independent meaning of the builder's expressions: sets of end positions."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from tests.regex.reference import ReferenceBuilder

_MINIMAL = re.compile(
    r'"(?:[^"\\\x00-\x1f]|\\["\\bfnrt]|\\u00(?:0[0-7be-f]|1[0-9a-f]))*"'
)  # what json.dumps(ensure_ascii=False) writes
_ANY_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*"')


class ExpressionBuilder(ReferenceBuilder):
    """The whole builder; ``matches`` takes the place of an automaton."""

    def __init__(self) -> None:
        super().__init__()
        self._nodes: list[tuple[Any, ...]] = [("choice", ())]
        self._bodies: dict[int, int] = {}
        self._whitespace = self.re_epsilon()
        self._strings = _MINIMAL

    def _node(self, *node: Any) -> int:
        self._nodes.append(node)
        return len(self._nodes) - 1

    def json_style(self, whitespace: int, all_escapes: bool) -> None:
        self._whitespace = whitespace
        self._strings = _ANY_STRING if all_escapes else _MINIMAL

    def text(self, regex: int) -> int:
        return self._node("text", regex)

    def lexeme(self, regex: int) -> int:
        return self.sequence([self.text(regex), self.text(self._whitespace)])

    def string(self, regex: int) -> int:
        return self.sequence([self._node("string", regex), self.text(self._whitespace)])

    def nothing(self) -> int:
        return 0

    def empty(self) -> int:
        return self.sequence([])

    def choice(self, parts: Sequence[int]) -> int:
        return self._node("choice", tuple(parts))

    def sequence(self, parts: Sequence[int]) -> int:
        return self._node("sequence", tuple(parts))

    def rule(self) -> int:
        return self._node("rule")

    def define(self, rule: int, body: int) -> None:
        assert rule not in self._bodies
        self._bodies[rule] = body

    def object(self, keys: Sequence[str], *rest: Any) -> int:
        return self._node("object", tuple(keys), *rest)

    def array(self, prefix: Sequence[int], rest: int, low: int, high: int) -> int:
        return self._node("array", tuple(prefix), rest, low, high)

    def matches(self, start: int, text: str) -> bool:
        """Tell whether the whole text is in the language of an expression."""
        return len(text) in _Run(self, text).ends(start, 0)


class _Run:
    def __init__(self, builder: ExpressionBuilder, text: str) -> None:
        self.builder = builder
        self.input = text
        self.known: dict[tuple[int, int], frozenset[int]] = {}

    def ends(self, expression: int, at: int) -> frozenset[int]:
        key = expression, at
        if key not in self.known:
            kind, *rest = self.builder._nodes[expression]
            self.known[key] = frozenset(getattr(self, kind)(expression, at, *rest))
        return self.known[key]

    def rule(self, expression: int, at: int) -> frozenset[int]:
        return self.ends(self.builder._bodies[expression], at)

    def choice(self, _: int, at: int, parts: tuple[int, ...]) -> Iterator[int]:
        for part in parts:
            yield from self.ends(part, at)

    def sequence(self, _: int, at: int, parts: tuple[int, ...]) -> set[int]:
        places = {at}
        for part in parts:
            places = {end for place in places for end in self.ends(part, place)}
        return places

    def text(self, _: int, at: int, regex: int) -> Iterator[int]:
        builder = self.builder
        for end in range(at, len(self.input) + 1):
            if builder.re_is_nullable(regex):
                yield end
            if end == len(self.input) or regex == builder.re_none():
                return
            regex = builder._derive(regex, ord(self.input[end]))

    def _string_at(self, at: int) -> tuple[str, int] | None:
        found = self.builder._strings.match(self.input, at)
        if found is None:
            return None
        value = json.loads(found.group())
        if any("\ud800" <= char <= "\udfff" for char in value):
            return None
        return value, found.end()

    def string(self, _: int, at: int, regex: int) -> Iterator[int]:
        found = self._string_at(at)
        if found is not None and self.builder.re_matches(regex, found[0]):
            yield found[1]

    def _mark(self, places: set[int], mark: str) -> set[int]:
        after = {place + 1 for place in places if self.input.startswith(mark, place)}
        return {end for place in after for end in self.text(0, place, self.builder._whitespace)}

    def array(self, _: int, at: int, prefix: tuple[int, ...], rest: int, low: int, high: int) -> set[int]:
        places, result, count = self._mark({at}, "["), set(), 0
        while places:
            if count >= low:
                result |= self._mark(places, "]")
            if count == high:
                break
            if count:
                places = self._mark(places, ",")
            item = prefix[count] if count < len(prefix) else rest
            places = {end for place in places for end in self.ends(item, place)}
            count += 1
        return result

    def object(
        self,
        _: int,
        at: int,
        keys: tuple[str, ...],
        values: list[int],
        required: list[bool],
        extra_keys: list[int],
        extra_values: list[int],
        ordered: bool,
        low: int,
        high: int,
        distinct: bool,
    ) -> set[int]:
        result: set[int] = set()
        needed = {key for key, must in zip(keys, required, strict=True) if must}
        # (place, keys seen, index of the next declared key in order, properties)
        stack = [(place, frozenset[str](), 0, 0) for place in self._mark({at}, "{")]
        while stack:
            place, seen, index, count = stack.pop()
            if count >= low and needed <= seen:
                result |= self._mark({place}, "}")
            if count == high:
                continue
            for start in self._mark({place}, ",") if count else {place}:
                found = self._string_at(start)
                if found is None:
                    continue
                key, end = found
                following = index
                if key in keys:
                    position = keys.index(key)
                    if key in seen or (ordered and position < index):
                        continue
                    following, value = position + 1, values[position]
                else:
                    matching = [
                        value
                        for regex, value in zip(extra_keys, extra_values, strict=True)
                        if self.builder.re_matches(regex, key)
                    ]
                    assert len(matching) < 2, "the key classes must be disjoint"
                    if not matching or (distinct and key in seen):
                        continue
                    value = matching[0]
                colons = self._mark(set(self.text(0, end, self.builder._whitespace)), ":")
                stack.extend(
                    (after, seen | {key}, following, count + 1)
                    for colon in colons
                    for after in self.ends(value, colon)
                )
        return result
