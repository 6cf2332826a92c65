"""Engine-independent vocabularies: the same token bytes and the same tokenisation for every engine.

They are read without any of the engines, so that no engine's own tokenizer code can favour it.
"""

from __future__ import annotations

import base64
import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

TEKKEN_FILE = "tekken_240911.json"


class VocabularyError(Exception):
    """A vocabulary that can't be loaded here; the message says what to install."""


@dataclass(frozen=True)
class BenchVocabulary:
    """Token bytes and an encoder.

    Attributes
    ----------
    name
        The name it is loaded by.
    tokens
        The bytes of every token id; empty for special tokens.
    eos_token_id
        The end token.
    special_token_ids
        Ids of special tokens, the end token among them.
    pattern
        The pre-tokenizer's regular expression, for engines that want the tokenizer itself; empty when
        tokens are bytes.
    """

    name: str
    tokens: tuple[bytes, ...]
    eos_token_id: int
    special_token_ids: tuple[int, ...]
    pattern: str

    @property
    def size(self) -> int:
        """Number of token ids."""
        return len(self.tokens)

    @property
    def mask_words(self) -> int:
        """Number of 32-bit words of a packed mask."""
        return (self.size + 31) // 32

    @cached_property
    def encoding(self) -> Any:
        """The ``tiktoken.Encoding`` whose ids are those of this vocabulary (special ones included)."""
        try:
            import tiktoken
        except ImportError as error:
            raise VocabularyError("tiktoken is not installed: pip install 'structgen[bench]'") from error
        specials = {f"<SPECIAL_{token}>": token for token in self.special_token_ids}
        ordinary = {token: i for i, token in enumerate(self.tokens) if token}
        # A byte vocabulary has no merges: one pre-token per character keeps the encoder linear.
        pattern = self.pattern or r"[\s\S]"
        return tiktoken.Encoding(
            self.name, pat_str=pattern, mergeable_ranks=ordinary, special_tokens=specials
        )

    def encode(self, text: str) -> list[int]:
        """Tokenise ``text`` without special tokens.

        Raises
        ------
        UnicodeEncodeError
            If ``text`` holds a lone surrogate, which no UTF-8 text can.
        """
        data = text.encode("utf-8")
        if not self.pattern:
            offset = self.size - 256
            return [byte + offset for byte in data]
        ids: list[int] = self.encoding.encode_ordinary(text)
        return ids


def load_tekken() -> BenchVocabulary:
    """Load tekken (131,072 ids), the byte-level BPE vocabulary shipped with ``mistral-common``.

    Raises
    ------
    VocabularyError
        If the package or its file is missing.
    """
    # The file alone is needed: importing the package takes over a second.
    spec = importlib.util.find_spec("mistral_common")
    if spec is None or not spec.submodule_search_locations:
        raise VocabularyError("mistral-common is not installed: pip install 'structgen[bench]'")
    file = Path(spec.submodule_search_locations[0]) / "data" / TEKKEN_FILE
    if not file.is_file():
        raise VocabularyError(f"mistral-common does not ship {TEKKEN_FILE}: pip install 'structgen[bench]'")
    content = json.loads(file.read_bytes())
    config = content["config"]
    specials = int(config["default_num_special_tokens"])
    ordinary = int(config["default_vocab_size"]) - specials
    tokens = [b""] * specials + [
        base64.b64decode(entry["token_bytes"]) for entry in content["vocab"][:ordinary]
    ]
    return BenchVocabulary("tekken", tuple(tokens), 2, tuple(range(specials)), config["pattern"])


def load_bytes() -> BenchVocabulary:
    """Load the smallest useful vocabulary: the end token (id 0) and the 256 bytes."""
    return BenchVocabulary("bytes", (b"", *(bytes([byte]) for byte in range(256))), 0, (0,), "")


VOCABULARIES: dict[str, Callable[[], BenchVocabulary]] = {"tekken": load_tekken, "bytes": load_bytes}
"""Loaders by the name that ``--vocabulary`` takes."""


def load(name: str) -> BenchVocabulary:
    """Load a vocabulary by name.

    Raises
    ------
    VocabularyError
        If there is none of that name, or it can't be loaded here.
    """
    try:
        loader = VOCABULARIES[name]
    except KeyError:
        raise VocabularyError(f"no vocabulary {name!r}; there are {', '.join(VOCABULARIES)}") from None
    return loader()
