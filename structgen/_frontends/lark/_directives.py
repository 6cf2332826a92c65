"""What a grammar may hold beyond Lark's own language: items that are no terminals of Lark's.

Inside a rule, ``%json {...}``, ``%regex /.../``, ``%text``, ``<|name|>`` and ``<[id]>`` are items like any
other. Lark's loader does not know them, so each is replaced by the name of a terminal that is declared at
the end of the grammar; lines keep their numbers. A terminal can be defined as one of them, too.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from typing import Any, NamedTuple

from lark import Token
from lark.exceptions import GrammarError as LarkGrammarError
from lark.lexer import Pattern
from lark.load_grammar import _literal_to_pattern

from structgen._errors import GrammarError

_STRING = r'"(?:\\"|\\\\|[^"\n])*?"i?'
_REGEXP = r"/(?!/)(?:\\/|\\\\|[^/])*?/[imslux]*"
_SPECIAL = r"<[^<>\s]+>"

# Strings, regular expressions and comments as Lark's loader tells them; whatever matches nothing is skipped.
_TOKEN = re.compile(
    rf"""(?P<string>{_STRING})
       | (?P<comment>//[^\n]*|\#[^\n]*)
       | (?P<regexp>{_REGEXP})
       | (?P<header>^[ \t]*(?:%(?:override|extend)[ \t]+)?[!?]*(?P<name>_?[A-Za-z][A-Za-z0-9_]*)
           (?:\{{[^}}\n]*\}})?[ \t]*(?P<priority>\.[ \t]*[+-]?\d+)?[ \t]*:)
       | (?P<directive>%(?:json|regex|text)(?![A-Za-z0-9_]))
       | (?P<special>{_SPECIAL})
    """,
    re.VERBOSE | re.MULTILINE,
)
_BLANKS = re.compile(r"[ \t]*")
_BEFORE_JSON = re.compile(r"\s*")
_LITERAL = re.compile(_STRING)
_PATTERN = re.compile(_REGEXP)
_TOKEN_NAME = re.compile(_SPECIAL)
_OPTIONAL = re.compile(r"[ \t]*[?*~]|[ \t]*\.\.")
_REST_OF_DEFINITION = re.compile(r"[ \t]*(?://[^\n]*|#[^\n]*)?(?:\r?\n\s*)*(?P<more>\||[^\n])?")
_TOKEN_ID = re.compile(r"<\[(\d+)\]>")


class Directive(NamedTuple):
    """One item: what it is, and where it stands first."""

    kind: str  # "json", "regex", "text", "name" (of a special token), "id"
    value: Any
    spelling: str
    source: str | None
    text: str
    line: int
    column: int

    def error(self, reason: str, hint: str | None = None) -> GrammarError:
        """Build an error at this item."""
        return GrammarError(
            reason, source=self.text, name=self.source, line=self.line, column=self.column, hint=hint
        )


class _Edit(NamedTuple):
    start: int  # in the new text
    end: int
    original: int


class Prepared:
    """A grammar as Lark's loader is shown it, and where everything stands in the original."""

    def __init__(self, name: str | None, original: str) -> None:
        self.name = name  # None: the text was given, not read from a file
        self.original = original
        self.text = original
        self._edits: list[_Edit] = []
        self._shifts: list[tuple[int, int]] = []

    def apply(self, replacements: list[tuple[int, int, str]], appendix: str) -> None:
        """Replace spans of the original, given in order."""
        parts, here, length = [], 0, 0
        for start, end, new in replacements:
            parts += [self.original[here:start], new]
            length += start - here
            self._edits.append(_Edit(length, length + len(new), start))
            length += len(new)
            self._shifts.append((length, end))
            here = end
        self.text = "".join([*parts, self.original[here:], appendix])

    def original_place(self, line: int, column: int) -> tuple[int, int]:
        """Return the line and column in the original of a place in the text."""
        offset = sum(len(row) + 1 for row in self.text.split("\n")[: line - 1]) + column - 1
        index = bisect_right([edit.start for edit in self._edits], offset) - 1
        if index >= 0:
            edit, (new_end, original_end) = self._edits[index], self._shifts[index]
            offset = edit.original if offset < edit.end else original_end + offset - new_end
        return place(self.original, min(offset, len(self.original)))


