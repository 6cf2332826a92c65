"""From the text of a grammar, or a ``lark.Lark`` object, to its specification.

The text is read by the core's own loader where that can (``_plain``), else by Lark's; what ``lark.Lark`` does
between its loader and its parsers is done here. Lark's parse tables are not made: the core makes them, much
faster.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import cached_property, partial
from typing import Any

import lark
from lark.grammar import Rule
from lark.lexer import TerminalDef
from lark.load_grammar import GrammarBuilder

from structgen._core._native import LoadedGrammar
from structgen._errors import GrammarError, StructgenError
from structgen._frontends.lark import _checks
from structgen._frontends.lark._options import Options
from structgen._frontends.lark._plain import load_plain
from structgen._frontends.lark._size import check_sizes
from structgen._frontends.lark._sources import Sources
from structgen._frontends.lark._spec import DECLARED, Spec, TerminalError, make_plain_spec, make_spec
from structgen._frontends.lark._translate import at, translate

# Grammars that stay loaded, by their text and options.
_KEPT = 64


class Loaded:
    """A grammar, and its files for what is found wrong with it later.

    Parameters
    ----------
    make_spec
        Makes the specification, if anybody asks for it.
    sources
        The files.
    options
        What goes with the grammar.
    native
        What the core's loader made, if it made everything: there is no need for the specification then.
    """

    def __init__(
        self,
        make_spec: Callable[[], Spec],
        sources: Sources | None,
        options: Options,
        native: LoadedGrammar | None = None,
    ) -> None:
        self.sources = sources
        self.options = options
        self.native = native
        self._make_spec = make_spec

    @cached_property
    def spec(self) -> Spec:
        """Everything that Lark's parser and lexer work with."""
        return self._make_spec()

    def error(self, name: str | None, reason: str, hint: str | None = None) -> GrammarError:
        """Build an error at the definition, or else a use, of a rule or terminal."""
        place = None
        if self.sources is not None and name is not None:
            item = self.sources.directives.find(name)
            if item is not None:
                return item.error(reason, hint)
            place = self.sources.definition(name) or self.sources.use(name)
        return at(place, reason, self.sources, hint)


_cache: OrderedDict[Any, Loaded] = OrderedDict()
_cache_lock = threading.Lock()


def load_text(name: str | None, text: str, options: Options) -> Loaded:
    """Load the text of a grammar.

    Raises
    ------
    GrammarError
        The grammar is wrong.
    LimitError
        It becomes too large.
    """
    key = (name, text, options)
    with _cache_lock:
        found = _cache.get(key)
        if found is not None:
            _cache.move_to_end(key)
    if found is not None and found.sources is not None and found.sources.unchanged():
        return found
    loaded = _load_plain(name, text, options) or _load(Sources(name, text, options.import_paths), options)
    if loaded.sources is not None and loaded.sources.reusable:
        with _cache_lock:
            _cache[key] = loaded
            while len(_cache) > _KEPT:
                _cache.popitem(last=False)
    return loaded


def load_lark(parser: lark.Lark, options: Options) -> Loaded:
    """Take the rules and terminals of a ``lark.Lark`` object.

    Raises
    ------
    GrammarError
        It has something that no automaton can follow.
    """
    return _finish(list(parser.terminals), list(parser.rules), list(parser.lexer_conf.ignore), options, None)


def _load_plain(name: str | None, text: str, options: Options) -> Loaded | None:
    """Load a grammar that the core can read, as it is or once its items are replaced."""
    if options.strict:
        return None
    for plain in (True, False):
        try:
            sources = Sources(name, text, options.import_paths, plain=plain)
            grammar = load_plain(sources, options) if plain or sources.main.text != text else None
            if grammar is None:
                continue
            make = partial(make_plain_spec, grammar, options, sources.directives.find)
            native = grammar.native
            if native.scanned and not _needs_spec(native, options):
                return Loaded(make, sources, options, native)
            loaded = Loaded(make, sources, options)
            return _checked(loaded, grammar.terminals, grammar.ignore, grammar.productive)
        except (StructgenError, TerminalError):
            # What is wrong has to be said the way that Lark's loader leads to it.
            return None
    return None


def _needs_spec(native: LoadedGrammar, options: Options) -> bool:
    """Say whether something about a grammar that the core has read is left for Python to decide."""
    pieces = options.mode == "dynamic_complete" and native.asserts
    return pieces or bool(options.g_regex_flags) or options.indenter is not None


def _load(sources: Sources, options: Options) -> Loaded:
    keep = set() if options.indenter is None else {options.indenter.newline}
    builder = GrammarBuilder(False, [sources])
    try:
        builder.load_grammar(sources.main.text, sources.main.name or "<string>")
        grammar = builder.build()
        _checks.check_starts(grammar, options.starts, sources)
        check_sizes(grammar)
        terminals, rules, ignore = grammar.compile(list(options.starts), keep)
    except Exception as error:
        # Lark's loader meets some wrong grammars with assertions, and with errors of whatever it ran into.
        raise translate(error, sources) from None
    if options.strict:
        _checks.check_unused(grammar, rules, sources)
    return _finish(terminals, rules, ignore, options, sources)


def _finish(
    terminals: list[TerminalDef],
    rules: list[Rule],
    ignore: list[str],
    options: Options,
    sources: Sources | None,
) -> Loaded:
    items = {}
    if sources is not None:
        used = {symbol.name for rule in rules for symbol in rule.expansion if symbol.is_term}
        items = {name: item for name in used if (item := sources.directives.find(name)) is not None}
    try:
        spec = make_spec(terminals, rules, ignore, options, items)
    except TerminalError as error:
        place = None if sources is None else sources.definition(error.name)
        if place is None and sources is not None:
            raw = next((t.pattern.raw for t in terminals if t.name == error.name), None)
            place = None if raw is None else sources.spelling(raw)
        raise at(place, error.reason, sources, error.hint) from None
    loaded = _checked(Loaded(lambda: spec, sources, options), terminals, ignore, False)
    if options.strict:
        _checks.check_strict(loaded, terminals, rules, ignore, options)
    return loaded


def _checked(loaded: Loaded, terminals: list[TerminalDef], ignore: list[str], productive: bool) -> Loaded:
    _checks.check_ignored(loaded, {terminal.name for terminal in terminals}, ignore)
    if not productive or any(terminal.kind == DECLARED for terminal in loaded.spec.terminals):
        _checks.check_productive(loaded)
    return loaded
