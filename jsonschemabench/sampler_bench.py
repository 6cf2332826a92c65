"""The ``samplers`` run: what adaptive weighted rejection costs next to masking the whole vocabulary."""

from __future__ import annotations

import json
import math
import os
import platform
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

import structgen
from jsonschemabench import results, sampler_inputs, statistics
from jsonschemabench.genlm_worker import BusyWait, Peer
from jsonschemabench.report import Printer, figure
from jsonschemabench.sampler_inputs import Constraint, Family, Position
from jsonschemabench.vocabularies import BenchVocabulary
from structgen.samplers import AWRS, BasePotential, Context, MaskSampler, TokenSampler, mask_draw
from structgen.samplers._draws import Estimator
from structgen.samplers._token_samplers import allowed_tokens

ESTIMATORS: tuple[Estimator, ...] = ("recursive", "two_loop", "geometric")
MASK, ALL, GENLM = "mask", "ask all", "genlm-control"
AUTOMATON = "automaton"
"""In place of a predicate's microseconds."""

BAR = 0.05
"""How far mean calls may be from the exact ones."""

_HEADER = ("draws", "mean", "p50", "p90", "p99", "p99.9", "max")
# From here on, genlm-control takes the geometric estimator.
_PEAKED = 2 / 3


@dataclass(frozen=True)
class Settings:
    """What is run; see ``--help``."""

    cases: tuple[str, ...] = sampler_inputs.CASES
    families: tuple[str, ...] = tuple(sampler_inputs.FAMILIES)
    predicates_us: tuple[float, ...] = (0.0, 10.0, 100.0)
    positions: int | None = 40
    draws: int = 20
    predicate_draws: int = 5
    asked: int = 100
    seed: int = 0
    genlm_python: str | None = None


@dataclass(slots=True)
class Sample:
    """What one method did at one position.

    Attributes
    ----------
    predicate
        ``"automaton"``, or the microseconds of the Python predicate.
    ns
        Nanoseconds of every timed draw.
    calls
        Predicate calls of every draw: the timed ones, and others that only count calls.
    expected_calls
        By the exact formula; None where there is none.
    peak
        The greatest probability.
    allowed, z
        How many tokens are allowed, and their probability.
    """

    case: str
    family: str
    text: int
    position: int
    method: str
    predicate: str
    ns: list[int]
    calls: list[int]
    expected_calls: float | None
    peak: float
    allowed: int
    z: float


