"""The reference cases of the official JSON Schema Test Suite, and a validator over our documents.

The suite is no part of this repository: ``JSON_SCHEMA_TEST_SUITE`` names a checkout of
https://github.com/json-schema-org/JSON-Schema-Test-Suite (the variable that ``jsonschema`` uses as well).
"""

import functools
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4, DRAFT6, DRAFT7, DRAFT201909, DRAFT202012

from structgen._frontends.json_schema._resolve import Document

DRAFTS = {"4": "draft4", "6": "draft6", "7": "draft7", "2019-09": "draft2019-09", "2020-12": "draft2020-12"}

SPECIFICATIONS = {"4": DRAFT4, "6": DRAFT6, "7": DRAFT7, "2019-09": DRAFT201909, "2020-12": DRAFT202012}

_VALIDATORS = {
    "4": jsonschema.Draft4Validator,
    "6": jsonschema.Draft6Validator,
    "7": jsonschema.Draft7Validator,
    "2019-09": jsonschema.Draft201909Validator,
    "2020-12": jsonschema.Draft202012Validator,
}

_FILES = (
    "anchor", "definitions", "defs", "dynamicRef", "infinite-loop-detection", "recursiveRef", "ref",
    "refRemote", "vocabulary", "optional/anchor", "optional/cross-draft", "optional/dynamicRef",
    "optional/id", "optional/no-schema", "optional/refOfUnknownKeyword", "optional/unknownKeyword",
)  # fmt: skip


@dataclass
class Case:
    """A schema of the suite and its instances."""

    name: str
    draft: str
    schema: Any
    tests: list[dict[str, Any]]

    @property
    def option(self) -> str | None:
        """The option ``draft``: cases without ``$schema`` are of the draft of their folder."""
        says = isinstance(self.schema, dict) and "$schema" in self.schema
        return None if says else self.draft


def suite() -> Path | None:
    """Return the folder of the suite, None where there is none."""
    folder = os.environ.get("JSON_SCHEMA_TEST_SUITE")
    return None if folder is None else Path(folder)


def cases(draft: str) -> Iterator[Case]:
    """Give the reference cases of a draft."""
    folder = suite()
    assert folder is not None
    for name in _FILES:
        path = folder / "tests" / DRAFTS[draft] / f"{name}.json"
        for case in json.loads(path.read_text()) if path.exists() else ():
            yield Case(f"{name}: {case['description']}", draft, case["schema"], case["tests"])


@functools.cache
def remotes(draft: str) -> Registry[Any]:
    """Return the suite's remote documents; those without ``$schema`` are of ``draft``."""
    folder = suite()
    assert folder is not None
    folder /= "remotes"
    drafts = {name: key for key, name in DRAFTS.items()}
    resources = []
    for path in sorted(folder.rglob("*.json")):
        name = path.relative_to(folder)
        if name.parts[0] not in ("draft3", "v1"):
            specification = SPECIFICATIONS[drafts.get(name.parts[0], draft)]
            contents = json.loads(path.read_text())
            uri = f"http://localhost:1234/{name.as_posix()}"
            resources.append((uri, Resource(contents=contents, specification=specification)))
    return Registry().with_resources(resources)


class Checker:
    """Validates by the keyword functions of ``jsonschema``, but all references are ours to follow."""

    format_checker = None

    def __init__(self, document: Document, node: Any) -> None:
        self.document = document
        self.schema = node

    def iter_errors(self, instance: Any) -> Iterator[Any]:
        """Give the errors of an instance."""
        node = self.schema
        if not isinstance(node, dict):
            if not node:
                yield jsonschema.ValidationError("false")
            return
        draft = self.document.draft_of(node)
        keywords = _VALIDATORS[draft].VALIDATORS
        alone = "$ref" in node and draft in ("4", "6", "7")
        for keyword, value in node.items():
            if keyword not in keywords or (alone and keyword != "$ref"):
                continue
            if keyword == "$ref":
                yield from self.descend(instance, self.document.resolve(node, value))
            elif keyword == "$dynamicRef":
                yield from self.descend(instance, self.document.resolve_dynamic(node, value))
            elif keyword == "$recursiveRef":
                yield from self.descend(instance, self.document.resolve_recursive(node, value))
            else:
                yield from keywords[keyword](self, value, instance, node) or ()

    def descend(self, instance: Any, schema: Any, **place: Any) -> Iterator[Any]:
        """Give the errors of an instance for another schema."""
        return Checker(self.document, schema).iter_errors(instance)

    def evolve(self, schema: Any) -> "Checker":
        """Return a checker for another schema."""
        return Checker(self.document, schema)

    def is_valid(self, instance: Any) -> bool:
        """Tell whether an instance is valid."""
        return next(self.iter_errors(instance), None) is None

    def is_type(self, instance: Any, name: str) -> bool:
        """Tell whether an instance is of a type."""
        return bool(_VALIDATORS[self.document.draft].TYPE_CHECKER.is_type(instance, name))
