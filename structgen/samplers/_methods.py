"""Sequence samplers beside SMC, on the same interface."""

import dataclasses
import math
from collections.abc import Sequence as SequenceOf
from typing import ClassVar

import torch
from torch import Tensor

from structgen._errors import NothingSatisfiesError, SamplingError
from structgen.samplers._context import Context
from structgen.samplers._draws import Draw, mask_draws
from structgen.samplers._forced import (
    Encode,
    Forced,
    ForcedText,
    Single,
    check_forced,
    check_single,
    described,
    forced_text,
)
from structgen.samplers._language_models import LanguageModel
from structgen.samplers._potentials import Potential
from structgen.samplers._race import Randomness
from structgen.samplers._resampling import log_mean_exp, normalise
from structgen.samplers._results import Death, SamplingResult, Sequence
from structgen.samplers._run import Progress, Run, budget_error, check_positive, check_start
from structgen.samplers._smc import ParticleSampler, Population, all_dead
from structgen.samplers._token_samplers import AWRS, RowSampler, TokenSampler
from structgen.samplers._trie import Trie, Walk

_NEVER = -math.inf


@dataclasses.dataclass(frozen=True)
class LocallyConstrained(ParticleSampler):
    """Plain constrained decoding: each token is drawn from what is allowed locally, without weights.

    Its sequences satisfy the constraint, but not with the model's probabilities, however many there are:
    that is what the other samplers mend. `log_evidence` is unbiased all the same, for it is computed from
    the weights that the sequences do not get.

    Parameters
    ----------
    particles : int
        Number of sequences, which are the rows of one batch.
    forced : {"single", "canonical"}, optional
        Tokens that are appended without being drawn, a whole run of them in one forward pass; the default is
        none. ``"single"``: those that are the only ones allowed where they stand. This changes no
        probability. ``"canonical"``: besides these, text that every continuation begins with, as the
        tokenizer writes it, without the tokens at its end that another allowed token could cross: the model
        goes on from there (token healing). The texts that are possible stay the same. Their probabilities
        do not: they are those of plain constrained decoding that is allowed forced text in this
        tokenisation only, and `log_evidence` estimates the probability of that.
    encode : callable, optional
        From a text to its tokens without special ones: the tokenizer that ``"canonical"`` takes.

    Notes
    -----
    Forced tokens need a :class:`MaskSampler`, and a language model whose rows have a method ``extend``:
    :class:`HuggingFaceModel` with a cache that grows, and :class:`TableModel`. Rows of a batch whose forced
    texts differ in length are padded in between, so that the cache holds up to as many positions for each
    row as the longest of every step; and the logits of all tokens that are read in a step are in memory at
    once.
    """

    particles: int = 5
    forced: Forced | None = None
    encode: Encode | None = None
    _equal: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_positive("particles", self.particles)
        if self.forced is not None:
            check_forced(self.forced, self.encode)

    __repr__ = described

    def _forced_text(self, model: LanguageModel, token_sampler: TokenSampler) -> ForcedText | None:
        return forced_text(self, token_sampler, model.vocabulary, self.forced, self.encode)

    def _population(
        self,
        model: LanguageModel,
        token_sampler: TokenSampler,
        max_tokens: int,
        critic: Potential | None,
        run: Run,
    ) -> Population:
        _refuse_critic(self, critic)
        return Population(self.particles, model, token_sampler, max_tokens, None, None, run, repr(self))


@dataclasses.dataclass(frozen=True)
class SampleAndRerank(ParticleSampler):
    """Sequences of the model alone, weighted afterwards by the constraint and the critic.

    Only the token sampler's `potential` is used. A sequence ends where the potential refuses its prefix,
    because its weight is then zero whatever follows.

    Parameters
    ----------
    particles : int
        Number of sequences, which are the rows of one batch.
    """

    particles: int = 5

    def __post_init__(self) -> None:
        check_positive("particles", self.particles)

    def _population(
        self,
        model: LanguageModel,
        token_sampler: TokenSampler,
        max_tokens: int,
        critic: Potential | None,
        run: Run,
    ) -> Population:
        unguided = _Unguided(token_sampler.potential)
        return Population(self.particles, model, unguided, max_tokens, critic, None, run, repr(self))


