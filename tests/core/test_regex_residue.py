"""Multiples of a modulus as a regex: against arithmetic, in the algebra, in masks of a real vocabulary."""

import itertools
import random
from string import ascii_lowercase

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from structgen import LimitError
from structgen._core import DEAD, Builder, NativeVocabulary
from tests.core.grammars import byte_vocabulary, laws

LARGEST = 2**60 - 1
VOCABULARY = byte_vocabulary()

moduli = st.one_of(
    st.integers(1, 40),
    st.integers(1, 1 << 30),
    st.integers(1, LARGEST),
    st.builds(lambda a, b, c: 2**a * 5**b * c, st.integers(0, 20), st.integers(0, 8), st.integers(1, 9)),
)


@given(moduli, st.integers(0, 10**25), st.integers(0, 3), st.booleans(), st.randoms(use_true_random=False))
@laws(400)
def test_membership_is_divisibility(
    modulus: int, number: int, zeros: int, multiple: bool, rng: random.Random
) -> None:
    b = Builder(VOCABULARY)
    if multiple:
        number -= number % modulus
    text = "0" * zeros + str(number)
    for _ in range(rng.randint(0, 3)):
        place = rng.randint(0, len(text))
        text = text[:place] + "." + text[place:]
    assert b.re_matches(b.re_residue(modulus), text) == (number % modulus == 0)


@pytest.mark.parametrize("modulus", [1, 2, 3, 7, 10, 12, 25, 64, 100, 125, 1000])
def test_every_short_text(modulus: int) -> None:
    b = Builder(VOCABULARY)
    regex = b.re_residue(modulus)
    for length in range(5):
        for characters in itertools.product("0123456789", repeat=length):
            text = "".join(characters)
            assert b.re_matches(regex, text) == (text != "" and int(text) % modulus == 0)
    for text in (".", "..", "-0", "+0", "0e0", "0 ", " 0", "a", "٠", "\uff10"):
        assert not b.re_matches(regex, text)
    for text in ("0", ".0", "0.", "0.0", ".0.0.", "000"):
        assert b.re_matches(regex, text)


@given(moduli, st.integers(0, 10**12))
@laws(200)
def test_shortest_completions(modulus: int, start: int) -> None:
    """After a prefix, as many digits follow as a multiple needs, and never fewer."""
    b = Builder(VOCABULARY)
    prefix = str(start)
    anything = b.re_repeat(b.re_any(), 0, -1)
    regex = b.re_intersection([b.re_residue(modulus), b.re_concat([b.re_literal(prefix), anything])])
    least = next(n for n in range(20) if -start * 10**n % modulus < 10**n)
    assert len(b.re_shortest(regex)) == len(prefix) + least


@given(st.integers(1, 60), st.integers(1, 60))
@laws(60)
def test_algebra_of_divisors(left: int, right: int) -> None:
    b = Builder(VOCABULARY)
    p, q = b.re_residue(left), b.re_residue(right)
    assert b.re_is_empty(b.re_intersection([p, b.re_complement(q)])) == (left % right == 0)
    # What both divide, their least common multiple does.
    common = b.re_residue(int(np.lcm(left, right)))
    for one, other in ((b.re_intersection([p, q]), common), (common, b.re_intersection([p, q]))):
        assert b.re_is_empty(b.re_intersection([one, b.re_complement(other)]))


def test_powers_of_ten_have_few_residuals() -> None:
    b = Builder(VOCABULARY, max_regex_nodes=1000)
    digit = b.re_chars([(48, 57)])
    none = b.re_intersection(
        [b.re_residue(10**12), b.re_concat([b.re_repeat(digit, 0, -1), b.re_chars([(49, 57)])])]
    )
    assert b.re_is_empty(none)


