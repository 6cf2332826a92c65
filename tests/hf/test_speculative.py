"""Assisted and prompt-lookup decoding: the outputs of plain decoding, with few calls of the core."""

import copy
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

import structgen
from structgen import GuardDeadEnd, Vocabulary
from structgen._outputs.constraint import RowConstraint
from structgen.hf import AutomatonLogitsProcessor, GrammarRepetitionPenalty
from structgen.hf._drafts import RecentMasks
from structgen.hf._history import MAX_DRAFT, tokens_behind
from structgen.testing import tiny_model
from tests.hf.conftest import EOS, PADDED, Generate, build_model, encode
from tests.hf.small import END, VOCABULARY, small_model
from tests.hf.test_dead_ends import automaton_of

REGEXES = ["(ab)*c?", "(a|b|c|d)*dd", "a{2,9}b{2,9}", "((ab|ba){1,4}c){1,3}", "(abcd)+|a*"]
MODEL = small_model()


class Spy:
    """An automaton that counts the calls of its methods, and the masks that they make."""

    def __init__(self, automaton: Any, calls: Counter[str] | None = None) -> None:
        self._automaton = automaton
        self.calls: Counter[str] = Counter() if calls is None else calls

    def session(self) -> "Spy":
        return Spy(self._automaton.session(), self.calls)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._automaton, name)
        if not callable(value):
            return value

        def counted(*arguments: Any) -> Any:
            self.calls[name] += 1
            if name == "fill_masks":
                self.calls["masks"] += len(arguments[0])
            return value(*arguments)

        return counted


def changed(model: LlamaForCausalLM, seed: int, by: float) -> LlamaForCausalLM:
    """Return a copy of `model` with noise on its weights: an assistant that agrees with it more or less."""
    assistant = copy.deepcopy(model)
    torch.manual_seed(seed)
    for weights in assistant.parameters():
        weights.data += by * torch.randn_like(weights)
    return assistant


def tokens_of(prompt: Sequence[int], processors: Sequence[Any], seed: int = 0, **options: Any) -> list[int]:
    torch.manual_seed(seed)
    options = {"do_sample": False, "max_new_tokens": 14, **options}
    output = MODEL.generate(torch.tensor([list(prompt)]), logits_processor=list(processors), **options)
    tokens: list[int] = output[0, len(prompt) :].tolist()
    return tokens


prompts = st.lists(st.sampled_from([1, 2, 4, 5]), min_size=1, max_size=12)
speculation = st.one_of(
    st.fixed_dictionaries({"prompt_lookup_num_tokens": st.integers(1, 6)}),
    st.builds(
        lambda seed, by: {"assistant_model": changed(MODEL, seed, by)},
        st.integers(0, 99),
        st.sampled_from([0.0, 0.05, 0.5]),
    ),
)


@settings(max_examples=40)
@given(st.sampled_from(REGEXES), prompts, speculation)
def test_greedy_outputs_are_those_of_plain_decoding(
    regex: str, prompt: list[int], options: dict[str, Any]
) -> None:
    automaton = structgen.compile_regex(regex, VOCABULARY)
    plain = tokens_of(prompt, [AutomatonLogitsProcessor(automaton)])
    assert tokens_of(prompt, [AutomatonLogitsProcessor(automaton)], **options) == plain
    if END in plain:
        assert re.fullmatch(regex, text_of(plain))


def text_of(output: list[int]) -> str:
    assert set(output[output.index(END) :]) == {END}
    return b"".join(VOCABULARY.tokens[i] for i in output[: output.index(END)]).decode()


@pytest.mark.parametrize(
    "options", [{"finish_by": 12}, {"start_after": "</a"}, {"start_after": "<", "finish_by": 16}], ids=str
)
def test_budgets_and_free_text(
    generate: Generate, model: LlamaForCausalLM, vocabulary: Vocabulary, options: dict[str, Any]
) -> None:
    automaton = structgen.compile_regex("(aaaab|abc|yes){1,9}!", vocabulary)
    prompt = encode(vocabulary, "aaaabaaaab</aaaaabaaaab</a")
    for seed in range(2):
        plain = generate(AutomatonLogitsProcessor(automaton, **options), [prompt], seed=seed)
        for how in ({"prompt_lookup_num_tokens": 5}, {"assistant_model": changed(model, seed, 0.02)}):
            processor = AutomatonLogitsProcessor(automaton, **options)
            assert generate(processor, [prompt], seed=seed, **how) == plain


