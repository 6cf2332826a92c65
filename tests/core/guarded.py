"""Brute force over guarded grammars, and what masks and steps must agree on."""

import itertools
import random
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from structgen import GuardDeadEnd
from structgen._core import DEAD, NativeVocabulary, Session, TokenAutomaton
from tests.core.grammars import bits
from tests.core.reference import canonical

View = TokenAutomaton | Session


def vocabulary(*pieces: bytes) -> tuple[NativeVocabulary, list[bytes]]:
    """All single bytes, the pieces, and an end token at the end."""
    tokens = [bytes([i]) for i in range(256)] + list(pieces) + [b""]
    return NativeVocabulary(tokens, [len(tokens) - 1], [], len(tokens)), tokens


def distinct(items: Iterable[Any]) -> bool:
    keys = [canonical(item) for item in items]
    return len(set(keys)) == len(keys)


def language(alphabet: str, length: int, accepts: Callable[[str], bool]) -> set[str]:
    """All texts over the alphabet up to a length that the oracle accepts."""
    return {
        text
        for size in range(length + 1)
        for text in map("".join, itertools.product(alphabet, repeat=size))
        if accepts(text)
    }


def spelled(view: View, alphabet: bytes, length: int) -> set[str]:
    """All texts over the alphabet that the automaton accepts, by walking its states byte by byte."""
    found: set[str] = set()
    level = {b"": view.start}
    for _ in range(length + 1):
        found |= {text.decode() for text, state in level.items() if view.accepts(state)}
        after = ((text + bytes([b]), view.step(state, b)) for text, state in level.items() for b in alphabet)
        level = {text: state for text, state in after if state != DEAD}
    return found


def agree(view: View, tokens: list[bytes], state: int) -> set[int]:
    """The allowed tokens, having checked that the mask has the bits of exactly the tokens that step takes."""
    allowed = {token for token in range(len(tokens)) if view.step(state, token) != DEAD}
    out = np.zeros((len(tokens) + 31) // 32, np.int32)
    try:
        mask = bits(view.mask(state))
        view.fill_mask(state, out)
        assert bits(out) == mask
        assert mask
    except GuardDeadEnd:
        mask = set()
    assert mask == allowed, (state, [tokens[t] for t in mask ^ allowed])
    for token in range(len(tokens) - 1):
        assert view.step(state, token) == view.advance_bytes(state, tokens[token])
    assert view.accepts(state) == (len(tokens) - 1 in allowed)
    return allowed


def roam(view: View, tokens: list[bytes], seed: int, steps: int) -> tuple[bytes, bool]:
    """Walk at random, checking every state; the text so far, and whether the walk ran into a dead end."""
    rng = random.Random(seed)
    state, text = view.start, b""
    for _ in range(steps):
        allowed = agree(view, tokens, state) - {len(tokens) - 1}
        if not allowed:
            return text, not view.accepts(state)
        long = [t for t in allowed if len(tokens[t]) > 1]
        plain = [t for t in allowed if len(tokens[t]) == 1 and 0x20 <= t < 0x7F] or list(allowed)
        token = rng.choice(sorted(long if long and rng.random() < 0.6 else plain))
        state, text = view.step(state, token), text + tokens[token]
    return text, False


def accepts(view: View, text: str) -> bool:
    return view.accepts(view.advance_bytes(view.start, text.encode()))


def accepts_all_tokenisations(view: View, tokens: list[bytes], text: bytes) -> bool:
    """Whether every way to cut the text into tokens is allowed; the cuts must agree."""
    verdicts = set()

    def walk(state: int, at: int) -> None:
        if state == DEAD or at == len(text):
            verdicts.add(state != DEAD and view.accepts(state))
            return
        for token, spelling in enumerate(tokens[:-1]):
            if text.startswith(spelling, at):
                after = view.step(state, token)
                walk(after, at + len(spelling))

    walk(view.start, 0)
    assert len(verdicts) == 1, text
    return verdicts.pop()
