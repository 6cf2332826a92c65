"""Options of a Lark grammar: which parser and lexer, where texts begin, what happens behind the lexer."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import lark
from lark.indenter import Indenter, PythonIndenter
from lark.lexer import BasicLexer

from structgen._errors import GrammarError

Import = str | Callable[[Any, str], tuple[Any, str]]

_LEXERS = {
    "lalr": ("auto", "contextual", "basic"),
    "earley": ("auto", "dynamic", "dynamic_complete", "basic"),
}
_MODES = {
    ("lalr", "contextual"): "contextual",
    ("lalr", "basic"): "lalr_basic",
    ("earley", "basic"): "basic",
    ("earley", "dynamic"): "dynamic",
    ("earley", "dynamic_complete"): "dynamic_complete",
}
# What makes an Indenter what the core knows. Any of these overridden is a postlexer of its own.
_INDENTER_METHODS = ("process", "_process", "handle_NL")


class Options(NamedTuple):
    """Checked options."""

    starts: tuple[str, ...]
    parser: str
    lexer: str
    indenter: IndenterNames | None
    g_regex_flags: int
    import_paths: tuple[Import, ...]
    strict: bool
    # Start rules that a Lark object's tables have besides those chosen: lookaheads are shared.
    shared: tuple[str, ...] = ()

    @property
    def mode(self) -> str:
        """What the core calls this parser with this lexer."""
        return _MODES[self.parser, self.lexer]


class IndenterNames(NamedTuple):
    """The terminals of an ``Indenter``, and what a tab is worth."""

    newline: str
    indent: str
    dedent: str
    opening: tuple[str, ...]
    closing: tuple[str, ...]
    tab_len: int


def options_of_text(
    start: str | Sequence[str] | None,
    parser: str | None,
    lexer: str | None,
    postlex: Any,
    g_regex_flags: int,
    import_paths: Sequence[Any],
    strict: bool,
) -> Options:
    """Check the options that go with the text of a grammar."""
    parser = "lalr" if parser is None else parser
    lexer = "auto" if lexer is None else lexer
    if parser not in _LEXERS:
        raise ValueError(f"parser must be 'lalr' or 'earley', not {parser!r}")
    if lexer not in _LEXERS[parser]:
        choices = ", ".join(repr(name) for name in _LEXERS[parser])
        raise ValueError(f"with parser={parser!r}, lexer must be one of {choices}, not {lexer!r}")
    indenter = indenter_names(postlex)
    if lexer == "auto":
        by_parser = "basic" if indenter is not None else "dynamic"
        lexer = "contextual" if parser == "lalr" else by_parser
    if indenter is not None and lexer.startswith("dynamic"):
        raise ValueError(f"postlex needs lexer='basic' or 'contextual', not {lexer!r}")
    paths = tuple(path if callable(path) else str(Path(path)) for path in import_paths)
    return Options(starts_of(start), parser, lexer, indenter, int(g_regex_flags), paths, bool(strict))


def starts_of(start: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the names of the start rules."""
    starts = (start or "start",) if start is None or isinstance(start, str) else tuple(start)
    if not starts or not all(isinstance(name, str) for name in starts):
        raise ValueError(f"start must be the name of a rule or several of them, not {start!r}")
    return tuple(dict.fromkeys(starts))


def options_of_lark(parser: lark.Lark, start: str | Sequence[str] | None) -> Options:
    """Take the options of a ``lark.Lark`` object; refuse those that no automaton can follow."""
    options = parser.options
    for name, reason in (
        ("lexer_callbacks", "functions that change tokens have no automaton"),
        ("use_bytes", "the grammar is over bytes that are no text"),
        ("regex", "the module regex has another syntax than Python's re"),
        ("_plugins", "classes that replace Lark's own have no automaton"),
    ):
        if options.options[name]:
            raise GrammarError(f"the Lark object has the option {name}: {reason}")
    if options.parser not in _LEXERS:
        raise GrammarError(
            f"the Lark object has parser={options.parser!r}",
            hint="make it with parser='lalr' or parser='earley'",
        )
    lexer = parser.lexer_conf.lexer_type
    if not isinstance(lexer, str):
        kind = getattr(lexer, "__name__", lexer)
        own = isinstance(lexer, type) and issubclass(lexer, BasicLexer)
        raise GrammarError(
            f"the Lark object has a lexer of its own, {kind}, which has no automaton",
            hint="use lexer='basic' or 'contextual'" if own else None,
        )
    starts = every = tuple(dict.fromkeys(options.start))
    if start is not None:
        chosen = starts_of(start)
        for name in chosen:
            if name not in starts:
                raise GrammarError(
                    f"the Lark object was not made with the start rule {name!r}", expected=starts
                )
        starts = chosen
    indenter = indenter_names(parser.lexer_conf.postlex)
    shared = tuple(name for name in every if name not in starts)
    flags = int(options.g_regex_flags)
    return Options(starts, options.parser, lexer, indenter, flags, (), options.strict, shared)


def indenter_names(postlex: Any) -> IndenterNames | None:
    """Read a postlexer, which must be an ``Indenter``."""
    if postlex is None:
        return None
    if postlex == "python":
        postlex = PythonIndenter()
    elif isinstance(postlex, type) and issubclass(postlex, Indenter):
        postlex = postlex()
    if not isinstance(postlex, Indenter):
        kind = postlex.__name__ if isinstance(postlex, type) else type(postlex).__name__
        raise GrammarError(
            f"the postlexer {kind} has no automaton", hint="postlex takes instances of lark.indenter.Indenter"
        )
    own = type(postlex)
    for name in _INDENTER_METHODS:
        if getattr(own, name) is not getattr(Indenter, name):
            raise GrammarError(f"the postlexer {own.__name__} has its own {name}, which has no automaton")
    if tuple(postlex.always_accept) != (postlex.NL_type,):
        raise GrammarError(f"the postlexer {own.__name__} accepts other terminals everywhere than NL_type")
    return IndenterNames(
        str(postlex.NL_type),
        str(postlex.INDENT_type),
        str(postlex.DEDENT_type),
        tuple(map(str, postlex.OPEN_PAREN_types)),
        tuple(map(str, postlex.CLOSE_PAREN_types)),
        int(postlex.tab_len),
    )


def python_flags(flags: int) -> int:
    """Return those flags of :mod:`re` that change what a pattern matches."""
    return flags & (re.IGNORECASE | re.MULTILINE | re.DOTALL | re.VERBOSE | re.ASCII)
