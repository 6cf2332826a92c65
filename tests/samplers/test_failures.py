"""Sampling that cannot succeed says so, with what there was and what to do."""

import math
import pickle
from typing import Any

import pytest

import structgen
from structgen import Vocabulary, compile_regex
from structgen._errors import (
    AllParticlesDeadError,
    BudgetError,
    NothingSatisfiesError,
    PotentialError,
    SamplingError,
)
from structgen.samplers import (
    AWRS,
    SMC,
    BasePotential,
    Context,
    ExactRejection,
    GrammarAligned,
    LocallyConstrained,
    MaskSampler,
    Predicate,
    SampleAndRerank,
    SuffixMCMC,
    TableModel,
)
from tests.samplers.worlds import World

ALL = [
    SMC(4),
    LocallyConstrained(4),
    SampleAndRerank(4),
    ExactRejection(4),
    GrammarAligned(4),
    SuffixMCMC(4, 3),
]
every = pytest.mark.parametrize("sampler", ALL, ids=lambda s: type(s).__name__)


class Constant(BasePotential):
    def __init__(self, prefix: float, complete: float) -> None:
        self._prefix, self._complete = prefix, complete

    def prefix(self, context: Context) -> float:
        return self._complete if context.ended else self._prefix

    def complete(self, context: Context) -> float:
        return self._complete

    def __repr__(self) -> str:
        return "Constant"


def world() -> World:
    return World("(a|b){1,3}", 4, seed=21)


@every
def test_an_unsatisfiable_start(sampler: Any) -> None:
    with pytest.raises(NothingSatisfiesError, match="Constant refuses every text"):
        sampler.run(world().model, AWRS(Constant(-math.inf, -math.inf)), max_tokens=4, seed=0)


@every
def test_a_budget_below_the_shortest_output(sampler: Any) -> None:
    # Six letters; the vocabulary has one token of two.
    far = World("(ab){3}", 8, seed=1)
    for limit in (1, 2, 3):
        with pytest.raises(BudgetError, match=f"max_tokens={limit} is too small.*to at least") as caught:
            sampler.run(far.model, far.masks(), max_tokens=limit, seed=0)
        assert (caught.value.max_tokens, caught.value.needed) == (limit, 4)
        # That a text does not fit is certain without trying: tokens have two bytes at most.
        assert caught.value.result is None
    assert max(map(len, far.joint)) > 4
    result = SampleAndRerank(3000).run(far.model, far.masks(), max_tokens=4, seed=0)
    assert {s.text for s in result.sequences if s.finished} == {"ababab"}


@every
def test_a_budget_that_only_trying_shows_to_be_too_small(sampler: Any) -> None:
    # A long token that is of no use hides that the text needs a token for each letter.
    vocabulary = Vocabulary([b"", b"a", b"bbbbbbbb"], eos_token_ids=0)
    model = TableModel(vocabulary, lambda tokens: [math.log(p) for p in (0.09, 0.9, 0.01)])
    masks = MaskSampler(compile_regex("a{5}", vocabulary))
    with pytest.raises(BudgetError, match="5 bytes, which take 6 tokens") as caught:
        sampler.run(model, masks, max_tokens=4, seed=0)
    assert caught.value.needed == 6
    assert caught.value.result.log_evidence == -math.inf
    assert caught.value.result.deaths
    enough = SMC(4).run(model, masks, max_tokens=6, seed=0)
    assert enough.posterior() == {"aaaaa": pytest.approx(1)}


def test_a_length_that_the_model_does_not_keep_to() -> None:
    # The shortest text would fit, but the model goes on.
    long = World("b|a{5}", 3, table={(): [0.0, 1 - 1e-12, 1e-12, 0.0]})
    with pytest.raises(AllParticlesDeadError, match=r"4 could not end within max_tokens=3 \(raise") as caught:
        SMC(4).run(long.model, long.masks(), max_tokens=3, seed=0)
    assert [death.cause for death in caught.value.result.deaths] == ["length"] * 4
    assert {death.text for death in caught.value.result.deaths} == {"aa"}


@pytest.mark.parametrize("sampler", [s for s in ALL if not isinstance(s, ExactRejection)])
def test_all_particles_dead_has_the_partial_result(sampler: Any) -> None:
    # After a, nothing that the predicate takes has any probability.
    dead = World("a|b", 3, table={(): [0.0, 1.0, 0.0, 0.0], (1,): [0.0, 1.0, 0.0, 0.0]})
    starts_with_ab = Predicate(lambda text: "ab".startswith(text[:2]), on="text", finished_only=False)
    with pytest.raises(AllParticlesDeadError, match=r"all 4 particles are dead.*no token") as caught:
        sampler.run(dead.model, AWRS(starts_with_ab), max_tokens=3, seed=0)
    result = caught.value.result
    assert [s.text for s in result.sequences] == ["a"] * 4
    assert not any(s.finished or s.weight for s in result.sequences)
    assert {(death.step, death.cause, death.text) for death in result.deaths} == {(1, "token", "a")}
    assert result.posterior() == {}
    assert pickle.loads(pickle.dumps(caught.value)).result == result


@pytest.mark.parametrize("sampler", [SMC(4), SampleAndRerank(40), SuffixMCMC(4, 2)])
def test_a_critic_that_refuses_every_finished_text(sampler: Any) -> None:
    with pytest.raises(AllParticlesDeadError, match="are dead") as caught:
        sampler.run(world().model, world().masks(), max_tokens=4, seed=0, critic=Constant(0.0, -math.inf))
    assert any(death.cause == "critic" for death in caught.value.result.deaths)


@pytest.mark.parametrize("score", [math.nan, math.inf])
@pytest.mark.parametrize("sampler", [SMC(4), SampleAndRerank(40), SuffixMCMC(4, 2)])
def test_critics_that_are_no_number(sampler: Any, score: float) -> None:
    for critic in (Constant(0.0, score), Constant(score, 0.0)):
        with pytest.raises(PotentialError, match="Constant"):
            sampler.run(world().model, world().masks(), max_tokens=4, seed=0, critic=critic)


@every
def test_no_tokens_at_all(sampler: Any) -> None:
    with pytest.raises(ValueError, match="max_tokens is 0"):
        sampler.run(world().model, world().masks(), max_tokens=0, seed=0)


def test_one_error_for_all() -> None:
    for error in (NothingSatisfiesError, AllParticlesDeadError, BudgetError):
        assert issubclass(error, SamplingError)
    assert issubclass(SamplingError, structgen.StructgenError)
    copy = pickle.loads(pickle.dumps(BudgetError("no", max_tokens=3, needed=5)))
    assert (str(copy), copy.max_tokens, copy.needed, copy.result) == ("no", 3, 5, None)
