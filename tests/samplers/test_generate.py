"""The plain entry: what is made of prompts, constraints and names of samplers."""

import json
import math
import subprocess
import sys
from typing import Any, Literal

import pytest
import torch

import structgen
from structgen import AllParticlesDeadError, BudgetError, NothingSatisfiesError, Vocabulary, compile_regex
from structgen.samplers import (
    AWRS,
    SMC,
    BasePotential,
    Context,
    ExactRejection,
    HuggingFaceModel,
    LanguageModelPotential,
    MaskSampler,
    MaskThenAWRS,
    Predicate,
    Product,
    SamplingResult,
    SuffixMCMC,
)
from structgen.samplers._choice import as_potential, named_sampler, token_sampler_for
from structgen.testing import tiny_model
from tests.samplers.worlds import World, bound, total_variation, trap

SCHEMA = {"type": "array", "items": {"enum": [1, 2, 3]}, "minItems": 1, "maxItems": 2}
PROMPT = "[1]\n[2,3]\n"


@pytest.fixture(scope="module")
def tiny() -> tuple[Any, Any]:
    return tiny_model.load()


def one(*args: Any, **options: Any) -> SamplingResult:
    result = structgen.generate(*args, **{"progress": False, "seed": 0, **options})
    assert isinstance(result, SamplingResult)
    return result


def several(*args: Any, **options: Any) -> list[SamplingResult]:
    results = structgen.generate(*args, **{"progress": False, "seed": 0, **options})
    assert isinstance(results, list)
    return results