def law(automaton: Any, prompt: list[int], limit: int) -> dict[tuple[int, ...], float]:
    """Return the probability of every output of constrained sampling, by enumeration."""
    found: dict[tuple[int, ...], float] = {}
    todo: list[tuple[tuple[int, ...], int, float]] = [((), automaton.start, 1.0)]
    for output, state, probability in todo:
        if len(output) == limit or END in output:
            found[output] = probability
            continue
        with torch.no_grad():
            logits = MODEL(torch.tensor([[*prompt, *output]])).logits[0, -1].double()
        mask = int(automaton.mask(state)[0])
        allowed = [token for token in range(len(logits)) if mask >> token & 1]
        for token, share in zip(allowed, logits[allowed].softmax(-1).tolist(), strict=True):
            todo.append(((*output, token), automaton.step(state, token), probability * share))
    return found


@pytest.mark.parametrize(
    "options",
    [{"assistant_model": changed(MODEL, 1, 0.2)}, {"prompt_lookup_num_tokens": 2}],
    ids=["assisted", "prompt lookup"],
)
def test_sampled_outputs_have_the_same_law(options: dict[str, Any]) -> None:
    automaton = structgen.compile_regex("(a|b){1,2}d?|cd", VOCABULARY)
    prompt, draws = [1, 2, 5, 1, 2, 4, 5, 1], 400
    expected = law(automaton, prompt, 5)
    assert sum(expected.values()) == pytest.approx(1)
    assert len(expected) == 13
    processor = AutomatonLogitsProcessor(automaton)
    seen = Counter(
        tuple(tokens_of(prompt, [processor], seed, do_sample=True, top_k=0, **options))
        for seed in range(draws)
    )
    assert set(seen) <= set(expected)
    # Pearson's statistic; outcomes of which few are expected are counted together.
    rare = {output for output, share in expected.items() if share * draws < 5}
    cells = [(seen[output], share * draws) for output, share in expected.items() if output not in rare]
    cells.append((sum(seen[one] for one in rare), sum(expected[one] for one in rare) * draws))
    statistic = sum((got - wanted) ** 2 / wanted for got, wanted in cells if wanted)
    # Wilson and Hilferty: the 0.999 quantile of chi-square.
    freedom = len(cells) - 1
    assert freedom >= 5
    assert statistic < freedom * (1 - 2 / (9 * freedom) + 3.09 * (2 / (9 * freedom)) ** 0.5) ** 3


# -- calls ------------------------------------------------------------------------------------


def test_a_draft_takes_two_calls_of_the_core(vocabulary: Vocabulary) -> None:
    spy = Spy(structgen.compile_regex("(ab|c)*!", vocabulary))
    processor = AutomatonLogitsProcessor(spy)
    candidate = torch.tensor([[50, 51, *encode(vocabulary, "abcab!"), EOS]])
    scores = torch.zeros(1, PADDED)
    processor(candidate[:, :2].clone(), scores)
    spy.calls.clear()
    for length in range(2, candidate.shape[1] + 1):
        processor(candidate[:, :length], scores)
    # The prompt's mask was there.
    assert spy.calls == {"step_many": 1, "fill_masks": 1, "masks": 7}
    # A rejection: the row goes back, and another draft comes.
    spy.calls.clear()
    candidate = torch.tensor([[50, 51, *encode(vocabulary, "abccab")]])
    for length in range(5, candidate.shape[1] + 1):
        processor(candidate[:, :length], scores)
    assert spy.calls == {"step_many": 1, "fill_masks": 1, "masks": 3}


