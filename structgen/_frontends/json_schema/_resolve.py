"""Documents, drafts, JSON pointers and references."""

import json
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

from structgen._errors import LimitError, SchemaError

_DRAFT_OF_URI = {
    "json-schema.org/draft-04/schema": "4",
    "json-schema.org/draft-06/schema": "6",
    "json-schema.org/draft-07/schema": "7",
    "json-schema.org/draft/2019-09/schema": "2019-09",
    "json-schema.org/draft/2020-12/schema": "2020-12",
    "json-schema.org/schema": "2020-12",
}

# Where subschemas live: an "$id" anywhere else (a constant, an unknown keyword) names nothing.
_IN_PLACE = (
    "additionalItems", "additionalProperties", "contains", "contentSchema", "else", "if", "items", "not",
    "propertyNames", "then", "unevaluatedItems", "unevaluatedProperties",
)  # fmt: skip
_IN_LISTS = ("allOf", "anyOf", "items", "oneOf", "prefixItems")
_IN_MAPS = ("$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", "properties")


def parse_document(schema: Any) -> Any:
    """Turn the schema argument (text, bytes, dict or bool) into a document.

    Text is parsed with exact decimals; of repeated keys the last wins, as in :func:`json.loads`.
    """
    if isinstance(schema, (dict, bool)):
        return schema
    if not isinstance(schema, (str, bytes, bytearray)):
        raise TypeError(f"schema must be a dict, JSON text or a bool, not {type(schema).__name__}")
    try:
        document = json.loads(schema, parse_float=_parse_decimal, parse_constant=_refuse_constant)
    except RecursionError:
        raise LimitError("the schema text is nested too deeply for Python's JSON parser") from None
    except ValueError as error:
        raise SchemaError(f"the schema is not valid JSON: {error}") from None
    if not isinstance(document, (dict, bool)):
        raise SchemaError("a schema must be a JSON object, true or false")
    return document


def _parse_decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError(f"the exponent of {text[:40]} is out of range") from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def known_draft(uri: Any) -> str | None:
    """Name the draft of a ``$schema`` value, None when it is not a published one."""
    if not isinstance(uri, str):
        return None
    return _DRAFT_OF_URI.get(uri.rstrip("#").removeprefix("http://").removeprefix("https://"))


