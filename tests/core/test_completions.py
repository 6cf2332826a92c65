"""Shortest completions against brute force, and on inputs that are small but have many ways through."""

import itertools
import json
import random
from typing import Any

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

import structgen
from structgen import DEAD, LimitError, Vocabulary
from structgen._core import Builder, TokenAutomaton
from tests.core.grammars import CHARACTERS, bits, byte_vocabulary, laws, regexes
from tests.core.reference import Re, RegexMatcher, build_regex

BYTES = Vocabulary([bytes([i]) for i in range(256)] + [b""], eos_token_ids=[256])
STRINGS = ["".join(t) for n in range(3) for t in itertools.product(CHARACTERS, repeat=n)]
seeds = st.integers(0, 2**32 - 1)


def check_from(automaton: TokenAutomaton, state: int) -> bytes:
    """One byte at a time: a state is one byte further from the end than the nearest of the next ones."""
    shortest = automaton.shortest(state)
    assert automaton.accepts(automaton.advance_bytes(state, shortest))
    assert automaton.accepts(state) == (shortest == b"")
    following = [automaton.advance_bytes(state, bytes([byte])) for byte in range(256)]
    lengths = [len(automaton.shortest(after)) for after in following if after != DEAD]
    assert {byte for byte in range(256) if following[byte] != DEAD} == bits(automaton.mask(state)) - {256}
    if shortest:
        assert len(shortest) == 1 + min(lengths)
    return shortest


# -- lexemes -----------------------------------------------------------------------------------------------


def spellings(text: str, kind: str) -> list[bytes]:
    if kind == "text":
        return [text.encode()]
    plain = json.dumps(text, ensure_ascii=False).encode()
    return [plain] if kind == "minimal" else [plain, json.dumps(text).encode()]


@pytest.mark.parametrize("kind", ["text", "minimal", "all"])
@given(regex=regexes, seed=seeds)
@laws(300)
def test_lexemes_are_completed_by_their_shortest_spelling(kind: str, regex: Re, seed: int) -> None:
    rng = random.Random(seed)
    b = Builder(byte_vocabulary())
    b.json_style(b.re_epsilon(), kind == "all")
    handle = build_regex(b, regex)
    automaton = b.finish(b.lexeme(handle) if kind == "text" else b.string(handle))
    members = [text for text in STRINGS if RegexMatcher(text).matches(regex)]
    if automaton is None:
        assert not members
        return
    whole = check_from(automaton, automaton.start)
    value = whole.decode() if kind == "text" else json.loads(whole)
    assert RegexMatcher(value).matches(regex)
    spelled = [spelling for text in members for spelling in spellings(text, kind)]
    if spelled:
        assert len(whole) <= min(map(len, spelled))
    # Also from within characters and escapes.
    for text in [whole, *rng.sample(spelled, k=min(5, len(spelled)))]:
        end = rng.randint(0, len(text))
        note(text[:end])
        state = automaton.advance_bytes(automaton.start, text[:end])
        rest = check_from(automaton, state)
        assert len(rest) <= min(len(s) - end for s in [text, *spelled] if s.startswith(text[:end]))
        whole = text[:end] + rest
        assert RegexMatcher(whole.decode() if kind == "text" else json.loads(whole)).matches(regex)


@pytest.mark.parametrize(
    ("schema", "length"),
    [
        # The complement of a length bound, a plain one, and one beside a pattern.
        ({"oneOf": [{}, {"maxLength": 255}]}, 258),
        ({"oneOf": [{}, {"properties": {"f": {"maxLength": 32767}}}]}, 32776),
        ({"type": "string", "minLength": 100000}, 100002),
        ({"type": "string", "minLength": 5000, "pattern": "abc.*def", "maxLength": 6000}, 5002),
        ({"type": "string", "minLength": 300, "not": {"pattern": "[ -\\x7f]"}}, 602),
        (
            {"type": "string", "allOf": [{"pattern": f"^(.{{{n}}})*$"} for n in (7, 11, 13)], "minLength": 1},
            1003,
        ),
        ({"type": "integer", "multipleOf": 1000003, "minimum": 1}, 7),
    ],
)
def test_long_strings(schema: Any, length: int) -> None:
    automaton = structgen.compile_json_schema(schema, BYTES)
    shortest = automaton.shortest(automaton.start)
    assert len(shortest) == length
    assert automaton.accepts(automaton.advance_bytes(automaton.start, shortest))
    assert len(automaton.shortest(automaton.advance_bytes(automaton.start, shortest[:5]))) == length - 5


