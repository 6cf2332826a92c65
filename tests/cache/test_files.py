"""Files that are damaged, foreign, too many, or that cannot be written."""

import logging
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from structgen import AutomatonCache, StructgenError
from structgen._building import new_builder
from structgen._cache._files import Files
from structgen._cache._recording import replay
from tests.cache.support import VOCABULARY, assert_equal, schemas
from tests.core.grammars import laws

SCHEMA = {
    "type": "object",
    "properties": {
        "id": {"type": "integer", "minimum": 3},
        "tags": {"type": "array", "items": {"enum": ["x", "y"]}},
    },
    "required": ["id"],
    "additionalProperties": {"$ref": "#"},
}


@pytest.fixture
def file(tmp_path) -> Path:
    AutomatonCache(VOCABULARY, directory=tmp_path).json_schema(SCHEMA)
    (found,) = (tmp_path / "automata").iterdir()
    return found


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("written")
    AutomatonCache(VOCABULARY, directory=directory).json_schema(SCHEMA)
    (found,) = (directory / "automata").iterdir()
    return found


def ask(file: Path) -> AutomatonCache:
    """Ask a new cache for what the file holds, and check what comes."""
    cache = AutomatonCache(VOCABULARY, directory=file.parents[1])
    fresh = AutomatonCache(VOCABULARY)
    assert_equal(cache.json_schema(SCHEMA), fresh.json_schema(SCHEMA), steps=12)
    return cache


@laws(300)
@given(st.data())
def test_any_damage_is_noticed_and_mended(written, data):
    whole = written.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    how = data.draw(st.sampled_from(["flip", "byte", "cut", "insert", "append", "zeros"]))
    if how == "flip":
        byte = whole[place] ^ 1 << data.draw(st.integers(0, 7))
        damaged = whole[:place] + bytes([byte]) + whole[place + 1 :]
    elif how == "byte":
        damaged = whole[:place] + data.draw(st.binary(min_size=1, max_size=1)) + whole[place + 1 :]
    elif how == "cut":
        damaged = whole[:place]
    elif how == "insert":
        damaged = whole[:place] + data.draw(st.binary(min_size=1, max_size=9)) + whole[place:]
    elif how == "append":
        damaged = whole + data.draw(st.binary(min_size=1, max_size=9))
    else:
        damaged = whole[:place] + bytes(len(whole) - place)
    written.write_bytes(damaged)
    stats = ask(written).stats()
    changed = damaged != whole
    assert (stats["damaged"], stats["loads"], stats["compilations"]) == (changed, not changed, changed)
    # It is as it was.
    assert written.read_bytes() == whole


@laws(300)
@given(st.data())
def test_records_are_checked_where_the_checksum_does_not_help(written, data):
    # What follows the header of the file, handed to the core with arbitrary changes.
    record = bytearray(written.read_bytes()[32:])
    for _ in range(data.draw(st.integers(1, 4))):
        record[data.draw(st.integers(0, len(record) - 1))] = data.draw(st.integers(0, 255))
    limits = {"max_regex_nodes": 20_000, "max_emptiness_steps": 20_000, "max_compile_seconds": 5.0}
    try:
        automaton = replay(bytes(record), new_builder(VOCABULARY, **limits), max_states=1000)
        automaton.shortest(automaton.start)
        automaton.mask(automaton.start)
    except (ArithmeticError, LookupError, StructgenError, TypeError, ValueError):
        pass  # as good as any answer


@pytest.mark.parametrize("content", [b"", b"structgn", b"\x89PNG\r\n" * 100, b"{}"])
def test_foreign_files_are_replaced(file, content, caplog):
    file.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert ask(file).stats()["damaged"] == 1
    (record,) = caplog.records
    assert record.name == "structgen.cache"
    assert str(file) in record.getMessage()
    assert ask(file).stats()["loads"] == 1


def test_a_file_of_another_key_is_not_taken(file, caplog):
    whole = file.read_bytes()
    directory = file.parents[1]
    AutomatonCache(VOCABULARY, directory=directory).json_schema({"type": "null"})
    (other,) = set(file.parent.iterdir()) - {file}
    other.write_bytes(whole)
    cache = AutomatonCache(VOCABULARY, directory=directory)
    made = cache.json_schema({"type": "null"})
    assert made.shortest(made.start) == b"null"
    assert cache.stats()["damaged"] == 1