def test_large_moduli_are_decided_soon() -> None:
    b = Builder(VOCABULARY, max_emptiness_steps=1000)
    digit = b.re_chars([(48, 57)])
    for modulus in (4_611_686_018, 10**12 + 39, LARGEST):
        regex = b.re_residue(modulus)
        positive = b.re_concat([b.re_chars([(49, 57)]), b.re_repeat(digit, 0, -1)])
        assert b.re_shortest(b.re_intersection([regex, positive])) in (str(k * modulus) for k in range(1, 10))
        too_short = b.re_concat([b.re_chars([(49, 57)]), b.re_repeat(digit, 0, len(str(modulus)) - 2)])
        assert b.re_is_empty(b.re_intersection([regex, too_short]))


def test_arguments_that_are_wrong() -> None:
    b = Builder(VOCABULARY)
    for modulus in (0, -1, -(2**64)):
        with pytest.raises(ValueError, match="modulus"):
            b.re_residue(modulus)
    for modulus in (2**60, 2**63, 2**64, 10**100):
        with pytest.raises(LimitError, match="modulus"):
            b.re_residue(modulus)
    with pytest.raises(TypeError):
        b.re_residue(2.0)  # type: ignore[arg-type]
    assert b.re_matches(b.re_residue(LARGEST), str(LARGEST * 3))


def test_inside_strings() -> None:
    b = Builder(VOCABULARY)
    b.json_style(b.re_epsilon(), False)
    automaton = b.finish(b.string(b.re_residue(3)))
    assert automaton is not None
    for text, expected in ((b'"12"', True), (b'"1.2"', True), (b'"13"', False), (b'""', False)):
        state = automaton.advance_bytes(automaton.start, text)
        assert (state != DEAD and automaton.accepts(state)) == expected


def test_classes_of_characters() -> None:
    """Masks of broad string states go through classes of characters, which must tell digits apart."""
    words = ["".join(letters).encode() for letters in itertools.product(ascii_lowercase, repeat=3)]
    numbers = [f"{number}a".encode() for number in range(300)]
    tokens = [bytes([byte]) for byte in range(256)] + words + numbers + [b"</s>"]
    vocabulary = NativeVocabulary(tokens, [len(tokens) - 1], [], len(tokens))
    b = Builder(vocabulary)
    b.json_style(b.re_epsilon(), False)
    letters = b.re_repeat(b.re_chars([(97, 122)]), 1, -1)
    item = b.re_concat([b.re_residue(3), letters])
    automaton = b.finish(b.string(b.re_concat([letters, b.re_repeat(item, 0, -1)])))
    assert automaton is not None
    for text, read in ((b'"a', ""), (b'"a12b', ""), (b'"a1', "1"), (b'"a12', "12"), (b'"a1b', None)):
        state = automaton.advance_bytes(automaton.start, text)
        assert (state == DEAD) == (read is None)
        if read is None:
            continue
        allowed = np.unpackbits(automaton.mask(state).view(np.uint8), bitorder="little")
        first = 256 + len(words)
        for number in range(300):
            assert allowed[first + number] == (int(read + str(number)) % 3 == 0)
        assert allowed[300] == (not read or int(read) % 3 == 0)
    assert vocabulary.stats()["shapes_quotient"] > 0


@pytest.mark.parametrize("modulus", [7, 60, 1000, 4_611_686_018])
def test_masks_are_steps(modulus: int) -> None:
    pytest.importorskip("mistral_common")
    from structgen.testing.vocabularies import tekken

    b = Builder(tekken()[0].native)
    digits = b.re_concat([b.re_chars([(49, 57)]), b.re_repeat(b.re_chars([(48, 57)]), 0, -1)])
    whole = b.re_intersection([digits, b.re_residue(modulus)])
    automaton = b.finish(b.sequence([b.text(whole), b.text(b.re_literal(", done"))]))
    assert automaton is not None
    rng = random.Random(modulus)
    state = automaton.start
    for _ in range(4):
        allowed = np.unpackbits(automaton.mask(state).view(np.uint8), bitorder="little")
        tokens = np.flatnonzero(allowed).tolist()
        for token in {*tokens, *rng.sample(range(len(allowed)), 3000)}:
            assert (automaton.step(state, token) != DEAD) == bool(allowed[token])
        state = automaton.step(state, rng.choice(tokens))
