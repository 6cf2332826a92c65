"""Frozen tables next to the lazy automaton (every state, every token) and next to brute force."""

import itertools
import json
import random
import re
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import structgen
from structgen import DEAD, FINISHED
from structgen._core import TokenAutomaton
from structgen.frozen import FrozenTables, freeze_tables
from tests.core.grammars import (
    bits,
    byte_vocabulary,
    compile_grammar,
    grammars,
    laws,
    make_tokens,
    tallied_grammars,
    texts_of,
)
from tests.core.reference import Grammar

LAYOUTS = {"dense": 1 << 30, "sparse": 0}
layouts = pytest.mark.parametrize("layout", LAYOUTS)


def check_agreement(automaton: TokenAutomaton, tables: FrozenTables, states: int = 100_000) -> None:
    """Compare every state that tokens reach (the first `states` of them), and every token there."""
    frozen_of = {DEAD: DEAD, FINISHED: FINISHED, automaton.start: tables.start}
    todo, seen = list(frozen_of), set()
    for state in itertools.islice(todo, states):
        frozen = frozen_of[state]
        assert tables.accepts(frozen) == automaton.accepts(state)
        assert tables.mask(frozen).tolist() == automaton.mask(state).tolist()
        allowed = bits(automaton.mask(state))
        # Many states within characters are one: what is not allowed there is looked at once.
        for token in allowed if frozen in seen else range(tables.logits_size):
            after, frozen_after = automaton.step(state, token), tables.step(frozen, token)
            assert (after != DEAD) == (token in allowed)
            if after not in frozen_of:
                frozen_of[after] = frozen_after
                todo.append(after)
            assert frozen_of[after] == frozen_after
        seen.add(frozen)
    assert len(todo) > states or seen == set(range(tables.states))


def check_classes(tables: FrozenTables) -> None:
    """Classes are as few as can be: no two have the same column, and all but the first have tokens."""
    assert all(tables.step(s, tables.logits_size) == DEAD for s in range(tables.states))
    first = {int(of): token for token, of in reversed(list(enumerate(tables.class_of_token)))}
    columns = {of: [tables.step(s, token) for s in range(tables.states)] for of, token in first.items()}
    assert set(columns.get(0, [DEAD])) == {DEAD}
    assert set(columns) | {0} == set(range(tables.classes))
    assert len({tuple(column) for column in columns.values()}) == len(columns)


def freeze(automaton: TokenAutomaton, layout: str, **limits: int) -> FrozenTables:
    tables = freeze_tables(automaton, dense_bytes=LAYOUTS[layout], **limits)
    assert tables.layout == layout
    return tables


def try_to_freeze(automaton: TokenAutomaton, layout: str, states: int) -> FrozenTables | None:
    """Return nothing where the automaton is infinite or remembers text."""
    try:
        return freeze(automaton, layout, max_states=states)
    except (structgen.LimitError, structgen.FreezeError):
        return None


@given(
    st.one_of(grammars(), tallied_grammars(), grammars(json=False)),
    st.integers(0, 2**32 - 1),
    st.sampled_from(sorted(LAYOUTS)),
)
@laws(100)
def test_frozen_and_lazy_agree_on_random_grammars(grammar: Grammar, seed: int, layout: str) -> None:
    rng = random.Random(seed)
    plain = compile_grammar(grammar, byte_vocabulary())
    assume(plain is not None)
    tokens = make_tokens(rng, texts_of(plain, rng, 3), 20)
    automaton = compile_grammar(grammar, tokens.native)
    tables = try_to_freeze(automaton, layout, 60)
    assume(tables is not None and tables.states * tables.logits_size < 15_000)
    check_agreement(automaton, tables, 300)
    check_classes(tables)


VOCABULARY = structgen.Vocabulary(
    [b"", b"a", b"b", b"ab", b"ba", b"", b"abb", b"0", b"1"],
    eos_token_ids=[0, 5],
    logits_size=12,
)
ORDINARY = [1, 2, 3, 4, 6, 7, 8]

patterns = st.recursive(
    st.sampled_from(["a", "b", "ab", "[01]", "[ab]", "", "c"]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda parts: f"({parts[0]}|{parts[1]})"),
        inner.map(lambda part: f"({part})*"),
        inner.map(lambda part: f"({part}){{1,3}}"),
    ),
    max_leaves=6,
)


