"""Documents, drafts, JSON pointers and references."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from structgen._errors import LimitError, SchemaError

from ._dialects import Dialect, Dialects, UnresolvableError, identify

if TYPE_CHECKING:
    from referencing import Registry

    from ._scopes import Scopes


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


class Document:
    """A schema document: its draft, its references and the pointers of its nodes.

    Nodes are told apart by identity; pointers are searched for only when an error needs one. Most documents
    are one resource whose references are pointers: the machinery for all others is made when it is needed.

    Parameters
    ----------
    root : dict or bool
        The document.
    draft : str, optional
        Its draft; by default ``$schema`` says it.
    registry : referencing.Registry, optional
        Where references that leave the document lead. The metaschemas of all drafts are always there.
    """

    __slots__ = (
        "_aliases",
        "_dialect",
        "_dialects",
        "_identifier",
        "_registry",
        "_scopes",
        "_targets",
        "draft",
        "embedded",
        "mixed",
        "root",
    )

    def __init__(self, root: Any, draft: str | None, registry: Registry[Any] | None = None) -> None:
        self.root = root
        self._aliases: dict[int, tuple[Any, Any, tuple[str | int, ...]]] = {}
        self._scopes: Scopes | None = None
        self._dialects = Dialects(registry)
        said: Dialect | None = Dialect("2020-12" if draft is None else draft)
        if draft is None and isinstance(root, dict) and "$schema" in root:
            try:
                said = self._dialects.of(root["$schema"])
            except UnresolvableError as problem:
                raise self.error(root, "$schema", problem.reason, problem.hint) from None
        # An unknown dialect is read as the current draft, as validators do.
        self._dialect = said or Dialect("2020-12")
        self.draft = self._dialect.draft
        self._identifier = "id" if self.draft == "4" else "$id"
        # Set once a node below the root with an identifier of its own has been met: until then every
        # reference that begins with "#" is relative to the root.
        self.embedded = False
        # Set once a resource of another dialect has been met, or one that lacks keywords: until then every
        # node has all keywords of the root's draft.
        self.mixed = bool(self._dialect.ignored)
        self._registry = registry
        self._targets: dict[str, Any] = {}

    # -- places ----------------------------------------------------------------------------

    def alias(self, synthetic: Any, node: Any, *keys: str | int) -> None:
        """Let ``synthetic``, a node of no document, stand for ``node`` (for what is below it at ``keys``)."""
        # Held, so that no other object gets its id.
        self._aliases[id(synthetic)] = (synthetic, node, keys)

    def _aliased(self, node: Any, keys: tuple[str | int, ...]) -> tuple[Any, tuple[str | int, ...]]:
        while id(node) in self._aliases:
            _, node, more = self._aliases[id(node)]
            keys = more + keys
        return node, keys

    def is_alias(self, node: Any) -> bool:
        """Tell whether ``node`` stands in no document."""
        return id(node) in self._aliases

    def origin(self, node: Any) -> Any:
        """Return the node of a document that ``node`` is, stands for, or was copied from."""
        node = self._aliased(node, ())[0]
        return node if self._scopes is None else self._scopes.original(node)

    def others(self) -> list[tuple[str, Any]]:
        """Return the documents that references led to: what their pointers begin with, and their roots."""
        if self._scopes is None:
            return []
        return [(f"{other.uri}#", other.root) for other in self._scopes.resources.documents[1:]]

    @property
    def registry(self) -> Registry[Any] | None:
        """The registry, with what has been retrieved so far."""
        return self._registry if self._scopes is None else self._scopes.resources.registry

    def pointer(self, node: Any, *keys: str | int) -> str:
        """Return the JSON Pointer of ``node`` (found by identity) followed by ``keys``.

        In a document that a reference led to, the pointer is the fragment of that document's URI.
        """
        node, keys = self._aliased(node, keys)
        node = self.origin(node)
        for prefix, root in [("", self.root), *self.others()]:
            path = _find(root, node)
            if path is not None:
                return prefix + "".join(f"/{escape(str(key))}" for key in (*path, *keys))
        # A part of a constant that was lowered as a schema of its own.
        return ""

    def error(self, node: Any, keyword: str | None, reason: str, hint: str | None = None) -> SchemaError:
        """Build a :class:`SchemaError` for a keyword of ``node``, or for the node itself."""
        keys = () if keyword is None else (keyword,)
        return SchemaError(reason, pointer=self.pointer(node, *keys), keyword=keyword, hint=hint)

    # -- resources and drafts ----------------------------------------------------------------

    def is_resource(self, node: dict[str, Any]) -> bool:
        """Tell whether a node is the root of a resource: it has an address of its own."""
        dialect = self.dialect_of(node) if self.mixed else self._dialect
        try:
            name = identify(node, dialect, self._dialects)[1]
        except UnresolvableError as problem:
            raise self.error(node, "$schema", problem.reason, problem.hint) from None
        return name is not None and name[:1] not in ("", "#")

    def draft_of(self, node: dict[str, Any]) -> str:
        """Return the draft of a node; to be asked before the references of the node are resolved."""
        return self.dialect_of(node).draft

    def dialect_of(self, node: dict[str, Any]) -> Dialect:
        """Return the dialect of a node; to be asked before the references of the node are resolved."""
        if not self.mixed and (
            node is self.root
            or ("$schema" not in node and self._identifier not in node)
            or not self.is_resource(node)
        ):
            return self._dialect
        scopes = self._open(node, self._identifier)
        original = self._aliased(node, ())[0]
        dialect = scopes.resource_of(original).dialect
        if dialect.ignored and (
            original is not node or scopes.resources.owner(scopes.original(node)) is None
        ):
            # What a keyword means is written with all keywords of the draft.
            return Dialect(dialect.draft)
        return dialect

    def _open(self, node: Any, keyword: str) -> Scopes:
        """Return the scopes; made when the first reference is met that is no pointer into the root."""
        if self._scopes is None:
            # Imported late: most schemas need none of this.
            from ._scopes import Scopes

            self.embedded = True
            try:
                self._scopes = Scopes(self.root, self._dialect, self._dialects, self._registry)
                for target in self._targets.values():
                    self._scopes.resources.adopt(target, self._scopes.resources.main)
            except UnresolvableError as problem:
                raise self.error(node, keyword, problem.reason, problem.hint) from problem
            self.mixed = self._scopes.resources.mixed
        return self._scopes

    # -- references ------------------------------------------------------------------------

    def resolve(self, node: Any, reference: Any) -> Any:
        """Return the schema that ``$ref: reference`` inside ``node`` points to."""
        if not self.embedded and isinstance(reference, str) and reference[:2] in ("#", "#/"):
            target = self._targets.get(reference)
            if target is not None:
                return target
            target = self._descend(node, reference)
            if not self.embedded:
                self._targets[reference] = target
                return target
        return self._resolve(node, "$ref", reference)

    def resolve_dynamic(self, node: Any, reference: Any) -> Any:
        """Return the schema that ``$dynamicRef: reference`` inside ``node`` points to."""
        return self._resolve(node, "$dynamicRef", reference)

    def resolve_recursive(self, node: Any, reference: Any) -> Any:
        """Return the schema that ``$recursiveRef: reference`` inside ``node`` points to."""
        if reference != "#":
            raise self.error(node, "$recursiveRef", 'the value must be "#"')
        return self._resolve(node, "$recursiveRef", reference)

    def _resolve(self, node: Any, keyword: str, reference: Any) -> Any:
        if not isinstance(reference, str):
            raise self.error(node, keyword, "the reference must be a string")
        scopes = self._open(node, keyword)
        try:
            target = scopes.resolve(self._aliased(node, ())[0], keyword, reference)
        except UnresolvableError as problem:
            raise self.error(node, keyword, problem.reason, problem.hint) from problem
        self.mixed = scopes.resources.mixed
        return target

    def _descend(self, node: Any, reference: str) -> Any:
        """Follow a pointer down from the root; note whether it leads into an embedded resource."""
        target = self.root
        try:
            for target in walk(self.root, reference, unquote(reference[1:])):
                if isinstance(target, dict) and target is not self.root and self.is_resource(target):
                    self.embedded = True
        except UnresolvableError as problem:
            raise self.error(node, "$ref", problem.reason, problem.hint) from None
        return target


def walk(target: Any, reference: str, fragment: str) -> Iterator[Any]:
    """Follow a JSON Pointer down from ``target``; give every step, the target itself first."""
    yield target
    for part in fragment.split("/")[1:]:
        part = part.replace("~1", "/").replace("~0", "~")
        if isinstance(target, dict) and part in target:
            target = target[part]
        elif isinstance(target, list) and _is_index(part) and int(part) < len(target):
            target = target[int(part)]
        else:
            raise UnresolvableError(f"the reference {reference!r} points to nothing")
        yield target
    if not isinstance(target, (dict, bool)):
        raise UnresolvableError(f"the reference {reference!r} points to something that is no schema")


def _is_index(part: str) -> bool:
    return part.isascii() and part.isdigit() and len(part) < 10 and (part == "0" or part[0] != "0")


def _find(root: Any, node: Any) -> tuple[str | int, ...] | None:
    """Return the path from the root of a document to a node, None when it is in another."""
    stack: list[tuple[Any, tuple[Any, ...]]] = [(root, ())]
    seen: set[int] = set()
    while stack:
        here, trail = stack.pop()
        if here is node and (isinstance(node, (dict, list)) or _is_for_schemas(trail)):
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


def _is_for_schemas(trail: tuple[Any, ...]) -> bool:
    """Tell whether a schema belongs at a place: what is no schema there may stand as a number elsewhere."""
    from ._documents import LIST, MAP, POSITIONS, SCHEMA

    positions = POSITIONS["2020-12"]
    if not trail:
        return True
    key, outer = trail[1], trail[0][1] if trail[0] else ""
    kind = LIST if isinstance(key, int) else MAP
    return bool(positions.get(key, 0) & SCHEMA or positions.get(outer, 0) & kind)


def escape(key: str) -> str:
    """Write a key as a reference token of a JSON Pointer."""
    return key.replace("~", "~0").replace("/", "~1")
