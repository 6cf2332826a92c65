"""What a violation says: what was expected, what was found, and where."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any

_BRIEF = 60
_MAX_CAUSES = 200


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a branch of ``anyOf`` or ``oneOf`` does not hold.

    Attributes
    ----------
    branch : int
        Its index.
    instance, schema : str
        JSON Pointers, as in :class:`Violation`.
    message : str
        What was expected and found.
    """

    branch: int
    instance: str
    schema: str
    message: str


@dataclass(frozen=True, slots=True)
class Violation:
    """One keyword that a part of a document does not satisfy.

    Attributes
    ----------
    file : str
        The file, as it was named.
    line, column, end_line, end_column : int
        The part, from 1 and in code points; the end is exclusive.
    document : int or None
        Which of several documents of the file, from 0.
    instance : str
        JSON Pointer of the part in its document.
    schema : str
        JSON Pointer of the keyword in the schema; with the address before ``#`` in another document.
    keyword : str
        The keyword, ``"false"`` for a schema that is false.
    expected, found : str
        What the keyword wants, and what there is.
    causes : tuple of Cause
        Of ``anyOf`` and ``oneOf``.
    excerpt : tuple of str
        The line with the part, and the caret line below it.
    """

    file: str
    line: int
    column: int
    end_line: int
    end_column: int
    document: int | None
    instance: str
    schema: str
    keyword: str
    expected: str
    found: str
    causes: tuple[Cause, ...] = ()
    excerpt: tuple[str, ...] = field(default=())

    @property
    def message(self) -> str:
        """Expectation and finding as one sentence."""
        return sentence(self.expected, self.found)

    def as_json(self) -> dict[str, Any]:
        """Return what ``--format json`` prints."""
        known = asdict(self)
        del known["excerpt"]
        return {"message": self.message, **known}


def sentence(expected: str, found: str) -> str:
    """Join the two halves of a message."""
    return f"expected {expected}, found {found}" if found else expected


