"""Resampling schemes: the expected numbers of copies, exactly, and what each scheme promises beyond."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from structgen.samplers._resampling import (
    SCHEMES,
    Floats,
    effective_sample_size,
    log_mean_exp,
    multinomial,
    normalise,
    residual,
    stratified,
    systematic,
    uniforms_of,
)

shares = st.lists(st.sampled_from([0, 1, 1, 2, 3, 7, 50]), min_size=1, max_size=7).filter(any)
LARGEST = 1 - 2.0**-53


def weights_of(values: list[int]) -> Floats:
    return np.array(values, dtype=np.float64) / sum(values)


def integral(function: Callable[[float], Floats], edges: Floats) -> Floats:
    """Integrate a function over [0, 1) that is constant between the edges."""
    points = np.unique(np.clip([0.0, 1.0, *edges], 0, 1))
    pieces = [
        (right - left) * function((left + right) / 2)
        for left, right in itertools.pairwise(points)
        if right - left > 1e-12
    ]
    return np.sum(pieces, axis=0)


def copies(ancestors: Floats, count: int) -> Floats:
    return np.bincount(ancestors, minlength=count).astype(float)


@given(shares)
@example([1, 1, 1])
def test_systematic_copies_are_right_on_average_and_within_one(values: list[int]) -> None:
    weights = weights_of(values)
    count = len(weights)

    def at(u: float) -> Floats:
        found = copies(systematic(weights, lambda n: np.full(n, u)), count)
        assert (np.abs(found - count * weights) < 1 + 1e-9).all()
        return found

    assert integral(at, np.cumsum(weights) * count % 1) == pytest.approx(count * weights)


@given(shares)
@example([1, 1, 1])
def test_stratified_copies_are_right_on_average(values: list[int]) -> None:
    weights = weights_of(values)
    count = len(weights)
    expected = np.zeros(count)
    for stratum in range(count):

        def at(u: float, stratum: int = stratum) -> Floats:
            uniforms = np.full(count, 0.5)
            uniforms[stratum] = u
            return np.eye(count)[stratified(weights, lambda n: uniforms)[stratum]]

        expected += integral(at, np.cumsum(weights) * count - stratum)
    assert expected == pytest.approx(count * weights)


@given(shares)
def test_multinomial_copies_are_right_on_average(values: list[int]) -> None:
    weights = weights_of(values)
    count = len(weights)

    # The expectation is linear, so that what the draws have to do with each other makes no difference.
    def at(u: float) -> Floats:
        return copies(multinomial(weights, lambda n: np.full(n, u)), count)

    assert integral(at, np.cumsum(weights)) == pytest.approx(count * weights)


@given(shares)
@example([2, 1, 1])
def test_residual_copies_are_right_on_average_and_at_least_the_whole_part(values: list[int]) -> None:
    weights = weights_of(values)
    count = len(weights)
    whole = np.floor(count * weights)
    rest = count * weights - whole

    def at(u: float) -> Floats:
        found = copies(residual(weights, lambda n: np.full(n, u)), count)
        assert (found >= whole).all()
        return found

    edges = np.cumsum(rest) / rest.sum() if rest.sum() else np.zeros(0)
    assert integral(at, edges) == pytest.approx(count * weights)


def test_residual_draws_nothing_where_all_copies_are_whole() -> None:
    def none(count: int) -> Floats:
        raise AssertionError("no uniform is needed")

    assert residual(np.array([0.5, 0.0, 0.25, 0.25]), none).tolist() == [0, 0, 2, 3]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("u", [0.0, 0.5, LARGEST])
@given(values=shares)
def test_ancestors_have_weight_and_rise(scheme: str, u: float, values: list[int]) -> None:
    weights = weights_of(values)
    ancestors = SCHEMES[scheme](weights, lambda n: np.full(n, u))
    assert len(ancestors) == len(weights)
    assert (weights[ancestors] > 0).all()
    assert (np.diff(ancestors) >= 0).all()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_uniforms_of_a_generator_give_the_expected_copies(scheme: str) -> None:
    weights = weights_of([1, 5, 0, 2, 3])
    uniforms = uniforms_of(torch.Generator().manual_seed(1))
    runs = 4000
    total = sum(copies(SCHEMES[scheme](weights, uniforms), 5) for _ in range(runs))
    # A number of copies among 5 has variance 1.25 at most: 4.5 standard errors.
    assert np.abs(total / runs - 5 * weights).max() < 4.5 * math.sqrt(1.25 / runs)


def test_effective_sample_size() -> None:
    assert effective_sample_size([-700.0] * 8) == pytest.approx(8)
    assert effective_sample_size([-1000.0, -math.inf, -math.inf]) == pytest.approx(1)
    assert effective_sample_size(np.log([3.0, 1.0])) == pytest.approx(1 / (0.75**2 + 0.25**2))
    assert effective_sample_size([-math.inf]) == 0


def test_log_mean_exp() -> None:
    assert log_mean_exp([math.log(2) - 2000, math.log(4) - 2000]) == pytest.approx(math.log(3) - 2000)
    assert log_mean_exp([0.0, -math.inf]) == pytest.approx(math.log(0.5))
    assert log_mean_exp([]) == log_mean_exp([-math.inf] * 3) == -math.inf


def test_normalise() -> None:
    assert normalise([-1000.0, -1000.0 + math.log(3), -math.inf]) == pytest.approx([0.25, 0.75, 0])
    with pytest.raises(ValueError, match="zero"):
        normalise([-math.inf, -math.inf])
