"""Hypothesis strategies for JSON Schemas, for values near them, and for the spellings of a value.

Use them to test anything that reads schemas: draw a schema with :func:`json_schemas`, values that satisfy
it often (but not always) with :func:`instances`, and JSON texts of one value with :func:`spellings`.
Needs ``hypothesis``, which structgen itself does not.
"""

import json
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

__all__ = ["instances", "json_schemas", "json_values", "mutated", "spellings"]

_KEYS = ("a", "b", "ab", "x1", "", "é", 'q"', "/~%")
_STRINGS = ("", "a", "b", "ab", "ba", "abc", "x1", "12", "é", "\n", 'q"', "😀a", "a\\b", "zzzzz")
# Patterns that anchors, alternatives and classes make easy to get wrong.
_PATTERNS = ("^a", "b$", "^a|b$", "^[a-z]+$", "[0-9]", "^.{2}$", "^$", "x", "^[^a]*$", "^(ab?|é)+$")
_NUMBERS = (0, 1, -1, 2, 3, 10, -7, 100, 0.5, -0.5, 1.5, 2.25, -3.75, 0.1, 1e2, 99.99)
_TYPES = ("null", "boolean", "string", "integer", "number", "array", "object")


def json_values(max_leaves: int = 6) -> st.SearchStrategy[Any]:
    """Return a strategy for any JSON value; numbers are ``int`` or :class:`decimal.Decimal`.

    Parameters
    ----------
    max_leaves : int
        About how many scalars a value holds at most.
    """
    return st.recursive(
        _scalars(),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=3)
        ),
        max_leaves=max_leaves,
    )


def _numbers() -> st.SearchStrategy[Any]:
    fractions = st.decimals(min_value=-20, max_value=120, places=2)
    known = st.sampled_from(_NUMBERS).map(_exact)
    return known | st.integers(-20, 120) | fractions.map(_normal)


def _scalars() -> st.SearchStrategy[Any]:
    texts = st.sampled_from(_STRINGS) | st.text("ab1é\n😀", max_size=5)
    return st.none() | st.booleans() | texts | _numbers()


def _exact(value: Any) -> Any:
    """Turn a float into the decimal that its text says, and a whole number into an ``int``."""
    return _normal(Decimal(repr(value))) if isinstance(value, float) else value


def _normal(value: Decimal) -> Any:
    return int(value) if value == value.to_integral_value() else value.normalize()


# -- schemas -------------------------------------------------------------------------------


@st.composite
def json_schemas(draw: st.DrawFn, *, max_depth: int = 3, references: bool = True) -> Any:
    """Draw a JSON Schema of draft 2020-12: small, often satisfiable, sometimes recursive.

    Parameters
    ----------
    max_depth : int
        How deep schemas nest.
    references : bool
        Whether there are ``$ref`` and ``$defs``, recursion through properties and items included.
    """
    names = draw(st.lists(st.sampled_from(("p", "q/~", "r%")), unique=True, max_size=2)) if references else []
    schema = draw(_schema(max_depth, tuple(names)))
    if not names or isinstance(schema, bool):
        return schema
    # A definition refers to others only below a property or an item, so that no reference is its own value.
    schema["$defs"] = {name: draw(_definition(max_depth - 1, tuple(names))) for name in names}
    return schema


@st.composite
def _definition(draw: st.DrawFn, depth: int, names: tuple[str, ...]) -> Any:
    schema = draw(_schema(depth, ()))
    if isinstance(schema, dict) and draw(st.booleans()):
        reference = draw(_reference(names))
        schema.setdefault("properties", {})["a"] = reference
        if draw(st.booleans()):
            schema["items"] = reference
    return schema


def _reference(names: tuple[str, ...]) -> st.SearchStrategy[Any]:
    quoted = [name.replace("~", "~0").replace("/", "~1").replace("%", "%25") for name in names]
    return st.sampled_from([{"$ref": f"#/$defs/{name}"} for name in quoted])


