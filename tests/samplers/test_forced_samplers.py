"""Forced tokens in the samplers that weigh their tokens: the same weights, and the same distribution."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

import structgen
from structgen import compile_regex
from structgen.samplers import (
    AWRS,
    SMC,
    ExactRejection,
    GrammarAligned,
    HuggingFaceModel,
    LocallyConstrained,
    MaskSampler,
    MaskThenAWRS,
    Predicate,
    Proposal,
    SampleAndRerank,
    SamplingResult,
    SuffixMCMC,
)
from tests.samplers.test_language_models import PROMPTS, build, plain, words
from tests.samplers.worlds import Matches, World, bound, total_variation

# Of the vocabulary "a", "b", "ab": tokens that are the only ones at the beginning, within and before the end.
PATTERNS = ["bb(a|ba)bb(b|a)", "(b|bba)bb", "bbbb", "(a|b)b(bb|ba)"]
MOST = 8

Sampler = Callable[[int, str | None], Any]
"""From the number of sequences and `forced` to a sampler."""

SAMPLERS: dict[str, Sampler] = {
    "mask": lambda count, forced: LocallyConstrained(count, forced),  # type: ignore[arg-type]
    "smc": lambda count, forced: SMC(count, forced=forced),  # type: ignore[arg-type]
    "asap": lambda count, forced: GrammarAligned(count, forced=forced),  # type: ignore[arg-type]
    "mcmc": lambda count, forced: SuffixMCMC(count, 6, forced=forced),  # type: ignore[arg-type]
    "rejection": lambda count, forced: ExactRejection(count, max_draws=10**6, forced=forced),  # type: ignore[arg-type]
}


class Passes:
    """A model of a world that counts how often all rows are read."""

    def __init__(self, world: World) -> None:
        self.vocabulary = world.vocabulary
        self._model = world.model
        self.count = 0

    def begin(self, rows: int, *, max_tokens: int) -> Any:
        found = self._model.begin(rows, max_tokens=max_tokens)
        for name in ("append", "extend"):
            setattr(found, name, self._counted(getattr(found, name)))
        return found

    def _counted(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            self.count += 1
            return method(*args)

        return call


def forced_count(world: World, tokens: tuple[int, ...]) -> int:
    """Return how many tokens of a sequence were the only ones, by the texts alone; end tokens are none."""
    count = 0
    for i, token in enumerate(tokens):
        allowed = {other[i] for other in world.joint if other[:i] == tokens[:i]}
        count += allowed == {token} and token not in world.vocabulary.eos_token_ids
    return count


@pytest.mark.parametrize("name", ["mask", "smc", "asap", "mcmc"])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_one_sequence_of_a_seed_is_the_same_with_and_without(pattern: str, name: str) -> None:
    world = World(pattern, MOST, seed=4)
    seen = set()
    for seed in range(12):
        results, passes = [], []
        for forced in (None, "single"):
            model = Passes(world)
            sampler = SAMPLERS[name](1, forced)
            results.append(sampler.run(model, world.masks(), max_tokens=MOST, seed=seed))
            passes.append(model.count)
        without, with_forced = results
        assert with_forced.sequences[0].tokens == without.sequences[0].tokens
        assert with_forced.sequences[0].log_weight == pytest.approx(without.sequences[0].log_weight)
        assert with_forced.sequences[0].log_probability == pytest.approx(without.sequences[0].log_probability)
        assert with_forced.log_evidence == pytest.approx(without.log_evidence)
        assert with_forced.acceptance_rate == without.acceptance_rate
        seen.add(without.sequences[0].tokens)
        if name != "mcmc":
            saved = forced_count(world, without.sequences[0].tokens)
            # A run at the beginning has a pass of its own, and the prompt's none.
            assert passes[0] - passes[1] in (saved, saved - 1)
        assert passes[1] < passes[0] or pattern == PATTERNS[3]
    assert len(seen) > 1 or pattern == "bbbb"


def check(
    world: World, posterior: dict[Any, float], sampler: Any, result: SamplingResult, token_sampler: Any
) -> None:
    """Compare weighted sequences with a distribution; chains that have not settled with others'."""
    # Weights make up for less than so many independent samples.
    count = len(result.sequences) / 4
    if isinstance(sampler, SuffixMCMC):
        other = dataclasses.replace(sampler, forced=None).run(
            world.model, token_sampler, max_tokens=world.max_tokens, seed=99
        )
        found: dict[Any, float] = {}
        for sequence in other.sequences:
            found[sequence.tokens] = found.get(sequence.tokens, 0.0) + sequence.weight
        assert total_variation(result, found) < bound(found, count)
    elif not isinstance(sampler, LocallyConstrained):
        assert total_variation(result, posterior) < bound(posterior, count)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_distribution_is_the_enumerated_one(pattern: str, name: str) -> None:
    world = World(pattern, MOST, seed=4)
    count = {"asap": 300, "rejection": 300, "mcmc": 800}.get(name, 2000)
    sampler = SAMPLERS[name](count, "single")
    if name == "asap":
        sampler = dataclasses.replace(sampler, batch=10)
    if name == "rejection":
        sampler = dataclasses.replace(sampler, batch=50)
    result = sampler.run(world.model, world.masks(), max_tokens=MOST, seed=1)
    assert {sequence.tokens for sequence in result.sequences} <= set(world.joint)
    check(world, world.posterior, sampler, result, world.masks())
    if name != "rejection":
        assert math.exp(result.log_evidence) == pytest.approx(world.evidence, rel=0.2)
    for sequence in result.sequences:
        assert math.exp(sequence.log_probability) == pytest.approx(world.joint[sequence.tokens])


