"""Random walks where a mask depends on keys and items read before: distinct keys, distinct items, guards."""

import json
import random
from typing import Any

import numpy as np
import pytest

import structgen
from structgen import DEAD, GuardDeadEnd, Vocabulary
from tests.json_schema.support import oracle

TEXTS = [
    '{"a":1,"b":"a","a":[1]}',
    '{"ab": "a", "b": {"a": "", "b":""},"a":{}}',
    '["a","b","a","ab",1,1.0,10,{"a":1,"b":"a"},{},[],"a"]',
    '["a", "b", ["a","a"], [["a"],["b"]], true,null,"" ]',
    '[{"a":1},{"b":1,"a":1},{"a":1,"b":1},{"\\u0061":2}]',
    '["a.b","a..b","-a"]',
]
PIECES = sorted({text[i : i + n] for text in TEXTS for n in range(2, 8) for i in range(len(text) - n + 1)})
TOKENS = [*(bytes([i]) for i in range(256)), *(piece.encode() for piece in PIECES), b""]
END = len(TOKENS) - 1
VOCABULARY = Vocabulary(TOKENS, eos_token_ids=[END])

STRING = {"type": "string"}
SHORT = {"type": "string", "pattern": "^[ab]{0,2}$"}
SCHEMAS: dict[str, Any] = {
    "keys": {"type": "object"},
    "values are objects": {"additionalProperties": {"type": "object", "additionalProperties": STRING}},
    "few keys": {"type": "object", "propertyNames": {"pattern": "^[ab]$"}, "minProperties": 2},
    "counted keys": {"type": "object", "properties": {"a": {}}, "minProperties": 2, "maxProperties": 3},
    "some value a string": {
        "type": "object",
        "not": {"type": "object", "additionalProperties": {"type": "integer"}},
    },
    "few keys, some value a string": {
        "type": "object",
        "propertyNames": {"enum": ["a", "b", "ab"]},
        "additionalProperties": {"type": ["string", "integer"]},
        "not": {"additionalProperties": {"type": "integer"}},
    },
    "distinct strings": {"type": "array", "items": STRING, "uniqueItems": True},
    "three distinct of five": {
        "type": "array",
        "items": {"enum": ["a", "b", "ab", 1, 10]},
        "uniqueItems": True,
        "minItems": 3,
    },
    "distinct short strings": {"type": "array", "items": SHORT, "uniqueItems": True, "minItems": 3},
    "distinct values": {"type": "array", "uniqueItems": True},
    "distinct arrays of distinct strings": {
        "type": "array",
        "items": {"type": "array", "items": SHORT, "uniqueItems": True},
        "uniqueItems": True,
    },
    "distinct objects": {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": SHORT},
            "additionalProperties": False,
        },
        "uniqueItems": True,
    },
    "distinct with a prefix": {
        "type": "array",
        "prefixItems": [{"enum": ["a", "b"]}, {"enum": ["a", "b"]}],
        "items": SHORT,
        "uniqueItems": True,
        "minItems": 3,
    },
    "distinct hostnames": {
        "type": "array",
        "items": {"type": "string", "format": "hostname"},
        "uniqueItems": True,
    },
    "distinct and counted": {"type": "array", "contains": SHORT, "maxContains": 2, "uniqueItems": True},
}


def bits(mask: Any) -> set[int]:
    """Return the numbers of the bits that are set."""
    return set(np.flatnonzero(np.unpackbits(mask.view(np.uint8), bitorder="little")).tolist())


def without_repeats(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object, of distinct keys only."""
    assert len(dict(members)) == len(members)
    return dict(members)


@pytest.mark.parametrize("options", ["compact", "flexible", "any order"])
@pytest.mark.parametrize("name", SCHEMAS)
def test_masks_are_steps_and_texts_are_valid(name: str, options: str) -> None:
    """A bit is set exactly where a step leads on; whatever is finished from anywhere is valid."""
    rng = random.Random(f"{name} {options}")
    kind: dict[str, Any] = {
        "compact": {"whitespace": "compact", "duplicate_keys": "forbid", "escapes": "all"},
        "flexible": {"duplicate_keys": "forbid"},
        "any order": {"property_order": "any", "whitespace": " ?", "duplicate_keys": "forbid"},
    }[options]
    automaton = structgen.compile_json_schema(SCHEMAS[name], VOCABULARY, **kind)
    valid = oracle(SCHEMAS[name])
    seen: set[int] = set()
    for _ in range(12):
        state, text = automaton.start, b""
        for _ in range(rng.randint(2, 16)):
            try:
                mask = bits(automaton.mask(state))
            except GuardDeadEnd:
                break
            if state not in seen and len(seen) < 60:
                seen.add(state)
                steps = {token for token in range(len(TOKENS)) if automaton.step(state, token) != DEAD}
                assert mask == steps, (text, [TOKENS[token] for token in mask ^ steps])
            long = sorted(token for token in mask if token > 256 and token != END)
            choice = rng.choice(long or sorted(mask))
            if choice == END:
                break
            state = automaton.step(state, choice)
            text += TOKENS[choice]
        try:
            rest = automaton.shortest(state)
        except GuardDeadEnd:
            continue
        whole = (text + rest).decode()
        end = automaton.advance_bytes(state, rest)
        assert end != DEAD, whole
        assert automaton.accepts(end), whole
        assert valid(whole), whole
        json.loads(whole, object_pairs_hook=without_repeats)
