"""The algebra of regexes against a matcher of a few lines, against brute force, and at its limits."""

import itertools
import random
import subprocess
import sys
import time

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from structgen import LimitError
from structgen._core import Builder
from tests.core.grammars import CHARACTERS, byte_vocabulary, laws, regexes
from tests.core.reference import (
    ANY,
    EPSILON,
    NONE,
    Re,
    RegexMatcher,
    build_regex,
    chars,
    complement,
    concat,
    intersection,
    literal,
    one_of,
    repeat,
    union,
)

SHORT = ["".join(t) for n in range(6) for t in itertools.product("ab", repeat=n)]
seeds = st.integers(0, 2**32 - 1)
VOCABULARY = byte_vocabulary()
A, B, STAR = literal("a"), literal("b"), repeat(ANY)


def builder(**limits: int) -> Builder:
    return Builder(VOCABULARY, **limits)


def around(b: Builder, handle: int, rng: random.Random) -> set[str]:
    """Random strings, and edits of shortest members of the regex and of its complement."""
    strings = {"".join(rng.choices(CHARACTERS, k=rng.randint(0, 6))) for _ in range(10)}
    for side in (handle, b.re_complement(handle)):
        if b.re_is_empty(side):
            continue
        shortest = b.re_shortest(side)
        strings |= {shortest, shortest + rng.choice(CHARACTERS), shortest[:-1], shortest[1:], shortest * 2}
    return strings


@given(regexes, seeds)
@laws(400)
def test_membership_is_that_of_the_matcher(regex: Re, seed: int) -> None:
    b = builder()
    handle = build_regex(b, regex)
    for text in [*SHORT[:15], *around(b, handle, random.Random(seed))]:
        note(repr(text))
        expected = RegexMatcher(text).matches(regex)
        assert b.re_matches(handle, text) == expected
        assert b.re_matches(b.re_complement(handle), text) != expected
    assert b.re_is_nullable(handle) == RegexMatcher("").matches(regex)


@given(regexes)
@laws(300)
def test_emptiness_and_shortest_members(regex: Re) -> None:
    """Exact on a language of 63 strings, and consistent with what brute force sees of the whole one."""
    b = builder()
    handle = build_regex(b, regex)
    members = [text for text in SHORT if RegexMatcher(text).matches(regex)]
    inside = build_regex(b, intersection(regex, repeat(one_of("ab"), 0, 5)))
    assert b.re_is_empty(inside) == (not members)
    if members:
        shortest = b.re_shortest(inside)
        assert shortest in members
        assert len(shortest) == len(members[0])
    if b.re_is_empty(handle):
        assert not members
        with pytest.raises(ValueError, match="empty"):
            b.re_shortest(handle)
    else:
        shortest = b.re_shortest(handle)
        assert RegexMatcher(shortest).matches(regex)
        assert not members or len(shortest) <= len(members[0])
        assert all(not RegexMatcher(t).matches(regex) for t in ["", *CHARACTERS] if len(t) < len(shortest))


def equal(b: Builder, left: Re, right: Re) -> bool:
    """Whether two regexes hold the same strings."""
    x, y = build_regex(b, left), build_regex(b, right)
    return all(b.re_is_empty(b.re_intersection([p, b.re_complement(q)])) for p, q in ((x, y), (y, x)))


@given(regexes, regexes, regexes)
@laws(150)
def test_laws_of_the_algebra(p: Re, q: Re, r: Re) -> None:
    b = builder()
    assert equal(b, complement(union(p, q)), intersection(complement(p), complement(q)))
    assert equal(b, concat(union(p, q), r), union(concat(p, r), concat(q, r)))
    assert equal(b, concat(concat(p, q), r), concat(p, concat(q, r)))
    assert equal(b, intersection(p, union(q, r)), union(intersection(p, q), intersection(p, r)))
    assert equal(b, union(p, intersection(p, q)), p)
    assert equal(b, repeat(p, 1, 3), union(p, concat(p, p), concat(p, p, p)))
    assert equal(b, repeat(repeat(p, 0, 2), 2, 2), repeat(p, 0, 4))
    assert equal(b, repeat(p), union(EPSILON, concat(p, repeat(p))))
    assert b.re_is_empty(build_regex(b, intersection(p, complement(p))))
    assert equal(b, union(p, complement(p)), STAR)


@given(regexes, regexes)
@laws(150)
def test_equal_handles_are_equal_regexes(p: Re, q: Re) -> None:
    """Simplification finds the same handle for what is the same by the simplest laws."""
    b = builder()
    x, y = build_regex(b, p), build_regex(b, q)
    assert b.re_complement(b.re_complement(x)) == x
    assert b.re_union([x, y]) == b.re_union([y, x, y])
    assert b.re_intersection([x, y]) == b.re_intersection([y, x, y])
    assert b.re_concat([x, b.re_epsilon()]) == b.re_concat([b.re_epsilon(), x]) == x
    assert b.re_concat([x, b.re_none()]) == b.re_none()
    assert b.re_union([x, b.re_none()]) == b.re_intersection([x, build_regex(b, STAR)]) == x
    assert b.re_repeat(x, 1, 1) == x
    if x == y:
        assert equal(builder(), p, q)


