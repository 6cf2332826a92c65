"""An interpreter of the intermediate representation, with which the core is compared.

Regexes and expressions are trees of tuples. Their meaning is the plainest there is: the set of places where a
match that begins here can end.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from structgen._core import Builder

Re = tuple[Any, ...]
Expr = tuple[Any, ...]

NONE: Re = ("none",)
EPSILON: Re = ("epsilon",)
ANY: Re = ("any",)
NOTHING: Expr = ("nothing",)
EMPTY: Expr = ("empty",)


def literal(text: str) -> Re:
    return ("literal", text)


def chars(*ranges: tuple[int, int]) -> Re:
    return ("chars", ranges)


def one_of(characters: str) -> Re:
    return ("chars", tuple((ord(c), ord(c)) for c in characters))


def concat(*parts: Re) -> Re:
    return ("concat", parts)


def union(*parts: Re) -> Re:
    return ("union", parts)


def intersection(*parts: Re) -> Re:
    return ("intersection", parts)


def complement(body: Re) -> Re:
    return ("complement", body)


def repeat(body: Re, low: int = 0, high: int = -1) -> Re:
    return ("repeat", body, low, high)


def residue(modulus: int) -> Re:
    return ("residue", modulus)


def choice(*parts: Expr) -> Expr:
    return ("choice", parts)


def sequence(*parts: Expr) -> Expr:
    return ("sequence", parts)


@dataclass(frozen=True)
class Object:
    """The arguments of Builder.object."""

    keys: tuple[str, ...] = ()
    values: tuple[Expr, ...] = ()
    required: tuple[bool, ...] = ()
    extra_keys: tuple[Re, ...] = ()
    extra_values: tuple[Expr, ...] = ()
    ordered: bool = True
    low: int = 0
    high: int = -1
    distinct: bool = False


@dataclass(frozen=True)
class Array:
    """The arguments of Builder.array."""

    prefix: tuple[Expr, ...] = ()
    rest: Expr = NOTHING
    low: int = 0
    high: int = -1
    unique: bool = False


@dataclass(frozen=True)
class Guarded:
    """An expression, the guard on its text, and whether it must fail. No predicate: distinct items."""

    body: Any
    predicate: Callable[[str], bool] | None
    negated: bool = False

    def passes(self, value: str) -> bool:
        value = value.rstrip(" \t\n\r")
        verdict = _has_distinct_items(value) if self.predicate is None else self.predicate(value)
        return verdict != self.negated


def _has_distinct_items(value: str) -> bool:
    try:
        items = loads(value)
    except ValueError:
        return False
    return isinstance(items, list) and len(set(map(canonical, items))) == len(items)


# ("count", counter, low, high), ("all", goals) or ("any", goals)
Goal = tuple[Any, ...]
# Values, each with the counters that go up.
Cells = tuple[tuple[Expr, tuple[int, ...]], ...]


@dataclass(frozen=True)
class TalliedObject:
    """The arguments of Builder.tallied_object."""

    keys: tuple[str, ...]
    cells: tuple[Cells, ...]
    required: tuple[bool, ...]
    extra_keys: tuple[Re, ...]
    extra_cells: tuple[Cells, ...]
    ordered: bool
    distinct: bool
    goal: Goal


@dataclass(frozen=True)
class TalliedArray:
    """The arguments of Builder.tallied_array."""

    prefix: tuple[Cells, ...]
    rest: Cells
    goal: Goal
    unique: bool = False


def holds(goal: Goal, hits: tuple[int, ...]) -> bool:
    """Evaluate a goal on the counters that were hit, each as often as it was."""
    match goal:
        case ("count", counter, low, high):
            return bool(low <= hits.count(counter) and (high < 0 or hits.count(counter) <= high))
        case ("all", parts):
            return all(holds(part, hits) for part in parts)
        case ("any", parts):
            return any(holds(part, hits) for part in parts)
    raise AssertionError(goal)


def hit(hits: tuple[int, ...], counters: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted((*hits, *set(counters))))


@dataclass(frozen=True)
class Grammar:
    """A start expression, the bodies of the rules it refers to as ("rule", number), and the JSON style."""

    start: Expr | Object | Array
    rules: tuple[Expr | Object | Array, ...] = ()
    whitespace: Re | None = EPSILON  # None: json_style is not called
    all_escapes: bool = False


def canonical(value: Any) -> Any:
    """Equal exactly for equal JSON values; the input comes from :func:`loads`."""
    match value:
        case bool() | None:
            return ("literal", value)
        case Decimal():
            sign, digits, exponent = value.as_tuple()
            text = "".join(map(str, digits)).lstrip("0")
            short = text.rstrip("0")
            assert isinstance(exponent, int)
            return ("number", sign, short, exponent + len(text) - len(short)) if short else ("number", 0)
        case str():
            return ("string", value)
        case list():
            return ("array", tuple(map(canonical, value)))
        case dict():
            return ("object", frozenset((key, canonical(member)) for key, member in value.items()))
    raise AssertionError(value)


def loads(text: str) -> Any:
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


def build_regex(builder: Builder, regex: Re) -> int:
    """Make the regex with a builder of the core."""
    match regex:
        case ("none",):
            return builder.re_none()
        case ("epsilon",):
            return builder.re_epsilon()
        case ("any",):
            return builder.re_any()
        case ("literal", text):
            return builder.re_literal(text)
        case ("words", words):
            return builder.re_words(list(words))
        case ("chars", ranges):
            return builder.re_chars(list(ranges))
        case ("residue", modulus):
            return builder.re_residue(modulus)
        case ("complement", body):
            return builder.re_complement(build_regex(builder, body))
        case ("repeat", body, low, high):
            return builder.re_repeat(build_regex(builder, body), low, high)
        case (("concat" | "union" | "intersection") as kind, parts):
            make = getattr(builder, f"re_{kind}")
            return int(make([build_regex(builder, part) for part in parts]))
    raise AssertionError(regex)


class RegexMatcher:
    """Where matches can end inside one text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._memo: dict[tuple[int, int], frozenset[int]] = {}
        self._alive: list[Re] = []  # ids in the memo stay unique

    def matches(self, regex: Re) -> bool:
        return len(self.text) in self.ends(regex, 0)

    def ends(self, regex: Re, at: int) -> frozenset[int]:
        key = id(regex), at
        if key not in self._memo:
            self._alive.append(regex)
            self._memo[key] = frozenset(self._ends(regex, at))
        return self._memo[key]

    def _ends(self, regex: Re, at: int) -> set[int] | frozenset[int]:
        text = self.text
        match regex:
            case ("none",):
                return set()
            case ("epsilon",):
                return {at}
            case ("any",):
                return {at + 1} if at < len(text) else set()
            case ("literal", word):
                return {at + len(word)} if text.startswith(word, at) else set()
            case ("words", words):
                return {at + len(word) for word in words if text.startswith(word, at)}
            case ("chars", ranges):
                inside = at < len(text) and any(low <= ord(text[at]) <= high for low, high in ranges)
                return {at + 1} if inside else set()
            case ("residue", modulus):
                ends, digits = set(), ""
                while at < len(text) and text[at] in ".0123456789":
                    digits += text[at].replace(".", "")
                    at += 1
                    if digits and int(digits) % modulus == 0:
                        ends.add(at)
                return ends
            case ("union", parts):
                return set().union(*(self.ends(part, at) for part in parts))
            case ("intersection", parts):
                every = set(range(at, len(text) + 1))
                return every.intersection(*(self.ends(part, at) for part in parts))
            case ("complement", body):
                return set(range(at, len(text) + 1)) - self.ends(body, at)
            case ("concat", parts):
                places = {at}
                for part in parts:
                    places = set().union(*(self.ends(part, place) for place in places))
                return places
            case ("repeat", body, low, high):
                return self._repeat(body, at, low, high)
        raise AssertionError(regex)

    def _repeat(self, body: Re, at: int, low: int, high: int) -> set[int]:
        places, found = {at}, set()
        count = 0
        while places and (high < 0 or count <= high):
            if count >= low:
                found |= places
            after: set[int] = set().union(*(self.ends(body, place) for place in places))
            # Without an empty match the places move on until none is left; with one they settle.
            if after == places:
                return found | after
            places = after
            count += 1
        return found


