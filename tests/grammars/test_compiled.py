"""The automata of our grammars accept what lark parses, under every tokenisation tried."""

import functools
import random
from collections.abc import Iterator

import pytest

from structgen import TokenAutomaton, Vocabulary, compile_lark
from tests.grammars.support import GRAMMARS, examples, mutations, parses

NAMES = ("arithmetic", "csv", "json", "sql")
END = 256


@functools.cache
def vocabulary(name: str) -> Vocabulary:
    """All bytes, an end token, and what occurs often in the texts, up to eight bytes long."""
    texts = [text.encode() for text in examples(name)["accepted"]]
    pieces = {text[i : i + n] for text in texts for n in range(2, 9) for i in range(0, len(text) - n, 3)}
    words = sorted(pieces, key=lambda piece: (-sum(text.count(piece) for text in texts), piece))[:300]
    return Vocabulary([*(bytes([byte]) for byte in range(256)), b"</s>", *words], eos_token_ids=[END])


@functools.cache
def automaton(name: str) -> TokenAutomaton:
    return compile_lark(GRAMMARS / f"{name}.lark", vocabulary(name))


def greedy(name: str, data: bytes) -> Iterator[int]:
    """The longest token at every place."""
    ids = _ids(name)
    place = 0
    while place < len(data):
        pieces = (data[place : place + size] for size in range(8, 0, -1))
        piece = next(piece for piece in pieces if piece in ids)
        yield ids[piece]
        place += len(piece)


@functools.cache
def _ids(name: str) -> dict[bytes, int]:
    return {token: index for index, token in enumerate(vocabulary(name).tokens) if index != END}


def accepts(name: str, tokens: list[int]) -> bool:
    """Whether the tokens are allowed one after another, and the end behind them."""
    machine = automaton(name)
    state = machine.start
    for token in [*tokens, END]:
        if not machine.mask(state)[token // 32] >> token % 32 & 1:
            return False
        if token != END:
            state = machine.step(state, token)
    return True


def check(name: str, text: str) -> None:
    """Compare the automaton with lark on a text, byte by byte and with long tokens."""
    data = text.encode()
    expected = parses(name, text)
    assert accepts(name, list(data)) == expected, text
    assert accepts(name, list(greedy(name, data))) == expected, text


@pytest.mark.parametrize("verdict", ["accepted", "rejected"])
@pytest.mark.parametrize("name", NAMES)
def test_examples(name: str, verdict: str) -> None:
    for text in examples(name)[verdict]:
        check(name, text)


@pytest.mark.parametrize("name", NAMES)
def test_mutated(name: str) -> None:
    rng = random.Random(0)
    alphabet = "".join(sorted({character for text in examples(name)["accepted"] for character in text}))
    pieces = tuple(token.decode(errors="replace") for token in vocabulary(name).tokens[END + 1 :])
    for example in examples(name)["accepted"]:
        for text in mutations(example, rng, 4, alphabet, pieces):
            check(name, text)