@st.composite
def _schema(draw: st.DrawFn, depth: int, names: tuple[str, ...]) -> Any:
    kind = draw(st.integers(0, 19))
    if kind == 0:
        return draw(st.booleans())
    if kind == 1 and names:
        return draw(_reference(names))
    schema: dict[str, Any] = {}
    types = draw(st.lists(st.sampled_from(_TYPES), min_size=1, max_size=2, unique=True))
    if kind < 16:
        schema["type"] = types[0] if len(types) == 1 else types
    if kind in (3, 4):
        schema["enum"] = draw(st.lists(json_values(3).map(_plain), min_size=1, max_size=4))
    if kind == 5:
        schema["const"] = draw(json_values(3).map(_plain))
    for name in types:
        _KEYWORDS_OF[name](draw, schema, depth, names)
    if depth > 0 and kind in (2, 6, 7, 17):
        branches = st.lists(_schema(depth - 1, names), min_size=1, max_size=3)
        schema[draw(st.sampled_from(("anyOf", "allOf")))] = draw(branches)
    if kind == 8:
        schema |= {"title": "a title", "x-vendor": {"type": 3}, "format": "unheard-of"}
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


def _no_keywords(draw: st.DrawFn, schema: dict[str, Any], depth: int, names: tuple[str, ...]) -> None:
    """Null and boolean have no keywords of their own."""


def _string_keywords(draw: st.DrawFn, schema: dict[str, Any], depth: int, names: tuple[str, ...]) -> None:
    if draw(st.booleans()):
        schema["pattern"] = draw(st.sampled_from(_PATTERNS))
    if draw(st.booleans()):
        schema["minLength"] = draw(st.integers(0, 3))
    if draw(st.booleans()):
        schema["maxLength"] = draw(st.integers(0, 5))


