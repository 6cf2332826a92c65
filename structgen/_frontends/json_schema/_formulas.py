"""Boolean formulas about one value of one JSON type.

A formula is built from atoms by conjunction and disjunction; negation is pushed down to the atoms at once, so
that an atom occurs only as what is *asked for*. Parts are shared: "exactly one of n" has size O(n), not O(n
squared).

Atoms:

* :class:`Text`: the scalar is spelled by a member of a regex (of its decoded value for strings),
* :class:`Count`: how many members of an object, or items of an array, satisfy a schema,
* :class:`Check`: a check of the whole value that no automaton can do, a *guard* of the core.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

Result = TypeVar("Result")


class Formula:
    """A formula; its parts are formulas for ``All`` and ``Any``, none for atoms."""

    __slots__ = ("opposite", "parts")

    def __init__(self, parts: tuple[Formula, ...] = ()) -> None:
        self.parts = parts
        # The negation, once it has been made.
        self.opposite: Formula | None = None


class All(Formula):
    """All parts hold."""

    __slots__ = ()


class Any_(Formula):  # noqa: N801 - Any is what typing calls something else
    """At least one part holds."""

    __slots__ = ()


class Text(Formula):
    """The value is spelled by a member of ``regex``; ``test`` says so of numbers, however long they are."""

    __slots__ = ("regex", "test")

    def __init__(self, regex: int, test: Callable[[Any], bool] | None = None) -> None:
        super().__init__()
        self.regex = regex
        self.test = test


class Check(Formula):
    """The value passes a guard (or fails it)."""

    __slots__ = ("guard", "wanted")

    def __init__(self, guard: Any, wanted: bool) -> None:
        super().__init__()
        self.guard = guard
        self.wanted = wanted


class Keys:
    """A set of keys: one key, or those in a regex."""

    __slots__ = ("name", "regex")

    def __init__(self, name: str | None, regex: int = -1) -> None:
        self.name = name
        self.regex = regex

    @property
    def identity(self) -> Any:
        """Equal for equal sets (not only for them)."""
        return self.regex if self.name is None else self.name


class Positions:
    """The positions ``first <= i < end`` of an array; ``end`` -1 is no end."""

    __slots__ = ("end", "first")

    def __init__(self, first: int, end: int) -> None:
        self.first = first
        self.end = end

    @property
    def identity(self) -> Any:
        """Equal for equal sets."""
        return self.first, self.end

    def holds(self, position: int) -> bool:
        """Tell whether a position is one of these."""
        return self.first <= position and (self.end < 0 or position < self.end)


class Count(Formula):
    """From ``low`` to ``high`` (-1: no bound) of the elements at some places satisfy a schema.

    ``places`` is a :class:`Keys` or :class:`Positions`, ``schema`` a schema node or True.
    """

    __slots__ = ("high", "low", "places", "schema")

    def __init__(self, places: Any, schema: Any, low: int, high: int) -> None:
        super().__init__()
        self.places = places
        self.schema = schema
        self.low = low
        self.high = high

    @property
    def identity(self) -> Any:
        """Equal for atoms that count the same things."""
        return self.places.identity, True if self.schema is True else id(self.schema)


def counted(places: Any, schema: Any, low: int, high: int) -> Formula:
    """Return the atom for a range of counts; no count is in an empty one."""
    return FALSE if 0 <= high < low else Count(places, schema, low, high)


TRUE: Formula = All()
FALSE: Formula = Any_()
TRUE.opposite = FALSE
FALSE.opposite = TRUE


def all_of(parts: Iterable[Formula]) -> Formula:
    """Return the conjunction."""
    return _join(parts, All, TRUE, FALSE)


def any_of(parts: Iterable[Formula]) -> Formula:
    """Return the disjunction."""
    return _join(parts, Any_, FALSE, TRUE)


def _join(parts: Iterable[Formula], kind: type[Formula], neutral: Formula, absorbing: Formula) -> Formula:
    kept: dict[int, Formula] = {}
    for part in parts:
        if part is absorbing:
            return absorbing
        if type(part) is kind:
            kept.update((id(inner), inner) for inner in part.parts)
        else:
            kept[id(part)] = part
    kept.pop(id(neutral), None)
    if any(part.opposite is not None and id(part.opposite) in kept for part in kept.values()):
        return absorbing
    if len(kept) < 2:
        return next(iter(kept.values()), neutral)
    return kind(tuple(kept.values()))


def exactly_one(parts: Sequence[Formula], negated: Callable[[Formula], Formula]) -> Formula:
    """Return the formula that exactly one part holds: a chain that shares its parts."""
    none, one = TRUE, FALSE
    for part in parts:
        other = negated(part)
        one = any_of([all_of([one, other]), all_of([none, part])])
        none = all_of([none, other])
    return one


def walk(formula: Formula) -> Iterator[Formula]:
    """Visit every part of a formula once."""
    seen = {id(formula)}
    todo = [formula]
    while todo:
        here = todo.pop()
        yield here
        for part in here.parts:
            if id(part) not in seen:
                seen.add(id(part))
                todo.append(part)


def fold(
    formula: Formula, atom: Callable[[Any], Result], join: Callable[[Formula, list[Result]], Result]
) -> Result:
    """Compute something bottom-up, once for each shared part; ``join`` is for ``All`` and ``Any_``."""
    known: dict[int, Result] = {}
    todo = [formula]
    while todo:
        here = todo[-1]
        missing = [part for part in here.parts if id(part) not in known]
        if missing:
            todo.extend(missing)
            continue
        todo.pop()
        if id(here) not in known:
            if isinstance(here, (All, Any_)):
                known[id(here)] = join(here, [known[id(part)] for part in here.parts])
            else:
                known[id(here)] = atom(here)
    return known[id(formula)]


def substituted(formula: Formula, atom: Callable[[Any], Formula]) -> Formula:
    """Replace atoms by formulas."""
    return fold(formula, atom, lambda here, parts: (all_of if type(here) is All else any_of)(parts))


def negated(formula: Formula, atom: Callable[[Any], Formula]) -> Formula:
    """Return the negation; ``atom`` negates an atom."""
    todo = [formula]
    while todo:
        here = todo[-1]
        # A part that has a negation keeps it: making another one at each level would double the formula.
        missing = [part for part in here.parts if part.opposite is None] if here.opposite is None else []
        if missing:
            todo.extend(missing)
            continue
        todo.pop()
        if here.opposite is not None:
            continue
        if isinstance(here, (All, Any_)):
            join = any_of if isinstance(here, All) else all_of
            paired(here, join([part.opposite for part in here.parts if part.opposite is not None]))
        else:
            paired(here, atom(here))
    assert formula.opposite is not None
    return formula.opposite


def paired(formula: Formula, other: Formula) -> Formula:
    """Note that two formulas are each other's negation; return the second."""
    formula.opposite = other
    if other.opposite is None:
        other.opposite = formula
    return other
