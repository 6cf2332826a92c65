"""The texts of the grammars that ``tool_calls`` makes."""

import dataclasses
import json
import re
from typing import Any

import jsonschema
import pytest

from structgen import SchemaError, tool_calls

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"enum": ["c", "f"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
TIME = {"name": "time"}
TREE = {
    "name": "tree",
    "parameters": {
        "type": "object",
        "properties": {"root": {"$ref": "#/$defs/node"}, "like": {"$ref": "#"}},
        "$defs": {"node": {"type": "array", "items": {"$ref": "#/$defs/node"}}},
        "additionalProperties": False,
    },
}
ALL = [WEATHER, TIME, TREE]


def shape(grammar: str) -> str:
    """The grammar with S in place of each schema."""
    return re.sub(r'%json \{.*\}(?=\n| "\\n)', "%json S", grammar)


def schema(grammar: str) -> Any:
    """The one schema of a grammar."""
    (found,) = re.findall(r'%json (\{.*\})(?:\n| "\\n)', grammar)
    return json.loads(found)


_HERMES = 'call: %text "<tool_call>" "<tool_call>" "\\n" %json S "\\n</tool_call>"\n'
_BARE_HERMES = 'call: "<tool_call>" "\\n" %json S "\\n</tool_call>"\n'
_TEXT = "text: %regex /([^ \\t\\r\\n\\[].*)?/s\n"
_TAGGED = "calls: <|python_tag|> call"


@pytest.mark.parametrize(
    ("style", "options", "expected"),
    [
        ("json", "", "start: calls | text\ncalls: %json S\n" + _TEXT),
        ("json", "no text", "start: calls\ncalls: %json S\n"),
        ("json", "required", "start: calls\ncalls: %json S\n"),
        ("hermes", "", 'start: call* %text "<tool_call>"\n' + _HERMES),
        ("hermes", "required", 'start: call+ %text "<tool_call>"\n' + _HERMES),
        ("hermes", "single", 'start: call? %text "<tool_call>"\n' + _HERMES),
        ("hermes", "single, required", 'start: call %text "<tool_call>"\n' + _HERMES),
        ("hermes", "no text", 'start: [call ("\\n" call)*]\n' + _BARE_HERMES),
        ("hermes", "no text, required", 'start: call ("\\n" call)*\n' + _BARE_HERMES),
        ("hermes", "no text, single", "start: [call]\n" + _BARE_HERMES),
        ("hermes", "no text, single, required", "start: call\n" + _BARE_HERMES),
        ("llama3", "", f'start: %text <|python_tag|> calls?\n{_TAGGED} ("; " call)*\ncall: %json S\n'),
        ("llama3", "no text", f'start: calls?\n{_TAGGED} ("; " call)*\ncall: %json S\n'),
        ("llama3", "no text, single, required", f"start: calls\n{_TAGGED}\ncall: %json S\n"),
        ("mistral", "", "start: %text <[TOOL_CALLS]> calls?\ncalls: <[TOOL_CALLS]> %json S\n"),
        ("mistral", "no text, required", "start: calls\ncalls: <[TOOL_CALLS]> %json S\n"),
    ],
)
def test_shapes(style: Any, options: str, expected: str) -> None:
    grammar = tool_calls(
        ALL,
        style=style,
        tool_choice="required" if "required" in options else "auto",
        parallel="single" not in options,
        free_text="no text" not in options,
    )
    assert shape(grammar) == expected


_CALLS = [
    ("get_weather", {"city": "Oslo"}, True),
    ("get_weather", {"city": "Oslo", "unit": "c"}, True),
    ("get_weather", {"unit": "c"}, False),
    ("get_weather", {"city": "Oslo", "unit": "k"}, False),
    ("get_weather", {"root": []}, False),
    ("time", {}, True),
    ("time", {"zone": 1}, False),
    ("time", None, False),
    ("tree", {"root": [[], [[]]], "like": {"root": [], "like": {}}}, True),
    ("tree", {"root": [{}]}, False),
    ("tree", {"like": {"city": "Oslo"}}, False),
    ("tree", {"like": {"name": "tree", "arguments": {}}}, False),
    ("other", {}, False),
]


@pytest.mark.parametrize("style", ["json", "hermes", "llama3", "mistral"])
@pytest.mark.parametrize(("name", "arguments", "fits"), _CALLS)
def test_the_schema_of_a_call(style: Any, name: str, arguments: Any, fits: bool) -> None:
    key = "parameters" if style == "llama3" else "arguments"
    for value, good in (
        ({"name": name, key: arguments}, fits),
        ({"name": name, key: arguments, "id": 1}, False),
        ({"name": name}, False),
        ({key: arguments}, False),
    ):
        instance = [value] if style in {"json", "mistral"} else value
        found = schema(tool_calls(ALL, style=style))
        jsonschema.Draft202012Validator.check_schema(found)
        assert jsonschema.Draft202012Validator(found).is_valid(instance) == good


@pytest.mark.parametrize(
    ("style", "options", "low", "high"),
    [
        ("json", {}, 0, None),
        ("json", {"parallel": False}, 0, 1),
        ("json", {"tool_choice": "required"}, 1, None),
        ("json", {"tool_choice": "time", "parallel": False}, 1, 1),
        # The token has been written, so there is a call.
        ("mistral", {}, 1, None),
        ("mistral", {"parallel": False}, 1, 1),
        ("mistral", {"tool_choice": "required"}, 1, None),
    ],
)
def test_numbers_of_calls(style: Any, options: Any, low: int, high: int | None) -> None:
    found = schema(tool_calls(ALL, style=style, **options))
    validator = jsonschema.Draft202012Validator(found)
    for count in range(4):
        calls = [{"name": "time", "arguments": {}}] * count
        assert validator.is_valid(calls) == (low <= count and (high is None or count <= high))


def test_a_chosen_tool() -> None:
    validator = jsonschema.Draft202012Validator(schema(tool_calls(ALL, tool_choice="tree")))
    assert validator.is_valid([{"name": "tree", "arguments": {}}])
    assert not validator.is_valid([{"name": "time", "arguments": {}}])


def test_references_stay_inside_their_tool() -> None:
    def tool(name: str, kind: str) -> dict[str, Any]:
        item = {"$id": "item", "$anchor": "it", "type": kind}
        refs = {"a": {"$ref": "#/$defs/x"}, "b": {"$ref": "item"}, "c": {"$ref": "item#it"}}
        return {"name": name, "parameters": {"properties": refs, "$defs": {"x": item}}}

    validator = jsonschema.Draft202012Validator(
        schema(tool_calls([tool("one", "integer"), tool("two", "null")]))
    )
    for key in "abc":
        for name, value, fits in (
            ("one", 1, True),
            ("one", None, False),
            ("two", None, True),
            ("two", 1, False),
        ):
            assert validator.is_valid([{"name": name, "arguments": {key: value}}]) == fits


def test_arguments_are_objects() -> None:
    for parameters in ({}, {"properties": {}}, {"type": ["object", "null"]}, {"minProperties": 0}):
        found = schema(tool_calls([{"name": "f", "parameters": parameters}]))
        validator = jsonschema.Draft202012Validator(found)
        assert validator.is_valid([{"name": "f", "arguments": {"a": 1}}])
        for other in (None, [], 1, "a"):
            assert not validator.is_valid([{"name": "f", "arguments": other}])


def test_a_reference_at_the_top_of_an_old_draft() -> None:
    # Where identifiers beside references do not count.
    parameters = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$ref": "#/definitions/in",
        "definitions": {"in": {"type": "object", "required": ["a"]}},
    }
    found = schema(tool_calls([{"name": "f", "parameters": parameters}]))
    arguments = found["items"]["properties"]["arguments"]
    assert arguments["$schema"] == parameters["$schema"]
    validator = jsonschema.Draft7Validator(arguments)
    assert validator.is_valid({"a": 1})
    assert not validator.is_valid({})
    assert not validator.is_valid([])