def _number_keywords(draw: st.DrawFn, schema: dict[str, Any], depth: int, names: tuple[str, ...]) -> None:
    for keyword in draw(
        st.lists(
            st.sampled_from(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")),
            max_size=2,
            unique=True,
        )
    ):
        schema[keyword] = draw(st.sampled_from(_NUMBERS))


def _array_keywords(draw: st.DrawFn, schema: dict[str, Any], depth: int, names: tuple[str, ...]) -> None:
    if depth > 0 and draw(st.booleans()):
        schema["items"] = draw(_schema(depth - 1, names))
    if depth > 0 and draw(st.integers(0, 3)) == 0:
        schema["prefixItems"] = draw(st.lists(_schema(depth - 1, names), min_size=1, max_size=3))
    if draw(st.integers(0, 2)) == 0:
        schema["minItems"] = draw(st.integers(0, 2))
    if draw(st.integers(0, 2)) == 0:
        schema["maxItems"] = draw(st.sampled_from((0, 1, 2, 3, 2.0)))


def _object_keywords(draw: st.DrawFn, schema: dict[str, Any], depth: int, names: tuple[str, ...]) -> None:
    keys = st.sampled_from(_KEYS)
    if depth > 0:
        schema["properties"] = draw(st.dictionaries(keys, _schema(depth - 1, names), max_size=3))
        if draw(st.integers(0, 2)) == 0:
            patterns = st.sampled_from(_PATTERNS)
            schema["patternProperties"] = draw(
                st.dictionaries(patterns, _schema(depth - 1, names), max_size=2)
            )
        if draw(st.booleans()):
            schema["additionalProperties"] = draw(_schema(depth - 1, names))
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


# -- values near a schema ------------------------------------------------------------------


def instances(schema: Any) -> st.SearchStrategy[Any]:
    """Return a strategy for JSON values that often, but not always, satisfy ``schema``.

    Half of them follow the schema's keywords, the others are such values after a small mutation, or
    any values. Numbers are ``int`` or :class:`decimal.Decimal`.

    Parameters
    ----------
    schema : dict or bool
        A schema as :func:`json_schemas` makes them; references are ``#/...`` pointers.
    """
    guided = _guided(schema, schema, 4)
    return guided | guided.flatmap(mutated) | json_values()


@st.composite
def _guided(draw: st.DrawFn, schema: Any, root: Any, depth: int) -> Any:
    if not isinstance(schema, dict) or depth < 0:
        return draw(json_values(3))
    if "$ref" in schema:
        return draw(_guided(_target(schema["$ref"], root), root, depth))
    for keyword in ("anyOf", "allOf"):
        if keyword in schema:
            rest = {key: value for key, value in schema.items() if key != keyword}
            for branch in draw(st.permutations(schema[keyword])):
                if isinstance(branch, dict):
                    rest = {**rest, **_deref(branch, root)}
                if keyword == "anyOf":
                    break
            return draw(_guided(rest, root, depth - 1))
    if schema.get("enum"):
        return _decimal(draw(st.sampled_from(schema["enum"])))
    if "const" in schema:
        return _decimal(schema["const"])
    names = schema.get("type", _TYPES)
    name = names if isinstance(names, str) else draw(st.sampled_from(names))
    if name == "array":
        return draw(_guided_array(schema, root, depth))
    if name == "object":
        return draw(_guided_object(schema, root, depth))
    if name == "string":
        low = int(schema.get("minLength", 0))
        return draw(st.sampled_from(_STRINGS) | st.text("ab1é", min_size=low, max_size=max(low, 5)))
    if name in ("number", "integer"):
        return draw(_near_bounds(schema, name == "integer"))
    return None if name == "null" else draw(st.booleans())


def _deref(schema: dict[str, Any], root: Any) -> dict[str, Any]:
    if "$ref" in schema:
        target = _target(schema["$ref"], root)
        return target if isinstance(target, dict) else {}
    return schema


def _target(reference: str, root: Any) -> Any:
    node = root
    for part in reference.split("/")[1:]:
        name = part.replace("%25", "%").replace("~1", "/").replace("~0", "~")
        node = node[int(name)] if isinstance(node, list) else node[name]
    return node


def _decimal(value: Any) -> Any:
    """Turn the floats of a constant into exact decimals."""
    if isinstance(value, list):
        return [_decimal(item) for item in value]
    if isinstance(value, dict):
        return {key: _decimal(item) for key, item in value.items()}
    return _exact(value)


@st.composite
def _near_bounds(draw: st.DrawFn, schema: dict[str, Any], only_integers: bool) -> Any:
    keywords = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
    bounds = [Decimal(repr(schema[keyword])) for keyword in keywords if keyword in schema]
    if not bounds:
        return draw(st.integers(-20, 120) if only_integers else _numbers())
    steps = ("0", "1", "-1", "0.01", "-0.01", "9.5", "-9.5", "0.001")
    value = draw(st.sampled_from(bounds)) + Decimal(draw(st.sampled_from(steps)))
    return int(value.to_integral_value()) if only_integers else _normal(value)


@st.composite
def _guided_array(draw: st.DrawFn, schema: dict[str, Any], root: Any, depth: int) -> Any:
    low, high = int(schema.get("minItems", 0)), int(schema.get("maxItems", 3))
    prefix, rest = schema.get("prefixItems", []), schema.get("items", True)
    length = draw(st.integers(low, max(low, high)))
    return [draw(_guided(prefix[i] if i < len(prefix) else rest, root, depth - 1)) for i in range(length)]


@st.composite
def _guided_object(draw: st.DrawFn, schema: dict[str, Any], root: Any, depth: int) -> Any:
    properties = schema.get("properties", {})
    keys = [key for key in properties if draw(st.booleans())]
    keys += [key for key in schema.get("required", ()) if key not in keys]
    if schema.get("additionalProperties") is not False and draw(st.booleans()):
        keys += [key for key in [draw(st.sampled_from(_KEYS))] if key not in keys]
    result = {}
    for key in keys:
        patterns = list(schema.get("patternProperties", {}).values())
        others = [*patterns, schema.get("additionalProperties", True)]
        child = properties[key] if key in properties else draw(st.sampled_from(others))
        result[key] = draw(_guided(child, root, depth - 1))
    return result


@st.composite
def mutated(draw: st.DrawFn, value: Any) -> Any:
    """Draw a value that differs from ``value`` in one place."""
    kind = draw(st.integers(0, 3))
    if isinstance(value, dict) and value and kind:
        key = draw(st.sampled_from(list(value)))
        changed = dict(value)
        if kind == 1:
            del changed[key]
        elif kind == 2:
            changed[draw(st.sampled_from(_KEYS))] = draw(_scalars())
        else:
            changed[key] = draw(mutated(value[key]))
        return changed
    if isinstance(value, list) and value and kind:
        index = draw(st.integers(0, len(value) - 1))
        if kind == 1:
            return value[:index] + value[index + 1 :]
        if kind == 2:
            return [*value, draw(_scalars())]
        return [*value[:index], draw(mutated(value[index])), *value[index + 1 :]]
    if isinstance(value, str) and kind:
        return value + draw(st.sampled_from(("a", "b", "1", "é"))) if kind > 1 else value[:-1]
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool) and kind:
        return _normal(Decimal(value) + Decimal(draw(st.sampled_from(("1", "-1", "0.5", "-0.01", "0.1")))))
    return draw(_scalars())


