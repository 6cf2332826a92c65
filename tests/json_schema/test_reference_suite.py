"""The reference cases of the official test suite, compiled and, for their references alone, validated."""

import json

import pytest

from structgen import SchemaError, UnsatisfiableSchemaError
from structgen._frontends.json_schema._resolve import Document
from tests.json_schema.reference_suite import DRAFTS, Case, Checker, cases, remotes, suite
from tests.json_schema.support import language

pytestmark = pytest.mark.skipif(suite() is None, reason="JSON_SCHEMA_TEST_SUITE names no checkout")

# Cases with keywords that are not enforced yet.
REFUSED = {
    "4": {
        "ref: remote ref, containing refs itself",
        "definitions: validate definition against metaschema",
    },
    "6": {
        "ref: remote ref, containing refs itself",
        "definitions: validate definition against metaschema",
        "optional/id: non-schema object containing a plain-name $id property",
        "optional/id: non-schema object containing an $id property",
        "optional/unknownKeyword: $id inside an unknown keyword is not a real identifier",
    },
    "7": {
        "ref: remote ref, containing refs itself",
        "definitions: validate definition against metaschema",
        "optional/id: non-schema object containing a plain-name $id property",
        "optional/id: non-schema object containing an $id property",
        "optional/cross-draft: refs to future drafts are processed as future drafts",
        "optional/unknownKeyword: $id inside an unknown keyword is not a real identifier",
    },
    "2019-09": {
        "ref: remote ref, containing refs itself",
        "ref: ref creates new scope when adjacent to keywords",
        "ref: $ref with $recursiveAnchor",
        "recursiveRef: multiple dynamic paths to the $recursiveRef keyword",
        "recursiveRef: dynamic $recursiveRef destination (not predictable at schema compile time)",
        "defs: validate definition against metaschema",
        "optional/unknownKeyword: $id inside an unknown keyword is not a real identifier",
    },
    "2020-12": {
        "ref: remote ref, containing refs itself",
        "ref: ref creates new scope when adjacent to keywords",
        "dynamicRef: multiple dynamic paths to the $dynamicRef keyword",
        "dynamicRef: after leaving a dynamic scope, it is not used by a $dynamicRef",
        "dynamicRef: strict-tree schema, guards against misspelled properties",
        "defs: validate definition against metaschema",
        "optional/unknownKeyword: $id inside an unknown keyword is not a real identifier",
    },
}

# A metaschema of one's own is read as the draft's: which vocabularies it has is not looked at.
VOCABULARIES = "vocabulary: schema that uses custom metaschema with with no validation vocabulary"

# What is unevaluated cannot be told by the keyword functions of jsonschema without its own references.
UNEVALUATED = {
    "ref: ref creates new scope when adjacent to keywords",
    "ref: $ref with $recursiveAnchor",
    "dynamicRef: strict-tree schema, guards against misspelled properties",
}


def _differing(case: Case) -> list[str] | None:
    """Return the instances on which the compiled schema and the suite differ, None for a refusal."""
    try:
        holds = language(
            case.schema, property_order="any", numbers="all", draft=case.option, registry=remotes(case.draft)
        )
    except UnsatisfiableSchemaError:
        return [test["description"] for test in case.tests if test["valid"]]
    except SchemaError as error:
        return None if "not supported" in error.reason else [str(error)]
    return [
        test["description"]
        for test in case.tests
        if holds(json.dumps(test["data"], ensure_ascii=False)) != test["valid"]
    ]


@pytest.mark.parametrize("draft", DRAFTS)
def test_compiled(draft: str) -> None:
    results = {case.name: _differing(case) for case in cases(draft)}
    wrong = {name for name, differing in results.items() if differing}
    assert wrong == {VOCABULARIES} & set(results)
    assert {name for name, differing in results.items() if differing is None} == REFUSED[draft]


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
