"""Keywords that ask whether a schema holds: conditions, exclusive branches, counts, dependencies, leftovers.

Every row is decided by hand from the specification, and the oracle agrees.
"""

from typing import Any

import pytest

from tests.json_schema.support import check, oracle

ROWS: list[tuple[Any, list[str], list[str]]] = [
    ({"oneOf": [{"type": "null"}, {"type": "string"}]}, ["null", '"a"'], ["1", "[]"]),
    ({"oneOf": [{"minimum": 2}, {"maximum": 5}]}, ["1", "6"], ["2", "5", '"a"']),
    ({"oneOf": [{"type": "integer"}, {"minimum": 2}]}, ["1", "2.5", '"a"'], ["3", "1.5"]),
    ({"oneOf": [True, {"type": "null"}, False]}, ["1", "{}"], ["null"]),
    (
        {"oneOf": [{"required": ["a"]}, {"required": ["b"]}], "type": "object"},
        ['{"a":1}', '{"b":1,"c":2}'],
        ["{}", '{"a":1,"b":2}', "1"],
    ),
    ({"not": {"type": "null"}}, ["1", "{}"], ["null"]),
    ({"not": {"type": ["string", "object"], "minLength": 2}}, ["1", '"a"', "[]"], ['"ab"', "{}"]),
    ({"not": {"not": {"const": 3}}}, ["3"], ["4", "null"]),
    ({"not": {"required": ["a"]}, "type": "object"}, ["{}", '{"b":1}'], ['{"a":1}', "1"]),
    ({"not": {"items": {"type": "null"}}}, ["[null,1]"], ["[]", "[null]", "1"]),
    (
        {"if": {"minimum": 3}, "then": {"type": "integer"}, "else": {"type": ["string", "number"]}},
        ["3", "2.5"],
        ["3.5", "null", '"a"'],
    ),
    ({"if": {"type": "string"}, "then": {"maxLength": 1}}, ['"a"', "10"], ['"ab"']),
    ({"then": {"type": "null"}, "else": False}, ["1", "null"], ["?"]),
    ({"contains": {"type": "null"}}, ["[1,null]", "{}"], ["[]", "[1]"]),
    (
        {"type": "array", "contains": {"type": "null"}, "minContains": 2, "maxContains": 3},
        ["[null,1,null]", "[null,null,null]"],
        ["[null]", "[null,null,null,null]"],
    ),
    ({"contains": False, "minContains": 0}, ["[]", "[1]"], ["?"]),
    ({"type": "array", "uniqueItems": True}, ["[]", "[1,2]", "[1,true]", "[[1],[2]]"], ["[1,1]", "[{},{}]"]),
    ({"propertyNames": {"maxLength": 2, "not": {"const": "a"}}}, ['{"ab":1}', "1"], ['{"abc":1}', '{"a":1}']),
    ({"propertyNames": {"enum": ["a", 1]}}, ['{"a":1}', "{}"], ['{"b":1}']),
    ({"propertyNames": False}, ["{}", "1"], ['{"":1}']),
    ({"dependentRequired": {"a": ["b"], "c": []}}, ['{"b":1}', '{"a":1,"b":2}', '{"c":1}', "1"], ['{"a":1}']),
    (
        {"dependentSchemas": {"a": {"maxProperties": 1}, "b": False}},
        ['{"a":1}', '{"c":1,"d":1}', "1"],
        ['{"a":1,"c":1}', '{"b":1}'],
    ),
    (
        {"properties": {"a": {}}, "unevaluatedProperties": False},
        ['{"a":1}', "{}", "1"],
        ['{"b":1}', '{"a":1,"b":1}'],
    ),
    (
        {
            "anyOf": [{"properties": {"a": {"type": "null"}}, "required": ["a"]}, {"properties": {"b": {}}}],
            "unevaluatedProperties": {"type": "integer"},
        },
        ['{"a":null}', '{"a":1}', '{"b":"x","c":3}', '{"a":null,"b":""}'],
        ['{"a":""}', '{"b":"","c":""}'],
    ),
    (
        {"prefixItems": [{}], "contains": {"type": "null"}, "unevaluatedItems": {"type": "integer"}},
        ['["a",null]', "[null]", '["a",1,null]'],
        ['["a",null,"b"]', '["a"]'],
    ),
    ({"multipleOf": 0.5}, ["1.5", "2", "0", '"a"'], ["1.25", "0.1"]),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "accepted", "rejected"), ROWS)
def test_rows(schema: Any, accepted: list[str], rejected: list[str], engine: str) -> None:
    texts = [text for text in [*accepted, *rejected] if text != "?"]
    assert [text for text in texts if oracle(schema)(text)] == accepted
    if engine == "reference" and "uniqueItems" in str(schema):
        pytest.skip("the reference engine has no guards")
    check(schema, engine, accepted, rejected, property_order="any")


@pytest.mark.parametrize(
    ("draft", "keyword"),
    [
        ("4", "const"),
        ("4", "contains"),
        ("4", "propertyNames"),
        ("4", "if"),
        ("6", "if"),
        ("7", "dependentRequired"),
        ("7", "dependentSchemas"),
        ("7", "unevaluatedProperties"),
        ("7", "unevaluatedItems"),
        ("2019-09", "dependencies"),
        ("2019-09", "prefixItems"),
        ("2020-12", "additionalItems"),
        ("2020-12", "$recursiveRef"),
    ],
)
def test_keywords_of_other_drafts_are_not_read(draft: str, keyword: str, engine: str) -> None:
    schema = {keyword: 17, "type": "null", "then": False}
    check(schema, engine, ["null"], ["1"], draft=draft)


@pytest.mark.parametrize(("draft", "holds"), [("4", False), ("6", False), ("7", False), ("2019-09", True)])
def test_min_contains_belongs_to_2019_09(draft: str, holds: bool, engine: str) -> None:
    schema = {"contains": {"type": "null"}, "minContains": 0, "type": "array"}
    check(schema, engine, ["[null]"], ["[]"] * (not holds and draft != "4"), draft=draft)


@pytest.mark.parametrize(
    ("form", "good", "bad"),
    [
        ("hostname", "a.b", "a..b"),
        ("regex", "a|b", "("),
        ("idn-hostname", "\u00fc.a", "a\u00b7b"),
        ("date", "2024-02-29", "d"),
    ],
)
def test_formats_of_keys(form: str, good: str, bad: str) -> None:
    """A key is no value that a guard could wait for; those that need one are checked when the object ends."""
    accepted, rejected = f'{{"{good}":1}}', f'{{"{bad}":1}}'
    both = f'{{"{good}":1,"{bad}":1}}'
    check({"propertyNames": {"format": form}}, "core", [accepted, "{}", "1"], [rejected, both])
    check({"propertyNames": {"not": {"format": form}}}, "core", [rejected, "{}"], [accepted, both])
    names = {"anyOf": [{"format": form}, {"const": bad}]}
    check({"propertyNames": names}, "core", [accepted, rejected, both], [f'{{"{bad}{bad}":1}}'])
    check({"propertyNames": {"format": form}}, "core", [rejected], ["?"], formats="annotate")
