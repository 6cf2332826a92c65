"""Token samplers: the next token of every row of a batch, with log-weights."""

from __future__ import annotations

import abc
import copy
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from structgen._core import DEAD
from structgen.samplers._context import Context
from structgen.samplers._draws import (
    Draw,
    Estimator,
    check_options,
    fit,
    mask_draws,
    masked_logprobs,
    run,
    unpack,
)
from structgen.samplers._masks import Masks, MasksAhead, packed_masks
from structgen.samplers._potentials import (
    AutomatonPotential,
    Potential,
    Product,
    complete_score,
    prefix_score,
)
from structgen.samplers._race import Randomness, RowGenerators, races


@runtime_checkable
class TokenSampler(Protocol):
    """Draws a token that a potential allows, for every row, with a log-weight.

    A token that ends the text is allowed where ``potential.complete(context)`` exceeds ``-inf``, any other
    where ``potential.prefix(context.extend(token))`` does. Each draw (x, w) is properly weighted for the
    row's distribution p: E[w f(x)] is the sum of p(x) f(x) over all allowed tokens.
    """

    @property
    def potential(self) -> Potential:
        """What the tokens have to satisfy. Only its support counts here, finite scores don't."""

    def draw(
        self, contexts: Sequence[Context], logprobs: Tensor, generator: torch.Generator | None
    ) -> list[Draw]:
        """Draw the next token of every row.

        Parameters
        ----------
        contexts : sequence of Context
            ``n`` texts that have not ended.
        logprobs : Tensor
            Floating point, shape ``(n, V)``: the model's normalised log-probabilities, on any device. They
            are left as they are.
        generator : torch.Generator or None
            Source of randomness; PyTorch's own by default.

        Returns
        -------
        list of Draw
            One per row. The log-weight is ``-inf`` where no token is allowed.
        """


class RowSampler(abc.ABC):
    """A token sampler whose rows may each have a generator of their own."""

    @abc.abstractmethod
    def draw(self, contexts: Sequence[Context], logprobs: Tensor, generator: Randomness = None) -> list[Draw]:
        """Draw the next token of every row; see :meth:`TokenSampler.draw`."""


class MaskSampler(RowSampler):
    """Draws from an automaton's mask; the weight is the mask's probability, exactly.

    Parameters
    ----------
    automaton : TokenAutomaton, Session or AutomatonPotential
    """

    def __init__(self, automaton: Any) -> None:
        self.potential = _as_potential(automaton)
        self.ahead: MasksAhead | None = None
        self._masks: Masks = partial(packed_masks, self.potential)

    def for_run(self) -> MaskSampler:
        """Return a sampler for one run, which fills masks ahead."""
        return _with_masks_ahead(self, self.potential)

    def draw(self, contexts: Sequence[Context], logprobs: Tensor, generator: Randomness = None) -> list[Draw]:
        """Draw the next token of every row; see :meth:`TokenSampler.draw`. There are no calls."""
        _check_batch(contexts, logprobs)
        if not contexts:
            return []
        return mask_draws(logprobs, self._masks(contexts, logprobs.device), generator)


class AWRS(RowSampler):
    """Adaptive weighted rejection: asks a potential about one token at a time.

    Parameters
    ----------
    potential : Potential
        Only where it is ``-inf`` counts here. Finite scores other than 0 belong into a critic, too.
    estimator, max_accepts, max_rejects
        As of :func:`awrs_draw`.

    Notes
    -----
    Tokens beyond the vocabulary, by which logits are padded, are not allowed, and nothing is asked about
    them.
    """

    def __init__(
        self,
        potential: Potential,
        *,
        estimator: Estimator = "recursive",
        max_accepts: int = 2,
        max_rejects: int | None = None,
    ) -> None:
        check_options(estimator, max_accepts, max_rejects)
        self.potential = potential
        self.estimator: Estimator = estimator
        self.max_accepts = max_accepts
        self.max_rejects = max_rejects

    def draw(self, contexts: Sequence[Context], logprobs: Tensor, generator: Randomness = None) -> list[Draw]:
        """Draw the next token of every row; see :meth:`TokenSampler.draw`."""
        _check_batch(contexts, logprobs)
        if not contexts:
            return []
        return [
            run(race, allowed_tokens(self.potential, context), *self._options)
            for context, race in zip(contexts, races(logprobs, generator), strict=True)
        ]

    @property
    def _options(self) -> tuple[Estimator, int, int | None]:
        return self.estimator, self.max_accepts, self.max_rejects


