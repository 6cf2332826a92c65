"""Lexemes end where :mod:`re` says: random patterns as terminals, against lark on every short text."""

import itertools
import re
from typing import Any

import lark
import pytest
from hypothesis import HealthCheck, assume, event, example, given, settings
from hypothesis import strategies as st

from structgen import GrammarError, LimitError, Vocabulary, compile_lark
from tests.lark.recorder import accepts
from tests.lark.reference import parses
from tests.regex import strategies

VOCABULARY = Vocabulary([*(bytes([i]) for i in range(256)), b""], eos_token_ids=256)
_SETTINGS = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
# What is in front of a lexeme and what is behind it shows where it ends. X is any character.
_SHAPES = st.sampled_from(["A X?", "X A X?", "A A", "A (X A)?", "(A | X X)+"])
_OPTIONS: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {"parser": "lalr"},
        {"parser": "lalr", "lexer": "basic"},
        {"parser": "earley"},
        {"parser": "earley", "lexer": "dynamic_complete"},
    ]
)
_NARROW_TEXTS = ["".join(t) for n in range(6) for t in itertools.product("ab", repeat=n)]


def _check(pattern: str, shape: str, options: dict[str, Any], texts: list[str]) -> None:
    try:
        # No terminal can be empty.
        if re.compile(pattern) and re._parser.parse(pattern).getwidth()[0] == 0:  # type: ignore[attr-defined]
            pattern = f"(?:{pattern})[ab]"
        grammar = f"start: {shape}\nA.1: /{pattern}/\nX: /[\\s\\S]/\n"
        parser = lark.Lark(grammar, **options)
        automaton = compile_lark(grammar, VOCABULARY, **options)
    except re.error:
        assume(False)
    except LimitError as error:
        event(f"limit: {error.limit}")
        assume(False)
    except GrammarError as error:
        event("refused")
        reasons = ("an assertion inside", "no text of this vocabulary", "this atomic group", "possessive")
        if not any(reason in str(error) for reason in reasons):
            raise
        assume(False)
    expected = {text: parses(parser, text) for text in texts}
    event(f"accepted: {min(sum(expected.values()), 2)}")
    assert {text: accepts(automaton, text) for text in texts} == expected


@given(pattern=strategies.narrow_patterns, shape=_SHAPES, options=_OPTIONS)
@example(pattern="(?:|aaa|a){0,2}b", shape="A X?", options={"parser": "lalr"})
@example(pattern="(?:a?(?:b|)|a)*(?:ab|)", shape="A X?", options={"parser": "lalr"})
@example(pattern="(?:a(?=b)|b|ab)*?(?:ab|$)", shape="A X?", options={"parser": "lalr"})
@_SETTINGS
def test_narrow_patterns(pattern: str, shape: str, options: dict[str, Any]) -> None:
    _check(pattern, shape, options, _NARROW_TEXTS)


@given(
    pattern=strategies.python_patterns,
    shape=_SHAPES,
    options=_OPTIONS,
    texts=st.lists(st.text(strategies.ALPHABET, max_size=6), min_size=8, max_size=20),
)
@_SETTINGS
def test_wide_patterns(pattern: str, shape: str, options: dict[str, Any], texts: list[str]) -> None:
    _check(pattern, shape, options, texts + strategies.SHORT_STRINGS)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        # After an a, an option that is met again in an empty iteration leads behind the loop first.
        (r"-(?:a?(?:b|)|c)*(?:cd|)", "-acd"),
        (r"-(?:(?:b|)a?|c)*(?:cd|)", "-acdc"),
        (r"(?:|aaa|a){0,2}b", "aaaab"),
        (r"-(?:(?:a|){2}|b)*(?:bc|)", "-aabc"),
        (r"-(?:(?:|a)+?|b)*(?:bc|)", "-abc"),
        (r"(?:(?:|a)*?b?)+?c", "ababc"),
        (r"-(?:a(?=b)|b\b|){2,3}a?", "-abba"),
    ],
)
def test_empty_iterations(pattern: str, text: str) -> None:
    automaton = compile_lark(f'start: A "!"\nA: /{pattern}/\n', VOCABULARY)
    expected = {}
    for end in range(1, len(text) + 1):
        found = re.match(pattern, text[:end] + "!")
        expected[text[:end] + "!"] = found is not None and found.end() == end
    assert {t: accepts(automaton, t) for t in expected} == expected
    assert len(set(expected.values())) == 2
