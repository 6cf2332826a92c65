"""Sequential Monte Carlo over sequences, and the population of weighted particles that it is made of."""

import abc
import dataclasses
import itertools
import math
from collections.abc import Mapping
from collections.abc import Sequence as SequenceOf
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from structgen._errors import AllParticlesDeadError, BudgetError
from structgen.samplers import _resampling
from structgen.samplers._context import Context
from structgen.samplers._draws import Draw, mask_draws
from structgen.samplers._forced import ForcedText, Single, check_single, described, forced_text
from structgen.samplers._language_models import LanguageModel
from structgen.samplers._potentials import Potential, checked_score
from structgen.samplers._race import Randomness, RowGenerators
from structgen.samplers._results import Cause, Death, SamplingResult, Sequence
from structgen.samplers._run import Lanes, Progress, Run, budget_error, check_start, skip
from structgen.samplers._token_samplers import TokenSampler, draw_rows, for_run, masks_ahead

_NEVER = -math.inf


class ParticleSampler(abc.ABC):
    """A sampler whose sequences grow side by side, as the particles of one population."""

    particles: int
    _equal: ClassVar[bool] = False  # whether finished sequences count the same

    @abc.abstractmethod
    def _population(
        self,
        model: LanguageModel,
        token_sampler: TokenSampler,
        max_tokens: int,
        critic: Potential | None,
        run: Run,
    ) -> "Population":
        """Begin one prompt's particles."""

    def _forced_text(self, model: LanguageModel, token_sampler: TokenSampler) -> ForcedText | None:
        """Return what tells forced tokens; None where every token is drawn."""
        return None

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
        """Sample sequences.

        Parameters
        ----------
        model : LanguageModel
            The model and its prompt.
        token_sampler : TokenSampler
            Draws tokens that the constraint allows.
        max_tokens : int
            The longest output, the end token included. In the last step the end token is forced, and the
            weight takes its probability; where the text may not end, the particle dies.
        seed : int, optional
            Makes the run reproducible (on one machine). Without it, torch's global generator provides one.
        generator : torch.Generator, optional
            Instead of a seed; on the model's device.
        progress : bool or callable, optional
            Show a bar; or call with the number of steps done and `max_tokens`.
        critic : Potential, optional
            Multiplies the target by the exponential of its score of the finished text. Its scores of prefixes
            guide resampling, and are divided out again.

        Returns
        -------
        SamplingResult

        Raises
        ------
        NothingSatisfiesError
            The constraint or the critic refuses every text.
        BudgetError
            No output fits into `max_tokens`.
        AllParticlesDeadError
            All weights became zero; the error has the partial result.
        PotentialError
            The critic, or a predicate of the constraint, returned NaN or positive infinity.
        """
        with Run(seed, generator, progress, max_tokens) as run:
            population = self._population(model, token_sampler, max_tokens, critic, run)
            advance([population], model, max_tokens, run, self._forced_text(model, token_sampler))
            return population.checked_result(equal=self._equal)

    def run_prompts(
        self,
        model: LanguageModel,
        token_sampler: TokenSampler,
        *,
        max_tokens: int,
        seed: int | None = None,
        generator: torch.Generator | None = None,
        progress: Progress | None = None,
        critic: Potential | None = None,
    ) -> list[SamplingResult]:
        """Sample sequences after each of the model's prompts, all as one batch.

        Parameters
        ----------
        model : LanguageModel
            With an attribute `prompts`, their number P. It begins P times as many rows as it is asked for.
        token_sampler, max_tokens, progress, critic
            As of :meth:`run`, and for all prompts.
        seed, generator
            Seeds of the prompts count up from `seed`, so that each is sampled as :meth:`run` would sample it
            with its seed (as far as the model computes the same for a row of any batch). A generator serves
            all prompts.

        Returns
        -------
        list of SamplingResult
            One per prompt. Where all particles died, `log_evidence` is -inf and no sequence has weight. Each
            has the `seconds` of the whole batch.

        Raises
        ------
        NothingSatisfiesError, BudgetError, PotentialError
            As of :meth:`run`; a `BudgetError` only where it is certain without trying.
        """
        prompts = getattr(model, "prompts", 1)
        with Run(seed, generator, progress, max_tokens, prompts) as run:
            populations = [
                self._population(model, token_sampler, max_tokens, critic, run) for _ in range(prompts)
            ]
            advance(populations, model, max_tokens, run, self._forced_text(model, token_sampler))
            results = [population.result(equal=self._equal) for population in populations]
            return [
                dataclasses.replace(result, seed=one) for result, one in zip(results, run.seeds, strict=True)
            ]


