"""Guards: checks on the text of a value, made when the value ends."""

import contextlib
import gc
import os
import pickle
import random
import threading
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from structgen import GuardDeadEnd
from structgen._core import DEAD, FINISHED, Builder, NativeVocabulary, TokenAutomaton
from tests.core.grammars import bits, laws, make_tokens, mutate, tokenise
from tests.core.guarded import accepts, accepts_all_tokenisations, agree, language, roam, spelled, vocabulary
from tests.core.reference import (
    ANY,
    EPSILON,
    Array,
    Grammar,
    Guarded,
    Object,
    Recogniser,
    TalliedArray,
    build_grammar,
    choice,
    concat,
    literal,
    one_of,
    repeat,
    sequence,
    union,
)
from tests.core.test_threads_and_sessions import resident

# -- laws over random grammars -----------------------------------------------------------------------------


def three_in_four(text: str) -> bool:
    return zlib.crc32(text.encode()) % 4 != 0


def even(text: str) -> bool:
    return len(text) % 2 == 0


def few_a(text: str) -> bool:
    return text.count("a") <= 1


_integer = union(literal("0"), concat(repeat(literal("-"), 0, 1), one_of("12"), repeat(one_of("012"), 0, 2)))
_decimal = concat(_integer, repeat(concat(literal("."), repeat(one_of("01"), 1, 2)), 0, 1))
_scalars = st.sampled_from(
    [
        ("string", repeat(ANY)),
        ("string", repeat(one_of("ab"), 0, 2)),
        ("string", ("words", ("a", "b", "é"))),
        ("lexeme", _integer),
        ("lexeme", _decimal),
        ("lexeme", concat(_decimal, repeat(concat(one_of("eE"), one_of("012")), 0, 1))),
        ("lexeme", ("words", ("true", "false", "null"))),
        ("lexeme", ("words", ("1", "1.0", "12"))),
    ]
)


@st.composite
def _values(draw: Any, depth: int) -> Any:
    kind = draw(st.integers(0, 11)) if depth > 0 else 0
    inner = _values(depth - 1)
    if kind <= 1:
        return draw(_scalars)
    if kind <= 4:
        predicate = draw(st.sampled_from([three_in_four, three_in_four, even, few_a, None]))
        return Guarded(
            draw(inner), predicate, draw(st.booleans()) if predicate is not three_in_four else False
        )
    if kind == 5:
        return choice(draw(inner), draw(inner))
    if kind <= 7:
        low = draw(st.integers(0, 2))
        high = draw(st.sampled_from([-1, low + 1]))
        prefix = tuple(draw(st.lists(inner, max_size=2)))
        return Array(prefix, draw(inner), low, high, draw(st.booleans()))
    if kind >= 10:
        cells = st.lists(
            st.tuples(inner, st.sampled_from([(), (0,), (1,), (0, 1)])), min_size=1, max_size=2
        ).map(tuple)
        counts = st.tuples(st.just("count"), st.integers(0, 1), st.integers(0, 2), st.sampled_from([-1, 2]))
        goal = draw(counts | st.tuples(st.sampled_from(["all", "any"]), st.tuples(counts, counts)))
        return TalliedArray(tuple(draw(st.lists(cells, max_size=1))), draw(cells), goal, draw(st.booleans()))
    keys = tuple(draw(st.lists(st.sampled_from(["a", "b", "aa"]), max_size=2, unique=True)))
    values = tuple(draw(inner) for _ in keys)
    return Object(keys, values, (False,) * len(keys), (literal("k"),), (draw(inner),), draw(st.booleans()))


_spaces = st.sampled_from([EPSILON, repeat(one_of(" \n"), 0, 2), literal(" "), repeat(literal(" "))])
guarded_grammars = st.builds(
    lambda start, head, space, escapes: Grammar(
        sequence(start, ("lexeme", literal(","))) if head else start, (), space, escapes
    ),
    st.tuples(_values(3), _values(2)).map(lambda v: Guarded(v[0], three_in_four)) | _values(4),
    st.booleans(),
    _spaces,
    st.booleans(),
)
seeds = st.integers(0, 2**32 - 1)


def compiled(grammar: Grammar, native: NativeVocabulary) -> TokenAutomaton | None:
    builder = Builder(native)
    return builder.finish(build_grammar(builder, grammar))


