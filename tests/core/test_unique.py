"""Arrays whose items are pairwise distinct."""

import itertools
import json
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from structgen import LimitError
from structgen._core import DEAD, Builder, TokenAutomaton
from tests.core.guarded import (
    accepts,
    accepts_all_tokenisations,
    agree,
    distinct,
    language,
    roam,
    spelled,
    vocabulary,
)
from tests.core.reference import loads

NATIVE, TOKENS = vocabulary(
    b'",', b'"]', b'","', b'"a"', b'["a",', b'"a","', b"1,", b",1", b"1.0", b"2]", b"[1,", b"1, ", b"0,",
    b" ,", b"}]", b"},{", b'{"a":', b"[[", b"]]", b"],[", b"true", b"e,", b"\\u00", b'61"', b"[]",
    b"1.", b".0,", b"10",
)  # fmt: skip

Make = Callable[[Builder], int]


def compiled(
    item: Make, low: int = 0, high: int = -1, spaces: int = 0, **limits: int
) -> TokenAutomaton | None:
    b = Builder(NATIVE)
    b.json_style(b.re_repeat(b.re_literal(" "), 0, spaces), True)
    return b.finish(b.array([], item(b), low, high, unique=True), **limits)


def words(*texts: str) -> Make:
    return lambda b: b.string(b.re_words(texts))


def any_string(b: Builder) -> int:
    return b.string(b.re_repeat(b.re_any(), 0, -1))


def number(b: Builder) -> int:
    """Any number of JSON."""
    digit, nonzero = b.re_chars([(48, 57)]), b.re_chars([(49, 57)])
    digits = b.re_repeat(digit, 1, -1)
    sign = b.re_repeat(b.re_chars([(43, 43), (45, 45)]), 0, 1)
    whole = b.re_union([b.re_literal("0"), b.re_concat([nonzero, b.re_repeat(digit, 0, -1)])])
    fraction = b.re_repeat(b.re_concat([b.re_literal("."), digits]), 0, 1)
    power = b.re_repeat(b.re_concat([b.re_words(["e", "E"]), sign, digits]), 0, 1)
    return b.lexeme(b.re_concat([b.re_repeat(b.re_literal("-"), 0, 1), whole, fraction, power]))


def literals(*texts: str) -> Make:
    return lambda b: b.lexeme(b.re_words(texts))


def anything(b: Builder) -> int:
    value = b.rule()
    anything_else = b.object([], [], [], [b.re_repeat(b.re_any(), 0, -1)], [value], False, 0, -1, False)
    parts = [any_string(b), number(b), b.lexeme(b.re_words(["true", "false", "null"])), anything_else]
    b.define(value, b.choice([*parts, b.array([], value, 0, -1)]))
    return value


def zero_fractions(b: Builder) -> int:
    """1, 2 and 10, each with endlessly many spellings."""
    zeros = b.re_concat([b.re_literal("."), b.re_repeat(b.re_literal("0"), 1, -1)])
    return b.lexeme(b.re_concat([b.re_words(["1", "2", "10"]), b.re_repeat(zeros, 0, 1)]))


CASES: dict[str, tuple[Make, str, int, Callable[[object], bool]]] = {
    "letters": (words("a", "b", ""), '[]",ab', 11, lambda v: v in ("a", "b", "")),
    "numbers": (
        number,
        "[],10.e-",
        6,
        lambda v: not isinstance(v, (str, bool, list, dict)) and v is not None,
    ),
    "arrays": (
        lambda b: b.array([], b.lexeme(b.re_words(["1", "2"])), 0, -1),
        "[],1 ",
        7,
        lambda v: isinstance(v, list) and all(x == 1 and not isinstance(x, bool) for x in v),
    ),
}


