"""Datasets and vocabularies."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jsonschemabench import datasets, vocabularies
from jsonschemabench.datasets import DatasetError
from jsonschemabench.vocabularies import VocabularyError

Write = Callable[[dict[str, dict[str, Any]]], Path]
CASES = {f"case{i:02}": {"schema": {"const": i}, "valid": [i], "invalid": [i + 1]} for i in range(20)}


def pack(folder: Path, mode: str) -> Path:
    archive = folder.parent / f"cases.{mode.replace(':', '.')}"
    with tarfile.open(archive, mode) as tar:  # type: ignore[call-overload]
        tar.add(folder, arcname=".")
    return archive


def test_a_case_is_read_whole(write_cases: Write) -> None:
    [case] = datasets.load(write_cases({"one": CASES["case03"]}))
    assert (case.name, case.schema) == ("one", {"const": 3})
    assert [(instance.data, instance.valid) for instance in case.instances] == [(3, True), (4, False)]
    assert case.instances[1].description == "one invalid"


@pytest.mark.parametrize("mode", ["w", "w:xz", "w:gz"])
def test_an_archive_gives_what_its_folder_gives(write_cases: Write, mode: str) -> None:
    folder = write_cases(CASES)
    archive = pack(folder, mode)
    for sample in (None, 7):
        assert datasets.load(archive, sample=sample, seed=5) == datasets.load(folder, sample=sample, seed=5)


def test_a_sample_depends_on_its_seed_alone(write_cases: Write) -> None:
    folder = write_cases(CASES)

    def names(sample: int | None, seed: int) -> list[str]:
        return [case.name for case in datasets.load(folder, sample=sample, seed=seed)]

    assert len(set(names(7, 1))) == 7
    assert names(7, 1) == names(7, 1)
    assert names(7, 1) != names(7, 2)
    assert sorted(names(None, 1)) == sorted(names(99, 2)) == sorted(CASES)
    assert names(0, 1) == []


@pytest.mark.parametrize(
    "content",
    ["", "[]", '{"tests": []}', '{"schema": true, "tests": [1]}', '{"schema": 1, "tests": [{}]}'],
)
def test_a_file_of_another_form_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "odd.json").write_text(content)
    with pytest.raises(DatasetError, match="odd is not a MaskBench case"):
        datasets.load(tmp_path)


def test_missing_data_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="does not exist"):
        datasets.load(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match=r"holds no \.json file"):
        datasets.load(tmp_path)
    (tmp_path / "broken.tar").write_bytes(b"not an archive")
    with pytest.raises(DatasetError, match="not a readable tar archive"):
        datasets.load(tmp_path / "broken.tar")


def test_the_default_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.delenv(datasets.DATA_VARIABLE, raising=False)
    assert datasets.default_data() is None
    shared = tmp_path / "shared" / "data"
    shared.mkdir(parents=True)
    (shared / datasets.MASKBENCH_ARCHIVE).touch()
    found = datasets.default_data()
    assert found is not None
    assert found.samefile(shared / datasets.MASKBENCH_ARCHIVE)
    monkeypatch.setenv(datasets.DATA_VARIABLE, str(tmp_path / "work"))
    assert datasets.default_data() == tmp_path / "work"
    monkeypatch.setenv(datasets.DATA_VARIABLE, str(shared))
    assert datasets.default_data() == shared / datasets.MASKBENCH_ARCHIVE


TEXTS = ["", '{"a": [1, 2.5e-3, null]}', "naïve 日本語 👩‍🚀 \u0301", json.dumps({"k": '\n\t"\\'})]


@pytest.mark.parametrize("name", list(vocabularies.VOCABULARIES))
def test_tokens_spell_the_text(name: str) -> None:
    try:
        vocabulary = vocabularies.load(name)
        vocabulary.encode("")
    except VocabularyError as error:
        pytest.skip(str(error))
    for text in TEXTS:
        ids = vocabulary.encode(text)
        assert b"".join(vocabulary.tokens[token] for token in ids) == text.encode()
        assert not set(ids) & set(vocabulary.special_token_ids)
    with pytest.raises(UnicodeEncodeError):
        vocabulary.encode("\ud800")


def test_sizes() -> None:
    vocabulary = vocabularies.load_bytes()
    assert (vocabulary.size, vocabulary.mask_words, vocabulary.eos_token_id) == (257, 9, 0)


def test_an_unknown_vocabulary_is_refused() -> None:
    with pytest.raises(VocabularyError, match="there are tekken, bytes"):
        vocabularies.load("klingon")
