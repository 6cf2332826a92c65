"""Strings and numbers: the scalar parts of a shape."""

from __future__ import annotations

from typing import TYPE_CHECKING

from structgen._errors import SchemaError

from ._numbers import Bounds
from ._shapes import FRACTION, Shape

if TYPE_CHECKING:
    from ._lower import Lowering


def lower_string(lowering: Lowering, shape: Shape) -> int:
    """Lower the strings of a shape: one regex over the decoded value."""
    low, high = shape.min_length, shape.max_length
    builder = lowering.builder
    if not shape.patterns:
        handle = lowering.shared.get((low, high))
        if handle is None:
            if 0 <= high < low:
                return lowering.dead(lowering.node, "maxLength", "minLength is larger")
            regex = builder.re_repeat(builder.re_any(), low, high)
            handle = lowering.shared[low, high] = builder.string(regex)
        return handle
    if 0 <= high < low:
        return lowering.dead(lowering.node, "maxLength", "minLength is larger")
    parts = [lowering.pattern(node, "pattern", pattern) for node, pattern in shape.patterns]
    if low > 0 or high >= 0:
        parts.append(builder.re_repeat(builder.re_any(), low, high))
    if len(parts) == 1:
        return builder.string(parts[0])
    regex = builder.re_intersection(parts)
    if builder.re_is_empty(regex):
        return lowering.dead(shape.patterns[0][0], "pattern", "no string matches with the other constraints")
    return builder.string(regex)


def lower_number(lowering: Lowering, shape: Shape) -> int:
    """Lower the numbers (or only the integers) of a shape: one regex over the digits."""
    only_integers = not shape.types & FRACTION
    key = (only_integers, shape.low, shape.low_open, shape.high, shape.high_open)
    handle = lowering.shared.get(key)
    if handle is None:
        regex = _number_regex(lowering, shape, only_integers)
        handle = lowering.nothing if lowering.builder.re_is_empty(regex) else lowering.builder.lexeme(regex)
        lowering.shared[key] = handle
    if handle == lowering.nothing:
        lowering.dead(lowering.node, None, "no number lies within the bounds")
    return handle


def _number_regex(lowering: Lowering, shape: Shape, only_integers: bool) -> int:
    bounds = Bounds(shape.low, shape.low_open, shape.high, shape.high_open)
    if only_integers and lowering.integers_have_digits_only:
        return lowering.numbers.integers(bounds)
    if not only_integers and shape.low is None and shape.high is None:
        return lowering.numbers.any_number()
    if lowering.options.all_numbers:
        return lowering.numbers.all_spellings(bounds, only_integers)
    return lowering.numbers.decimals(bounds)


def all_ascii(strings: list[str]) -> bool:
    """Tell whether all of the strings are ASCII; keys that are no strings are refused."""
    try:
        return "".join(strings).isascii()
    except TypeError:
        raise SchemaError("the keys of an object must be strings") from None


def speakable(strings: list[str]) -> list[str]:
    """Drop the strings with lone surrogates: no UTF-8 text spells them without an escape."""
    if all_ascii(strings):
        return strings
    return [text for text in strings if not any("\ud800" <= char <= "\udfff" for char in text)]
