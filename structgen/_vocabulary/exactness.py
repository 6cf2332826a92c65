"""The check that stands between what a tokenizer's files say and what its decoder does."""

from collections.abc import Callable, Iterable, Sequence

from structgen._errors import VocabularyError

_CHUNK = 8192


def check_decoding(
    tokens: Sequence[bytes],
    token_ids: Iterable[int],
    decode_batch: Callable[[list[list[int]]], Sequence[str]],
) -> None:
    """Compare our bytes of every token with what the tokenizer itself decodes.

    Every token is decoded after a plain word: decoders drop a space at the very start of a text. What is
    not UTF-8 on its own shows as U+FFFD on both sides.

    Parameters
    ----------
    tokens : sequence of bytes
        Our bytes of every token id.
    token_ids : iterable of int
        The tokens to check: those that add text to an output.
    decode_batch : callable
        The tokenizer's decoder, from lists of token ids to texts.

    Raises
    ------
    VocabularyError
        The decoder does something else than concatenation, at the first token where it shows.
    """
    ids = list(token_ids)
    # Two letters at best: one letter may be a byte token, which some decoders treat with the bytes behind it.
    words = [i for i in ids if tokens[i].isalpha()]
    anchor = next((i for i in words if len(tokens[i]) > 1), words[0] if words else None)
    if anchor is None:
        raise VocabularyError("the tokenizer has no token of ASCII letters, so its decoder cannot be checked")
    for first in range(0, len(ids), _CHUNK):
        chunk = ids[first : first + _CHUNK]
        for token_id, shown in zip(chunk, decode_batch([[anchor, i] for i in chunk]), strict=True):
            expected = (tokens[anchor] + tokens[token_id]).decode("utf-8", "replace")
            if shown != expected:
                raise VocabularyError(
                    "its bytes cannot be recovered exactly: the tokenizer decodes it, after "
                    f"{tokens[anchor].decode()!r}, as {shown!r} where its piece stands for {expected!r}",
                    token_id=token_id,
                )


def end_tokens(given: int | Sequence[int] | None, default: int | None) -> int | Sequence[int]:
    """Return the end tokens that the caller named, or else the tokenizer's own.

    Raises
    ------
    VocabularyError
        There is neither.
    """
    if given is not None:
        return given
    if default is None or default < 0:
        raise VocabularyError("the tokenizer names no end token; pass eos_token_ids")
    return default
