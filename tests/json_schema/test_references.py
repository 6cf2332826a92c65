"""References: pointers, anchors, embedded resources, recursion and what stands next to them."""

import pytest

from structgen import SchemaError
from tests.json_schema.support import check, language

INT = {"type": "integer"}

CASES = {
    "definition": ({"$ref": "#/$defs/i", "$defs": {"i": INT}}, ["1"], ['"a"']),
    "old name": ({"$ref": "#/definitions/i", "definitions": {"i": INT}}, ["1"], ['"a"']),
    "tilde": ({"$ref": "#/$defs/a~0b~1c", "$defs": {"a~b/c": INT}}, ["1"], ['"a"']),
    "percent": ({"$ref": "#/$defs/a%25b%20c", "$defs": {"a%b c": INT}}, ["1"], ['"a"']),
    "index": (
        {"anyOf": [{"type": "null"}, {"$ref": "#/prefix/1"}], "prefix": [{}, INT]},
        ["1", "null"],
        ['"a"'],
    ),
    "into a keyword": (
        {"properties": {"a": INT, "b": {"$ref": "#/properties/a"}}},
        ['{"b":1}'],
        ['{"b":"x"}'],
    ),
    "chain": ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": INT}}, ["1"], ['"a"']),
    "boolean": ({"properties": {"a": {"$ref": "#/$defs/no"}}, "$defs": {"no": False}}, ["{}"], ['{"a":1}']),
    "siblings are asserted": ({"$ref": "#/$defs/i", "minimum": 5, "$defs": {"i": INT}}, ["5"], ["4", "5.5"]),
    "twice the same": (
        {"allOf": [{"$ref": "#/$defs/i"}, {"$ref": "#/$defs/i"}], "$defs": {"i": INT}},
        ["1"],
        ["null"],
    ),
    "recursive list": (
        {
            "$ref": "#/$defs/list",
            "$defs": {
                "list": {"anyOf": [{"type": "null"}, {"type": "array", "items": {"$ref": "#/$defs/list"}}]}
            },
        },
        ["null", "[]", "[null,[null,[]]]"],
        ["1", "[1]", "[[{}]]"],
    ),
    "recursive root": (
        {"type": "object", "properties": {"child": {"$ref": "#"}}, "additionalProperties": False},
        ["{}", '{"child":{"child":{}}}'],
        ['{"child":1}', '{"child":{"x":1}}'],
    ),
    "mutual recursion": (
        {
            "$ref": "#/$defs/a",
            "$defs": {
                "a": {
                    "type": "object",
                    "properties": {"b": {"$ref": "#/$defs/b"}},
                    "additionalProperties": False,
                },
                "b": {"type": "array", "items": {"$ref": "#/$defs/a"}},
            },
        },
        ["{}", '{"b":[{},{"b":[]}]}'],
        ['{"b":{}}', '{"b":[[]]}'],
    ),
    "recursive conjunction": (
        {
            "allOf": [{"$ref": "#/$defs/tree"}, {"$ref": "#/$defs/small"}],
            "$defs": {
                "tree": {
                    "type": "object",
                    "properties": {"kids": {"type": "array", "items": {"$ref": "#/$defs/tree"}}},
                },
                "small": {"properties": {"n": {"maximum": 3}, "kids": {"items": {"$ref": "#/$defs/small"}}}},
            },
        },
        ["{}", '{"kids":[{"n":3}]}', '{"n":1,"kids":[{"kids":[{}]}]}'],
        ["[]", '{"kids":[{"n":4}]}', '{"kids":[1]}', '{"kids":[{"kids":[{"n":4}]}]}'],
    ),
    "anchor": ({"$ref": "#here", "$defs": {"i": {"$anchor": "here", **INT}}}, ["1"], ['"a"']),
    "identifier": (
        {"$id": "https://example.test/root", "$ref": "other", "$defs": {"o": {"$id": "other", **INT}}},
        ["1"],
        ['"a"'],
    ),
    "base of an embedded resource": (
        {
            "$defs": {
                "x": {"type": "string"},
                "o": {"$id": "urn:example:o", "$ref": "#/$defs/x", "$defs": {"x": INT}},
            },
            "$ref": "#/$defs/o",
        },
        ["1"],
        ['"a"'],
    ),
    "an $id in a constant names nothing": (
        {"$ref": "#/$defs/i", "$defs": {"c": {"const": {"$id": "urn:example:c"}}, "i": INT}},
        ["1"],
        ['"a"'],
    ),
    "an identifier after the reference": (
        {
            "$defs": {"x": {"type": "string"}},
            "properties": {"p": {"$ref": "#/$defs/x", "$id": "urn:example:p", "$defs": {"x": INT}}},
        },
        ['{"p":1}'],
        ['{"p":"a"}'],
    ),
    "an $id in an unknown keyword names nothing": (
        {
            "x-other": {"$id": "https://example.test/i", "type": "null"},
            "$defs": {"i": {"$id": "https://example.test/i", **INT}},
            "$ref": "https://example.test/i",
        },
        ["1"],
        ["null"],
    ),
    "below an unknown keyword": (
        {
            "$ref": "#/x-shared/outer",
            "x-shared": {
                "outer": {
                    "properties": {
                        "in": {"$id": "urn:example:in", "$ref": "#/$defs/x", "$defs": {"x": INT}},
                        "out": {"$ref": "#/$defs/x"},
                    }
                }
            },
            "$defs": {"x": {"type": "null"}},
        },
        ['{"in":1,"out":null}'],
        ['{"in":null}', '{"out":1}'],
    ),
    "a pointer into an embedded resource": (
        {
            "$ref": "#/$defs/o/$defs/y",
            "$defs": {
                "x": {"type": "null"},
                "o": {"$id": "urn:example:o", "$defs": {"x": INT, "y": {"$ref": "#/$defs/x"}}},
            },
        },
        ["1"],
        ["null"],
    ),
    "a urn and a pointer": (
        {"$id": "urn:example:root", "$ref": "urn:example:root#/$defs/i", "$defs": {"i": INT}},
        ["1"],
        ["null"],
    ),
    "an empty fragment": (
        {"$id": "https://example.test/r", "properties": {"a": {"$ref": "r#"}}, "type": "object"},
        ["{}", '{"a":{"a":{}}}'],
        ["1", '{"a":1}'],
    ),
    "a property called $ref": ({"properties": {"$ref": INT}}, ['{"$ref":1}'], ['{"$ref":"#"}']),
}


