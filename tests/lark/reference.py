"""A small, slow model of lark's contextual lexer and LALR parser, for what lark can't be asked.

``parses`` asks lark itself. ``viable`` asks whether a text can be completed, and tries every completion. So
that this ends, the model follows lark for as long as nothing that may come can change what lark does: a
lexeme is settled if the matcher found it, and refused what lark tries before it, without looking at the end
of the text. Texts that settle on the same parser state, with the same text left, have the same completions.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import lark
from lark.indenter import Indenter
from lark.lexer import BasicLexer, ContextualLexer, Token, UnlessCallback
from lark.parser_frontends import PostLexConnector
from lark.parsers.lalr_analysis import Shift

from structgen._frontends.regex import Prioritised
from tests.regex.patterns import PatternRecorder


def parses(parser: lark.Lark, text: str) -> bool:
    """Whether lark parses the text.

    Lark's indenter fails with errors of Python where a bracket closes that was not opened, and where its
    newline terminal matches a text without a newline.
    """
    return parses_from(parser, text, None)


def parses_from(parser: lark.Lark, text: str, start: str | None) -> bool:
    """Whether lark parses the text from a start rule."""
    try:
        parser.parse(text, start)
    except (lark.exceptions.LarkError, AssertionError, IndexError):
        return False
    return True


def viable(parser: lark.Lark, prefix: str, alphabet: str, extra: int) -> bool:
    """Whether the prefix and up to ``extra`` more characters of the alphabet parse.

    Parameters
    ----------
    parser : lark.Lark
        With ``parser="lalr"``, one start rule and no callbacks.
    prefix : str
        The text so far.
    alphabet : str
        What completions are made of.
    extra : int
        How long completions may be.
    """
    return _model(parser).viable(prefix, alphabet, extra)


@functools.lru_cache(maxsize=16)
def _model(parser: lark.Lark) -> "Model":
    return Model(parser)


class _RejectedError(Exception):
    """Lark raises an error here."""


@dataclass
class _Run:
    """The LALR parser and the indenter in the middle of a text."""

    stack: list[int]
    levels: list[int]
    brackets: int = 0

    def key(self) -> tuple[object, ...]:
        return tuple(self.stack), tuple(self.levels), self.brackets


class Model:
    """Lark's lexer, indenter and parser, one step at a time.

    Parameters
    ----------
    parser : lark.Lark
        Whose parse table, order of terminals and keywords are used.
    """

    def __init__(self, parser: lark.Lark) -> None:
        self._parser = parser
        frontend = parser.parser
        (self._start,) = parser.options.start
        self._table = frontend.parser._parse_table
        self._indenter: Indenter | None = None
        lexer = frontend.lexer
        if isinstance(lexer, PostLexConnector):
            self._indenter = lexer.postlexer
            lexer = lexer.lexer
        self._lexer: ContextualLexer | BasicLexer = lexer
        names = {terminal.name: terminal for terminal in frontend.lexer_conf.terminals}
        flags = int(frontend.lexer_conf.g_regex_flags)
        patterns = Prioritised([(t.pattern.to_regexp(), flags) for t in names.values()])
        self._matcher = PatternRecorder()
        self._handles = dict(zip(names, patterns.lower(self._matcher), strict=True))
        self._known: dict[tuple[object, ...], bool] = {}

    # -- the language --------------------------------------------------------------------------

    def parses(self, text: str) -> bool:
        """Whether the text parses, by the model alone."""
        run, position = self._begin(), 0
        try:
            while position < len(text):
                position, _ = self._next(run, text, position)
            self._finish(run)
        except _RejectedError:
            return False
        return True

    def viable(self, text: str, alphabet: str, extra: int) -> bool:
        """As the function of this name."""
        where = self.settle(text)
        if where is None:
            return False
        key = where, alphabet, extra
        if key not in self._known:
            self._known[key] = parses(self._parser, text) or (
                extra > 0 and any(self.viable(text + c, alphabet, extra - 1) for c in alphabet)
            )
        return self._known[key]

    def settle(self, text: str) -> tuple[object, ...] | None:
        """What decides which completions parse: ``None`` if none does, whatever comes."""
        run, position = self._begin(), 0
        while position < len(text):
            before = run.key()
            try:
                end, is_open = self._next(run, text, position)
            except _RejectedError as rejected:
                if not rejected.args[0]:
                    return None
                is_open = True
            if is_open:
                return before, self._matcher.left_states(text)[position], text[position:]
            position = end
        return run.key(), self._matcher.left_states(text)[position], ""

    # -- one step ------------------------------------------------------------------------------

    def _begin(self) -> _Run:
        return _Run([self._table.start_states[self._start]], [0])

    def _next(self, run: _Run, text: str, position: int) -> tuple[int, bool]:
        """Take one lexeme: where it ends, and whether that can depend on what follows the text.

        Raises
        ------
        _RejectedError
            With whether something that follows could help.
        """
        lexer = self._lexer
        scanner = lexer.lexers[run.stack[-1]] if isinstance(lexer, ContextualLexer) else lexer
        assert isinstance(scanner, BasicLexer)
        is_open = False
        for terminal in scanner.scanner.terminals:
            handle = self._handles[terminal.name]
            end, looked = self._matcher.match_open(handle, text, position)
            is_open |= looked
            if end is not None:
                break
        else:
            raise _RejectedError(is_open)
        name, value = terminal.name, text[position:end]
        unless = scanner.callback.get(name)
        if unless is not None:
            assert isinstance(unless, UnlessCallback)
            name = unless(Token(name, value)).type
        # The text decides what is ignored before a keyword is told from a name.
        if terminal.name not in scanner.ignore_types:
            try:
                for token in self._indented(run, name, value):
                    self._feed(run, token)
            except _RejectedError:
                raise _RejectedError(is_open) from None
        return end, is_open

    def _indented(self, run: _Run, name: str, value: str) -> Iterator[str]:
        """The terminal, with the indents and dedents that follow it."""
        indenter = self._indenter
        if indenter is None:
            yield name
            return
        if name != indenter.NL_type:
            yield name
        elif run.brackets == 0:
            yield name
            if "\n" not in value:
                raise _RejectedError
            line = value.rpartition("\n")[2]
            column = line.count(" ") + indenter.tab_len * line.count("\t")
            if column > run.levels[-1]:
                run.levels.append(column)
                yield indenter.INDENT_type
            while column < run.levels[-1]:
                run.levels.pop()
                yield indenter.DEDENT_type
            if column != run.levels[-1]:
                raise _RejectedError
        if name in indenter.OPEN_PAREN_types:
            run.brackets += 1
        elif name in indenter.CLOSE_PAREN_types:
            run.brackets -= 1
            if run.brackets < 0:
                raise _RejectedError

    def _finish(self, run: _Run) -> None:
        while len(run.levels) > 1:
            run.levels.pop()
            assert self._indenter is not None
            self._feed(run, self._indenter.DEDENT_type)
        self._feed(run, "$END")

    def _feed(self, run: _Run, name: str) -> None:
        """One terminal for the LALR parser; the end of the text ends in the end state."""
        while True:
            if name not in self._table.states[run.stack[-1]]:
                raise _RejectedError
            action, argument = self._table.states[run.stack[-1]][name]
            if action is Shift:
                run.stack.append(argument)
                return
            if argument.expansion:
                del run.stack[-len(argument.expansion) :]
            run.stack.append(self._table.states[run.stack[-1]][argument.origin.name][1])
            if name == "$END" and run.stack[-1] == self._table.end_states[self._start]:
                return
