"""Sequential Monte Carlo through ``model.generate``."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, LogitsProcessor, set_seed
from transformers.generation import GenerateDecoderOnlyOutput, TopKLogitsWarper

from structgen import AllParticlesDeadError, BudgetError, TokenAutomaton, Vocabulary, compile_regex
from structgen.hf import AutomatonLogitsProcessor, SMCDecoderOnlyOutput, smc
from structgen.samplers import SMC, HuggingFaceModel, MaskSampler, Predicate
from tests.hf.small import END, PAD, VOCABULARY, A, B, small_model

PROMPTS = [[1, 2, 5, 4], [2, 1]]
IDS = torch.tensor([PROMPTS[0], [PAD, PAD, *PROMPTS[1]]])
MASK = torch.tensor([[1, 1, 1, 1], [0, 0, 1, 1]])
ONE = torch.tensor([PROMPTS[0]])


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    return small_model()


@pytest.fixture(scope="module")
def automaton() -> TokenAutomaton:
    return compile_regex("[ab]*b", VOCABULARY)


def truth(
    model: Any,
    prompt: Sequence[int],
    max_tokens: int,
    temperature: float = 1.0,
    top_k: int = 6,
    top_p: float = 1.0,
    bias: Sequence[float] = (0.0,) * 6,
) -> dict[tuple[int, ...], float]:
    """Return the model's probability of every sequence that conforms, by plain forward passes."""
    found = {}
    for length in range(1, max_tokens):
        for text in itertools.product([A, B], repeat=length):
            if text[-1] != B:
                continue
            with torch.no_grad():
                logits = model(torch.tensor([[*prompt, *text]])).logits[0, len(prompt) - 1 :, :6].double()
            p = ((logits + torch.tensor(bias)) / temperature).softmax(-1)
            for row in p:
                order = row.argsort(descending=True)
                row[order[top_k:]] = 0.0
                row /= row.sum()
                falling = row[order]
                # What comes before a token that is kept has not the probability yet.
                row[order[falling.cumsum(0) - falling >= top_p]] = 0.0
                row /= row.sum()
            found[(*text, END)] = math.prod(p[i, t].item() for i, t in enumerate((*text, END)))
    return found


def distance(
    output: SMCDecoderOnlyOutput, rows: slice, width: int, joint: dict[tuple[int, ...], float]
) -> float:
    """Return the total variation between weighted rows and the truth."""
    assert output.log_weights is not None
    weights = output.log_weights[rows].softmax(0).tolist()
    found: dict[tuple[int, ...], float] = {}
    for row, weight in zip(output.sequences[rows, width:].tolist(), weights, strict=True):
        tokens = tuple(row[: row.index(END) + 1]) if weight else ()
        assert set(row[len(tokens) :]) <= {PAD} or not weight
        found[tokens] = found.get(tokens, 0.0) + weight
    total = sum(joint.values())
    return sum(abs(found.get(t, 0.0) - joint.get(t, 0.0) / total) for t in {*found, *joint}) / 2


@pytest.mark.parametrize("cache", ["dynamic", "static", "none"])
def test_weighted_rows_are_the_model_given_the_constraint(
    model: LlamaForCausalLM, automaton: TokenAutomaton, cache: str
) -> None:
    options: dict[str, Any] = {"use_cache": False} if cache == "none" else {"cache_implementation": cache}
    output = model.generate(
        IDS,
        attention_mask=MASK,
        custom_generate=smc(automaton, seed=0),
        do_sample=True,
        num_return_sequences=2000,
        max_new_tokens=4,
        return_dict_in_generate=True,
        **options,
    )
    assert isinstance(output, SMCDecoderOnlyOutput)
    assert isinstance(output, GenerateDecoderOnlyOutput)
    assert output.log_weights is not None
    assert output.log_evidence is not None
    assert output.ess is not None
    assert output.results is not None
    assert output.sequences.shape == (4000, 8)
    assert torch.equal(output.sequences[:, :4], IDS.repeat_interleave(2000, 0))
    for i, prompt in enumerate(PROMPTS):
        joint = truth(model, prompt, 4)
        rows = slice(2000 * i, 2000 * (i + 1))
        assert distance(output, rows, 4, joint) < 0.06
        evidence = math.exp(output.log_evidence[i].item())
        assert evidence == pytest.approx(sum(joint.values()), rel=0.15)
        mean = output.log_weights[rows].logsumexp(0).item() - math.log(2000)
        assert mean == pytest.approx(output.log_evidence[i].item())
        assert output.results[i].seed == 0
        assert len(output.ess[i]) == len(output.results[i].tokens) <= 4
    # The prompts matter.
    assert distance(output, slice(2000), 4, truth(model, PROMPTS[1], 4)) > 0.1


