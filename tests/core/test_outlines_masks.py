"""Masks of regexes against those of another engine, which determinises the whole pattern first."""

import re

import outlines_core
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

import structgen
from structgen import DEAD, FINISHED
from tests.core.grammars import bits, laws

# Every byte, so that the vocabulary cuts no state of a pattern off; tokens that cross every kind of border.
PIECES = [
    b"ab", b"aa", b"ba", b"bb", b"aba", b"abab", b"aaaa", b"12", b"00", b"2024-", b"-0", b"-01-", b"true",
    b"tru", b"e\n", b"\n\n", b" a", b"a ", b"  ", b"\xc3\xa9", b"\xa9a", b"a\xc3", b"\xf0\x9f", b"\x98\x80",
    b"\x80\xf0\x9f\x98", b"\xff\xfe", b"\xc0\x80", b"\xed\xa0\x80", b"a@b", b".c", b"@b.", b'":',
    b'{"a"', b"},", b'\\"', b"zz", b"Abc", b"ab",
]  # fmt: skip
TOKENS = [bytes([i]) for i in range(256)] + PIECES
END = len(TOKENS)
MOST_STATES = 60

ours = structgen.Vocabulary([*TOKENS, b"</s>"], eos_token_ids=[END], logits_size=END + 40)
ids: dict[bytes | str, list[int]] = {}
for number, token in enumerate(TOKENS):
    ids.setdefault(token, []).append(number)
theirs = outlines_core.Vocabulary(END, ids)


def compare(pattern: str) -> tuple[int, int]:
    """Walk both automata side by side, breadth first.

    The other index forgets some tokens: it drops a state that stands right behind a match without being one,
    and branches of an alternative that a preferred branch makes needless to a search. So all of its tokens
    must be ours, and each that is only ours must have a completion that ``re`` confirms.

    Returns
    -------
    states : int
        Pairs of states that were compared.
    only_ours : int
        Tokens that the other index forgot.
    """
    automaton = structgen.compile_regex(pattern, ours)
    index = outlines_core.Index(pattern, theirs)
    seen = {(automaton.start, index.get_initial_state()): b""}
    todo = list(seen)
    only_ours = 0
    while todo and len(seen) < MOST_STATES:
        mine, other = pair = todo.pop(0)
        mask = bits(automaton.mask(mine))
        expected = set(index.get_allowed_tokens(other) or [])
        assert mask >= expected, (pattern, seen[pair], [(i, (*TOKENS, b"END")[i]) for i in expected - mask])
        matches = is_match(pattern, seen[pair])
        assert automaton.accepts(mine) == (END in mask) == matches
        assert automaton.step(mine, END) == (FINISHED if END in mask else DEAD)
        for token_id in sorted(mask - {END}):
            after = automaton.step(mine, token_id)
            if token_id not in expected:
                only_ours += 1
                witness = seen[pair] + TOKENS[token_id] + automaton.shortest(after)
                assert is_match(pattern, witness), (pattern, witness)
                continue
            both = after, index.get_next_state(other, token_id)
            if both not in seen:
                seen[both] = seen[pair] + TOKENS[token_id]
                todo.append(both)
    return len(seen), only_ours


def is_match(pattern: str, data: bytes) -> bool:
    """Ask the standard library; what is no whole text matches nothing."""
    try:
        return re.fullmatch(pattern, data.decode()) is not None
    except UnicodeDecodeError:
        return False


PATTERNS = [
    "a",
    "a*",
    "a?b?a?",
    "[ab]{3}",
    "[ab]{2,5}",
    "(a{2}){3}",
    "a{0,2}b{0}",
    "(true|false|null)",
    "-?(0|[1-9][0-9]*)",
    "[0-9]{4}-(0[1-9]|1[0-2])-[0-3][0-9]",
    r"(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(\.(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])){3}",
    r"[a-z]+@[a-z]+\.(com|org)",
    ".",
    "[^a]",
    "[^ab]*a",
    r"[\s\S]",
    r"[^\n]{2}",
    "(?s:.){2}",
    "é",
    "[^é]",
    "[\u0080-\uffff]",
    "[\U00010000-\U0010ffff]a",
    "(?i:abc)",
    r'"([^"\\]|\\["\\/bfnrt])*"',
    r'\{"a":[0-9]{1,2}\}',
    "(a*)*b",
    "((a?){3}b){2}",
]

FORGETFUL = [
    "(ab)*",
    "(a|b)*abb",
    "(aa|aba)+b?",
    "(ab|a){1,3}b",
    r"-?(0|[1-9]\d*)(\.[0-9]+)?([eE][+-]?[0-9]+)?",
    ".*",
    "..?",
    "[é€😀]+",
    r"(a|b)*a(a|b){4}",
    "(a|ab)(c|bcd)?",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_masks_of_a_table_of_patterns(pattern: str) -> None:
    states, only_ours = compare(pattern)
    assert states >= 2
    assert only_ours == 0


@pytest.mark.parametrize("pattern", FORGETFUL)
def test_masks_where_the_other_index_forgets_tokens(pattern: str) -> None:
    assert compare(pattern)[1] > 0


def test_a_difference_is_seen() -> None:
    """The comparison itself can fail."""
    automaton = structgen.compile_regex("ab?", ours)
    index = outlines_core.Index("ab", theirs)
    assert bits(automaton.mask(automaton.start)) == set(index.get_allowed_tokens(index.get_initial_state()))
    state = automaton.step(automaton.start, ord("a"))
    other = index.get_next_state(index.get_initial_state(), ord("a"))
    assert bits(automaton.mask(state)) != set(index.get_allowed_tokens(other))


_atoms = st.sampled_from(
    ["a", "b", "a", "b", "[ab]", "[^a]", ".", "é", "[a-z]", "[0-9]", "😀", r"\n", "aba", "(a|ba)"]
)
_quantifiers = st.sampled_from(["", "", "*", "+", "?", "{2}", "{0,2}", "{1,}", "{1,3}"])


def _extend(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("(?:{}){}".format, inner, _quantifiers),
        st.lists(inner, min_size=2, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda options: f"(?:{'|'.join(options)})"),
    )


patterns = st.recursive(st.builds(str.__add__, _atoms, _quantifiers), _extend, max_leaves=6)


@given(patterns)
@laws(150)
def test_masks_of_random_patterns(pattern: str) -> None:
    states, only_ours = compare(pattern)
    event(f"states: {min(states // 10 * 10, MOST_STATES)}; forgotten: {only_ours > 0}")
