"""The plots of docs/samplers.md: ``python docs/plot_samplers.py`` writes them into docs/images.

All are of models over a few tokens, where every sequence can be enumerated: the truth is known exactly.
"""

import argparse
import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib
import numpy as np
import torch

from structgen import DEAD, AllParticlesDeadError, Vocabulary, compile_regex
from structgen.samplers import (
    AWRS,
    SMC,
    AutomatonPotential,
    LocallyConstrained,
    MaskSampler,
    SampleAndRerank,
    SamplingResult,
    TableModel,
    awrs_draw,
)

matplotlib.use("svg")
import matplotlib.pyplot as plt

Tokens = tuple[int, ...]

IMAGES = Path(__file__).parent / "images"
VOCABULARY = Vocabulary([b"", b"a", b"b", b"ab"], eos_token_ids=0)
COLOURS = {"masking": "#c22", "SMC with masks": "#1f5fa8", "SMC with AWRS": "#2a7d2a", "rerank": "#e08a00"}


class World:
    """A model, a regular expression, and the model's distribution given that the text matches."""

    def __init__(self, pattern: str, max_tokens: int, logprobs: Callable[[Tokens], Sequence[float]]) -> None:
        self.max_tokens = max_tokens
        self.automaton = compile_regex(pattern, VOCABULARY)
        self.model = TableModel(VOCABULARY, logprobs)
        self.joint: dict[str, float] = {}
        self._visit((), self.automaton.start, 1.0)
        self.evidence = sum(self.joint.values())
        self.truth = {text: p / self.evidence for text, p in self.joint.items()}

    def _visit(self, tokens: Tokens, state: int, probability: float) -> None:
        ps = self.model.next_logprobs(tokens).exp().tolist()
        if self.automaton.accepts(state):
            text = VOCABULARY.decode(tokens).decode()
            self.joint[text] = self.joint.get(text, 0.0) + probability * ps[0]
        if len(tokens) + 1 < self.max_tokens:
            for token in range(1, len(VOCABULARY)):
                following = self.automaton.step(state, token)
                if following != DEAD:
                    self._visit((*tokens, token), following, probability * ps[token])

    def distance(self, result: SamplingResult) -> float:
        """Return the total variation between a result and the truth."""
        found = result.posterior()
        return sum(abs(found.get(t, 0.0) - self.truth.get(t, 0.0)) for t in {*found, *self.truth}) / 2


def trap() -> World:
    """What is likely at first leads to what is unlikely: nine texts in ten begin with a, few end."""
    table = {
        (): [0.0, 0.9, 0.08, 0.02],
        (1,): [0.9, 0.04, 0.03, 0.03],
        (1, 1): [0.5, 0.3, 0.1, 0.1],
        (1, 1, 2): [0.5, 0.2, 0.2, 0.1],
        (1, 3): [0.5, 0.2, 0.2, 0.1],
        (2,): [0.6, 0.2, 0.1, 0.1],
    }
    even = [0.25] * 4
    return World("aab|b", 4, lambda tokens: [math.log(p or 1e-300) for p in table.get(tokens, even)])


def wide(seed: int = 5) -> World:
    """Random probabilities, and a language that takes a twelfth of them."""

    def logprobs(tokens: Tokens) -> list[float]:
        rng = random.Random(f"{seed} {tokens}")
        logits = np.array([rng.gauss(0, 1.5) for _ in range(len(VOCABULARY))])
        return [float(x) for x in logits - np.logaddexp.reduce(logits)]

    return World("(a|bb)*b", 6, logprobs)


# -- the plots ------------------------------------------------------------------------------


def plot_trap(runs: int) -> plt.Figure:
    """Probabilities of the texts of the trap, and what samplers make of them on average."""
    world = trap()
    texts = sorted(world.truth, key=world.truth.__getitem__)
    ways = {
        "the model, given that the text matches": world.truth,
        "masking": _mean([_masking(world, 20, seed) for seed in range(runs)]),
        "SMC, 5 particles": _mean([_smc(world, 5, seed) for seed in range(runs)]),
        "SMC, 50 particles": _mean([_smc(world, 50, seed) for seed in range(runs)]),
    }
    colours = ["#555", COLOURS["masking"], "#8fb8dd", COLOURS["SMC with masks"]]
    figure, axes = plt.subplots(figsize=(7.5, 2.4), layout="constrained")
    for i, ((name, posterior), colour) in enumerate(zip(ways.items(), colours, strict=True)):
        places = np.arange(len(texts)) + 0.2 * (i - 1.5)
        axes.bar(places, [posterior.get(text, 0.0) for text in texts], 0.18, label=name, color=colour)
    axes.set_xticks(range(len(texts)), texts)
    axes.set(ylabel="probability", ylim=(0, 1))
    figure.legend(frameon=False, fontsize=8, loc="outside right center")
    return figure