SAME = [
    (repeat(A, 0, 0), EPSILON),
    (repeat(NONE, 0, 0), EPSILON),
    (repeat(NONE), EPSILON),
    (repeat(NONE, 1), NONE),
    (repeat(EPSILON, 5, 9), EPSILON),
    (repeat(repeat(A, 2, 2), 3, 3), repeat(A, 6, 6)),
    (repeat(repeat(A)), repeat(A)),
    (repeat(repeat(A, 1), 2, 3), repeat(A, 2)),
    (repeat(repeat(A, 0, 1), 5, 7), repeat(A, 0, 7)),
    (repeat(repeat(A, 0, 1), 5), repeat(A)),
    (repeat(repeat(A, 1), 0, 1), repeat(A)),
    (concat(repeat(A, 1, 2), repeat(A, 3, 4)), repeat(A, 4, 6)),
    (concat(A, repeat(A), A), repeat(A, 2)),
    (union(repeat(A, 1, 2), repeat(A, 3, 4)), repeat(A, 1, 4)),
    (union(EPSILON, repeat(A, 1, 3)), repeat(A, 0, 3)),
    (intersection(repeat(A, 1, 4), repeat(A, 3, 9)), repeat(A, 3, 4)),
    (intersection(repeat(A, 0, 4), repeat(B, 0, 4)), EPSILON),
    (intersection(repeat(one_of("ab"), 2), repeat(one_of("bc"), 0, 3)), repeat(B, 2, 3)),
    (complement(complement(repeat(A, 2, 3))), repeat(A, 2, 3)),
    (complement(NONE), STAR),
    (complement(STAR), NONE),
    (union(), NONE),
    (intersection(), STAR),
    (concat(), EPSILON),
    (("words", ()), NONE),
    (("words", ("",)), EPSILON),
    (("words", ("ab", "a", "ab", "abc", "b")), union(*map(literal, ("b", "abc", "a", "ab")))),
    (chars(), NONE),
    (chars((98, 98), (97, 97), (97, 98)), one_of("ab")),
    (chars((0, 0xD7FF), (0xE000, 0x10FFFF)), ANY),
    (chars((0xD800, 0xDFFF)), NONE),
    (chars((0xD7FF, 0xE000)), one_of("\ud7ff\ue000")),
    (literal("\ud800"), NONE),
    (literal("a\udfffb"), NONE),
    (("words", ("\ud83d\ude00", "a")), A),
    (union(STAR, A), STAR),
    (intersection(complement(A), complement(B)), complement(one_of("ab"))),
    (concat(STAR, STAR), STAR),
]


@pytest.mark.parametrize(("left", "right"), SAME, ids=[str(i) for i in range(len(SAME))])
def test_same_languages(left: Re, right: Re) -> None:
    assert equal(builder(), left, right)


DIFFERENT = [
    (repeat(repeat(A, 2, 3), 2, 2), repeat(A, 4, 7)),
    (repeat(repeat(A, 2, 2), 0, 3), repeat(A, 0, 6)),
    (union(repeat(A, 1, 2), repeat(A, 4, 5)), repeat(A, 1, 5)),
    (union(EPSILON, repeat(A, 2, 3)), repeat(A, 0, 3)),
    (concat(repeat(A, 1, 2), repeat(B, 1, 2)), repeat(one_of("ab"), 2, 4)),
    (complement(A), one_of("b")),
    (ANY, chars((0, 0xFFFF))),
    (complement(ANY), chars()),
]


@pytest.mark.parametrize(("left", "right"), DIFFERENT, ids=[str(i) for i in range(len(DIFFERENT))])
def test_different_languages(left: Re, right: Re) -> None:
    assert not equal(builder(), left, right)


def test_surrogates_are_never_members() -> None:
    b = builder()
    for regex in (STAR, ANY, complement(A), chars((0xD000, 0xE000)), complement(NONE)):
        handle = build_regex(b, regex)
        for text in ("\ud800", "\udfff", "a\ud800", "\ud83d\ude00"):
            assert not b.re_matches(handle, text)
    assert b.re_matches(b.re_any(), "\U0001f600")
    assert b.re_matches(b.re_any(), "\ud7ff")
    assert b.re_matches(b.re_any(), "\ue000")
    assert b.re_matches(b.re_any(), "\U0010ffff")
    assert b.re_shortest(b.re_chars([(0xD800, 0xE000)])) == "\ue000"
    assert b.re_shortest(b.re_chars([(0x10FFFF, 0x10FFFF)])) == "\U0010ffff"