def wander(automaton: TokenAutomaton, rng: random.Random, size: int) -> list[bytes]:
    """Random texts, most of them beginnings of members, by random allowed bytes."""
    found = []
    for _ in range(3):
        state, text = automaton.start, b""
        for _ in range(rng.randrange(3, size)):
            steps = {b: automaton.step(state, b) for b in range(256)}
            live = [b for b, to in steps.items() if to != DEAD and (b < 0x7F or rng.random() < 0.05)]
            if not live:
                break
            likely = [b for b in live if b in b'[]{}",:ab12']
            byte = rng.choice(likely if likely and rng.random() < 0.8 else live)
            state, text = steps[byte], text + bytes([byte])
        with contextlib.suppress(GuardDeadEnd):
            text += automaton.shortest(state)
        found.append(text)
    return found


@given(guarded_grammars, seeds)
@laws(200)
def test_the_language_and_the_masks(grammar: Grammar, seed: int) -> None:
    """Against the reference: what is accepted; against steps: masks, in the automaton and in a session."""
    rng = random.Random(seed)
    plain = compiled(grammar, vocabulary()[0])
    if plain is None:
        return
    reference = Recogniser(grammar)
    texts = wander(plain, rng, 24)
    tokens = make_tokens(rng, texts)
    automaton = compiled(grammar, tokens.native)
    assert automaton is not None
    session = automaton.session()
    for text in texts:
        for candidate in (text, mutate(rng, text), text[: rng.randint(0, len(text))]):
            state = automaton.advance_bytes(automaton.start, candidate)
            own = session.advance_bytes(session.start, candidate)
            assert automaton.accepts(state) == session.accepts(own) == reference.accepts(candidate), candidate
            assert (state == DEAD) == (own == DEAD)
    for text in texts[:2]:
        for view in (automaton, session):
            refused: set[str] = set()
            state = view.start
            for token in tokenise(rng, tokens, text):
                allowed = {t for t in range(len(tokens.tokens)) if view.step(state, t) != DEAD}
                try:
                    mask = bits(view.mask(state))
                    assert mask
                except GuardDeadEnd as error:
                    mask = set()
                    refused |= set(error.guard)
                assert mask == allowed, (state, [tokens.tokens[t] for t in mask ^ allowed])
                forced = view.forced(state)
                if forced:
                    live = {b for b in range(256) if view.advance_bytes(state, bytes([b])) != DEAD}
                    assert live == {forced[0]}
                state = view.step(state, token)
                if state == DEAD:
                    break
            assert refused <= {"guard", "uniqueItems"}
    for view in (automaton, session):
        state = view.advance_bytes(view.start, texts[0][: rng.randint(0, len(texts[0]))])
        if state == DEAD:
            continue
        with contextlib.suppress(GuardDeadEnd):
            assert view.accepts(view.advance_bytes(state, view.shortest(state)))


# -- by hand -----------------------------------------------------------------------------------------------

NATIVE, TOKENS = vocabulary(
    b"1,", b"2]", b"12", b",1", b"2,1", b"[2,", b'"}', b'"},', b"]]", b"}]", b'"a', b'a"', b'a",', b'"aa"',
    b"1 ", b" ,", b"2 ]", b'"]', b'{"k":', b"1]", b"22",
)  # fmt: skip

Predicate = Callable[[str], bool]


def made(make: Callable[[Builder], int], spaces: int = 1, **limits: int) -> TokenAutomaton:
    b = Builder(NATIVE)
    b.json_style(b.re_repeat(b.re_literal(" "), 0, spaces), True)
    automaton = b.finish(make(b), **limits)
    assert automaton is not None
    return automaton


def integer(b: Builder, digits: int = -1) -> int:
    return b.lexeme(b.re_repeat(b.re_chars([(49, 50)]), 1, digits))


def letters(b: Builder) -> int:
    return b.string(b.re_repeat(b.re_chars([(97, 98)]), 0, -1))


def is_even(text: str) -> bool:
    return int(text) % 2 == 0


