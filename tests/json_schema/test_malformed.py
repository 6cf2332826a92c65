"""Schemas from anywhere: whatever they are, they compile, or one of structgen's own errors says why not.

Values of every wrong type for every keyword, in every place that reads keywords differently; references that
lead in circles through every keyword; depth; text that is no text. A crash of the core would end the run.
"""

import json
import random
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import structgen
from structgen import LimitError, SchemaError, UnsatisfiableSchemaError
from structgen._frontends.json_schema._keywords import KEYWORDS
from tests.json_schema.support import small_vocabulary

DRAFTS = tuple(KEYWORDS)
NAMES = sorted(
    set().union(*KEYWORDS.values())
    | {
        "then",
        "else",
        "$id",
        "id",
        "$anchor",
        "$schema",
        "$defs",
        "definitions",
        "additionalItems",
        "nullable",
    }
    | {"$dynamicAnchor", "$recursiveAnchor", "$vocabulary", "default", "unheard-of"}
)

# Allowed for one compilation and the first mask, on a busy machine; the limit itself is a quarter.
SECONDS = 2.0


def outcome(schema: Any, **options: Any) -> Exception | None:
    """Compile a schema and make its first mask; return the error. Any other exception fails the test."""
    begin = time.process_time()
    error: Exception | None = None
    try:
        automaton = structgen.compile_json_schema(
            schema, small_vocabulary(), **{"max_compile_seconds": SECONDS / 4} | options
        )
        session = automaton.session()
        session.mask(session.start)
    except (SchemaError, LimitError) as caught:
        error = caught
    assert time.process_time() - begin < SECONDS
    return error


class Thing:
    """What no JSON text has."""


VALUES: list[Any] = [
    None, True, False, 0, 3, -1, 1.5, -0.0, float("inf"), float("nan"), 2**63, 10**400, 10**5000,
    Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"), Decimal("1e999999999"), Decimal("-1e999999999"),
    Decimal("1e-999999999"), "", "a", "#", "#/", "#/$defs/missing", "http://[", "(", "\ud800", "\\ud800",
    "a{99999999}", "(?=a)", "integer", "date", "regex",
    [], [None], [1], ["a"], ["a", "a"], ["\ud800"], [[]], [{}], [True], [float("nan")], [{"$ref": "#"}],
    {}, {"": 1}, {"a": None}, {"a": []}, {"a": ["b"]}, {"a": ["a", 1]}, {"a": {}}, {"a": False},
    {"a": {"$ref": "#"}}, {"\ud800": {}}, {1: {}}, {None: 1}, {"a": {1: 2}}, {"(": {}}, {"$ref": "#"},
    {"$ref": 1}, {"type": "x"}, {"not": {}}, {"minimum": "a"}, {"$id": 1}, {"$id": "http://["},
    (), ("a",), b"a", {1}, Thing(), 1j, range(3),
]  # fmt: skip


def places(schema: Any) -> list[Any]:
    """Put a schema wherever its keywords are read: conjunctions, formulas, cells, regexes of keys."""
    return [
        schema,
        {"not": schema},
        {"oneOf": [schema, {"type": "integer"}, {"minimum": 3}]},
        {"anyOf": [schema, {"type": "integer"}], "minimum": 2},
        {"if": schema, "then": {"type": "string"}, "else": {"maximum": 3}},
        {"if": {"minimum": 3}, "then": schema, "else": schema},
        {"dependentSchemas": {"a": schema}, "dependencies": {"a": schema}},
        {"unevaluatedProperties": schema, "unevaluatedItems": schema},
        {"unevaluatedProperties": False, "unevaluatedItems": False, "anyOf": [schema, {"required": ["b"]}]},
        {"not": {"properties": {"a": schema}, "items": schema}},
        {"contains": schema, "maxContains": 2},
        {"propertyNames": schema},
        {"patternProperties": {"a": schema, "b": schema}, "properties": {"ab": schema}},
        {"enum": [1, "a", [1], {"a": 1}, None], "not": schema},
    ]


