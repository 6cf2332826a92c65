"""A small, slow and independent meaning of the builder's expressions: sets of end positions."""

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from tests.regex.reference import ReferenceBuilder

_MINIMAL = re.compile(
    r'"(?:[^"\\\x00-\x1f]|\\["\\bfnrt]|\\u00(?:0[0-7be-f]|1[0-9a-f]))*"'
)  # what json.dumps(ensure_ascii=False) writes
_ANY_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*"')

_Cells = Sequence[tuple[int, Sequence[int]]]
_Counts = frozenset[tuple[int, int]]  # counter, count
_NO_COUNTS: _Counts = frozenset()


def _hit(counts: _Counts, counters: Sequence[int]) -> _Counts:
    return frozenset((Counter(dict(counts)) + Counter(set(counters))).items())


class ExpressionBuilder(ReferenceBuilder):
    """The whole builder; ``matches`` takes the place of an automaton."""

    _numbers = itertools.count(-1, -1)  # the numbers of tables of the core are not negative

    def __init__(self) -> None:
        super().__init__()
        self.tables = next(self._numbers)  # handles mean nothing elsewhere
        self._nodes: list[tuple[Any, ...]] = [("choice", ())]
        self._bodies: dict[int, int] = {}
        self._whitespace = self.re_epsilon()
        self._strings = _MINIMAL
        self._goals: list[tuple[Any, ...]] = []

    def _node(self, *node: Any) -> int:
        self._nodes.append(node)
        return len(self._nodes) - 1

    def json_style(self, whitespace: int, all_escapes: bool) -> None:
        self._whitespace = whitespace
        self._strings = _ANY_STRING if all_escapes else _MINIMAL

    def name_nodes(self, names: Any) -> None:
        """Names are for structure events, which the reference does not tell."""

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

    def _goal(self, *goal: Any) -> int:
        self._goals.append(goal)
        return len(self._goals) - 1

    def goal(self, counter: int, low: int, high: int) -> int:
        return self._goal("count", counter, low, high)

    def goal_all(self, goals: Sequence[int]) -> int:
        return self._goal("all", tuple(goals))

    def goal_any(self, goals: Sequence[int]) -> int:
        return self._goal("any", tuple(goals))

    def holds(self, goal: int, counts: _Counts) -> bool:
        """Evaluate a goal; what it shares is evaluated once."""
        known: dict[int, bool] = {}

        def value(goal: int) -> bool:
            if goal not in known:
                match self._goals[goal]:
                    case ("count", counter, low, high):
                        count = dict(counts).get(counter, 0)
                        known[goal] = low <= count and (high < 0 or count <= high)
                    case ("all", parts):
                        known[goal] = all(map(value, parts))
                    case ("any", parts):
                        known[goal] = any(map(value, parts))
            return known[goal]

        return value(goal)

    def tallied_object(self, keys: Sequence[str], *rest: Any) -> int:
        return self._node("tallied_object", tuple(keys), *rest)

    def tallied_array(self, prefix: Sequence[_Cells], rest: _Cells, goal: int) -> int:
        return self._node("tallied_array", tuple(prefix), rest, goal)

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

    def tallied_array(self, _: int, at: int, prefix: tuple[_Cells, ...], rest: _Cells, goal: int) -> set[int]:
        result: set[int] = set()
        todo = {(place, _NO_COUNTS) for place in self._mark({at}, "[")}
        items = 0
        while todo:
            for place, counts in todo:
                if self.builder.holds(goal, counts):
                    result |= self._mark({place}, "]")
            cells = prefix[items] if items < len(prefix) else rest
            todo = {
                (end, _hit(counts, counters))
                for place, counts in todo
                for start in (self._mark({place}, ",") if items else {place})
                for value, counters in cells
                for end in self.ends(value, start)
            }
            items += 1
        return result

    def tallied_object(
        self,
        _: int,
        at: int,
        keys: tuple[str, ...],
        cells: list[_Cells],
        required: list[bool],
        extra_keys: list[int],
        extra_cells: list[_Cells],
        ordered: bool,
        distinct: bool,
        goal: int,
    ) -> set[int]:
        result: set[int] = set()
        needed = {key for key, must in zip(keys, required, strict=True) if must}
        # (place, keys seen, index of the next declared key in order, counts)
        todo = {(place, frozenset[str](), 0, _NO_COUNTS) for place in self._mark({at}, "{")}
        first = True
        while todo:
            members = set()
            for place, seen, index, counts in todo:
                if needed <= seen and self.builder.holds(goal, counts):
                    result |= self._mark({place}, "}")
                for start in {place} if first else self._mark({place}, ","):
                    found = self._string_at(start)
                    if found is None:
                        continue
                    key, end = found
                    following = index
                    if key in keys:
                        position = keys.index(key)
                        if key in seen or (ordered and position < index):
                            continue
                        following, options = position + 1, cells[position]
                    else:
                        extra = self._extra(key, extra_keys)
                        if extra is None or (distinct and key in seen):
                            continue
                        options = extra_cells[extra]
                    for colon in self._mark(set(self.text(0, end, self.builder._whitespace)), ":"):
                        for value, counters in options:
                            for after in self.ends(value, colon):
                                members.add((after, seen | {key}, following, _hit(counts, counters)))
            todo, first = members, False
        return result

    def _extra(self, key: str, extra_keys: list[int]) -> int | None:
        matching = [j for j, regex in enumerate(extra_keys) if self.builder.re_matches(regex, key)]
        assert len(matching) < 2, "the key classes must be disjoint"
        return matching[0] if matching else None

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
                    extra = self._extra(key, extra_keys)
                    if extra is None or (distinct and key in seen):
                        continue
                    value = extra_values[extra]
                colons = self._mark(set(self.text(0, end, self.builder._whitespace)), ":")
                stack.extend(
                    (after, seen | {key}, following, count + 1)
                    for colon in colons
                    for after in self.ends(value, colon)
                )
        return result
