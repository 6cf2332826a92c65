"""A vocabulary whose tokens span lexemes, constraints, and the comparison of automata along random texts."""

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import numpy as np

import structgen
from structgen import FINISHED, AutomatonCache, TokenAutomaton, Vocabulary

_LONGER = [
    '{"',
    '": ',
    '",',
    '", "',
    '"}',
    "}}",
    "[[",
    "], [",
    "12",
    "00",
    "true",
    "false",
    "null",
    "ab",
    " b",
]
_LONGER += ["é", "日本", "\n  ", "-1", ".5", "e+", "\\u00", 'a": 1', "2024-01-", "T00:00"]

VOCABULARY = Vocabulary(
    [*(bytes([byte]) for byte in range(256)), *(text.encode() for text in _LONGER), b"<end>"],
    eos_token_ids=256 + len(_LONGER),
    logits_size=300,
)

_SCHEMAS = Path(__file__).parents[2] / "jsonschemabench" / "schemas" / "small.jsonl"

REGEXES = [
    ("[a-z]+@[a-z]+\\.(com|org)", {}),
    ("(?i)é[^\\W\\d]{2,5}(?=x)x|\\d{4}-\\d\\d", {}),
    ("(a|b)*abb", {"flavor": "ecma"}),
    ("\\p{Lu}\\S*|", {"flavor": "ecma"}),
]
GRAMMARS = [
    ('root ::= "a" x | "(" root ")" root?\nx ::= [0-9]+ ("," x)*', {}),
    ('root ::= "x"\nlist ::= "[" (value ("," value)*)? "]"\nvalue ::= list | [a-z]{2,4}', {"root": "list"}),
]


def schemas() -> dict[str, Any]:
    """Return the schemas of the package that have a value, by name."""
    rows = map(json.loads, _SCHEMAS.read_text(encoding="utf-8").splitlines())
    return {row["name"]: row["schema"] for row in rows if row["valid"]}


def allowed(automaton: TokenAutomaton, state: int) -> list[int]:
    """Return the tokens of a mask."""
    bits = np.unpackbits(automaton.mask(state).view(np.uint8), bitorder="little")
    return [int(token) for token in np.flatnonzero(bits)]


def assert_equal(one: TokenAutomaton, other: TokenAutomaton, seed: int = 0, steps: int = 40) -> None:
    """Walk both with the same tokens: they allow the same, end at the same places and tell the same."""
    rng = random.Random(seed)
    a, b = one.start, other.start
    assert one.shortest(a) == other.shortest(b)
    assert one.reads_json == other.reads_json
    for _ in range(steps):
        tokens = allowed(one, a)
        assert tokens == allowed(other, b)
        assert one.accepts(a) == other.accepts(b)
        assert one.forced(a) == other.forced(b)
        token = rng.choice(tokens)
        if one.reads_json:
            assert told(one, a, token) == told(other, b, token)
        a, b = one.step(a, token), other.step(b, token)
        assert (a == FINISHED) == (b == FINISHED)
        if a == FINISHED:
            break


def told(automaton: TokenAutomaton, state: int, token: int) -> list[Any]:
    """Return the events of a token, in comparable form."""
    return [tuple(event) for event in automaton.events(state, token)]


def fingerprint(automaton: TokenAutomaton) -> str:
    """Return a hash of the masks along a few texts."""
    digest = hashlib.sha256(automaton.shortest(automaton.start))
    rng = random.Random(1)
    state = automaton.start
    for _ in range(20):
        digest.update(automaton.mask(state).tobytes())
        state = automaton.step(state, rng.choice(allowed(automaton, state)))
        if state == FINISHED:
            break
    return digest.hexdigest()


def worker(
    directory: str, seed: int, max_disk_bytes: int, rounds: int
) -> tuple[dict[str, str], dict[str, int]]:
    """Ask a new cache for all schemas in some order: what other processes do meanwhile."""
    made = {}
    found = list(schemas().items())
    rng = random.Random(seed)
    for _ in range(rounds):
        # Each has nothing in memory, so that all comes from disk or is compiled.
        cache = AutomatonCache(VOCABULARY, directory=directory, max_disk_bytes=max_disk_bytes)
        rng.shuffle(found)
        for name, schema in found[:40]:
            made[name] = fingerprint(cache.json_schema(schema))
    return made, cache.stats()


def expected(name: str) -> str:
    """Return the fingerprint of a schema that no cache has seen."""
    return fingerprint(structgen.compile_json_schema(schemas()[name], VOCABULARY))