@pytest.mark.parametrize(
    "options",
    [{"assistant_model": changed(MODEL, 3, 0.05)}, {"prompt_lookup_num_tokens": 4}],
    ids=["assisted", "prompt lookup"],
)
def test_no_mask_is_made_twice(options: dict[str, Any]) -> None:
    automaton = structgen.compile_regex("(a|b|c|d){9}", VOCABULARY)
    seen: set[tuple[int, ...]] = set()
    calls = 0

    def note(input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        seen.add(tuple(input_ids[0].tolist()))
        calls += 1
        return scores

    spy = Spy(automaton)
    tokens_of([1, 2, 4, 1, 2, 4, 5], [note, AutomatonLogitsProcessor(spy)], **options)
    assert spy.calls["masks"] <= len(seen) < calls
    assert spy.calls["step"] + spy.calls["step_many"] < len(seen)


def test_more_masks_than_are_kept(vocabulary: Vocabulary) -> None:
    automaton = structgen.compile_regex("(a|b|cc|ddd){150}!", vocabulary)
    row = torch.tensor([[50, *encode(vocabulary, "abccddd" * 30)]])
    processor = AutomatonLogitsProcessor(automaton)
    scores = torch.zeros(1, PADDED)
    at, state = 1, automaton.start
    while at < row.shape[1]:
        # Drafts of 9 tokens, of which 6 are kept.
        candidate = row[:, : at + 9].clone()
        for length in range(at, candidate.shape[1] + 1):
            after = automaton.step_many(state, candidate[0, at:length].tolist())
            expected = automaton.mask(after[-1] if after else state)
            allowed = processor(candidate[:, :length], scores)[0].isfinite()
            words = [sum(1 << i for i in range(32) if part[i]) for part in allowed.view(-1, 32).tolist()]
            assert words == expected.view("uint32").tolist()
        state = automaton.step_many(state, row[0, at : at + 6].tolist())[-1]
        at += 6
    assert at > 2 * MAX_DRAFT


def test_masks_are_made_anew_on_another_device(vocabulary: Vocabulary) -> None:
    spy = Spy(structgen.compile_regex("a*!", vocabulary))
    constraint, recent = RowConstraint(spy, None, None, True), RecentMasks(PADDED // 32)
    node = constraint.root()
    for device in ("cpu", "cpu", "meta", "meta"):
        mask = recent.get(constraint, node, [], torch.device(device))
        assert mask.numpy().tolist() == [spy.mask(node.state).tolist()]
    assert spy.calls["fill_masks"] == 2


# -- drafts that are nothing but memory -------------------------------------------------------


@given(st.data())
def test_what_lies_behind_a_row_changes_nothing(data: st.DataObject) -> None:
    automaton = structgen.compile_regex(data.draw(st.sampled_from(REGEXES)), VOCABULARY)
    lax = AutomatonLogitsProcessor(automaton, prompt_length=1)
    tokens = st.lists(st.integers(-1, 9), min_size=2, max_size=20)
    buffer = torch.tensor([data.draw(tokens)])
    for _ in range(data.draw(st.integers(1, 12))):
        # Rows of any length, and buffers that loops write to without torch's knowledge.
        length = data.draw(st.integers(1, buffer.shape[1]))
        ids = buffer[:, :length]
        expected = AutomatonLogitsProcessor(automaton, prompt_length=1)
        scores = torch.zeros(1, 8)
        assert torch.equal(lax(ids, scores), expected(ids.clone(), scores))
        assert lax.dead_rows == expected.dead_rows
        position = data.draw(st.integers(1, buffer.shape[1] - 1))
        buffer.numpy()[0, position] = data.draw(st.integers(-1, 9))


def test_what_lies_behind_a_row_is_only_read_where_there_is_something() -> None:
    memory = torch.arange(100).reshape(5, 20)
    assert tokens_behind(memory[1:2, :17]) == [37, 38, 39]
    assert tokens_behind(memory[4:5, :17]) == [97, 98, 99]
    # Whole rows, several rows, columns, and a stride that leads out of the memory.
    assert tokens_behind(memory[4:5]) == []
    assert tokens_behind(memory[:2, :17]) == []
    assert tokens_behind(memory[:1, ::2]) == []
    assert tokens_behind(memory[4:5].as_strided((1, 3), (999, 1), 95)) == [98, 99]
    assert tokens_behind(memory[4:5].as_strided((1, 3), (999, 1), 97)) == []
    assert len(tokens_behind(torch.zeros(1, 500, dtype=torch.int64)[:, :10])) == MAX_DRAFT


def test_in_inference_mode() -> None:
    automaton = structgen.compile_regex("(a|b)*", VOCABULARY)
    options = {"prompt_lookup_num_tokens": 3}
    plain = tokens_of([1, 2, 1, 2], [AutomatonLogitsProcessor(automaton)])
    with torch.inference_mode():
        assert tokens_of([1, 2, 1, 2], [AutomatonLogitsProcessor(automaton)], **options) == plain


def test_scores_behind_a_dead_draft_are_finite_somewhere(vocabulary: Vocabulary) -> None:
    processor = AutomatonLogitsProcessor(structgen.compile_regex("(ab)*!", vocabulary))
    candidate = torch.tensor([[50, *encode(vocabulary, "abba!"), EOS, EOS]])
    for length in range(1, candidate.shape[1] + 1):
        scores = processor(candidate[:, :length], torch.zeros(1, PADDED))
        allowed = scores[0].isfinite().nonzero().flatten().tolist()
        # Behind "abb" nothing fits: the end is offered, so that softmax and multinomial go through.
        assert (allowed == [EOS]) == (length >= 4)
        assert processor.dead_rows == ((0,) if length > 3 else ())


# -- guards -----------------------------------------------------------------------------------


def test_dead_ends_in_drafts(generate: Generate, model: LlamaForCausalLM, vocabulary: Vocabulary) -> None:
    automaton = automaton_of(vocabulary)
    prompt = [50, *encode(vocabulary, "bbbbabab")]
    candidate = torch.tensor([[*prompt, *encode(vocabulary, "bbb!")]])

    def raises_at(finish_by: int | None, as_draft: bool) -> int:
        processor = AutomatonLogitsProcessor(automaton, finish_by=finish_by)
        for length in range(len(prompt), candidate.shape[1] + 1):
            ids = candidate[:, :length]
            try:
                processor(ids if as_draft else ids.clone(), torch.zeros(1, PADDED))
            except GuardDeadEnd:
                return length - len(prompt)
        raise AssertionError("no dead end")

    # The draft's dead end is no error before its turn comes: all in front of it may be rejected.
    assert raises_at(None, True) == raises_at(None, False) == 3
    # With a budget, the way to the end is looked for ahead.
    assert raises_at(5, True) == raises_at(5, False) > 0
    for seed in range(3):
        options = {"seed": seed, "do_sample": False}
        plain = generate(AutomatonLogitsProcessor(automaton, on_dead_end="mark"), [prompt], **options)
        for how in ({"prompt_lookup_num_tokens": 3}, {"assistant_model": build_model(seed)}):
            marking = AutomatonLogitsProcessor(automaton, on_dead_end="mark")
            assert generate(marking, [prompt], **options, **how) == plain


# -- the penalty on repeats -------------------------------------------------------------------


def test_the_penalty_on_repeats_falls_on_the_same_tokens() -> None:
    automaton = structgen.compile_lark('start: stmt+\nstmt: "a" | "b" | "c" "d"', VOCABULARY)

    def run(decay: float, **options: Any) -> list[int]:
        penalty = GrammarRepetitionPenalty(automaton, decay=decay)
        processors = [AutomatonLogitsProcessor(automaton), penalty]
        return tokens_of([1, 2, 1, 2, 4, 5], processors, max_new_tokens=24, **options)

    plain = run(0.4)
    assert plain != run(1.0)
    for seed in range(4):
        assert run(0.4, assistant_model=changed(MODEL, seed, 0.1)) == plain
        assert run(0.4, prompt_lookup_num_tokens=1 + seed) == plain


# -- assistants with another tokenizer --------------------------------------------------------


@pytest.fixture(scope="module")
def other() -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """Return an assistant of random weights with a small tokenizer of its own."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=["<end>", "<pad>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(['{"name":"river","size":12}', '"tags":["red","blue"]'] * 5, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", pad_token="<pad>")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(fast) + 5,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        eos_token_id=0,
        pad_token_id=1,
        bos_token_id=0,
    )
    return LlamaForCausalLM(config).eval(), fast


SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 9}, "size": {"type": "integer"}},
    "required": ["name", "size"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("which", ["other tokenizer", "wider scores"])
def test_an_assistant_with_another_tokenizer(
    which: str, other: tuple[LlamaForCausalLM, PreTrainedTokenizerFast]
) -> None:
    model, tokenizer = tiny_model.load()
    if which == "wider scores":
        assistant, assistant_tokenizer = tiny_model.load()
        assistant.resize_token_embeddings(4096 + 64, mean_resizing=False)
    else:
        assistant, assistant_tokenizer = other
    automaton, drafts = (
        structgen.compile_json_schema(
            SCHEMA, Vocabulary.from_huggingface(t, m.config.vocab_size), whitespace="compact"
        )
        for m, t in ((model, tokenizer), (assistant, assistant_tokenizer))
    )
    inputs = tokenizer("Kernels as JSON:\n", return_tensors="pt")
    how = {"assistant_model": assistant, "tokenizer": tokenizer, "assistant_tokenizer": assistant_tokenizer}

    def run(processor: Any, **options: Any) -> list[int]:
        torch.manual_seed(0)
        options = {
            "max_new_tokens": 32,
            "pad_token_id": tokenizer.pad_token_id,
            "do_sample": False,
            **options,
        }
        output = model.generate(**inputs, logits_processor=[processor], **options)
        tokens: list[int] = output[0, inputs.input_ids.shape[1] :].tolist()
        return tokens

    plain = run(AutomatonLogitsProcessor(automaton))
    spy = Spy(drafts)
    processor = AutomatonLogitsProcessor(automaton, assistant_automaton=spy)
    assert run(processor, **how) == plain
    assert spy.calls["fill_masks"] > 0
    processor.reset()
    assert run(processor, **how) == plain
    # Without it, the scores tell that they are another model's.
    with pytest.raises(ValueError, match="assistant_automaton"):
        run(AutomatonLogitsProcessor(automaton), **how)
    with pytest.raises(ValueError, match="assistants with another tokenizer"):
        run(GrammarRepetitionPenalty(automaton), **how)
    if which == "other tokenizer":
        # generate samples such drafts from what the vocabularies share; the constraint is the model's alone.
        sampled = run(AutomatonLogitsProcessor(automaton, assistant_automaton=drafts), do_sample=True, **how)
        state = automaton.step_many(automaton.start, sampled)
        assert len(state) == len(sampled)
        assert state[-1] != structgen.DEAD


def test_an_assistant_must_be_told_by_its_width(
    vocabulary: Vocabulary, other: tuple[LlamaForCausalLM, PreTrainedTokenizerFast]
) -> None:
    automaton = structgen.compile_regex("a*!", vocabulary)
    with pytest.raises(ValueError, match=f"both {PADDED} wide"):
        AutomatonLogitsProcessor(automaton, assistant_automaton=structgen.compile_regex("a*", vocabulary))
    drafts = structgen.compile_regex("a*!", Vocabulary.from_huggingface(other[1], other[0].config.vocab_size))
    with pytest.raises(ValueError, match="must be a text"):
        AutomatonLogitsProcessor(automaton, assistant_automaton=drafts, start_after=[40])


def test_where_an_assistants_constraint_begins(vocabulary: Vocabulary) -> None:
    """The text tells, though the prompt's last token changes and the end marker is split otherwise."""
    small = Vocabulary([b"", b"x", b"y", b"xy", b"<", b"a", b"a!", b"!"], eos_token_ids=0, logits_size=8)
    processors = [
        AutomatonLogitsProcessor(
            structgen.compile_regex("xa*!", vocabulary),
            assistant_automaton=structgen.compile_regex("xa*!", small),
            start_after=marker,
        )
        for marker in (None, "<<")
    ]

    def allowed(processor: AutomatonLogitsProcessor, ids: list[int]) -> list[int]:
        return processor(torch.tensor([ids]), torch.zeros(1, 8))[0].isfinite().nonzero().flatten().tolist()

    everything = list(range(8))
    at_once, later = processors
    assert allowed(at_once, [2, 2]) == [1]
    assert allowed(at_once, [2, 2, 1]) == [5, 6, 7]
    assert allowed(at_once, [2, 2, 1, 5]) == [5, 6, 7]
    assert allowed(at_once, [2, 2, 1, 6]) == [0]
    # What does not fit leaves the assistant free; another prompt begins anew.
    assert allowed(at_once, [2, 2, 2]) == everything
    assert allowed(at_once, [1, 3]) == [1]
    assert allowed(at_once, [3, 2, 1]) == [1]
    assert allowed(later, [2, 4]) == everything
    assert allowed(later, [2, 4, 4]) == everything
    assert allowed(later, [2, 4, 4, 4]) == [1]
    assert allowed(later, [2, 4, 4, 4, 1]) == [5, 6, 7]
    assert later(torch.tensor([[1]]), torch.zeros(1, 7)).isfinite().all()


def test_scores_of_two_widths_need_a_reset(vocabulary: Vocabulary) -> None:
    processor = AutomatonLogitsProcessor(structgen.compile_regex("a*!", vocabulary))
    processor(torch.tensor([[50]]), torch.zeros(1, PADDED))
    with pytest.raises(ValueError, match=f"{PADDED + 8} wide.*were {PADDED}.*reset"):
        processor(torch.tensor([[50]]), torch.zeros(1, PADDED + 8))
    processor.reset()
    assert processor(torch.tensor([[50]]), torch.zeros(1, PADDED + 8)).shape == (1, PADDED + 8)