@pytest.mark.parametrize("pattern", PATTERNS)
def test_weights_without_resampling_are_products_of_mask_probabilities(pattern: str) -> None:
    world = World(pattern, MOST, seed=2)
    result = SMC(50, ess_threshold=0, forced="single").run(
        world.model, world.masks(), max_tokens=MOST, seed=0
    )
    assert result.resampled == []
    for sequence in result.sequences:
        weight = 0.0
        for i in range(len(sequence.tokens)):
            allowed = {other[i] for other in world.joint if other[:i] == sequence.tokens[:i]}
            row = world.logprobs(sequence.tokens[:i])
            weight += math.log(sum(math.exp(row[token]) for token in allowed))
        assert sequence.log_weight == pytest.approx(weight)


def test_what_rejection_estimates() -> None:
    world = World("b(b|ab)b?", 5, seed=1)
    for forced in (None, "single"):
        sampler = SAMPLERS["rejection"](1000, forced)
        runs = [sampler.run(world.model, world.masks(), max_tokens=5, seed=seed) for seed in range(4)]
        mean = sum(math.exp(run.log_evidence) for run in runs) / len(runs)
        assert mean == pytest.approx(world.evidence, rel=0.1)


@pytest.mark.parametrize("threshold", [0.9, 1.0])
def test_the_evidence_is_unbiased_with_resampling(threshold: float) -> None:
    world = World("(b|bba)bb(b|a)", MOST, seed=5)
    runs = 600
    sampler = SMC(4, threshold, forced="single")
    results = [sampler.run(world.model, world.masks(), max_tokens=MOST, seed=s) for s in range(runs)]
    assert any(result.resampled for result in results)
    values = torch.tensor([math.exp(result.log_evidence) for result in results], dtype=torch.float64)
    error = float(values.std()) / math.sqrt(runs)
    assert abs(float(values.mean()) - world.evidence) < 4.5 * error < 0.2 * world.evidence


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("kind", ["mask and guard", "rejection for all", "sharper"])
def test_other_token_samplers(name: str, kind: str) -> None:
    world = World("bb(a|ba)bb(b|a)", MOST, seed=4)
    truth = world.joint
    token_sampler: Any
    if kind == "mask and guard":
        guard = Matches(world, lambda text: text.endswith("bbb"))
        token_sampler = MaskThenAWRS(world.automaton, guard)
        pieces = world.vocabulary.tokens
        truth = {t: p for t, p in truth.items() if not b"".join(pieces[i] for i in t).endswith(b"bbb")}
        assert 0 < len(truth) < len(world.joint)
    elif kind == "rejection for all":
        token_sampler = AWRS(world.masks().potential)
    else:
        token_sampler = Proposal(world.masks(), temperature=0.7)
    count = {"asap": 300, "rejection": 300, "mcmc": 800}.get(name, 2000)
    sampler = SAMPLERS[name](count, "single")
    result = sampler.run(world.model, token_sampler, max_tokens=MOST, seed=1)
    evidence = sum(truth.values())
    posterior = {tokens: p / evidence for tokens, p in truth.items()}
    # What a guard refuses dies, and is not in the others' way.
    alive = {sequence.tokens for sequence in result.sequences if sequence.weight}
    assert alive <= set(truth)
    assert len(alive) > 1
    check(world, posterior, sampler, result, token_sampler)
    if name != "rejection":
        assert math.exp(result.log_evidence) == pytest.approx(evidence, rel=0.2)