def pointer(path: Any) -> str:
    """Write a path as a JSON Pointer (RFC 6901)."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


# -- values in a few words -----------------------------------------------------------------


def brief(value: Any) -> str:
    """Show a value on less than a line: as JSON, or how large it is."""
    shown, length = [], 0
    for piece in _pieces(value):
        length += len(piece)
        if length > _BRIEF:
            break
        shown.append(piece)
    else:
        return "".join(shown)
    if isinstance(value, dict):
        return f"an object with {_count(len(value), 'property', 'properties')}"
    if isinstance(value, list):
        return f"an array of {_count(len(value), 'item')}"
    text = _quoted(value[:_BRIEF])[:-1] if isinstance(value, str) else str(value)[:_BRIEF]
    return f"{text[:_BRIEF]}…"


def _pieces(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield "{"
        for number, (key, item) in enumerate(value.items()):
            yield (", " if number else "") + _quoted(key) + ": "
            yield from _pieces(item)
        yield "}"
    elif isinstance(value, list):
        yield "["
        for number, item in enumerate(value):
            if number:
                yield ", "
            yield from _pieces(item)
        yield "]"
    elif isinstance(value, str):
        yield _quoted(value)
    elif isinstance(value, Decimal):
        yield str(value)
    else:
        yield json.dumps(value)


def _quoted(text: str) -> str:
    return json.dumps(text[: _BRIEF + 1], ensure_ascii=False)


def _count(number: Any, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _listed(values: Any, joint: str) -> str:
    shown = [brief(value) for value in values[:10]]
    if len(values) > 10:
        shown.append(f"{len(values) - 10} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} {joint} {shown[-1]}"


# -- what keywords want --------------------------------------------------------------------

_TYPES = {
    "array": "an array",
    "boolean": "a boolean",
    "integer": "an integer",
    "null": "null",
    "number": "a number",
    "object": "an object",
    "string": "a string",
}


def _type(error: Any) -> str:
    wanted = error.validator_value
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    return " or ".join(_TYPES.get(name, str(name)) for name in names)


def _bound(limit: str, strict: str, exclusive: str) -> Callable[[Any], str]:
    def expected(error: Any) -> str:
        # In draft 4, exclusiveMinimum says how minimum is meant.
        way = strict if error.schema.get(exclusive) is True else limit
        return f"a number {way} {brief(error.validator_value)}"

    return expected


def _size(way: str, one: str, many: str | None = None) -> Callable[[Any], str]:
    return lambda error: f"{way} {_count(error.validator_value, one, many)}"


def _additional(error: Any) -> str:
    known = list(error.schema.get("properties", {}))
    patterns = list(error.schema.get("patternProperties", {}))
    parts = []
    if known:
        parts.append(_listed(known, "and"))
    if patterns:
        parts.append(f"names that match {_listed(patterns, 'or')}")
    return f"no properties but {' and '.join(parts)}" if parts else "no properties"


def _required(error: Any) -> str:
    return f"the property {brief(error.missing)}"


def _contains(error: Any) -> str:
    return 'an item that satisfies "contains"'


_EXPECTED: dict[str, Callable[[Any], str]] = {
    "additionalProperties": _additional,
    "anyOf": lambda error: f"at least one of {len(error.validator_value)} schemas to hold",
    "const": lambda error: brief(error.validator_value),
    "contains": _contains,
    "enum": lambda error: _listed(error.validator_value, "or") if error.validator_value else "nothing",
    "exclusiveMaximum": lambda error: f"a number below {brief(error.validator_value)}",
    "exclusiveMinimum": lambda error: f"a number above {brief(error.validator_value)}",
    "format": lambda error: f"a string of the format {brief(error.validator_value)}",
    "maxContains": _size('with respect to "contains", at most', "item"),
    "maxItems": _size("at most", "item"),
    "maxLength": _size("at most", "character"),
    "maxProperties": _size("at most", "property", "properties"),
    "maximum": _bound("of at most", "below", "exclusiveMaximum"),
    "minContains": _size('with respect to "contains", at least', "item"),
    "minItems": _size("at least", "item"),
    "minLength": _size("at least", "character"),
    "minProperties": _size("at least", "property", "properties"),
    "minimum": _bound("of at least", "above", "exclusiveMinimum"),
    "multipleOf": lambda error: f"a multiple of {brief(error.validator_value)}",
    "not": lambda error: f"a value that does not satisfy {brief(error.validator_value)}",
    "oneOf": lambda error: f"exactly one of {len(error.validator_value)} schemas to hold",
    "pattern": lambda error: f"a string that matches {brief(error.validator_value)}",
    "required": _required,
    "type": _type,
    "uniqueItems": lambda error: "items that differ from each other",
}

_SIZES = {
    "maxItems": ("item", "items"),
    "maxLength": ("character", "characters"),
    "maxProperties": ("property", "properties"),
    "minItems": ("item", "items"),
    "minLength": ("character", "characters"),
    "minProperties": ("property", "properties"),
}


def describe(error: Any, extra: list[str]) -> tuple[str, str]:
    """Return what was expected and what was found.

    Parameters
    ----------
    error
        A ``ValidationError`` of jsonschema.
    extra
        Of ``additionalProperties``, the names that are too many.
    """
    keyword, instance = error.validator, error.instance
    if keyword is None:
        return "no value here (the schema is false)", brief(instance)
    known = _EXPECTED.get(keyword)
    if known is None:
        # Rare keywords: the sentence of jsonschema, which names what is wrong, in a bounded length.
        message = error.message
        return (message if len(message) <= 300 else message[:300] + "…"), ""
    expected, found = known(error), brief(instance)
    if keyword in _SIZES:
        one, many = _SIZES[keyword]
        found = f"{_count(len(instance), one, many)}"
        if isinstance(instance, str):
            found += f": {brief(instance)}"
    elif keyword == "additionalProperties" and extra:
        found = _listed(extra, "and")
    elif keyword == "oneOf" and not error.context:
        found = "that several hold"
    elif keyword == "required" and not instance:
        found = "an empty object"
    return expected, found


def causes(error: Any, base: str, place: Callable[[Any], str]) -> tuple[Cause, ...]:
    """List why the branches of ``anyOf`` and ``oneOf`` do not hold, nested ones with their branch.

    Parameters
    ----------
    error
        The ``ValidationError``.
    base
        JSON Pointer of the part that the error is about.
    place
        Returns the JSON Pointer of an error's keyword in the schema.
    """
    found: list[Cause] = []
    todo = [(child, base, child.schema_path[0] if child.schema_path else 0) for child in error.context]
    todo.reverse()
    while todo and len(found) < _MAX_CAUSES:
        child, above, branch = todo.pop()
        here = above + pointer(child.path)
        found.append(Cause(int(branch), here, place(child), sentence(*describe(child, []))))
        if child.context:
            # A branch that is itself a choice: its own causes say more than it does.
            found.pop()
            todo.extend((each, here, branch) for each in reversed(child.context))
    return tuple(found)
