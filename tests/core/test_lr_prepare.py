"""Pruned grammars and grammars without empty rules derive the same strings."""

import pytest
from hypothesis import given, settings

from structgen import LimitError
from structgen._core import _native
from tests.core.lr import Rule, grammars, strings

LENGTH = 4


@given(grammars())
@settings(max_examples=300)
def test_pruned(grammar: tuple[list[Rule], int, int]) -> None:
    rules, terminals, nonterminals = grammar
    kept, unproductive, unreachable = _native.lr_prune(rules, terminals, nonterminals, 0)
    left = [rules[r] for r in kept]
    assert strings(left, nonterminals, LENGTH)[0] == strings(rules, nonterminals, LENGTH)[0]
    derives = {n for n, found in enumerate(shortest(rules, nonterminals)) if found}
    assert unproductive == sorted(set(range(nonterminals)) - derives)
    used = {0} & derives
    while more := {~s for lhs, rhs, _ in left if lhs in used for s in rhs if s < 0} - used:
        used |= more
    assert unreachable == sorted(derives - used)
    assert {lhs for lhs, _, _ in left} == used
    usable = [
        i
        for i, (lhs, rhs, _) in enumerate(rules)
        if lhs in used and all(s >= 0 or ~s in derives for s in rhs)
    ]
    assert kept == usable


def shortest(rules: list[Rule], nonterminals: int) -> list[bool]:
    """Whether each nonterminal derives a string, by repeated passes."""
    found = [False] * nonterminals
    for _ in range(nonterminals):
        for lhs, rhs, _ in rules:
            found[lhs] |= all(s >= 0 or found[~s] for s in rhs)
    return found


def test_terminals_that_never_match() -> None:
    rules: list[Rule] = [(0, [~1], 0), (0, [1], 0), (1, [0], 0), (2, [1], 0)]
    assert _native.lr_prune(rules, 2, 3, 0) == ([0, 1, 2], [], [2])
    assert _native.lr_prune(rules, 2, 3, 0, [0]) == ([1], [1], [2])
    assert _native.lr_prune(rules, 2, 3, 0, [0, 1]) == ([], [0, 1, 2], [])
    with pytest.raises(ValueError, match="not a terminal: 2"):
        _native.lr_prune(rules, 2, 3, 0, [2])


@given(grammars())
@settings(max_examples=300)
def test_without_empty(grammar: tuple[list[Rule], int, int]) -> None:
    rules, terminals, nonterminals = grammar
    made, origin, count, nullable = _native.lr_without_empty(rules, terminals, nonterminals, [0])
    assert all(rhs and rhs != [~lhs] for lhs, rhs, _ in made)
    assert len({(lhs, tuple(rhs)) for lhs, rhs, _ in made}) == len(made) == len(origin)
    before, after = strings(rules, nonterminals, LENGTH), strings(made, count, LENGTH)
    assert nullable == (() in before[0])
    for n in range(nonterminals):
        assert after[n] == before[n] - {()}
    # Each rule derives strings of the one that it comes from.
    for (lhs, _, priority), r in zip(made, origin, strict=True):
        assert lhs in (rules[r][0], *range(nonterminals, count))
        assert priority == rules[r][2]


@given(grammars(max_terminals=2, max_nonterminals=2))
@settings(max_examples=100)
def test_long_rules_are_cut(grammar: tuple[list[Rule], int, int]) -> None:
    """Rules of many symbols that can be empty make few rules, of the same strings."""
    rules, terminals, nonterminals = grammar
    everything = [s for _, rhs, _ in rules for s in rhs][:10]
    rules = [*rules, (nonterminals, everything, 0), (nonterminals, [], 0)]
    made, _, count, _ = _native.lr_without_empty(rules, terminals, nonterminals + 1, [nonterminals])
    expected = strings(rules, nonterminals + 1, LENGTH)[nonterminals] - {()}
    assert strings(made, count, LENGTH)[nonterminals] == expected


def test_variants_are_few() -> None:
    options = 64
    rules: list[Rule] = [(0, [~n for n in range(1, options + 1)], 0)]
    rules += [(n, body, 0) for n in range(1, options + 1) for body in ([0], [])]
    made, _, count, nullable = _native.lr_without_empty(rules, 1, options + 1, [0])
    assert nullable
    assert strings(made, count, 6)[0] == {(0,) * n for n in range(1, 7)}
    assert len(made) <= 7 * options
    with pytest.raises(LimitError, match="more than 100 rules"):
        _native.lr_without_empty(rules, 1, options + 1, [0], max_rules=100)


@given(grammars())
@settings(max_examples=50)
def test_starts_may_be_empty(grammar: tuple[list[Rule], int, int]) -> None:
    rules, terminals, nonterminals = grammar
    everything = list(range(nonterminals))
    empty = [() in language for language in strings(rules, nonterminals, 0)]
    assert _native.lr_without_empty(rules, terminals, nonterminals, everything)[3] == any(empty)


def test_only_the_empty_string() -> None:
    assert _native.lr_without_empty([(0, [~1], 0), (1, [], 0)], 1, 2, [0]) == ([], [], 2, True)
    assert _native.lr_without_empty([(0, [~0], 0)], 1, 1, [0]) == ([], [], 1, False)
