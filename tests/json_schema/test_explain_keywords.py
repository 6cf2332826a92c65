"""explain() for all keywords of all drafts; and a schema compiles exactly when nothing of it is refused."""

from typing import Any

import jsonschema_specifications
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import structgen
from jsonschemabench import datasets
from structgen import explain
from structgen._frontends.json_schema import Options, lower_json_schema
from structgen.testing.schemas import json_schemas
from tests.json_schema.support import compiles, language, small_vocabulary

DRAFTS = ("4", "6", "7", "2019-09", "2020-12")


# -- all keywords of all drafts ------------------------------------------------------------

# Valid values; with what has to stand beside them.
VALUES: dict[str, Any] = {
    "$anchor": "a",
    "$comment": "",
    "$defs": {"a": {}},
    "$dynamicAnchor": "a",
    "$dynamicRef": "#/properties/x",
    "$id": "http://example.com/a",
    "$recursiveAnchor": True,
    "$ref": "#/properties/x",
    "$schema": "",
    "$vocabulary": {},
    "additionalItems": {"type": "null"},
    "additionalProperties": {"type": "null"},
    "allOf": [{}],
    "anyOf": [{}],
    "const": 1,
    "contains": {"type": "null"},
    "contentEncoding": "base64",
    "contentMediaType": "text/plain",
    "contentSchema": {},
    "default": 1,
    "definitions": {"a": {}},
    "dependencies": {"a": ["b"]},
    "dependentRequired": {"a": ["b"]},
    "dependentSchemas": {"a": {"type": "object"}},
    "deprecated": True,
    "description": "",
    "else": {"type": "string"},
    "enum": [1, "a", {}],
    "examples": [1],
    "exclusiveMaximum": 10,
    "exclusiveMinimum": 0,
    "format": "date",
    "id": "http://example.com/a",
    "if": {"type": "string"},
    "items": {"type": "string"},
    "maxContains": 2,
    "maxItems": 2,
    "maxLength": 2,
    "maxProperties": 2,
    "maximum": 2,
    "minContains": 1,
    "minItems": 1,
    "minLength": 1,
    "minProperties": 1,
    "minimum": 1,
    "multipleOf": 2,
    "not": {"type": "string"},
    "oneOf": [{"type": "string"}, {"type": "object"}],
    "pattern": "a",
    "patternProperties": {"a": {}},
    "prefixItems": [{}],
    "properties": {"x": {}},
    "propertyNames": {"maxLength": 2},
    "readOnly": True,
    "required": ["a"],
    "then": {"type": "string"},
    "title": "",
    "type": "object",
    "unevaluatedItems": {"type": "string"},
    "unevaluatedProperties": {"type": "string"},
    "uniqueItems": True,
    "writeOnly": True,
}
BESIDE: dict[str, dict[str, Any]] = {
    "$recursiveRef": {},
    "$dynamicRef": {"properties": {"x": {}}},
    "$ref": {"properties": {"x": {}}},
    "additionalItems": {"items": [{}]},
    "else": {"if": {}},
    "if": {"then": {"type": "string"}},
    "maxContains": {"contains": {}},
    "minContains": {"contains": {}},
    "then": {"if": {}},
}
NOT_ENFORCED = frozenset(
    """
    $anchor $comment $defs $dynamicAnchor $id $recursiveAnchor $schema $vocabulary contentEncoding
    contentMediaType contentSchema default definitions deprecated description examples id readOnly title
    writeOnly
    """.split()
)


def keywords_of(draft: str) -> list[str]:
    """Return the keywords that the metaschema of a draft lists, its vocabularies included."""
    names: set[str] = set()
    # The metaschemas of 2019-09 and later keep old keywords.
    path = {"4": "draft-04/", "6": "draft-06/", "7": "draft-07/"}.get(draft, f"draft/{draft}/")
    for uri in jsonschema_specifications.REGISTRY:
        if f"json-schema.org/{path}" in uri:
            names |= set(jsonschema_specifications.REGISTRY.contents(uri).get("properties", {}))
    if draft in ("2019-09", "2020-12"):
        names -= (
            {"dependencies", "$recursiveAnchor", "$recursiveRef"} if draft == "2020-12" else {"dependencies"}
        )
    return sorted(names)


