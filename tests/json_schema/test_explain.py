"""What explain() says of schemas, held against what compiles and what then is allowed."""

import contextlib
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
import referencing

import structgen
from structgen import explain
from structgen._frontends.json_schema import _attempts
from tests.json_schema.support import check, compiles, language, small_vocabulary


def status(schema: Any, pointer: str, keyword: str | None, **options: Any) -> str:
    """Return the one status of a keyword."""
    [found] = [e for e in explain(schema, **options).entries if (e.pointer, e.keyword) == (pointer, keyword)]
    return found.status


def at(entries: Any) -> list[tuple[str, str | None]]:
    return [(entry.pointer, entry.keyword) for entry in entries]


# -- each status, both ways ----------------------------------------------------------------


def test_formats_are_exact_guarded_or_not_known() -> None:
    schema = {
        "type": "object",
        "properties": {name: {"format": name} for name in ("ipv4", "hostname", "date-tim")},
    }
    entries = {e.pointer: e for e in explain(schema).entries if e.keyword == "format"}
    assert entries["/properties/ipv4"].status == "exact"
    assert entries["/properties/hostname"].status == "guarded"
    unknown = entries["/properties/date-tim"]
    assert (unknown.status, unknown.suggestion) == ("annotation", "date-time")
    check(
        schema, "core", ['{"ipv4": "1.2.3.4"}', '{"date-tim": "x"}'], ['{"ipv4": "x"}', '{"hostname": "-"}']
    )
    for entry in explain(schema, formats="annotate").entries:
        assert (entry.status == "annotation") == (entry.keyword == "format")


def test_registered_formats_count() -> None:
    assert status({"format": "even"}, "", "format") == "annotation"
    structgen.register_format("even", predicate=lambda text: len(text) % 2 == 0)
    try:
        assert status({"format": "even"}, "", "format") == "guarded"
    finally:
        structgen.unregister_format("even")


@pytest.mark.parametrize(
    ("items", "options", "expected"),
    [
        ({"type": "string"}, {}, "exact"),
        ({"type": "integer"}, {}, "exact"),
        ({"type": "integer"}, {"numbers": "all"}, "guarded"),
        ({"type": "number"}, {}, "guarded"),
        ({"type": "number", "minimum": 0}, {}, "exact"),
        ({"enum": [1, "a", None]}, {}, "exact"),
        ({"enum": [1, [2]]}, {}, "guarded"),
        ({"const": {"a": 1}}, {}, "guarded"),
        ({"type": "array"}, {}, "guarded"),
        ({}, {}, "guarded"),
        ({"anyOf": [{"type": "string"}, {"type": "boolean"}]}, {}, "exact"),
        ({"anyOf": [{"type": "string"}, {"type": "object"}]}, {}, "guarded"),
        ({"oneOf": [{"type": "string"}, {"type": "boolean"}]}, {}, "exact"),
        ({"$ref": "#/$defs/scalar"}, {}, "exact"),
        (False, {}, "exact"),
    ],
)
def test_distinct_items(items: Any, options: Any, expected: str) -> None:
    schema = {"type": "array", "items": items, "uniqueItems": True, "$defs": {"scalar": {"type": "string"}}}
    assert status(schema, "", "uniqueItems", **options) == expected
    assert status({**schema, "uniqueItems": False}, "", "uniqueItems", **options) == "exact"


def test_distinct_items_beside_other_conditions_are_guarded() -> None:
    items = {"type": "array", "items": {"type": "string"}, "uniqueItems": True}
    assert status({**items, "contains": {"const": "a"}}, "", "uniqueItems") == "guarded"
    assert status({"not": items}, "/not", "uniqueItems") == "guarded"
    both = {"allOf": [{"uniqueItems": True}, {**items}]}
    assert status(both, "/allOf/0", "uniqueItems") == "guarded"


def test_claims_with_too_many_cases_are_guarded(monkeypatch: pytest.MonkeyPatch) -> None:
    keywords = {
        "not": {"required": ["a"], "properties": {"a": {"type": "string"}}},
        "oneOf": [{"properties": {"b": {"minimum": 3}}}, {"required": ["c"]}],
        "if": {"required": ["x"]},
        "then": {"required": ["y"]},
        "dependentSchemas": {"q": {"minProperties": 2}},
        "dependentRequired": {"q": ["r"]},
        "unevaluatedProperties": {"type": "string"},
    }
    counts = {"contains": {"type": "string"}, "minContains": 2, "maxContains": 3}
    schema = {
        "type": "object",
        **keywords,
        "properties": {"z": {**counts, "not": {"contains": {"type": "null"}}}},
    }
    assert explain(schema).guarded == ()
    monkeypatch.setattr(_attempts, "_CASES", 3)
    monkeypatch.setattr(_attempts, "_FEW_CASES", 1)
    guarded = at(explain(schema).guarded)
    assert set(guarded) == {("", k) for k in keywords} | {("/properties/z", k) for k in (*counts, "not")}
    # The places are found in the second run, too, where something has been refused in the first.
    broken = {**schema, "additionalProperties": {"minLength": -1}}
    assert set(at(explain(broken).guarded)) >= set(guarded)


