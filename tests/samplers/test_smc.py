"""Sequential Monte Carlo against the enumerated truth."""

import math
from collections.abc import Callable, Sequence
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from structgen._errors import AllParticlesDeadError
from structgen.samplers import _resampling
from structgen.samplers._context import Context
from structgen.samplers._draws import Draw
from structgen.samplers._methods import LocallyConstrained
from structgen.samplers._potentials import BasePotential, Potential
from structgen.samplers._resampling import SCHEMES, Floats, Indices, Uniforms
from structgen.samplers._results import SamplingResult
from structgen.samplers._smc import SMC
from structgen.samplers._token_samplers import Proposal
from tests.samplers.enumerated import Chooser, outcomes
from tests.samplers.worlds import TWO_ENDS, Tokens, World, total_variation, trap


class EnumeratedMasks:
    """An exact mask sampler whose draws are choices."""

    def __init__(self, world: World, chooser: Chooser) -> None:
        self.potential = world.masks().potential
        self._chooser = chooser

    def draw(
        self, contexts: Sequence[Context], logprobs: Tensor, generator: torch.Generator | None
    ) -> list[Draw]:
        draws = []
        for context, row in zip(contexts, logprobs.exp().tolist(), strict=True):
            allowed = [
                Fraction(p) if self.potential.prefix(context.extend(token)) == 0 else Fraction(0)
                for token, p in enumerate(row)
            ]
            total = sum(allowed)
            if not total:
                draws.append(Draw(-1, -math.inf, 0))
                continue
            token = self._chooser.choose([p / total for p in allowed])
            draws.append(Draw(token, math.log(total), 0))
        return draws


class Score(BasePotential):
    """Counts: a log score per letter a, and one per letter b of a finished text only."""

    def prefix(self, context: Context) -> float:
        return self.complete(context) if context.ended else 0.9 * context.text.count("a")

    def complete(self, context: Context) -> float:
        text = context.text
        return -math.inf if text == "ba" else 0.5 * text.count("a") - 0.7 * text.count("b")


