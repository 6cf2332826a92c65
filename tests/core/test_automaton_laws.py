"""Laws of the token automaton, over random grammars and vocabularies."""

import random

import numpy as np
import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from structgen._core import DEAD, FINISHED, Builder, NativeVocabulary, TokenAutomaton
from tests.core.grammars import (
    Tokens,
    bits,
    byte_vocabulary,
    compile_grammar,
    grammars,
    is_live,
    laws,
    make_tokens,
    mutate,
    tallied_grammars,
    texts_of,
    tokenise,
)
from tests.core.reference import (
    ANY,
    EPSILON,
    Expr,
    Grammar,
    Recogniser,
    chars,
    choice,
    complement,
    concat,
    literal,
    repeat,
    sequence,
    union,
)

every_grammar = st.one_of(
    grammars(), grammars(), tallied_grammars(), tallied_grammars(), grammars(json=False)
)
seeds = st.integers(0, 2**32 - 1)


def prepare(grammar: Grammar, seed: int) -> tuple[TokenAutomaton, Tokens, list[bytes], random.Random] | None:
    """Compile over a vocabulary with pieces of the grammar's own texts; nothing for an empty language."""
    rng = random.Random(seed)
    plain = compile_grammar(grammar, byte_vocabulary())
    if plain is None:
        assert not Recogniser(grammar).accepts(b"")
        return None
    texts = texts_of(plain, rng, 4)
    tokens = make_tokens(rng, texts)
    automaton = compile_grammar(grammar, tokens.native)
    assert automaton is not None
    return automaton, tokens, texts, rng


def walk(automaton: TokenAutomaton, tokens: Tokens, texts: list[bytes], rng: random.Random) -> list[int]:
    """States along random tokenisations of the texts and along random allowed tokens."""
    states = {automaton.start: None}
    for text in texts:
        state = automaton.start
        for token in tokenise(rng, tokens, text):
            state = automaton.step(state, token)
            states[state] = None
    for _ in range(2):
        state = automaton.start
        for _ in range(8):
            live = sorted(bits(automaton.mask(state)) - set(tokens.end))
            if not live:
                break
            long = [t for t in live if len(tokens.tokens[t]) > 1]
            state = automaton.step(state, rng.choice(long if long and rng.random() < 0.7 else live))
            states[state] = None
    found = list(states)
    return found if len(found) <= 24 else [found[0], *rng.sample(found[1:], 23)]


@given(every_grammar, seeds)
@laws(300)
def test_masks_steps_and_bytes_agree(grammar: Grammar, seed: int) -> None:
    """A bit is set exactly where step leads on, a step is its token's bytes, and all fills are the mask."""
    prepared = prepare(grammar, seed)
    if prepared is None:
        return
    automaton, tokens, texts, rng = prepared
    end = set(tokens.end)
    states = [*walk(automaton, tokens, texts, rng), DEAD, FINISHED]
    for state in states:
        mask = bits(automaton.mask(state))
        allowed = set()
        for token in range(tokens.logits_size):
            after = automaton.step(state, token)
            if after != DEAD:
                allowed.add(token)
            if token in end:
                assert after == (FINISHED if automaton.accepts(state) else DEAD)
        for token in tokens.ordinary:
            assert automaton.step(state, token) == automaton.advance_bytes(state, tokens.tokens[token])
        assert allowed <= end | set(tokens.ordinary)
        assert mask == allowed, (state, mask ^ allowed)
        assert automaton.accepts(state) == (mask >= end) == bool(mask & end)
        assert bool(mask) == (state != DEAD)
    rows = np.full((len(states), tokens.native.mask_words), -1, dtype=np.int32)
    automaton.fill_masks(states, rows)
    out = np.full(tokens.native.mask_words, -1, dtype=np.int32)
    for state, row in zip(states, rows, strict=True):
        automaton.fill_mask(state, out)
        assert out.tolist() == row.tolist() == automaton.mask(state).tolist()


SPELLINGS = [
    b'"\\ud83d\\uDE00\\u00e9\\u0022\\n"',
    b'"\\uDE00\\u001f\\u000a\\u005c\\/"',
    b'"\xc3\xa9\xf0\x9f\x98\x80\\\\\\""',
]
VALUES = {
    "any": repeat(ANY),
    "a search": concat(repeat(ANY), literal("a"), repeat(ANY)),
    "all but one": complement(literal("b")),
    "all but a character": complement(union(literal("\u00e9"), literal("a"))),
    "a few": repeat(ANY, 0, 3),
    "no ASCII": repeat(chars((0x80, 0x10FFFF))),
    "astral": repeat(chars((0x1F600, 0x1F6FF)), 1),
    "controls": repeat(chars((0, 0x1F))),
}


