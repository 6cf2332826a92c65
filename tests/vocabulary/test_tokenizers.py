"""Every family: what the tokenizer decodes is what our bytes join to."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from mistral_common.tokens.tokenizers.mistral import MistralTokenizer
from mistral_common.tokens.tokenizers.sentencepiece import SentencePieceTokenizer

from structgen import Vocabulary
from structgen.testing.vocabularies import sentencepiece_32k, tekken
from tests.vocabulary import tokenizers_at_hand as at_hand
from tests.vocabulary.corpus import TEXTS


def _huggingface(tokenizer: Any, text: str) -> tuple[list[int], str]:
    ids = tokenizer.encode(text, add_special_tokens=False)
    return ids, tokenizer.decode(ids, clean_up_tokenization_spaces=False)


def _tiktoken(encoding: Any, text: str) -> tuple[list[int], str]:
    ids = encoding.encode_ordinary(text)
    return ids, encoding.decode(ids)


def _sentencepiece(processor: Any, text: str) -> tuple[list[int], str]:
    ids = processor.encode(text)
    return ids, processor.decode(ids)


def _mistral(tokenizer: Any, text: str) -> tuple[list[int], str]:
    ids = tokenizer.encode(text, bos=False, eos=False)
    return ids, tokenizer.decode(ids)


def _mistral_sentencepiece() -> Any:
    return SentencePieceTokenizer(at_hand.SENTENCEPIECE)


Codec = Callable[[Any, str], tuple[list[int], str]]
# name: the tokenizer, how to call it, whether its decoder drops a space at the start of a text
FAMILIES: dict[str, tuple[Callable[[], Any], Codec, bool]] = {
    "hf-byte-level": (at_hand.byte_level, _huggingface, False),
    "hf-byte-level-slow": (at_hand.byte_level_slow, _huggingface, False),
    "hf-sentencepiece": (at_hand.sentencepiece_fast, _huggingface, True),
    "hf-sentencepiece-slow": (at_hand.sentencepiece_slow, _huggingface, True),
    "hf-metaspace-unigram": (at_hand.metaspace_unigram, _huggingface, True),
    "tiktoken": (at_hand.encoding, _tiktoken, False),
    "mistral-tekken": (at_hand.tekkenizer, _mistral, False),
    "mistral-sentencepiece": (_mistral_sentencepiece, _mistral, True),
    "sentencepiece": (at_hand.processor, _sentencepiece, True),
}
# Families that spell what they do not know, byte by byte.
WITH_BYTES = sorted(set(FAMILIES) - {"hf-metaspace-unigram"})


@pytest.mark.parametrize("name", FAMILIES)
def test_decoding_is_joining_our_bytes(name: str) -> None:
    make, codec, drops_space = FAMILIES[name]
    tokenizer = make()
    vocabulary = Vocabulary.from_tokenizer(tokenizer)
    for text in TEXTS:
        ids, decoded = codec(tokenizer, text)
        joined = vocabulary.decode(ids).decode()
        assert joined == b"".join(vocabulary.tokens[i] for i in ids).decode()
        assert (joined.removeprefix(" ") if drops_space else joined) == decoded


@pytest.mark.parametrize("name", WITH_BYTES)
def test_corpus_reaches_tokens_that_are_no_text(name: str) -> None:
    make, codec, _ = FAMILIES[name]
    tokenizer = make()
    vocabulary = Vocabulary.from_tokenizer(tokenizer)
    used = {vocabulary.tokens[i] for text in TEXTS for i in codec(tokenizer, text)[0]}
    assert any("\ufffd" in token.decode("utf-8", "replace") for token in used)
    assert any(token.startswith(b" ") for token in used)
    missing = {bytes([byte]) for byte in range(256)} - set(vocabulary.tokens)
    assert not missing


@pytest.mark.parametrize("name", ["hf-byte-level", "hf-byte-level-slow", "tiktoken", "mistral-tekken"])
def test_any_sequence_of_tokens_decodes_as_our_bytes(name: str) -> None:
    tokenizer = FAMILIES[name][0]()
    vocabulary = Vocabulary.from_tokenizer(tokenizer)
    silent = {*vocabulary.eos_token_ids, *vocabulary.special_token_ids}
    ordinary = [i for i, token in enumerate(vocabulary.tokens) if token and i not in silent]
    draw = random.Random(0)
    for _ in range(200):
        ids = draw.choices(ordinary, k=20)
        assert tokenizer.decode(ids) == vocabulary.decode(ids).decode("utf-8", "replace")


def test_special_and_added_tokens_of_a_fast_tokenizer() -> None:
    tokenizer = at_hand.byte_level()
    vocabulary = Vocabulary.from_huggingface(tokenizer, 512)
    assert vocabulary.logits_size == 512
    assert vocabulary.eos_token_ids == (tokenizer.eos_token_id,)
    assert vocabulary.special_token_ids == (0, 1)
    assert vocabulary.tokens[1] == b"<pad>"
    for added in ("<tool call>", "工具"):
        token_id = tokenizer.convert_tokens_to_ids(added)
        assert vocabulary.tokens[token_id] == added.encode()
        assert token_id not in vocabulary.special_token_ids
    backend = Vocabulary.from_tokenizer(tokenizer.backend_tokenizer, 512, eos_token_ids=0)
    assert backend == vocabulary


def test_fast_and_slow_read_the_same_sentencepiece_model() -> None:
    expected = Vocabulary.from_sentencepiece(at_hand.processor())
    fast = Vocabulary.from_huggingface(at_hand.sentencepiece_fast())
    slow = Vocabulary.from_huggingface(at_hand.sentencepiece_slow())
    assert slow == expected
    ordinary = [i for i in range(len(expected)) if i not in expected.special_token_ids]
    assert [fast.tokens[i] for i in ordinary] == [expected.tokens[i] for i in ordinary]
    assert fast.eos_token_ids == expected.eos_token_ids == (2,)


def test_tiktoken_specials_and_holes() -> None:
    vocabulary = Vocabulary.from_tiktoken(at_hand.encoding(), 40_960)
    assert (len(vocabulary), vocabulary.logits_size) == (40_008, 40_960)
    assert vocabulary.eos_token_ids == (40_000,)
    assert vocabulary.special_token_ids == (40_000, 40_007)
    assert vocabulary.tokens[40_000] == b"<|endoftext|>"
    assert vocabulary.tokens[39_500:40_000] == (b"",) * 500 == vocabulary.tokens[39_000:39_500]
    both = Vocabulary.from_tiktoken(at_hand.encoding(), eos_token_ids=[40_007, 40_000])
    assert both.eos_token_ids == (40_000, 40_007)


def test_mistral_wrappers_and_files_are_the_same_tokenizer() -> None:
    wrapper = MistralTokenizer.from_file(str(at_hand.TEKKEN))
    expected = Vocabulary.from_mistral(at_hand.tekkenizer())
    assert len(expected) == 131_072
    assert expected.eos_token_ids == (2,)
    assert expected.special_token_ids == tuple(range(1000))
    for same in (wrapper, wrapper.instruct_tokenizer, at_hand.TEKKEN, str(at_hand.TEKKEN)):
        assert Vocabulary.from_mistral(same) == expected
    pieces = Vocabulary.from_mistral(at_hand.SENTENCEPIECE, 40_000)
    assert pieces == Vocabulary.from_sentencepiece(at_hand.processor(), 40_000)


def test_mistral_inside_transformers() -> None:
    from transformers.tokenization_mistral_common import MistralCommonBackend

    wrapped = MistralCommonBackend(str(at_hand.TEKKEN))
    assert Vocabulary.from_tokenizer(wrapped) == Vocabulary.from_mistral(at_hand.tekkenizer())


@pytest.mark.parametrize(
    ("load", "size", "drops_space"), [(tekken, 131_072, False), (sentencepiece_32k, 32_768, True)]
)
def test_shipped_vocabularies(load: Callable[[], Any], size: int, drops_space: bool) -> None:
    vocabulary, encode = load()
    assert load()[0] is vocabulary
    assert len(vocabulary) == size
    for text in TEXTS:
        joined = vocabulary.decode(encode(text)).decode()
        assert (joined.removeprefix(" ") if drops_space else joined) == text