def place(text: str, offset: int) -> tuple[int, int]:
    """Return line and column, counted from 1, of an offset."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


class Directives:
    """The items of all files of one grammar: equal ones share a terminal."""

    def __init__(self) -> None:
        self.by_name: dict[str, Directive] = {}
        self._names: dict[tuple[str, Any], str] = {}

    def prepare(self, name: str | None, text: str) -> Prepared:
        """Replace the items of one file."""
        prepared = Prepared(name, text)
        if "%json" in text or "%regex" in text or "%text" in text or "<" in text:
            _Scan(self, prepared).run()
        return prepared

    def find(self, terminal: str) -> Directive | None:
        """Return the item of a terminal, whose name an import may have prefixed."""
        return self.by_name.get(terminal) or self.by_name.get(terminal.rpartition("__")[2])

    def name_of(self, directive: Directive, key: Any, text: str) -> str:
        """Return the name of the terminal for an item."""
        name = self._names.get((directive.kind, key))
        if name is None:
            number = len(self._names)
            while f"{directive.kind.upper()}_ITEM_{number}" in text:
                number += 1
            name = f"{directive.kind.upper()}_ITEM_{number}"
            while name in self.by_name:
                name += "X"
            self._names[directive.kind, key] = name
            self.by_name[name] = directive
        return name


class _Scan:
    """One pass over one file."""

    def __init__(self, directives: Directives, prepared: Prepared) -> None:
        self.directives = directives
        self.prepared = prepared
        self.text = prepared.original
        self.replacements: list[tuple[int, int, str]] = []
        self.declared: dict[str, None] = {}

    def run(self) -> None:
        header: re.Match[str] | None = None
        position = 0
        while (token := _TOKEN.search(self.text, position)) is not None:
            position = token.end()
            if token["header"] is not None:
                header = token
            elif token["directive"] is not None or token["special"] is not None:
                position = self._item(token, header)
        if self.declared:
            self.prepared.apply(self.replacements, "\n%declare " + " ".join(self.declared) + "\n")

    def _item(self, token: re.Match[str], header: re.Match[str] | None) -> int:
        """Replace one item; return where it ends."""
        kind, value, key, empty, end = self._read(token)
        start = token.start()
        line, column = place(self.text, start)
        directive = Directive(kind, value, self.text[start:end], self.prepared.name, self.text, line, column)
        newlines = "\\\n" * self.text.count("\n", start, end)
        if header is not None and header["name"].lstrip("_")[0].isupper():
            self._definition(directive, header, start, end, empty)
            return end
        name = self.directives.name_of(directive, key, self.text)
        self.declared[name] = None
        # Lark has no empty terminals: an item that may be empty is an optional one that is not.
        self.replacements.append((start, end, (f"({name}?)" if empty else name) + newlines))
        return end

    def _definition(
        self, directive: Directive, header: re.Match[str], start: int, end: int, empty: bool
    ) -> None:
        """Declare a terminal that is defined as an item."""
        name = header["name"]
        rest = _REST_OF_DEFINITION.match(self.text, end)
        assert rest is not None
        alone = not self.text[header.end() : start].strip() and (
            rest["more"] is None or ("\n" in rest[0] and rest["more"] != "|")
        )
        if not alone or "%" in header[0]:
            word = directive.spelling.split()[0]
            raise directive.error(
                f"{word} can only be all of a terminal",
                f"use it in a rule, or write {name}: {word} ... on a line of its own",
            )
        if header["priority"] is not None:
            raise directive.error(f"terminal {name!r} is not scanned and can have no priority")
        if empty:
            raise directive.error(
                f"terminal {name!r} could be empty, which no terminal may be",
                f"make it a rule: {name.lower()}: {directive.spelling}",
            )
        if name in self.directives.by_name:
            raise directive.error(f"terminal {name!r} defined more than once")
        self.directives.by_name[name] = directive
        self.declared[name] = None
        begin = header.start() + len(header[0]) - len(header[0].lstrip())
        self.replacements.append((begin, end, "\\\n" * self.text.count("\n", begin, end)))

    # -- the kinds of items ----------------------------------------------------------------

    def _read(self, token: re.Match[str]) -> tuple[str, Any, Any, bool, int]:
        """Return kind, value, what equal items have in common, whether it may be empty, and its end."""
        if token["special"] is not None:
            kind, value = _special(token["special"])
            return kind, value, value, False, token.end()
        if token["directive"] == "%json":
            return self._json(token.end())
        return self._regex(token.end()) if token["directive"] == "%regex" else self._text(token.end())

    def _json(self, end: int) -> tuple[str, Any, Any, bool, int]:
        blanks = _BEFORE_JSON.match(self.text, end)
        start = end if blanks is None else blanks.end()
        decoder = json.JSONDecoder(parse_float=lambda digits: f"\0{digits}", strict=True)
        try:
            schema, stop = decoder.raw_decode(self.text, start)
        except json.JSONDecodeError as error:
            raise self._error(error.pos, f"the schema of %json is no JSON: {error.msg}") from None
        except RecursionError:
            raise self._error(start, "the schema of %json is nested too deeply") from None
        if not isinstance(schema, (dict, bool)):
            raise self._error(start, "%json takes a JSON Schema: an object, true or false")
        return "json", self.text[start:stop], json.dumps(schema), False, stop

    def _regex(self, end: int) -> tuple[str, Any, Any, bool, int]:
        blanks = _BLANKS.match(self.text, end)
        start = end if blanks is None else blanks.end()
        found = _PATTERN.match(self.text, start)
        if found is None:
            raise self._error(start, "%regex takes a regular expression: %regex /.../")
        pattern = self._pattern(found[0], "REGEXP", start).to_regexp()
        try:
            empty = re.compile(pattern).fullmatch("") is not None
        except (re.error, OverflowError, RecursionError) as error:
            raise self._error(start, f"the pattern of %regex is wrong: {error}") from None
        return "regex", pattern, pattern, empty, found.end()

    def _text(self, end: int) -> tuple[str, Any, Any, bool, int]:
        blanks = _BLANKS.match(self.text, end)
        start = end if blanks is None else blanks.end()
        special = _TOKEN_NAME.match(self.text, start)
        if special is not None:
            # No text holds a special token, so text that stops at one is any text.
            return "text", (None, _special(special[0]), False), (None, False), True, special.end()
        stop = _LITERAL.match(self.text, start)
        if stop is None:
            return "text", (None, None, False), (None, False), True, end
        literal = self._pattern(stop[0], "STRING", start)
        if literal.flags:
            raise self._error(start, "the string that stops %text is matched as it is spelt, without flags")
        following = re.compile(rf"[ \t]*{re.escape(stop[0])}").match(self.text, stop.end())
        first = following is not None and _OPTIONAL.match(self.text, following.end()) is None
        return "text", (literal.value, None, first), (literal.value, first), True, stop.end()

    def _pattern(self, literal: str, kind: str, start: int) -> Pattern:
        """Read a literal of the grammar as Lark does."""
        try:
            pattern: Pattern = _literal_to_pattern(Token(kind, literal))  # type: ignore[no-untyped-call]
            return pattern
        except (LarkGrammarError, ValueError) as error:
            raise self._error(start, str(error)) from None

    def _error(self, offset: int, reason: str) -> GrammarError:
        line, column = place(self.text, offset)
        return GrammarError(reason, source=self.text, name=self.prepared.name, line=line, column=column)


def _special(spelling: str) -> tuple[str, Any]:
    number = _TOKEN_ID.fullmatch(spelling)
    return ("name", spelling) if number is None else ("id", int(number[1]))