class Recogniser:
    """Decides whether a byte string belongs to a grammar."""

    def __init__(self, grammar: Grammar) -> None:
        self.grammar = grammar

    def accepts(self, data: bytes) -> bool:
        try:
            text = data.decode()
        except UnicodeDecodeError:
            return False
        return len(text) in _Parse(self.grammar, text).ends(self.grammar.start, 0)


class _Parse:
    def __init__(self, grammar: Grammar, text: str) -> None:
        self.grammar = grammar
        self.text = text
        self.regexes = RegexMatcher(text)
        self._memo: dict[tuple[int, int], frozenset[int]] = {}

    def ends(self, expr: Any, at: int) -> frozenset[int]:
        key = id(expr), at
        if key not in self._memo:
            self._memo[key] = frozenset(self._ends(expr, at))
        return self._memo[key]

    def _spaces(self, places: Iterator[int] | set[int] | frozenset[int]) -> set[int]:
        whitespace = EPSILON if self.grammar.whitespace is None else self.grammar.whitespace
        return set().union(*(self.regexes.ends(whitespace, place) for place in places))

    def _mark(self, character: str, at: int) -> set[int]:
        return self._spaces({at + 1}) if self.text.startswith(character, at) else set()

    def _ends(self, expr: Any, at: int) -> set[int] | frozenset[int]:
        match expr:
            case ("nothing",):
                return set()
            case ("empty",):
                return {at}
            case ("text", regex):
                return self.regexes.ends(regex, at)
            case ("lexeme", regex):
                return self._spaces(self.regexes.ends(regex, at))
            case ("string", regex):
                found = self._string(at)
                if found is None or not RegexMatcher(found[0]).matches(regex):
                    return set()
                return self._spaces({found[1]})
            case ("choice", parts):
                return set().union(*(self.ends(part, at) for part in parts))
            case ("sequence", parts):
                places = {at}
                for part in parts:
                    places = set().union(*(self.ends(part, place) for place in places))
                return places
            case ("rule", number):
                return self.ends(self.grammar.rules[number], at)
            case Object():
                return self._object(expr, at)
            case Array():
                return self._array(expr, at)
            case TalliedObject():
                return self._tallied_object(expr, at)
            case TalliedArray():
                return self._tallied_array(expr, at)
            case Guarded():
                return {end for end in self.ends(expr.body, at) if expr.passes(self.text[at:end])}
        raise AssertionError(expr)

    def _string(self, at: int) -> tuple[str, int] | None:
        """Decode a JSON string with the standard library: its value, and where it ends."""
        text = self.text
        if not text.startswith('"', at):
            return None
        end = at + 1
        while end < len(text) and text[end] != '"':
            end += 2 if text[end] == "\\" else 1
        spelling = text[at : end + 1]
        try:
            value = json.loads(spelling)
            value.encode()  # refuses surrogates
        except ValueError:
            return None
        if not self.grammar.all_escapes and json.dumps(value, ensure_ascii=False) != spelling:
            return None
        return value, end + 1

    def _object(self, obj: Object, at: int) -> set[int]:
        found: set[int] = set()
        done: set[Any] = set()
        none: frozenset[Any] = frozenset()
        todo: list[Any] = [(place, 0, none, none, 0) for place in self._mark("{", at)]
        while todo:
            state = todo.pop()
            if state in done:
                continue
            done.add(state)
            place, index, seen, used, count = state
            required = {i for i, flag in enumerate(obj.required) if flag}
            if required <= seen and count >= obj.low and (obj.high < 0 or count <= obj.high):
                found |= self._mark("}", place)
            for start in self._mark(",", place) if count else {place}:
                member = self._string(start)
                if member is None:
                    continue
                key, end = member
                colons = set().union(*(self._mark(":", p) for p in self._spaces({end})), set())
                for value, next_index, next_seen, next_used in self._members(obj, key, index, seen, used):
                    for colon in colons:
                        for after in self.ends(value, colon):
                            todo.append((after, next_index, next_seen, next_used, count + 1))
        return found

    def _members(
        self, obj: Object, key: str, index: int, seen: frozenset[int], used: frozenset[str]
    ) -> Iterator[tuple[Any, int, frozenset[int], frozenset[str]]]:
        for i, declared in enumerate(obj.keys):
            # In order: what is passed over is gone. A required one is then missing at the end.
            if declared == key and i not in seen and (i >= index or not obj.ordered):
                yield obj.values[i], i + 1, seen | {i}, used
        for regex, value in zip(obj.extra_keys, obj.extra_values, strict=True):
            if RegexMatcher(key).matches(regex) and not (obj.distinct and key in used):
                yield value, index, seen, used | {key} if obj.distinct else used

    def _array(self, array: Array, at: int) -> set[int]:
        found: set[int] = set()
        done: set[Any] = set()
        none: frozenset[Any] = frozenset()
        todo: list[Any] = [(place, 0, none) for place in self._mark("[", at)]
        while todo:
            state = todo.pop()
            if state in done:
                continue
            done.add(state)
            place, count, seen = state
            if count >= array.low and (array.high < 0 or count <= array.high):
                found |= self._mark("]", place)
            item = array.prefix[count] if count < len(array.prefix) else array.rest
            for start in self._mark(",", place) if count else {place}:
                for end in self.ends(item, start):
                    value = self._value(start, end) if array.unique else None
                    if value is None or value not in seen:
                        todo.append((end, count + 1, seen | {value} if array.unique else none))
        return found

    def _tallied_object(self, obj: TalliedObject, at: int) -> set[int]:
        # As an object whose values are lists of cells.
        plain = Object(
            obj.keys,
            obj.cells,
            obj.required,
            obj.extra_keys,
            obj.extra_cells,
            obj.ordered,
            0,
            -1,
            obj.distinct,
        )
        required = {i for i, flag in enumerate(obj.required) if flag}
        none: frozenset[Any] = frozenset()
        found: set[int] = set()
        done: set[Any] = set()
        todo: list[Any] = [(place, True, 0, none, none, ()) for place in self._mark("{", at)]
        while todo:
            state = todo.pop()
            if state in done:
                continue
            done.add(state)
            place, first, index, seen, used, hits = state
            if required <= seen and holds(obj.goal, hits):
                found |= self._mark("}", place)
            for start in {place} if first else self._mark(",", place):
                member = self._string(start)
                if member is None:
                    continue
                key, end = member
                colons = set().union(*(self._mark(":", p) for p in self._spaces({end})), set())
                for cells, *after in self._members(plain, key, index, seen, used):
                    for value, counters in cells:
                        for colon in colons:
                            todo += [
                                (place, False, *after, hit(hits, counters))
                                for place in self.ends(value, colon)
                            ]
        return found

    def _tallied_array(self, array: TalliedArray, at: int) -> set[int]:
        found: set[int] = set()
        done: set[Any] = set()
        none: frozenset[Any] = frozenset()
        todo: list[Any] = [(place, 0, (), none) for place in self._mark("[", at)]
        while todo:
            state = todo.pop()
            if state in done:
                continue
            done.add(state)
            place, count, hits, seen = state
            if holds(array.goal, hits):
                found |= self._mark("]", place)
            cells = array.prefix[count] if count < len(array.prefix) else array.rest
            for start in self._mark(",", place) if count else {place}:
                for value, counters in cells:
                    for end in self.ends(value, start):
                        item = self._value(start, end) if array.unique else None
                        if item is None or item not in seen:
                            after = seen | {item} if array.unique else none
                            todo.append((end, count + 1, hit(hits, counters), after))
        return found

    def _value(self, start: int, end: int) -> Any:
        """What an item counts as: the JSON value, or the text of what is no JSON."""
        text = self.text[start:end].rstrip(" \t\n\r")
        try:
            return canonical(loads(text))
        except ValueError:
            return ("text", text)


