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
    strings: list[str] = []
    numbers: list[Decimal] = []
    parts: list[int] = []
    types = shape.types
    if set(map(type, values)) == {str}:
        # Most enumerations are of strings; some have thousands of them.
        strings, values = values, []
    for value in values:
        if isinstance(value, str):
            strings.append(value)
        elif value is None:
            if types & NULL:
                lowering.refuse(shape, NULL)
                parts.append(lowering.null())
        elif isinstance(value, bool):
            if types & BOOLEAN:
                lowering.refuse(shape, BOOLEAN)
                parts.append(
                    lowering.builder.lexeme(lowering.builder.re_literal("true" if value else "false"))
                )
        elif isinstance(value, dict):
            if types & OBJECT:
                lowering.refuse(shape, OBJECT)
                parts.append(_objects.lower_object(lowering, shape, value))
        elif isinstance(value, list):
            if types & ARRAY:
                lowering.refuse(shape, ARRAY)
                parts.append(_arrays.lower_array(lowering, shape, value))
        else:
            numbers.append(_number(lowering, shape, value))
    if strings and types & STRING:
        lowering.refuse(shape, STRING)
        parts.append(_lower_strings(lowering, shape, strings))
    if numbers and types & NUMBER:
        lowering.refuse(shape, NUMBER)
        parts.append(_lower_numbers(lowering, shape, numbers))
    expression = lowering.choice(parts) if parts else lowering.nothing
    if expression == lowering.nothing and (values or strings):
        node, keyword = shape.enums[0]
        lowering.dead(node, keyword, "no value satisfies the other keywords")
    return expression


def _number(lowering: Lowering, shape: Shape, value: Any) -> Decimal:
    number = number_of(value)
    if number is None:
        node, keyword = shape.enums[0]
        raise lowering.error(node, keyword, f"{value!r} is not a JSON value")
    return number


def _common_values(lowering: Lowering, shape: Shape) -> list[Any]:
    """Return the values that all enumerations of the shape hold."""
    lists = [node["enum"] if keyword == "enum" else [node["const"]] for node, keyword in shape.enums]
    values: list[Any] = lists[0]
    for other in lists[1:]:
        keys = {_identity(value) for value in other}
        values = [value for value in values if _identity(value) in keys]
    if len(lists) > 1 and not values:
        node, keyword = shape.enums[-1]
        lowering.dead(node, keyword, "no value is in all of the enumerations")
    return values


def _identity(value: Any) -> Any:
    """Map a JSON value to a key that is equal exactly for equal values: 1 is 1.0, true is not 1."""
    if isinstance(value, (bool, str)) or value is None:
        return type(value), value
    if isinstance(value, list):
        return list, tuple(map(_identity, value))
    if isinstance(value, dict):
        return dict, frozenset((key, _identity(item)) for key, item in value.items())
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