def test_a_guard_is_asked_about_each_forced_token_once() -> None:
    world = World("bb(a|b)bbb", MOST, seed=4)
    asked: list[str] = []

    def right(text: str) -> bool:
        asked.append(text)
        return True

    calls = []
    for forced in (None, "single"):
        asked.clear()
        sampler = SMC(1, forced=forced)  # type: ignore[arg-type]
        guard = Predicate(right)
        result = sampler.run(world.model, MaskThenAWRS(world.automaton, guard), max_tokens=MOST, seed=0)
        calls.append(result.calls)
        assert result.calls <= len(asked)
    assert calls[0] == calls[1]


@pytest.mark.parametrize("name", SAMPLERS)
def test_what_a_guard_or_the_model_refuses_dies_where_it_is_forced(name: str) -> None:
    world = World("bbb(a|b)", MOST, seed=4)
    never = MaskThenAWRS(world.automaton, Matches(world, lambda text: True))
    sampler = SAMPLERS[name](2, "single")
    with pytest.raises(structgen.StructgenError):
        sampler.run(world.model, never, max_tokens=MOST, seed=0)
    # After one "b", the model never says another.
    table = {(2,): [0.0, 0.5, 0.0, 0.5]}
    dumb = World("bbb(a|b)", MOST, seed=4, table=table)
    if name == "rejection":
        with pytest.raises(structgen.NothingSatisfiesError):
            sampler.run(dumb.model, world.masks(), max_tokens=MOST, seed=0)
        return
    with pytest.raises(structgen.AllParticlesDeadError) as caught:
        sampler.run(dumb.model, world.masks(), max_tokens=MOST, seed=0)
    assert {death.cause for death in caught.value.result.deaths} == {"token"}


@pytest.mark.parametrize("most", [3, 4, 5, 6])
@pytest.mark.parametrize("name", ["smc", "asap", "mcmc", "rejection"])
def test_the_length_is_kept_to(name: str, most: int) -> None:
    world = World("(bb)*(a|bab)", most, seed=3)
    count = {"asap": 300, "rejection": 300, "mcmc": 800}.get(name, 1500)
    result = SAMPLERS[name](count, "single").run(world.model, world.masks(), max_tokens=most, seed=0)
    check(world, world.posterior, SAMPLERS[name](count, "single"), result, world.masks())
    if name != "rejection":
        assert math.exp(result.log_evidence) == pytest.approx(world.evidence, rel=0.25)


# -- transformers ----------------------------------------------------------------------------

PATTERN = "abc(d|ef)ghi(a|bc|)jk"
TEXTS = ["abcdghiajk", "abcdghibcjk", "abcdghijk", "abcefghiajk", "abcefghibcjk", "abcefghijk"]


def counted(model: Any) -> list[int]:
    """Return a list of one number: the forward passes."""
    passes = [0]

    def count(*_: object) -> None:
        passes[0] += 1

    model.register_forward_hook(count)
    return passes


@pytest.mark.parametrize("name", ["mask", "smc", "asap", "mcmc"])
@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_a_transformer_gives_one_sequence_the_same_weight(kind: str, name: str) -> None:
    model = build(kind)
    passes = counted(model)
    vocabulary = words()
    masks = MaskSampler(compile_regex(PATTERN, vocabulary))
    seen = set()
    for seed in range(8):
        results: list[SamplingResult] = []
        counts = []
        for forced in (None, "single"):
            passes[0] = 0
            one = HuggingFaceModel(model, vocabulary, [3, 4, 5], temperature=4.0)
            results.append(SAMPLERS[name](1, forced).run(one, masks, max_tokens=20, seed=seed))
            counts.append(passes[0])
        without, with_forced = (result.sequences[0] for result in results)
        assert with_forced.tokens == without.tokens
        assert with_forced.log_weight == pytest.approx(without.log_weight, abs=1e-4)
        assert with_forced.log_probability == pytest.approx(without.log_probability, abs=1e-4)
        assert results[1].log_evidence == pytest.approx(results[0].log_evidence, abs=1e-4)
        assert 2 * counts[1] < counts[0]
        seen.add(without.text)
    assert len(seen) > 1 or name == "mcmc"


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_weights_of_many_particles_are_the_transformers(kind: str) -> None:
    model = build(kind)
    vocabulary = words()
    masks = MaskSampler(compile_regex(PATTERN, vocabulary))
    several = HuggingFaceModel(model, vocabulary, PROMPTS)
    results = SMC(8, 0.0, forced="single").run_prompts(several, masks, max_tokens=20, seed=0)
    lengths = set()
    for prompt, result in zip(PROMPTS, results, strict=True):
        for sequence in result.sequences:
            weight = probability = 0.0
            for i, token in enumerate(sequence.tokens):
                row = plain(model, [sequence.tokens[:i]], 1.0, prompt)[0].double().log_softmax(0)
                ahead = {(*text.encode(), 0)[i] for text in TEXTS if text.startswith(sequence.text[:i])}
                allowed = [letter - 96 if letter else 0 for letter in ahead]
                weight += float(row[allowed].logsumexp(0))
                probability += float(row[token])
            assert sequence.log_weight == pytest.approx(weight, abs=1e-3)
            assert sequence.log_probability == pytest.approx(probability, abs=1e-3)
            lengths.add(len(sequence.tokens))
    assert len(lengths) > 1