CASES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"do_sample": True, "temperature": 0.5}, {"temperature": 0.5}),
    ({"temperature": 0.5}, {"temperature": 0.5}),
    ({"do_sample": True, "temperature": 2.0}, {"temperature": 2.0}),
    ({"do_sample": True, "top_k": 2}, {"top_k": 2}),
    ({"top_k": 2}, {"top_k": 2}),
    ({"do_sample": True, "top_k": 3, "top_p": 0.8}, {"top_k": 3, "top_p": 0.8}),
    ({"top_p": 0.7, "temperature": 0.8}, {"top_p": 0.7, "temperature": 0.8}),
    (
        {"generation_config": GenerationConfig(do_sample=True, top_k=2, pad_token_id=PAD, max_new_tokens=4)},
        {"top_k": 2},
    ),
    ({"sequence_bias": {(B,): 1.5}}, {"bias": (0.0, 0.0, 1.5, 0.0, 0.0, 0.0)}),
]


@pytest.mark.parametrize(("options", "meant"), CASES, ids=str)
@pytest.mark.filterwarnings("ignore:.*do_sample")
def test_what_shapes_the_model_counts(
    model: LlamaForCausalLM, automaton: TokenAutomaton, options: dict[str, Any], meant: dict[str, Any]
) -> None:
    rest = {} if "generation_config" in options else {"max_new_tokens": 4}
    output = model.generate(
        ONE,
        custom_generate=smc(automaton, particles=3000, seed=1),
        return_dict_in_generate=True,
        **rest,
        **options,
    )
    (result,) = output.results
    joint, plain = truth(model, PROMPTS[0], 4, **meant), truth(model, PROMPTS[0], 4)
    total = sum(joint.values())
    found: dict[tuple[int, ...], float] = {}
    for sequence in result.sequences:
        found[sequence.tokens] = found.get(sequence.tokens, 0.0) + sequence.weight
    assert sum(abs(found.get(t, 0.0) - p / total) for t, p in joint.items()) / 2 < 0.04
    assert math.exp(result.log_evidence) == pytest.approx(total, rel=0.05)
    # Without it, all would be otherwise.
    shift = sum(abs(plain[t] / sum(plain.values()) - p / total) for t, p in joint.items()) / 2
    assert shift > 0.1 or abs(math.log(total / sum(plain.values()))) > 0.1


def test_the_default_top_k_does_not_count() -> None:
    vocabulary = Vocabulary([b"", *(b"x%d" % i for i in range(99))], eos_token_ids=0)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=100,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        eos_token_id=0,
    )
    model = LlamaForCausalLM(config).eval()
    logits = model(torch.tensor([[5]])).logits[0, -1]
    unlikely = int(logits[1:].argmin())  # token 0 is the end
    automaton = compile_regex(f"x{unlikely}", vocabulary)

    def evidence(**options: Any) -> float:
        method = smc(automaton, particles=4, seed=0, on_dead="mark")
        options = {"do_sample": True, "return_dict_in_generate": True, "pad_token_id": 0, **options}
        output = model.generate(torch.tensor([[5]]), custom_generate=method, max_new_tokens=2, **options)
        return math.exp(output.log_evidence.item())

    assert evidence() > 0
    assert evidence(do_sample=False) == evidence()
    assert evidence(top_k=0) == evidence()
    assert evidence(top_k=50) == 0
    assert evidence(do_sample=False, top_k=50) == 0
    assert evidence(logits_processor=[TopKLogitsWarper(50)]) == 0
    try:
        model.generation_config.top_k = 30
        assert evidence() > 0
    finally:
        model.generation_config.top_k = None


def test_rows_that_are_fewer_than_the_particles_are_draws(
    model: LlamaForCausalLM, automaton: TokenAutomaton
) -> None:
    joint = truth(model, PROMPTS[0], 4)
    total = sum(joint.values())
    output = model.generate(
        IDS,
        attention_mask=MASK,
        custom_generate=smc(automaton, particles=2000, seed=3),
        do_sample=True,
        num_return_sequences=500,
        max_new_tokens=4,
        return_dict_in_generate=True,
    )
    assert output.sequences.shape[0] == 1000
    assert output.log_weights.tolist() == [w for w in output.log_evidence.tolist() for _ in range(500)]
    assert distance(output, slice(500), 4, joint) < 0.1
    assert math.exp(output.log_evidence[0]) == pytest.approx(total, rel=0.1)
    single = model.generate(ONE, custom_generate=smc(automaton, seed=3), max_new_tokens=4)
    assert isinstance(single, torch.Tensor)
    assert tuple(single[0, 4 : single[0].tolist().index(END) + 1].tolist()) in joint


