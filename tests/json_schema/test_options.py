"""The options: each spelling that they allow, and each that they do not."""

import json

import pytest

from structgen import UnsatisfiableSchemaError
from tests.json_schema.support import check, language

INT = {"type": "integer"}
OBJECT = {"type": "object", "properties": {"a": INT, "b": INT}}


def test_whitespace_flexible(engine: str) -> None:
    accepted = [' \t\r\n{ "a" : 1 , "b"\n:\t2 } ', '{"a":1}', " " * 64 + '{"a":1}' + "\n" * 64]
    rejected = [
        '{"a":\u00a01}',
        "\ufeff{}",
        "\f{}",
        " " * 65 + "{}",
        "{}" + " " * 65,
        '{"a":' + "\n" * 65 + "1}",
    ]
    check(OBJECT, engine, accepted, rejected, whitespace="flexible")
    check(True, engine, [" [ 1 , { } ] "], [" [ 1 2 ] "])


def test_whitespace_compact(engine: str) -> None:
    check(
        OBJECT, engine, ['{"a":1,"b":2}'], [' {"a":1}', '{"a": 1}', '{"a":1 }', "{}\n"], whitespace="compact"
    )
    check({"const": {"a": [1]}}, engine, ['{"a":[1]}'], ['{"a": [1]}'], whitespace="compact")


def test_whitespace_pattern(engine: str) -> None:
    check(OBJECT, engine, ['{"a": 1}', ' {"a" :1} '], ['{"a":  1}', '{"a":\n1}'], whitespace=" ?")
    check(OBJECT, engine, ['{"a":1,\n  "b":2\n}'], ['{"a":\t1}'], whitespace="(\n *)?")


@pytest.mark.parametrize("whitespace", ["x", " |x", "\\s*", "[ \u00a0]?"])
def test_whitespace_that_is_none(whitespace: str, engine: str) -> None:
    with pytest.raises(ValueError, match="no JSON white space"):
        language(OBJECT, engine, whitespace=whitespace)


def test_whitespace_that_matches_nothing(engine: str) -> None:
    with pytest.raises(ValueError, match="matches nothing"):
        language(OBJECT, engine, whitespace="(?!)")


def test_property_order(engine: str) -> None:
    both = ['{"a":1,"b":2}', '{"x":0,"a":1,"y":0,"b":2,"z":0}']
    swapped = ['{"b":2,"a":1}', '{"b":2,"x":0,"a":1}']
    check(OBJECT, engine, both, swapped, property_order="schema")
    check(OBJECT, engine, both + swapped, ['{"a":1,"a":1}', '{"b":1,"a":""}'], property_order="any")


def test_required_keys_that_are_not_declared_come_last(engine: str) -> None:
    schema = {"type": "object", "properties": {"a": INT}, "required": ["z"]}
    check(schema, engine, ['{"a":1,"z":2}', '{"z":2}'], ['{"z":2,"a":1}'], property_order="schema")
    check(schema, engine, ['{"a":1,"z":2}', '{"z":2,"a":1}'], ['{"a":1}'], property_order="any")


ESCAPED = {
    '"a"': True,
    '"\\u0061"': False,
    '"\\n"': True,
    '"\\u000a"': False,
    '"\\u001f"': True,
    '"\\u001F"': False,
    '"/"': True,
    '"\\/"': False,
    '"é"': True,
    '"\\u00e9"': False,
    '"\\ud83d\\ude00"': False,
    '"\x7f"': True,
}


@pytest.mark.parametrize("text", ESCAPED)
def test_escapes(text: str, engine: str) -> None:
    assert (json.dumps(json.loads(text), ensure_ascii=False) == text) == ESCAPED[text]
    for schema in ({"type": "string"}, {"type": "string", "pattern": "^[^b]$"}, {"const": json.loads(text)}):
        assert language(schema, engine, escapes="minimal")(text) == ESCAPED[text]
        assert language(schema, engine, escapes="all")(text)


def test_escaped_keys_are_compared_decoded(engine: str) -> None:
    schema = {"type": "object", "properties": {"b": INT}, "additionalProperties": {"type": "null"}}
    check(schema, engine, ['{"b":1}', '{"c":null}'], ['{"\\u0062":1}', '{"\\u0063":null}'], escapes="minimal")
    check(
        schema,
        engine,
        ['{"\\u0062":1}', '{"\\u0063":null}'],
        ['{"\\u0062":null}', '{"\\u0063":1}', '{"b":1,"\\u0062":1}'],
        escapes="all",
    )


