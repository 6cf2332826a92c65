"""Markov chain Monte Carlo over sequences: cut a suffix off and draw it anew."""

import dataclasses
import math
from collections.abc import Sequence as SequenceOf

import torch

from structgen.samplers._context import Context
from structgen.samplers._forced import ForcedText, Single, check_single, described, forced_text
from structgen.samplers._language_models import LanguageModel
from structgen.samplers._potentials import Potential, complete_score
from structgen.samplers._resampling import log_mean_exp, normalise
from structgen.samplers._results import Death, SamplingResult, Sequence
from structgen.samplers._run import Lanes, Progress, Run, check_positive, check_start, skip
from structgen.samplers._smc import all_dead, draw_each
from structgen.samplers._token_samplers import TokenSampler

_NEVER = -math.inf


@dataclasses.dataclass(frozen=True)
class SuffixMCMC:
    """Metropolis-Hastings: cut a sequence at a random place, regenerate the rest, accept or stay.

    Each chain begins with a sequence of constrained decoding. A proposal keeps the first t tokens of n, t
    uniform, and draws the others with the token sampler. It is accepted with probability
    min(1, P(x') q(x | x') / (P(x) q(x' | x))), which, for the place that was cut, is the ratio of the
    products of the weights of the tokens drawn anew and before, times n / n'. As weights need only be
    unbiased estimates (a pseudo-marginal chain), every token sampler will do.

    Parameters
    ----------
    particles : int
        Number of independent chains, which are the rows of one batch. The result is their last states, with
        equal weights.
    steps : int
        Proposals to each chain, after its beginning.
    forced : {"single"}, optional
        Append tokens that are the only ones allowed where they stand without drawing them, a whole run in
        one forward pass, and read those that a proposal keeps in one, too. This changes no probability. See
        :class:`SMC` for what it needs.

    Notes
    -----
    A proposal costs as many forward passes as the longest of the sequences has tokens, because rows restart
    from the prompt; with `forced`, about as many as tokens are drawn for it. A chain without any valid
    sequence accepts the first one; if it gets none, it counts as dead. `log_evidence` is the unbiased
    estimate from the chains' beginnings.

    References
    ----------
    Anaya Gonzalez et al., "Constrained Sampling for Language Models Should Be Easy: An MCMC Perspective"
    (NeurIPS 2025, arXiv 2506.05754), with the uniform distribution of cuts. Andrieu and Roberts, "The
    pseudo-marginal approach for efficient Monte Carlo computations" (2009).
    """

    particles: int = 5
    steps: int = 10
    forced: Single | None = None

    __repr__ = described

    def __post_init__(self) -> None:
        check_single(self.forced, self)
        check_positive("particles", self.particles)
        if self.steps < 0:
            raise ValueError(f"steps is {self.steps}, and must not be negative")

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
        """Sample sequences; see :meth:`SMC.run`. A critic multiplies the target by its final score."""
        root = Context.root(model.vocabulary)
        check_start(root, (token_sampler.potential, critic), max_tokens)
        with Run(seed, generator, progress, self.steps + 1) as run:
            return _Chains(self, model, token_sampler, max_tokens, critic, run, root).run()


@dataclasses.dataclass
class _Chain:
    """The state of a Markov chain: a sequence, and the weights that its tokens were drawn with."""

    path: list[Context]
    """The contexts from the empty text on."""
    log_weights: list[float]
    log_probabilities: list[float]
    score: float = 0.0
    """The critic's."""

    def cut(self, length: int) -> "_Chain":
        return _Chain(self.path[: length + 1], self.log_weights[:length], self.log_probabilities[:length])

    @property
    def finished(self) -> bool:
        return self.path[-1].ended

    def __len__(self) -> int:
        return len(self.path) - 1


