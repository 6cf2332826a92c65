"""Arrays: prefixes and rests of several schemas, merged item by item; formulas join as for objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from structgen._errors import LimitError

from ._formulas import FALSE, TRUE, Formula, Positions, all_of, counted
from ._shapes import Shape
from ._tally import Tally, is_every_position, merged_range, split

if TYPE_CHECKING:
    from ._lower import Lowering

# Positions up to here may have schemas of their own.
_MAX_PREFIX = 10_000

Rules = list[tuple[Positions, Any]]


def lower_array(
    lowering: Lowering, shape: Shape, exact: list[Any] | None = None, formula: Formula = TRUE
) -> int:
    """Lower the arrays of a shape for which a formula holds; with ``exact``, only those equal to it."""
    rules: Rules = []
    if formula is not TRUE:
        shape, rules, formula = _absorbed(lowering, shape, formula)
        if formula is FALSE:
            return lowering.nothing
    low, high = shape.min_items, shape.max_items
    if exact is not None:
        if len(exact) < low or 0 <= high < len(exact):
            return lowering.nothing
    elif 0 <= high < low:
        return lowering.dead(lowering.node, "maxItems", "minItems is larger")
    elif not shape.arrays and not rules and formula is TRUE and shape.unique is None:
        return _any_array(lowering, low, high)
    members = [lowering.items_of(node) for node in shape.arrays]
    lowering.level += 1
    if exact is not None:
        expression = _exact(lowering, members, exact)
    elif formula is TRUE:
        expression = _plain(lowering, shape, members, rules)
    else:
        expression = _tallied(lowering, shape, members, rules, formula)
    lowering.level -= 1
    if shape.arrays:
        lowering.nodes_of[expression] = shape.arrays
    return expression


def _absorbed(lowering: Lowering, shape: Shape, formula: Formula) -> tuple[Shape, Rules, Formula]:
    """Make what a formula asks in any case part of the shape, or a rule about the items at some positions."""
    shape = shape.copy()
    rules: Rules = []
    atoms, rest = split(formula)
    left: list[Formula] = [rest]
    for atom in atoms:
        if atom.high == 0:
            rules.append(
                (atom.places, False if atom.schema is True else lowering.synthetic.negation(atom.schema))
            )
        elif atom.schema is True and is_every_position(atom.places):
            shape.min_items, shape.max_items = merged_range(shape.min_items, shape.max_items, atom)
        elif atom.low == 1 and atom.places.end == atom.places.first + 1:
            # The one item there is: it exists and satisfies the schema.
            shape.min_items = max(shape.min_items, atom.places.end)
            if atom.schema is not True:
                rules.append((atom.places, atom.schema))
        else:
            left.append(atom)
    formula = all_of(left)
    if formula is not TRUE and (shape.min_items or shape.max_items >= 0):
        formula = all_of([formula, counted(Positions(0, -1), True, shape.min_items, shape.max_items)])
    return shape, rules, formula


def _any_array(lowering: Lowering, low: int, high: int) -> int:
    handle = lowering.shared.get(("array", low, high))
    if handle is None:
        handle = lowering.builder.array([], lowering.any_value(), low, high)
        lowering.shared["array", low, high] = handle
    return handle


def _schemas_at(members: list[tuple[list[Any], Any]], rules: Rules, index: int) -> list[Any]:
    schemas = [prefix[index] if index < len(prefix) else rest for prefix, rest in members]
    return schemas + [schema for places, schema in rules if places.holds(index)]


def _prefix_length(
    lowering: Lowering, members: list[tuple[list[Any], Any]], places: list[Positions], high: int
) -> int:
    """Return from which position on all items are alike."""
    length = max((len(prefix) for prefix, _ in members), default=0)
    for place in places:
        length = max(length, place.first, place.end)
    if 0 <= high < length:
        length = high
    if length > _MAX_PREFIX:
        raise _too_long(lowering)
    return length


def _too_long(lowering: Lowering) -> LimitError:
    return lowering.limit(
        lowering.node, None, f"more than {_MAX_PREFIX} positions of an array have schemas of their own"
    )


def _plain(lowering: Lowering, shape: Shape, members: list[tuple[list[Any], Any]], rules: Rules) -> int:
    low, high = shape.min_items, shape.max_items
    if len(members) == 1 and not rules:
        prefix, rest = members[0]
        length = len(prefix) if high < 0 else min(high, len(prefix))
        if length > _MAX_PREFIX:
            raise _too_long(lowering)
        items = [lowering.child(prefix[index] if index < len(prefix) else rest) for index in range(length)]
        other = lowering.nothing if 0 <= high <= length else lowering.child(rest)
    else:
        length = _prefix_length(lowering, members, [places for places, _ in rules], high)
        items = [lowering.child_all(_schemas_at(members, rules, index)) for index in range(length)]
        other = (
            lowering.nothing
            if 0 <= high <= length
            else lowering.child_all(_schemas_at(members, rules, length))
        )
    if high < 0 and other == lowering.nothing:
        high = length
    if shape.unique is not None:
        schemas = [_schemas_at(members, rules, index) for index in range(length + 1)]
        lowering.distinct_items.append((shape.unique, schemas if other != lowering.nothing else schemas[:-1]))
        return lowering.builder.array(items, other, low, high, True)
    return lowering.builder.array(items, other, low, high)


def _tallied(
    lowering: Lowering,
    shape: Shape,
    members: list[tuple[list[Any], Any]],
    rules: Rules,
    formula: Formula,
) -> int:
    tally = Tally(lowering, formula)
    places = [places for places, _ in rules] + [counter.places for counter in tally.counters]
    length = _prefix_length(lowering, members, places, shape.max_items)
    cells = [
        tally.cells(_schemas_at(members, rules, index), [c for c in tally.counters if c.places.holds(index)])
        for index in range(length + 1)
    ]
    rest = [] if 0 <= shape.max_items <= length else cells[length]
    if shape.unique is None:
        return lowering.builder.tallied_array(cells[:length], rest, tally.goal())
    lowering.note(
        shape.unique, "uniqueItems", "guarded", "beside counts, repeated items are noticed when an item ends"
    )
    return lowering.builder.tallied_array(cells[:length], rest, tally.goal(), True)


def _exact(lowering: Lowering, members: list[tuple[list[Any], Any]], values: list[Any]) -> int:
    items = []
    for index, value in enumerate(values):
        schemas = [prefix[index] if index < len(prefix) else rest for prefix, rest in members]
        item = lowering.child_all([*schemas, lowering.synthetic.constant(value)])
        if item == lowering.nothing:
            return item
        items.append(item)
    return lowering.builder.array(items, lowering.nothing, len(items), len(items))
