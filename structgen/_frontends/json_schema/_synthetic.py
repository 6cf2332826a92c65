"""Schemas that stand in no document: what a keyword means, written as a schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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


def _identity(value: Any) -> Any:
    """Return what equals for the same schemas and for equal plain values."""
    if isinstance(value, list):
        return tuple(map(_identity, value))
    return id(value) if isinstance(value, dict) else value