# -- spellings -----------------------------------------------------------------------------


def spellings(
    value: Any, *, whitespace: bool = True, escapes: bool = False, numbers: bool = False, order: bool = True
) -> st.SearchStrategy[str]:
    """Return a strategy for JSON texts of one value.

    Parameters
    ----------
    value : Any
        A JSON value; numbers are ``int`` or :class:`decimal.Decimal`.
    whitespace : bool
        Whether there is white space between lexemes.
    escapes : bool
        Whether characters are spelled as escapes that need none.
    numbers : bool
        Whether numbers are spelled with exponents and needless zeros.
    order : bool
        Whether the keys of objects come in any order.
    """
    return _spelling(value, whitespace, escapes, numbers, order)


@st.composite
def _spelling(
    draw: st.DrawFn, value: Any, whitespace: bool, escapes: bool, numbers: bool, order: bool
) -> str:
    blanks = st.sampled_from(("", "", " ", "\n", "\t \r")) if whitespace else st.just("")

    def spell(item: Any) -> str:
        if isinstance(item, dict):
            keys = draw(st.permutations(list(item))) if order else list(item)
            members = [draw(blanks) + spell(key) + ":" + draw(blanks) + spell(item[key]) for key in keys]
            text = "{" + draw(blanks) + ",".join(members) + "}"
        elif isinstance(item, list):
            text = "[" + draw(blanks) + ",".join(draw(blanks) + spell(part) for part in item) + "]"
        elif isinstance(item, str):
            text = draw(_string_spelling(item)) if escapes else json.dumps(item, ensure_ascii=False)
        elif isinstance(item, (int, Decimal)) and not isinstance(item, bool):
            text = draw(_number_spelling(Decimal(item))) if numbers else f"{Decimal(item):f}"
        else:
            text = json.dumps(item)
        return text + draw(blanks)

    return draw(blanks) + spell(value)


@st.composite
def _string_spelling(draw: st.DrawFn, value: str) -> str:
    text = ""
    for char in value:
        units = char.encode("utf-16-be")
        escaped = "".join(f"\\u{units[i]:02x}{units[i + 1]:02X}" for i in range(0, len(units), 2))
        plain = json.dumps(char, ensure_ascii=False)[1:-1]
        text += draw(st.sampled_from((plain, escaped, escaped.upper().replace("U", "u"))))
    return f'"{text}"'


@st.composite
def _number_spelling(draw: st.DrawFn, value: Decimal) -> str:
    exponent = draw(st.integers(-3, 3))
    mantissa = f"{value.scaleb(-exponent):f}"
    if "." in mantissa or draw(st.booleans()):
        mantissa += ("" if "." in mantissa else ".0") + "0" * draw(st.integers(0, 2))
    sign = draw(st.sampled_from(("", "+"))) if exponent >= 0 else "-"
    if exponent == 0 and draw(st.booleans()):
        return mantissa
    return f"{mantissa}{draw(st.sampled_from('eE'))}{sign}{'0' * draw(st.integers(0, 1))}{abs(exponent)}"
