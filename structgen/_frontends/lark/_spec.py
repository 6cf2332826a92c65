"""A Lark grammar as the core wants it: plain terminals and rules, with Lark's own decisions made."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from lark.grammar import NonTerminal, Rule
from lark.lexer import PatternRE, PatternStr, TerminalDef

from structgen._errors import GrammarError
from structgen._frontends.lark._options import IndenterNames, Options
from structgen._frontends.regex.python import may_begin

if TYPE_CHECKING:
    from structgen._frontends.lark._directives import Directive
    from structgen._frontends.lark._plain import Plain

SCANNED, DECLARED, EXPRESSION, SPECIAL_TOKEN = range(4)

_NAMED_GROUP = re.compile(r"\(\?P<([^>]*)>")
# Flags for all of a pattern, which Python's re has only at the very start.
_GLOBAL_FLAGS = re.compile(r"\(\?[aiLmsux]+\)")


class Terminal(NamedTuple):
    """A terminal: the text of its pattern, if it has one."""

    name: str
    kind: int
    regexp: str
    literal: str | None  # the string that it is, where no flag changes what that matches
    shown: str  # as the grammar writes it
    item: Directive | None


class Unless(NamedTuple):
    """A string terminal takes over the texts of a regex terminal that it matches itself."""

    regex: int
    string: int
    embedded: bool  # where the regex terminal is scanned, the string terminal is not


class Production(NamedTuple):
    """One alternative of a rule."""

    origin: int
    symbols: tuple[int, ...]  # terminals as they are numbered, nonterminal n as ~n
    priority: int
    name: str


class Spec(NamedTuple):
    """Everything that Lark's parser and lexer work with."""

    terminals: tuple[Terminal, ...]  # those that are scanned first, in the order of the scanner
    unless: tuple[Unless, ...]
    ignore: tuple[int, ...]
    nonterminals: tuple[str, ...]
    productions: tuple[Production, ...]
    starts: tuple[int, ...]
    shared: tuple[int, ...]  # starts that are only in the tables
    mode: str
    indenter: tuple[int, int, int, list[int], list[int], int] | None
    flags: int

    def symbol(self, number: int) -> str:
        """Return how the grammar writes a symbol."""
        return self.terminals[number].shown if number >= 0 else self.nonterminals[~number]

    def production(self, number: int) -> str:
        """Return how an error shows a rule."""
        origin, symbols, _, _ = self.productions[number]
        right = " ".join(self.symbol(symbol) for symbol in symbols)
        return f"{self.nonterminals[origin]}: {right}".rstrip()


class TerminalError(Exception):
    """A terminal that no lexer of Lark's takes."""

    def __init__(self, name: str, reason: str, hint: str | None = None) -> None:
        super().__init__(reason)
        self.name = name
        self.reason = reason
        self.hint = hint


def make_spec(
    definitions: Sequence[TerminalDef],
    rules: Sequence[Rule],
    ignore: Iterable[str],
    options: Options,
    items: dict[str, Directive],
) -> Spec:
    """Number everything and make the decisions of Lark's lexer.

    Raises
    ------
    TerminalError
        A terminal has no width, is invalid, or has groups or flags that clash in the scanner.
    """
    scanned = {definition.name: _scanned(definition, options.g_regex_flags) for definition in definitions}
    definitions = sorted(definitions, key=scan_key)
    used = [symbol.name for rule in rules for symbol in rule.expansion if symbol.is_term]
    terminals = [scanned[definition.name] for definition in definitions]
    numbers = _number(terminals, used, options, items.get)
    nonterminals: dict[str, int] = {}
    for rule in rules:
        nonterminals.setdefault(str(rule.origin.name), len(nonterminals))
    for rule in rules:
        for symbol in rule.expansion:
            if not symbol.is_term and symbol.name not in nonterminals:
                raise GrammarError(
                    f"rule {str(symbol.name)!r} is used but not defined (in {str(rule.origin.name)!r})"
                )
    productions = [_production(rule, numbers, nonterminals) for rule in rules]
    return _spec(definitions, terminals, numbers, list(nonterminals), productions, ignore, options)


def make_plain_spec(grammar: Plain, options: Options, find: Callable[[str], Directive | None]) -> Spec:
    """Make the specification of a grammar whose symbols are numbered, and terminals in order, already.

    Raises
    ------
    TerminalError
        A terminal is one that no lexer of Lark's takes.
    """
    terminals = [_scanned(definition, options.g_regex_flags) for definition in grammar.terminals]
    numbers = _number(terminals, grammar.declared, options, find)
    productions = list(map(Production._make, grammar.productions))
    nonterminals = grammar.nonterminals
    return _spec(grammar.terminals, terminals, numbers, nonterminals, productions, grammar.ignore, options)


def _number(
    terminals: list[Terminal],
    used: Iterable[str],
    options: Options,
    find: Callable[[str], Directive | None],
) -> dict[str, int]:
    """Check what is scanned, append what is only declared, and number it all."""
    if not options.lexer.startswith("dynamic"):
        _check_scanner(terminals)
    numbers = {terminal.name: number for number, terminal in enumerate(terminals)}
    indenter = options.indenter
    produced = () if indenter is None else (indenter.newline, indenter.indent, indenter.dedent)
    for name in (*used, *produced):
        if name not in numbers:
            numbers[name] = len(terminals)
            terminals.append(_declared(name, find(name)))
    return numbers


