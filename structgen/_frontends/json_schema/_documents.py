"""Resources: what the documents that references reach are made of, where they are and what they name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urljoin

from ._dialects import Dialect, Dialects, UnresolvableError, draft_of_specification, identify
from ._resolve import walk

if TYPE_CHECKING:
    from referencing import Registry

SCHEMA, LIST, MAP = 1, 2, 4


def _positions() -> dict[str, dict[str, int]]:
    """Where subschemas are, by draft: an identifier anywhere else names nothing.

    Keywords that a draft has dropped stay, since schemas keep them; "$defs" is in use in every draft.
    """
    known = dict.fromkeys(("additionalItems", "additionalProperties", "not"), SCHEMA)
    known |= {"items": SCHEMA | LIST} | dict.fromkeys(("allOf", "anyOf", "oneOf"), LIST)
    known |= dict.fromkeys(("$defs", "definitions", "dependencies", "patternProperties", "properties"), MAP)
    positions = {"4": known}
    for draft, more in {
        "6": {"contains": SCHEMA, "propertyNames": SCHEMA},
        "7": {"else": SCHEMA, "if": SCHEMA, "then": SCHEMA},
        "2019-09": {
            "contentSchema": SCHEMA,
            "dependentSchemas": MAP,
            "unevaluatedItems": SCHEMA,
            "unevaluatedProperties": SCHEMA,
        },
        "2020-12": {"prefixItems": LIST},
    }.items():
        positions[draft] = known = known | more
    return positions


POSITIONS = _positions()

_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")

# The name of "$recursiveAnchor: true" among the dynamic anchors of a resource; no other is empty.
RECURSIVE = ""


class Resource:
    """A schema with an address of its own, down to where the next one begins."""

    __slots__ = (
        "anchors",
        "dialect",
        "dynamic",
        "explored",
        "names",
        "parent",
        "references",
        "root",
        "targets",
        "uri",
    )

    def __init__(self, root: Any, uri: str, dialect: Dialect, parent: Resource | None) -> None:
        self.root = root
        self.uri = uri
        self.dialect = dialect
        # The resource that this one is embedded in.
        self.parent = parent
        self.anchors: dict[str, Any] = {}
        self.dynamic: dict[str, Any] = {}
        # (keyword, reference); those before ``explored`` have been followed to ``targets`` and ``names``.
        self.references: list[tuple[str, str]] = []
        self.explored = 0
        # The resources that this one leads to, and the dynamic anchors that it refers to.
        self.targets: set[Resource] = set()
        self.names: set[str] = set()


class Resources:
    """Every resource that has been read, by address and by node."""

    def __init__(
        self, root: Any, dialect: Dialect, dialects: Dialects, registry: Registry[Any] | None
    ) -> None:
        self.registry = registry
        self._dialects = dialects
        self._bundled = False
        self._by_uri: dict[str, Resource] = {}
        self._owners: dict[int, Resource] = {}
        # The roots of the documents, the one that is compiled first.
        self.documents: list[Resource] = []
        # Goes up whenever a reference or a resource is added.
        self.version = 0
        # Whether there are resources of more than one dialect, or of one that lacks keywords.
        self.mixed = False
        self._dialect = dialect
        self.main = self._read(root, "", dialect)
        self._by_uri.setdefault("", self.main)

    def owner(self, node: Any) -> Resource | None:
        """Return the resource that a node of a document belongs to, None for a node that is no schema."""
        return self._owners.get(id(node))

    # -- reading ---------------------------------------------------------------------------

    def _read(self, root: Any, uri: str, dialect: Dialect) -> Resource:
        """Add a document whose root has the given address, unless it says another one itself."""
        name = identify(root, dialect, self._dialects)[1] if isinstance(root, dict) else None
        if name is not None:
            uri = _join(uri, name.partition("#")[0])
        resource = self._resource(root, uri, dialect, None)
        self.documents.append(resource)
        self._scan(root, resource)
        return resource

    def _resource(self, root: Any, uri: str, dialect: Dialect, parent: Resource | None) -> Resource:
        resource = Resource(root, uri, dialect, parent)
        # Of two resources with one address, the first has it.
        self._by_uri.setdefault(uri, resource)
        self.mixed = self.mixed or dialect != self._dialect or bool(dialect.ignored)
        return resource

    def adopt(self, node: Any, resource: Resource) -> Resource:
        """Make a schema of what a pointer leads to, be it a part of a keyword that holds no schemas."""
        if isinstance(node, dict):
            if id(node) not in self._owners:
                self._scan(node, resource)
            return self._owners[id(node)]
        return resource

    def _scan(self, start: Any, resource: Resource) -> None:
        """Assign the schemas from ``start`` on to their resources and collect what they name."""
        stack = [(start, resource)]
        while stack:
            node, resource = stack.pop()
            if not isinstance(node, dict):
                continue
            owner = self._owners.get(id(node))
            if owner is not None:
                self._check_shared(node, owner, resource)
                continue
            resource = self._enter(node, resource)
            self._owners[id(node)] = resource
            for keyword in _REFERENCES:
                if isinstance(node.get(keyword), str):
                    resource.references.append((keyword, node[keyword]))
                    self.version += 1
            stack.extend((child, resource) for child in [*_subschemas(node, resource.dialect.draft)][::-1])

    def _check_shared(self, node: Any, owner: Resource, resource: Resource) -> None:
        """Refuse one Python object in two resources where that makes it two different schemas."""
        if owner is resource or (owner.root is node and owner.parent is resource):
            return
        if owner.dialect != resource.dialect or _has_reference(node):
            raise UnresolvableError(
                f"one Python object is a part of two resources, {owner.uri!r} and {resource.uri!r}",
                "pass the schema as JSON text",
            )

    def _enter(self, node: dict[str, Any], resource: Resource) -> Resource:
        """Record the names that ``node`` gives itself; return the resource it belongs to."""
        dialect, name = identify(node, resource.dialect, self._dialects)
        address, _, fragment = ("" if name is None else name).partition("#")
        if node is not resource.root and address:
            uri = _join(resource.uri, address)
            if uri != resource.uri:
                outer, resource = resource, self._resource(node, uri, dialect, resource)
                outer.targets.add(resource)
                self.version += 1
        draft = resource.dialect.draft
        if draft in ("4", "6", "7"):
            if fragment:
                resource.anchors.setdefault(unquote(fragment), node)
            return resource
        if isinstance(node.get("$anchor"), str):
            resource.anchors.setdefault(node["$anchor"], node)
        dynamic = node.get("$dynamicAnchor")
        if draft == "2020-12" and isinstance(dynamic, str) and dynamic:
            resource.anchors.setdefault(dynamic, node)
            resource.dynamic.setdefault(dynamic, node)
        if draft == "2019-09" and node is resource.root and node.get("$recursiveAnchor") is True:
            resource.dynamic[RECURSIVE] = node
        return resource

    # -- references ------------------------------------------------------------------------

    def locate(self, resource: Resource, reference: str) -> tuple[Resource, Any, str | None]:
        """Follow a reference; return the resource it ends in, the schema there and the anchor it names."""
        address, _, fragment = reference.partition("#")
        found = resource if not address else self._at(_join(resource.uri, address), resource, reference)
        fragment = unquote(fragment)
        if fragment and not fragment.startswith("/"):
            if fragment not in found.anchors:
                where = f"{found.uri!r}" if found.uri else "this document"
                raise UnresolvableError(f"there is no anchor {fragment!r} in {where}")
            return found, found.anchors[fragment], fragment
        return *self._walk(found, reference, fragment), None

    def _walk(self, resource: Resource, reference: str, fragment: str) -> tuple[Resource, Any]:
        """Follow a JSON Pointer down from the root of a resource, and into what is embedded in it."""
        target = resource.root
        for step in walk(resource.root, reference, fragment):
            target = step
            if isinstance(step, dict):
                resource = self._owners.get(id(step), resource)
        return self.adopt(target, resource), target

    def _at(self, address: str, resource: Resource, reference: str) -> Resource:
        if address == resource.uri:
            return resource
        found = self._by_uri.get(address)
        if found is None:
            found = self._by_uri[address] = self._retrieve(address, reference, resource.dialect)
        return found

    def _retrieve(self, address: str, reference: str, dialect: Dialect) -> Resource:
        # Imported late: next to no schema leaves its document.
        from jsonschema_specifications import REGISTRY

        if not self._bundled:
            self.registry = REGISTRY if self.registry is None else REGISTRY.combine(self.registry)
            self._bundled = True
        assert self.registry is not None
        try:
            # Whatever the caller's registry raises, the reference is what cannot be followed.
            retrieved = self.registry.get_or_retrieve(address)
        except Exception as error:
            cause = "" if error.__cause__ is None else f" ({error.__cause__})"
            raise UnresolvableError(
                f"the reference {reference!r} leaves the document, and no registry has {address!r}{cause}",
                "give its document in registry=, a referencing.Registry, or copy it into the schema",
            ) from error
        self.registry = retrieved.registry
        root = _own(retrieved.value.contents)
        # A document says its draft itself, or the registry does; else it is that of the reference.
        said = self._dialects.of(root.get("$schema")) if isinstance(root, dict) else None
        if said is None and (draft := draft_of_specification(retrieved.value)) is not None:
            said = Dialect(draft)
        return self._read(root, address, said or dialect)


def _join(base: str, address: str) -> str:
    try:
        return urljoin(base, address)
    except ValueError as error:
        raise UnresolvableError(f"{address!r} is no URI: {error}") from None


def _subschemas(node: dict[str, Any], draft: str) -> Iterator[Any]:
    positions = POSITIONS[draft]
    for keyword, value in node.items():
        kind = positions.get(keyword, 0)
        if isinstance(value, dict):
            if kind & SCHEMA:
                yield value
            elif kind & MAP:
                yield from value.values()
        elif isinstance(value, list) and kind & LIST:
            yield from value


def _has_reference(node: Any) -> bool:
    stack = [node]
    while stack:
        here = stack.pop()
        if isinstance(here, dict):
            if any(keyword in here for keyword in _REFERENCES):
                return True
            stack.extend(here.values())
        elif isinstance(here, list):
            stack.extend(here)
    return False


def _own(contents: Any) -> Any:
    """Copy a document of a registry: its nodes are then in no other document, and are dicts and lists."""
    if isinstance(contents, Mapping):
        return {key: _own(value) for key, value in contents.items()}
    if isinstance(contents, (list, tuple)):
        return [_own(value) for value in contents]
    return contents
