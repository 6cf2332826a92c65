"""Keywords of objects: properties, required, patternProperties, additionalProperties and counts."""

import pytest

from tests.json_schema.support import check

INT = {"type": "integer"}
STR = {"type": "string"}

CASES = {
    "any": (
        {"type": "object"},
        ["{}", '{"a":1}', '{"a":{"b":[]}, "":null}'],
        ["{", '{"a"}', '{"a":}', "{a:1}", '{"a":1,}'],
    ),
    "properties": (
        {"type": "object", "properties": {"a": INT, "b": STR}},
        ["{}", '{"a":1}', '{"b":"x"}', '{"a":1,"b":"x"}', '{"x":null,"a":1,"y":0,"b":""}'],
        ['{"a":"x"}', '{"b":1}', '{"a":1,"a":2}', '{"x":1,"a":null}'],
    ),
    "an escaped key is the same key": (
        {"type": "object", "properties": {"b\n": INT}},
        ['{"b\\n":1}', '{"b":"x"}'],
        ['{"b\\n":"x"}'],
    ),
    "typeless": ({"properties": {"a": INT}}, ['{"a":1}', "null", "[1]", '"a"'], ['{"a":null}']),
    "required": (
        {"type": "object", "properties": {"a": INT, "b": STR}, "required": ["b"]},
        ['{"b":""}', '{"a":1,"b":""}', '{"x":0,"b":""}'],
        ["{}", '{"a":1}', '{"x":1}'],
    ),
    "required but undeclared": (
        {"type": "object", "properties": {"a": INT}, "required": ["z", "y"], "additionalProperties": STR},
        ['{"z":"","y":""}', '{"a":1,"z":"","y":""}', '{"x":"","z":"","y":""}'],
        ['{"z":""}', '{"y":""}', '{"a":1}', '{"z":1,"y":""}', "{}"],
    ),
    "only required": (
        {"type": "object", "required": ["a", "a"]},
        ['{"a":1}', '{"a":1,"b":2}'],
        ["{}", '{"b":2}'],
    ),
    "closed": (
        {"type": "object", "properties": {"a": INT}, "additionalProperties": False},
        ["{}", '{"a":1}'],
        ['{"b":1}', '{"a":1,"b":1}', '{"":0}', '{"aa":1}'],
    ),
    "closed and empty": (
        {"type": "object", "additionalProperties": False},
        ["{}", "{ }"],
        ['{"a":1}', '{"":1}'],
    ),
    "additional": (
        {"type": "object", "properties": {"a": STR}, "additionalProperties": INT},
        ['{"a":""}', '{"b":1}', '{"b":1,"b":2}', '{"a":"","c":1}', '{"aa":1,"":2}'],
        ['{"a":1}', '{"b":""}'],
    ),
    "pattern keys": (
        {"type": "object", "patternProperties": {"^a": INT, "b$": {"minimum": 5}}},
        ["{}", '{"a":1}', '{"b":5}', '{"ab":5}', '{"x":null}', '{"b":"x"}', '{"a":1,"a":2}'],
        ['{"a":"x"}', '{"b":4}', '{"ab":4}', '{"ab":5.5}'],
    ),
    "pattern and declared keys": (
        {
            "type": "object",
            "properties": {"ab": {"maximum": 7}, "c": STR},
            "patternProperties": {"^a": INT},
            "additionalProperties": False,
        },
        ['{"ab":7}', '{"ab":3,"c":"","ax":99}', '{"a":1}'],
        ['{"ab":8}', '{"ab":3.5}', '{"c":1}', '{"x":1}', '{"a":""}'],
    ),
    "catch-all pattern": (
        {
            "type": "object",
            "properties": {"a": {}},
            "patternProperties": {"": INT},
            "additionalProperties": False,
        },
        ['{"a":1}', '{"b":2}'],
        ['{"a":"x"}', '{"b":"x"}'],
    ),
    "patterns without effect": (
        {"type": "object", "patternProperties": {"^x-": {}}, "properties": {"a": INT}},
        ['{"x-a":null,"b":1,"a":1}'],
        ['{"a":null}'],
    ),
    "forbidden declared key": (
        {"type": "object", "properties": {"a": False}, "additionalProperties": INT},
        ["{}", '{"b":1}'],
        ['{"a":1}', '{"b":""}'],
    ),
    "two members": (
        {
            "type": "object",
            "allOf": [
                {"properties": {"a": {"minimum": 1}, "b": INT}},
                {"properties": {"a": {"maximum": 5}}, "additionalProperties": {"maximum": 9}},
            ],
            "required": ["a"],
        },
        ['{"a":1}', '{"a":5,"b":9}', '{"a":3,"x":8.5}'],
        ['{"a":0}', '{"a":6}', '{"a":1,"b":10}', '{"a":1,"b":1.5}', '{"a":1,"x":10}', "{}"],
    ),
    "closed members": (
        {
            "type": "object",
            "allOf": [
                {"properties": {"a": {}, "b": {}}, "additionalProperties": False},
                {"properties": {"b": {}, "c": {}}, "additionalProperties": False},
            ],
        },
        ["{}", '{"b":1}'],
        ['{"a":1}', '{"c":1}', '{"x":1}'],
    ),
    "minProperties": (
        {"type": "object", "minProperties": 2},
        ['{"a":1,"b":2}'],
        ["{}", '{"a":1}', '{"a":1,"a":2}'],
    ),
    "minProperties is one": ({"type": "object", "minProperties": 1}, ['{"a":1}', '{"a":1,"b":2}'], ["{}"]),
    "maxProperties": (
        {"type": "object", "maxProperties": 1},
        ["{}", '{"a":1}'],
        ['{"a":1,"b":2}', '{"a":1,"a":1}'],
    ),
    "counts and declared keys": (
        {
            "properties": {"a": INT, "b": INT},
            "required": ["a"],
            "minProperties": 2,
            "maxProperties": 3,
            "type": "object",
        },
        ['{"a":1,"b":2}', '{"a":1,"x":0}', '{"a":1,"b":2,"x":0}'],
        ['{"a":1}', '{"b":1,"x":2}', '{"a":1,"b":2,"x":0,"y":0}'],
    ),
    "counts of a closed object": (
        {
            "properties": {"a": {}, "b": {}},
            "additionalProperties": False,
            "minProperties": 1,
            "type": "object",
        },
        ['{"a":1}', '{"b":1}', '{"a":1,"b":1}'],
        ["{}", '{"c":1}'],
    ),
    "a key that needs escapes": (
        {
            "type": "object",
            "properties": {'q"/\\': INT},
            "required": ['q"/\\'],
            "additionalProperties": False,
        },
        ['{"q\\"/\\\\":1}'],
        ['{"q":1}', "{}"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_table(name: str, engine: str) -> None:
    schema, accepted, rejected = CASES[name]
    check(schema, engine, accepted, rejected)


def test_many_optional_properties(engine: str) -> None:
    schema = {
        "type": "object",
        "properties": {f"k{i}": INT for i in range(80)},
        "additionalProperties": False,
    }
    every = "{" + ",".join(f'"k{i}":{i}' for i in range(80)) + "}"
    check(
        schema,
        engine,
        ["{}", '{"k3":1,"k79":2}', every],
        ['{"k80":1}', '{"k79":2,"k3":1}', '{"k3":1,"k3":1}'],
    )
    check(
        schema,
        engine,
        ['{"k79":2,"k3":1}', every],
        ['{"k80":1}', '{"k3":1,"k4":2,"k3":1}'],
        property_order="any",
    )
