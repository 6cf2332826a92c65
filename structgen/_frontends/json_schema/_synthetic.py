"""Schemas that stand in no document: what a keyword means, written as a schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._enum import identity

if TYPE_CHECKING:
    from ._lower import Lowering


class SyntheticSchemas:
    """Makes schemas and keeps them: nodes are told apart by identity, so equal demands need the same node."""

    def __init__(self, lowering: Lowering) -> None:
        self._lowering = lowering
        self._schemas: dict[Any, dict[str, Any]] = {}
        self._negations: dict[int, Any] = {}
        self._originals: dict[int, Any] = {}
        self._constants: dict[int, dict[str, Any]] = {}
        self._fingerprints: dict[Any, int] = {}
        self._numbered: dict[int, int] = {}
        self._first: dict[int, Any] = {}

    def schema(self, node: Any, schema: dict[str, Any]) -> dict[str, Any]:
        """Return the schema that stands for something that a keyword of ``node`` means.

        Parameters
        ----------
        node : dict
            A node of the document.
        schema : dict
            Its keywords; values are plain, or lists of plain values or of schemas.
        """
        # Without this, the demands of a recursive schema would never repeat.
        key = (id(node), *((keyword, _identity(value)) for keyword, value in schema.items()))
        known = self._schemas.setdefault(key, schema)
        if known is schema:
            self._lowering.document.alias(schema, node)
        return known

    def negation(self, node: Any) -> Any:
        """Return the schema of the values that another one excludes."""
        if isinstance(node, bool):
            return not node
        original = self._originals.get(id(node))
        if original is not None:
            return original
        negation = self._negations.get(id(node))
        if negation is None:
            negation = self._negations[id(node)] = self.schema(node, {"not": node})
            self._originals[id(negation)] = node
        return negation

    def affirmation(self, node: Any) -> Any:
        """Return the schema that ``node`` negates, or the node itself."""
        return self._originals.get(id(node), node)

    def excludes(self, one: Any, other: Any) -> bool:
        """Tell whether two schemas are known to have no value in common."""
        if one is False or other is False:
            return True
        if one is True or other is True:
            return False
        if self._originals.get(id(one)) is other or self._originals.get(id(other)) is one:
            return True
        return self._lowering.disjointness.schemas(one, other)

    def constant(self, value: Any) -> dict[str, Any]:
        """Return a schema that holds only ``value``, a part of a constant of the document."""
        node = self._constants.get(id(value))
        if node is None:
            node = self._constants[id(value)] = {"enum": [value]}
        return node

    def same(self, node: Any) -> Any:
        """Return the first schema met that says the same as ``node``, but for annotations.

        Counting tells the schemas of one place apart: branches that repeat a property must not differ.
        """
        if isinstance(node, bool) or self._lowering.document.embedded:
            return node
        return self._first.setdefault(self._fingerprint(node, "schema"), node)

    def _fingerprint(self, value: Any, role: str) -> int:
        """Number a part of a document by its content; what counts as an annotation depends on its role."""
        content: Any
        if isinstance(value, dict):
            number = self._numbered.get(id(value))
            if number is not None:
                return number
            content = frozenset(
                (key, self._fingerprint(item, _ROLES.get(key, role) if role == "schema" else _BELOW[role]))
                for key, item in value.items()
                if not (role == "schema" and key in _ANNOTATIONS)
            )
            number = self._fingerprints.setdefault((role, content), len(self._fingerprints))
            self._numbered[id(value)] = number
            return number
        if isinstance(value, list):
            content = "[", *(self._fingerprint(item, role) for item in value)
        else:
            content = identity(value)
        return self._fingerprints.setdefault(content, len(self._fingerprints))


# What the values of keywords are, where they are neither schemas nor simple: maps of schemas, or data.
_ROLES = {
    **dict.fromkeys(
        ("$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", "properties"), "map"
    ),
    **dict.fromkeys(("const", "enum"), "data"),
}
_BELOW = {"map": "schema", "data": "data"}

_ANNOTATIONS = frozenset(
    ("$comment", "default", "deprecated", "description", "examples", "readOnly", "title", "writeOnly")
)


def _identity(value: Any) -> Any:
    """Return what equals for the same schemas and for equal plain values."""
    if isinstance(value, list):
        return tuple(map(_identity, value))
    if isinstance(value, dict) and all(isinstance(item, bool) for item in value.values()):
        return tuple(value.items())
    return id(value) if isinstance(value, dict) else value
