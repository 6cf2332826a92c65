"""Keywords of arrays: items, prefixItems, additionalItems, minItems, maxItems."""

import pytest

from tests.json_schema.support import check

INT = {"type": "integer"}
STR = {"type": "string"}

CASES = {
    "any": ({"type": "array"}, ["[]", "[1]", '[null, "a", [ ], {}]'], ["[", "[1 2]", "[,]", "{}", "]"]),
    "items": ({"type": "array", "items": INT}, ["[]", "[1]", "[1, 2]"], ['["a"]', "[1, null]"]),
    "items without type": ({"items": INT}, ["[1]", "null", '"a"', "{}"], ["[null]"]),
    "items true": ({"type": "array", "items": True}, ["[1, null]"], ["1"]),
    "items false": ({"type": "array", "items": False}, ["[]", "[ ]"], ["[1]", "[[]]"]),
    "minItems": ({"type": "array", "items": INT, "minItems": 2}, ["[1,2]", "[1,2,3]"], ["[]", "[1]"]),
    "maxItems": ({"type": "array", "maxItems": 2.0}, ["[]", "[1,2]"], ["[1,2,3]"]),
    "exactly": ({"items": INT, "minItems": 2, "maxItems": 2, "type": "array"}, ["[1,2]"], ["[1]", "[1,2,3]"]),
    "no items": ({"type": "array", "maxItems": 0}, ["[]"], ["[1]"]),
    "prefix": (
        {"type": "array", "prefixItems": [INT, STR]},
        ["[]", "[1]", '[1,"a"]', '[1,"a",null]'],
        ['["a"]', "[1,2]"],
    ),
    "closed prefix": (
        {"type": "array", "prefixItems": [INT, STR], "items": False},
        ["[]", "[1]", '[1,"a"]'],
        ['[1,"a",2]', '["a"]'],
    ),
    "prefix and items": (
        {"type": "array", "prefixItems": [INT], "items": STR},
        ["[1]", '[1,"a","b"]'],
        ["[1,2]"],
    ),
    "prefix and minItems": (
        {"type": "array", "prefixItems": [INT, STR], "items": INT, "minItems": 3},
        ['[1,"a",2]', '[1,"a",2,3]'],
        ["[1]", '[1,"a"]', '[1,"a","b"]'],
    ),
    "prefix cut by maxItems": (
        {"type": "array", "prefixItems": [INT, STR], "maxItems": 1},
        ["[]", "[1]"],
        ['[1,"a"]'],
    ),
    "dead prefix item": (
        {"type": "array", "prefixItems": [INT, False, STR]},
        ["[]", "[1]"],
        ['[1,2,"a"]', "[1,2]"],
    ),
    "two members": (
        {
            "type": "array",
            "allOf": [{"items": {"minimum": 2}}, {"prefixItems": [INT], "items": {"maximum": 9}}],
        },
        ["[2]", "[100]", "[2, 9, 3.5]"],
        ["[1]", "[2.5]", "[2, 10]", "[2, 1]"],
    ),
    "min and max of two members": (
        {"type": "array", "allOf": [{"minItems": 1, "maxItems": 5}, {"minItems": 2, "maxItems": 3}]},
        ["[1,2]", "[1,2,3]"],
        ["[1]", "[1,2,3,4]"],
    ),
    "nested": (
        {"type": "array", "items": {"type": "array", "items": INT, "maxItems": 1}},
        ["[[],[1]]"],
        ["[[1,2]]", "[1]"],
    ),
    "trivial uniqueItems": ({"type": "array", "uniqueItems": False}, ["[1,1]"], ["1"]),
}


@pytest.mark.parametrize("name", CASES)
def test_table(name: str, engine: str) -> None:
    schema, accepted, rejected = CASES[name]
    check(schema, engine, accepted, rejected)


@pytest.mark.parametrize("draft", ["4", "6", "7", "2019-09"])
def test_array_of_items_before_2020(draft: str, engine: str) -> None:
    schema = {"type": "array", "items": [INT, STR], "additionalItems": {"type": "null"}}
    check(schema, engine, ["[]", '[1,"a"]', '[1,"a",null]'], ['["a"]', '[1,"a",2]'], draft=draft)
    check(
        {"type": "array", "items": [INT], "additionalItems": False}, engine, ["[1]"], ["[1,2]"], draft=draft
    )
    # additionalItems next to one schema for all items says nothing, and neither does prefixItems.
    check(
        {"type": "array", "items": INT, "additionalItems": False}, engine, ["[1,2]"], ["[null]"], draft=draft
    )
    check({"type": "array", "prefixItems": [STR]}, engine, ["[1]"], ["1"], draft=draft)


def test_large_counts_are_counted(engine: str) -> None:
    schema = {"type": "array", "items": {"const": 0}, "minItems": 300, "maxItems": 1000}
    texts = {n: "[" + ",".join(["0"] * n) + "]" for n in (299, 300, 301, 1000, 1001)}
    check(schema, engine, [texts[300], texts[301], texts[1000]], [texts[299], texts[1001]])
