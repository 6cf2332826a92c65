"""Tallied objects and arrays: what the laws of the automaton don't say about them."""

import itertools
import random
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from structgen import DEAD, LimitError
from structgen._core import Builder, TokenAutomaton
from tests.core.grammars import bits, byte_vocabulary, laws
from tests.json_schema.reference import ExpressionBuilder

Cells = list[tuple[int, list[int]]]
KEYS = "abc"
COUNTERS = 3


def digits(builder: Any, some: str) -> int:
    """A lexeme of one of these digits."""
    return int(builder.lexeme(builder.re_chars([(ord(d), ord(d)) for d in some])))


def some_goal(builder: Any, rng: random.Random) -> int:
    """A formula in which parts are shared, several levels deep."""
    goals = []
    for _ in range(rng.randint(1, 4)):
        low = rng.choice([0, 0, 1, 1, 2])
        goals.append(builder.goal(rng.randrange(COUNTERS), low, rng.choice([-1, low, low + 1])))
    for _ in range(rng.randint(0, 4)):
        combine = rng.choice([builder.goal_all, builder.goal_any])
        goals.append(combine(rng.choices(goals, k=rng.randint(0 if rng.random() < 0.1 else 1, 3))))
    return int(goals[-1])


def some_cells(builder: Any, rng: random.Random, depth: int) -> Cells:
    cells: Cells = []
    for _ in range(rng.choice([0, 1, 1, 2, 2, 3])):
        value = (
            some_node(builder, rng, 0)
            if depth and rng.random() < 0.3
            else digits(builder, rng.choice("1 12 2".split()))
        )
        cells.append((value, rng.choices(range(COUNTERS), k=rng.randint(0, 2))))
    return cells


def some_node(builder: Any, rng: random.Random, depth: int) -> int:
    """A tallied object or array; the same for both builders when the generators are alike."""
    if rng.random() < 0.4:
        prefix = [some_cells(builder, rng, depth) for _ in range(rng.randint(0, 3))]
        return int(builder.tallied_array(prefix, some_cells(builder, rng, depth), some_goal(builder, rng)))
    keys = list(KEYS[: rng.randint(0, 3)])
    classes = rng.choice([[], ["x"], ["xy"], ["x", "y"]])
    repeat = rng.choice([(1, 1), (1, 2), (1, -1)])
    return int(
        builder.tallied_object(
            keys,
            [some_cells(builder, rng, depth) for _ in keys],
            [rng.random() < 0.25 for _ in keys],
            [builder.re_repeat(builder.re_chars([(ord(c[0]), ord(c[-1]))]), *repeat) for c in classes],
            [some_cells(builder, rng, depth) for _ in classes],
            rng.random() < 0.5,
            rng.random() < 0.5,
            some_goal(builder, rng),
        )
    )


def compiled(seed: int) -> tuple[TokenAutomaton | None, ExpressionBuilder, int]:
    """The same node by the core and by the reference."""
    builder, reference = Builder(byte_vocabulary()), ExpressionBuilder()
    for b in (builder, reference):
        b.json_style(b.re_epsilon(), False)
    automaton = builder.finish(some_node(builder, random.Random(seed), 1))
    return automaton, reference, some_node(reference, random.Random(seed), 1)


def candidates(rng: random.Random) -> Iterator[str]:
    """Texts of the right shape: every short one, and some longer ones with objects and arrays inside."""
    for size in range(4):
        for values in itertools.product("12", repeat=size):
            yield f"[{','.join(values)}]"
    for size in range(3):
        for keys in itertools.product("abcxy", repeat=size):
            for values in itertools.product("12", repeat=size):
                yield "{" + ",".join(f'"{k}":{v}' for k, v in zip(keys, values, strict=True)) + "}"
    for _ in range(150):
        values = rng.choices(
            ["1", "2", "1", "2", "[]", "{}", "[1]", '{"a":1}', '{"x":2}'], k=rng.randint(1, 5)
        )
        keys = rng.choices(["a", "b", "c", "x", "y", "xx", "xy"], k=len(values))
        yield f"[{','.join(values)}]"
        yield "{" + ",".join(f'"{k}":{v}' for k, v in zip(keys, values, strict=True)) + "}"


