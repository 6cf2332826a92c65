"""The ``masks`` and ``outputs`` runs: every schema under every engine, which take turns within a schema."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from jsonschemabench.datasets import Case
from jsonschemabench.engines import (
    Adapter,
    Engine,
    EngineUnavailableError,
    SchemaInput,
    engine_class,
)
from jsonschemabench.judge import Judge
from jsonschemabench.keywords import keywords, property_names
from jsonschemabench.pool import EngineProcess
from jsonschemabench.results import Outcome, Output, OutputOutcome, Row, Status, Verdict
from jsonschemabench.vocabularies import BenchVocabulary
from jsonschemabench.walks import OutputRequest, Produced
from jsonschemabench.worker import Done, Task, answer

_CONTEXT_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one schema under one engine.

    Attributes
    ----------
    timeout_s
        Seconds for compiling and walking all instances.
    memory_limit_bytes
        Resident memory of the worker.
    fresh_process_every
        Start every engine's process again after this many schemas; 0 never does. 1 measures schemas
        in a process that has seen none before.
    """

    timeout_s: float = 60.0
    memory_limit_bytes: int = 8 << 30
    fresh_process_every: int = 0


@dataclass(frozen=True, slots=True)
class Outputs:
    """Outputs to be written in place of instances to be walked.

    Attributes
    ----------
    count
        How many for each schema.
    max_tokens
        Bound of an output, the end token included.
    seed
        Of all random choices.
    """

    count: int = 3
    max_tokens: int = 256
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Prepared:
    """A case as tokens: what the workers get, and what the rows need."""

    name: str
    task: Task
    descriptions: list[str]
    keywords: list[str]


def prepare(case: Case, vocabulary: BenchVocabulary, outputs: Outputs | None = None) -> Prepared:
    """Write and tokenise a case, once for all engines; with ``outputs``, instances have no part in it.

    Instances without a text of their own are written by ``json.dumps(..., ensure_ascii=False)``. Those that
    hold lone surrogates can't be UTF-8 text and are left out.
    """
    if outputs is not None:
        names = property_names(case.schema)
        request = OutputRequest(case.name, outputs.count, outputs.max_tokens, outputs.seed, names)
        return Prepared(case.name, Task(_schema_input(case), [], request), [], keywords(case.schema))
    instances, descriptions = [], []
    for instance in case.instances:
        try:
            tokens = vocabulary.encode(instance.text or json.dumps(instance.data, ensure_ascii=False))
        except UnicodeEncodeError:
            continue
        instances.append((instance.valid, tokens))
        descriptions.append(instance.description)
    return Prepared(case.name, Task(_schema_input(case), instances), descriptions, keywords(case.schema))


def run(
    cases: Sequence[Case],
    engines: Sequence[str],
    vocabulary: BenchVocabulary,
    limits: Limits,
    *,
    unavailable: Callable[[str, str], None],
    outputs: Outputs | None = None,
) -> Iterator[Row]:
    """Run every case under every engine.

    The engine that goes first moves on by one with every schema, so that drift of the machine and what
    one engine leaves in its caches hits all alike; only one worker computes at a time.

    Parameters
    ----------
    cases
        What to run.
    engines
        Names; each engine gets its own process.
    vocabulary
        The vocabulary, loaded again by name in every worker.
    limits
        Time, memory, restarts.
    unavailable
        Called with name and reason for an engine that can't be loaded, which then is left out.
    outputs
        Have outputs written and judged, in place of walking instances.

    Yields
    ------
    Row
        One per schema and engine, in the order they were run.
    """
    with Engines(vocabulary, limits, outputs) as running:
        for case in cases:
            names = [name for name in engines if name not in running.missing]
            first = running.schemas % max(1, len(names))
            yield from running.run(case, names[first:] + names[:first], unavailable=unavailable)


