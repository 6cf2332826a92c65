"""How far a run is, on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, Protocol


class Progress(Protocol):
    """How far a run is."""

    def advance(self, label: str) -> None:
        """Count one more part as done, and say which."""


class _Lines:
    """Progress as a line every few seconds, for logs and where rich is missing."""

    def __init__(self, total: int, every_s: float = 15.0) -> None:
        self._total = total
        self._every_s = every_s
        self._done = 0
        self._begin = self._last = monotonic()

    def advance(self, label: str) -> None:
        self._done += 1
        now = monotonic()
        if now - self._last >= self._every_s:
            self._last = now
            left = (now - self._begin) / self._done * (self._total - self._done)
            print(
                f"{self._done}/{self._total}, about {left:.0f} s left: {label}", file=sys.stderr, flush=True
            )


class _Bar:
    """Progress as rich's bar."""

    def __init__(self, bar: Any, task: Any) -> None:
        self._bar = bar
        self._task = task

    def advance(self, label: str) -> None:
        self._bar.update(self._task, advance=1, description=label[:40])


@contextmanager
def progress(total: int) -> Iterator[Progress]:
    """Show on standard error how many parts of so many are done: a bar on a terminal, else lines."""
    if sys.stderr.isatty():
        try:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as RichProgress
        except ImportError:
            pass
        else:
            columns = (
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.description}", markup=False),
            )
            # Ten frames a second would take part of a core that an engine may be using.
            with RichProgress(
                *columns, console=Console(stderr=True), transient=True, refresh_per_second=2
            ) as bar:
                yield _Bar(bar, bar.add_task("", total=total))
            return
    yield _Lines(total)
