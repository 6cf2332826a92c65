"""Other documents, other drafts and dynamic references: what they lead to, and where errors say it is."""

from typing import Any
from urllib.parse import urljoin

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from referencing import Registry, Resource
from referencing.exceptions import NoSuchResource
from referencing.jsonschema import DRAFT7, DRAFT202012

import structgen
from structgen import SchemaError
from structgen._frontends.json_schema._resolve import Document
from tests.json_schema.support import check, language, small_vocabulary

INT = {"type": "integer"}
HOST = "https://example.test/"


def registry(documents: dict[str, Any], specification: Any = DRAFT202012) -> Registry[Any]:
    """Return a registry of documents at ``HOST``."""
    resources = [
        (HOST + name, Resource(contents=contents, specification=specification))
        for name, contents in documents.items()
    ]
    return Registry().with_resources(resources)


# -- other documents ------------------------------------------------------------------------


def test_recursion_through_documents(engine: str) -> None:
    documents = {
        "a": {"type": "object", "properties": {"b": {"$ref": "b"}}, "additionalProperties": False},
        "b": {"type": "array", "items": {"$ref": "a#"}},
    }
    check(
        {"$ref": HOST + "a"},
        engine,
        ["{}", '{"b":[]}', '{"b":[{},{"b":[{}]}]}'],
        ["[]", '{"b":{}}', '{"b":[[]]}', '{"a":1}'],
        registry=registry(documents),
    )


def test_a_document_that_names_itself_otherwise(engine: str) -> None:
    documents = {"a": {"$id": HOST + "deep/other", "$ref": "n"}, "deep/n": {"type": "null"}, "n": INT}
    check({"$ref": HOST + "a"}, engine, ["null"], ["1"], registry=registry(documents))


def test_anchors_and_embedded_resources_of_other_documents(engine: str) -> None:
    documents = {"a": {"$defs": {"x": {"$anchor": "here", **INT}, "e": {"$id": "e", "type": "null"}}}}
    known = registry(documents)
    check({"$ref": HOST + "a#here"}, engine, ["1"], ["null"], registry=known)
    check({"$ref": HOST + "e"}, engine, ["null"], ["1"], registry=known)


def test_documents_are_fetched_by_the_registry_alone(engine: str) -> None:
    asked = []

    def retrieve(uri: str) -> Resource[Any]:
        asked.append(uri)
        if uri != HOST + "a":
            raise NoSuchResource(uri)
        return Resource(contents=INT, specification=DRAFT202012)

    known = Registry(retrieve=retrieve)
    check({"properties": {"a": {"$ref": HOST + "a"}}}, engine, ['{"a":1}'], ['{"a":null}'], registry=known)
    check({"$ref": "#/$defs/i", "$defs": {"i": INT}}, engine, ["1"], ["null"], registry=known)
    assert asked == [HOST + "a"]
    with pytest.raises(SchemaError, match=r"no registry has 'https://example\.test/b'") as caught:
        language({"$ref": HOST + "b"}, engine, registry=known)
    assert caught.value.pointer == "/$ref"
    assert caught.value.keyword == "$ref"
    assert "registry=" in str(caught.value.hint)


def test_a_failing_registry_is_named(engine: str) -> None:
    def retrieve(uri: str) -> Resource[Any]:
        raise OSError("no route to host")

    with pytest.raises(SchemaError, match="no route to host"):
        language({"$ref": HOST + "a"}, engine, registry=Registry(retrieve=retrieve))


def test_the_registry_is_a_registry() -> None:
    with pytest.raises(TypeError, match=r"referencing\.Registry"):
        structgen.compile_json_schema({}, small_vocabulary(), registry={})  # type: ignore[arg-type]


def test_metaschemas_are_bundled(engine: str) -> None:
    uri = "http://json-schema.org/draft-07/schema#/definitions/simpleTypes"
    check({"$ref": uri}, engine, ['"string"', '"null"'], ['"text"', "1"])
    uri = "https://json-schema.org/draft/2020-12/meta/validation#/$defs/nonNegativeInteger"
    check({"$ref": uri}, engine, ["0", "7"], ["-1", '"a"'])


