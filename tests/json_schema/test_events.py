"""Structure events of JSON Schemas against a tokenizer of JSON and walks along the keywords of the schema."""

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import structgen
from structgen import DEAD, FINISHED, TokenAutomaton, compile_json_schema
from structgen.testing.schemas import instances, json_schemas, spellings
from tests.json_schema.support import small_vocabulary

_SETTINGS = settings(deadline=None, suppress_health_check=list(HealthCheck))
_LEXEME = re.compile(
    rb'(?P<string>"(?:[^"\\]|\\.)*")|(?P<literal>true|false|null)|(?P<number>-?[0-9][0-9.eE+-]*)'
    rb"|(?P<punctuation>[][{}:,])|[ \t\r\n]+"
)

Told = tuple[str, str, int]


def terminals(text: bytes) -> list[Told]:
    """Return every lexeme of a JSON text with the position behind it."""
    found = []
    for match in _LEXEME.finditer(text):
        name = match.lastgroup
        if name is None:
            continue
        if name == "string" and re.match(rb"\s*:", text[match.end() :]):
            name = "key"
        found.append(("terminal", match.group().decode() if name == "punctuation" else name, match.end()))
    return found


def containers(text: bytes) -> Iterator[tuple[int, int, list[Any], Any]]:
    """Yield the positions behind the brackets of every object and array, the keys to it, its value."""
    path: list[Any] = []
    begun: list[int] = []
    for _, name, end in terminals(text):
        if name == "key":
            path[-1] = json.loads(text[text.rindex(b'"', 0, text.rindex(b'"', 0, end)) : end])
        elif name in ("{", "["):
            begun.append(end)
            path.append(0 if name == "[" else None)
        elif name == "," and isinstance(path[-1], int):
            path[-1] += 1
        elif name in ("}", "]"):
            path.pop()
            begin = begun.pop()
            yield begin, end, list(path), json.loads(text[begin - 1 : end])


def events(automaton: TokenAutomaton, text: bytes, cuts: list[int]) -> list[Told] | None:
    """Return the events of a text cut into bytes and longer tokens, None where it is not in the language."""
    tokens = automaton.vocabulary.tokens
    state, position = automaton.start, 0
    told: list[Told] = []
    while position < len(text):
        here = [i for i, token in enumerate(tokens) if token and text.startswith(token, position)]
        token = here[cuts[position % len(cuts)] % len(here)] if cuts else here[0]
        after = automaton.step(state, token)
        if after == DEAD:
            return None
        told += [(kind, name, position + at) for kind, name, at in automaton.events(state, token)]
        state, position = after, position + len(tokens[token])
    if not automaton.accepts(state):
        return None
    (end,) = automaton.vocabulary.eos_token_ids
    assert automaton.events(state, end) == automaton.events_at_end(state)
    assert automaton.step(state, end) == FINISHED
    assert automaton.open_rules(state) == ()
    return told + [(kind, name, position + at) for kind, name, at in automaton.events_at_end(state)]


_CUTS = st.lists(st.integers(0, 20), max_size=7)


def test_the_oracle() -> None:
    names = ["{", "key", ":", "[", "number", ",", "string", "]", "}"]
    text = b'{"a":[-1.5e3 ,"]"]}'
    assert [name for _, name, _ in terminals(text)] == names
    assert list(containers(text)) == [(6, 18, ["a"], [-1500.0, "]"]), (1, 19, [], {"a": [-1500.0, "]"]})]


# -- schemas without combinators: all is certain ---------------------------------------------


@st.composite
def plain_schemas(draw: st.DrawFn, depth: int = 3) -> Any:
    """Draw a schema of types, properties and items."""
    kinds = ["any", "scalar", "untyped", "reference"] + ["object", "array"] * (2 if depth else 0)
    kind = draw(st.sampled_from(kinds))
    if kind == "any":
        return draw(st.sampled_from([True, {}, {"type": "object"}, {"type": "array", "minItems": 1}]))
    if kind == "scalar":
        return {"type": draw(st.sampled_from(["string", "integer", "number", "boolean", "null"]))}
    if kind == "reference":
        return {"$ref": "#/$defs/a~1b"}
    below = plain_schemas(max(0, depth - 1))
    schema: dict[str, Any] = {}
    if kind in ("object", "untyped"):
        schema["properties"] = draw(st.dictionaries(st.sampled_from("ab"), below, max_size=2))
        if draw(st.booleans()):
            schema["additionalProperties"] = draw(below)
    if kind in ("array", "untyped"):
        if draw(st.booleans()):
            schema["prefixItems"] = draw(st.lists(below, min_size=1, max_size=2))
        schema["items"] = draw(below)
    return schema if kind == "untyped" else {"type": kind, **schema}


