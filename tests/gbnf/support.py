"""Compiling GBNF for tests."""

import random

import structgen
from structgen import DEAD, TokenAutomaton, Vocabulary
from tests.core.grammars import bits, make_tokens, tokenise

BYTES = Vocabulary([bytes([i]) for i in range(256)] + [b""], eos_token_ids=[256])


def accepts(automaton: TokenAutomaton, text: str) -> bool:
    return automaton.accepts(automaton.advance_bytes(automaton.start, text.encode()))


def check(grammar: str, members: list[str], others: list[str]) -> None:
    """The grammar matches these texts, under any tokenisation, and none of the others."""
    rng = random.Random(grammar)
    automaton = structgen.compile_gbnf(grammar, BYTES)
    for text in members:
        assert accepts(automaton, text), text
    for text in others:
        assert not accepts(automaton, text), text
    tokens = make_tokens(rng, [text.encode() for text in members])
    vocabulary = Vocabulary(
        tokens.tokens,
        eos_token_ids=tokens.end,
        special_token_ids=tokens.special,
        logits_size=tokens.logits_size,
    )
    automaton = structgen.compile_gbnf(grammar, vocabulary)
    for text in [*members, *others]:
        for _ in range(3):
            state = automaton.start
            for token in tokenise(rng, tokens, text.encode()):
                allowed = token in bits(automaton.mask(state))
                state = automaton.step(state, token)
                assert allowed == (state != DEAD)
            assert automaton.accepts(state) == (text in members), text
