"""What is found in memory, what is not, and what goes."""

import copy
import gc
import pickle
import re
import weakref
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import lark
import pytest
from referencing import Registry

import structgen
from structgen import AutomatonCache, Vocabulary
from structgen._core import NativeVocabulary
from tests.cache.support import VOCABULARY, allowed

SCHEMA = {"properties": {"a": {"minimum": 1}, "b": {}}, "type": "object"}


@pytest.fixture
def cache() -> AutomatonCache:
    return AutomatonCache(VOCABULARY)


@dataclass
class Point:
    x: int
    y: float


def test_equal_content_is_one_automaton(cache):
    made = cache.json_schema(SCHEMA)
    assert cache.json_schema(copy.deepcopy(SCHEMA)) is made
    assert cache.get("json_schema", SCHEMA, whitespace="flexible", draft=None) is made
    # No automaton depends on how long it may take to make it.
    assert cache.json_schema(SCHEMA, max_compile_seconds=7.0) is made
    assert cache.regex("a+", flags=re.IGNORECASE) is cache.regex("a+", flags=int(re.IGNORECASE))
    assert cache.gbnf('root ::= "a"') is cache.gbnf('root ::= "a"', root="root")
    assert cache.type(Point) is cache.type(Point)
    assert cache.lark('start: "a"') is cache.lark('start: "a"', start=None)
    assert len(cache) == 5
    assert made.vocabulary is cache.vocabulary is VOCABULARY


@pytest.mark.parametrize(
    "other",
    [
        {"type": "object", "properties": {"a": {"minimum": 1}, "b": {}}},
        {"properties": {"b": {}, "a": {"minimum": 1}}, "type": "object"},
        {"properties": {"a": {"minimum": 1.0}, "b": {}}, "type": "object"},
        {"properties": {"a": {"minimum": Decimal(1)}, "b": {}}, "type": "object"},
        {"properties": {"a": {"minimum": Decimal("1.0")}, "b": {}}, "type": "object"},
        {"properties": {"a": {"minimum": "1"}, "b": {}}, "type": "object"},
        '{"properties": {"a": {"minimum": 1}, "b": {}}, "type": "object"}',
        b'{"properties": {"a": {"minimum": 1}, "b": {}}, "type": "object"}',
    ],
)
def test_other_content_is_looked_up_anew(cache, other):
    made = cache.json_schema(SCHEMA)
    with suppress(structgen.SchemaError):
        assert cache.json_schema(other) is not made
    assert cache.stats()["hits"] == 0
    assert cache.json_schema(SCHEMA) is made


@pytest.mark.parametrize(
    "options",
    [
        {"whitespace": "compact"},
        {"numbers": "all"},
        {"draft": "7"},
        {"nullable": True},
        {"max_states": 1000},
        {"mask_cache_bytes": 1 << 20},
    ],
)
def test_other_options_are_other_automata(cache, options):
    assert cache.json_schema(SCHEMA, **options) is not cache.json_schema(SCHEMA)


def test_kinds_and_vocabularies_are_apart(tmp_path):
    text = 'root ::= "a"'
    cache = AutomatonCache(VOCABULARY, directory=tmp_path)
    assert cache.regex(text) is not cache.gbnf(text)
    other = AutomatonCache(Vocabulary.of_bytes(), directory=tmp_path)
    assert other.regex(text).vocabulary is other.vocabulary
    assert other.stats()["loads"] == 0


def test_subclasses_of_plain_types_have_content(cache):
    class Schema(dict):
        pass

    class Text(str):
        __slots__ = ()

    made = cache.json_schema(Schema(SCHEMA))
    assert cache.json_schema(Schema(SCHEMA)) is made
    assert cache.json_schema(Schema({**SCHEMA, "type": Text("object")})) is made
    assert cache.json_schema(Schema({**SCHEMA, "type": Text("array")})) is not made


def test_what_is_wrong_is_raised_each_time(cache):
    for _ in range(2):
        with pytest.raises(structgen.SchemaError):
            cache.json_schema({"type": "nothing"})
        with pytest.raises(structgen.RegexError):
            cache.regex("(")
    assert cache.stats()["failures"] == 4
    assert len(cache) == 0
    with pytest.raises(TypeError, match="no option 'draught'"):
        cache.json_schema(SCHEMA, draught="7")
    with pytest.raises(TypeError, match="draft"):
        cache.type(Point, draft="7")
    with pytest.raises(ValueError, match="kind must be one of"):
        cache.get("yaml", "a: 1")
    with pytest.raises(ValueError, match="negative"):
        AutomatonCache(VOCABULARY, max_bytes=-1)


