"""From the syntax tree to *patterns* of the builder, in which one match is preferred to another.

Patterns mean what the backtracking matcher of :mod:`re` does at one place of a text: options in order, greedy
and lazy loops, and an iteration of a loop that matches the empty string, beyond those that are required, is
the last. What an assertion sees is not bounded by the match. On its left it sees the whole text, as a state
of a ``LeftContext`` that all patterns share; on its right the whole rest of the text, as a regex by left
state, made by ``Lowering``.
"""

import functools
from collections.abc import Sequence

from structgen._frontends.regex import _ast
from structgen._frontends.regex._ast import Alternation, Before, Chars, Concat, Literal, Look, Node, Repeat
from structgen._frontends.regex._builder import PatternBuilder
from structgen._frontends.regex._charset import Ranges
from structgen._frontends.regex._context import LeftContext
from structgen._frontends.regex._lower import Lowering, Vector
from structgen._frontends.regex._threads import assertions_of, threads_of
from structgen._frontends.regex.python import parse


class Prioritised:
    """Patterns of :mod:`re` that are matched in one text, such as the terminals of a grammar.

    Parameters
    ----------
    patterns : sequence of tuple of (str, int)
        Patterns with their flags.

    Raises
    ------
    RegexError
        A pattern is invalid or not regular; with the pattern, the position and the reason.
    LimitError
        One of the limits of ``_limits`` was reached.
    """

    def __init__(self, patterns: Sequence[tuple[str, int]]) -> None:
        self._patterns = [(pattern, parse(pattern, int(flags))) for pattern, flags in patterns]
        looking: dict[Before | Look, None] = {}
        for pattern, node in self._patterns:
            looking.update(dict.fromkeys(_looking_back(node, pattern)))
        self._context = _context(tuple(looking))

    def looking_out(self) -> list[int]:
        """The patterns whose matches can depend on what is behind them, or in front of them.

        Returns
        -------
        list of int
            Indices.
        """
        return [i for i, (_, node) in enumerate(self._patterns) if _looks_out(node, 0)]

    def lower(self, builder: PatternBuilder) -> list[int]:
        """Make the patterns in a builder.

        Parameters
        ----------
        builder : PatternBuilder
            Its left context is set here, if a pattern looks back.

        Returns
        -------
        list of int
            The handle of each pattern.

        Raises
        ------
        LimitError
            One of the limits of ``_limits`` was reached.
        """
        if self._context.size > 1:
            builder.left_context(self._context.cells, self._context.next)
        sets: dict[Ranges, int] = {}
        tests: dict[Node, int] = {}
        return [
            _Patterns(builder, pattern, self._context, sets, tests).of(node)
            for pattern, node in self._patterns
        ]


def _looks_out(node: Node, read: int) -> bool:
    """Whether an assertion may see more than the match, of which at least ``read`` characters are read."""
    if node.plain:
        return False
    match node:
        case Concat(parts=parts):
            for part in parts:
                if _looks_out(part, read):
                    return True
                read += _ast.least_width(part)
            return False
        case Alternation(options=options):
            return any(_looks_out(option, read) for option in options)
        case Repeat(body=body):
            return _looks_out(body, read)
        case Before():
            return read == 0
        case Look(body=body, behind=True):
            return not body.plain or read < _ast.least_width(body)
    return True


def _looking_back(node: Node, pattern: str) -> list[Before | Look]:
    if not _ast.looks_back(node):
        return []
    found = [a for a in assertions_of(node) if isinstance(a, Before) or (isinstance(a, Look) and a.behind)]
    for look in found:
        if isinstance(look, Look):
            # Refuses what the context can't follow, while it is known whose it is.
            threads_of(look, pattern)
    return found


@functools.lru_cache(maxsize=64)
def _context(looking: tuple[Before | Look, ...]) -> LeftContext:
    return LeftContext(list(looking), "")


class _Patterns:
    """Lowers one pattern; ``sets`` and ``tests`` hold what all patterns of a builder share."""

    def __init__(
        self,
        builder: PatternBuilder,
        pattern: str,
        context: LeftContext,
        sets: dict[Ranges, int],
        tests: dict[Node, int],
    ) -> None:
        self._builder = builder
        self._pattern = pattern
        self._context = context
        self._sets = sets
        self._tests = tests

    @functools.cached_property
    def _lowering(self) -> Lowering:
        lowering = Lowering(self._builder, self._pattern)
        lowering.context = self._context
        return lowering

    @functools.cached_property
    def _anything(self) -> Vector:
        return [self._lowering.plain(_ast.ANY_STAR)] * self._context.size

    def of(self, node: Node) -> int:
        """The pattern of a node."""
        builder = self._builder
        if not node.plain and _ast.zero_width(node):
            if node not in self._tests:
                self._tests[node] = self._test(node)
            return self._tests[node]
        match node:
            case Literal(text=text):
                return builder.pat_literal(text)
            case Chars(ranges=ranges):
                if ranges not in self._sets:
                    self._sets[ranges] = builder.pat_chars(ranges) if ranges else builder.pat_choice([])
                return self._sets[ranges]
            case Concat(parts=()):
                return builder.pat_empty()
            case Concat(parts=parts):
                return builder.pat_concat([self.of(part) for part in parts])
            case Alternation(options=options):
                return builder.pat_choice([self.of(option) for option in options])
            case Repeat(body=body, low=low, high=high, lazy=lazy):
                return builder.pat_repeat(self.of(body), low, high, lazy)
        raise AssertionError(node)

    def _test(self, node: Node) -> int:
        """A node that only tests where it stands."""
        if isinstance(node, Look) and not node.behind:
            rest, negative = self._lowering.lower(node.body, self._anything), node.negative
        else:
            rest, negative = self._lowering.lower(node, self._anything), False
        anything, none = self._anything[0], self._lowering.none
        if all(handle in (anything, none) for handle in rest):
            states = [s for s, handle in enumerate(rest) if (handle == anything) is not negative]
            if len(states) == len(rest):
                return self._builder.pat_empty()
            return self._builder.pat_behind(states) if states else self._builder.pat_choice([])
        return self._builder.pat_ahead(rest, negative)