seeds = st.integers(0, 2**32 - 1)


@given(seeds)
@laws(300)
def test_the_language_is_that_of_the_reference(seed: int) -> None:
    automaton, reference, start = compiled(seed)
    for text in candidates(random.Random(seed)):
        note(text)
        expected = reference.matches(start, text)
        if automaton is None:
            assert not expected
            continue
        state = automaton.advance_bytes(automaton.start, text.encode())
        assert automaton.accepts(state) == expected


@given(seeds)
@laws(150)
def test_the_first_states_are_live_and_their_completions_shortest(seed: int) -> None:
    """Breadth first: masks are what leads on, and every state gets to the end by no shorter way."""
    automaton, reference, start = compiled(seed)
    if automaton is None:
        return
    edges: dict[int, list[int]] = {}
    texts = {automaton.start: b""}
    todo = deque([automaton.start])
    while todo and len(edges) < 150:
        state = todo.popleft()
        steps = {byte: automaton.advance_bytes(state, bytes([byte])) for byte in range(256)}
        live = {byte: after for byte, after in steps.items() if after != DEAD}
        assert bits(automaton.mask(state)) - {256} == set(live)
        edges[state] = list(live.values())
        for byte, after in live.items():
            if after not in texts:
                texts[after] = texts[state] + bytes([byte])
                todo.append(after)
    for state, text in texts.items():
        shortest = automaton.shortest(state)
        assert reference.matches(start, (text + shortest).decode())
        assert automaton.accepts(state) == (shortest == b"")
        for after in edges.get(state, []):
            assert len(automaton.shortest(after)) >= len(shortest) - 1


def build(node: Any) -> TokenAutomaton | None:
    builder = Builder(byte_vocabulary())
    builder.json_style(builder.re_epsilon(), False)
    return builder.finish(node(builder))


def exactly_one(builder: Any, branches: Sequence[tuple[int, int]]) -> int:
    """Of goals, each given with its negation; the formula is a chain of shared parts."""
    one, none = builder.goal_any([]), builder.goal_all([])
    for goal, negation in reversed(branches):
        one = builder.goal_any([builder.goal_all([goal, none]), builder.goal_all([negation, one])])
        none = builder.goal_all([negation, none])
    return int(one)


@pytest.mark.parametrize("ordered", [True, False])
def test_exactly_one_of_many_branches(ordered: bool) -> None:
    """Each property that is a string breaks one branch: all but one must."""
    size = 60

    def node(b: Builder) -> int:
        goal = exactly_one(b, [(b.goal(i, 0, 0), b.goal(i, 1, -1)) for i in range(size)])
        cells: list[Cells] = [[(digits(b, "1"), []), (b.string(b.re_literal("s")), [i])] for i in range(size)]
        return b.tallied_object(
            [f"k{i}" for i in range(size)], cells, [False] * size, [], [], ordered, False, goal
        )

    automaton = build(node)
    assert automaton is not None

    def text(intact: set[int]) -> bytes:
        members = [f'"k{i}":{1 if i in intact else chr(34) + "s" + chr(34)}' for i in range(size)]
        return ("{" + ",".join(members) + "}").encode()

    assert automaton.accepts(automaton.advance_bytes(automaton.start, text({7})))
    assert automaton.advance_bytes(automaton.start, text(set())) == DEAD
    # The second branch that stays intact is refused before it is written.
    state = automaton.advance_bytes(automaton.start, b'{"k0":1,"k1":')
    assert bits(automaton.mask(state)) == {ord('"')}
    assert automaton.shortest(automaton.start).count(b":") == size - 1


