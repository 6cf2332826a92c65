"""Strings and numbers: the scalar parts of a shape."""

from __future__ import annotations

from typing import TYPE_CHECKING

from structgen._errors import LimitError, SchemaError

from ._formulas import TRUE, Formula
from ._multiples import number_regex
from ._numbers import Bounds
from ._shapes import FRACTION, NUMBER, STRING, Shape

if TYPE_CHECKING:
    from ._lower import Lowering


def lower_string(lowering: Lowering, shape: Shape, formula: Formula = TRUE) -> int:
    """Lower the strings of a shape for which a formula holds: a regex over the decoded value, and guards."""
    low, high = shape.min_length, shape.max_length
    builder = lowering.builder
    if 0 <= high < low:
        return lowering.dead(lowering.node, "maxLength", "minLength is larger")
    if not shape.patterns and not shape.formats and formula is TRUE:
        handle = lowering.shared.get((low, high))
        if handle is None:
            regex = builder.re_repeat(builder.re_any(), low, high)
            handle = lowering.shared[low, high] = builder.string(regex)
        return handle
    parts = [lowering.pattern(node, "pattern", pattern) for node, pattern in shape.patterns]
    guards = []
    for node, form in shape.formats:
        described, guard = lowering.guards.format(node, form)
        if described is not None:
            parts.append(described)
        if guard is not None:
            guards.append(guard)
    if formula is not TRUE:
        parts.append(lowering.truth.regex_of(formula, STRING))
    if low > 0 or high >= 0:
        parts.append(builder.re_repeat(builder.re_any(), low, high))
    regex = parts[0] if len(parts) == 1 else builder.re_intersection(parts) if parts else lowering.any_text()
    if (len(parts) > 1 or formula is not TRUE) and builder.re_is_empty(regex):
        node, keyword = next(iter(shape.patterns), (lowering.node, None))
        return lowering.dead(
            node, "pattern" if keyword else None, "no string matches with the other constraints"
        )
    expression = builder.string(regex)
    for guard in guards:
        expression = lowering.guards.guarded(expression, guard, False)
    return expression


def lower_number(lowering: Lowering, shape: Shape, formula: Formula = TRUE) -> int:
    """Lower the numbers (or only the integers) of a shape for which a formula holds: one regex."""
    only_integers = not shape.types & FRACTION
    if formula is not TRUE or shape.multiples:
        # Bounds and multiples in one: apart, a search would try all the digits that the bounds leave.
        makes = _multiples if shape.multiples else _number_regex
        parts = [makes(lowering, shape, only_integers)]
        if formula is not TRUE:
            parts.append(lowering.truth.regex_of(formula, NUMBER))
        handle = lowering.scalar(lowering.builder.re_intersection(parts))
    else:
        key = (only_integers, shape.low, shape.low_open, shape.high, shape.high_open)
        known = lowering.shared.get(key)
        handle = lowering.scalar(_number_regex(lowering, shape, only_integers)) if known is None else known
        lowering.shared[key] = handle
    if handle == lowering.nothing:
        lowering.dead(lowering.node, None, "no number satisfies all constraints")
    return handle


def _multiples(lowering: Lowering, shape: Shape, only_integers: bool) -> int:
    """Return the regex of the numbers of a shape with divisors."""
    bounds = Bounds(shape.low, shape.low_open, shape.high, shape.high_open)
    try:
        return number_regex(
            lowering.numbers,
            bounds,
            [value for _, value in shape.multiples],
            only_integers=only_integers,
            digits_only=lowering.integers_have_digits_only,
            all_numbers=lowering.options.all_numbers,
        )
    except LimitError:
        # Each by itself, so that it is said which one it is; else it is all of them together.
        for node, value in shape.multiples:
            lowering.multiples(node, value)
        raise


def _number_regex(lowering: Lowering, shape: Shape, only_integers: bool) -> int:
    bounds = Bounds(shape.low, shape.low_open, shape.high, shape.high_open)
    if shape.low is None and shape.high is None:
        if not only_integers:
            return lowering.regex("number", lambda: lowering.numbers.any_number())
        if lowering.integers_have_digits_only:
            return lowering.regex("integer", lambda: lowering.numbers.integers(bounds))
    if only_integers and lowering.integers_have_digits_only:
        return lowering.numbers.integers(bounds)
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
