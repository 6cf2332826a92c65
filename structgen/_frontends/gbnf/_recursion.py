r"""Which rules may be empty, begin with themselves, contain themselves; and loops in place of recursion.

A rule that goes on with itself only at the very end is a loop: ``ws ::= ([ \t\n] ws)?`` is ``[ \t\n]*``. Seen
so, most rules of most grammars are regular.
"""

from collections.abc import Callable, Iterator

from structgen._errors import GrammarError

from ._ast import (
    EMPTY,
    UNBOUNDED,
    Alternatives,
    Characters,
    Literal,
    Node,
    Reference,
    Repeat,
    Rule,
    Sequence,
    alternatives,
    references,
    sequence,
)
from ._parser import place


def is_nullable(node: Node, nullable: set[str]) -> bool:
    """Tell whether a node matches the empty text, given the rules that do."""
    match node:
        case Literal(text):
            return not text
        case Characters():
            return False
        case Reference(name):
            return name in nullable
        case Sequence(items):
            return all(is_nullable(item, nullable) for item in items)
        case Alternatives(options):
            return any(is_nullable(option, nullable) for option in options)
        case Repeat(body, low):
            return low == 0 or is_nullable(body, nullable)


def ends(node: Node, ending: set[str]) -> bool:
    """Tell whether a node matches any text, given the rules that do."""
    match node:
        case Literal():
            return True
        case Characters(ranges):
            return any(low < 0xD800 or high > 0xDFFF for low, high in ranges)
        case Reference(name):
            return name in ending
        case Sequence(items):
            return all(ends(item, ending) for item in items)
        case Alternatives(options):
            return any(ends(option, ending) for option in options)
        case Repeat(body, low):
            return low == 0 or ends(body, ending)


def _fixpoint(rules: dict[str, Rule], holds: Callable[[Node, set[str]], bool]) -> set[str]:
    """Return the least set of rules whose bodies satisfy a condition that depends on the set."""
    users: dict[str, list[str]] = {name: [] for name in rules}
    for rule in rules.values():
        for reference in references(rule.body):
            users[reference.name].append(rule.name)
    found: set[str] = set()
    todo = list(rules)
    while todo:
        name = todo.pop()
        if name not in found and holds(rules[name].body, found):
            found.add(name)
            todo.extend(users[name])
    return found


def nullable_rules(rules: dict[str, Rule]) -> set[str]:
    """Return the names of the rules that match the empty text."""
    return _fixpoint(rules, is_nullable)


def endless_rules(rules: dict[str, Rule]) -> list[str]:
    """Return the names of the rules that match no text, in the order of the grammar."""
    found = _fixpoint(rules, ends)
    return [name for name in rules if name not in found]


# -- recursion at the end -------------------------------------------------------------------------------


def with_loops(rule: Rule) -> Rule:
    """Turn a rule that refers to itself only at the end of its options into a loop; leave others alone."""
    if all(reference.name != rule.name for reference in references(rule.body)):
        return rule
    split = _split_at_end(rule.body, rule.name)
    # An option that is nothing but the rule itself is left recursion, which is refused elsewhere.
    if split is None or EMPTY in split[0] or not split[1]:
        return rule
    again, ends = split
    body = sequence([Repeat(alternatives(again), 0, UNBOUNDED), alternatives(ends)])
    return rule._replace(body=body)


def _split_at_end(node: Node, name: str) -> tuple[list[Node], list[Node]] | None:
    """Split a node into what comes before ``name`` at its end, and what ends otherwise, if it can be."""
    if all(reference.name != name for reference in references(node)):
        return [], [node]
    match node:
        case Reference():
            return [EMPTY], []
        case Alternatives(options):
            splits = [_split_at_end(option, name) for option in options]
            if any(split is None for split in splits):
                return None
            whole = [split for split in splits if split is not None]
            return [n for again, _ in whole for n in again], [n for _, ends in whole for n in ends]
        case Sequence(items):
            *head, last = items
            split = _split_at_end(last, name)
            if split is None or any(r.name == name for item in head for r in references(item)):
                return None
            return [_after(head, n) for n in split[0]], [_after(head, n) for n in split[1]]
        case Repeat(body, 0, 1):
            split = _split_at_end(body, name)
            return split and (split[0], [*split[1], EMPTY])
    return None


def _after(head: list[Node], node: Node) -> Node:
    tail = list(node.items) if isinstance(node, Sequence) else [node]
    return sequence([*head, *tail])


# -- left recursion -------------------------------------------------------------------------------------


def _begins_with(node: Node, nullable: set[str]) -> Iterator[Reference]:
    """Yield the references that a text of the node may begin with."""
    match node:
        case Reference():
            yield node
        case Alternatives(options):
            for option in options:
                yield from _begins_with(option, nullable)
        case Sequence(items):
            for item in items:
                yield from _begins_with(item, nullable)
                if not is_nullable(item, nullable):
                    break
        case Repeat(body):
            yield from _begins_with(body, nullable)


def order_of_beginnings(source: str, rules: dict[str, Rule], nullable: set[str]) -> list[str]:
    """Return the rules so that each comes after those that it may begin with.

    Raises
    ------
    GrammarError
        There is no such order: a rule may begin with itself.
    """
    order: list[str] = []
    done: set[str] = set()
    for start in rules:
        if start in done:
            continue
        path = {start: None}  # what is being visited, in order
        todo = [(start, _begins_with(rules[start].body, nullable))]
        while todo:
            name, edges = todo[-1]
            reference = next((edge for edge in edges if edge.name not in done), None)
            if reference is None:
                todo.pop()
                del path[name]
                done.add(name)
                order.append(name)
            elif reference.name in path:
                names = list(path)
                cycle = [*names[names.index(reference.name) :], reference.name]
                line, column = place(source, reference.position)
                raise GrammarError(
                    "left recursion: rule " + " may begin with ".join(repr(n) for n in cycle),
                    source=source,
                    line=line,
                    column=column,
                    hint='write a list as: list ::= item ("," item)*',
                )
            else:
                path[reference.name] = None
                todo.append((reference.name, _begins_with(rules[reference.name].body, nullable)))
    return order


# -- recursion of any kind ------------------------------------------------------------------------------


def components(rules: dict[str, Rule], root: str) -> list[list[str]]:
    """Return the rules that the root needs, those that need one another together, users after what they use.

    The algorithm is Tarjan's (Depth-first search and linear graph algorithms, 1972).
    """
    found: list[list[str]] = []
    number: dict[str, int] = {root: 0}
    low: dict[str, int] = {root: 0}
    stack = [root]
    open_ = {root}
    todo = [(root, references(rules[root].body))]
    while todo:
        name, edges = todo[-1]
        reference = next(edges, None)
        if reference is None:
            todo.pop()
            if todo:
                user = todo[-1][0]
                low[user] = min(low[user], low[name])
            if low[name] == number[name]:
                component = [stack.pop()]
                while component[-1] != name:
                    component.append(stack.pop())
                open_.difference_update(component)
                found.append(component)
        elif reference.name not in number:
            number[reference.name] = low[reference.name] = len(number)
            stack.append(reference.name)
            open_.add(reference.name)
            todo.append((reference.name, references(rules[reference.name].body)))
        elif reference.name in open_:
            low[name] = min(low[name], number[reference.name])
    return found