def test_it_equals_the_sampler_itself(model: LlamaForCausalLM, automaton: TokenAutomaton) -> None:
    output = model.generate(
        ONE,
        custom_generate=smc(automaton, particles=20, seed=5),
        max_new_tokens=6,
        return_dict_in_generate=True,
    )
    own = HuggingFaceModel(model, VOCABULARY, PROMPTS[0])
    generator = torch.Generator().manual_seed(5)
    expected = SMC(20).run(own, MaskSampler(automaton), max_tokens=6, generator=generator)
    (result,) = output.results
    assert [s.tokens for s in result.sequences] == [s.tokens for s in expected.sequences]
    assert result.log_evidence == pytest.approx(expected.log_evidence, abs=1e-4)


def test_seeds(model: LlamaForCausalLM, automaton: TokenAutomaton) -> None:
    def run(seed: int | None, of_torch: int) -> list[list[int]]:
        set_seed(of_torch)
        options: dict[str, Any] = {"do_sample": True, "num_return_sequences": 20, "max_new_tokens": 8}
        return model.generate(ONE, custom_generate=smc(automaton, seed=seed), **options).tolist()

    assert run(1, 0) == run(1, 1) != run(2, 0)
    assert run(None, 0) == run(None, 0) != run(None, 1)


def test_constraints_of_other_kinds(model: LlamaForCausalLM, automaton: TokenAutomaton) -> None:
    options: dict[str, Any] = {"max_new_tokens": 5, "return_dict_in_generate": True}
    no_aa = Predicate(lambda text: "aa" not in text)
    output = model.generate(ONE, custom_generate=smc([automaton, no_aa], particles=50, seed=0), **options)
    texts = set(output.results[0].posterior())
    assert texts
    assert all(text.endswith("b") and "aa" not in text for text in texts)
    method = smc(lambda text: text == "ab", vocabulary=VOCABULARY, particles=4000, seed=0)
    output = model.generate(ONE, custom_generate=method, **options)
    assert set(output.results[0].posterior()) == {"ab"}
    with pytest.raises(ValueError, match="pass vocabulary=tokenizer"):
        smc(lambda text: True)
    with pytest.raises(ValueError, match="ess_threshold"):
        smc(automaton, ess_threshold=2)
    with pytest.raises(ValueError, match="on_dead"):
        smc(automaton, on_dead="ignore")  # type: ignore[arg-type]


def test_other_processors_join_in(model: LlamaForCausalLM, automaton: TokenAutomaton) -> None:
    class NoA(LogitsProcessor):  # type: ignore[misc]
        def __call__(self, input_ids: torch.LongTensor, scores: torch.Tensor) -> torch.Tensor:
            assert len(input_ids) == len(scores)
            scores = scores.clone()
            # It sees what was generated, whatever rows were dropped.
            scores[:, A] = torch.where(input_ids[:, -1] == B, -math.inf, scores[:, A])
            return scores

    processors = [NoA(), AutomatonLogitsProcessor(compile_regex("[ab]{3}", VOCABULARY))]
    output = model.generate(
        torch.tensor([[1, 1]]),
        custom_generate=smc(automaton, particles=60, seed=0),
        logits_processor=processors,
        max_new_tokens=6,
        return_dict_in_generate=True,
    )
    assert set(output.results[0].posterior()) <= {"aab", "abb", "bbb"}


def test_all_dead(model: LlamaForCausalLM) -> None:
    never = Predicate(lambda text: text == "cccccccc", finished_only=True)
    options: dict[str, Any] = {
        "attention_mask": MASK,
        "do_sample": True,
        "num_return_sequences": 3,
        "max_new_tokens": 3,
    }
    with pytest.raises(AllParticlesDeadError, match="raise max_tokens"):
        model.generate(IDS, custom_generate=smc(never, vocabulary=VOCABULARY), **options)
    marked = model.generate(
        IDS,
        custom_generate=smc(never, vocabulary=VOCABULARY, on_dead="mark"),
        return_dict_in_generate=True,
        **options,
    )
    assert marked.log_weights.tolist() == [-math.inf] * 6
    assert not (marked.sequences[:, 4:] == END).any()
    long = compile_regex("a{9}", VOCABULARY)
    with pytest.raises(BudgetError, match="max_tokens=3 is too small"):
        model.generate(IDS, custom_generate=smc(long), **options)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"num_beams": 2}, "num_beams=2"),
    ({"max_time": 5.0}, "MaxTimeCriteria"),
    ({"output_scores": True, "return_dict_in_generate": True}, "output_scores"),
    ({"eos_token_id": 4}, r"ends at \[4\], but the constraint's vocabulary at \[0\]"),
]


