"""Documents: values read from JSON, YAML or TOML, and where in the text their parts are.

Values are those of JSON, in exact numbers: ``int``, or :class:`Number` for what is not an integer literal.
Positions are looked up only when they are needed, so that a valid document costs one parse in C.
"""

from __future__ import annotations

import bisect
import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path as FilePath
from typing import Any, NamedTuple

from structgen.cli._common import UnusableInputError, decode, display_name, read_bytes

Path = tuple[str | int, ...]
"""Keys and indices from the root of a value down to a part of it."""

INPUT_FORMATS = ("json", "jsonl", "yaml", "toml")

_FORMAT_OF_SUFFIX = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".toml": "toml",
    ".yaml": "yaml",
    ".yml": "yaml",
}


class Number(Decimal):
    """An exact number that shows as it was written."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class ExponentError(ValueError):
    """A number that is beyond decimals.

    Parameters
    ----------
    literal : str
        As it is written.
    """

    def __init__(self, literal: str) -> None:
        self.literal = literal
        super().__init__(f"the exponent of {literal[:40]} is out of range")


def read_number(text: str) -> Number:
    """Read a literal with a fraction or an exponent; :class:`ExponentError` if it is beyond decimals."""
    try:
        return Number(text)
    except InvalidOperation:
        raise ExponentError(text) from None


def read_integer(text: str) -> int | Number:
    """Read the literal of an integer; one that is too long for Python's conversion is a :class:`Number`."""
    try:
        return int(text)
    except ValueError:
        return Number(text)


class Span(NamedTuple):
    """Offsets in code points: where a value is, and where its key is."""

    start: int
    end: int
    key: tuple[int, int] | None = None


class ParseError(Exception):
    """A text that is not of its format.

    Parameters
    ----------
    reason : str
        What is wrong, without a full stop.
    offset : int, optional
        Where, in code points.
    hint : str, optional
        What to do about it.
    """

    def __init__(self, reason: str, offset: int | None = None, hint: str | None = None) -> None:
        self.reason = reason
        self.offset = offset
        self.hint = hint
        super().__init__(reason)


@dataclass
class Document:
    """A value, and the text that it was read from.

    Attributes
    ----------
    name : str
        The file, as messages call it.
    text : str
        The text that offsets refer to; of JSON lines, this line.
    value : Any
        The value.
    first_line : int
        The number of the first line of `text` in the file, from 1.
    index : int or None
        Which of several documents of the file this is, from 0; None for the only one.
    repeated : list of (str, int)
        Keys that an object repeats, and the offset of the repetition; the last one counts.
    """

    name: str
    text: str
    value: Any
    _locate: Callable[[str, Iterable[Path]], dict[Path, Span]]
    first_line: int = 1
    index: int | None = None
    repeated: list[tuple[str, int]] = field(default_factory=list)

    def spans(self, paths: Iterable[Path]) -> dict[Path, Span]:
        """Find parts of the value in the text; a part that is nowhere in it is at its nearest parent."""
        return self._locate(self.text, paths)

    @functools.cached_property
    def _starts(self) -> list[int]:
        return line_starts(self.text)

    def position(self, offset: int) -> tuple[int, int]:
        """Return line and column of an offset, from 1; columns count code points."""
        line = bisect.bisect_right(self._starts, offset)
        return line - 1 + self.first_line, offset - self._starts[line - 1] + 1

    def line_at(self, offset: int) -> tuple[str, int]:
        """Return the line that holds an offset, and the offset within it."""
        line = bisect.bisect_right(self._starts, offset)
        start = self._starts[line - 1]
        end = self._starts[line] - 1 if line < len(self._starts) else len(self.text)
        return self.text[start:end].removesuffix("\r"), offset - start


def line_starts(text: str) -> list[int]:
    """Return the offsets at which lines begin; lines end with a line feed."""
    starts, position = [0], text.find("\n")
    while position >= 0:
        starts.append(position + 1)
        position = text.find("\n", position + 1)
    return starts


def format_of(path: str) -> str:
    """Tell the format of a file by its suffix; JSON where that says nothing."""
    return _FORMAT_OF_SUFFIX.get(FilePath(path).suffix.lower(), "json")


def parse(text: str, name: str, form: str, first_line: int = 1) -> list[Document]:
    """Parse a text, all of it: one document, or several of YAML.

    Raises
    ------
    UnusableInputError
        If it is not of the format; with the place.
    """
    # Imported late: most commands read one format.
    try:
        if form == "yaml":
            from structgen.cli import _yaml_text

            return _yaml_text.documents(text, name)
        if form == "toml":
            from structgen.cli import _toml_text

            return [_toml_text.document(text, name)]
        from structgen.cli import _json_text

        return [_json_text.document(text, name, first_line)]
    except ParseError as error:
        line, column = None, None
        if error.offset is not None:
            starts = line_starts(text)
            number = bisect.bisect_right(starts, error.offset)
            line, column = number - 1 + first_line, error.offset - starts[number - 1] + 1
        raise UnusableInputError(name, error.reason, error.hint, line=line, column=column) from None


def read_schema_document(path: str) -> Document:
    """Read a JSON Schema from a file: JSON, or YAML or TOML by its suffix.

    Raises
    ------
    UnusableInputError
        If it cannot be read or parsed, or is more than one document.
    """
    name = display_name(path)
    form = format_of(path)
    documents = parse(decode(read_bytes(path), name), name, "json" if form == "jsonl" else form)
    if len(documents) != 1:
        raise UnusableInputError(name, f"holds {len(documents)} documents", "a schema is one document")
    return documents[0]
