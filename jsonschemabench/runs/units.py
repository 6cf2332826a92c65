"""A plan cut into units of work, and the worker that does them."""

from __future__ import annotations

import json
import os
import platform
import socket
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from jsonschemabench import datasets, masks, official_suite, results, sampler_quality, suite, vocabularies
from jsonschemabench.datasets import Case, DatasetError
from jsonschemabench.engines import EngineUnavailableError, engine_class
from jsonschemabench.results import Row, Status
from jsonschemabench.runs.plan import Masks, Measure, Outputs, Quality
from jsonschemabench.tasks import DOMAINS
from jsonschemabench.timeouts import time_out

Key = tuple[str, str, str]
"""Which row: measure, engine or method, schema or task."""


@dataclass(frozen=True, slots=True)
class Task:
    """A task of a domain, and the seed it is done with."""

    domain: str
    number: int
    seed: int


@dataclass(frozen=True, slots=True)
class Unit:
    """What one worker does in one go, so that engines meet the same schema on the same machine in turn.

    Attributes
    ----------
    measure
        Name of the measure.
    name
        Of the schema or the task.
    doers
        Engines or methods, in the order in which they come.
    work
        The schema with its instances, or the task.
    """

    measure: str
    name: str
    doers: tuple[str, ...]
    work: Case | Task

    def row_keys(self) -> list[Key]:
        """Return the keys of its rows."""
        return [(self.measure, doer, self.name) for doer in self.doers]


@dataclass(slots=True)
class Finished:
    """What a worker has to say of a unit.

    Attributes
    ----------
    rows
        The rows as JSON values, by engine or method.
    unavailable
        Reasons by what can't be loaded where the unit was done.
    """

    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    unavailable: dict[str, str] = field(default_factory=dict)


# -- what there is to do -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Inputs:
    """The units of a measure, and what a manifest says of their data."""

    units: list[Unit]
    data: str
    digest: str


def inputs(measure: Measure) -> Inputs:
    """Read the data of a measure and cut it into units.

    Raises
    ------
    DatasetError
        If the data is not there or not in the expected form.
    EngineUnavailableError
        If tasks need a package or a model that is not installed.
    """
    if isinstance(measure, Quality):
        return _quality(measure)
    suited = measure.kind == "suite"
    if suited and measure.data is None:
        default = official_suite.default_data()
        if default is None:
            raise DatasetError(f"no data: name it with data, or its folder in {datasets.DATA_VARIABLE}")
        path = default
    else:
        path = datasets.find(measure.data)
    if suited:
        cases = suite.cases(path, measure.drafts, measure.sections)
    else:
        cases = datasets.load(path, sample=measure.sample, seed=measure.seed)
    if len({case.name for case in cases}) < len(cases):
        raise DatasetError(f"{path}: two schemas have the same name")
    # A downloaded folder is named by a commit.
    hub = (measure.data or "").startswith(datasets.HUB_PREFIX)
    name = measure.data if hub and measure.data else path.name
    return Inputs(list(_turns(measure, cases)), name, datasets.digest(path))


def _turns(measure: Masks, cases: Sequence[Case]) -> Iterator[Unit]:
    engines = measure.engines
    for number, case in enumerate(cases):
        first = number % len(engines)
        yield Unit(measure.name, case.name, (*engines[first:], *engines[:first]), case)


def _quality(measure: Quality) -> Inputs:
    for name in measure.domains:
        DOMAINS[name].require()
    model = Path(measure.model) if measure.model else sampler_quality.default_model()
    plan = sampler_quality.Plan(
        measure.domains, measure.methods, measure.tasks, measure.seeds, measure.particles
    )
    grouped: dict[tuple[str, int, int], list[str]] = {}
    keys = plan.keys()
    for domain, number, method, seed in keys:
        grouped.setdefault((domain, number, seed), []).append(method)
    units = [
        Unit(measure.name, task_name(*key), tuple(methods), Task(*key)) for key, methods in grouped.items()
    ]
    return Inputs(units, ", ".join(measure.domains), sampler_quality.digest(model))


def task_name(domain: str, number: int, seed: int) -> str:
    """Return the name of a task's unit."""
    return f"{domain}/{number}/{seed}"


# -- doing it ----------------------------------------------------------------------------------------------


