"""YAML texts: the values that JSON has, and where they are.

Plain scalars are read by the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema): ``no``
and ``12:30`` are strings. Merge keys (``<<``), which many tools write, are followed as in YAML 1.1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn

import yaml

from structgen.cli._documents import Document, ParseError, Path, Span, read_integer, read_number

_MAX_DEPTH = 1000
_MAX_EXPANDED = 1_000_000
"""Values that aliases may make of a document that is not as large itself."""

_NULL = re.compile(r"(?:null|Null|NULL|~|)")
_BOOL = re.compile(r"(?:true|True|TRUE|false|False|FALSE)")
_INTEGER = re.compile(r"[-+]?[0-9]+")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")

_CORE = "tag:yaml.org,2002:"
_TYPES: dict[str, tuple[type, ...]] = {
    "null": (type(None),),
    "bool": (bool,),
    "int": (int,),
    "float": (int, float, read_number("0").__class__),
}


_Key = tuple[int, int]


class _Node:
    """A value under construction; `parts` are the nodes of its members, with where their keys are."""

    __slots__ = ("anchor", "end", "explicit", "key", "merged", "parts", "size", "start", "value")

    def __init__(
        self, value: Any, start: int, end: int, parts: dict[str | int, tuple[_Key | None, _Node]] | None
    ):
        self.value = value
        self.start = start
        self.end = end
        self.parts = parts
        self.size = 1
        self.anchor: str | None = None
        # Of a mapping: the key that waits for its value, keys of its own, and what is to be merged into it.
        self.key: tuple[str, _Key, bool] | None = None
        self.explicit: set[str] = set()
        self.merged: list[_Node] = []


def documents(text: str, name: str) -> list[Document]:
    """Parse a stream of documents."""
    found: list[tuple[_Node, list[tuple[str, int]]]] = []
    try:
        events = iter(yaml.parse(text, Loader=getattr(yaml, "CLoader", yaml.Loader)))
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                composer = _Composer()
                found.append((composer.compose(events), composer.repeated))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        parts = [part for part in (error.context, error.problem) if part]
        hint = "indent with spaces" if "'\\t'" in str(error.problem) else None
        raise ParseError(f"is not YAML: {', '.join(parts)}", mark.index if mark else None, hint) from None
    except yaml.YAMLError as error:
        offset = getattr(error, "position", None)
        reason = str(getattr(error, "reason", error)).strip().partition("\n")[0]
        raise ParseError(f"is not YAML: {reason}", offset if isinstance(offset, int) else None) from None
    if not found:
        raise ParseError("is empty", 0, "a YAML document is expected")
    several = len(found) > 1
    return [
        Document(name, text, node.value, _locator(node), index=index if several else None, repeated=repeated)
        for index, (node, repeated) in enumerate(found)
    ]


class _Composer:
    """Makes one document of events: without recursion, since libyaml's own composer overflows the stack."""

    def __init__(self) -> None:
        self.repeated: list[tuple[str, int]] = []
        self._anchors: dict[str, _Node] = {}
        self._open: list[_Node] = []
        self._count = 0
        self._aliased = False

    def compose(self, events: Iterator[Any]) -> _Node:
        """Read the events of a document, up to its end."""
        root: _Node | None = None
        for event in events:
            if isinstance(event, yaml.DocumentEndEvent):
                break
            node = self._read(event)
            if node is None:
                continue
            if self._open:
                self._add(self._open[-1], node)
            else:
                root = node
        assert root is not None
        return root

    def _read(self, event: Any) -> _Node | None:
        """Return the value that an event completes, if it does."""
        start, end = event.start_mark.index, event.end_mark.index
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event.anchor, start, end)
        self._count += 1
        if isinstance(event, yaml.ScalarEvent):
            plain = event.implicit[0] and event.tag is None
            node = _Node(_scalar(event.value, event.tag, plain, start), start, end, None)
            node.key = (event.value, (start, end), plain and event.value == "<<")
            if event.anchor is not None:
                self._anchors[event.anchor] = node
            return node
        if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            kind = "map" if isinstance(event, yaml.MappingStartEvent) else "seq"
            if event.tag not in (None, "!", _CORE + kind):
                _refuse_tag(event.tag, start)
            if len(self._open) >= _MAX_DEPTH:
                raise ParseError(f"is nested more than {_MAX_DEPTH} levels deep", start)
            node = _Node({} if kind == "map" else [], start, end, {})
            node.anchor = event.anchor
            if event.anchor is not None:
                self._anchors[event.anchor] = node
            self._open.append(node)
            return None
        node = self._open.pop()
        node.end = end
        self._merge(node)
        if self._aliased and node.size > max(_MAX_EXPANDED, 10 * self._count):
            raise ParseError(
                f"has aliases that stand for more than {_MAX_EXPANDED:,} values",
                node.start,
                "write fewer aliases",
            )
        return node

    def _alias(self, anchor: str, start: int, end: int) -> _Node:
        node = self._anchors.get(anchor)
        if node is None:
            raise ParseError(f"is not YAML: the alias *{anchor} has no anchor before it", start)
        if any(node is parent for parent in self._open):
            raise ParseError(
                f"has an alias *{anchor} inside of what it stands for", start, "JSON has no such value"
            )
        self._aliased = True
        return node

    def _add(self, parent: _Node, node: _Node) -> None:
        assert parent.parts is not None
        if isinstance(parent.value, list):
            parent.parts[len(parent.value)] = (None, node)
            parent.value.append(node.value)
            parent.size += node.size
            return
        if parent.key is None:
            if node.parts is not None or node.key is None:
                raise ParseError("has a key that is no scalar", node.start, "keys of JSON are strings")
            parent.key = node.key
            return
        (key, where, merge), parent.key = parent.key, None
        if merge:
            parent.merged.extend(_mergeable(node))
            return
        if key in parent.explicit:
            self.repeated.append((key, where[0]))
        parent.explicit.add(key)
        parent.parts[key] = (where, node)
        parent.value[key] = node.value
        parent.size += node.size

    def _merge(self, node: _Node) -> None:
        """Add what merge keys bring: its own keys come first, then the first mapping with one."""
        assert node.parts is not None
        for other in node.merged:
            assert other.parts is not None
            for key, part in other.parts.items():
                if key not in node.parts:
                    node.parts[key] = part
                    node.value[key] = part[1].value
                    node.size += part[1].size
        node.merged = []


