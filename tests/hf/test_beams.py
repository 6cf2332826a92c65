"""Diverse beam search through ``model.generate``."""

from typing import Any

import pytest
import torch
from transformers import LlamaForCausalLM
from transformers.generation import GenerateBeamDecoderOnlyOutput

from structgen import TokenAutomaton, Vocabulary, compile_regex
from structgen.hf import AutomatonLogitsProcessor, diverse_beam_search
from tests.hf.small import END, PAD, VOCABULARY, WIDTH, A, B, small_model

IDS = torch.tensor([[1, 2, 5, 4], [PAD, PAD, 2, 1]])
MASK = torch.tensor([[1, 1, 1, 1], [0, 0, 1, 1]])
ONE = IDS[:1]


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    return small_model()


@pytest.fixture(scope="module")
def automaton() -> TokenAutomaton:
    return compile_regex("([abcd]{0,3}b)+", VOCABULARY)


@pytest.mark.parametrize("constrained", [False, True])
@pytest.mark.parametrize("early_stopping", [False, True, "never"])
@pytest.mark.parametrize("length_penalty", [-0.5, 0.0, 1.0, 2.5])
def test_one_group_is_the_beam_search_of_transformers(
    model: Any, automaton: TokenAutomaton, length_penalty: float, early_stopping: Any, constrained: bool
) -> None:
    outputs = [
        model.generate(
            IDS,
            attention_mask=MASK,
            num_beams=3,
            num_return_sequences=3,
            length_penalty=length_penalty,
            early_stopping=early_stopping,
            max_new_tokens=9,
            logits_processor=[AutomatonLogitsProcessor(automaton)] if constrained else [],
            return_dict_in_generate=True,
            output_scores=True,
            output_logits=True,
            **options,
        )
        for options in ({}, {"custom_generate": diverse_beam_search(groups=1)})
    ]
    theirs, ours = outputs
    assert isinstance(ours, GenerateBeamDecoderOnlyOutput)
    assert torch.equal(ours.sequences, theirs.sequences)
    assert torch.equal(ours.sequences_scores, theirs.sequences_scores)
    assert torch.equal(ours.beam_indices, theirs.beam_indices)
    # Of rows without a beam theirs may have other scores than ours.
    assert len(ours.scores) == len(theirs.scores)
    assert torch.equal(ours.scores[0], theirs.scores[0])
    assert torch.equal(ours.logits[0], theirs.logits[0])


OPTIONS: dict[str, Any] = {
    "max_new_tokens": 7,
    "return_dict_in_generate": True,
    "output_scores": True,
    "num_return_sequences": 4,
}


def texts(output: Any, prompt_length: int = 4) -> list[tuple[int, ...]]:
    """Return what was generated, up to the end token."""
    rows = output.sequences[:, prompt_length:].tolist()
    return [tuple(row[: row.index(END) + 1] if END in row else row) for row in rows]


def test_prompts_of_a_batch_do_not_touch(model: Any, automaton: TokenAutomaton) -> None:
    options = {**OPTIONS, "custom_generate": diverse_beam_search(groups=2), "num_beams": 4}
    processor = AutomatonLogitsProcessor(automaton)
    both = model.generate(IDS, attention_mask=MASK, logits_processor=[processor], **options)
    found = texts(both)
    for i, prompt in enumerate((IDS[:1], IDS[1:, 2:])):
        alone = model.generate(
            prompt, attention_mask=torch.ones_like(prompt), logits_processor=[processor], **options
        )
        assert found[4 * i : 4 * i + 4] == texts(alone, prompt.shape[1])
        assert torch.allclose(both.sequences_scores[4 * i : 4 * i + 4], alone.sequences_scores, atol=1e-4)
    assert len(set(found[:4])) == len(set(found[4:])) == 4


def test_scores_are_the_models_with_the_terms(model: Any) -> None:
    """Each sequence's score is found again from plain forward passes and the scores of its rows."""
    output = model.generate(
        ONE, custom_generate=diverse_beam_search(diversity_strength=0.7), num_beams=4, **OPTIONS
    )
    penalised = 0
    for text, score, rows in zip(
        texts(output), output.sequences_scores.tolist(), output.beam_indices.tolist(), strict=True
    ):
        with torch.no_grad():
            logits = model(torch.tensor([[*ONE[0].tolist(), *text]])).logits[0, 3:-1]
        plain = logits.log_softmax(-1)[range(len(text)), text]
        kept = torch.stack(
            [output.scores[i][row, t] for i, (row, t) in enumerate(zip(rows, text, strict=False))]
        )
        assert kept.sum().item() / len(text) == pytest.approx(score, rel=1e-4)
        # The terms are whole multiples of the strength, and none is above zero.
        counts = (plain - kept) / 0.7
        assert torch.allclose(counts, counts.round(), atol=1e-4)
        assert bool((counts > -1e-4).all())
        penalised += bool(counts.sum() > 0.5)
        assert rows[: len(text)].count(rows[0]) == len(text)
    assert penalised > 0