def node_at(schema: Any, path: list[Any]) -> tuple[Any, str]:
    """Return the schema of the value that keys and indices lead to, and where it stands."""
    root, place = schema, "#"
    for step in [*path, None]:
        while isinstance(schema, dict) and "$ref" in schema:
            place = schema["$ref"]
            schema = root["$defs"]["a/b"]
        if step is None:
            break
        if isinstance(schema, bool):
            return True, ""
        if isinstance(step, str):
            inner = ["properties", step] if step in schema.get("properties", {}) else ["additionalProperties"]
        else:
            inner = ["prefixItems", step] if step < len(schema.get("prefixItems", [])) else ["items"]
        for key in inner:
            schema = schema.get(key, True) if isinstance(schema, dict) else schema[key]
            place += f"/{key}"
    return schema, place


def expected(schema: Any, text: bytes) -> list[Told]:
    told = terminals(text)
    for begin, end, path, value in containers(text):
        node, name = node_at(schema, path)
        kind, of_some, of_others = "array", "prefixItems", "items"
        if isinstance(value, dict):
            kind, of_some, of_others = "object", "properties", "additionalProperties"
        # A node that says nothing about members or items has no name.
        if isinstance(node, bool) or (of_some not in node and node.get(of_others, True) is True):
            name = kind
        told += [("open", name, begin), ("close", name, end)]
    # At one place, a terminal comes before what it opens or closes.
    return sorted(told, key=lambda event: (event[2], event[0] != "terminal"))


@pytest.mark.parametrize("options", [{}, {"property_order": "any", "escapes": "all"}, {"numbers": "all"}])
@settings(_SETTINGS, max_examples=40)
@given(data=st.data())
def test_all_is_told_where_no_keyword_joins_schemas(options: dict[str, Any], data: st.DataObject) -> None:
    nodes = plain_schemas(3).filter(lambda drawn: isinstance(drawn, dict) and "$ref" not in drawn)
    schema = {**data.draw(nodes), "$defs": {"a/b": data.draw(nodes)}}
    schema = json.loads(json.dumps(schema))
    automaton = compile_json_schema(schema, small_vocabulary(), **options)
    spelled = {"escapes": "escapes" in options, "numbers": "numbers" in options}
    for _ in range(3):
        text = data.draw(spellings(data.draw(instances(schema)), order=False, **spelled)).encode()
        told = events(automaton, text, data.draw(_CUTS))
        if told is not None:
            assert told == expected(schema, text)


# -- any schema: what is told is true --------------------------------------------------------


def resolved(schema: Any, name: str) -> Any:
    """Return the schema that a URI fragment names."""
    for part in name.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        schema = schema[int(key)] if isinstance(schema, list) else schema[key]
    return schema


@pytest.mark.parametrize("keywords", ["plain", "all"])
@settings(_SETTINGS, max_examples=60)
@given(data=st.data())
def test_what_is_told_is_true(keywords: Any, data: st.DataObject) -> None:
    schema = data.draw(json_schemas(keywords=keywords))
    assume(isinstance(schema, dict))
    schema = json.loads(json.dumps(schema))
    try:
        automaton = compile_json_schema(schema, small_vocabulary(), property_order="any")
    except (structgen.SchemaError, structgen.LimitError):
        assume(False)
    validator = jsonschema.Draft202012Validator(schema)
    for _ in range(4):
        text = data.draw(spellings(data.draw(instances(schema)))).encode()
        told = events(automaton, text, data.draw(_CUTS))
        if told is None:
            continue
        assert told == events(automaton, text, [])
        assert [event for event in told if event[0] == "terminal"] == terminals(text)
        for begin, end, _, value in containers(text):
            closed = [name for kind, name, at in told if kind == "close" and at == end]
            for name in closed:
                # The node has begun, between the brackets, and the value satisfies it.
                assert any(
                    kind == "open" and other == name and begin <= at <= end for kind, other, at in told
                )
                if name in ("object", "array"):
                    assert isinstance(value, dict if name == "object" else list)
                else:
                    assert validator.evolve(schema=resolved(schema, name)).is_valid(value), name
            unknown = ("unknown", "", end) in told
            assert closed or unknown
        assert len([e for e in told if e[0] == "close"]) == len([e for e in told if e[0] == "open"])


# -- by hand ---------------------------------------------------------------------------------


