"""Hypothesis strategies for JSON Schemas, for values near them, and for the spellings of a value.

Use them to test anything that reads schemas: draw a schema with :func:`json_schemas`, values that satisfy
it often (but not always) with :func:`instances`, and JSON texts of one value with :func:`spellings`.
Needs ``hypothesis``, which structgen itself does not.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Literal

from hypothesis import strategies as st

from structgen.testing._drafts import Draft, as_draft
from structgen.testing._values import KEYS, NUMBERS, TYPES, instances, json_values, mutated, spellings

__all__ = ["HARD_KEYWORDS", "instances", "json_schemas", "json_values", "mutated", "spellings"]

# Patterns that anchors, alternatives and classes make easy to get wrong.
_PATTERNS = ("^a", "b$", "^a|b$", "^[a-z]+$", "[0-9]", "^.{2}$", "^$", "x", "^[^a]*$", "^(ab?|é)+$")


# -- schemas -------------------------------------------------------------------------------

HARD_KEYWORDS = (
    "oneOf",
    "not",
    "if",
    "dependentRequired",
    "dependentSchemas",
    "propertyNames",
    "contains",
    "unevaluatedProperties",
    "unevaluatedItems",
    "uniqueItems",
    "multipleOf",
    "format",
    "$dynamicRef",
)
"""What ``json_schemas(keywords="all")`` draws beyond the plain keywords."""

# With hard keywords, keys and values come from few, so that branches overlap.
_FEW_KEYS = ("a", "b", "ab", "x1")
_FEW_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    2,
    1.5,
    "",
    "a",
    "ab",
    [],
    [1],
    ["a", 1],
    {},
    {"a": 1},
    {"b": []},
)
_FEW_NUMBERS = (0, 1, 2, 3, -1, 0.5, 1.5, 10)


@dataclass(frozen=True)
class _World:
    """What schemas at some place may hold: names to refer to, hard keywords, references to the root."""

    names: tuple[str, ...]
    hard: tuple[str, ...] = ()
    below: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        return _FEW_KEYS if self.hard else KEYS

    @property
    def numbers(self) -> tuple[float, ...]:
        return _FEW_NUMBERS if self.hard else NUMBERS

    def child(self) -> "_World":
        """Return the world below a property or an item, from where the root may be referred to."""
        return replace(self, below=True)


@st.composite
def json_schemas(
    draw: st.DrawFn,
    *,
    max_depth: int = 3,
    references: bool = True,
    keywords: Literal["plain", "all"] | Collection[str] = "plain",
    draft: Draft = "2020-12",
) -> Any:
    """Draw a JSON Schema: small, often satisfiable, sometimes recursive.

    Parameters
    ----------
    max_depth : int
        How deep schemas nest.
    references : bool
        Whether there are ``$ref`` and ``$defs``, recursion through properties and items included.
    keywords : {"plain", "all"} or collection of str
        ``"plain"``: types, enumerations, bounds, properties, items, ``anyOf``, ``allOf``. ``"all"``:
        those of :data:`HARD_KEYWORDS` too; a collection names some of them. At least one of them is at
        the root.
    draft : {"4", "6", "7", "2019-09", "2020-12"}
        The draft of the schema. It does not say so itself: there is no ``$schema``.
    """
    chosen = HARD_KEYWORDS if keywords == "all" else () if keywords == "plain" else tuple(keywords)
    if unknown := set(chosen) - set(HARD_KEYWORDS):
        raise ValueError(f"not in HARD_KEYWORDS: {sorted(unknown)}")
    names = draw(st.lists(st.sampled_from(("p", "q/~", "r%")), unique=True, max_size=2)) if references else []
    world = _World(tuple(names), chosen)
    schema = draw(_schema(max_depth, world, is_root=True))
    if isinstance(schema, bool):
        return as_draft(schema, draft)
    if "$dynamicRef" in chosen:
        schema["$dynamicAnchor"] = "node"
    # A definition refers to others only below a property or an item, so that no reference is its own value.
    if names:
        schema["$defs"] = {name: draw(_definition(max_depth - 1, world)) for name in names}
    return as_draft(schema, draft)


@st.composite
def _definition(draw: st.DrawFn, depth: int, world: _World) -> Any:
    schema = draw(_schema(depth, replace(world, names=())))
    if isinstance(schema, dict) and draw(st.booleans()):
        reference = draw(_reference(world.names))
        schema.setdefault("properties", {})["a"] = reference
        if draw(st.booleans()):
            schema["items"] = reference
    return schema


def _reference(names: tuple[str, ...]) -> st.SearchStrategy[Any]:
    quoted = [name.replace("~", "~0").replace("/", "~1").replace("%", "%25") for name in names]
    return st.sampled_from([{"$ref": f"#/$defs/{name}"} for name in quoted])


@st.composite
def _schema(draw: st.DrawFn, depth: int, world: _World, is_root: bool = False) -> Any:
    kind = draw(st.integers(0, 19))
    must = is_root and bool(world.hard)
    if kind == 0 and not must:
        return draw(st.booleans())
    if kind == 1 and world.names and not must:
        return draw(_reference(world.names))
    if kind == 9 and world.below and "$dynamicRef" in world.hard:
        return {"$dynamicRef": "#node"}
    schema: dict[str, Any] = {}
    types = draw(st.lists(st.sampled_from(TYPES), min_size=1, max_size=2, unique=True))
    # What has no type is true of most values, which is what makes branches overlap.
    if kind < (8 if world.hard else 16):
        schema["type"] = types[0] if len(types) == 1 else types
    values = st.sampled_from(_FEW_VALUES) if world.hard else json_values(3).map(_plain)
    if kind in (3, 4):
        schema["enum"] = draw(st.lists(values, min_size=1, max_size=4))
    if kind == 5:
        schema["const"] = draw(values)
    for name in types:
        _KEYWORDS_OF[name](draw, schema, depth, world)
    if depth > 0 and kind in (2, 6, 7, 17):
        branches = st.lists(_schema(depth - 1, world), min_size=1, max_size=3)
        schema[draw(st.sampled_from(("anyOf", "allOf")))] = draw(branches)
    if kind == 8:
        schema |= {"title": "a title", "x-vendor": {"type": 3}, "format": "unheard-of"}
    if world.hard and depth > 0:
        least, most = int(must), 2 if is_root else 1
        names = st.lists(st.sampled_from(world.hard), min_size=least, max_size=most, unique=True)
        for keyword in draw(names):
            _HARD[keyword](draw, schema, depth, world)
    return schema


def _plain(value: Any) -> Any:
    """Turn decimals into floats, as a parsed schema has them."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _no_keywords(draw: st.DrawFn, schema: dict[str, Any], depth: int, world: _World) -> None:
    """Null and boolean have no keywords of their own."""


