"""Regexes as bytes, and parts that may be empty in great number."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from structgen import LimitError
from structgen._core import Builder
from tests.core.grammars import byte_vocabulary, laws, regexes
from tests.core.reference import build_regex

seeds = st.integers(0, 2**32 - 1)


def builder(**limits: int) -> Builder:
    return Builder(byte_vocabulary(), **limits)


@laws(300)
@given(st.lists(regexes, min_size=1, max_size=4), seeds)
def test_regexes_come_back_as_they_were(written, seed):
    first = builder()
    handles = [build_regex(first, regex) for regex in written]
    data = first.re_write(handles)
    # In the tables that they are from, they are the same.
    assert first.re_read(data) == handles
    second = builder()
    second.re_literal(f"something else {seed}")
    read = second.re_read(data)
    # Elsewhere, as when they are made there: equal residuals are equal handles.
    for handle, made in zip(read, [build_regex(second, regex) for regex in written], strict=True):
        one = second.re_intersection([handle, second.re_complement(made)])
        other = second.re_intersection([made, second.re_complement(handle)])
        assert second.re_is_empty(one)
        assert second.re_is_empty(other)


def test_multiples_and_counts_come_back():
    first, second = builder(), builder()
    digits = first.re_repeat(first.re_chars([(48, 57)]), 2, 2**30 - 1)
    many = first.re_intersection([first.re_residue(2**60 - 1), digits])
    endless = first.re_repeat(first.re_words(["ab", "é", "😀"]), 3, -1)
    read = second.re_read(first.re_write([many, endless, first.re_none(), first.re_epsilon(), endless]))
    assert read[1] == read[4]
    assert (read[2], read[3]) == (second.re_none(), second.re_epsilon())
    assert second.re_matches(read[0], str(7 * (2**60 - 1)))
    assert not second.re_matches(read[0], str(7 * (2**60 - 1) + 1))
    assert not second.re_matches(read[0], "0")
    assert second.re_matches(read[1], "abé😀ab")
    assert not second.re_matches(read[1], "abé")


def test_long_chains_come_back():
    first, second = builder(), builder()
    text = "".join(random.Random(1).choices("abc", k=30_000))
    (read,) = second.re_read(first.re_write([first.re_literal(text)]))
    assert second.re_matches(read, text)
    assert not second.re_matches(read, text[:-1])


@laws(500)
@given(st.binary(max_size=60))
def test_any_bytes_are_safe(data):
    try:
        read = builder(max_regex_nodes=10_000).re_read(data)
    except (ValueError, LimitError):
        return
    assert all(isinstance(handle, int) for handle in read)


@laws(500)
@given(regexes, seeds)
def test_changed_bytes_are_safe(regex, seed):
    rng = random.Random(seed)
    made = builder()
    data = bytearray(made.re_write([build_regex(made, regex)]))
    for _ in range(rng.randint(1, 3)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    other = builder(max_regex_nodes=10_000)
    try:
        (read,) = other.re_read(bytes(data))
        other.re_is_nullable(read)
    except (ValueError, LimitError):
        pass


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",
        b"\x01\x00",
        b"\x01\x09\x00",  # no such kind of node
        b"\x01\x03\x01\x01\x01\x00",  # a part before the first node
        b"\x01\x02\x01\xff\xff\x43\x01\x01\x00",  # beyond the last character
        b"\x02\x01\x07\x01\x05\x05\x01\x01",  # at least 5, at most 4
        b"\x01\x08\x00\x01\x00",  # multiples of zero
        b"\x01\x01\x01\x01",  # no such root
        b"\x01\x01\x01\x00\x00",  # more behind it
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    ],
)
def test_other_bytes_are_refused(data):
    with pytest.raises(ValueError, match="no regexes"):
        builder().re_read(data)


def test_handles_are_checked():
    with pytest.raises(ValueError, match="not a regex handle"):
        builder().re_write([10**6])


@pytest.mark.parametrize("count", [3000, 5000, 100_000])
def test_many_parts_that_may_be_empty(count):
    made = builder()
    part = made.choice([made.empty(), made.text(made.re_literal("a"))])
    automaton = made.finish(made.sequence([part] * count))
    assert automaton is not None
    if count < 4000:
        assert automaton.accepts(automaton.advance_bytes(automaton.start, b"aaa"))
    else:
        with pytest.raises(LimitError, match="4000 parts that may be empty"):
            automaton.mask(automaton.start)


def test_hidden_left_recursion_is_a_limit():
    made = builder()
    rule = made.rule()
    gap = made.choice([made.empty(), made.text(made.re_literal("b"))])
    made.define(rule, made.choice([made.text(made.re_literal("a")), made.sequence([gap, rule, gap])]))
    automaton = made.finish(rule)
    assert automaton is not None
    with pytest.raises(LimitError, match="begins with itself"):
        automaton.mask(automaton.start)
