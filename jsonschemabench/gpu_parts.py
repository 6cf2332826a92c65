"""What runs on a GPU share: output that is kept as it comes, parts that fail alone, a limit of time."""

from __future__ import annotations

import json
import platform
import shutil
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import structgen
from jsonschemabench.report import Printer

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_PACKAGES = ("torch", "transformers", "triton", "xgrammar", "llguidance")


class Clock:
    """A limit of time for a whole run, which measurements ask before they begin.

    Parameters
    ----------
    seconds
        From now on; None is no limit.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self._begin = time.monotonic()
        self._seconds = seconds

    @property
    def passed(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._begin

    @property
    def over(self) -> bool:
        """Whether nothing more should begin."""
        return self._seconds is not None and self.passed > self._seconds


class Report:
    """Lines and tables, printed as they come and kept in a folder: what was measured outlasts later failures.

    Parameters
    ----------
    name
        Of the run: the folder gets ``NAME.txt``, what is printed, and ``NAME.jsonl``, the rows.
    folder
        Where; None keeps nothing.
    plain
        Print plain text even where rich is installed.
    """

    def __init__(self, name: str, folder: Path | None = None, *, plain: bool = False) -> None:
        self._printer = Printer(plain=plain)
        self._text = self._rows = None
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self._text, self._rows = folder / f"{name}.txt", folder / f"{name}.jsonl"
        self.failures: list[str] = []
        """The parts that failed."""

    def line(self, text: str = "") -> None:
        """Take one line."""
        self._printer.line(text)
        self._printer.flush()
        if self._text is not None:
            with self._text.open("a", encoding="utf-8") as out:
                Printer(out, plain=True).line(text)

    def table(self, title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Take a table."""
        self._printer.table(title, header, rows)
        self._printer.flush()
        if self._text is not None:
            with self._text.open("a", encoding="utf-8") as out:
                Printer(out, plain=True).table(title, header, rows)

    def row(self, row: DataclassInstance) -> None:
        """Keep a row of measurements, by the name of its class."""
        if self._rows is not None:
            with self._rows.open("a", encoding="utf-8") as out:
                out.write(json.dumps({"kind": type(row).__name__, **asdict(row)}, ensure_ascii=False) + "\n")

    def failed(self, title: str) -> None:
        """Note that a part failed, and print the traceback of the error that is being handled."""
        self.failures.append(title)
        self.line(f"FAILED: {title}")
        self.line(traceback.format_exc())

    @contextmanager
    def part(self, title: str) -> Iterator[None]:
        """Run a part of its own: where it fails, the run goes on."""
        try:
            yield
        except Exception:  # whatever a library, a compiler or a driver raises
            self.failed(title)


def reason(error: BaseException) -> str:
    """Return an error as one line of a table."""
    return next(iter(f"{type(error).__name__}: {error}".splitlines()), "")


def environment(device: str) -> list[str]:
    """Return lines about the machine: device, compilers and versions."""
    import torch

    found = ", ".join(f"{name} {_version(name)}" for name in _PACKAGES)
    lines = [f"structgen {structgen.__version__}, Python {platform.python_version()}, {found}"]
    if not device.startswith("cuda"):
        return [f"CPU, {torch.get_num_threads()} threads", *lines]
    properties = torch.cuda.get_device_properties(device)
    compilers = ", ".join(
        f"{name} {'found' if shutil.which(name) else 'missing'}" for name in ("gcc", "clang", "nvcc")
    )
    return [
        f"{properties.name}, compute capability {properties.major}.{properties.minor}",
        f"{properties.total_memory / 2**30:.0f} GiB, cache of {properties.L2_cache_size / 2**20:.0f} MiB",
        f"CUDA {torch.version.cuda}; {compilers}",
        *lines,
    ]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"
