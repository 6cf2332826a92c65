"""Which keywords of JSON Schema a schema uses."""

from __future__ import annotations

import json
from typing import Any

_ONE = (
    "additionalItems additionalProperties contains contentSchema else if not propertyNames then "
    "unevaluatedItems unevaluatedProperties"
).split()
_LISTS = "allOf anyOf oneOf prefixItems".split()
_TABLES = "$defs definitions dependentSchemas patternProperties properties".split()

KEYWORDS = frozenset(
    [
        *(set(_ONE) - {"contentSchema"}),
        *_LISTS,
        *(set(_TABLES) - {"$defs", "definitions"}),
        *"$ref $dynamicRef $recursiveRef const dependencies dependentRequired enum exclusiveMaximum".split(),
        *"exclusiveMinimum format items maxContains maxItems maxLength maxProperties maximum".split(),
        *"minContains minItems minLength minProperties minimum multipleOf pattern required type".split(),
        "uniqueItems",
    ]
)
"""The keywords that constrain, of all drafts."""


def keywords(schema: Any) -> list[str]:
    """Return the keywords that a schema or any of its subschemas uses, sorted.

    Names of properties, and what stands in ``const``, ``enum``, ``default`` or ``examples``, are no keywords.
    Definitions count even where nothing refers to them.
    """
    found: set[str] = set()
    left = [schema]
    while left:
        here = left.pop()
        if not isinstance(here, dict):
            continue
        found |= KEYWORDS & here.keys()
        left += [here[name] for name in _ONE if name in here]
        for name in _LISTS:
            if isinstance(here.get(name), list):
                left += here[name]
        for name in (*_TABLES, "dependencies"):
            if isinstance(here.get(name), dict):
                left += here[name].values()
        items = here.get("items")
        left += items if isinstance(items, list) else [items]
    return sorted(found)


def property_names(schema: Any, most: int = 500) -> tuple[str, ...]:
    """Return names of properties that a schema mentions, sorted, as they stand between quotation marks.

    They are what is in anything called ``properties`` or ``required`` at any depth. Of more than ``most``,
    the first are kept.
    """
    found: set[str] = set()
    left = [schema]
    while left:
        here = left.pop()
        if isinstance(here, list):
            left += here
        if not isinstance(here, dict):
            continue
        left += here.values()
        properties, required = here.get("properties"), here.get("required")
        for names in (properties if isinstance(properties, dict) else (), required):
            if isinstance(names, (dict, list)):
                found |= {name for name in names if isinstance(name, str)}
    quoted = (json.dumps(name, ensure_ascii=any("\ud800" <= c <= "\udfff" for c in name)) for name in found)
    return tuple(sorted(name[1:-1] for name in quoted)[:most])