@pytest.mark.parametrize("name", CASES)
def test_table(name: str, engine: str) -> None:
    schema, accepted, rejected = CASES[name]
    check(schema, engine, accepted, rejected, property_order="any")


@pytest.mark.parametrize("draft", ["4", "6", "7"])
def test_siblings_are_ignored_up_to_draft_7(draft: str, engine: str) -> None:
    schema = {"$ref": "#/definitions/i", "minimum": 5, "definitions": {"i": INT}}
    check(schema, engine, ["1", "5"], ["1.5"], draft=draft)
    uri = {"4": "http://json-schema.org/draft-04/schema#", "6": "http://json-schema.org/draft-06/schema"}
    check(
        {"$schema": uri.get(draft, "http://json-schema.org/draft-07/schema#"), **schema},
        engine,
        ["1"],
        ["1.5"],
    )


def test_draft_4_identifiers(engine: str) -> None:
    schema = {"$ref": "#here", "definitions": {"i": {"id": "#here", **INT}}}
    check(schema, engine, ["1"], ['"a"'], draft="4")


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
        {"anyOf": [{"type": "null"}, {"$ref": "#"}]},
        {"allOf": [{"$ref": "#"}, {"type": "null"}]},
        {"type": "null", "anyOf": [{"$ref": "#"}, {"minimum": 1}]},
        {"properties": {"a": {"$ref": "#/properties/a"}}},
        {"type": "array", "items": {"anyOf": [{"$ref": "#/items"}, {"type": "null"}]}},
    ],
)
def test_a_reference_to_the_same_value_is_refused(schema: object, engine: str) -> None:
    with pytest.raises(SchemaError, match="refers to itself"):
        language(schema, engine)


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("#/$defs/nothing", "points to nothing"),
        ("#/$defs/list/2", "points to nothing"),
        ("#/$defs/list/01", "points to nothing"),
        ("#/$defs/text", "no schema"),
        ("#nowhere", "no anchor"),
        ("https://example.test/schema", "no registry has 'https://example.test/schema'"),
        ("http://[", "no registry"),
        ("other.json#/a", "leaves the document"),
        (3, "must be a string"),
    ],
)
def test_references_that_lead_nowhere(reference: object, reason: str, engine: str) -> None:
    schema = {"properties": {"a/b": {"$ref": reference}}, "$defs": {"list": [{}, {}], "text": "x"}}
    with pytest.raises(SchemaError, match=reason) as caught:
        language(schema, engine)
    assert caught.value.pointer == "/properties/a~1b/$ref"
    assert caught.value.keyword == "$ref"


@pytest.mark.parametrize(
    "schema", [{"$ref": "http://[#/a"}, {"$defs": {"a": {"$id": "http://["}}, "$ref": "#a"}]
)
def test_addresses_that_are_none(schema: dict[str, object], engine: str) -> None:
    with pytest.raises(SchemaError, match="no URI"):
        language({"$id": "https://example.test/", **schema}, engine)
