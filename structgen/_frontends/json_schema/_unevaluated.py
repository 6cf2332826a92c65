"""``unevaluatedProperties`` and ``unevaluatedItems``.

Which members a schema has evaluated depends on which of its branches hold. So every place where a member can
be evaluated comes with a condition, the formula of its branch; and the keyword asks of each class of members
that one of its conditions holds, or that the members satisfy the keyword's own schema. (JSON Schema Core,
section 11.)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from itertools import combinations
from typing import TYPE_CHECKING, Any

from ._formulas import TRUE, Count, Formula, Keys, Positions, all_of, any_of
from ._objects import key_classes
from ._scalars import speakable
from ._shapes import ARRAY, OBJECT

if TYPE_CHECKING:
    from ._lower import Lowering
    from ._truth import Truth

# Conditional "contains" whose outcomes are told apart.
_MAX_CONTAINS = 4


def unevaluated(truth: Truth, lowering: Lowering, node: Any, keyword: str, kind: int) -> Formula:
    """Return what ``unevaluatedProperties`` or ``unevaluatedItems`` of a node asks of a value of one type."""
    lowering.check_time()
    if kind == OBJECT and keyword == "unevaluatedProperties":
        return _Properties(truth, lowering, node).formula()
    if kind == ARRAY and keyword == "unevaluatedItems":
        return _Items(truth, lowering, node).formula()
    return TRUE


class _Sources(ABC):
    """What the subschemas of a node evaluate, and when."""

    keyword = ""
    kind = 0

    def __init__(self, truth: Truth, lowering: Lowering, node: Any) -> None:
        self.truth = truth
        self.lowering = lowering
        self.node = node
        self.schema = node[self.keyword]
        self._visit(node, TRUE, 0)

    def _visit(self, node: Any, when: Formula, depth: int) -> None:
        if not isinstance(node, dict):
            return
        if depth > 64:
            raise self.lowering.too_deep(node)
        document = self.lowering.document
        truth = self.truth

        def has(keyword: str) -> bool:
            return self.lowering.has_keyword(node, keyword)

        def visit(schema: Any, *conditions: Formula) -> None:
            self._visit(schema, all_of([when, *conditions]), depth + 1)

        if "$ref" in node:
            visit(document.resolve(node, node["$ref"]))
            if self.lowering.refers(node):
                return
        if has("$dynamicRef"):
            visit(document.resolve_dynamic(node, node["$dynamicRef"]))
        if has("$recursiveRef"):
            visit(document.resolve_recursive(node, node["$recursiveRef"]))
        self._own(node, when, has)
        for schema in node["allOf"] if has("allOf") else ():
            visit(schema)
        for keyword in ("anyOf", "oneOf"):
            for schema in node[keyword] if has(keyword) else ():
                visit(schema, truth.of(schema, self.kind))
        if has("if"):
            condition = truth.of(node["if"], self.kind)
            visit(node["if"], condition)
            visit(node.get("then"), condition)
            visit(node.get("else"), truth.negated(condition))
        if self.kind == OBJECT and has("dependentSchemas"):
            for key, schema in node["dependentSchemas"].items():
                visit(schema, Count(Keys(key), True, 1, -1))

    @abstractmethod
    def _own(self, node: Any, when: Formula, has: Callable[[str], bool]) -> None:
        """Note what the keywords of one node itself evaluate."""


class _Properties(_Sources):
    keyword = "unevaluatedProperties"
    kind = OBJECT

    def __init__(self, truth: Truth, lowering: Lowering, node: Any) -> None:
        self.places: list[tuple[Keys, Formula]] = []
        super().__init__(truth, lowering, node)

    def _own(self, node: Any, when: Formula, has: Callable[[str], bool]) -> None:
        if has("properties"):
            self.places += [(Keys(key), when) for key in speakable(list(node["properties"]))]
        if has("patternProperties"):
            self.places += [
                (self.truth.matching(node, pattern), when) for pattern in node["patternProperties"]
            ]
        if has("additionalProperties"):
            self.places.append((self.truth.undeclared(node), when))
        if has(self.keyword) and node is not self.node:
            self.places.append((self.truth.every_key, when))

    def formula(self) -> Formula:
        builder, truth = self.lowering.builder, self.truth
        always = [places for places, when in self.places if when is TRUE]
        sometimes = [(places, when) for places, when in self.places if when is not TRUE]
        names = list(dict.fromkeys(places.name for places, _ in sometimes if places.name is not None))
        parts = []
        for name in names:
            if any(truth.is_at(places, name) for places in always):
                continue
            conditions = [when for places, when in sometimes if truth.is_at(places, name)]
            parts.append(any_of([truth.none_but(Keys(name), self.schema), *conditions]))
        done = [*names, *(places.name for places in always if places.name is not None)]
        outside = [places.regex for places in always if places.name is None]
        if done:
            outside.append(builder.re_words(done))
        rest = self.lowering.any_text()
        if outside:
            rest = builder.re_complement(builder.re_union(outside))
        by_regex = [(places.regex, when) for places, when in sometimes if places.name is None]
        if not builder.re_is_empty(rest):
            for keys, matched in key_classes(self.lowering, rest, [regex for regex, _ in by_regex]):
                conditions = [when for regex, when in by_regex if regex in matched]
                parts.append(any_of([truth.none_but(Keys(None, keys), self.schema), *conditions]))
        return all_of(parts)


class _Items(_Sources):
    keyword = "unevaluatedItems"
    kind = ARRAY

    def __init__(self, truth: Truth, lowering: Lowering, node: Any) -> None:
        # How many of the first items are evaluated (-1: all), and what "contains" evaluates.
        self.lengths: list[tuple[int, Formula]] = []
        self.matching: list[tuple[Any, Formula]] = []
        super().__init__(truth, lowering, node)

    def _own(self, node: Any, when: Formula, has: Callable[[str], bool]) -> None:
        modern = has("prefixItems") or "prefixItems" in self.lowering.handlers_of(node)
        if modern:
            if has("prefixItems"):
                self.lengths.append((len(node["prefixItems"]), when))
            if has("items"):
                self.lengths.append((-1, when))
            if has("contains"):
                self.matching.append((node["contains"], when))
        elif has("items"):
            is_tuple = isinstance(node["items"], list)
            self.lengths.append((len(node["items"]) if is_tuple else -1, when))
            if is_tuple and "additionalItems" in node:
                self.lengths.append((-1, when))
        if has(self.keyword) and node is not self.node:
            self.lengths.append((-1, when))

    def formula(self) -> Formula:
        always = [length for length, when in self.lengths if when is TRUE]
        if -1 in always:
            return TRUE
        first = max(always, default=0)
        ends = sorted({length for length, _ in self.lengths if length > first})
        parts = []
        for start, end in zip([first, *ends], [*ends, -1], strict=True):
            conditions = [when for length, when in self.lengths if length < 0 or length > start]
            parts.append(any_of([self._satisfied(Positions(start, end)), *conditions]))
        return all_of(parts)

    def _satisfied(self, places: Positions) -> Formula:
        """Ask that the items at some positions satisfy the keyword's schema or what evaluates them."""
        always = [schema for schema, when in self.matching if when is TRUE]
        sometimes = [(schema, when) for schema, when in self.matching if when is not TRUE]
        if len(sometimes) > _MAX_CONTAINS:
            raise self.lowering.limit(
                self.node, self.keyword, f"it depends on more than {_MAX_CONTAINS} conditional contains"
            )
        parts = []
        for size in range(len(sometimes) + 1):
            for chosen in combinations(sometimes, size):
                schemas = [self.schema, *always, *(schema for schema, _ in chosen)]
                schema = schemas[0]
                if len(schemas) > 1:
                    schema = self.lowering.synthetic.schema(self.node, {"anyOf": schemas})
                parts.append(all_of([self.truth.none_but(places, schema), *(when for _, when in chosen)]))
        return any_of(parts)
