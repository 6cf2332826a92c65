"""Parsing tables equal lark's, state by state, and lark refuses the same grammars."""

from pathlib import Path
from typing import Any

import lark
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from lark.common import ParserConf
from lark.exceptions import GrammarError
from lark.grammar import NonTerminal, RuleOptions, Terminal
from lark.grammar import Rule as LarkRule
from lark.load_grammar import load_grammar
from lark.parsers.lalr_analysis import LALR_Analyzer, Shift

from structgen import LimitError
from structgen._core import _native
from tests.core.lr import Rule, Tables, grammars, numbered, parses, strings, texts

BUNDLED = Path(lark.__file__).parent / "grammars"
JSON = r"""
    ?start: value
    ?value: object | array | ESCAPED_STRING -> string | SIGNED_NUMBER -> number
          | "true" -> true | "false" -> false | "null" -> null
    array: "[" [value ("," value)*] "]"
    object: "{" [pair ("," pair)*] "}"
    pair: ESCAPED_STRING ":" value
    %import common (ESCAPED_STRING, SIGNED_NUMBER, WS)
    %ignore WS
"""


def analyse(rules: list[LarkRule], starts: list[str]) -> LALR_Analyzer:
    """Lark's analysis of rules, or GrammarError."""
    analysis = LALR_Analyzer(ParserConf(rules, {}, starts))
    analysis.compute_lalr()
    return analysis


def lark_rules(rules: list[Rule]) -> list[LarkRule]:
    """Rules as lark has them."""
    return [
        LarkRule(
            NonTerminal(f"n{lhs}"),
            [Terminal(f"T{s}") if s >= 0 else NonTerminal(f"n{~s}") for s in rhs],
            order=i,
            options=RuleOptions(priority=priority or None),
        )
        for i, (lhs, rhs, priority) in enumerate(rules)
    ]


def assert_same(
    tables: Tables,
    analysis: LALR_Analyzer,
    starts: list[str],
    terminals: list[str],
    origins: list[str],
    rules: list[LarkRule],
) -> None:
    """Walk both automata from their starts: the same cells, the same items."""
    states, first, accepts, _ = tables
    table = analysis.parse_table
    terminals = [*terminals, "$END"]
    rule_numbers = {(r.origin.name, tuple(s.name for s in r.expansion)): i for i, r in enumerate(rules)}
    ours = {}
    work = []
    ends = {}
    for i, start in enumerate(starts):
        rule_numbers["$root_" + start, (start,)] = len(rules) + i
        ours[table.start_states[start]] = first[i]
        work.append((table.start_states[start], analysis.lr0_start_states[start]))
        ends[table.end_states[start]] = accepts[i]
        assert states[accepts[i]] == ([], [], [(len(rules) + i, 2)])
    while work:
        theirs, items = work.pop()
        actions, gotos, kernel = states[ours[theirs]]
        assert {
            (rule_numbers[p.rule.origin.name, tuple(s.name for s in p.rule.expansion)], p.index)
            for p in items.kernel
        } == set(kernel)
        assert len({t for t, _ in actions}) == len(actions)
        assert actions == sorted(actions, key=lambda a: a[0])
        assert gotos == sorted(gotos)
        cells: dict[str, Any] = {terminals[t]: a for t, a in actions} | {origins[n]: q for n, q in gotos}
        expected = dict(table.states[theirs])
        if theirs in ends:
            # lark accepts as soon as it gets here at the end of the text; the tables shift the end.
            expected.pop("$END", None)
            assert cells.pop("$END") == ends[theirs]
        assert cells.keys() == expected.keys()
        following = {s.name: q for s, q in items.transitions.items()}
        for name, (kind, target) in expected.items():
            if kind is not Shift:
                key = target.origin.name, tuple(s.name for s in target.expansion)
                assert cells[name] == ~rule_numbers[key]
            elif target in ours:
                assert cells[name] == ours[target]
            else:
                ours[target] = cells[name]
                work.append((target, following[name]))
    assert len(set(ours.values())) == len(ours) == len(table.states) == len(states) - len(starts)


def compiled(text: str, starts: list[str]) -> list[LarkRule]:
    """Rules as lark's loader makes them."""
    grammar, _ = load_grammar(text, "grammar", [], False)
    _, rules, _ = grammar.compile(starts, "*")
    return list(rules)


def as_numbers(rules: list[LarkRule]) -> tuple[list[Rule], list[str], list[str]]:
    """The rules in the core's form, the names of the terminals and of the nonterminals."""
    terminals = list(dict.fromkeys(s.name for r in rules for s in r.expansion if s.is_term))
    origins = list(dict.fromkeys(r.origin.name for r in rules))
    terminal, origin = numbered(terminals), numbered(origins)
    made = [
        (
            origin(r.origin.name),
            [terminal(s.name) if s.is_term else ~origin(s.name) for s in r.expansion],
            r.options.priority or 0,
        )
        for r in rules
    ]
    return made, terminals, origins


