"""What is refused at compile time: the pointer, the keyword and the reason."""

from typing import Any

import pytest

from structgen import RegexError, SchemaError, UnsatisfiableSchemaError
from tests.json_schema.support import check, language


@pytest.mark.parametrize(
    ("form", "good", "bad"),
    [("hostname", "a.b", "xn--X"), ("idn-hostname", "é.b", "-é"), ("regex", "a*", "[b-a]")],
)
def test_formats_of_keys_that_no_regex_describes(form: str, good: str, bad: str) -> None:
    """A guard on the object asks for all of its keys, under other keywords, too."""
    engine = "core"
    texts = [f'{{"{good}":1}}', '{"' + good + '":1,"' + bad + '":2}', "{}", "7"]
    check({"propertyNames": {"format": form}}, engine, [texts[0], *texts[2:]], [texts[1]])
    check({"not": {"propertyNames": {"format": form}}}, engine, [texts[1]], [texts[0], *texts[2:]])
    names = {"anyOf": [{"not": {"format": form}}, {"const": ""}]}
    check({"propertyNames": names}, engine, [f'{{"{bad}":1,"":2}}', "{}"], texts[:2])
    constants = {"enum": [{good: 1}, {bad: 1}], "propertyNames": {"format": form}}
    check(constants, engine, [texts[0]], [f'{{"{bad}":1}}'])
    # The other formats are regular, and annotations ask nothing.
    check({"propertyNames": {"format": "date"}}, engine, ['{"2024-02-29":1}'], ['{"2023-02-29":1}'])
    check({"propertyNames": {"format": form}}, engine, ['{"..":1}'], ["?"], formats="annotate")


def test_an_unreachable_schema_is_not_looked_at(engine: str) -> None:
    check({"$defs": {"a": {"not": {"minimum": "x"}}}, "type": "null"}, engine, ["null"], ["1"])


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("type", "text"),
        ("type", ["string", 3]),
        ("type", None),
        ("enum", "a"),
        ("enum", {"a": 1}),
        ("anyOf", []),
        ("anyOf", {}),
        ("allOf", "x"),
        ("properties", []),
        ("patternProperties", "a"),
        ("required", "a"),
        ("required", True),
        ("required", ["a", 1]),
        ("items", [{}]),
        ("prefixItems", {}),
        ("prefixItems", []),
        ("minItems", -1),
        ("maxItems", 1.5),
        ("minLength", "3"),
        ("maxLength", True),
        ("minProperties", None),
        ("maxProperties", [1]),
        ("pattern", 3),
        ("minimum", "3"),
        ("maximum", None),
        ("exclusiveMinimum", True),
        ("exclusiveMaximum", [1]),
        ("multipleOf", 0),
        ("multipleOf", "2"),
        ("uniqueItems", 1),
        ("oneOf", {}),
        ("not", []),
        ("if", None),
        ("contains", 1),
        ("propertyNames", "a"),
        ("dependentRequired", {"a": "b"}),
        ("dependentSchemas", {"a": ["b"]}),
        ("unevaluatedProperties", 0),
        ("unevaluatedItems", []),
        ("format", 1),
    ],
)
def test_ill_typed_keywords(keyword: str, value: Any, engine: str) -> None:
    with pytest.raises(SchemaError) as caught:
        language({"properties": {"x": {keyword: value}}}, engine)
    assert caught.value.pointer == f"/properties/x/{keyword}"
    assert caught.value.keyword == keyword


@pytest.mark.parametrize("child", [None, 3, "string", [{}]])
@pytest.mark.parametrize("keyword", ["additionalProperties", "items", "properties"])
def test_schemas_that_are_none(keyword: str, child: Any, engine: str) -> None:
    if keyword == "items" and isinstance(child, list):
        child = 1.5
    value = {"a": child} if keyword == "properties" else child
    with pytest.raises(SchemaError, match="must be an object or a bool"):
        language({keyword: value}, engine)


def test_draft_4_flags_are_flags(engine: str) -> None:
    with pytest.raises(SchemaError) as caught:
        language({"minimum": 1, "exclusiveMinimum": 1}, engine, draft="4")
    assert caught.value.pointer == "/exclusiveMinimum"


def test_a_bad_pattern_names_its_place(engine: str) -> None:
    with pytest.raises(SchemaError) as caught:
        language({"properties": {"a": {"pattern": "(["}}}, engine)
    assert caught.value.pointer == "/properties/a/pattern"
    assert isinstance(caught.value.__cause__, RegexError)
    with pytest.raises(SchemaError) as caught:
        language({"patternProperties": {"a/b(": {}}}, engine)
    assert caught.value.pointer == "/patternProperties/a~1b("


@pytest.mark.parametrize(
    "text", ["{", "", "[]", "3", '{"a": NaN}', '{"minimum": 1e99999999999999999999}', b"\xff"]
)
def test_text_that_is_no_schema(text: Any, engine: str) -> None:
    with pytest.raises(SchemaError):
        language(text, engine)


@pytest.mark.parametrize("schema", [None, 3, ["a"]])
def test_arguments_that_are_no_schema(schema: Any, engine: str) -> None:
    with pytest.raises(TypeError):
        language(schema, engine)


def test_python_values_that_are_not_json(engine: str) -> None:
    for value in (float("nan"), float("inf"), {1, 2}, b"x"):
        with pytest.raises(SchemaError):
            language({"const": value}, engine)
    with pytest.raises(SchemaError, match="keys"):
        language({"properties": {1: {}}}, engine)
    with pytest.raises(SchemaError):
        language({"minimum": float("inf")}, engine)


@pytest.mark.parametrize(
    ("schema", "pointer"),
    [
        (False, ""),
        ({"enum": []}, "/enum"),
        ({"type": "integer", "minimum": 3, "maximum": 2}, ""),
        ({"type": "string", "minLength": 3, "maxLength": 2}, "/maxLength"),
        ({"type": "string", "enum": [1, 2]}, "/enum"),
        ({"type": "string", "allOf": [{"type": "null"}]}, "/allOf/0/type"),
        ({"type": "string", "pattern": "^a$", "minLength": 2}, "/pattern"),
        ({"type": "object", "required": ["a"], "additionalProperties": False}, "/additionalProperties"),
        ({"type": "object", "required": ["a"], "maxProperties": 0}, "/maxProperties"),
        ({"type": "object", "required": ["a"], "properties": {"a": False, "b": {}}}, "/properties/a"),
        (
            {
                "type": "object",
                "required": ["a"],
                "properties": {"a": {"$ref": "#/$defs/d"}},
                "$defs": {"d": {"enum": []}},
            },
            "/$defs/d/enum",
        ),
        ({"type": "array", "minItems": 2, "maxItems": 1}, "/maxItems"),
        ({"const": 1, "allOf": [{"const": 2}]}, "/allOf/0/const"),
        ({"not": {}}, "/not"),
    ],
)
def test_unsatisfiable(schema: Any, pointer: str, engine: str) -> None:
    with pytest.raises(UnsatisfiableSchemaError) as caught:
        language(schema, engine)
    assert caught.value.pointer == pointer


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "minItems": 1, "items": False},
        {"type": "array", "minItems": 2, "prefixItems": [{}, False]},
        {"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#"}}},
        {"type": "object", "properties": {"a": {}}, "additionalProperties": False, "minProperties": 2},
    ],
)
def test_unsatisfiable_as_a_whole(schema: Any) -> None:
    with pytest.raises(UnsatisfiableSchemaError):
        language(schema, "core")
