"""Keywords of every type: type, enum, const, anyOf, allOf, boolean schemas."""

import pytest

from tests.json_schema.support import check

CASES = {
    "true": (
        True,
        ["null", "true", "1", '"a"', "[1, {}]", '{"a": [null]}', "-0.5e-3"],
        ["", "nul", "[1,]", "01"],
    ),
    "empty": ({}, ["null", "[]", "{}", '{"a": 1, "a": 2}'], ["{", "[", "{]", "undefined"]),
    "null": ({"type": "null"}, ["null", " null "], ["nul", "0", '"null"']),
    "boolean": ({"type": "boolean"}, ["true", "false"], ["True", "1", '"true"']),
    "several types": ({"type": ["null", "integer"]}, ["null", "3"], ["3.5", '"3"', "true"]),
    "number covers integer": ({"type": ["number", "integer"]}, ["3", "3.5", "1e3"], ["null"]),
    "no type at all": ({"anyOf": [{"type": []}, {"type": "null"}]}, ["null"], ["1", '""']),
    "enum": ({"enum": ["a", 1, None, True]}, ['"a"', "1", "1.0", "null", "true"], ['"b"', "false", "0", "2"]),
    "enum with type": (
        {"enum": ["a", 1, 2.5, None], "type": ["integer", "null"]},
        ["1", "null"],
        ['"a"', "2.5"],
    ),
    "enum with a bound": ({"enum": [1, 5, 9], "minimum": 5}, ["5", "9"], ["1"]),
    "enum with a pattern": ({"enum": ["ab", "ba", 3], "pattern": "^a"}, ['"ab"', "3"], ['"ba"']),
    "enum with lengths": (
        {"enum": ["a", "ab", "abc", "é"], "minLength": 2, "maxLength": 2},
        ['"ab"'],
        ['"é"', '"a"'],
    ),
    "true is not 1": ({"enum": [1, False]}, ["1", "false"], ["true", "0"]),
    "one": ({"const": 1}, ["1", "1.0", "1.000"], ["true", "10", "1.01"]),
    "zero": ({"const": 0}, ["0", "-0", "0.0", "-0.00"], ["false", "00", "0.1"]),
    "fraction": ({"const": 2.50}, ["2.5", "2.500"], ["2.51", "25", "-2.5"]),
    "negative": ({"const": -10}, ["-10", "-10.0"], ["10", "-1"]),
    "integer spelling": ({"const": 5.0, "type": "integer"}, ["5"], ["5.0"]),
    "const string": ({"const": 'a"b\n'}, ['"a\\"b\\n"'], ['"ab"']),
    "const array": (
        {"const": [1, ["x"]]},
        ['[1,[ "x" ]]', '[1.0, ["x"]]'],
        ["[1]", '[["x"], 1]', '[1,["x"],2]'],
    ),
    "const object": (
        {"const": {"b": 1, "a": {}}},
        ['{"b":1,"a":{}}', '{ "b" : 1 , "a" : { } }'],
        ['{"b":1}', '{"b":1,"a":{},"c":0}', '{"a":{}}', '{"b":1,"a":{"x":1}}', '{"b":1,"b":1,"a":{}}'],
    ),
    "const object filtered": (
        {
            "enum": [{"a": 1}, {"a": 2}, {"b": 1}, [1], [2]],
            "properties": {"a": {"minimum": 2}},
            "required": ["a"],
            "items": {"maximum": 1},
        },
        ['{"a":2}', "[1]"],
        ['{"a":1}', '{"b":1}', "[2]"],
    ),
    "two enums": (
        {"enum": [1, 2, [1.0], {"a": True}], "allOf": [{"enum": [2.0, [1], {"a": 1}]}]},
        ["2", "[1]"],
        ["1", '{"a":true}', '{"a":1}'],
    ),
    "const null": ({"const": None}, ["null"], ["0", "false"]),
    "anyOf": (
        {"anyOf": [{"type": "string"}, {"type": "integer", "minimum": 3}]},
        ['"a"', "3"],
        ["2", "null"],
    ),
    "anyOf with siblings": (
        {"minimum": 2, "anyOf": [{"type": "integer"}, {"type": "string"}, {"type": "number", "maximum": 3}]},
        ["2", "9", '"a"', "2.5"],
        ["1", "3.5", "null"],
    ),
    "two anyOf": (
        {
            "allOf": [
                {"anyOf": [{"minimum": 5}, {"maximum": 1}]},
                {"anyOf": [{"minimum": 8}, {"maximum": 3}]},
            ],
            "type": "integer",
        },
        ["0", "1", "8", "9"],
        ["2", "3", "5", "7"],
    ),
    "nested anyOf": (
        {"anyOf": [{"anyOf": [{"const": "a"}, {"anyOf": [{"const": "b"}]}]}, {"type": "null"}]},
        ['"a"', '"b"', "null"],
        ['"c"', "0"],
    ),
    "anyOf object": (
        {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
        },
        ['{"a":1}', '{"b":1}', '{"a":1,"b":2}', '{"a":1,"x":null}'],
        ["{}", '{"x":1}', '{"a":null}', '{"a":1,"b":null}'],
    ),
    "allOf": (
        {"allOf": [{"type": ["string", "integer"]}, {"type": ["integer", "null"]}, {"minimum": 2}]},
        ["2"],
        ["1", '"a"', "null"],
    ),
    "one branch of oneOf": ({"oneOf": [{"type": "null"}]}, ["null"], ["1"]),
    "not false": ({"type": "null", "not": False}, ["null"], ["1"]),
    "annotations": (
        {
            "type": "null",
            "title": "t",
            "default": 3,
            "examples": [1],
            "$comment": "c",
            "readOnly": True,
            "x-a": {},
        },
        ["null"],
        ["3"],
    ),
    "if alone": ({"if": {"type": "string"}, "type": "null"}, ["null"], ['"a"']),
}


@pytest.mark.parametrize("name", CASES)
def test_table(name: str, engine: str) -> None:
    schema, accepted, rejected = CASES[name]
    check(schema, engine, accepted, rejected)


def test_draft_4_has_no_const(engine: str) -> None:
    schema = {"const": 1, "type": "integer"}
    check(schema, engine, ["1", "2"], ["null"], draft="4")
    check(schema, engine, ["1"], ["2", "null"], draft="6")


def test_text_and_bytes_are_schemas(engine: str) -> None:
    check('{"const": 0.10}', engine, ["0.1", "0.100"], ["0.11"])
    check(b'{"type": "null", "type": "boolean"}', engine, ["true"], ["null"])
    check("true", engine, ["1"], ["?"])
