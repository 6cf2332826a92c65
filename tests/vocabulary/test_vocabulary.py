"""The class itself: validation, equality, hashing, pickling."""

import hashlib
import pickle
import subprocess
import sys

import numpy as np
import pytest

from structgen import Vocabulary, VocabularyError

TOKENS = [b"a", b"b", b"ab", b"\xf0\x9f", b"", b"<eos>", b"<pad>", b"<end>"]


def make(**changes: object) -> Vocabulary:
    arguments: dict[str, object] = {"eos_token_ids": 5, "special_token_ids": [6], "logits_size": 16}
    tokens = changes.pop("tokens", TOKENS)
    return Vocabulary(tokens, **{**arguments, **changes})  # type: ignore[arg-type]


def test_holds_what_it_was_given() -> None:
    vocabulary = make(eos_token_ids=[7, 5, 7])
    assert vocabulary.tokens == tuple(TOKENS)
    assert vocabulary.eos_token_ids == (5, 7)
    assert vocabulary.special_token_ids == (6,)
    assert (len(vocabulary), vocabulary.logits_size) == (8, 16)
    assert repr(vocabulary) == "<Vocabulary of 8 tokens, eos_token_ids=[5, 7], 1 special, logits_size=16>"


def test_defaults() -> None:
    vocabulary = Vocabulary(TOKENS, eos_token_ids=np.int64(5))
    assert vocabulary.eos_token_ids == (5,)
    assert vocabulary.special_token_ids == ()
    assert vocabulary.logits_size == len(TOKENS)


@pytest.mark.parametrize(
    ("changes", "message", "token_id"),
    [
        ({"tokens": []}, "no tokens", None),
        ({"tokens": b"ab"}, "not bytes", None),
        ({"tokens": 7}, "not iterable", None),
        ({"tokens": [b"a", "b"]}, "not str", 1),
        ({"tokens": [bytearray(b"a")]}, "not bytearray", 0),
        ({"eos_token_ids": []}, "without an end token", None),
        ({"eos_token_ids": 8}, "out of range", 8),
        ({"eos_token_ids": [5, -1]}, "out of range", -1),
        ({"eos_token_ids": "5"}, "not str", None),
        ({"eos_token_ids": None}, "not NoneType", None),
        ({"eos_token_ids": [5.0]}, "not float", None),
        ({"eos_token_ids": True}, "not bool", None),
        ({"special_token_ids": [2**70]}, "out of range", 2**70),
        ({"logits_size": 7}, "logits_size is 7", None),
        ({"logits_size": 2**31}, "logits_size", None),
        ({"logits_size": 9.5}, "not float", None),
    ],
)
def test_refuses(changes: dict[str, object], message: str, token_id: int | None) -> None:
    with pytest.raises(VocabularyError, match=message) as caught:
        make(**changes)
    assert caught.value.token_id == token_id


def test_decode_joins_ordinary_tokens() -> None:
    vocabulary = make()
    assert vocabulary.decode([2, 0, 3, 6, 4, 5]) == b"aba\xf0\x9f"
    assert vocabulary.decode(np.array([7])) == b"<end>"
    for outside in (8, -1):
        with pytest.raises(VocabularyError, match="out of range"):
            vocabulary.decode([0, outside])


@pytest.mark.parametrize(
    "changes",
    [
        {"tokens": [*TOKENS[:-1], b"<END>"]},
        # the same bytes cut elsewhere
        {"tokens": [b"ab", b"", b"ab", *TOKENS[3:]]},
        {"eos_token_ids": [5, 7]},
        {"special_token_ids": []},
        {"special_token_ids": [7]},
        {"logits_size": 17},
    ],
)
def test_every_part_counts_for_equality(changes: dict[str, object]) -> None:
    vocabulary, same, other = make(), make(), make(**changes)
    assert vocabulary == same
    assert hash(vocabulary) == hash(same)
    assert vocabulary.content_hash == same.content_hash
    assert vocabulary != other
    assert vocabulary.content_hash != other.content_hash
    assert len({vocabulary, same, other}) == 2
    assert vocabulary != TOKENS


def test_content_hash_is_the_same_in_another_process() -> None:
    program = (
        "from structgen import Vocabulary\n"
        f"print(Vocabulary({TOKENS!r}, eos_token_ids=5, special_token_ids=[6], logits_size=16).content_hash)"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert printed.strip() == make().content_hash
    assert len(make().content_hash) == hashlib.sha256().digest_size * 2


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickles(protocol: int) -> None:
    vocabulary = make()
    assert vocabulary.native is vocabulary.native  # built, and not part of the pickle
    copy = pickle.loads(pickle.dumps(vocabulary, protocol))
    assert copy == vocabulary
    assert copy.tokens == vocabulary.tokens
    assert copy.native is not vocabulary.native
    assert copy.native.mask_words == vocabulary.native.mask_words == 1


def test_native_knows_the_bytes() -> None:
    no_z = [bytes([b]) for b in range(256) if b != ord("z")]
    native = Vocabulary([*no_z, b"four", b"<eos>"], eos_token_ids=256, logits_size=300).native
    assert native.mask_words == -(-300 // 32)
    assert native.max_token_bytes == 4
    assert native.missing_bytes == b"z"