class _Unguided(RowSampler):
    """Draws from the model, and gives weight zero to what the potential refuses."""

    def __init__(self, potential: Potential) -> None:
        self.potential = potential

    def draw(
        self, contexts: SequenceOf[Context], logprobs: Tensor, generator: Randomness = None
    ) -> list[Draw]:
        drawn = mask_draws(logprobs, None, generator)
        ends = frozenset(contexts[0].vocabulary.eos_token_ids)
        pairs = list(zip(contexts, drawn, strict=True))
        ended = iter(self.potential.complete_many([c for c, draw in pairs if draw.token in ends]))
        going = iter(
            self.potential.prefix_many([c.extend(draw.token) for c, draw in pairs if draw.token not in ends])
        )
        scores = [next(ended if draw.token in ends else going) for draw in drawn]
        return [
            Draw(draw.token, 0.0 if score > _NEVER else _NEVER, 1)
            for draw, score in zip(drawn, scores, strict=True)
        ]


@dataclasses.dataclass(frozen=True)
class ExactRejection:
    """Exact samples by rejection that never proposes the same invalid prefix twice (CARS).

    Sequences of the model are drawn until they are done or invalid. What is found to be invalid (of a mask,
    all that it excludes) is subtracted from all later draws, so that fewer and fewer are rejected. Accepted
    sequences are independent and distributed exactly as the model given the constraint.

    Only the token sampler's `potential` is used.

    Parameters
    ----------
    particles : int
        Number of sequences to accept. They have equal weights.
    batch : int, optional
        Sequences drawn at once, which are the rows of one batch; all are drawn by what was known before. The
        default is `particles`.
    max_draws : int
        Give up after so many draws (finishing the batch).
    forced : {"single"}, optional
        Read runs of tokens that are the only ones allowed where they stand in one forward pass; each is
        drawn with its probability all the same. This changes no probability.

    Notes
    -----
    `log_evidence` is the mean, over the draws, of the probability that was not yet excluded if the draw was
    accepted, else zero. It is consistent; as the number of draws depends on what they are, it has a bias of
    the order of one over that number.

    References
    ----------
    Parys et al., "Constrained Adaptive Rejection Sampling" (arXiv 2510.01902).
    """

    particles: int = 5
    batch: int | None = None
    max_draws: int = 1000
    forced: Single | None = None

    __repr__ = described

    def __post_init__(self) -> None:
        check_single(self.forced, self)
        check_positive("particles", self.particles)
        check_positive("batch", self.batch)
        check_positive("max_draws", self.max_draws)

    def run(
        self,
        model: LanguageModel,
        token_sampler: TokenSampler,
        *,
        max_tokens: int,
        seed: int | None = None,
        generator: torch.Generator | None = None,
        progress: Progress | None = None,
        critic: Potential | None = None,
    ) -> SamplingResult:
        """Sample sequences; see :meth:`SMC.run`. A critic is refused with ValueError.

        Raises
        ------
        NothingSatisfiesError
            All of the model's probability has been proven invalid.
        SamplingError
            `max_draws` draws did not give enough sequences; the error has those that there are.
        """
        _refuse_critic(self, critic)
        root = Context.root(model.vocabulary)
        check_start(root, (token_sampler.potential,), max_tokens)
        forced = forced_text(self, _asking(token_sampler), model.vocabulary, self.forced)
        trie = Trie(token_sampler.potential, root, max_tokens, forced)
        accepted: list[Walk] = []
        estimates: list[float] = []
        rejected: list[Death] = []
        with Run(seed, generator, progress, self.particles) as run:
            while len(accepted) < self.particles and len(estimates) < self.max_draws:
                left = trie.root.log_valid
                if left == _NEVER:
                    break
                walks = trie.round(model, self.batch or self.particles, run, masked=False)
                rejected += _deaths(walks, max_tokens, len(estimates))
                estimates += [left if walk.accepted else _NEVER for walk in walks]
                accepted += [walk for walk in walks if walk.accepted]
                run.progress(min(len(accepted), self.particles))
            result = _result_of_walks(
                accepted[: self.particles],
                [0.0] * min(len(accepted), self.particles),
                log_evidence=log_mean_exp(estimates),
                method=repr(self),
                seed=run.seed,
                deaths=rejected,
                calls=trie.calls,
                drawn=trie.drawn,
                acceptance_rate=len(accepted) / len(estimates),
                seconds=run.seconds(),
                vocabulary=root.vocabulary,
            )
        if len(accepted) >= self.particles:
            return result
        if trie.root.log_valid == _NEVER:
            raise budget_error(token_sampler.potential, root, max_tokens, result) or NothingSatisfiesError(
                f"no output of at most {max_tokens} tokens has any probability and satisfies the constraint; "
                "correct the constraint or raise max_tokens",
                result=result,
            )
        raise SamplingError(
            f"{len(accepted)} of {self.particles} sequences were accepted in {len(estimates)} draws, and "
            f"at most {math.exp(trie.root.log_valid):.3g} of the model's probability may be valid; raise "
            "max_draws, or use SMC",
            result=result,
        )


