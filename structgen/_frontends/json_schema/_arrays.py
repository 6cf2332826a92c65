"""Arrays: prefixes and rests of several schemas, merged item by item."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._shapes import Shape

if TYPE_CHECKING:
    from ._lower import Lowering


def lower_array(lowering: Lowering, shape: Shape, exact: list[Any] | None = None) -> int:
    """Lower the arrays of a shape; with ``exact``, only the arrays equal to that constant."""
    low, high = shape.min_items, shape.max_items
    if exact is not None:
        if len(exact) < low or 0 <= high < len(exact):
            return lowering.nothing
    elif 0 <= high < low:
        return lowering.dead(lowering.node, "maxItems", "minItems is larger")
    elif not shape.arrays:
        return _any_array(lowering, low, high)
    members = [_parts(lowering, node) for node in shape.arrays]
    lowering.level += 1
    if exact is not None:
        expression = _exact(lowering, members, exact)
    else:
        length = max(len(prefix) for prefix, _ in members)
        if 0 <= high < length:
            length = high
        prefix = [_item(lowering, members, index) for index in range(length)]
        rest = lowering.nothing if 0 <= high <= length else _item(lowering, members, length)
        if high < 0 and rest == lowering.nothing:
            high = length
        expression = lowering.builder.array(prefix, rest, low, high)
    lowering.level -= 1
    return expression


def _any_array(lowering: Lowering, low: int, high: int) -> int:
    handle = lowering.shared.get(("array", low, high))
    if handle is None:
        handle = lowering.builder.array([], lowering.any_value(), low, high)
        lowering.shared["array", low, high] = handle
    return handle


def _parts(lowering: Lowering, node: dict[str, Any]) -> tuple[list[Any], Any]:
    """Return the schemas of the first items and the schema of the others."""
    items = node.get("items", True)
    if lowering.document.draft_of(node) == "2020-12":
        return node.get("prefixItems", []), items
    if isinstance(items, list):
        return items, node.get("additionalItems", True)
    return [], items


def _item(lowering: Lowering, members: list[tuple[list[Any], Any]], index: int) -> int:
    if len(members) == 1:
        prefix, rest = members[0]
        return lowering.child(prefix[index] if index < len(prefix) else rest)
    return lowering.child_all([prefix[index] if index < len(prefix) else rest for prefix, rest in members])


def _exact(lowering: Lowering, members: list[tuple[list[Any], Any]], values: list[Any]) -> int:
    items = []
    for index, value in enumerate(values):
        schemas = [prefix[index] if index < len(prefix) else rest for prefix, rest in members]
        item = lowering.child_all([*schemas, lowering.constant(value)])
        if item == lowering.nothing:
            return item
        items.append(item)
    return lowering.builder.array(items, lowering.nothing, len(items), len(items))
