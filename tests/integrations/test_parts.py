"""The output folder of long runs."""

import json
import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from structgen.integrations._parts import Parts, Record


def record(row: str | int, error: str | None = None, text: str = "") -> Record:
    return {"id": row, "text": text, "log_probability": 0.0, "error_type": error, "error": error}


def begun(folder: Path, **settings: object) -> Parts:
    parts = Parts(folder)
    parts.begin(settings)
    return parts


def ids(parts: Parts) -> list[str | int]:
    return sorted((found["id"] for found in parts.records()), key=str)


def test_what_is_written_is_read_back_and_there(tmp_path: Path) -> None:
    parts = begun(tmp_path)
    name = parts.name([1, "1"])
    assert not parts.has(name)
    parts.write(name, [record(1, text="ä\n\u2028"), record("1")])
    assert parts.has(name)
    assert not parts.has(parts.name(["1", 1]))
    assert list(parts.records()) == [record(1, text="ä\n\u2028"), record("1")]
    # The same batch again, from another worker.
    parts.write(name, [record(1, text="b"), record("1")])
    assert ids(parts) == [1, "1"]


def test_rows_of_batches_that_were_cut_differently_are_there_once(tmp_path: Path) -> None:
    parts = begun(tmp_path)
    for batch in ([1, 2, 3], [3, 4], [1], [5]):
        parts.write(parts.name(batch), [record(row) for row in batch])
    assert ids(parts) == [1, 2, 3, 4, 5]
    assert parts.tidy() == 2
    assert ids(parts) == [1, 2, 3, 4, 5]
    lines = [line for file in (tmp_path / "rows").iterdir() for line in file.read_text().splitlines()]
    assert sorted(json.loads(line)["id"] for line in lines) == [1, 2, 3, 4, 5]
    assert parts.tidy() == 0
    # What lost a row no longer passes for the whole batch, what kept all still does.
    names = [parts.name(batch) for batch in ([1, 2, 3], [3, 4], [1])]
    held = {file.stem: len(file.read_text().splitlines()) for file in (tmp_path / "rows").iterdir()}
    for name, size in zip(names, (3, 2, 1), strict=True):
        assert held.get(name, size) == size


def test_a_run_goes_on_with_the_same_settings_only(tmp_path: Path) -> None:
    parts = begun(tmp_path, seed=1, options={"a": [1, None]})
    parts.write(parts.name([1]), [record(1)])
    again = Parts(tmp_path)
    assert again.begin({"options": {"a": [1, None]}, "seed": 1}) == 1
    assert again.before() == {1}
    for other in ({"seed": 2, "options": {"a": [1, None]}}, {"seed": 1}):
        with pytest.raises(ValueError, match=r"another (seed|options):"):
            Parts(tmp_path).begin(other)


def test_rows_that_failed_are_done_again_on_demand(tmp_path: Path) -> None:
    parts = begun(tmp_path)
    parts.write(parts.name([1, 2]), [record(1), record(2, "OSError")])
    parts.write(parts.name([3]), [record(3, "OSError")])
    assert parts.begin({}) == 3
    assert parts.begin({}, retry_failed=True) == 1
    assert parts.before() == {1}
    assert not parts.has(parts.name([1, 2]))
    assert not parts.has(parts.name([3]))


def test_attempts_are_counted_until_the_rows_are_there_or_the_run_ends(tmp_path: Path) -> None:
    parts = begun(tmp_path)
    name = parts.name([1])
    assert [parts.attempt(name), parts.attempt(name), parts.attempt(parts.name([2]))] == [1, 2, 1]
    parts.write(name, [record(1)])
    assert parts.attempt(name) == 1
    parts.begin({})
    assert parts.attempt(name) == 1


def _write_for_ever(folder: str) -> None:
    parts = Parts(folder)
    while True:
        parts.write(parts.name([1]), [record(1, text="a" * 100_000), record(2, text="b" * 100_000)])


def test_a_writer_that_is_killed_leaves_whole_files(tmp_path: Path) -> None:
    parts = begun(tmp_path)
    context = multiprocessing.get_context("spawn")
    for _ in range(2):
        writer = context.Process(target=_write_for_ever, args=(str(tmp_path),))
        writer.start()
        while not parts.has(parts.name([1])):
            pass
        assert writer.pid is not None
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        assert [len(found["text"]) for found in parts.records()] == [100_000, 100_000]
    parts.begin({})
    assert [file.name for file in (tmp_path / "rows").iterdir()] == [f"{parts.name([1])}.jsonl"]