def test_equal_schemas_have_equal_statuses() -> None:
    host = {"type": "string", "format": "hostname"}
    schema = {
        "items": [host, dict(host)],
        "contains": dict(host),
        "properties": {"a": {"title": "A", **host}},
    }
    entries = [e for e in explain(schema, draft="7").entries if e.keyword == "format"]
    assert [entry.status for entry in entries] == ["guarded"] * 4


@pytest.mark.parametrize(
    ("schema", "draft", "keyword", "why"),
    [
        ({"$ref": "#/definitions/a", "type": "null", "definitions": {"a": {}}}, "7", "type", "next to $ref"),
        ({"if": {"type": "null"}}, "7", "if", "neither then nor else"),
        ({"then": {"type": "null"}}, "7", "then", "no if"),
        ({"else": {"type": "null"}}, "7", "else", "no if"),
        ({"minContains": 3}, "2020-12", "minContains", "no contains"),
        ({"maxContains": 0}, "2019-09", "maxContains", "no contains"),
        ({"additionalItems": False}, "7", "additionalItems", "no array of schemas"),
        ({"exclusiveMinimum": True}, "4", "exclusiveMinimum", "no minimum"),
        ({"nullable": True, "type": "string"}, "2020-12", "nullable", "no draft"),
    ],
)
def test_what_constrains_nothing_says_why(schema: Any, draft: str, keyword: str, why: str) -> None:
    [entry] = [e for e in explain(schema, draft=draft).entries if e.keyword == keyword]
    assert entry.status == "annotation"
    assert why in entry.reason
    without = {key: value for key, value in schema.items() if key != keyword}
    holds, plain = language(schema, draft=draft), language(without, draft=draft)
    texts = ["null", "1", "0", '"a"', "[]", "[1]", "{}"]
    assert [holds(text) for text in texts] == [plain(text) for text in texts]


def test_an_if_alone_decides_what_is_evaluated() -> None:
    schema = {"if": {"required": ["a"], "properties": {"a": {"minLength": 1}}}}
    assert status(schema, "", "if") == "annotation"
    assert status(schema, "/if", "required") == "annotation"
    schema["unevaluatedProperties"] = False  # type: ignore[assignment]
    assert status(schema, "", "if") == "exact"
    assert status(schema, "/if/properties/a", "minLength") == "exact"
    check(schema, "core", ['{"a": "x"}', "{}"], ['{"a": ""}', '{"b": 1}'])


def test_nullable_by_option() -> None:
    schema = {"type": "string", "nullable": True}
    assert status(schema, "", "nullable", nullable=True) == "exact"
    assert status({"nullable": True}, "", "nullable", nullable=True) == "annotation"
    [typo] = explain(schema).typos
    assert typo.keyword == "nullable"


def test_a_reference_stands_beside_others_since_2019() -> None:
    schema = {"$ref": "#/definitions/a", "type": "null", "definitions": {"a": {}}}
    assert status(schema, "", "type", draft="7") == "annotation"
    assert status(schema, "", "type", draft="2019-09") == "exact"


# -- refusals ------------------------------------------------------------------------------


def test_all_refusals_are_listed() -> None:
    schema = {
        "type": "object",
        "properties": {
            "a": {"minLength": -1, "pattern": "("},
            "b": {"type": "int"},
            "c": {"$ref": "#/nowhere"},
            "d": 3,
            "e": {"anyOf": [{"maximum": "x"}, {"type": "string"}]},
            "f": {"exclusiveMinimum": True, "minimum": 3},
            "g/h": {"required": True},
        },
        "patternProperties": {"[": {"type": "string", "minLength": 3}},
    }
    explanation = explain(schema)
    assert not explanation.enforceable
    assert explanation.complete
    assert set(at(explanation.refused)) == {
        ("", "patternProperties"),
        ("", "properties"),
        ("/properties/a", "minLength"),
        ("/properties/a", "pattern"),
        ("/properties/b", "type"),
        ("/properties/c", "$ref"),
        ("/properties/e/anyOf/0", "maximum"),
        ("/properties/f", "exclusiveMinimum"),
        ("/properties/g~1h", "required"),
    }
    suggestions = {(e.pointer, e.keyword): e.suggestion for e in explanation.refused}
    assert suggestions["/properties/b", "type"] == "integer"
    assert "draft 4" in str(suggestions["/properties/f", "exclusiveMinimum"])
    # The others keep their statuses.
    assert status(schema, "/properties/f", "minimum") == "exact"
    assert status(schema, "/patternProperties/[", "minLength") == "exact"