def test_options_of_version_4_are_read(model: Any) -> None:
    old = model.generate(
        ONE,
        custom_generate=diverse_beam_search(version_4=False),
        num_beams=4,
        num_beam_groups=2,
        diversity_penalty=1.5,
        **OPTIONS,
    )
    new = model.generate(ONE, custom_generate=diverse_beam_search(2, 2, 1.5), num_beams=4, **OPTIONS)
    assert torch.equal(old.sequences, new.sequences)
    assert torch.equal(old.sequences_scores, new.sequences_scores)


@pytest.mark.parametrize("dissimilarity", ["hamming", "cumulative", "ngram", "embedding", "structural"])
def test_every_dissimilarity_keeps_the_constraint(model: Any, dissimilarity: Any) -> None:
    automaton = compile_regex("[abcd]{1,5}b", VOCABULARY)
    search = diverse_beam_search(2, 2, 2.0, dissimilarity, vocabulary=VOCABULARY)
    processor = AutomatonLogitsProcessor(automaton)
    output = model.generate(ONE, custom_generate=search, num_beams=4, logits_processor=[processor], **OPTIONS)
    # A group that finds nothing that the first has not may leave a row empty.
    found = [
        text
        for text, score in zip(texts(output), output.sequences_scores.tolist(), strict=True)
        if score > -1e9
    ]
    assert len(set(found)) == len(found) >= 3
    for text in found:
        state = automaton.start
        for token in text[:-1]:
            state = automaton.step(state, token)
        assert text[-1] == END
        assert automaton.accepts(state)


def test_texts_are_different_where_the_vocabulary_is_known(model: Any) -> None:
    """Two tokens are spelt alike: without the vocabulary nothing tells them apart."""
    twins = Vocabulary(
        [b"", b"a", b"b", b"", b"a", b"b"], eos_token_ids=END, special_token_ids=PAD, logits_size=WIDTH
    )
    processor = AutomatonLogitsProcessor(compile_regex("[ab]", twins))
    found = []
    for vocabulary in (twins, None):
        search = diverse_beam_search(1, 4, vocabulary=vocabulary)
        output = model.generate(
            ONE, custom_generate=search, num_beams=4, logits_processor=[processor], **OPTIONS
        )
        pairs = zip(texts(output), output.sequences_scores.tolist(), strict=True)
        found.append([twins.decode(text) for text, score in pairs if score > -1e9])
    assert sorted(found[0]) == [b"a", b"b"]
    assert sorted(found[1]) == [b"a", b"a", b"b", b"b"]


def test_too_few_texts_leave_rows_of_padding(model: Any) -> None:
    processor = AutomatonLogitsProcessor(compile_regex("a|b", VOCABULARY))
    output = model.generate(
        ONE, custom_generate=diverse_beam_search(2, 2), num_beams=4, logits_processor=[processor], **OPTIONS
    )
    assert sorted(texts(output)[:2]) == [(A, END), (B, END)]
    assert output.sequences_scores.isfinite().tolist() == [True, True, False, False]
    assert set(output.sequences[2:, 4:].flatten().tolist()) <= {PAD, END}


def test_refusals(model: Any) -> None:
    for options, message in (
        ({"num_beams": 5}, "num_beams=5"),
        ({"num_beams": 4, "do_sample": True}, "does not sample"),
        ({"num_beams": 4, "output_attentions": True, "return_dict_in_generate": True}, "output_attentions"),
    ):
        with pytest.raises(ValueError, match=message):
            model.generate(ONE, custom_generate=diverse_beam_search(2, 2), max_new_tokens=3, **options)
    with pytest.raises(ValueError, match="diversity_strength"):
        diverse_beam_search(diversity_strength=-1)
    with pytest.raises(ValueError, match="groups is 0"):
        diverse_beam_search(groups=0)