def _spec(
    definitions: Sequence[TerminalDef],
    terminals: Sequence[Terminal],
    numbers: dict[str, int],
    nonterminals: Sequence[str],
    productions: Sequence[Production],
    ignore: Iterable[str],
    options: Options,
) -> Spec:
    numbered = {name: number for number, name in enumerate(nonterminals)}
    indenter = options.indenter
    unless = () if options.lexer.startswith("dynamic") else _unless(definitions, options.g_regex_flags)
    return Spec(
        terminals=tuple(terminals),
        unless=tuple(unless),
        ignore=tuple(sorted({numbers[name] for name in ignore if name in numbers})),
        nonterminals=tuple(nonterminals),
        productions=tuple(productions),
        starts=tuple(numbered[name] for name in options.starts),
        shared=tuple(numbered[name] for name in options.shared),
        mode=options.mode,
        indenter=None if indenter is None else _numbered(indenter, numbers),
        flags=options.g_regex_flags,
    )


def scan_key(definition: TerminalDef) -> tuple[int, int, int, str]:
    """Return what Lark's lexer sorts terminals by."""
    pattern = definition.pattern
    return -definition.priority, -pattern.max_width, -len(pattern.value), definition.name


def _scanned(definition: TerminalDef, flags: int) -> Terminal:
    name, pattern = definition.name, definition.pattern
    shown = definition.user_repr()
    regexp = pattern.to_regexp()
    if shown.startswith("__"):
        # A name of Lark's for what is no literal of the grammar, such as a range.
        shown = f"/{regexp}/"
    try:
        if isinstance(pattern, PatternRE) and ("(?<" in regexp or flags):
            # Only compiling tells lookbehinds without a fixed width.
            re.compile(regexp, flags)
        width = pattern.min_width
    except Exception:
        # Besides what re raises, errors of the module regex: Lark asks it for widths where it is installed.
        reason = f"the pattern of terminal {shown} is invalid: {_why(regexp, flags)}"
        raise TerminalError(name, reason) from None
    if width == 0:
        raise TerminalError(
            name,
            f"terminal {shown} can match the empty string, which no terminal may",
            "let it match at least one character, and make it optional where it is used",
        )
    literal = None
    if isinstance(pattern, PatternStr) and not pattern.flags and not flags & re.IGNORECASE:
        literal = pattern.value
    return Terminal(name, SCANNED, regexp, literal, shown, None)


def _why(regexp: str, flags: int) -> str:
    try:
        re.compile(regexp, flags)
    except (re.error, OverflowError, ValueError, RecursionError) as error:
        return str(error)
    return "its width cannot be told"


def _check_scanner(terminals: list[Terminal]) -> None:
    """Refuse patterns that are fine alone, and not inside Lark's scanner: it is one big alternation."""
    groups = {terminal.name for terminal in terminals}
    for terminal in terminals:
        if "(?" not in terminal.regexp or terminal.literal is not None:
            continue
        for group in _NAMED_GROUP.findall(terminal.regexp):
            if group in groups:
                raise TerminalError(
                    terminal.name,
                    f"terminal {terminal.shown} has a group named {group!r}, a name that is taken",
                    "use (?:...) or another name",
                )
            groups.add(group)
        if _GLOBAL_FLAGS.match(terminal.regexp):
            raise TerminalError(
                terminal.name,
                f"terminal {terminal.shown} begins with flags for all of a pattern",
                "write the flags behind the pattern: /.../i",
            )


def _declared(name: str, item: Directive | None) -> Terminal:
    if item is None:
        return Terminal(name, DECLARED, "", None, name, None)
    kind = SPECIAL_TOKEN if item.kind in ("name", "id") else EXPRESSION
    spelling = item.spelling if len(item.spelling) <= 40 else item.spelling[:39] + "…"
    return Terminal(name, kind, "", None, spelling, item)


def _production(rule: Rule, terminals: dict[str, int], nonterminals: dict[str, int]) -> Production:
    symbols = tuple(
        terminals[symbol.name] if symbol.is_term else ~nonterminals[symbol.name] for symbol in rule.expansion
    )
    priority = rule.options.priority or 0
    return Production(nonterminals[rule.origin.name], symbols, priority, str(rule.alias or rule.origin.name))


def _unless(definitions: Sequence[TerminalDef], flags: int) -> Iterable[Unless]:
    """Do what Lark's ``_create_unless`` does, for all terminals at once.

    Its decisions are about pairs, so that those of a scanner with fewer terminals are a part of these.
    """
    strings = [(i, d) for i, d in enumerate(definitions) if isinstance(d.pattern, PatternStr)]
    for number, definition in enumerate(definitions):
        if not isinstance(definition.pattern, PatternRE):
            continue
        low, high = definition.pattern.min_width, definition.pattern.max_width
        compiled: re.Pattern[str] | None = None
        for string, other in strings:
            text = other.pattern.value
            if other.priority != definition.priority or not low <= len(text) <= high:
                continue
            if compiled is None:
                regexp = definition.pattern.to_regexp()
                if not may_begin(regexp, flags, text):
                    continue
                compiled = re.compile(regexp, flags)
            match = compiled.match(text)
            if match is not None and match.group(0) == text:
                yield Unless(number, string, set(other.pattern.flags) <= set(definition.pattern.flags))


def _numbered(
    indenter: IndenterNames, numbers: dict[str, int]
) -> tuple[int, int, int, list[int], list[int], int]:
    return (
        numbers[indenter.newline],
        numbers[indenter.indent],
        numbers[indenter.dedent],
        [numbers[name] for name in indenter.opening if name in numbers],
        [numbers[name] for name in indenter.closing if name in numbers],
        indenter.tab_len,
    )


def origins(rules: Iterable[Rule]) -> set[str]:
    """Return the names of the rules."""
    return {rule.origin.name for rule in rules if isinstance(rule.origin, NonTerminal)}
