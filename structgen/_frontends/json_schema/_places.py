"""Every schema of a document and of those that it refers to: where it is, and whether anything applies it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

from structgen._errors import LimitError, StructgenError

from ._documents import LIST, MAP, POSITIONS, SCHEMA
from ._keywords import KEYWORDS
from ._names import COMPANIONS
from ._resolve import Document, escape

_REFERENCE_ALONE = ("4", "6", "7")

# Of all pointers together, for they get longer the deeper schemas nest.
_MAX_CHARACTERS = 1 << 27


class Place:
    """A schema that is an object: its pointer and its draft, and whether something applies it."""

    __slots__ = ("applied", "draft", "evaluates", "node", "pointer", "targets")

    def __init__(self, node: dict[str, Any], pointer: str, draft: str, evaluates: bool) -> None:
        self.node = node
        self.pointer = pointer
        self.draft = draft
        # Whether the document asks what is evaluated, which an "if" alone has a part in.
        self.evaluates = evaluates
        self.applied = False
        # Where its references lead, by keyword.
        self.targets: dict[str, Any] = {}

    @property
    def refers(self) -> bool:
        """Whether it is a reference beside which nothing else counts."""
        return "$ref" in self.node and self.draft in _REFERENCE_ALONE

    def why_not(self, keyword: str) -> str | None:
        """Say why a keyword of the draft asks for nothing here; None when it does."""
        node = self.node
        if self.refers and keyword != "$ref":
            return f"ignored next to $ref in draft {self.draft}"
        if keyword == "if" and not self.evaluates and "then" not in node and "else" not in node:
            return "there is neither then nor else beside it"
        if keyword in ("then", "else") and "if" not in node:
            return "there is no if beside it"
        if keyword in ("minContains", "maxContains") and "contains" not in node:
            return "there is no contains beside it"
        if keyword == "additionalItems" and not isinstance(node.get("items"), list):
            return "there is no array of schemas in items beside it"
        if self.draft == "4" and keyword in ("exclusiveMinimum", "exclusiveMaximum"):
            bound = "minimum" if keyword == "exclusiveMinimum" else "maximum"
            return None if bound in node else f"there is no {bound} beside it"
        return None

    def applies(self, keyword: str) -> bool:
        """Tell whether the schemas inside a keyword apply to something."""
        known = keyword in KEYWORDS[self.draft] or self.draft in COMPANIONS.get(keyword, ())
        return known and self.why_not(keyword) is None


def pointers_of(document: Document) -> dict[int, str]:
    """Return the pointers of all dicts of a document and of those that its references have led to, by id."""
    pointers: dict[int, str] = {}
    for prefix, root in [("", document.root), *document.others()]:
        _index(pointers, prefix, root)
    return pointers


def _index(pointers: dict[int, str], prefix: str, root: Any) -> None:
    """Add the dicts below a root, in order; one Python object in several places counts in the first."""
    characters = 0
    lists: set[int] = set()
    stack = [(root, prefix)]
    while stack:
        here, pointer = stack.pop()
        items: Iterable[tuple[Any, Any]]
        if isinstance(here, dict):
            if id(here) in pointers:
                continue
            pointers[id(here)] = pointer
            characters += len(pointer)
            if characters > _MAX_CHARACTERS:
                raise LimitError(
                    f"the JSON Pointers of all schemas have more than {_MAX_CHARACTERS} characters",
                    value=_MAX_CHARACTERS,
                )
            items = here.items()
        else:
            if id(here) in lists:
                continue
            lists.add(id(here))
            items = enumerate(here)
        children = [(child, f"{pointer}/{escape(str(key))}") for key, child in items if _is_container(child)]
        stack.extend(reversed(children))


def _mentions(root: Any, keywords: tuple[str, ...]) -> bool:
    """Tell whether one of some keys is anywhere in a document."""
    seen = {id(root)}
    ahead = [root]
    while ahead:
        here = ahead.pop()
        if isinstance(here, dict) and any(keyword in here for keyword in keywords):
            return True
        for child in here.values() if isinstance(here, dict) else here:
            if _is_container(child) and id(child) not in seen:
                seen.add(id(child))
                ahead.append(child)
    return False


def _is_container(value: Any) -> bool:
    return isinstance(value, (dict, list))


class Places:
    """All places: those of the document in its order, then those of other documents that references reach.

    Parameters
    ----------
    document : Document
        Its root is a dict.

    Raises
    ------
    LimitError
        The pointers get too long.
    """

    def __init__(self, document: Document) -> None:
        self.document = document
        # The pointers of every dict, schema or not, in order.
        self._pointers: dict[int, str] = {}
        self._indexed = 0
        self._places: dict[int, Place] = {}
        _index(self._pointers, "", document.root)
        self._evaluates = _mentions(document.root, ("unevaluatedItems", "unevaluatedProperties"))
        self._follow(document.root)
        self._add_rest()
        self.all = [self._places[key] for key in self._pointers if key in self._places]
        self.by_pointer = {place.pointer: place for place in self.all}

    def pointer(self, node: Any) -> str:
        """Return the pointer of a schema."""
        return self._pointers.get(id(self.document.origin(node)), "")

    def _place(self, node: dict[str, Any], draft: str) -> Place:
        origin = self.document.origin(node)
        place = self._places.get(id(origin))
        if place is None:
            with contextlib.suppress(StructgenError):
                draft = self.document.draft_of(node)
            place = self._places[id(origin)] = Place(
                origin, self._pointers[id(origin)], draft, self._evaluates
            )
        return place

    def _follow(self, root: Any) -> None:
        """Visit what the root applies. A schema of several dynamic scopes is visited once for each."""
        visited = {id(root)}
        ahead = [(root, self.document.draft)]
        while ahead:
            node, draft = ahead.pop()
            place = self._place(node, draft)
            place.applied = True
            found = [child for keyword, child in _children(node) if place.applies(keyword)]
            for keyword, resolve in (
                ("$ref", self.document.resolve),
                ("$dynamicRef", self.document.resolve_dynamic),
                ("$recursiveRef", self.document.resolve_recursive),
            ):
                if keyword in node and place.applies(keyword):
                    # What leads nowhere is refused by the lowering.
                    with contextlib.suppress(StructgenError):
                        target = resolve(node, node[keyword])
                        self._index_others()
                        place.targets[keyword] = target
                        found.append(target)
            for child in found:
                if isinstance(child, dict) and id(child) not in visited:
                    visited.add(id(child))
                    ahead.append((child, place.draft))

    def _index_others(self) -> None:
        others = self.document.others()
        for prefix, root in others[self._indexed :]:
            _index(self._pointers, prefix, root)
        self._indexed = len(others)

    def _add_rest(self) -> None:
        """Add the schemas of the document that nothing applies."""
        ahead = [place for place in self._places.values() if place.pointer[:1] in ("", "/")]
        while ahead:
            place = ahead.pop()
            for _, child in _children(place.node):
                if isinstance(child, dict) and id(child) not in self._places:
                    ahead.append(self._place(child, place.draft))


def _children(node: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Return what stands where some draft has a subschema, with its keyword."""
    positions = POSITIONS["2020-12"]
    for keyword, value in node.items():
        kind = positions.get(keyword, 0)
        if kind & SCHEMA and not (kind & LIST and isinstance(value, list)):
            yield keyword, value
        elif kind & LIST and isinstance(value, list):
            yield from ((keyword, child) for child in value)
        elif kind & MAP and isinstance(value, dict):
            yield from ((keyword, child) for child in value.values())
