"""Keywords by name that the lowering has no part in: annotations, names, and what people write by mistake."""

from __future__ import annotations

import difflib

from structgen._formats import BUILT_IN_FORMATS

from ._keywords import KEYWORDS
from ._options import DRAFTS

# They name or hold schemas, or say how a document is read.
_STRUCTURE = {
    "$schema": "it says the draft of the schema",
    "$vocabulary": "it is about metaschemas",
    "$id": "it names the schema",
    "id": "it names the schema",
    "$anchor": "it names the schema",
    "$dynamicAnchor": "it names the schema",
    "$recursiveAnchor": "it names the schema",
    "$defs": "it holds schemas that references lead to",
    "definitions": "it holds schemas that references lead to",
}

_ANNOTATIONS = frozenset(
    """
    $comment contentEncoding contentMediaType contentSchema default deprecated description examples readOnly
    title writeOnly
    """.split()
)

# Those of the structural keywords that not every draft has: elsewhere they are of other drafts.
_ONLY_IN = {
    "id": DRAFTS[:1],
    "$id": DRAFTS[1:],
    "$anchor": DRAFTS[3:],
    "$dynamicAnchor": DRAFTS[4:],
    "$recursiveAnchor": ("2019-09",),
}

# Keywords that others read, and in which drafts.
COMPANIONS = {"additionalItems": DRAFTS[:4]}

# What to write in place of a keyword of another draft, by draft.
_INSTEAD: dict[str, dict[str, str]] = {
    "additionalItems": {"2020-12": "items"},
    "const": {"4": "enum"},
    "dependencies": dict.fromkeys(DRAFTS[3:], "dependentRequired or dependentSchemas"),
    "dependentRequired": dict.fromkeys(DRAFTS[:3], "dependencies"),
    "dependentSchemas": dict.fromkeys(DRAFTS[:3], "dependencies"),
    "prefixItems": dict.fromkeys(DRAFTS[:4], "items with an array of schemas"),
    "id": dict.fromkeys(DRAFTS[1:], "$id"),
    "$id": {"4": "id"},
    "$recursiveRef": {"2020-12": "$dynamicRef"},
    "$recursiveAnchor": {"2020-12": "$dynamicAnchor"},
    "$dynamicRef": {"2019-09": "$recursiveRef"},
    "$dynamicAnchor": {"2019-09": "$recursiveAnchor"},
    "unevaluatedProperties": dict.fromkeys(DRAFTS[:3], "additionalProperties"),
    "unevaluatedItems": dict.fromkeys(DRAFTS[:3], "additionalItems"),
}

_MISTAKES = {
    "allowedvalues": "enum",
    "choices": "enum",
    "enumeration": "enum",
    "length": "minLength and maxLength",
    "match": "pattern",
    "max": "maximum",
    "maxlen": "maxLength",
    "maxvalue": "maximum",
    "min": "minimum",
    "minlen": "minLength",
    "minvalue": "minimum",
    "nullable": 'the type "null" (or the option nullable=True)',
    "optional": "required of the object, without the property",
    "options": "enum",
    "oneofs": "oneOf",
    "props": "properties",
    "range": "minimum and maximum",
    "ref": "$ref",
    "regex": "pattern",
    "schema": "$schema",
    "size": "minItems and maxItems",
    "unique": "uniqueItems",
    "values": "enum",
}

_TYPES = {
    "any": "no type at all",
    "bool": "boolean",
    "date": 'string, with format "date"',
    "datetime": 'string, with format "date-time"',
    "dict": "object",
    "double": "number",
    "enum": "string, with enum",
    "file": "string",
    "float": "number",
    "int": "integer",
    "list": "array",
    "long": "integer",
    "map": "object",
    "none": "null",
    "str": "string",
    "text": "string",
    "tuple": "array",
}

# Longer names are not compared: no keyword is nearly as long.
_LONGEST = 40
_SIMILARITY = 0.85

# Many words are nearly these.
_ORDINARY = ("if", "not")

_EVERYWHERE = frozenset().union(*KEYWORDS.values(), COMPANIONS, _STRUCTURE, _ANNOTATIONS)


def in_draft(keyword: str, draft: str) -> bool:
    """Tell whether a keyword of some draft is one of this draft; annotations are of every draft."""
    if keyword in KEYWORDS[draft] or keyword in _ANNOTATIONS:
        return True
    if keyword in COMPANIONS:
        return draft in COMPANIONS[keyword]
    return keyword in _STRUCTURE and draft in _ONLY_IN.get(keyword, DRAFTS)


def describe(keyword: str, draft: str, compare: bool = True) -> tuple[str, str | None]:
    """Say why a keyword that the lowering does not read constrains nothing, and what may have been meant.

    Parameters
    ----------
    keyword : str
        The keyword.
    draft : str
        The draft of the schema.
    compare : bool
        Whether an unknown keyword is compared with all known ones.
    """
    if keyword in _EVERYWHERE and not in_draft(keyword, draft):
        others = ", ".join(other for other in DRAFTS if in_draft(keyword, other))
        reason = f"it is no keyword of draft {draft}, but of {others}"
        return reason, _INSTEAD.get(keyword, {}).get(draft)
    if keyword in _STRUCTURE:
        return _STRUCTURE[keyword], None
    if keyword in _ANNOTATIONS:
        return "it describes, and constrains nothing", None
    reason = "no draft has this keyword: it constrains nothing"
    return reason, similar(keyword, draft) if compare else None


def similar(keyword: str, draft: str) -> str | None:
    """Return the keyword of a draft that an unknown one looks like."""
    if len(keyword) > _LONGEST or keyword[:2].lower() == "x-" or keyword[:1] == "_":
        # Extensions, and keywords that somebody has switched off.
        return None
    lowered = keyword.lower().replace("_", "").replace("-", "")
    if lowered in _MISTAKES:
        return _MISTAKES[lowered]
    names = {name.lower(): name for name in sorted(_EVERYWHERE) if in_draft(name, draft)}
    names |= {name.removeprefix("$"): full for name, full in names.items() if name not in ("$id", "$schema")}
    if lowered in names:
        return names[lowered]
    names = {name: full for name, full in names.items() if full not in _ORDINARY}
    letters = sorted(lowered)
    close = [name for name in names if sorted(name) == letters]
    close = close or difflib.get_close_matches(lowered, names, n=1, cutoff=_SIMILARITY)
    return names[close[0]] if close else None


def similar_format(name: object) -> str | None:
    """Return the format that an unknown one looks like."""
    if not isinstance(name, str) or len(name) > _LONGEST or name in BUILT_IN_FORMATS:
        return None
    lowered = name.lower().replace("_", "-")
    close = difflib.get_close_matches(lowered, sorted(BUILT_IN_FORMATS), n=1, cutoff=_SIMILARITY)
    return close[0] if close else None


def likely_type(value: object) -> str | None:
    """Return the type that somebody may have meant by another word."""
    return _TYPES.get(value.lower()) if isinstance(value, str) else None
