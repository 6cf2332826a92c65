"""Metaschemas of one's own: their draft, and the vocabularies that they list."""

from typing import Any

import pytest
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7, DRAFT201909, DRAFT202012

from structgen import SchemaError
from tests.json_schema.support import check, language

META = "https://example.com/meta"
VOCABULARY = {draft: f"https://json-schema.org/draft/{draft}/vocab/" for draft in ("2019-09", "2020-12")}
SCHEMA = {draft: f"https://json-schema.org/draft/{draft}/schema" for draft in VOCABULARY}


def metaschemas(**documents: Any) -> dict[str, Any]:
    """Make the option: each document is at META followed by its name."""
    return {
        "registry": Registry().with_resources(
            (META + name, Resource(contents=document, specification=DRAFT202012))
            for name, document in documents.items()
        )
    }


def metaschema(draft: str, *names: str, **others: bool) -> dict[str, Any]:
    return {
        "$schema": SCHEMA[draft],
        "$vocabulary": {VOCABULARY[draft] + name: True for name in names} | others,
    }


def only(draft: str, *names: str) -> dict[str, Any]:
    return metaschemas(a=metaschema(draft, "core", *names))


@pytest.mark.parametrize("draft", VOCABULARY)
def test_keywords_of_vocabularies_that_are_not_listed(draft: str, engine: str) -> None:
    schema = {
        "$schema": META + "a",
        "properties": {"a": {"type": "null"}, "b": False},
        "required": ["c"],
        "format": "date",
    }
    check(schema, engine, ['{"a":1}', "1", '"x"'], ['{"b":1}'], **only(draft, "applicator"))
    check(schema, engine, ['{"c":1,"b":1,"a":1}', "1", '"x"'], ['{"b":1}'], **only(draft, "validation"))
    check(schema, engine, ["{}", '{"b":1}', '"x"'], ["?"], **only(draft))
    form = "format" if draft == "2019-09" else "format-annotation"
    check(schema, engine, ['"2024-01-01"', "{}"], ['"x"'], **only(draft, form))


def test_unevaluated_is_a_vocabulary_of_its_own_since_2020(engine: str) -> None:
    schema = {"$schema": META + "a", "unevaluatedProperties": False, "properties": {"a": True}}
    check(schema, engine, ['{"a":1}'], ['{"b":1}'], **only("2019-09", "applicator"))
    check(schema, engine, ['{"a":1}', '{"b":1}'], ["?"], **only("2020-12", "applicator"))
    check(schema, engine, ['{"a":1}'], ['{"b":1}'], **only("2020-12", "applicator", "unevaluated"))


def test_what_keywords_mean_needs_no_vocabulary(engine: str) -> None:
    """Dependencies are about presence, which is not the keyword ``required``."""
    schema = {
        "$schema": META + "a",
        "dependentSchemas": {"a": {"properties": {"b": False}}},
        "required": ["c"],
    }
    options = only("2020-12", "applicator")
    check(schema, engine, ['{"a":1}', '{"b":1}'], ['{"a":1,"b":1}'], property_order="any", **options)
    schema = {"$schema": META + "a", "contains": {"const": 1}, "minContains": 2}
    check(schema, engine, ["[1]", "[2]"], ["[]"], **options)
    tags = [{"properties": {"a": {"enum": [tag]}, tag: False}, "required": ["a"]} for tag in "xy"]
    # Without enumerations and required keys, the branches of this oneOf are no longer told apart by "a".
    schema = {"$schema": META + "a", "oneOf": tags}
    accepted = ['{"a":"x","y":1}', '{"a":"y","y":1}']
    check(schema, engine, accepted, ['{"a":"x"}', '{"a":"y"}', "1"], **options)


@pytest.mark.parametrize("draft", VOCABULARY)
def test_vocabularies_that_are_not_known(draft: str, engine: str) -> None:
    schema = {"$schema": META + "a", "type": "null"}
    optional = metaschemas(a=metaschema(draft, "core", "validation", **{"https://example.com/v": False}))
    check(schema, engine, ["null"], ["1"], **optional)
    needed = metaschemas(a=metaschema(draft, "core", "validation", **{"https://example.com/v": True}))
    with pytest.raises(SchemaError, match="which is not known") as caught:
        language(schema, engine, **needed)
    assert (caught.value.pointer, caught.value.keyword) == ("/$schema", "$schema")
    with pytest.raises(SchemaError, match="which is not known"):
        language({"properties": {"a": schema | {"$id": "https://example.com/x"}}}, engine, **needed)
    # The option decides for the whole document.
    check(schema, engine, ["null"], ["1"], draft="2020-12", **needed)


@pytest.mark.parametrize("vocabulary", [[], "a", None, {"https://example.com/v": 1}])
def test_vocabularies_that_are_none(vocabulary: Any, engine: str) -> None:
    options = metaschemas(a={"$schema": SCHEMA["2020-12"], "$vocabulary": vocabulary})
    with pytest.raises(SchemaError, match=r"\$vocabulary of the metaschema"):
        language({"$schema": META + "a"}, engine, **options)


def test_the_draft_is_that_at_the_end_of_the_chain(engine: str) -> None:
    options = metaschemas(a={"$schema": META + "b"}, b={"$schema": SCHEMA["2019-09"]})
    # In 2019-09, an array of schemas is what 2020-12 calls prefixItems.
    check({"$schema": META + "a", "items": [{"type": "null"}]}, engine, ["[null]"], ["[1]"], **options)
    circle = metaschemas(a={"$schema": META + "b"}, b={"$schema": META + "a"}, c={"$schema": META + "c"})
    for name in "abc":
        check({"$schema": META + name, "prefixItems": [False]}, engine, ["[]"], ["[1]"], **circle)


def test_a_metaschema_without_schema_is_of_the_draft_it_was_registered_with(engine: str) -> None:
    for specification, rejected in ((DRAFT7, ["1"]), (DRAFT201909, ["null"])):
        resource = Resource(contents={"$vocabulary": {}}, specification=specification)
        options = {"registry": Registry().with_resource(META, resource)}
        schema = {"$schema": META, "$ref": "#/$defs/a", "maximum": 0, "$defs": {"a": {"type": "null"}}}
        # Draft 7 has neither vocabularies nor anything beside a reference; 2019-09 lists none here.
        assert language(schema, engine, **options)("1") is (rejected == ["null"])


def test_metaschemas_that_are_not_there_are_the_current_draft(engine: str) -> None:
    schema = {"$schema": META + "missing", "prefixItems": [False]}
    check(schema, engine, ["[]"], ["[1]"], **metaschemas())
    check(schema, engine, ["[]"], ["[1]"])


def test_each_resource_has_its_dialect(engine: str) -> None:
    inner = {"$id": "https://example.com/x", "$schema": META + "a", "minimum": 5, "properties": {"a": False}}
    schema = {"properties": {"in": inner, "out": {"minimum": 5}, "again": {"$ref": "https://example.com/x"}}}
    options = only("2020-12", "applicator")
    accepted = ['{"in":1}', '{"out":5}', '{"again":1}']
    check(schema, engine, accepted, ['{"in":{"a":1}}', '{"out":1}', '{"again":{"a":1}}'], **options)
