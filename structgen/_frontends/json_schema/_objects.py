"""Objects: declared keys, pattern keys and additional keys of several schemas, merged key by key.

A formula about the object (see ``_formulas``) joins in three ways: what it asks in any case becomes part of
the members; what is left is counted while the object is parsed (see ``_tally``).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ._formulas import FALSE, TRUE, Formula, Keys, all_of, counted
from ._scalars import all_ascii, speakable
from ._shapes import Shape
from ._tally import Cells, Tally, merged_range, split

if TYPE_CHECKING:
    from ._lower import Lowering

# Pattern keys split the undeclared keys into classes, at most two to the number of patterns.
_MAX_KEY_CLASSES = 256


def lower_object(
    lowering: Lowering, shape: Shape, exact: dict[str, Any] | None = None, formula: Formula = TRUE
) -> int:
    """Lower the objects of a shape for which a formula holds; with ``exact``, only those equal to it."""
    nodes = shape.objects
    lowering.level += 1
    if exact is not None:
        expression = _exact(lowering, shape, exact)
    elif formula is not TRUE or shape.property_names:
        expression = _Merge(lowering, shape, formula).lower()
    elif not nodes:
        expression = _undeclared(lowering, shape)
    elif len(nodes) == 1 and "patternProperties" not in nodes[0]:
        expression = _single(lowering, shape, nodes[0])
    else:
        expression = _Merge(lowering, shape, TRUE).lower()
    lowering.level -= 1
    if nodes:
        lowering.nodes_of[expression] = nodes
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
        expression = lowering.child_all([*schemas, lowering.synthetic.constant(item)])
        if expression == lowering.nothing:
            return expression
        values.append(expression)
    required = [True] * len(values)
    return lowering.builder.object(
        list(value), values, required, [], [], lowering.options.ordered, 0, -1, False
    )


class _Merge:
    """The general case: several schemas, pattern keys, a formula."""

    def __init__(self, lowering: Lowering, shape: Shape, formula: Formula) -> None:
        self.lowering = lowering
        self.members = [_Member(lowering, node) for node in shape.objects]
        # What a formula asks of the values at some keys, in any case.
        self.rules: list[tuple[Keys, Any]] = []
        self.shape = shape = shape.copy()
        atoms, rest = split(formula)
        left: list[Formula] = [rest]
        any_text = lowering.any_text()
        for atom in atoms:
            places = atom.places
            if atom.high == 0:
                self.rules.append(
                    (places, False if atom.schema is True else lowering.synthetic.negation(atom.schema))
                )
            elif places.name is not None and atom.low == 1:
                # A key comes once at most: it is there, and its value satisfies the schema.
                shape.required += (places.name,)
                if atom.schema is not True:
                    self.rules.append((places, atom.schema))
            elif atom.schema is not True:
                left.append(atom)
            elif places.name is None and places.regex == any_text:
                shape.min_properties, shape.max_properties = merged_range(
                    shape.min_properties, shape.max_properties, atom
                )
            else:
                left.append(atom)
        self.formula = all_of(left)
        declared = [key for member in self.members for key in member.properties]
        self.keys = speakable(list(dict.fromkeys([*declared, *shape.required])))
        if self.formula is not TRUE and (shape.min_properties or shape.max_properties >= 0):
            count = counted(lowering.truth.every_key, True, shape.min_properties, shape.max_properties)
            self.formula = all_of([self.formula, count])
        self.tally = Tally(lowering, self.formula)
        named = [places.name for places, _ in self.rules]
        named += [counter.places.name for counter in self.tally.counters]
        known = set(self.keys)
        # Keys that only formulas name: no schema declares them, so they have no place in the order.
        self.others = speakable([key for key in dict.fromkeys(named) if key is not None and key not in known])

    def lower(self) -> int:
        lowering, shape = self.lowering, self.shape
        builder = lowering.builder
        if self.formula is FALSE:
            return lowering.nothing
        if not set(shape.required) <= set(self.keys):
            return lowering.nothing
        names = [lowering.truth.key_regex(schema) for _, schema in shape.property_names]
        if not lowering.options.ordered:
            self.keys += self.others
            self.others = []
        cells = [
            self._cells_of_key(key) if all(builder.re_matches(regex, key) for regex in names) else []
            for key in self.keys
        ]
        extras: list[tuple[int, Cells]] = []
        for key in self.others:
            if all(builder.re_matches(regex, key) for regex in names):
                extras.append((builder.re_literal(key), self._cells_of_key(key)))
        singles = len(extras)
        unnamed = _other_keys(lowering, [*self.keys, *self.others])
        if names:
            unnamed = builder.re_intersection([unnamed, *names])
        if not (names and builder.re_is_empty(unnamed)):
            patterns = [regex for member in self.members for regex, _ in member.patterns]
            patterns += [places.regex for places, _ in self.rules if places.name is None]
            patterns += [c.places.regex for c in self.tally.counters if c.places.name is None]
            for regex, matched in key_classes(lowering, unnamed, patterns):
                extras.append((regex, self._cells_of_class(matched)))
        if self.formula is TRUE:
            expression = self._plain(cells, extras)
        else:
            expression = self._tallied(cells, extras, singles)
        for node, schema in shape.property_names:
            guard = lowering.truth.key_guard(node, schema)
            if guard is not None:
                expression = lowering.guards.guarded(expression, guard, False)
        return expression

    def _plain(self, cells: list[Cells], extras: list[tuple[int, Cells]]) -> int:
        """Nothing has to be counted: every element has one expression."""
        nothing, builder = self.lowering.nothing, self.lowering.builder
        extra_values: dict[int, int] = {}
        for regex, choices in extras:
            for value, _ in choices:
                known = extra_values.get(value)
                extra_values[value] = regex if known is None else builder.re_union([known, regex])
        values = [choices[0][0] if choices else nothing for choices in cells]
        return _emit(
            self.lowering, self.shape, self.keys, values, list(extra_values), list(extra_values.values())
        )

    def _tallied(self, cells: list[Cells], extras: list[tuple[int, Cells]], singles: int) -> int:
        lowering, required = self.lowering, set(self.shape.required)
        builder = lowering.builder
        goals = [self.tally.goal()]
        for index, (_, choices) in enumerate(extras[:singles]):
            # A key comes at most once, also where it has no place in the order.
            number = self.tally.extra_counter()
            goals.append(builder.goal(number, 0, 1))
            extras[index] = (extras[index][0], [(value, [*hits, number]) for value, hits in choices])
        # Of a key that repeats the last value counts: a hit that helps must not be overwritten.
        distinct = lowering.options.distinct_keys or any(
            counter.places.name is None and counter.hit for counter in self.tally.counters
        )
        counts_keys = self.shape.max_properties >= 0
        extras = [(regex, choices) for regex, choices in extras if choices]
        return builder.tallied_object(
            self.keys,
            cells,
            [key in required for key in self.keys],
            [regex for regex, _ in extras],
            [choices for _, choices in extras],
            lowering.options.ordered,
            (distinct or counts_keys) and len(extras) > 0,
            builder.goal_all(goals),
        )

    def _cells_of_key(self, key: str) -> Cells:
        lowering = self.lowering
        is_at = lowering.truth.is_at
        schemas = [schema for member in self.members for schema in member.schemas_of(lowering, key)]
        schemas += [schema for places, schema in self.rules if is_at(places, key)]
        return self.tally.cells(schemas, self.tally.of_key(key))

    def _cells_of_class(self, matched: frozenset[int]) -> Cells:
        schemas = [schema for member in self.members for schema in member.schemas_of_class(matched)]
        schemas += [schema for places, schema in self.rules if places.regex in matched]
        return self.tally.cells(schemas, [c for c in self.tally.counters if c.places.regex in matched])


def key_classes(lowering: Lowering, keys: int, patterns: Iterable[int]) -> list[tuple[int, frozenset[int]]]:
    """Split the keys in a regex into disjoint classes by the regexes that they match."""
    builder, any_text = lowering.builder, lowering.any_text()
    patterns = dict.fromkeys(patterns)
    classes: list[tuple[int, frozenset[int]]] = [
        (keys, frozenset((any_text,)) if any_text in patterns else frozenset())
    ]
    for pattern in patterns:
        if pattern == any_text:
            continue
        outside = builder.re_complement(pattern)
        lowering.check_time()
        split_classes = []
        for regex, matched in classes:
            inner = builder.re_intersection([regex, pattern])
            outer = builder.re_intersection([regex, outside])
            if not builder.re_is_empty(inner):
                split_classes.append((inner, matched | {pattern}))
            if not builder.re_is_empty(outer):
                split_classes.append((outer, matched))
        classes = split_classes
        if len(classes) > _MAX_KEY_CLASSES:
            raise lowering.limit(
                lowering.node,
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
