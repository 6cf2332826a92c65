"""Vocabularies of Hugging Face tokenizers, fast and slow.

A fast tokenizer says in its ``tokenizer.json`` how tokens become text: a pipeline of decoders. We accept the
pipelines that concatenate bytes and refuse every other. Fast or slow, the tokenizer's own decoder then has
the last word on every single token.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

from structgen._errors import VocabularyError
from structgen._vocabulary.exactness import check_decoding, end_tokens
from structgen._vocabulary.sentencepiece import BYTE_PIECE, piece_bytes
from structgen._vocabulary.vocabulary import Vocabulary

Step = Callable[[str], str | bytes]


def from_huggingface(
    tokenizer: Any, logits_size: int | None, eos_token_ids: int | Sequence[int] | None
) -> Vocabulary:
    """Read a ``PreTrainedTokenizerFast``, a slow ``PreTrainedTokenizer`` or a ``tokenizers.Tokenizer``."""
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    wrapped = getattr(tokenizer, "tokenizer", None)
    if hasattr(backend, "to_str"):
        tokens, special = _read_fast(backend)
    elif type(wrapped).__module__.partition(".")[0] == "mistral_common":
        return Vocabulary.from_mistral(wrapped, logits_size, eos_token_ids=eos_token_ids)
    elif hasattr(tokenizer, "convert_ids_to_tokens"):
        tokens, special = _read_slow(tokenizer)
    else:
        raise VocabularyError(f"{type(tokenizer).__name__} is no Hugging Face tokenizer")
    special |= set(getattr(tokenizer, "all_special_ids", ()))
    return Vocabulary(
        tokens,
        eos_token_ids=end_tokens(eos_token_ids, getattr(tokenizer, "eos_token_id", None)),
        special_token_ids=special,
        logits_size=logits_size,
    )


def _read_fast(backend: Any) -> tuple[list[bytes], set[int]]:
    """Return the bytes of every id and the special ids of a ``tokenizers.Tokenizer``."""
    description = json.loads(backend.to_str())
    model = description["model"]
    if model["type"] not in ("BPE", "Unigram"):
        raise VocabularyError(
            f"{model['type']} tokenizers are refused: the spaces between words are not part of their tokens, "
            "so a text does not follow from the bytes of its tokens"
        )
    for mark in ("continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(mark):
            raise VocabularyError(
                f"the tokenizer marks words by {mark}={model[mark]!r}: its spaces are not in its tokens"
            )
    steps = _steps(description["decoder"])
    vocabulary = backend.get_vocab(with_added_tokens=True)
    special = {added["id"] for added in description["added_tokens"] if added["special"]}
    if model.get("unk_token") in vocabulary:
        special.add(vocabulary[model["unk_token"]])
    if model.get("unk_id") is not None:
        special.add(model["unk_id"])
    tokens = [b""] * (max(vocabulary.values(), default=-1) + 1)
    for piece, token_id in vocabulary.items():
        tokens[token_id] = piece.encode() if token_id in special else _apply(steps, piece)
    ordinary = [i for i in sorted(vocabulary.values()) if i not in special]
    check_decoding(tokens, ordinary, lambda batch: backend.decode_batch(batch, skip_special_tokens=False))
    return tokens, special


def _steps(decoder: dict[str, Any] | None) -> list[Step]:
    """Return the functions that a pipeline of decoders applies to each token.

    Raises
    ------
    VocabularyError
        A decoder looks at more than one token, or we do not know it.
    """
    if decoder is None:
        raise VocabularyError("the tokenizer has no decoder: it puts a space between any two tokens")
    steps: list[Step] = []
    done = False  # nothing may rewrite text once tokens have become bytes or have been joined
    for one in decoder["decoders"] if decoder["type"] == "Sequence" else [decoder]:
        kind = one["type"]
        if kind == "Fuse":
            done = True
        elif kind == "Strip" and done and one["content"] == " " and one["stop"] == 0:
            continue  # the space that the tokenizer put before the text, at its very start only
        elif done:
            raise VocabularyError(
                f"the decoder {kind} after bytes or joined tokens cannot be followed token by token"
            )
        elif kind == "ByteLevel":
            steps.append(_byte_level)
            done = True
        elif kind == "ByteFallback":
            steps.append(_byte_fallback)
            done = True
        elif kind == "Metaspace":
            steps.append(_replacement(one["replacement"], " "))
        elif kind == "Replace" and "String" in one["pattern"]:
            steps.append(_replacement(one["pattern"]["String"], one["content"]))
        else:
            raise VocabularyError(f"the decoder {kind} does not leave the bytes of a token recoverable")
    return steps


def _apply(steps: Sequence[Step], piece: str) -> bytes:
    text: str | bytes = piece
    for step in steps:
        if isinstance(text, str):
            text = step(text)
    return text.encode() if isinstance(text, str) else text


def _replacement(old: str, new: str) -> Step:
    return lambda piece: piece.replace(old, new)


def _byte_fallback(piece: str) -> str | bytes:
    spelling = BYTE_PIECE.fullmatch(piece)
    return bytes([int(spelling[1], 16)]) if spelling else piece


def _byte_level(piece: str) -> str | bytes:
    """Undo GPT-2's spelling of bytes as printable characters; a piece that holds any other is plain text."""
    data = [_BYTE_OF.get(character, -1) for character in piece]
    return piece if -1 in data else bytes(data)


