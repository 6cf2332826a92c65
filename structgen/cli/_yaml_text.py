"""YAML texts: the values that JSON has, and where they are.

Plain scalars are read by the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema): ``no``
and ``12:30`` are strings. Merge keys (``<<``), which many tools write, are followed as in YAML 1.1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, NoReturn

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


_Span = int
"""Where something begins and ends, in one number: a document has many."""


def _span(start: int, end: int) -> _Span:
    return start << 32 | end


def _ends(span: _Span) -> tuple[int, int]:
    return span >> 32, span & 0xFFFFFFFF


class _Done(NamedTuple):
    """A value, where it is, and how many values it is made of; of a scalar that may be a key, its text.

    The place of a scalar is a span. That of a mapping or sequence is a span and the places of its members,
    in a list, or by keys together with the spans of the keys.
    """

    value: Any
    place: Any
    size: int
    text: str | None = None
    merge: bool = False


class _Open:
    """A mapping or sequence under construction."""

    __slots__ = ("anchor", "key", "merged", "parts", "size", "start", "value")

    def __init__(self, is_map: bool, start: int, anchor: str | None) -> None:
        self.value: Any = {} if is_map else []
        self.parts: Any = {} if is_map else []
        self.start = start
        self.anchor = anchor
        self.size = 1
        # Of a mapping: the key that waits for its value, and what is to be merged into it.
        self.key: _Done | None = None
        self.merged: list[_Done] = []


def documents(text: str, name: str) -> list[Document]:
    """Parse a stream of documents."""
    found: list[tuple[_Done, list[tuple[str, int]]]] = []
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
        Document(
            name, text, root.value, _locator(root.place), index=index if several else None, repeated=repeated
        )
        for index, (root, repeated) in enumerate(found)
    ]


class _Composer:
    """Makes one document of events: without recursion, since libyaml's own composer overflows the stack."""

    def __init__(self) -> None:
        self.repeated: list[tuple[str, int]] = []
        self._anchors: dict[str, _Done | _Open] = {}
        self._open: list[_Open] = []
        self._count = 0
        self._aliased = False

    def compose(self, events: Iterator[Any]) -> _Done:
        """Read the events of a document, up to its end."""
        root: _Done | None = None
        for event in events:
            if isinstance(event, yaml.DocumentEndEvent):
                break
            done = self._read(event)
            if done is None:
                continue
            if self._open:
                self._add(self._open[-1], done)
            else:
                root = done
        assert root is not None
        return root

    def _read(self, event: Any) -> _Done | None:
        """Return the value that an event completes, if it does."""
        start, end = event.start_mark.index, event.end_mark.index
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event.anchor, start)
        if isinstance(event, yaml.ScalarEvent):
            self._count += 1
            plain = event.implicit[0] and event.tag is None
            value = _scalar(event.value, event.tag, plain, start)
            done = _Done(value, _span(start, end), 1, event.value, plain and event.value == "<<")
            if event.anchor is not None:
                self._anchors[event.anchor] = done
            return done
        if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            self._count += 1
            is_map = isinstance(event, yaml.MappingStartEvent)
            if event.tag not in (None, "!", _CORE + ("map" if is_map else "seq")):
                _refuse_tag(event.tag, start)
            if len(self._open) >= _MAX_DEPTH:
                raise ParseError(f"is nested more than {_MAX_DEPTH} levels deep", start)
            self._open.append(_Open(is_map, start, event.anchor))
            if event.anchor is not None:
                self._anchors[event.anchor] = self._open[-1]
            return None
        return self._close(self._open.pop(), end)

    def _close(self, node: _Open, end: int) -> _Done:
        # Keys of the mapping itself come first, then the first merged mapping that has one.
        for other in node.merged:
            for key, part in other.place[1].items():
                if key not in node.parts:
                    node.parts[key] = part
                    node.value[key] = other.value[key]
            node.size += other.size
        if self._aliased and node.size > max(_MAX_EXPANDED, 10 * self._count):
            raise ParseError(
                f"has aliases that stand for more than {_MAX_EXPANDED:,} values",
                node.start,
                "write fewer aliases",
            )
        done = _Done(node.value, (_span(node.start, end), node.parts), node.size)
        if node.anchor is not None and self._anchors[node.anchor] is node:
            self._anchors[node.anchor] = done
        return done

    def _alias(self, anchor: str, start: int) -> _Done:
        found = self._anchors.get(anchor)
        if found is None:
            raise ParseError(f"is not YAML: the alias *{anchor} has no anchor before it", start)
        if isinstance(found, _Open):
            raise ParseError(
                f"has an alias *{anchor} inside of what it stands for", start, "JSON has no such value"
            )
        self._aliased = True
        return found

    def _add(self, parent: _Open, done: _Done) -> None:
        if isinstance(parent.value, list):
            parent.parts.append(done.place)
            parent.value.append(done.value)
            parent.size += done.size
            return
        if parent.key is None:
            if done.text is None:
                start = _ends(done.place[0])[0]
                raise ParseError("has a key that is no scalar", start, "keys of JSON are strings")
            parent.key = done
            return
        key, parent.key = parent.key, None
        if key.merge:
            parent.merged.extend(_mergeable(done))
            return
        assert key.text is not None
        if key.text in parent.parts:
            self.repeated.append((key.text, _ends(key.place)[0]))
        parent.parts[key.text] = (key.place, done.place)
        parent.value[key.text] = done.value
        parent.size += done.size


def _mergeable(done: _Done) -> list[_Done]:
    found = [done]
    if isinstance(done.value, list):
        places = done.place[1]
        found = [_Done(value, place, 1) for value, place in zip(done.value, places, strict=True)]
    for each in found:
        if not isinstance(each.value, dict):
            span = each.place if isinstance(each.place, int) else each.place[0]
            raise ParseError("has a merge key << with something else than mappings", _ends(span)[0])
    return [_Done(each.value, each.place, len(each.value)) for each in found]


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


def _locator(root: Any) -> Callable[[str, Iterable[Path]], dict[Path, Span]]:
    def locate(text: str, paths: Iterable[Path]) -> dict[Path, Span]:
        found = {}
        for path in paths:
            place, key = root, None
            for step in path:
                parts = [] if isinstance(place, int) else place[1]
                if isinstance(parts, dict) and step in parts:
                    key, place = parts[step]
                elif isinstance(parts, list) and isinstance(step, int) and step < len(parts):
                    key, place = None, parts[step]
                else:
                    break
            start, end = _ends(place if isinstance(place, int) else place[0])
            found[path] = Span(start, end, None if key is None else _ends(key))
        return found

    return locate
