"""Where continuations do not suffice: unbounded repetitions with assertions, and strings before a lookbehind.

An assertion inside an unbounded repetition talks about copies that come later (or earlier), so what follows
it is not known when it is lowered. Here a state holds the left context and the *obligations* that
lookaheads have put on the rest of the string. A node then leads from a state to others along known regexes,
which makes a repetition a system of linear equations, solved by elimination (Arden's rule).
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

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
from structgen._frontends.regex._context import START
from structgen._frontends.regex._limits import MAX_LOOP_STATES, limit_error, lookaround_budget
from structgen._frontends.regex._threads import (
    Thread,
    advance_all,
    assertions_of,
    finished,
    sets_of,
    threads_of,
)

if TYPE_CHECKING:
    from structgen._frontends.regex._lower import Lowering

# (negative, threads): one of the threads must match what follows, or none may.
Obligation = tuple[bool, frozenset[Thread]]
State = tuple[int, frozenset[Obligation]]
Row = dict[State, int]

_QUIET: frozenset[Obligation] = frozenset()


def lower_forward(lowering: "Lowering", node: Node, after: list[int]) -> list[int]:
    """Lower any node, then ``after``, by following it forward from every state of the left context.

    Raises
    ------
    LimitError
        The states or the steps exceed their limits.
    RegexError
        A lookahead inside an unbounded repetition has assertions of its own.
    """
    walk = _Walk(lowering, node)
    results = []
    for left in range(len(after)):
        row = walk.forward(node, (left, _QUIET))
        results.append(
            lowering.unite([lowering.join(h, walk.leave(after[s[0]], s[1])) for s, h in row.items()])
        )
    return results


def ending_in(lowering: "Lowering", node: Node, ends: Ranges) -> int:
    """The strings of a plain node that are not empty and whose last code point is in ``ends``."""
    builder = lowering.builder
    if ends == _charset.ALL and not _ast.nullable(node):
        return lowering.plain(node)
    match node:
        case Chars():
            return lowering.set(_charset.intersection(node.ranges, ends))
        case Literal():
            return lowering.plain(node) if _charset.contains(ends, ord(node.text[-1])) else lowering.none
        case Alternation():
            return lowering.unite([ending_in(lowering, option, ends) for option in node.options])
        case Repeat(body=body, low=low, high=high):
            if ends == _charset.ALL and not _ast.nullable(body):
                return builder.re_repeat(lowering.plain(body), max(low, 1), high)
            # Some copy is the last that is not empty; the empty ones may as well come first.
            before = builder.re_repeat(lowering.plain(body), max(low - 1, 0), high if high < 0 else high - 1)
            return lowering.join(before, ending_in(lowering, body, ends))
        case Concat(parts=parts):
            found = []
            for index in range(len(parts) - 1, -1, -1):
                last = ending_in(lowering, parts[index], ends)
                before = lowering.plain(_ast.concat(parts[:index]))
                found.append(lowering.join(before, last))
                lowering.budget.spend(1 + len(parts) // 16)
                if not _ast.nullable(parts[index]):
                    break
            return lowering.unite(found)
    raise AssertionError(node)


class _Walk:
    """Follows one node forward."""

    def __init__(self, lowering: "Lowering", node: Node) -> None:
        self._lowering = lowering
        self._context = lowering.context
        assertions = assertions_of(node)
        ahead = [a for a in assertions if isinstance(a, After) or (isinstance(a, Look) and not a.behind)]
        self._cells = _charset.partition(
            *self._context.cells, *dict.fromkeys(s for a in ahead for s in sets_of(a))
        )
        # Keyed by identity: the node is kept with the row, so that its identity stays its own.
        self._rows: dict[tuple[int, State], tuple[Node, Row]] = {}
        self._size = 1 + sum(len(sets_of(a)) for a in ahead)
        self._budget = lookaround_budget()
        self._steps: dict[tuple[State, int], State | None] = {}

    def forward(self, node: Node, state: State) -> Row:
        """The states to which the node leads, each with the strings that lead there."""
        key = id(node), state
        if key not in self._rows:
            self._lowering.budget.spend()
            self._rows[key] = node, self._forward(node, state)
        return self._rows[key][1]

    def _forward(self, node: Node, state: State) -> Row:
        lowering, context = self._lowering, self._context
        if node.plain and state[1] == _QUIET and context.definite:
            if context.size == 1:
                return {state: lowering.plain(node)}
            row = {(left, _QUIET): ending_in(lowering, node, ends) for left, ends in context.ends.items()}
            if _ast.nullable(node):
                self._add(row, state, lowering.epsilon)
            return {after: handle for after, handle in row.items() if handle != lowering.none}
        match node:
            case Chars(ranges=ranges):
                return self._one(ranges, state)
            case Literal(text=text):
                return self._sequence([Chars(((ord(c), ord(c)),)) for c in text], state)
            case Concat(parts=parts):
                return self._sequence(parts, state)
            case Alternation(options=options):
                row = {}
                for option in options:
                    for after, handle in self.forward(option, state).items():
                        self._add(row, after, handle)
                return row
            case Repeat():
                return self._repeat(node, state)
            case Before():
                return {state: lowering.epsilon} if context.holds(state[0], node) else {}
            case After(chars=chars, at_end=at_end):
                threads: set[Thread] = {(Chars(chars),)} if chars else set()
                return self._oblige(
                    state, (False, frozenset(threads | ({(_ast.AT_END,)} if at_end else set())))
                )
            case Look(behind=True):
                return {state: lowering.epsilon} if context.holds(state[0], node) else {}
            case Look(negative=negative):
                return self._oblige(state, (negative, threads_of(node, lowering.pattern)[0]))
        raise AssertionError(node)

    def _add(self, row: Row, state: State, handle: int) -> None:
        row[state] = self._lowering.unite([row[state], handle]) if state in row else handle

    def _one(self, ranges: Ranges, state: State) -> Row:
        found: dict[State, list[Ranges]] = {}
        for number, cell in enumerate(self._cells):
            shared = _charset.intersection(cell, ranges)
            after = self._step(state, number) if shared else None
            if after is not None:
                found.setdefault(after, []).append(shared)
        return {after: self._lowering.set(_charset.union(*sets)) for after, sets in found.items()}

    def _sequence(self, parts: Iterable[Node], state: State) -> Row:
        row = {state: self._lowering.epsilon}
        for part in parts:
            longer: Row = {}
            for middle, first in row.items():
                for after, second in self.forward(part, middle).items():
                    self._add(longer, after, self._lowering.join(first, second))
            row = longer
        return row

    def _repeat(self, node: Repeat, state: State) -> Row:
        rows = self._copies(node.body, state, node.low, max(node.low, node.high))
        if node.high < 0:
            return self._star(node.body, rows[state])
        self._rows.update(((id(node), start), (node, row)) for start, row in rows.items())
        return rows[state]

    def _copies(self, body: Node, state: State, low: int, high: int) -> dict[State, Row]:
        """From ``low`` to ``high`` copies of the body, from a state and maybe from others.

        Each copy goes in front of those made before, for all states, so that a derivative takes off one copy
        and leaves one regex: with copies put behind one another it would hold all of them.
        """
        depths = {state: 0}  # the least number of copies that leads to a state
        for source in (found := [state]):
            if depths[source] < high:
                for after in self.forward(body, source):
                    if after not in depths:
                        depths[after] = depths[source] + 1
                        found.append(after)
        closed = depths[found[-1]] < high
        rows: dict[State, Row] = {source: {source: self._lowering.epsilon} for source in found}
        before = high  # copies that may still come in front
        for is_optional, count in ((True, high - low), (False, low)):
            for _ in range(count):
                before -= 1
                longer = {
                    source: self._one_more(body, source, rows, is_optional)
                    for source in found
                    if closed or depths[source] <= before
                }
                if all(rows[source] == row for source, row in longer.items()):
                    break
                rows = longer
            before = low
        return rows if closed else {state: rows[state]}

    def _one_more(self, body: Node, state: State, rows: dict[State, Row], is_optional: bool) -> Row:
        """Put a copy of the body in front of what comes after it in each state."""
        self._lowering.budget.spend()
        longer: Row = {state: self._lowering.epsilon} if is_optional else {}
        for middle, first in self.forward(body, state).items():
            for after, second in rows[middle].items():
                self._add(longer, after, self._lowering.join(first, second))
        return longer

    def _star(self, body: Node, row: Row) -> Row:
        """Any number of copies of the body after a row."""
        edges: dict[State, Row] = {}
        waiting = list(row)
        while waiting:
            state = waiting.pop()
            if state not in edges:
                edges[state] = dict(self.forward(body, state))
                waiting += edges[state]
                if len(edges) > MAX_LOOP_STATES:
                    raise limit_error(
                        "a repetition with assertions has too many states", "max_loop_states", MAX_LOOP_STATES
                    )
        return self._solve(edges, row)

    def _solve(self, edges: dict[State, Row], row: Row) -> Row:
        """Sum the paths from a row through a graph, by eliminating one state after the other."""
        lowering = self._lowering
        exits: dict[State, Row] = {state: {state: lowering.epsilon} for state in edges}
        entries = dict(row)
        done: Row = {}
        remaining = list(edges)
        while remaining:
            state = min(remaining, key=lambda s: len(edges[s]) * sum(s in edges[t] for t in remaining))
            remaining.remove(state)
            loop = edges[state].pop(state, lowering.none)
            if loop not in (lowering.none, lowering.epsilon):
                star = lowering.builder.re_repeat(loop, 0, -1)
                for out in (edges[state], exits[state]):
                    for after in out:
                        out[after] = lowering.join(star, out[after])
            for other in remaining:
                into = edges[other].pop(state, lowering.none)
                if into != lowering.none:
                    self._bypass(into, edges[state], edges[other])
                    self._bypass(into, exits[state], exits[other])
            into = entries.pop(state, lowering.none)
            if into != lowering.none:
                self._bypass(into, edges[state], entries)
                self._bypass(into, exits[state], done)
        return done

    def _bypass(self, into: int, out: Row, target: Row) -> None:
        for after, handle in out.items():
            self._lowering.budget.spend()
            self._add(target, after, self._lowering.join(into, handle))

    # -- obligations -----------------------------------------------------------------------

    def _oblige(self, state: State, obligation: Obligation) -> Row:
        held = self._settle([*state[1], obligation])
        return {} if held is None else {(state[0], held): self._lowering.epsilon}

    @staticmethod
    def _settle(obligations: Iterable[Obligation]) -> frozenset[Obligation] | None:
        """Drop what is met already; ``None`` when something is broken."""
        held = set()
        for negative, threads in obligations:
            if any(map(finished, threads)):
                if negative:
                    return None
            elif threads:
                held.add((negative, threads))
            elif not negative:
                return None
        return frozenset(held)

    def _step(self, state: State, cell: int) -> State | None:
        key = state, cell
        if key not in self._steps:
            self._budget.spend(self._size)
            point = self._cells[cell][0][0]
            held = self._settle((negative, advance_all(threads, point)) for negative, threads in state[1])
            self._steps[key] = None if held is None else (self._context.step(state[0], point), held)
        return self._steps[key]

    def leave(self, after: int, obligations: frozenset[Obligation]) -> int:
        """The strings of ``after`` that meet the obligations."""
        lowering = self._lowering
        for negative, threads in sorted(obligations, key=repr):
            # No thread looks to the left, so any state of the context will do.
            anything = [lowering.plain(_ast.ANY_STAR)] * self._context.size
            required = lowering.unite([lowering.lower(_ast.concat(t), anything)[START] for t in threads])
            after = lowering.meet(lowering.builder.re_complement(required) if negative else required, after)
        return after