@given(patterns, st.sampled_from(sorted(LAYOUTS)))
@laws(150)
def test_tables_are_brute_force_over_token_sequences(pattern: str, layout: str) -> None:
    """With a vocabulary that lacks bytes, so that states which no tokens complete have to go."""
    try:
        automaton = structgen.compile_regex(pattern, VOCABULARY)
    except structgen.StructgenError:
        assume(False)
    tables = freeze(automaton, layout)
    wanted = re.compile(pattern)
    words = VOCABULARY.tokens
    accepted = set()
    states = {(): tables.start}
    for length in range(4):
        for sequence in itertools.product(ORDINARY, repeat=length):
            if sequence:
                states[sequence] = tables.step(states[sequence[:-1]], sequence[-1])
            state = states[sequence]
            ends = wanted.fullmatch(b"".join(words[t] for t in sequence).decode()) is not None
            assert tables.accepts(state) == ends
            for end in (0, 5):
                assert tables.step(state, end) == (FINISHED if ends else DEAD)
            if ends:
                accepted.add(sequence)
    # What is not dead has a way to the end, as far as that shows within this length.
    beginnings = {sequence[:cut] for sequence in accepted for cut in range(len(sequence) + 1)}
    assert all(states[beginning] > FINISHED for beginning in beginnings)
    for state in range(tables.start, tables.states):
        assert ends_somewhere(tables, state)
    check_agreement(automaton, tables)
    check_classes(tables)


def ends_somewhere(tables: FrozenTables, state: int) -> bool:
    found, todo = {state}, [state]
    while todo:
        at = todo.pop()
        if tables.accepts(at):
            return True
        new = {tables.step(at, token) for token in ORDINARY} - found - {DEAD}
        found |= new
        todo += new
    return False


@layouts
def test_tokens_that_no_state_allows_are_class_zero(layout: str) -> None:
    tables = freeze(structgen.compile_regex("(ab)*", VOCABULARY), layout)
    assert [t for t in range(12) if tables.class_of_token[t] == 0] == [6, 7, 8, 9, 10, 11]
    for token in (-1, 4, 11, 12, 10**9):
        assert tables.step(tables.start, token) == DEAD
    with pytest.raises(ValueError, match="not a state"):
        tables.step(tables.states, 1)
    with pytest.raises(ValueError, match="not a state"):
        tables.mask(-1)


BYTES = structgen.Vocabulary([*(bytes([b]) for b in range(256)), b'{"', b'":', b'"}', b""], eos_token_ids=259)
POINT = {
    "type": "object",
    "properties": {"x": {"type": "integer"}, "name": {"enum": ["a", "é"]}},
    "required": ["x"],
    "additionalProperties": False,
}


@layouts
def test_a_schema(layout: str) -> None:
    automaton = structgen.compile_json_schema(POINT, BYTES, whitespace="compact")
    tables = freeze(automaton, layout)
    check_agreement(automaton, tables)
    state = tables.start
    for token in [256, *b'x":-1,"name":"', *"é".encode(), 258]:
        state = tables.step(state, token)
        assert state > FINISHED
    assert tables.accepts(state)
    assert tables.step(tables.start, ord("[")) == DEAD


@layouts
def test_special_tokens_of_lark_grammars(layout: str) -> None:
    vocabulary = structgen.Vocabulary(
        [*(bytes([b]) for b in range(256)), b"<tool>", b"ab", b"<other>", b""],
        eos_token_ids=259,
        special_token_ids=[256, 258],
    )
    grammar = 'start: "a" <[256]> X?\nX: /[ab]{2}/'
    automaton = structgen.compile_lark(grammar, vocabulary)
    tables = freeze(automaton, layout)
    check_agreement(automaton, tables)
    check_classes(tables)
    after = tables.step(tables.step(tables.start, ord("a")), 256)
    assert tables.accepts(after)
    assert tables.accepts(tables.step(after, 257))
    assert tables.step(tables.step(tables.start, ord("a")), 258) == DEAD