@pytest.mark.parametrize("name", NAMES)
def test_values_of_keywords(name: str) -> None:
    """Every value for every keyword; the places and drafts take turns."""
    turn = NAMES.index(name)
    for value in VALUES:
        around = places({name: value})
        for schema in (around[0], around[turn % len(around)], around[(turn + 5) % len(around)]):
            turn += 1
            outcome(schema, draft=DRAFTS[turn % len(DRAFTS)] if turn % 3 else "2020-12")


WRONG: dict[str, list[Any]] = {
    "a schema": [None, 1, "a", [1]],
    "schemas by name": [None, 1, "a", [], {1: {}}],
    "a list of schemas": [None, 1, "a", {}, [], [None], [1]],
    "a count": [None, True, "1", -1, 1.5, float("nan"), Decimal("sNaN"), [], {}],
    "a number": [None, True, "1", float("nan"), float("inf"), Decimal("sNaN"), [], {}],
    "a text": [None, True, 1, [], {}],
    "a flag": [None, 0, 1, "true", [], {}],
    "names": [None, True, 1, "a", {}, [1], [None]],
    "names by name": [None, 1, [], {"a": "b"}, {"a": [1]}, {1: ["b"]}],
    "values": [None, 1, "a", {}, [{1: 2}], [{1, 2}], [float("nan")]],
    "a value": [{1: 2}, {1, 2}, float("nan"), b"a", [{"a": ({},)}]],
}

KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    **dict.fromkeys(("not", "if"), ("a schema", {"then": False})),
    **dict.fromkeys(("contains", "unevaluatedItems"), ("a schema", {"type": "array"})),
    **dict.fromkeys(("propertyNames", "unevaluatedProperties"), ("a schema", {"type": "object"})),
    **dict.fromkeys(("properties", "patternProperties", "dependentSchemas"), ("schemas by name", {})),
    **dict.fromkeys(("allOf", "anyOf", "oneOf", "prefixItems"), ("a list of schemas", {})),
    **dict.fromkeys(("minItems", "maxItems", "minLength", "maxLength"), ("a count", {})),
    **dict.fromkeys(("minProperties", "maxProperties"), ("a count", {})),
    **dict.fromkeys(("minContains", "maxContains"), ("a count", {"contains": {}})),
    **dict.fromkeys(("minimum", "maximum", "multipleOf"), ("a number", {})),
    **dict.fromkeys(("exclusiveMinimum", "exclusiveMaximum"), ("a number", {})),
    **dict.fromkeys(("pattern", "format", "$ref", "$dynamicRef"), ("a text", {})),
    "uniqueItems": ("a flag", {}),
    "required": ("names", {}),
    "dependentRequired": ("names by name", {}),
    "enum": ("values", {}),
    "const": ("a value", {}),
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_wrong_values_name_their_keyword(name: str) -> None:
    """Also where only a formula reads the keyword; a pointer leads to the keyword or into its value."""
    kind, others = KINDS[name]
    for value in WRONG[kind]:
        schema = {name: value, **others}
        for around, path in (
            (schema, ""),
            ({"not": schema}, "/not"),
            ({"not": {"properties": {"a": schema}}}, "/not/properties/a"),
            ({"properties": {"a": {"not": schema}}}, "/properties/a/not"),
            ({"if": {"minimum": 1}, "then": schema}, "/then"),
            ({"if": {"minimum": 1}, "else": schema}, "/else"),
            ({"oneOf": [{"minimum": 1}, schema]}, "/oneOf/1"),
            ({"contains": schema, "maxContains": 1}, "/contains"),
            ({"items": {"anyOf": [{"minimum": 1}, schema]}, "minItems": 1}, "/items/anyOf/1"),
            ({"dependentSchemas": {"a": {"properties": {"b": schema}}}}, "/dependentSchemas/a/properties/b"),
            ({"unevaluatedProperties": schema}, "/unevaluatedProperties"),
        ):  # fmt: skip
            # It takes milliseconds; a busy machine may stand still for longer.
            error = outcome(around, max_compile_seconds=60)
            assert isinstance(error, SchemaError), (around, error)
            assert not isinstance(error, UnsatisfiableSchemaError), (around, error)
            assert error.pointer == f"{path}/{name}" or error.pointer.startswith(f"{path}/{name}/"), around


