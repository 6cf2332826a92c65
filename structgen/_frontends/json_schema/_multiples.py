"""Exact divisors for ``multipleOf``, and the numbers of a shape that has some."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from structgen._errors import LimitError

from ._options import DIGIT_LIMIT, MODULUS_LIMIT

if TYPE_CHECKING:
    from ._numbers import Bounds, NumberRegexes


class Divisor(NamedTuple):
    """A positive decimal, ``coprime * smooth * 10**exponent``.

    ``smooth`` is a power of two or of five and divides ``10**places``; ``coprime`` has neither factor. Powers
    of ten move the digits of a number and what they must be divisible by: only ``coprime`` knows no place.
    """

    coprime: int
    smooth: int
    places: int
    exponent: int

    def scaled(self, exponent: int) -> Divisor:
        """Return the divisor times ten to ``exponent``."""
        return self._replace(exponent=self.exponent + exponent)


def divisor_of(value: Decimal) -> Divisor:
    """Take a positive decimal apart; :class:`LimitError` when it has too many digits."""
    _, digit_tuple, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    digits = "".join(map(str, digit_tuple)).strip("0")
    exponent += len(digit_tuple) - len("".join(map(str, digit_tuple)).rstrip("0"))
    if max(len(digits) + exponent, -exponent) > DIGIT_LIMIT:
        raise LimitError(f"multipleOf needs more than {DIGIT_LIMIT} decimal digits", value=DIGIT_LIMIT)
    return _divisor(int(digits), exponent)


def common_multiple(divisors: Iterable[Divisor]) -> Divisor:
    """Return the least common multiple; :class:`LimitError` when it has too many digits."""
    divisors = list(divisors)
    exponent = min(divisor.exponent for divisor in divisors)
    scaled = (d.coprime * d.smooth * 10 ** (d.exponent - exponent) for d in divisors)
    return _divisor(math.lcm(*scaled), exponent)


def _divisor(significand: int, exponent: int) -> Divisor:
    coprime, powers = significand, {2: 0, 5: 0}
    for base in powers:
        while coprime % base == 0:
            coprime //= base
            powers[base] += 1
    tens = min(powers.values())
    places = max(powers.values()) - tens
    smooth = max(base ** (power - tens) for base, power in powers.items())
    if max(coprime, smooth) >= MODULUS_LIMIT:
        raise LimitError("multipleOf has a factor of 2**60 or more without its powers of ten", value=MODULUS_LIMIT)
    return Divisor(coprime, smooth, places, exponent + tens)


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
        Whether integers, where they are alone, have neither a fraction nor an exponent.
    all_numbers : bool
        Whether exponents are allowed where the number has bounds, divisors or is an integer.

    Returns
    -------
    int
        The regex; it may be empty.
    """
    unbounded = bounds.low is None and bounds.high is None
    digits_only = digits_only and only_integers
    if not multiples:
        if digits_only:
            return numbers.integers(bounds)
        if unbounded and not only_integers:
            return numbers.any_number()
        return numbers.all_spellings(bounds, only_integers) if all_numbers else numbers.decimals(bounds)
    divisors = [divisor_of(value) for value in multiples]
    if only_integers:
        divisors.append(divisor_of(Decimal(1)))
    try:
        # One divisor makes fewer states than several, and decides emptiness without a search.
        divisors = [common_multiple(divisors)]
    except LimitError:
        # Integers need no divisor of their own where digits are all they are spelled with.
        divisors = [common_multiple([d, divisor_of(Decimal(1))]) if digits_only else d for d in divisors]
    if digits_only:
        parts = [numbers.whole_multiples(divisor) for divisor in divisors]
        return numbers.both(parts if unbounded else [numbers.integers(bounds), *parts])
    parts = [numbers.multiples(divisor, all_numbers) for divisor in divisors]
    return numbers.both(parts if unbounded else [numbers.bounded(bounds, all_numbers), *parts])
