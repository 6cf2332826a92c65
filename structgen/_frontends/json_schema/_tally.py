"""Counting what a formula asks about the members of an object or the items of an array.

One parse decides the whole formula: every atom "so many elements at these places satisfy that schema" becomes
a counter, and every element takes one of its *cells*, the combinations of counters that it can hit. A cell's
language says what the counters need: a hit that helps the formula must really satisfy the schema; a miss that
helps must really not. Where only one of the two can help, the other promises nothing, which spares the
complement of the schema.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._formulas import All, Count, Formula, Positions, all_of, fold, walk

if TYPE_CHECKING:
    from ._lower import Lowering

Cells = list[tuple[int, list[int]]]


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
        for atom in walk(formula):
            if isinstance(atom, Count):
                counter = self._counters.get(atom.identity)
                if counter is None:
                    counter = self._counters[atom.identity] = Counter(len(self._counters), atom)
                counter.needs(atom)
        self.counters = list(self._counters.values())
        self._more = 0
        self._hopeless: dict[frozenset[int], bool] = {}

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
        limit = lowering.options.max_branches
        todo: list[tuple[int, list[Any], list[int]]] = [(0, schemas, [])]
        while todo:
            at, chosen, hits = todo.pop()
            if at == len(counters):
                expression = lowering.child_all(chosen)
                if expression != lowering.nothing:
                    found.append((expression, hits))
                    if len(found) > limit:
                        raise lowering.limit(
                            lowering.node, None, "too many cases of one value", "max_branches"
                        )
                continue
            counter = counters[at]
            hit = [*hits, counter.number]
            if counter.schema is True:
                if not self._is_hopeless(hit):
                    todo.append((at + 1, chosen, hit))
                continue
            # A choice that promises nothing is made only where it can pay: the other one then says more.
            if counter.miss:
                self._choose(todo, at, chosen, lowering.synthetic.negation(counter.schema), hits)
            else:
                todo.append((at + 1, chosen, hits))
            if self._is_hopeless(hit):
                continue
            if counter.hit:
                self._choose(todo, at, chosen, counter.schema, hit)
            else:
                todo.append((at + 1, chosen, hit))
        return found

    def _choose(
        self,
        todo: list[tuple[int, list[Any], list[int]]],
        at: int,
        chosen: list[Any],
        schema: Any,
        hits: list[int],
    ) -> None:
        lowering = self._lowering
        if any(lowering.synthetic.excludes(schema, other) for other in chosen):
            return
        todo.append((at + 1, [*chosen, schema], hits))

    def _is_hopeless(self, hits: list[int]) -> bool:
        """Tell whether no document with these hits can satisfy the formula."""
        key = frozenset(hits)
        known = self._hopeless.get(key)
        if known is None:
            known = self._hopeless[key] = not fold(
                self._formula,
                lambda atom: atom.high != 0 or self._counters[atom.identity].number not in key,
                lambda here, parts: all(parts) if type(here) is All else any(parts),
            )
        return known


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
