"""What assertions can see on their left, as the states of a small deterministic automaton."""

from structgen._frontends.regex import _charset
from structgen._frontends.regex._ast import After, Before, Look, Node
from structgen._frontends.regex._charset import Ranges
from structgen._frontends.regex._limits import MAX_LEFT_STATES, limit_error, lookaround_budget
from structgen._frontends.regex._threads import (
    Thread,
    advance_all,
    assertions_of,
    finished,
    sets_of,
    threads_of,
)

START = 0

# What a state knows: is it the start; a code point like the previous one; the threads of each lookbehind.
_Key = tuple[bool, int, tuple[frozenset[Thread], ...]]


class LeftContext:
    """The states that the assertions of a pattern need; state ``START`` is the start of the string.

    Where nothing looks to the left there is one state, and no string is ever split by the state it leads to.

    Parameters
    ----------
    assertions : list of Before or Look
        The assertions that look to the left.
    pattern : str
        The source, for messages.

    Attributes
    ----------
    cells : tuple of Ranges
        Partition of all code points; equal cells lead to equal states.
    definite : bool
        The state after a non-empty string depends on its last code point only.
    ends : dict of int to Ranges
        If ``definite``: the code points that lead to a state.
    next : list of list of int
        The state after a code point of each cell, by state.
    """

    def __init__(self, assertions: list[Before | Look], pattern: str) -> None:
        self._sets = list(dict.fromkeys(a.chars for a in assertions if isinstance(a, Before)))
        self._looks = list(dict.fromkeys(a for a in assertions if isinstance(a, Look)))
        self._threads = [threads_of(look, pattern) for look in self._looks]
        self.definite = not self._looks
        self.cells: tuple[Ranges, ...] = (_charset.ALL,)
        self.ends: dict[int, Ranges] = {}
        self.size = 1
        self.next: list[list[int]] = [[START]]
        self._keys: list[_Key] = []
        if assertions:
            inside = [ranges for look in self._looks for ranges in sets_of(look)]
            self.cells = _charset.partition(*self._sets, *inside)
            self._explore(1 + len(inside))

    @classmethod
    def of(cls, node: Node, pattern: str) -> "LeftContext":
        """The context for all the assertions of a tree."""
        looking = [a for a in assertions_of(node) if not isinstance(a, After)]
        return cls([a for a in looking if isinstance(a, Before) or a.behind], pattern)

    def _explore(self, cost: int) -> None:
        budget = lookaround_budget()
        start: _Key = (True, -1, tuple(floating | anchored for floating, anchored in self._threads))
        self._keys = [start]
        numbers = {start: START}
        self.next = []
        for key in self._keys:
            row = []
            for cell in self.cells:
                budget.spend(cost)
                point = cell[0][0]
                alike = sum(1 << i for i, ranges in enumerate(self._sets) if _charset.contains(ranges, point))
                threads = tuple(
                    advance_all(old, point) | floating
                    for old, (floating, _) in zip(key[2], self._threads, strict=True)
                )
                following: _Key = (False, alike, threads)
                if following not in numbers:
                    numbers[following] = len(self._keys)
                    self._keys.append(following)
                row.append(numbers[following])
            self.next.append(row)
            if len(self._keys) > MAX_LEFT_STATES:
                raise limit_error("the lookbehinds need too many states", "max_left_states", MAX_LEFT_STATES)
        self.size = len(self._keys)
        if self.definite:
            for state in range(1, self.size):
                leading = [
                    cell for cell, after in zip(self.cells, self.next[START], strict=True) if after == state
                ]
                self.ends[state] = _charset.union(*leading)

    def step(self, state: int, code_point: int) -> int:
        """The state after one more code point."""
        if self.size == 1:
            return state
        row = self.next[state]
        return next(n for n, cell in zip(row, self.cells, strict=True) if _charset.contains(cell, code_point))

    def holds(self, state: int, node: Before | Look) -> bool:
        """Whether an assertion holds in a state."""
        start, alike, threads = self._keys[state]
        if isinstance(node, Look):
            return any(map(finished, threads[self._looks.index(node)])) != node.negative
        return node.at_start if start else bool(alike >> self._sets.index(node.chars) & 1)
