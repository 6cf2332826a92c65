"""Lark's complaints about a grammar, as errors with a place."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken, VisitError
from lark.load_grammar import TERMINALS

from structgen._errors import GrammarError, LimitError, StructgenError

if TYPE_CHECKING:
    from structgen._frontends.lark._directives import Prepared
    from structgen._frontends.lark._sources import Sources

_UNDEFINED = (
    re.compile(r"'(?P<name>[^']+)' used but not defined \(in (?:rule|terminal) '?(?P<within>[^')]+)'?\)"),
    re.compile(r"Terminal used but not defined: (?P<name>\S+)"),
    re.compile(r"Terminals \{'(?P<name>[^']+)'.*\} were marked to ignore but were not defined"),
    re.compile(r"Using an undefined rule: NonTerminal\('(?P<name>[^']+)'\)"),
)
_POSITION = re.compile(r",? at line \d+ column \d+.*", re.DOTALL)
_LITERAL = re.compile(r"""\((".*"i?|/.*/[a-z]*)\)""", re.DOTALL)
_WORD = re.compile(r"_?[A-Za-z][A-Za-z0-9_]*")

# How the terminals of Lark's own grammar are written.
_SPELLINGS = {
    "RULE": "a rule's name",
    "TERMINAL": "a terminal's name",
    "STRING": "a string",
    "REGEXP": "a regular expression",
    "NUMBER": "a number",
    "OP": "'?', '*' or '+'",
    "_NL": "the end of the line",
    "_NL_OR": "'|' on the next line",
    "RULE_MODIFIERS": "'?' or '!' before a rule's name",
    "$END": "the end of the grammar",
}
_UNSEEN = ("WS", "COMMENT", "BACKSLASH")


def translate(error: Exception, sources: Sources) -> StructgenError:
    """Return our error for what Lark's loader raised."""
    if isinstance(error, VisitError):
        error = error.orig_exc
    if isinstance(error, StructgenError):
        return error
    if isinstance(error, RecursionError):
        return LimitError("the grammar is nested too deeply")
    if isinstance(error, UnexpectedInput):
        return _syntax_error(error, None, sources.files[-1])
    if isinstance(error.__context__, UnexpectedInput):
        return _syntax_error(error.__context__, str(error), sources.files[-1])
    if isinstance(error, FileNotFoundError):
        return _unknown_import(str(error.filename), sources)
    message = str(error) or type(error).__name__
    if isinstance(error, ValueError) or type(error).__name__ == "error":
        return _invalid_pattern(str(getattr(error, "pattern", message)), sources)
    for pattern in _UNDEFINED:
        found = pattern.search(message)
        if found is not None:
            return undefined(found["name"], found.groupdict().get("within"), sources)
    return _located(message, sources)


def at(
    place: tuple[Prepared, int, int] | None, reason: str, sources: Sources | None, hint: str | None = None
) -> GrammarError:
    """Build an error at a place that may not be known."""
    if place is None:
        return GrammarError(reason, name=None if sources is None else sources.main.name, hint=hint)
    file, line, column = place
    return GrammarError(reason, source=file.original, name=file.name, line=line, column=column, hint=hint)


def undefined(name: str, within: str | None, sources: Sources) -> GrammarError:
    """Build the error for a name that is used and not defined."""
    kind = "terminal" if name.lstrip("_")[:1].isupper() else "rule"
    known = [other for other in sources.defined_names() if other != name]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    where = "" if within is None else f" (in {within!r})"
    return at(
        sources.use(name, within) or sources.use(name),
        f"{kind} {name!r} is used but not defined{where}",
        sources,
        f"did you mean {near[0]!r}?" if near else None,
    )


def _syntax_error(error: UnexpectedInput, message: str | None, file: Prepared) -> GrammarError:
    expected: list[str] = []
    if isinstance(error, UnexpectedToken):
        what = "the end of the line" if error.token.type in ("_NL", "$END") else repr(str(error.token))
        reason = f"{what} cannot stand here"
        if message is not None:
            reason = _POSITION.sub("", message)
            reason = f"{reason[0].lower()}{reason[1:]}"
        names = (error.accepts or error.expected) - {*_UNSEEN}
        expected = sorted({_spelling(name) for name in names})
    elif isinstance(error, UnexpectedCharacters):
        reason = f"{error.char!r} cannot stand here"
    else:
        reason = "the grammar ends too early"
    line, column = file.original_place(max(error.line, 1), max(error.column, 1))
    return GrammarError(
        reason, source=file.original, name=file.name, line=line, column=column, expected=expected
    )


def _spelling(name: str) -> str:
    return _SPELLINGS.get(name) or repr(re.sub(r"\\(.)", r"\1", TERMINALS[name].partition("(?!")[0]))


def _unknown_import(path: str, sources: Sources) -> GrammarError:
    for file in sources.files:
        name = re.escape(path.removesuffix(".lark").replace("/", "."))
        statement = re.search(rf"^[ \t]*%import[ \t]+\.?{name}\b", file.original, re.MULTILINE)
        if statement is not None:
            line = file.original.count("\n", 0, statement.start()) + 1
            column = statement[0].index("%") + 1
            return at((file, line, column), f"there is no grammar {path!r} to import from", sources)
    return at(None, f"there is no grammar {path!r} to import from", sources)


def _invalid_pattern(pattern: str, sources: Sources) -> GrammarError:
    """Say what is wrong with a pattern: Lark asks for widths of parts of terminals, and names the part."""
    reason = pattern
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        reason = f"the pattern /{pattern}/ is invalid: {error}"
    return at(sources.spelling(f"/{pattern}/"), reason, sources)


def _located(message: str, sources: Sources) -> GrammarError:
    """Place a complaint at the definition, or else the use, of the first name in it that the grammar has."""
    message = message.strip().rstrip(".!")
    message = f"{message[0].lower()}{message[1:]}"
    known = set(sources.defined_names())
    literal = _LITERAL.search(message)
    if literal is not None and (place := sources.spelling(literal[1])) is not None:
        return at(place, message, sources)
    for word in _WORD.findall(message):
        if word in known or word.rpartition("__")[2] in known:
            place = sources.definition(word) or sources.use(word)
            if place is not None:
                return at(place, message, sources)
    return at(None, message, sources)
