"""The automata that requests share."""

import pytest

import structgen
from structgen.integrations._constraints import AutomatonStore, Constraint

BYTES = structgen.Vocabulary.of_bytes()
OTHER = structgen.Vocabulary(BYTES.tokens, eos_token_ids=256, logits_size=300)


def test_equal_constraints_share_an_automaton():
    store = AutomatonStore()
    schema = {"properties": {"a": {}, "b": {}}}
    first = store.submit(Constraint.read({"json_schema": schema, "numbers": "all", "escapes": "all"}), BYTES)
    same = Constraint.read({"escapes": "all", "numbers": "all", "json_schema": dict(schema), "finish_by": 90})
    assert store.submit(same, BYTES) is first
    # Another vocabulary, other options, another order of the properties.
    turned = {"properties": {"b": {}, "a": {}}}
    assert store.submit(same, OTHER).result().vocabulary is OTHER
    assert store.submit(Constraint.read({"json_schema": schema}), BYTES) is not first
    assert Constraint.read({"json_schema": turned}).key != Constraint.read({"json_schema": schema}).key
    assert len(store) == 3


def test_the_oldest_goes_and_failures_are_not_kept():
    store = AutomatonStore(capacity=2)
    a, b, c = (Constraint("regex", text) for text in "abc")
    first, second = store.submit(a, BYTES), store.submit(b, BYTES)
    assert store.submit(a, BYTES) is first
    store.submit(c, BYTES)
    assert len(store) == 2
    assert store.submit(a, BYTES) is first
    assert store.submit(b, BYTES) is not second
    wrong = store.submit(Constraint("regex", "("), BYTES)
    with pytest.raises(structgen.RegexError):
        wrong.result()
    assert store.submit(Constraint("regex", "("), BYTES) is not wrong
