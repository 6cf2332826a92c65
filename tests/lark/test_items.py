"""Grammars with items beyond Lark's own, token by token, against regular expressions of :mod:`re`."""

import itertools
import re
from collections.abc import Sequence

import pytest

import structgen
from structgen import FINISHED, TokenAutomaton, Vocabulary, compile_lark

# Special tokens are code points of their own in the texts below.
SPECIAL = {"<|call|>": "\ue001", "<|end|>": "\ue002"}
PIECES = ["<t>", "</t>", "a<", "ab", "1<", ">1"]
TOKENS = [bytes([i]) for i in range(256)] + [piece.encode() for piece in PIECES]
END = len(TOKENS)
VOCABULARY = Vocabulary(
    [*TOKENS, b"</s>", *(name.encode() for name in SPECIAL)],
    eos_token_ids=END,
    special_token_ids=[END, END + 1, END + 2],
)
SHOWN = [*map(chr, range(256)), *PIECES, "</s>", *SPECIAL.values()]


def texts(automaton: TokenAutomaton, tokens: Sequence[int], longest: int) -> dict[str, bool]:
    """Say for every sequence of tokens whether it is accepted; masks have to agree with steps."""
    verdicts: dict[str, bool] = {}
    for length in range(longest + 1):
        for sequence in itertools.product(tokens, repeat=length):
            state = automaton.start
            for token in sequence:
                words = automaton.mask(state)
                allowed = bool(words[token // 32] >> (token % 32) & 1)
                state = automaton.step(state, token)
                assert allowed == (state != structgen.DEAD)
            text = "".join(SHOWN[token] for token in sequence)
            accepted = automaton.accepts(state)
            assert accepted == (automaton.step(state, END) == FINISHED)
            # Every tokenisation of a text has the same verdict.
            assert verdicts.setdefault(text, accepted) == accepted
    return verdicts


def number(*pieces: str) -> list[int]:
    return [SHOWN.index(piece) for piece in pieces]


# Grammars, what they mean, and tokens that they are tried with.
GRAMMARS = {
    "first of a string that overlaps itself": (
        'start: %text "aba" "aba" /b+/?\n',
        r"(?:(?!aba).)*abab*",
        number("a", "b", "ab"),
    ),
    "a tag and free text": (
        'start: %text "<t>" ("<t>" %regex /1+/ "</t>" %text "<t>")*\n',
        r"((?!<t>).)*(<t>1+</t>((?!<t>).)*)*",
        number("<", "t", "<t>", "</t>", "1", "a<", ">1"),
    ),
    "special tokens": (
        "start: %text <|call|> (<|call|> (%regex /1|1a/ | CALL) <|end|> %text)*\nCALL: %regex /b+/\n",
        "[^\ue001\ue002]*(\ue001(1|1a|b+)\ue002[^\ue001\ue002]*)*",
        number("a", "b", "1", *SPECIAL.values()),
    ),
    "special tokens between terminals": (
        'start: ("a" <|call|>)* NAME <|end|>?\nNAME: /b+/\n%ignore " "\n',
        "( *a *\ue001)* *b+ *(\ue002 *)?",
        number("a", "b", " ", *SPECIAL.values()),
    ),
    "a regex is a language and a terminal the first match": (
        "start: %regex /a|ab/ B\nB: /b|ba/\n",
        r"(a|ab)b",
        number("a", "b", "ab"),
    ),
}


@pytest.mark.parametrize("parser", ["lalr", "earley"])
@pytest.mark.parametrize("name", GRAMMARS)
def test_grammars(name: str, parser: str) -> None:
    grammar, pattern, tokens = GRAMMARS[name]
    automaton = compile_lark(grammar, VOCABULARY, parser=parser)  # type: ignore[arg-type]
    verdicts = texts(automaton, tokens, 5)
    compiled = re.compile(pattern)
    for text, accepted in verdicts.items():
        assert accepted == (compiled.fullmatch(text) is not None), text
    assert len(set(verdicts.values())) == 2


@pytest.mark.parametrize("parser", ["lalr", "earley"])
def test_schemas(parser: str) -> None:
    grammar = 'start: "a"+ %json {"type": "array", "items": {"const": 1}} "b" | "b" %json {"const": "a"}\n'
    options = {"whitespace": "compact"}
    automaton = compile_lark(grammar, VOCABULARY, parser=parser, json_options=options)  # type: ignore[arg-type]
    compiled = re.compile(r'a+\[(1(,1)*)?\]b|b"a"')
    verdicts = texts(automaton, number("ab", "a", "b", "[", "1", "]", ",", '"'), 4)
    verdicts |= texts(automaton, number("a", "b", "[", "]", "1", ","), 5)
    for text, accepted in verdicts.items():
        assert accepted == (compiled.fullmatch(text) is not None), text
    assert {text for text, accepted in verdicts.items() if accepted} == {"a[]b", "a[1]b", "aa[]b", 'b"a"'}


def test_guards_of_schemas() -> None:
    schema = '{"type": "string", "format": "regex"}'
    automaton = compile_lark(f'start: "x" %json {schema} "y"\n', VOCABULARY)
    for text, accepted in (('x"(a)"y', True), ('x"(a"y', False), ('x"["y', False), ('x"[a]" y', True)):
        state = automaton.advance_bytes(automaton.start, text.encode())
        assert automaton.accepts(state) == accepted, text
