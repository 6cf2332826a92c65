"""What can be found wrong with a JSON Schema, besides what keeps it from compiling."""

from __future__ import annotations

import copy
import difflib
import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from structgen._errors import SchemaError, StructgenError, UnsatisfiableSchemaError
from structgen.cli._findings import Finding, Level

if TYPE_CHECKING:
    from structgen._explain import Explanation
    from structgen._vocabulary import Vocabulary

# Where a schema holds subschemas that are applied on their own, and what it means that none can hold.
_PARTS = {
    "properties": "this property can never be present",
    "patternProperties": "no such property can ever be present",
    "additionalProperties": "there can be no other properties",
    "items": "the array has no items",
    "additionalItems": "the array has no further items",
}
_LISTS = {"prefixItems": "the array ends before this item"}

# What limits values of one type only.
_TYPED = {
    "object": ("properties", "required", "additionalProperties", "patternProperties", "minProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems", "uniqueItems"),
    "string": ("minLength", "maxLength", "pattern"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}
_CHOOSES_TYPE = (
    "type", "enum", "const", "$ref", "$dynamicRef", "$recursiveRef", "anyOf", "oneOf", "allOf", "not", "if"
)  # fmt: skip

# A misspelt annotation changes nothing.
_ANNOTATIONS = frozenset(
    ("$comment", "$id", "default", "deprecated", "description", "examples", "readOnly", "title", "writeOnly")
)

# Constants of one enumeration that are looked at.
_MAX_CONSTANTS = 100
_UNUSED = "nothing applies this schema"
_URI = "urn:structgen:checked"


class SchemaChecker:
    """Looks for parts of a schema that contradict each other, and for what its author may have overlooked.

    Parameters
    ----------
    schema : Any
        The schema, which :func:`structgen.explain` has found enforceable.
    explanation : Explanation
        What it said.
    options : mapping
        Options of the compilation.
    vocabulary : Vocabulary
        What parts are compiled for.
    max_seconds : float
        Time after which no more parts are compiled.
    """

    def __init__(
        self,
        schema: Any,
        explanation: Explanation,
        options: Mapping[str, Any],
        vocabulary: Vocabulary,
        max_seconds: float,
    ) -> None:
        self._document = copy.deepcopy(schema)
        self._explanation = explanation
        self._options = {**options, "draft": explanation.draft}
        self._vocabulary = vocabulary
        self._deadline = time.monotonic() + max_seconds
        self.complete = True
        """Whether all parts were looked at in time."""

    def findings(self) -> Iterator[Finding]:
        """Yield what was found, in the order of the document."""
        pointers = dict.fromkeys(
            entry.pointer for entry in self._explanation.entries if not entry.reason.startswith(_UNUSED)
        )
        for pointer in pointers:
            node = self._at(pointer)
            if isinstance(node, dict):
                yield from self._branches(pointer, node)
                yield from self._parts(pointer, node)
                yield from self._values(pointer, node)
                yield from _names(pointer, node)
                yield from _types(pointer, node)

    def _at(self, pointer: str) -> Any:
        node = self._document
        for step in pointer.split("/")[1:]:
            step = step.replace("~1", "/").replace("~0", "~")
            try:
                node = node[int(step)] if isinstance(node, list) else node[step]
            except (KeyError, IndexError, ValueError, TypeError):
                return None  # in another document
        return node

    # -- what can never hold ---------------------------------------------------------------

    def _impossible(self, pointer: str) -> str | None:
        """Return why no value satisfies the schema at a pointer; None if some does, or if that is unknown."""
        from referencing import Registry
        from referencing.jsonschema import specification_with

        from structgen._compile import compile_json_schema

        if time.monotonic() > self._deadline:
            self.complete = False
            return None
        specification = specification_with(_DIALECTS[self._explanation.draft])
        registry: Any = Registry().with_resource(_URI, specification.create_resource(self._document))
        fragment = pointer.replace("%", "%25")
        try:
            compile_json_schema(
                {"$ref": f"{_URI}#{fragment}"},
                self._vocabulary,
                **{**self._options, "registry": registry, "max_compile_seconds": 5.0},
            )
        except UnsatisfiableSchemaError as error:
            return error.reason.removeprefix("no value satisfies the schema: ")
        except StructgenError:
            return None
        return None

    def _branches(self, pointer: str, node: dict[str, Any]) -> Iterator[Finding]:
        """Look for alternatives and constants that contradict what stands beside them."""
        for keyword in ("anyOf", "oneOf", "enum"):
            branches = node.get(keyword)
            if not isinstance(branches, list) or len(branches) < 2:
                continue
            if keyword == "enum" and (len(node) < 2 or len(branches) > _MAX_CONSTANTS):
                continue
            for number, branch in enumerate(branches):
                if branch is False:
                    continue
                # In place, so that its siblings count and nothing is copied.
                node[keyword] = [branch]
                reason = self._impossible(pointer)
                node[keyword] = branches
                if reason is not None:
                    what = f"the constant {_shown(branch)}" if keyword == "enum" else "this alternative"
                    yield Finding(
                        "warning", f"{pointer}/{keyword}/{number}", f"{what} can never hold here: {reason}"
                    )

    def _parts(self, pointer: str, node: dict[str, Any]) -> Iterator[Finding]:
        for keyword, meaning in (*_PARTS.items(), *_LISTS.items()):
            value = node.get(keyword)
            several: Iterator[tuple[str, Any]]
            if keyword in ("properties", "patternProperties") and isinstance(value, dict):
                several = ((f"{keyword}/{_escaped(name)}", part) for name, part in value.items())
            elif isinstance(value, list):
                several = ((f"{keyword}/{number}", part) for number, part in enumerate(value))
            else:
                several = iter([(keyword, value)])
            for place, part in several:
                # `false` and `{"not": {}}` are written on purpose.
                if isinstance(part, dict) and part and part.get("not") not in ({}, True):
                    reason = self._impossible(f"{pointer}/{place}")
                    if reason is not None:
                        yield Finding("warning", f"{pointer}/{place}", f"{meaning}: {reason}")

    # -- values ----------------------------------------------------------------------------

    def _values(self, pointer: str, node: dict[str, Any]) -> Iterator[Finding]:
        """Look for defaults and examples that their own schema refuses."""
        values = [("default", node["default"])] if "default" in node else []
        examples = node.get("examples")
        if isinstance(examples, list):
            values += [(f"examples/{number}", value) for number, value in enumerate(examples)]
        for place, value in values:
            if (error := self._violation(pointer, value)) is not None:
                name = "the default" if place == "default" else "this example"
                yield Finding("warning", f"{pointer}/{place}", f"{name} is not valid: {error}")

    def _violation(self, pointer: str, value: Any) -> str | None:
        import jsonschema
        from referencing import Registry
        from referencing.exceptions import Unresolvable
        from referencing.jsonschema import specification_with

        dialect = _DIALECTS[self._explanation.draft]
        resource = specification_with(dialect).create_resource(self._document)
        registry: Any = Registry().with_resource(_URI, resource)
        cls = jsonschema.validators.validator_for({"$schema": dialect})
        schema = {"$schema": dialect, "$ref": f"{_URI}#{pointer.replace('%', '%25')}"}
        try:
            error = jsonschema.exceptions.best_match(cls(schema, registry=registry).iter_errors(value))
        except (Unresolvable, jsonschema.exceptions.SchemaError, RecursionError, ValueError):
            return None
        if error is None:
            return None
        message: str = error.message
        return message if len(message) < 200 else message[:197] + "..."


_DIALECTS = {
    "4": "http://json-schema.org/draft-04/schema#",
    "6": "http://json-schema.org/draft-06/schema#",
    "7": "http://json-schema.org/draft-07/schema#",
    "2019-09": "https://json-schema.org/draft/2019-09/schema",
    "2020-12": "https://json-schema.org/draft/2020-12/schema",
}


def _names(pointer: str, node: dict[str, Any]) -> Iterator[Finding]:
    """Look for required names that look like a misspelt declared one."""
    declared, required = node.get("properties"), node.get("required")
    if not isinstance(declared, dict) or not isinstance(required, list):
        return
    free = [name for name in declared if name not in required]
    for number, name in enumerate(required):
        if isinstance(name, str) and name not in declared:
            near = difflib.get_close_matches(name, free, n=1, cutoff=0.75)
            if near:
                yield Finding(
                    "warning",
                    f"{pointer}/required/{number}",
                    f"{name!r} is required and not declared",
                    f"did you mean {near[0]!r}?",
                )


def _types(pointer: str, node: dict[str, Any]) -> Iterator[Finding]:
    """Look for keywords of one type where every type is allowed."""
    if any(keyword in node for keyword in _CHOOSES_TYPE) or "/allOf/" in pointer or "/not" in pointer:
        return
    found = [(name, keyword) for name, keywords in _TYPED.items() for keyword in keywords if keyword in node]
    types = {name for name, _ in found}
    if len(types) == 1 and not pointer.rpartition("/")[0].endswith(
        ("/anyOf", "/oneOf", "/if", "/then", "/else")
    ):
        name, keyword = found[0]
        article = "an" if name in ("object", "array") else "a"
        yield Finding(
            "note",
            pointer,
            f"{keyword!r} says nothing of values that are not {article} {name}: they are all allowed",
            f'add "type": "{name}"',
        )


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def repeated_keys(text: str) -> Iterator[Finding]:
    """Yield the keys that an object of a JSON text repeats."""
    found: dict[str, None] = {}

    def note(pairs: list[tuple[str, Any]]) -> None:
        counts = Counter(key for key, _ in pairs)
        found.update(dict.fromkeys(key for key, count in counts.items() if count > 1))

    json.loads(text, object_pairs_hook=note)
    for key in found:
        yield Finding("warning", "", f"an object repeats the key {key!r}: the last one counts")


def explanation_findings(explanation: Explanation) -> Iterator[Finding]:
    """Yield what :func:`structgen.explain` has found."""
    unused: list[str] = []
    for entry in explanation.entries:
        place = entry.pointer + (f"/{_escaped(entry.keyword)}" if entry.keyword else "")
        if entry.status == "refused":
            yield Finding("error", place, entry.reason, entry.suggestion)
        elif entry.suggestion is not None and entry.status == "annotation":
            level: Level = "note" if entry.suggestion in _ANNOTATIONS else "warning"
            yield Finding(level, place, entry.reason, entry.suggestion)
        elif entry.status == "guarded":
            yield Finding("note", place, entry.reason)
        if entry.reason.startswith(_UNUSED) and not any(
            entry.pointer == one or entry.pointer.startswith(one + "/") for one in unused
        ):
            unused.append(entry.pointer)
            yield Finding("note", entry.pointer, "nothing refers to this schema")


def schema_error_finding(error: SchemaError) -> Finding:
    """Return an error of the front end as a finding."""
    place = error.pointer + (f"/{_escaped(error.keyword)}" if error.keyword else "")
    return Finding("error", place, error.reason, error.hint)
