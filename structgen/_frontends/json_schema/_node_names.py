"""The names of the schema nodes that objects and arrays belong to, for structure events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._resolve import escape

if TYPE_CHECKING:
    from ._resolve import Document


def node_names(document: Document, nodes_of: dict[int, tuple[Any, ...]]) -> list[tuple[int, list[str]]]:
    """Return, for each expression of an object or array, the URI fragments of its nodes, as in ``$ref``.

    Nodes that stand in no document (made by the lowering) have no name.
    """
    places: dict[int, str] = {}
    for prefix, root in [("#", document.root), *document.others()]:
        _walk(root, prefix, places)
    named = []
    for handle, nodes in nodes_of.items():
        found = [places.get(id(document.origin(node))) for node in nodes if not document.is_alias(node)]
        named.append((handle, [name for name in dict.fromkeys(found) if name is not None]))
    return named


def _walk(root: Any, prefix: str, places: dict[int, str]) -> None:
    stack = [(root, prefix)]
    while stack:
        here, place = stack.pop()
        if id(here) in places:
            continue
        if isinstance(here, dict):
            places[id(here)] = place
            children = [(value, f"{place}/{escape(str(key))}") for key, value in here.items()]
        elif isinstance(here, list):
            places[id(here)] = place
            children = [(value, f"{place}/{index}") for index, value in enumerate(here)]
        else:
            continue
        stack.extend(reversed(children))
