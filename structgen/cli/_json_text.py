"""JSON texts: strict parsing, and where the parts of a value are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any

from structgen.cli._documents import (
    Document,
    ExponentError,
    ParseError,
    Path,
    Span,
    read_integer,
    read_number,
)

_SPACE = re.compile(r"[ \t\n\r]*")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)

_skip = json.JSONDecoder(parse_int=len, parse_float=len).scan_once  # type: ignore[attr-defined]


class _NotJSONError(Exception):
    pass


def _refuse_constant(name: str) -> Any:
    raise _NotJSONError(name)


def document(text: str, name: str, first_line: int = 1) -> Document:
    """Parse a text; RFC 8259 and nothing more, so that NaN, comments and trailing commas are refused."""
    repeats = False

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal repeats
        found = dict(pairs)
        repeats = repeats or len(found) < len(pairs)
        return found

    try:
        value = json.loads(
            text,
            object_pairs_hook=members,
            parse_int=read_integer,
            parse_float=read_number,
            parse_constant=_refuse_constant,
        )
    except json.JSONDecodeError as error:
        raise _explained(text, error) from None
    except _NotJSONError as error:
        raise ParseError(
            f"is not JSON: {error} is no JSON number",
            _find(text, str(error)),
            "write null, or a string where the schema allows one",
        ) from None
    except RecursionError:
        raise ParseError("is nested too deeply", 0, "no more than some thousand levels can be read") from None
    except ExponentError as error:
        raise ParseError(f"cannot be read: {error}", _find(text, error.literal)) from None
    found = Document(name, text, value, locate, first_line)
    if repeats:
        found.repeated = _repeated(text)
    return found


def _find(text: str, token: str) -> int:
    """Return the offset of a token, outside of strings."""
    return next(match.start() for match in _TOKEN.finditer(text) if match[0] == token)


def _explained(text: str, error: json.JSONDecodeError) -> ParseError:
    reason = error.msg[:1].lower() + error.msg[1:]
    hint = None
    here = text[error.pos : error.pos + 2]
    before = text[: error.pos].rstrip()[-1:]
    if not text.strip():
        return ParseError("is empty", 0, "a JSON value is expected")
    if error.msg == "Extra data":
        reason = "a second value follows the first"
        hint = "one value a line is JSON lines: --input-format jsonl"
    elif here in ("//", "/*") or here[:1] == "#":
        hint = "JSON has no comments"
    elif here[:1] == "'":
        hint = 'strings stand in double quotes: "..."'
    elif before == "," and here[:1] in ("}", "]", ""):
        hint = "remove the comma before it"
    elif "control character" in error.msg:
        hint = r"write it as an escape, such as \n"
    return ParseError(f"is not JSON: {reason}", error.pos, hint)


def _repeated(text: str) -> list[tuple[str, int]]:
    """Find the keys that objects of a valid text repeat."""
    found: list[tuple[str, int]] = []
    stack: list[set[str] | None] = []
    previous: tuple[str, int] | None = None
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token == "{":
            stack.append(set())
        elif token == "[":
            stack.append(None)
        elif token in "}]":
            stack.pop()
        elif token == ":" and previous is not None:
            key, keys = json.loads(previous[0]), stack[-1]
            assert keys is not None
            if key in keys:
                found.append((key, previous[1]))
            keys.add(key)
        previous = (token, match.start())
    return found


def locate(text: str, paths: Iterable[Path]) -> dict[Path, Span]:
    """Find parts of a valid text, in one pass over it.

    What no path leads to is skipped by the scanner of :mod:`json`, in C.
    """
    wanted: dict[Any, Any] = {}
    paths = list(paths)
    for path in paths:
        node = wanted
        for step in path:
            node = node.setdefault(step, {})
    spans: dict[Path, Span] = {}
    _locate(text, _space(text, 0), wanted, (), None, spans)
    found = {}
    for path in paths:
        here = path
        while here not in spans:
            here = here[:-1]
        found[path] = spans[here]
    return found


def _space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    assert match is not None
    return match.end()


def _locate(
    text: str,
    start: int,
    wanted: dict[Any, Any],
    path: Path,
    key: tuple[int, int] | None,
    spans: dict[Path, Span],
) -> int:
    """Note the spans of a value and of what is wanted below it; return where it ends."""
    opening = text[start]
    if not wanted or opening not in "[{":
        end: int = _skip(text, start)[1]
        spans[path] = Span(start, end, key)
        return end
    position, index = _space(text, start + 1), 0
    while text[position] not in "]}":
        step: str | int = index
        child_key: tuple[int, int] | None = None
        if opening == "{":
            begin = position
            step, position = scanstring(text, begin + 1, True)
            child_key = (begin, position)
            position = _space(text, _space(text, position) + 1)
        below = wanted.get(step)
        if below is None:
            position = _skip(text, position)[1]
        else:
            # A key that comes again replaces the one before it, and all below that.
            position = _locate(text, position, below, (*path, step), child_key, spans)
        position = _space(text, position)
        if text[position] == ",":
            position = _space(text, position + 1)
        index += 1
    spans[path] = Span(start, position + 1, key)
    return position + 1
