"""Random grammars mean what brute force says they mean, however they are written."""

import itertools
import random
from typing import Any

from hypothesis import event, given, target
from hypothesis import strategies as st

import structgen
from structgen import GrammarError
from tests.core.grammars import laws, mutate, texts_of
from tests.gbnf.reference import Grammar, Node, left_recursive, matches, written
from tests.gbnf.support import BYTES, accepts, check

_CHARACTERS = "ab]\\-é😀\n"
_ranges = st.sampled_from(
    [(97, 97), (97, 98), (0x2D, 0x2D), (0x5B, 0x5E), (0, 0x1F), (0x80, 0x10FFFF), (0xD000, 0xE000), (98, 98)]
)


@st.composite
def nodes(draw: Any, depth: int, rules: int) -> Node:
    kind = draw(st.integers(0, 11)) if depth else draw(st.integers(0, 4))
    if kind <= 1:
        return ("literal", draw(st.text(st.sampled_from(_CHARACTERS), max_size=2)))
    if kind == 2:
        return ("class", tuple(draw(st.lists(_ranges, min_size=1, max_size=3))), draw(st.booleans()))
    if kind == 3:
        return draw(st.sampled_from([("any",), ("literal", "a"), ("literal", "b")]))
    if kind == 4:
        return ("rule", draw(st.integers(0, rules - 1)))
    if kind <= 6:
        return ("sequence", tuple(draw(st.lists(nodes(depth - 1, rules), max_size=3))))
    if kind <= 8:
        return ("choice", tuple(draw(st.lists(nodes(depth - 1, rules), min_size=1, max_size=3))))
    if kind <= 10:
        # A recursion that is no left recursion, and seldom a loop.
        inner = [("rule", draw(st.integers(0, rules - 1))), draw(nodes(depth - 1, rules))]
        opening = ("literal", draw(st.sampled_from("ab")))
        return ("choice", (("sequence", (opening, *draw(st.permutations(inner)))), ("literal", "")))
    body = draw(nodes(depth - 1, rules))
    if body == ("literal", ""):  # which no operator may follow
        body = ("sequence", (body,))
    low = draw(st.sampled_from([0, 0, 0, 1, 2, 70]))
    return ("repeat", body, low, draw(st.sampled_from([-1, -1, low, low + 1, low + 3])))


@st.composite
def grammars(draw: Any) -> Grammar:
    rules = draw(st.integers(1, 3))
    return [draw(nodes(3, rules)) for _ in range(rules)]


def _texts(grammar: Grammar, automaton: structgen.TokenAutomaton | None, rng: random.Random) -> list[str]:
    """All short texts over two letters, members, and texts near members."""
    texts = ["".join(t) for n in range(4) for t in itertools.product("ab", repeat=n)]
    texts += ["".join(rng.choices(_CHARACTERS, k=rng.randint(1, 4))) for _ in range(6)]
    if automaton is not None:
        members = texts_of(automaton, rng, 5, steps=8)
        for data in [*members, *(mutate(rng, member) for member in members)]:
            if len(data) < 16:
                texts.append(data.decode(errors="ignore"))
    return texts


@given(grammars(), st.integers(0, 2**32))
@laws(400)
def test_the_language_is_that_of_brute_force(grammar: Grammar, seed: int) -> None:
    rng = random.Random(seed)
    source = written(grammar, rng)
    automaton, refusal = None, ""
    try:
        automaton = structgen.compile_gbnf(source, BYTES)
    except GrammarError as error:
        refusal = error.reason
    event(refusal[:14])
    if refusal.startswith("left recursion"):
        assert left_recursive(grammar)
        return
    assert (automaton is None) == ("has no text" in refusal), refusal
    texts = _texts(grammar, automaton, rng)
    found = [text for text in texts if matches(grammar, text)]
    target(float(len(found)))
    for text in texts:
        assert (automaton is not None and accepts(automaton, text)) == (text in found), (source, text)


@given(grammars(), st.integers(0, 2**32))
@laws(60)
def test_every_tokenisation(grammar: Grammar, seed: int) -> None:
    rng = random.Random(seed)
    source = written(grammar, rng)
    try:
        automaton = structgen.compile_gbnf(source, BYTES)
    except GrammarError:
        return
    texts = set(_texts(grammar, automaton, rng))
    members = {text for text in texts if matches(grammar, text)}
    check(source, sorted(members), sorted(texts - members))
