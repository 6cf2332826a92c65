"""Divisors of ``multipleOf``: exact decimals, and the numbers of a shape that has some."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from structgen._errors import LimitError

from ._options import DIGIT_LIMIT, MODULUS_LIMIT

if TYPE_CHECKING:
    from ._numbers import Bounds, NumberRegexes

# So many numbers are spelled one by one.
_FEW = 64


class Divisor(NamedTuple):
    """The positive decimal ``significand * 10**exponent``; ten does not divide the significand."""

    significand: int
    exponent: int

    def scaled(self, exponent: int) -> Divisor:
        """Return the divisor times ten to ``exponent``."""
        return Divisor(self.significand, self.exponent + exponent)

    def without_tens(self) -> tuple[int, Divisor]:
        """Split off the factor that has no common divisor with ten."""
        coprime = self.significand
        while (common := math.gcd(coprime, 10)) > 1:
            coprime //= common
        return coprime, Divisor(self.significand // coprime, self.exponent)

    def times(self, factor: int) -> Decimal:
        """Return a multiple."""
        sign, digits, _ = Decimal(factor * self.significand).as_tuple()
        return Decimal((sign, digits, self.exponent))

    def divides(self, value: Decimal) -> bool:
        """Tell whether a number is a multiple, at a cost that does not grow with its exponent."""
        _, digits, exponent = value.normalize(_EXACT).as_tuple()
        assert isinstance(exponent, int)
        factor = int("".join(map(str, digits)))
        shift = exponent - self.exponent
        # Neither the digits of the value nor those of the divisor end with a zero.
        return not factor or (
            shift >= 0 and factor * pow(10, shift, self.significand) % self.significand == 0
        )

    def few_within(self, bounds: Bounds) -> list[Decimal] | None:
        """Return the multiples in an interval, ``None`` when they are more than a few."""
        if bounds.low is None or bounds.high is None:
            return None
        for bound in (bounds.low, bounds.high):
            check_digits(bound, "a numeric bound")
        unit = Fraction(self.times(1))
        first, last = math.ceil(Fraction(bounds.low) / unit), math.floor(Fraction(bounds.high) / unit)
        if last - first >= _FEW + 2:
            return None
        multiples = [self.times(factor) for factor in range(first, last + 1)]
        return [value for value in multiples if bounds.holds(value)]


# Arithmetic that never rounds: there is no number with so many digits.
_EXACT = Context(prec=MAX_PREC, Emin=MIN_EMIN, Emax=MAX_EMAX)

ONE = Divisor(1, 0)


def check_digits(value: Decimal, what: str) -> None:
    """Raise :class:`LimitError` when a value needs too many digits without an exponent."""
    _, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    if value and max(len(digits) + exponent, len(digits), -exponent) > DIGIT_LIMIT:
        raise LimitError(f"{what} needs more than {DIGIT_LIMIT} decimal digits", value=DIGIT_LIMIT)


def divisor_of(value: Decimal) -> Divisor:
    """Take a positive decimal apart; :class:`LimitError` when it has too many digits."""
    check_digits(value, "a multipleOf")
    _, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    return _divisor(int("".join(map(str, digits))), exponent)


def common_multiple(divisors: Iterable[Divisor]) -> Divisor:
    """Return the least common multiple; :class:`LimitError` when it has too many digits."""
    divisors = list(divisors)
    exponent = min(divisor.exponent for divisor in divisors)
    scaled = (divisor.significand * 10 ** (divisor.exponent - exponent) for divisor in divisors)
    return _divisor(math.lcm(*scaled), exponent)


def _divisor(significand: int, exponent: int) -> Divisor:
    while significand % 10 == 0:
        significand //= 10
        exponent += 1
    if significand >= MODULUS_LIMIT:
        raise LimitError(
            "a multipleOf, or the least common multiple of several, reaches 2**60 when it is read without its"
            " dot, leading and trailing zeros",
            value=MODULUS_LIMIT,
        )
    return Divisor(significand, exponent)


def number_regex(
    numbers: NumberRegexes,
    bounds: Bounds,
    multiples: Sequence[Decimal],
    *,
    only_integers: bool,
    digits_only: bool,
    all_numbers: bool,
) -> int:
    """Spell the numbers of an interval that are multiples of all of ``multiples``.

    Parameters
    ----------
    numbers : NumberRegexes
        Makes the regexes.
    bounds : Bounds
        The interval.
    multiples : sequence of Decimal
        Positive divisors.
    only_integers : bool
        Whether other numbers are left out.
    digits_only : bool
        Whether integers, where there are no other numbers, have neither a fraction nor an exponent.
    all_numbers : bool
        Whether exponents are allowed where the number has bounds, divisors or is an integer.

    Returns
    -------
    int
        The regex; it may be empty.
    """
    digits_only = digits_only and only_integers
    if not multiples:
        if digits_only:
            return numbers.integers(bounds)
        if bounds.low is None and bounds.high is None and not only_integers:
            return numbers.any_number()
        return numbers.all_spellings(bounds, only_integers) if all_numbers else numbers.decimals(bounds)
    divisors = [divisor_of(value) for value in multiples]
    divisor = common_multiple([*divisors, ONE] if only_integers else divisors)
    few = divisor.few_within(bounds)
    if few is not None:
        return numbers.integer_values(few) if digits_only else numbers.values(few, all_numbers)
    if digits_only:
        return numbers.whole_multiples(divisor, bounds)
    return numbers.multiples(divisor, bounds, all_numbers)
