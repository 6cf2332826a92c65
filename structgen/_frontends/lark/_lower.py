"""From a specification to calls of the builder."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from structgen._core import LrConflictError
from structgen._errors import GrammarError, LimitError, RegexError, SchemaError
from structgen._frontends.lark._directives import Directive
from structgen._frontends.lark._load import Loaded
from structgen._frontends.lark._options import python_flags
from structgen._frontends.lark._spec import DECLARED, SCANNED, SPECIAL_TOKEN, Terminal
from structgen._frontends.regex import lower_python, python

if TYPE_CHECKING:
    from structgen._core import Builder
    from structgen._frontends.json_schema._lower import Lowering
    from structgen._vocabulary import Vocabulary

_CONFLICTS_SHOWN = 3


class GrammarLowering:
    """One grammar on its way into one builder."""

    def __init__(
        self, loaded: Loaded, builder: Builder, vocabulary: Vocabulary, json_options: Mapping[str, Any]
    ) -> None:
        self.loaded = loaded
        self.builder = builder
        self.vocabulary = vocabulary
        # Lowerings of embedded schemas whose guards the automaton will ask.
        self.asking: list[Lowering] = []
        self._json_options = dict(json_options)

    def lower(self) -> int:
        """Return the expression for the texts of the grammar.

        Raises
        ------
        GrammarError
            A terminal is not regular, an embedded schema cannot be enforced, a special token is unknown, or
            an LALR parser cannot be made.
        LimitError
            A limit was reached.
        """
        try:
            parser = self._natively()
            if parser is not None:
                return parser
            spec = self.loaded.spec
            return self.builder.lr_parser(
                self._terminals(),
                [(u.regex, u.string, self._string(u.string), u.embedded) for u in spec.unless],
                list(spec.ignore),
                list(spec.nonterminals),
                [(p.origin, list(p.symbols), p.priority, p.name) for p in spec.productions],
                list(spec.starts),
                list(spec.shared),
                spec.mode,
                spec.indenter,
            )
        except LrConflictError as error:
            raise self._endless(error.endless) if error.endless else self._conflict(error.conflicts) from None

    def _natively(self) -> int | None:
        """Let the core make a parser of the grammar that it has read itself, if it did."""
        loaded, options = self.loaded, self.loaded.options
        if loaded.native is None:
            return None
        return self.builder.loaded_parser(loaded.native, options.starts, options.shared, options.mode)

    # -- terminals -------------------------------------------------------------------------

    def _terminals(self) -> list[tuple[str, int, int]]:
        spec = self.loaded.spec
        patterns = iter(self._patterns())
        terminals = []
        for terminal in spec.terminals:
            handle = -1
            if terminal.kind == SCANNED:
                handle = next(patterns)
            elif terminal.kind != DECLARED:
                assert terminal.item is not None
                token = terminal.kind == SPECIAL_TOKEN
                handle = self._special(terminal.item) if token else self._expression(terminal.item)
            terminals.append((terminal.shown, terminal.kind, handle))
        return terminals

    def _patterns(self) -> list[int]:
        from structgen._frontends.regex import Prioritised

        flags = python_flags(self.loaded.spec.flags)
        scanned = [t for t in self.loaded.spec.terminals if t.kind == SCANNED]
        regexps = [t for t in scanned if t.literal is None]
        try:
            if self.loaded.spec.mode != "dynamic_complete" and not flags and python.NATIVE:
                handles = self._python_patterns([t.regexp for t in regexps])
            else:
                handles = None
            if handles is None:
                patterns = Prioritised([(t.regexp, flags) for t in regexps])
                if self.loaded.spec.mode == "dynamic_complete":
                    self._check_pieces([regexps[i] for i in patterns.looking_out()])
                handles = patterns.lower(self.builder)
            made = iter(handles)
            return [next(made) if t.literal is None else self.builder.pat_literal(t.literal) for t in scanned]
        except RegexError as error:
            culprit = next((t for t in scanned if t.regexp == error.pattern), None)
            if culprit is None:
                raise
            raise self.loaded.error(
                culprit.name, f"terminal {culprit.shown} cannot be represented: {error}"
            ) from error

    def _python_patterns(self, patterns: list[str]) -> list[int] | None:
        """Let the core read and make the patterns, if it can."""
        found = self.builder.python_patterns(patterns, python.members)
        if found is None:
            return None
        handles, (cells, following) = found
        if len(following) > 1:
            self.builder.left_context(cells, following)
        return handles

    def _check_pieces(self, looking: list[Terminal]) -> None:
        """Lark's lexer matches the beginnings of a lexeme as texts of their own, with nothing around them."""
        ignored = {self.loaded.spec.terminals[i].name for i in self.loaded.spec.ignore}
        for terminal in looking:
            if terminal.name not in ignored:
                raise self.loaded.error(
                    terminal.name,
                    f"terminal {terminal.shown} looks at the text around it, which this lexer hides",
                    "use lexer='dynamic' instead of 'dynamic_complete'",
                )

    def _string(self, number: int) -> int:
        """Return the regex of the texts that count as a string terminal."""
        spec = self.loaded.spec
        terminal = spec.terminals[number]
        if terminal.literal is not None:
            return self.builder.re_literal(terminal.literal)
        return lower_python(terminal.regexp, self.builder, python_flags(spec.flags))

    # -- items -----------------------------------------------------------------------------

    def _special(self, item: Directive) -> int:
        vocabulary = self.vocabulary
        if item.kind == "id":
            token = int(item.value)
            if token not in vocabulary.special_token_ids or token in vocabulary.eos_token_ids:
                raise item.error(
                    f"token {token} is no special token of this vocabulary",
                    "a grammar names special tokens; the text of any other is written as a string",
                )
            return token
        return self._named(item, str(item.value))

    def _named(self, item: Directive, spelling: str) -> int:
        """Find ``<name>``: a special token is called so with its brackets, or without them."""
        names = self.vocabulary.special_tokens
        for name in (spelling, spelling[1:-1]):
            token = names.get(name)
            if token is not None:
                if token in self.vocabulary.eos_token_ids:
                    raise item.error(f"{spelling} ends the output, which no grammar has to say")
                return token
        near = difflib.get_close_matches(spelling, names, n=3, cutoff=0.5)
        hint = "did you mean " + " or ".join(near) + "?" if near else None
        if spelling.encode() in self.vocabulary.tokens:
            hint = f"it is a token, but no special one: write the string {spelling!r}"
        raise item.error(f"there is no special token {spelling} in this vocabulary", hint)

    def _expression(self, item: Directive) -> int:
        if item.kind == "json":
            return self._json(item)
        builder = self.builder
        anything = builder.re_repeat(builder.re_any(), 1, -1)
        try:
            regex = self._text(item) if item.kind == "text" else lower_python(item.value, builder)
            # An item that may be empty is an optional one; the item itself never is.
            regex = builder.re_intersection([regex, anything])
            if builder.re_is_empty(regex):
                raise item.error(f"{item.spelling} matches no text, or only the empty one")
        except RegexError as error:
            raise item.error(f"{item.spelling} cannot be represented: {error}") from error
        return builder.text(regex)

    def _text(self, item: Directive) -> int:
        """Return the regex of free text: all of it, or what does not hold the string that stops it."""
        builder = self.builder
        stop, special, first = item.value
        anything = builder.re_repeat(builder.re_any(), 0, -1)
        if special is not None:
            kind, name = special
            self._special(item._replace(kind=kind, value=name))
        if stop is None:
            return anything
        wrong = [builder.re_concat([anything, builder.re_literal(stop), anything])]
        if first:
            # Followed by the string s, a text that ends in a part of s is wrong, too, where the s that
            # follows continues that part to an earlier s.
            for length in range(1, len(stop)):
                if stop.startswith(stop[length:]):
                    wrong.append(builder.re_concat([anything, builder.re_literal(stop[:length])]))
        return builder.re_complement(builder.re_union(wrong))

    def _json(self, item: Directive) -> int:
        from structgen._frontends.json_schema import Options, lower_json_schema

        try:
            expression, lowering = lower_json_schema(item.value, self.builder, Options(**self._json_options))
        except SchemaError as error:
            place = f", at {error.pointer!r}" if error.pointer else ""
            reason = error.reason.partition("\n")[0]
            raise item.error(f"%json{place}: {reason}", error.hint) from error
        except LimitError as error:
            raise LimitError(
                f"%json at line {item.line}: {error}",
                limit=error.limit,
                value=error.value,
                pointer=error.pointer,
            ) from error
        if lowering.asks:
            self.asking.append(lowering)
        return expression

    # -- errors ----------------------------------------------------------------------------

    def nothing(self) -> GrammarError:
        """Build the error for a grammar without texts."""
        starts = " or ".join(repr(self.loaded.spec.nonterminals[start]) for start in self.loaded.spec.starts)
        return self.loaded.error(
            self.loaded.spec.nonterminals[self.loaded.spec.starts[0]],
            f"no text of this vocabulary can be parsed from {starts}",
        )

    def _conflict(self, conflicts: list[tuple[int, int, list[int]]]) -> GrammarError:
        """Say which rules a parser with one token of lookahead cannot choose from."""
        spec = self.loaded.spec
        shown = []
        for _, terminal, rules in conflicts[:_CONFLICTS_SHOWN]:
            before = spec.symbol(terminal) if terminal < len(spec.terminals) else "the end"
            choices = " and ".join(f"<{spec.production(rule)}>" for rule in rules)
            shown.append(f"before {before}, between {choices}")
        more = len(conflicts) - len(shown)
        tail = f", and {more} more" if more else ""
        name = spec.nonterminals[spec.productions[conflicts[0][2][0]].origin]
        return self.loaded.error(
            name,
            f"the grammar is not LALR(1), reduce/reduce conflicts: {'; '.join(shown)}{tail}",
            'use parser="earley", or give one of the rules a priority',
        )

    def _endless(self, nonterminals: list[int]) -> GrammarError:
        """Say where Lark's tables vary: symbols that can be empty come again and again without a terminal."""
        names = [self.loaded.spec.nonterminals[n] for n in nonterminals]
        # Helpers that Lark made for a repetition are nobody's rules.
        name = next((name for name in names if not name.startswith("__")), names[0])
        return self.loaded.error(
            name,
            f"the grammar is not LALR(1): rule {name!r} can be empty, and can then come again without end",
            'use parser="earley", or leave out the alternatives that are empty',
        )
