"""Numbers: exact decimal ranges as regexes over the spellings of JSON numbers.

A range of decimals is turned into digits directly (no intersections), because the residuals of these
regexes are what the lexer walks. Bounds may be open or closed, negative, fractional, huge or tiny.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING

from structgen._errors import LimitError

from ._multiples import ONE, Divisor, divisor_of
from ._options import DIGIT_LIMIT, EXPONENT_LIMIT, MODULUS_LIMIT

if TYPE_CHECKING:
    from structgen._core import Builder

# A magnitude: its integer digits (canonical, "0" for zero) and its fraction digits (no trailing zeros).
Magnitude = tuple[str, str]


class Bounds:
    """An interval of decimals; ``None`` is no bound."""

    __slots__ = ("high", "high_open", "low", "low_open")

    def __init__(self, low: Decimal | None, low_open: bool, high: Decimal | None, high_open: bool) -> None:
        self.low = low
        self.low_open = low_open
        self.high = high
        self.high_open = high_open

    def holds(self, value: Decimal) -> bool:
        """Tell whether ``value`` lies in the interval."""
        if self.low is not None and (value < self.low or (self.low_open and value == self.low)):
            return False
        return self.high is None or not (value > self.high or (self.high_open and value == self.high))

    def negated(self) -> Bounds:
        """Return the interval of the negated values."""
        low = None if self.low is None else self.low.copy_negate()
        high = None if self.high is None else self.high.copy_negate()
        return Bounds(high, self.high_open, low, self.low_open)

    def scaled(self, exponent: int) -> Bounds:
        """Return the interval of the values times ten to ``exponent``."""
        low = None if self.low is None else _scale(self.low, exponent)
        high = None if self.high is None else _scale(self.high, exponent)
        return Bounds(low, self.low_open, high, self.high_open)


_EVERYTHING = Bounds(None, False, None, False)


def _scale(value: Decimal, exponent: int) -> Decimal:
    sign, digits, power = value.as_tuple()
    assert isinstance(power, int)
    return Decimal((sign, digits, power + exponent))


def magnitude(value: Decimal) -> Magnitude:
    """Split the absolute value into digits; :class:`LimitError` when there are too many of them."""
    _, digit_tuple, power = value.as_tuple()
    assert isinstance(power, int)
    digits = "".join(map(str, digit_tuple)).lstrip("0")
    if not digits:
        return "0", ""
    stripped = digits.rstrip("0")
    power += len(digits) - len(stripped)
    if max(len(stripped) + power, -power) > DIGIT_LIMIT:
        raise LimitError(
            f"a numeric bound or constant needs more than {DIGIT_LIMIT} decimal digits", value=DIGIT_LIMIT
        )
    if power >= 0:
        return stripped + "0" * power, ""
    if -power >= len(stripped):
        return "0", "0" * (-power - len(stripped)) + stripped
    return stripped[:power], stripped[power:]


def _as_long_as(bounds: Bounds, zeros: int = 0) -> str | None:
    """Return the largest integer with as many digits as those of an interval may have, without last zeros."""
    return None if bounds.high is None else "9" * (len(magnitude(bounds.high)[0]) - zeros) or "0"


class NumberRegexes:
    """Builds the regexes of numbers; one per builder, so that common pieces are made once."""

    def __init__(self, builder: Builder) -> None:
        self._builder = builder
        self._digits: dict[tuple[int, int], int] = {}
        self.digit = self._between(0, 9)
        self.any_digits = builder.re_repeat(self.digit, 0, -1)
        self.dot = builder.re_literal(".")

    @cached_property
    def any_fraction(self) -> int:
        """The rest of a number after its integer digits: any fraction, or nothing."""
        return self._optional(self._concat(self.dot, self._builder.re_repeat(self.digit, 1, -1)))

    @cached_property
    def zero_fraction(self) -> int:
        """A fraction that is zero, or nothing."""
        zeros = self._builder.re_repeat(self._builder.re_literal("0"), 1, -1)
        return self._optional(self._concat(self.dot, zeros))

    @cached_property
    def zeros(self) -> int:
        """Any number of zeros."""
        return self._builder.re_repeat(self._builder.re_literal("0"), 0, -1)

    @cached_property
    def positive_digits(self) -> int:
        """Digits of which at least one is not zero."""
        return self._concat(self.zeros, self._between(1, 9), self.any_digits)

    # -- whole numbers, by sign ------------------------------------------------------------

    def integers(self, bounds: Bounds) -> int:
        """Spell every integer of the interval with digits only (``-0`` spells zero)."""
        return self._signed(bounds, self._natural)

    def decimals(self, bounds: Bounds) -> int:
        """Spell every number of the interval with digits and an optional fraction."""
        return self._signed(bounds, self._decimal)

    def _signed(self, bounds: Bounds, unsigned: Callable[[Bounds], int]) -> int:
        if bounds.low is None and bounds.high is None:
            return self._concat(self._sign(), unsigned(bounds))
        parts = []
        if bounds.high is None or bounds.high >= 0:
            parts.append(unsigned(bounds))
        negated = bounds.negated()
        if negated.high is None or negated.high >= 0:
            parts.append(self._concat(self._builder.re_literal("-"), unsigned(negated)))
        return self._builder.re_union(parts)

    def _natural(self, bounds: Bounds) -> int:
        low = "0"
        if bounds.low is not None and bounds.low >= 0:
            low, fraction = magnitude(bounds.low)
            if fraction or bounds.low_open:
                low = str(int(low) + 1)
        if bounds.high is None:
            return self._naturals(low, None)
        high, fraction = magnitude(bounds.high)
        if not fraction and bounds.high_open:
            if high == "0":
                return self._builder.re_none()
            high = str(int(high) - 1)
        return self._naturals(low, high)

    def _decimal(self, bounds: Bounds) -> int:
        low, low_fraction, low_open = "0", "", False
        if bounds.low is not None and bounds.low >= 0:
            (low, low_fraction), low_open = magnitude(bounds.low), bounds.low_open
        if bounds.high is None:
            high: str | None = None
            high_fraction = ""
        else:
            high, high_fraction = magnitude(bounds.high)
            if _shorter(high, low):
                return self._builder.re_none()
        literal, concat = self._builder.re_literal, self._concat
        if high == low:
            return concat(
                literal(low), self._fraction(low_fraction, low_open, high_fraction, bounds.high_open)
            )
        parts = [concat(literal(low), self._fraction(low_fraction, low_open, None, False))]
        if high is None:
            parts.append(concat(self._naturals(str(int(low) + 1), None), self.any_fraction))
        else:
            between = self._naturals(str(int(low) + 1), str(int(high) - 1))
            parts.append(concat(between, self.any_fraction))
            parts.append(concat(literal(high), self._fraction("", False, high_fraction, bounds.high_open)))
        return self._builder.re_union(parts)

    # -- digits ----------------------------------------------------------------------------

    def _naturals(self, low: str, high: str | None) -> int:
        """Spell the integers from ``low`` to ``high``, both of them canonical and not negative."""
        if high is not None and _shorter(high, low):
            return self._builder.re_none()
        if high is not None and len(low) == len(high):
            return self._same_length(low, high)
        parts = []
        if low == "0":
            parts.append(self._builder.re_literal("0"))
            low = "1"
        length = len(low)
        if low.strip("0") == "1":
            # A power of ten: every number with as many digits is at least that large.
            length -= 1
        else:
            parts.append(self._same_length(low, "9" * length))
        longest = -1 if high is None else len(high) - 1
        if high is not None and high == "9" * len(high):
            longest += 1
        elif high is not None:
            parts.append(self._same_length("1" + "0" * (len(high) - 1), high))
        if longest == -1 or longest > length:
            rest = self._builder.re_repeat(self.digit, length, longest if longest == -1 else longest - 1)
            parts.append(self._concat(self._between(1, 9), rest))
        return self._builder.re_union(parts)

    def _same_length(self, low: str, high: str) -> int:
        """Spell the digit strings between two of the same length."""
        common = 0
        while common < len(low) and low[common] == high[common]:
            common += 1
        if common == len(low):
            return self._builder.re_literal(low)
        above, below = self._builder.re_epsilon(), self._builder.re_epsilon()
        rest = len(low) - common - 1
        for index in range(rest):
            any_rest = self._builder.re_repeat(self.digit, index, index)
            at = len(low) - 1 - index
            above = self._step(above, low[at], self._between(int(low[at]) + 1, 9), any_rest)
            below = self._step(below, high[at], self._between(0, int(high[at]) - 1), any_rest)
        first_low, first_high = int(low[common]), int(high[common])
        parts = [
            self._concat(self._between(first_low, first_low), above),
            self._concat(
                self._between(first_low + 1, first_high - 1), self._builder.re_repeat(self.digit, rest, rest)
            ),
            self._concat(self._between(first_high, first_high), below),
        ]
        return self._concat(self._builder.re_literal(low[:common]), self._builder.re_union(parts))

    def _step(self, tail: int, digit: str, others: int, any_rest: int) -> int:
        """Put one digit in front: the bound's own one keeps ``tail``, a free one is followed by anything."""
        return self._builder.re_union(
            [self._concat(self._builder.re_literal(digit), tail), self._concat(others, any_rest)]
        )

    # -- fractions -------------------------------------------------------------------------

    def _fraction(self, low: str, low_open: bool, high: str | None, high_open: bool) -> int:
        """Spell the fractions between ``.low`` and ``.high`` (``None``: below one), dot included."""
        if high is not None and (low > high or (low == high and (low_open or high_open))):
            # Without trailing zeros, fractions compare as strings do.
            return self._builder.re_none()
        if not low and not low_open and high is None:
            return self.any_fraction
        if low or low_open:
            return self._concat(self.dot, self._digit_tail(low, low_open, high, high_open))
        if not high:
            return self.zero_fraction
        tail = self._tail_below(high[1:], high_open)
        first = self._step(tail, high[0], self._between(0, int(high[0]) - 1), self.any_digits)
        return self._optional(self._concat(self.dot, first))

    def _digit_tail(self, low: str, low_open: bool, high: str | None, high_open: bool) -> int:
        """Spell the digits after a dot between two fractions, the lower one of them not zero or open."""
        if high is None:
            return self._tail_above(low, low_open)
        common = 0
        while common < len(low) and common < len(high) and low[common] == high[common]:
            common += 1
        prefix, low, high = high[:common], low[common:], high[common:]
        # `low` is a proper prefix of `high`, or their next digits differ, or both are empty and closed.
        if not high:
            tail = self.zeros
        elif not low and low_open:
            tail = self._tail_above_zero(high, high_open)
        elif not low:
            tail = self._tail_below(high, high_open)
        else:
            first_low, first_high = int(low[0]), int(high[0])
            tail = self._builder.re_union(
                [
                    self._concat(self._between(first_low, first_low), self._tail_above(low[1:], low_open)),
                    self._concat(self._between(first_low + 1, first_high - 1), self.any_digits),
                    self._concat(
                        self._between(first_high, first_high), self._tail_below(high[1:], high_open)
                    ),
                ]
            )
        return self._concat(self._builder.re_literal(prefix), tail)

    def _tail_above(self, low: str, low_open: bool) -> int:
        tail = self.positive_digits if low_open else self.any_digits
        for digit in reversed(low):
            tail = self._step(tail, digit, self._between(int(digit) + 1, 9), self.any_digits)
        return tail

    def _tail_below(self, high: str, high_open: bool) -> int:
        """Spell the digits whose value is below ``.high``; missing digits are zeros."""
        tail = self._builder.re_none() if high_open else self.zeros
        for digit in reversed(high):
            smaller = self._between(0, int(digit) - 1)
            tail = self._step(tail, digit, smaller, self.any_digits)
            # The text may end here: what is missing is zero, and the bound's rest is not.
            tail = self._optional(tail)
        return tail

    def _tail_above_zero(self, high: str, high_open: bool) -> int:
        """Spell the digits whose value is above zero and below ``.high``."""
        zeros = len(high) - len(high.lstrip("0"))
        first = int(high[zeros])
        rest = self._concat(self._between(first, first), self._tail_below(high[zeros + 1 :], high_open))
        parts = [
            rest,
            self._concat(self._between(1, first - 1), self.any_digits),
            self._concat(self._between(0, 0), self.positive_digits),
        ]
        return self._concat(self._builder.re_literal(high[:zeros]), self._builder.re_union(parts))

    # -- every spelling --------------------------------------------------------------------

    def all_spellings(self, bounds: Bounds, only_integers: bool) -> int:
        """Spell every number (or integer) of the interval, with exponents up to the documented limit."""
        if only_integers:
            return self.multiples(ONE, bounds, True)
        parts = [self._any_zero()] if bounds.holds(Decimal(0)) else []
        for exponent in range(-EXPONENT_LIMIT, EXPONENT_LIMIT + 1):
            mantissa = self.decimals(bounds.scaled(-exponent))
            parts.append(self._concat(mantissa, self._exponent(exponent)))
        return self._builder.re_union(parts)

    def all_spellings_of(self, values: Iterable[Decimal]) -> int:
        """Spell each of these numbers, with exponents up to the documented limit."""
        values = list(values)
        parts = [self._any_zero()] if any(value == 0 for value in values) else []
        for exponent in range(-EXPONENT_LIMIT, EXPONENT_LIMIT + 1):
            mantissa = self.decimal_values(_scale(value, -exponent) for value in values)
            parts.append(self._concat(mantissa, self._exponent(exponent)))
        return self._builder.re_union(parts)

    def _any_zero(self) -> int:
        zero = self._concat(self._sign(), self._builder.re_literal("0"), self.zero_fraction)
        return self._concat(zero, self.any_exponent())

    def any_number(self) -> int:
        """Spell every JSON number."""
        naturals = self._naturals("0", None)
        return self._concat(self._sign(), naturals, self.any_fraction, self._optional(self.any_exponent()))

    def any_exponent(self) -> int:
        """Spell every exponent part, letter included."""
        sign = self._optional(self._builder.re_chars([(43, 43), (45, 45)]))
        return self._concat(self._letter(), sign, self._builder.re_repeat(self.digit, 1, -1))

    def _exponent(self, exponent: int) -> int:
        literal = self._builder.re_literal
        if exponent == 0:
            sign = self._optional(self._builder.re_chars([(43, 43), (45, 45)]))
            return self._optional(
                self._concat(self._letter(), sign, self._builder.re_repeat(literal("0"), 1, -1))
            )
        sign = literal("-") if exponent < 0 else self._optional(literal("+"))
        return self._concat(self._letter(), sign, self.zeros, literal(str(abs(exponent))))

    # -- sets of values, each spelled in every way that a mode has ---------------------------

    def universe(self, all_numbers: bool) -> int:
        """Spell every number: the set that the complements of the following ones are taken in.

        Without ``all_numbers`` there are no exponents. With it they are within the documented limit, which
        zero does not have.
        """
        plain = self.decimals(_EVERYTHING)
        if not all_numbers:
            return plain
        exponents = [self._exponent(exponent) for exponent in range(-EXPONENT_LIMIT, EXPONENT_LIMIT + 1)]
        bounded = self._concat(plain, self._builder.re_union(exponents))
        return self._builder.re_union([self._any_zero(), bounded])

    def bounded(self, bounds: Bounds, all_numbers: bool) -> int:
        """Spell the numbers of an interval."""
        return self.all_spellings(bounds, False) if all_numbers else self.decimals(bounds)

    def values(self, values: Iterable[Decimal], all_numbers: bool) -> int:
        """Spell these numbers."""
        return self.all_spellings_of(values) if all_numbers else self.decimal_values(values)

    def integral(self, all_numbers: bool) -> int:
        """Spell the whole numbers."""
        return self.multiples(ONE, _EVERYTHING, all_numbers)

    def multiples_of(self, value: Decimal, all_numbers: bool) -> int:
        """Spell the multiples of a positive number."""
        return self.multiples(divisor_of(value), _EVERYTHING, all_numbers)

    def multiples(self, divisor: Divisor, bounds: Bounds, all_numbers: bool) -> int:
        """Spell the multiples of a divisor in an interval.

        The language is an intersection, but one in which a search sees early that nothing follows.
        """
        if not all_numbers:
            return self._decimal_multiples(divisor, bounds)
        parts = [self._any_zero()] if bounds.holds(Decimal(0)) else []
        coprime = 1
        if bounds.low is None and bounds.high is None:
            # Exponents make no difference to it; the bounds would have to know it, though.
            coprime, divisor = divisor.without_tens()
        for exponent in range(-EXPONENT_LIMIT, EXPONENT_LIMIT + 1):
            mantissa = self._decimal_multiples(divisor.scaled(-exponent), bounds.scaled(-exponent))
            parts.append(self._concat(mantissa, self._exponent(exponent)))
        regex = self._builder.re_union(parts)
        if coprime == 1:
            return regex
        mantissa = self._concat(self._sign(), self._builder.re_residue(coprime))
        exponent_part = self._optional(self.any_exponent())
        return self._builder.re_intersection([regex, self._concat(mantissa, exponent_part)])

    def whole_multiples(self, divisor: Divisor, bounds: Bounds) -> int:
        """Spell the multiples of a whole divisor in an interval, with digits only."""
        significand, exponent = divisor
        if significand > 1 and significand * 10**exponent < MODULUS_LIMIT:
            significand, exponent = significand * 10**exponent, 0

        def unsigned(half: Bounds) -> int:
            if exponent == 0:
                return self._divisible(self._naturals("0", _as_long_as(half)), significand)
            literal = self._builder.re_literal
            digits = self._divisible(self._naturals("1", _as_long_as(half, exponent)), significand)
            return self._builder.re_union([self._concat(digits, literal("0" * exponent)), literal("0")])

        return self._within(unsigned, bounds, self._natural)

    def _decimal_multiples(self, divisor: Divisor, bounds: Bounds) -> int:
        """Spell the multiples in an interval with digits and an optional fraction."""
        significand, exponent = divisor
        if exponent >= 0:
            return self._concat(self.whole_multiples(divisor, bounds), self.zero_fraction)
        places = -exponent
        # What all digits, read as one number, must be divisible by depends on the length of the fraction.
        missing = range(places, -1, -1)
        moduli = [significand // math.gcd(significand, 10**count) for count in missing]
        return self._within(
            lambda half: self._fractional_multiples(self._naturals("0", _as_long_as(half)), moduli),
            bounds,
            self._decimal,
        )

    def _fractional_multiples(self, whole: int, moduli: list[int]) -> int:
        """Spell multiples with `whole` before the dot, by what the digits without it are divisible by."""
        places, first = len(moduli) - 1, moduli[0]
        # Only where the fraction has as many places as the divisor may zeros follow.
        free = min(moduli.count(first), places) - 1
        digits = whole
        if free:
            fraction = self._concat(self.dot, self._builder.re_repeat(self.digit, 1, free))
            digits = self._concat(whole, self._optional(fraction))
        parts = [self._divisible(digits, first)]
        for length in range(free + 1, places + 1):
            digits = self._builder.re_repeat(self.digit, length, length)
            if first == 1:
                # The last digits decide, and all of them are in the fraction.
                digits = self._concat(whole, self.dot, self._divisible(digits, moduli[length]))
            else:
                digits = self._divisible(self._concat(whole, self.dot, digits), moduli[length])
            parts.append(self._concat(digits, self.zeros) if length == places else digits)
        return self._builder.re_union(parts)

    def _divisible(self, digits: int, modulus: int) -> int:
        if modulus == 1:
            return digits
        return self._builder.re_intersection([digits, self._builder.re_residue(modulus)])

    def _within(
        self, multiples: Callable[[Bounds], int], bounds: Bounds, interval: Callable[[Bounds], int]
    ) -> int:
        """Spell the multiples in an interval, given those that are as long and those of the interval.

        Sign by sign: multiples with no more digits than the bound of this sign has let a search see early
        that nothing follows, where it would else try all the digits that the bound leaves.
        """

        def unsigned(half: Bounds) -> int:
            found = multiples(half)
            from_zero = half.low is None or half.low < 0 or (half.low == 0 and not half.low_open)
            if half.high is None and from_zero:
                return found
            return self._builder.re_intersection([interval(half), found])

        return self._signed(bounds, unsigned)

    # -- enumerations ----------------------------------------------------------------------

    def integer_values(self, values: Iterable[Decimal]) -> int:
        """Spell these integers with digits only."""
        texts = set()
        for value in values:
            digits, _ = magnitude(value)
            if digits == "0":
                texts |= {"0", "-0"}
            else:
                texts.add("-" + digits if value < 0 else digits)
        return self._builder.re_words(sorted(texts))

    def decimal_values(self, values: Iterable[Decimal]) -> int:
        """Spell these numbers with digits and a fraction, trailing zeros allowed."""
        integers, fractions = [], set()
        for value in values:
            digits, fraction = magnitude(value)
            if fraction:
                fractions.add(("-" if value < 0 else "") + digits + "." + fraction)
            else:
                integers.append(value)
        parts = []
        if integers:
            parts.append(self._concat(self.integer_values(integers), self.zero_fraction))
        if fractions:
            parts.append(self._concat(self._builder.re_words(sorted(fractions)), self.zeros))
        return self._builder.re_union(parts)

    # -- small pieces ----------------------------------------------------------------------

    def _between(self, low: int, high: int) -> int:
        handle = self._digits.get((low, high))
        if handle is None:
            empty = low > high
            handle = self._builder.re_none() if empty else self._builder.re_chars([(48 + low, 48 + high)])
            self._digits[low, high] = handle
        return handle

    def _concat(self, *parts: int) -> int:
        return self._builder.re_concat(parts)

    def _optional(self, regex: int) -> int:
        return self._builder.re_repeat(regex, 0, 1)

    def _sign(self) -> int:
        return self._optional(self._builder.re_literal("-"))

    def _letter(self) -> int:
        return self._builder.re_chars([(69, 69), (101, 101)])


def _shorter(left: str, right: str) -> bool:
    """Tell whether one canonical natural number is below another."""
    return (len(left), left) < (len(right), right)
