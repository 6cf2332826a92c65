"""Cheapest completions of parser stacks, against a search over the stacks themselves."""

import heapq
import itertools
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from structgen import LimitError
from structgen._core import _native
from tests.core.lr import Rule, Tables, Text, grammars

MOST_REDUCTIONS = 300  # in a row, for grammars as small as these: else the parser is in a loop
# start: r "t", r: "t" r | (empty): where a shift always wins, nothing ends.
ENDLESS: list[Rule] = [(0, [~1, 0], 0), (1, [0, ~1], 0), (1, [], 0)]
# statement: "if" statement | "if" statement "else" statement | "x"
DANGLING_ELSE: list[Rule] = [(0, [0, ~0], 0), (0, [0, ~0, 1, ~0], 0), (0, [2], 0)]


def after(tables: Tables, rules: Sequence[Rule], stack: Text, terminal: int) -> Iterator[Text]:
    """The stacks behind one more terminal, by every action of every cell."""
    states = tables[0]
    work, seen = [stack], {stack}
    while work:
        top = work.pop()
        for action in [a for t, a in states[top[-1]][0] if t == terminal]:
            if action >= 0:
                yield (*top, action)
                continue
            lhs, rhs, _ = rules[~action]
            rest = top[: len(top) - len(rhs)]
            reduced = (*rest, dict(states[rest[-1]][1])[lhs])
            if reduced not in seen and len(seen) < MOST_REDUCTIONS:
                seen.add(reduced)
                work.append(reduced)


def search(
    tables: Tables, rules: Sequence[Rule], costs: Sequence[int], stack: Text, most: int = 150
) -> tuple[int | None, bool]:
    """The cost of the cheapest completion; or a bound below it and False, if it takes too long to find."""
    ends = tables[2]
    queue: list[tuple[int, int, Text]] = [(0, 0, stack)]
    number = itertools.count(1)
    best: dict[Text, int] = {stack: 0}
    while queue:
        cost, _, top = heapq.heappop(queue)
        if top[-1] in ends:
            return cost, True
        if next(number) > most:
            return cost, False
        for terminal in range(len(costs) + 1):
            more = cost + (costs[terminal] if terminal < len(costs) else 0)
            for reached in after(tables, rules, top, terminal):
                if more < best.get(reached, more + 1):
                    best[reached] = more
                    heapq.heappush(queue, (more, next(number), reached))
    return None, True


def stacks(tables: Tables, rules: Sequence[Rule], terminals: int, length: int) -> list[Text]:
    """Stacks that texts of at most so many terminals lead to."""
    found: list[set[Text]] = [{(start,) for start in tables[1]}]
    for _ in range(length):
        found.append(
            {s for stack in found[-1] for t in range(terminals) for s in after(tables, rules, stack, t)}
        )
    return sorted(set().union(*found))


def check(rules: list[Rule], terminals: int, nonterminals: int, costs: list[int], resolve: bool) -> None:
    tables = _native.lr_tables(rules, terminals, nonterminals, [0], resolve)
    completion = _native.LrCompletion(rules, terminals, nonterminals, [0], resolve, costs)
    always = completion.always()
    for stack in stacks(tables, rules, terminals, 3)[:25]:
        cost, exact = search(tables, rules, costs, stack)
        best = completion.best(stack)
        if always:
            assert best is not None
        if best is None:
            assert cost is None or not exact
            continue
        assert best[0] == cost if exact else best[0] >= (cost or 0)
        # A lookahead costs that terminal and what its stacks need; the first terminal is a cheapest one.
        assert completion.best(stack, best[1]) == best
        for t in range(terminals + 1):
            rests = [
                (0, t) if reached[-1] in tables[2] else completion.best(reached)
                for reached in after(tables, rules, stack, t)
            ]
            possible = [rest[0] for rest in rests if rest is not None]
            price = costs[t] if t < terminals else 0
            assert completion.best(stack, t) == ((price + min(possible), t) if possible else None)


@given(grammars(max_terminals=3, max_nonterminals=3), st.data())
@settings(max_examples=300)
def test_resolved_conflicts(grammar: tuple[list[Rule], int, int], data: st.DataObject) -> None:
    rules, terminals, nonterminals = grammar
    costs = data.draw(st.lists(st.integers(1, 5), min_size=terminals, max_size=terminals))
    try:
        _native.lr_tables(rules, terminals, nonterminals, [0], True)
    except _native.LrConflictError:
        assume(False)
    check(rules, terminals, nonterminals, costs, True)


@given(grammars(max_terminals=3, max_nonterminals=3, productive=True), st.data())
@settings(max_examples=100)
def test_all_actions(grammar: tuple[list[Rule], int, int], data: st.DataObject) -> None:
    rules, terminals, nonterminals = grammar
    costs = data.draw(st.lists(st.integers(1, 5), min_size=terminals, max_size=terminals))
    rules, _, nonterminals, _ = _native.lr_without_empty(rules, terminals, nonterminals, [0])
    assume(any(lhs == 0 for lhs, _, _ in rules))
    kept, _, _ = _native.lr_prune(rules, terminals, nonterminals, 0)
    rules = [rules[r] for r in kept]
    check(rules, terminals, nonterminals, costs, False)
    assert _native.LrCompletion(rules, terminals, nonterminals, [0], False, costs).always()


