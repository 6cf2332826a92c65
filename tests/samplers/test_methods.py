"""Rejection, adaptive and Markov chain samplers against the enumerated truth."""

import itertools
import math
from typing import Any

import pytest

from structgen._errors import NothingSatisfiesError, SamplingError
from structgen.samplers._context import Context
from structgen.samplers._mcmc import SuffixMCMC, _Chain, _log_ratio
from structgen.samplers._methods import ExactRejection, GrammarAligned, LocallyConstrained, SampleAndRerank
from structgen.samplers._potentials import BasePotential
from structgen.samplers._results import SamplingResult
from structgen.samplers._run import Run
from structgen.samplers._token_samplers import MaskThenAWRS, TokenSampler
from structgen.samplers._trie import Trie
from tests.samplers.worlds import TWO_ENDS, Matches, Tokens, World, bound, total_variation, trap


def world_of(name: str) -> World:
    if name == "trap":
        return trap()
    if name == "ends":
        return World("a{1,2}b?", 3, seed=36, ends=TWO_ENDS)
    return World("(a|b){1,3}", 4, seed=21)


def no_ba(text: str) -> bool:
    return text.startswith("ba")


def sampler_of(world: World, kind: str) -> tuple[TokenSampler, dict[Tokens, float]]:
    """Return a token sampler and the probabilities of the sequences that it allows."""
    if kind == "masks":
        return world.masks(), world.joint
    if kind == "awrs":
        return world.awrs(), world.joint
    guard = Matches(world, refuse=no_ba)
    pieces = world.vocabulary.tokens
    kept = {t: p for t, p in world.joint.items() if not no_ba(b"".join(pieces[i] for i in t).decode())}
    return MaskThenAWRS(world.automaton, guard), kept


def normalised(joint: dict[Tokens, float]) -> dict[Tokens, float]:
    total = sum(joint.values())
    return {tokens: p / total for tokens, p in joint.items()}


def compare(result: SamplingResult, joint: dict[Tokens, float], samples: float) -> None:
    """Check the distance for so many independent samples, and the evidence."""
    truth = normalised(joint)
    assert total_variation(result, truth) < bound(truth, samples)
    assert math.exp(result.log_evidence) == pytest.approx(sum(joint.values()), rel=0.15)
    for sequence in result.sequences:
        if sequence.finished:
            assert math.exp(sequence.log_probability) == pytest.approx(joint[sequence.tokens])


worlds = pytest.mark.parametrize("name", ["letters", "trap", "ends"])
kinds = pytest.mark.parametrize("kind", ["masks", "awrs", "guard"])


@worlds
@kinds
def test_sample_and_rerank(name: str, kind: str) -> None:
    world = world_of(name)
    sampler, joint = sampler_of(world, kind)
    result = SampleAndRerank(8000).run(world.model, sampler, max_tokens=world.max_tokens, seed=0)
    compare(result, joint, 8000 * sum(joint.values()))
    assert all(result.sequences[death.particle].weight == 0 for death in result.deaths)
    assert len(result.deaths) == sum(s.weight == 0 for s in result.sequences)


@kinds
def test_locally_constrained_sequences_conform_with_equal_weights(kind: str) -> None:
    world = world_of("letters")
    sampler, joint = sampler_of(world, kind)
    result = LocallyConstrained(2000).run(world.model, sampler, max_tokens=4, seed=0)
    assert {s.tokens for s in result.sequences if s.finished} <= set(joint)
    assert {s.weight for s in result.sequences} <= {0.0, 1 / sum(s.finished for s in result.sequences)}
    assert math.exp(result.log_evidence) == pytest.approx(sum(joint.values()), rel=0.1)


@worlds
@kinds
def test_exact_rejection_samples_the_truth(name: str, kind: str) -> None:
    world = world_of(name)
    sampler, joint = sampler_of(world, kind)
    exact = ExactRejection(3000, batch=100, max_draws=200_000)
    result = exact.run(world.model, sampler, max_tokens=world.max_tokens, seed=0)
    compare(result, joint, 3000)
    assert len(result.sequences) == 3000
    assert {s.weight for s in result.sequences} == {1 / 3000}
    assert result.acceptance_rate is not None
    # Rejection without a memory would accept as often as the model conforms.
    assert result.acceptance_rate > 1.2 * sum(joint.values())


def test_exact_rejection_is_exact_before_it_has_learned_anything() -> None:
    world = trap()
    rounds = [
        ExactRejection(1, batch=1, max_draws=2000).run(world.model, world.masks(), max_tokens=4, seed=seed)
        for seed in range(400)
    ]
    assert total_variation(rounds, world.posterior) < bound(world.posterior, 400) < 0.2