@dataclass(slots=True)
class Run:
    """Samples, and what is needed to judge and repeat them."""

    settings: Settings
    vocabulary: str
    size: int
    waits_us: dict[str, float] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    unavailable: dict[str, str] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)

    def manifest(self) -> dict[str, Any]:
        """Return all but the samples."""
        return {
            "kind": "manifest",
            "command": results.command_line(),
            "settings": asdict(self.settings),
            "families": {name: asdict(sampler_inputs.FAMILIES[name]) for name in self.settings.families},
            "vocabulary": self.vocabulary,
            "vocabulary_size": self.size,
            "waits_us": self.waits_us,
            "versions": self.versions,
            "unavailable": self.unavailable,
            "threads": torch.get_num_threads(),
            "cpu": results.cpu_name(),
            "cpus": os.cpu_count(),
            "load_average": os.getloadavg(),
            "system": platform.platform(),
            "python": platform.python_version(),
            "commit": results.commit(),
            "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        }


class PythonPredicate(BasePotential):
    """A predicate in Python: waits, and looks up the last token in the mask of the moment."""

    boolean = True

    def __init__(self, eos: int) -> None:
        self.wait: Callable[[], None] = lambda: None
        self.allowed = b""
        self._eos = eos

    def prefix(self, context: Context) -> float:
        """Answer about the context's last token."""
        self.wait()
        return 0.0 if self.allowed[context.token] else -math.inf

    def complete(self, context: Context) -> float:
        """Answer about the end token."""
        self.wait()
        return 0.0 if self.allowed[self._eos] else -math.inf


def expected_calls(
    estimator: str, probabilities: npt.NDArray[np.float64], allowed: npt.NDArray[np.bool_]
) -> float:
    """Return the mean number of predicate calls of a draw, exactly but for rounding.

    The recursive estimator's is that of one loop and a look at the next token; it would be less by the
    probability that the accepted token is the very last one. The geometric estimator (two acceptances) asks
    about a rejected token when two loops would, and not twice about the same accepted one.

    Parameters
    ----------
    estimator
        As of :func:`structgen.samplers.awrs_draw`, with its defaults.
    probabilities
        Shape ``(V,)``.
    allowed
        Shape ``(V,)``.
    """
    inside, outside = probabilities[allowed], probabilities[~allowed]
    outside = outside[outside > 0]
    z = float(inside.sum())
    if z == 0:
        return float(len(outside))
    if estimator == "recursive":
        return 2.0 + float((outside / (outside + z)).sum())
    again = float((1 - (z / (z + outside)) ** 2).sum())
    return 2.0 + again - (float(((inside / z) ** 2).sum()) if estimator == "geometric" else 0.0)


def run(
    settings: Settings,
    vocabulary: BenchVocabulary,
    *,
    out: Path | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Run:
    """Draw at every position of the cases' texts with every method.

    All methods draw from the same log-probabilities, position by position; the method that goes first moves
    on by one each time. One thread computes at a time.

    Parameters
    ----------
    settings, vocabulary
        What to run, with which tokens.
    out
        File for a manifest and the samples as JSON lines, written as they come.
    progress
        Called with the name of every case and family.

    Raises
    ------
    DatasetError
        There is no such case.
    ValueError
        There is no such family.
    """
    if unknown := set(settings.families) - set(sampler_inputs.FAMILIES):
        raise ValueError(f"no family {unknown.pop()!r}; there are {', '.join(sampler_inputs.FAMILIES)}")
    tokens = structgen.Vocabulary(
        vocabulary.tokens,
        eos_token_ids=(vocabulary.eos_token_id,),
        special_token_ids=vocabulary.special_token_ids,
    )
    constraints = [sampler_inputs.load(name, tokens, vocabulary) for name in settings.cases]
    record = Run(settings, vocabulary.name, vocabulary.size)
    record.versions = results.versions(("structgen", "torch", "numpy"))
    threads = torch.get_num_threads()
    with ExitStack() as stack:
        stack.callback(torch.set_num_threads, threads)
        torch.set_num_threads(1)
        bench = _Bench(record, vocabulary, tokens, stack)
        file = stack.enter_context(out.open("w", encoding="utf-8")) if out is not None else None
        if file is not None:
            file.write(json.dumps(record.manifest()) + "\n")
        for constraint in constraints:
            for name in settings.families:
                progress(f"{constraint.name}, {name}")
                for sample in bench.draw(constraint, sampler_inputs.FAMILIES[name]):
                    record.samples.append(sample)
                    if file is not None:
                        file.write(json.dumps({"kind": "sample", **asdict(sample)}) + "\n")
    return record


Timed = Callable[[], tuple[list[int], list[int]]]


class _Bench:
    def __init__(
        self, record: Run, vocabulary: BenchVocabulary, tokens: structgen.Vocabulary, stack: ExitStack
    ) -> None:
        self._settings = settings = record.settings
        self._size, self._eos = vocabulary.size, vocabulary.eos_token_id
        self._tokens = tokens
        self._generator = torch.Generator().manual_seed(settings.seed)
        self._rng = np.random.default_rng(settings.seed)
        self._predicate = PythonPredicate(self._eos)
        self._waits = {us: BusyWait(us) for us in settings.predicates_us}
        record.waits_us = {f"{us:g}": wait.measured_us for us, wait in self._waits.items()}
        self._turn = 0
        self._peer: Peer | None = None
        if settings.genlm_python is not None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            self._files = folder / "row", folder / "mask"
            for path, width in zip(self._files, (4, 1), strict=True):
                path.write_bytes(bytes(width * self._size))
            try:
                self._peer = Peer(
                    settings.genlm_python, *self._files, self._size, self._eos, seed=settings.seed
                )
            except (RuntimeError, OSError) as error:
                record.unavailable[GENLM] = str(error)
            else:
                stack.callback(self._peer.close)
                record.versions |= {
                    f"{name} of the peer" if name != GENLM else name: version
                    for name, version in self._peer.versions.items()
                }

    def draw(self, constraint: Constraint, family: Family) -> Iterable[Sample]:
        for place in sampler_inputs.positions(constraint, self._eos, self._settings.positions):
            yield from self._at(constraint, family, place)

    def _at(self, constraint: Constraint, family: Family, place: Position) -> Iterable[Sample]:
        row = family.logprobs(place.token, self._size, place.rng(family.name, self._settings.seed))
        context = Context.root(self._tokens)
        for token in place.before:
            context = context.extend(token)
        automaton = MaskSampler(constraint.automaton)
        words = np.zeros((self._size + 31) // 32, np.int32)
        automaton.potential.fill_masks([context], words[None])
        octets = words.astype("<i4").view(np.uint8)
        allowed = np.unpackbits(octets, bitorder="little")[: self._size].astype(bool)
        if not allowed[place.token]:
            raise ValueError(f"{place.case}: text {place.text} is refused after {len(place.before)} tokens")
        self._predicate.allowed = allowed.tobytes()
        if self._peer is not None:
            row.tofile(self._files[0])
            allowed.tofile(self._files[1])
        probabilities = np.exp(row, dtype=np.float64)
        expected: dict[str, float] = {
            name: expected_calls(name, probabilities, allowed) for name in ESTIMATORS
        }
        peak, z = float(probabilities.max()), float(probabilities[allowed].sum())
        tensors = torch.from_numpy(row)[None], torch.from_numpy(allowed)
        methods = self._methods(automaton, context, *tensors, expected)
        turn = self._turn % len(methods)
        self._turn += 1
        for method, predicate, timed in methods[turn:] + methods[:turn]:
            ns, calls = timed()
            exact = expected.get(
                ("geometric" if peak >= _PEAKED else "recursive") if method == GENLM else method
            )
            yield Sample(
                *(place.case, family.name, place.text, len(place.before), method, predicate, ns, calls),
                *(exact, peak, int(allowed.sum()), z),
            )

    def _methods(
        self,
        mask: MaskSampler,
        context: Context,
        row: torch.Tensor,
        allowed: torch.Tensor,
        expected: dict[str, float],
    ) -> list[tuple[str, str, Timed]]:
        settings = self._settings

        def drawing(sampler: TokenSampler, draws: int, us: float | None = None, more: int = 0) -> Timed:
            def timed() -> tuple[list[int], list[int]]:
                if us is not None:
                    self._predicate.wait = self._waits[us]
                times, calls = [], []
                for _ in range(draws + more):
                    begin = perf_counter_ns()
                    (draw,) = sampler.draw([context], row, self._generator)
                    times.append(perf_counter_ns() - begin)
                    calls.append(draw.calls)
                return times[:draws], calls

            return timed

        def asking(us: float) -> Timed:
            def timed() -> tuple[list[int], list[int]]:
                self._predicate.wait = self._waits[us]
                ask = allowed_tokens(self._predicate, context)
                sample = self._rng.integers(self._size, size=settings.asked).tolist()
                times = []
                for token in sample:
                    begin = perf_counter_ns()
                    ask(token)
                    times.append(perf_counter_ns() - begin)
                begin = perf_counter_ns()
                mask_draw(row[0], allowed, generator=self._generator)
                # The median: what interrupts one call in thousands must not be multiplied.
                asked = int(np.median(times)) * self._size
                return [asked + perf_counter_ns() - begin], [self._size]

            return timed

        methods: list[tuple[str, str, Timed]] = [(MASK, AUTOMATON, drawing(mask, settings.draws))]
        for name in ESTIMATORS:
            sampler = AWRS(mask.potential, estimator=name)
            # Calls vary about as much as there are: means take more draws where they are many.
            more = int(settings.draws * min(expected[name] / 4, 50.0))
            methods.append((name, AUTOMATON, drawing(sampler, settings.draws, more=more)))
        for us in settings.predicates_us:
            for name in ESTIMATORS:
                sampler = AWRS(self._predicate, estimator=name)
                methods.append((name, f"{us:g}", drawing(sampler, settings.predicate_draws, us)))
            methods.append((ALL, f"{us:g}", asking(us)))
            if self._peer is not None:
                methods.append((GENLM, f"{us:g}", self._drawing_of_peer(us, len(context.tokens))))
        return methods

    def _drawing_of_peer(self, us: float, length: int) -> Timed:
        peer, draws = self._peer, self._settings.predicate_draws
        assert peer is not None
        return lambda: peer.draw(us, draws, length)


# -- report ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Calls:
    """Mean calls of a method next to the exact mean: over all positions of a family, each counting the same.

    ``error`` is the standard error of ``mean``, from the spread of the draws at each position.
    """

    family: str
    method: str
    draws: int
    mean: float
    error: float
    expected: float

    @property
    def deviation(self) -> float:
        """By what share the mean is over the exact one."""
        return self.mean / self.expected - 1

    @property
    def near(self) -> bool:
        """Whether the mean is within :data:`BAR` of the exact one, or the draws are too few to tell."""
        difference = abs(self.mean - self.expected)
        return difference <= BAR * self.expected or difference <= 3 * self.error


def calls(samples: Sequence[Sample]) -> list[Calls]:
    """Compare mean calls with the exact ones, by family and method; predicates don't matter to them."""
    groups: dict[tuple[str, str], dict[tuple[str, int, int], list[Sample]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for sample in samples:
        if sample.expected_calls is not None:
            place = sample.case, sample.text, sample.position
            groups[sample.family, sample.method][place].append(sample)
    found = []
    for (family, method), places in groups.items():
        draws = [[count for sample in group for count in sample.calls] for group in places.values()]
        means = [float(np.mean(counts)) for counts in draws]
        squares = [float(np.var(counts, ddof=1)) / len(counts) for counts in draws if len(counts) > 1]
        expected = [group[0].expected_calls or 0.0 for group in places.values()]
        found.append(
            Calls(
                *(family, method, sum(map(len, draws)), float(np.mean(means))),
                *(math.sqrt(sum(squares)) / len(places), float(np.mean(expected))),
            )
        )
    return found


def matched(samples: Iterable[Sample]) -> list[Sample]:
    """Return our samples of the estimator that genlm-control takes at each position."""
    return [s for s in samples if s.method == ("geometric" if s.peak >= _PEAKED else "recursive")]


def report(record: Run, printer: Printer) -> bool:
    """Print all tables.

    Returns
    -------
    bool
        Whether our estimators' mean calls are :attr:`Calls.near` the exact ones.
    """
    manifest, samples = record.manifest(), record.samples
    printer.line(f"vocabulary {record.vocabulary}, {record.size} ids; seed {record.settings.seed}")
    printer.line(f"{manifest['cpu']}, {manifest['cpus']} CPUs, one thread; {manifest['system']}")
    printer.line(f"load average {', '.join(f'{load:.1f}' for load in manifest['load_average'])}")
    printer.line(", ".join(f"{name} {version}" for name, version in record.versions.items()))
    waits = ", ".join(f"{us}: {measured:.2f}" for us, measured in record.waits_us.items())
    printer.line(f"calls of the predicates take, µs: {waits}")
    for name, reason in record.unavailable.items():
        printer.line(f"{name} is left out: {reason}")
    compared = calls(samples)
    table = [
        [
            *(f"{c.family}, {c.method}", str(c.draws), f"{c.mean:.3f}", f"{c.error:.3f}"),
            *(f"{c.expected:.3f}", f"{c.deviation:+.2%}"),
        ]
        for c in sorted(compared, key=lambda c: (c.family, c.method))
    ]
    printer.table(
        "predicate calls per token: mean, its standard error, and the exact mean",
        ["", "draws", "calls", "error", "exact", "difference"],
        table,
    )
    for family in record.settings.families:
        for predicate in (AUTOMATON, *record.waits_us):
            _report_times([s for s in samples if s.family == family], family, predicate, printer)
    return all(c.near for c in compared if c.method in ESTIMATORS)


def _report_times(samples: Sequence[Sample], family: str, predicate: str, printer: Printer) -> None:
    groups: dict[str, list[Sample]] = {}
    for method in (*ESTIMATORS, GENLM, MASK, ALL):
        # The automaton's mask is there to compare with in every table.
        group = [s for s in samples if s.method == method and s.predicate in (predicate, AUTOMATON)]
        group = group if method == MASK else [s for s in group if s.predicate == predicate]
        if group:
            groups[method] = group
    summaries = {method: _summary(group) for method, group in groups.items()}
    table = [[_title(method, groups[method]), *cells] for method, (_, cells) in summaries.items()]
    if GENLM in groups:
        ours = _summary([s for s in matched(samples) if s.predicate == predicate])
        table.append(["recursive or geometric, as genlm-control", *ours[1]])
        ratios = [f"{b / a:.2f}x" for a, b in zip(ours[0], summaries[GENLM][0], strict=True)]
        table.append([f"    {GENLM} / that", "", *ratios])
    what = "the automaton" if predicate == AUTOMATON else f"a Python predicate of {predicate} µs"
    printer.table(f"{family}, {what}: µs per token", ["", *_HEADER], table)


def _title(method: str, group: Sequence[Sample]) -> str:
    if method in (MASK, ALL):
        return {MASK: "mask of the automaton", ALL: "all tokens asked (extrapolated)"}[method]
    mean = np.mean([count for sample in group for count in sample.calls[: len(sample.ns)]])
    return f"{method}, {mean:.1f} calls"


def _summary(group: Sequence[Sample]) -> tuple[tuple[float, ...], list[str]]:
    times = np.array([ns for sample in group for ns in sample.ns], dtype=np.float64) / 1e3
    summary = statistics.summarise(times)
    assert summary is not None
    return summary.figures, [str(summary.count), *map(figure, summary.figures)]
