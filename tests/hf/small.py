"""A small model with random weights, and its vocabulary: what the generation methods are tested on."""

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from structgen import Vocabulary

END, A, B, PAD = range(4)
WIDTH = 8
VOCABULARY = Vocabulary(
    [b"", b"a", b"b", b"", b"c", b"d"], eos_token_ids=END, special_token_ids=PAD, logits_size=WIDTH
)


def small_model() -> LlamaForCausalLM:
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
