"""From the syntax tree to builder calls; both flavours share it.

A plain node (no assertion below it) becomes a handle directly. Any other node is lowered backwards, in
continuation-passing style: given the language K of what follows, it returns the language of "this node,
then what follows", so that a lookahead is an intersection with K and ``$`` keeps the empty string of K only.

What an assertion sees on its left is tracked by the states of a ``LeftContext``. K is therefore a list
with one handle per state, and so is the result.
"""

import itertools
from collections.abc import Callable

from structgen._frontends.regex import _ast, _charset
from structgen._frontends.regex._ast import (
    After,
    Alternation,
    Before,
    Chars,
    Concat,
    Literal,
    Look,
    Node,
    Repeat,
)
from structgen._frontends.regex._builder import RegexBuilder
from structgen._frontends.regex._charset import Ranges
from structgen._frontends.regex._context import START, LeftContext
from structgen._frontends.regex._limits import MAX_EXPANSION, Budget
from structgen._frontends.regex._loops import ending_in, lower_forward

Vector = list[int]

_NO_CONTEXT = LeftContext([], "")


class Lowering:
    """Lowers one tree into one builder.

    Parameters
    ----------
    builder : RegexBuilder
        Where the regexes are made.
    pattern : str
        The source of the tree, for messages.
    """

    def __init__(self, builder: RegexBuilder, pattern: str) -> None:
        self.builder = builder
        self.pattern = pattern
        self.none = builder.re_none()
        self.epsilon = builder.re_epsilon()
        self.budget = Budget("assertions expand too far", "max_expansion", MAX_EXPANSION)
        # What assertions made of a node, by identity; the node is kept, so that its id stays its own.
        self._groups: dict[int, tuple[Node, list[Node]]] = {}
        self._handles: dict[int, tuple[Node, int]] = {}
        self._endings: dict[tuple[int, Ranges], tuple[Node, int]] = {}
        self._sets: dict[Ranges, int] = {}
        self.context = _NO_CONTEXT

    # -- entry points ----------------------------------------------------------------------

    def full(self, node: Node) -> int:
        """The strings that the node matches from their start to their end."""
        if type(node) is Concat:
            # Where it begins and ends, anchors say nothing that a match of the whole string does not.
            parts = node.parts
            while parts and parts[0] is _ast.AT_START:
                parts = parts[1:]
            while parts and (parts[-1] is _ast.AT_END or parts[-1] is _ast.AT_END_OR_LAST_NEWLINE):
                parts = parts[:-1]
            node = _ast.concat(parts)
        if node.plain:
            return self.plain(node)
        self.context = LeftContext.of(node, self.pattern)
        return self.lower(node, [self.epsilon] * self.context.size)[START]

    def search(self, node: Node) -> int:
        """The strings in which the node matches somewhere."""
        anything = self.plain(_ast.ANY_STAR)
        if node is _ast.EPSILON:
            return anything
        if node.plain:
            return self.builder.re_concat([anything, self.plain(node), anything])
        floating: list[Node] = []
        rest: list[Node] = []
        found: list[int] = []
        for option in node.options if type(node) is Alternation else (node,):
            parts = option.parts if type(option) is Concat else (option,)
            if parts and parts[0] is _ast.AT_START and not any(map(_ast.looks_back, parts[1:])):
                found.append(self._anchored(parts[1:], anything))
            else:
                (rest if _ast.looks_back(option) else floating).append(option)
        if floating:
            self.context = _NO_CONTEXT
            option = _ast.alternation(floating)
            found.append(self.builder.re_concat([anything, self.lower(option, [anything])[START]]))
        if rest:
            whole = _ast.concat((_ast.ANY_STAR, _ast.alternation(rest)))
            self.context = LeftContext.of(whole, self.pattern)
            found.append(self.lower(whole, [anything] * self.context.size)[START])
        return self.unite(found)

    def _anchored(self, parts: tuple[Node, ...], anything: int) -> int:
        """The strings that begin with the parts, none of which looks to the left."""
        after = anything
        if parts and parts[-1] is _ast.AT_END:
            parts, after = parts[:-1], self.epsilon
        node = _ast.concat(parts)
        if node.plain:
            return self.join(self.plain(node), after)
        self.context = _NO_CONTEXT
        return self.lower(node, [after])[START]

    # -- plain nodes -----------------------------------------------------------------------

    def plain(self, node: Node) -> int:
        """The language of a node without assertions."""
        kind = type(node)
        if kind is Chars:
            return self.set(node.ranges)  # type: ignore[union-attr]
        if kind is Literal:
            return self.builder.re_literal(node.text)  # type: ignore[union-attr]
        match node:
            case Concat(parts=parts):
                return self.builder.re_concat([self.plain(part) for part in parts])
            case Repeat(body=body, low=low, high=high):
                return self.builder.re_repeat(self.plain(body), low, high)
            case Alternation(options=options):
                return self._plain_alternation(options)
        raise AssertionError(node)

    def set(self, ranges: Ranges) -> int:
        """One code point of a set."""
        handle = self._sets.get(ranges)
        if handle is None:
            if ranges == _charset.ALL:
                handle = self.builder.re_any()
            else:
                handle = self.builder.re_chars(ranges) if ranges else self.none
            self._sets[ranges] = handle
        return handle

    def _plain_alternation(self, options: tuple[Node, ...]) -> int:
        # Large enumerations are common: the builder has a call that shares their prefixes.
        words = [option.text for option in options if type(option) is Literal]
        if len(words) < 3:
            return self.builder.re_union([self.plain(option) for option in options])
        rest = [self.plain(option) for option in options if type(option) is not Literal]
        handle = self.builder.re_words(words)
        return self.builder.re_union([handle, *rest]) if rest else handle

    # -- nodes with assertions -------------------------------------------------------------

    def lower(self, node: Node, after: Vector) -> Vector:
        """The node, then ``after``; one language per state of the left context.

        Raises
        ------
        LimitError
            Assertions inside counted repetitions multiply beyond the limit.
        RegexError
            An assertion inside an unbounded repetition cannot be represented.
        """
        self.budget.spend()
        if node.plain:
            return self._lower_plain(node, after)
        match node:
            case Concat():
                return self._lower_concat(node, after)
            case Alternation():
                return self._lower_alternation(node, after)
            case Repeat():
                return self._lower_repeat(node, after)
            case Before() | Look(behind=True):
                held = [self.context.holds(state, node) for state in range(len(after))]
                return [handle if h else self.none for handle, h in zip(after, held, strict=True)]
            case After():
                return self._each(after, lambda handle: self.next_is(node, handle))
            case Look():
                return self._lower_look(node, after)
        raise AssertionError(node)

    def _each(self, vector: Vector, function: Callable[[int], int]) -> Vector:
        """Apply a function to every handle, once per distinct handle."""
        results = {handle: function(handle) for handle in dict.fromkeys(vector)}
        return [results[handle] for handle in vector]

    def join(self, first: int, second: int) -> int:
        """Concatenate two handles, leaving out what is trivial."""
        if first == self.none or second == self.none:
            return self.none
        if first == self.epsilon:
            return second
        return first if second == self.epsilon else self.builder.re_concat([first, second])

    def unite(self, handles: list[int]) -> int:
        """Unite handles, leaving out what is trivial."""
        distinct = [handle for handle in dict.fromkeys(handles) if handle != self.none]
        if not distinct:
            return self.none
        return distinct[0] if len(distinct) == 1 else self.builder.re_union(distinct)

    def next_is(self, node: After, after: int) -> int:
        """The strings of ``after`` that begin (or end at once) as the assertion asks."""
        if after == self.none:
            return after
        found = []
        if node.at_end and self.builder.re_is_nullable(after):
            found.append(self.epsilon)
        if node.chars:
            begin = self.builder.re_concat([self.set(node.chars), self.plain(_ast.ANY_STAR)])
            found.append(begin if after == self.plain(_ast.ANY_STAR) else self.meet(begin, after))
        return self.unite(found)

    def meet(self, first: int, second: int) -> int:
        """Intersect two handles."""
        if self.none in (first, second):
            return self.none
        if second == self.epsilon:
            return second if self.builder.re_is_nullable(first) else self.none
        return self.builder.re_intersection([first, second])

    def _lower_look(self, node: Look, after: Vector) -> Vector:
        anything = self.plain(_ast.ANY_STAR)
        ahead = self.lower(node.body, [anything] * len(after))
        results = {}
        for pair in set(zip(ahead, after, strict=True)):
            required, handle = pair
            if node.negative:
                required = self.builder.re_complement(required)
            results[pair] = self.meet(required, handle)
        return [results[pair] for pair in zip(ahead, after, strict=True)]

    def _grouped(self, node: Concat | Alternation) -> list[Node]:
        """The parts of a node, plain ones put together, so that each of these is lowered directly."""
        if id(node) not in self._groups:
            if isinstance(node, Alternation):
                plain = [option for option in node.options if option.plain]
                grouped = [option for option in node.options if not option.plain]
                grouped += [_ast.alternation(plain)] if plain else []
            else:
                runs = itertools.groupby(node.parts, lambda part: part.plain)
                grouped = [n for plain, run in runs for n in ([_ast.concat(run)] if plain else run)]
            self._groups[id(node)] = node, grouped
        return self._groups[id(node)][1]

    def _lower_concat(self, node: Concat, after: Vector) -> Vector:
        for part in reversed(self._grouped(node)):
            after = self.lower(part, after)
        return after

    def _lower_alternation(self, node: Alternation, after: Vector) -> Vector:
        results = [self.lower(option, after) for option in self._grouped(node)]
        return [self.unite(list(handles)) for handles in zip(*results, strict=True)]

    def _lower_repeat(self, node: Repeat, after: Vector) -> Vector:
        if node.high < 0:
            after = lower_forward(self, _ast.repeat(node.body, 0, -1), after)
        else:
            # Inside out: the last optional copy first.
            done = after
            for _ in range(node.high - node.low):
                copy = self.lower(node.body, after)
                longer = [self.unite([a, b]) for a, b in zip(done, copy, strict=True)]
                if longer == after:
                    break
                after = longer
        for _ in range(node.low):
            before = self.lower(node.body, after)
            if before == after:
                break
            after = before
        return after

    def _lower_plain(self, node: Node, after: Vector) -> Vector:
        """A plain node: split its strings by the state that they lead to, where that matters."""
        first = after[START]
        if after.count(first) == len(after):
            if id(node) not in self._handles:
                self._handles[id(node)] = node, self.plain(node)
            return [self.join(self._handles[id(node)][1], first)] * len(after)
        if not self.context.definite:
            return lower_forward(self, node, after)
        ends: dict[int, list[Ranges]] = {}
        for state, cell in self.context.ends.items():
            if after[state] != self.none:
                ends.setdefault(after[state], []).append(cell)
        longer = []
        for handle, cells in ends.items():
            key = id(node), _charset.union(*cells)
            if key not in self._endings:
                self._endings[key] = node, ending_in(self, node, key[1])
            longer.append(self.join(self._endings[key][1], handle))
        if not _ast.nullable(node):
            return [self.unite(longer)] * len(after)
        return [self.unite([*longer, handle]) for handle in after]
