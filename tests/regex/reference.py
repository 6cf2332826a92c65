"""A small, slow and independent implementation of the regex part of the builder: Brzozowski derivatives."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

Term = tuple[Any, ...]
LAST = 0x10FFFF
SCALARS = ((0, 0xD7FF), (0xE000, LAST))


class ReferenceBuilder:
    """Hash-consed terms; a handle is an index. Memberships are decided one code point at a time."""

    def __init__(self) -> None:
        self._terms: list[Term] = []
        self._handles: dict[Term, int] = {}
        self._nullable: list[bool] = []
        self._derived: dict[tuple[int, int], int] = {}
        self._cuts: dict[int, frozenset[int]] = {}
        self._none = self._make(("chars", ()), False)
        self._epsilon = self._make(("epsilon",), True)
        self._any = self._make(("chars", SCALARS), False)
        self._all = self._make(("not", self._none), True)

    def _make(self, term: Term, nullable: bool) -> int:
        handle = self._handles.get(term)
        if handle is None:
            handle = self._handles[term] = len(self._terms)
            self._terms.append(term)
            self._nullable.append(nullable)
        return handle

    # -- the protocol ----------------------------------------------------------------------

    def re_none(self) -> int:
        return self._none

    def re_epsilon(self) -> int:
        return self._epsilon

    def re_any(self) -> int:
        return self._any

    def re_chars(self, ranges: Sequence[tuple[int, int]]) -> int:
        # Two sets are the same term when they have the same members, so merge touching ranges.
        points: list[tuple[int, int]] = []
        for low, high in sorted(ranges):
            for first, last in SCALARS:
                start, stop = max(low, first), min(high, last)
                if start > stop:
                    continue
                if points and start <= points[-1][1] + 1 and points[-1][1] >= first:
                    points[-1] = (points[-1][0], max(points[-1][1], stop))
                else:
                    points.append((start, stop))
        return self._make(("chars", tuple(points)), False)

    def re_literal(self, text: str) -> int:
        return self.re_concat([self.re_chars([(ord(c), ord(c))]) for c in text])

    def re_words(self, words: Sequence[str]) -> int:
        return self.re_union([self.re_literal(word) for word in words])

    def re_concat(self, parts: Sequence[int]) -> int:
        result = self._epsilon
        for part in reversed(parts):
            result = self._pair(part, result)
        return result

    def _pair(self, first: int, second: int) -> int:
        if self._none in (first, second):
            return self._none
        if first == self._epsilon:
            return second
        if second == self._epsilon:
            return first
        term = self._terms[first]
        if term[0] == "concat":
            return self._pair(term[1], self._pair(term[2], second))
        return self._make(("concat", first, second), self._nullable[first] and self._nullable[second])

    def re_union(self, parts: Sequence[int]) -> int:
        return self._lattice("or", parts, self._none, self._all, any)

    def re_intersection(self, parts: Sequence[int]) -> int:
        return self._lattice("and", parts, self._all, self._none, all)

    def _lattice(
        self, kind: str, parts: Sequence[int], unit: int, zero: int, decide: Callable[[Any], bool]
    ) -> int:
        flat: set[int] = set()
        for part in parts:
            term = self._terms[part]
            flat |= set(term[1]) if term[0] == kind else {part}
        flat.discard(unit)
        if zero in flat:
            return zero
        if not flat:
            return unit
        if len(flat) == 1:
            return flat.pop()
        return self._make((kind, tuple(sorted(flat))), decide(self._nullable[part] for part in flat))

    def re_complement(self, regex: int) -> int:
        term = self._terms[regex]
        return term[1] if term[0] == "not" else self._make(("not", regex), not self._nullable[regex])

    def re_repeat(self, regex: int, low: int, high: int) -> int:
        if high == 0 or (regex == self._none and low == 0) or regex == self._epsilon:
            return self._epsilon
        if (low, high) == (1, 1) or regex == self._none:
            return regex
        if (regex, low, high) == (self._any, 0, -1):
            return self._all
        return self._make(("repeat", regex, low, high), low == 0 or self._nullable[regex])

    def re_residue(self, modulus: int) -> int:
        return self._residue(modulus, None)

    def _residue(self, modulus: int, residue: int | None) -> int:
        return self._make(("residue", modulus, residue), residue == 0)

    def re_is_nullable(self, regex: int) -> bool:
        return self._nullable[regex]

    def re_matches(self, regex: int, text: str) -> bool:
        for character in text:
            regex = self._derive(regex, ord(character))
        return self._nullable[regex]

    def re_is_empty(self, regex: int) -> bool:
        return self._shortest(regex) is None

    def re_shortest(self, regex: int) -> str:
        shortest = self._shortest(regex)
        if shortest is None:
            raise ValueError("the language is empty")
        return shortest

    # -- derivatives -----------------------------------------------------------------------

    def _derive(self, regex: int, point: int) -> int:
        key = regex, point
        result = self._derived.get(key)
        if result is None:
            result = self._derived[key] = self._derivative(self._terms[regex], point)
        return result

    def _derivative(self, term: Term, point: int) -> int:
        match term:
            case ("epsilon",):
                return self._none
            case ("chars", ranges):
                inside = any(low <= point <= high for low, high in ranges)
                return self._epsilon if inside else self._none
            case ("concat", first, second):
                left = self._pair(self._derive(first, point), second)
                if not self._nullable[first]:
                    return left
                return self.re_union([left, self._derive(second, point)])
            case ("or", parts):
                return self.re_union([self._derive(part, point) for part in parts])
            case ("and", parts):
                return self.re_intersection([self._derive(part, point) for part in parts])
            case ("not", inner):
                return self.re_complement(self._derive(inner, point))
            case ("residue", modulus, residue):
                if point == ord("."):
                    return self._residue(modulus, residue)
                digit = point - ord("0")
                return (
                    self._residue(modulus, ((residue or 0) * 10 + digit) % modulus)
                    if 0 <= digit <= 9
                    else self._none
                )
            case ("repeat", inner, low, high):
                rest = self.re_repeat(inner, max(low - 1, 0), high if high < 0 else high - 1)
                return self._pair(self._derive(inner, point), rest)
        raise AssertionError(term)

    def _boundaries(self, regex: int) -> frozenset[int]:
        """Code points at which the behaviour of the first character can change."""
        cuts = self._cuts.get(regex)
        if cuts is None:
            found: set[int] = set()
            match self._terms[regex]:
                case ("chars", ranges):
                    found.update(point for low, high in ranges for point in (low, high + 1))
                case ("residue", _, _):
                    found.update({ord("."), ord(".") + 1, *range(ord("0"), ord("9") + 2)})
                case ("concat", first, second):
                    found |= self._boundaries(first)
                    if self._nullable[first]:
                        found |= self._boundaries(second)
                case ("or" | "and", parts):
                    found.update(point for part in parts for point in self._boundaries(part))
                case ("not", inner) | ("repeat", inner, _, _):
                    found |= self._boundaries(inner)
            cuts = self._cuts[regex] = frozenset(found)
        return cuts

    def _shortest(self, regex: int) -> str | None:
        seen = {regex}
        queue = deque([(regex, "")])
        while queue:
            state, text = queue.popleft()
            if self._nullable[state]:
                return text
            if len(seen) > 20_000:
                raise MemoryError("the reference gave up looking for a member")
            for point in sorted(self._boundaries(state) | {0}):
                if point > LAST or 0xD800 <= point <= 0xDFFF:
                    continue
                following = self._derive(state, point)
                if following not in seen:
                    seen.add(following)
                    queue.append((following, text + chr(point)))
        return None