def _byte_alphabet() -> dict[str, int]:
    """Return GPT-2's alphabet: printable Latin-1 for itself, the other bytes from U+0100 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    alphabet = {chr(byte): byte for byte in printable}
    for offset, byte in enumerate(b for b in range(256) if b not in printable):
        alphabet[chr(0x100 + offset)] = byte
    return alphabet


_BYTE_OF = _byte_alphabet()


def _read_slow(tokenizer: Any) -> tuple[list[bytes], set[int]]:
    """Return the bytes of every id and the special ids of a tokenizer written in Python."""
    size = len(tokenizer)
    pieces = tokenizer.convert_ids_to_tokens(list(range(size)))
    added = tokenizer.added_tokens_decoder
    special = {i for i, token in added.items() if token.special} | set(tokenizer.all_special_ids)
    processor = getattr(tokenizer, "sp_model", None)
    alphabet = getattr(tokenizer, "byte_decoder", None)
    tokens: list[bytes] = []
    for token_id, piece in enumerate(pieces):
        if token_id in added or token_id in special:
            tokens.append(str(added.get(token_id, piece)).encode())
        elif processor is not None:
            # Some classes shift the ids of their SentencePiece model.
            index = processor.piece_to_id(piece)
            if processor.id_to_piece(index) != piece:
                raise VocabularyError(f"{piece!r} is not in the SentencePiece model", token_id=token_id)
            if processor.is_control(index) or processor.is_unknown(index):
                special.add(token_id)
            tokens.append(piece_bytes(processor, index))
        elif alphabet is not None:
            tokens.append(_spelt(piece, alphabet, token_id))
        else:
            raise VocabularyError(
                f"{type(tokenizer).__name__} is neither a SentencePiece nor a byte-level BPE tokenizer: "
                "the bytes of its tokens cannot be recovered"
            )

    def decode(batch: list[list[int]]) -> list[str]:
        return [tokenizer.convert_tokens_to_string([pieces[i] for i in ids]) for ids in batch]

    # Added tokens never reach `convert_tokens_to_string`: they are shown as they are spelt.
    ordinary = (i for i in range(size) if tokens[i] and i not in special and i not in added)
    check_decoding(tokens, ordinary, decode)
    return tokens, special


def _spelt(piece: str, alphabet: dict[str, int], token_id: int) -> bytes:
    try:
        return bytes(alphabet[character] for character in piece)
    except KeyError as error:
        raise VocabularyError(
            f"{piece!r} holds {error.args[0]!r}, which is not in the byte alphabet", token_id=token_id
        ) from None
