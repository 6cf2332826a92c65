"""Keywords of numbers: the types, minimum, maximum and their exclusive forms."""

import pytest

from tests.json_schema.support import check

CASES = {
    "integer": ({"type": "integer"}, ["0", "-0", "7", "-12", "9" * 40], ["01", "1.0", "1e2", "+1", "-", ""]),
    "number": (
        {"type": "number"},
        ["0", "-0.0", "1.50", "1e9", "-2.5E-7", "5"],
        [".5", "5.", "1e", "0x1", "NaN"],
    ),
    "minimum": ({"type": "integer", "minimum": 3}, ["3", "10", "99999"], ["2", "0", "-3"]),
    "maximum": ({"type": "integer", "maximum": 12}, ["12", "0", "-0", "-999"], ["13", "100"]),
    "exclusive": ({"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 6}, ["4", "5"], ["3", "6"]),
    "number range": (
        {"type": "number", "minimum": 1.05, "exclusiveMaximum": 2.5},
        ["1.05", "2.4999"],
        ["1.0", "2.50"],
    ),
    "fractional bounds of integers": (
        {"type": "integer", "minimum": 0.5, "maximum": 2.5},
        ["1", "2"],
        ["0", "3"],
    ),
    "negative range": (
        {"type": "number", "minimum": -2.5, "maximum": -1},
        ["-1", "-2.50"],
        ["1", "-0.9", "-2.51"],
    ),
    "around zero": (
        {"type": "number", "minimum": -0.5, "maximum": 0},
        ["-0.5", "0", "-0.0"],
        ["0.1", "-0.51"],
    ),
    "zero is excluded": (
        {"type": "number", "exclusiveMinimum": 0},
        ["0.1", "0.001"],
        ["0", "-0", "0.00", "-1"],
    ),
    "no exponent under a bound": ({"type": "number", "minimum": 0}, ["100"], ["1e2"]),
    "bounds without type": ({"minimum": 3}, ["3", '"a"', "null", "[0]"], ["2"]),
    "the stronger bound counts": ({"type": "integer", "minimum": 3, "exclusiveMinimum": 3}, ["4"], ["3"]),
    "a huge bound": ({"type": "integer", "minimum": 10**40}, ["1" + "0" * 40], ["9" * 40]),
    "a tiny bound": (
        {"type": "number", "minimum": 0, "maximum": 1e-7},
        ["0.0000001"],
        ["0.00000011", "1e-8"],
    ),
    "integers and others": (
        {"type": "number", "allOf": [{"maximum": 9}, {"minimum": 9}]},
        ["9", "9.0"],
        ["9.1", "8"],
    ),
    "nothing between": (
        {"anyOf": [{"type": "integer", "minimum": 3, "maximum": 2}, {"const": 7}]},
        ["7"],
        ["2", "3"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_table(name: str, engine: str) -> None:
    schema, accepted, rejected = CASES[name]
    check(schema, engine, accepted, rejected)


def test_bounds_of_schema_text_are_exact(engine: str) -> None:
    schema = '{"type": "number", "minimum": 0.1000000000000000000001}'
    check(schema, engine, ["0.1000000000000000000001"], ["0.1"])
    check('{"type": "integer", "maximum": 1e400}', engine, ["1" + "0" * 400], ["1" + "0" * 399 + "1"])


def test_bounds_of_a_dict_are_the_shortest_decimals(engine: str) -> None:
    check({"type": "number", "minimum": 0.1}, engine, ["0.1"], ["0.0999999999999999999999"])


def test_draft_4_exclusive_bounds_are_flags(engine: str) -> None:
    schema = {
        "type": "integer",
        "minimum": 3,
        "exclusiveMinimum": True,
        "maximum": 6,
        "exclusiveMaximum": False,
    }
    check(schema, engine, ["4", "6"], ["3", "7"], draft="4")


def test_draft_4_integers_have_no_fraction(engine: str) -> None:
    for numbers in ("plain", "all"):
        check({"type": "integer"}, engine, ["5"], ["5.0", "5e0"], draft="4", numbers=numbers)
    check({"type": "integer"}, engine, ["5.0", "5e0"], ["5.5"], draft="6", numbers="all")
