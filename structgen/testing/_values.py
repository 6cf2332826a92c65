"""JSON values near a schema, and the spellings of a value, for :mod:`structgen.testing.schemas`."""

import json
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

KEYS = ("a", "b", "ab", "x1", "", "é", 'q"', "/~%")
_STRINGS = ("", "a", "b", "ab", "ba", "abc", "x1", "12", "é", "\n", 'q"', "😀a", "a\\b", "zzzzz")
NUMBERS = (0, 1, -1, 2, 3, 10, -7, 100, 0.5, -0.5, 1.5, 2.25, -3.75, 0.1, 1e2, 99.99)
TYPES = ("null", "boolean", "string", "integer", "number", "array", "object")


def json_values(max_leaves: int = 6) -> st.SearchStrategy[Any]:
    """Return a strategy for any JSON value; numbers are ``int`` or :class:`decimal.Decimal`.

    Parameters
    ----------
    max_leaves : int
        About how many scalars a value holds at most.
    """
    return st.recursive(
        _scalars(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
        max_leaves=max_leaves,
    )


def _numbers() -> st.SearchStrategy[Any]:
    fractions = st.decimals(min_value=-20, max_value=120, places=2)
    known = st.sampled_from(NUMBERS).map(_exact)
    return known | st.integers(-20, 120) | fractions.map(_normal)


def _scalars() -> st.SearchStrategy[Any]:
    texts = st.sampled_from(_STRINGS) | st.text("ab1é\n😀", max_size=5)
    return st.none() | st.booleans() | texts | _numbers()


def _exact(value: Any) -> Any:
    """Turn a float into the decimal that its text says, and a whole number into an ``int``."""
    return _normal(Decimal(repr(value))) if isinstance(value, float) else value


def _normal(value: Decimal) -> Any:
    return int(value) if value == value.to_integral_value() else value.normalize()


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
    merged = _merged(draw, schema, root, 4)
    if merged.get("enum"):
        return _decimal(draw(st.sampled_from(merged["enum"])))
    if "const" in merged:
        return _decimal(merged["const"])
    names = merged.get("type", TYPES)
    name = names if isinstance(names, str) else draw(st.sampled_from(names))
    if name == "array":
        return draw(_guided_array(merged, root, depth))
    if name == "object":
        return draw(_guided_object(merged, root, depth))
    if name == "string":
        low = int(merged.get("minLength", 0))
        return draw(st.sampled_from(_STRINGS) | st.text("ab1é", min_size=low, max_size=max(low, 5)))
    if name in ("number", "integer"):
        return draw(_near_bounds(merged, name == "integer"))
    return None if name == "null" else draw(st.booleans())


def _merged(draw: st.DrawFn, schema: Any, root: Any, fuel: int) -> dict[str, Any]:
    """Make one schema without branches and references that instances may follow, of the branches some."""
    if not isinstance(schema, dict):
        return {}
    rest = dict(schema)
    if not fuel:
        return rest
    chosen = [_target(rest.pop(keyword), root) for keyword in _REFERENCES if keyword in rest]
    for keyword in ("anyOf", "oneOf"):
        if rest.get(keyword):
            chosen.append(draw(st.sampled_from(rest.pop(keyword))))
    chosen += rest.pop("allOf", [])
    if "if" in rest:
        holds = draw(st.booleans())
        chosen += [rest["if"], rest.get("then")] if holds else [rest.get("else")]
    # What must not hold is where mistakes show.
    if "not" in rest and draw(st.integers(0, 3)) == 0:
        chosen.append(rest["not"])
    for key, child in {**rest.get("dependentSchemas", {}), **rest.get("dependencies", {})}.items():
        kind = draw(st.integers(0, 2))
        if kind:
            chosen.append({"required": [key]})
        if kind > 1:
            chosen.append(child if isinstance(child, dict) else {})
    for branch in chosen:
        rest = _united(rest, _merged(draw, branch, root, fuel - 1))
    return rest


_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")


def _united(left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    """Put two schemas together, good enough for guidance: the right one wins."""
    united = {**left, **right}
    if "properties" in left and "properties" in right:
        united["properties"] = {**left["properties"], **right["properties"]}
    if "required" in left and "required" in right:
        united["required"] = list(dict.fromkeys([*left["required"], *right["required"]]))
    return united


def _target(reference: str, root: Any) -> Any:
    """Follow a pointer; what is no pointer means the root."""
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
    found = [schema[keyword] for keyword in keywords if keyword in schema]
    bounds = [Decimal(repr(bound)) for bound in found if not isinstance(bound, bool)]
    if "multipleOf" in schema:
        multiple = Decimal(repr(schema["multipleOf"])) * draw(st.integers(-5, 20))
        return int(multiple.to_integral_value()) if only_integers else _normal(multiple)
    if not bounds:
        return draw(st.integers(-20, 120) if only_integers else _numbers())
    steps = ("0", "1", "-1", "0.01", "-0.01", "9.5", "-9.5", "0.001")
    value = draw(st.sampled_from(bounds)) + Decimal(draw(st.sampled_from(steps)))
    return int(value.to_integral_value()) if only_integers else _normal(value)


@st.composite
def _guided_array(draw: st.DrawFn, schema: dict[str, Any], root: Any, depth: int) -> Any:
    low, high = int(schema.get("minItems", 0)), int(schema.get("maxItems", 3))
    items, rest = (
        schema.get("items", schema.get("unevaluatedItems", True)),
        schema.get("additionalItems", True),
    )
    prefix = schema.get("prefixItems", [])
    prefix, rest = (items, rest) if isinstance(items, list) else (prefix, items)
    length = draw(st.integers(low, max(low, high)))
    result: list[Any] = []
    for i in range(length):
        child = prefix[i] if i < len(prefix) else rest
        if "contains" in schema and draw(st.booleans()):
            child = schema["contains"]
        again = bool(result) and draw(st.integers(0, 5)) == 0
        result.append(draw(st.sampled_from(result)) if again else draw(_guided(child, root, depth - 1)))
    return result


@st.composite
def _guided_object(draw: st.DrawFn, schema: dict[str, Any], root: Any, depth: int) -> Any:
    properties = schema.get("properties", {})
    keys = [key for key in properties if draw(st.booleans())]
    keys += [key for key in schema.get("required", ()) if key not in keys]
    if schema.get("additionalProperties") is not False and draw(st.booleans()):
        keys += [key for key in [draw(st.sampled_from(KEYS))] if key not in keys]
    lists = {**schema.get("dependentRequired", {}), **schema.get("dependencies", {})}
    keys += [key for key in lists if key not in keys and draw(st.booleans())]
    for key, others in lists.items():
        if key in keys and isinstance(others, list) and draw(st.booleans()):
            keys += [other for other in others if other not in keys]
    rest = schema.get("additionalProperties", schema.get("unevaluatedProperties", True))
    result = {}
    for key in keys:
        others = [*schema.get("patternProperties", {}).values(), rest]
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
            changed[draw(st.sampled_from(KEYS))] = draw(_scalars())
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