def test_the_schema_given_is_left_as_it_is() -> None:
    schema = {"properties": {"a": {"minLength": -1}, "b": {"anyOf": [3]}}}
    before = json.dumps(schema)
    assert len(explain(schema).refused) == 2
    assert json.dumps(schema) == before


def test_no_value_at_all_is_a_refusal() -> None:
    [entry] = explain({"type": "object", "required": ["a"], "properties": {"a": False}}).refused
    assert "no value satisfies" in entry.reason
    [entry] = explain(False).refused
    assert (entry.pointer, entry.keyword) == ("", None)
    assert at(explain(True).entries) == [("", None)]
    assert explain(True).enforceable


def test_an_equal_number_elsewhere_is_not_blamed() -> None:
    schema = {"minLength": 3, "properties": {"a": {"maxLength": 3}, "b": 3}}
    with pytest.raises(structgen.SchemaError) as caught:
        structgen.compile_json_schema(schema, small_vocabulary())
    assert caught.value.pointer == "/properties/b"
    assert at(explain(schema).refused) == [("", "properties")]


def test_limits_are_refusals_at_their_place() -> None:
    schema = {"properties": {"a": {"minLength": 2**31}, "b": {"minLength": -1}}}
    assert at(explain(schema).refused) == [("/properties/a", "minLength"), ("/properties/b", "minLength")]
    explanation = explain({"allOf": [{"type": "string"}] * 3, "$defs": {"b": 3}}, max_schema_nodes=0)
    assert explanation.refused
    assert not explanation.complete


def test_what_no_value_depends_on_is_not_refused() -> None:
    schema = {"type": "string", "properties": {"a": {"minLength": -1}}}
    assert compiles(schema)
    [entry] = [e for e in explain(schema).entries if e.pointer == "/properties/a"]
    assert entry.status == "annotation"
    assert "not negative" in entry.reason


# -- which schemas are listed --------------------------------------------------------------


def test_references_and_unused_definitions() -> None:
    schema = {
        "$defs": {
            "used": {"properties": {"next": {"$ref": "#/$defs/used"}}, "minProperties": 1},
            "unused": {"minLength": -1, "titel": "x", "items": {"type": "string"}},
        },
        "properties": {"a": {"$ref": "#/$defs/used"}, "b": {"$ref": "#/extra/0"}},
        "extra": [{"maxLength": 3}],
    }
    entries = {(e.pointer, e.keyword): e for e in explain(schema).entries}
    assert entries["/$defs/used", "minProperties"].status == "exact"
    assert "'/$defs/used'" in entries["/$defs/used/properties/next", "$ref"].reason
    assert entries["/extra/0", "maxLength"].status == "exact"
    assert entries["", "extra"].status == "annotation"
    unused = entries["/$defs/unused", "minLength"]
    assert unused.status == "annotation"
    assert unused.reason.startswith("nothing applies this schema")
    assert "not negative" in unused.reason
    assert entries["/$defs/unused/items", "type"].status == "annotation"
    assert entries["/$defs/unused", "titel"].suggestion == "title"
    assert compiles(schema)


def test_other_documents_and_drafts() -> None:
    other = {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "type": "object",
        "properties": {"a": {"const": 1}, "b": {"format": "hostname"}},
    }
    registry = referencing.Registry().with_contents([("http://example.com/other", other)])
    schema = {"properties": {"x": {"$ref": "http://example.com/other"}}}
    entries = {(e.pointer, e.keyword): e.status for e in explain(schema, registry=registry).entries}
    assert entries["http://example.com/other#/properties/a", "const"] == "annotation"
    assert entries["http://example.com/other#/properties/b", "format"] == "guarded"
    assert explain(schema).refused
    broken = referencing.Registry().with_contents([("http://example.com/other", {**other, "type": "x"})])
    explanation = explain(schema, registry=broken)
    assert at(explanation.refused) == [("http://example.com/other#", "type")]
    assert not explanation.complete


def test_dynamic_references_are_followed() -> None:
    schema = {
        "$id": "http://example.com/strict",
        "$dynamicAnchor": "node",
        "$ref": "tree",
        "unevaluatedProperties": False,
        "$defs": {
            "tree": {
                "$id": "tree",
                "$dynamicAnchor": "node",
                "properties": {"children": {"items": {"$dynamicRef": "#node"}}},
            }
        },
    }
    entries = {(e.pointer, e.keyword): e.status for e in explain(schema).entries}
    assert entries["/$defs/tree/properties/children/items", "$dynamicRef"] == "exact"
    assert entries["/$defs/tree", "properties"] == "exact"


