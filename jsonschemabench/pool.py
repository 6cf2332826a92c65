"""The parent's side of a worker: deadlines, memory limits, and a fresh process after each death."""

from __future__ import annotations

import multiprocessing
import signal
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType

from jsonschemabench.engines import EngineUnavailableError
from jsonschemabench.results import Status
from jsonschemabench.worker import Compiled, Done, Ready, Task, serve

START_TIMEOUT_S = 180.0
"""Seconds an engine may take to be imported and to read the vocabulary."""

POLL_S = 0.05
"""Seconds between two looks at a worker's memory."""

_DETAIL_CHARACTERS = 2_000


class EngineProcess:
    """An engine in a process of its own, which is started again whenever it dies.

    Parameters
    ----------
    engine, vocabulary
        Names, as in :func:`jsonschemabench.worker.serve`.
    timeout_s
        Seconds for compiling a schema and walking all its instances.
    memory_limit_bytes
        Resident memory at which the process is killed.

    Raises
    ------
    EngineUnavailableError
        If psutil, which watches the memory, is not installed.
    """

    def __init__(self, engine: str, vocabulary: str, *, timeout_s: float, memory_limit_bytes: int) -> None:
        try:
            import psutil
        except ImportError as error:
            raise EngineUnavailableError("psutil is not installed: pip install 'structgen[bench]'") from error
        self._psutil = psutil
        self.engine = engine
        self._vocabulary = vocabulary
        self._timeout_s = timeout_s
        self._memory_limit_bytes = memory_limit_bytes
        self._context = multiprocessing.get_context("spawn")
        self._process: multiprocessing.process.BaseProcess | None = None
        self._connection: Connection | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="jsonschemabench-")
        self._log = Path(self._folder.name) / "output"

    def __enter__(self) -> EngineProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._folder.cleanup()

    def start(self) -> None:
        """Start the process unless it runs, and wait until its engine is loaded.

        Raises
        ------
        EngineUnavailableError
            If the engine can't be loaded: not installed, or it dies or hangs while loading.
        """
        if self._process is not None:
            return
        self._connection, theirs = self._context.Pipe()
        self._process = self._context.Process(
            target=serve, args=(theirs, self.engine, self._vocabulary, str(self._log)), daemon=True
        )
        self._process.start()
        # Else the end of the child would not close the pipe.
        theirs.close()
        reply = self._wait(time.monotonic() + START_TIMEOUT_S)
        if not isinstance(reply, Ready):
            reason = reply.detail if isinstance(reply, Done) else "it answered out of turn"
            self.stop()
            raise EngineUnavailableError(f"{self.engine} can't be loaded: {reason}")
        if reply.unavailable:
            self.stop()
            raise EngineUnavailableError(reply.unavailable)

    def stop(self) -> None:
        """Kill the process if there is one."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process.close()
        if self._connection is not None:
            self._connection.close()
        self._process = self._connection = None

    def run(self, task: Task) -> Done:
        """Run one task, in a fresh process if the last one died.

        Returns
        -------
        Done
            The worker's own answer, or one whose ``error`` says "crash", "time-out" or "memory limit".

        Raises
        ------
        EngineUnavailableError
            If the engine can't be loaded.
        """
        self.start()
        assert self._connection is not None
        deadline = time.monotonic() + self._timeout_s
        phase = "compile"
        try:
            self._connection.send(task)
        except (BrokenPipeError, ConnectionError):
            return self._died(phase)
        while True:
            reply = self._wait(deadline)
            if isinstance(reply, Compiled):
                phase = "walk"
            elif isinstance(reply, Done):
                reply.phase = reply.phase or (phase if reply.error in _KILLED else "")
                return reply

    def _wait(self, deadline: float) -> Ready | Compiled | Done:
        assert self._connection is not None
        assert self._process is not None
        watched = self._psutil.Process(self._process.pid)
        while True:
            try:
                if self._connection.poll(max(0.0, min(POLL_S, deadline - time.monotonic()))):
                    reply: Ready | Compiled | Done = self._connection.recv()
                    return reply
                resident = watched.memory_info().rss
            except (EOFError, ConnectionError, self._psutil.NoSuchProcess):
                return self._died("")
            if resident > self._memory_limit_bytes:
                self.stop()
                return Done(
                    error=Status.MEMORY,
                    detail=f"over {self._memory_limit_bytes >> 20} MiB resident",
                    rss_bytes=resident,
                    peak_bytes=resident,
                )
            if time.monotonic() >= deadline:
                self.stop()
                return Done(
                    error=Status.TIMEOUT,
                    detail=f"over {self._timeout_s:g} s",
                    rss_bytes=resident,
                    peak_bytes=resident,
                )

    def _died(self, phase: str) -> Done:
        assert self._process is not None
        self._process.join(timeout=10)
        code = self._process.exitcode
        if code is not None and code < 0:
            how = f"killed by {signal.Signals(-code).name}"
        else:
            how = f"exited with status {code}"
        said = self._log.read_text(errors="replace").strip() if self._log.exists() else ""
        self.stop()
        tail = said[-_DETAIL_CHARACTERS:]
        return Done(error=Status.CRASH, detail=f"{how}: {tail}" if tail else how, phase=phase)


_KILLED = (Status.CRASH, Status.TIMEOUT, Status.MEMORY)