@pytest.mark.parametrize("content", [True, False])
def test_documents_that_are_booleans(content: bool, engine: str) -> None:
    holds = language({"properties": {"a": {"$ref": HOST + "a"}}}, engine, registry=registry({"a": content}))
    assert holds("{}")
    assert holds('{"a":1}') is content


def test_places_in_other_documents(engine: str) -> None:
    documents = {"a": {"properties": {"x/y": {"minimum": "z"}, "r": {"$ref": "#/nothing"}}}}
    for name, pointer in {"x~1y": "/properties/x~1y/minimum", "r": "/properties/r/$ref"}.items():
        with pytest.raises(SchemaError) as caught:
            language({"$ref": f"{HOST}a#/properties/{name}"}, engine, registry=registry(documents))
        assert caught.value.pointer == f"{HOST}a#{pointer}"


# -- drafts ---------------------------------------------------------------------------------


def test_the_draft_of_other_documents(engine: str) -> None:
    seventh = {"$ref": "#/definitions/i", "minimum": 5, "definitions": {"i": INT}}
    # Draft 7 ignores what is next to a reference.
    check({"$ref": HOST + "a"}, engine, ["3"], ["null"], registry=registry({"a": seventh}, DRAFT7))
    check({"$ref": HOST + "a"}, engine, ["5"], ["3", "null"], registry=registry({"a": seventh}))
    says = {"$schema": "http://json-schema.org/draft-07/schema#", **seventh}
    check({"$ref": HOST + "a"}, engine, ["3"], ["null"], registry=registry({"a": says}))


def test_the_draft_of_embedded_resources(engine: str) -> None:
    tuples = {"prefixItems": [INT], "items": [{"type": "null"}]}
    old = {"$id": "urn:example:old", "$schema": "https://json-schema.org/draft/2019-09/schema", **tuples}
    schema = {"type": "array", "prefixItems": [old, {"$ref": "urn:example:old"}], "items": {"type": "null"}}
    check(schema, engine, ["[[null],[null]]", "[[],[],null]"], ["[[1]]", "[[],[1]]", "[[],[],1]"])
    # Only the root of a resource chooses its draft.
    with pytest.raises(SchemaError, match="must be a schema in draft 2020-12"):
        language({"items": {key: value for key, value in old.items() if key != "$id"}}, engine)


def test_draft_of() -> None:
    old = {
        "id": "urn:example:old",
        "$schema": "http://json-schema.org/draft-04/schema#",
        "items": {"not": {}},
    }
    root = {"properties": {"old": old}, "items": {}}
    document = Document(root, None)
    assert document.draft_of(root) == "2020-12"
    assert not document.mixed
    assert document.draft_of(old) == "4"
    assert document.mixed
    assert document.draft_of(old["items"]["not"]) == "4"  # type: ignore[index]
    assert document.draft_of(root["items"]) == "2020-12"
    synthetic = {"not": old["items"]}
    document.alias(synthetic, old, "items")
    assert document.draft_of(synthetic) == "4"
    assert document.pointer(synthetic, "x") == "/properties/old/items/x"


def test_one_object_in_two_resources(engine: str) -> None:
    shared = {"$ref": "#/$defs/x"}
    schema = {
        "$defs": {"x": INT},
        "properties": {
            "a": shared,
            "b": {"$id": "urn:example:b", "properties": {"c": shared}, "$defs": {"x": {"type": "null"}}},
        },
    }
    with pytest.raises(SchemaError, match="one Python object") as caught:
        language(schema, engine)
    assert "JSON text" in str(caught.value.hint)
    harmless = {"$id": "urn:example:b", "properties": {"c": INT, "d": {"$ref": "#/properties/c"}}}
    check({"properties": {"a": INT, "b": harmless}}, engine, ['{"b":{"d":1}}'], ['{"b":{"d":null}}'])


# -- dynamic references ---------------------------------------------------------------------


