"""Objects: declared keys, pattern keys and additional keys of several schemas, merged key by key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._scalars import all_ascii, speakable
from ._shapes import Shape

if TYPE_CHECKING:
    from ._lower import Lowering

# Pattern keys split the undeclared keys into classes, at most two to the number of patterns.
_MAX_KEY_CLASSES = 256


def lower_object(lowering: Lowering, shape: Shape, exact: dict[str, Any] | None = None) -> int:
    """Lower the objects of a shape; with ``exact``, only the objects equal to that constant."""
    nodes = shape.objects
    lowering.level += 1
    if exact is not None:
        expression = _exact(lowering, shape, exact)
    elif not nodes:
        expression = _undeclared(lowering, shape)
    elif len(nodes) == 1 and "patternProperties" not in nodes[0]:
        expression = _single(lowering, shape, nodes[0])
    else:
        expression = _merged(lowering, shape)
    lowering.level -= 1
    return expression


def _undeclared(lowering: Lowering, shape: Shape) -> int:
    """Lower objects about which only the required keys and the counts are known."""
    if shape.required or shape.min_properties or shape.max_properties >= 0:
        keys = list(dict.fromkeys(shape.required))
        value = lowering.any_value()
        return _emit(lowering, shape, keys, [value] * len(keys), [value], [_other_keys(lowering, keys)])
    handle = lowering.shared.get("object")
    if handle is None:
        handle = _emit(lowering, shape, [], [], [lowering.any_value()], [lowering.any_text()])
        lowering.shared["object"] = handle
    return handle


def _single(lowering: Lowering, shape: Shape, node: dict[str, Any]) -> int:
    """Lower the common case: one schema says all, and it has no pattern keys."""
    child = lowering.child
    properties = node.get("properties", {})
    keys = list(properties)
    values = [child(schema) for schema in properties.values()]
    additional = node.get("additionalProperties", True)
    extra = child(additional)
    if shape.required:
        for key in dict.fromkeys(shape.required):
            if key not in properties:
                if extra == lowering.nothing:
                    return _forbidden(lowering, node, key)
                keys.append(key)
                values.append(extra)
    if extra == lowering.nothing:
        return _emit(lowering, shape, keys, values, [], [])
    return _emit(lowering, shape, keys, values, [extra], [_other_keys(lowering, keys)])


def _forbidden(lowering: Lowering, node: dict[str, Any], key: str) -> int:
    return lowering.dead(node, "additionalProperties", f"the required key {key!r} is not allowed")


def _impossible(lowering: Lowering, shape: Shape, key: str) -> int:
    for node in shape.objects:
        if node.get("properties", {}).get(key) is False:
            return lowering.dead(node["properties"], key, f"the required key {key!r} is not allowed")
    # Why there is no value has been noted where the value was lowered.
    return lowering.nothing


class _Member:
    """The object keywords of one schema of a conjunction."""

    __slots__ = ("additional", "node", "patterns", "properties")

    def __init__(self, lowering: Lowering, node: dict[str, Any]) -> None:
        self.node = node
        self.properties = node.get("properties", {})
        self.additional = node.get("additionalProperties", True)
        self.patterns = [
            (lowering.pattern(node, "patternProperties", pattern, pattern), schema)
            for pattern, schema in node.get("patternProperties", {}).items()
        ]

    def schemas_of(self, lowering: Lowering, key: str) -> list[Any]:
        """Return the schemas that the value of a key must satisfy."""
        schemas = [self.properties[key]] if key in self.properties else []
        matches = lowering.builder.re_matches
        schemas += [schema for regex, schema in self.patterns if matches(regex, key)]
        return schemas or [self.additional]

    def schemas_of_class(self, matched: frozenset[int]) -> list[Any]:
        """Return the schemas for the undeclared keys that match exactly the patterns ``matched``."""
        return [schema for regex, schema in self.patterns if regex in matched] or [self.additional]


def _exact(lowering: Lowering, shape: Shape, value: dict[str, Any]) -> int:
    if not (
        shape.min_properties <= len(value)
        and (shape.max_properties < 0 or len(value) <= shape.max_properties)
    ):
        return lowering.nothing
    if not value.keys() >= set(shape.required) or len(speakable(list(value))) < len(value):
        return lowering.nothing
    members = [_Member(lowering, node) for node in shape.objects]
    values = []
    for key, item in value.items():
        schemas = [schema for member in members for schema in member.schemas_of(lowering, key)]
        expression = lowering.child_all([*schemas, lowering.constant(item)])
        if expression == lowering.nothing:
            return expression
        values.append(expression)
    required = [True] * len(values)
    return lowering.builder.object(
        list(value), values, required, [], [], lowering.options.ordered, 0, -1, False
    )


def _merged(lowering: Lowering, shape: Shape) -> int:
    """Lower the general case: several schemas, pattern keys."""
    members = [_Member(lowering, node) for node in shape.objects]
    declared = [key for member in members for key in member.properties]
    keys = speakable(list(dict.fromkeys([*declared, *shape.required])))
    required = set(shape.required)
    if not required <= set(keys):
        return lowering.nothing
    values = []
    for key in keys:
        schemas = [schema for member in members for schema in member.schemas_of(lowering, key)]
        value = lowering.child_all(schemas)
        values.append(value)
    extra_values: dict[int, int] = {}
    for regex, matched in _key_classes(lowering, members, _other_keys(lowering, keys)):
        value = lowering.child_all(
            [schema for member in members for schema in member.schemas_of_class(matched)]
        )
        if value != lowering.nothing:
            known = extra_values.get(value)
            extra_values[value] = regex if known is None else lowering.builder.re_union([known, regex])
    return _emit(lowering, shape, keys, values, list(extra_values), list(extra_values.values()))


def _key_classes(lowering: Lowering, members: list[_Member], others: int) -> list[tuple[int, frozenset[int]]]:
    """Split the undeclared keys into disjoint classes by the patterns that they match."""
    builder = lowering.builder
    classes: list[tuple[int, frozenset[int]]] = [(others, frozenset())]
    patterns = dict.fromkeys(regex for member in members for regex, _ in member.patterns)
    for pattern in patterns:
        outside = builder.re_complement(pattern)
        split = []
        for regex, matched in classes:
            inner = builder.re_intersection([regex, pattern])
            outer = builder.re_intersection([regex, outside])
            if not builder.re_is_empty(inner):
                split.append((inner, matched | {pattern}))
            if not builder.re_is_empty(outer):
                split.append((outer, matched))
        classes = split
        if len(classes) > _MAX_KEY_CLASSES:
            raise lowering.limit(
                members[0].node,
                "patternProperties",
                f"the patterns split the keys into more than {_MAX_KEY_CLASSES} classes",
            )
    return classes


def _other_keys(lowering: Lowering, keys: list[str]) -> int:
    """Return the regex of every key except these."""
    if not keys:
        return lowering.any_text()
    return lowering.builder.re_complement(lowering.builder.re_words(speakable(keys)))


def _emit(
    lowering: Lowering,
    shape: Shape,
    keys: list[str],
    values: list[int],
    extra_values: list[int],
    extra_keys: list[int],
) -> int:
    required = set(shape.required)
    if not all_ascii(keys):
        spoken = set(speakable(keys))
        if not required <= spoken:
            return lowering.nothing
        kept = [index for index, key in enumerate(keys) if key in spoken]
        keys, values = [keys[index] for index in kept], [values[index] for index in kept]
    if lowering.nothing in values:
        for key, value in zip(keys, values, strict=True):
            if value == lowering.nothing and key in required:
                return _impossible(lowering, shape, key)
    low, high = shape.min_properties, shape.max_properties
    if 0 <= high < max(low, len(required)):
        return lowering.dead(lowering.node, "maxProperties", "more properties are required than allowed")
    if low <= len(required):
        low = 0
    if not extra_keys and high >= len(keys):
        high = -1
    # Repeats of an extra key count as one property, which matters unless all that is asked for is one
    # property more than the required ones: any further key is that.
    counted = high >= 0 or low > len(required) + 1
    return lowering.builder.object(
        keys,
        values,
        [key in required for key in keys] if required else [False] * len(keys),
        extra_keys,
        extra_values,
        lowering.options.ordered,
        low,
        high,
        bool(extra_keys) and (counted or lowering.options.distinct_keys),
    )
