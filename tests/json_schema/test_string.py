"""Keywords of strings: minLength, maxLength, pattern."""

import pytest

from tests.json_schema.support import check

CASES = {
    "any": (
        {"type": "string"},
        ['""', '"é😀"', '"a\\nb"', '"\\u0001"', '"\\\\"'],
        ['"', '"a', '"\n"', '"\\x"', "a"],
    ),
    "minLength": (
        {"type": "string", "minLength": 2},
        ['"ab"', '"abc"', '"é😀"', '"\\n\\""'],
        ['""', '"😀"', '"\\n"'],
    ),
    "maxLength": (
        {"type": "string", "maxLength": 2},
        ['""', '"ab"', '"😀😀"', '"\\\\\\\\"'],
        ['"abc"', '"\\n\\n\\n"'],
    ),
    "both lengths": ({"type": "string", "minLength": 1, "maxLength": 2.0}, ['"a"', '"ab"'], ['""', '"abc"']),
    "a huge maxLength": ({"type": "string", "maxLength": 1_000_000}, ['""', '"abc"'], ["1"]),
    "no bound at all": ({"type": "string", "maxLength": 2**31 - 1}, ['"abc"'], ["1"]),
    "lengths without type": ({"minLength": 2}, ['"ab"', "1", "null", "[]"], ['"a"']),
    "pattern is searched": ({"type": "string", "pattern": "b"}, ['"b"', '"abc"', '"\\nb"'], ['"a"', '""']),
    "anchored": ({"type": "string", "pattern": "^ab?$"}, ['"a"', '"ab"'], ['"abb"', '"xa"', '"a\\n"']),
    "start only": ({"type": "string", "pattern": "^a"}, ['"a"', '"abc"'], ['"ba"']),
    "inner anchors": ({"type": "string", "pattern": "^a|b$"}, ['"ax"', '"xb"'], ['"xa"', '"bx"']),
    "digits are ASCII": ({"type": "string", "pattern": "^\\d$"}, ['"5"'], ['"٣"', '"a"']),
    "code points": ({"type": "string", "pattern": "^.$"}, ['"😀"', '"a"'], ['"ab"', '"\\n"']),
    "pattern and length": (
        {"pattern": "^a*$", "minLength": 2, "maxLength": 3},
        ['"aa"', '"aaa"'],
        ['"a"', '"aaaa"'],
    ),
    "two patterns": (
        {"allOf": [{"pattern": "a"}, {"pattern": "b"}], "type": "string"},
        ['"ab"', '"bxa"'],
        ['"a"', '"b"', '""'],
    ),
    "lengths of two members": (
        {"minLength": 1, "maxLength": 9, "allOf": [{"minLength": 3}, {"maxLength": 4}], "type": "string"},
        ['"abc"', '"abcd"'],
        ['"ab"', '"abcde"'],
    ),
    "unknown format": ({"type": "string", "format": "int32"}, ['"x"'], ["1"]),
    "format of another type": ({"type": "integer", "format": "date"}, ["1"], ['"x"']),
}


@pytest.mark.parametrize("name", CASES)
def test_table(name: str, engine: str) -> None:
    schema, accepted, rejected = CASES[name]
    check(schema, engine, accepted, rejected)


def test_enumerated_strings_share_prefixes(engine: str) -> None:
    words = [f"word{i}" for i in range(300)]
    check({"enum": words}, engine, ['"word0"', '"word299"'], ['"word300"', '"word"', '"word01"'])


def test_lone_surrogates_are_never_written(engine: str) -> None:
    schema = '{"enum": ["\\ud800", "a"]}'
    check(schema, engine, ['"a"'], ['"\\ud800"'], escapes="all")
    check({"type": "string"}, engine, ['"\\ud83d\\ude00"'], ['"\\ud83d"'], escapes="all")
