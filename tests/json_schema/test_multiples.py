"""Multiples and sets of numbers against exact fractions, by every spelling."""

import math
import re
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from structgen import DEAD, LimitError, Vocabulary, compile_json_schema
from structgen._core import Builder
from structgen._frontends.json_schema._multiples import Divisor, common_multiple, divisor_of, number_regex
from structgen._frontends.json_schema._numbers import Bounds, NumberRegexes
from tests.core.grammars import byte_vocabulary, laws
from tests.regex.reference import ReferenceBuilder

VOCABULARY = byte_vocabulary()
EVERYTHING = Bounds(None, False, None, False)

PLAIN = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")
# Exponents reach from -20 to 20, but those of zero.
EVERY = re.compile(rf"{PLAIN.pattern}([eE][+-]?0*([0-9]|1[0-9]|20))?|-?0(\.0+)?[eE][+-]?[0-9]+")
ANY = re.compile(rf"{PLAIN.pattern}([eE][+-]?[0-9]+)?")

divisors = st.one_of(
    st.sampled_from("1 2 5 7 10 60 100 0.01 0.5 2.125 1.024 62.5 7.5 2.5 0.025 0.35 0.7 0.0625".split()),
    st.sampled_from("1e-7 1e15 3e19 1024 1e30 0.123456789 4611686018 12.5e-4 1e-30 70e20 6.75".split()),
    st.builds(lambda digits, exponent: f"{digits}e{exponent}", st.integers(1, 3000), st.integers(-6, 6)),
).map(Decimal)


@st.composite
def spellings(draw: st.DrawFn, values: st.SearchStrategy[Decimal]) -> str:
    """Write a number with an exponent or without, with needless zeros or not, rarely as no JSON number."""
    sign, digit_tuple, exponent = draw(values).as_tuple()
    shift = draw(st.sampled_from([0, 0, 1, -1, 3, -4, 19, -20, 20, 21, -22]))
    assert isinstance(exponent, int)
    text = format(Decimal((sign, digit_tuple, exponent - shift)), "f")
    if draw(st.booleans()) and "." in text:
        text = text.rstrip("0").rstrip(".")
    if draw(st.integers(0, 3)) == 0:
        text += ("" if "." in text else ".") + "0" * draw(st.integers(0, 3))
    if draw(st.booleans()):
        text = "-" + text
    if shift or draw(st.integers(0, 4)) == 0:
        letter, zeros = draw(st.sampled_from("eE")), draw(st.sampled_from(["", "0"]))
        text += letter + ("-" if shift < 0 else draw(st.sampled_from(["", "+"]))) + zeros + str(abs(shift))
    return text


@st.composite
def near(draw: st.DrawFn, divisor: Decimal) -> Decimal:
    """Draw a multiple, or a number close to one."""
    factor = Decimal(draw(st.one_of(st.integers(0, 40), st.integers(0, 10**7))))
    part = draw(st.sampled_from(["0", "0", "0", "0.5", "0.1", "0.2", "1e-3"]))
    return divisor * (factor + Decimal(part)) + Decimal(draw(st.sampled_from(["0", "0", "1", "0.01"])))


def expected(text: str, all_numbers: bool) -> Fraction | None:
    """Return the value of a text, ``None`` when it spells nothing in this mode."""
    return Fraction(Decimal(text)) if (EVERY if all_numbers else PLAIN).fullmatch(text) else None


@given(divisors, st.booleans(), st.data())
@laws(400)
def test_multiples(divisor: Decimal, all_numbers: bool, data: st.DataObject) -> None:
    b = Builder(VOCABULARY)
    regex = NumberRegexes(b).multiples_of(divisor, all_numbers)
    for _ in range(6):
        text = data.draw(spellings(near(divisor)))
        value = expected(text, all_numbers)
        multiple = value is not None and (value / Fraction(divisor)).denominator == 1
        assert b.re_matches(regex, text) == multiple, text