@pytest.mark.parametrize("name", ["then", "else", "if"])
@pytest.mark.parametrize("value", [None, 1, "a", []])
def test_conditions_are_schemas(name: str, value: Any) -> None:
    error = outcome({"if": {"minimum": 1}, "then": True, "else": True} | {name: value})
    assert isinstance(error, SchemaError)
    assert error.pointer == f"/{name}"


# -- references in circles -----------------------------------------------------------------


def through(schema: Any) -> Iterator[Any]:
    """Reach a schema through each keyword, alone and beside keywords that ask for its truth."""
    yield from places(schema)
    yield schema
    yield {"allOf": [schema]}
    yield {"unevaluatedProperties": schema, "anyOf": [{"properties": {"a": True}}, {"required": ["b"]}]}
    yield {
        "unevaluatedItems": schema,
        "contains": {"type": "null"},
        "anyOf": [{"contains": {"minItems": 2}}, {"prefixItems": [True]}],
    }
    yield {
        "unevaluatedProperties": False,
        "properties": {"a": {"not": schema}, "b": schema},
        "if": {"required": ["a"]},
        "then": {"properties": {"c": schema}},
    }
    yield {"contains": schema, "minContains": 2, "items": {"not": schema}}
    yield {"not": {"properties": {"a": {"not": schema}}, "required": ["a"]}}
    yield {"patternProperties": {"a": schema, "b": {"not": schema}}, "type": "object"}
    yield {"items": schema, "not": {"uniqueItems": True}}
    yield {"prefixItems": [schema, {"not": schema}], "minItems": 1}
    yield {
        "oneOf": [
            {"type": "object", "properties": {"l": schema, "r": schema}, "required": ["l"]},
            {"type": "object", "properties": {"l": {"not": schema}}},
            {"items": schema},
        ]
    }


REFERENCE = {"$ref": "#"}


@pytest.mark.parametrize("number", range(len(list(through(REFERENCE)))))
def test_circles(number: int) -> None:
    outer = list(through(REFERENCE))[number]
    outcome(outer)
    for inner in through(outer):
        outcome(inner)
        if isinstance(inner, dict) and isinstance(outer, dict):
            outcome({**inner, **outer}, property_order="any")


SELVES: dict[str, dict[str, Any]] = {
    "allOf": {"allOf": [REFERENCE]},
    "anyOf": {"anyOf": [REFERENCE, {"type": "null"}]},
    "oneOf": {"oneOf": [REFERENCE, {"type": "null"}]},
    "not": {"not": REFERENCE},
    "if": {"if": REFERENCE, "then": False},
    "then": {"if": {"minimum": 1}, "then": REFERENCE},
    "else": {"if": {"minimum": 1}, "else": REFERENCE},
    "$ref": {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
    "dependentSchemas": {"dependentSchemas": {"a": REFERENCE}},
}


@pytest.mark.parametrize("keyword", SELVES)
def test_schemas_that_are_about_themselves(keyword: str) -> None:
    """A schema whose truth depends on its own truth for the same value has no meaning."""
    error = outcome(SELVES[keyword])
    assert isinstance(error, SchemaError)
    assert "refers to itself" in error.reason


def _random_schema(seed: int) -> dict[str, Any]:
    rng = random.Random(seed)
    names = [f"d{i}" for i in range(rng.randint(1, 4))]
    leaves: list[Any] = [
        {"type": "null"}, True, False, {"type": "string", "minLength": 1}, {"minimum": 2},
        {"required": ["a"]}, {"type": "object"}, {"type": "array", "minItems": 1},
        {"const": {"a": 1}}, {"enum": [[1], "b"]},
        {"format": "regex"}, {"pattern": "^a"}, {"uniqueItems": True},
    ]  # fmt: skip

    def leaf() -> Any:
        return {"$ref": f"#/$defs/{rng.choice(names)}"} if rng.random() < 0.7 else rng.choice(leaves)

    definitions: dict[str, Any] = {}
    for name in names:
        node: dict[str, Any] = {}
        for _ in range(rng.randint(1, 3)):
            part = rng.choice(list(through(leaf())))
            node = {**({"not": part} if isinstance(part, bool) else part), **node}
        definitions[name] = node
    return {**definitions["d0"], "$defs": definitions}


@pytest.mark.parametrize("start", range(0, 200, 50))
def test_definitions_that_refer_to_each_other(start: int) -> None:
    for seed in range(start, start + 50):
        outcome(_random_schema(seed), property_order="any" if seed % 2 else "schema")


# -- depth, text, Python -------------------------------------------------------------------


@pytest.mark.parametrize("depth", [50, 500, 20_000])
@pytest.mark.parametrize("number", range(len(places(True))))
def test_depth(number: int, depth: int) -> None:
    schema: Any = {"type": "integer"}
    for _ in range(depth):
        schema = places(schema)[number]
        if number == 12 and depth > 50:
            schema = {"patternProperties": {"a": schema["patternProperties"]["a"]}}
    outcome(schema)


@pytest.mark.parametrize("text", ['{"not":', '{"items":', '{"enum":[', '{"properties":{"a":'])
def test_deep_text(text: str) -> None:
    closing = {"{": "}", "[": "]"}
    brackets = "".join(closing[char] for char in reversed(text) if char in closing)
    for depth in (100, 900, 50_000):
        inner = "{}" if text[-1] == ":" else "1"
        outcome(text * depth + inner + brackets * depth)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.one_of(st.text(max_size=40), st.binary(max_size=40)))
