"""Vocabularies of models that llama-cpp-python has loaded."""

import ctypes
from collections.abc import Sequence
from typing import Any

from structgen._errors import VocabularyError
from structgen._vocabulary.vocabulary import Vocabulary


def from_llama_cpp(
    llm: Any, logits_size: int | None, eos_token_ids: int | Sequence[int] | None
) -> Vocabulary:
    """Read a ``llama_cpp.Llama``."""
    import llama_cpp

    model = llama_cpp.llama_model_get_vocab(llm.model)
    size = llama_cpp.llama_vocab_n_tokens(model)
    silent = llama_cpp.LLAMA_TOKEN_ATTR_CONTROL | llama_cpp.LLAMA_TOKEN_ATTR_UNKNOWN
    special = {i for i in range(size) if llama_cpp.llama_vocab_get_attr(model, i) & silent}
    ends = [i for i in range(size) if llama_cpp.llama_vocab_is_eog(model, i)]
    if eos_token_ids is None and not ends:
        raise VocabularyError("the model has no end-of-generation token; pass eos_token_ids")
    tokens = [_piece(llama_cpp, model, i) for i in range(size)]
    for i in range(size):
        # llama-cpp-python's own texts lack tokens of more than 32 bytes: with them, an output that conforms
        # would come back as a text that does not.
        if len(tokens[i]) > 32 and i not in special and llm.detokenize([i]) != tokens[i]:
            tokens[i] = b""
    return Vocabulary(
        tokens,
        eos_token_ids=ends if eos_token_ids is None else eos_token_ids,
        special_token_ids=special,
        logits_size=logits_size,
    )


def _piece(llama_cpp: Any, vocabulary: Any, token: int) -> bytes:
    """Return the bytes of a token, or the spelling of a special one."""
    size = 64
    while True:
        buffer = ctypes.create_string_buffer(size)
        length = llama_cpp.llama_token_to_piece(vocabulary, token, buffer, size, 0, True)
        if length >= 0:
            return buffer.raw[:length]
        size = -length