# -- counted objects and arrays ----------------------------------------------------------------------------

Literal = tuple[int, int, int]  # a counter, at least, at most; -1 for no bound
Clause = list[Literal]


def met(clauses: list[Clause], counts: Any) -> bool:
    return all(
        any(low <= counts[c] and (high < 0 or counts[c] <= high) for c, low, high in clause)
        for clause in clauses
    )


def some_clauses(rng: random.Random, counters: int) -> list[Clause]:
    """Many clauses of few counters that are near each other: several parts, some of them large."""
    clauses = []
    for _ in range(rng.randint(4, 8)):
        first = rng.randrange(counters)
        clause = []
        for c in {first, (first + rng.choice([0, 1, 1, 2])) % counters}:
            low = rng.choice([0, 0, 1, 1, 2])
            clause.append((c, low, rng.choice([-1, low]) if low else rng.choice([0, 1])))
        clauses.append(clause)
    return clauses


def goal(b: Builder, clauses: list[Clause]) -> int:
    return int(b.goal_all([b.goal_any([b.goal(*literal) for literal in clause]) for clause in clauses]))


def check_near(automaton: TokenAutomaton, rng: random.Random) -> None:
    """At the start, along the shortest way, and off it."""
    state = automaton.start
    for _ in range(25):
        shortest = check_from(automaton, state)
        allowed = sorted(bits(automaton.mask(state)) - {256})
        if not allowed:
            return
        byte = shortest[0] if shortest and rng.random() < 0.6 else rng.choice(allowed)
        state = automaton.advance_bytes(state, bytes([byte]))


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("kind", ["members", "extras", "repeated"])
@given(seed=seeds)
@laws(60)
def test_objects_with_goals_of_many_parts(ordered: bool, kind: str, seed: int) -> None:
    """The least cost over all choices of members. Extras that repeat may be taken twice."""
    rng = random.Random(seed)
    size = 6
    clauses = some_clauses(rng, size)
    # A way to take a member: how long its value is, and what it hits.
    ways = [
        [
            (rng.randint(1, 3), [i] if rng.random() < 0.8 else [i, (i + 1) % size])
            for _ in range(rng.randint(1, 2))
        ]
        for i in range(size)
    ]
    required = [kind == "members" and rng.random() < 0.2 for _ in range(size)]
    again = kind == "repeated"
    best = None
    choices = [
        [t for n in range(3 if again else 2) for t in itertools.product(own, repeat=n) if t or not needed]
        for own, needed in zip(ways, required, strict=True)
    ]
    for taken in itertools.product(*choices) if not again else sampled(choices, rng):
        flat = [way for some in taken for way in some]
        counts = [sum(c in hits for _, hits in flat) for c in range(size)]
        length = 2 + sum(5 + value for value, _ in flat) + max(0, len(flat) - 1)
        if met(clauses, counts) and (best is None or length < best):
            best = length
    b = Builder(byte_vocabulary())
    b.json_style(b.re_epsilon(), False)
    cells = [[(b.lexeme(b.re_literal("1" * n)), hits) for n, hits in own] for own in ways]
    keys = [f"k{i}" for i in range(size)]
    extras = kind != "members"
    node = b.tallied_object(
        [] if extras else keys,
        [] if extras else cells,
        [] if extras else required,
        [b.re_literal(k) for k in keys] if extras else [],
        cells if extras else [],
        ordered,
        kind == "extras",
        goal(b, clauses),
    )
    automaton = b.finish(node)
    if automaton is None:
        assert best is None
        return
    shortest = automaton.shortest(automaton.start)
    assert best is not None or again
    assert best is None or (len(shortest) <= best if again else len(shortest) == best)
    check_near(automaton, rng)


