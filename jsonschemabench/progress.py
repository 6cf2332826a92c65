"""How far a run is, on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from time import monotonic
from typing import Any, Protocol


class Progress(Protocol):
    """How far a run is."""

    def advance(self, label: str) -> None:
        """Count one more part as done, and say which."""


class _Lines:
    """Progress as a line every few seconds, for logs and where rich is missing."""

    def __init__(self, total: int, done: int, every_s: float = 15.0) -> None:
        self._total = total
        self._before = done
        self._every_s = every_s
        self._done = 0
        self._begin = self._last = monotonic()

    def advance(self, label: str) -> None:
        self._done += 1
        now = monotonic()
        if now - self._last >= self._every_s:
            self._last = now
            rate = self._done / (now - self._begin)
            done = self._before + self._done
            left = timedelta(seconds=round((self._total - done) / rate))
            print(
                f"{done}/{self._total}, {rate:.3g} a second, about {left} left: {label}",
                file=sys.stderr,
                flush=True,
            )


class _Bar:
    """Progress as rich's bar."""

    def __init__(self, bar: Any, task: Any) -> None:
        self._bar = bar
        self._task = task

    def advance(self, label: str) -> None:
        speed = self._bar.tasks[0].speed
        rate = "" if speed is None else f"{speed:.3g}/s"
        self._bar.update(self._task, advance=1, description=label[:40], rate=rate)


@contextmanager
def progress(total: int, done: int = 0) -> Iterator[Progress]:
    """Show on standard error how many parts of so many are done: a bar on a terminal, else lines.

    Parameters
    ----------
    total
        How many there are.
    done
        How many were done before; they don't count for the rate and the time that is left.
    """
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
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
                TextColumn("{task.description}", markup=False),
            )
            # Ten frames a second would take part of a core that an engine may be using.
            with RichProgress(
                *columns, console=Console(stderr=True), transient=True, refresh_per_second=2
            ) as bar:
                yield _Bar(bar, bar.add_task("", total=total, completed=done, rate=""))
            return
    yield _Lines(total, done)
