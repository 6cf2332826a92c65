"""Vocabularies of SentencePiece models."""

import re
from collections.abc import Sequence
from typing import Any

from structgen._errors import VocabularyError
from structgen._vocabulary.exactness import check_decoding, end_tokens
from structgen._vocabulary.vocabulary import Vocabulary

SPACE_MARKER = "\u2581"
BYTE_PIECE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def piece_bytes(processor: Any, index: int) -> bytes:
    """Return what the piece of this index adds to a text; unused pieces add nothing.

    Raises
    ------
    VocabularyError
        A byte piece is not spelt ``<0xNN>``.
    """
    piece: str = processor.id_to_piece(index)
    if processor.is_byte(index):
        spelling = BYTE_PIECE.fullmatch(piece)
        if spelling is None:
            raise VocabularyError(f"the byte piece {piece!r} is not of the form <0xNN>", token_id=index)
        return bytes([int(spelling[1], 16)])
    if processor.is_unused(index):
        return b""
    if processor.is_control(index) or processor.is_unknown(index):
        return piece.encode()
    return piece.replace(SPACE_MARKER, " ").encode()


def from_sentencepiece(
    processor: Any, logits_size: int | None, eos_token_ids: int | Sequence[int] | None
) -> Vocabulary:
    """Read a ``sentencepiece.SentencePieceProcessor``."""
    size = processor.get_piece_size()
    tokens = [piece_bytes(processor, i) for i in range(size)]
    special = {i for i in range(size) if processor.is_control(i) or processor.is_unknown(i)}
    check_decoding(tokens, (i for i in range(size) if tokens[i] and i not in special), processor.decode)
    return Vocabulary(
        tokens,
        eos_token_ids=end_tokens(eos_token_ids, processor.eos_id()),
        special_token_ids=special,
        logits_size=logits_size,
    )