def test_long_arrays() -> None:
    def node(b: Builder) -> int:
        goal = b.goal_all([b.goal(0, 600, 600), b.goal(1, 2, 3)])
        one: Cells = [(digits(b, "12"), [0]), (digits(b, "2"), [0, 1])]
        return b.tallied_array([one] * 2000, [], goal)

    automaton = build(node)
    assert automaton is not None

    def accepts(ones: int, twos: int) -> bool:
        text = "[" + ",".join("1" * ones + "2" * twos) + "]"
        return automaton.accepts(automaton.advance_bytes(automaton.start, text.encode()))

    assert accepts(598, 2)
    assert accepts(0, 600)
    assert not accepts(599, 1)
    assert not accepts(599, 2)
    state = automaton.advance_bytes(automaton.start, b"[" + b"1," * 598)
    assert bits(automaton.mask(state)) == {ord("2")}
    assert len(automaton.shortest(automaton.start)) == 1201


@pytest.mark.parametrize(("low", "possible"), [(3, True), (4, False)])
@pytest.mark.parametrize("ordered", [True, False])
def test_finitely_many_distinct_extras(low: int, possible: bool, ordered: bool) -> None:
    """Three keys there are, and no fourth."""

    def node(b: Builder) -> int:
        key = b.re_words(["x", "y", "zzz"])
        return b.tallied_object(
            [], [], [], [key], [[(digits(b, "1"), [0])]], ordered, True, b.goal(0, low, -1)
        )

    automaton = build(node)
    assert (automaton is not None) == possible
    if automaton is not None:
        assert len(automaton.shortest(automaton.start)) == len('{"x":1,"y":1,"zzz":1}')
        state = automaton.advance_bytes(automaton.start, b'{"x":1,"zzz":1,')
        assert automaton.shortest(state) == b'"y":1}'
        assert automaton.advance_bytes(state, b'"x') == DEAD
        assert automaton.forced(state) == b'"y":1}'


@pytest.mark.parametrize("ordered", [True, False])
def test_a_distinct_extra_uses_up_its_key(ordered: bool) -> None:
    """Two extras would do as well as "a" alone, but there is only one key for them: it is never offered."""

    def node(b: Builder) -> int:
        goal = b.goal_any([b.goal(0, 2, -1), b.goal_all([b.goal(0, 0, 0), b.goal(1, 1, -1)])])
        one = digits(b, "1")
        extra = b.re_literal("x")
        return b.tallied_object(["a"], [[(one, [1])]], [False], [extra], [[(one, [0])]], ordered, True, goal)

    automaton = build(node)
    assert automaton is not None
    assert automaton.forced(automaton.start) == b'{"a":1}'


def test_languages_that_are_empty() -> None:
    assert build(lambda b: b.tallied_array([], [], b.goal(0, 1, -1))) is None
    assert build(lambda b: b.tallied_array([], [(b.nothing(), [0])], b.goal(0, 1, -1))) is None
    assert build(lambda b: b.tallied_object(["a"], [[]], [True], [], [], True, False, b.goal_all([]))) is None
    assert build(lambda b: b.tallied_object([], [], [], [], [], True, False, b.goal_any([]))) is None

    # One event can't make two counters differ that always go up together.
    def torn(b: Builder) -> int:
        goal = b.goal_all([b.goal(0, 2, -1), b.goal(1, 0, 1)])
        return b.tallied_array([], [(digits(b, "1"), [0, 1])], goal)

    assert build(torn) is None


def test_recursion() -> None:
    """An array of one array of its own kind never ends; with a way out it does."""

    def nest(b: Builder, leaf: bool) -> int:
        rule = b.rule()
        goal = b.goal_any([b.goal(0, 1, 1), b.goal(1, 2, 2)])
        b.define(rule, b.tallied_array([], [(rule, [0]), *([(digits(b, "1"), [1])] if leaf else [])], goal))
        return rule

    assert build(lambda b: nest(b, False)) is None
    automaton = build(lambda b: nest(b, True))
    assert automaton is not None
    assert automaton.shortest(automaton.start) == b"[1,1]"
    for text, accepted in {
        "[[[1,1]]]": True,
        "[1,1,[1,1]]": True,
        "[1]": False,
        "[1,[[1,1],1],1,1]": True,
        "[1,1,1]": False,
    }.items():
        assert automaton.accepts(automaton.advance_bytes(automaton.start, text.encode())) == accepted, text


