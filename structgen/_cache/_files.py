"""Files of a cache: each has a checksum, is written at once or not at all, and goes when there is no room."""

from __future__ import annotations

import hashlib
import logging
import os
import struct
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

_logger = logging.getLogger("structgen.cache")

# Raised whenever what is in files changes its form.
VERSION = 1
_HEADER = struct.Struct("<8sI20s")
_MAGIC = b"structgn"
_SUFFIX = ".structgen"
# Seconds after which a file that is still being written has been given up.
_ABANDONED = 3600.0
# How much of the budget is left when files have been removed.
_KEPT = 0.9


class Files:
    """The files of one kind in a directory, by key.

    Every method may be called by several threads and processes at once. What goes wrong with files is logged
    and never raised.

    Parameters
    ----------
    directory : Path
        Made when the first file is.
    max_bytes : int, optional
        Size of all files, about which those that were used last are kept.
    """

    def __init__(self, directory: Path, max_bytes: int | None = None) -> None:
        # The process may change its working directory later.
        self._directory = directory.absolute()
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._writable = True
        self._warned = False
        # What the files take: counted when the first is written, and again when that is too much.
        self._bytes: int | None = None
        self.written = 0
        self.damaged = 0

    def __getstate__(self) -> tuple[Path, int | None]:
        return self._directory, self._max_bytes

    def __setstate__(self, state: tuple[Path, int | None]) -> None:
        Files.__init__(self, *state)

    def renew_lock(self) -> None:
        """Forget who holds the lock: for the child of a process that has forked."""
        self._lock = threading.Lock()

    def _path(self, key: str) -> str:
        return os.path.join(self._directory, key + _SUFFIX)

    def read(self, key: str) -> bytes | None:
        """Return what was written under the key, nothing where there is no such file or it is damaged."""
        path = self._path(key)
        try:
            with open(path, "rb") as file:
                data = file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            self._warn("cannot read %s: %s", path, error)
            return None
        if len(data) < _HEADER.size or data[: _HEADER.size] != _header(key, data[_HEADER.size :]):
            self.discard(key, "it is damaged, or of another version")
            return None
        with suppress(OSError):  # removed by another process, or in a directory that is only read
            os.utime(path)  # used just now
        return data[_HEADER.size :]

    def discard(self, key: str, reason: str) -> None:
        """Remove a file that is of no use."""
        self.damaged += 1
        _logger.warning("%s is made anew: %s", self._path(key), reason)
        _remove(self._path(key))

    def write(self, key: str, payload: bytes) -> bool:
        """Write a file; tell whether that worked."""
        if not self._writable:
            return False
        data = _header(key, payload) + payload
        try:
            # The mode is not that of `parents`, and who may write above may put another directory there.
            for directory in (self._directory.parent, self._directory):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(prefix="writing-", dir=self._directory)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(data)
                os.replace(name, self._path(key))
            except BaseException:
                os.unlink(name)
                raise
        except OSError as error:
            # A full or a read-only disk: trying again for every automaton would only take time.
            self._writable = False
            self._warn("nothing is kept in %s from here on: %s", self._directory, error)
            return False
        self.written += 1
        self._make_room(len(data))
        return True

    def _warn(self, message: str, path: str | Path, error: OSError) -> None:
        if not self._warned:
            self._warned = True
            _logger.warning(message, path, error)

    def _make_room(self, added: int) -> None:
        """Remove the files that were not used for longest, where all of them take too much."""
        if self._max_bytes is None:
            return
        with self._lock:
            if self._bytes is not None:
                self._bytes += added
                if self._bytes <= self._max_bytes:
                    return
            # Other processes write and remove, too: what there is, is looked up.
            files = self._scan()
            total = sum(size for _, size, _ in files)
            if total > self._max_bytes:
                for _, size, path in sorted(files):
                    if total <= _KEPT * self._max_bytes:
                        break
                    _remove(path)
                    total -= size
            self._bytes = total

    def _scan(self) -> list[tuple[float, int, str]]:
        """Return when each file was used last, its size and its path."""
        files = []
        try:
            with os.scandir(self._directory) as entries:
                for entry in entries:
                    try:
                        status = entry.stat()
                    except OSError:
                        continue  # removed meanwhile
                    if entry.name.endswith(_SUFFIX):
                        files.append((status.st_mtime, status.st_size, entry.path))
                    elif entry.name.startswith("writing-") and time.time() - status.st_mtime > _ABANDONED:
                        _remove(entry.path)
        except OSError:
            pass  # there is no directory yet
        return files

    def sizes(self) -> tuple[int, int]:
        """Return the number of files and their bytes."""
        files = self._scan()
        return len(files), sum(size for _, size, _ in files)

    def clear(self) -> None:
        """Remove all files."""
        for _, _, path in self._scan():
            _remove(path)
        with self._lock:
            self._bytes = None


def _remove(path: str) -> None:
    with suppress(OSError):  # another process was faster
        os.unlink(path)


def _header(key: str, payload: bytes) -> bytes:
    """Return what stands before a payload: the version, and a checksum of the payload and its key."""
    digest = hashlib.blake2b(key.encode(), digest_size=20)
    digest.update(payload)
    return _HEADER.pack(_MAGIC, VERSION, digest.digest())