class _Chains:
    """The chains of one run, in step."""

    def __init__(
        self,
        sampler: SuffixMCMC,
        model: LanguageModel,
        token_sampler: TokenSampler,
        max_tokens: int,
        critic: Potential | None,
        run: Run,
        root: Context,
    ) -> None:
        self._sampler = sampler
        self._model = model
        self._token_sampler = token_sampler
        self._max_tokens = max_tokens
        self._critic = critic
        self._run = run
        self._empty = _Chain([root], [], [])
        self._deaths: list[Death] = []
        self._calls = 0
        self._drawn = 0
        self._generator = run.generator
        self._forced = forced_text(sampler, token_sampler, model.vocabulary, sampler.forced)

    def run(self) -> SamplingResult:
        count = self._sampler.particles
        states = self._regenerate([self._empty.cut(0) for _ in range(count)])
        log_evidence = log_mean_exp([sum(s.log_weights) + s.score if s.finished else _NEVER for s in states])
        self._run.progress(1)
        accepted = 0
        for step in range(self._sampler.steps):
            cuts = [
                int(u * len(state)) if state.finished else 0
                for u, state in zip(self._uniforms(count), states, strict=True)
            ]
            proposals = self._regenerate([state.cut(cut) for state, cut in zip(states, cuts, strict=True)])
            for i, u in enumerate(self._uniforms(count)):
                if _accepts(states[i], proposals[i], cuts[i], u):
                    states[i] = proposals[i]
                    accepted += 1
            self._run.progress(step + 2)
        return self._result(states, log_evidence, accepted)

    def _uniforms(self, count: int) -> list[float]:
        device = self._generator.device
        numbers: list[float] = torch.rand(count, generator=self._generator, device=device).tolist()
        return numbers

    def _regenerate(self, chains: list[_Chain]) -> list[_Chain]:
        """Complete sequences, in place and as one batch; those that die stay unfinished."""
        lanes = Lanes(self._model, len(chains), 1, self._max_tokens, self._run)
        if self._forced is None:
            self._complete(chains, lanes)
        else:
            self._complete_with(self._forced, chains, lanes)
        if self._critic is not None:
            with self._run.timed("constraint"):
                for i, chain in enumerate(chains):
                    if chain.finished:
                        chain.score = complete_score(self._critic, chain.path[-1])
                        if chain.score == _NEVER:
                            self._deaths.append(Death(len(chain), i, "critic", chain.path[-1].text))
        return chains

    def _complete(self, chains: list[_Chain], lanes: Lanes) -> None:
        """Feed the rows one token at a time, also of what is kept."""
        kept = [len(chain) for chain in chains]
        live = list(range(len(chains)))
        for step in range(self._max_tokens):
            drawing = [i for i in live if kept[i] <= step]
            if drawing:
                self._draw(drawing, chains, lanes)
            live = [i for i in live if len(chains[i]) > step and not chains[i].finished]
            if not live:
                break
            lanes.advance({i: chains[i].path[step + 1].token for i in live})

    def _complete_with(self, forced: ForcedText, chains: list[_Chain], lanes: Lanes) -> None:
        """Feed the rows what is kept at once, and each token with the text that is forced behind it."""
        live = list(range(len(chains)))
        fed = dict.fromkeys(live, 0)
        at_start = lanes.logprobs(live[:1])[0]
        self._force(forced, chains)
        drawing = [i for i in live if len(chains[i].path) == 1]
        while live:
            if drawing:
                fed |= {i: len(chains[i]) for i in drawing}
                self._draw(drawing, chains, lanes)
                live = [i for i in live if len(chains[i].path) - 1 > fed[i] and not chains[i].finished]
                self._force(forced, [chains[i] for i in live if i in drawing])
            if live:
                added = {i: [context.token for context in chains[i].path[fed[i] + 1 :]] for i in live}
                logs = lanes.extend(added)
                for i in live:
                    first = [] if fed[i] else [float(at_start[added[i][0]])]
                    self._credit(i, chains[i], [*first, *logs[i]])
                live = [i for i in live if len(chains[i].path) - 1 >= fed[i] + len(added[i])]
            drawing = live

    def _force(self, forced: ForcedText, chains: SequenceOf[_Chain]) -> None:
        """Add to chains what is forced; their log-probabilities come from the model later."""
        with self._run.timed("constraint"):
            for chain in chains:
                found = forced.follow(chain.path[-1], self._max_tokens - 1 - len(chain))
                chain.path += found
                skip(self._generator, len(found))
                if forced.guard is not None:
                    self._calls += len(found)

    def _credit(self, i: int, chain: _Chain, logs: SequenceOf[float]) -> None:
        """Count the log-probabilities of forced tokens, the last ones of a chain."""
        for log_p in logs[len(logs) - (len(chain) - len(chain.log_weights)) :]:
            if log_p == _NEVER:
                del chain.path[len(chain.log_weights) + 1 :]
                self._deaths.append(Death(len(chain), i, "token", chain.path[-1].text))
                return
            chain.log_weights.append(log_p)
            chain.log_probabilities.append(log_p)

    def _draw(self, drawing: list[int], chains: list[_Chain], lanes: Lanes) -> None:
        logprobs = lanes.logprobs(drawing)
        contexts = [chains[i].path[-1] for i in drawing]
        own = [self._generator] * len(drawing)
        with self._run.timed("constraint"):
            draws = draw_each(self._token_sampler, contexts, logprobs, self._max_tokens, own)
        tokens = torch.tensor([max(draw.token, 0) for draw in draws], device=logprobs.device)
        gained = logprobs.gather(1, tokens.unsqueeze(1)).squeeze(1).tolist()
        for i, draw, log_probability in zip(drawing, draws, gained, strict=True):
            self._calls += draw.calls
            chain = chains[i]
            if draw.log_weight == _NEVER:
                last = len(chain) == self._max_tokens - 1
                self._deaths.append(Death(len(chain), i, "length" if last else "token", chain.path[-1].text))
                continue
            self._drawn += 1
            chain.path.append(chain.path[-1].extend(draw.token))
            chain.log_weights.append(draw.log_weight)
            chain.log_probabilities.append(log_probability)

    def _result(self, states: list[_Chain], log_evidence: float, accepted: int) -> SamplingResult:
        log_weights = [0.0 if s.finished and s.score > _NEVER else _NEVER for s in states]
        alive = max(log_weights) > _NEVER
        weights = normalise(log_weights).tolist() if alive else [0.0] * len(states)
        proposed = self._sampler.steps * len(states)
        result = SamplingResult(
            sequences=[
                Sequence(
                    tokens=state.path[-1].tokens,
                    text=state.path[-1].text,
                    log_weight=log_weight,
                    weight=weight,
                    log_probability=sum(state.log_probabilities),
                    finished=state.finished,
                )
                for state, log_weight, weight in zip(states, log_weights, weights, strict=True)
            ],
            log_evidence=log_evidence,
            method=repr(self._sampler),
            seed=self._run.seed,
            deaths=self._deaths,
            calls=self._calls,
            drawn=self._drawn,
            acceptance_rate=accepted / proposed if proposed else None,
            seconds=self._run.seconds(),
            vocabulary=self._empty.path[0].vocabulary,
        )
        if not alive:
            raise all_dead(result, self._token_sampler.potential, self._empty.path[0], self._max_tokens)
        return result


def _accepts(state: _Chain, proposal: _Chain, cut: int, u: float) -> bool:
    """Decide on a proposal that shares the first `cut` tokens, with a uniform random number."""
    if not proposal.finished or proposal.score == _NEVER:
        return False
    if not state.finished or state.score == _NEVER:
        return True
    return u < math.exp(min(0.0, _log_ratio(state, proposal, cut)))


def _log_ratio(state: _Chain, proposal: _Chain, cut: int) -> float:
    """Return log of P(x') q(x | x') / (P(x) q(x' | x)), both x cut at the same place."""
    # P over the probability that the token sampler draws with is what the weights estimate.
    return (
        sum(proposal.log_weights[cut:])
        - sum(state.log_weights[cut:])
        + proposal.score
        - state.score
        + math.log(len(state) / len(proposal))
    )
