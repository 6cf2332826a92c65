"""The vocabulary of a language model, as bytes."""

from __future__ import annotations

import hashlib
import operator
import os
import struct
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from structgen._errors import VocabularyError

if TYPE_CHECKING:
    from structgen._core import NativeVocabulary

# Token ids are non-negative int32 in the core and in every engine's masks.
_MAX_TOKENS = 2**31 - 1

# One lock for all: the native tables of a vocabulary are built once, whatever thread comes first. A child
# process must not inherit it locked.
_building = threading.Lock()


def _renew_lock() -> None:
    global _building
    _building = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)


class Vocabulary:
    """The bytes of every token id, the end tokens, the special tokens and the width of the logits.

    Parameters
    ----------
    tokens : sequence of bytes
        ``tokens[i]`` is what token ``i`` adds to the output. Ids without text (unused slots) have ``b""``
        and are never allowed. Several ids may have equal bytes.
    eos_token_ids : int or sequence of int
        The tokens that end a generation; a mask holds all of them exactly where the output may end.
        They need no bytes and add none.
    special_token_ids : sequence of int, optional
        Control tokens (padding, begin of sequence, roles ...). A mask never allows them, whatever their bytes
        are, unless a grammar names them. End tokens may be listed here too.
    logits_size : int, optional
        Width of the model's logits where it is padded beyond the last token; the tail is never allowed.
        The default is ``len(tokens)``.

    Raises
    ------
    VocabularyError
        A token is not ``bytes``, an id is out of range, there is no end token, or ``logits_size`` is less
        than the number of tokens.

    Notes
    -----
    Immutable, safe to share between threads, and picklable (the native tables are rebuilt on first use).
    Two vocabularies are equal when their :attr:`content_hash` is.
    """

    __slots__ = (
        "__weakref__",
        "_content_hash",
        "_eos_token_ids",
        "_logits_size",
        "_native",
        "_special_token_ids",
        "_special_tokens",
        "_tokens",
    )

    def __init__(
        self,
        tokens: Sequence[bytes],
        *,
        eos_token_ids: int | Sequence[int],
        special_token_ids: Iterable[int] = (),
        logits_size: int | None = None,
    ) -> None:
        self._tokens = _checked_tokens(tokens)
        size = len(self._tokens)
        self._eos_token_ids = _checked_ids(eos_token_ids, size, "eos_token_ids")
        if not self._eos_token_ids:
            raise VocabularyError("eos_token_ids is empty: without an end token no output could end")
        self._special_token_ids = _checked_ids(special_token_ids, size, "special_token_ids")
        width = size if logits_size is None else _integer(logits_size, "logits_size")
        if not size <= width <= _MAX_TOKENS:
            raise VocabularyError(f"logits_size is {width}, outside [{size} tokens, {_MAX_TOKENS}]")
        self._logits_size = width
        self._content_hash: str | None = None
        self._native: NativeVocabulary | None = None
        self._special_tokens: dict[str, int] | None = None

    @classmethod
    def of_bytes(cls) -> Vocabulary:
        """Return a vocabulary of all single bytes: token ``b`` is the byte ``b``, and 256 is the end token.

        It needs no tokenizer, and serves to look into a constraint itself: tests, examples, random texts.

        Returns
        -------
        Vocabulary
            257 tokens.
        """
        return cls([*(bytes([byte]) for byte in range(256)), b""], eos_token_ids=256)

    @classmethod
    def from_tokenizer(
        cls,
        tokenizer: Any,
        logits_size: int | None = None,
        *,
        eos_token_ids: int | Sequence[int] | None = None,
    ) -> Vocabulary:
        """Read the vocabulary of any tokenizer that the other constructors take.

        Parameters
        ----------
        tokenizer : object
            A tokenizer of Hugging Face, tiktoken, mistral-common, SentencePiece or mlx-lm, or a
            ``llama_cpp.Llama``.
        logits_size : int, optional
            Width of the model's logits; for a Hugging Face model ``model.config.vocab_size``.
        eos_token_ids : int or sequence of int, optional
            The end tokens, where they are not (only) the tokenizer's own.

        Returns
        -------
        Vocabulary

        Raises
        ------
        VocabularyError
            The bytes of a token cannot be recovered exactly, there is no end token, or the kind is unknown.
        """
        libraries = {base.__module__.partition(".")[0] for base in type(tokenizer).__mro__}
        if libraries & {"transformers", "tokenizers"}:
            return cls.from_huggingface(tokenizer, logits_size, eos_token_ids=eos_token_ids)
        if "tiktoken" in libraries:
            return cls.from_tiktoken(tokenizer, logits_size, eos_token_ids=eos_token_ids)
        if "mistral_common" in libraries:
            return cls.from_mistral(tokenizer, logits_size, eos_token_ids=eos_token_ids)
        if "sentencepiece" in libraries:
            return cls.from_sentencepiece(tokenizer, logits_size, eos_token_ids=eos_token_ids)
        if "llama_cpp" in libraries:
            return cls.from_llama_cpp(tokenizer, logits_size, eos_token_ids=eos_token_ids)
        if "mlx_lm" in libraries:
            # A wrapper, which forwards what it does not know, and has the end tokens of the model's settings.
            ends = sorted(tokenizer.eos_token_ids) if eos_token_ids is None else eos_token_ids
            return cls.from_huggingface(tokenizer._tokenizer, logits_size, eos_token_ids=ends)
        raise VocabularyError(
            f"{type(tokenizer).__name__} is no tokenizer that we know; pass its tokens instead"
        )

    @classmethod
    def from_huggingface(
        cls,
        tokenizer: Any,
        logits_size: int | None = None,
        *,
        eos_token_ids: int | Sequence[int] | None = None,
    ) -> Vocabulary:
        """Read a Hugging Face tokenizer, fast or slow: byte-level BPE or SentencePiece.

        Parameters
        ----------
        tokenizer : PreTrainedTokenizerBase or tokenizers.Tokenizer
            Its decoder is asked for every token, and must agree with the bytes that we read.
        logits_size : int, optional
            Width of the model's logits, usually ``model.config.vocab_size``.
        eos_token_ids : int or sequence of int, optional
            The end tokens. The default is ``tokenizer.eos_token_id``; chat models often have more in
            ``model.generation_config.eos_token_id``.

        Returns
        -------
        Vocabulary

        Raises
        ------
        VocabularyError
            The bytes of a token cannot be recovered exactly (WordPiece and other tokenizers whose tokens do
            not hold the spaces), or there is no end token.

        Notes
        -----
        ``tokenizer.decode`` may still edit the joined text: a SentencePiece tokenizer drops one space at its
        very start, and ``clean_up_tokenization_spaces`` removes spaces before punctuation. :meth:`decode`
        does neither.
        """
        from structgen._vocabulary.huggingface import from_huggingface

        return from_huggingface(tokenizer, logits_size, eos_token_ids)

    @classmethod
    def from_tiktoken(
        cls,
        encoding: Any,
        logits_size: int | None = None,
        *,
        eos_token_ids: int | Sequence[int] | None = None,
    ) -> Vocabulary:
        """Read a ``tiktoken.Encoding``.

        Parameters
        ----------
        encoding : tiktoken.Encoding
        logits_size : int, optional
            Width of the model's logits.
        eos_token_ids : int or sequence of int, optional
            The end tokens. The default is ``<|endoftext|>``.

        Returns
        -------
        Vocabulary

        Raises
        ------
        VocabularyError
            The encoding has no ``<|endoftext|>`` and `eos_token_ids` is not given.
        """
        from structgen._vocabulary.tiktoken import from_tiktoken

        return from_tiktoken(encoding, logits_size, eos_token_ids)

    @classmethod
    def from_mistral(
        cls,
        tokenizer: Any,
        logits_size: int | None = None,
        *,
        eos_token_ids: int | Sequence[int] | None = None,
    ) -> Vocabulary:
        """Read a mistral-common tokenizer: tekken or SentencePiece.

        Parameters
        ----------
        tokenizer : MistralTokenizer, Tekkenizer, SentencePieceTokenizer, str or os.PathLike
            The tokenizer, the wrapper around it, or its file.
        logits_size : int, optional
            Width of the model's logits.
        eos_token_ids : int or sequence of int, optional
            The end tokens. The default is ``</s>``.

        Returns
        -------
        Vocabulary

        Raises
        ------
        VocabularyError
            It is none of these.
        """
        from structgen._vocabulary.mistral import from_mistral

        return from_mistral(tokenizer, logits_size, eos_token_ids)

    @classmethod
    def from_sentencepiece(
        cls,
        processor: Any,
        logits_size: int | None = None,
        *,
        eos_token_ids: int | Sequence[int] | None = None,
    ) -> Vocabulary:
        """Read a ``sentencepiece.SentencePieceProcessor``, with byte fallback or without.

        Parameters
        ----------
        processor : sentencepiece.SentencePieceProcessor
        logits_size : int, optional
            Width of the model's logits.
        eos_token_ids : int or sequence of int, optional
            The end tokens. The default is the model's own.

        Returns
        -------
        Vocabulary

        Raises
        ------
        VocabularyError
            The bytes of a piece cannot be recovered exactly, or the model has no end token.
        """
        from structgen._vocabulary.sentencepiece import from_sentencepiece

        return from_sentencepiece(processor, logits_size, eos_token_ids)

    @classmethod
    def from_llama_cpp(
        cls,
        llm: Any,
        logits_size: int | None = None,
        *,
        eos_token_ids: int | Sequence[int] | None = None,
    ) -> Vocabulary:
        """Read the vocabulary of a GGUF model that llama-cpp-python has loaded.

        Parameters
        ----------
        llm : llama_cpp.Llama
            With ``vocab_only=True`` or the whole model.
        logits_size : int, optional
            Width of the model's logits, which for llama.cpp is the number of tokens.
        eos_token_ids : int or sequence of int, optional
            The end tokens. The default is all that end a generation for llama.cpp (``llama_vocab_is_eog``).

        Returns
        -------
        Vocabulary

        Raises
        ------
        VocabularyError
            llama.cpp knows no end token of the model, and `eos_token_ids` is not given.

        Notes
        -----
        Tokens of more than 32 bytes (long runs of spaces or dashes) have no bytes here, and so are never
        allowed, where llama-cpp-python leaves them out of its texts.
        """
        from structgen._vocabulary.llama_cpp import from_llama_cpp

        return from_llama_cpp(llm, logits_size, eos_token_ids)

    @classmethod
    def cached(
        cls,
        make: Callable[[], Vocabulary],
        *,
        key: Iterable[str | os.PathLike[str]],
        directory: str | os.PathLike[str],
    ) -> Vocabulary:
        """Return a vocabulary from a directory, or else make it and keep it there for later processes.

        Parameters
        ----------
        make : callable
            Makes it where it is not there yet, such as
            ``lambda: Vocabulary.from_mistral("tekken.json")``.
        key : iterable of str or os.PathLike
            All that it depends on: of a path (not a `str`) the content of the file, of a `str` its text, such
            as the name and the revision of a model or the width of the logits.
        directory : str or os.PathLike
            The directory, which may be that of an :class:`AutomatonCache`, too. It is made if need be. Where
            it cannot be written, the vocabulary is made each time, and a warning is logged.

        Returns
        -------
        Vocabulary

        Raises
        ------
        OSError
            A file of the key cannot be read.
        Exception
            Whatever `make` raises.

        Notes
        -----
        The file holds the tokens, with a checksum. A damaged one is made anew, with a warning of the logger
        ``structgen.cache``. Whoever can write into the directory decides what the tokens are.
        """
        from structgen._vocabulary.stored import cached_vocabulary

        return cached_vocabulary(make, key, directory)

    @property
    def tokens(self) -> tuple[bytes, ...]:
        """The bytes of every token id."""
        return self._tokens

    @property
    def eos_token_ids(self) -> tuple[int, ...]:
        """The end tokens, sorted."""
        return self._eos_token_ids

    @property
    def special_token_ids(self) -> tuple[int, ...]:
        """The special tokens, sorted."""
        return self._special_token_ids

    @property
    def special_tokens(self) -> Mapping[str, int]:
        """The ids of special and end tokens by their spelling; the smallest id where several share one."""
        if self._special_tokens is None:
            named: dict[str, int] = {}
            for token_id in sorted({*self._special_token_ids, *self._eos_token_ids}):
                if self._tokens[token_id]:
                    named.setdefault(self._tokens[token_id].decode(errors="replace"), token_id)
            self._special_tokens = named
        return MappingProxyType(self._special_tokens)

    @property
    def logits_size(self) -> int:
        """Width of the model's logits, padding included."""
        return self._logits_size

    @property
    def content_hash(self) -> str:
        """SHA-256 of everything above in hexadecimal; the same in every process and on every platform."""
        if self._content_hash is None:
            digest = hashlib.sha256(b"structgen.Vocabulary/1")
            for ids in (self._eos_token_ids, self._special_token_ids):
                digest.update(struct.pack(f"<Q{len(ids)}I", len(ids), *ids))
            digest.update(struct.pack("<QQ", self._logits_size, len(self._tokens)))
            digest.update(struct.pack(f"<{len(self._tokens)}Q", *map(len, self._tokens)))
            digest.update(b"".join(self._tokens))
            self._content_hash = digest.hexdigest()
        return self._content_hash

    @property
    def native(self) -> NativeVocabulary:
        """The native token trie and the tables that all grammars of this vocabulary share."""
        with _building:
            if self._native is None:
                from structgen._core import NativeVocabulary

                self._native = NativeVocabulary(
                    self._tokens, self._eos_token_ids, self._special_token_ids, self._logits_size
                )
            return self._native

    def decode(self, token_ids: Iterable[int]) -> bytes:
        """Return the bytes that these tokens add to an output; end and special tokens add none.

        Parameters
        ----------
        token_ids : iterable of int
            Ids in ``range(len(self))``.

        Returns
        -------
        bytes

        Raises
        ------
        VocabularyError
            An id is out of range.
        """
        silent = {*self._eos_token_ids, *self._special_token_ids}
        parts = []
        for token_id in token_ids:
            if not 0 <= token_id < len(self._tokens):
                raise VocabularyError(f"out of range for {len(self._tokens)} tokens", token_id=int(token_id))
            if token_id not in silent:
                parts.append(self._tokens[token_id])
        return b"".join(parts)

    def __len__(self) -> int:
        return len(self._tokens)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Vocabulary):
            return NotImplemented
        return self is other or self.content_hash == other.content_hash

    def __hash__(self) -> int:
        return hash(self.content_hash)

    def __repr__(self) -> str:
        return (
            f"<Vocabulary of {len(self._tokens)} tokens, eos_token_ids={list(self._eos_token_ids)}, "
            f"{len(self._special_token_ids)} special, logits_size={self._logits_size}>"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self._tokens, self._eos_token_ids, self._special_token_ids, self._logits_size)


