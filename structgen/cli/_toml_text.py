"""TOML texts. Dates and times become strings, as JSON has them; places are those of the lines that assign."""

from __future__ import annotations

import datetime
import re
import sys
from collections.abc import Iterable
from typing import Any

from structgen.cli._documents import Document, ParseError, Path, Span, line_starts, read_number

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_BARE = r"[A-Za-z0-9_-]+"
_QUOTED = r'"(?:[^"\\\n]|\\.)*"|' + r"'[^'\n]*'"
_KEY = rf"(?:{_BARE}|{_QUOTED})"
_DOTTED = rf"{_KEY}(?:[ \t]*\.[ \t]*{_KEY})*"
_HEADER = re.compile(rf"[ \t]*(\[\[?)[ \t]*({_DOTTED})[ \t]*\]")
_ASSIGNMENT = re.compile(rf"[ \t]*({_DOTTED})[ \t]*=[ \t]*")
_PART = re.compile(_KEY)
_TRIPLE = re.compile(r'"""|' + r"'''")


def document(text: str, name: str) -> Document:
    """Parse a text, numbers exactly."""
    try:
        value = _as_json(tomllib.loads(text, parse_float=_number))
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        reason, _, place = message.rpartition(" (at ")
        where = re.fullmatch(r"line (\d+), column (\d+)\)", place)
        offset = None
        if where is not None:
            # Carriage returns before line feeds are dropped while parsing, which moves no line.
            offset = line_starts(text)[int(where[1]) - 1] + int(where[2]) - 1
        elif place == "end of document)":
            offset = len(text)
        raise ParseError(
            f"is not TOML: {(reason or message)[:1].lower()}{(reason or message)[1:]}", offset
        ) from None
    except RecursionError:
        raise ParseError(
            "is nested too deeply", hint="no more than some thousand levels can be read"
        ) from None
    except ValueError as error:
        # What follows the semicolon is advice to Python programmers.
        raise ParseError(f"cannot be read: {str(error).partition(';')[0]}") from None
    return Document(name, text, value, locate)


def _number(text: str) -> Any:
    if text.lstrip("+-") in ("inf", "nan"):
        raise ValueError(f"{text} is no JSON number")
    return read_number(text.replace("_", ""))


def _as_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_json(item) for item in value]
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    return value


def locate(text: str, paths: Iterable[Path]) -> dict[Path, Span]:
    """Find the lines that assign a part, or the table or key that holds it."""
    known = _places(text)
    found = {}
    for path in paths:
        here = path
        while here not in known:
            here = here[:-1]
        found[path] = known[here]
    return found


def _places(text: str) -> dict[Path, Span]:
    known: dict[Path, Span] = {(): Span(0, 0)}
    tables: dict[Path, int] = {}
    table: Path = ()
    inside: str | None = None
    depth = 0
    starts = line_starts(text)
    for number, start in enumerate(starts):
        end = starts[number + 1] - 1 if number + 1 < len(starts) else len(text)
        line = text[start:end].rstrip()
        if inside is not None or depth > 0:
            inside, depth = _continued(line, inside, depth)
            continue
        header = _HEADER.match(line)
        if header is not None:
            path = _resolved(_parts(header[2]), tables)
            key = (start + header.start(2), start + header.end(2))
            if header[1] == "[[":
                tables[path] = tables.get(path, -1) + 1
                known.setdefault(path, Span(start + header.start(1), start + header.end(), key))
                path = (*path, tables[path])
            table = path
            known[path] = Span(start + header.start(1), start + header.end(), key)
            _note_parents(known, path)
            continue
        assignment = _ASSIGNMENT.match(line)
        if assignment is None:
            continue
        path = (*table, *_parts(assignment[1]))
        value_end = start + len(line)
        known[path] = Span(
            start + assignment.end(), value_end, (start + assignment.start(1), start + assignment.end(1))
        )
        _note_parents(known, path)
        inside, depth = _continued(line[assignment.end() :], None, 0)
    return known


def _note_parents(known: dict[Path, Span], path: Path) -> None:
    for length in range(len(path) - 1, 0, -1):
        known.setdefault(path[:length], known[path])


def _parts(dotted: str) -> Path:
    parts = []
    for match in _PART.finditer(dotted):
        part = match[0]
        if part[0] in "\"'":
            part = next(iter(tomllib.loads(f"{part} = 0")))
        parts.append(part)
    return tuple(parts)


def _resolved(path: Path, tables: dict[Path, int]) -> Path:
    """Put the index of its newest table after each array of tables on the way, but for the last part."""
    done: Path = ()
    for number, part in enumerate(path):
        done = (*done, part)
        if done in tables and number + 1 < len(path):
            done = (*done, tables[done])
    return done


def _continued(line: str, inside: str | None, depth: int) -> tuple[str | None, int]:
    """Tell whether a value goes on after a line: in which multi-line string, and in how many brackets."""
    position = 0
    while position < len(line):
        if inside is not None:
            end = line.find(inside, position)
            if end < 0:
                return inside, depth
            position, inside = end + 3, None
            continue
        triple = _TRIPLE.match(line, position)
        if triple is not None:
            inside, position = triple[0], triple.end()
            continue
        quoted = re.compile(_QUOTED).match(line, position)
        if quoted is not None:
            position = quoted.end()
            continue
        character = line[position]
        if character == "#":
            break
        depth += (character in "[{") - (character in "]}")
        position += 1
    return inside, depth
