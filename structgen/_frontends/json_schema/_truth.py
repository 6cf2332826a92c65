"""Which values satisfy a schema: its Boolean formula for each JSON type.

What a conjunction cannot absorb (``not``, branches that overlap under ``oneOf``, conditions, counts) is
turned into a formula over one value. The keywords are read by the same handlers as everywhere else; this
module only says what their merged shape means for the values of one type, in a form that can be negated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._enum import values_of_type
from ._formulas import (
    FALSE,
    TRUE,
    All,
    Check,
    Count,
    Formula,
    Keys,
    Positions,
    Text,
    all_of,
    any_of,
    counted,
    exactly_one,
    fold,
    negated,
    substituted,
    walk,
)
from ._keywords import number_of
from ._multiples import ONE, divisor_of
from ._numbers import Bounds
from ._scalars import speakable
from ._shapes import ARRAY, BOOLEAN, FRACTION, KINDS, NULL, NUMBER, OBJECT, STRING, Claim, Shape, kind_of
from ._unevaluated import unevaluated

if TYPE_CHECKING:
    from ._lower import Lowering


class Truth:
    """Formulas of the schemas of one document, for one builder."""

    def __init__(self, lowering: Lowering) -> None:
        self._lowering = lowering
        self._builder = lowering.builder
        self._known: dict[tuple[int, int], Formula | None] = {}
        self._shapes: dict[int, Shape] = {}
        self._possible: dict[frozenset[int], bool] = {}

    # -- formulas --------------------------------------------------------------------------

    def of(self, node: Any, kind: int) -> Formula:
        """Return the formula of a schema for the values of one type."""
        if node is True:
            return TRUE
        if node is False:
            return FALSE
        key = (id(node), kind)
        known = self._known.get(key, FALSE)
        if known is None:
            raise self._lowering.error(node, None, "the schema refers to itself for one and the same value")
        if key in self._known:
            return known
        self._lowering.check_time()
        self._known[key] = None
        shape = self.shape_of(node)
        formula = self.of_shape(shape, kind)
        self._known[key] = formula
        return formula

    def shape_of(self, node: Any) -> Shape:
        """Return the keywords of a node alone, parsed."""
        shape = self._shapes.get(id(node))
        if shape is None:
            shape = self._shapes[id(node)] = self._lowering.parse(node)
        return shape

    def of_shape(self, shape: Shape, kind: int) -> Formula:
        """Return the formula of everything that a shape asks of the values of one type."""
        if not shape.types & kind:
            return FALSE
        return all_of(
            [
                self.own(shape, kind),
                *(self.of(node, kind) for _, _, node in shape.pending),
                *(any_of([self.of(node, kind) for node in branches]) for _, branches, _ in shape.any_of),
                *(self.of_claim(claim, kind) for claim in shape.claims),
            ]
        )

    def of_claim(self, claim: Claim, kind: int) -> Formula:
        """Return the formula of a claim for the values of one type."""
        match claim[0]:
            case "is":
                return self.of(claim[1], kind)
            case "not":
                return self.negated(self.of_claim(claim[1], kind))
            case "all":
                return all_of([self.of_claim(part, kind) for part in claim[1]])
            case "any":
                return any_of([self.of_claim(part, kind) for part in claim[1]])
            case "if":
                # As two implications: with one branch, each schema is asked for in one direction only.
                condition, then, other = (self.of(node, kind) for node in claim[2:5])
                return all_of([any_of([self.negated(condition), then]), any_of([condition, other])])
            case "one":
                return exactly_one([self.of(node, kind) for node in claim[2]], self.negated)
            case _:
                return unevaluated(self, self._lowering, claim[1], claim[2], kind)

    def negated(self, formula: Formula) -> Formula:
        """Return the negation, with its own negations at the atoms."""
        return negated(formula, self._negated_atom)

    def _negated_atom(self, atom: Formula) -> Formula:
        if isinstance(atom, Text):
            test = atom.test
            return Text(
                self._builder.re_complement(atom.regex),
                None if test is None else lambda value: not test(value),
            )
        if isinstance(atom, Check):
            return Check(atom.guard, not atom.wanted)
        assert isinstance(atom, Count)
        fewer = [Count(atom.places, atom.schema, 0, atom.low - 1)] if atom.low > 0 else []
        more = [Count(atom.places, atom.schema, atom.high + 1, -1)] if atom.high >= 0 else []
        return any_of([*fewer, *more])

    # -- what a shape says of one type -----------------------------------------------------

    def own(self, shape: Shape, kind: int) -> Formula:
        """Return what the keywords of a shape that are about one type, and its enumerations, ask of it."""
        parts: list[Formula] = []
        for node, keyword in shape.enums:
            parts.append(self._enumeration(values_of_type(self._lowering, node, keyword, kind), kind))
        if kind == STRING:
            parts += self._string(shape)
        elif kind == NUMBER:
            parts += self._number(shape)
        elif kind == ARRAY:
            parts += self._array(shape)
        elif kind == OBJECT:
            parts += self._object(shape)
        return all_of(parts)

    def _enumeration(self, values: list[Any], kind: int) -> Formula:
        builder = self._builder
        if not values:
            return FALSE
        if kind == STRING:
            return Text(builder.re_words(speakable(values)))
        if kind == NUMBER:
            known = frozenset(values)
            return Text(
                self._lowering.numbers.values(values, self._lowering.options.all_numbers), known.__contains__
            )
        if kind in (NULL, BOOLEAN):
            names = {None: "null", True: "true", False: "false"}
            return Text(builder.re_words(sorted({names[value] for value in values})))
        return any_of([self._constant(value) for value in values])

    def _constant(self, value: Any) -> Formula:
        """Return the formula of the arrays or objects that are equal to a constant."""
        constant = self._lowering.synthetic.constant
        if isinstance(value, list):
            size, every = len(value), Positions(0, -1)
            items = [
                Count(Positions(index, index + 1), constant(item), 1, -1) for index, item in enumerate(value)
            ]
            return all_of([Count(every, True, size, size), *items])
        members = [Count(Keys(key), constant(item), 1, -1) for key, item in value.items()]
        return all_of([Count(self.every_key, True, len(value), len(value)), *members])

    def _string(self, shape: Shape) -> list[Formula]:
        parts: list[Formula] = []
        builder, lowering = self._builder, self._lowering
        if shape.min_length or shape.max_length >= 0:
            if 0 <= shape.max_length < shape.min_length:
                return [FALSE]
            parts.append(Text(builder.re_repeat(builder.re_any(), shape.min_length, shape.max_length)))
        parts += [Text(lowering.pattern(node, "pattern", pattern)) for node, pattern in shape.patterns]
        for node, form in shape.formats:
            regex, guard = lowering.guards.format(node, form)
            if regex is not None:
                parts.append(Text(regex))
            if guard is not None:
                parts.append(Check(guard, True))
        return parts

    def _number(self, shape: Shape) -> list[Formula]:
        numbers, free = self._lowering.numbers, self._lowering.options.all_numbers
        parts: list[Formula] = []
        if not shape.types & FRACTION:
            if self._lowering.document.draft == "4":
                digits = numbers.integers(Bounds(None, False, None, False))
                parts.append(Text(digits, lambda value: value.as_tuple().exponent == 0))
            else:
                parts.append(Text(numbers.integral(free), ONE.divides))
        if shape.low is not None or shape.high is not None:
            bounds = Bounds(shape.low, shape.low_open, shape.high, shape.high_open)
            parts.append(Text(numbers.bounded(bounds, free), bounds.holds))
        for node, value in shape.multiples:
            parts.append(Text(self._lowering.multiples(node, value), divisor_of(value).divides))
        return parts

    def universe(self, kind: int) -> int:
        """Return the regex of every spelling of the values of a scalar type, for complements."""
        builder = self._builder
        if kind == STRING:
            return self._lowering.any_text()
        if kind == NUMBER:
            return self._lowering.numbers.universe(self._lowering.options.all_numbers)
        return builder.re_words(["null"] if kind == NULL else ["false", "true"])

    # -- arrays and objects ----------------------------------------------------------------

    def _array(self, shape: Shape) -> list[Formula]:
        every = Positions(0, -1)
        parts: list[Formula] = []
        if shape.min_items or shape.max_items >= 0:
            parts.append(counted(every, True, shape.min_items, shape.max_items))
        for node in shape.arrays:
            prefix, rest = self._lowering.items_of(node)
            for index, schema in enumerate(prefix):
                parts.append(self.none_but(Positions(index, index + 1), schema))
            parts.append(self.none_but(Positions(len(prefix), -1), rest))
        parts.append(self.counted_items(shape))
        if shape.unique is not None:
            parts.append(Check(self._lowering.guards.unique(shape.unique), True))
        return parts

    def counted_items(self, shape: Shape) -> Formula:
        """Return what ``contains`` asks."""
        same = self._lowering.synthetic.same
        return all_of(
            counted(Positions(0, -1), same(schema), low, high) for _, schema, low, high in shape.contains
        )

    def _object(self, shape: Shape) -> list[Formula]:
        parts: list[Formula] = [Count(Keys(key), True, 1, -1) for key in dict.fromkeys(shape.required)]
        if shape.min_properties or shape.max_properties >= 0:
            parts.append(counted(self.every_key, True, shape.min_properties, shape.max_properties))
        for node in shape.objects:
            for key, schema in node.get("properties", {}).items():
                parts.append(self.none_but(Keys(key), schema))
            for pattern, schema in node.get("patternProperties", {}).items():
                parts.append(self.none_but(self.matching(node, pattern), schema))
            if "additionalProperties" in node:
                parts.append(self.none_but(self.undeclared(node), node["additionalProperties"]))
        for node, schema in shape.property_names:
            parts.append(Count(self.outside(self.key_regex(schema)), True, 0, 0))
            guard = self.key_guard(node, schema)
            if guard is not None:
                parts.append(Check(guard, True))
        return parts

    def none_but(self, places: Any, schema: Any) -> Formula:
        """Ask that every element at some places satisfies a schema."""
        if schema is True or schema == {}:
            return TRUE
        synthetic = self._lowering.synthetic
        return Count(places, True if schema is False else synthetic.negation(synthetic.same(schema)), 0, 0)

    @property
    def every_key(self) -> Keys:
        """All keys."""
        return Keys(None, self._lowering.any_text())

    def matching(self, node: Any, pattern: str) -> Keys:
        """Return the keys that match a pattern of ``patternProperties``."""
        return Keys(None, self._lowering.pattern(node, "patternProperties", pattern, pattern))

    def outside(self, regex: int) -> Keys:
        """Return the keys outside a regex."""
        return Keys(None, self._builder.re_complement(regex))

    def undeclared(self, node: Any) -> Keys:
        """Return the keys that ``additionalProperties`` of a node is about."""
        patterns = [self.matching(node, pattern).regex for pattern in node.get("patternProperties", {})]
        declared = speakable(list(node.get("properties", {})))
        if declared:
            patterns.append(self._builder.re_words(declared))
        return self.outside(self._builder.re_union(patterns)) if patterns else self.every_key

    def key_regex(self, schema: Any) -> int:
        """Return the regex of the keys that satisfy a schema, as far as a regex can tell."""
        formula = substituted(self.of(schema, STRING), lambda atom: TRUE if isinstance(atom, Check) else atom)
        return self.regex_of(formula, STRING) if formula is not FALSE else self._builder.re_none()

    def key_guard(self, node: Any, schema: Any) -> int | None:
        """Return the guard of an object for what no regex can say of its keys."""
        if any(isinstance(atom, Check) for atom in walk(self.of(schema, STRING))):
            return self._lowering.guards.names(node, schema)
        return None

    # -- scalars ---------------------------------------------------------------------------

    def regex_of(self, formula: Formula, kind: int) -> int:
        """Return the regex of the scalars for which a formula without checks holds."""
        builder = self._builder
        if formula is TRUE:
            return self.universe(kind)
        regex = fold(
            formula,
            lambda atom: atom.regex,
            lambda here, parts: (
                builder.re_intersection(parts) if type(here) is All else builder.re_union(parts)
            ),
        )
        return builder.re_intersection([self.universe(kind), regex])

    def is_possible(self, nodes: list[Any]) -> bool:
        """Tell whether some value may satisfy all of several schemas; only scalars are decided."""
        key = frozenset(map(id, nodes))
        known = self._possible.get(key)
        if known is None:
            known = self._possible[key] = any(self._is_possible(nodes, kind) for kind in reversed(KINDS))
        return known

    def _is_possible(self, nodes: list[Any], kind: int) -> bool:
        formula = all_of([self.of(node, kind) for node in nodes])
        if formula is FALSE:
            return False
        if (
            formula is TRUE
            or kind in (ARRAY, OBJECT)
            or any(isinstance(atom, Check) for atom in walk(formula))
        ):
            return True
        return not self._builder.re_is_empty(self.regex_of(formula, kind))

    # -- constants -------------------------------------------------------------------------

    def those(self, shape: Shape, values: list[Any]) -> list[Any]:
        """Return the constants of the document that satisfy a shape."""
        formulas: dict[int, Formula] = {}
        found = []
        for value in values:
            self._lowering.check_time()
            kind = kind_of(value)
            if kind not in formulas:
                formulas[kind] = self.of_shape(shape, kind)
            if self.evaluate(formulas[kind], value):
                found.append(value)
        return found

    def satisfies(self, node: Any, value: Any) -> bool:
        """Tell whether a constant of the document satisfies a schema."""
        return self.evaluate(self.of(node, kind_of(value)), value)

    def evaluate(self, formula: Formula, value: Any) -> bool:
        """Tell whether a constant satisfies a formula for its type."""
        return fold(
            formula,
            lambda atom: self._evaluate_atom(atom, value),
            lambda here, parts: all(parts) if type(here) is All else any(parts),
        )

    def _evaluate_atom(self, atom: Formula, value: Any) -> bool:
        if isinstance(atom, Text):
            if atom.test is not None:
                return atom.test(number_of(value))
            return self._builder.re_matches(atom.regex, _spelling(value))
        if isinstance(atom, Check):
            return self._lowering.guards.passes(atom.guard, value) == atom.wanted
        assert isinstance(atom, Count)
        count = 0
        elements = value.items() if isinstance(value, dict) else enumerate(value)
        for place, element in elements:
            if self.is_at(atom.places, place) and (
                atom.schema is True or self.satisfies(atom.schema, element)
            ):
                count += 1
        return atom.low <= count and (atom.high < 0 or count <= atom.high)

    def is_at(self, places: Any, place: Any) -> bool:
        """Tell whether a key (or position) is one of some places."""
        if isinstance(places, Positions):
            return places.holds(place)
        if places.name is not None:
            return bool(places.name == place)
        return self._builder.re_matches(places.regex, place)


def _spelling(value: Any) -> str:
    return value if isinstance(value, str) else {None: "null", True: "true", False: "false"}[value]
