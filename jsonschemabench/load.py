"""The ``load`` run: many requests at a time, each with a schema of its own, as servers have them.

A step of the server is a mask for every request, then a token for every request. In between, the model of a
server runs: here, the thread that steps waits for automata that are being compiled, at most as long as that
would take, and goes on at once where there are none. So half an hour of steps takes minutes.
"""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import wait
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter, perf_counter_ns, thread_time_ns
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil

import structgen
from jsonschemabench import results
from jsonschemabench.datasets import Case
from jsonschemabench.load_requests import REASONS, Compiled, Request, Traffic
from jsonschemabench.report import Sink
from jsonschemabench.vocabularies import BenchVocabulary

MIB = 1 << 20
SAMPLES = 600
"""How often memory is read in a run."""

FLAT_RATIO = 0.05
FLAT_BYTES = 16 * MIB
"""Growth of resident memory from the second quarter to the last that counts as none: the larger of both."""


@dataclass(frozen=True, slots=True)
class Settings:
    """A load.

    Attributes
    ----------
    requests
        How many at a time; each has another schema.
    steps
        Tokens of the server: each running request takes one in each.
    step_ms
        Milliseconds of the model in one step, which compilers have for themselves.
    budget_mib
        MiB of automata that are kept.
    workers
        Threads that compile.
    seed
        Of all choices.
    """

    requests: int = 200
    steps: int = 60_000
    step_ms: float = 30.0
    budget_mib: int = 256
    workers: int = 2
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Sample:
    """The process at one moment, and the steps since the one before.

    Attributes
    ----------
    step
        Steps done.
    rss_bytes
        Resident memory.
    automata, automata_bytes
        Those that are kept.
    table_bytes, generations
        Tables that automata of the vocabulary share, those of the newest generation, and how many there were.
    p50_us, p99_us, max_us
        Wall time of masks and steps of all requests, per step of the server.
    """

    step: int
    rss_bytes: int
    automata: int
    automata_bytes: int
    table_bytes: int
    generations: int
    p50_us: float
    p99_us: float
    max_us: float


@dataclass(slots=True)
class Record:
    """What a run has measured.

    Attributes
    ----------
    settings
        The load.
    schemas
        Of how many schemas requests chose.
    wall_ns, cpu_ns
        Of each step: wall time of masks and steps of all requests, and the processor time of the thread that
        made them.
    compile_ns
        Of each request whose automaton was not there at once, until it was: the wait for a worker included.
    waited_steps
        Of each request whose automaton was not there at once: steps until it was.
    hits, compilations
        Requests whose automaton was there at once, and automata that were compiled.
    ends
        Requests by how they ended.
    tokens
        Taken by all requests.
    running
        Mean number of requests that took part in a step.
    seconds
        Of the whole run.
    samples
        In the order of the run.
    versions
        Of what took part.
    """

    settings: Settings
    schemas: int
    wall_ns: array[int] = field(default_factory=lambda: array("q"))
    cpu_ns: array[int] = field(default_factory=lambda: array("q"))
    compile_ns: array[int] = field(default_factory=lambda: array("q"))
    waited_steps: array[int] = field(default_factory=lambda: array("q"))
    hits: int = 0
    compilations: int = 0
    ends: dict[str, int] = field(default_factory=dict)
    tokens: int = 0
    running: float = 0.0
    seconds: float = 0.0
    samples: list[Sample] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)


def run(
    settings: Settings,
    cases: Sequence[Case],
    vocabulary: BenchVocabulary,
    progress: Callable[[str], None] = lambda _: None,
) -> Record:
    """Put a load on structgen.

    Parameters
    ----------
    settings
        The load.
    cases
        Schemas, the most popular first; at least twice as many as requests at a time.
    vocabulary
        Of all requests.
    progress
        Called with every sample.

    Raises
    ------
    ValueError
        There are too few schemas, or a number is not positive.
    """
    if min(settings.requests, settings.steps, settings.workers) < 1 or settings.step_ms < 0:
        raise ValueError("--requests, --steps and --workers must be positive, --step-ms not negative")
    if len(cases) < 2 * settings.requests:
        raise ValueError(
            f"{settings.requests} requests at a time want {2 * settings.requests} schemas, not {len(cases)}: "
            "give fewer --requests or more --data"
        )
    tokens = structgen.Vocabulary(
        vocabulary.tokens,
        eos_token_ids=(vocabulary.eos_token_id,),
        special_token_ids=vocabulary.special_token_ids,
    )
    compiled = Compiled(tokens, settings.budget_mib * MIB, settings.workers)
    record = Record(settings, len(cases), versions=results.versions(["structgen", "numpy"]))
    try:
        _Server(settings, compiled, Traffic(cases, vocabulary, settings.seed), record, tokens).run(progress)
    finally:
        compiled.close()
    record.compile_ns.extend(compiled.compile_ns)
    kept = compiled.cache.stats()
    record.hits, record.compilations = kept["hits"], kept["compilations"]
    return record