@pytest.mark.parametrize("divisor", ["1", "3", "10", "20", "0.5", "0.04", "2.5", "7.5", "0.7", "1.024"])
def test_every_short_number(divisor: str) -> None:
    """Exhaustive, also with an independent implementation of regexes."""
    unit = Fraction(divisor)
    for b in (Builder(VOCABULARY), ReferenceBuilder()):
        plain, every = (NumberRegexes(b).multiples_of(Decimal(divisor), mode) for mode in (False, True))  # type: ignore[arg-type]
        for integer in (*range(13), 20, 64, 100):
            for fraction in ("", ".0", ".1", ".5", ".7", ".00", ".04", ".50", ".96", ".072", ".120", ".5000"):
                text = f"{integer}{fraction}"
                multiple = (Fraction(text) / unit).denominator == 1
                assert b.re_matches(plain, text) == b.re_matches(plain, "-" + text) == multiple, text
                assert b.re_matches(every, text) == multiple
            for exponent in range(-3, 4):
                text = f"{integer}e{exponent}"
                assert b.re_matches(every, text) == ((Fraction(text) / unit).denominator == 1), text
                assert not b.re_matches(plain, text)
        for text in ("", "-", "00", "01", ".0", "0.", "0.0.0", "--0", "+0", "0e", "0e+", "1e21"):
            assert not b.re_matches(plain, text)
            assert not b.re_matches(every, text)
        assert b.re_matches(every, "-0.0E+99")


bounds_of = st.builds(
    lambda low, low_open, high, high_open: Bounds(low, low_open, high, high_open),
    st.one_of(st.none(), st.decimals(-200, 200, places=2)),
    st.booleans(),
    st.one_of(st.none(), st.decimals(-200, 200, places=2)),
    st.booleans(),
)
small = st.sampled_from("1 2 3 7 10 25 0.5 0.1 0.01 2.5 0.35 6.75 2.125".split()).map(Decimal)


@given(bounds_of, small, st.lists(st.decimals(-20, 20, places=1), max_size=4), st.booleans(), st.data())
@laws(200)
def test_sets_of_numbers_agree(
    bounds: Bounds, divisor: Decimal, values: list[Decimal], all_numbers: bool, data: st.DataObject
) -> None:
    """Each text of the universe is in exactly the sets that its value is in."""
    b = Builder(VOCABULARY)
    numbers = NumberRegexes(b)
    universe = numbers.universe(all_numbers)
    sets = {
        "bounded": numbers.bounded(bounds, all_numbers),
        "values": numbers.values(values, all_numbers),
        "integral": numbers.integral(all_numbers),
        "multiples": numbers.multiples_of(divisor, all_numbers),
        "multiples in bounds": numbers.multiples(divisor_of(divisor), bounds, all_numbers),
    }
    for name, regex in sets.items():
        note(name)
        assert b.re_is_empty(b.re_intersection([regex, b.re_complement(universe)]))
    pool = [value for value in (bounds.low, bounds.high, *values) if value is not None]
    choices = [near(divisor), st.integers(0, 300).map(Decimal)]
    if pool:
        choices.append(st.sampled_from(pool).map(abs))
    for _ in range(8):
        text = data.draw(spellings(st.one_of(choices)))
        value = expected(text, all_numbers)
        assert b.re_matches(universe, text) == (value is not None), text
        if value is None:
            continue
        inside, multiple = bounds.holds(Decimal(text)), (value / Fraction(divisor)).denominator == 1
        truths = {
            "bounded": inside,
            "values": value in map(Fraction, values),
            "integral": value.denominator == 1,
            "multiples": multiple,
            "multiples in bounds": inside and multiple,
        }
        assert {name: b.re_matches(regex, text) for name, regex in sets.items()} == truths, text


@given(bounds_of, st.lists(small, max_size=3), st.booleans(), st.booleans(), st.booleans(), st.data())
@laws(200)
def test_numbers_of_a_shape(
    bounds: Bounds,
    multiples: list[Decimal],
    only_integers: bool,
    digits: bool,
    every: bool,
    data: st.DataObject,
) -> None:
    b = Builder(VOCABULARY)
    only_integers = only_integers or digits
    regex = number_regex(
        NumberRegexes(b),
        bounds,
        multiples,
        only_integers=only_integers,
        digits_only=digits,
        all_numbers=every,
    )
    units = [Fraction(divisor) for divisor in multiples] + [Fraction(1)] * only_integers

    def holds(value: Decimal) -> bool:
        return bounds.holds(value) and all((Fraction(value) / unit).denominator == 1 for unit in units)

    if not b.re_is_empty(regex):
        assert holds(Decimal(b.re_shortest(regex)))
    elif bounds.low is not None and bounds.high is not None:
        # In thousandths; without multiples, intervals whose bounds have two decimals hold one with three.
        step = math.lcm(*(int(unit * 1000) for unit in units)) if units else 5
        low, high = math.floor(bounds.low * 1000 / step), math.ceil(bounds.high * 1000 / step)
        assert not any(holds(Decimal(n * step).scaleb(-3)) for n in range(low, high + 1))
    else:
        raise AssertionError("an unbounded interval holds multiples of everything")
    source = st.one_of(near(multiples[0] if multiples else Decimal(1)), st.integers(0, 300).map(Decimal))
    for _ in range(5):
        text = data.draw(spellings(source))
        if digits:
            value = Fraction(text) if re.fullmatch("-?(0|[1-9][0-9]*)", text) else None
        elif units or bounds.low is not None or bounds.high is not None:
            value = expected(text, every)
        else:
            value = Fraction(Decimal(text)) if ANY.fullmatch(text) else None
        assert b.re_matches(regex, text) == (value is not None and holds(Decimal(text))), text