class MaskThenAWRS(RowSampler):
    """An automaton's mask proposes, and a guard is asked about one token of it at a time.

    The weight is the mask's probability, exactly, times the weight of adaptive weighted rejection from the
    distribution given the mask.

    Parameters
    ----------
    automaton : TokenAutomaton, Session or AutomatonPotential
    guard : Potential
        What the automaton does not express.
    estimator, max_accepts, max_rejects
        As of :func:`awrs_draw`.
    """

    def __init__(
        self,
        automaton: Any,
        guard: Potential,
        *,
        estimator: Estimator = "recursive",
        max_accepts: int = 2,
        max_rejects: int | None = None,
    ) -> None:
        self._mask = _as_potential(automaton)
        self._guard = AWRS(guard, estimator=estimator, max_accepts=max_accepts, max_rejects=max_rejects)
        self.potential = Product(self._mask, guard)
        self.ahead: MasksAhead | None = None
        self._masks: Masks = partial(packed_masks, self._mask)

    def for_run(self) -> MaskThenAWRS:
        """Return a sampler for one run, which fills masks ahead."""
        return _with_masks_ahead(self, self._mask)

    def draw(self, contexts: Sequence[Context], logprobs: Tensor, generator: Randomness = None) -> list[Draw]:
        """Draw the next token of every row; see :meth:`TokenSampler.draw`. The guard's calls count."""
        _check_batch(contexts, logprobs)
        if not contexts:
            return []
        masked, log_z = masked_logprobs(logprobs, self._masks(contexts, logprobs.device))
        draws = self._guard.draw(contexts, masked, generator)
        return [
            Draw(draw.token, draw.log_weight + z, draw.calls)
            for draw, z in zip(draws, log_z.tolist(), strict=True)
        ]


class Proposal(RowSampler):
    """Another sampler on a sharpened or truncated distribution, with weights that make up for it.

    The inner sampler sees q, the row's distribution p after temperature, top-k and top-p, in this order; its
    weight is multiplied by p(x) / q(x). With a temperature alone, the target stays the model's own
    distribution. What top-k or top-p cut off has weight 0: the target is then the model, given that no
    token of the text is one of these, with the model's own probabilities otherwise.

    Parameters
    ----------
    inner : TokenSampler
    temperature : float
        Positive; below 1 it sharpens. 1 changes nothing.
    top_k : int, optional
        Keep so many of the most probable tokens.
    top_p : float, optional
        Keep the fewest of the most probable tokens that together have at least this probability.
    """

    def __init__(
        self,
        inner: TokenSampler,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
    ) -> None:
        if not 0 < temperature < math.inf:
            raise ValueError(f"temperature is {temperature}; it must be positive and finite")
        if top_k is not None and top_k < 1:
            raise ValueError(f"top_k is {top_k}; it must be 1 at least")
        if top_p is not None and not 0 < top_p <= 1:
            raise ValueError(f"top_p is {top_p}, outside (0, 1]")
        self.inner = inner
        self.temperature = temperature
        self.top_k = top_k
        self.top_p = top_p

    @property
    def potential(self) -> Potential:
        """What the inner sampler's tokens have to satisfy."""
        return self.inner.potential

    def for_run(self) -> Proposal:
        """Return a sampler for one run: with the inner one's."""
        other = copy.copy(self)
        other.inner = for_run(self.inner)
        return other

    @property
    def ahead(self) -> MasksAhead | None:
        """The inner sampler's masks that are filled ahead."""
        return masks_ahead(self.inner)

    def draw(self, contexts: Sequence[Context], logprobs: Tensor, generator: Randomness = None) -> list[Draw]:
        """Draw the next token of every row; see :meth:`TokenSampler.draw`."""
        _check_batch(contexts, logprobs)
        target = logprobs.double()
        proposal = self._proposal(target)
        draws = draw_rows(self.inner, contexts, proposal, generator)
        tokens = torch.tensor([max(draw.token, 0) for draw in draws], device=target.device)[:, None]
        ratios = (target.gather(-1, tokens) - proposal.gather(-1, tokens))[:, 0].tolist()
        return [
            Draw(
                draw.token, draw.log_weight + ratio if draw.log_weight > -math.inf else -math.inf, draw.calls
            )
            for draw, ratio in zip(draws, ratios, strict=True)
        ]

    def support(self, logprobs: Tensor) -> Tensor:
        """Return the tokens that are not cut off, booleans of shape ``(n, V)``."""
        proposal = self._proposal(logprobs.double())
        kept = proposal > -math.inf
        inner = getattr(self.inner, "support", None)
        return kept if inner is None else kept & inner(proposal)

    def _proposal(self, target: Tensor) -> Tensor:
        proposal = torch.log_softmax(target / self.temperature, dim=-1)
        if self.top_k is not None and self.top_k < proposal.shape[-1]:
            kept, tokens = proposal.topk(self.top_k, dim=-1)
            proposal = torch.full_like(proposal, -math.inf).scatter(-1, tokens, kept)
            proposal = torch.log_softmax(proposal, dim=-1)
        if self.top_p is not None and self.top_p < 1:
            falling, tokens = proposal.sort(dim=-1, descending=True, stable=True)
            # A token stays where those before it don't have the probability yet.
            before = falling.exp().cumsum(dim=-1).roll(1, dims=-1)
            before[:, 0] = 0.0
            falling = torch.where(before < self.top_p, falling, -math.inf)
            proposal = torch.empty_like(proposal).scatter(-1, tokens, falling)
            proposal = torch.log_softmax(proposal, dim=-1)
        return proposal


