"""The child process: one engine, one schema at a time, everything timed where it happens."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import signal
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter_ns

from jsonschemabench import vocabularies
from jsonschemabench.engines import (
    Adapter,
    CompileError,
    Engine,
    EngineUnavailableError,
    SchemaInput,
    UnsatisfiableError,
    engine_class,
)
from jsonschemabench.walks import OutputRequest, Produced

SINGLE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"), "1"
)
"""Set in every worker before the engine is imported, so that all engines run on one thread."""

_REASON_CHARACTERS = 2_000
_PR_SET_PDEATHSIG = 1


@dataclass(slots=True)
class Task:
    """What a worker is asked to do: a schema, and its instances as token ids or how many outputs to write."""

    schema: SchemaInput
    instances: list[tuple[bool, list[int]]]
    request: OutputRequest | None = None


@dataclass(slots=True)
class Ready:
    """A worker's first message: its engine is loaded, or why it can't be."""

    unavailable: str = ""


@dataclass(slots=True)
class Compiled:
    """Sent between compiling and walking, so that the parent knows what a hang or a crash was doing."""


@dataclass(slots=True)
class Done:
    """A worker's answer to a task; ``error`` is "", "compile error", "unsatisfiable" or "crash"."""

    error: str = ""
    detail: str = ""
    phase: str = ""
    compile_ns: int = 0
    first_mask_ns: int = 0
    accepted_tokens: list[int] = field(default_factory=list)
    any_order: list[bool] = field(default_factory=list)
    step_ns: array[int] = field(default_factory=lambda: array("q"))
    first_visit: int = 0
    outputs: list[Produced] = field(default_factory=list)
    rss_bytes: int = 0
    peak_bytes: int = 0


def serve(connection: Connection, engine_name: str, vocabulary_name: str, log: str) -> None:
    """Load an engine and answer tasks until the parent closes the connection.

    Parameters
    ----------
    connection
        Carries :class:`Task` in, :class:`Ready`, :class:`Compiled` and :class:`Done` out.
    engine_name
        See :func:`jsonschemabench.engines.engine_class`.
    vocabulary_name
        See :func:`jsonschemabench.vocabularies.load`.
    log
        File that receives what the engine prints. It is cut before every task, so that its end
        explains a crash and a chatty engine can't fill the disk.
    """
    die_with_parent()
    os.environ.update(SINGLE_THREAD)
    # Append mode: writing goes on at the new end after the file is cut.
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    try:
        engine = engine_class(engine_name)(vocabularies.load(vocabulary_name))
    except (EngineUnavailableError, vocabularies.VocabularyError) as error:
        connection.send(Ready(str(error)))
        return
    gc.collect()
    gc.freeze()
    connection.send(Ready())
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return
        os.ftruncate(descriptor, 0)
        done = answer(engine, task, lambda: connection.send(Compiled()))
        done.rss_bytes, done.peak_bytes = memory_bytes("VmRSS"), memory_bytes("VmHWM")
        connection.send(done)


def answer(engine: Adapter, task: Task, compiled: Callable[[], None]) -> Done:
    """Compile, fill the first mask, walk every instance or write outputs.

    Whatever an engine raises beyond its two declared errors is a crash of it, panics of native code that
    arrive as ``BaseException`` included. ``compiled`` is called between compiling and walking.
    """
    done = Done(phase="compile")
    # A pause of the garbage collector would be charged to whichever token it falls on.
    gc.disable()
    try:
        begin = perf_counter_ns()
        engine.compile(task.schema)
        ready = perf_counter_ns()
        if isinstance(engine, Engine):
            engine.first_mask()
        done.first_mask_ns = perf_counter_ns() - begin
        done.compile_ns = ready - begin
        compiled()
        done.phase = "walk"
        if task.request is not None:
            for produced in engine.outputs(task.request, done.step_ns):
                if not done.outputs:
                    done.first_visit = len(done.step_ns)
                done.outputs.append(produced)
        else:
            _walk(engine, task, done)
        done.phase = ""
    except CompileError as error:
        done.error, done.detail = "compile error", str(error)[:_REASON_CHARACTERS]
    except UnsatisfiableError as error:
        done.error, done.detail = "unsatisfiable", str(error)[:_REASON_CHARACTERS]
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        done.error, done.detail = "crash", f"{type(error).__name__}: {error}"[:_REASON_CHARACTERS]
    finally:
        engine.release()
        gc.enable()
    return done


def _walk(engine: Adapter, task: Task, done: Done) -> None:
    if not isinstance(engine, Engine):
        raise TypeError(f"{engine.name} has no masks")
    for valid, tokens in task.instances:
        accepted = engine.walk(tokens, done.step_ns)
        if not done.accepted_tokens:
            done.first_visit = len(done.step_ns)
        done.accepted_tokens.append(accepted)
        rejected = valid and accepted <= len(tokens)
        done.any_order.append(rejected and engine.accepts_any_order(task.schema, tokens))


def die_with_parent() -> None:
    """Have this process killed when its parent dies, however that dies; does nothing where Linux is not.

    A worker that hangs in native code would not notice the end of its pipe, and live on.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def memory_bytes(name: str) -> int:
    """Read ``VmRSS`` (resident memory) or ``VmHWM`` (its peak) of this process; 0 where there is no /proc.

    The peak of ``getrusage`` is of no use here: on Linux a child inherits its parent's.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), 0)