def search(query: str, limit: int = 10) -> list[str]:
    """Search the web."""
    raise NotImplementedError


@dataclasses.dataclass
class Book:
    title: str
    pages: int


def test_python_types() -> None:
    found = schema(tool_calls([search, Book, TIME]))
    validator = jsonschema.Draft202012Validator(found)
    for name, arguments, fits in (
        ("search", {"query": "a"}, True),
        ("search", {"query": "a", "limit": 3}, True),
        ("search", {"limit": 3}, False),
        ("search", {"query": "a", "page": 3}, False),
        ("Book", {"title": "a", "pages": 3}, True),
        ("Book", {"title": "a", "pages": "3"}, False),
        ("time", {}, True),
    ):
        assert validator.is_valid([{"name": name, "arguments": arguments}]) == fits


@pytest.mark.parametrize(
    ("tools", "options", "error", "message"),
    [
        ([], {}, ValueError, "no tools"),
        ([TIME, WEATHER, TIME], {}, ValueError, "two tools are named 'time'"),
        ([TIME, {"type": "function", "function": {"name": "time"}}], {}, ValueError, "two tools are named"),
        ([TIME], {"tool_choice": "tim"}, ValueError, "no tool is named 'tim'"),
        ([TIME], {"style": "xml"}, ValueError, "style must be one of 'json', 'hermes', 'llama3', 'mistral'"),
        ([{"parameters": {}}], {}, ValueError, "tool 0 has no name"),
        ([TIME, {"name": ""}], {}, ValueError, "tool 1 has no name"),
        ([{"name": 3}], {}, ValueError, "tool 0 has no name"),
        (["time"], {}, TypeError, "tool 0 must be a dict, a type or a function, not str"),
        ([{"function": "time"}], {}, TypeError, "'function' of tool 0 must be a dict, not str"),
        ([lambda x: x], {}, TypeError, "has no name: describe it by a dict"),
        ([{"name": "f", "parameters": []}], {}, SchemaError, "at '/0/parameters'.*not list"),
        ([{"function": {"name": "f", "parameters": True}}], {}, SchemaError, "at '/0/function/parameters'"),
        ([TIME, {"name": "f", "parameters": {"type": "string"}}], {}, SchemaError, "at '/1/parameters/type'"),
        ([{"name": "f", "parameters": {"type": ["null"]}}], {}, SchemaError, "are an object"),
        ([{"name": "f", "parameters": {"const": {1}}}], {}, SchemaError, "are no JSON"),
        ([{"name": "f", "parameters": {"maximum": float("nan")}}], {}, SchemaError, "are no JSON"),
    ],
)
def test_errors(tools: Any, options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        tool_calls(tools, **options)


def test_names_need_no_care() -> None:
    name = 'a"b\\c\n</tool_call>é %json <|x|> // '
    grammar = tool_calls([{"name": name}], style="hermes", tool_choice="required")
    assert schema(grammar)["properties"]["name"] == {"const": name}
    assert grammar.count("\n") == 2
    assert grammar.isascii()