def test_numbers_plain(engine: str) -> None:
    check(INT, engine, ["5", "-0"], ["5.0", "5e0", "50e-1"], numbers="plain")
    check({"type": "number"}, engine, ["5", "5.0", "5e0", "5E+300"], ["5e", "e5"], numbers="plain")
    check({"type": "number", "maximum": 9}, engine, ["5", "5.0"], ["5e0", "10"], numbers="plain")
    check({"const": 5}, engine, ["5", "5.0"], ["5e0"], numbers="plain")


def test_numbers_all(engine: str) -> None:
    whole = ["5", "5.0", "5e0", "50e-1", "0.05E+2", "0e99", "-0.0e-99", "5e20"]
    check(INT, engine, whole, ["5.5", "5e-1", "0.5e0", "5e21"], numbers="all")
    check(
        {"type": "integer", "minimum": 5, "maximum": 120},
        engine,
        ["5e0", "1.2e2"],
        ["1.2e3", "4e0"],
        numbers="all",
    )
    check(
        {"type": "number", "exclusiveMinimum": 0.5}, engine, ["0.51", "51e-2"], ["5e-1", "0.5"], numbers="all"
    )
    check({"type": "number"}, engine, ["5e300", "5E-300"], ["5e"], numbers="all")
    check({"enum": [5, 0.25]}, engine, ["50e-1", "2.5e-1"], ["5e1", "25e-1"], numbers="all")


def test_duplicate_keys(engine: str) -> None:
    check(OBJECT, engine, ['{"x":1,"x":2}'], ['{"a":1,"a":2}'], duplicate_keys="undeclared")
    check(OBJECT, engine, ['{"x":1,"y":2}'], ['{"x":1,"x":2}', '{"a":1,"a":2}'], duplicate_keys="forbid")
    check(True, engine, ['{"x":1,"y":2}'], ['{"x":1,"x":2}', '[{"x":1,"x":2}]'], duplicate_keys="forbid")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("property_order", "sorted"),
        ("escapes", "none"),
        ("numbers", "hex"),
        ("duplicate_keys", True),
        ("draft", "5"),
        ("draft", 7),
    ],
)
def test_unknown_values(option: str, value: object, engine: str) -> None:
    with pytest.raises(ValueError, match=option):
        language(True, engine, **{option: value})


def test_formats(engine: str) -> None:
    day = {"type": "string", "format": "date"}
    check(day, engine, ['"2024-02-29"'], ['"2023-02-29"', '"day"'])
    check(day, engine, ['"day"'], ["1"], formats="annotate")
    with pytest.raises(ValueError, match="formats"):
        language(day, engine, formats="ignore")


def test_nullable(engine: str) -> None:
    schema = {"properties": {"a": {"type": "integer", "nullable": True}, "b": {"type": "integer"}}}
    check(schema, engine, ['{"a":null}', '{"a":1,"b":2}'], ['{"b":null}', '{"a":""}'], nullable=True)
    check(schema, engine, ['{"a":1}'], ['{"a":null}'], nullable=False)
    # As in OpenAPI 3.0, it is about the type next to it, and an enumeration decides as ever.
    check({"nullable": True, "enum": [1]}, engine, ["1"], ["null"], nullable=True)
    check({"type": "integer", "nullable": False}, engine, ["1"], ["null"], nullable=True)


@pytest.mark.parametrize(
    "options", [{"nullable": 1}, {"nullable": None}, {"registry": {}}, {"whitespace": None}]
)
def test_options_of_the_wrong_type(options: dict[str, object], engine: str) -> None:
    with pytest.raises(TypeError, match=next(iter(options))):
        language({}, engine, **options)


def test_nullable_beside_other_keywords(engine: str) -> None:
    node = {"type": "string", "maxLength": 1, "nullable": True}
    check(node, engine, ['"a"', "null"], ['"ab"', "1"], nullable=True)
    check(node, engine, ['"a"'], ["null", '"ab"'])
    # Only next to "type" does it mean anything, and an enumeration still has to hold null.
    check({"nullable": True, "minLength": 1}, engine, ["null", '"a"'], ['""'], nullable=True)
    check({**node, "enum": ["a"]}, engine, ['"a"'], ["null"], nullable=True)
    check({**node, "enum": ["a", None]}, engine, ['"a"', "null"], ['"b"'], nullable=True)
    check({"type": "string", "nullable": False}, engine, ['"a"'], ["null"], nullable=True)
    # In a property that is otherwise only a type.
    within = {"properties": {"a": {"type": "integer", "nullable": True}}, "additionalProperties": False}
    check(within, engine, ['{"a":null}', '{"a":1}'], ['{"a":"x"}'], nullable=True)
    check(within, engine, ['{"a":1}'], ['{"a":null}'])
    negated = {"type": ["string", "null"], "not": {"type": "string", "nullable": True}}
    check(negated, engine, ["null"], ['"a"'])
    with pytest.raises(UnsatisfiableSchemaError):
        language(negated, engine, nullable=True)