def _tree(name: str, **keywords: Any) -> dict[str, Any]:
    return {"$id": HOST + name, "$dynamicAnchor": "node", **keywords}


TREE = _tree(
    "tree", type="object", properties={"kids": {"type": "array", "items": {"$dynamicRef": "#node"}}, "n": {}}
)
STRICT = _tree("strict", **{"$ref": "tree", "properties": {"n": INT}})


def test_a_resource_means_different_things_in_different_scopes(engine: str) -> None:
    schema = {"properties": {"loose": {"$ref": HOST + "tree"}, "strict": {"$ref": HOST + "strict"}}}
    check(
        schema,
        engine,
        ['{"loose":{"kids":[{"n":"a"}]}}', '{"strict":{"n":1,"kids":[{"n":1,"kids":[{}]}]}}'],
        ['{"strict":{"kids":[{"n":"a"}]}}', '{"strict":{"kids":[{"kids":[{"n":"a"}]}]}}', '{"loose":[]}'],
        property_order="any",
        registry=registry({"tree": TREE, "strict": STRICT}),
    )


def test_equal_scopes_are_the_same_object() -> None:
    root: dict[str, Any] = {
        "anyOf": [{"$ref": HOST + "strict"}, {"$ref": HOST + "tree"}, {"$ref": HOST + "strict#"}]
    }
    document = Document(root, None, registry({"tree": TREE, "strict": STRICT}))
    strict, tree, again = (document.resolve(branch, branch["$ref"]) for branch in root["anyOf"])
    assert strict is again
    inner = document.resolve(strict, "tree")
    assert inner == tree
    assert inner is not tree
    items = inner["properties"]["kids"]["items"]
    assert document.resolve_dynamic(items, "#node") is strict
    assert document.resolve(inner, "#/properties/kids/items") is items
    items = tree["properties"]["kids"]["items"]
    assert document.resolve_dynamic(items, "#node") is tree
    # Copies are where their originals are.
    for node in (inner, tree):
        assert (
            document.pointer(node["properties"]["kids"]["items"], "x")
            == f"{HOST}tree#/properties/kids/items/x"
        )


def test_scopes_that_cannot_matter_make_no_copies() -> None:
    leaf = {"$id": HOST + "leaf", "$dynamicAnchor": "node", **INT}
    root = {
        "$dynamicAnchor": "node",
        "properties": {"a": {"$ref": HOST + "leaf"}, "b": {"$ref": HOST + "via"}},
    }
    document = Document(root, None, registry({"leaf": leaf, "via": {"$ref": "leaf"}}))
    direct = document.resolve(root["properties"]["a"], HOST + "leaf")  # type: ignore[index]
    via = document.resolve(root["properties"]["b"], HOST + "via")  # type: ignore[index]
    assert document.resolve(via, "leaf") is direct


def test_embedded_copies_keep_their_scope(engine: str) -> None:
    """The embedded resource is reached by plain access, below a copy of the one around it."""
    outer = {
        "$id": HOST + "outer",
        "properties": {"in": {"$id": "inner", "properties": {"x": {"$dynamicRef": "#t"}}, "$defs": {"d": {
            "$dynamicAnchor": "t", "type": "null"}}}},
    }  # fmt: skip
    wrap = {"$id": HOST + "wrap", "$ref": "outer", "$defs": {"d": {"$dynamicAnchor": "t", **INT}}}
    check(
        {"properties": {"o": {"$ref": HOST + "outer"}, "w": {"$ref": HOST + "wrap"}}},
        engine,
        ['{"o":{"in":{"x":null}}}', '{"w":{"in":{"x":1}}}'],
        ['{"o":{"in":{"x":1}}}', '{"w":{"in":{"x":null}}}'],
        registry=registry({"outer": outer, "wrap": wrap}),
    )