def _mergeable(node: _Node) -> list[_Node]:
    nodes = [node]
    if isinstance(node.value, list) and node.parts is not None:
        nodes = [part for _, part in node.parts.values()]
    for each in nodes:
        if not isinstance(each.value, dict):
            raise ParseError("has a merge key << with something else than mappings", each.start)
    return nodes


def _scalar(text: str, tag: str | None, plain: bool, start: int) -> Any:
    if plain:
        return _plain(text, start)
    if tag in (None, "!", _CORE + "str", _CORE + "timestamp"):
        return text
    kind = tag.removeprefix(_CORE) if tag is not None else ""
    if kind not in _TYPES or not (tag or "").startswith(_CORE):
        _refuse_tag(tag, start)
    value = _plain(text, start)
    if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "bool"):
        raise ParseError(f"has a {text[:40]!r} that is no !!{kind}", start)
    return value


def _plain(text: str, start: int) -> Any:
    """Resolve a plain scalar."""
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text[0] in "tT"
    try:
        if _INTEGER.fullmatch(text):
            return read_integer(text)
        if _BASED.fullmatch(text):
            return int(text, 0)
        if _FLOAT.fullmatch(text):
            return read_number(text)
    except ValueError as error:
        raise ParseError(f"cannot be read: {error}", start) from None
    if _NOT_FINITE.fullmatch(text):
        raise ParseError(f"has the number {text}, which JSON does not have", start, "write null, or quote it")
    return text


def _refuse_tag(tag: str | None, start: int) -> NoReturn:
    shown = "!!" + tag.removeprefix(_CORE) if tag is not None and tag.startswith(_CORE) else tag
    raise ParseError(f"has the tag {shown}, which no JSON value has", start, "remove it")


def _locator(root: _Node) -> Callable[[str, Iterable[Path]], dict[Path, Span]]:
    def locate(text: str, paths: Iterable[Path]) -> dict[Path, Span]:
        found = {}
        for path in paths:
            node, key = root, None
            for step in path:
                part = (node.parts or {}).get(step)
                if part is None:
                    break
                key, node = part
            found[path] = Span(node.start, node.end, key)
        return found

    return locate
