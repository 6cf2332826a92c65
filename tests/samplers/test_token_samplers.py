"""Token samplers over batches: what they allow, their weights, their calls."""

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

import structgen
from structgen._errors import PotentialError
from structgen.samplers import (
    AWRS,
    AutomatonPotential,
    BasePotential,
    Context,
    Draw,
    JsonSchemaGuard,
    MaskSampler,
    MaskThenAWRS,
    Potential,
    Predicate,
    Product,
    Proposal,
    TokenSampler,
)
from structgen.samplers._token_samplers import allowed_tokens
from tests.samplers.models import AB, BRACE, CLOSE, END, END2, PAD, VOCABULARY, A, B, context_of

WIDTH = VOCABULARY.logits_size
DRAWS = 20_000
# Hoeffding: a mean of 20,000 numbers in [0, 1] is further off than this with probability 1e-9.
BOUND = math.sqrt(math.log(2 / 1e-9) / (2 * DRAWS))


def automaton() -> structgen.TokenAutomaton:
    return structgen.compile_regex(r"(ab?)*\[?", VOCABULARY)


def guard() -> Potential:
    return Predicate(lambda text: "ba" not in text and len(text) < 4)


def logprobs_of(seed: int, rows: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(rows, WIDTH, dtype=torch.float64, generator=generator)
    logits[:, len(VOCABULARY) :] = -math.inf
    return logits.log_softmax(dim=-1)


def allowed_by(potential: Potential, context: Context) -> list[bool]:
    """What the definition says, token by token."""
    found = []
    for token in range(WIDTH):
        if token >= len(VOCABULARY):
            found.append(False)
        elif token in VOCABULARY.eos_token_ids:
            found.append(potential.complete(context) > -math.inf)
        else:
            found.append(potential.prefix(context.extend(token)) > -math.inf)
    return found


SAMPLERS: dict[str, Callable[[], TokenSampler]] = {
    "mask": lambda: MaskSampler(automaton()),
    "mask of a session": lambda: MaskSampler(automaton().session()),
    "automaton": lambda: AWRS(AutomatonPotential(automaton())),
    "two loops": lambda: AWRS(AutomatonPotential(automaton()), estimator="two_loop", max_rejects=3),
    "geometric": lambda: AWRS(guard(), estimator="geometric", max_accepts=3),
    "product": lambda: AWRS(AutomatonPotential(automaton()) * guard()),
    "mask, then guard": lambda: MaskThenAWRS(automaton(), guard()),
    "mask, then guard, limited": lambda: MaskThenAWRS(automaton(), guard(), max_rejects=1),
    "warm": lambda: Proposal(AWRS(guard()), temperature=1.5),
    "cool": lambda: Proposal(MaskThenAWRS(automaton(), guard()), temperature=0.8),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_mean_weights_are_the_probabilities(name: str) -> None:
    sampler = SAMPLERS[name]()
    assert isinstance(sampler, TokenSampler)
    context = context_of(A, B) if name != "two loops" else context_of(AB, A)
    logprobs = logprobs_of(3)
    draws = sampler.draw([context] * DRAWS, logprobs.expand(DRAWS, -1), torch.Generator().manual_seed(0))
    means = np.zeros(WIDTH)
    for draw in draws:
        means[draw.token] += math.exp(draw.log_weight) / DRAWS
    inside = allowed_by(sampler.potential, context)
    assert 0 < sum(inside) < len(VOCABULARY)
    # The inner sampler's weights lie in [0, 1]; a proposal's are p / q times as much.
    row = logprobs[0, : len(VOCABULARY)]
    temperature = getattr(sampler, "temperature", 1.0)
    largest = float((row - (row / temperature).log_softmax(dim=0)).exp().max())
    for token, p in enumerate(logprobs[0].exp().tolist()):
        assert abs(means[token] - (p if inside[token] else 0)) < BOUND * max(largest, 1)


def test_weights_of_masks_are_exact() -> None:
    contexts = [context_of(), context_of(A), context_of(AB, BRACE), context_of(B)]
    logprobs = logprobs_of(1, 4)
    sampler = MaskSampler(automaton())
    for context, row, draw in zip(contexts, logprobs, sampler.draw(contexts, logprobs), strict=True):
        inside = torch.tensor(allowed_by(sampler.potential, context))
        if inside.any():
            assert inside[draw.token]
            assert draw.log_weight == pytest.approx(float(row[inside].logsumexp(0)), rel=1e-12)
        else:
            assert draw == Draw(-1, -math.inf, 0)
        assert draw.calls == 0
    assert context.tokens == (B,)


@pytest.mark.parametrize("name", SAMPLERS)
def test_nothing_is_allowed_after_a_dead_text(name: str) -> None:
    sampler = SAMPLERS[name]()
    contexts = [context_of(B, A), context_of(A)]
    dead, alive = sampler.draw(contexts, logprobs_of(2, 2), torch.Generator().manual_seed(1))
    assert dead.log_weight == -math.inf
    if name != "two loops" and not name.endswith("limited"):
        assert alive.log_weight > -math.inf


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_batches_of_any_size_leave_the_log_probabilities(name: str, dtype: torch.dtype) -> None:
    sampler = SAMPLERS[name]()
    for rows in (0, 1, 3):
        logprobs = logprobs_of(5, rows).to(dtype)
        before = logprobs.clone()
        contexts = [context_of() for _ in range(rows)]
        first = sampler.draw(contexts, logprobs, torch.Generator().manual_seed(2))
        assert first == sampler.draw(contexts, logprobs, torch.Generator().manual_seed(2))
        assert len(first) == rows
        assert torch.equal(before, logprobs)
        assert logprobs.dtype == dtype
    with pytest.raises(ValueError, match=r"shape \(2, V\) for 2 contexts"):
        sampler.draw([context_of()] * 2, logprobs_of(1), None)


class Recording(BasePotential):
    """Everything may follow, and nothing may end."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, tuple[int, ...]]] = []

    def prefix(self, context: Context) -> float:
        self.seen.append(("prefix", context.tokens))
        return -math.inf

    def complete(self, context: Context) -> float:
        self.seen.append(("complete", context.tokens))
        return -math.inf


def test_end_tokens_are_judged_by_complete_and_others_by_prefix() -> None:
    potential = Recording()
    context = context_of(A)
    (draw,) = AWRS(potential).draw([context], torch.full((1, WIDTH), -math.log(WIDTH)))
    asked = [("prefix", (A, t)) for t in range(len(VOCABULARY)) if t not in (END, END2)]
    assert sorted(potential.seen) == sorted([*asked, ("complete", (A,)), ("complete", (A,))])
    # Padding of the logits is refused unasked, yet it is a call of the predicate.
    assert draw.calls == WIDTH


@pytest.mark.parametrize("tokens", [(), (A,), (AB, BRACE), (B,)])
def test_steps_of_an_automaton_are_its_scores(tokens: tuple[int, ...]) -> None:
    potential = AutomatonPotential(automaton())
    context = context_of(*tokens)
    for judged in (potential, Product(potential)):
        allowed = allowed_tokens(judged, context)
        assert [allowed(t) for t in range(WIDTH)] == allowed_by(potential, context)


def test_a_guard_is_asked_about_tokens_of_the_mask_alone() -> None:
    asked = []

    def note(text: str) -> bool:
        asked.append(text)
        return False

    sampler = MaskThenAWRS(automaton(), Predicate(note))
    (draw,) = sampler.draw([context_of(A)], logprobs_of(0))
    assert sorted(asked) == sorted(["a", "aa", "aab", "ab", "a["])
    # Both end tokens may follow; their answer is the same.
    assert (draw.calls, draw.log_weight) == (6, -math.inf)


def test_json_schema_with_a_guard() -> None:
    schema = {"type": "array", "items": {"enum": ["a", "b"]}, "uniqueItems": True}
    sampler = MaskThenAWRS(
        structgen.compile_regex(r"\[\]|\[\"(a|b)+\"\]", VOCABULARY), JsonSchemaGuard(schema)
    )
    contexts = [context_of(BRACE, CLOSE), context_of(BRACE, 6, AB, 6, CLOSE)]
    good, bad = sampler.draw(contexts, logprobs_of(0, 2), torch.Generator().manual_seed(0))
    assert good.token in (END, END2)
    assert good.log_weight == pytest.approx(float(logprobs_of(0, 2)[0, [END, END2]].logsumexp(0)))
    assert bad.log_weight == -math.inf


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_scores_that_are_no_numbers(wrong: float) -> None:
    class Wrong(Recording):
        def prefix(self, context: Context) -> float:
            return wrong

        complete = prefix

    with pytest.raises(PotentialError, match="the log score is"):
        AWRS(Wrong()).draw([context_of()], logprobs_of(0))


# -- proposals ------------------------------------------------------------------------------


def transformers_warpers(
    logits: Tensor, temperature: float, top_k: int | None, top_p: float | None
) -> Tensor:
    from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    ids = torch.zeros((len(logits), 1), dtype=torch.long)
    warpers = [TemperatureLogitsWarper(temperature)] if temperature != 1 else []
    warpers += [TopKLogitsWarper(top_k)] if top_k else []
    warpers += [TopPLogitsWarper(top_p)] if top_p else []
    for warper in warpers:
        logits = warper(ids, logits)
    return logits.log_softmax(dim=-1)


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p"),
    list(itertools.product([1.0, 0.7, 2.0], [None, 1, 3, 50], [None, 1e-9, 0.5, 0.9])),
)
def test_proposals_are_those_of_transformers(
    temperature: float, top_k: int | None, top_p: float | None
) -> None:
    class Spy:
        potential = Product()

        def draw(
            self, contexts: Sequence[Context], logprobs: Tensor, generator: torch.Generator | None
        ) -> list[Draw]:
            self.seen = logprobs
            return [Draw(int(row.argmax()), -0.5, 7) for row in logprobs]

    spy = Spy()
    logprobs = logprobs_of(8, 4)
    sampler = Proposal(spy, temperature=temperature, top_k=top_k, top_p=top_p)
    draws = sampler.draw([context_of()] * 4, logprobs, None)
    expected = transformers_warpers(logprobs, temperature, top_k, top_p)
    assert torch.allclose(spy.seen, expected, rtol=1e-12)
    for draw, p, q in zip(draws, logprobs, expected, strict=True):
        token = int(q.argmax())
        assert (draw.token, draw.calls) == (token, 7)
        assert draw.log_weight == pytest.approx(float(p[token] - q[token]) - 0.5)


def test_what_a_proposal_cuts_off_has_weight_zero() -> None:
    logprobs = logprobs_of(4)
    sampler = Proposal(MaskSampler(automaton()), top_k=4)
    kept = set(logprobs[0].topk(4).indices.tolist())
    inside = {t for t, allowed in enumerate(allowed_by(sampler.potential, context_of())) if allowed}
    assert kept & inside < inside
    draws = sampler.draw([context_of()] * DRAWS, logprobs.expand(DRAWS, -1), torch.Generator().manual_seed(0))
    means = np.zeros(WIDTH)
    for draw in draws:
        means[draw.token] += math.exp(draw.log_weight) / DRAWS
    for token, p in enumerate(logprobs[0].exp().tolist()):
        assert abs(means[token] - (p if token in kept & inside else 0)) < BOUND


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0.0},
        {"temperature": math.inf},
        {"temperature": math.nan},
        {"top_k": 0},
        {"top_p": 0.0},
        {"top_p": 1.1},
    ],
    ids=str,
)
def test_options_out_of_range(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"it must be|outside"):
        Proposal(MaskSampler(automaton()), **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="estimator is 'other'"):
        AWRS(guard(), estimator="other")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_rejects is 0"):
        MaskThenAWRS(automaton(), guard(), max_rejects=0)


def test_special_tokens_follow_the_potential() -> None:
    (allowed,) = [allowed_by(AutomatonPotential(automaton()), context_of())]
    assert not allowed[PAD]
