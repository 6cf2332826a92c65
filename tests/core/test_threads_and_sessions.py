"""Threads, forks, sessions, budgets of memory, and arguments that are wrong."""

import gc
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import structgen
from structgen import DEAD, FINISHED, LimitError
from structgen._core import Builder, NativeVocabulary, Session, TokenAutomaton
from tests.core.grammars import bits, byte_vocabulary

WORDS = b'":1," "}, }} ]} ":" "," {" {"a": [[ ],[ ", ": 12 1, ,1 ab a" \\" \\u00 \xc3\xa9 \xf0\x9f'.split()
TOKENS = [*(bytes([i]) for i in range(256)), *WORDS, b"", b"a"]
END = 256 + len(WORDS)
SESSION_BASE = 2**30


def vocabulary(table_bytes: int = 256 << 20) -> NativeVocabulary:
    return NativeVocabulary(TOKENS, [END], [], len(TOKENS) + 9, table_bytes)


def nested(native: NativeVocabulary, **limits: int) -> TokenAutomaton:
    """A list of 30 or more arrays and objects of any depth around numbers and strings: no end of states."""
    b = Builder(native)
    b.json_style(b.re_repeat(b.re_chars([(32, 32), (10, 10)]), 0, 2), True)
    value = b.rule()
    digits = b.re_repeat(b.re_chars([(48, 57)]), 1, 6)
    text = b.re_repeat(b.re_any(), 0, 12)
    extra = b.re_intersection([b.re_repeat(b.re_any(), 0, 3), b.re_complement(b.re_words(["a", "b"]))])
    parts = [
        b.lexeme(digits),
        b.string(text),
        b.array([b.string(b.re_literal("ab"))], value, 0, 5),
        b.object(["a", "b"], [value, value], [True, False], [extra], [value], False, 0, 4, True),
    ]
    b.define(value, b.choice(parts))
    automaton = b.finish(b.array([], value, 30, -1), **limits)
    assert automaton is not None
    return automaton


def full(limit: int) -> TokenAutomaton:
    """Walk an automaton until it has no room for more states."""
    automaton = nested(vocabulary(), max_states=limit)
    automaton.step(automaton.start, ord("["))
    with pytest.raises(LimitError, match="max_states"):
        random_walks(automaton, range(100, 100 + limit))
    assert automaton.stats()["states"] == limit
    return automaton


def mask_of(view: TokenAutomaton | Session, state: int) -> bytes:
    return view.mask(state).tobytes()


def random_walk(view: TokenAutomaton | Session, seed: int, steps: int) -> list[tuple[int, bytes]]:
    """Tokens taken, each with the mask that allowed it: free of state numbers."""
    rng = random.Random(seed)
    state, trace = view.start, []
    for _ in range(steps):
        mask = mask_of(view, state)
        allowed = sorted(bits(np.frombuffer(mask, np.int32)) - {END})
        if not allowed:
            break
        # Tokens of several bytes, and marks, lead to more different places than letters do.
        marks = [t for t in allowed if t > 255 or t in b'[]{}",:']
        token = rng.choice(marks if marks and rng.random() < 0.6 else allowed)
        trace.append((token, mask))
        state = view.step(state, token)
    trace.append((-1, mask_of(view, state)))
    return trace


def random_walks(view: TokenAutomaton | Session, seeds: range) -> None:
    for seed in seeds:
        random_walk(view, seed, 60)


def in_threads(count: int, work: Callable[[int], Any]) -> list[Any]:
    """Run work(i) in as many threads, which begin at the same time."""
    barrier = threading.Barrier(count)

    def run(i: int) -> Any:
        barrier.wait()
        return work(i)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


# -- threads -----------------------------------------------------------------------------------------------


def test_threads_get_the_masks_of_one_thread() -> None:
    alone = nested(vocabulary())
    expected = {seed: random_walk(alone, seed, 60) for seed in range(24)}
    shared = nested(vocabulary(), mask_cache_bytes=4000)

    def work(i: int) -> dict[int, Any]:
        seeds = list(range(24))
        random.Random(i).shuffle(seeds)
        view = shared if i % 2 else shared.session()
        return {seed: random_walk(view, seed, 60) for seed in seeds}

    for found in in_threads(8, work):
        assert found == expected


