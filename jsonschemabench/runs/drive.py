"""A plan through an executor into a folder."""

from __future__ import annotations

import sys
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone

from jsonschemabench import results, vocabularies
from jsonschemabench.progress import Progress
from jsonschemabench.runs.executors import End, Executor, LocalExecutor
from jsonschemabench.runs.plan import Masks, Plan
from jsonschemabench.runs.store import RunFolder, RunManifest
from jsonschemabench.runs.units import Finished, Inputs, Unit, failed, inputs, versions

ATTEMPTS = 3
"""How many workers may be lost over a unit until it is taken for the cause."""


def prepare(plan: Plan) -> tuple[list[Inputs], RunManifest]:
    """Read the data of a plan, and describe the run.

    Raises
    ------
    DatasetError, VocabularyError, EngineUnavailableError
        If something that it needs is not there.
    """
    found = [inputs(measure) for measure in plan.measures]
    names = {measure.vocabulary for measure in plan.measures if isinstance(measure, Masks)}
    commit, command = results.commit(), results.command_line()
    session = {
        "started": _now(),
        "ended": None,
        "command": command,
        "commit": commit,
        "workers": plan.workers,
        "ray": plan.ray,
        "machines": [],
    }
    manifest = RunManifest(
        name=plan.name,
        plan=plan.content(),
        data={
            measure.name: {"source": part.data, "sha256": part.digest, "units": len(part.units)}
            for measure, part in zip(plan.measures, found, strict=True)
        },
        vocabularies={name: vocabularies.load(name).size for name in sorted(names)},
        versions=versions(plan.measures),
        commit=commit,
        command=command,
        sessions=[session],
    )
    return found, manifest


def executor(plan: Plan) -> Executor:
    """Start the workers of a plan.

    Raises
    ------
    EngineUnavailableError, ExecutorError
        If a Ray cluster is named and can't be reached.
    """
    if plan.ray is None:
        return LocalExecutor(plan.measures, plan.workers or 1)
    from jsonschemabench.runs.ray_executor import RayExecutor

    return RayExecutor(plan.measures, plan.ray, plan.workers)


def left(units: Sequence[Unit], folder: RunFolder) -> list[Unit]:
    """Return what is left of the units: without the rows that are there."""
    found = []
    for unit in units:
        keys = zip(unit.doers, unit.row_keys(), strict=True)
        doers = tuple(doer for doer, key in keys if key not in folder.done)
        if doers:
            found.append(replace(unit, doers=doers))
    return found


def drive(
    plan: Plan,
    units: Sequence[Unit],
    folder: RunFolder,
    start: Callable[[], Executor],
    progress: Progress,
    say: Callable[[str], None] = lambda text: print(text, file=sys.stderr),
) -> None:
    """Do what is left of the units.

    Parameters
    ----------
    plan, units
        What to do.
    folder
        Where rows go, those of a unit as soon as it ends.
    start
        Starts the workers.
    progress
        Told of every row.
    say
        Told what can't be loaded, and of workers that were lost.

    Raises
    ------
    ExecutorError
        If no worker can be started; rows that came before are kept.
    """
    waiting = deque(left(units, folder))
    if waiting:
        running = start()
        try:
            _Drive(plan, folder, running, progress, say).run(waiting)
        finally:
            folder.manifest.sessions[-1]["machines"] = running.machines
            folder.manifest.sessions[-1]["ended"] = _now()
            folder.save()
            running.close()
    folder.manifest.complete = True
    folder.save()


class _Drive:
    def __init__(
        self,
        plan: Plan,
        folder: RunFolder,
        running: Executor,
        progress: Progress,
        say: Callable[[str], None],
    ) -> None:
        self._measures = {measure.name: measure for measure in plan.measures}
        self._folder = folder
        self._running = running
        self._progress = progress
        self._say = say
        self._lost: Counter[tuple[str, str]] = Counter()

    def run(self, waiting: deque[Unit]) -> None:
        busy = 0
        while waiting or busy:
            while waiting and self._running.free():
                unit = self._loadable(waiting.popleft())
                if unit.doers:
                    self._running.start(unit)
                    busy += 1
            if not (waiting or busy):
                break
            for end in self._running.wait():
                busy -= 1
                if end.finished is None:
                    self._again(end, waiting)
                else:
                    self._keep(end.unit, end.finished)

    def _loadable(self, unit: Unit) -> Unit:
        missing = self._folder.manifest.unavailable.get(unit.measure, {})
        here = tuple(doer for doer in unit.doers if doer not in missing)
        for _ in range(len(unit.doers) - len(here)):
            self._progress.advance(unit.name)
        return replace(unit, doers=here)

    def _keep(self, unit: Unit, finished: Finished) -> None:
        self._folder.add(finished.rows.values())
        for _ in unit.doers:
            self._progress.advance(unit.name)
        missing = self._folder.manifest.unavailable.setdefault(unit.measure, {})
        for name, reason in finished.unavailable.items():
            if name not in missing:
                missing[name] = reason
                self._folder.save()
                self._say(f"{name} is left out: {reason}")

    def _again(self, end: End, waiting: deque[Unit]) -> None:
        key = (end.unit.measure, end.unit.name)
        self._lost[key] += 1
        if self._lost[key] < ATTEMPTS:
            self._say(f"{end.unit.name} is done again: {end.reason.partition(chr(10))[0]}")
            waiting.appendleft(end.unit)
            return
        reason = f"{ATTEMPTS} workers were lost over it: {end.reason}"
        rows = failed(end.unit, self._measures[end.unit.measure], reason, Finished())
        self._keep(end.unit, Finished(rows))


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True)
class Rows:
    """How many rows a run should have, and has."""

    wanted: int
    done: int


def count(units: Sequence[Unit], folder: RunFolder) -> Rows:
    """Count the rows of a run."""
    wanted = [key for unit in units for key in unit.row_keys()]
    return Rows(len(wanted), sum(key in folder.done for key in wanted))