@pytest.mark.parametrize("all_escapes", [True, False])
@pytest.mark.parametrize("value", VALUES)
def test_tokens_made_of_pieces_of_escapes(value: str, all_escapes: bool) -> None:
    """Every piece of every spelling is a token, also those that begin what cannot be ended."""
    pieces = {text[i:j] for text in SPELLINGS for i in range(len(text)) for j in range(i + 2, len(text) + 1)}
    tokens = [bytes([i]) for i in range(256)] + sorted(pieces) + [b""]
    native = NativeVocabulary(tokens, [len(tokens) - 1], [], len(tokens))
    automaton = compile_grammar(Grammar(("string", VALUES[value]), (), EPSILON, all_escapes), native)
    assert automaton is not None
    prefixes = {text[:i] for text in SPELLINGS for i in range(len(text) + 1)}
    states = {automaton.advance_bytes(automaton.start, prefix) for prefix in prefixes} - {DEAD}
    for state in states:
        steps = {token for token in range(len(tokens)) if automaton.step(state, token) != DEAD}
        mask = bits(automaton.mask(state))
        assert mask == steps, [tokens[t] for t in mask ^ steps]


@given(every_grammar, seeds)
@laws(300)
def test_the_language_is_that_of_the_reference(grammar: Grammar, seed: int) -> None:
    """Every walk ends in a member, and edits of members are accepted exactly when the reference does."""
    prepared = prepare(grammar, seed)
    if prepared is None:
        return
    automaton, tokens, texts, rng = prepared
    reference = Recogniser(grammar)
    for text in texts:
        note(repr(text))
        assert reference.accepts(text)
        assert automaton.accepts(automaton.advance_bytes(automaton.start, text))
    for text in {mutate(rng, text) for text in texts for _ in range(8)}:
        note(repr(text))
        state = automaton.advance_bytes(automaton.start, text)
        assert automaton.accepts(state) == reference.accepts(text)
        if state != DEAD:
            assert reference.accepts(text + automaton.shortest(state))
    state, text = automaton.start, b""
    for _ in range(12):
        live = sorted(bits(automaton.mask(state)) - set(tokens.end))
        if not live:
            break
        token = rng.choice(live)
        state, text = automaton.step(state, token), text + tokens.tokens[token]
        note(repr(text))
        assert reference.accepts(text + automaton.shortest(state))


@given(every_grammar, seeds)
@laws(300)
def test_every_tokenisation_reaches_the_same_state(grammar: Grammar, seed: int) -> None:
    prepared = prepare(grammar, seed)
    if prepared is None:
        return
    automaton, tokens, texts, rng = prepared
    for text in texts:
        goal = automaton.advance_bytes(automaton.start, text)
        for _ in range(4):
            path = tokenise(rng, tokens, text)
            states = automaton.step_many(automaton.start, path)
            assert len(states) == len(path)
            state = automaton.start
            for token, expected in zip(path, states, strict=True):
                assert token in bits(automaton.mask(state))
                state = automaton.step(state, token)
                assert state == expected
            assert state == goal
        assert bits(automaton.mask(goal)) >= set(tokens.end)
        assert automaton.step(goal, tokens.end[0]) == FINISHED


@given(every_grammar, seeds)
@laws(300)
def test_shortest_completions(grammar: Grammar, seed: int) -> None:
    """They lead to acceptance, and no byte leads to a place from which the rest would be shorter still."""
    prepared = prepare(grammar, seed)
    if prepared is None:
        return
    automaton, tokens, texts, rng = prepared
    for state in walk(automaton, tokens, texts, rng)[:12]:
        shortest = automaton.shortest(state)
        assert automaton.accepts(automaton.advance_bytes(state, shortest))
        assert automaton.accepts(state) == (shortest == b"")
        for byte in range(256):
            after = automaton.advance_bytes(state, bytes([byte]))
            if after != DEAD:
                assert len(automaton.shortest(after)) >= len(shortest) - 1, (state, byte)
    assert automaton.shortest(FINISHED) == b""


@given(every_grammar, seeds, st.integers(0, 30))
@laws(300)
def test_masks_within_a_budget(grammar: Grammar, seed: int, budget: int) -> None:
    """A token is in the mask exactly when a completion of at most that many bytes can follow it."""
    prepared = prepare(grammar, seed)
    if prepared is None:
        return
    automaton, tokens, texts, rng = prepared
    out = np.full(tokens.native.mask_words, -1, dtype=np.int32)
    for state in walk(automaton, tokens, texts, rng)[:10]:
        least = len(automaton.shortest(state))
        for limit in {budget, least, max(0, least - 1), 0}:
            expected = set(tokens.end) if automaton.accepts(state) else set()
            for token in tokens.ordinary:
                after = automaton.step(state, token)
                if after != DEAD and len(automaton.shortest(after)) <= limit:
                    expected.add(token)
            automaton.fill_mask_within(state, out, limit)
            assert bits(out) == expected, (state, limit)
        automaton.fill_mask_within(state, out, 10**12)
        assert out.tolist() == automaton.mask(state).tolist()
    automaton.fill_mask_within(DEAD, out, 100)
    assert bits(out) == set()
    automaton.fill_mask_within(FINISHED, out, 0)
    assert bits(out) == set(tokens.end)


