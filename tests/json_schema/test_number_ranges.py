"""Ranges of numbers against decimal arithmetic: every pair of bounds, every kind, many spellings."""

import itertools
import re
from decimal import Decimal

import pytest

from structgen._frontends.json_schema._numbers import Bounds, NumberRegexes
from tests.regex.reference import ReferenceBuilder

_BOUNDS = (
    "0",
    "1",
    "-1",
    "9",
    "10",
    "11",
    "100",
    "0.05",
    "-0.05",
    "1.05",
    "-2.5",
    "0.15",
    "-0.149",
    "0.249",
    "-11",
)
_INTEGERS = ("0", "1", "2", "9", "10", "11", "12", "99", "100", "101")
_FRACTIONS = (
    "",
    ".0",
    ".1",
    ".05",
    ".049",
    ".050",
    ".051",
    ".5",
    ".15",
    ".149",
    ".2",
    ".25",
    ".2499",
    ".9",
    ".10",
)
_TEXTS = [sign + i + f for sign in ("", "-") for i in _INTEGERS for f in _FRACTIONS]
_BROKEN = ["", "-", "01", "1.", ".5", "-00", "+1", "--1", "1.0.0", "1e1"]


def _holds(low: str | None, low_open: bool, high: str | None, high_open: bool, value: Decimal) -> bool:
    if low is not None and (value < Decimal(low) or (low_open and value == Decimal(low))):
        return False
    return high is None or not (value > Decimal(high) or (high_open and value == Decimal(high)))


@pytest.mark.parametrize("low", [None, *_BOUNDS])
def test_every_range(low: str | None) -> None:
    builder = ReferenceBuilder()
    numbers = NumberRegexes(builder)  # type: ignore[arg-type]
    values = [(text, Decimal(text)) for text in _TEXTS]
    for high, low_open, high_open in itertools.product((None, *_BOUNDS), (False, True), (False, True)):
        bounds = Bounds(
            None if low is None else Decimal(low),
            low_open,
            None if high is None else Decimal(high),
            high_open,
        )
        decimals, integers = numbers.decimals(bounds), numbers.integers(bounds)
        for text, value in values:
            expected = _holds(low, low_open, high, high_open, value)
            assert bounds.holds(value) == expected
            assert builder.re_matches(decimals, text) == expected, (low, low_open, high, high_open, text)
            whole = expected and "." not in text
            assert builder.re_matches(integers, text) == whole, (low, low_open, high, high_open, text)
        assert not any(builder.re_matches(regex, text) for regex in (decimals, integers) for text in _BROKEN)


_SPELLING = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_MANTISSAS = ("0", "-0", "0.00", "1", "-1", "5", "12", "0.5", "0.05", "120", "1.50", "-2.5", "1000", "0.0001")
_EXPONENTS = (
    "",
    "e0",
    "E+00",
    "e-0",
    "e1",
    "E-1",
    "e+02",
    "e-2",
    "e3",
    "e-04",
    "e20",
    "e-20",
    "e21",
    "e-21",
    "e",
    "e+",
)


@pytest.mark.parametrize(
    ("low", "high"), [(None, "12"), ("0", None), ("-2.5", "1.5"), ("0.05", "120"), ("5", "5"), ("-1", "0")]
)
@pytest.mark.parametrize("only_integers", [False, True])
def test_every_spelling(low: str | None, high: str | None, only_integers: bool) -> None:
    builder = ReferenceBuilder()
    numbers = NumberRegexes(builder)  # type: ignore[arg-type]
    bounds = Bounds(
        None if low is None else Decimal(low), False, None if high is None else Decimal(high), True
    )
    if low == high:
        bounds.high_open = False
    regex = numbers.all_spellings(bounds, only_integers)
    for mantissa, exponent in itertools.product(_MANTISSAS, _EXPONENTS):
        text = mantissa + exponent
        expected = bool(_SPELLING.fullmatch(text))
        if expected:
            value = Decimal(text)
            expected = bounds.holds(value) and (not only_integers or value == value.to_integral_value())
            # The documented limit on exponents, which zero does not have.
            expected = expected and (value == 0 or not exponent.endswith("21"))
        assert builder.re_matches(regex, text) == expected, text


def test_enumerated_values() -> None:
    builder = ReferenceBuilder()
    numbers = NumberRegexes(builder)  # type: ignore[arg-type]
    values = [Decimal("5"), Decimal("-2.5"), Decimal("0"), Decimal("1e3")]
    plain, every = numbers.decimal_values(values), numbers.all_spellings_of(values)
    for text in ("5", "5.00", "-2.5", "-2.50", "0", "-0.0", "1000", "1000.0"):
        assert builder.re_matches(plain, text)
        assert builder.re_matches(every, text)
    for text in ("50e-1", "-25E-1", "0e99", "1e3", "0.01e+5"):
        assert not builder.re_matches(plain, text)
        assert builder.re_matches(every, text)
    for text in ("5.01", "2.5", "-2.51", "1e4", "50", "100", "5e1", "05"):
        assert not builder.re_matches(plain, text)
        assert not builder.re_matches(every, text)
