"""Enumerations: ``enum`` and ``const``, filtered by the other constraints of their shape."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from . import _arrays, _objects
from ._keywords import number_of
from ._numbers import Bounds
from ._scalars import speakable
from ._shapes import ARRAY, BOOLEAN, INTEGER, NULL, NUMBER, OBJECT, STRING, Shape

if TYPE_CHECKING:
    from ._lower import Lowering


def lower_enum(lowering: Lowering, shape: Shape) -> int:
    """Lower the enumerated values that the rest of the shape allows."""
    values = _common_values(lowering, shape)
    some = bool(values)
    types = shape.types
    if _is_involved(shape):
        # What the values have to satisfy is decided now, once and for all.
        rest = shape.copy()
        rest.enums = ()
        values = lowering.truth.those(rest, values)
        plain = Shape()
        plain.types = types
        plain.enums = shape.enums
        shape = plain
    strings: list[str] = []
    numbers: list[Decimal] = []
    parts: list[int] = []
    if set(map(type, values)) == {str}:
        # Most enumerations are of strings; some have thousands of them.
        strings, values = values, []
    for value in values:
        if isinstance(value, str):
            strings.append(value)
        elif value is None:
            if types & NULL:
                parts.append(lowering.null())
        elif isinstance(value, bool):
            if types & BOOLEAN:
                parts.append(
                    lowering.builder.lexeme(lowering.builder.re_literal("true" if value else "false"))
                )
        elif isinstance(value, dict):
            if types & OBJECT:
                parts.append(_objects.lower_object(lowering, shape, value))
        elif isinstance(value, list):
            if types & ARRAY:
                parts.append(_arrays.lower_array(lowering, shape, value))
        else:
            numbers.append(_number(lowering, shape, value))
    if strings and types & STRING:
        parts.append(_lower_strings(lowering, shape, strings))
    if numbers and types & NUMBER:
        parts.append(_lower_numbers(lowering, shape, numbers))
    expression = lowering.choice(parts) if parts else lowering.nothing
    if expression == lowering.nothing and some:
        node, keyword = shape.enums[0]
        lowering.dead(node, keyword, "no value satisfies the other keywords")
    return expression


def _is_involved(shape: Shape) -> bool:
    """Tell whether there are keywords besides the plain ones, which filter the values one by one."""
    return bool(
        shape.claims
        or shape.formats
        or shape.multiples
        or shape.property_names
        or shape.contains
        or shape.unique is not None
    )


def constants_of(node: Any, keyword: str) -> list[Any]:
    """Return the values that ``enum`` or ``const`` of a node holds."""
    values: list[Any] = node["enum"] if keyword == "enum" else [node["const"]]
    return values


def values_of_type(lowering: Lowering, node: Any, keyword: str, kind: int) -> list[Any]:
    """Return the values of one type that ``enum`` or ``const`` of a node holds; numbers as decimals."""
    values = constants_of(node, keyword)
    if kind == STRING:
        return [value for value in values if isinstance(value, str)]
    if kind == NULL:
        return [value for value in values if value is None]
    if kind == BOOLEAN:
        return [value for value in values if isinstance(value, bool)]
    if kind in (ARRAY, OBJECT):
        wanted = list if kind == ARRAY else dict
        return [value for value in values if isinstance(value, wanted)]
    shape = Shape()
    shape.enums = ((node, keyword),)
    return [
        _number(lowering, shape, value)
        for value in values
        if value is not None and not isinstance(value, (bool, str, list, dict))
    ]


def _number(lowering: Lowering, shape: Shape, value: Any) -> Decimal:
    number = number_of(value)
    if number is None:
        node, keyword = shape.enums[0]
        raise lowering.error(node, keyword, f"{value!r} is not a JSON value")
    return number


def _common_values(lowering: Lowering, shape: Shape) -> list[Any]:
    """Return the values that all enumerations of the shape hold."""
    lists = [constants_of(node, keyword) for node, keyword in shape.enums]
    values = lists[0]
    for other in lists[1:]:
        keys = {identity(value) for value in other}
        values = [value for value in values if identity(value) in keys]
    if len(lists) > 1 and not values:
        node, keyword = shape.enums[-1]
        lowering.dead(node, keyword, "no value is in all of the enumerations")
    return values


def identity(value: Any) -> Any:
    """Map a JSON value to a key that is equal exactly for equal values: 1 is 1.0, true is not 1."""
    if isinstance(value, (bool, str)) or value is None:
        return type(value), value
    if isinstance(value, list):
        return list, tuple(map(identity, value))
    if isinstance(value, dict):
        return dict, frozenset((key, identity(item)) for key, item in value.items())
    return Decimal, number_of(value)


def _lower_strings(lowering: Lowering, shape: Shape, strings: list[str]) -> int:
    builder = lowering.builder
    if shape.min_length or shape.max_length >= 0:
        high = shape.max_length
        strings = [
            text for text in strings if shape.min_length <= len(text) and (high < 0 or len(text) <= high)
        ]
    strings = speakable(strings)
    for node, pattern in shape.patterns:
        regex = lowering.pattern(node, "pattern", pattern)
        strings = [text for text in strings if builder.re_matches(regex, text)]
    return builder.string(builder.re_words(strings)) if strings else lowering.nothing


def _lower_numbers(lowering: Lowering, shape: Shape, numbers: list[Decimal]) -> int:
    bounds = Bounds(shape.low, shape.low_open, shape.high, shape.high_open)
    only_integers = shape.types & NUMBER == INTEGER
    numbers = [value for value in numbers if bounds.holds(value)]
    if only_integers:
        numbers = [value for value in numbers if value == value.to_integral_value()]
    if not numbers:
        return lowering.nothing
    if only_integers and lowering.integers_have_digits_only:
        regex = lowering.numbers.integer_values(numbers)
    elif lowering.options.all_numbers:
        regex = lowering.numbers.all_spellings_of(numbers)
    else:
        regex = lowering.numbers.decimal_values(numbers)
    return lowering.builder.lexeme(regex)