def test_another_version_of_the_code_has_other_files(file, monkeypatch):
    monkeypatch.setattr("structgen._cache._automata.code_version", lambda: b"another")
    assert ask(file).stats()["loads"] == 0
    assert len(list(file.parent.iterdir())) == 2


def test_a_file_in_place_of_the_directory(tmp_path, caplog):
    (tmp_path / "taken").write_text("something else")
    cache = AutomatonCache(VOCABULARY, directory=tmp_path / "taken")
    with caplog.at_level(logging.WARNING):
        for schema in (SCHEMA, {}, True):
            assert cache.json_schema(schema) is cache.json_schema(schema)
    assert len(caplog.records) == 1
    assert "taken" in caplog.text
    stats = cache.stats()
    assert (stats["compilations"], stats["writes"], stats["files"]) == (3, 0, 0)


@pytest.mark.parametrize("call", ["mkstemp", "replace"])
def test_a_disk_that_cannot_be_written(tmp_path, monkeypatch, caplog, call):
    def fail(*arguments, **options):
        raise OSError(28, "No space left on device")

    module = {"mkstemp": "tempfile", "replace": "os"}[call]
    monkeypatch.setattr(f"structgen._cache._files.{module}.{call}", fail)
    cache = AutomatonCache(VOCABULARY, directory=tmp_path)
    with caplog.at_level(logging.WARNING):
        for schema in (SCHEMA, {}, True):
            cache.json_schema(schema)
    assert len(caplog.records) == 1
    assert list((tmp_path / "automata").iterdir()) == []
    assert cache.stats()["writes"] == 0


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_that_may_only_be_read(file):
    file.parent.chmod(0o500)
    try:
        cache = ask(file)
        cache.json_schema({})
        assert (cache.stats()["loads"], cache.stats()["writes"]) == (1, 0)
    finally:
        file.parent.chmod(0o700)


def test_files_are_for_their_owner(file):
    assert file.stat().st_mode & 0o077 == 0
    assert file.parent.stat().st_mode & 0o077 == 0


def test_a_directory_that_is_made_is_for_its_owner(tmp_path):
    """Who may write into it could put another directory in place of the one of the automata."""
    former = os.umask(0o002)
    try:
        AutomatonCache(VOCABULARY, directory=tmp_path / "made").json_schema(SCHEMA)
    finally:
        os.umask(former)
    assert (tmp_path / "made").stat().st_mode & 0o077 == 0


def test_a_directory_stays_where_it_was(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cache = AutomatonCache(VOCABULARY, directory="kept")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    cache.json_schema(SCHEMA)
    assert cache.stats()["files"] == 1
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert len(list((tmp_path / "kept" / "automata").iterdir())) == 1


def test_the_files_that_were_used_longest_ago_go(tmp_path):
    files = Files(tmp_path / "f", max_bytes=1000)
    for number in range(5):
        files.write(str(number), bytes(150))
        os.utime(files._path(str(number)), (number, number))
    assert files.read("0") == bytes(150)  # used just now
    files.write("5", bytes(150))
    assert files.sizes()[1] <= 900
    assert [number for number in range(6) if files.read(str(number)) is not None] == [0, 3, 4, 5]


def test_the_budget_of_a_cache(tmp_path):
    cache = AutomatonCache(VOCABULARY, directory=tmp_path, max_disk_bytes=20_000)
    for schema in schemas().values():
        cache.json_schema(schema)
        assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) <= 20_000
    assert cache.stats()["writes"] > cache.stats()["files"] > 0


def test_files_that_were_given_up_are_swept(tmp_path):
    files = Files(tmp_path, max_bytes=1000)
    old, young = tmp_path / "writing-old", tmp_path / "writing-young"
    for path in (old, young):
        path.write_bytes(b"half a fi")
    long_ago = time.time() - 7200
    os.utime(old, (long_ago, long_ago))
    files.write("key", b"whole")
    assert {path.name for path in tmp_path.iterdir()} == {"key.structgen", "writing-young"}
    files.clear()
    assert {path.name for path in tmp_path.iterdir()} == {"writing-young"}
