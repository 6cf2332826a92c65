"""What comes from disk is what a compilation makes."""

import json
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import structgen
from structgen import AutomatonCache
from structgen.testing.schemas import json_schemas
from tests.cache.support import GRAMMARS, REGEXES, VOCABULARY, assert_equal, schemas
from tests.core.grammars import laws

SCHEMAS = schemas()


def pair(directory: Path) -> tuple[AutomatonCache, AutomatonCache]:
    return AutomatonCache(VOCABULARY, directory=directory), AutomatonCache(VOCABULARY, directory=directory)


def test_schemas_of_the_package(tmp_path):
    first, second = pair(tmp_path)
    for name, schema in SCHEMAS.items():
        assert_equal(first.json_schema(schema), second.json_schema(schema), seed=len(name))
    stats = second.stats()
    assert stats["loads"] == first.stats()["writes"] == stats["files"]
    # Schemas that are equal share a file; few have none.
    assert len(SCHEMAS) == stats["loads"] + stats["hits"] + stats["memory_only"]
    assert stats["memory_only"] <= 4
    assert stats["damaged"] == 0


@laws(80)
@given(json_schemas(keywords="all"), st.integers(0, 1000), st.sampled_from(["schema", "any"]), st.booleans())
def test_schemas_drawn(tmp_path_factory, schema, seed, order, compact):
    first, second = pair(tmp_path_factory.mktemp("cache"))
    options = {"property_order": order, "whitespace": "compact" if compact else "flexible", "escapes": "all"}
    try:
        made = first.json_schema(schema, **options)
    except structgen.StructgenError:
        assume(False)
    loaded = second.json_schema(json.loads(json.dumps(schema)), **options)
    assert second.stats()["loads"] == first.stats()["writes"]
    assert_equal(made, loaded, seed)


@pytest.mark.parametrize(
    ("kind", "source", "options"),
    [
        *(("regex", pattern, options) for pattern, options in REGEXES),
        *(("gbnf", grammar, options) for grammar, options in GRAMMARS),
    ],
)
def test_patterns_and_grammars(tmp_path, kind, source, options):
    first, second = pair(tmp_path)
    made, loaded = first.get(kind, source, **options), second.get(kind, source, **options)
    assert second.stats()["loads"] == 1
    for seed in range(5):
        assert_equal(made, loaded, seed)


def test_node_names_are_kept(tmp_path):
    first, second = pair(tmp_path)
    items = {"type": "array", "items": {"$ref": "#/$defs/é"}}
    schema = {"properties": {"a/b": items}, "$defs": {"é": {"properties": {"k": {}}}}}
    made, loaded = first.json_schema(schema), second.json_schema(schema)
    assert second.stats()["loads"] == 1
    assert set(loaded.rule_names) == set(made.rule_names) >= {"#/properties/a~1b", "#/$defs/é"}


def test_limits_count_for_what_is_loaded(tmp_path):
    first, second = pair(tmp_path)
    first.json_schema({}, max_states=40)
    loaded = second.json_schema({}, max_states=40)
    assert second.stats()["loads"] == 1
    few = loaded.step_many(loaded.start, [ord("[")] * 10)
    with pytest.raises(structgen.LimitError):
        loaded.step_many(few[-1], [ord("[")] * 100)


def test_what_asks_python_stays_in_memory(tmp_path):
    first, second = pair(tmp_path)
    schema = {"type": "string", "format": "idn-hostname"}
    for cache in (first, second):
        assert cache.json_schema(schema) is cache.json_schema(schema)
        stats = cache.stats()
        assert (stats["memory_only"], stats["loads"], stats["writes"], stats["files"]) == (1, 0, 0, 0)


def test_lark_stays_in_memory(tmp_path):
    first, second = pair(tmp_path)
    for cache in (first, second):
        made = cache.lark('start: "a" WORD\n%import common.WORD')
        assert cache.lark('start: "a" WORD\n%import common.WORD') is made
        stats = cache.stats()
        assert (stats["memory_only"], stats["hits"], stats["files"], stats["bypasses"]) == (1, 1, 0, 0)
