"""Vocabularies by the names that commands take."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from structgen._errors import VocabularyError
from structgen.cli._common import UnusableInputError

if TYPE_CHECKING:
    from structgen._vocabulary import Vocabulary

HELP = (
    "tekken (131,072 tokens, comes with mistral-common), tiny (that of the demo's model), bytes (single "
    "bytes), or the folder of a Hugging Face tokenizer. auto: tekken if mistral-common is installed, else "
    "bytes."
)


class Named(NamedTuple):
    """A vocabulary, what messages call it, and how texts become its tokens."""

    label: str
    vocabulary: Vocabulary
    encode: Callable[[str], list[int]]


def load_vocabulary(name: str) -> Named:
    """Load a vocabulary: ``auto``, ``tekken``, ``tiny``, ``bytes`` or the folder of a tokenizer.

    Raises
    ------
    UnusableInputError
        There is none of that name, or it needs something that is not installed.
    """
    from structgen._vocabulary import Vocabulary

    if name == "auto":
        name = "tekken" if importlib.util.find_spec("mistral_common") else "bytes"
    if name == "bytes":
        return Named("single bytes", Vocabulary.of_bytes(), lambda text: list(text.encode()))
    try:
        if name == "tekken":
            from structgen.testing.vocabularies import tekken

            vocabulary, encode = tekken()
            return Named(f"tekken ({len(vocabulary):,} tokens)", vocabulary, encode)
        return _from_folder(name)
    except (ImportError, FileNotFoundError, VocabularyError) as error:
        raise UnusableInputError(name, str(error), "take --vocabulary bytes") from None


def _from_folder(name: str) -> Named:
    from structgen._vocabulary import Vocabulary

    if name == "tiny":
        from structgen.testing import tiny_model

        folder = tiny_model.path()
    else:
        folder = Path(name)
        if not folder.is_dir():
            raise UnusableInputError(
                name, "is no vocabulary", "take auto, tekken, tiny, bytes or the folder of a tokenizer"
            )
    try:
        from transformers import AutoTokenizer
    except ImportError:
        raise UnusableInputError(
            name, "needs transformers", "install it with pip install 'structgen[hf]'"
        ) from None
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except (OSError, ValueError) as error:
        raise UnusableInputError(name, f"is no folder of a tokenizer ({error})") from None
    vocabulary = Vocabulary.from_huggingface(tokenizer)

    def encode(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False))

    return Named(f"{name} ({len(vocabulary):,} tokens)", vocabulary, encode)
