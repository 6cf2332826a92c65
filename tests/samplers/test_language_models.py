"""Rows of a batch with their cache against a plain forward pass over each whole text."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    DynamicCache,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)

from structgen import Vocabulary, compile_regex
from structgen.samplers import (
    SMC,
    AutomatonPotential,
    HuggingFaceModel,
    LanguageModel,
    MaskSampler,
    Rows,
    SuffixMCMC,
    TableModel,
)
from structgen.testing import tiny_model
from tests.samplers.worlds import bound, total_variation
from tests.samplers.worlds import vocabulary as small_vocabulary

PADDED = 16
PROMPT = [3, 4, 5]


def words() -> Vocabulary:
    """Return an end token and eleven letters, of which the model has five logits more."""
    return Vocabulary([b"", *(bytes([97 + i]) for i in range(11))], eos_token_ids=0, logits_size=PADDED)


def build(kind: str) -> Any:
    torch.manual_seed(0)
    sizes = {"vocab_size": PADDED, "eos_token_id": 0, "bos_token_id": 1, "pad_token_id": 0}
    if kind == "gpt2":
        model: Any = GPT2LMHeadModel(GPT2Config(n_positions=64, n_embd=16, n_layer=2, n_head=2, **sizes))
    else:
        shape = {
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "max_position_embeddings": 64,
        }
        if kind == "llama":
            model = LlamaForCausalLM(LlamaConfig(**shape, **sizes))
        else:
            # A window that the texts are longer than.
            config = MistralConfig(**shape, **sizes, num_key_value_heads=2, sliding_window=5)
            model = MistralForCausalLM(config)
    for parameter in model.parameters():
        parameter.data.mul_(4)
    return model.eval()


def plain(
    model: Any, texts: Sequence[Sequence[int]], temperature: float, prompt: Sequence[int] = PROMPT
) -> Tensor:
    """Return the log-probabilities after each text by a forward pass over it alone, without cache."""
    rows = []
    for text in texts:
        with torch.no_grad():
            logits = model(torch.tensor([[*prompt, *text]]), use_cache=False).logits[0, -1]
        rows.append((logits[: len(words())] / temperature).log_softmax(-1))
    return torch.stack(rows)


@pytest.mark.parametrize("cache", ["dynamic", "static", "own"])
@pytest.mark.parametrize("kind", ["llama", "gpt2", "sliding"])
def test_rows_with_a_cache_equal_plain_forward_passes(kind: str, cache: str) -> None:
    model = build(kind)
    own = lambda length: DynamicCache(config=model.config)  # noqa: E731
    language_model = HuggingFaceModel(
        model, words(), PROMPT, temperature=0.7, cache=own if cache == "own" else cache
    )
    assert isinstance(language_model, LanguageModel)
    # Twice: the prompt's cache is read once, and must be left as it is.
    for _ in range(2):
        rows = language_model.begin(4, max_tokens=8)
        texts: list[list[int]] = [[] for _ in range(4)]
        check(rows, model, texts)
        steps: list[tuple[list[int] | None, list[int]]] = [
            (None, [1, 2, 3, 4]),
            ([3, 3, 0, 1], [5, 6, 7, 8]),
            ([2, 1], [9, 10]),
            ([0, 1, 0, 0], [4, 5, 6, 7]),
            ([3], [2]),
            ([0, 0, 0], [1, 2, 1]),
        ]
        for index, tokens in steps:
            if index is not None:
                rows.select(index)
                texts = [list(texts[i]) for i in index]
                check(rows, model, texts)
            rows.append(tokens)
            texts = [[*text, token] for text, token in zip(texts, tokens, strict=True)]
            check(rows, model, texts)
        # The texts differ in what the model says of them, or rows could be mixed up unnoticed.
        assert (rows.logprobs()[0] - rows.logprobs()[1]).abs().max() > 0.01


def check(rows: Rows, model: Any, texts: Sequence[Sequence[int]]) -> None:
    assert len(rows) == len(texts)
    found = rows.logprobs()
    assert found.dtype == torch.float32
    assert torch.allclose(found, plain(model, texts, 0.7), atol=1e-5)
    assert found.logsumexp(1).abs().max() < 1e-5


PROMPTS = [[3, 4, 5], [7], [2, 9, 9, 1, 6]]


@pytest.mark.parametrize("cache", ["dynamic", "static"])
@pytest.mark.parametrize("kind", ["llama", "gpt2", "sliding"])
@pytest.mark.parametrize("prompts", [PROMPTS, [[1, 2], [3, 4]]], ids=["unequal", "equal"])
def test_several_prompts_are_rows_of_one_batch(kind: str, cache: str, prompts: list[list[int]]) -> None:
    model = build(kind)
    rows = HuggingFaceModel(model, words(), prompts, cache=cache).begin(2, max_tokens=6)
    texts = [prompt for prompt in prompts for _ in range(2)]

    def check_texts() -> None:
        assert len(rows) == len(texts)
        expected = torch.cat([plain(model, [[]], 1.0, text) for text in texts])
        assert torch.allclose(rows.logprobs(), expected, atol=1e-5)

    check_texts()
    tokens = [4, 8, 2, 1, 10, 5]
    for index in (range(len(texts)), [1, 1, 3, 2], [0, 3, 3], [2, 1, 0, 0]):
        rows.select(index)
        texts = [texts[i] for i in index]
        check_texts()
        rows.append(tokens[: len(texts)])
        texts = [[*text, token] for text, token in zip(texts, tokens, strict=False)]
        check_texts()


def test_smc_after_several_prompts_is_right_for_each() -> None:
    vocabulary = Vocabulary([b"", b"a", b"b"], eos_token_ids=0, logits_size=PADDED)
    model = build("llama")
    language_model = HuggingFaceModel(model, vocabulary, PROMPTS)
    masks = MaskSampler(compile_regex("(a|b){1,2}", vocabulary))
    sampler = SMC(1500, 1.0)
    results = sampler.run_prompts(language_model, masks, max_tokens=3, seed=20)
    assert len(results) == len(PROMPTS)
    posteriors = []
    for prompt, result in zip(PROMPTS, results, strict=True):
        joint = {}
        for text in [[1], [2], [1, 1], [1, 2], [2, 1], [2, 2]]:
            tokens = (*text, 0)
            # Other letters are cut off, and what is left is normalised.
            steps = [plain(model, [text[:i]], 1.0, prompt)[0, :3].log_softmax(0) for i in range(len(tokens))]
            joint[tokens] = math.exp(sum(step[t].item() for step, t in zip(steps, tokens, strict=True)))
        total = sum(joint.values())
        posteriors.append({tokens: p / total for tokens, p in joint.items()})
        assert total_variation(result, posteriors[-1]) < bound(posteriors[-1], 1500)
        assert math.exp(result.log_evidence) == pytest.approx(total, rel=0.1)
        for sequence in result.sequences[:50]:
            if sequence.finished:
                assert math.exp(sequence.log_probability) == pytest.approx(joint[sequence.tokens], rel=1e-3)
        assert all(0 <= ancestor < 1500 for step in result.ancestors for ancestor in step)
    assert any(result.resampled for result in results)
    # The prompts matter, or they could be mixed up unnoticed.
    assert total_variation(results[0], posteriors[1]) > 2 * bound(posteriors[1], 1500)
    assert total_variation(results[1], posteriors[2]) > 2 * bound(posteriors[2], 1500)
    again = sampler.run_prompts(language_model, masks, max_tokens=3, seed=20)
    assert [r.sequences for r in again] == [r.sequences for r in results]
    with pytest.raises(ValueError, match=r"several prompts.*run_prompts"):
        sampler.run(language_model, masks, max_tokens=3, seed=0)


def test_a_prompt_without_survivors_does_not_spoil_the_others() -> None:
    vocabulary = Vocabulary([b"", b"a", b"b"], eos_token_ids=0)

    class TwoRows:
        """After the second prompt the model never says b."""

        def __init__(self, rows: int) -> None:
            self._prompts = torch.arange(2).repeat_interleave(rows)

        def __len__(self) -> int:
            return len(self._prompts)

        def logprobs(self) -> Tensor:
            return torch.tensor([[0.5, 0.25, 0.25], [0.5, 0.5, 0.0]]).log()[self._prompts]

        def append(self, tokens: Sequence[int]) -> None:
            assert len(tokens) == len(self)

        def select(self, index: Sequence[int]) -> None:
            self._prompts = self._prompts[list(index)]

    class Two:
        prompts = 2

        def __init__(self) -> None:
            self.vocabulary = vocabulary

        def begin(self, rows: int, *, max_tokens: int) -> TwoRows:
            return TwoRows(rows)

    masks = MaskSampler(compile_regex("a?b", vocabulary))
    first, second = SMC(50).run_prompts(Two(), masks, max_tokens=3, seed=0)
    assert math.exp(first.log_evidence) == pytest.approx(0.25 * 0.5 * 1.25, rel=0.5)
    assert {s.text for s in first.sequences if s.weight} == {"b", "ab"}
    assert second.log_evidence == -math.inf
    assert [s.weight for s in second.sequences] == [0.0] * 50
    assert {death.particle for death in second.deaths} == set(range(50))


def test_selecting_twice_composes() -> None:
    model = build("llama")
    rows = HuggingFaceModel(model, words(), PROMPT).begin(3, max_tokens=4)
    rows.append([1, 2, 3])
    rows.select([2, 1, 0])
    rows.select([0, 0, 1])
    assert torch.allclose(rows.logprobs(), plain(model, [[3], [3], [2]], 1.0), atol=1e-5)


def test_a_static_cache_keeps_its_batch() -> None:
    model = build("llama")
    seen: list[int] = []
    model.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    for cache, sizes in (("static", [1, 4, 4, 4]), ("dynamic", [1, 4, 2, 3])):
        seen.clear()
        rows = HuggingFaceModel(model, words(), PROMPT, cache=cache).begin(4, max_tokens=4)
        rows.append([1, 2, 3, 4])
        rows.select([1, 2])
        rows.append([5, 6])
        rows.select([0, 1, 1])
        rows.append([7, 8, 9])
        assert seen == sizes
        assert len(rows) == 3
    rows = HuggingFaceModel(model, words(), PROMPT, cache="static").begin(2, max_tokens=4)
    with pytest.raises(ValueError, match="fixed size of 2"):
        rows.select([0, 0, 1])


@pytest.mark.parametrize("cache", ["dynamic", "static"])
@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_samplers_keep_rows_and_particles_together(kind: str, cache: str) -> None:
    model = build(kind)
    language_model = HuggingFaceModel(model, words(), PROMPT, cache=cache)
    automaton = compile_regex("[abcdef]{2,6}", words())
    for sampler in (SMC(12, 1.0), SuffixMCMC(6, 3)):
        result = sampler.run(language_model, MaskSampler(automaton), max_tokens=7, seed=1)
        for sequence in result.sequences:
            if not sequence.finished:
                continue
            expected = sum(
                plain(model, [sequence.tokens[:i]], 1.0)[0, token].item()
                for i, token in enumerate(sequence.tokens)
            )
            assert sequence.log_probability == pytest.approx(expected, abs=1e-4)
        assert len({s.tokens for s in result.sequences if s.finished}) > 2
        if isinstance(sampler, SMC):
            assert result.resampled


def test_the_small_model_of_the_repository_with_its_tokenizer() -> None:
    model, tokenizer = tiny_model.load()
    prompt = tokenizer("{", return_tensors="pt").input_ids
    language_model = HuggingFaceModel(model, tokenizer, prompt)
    assert language_model.vocabulary.logits_size == model.config.vocab_size
    automaton = compile_regex('"[a-z]{1,8}": [0-9]{1,3}\\}', language_model.vocabulary)
    result = SMC(4).run(language_model, MaskSampler(automaton), max_tokens=20, seed=0)
    potential = AutomatonPotential(automaton)
    assert potential.boolean
    finished = [s for s in result.sequences if s.finished]
    assert finished
    assert all(automaton.accepts(automaton.advance_bytes(automaton.start, s.text.encode())) for s in finished)
    assert -math.inf < result.log_evidence < 0


@pytest.mark.parametrize("prompt", [[], [[1, 2], []], [[[1, 2]]], torch.zeros((1, 0), dtype=torch.long)])
def test_prompts_are_one_row(prompt: Any) -> None:
    with pytest.raises(ValueError, match="one row of at least one token"):
        HuggingFaceModel(build("llama"), words(), prompt)


@pytest.mark.parametrize("options", [{"temperature": 0}, {"temperature": math.nan}, {"cache": "paged"}])
def test_options_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        HuggingFaceModel(build("llama"), words(), PROMPT, **options)


def test_wrong_numbers_of_tokens_are_refused() -> None:
    rows = HuggingFaceModel(build("llama"), words(), PROMPT).begin(2, max_tokens=4)
    with pytest.raises(ValueError, match="3 tokens for 2 rows"):
        rows.append([1, 2, 3])


def test_models_without_a_cache_are_refused() -> None:
    model = build("llama")

    class Output:
        logits = torch.zeros((1, 1, PADDED))
        past_key_values = None

    model.forward = lambda input_ids, past_key_values, use_cache: Output()
    with pytest.raises(TypeError, match="NoneType where a cache that can be reordered is needed"):
        HuggingFaceModel(model, words(), PROMPT).begin(2, max_tokens=4)


def test_table_models_check_what_the_function_returns() -> None:
    for function, message in (
        (lambda tokens: [0.0], "shape"),
        (lambda tokens: [-1.0, -1.0, -1.0, -1.0], "not normalised"),
        (lambda tokens: [math.nan] * 4, "not normalised"),
    ):
        with pytest.raises(ValueError, match=message):
            TableModel(small_vocabulary(), function).begin(2, max_tokens=2).logprobs()
    calls: list[tuple[int, ...]] = []

    def uniform(tokens: tuple[int, ...]) -> list[float]:
        calls.append(tokens)
        return [-math.log(4)] * 4

    rows = TableModel(small_vocabulary(), uniform).begin(3, max_tokens=2)
    rows.append([1, 1, 2])
    rows.select([0, 1, 2, 2])
    assert rows.logprobs().shape == (4, 4)
    assert len(rows) == 4
    assert sorted(calls) == [(1,), (2,)]