LARK = {
    "keywords": ('start: ("if" NAME | NAME "=" NAME)+\nNAME: /[a-z]+/\n%ignore " "', "y = x if z", {}),
    "lookahead": ("start: A+ B\nA: /a(?=[ab])/\nB: /b(?!b)/", "aab", {}),
    "dead ends": ('start: A | AB C\nA: "a"\nAB: "ab"\nC: /c(?=d)/', "a", {}),
    "earley": ('start: x+ "c"\nx: "a" | "ab" | "b"', "abbac", {"parser": "earley"}),
    "json": ('start: "f(" (v ("," v)*)? ")"\nv: %json {"enum": ["a", 1, [2]]}', 'f("a",[2])', {}),
}


@layouts
@pytest.mark.parametrize("name", LARK)
def test_lark_grammars(name: str, layout: str) -> None:
    grammar, text, options = LARK[name]
    automaton = structgen.compile_lark(grammar, BYTES, **options)
    tables = freeze(automaton, layout, max_states=3000)
    check_agreement(automaton, tables, 400)
    states = [tables.start]
    for token in text.encode():
        states.append(tables.step(states[-1], token))
    assert tables.accepts(states[-1])
    assert DEAD not in states
    assert not tables.accepts(states[-2])
    assert tables.step(states[-1], 0) == DEAD


def test_dead_ends_are_left_out() -> None:
    # After "ab", lark's lexer has read AB, and C never matches: only "a" is a text of this grammar.
    tables = freeze(structgen.compile_lark(LARK["dead ends"][0], BYTES), "dense")
    assert tables.states == 4
    assert tables.step(tables.step(tables.start, ord("a")), ord("b")) == DEAD


UTF8 = structgen.Vocabulary([*(bytes([b]) for b in range(256)), b"\xed\x9f", b""], eos_token_ids=257)


@pytest.mark.parametrize(
    ("schema", "states"),
    [
        ({"type": "string"}, 20),
        # Characters whose neighbours do something else, at the ends of runs of UTF-8 and among surrogates.
        ({"type": "string", "pattern": "^[\u00e0-\u00ff\ud7f0-\ue010\U0010fff0-\U0010ffff]{1,2}$"}, 60),
    ],
)
def test_states_within_characters_are_few(schema: dict[str, object], states: int) -> None:
    automaton = structgen.compile_json_schema(schema, UTF8, whitespace="compact")
    tables = freeze(automaton, "dense", max_states=states)
    check_agreement(automaton, tables)


def test_states_within_escapes_are_few() -> None:
    automaton = structgen.compile_json_schema({"maxLength": 1, "type": "string"}, UTF8, escapes="all")
    tables = freeze(automaton, "dense", max_states=600)
    rng = random.Random(0)
    for _ in range(300):
        text = '"' + rng.choice(["\\u", "\\ud", "\\ud8", "\\ud83d\\ud", "\\ud83d\\ude", "", "\\u00"])
        text += "".join(rng.choice('0123456789abcdefDEF"\\u') for _ in range(8))
        lazy, frozen = automaton.start, tables.start
        for token in text.encode():
            lazy, frozen = automaton.step(lazy, token), tables.step(frozen, token)
            assert (lazy == DEAD) == (frozen == DEAD)
            assert tables.mask(frozen).tolist() == automaton.mask(lazy).tolist()


# -- arrays of distinct items ------------------------------------------------------------------------------


def texts_of_tables(tables: FrozenTables) -> set[bytes]:
    """All texts over single bytes; they must be finitely many."""
    found, todo = set(), [(tables.start, b"")]
    while todo:
        state, text = todo.pop()
        if tables.accepts(state):
            found.add(text)
        after = ((tables.step(state, byte), bytes([byte])) for byte in range(256))
        todo += [(to, text + byte) for to, byte in after if to != DEAD]
    return found


@layouts
@pytest.mark.parametrize(("low", "high"), [(0, 4), (2, 2), (1, 3)])
def test_distinct_items_are_permutations(layout: str, low: int, high: int) -> None:
    values = ["a", "ab", "b", "\u00e9"]
    schema = {"items": {"enum": values}, "uniqueItems": True, "minItems": low, "maxItems": high}
    automaton = structgen.compile_json_schema({"type": "array", **schema}, BYTES, whitespace="compact")
    tables = freeze(automaton, layout)
    check_agreement(automaton, tables)
    check_classes(tables)
    wanted = {
        json.dumps(chosen, ensure_ascii=False, separators=(",", ":")).encode()
        for count in range(low, high + 1)
        for chosen in itertools.permutations(values, count)
    }
    assert texts_of_tables(tables) == wanted


