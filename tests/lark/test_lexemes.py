"""Lexemes end where :mod:`re` says: random patterns as terminals, against lark on every short text."""

import itertools
import re
from typing import Any

import lark
import pytest
from hypothesis import HealthCheck, assume, event, example, given, settings
from hypothesis import strategies as st

from structgen import GrammarError, LimitError, TokenAutomaton, Vocabulary, compile_lark
from structgen._frontends.regex import _standard
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
        if re.compile(pattern) and _standard.parser.parse(pattern).getwidth()[0] == 0:
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
        reasons = (
            "looks at the text around it",
            "an assertion inside",
            "no text of this vocabulary",
            "this atomic group",
            "possessive",
        )
        if not any(reason in str(error) for reason in reasons):
            raise
        assume(False)
    accepted = _compare(parser, automaton, texts)
    event(f"accepted: {min(accepted, 2)}")


def _compare(parser: lark.Lark, automaton: TokenAutomaton, texts: list[str]) -> int:
    expected = {text: parses(parser, text) for text in texts}
    assert {text: accepts(automaton, text) for text in texts} == expected
    return sum(expected.values())


@given(pattern=strategies.narrow_patterns, shape=_SHAPES, options=_OPTIONS)
@example(pattern="(?:|aaa|a){0,2}b", shape="A X?", options={"parser": "lalr"})
@example(pattern="(?:a?(?:b|)|a)*(?:ab|)", shape="A X?", options={"parser": "lalr"})
@example(pattern="(?:a|(?!ab\\b))", shape="A A", options={"parser": "earley", "lexer": "dynamic_complete"})
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


def test_ends_of_what_is_ignored() -> None:
    """Where a lexeme may end anywhere, what is ignored may not."""
    grammar = 'start: "b" "ac" | "b" /c+/ "c"\n%ignore /a+/\n'
    for lexer in ("dynamic", "dynamic_complete"):
        parser = lark.Lark(grammar, parser="earley", lexer=lexer)  # type: ignore[arg-type]
        automaton = compile_lark(grammar, VOCABULARY, parser="earley", lexer=lexer)
        texts = ["bac", "baac", "bcc", "bccc", "bc", "abcac", "bcaac", "baacac"]
        expected = {text: parses(parser, text) for text in texts}
        assert {text: accepts(automaton, text) for text in texts} == expected
        assert not expected["baac"]
        assert expected["bccc"] is (lexer == "dynamic_complete")


@pytest.mark.parametrize(
    ("pattern", "refused"),
    [
        (r'".*?(?<!\\)(\\\\)*?"', False),
        (r"a(?<=a)b*", False),
        (r"(?:a|b(?<=ab))b", True),
        (r"(?<!a)b+", True),
        (r"a+\b", True),
        (r"a+(?!b)", True),
    ],
)
def test_lexemes_in_pieces(pattern: str, refused: bool) -> None:
    """Lark matches the pieces of a lexeme with nothing around them."""
    grammar = f"start: A X?\nA: /{pattern}/\nX: /./\n"
    compile_lark(grammar, VOCABULARY, parser="earley", lexer="dynamic")
    if refused:
        with pytest.raises(GrammarError, match="terminal A looks at the text around it") as caught:
            compile_lark(grammar, VOCABULARY, parser="earley", lexer="dynamic_complete")
        assert caught.value.line == 2
        return
    parser = lark.Lark(grammar, parser="earley", lexer="dynamic_complete")
    automaton = compile_lark(parser, VOCABULARY)
    assert _compare(parser, automaton, [*_NARROW_TEXTS, '"a"', '"\\""', '"\\"']) > 1


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