@worlds
@kinds
def test_grammar_aligned_weights_are_right(name: str, kind: str) -> None:
    world = world_of(name)
    sampler, joint = sampler_of(world, kind)
    result = GrammarAligned(2000, batch=50).run(world.model, sampler, max_tokens=world.max_tokens, seed=0)
    compare(result, joint, 2000)


@kinds
def test_grammar_aligned_weights_are_right_from_the_start(kind: str) -> None:
    world = world_of("letters")
    sampler, joint = sampler_of(world, kind)
    estimates = []
    for seed in range(300):
        try:
            one = GrammarAligned(2, batch=1).run(world.model, sampler, max_tokens=4, seed=seed)
        except SamplingError as error:
            one = error.result
        estimates.append(math.exp(one.log_evidence))
    mean = sum(estimates) / len(estimates)
    error = math.sqrt(sum((x - mean) ** 2 for x in estimates)) / len(estimates)
    assert abs(mean - sum(joint.values())) < 4.5 * error


@worlds
def test_grammar_aligned_draws_tend_to_the_truth(name: str) -> None:
    world = world_of(name)

    def distance(warm_up: int) -> float:
        result = GrammarAligned(3000, batch=3000, warm_up=warm_up, weighted=False).run(
            world.model, world.masks(), max_tokens=world.max_tokens, seed=0
        )
        assert len({s.weight for s in result.sequences if s.finished}) == 1
        return total_variation(result, world.posterior)

    # The warm-up is a batch of its own; without it, the draws are those of masks.
    assert distance(0) > 0.2
    assert distance(3000) < bound(world.posterior, 3000)


@worlds
@pytest.mark.parametrize("masked", [False, True])
def test_the_trie_bounds_the_evidence_from_above_and_tends_to_it(name: str, masked: bool) -> None:
    world = world_of(name)
    trie = Trie(world.masks().potential, Context.root(world.vocabulary), world.max_tokens)
    bounds = []
    with Run(0, None, None, 0) as run:
        for _ in range(40):
            trie.round(world.model, 50, run, masked=masked)
            bounds.append(math.exp(trie.root.log_valid))
    assert bounds[0] < 1
    assert all(later <= sooner * (1 + 1e-12) for sooner, later in itertools.pairwise(bounds))
    assert bounds[-1] >= world.evidence * (1 - 1e-9)
    assert bounds[-1] == pytest.approx(world.evidence, rel=0.02)


@pytest.mark.parametrize("name", ["letters", "ends"])
@kinds
def test_suffix_mcmc_tends_to_the_truth(name: str, kind: str) -> None:
    world = world_of(name)
    sampler, joint = sampler_of(world, kind)

    def result(steps: int) -> SamplingResult:
        return SuffixMCMC(700, steps).run(world.model, sampler, max_tokens=world.max_tokens, seed=1)

    start, end = result(0), result(10)
    assert total_variation(start, normalised(joint)) > 0.2
    compare(end, joint, 700)
    assert start.acceptance_rate is None
    assert end.acceptance_rate is not None
    assert 0.2 < end.acceptance_rate < 1


def test_suffix_mcmc_leaves_a_trap() -> None:
    world = trap()
    result = SuffixMCMC(100, 200).run(world.model, world.masks(), max_tokens=4, seed=1)
    assert total_variation(result, world.posterior) < bound(world.posterior, 100) < 0.4


def test_chains_that_die_begin_anew() -> None:
    # What begins with a cannot end in time.
    world = World("bb?|a{4}", 4, table={(): [0.0, 0.8, 0.2, 0.0]})
    start = SuffixMCMC(300, 0).run(world.model, world.masks(), max_tokens=4, seed=0)
    assert 200 < sum(s.weight == 0 for s in start.sequences) < 300
    end = SuffixMCMC(300, 40).run(world.model, world.masks(), max_tokens=4, seed=0)
    assert all(s.finished for s in end.sequences)
    assert total_variation(end, world.posterior) < bound(world.posterior, 300)
    assert end.log_evidence == start.log_evidence