def test_threads_fill_buffers_of_their_own() -> None:
    """One automaton keeps the last buffer it was given; threads must not write into each other's."""
    automaton = nested(vocabulary())
    states = [automaton.start]
    for token in b'[{"a":["ab",{"a":12}':
        states.append(automaton.step(states[-1], token))
    expected = [mask_of(automaton, state) for state in states]

    def work(i: int) -> None:
        out = np.zeros(automaton.mask(automaton.start).size, np.int32)
        for n in range(400):
            k = (n + i) % len(states)
            automaton.fill_mask(states[k], out)
            assert out.tobytes() == expected[k]

    in_threads(8, work)


def test_threads_share_one_session() -> None:
    """States of a session's own are made by some threads while others read."""
    session = full(200).session()
    alone = nested(vocabulary())
    expected = [random_walk(alone, seed, 30) for seed in range(4)]

    def work(i: int) -> list[Any]:
        return [random_walk(session, (seed + i) % 4, 30) for seed in range(4)]

    for i, found in enumerate(in_threads(8, work)):
        assert found == expected[i % 4 :] + expected[: i % 4]
    assert session.stats()["states"] > 10


def test_threads_compile_over_one_vocabulary() -> None:
    native = vocabulary(table_bytes=200_000)  # small: new tables begin while others are in use
    expected = [random_walk(nested(vocabulary()), seed, 30) for seed in range(4)]

    def work(i: int) -> list[Any]:
        found = []
        for n in range(3):
            b = Builder(native)
            word = b.re_union([b.re_literal(f"{i}{n}"), b.re_repeat(b.re_chars([(97, 97 + n)]), 1, 3 + i)])
            automaton = b.finish(b.string(word))
            assert automaton is not None
            assert automaton.accepts(automaton.advance_bytes(automaton.start, f'"{i}{n}"'.encode()))
            assert automaton.advance_bytes(automaton.start, b'"zz') == DEAD
            found = [random_walk(nested(native), seed, 30) for seed in range(4)]
        return found

    for found in in_threads(8, work):
        assert found == expected


def test_the_order_of_arrival_does_not_matter() -> None:
    """Walks in any order see the same masks; the same order gives the same numbers."""
    forward, backward, again = (nested(vocabulary()) for _ in range(3))
    first = [random_walk(forward, seed, 40) for seed in range(10)]
    assert [random_walk(backward, seed, 40) for seed in reversed(range(10))] == first[::-1]
    assert [random_walk(again, seed, 40) for seed in range(10)] == first
    text = b'[{"a":["ab",2],"b":"x"}'
    assert forward.advance_bytes(forward.start, text) == again.advance_bytes(again.start, text)


def test_masks_are_the_same_in_every_process() -> None:
    """Hash seeds and addresses leave no trace."""
    code = (
        "import hashlib; from tests.core import test_threads_and_sessions as t\n"
        "walks = [t.random_walk(t.nested(t.vocabulary()), seed, 40) for seed in range(3)]\n"
        "print(hashlib.sha256(repr(walks).encode()).hexdigest())"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.getcwd()},
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(runs) == 1
    assert len(runs.pop().strip()) == 64


def emptiness(native: NativeVocabulary) -> None:
    """A search of a great many residuals, which ends at its limit."""
    b = Builder(native, max_emptiness_steps=120_000)
    ab = b.re_chars([(97, 98)])
    sides = [
        b.re_concat([b.re_repeat(ab, 0, -1), b.re_literal(letter), b.re_repeat(ab, 25, 25)])
        for letter in "ab"
    ]
    with pytest.raises(LimitError, match="max_emptiness_steps"):
        b.re_is_empty(b.re_intersection(sides))


def long_text(native: NativeVocabulary) -> None:
    """One call over a text of many bytes."""
    b = Builder(native)
    automaton = b.finish(b.text(b.re_repeat(b.re_words(["ab", "ba", "abba"]), 0, -1)))
    assert automaton is not None
    assert automaton.accepts(automaton.advance_bytes(automaton.start, b"ab" * 12_000_000))


