"""Vocabularies as bytes, and as files that spare reading a tokenizer again."""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable, Iterable
from itertools import accumulate, pairwise
from pathlib import Path

from structgen._errors import VocabularyError
from structgen._vocabulary.vocabulary import Vocabulary

_SIZES = struct.Struct("<QQQQ")


def vocabulary_bytes(vocabulary: Vocabulary) -> bytes:
    """Return a vocabulary as bytes."""
    tokens, ends, special = vocabulary.tokens, vocabulary.eos_token_ids, vocabulary.special_token_ids
    sizes = _SIZES.pack(len(ends), len(special), len(tokens), vocabulary.logits_size)
    numbers = [*ends, *special, *map(len, tokens)]
    return sizes + struct.pack(f"<{len(numbers)}I", *numbers) + b"".join(tokens)


def vocabulary_of_bytes(data: bytes) -> Vocabulary:
    """Return the vocabulary that these bytes were made of.

    Raises
    ------
    VocabularyError
        They are no vocabulary.
    """
    try:
        ends, special, size, width = _SIZES.unpack_from(data)
        # Checked before so many numbers are made.
        if (ends + special + size) * 4 > len(data):
            raise VocabularyError("the bytes of a vocabulary are too few")
        numbers = struct.unpack_from(f"<{ends + special + size}I", data, _SIZES.size)
    except struct.error as error:
        raise VocabularyError(f"the bytes are no vocabulary: {error}") from None
    first = _SIZES.size + 4 * len(numbers)
    places = list(accumulate(numbers[ends + special :], initial=first))
    if places[-1] != len(data):
        raise VocabularyError("the tokens of a vocabulary do not fill its bytes")
    return Vocabulary(
        [data[a:b] for a, b in pairwise(places)],
        eos_token_ids=numbers[:ends],
        special_token_ids=numbers[ends : ends + special],
        logits_size=width,
    )


def cached_vocabulary(
    make: Callable[[], Vocabulary],
    key: Iterable[str | os.PathLike[str]],
    directory: str | os.PathLike[str],
) -> Vocabulary:
    """Return a vocabulary from a directory, or else make it and keep it there."""
    import structgen
    from structgen._cache._files import Files

    digest = hashlib.blake2b(structgen.__version__.encode(), digest_size=20)
    for part in key:
        # The length tells where a part ends.
        content = part.encode() if isinstance(part, str) else Path(part).read_bytes()
        digest.update(f"{type(part) is str} {len(content)} ".encode())
        digest.update(content)
    name = digest.hexdigest()
    files = Files(Path(directory) / "vocabularies")
    data = files.read(name)
    if data is not None:
        try:
            return vocabulary_of_bytes(data)
        except VocabularyError as error:
            files.discard(name, str(error))
    vocabulary = make()
    files.write(name, vocabulary_bytes(vocabulary))
    return vocabulary