def test_a_guarded_branch() -> None:
    """The guard is the branch's: the same text may pass by the other."""

    def make(b: Builder) -> int:
        guarded = b.guarded(integer(b), b.guard("even", is_even))
        first = b.sequence([guarded, b.lexeme(b.re_literal("a"))])
        return b.choice([first, b.sequence([integer(b), b.lexeme(b.re_literal("b"))])])

    automaton = made(make)

    def oracle(text: str) -> bool:
        body, _, rest = text.rstrip(" ").partition(text.rstrip(" ")[-1:] or "-")
        plain = body[:-1] if body.endswith(" ") else body
        if text.endswith("  ") or rest or not plain or set(plain) - set("12"):
            return False
        return text.rstrip(" ").endswith("b") or (text.rstrip(" ").endswith("a") and int(plain) % 2 == 0)

    assert spelled(automaton, b"12ab ", 5) == language("12ab ", 5, oracle)
    for seed in range(5):
        roam(automaton, TOKENS, seed, 8)


def test_negated_and_nested() -> None:
    seen: list[str] = []

    def short(text: str) -> bool:
        seen.append(text)
        return len(text) <= 9

    def make(b: Builder) -> int:
        guard = b.guard("even", is_even)
        item = b.choice(
            [
                b.guarded(integer(b), guard),
                b.guarded(letters(b), b.guard("palindrome", lambda t: t == t[::-1]), True),
            ]
        )
        return b.guarded(
            b.guarded(b.array([], item, 0, -1), b.guard("short", short)), b.guard("distinct", None)
        )

    automaton = made(make, spaces=0)
    for text, fits in (
        ("[]", True), ("[2]", True), ("[1]", False), ("[2,12]", True), ("[2,2]", False),
        ('["ab",2]', True), ('["aa"]', False),
        ("[2,12,22]", True), ("[2,12,222]", False), ('["ab","ba"]', False),
    ):  # fmt: skip
        assert accepts_all_tokenisations(automaton, TOKENS, text.encode()) == fits
    assert all(text.startswith("[") and text.endswith("]") for text in seen)
    for seed in range(8):
        roam(automaton, TOKENS, seed, 10)
        roam(automaton.session(), TOKENS, seed, 10)


def test_the_text_is_exact() -> None:
    """White space inside counts, that behind does not; escapes are as they were written."""
    seen: set[str] = set()

    def note(text: str) -> bool:
        seen.add(text)
        return True

    def make(b: Builder) -> int:
        value = b.choice(
            [b.object(["k"], [letters(b)], [True], [], [], True, 0, -1, False), integer(b), letters(b)]
        )
        return b.array([], b.guarded(value, b.guard("note", note)), 0, -1)

    automaton = made(make)
    text = b'[ {"k" : "a" } , 12 ,"\\u0061" ]'
    state = automaton.start
    for byte in text:
        state = automaton.step(state, byte)
    assert automaton.accepts(state)
    assert seen == {'{"k" : "a" }', "12", '"\\u0061"'}


def test_only_what_ends_the_value_is_refused() -> None:
    automaton = made(
        lambda b: b.array([], b.guarded(letters(b), b.guard("three", lambda t: len(t) == 5)), 0, -1)
    )
    state = automaton.advance_bytes(automaton.start, b'["aa')
    allowed = agree(automaton, TOKENS, state)
    assert {TOKENS[t] for t in allowed if len(TOKENS[t]) > 1} == {b'a"', b'a",'}
    assert {ord("a"), ord("b"), ord("\\")} <= allowed
    assert ord('"') not in allowed
    state = automaton.step(state, ord("a"))
    assert {TOKENS[t] for t in agree(automaton, TOKENS, state) if b'"' in TOKENS[t]} == {b'"', b'"]'}


def test_masks_elsewhere_are_shared() -> None:
    """The text of a guarded array differs from state to state, but items keep their masks."""
    calls: list[str] = []

    def make(b: Builder) -> int:
        item = b.object(["k"], [letters(b)], [True], [], [], True, 0, -1, False)
        return b.guarded(b.array([], item, 0, -1), b.guard("any", lambda t: not calls.append(t)))

    session = made(make).session()
    state = session.start

    def new_masks(text: bytes) -> int:
        nonlocal state
        before = session.stats()
        for byte in text:
            state = session.step(state, byte)
            session.mask(state)
        after = session.stats()
        shared = after["masks_shared"] - before["masks_shared"]
        return after["masks_computed"] - before["masks_computed"] - shared

    new_masks(b'[{"k":"aa"},{"k":"b"},')
    items = [b'{"k":"bba"},', b'{"k":"ab"},', b'{"k":"aaaaa"},']
    # Behind the member and behind the object some token ends the array. One of the two masks is begun
    # twice: the predicate is asked.
    assert [new_masks(item) for item in items] == [3, 3, 3]
    assert len(calls) == len(set(calls))