@pytest.mark.parametrize("all_numbers", [False, True])
def test_large_divisors_in_intervals(all_numbers: bool) -> None:
    for divisor, low, high, some in [
        ("7", "1", "5", False),
        ("1e9", "1", "5e9", True),
        ("4611686018", "1", None, True),
        ("4611686018", "1", "4611686017", False),
        ("4611686018", "1", "4611686018", True),
        ("1152921504606846975", "1", "1e40", True),
        ("999999999989", "5", "1e15", True),
        ("59049e-10", "0.0000001", "0.0000058", False),
        ("1e300", "1", "1e299", False),
        ("7e300", "1", None, True),
        ("0.01", "0.001", "0.009", False),
        ("0.01", "0.001", "0.019", True),
    ]:
        b = Builder(VOCABULARY, max_emptiness_steps=5000)
        bounds = Bounds(Decimal(low), False, None if high is None else Decimal(high), False)
        regex = number_regex(
            NumberRegexes(b),
            bounds,
            [Decimal(divisor)],
            only_integers=False,
            digits_only=False,
            all_numbers=all_numbers,
        )
        assert b.re_is_empty(regex) != some
        if some:
            value = Decimal(b.re_shortest(regex))
            assert bounds.holds(value)
            assert (Fraction(value) / Fraction(Decimal(divisor))).denominator == 1


def test_divisors() -> None:
    assert divisor_of(Decimal("0.0250")) == Divisor(25, -3)
    assert divisor_of(Decimal("300")) == divisor_of(Decimal("3e2")) == Divisor(3, 2)
    assert common_multiple([Divisor(5, -1), Divisor(1, 0)]) == Divisor(1, 0)
    assert common_multiple([Divisor(4, 0), Divisor(6, 0), Divisor(25, -1)]) == Divisor(6, 1)
    assert common_multiple([Divisor(7, 0)]) == Divisor(7, 0)
    assert divisor_of(Decimal(2**60 - 1)).significand == 2**60 - 1
    for value in (Decimal(2**60), Decimal("1152921504606846977e-5"), Decimal("1e-1101"), Decimal("1e999999")):
        with pytest.raises(LimitError, match="multipleOf"):
            divisor_of(value)
    with pytest.raises(LimitError, match="multipleOf"):
        common_multiple([Divisor(2**59 + 1, 0), Divisor(3**20, 0)])
    with pytest.raises(LimitError, match="digits"):
        Divisor(7, 0).few_within(Bounds(Decimal(0), False, Decimal("1e999999999"), False))


@pytest.mark.parametrize("numbers", ["plain", "all"])
@pytest.mark.parametrize("other", ["", ', "minimum": 7', ', "minimum": -1234568', ', "not": {"const": 3}'])
def test_bounds_end_the_search_for_multiples(numbers: str, other: str) -> None:
    """Digits that a bound leaves room for, and no multiple goes on with, are known without trying all."""
    vocabulary = Vocabulary.of_bytes()
    automaton = compile_json_schema(
        f'{{"type": "number", "multipleOf": 1234567, "maximum": 99999999{other}}}',
        vocabulary,
        whitespace="compact",
        numbers=numbers,
        max_emptiness_steps=3000,
    )
    multiples = [str(number) for number in range(1234567, 10**8, 1234567)]
    for begun in ("", "1", "2", "11", "98", "9876", "12345", "123456"):
        state = automaton.advance_bytes(automaton.start, begun.encode())
        found = {digit for digit in "123456789" if automaton.step(state, ord(digit)) != DEAD}
        if numbers == "plain":
            assert found == {text[len(begun)] for text in multiples if text.startswith(begun)} - {"0"}, begun
        automaton.mask(state)
    for text in multiples:
        state = automaton.advance_bytes(automaton.start, text.encode())
        assert automaton.accepts(state)
        assert automaton.advance_bytes(state, b"1") == DEAD