class _Server:
    """Steps of all requests."""

    def __init__(
        self,
        settings: Settings,
        compiled: Compiled,
        traffic: Traffic,
        record: Record,
        vocabulary: structgen.Vocabulary,
    ) -> None:
        self._settings = settings
        self._compiled = compiled
        self._traffic = traffic
        self._record = record
        self._native = vocabulary.native
        self._process = psutil.Process()
        self._masks = np.zeros((settings.requests, (vocabulary.logits_size + 31) // 32), np.int32)
        self._rows = list(self._masks)
        self._ends: Counter[str] = Counter()
        self._waiting: list[tuple[Request, int]] = []
        self._running: list[Request] = []

    def run(self, progress: Callable[[str], None]) -> None:
        begin = perf_counter()
        every = max(1, self._settings.steps // SAMPLES)
        taken = 0
        for step in range(self._settings.steps):
            self._admit(step)
            taken += len(self._running)
            self._step()
            if (step + 1) % every == 0:
                self._sample(step + 1, every)
                progress(f"step {step + 1}")
        record = self._record
        record.seconds = perf_counter() - begin
        record.running = taken / self._settings.steps
        record.ends = {reason: self._ends[reason] for reason in REASONS}

    def _admit(self, step: int) -> None:
        """Fill up with new requests, and let those begin whose automaton is there by the end of this pass."""
        settings = self._settings
        for _ in range(settings.requests - len(self._running) - len(self._waiting)):
            self._waiting.append((self._traffic.next(self._compiled), step))
        pending = [request.future for request, _ in self._waiting if not request.future.done()]
        if pending:
            wait(pending, timeout=settings.step_ms / 1000)
        still = []
        for request, since in self._waiting:
            if not request.future.done():
                still.append((request, since))
                continue
            if request.future in pending or step > since:
                self._record.waited_steps.append(step - since)
            request.begin()
            if request.end is None:
                self._running.append(request)
            else:
                self._over(request)
        self._waiting = still

    def _step(self) -> None:
        running, rows = self._running, self._rows
        wall, cpu = perf_counter_ns(), thread_time_ns()
        for request, row in zip(running, rows, strict=False):
            request.fill(row)
        cpu_ns, wall_ns = thread_time_ns() - cpu, perf_counter_ns() - wall
        filled = [(request, row) for request, row in zip(running, rows, strict=False) if request.end is None]
        chosen = [(request, request.choose(row)) for request, row in filled]
        taken = [(request, token) for request, token in chosen if token is not None]
        wall, cpu = perf_counter_ns(), thread_time_ns()
        for request, token in taken:
            request.step(token)
        self._record.cpu_ns.append(cpu_ns + thread_time_ns() - cpu)
        self._record.wall_ns.append(wall_ns + perf_counter_ns() - wall)
        self._record.tokens += len(taken)
        if any(request.end is not None for request in running):
            self._running = [request for request in running if request.end is None]
            for request in running:
                if request.end is not None:
                    self._over(request)

    def _over(self, request: Request) -> None:
        assert request.end is not None
        self._ends[request.end] += 1
        self._traffic.over(request)

    def _sample(self, step: int, every: int) -> None:
        times = np.asarray(self._record.wall_ns[-every:]) / 1e3
        p50, p99 = np.percentile(times, (50, 99))
        tables = self._native.stats()
        kept = self._compiled.cache.stats()
        self._record.samples.append(
            Sample(
                step,
                self._process.memory_info().rss,
                kept["automata"],
                kept["bytes"],
                tables["table_bytes"],
                tables["generations"],
                float(p50),
                float(p99),
                float(times.max()),
            )
        )


# -- memory ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Quarter:
    """Resident memory in a quarter of the run: median and highest, and its slope by least squares."""

    median_bytes: float
    highest_bytes: int
    slope_per_step: float


def quarters(samples: Sequence[Sample]) -> list[Quarter]:
    """Cut the samples of a run into four; none if there are too few."""
    if len(samples) < 8:
        return []
    found = []
    for part in np.array_split(np.asarray([(s.step, s.rss_bytes) for s in samples], np.float64), 4):
        slope = float(np.polyfit(part[:, 0], part[:, 1], 1)[0])
        found.append(Quarter(float(np.median(part[:, 1])), int(part[:, 1].max()), slope))
    return found


def flat(cut: Sequence[Quarter]) -> bool:
    """Whether memory stopped growing: the last quarter lies no higher than the second, within tolerance."""
    if len(cut) != 4:
        return False
    middle, last = cut[1].median_bytes, cut[3].median_bytes
    return last - middle <= max(FLAT_BYTES, FLAT_RATIO * middle)


# -- report ------------------------------------------------------------------------------------------------

_PERCENTILES = (50.0, 90.0, 99.0, 99.9, 100.0)


def report(record: Record, printer: Sink) -> None:
    """Print what a run has measured."""
    settings = record.settings
    wall = np.asarray(record.wall_ns)
    minutes = settings.steps * settings.step_ms / 60_000
    printer.line(
        f"{settings.requests} requests at a time out of {record.schemas} schemas, {settings.steps:,} steps "
        f"of {settings.step_ms:g} ms: {minutes:.1f} minutes of a server, made in {record.seconds / 60:.1f}"
    )
    printer.line(
        f"{sum(record.ends.values()):,} requests ended ("
        + ", ".join(f"{count:,} {reason}" for reason, count in record.ends.items())
        + f"), {record.running:.1f} running on average"
    )
    per_second = record.tokens / (wall.sum() / 1e9)
    printer.line(f"{record.tokens:,} tokens, {per_second:,.0f} a second of masks and steps in one thread")
    started = record.hits + record.compilations + record.ends["refused"]
    printer.line(
        f"{record.compilations:,} compiled by {settings.workers} threads, "
        f"{record.hits / max(1, started):.0%} of requests found theirs; "
        f"{sum(steps > 0 for steps in record.waited_steps):,} waited for more than the step they came in"
    )
    rows = [
        ("all masks and steps of a step, ms", wall / 1e6),
        ("the same, processor time, ms", np.asarray(record.cpu_ns) / 1e6),
        ("per request, µs", wall / 1e3 / max(record.running, 1e-9)),
        ("request to automaton, ms", np.asarray(record.compile_ns) / 1e6),
        ("steps until there, if not at once", np.asarray(record.waited_steps, dtype=np.float64)),
    ]
    header = ("", "mean", "p50", "p90", "p99", "p99.9", "max")
    printer.table("times", header, [[name, *_figures(values)] for name, values in rows])
    cut = quarters(record.samples)
    cells = [
        [
            name,
            f"{part.median_bytes / MIB:,.0f}",
            f"{part.highest_bytes / MIB:,.0f}",
            f"{part.slope_per_step * 1000 / MIB:+.2f}",
        ]
        for name, part in zip(("first", "second", "third", "last"), cut, strict=False)
    ]
    printer.table("resident memory, MiB", ("quarter", "median", "highest", "slope per 1,000 steps"), cells)
    if record.samples:
        last = record.samples[-1]
        highest = max(sample.automata_bytes for sample in record.samples)
        printer.line(
            f"at the end {last.automata:,} automata of {last.automata_bytes / MIB:,.0f} MiB are kept "
            f"(at most {highest / MIB:,.0f}, budget {settings.budget_mib:,}); shared tables take "
            f"{last.table_bytes / MIB:,.0f} MiB in generation {last.generations}"
        )
    printer.line("memory is flat" if flat(cut) else "memory is not flat")


def _figures(values: npt.NDArray[Any]) -> list[str]:
    if not len(values):
        return ["-"] * (1 + len(_PERCENTILES))
    return [f"{value:.3g}" for value in (values.mean(), *np.percentile(values, _PERCENTILES))]


def write(record: Record, path: Path) -> None:
    """Write a run as JSON: settings, counts, percentiles and samples, for the plot."""
    content = {
        "settings": asdict(record.settings),
        **{
            name: getattr(record, name)
            for name in (
                "schemas",
                "hits",
                "compilations",
                "ends",
                "tokens",
                "running",
                "seconds",
                "versions",
            )
        },
        "cpu": results.cpu_name(),
        "commit": results.commit(),
        "command": results.command_line(),
        "percentiles": [*range(100), 99.5, 99.9, 99.99, 100],
        "samples": [asdict(sample) for sample in record.samples],
    }
    for name in ("wall_ns", "cpu_ns", "compile_ns", "waited_steps"):
        values = np.asarray(getattr(record, name))
        content[name] = np.percentile(values, content["percentiles"]).tolist() if len(values) else []
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