def machine() -> dict[str, Any]:
    """Describe this machine, for the manifest."""
    return {
        "host": socket.gethostname(),
        "cpu": results.cpu_name(),
        "cpus": os.cpu_count() or 0,
        "gpus": results.gpu_names(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def versions(measures: Sequence[Measure]) -> dict[str, str]:
    """Return the versions of all that is measured, and of what it is measured with."""
    distributions, labels = ["structgen", "numpy"], dict[str, str]()
    for measure in measures:
        if isinstance(measure, Quality):
            distributions += ["torch", "transformers"]
            continue
        for name in measure.engines:
            try:
                adapter = engine_class(name)
            except EngineUnavailableError:
                continue
            distributions += adapter.distributions
            labels |= adapter.labels()
    return results.versions(dict.fromkeys(distributions)) | labels


class UnitWorker:
    """Does units one after another, on one machine.

    Engines stay loaded until a unit of another measure comes.

    Parameters
    ----------
    measures
        Those of the plan.

    Raises
    ------
    VocabularyError
        If a vocabulary can't be loaded here.
    """

    def __init__(self, measures: Sequence[Measure]) -> None:
        self._measures = {measure.name: measure for measure in measures}
        names = {measure.vocabulary for measure in measures if isinstance(measure, Masks)}
        self._vocabularies = {name: vocabularies.load(name) for name in names}
        self._at = ""
        self._engines: masks.Engines | None = None
        self._bench: Any = None

    def close(self) -> None:
        """End the processes of the engines."""
        if self._engines is not None:
            self._engines.__exit__()
        self._engines = self._bench = None

    def run(self, unit: Unit) -> Finished:
        """Do a unit. Whatever goes wrong in the benchmark itself becomes rows that say so."""
        measure = self._measures[unit.measure]
        if unit.measure != self._at:
            self.close()
            self._at = unit.measure
        finished = Finished()
        try:
            if isinstance(measure, Quality):
                self._sample(measure, unit, finished)
            else:
                self._mask(measure, unit, finished)
        except Exception:
            reason = traceback.format_exc(limit=-4)
            finished.rows |= failed(unit, measure, f"the benchmark failed: {reason}", finished)
        return finished

    def _mask(self, measure: Masks, unit: Unit, finished: Finished) -> None:
        assert isinstance(unit.work, Case)
        if self._engines is None:
            limits = masks.Limits(
                measure.timeout_s, measure.memory_limit_mib << 20, measure.fresh_process_every
            )
            outputs = None
            if isinstance(measure, Outputs):
                outputs = masks.Outputs(measure.outputs, measure.max_tokens, measure.seed)
            self._engines = masks.Engines(self._vocabularies[measure.vocabulary], limits, outputs)
        for row in self._engines.run(unit.work, unit.doers, unavailable=lambda *_: None):
            finished.rows[row.engine] = _record(unit, "row", row)
        missing = self._engines.missing
        finished.unavailable |= {name: missing[name] for name in unit.doers if name in missing}

    def _sample(self, measure: Quality, unit: Unit, finished: Finished) -> None:
        assert isinstance(unit.work, Task)
        try:
            if self._bench is None:
                self._bench = _load_bench(measure)
        except EngineUnavailableError as error:
            finished.unavailable |= dict.fromkeys(unit.doers, str(error))
            return
        domain = DOMAINS[unit.work.domain]
        task = domain.test_tasks(measure.tasks)[unit.work.number]
        automaton = domain.constraint(task, self._bench.vocabulary)
        for method in unit.doers:
            try:
                with time_out(measure.timeout_s, "not done"):
                    row = self._bench.run(
                        domain, unit.work.number, task, automaton, method, measure.particles, unit.work.seed
                    )
            except TimeoutError as error:
                finished.rows[method] = _failure(unit, method, str(error))
            else:
                finished.rows[method] = _record(unit, "quality", row)


def _load_bench(measure: Quality) -> Any:
    try:
        from jsonschemabench.sampler_quality_methods import Bench
    except ImportError as error:
        raise EngineUnavailableError(
            f"sampling needs PyTorch and transformers ({error}): pip install 'structgen[hf]'"
        ) from error
    return Bench.load(Path(measure.model) if measure.model else sampler_quality.default_model())


def failed(unit: Unit, measure: Measure, reason: str, finished: Finished) -> dict[str, dict[str, Any]]:
    """Return rows of a crash for what has no row in a unit."""
    found = {}
    for doer in unit.doers:
        if doer in finished.rows or doer in finished.unavailable:
            continue
        if isinstance(measure, Quality):
            found[doer] = _failure(unit, doer, reason)
        else:
            row = Row(doer, unit.name, Status.CRASH, detail=reason, phase="benchmark")
            assert isinstance(unit.work, Case)
            row.instances = len(unit.work.instances)
            found[doer] = _record(unit, "row", row)
    return found


def _failure(unit: Unit, doer: str, reason: str) -> dict[str, Any]:
    return {"kind": "failure", "measure": unit.measure, "engine": doer, "name": unit.name, "detail": reason}


def _record(unit: Unit, kind: str, row: Any) -> dict[str, Any]:
    content = asdict(row)
    if "step_ns" in content:
        content["step_ns"] = list(content["step_ns"])
    return {"kind": kind, "measure": unit.measure, **content}


def key_of(record: dict[str, Any]) -> Key:
    """Return the key of a row as it stands in a file.

    Raises
    ------
    KeyError
        If it is none.
    """
    kind, measure = record["kind"], record["measure"]
    if kind == "row":
        return measure, record["engine"], record["schema"]
    if kind == "quality":
        return measure, record["method"], task_name(record["domain"], record["task"], record["seed"])
    if kind == "failure":
        return measure, record["engine"], record["name"]
    raise KeyError(kind)


def line(record: dict[str, Any]) -> str:
    """Return a row as a line of JSON, without the newline."""
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"))
