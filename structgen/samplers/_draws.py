"""A single draw of a token that a constraint allows, with its log-weight."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from structgen._errors import PotentialError
from structgen.samplers._estimators import NONE, Outcome, geometric, recursive, two_loop
from structgen.samplers._potentials import name_of

Estimator = Literal["recursive", "two_loop", "geometric"]

# Tokens are brought in order as they are needed: so many at first, then four times as many, and so on.
_FIRST_CHUNK = 16
_GROWTH = 4

# Once less than this share of the probability is left, 1 minus what was rejected is mostly rounding, and what
# is left is summed up instead.
_RECOUNT = 1 / 16

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
    _check_row(logprobs)
    (race,) = races(logprobs[None], generator)
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
    _check_row(logprobs)
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


def _check_row(logprobs: Tensor) -> None:
    if logprobs.ndim != 1 or not logprobs.is_floating_point():
        raise ValueError(f"logprobs must be a row of floats, not {logprobs.dtype} {tuple(logprobs.shape)}")
    total = float(torch.logsumexp(_working(logprobs), dim=-1)) if len(logprobs) else -math.inf
    _check_number(total)
    if abs(math.expm1(total)) > _NORMALISED:
        raise ValueError(
            f"the probabilities add up to exp({total:.6g}), not to 1: pass torch.log_softmax(logits, dim=-1)"
        )


def _check_number(number: float) -> None:
    if not number < math.inf:
        raise PotentialError(
            "a log-probability is NaN or positive infinity; look at the logits", potential="the model"
        )


def _working(logprobs: Tensor) -> Tensor:
    """Return log-probabilities in float64, on the host where the device has no such type."""
    return logprobs.to("cpu" if logprobs.device.type == "mps" else logprobs.device, torch.float64)


def _uniform(shape: tuple[int, ...], device: torch.device, generator: torch.Generator | None) -> Tensor:
    """Return random numbers in [0, 1); the same on every device where the generator is on the host."""
    source = device if generator is None else generator.device
    return torch.rand(shape, dtype=torch.float64, device=source, generator=generator).to(device)


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


def races(logprobs: Tensor, generator: torch.Generator | None) -> list[LogRace]:
    """Return a race for every row.

    Parameters
    ----------
    logprobs : Tensor
        Floating point, shape ``(n, V)``, normalised.
    generator : torch.Generator or None
        Source of randomness.

    Raises
    ------
    PotentialError
        A log-probability is NaN or positive infinity.
    """
    logprobs = _working(logprobs)
    # Gumbel keys: their falling order is that of drawing without replacement. -key is the logarithm of the
    # time at which a Poisson clock of rate p first rings.
    times = _uniform(tuple(logprobs.shape), logprobs.device, generator).log_().neg_().log_()
    keys = torch.sub(logprobs, times, out=times)
    chunks = _top(keys, logprobs, _FIRST_CHUNK)
    return [LogRace(*row, generator) for row in zip(keys, logprobs, chunks, strict=True)]


Chunk = tuple[list[float], list[float], list[int]]


def _top(keys: Tensor, logprobs: Tensor, count: int) -> list[Chunk]:
    """Return the greatest keys of every row, falling, with their log-probabilities and tokens."""
    top, tokens = keys.topk(min(count, keys.shape[-1]), dim=-1)
    # One copy from the device for all; float64 holds token ids exactly.
    rows = torch.stack([top, logprobs.gather(-1, tokens), tokens.double()], dim=1).tolist()
    # NaN is the greatest of keys, so that it is seen here if there is any.
    for row_keys, _, _ in rows:
        if row_keys:
            _check_number(row_keys[0])
    return [(row_keys, row_logprobs, [int(t) for t in ids]) for row_keys, row_logprobs, ids in rows]


class LogRace:
    """One row of a batch as a :class:`structgen.samplers._estimators.Race`; masses are logarithms.

    Parameters
    ----------
    keys : Tensor
        float64, shape ``(V,)``; overwritten.
    logprobs : Tensor
        float64, shape ``(V,)``.
    chunk : tuple
        The greatest keys, with log-probabilities and tokens.
    generator : torch.Generator or None
        Source of randomness.
    """

    whole = 0.0

    def __init__(
        self, keys: Tensor, logprobs: Tensor, chunk: Chunk, generator: torch.Generator | None
    ) -> None:
        self._keys = keys
        self._logprobs = logprobs
        self._generator = generator
        self._chunk = chunk
        self._position = 0
        self._taken = 0
        """Tokens in the chunks before this one."""
        self._returned: list[tuple[float, int]] = []
        """Heap of the tokens that were put back, by the logarithm of the time when they ring again."""
        self._now = -math.inf
        self._known: dict[int, float] = {}
        self._rejected: list[int] = []
        self._base = 0.0
        """Logarithm of what was left when it was summed up last."""
        self._gone = 0.0
        """What was rejected since, as a share of that."""

    def next(self) -> int:
        """Take out and return the next token, or -1."""
        if self._position == len(self._chunk[0]) and self._taken + self._position < len(self._keys):
            self._refill()
        keys, logprobs, tokens = self._chunk
        at = self._position
        # The keys of tokens that were taken before are -inf, as are those of probability 0.
        ahead = at < len(keys) and keys[at] > -math.inf
        if self._returned and not (ahead and -keys[at] < self._returned[0][0]):
            self._now, token = heapq.heappop(self._returned)
            return token
        if not ahead:
            return NONE
        self._position += 1
        self._now = -keys[at]
        self._known[tokens[at]] = logprobs[at]
        return tokens[at]

    def _refill(self) -> None:
        tokens = self._chunk[2]
        self._keys[tokens] = -math.inf
        self._taken += len(tokens)
        (self._chunk,) = _top(self._keys[None], self._logprobs[None], len(tokens) * _GROWTH)
        self._position = 0

    def put_back(self, token: int) -> None:
        """Start the clock of a token anew at the time when it rang.

        Exponential clocks have no memory: those that have not rung yet are as good as new, so that the next
        tokens come as if all keys were fresh.
        """
        wait = math.log(-math.log(self._random())) - self._known[token]
        heapq.heappush(self._returned, (float(np.logaddexp(self._now, wait)), token))

    def _random(self) -> float:
        # Not 0, whose logarithm is asked for.
        return max(float(_uniform((), torch.device("cpu"), self._generator)), 2.0**-54)

    def reject(self, token: int) -> None:
        """Take a token's probability from what is left."""
        self._rejected.append(token)
        self._gone += math.exp(self._known[token] - self._base)

    def mass(self, token: int) -> float:
        """Return the log-probability of a token that was taken."""
        return self._known[token]

    def rest(self) -> float:
        """Return the logarithm of the probability of all tokens that are not rejected."""
        if 1 - self._gone < _RECOUNT:
            left = self._logprobs.index_fill(
                0, torch.tensor(self._rejected, device=self._logprobs.device), -math.inf
            )
            self._base = float(torch.logsumexp(left, dim=0))
            self._gone = 0.0
        return self._base + math.log1p(-self._gone)

    def repeats(self, at_most: int | None) -> int:
        """Return the failures before a success of probability :meth:`rest`, by inversion."""
        if not self._rejected:
            return 0
        rest = self.rest()
        if rest == 0.0:
            return 0
        # The number is at least k with probability R^k, R being what is rejected: it is log U / log R.
        log_count = math.log(-math.log(self._random())) - _log_minus_log1mexp(rest)
        if at_most is not None and log_count >= math.log(at_most):
            return at_most
        # Integers have no greatest one, unlike floats.
        doublings = max(0, int((log_count - 700) / math.log(2)))
        return int(math.exp(log_count - doublings * math.log(2))) << doublings


