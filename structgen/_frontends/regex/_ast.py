"""Syntax tree of both flavours.

Captures have no node: without backreferences a group means what is inside it. ``plain`` is true where
no assertion occurs below a node, so that ordinary patterns take the direct path of the lowering. Nodes
compare by value, which the analysis of loops relies on. The order of options, and ``Repeat.lazy``, tell which
match a backtracking matcher prefers; the functions below keep it.
"""

import functools
from collections.abc import Iterable
from dataclasses import dataclass, field

from structgen._frontends.regex import _charset
from structgen._frontends.regex._charset import Ranges


@dataclass(slots=True, unsafe_hash=True)
class Chars:
    """One code point of a set."""

    ranges: Ranges
    plain: bool = field(default=True, init=False)


@dataclass(slots=True, unsafe_hash=True)
class Literal:
    """A string of at least one code point."""

    text: str
    plain: bool = field(default=True, init=False)


@dataclass(slots=True, unsafe_hash=True)
class Concat:
    """The parts one after the other; no part is itself a ``Concat``. No parts: the empty string."""

    parts: "tuple[Node, ...]"
    plain: bool


@dataclass(slots=True, unsafe_hash=True)
class Alternation:
    """One of the options. No options: nothing matches."""

    options: "tuple[Node, ...]"
    plain: bool


@dataclass(slots=True, unsafe_hash=True)
class Repeat:
    """``low`` to ``high`` copies of the body; ``high`` is -1 where there is no bound.

    ``lazy`` says which match is preferred, not which strings match, so that it does not tell nodes apart.
    """

    body: "Node"
    low: int
    high: int
    plain: bool
    lazy: bool = field(default=False, compare=False)


@dataclass(slots=True, unsafe_hash=True)
class Before:
    """Holds where the previous code point is in ``chars`` or, if ``at_start``, where there is none."""

    chars: Ranges
    at_start: bool
    plain: bool = field(default=False, init=False)


@dataclass(slots=True, unsafe_hash=True)
class After:
    """Holds where the next code point is in ``chars`` or, if ``at_end``, where there is none."""

    chars: Ranges
    at_end: bool
    plain: bool = field(default=False, init=False)


@dataclass(slots=True, unsafe_hash=True)
class Look:
    """A lookahead, or with ``behind`` a lookbehind, for more than one code point."""

    body: "Node"
    behind: bool
    negative: bool
    position: int | None = field(default=None, compare=False)
    plain: bool = field(default=False, init=False)


Node = Chars | Literal | Concat | Alternation | Repeat | Before | After | Look

EPSILON = Concat((), True)
NOTHING = Alternation((), True)
ANY = Chars(_charset.ALL)
ANY_STAR = Repeat(ANY, 0, -1, True)
AT_START = Before(_charset.NONE, True)
AT_END = After(_charset.NONE, True)


def concat(parts: Iterable[Node]) -> Node:
    """Concatenate, splicing nested concatenations."""
    flat: list[Node] = []
    for part in parts:
        if type(part) is Concat:
            flat += part.parts
        else:
            flat.append(part)
    if len(flat) == 1:
        return flat[0]
    return Concat(tuple(flat), all(part.plain for part in flat)) if flat else EPSILON


def alternation(options: Iterable[Node]) -> Node:
    """Unite, splicing nested alternations."""
    flat: list[Node] = []
    for option in options:
        if type(option) is Alternation:
            flat += option.options
        else:
            flat.append(option)
    if len(flat) == 1:
        return flat[0]
    return Alternation(tuple(flat), all(option.plain for option in flat)) if flat else NOTHING


def repeat(body: Node, low: int, high: int, lazy: bool = False) -> Node:
    """Repeat ``low`` to ``high`` times; ``high`` is -1 for no bound."""
    if low == 1 and high == 1:
        return body
    if high == 0:
        return EPSILON
    return Repeat(body, low, high, body.plain, lazy)


def look(body: Node, behind: bool, negative: bool, position: int | None = None) -> Node:
    """Make a lookaround, in its one-character form where that is enough."""
    if not behind:
        body = _without_last_lookahead(body)
    edge = _edge(body, behind)
    if edge is not None:
        chars, at_edge = edge
        if negative:
            chars, at_edge = _charset.complement(chars), not at_edge
        return Before(chars, at_edge) if behind else After(chars, at_edge)
    if body == EPSILON:
        return NOTHING if negative else EPSILON
    return Look(body, behind, negative, position)