@pytest.mark.parametrize(("options", "told"), REFUSED, ids=lambda value: str(value)[:20])
def test_what_has_no_meaning_is_refused(
    model: LlamaForCausalLM, automaton: TokenAutomaton, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        model.generate(ONE, custom_generate=smc(automaton), max_new_tokens=4, **options)


def test_a_second_end_token_of_the_model_is_padding_no_more(
    model: LlamaForCausalLM, automaton: TokenAutomaton
) -> None:
    method = smc(automaton, seed=0, particles=10)
    output = model.generate(
        ONE, custom_generate=method, max_new_tokens=4, eos_token_id=[4, END], pad_token_id=5
    )
    row = output[0, 4:].tolist()
    assert row[row.index(END) + 1 :] == [5] * (len(row) - row.index(END) - 1)


# -- forced tokens ---------------------------------------------------------------------------

FORCED = "cd(a|ba)cd(b|)"
FORCED_TEXTS = ["cdacd", "cdacdb", "cdbacd", "cdbacdb"]
LETTERS = {"a": A, "b": B, "c": 4, "d": 5}


def weight_of(
    model: Any, prompt: Sequence[int], tokens: Sequence[int], temperature: float, top_p: float
) -> float:
    """Return the product of the probabilities of what is allowed, by plain forward passes."""
    texts = [(*(LETTERS[letter] for letter in text), END) for text in FORCED_TEXTS]
    weight = 1.0
    for i in range(len(tokens)):
        with torch.no_grad():
            logits = model(torch.tensor([[*prompt, *tokens[:i]]])).logits[0, -1, :6].double()
        p = (logits / temperature).softmax(-1)
        order = p.argsort(descending=True)
        falling = p[order]
        p[order[falling.cumsum(0) - falling >= top_p]] = 0.0
        allowed = sorted({text[i] for text in texts if text[:i] == tuple(tokens[:i])})
        weight *= float(p[allowed].sum() / p.sum())
    return weight


@pytest.mark.parametrize("options", [{}, {"use_cache": False}, {"temperature": 2.0, "top_p": 0.98}], ids=str)
@pytest.mark.filterwarnings("ignore:.*do_sample")
def test_forced_tokens_take_no_pass_of_their_own_and_weigh_the_same(
    model: LlamaForCausalLM, options: dict[str, Any]
) -> None:
    automaton = compile_regex(FORCED, VOCABULARY)
    passes = 0

    def count(*_: object) -> None:
        nonlocal passes
        passes += 1

    hook = model.register_forward_hook(count)
    counts = []
    for forced in (None, "single"):
        passes = 0
        method = smc(automaton, ess_threshold=0.0, seed=0, on_dead="mark", forced=forced)  # type: ignore[arg-type]
        output = model.generate(
            IDS,
            attention_mask=MASK,
            custom_generate=method,
            do_sample=True,
            num_return_sequences=30,
            max_new_tokens=9,
            return_dict_in_generate=True,
            **options,
        )
        counts.append(passes)
        for i, prompt in enumerate(PROMPTS):
            seen = set()
            for sequence in output.results[i].sequences:
                if sequence.log_weight == -math.inf:
                    assert "top_p" in options
                    continue
                wanted = weight_of(
                    model, prompt, sequence.tokens, options.get("temperature", 1.0), options.get("top_p", 1.0)
                )
                assert math.exp(sequence.log_weight) == pytest.approx(wanted, rel=1e-3)
                seen.add(sequence.text)
            assert seen <= set(FORCED_TEXTS)
            assert len(seen) > 1 or "top_p" in options
    hook.remove()
    assert counts[1] < 0.6 * counts[0]


def test_a_seed_means_the_same_with_forced_tokens(model: LlamaForCausalLM) -> None:
    automaton = compile_regex(FORCED, VOCABULARY)
    seen = set()
    for seed in range(12):
        texts, evidence = [], []
        for forced in (None, "single"):
            method = smc(automaton, particles=1, seed=seed, forced=forced)  # type: ignore[arg-type]
            output = model.generate(
                ONE, custom_generate=method, max_new_tokens=9, return_dict_in_generate=True
            )
            texts.append(output.results[0].sequences[0].text)
            evidence.append(output.results[0].log_evidence)
        assert texts[0] == texts[1]
        assert evidence[0] == pytest.approx(evidence[1], abs=1e-4)
        seen.add(texts[0])
    assert len(seen) > 1


def test_what_forced_tokens_do_not_go_with_is_refused(model: LlamaForCausalLM) -> None:
    method = smc(compile_regex(FORCED, VOCABULARY), forced="single", seed=0)
    options: dict[str, Any] = {"custom_generate": method, "max_new_tokens": 9}
    with pytest.raises(ValueError, match="RepetitionPenaltyLogitsProcessor may look at the tokens before"):
        model.generate(ONE, repetition_penalty=1.5, **options)
    with pytest.raises(ValueError, match="cache of fixed size"):
        model.generate(ONE, cache_implementation="static", **options)
    with pytest.raises(ValueError, match="would change the distribution"):
        smc(compile_regex(FORCED, VOCABULARY), forced="canonical")  # type: ignore[arg-type]
