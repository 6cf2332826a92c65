"""The reader of symbols, without the penalty that it is for."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import structgen
from structgen import DEAD, Vocabulary
from structgen._core import SymbolReader

JOINED = [b"a;", b";a", b";;", b"b(", b"));", b");b"]
VOCABULARY = Vocabulary([*(bytes([byte]) for byte in range(128)), b"<end>", *JOINED], eos_token_ids=[128])
LARK = 'start: statement*\nstatement: "a" ";" | "b" group ";"\ngroup: "(" group* ")"\n%ignore " "'
TOKENS = [*b"ab(); ", *range(129, 129 + len(JOINED))]


def reader(session: Any, **options: Any) -> SymbolReader:
    return SymbolReader(session, **{"closing": ["statement"], "window": 64, "terminals": False} | options)


def copies(parts: list[str]) -> dict[str, int]:
    """Return what begins another copy behind complete statements, with the number of the repeats."""
    expected: dict[str, int] = {}
    for period in range(1, len(parts) // 2 + 1):
        matched = 0
        while matched + period < len(parts) and parts[-1 - matched] == parts[-1 - matched - period]:
            matched += 1
        if matched >= period and matched % period == 0:
            begin = parts[-period][0]
            expected[begin] = max(expected.get(begin, 0), matched // period)
    return expected


@given(st.lists(st.integers(0, 1000), max_size=40))
def test_critical_tokens_behind_statements(choices: list[int]) -> None:
    """The reference looks for all periods; statements are told apart by their text, which has no names."""
    session = structgen.compile_lark(LARK, VOCABULARY).session()
    read = reader(session)
    place, state = read.fresh(session.start), session.start
    tokens: list[int] = []
    for choice in choices:
        for token in TOKENS:
            if session.step(state, token) == DEAD:
                assert read.step(place, token)[:2] == (-1, DEAD)
        allowed = [token for token in TOKENS if session.step(state, token) != DEAD]
        tokens.append(allowed[choice % len(allowed)])
        state = session.step(state, tokens[-1])
        place, same, _, critical = read.step(place, tokens[-1])
        assert same == state
        text = b"".join(VOCABULARY.tokens[token] for token in tokens).decode()
        parts = text.replace(" ", "").split(";")
        if parts[-1]:
            continue
        found: dict[str, int] = {}
        for count, ids in critical:
            for token_text in (VOCABULARY.tokens[int(i)].decode() for i in ids):
                found[token_text.strip()[0]] = max(found.get(token_text.strip()[0], 0), count)
        assert found == copies(parts[:-1])


def test_arguments() -> None:
    session = structgen.compile_lark(LARK, VOCABULARY).session()
    with pytest.raises(ValueError, match="window"):
        reader(session, window=1)
    with pytest.raises(TypeError, match="Session"):
        reader("no session")
    read = reader(session)
    place = read.fresh(session.start)
    for wrong in (-1, place + 1):
        with pytest.raises(IndexError):
            read.step(wrong, 97)
    with pytest.raises(ValueError, match="out of range"):
        read.step(place, len(VOCABULARY))
