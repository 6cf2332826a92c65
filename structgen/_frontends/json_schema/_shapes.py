"""Typed shapes: the merged constraints of a conjunction of schemas, one group for each JSON type."""

from decimal import Decimal
from typing import Any

NULL, BOOLEAN, STRING, INTEGER, FRACTION, ARRAY, OBJECT = 1, 2, 4, 8, 16, 32, 64
NUMBER = INTEGER | FRACTION
ALL_TYPES = 127

TYPE_BITS = {
    "null": NULL,
    "boolean": BOOLEAN,
    "string": STRING,
    "integer": INTEGER,
    "number": NUMBER,
    "array": ARRAY,
    "object": OBJECT,
}

# The ids of the nodes between the start of a conjunction and a node, for the detection of cycles.
Path = tuple[int, ...]


class Shape:
    """The constraints that a conjunction of schemas puts on one value.

    The defaults are class attributes, so that ``__dict__`` holds exactly what the schemas constrain: an
    empty one means "any value", and making a shape costs one small allocation.
    Values are never changed in place, which makes copies cheap.
    """

    types: int = ALL_TYPES
    # strings
    patterns: tuple[tuple[Any, str], ...] = ()
    min_length: int = 0
    max_length: int = -1
    # numbers
    low: Decimal | None = None
    low_open: bool = False
    high: Decimal | None = None
    high_open: bool = False
    # objects: the nodes that have properties, patternProperties or additionalProperties
    objects: tuple[dict[str, Any], ...] = ()
    required: tuple[str, ...] = ()
    min_properties: int = 0
    max_properties: int = -1
    # arrays: the nodes that have items, prefixItems or additionalItems
    arrays: tuple[dict[str, Any], ...] = ()
    min_items: int = 0
    max_items: int = -1
    # every type
    enums: tuple[tuple[Any, str], ...] = ()
    any_of: tuple[tuple[Any, list[Any], Path], ...] = ()
    # conjuncts met in this node and not merged yet: (node, keyword, schema)
    pending: tuple[tuple[Any, str, Any], ...] = ()
    # keywords that cannot be enforced: (types that they are about, node, keyword, reason, hint)
    refused: tuple[tuple[int, Any, str, str, str | None], ...] = ()

    def copy(self) -> "Shape":
        """Return an independent copy."""
        other = Shape()
        other.__dict__.update(self.__dict__)
        return other

    def at_least(self, bound: Decimal, is_open: bool) -> None:
        """Merge a lower bound; an open bound is stronger than a closed one at the same place."""
        if self.low is None or bound > self.low:
            self.low, self.low_open = bound, is_open
        elif bound == self.low and is_open:
            self.low_open = True

    def at_most(self, bound: Decimal, is_open: bool) -> None:
        """Merge an upper bound; an open bound is stronger than a closed one at the same place."""
        if self.high is None or bound < self.high:
            self.high, self.high_open = bound, is_open
        elif bound == self.high and is_open:
            self.high_open = True
