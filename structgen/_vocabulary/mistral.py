"""Vocabularies of mistral-common tokenizers: tekken and SentencePiece."""

import os
from collections.abc import Sequence
from typing import Any

from structgen._errors import VocabularyError
from structgen._vocabulary.exactness import end_tokens
from structgen._vocabulary.sentencepiece import from_sentencepiece
from structgen._vocabulary.vocabulary import Vocabulary


def from_mistral(
    tokenizer: Any, logits_size: int | None, eos_token_ids: int | Sequence[int] | None
) -> Vocabulary:
    """Read a ``MistralTokenizer``, the tokenizer inside one, or the file of either kind."""
    from mistral_common.tokens.tokenizers.base import SpecialTokenPolicy
    from mistral_common.tokens.tokenizers.sentencepiece import SentencePieceTokenizer, is_sentencepiece
    from mistral_common.tokens.tokenizers.tekken import Tekkenizer, is_tekken

    if isinstance(tokenizer, (str, os.PathLike)):
        path = os.fspath(tokenizer)
        if is_tekken(path):
            tokenizer = Tekkenizer.from_file(path)
        elif is_sentencepiece(path):
            tokenizer = SentencePieceTokenizer(path)
        else:
            raise VocabularyError(f"{path!r} is no file of a tekken or SentencePiece tokenizer")
    # The chat wrapper holds an instruction tokenizer, which holds the tokenizer proper.
    tokenizer = getattr(tokenizer, "instruct_tokenizer", tokenizer)
    tokenizer = getattr(tokenizer, "tokenizer", tokenizer)
    if isinstance(tokenizer, SentencePieceTokenizer):
        from sentencepiece import SentencePieceProcessor

        processor = SentencePieceProcessor(model_file=os.fspath(tokenizer.file_path))
        return from_sentencepiece(processor, logits_size, eos_token_ids)
    if not isinstance(tokenizer, Tekkenizer):
        raise VocabularyError(f"{type(tokenizer).__name__} is no tokenizer of mistral-common that we know")
    return Vocabulary(
        [tokenizer.id_to_byte_piece(i, SpecialTokenPolicy.KEEP) for i in range(tokenizer.n_words)],
        eos_token_ids=end_tokens(eos_token_ids, tokenizer.eos_id),
        special_token_ids=tokenizer.special_ids,
        logits_size=logits_size,
    )