def build_goal(builder: Builder, goal: Goal) -> int:
    match goal:
        case ("count", counter, low, high):
            return builder.goal(counter, low, high)
        case ("all", parts):
            return builder.goal_all([build_goal(builder, part) for part in parts])
        case ("any", parts):
            return builder.goal_any([build_goal(builder, part) for part in parts])
    raise AssertionError(goal)


def build_grammar(builder: Builder, grammar: Grammar) -> int:
    """Make the grammar with a builder of the core; the handle of its start."""
    if grammar.whitespace is not None:
        builder.json_style(build_regex(builder, grammar.whitespace), grammar.all_escapes)
    rules = [builder.rule() for _ in grammar.rules]

    def build(expr: Any) -> int:
        match expr:
            case ("nothing",):
                return builder.nothing()
            case ("empty",):
                return builder.empty()
            case (("text" | "lexeme" | "string") as kind, regex):
                return int(getattr(builder, kind)(build_regex(builder, regex)))
            case (("choice" | "sequence") as kind, parts):
                return int(getattr(builder, kind)([build(part) for part in parts]))
            case ("rule", number):
                return rules[number]
            case Object():
                return builder.object(
                    list(expr.keys),
                    [build(value) for value in expr.values],
                    list(expr.required),
                    [build_regex(builder, regex) for regex in expr.extra_keys],
                    [build(value) for value in expr.extra_values],
                    expr.ordered,
                    expr.low,
                    expr.high,
                    expr.distinct,
                )
            case Array():
                prefix = [build(e) for e in expr.prefix]
                return builder.array(prefix, build(expr.rest), expr.low, expr.high, expr.unique)
            case Guarded():
                guard = builder.guard("guard", expr.predicate)
                return builder.guarded(build(expr.body), guard, expr.negated)
            case TalliedObject():
                return builder.tallied_object(
                    list(expr.keys),
                    [build_cells(cells) for cells in expr.cells],
                    list(expr.required),
                    [build_regex(builder, regex) for regex in expr.extra_keys],
                    [build_cells(cells) for cells in expr.extra_cells],
                    expr.ordered,
                    expr.distinct,
                    build_goal(builder, expr.goal),
                )
            case TalliedArray():
                prefix = [build_cells(cells) for cells in expr.prefix]
                goal = build_goal(builder, expr.goal)
                return builder.tallied_array(prefix, build_cells(expr.rest), goal, expr.unique)
        raise AssertionError(expr)

    def build_cells(cells: Cells) -> list[tuple[int, list[int]]]:
        return [(build(value), list(counters)) for value, counters in cells]

    for rule, body in zip(rules, grammar.rules, strict=True):
        builder.define(rule, build(body))
    return build(grammar.start)