@pytest.mark.parametrize("bounds", [(0, -1), (2, 2), (1, 3)])
@pytest.mark.parametrize("case", CASES)
def test_the_language(case: str, bounds: tuple[int, int]) -> None:
    """Every text over a small alphabet, against a parse with exact decimals."""
    make, alphabet, length, is_item = CASES[case]
    automaton = compiled(make, *bounds, spaces=1 if " " in alphabet else 0)
    assert automaton is not None
    low, high = bounds

    def oracle(text: str) -> bool:
        try:
            value = loads(text)
        except (ValueError, RecursionError):
            return False
        if " " in text and (text.startswith(" ") or "  " in text):
            return False  # no white space in front, and one at most
        fits = isinstance(value, list) and low <= len(value) and (high < 0 or len(value) <= high)
        return fits and all(map(is_item, value)) and distinct(value)

    if len(alphabet) ** length <= 1_200_000:
        assert spelled(automaton, alphabet.encode(), length) == language(alphabet, length, oracle)
        return
    # Too many texts to list: compared among those of the same array without the constraint.
    b = Builder(NATIVE)
    b.json_style(b.re_epsilon(), True)
    plain = b.finish(b.array([], make(b), *bounds))
    assert plain is not None
    candidates = spelled(plain, alphabet.encode(), length)
    assert spelled(automaton, alphabet.encode(), length) == set(filter(oracle, candidates))


SPELLINGS = [
    ("[1,1.0]", False), ("[1,10e-1]", False), ("[1,0.1E+1]", False), ("[100,1e2]", False),
    ("[1e2,100.00]", False), ("[0,-0]", False), ("[0,0.0]", False), ("[0e5,-0.0E-7]", False),
    ("[-1,1]", True), ("[0.1,0.10]", False), ("[0.1,0.01]", True), ("[1,true]", True), ("[0,false]", True),
    ("[null,0]", True), ('[1,"1"]', True), ("[9007199254740993,9007199254740992]", True),
    ("[9007199254740993,9007199254740993.0]", False), ("[1e400,1e401]", True), ("[1e400,10e399]", False),
    ("[1e999999999999999,10e999999999999998]", False), ("[1e-999999999999999,0]", True),
    ('["a","\\u0061"]', False), ('["\\n","\\u000a"]', False), ('["\\ud83d\\ude00","😀"]', False),
    ('["é","e"]', True), ('["/","\\/"]', False), ('["","a"]', True),
    ('[{"a":1,"b":2},{"b":2,"a":1}]', False), ('[{"a":1,"b":2},{"b":1,"a":2}]', True),
    ('[{"a":[1,{}]},{"\\u0061":[1.0,{}]}]', False), ("[[1,2],[2,1]]", True), ("[[1,2],[1,2]]", False),
    ("[[],{}]", True), ("[[],[]]", False), ("[[],[[]]]", True), ('["[]",[]]', True), ("[{},{}]", False),
    ('[{"a":1,"a":2},{"a":2}]', False), ("[[1],[1.0]]", False), ("[true,true]", False),
    ("[[true],[1]]", True), ("[ 1 , 1 ]", False), ("[[1, 2],[1,2]]", False), ('["ab","a","b"]', True),
]  # fmt: skip


@pytest.mark.parametrize(("text", "fits"), SPELLINGS)
def test_equality_of_json(text: str, fits: bool) -> None:
    """As an exclusion item by item, and as a guard on the whole array; both agree with the parse."""
    assert distinct(loads(text)) == fits
    items = compiled(anything, spaces=1)
    b = Builder(NATIVE)
    b.json_style(b.re_repeat(b.re_literal(" "), 0, 1), True)
    whole = b.finish(b.guarded(b.array([], anything(b), 0, -1), b.guard("distinct", None)))
    b = Builder(NATIVE)
    b.json_style(b.re_repeat(b.re_literal(" "), 0, 1), True)
    other = b.finish(b.guarded(b.array([], anything(b), 0, -1), b.guard("distinct", None), negated=True))
    assert items is not None
    assert whole is not None
    assert other is not None
    assert accepts(items, text) == accepts(whole, text) == fits
    assert accepts(other, text) != fits


