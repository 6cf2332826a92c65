"""Single draws: weights, the race, tiny probabilities, the edges."""

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from structgen import StructgenError
from structgen._errors import PotentialError
from structgen.samplers import Draw, _race, awrs_draw, mask_draw
from structgen.samplers._draws import mask_draws, run
from structgen.samplers._estimators import NONE
from structgen.samplers._race import races

ESTIMATORS: list[dict[str, Any]] = [
    {"estimator": "recursive"},
    {"estimator": "recursive", "max_rejects": 1},
    {"estimator": "recursive", "max_rejects": 3},
    {"estimator": "two_loop"},
    {"estimator": "two_loop", "max_rejects": 1},
    {"estimator": "two_loop", "max_rejects": 2},
    {"estimator": "geometric"},
    {"estimator": "geometric", "max_accepts": 5},
    {"estimator": "geometric", "max_accepts": 3, "max_rejects": 4},
]
NEVER_GIVES_UP = [options for options in ESTIMATORS if "max_rejects" not in options]

LOGITS = [0.0, 1.5, -2.0, 2.0, -math.inf, 0.5]


def logprobs_of(logits: list[float], dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.log_softmax(torch.tensor(logits, dtype=torch.float64), dim=0).to(dtype)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def never(token: int) -> bool:
    raise AssertionError(f"asked about token {token}")


class Counting:
    def __init__(self, allowed: set[int]) -> None:
        self.allowed = allowed
        self.asked: list[int] = []

    def __call__(self, token: int) -> bool:
        self.asked.append(token)
        return token in self.allowed


# -- proper weighting of sampled races; that of the estimators is checked exactly in test_estimators --------

DRAWS = 20_000
# Weights lie in [0, 1]. By Hoeffding's inequality a mean of 20,000 is further than this from its expectation
# with probability 1e-9.
BOUND = math.sqrt(math.log(2 / 1e-9) / (2 * DRAWS))


@pytest.mark.parametrize("options", ESTIMATORS, ids=str)
@pytest.mark.parametrize("allowed", [{0, 2, 5}, {3, 4}])
@pytest.mark.parametrize("block", [2, 256])
def test_mean_weights_are_the_probabilities(
    options: dict[str, Any], allowed: set[int], block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_race, "_BLOCK", block)
    logprobs = logprobs_of(LOGITS)
    settings = {"max_accepts": 2, "max_rejects": None, **options}
    sums = [0.0] * len(LOGITS)
    for race in races(logprobs.expand(DRAWS, -1), seeded()):
        draw = run(race, allowed.__contains__, **settings)
        sums[draw.token] += math.exp(draw.log_weight)
    for token, p in enumerate(logprobs.exp().tolist()):
        assert abs(sums[token] / DRAWS - (p if token in allowed else 0)) < BOUND


def test_mask_draws_come_by_their_probabilities() -> None:
    logprobs = logprobs_of(LOGITS)
    mask = torch.tensor([True, False, True, False, True, True])
    z = float(logprobs.exp()[mask].sum())
    counts: Counter[int] = Counter()
    for draw in mask_draws(logprobs.expand(DRAWS, -1), mask.expand(DRAWS, -1), seeded()):
        assert draw.log_weight == pytest.approx(math.log(z), rel=1e-12)
        counts[draw.token] += 1
    for token, p in enumerate(logprobs.exp().tolist()):
        assert abs(counts[token] / DRAWS - (p / z if mask[token] else 0)) < BOUND


def test_a_token_that_is_put_back_comes_as_if_keys_were_fresh() -> None:
    logprobs = logprobs_of([0.0, 1.0, 2.0])
    p = logprobs.exp().tolist()
    generator = seeded()
    pairs: Counter[tuple[int, int, int]] = Counter()
    for race in races(logprobs.expand(DRAWS, 3), generator):
        first = race.next()
        race.put_back(first)
        second = race.next()
        race.put_back(second)
        pairs[first, second, race.next()] += 1
    for a in range(3):
        for b in range(3):
            for c in range(3):
                assert abs(pairs[a, b, c] / DRAWS - p[a] * p[b] * p[c]) < BOUND


def test_repeats_are_geometric() -> None:
    logprobs = logprobs_of([math.log(7), math.log(3)])
    generator = seeded()
    counts: Counter[int] = Counter()
    cut: Counter[int] = Counter()
    for race in races(logprobs.expand(DRAWS, 2), generator):
        assert race.repeats(None) == 0
        while race.next() != 0:
            pass
        race.reject(0)
        counts[race.repeats(None)] += 1
        cut[race.repeats(2)] += 1
    for k in range(8):
        assert abs(counts[k] / DRAWS - 0.7**k * 0.3) < BOUND
    assert set(cut) == {0, 1, 2}
    assert abs(cut[2] / DRAWS - 0.49) < BOUND


# -- the race -------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 600])
@pytest.mark.parametrize("reject", [True, False])
def test_every_token_comes_once(size: int, reject: bool) -> None:
    logprobs = torch.randn(size, dtype=torch.float64, generator=seeded(1))
    logprobs[1::5] = -math.inf
    logprobs = logprobs.log_softmax(dim=0)
    (race,) = races(logprobs[None], seeded(2))
    left = {token: logprob for token, logprob in enumerate(logprobs.tolist()) if logprob > -math.inf}
    while (token := race.next()) != NONE:
        assert race.mass(token) == pytest.approx(left.pop(token), rel=1e-12, abs=1e-12)
        if reject:
            race.reject(token)
        assert race.rest() == pytest.approx(_log_sum(list(left.values())) if reject else 0, abs=1e-9)
    assert not left
    assert race.next() == NONE


SHARES = [3, 0, 16, 8, 1, 0, 0, 30, 2, 4]
"""Probabilities in parts of 64."""


@pytest.mark.parametrize("block", [1, 3, 4, 256])
def test_random_numbers_go_to_tokens_by_their_probabilities(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_race, "_BLOCK", block)
    logprobs = torch.tensor(SHARES, dtype=torch.float64).div(64).log()

    def tokens_of(before: list[int], back: list[int]) -> Counter[int]:
        """Count the tokens to which equally spaced random numbers lead, one for every part that is left."""
        counts: Counter[int] = Counter()
        parts = 64 - sum(SHARES[token] for token in set(before) - set(back))
        for i in range(parts):
            (race,) = races(logprobs[None], None)
            for token in before:
                while (found := race.next()) != token:
                    race.put_back(found)
            for token in back:
                race.put_back(token)
            race._randoms = [(i + 0.5) / parts]
            counts[race.next()] += 1
        return counts

    def parts_of(tokens: set[int]) -> Counter[int]:
        return Counter({token: share for token, share in enumerate(SHARES) if share and token in tokens})

    everything = set(range(len(SHARES)))
    assert tokens_of([], []) == parts_of(everything)
    assert tokens_of([7], []) == parts_of(everything - {7})
    assert tokens_of([7, 3, 2], []) == parts_of(everything - {7, 3, 2})
    assert tokens_of([7, 3, 2], [3]) == parts_of(everything - {7, 2})
    assert tokens_of([0], [0]) == parts_of(everything)


def test_rounding_past_the_end_draws_again() -> None:
    logprobs = logprobs_of([0.0, 1.0, -math.inf])
    (race,) = races(logprobs[None], seeded())
    # No random number is 1; a sum may be rounded up to what it would lead to.
    race._randoms = [0.0, 1.0]
    assert race.next() == 0


def _log_sum(logs: list[float]) -> float:
    top = max(logs, default=-math.inf)
    return top + math.log(math.fsum(math.exp(x - top) for x in logs)) if logs else -math.inf


@given(st.lists(st.floats(-3000, 0), min_size=2, max_size=30), st.integers(0, 99))
def test_what_is_left_is_exact_however_little(logits: list[float], seed: int) -> None:
    logprobs = logprobs_of(logits)
    (race,) = races(logprobs[None], seeded(seed))
    left = dict(enumerate(logprobs.tolist()))
    while len(left) > 1:
        token = race.next()
        race.reject(token)
        del left[token]
        assert race.rest() == pytest.approx(_log_sum(list(left.values())), rel=1e-9, abs=1e-12)


def test_a_token_comes_back_among_others_of_hardly_any_probability() -> None:
    logprobs = logprobs_of([0.0, -1500.0, -2000.0])
    (race,) = races(logprobs[None], seeded())
    assert race.next() == 0
    assert race.next() == 1
    race.reject(1)
    assert race.rest() == pytest.approx(0, abs=1e-12)
    race.put_back(0)
    assert race.rest() == pytest.approx(0, abs=1e-12)
    assert race.next() == 0
    race.reject(0)
    assert race.rest() == pytest.approx(-2000, rel=1e-12)
    assert race.next() == 2
    race.put_back(2)
    assert race.next() == 2
    race.reject(2)
    assert race.rest() == -math.inf
    assert race.next() == NONE


# -- edges ----------------------------------------------------------------------------------


@pytest.mark.parametrize("options", ESTIMATORS, ids=str)
def test_nothing_acceptable_has_weight_zero(options: dict[str, Any]) -> None:
    for logits in ([0.0], LOGITS):
        ask = Counting(set())
        draw = awrs_draw(logprobs_of(logits), ask, **options, generator=seeded())
        assert draw.log_weight == -math.inf
        assert draw.calls == len(ask.asked) <= 5
        assert draw.token == ask.asked[-1]
        assert mask_draw(logprobs_of(logits), torch.zeros(len(logits), dtype=torch.bool)) == Draw(
            -1, -math.inf, 0
        )


@pytest.mark.parametrize("options", ESTIMATORS, ids=str)
def test_one_token(options: dict[str, Any]) -> None:
    ask = Counting({0})
    draw = awrs_draw(torch.zeros(1), ask, **options, generator=seeded())
    assert (draw.token, draw.log_weight) == (0, pytest.approx(0, abs=1e-12))
    assert draw.calls == len(ask.asked)
    draw = awrs_draw(torch.tensor([-math.inf, 0.0]), ask, **options, generator=seeded())
    assert draw.token == 1
    assert draw.log_weight == -math.inf


@pytest.mark.parametrize("options", ESTIMATORS, ids=str)
def test_tokens_of_probability_zero_are_not_asked_about(options: dict[str, Any]) -> None:
    for seed in range(50):
        ask = Counting({4})
        draw = awrs_draw(logprobs_of(LOGITS), ask, **options, generator=seeded(seed))
        assert 4 not in ask.asked
        assert draw.log_weight == -math.inf
    assert mask_draw(logprobs_of(LOGITS), torch.arange(6) == 4) == Draw(-1, -math.inf, 0)


@pytest.mark.parametrize("options", ESTIMATORS, ids=str)
def test_calls_are_counted(options: dict[str, Any]) -> None:
    for seed in range(50):
        ask = Counting({0, 2})
        draw = awrs_draw(logprobs_of(LOGITS), ask, **options, generator=seeded(seed))
        assert draw.calls == len(ask.asked)


@pytest.mark.parametrize("logit", [-40.0, -700.0, -1500.0])
@pytest.mark.parametrize("options", NEVER_GIVES_UP, ids=str)
def test_a_tiny_token_has_its_weight(options: dict[str, Any], logit: float) -> None:
    # Rejected mass rounds to 1 here, and exp(-1500) to 0.
    logprobs = logprobs_of([0.0, logit, 1.0])
    exact = float(logprobs[1])
    log_weights = []
    for seed in range(200):
        draw = awrs_draw(logprobs, {1}.__contains__, **options, generator=seeded(seed))
        assert draw.token == 1
        log_weights.append(draw.log_weight)
    if options["estimator"] == "recursive":
        assert log_weights == pytest.approx([exact] * 200, rel=1e-12)
    elif options["estimator"] == "two_loop":
        # Both other tokens are rejected before, whatever the order: 1 / (2 + 1), or (1 - psi) / 3 after all.
        assert (
            log_weights == pytest.approx([exact - math.log(3)] * 200, rel=1e-12) or min(log_weights) < exact
        )
    else:
        # w exp(-exact) is about (a - 1) / G, where G has the gamma distribution of shape a: below exp(-4) and
        # above exp(8) with probabilities under 1e-7 times 200, for a >= 2.
        assert all(-4 < found - exact < 8 for found in log_weights)


def test_many_rejections() -> None:
    logprobs = torch.randn(5000, dtype=torch.float64, generator=seeded()).log_softmax(dim=0)
    ask = Counting({4711})
    draw = awrs_draw(logprobs, ask, generator=seeded(3))
    assert draw.token == 4711
    assert draw.log_weight == pytest.approx(float(logprobs[4711]), rel=1e-9)
    assert len(ask.asked) == len(set(ask.asked)) == draw.calls > 80


@pytest.mark.parametrize("options", ESTIMATORS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_log_probabilities_are_left_as_they_are(options: dict[str, Any], dtype: torch.dtype) -> None:
    logprobs = logprobs_of(LOGITS).to(dtype) if dtype != torch.bfloat16 else torch.zeros(1, dtype=dtype)
    before = logprobs.clone()
    awrs_draw(logprobs, {0, 2}.__contains__, **options, generator=seeded())
    mask_draw(logprobs, torch.ones(len(logprobs), dtype=torch.bool), generator=seeded())
    assert torch.equal(logprobs, before)
    assert logprobs.dtype == dtype


@pytest.mark.parametrize("options", ESTIMATORS, ids=str)
def test_a_seed_decides(options: dict[str, Any]) -> None:
    def draws(seed: int) -> list[Draw]:
        generator = seeded(seed)
        logprobs = logprobs_of(LOGITS)
        return [awrs_draw(logprobs, {0, 2}.__contains__, **options, generator=generator) for _ in range(20)]

    assert draws(5) == draws(5)
    assert draws(5) != draws(6)


def test_pytorch_seeds_where_there_is_no_generator() -> None:
    def draws() -> list[Draw]:
        torch.manual_seed(4)
        logprobs = logprobs_of(LOGITS)
        mask = torch.ones(6, dtype=torch.bool)
        return [awrs_draw(logprobs, {0, 2}.__contains__), mask_draw(logprobs, mask)]

    state = torch.get_rng_state()
    try:
        assert draws() == draws()
    finally:
        torch.set_rng_state(state)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"estimator": "naive"}, "not one of recursive, two_loop, geometric"),
        ({"max_accepts": 1}, "2 acceptances at least"),
        ({"max_rejects": 0}, "must be 1 at least"),
    ],
)
def test_options_out_of_range(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        awrs_draw(torch.zeros(1), never, **arguments)


@pytest.mark.parametrize(
    "logprobs",
    [torch.zeros(2), torch.zeros(1, 1), torch.zeros(0), torch.tensor([0]), torch.tensor([-math.inf] * 2)],
    ids=str,
)
def test_no_row_of_normalised_log_probabilities(logprobs: Tensor) -> None:
    with pytest.raises(ValueError, match=r"logprobs must be a row|add up to"):
        awrs_draw(logprobs, never)


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_log_probabilities_that_are_no_numbers(wrong: float) -> None:
    logprobs = torch.tensor([0.0, wrong, -1.0])
    with pytest.raises(PotentialError, match="a log-probability is NaN or positive infinity"):
        awrs_draw(logprobs, never)
    with pytest.raises(PotentialError, match="a log-probability is NaN or positive infinity"):
        mask_draw(logprobs, torch.tensor([True, False, False]))
    with pytest.raises(PotentialError, match="a log-probability is NaN or positive infinity"):
        races(torch.stack([torch.zeros(3), logprobs]), None)


def test_logits_too_great_for_floats() -> None:
    with pytest.raises(ValueError, match="log_softmax"):
        awrs_draw(torch.tensor([0.0, 800.0]), never)


@pytest.mark.parametrize("nan", [math.nan, np.float32("nan")])
def test_a_predicate_that_answers_nan(nan: Any) -> None:
    with pytest.raises(PotentialError, match="the answer about token 0 is NaN") as caught:
        awrs_draw(torch.zeros(1), lambda token: nan)
    assert isinstance(caught.value, StructgenError)


@pytest.mark.parametrize("kind", [bool, int, np.bool_])
def test_truth_values_of_other_types(kind: Callable[[bool], Any]) -> None:
    draw = awrs_draw(logprobs_of([0.0, 0.0]), lambda token: kind(token == 1), generator=seeded())
    assert draw.token == 1
    assert draw.log_weight == pytest.approx(math.log(0.5))


# -- masks ----------------------------------------------------------------------------------


@given(st.sets(st.integers(0, 69)), st.integers(1, 70), st.integers(0, 99))
def test_packed_masks(allowed: set[int], size: int, seed: int) -> None:
    words = np.zeros(3, np.int64)
    for token in allowed:
        words[token // 32] |= 1 << (token % 32)
    logprobs = torch.randn(size, dtype=torch.float64, generator=seeded(seed)).log_softmax(dim=0)
    inside = [t in allowed for t in range(size)]
    booleans = mask_draw(logprobs, torch.tensor(inside), generator=seeded(seed))
    assert booleans == mask_draw(logprobs, words.astype(np.uint32), generator=seeded(seed))
    assert booleans == mask_draw(
        logprobs, torch.from_numpy(words.astype(np.uint32).view(np.int32)), generator=seeded(seed)
    )
    if any(inside):
        assert inside[booleans.token]
        assert booleans.log_weight == pytest.approx(_log_sum(logprobs[inside].tolist()), rel=1e-9, abs=1e-12)
    else:
        assert booleans == Draw(-1, -math.inf, 0)


def test_masks_narrower_than_the_logits() -> None:
    logprobs = torch.full((40,), -math.log(40))
    for seed in range(20):
        assert mask_draw(logprobs, np.array([-1], np.int32), generator=seeded(seed)).token < 32
    with pytest.raises(ValueError, match="a mask is a row of booleans or of 32-bit words"):
        mask_draw(logprobs, np.zeros(2, np.int64))


def test_a_tiny_mask_has_its_weight() -> None:
    logprobs = logprobs_of([0.0, -900.0, -901.0])
    draw = mask_draw(logprobs, torch.tensor([False, True, True]), generator=seeded())
    assert draw.log_weight == pytest.approx(-900 + math.log1p(math.exp(-1)), rel=1e-12)
