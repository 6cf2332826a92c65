"""Resampling of weighted particles: unbiased numbers of copies, at different variances.

Every scheme turns normalised weights W of N particles into N ancestors, among which particle i is N W_i
times on average (Douc, Cappé and Moulines, "Comparison of resampling schemes for particle filtering", 2005).
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

Uniforms = Callable[[int], Floats]
"""Draws that many independent uniforms from [0, 1)."""

Scheme = Callable[[Floats, Uniforms], Indices]
"""From normalised weights (N,) to the ancestors (N,) in rising order."""


def log_mean_exp(log_weights: npt.ArrayLike) -> float:
    """Return the logarithm of the mean of weights; -inf where all of them are zero or there is none."""
    values = np.asarray(log_weights, dtype=np.float64)
    top = float(values.max(initial=-np.inf))
    if top == -np.inf:
        return top
    return top + float(np.log(np.mean(np.exp(values - top))))


def normalise(log_weights: npt.ArrayLike) -> Floats:
    """Return the weights that sum to 1.

    Parameters
    ----------
    log_weights : array_like of float
        Shape (N,); -inf is weight zero, but not for all.

    Returns
    -------
    ndarray of float64
        Shape (N,).

    Raises
    ------
    ValueError
        All weights are zero, so that they have no normalisation.
    """
    values = np.asarray(log_weights, dtype=np.float64)
    top = values.max(initial=-np.inf)
    if top == -np.inf:
        raise ValueError("all weights are zero")
    weights = np.exp(values - top)
    normalised: Floats = weights / weights.sum()
    return normalised


def effective_sample_size(log_weights: npt.ArrayLike) -> float:
    """Return 1 / sum of W^2 for the normalised weights W: N when all are equal, 0 when all are zero."""
    values = np.asarray(log_weights, dtype=np.float64)
    if values.max(initial=-np.inf) == -np.inf:
        return 0.0
    return float(1.0 / np.square(normalise(values)).sum())


def multinomial(weights: Floats, uniforms: Uniforms) -> Indices:
    """Draw N ancestors independently."""
    return _invert(weights, np.sort(uniforms(len(weights))))


def stratified(weights: Floats, uniforms: Uniforms) -> Indices:
    """Draw one position from each of N equal strata of [0, 1)."""
    count = len(weights)
    return _invert(weights, (np.arange(count) + uniforms(count)) / count)


def systematic(weights: Floats, uniforms: Uniforms) -> Indices:
    """Take N positions at equal distances, all moved by one uniform."""
    count = len(weights)
    return _invert(weights, (np.arange(count) + uniforms(1)) / count)


def residual(weights: Floats, uniforms: Uniforms) -> Indices:
    """Take floor(N W) copies of each particle, and the rest by multinomial draws from what is left."""
    count = len(weights)
    expected = count * weights
    copies = np.floor(expected).astype(np.int64)
    left = count - int(copies.sum())
    if left > 0:
        rest = expected - copies
        np.add.at(copies, _invert(rest / rest.sum(), uniforms(left)), 1)
    return np.repeat(np.arange(count), copies)


SCHEMES: dict[str, Scheme] = {
    "multinomial": multinomial,
    "residual": residual,
    "stratified": stratified,
    "systematic": systematic,
}


def uniforms_of(generator: torch.Generator) -> Uniforms:
    """Return a source of uniforms for the schemes, on the generator's own device."""

    def uniforms(count: int) -> Floats:
        drawn = torch.rand(count, dtype=torch.float64, generator=generator, device=generator.device)
        values: Floats = drawn.cpu().numpy()
        return values

    return uniforms


def _invert(weights: Floats, positions: Floats) -> Indices:
    """Return the particles on whose part of [0, 1) the positions lie."""
    edges = np.cumsum(weights)
    # A position may round to 1: never go beyond the last particle that has weight.
    last = int(np.flatnonzero(weights)[-1])
    found = np.searchsorted(edges / edges[-1], positions, side="right")
    return np.minimum(found, last).astype(np.int64)
