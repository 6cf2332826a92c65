"""A small vocabulary, a randomly initialised model over it, and generation in one line."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from structgen import Vocabulary
from structgen.hf import AutomatonLogitsProcessor

EOS, PAD, OTHER_EOS = 0, 1, 2
FIRST_BYTE = 3
WORDS = [
    "ab",
    "abc",
    "bc",
    "yes",
    "no",
    "ye",
    "s!",
    "!",
    "<",
    "</",
    "th",
    "ink",
    ">",
    "k>",
    ">a",
    ">y",
    ">x",
    "aa",
]
PADDED = 320


def build_vocabulary(eos: Sequence[int] = (EOS,)) -> Vocabulary:
    """Return a vocabulary with a token for every byte, some words, special tokens and padded logits."""
    tokens = [b"", b"", b"", *(bytes([byte]) for byte in range(256))]
    tokens += [word.encode() for word in WORDS if len(word) > 1]
    return Vocabulary(
        tokens, eos_token_ids=list(eos), special_token_ids=[EOS, PAD, OTHER_EOS], logits_size=PADDED
    )


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    return build_vocabulary()


def build_model(seed: int = 0) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=PADDED,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=512,
        eos_token_id=EOS,
        pad_token_id=PAD,
        bos_token_id=PAD,
    )
    model = LlamaForCausalLM(config).eval()
    # Wide logits, so that the model has strong opinions, and against the constraint.
    model.lm_head.weight.data.mul_(20)
    return model


@pytest.fixture(scope="session")
def model() -> LlamaForCausalLM:
    return build_model()


def encode(vocabulary: Vocabulary, text: str) -> list[int]:
    """Return one token per byte."""
    return [FIRST_BYTE + byte for byte in text.encode()]


def ids_of(vocabulary: Vocabulary, *pieces: str) -> list[int]:
    """Return the token of each piece."""
    return [vocabulary.tokens.index(piece.encode()) for piece in pieces]


def decode(vocabulary: Vocabulary, ids: Sequence[int]) -> str:
    """Return the text up to the first end token; fail if something other than end and padding follows it."""
    ends = set(vocabulary.eos_token_ids)
    ids = list(ids)
    cut = next((i for i, token in enumerate(ids) if token in ends), len(ids))
    assert all(token in ends | {PAD} for token in ids[cut:]), ids
    assert all(token < len(vocabulary) for token in ids), ids
    return b"".join(vocabulary.tokens[token] for token in ids[:cut]).decode()


def finished(vocabulary: Vocabulary, ids: Sequence[int]) -> bool:
    return any(token in vocabulary.eos_token_ids for token in ids)


Generate = Callable[..., list[list[int]]]


@pytest.fixture
def generate(model: LlamaForCausalLM) -> Generate:
    """Return a function from prompts (token ids) to the new tokens of every row."""

    def run(
        processor: AutomatonLogitsProcessor,
        prompts: Sequence[Sequence[int]] = ((40, 41, 42),),
        *,
        seed: int = 0,
        **options: Any,
    ) -> list[list[int]]:
        width = max(map(len, prompts))
        ids = torch.tensor([[PAD] * (width - len(p)) + list(p) for p in prompts])
        attention = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
        torch.manual_seed(seed)
        options = {"do_sample": False, "max_new_tokens": 24, **options}
        output = model.generate(ids, attention_mask=attention, logits_processor=[processor], **options)
        return [row[width:] for row in output.tolist()]

    return run