def _log_minus_log1mexp(x: float) -> float:
    """Return log(-log(1 - exp(x))) for x < 0, without loss near either end."""
    if x < -36:
        return x
    return math.log(-math.log1p(-math.exp(x)) if x < -0.7 else -math.log(-math.expm1(x)))


# -- masks ----------------------------------------------------------------------------------


def mask_draws(logprobs: Tensor, allowed: Tensor, generator: torch.Generator | None) -> list[Draw]:
    """Draw a token of every row from its mask.

    Parameters
    ----------
    logprobs : Tensor
        Floating point, shape ``(n, V)``.
    allowed : Tensor
        Booleans, shape ``(n, V)``.
    generator : torch.Generator or None
        Source of randomness.

    Raises
    ------
    PotentialError
        A log-probability is NaN or positive infinity.
    """
    masked, log_z = masked_logprobs(logprobs, allowed)
    # By inversion: the first token at which the running sum exceeds a random share of the total.
    sums = masked.exp_().cumsum(dim=-1)
    totals = sums[:, -1:].contiguous()
    shares = _uniform((len(sums), 1), sums.device, generator) * totals
    last = torch.searchsorted(sums, totals)
    tokens = torch.minimum(torch.searchsorted(sums, shares, right=True), last)[:, 0]
    return [
        Draw(token, weight, 0) if weight > -math.inf else Draw(NONE, -math.inf, 0)
        for token, weight in zip(tokens.tolist(), log_z.tolist(), strict=True)
    ]


def masked_logprobs(logprobs: Tensor, allowed: Tensor) -> tuple[Tensor, Tensor]:
    """Return the log-probabilities given the mask, and the logarithm of the mask's probability.

    Parameters
    ----------
    logprobs : Tensor
        Floating point, shape ``(n, V)``.
    allowed : Tensor
        Booleans, shape ``(n, V)``.

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
    logprobs = _working(logprobs)
    for greatest in logprobs.amax(dim=-1).tolist():
        _check_number(greatest)
    masked = torch.where(allowed.to(logprobs.device), logprobs, -math.inf)
    log_z = torch.logsumexp(masked, dim=-1)
    return masked.sub_(torch.where(log_z > -math.inf, log_z, 0.0)[:, None]), log_z


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
