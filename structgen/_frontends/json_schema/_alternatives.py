"""Telling the alternatives of a value apart before it is parsed.

Most ``oneOf`` of real schemas have branches that exclude each other, and most ``if`` ask for the value of
one property: such claims are alternatives, which are merged with everything else one by one. Only what really
overlaps is left to be counted (see ``_cases``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._shapes import TYPE_BITS, Shape

if TYPE_CHECKING:
    from ._lower import Lowering

# Combinations of branches from which on they are told apart while parsing, not beforehand.
_MANY_BRANCHES = 256

# So many conditions of one value are always told apart beforehand.
_FEW_CONDITIONS = 2


class Alternatives:
    """Turns the claims of shapes into alternatives, for one document."""

    def __init__(self, lowering: Lowering) -> None:
        self._lowering = lowering
        # Lists of branches that nothing tells apart, by identity.
        self._tangled: set[int] = set()

    def relaxed(self, shape: Shape) -> int:
        """Lower a shape without its claims, but for one branch of every ``oneOf``."""
        shape = shape.copy()
        any_of = [(claim[1], claim[2], claim[3]) for claim in shape.claims if claim[0] == "one"]
        shape.claims, shape.contains = (), ()
        combinations = 1
        for entry in any_of:
            combinations *= len(entry[1])
            if combinations <= _MANY_BRANCHES:
                shape.any_of += (entry,)
        return self._lowering.expand(shape, set())

    def decide(self, shape: Shape, fed: set[int]) -> None:
        """Settle conditions that cannot hold, and tell apart those that exclude each other."""
        while True:
            claims, shape.claims = shape.claims, ()
            settled = []
            for claim in claims:
                if claim[0] == "if" and self._lowering.disjointness.shapes(
                    self._lowering.disjointness.merged(claim[2]), shape, 0
                ):
                    settled.append((claim[4], claim[5]))
                else:
                    shape.claims += (claim,)
            if not settled:
                break
            self._lowering.feed(shape, fed, settled)
        conditions = [claim for claim in shape.claims if claim[0] == "if"]
        merged = self._lowering.disjointness.merged
        key = self._lowering.disjointness.optional_discriminator([claim[2] for claim in conditions])
        if key is not None and key not in shape.required and key not in shape.told_apart:
            shape.told_apart += (key,)
            node, path = conditions[0][1], conditions[0][5]
            shape.any_of = ((node, self._presence_of(node, key), path), *shape.any_of)
            return
        for claim in conditions:
            _, node, condition, then, other, path = claim
            few = len(conditions) <= _FEW_CONDITIONS
            if (
                few
                or self._is_nested(then, other)
                or any(
                    self._lowering.disjointness.shapes(merged(condition), merged(another[2]), 0, shape)
                    for another in conditions
                    if another is not claim
                )
            ):
                shape.claims = tuple(kept for kept in shape.claims if kept is not claim)
                shape.any_of = ((node, self._branches_of(node, condition, then, other), path), *shape.any_of)
                return

    def _is_nested(self, *schemas: Any) -> bool:
        return any(
            isinstance(schema, dict) and self._lowering.has_keyword(schema, "if") for schema in schemas
        )

    def _presence_of(self, node: Any, key: str) -> list[Any]:
        """Return schemas of the objects with a key, of those without it, and of all other values."""
        schema = self._lowering.synthetic.schema
        return [
            schema(node, {"type": "object", "required": [key]}),
            schema(node, {"type": "object", "properties": {key: False}}),
            schema(node, {"type": [name for name in TYPE_BITS if name != "object"]}),
        ]

    def _branches_of(self, node: Any, condition: Any, then: Any, other: Any) -> list[Any]:
        schema, negation = self._lowering.synthetic.schema, self._lowering.synthetic.negation(condition)
        return [schema(node, {"allOf": [condition, then]}), schema(node, {"allOf": [negation, other]})]

    def untangle(self, shape: Shape) -> None:
        """Turn each ``oneOf`` into alternatives: its branches, or groups of those that overlap."""
        kept = []
        for claim in shape.claims:
            if claim[0] != "one" or id(claim[2]) in self._tangled:
                kept.append(claim)
                continue
            groups = self._lowering.disjointness.components(claim[2], shape)
            if len(groups) == 1 and len(groups[0]) > 1:
                key = self._lowering.disjointness.optional_discriminator(groups[0])
                if key is None:
                    self._tangled.add(id(claim[2]))
                    kept.append(claim)
                    continue
            branches = [group[0] if len(group) == 1 else self._group(claim[1], group) for group in groups]
            shape.any_of += ((claim[1], branches, claim[3]),)
        if kept:
            shape.claims = tuple(kept)
        else:
            shape.__dict__.pop("claims", None)

    def _group(self, node: Any, branches: list[Any]) -> Any:
        """Return the schema that exactly one of some branches holds, which overlap."""
        schema = self._lowering.synthetic.schema
        key = self._lowering.disjointness.optional_discriminator(branches)
        if key is None:
            group = schema(node, {"oneOf": branches})
            self._tangled.add(id(group["oneOf"]))
            return group
        # With the property the branches are disjoint; other values look at the group as it is.
        present, *others = self._presence_of(node, key)
        cases = [schema(node, {**present, "oneOf": list(branches)})]
        for other in others:
            cases.append(schema(node, {**other, "oneOf": branches}))
            self._tangled.add(id(cases[-1]["oneOf"]))
        return schema(node, {"anyOf": cases})

    def postpone(self, shape: Shape) -> None:
        """Keep ``anyOf`` keywords with too many combinations as claims, which are decided while parsing."""
        combinations = 1
        for _, branches, _ in shape.any_of:
            combinations *= max(1, len(branches))
        if combinations > _MANY_BRANCHES:
            for _, branches, _ in shape.any_of[1:]:
                shape.claims += (("any", tuple(("is", branch) for branch in branches)),)
            shape.any_of = shape.any_of[:1]