# -- which samplers -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "error", "match"),
    [
        (None, TypeError, "the prompt is NoneType"),
        (b"a = ", TypeError, "the prompt is bytes"),
        (iter([5]), TypeError, "the prompt is list_iterator"),
        ([1.0, 2.0], TypeError, "must be integers"),
        ([5, -1], ValueError, "token -1"),
        ([[5], [5, 99999]], ValueError, "token 99999, and the model knows 0 to"),
    ],
)
def test_what_is_no_prompt(tiny: tuple[Any, Any], prompt: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        one(*tiny, prompt, {"const": 1}, max_tokens=5)


@pytest.mark.parametrize("name", ["smc", "awrs", "rerank", "rejection", "asap", "mcmc"])
def test_named_samplers_tend_to_the_truth(name: Any) -> None:
    world = trap()
    sampler = named_sampler(name, 1500)
    if isinstance(sampler, SuffixMCMC):
        # A chain depends on its beginning; a hundred steps forget it.
        sampler = SuffixMCMC(400, 100)
    elif isinstance(sampler, ExactRejection):
        # Small batches, because one batch learns nothing from itself.
        sampler = ExactRejection(1500, batch=50, max_draws=100_000)
    result = one(world.model, None, None, world.automaton, sampler, max_tokens=4)
    effective = 1 / sum(s.weight**2 for s in result.sequences)
    assert total_variation(result, world.posterior) < bound(world.posterior, effective)


def test_masking_alone_does_not() -> None:
    world = trap()
    result = one(world.model, None, None, world.automaton, particles=1500, max_tokens=4)
    assert "LocallyConstrained(particles=1500)" in result.method
    assert total_variation(result, world.posterior) > 0.5


def test_particles_by_default() -> None:
    world = trap()
    for name, count in [("mask", 1), ("smc", 5), ("asap", 5)]:
        result = one(world.model, None, None, world.automaton, name, max_tokens=4)
        assert len(result.sequences) == count
    with pytest.raises(ValueError, match="leave out particles"):
        one(world.model, None, None, world.automaton, SMC(3), max_tokens=4, particles=3)
    with pytest.raises(ValueError, match=r"no sampler 'smcc'; the names are mask, smc"):
        one(world.model, None, None, world.automaton, "smcc", max_tokens=4)
    with pytest.raises(TypeError, match="the sampler is int"):
        one(world.model, None, None, world.automaton, 7, max_tokens=4)


class Score(BasePotential):
    """Favours texts with few letters."""

    def prefix(self, context: Context) -> float:
        return -0.5 * len(context.data)

    complete = prefix


def test_the_token_sampler_fits_the_constraint() -> None:
    world = World("(a|b)*", 4)
    automaton = as_potential(world.automaton, world.vocabulary)
    other = as_potential(compile_regex("a*b*", world.vocabulary), world.vocabulary)
    predicate, score = Predicate(lambda text: "bb" not in text), Score()
    sampler, critic = token_sampler_for(automaton)
    assert isinstance(sampler, MaskSampler)
    assert (sampler.potential, critic) == (automaton, None)
    sampler, critic = token_sampler_for(automaton, masks=False)
    assert isinstance(sampler, AWRS)
    assert sampler.potential is automaton
    sampler, critic = token_sampler_for(Product(predicate, automaton, score, other))
    assert isinstance(sampler, MaskThenAWRS)
    assert isinstance(sampler.potential, Product)
    assert set(sampler.potential.factors) == {automaton, predicate, other}
    assert critic is score
    sampler, critic = token_sampler_for(Product(predicate, score, score))
    assert isinstance(sampler, AWRS)
    assert sampler.potential is predicate
    assert isinstance(critic, Product)
    assert critic.factors == (score, score)


def test_products_and_scores_change_the_target_as_they_say() -> None:
    world = World("(a|b)*", 4, seed=3)
    constraint = [world.automaton, lambda text: text.count("b") == 1, Score()]
    result = one(world.model, None, None, constraint, SMC(3000), max_tokens=4)

    def mass(tokens: tuple[int, ...]) -> float:
        text = world.vocabulary.decode(tokens[:-1]).decode()
        return world.joint[tokens] * math.exp(-0.5 * len(text)) * (text.count("b") == 1)

    evidence = sum(map(mass, world.joint))
    truth = {tokens: mass(tokens) / evidence for tokens in world.joint if mass(tokens)}
    effective = 1 / sum(s.weight**2 for s in result.sequences)
    # Copies of one particle are no independent samples.
    assert total_variation(result, truth) < bound(truth, effective / 4)
    assert math.exp(result.log_evidence) == pytest.approx(evidence, rel=0.2)
    # A critic joins the scores of the constraint: their product is what counts.
    again = one(world.model, None, None, constraint[:2], SMC(3000), max_tokens=4, critic=Score())
    assert again.posterior() == result.posterior()
    with pytest.raises(ValueError, match="no use for a critic"):
        one(world.model, None, None, constraint, max_tokens=4)
    with pytest.raises(TypeError, match=r"Predicate\(function, boolean=False\)"):
        one(world.model, None, None, world.automaton, "smc", max_tokens=4, critic=len)


def test_another_model_as_a_critic() -> None:
    world = World("(a|b)*", 3, seed=1)
    critic = LanguageModelPotential(world.model)
    result = one(world.model, None, None, world.automaton, SMC(3000), max_tokens=3, critic=critic)
    evidence = sum(p * p for p in world.joint.values())
    assert math.exp(result.log_evidence) == pytest.approx(evidence, rel=0.1)


def test_a_token_sampler_is_taken_as_it_is() -> None:
    world = trap()
    sampler = MaskThenAWRS(world.automaton, Predicate(lambda text: text != "b"), estimator="two_loop")
    result = one(world.model, None, None, sampler, "smc", max_tokens=4, particles=50)
    assert result.posterior() == {"aab": pytest.approx(1)}


# -- what constraints -----------------------------------------------------------------------


def test_kinds_of_constraints_and_their_values(tiny: tuple[Any, Any]) -> None:
    vocabulary = Vocabulary.from_tokenizer(tiny[1])
    automaton = structgen.compile_json_schema(SCHEMA, vocabulary, whitespace="compact")
    small = Predicate(lambda value: sum(value) < 4, on="value")

    def values(constraint: Any, **options: Any) -> list[Any]:
        result = one(*tiny, PROMPT, constraint, "smc", max_tokens=40, particles=8, **options)
        assert any(s.weight for s in result.sequences)
        return [s.value for s in result.sequences if s.weight]

    def conforms(value: Any) -> bool:
        return 1 <= len(value) <= 2 and set(value) <= {1, 2, 3}

    assert all(map(conforms, values(SCHEMA)))
    assert all(map(conforms, values(json.dumps(SCHEMA))))
    assert values(automaton) == [None] * 8
    assert all(map(conforms, values(automaton, parse=json.loads)))
    assert all(conforms(value) and sum(value) < 4 for value in values([automaton, small]))
    assert all(value in (True, False, None) for value in values(bool | None))
    assert set(values(Literal["red", "green"])) <= {"red", "green"}
    assert set(values(compile_regex("[12]", vocabulary), parse=int)) <= {1, 2}
    assert all(len(value) < 9 for value in values([SCHEMA, lambda text: len(text) < 9], parse=str))
    assert values(lambda text: len(text) < 30) != []
    with pytest.raises(TypeError, match="the constraint is float"):
        values(0.5)
    with pytest.raises(structgen.SchemaError):
        values({"type": "arrray"})
    with pytest.raises(NothingSatisfiesError):
        values(Predicate(lambda text: False))


def test_errors_say_what_to_do(tiny: tuple[Any, Any]) -> None:
    with pytest.raises(BudgetError, match="raise max_tokens to at least") as budget:
        one(*tiny, PROMPT, {"const": "x" * 300}, max_tokens=3)
    assert budget.value.needed is not None
    with pytest.raises(AllParticlesDeadError, match="raise max_tokens") as dead:
        one(*tiny, PROMPT, lambda text: len(text) > 500, "smc", max_tokens=3)
    assert len(dead.value.result.deaths) == 5


# -- what prompts ---------------------------------------------------------------------------


def test_kinds_of_prompts(tiny: tuple[Any, Any]) -> None:
    model, tokenizer = tiny
    vocabulary = Vocabulary.from_tokenizer(tokenizer)
    automaton = compile_regex("[a-z]{1,3}", vocabulary)
    ids = tokenizer(PROMPT)["input_ids"]

    def texts(prompt: Any, of: Any = tokenizer) -> dict[str, float]:
        return one(model, of, prompt, automaton, "smc", max_tokens=5).posterior()

    expected = texts(PROMPT)
    assert texts(ids) == texts(torch.tensor(ids)) == texts(torch.tensor([ids])) == expected
    assert texts(tokenizer(PROMPT)) == texts(tokenizer(PROMPT, return_tensors="pt")) == expected
    assert texts(ids, vocabulary) == expected
    assert texts(ids[:-1]) != expected
    padded = {
        "input_ids": torch.tensor([[1, 1, *ids]]),
        "attention_mask": torch.tensor([[0, 0, *[1] * len(ids)]]),
    }
    assert texts(padded) == expected
    with pytest.raises(TypeError, match="Vocabulary does not encode texts"):
        texts(PROMPT, vocabulary)
    with pytest.raises(ValueError, match="begin-of-sequence token"):
        texts("")
    with pytest.raises(ValueError, match="no prompt"):
        texts([])
    with pytest.raises(ValueError, match="has its own vocabulary"):
        one(HuggingFaceModel(model, vocabulary, ids), tokenizer, PROMPT, automaton, max_tokens=5)


@pytest.mark.parametrize("name", ["mask", "smc", "rerank", "asap"])
def test_several_prompts(tiny: tuple[Any, Any], name: Any) -> None:
    prompts = ["a = 1\n", "SELECT name FROM users WHERE"]
    constraint = Predicate(lambda text: len(text) < 20)
    results = several(*tiny, prompts, constraint, name, max_tokens=12, particles=6)
    assert [len(result.sequences) for result in results] == [6, 6]
    ids = [tiny[1](prompt)["input_ids"] for prompt in prompts]
    again = several(*tiny, ids, constraint, name, max_tokens=12, particles=6)
    assert [r.posterior() for r in again] == [r.posterior() for r in results]
    # A list of one prompt is a list of one result.
    assert len(several(*tiny, prompts[:1], constraint, name, max_tokens=12)) == 1


@pytest.mark.parametrize("name", ["mask", "smc", "mcmc"])
def test_prompts_without_survivors_have_results(tiny: tuple[Any, Any], name: Any) -> None:
    results = several(
        *tiny,
        ["{}\n", "[1]\n"],
        Predicate(lambda text: len(text) > 10**6, finished_only=True),
        name,
        max_tokens=2,
    )
    assert [result.log_evidence for result in results] == [-math.inf] * 2
    assert all(death.cause == "length" for result in results for death in result.deaths)


def test_temperature_and_seed(tiny: tuple[Any, Any]) -> None:
    options: dict[str, Any] = {"max_tokens": 3, "particles": 400}
    cold, hot = (one(*tiny, PROMPT, lambda text: True, "smc", temperature=t, **options) for t in (0.3, 1.0))
    assert len(cold.posterior()) < len(hot.posterior())
    same = one(*tiny, PROMPT, lambda text: True, "smc", **options)
    other = one(*tiny, PROMPT, lambda text: True, "smc", seed=1, **options)
    assert same.posterior() == hot.posterior() != other.posterior()


def test_progress_is_shown_unless_it_is_not(
    tiny: tuple[Any, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    one(*tiny, PROMPT, SCHEMA, max_tokens=20)
    assert capsys.readouterr().err == ""
    one(*tiny, PROMPT, SCHEMA, max_tokens=20, progress=True)
    assert "/20" in capsys.readouterr().err
    steps: list[tuple[int, int]] = []
    one(*tiny, PROMPT, SCHEMA, max_tokens=20, progress=lambda done, total: steps.append((done, total)))
    assert steps == [(i + 1, 20) for i in range(len(steps))] != []


def test_importing_structgen_does_not_import_torch() -> None:
    told = "print('torch' in sys.modules)"
    program = f"import sys, structgen; {told}; structgen.generate; {told}"
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert printed.stdout.split() == ["False", "True"]
