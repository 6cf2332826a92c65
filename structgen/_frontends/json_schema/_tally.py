"""Counting what a formula asks about the members of an object or the items of an array.

One parse decides the whole formula: every atom "so many elements at these places satisfy that schema" becomes
a counter, and every element takes one of its *cells*, the combinations of counters that it can hit. A cell's
language says what the counters need: a hit that helps the formula must really satisfy the schema; a miss that
helps must really not. Where only one of the two can help, the other promises nothing, which spares the
complement of the schema.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._formulas import All, Count, Formula, Keys, Positions, all_of, fold, walk

if TYPE_CHECKING:
    from ._lower import Lowering

Cells = list[tuple[int, list[int]]]

# The next counter, what the element satisfies, what it hits, its newest hit (-1: none), a mark in the trail.
_Case = tuple[int, list[Any], list[int], int, int]


class Counter:
    """Counts the elements at some places that satisfy a schema."""

    __slots__ = ("hit", "miss", "number", "places", "schema")

    def __init__(self, number: int, atom: Count) -> None:
        self.number = number
        self.places = atom.places
        self.schema = atom.schema
        # Whether a hit (a miss) can help the formula, and so has to be true.
        self.hit = False
        self.miss = False

    def needs(self, atom: Count) -> None:
        """Take note of one more bound on the counter."""
        self.hit = self.hit or atom.low > 0
        self.miss = self.miss or atom.high >= 0


class Tally:
    """The counters of one object or array."""

    def __init__(self, lowering: Lowering, formula: Formula) -> None:
        self._lowering = lowering
        self._formula = formula
        self._counters: dict[Any, Counter] = {}
        # The atoms that a hit of a counter makes false, and the formulas that each part is a part of.
        self._forbidding: dict[int, list[Count]] = {}
        self._parents: dict[int, list[Formula]] = {}
        lowering.check_time()
        for part in walk(formula):
            for child in part.parts:
                self._parents.setdefault(id(child), []).append(part)
            if isinstance(part, Count):
                identity = part.identity
                counter = self._counters.get(identity)
                if counter is None:
                    counter = self._counters[identity] = Counter(len(self._counters), part)
                counter.needs(part)
                if part.high == 0:
                    self._forbidding.setdefault(counter.number, []).append(part)
        self.counters = list(self._counters.values())
        self._more = 0
        for counter in self.counters:
            # Where both sides are cheap to say, elements are told apart: fewer cases, which do not overlap.
            if counter.schema is not True and lowering.disjointness.is_plain(counter.schema):
                counter.hit = counter.miss = True
        self._by_name: dict[str, list[Counter]] = {}
        self._by_regex: list[Counter] = []
        for counter in self.counters:
            if isinstance(counter.places, Keys) and counter.places.name is not None:
                self._by_name.setdefault(counter.places.name, []).append(counter)
            else:
                self._by_regex.append(counter)

    def extra_counter(self) -> int:
        """Return the number of a counter that no atom of the formula is about."""
        self._more += 1
        return len(self.counters) + self._more - 1

    def goal(self) -> int:
        """Return the formula as a goal of the core."""
        builder = self._lowering.builder

        def join(here: Formula, parts: list[int]) -> int:
            return builder.goal_all(parts) if type(here) is All else builder.goal_any(parts)

        return fold(
            self._formula,
            lambda atom: builder.goal(self._counters[atom.identity].number, atom.low, atom.high),
            join,
        )

    def of_key(self, key: str) -> list[Counter]:
        """Return the counters that are about a key."""
        is_at = self._lowering.truth.is_at
        return self._by_name.get(key, []) + [c for c in self._by_regex if is_at(c.places, key)]

    def cells(self, schemas: list[Any], counters: list[Counter]) -> Cells:
        """Return what an element can be: its expressions and the counters that each of them hits.

        Parameters
        ----------
        schemas : list of schemas
            What the element must satisfy in any case.
        counters : list of Counter
            The counters that are about its place.
        """
        lowering = self._lowering
        found: Cells = []
        prospects = _Prospects(self._formula, self._forbidding, self._parents)
        # What remains to be tried, depth first; "mark" is the state of the prospects in which each was found.
        todo: list[_Case] = [(0, schemas, [], -1, 0)]
        while todo:
            at, chosen, hits, number, mark = todo.pop()
            lowering.attempts.spend()
            prospects.back_to(mark)
            if number >= 0 and not prospects.hit(number):
                continue
            if at == len(counters):
                expression = lowering.child_all(chosen)
                if expression != lowering.nothing:
                    found.append((expression, hits))
                continue
            counter, mark = counters[at], len(prospects.trail)
            hit = [*hits, counter.number]
            if counter.schema is True:
                todo.append((at + 1, chosen, hit, counter.number, mark))
                continue
            # A choice that promises nothing is made only where it can pay: the other one then says more.
            missed = (
                self._with(chosen, lowering.synthetic.negation(counter.schema)) if counter.miss else chosen
            )
            if missed is not None:
                todo.append((at + 1, missed, hits, -1, mark))
            satisfied = self._with(chosen, counter.schema) if counter.hit else chosen
            if satisfied is not None:
                todo.append((at + 1, satisfied, hit, counter.number, mark))
        return found

    def _with(self, chosen: list[Any], schema: Any) -> list[Any] | None:
        """Add a schema to a conjunction; None when that is known to leave no value."""
        lowering = self._lowering
        if any(schema is other for other in chosen):
            return chosen
        if any(lowering.synthetic.excludes(schema, other) for other in chosen):
            return None
        more = [*chosen, schema]
        return more if lowering.truth.is_possible(more) else None


class _Prospects:
    """Tells, hit by hit, whether a formula can still hold; hits can be taken back."""

    def __init__(
        self, formula: Formula, forbidding: dict[int, list[Count]], parents: dict[int, list[Formula]]
    ) -> None:
        self._formula = formula
        self._forbidding = forbidding
        self._parents = parents
        self._false: set[int] = set()
        # How many parts of a disjunction are not false yet, where some are.
        self._left: dict[int, int] = {}
        # The parts that became false (and the disjunctions that lost a part, as ~id), to be taken back.
        self.trail: list[int] = []

    def hit(self, number: int) -> bool:
        """Count a hit; false when no document with these hits can satisfy the formula."""
        todo: list[Formula] = [*self._forbidding.get(number, ())]
        while todo:
            here = todo.pop()
            if id(here) in self._false:
                continue
            self._false.add(id(here))
            self.trail.append(id(here))
            if here is self._formula:
                return False
            for parent in self._parents.get(id(here), ()):
                if type(parent) is All:
                    todo.append(parent)
                    continue
                left = self._left.get(id(parent), len(parent.parts)) - 1
                self._left[id(parent)] = left
                self.trail.append(~id(parent))
                if not left:
                    todo.append(parent)
        return True

    def back_to(self, mark: int) -> None:
        """Take back what happened since the trail had a length."""
        while len(self.trail) > mark:
            here = self.trail.pop()
            if here >= 0:
                self._false.discard(here)
            else:
                self._left[~here] += 1


def split(formula: Formula) -> tuple[list[Count], Formula]:
    """Separate the atoms that a formula asks for in any case from the rest."""
    parts = formula.parts if isinstance(formula, All) else (formula,)
    atoms = [part for part in parts if isinstance(part, Count)]
    return atoms, all_of([part for part in parts if not isinstance(part, Count)])


def merged_range(low: int, high: int, atom: Count) -> tuple[int, int]:
    """Merge the bounds of an atom into a range of counts; -1 is no bound."""
    if atom.high >= 0:
        high = atom.high if high < 0 else min(high, atom.high)
    return max(low, atom.low), high


def is_every_position(places: Any) -> bool:
    """Tell whether some places are all positions of an array."""
    return isinstance(places, Positions) and places.first == 0 and places.end < 0
