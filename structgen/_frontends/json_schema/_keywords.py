"""The keywords: one function each, which merges a keyword of one schema node into a shape.

A function takes the lowering, the shape, the schema node and the keyword's value. Keywords without an
entry (annotations, unknown ones) put no constraint on anything.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from structgen._errors import SchemaError

from ._dialects import Dialect
from ._formats import format_of
from ._options import COUNT_LIMIT
from ._shapes import NULL, TYPE_BITS, Shape

if TYPE_CHECKING:
    from ._lower import Lowering

Handler = Callable[["Lowering", Shape, dict[str, Any], Any], None]

# -- values of keywords --------------------------------------------------------------------

_PLAIN = frozenset((str, int, bool, type(None)))


def _count(lowering: Lowering, node: Any, keyword: str, value: Any) -> int:
    number = number_of(value)
    if number is None or number < 0 or number != number.to_integral_value():
        raise lowering.error(node, keyword, "the value must be an integer that is not negative")
    # Larger ones are all alike, and may have a great many digits.
    return COUNT_LIMIT if number >= COUNT_LIMIT else int(number)


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
    _check_keys(lowering, node, keyword, value)
    for key, schema in value.items():
        if not isinstance(schema, (dict, bool)):
            raise not_a_schema(schema, lowering.document.pointer(node, keyword, key))


def _check_keys(lowering: Lowering, node: Any, keyword: str, value: dict[Any, Any]) -> None:
    if not _are_strings(value):
        raise lowering.error(node, keyword, "the keys of an object must be strings")


def _are_strings(values: Iterable[Any]) -> bool:
    try:
        "".join(values)  # the quickest way to look at every one
    except TypeError:
        return False
    return True


def _check_constant(lowering: Lowering, node: Any, keyword: str, value: Any) -> None:
    """Refuse what is no JSON value; Python values can also contain themselves."""
    if isinstance(value, list) and set(map(type, value)) == {str}:
        return
    stack, seen = [value], set()
    while stack:
        here = stack.pop()
        if type(here) in _PLAIN or isinstance(here, str):
            continue
        if isinstance(here, (dict, list)):
            if id(here) in seen:
                continue
            seen.add(id(here))
            if isinstance(here, dict):
                _check_keys(lowering, node, keyword, here)
            stack.extend(here.values() if isinstance(here, dict) else here)
        elif number_of(here) is None:
            raise lowering.error(node, keyword, f"{here!r} is not a JSON value")


def _schema_list(lowering: Lowering, node: Any, keyword: str, value: Any) -> None:
    if not isinstance(value, list) or not value:
        raise lowering.error(node, keyword, "the value must be an array of schemas that is not empty")
    _check_schemas(lowering, node, keyword, value)


def _check_schemas(lowering: Lowering, node: Any, keyword: str, value: list[Any]) -> None:
    for index, schema in enumerate(value):
        if not isinstance(schema, (dict, bool)):
            raise not_a_schema(schema, lowering.document.pointer(node, keyword, index))


def _check_schema(lowering: Lowering, node: Any, keyword: str, value: Any) -> None:
    if not isinstance(value, (dict, bool)):
        raise not_a_schema(value, lowering.document.pointer(node, keyword))


def not_a_schema(value: Any, pointer: str) -> SchemaError:
    """Build the error for something that stands where a schema belongs."""
    names = {type(None): "null", list: "an array", str: "a string"}
    name = names.get(type(value), "a number" if isinstance(value, (int, float)) else type(value).__name__)
    return SchemaError(f"a schema must be an object or a bool, not {name}", pointer=pointer)


# -- every type ----------------------------------------------------------------------------


def _type(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    bits = TYPE_BITS.get(value) if isinstance(value, str) else _type_list(value)
    if bits is not None and lowering.options.nullable and node.get("nullable") is True:
        bits |= NULL
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
    _check_constant(lowering, node, "enum", value)
    shape.enums += ((node, "enum"),)


def _const(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    _check_constant(lowering, node, "const", value)
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
        shape.claims += (("one", node, value, lowering.path),)


def _not(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    if value is True or value == {}:
        shape.types = 0
        lowering.dead(node, "not", "every value is excluded")
    elif value is not False:
        lowering.check_schema(node, "not", value)
        shape.claims += (("not", ("is", value)),)


def _if(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    lowering.check_schema(node, "if", value)
    then, other = (
        node[keyword] if lowering.has_keyword(node, keyword) else True for keyword in ("then", "else")
    )
    lowering.check_schema(node, "then", then)
    lowering.check_schema(node, "else", other)
    if isinstance(value, bool):
        shape.pending += ((node, "then" if value else "else", then if value else other),)
    elif then is not True or other is not True:
        shape.claims += (("if", node, value, then, other, lowering.path),)


def _with_if(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    """``then`` and ``else`` are read by ``if``."""


def _ref(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    shape.pending += ((node, "$ref", lowering.document.resolve(node, value)),)


def _dynamic_ref(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    shape.pending += ((node, "$dynamicRef", lowering.document.resolve_dynamic(node, value)),)


def _recursive_ref(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    shape.pending += ((node, "$recursiveRef", lowering.document.resolve_recursive(node, value)),)


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
    if not isinstance(value, str):
        raise lowering.error(node, "format", "the value must be a string")
    if not lowering.options.assert_formats:
        lowering.note(node, "format", "annotation", 'the option formats="annotate" says so')
        return
    known = format_of(value)
    if known is None:
        lowering.note(node, "format", "annotation", f"the format {value!r} is not known")
    else:
        shape.formats += ((node, known),)


# -- numbers -------------------------------------------------------------------------------


def _minimum(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    shape.at_least(_bound(lowering, node, "minimum", value), False)


def _maximum(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    shape.at_most(_bound(lowering, node, "maximum", value), False)


def _multiple_of(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    number = number_of(value)
    if number is None or number <= 0:
        raise lowering.error(node, "multipleOf", "the value must be a number above zero")
    shape.multiples += ((node, number),)


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
    _check_schema(lowering, node, "additionalProperties", value)
    if value is not True:
        _object_node(shape, node)


def _required(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    if not isinstance(value, list) or not _are_strings(value):
        raise lowering.error(node, "required", "the value must be an array of strings")
    if value:
        shape.required += tuple(value)


def _min_properties(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    shape.min_properties = max(shape.min_properties, _minimum_count(lowering, node, "minProperties", value))


def _max_properties(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    shape.max_properties = _maximum_count(lowering, node, "maxProperties", value, shape.max_properties)


def _property_names(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    if value is not True and value != {}:
        lowering.check_schema(node, "propertyNames", value)
        shape.property_names += ((node, value),)


def _dependencies(keyword: str, *, keys: bool = True, schemas: bool = True) -> Handler:
    """Handle ``dependencies`` or one of the two keywords that it was split into."""

    def handler(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
        if not isinstance(value, dict):
            raise lowering.error(node, keyword, "the value must be an object")
        _check_keys(lowering, node, keyword, value)
        for key, wanted in value.items():
            if isinstance(wanted, list) and keys and all(isinstance(name, str) for name in wanted):
                if not wanted:
                    continue
                then: Any = lowering.synthetic.schema(node, {"type": "object", "required": wanted})
            elif isinstance(wanted, (dict, bool)) and schemas:
                then = wanted
            else:
                expected = "an array of strings" if keys else "a schema"
                both = " or a schema" if keys and schemas else ""
                raise lowering.error(node, keyword, f"the value of {key!r} must be {expected}{both}")
            present = lowering.synthetic.schema(node, {"type": "object", "required": [key]})
            shape.claims += (("any", (("not", ("is", present)), ("is", then))),)

    return handler


def _unevaluated(keyword: str) -> Handler:
    def handler(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
        if value is not True and value != {}:
            lowering.check_schema(node, keyword, value)
            shape.claims += (("evaluated", node, keyword),)

    return handler


# -- arrays --------------------------------------------------------------------------------


def _array_node(shape: Shape, node: dict[str, Any]) -> None:
    if not shape.arrays or shape.arrays[-1] is not node:
        shape.arrays += (node,)


def _items(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    if isinstance(value, list):
        raise lowering.error(
            node, "items", "the value must be a schema in draft 2020-12", "an array of schemas is prefixItems"
        )
    _check_schema(lowering, node, "items", value)
    if value is not True:
        _array_node(shape, node)


def _items_before_2020(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    if isinstance(value, list):
        _check_schemas(lowering, node, "items", value)
        _check_schema(lowering, node, "additionalItems", node.get("additionalItems", True))
    else:
        _check_schema(lowering, node, "items", value)
    if value is not True:
        _array_node(shape, node)


def _prefix_items(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    _schema_list(lowering, node, "prefixItems", value)
    _array_node(shape, node)


def _min_items(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    shape.min_items = max(shape.min_items, _minimum_count(lowering, node, "minItems", value))


def _max_items(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    shape.max_items = _maximum_count(lowering, node, "maxItems", value, shape.max_items)


def _unique_items(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    if not isinstance(value, bool):
        raise lowering.error(node, "uniqueItems", "the value must be true or false")
    if value:
        if shape.unique is not None:
            # Of several, one stands for all; how exact it is, is known of that one only.
            lowering.note(
                shape.unique, "uniqueItems", "guarded", "another uniqueItems is about the same array"
            )
        shape.unique = node


def _contains(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    lowering.check_schema(node, "contains", value)
    low, high = 1, -1
    if lowering.has_keyword(node, "minContains"):
        low = _minimum_count(lowering, node, "minContains", node["minContains"])
    if lowering.has_keyword(node, "maxContains"):
        high = _maximum_count(lowering, node, "maxContains", node["maxContains"], -1)
    if low > 0 or high >= 0:
        shape.contains += ((node, value, low, high),)


def _with_contains(lowering: Lowering, shape: Shape, node: dict[str, Any], value: Any) -> None:
    """``minContains`` and ``maxContains`` are read by ``contains``."""


# -- the drafts ----------------------------------------------------------------------------

_COMMON: dict[str, Handler] = {
    "$ref": _ref,
    "additionalProperties": _additional_properties,
    "allOf": _all_of,
    "anyOf": _any_of,
    "const": _const,
    "contains": _contains,
    "dependencies": _dependencies("dependencies"),
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
    "multipleOf": _multiple_of,
    "not": _not,
    "oneOf": _one_of,
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "properties": _properties,
    "propertyNames": _property_names,
    "required": _required,
    "type": _type,
    "uniqueItems": _unique_items,
}

_DRAFT_6: dict[str, Handler] = _COMMON
_DRAFT_7: dict[str, Handler] = {**_DRAFT_6, "else": _with_if, "if": _if, "then": _with_if}
_DRAFT_2019: dict[str, Handler] = {
    **{key: handler for key, handler in _DRAFT_7.items() if key != "dependencies"},
    "$recursiveRef": _recursive_ref,
    "dependentRequired": _dependencies("dependentRequired", schemas=False),
    "dependentSchemas": _dependencies("dependentSchemas", keys=False),
    "maxContains": _with_contains,
    "minContains": _with_contains,
    "unevaluatedItems": _unevaluated("unevaluatedItems"),
    "unevaluatedProperties": _unevaluated("unevaluatedProperties"),
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


@functools.cache
def keywords_of(dialect: Dialect) -> dict[str, Handler]:
    """Return the keywords of a dialect that constrain."""
    keywords = KEYWORDS[dialect.draft]
    if not dialect.ignored:
        return keywords
    return {name: handler for name, handler in keywords.items() if name not in dialect.ignored}
