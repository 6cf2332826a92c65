"""The syntax tree of a GBNF grammar."""

from collections.abc import Iterator
from typing import NamedTuple

UNBOUNDED = -1
LAST_CODE_POINT = 0x10FFFF


class Literal(NamedTuple):
    """A string of characters; the empty one matches the empty text."""

    text: str


class Characters(NamedTuple):
    """One character of inclusive ranges of code points."""

    ranges: tuple[tuple[int, int], ...]


class Reference(NamedTuple):
    """The language of a rule; ``position`` is where the grammar says so."""

    name: str
    position: int


class Sequence(NamedTuple):
    """One item after another; none is the empty text."""

    items: tuple["Node", ...]


class Alternatives(NamedTuple):
    """Any of the options."""

    options: tuple["Node", ...]


class Repeat(NamedTuple):
    """From ``low`` to ``high`` times, ``UNBOUNDED`` for no bound, never 0."""

    body: "Node"
    low: int
    high: int


Node = Literal | Characters | Reference | Sequence | Alternatives | Repeat

EMPTY = Sequence(())


class Rule(NamedTuple):
    """A rule, and where its name stands."""

    name: str
    body: Node
    position: int


def sequence(items: list[Node]) -> Node:
    """Return the concatenation of some nodes."""
    return items[0] if len(items) == 1 else Sequence(tuple(items))


def alternatives(options: list[Node]) -> Node:
    """Return the union of some nodes."""
    return options[0] if len(options) == 1 else Alternatives(tuple(options))


def children(node: Node) -> tuple[Node, ...]:
    """Return the nodes right below this one; a rule is not below its references."""
    match node:
        case Sequence(items):
            return items
        case Alternatives(options):
            return options
        case Repeat(body):
            return (body,)
        case _:
            return ()


def references(node: Node) -> Iterator[Reference]:
    """Yield the references in a node, in the order of the text."""
    todo = [node]
    while todo:
        node = todo.pop()
        if isinstance(node, Reference):
            yield node
        todo.extend(reversed(children(node)))