@dataclasses.dataclass(frozen=True)
class SMC(ParticleSampler):
    """Sequential Monte Carlo: particles that are weighted at every token and resampled.

    The sequences with their weights estimate the model's distribution given that the output satisfies the
    constraint and has at most `max_tokens` tokens, the end token included. Estimates of unnormalised
    expectations, and so the evidence, are unbiased for any number of particles; those of normalised ones
    converge as particles grow.

    Parameters
    ----------
    particles : int
        Number of particles N, which are the rows of one batch.
    ess_threshold : float
        Resample when the effective sample size falls under this share of N. 0 never resamples: importance
        sampling. 1 resamples as soon as weights differ.
    resampling : {"stratified", "systematic", "residual", "multinomial"}
        The scheme.
    forced : {"single"}, optional
        Append tokens that are the only ones allowed where they stand without drawing them, a whole run in
        one forward pass; the default is to draw every token. The weights have the model's probabilities of
        these tokens all the same, so that the target and what is unbiased stay as they are. Only tokens that
        are drawn count as steps: particles are compared, and resampled, each at the end of its forced text.

    Notes
    -----
    Forced tokens need an automaton in the constraint, and a language model whose rows have a method
    ``extend``: see :class:`LocallyConstrained`. Where a sampler that has no masks (:class:`AWRS`) would
    estimate the weight of a forced token, it is exact.

    References
    ----------
    Lew, Zhi-Xuan, Grand and Mansinghka, "Sequential Monte Carlo Steering of Large Language Models using
    Probabilistic Programs" (arXiv 2306.03081). Lipkin et al., "Fast Controlled Generation from Language
    Models with Adaptive Weighted Rejection Sampling" (COLM 2025). Twists: Zhao et al., arXiv 2404.17546.
    """

    particles: int = 5
    ess_threshold: float = 0.5
    resampling: str = "stratified"
    forced: Single | None = None

    __repr__ = described

    def __post_init__(self) -> None:
        check_single(self.forced, self)
        if self.particles < 1:
            raise ValueError(f"particles is {self.particles}, and must be at least 1")
        if not 0 <= self.ess_threshold <= 1:
            raise ValueError(f"ess_threshold is {self.ess_threshold}, outside [0, 1]")
        if self.resampling not in _resampling.SCHEMES:
            names = ", ".join(_resampling.SCHEMES)
            raise ValueError(f"resampling is {self.resampling!r}, and must be one of {names}")

    def _population(
        self,
        model: LanguageModel,
        token_sampler: TokenSampler,
        max_tokens: int,
        critic: Potential | None,
        run: Run,
    ) -> "Population":
        return Population(self.particles, model, token_sampler, max_tokens, critic, self, run, repr(self))

    def _forced_text(self, model: LanguageModel, token_sampler: TokenSampler) -> ForcedText | None:
        return forced_text(self, token_sampler, model.vocabulary, self.forced)


