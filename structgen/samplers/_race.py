"""Tokens drawn without replacement: each next one by its probability among those that are left."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from structgen._errors import PotentialError
from structgen.samplers._estimators import NONE

# A draw looks at the sums of blocks of so many tokens, and then at one block.
_BLOCK = 256

# Once the probabilities that are left add up to less than this, some of them may be too small for floats, and
# all are taken again relative to the greatest.
_LEAST = 1e-200

# The exponential of more than this is not taken: sums of it might be too great for floats.
_GREATEST = 600.0

# So many random numbers are brought at once.
_CHUNK = 8


@dataclasses.dataclass(frozen=True)
class RowGenerators:
    """The random numbers of a batch: rows that lie together have a generator of their own."""

    parts: Sequence[tuple[torch.Generator, int]]
    """The generators, and how many rows each of them serves."""

    def rows(self) -> list[torch.Generator]:
        """Return the generator of each row."""
        return [generator for generator, count in self.parts for _ in range(count)]


Randomness: TypeAlias = torch.Generator | RowGenerators | None
"""Where random numbers come from; None is PyTorch's own generator."""


def races(logprobs: Tensor, generator: Randomness) -> list[LogRace]:
    """Return a race for every row.

    Parameters
    ----------
    logprobs : Tensor
        Floating point, shape ``(n, V)``, normalised, on any device. They are left as they are, and must not
        change as long as the races are used.
    generator : torch.Generator or RowGenerators or None
        Source of randomness.

    Raises
    ------
    PotentialError
        A log-probability is NaN or positive infinity.
    ValueError
        The probabilities of a row are too great for floats, so that it can't be normalised.
    """
    if logprobs.device.type == "mps":
        logprobs = working(logprobs)
    weights, sums = _weigh(logprobs)
    for row, total in zip(logprobs, sums.sum(axis=1).tolist(), strict=True):
        if not total < math.inf:
            check_number(float(row.amax()))
            raise ValueError(
                "the probabilities add up to more than floats hold: pass torch.log_softmax(logits, dim=-1)"
            )
    randoms = uniform((len(logprobs), _CHUNK), logprobs.device, generator).tolist()
    own = generator.rows() if isinstance(generator, RowGenerators) else [generator] * len(logprobs)
    return [LogRace(*row) for row in zip(logprobs, weights, sums, randoms, own, strict=True)]