def sampled(choices: list[Any], rng: random.Random) -> Any:
    for _ in range(3000):
        yield [rng.choice(some) for some in choices]


@given(seed=seeds)
@laws(80)
def test_arrays_with_goals_of_many_parts(seed: int) -> None:
    """Breadth first over the counts, beyond which more hits change nothing."""
    rng = random.Random(seed)
    size = 5
    clauses = some_clauses(rng, size)
    ways = [
        (rng.randint(1, 2), sorted({rng.randrange(size) for _ in range(rng.randint(1, 2))})) for _ in range(5)
    ]
    least = {(0,) * size: 0}
    layers: dict[int, set[tuple[int, ...]]] = {0: {(0,) * size}}
    for cost in range(45):
        for counts in layers.pop(cost, set()):
            if least[counts] < cost:
                continue
            for value, hits in ways:
                after = tuple(min(3, n + (c in hits)) for c, n in enumerate(counts))
                total = cost + value + 1
                if total < least.get(after, 1000):
                    least[after] = total
                    layers.setdefault(total, set()).add(after)
    reached = [cost for counts, cost in least.items() if met(clauses, counts)]
    b = Builder(byte_vocabulary())
    b.json_style(b.re_epsilon(), False)
    cells = [(b.lexeme(b.re_literal("1" * n)), hits) for n, hits in ways]
    automaton = b.finish(b.tallied_array([], cells, goal(b, clauses)))
    if automaton is None:
        assert not reached
        return
    assert len(automaton.shortest(automaton.start)) == max(2, min(reached) + 1)
    check_near(automaton, rng)


# -- families ----------------------------------------------------------------------------------------------


def integers(*names: str) -> Any:
    return {"type": "object", "properties": {name: {"type": "integer"} for name in names}}


def chain(n: int, first: bool) -> Any:
    keys = [f"p{i}" for i in range(n)]
    links = {a: [b] for a, b in itertools.pairwise(keys)}
    return {"type": "object", "dependentRequired": links, "required": keys[:1] if first else []}


def conditions(n: int) -> Any:
    """Each member decides which of two further keys there must be."""
    return {
        **integers(*(f"p{i}" for i in range(n))),
        "allOf": [
            {
                "if": {"properties": {f"p{i}": {"const": i}}, "required": [f"p{i}"]},
                "then": {"required": [f"q{i}"]},
                "else": {"required": [f"r{i}"]},
            }
            for i in range(n)
        ],
    }


def text_of(keys: list[str]) -> str:
    return json.dumps(dict.fromkeys(keys, 0), separators=(",", ":"))


@pytest.mark.parametrize("order", ["schema", "any"])
@pytest.mark.parametrize(
    ("schema", "length"),
    [
        (chain(60, False), 2),
        (chain(60, True), len(text_of([f"p{i}" for i in range(60)]))),
        ({**chain(60, False), "minProperties": 1}, len('{"":0}')),
        (conditions(25), len(text_of([f"r{i}" for i in range(25)]))),
        ({"type": "array", "allOf": [{"contains": {"const": i}} for i in range(20)]}, 51),
        ({"type": "array", "allOf": [{"contains": {"minimum": i}, "minContains": 2} for i in range(20)]}, 7),
    ],
)
def test_many_conditions(schema: Any, length: int, order: str) -> None:
    automaton = structgen.compile_json_schema(schema, BYTES, property_order=order)
    shortest = automaton.shortest(automaton.start)
    assert len(shortest) == length
    # Every state on the way has its mask.
    state = automaton.start
    for byte in shortest[:200]:
        assert byte in bits(automaton.mask(state))
        state = automaton.step(state, byte)


