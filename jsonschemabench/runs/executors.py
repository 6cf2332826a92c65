"""Where units are done: processes of this machine, or (:mod:`ray_executor`) actors of a Ray cluster."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

from jsonschemabench.runs.plan import Measure
from jsonschemabench.runs.units import Finished, Unit, UnitWorker, machine
from jsonschemabench.vocabularies import VocabularyError
from jsonschemabench.worker import die_with_parent

STARTS = 3
"""How often in a row a worker may die before it is ready, until the run is given up."""


_TIDY_S = 10.0


class ExecutorError(Exception):
    """Workers can't be started; what is done is kept, and the run can be resumed."""


@dataclass(frozen=True, slots=True)
class End:
    """How a unit ended: what it gave, or None when its worker was lost, and why."""

    unit: Unit
    finished: Finished | None
    reason: str = ""


class Executor(Protocol):
    """Does units, several at a time, and survives the loss of a worker."""

    machines: list[dict[str, Any]]
    """The machines that had workers so far."""

    def free(self) -> int:
        """Return how many units could be started now; it may grow while :meth:`wait` waits."""

    def start(self, unit: Unit) -> None:
        """Start a unit, when one is free."""

    def wait(self) -> list[End]:
        """Wait until a unit ends or a worker becomes free, and return what has ended, perhaps nothing.

        Raises
        ------
        ExecutorError
            If no worker can be started.
        """

    def close(self) -> None:
        """End all workers."""


@dataclass(slots=True)
class _Slot:
    process: multiprocessing.process.BaseProcess
    connection: Connection
    ready: bool = False
    unit: Unit | None = None


class LocalExecutor:
    """Workers in processes of this machine.

    Parameters
    ----------
    measures
        Those of the plan.
    workers
        How many. More than one make each other's times longer, as far as they share caches and memory.
    """

    def __init__(self, measures: Sequence[Measure], workers: int = 1) -> None:
        self.machines: list[dict[str, Any]] = []
        self._measures = tuple(measures)
        self._context = multiprocessing.get_context("spawn")
        self._failures = 0
        self._slots = [self._slot() for _ in range(workers)]

    def _slot(self) -> _Slot:
        ours, theirs = self._context.Pipe()
        # Not a daemon: those may not have the children that engines are.
        process = self._context.Process(target=serve, args=(theirs, self._measures))
        process.start()
        # Else the end of the child would not close the pipe.
        theirs.close()
        return _Slot(process, ours)

    def free(self) -> int:
        """See :class:`Executor`."""
        return sum(slot.ready and slot.unit is None for slot in self._slots)

    def start(self, unit: Unit) -> None:
        """See :class:`Executor`."""
        slot = next(slot for slot in self._slots if slot.ready and slot.unit is None)
        slot.unit = unit
        # If it has died, reading from it says so.
        with contextlib.suppress(ConnectionError):
            slot.connection.send(unit)

    def wait(self) -> list[End]:
        """See :class:`Executor`."""
        ready = wait([slot.connection for slot in self._slots])
        ends = []
        for i, slot in enumerate(self._slots):
            if slot.connection not in ready:
                continue
            try:
                message = slot.connection.recv()
            except (EOFError, ConnectionError):
                ends += self._lost(i)
                continue
            if isinstance(message, Finished):
                assert slot.unit is not None
                ends.append(End(slot.unit, message))
                slot.unit = None
            elif isinstance(message, dict):
                slot.ready, self._failures = True, 0
                if message not in self.machines:
                    self.machines.append(message)
            else:
                raise ExecutorError(f"a worker can't start: {message}")
        return ends

    def _lost(self, number: int) -> list[End]:
        slot = self._slots[number]
        slot.process.join(timeout=10)
        reason = f"its worker ended with status {slot.process.exitcode}"
        self._end(slot)
        if not slot.ready:
            self._failures += 1
            if self._failures >= STARTS:
                raise ExecutorError(f"{STARTS} workers in a row died while they started ({reason})")
        self._slots[number] = self._slot()
        return [End(slot.unit, None, reason)] if slot.unit is not None else []

    def _end(self, slot: _Slot) -> None:
        slot.process.kill()
        slot.process.join()
        slot.connection.close()

    def close(self) -> None:
        """See :class:`Executor`."""
        for slot in self._slots:
            # The end of its pipe ends a worker that waits for work, tidily.
            slot.connection.close()
        for slot in self._slots:
            slot.process.join(timeout=0 if slot.unit is not None else _TIDY_S)
            slot.process.kill()
            slot.process.join()
        self._slots = []


def serve(connection: Connection, measures: Sequence[Measure]) -> None:
    """Do units that come through a pipe, until its end: the process of a worker.

    It sends what :func:`machine` returns when it is ready, or a text that says why it can't start.
    """
    die_with_parent()
    # Bars of the libraries would write over that of the run.
    os.environ["TQDM_DISABLE"] = "1"
    # An interrupt from the terminal reaches all processes: the parent ends the run, and this one with it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        worker = UnitWorker(measures)
    except VocabularyError as error:
        connection.send(str(error))
        return
    except Exception:
        connection.send(traceback.format_exc())
        return
    connection.send(machine())
    try:
        while True:
            connection.send(worker.run(connection.recv()))
    except (EOFError, ConnectionError):
        worker.close()