# -- dead ends ---------------------------------------------------------------------------------------------


def test_dead_ends_are_raised_and_named() -> None:
    def make(b: Builder) -> int:
        first = b.guarded(b.lexeme(b.re_literal("12")), b.guard("never", lambda text: False))
        second = b.guarded(b.lexeme(b.re_literal("22")), b.guard("at times", lambda text: text == "1"))
        return b.choice([b.sequence([first, b.lexeme(b.re_literal("x"))]), second])

    automaton = made(make)
    for view in (automaton, automaton.session()):
        for start, names in ((b"1", {"never"}), (b"2", {"at times"})):
            state = view.advance_bytes(view.start, start)
            assert state not in (DEAD, FINISHED)
            out = np.zeros((len(TOKENS) + 31) // 32, np.int32)
            calls: list[Callable[[], object]] = [
                lambda view=view, state=state: view.mask(state),
                lambda view=view, state=state, out=out: view.fill_mask(state, out),
                lambda view=view, state=state, out=out: view.fill_masks([state], out),
                lambda view=view, state=state, out=out: view.fill_mask_within(state, out, 1000),
                lambda view=view, state=state: view.shortest(state),
            ]
            for call in calls * 2:
                with pytest.raises(GuardDeadEnd) as caught:
                    call()
                assert set(caught.value.guard) == names
            copy = pickle.loads(pickle.dumps(caught.value))
            assert (type(copy), copy.guard, str(copy)) == (
                GuardDeadEnd,
                caught.value.guard,
                str(caught.value),
            )
            assert {t for t in range(len(TOKENS)) if view.step(state, t) != DEAD} == set()
    assert bits(automaton.mask(automaton.start)) == {ord("1"), ord("2")}
    with pytest.raises(GuardDeadEnd):
        automaton.shortest(automaton.start)


def test_shortest_looks_for_a_way_around() -> None:
    automaton = made(
        lambda b: b.array([b.guarded(integer(b), b.guard("big", lambda t: int(t) > 11))], b.nothing(), 1, 1)
    )
    assert automaton.shortest(automaton.start) == b"[12]"
    assert automaton.shortest(automaton.advance_bytes(automaton.start, b"[2")) in (b"1]", b"2]")


# -- predicates --------------------------------------------------------------------------------------------


def test_predicates_that_raise() -> None:
    broken = [True]

    def fragile(text: str) -> bool:
        if broken:
            raise ZeroDivisionError(text)
        return True

    automaton = made(lambda b: b.guarded(letters(b), b.guard("fragile", fragile)))
    state = automaton.advance_bytes(automaton.start, b'"a')
    for call in (automaton.mask, automaton.shortest, automaton.forced, lambda s: automaton.step(s, ord('"'))):
        with pytest.raises(ZeroDivisionError, match="a"):
            call(state)
    broken.clear()
    agree(automaton, TOKENS, state)


@pytest.mark.parametrize("answer", [1, "yes", [0]])
def test_predicates_answer_by_truth(answer: object) -> None:
    automaton = made(lambda b: b.guarded(letters(b), b.guard("g", lambda text: answer)))  # type: ignore[arg-type, return-value]
    assert accepts(automaton, '"a"')


def test_arguments() -> None:
    b = Builder(NATIVE)
    with pytest.raises(TypeError):
        b.guard("g", 1)  # type: ignore[arg-type]
    body = b.text(b.re_literal("a"))
    for handle in (-1, 0, 5):
        with pytest.raises(ValueError, match="guard"):
            b.guarded(body, handle)
    guard = b.guard("g", None)
    with pytest.raises(ValueError, match="expression"):
        b.guarded(10_000, guard)
    assert b.guarded(b.nothing(), guard) == b.nothing()
    with pytest.raises(ValueError, match="empty string"):
        b.finish(b.guarded(b.choice([b.empty(), body]), guard))
    b = Builder(NATIVE)
    b.json_style(b.re_epsilon(), False)
    with pytest.raises(ValueError, match="empty string"):
        b.finish(b.array([], b.empty(), 0, -1, unique=True))


def test_threads() -> None:
    """Threads share an automaton whose predicate runs Python; each finds what it would find alone."""

    def slow(text: str) -> bool:
        return sum(map(ord, text)) % 3 != 0

    def make(b: Builder) -> int:
        value = b.guarded(letters(b), b.guard("slow", slow))
        return b.guarded(b.array([], value, 0, -1, unique=True), b.guard("slow too", slow))

    shared = made(make)
    expected = [roam(made(make), TOKENS, seed, 10) for seed in range(4)]
    found: list[Any] = []

    def work(seed: int) -> None:
        view = shared.session() if seed % 2 else shared
        found.append((seed, roam(view, TOKENS, seed, 10)))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert [walk for _, walk in sorted(found)] == expected


def test_predicates_may_use_the_automaton() -> None:
    """No lock is held while a predicate runs."""
    other = made(lambda b: b.guarded(letters(b), b.guard("short", lambda text: len(text) < 6)))
    automaton = made(
        lambda b: b.array(
            [], b.guarded(letters(b), b.guard("by the other", lambda t: accepts(other, t))), 0, -1
        )
    )
    assert accepts(automaton, '["aaa","b"]')
    assert not accepts(automaton, '["aaaa"]')


# -- memory ------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc to read the memory in use")
@pytest.mark.skipif("asan" in os.environ.get("LD_PRELOAD", ""), reason="the sanitizer keeps what was freed")
def test_sessions_are_freed() -> None:
    """What requests captured goes with them; the automaton's tables stay as they are."""

    def make(b: Builder) -> int:
        item = b.choice([letters(b), integer(b)])
        return b.guarded(b.array([], item, 0, -1, unique=True), b.guard("any", lambda text: True))

    automaton = made(make)

    def use(seed: int) -> None:
        rng = random.Random(seed)
        items = {"".join(rng.choices("ab", k=rng.randint(6, 12))) for _ in range(20)}
        session = automaton.session()
        state = session.start
        for byte in ("[" + ",".join(f'"{item}"' for item in items)).encode():
            state = session.step(state, byte)
            session.mask(state)
        assert state >= 2**30

    for seed in range(40):
        use(seed)
    gc.collect()
    before, states = resident(), automaton.stats()["states"]
    for seed in range(40, 160):
        use(seed)
    gc.collect()
    assert automaton.stats()["states"] == states
    assert resident() - before < 24 << 20


def test_the_automaton_itself_counts_its_states() -> None:
    from structgen import LimitError

    automaton = made(lambda b: b.guarded(letters(b), b.guard("any", lambda text: True)), max_states=50)
    with pytest.raises(LimitError, match="max_states"):
        automaton.step_many(automaton.start, list(b'"' + b"ab" * 40))
    session = automaton.session()
    with pytest.raises(LimitError, match="max_states") as caught:
        session.step_many(session.start, list(b'"' + b"ab" * 40))
    assert caught.value.limit == "max_states"
    session = automaton.session()
    assert session.step_many(session.start, list(b'"' + b"ab" * 10 + b'"'))[-1] != DEAD


def test_vocabularies_that_lack_bytes() -> None:
    """No token for "b": what can then not be completed, with the guard, is not allowed either."""
    tokens = [b"[", b"]", b'"', b"a", b'a"', b",", b""]
    native = NativeVocabulary(tokens, [6], [], 7)
    b = Builder(native)
    b.json_style(b.re_epsilon(), False)
    item = b.guarded(
        b.string(b.re_repeat(b.re_chars([(97, 98)]), 0, 3)),
        b.guard("b or aa", lambda t: "b" in t or t == '"aa"'),
    )
    automaton = b.finish(b.array([], item, 1, 2, unique=True))
    assert automaton is not None
    assert spelled_tokens(automaton, tokens, 6) == {'["aa"]'}
    b = Builder(native)
    b.json_style(b.re_epsilon(), False)
    item = b.guarded(b.string(b.re_repeat(b.re_chars([(97, 98)]), 0, 3)), b.guard("b", lambda t: "b" in t))
    assert b.finish(b.array([], item, 1, 2)) is None


def spelled_tokens(automaton: TokenAutomaton, tokens: list[bytes], length: int) -> set[str]:
    found: set[str] = set()
    todo = [(automaton.start, b"")]
    while todo:
        state, text = todo.pop()
        if automaton.accepts(state):
            found.add(text.decode())
        allowed = bits(automaton.mask(state))
        for token, spelling in enumerate(tokens[:-1]):
            after = automaton.step(state, token)
            assert (after != DEAD) == (token in allowed)
            if after != DEAD and len(text) + len(spelling) <= length:
                todo.append((after, text + spelling))
    return found
