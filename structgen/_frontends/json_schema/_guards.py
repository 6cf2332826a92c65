"""Checks that no automaton can do: which guards a schema needs, and what they say of constants."""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ._enum import identity
from ._resolve import escape
from ._shapes import ARRAY, kind_of

if TYPE_CHECKING:
    from structgen._core import Builder

    from ._formats import Format
    from ._formulas import Formula
    from ._lower import Lowering
    from ._shapes import Claim, Shape
    from ._truth import Truth


# Regexes that no schema changes, by the tables of their builder: tables serve many builders.
_known_regexes: dict[int, dict[Any, Any]] = {}
_MOST_TABLES = 64
_MOST_FORMATS = 1000


def known_regexes(tables: int) -> dict[Any, Any]:
    """Return the regexes that builders with these tables have made for all, by whatever names them."""
    known = _known_regexes.get(tables)
    if known is None:
        if len(_known_regexes) >= _MOST_TABLES:
            _known_regexes.clear()
        known = _known_regexes[tables] = {}
    return known


def _regex(form: Format, builder: Builder) -> int | None:
    known = known_regexes(builder.tables)
    if form not in known:
        if len(known) >= _MOST_FORMATS:
            known.clear()
        known[form] = form.regex(builder)
    return known[form]  # type: ignore[no-any-return]


class Guards:
    """The guards of one builder, each made once."""

    def __init__(self, lowering: Lowering) -> None:
        self._lowering = lowering
        self._formats: dict[str, tuple[int | None, int | None]] = {}
        self._names: dict[int, int] = {}
        # Whether a guard asks about schemas, so that the automaton has to keep them.
        self.asks = False
        # Where the parts of the document are: what they are a part of, and under which key.
        self._parents: dict[int, tuple[int, Any] | None] = {}
        self._checks: dict[int, Callable[[Any], bool]] = {}
        # Claims that became guards, and the nodes whose contains went with them.
        self.claimed: list[tuple[tuple[Claim, ...], list[Any]]] = []
        # The guard of uniqueItems, once there is one.
        self.known_unique = -1

    def format(self, node: Any, form: Format) -> tuple[int | None, int | None]:
        """Return the regex of a format and the guard for what no regex can say, either or both."""
        known = self._formats.get(form.name)
        if known is None:
            builder = self._lowering.builder
            guard, predicate = None, form.predicate
            if predicate is not None:
                guard = builder.guard(f"format {form.name}", lambda text: predicate(json.loads(text)))
                self._checks[guard] = predicate
            known = self._formats[form.name] = _regex(form, builder), guard
        if known[1] is not None:
            self._lowering.note(
                node, "format", "guarded", f"the format {form.name!r} is checked when the string ends"
            )
        return known

    def unique(self, node: Any) -> int:
        """Return the guard that the items of an array are distinct."""
        self._lowering.note(
            node, "uniqueItems", "guarded", "beside other conditions it is checked when the array ends"
        )
        if self.known_unique < 0:
            self.known_unique = self._lowering.builder.guard("uniqueItems", None)
            self._checks[self.known_unique] = lambda value: len(set(map(identity, value))) == len(value)
        return self.known_unique

    def claims(self, shape: Shape, kind: int, formula: Formula) -> int:
        """Return the guard that a formula holds, for claims with too many cases to tell apart."""
        lowering = self._lowering
        node = next(
            (claim[1] for claim in shape.claims if claim[0] in ("one", "if", "evaluated")), lowering.node
        )
        name = f"the schema at {self._place(node)!r}"
        self.claimed.append((shape.claims, [part[0] for part in shape.contains] if kind == ARRAY else []))
        return self._asking(
            name, lambda truth, value: kind_of(value) == kind and truth.evaluate(formula, value)
        )

    def names(self, node: Any, schema: Any) -> int:
        """Return the guard that all keys of an object satisfy a schema, for what no regex can say of them."""
        known = self._names.get(id(schema))
        if known is None:
            known = self._names[id(schema)] = self._asking(
                f"the propertyNames at {self._place(node)!r}",
                lambda truth, value: all(truth.satisfies(schema, key) for key in value),
            )
        self._lowering.note(node, "propertyNames", "guarded", "a format is checked when the object ends")
        return known

    def _asking(self, name: str, holds: Callable[[Truth, Any], bool]) -> int:
        """Make a guard that asks about schemas of the document."""
        # The core holds the predicate, and the formulas hold the core's builder: a strong reference would
        # keep all of them for ever. The automaton keeps the formulas instead.
        self.asks = True
        reference = weakref.ref(self._lowering.truth)

        def predicate(text: str) -> bool:
            truth = reference()
            if truth is None:
                raise ReferenceError("the automaton of a session is gone")
            return holds(truth, json.loads(text, parse_float=Decimal))

        guard = self._lowering.builder.guard(name, predicate)
        self._checks[guard] = lambda value: holds(self._lowering.truth, value)
        return guard

    def _place(self, node: Any) -> str:
        """Return the pointer of a node; one search of the document serves all guards."""
        if not self._parents:
            root = self._lowering.document.root
            self._parents[id(root)] = None
            todo = [root]
            while todo:
                here = todo.pop()
                items = here.items() if isinstance(here, dict) else enumerate(here)
                for key, value in items:
                    # One Python object can be in several places, and even in itself.
                    if isinstance(value, (dict, list)) and id(value) not in self._parents:
                        self._parents[id(value)] = (id(here), key)
                        todo.append(value)
        if id(node) not in self._parents:
            return self._lowering.document.pointer(node)
        path: list[str] = []
        place = self._parents[id(node)]
        while place is not None:
            parent, key = place
            path.append(f"/{escape(str(key))}")
            place = self._parents[parent]
        return "".join(reversed(path))

    def guarded(self, expression: int, guard: int, negated: bool) -> int:
        """Return the expression of the values that pass a guard (or do not)."""
        if expression == self._lowering.nothing:
            return expression
        return self._lowering.builder.guarded(expression, guard, negated)

    def passes(self, guard: int, value: Any) -> bool:
        """Tell whether a constant passes a guard."""
        return self._checks[guard](value)