def test_cyclic_schemas_are_refused_as_ever(cache):
    schema = {"type": "array"}
    schema["items"] = schema
    try:
        expected = structgen.compile_json_schema(schema, VOCABULARY)
    except structgen.StructgenError as error:
        with pytest.raises(type(error)):
            cache.json_schema(schema)
    else:
        made = cache.json_schema(schema)
        assert allowed(made, made.start) == allowed(expected, expected.start)
    assert cache.stats()["bypasses"] == 1


def test_shared_parts_are_not_hashed_over_and_over(cache):
    """Aliases of YAML make such schemas: 2**40 integers, were they written out."""
    schema = {"type": "integer"}
    for _ in range(40):
        schema = {"anyOf": [schema, schema]}
    made = cache.json_schema(schema)
    assert made.accepts(made.advance_bytes(made.start, b"-12"))
    assert made.advance_bytes(made.start, b"[") == structgen.DEAD
    schema["anyOf"].append(schema)
    with pytest.raises(structgen.SchemaError, match="refers to itself"):
        cache.json_schema(schema)
    assert cache.stats()["bypasses"] == 2


def test_registered_formats_are_part_of_the_content(tmp_path):
    cache = AutomatonCache(VOCABULARY, directory=tmp_path)
    schema = {"type": "string", "format": "cache-test"}
    plain = cache.json_schema(schema)
    structgen.register_format("cache-test", pattern="^x+$")
    try:
        first = cache.json_schema(schema)
        assert first is not plain
        assert first.shortest(first.start) == b'"x"'
        structgen.register_format("cache-test", pattern="^y+$", replace=True)
        second = cache.json_schema(schema)
        assert second.shortest(second.start) == b'"y"'
        written = cache.stats()["writes"]
        assert written == 3
        # Code has no content: nothing that it may decide about leaves the process.
        structgen.register_format("cache-test", predicate=lambda text: text == "z", replace=True)
        third = cache.json_schema({"enum": ["y", "z"], **schema})
        assert third.shortest(third.start) == b'"z"'
        structgen.register_format("cache-test", predicate=lambda text: text == "y", replace=True)
        fourth = cache.json_schema({"enum": ["y", "z"], **schema})
        assert fourth.shortest(fourth.start) == b'"y"'
        assert cache.stats()["writes"] == written
    finally:
        structgen.unregister_format("cache-test")
    assert cache.json_schema(schema) is plain


def test_a_registry_counts_by_identity(tmp_path):
    cache = AutomatonCache(VOCABULARY, directory=tmp_path)
    one = Registry().with_contents(
        [("urn:x", {"$schema": "https://json-schema.org/draft/2020-12/schema", "const": 1})]
    )
    other = Registry().with_contents(
        [("urn:x", {"$schema": "https://json-schema.org/draft/2020-12/schema", "const": 2})]
    )
    schema = {"$ref": "urn:x"}
    made = cache.json_schema(schema, registry=one)
    assert cache.json_schema(schema, registry=one) is made
    turned = cache.json_schema(schema, registry=other)
    assert (made.shortest(made.start), turned.shortest(turned.start)) == (b"1", b"2")
    assert cache.stats()["files"] == 0


def test_grammars_that_read_files_are_read_each_time(cache, tmp_path):
    (tmp_path / "part.lark").write_text('WORD: "a"')
    main = tmp_path / "main.lark"
    main.write_text("start: WORD\n%import .part.WORD")
    first = cache.lark(main)
    (tmp_path / "part.lark").write_text('WORD: "b"')
    second = cache.lark(main)
    assert (first.shortest(first.start), second.shortest(second.start)) == (b"a", b"b")
    third = cache.lark("start: WORD\n%import part.WORD", import_paths=[tmp_path])
    assert third.shortest(third.start) == b"b"
    cache.lark(lark.Lark('start: "a"', parser="lalr"))
    assert cache.stats()["bypasses"] == 4
    # The file of a grammar itself is part of the content.
    main.write_text('start: "c"')
    made = cache.lark(main)
    assert cache.lark(str(main)) is made
    main.write_text('start: "d"')
    again = cache.lark(Path(main))
    assert again.shortest(again.start) == b"d"


