"""Typed shapes: the merged constraints of a conjunction of schemas, one group for each JSON type."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._formats import Format

NULL, BOOLEAN, STRING, INTEGER, FRACTION, ARRAY, OBJECT = 1, 2, 4, 8, 16, 32, 64
NUMBER = INTEGER | FRACTION
ALL_TYPES = 127

# The types that formulas tell apart: integers are numbers of a certain value.
KINDS = (NULL, BOOLEAN, STRING, NUMBER, ARRAY, OBJECT)

TYPE_BITS = {
    "null": NULL,
    "boolean": BOOLEAN,
    "string": STRING,
    "integer": INTEGER,
    "number": NUMBER,
    "array": ARRAY,
    "object": OBJECT,
}

# A claim about the value that a node is about, by schemas of the same value: ("is", schema), ("not", claim),
# ("all", claims), ("any", claims), ("one", node, schemas, path), ("evaluated", node, keyword),
# ("if", node, condition, then, else, path).
Claim = tuple[Any, ...]

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
    # formats that are asserted: (node, format)
    formats: tuple[tuple[Any, Format], ...] = ()
    # numbers
    multiples: tuple[tuple[Any, Decimal], ...] = ()
    low: Decimal | None = None
    low_open: bool = False
    high: Decimal | None = None
    high_open: bool = False
    # objects: the nodes that have properties, patternProperties or additionalProperties
    objects: tuple[dict[str, Any], ...] = ()
    required: tuple[str, ...] = ()
    min_properties: int = 0
    max_properties: int = -1
    # schemas of all keys: (node, schema)
    property_names: tuple[tuple[Any, Any], ...] = ()
    # arrays: the nodes that have items, prefixItems or additionalItems
    arrays: tuple[dict[str, Any], ...] = ()
    min_items: int = 0
    max_items: int = -1
    # how many items satisfy a schema: (node, schema, at least, at most)
    contains: tuple[tuple[Any, Any, int, int], ...] = ()
    # a node whose uniqueItems is true
    unique: Any = None
    # every type
    enums: tuple[tuple[Any, str], ...] = ()
    any_of: tuple[tuple[Any, list[Any], Path], ...] = ()
    # conjuncts met in this node and not merged yet: (node, keyword, schema)
    pending: tuple[tuple[Any, str, Any], ...] = ()
    # properties by whose presence the value has been told apart
    told_apart: tuple[str, ...] = ()
    # what other keywords ask of the same value
    claims: tuple[Claim, ...] = ()

    def copy(self) -> Shape:
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


def kind_of(value: Any) -> int:
    """Return the type of a JSON value."""
    if value is None:
        return NULL
    if isinstance(value, bool):
        return BOOLEAN
    if isinstance(value, str):
        return STRING
    if isinstance(value, list):
        return ARRAY
    return OBJECT if isinstance(value, dict) else NUMBER
