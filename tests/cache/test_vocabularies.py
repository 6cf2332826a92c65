"""Vocabularies that are kept in a directory."""

import logging
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from structgen import Vocabulary, VocabularyError
from structgen._vocabulary.stored import vocabulary_bytes, vocabulary_of_bytes
from tests.cache.support import VOCABULARY
from tests.core.grammars import laws


class Maker:
    """Makes a vocabulary, and counts."""

    def __init__(self, vocabulary: Vocabulary = VOCABULARY) -> None:
        self.calls = 0
        self.vocabulary = vocabulary

    def __call__(self) -> Vocabulary:
        self.calls += 1
        return self.vocabulary


def test_it_is_made_once(tmp_path):
    make = Maker()
    first = Vocabulary.cached(make, key=["a model", "1.0"], directory=tmp_path)
    second = Vocabulary.cached(make, key=["a model", "1.0"], directory=str(tmp_path))
    assert make.calls == 1
    assert first is VOCABULARY
    assert second is not VOCABULARY
    assert second == VOCABULARY
    assert (second.tokens, second.eos_token_ids) == (VOCABULARY.tokens, VOCABULARY.eos_token_ids)
    assert (second.special_token_ids, second.logits_size) == ((), 300)
    assert (
        second.native.stats()
        == Vocabulary(
            VOCABULARY.tokens, eos_token_ids=VOCABULARY.eos_token_ids, logits_size=300
        ).native.stats()
    )


def test_the_key_is_all_that_counts(tmp_path):
    file = tmp_path / "tokenizer.json"
    file.write_text("one")
    keys = [["a", "b"], ["ab"], ["a", "b", ""], ["one"], [file], []]
    make = Maker()
    for key in keys:
        Vocabulary.cached(make, key=key, directory=tmp_path)
    assert make.calls == len(keys)
    file.write_text("two")
    Vocabulary.cached(make, key=[file], directory=tmp_path)
    assert make.calls == len(keys) + 1
    file.write_text("one")
    Vocabulary.cached(make, key=[file], directory=tmp_path)
    assert make.calls == len(keys) + 1
    with pytest.raises(FileNotFoundError):
        Vocabulary.cached(make, key=[tmp_path / "nothing"], directory=tmp_path)


@laws(100)
@given(st.data())
def test_any_damage_is_noticed_and_mended(tmp_path_factory, data):
    directory = tmp_path_factory.mktemp("vocabularies")
    make = Maker()
    Vocabulary.cached(make, key=["k"], directory=directory)
    (file,) = (directory / "vocabularies").iterdir()
    whole = file.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    cut = data.draw(st.booleans())
    byte = whole[place] ^ data.draw(st.integers(1, 255))
    file.write_bytes(whole[:place] if cut else whole[:place] + bytes([byte]) + whole[place + 1 :])
    assert Vocabulary.cached(make, key=["k"], directory=directory) == VOCABULARY
    assert make.calls == 2
    assert file.read_bytes() == whole


@laws(200)
@given(st.data())
def test_bytes_are_checked_where_the_checksum_does_not_help(data):
    changed = bytearray(vocabulary_bytes(VOCABULARY))
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    try:
        made = vocabulary_of_bytes(bytes(changed))
    except VocabularyError:
        return
    assert len(made) == len(VOCABULARY)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        struct.pack("<QQQQ", 0, 0, 0, 0),
        struct.pack("<QQQQ", 2**63, 2**63, 2**63, 1),
        struct.pack("<QQQQ", 0, 0, 2**40, 1),
        struct.pack("<QQQQIII", 1, 0, 2, 2, 5, 0, 0),
    ],
)
def test_other_bytes_are_refused(data):
    with pytest.raises(VocabularyError):
        vocabulary_of_bytes(data)


@laws(60)
@given(st.lists(st.binary(max_size=5), min_size=1, max_size=9), st.data())
def test_any_vocabulary_comes_back(tokens, data):
    ids = st.lists(st.integers(0, len(tokens) - 1), min_size=1)
    vocabulary = Vocabulary(
        tokens,
        eos_token_ids=data.draw(ids),
        special_token_ids=data.draw(ids),
        logits_size=len(tokens) + data.draw(st.integers(0, 5)),
    )
    assert vocabulary_of_bytes(vocabulary_bytes(vocabulary)) == vocabulary


def test_errors_of_the_maker_are_raised_and_not_kept(tmp_path):
    def fail() -> Vocabulary:
        raise VocabularyError("no tokenizer")

    with pytest.raises(VocabularyError, match="no tokenizer"):
        Vocabulary.cached(fail, key=["k"], directory=tmp_path)
    assert Vocabulary.cached(Maker(), key=["k"], directory=tmp_path) is VOCABULARY


def test_without_a_directory_it_is_made_each_time(tmp_path, caplog):
    (tmp_path / "taken").write_text("")
    make = Maker()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert Vocabulary.cached(make, key=["k"], directory=tmp_path / "taken") is VOCABULARY
    assert make.calls == 2
    assert "structgen.cache" in {record.name for record in caplog.records}