@dataclasses.dataclass(frozen=True)
class GrammarAligned:
    """Adaptive sampling with approximate expected futures (ASAp).

    Tokens are drawn among those allowed, in proportion to the model's probability times an upper bound of the
    probability that a valid sequence follows. The bounds are sharpened by every sequence, so that the
    sequences' distribution tends to the model's given the constraint.

    Only the token sampler's `potential` is used.

    Parameters
    ----------
    particles : int
        Number of sequences drawn.
    batch : int, optional
        Sequences drawn at once, which are the rows of one batch, by what was learned before. The default is
        `particles`.
    warm_up : int
        Sequences drawn before those, only to learn from.
    weighted : bool
        Weight the sequences by the model's probability over that of the draw. With it, expectations are right
        from the first sequence on, and sequences that die count as draws of weight zero. Without it, all
        sequences that live have equal weights, as in the paper.
    forced : {"single"}, optional
        Append tokens that are the only ones allowed where they stand without drawing them, a whole run in
        one forward pass. This changes no probability and no weight.

    References
    ----------
    Park et al., "Grammar-Aligned Decoding" (NeurIPS 2024, arXiv 2405.21047), algorithm 1.
    """

    particles: int = 5
    batch: int | None = None
    warm_up: int = 0
    weighted: bool = True
    forced: Single | None = None

    __repr__ = described

    def __post_init__(self) -> None:
        check_single(self.forced, self)
        check_positive("particles", self.particles)
        check_positive("batch", self.batch)
        if self.warm_up < 0:
            raise ValueError(f"warm_up is {self.warm_up}, and must not be negative")

    def run(
        self,
        model: LanguageModel,
        token_sampler: TokenSampler,
        *,
        max_tokens: int,
        seed: int | None = None,
        generator: torch.Generator | None = None,
        progress: Progress | None = None,
        critic: Potential | None = None,
    ) -> SamplingResult:
        """Sample sequences; see :meth:`SMC.run`. A critic is refused with ValueError."""
        _refuse_critic(self, critic)
        root = Context.root(model.vocabulary)
        check_start(root, (token_sampler.potential,), max_tokens)
        forced = forced_text(self, _asking(token_sampler), model.vocabulary, self.forced)
        trie = Trie(token_sampler.potential, root, max_tokens, forced)
        batch = self.batch or self.particles
        walks: list[Walk] = []
        with Run(seed, generator, progress, self.warm_up + self.particles) as run:
            for first in range(0, self.warm_up, batch):
                trie.round(model, min(batch, self.warm_up - first), run, masked=True)
                run.progress(min(first + batch, self.warm_up))
            while len(walks) < self.particles:
                walks += trie.round(model, min(batch, self.particles - len(walks)), run, masked=True)
                run.progress(self.warm_up + len(walks))
            log_weights = [walk.log_weight if walk.accepted else _NEVER for walk in walks]
            result = _result_of_walks(
                walks,
                log_weights
                if self.weighted
                else [0.0 if weight > _NEVER else _NEVER for weight in log_weights],
                log_evidence=log_mean_exp(log_weights),
                method=repr(self),
                seed=run.seed,
                deaths=_deaths(walks, max_tokens, 0),
                calls=trie.calls,
                drawn=trie.drawn,
                seconds=run.seconds(),
                vocabulary=root.vocabulary,
            )
        if result.log_evidence == _NEVER:
            raise all_dead(result, token_sampler.potential, root, max_tokens)
        return result


def _asking(token_sampler: TokenSampler) -> TokenSampler:
    """Return what stands for a token sampler of which only the potential is used."""
    return AWRS(token_sampler.potential)


def _deaths(walks: SequenceOf[Walk], max_tokens: int, first: int) -> list[Death]:
    return [
        Death(
            walk.context.length,
            first + i,
            "length" if walk.context.length == max_tokens - 1 else "token",
            walk.context.text,
        )
        for i, walk in enumerate(walks)
        if walk.dead
    ]


def _result_of_walks(
    walks: SequenceOf[Walk], log_weights: SequenceOf[float], **fields: object
) -> SamplingResult:
    alive = max(log_weights, default=_NEVER) > _NEVER
    weights = normalise(log_weights).tolist() if alive else [0.0] * len(walks)
    sequences = [
        Sequence(
            walk.context.tokens, walk.context.text, log_weight, weight, walk.log_probability, walk.accepted
        )
        for walk, log_weight, weight in zip(walks, log_weights, weights, strict=True)
    ]
    return SamplingResult(sequences=sequences, **fields)  # type: ignore[arg-type]


def _refuse_critic(sampler: object, critic: Potential | None) -> None:
    if critic is not None:
        raise ValueError(
            f"{type(sampler).__name__} has no use for a critic; use SMC, SampleAndRerank or SuffixMCMC"
        )