def _rebuild(
    tokens: tuple[bytes, ...], eos: tuple[int, ...], special: tuple[int, ...], width: int
) -> Vocabulary:
    return Vocabulary(tokens, eos_token_ids=eos, special_token_ids=special, logits_size=width)


def _checked_tokens(tokens: Sequence[bytes]) -> tuple[bytes, ...]:
    if isinstance(tokens, (bytes, bytearray, str)):
        raise VocabularyError(f"tokens must be a sequence of bytes objects, not {type(tokens).__name__}")
    try:
        checked = tuple(tokens)
    except TypeError as error:
        raise VocabularyError(f"tokens must be a sequence of bytes objects: {error}") from None
    if not checked:
        raise VocabularyError("there are no tokens")
    for token_id, token in enumerate(checked):
        if type(token) is not bytes:
            raise VocabularyError(f"must be bytes, not {type(token).__name__}", token_id=token_id)
    return checked


def _integer(value: Any, name: str) -> int:
    """Return `value` as an int; NumPy integers are welcome, booleans and floats are mistakes."""
    if isinstance(value, bool):
        raise VocabularyError(f"{name} must hold integers, not bool")
    try:
        return operator.index(value)
    except TypeError:
        raise VocabularyError(f"{name} must hold integers, not {type(value).__name__}") from None


def _checked_ids(ids: int | Iterable[int], size: int, name: str) -> tuple[int, ...]:
    """Return `ids` sorted and without repeats, all of them in ``range(size)``."""
    if isinstance(ids, (str, bytes)) or not isinstance(ids, Iterable):
        given: list[Any] = [ids]
    else:
        given = list(ids)
    checked = sorted({_integer(i, name) for i in given})
    for token_id in checked:
        if not 0 <= token_id < size:
            raise VocabularyError(f"{name} is out of range for {size} tokens", token_id=token_id)
    return tuple(checked)