# -- typos ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keyword", "meant"),
    [
        ("additonalProperties", "additionalProperties"),
        ("additional_properties", "additionalProperties"),
        ("enums", "enum"),
        ("item", "items"),
        ("max", "maximum"),
        ("maxlength", "maxLength"),
        ("min", "minimum"),
        ("min_length", "minLength"),
        ("patern", "pattern"),
        ("ref", "$ref"),
        ("require", "required"),
        ("propertes", "properties"),
        ("id", "$id"),
    ],
)
def test_likely_typos_are_pointed_out(keyword: str, meant: str) -> None:
    [typo] = explain({keyword: 1, "title": "x"}).typos
    assert (typo.keyword, typo.status, typo.suggestion) == (keyword, "annotation", meant)


def test_optional_is_pointed_out() -> None:
    [typo] = explain({"properties": {"a": {"optional": True}}}).typos
    assert "required" in str(typo.suggestion)


@pytest.mark.parametrize(
    "keyword",
    [
        "x-order",
        "X-required",
        "_format",
        "widget",
        "note",
        "unit",
        "definitions",
        "$comment",
        "typo" * 30,
        "",
    ],
)
def test_other_names_are_no_typos(keyword: str) -> None:
    explanation = explain({keyword: {}, "title": "x"})
    assert explanation.typos == ()
    assert status({keyword: {}}, "", keyword) == "annotation"


# -- the object ----------------------------------------------------------------------------


def test_views_and_texts() -> None:
    schema = {
        "type": "object",
        "properties": {"h": {"format": "hostname"}, "bad\n[red]": {"pattern": "("}},
        "requird": ["h"],
    }
    explanation = explain(schema, property_order="any", whitespace="compact")
    assert at(explanation.guarded) == [("/properties/h", "format")]
    assert at(explanation.typos) == [("", "requird")]
    assert [entry.status for entry in explanation.refused] == ["refused"]
    data = json.loads(explanation.to_json())
    assert len(data["entries"]) == len(explanation.entries) == 5
    assert data["enforceable"] is False
    assert {"pointer", "keyword", "status", "reason", "suggestion"} == data["entries"][0].keys()
    lines = str(explanation).splitlines()
    rows = lines[1:6]
    assert (
        len({line.index(entry.keyword) for line, entry in zip(rows, explanation.entries, strict=True)}) == 1
    )
    assert "hint: required" in str(explanation)
    assert "\\n" in str(explanation)
    text = "\n".join(explanation.narrowing)
    assert 'whitespace="compact"' in text
    assert "property_order" not in text
    assert "property_order" in "\n".join(explain(schema).narrowing)
    with pytest.raises(AttributeError):
        explanation.entries[0].status = "exact"  # type: ignore[misc]


def test_rich_table() -> None:
    console = pytest.importorskip("rich.console")
    out = io.StringIO()
    explanation = explain({"properties": {"[red]": {"format": "hostname"}}})
    console.Console(file=out, width=200).print(explanation)
    assert "guarded" in out.getvalue()
    assert "/properties/[red]" in out.getvalue()


def test_options_are_those_of_compile() -> None:
    assert explain({}, max_states=10, mask_cache_bytes=10, max_regex_nodes=1000, draft="7").draft == "7"
    with pytest.raises(TypeError):
        explain({}, nonsense=1)
    with pytest.raises(ValueError, match="numbers"):
        explain({}, numbers="x")


# -- anything ------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "[]", "3", "null", '"x"', "{", b"\xff", "NaN"])
def test_what_is_no_schema(text: Any) -> None:
    with pytest.raises(structgen.SchemaError):
        explain(text)


def test_deep_and_recursive_schemas() -> None:
    deep: Any = {"type": "string", "minLength": -1}
    for _ in range(3000):
        deep = {"items": deep}
    explanation = explain(deep)
    assert len(explanation.entries) == 3002
    assert at(explanation.refused) == [("/items" * 3000, "minLength")]
    wide = {"properties": {f"p{i}": {"$ref": "#"} for i in range(20_000)}}
    assert len(explain(wide).entries) == 20_001
    loop: dict[str, Any] = {"type": "object"}
    loop["properties"] = {"a": loop}
    assert at(explain(loop).entries) == [("", "type"), ("", "properties")]
    assert explain({"$ref": "#"}).refused


def test_the_search_for_refusals_is_bounded() -> None:
    explanation = explain({"properties": {f"p{i}": {"minLength": -1} for i in range(1000)}})
    assert 100 <= len(explanation.refused) <= 1000
    assert not explanation.complete
    assert "there may be more" in str(explanation)


def test_the_example_of_the_documentation_prints_what_it_says() -> None:
    document = (Path(__file__).parents[2] / "docs" / "explain.md").read_text(encoding="utf-8")
    code, printed = re.findall(r"^```(?:python)?\n(.*?)^```", document, re.MULTILINE | re.DOTALL)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "explain.md", "exec"), {})
    assert out.getvalue() == printed