def told_of(schema: Any, text: bytes, **options: Any) -> list[Told]:
    told = events(compile_json_schema(schema, small_vocabulary(), **options), text, [])
    assert told is not None
    return [event for event in told if event[0] != "terminal"]


def test_branches_are_open_once_they_are_certain() -> None:
    schema = {
        "type": "object",
        "properties": {"kind": {"enum": [1, 2]}},
        "required": ["kind"],
        "anyOf": [
            {"properties": {"kind": {"const": 1}, "a": {"items": {}}}},
            {"properties": {"kind": {"const": 2}, "a": {"items": {"type": "null"}}}},
        ],
    }
    items = "#/anyOf/1/properties/a"
    assert told_of(schema, b'{"kind":2,"a":[]}') == [
        *[("open", "#", 1), ("open", "#/anyOf/1", 9), ("open", items, 15)],
        *[("close", items, 16), ("close", "#/anyOf/1", 17), ("close", "#", 17)],
    ]
    # An array that is certain before the object around it is.
    branches = [{"prefixItems": [True, {"const": value}]} for value in (1, 2)]
    late = {"type": "array", "prefixItems": [{"type": "array", "items": {}}], "anyOf": branches}
    assert told_of(late, b"[[],1]") == [
        *[("open", "#", 1), ("open", "#/prefixItems/0", 2), ("close", "#/prefixItems/0", 3)],
        *[("open", "#/anyOf/0", 5), ("close", "#/anyOf/0", 6), ("close", "#", 6)],
    ]


def test_what_never_becomes_certain() -> None:
    schema = {"type": "array", "anyOf": [{"items": {"type": "integer"}}, {"items": {"minimum": 1}}]}
    assert told_of(schema, b"[2]") == [("unknown", "", 3)]
    assert told_of(schema, b"[0]") == [("open", "#/anyOf/0", 2), ("close", "#/anyOf/0", 3)]
    # A bracket that only one of the readings takes.
    schema["anyOf"][1]["minItems"] = 2
    assert told_of(schema, b"[2]") == [("open", "#/anyOf/0", 3), ("close", "#/anyOf/0", 3)]


def test_conjunctions_and_references_have_their_own_names() -> None:
    schema = {
        "allOf": [
            {"properties": {"a": {"$ref": "#/$defs/list"}}},
            {"additionalProperties": {"type": "array"}},
        ],
        "$defs": {"list": {"items": {"$ref": "#/$defs/list"}}},
        "type": "object",
    }
    both = ["#/allOf/0", "#/allOf/1"]
    assert told_of(schema, b'{"b":[],"a":[[]]}') == [
        *[("open", name, 1) for name in both],
        *[("open", "array", 6), ("close", "array", 7)],
        *[("open", "#/$defs/list", 13), ("open", "#/$defs/list", 14)],
        *[("close", "#/$defs/list", 15), ("close", "#/$defs/list", 16)],
        *[("close", name, 17) for name in reversed(both)],
    ]


def test_guards_and_sessions() -> None:
    schema = {"type": "array", "uniqueItems": True, "items": {"items": {"type": "string", "format": "regex"}}}
    automaton = compile_json_schema(schema, small_vocabulary())
    session = automaton.session()
    state, told = session.start, []
    text = b'[["a+"],["b", "c"],[]]'
    for position, byte in enumerate(text):
        told += [(kind, name, position + at) for kind, name, at in session.events(state, byte)]
        state = session.step(state, byte)
    assert session.accepts(state)
    assert told == expected(schema, text)
    assert session.events_at_end(state) == []


def test_deep_texts() -> None:
    automaton = compile_json_schema({"items": {"$ref": "#"}, "type": "array"}, small_vocabulary())
    told = events(automaton, b"[" * 2000 + b"]" * 2000, [])
    assert told is not None
    assert [name for kind, name, _ in told if kind in ("open", "close")] == ["#"] * 4000


def test_errors() -> None:
    automaton = compile_json_schema({"type": "integer"}, small_vocabulary())
    with pytest.raises(ValueError, match="is not allowed in state"):
        automaton.events(automaton.start, ord("x"))
    with pytest.raises(ValueError, match="may not end"):
        automaton.events_at_end(automaton.start)
    assert automaton.events_at_end(FINISHED) == []


def test_names_are_found_whatever_was_compiled_before() -> None:
    # A function of the package was hidden by a module of the same name once the module had been imported.
    structgen.compile_json_schema({"propertyNames": {"pattern": "^a"}}, structgen.Vocabulary.of_bytes())
    automaton = structgen.compile_json_schema({"type": "array"}, structgen.Vocabulary.of_bytes())
    assert "array" in automaton.rule_names
