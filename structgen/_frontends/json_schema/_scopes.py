"""Dynamic scopes: nodes that know which resources were entered on the way to them.

``$dynamicRef`` and ``$recursiveRef`` lead to the outermost resource entered so far that has a certain anchor.
The lowering tells schemas apart by identity, so a resource that can mean different things in different scopes
is copied once for each: what is reached from a copy carries its scope. A scope is a resource and its bindings
(which resource each dynamic anchor stands for), restricted to the anchors that can still be referred to from
there; of these there are finitely many, equal ones are the same, and so recursion ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._dialects import Dialect, Dialects, UnresolvableError
from ._documents import RECURSIVE, Resource, Resources

if TYPE_CHECKING:
    from referencing import Registry

Bindings = dict[str, Resource]


class Scope:
    """A resource as it is entered with certain bindings."""

    __slots__ = ("bindings", "copies", "resource")

    def __init__(self, resource: Resource, bindings: Bindings, copies: dict[int, Any] | None) -> None:
        self.resource = resource
        self.bindings = bindings
        # The copies of the nodes by the id of the original; None where the nodes are the originals.
        self.copies = copies


class Scopes:
    """The resources of a document, and the scopes they have been entered with."""

    def __init__(
        self, root: Any, dialect: Dialect, dialects: Dialects, registry: Registry[Any] | None
    ) -> None:
        self.resources = Resources(root, dialect, dialects, registry)
        self._scopes: dict[tuple[Resource, frozenset[tuple[str, Resource]]], Scope] = {}
        self._lexical: dict[Resource, Scope] = {}
        self._copies: dict[int, tuple[Scope, Any]] = {}
        self._targets: dict[tuple[Scope, str, str], Any] = {}
        self._needs: dict[Resource, set[str]] = {}
        self._version = 0

    def resource_of(self, node: Any) -> Resource:
        """Return the resource of a node."""
        return self.resources.owner(self.original(node)) or self.resources.main

    def of(self, node: Any) -> Scope:
        """Return the scope of a node."""
        copied = self._copies.get(id(node))
        return self._lexical_scope(self.resource_of(node)) if copied is None else copied[0]

    def original(self, node: Any) -> Any:
        """Return the node of a document that ``node`` is or was copied from."""
        copied = self._copies.get(id(node))
        return node if copied is None else copied[1]

    def resolve(self, node: Any, keyword: str, reference: str) -> Any:
        """Return the schema that a reference of ``node`` leads to, in the scope it then has."""
        scope = self.of(node)
        key = (scope, keyword, reference)
        target = self._targets.get(key)
        if target is None:
            target = self._targets[key] = self._resolve(scope, keyword, reference)
        return target

    def _resolve(self, scope: Scope, keyword: str, reference: str) -> Any:
        if keyword == "$recursiveRef":
            resource, target = scope.resource, scope.resource.root
            name: str | None = RECURSIVE
        else:
            resource, target, name = self.resources.locate(scope.resource, reference)
        if keyword != "$ref" and name is not None and name in resource.dynamic:
            resource = scope.bindings.get(name, resource)
            target = resource.dynamic[name]
        if not isinstance(target, dict):
            return target
        scope = self._enter(resource, scope.bindings)
        return target if scope.copies is None else scope.copies[id(target)]

    # -- scopes ----------------------------------------------------------------------------

    def _lexical_scope(self, resource: Resource) -> Scope:
        """Return the scope of the original nodes: that of whoever comes down from the document's root."""
        scope = self._lexical.get(resource)
        if scope is None:
            outer = {} if resource.parent is None else self._lexical_scope(resource.parent).bindings
            bindings = self._bindings(resource, outer)
            scope = self._lexical[resource] = Scope(resource, bindings, None)
            self._scopes[resource, frozenset(bindings.items())] = scope
        return scope

    def _enter(self, resource: Resource, outer: Bindings) -> Scope:
        """Return the scope of a resource that is entered from one with the bindings ``outer``."""
        self._lexical_scope(resource)
        bindings = self._bindings(resource, outer)
        key = (resource, frozenset(bindings.items()))
        scope = self._scopes.get(key)
        if scope is None:
            scope = self._scopes[key] = Scope(resource, bindings, {})
            self._copy(scope, resource.root)
        return scope

    def _copy(self, scope: Scope, value: Any) -> Any:
        if isinstance(value, list):
            return [self._copy(scope, item) for item in value]
        if not isinstance(value, dict):
            return value
        owner = self.resources.owner(value)
        if owner is not None and owner.root is value and owner is not scope.resource:
            inner = self._enter(owner, scope.bindings)
            return value if inner.copies is None else inner.copies[id(value)]
        assert scope.copies is not None
        copy = scope.copies.get(id(value))
        if copy is None:
            copy = scope.copies[id(value)] = {}
            self._copies[id(copy)] = (scope, value)
            copy.update((key, self._copy(scope, item)) for key, item in value.items())
        return copy

    # -- bindings --------------------------------------------------------------------------

    def _bindings(self, resource: Resource, outer: Bindings) -> Bindings:
        """Return what the dynamic anchors stand for inside a resource, for those that matter there."""
        if not outer and not resource.dynamic:
            return outer
        bindings = dict.fromkeys(resource.dynamic, resource) | outer
        needed: set[str] = set()
        ahead = [resource]
        while ahead:
            new = self._needed(ahead.pop()) - needed
            needed |= new
            ahead.extend(bindings[name] for name in new if name in bindings)
        return {name: bound for name, bound in bindings.items() if name in needed}

    def _needed(self, resource: Resource) -> set[str]:
        """Return the dynamic anchors that are referred to in what a resource leads to."""
        while self._version != self.resources.version or resource not in self._needs:
            if self._version != self.resources.version:
                self._needs.clear()
                self._version = self.resources.version
            reached = [resource]
            known = {resource}
            for here in reached:
                self._explore(here)
                new = here.targets - known
                known |= new
                reached.extend(new)
            self._needs[resource] = set().union(*(here.names for here in reached))
        return self._needs[resource]

    def _explore(self, resource: Resource) -> None:
        """Follow the references of a resource, which may load documents; what leads nowhere may be unused."""
        while resource.explored < len(resource.references):
            keyword, reference = resource.references[resource.explored]
            resource.explored += 1
            if keyword == "$recursiveRef":
                if RECURSIVE in resource.dynamic:
                    resource.names.add(RECURSIVE)
                continue
            try:
                found, _, name = self.resources.locate(resource, reference)
            except UnresolvableError:
                continue
            resource.targets.add(found)
            if keyword == "$dynamicRef" and name is not None and name in found.dynamic:
                resource.names.add(name)
