"""Hostile and huge schemas: a clear error or a bounded cost, never a crash."""

import json
from typing import Any

import pytest

import structgen
from structgen import LimitError, SchemaError
from tests.json_schema.support import check, language


def _nested(depth: int, wrap: Any, leaf: Any) -> Any:
    for _ in range(depth):
        leaf = wrap(leaf)
    return leaf


@pytest.mark.parametrize("depth", [100, 3000])
def test_deep_properties_and_items(depth: int, engine: str) -> None:
    schema = _nested(depth, lambda inner: {"type": "array", "items": inner}, {"type": "null"})
    check(schema, engine, ["[]", "[[[]]]"], ["[1]", "null", "[[[{}]]]"])
    schema = _nested(depth, lambda inner: {"properties": {"a": inner}}, {"type": "null"})
    check(schema, engine, ["{}", '{"a":{"a":{}}}'], ["?"])


@pytest.mark.parametrize("keyword", ["anyOf", "allOf"])
def test_deep_branches(keyword: str, engine: str) -> None:
    schema = _nested(30, lambda inner: {keyword: [inner]}, {"type": "null"})
    check(schema, engine, ["null"], ["1"])
    for depth in (200, 5000):
        schema = _nested(depth, lambda inner: {keyword: [inner], "minLength": 0}, {"type": "null"})
        with pytest.raises(LimitError, match="apply to one value"):
            language(schema, engine)


def test_deep_text(engine: str) -> None:
    with pytest.raises((LimitError, SchemaError)):
        language('{"items":' * 100_000 + "{}" + "}" * 100_000, engine)


def test_deep_constant(engine: str) -> None:
    value = _nested(150, lambda inner: [inner], 1)
    check({"const": value}, engine, ["[" * 150 + "1" + "]" * 150], ["[" * 150 + "2" + "]" * 150])
    with pytest.raises(LimitError):
        language({"enum": [_nested(5000, lambda inner: [inner], 1)], "const": [1]}, engine)


def test_long_chain_of_definitions(engine: str) -> None:
    definitions = {f"d{i}": {"properties": {"a": {"$ref": f"#/$defs/d{i + 1}"}}} for i in range(2000)}
    definitions["d2000"] = {"type": "null"}
    check({"$ref": "#/$defs/d0", "$defs": definitions}, engine, ['{"a":{"a":1}}'], ["?"])


def test_combinations_of_branches(engine: str) -> None:
    either = {"anyOf": [{"minimum": 1}, {"maxLength": 3}]}
    few = {"allOf": [either, {"anyOf": [{"minimum": 2}, {"type": "null"}]}]}
    check(few, engine, ["2", "null"], ["1"], max_branches=8)
    with pytest.raises(LimitError, match="max_branches") as caught:
        language(few, engine, max_branches=1)
    assert caught.value.limit == "max_branches"
    assert "/anyOf'" in str(caught.value)


def test_many_combinations_are_decided_while_parsing(engine: str) -> None:
    """Two to the twenty combinations are not written out."""
    choices = [{"anyOf": [{"required": [f"a{i}"]}, {"required": [f"b{i}"]}]} for i in range(20)]
    last = dict.fromkeys([*(f"a{i}" for i in range(0, 20, 2)), *(f"b{i}" for i in range(1, 20, 2))], 1)
    accepted = json.dumps(last)
    rejected = [json.dumps({key: 1 for key in last if key != missing}) for missing in ("a0", "b19")]
    check({"type": "object", "allOf": choices}, engine, [accepted], rejected, property_order="any")


def test_number_of_conjunctions(engine: str) -> None:
    schema = {"properties": {f"k{i}": {"minLength": i} for i in range(50)}}
    with pytest.raises(LimitError) as caught:
        language(schema, engine, max_schema_nodes=20)
    assert caught.value.limit == "max_schema_nodes"
    check(schema, engine, ['{"k2":"ab"}'], ['{"k2":"a"}'], max_schema_nodes=100)


def test_time(engine: str) -> None:
    schema = {"properties": {f"k{i}": {"minLength": i} for i in range(200)}}
    with pytest.raises(LimitError) as caught:
        language(schema, engine, max_compile_seconds=0.0)
    assert caught.value.limit == "max_compile_seconds"


def test_classes_of_keys(engine: str) -> None:
    patterns = {f"^.{{{i}}}a": {"maximum": i} for i in range(12)}
    with pytest.raises(LimitError, match="classes"):
        language({"patternProperties": patterns}, engine)


@pytest.mark.parametrize("bound", ["1e1200", "1e-1200", "-1e999999", "1e-999999999"])
def test_digits(bound: str, engine: str) -> None:
    with pytest.raises(LimitError, match=r"'/items': .* digits"):
        language(f'{{"items": {{"type": "number", "minimum": {bound}}}}}', engine)
    with pytest.raises(LimitError, match="digits"):
        language(f'{{"const": {bound}}}', engine)


def test_counts(engine: str) -> None:
    with pytest.raises(LimitError):
        language({"minItems": 10**12}, engine)
    check({"type": "array", "maxItems": 10**12, "items": {"type": "null"}}, engine, ["[null]"], ["[1]"])


def test_a_python_cycle(engine: str) -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {}}
    schema["properties"]["self"] = schema
    check(schema, engine, ['{"self":{"self":{}}}'], ['{"self":1}'])
    schema["properties"]["bad"] = {"minimum": "x"}
    with pytest.raises(SchemaError) as caught:
        language(schema, engine)
    assert caught.value.pointer == "/properties/bad/minimum"


def test_limits_of_the_core_say_where() -> None:
    pattern = "".join(f"(a{i}|b)" for i in range(300))
    schema = {"properties": {"a": {"type": "null"}, "b": {"pattern": pattern}}}
    with pytest.raises(LimitError, match="'/properties/b/pattern'") as caught:
        language(schema, "core", max_regex_nodes=200)
    assert caught.value.limit == "max_regex_nodes"
    words = {"properties": {"b": {"type": "string", "minLength": 9, "enum": ["a"], "pattern": "b"}}}
    check(words, "core", ["{}"], ['{"b":"a"}'], max_regex_nodes=200)


@pytest.mark.parametrize(
    "options", [{"max_compile_seconds": 0.0}, {"max_regex_nodes": 20}, {"max_emptiness_steps": 1}]
)
def test_the_core_names_the_option(options: dict[str, Any]) -> None:
    pattern = "(?=.*a)(?=.*b)(?=.*c).{300}"
    # Regexes stay with their vocabulary: each test has its own.
    vocabulary = structgen.Vocabulary([bytes([i]) for i in range(256)] + [b""], eos_token_ids=256)
    (name,) = options
    with pytest.raises(LimitError, match=name) as caught:
        structgen.compile_regex(pattern, vocabulary, **options)
    assert caught.value.limit == name
    structgen.compile_regex(pattern, vocabulary)
