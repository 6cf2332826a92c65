"""A single draw of a token that a constraint allows, with its log-weight."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from structgen._errors import PotentialError
from structgen.kernels import apply_masks
from structgen.samplers._estimators import NONE, Outcome, geometric, recursive, two_loop
from structgen.samplers._potentials import name_of
from structgen.samplers._race import LogRace, Randomness, check_number, races, uniform, working

Estimator = Literal["recursive", "two_loop", "geometric"]

# How far from 1 the sum of the probabilities may be.
_NORMALISED = 1e-3


@dataclass(frozen=True, slots=True)
class Draw:
    """A token with its log-weight.

    Attributes
    ----------
    token : int
        The token. Where nothing allowed was found, the one looked at last, or -1.
    log_weight : float
        Natural logarithm of the weight; ``-inf`` where nothing allowed was found.
    calls : int
        How many times the predicate was called.
    """

    token: int
    log_weight: float
    calls: int


def awrs_draw(
    logprobs: Tensor,
    allowed: Callable[[int], bool],
    *,
    estimator: Estimator = "recursive",
    max_accepts: int = 2,
    max_rejects: int | None = None,
    generator: torch.Generator | None = None,
) -> Draw:
    """Draw an allowed token and a weight by adaptive weighted rejection sampling.

    The draw (x, w) is properly weighted: E[w f(x)] is the sum of p(x) f(x) over all allowed tokens, for every
    f. So E[w] is the probability that the model's token is allowed.

    Parameters
    ----------
    logprobs : Tensor
        Floating point, shape ``(V,)``: normalised log-probabilities, ``-inf`` included. It is left as it is.
    allowed : callable
        From a token id to whether it is allowed. It is never called about tokens of probability 0.
    estimator : {"recursive", "two_loop", "geometric"}
        ``"recursive"``: one acceptance and a look at the next token; the fewest calls. ``"two_loop"``: up to
        two acceptances, as the paper has it. ``"geometric"``: up to `max_accepts`; its weights vary
        less.
    max_accepts : int
        Acceptances of the geometric estimator, at least 2. The others' work is fixed.
    max_rejects : int, optional
        The draw is given up, with weight 0, at so many rejections (with the geometric estimator, repeated
        ones count). The other weights make up for it: they stay unbiased, and vary more.
    generator : torch.Generator, optional
        Source of randomness; PyTorch's own by default.

    Returns
    -------
    Draw

    Raises
    ------
    ValueError
        The log-probabilities have another shape, or do not add up to 1 in probability; an option is out of
        range.
    PotentialError
        The predicate answered NaN, or a log-probability is NaN or positive infinity.

    References
    ----------
    Lipkin et al., "Fast controlled generation from language models with adaptive weighted rejection
    sampling", COLM 2025.
    """
    check_options(estimator, max_accepts, max_rejects)
    _check_shape(logprobs)
    (race,) = races(logprobs[None], generator)
    _check_total(race.whole)
    return run(race, allowed, estimator, max_accepts, max_rejects)


def mask_draw(logprobs: Tensor, mask: Any, *, generator: torch.Generator | None = None) -> Draw:
    """Draw a token from a mask; the weight is the probability of the mask, exactly.

    Parameters
    ----------
    logprobs : Tensor
        Floating point, shape ``(V,)``: normalised log-probabilities, ``-inf`` included. It is left as it is.
    mask : Tensor or ndarray
        Which tokens are allowed: booleans of shape ``(V,)``, or 32-bit integers of shape ``(W,)`` as
        automata fill them, bit ``t % 32`` of word ``t // 32`` for token ``t``. Tokens beyond it are not
        allowed.
    generator : torch.Generator, optional
        Source of randomness; PyTorch's own by default.

    Returns
    -------
    Draw
        Without calls. Where the mask has probability 0, the token is -1.

    Raises
    ------
    ValueError
        A shape or type is another, or the log-probabilities do not add up to 1 in probability.
    PotentialError
        A log-probability is NaN or positive infinity.
    """
    _check_shape(logprobs)
    _check_total(float(torch.logsumexp(working(logprobs), dim=-1)) if len(logprobs) else -math.inf)
    allowed = mask if isinstance(mask, Tensor) else torch.from_numpy(np.ascontiguousarray(mask))
    if allowed.ndim != 1 or allowed.dtype not in (torch.bool, torch.int32, torch.uint32):
        raise ValueError(
            f"a mask is a row of booleans or of 32-bit words, not {allowed.dtype} {allowed.shape}"
        )
    if allowed.dtype != torch.bool:
        allowed = unpack(allowed.view(torch.int32)[None])[0]
    return mask_draws(logprobs[None], fit(allowed[None], len(logprobs)), generator)[0]


def check_options(estimator: str, max_accepts: int, max_rejects: int | None) -> None:
    """Raise ValueError for what is no option of :func:`awrs_draw`."""
    if estimator not in get_args(Estimator):
        raise ValueError(f"estimator is {estimator!r}, not one of {', '.join(get_args(Estimator))}")
    if max_accepts < 2:
        raise ValueError(f"max_accepts is {max_accepts}, but a weight takes 2 acceptances at least")
    if max_rejects is not None and max_rejects < 1:
        raise ValueError(f"max_rejects is {max_rejects}; it must be 1 at least, or None for no limit")


def _check_shape(logprobs: Tensor) -> None:
    if logprobs.ndim != 1 or not logprobs.is_floating_point():
        raise ValueError(f"logprobs must be a row of floats, not {logprobs.dtype} {tuple(logprobs.shape)}")


def _check_total(total: float) -> None:
    check_number(total)
    if abs(math.expm1(total)) > _NORMALISED:
        raise ValueError(
            f"the probabilities add up to exp({total:.6g}), not to 1: pass torch.log_softmax(logits, dim=-1)"
        )


# -- adaptive weighted rejection ------------------------------------------------------------


def run(
    race: LogRace,
    allowed: Callable[[int], bool],
    estimator: Estimator,
    max_accepts: int,
    max_rejects: int | None,
) -> Draw:
    """Return what an estimator makes of a race, with checked answers and counted calls."""
    calls = 0

    def ask(token: int) -> bool:
        nonlocal calls
        calls += 1
        answer = allowed(token)
        if answer is True or answer is False:
            return answer
        if answer != answer:
            raise PotentialError(f"the answer about token {token} is NaN", potential=name_of(allowed))
        return bool(answer)

    if estimator == "recursive":
        outcome: Outcome[float] = recursive(race, ask, max_rejects)
    elif estimator == "two_loop":
        outcome = two_loop(race, ask, max_rejects)
    else:
        outcome = geometric(race, ask, max_rejects, max_accepts)
    if not outcome.numerator:
        return Draw(outcome.token, -math.inf, calls)
    factor = math.log(outcome.numerator) - math.log(outcome.denominator)
    return Draw(outcome.token, outcome.mass + factor, calls)


# -- masks ----------------------------------------------------------------------------------


def mask_draws(logprobs: Tensor, allowed: Tensor | None, generator: Randomness) -> list[Draw]:
    """Draw a token of every row from its mask.

    Parameters
    ----------
    logprobs : Tensor
        Floating point, shape ``(n, V)``.
    allowed : Tensor or None
        Booleans, shape ``(n, V)``; or packed masks, int32 of shape ``(n, W)`` on the same device; or None
        where all tokens are allowed.
    generator : torch.Generator or RowGenerators or None
        Source of randomness.

    Raises
    ------
    PotentialError
        A log-probability is NaN or positive infinity.
    """
    tops = logprobs.amax(dim=-1)
    masked = _masked(logprobs, allowed)
    greatest = masked.amax(dim=-1, keepdim=True)
    shift = torch.where(greatest > -math.inf, greatest, 0.0)
    # By inversion: the first token at which the running sum exceeds a random share of the total.
    sums = masked.sub_(shift).exp_().cumsum(dim=-1)
    totals = sums[:, -1:].contiguous()
    log_z = (totals.log() + shift)[:, 0]
    shares = uniform((len(sums), 1), sums.device, generator) * totals
    last = torch.searchsorted(sums, totals)
    tokens = torch.minimum(torch.searchsorted(sums, shares, right=True), last)[:, 0]
    # All that the host has to know, in one transfer.
    table = torch.stack([tops.to(log_z), tokens.to(log_z), log_z]).tolist()
    for top in table[0]:
        check_number(top)
    return [
        Draw(int(token), weight, 0) if weight > -math.inf else Draw(NONE, -math.inf, 0)
        for token, weight in zip(*table[1:], strict=True)
    ]


def masked_logprobs(logprobs: Tensor, allowed: Tensor) -> tuple[Tensor, Tensor]:
    """Return the log-probabilities given the mask, and the logarithm of the mask's probability.

    Parameters
    ----------
    logprobs : Tensor
        Floating point, shape ``(n, V)``.
    allowed : Tensor
        As of :func:`mask_draws`.

    Returns
    -------
    masked : Tensor
        float64, shape ``(n, V)``; all of a row are ``-inf`` where its mask has probability 0.
    log_z : Tensor
        float64, shape ``(n,)``.

    Raises
    ------
    PotentialError
        A log-probability is NaN or positive infinity.
    """
    for top in logprobs.amax(dim=-1).tolist():
        check_number(top)
    masked = _masked(logprobs, allowed)
    log_z = torch.logsumexp(masked, dim=-1)
    return masked.sub_(torch.where(log_z > -math.inf, log_z, 0.0)[:, None]), log_z


def _masked(logprobs: Tensor, allowed: Tensor | None) -> Tensor:
    """Return a copy in float64 with minus infinity where a token is not allowed."""
    if allowed is None:
        found = working(logprobs)
        return found.clone() if found is logprobs else found
    if allowed.dtype == torch.bool:
        logprobs = working(logprobs)
        return torch.where(allowed.to(logprobs.device), logprobs, -math.inf)
    # In the narrow type, of which there is less to write.
    masked = logprobs.clone()
    apply_masks(masked, allowed)
    return working(masked)


def unpack(masks: Tensor) -> Tensor:
    """Unpack int32 masks of shape ``(n, W)`` to booleans of shape ``(n, 32 W)``, on their device."""
    if masks.device.type == "cpu":
        octets = masks.numpy().astype("<i4", copy=False).view(np.uint8)
        return torch.from_numpy(np.unpackbits(octets, axis=1, bitorder="little")).view(torch.bool)
    shifts = torch.arange(32, dtype=torch.int32, device=masks.device)
    return ((masks.unsqueeze(-1) >> shifts) & 1).to(torch.bool).flatten(1)


def fit(allowed: Tensor, width: int) -> Tensor:
    """Cut masks of shape ``(n, ...)`` to `width`, or widen them with tokens that are not allowed."""
    missing = width - allowed.shape[-1]
    return torch.nn.functional.pad(allowed, (0, missing)) if missing > 0 else allowed[:, :width]
