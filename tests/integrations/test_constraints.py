"""The automata that requests share."""

import pytest

import structgen
from structgen.integrations._constraints import DIRECTORY, AutomatonStore, Constraint

BYTES = structgen.Vocabulary.of_bytes()
OTHER = structgen.Vocabulary(BYTES.tokens, eos_token_ids=256, logits_size=300)


def test_equal_constraints_share_an_automaton():
    store = AutomatonStore()
    schema = {"properties": {"a": {}, "b": {}}}
    first = Constraint.read({"json_schema": schema, "numbers": "all", "escapes": "all"})
    same = Constraint.read({"escapes": "all", "numbers": "all", "json_schema": dict(schema), "finish_by": 90})
    automaton = store.submit(first, BYTES).result()
    assert store.submit(same, BYTES).result() is automaton
    # Another vocabulary, other options, another order of the properties.
    assert store.submit(same, OTHER).result().vocabulary is OTHER
    other = Constraint.read({"json_schema": schema})
    turned = Constraint.read({"json_schema": {"properties": {"b": {}, "a": {}}}})
    made = [store.submit(one, BYTES).result() for one in (first, other, turned)]
    assert made[0] is automaton
    assert len(set(map(id, made))) == 3


@pytest.mark.parametrize("source", ["start: (", "grammars:there_is_none"])
def test_a_failure_is_told_by_its_future_and_not_kept(source):
    store = AutomatonStore()
    wrong = store.submit(Constraint("lark", source), BYTES)
    with pytest.raises(structgen.GrammarError):
        wrong.result()
    again = store.submit(Constraint("lark", source), BYTES)
    assert again is not wrong
    with pytest.raises(structgen.GrammarError):
        again.result()


def test_the_environment_names_a_directory(tmp_path, monkeypatch):
    monkeypatch.setenv(DIRECTORY, str(tmp_path))
    store = AutomatonStore()
    automaton = store.submit(Constraint("regex", "ab"), BYTES).result()
    store._executor.shutdown()  # the file is written behind the result
    (file,) = tmp_path.glob("automata/*")
    loaded = AutomatonStore().submit(Constraint("regex", "ab"), BYTES).result()
    assert loaded.shortest(loaded.start) == automaton.shortest(automaton.start) == b"ab"
    assert list(tmp_path.glob("automata/*")) == [file]