def test_any_text(text: str | bytes) -> None:
    outcome(text)


_json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", "#", "^a", "\ud800"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from([*NAMES, "a", "b"]), inner, max_size=3),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(st.sampled_from(NAMES), _json_values, max_size=4), st.sampled_from(DRAFTS))
def test_any_value_of_any_keyword(schema: dict[str, Any], draft: str) -> None:
    outcome(schema, draft=draft)
    outcome(json.dumps(schema), draft=draft)


def test_python_values_that_contain_themselves() -> None:
    array: list[Any] = []
    array.append(array)
    mapping: dict[str, Any] = {}
    mapping["a"] = mapping
    for loop in (array, mapping):
        for schema in (
            {"const": loop},
            {"enum": [loop]},
            {"not": {"const": loop}},
            {"const": 1, "enum": [loop]},
        ):
            error = outcome(schema)
            assert isinstance(error, (LimitError, UnsatisfiableSchemaError)), schema
    for keyword in ("not", "items", "contains", "if", "propertyNames"):
        schema: dict[str, Any] = {"then": {"type": "null"}}
        schema[keyword] = schema
        outcome(schema)


@pytest.mark.parametrize("name", ["\ud800", "a\udfff", "\ud800\udc00"])
def test_lone_surrogates(name: str) -> None:
    """No output has them, so that a key, a constant or a pattern with one is a key that cannot come."""
    for schema in (
        {"properties": {name: {"type": "null"}}, "required": ["a"]},
        {"type": "object", "required": [name]},
        {"enum": [name, "a"]},
        {"const": {name: 1}},
        {"pattern": name},
        {"patternProperties": {name: False}},
        {"dependentRequired": {name: ["a"], "a": [name]}},
        {"dependentSchemas": {name: False}},
        {"oneOf": [{"required": [name]}, {"required": ["a"]}]},
        {"unevaluatedProperties": False, "properties": {name: True}, "anyOf": [{"properties": {name: True}}]},
        {"propertyNames": {"enum": [name]}},
        {"not": {"const": name}},
        {"not": {"properties": {name: {"type": "null"}}}},
        {"$ref": f"#/$defs/{name}", "$defs": {name: {"type": "null"}}},
        {"$id": name, "$ref": "other"},
        {"$anchor": name, "$ref": f"#{name}"},
        {"format": name},
    ):
        error = outcome(schema)
        assert error is None or isinstance(error, SchemaError), schema
