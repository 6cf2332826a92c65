"""Tokenizers of every family, made or found without a network."""

import functools
import re
from pathlib import Path
from typing import Any

import mistral_common
import sentencepiece
import tiktoken
from mistral_common.tokens.tokenizers.base import SpecialTokenPolicy
from mistral_common.tokens.tokenizers.tekken import Tekkenizer
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPTSw3Tokenizer, LlamaTokenizer, PreTrainedTokenizer, PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import bytes_to_unicode
from transformers.tokenization_utils_base import generate_merges

from tests.vocabulary.corpus import TEXTS

DATA = Path(mistral_common.__file__).parent / "data"
TEKKEN = DATA / "tekken_240911.json"
SENTENCEPIECE = DATA / "mistral_instruct_tokenizer_240323.model.v3"


@functools.cache
def tekkenizer() -> Any:
    return Tekkenizer.from_file(TEKKEN)


@functools.cache
def encoding() -> Any:
    """Make a tiktoken encoding of tekken's ranks, with a hole in the ids before its special tokens."""
    source = tekkenizer()
    ranks = {
        source.id_to_byte_piece(i, SpecialTokenPolicy.RAISE): i - source.num_special_tokens
        for i in range(source.num_special_tokens, 40_000)
    }
    return tiktoken.Encoding(
        "cut",
        pat_str=r"\s?\p{L}+|\s?\p{N}+|\s?[^\s\p{L}\p{N}]+|\s+",
        mergeable_ranks=ranks,
        special_tokens={"<|endoftext|>": 40_000, "<|turn|>": 40_007},
    )


@functools.cache
def processor() -> Any:
    return sentencepiece.SentencePieceProcessor(model_file=str(SENTENCEPIECE))


@functools.cache
def byte_level() -> Any:
    """Train a tiny byte-level BPE; added tokens with and without spaces and beyond ASCII, special and not."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<eos>", "<pad>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.add_tokens([AddedToken("<tool call>", special=False), AddedToken("工具", special=False)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>", pad_token="<pad>")


@functools.cache
def sentencepiece_fast() -> Any:
    """Make the fast tokenizer that `transformers` makes of Llama's SentencePiece models."""
    model = processor()
    vocabulary = {model.id_to_piece(i): i for i in range(model.get_piece_size())}
    scores = {model.id_to_piece(i): model.get_score(i) for i in range(model.get_piece_size())}
    return LlamaTokenizer(vocab=vocabulary, merges=generate_merges(vocabulary, scores))


@functools.cache
def sentencepiece_slow() -> Any:
    """Load a tokenizer in Python around a SentencePiece model; newer releases keep few of these classes."""
    return GPTSw3Tokenizer(
        str(SENTENCEPIECE), unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="<unk>"
    )


@functools.cache
def metaspace_unigram() -> Any:
    """Train a tiny Unigram model whose spaces are markers and whose bytes have no fallback."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=300, special_tokens=["<unk>", "</s>"], unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", unk_token="<unk>")


class SlowByteLevel(PreTrainedTokenizer):
    """A byte-level tokenizer in Python, as GPT-2's was; the merges play no part here."""

    def __init__(self, **options: Any) -> None:
        self.byte_encoder = bytes_to_unicode()
        self.byte_decoder = {character: byte for byte, character in self.byte_encoder.items()}
        self._ids = {character: i for i, character in enumerate([*self.byte_decoder, "Ġthe", "Ã©"])}
        self._pieces = {i: piece for piece, i in self._ids.items()}
        super().__init__(**options)

    @property
    def vocab_size(self) -> int:
        return len(self._ids)

    def get_vocab(self) -> dict[str, int]:
        return {**self._ids, **self.added_tokens_encoder}

    def _tokenize(self, text: str, **options: Any) -> list[str]:
        spelt = "".join(self.byte_encoder[byte] for byte in text.encode())
        return re.findall("Ġthe|Ã©|.", spelt, re.DOTALL)

    def _convert_token_to_id(self, token: str) -> int:
        return self._ids[token]

    def _convert_id_to_token(self, index: int) -> str:
        return self._pieces[index]

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        return bytes(self.byte_decoder[c] for c in "".join(tokens)).decode("utf-8", "replace")


@functools.cache
def byte_level_slow() -> Any:
    return SlowByteLevel(eos_token="<eos>")