class Engines:
    """Engines that stay loaded from schema to schema, each in a process of its own.

    Parameters
    ----------
    vocabulary, limits, outputs
        As for :func:`run`.

    Attributes
    ----------
    schemas
        How many were run so far.
    missing
        Reasons by the name of each engine that could not be loaded.
    """

    def __init__(self, vocabulary: BenchVocabulary, limits: Limits, outputs: Outputs | None = None) -> None:
        self._vocabulary = vocabulary
        self._outputs = outputs
        self._limits = limits
        self._running: dict[str, EngineProcess] = {}
        self._stack = ExitStack()
        self.schemas = 0
        self.missing: dict[str, str] = {}

    def __enter__(self) -> Engines:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(
        self, case: Case, engines: Sequence[str], *, unavailable: Callable[[str, str], None]
    ) -> Iterator[Row]:
        """Run a case under engines, in their order.

        An engine that can't be loaded is reported and left out from then on. One that was loaded before and
        can't be loaded again has crashed.

        Yields
        ------
        Row
            One per engine that can be loaded.
        """
        every = self._limits.fresh_process_every
        if every and self.schemas % every == 0:
            for process in self._running.values():
                process.stop()
        self.schemas += 1
        self._load(engines, unavailable)
        prepared = prepare(case, self._vocabulary, self._outputs)
        for name in engines:
            if name in self.missing:
                continue
            try:
                done = self._running[name].run(prepared.task)
            except EngineUnavailableError as error:
                done = Done(error=Status.CRASH, detail=str(error), phase="load")
            yield _row(name, prepared, done, self._vocabulary)

    def _load(self, engines: Sequence[str], unavailable: Callable[[str, str], None]) -> None:
        for name in engines:
            if name in self._running or name in self.missing:
                continue
            try:
                if self._outputs is None and not issubclass(engine_class(name), Engine):
                    raise EngineUnavailableError(f"{name} has no masks: measure its outputs")
                process = EngineProcess(
                    name,
                    self._vocabulary.name,
                    timeout_s=self._limits.timeout_s,
                    memory_limit_bytes=self._limits.memory_limit_bytes,
                )
                self._running[name] = self._stack.enter_context(process)
                process.start()
            except EngineUnavailableError as error:
                self._running.pop(name, None)
                self.missing[name] = str(error)
                unavailable(name, str(error))


def judge(case: Case, engine: Adapter, outputs: Outputs | None = None) -> Row:
    """Run one case in this process, without limits: for tests, where a process per engine is too much."""
    prepared = prepare(case, engine.vocabulary, outputs)
    done = answer(engine, prepared.task, lambda: None)
    return _row(engine.name, prepared, done, engine.vocabulary)


def _schema_input(case: Case) -> SchemaInput:
    text = case.text or json.dumps(case.schema, ensure_ascii=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        text = json.dumps(case.schema)
    return SchemaInput(text, case.schema, case.reading)


def _row(engine: str, prepared: Prepared, done: Done, vocabulary: BenchVocabulary) -> Row:
    status = Status(done.error) if done.error else Status.OK
    row = Row(
        engine,
        prepared.name,
        status,
        detail=done.detail,
        phase=done.phase if status in (Status.CRASH, Status.TIMEOUT, Status.MEMORY) else "",
        compile_ns=done.compile_ns,
        first_mask_ns=done.first_mask_ns,
        step_ns=done.step_ns,
        first_visit=done.first_visit,
        rss_bytes=done.rss_bytes,
        peak_bytes=done.peak_bytes,
        instances=len(prepared.task.instances),
        keywords=prepared.keywords,
    )
    if not row.judged:
        return row
    if done.outputs:
        judged = Judge(prepared.task.schema.text)
        row.outputs = [_output(produced, judged) for produced in done.outputs]
    for i, (valid, tokens) in enumerate(prepared.task.instances):
        # What can't be satisfied rejects everything, at the first token.
        accepted = 0 if status is Status.UNSATISFIABLE else done.accepted_tokens[i]
        outcome = Outcome.ACCEPTED if accepted > len(tokens) else Outcome.REJECTED
        description = prepared.descriptions[i]
        if valid and outcome is Outcome.REJECTED:
            if status is Status.OK and done.any_order[i]:
                outcome = Outcome.ORDER
            before = b"".join(vocabulary.tokens[token] for token in tokens[:accepted])
            refused = vocabulary.tokens[tokens[accepted]] if accepted < len(tokens) else b"<end>"
            description = f"{_tail(before)} >>{refused.decode(errors='replace')}<<"
        row.verdicts.append(Verdict(valid, outcome, accepted, description))
    return row


def _output(produced: Produced, judged: Judge) -> Output:
    outcome, detail = OutputOutcome.UNFINISHED, produced.detail
    if produced.finish == "refused":
        outcome = OutputOutcome.REFUSED
    elif produced.finish == "end":
        outcome, detail = judged(produced.data)
    text = produced.data.decode(errors="replace")
    return Output(outcome, text, produced.tokens, produced.ns, detail)


def _tail(data: bytes) -> str:
    return data.decode(errors="replace")[-_CONTEXT_CHARACTERS:]