@st.composite
def scaled(draw: st.DrawFn) -> tuple[str, tuple[int, int]]:
    """A number whose exponent is next to a power of ten: its text; its digits and power of ten."""
    whole = draw(st.sampled_from(["1", "10", "1000", "12"]))
    fraction = draw(st.sampled_from(["", "0", "00", "2"]))
    power = 10 ** draw(st.sampled_from([1, 17, 18, 19, 36, 37, 60])) + draw(st.integers(-4, 4))
    power *= draw(st.sampled_from([1, -1]))
    digits, exponent = int(whole + fraction), power - len(fraction)
    while digits % 10 == 0:
        digits, exponent = digits // 10, exponent + 1
    return f"{whole}{'.' if fraction else ''}{fraction}e{power}", (digits, exponent)


@given(st.lists(scaled(), min_size=2, max_size=6))
def test_equality_of_numbers_with_long_exponents(numbers: list[tuple[str, tuple[int, int]]]) -> None:
    automaton = compiled(number)
    assert automaton is not None
    for (one, value), (other, value_too) in itertools.combinations(numbers, 2):
        assert accepts(automaton, f"[{one},{other}]") == (value != value_too)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    "make", [anything, number, any_string, words("a", "b", "ab"), literals("1", "1.0", "2", "true")]
)
def test_masks_are_steps(make: Make, seed: int) -> None:
    automaton = compiled(make, 0, 6, spaces=1)
    assert automaton is not None
    for view in (automaton, automaton.session()):
        roam(view, TOKENS, seed, 12)
    assert roam(automaton, TOKENS, seed, 12) == roam(automaton.session(), TOKENS, seed, 12)


@pytest.mark.parametrize(
    ("make", "values"),
    [
        (words("a", "b", "c"), 3),
        (literals("true", "false"), 2),
        (literals("1", "2", "3"), 3),
        (literals("1", "1.0", "1.00", "2"), 2),
        (zero_fractions, 3),
        (literals("10", "1e1", "1E1", "10.0"), 1),
        (lambda b: b.choice([b.string(b.re_words(["x"])), b.lexeme(b.re_words(["null", "0"]))]), 3),
        (lambda b: b.string(b.re_repeat(b.re_chars([(97, 98)]), 0, 1)), 3),
    ],
)  # fmt: skip
def test_finite_domains_have_no_dead_ends(make: Make, values: int) -> None:
    """As many items as there are values can be asked for, not one more; and every walk can be completed."""
    assert compiled(make, values + 1, spaces=1) is None
    for low in (values, values - 1, 0):
        automaton = compiled(make, low, spaces=1)
        assert automaton is not None
        for seed in range(25):
            rng = random.Random(seed)
            state, text = automaton.start, b""
            for _ in range(30):
                allowed = agree(automaton, TOKENS, state) - {len(TOKENS) - 1}
                if not allowed:
                    assert automaton.accepts(state)
                    break
                token = rng.choice(sorted(allowed))
                state, text = automaton.step(state, token), text + TOKENS[token]
            text += automaton.shortest(state)
            items = loads(text.decode())
            assert low <= len(items) <= values
            assert distinct(items)


def test_prefixes_leave_what_later_items_need() -> None:
    b = Builder(NATIVE)
    b.json_style(b.re_epsilon(), False)
    prefix = [b.string(b.re_words(w)) for w in (["a", "b", "c"], ["a", "b"], ["a"])]
    automaton = b.finish(b.array(prefix, b.nothing(), 3, 3, unique=True))
    assert automaton is not None
    assert spelled(automaton, b'[]",abc', 13) == {'["c","b","a"]'}
    assert automaton.shortest(automaton.start) == b'["c","b","a"]'
    b = Builder(NATIVE)
    b.json_style(b.re_epsilon(), False)
    prefix = [b.string(b.re_words(w)) for w in (["a", "b"], ["a", "b"], ["a", "b"])]
    assert b.finish(b.array(prefix, b.nothing(), 3, 3, unique=True)) is None
    b = Builder(NATIVE)
    b.json_style(b.re_epsilon(), False)
    prefix = [b.string(b.re_words(w)) for w in (["a", "b"], ["b"])]
    automaton = b.finish(b.array(prefix, b.string(b.re_words(["a", "x"])), 1, -1, unique=True))
    assert automaton is not None
    assert spelled(automaton, b'[]",abx', 13) == {'["a"]', '["b"]', '["a","b"]', '["a","b","x"]'}


