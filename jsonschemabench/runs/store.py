"""The folder of a run: ``manifest.json`` and ``rows.jsonl``, whole after a kill at any moment.

The manifest is replaced as a whole. Rows are only ever appended, those of a unit at once; what a kill leaves
of a last line is cut off when the run is resumed. A lock, which ends with its process, keeps two runs apart.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any

from jsonschemabench.runs.units import Key, key_of, line

MANIFEST, ROWS = "manifest.json", "rows.jsonl"
FORMAT = 1

_SYNC_S = 2.0


class StoreError(ValueError):
    """The folder can't take this run; the message says why and what to do."""


@dataclass(slots=True)
class RunManifest:
    """What is needed to judge and repeat a run.

    Attributes
    ----------
    name
        Of the run.
    plan
        What is measured, with all defaults filled in.
    data
        By measure: ``source`` (its name), ``sha256``, ``units`` (schemas or tasks).
    vocabularies
        Number of token ids, by name.
    versions
        Of all that is measured and of what it is measured with, by distribution.
    commit
        Of the checkout that the run began in, or "unknown".
    command
        As typed at the beginning.
    sessions
        One for the beginning and one for each time it was resumed: ``started`` and ``ended`` (UTC; None when
        it was killed), ``command``, ``commit``, ``workers``, ``ray``, ``machines``.
    unavailable
        By measure, reasons by the name of what could not be loaded.
    complete
        Whether there is nothing left to do.
    format
        Of this file and the rows.
    """

    name: str
    plan: list[dict[str, Any]]
    data: dict[str, dict[str, Any]]
    vocabularies: dict[str, int]
    versions: dict[str, str]
    commit: str
    command: list[str]
    sessions: list[dict[str, Any]] = field(default_factory=list)
    unavailable: dict[str, dict[str, str]] = field(default_factory=dict)
    complete: bool = False
    format: int = FORMAT


def read_manifest(folder: Path) -> RunManifest:
    """Read the manifest of a run.

    Raises
    ------
    StoreError
        If there is none, or it is of another version.
    """
    path = folder / MANIFEST
    try:
        content = json.loads(path.read_bytes())
        if content["format"] != FORMAT:
            raise StoreError(f"{path} has format {content['format']}; this version reads {FORMAT}")
        return RunManifest(**content)
    except OSError as error:
        raise StoreError(f"{folder} holds no run: {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"{path} is not the manifest of a run ({error!r})") from error


class RunFolder:
    """A folder that a run writes into.

    Parameters
    ----------
    folder
        Created if need be.
    manifest
        Of the run that begins, or that goes on.
    resume
        Go on with what is there, or begin where there is nothing; else the folder must hold no run.

    Raises
    ------
    StoreError
        If the folder holds a run and `resume` is not set, or a run of other things, or if another process is
        writing there.
    """

    def __init__(self, folder: Path, manifest: RunManifest, *, resume: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._rows = -1
        self._synced = monotonic()
        try:
            self._take(manifest, resume)
        except BaseException:
            self.close()
            raise

    def _take(self, manifest: RunManifest, resume: bool) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(
                f"another process is writing into {self._folder}; wait for it or end it"
            ) from None
        self.done: set[Key] = set()
        if (self._folder / MANIFEST).exists():
            if not resume:
                raise StoreError(
                    f"{self._folder} holds a run: --resume goes on with it, --out names another folder"
                )
            found = read_manifest(self._folder)
            _compare(found, manifest, self._folder)
            found.sessions += manifest.sessions
            manifest = found
            # An engine may have been installed since.
            manifest.unavailable = {}
            manifest.complete = False
        self.manifest = manifest
        self.save()
        self._rows = os.open(self._folder / ROWS, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        os.ftruncate(self._rows, whole_bytes(self._folder / ROWS))
        for record in read_rows(self._folder):
            self.done.add(key_of(record))

    def save(self) -> None:
        """Write the manifest, in place of the last."""
        path = self._folder / MANIFEST
        new = path.with_suffix(".new")
        with new.open("w", encoding="utf-8") as out:
            json.dump(asdict(self.manifest), out, ensure_ascii=False, indent=1)
            out.write("\n")
            out.flush()
            os.fsync(out.fileno())
        os.replace(new, path)

    def add(self, records: Iterable[dict[str, Any]]) -> int:
        """Append rows that are not there yet, and return how many those are."""
        text = ""
        count = 0
        for record in records:
            key = key_of(record)
            if key not in self.done:
                self.done.add(key)
                text += line(record) + "\n"
                count += 1
        # What UTF-8 can't write (half a surrogate pair) stands as JSON's own escape.
        data = memoryview(text.encode("utf-8", errors="backslashreplace"))
        while data:
            data = data[os.write(self._rows, data) :]
        # A kill loses nothing that was written; this is for the machine's own end.
        if monotonic() - self._synced > _SYNC_S:
            os.fsync(self._rows)
            self._synced = monotonic()
        return count

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the folder."""
        if self._rows >= 0:
            os.fsync(self._rows)
            os.close(self._rows)
        os.close(self._lock)
        self._rows = -1


def _compare(found: RunManifest, ours: RunManifest, folder: Path) -> None:
    """Refuse to mix rows of different things."""
    mine, theirs = asdict(ours), asdict(found)
    for name in ("plan", "data", "vocabularies", "versions"):
        if mine[name] != theirs[name]:
            old, new = _difference(theirs[name], mine[name])
            raise StoreError(
                f"{folder} holds a run with another {name}: there {old}, now {new}; "
                "name another folder with --out, or make it the same again"
            )


def _difference(old: Any, new: Any) -> tuple[str, str]:
    """Return the first place where two values differ, as texts."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *new]:
            if old.get(key) != new.get(key):
                texts = _difference(old.get(key), new.get(key))
                return f"{key} {texts[0]}", f"{key} {texts[1]}"
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for one, other in zip(old, new, strict=True):
            if one != other:
                return _difference(one, other)
    return json.dumps(old, ensure_ascii=False), json.dumps(new, ensure_ascii=False)


def whole_bytes(path: Path) -> int:
    """Return how many bytes of a file are lines that were written to their end."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            begin = max(0, end - (1 << 16))
            file.seek(begin)
            found = file.read(end - begin).rfind(b"\n")
            if found >= 0:
                return begin + found + 1
            end = begin
    return 0


def read_rows(folder: Path) -> Iterable[dict[str, Any]]:
    """Read the rows of a run, without a last line that was cut off.

    Raises
    ------
    StoreError
        If a line is none of a run.
    """
    path = folder / ROWS
    if not path.exists():
        return
    size = whole_bytes(path)
    with path.open("rb") as lines:
        for number, text in enumerate(lines, 1):
            if size <= 0:
                return
            size -= len(text)
            try:
                record = json.loads(text)
                key_of(record)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise StoreError(f"{path}, line {number}: not a row of a run ({error!r})") from error
            yield record
