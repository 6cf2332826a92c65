"""Which schemas exclude each other: the cheap reasons that cover nearly all ``oneOf`` of real schemas.

"Disjoint" is proved by one difference (type, constants, bounds, a discriminating property); "not disjoint"
only means that no cheap proof was found.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from structgen._errors import LimitError

from ._enum import constants_of, identity
from ._formulas import Formula
from ._shapes import ARRAY, KINDS, NUMBER, OBJECT, STRING, Shape, kind_of

if TYPE_CHECKING:
    from ._lower import Lowering

# Properties whose schemas are compared at most this deep.
_DEPTH = 3


# What shapes constrain that are only about properties.
_OF_OBJECTS = frozenset(("objects", "required", "types"))

# So many schemas are worth telling apart by a property that need not be there.
_MANY = 3

# What shapes of plain schemas constrain.
_PLAIN = frozenset(
    (
        "enums", "formats", "high", "high_open", "low", "low_open", "max_length", "min_length", "multiples",
        "patterns", "types",
    )
)  # fmt: skip


class Disjointness:
    """Proofs of disjointness for the schemas of one document, memoised."""

    def __init__(self, lowering: Lowering) -> None:
        self._lowering = lowering
        self._known: dict[tuple[int, int], bool] = {}
        self._merged: dict[int, Shape] = {}
        # By the identity of shapes, which are held for that.
        self._shapes: list[Shape] = []
        self._identities: dict[int, frozenset[Any]] = {}
        self._scalars: dict[tuple[int, int], list[Any]] = {}
        self._formulas: dict[tuple[int, int], Formula] = {}

    def merged(self, node: Any) -> Shape:
        """Return the conjunction of a schema and of everything it refers to, but for alternatives."""
        shape = self._merged.get(id(node))
        if shape is None:
            shape = self._merged[id(node)] = self._lowering.merge([node])
        return shape

    def is_plain(self, node: Any) -> bool:
        """Tell whether a schema, or what it negates, says nothing about the inside of arrays and objects."""
        node = self._lowering.synthetic.affirmation(node)
        if isinstance(node, bool):
            return True
        shape = self.merged(node)
        if not _PLAIN.issuperset(shape.__dict__):
            return False
        return not shape.enums or not any(
            isinstance(key, tuple) and key[0] in (dict, list) for key in self._constants(shape)
        )

    def schemas(self, left: Any, right: Any, depth: int = 0) -> bool:
        """Tell whether two schemas are known to have no value in common."""
        if left is False or right is False:
            return True
        if not isinstance(left, dict) or not isinstance(right, dict) or depth > _DEPTH:
            return False
        key = (id(left), id(right)) if id(left) <= id(right) else (id(right), id(left))
        known = self._known.get(key)
        if known is None:
            self._known[key] = False  # while it is being decided, for recursive schemas
            known = self._known[key] = self.shapes(self.merged(left), self.merged(right), depth)
        return known

    def shapes(self, left: Shape, right: Shape, depth: int, context: Shape | None = None) -> bool:
        """Tell whether two shapes are known to have no value in common (that ``context`` allows)."""
        self._lowering.check_time()
        common = left.types & right.types & (context.types if context is not None else ~0)
        for kind in KINDS:
            if common & kind and not self._differ(kind, left, right, depth, context):
                return self._alternatives(left, right, depth) or self._alternatives(right, left, depth)
        return True

    def _alternatives(self, left: Shape, right: Shape, depth: int) -> bool:
        """Tell whether every alternative of an ``anyOf`` (or ``oneOf``) of ``left`` excludes ``right``."""
        if depth >= _DEPTH:
            return False
        alternatives = [branches for _, branches, _ in left.any_of]
        alternatives += [claim[2] for claim in left.claims if claim[0] == "one"]
        for branches in alternatives:
            if len(branches) <= 32 and all(
                branch is not True and (branch is False or self.shapes(self.merged(branch), right, depth + 1))
                for branch in branches
            ):
                return True
        return False

    def _differ(self, kind: int, left: Shape, right: Shape, depth: int, context: Shape | None) -> bool:
        if left.enums or right.enums:
            if left.enums and right.enums and self._constants(left).isdisjoint(self._constants(right)):
                return True
            for one, other in ((left, right), (right, left)):
                if one.enums and kind not in (ARRAY, OBJECT) and not self._some_constant(one, other, kind):
                    return True
        if kind == STRING:
            return not left.enums and not right.enums and self._strings(left, right)
        if kind == NUMBER:
            return self._numbers(left, right)
        if kind == ARRAY:
            return self._arrays(left, right, depth)
        return kind == OBJECT and self._objects(left, right, depth, context)

    def _constants(self, shape: Shape) -> frozenset[Any]:
        known = self._identities.get(id(shape))
        if known is None:
            known = self._identities[id(shape)] = frozenset(map(identity, constants_of(*shape.enums[0])))
            self._shapes.append(shape)
        return known

    def _some_constant(self, one: Shape, other: Shape, kind: int) -> bool:
        """Tell whether a scalar constant of one shape may satisfy both."""
        known = self._scalars.get((id(one), kind))
        if known is None:
            own, evaluate = self._own(one, kind), self._lowering.truth.evaluate
            known = [v for v in constants_of(*one.enums[0]) if kind_of(v) == kind and evaluate(own, v)]
            self._scalars[id(one), kind] = known
            self._shapes.append(one)
        if other.enums:
            return bool(known) and not self._constants(other).isdisjoint(map(identity, known))
        own = self._own(other, kind)
        return any(self._lowering.truth.evaluate(own, value) for value in known)

    def _own(self, shape: Shape, kind: int) -> Formula:
        known = self._formulas.get((id(shape), kind))
        if known is None:
            known = self._formulas[id(shape), kind] = self._lowering.truth.own(shape, kind)
            self._shapes.append(shape)
        return known

    def _strings(self, left: Shape, right: Shape) -> bool:
        for one, other in ((left, right), (right, left)):
            if 0 <= one.max_length < other.min_length:
                return True
        if not (left.patterns or left.formats) or not (right.patterns or right.formats):
            return False
        builder = self._lowering.builder
        regexes = []
        for shape in (left, right):
            regexes += [self._lowering.pattern(node, "pattern", pattern) for node, pattern in shape.patterns]
            regexes += [
                regex
                for node, form in shape.formats
                if (regex := self._lowering.guards.format(node, form)[0]) is not None
            ]
        try:
            return builder.re_is_empty(builder.re_intersection(regexes))
        except LimitError:
            return False

    def _numbers(self, left: Shape, right: Shape) -> bool:
        for one, other in ((left, right), (right, left)):
            if one.high is not None and other.low is not None:
                if one.high < other.low:
                    return True
                if one.high == other.low and (one.high_open or other.low_open):
                    return True
        return False

    def _arrays(self, left: Shape, right: Shape, depth: int) -> bool:
        for one, other in ((left, right), (right, left)):
            if 0 <= one.max_items < other.min_items:
                return True
        items = self._lowering.items_of
        for index in range(min(4, max(left.min_items, right.min_items))):
            for a in left.arrays:
                for b in right.arrays:
                    first, second = (
                        prefix[index] if index < len(prefix) else rest
                        for prefix, rest in (items(a), items(b))
                    )
                    if self.schemas(first, second, depth + 1):
                        return True
        return False

    def _objects(self, left: Shape, right: Shape, depth: int, context: Shape | None) -> bool:
        required = {*left.required, *right.required, *(context.required if context is not None else ())}
        for one, other in ((left, right), (right, left)):
            if 0 <= one.max_properties < max(other.min_properties, len(set(other.required))):
                return True
        for key in required:
            first, second = self._values(left, key), self._values(right, key)
            if any(schema is False for schema in (*first, *second)):
                return True
            for a in first:
                for b in second:
                    if self.schemas(a, b, depth + 1):
                        return True
        return False

    def _values(self, shape: Shape, key: str) -> list[Any]:
        """Return schemas that the value of a key has to satisfy."""
        found = []
        for node in shape.objects:
            properties = node.get("properties", {})
            if key in properties:
                found.append(properties[key])
            elif "additionalProperties" in node and not self._matches_pattern(node, key):
                found.append(node["additionalProperties"])
        for claim in shape.claims:
            # A forbidden key is often spelled as not: {required: [key]}.
            if claim[0] == "not" and claim[1][0] == "is":
                inner = claim[1][1]
                if isinstance(inner, dict) and inner.get("required") == [key] and set(inner) <= {
                    "required", "type", "properties",
                } and not inner.get("properties"):  # fmt: skip
                    found.append(False)
        return found

    def _matches_pattern(self, node: Any, key: str) -> bool:
        matches = self._lowering.truth.is_at
        return any(
            matches(self._lowering.truth.matching(node, pattern), key)
            for pattern in node.get("patternProperties", {})
        )

    # -- components ------------------------------------------------------------------------

    def components(self, branches: list[Any], context: Shape) -> list[list[Any]]:
        """Group the branches of a ``oneOf``: branches of different groups are disjoint.

        At most one branch can then hold outside a group, so "exactly one of all" is the union over the groups
        of "exactly one of the group".
        """
        shapes = [
            None if branch is True else self.merged(branch) for branch in branches if branch is not False
        ]
        branches = [branch for branch in branches if branch is not False]
        if self._discriminated(shapes, context):
            return [[branch] for branch in branches]
        group = list(range(len(branches)))

        def find(index: int) -> int:
            while group[index] != index:
                group[index] = group[group[index]]
                index = group[index]
            return index

        # Of the branches that are constants, only those that share one have to be compared.
        free: list[int] = []
        holders: dict[Any, list[int]] = {}
        for i, one in enumerate(shapes):
            if one is None or not one.enums:
                candidates: Iterable[int] = range(i)
                free.append(i)
            else:
                shared = {j for constant in self._constants(one) for j in holders.get(constant, ())}
                candidates = sorted(shared.union(free))
                for constant in self._constants(one):
                    holders.setdefault(constant, []).append(i)
            for j in candidates:
                other = shapes[j]
                if find(i) == find(j):
                    continue
                if one is None or other is None or not self.shapes(one, other, 0, context):
                    group[find(j)] = find(i)
        found: dict[int, list[Any]] = {}
        for index, branch in enumerate(branches):
            found.setdefault(find(index), []).append(branch)
        return list(found.values())

    def _discriminated(self, shapes: list[Shape | None], context: Shape) -> bool:
        """Look for one required property whose scalar constants tell all branches apart, in linear time."""
        known = [shape for shape in shapes if shape is not None]
        if (
            len(known) < len(shapes)
            or not known
            or any(shape.types & context.types != OBJECT for shape in known)
        ):
            return False
        return any(
            all(key in shape.required or key in context.required for shape in known)
            and self._tells_apart(key, known)
            for key in known[0].required
        )

    def optional_discriminator(self, schemas: list[Any]) -> str | None:
        """Return a property whose scalar constants tell several schemas apart, provided that it is there."""
        if len(schemas) < _MANY or any(isinstance(schema, bool) for schema in schemas):
            return None
        shapes = [self.merged(schema) for schema in schemas]
        for node in shapes[0].objects:
            for key in node.get("properties", {}):
                if not all(key in shape.required for shape in shapes) and self._tells_apart(key, shapes):
                    return str(key)
        return None

    def _tells_apart(self, key: str, shapes: list[Shape]) -> bool:
        """Tell whether no two shapes have a constant in common that the value of a key can be."""
        seen: set[Any] = set()
        for shape in shapes:
            constants = self._scalar_constants(shape, key)
            if constants is None or constants & seen:
                return False
            seen |= constants
        return True

    def implied(self, condition: Shape, shape: Shape) -> bool:
        """Tell whether all values of ``shape`` satisfy ``condition``, as far as properties say so."""
        if not _OF_OBJECTS.issuperset(condition.__dict__) or shape.types & ~condition.types:
            return False
        if not shape.types & OBJECT:
            return True
        if not set(condition.required) <= set(shape.required):
            return False
        same = self._lowering.synthetic.same
        for node in condition.objects:
            if "patternProperties" in node or "additionalProperties" in node:
                return False
            for key, schema in node.get("properties", {}).items():
                values = self._values(shape, key)
                if schema is True or any(value is False or same(value) is same(schema) for value in values):
                    continue
                allowed = self._scalar_constants(condition, key)
                possible = self._scalar_constants(shape, key)
                if allowed is None or not possible or not possible <= allowed:
                    return False
        return True

    def _scalar_constants(self, shape: Shape, key: str) -> set[Any] | None:
        for node in shape.objects:
            schema = node.get("properties", {}).get(key)
            if isinstance(schema, dict) and not self._lowering.refers(schema):
                active = self._lowering.handlers_of(schema)
                if "const" in schema and "const" in active:
                    return {identity(schema["const"])}
                if "enum" in active and isinstance(schema.get("enum"), list):
                    return {identity(value) for value in schema["enum"]}
        return None
