"""Dead ends: what is allowed can always be finished, also where terminals look ahead over what follows them.

The oracle is lark, asked about every short text.
"""

import itertools
import random

import lark
import pytest
from hypothesis import HealthCheck, assume, event, given, note, settings
from hypothesis import strategies as st

import structgen
from structgen import DEAD
from tests.lark.harness import Oracle, make_vocabulary

ALPHABET = "ab;\n"
TEXTS = ["".join(text) for length in range(6) for text in itertools.product(ALPHABET, repeat=length)]
WORD_TOKENS = [b"ab", b"b;", b";\n", b"a;b", b"\n\n", b"ba"]
LETTERS = [letter.encode() for letter in ALPHABET]
VOCABULARY = make_vocabulary(WORD_TOKENS)

WORDS = [
    "/a/",
    "/b+/",
    "/[ab]+/",
    "/ab?/",
    "/a(?=b)/",
    "/a(?=[ab]*;)/",  # over several lexemes
    "/b(?!.*;)/",
    "/a(?=.*\\n)/",
    "/a(?!b*;)/",
    "/(?<=a)b/",
    "/(?<!a)b/",
    "/a+(?!;)/",
    "/;/",
    "/;[ab]*/",
    "/\\n+/",
]
IGNORED = ["/;[^\\n]*/", "/\\n/", "/;b*(?=\\n)/", "/b+(?=a)/"]


def check(grammar: str, **options: str) -> None:
    oracle = Oracle(grammar, **options)
    language = {text for text in TEXTS if oracle.accepts(text)}
    prefixes = {text[:end] for text in language for end in range(len(text) + 1)}
    try:
        automaton = structgen.compile_lark(grammar, VOCABULARY, **options)
    except structgen.GrammarError:
        assert not language
        return
    shallow = [text for text in TEXTS if len(text) <= 4]
    for text in shallow:
        state = automaton.advance_bytes(automaton.start, text.encode())
        assert (state != DEAD and automaton.accepts(state)) == (text in language), text
        if state == DEAD:
            assert text not in prefixes, text
            continue
        completion = automaton.shortest(state).decode()
        assert oracle.accepts(text + completion), (text, completion)
    for text in random.Random(0).sample(shallow, 60):
        state = automaton.advance_bytes(automaton.start, text.encode())
        if state == DEAD:
            continue
        mask = automaton.mask(state)
        for token, data in enumerate(VOCABULARY.tokens):
            if data not in WORD_TOKENS and data not in LETTERS:
                continue
            alive = automaton.advance_bytes(state, data) != DEAD
            assert bool(int(mask[token >> 5]) >> (token & 31) & 1) == alive, (text, data)


@pytest.mark.parametrize("lexer", ["contextual", "basic"])
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    words=st.lists(st.sampled_from(WORDS), min_size=2, max_size=4, unique=True),
    ignored=st.none() | st.sampled_from(IGNORED),
    rules=st.sampled_from(
        [
            "(T0 | T1)+",
            "T0 T1",
            "(T0 T1)+",
            "T0 x | T1\nx: T1 x | T0",
            "T0* T1 T0?",
            "x T1 | T0\nx: T0 (T1 T0)*",
            "T0 (T2 | T1)* T3?",
        ]
    ),
)
def test_allowed_texts_can_be_finished(lexer: str, words: list[str], ignored: str | None, rules: str) -> None:
    names = [f"T{i}" for i in range(4)]
    terminals = zip(names, itertools.cycle(words), strict=False)
    grammar = f"start: {rules}\n" + "".join(f"{name}: {word}\n" for name, word in terminals)
    if ignored:
        grammar += f"%ignore {ignored}\n"
    note(grammar)
    try:
        check(grammar, parser="lalr", lexer=lexer)
    except lark.exceptions.LarkError:
        assume(False)
    except structgen.LimitError:
        # A nest that nothing closes: no search comes to its end.
        assert "T1 x" in rules
        event("the search for a completion is too long")


@pytest.mark.parametrize("parser", ["lalr", "earley"])
def test_terminals_that_contradict_themselves_match_nothing(parser: str) -> None:
    """Without them nothing is left, or only what does not need them."""
    with pytest.raises(structgen.GrammarError):
        structgen.compile_lark('start: A | "b" start\nA: /a(?!a)a/\n', VOCABULARY, parser=parser)
    grammar = 'start: ";" | "b" nest ";"\nnest: "b" nest ";" | A\nA: /a(?!.)b/\n'
    automaton = structgen.compile_lark(grammar, VOCABULARY, parser=parser)
    assert automaton.advance_bytes(automaton.start, b"b") == DEAD
    assert automaton.shortest(automaton.start) == b";"
    automaton = structgen.compile_lark(grammar.replace("(?!.)b", "(?!a)b"), VOCABULARY, parser=parser)
    assert automaton.shortest(automaton.advance_bytes(automaton.start, b"b")) == b"ab;"