@pytest.mark.parametrize(
    ("text", "starts", "conflicts"),
    [
        ((BUNDLED / "python.lark").read_text(), ["file_input"], True),
        ((BUNDLED / "python.lark").read_text(), ["single_input", "file_input", "eval_input"], True),
        ((BUNDLED / "lark.lark").read_text(), ["start"], False),
        (JSON, ["start"], False),
        (JSON, ["pair", "array", "start"], False),
    ],
    ids=["python", "python, several starts", "lark", "json", "json, several starts"],
)
def test_tables_of_real_grammars(text: str, starts: list[str], conflicts: bool) -> None:
    theirs = compiled(text, starts)
    rules, terminals, origins = as_numbers(theirs)
    tables = _native.lr_tables(rules, len(terminals), len(origins), [origins.index(s) for s in starts], True)
    assert_same(tables, analyse(theirs, starts), starts, terminals, origins, theirs)
    assert tables[3] == conflicts


def assert_same_conflicts(
    ours: list[tuple[int, int, list[int]]], message: str, terminals: list[str], rules: list[LarkRule]
) -> None:
    """Lark's message names the same terminals and rules."""
    assert len(ours) == message.count("Reduce/Reduce collision")
    for _, terminal, between in ours:
        assert f"Reduce/Reduce collision in Terminal('{[*terminals, '$END'][terminal]}')" in message
        assert len(between) > 1
        assert all(f"- {rules[r]}" in message for r in between)


@given(grammars(), st.data())
@settings(max_examples=400)
def test_tables_of_random_grammars(grammar: tuple[list[Rule], int, int], data: st.DataObject) -> None:
    rules, terminals, nonterminals = grammar
    every = st.sampled_from(range(nonterminals))
    starts = data.draw(st.lists(every, min_size=1, max_size=3, unique=True))
    event(f"starts: {len(starts)}")
    theirs = lark_rules(rules)
    names, origins = [f"T{t}" for t in range(terminals)], [f"n{n}" for n in range(nonterminals)]
    try:
        tables = _native.lr_tables(rules, terminals, nonterminals, starts, True)
        refused = None
    except _native.LrConflictError as error:
        refused = error
        if refused.endless:
            event("lark's tables vary")
            return
    try:
        analysis = analyse(theirs, [f"n{n}" for n in starts])
    except GrammarError as error:
        message = str(error)
    else:
        assert refused is None
        event(f"conflicts resolved: {tables[3]}")
        assert_same(tables, analysis, [f"n{n}" for n in starts], names, origins, theirs)
        return
    event("lark refuses")
    assert refused is not None
    assert_same_conflicts(refused.conflicts, message, names, theirs)


@pytest.mark.parametrize(
    ("rules", "endless"),
    [
        ([(0, [~1, ~2], 0), (0, [0], 0), (1, [], 0), (2, [~3, ~0], 0), (2, [1], 0), (3, [], 0)], [1, 3]),
        ([(0, [~1, ~2], 0), (0, [0], 0), (1, [0], 0), (2, [~3, ~0], 0), (2, [1], 0), (3, [], 0)], []),
        ([(0, [~1, ~0], 0), (0, [0], 0), (1, [], 0)], []),
        ([(0, [~0, ~1], 0), (0, [0], 0), (1, [], 0)], []),
        ([(0, [~1, ~1, ~1], 0), (1, [0], 0), (1, [], 0)], []),
    ],
)
def test_cycles_of_symbols_that_can_be_empty(rules: list[Rule], endless: list[int]) -> None:
    """Lark shares sets between the transitions of such a cycle, in an order that varies."""
    rules = [*rules, (3, [1], 0)]
    _native.lr_tables(rules, 2, 4, [0], False)
    found: list[int] = []
    try:
        _native.lr_tables(rules, 2, 4, [0], True)
    except _native.LrConflictError as error:
        found = error.endless
    assert found == endless


@given(grammars(max_terminals=2, max_nonterminals=3))
@settings(max_examples=150)
def test_all_actions_give_the_language(grammar: tuple[list[Rule], int, int]) -> None:
    """With conflicts kept, the strings that some run accepts are those of the grammar, however ambiguous."""
    rules, terminals, nonterminals = grammar
    rules, _, nonterminals, _ = _native.lr_without_empty(rules, terminals, nonterminals, [0])
    if not any(lhs == 0 for lhs, _, _ in rules):
        return
    tables = _native.lr_tables(rules, terminals, nonterminals, [0], False)
    language = strings(rules, nonterminals, 4)[0]
    for text in texts(terminals, 4):
        assert parses(tables, rules, terminals, text) == (text in language)