def test_every_tokenisation() -> None:
    automaton = compiled(anything, spaces=1)
    assert automaton is not None
    for text, fits in (
        (b'["a","a"]', False),
        (b'["a","b"]', True),
        (b"[1,1.0]", False),
        (b"[1, 10,1.1]", True),
    ):
        for view in (automaton, automaton.session()):
            assert accepts_all_tokenisations(view, TOKENS, text) == fits


def test_shortest_avoids_what_was_seen() -> None:
    automaton = compiled(any_string, 3)
    assert automaton is not None
    for start in (b"", b"[", b'["', b'["","', b'["a'):
        state = automaton.advance_bytes(automaton.start, start)
        text = start + automaton.shortest(state)
        items = json.loads(text)
        assert len(items) == len(set(items)) == 3
    both = compiled(
        lambda b: b.choice(
            [b.object([], [], [], [], [], True, 0, -1, False), b.array([], any_string(b), 0, -1)]
        ),
        3,
    )
    assert both is not None
    assert len(both.shortest(both.start)) == len('[{},[],[""]]')


def test_nested_arrays_are_distinct_each_for_itself() -> None:
    b = Builder(NATIVE)
    b.json_style(b.re_epsilon(), False)
    inner = b.array([], b.lexeme(b.re_words(["1", "2"])), 0, -1, unique=True)
    automaton = b.finish(b.array([], inner, 0, -1, unique=True))
    assert automaton is not None
    for text, fits in (
        ("[[1],[2]]", True),
        ("[[1],[1]]", False),
        ("[[1,1]]", False),
        ("[[1,2],[2,1],[]]", True),
        ("[[],[]]", False),
    ):
        assert accepts(automaton, text) == fits
    for seed in range(6):
        roam(automaton, TOKENS, seed, 14)


def test_states_return_to_the_automaton() -> None:
    """What was seen is forgotten with the array: a session's states are the automaton's again."""
    b = Builder(NATIVE)
    b.json_style(b.re_epsilon(), False)
    automaton = b.finish(
        b.sequence([b.array([], any_string(b), 0, -1, unique=True), b.lexeme(b.re_literal("x"))])
    )
    assert automaton is not None
    session = automaton.session()
    for text in (b'["a","b"]', b'["c"]', b"[]"):
        state = session.start
        for byte in text:
            assert state != DEAD
            state = session.step(state, byte)
        assert state == automaton.advance_bytes(automaton.start, text) < 2**30
    before = automaton.stats()["states"]
    for i in range(300):
        session = automaton.session()
        assert session.advance_bytes(session.start, b'["k%d","' % i) >= 2**30
    assert automaton.stats()["states"] == before


@pytest.mark.parametrize(("size", "fits"), [(128, True), (129, False), (9000, False)])
def test_items_that_have_to_be_matched_with_values_are_limited(size: int, fits: bool) -> None:
    b = Builder(NATIVE)
    b.json_style(b.re_epsilon(), False)
    array = b.array(
        [b.string(b.re_words([f"{i}a", f"{i}b"])) for i in range(size)], b.nothing(), size, size, unique=True
    )
    if fits:
        assert b.finish(array) is not None
    else:
        with pytest.raises(LimitError, match="128 positions"):
            b.finish(array)