def expectations(
    world: World,
    sampler: SMC,
    critic: Potential | None,
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[float, dict[Tokens, float]]:
    """Return E[evidence] and E[evidence x weight of each sequence], over all outcomes of a run."""
    evidence = 0.0
    measure: dict[Tokens, float] = {}
    resampled = False

    def program(chooser: Chooser) -> SamplingResult:
        return enumerated_run(world, sampler, critic, chooser, monkeypatch)

    for probability, result in outcomes(program):
        assert result is not None
        resampled = resampled or bool(result.resampled)
        estimate = float(probability) * math.exp(result.log_evidence)
        evidence += estimate
        for sequence in result.sequences:
            measure[sequence.tokens] = measure.get(sequence.tokens, 0.0) + estimate * sequence.weight
    assert resampled == (sampler.particles > 1 and sampler.ess_threshold > 0)
    return evidence, measure


def enumerated_run(
    world: World,
    sampler: SMC,
    critic: Potential | None,
    chooser: Chooser,
    monkeypatch: pytest.MonkeyPatch,
) -> SamplingResult:
    def resample(weights: Floats, uniforms: Uniforms) -> Indices:
        exact = [Fraction(w) / sum(map(Fraction, weights)) for w in weights]
        return _resampling.np.array([chooser.choose(exact) for _ in exact])

    monkeypatch.setitem(SCHEMES, "multinomial", resample)
    try:
        return sampler.run(
            world.model,
            EnumeratedMasks(world, chooser),
            max_tokens=world.max_tokens,
            seed=0,
            critic=critic,
        )
    except AllParticlesDeadError as error:
        result: SamplingResult = error.result
        return result


TILTED = {
    (): [0.1, 0.5, 0.3, 0.1],
    (1,): [0.05, 0.1, 0.8, 0.05],
    (2,): [0.7, 0.1, 0.1, 0.1],
}


@pytest.mark.parametrize("with_critic", [False, True])
@pytest.mark.parametrize("threshold", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("particles", [1, 2])
def test_every_outcome_together_gives_the_evidence_exactly(
    particles: int, threshold: float, with_critic: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World("aa?|ba?", 3, table=TILTED)
    critic = Score() if with_critic else None
    evidence, measure = expectations(world, SMC(particles, threshold, "multinomial"), critic, monkeypatch)
    truth = {t: p * math.exp(score_of(world, t) if with_critic else 0) for t, p in world.joint.items()}
    assert evidence == pytest.approx(sum(truth.values()))
    found = {tokens: value for tokens, value in measure.items() if value}
    assert found == pytest.approx({tokens: value for tokens, value in truth.items() if value})


def score_of(world: World, tokens: Tokens) -> float:
    return Score().complete(Context.root(world.vocabulary).extend_all(tokens))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("kind", ["masks", "awrs"])
def test_evidence_is_unbiased(scheme: str, kind: str) -> None:
    world = World("(a|b){1,3}", 4, seed=3)
    sampler = SMC(6, 1.0, scheme)
    estimates = []
    resampled = 0
    for seed in range(200):
        result = sampler.run(world.model, getattr(world, kind)(), max_tokens=4, seed=seed)
        estimates.append(math.exp(result.log_evidence))
        resampled += len(result.resampled)
    assert resampled > 150
    mean = sum(estimates) / len(estimates)
    error = math.sqrt(sum((x - mean) ** 2 for x in estimates) / len(estimates) ** 2)
    # With these seeds the bound is 4.5 standard errors, about 7 in a million by chance.
    assert abs(mean - world.evidence) < 4.5 * error


@pytest.mark.parametrize("world", [trap(), World("(a|b){1,3}", 4, seed=3)], ids=["trap", "letters"])
def test_distance_to_the_truth_falls_as_particles_grow(world: World) -> None:
    def distance(particles: int) -> float:
        runs = [
            total_variation(
                SMC(particles).run(world.model, world.masks(), max_tokens=4, seed=seed), world.posterior
            )
            for seed in range(max(2, 200 // particles))
        ]
        return sum(runs) / len(runs)

    few, more, many = distance(4), distance(100), distance(4000)
    assert few > 2 * more
    assert more > 2 * many
    assert many < 0.03


def test_masking_alone_keeps_its_bias_in_a_trap() -> None:
    world = trap()

    def distance(particles: int) -> float:
        sampled = LocallyConstrained(particles).run(world.model, world.masks(), max_tokens=4, seed=1)
        return total_variation(sampled, world.posterior)

    # Masking begins with a in 0.9 of 0.98 cases, the truth in less than 1 of 4.
    begins_with_a = sum(p for tokens, p in world.posterior.items() if tokens[0] == 1)
    bias = 0.9 / 0.98 - begins_with_a
    assert bias > 0.6
    assert distance(500) == pytest.approx(bias, abs=0.08)
    assert distance(8000) == pytest.approx(bias, abs=0.02)


@pytest.mark.parametrize("kind", ["masks", "awrs"])
def test_forced_ends_have_the_probability_of_all_end_tokens(kind: str) -> None:
    world = World("a{1,2}b?", 3, seed=5, ends=TWO_ENDS)
    sampled = SMC(4000).run(world.model, getattr(world, kind)(), max_tokens=3, seed=0)
    assert {s.tokens[-1] for s in sampled.sequences if s.steps == 3 and s.finished} == set(TWO_ENDS)
    assert total_variation(sampled, world.posterior) < 0.04
    assert math.exp(sampled.log_evidence) == pytest.approx(world.evidence, rel=0.1)


@pytest.mark.parametrize("top_k", [None, 2])
@pytest.mark.parametrize("kind", ["masks", "awrs"])
def test_proposals_keep_the_target_but_for_what_they_cut_off(kind: str, top_k: int | None) -> None:
    world = World("(a|b){1,3}", 4, seed=1)
    sampler = Proposal(getattr(world, kind)(), temperature=1.5, top_k=top_k)
    result = SMC(4000).run(world.model, sampler, max_tokens=4, seed=0)

    def kept(tokens: Tokens) -> bool:
        return all(
            sum(other > log_ps[token] for other in log_ps) < (top_k or 4)
            for i, token in enumerate(tokens)
            for log_ps in [world.logprobs(tokens[:i])]
        )

    target = {tokens: p for tokens, p in world.joint.items() if kept(tokens)}
    total = sum(target.values())
    assert {s.tokens for s in result.sequences if s.finished} <= set(target)
    assert (len(target) < len(world.joint)) == (top_k is not None)
    # Ends that are forced are among what is cut off, and nothing else of these texts is.
    forced = [t for t in world.joint if len(t) == 4 and kept(t[:3]) and not kept(t)]
    assert bool(forced) == (top_k is not None)
    assert total_variation(result, {t: p / total for t, p in target.items()}) < 0.04
    assert math.exp(result.log_evidence) == pytest.approx(total, rel=0.1)


def test_what_cannot_end_in_time_dies_and_counts_as_zero() -> None:
    world = World("b|a{4}", 4, seed=2)
    sampled = SMC(500, 0.0).run(world.model, world.masks(), max_tokens=4, seed=0)
    dead = [i for i, s in enumerate(sampled.sequences) if not s.finished]
    assert dead == sorted(death.particle for death in sampled.deaths if death.cause == "length")
    assert dead
    assert all(sampled.sequences[i].weight == 0 for i in dead)
    assert {death.text for death in sampled.deaths} == {"aaa"}
    assert math.exp(sampled.log_evidence) == pytest.approx(world.evidence, rel=0.2)


def test_the_critic_guides_and_is_divided_out() -> None:
    world = World("(a|b){1,3}", 4, seed=3)
    tilted = {t: p * math.exp(score_of(world, t)) for t, p in world.joint.items()}
    total = sum(tilted.values())
    truth = {t: p / total for t, p in tilted.items()}
    sampled = SMC(4000, 1.0).run(world.model, world.masks(), max_tokens=4, seed=0, critic=Score())
    assert total_variation(sampled, truth) < 0.03
    assert total_variation(sampled, world.posterior) > 0.1
    assert any(death.cause == "critic" and death.text == "ba" for death in sampled.deaths)
    # Of a single particle the weight has the final score and no other.
    for seed in range(20):
        try:
            one = SMC(1).run(world.model, world.masks(), max_tokens=4, seed=seed, critic=Score())
        except AllParticlesDeadError as error:
            assert error.result.sequences[0].text == "ba"  # noqa: PT017
            continue
        plain = SMC(1).run(world.model, world.masks(), max_tokens=4, seed=seed)
        (sequence,) = one.sequences
        assert sequence.tokens == plain.sequences[0].tokens
        expected = plain.sequences[0].log_weight + score_of(world, sequence.tokens)
        assert sequence.log_weight == pytest.approx(expected)


@pytest.mark.parametrize("threshold", [0.0, 0.9, 1.0])
def test_trace_tells_the_whole_story(threshold: float) -> None:
    world = World("(a|b){1,3}", 4, seed=7)
    result = SMC(40, threshold).run(world.model, world.awrs(), max_tokens=4, seed=3)
    assert bool(result.resampled) == (threshold > 0)
    steps = len(result.ess)
    assert len(result.ancestors) == len(result.tokens) == len(result.log_weights) == steps
    texts: list[Tokens] = [()] * 40
    for step in range(steps):
        texts = [t if new < 0 else (*t, new) for t, new in zip(texts, result.tokens[step], strict=True)]
        assert result.ess[step] == pytest.approx(_resampling.effective_sample_size(result.log_weights[step]))
        if step in result.resampled:
            assert result.ess[step] < threshold * 40
            alive = [w > -math.inf for w in result.log_weights[step]]
            assert all(alive[i] for i in result.ancestors[step])
        else:
            assert result.ancestors[step] == list(range(40))
        texts = [texts[i] for i in result.ancestors[step]]
    assert texts == [s.tokens for s in result.sequences]
    assert sum(s.weight for s in result.sequences) == pytest.approx(1)
    for sequence in result.sequences:
        if sequence.finished:
            rows = [world.logprobs(sequence.tokens[:i])[t] for i, t in enumerate(sequence.tokens)]
            # Right only if each particle was given the row of its own text.
            assert sequence.log_probability == pytest.approx(sum(rows))


def test_finished_particles_stay_and_keep_their_weight() -> None:
    world = World("(a|b){1,3}", 4, seed=3)
    result = SMC(300, 0.0).run(world.model, world.masks(), max_tokens=4, seed=0)
    early = [i for i, s in enumerate(result.sequences) if s.steps == 2]
    late = [i for i, s in enumerate(result.sequences) if s.steps == 4]
    assert early
    assert late
    for i in early:
        assert result.tokens[2][i] == -1
        assert result.log_weights[1][i] == result.log_weights[-1][i] == result.sequences[i].log_weight
    # They take part in resampling, too.
    resampled = SMC(300, 1.0).run(world.model, world.masks(), max_tokens=4, seed=0)
    assert resampled.resampled
    assert any(s.steps == 2 for s in resampled.sequences)


def test_one_forward_pass_a_step_for_all_particles() -> None:
    world = World("(a|b){1,3}", 4, seed=3)
    begun: list[int] = []
    sizes: list[int] = []

    class Counting:
        vocabulary = world.vocabulary

        def begin(self, rows: int, *, max_tokens: int) -> object:
            begun.append(rows)
            inner = world.model.begin(rows, max_tokens=max_tokens)
            append = inner.append

            def counted(tokens: Sequence[int]) -> None:
                sizes.append(len(tokens))
                append(tokens)

            inner.append = counted  # type: ignore[method-assign]
            return inner

    result = SMC(64, 0.0).run(Counting(), world.masks(), max_tokens=4, seed=0)  # type: ignore[arg-type]
    assert begun == [64]
    assert len(sizes) == len(result.ess) - 1
    # Rows of finished particles are dropped once they are the half.
    live = [sum(token >= 0 for token in step) for step in result.tokens[1:]]
    assert all(needed <= size <= 64 and size < 2 * needed for needed, size in zip(live, sizes, strict=True))
    assert sizes[-1] < 64


def run_of(world: World, **options: object) -> SamplingResult:
    return SMC(8, 1.0).run(world.model, world.awrs(), max_tokens=4, **options)  # type: ignore[arg-type]


def test_seeds_reproduce_runs() -> None:
    world = World("(a|b){1,3}", 4, seed=3)
    first = run_of(world, seed=5)
    assert first.seed == 5
    assert run_of(world, seed=5).sequences == first.sequences
    assert run_of(world, generator=torch.Generator().manual_seed(5)).sequences == first.sequences
    assert len({tuple(run_of(world, seed=seed).sequences) for seed in range(5)}) > 1
    torch.manual_seed(1)
    drawn = run_of(world)
    assert run_of(world, seed=drawn.seed).sequences == drawn.sequences
    torch.manual_seed(1)
    assert run_of(world).seed == drawn.seed
    with pytest.raises(ValueError, match="not both"):
        run_of(world, seed=1, generator=torch.Generator())


def test_progress() -> None:
    world = World("(a|b){1,3}", 4, seed=3)
    seen: list[tuple[int, int]] = []
    result = run_of(world, seed=1, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(i + 1, 4) for i in range(len(result.ess))]


def test_progress_bar(capsys: pytest.CaptureFixture[str]) -> None:
    world = World("(a|b){1,3}", 4, seed=3)
    run_of(world, seed=1, progress=True)
    assert "/4" in capsys.readouterr().err


@pytest.mark.parametrize(
    "make",
    [lambda: SMC(0), lambda: SMC(5, -0.1), lambda: SMC(5, 1.1), lambda: SMC(5, 0.5, "fair")],
)
def test_settings_are_checked(make: Callable[[], SMC]) -> None:
    with pytest.raises(ValueError, match=r"and must be|outside"):
        make()
