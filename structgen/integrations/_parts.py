"""The output of a long run: files of rows, each written at once, so that a run can be killed anywhere.

A file has the rows of one batch and a name made of their ids. A batch that is done again, because its worker
died and the caller can't know how far it came, writes the same file again.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

Id = str | int
Record = dict[str, Any]


class Parts:
    """A folder of such files.

    Parameters
    ----------
    folder : path-like
        Made if it is not there. All writers must see the same one.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self._rows = self.folder / "rows"
        self._attempts = self.folder / "attempts"
        self._settings = self.folder / "run.json"
        self._before = self.folder / "before.json"

    def begin(self, settings: Mapping[str, Any], *, retry_failed: bool = False) -> int:
        """Begin a run, or go on with one.

        Parameters
        ----------
        settings : mapping
            What the rows depend on, as JSON values.
        retry_failed : bool
            Remove the rows that failed, so that they are done again.

        Returns
        -------
        int
            Number of rows that are there.

        Raises
        ------
        ValueError
            Rows are there that were made with other settings.
        """
        for folder in (self._rows, self._attempts):
            folder.mkdir(parents=True, exist_ok=True)
        if self._settings.exists():
            before = json.loads(self._settings.read_text(encoding="utf-8"))
            other = sorted(
                key for key in {*before, *settings} if before.get(key) != json.loads(_json(settings.get(key)))
            )
            if other:
                raise ValueError(
                    f"{self.folder} has rows of a run with another {', '.join(other)}: "
                    "give the settings of that run, or another folder"
                )
        else:
            _write(self._settings, _json(settings))
        # Attempts that ended with their run say nothing about the rows.
        for file in (*self._attempts.iterdir(), *self._rows.glob(".*")):
            file.unlink(missing_ok=True)
        if retry_failed:
            for file in self._files():
                records = _records(file)
                self._replace(file, records, [record for record in records if record["error"] is None])
        self.tidy()
        ids = [record["id"] for record in self.records()]
        _write(self._before, _json(ids))
        return len(ids)

    def before(self) -> frozenset[Id]:
        """Return the ids of the rows that were there when the run began."""
        return frozenset(json.loads(self._before.read_text(encoding="utf-8")))

    def name(self, ids: Sequence[Id]) -> str:
        """Return the name of the file of rows with these ids."""
        return hashlib.sha256(_json(list(ids)).encode()).hexdigest()[:32]

    def has(self, name: str) -> bool:
        """Tell whether the file has been written."""
        return self._file(name).exists()

    def write(self, name: str, records: Sequence[Record]) -> None:
        """Write a file at once."""
        _write(self._file(name), "".join(_json(record) + "\n" for record in records))
        (self._attempts / name).unlink(missing_ok=True)

    def attempt(self, name: str) -> int:
        """Note that the rows of a file are begun, and return how often they have been."""
        with open(self._attempts / name, "ab") as file:
            file.write(b".")
            file.flush()
            return file.tell()

    def records(self) -> Iterator[Record]:
        """Yield every row, each id once, in the order of the files' names."""
        seen: set[Id] = set()
        for file in self._files():
            for record in _records(file):
                if record["id"] not in seen:
                    seen.add(record["id"])
                    yield record

    def tidy(self) -> int:
        """Remove rows whose id another file has, too, and return how many they were.

        They are there where a batch was cut differently when it was done again.
        """
        seen: set[Id] = set()
        removed = 0
        for file in self._files():
            records = _records(file)
            kept = []
            for record in records:
                if record["id"] not in seen:
                    seen.add(record["id"])
                    kept.append(record)
            removed += len(records) - len(kept)
            self._replace(file, records, kept)
        return removed

    def _replace(self, file: Path, records: list[Record], kept: list[Record]) -> None:
        if not kept:
            file.unlink()
        elif len(kept) < len(records):
            # Under the name of its ids: under the old one, it would pass for the whole batch.
            self.write(self.name([record["id"] for record in kept]), kept)
            file.unlink()

    def _file(self, name: str) -> Path:
        return self._rows / f"{name}.jsonl"

    def _files(self) -> list[Path]:
        return sorted(self._rows.glob("*.jsonl"))


def _records(file: Path) -> list[Record]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _write(file: Path, text: str) -> None:
    # The name is hidden and the writer's own: two may write the same part at a time.
    partial = file.with_name(f".{file.name}.{uuid.uuid4().hex}")
    with open(partial, "w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    os.replace(partial, file)