_Masking = TypeVar("_Masking", MaskSampler, MaskThenAWRS)


def allowed_tokens(potential: Potential, context: Context) -> Callable[[int], bool]:
    """Return the function from a token to whether a potential allows it after a text.

    Parameters
    ----------
    potential : Potential
    context : Context
        A text that has not ended.

    Returns
    -------
    callable
        Its answers raise PotentialError where the potential's score is NaN or positive infinity.
    """
    vocabulary = context.vocabulary
    size = len(vocabulary)
    if isinstance(potential, AutomatonPotential):
        # A step decides end tokens and the others alike, and needs no context of its own.
        state = potential.state(context)
        step = potential.states.step
        return lambda token: token < size and step(state, token) != DEAD
    ends = frozenset(vocabulary.eos_token_ids)

    def allowed(token: int) -> bool:
        if token >= size:
            return False
        if token in ends:
            return complete_score(potential, context) > -math.inf
        return prefix_score(potential, context.extend(token)) > -math.inf

    return allowed


def _as_potential(automaton: Any) -> AutomatonPotential:
    return automaton if isinstance(automaton, AutomatonPotential) else AutomatonPotential(automaton)


def _check_batch(contexts: Sequence[Context], logprobs: Tensor) -> None:
    if logprobs.ndim != 2 or len(logprobs) != len(contexts) or not logprobs.is_floating_point():
        raise ValueError(
            f"logprobs must be floats of shape ({len(contexts)}, V) for {len(contexts)} contexts, "
            f"not {logprobs.dtype} {tuple(logprobs.shape)}"
        )


def draw_rows(
    token_sampler: TokenSampler, contexts: Sequence[Context], logprobs: Tensor, generator: Randomness
) -> list[Draw]:
    """Draw the next token of every row; samplers of users never see more than one generator."""
    if isinstance(token_sampler, RowSampler):
        return token_sampler.draw(contexts, logprobs, generator)
    if not isinstance(generator, RowGenerators):
        return token_sampler.draw(contexts, logprobs, generator)
    draws: list[Draw] = []
    for one, count in generator.parts:
        rows = slice(len(draws), len(draws) + count)
        draws += token_sampler.draw(contexts[rows], logprobs[rows], one)
    return draws


def for_run(token_sampler: TokenSampler) -> TokenSampler:
    """Return a token sampler for one run: one with buffers of its own, where it needs any."""
    method = getattr(token_sampler, "for_run", None)
    found: TokenSampler = token_sampler if method is None else method()
    return found


def masks_ahead(token_sampler: TokenSampler) -> MasksAhead | None:
    """Return the masks that a token sampler of a run lets fill ahead, None where it has none."""
    found: MasksAhead | None = getattr(token_sampler, "ahead", None)
    return found


def _with_masks_ahead(sampler: _Masking, potential: AutomatonPotential) -> _Masking:
    other = copy.copy(sampler)
    other.ahead = other._masks = MasksAhead(potential)
    return other


def allowed_by_masks(potential: AutomatonPotential, contexts: Sequence[Context], logprobs: Tensor) -> Tensor:
    """Return which tokens may follow, booleans of the log-probabilities' shape, on their device."""
    packed = packed_masks(potential, contexts, logprobs.device)
    return fit(unpack(packed), logprobs.shape[-1])
