"""Rows that guards leave without any token."""

import pytest
import torch

from structgen import GuardDeadEnd, Vocabulary
from structgen._core import Builder, TokenAutomaton
from structgen.hf import AutomatonLogitsProcessor
from tests.hf.conftest import EOS, PADDED, encode

PROMPT = [40, 41]


def automaton_of(vocabulary: Vocabulary) -> TokenAutomaton:
    """Texts of a and b that end with a mark: all but two a are refused, which can be too late."""
    b = Builder(vocabulary.native)
    letters = b.re_repeat(b.re_chars([(97, 98)]), 1, 3)
    value = b.text(b.re_concat([letters, b.re_literal("!")]))
    automaton = b.finish(b.guarded(value, b.guard("two a", lambda text: text == "aa!")))
    assert automaton is not None
    automaton.vocabulary = vocabulary
    return automaton


def call(processor: AutomatonLogitsProcessor, rows: list[list[int]]) -> list[list[int]]:
    out = processor(torch.tensor(rows), torch.zeros(len(rows), PADDED))
    return [row.isfinite().nonzero().flatten().tolist() for row in out]


def feed(processor: AutomatonLogitsProcessor, vocabulary: Vocabulary, words: list[str]) -> list[list[int]]:
    """Generate texts of one length, a byte at a time; the tokens that are left behind them."""
    rows = [PROMPT] * len(words)
    left = call(processor, rows)
    for column in zip(*words, strict=True):
        rows = [row + encode(vocabulary, letter) for row, letter in zip(rows, column, strict=True)]
        left = call(processor, rows)
    return left


def test_raise(vocabulary: Vocabulary) -> None:
    processor = AutomatonLogitsProcessor(automaton_of(vocabulary))
    feed(processor, vocabulary, ["bb", "aa"])
    with pytest.raises(GuardDeadEnd) as caught:
        feed(processor, vocabulary, ["bbb", "aa!"])
    assert caught.value.guard == ("two a",)


@pytest.mark.parametrize("on_dead", ["end", "mask"])
def test_mark(vocabulary: Vocabulary, on_dead: str) -> None:
    processor = AutomatonLogitsProcessor(automaton_of(vocabulary), on_dead_end="mark", on_dead=on_dead)  # type: ignore[arg-type]
    bang = encode(vocabulary, "!")[0]
    left = feed(processor, vocabulary, ["aa", "bb", "ab"])
    assert [bang in row for row in left] == [True, False, False]
    assert processor.dead_rows == ()
    end = [EOS] if on_dead == "end" else []
    assert feed(processor, vocabulary, ["aa!", "bbb", "aba"]) == [[EOS], end, end]
    assert processor.dead_rows == (1, 2)
    processor.reset()
    assert processor.dead_rows == ()


def test_within_a_budget(vocabulary: Vocabulary) -> None:
    """With a budget, completions are looked for ahead."""
    processor = AutomatonLogitsProcessor(automaton_of(vocabulary), on_dead_end="mark", finish_by=5)
    feed(processor, vocabulary, ["aa", "aa"])
    assert processor.dead_rows == ()
    feed(processor, vocabulary, ["bbb", "aa!"])
    assert processor.dead_rows == (0,)


def test_options(vocabulary: Vocabulary) -> None:
    with pytest.raises(ValueError, match="on_dead_end must be"):
        AutomatonLogitsProcessor(automaton_of(vocabulary), on_dead_end="end")  # type: ignore[arg-type]