def test_arguments_that_are_wrong() -> None:
    b = builder()
    for ranges in ([(98, 97)], [(0, 0x110000)]):
        with pytest.raises(ValueError, match="range"):
            b.re_chars(ranges)
    for low, high in ((-1, 2), (3, 2), (0, -2)):
        with pytest.raises(ValueError, match="repetition"):
            b.re_repeat(b.re_any(), low, high)
    for low, high in ((2**30, -1), (0, 2**30), (2**62, 2**62)):
        with pytest.raises(LimitError):
            b.re_repeat(b.re_any(), low, high)
    for handle in (-1, 2**31 - 1):
        with pytest.raises(ValueError, match="handle"):
            b.re_complement(handle)
        with pytest.raises(ValueError, match="handle"):
            b.re_union([b.re_any(), handle])
    with pytest.raises(TypeError):
        b.re_chars([(-1, 5)])
    with pytest.raises(TypeError):
        b.re_literal(b"a")  # type: ignore[arg-type]
    b.finish(b.empty())
    # Regexes can still be asked about, for guards; expressions have come to an end.
    assert b.re_matches(b.re_literal("a"), "a")
    with pytest.raises(ValueError, match="finished"):
        b.text(b.re_literal("a"))


# Each either is handled or reaches a limit, and does so soon.
HEAVY = {
    "nested counts": repeat(repeat(A, 1, 1000), 1, 1000),
    "counts four deep": repeat(repeat(repeat(repeat(A, 2, 1000), 2, 1000), 2, 1000), 2, 1000),
    "nested counts of classes": repeat(concat(repeat(one_of("ab"), 3, 900), B, repeat(ANY, 1, 900)), 2, 900),
    "blow-up of determinisation": concat(repeat(one_of("ab")), A, repeat(one_of("ab"), 25, 25)),
    "its complement": complement(concat(repeat(one_of("ab")), A, repeat(one_of("ab"), 25, 25))),
    "an empty intersection of two": intersection(
        concat(repeat(one_of("ab")), A, repeat(one_of("ab"), 25, 25)),
        complement(concat(repeat(one_of("ab")), one_of("ab"), repeat(one_of("ab"), 25, 25))),
    ),
    "two letters in one place": intersection(
        concat(repeat(one_of("ab")), A, repeat(one_of("ab"), 25, 25)),
        concat(repeat(one_of("ab")), B, repeat(one_of("ab"), 25, 25)),
    ),
    "many lengths": intersection(*(repeat(repeat(one_of("ab"), n, n)) for n in (31, 37, 41, 43, 47))),
    "all but the lengths": intersection(
        *(complement(concat(STAR, A, repeat(ANY, n, n), B, STAR)) for n in range(1, 25)),
        concat(STAR, A, repeat(ANY, 200, 200), B, STAR),
    ),
    "a long literal": intersection(literal("ab" * 50_000), complement(literal("ab" * 49_999))),
    "many words": intersection(
        ("words", tuple(f"{i:05d}" for i in range(30_000))), complement(("words", ("00000", "99999")))
    ),
}


@pytest.mark.parametrize("name", HEAVY)
@pytest.mark.parametrize("budget", [1_000, 20_000])
def test_heavy_regexes_are_decided_or_refused_soon(name: str, budget: int) -> None:
    b = builder(max_regex_nodes=200_000, max_emptiness_steps=budget)
    begin = time.process_time()
    try:
        handle = build_regex(b, HEAVY[name])
        if not b.re_is_empty(handle):
            assert b.re_matches(handle, b.re_shortest(handle))
        outcome = "decided"
    except LimitError as error:
        outcome = str(error)
    assert outcome
    assert time.process_time() - begin < 20
    # The builder and its vocabulary stay usable.
    assert b.re_matches(b.re_literal("a"), "a")


def test_each_limit_is_reached() -> None:
    # Tables of their own: what another grammar has made already costs nothing.
    with pytest.raises(LimitError, match="max_regex_nodes"):
        build_regex(Builder(byte_vocabulary(), max_regex_nodes=1000), HEAVY["a long literal"])
    b = Builder(byte_vocabulary(), max_emptiness_steps=1000)
    handle = build_regex(b, HEAVY["two letters in one place"])
    with pytest.raises(LimitError, match="max_emptiness_steps"):
        b.re_is_empty(handle)
    b = Builder(byte_vocabulary(), max_regex_nodes=1000, max_emptiness_steps=1000)
    assert not b.re_is_empty(build_regex(b, intersection(repeat(A, 0, 10**6), repeat(ANY, 10**5))))


DEEP = """
from structgen import LimitError
from structgen._core import Builder
from tests.core.grammars import byte_vocabulary

b = Builder(byte_vocabulary())
handle = b.re_literal("a")
try:
    for i in range({depth}):
        handle = b.re_union([b.re_concat([handle, b.re_literal("b")]), b.re_literal("c")])
        if i % 2:
            handle = b.re_complement(handle)
    assert not b.re_is_empty(handle)
    automaton = b.finish(b.string(handle))
    automaton.mask(automaton.advance_bytes(automaton.start, b'"a'))
    automaton.shortest(automaton.start)
    print("done")
except LimitError:
    print("refused")
"""


@pytest.mark.parametrize("depth", [300, 60_000])
def test_deep_nesting_is_no_crash(depth: int) -> None:
    """Derivatives and their like must not run out of stack; tried in a process of its own."""
    code = DEEP.replace("{depth}", str(depth))
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == "done" if depth == 300 else ran.stdout.strip() in ("done", "refused")