def random_clauses(b: Builder, size: int) -> int:
    """Random clauses of three conditions: almost all histories differ."""
    rng = random.Random(0)
    clauses = [
        b.goal_any([b.goal(c, *rng.choice([(0, 0), (1, -1)])) for c in rng.sample(range(size), 3)])
        for _ in range(5 * size)
    ]
    cells: list[Cells] = [[(digits(b, "1"), []), (digits(b, "2"), [i])] for i in range(size)]
    keys = [f"k{i}" for i in range(size)]
    return b.tallied_object(keys, cells, [True] * size, [], [], True, False, b.goal_all(clauses))


def test_the_search_is_limited() -> None:
    build(lambda b: random_clauses(b, 10))
    with pytest.raises(LimitError, match="more than 5000000 steps"):
        build(lambda b: random_clauses(b, 300))


def test_sessions_go_on_where_the_automaton_is_full() -> None:
    def node(b: Builder) -> int:
        rule = b.rule()
        key = b.re_repeat(b.re_chars([(ord("x"), ord("z"))]), 1, -1)
        goal = b.goal_any([b.goal(0, 2, -1), b.goal(1, 1, 1)])
        cells: Cells = [(rule, [0]), (digits(b, "12"), [0, 1])]
        b.define(
            rule,
            b.choice(
                [
                    digits(b, "12"),
                    b.tallied_object(["a", "b"], [cells] * 2, [False] * 2, [key], [cells], False, True, goal),
                ]
            ),
        )
        return rule

    def make(**limits: int) -> TokenAutomaton:
        builder = Builder(byte_vocabulary())
        builder.json_style(builder.re_epsilon(), False)
        automaton = builder.finish(node(builder), **limits)
        assert automaton is not None
        return automaton

    roomy, tight = make(), make(max_states=50)
    text = b'{"b":{"xy":1,"a":2,"x":{"z":1}},"zz":{"a":1,"b":{"y":1,"yy":2}},"a":2}'
    session, state, other = tight.session(), tight.start, roomy.start
    for byte in text:
        state, other = session.step(state, byte), roomy.step(other, byte)
        assert bits(session.mask(state)) == bits(roomy.mask(other))
        assert session.shortest(state) == roomy.shortest(other)
    assert state >= 2**30
    assert session.accepts(state)


def test_arguments_that_are_wrong() -> None:
    b = Builder(byte_vocabulary())
    b.json_style(b.re_epsilon(), False)
    true, value = b.goal_all([]), b.lexeme(b.re_literal("1"))
    for bad in [(-1, 0, 0), (0, -1, 0), (0, 0, -2)]:
        with pytest.raises(ValueError, match="a goal must satisfy"):
            b.goal(*bad)
    with pytest.raises(ValueError, match="not a goal handle"):
        b.goal_all([99])
    with pytest.raises(ValueError, match="not a goal handle"):
        b.tallied_array([], [], 99)
    with pytest.raises(ValueError, match="not an expression handle"):
        b.tallied_array([[(99, [])]], [], true)
    with pytest.raises(ValueError, match="a counter is a number"):
        b.tallied_array([], [(value, [-1])], true)
    with pytest.raises(ValueError, match="must have equal lengths"):
        b.tallied_object(["a"], [], [True], [], [], True, False, true)
    with pytest.raises(ValueError, match="not a regex handle"):
        b.tallied_object([], [], [], [10**6], [[]], True, False, true)
    assert b.goal(0, 2, 1) == b.goal_any([])
    assert b.goal(0, 0, -1) == true
    assert b.goal_any([b.goal(0, 0, 0), b.goal(0, 1, -1)]) == true
    assert b.goal_all([b.goal(0, 0, 1), b.goal(0, 2, -1)]) == b.goal_any([])