DISTINCT: dict[str, tuple[dict[str, object], dict[str, object]]] = {
    # White space behind items, and between.
    "white space": ({"items": {"enum": ["a", "b"]}}, {"whitespace": "flexible"}),
    # A number has endlessly many spellings, and a few values.
    "numbers": ({"items": {"enum": [1, 10, 1.05, 0, None]}, "minItems": 2}, {}),
    "integers": ({"items": {"type": "integer", "minimum": 8, "maximum": 12}, "maxItems": 3}, {}),
    "escapes": ({"items": {"enum": ["a", "\U0001f600"]}}, {"escapes": "all"}),
    "positions": (
        {"prefixItems": [{"enum": ["a", "b"]}, {"enum": ["b", 1]}], "items": {"enum": ["a", 2]}},
        {},
    ),
    "contains": ({"items": {"enum": ["x", "y", 1]}, "contains": {"enum": ["y", 1]}, "minContains": 2}, {}),
}


@layouts
@pytest.mark.parametrize("name", DISTINCT)
def test_distinct_items_of_few_values(name: str, layout: str) -> None:
    keywords, options = DISTINCT[name]
    schema = {"type": "array", "uniqueItems": True, **keywords}
    automaton = structgen.compile_json_schema(schema, BYTES, **{"whitespace": "compact", **options})
    tables = freeze(automaton, layout, max_states=2000)
    check_agreement(automaton, tables, 2000)
    check_classes(tables)


def test_dead_ends_of_distinct_items_are_left_out() -> None:
    # No third item is left where the first was "a" or "", which the automaton finds out too late.
    schema = {
        "type": "array",
        "uniqueItems": True,
        "prefixItems": [{"enum": ["a", "", "x"]}],
        "items": {"enum": ["", "a"]},
        "minItems": 3,
        "contains": {"enum": [""]},
        "minContains": 0,
        "maxContains": 2,
    }
    automaton = structgen.compile_json_schema(schema, BYTES, whitespace="compact")
    dead_end = automaton.advance_bytes(automaton.start, b'["a"')
    assert dead_end != DEAD
    with pytest.raises(structgen.GuardDeadEnd):
        automaton.mask(dead_end)
    assert texts_of_tables(freeze_tables(automaton)) == {b'["x","","a"]', b'["x","a",""]'}


def test_spellings_of_an_item_are_one_value() -> None:
    schema = {"type": "array", "items": {"enum": [1, 10, "a"]}, "uniqueItems": True}
    automaton = structgen.compile_json_schema(schema, BYTES, whitespace="compact", escapes="all")
    tables = freeze_tables(automaton)
    for text, accepted in [
        ('[1.000,10,"a"]', True),
        ('["\\u0061",10.0]', True),
        ("[10,1]", True),
        ("[1.0,1.00]", False),
        ("[1,1]", False),
        ("[10.0,10]", False),
        ('["a","\\u0061"]', False),
    ]:
        state = tables.start
        for token in text.encode():
            state = tables.step(state, token)
        assert tables.accepts(state) == accepted


# -- what is refused ---------------------------------------------------------------------------------------


def test_infinite_automata_are_refused() -> None:
    nested = structgen.compile_lark('start: "(" start ")" | "x"', BYTES)
    with pytest.raises(structgen.LimitError, match=r"max_states = 500 states \(501 were reached\)"):
        freeze_tables(nested, max_states=500)
    # The automaton itself has not grown.
    assert nested.stats()["states"] < 20
    bounded = structgen.compile_lark('start: "(" two ")"\ntwo: "(x)" | "x"', BYTES)
    check_agreement(bounded, freeze_tables(bounded, max_states=500))


def test_max_states_is_exact() -> None:
    automaton = structgen.compile_regex("a{9}", BYTES)
    assert freeze_tables(automaton, max_states=10).states == 12
    with pytest.raises(structgen.LimitError, match=r"10 were reached") as caught:
        freeze_tables(automaton, max_states=9)
    assert caught.value.limit == "max_states"


