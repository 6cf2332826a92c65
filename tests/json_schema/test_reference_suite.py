"""The reference cases of the official test suite, compiled and, for their references alone, validated."""

import json

import pytest

from structgen import SchemaError, UnsatisfiableSchemaError
from structgen._frontends.json_schema._resolve import Document
from tests.json_schema.reference_suite import DRAFTS, Case, Checker, cases, remotes, suite
from tests.json_schema.support import language

pytestmark = pytest.mark.skipif(suite() is None, reason="JSON_SCHEMA_TEST_SUITE names no checkout")

# What is unevaluated cannot be told by the keyword functions of jsonschema without its own references.
UNEVALUATED = {
    "ref: ref creates new scope when adjacent to keywords",
    "ref: $ref with $recursiveAnchor",
    "dynamicRef: strict-tree schema, guards against misspelled properties",
}


# These keyword functions know no vocabularies.
VOCABULARIES = "vocabulary: schema that uses custom metaschema with with no validation vocabulary"


def _differing(case: Case) -> list[str]:
    """Return the instances on which the compiled schema and the suite differ."""
    try:
        holds = language(
            case.schema,
            property_order="any",
            numbers="all",
            formats="annotate",
            draft=case.option,
            registry=remotes(case.draft),
        )
    except UnsatisfiableSchemaError:
        return [test["description"] for test in case.tests if test["valid"]]
    except SchemaError as error:
        return [str(error)]
    return [
        test["description"]
        for test in case.tests
        if holds(json.dumps(test["data"], ensure_ascii=False)) != test["valid"]
    ]


@pytest.mark.parametrize("draft", DRAFTS)
def test_compiled(draft: str) -> None:
    results = {case.name: _differing(case) for case in cases(draft)}
    assert {name: differing for name, differing in results.items() if differing} == {}


@pytest.mark.parametrize("draft", DRAFTS)
def test_references_alone(draft: str) -> None:
    wrong = []
    for case in cases(draft):
        if case.name in UNEVALUATED or case.name == VOCABULARIES:
            continue
        for test in case.tests:
            document = Document(case.schema, case.option, remotes(draft))
            if Checker(document, document.root).is_valid(test["data"]) != test["valid"]:
                wrong.append((case.name, test["description"]))
    assert wrong == []
