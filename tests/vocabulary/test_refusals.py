"""Tokenizers whose bytes cannot be recovered are refused, and the message says why."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import tiktoken
from tokenizers import Tokenizer, decoders, models
from transformers import BertTokenizer, ByT5Tokenizer
from transformers.tokenization_utils_sentencepiece import SentencePieceBackend

import structgen.testing.vocabularies
from structgen import Vocabulary, VocabularyError
from tests.vocabulary import tokenizers_at_hand as at_hand

WORDS = {"ab": 0, "cd": 1, "▁e": 2, "</s>": 3}


def fast(model: Any = None, decoder: Any = None) -> Any:
    tokenizer = Tokenizer(model or models.BPE(vocab=WORDS, merges=[]))
    tokenizer.decoder = decoder
    return tokenizer


def test_the_plain_case_is_accepted() -> None:
    vocabulary = Vocabulary.from_huggingface(fast(decoder=decoders.Metaspace()), eos_token_ids=3)
    assert vocabulary.tokens == (b"ab", b"cd", b" e", b"</s>")


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "wordpiece": (
        lambda: fast(models.WordPiece(vocab={**WORDS, "[UNK]": 4}), decoders.WordPiece()),
        "WordPiece tokenizers are refused: the spaces between words",
    ),
    "wordlevel": (
        lambda: fast(models.WordLevel(vocab=WORDS, unk_token="ab")),
        "WordLevel tokenizers are refused",
    ),
    "end of word": (
        lambda: fast(models.BPE(vocab=WORDS, merges=[], end_of_word_suffix="</w>"), decoders.ByteLevel()),
        "end_of_word_suffix='</w>'",
    ),
    "subword prefix": (
        lambda: fast(models.BPE(vocab=WORDS, merges=[], continuing_subword_prefix="##"), decoders.Fuse()),
        "continuing_subword_prefix='##'",
    ),
    "no decoder": (fast, "has no decoder"),
    "bpe decoder": (lambda: fast(decoder=decoders.BPEDecoder()), "the decoder BPEDecoder does not leave"),
    "ctc": (lambda: fast(decoder=decoders.CTC()), "the decoder CTC does not leave"),
    "strip of every token": (
        lambda: fast(decoder=decoders.Strip(" ", 1, 0)),
        "the decoder Strip does not leave",
    ),
    "strip at the end": (
        lambda: fast(decoder=decoders.Sequence([decoders.Fuse(), decoders.Strip(" ", 0, 1)])),
        "Strip after bytes or joined tokens",
    ),
    "replacement in joined text": (
        lambda: fast(decoder=decoders.Sequence([decoders.Fuse(), decoders.Replace("bc", "x")])),
        "Replace after bytes or joined tokens",
    ),
    "no letters": (
        lambda: fast(models.BPE(vocab={"1": 0, "2": 1}, merges=[]), decoders.Fuse()),
        "no token of ASCII letters",
    ),
    "a list": (lambda: ["a", "b"], "list is no tokenizer that we know"),
    "characters as tokens": (ByT5Tokenizer, "ByT5Tokenizer is neither a SentencePiece nor a byte-level"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_the_reason(name: str) -> None:
    make, message = REFUSED[name]
    with pytest.raises(VocabularyError, match=message.replace("(", r"\(")):
        Vocabulary.from_tokenizer(make(), eos_token_ids=0)


def test_bert_is_refused() -> None:
    tokenizer = BertTokenizer(
        vocab={"[UNK]": 0, "[SEP]": 1, "[PAD]": 2, "[CLS]": 3, "[MASK]": 4, "play": 5, "##ing": 6}
    )
    with pytest.raises(VocabularyError, match="WordPiece tokenizers are refused"):
        Vocabulary.from_huggingface(tokenizer, eos_token_ids=1)


def test_a_decoder_that_disagrees_is_refused_with_the_token() -> None:
    # The decoder's number parser takes a sign, so that it reads a byte where the piece is plain text.
    pieces = {"ab": 0, "<0x41>": 1, "<0x+f>": 2}
    tokenizer = fast(models.BPE(vocab=pieces, merges=[]), decoders.ByteFallback())
    with pytest.raises(VocabularyError, match="cannot be recovered exactly") as caught:
        Vocabulary.from_huggingface(tokenizer, eos_token_ids=0)
    assert caught.value.token_id == 2
    tokenizer = fast(models.BPE(vocab={"ab": 0, "<0x41>": 1}, merges=[]), decoders.ByteFallback())
    assert Vocabulary.from_huggingface(tokenizer, eos_token_ids=0).tokens == (b"ab", b"A")


def test_a_slow_decoder_that_shows_byte_pieces_as_text_is_refused() -> None:
    tokenizer = SentencePieceBackend(
        vocab_file=str(at_hand.SENTENCEPIECE), unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )
    with pytest.raises(VocabularyError, match="cannot be recovered exactly") as caught:
        Vocabulary.from_huggingface(tokenizer)
    assert caught.value.token_id == at_hand.processor().piece_to_id("<0x00>")


def test_a_slow_piece_outside_the_byte_alphabet_is_refused() -> None:
    tokenizer = at_hand.SlowByteLevel(eos_token="<eos>")
    tokenizer._pieces[7] = "世"
    with pytest.raises(VocabularyError, match="not in the byte alphabet") as caught:
        Vocabulary.from_huggingface(tokenizer)
    assert caught.value.token_id == 7


def test_no_end_token() -> None:
    with pytest.raises(VocabularyError, match="names no end token; pass eos_token_ids"):
        Vocabulary.from_huggingface(fast(decoder=decoders.Metaspace()))
    encoding = tiktoken.Encoding(
        "bytes",
        pat_str=".",
        mergeable_ranks={bytes([b]): b for b in range(256)},
        special_tokens={"<end>": 256},
    )
    with pytest.raises(VocabularyError, match="names no end token"):
        Vocabulary.from_tiktoken(encoding)
    assert Vocabulary.from_tiktoken(encoding, eos_token_ids=256).eos_token_ids == (256,)


def test_logits_narrower_than_the_tokenizer() -> None:
    with pytest.raises(VocabularyError, match="logits_size is 3"):
        Vocabulary.from_huggingface(fast(decoder=decoders.Metaspace()), 3, eos_token_ids=3)


def test_what_is_no_mistral_or_hugging_face_tokenizer(tmp_path: Any) -> None:
    other = tmp_path / "tekken.txt"
    other.write_text(json.dumps({}))
    with pytest.raises(VocabularyError, match="is no file of a tekken or SentencePiece tokenizer"):
        Vocabulary.from_mistral(other)
    with pytest.raises(VocabularyError, match="int is no tokenizer of mistral-common"):
        Vocabulary.from_mistral(3)
    with pytest.raises(VocabularyError, match="int is no Hugging Face tokenizer"):
        Vocabulary.from_huggingface(3)


def test_shipped_vocabularies_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'structgen\[bench\]'"):
        structgen.testing.vocabularies.tekken.__wrapped__()
