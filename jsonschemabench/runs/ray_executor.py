"""Units done by actors of a Ray cluster (needs Ray)."""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jsonschemabench.engines import EngineUnavailableError
from jsonschemabench.runs.executors import STARTS, End, ExecutorError
from jsonschemabench.runs.plan import Measure
from jsonschemabench.runs.units import Finished, Unit, UnitWorker, machine

PATIENCE_S = 600.0
"""Seconds without any worker in the whole cluster until the run is given up."""


class _Actor:
    """A worker on a node of the cluster."""

    def __init__(self, measures: Sequence[Measure]) -> None:
        # Engines start as fresh interpreters, which would import Ray's own main module and all of Ray.
        sys.modules["__main__"].__dict__.pop("__file__", None)
        sys.modules["__main__"].__spec__ = None
        self._worker = UnitWorker(measures)

    def ready(self) -> dict[str, Any]:
        return machine()

    def run(self, unit: Unit) -> Finished:
        return self._worker.run(unit)


@dataclass(slots=True)
class _Slot:
    actor: Any
    pending: Any
    ready: bool = False
    unit: Unit | None = None


class RayExecutor:
    """Workers as actors with one CPU each, wherever the cluster has room.

    The same code must be installed on every node, and the official suite, which engines read themselves, must
    be at the same place.

    Parameters
    ----------
    measures
        Those of the plan.
    address
        Of the cluster, as ``ray.init`` takes it: "auto", or HOST:PORT.
    workers
        How many; None is one for each CPU that the cluster has now.

    Raises
    ------
    EngineUnavailableError
        If Ray is not installed.
    ExecutorError
        If there is no cluster at that address.
    """

    def __init__(self, measures: Sequence[Measure], address: str, workers: int | None = None) -> None:
        # A benchmark tells nobody that it ran.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            ray: Any = importlib.import_module("ray")
        except ImportError as error:
            raise EngineUnavailableError("--ray needs Ray: pip install 'structgen[ray]'") from error
        self.machines: list[dict[str, Any]] = []
        self._ray = ray
        self._owned = not ray.is_initialized()
        if self._owned:
            try:
                ray.init(address=address, log_to_driver=False, logging_level="ERROR")
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise ExecutorError(f"no Ray cluster at {address!r}: {error}") from error
        self._measures = tuple(measures)
        self._class = ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0)(_Actor)
        self._failures = 0
        self._last_seen = time.monotonic()
        count = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        self._slots = [self._slot() for _ in range(count)]

    def _slot(self) -> _Slot:
        actor = self._class.remote(self._measures)
        return _Slot(actor, actor.ready.remote())

    def free(self) -> int:
        """See :class:`jsonschemabench.runs.executors.Executor`."""
        return sum(slot.ready and slot.unit is None for slot in self._slots)

    def start(self, unit: Unit) -> None:
        """See :class:`jsonschemabench.runs.executors.Executor`.

        Only actors that have come up get a unit: one that waits for a node that is gone may wait forever.
        """
        slot = next(slot for slot in self._slots if slot.ready and slot.unit is None)
        slot.unit, slot.pending = unit, slot.actor.run.remote(unit)

    def wait(self) -> list[End]:
        """See :class:`jsonschemabench.runs.executors.Executor`."""
        pending = [slot.pending for slot in self._slots if slot.pending is not None]
        done, _ = self._ray.wait(pending, num_returns=1, timeout=5.0)
        ends = []
        for i, slot in enumerate(self._slots):
            if slot.pending not in done:
                continue
            try:
                message = self._ray.get(slot.pending)
            except self._ray.exceptions.RayError as error:
                ends += self._lost(i, str(error).strip())
                continue
            slot.pending = None
            if isinstance(message, Finished):
                assert slot.unit is not None
                ends.append(End(slot.unit, message))
                slot.unit = None
            else:
                slot.ready, self._failures = True, 0
                if message not in self.machines:
                    self.machines.append(message)
        self._watch()
        return ends

    def _watch(self) -> None:
        now = time.monotonic()
        if any(slot.ready for slot in self._slots):
            self._last_seen = now
        elif now - self._last_seen > PATIENCE_S:
            raise ExecutorError(f"for {PATIENCE_S:g} s the cluster had no room for a worker")

    def _lost(self, number: int, reason: str) -> list[End]:
        slot = self._slots[number]
        if not slot.ready:
            self._failures += 1
            # A node that ends takes all its workers with it.
            if self._failures >= max(STARTS, 2 * len(self._slots)):
                raise ExecutorError(f"{self._failures} workers in a row died while they started: {reason}")
        self._ray.kill(slot.actor)
        self._slots[number] = self._slot()
        return [End(slot.unit, None, reason)] if slot.unit is not None else []

    def close(self) -> None:
        """See :class:`jsonschemabench.runs.executors.Executor`."""
        for slot in self._slots:
            self._ray.kill(slot.actor)
        self._slots = []
        if self._owned:
            self._ray.shutdown()
