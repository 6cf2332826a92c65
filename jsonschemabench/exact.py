"""Sampling methods against an exact conditional: a world so small that all of its texts can be enumerated.

The vocabulary is three letters and the end token. The model's log-probabilities are drawn once from a seed,
anew for every prefix. The syntax is one to four letters; the predicate, that no two ``a`` follow each other,
which a prefix already shows, and that the number of ``b`` is even, which only the whole text does. What a
method draws is compared with the model's distribution over conforming texts, by enumeration. Of N draws, the
total variation of even an exact method is of the order of the square root of the number of texts over N.
"""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from jsonschemabench.report import figure

if TYPE_CHECKING:
    from structgen.samplers import SamplingResult

LETTERS = "abc"
LONGEST = 4
"""Letters of a text at most; the end token comes after them."""

HEADER = (
    *("", "total variation", "KL", "log-evidence bias", "log-evidence error", "ESS share"),
    *("calls per token", "dead"),
)


def total_variation(drawn: Mapping[str, float], exact: Mapping[str, float]) -> float:
    """Return half the sum of absolute differences; both are distributions over texts."""
    return sum(abs(drawn.get(text, 0.0) - exact.get(text, 0.0)) for text in drawn.keys() | exact.keys()) / 2


def divergence(drawn: Mapping[str, float], exact: Mapping[str, float]) -> float:
    """Return the Kullback-Leibler divergence of ``drawn`` from ``exact``, in nats.

    It is infinite where something was drawn that ``exact`` gives no probability.
    """
    terms = [
        share * math.log(share / exact[text]) if exact.get(text) else math.inf
        for text, share in drawn.items()
        if share > 0
    ]
    return max(0.0, math.fsum(terms))


def conforms(text: str) -> bool:
    """Tell whether a text conforms to syntax and predicate."""
    return 1 <= len(text) <= LONGEST and "aa" not in text and text.count("b") % 2 == 0


@functools.cache
def next_probabilities(prefix: str, seed: int) -> tuple[float, ...]:
    """Return the model's probabilities of each letter and of the end, after a prefix."""
    draws = random.Random(f"{seed}/{prefix}")
    scores = [math.exp(draws.gauss(0, 1.2)) for _ in range(len(LETTERS) + 1)]
    return tuple(score / sum(scores) for score in scores)


def exact(seed: int) -> tuple[dict[str, float], float]:
    """Enumerate the distribution over conforming texts; with it comes the model's probability of them all."""
    joint: dict[str, float] = {}
    left = [("", 1.0)]
    while left:
        text, probability = left.pop()
        *letters, end = next_probabilities(text, seed)
        if conforms(text):
            joint[text] = probability * end
        if len(text) < LONGEST:
            left += [(text + LETTERS[i], probability * share) for i, share in enumerate(letters)]
    evidence = math.fsum(joint.values())
    return {text: share / evidence for text, share in joint.items()}, evidence


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How close a method comes.

    Attributes
    ----------
    method
        Its name.
    variation, divergence
        Of the mean of the posteriors of all runs from the exact conditional.
    evidence_bias
        Log of the mean of the estimates of the evidence, minus the exact log-evidence; the estimate of a run
        whose particles all died is 0. None without weights.
    evidence_error
        Root mean square of the log-evidence of each other run minus the exact; None without weights.
    ess
        Effective sample size by particle, at the end of a run: 1 over the sum of squared weights.
    calls_per_token
        How often the predicate was asked, per token drawn.
    dead
        Share of the runs whose particles all died.
    """

    method: str
    variation: float
    divergence: float
    evidence_bias: float | None
    evidence_error: float | None
    ess: float
    calls_per_token: float
    dead: float

    def cells(self) -> list[str]:
        """Return the cells under :data:`HEADER`."""
        bias, error = (
            "-" if value is None else f"{value:+.3f}" for value in (self.evidence_bias, self.evidence_error)
        )
        distances = [f"{self.variation:.3f}", f"{self.divergence:.3f}", bias, error.lstrip("+")]
        return [self.method, *distances, f"{self.ess:.0%}", figure(self.calls_per_token), f"{self.dead:.1%}"]


def measure(methods: Sequence[str], runs: int, particles: int, seed: int = 0) -> list[Accuracy]:
    """Run methods in the small world.

    Parameters
    ----------
    methods
        Names in :data:`jsonschemabench.sampler_quality.METHODS`.
    runs
        How many runs of each, with seeds 0, 1, ...
    particles
        Of a run.
    seed
        Of the model.

    Raises
    ------
    ImportError
        If PyTorch is not installed.
    """
    from jsonschemabench.exact_world import run

    conditional, evidence = exact(seed)
    return [
        accuracy(
            method, [run(method, particles, seed, number) for number in range(runs)], conditional, evidence
        )
        for method in methods
    ]


def accuracy(
    method: str,
    results: Sequence[SamplingResult | None],
    conditional: Mapping[str, float],
    evidence: float,
) -> Accuracy:
    """Compare the results of a method's runs, None where all particles died, with the exact conditional."""
    from jsonschemabench.sampler_quality_methods import UNWEIGHTED

    weighted = method not in UNWEIGHTED
    alive = [result for result in results if result is not None and result.sequences]
    drawn: dict[str, float] = {}
    sizes = []
    for result in alive:
        weights = [s.weight if weighted else 1 / len(result.sequences) for s in result.sequences]
        sizes.append(1 / sum(weight**2 for weight in weights) / len(weights) if any(weights) else 0.0)
        for sequence, weight in zip(result.sequences, weights, strict=True):
            text = sequence.text if sequence.finished else sequence.text + "..."
            drawn[text] = drawn.get(text, 0.0) + weight / len(alive)
    drawn = {text: weight for text, weight in drawn.items() if weight > 0}
    bias = error = None
    if weighted:
        logs = [-math.inf if result is None else result.log_evidence for result in results]
        mean = fmean(math.exp(log) for log in logs)
        bias = (math.log(mean) if mean else -math.inf) - math.log(evidence)
        errors = [(log - math.log(evidence)) ** 2 for log in logs if log > -math.inf]
        error = math.sqrt(fmean(errors)) if errors else math.inf
    tokens = sum(result.drawn for result in alive)
    return Accuracy(
        method=method,
        variation=total_variation(drawn, conditional) if drawn else 1.0,
        divergence=divergence(drawn, conditional) if drawn else math.inf,
        evidence_bias=bias,
        evidence_error=error,
        ess=fmean(sizes) if sizes else 0.0,
        calls_per_token=sum(result.calls for result in alive) / tokens if tokens else 0.0,
        dead=1 - len(alive) / len(results),
    )