@pytest.mark.parametrize("forced", [None, "single"])
@pytest.mark.parametrize("name", ["mask", "smc", "awrs", "rerank"])
def test_what_a_prompt_gets_does_not_depend_on_its_batch(name: str, forced: Any) -> None:
    """Random numbers are each prompt's own, and numbers of the model are the same up to rounding."""
    if name == "rerank":
        if forced:
            return
        sampler: Any = SampleAndRerank(5)
    else:
        sampler = SAMPLERS["mask" if name == "mask" else "smc"](5, forced)
    model = build("llama")
    vocabulary = words()
    potential = MaskSampler(compile_regex(PATTERN if name != "rerank" else "[a-k]*", vocabulary)).potential
    token_sampler = AWRS(potential) if name == "awrs" else MaskSampler(potential)
    together = sampler.run_prompts(
        HuggingFaceModel(model, vocabulary, PROMPTS), token_sampler, max_tokens=16, seed=7
    )
    for i, (prompt, result) in enumerate(zip(PROMPTS, together, strict=True)):
        alone = sampler.run_prompts(
            HuggingFaceModel(model, vocabulary, [prompt]), token_sampler, max_tokens=16, seed=7 + i
        )[0]
        assert result.seed == alone.seed == 7 + i
        assert [s.tokens for s in result.sequences] == [s.tokens for s in alone.sequences]
        wanted = [s.log_weight for s in alone.sequences]
        assert [s.log_weight for s in result.sequences] == pytest.approx(wanted, abs=1e-4)
        assert result.resampled == alone.resampled
    # A prompt's seed matters.
    other = sampler.run_prompts(
        HuggingFaceModel(model, vocabulary, PROMPTS), token_sampler, max_tokens=16, seed=8
    )
    assert [s.tokens for r in other for s in r.sequences] != [s.tokens for r in together for s in r.sequences]


def test_token_samplers_of_users_get_the_generator_of_each_prompt() -> None:
    model = build("llama")
    vocabulary = words()
    inner = MaskSampler(compile_regex(PATTERN, vocabulary))
    batches: list[int] = []

    class Own:
        potential = inner.potential

        def draw(self, contexts: Any, logprobs: Any, generator: Any) -> Any:
            assert isinstance(generator, torch.Generator)
            batches.append(len(contexts))
            return inner.draw(contexts, logprobs, generator)

    for one in (Own(), Proposal(Own(), temperature=0.8)):
        batches.clear()
        results = [
            SMC(4).run_prompts(HuggingFaceModel(model, vocabulary, PROMPTS), sampler, max_tokens=16, seed=3)
            for sampler in (one, Proposal(inner, temperature=0.8) if isinstance(one, Proposal) else inner)
        ]
        texts = [[[s.tokens for s in result.sequences] for result in found] for found in results]
        assert texts[0] == texts[1]
        assert set(batches) <= {1, 2, 3, 4}
    with pytest.raises(ValueError, match="a class of your own"):
        SMC(4, forced="single").run(HuggingFaceModel(model, vocabulary, [3]), Own(), max_tokens=16, seed=3)


def test_a_generator_serves_all_prompts() -> None:
    model = HuggingFaceModel(build("llama"), words(), PROMPTS)
    masks = MaskSampler(compile_regex(PATTERN, words()))

    def run(seed: int) -> list[Any]:
        generator = torch.Generator().manual_seed(seed)
        results = SMC(4).run_prompts(model, masks, max_tokens=16, generator=generator)
        assert all(result.seed is None for result in results)
        return [s.tokens for result in results for s in result.sequences]

    assert run(1) == run(1) != run(2)