def _without_last_lookahead(node: Node) -> Node:
    """Inside a lookahead, what a lookahead at the end asks for may as well be matched."""
    match node:
        case Look(body=body, behind=False, negative=False):
            return body
        case After(chars=chars, at_end=at_end) if chars:
            return alternation([Chars(chars), AT_END]) if at_end else Chars(chars)
        case Concat(parts=parts) if parts and not node.plain:
            return concat([*parts[:-1], _without_last_lookahead(parts[-1])])
        case Alternation(options=options) if not node.plain:
            return alternation(map(_without_last_lookahead, options))
    return node


def _edge(node: Node, behind: bool) -> tuple[Ranges, bool] | None:
    """The code points, and whether also the edge of the string, that the body of a lookaround asks for."""
    match node:
        case Chars(ranges=ranges):
            return ranges, False
        case Literal(text=text) if len(text) == 1:
            return ((ord(text), ord(text)),), False
        case Before(chars=ranges, at_start=at_edge) if behind:
            return ranges, at_edge
        case After(chars=ranges, at_end=at_edge) if not behind:
            return ranges, at_edge
        case Alternation(options=options):
            edges = [_edge(option, behind) for option in options]
            found = [edge for edge in edges if edge is not None]
            if len(found) == len(edges):
                return _charset.union(*(ranges for ranges, _ in found)), any(at_edge for _, at_edge in found)
    return None


@functools.lru_cache(maxsize=64)
def boundary(word: Ranges, negative: bool, in_empty: bool = True) -> Node:
    """``\\b``, or ``\\B`` where ``negative``, for the given set of word characters.

    ``in_empty``: does ``\\B`` hold in the empty string? It does in ECMAScript, and in Python from 3.14 on.
    """
    other = _charset.complement(word)
    word_left, word_right = Before(word, False), After(word, False)
    if not negative:
        ends = Concat((word_left, After(other, True)), False)
        return Alternation((ends, Concat((Before(other, True), word_right), False)), False)
    options: list[Node] = [Concat((word_left, word_right), False)]
    if in_empty:
        options.append(Concat((Before(other, True), After(other, True)), False))
    else:
        options.append(Concat((Before(other, False), After(other, True)), False))
        options.append(Concat((AT_START, After(other, False)), False))
    return Alternation(tuple(options), False)


def nullable(node: Node) -> bool:
    """Whether the node can match the empty string, assertions taken to hold."""
    match node:
        case Chars() | Literal():
            return False
        case Concat():
            return all(map(nullable, node.parts))
        case Alternation():
            return any(map(nullable, node.options))
        case Repeat():
            return node.low == 0 or nullable(node.body)
    return True


def least_width(node: Node) -> int:
    """The length of the shortest match, assertions taken to hold."""
    match node:
        case Chars():
            return 1
        case Literal():
            return len(node.text)
        case Concat():
            return sum(map(least_width, node.parts))
        case Alternation():
            return min(map(least_width, node.options), default=0)
        case Repeat():
            return node.low * least_width(node.body)
    return 0


def zero_width(node: Node) -> bool:
    """Whether every match of the node is empty: assertions, the empty string, nothing at all."""
    match node:
        case Chars() | Literal():
            return False
        case Concat():
            return all(map(zero_width, node.parts))
        case Alternation():
            return all(map(zero_width, node.options))
        case Repeat():
            return zero_width(node.body)
    return True


def looks_back(node: Node) -> bool:
    """Whether what the node matches depends on what stands before it."""
    if node.plain:
        return False
    match node:
        case Concat():
            return any(map(looks_back, node.parts))
        case Alternation():
            return any(map(looks_back, node.options))
        case Repeat():
            return looks_back(node.body)
        case Look():
            return node.behind or looks_back(node.body)
    return isinstance(node, Before)


# Python's "$" without MULTILINE: it also holds before a newline that ends the string.
AT_END_OR_LAST_NEWLINE = look(
    concat([repeat(Chars(((0x0A, 0x0A),)), 0, 1), AT_END]), behind=False, negative=False
)
