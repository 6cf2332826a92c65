"""Vocabularies of tiktoken encodings."""

from collections.abc import Sequence
from typing import Any

from structgen._vocabulary.exactness import end_tokens
from structgen._vocabulary.vocabulary import Vocabulary


def from_tiktoken(
    encoding: Any, logits_size: int | None, eos_token_ids: int | Sequence[int] | None
) -> Vocabulary:
    """Read a ``tiktoken.Encoding``; ids without a token are unused."""
    tokens: list[bytes] = []
    for token_id in range(encoding.n_vocab):
        try:
            tokens.append(encoding.decode_single_token_bytes(token_id))
        except KeyError:
            tokens.append(b"")
    special = sorted(encoding.encode_single_token(name) for name in encoding.special_tokens_set)
    default = None
    if "<|endoftext|>" in encoding.special_tokens_set:
        default = encoding.eot_token
    return Vocabulary(
        tokens,
        eos_token_ids=end_tokens(eos_token_ids, default),
        special_token_ids=special,
        logits_size=logits_size,
    )
