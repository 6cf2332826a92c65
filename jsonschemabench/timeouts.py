"""A bound on the time of work that runs in this process."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


@contextlib.contextmanager
def time_out(seconds: float, what: str) -> Iterator[None]:
    """Interrupt what runs inside after some seconds, between two steps of the interpreter.

    Only in the main thread, which is the only one that signals reach: elsewhere there is no bound.

    Parameters
    ----------
    seconds
        How long it may take.
    what
        What is said when it takes longer.

    Raises
    ------
    TimeoutError
        When the time is over; "`what` within `seconds` s".
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def expired(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"{what} within {seconds:g} s")

    before = signal.signal(signal.SIGALRM, expired)
    others = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *others)
        signal.signal(signal.SIGALRM, before)