@pytest.mark.parametrize(("limit", "value"), [("max_bytes", 1000), ("max_seconds", 0.0)])
def test_other_limits(limit: str, value: float) -> None:
    automaton = structgen.compile_regex("a{9}", BYTES)
    with pytest.raises(structgen.LimitError, match=limit) as caught:
        freeze_tables(automaton, **{limit: value})
    assert caught.value.limit == limit
    with pytest.raises(ValueError, match=limit):
        freeze_tables(automaton, **{limit: -1})


@layouts
def test_max_bytes_is_what_the_tables_take(layout: str) -> None:
    # What they are made from, a kilobyte a state, is bounded by the same number.
    vocabulary = structgen.Vocabulary([b"a", b"b", b""], eos_token_ids=2, logits_size=20_000)
    automaton = structgen.compile_regex("(ab){3}", vocabulary)
    size = freeze(automaton, layout).nbytes
    assert freeze(automaton, layout, max_bytes=size).nbytes == size
    with pytest.raises(structgen.LimitError, match=rf"need {size} bytes") as caught:
        freeze(automaton, layout, max_bytes=size - 1)
    assert caught.value.limit == "max_bytes"


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
        # Objects and arrays are equal in too many spellings.
        {"type": "array", "items": {"enum": ["a", [1], {"b": 2}]}, "uniqueItems": True},
        # Of two arrays, one has few values.
        {
            "type": "object",
            "properties": {
                "few": {"type": "array", "items": {"enum": ["a"]}, "uniqueItems": True},
                "many": {"type": "array", "items": {"type": "integer"}, "uniqueItems": True},
            },
            "additionalProperties": False,
        },
        {"type": "string", "format": "regex"},
    ],
)
def test_states_that_remember_endless_text_are_refused(schema: dict[str, object]) -> None:
    automaton = structgen.compile_json_schema(schema, BYTES)
    with pytest.raises(structgen.FreezeError, match="remembers the text"):
        freeze_tables(automaton)


def test_items_that_may_be_equal_are_not_remembered() -> None:
    repeats = {"type": "array", "items": {"type": "string", "maxLength": 3}, "maxItems": 2}
    automaton = structgen.compile_json_schema(repeats, BYTES, whitespace="compact")
    check_agreement(automaton, freeze_tables(automaton), 300)


def test_only_automata_are_frozen() -> None:
    automaton = structgen.compile_regex("a", BYTES)
    with pytest.raises(TypeError, match="not Session"):
        freeze_tables(automaton.session())


# -- the rest ----------------------------------------------------------------------------------------------


@layouts
def test_they_can_be_saved(layout: str, tmp_path: Path) -> None:
    tables = freeze(structgen.compile_regex("a(b|c){2,3}", BYTES), layout)
    tables.save(tmp_path / "frozen.npz")
    found = FrozenTables.load(tmp_path / "frozen.npz")
    assert found.classes == tables.classes
    assert found.layout == layout
    for name, array in tables.arrays().items():
        assert np.array_equal(found.arrays()[name], array)
    np.savez(tmp_path / "other.npz", classes=3)
    with pytest.raises(ValueError, match="freeze it anew"):
        FrozenTables.load(tmp_path / "other.npz")


def test_other_threads_go_on() -> None:
    automaton = structgen.compile_json_schema(POINT, BYTES)
    tables: list[FrozenTables] = []
    threads = [threading.Thread(target=lambda: tables.append(freeze_tables(automaton))) for _ in range(2)]
    for thread in threads:
        thread.start()
    state = automaton.start
    for token in b'{"x": 1, "name": "a"}':
        state = automaton.step(state, token)
        assert bits(automaton.mask(state)) or automaton.accepts(state)
    for thread in threads:
        thread.join()
    assert automaton.accepts(state)
    assert np.array_equal(tables[0].allowed, tables[1].allowed)
    assert np.array_equal(tables[0].class_of_token, tables[1].class_of_token)


def test_tables_need_no_torch() -> None:
    import subprocess
    import sys

    program = (
        "import sys; sys.modules['torch'] = None; import structgen\n"
        "from structgen.frozen import freeze_tables\n"
        "v = structgen.Vocabulary([b'a', b''], eos_token_ids=1)\n"
        "a = structgen.compile_regex('a', v); print(freeze_tables(a).states)\n"
        "try: a.freeze()\nexcept ImportError as error: print(error)"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert printed.stdout.startswith("4\nfrozen automata on a device need PyTorch")