@worlds
def test_suffix_mcmc_is_in_detailed_balance(name: str) -> None:
    world = world_of(name)
    potential = world.masks().potential
    root = Context.root(world.vocabulary)

    def chain_of(tokens: Tokens) -> tuple[_Chain, list[float]]:
        """Return the chain's state, and the probability with which masks draw each token."""
        path = [root]
        log_weights, probabilities = [], []
        for i, token in enumerate(tokens):
            ps = [math.exp(log_p) for log_p in world.logprobs(tokens[:i])]
            last = i == world.max_tokens - 1
            allowed = [
                t
                for t in range(len(ps))
                if potential.prefix(path[-1].extend(t)) == 0 and (not last or t in ends)
            ]
            total = sum(ps[t] for t in allowed)
            log_weights.append(math.log(total))
            probabilities.append(ps[token] / total)
            path.append(path[-1].extend(token))
        return _Chain(path, log_weights, [], score=-0.3 * len(tokens)), probabilities

    ends = world.vocabulary.eos_token_ids
    states = {tokens: chain_of(tokens) for tokens in world.joint}
    target = {tokens: p * math.exp(-0.3 * len(tokens)) for tokens, p in world.joint.items()}

    def flow(x: Tokens, y: Tokens, cut: int) -> float:
        drawn = math.prod(states[y][1][cut:])
        accepted = math.exp(min(0.0, _log_ratio(states[x][0], states[y][0], cut)))
        return target[x] / len(x) * drawn * accepted

    compared = 0
    for x in states:
        for y in states:
            for cut in range(min(len(x), len(y))):
                if x[:cut] == y[:cut]:
                    assert flow(x, y, cut) == pytest.approx(flow(y, x, cut))
                    compared += x != y
    assert compared > len(states)


class FewBs(BasePotential):
    def prefix(self, context: Context) -> float:
        return self.complete(context)

    def complete(self, context: Context) -> float:
        return -1.2 * context.text.count("b")


@pytest.mark.parametrize(("sampler", "samples"), [(SuffixMCMC(700, 30), 700), (SampleAndRerank(4000), 800)])
def test_critics_multiply_the_target(sampler: Any, samples: int) -> None:
    world = world_of("letters")
    tilted = {
        t: p * math.exp(FewBs().complete(Context.root(world.vocabulary).extend_all(t)))
        for t, p in world.joint.items()
    }
    result = sampler.run(world.model, world.masks(), max_tokens=4, seed=0, critic=FewBs())
    total = sum(tilted.values())
    truth = normalised(tilted)
    assert total_variation(result, truth) < bound(truth, samples)
    assert math.exp(result.log_evidence) == pytest.approx(total, rel=0.15)


SAMPLERS = [
    LocallyConstrained(8),
    SampleAndRerank(40),
    ExactRejection(8, batch=3),
    GrammarAligned(8, batch=3, warm_up=4),
    SuffixMCMC(8, 3),
]
each = pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda s: type(s).__name__)


@each
def test_runs_are_reproducible_and_described(sampler: Any) -> None:
    world = world_of("letters")
    steps: list[tuple[int, int]] = []

    def run(seed: int) -> SamplingResult:
        result: SamplingResult = sampler.run(
            world.model,
            world.awrs(),
            max_tokens=4,
            seed=seed,
            progress=lambda done, total: steps.append((done, total)),
        )
        return result

    first = run(1)
    done, total = steps[-1]
    assert 0 < done <= total
    assert run(1).sequences == first.sequences
    assert any(run(seed).sequences != first.sequences for seed in (2, 3))
    assert len(first.sequences) == sampler.particles
    assert sum(s.weight for s in first.sequences) == pytest.approx(1)
    assert first.seed == 1
    assert first.method == repr(sampler)
    assert set(first.seconds) == {"model", "constraint", "sampler"}
    assert min(first.seconds.values()) >= 0
    assert first.calls > 0


@pytest.mark.parametrize("sampler", [LocallyConstrained(), ExactRejection(), GrammarAligned()])
def test_samplers_without_use_for_a_critic_say_so(sampler: Any) -> None:
    world = world_of("letters")
    with pytest.raises(ValueError, match="has no use for a critic"):
        sampler.run(world.model, world.masks(), max_tokens=4, critic=FewBs())


def test_exact_rejection_gives_up_with_what_it_has() -> None:
    world = trap()
    with pytest.raises(SamplingError, match="of 9 sequences were accepted in 6 draws") as caught:
        ExactRejection(9, batch=2, max_draws=5).run(world.model, world.masks(), max_tokens=4, seed=0)
    result = caught.value.result
    assert len(result.sequences) + len(result.deaths) == 6


def test_exact_rejection_proves_that_nothing_satisfies() -> None:
    # The model never says what the language begins with.
    world = World("a", 3, table={(): [0.5, 0.0, 0.5, 0.0]})
    with pytest.raises(NothingSatisfiesError, match="at most 3 tokens"):
        ExactRejection(2).run(world.model, world.masks(), max_tokens=3, seed=0)


@pytest.mark.parametrize(
    ("cls", "settings"),
    [
        (LocallyConstrained, {"particles": 0}),
        (SampleAndRerank, {"particles": 0}),
        (ExactRejection, {"batch": 0}),
        (ExactRejection, {"max_draws": 0}),
        (GrammarAligned, {"warm_up": -1}),
        (GrammarAligned, {"particles": 0}),
        (SuffixMCMC, {"steps": -1}),
        (SuffixMCMC, {"particles": 0}),
    ],
)
def test_settings_are_checked(cls: Any, settings: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(settings))} is"):
        cls(**settings)