def advance(
    populations: SequenceOf["Population"],
    model: LanguageModel,
    max_tokens: int,
    run: Run,
    forced: ForcedText | None = None,
) -> None:
    """Step until every particle has finished or died; population g follows the model's prompt g."""
    count = len(populations[0].contexts)
    lanes = Lanes(model, count, len(populations), max_tokens, run)
    generators = run.generators
    # Of each particle, by its row in a full batch: its population, and its number there.
    places = [(population, i) for population in populations for i in range(count)]
    live = list(range(len(places)))
    token_sampler = for_run(populations[0].token_sampler)
    ahead = masks_ahead(token_sampler)
    if forced is not None:
        live = _force_start(places, lanes, forced, run)
    for step in range(max_tokens):
        if not live:
            break
        logprobs = lanes.logprobs(live)
        contexts = _contexts(places, live)
        own = [generators[row // count] for row in live]
        with run.timed("constraint"):
            draws = draw_each(token_sampler, contexts, logprobs, max_tokens, own)
        chosen = torch.tensor([max(draw.token, 0) for draw in draws], device=logprobs.device)
        gained = logprobs.gather(1, chosen.unsqueeze(1)).squeeze(1).tolist()
        drawn = dict(zip(live, zip(draws, gained, strict=True), strict=True))
        ancestors: list[int] = []
        for first, population, generator in zip(
            range(0, len(places), count), populations, generators, strict=True
        ):
            part = {row - first: drawn[row] for row in range(first, first + count) if row in drawn}
            found = population.step(step, part, generator) if part else range(count)
            ancestors += [first + i for i in found]
        run.progress(step + 1)
        live = _live(places)
        if not live:
            break
        tokens = {row: context.token for row, context in zip(live, _contexts(places, live), strict=True)}
        pieces: dict[int, list[int]] = {}
        if forced is not None:
            with run.timed("constraint"):
                pieces = _pieces(places, live, forced, generators)
        if ahead is not None:
            with run.timed("constraint"):
                # The last token is an end token, whatever the mask.
                ahead.start([c for c in _contexts(places, live) if c.length < max_tokens - 1])
        # On a GPU the model works on while the host goes on to the masks.
        if forced is None:
            lanes.advance(tokens, ancestors)
        else:
            logs = lanes.extend({row: [token, *pieces[row]] for row, token in tokens.items()}, ancestors)
            live = _credit(places, logs, pieces)
        if ahead is not None:
            with run.timed("constraint"):
                ahead.send()


def _contexts(places: SequenceOf[tuple["Population", int]], rows: SequenceOf[int]) -> list[Context]:
    return [population.contexts[i] for population, i in (places[row] for row in rows)]


def _live(places: SequenceOf[tuple["Population", int]]) -> list[int]:
    return [row for row, (population, i) in enumerate(places) if population.lives(i)]


def _pieces(
    places: SequenceOf[tuple["Population", int]],
    rows: SequenceOf[int],
    forced: ForcedText,
    generators: SequenceOf[torch.Generator],
) -> dict[int, list[int]]:
    """Give particles the tokens that their texts force, and return these."""
    pieces = {row: places[row][0].force(places[row][1], forced) for row in rows}
    count = len(places) // len(generators)
    for row, piece in pieces.items():
        skip(generators[row // count], len(piece))
    return pieces


def _force_start(
    places: SequenceOf[tuple["Population", int]], lanes: Lanes, forced: ForcedText, run: Run
) -> list[int]:
    """Give every particle the tokens that the text has to begin with; return those that live."""
    with run.timed("constraint"):
        pieces = _pieces(places, range(len(places)), forced, run.generators)
    # All texts begin in the same state.
    piece = pieces[0]
    if piece:
        first = lanes.logprobs(list(pieces))[:, piece[0]].tolist()
        logs = lanes.extend(pieces)
        _credit(places, {row: [first[row], *logs[row]] for row in pieces}, pieces)
    return _live(places)


def _credit(
    places: SequenceOf[tuple["Population", int]],
    logs: Mapping[int, list[float]],
    pieces: Mapping[int, list[int]],
) -> list[int]:
    """Count the model's log-probabilities of forced tokens; return the particles that live."""
    for row, logprobs in logs.items():
        population, i = places[row]
        population.credit(i, logprobs, len(pieces[row]))
    return _live(places)


def draw_each(
    token_sampler: TokenSampler,
    contexts: SequenceOf[Context],
    logprobs: Tensor,
    max_tokens: int,
    generators: SequenceOf[torch.Generator],
) -> SequenceOf[Draw]:
    """Draw a token of each row by a generator of its own.

    Rows with forced text do not all get to their last token at the same step.
    """
    last = [context.length == max_tokens - 1 for context in contexts]
    if all(last) or not any(last):
        return draw_tokens(token_sampler, contexts, logprobs, last[0], _of_rows(generators))
    found: dict[int, Draw] = {}
    for kind in (False, True):
        rows = [row for row, is_last in enumerate(last) if is_last == kind]
        part = logprobs[torch.tensor(rows, device=logprobs.device)]
        own = _of_rows([generators[row] for row in rows])
        draws = draw_tokens(token_sampler, [contexts[row] for row in rows], part, kind, own)
        found.update(zip(rows, draws, strict=True))
    return [found[row] for row in range(len(contexts))]


def _of_rows(generators: SequenceOf[torch.Generator]) -> Randomness:
    """Return where rows of a batch have their random numbers from; those of a prompt lie together."""
    parts = [(one, len(list(rows))) for one, rows in itertools.groupby(generators)]
    return parts[0][0] if len(parts) == 1 else RowGenerators(parts)


class Population:
    """Weighted particles on their way through the steps.

    Log-weights are float64. A dead particle has weight -inf, and keeps the text it had.
    """

    def __init__(
        self,
        count: int,
        model: LanguageModel,
        token_sampler: TokenSampler,
        max_tokens: int,
        critic: Potential | None,
        smc: SMC | None,
        run: Run,
        method: str,
    ) -> None:
        self._root = Context.root(model.vocabulary)
        check_start(self._root, (token_sampler.potential, critic), max_tokens)
        self.token_sampler = token_sampler
        self._max_tokens = max_tokens
        self._critic = critic
        self._smc = smc
        self._run = run
        self._method = method
        self._count = count
        self.contexts = [self._root] * count
        self.log_weights = np.zeros(count)
        self._log_probabilities = np.zeros(count)
        self._twists = np.zeros(count)
        self._ess: list[float] = []
        self._resampled: list[int] = []
        self._ancestors: list[list[int]] = []
        self._tokens: list[list[int]] = []
        self._trace: list[list[float]] = []
        self._deaths: list[Death] = []
        self._calls = 0
        self._drawn = 0

    def lives(self, particle: int) -> bool:
        """Tell whether a particle needs another token."""
        return bool(self.log_weights[particle] > _NEVER) and not self.contexts[particle].ended

    def step(
        self, step: int, drawn: Mapping[int, tuple[Draw, float]], generator: torch.Generator
    ) -> SequenceOf[int]:
        """Give each live particle the token drawn for it; return the ancestor of each particle.

        With the draws come the model's log-probabilities of their tokens.
        """
        self._extend(step, drawn)
        if self._critic is not None:
            with self._run.timed("constraint"):
                self._twist(step, [i for i in drawn if self.log_weights[i] > _NEVER], self._critic)
        self._ess.append(_resampling.effective_sample_size(self.log_weights))
        self._trace.append(self.log_weights.tolist())
        self._resample(step, generator)
        return self._ancestors[-1]

    def force(self, particle: int, forced: ForcedText) -> list[int]:
        """Add the tokens to a particle that its text forces, and return them; one more token has room."""
        context = self.contexts[particle]
        found = forced.follow(context, self._max_tokens - 1 - context.length)
        if found:
            self.contexts[particle] = found[-1]
        if forced.guard is not None:
            self._calls += len(found)
        return [one.token for one in found]

    def credit(self, particle: int, logprobs: SequenceOf[float], forced: int) -> None:
        """Count the model's log-probabilities of the tokens, so many, that were forced last."""
        gained = sum(logprobs)
        self.log_weights[particle] += gained
        self._log_probabilities[particle] += gained
        if gained == _NEVER:
            self._die(self.contexts[particle].length - forced, particle, "token")

    def _extend(self, step: int, drawn: Mapping[int, tuple[Draw, float]]) -> None:
        tokens = [-1] * self._count
        for i, (draw, log_probability) in drawn.items():
            self._calls += draw.calls
            self.log_weights[i] += draw.log_weight
            length = self.contexts[i].length
            if draw.log_weight == _NEVER:
                self._die(length, i, "length" if length == self._max_tokens - 1 else "token")
                continue
            self._drawn += 1
            tokens[i] = draw.token
            self.contexts[i] = self.contexts[i].extend(draw.token)
            self._log_probabilities[i] += log_probability
        self._tokens.append(tokens)

    def _die(self, step: int, particle: int, cause: Cause) -> None:
        self.log_weights[particle] = _NEVER
        self._deaths.append(Death(step, particle, cause, self.contexts[particle].text))

    def _twist(self, step: int, particles: list[int], critic: Potential) -> None:
        """Replace the critic's score of each particle's prefix by that of the text as it is now."""
        contexts = [self.contexts[i] for i in particles]
        ended = [i for i, context in zip(particles, contexts, strict=True) if context.ended]
        going = [i for i, context in zip(particles, contexts, strict=True) if not context.ended]
        scores = dict(zip(going, critic.prefix_many([self.contexts[i] for i in going]), strict=True))
        scores |= zip(ended, critic.complete_many([self.contexts[i] for i in ended]), strict=True)
        for i in particles:
            score = checked_score(scores[i], critic, self.contexts[i])
            if score == _NEVER:
                self._die(step, i, "critic")
                continue
            self.log_weights[i] += score - self._twists[i]
            self._twists[i] = score

    def _resample(self, step: int, generator: torch.Generator) -> None:
        smc = self._smc
        if (
            smc is None
            or not self._ess[-1] < smc.ess_threshold * self._count
            or not any(map(self.lives, range(self._count)))
        ):
            self._ancestors.append(list(range(self._count)))
            return
        weights = _resampling.normalise(self.log_weights)
        scheme = _resampling.SCHEMES[smc.resampling]
        ancestors: list[int] = scheme(weights, _resampling.uniforms_of(generator)).tolist()
        self.log_weights[:] = _resampling.log_mean_exp(self.log_weights)
        self.contexts = [self.contexts[i] for i in ancestors]
        self._log_probabilities = self._log_probabilities[ancestors]
        self._twists = self._twists[ancestors]
        self._resampled.append(step)
        self._ancestors.append(ancestors)

    # -- the end ---------------------------------------------------------------------------

    def result(self, equal: bool = False) -> SamplingResult:
        """Return the particles; with `equal`, all that live have the same weight."""
        dead = self.log_weights == _NEVER
        log_weights = np.where(dead, _NEVER, 0.0) if equal else self.log_weights
        weights = np.zeros(self._count) if dead.all() else _resampling.normalise(log_weights)
        sequences = [
            Sequence(
                tokens=context.tokens,
                text=context.text,
                log_weight=float(log_weights[i]),
                weight=float(weights[i]),
                log_probability=float(self._log_probabilities[i]),
                finished=context.ended,
            )
            for i, context in enumerate(self.contexts)
        ]
        return SamplingResult(
            sequences=sequences,
            log_evidence=_resampling.log_mean_exp(self.log_weights),
            method=self._method,
            seed=self._run.seed,
            ess=self._ess,
            resampled=self._resampled,
            ancestors=self._ancestors,
            tokens=self._tokens,
            log_weights=self._trace,
            deaths=self._deaths,
            calls=self._calls,
            drawn=self._drawn,
            seconds=self._run.seconds(),
            vocabulary=self._root.vocabulary,
        )

    def checked_result(self, equal: bool = False) -> SamplingResult:
        """Return :meth:`result`.

        Raises
        ------
        BudgetError, AllParticlesDeadError
            No particle lives.
        """
        result = self.result(equal)
        if result.log_evidence == _NEVER:
            raise all_dead(result, self.token_sampler.potential, self._root, self._max_tokens)
        return result


def draw_tokens(
    token_sampler: TokenSampler,
    contexts: SequenceOf[Context],
    logprobs: Tensor,
    last: bool,
    generator: Randomness,
) -> SequenceOf[Draw]:
    """Draw a token of each row; as the last one, an end token where the text may end.

    The weight of an end token that is forced is the total probability of the end tokens, save those that a
    proposal cuts off, as it would at any other step.
    """
    if not last:
        return draw_rows(token_sampler, contexts, logprobs, generator)
    may_end = [score > _NEVER for score in token_sampler.potential.complete_many(contexts)]
    allowed = torch.zeros(logprobs.shape, dtype=torch.bool)
    allowed[:, list(contexts[0].vocabulary.eos_token_ids)] = torch.tensor(may_end).unsqueeze(1)
    support = getattr(token_sampler, "support", None)
    if support is not None:
        allowed &= support(logprobs).to(allowed.device)
    return [dataclasses.replace(draw, calls=1) for draw in mask_draws(logprobs, allowed, generator)]


def all_dead(
    result: SamplingResult, potential: Potential, root: Context, max_tokens: int
) -> AllParticlesDeadError | BudgetError:
    """Return the error that says why nothing is left and what to do."""
    causes = {
        cause: sum(death.cause == cause for death in result.deaths) for cause in ("token", "length", "critic")
    }
    if causes["length"]:
        too_small = budget_error(potential, root, max_tokens, result)
        if too_small is not None:
            return too_small
    reasons = {
        "token": "{} got no token that the constraint allows (use more particles, a looser max_rejects, "
        "or a prompt that leads the model to what is allowed)",
        "length": "{} could not end within max_tokens=" + str(max_tokens) + " (raise max_tokens)",
        "critic": "{} were refused by the critic (use more particles, or a critic that scores prefixes)",
    }
    told = "; ".join(reasons[cause].format(number) for cause, number in causes.items() if number)
    return AllParticlesDeadError(
        f"all {len(result.sequences)} particles are dead. Of the deaths, {told}", result=result
    )