class Document:
    """A schema document: its draft, its references and the pointers of its nodes.

    Nodes are told apart by identity; pointers are searched for only when an error needs one.
    """

    __slots__ = (
        "_anchors",
        "_bases",
        "_identifier",
        "_modern",
        "_resources",
        "_targets",
        "draft",
        "embedded",
        "root",
    )

    def __init__(self, root: Any, draft: str | None) -> None:
        self.root = root
        if draft is None and isinstance(root, dict):
            # An unknown dialect is read as the current draft, as validators do.
            draft = known_draft(root.get("$schema"))
        self.draft = draft or "2020-12"
        # Set once a node below the root with an identifier of its own has been met: until then every
        # reference that begins with "#" is relative to the root, and no scan is needed.
        self.embedded = False
        self._identifier = "id" if self.draft == "4" else "$id"
        self._modern = self.draft in ("2019-09", "2020-12")
        self._targets: dict[tuple[str, str], Any] = {}
        self._resources: dict[str, Any] | None = None
        self._anchors: dict[tuple[str, str], Any] = {}
        self._bases: dict[int, str] = {}

    # -- errors ----------------------------------------------------------------------------

    def pointer(self, node: Any, *keys: str | int) -> str:
        """Return the JSON Pointer of ``node`` (found by identity) followed by ``keys``."""
        path = self._find(node)
        if path is None:
            # A part of a constant that was lowered as a schema of its own.
            return ""
        return "".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in (*path, *keys))

    def _find(self, node: Any) -> tuple[str | int, ...] | None:
        stack: list[tuple[Any, tuple[Any, ...]]] = [(self.root, ())]
        seen: set[int] = set()
        while stack:
            here, trail = stack.pop()
            if here is node:
                path: list[str | int] = []
                while trail:
                    path.append(trail[1])
                    trail = trail[0]
                return tuple(reversed(path))
            if id(here) in seen:
                continue
            if isinstance(here, dict):
                seen.add(id(here))
                stack.extend((value, (trail, key)) for key, value in reversed(here.items()))
            elif isinstance(here, list):
                seen.add(id(here))
                stack.extend((value, (trail, index)) for index, value in enumerate(here))
        return None

    def error(self, node: Any, keyword: str | None, reason: str, hint: str | None = None) -> SchemaError:
        """Build a :class:`SchemaError` for a keyword of ``node``, or for the node itself."""
        keys = () if keyword is None else (keyword,)
        return SchemaError(reason, pointer=self.pointer(node, *keys), keyword=keyword, hint=hint)

    def is_resource(self, node: dict[str, Any]) -> bool:
        """Tell whether a node is the root of a resource: it has an address of its own."""
        name = node.get(self._identifier)
        return isinstance(name, str) and not name.startswith("#")

    # -- references ------------------------------------------------------------------------

    def resolve(self, node: Any, reference: Any) -> Any:
        """Return the schema that ``$ref: reference`` inside ``node`` points to."""
        if not isinstance(reference, str):
            raise self.error(node, "$ref", "the reference must be a string")
        if not self.embedded and (reference == "#" or reference.startswith("#/")):
            target = self._targets.get(("", reference))
            if target is None:
                target = self._walk(node, reference, self.root, unquote(reference[1:]))
                if not self.embedded:
                    self._targets["", reference] = target
            if not self.embedded:
                return target
        if self._resources is None:
            self._scan()
        base = self._bases.get(id(node), "")
        target = self._targets.get((base, reference))
        if target is None:
            target = self._targets[base, reference] = self._lookup(node, base, reference)
        return target

    def _scan(self) -> None:
        """Collect embedded resources and anchors; most documents have none."""
        self.embedded = True
        self._targets.clear()
        resources: dict[str, Any] = {}
        self._resources = resources
        stack: list[tuple[Any, str]] = [(self.root, "")]
        seen: set[int] = set()
        while stack:
            here, base = stack.pop()
            if not isinstance(here, dict) or id(here) in seen:
                continue
            seen.add(id(here))
            base = self._enter(here, base, resources)
            if base:
                self._bases[id(here)] = base
            stack.extend((here[key], base) for key in _IN_PLACE if key in here)
            for key in _IN_LISTS:
                if isinstance(here.get(key), list):
                    stack.extend((value, base) for value in here[key])
            for key in _IN_MAPS:
                if isinstance(here.get(key), dict):
                    stack.extend((value, base) for value in here[key].values())
        resources.setdefault(self._bases.get(id(self.root), ""), self.root)
        resources.setdefault("", self.root)

    def _enter(self, node: dict[str, Any], base: str, resources: dict[str, Any]) -> str:
        """Record the names that ``node`` gives itself; return the base of its references."""
        name = node.get(self._identifier)
        if isinstance(name, str) and (self._modern or "$ref" not in node):
            address, fragment = urldefrag(name)
            if address:
                base = _join(base, address)
                resources.setdefault(base, node)
            if fragment and not self._modern:
                self._anchors.setdefault((base, unquote(fragment)), node)
        if self._modern:
            for keyword in ("$anchor", "$dynamicAnchor"):
                if isinstance(node.get(keyword), str):
                    self._anchors.setdefault((base, node[keyword]), node)
        return base

    def _lookup(self, node: Any, base: str, reference: str) -> Any:
        address, fragment = urldefrag(_join(base, reference))
        assert self._resources is not None
        if address not in self._resources:
            raise self.error(
                node,
                "$ref",
                f"the reference {reference!r} leaves the document",
                "copy the schema into $defs and refer to it there",
            )
        fragment = unquote(fragment)
        if fragment and not fragment.startswith("/"):
            if (address, fragment) in self._anchors:
                return self._anchors[address, fragment]
            raise self.error(node, "$ref", f"there is no anchor {fragment!r} in this document")
        return self._walk(node, reference, self._resources[address], fragment)

    def _walk(self, node: Any, reference: str, target: Any, fragment: str) -> Any:
        """Follow a JSON Pointer down from ``target``."""
        for part in fragment.split("/")[1:]:
            part = part.replace("~1", "/").replace("~0", "~")
            if isinstance(target, dict) and part in target:
                target = target[part]
                if isinstance(target, dict) and self.is_resource(target):
                    self.embedded = True
            elif isinstance(target, list) and _is_index(part) and int(part) < len(target):
                target = target[int(part)]
            else:
                raise self.error(node, "$ref", f"the reference {reference!r} points to nothing")
        if not isinstance(target, (dict, bool)):
            raise self.error(
                node, "$ref", f"the reference {reference!r} points to something that is no schema"
            )
        return target


def _join(base: str, reference: str) -> str:
    # urljoin knows the hierarchical schemes only: a fragment also belongs to a base such as urn:uuid:...
    return base + reference if reference.startswith("#") else urljoin(base, reference)


def _is_index(part: str) -> bool:
    return part.isascii() and part.isdigit() and len(part) < 10 and (part == "0" or part[0] != "0")