def test_what_was_used_longest_ago_goes():
    made = AutomatonCache(VOCABULARY)
    made.json_schema(SCHEMA)
    size = made.stats()["bytes"]
    assert size > 0
    cache = AutomatonCache(VOCABULARY, max_bytes=int(3.5 * size))
    schemas = [{**SCHEMA, "title": str(number)} for number in range(5)]
    first, second, third = (cache.json_schema(schema) for schema in schemas[:3])
    assert cache.json_schema(schemas[0]) is first
    cache.json_schema(schemas[3])
    assert len(cache) == 3
    assert cache.stats()["evictions"] == 1
    assert cache.json_schema(schemas[0]) is first
    assert cache.json_schema(schemas[2]) is third
    assert cache.json_schema(schemas[1]) is not second
    # Who holds an automaton keeps it.
    assert second.mask(second.start).any()


def test_automata_are_measured_when_they_have_grown():
    cache = AutomatonCache(VOCABULARY, max_bytes=100_000)
    first = cache.json_schema({})
    cache.regex("a")
    before = cache.stats()
    state = first.start
    for _ in range(2000):
        state = first.step(state, ord("["))
        first.mask(state)
    assert first.stats()["bytes"] > 100_000
    assert before["automata"] == len(cache) == 2
    cache.regex("b")
    after = cache.stats()
    assert (after["automata"], after["evictions"]) == (2, 1)
    assert after["bytes"] < 10_000
    # The last one stays, however large it is.
    small = AutomatonCache(VOCABULARY, max_bytes=0)
    assert small.regex("a") is small.regex("a")
    assert len(small) == 1


def test_hits_measure_now_and_then():
    cache = AutomatonCache(VOCABULARY, max_bytes=100_000)
    grown = cache.json_schema({})
    cache.regex("a")
    state = grown.start
    for _ in range(2000):
        state = grown.step(state, ord("["))
        grown.mask(state)
    cache.json_schema({})
    for _ in range(300):
        cache.regex("a")
    assert len(cache) == 1


def test_automata_of_former_tables_go():
    # Tables that are full after every schema: each compilation begins new ones.
    vocabulary = Vocabulary([bytes([value]) for value in range(256)] + [b""], eos_token_ids=256)
    vocabulary._native = NativeVocabulary(vocabulary.tokens, [256], [], 257, 1)
    cache = AutomatonCache(vocabulary)
    first = cache.json_schema(SCHEMA)
    began = vocabulary.native.stats()["generations"]
    first.mask(first.start)
    schemas = [{**SCHEMA, "title": str(number)} for number in range(4)]
    for schema in schemas:
        made = cache.json_schema(schema)
        made.mask(made.start)
    assert vocabulary.native.stats()["generations"] > began
    stats = cache.stats()
    assert len(cache) <= 2
    assert stats["evictions"] == 5 - len(cache)
    assert cache.json_schema(schemas[-1]) is made
    assert cache.json_schema(SCHEMA) is not first
    # Tables that have room let all stay.
    roomy = AutomatonCache(VOCABULARY)
    for schema in schemas:
        roomy.json_schema(schema)
    assert (len(roomy), roomy.stats()["evictions"]) == (4, 0)


def test_what_is_evicted_is_freed():
    cache = AutomatonCache(VOCABULARY)
    registry = Registry()
    reference = weakref.ref(registry)
    cache.json_schema(SCHEMA, registry=registry)
    del registry
    gc.collect()
    assert reference() is not None
    cache.clear()
    gc.collect()
    assert reference() is None
    assert cache.stats()["bytes"] == 0


def test_pickles_are_empty_and_share_the_directory(tmp_path):
    cache = AutomatonCache(VOCABULARY, directory=tmp_path, max_bytes=1000)
    cache.json_schema(SCHEMA)
    other = pickle.loads(pickle.dumps(cache))
    assert len(other) == 0
    assert other.vocabulary == VOCABULARY
    other.json_schema(SCHEMA)
    assert other.stats()["loads"] == 1
    assert len(pickle.loads(pickle.dumps(AutomatonCache(VOCABULARY)))) == 0


def test_clear(tmp_path):
    cache = AutomatonCache(VOCABULARY, directory=tmp_path)
    made = cache.json_schema(SCHEMA)
    cache.clear()
    loaded = cache.json_schema(SCHEMA)
    assert loaded is not made
    assert (len(cache), cache.stats()["loads"], cache.stats()["files"]) == (1, 1, 1)
    cache.clear(disk=True)
    assert cache.stats()["files"] == 0
    assert cache.json_schema(SCHEMA) is not loaded
    assert cache.stats()["compilations"] == 2
