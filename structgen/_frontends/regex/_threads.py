"""Partial derivatives (Antimirov 1996) of the bodies of lookarounds.

A thread is the sequence of nodes that still have to match; a body is a set of threads. Nodes are plain, but
for ``AT_END`` in lookaheads.
"""

from collections.abc import Iterable

from structgen._errors import RegexError
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
from structgen._frontends.regex._charset import Ranges

Thread = tuple[Node, ...]


def threads_of(look: Look, pattern: str) -> tuple[frozenset[Thread], frozenset[Thread]]:
    """Split the body of a lookaround into threads that float and threads that begin at the start.

    Raises
    ------
    RegexError
        The body has assertions of its own, other than ``^`` first in a lookbehind and, outside repetitions,
        ``$`` in a lookahead.
    """
    floating: set[Thread] = set()
    anchored: set[Thread] = set()
    options = look.body.options if type(look.body) is Alternation else (look.body,)
    for option in options:
        parts = option.parts if type(option) is Concat else (option,)
        bound = look.behind and parts[:1] == (_ast.AT_START,)
        middle = parts[1:] if bound else parts
        if not all(part.plain or (not look.behind and _plain_but_for_end(part)) for part in middle):
            place = "a lookbehind" if look.behind else "a lookahead inside an unbounded repetition"
            raise RegexError(
                f"an assertion inside {place} is not supported", pattern=pattern, position=look.position
            )
        (anchored if bound else floating).add(middle)
    return frozenset(floating), frozenset(anchored)


def _plain_but_for_end(node: Node) -> bool:
    """Whether threads can follow the node: plain but for ``AT_END``, which ends a thread."""
    match node:
        case After():
            return node == _ast.AT_END
        case Concat(parts=nodes) | Alternation(options=nodes):
            return all(inner.plain or _plain_but_for_end(inner) for inner in nodes)
    return False


def finished(thread: Thread) -> bool:
    """Whether the thread has matched already, whatever comes."""
    return all(node.plain and _ast.nullable(node) for node in thread)


def advance(thread: Thread, code_point: int) -> Iterable[Thread]:
    """The threads after one more code point."""
    if not thread:
        return ()
    head, rest = thread[0], thread[1:]
    match head:
        case Chars():
            return (rest,) if _charset.contains(head.ranges, code_point) else ()
        case Literal(text=text):
            if ord(text[0]) != code_point:
                return ()
            return ((Literal(text[1:]), *rest) if len(text) > 1 else rest,)
        case Concat(parts=parts):
            return advance((*parts, *rest), code_point)
        case Alternation(options=options):
            return [after for option in options for after in advance((option, *rest), code_point)]
        case Repeat(body=body, low=low, high=high):
            fewer = _ast.repeat(body, max(low - 1, 0), high if high < 0 else high - 1)
            tail = rest if fewer == _ast.EPSILON else (fewer, *rest)
            found = [(*after, *tail) for after in advance((body,), code_point)]
            if _ast.nullable(head):
                found += advance(rest, code_point)
            return found
    return ()


def advance_all(threads: Iterable[Thread], code_point: int) -> frozenset[Thread]:
    """The threads after one more code point, as a set."""
    return frozenset(after for thread in threads for after in advance(thread, code_point))


def sets_of(node: Node) -> list[Ranges]:
    """Every set of code points that the node mentions."""
    match node:
        case Chars(ranges=ranges) | Before(chars=ranges) | After(chars=ranges):
            return [ranges]
        case Literal(text=text):
            return [((ord(c), ord(c)),) for c in sorted(set(text))]
        case Concat(parts=nodes) | Alternation(options=nodes):
            return [ranges for inner in nodes for ranges in sets_of(inner)]
        case Repeat(body=body) | Look(body=body):
            return sets_of(body)


def assertions_of(node: Node) -> list[Before | After | Look]:
    """The assertions of a tree, those inside lookarounds before the lookaround itself."""
    if node.plain:
        return []
    match node:
        case Before() | After():
            return [node]
        case Look(body=body):
            return [*assertions_of(body), node]
        case Concat(parts=nodes) | Alternation(options=nodes):
            return [found for inner in nodes for found in assertions_of(inner)]
        case Repeat(body=body):
            return assertions_of(body)
    return []