def test_the_shortest_of_many_parts_that_are_defined_later() -> None:
    """Costs that are not known yet don't add up to more than an integer holds."""
    builder = Builder(byte_vocabulary())
    builder.json_style(builder.re_epsilon(), False)
    value, names = builder.rule(), list("abcdefghijkl")
    many = builder.object(names, [value] * 12, [True] * 12, [], [], True, 0, -1, False)
    start = builder.object(["z"], [many], [False], [], [], True, 0, -1, False)
    builder.define(value, builder.lexeme(builder.re_literal("1")))
    automaton = builder.finish(start)
    assert automaton is not None
    assert automaton.shortest(automaton.start) == b"{}"
    inside = automaton.advance_bytes(automaton.start, b'{"z":')
    assert automaton.shortest(inside) == b"{" + ",".join(f'"{name}":1' for name in names).encode() + b"}}"


def test_budgets_tell_apart_what_masks_do_not() -> None:
    """The same two lexemes can go on in both places, but in one of them something long follows the second."""

    def text(word: str) -> Expr:
        return ("text", literal(word))

    def place(first: str, second: str) -> Expr:
        return choice(sequence(text("aab"), text(first)), sequence(text("aac"), text(second)))

    start = choice(sequence(text("1"), place("xy", "zw")), sequence(text("2"), place("xy", "z" * 50)))
    automaton = compile_grammar(Grammar(start, whitespace=None), byte_vocabulary())
    assert automaton is not None
    out = np.zeros(9, dtype=np.int32)
    for before, allowed in [(b"1aa", {ord("b"), ord("c")}), (b"2aa", {ord("b")})]:
        automaton.fill_mask_within(automaton.advance_bytes(automaton.start, before), out, 5)
        assert bits(out) == allowed


@given(every_grammar, seeds)
@laws(300)
def test_forced_bytes_are_the_only_way(grammar: Grammar, seed: int) -> None:
    """Each forced byte is the only one that is allowed, and forcing stops only where there is a choice."""
    prepared = prepare(grammar, seed)
    if prepared is None:
        return
    automaton, tokens, texts, rng = prepared
    for state in walk(automaton, tokens, texts, rng):
        forced = automaton.forced(state)
        assert automaton.shortest(state).startswith(forced)
        for byte in forced[:40]:
            first = {tokens.tokens[t][0] for t in bits(automaton.mask(state))}
            assert first == {byte}
            assert not automaton.accepts(state)
            state = automaton.advance_bytes(state, bytes([byte]))
        if len(forced) <= 40:
            nexts = {tokens.tokens[t][0] for t in bits(automaton.mask(state)) - set(tokens.end)}
            assert automaton.accepts(state) or len(nexts) > 1


@given(every_grammar, seeds)
@laws(300)
def test_dead_and_finished_absorb(grammar: Grammar, seed: int) -> None:
    prepared = prepare(grammar, seed)
    if prepared is None:
        return
    automaton, tokens, texts, _ = prepared
    for token in range(tokens.logits_size):
        assert automaton.step(DEAD, token) == DEAD
        assert automaton.step(FINISHED, token) == (FINISHED if token in tokens.end else DEAD)
    for data in [b"a", b"\xff", *texts]:
        assert automaton.advance_bytes(DEAD, data) == DEAD
        assert automaton.advance_bytes(FINISHED, data) == (DEAD if data else FINISHED)
    assert automaton.advance_bytes(automaton.start, b"") == automaton.start
    assert bits(automaton.mask(DEAD)) == set()
    assert bits(automaton.mask(FINISHED)) == set(tokens.end)
    assert (automaton.accepts(DEAD), automaton.accepts(FINISHED)) == (False, True)
    assert automaton.forced(DEAD) == automaton.forced(FINISHED) == b""


@given(every_grammar, seeds)
@laws(300)
def test_evicted_masks_come_back_the_same(grammar: Grammar, seed: int) -> None:
    """Masks beyond the budget are forgotten; views of them live on, and new ones are equal."""
    prepared = prepare(grammar, seed)
    if prepared is None:
        return
    roomy, tokens, texts, rng = prepared
    tight = compile_grammar(grammar, tokens.native, mask_cache_bytes=0)
    assert tight is not None
    paths = [tokenise(rng, tokens, text) for text in texts]
    views = []
    for _ in range(2):
        for path in paths:
            pairs = [(tight.start, roomy.start)]
            for token in path:
                pairs.append((tight.step(pairs[-1][0], token), roomy.step(pairs[-1][1], token)))
            for mine, other in pairs:
                view = tight.mask(mine)
                expected = roomy.mask(other).copy()
                assert view.tolist() == expected.tolist()
                views.append((view, expected))
    if any(is_live(roomy.step(roomy.start, path[0])) for path in paths if path):
        assert tight.stats()["mask_evictions"] > 0
    del tight, roomy
    for view, expected in views:
        assert view.tolist() == expected.tolist()
        assert not view.flags.writeable
        assert view.dtype == np.int32
