"""Random grammars: the automaton takes exactly the texts that lark parses, and never runs into a dead end."""

import itertools
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import lark
import pytest
from hypothesis import HealthCheck, event, given, note, settings
from hypothesis import strategies as st

import structgen
from structgen import LimitError, StructgenError
from tests.lark.grammars import GrammarCase, grammars_for, lark_grammars
from tests.lark.harness import (
    TOKENISATIONS,
    Oracle,
    accepts_text,
    check_texts,
    mutations,
    random_vocabulary,
    random_walk,
)

CONFIGURATIONS = {
    "lalr": ("lalr", "contextual"),
    "lalr, basic lexer": ("lalr", "basic"),
    "earley": ("earley", "dynamic"),
    "earley, complete lexer": ("earley", "dynamic_complete"),
    "earley, basic lexer": ("earley", "basic"),
}
MAX_TEXTS = 400
"""Texts of a grammar that are tried because they are short."""

seeds = st.integers(0, 2**32 - 1)


def short_texts(alphabet: str) -> list[str]:
    """All texts over the alphabet up to some length, at most MAX_TEXTS and a bit."""
    found: list[str] = []
    for length in itertools.count():
        if len(found) + len(alphabet) ** length > MAX_TEXTS:
            return found
        found += map("".join, itertools.product(alphabet, repeat=length))
    raise AssertionError


def check_grammar(case: GrammarCase, parser: str, lexer: str, seed: int) -> None:
    """Compare the automaton of the grammar with lark on short texts, walks and mutated texts."""
    rng = random.Random(seed)
    oracle = Oracle(case.text, parser=parser, lexer=lexer)
    verdicts = {text: oracle.verdict(text) for text in short_texts(case.alphabet)}
    members = [text for text, verdict in verdicts.items() if verdict]
    vocabulary = random_vocabulary(rng, rng.sample(members, min(8, len(members))) or [case.alphabet])
    try:
        automaton = structgen.compile_lark(case.text, vocabulary, parser=parser, lexer=lexer)
    except LimitError:
        raise
    except StructgenError as error:
        # The complete lexer cuts the text off behind each lexeme it tries, which we refuse to follow.
        hidden = lexer == "dynamic_complete" and "looks at the text around it" in str(error)
        if members and not hidden:
            raise AssertionError(f"refused, but lark parses {members[:3]}") from error
        return
    check_texts(automaton, oracle, verdicts)
    walks = []
    likes = set(case.alphabet.encode()).issuperset
    for _ in range(6):
        walk = random_walk(automaton, vocabulary, rng, rng.choice((2, 6, 20)), likes)
        assert oracle.verdict(walk) is not False, f"lark does not parse the walk {walk!r}"
        walks.append(walk)
    members = rng.sample(members, min(6, len(members))) + walks
    alphabet = case.alphabet * 3 + "\u0301xB1_"
    others = [text for member in members for text in mutations(member, rng, alphabet, 5)]
    for text in [*members, *rng.sample(sorted(verdicts), min(6, len(verdicts))), *others]:
        verdict = oracle.verdict(text)
        for how in TOKENISATIONS:
            accepted = accepts_text(automaton, vocabulary, text, how, rng)
            assert verdict is None or accepted == verdict, f"{text!r} ({how}): lark says {verdict}"


def check_within_limits(case: GrammarCase, parser: str, lexer: str, seed: int) -> None:
    """Check a grammar; the search for completions of a few ends in its limit, as the statistics show."""
    try:
        check_grammar(case, parser, lexer, seed)
    except LimitError as error:
        event(f"limit: {error}")


def moderate(examples: int) -> settings:
    return settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))


@given(grammars_for("lalr", "contextual"), seeds)
@moderate(20)
def test_lalr(case: GrammarCase, seed: int) -> None:
    note(str(case))
    check_within_limits(case, "lalr", "contextual", seed)


@given(grammars_for("lalr", "basic"), seeds)
@moderate(10)
def test_lalr_with_the_basic_lexer(case: GrammarCase, seed: int) -> None:
    note(str(case))
    check_within_limits(case, "lalr", "basic", seed)


@pytest.mark.parametrize("lexer", ["dynamic", "dynamic_complete", "basic"])
@given(data=st.data(), seed=seeds)
@moderate(10)
def test_earley(lexer: str, data: st.DataObject, seed: int) -> None:
    case = data.draw(grammars_for("earley", lexer))
    note(str(case))
    check_within_limits(case, "earley", lexer, seed)


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """Raise ``TimeoutError`` in Python code that takes longer."""

    def stop(*_: object) -> NoReturn:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
@given(case=lark_grammars())
@moderate(10)
def test_what_lark_refuses_is_refused(configuration: str, case: GrammarCase) -> None:
    """A grammar that lark does not take raises, in the same configuration."""
    parser, lexer = CONFIGURATIONS[configuration]
    note(str(case))
    vocabulary = random_vocabulary(random.Random(0), [case.alphabet])
    try:
        with at_most(5):
            Oracle(case.text, parser=parser, lexer=lexer)
    except TimeoutError:
        event("lark takes too long to say")  # it follows rules that expand for ever
    except lark.exceptions.LarkError:
        with pytest.raises(StructgenError):
            structgen.compile_lark(case.text, vocabulary, parser=parser, lexer=lexer)