@pytest.mark.parametrize("anchor", [True, False])
def test_recursive_references(anchor: bool, engine: str) -> None:
    draft = "https://json-schema.org/draft/2019-09/schema"
    tree = {
        "$schema": draft,
        "$recursiveAnchor": True,
        "properties": {"kid": {"$recursiveRef": "#"}, "n": {}},
    }
    schema = {
        "$schema": draft,
        "$recursiveAnchor": anchor,
        "$ref": HOST + "tree",
        "properties": {"n": INT},
    }
    holds = language(schema, engine, property_order="any", registry=registry({"tree": tree}))
    assert holds('{"n":1,"kid":{"n":1}}')
    assert not holds('{"n":null}')
    assert holds('{"kid":{"n":null}}') is not anchor


def test_recursive_references_are_to_the_root(engine: str) -> None:
    with pytest.raises(SchemaError, match='must be "#"') as caught:
        language({"$recursiveRef": "#/$defs/a", "$defs": {"a": {}}}, engine, draft="2019-09")
    assert caught.value.pointer == "/$recursiveRef"


# -- random documents -----------------------------------------------------------------------

_TYPES = ("null", "integer", "string", "boolean")
_VALUES = {"null": None, "integer": 1, "string": "a", "boolean": True}
_REFERENCES = (
    "a",
    "b",
    "c",
    "deep/a",
    "#/$defs/x",
    "#",
    "#m",
    "a#m",
    "deep/b#/$defs/x",
    "c#/$defs/x/$defs/x",
)


@st.composite
def _schemas(draw: st.DrawFn, depth: int = 3, named: bool = True) -> dict[str, Any]:
    """A schema whose references may lead anywhere, also nowhere; every leaf is a type."""
    schema: dict[str, Any] = {"type": ["object", draw(st.sampled_from(_TYPES))]}
    if named and draw(st.booleans()):
        schema["$id"] = draw(st.sampled_from(["a", "b", "deep/a", "deep/b", HOST + "c"]))
    if draw(st.integers(0, 3)) == 0:
        schema["$anchor"] = "m"
    if depth:
        schema["$defs"] = {"x": draw(_schemas(depth=depth - 1))}
        schema["properties"] = {
            "p": {"$ref": draw(st.sampled_from(_REFERENCES))},
            "q": draw(_schemas(depth=depth - 1)),
        }
    return schema


def _identifiers(schema: Any, base: str, anchors: dict[str, int]) -> list[str]:
    names = []
    if "$id" in schema:
        base = urljoin(base, schema["$id"])
        names.append(base)
    if "$anchor" in schema:
        anchors[base] = anchors.get(base, 0) + 1
    for child in (*schema.get("$defs", {}).values(), schema.get("properties", {}).get("q")):
        if child is not None:
            names += _identifiers(child, base, anchors)
    return names


@given(data=st.data())
def test_random_references(data: st.DataObject) -> None:
    """A reference leads where ``jsonschema`` says, or nowhere for both."""
    root = {**data.draw(_schemas(named=False)), "$id": HOST + "root"}
    other = data.draw(_schemas(named=False))
    anchors: dict[str, int] = {}
    names = [HOST + "c", *_identifiers(root, "", anchors), *_identifiers(other, HOST + "c", anchors)]
    # What two schemas of one name mean is undefined.
    if len(set(names)) < len(names) or any(count > 1 for count in anchors.values()):
        return
    known = registry({"c": other})
    validator = jsonschema.Draft202012Validator(root, registry=known)
    document = Document(root, None, known)
    path = data.draw(st.lists(st.sampled_from("pq"), min_size=1, max_size=5))
    node: Any = root
    for step in path:
        assert document.draft_of(node) == "2020-12"
        if "properties" not in node:
            return
        node = node["properties"][step]
        if step == "p":
            try:
                node = document.resolve(node, node["$ref"])
            except SchemaError:
                node = None
                break
    for name in _TYPES:
        value: Any = _VALUES[name]
        for step in reversed(path):
            value = {step: value}
        try:
            expected = validator.is_valid(value)
        except jsonschema.exceptions._WrappedReferencingError:
            assert node is None
            continue
        assert node is not None
        assert (name in node["type"]) == expected