def test_flag_of_conflicts() -> None:
    unambiguous: list[Rule] = [(0, [~0, 0], 0), (0, [1], 0)]
    assert _native.lr_tables(unambiguous, 2, 1, [0], True)[3] is False
    assert _native.lr_tables(unambiguous, 2, 1, [0], False)[3] is False
    ambiguous: list[Rule] = [(0, [~0, 0, ~0], 0), (0, [1], 0)]
    assert _native.lr_tables(ambiguous, 2, 1, [0], True)[3] is True
    states, _, _, conflicts = _native.lr_tables(ambiguous, 2, 1, [0], False)
    assert conflicts is True
    assert any([t for t, _ in actions].count(0) == 2 for actions, _, _ in states)


def test_priorities_decide_between_reductions() -> None:
    rules: list[Rule] = [(0, [~1], 0), (0, [~2], 0), (1, [0], 1), (2, [0], 2)]
    states, (start,), _, conflicts = _native.lr_tables(rules, 1, 3, [0], True)
    after = dict(states[start][0])[0]
    assert states[after][0] == [(1, ~3)]
    assert conflicts is True
    with pytest.raises(_native.LrConflictError, match="terminal 1 between rules 2 3") as refused:
        _native.lr_tables([(lhs, rhs, 0) for lhs, rhs, _ in rules], 1, 3, [0], True)
    assert refused.value.conflicts == [(after, 1, [2, 3])]
    kept = _native.lr_tables(rules, 1, 3, [0], False)[0]
    assert kept[after][0] == [(1, ~2), (1, ~3)]


def test_starts_share_lookaheads() -> None:
    """Behind a word, a colon may come in one sentence only; the tables of both don't tell which it is."""
    rules: list[Rule] = [(0, [~2, 0], 0), (1, [~2, 1], 0), (2, [2], 0)]
    alone = _native.lr_tables(rules, 3, 3, [0], True)[0]
    assert [(0, ~2)] in [actions for actions, _, _ in alone]
    states, starts, accepts, _ = _native.lr_tables(rules, 3, 3, [0, 1], True)
    word = [dict(states[start][0])[2] for start in starts]
    assert word[0] == word[1]
    assert states[word[0]][0] == [(0, ~2), (1, ~2)]
    for start, accept, lhs, terminal in zip(starts, accepts, (0, 1), (0, 1), strict=True):
        assert set(dict(states[dict(states[start][1])[2]][0])) == {terminal}
        assert dict(states[dict(states[start][1])[lhs]][0]) == {3: accept}


@pytest.mark.parametrize("starts", [[], [0, 0], [2], [-1]])
def test_refused_starts(starts: list[int]) -> None:
    with pytest.raises(ValueError, match="start symbol"):
        _native.lr_tables([(0, [0], 0), (1, [0], 0)], 1, 2, starts, True)


def test_starts_without_rules() -> None:
    """Lark refuses them; where no action decides anything they have no texts."""
    rules: list[Rule] = [(0, [0], 0)]
    with pytest.raises(ValueError, match="nonterminal 1 has no rules"):
        _native.lr_tables(rules, 1, 2, [0, 1], True)
    tables = _native.lr_tables(rules, 1, 2, [0, 1], False)
    assert [parses(tables, rules, 1, text) for text in texts(1, 2)] == [False, True, False]


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ([(0, [0], 0), (0, [0], 1)], "rules 0 and 1 are the same"),
        ([(0, [~1], 0)], "nonterminal 1 has no rules"),
        ([(1, [0], 0)], "nonterminal 0 has no rules"),
        ([(0, [1], 0)], "rule 0 has a symbol that is out of range"),
        ([(0, [~2], 0)], "rule 0 has a symbol that is out of range"),
        ([(2, [0], 0)], "rule 0 has a symbol that is out of range"),
    ],
)
def test_refused_rules(rules: list[Rule], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        _native.lr_tables(rules, 1, 2, [0], True)


def test_states_are_limited() -> None:
    rules: list[Rule] = [(0, [0] * 50, 0)]
    assert len(_native.lr_tables(rules, 1, 1, [0], True, max_states=53)[0]) == 53
    with pytest.raises(LimitError, match="more than 52 parser states"):
        _native.lr_tables(rules, 1, 1, [0], True, max_states=52)


def test_actions_are_limited() -> None:
    """Any of n words follows any: n * n reductions."""
    words = 3300
    rules: list[Rule] = [(0, [~0, ~1], 0), (0, [], 0), *((1, [t], 0) for t in range(words))]
    with pytest.raises(LimitError, match="more than 10000000 actions"):
        _native.lr_tables(rules, words, 2, [0], True)


def test_deep_relations_need_no_stack() -> None:
    """Lookaheads travel through long chains of rules."""
    length = 20000
    rules: list[Rule] = [(n, [~(n + 1)], 0) for n in range(length)]
    rules.append((length, [0], 0))
    states, (start,), *_ = _native.lr_tables(rules, 1, length + 1, [0], True)
    assert states[dict(states[start][0])[0]][0] == [(1, ~length)]
