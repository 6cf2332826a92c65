"""Diverse beam search through ``model.generate``."""

from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.generation import GenerateBeamDecoderOnlyOutput

from structgen import TokenAutomaton, Vocabulary, compile_regex
from structgen.hf import AutomatonLogitsProcessor, diverse_beam_search

END, A, B, PAD = range(4)
WIDTH = 8
IDS = torch.tensor([[1, 2, 5, 4], [PAD, PAD, 2, 1]])
MASK = torch.tensor([[1, 1, 1, 1], [0, 0, 1, 1]])
ONE = IDS[:1]
VOCABULARY = Vocabulary(
    [b"", b"a", b"b", b"", b"c", b"d"], eos_token_ids=END, special_token_ids=PAD, logits_size=WIDTH
)


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    torch.manual_seed(2)
    config = LlamaConfig(
        vocab_size=WIDTH,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
        eos_token_id=END,
        pad_token_id=PAD,
        bos_token_id=PAD,
        initializer_range=0.6,
    )
    return LlamaForCausalLM(config).eval()


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