def test_masks_of_sixty_conditions() -> None:
    automaton = structgen.compile_json_schema(conditions(60), BYTES, whitespace="compact")
    state = automaton.advance_bytes(automaton.start, b'{"p1":1,"q1":0,')
    assert bits(automaton.mask(state)) == {ord('"')}
    assert automaton.advance_bytes(state, b'"p1"') == DEAD
    assert automaton.advance_bytes(automaton.start, b'{"p1":1}') == DEAD


def test_members_that_meet_several_of_many_demands() -> None:
    """The fewest members of which each demand names one, by brute force."""
    n = 10
    demands = [{f"p{i}", f"p{(7 * i + 3) % n}", f"p{(5 * i + 1) % n}"} for i in range(n)]
    schema = {
        "type": "object",
        "allOf": [{"anyOf": [{"required": [key]} for key in sorted(d)]} for d in demands],
    }
    keys = [f"p{i}" for i in range(n)]
    fewest = next(
        size
        for size in range(n)
        for some in itertools.combinations(keys, size)
        if all(d & {*some} for d in demands)
    )
    automaton = structgen.compile_json_schema(schema, BYTES)
    assert automaton.shortest(automaton.start).count(b":") == fewest


@pytest.mark.parametrize(
    ("schema", "length"),
    [
        ({"contains": {"const": 1}, "minItems": 10000}, 20001),
        ({"contains": {"const": 1}, "minContains": 5000, "minItems": 5000}, 10001),
        ({"contains": {"const": 1}, "minContains": 300, "maxContains": 301, "minItems": 700}, 1401),
        ({"prefixItems": [{"type": "integer"}] * 2000, "contains": {"const": 1}, "minItems": 2000}, 4001),
        ({"contains": {"const": 10}, "minContains": 3, "items": {"type": "integer"}, "minItems": 500}, 1004),
    ],
)
def test_long_arrays(schema: Any, length: int) -> None:
    automaton = structgen.compile_json_schema({"type": "array", **schema}, BYTES)
    shortest = automaton.shortest(automaton.start)
    assert len(shortest) == length
    assert automaton.accepts(automaton.advance_bytes(automaton.start, shortest))


def test_distinct_strings_beyond_those_of_one_character() -> None:
    schema = {"type": "array", "items": {"type": "string"}, "uniqueItems": True, "minItems": 180}
    automaton = structgen.compile_json_schema(schema, BYTES)
    items = json.loads(automaton.shortest(automaton.start))
    assert len(items) == len(set(items)) == 180


def test_what_takes_too_much_memory_is_an_error() -> None:
    """Only multiples of 510,510 characters are of all these lengths."""
    schema = {
        "type": "string",
        "minLength": 1,
        "allOf": [{"pattern": f"^(.{{{n}}})*$"} for n in (2, 3, 5, 7, 11, 13, 17)],
    }
    automaton = structgen.compile_json_schema(schema, BYTES)
    with pytest.raises(LimitError, match="too much memory"):
        automaton.shortest(automaton.start)


def test_what_else_the_tables_have_seen_does_not_matter() -> None:
    """The order of a union's options depends on it; equal automata complete alike all the same."""
    found = set()
    for earlier in (
        None,
        {"type": "integer", "minimum": 1900},
        {"contains": {"minimum": 10}, "minContains": 2},
    ):
        vocabulary = Vocabulary([*(bytes([byte]) for byte in range(256)), b"<end>"], eos_token_ids=256)
        if earlier is not None:
            automaton = structgen.compile_json_schema(earlier, vocabulary)
            state = automaton.start
            for token in b"[191" if "contains" in earlier else b"191":
                automaton.mask(state)
                state = automaton.step(state, token)
        automaton = structgen.compile_json_schema({"type": "integer", "minimum": 18}, vocabulary)
        found.add(automaton.shortest(automaton.start))
    assert found == {b"18"}