def test_endless_language() -> None:
    completion = _native.LrCompletion(ENDLESS, 1, 2, [0], True, [1])
    assert completion.best([0]) is None
    assert not completion.always()
    kept = _native.LrCompletion(ENDLESS, 1, 2, [0], False, [1])
    assert kept.best([0]) == (1, 0)
    assert kept.always()


def test_conflicts_that_leave_a_way_out() -> None:
    tables = _native.lr_tables(DANGLING_ELSE, 3, 1, [0], True)
    completion = _native.LrCompletion(DANGLING_ELSE, 3, 1, [0], True, [2, 4, 1])
    assert tables[3]
    assert completion.always()
    stack: Text = (0,)
    for terminal, rest in [(0, 1), (0, 1), (2, 0), (1, 1), (2, 0), (1, 1), (0, 1), (2, 0)]:
        (stack,) = after(tables, DANGLING_ELSE, stack, terminal)
        assert completion.best(stack) == (rest, 2 if rest else 3)
    assert completion.best(stack, 0) is None
    assert completion.best(stack, 1) == (5, 1)


def levels_of_operators(levels: int) -> tuple[list[Rule], int, int]:
    """Operators of each level are infix and prefix without precedence: each level loses other reductions."""
    rules: list[Rule] = []
    for n in range(levels):
        rules += [(n, [~n, n, ~n], 0), (n, [~(n + 1)], 0), (n, [levels + n, ~n], 0)]
    rules += [(levels, [2 * levels], 0), (levels, [2 * levels + 1, ~0, 2 * levels + 2], 0)]
    return rules, 2 * levels + 3, levels + 1


def test_many_conflicts() -> None:
    """Where there would be too many sets of what may come next, facts are split by terminals and stay few."""
    rules, terminals, nonterminals = levels_of_operators(8)
    check(rules, terminals, nonterminals, [3 + i % 4 for i in range(terminals)], True)
    rules, terminals, nonterminals = levels_of_operators(30)
    completion = _native.LrCompletion(rules, terminals, nonterminals, [0], True, [1] * terminals)
    assert completion.always()
    assert completion.facts < 100_000


def test_terminals_without_cost_or_text() -> None:
    """Of completions of the same cost, the one of fewest terminals."""
    rules: list[Rule] = [(0, [~1, 1], 0), (1, [~1, 0], 0), (1, [0], 0), (1, [2], 0)]
    completion = _native.LrCompletion(rules, 3, 2, [0], True, [0, 0, 0])
    tables = _native.lr_tables(rules, 3, 2, [0], True)
    (stack,) = after(tables, rules, (0,), 0)
    assert completion.best(stack) == (0, 1)
    never = 1 << 60
    assert _native.LrCompletion(rules, 3, 2, [0], True, [3, 5, never]).best([0]) == (8, 0)
    assert _native.LrCompletion(rules, 3, 2, [0], True, [never, 5, 4]).best([0]) == (9, 2)
    assert _native.LrCompletion(rules, 3, 2, [0], True, [3, never, 4]).best([0]) is None
    assert not _native.LrCompletion(rules, 3, 2, [0], True, [3, never, 4]).always()


def test_costs_that_no_search_reaches() -> None:
    """Each rule doubles the length."""
    depth = 100
    rules: list[Rule] = [(n, [~(n + 1), ~(n + 1)], 0) for n in range(depth)]
    rules.append((depth, [0], 0))
    for levels, expected in ((40, 1 << 40), (depth, (1 << 60) - 1)):
        start = depth - levels
        assert _native.LrCompletion(rules, 1, depth + 1, [start], True, [1]).best([0]) == (expected, 0)


@pytest.mark.parametrize(("costs", "reason"), [([1, 1], "every terminal"), ([-1], "negative")])
def test_refused_costs(costs: list[int], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        _native.LrCompletion(ENDLESS, 1, 2, [0], True, costs)


def test_refused_stacks() -> None:
    completion = _native.LrCompletion(DANGLING_ELSE, 3, 1, [0], True, [1, 1, 1])
    for stack, lookahead in (([], -1), ([99], -1), ([-1], -1), ([0], 4)):
        with pytest.raises(ValueError, match=r"not a|at least one"):
            completion.best(stack, lookahead)


def test_facts_are_limited() -> None:
    completion = _native.LrCompletion(DANGLING_ELSE, 3, 1, [0], True, [1, 1, 1], max_facts=10)
    assert completion.always()
    with pytest.raises(LimitError, match="more than 10 facts"):
        completion.best([0])
    with pytest.raises(LimitError, match="more than 10 facts"):
        _native.LrCompletion(*levels_of_operators(2), [0], True, [1] * 7, max_facts=10)
