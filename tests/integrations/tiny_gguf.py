"""The tiny model as a GGUF file, written by the package ``gguf``."""

import json

import numpy as np

from structgen.testing import tiny_model

_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def write(file):
    """Write weights and tokenizer; llama.cpp wants the rows of queries and keys interleaved."""
    import gguf

    model, tokenizer = tiny_model.load()
    config, weights = model.config, {name: w.numpy() for name, w in model.state_dict().items()}
    heads, kv_heads = config.num_attention_heads, config.num_key_value_heads
    out = gguf.GGUFWriter(str(file), "llama")
    out.add_context_length(config.max_position_embeddings)
    out.add_embedding_length(config.hidden_size)
    out.add_block_count(config.num_hidden_layers)
    out.add_feed_forward_length(config.intermediate_size)
    out.add_head_count(heads)
    out.add_head_count_kv(kv_heads)
    out.add_key_length(config.head_dim)
    out.add_value_length(config.head_dim)
    out.add_rope_dimension_count(config.head_dim)
    out.add_rope_freq_base(config.rope_parameters["rope_theta"])
    out.add_layer_norm_rms_eps(config.rms_norm_eps)
    out.add_vocab_size(config.vocab_size)
    _add_tokenizer(out, gguf, tokenizer)
    out.add_tensor("token_embd.weight", weights["model.embed_tokens.weight"])
    out.add_tensor("output_norm.weight", weights["model.norm.weight"])
    for layer in range(config.num_hidden_layers):
        for name, theirs in _LAYER.items():
            data = weights[f"model.layers.{layer}.{theirs}.weight"]
            if name in ("attn_q", "attn_k"):
                data = _interleaved(data, heads if name == "attn_q" else kv_heads)
            out.add_tensor(f"blk.{layer}.{name}.weight", data)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def _interleaved(weight, heads):
    halves = weight.reshape(heads, 2, len(weight) // heads // 2, -1)
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(weight.shape))


def _add_tokenizer(out, gguf, tokenizer):
    described = json.loads(tokenizer.backend_tokenizer.to_str())
    special = {token["id"] for token in described["added_tokens"]}
    size = len(tokenizer)
    out.add_tokenizer_model("gpt2")
    out.add_tokenizer_pre("gpt-2")
    out.add_token_list(tokenizer.convert_ids_to_tokens(range(size)))
    out.add_token_types(
        [gguf.TokenType.CONTROL if i in special else gguf.TokenType.NORMAL for i in range(size)]
    )
    out.add_token_merges([" ".join(merge) for merge in described["model"]["merges"]])
    out.add_eos_token_id(tokenizer.eos_token_id)
    out.add_bos_token_id(tokenizer.bos_token_id)
    out.add_add_bos_token(False)


def write_sentencepiece(file, processor):
    """Write a vocabulary alone."""
    import gguf

    out = gguf.GGUFWriter(str(file), "llama")
    out.add_tokenizer_model("llama")
    size = processor.get_piece_size()
    out.add_token_list([processor.id_to_piece(i) for i in range(size)])
    out.add_token_scores([processor.get_score(i) for i in range(size)])
    kinds = {
        gguf.TokenType.UNKNOWN: processor.is_unknown,
        gguf.TokenType.CONTROL: processor.is_control,
        gguf.TokenType.UNUSED: processor.is_unused,
        gguf.TokenType.BYTE: processor.is_byte,
    }
    out.add_token_types(
        [
            next((kind for kind, holds in kinds.items() if holds(i)), gguf.TokenType.NORMAL)
            for i in range(size)
        ]
    )
    out.add_bos_token_id(processor.bos_id())
    out.add_eos_token_id(processor.eos_id())
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.close()
