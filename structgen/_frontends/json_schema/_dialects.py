"""Dialects: a draft, less the keywords of the vocabularies that a metaschema does not list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from referencing import Registry

_DRAFT_OF_URI = {
    "json-schema.org/draft-04/schema": "4",
    "json-schema.org/draft-06/schema": "6",
    "json-schema.org/draft-07/schema": "7",
    "json-schema.org/draft/2019-09/schema": "2019-09",
    "json-schema.org/draft/2020-12/schema": "2020-12",
    "json-schema.org/schema": "2020-12",
}

_DRAFT_OF_SPECIFICATION = {
    "draft-04": "4",
    "draft-06": "6",
    "draft-07": "7",
    "draft2019-09": "2019-09",
    "draft2020-12": "2020-12",
}

_APPLICATOR = frozenset(
    """
    additionalItems additionalProperties allOf anyOf contains dependentSchemas else if items not oneOf
    patternProperties prefixItems properties propertyNames then
    """.split()
)
_UNEVALUATED = frozenset(("unevaluatedItems", "unevaluatedProperties"))
_VALIDATION = frozenset(
    """
    const dependentRequired enum exclusiveMaximum exclusiveMinimum maxContains maxItems maxLength
    maxProperties maximum minContains minItems minLength minProperties minimum multipleOf pattern required
    type uniqueItems
    """.split()
)
_NO_KEYWORDS: frozenset[str] = frozenset()

# The keywords that constrain, by vocabulary. Those of the core are always in use.
_VOCABULARIES = {
    f"https://json-schema.org/draft/{draft}/vocab/{name}": keywords
    for draft, vocabularies in {
        "2019-09": {
            "applicator": _APPLICATOR | _UNEVALUATED,
            "content": _NO_KEYWORDS,
            "core": _NO_KEYWORDS,
            "format": frozenset(("format",)),
            "meta-data": _NO_KEYWORDS,
            "validation": _VALIDATION,
        },
        "2020-12": {
            "applicator": _APPLICATOR,
            "content": _NO_KEYWORDS,
            "core": _NO_KEYWORDS,
            "format-annotation": frozenset(("format",)),
            "format-assertion": frozenset(("format",)),
            "meta-data": _NO_KEYWORDS,
            "unevaluated": _UNEVALUATED,
            "validation": _VALIDATION,
        },
    }.items()
    for name, keywords in vocabularies.items()
}
_ALL_KEYWORDS = frozenset().union(*_VOCABULARIES.values())


class UnresolvableError(Exception):
    """A reference that leads nowhere; the document knows the place and makes a SchemaError of it."""

    def __init__(self, reason: str, hint: str | None = None) -> None:
        self.reason = reason
        self.hint = hint
        super().__init__(reason)


class Dialect(NamedTuple):
    """A draft and the keywords of it that mean nothing."""

    draft: str
    ignored: frozenset[str] = _NO_KEYWORDS


class Dialects:
    """The dialects that ``$schema`` names: the published drafts, and metaschemas of a registry."""

    def __init__(self, registry: Registry[Any] | None) -> None:
        self._registry = registry
        self._known: dict[str, Dialect | None] = {}

    def of(self, uri: Any) -> Dialect | None:
        """Return the dialect of a ``$schema`` value, None for one that nothing is known about."""
        if not isinstance(uri, str):
            return None
        if uri not in self._known:
            # While it is looked up, for metaschemas that describe each other.
            self._known[uri] = None
            self._known[uri] = self._look_up(uri)
        return self._known[uri]

    def _look_up(self, uri: str) -> Dialect | None:
        address = uri.rstrip("#")
        draft = _DRAFT_OF_URI.get(address.removeprefix("http://").removeprefix("https://"))
        if draft is not None:
            return Dialect(draft)
        if self._registry is None or not address:
            return None
        try:
            # Whatever the caller's registry raises, it does not have the metaschema.
            resource = self._registry.get_or_retrieve(address).value
        except Exception:
            return None
        metaschema = resource.contents
        if not hasattr(metaschema, "get"):
            return None
        base = self.of(metaschema.get("$schema"))
        draft = base.draft if base is not None else draft_of_specification(resource) or "2020-12"
        if "$vocabulary" not in metaschema or draft in ("4", "6", "7"):
            return Dialect(draft)
        return Dialect(draft, _ALL_KEYWORDS - _listed(uri, metaschema["$vocabulary"]))


def _listed(uri: str, vocabularies: Any) -> frozenset[str]:
    """Return the keywords of the vocabularies that a metaschema lists."""
    if not hasattr(vocabularies, "items"):
        raise UnresolvableError(f"the $vocabulary of the metaschema {uri!r} is no object")
    listed = _NO_KEYWORDS
    for name, needed in vocabularies.items():
        if not isinstance(needed, bool):
            raise UnresolvableError(f"a value of the $vocabulary of the metaschema {uri!r} is no bool")
        if name in _VOCABULARIES:
            listed |= _VOCABULARIES[name]
        elif needed:
            raise UnresolvableError(
                f"the metaschema {uri!r} requires the vocabulary {name!r}, which is not known",
                "with false in its place, the vocabulary is optional",
            )
    return listed


def draft_of_specification(resource: Any) -> str | None:
    """Return the draft that a resource of a registry was made with, None for an opaque one."""
    specification = getattr(resource, "_specification", None)
    return _DRAFT_OF_SPECIFICATION.get(getattr(specification, "name", ""))


def identify(node: dict[str, Any], dialect: Dialect, dialects: Dialects) -> tuple[Dialect, str | None]:
    """Return the dialect of a node inside a schema of some dialect, and the identifier that it gives itself.

    Only the root of a resource can choose its dialect: elsewhere ``$schema`` has no meaning.
    """
    own = (dialects.of(node["$schema"]) or dialect) if "$schema" in node else dialect
    name = node.get("id" if own.draft == "4" else "$id")
    if own.draft != dialect.draft and not isinstance(name, str):
        name = node.get("id" if dialect.draft == "4" else "$id")
    if not isinstance(name, str) or ("$ref" in node and own.draft in ("4", "6", "7")):
        return dialect, None
    return (dialect if name[:1] in ("", "#") else own), name