@pytest.mark.parametrize("work", [emptiness, long_text])
def test_long_work_does_not_hold_the_interpreter(work: Callable[[NativeVocabulary], None]) -> None:
    """While one thread computes, another goes on."""
    took: list[float] = []

    def run() -> None:
        begin = time.perf_counter()
        work(vocabulary())
        took.append(time.perf_counter() - begin)

    thread = threading.Thread(target=run)
    longest, last = 0.0, time.perf_counter()
    thread.start()  # may itself wait for the interpreter
    while thread.is_alive():
        time.sleep(0.0005)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    thread.join()
    if took[0] < 0.1:
        pytest.skip(f"the work took {took[0]:.3f} s, too little to tell")
    # With the interpreter's lock held, the longest pause would be nearly as long as the work.
    assert longest < took[0] / 2, (longest, took[0])


# -- forks -------------------------------------------------------------------------------------------------


@pytest.mark.timeout(60)
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forks_while_threads_work() -> None:
    """A child born in the midst of others' steps finds no lock held, and tables that are whole."""
    native = vocabulary()
    shared = nested(native)
    expected = random_walk(nested(vocabulary()), 5, 30)
    stop = threading.Event()

    def work(i: int) -> None:
        seed = i * 1000
        while not stop.is_set():
            random_walk(shared if i % 2 else nested(native), seed, 30)
            seed += 1

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(8):
            child = os.fork()
            if child == 0:
                signal.alarm(30)  # a child that hangs is killed, and its status says so
                code = 1
                try:
                    session = shared.session()
                    same = random_walk(shared, 5, 30) == random_walk(session, 5, 30) == expected
                    fresh = random_walk(nested(native), 5, 30) == expected
                    code = 0 if same and fresh else 2
                finally:
                    os._exit(code)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()


# -- sessions ----------------------------------------------------------------------------------------------


def test_sessions_go_on_where_the_automaton_is_full() -> None:
    tight, roomy = full(200), nested(vocabulary())
    text = b'[{"a":["ab",{"b":1,"a":"\\u00e9"}],"zz":["ab",[]]},{"b":"x'
    with pytest.raises(LimitError, match="max_states"):
        tight.step_many(tight.start, list(text))
    session = tight.session()
    states, reference = session.step_many(session.start, list(text)), roomy.step_many(roomy.start, list(text))
    assert len(states) == len(reference) == len(text)
    assert states[0] < SESSION_BASE <= states[-1]
    words = (len(TOKENS) + 9 + 31) // 32
    out, rows = np.zeros(words, np.int32), np.zeros((len(text), words), np.int32)
    session.fill_masks(states, rows)
    for mine, other, row in zip(states, reference, rows, strict=True):
        session.fill_mask(mine, out)
        assert mask_of(session, mine) == out.tobytes() == row.tobytes() == mask_of(roomy, other)
        assert session.accepts(mine) == roomy.accepts(other)
        assert session.forced(mine) == roomy.forced(other)
        assert session.shortest(mine) == roomy.shortest(other)
        session.fill_mask_within(mine, out, 9)
        expected = np.zeros(words, np.int32)
        roomy.fill_mask_within(other, expected, 9)
        assert out.tobytes() == expected.tobytes()
    assert session.advance_bytes(session.start, text) == states[-1]
    assert session.step(states[-1], END) == DEAD
    complete = session.advance_bytes(states[-1], session.shortest(states[-1]))
    assert session.step(complete, END) == FINISHED
    for seed in range(8):
        assert random_walk(tight.session(), seed, 60) == random_walk(roomy, seed, 60)
    assert session.stats()["states"] > 10
    assert tight.stats()["states"] == 200


def test_a_session_has_a_budget_too() -> None:
    session = full(40).session()
    with pytest.raises(LimitError, match="max_states"):
        random_walks(session, range(1000))
    # What was reached before remains.
    fresh = nested(vocabulary())
    assert mask_of(session, session.start) == mask_of(fresh, fresh.start)


