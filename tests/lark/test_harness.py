"""The harness itself: it finds what is wrong with an automaton, and its oracle is lark."""

import random
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pytest

from structgen import DEAD, FINISHED
from tests.lark.harness import (
    TOKENISATIONS,
    Oracle,
    accepts_text,
    byte_vocabulary,
    make_vocabulary,
    mutations,
    random_walk,
    tokenise,
)

VOCABULARY = make_vocabulary([b"ab", b"abc", b"b)", b"\xc3\xa9b"])
TEXTS = ("a", "abc", "ab)", "éb", "ac")


class FiniteAutomaton:
    """An automaton of a few texts, with faults on demand."""

    def __init__(self, texts: Iterable[str], fault: str = "") -> None:
        self._texts = {text.encode() for text in texts}
        self._states = sorted({text[:i] for text in self._texts for i in range(len(text) + 1)})
        if fault == "dead end":
            self._states.append(b"abx")
        self._fault = fault
        self.start = 100 + self._states.index(b"")

    def advance_bytes(self, state: int, data: bytes) -> int:
        whole = self._states[state - 100] + data if state >= 100 else b"?"
        return 100 + self._states.index(whole) if whole in self._states else DEAD

    def step(self, state: int, token: int) -> int:
        if token in VOCABULARY.eos_token_ids:
            return FINISHED if self.accepts(state) else DEAD
        data = VOCABULARY.tokens[token]
        after = (
            self.advance_bytes(state, data) if data and token not in VOCABULARY.special_token_ids else DEAD
        )
        return DEAD if self._fault == "token refused by step" and data == b"ab" else after

    def mask(self, state: int) -> npt.NDArray[np.int32]:
        bits = np.zeros((len(VOCABULARY.tokens) + 31) // 32 * 32, dtype=np.uint8)
        for token, data in enumerate(VOCABULARY.tokens):
            allowed = self.step(state, token) != DEAD
            bits[token] = allowed or (self._fault == "token refused by step" and data == b"ab")
            if self._fault == "token missing" and data == b"ab":
                bits[token] = 0
            if self._fault == "end missing" and token in VOCABULARY.eos_token_ids:
                bits[token] = 0
        return np.packbits(bits, bitorder="little").view(np.int32)

    def accepts(self, state: int) -> bool:
        return state >= 100 and self._states[state - 100] in self._texts

    def shortest(self, state: int) -> bytes:
        data = self._states[state - 100]
        rests = [text[len(data) :] for text in self._texts if text.startswith(data)]
        return min(rests, key=len, default=b"")


@pytest.mark.parametrize("how", TOKENISATIONS)
def test_texts_are_accepted_and_rejected(how: str) -> None:
    automaton, rng = FiniteAutomaton(TEXTS), random.Random(1)
    for text in TEXTS:
        assert accepts_text(automaton, VOCABULARY, text, how, rng, sample=300)
        for other in mutations(text, rng, "abc)é", 20):
            assert accepts_text(automaton, VOCABULARY, other, how, rng) == (other in TEXTS), other


@pytest.mark.parametrize("fault", ["token refused by step", "token missing", "end missing"])
def test_disagreements_are_found(fault: str) -> None:
    with pytest.raises(AssertionError, match="mask says"):
        accepts_text(FiniteAutomaton(TEXTS, fault), VOCABULARY, "ab)")


def test_walks_are_texts_of_the_language() -> None:
    automaton, rng = FiniteAutomaton(TEXTS), random.Random(2)
    assert {random_walk(automaton, VOCABULARY, rng, 4) for _ in range(200)} == set(TEXTS)


@pytest.mark.parametrize("fault", ["dead end", "token refused by step"])
def test_dead_ends_are_found(fault: str) -> None:
    automaton, rng = FiniteAutomaton(TEXTS, fault), random.Random(3)
    with pytest.raises(AssertionError, match=r"no token is allowed|is not complete|step does not"):
        _ = [random_walk(automaton, VOCABULARY, rng, 4) for _ in range(200)]


def test_every_tokenisation_spells_the_text() -> None:
    rng = random.Random(4)
    for text in TEXTS:
        for how in TOKENISATIONS:
            tokens = tokenise(VOCABULARY, text.encode(), how, rng)
            assert b"".join(VOCABULARY.tokens[token] for token in tokens) == text.encode()
            assert how != "bytes" or len(tokens) == len(text.encode())
    assert [VOCABULARY.tokens[token] for token in tokenise(VOCABULARY, b"abcab", "greedy", rng)] == [
        b"abc",
        b"ab",
    ]
    splits = {tuple(tokenise(VOCABULARY, b"abc", "random", rng)) for _ in range(100)}
    assert len(splits) == 3
    assert len(byte_vocabulary().tokens) == 256 + 3


def test_the_oracle_is_lark() -> None:
    oracle = Oracle('start: "a" start "b" |', parser="lalr")
    assert oracle.accepts("aabb")
    assert not oracle.accepts("aab")
    stumbling = Oracle('start: A*\nA: "a"\n%ignore A', parser="earley")
    assert stumbling.verdict("") is True
    assert stumbling.verdict("b") is False
    assert stumbling.verdict("a") is None