def _string_keywords(draw: st.DrawFn, schema: dict[str, Any], depth: int, world: _World) -> None:
    if draw(st.booleans()):
        schema["pattern"] = draw(st.sampled_from(_PATTERNS))
    if draw(st.booleans()):
        schema["minLength"] = draw(st.integers(0, 3))
    if draw(st.booleans()):
        schema["maxLength"] = draw(st.integers(0, 5))


def _number_keywords(draw: st.DrawFn, schema: dict[str, Any], depth: int, world: _World) -> None:
    for keyword in draw(
        st.lists(
            st.sampled_from(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")),
            max_size=2,
            unique=True,
        )
    ):
        schema[keyword] = draw(st.sampled_from(world.numbers))


def _array_keywords(draw: st.DrawFn, schema: dict[str, Any], depth: int, world: _World) -> None:
    if depth > 0 and draw(st.booleans()):
        schema["items"] = draw(_schema(depth - 1, world.child()))
    if depth > 0 and draw(st.integers(0, 3)) == 0:
        schema["prefixItems"] = draw(st.lists(_schema(depth - 1, world.child()), min_size=1, max_size=3))
    if draw(st.integers(0, 2)) == 0:
        schema["minItems"] = draw(st.integers(0, 2))
    if draw(st.integers(0, 2)) == 0:
        schema["maxItems"] = draw(st.sampled_from((0, 1, 2, 3, 2.0)))


def _object_keywords(draw: st.DrawFn, schema: dict[str, Any], depth: int, world: _World) -> None:
    keys = st.sampled_from(world.keys)
    if depth > 0:
        schema["properties"] = draw(st.dictionaries(keys, _schema(depth - 1, world.child()), max_size=3))
        if draw(st.integers(0, 2)) == 0:
            patterns = st.sampled_from(_PATTERNS)
            schema["patternProperties"] = draw(
                st.dictionaries(patterns, _schema(depth - 1, world.child()), max_size=2)
            )
        if draw(st.booleans()):
            schema["additionalProperties"] = draw(_schema(depth - 1, world.child()))
    if draw(st.booleans()):
        schema["required"] = draw(st.lists(keys, max_size=2, unique=True))
    if draw(st.integers(0, 4)) == 0:
        schema["minProperties"] = draw(st.integers(0, 3))
    if draw(st.integers(0, 4)) == 0:
        schema["maxProperties"] = draw(st.integers(0, 3))


_KEYWORDS_OF = {
    "null": _no_keywords,
    "boolean": _no_keywords,
    "string": _string_keywords,
    "integer": _number_keywords,
    "number": _number_keywords,
    "array": _array_keywords,
    "object": _object_keywords,
}


# -- hard keywords -------------------------------------------------------------------------


def _often(draw: st.DrawFn, schema: dict[str, Any], name: str) -> None:
    """Let the schema be about the type of a keyword, or about any."""
    if draw(st.booleans()):
        schema["type"] = name
    elif "type" in schema:
        del schema["type"]


def _one_of(draw: st.DrawFn, schema: dict[str, Any], depth: int, world: _World) -> None:
    schema["oneOf"] = draw(st.lists(_schema(depth - 1, world), min_size=1, max_size=3))


def _not(draw: st.DrawFn, schema: dict[str, Any], depth: int, world: _World) -> None:
    schema["not"] = draw(_schema(depth - 1, world))


def _if(draw: st.DrawFn, schema: dict[str, Any], depth: int, world: _World) -> None:
    schema["if"] = draw(_schema(depth - 1, world))
    for keyword in draw(st.sampled_from((["then"], ["else"], ["then", "else"]))):
        schema[keyword] = draw(_schema(depth - 1, world))


def _dependent_required(draw: st.DrawFn, schema: dict[str, Any], depth: int, world: _World) -> None:
    keys = st.sampled_from(world.keys)
    lists = st.lists(keys, max_size=2, unique=True)
    schema["dependentRequired"] = draw(st.dictionaries(keys, lists, min_size=1, max_size=2))
    _often(draw, schema, "object")


def _dependent_schemas(draw: st.DrawFn, schema: dict[str, Any], depth: int, world: _World) -> None:
    keys = st.sampled_from(world.keys)
    children = _schema(depth - 1, world)
    schema["dependentSchemas"] = draw(st.dictionaries(keys, children, min_size=1, max_size=2))
    _often(draw, schema, "object")


def _property_names(draw: st.DrawFn, schema: dict[str, Any], depth: int, world: _World) -> None:
    patterns = st.sampled_from(_PATTERNS).map(lambda pattern: {"pattern": pattern})
    keys = st.lists(st.sampled_from(world.keys), min_size=1, max_size=3).map(lambda keys: {"enum": keys})
    lengths = st.integers(0, 2).map(lambda length: {"maxLength": length})
    schema["propertyNames"] = draw(patterns | keys | lengths | _schema(depth - 1, world))
    _often(draw, schema, "object")


def _contains(draw: st.DrawFn, schema: dict[str, Any], depth: int, world: _World) -> None:
    schema["contains"] = draw(_schema(depth - 1, world.child()))
    if draw(st.booleans()):
        schema["minContains"] = draw(st.integers(0, 2))
    if draw(st.booleans()):
        schema["maxContains"] = draw(st.integers(0, 3))
    _often(draw, schema, "array")


def _unevaluated_properties(draw: st.DrawFn, schema: dict[str, Any], depth: int, world: _World) -> None:
    schema["unevaluatedProperties"] = draw(st.just(False) | _schema(depth - 1, world.child()))
    # It says nothing where additional properties are evaluated anyway.
    schema.pop("additionalProperties", None)
    _evaluating_branches(draw, schema, depth, world, "object")


def _unevaluated_items(draw: st.DrawFn, schema: dict[str, Any], depth: int, world: _World) -> None:
    schema["unevaluatedItems"] = draw(st.just(False) | _schema(depth - 1, world.child()))
    schema.pop("items", None)
    _evaluating_branches(draw, schema, depth, world, "array")


def _evaluating_branches(
    draw: st.DrawFn, schema: dict[str, Any], depth: int, world: _World, name: str
) -> None:
    """Add branches that evaluate a part each; which of them hold is what matters to ``unevaluated*``."""
    branches = []
    for _ in range(draw(st.integers(0, 2))):
        branch: dict[str, Any] = {}
        _KEYWORDS_OF[name](draw, branch, depth, world)
        branch.pop("additionalProperties" if name == "object" else "items", None)
        branches.append(branch)
    if branches:
        applicators = [keyword for keyword in ("oneOf", "anyOf", "allOf") if keyword not in schema]
        allowed = [keyword for keyword in applicators if keyword != "oneOf" or "oneOf" in world.hard]
        if allowed:
            schema[draw(st.sampled_from(allowed))] = branches
    _often(draw, schema, name)


def _unique_items(draw: st.DrawFn, schema: dict[str, Any], depth: int, world: _World) -> None:
    schema["uniqueItems"] = draw(st.sampled_from((True, True, True, False)))
    if draw(st.booleans()):
        schema["items"] = draw(st.sampled_from(({"type": "boolean"}, {"enum": [1, "a", [1], {"a": 1}]})))
    _often(draw, schema, "array")


def _multiple_of(draw: st.DrawFn, schema: dict[str, Any], depth: int, world: _World) -> None:
    schema["multipleOf"] = draw(st.sampled_from((1, 2, 3, 7, 10, 0.5, 0.25, 1.5, 0.01, 2.0)))
    _often(draw, schema, draw(st.sampled_from(("number", "integer"))))


def _format(draw: st.DrawFn, schema: dict[str, Any], depth: int, world: _World) -> None:
    schema["format"] = draw(st.sampled_from(("date", "email", "ipv4", "uuid", "int32")))
    _often(draw, schema, "string")


def _dynamic_ref(draw: st.DrawFn, schema: dict[str, Any], depth: int, world: _World) -> None:
    if draw(st.booleans()):
        schema.setdefault("properties", {})[draw(st.sampled_from(world.keys))] = {"$dynamicRef": "#node"}
        _often(draw, schema, "object")
    else:
        schema["items"] = {"$dynamicRef": "#node"}
        _often(draw, schema, "array")


_HARD = {
    "oneOf": _one_of,
    "not": _not,
    "if": _if,
    "dependentRequired": _dependent_required,
    "dependentSchemas": _dependent_schemas,
    "propertyNames": _property_names,
    "contains": _contains,
    "unevaluatedProperties": _unevaluated_properties,
    "unevaluatedItems": _unevaluated_items,
    "uniqueItems": _unique_items,
    "multipleOf": _multiple_of,
    "format": _format,
    "$dynamicRef": _dynamic_ref,
}
