"""LR parsing by the book: random grammars, their strings by brute force, and a parser that walks tables."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from hypothesis import strategies as st

# A rule is (nonterminal, symbols, priority): symbol t >= 0 is terminal t, ~n is nonterminal n.
Rule = tuple[int, list[int], int]
Text = tuple[int, ...]
Tables = tuple[list[Any], list[int], list[int], bool]


@st.composite
def grammars(
    draw: st.DrawFn, max_terminals: int = 3, max_nonterminals: int = 4, productive: bool = False
) -> tuple[list[Rule], int, int]:
    """Random rules, the number of terminals and that of nonterminals; nonterminal 0 is the start."""
    terminals = draw(st.integers(1, max_terminals))
    nonterminals = draw(st.integers(1, max_nonterminals))
    symbols = st.integers(-nonterminals, terminals - 1)
    rules: list[Rule] = []
    for n in range(nonterminals):
        bodies = draw(st.lists(st.lists(symbols, max_size=4), min_size=1, max_size=4, unique_by=tuple))
        if productive and not any(all(s >= 0 for s in body) for body in bodies):
            bodies.append(draw(st.lists(st.integers(0, terminals - 1), max_size=2)))
        rules += [(n, body, draw(st.sampled_from([0, 0, 0, 1, 2, -1]))) for body in bodies]
    return rules, terminals, nonterminals


def strings(rules: Iterable[Rule], nonterminals: int, length: int) -> list[set[Text]]:
    """All strings of at most so many terminals that each nonterminal derives."""
    known: list[set[Text]] = [set() for _ in range(nonterminals)]
    while True:
        before = sum(map(len, known))
        for lhs, rhs, _ in rules:
            made: set[Text] = {()}
            for s in rhs:
                parts = {(s,)} if s >= 0 else known[~s]
                made = {a + b for a in made for b in parts if len(a) + len(b) <= length}
            known[lhs] |= made
        if sum(map(len, known)) == before:
            return known


def parses(
    tables: Tables, rules: Sequence[Rule], terminals: int, text: Text, max_stacks: int = 10000
) -> bool:
    """Whether some run of an LR parser accepts, by following every action of every cell."""
    states, starts, accepts, _ = tables
    stacks = {(start,) for start in starts}
    for t in (*text, terminals):
        shifted: set[Text] = set()
        work, seen = list(stacks), set(stacks)
        while work:
            stack = work.pop()
            assert len(seen) < max_stacks
            for action in [a for terminal, a in states[stack[-1]][0] if terminal == t]:
                if action >= 0:
                    shifted.add((*stack, action))
                    continue
                lhs, rhs, _ = rules[~action]
                rest = stack[: len(stack) - len(rhs)]
                reduced = (*rest, dict(states[rest[-1]][1])[lhs])
                if reduced not in seen:
                    seen.add(reduced)
                    work.append(reduced)
        stacks = shifted
    return any(stack[-1] in accepts for stack in stacks)


def texts(terminals: int, length: int) -> Iterable[Text]:
    return itertools.chain.from_iterable(
        itertools.product(range(terminals), repeat=n) for n in range(length + 1)
    )


def numbered(symbols: Iterable[str]) -> Callable[[str], int]:
    """A number for each name, in order."""
    numbers = {name: i for i, name in enumerate(dict.fromkeys(symbols))}
    return numbers.__getitem__
