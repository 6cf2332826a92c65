"""The estimators of adaptive weighted rejection sampling, over all of their outcomes."""

from collections.abc import Callable
from fractions import Fraction
from functools import partial

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from structgen.samplers._estimators import NONE, Outcome, geometric, recursive, two_loop
from tests.samplers.enumerated import EnumeratedRace, Expectation

HALF = Fraction(1, 2)


@st.composite
def constraints(draw: st.DrawFn, most: int = 5) -> tuple[list[Fraction], set[int]]:
    """Probabilities of a few tokens, zeros included, and the tokens that are allowed."""
    shares = draw(st.lists(st.sampled_from([0, 1, 1, 2, 3, 7, 100]), min_size=1, max_size=most).filter(any))
    allowed = draw(st.sets(st.integers(0, len(shares) - 1)))
    return [Fraction(share, sum(shares)) for share in shares], allowed


def truth(probabilities: list[Fraction], allowed: set[int]) -> list[Fraction]:
    return [p if token in allowed else Fraction(0) for token, p in enumerate(probabilities)]


def one_loop_calls(probabilities: list[Fraction], allowed: set[int]) -> Fraction:
    """Return the expected calls up to the first acceptance; without any, all tokens are asked about."""
    z = sum(probabilities[t] for t in allowed)
    return (z > 0) + sum(p / (p + z) for t, p in enumerate(probabilities) if p and t not in allowed)


limits = st.none() | st.integers(1, 4)


@given(constraints(), limits)
@example(([HALF, HALF], {0}), None)
def test_recursive_is_properly_weighted(case: tuple[list[Fraction], set[int]], limit: int | None) -> None:
    found = Expectation(*case, partial(recursive, max_rejects=limit))
    assert found.weights == truth(*case)


@given(constraints(4), limits)
@example(([HALF, HALF], {0}), None)
def test_two_loop_is_properly_weighted(case: tuple[list[Fraction], set[int]], limit: int | None) -> None:
    found = Expectation(*case, partial(two_loop, max_rejects=limit))
    assert found.weights == truth(*case)


@given(constraints(3), st.integers(1, 4), st.integers(2, 4))
@example(([HALF, HALF], {0}), 4, 3)
def test_geometric_with_a_limit_is_properly_weighted(
    case: tuple[list[Fraction], set[int]], limit: int, accepts: int
) -> None:
    found = Expectation(*case, partial(geometric, max_rejects=limit, max_accepts=accepts))
    assert found.weights == truth(*case)
    assert found.most_asked <= 1


SPREAD = [
    ([HALF, HALF], {0}),
    ([Fraction(1, 3), Fraction(1, 3), Fraction(1, 3)], {0, 2}),
    ([Fraction(1, 5), Fraction(3, 5), Fraction(1, 5)], {1, 2}),
    ([Fraction(1, 2), Fraction(1, 4), Fraction(1, 4)], {1, 2}),
]


@pytest.mark.parametrize("case", SPREAD)
def test_geometric_without_a_limit_is_properly_weighted(case: tuple[list[Fraction], set[int]]) -> None:
    # Repeats have no greatest number: from 24 on, they are left out. Weights lie between 0 and 1, so that
    # this takes from each sum no more than its probability, here below 2 in a million.
    found = Expectation(*case, partial(geometric, max_rejects=None, max_accepts=2), most_repeats=24)
    assert 0 < found.tail < 2e-6
    for sum_, true in zip(found.weights, truth(*case), strict=True):
        assert true - found.tail <= sum_ <= true


def more_loops(race: EnumeratedRace, allowed: Callable[[int], bool], loops: int) -> Outcome[Fraction]:
    """The two loops with so many of the second, and the divisor n + 1 generalised to (n + L) / L."""
    rejects = 0
    accepted = []
    rests = []
    for _ in range(1 + loops):
        while (token := race.next()) != NONE and not allowed(token):
            race.reject(token)
            rejects += 1
        if token == NONE:
            return Outcome(token, race.whole, 0, 1)
        accepted.append(token)
        rests.append(race.rest())
        race.put_back(token)
    return Outcome(accepted[0], rests[0], loops, rejects + loops)


def test_the_naive_generalisation_is_biased() -> None:
    fair = [HALF, HALF], {0}
    assert Expectation(*fair, partial(more_loops, loops=1)).weights == truth(*fair)
    found = Expectation(*fair, partial(more_loops, loops=2))
    assert found.weights == [Fraction(13, 24), 0]
    assert found.weights != truth(*fair)


@pytest.mark.parametrize("estimator", [recursive, two_loop])
@pytest.mark.parametrize("limit", [1, 2])
def test_giving_up_with_the_usual_weights_is_biased(estimator: Callable[..., Outcome], limit: int) -> None:
    class GivesUp(Exception):  # noqa: N818
        pass

    def capped(race: EnumeratedRace, allowed: Callable[[int], bool]) -> Outcome[Fraction]:
        rejects = 0

        def ask(token: int) -> bool:
            nonlocal rejects
            rejects += token not in {0}
            if rejects > limit:
                raise GivesUp
            return allowed(token)

        try:
            return estimator(race, ask, None)
        except GivesUp:
            return Outcome(NONE, Fraction(1), 0, 1)

    thirds = [Fraction(1, 4)] * 4
    assert Expectation(thirds, {0}, capped).weights != truth(thirds, {0})
    right = Expectation(thirds, {0}, partial(estimator, max_rejects=limit))
    assert right.weights == truth(thirds, {0})


@given(constraints())
def test_calls_of_the_recursive_estimator(case: tuple[list[Fraction], set[int]]) -> None:
    probabilities, allowed = case
    found = Expectation(*case, partial(recursive, max_rejects=None))
    assert found.most_asked <= 1

    def first_loop(race: EnumeratedRace, ask: Callable[[int], bool]) -> Outcome[Fraction]:
        """Weigh an acceptance by whether it was the last token, so that there is no other to look at."""
        while (token := race.next()) != NONE and not ask(token):
            race.reject(token)
        last = token != NONE and race.next() == NONE
        return Outcome(token, Fraction(1), int(last), 1)

    only = Expectation(*case, first_loop)
    assert only.calls == one_loop_calls(*case)
    accepts = any(probabilities[t] for t in allowed)
    assert found.calls == only.calls + accepts - sum(only.weights)


@given(constraints(4))
def test_calls_of_the_two_loops(case: tuple[list[Fraction], set[int]]) -> None:
    probabilities, allowed = case
    z = sum(probabilities[t] for t in allowed)
    found = Expectation(*case, partial(two_loop, max_rejects=None))
    rejected = [p for t, p in enumerate(probabilities) if p and t not in allowed]
    if z:
        assert found.calls == 2 + sum(1 - (z / (z + p)) ** 2 for p in rejected)
    else:
        assert found.calls == len(rejected)


@given(constraints(4), st.integers(1, 3))
def test_a_limit_saves_calls(case: tuple[list[Fraction], set[int]], limit: int) -> None:
    for estimator in (recursive, two_loop):
        free = Expectation(*case, partial(estimator, max_rejects=None))
        bound = Expectation(*case, partial(estimator, max_rejects=limit))
        assert bound.calls <= free.calls
        assert bound.calls <= limit + 1
