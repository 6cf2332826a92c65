"""Diverse beam search where it has to be that of version 4 of transformers."""

import json
import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from structgen.hf import diverse_beam_search
from structgen.hf._version_4 import Version4Groups
from structgen.samplers._beam_groups import BeamGroups, Hypothesis
from structgen.samplers._dissimilarity import hamming
from tests.hf import version_4

CASES = version_4.cases()
RECORDED = json.loads(version_4.RECORDS.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def models() -> dict[int, Any]:
    return {seed: version_4.model(seed) for seed in {case.seed for case in CASES}}


def test_all_cases_are_recorded() -> None:
    assert RECORDED["transformers"].startswith("4.")
    assert len(RECORDED["records"]) == len(CASES)


@pytest.mark.parametrize("number", range(len(CASES)))
def test_results_are_those_of_version_4(models: dict[int, Any], number: int) -> None:
    case, recorded = CASES[number], RECORDED["records"][number]
    output = case.generate(models[case.seed], custom_generate=diverse_beam_search())
    assert case.generated(output) == recorded["texts"]
    assert output.sequences_scores.tolist() == pytest.approx(recorded["scores"], abs=1e-4)


def test_rules_of_version_4_matter(models: dict[int, Any]) -> None:
    """Each of the rules is used somewhere in what is recorded: without them other sequences come out."""
    duplicates = differ = 0
    for case, recorded in zip(CASES, RECORDED["records"], strict=True):
        output = case.generate(models[case.seed], custom_generate=diverse_beam_search(version_4=False))
        ours = case.generated(output)
        differ += ours != recorded["texts"]
        duplicates += any(len(set(map(tuple, texts))) < len(texts) for texts in recorded["texts"])
        for scores, texts in zip(output.sequences_scores.reshape(len(ours), -1), ours, strict=True):
            found = [tuple(text) for text, score in zip(texts, scores.tolist(), strict=True) if score > -1e9]
            assert len(set(found)) == len(found)
    assert duplicates > 20
    assert differ > duplicates


END, A, B, PAD = range(4)


def searched(kind: str, tables: dict[tuple[int, ...], Sequence[float]], **options: Any) -> list[Hypothesis]:
    """Search with two groups of one beam and a penalty of 1, over at most 4 tokens."""
    rules: dict[str, Any] = {"length_penalty": 0.0, "early_stopping": True, "max_tokens": 4, **options}
    if kind == "version 4":
        padding = rules.pop("padding")
        search: BeamGroups = Version4Groups(2, 1, 1.0, hamming, end_tokens=[END], padding=padding, **rules)
    else:
        del rules["padding"]
        search = BeamGroups(2, 1, 1.0, hamming, never_penalised=[END, PAD], ends=1, **rules)
    rows: list[tuple[int, ...]] = [(), ()]
    while not search.done:
        logprobs = torch.tensor(
            [[math.log(p) if p else -math.inf for p in tables.get(row, (0.25,) * 4)] for row in rows]
        )
        sources, tokens, _ = search.step(
            logprobs, lambda _, texts: [text[-1] == END or len(text) == rules["max_tokens"] for text in texts]
        )
        rows = [(*rows[s], PAD if t is None else t) for s, t in zip(sources, tokens, strict=True)]
    return search.results()


def test_duplicates_by_hand() -> None:
    """The second group finishes what the first has, because ends are not chosen by running beams.

    Step 1: the end is the best candidate of group 1 (log 0.5 = -0.69), and a runs on. For group 2, a has
    log 0.3 - 1 = -2.20, b log 0.2 = -1.61 and the end still -0.69. Both groups have as many as they want.
    """
    tables = {(): (0.5, 0.3, 0.2, 0.0), (B,): (0.6, 0.3, 0.1, 0.0)}
    theirs = searched("version 4", tables, padding=PAD)
    assert [(h.tokens, h.score) for h in theirs] == [((END,), pytest.approx(math.log(0.5)))] * 2
    # We leave it out; b goes on, and ends at the next step.
    ours = searched("ours", tables, padding=PAD)
    assert [(h.tokens, h.score) for h in ours] == [
        ((END,), pytest.approx(math.log(0.5))),
        ((B, END), pytest.approx(math.log(0.2 * 0.6))),
    ]


@pytest.mark.parametrize("padding", [END, PAD])
def test_padding_by_hand(padding: int) -> None:
    """Of a group that is done the padding counts, and it may be the end token.

    Step 1: group 1 takes a (0.5); for group 2, a is log 0.5 - 1 = -1.69 and b log 0.4 = -0.92. Step 2: group
    1 ends with 0.6 and is done; a runs on, so group 2 takes b (log 0.4) before a (log 0.5 - 1). Step 3: group
    2 has the end with log 0.5, less 1 if group 1 counts as having chosen it (-1.69), and a with log 0.3
    (-1.20).
    """
    tables = {
        (): (0.1, 0.5, 0.4, 0.0),
        (A,): (0.6, 0.3, 0.1, 0.0),
        (B,): (0.1, 0.5, 0.4, 0.0),
        (B, B): (0.5, 0.3, 0.2, 0.0),
        (B, B, A): (0.1, 0.7, 0.2, 0.0),
    }
    first = ((A, END), pytest.approx(math.log(0.5 * 0.6)))
    if padding == END:
        second = ((B, B, A, A), pytest.approx(math.log(0.4 * 0.4 * 0.3 * 0.7)))
    else:
        second = ((B, B, END), pytest.approx(math.log(0.4 * 0.4 * 0.5)))
    assert [(h.tokens, h.score) for h in searched("version 4", tables, padding=padding)] == [first, second]
    ours = searched("ours", tables, padding=padding)
    assert [h.tokens for h in ours] == [(A, END), (B, B, END)]


def test_stopping_by_hand() -> None:
    """A group goes on while its best candidate, be it one that ends, is better than its worst finished one.

    Length penalty 1. Group 1 ends at step 1 with log 0.6 = -0.51; the best candidate is this one, so it is
    as good as the worst and the group stops. At step 1, a has log 0.35 = -1.05. If it went on, a and an end
    with 0.99 would have (log 0.35 + log 0.99) / 2 = -0.53, and with another a before it
    (log 0.35 + 2 log 0.99) / 3 = -0.36, the better one.
    """
    tables = {
        (): (0.6, 0.35, 0.05, 0.0),
        (A,): (0.005, 0.99, 0.005, 0.0),
        (A, A): (0.99, 0.005, 0.005, 0.0),
        (B,): (0.5, 0.3, 0.2, 0.0),
    }
    for early_stopping, expected in ((True, (END,)), (False, (END,)), ("never", (A, A, END))):
        options = {"early_stopping": early_stopping, "length_penalty": 1.0, "padding": PAD}
        assert searched("version 4", tables, **options)[0].tokens == expected
        assert searched("ours", tables, **options)[0].tokens == expected


def test_refusals() -> None:
    with pytest.raises(ValueError, match="only 'hamming'"):
        diverse_beam_search(dissimilarity="ngram", version_4=True)