def _weigh(logprobs: Tensor) -> tuple[Tensor, npt.NDArray[np.float64]]:
    """Return probabilities in float64, filled up with 0 to whole blocks, and the blocks' sums on the host."""
    n, size = logprobs.shape
    block = min(_BLOCK, max(size, 1))
    count = max(-(-size // block), 1)
    weights = torch.empty((n, count * block), dtype=torch.float64, device=logprobs.device)
    weights[:, :size] = logprobs
    weights[:, size:] = -math.inf
    weights.exp_()
    return weights, weights.view(n, count, block).sum(dim=-1).cpu().numpy()


def check_number(number: float) -> None:
    """Raise PotentialError for a log-probability that is NaN or positive infinity."""
    if not number < math.inf:
        raise PotentialError(
            "a log-probability is NaN or positive infinity; look at the logits", potential="the model"
        )


def working(logprobs: Tensor) -> Tensor:
    """Return log-probabilities in float64, on the host where the device has no such type."""
    return logprobs.to("cpu" if logprobs.device.type == "mps" else logprobs.device, torch.float64)


def uniform(shape: tuple[int, ...], device: torch.device, generator: Randomness) -> Tensor:
    """Return random numbers in [0, 1); the same on every device where the generator is on the host."""
    if isinstance(generator, RowGenerators):
        found = torch.cat([_rand((count, *shape[1:]), device, one) for one, count in generator.parts])
    else:
        found = _rand(shape, device, generator)
    if device.type == "cuda" and found.device.type == "cpu":
        # A copy from other memory would wait for all that the device has to do.
        return found.pin_memory().to(device, non_blocking=True)
    return found.to(device)


def _rand(shape: tuple[int, ...], device: torch.device, generator: torch.Generator | None) -> Tensor:
    source = device if generator is None else generator.device
    return torch.rand(shape, dtype=torch.float64, device=source, generator=generator)


class LogRace:
    """One row of a batch as a :class:`structgen.samplers._estimators.Race`; masses are logarithms.

    Tokens come by inversion: a random share of the sum of all probabilities that are left falls into a block,
    and there to a token. A token that is taken has probability 0 from then on, and the sum of its block is
    computed anew: all sums are of positive numbers, so that nothing cancels however little is left. Random
    shares are multiples of 2 ** -53, which changes no token's probability by more than that.

    Parameters
    ----------
    logprobs : Tensor
        Floating point, shape ``(V,)``.
    weights : Tensor
        float64, whole blocks: the probabilities; overwritten.
    sums : ndarray
        float64, one per block; overwritten.
    randoms : list of float
        Random numbers to use first.
    generator : torch.Generator or None
        Source of randomness.

    Attributes
    ----------
    whole : float
        Logarithm of the sum of all probabilities.
    """

    def __init__(
        self,
        logprobs: Tensor,
        weights: Tensor,
        sums: npt.NDArray[np.float64],
        randoms: list[float],
        generator: torch.Generator | None,
    ) -> None:
        self._logprobs = logprobs
        self._weights = weights
        self._sums = sums
        self._randoms = randoms
        self._generator = generator
        self._size = len(weights) // len(sums)
        self._blocks: dict[int, npt.NDArray[np.float64]] = {}
        """Blocks of the weights, on the host."""
        self._scale = 0.0
        """Logarithm of the probability that a weight of 1 stands for."""
        self._known: dict[int, float] = {}
        self._held: dict[int, float] = {}
        """Tokens that are taken, but not rejected."""
        self._rejected: list[int] = []
        self.whole = self.rest()

    def next(self) -> int:
        """Take out and return the next token, or -1."""
        while True:
            ends = self._sums.cumsum()
            total = float(ends[-1])
            if total < _LEAST:
                if not self._rescale():
                    return NONE
                continue
            share = self._random() * total
            block = int(ends.searchsorted(share, side="right"))
            # Where rounding has led past the end, the share is drawn again.
            if block == len(ends):
                continue
            if block:
                share -= float(ends[block - 1])
            weights = self._block(block)
            within = weights.cumsum()
            at = int(within.searchsorted(share, side="right"))
            if at == len(within):
                continue
            token = block * self._size + at
            logprob = math.log(weights[at]) + self._scale
            self._known[token] = self._held[token] = logprob
            weights[at] = 0.0
            self._sums[block] = weights.sum()
            return token

    def put_back(self, token: int) -> None:
        """Let a token that was just taken take part again, as if it had not been taken."""
        relative = self._held.pop(token) - self._scale
        if relative > _GREATEST:
            # What was left without it was tiny.
            self._rescale()
            return
        block, at = divmod(token, self._size)
        weights = self._block(block)
        weights[at] = math.exp(relative)
        self._sums[block] = weights.sum()

    def reject(self, token: int) -> None:
        """Note that a token which was taken is not allowed."""
        del self._held[token]
        self._rejected.append(token)

    def mass(self, token: int) -> float:
        """Return the log-probability of a token that was taken."""
        return self._known[token]

    def rest(self) -> float:
        """Return the logarithm of the probability of all tokens that are not rejected."""
        total = float(self._sums.sum())
        if total < _LEAST:
            total = float(self._sums.sum()) if self._rescale() else 0.0
        rest = math.log(total) + self._scale if total else -math.inf
        for logprob in self._held.values():
            rest = float(np.logaddexp(rest, logprob))
        return rest

    def repeats(self, at_most: int | None) -> int:
        """Return the failures before a success of probability :meth:`rest`, by inversion."""
        if not self._rejected:
            return 0
        share = self.rest() - self.whole
        if share >= 0.0:
            return 0
        # The number is at least k with probability R^k, R being what is rejected: it is log U / log R.
        log_count = math.log(-math.log(max(self._random(), 2.0**-54))) - _log_minus_log1mexp(share)
        if at_most is not None and log_count >= math.log(at_most):
            return at_most
        # Integers have no greatest one, unlike floats.
        doublings = max(0, int((log_count - 700) / math.log(2)))
        return int(math.exp(log_count - doublings * math.log(2))) << doublings

    def _block(self, block: int) -> npt.NDArray[np.float64]:
        found = self._blocks.get(block)
        if found is None:
            part = self._weights[block * self._size : (block + 1) * self._size]
            found = self._blocks[block] = part.cpu().numpy()
        return found

    def _random(self) -> float:
        if not self._randoms:
            self._randoms = uniform((_CHUNK,), torch.device("cpu"), self._generator).tolist()
        return self._randoms.pop()

    def _rescale(self) -> bool:
        """Measure what is left by the greatest probability among it; return whether there is any."""
        left = self._logprobs.to("cpu", torch.float64, copy=True)
        left[[*self._rejected, *self._held]] = -math.inf
        greatest = float(left.max()) if len(left) else -math.inf
        if greatest == -math.inf:
            return False
        self._scale = greatest
        (self._weights,), (self._sums,) = _weigh((left - greatest)[None])
        self._blocks.clear()
        return True


def _log_minus_log1mexp(x: float) -> float:
    """Return log(-log(1 - exp(x))) for x < 0, without loss near either end."""
    if x < -36:
        return x
    return math.log(-math.log1p(-math.exp(x)) if x < -0.7 else -math.log(-math.expm1(x)))