def plot_particles(runs: int) -> plt.Figure:
    """Distance to the truth, and error of the evidence, by the number of particles."""
    figure, axes = plt.subplots(1, 3, figsize=(9.5, 3), layout="constrained")
    counts = [2, 5, 10, 20, 50, 100, 200, 500]
    for axis, world, name in zip(axes, (trap(), wide()), ("a trap", "random probabilities"), strict=False):
        for way, sample in _ways().items():
            distances = [
                np.mean([_distance(world, sample, count, seed) for seed in range(runs)]) for count in counts
            ]
            axis.loglog(counts, distances, "o-", label=way, color=COLOURS[way], markersize=3)
        axis.set(title=name, xlabel="particles", ylabel="total variation to the truth", ylim=(0.01, 1.1))
    axes[0].legend(frameon=False, fontsize=8)
    world = wide()
    for way in ("SMC with masks", "SMC with AWRS", "rerank"):
        errors = []
        for count in counts:
            found = [_evidence(world, _ways()[way], count, seed) for seed in range(runs)]
            errors.append(math.sqrt(np.mean([(z / world.evidence - 1) ** 2 for z in found])))
        axes[2].loglog(counts, errors, "o-", color=COLOURS[way], markersize=3)
    axes[2].set(title="random probabilities", xlabel="particles", ylabel="relative error of the evidence")
    return figure


def plot_estimators(draws: int) -> plt.Figure:
    """Calls of the predicate, and spread of the weights, by the probability of what is allowed."""
    figure, axes = plt.subplots(1, 2, figsize=(8, 2.8), layout="constrained")
    colours = {"recursive": "#1f5fa8", "two_loop": "#2a7d2a", "geometric": "#e08a00"}
    shares = [0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.95]
    for estimator, colour in colours.items():
        calls, spreads = [], []
        for share in shares:
            ps, allowed = _row(share)
            generator = torch.Generator().manual_seed(0)
            found = [
                awrs_draw(
                    ps.log(), allowed.__contains__, estimator=estimator, max_accepts=4, generator=generator
                )
                for _ in range(draws)
            ]
            mass = float(ps[sorted(allowed)].sum())
            calls.append(np.mean([draw.calls for draw in found]))
            spreads.append(np.std([math.exp(draw.log_weight) for draw in found]) / mass)
        axes[0].plot(shares, calls, "o-", color=colour, markersize=3, label=estimator)
        axes[1].plot(shares, spreads, "o-", color=colour, markersize=3)
    axes[0].plot(shares, [1 / share for share in shares], ":", color="#777", label="with replacement: 1 / Z")
    axes[0].set(xlabel="Z, the probability of what is allowed", ylabel="calls per token", yscale="log")
    axes[1].set(xlabel="Z", ylabel="relative spread of the weight")
    axes[0].legend(frameon=False, fontsize=8)
    return figure


def _row(share: float) -> tuple[torch.Tensor, set[int]]:
    """Return a distribution over 200 tokens like a model's, and tokens of about a given probability."""
    generator = torch.Generator().manual_seed(1)
    ps = (torch.randn(200, dtype=torch.float64, generator=generator) * 2).softmax(0)
    allowed: set[int] = set()
    for token in torch.randperm(200, generator=generator).tolist():
        if float(ps[sorted(allowed)].sum() if allowed else 0.0) + float(ps[token]) <= share:
            allowed.add(token)
    return ps, allowed


Way = Callable[[World, int, int], SamplingResult]


def _ways() -> dict[str, Way]:
    return {"masking": _masking, "SMC with masks": _smc, "SMC with AWRS": _awrs, "rerank": _rerank}


def _masking(world: World, count: int, seed: int) -> SamplingResult:
    sampler = LocallyConstrained(count)
    return sampler.run(world.model, MaskSampler(world.automaton), max_tokens=world.max_tokens, seed=seed)


def _smc(world: World, count: int, seed: int) -> SamplingResult:
    return SMC(count).run(world.model, MaskSampler(world.automaton), max_tokens=world.max_tokens, seed=seed)


def _awrs(world: World, count: int, seed: int) -> SamplingResult:
    token_sampler = AWRS(AutomatonPotential(world.automaton))
    return SMC(count).run(world.model, token_sampler, max_tokens=world.max_tokens, seed=seed)


def _rerank(world: World, count: int, seed: int) -> SamplingResult:
    sampler = SampleAndRerank(count)
    return sampler.run(world.model, MaskSampler(world.automaton), max_tokens=world.max_tokens, seed=seed)


def _distance(world: World, sample: Way, count: int, seed: int) -> float:
    try:
        return world.distance(sample(world, count, seed))
    except AllParticlesDeadError:
        return 1.0  # nothing found


def _evidence(world: World, sample: Way, count: int, seed: int) -> float:
    try:
        return math.exp(sample(world, count, seed).log_evidence)
    except AllParticlesDeadError:
        return 0.0


def _mean(results: Sequence[SamplingResult]) -> dict[str, float]:
    mean: dict[str, float] = {}
    for result in results:
        for text, weight in result.posterior().items():
            mean[text] = mean.get(text, 0.0) + weight / len(results)
    return mean


def main() -> None:
    """Write the plots."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200, help="runs that are averaged over")
    parser.add_argument("--draws", type=int, default=2000, help="draws of a token that are averaged over")
    parser.add_argument("--into", type=Path, default=IMAGES, help="folder of the plots")
    options = parser.parse_args()
    options.into.mkdir(parents=True, exist_ok=True)
    # Text stays text, and equal numbers make equal files.
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "structgen", "axes.spines.top": False})
    plt.rcParams.update({"axes.spines.right": False, "font.size": 9})
    for name, figure in (
        ("samplers-trap", plot_trap(options.runs)),
        ("samplers-particles", plot_particles(options.runs)),
        ("samplers-estimators", plot_estimators(options.draws)),
    ):
        figure.savefig(options.into / f"{name}.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