def every_call(view: TokenAutomaton | Session, state: int) -> dict[str, Callable[[], object]]:
    out = np.zeros((len(TOKENS) + 9 + 31) // 32, np.int32)
    return {
        "step": lambda: view.step(state, 65),
        "step_many": lambda: view.step_many(state, [65]),
        "mask": lambda: view.mask(state),
        "fill_mask": lambda: view.fill_mask(state, out),
        "fill_masks": lambda: view.fill_masks([state], out),
        "fill_mask_within": lambda: view.fill_mask_within(state, out, 5),
        "accepts": lambda: view.accepts(state),
        "forced": lambda: view.forced(state),
        "shortest": lambda: view.shortest(state),
        "advance_bytes": lambda: view.advance_bytes(state, b"["),
    }


CALLS = sorted(every_call(None, 0))  # type: ignore[arg-type]


@pytest.mark.parametrize("call", CALLS)
def test_states_are_valid_where_they_belong(call: str) -> None:
    tight = full(60)
    session, other = tight.session(), tight.session()
    root = tight.step(tight.start, ord("["))
    own = session.advance_bytes(root, b'{"a":["ab",2,3,["ab",["ab"],{"a":1},"')
    assert own >= SESSION_BASE
    for view in (session, other):
        every_call(view, root)[call]()
    every_call(session, own)[call]()
    for view, state in ((tight, own), (other, own), (nested(vocabulary()), own)):
        with pytest.raises(ValueError, match="state"):
            every_call(view, state)[call]()
    for view in (session, tight):
        for state in (-1, -(2**31), 10_000, SESSION_BASE - 1, SESSION_BASE + 10_000, 2**31 - 1):
            with pytest.raises(ValueError, match="state"):
                every_call(view, state)[call]()
        for state in (2**31, 2**64, "a", None, 1.5):
            with pytest.raises(TypeError):
                every_call(view, state)[call]()  # type: ignore[arg-type]


def test_a_session_outlives_its_automaton() -> None:
    session = full(60).session()
    gc.collect()
    assert random_walk(session, 3, 40) == random_walk(nested(vocabulary()), 3, 40)


# -- memory ------------------------------------------------------------------------------------------------


def test_tables_begin_anew_while_old_automata_work() -> None:
    native = vocabulary(table_bytes=1)
    expected = [random_walk(nested(vocabulary()), seed, 30) for seed in range(3)]
    automata = [nested(native) for _ in range(4)]
    assert native.stats()["generations"] >= 4
    for automaton in [*automata, *automata[::-1]]:
        assert [random_walk(automaton, seed, 30) for seed in range(3)] == expected
    roomy = vocabulary()
    for _ in range(4):
        random_walk(nested(roomy), 1, 30)
    assert roomy.stats()["generations"] == 1


def resident() -> int:
    """Bytes of memory that this process occupies."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc to read the memory in use")
@pytest.mark.skipif("asan" in os.environ.get("LD_PRELOAD", ""), reason="the sanitizer keeps what was freed")
def test_memory_stays_steady_over_many_grammars() -> None:
    native = vocabulary(table_bytes=100_000)

    def use(n: int) -> None:
        b = Builder(native)
        name = b.re_intersection(
            [b.re_repeat(b.re_any(), 1, 20 + n % 7), b.re_complement(b.re_literal(f"k{n}"))]
        )
        member = b.object([f"p{n}", "q"], [b.string(name)] * 2, [True, False], [], [], True, 0, -1, False)
        automaton = b.finish(member, mask_cache_bytes=20_000)
        assert automaton is not None
        session = automaton.session()
        for seed in range(2):
            random_walk(session, seed, 40)

    for n in range(500):
        use(n)
    gc.collect()
    before, generations = resident(), native.stats()["generations"]
    for n in range(500, 2500):
        use(n)
    gc.collect()
    assert native.stats()["generations"] > generations + 3
    assert resident() - before < 16 << 20


def test_masks_stay_within_their_budget() -> None:
    """Eviction keeps the cache near its budget over many distinct masks."""
    budget = 30_000
    automaton = nested(vocabulary(), mask_cache_bytes=budget)
    for seed in range(40):
        random_walk(automaton, seed, 60)
    stats = automaton.stats()
    assert stats["mask_evictions"] > 0
    assert stats["mask_bytes"] < 2 * budget


# -- arguments ---------------------------------------------------------------------------------------------


def test_tokens_out_of_range() -> None:
    automaton = nested(vocabulary())
    for view in (automaton, automaton.session()):
        for token in (-1, len(TOKENS) + 9, 2**31, 2**40, -(2**63)):
            with pytest.raises(ValueError, match="range"):
                view.step(view.start, token)
            with pytest.raises(ValueError, match="range"):
                view.step_many(view.start, [ord("["), token])
        # In range, but only the padding of the logits.
        assert view.step(view.start, len(TOKENS) + 8) == DEAD
        with pytest.raises(TypeError):
            view.step(view.start, 2**63)
        with pytest.raises(TypeError):
            view.step(view.start, "1")  # type: ignore[arg-type]
        assert view.step_many(view.start, []) == []
        assert view.step_many(view.start, [ord("x"), ord("[")]) == [DEAD]


WORD_COUNT = (len(TOKENS) + 9 + 31) // 32
BAD_BUFFERS: dict[str, Callable[[], Any]] = {
    "int64": lambda: np.zeros(WORD_COUNT, np.int64),
    "float32": lambda: np.zeros(WORD_COUNT, np.float32),
    "int16": lambda: np.zeros(WORD_COUNT * 2, np.int16),
    "big endian": lambda: np.zeros(WORD_COUNT, ">i4"),
    "short": lambda: np.zeros(WORD_COUNT - 1, np.int32),
    "long": lambda: np.zeros(WORD_COUNT + 1, np.int32),
    "empty": lambda: np.zeros(0, np.int32),
    "strided": lambda: np.zeros(WORD_COUNT * 2, np.int32)[::2],
    "backwards": lambda: np.zeros(WORD_COUNT, np.int32)[::-1],
    "read-only": lambda: np.frombuffer(bytes(4 * WORD_COUNT), np.int32),
    "bytes": lambda: bytes(4 * WORD_COUNT),
    "bytearray": lambda: bytearray(4 * WORD_COUNT),
    "a list": lambda: [0] * WORD_COUNT,
    "none": lambda: None,
}


@pytest.mark.parametrize("name", BAD_BUFFERS)
def test_wrong_buffers(name: str) -> None:
    automaton = nested(vocabulary())
    good = np.zeros(WORD_COUNT, np.int32)
    for view in (automaton, automaton.session()):
        calls: list[Callable[[Any], None]] = [
            lambda out, view=view: view.fill_mask(view.start, out),
            lambda out, view=view: view.fill_masks([view.start], out),
            lambda out, view=view: view.fill_mask_within(view.start, out, 10**6),
        ]
        for call in calls:
            call(good)
            out = BAD_BUFFERS[name]()
            with pytest.raises((TypeError, ValueError, BufferError)):
                call(out)
            assert not np.any(
                np.asarray(out if out is not None and name != "bytes" else 0, dtype=object) != 0
            )
            call(good)
            assert good.tolist() == view.mask(view.start).tolist()


def test_buffers_may_change_between_calls() -> None:
    """The buffer is remembered between calls, but neither for good nor beyond what its owner allows."""
    automaton = nested(vocabulary())
    out = np.zeros(WORD_COUNT, np.int32)
    automaton.fill_mask(automaton.start, out)
    expected = out.copy()
    for other in (np.zeros(WORD_COUNT, np.int32), np.zeros(WORD_COUNT, np.uint32), out):
        other[:] = 0
        automaton.fill_mask(automaton.start, other)
        assert other.tolist() == expected.view(other.dtype).tolist()
    rows = np.zeros((3, WORD_COUNT), np.int32)
    automaton.fill_masks([automaton.start, DEAD, FINISHED], rows)
    assert rows[0].tolist() == expected.tolist()
    assert bits(rows[1]) == set()
    assert bits(rows[2]) == {END}
    automaton.fill_mask(automaton.start, rows[1])
    assert rows[1].tolist() == expected.tolist()
    with pytest.raises(ValueError, match="int32"):
        automaton.fill_masks([automaton.start], rows)
    automaton.fill_masks([], np.zeros(0, np.int32))


def test_threads_fill_parts_of_a_batch() -> None:
    """Masks that are known and masks that are not, in one call and by many threads at once."""
    text = b'[{"a":["ab",{"b":1,"a":"x"}],"b":["ab",[]]},["ab",12]'
    reference = nested(vocabulary())
    for view in (nested(vocabulary()), nested(vocabulary()).session(), full(100).session()):
        states = view.step_many(view.start, list(text))
        alone = reference.step_many(reference.start, list(text))
        for state in states[::2]:
            view.mask(state)
        rows = np.full((len(text), WORD_COUNT), -1, np.int32)
        with ThreadPoolExecutor(4) as pool:
            parts = [slice(first, first + 7) for first in range(0, len(text), 7)] * 3
            list(pool.map(lambda part, v=view, s=states, r=rows: v.fill_masks(s[part], r[part]), parts))
        assert rows.tolist() == [reference.mask(state).tolist() for state in alone]
        # Which state of the batch is wrong does not matter.
        for wrong in ([states[0], 10**9], [10**9, states[0]]):
            with pytest.raises(ValueError, match="not a state"):
                view.fill_masks(wrong, rows[:2])


def test_vocabularies_that_are_wrong() -> None:
    for arguments in (([b"a"], [1], [], 1), ([b"a"], [0], [5], 1), ([b"a", b"b"], [0], [], 1)):
        with pytest.raises(ValueError, match=r"range|logits_size"):
            NativeVocabulary(*arguments)
    for wrong in ((["a"], [0], [], 1), ([b"a"], [-1], [], 1), (None, [0], [], 1)):
        with pytest.raises(TypeError):
            NativeVocabulary(*wrong)  # type: ignore[arg-type]
    assert byte_vocabulary().missing_bytes == b""
    assert NativeVocabulary([bytes([i]) for i in range(255)], [0], [], 255).missing_bytes == b"\x00"


def test_grammars_that_are_wrong() -> None:
    native = vocabulary()
    b = Builder(native)
    rule, loop = b.rule(), b.rule()
    with pytest.raises(ValueError, match="define"):
        b.define(b.empty(), b.empty())
    b.define(loop, b.sequence([b.text(b.re_literal("a")), loop]))
    with pytest.raises(ValueError, match="once"):
        b.define(loop, b.empty())
    for handle in (-1, 10_000):
        with pytest.raises(ValueError, match="expression"):
            b.choice([handle])
        with pytest.raises(ValueError, match="regex"):
            b.text(handle)
    with pytest.raises(ValueError, match="equal lengths"):
        b.object(["a"], [], [], [], [], True, 0, -1, False)
    with pytest.raises(ValueError, match="defined"):
        b.finish(b.sequence([rule, loop]))
    # A rule that never ends has no text.
    b = Builder(native)
    loop = b.rule()
    b.define(loop, b.sequence([b.text(b.re_literal("a")), loop]))
    assert b.finish(loop) is None


def first_mask_of_left_recursion() -> None:
    b = Builder(vocabulary())
    rule = b.rule()
    a = b.text(b.re_literal("a"))
    b.define(rule, b.choice([b.sequence([rule, a]), a]))
    automaton = b.finish(rule)
    assert automaton is not None
    automaton.mask(automaton.start)


def test_left_recursion_is_refused() -> None:
    with pytest.raises(LimitError, match="left recursion"):
        first_mask_of_left_recursion()


def test_limits_of_finite_key_sets() -> None:
    """Distinct keys run out: an object that needs more of them than there are is no language."""
    vocab = structgen.Vocabulary(TOKENS, eos_token_ids=[END])
    schema = {
        "type": "object",
        "patternProperties": {"^[ab]$": {"type": "null"}},
        "additionalProperties": False,
    }
    automaton = structgen.compile_json_schema({**schema, "minProperties": 2}, vocab, whitespace="compact")
    for text, fits in (
        (b'{"a":null,"b":null}', True),
        (b'{"a":null}', False),
        (b'{"a":null,"a":null}', False),
    ):
        assert automaton.accepts(automaton.advance_bytes(automaton.start, text)) == fits
    with pytest.raises(structgen.UnsatisfiableSchemaError):
        structgen.compile_json_schema({**schema, "minProperties": 3}, vocab)
