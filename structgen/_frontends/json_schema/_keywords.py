"""The keywords: one function each, which merges a keyword of one schema node into a shape.

A function takes the lowering, the shape, the schema node and the keyword's value. Keywords without an
entry (annotations, unknown ones) put no constraint on anything.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ._options import COUNT_LIMIT
from ._shapes import ALL_TYPES, ARRAY, NUMBER, OBJECT, STRING, TYPE_BITS, Shape

if TYPE_CHECKING:
    from ._lower import Lowering

Handler = Callable[["Lowering", Shape, dict[str, Any], Any], None]

_KNOWN_FORMATS = frozenset(
    (
        "date", "date-time", "duration", "email", "hostname", "idn-email", "idn-hostname", "ipv4", "ipv6",
        "iri", "iri-reference", "json-pointer", "regex", "relative-json-pointer", "time", "uri",
        "uri-reference", "uri-template", "uuid",
    )
)  # fmt: skip


# -- values of keywords --------------------------------------------------------------------


def _count(lowering: Lowering, node: Any, keyword: str, value: Any) -> int:
    if isinstance(value, (float, Decimal)) and value == value // 1:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise lowering.error(node, keyword, "the value must be an integer that is not negative")
    return value


def _minimum_count(lowering: Lowering, node: Any, keyword: str, value: Any) -> int:
    count = _count(lowering, node, keyword, value)
    if count >= COUNT_LIMIT:
        raise lowering.limit(node, keyword, f"counts from {COUNT_LIMIT} on are not supported")
    return count


def _maximum_count(lowering: Lowering, node: Any, keyword: str, value: Any, known: int) -> int:
    """Merge an upper count into ``known``; -1 is no bound."""
    count = _count(lowering, node, keyword, value)
    if count >= COUNT_LIMIT:
        return known
    return count if known < 0 else min(known, count)


def number_of(value: Any) -> Decimal | None:
    """Return the exact decimal value of a JSON number, None when ``value`` is no number."""
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        return None
    # The shortest repr of a float is what stood in the schema's text.
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    return number if number.is_finite() else None


def _bound(lowering: Lowering, node: Any, keyword: str, value: Any, hint: str | None = None) -> Decimal:
    number = number_of(value)
    if number is None:
        raise lowering.error(node, keyword, "the value must be a number", hint)
    return number


def _schema_map(lowering: Lowering, node: Any, keyword: str, value: Any) -> None:
    if not isinstance(value, dict):
        raise lowering.error(node, keyword, "the value must be an object whose values are schemas")


def _schema_list(lowering: Lowering, node: Any, keyword: str, value: Any) -> None:
    if not isinstance(value, list) or not value:
        raise lowering.error(node, keyword, "the value must be an array of schemas that is not empty")


# -- every type ----------------------------------------------------------------------------


def _type(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    bits = TYPE_BITS.get(value) if isinstance(value, str) else _type_list(value)
    if bits is None:
        raise lowering.error(
            node, "type", "the value must be one of " + ", ".join(TYPE_BITS) + ", or an array of them"
        )
    if not shape.types & bits:
        lowering.dead(node, "type", "no type is left")
    shape.types &= bits


def _type_list(value: Any) -> int | None:
    if not isinstance(value, list):
        return None
    bits = 0
    for name in value:
        if not isinstance(name, str) or name not in TYPE_BITS:
            return None
        bits |= TYPE_BITS[name]
    return bits


def _enum(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    if not isinstance(value, list):
        raise lowering.error(node, "enum", "the value must be an array")
    if not value:
        lowering.dead(node, "enum", "no value is enumerated")
    shape.enums += ((node, "enum"),)


def _const(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    shape.enums += ((node, "const"),)


def _any_of(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    _schema_list(lowering, node, "anyOf", value)
    shape.any_of += ((node, value, lowering.path),)


def _all_of(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    _schema_list(lowering, node, "allOf", value)
    shape.pending += tuple((node, "allOf", branch) for branch in value)


def _one_of(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    _schema_list(lowering, node, "oneOf", value)
    if len(value) == 1:
        shape.pending += ((node, "oneOf", value[0]),)
    else:
        _refuse(shape, ALL_TYPES, node, "oneOf", "use anyOf where at most one branch can hold")


def _ref(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    shape.pending += ((node, "$ref", lowering.document.resolve(node, value)),)


def _dynamic_ref(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    shape.pending += ((node, "$dynamicRef", lowering.document.resolve_dynamic(node, value)),)


def _recursive_ref(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    shape.pending += ((node, "$recursiveRef", lowering.document.resolve_recursive(node, value)),)


def _not(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    if value is True or value == {}:
        shape.types = 0
        lowering.dead(node, "not", "every value is excluded")
    elif value is not False:
        _refuse(shape, ALL_TYPES, node, "not", None)


def _if(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    if "then" in node or "else" in node:
        _refuse(shape, ALL_TYPES, node, "if", None)


# -- strings -------------------------------------------------------------------------------


def _min_length(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    shape.min_length = max(shape.min_length, _minimum_count(lowering, node, "minLength", value))


def _max_length(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    shape.max_length = _maximum_count(lowering, node, "maxLength", value, shape.max_length)


def _pattern(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    if not isinstance(value, str):
        raise lowering.error(node, "pattern", "the value must be a string")
    shape.patterns += ((node, value),)


def _format(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    if isinstance(value, str) and value in _KNOWN_FORMATS:
        shape.refused += (
            (STRING, node, "format", f"the format {value!r} is not supported", "state it as a pattern"),
        )


# -- numbers -------------------------------------------------------------------------------


def _minimum(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    shape.at_least(_bound(lowering, node, "minimum", value), False)


def _maximum(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    shape.at_most(_bound(lowering, node, "maximum", value), False)


_EXCLUSIVE_HINT = "true and false belong to draft 4: say so with $schema or the option draft"


def _exclusive_minimum(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    shape.at_least(_bound(lowering, node, "exclusiveMinimum", value, _EXCLUSIVE_HINT), True)


def _exclusive_maximum(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    shape.at_most(_bound(lowering, node, "exclusiveMaximum", value, _EXCLUSIVE_HINT), True)


def _exclusive_minimum_draft4(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    if not isinstance(value, bool):
        raise lowering.error(node, "exclusiveMinimum", "the value must be true or false in draft 4")
    if value and "minimum" in node:
        shape.at_least(_bound(lowering, node, "minimum", node["minimum"]), True)


def _exclusive_maximum_draft4(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    if not isinstance(value, bool):
        raise lowering.error(node, "exclusiveMaximum", "the value must be true or false in draft 4")
    if value and "maximum" in node:
        shape.at_most(_bound(lowering, node, "maximum", node["maximum"]), True)


# -- objects -------------------------------------------------------------------------------


def _object_node(shape: Shape, node: dict[str, Any]) -> None:
    if not shape.objects or shape.objects[-1] is not node:
        shape.objects += (node,)


def _properties(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    _schema_map(lowering, node, "properties", value)
    _object_node(shape, node)


def _pattern_properties(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    _schema_map(lowering, node, "patternProperties", value)
    _object_node(shape, node)


def _additional_properties(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    if value is not True:
        _object_node(shape, node)


def _required(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise lowering.error(node, "required", "the value must be an array of strings")
    if value:
        shape.required += tuple(value)


def _min_properties(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    shape.min_properties = max(shape.min_properties, _minimum_count(lowering, node, "minProperties", value))


def _max_properties(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    shape.max_properties = _maximum_count(lowering, node, "maxProperties", value, shape.max_properties)


# -- arrays --------------------------------------------------------------------------------


def _array_node(shape: Shape, node: dict[str, Any]) -> None:
    if not shape.arrays or shape.arrays[-1] is not node:
        shape.arrays += (node,)


def _items(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    if isinstance(value, list):
        raise lowering.error(
            node, "items", "the value must be a schema in draft 2020-12", "an array of schemas is prefixItems"
        )
    if value is not True:
        _array_node(shape, node)


def _items_before_2020(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    if value is not True:
        _array_node(shape, node)


def _prefix_items(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    _schema_list(lowering, node, "prefixItems", value)
    _array_node(shape, node)


def _min_items(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    shape.min_items = max(shape.min_items, _minimum_count(lowering, node, "minItems", value))


def _max_items(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    shape.max_items = _maximum_count(lowering, node, "maxItems", value, shape.max_items)


# -- keywords that are not enforced yet: refused wherever they could matter ------------------


def _refuse(shape: Shape, types: int, node: dict[str, Any], keyword: str, hint: str | None) -> None:
    shape.refused += ((types, node, keyword, "the keyword is not supported", hint),)


def _unsupported(keyword: str, types: int, *trivial: Any) -> Handler:
    """Refuse a keyword for the types it is about, unless its value is one that says nothing."""

    def handler(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
        if not any(value == harmless and type(value) is type(harmless) for harmless in trivial):
            _refuse(shape, types, node, keyword, None)

    return handler


_COMMON: dict[str, Handler] = {
    "$ref": _ref,
    "additionalProperties": _additional_properties,
    "allOf": _all_of,
    "anyOf": _any_of,
    "const": _const,
    "contains": _unsupported("contains", ARRAY),
    "dependencies": _unsupported("dependencies", OBJECT, {}),
    "enum": _enum,
    "exclusiveMaximum": _exclusive_maximum,
    "exclusiveMinimum": _exclusive_minimum,
    "format": _format,
    "items": _items_before_2020,
    "maxItems": _max_items,
    "maxLength": _max_length,
    "maxProperties": _max_properties,
    "maximum": _maximum,
    "minItems": _min_items,
    "minLength": _min_length,
    "minProperties": _min_properties,
    "minimum": _minimum,
    "multipleOf": _unsupported("multipleOf", NUMBER),
    "not": _not,
    "oneOf": _one_of,
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "properties": _properties,
    "propertyNames": _unsupported("propertyNames", OBJECT, True, {}),
    "required": _required,
    "type": _type,
    "uniqueItems": _unsupported("uniqueItems", ARRAY, False),
}

_DRAFT_6: dict[str, Handler] = _COMMON
_DRAFT_7: dict[str, Handler] = {**_DRAFT_6, "if": _if}
_DRAFT_2019: dict[str, Handler] = {
    **_DRAFT_7,
    "$recursiveRef": _recursive_ref,
    "dependentRequired": _unsupported("dependentRequired", OBJECT, {}),
    "dependentSchemas": _unsupported("dependentSchemas", OBJECT, {}),
    "unevaluatedItems": _unsupported("unevaluatedItems", ARRAY, True, {}),
    "unevaluatedProperties": _unsupported("unevaluatedProperties", OBJECT, True, {}),
}
_DRAFT_2020: dict[str, Handler] = {
    **{key: handler for key, handler in _DRAFT_2019.items() if key != "$recursiveRef"},
    "$dynamicRef": _dynamic_ref,
    "items": _items,
    "prefixItems": _prefix_items,
}
_DRAFT_4: dict[str, Handler] = {
    **{key: handler for key, handler in _COMMON.items() if key not in ("const", "contains", "propertyNames")},
    "exclusiveMaximum": _exclusive_maximum_draft4,
    "exclusiveMinimum": _exclusive_minimum_draft4,
}

KEYWORDS: dict[str, dict[str, Handler]] = {
    "4": _DRAFT_4,
    "6": _DRAFT_6,
    "7": _DRAFT_7,
    "2019-09": _DRAFT_2019,
    "2020-12": _DRAFT_2020,
}

# Up to draft 7 a reference stands alone: what is next to it is ignored.
REFERENCE_ONLY: dict[str, Handler] = {"$ref": _ref}
