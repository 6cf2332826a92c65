"""Real vocabularies that need no network: the ones shipped inside mistral-common."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

from structgen._vocabulary import Vocabulary

Encode = Callable[[str], list[int]]


def _data_file(name: str) -> Path:
    spec = importlib.util.find_spec("mistral_common")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(
            "this vocabulary comes with mistral-common; install it with: pip install 'structgen[bench]'"
        )
    return Path(spec.submodule_search_locations[0]) / "data" / name


def _encoder(tokenizer: Any) -> Encode:
    def encode(text: str) -> list[int]:
        return list(tokenizer.encode(text, bos=False, eos=False))

    return encode


@functools.cache
def tekken() -> tuple[Vocabulary, Encode]:
    """Return the tekken vocabulary (byte-level BPE, 131,072 ids) and its encoder.

    Returns
    -------
    vocabulary : Vocabulary
        130,072 ordinary tokens after 1,000 special ones; the end token is 2.
    encode : callable
        From a text to token ids, without special tokens.

    Raises
    ------
    ImportError
        mistral-common is not installed.
    """
    path = _data_file("tekken_240911.json")
    from mistral_common.tokens.tokenizers.tekken import Tekkenizer

    tokenizer = Tekkenizer.from_file(path)
    return Vocabulary.from_mistral(tokenizer), _encoder(tokenizer)


@functools.cache
def sentencepiece_32k() -> tuple[Vocabulary, Encode]:
    """Return a SentencePiece vocabulary with byte fallback (32,768 ids) and its encoder.

    Returns
    -------
    vocabulary : Vocabulary
        The end token is 2.
    encode : callable
        From a text to token ids, without special tokens. The model puts a space before the text.

    Raises
    ------
    ImportError
        mistral-common is not installed.
    """
    path = _data_file("mistral_instruct_tokenizer_240323.model.v3")
    from mistral_common.tokens.tokenizers.sentencepiece import SentencePieceTokenizer

    tokenizer = SentencePieceTokenizer(path)
    return Vocabulary.from_mistral(tokenizer), _encoder(tokenizer)