@pytest.mark.parametrize(
    ("draft", "keyword"), [(draft, keyword) for draft in DRAFTS for keyword in keywords_of(draft)]
)
def test_all_keywords_of_all_drafts_appear(draft: str, keyword: str) -> None:
    value = VALUES.get(keyword, "#" if keyword == "$recursiveRef" else None)
    schema = {"$schema": "", **BESIDE.get(keyword, {}), keyword: value}
    if draft == "4" and keyword.startswith("exclusive"):
        schema = {"minimum": 1, "maximum": 2, keyword: True}
    if keyword == "$recursiveRef":
        schema = {"properties": {"a": {keyword: "#"}}}
    explanation = explain(schema, draft=draft)
    [entry] = [e for e in explanation.entries if e.keyword == keyword and e.pointer in ("", "/properties/a")]
    assert explanation.enforceable
    assert "draft" not in entry.reason or keyword == "$schema"
    assert entry.suggestion is None
    if keyword == "uniqueItems":
        assert entry.status == "guarded"
    else:
        assert entry.status == ("annotation" if keyword in NOT_ENFORCED else "exact")


@pytest.mark.parametrize(
    ("draft", "keyword"),
    [
        (draft, keyword)
        for draft in DRAFTS
        for keyword in sorted({k for other in DRAFTS for k in keywords_of(other)} - set(keywords_of(draft)))
        if keyword not in ("$defs", "$comment", "$vocabulary") and keyword not in NOT_ENFORCED - {"$id", "id"}
        # The metaschema of draft 4 does not list it.
        if keyword != "$ref"
    ],
)
def test_keywords_of_other_drafts_constrain_nothing(draft: str, keyword: str) -> None:
    value = VALUES.get(keyword, "#")
    schema = {"properties": {"x": {}}, keyword: value}
    explanation = explain(schema, draft=draft)
    [entry] = [e for e in explanation.entries if e.pointer == "" and e.keyword == keyword]
    assert entry.status == "annotation"
    assert f"no keyword of draft {draft}" in entry.reason
    holds, plain = language(schema, draft=draft), language({"properties": {"x": {}}}, draft=draft)
    texts = ["1", '"a"', "[]", "[1, 1]", '{"a": 1}', "{}", "null"]
    assert [holds(text) for text in texts] == [plain(text) for text in texts]


# -- anything ------------------------------------------------------------------------------

KEYWORDS = sorted({*VALUES, "nullable", "patern", "$recursiveRef"})
JUNK = st.recursive(
    st.sampled_from(
        [None, True, False, -1, 0, 1, 2.5, "", "(", "#", "#/$defs/a", "string", "object", "hostname"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*KEYWORDS, "a"]), inner, max_size=4)
        | st.dictionaries(st.sampled_from(["properties", "$defs", "allOf", "items"]), inner, max_size=3)
    ),
    max_leaves=12,
)


class GuardCounter:
    """A builder that counts the guards that are made."""

    def __init__(self) -> None:
        self._builder = structgen._core.Builder(small_vocabulary().native)
        self.guards = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._builder, name)

    def guard(self, *arguments: Any) -> int:
        self.guards += 1
        return self._builder.guard(*arguments)


def agrees(schema: Any, draft: str) -> None:
    explanation = explain(schema, draft=draft)
    assert explanation.enforceable == compiles(schema, draft=draft)
    if explanation.enforceable:
        builder: Any = GuardCounter()
        lower_json_schema(schema, builder, Options(draft=draft))
        assert explanation.guarded or not builder.guards
    for entry in explanation.entries:
        assert entry.status in ("exact", "guarded", "annotation", "refused")
        assert entry.reason


@given(
    st.sampled_from(DRAFTS).flatmap(lambda d: st.tuples(json_schemas(keywords="all", draft=d), st.just(d)))
)
@settings(max_examples=150, deadline=None)
def test_schemas_compile_when_nothing_is_refused(drawn: tuple[Any, Any]) -> None:
    agrees(*drawn)


@given(JUNK.filter(lambda junk: isinstance(junk, dict)), st.sampled_from(DRAFTS))
@settings(max_examples=300, deadline=None)
def test_junk_compiles_when_nothing_is_refused(schema: Any, draft: str) -> None:
    agrees(schema, draft)


def test_maskbench_compiles_when_nothing_is_refused() -> None:
    data = datasets.default_data()
    if data is None:
        pytest.skip(f"no data: name its folder in {datasets.DATA_VARIABLE}")
    for case in datasets.load(data, sample=300):
        assert explain(case.schema).enforceable == compiles(case.schema), case.name
