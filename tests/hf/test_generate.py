"""Every way of decoding that Transformers has, with a model whose own choices break the constraint."""

import pytest
import torch
from transformers import LlamaForCausalLM

from structgen import Vocabulary
from structgen.hf import AutomatonLogitsProcessor
from tests.hf.conftest import (
    EOS,
    OTHER_EOS,
    PAD,
    Generate,
    build_model,
    build_vocabulary,
    decode,
    encode,
    finished,
)
from tests.hf.fake_automaton import FakeAutomaton

LANGUAGE = ["yes!", "no!", "abcbc", "a"]
PROMPTS = [[50, 60, 70, 80, 90], [100], [77, 88]]


@pytest.fixture
def automaton(vocabulary: Vocabulary) -> FakeAutomaton:
    return FakeAutomaton.of_strings(vocabulary, LANGUAGE)


def check(vocabulary: Vocabulary, rows: list[list[int]], language: list[str] = LANGUAGE) -> list[str]:
    texts = [decode(vocabulary, row) for row in rows]
    assert all(finished(vocabulary, row) for row in rows), rows
    assert set(texts) <= set(language), texts
    return texts


def test_the_model_alone_breaks_the_constraint(model: LlamaForCausalLM, vocabulary: Vocabulary) -> None:
    output = model.generate(torch.tensor([[40, 41, 42]]), do_sample=False, max_new_tokens=24)
    text = b"".join(vocabulary.tokens[i] for i in output[0, 3:].tolist() if i < len(vocabulary))
    assert text.decode(errors="replace") not in LANGUAGE


def test_greedy(generate: Generate, vocabulary: Vocabulary, automaton: FakeAutomaton) -> None:
    assert len(check(vocabulary, generate(AutomatonLogitsProcessor(automaton)))) == 1


def test_sampling_reaches_the_whole_language(
    generate: Generate, vocabulary: Vocabulary, automaton: FakeAutomaton
) -> None:
    processor = AutomatonLogitsProcessor(automaton)
    rows = generate(processor, [[40]] * 64, do_sample=True, temperature=8.0, top_k=0)
    assert set(check(vocabulary, rows)) == set(LANGUAGE)
    assert processor.dead_rows == ()


def test_left_padded_batch_equals_rows_alone(
    generate: Generate, vocabulary: Vocabulary, automaton: FakeAutomaton
) -> None:
    together = check(vocabulary, generate(AutomatonLogitsProcessor(automaton), PROMPTS))
    alone = [check(vocabulary, generate(AutomatonLogitsProcessor(automaton), [p]))[0] for p in PROMPTS]
    assert together == alone


@pytest.mark.parametrize("do_sample", [False, True])
@pytest.mark.parametrize("beams", [2, 5])
def test_beam_search(
    generate: Generate, vocabulary: Vocabulary, automaton: FakeAutomaton, beams: int, do_sample: bool
) -> None:
    for seed in range(5):
        processor = AutomatonLogitsProcessor(automaton)
        rows = generate(processor, PROMPTS, num_beams=beams, do_sample=do_sample, seed=seed)
        assert len(check(vocabulary, rows)) == len(PROMPTS)


def test_beam_search_finds_the_most_probable_string(
    generate: Generate, model: LlamaForCausalLM, vocabulary: Vocabulary
) -> None:
    language = ["aaab", "aaac", "abbb", "bcbc", "cccc"]
    automaton = FakeAutomaton.of_strings(build_vocabulary(), language)
    # One token per byte, so that each string is one hypothesis; enough beams for all of them.
    automaton._excluded |= frozenset(range(259, 320))

    def log_probability(text: str) -> float:
        ids = [40, 41, 42, *encode(vocabulary, text), EOS]
        with torch.no_grad():
            table = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        return sum(table[i - 1, ids[i]].item() for i in range(3, len(ids)))

    best = max(language, key=log_probability)
    rows = generate(
        AutomatonLogitsProcessor(automaton), num_beams=8, length_penalty=0.0, early_stopping="never"
    )
    assert check(vocabulary, rows, language) == [best]


@pytest.mark.parametrize("strings", [["a"], ["yes!", "no!"], LANGUAGE])
def test_more_beams_than_strings_still_conform(
    generate: Generate, vocabulary: Vocabulary, strings: list[str]
) -> None:
    automaton = FakeAutomaton.of_strings(vocabulary, strings)
    for do_sample in (False, True):
        processor = AutomatonLogitsProcessor(automaton)
        rows = generate(processor, num_beams=6, num_return_sequences=6, do_sample=do_sample)
        assert len(check(vocabulary, rows, strings)) == 6


@pytest.mark.parametrize("options", [{"do_sample": True, "top_k": 0}, {"num_beams": 4}])
def test_num_return_sequences_with_one_automaton_per_prompt(
    generate: Generate, vocabulary: Vocabulary, options: dict[str, object]
) -> None:
    languages = [["yes!", "yes"], ["no!", "no", "n"], ["abc", "bc"]]
    automata = [FakeAutomaton.of_strings(vocabulary, language) for language in languages]
    rows = generate(AutomatonLogitsProcessor(automata), PROMPTS, num_return_sequences=2, **options)
    assert len(rows) == 6
    for i, row in enumerate(rows):
        check(vocabulary, [row], languages[i // 2])


def test_rows_without_constraint_are_what_the_model_says(
    generate: Generate, model: LlamaForCausalLM, vocabulary: Vocabulary, automaton: FakeAutomaton
) -> None:
    processor = AutomatonLogitsProcessor([automaton, None, automaton])
    rows = generate(processor, PROMPTS, max_new_tokens=8)
    check(vocabulary, [rows[0], rows[2]])
    free = AutomatonLogitsProcessor([None, None, None])
    assert generate(free, PROMPTS, max_new_tokens=8)[1] == rows[1]


def test_rows_finish_at_different_times(generate: Generate, vocabulary: Vocabulary) -> None:
    automata = [FakeAutomaton.of_strings(vocabulary, [text]) for text in ("a", "a" * 9, "aaaa")]
    rows = generate(AutomatonLogitsProcessor(automata), PROMPTS, max_new_tokens=14)
    assert [decode(vocabulary, row) for row in rows] == ["a", "a" * 9, "aaaa"]
    # The model goes on calling with padding for rows that have ended.
    assert rows[0].count(PAD) >= 2


@pytest.mark.parametrize("do_sample", [False, True])
def test_prompt_lookup_decoding(generate: Generate, vocabulary: Vocabulary, do_sample: bool) -> None:
    # The prompt repeats itself, so that drafts are made, and drafts both fit and break the constraint.
    language = ["aaaabcaaaabcaaaab", "aaaabcaaaac"]
    automaton = FakeAutomaton.of_strings(vocabulary, language)
    prompt = encode(vocabulary, "aaaabcaaaabdaaaabcaaaaxaaaab")
    for seed in range(6):
        processor = AutomatonLogitsProcessor(automaton)
        options = {"do_sample": do_sample, "seed": seed}
        rows = generate(processor, [prompt], prompt_lookup_num_tokens=3, **options)
        check(vocabulary, rows, language)
        if not do_sample:
            assert rows == generate(AutomatonLogitsProcessor(automaton), [prompt], **options)


@pytest.mark.parametrize("do_sample", [False, True])
def test_assisted_decoding(generate: Generate, vocabulary: Vocabulary, do_sample: bool) -> None:
    language = ["aaaabcaaaabcaaaab", "aaaabcaaaac", "abcbcaab"]
    automaton = FakeAutomaton.of_strings(vocabulary, language)
    for seed in range(4):
        # Another model with opinions of its own; it is handed the same processor object.
        assistant = build_model(seed + 1)
        processor = AutomatonLogitsProcessor(automaton)
        options = {"do_sample": do_sample, "seed": seed}
        rows = generate(processor, assistant_model=assistant, **options)
        check(vocabulary, rows, language)
        if not do_sample:
            assert rows == generate(AutomatonLogitsProcessor(automaton), **options)


def test_one_object_for_many_generations(
    generate: Generate, vocabulary: Vocabulary, automaton: FakeAutomaton
) -> None:
    processor = AutomatonLogitsProcessor(automaton)
    fresh = [generate(AutomatonLogitsProcessor(automaton), [p]) for p in PROMPTS]
    for _ in range(2):
        # Different prompts, the same prompt again, other batch sizes, cut short and in beams.
        assert [generate(processor, [p]) for p in PROMPTS] == fresh
        assert generate(processor, [PROMPTS[-1]]) == fresh[-1]
        check(vocabulary, generate(processor, PROMPTS, num_beams=3))
        generate(processor, PROMPTS, max_new_tokens=1)


def test_a_conversation_whose_prompt_grows(
    generate: Generate, vocabulary: Vocabulary, automaton: FakeAutomaton
) -> None:
    processor = AutomatonLogitsProcessor(automaton)
    prompt = [40, 41, 42]
    for _ in range(4):
        answer = generate(processor, [prompt])[0]
        check(vocabulary, [answer])
        prompt = [*prompt, *answer, 90, 91]


def test_several_end_tokens(generate: Generate, model: LlamaForCausalLM) -> None:
    vocabulary = build_vocabulary([EOS, OTHER_EOS])
    automaton = FakeAutomaton.of_strings(vocabulary, ["ab", "a"])
    options = {"eos_token_id": [EOS, OTHER_EOS], "do_sample": True, "temperature": 9.0, "top_k": 0}
    rows = generate(AutomatonLogitsProcessor(automaton), [[40]] * 32, **options)
    check(vocabulary, rows, ["ab", "a"])
    assert {next(t for t in row if t in (EOS, OTHER_EOS)) for row in rows} == {EOS, OTHER_EOS}


def test_output_logits_are_the_models_own(model: LlamaForCausalLM, automaton: FakeAutomaton) -> None:
    options = {"do_sample": False, "max_new_tokens": 1, "return_dict_in_generate": True}
    wanted = {"output_logits": True, "output_scores": True}
    ids = torch.tensor([[40, 41, 42]])
    plain = model.generate(ids, **options, **wanted)
    masked = model.generate(ids, logits_processor=[AutomatonLogitsProcessor(automaton)], **options, **wanted)
    assert torch.equal(plain.logits[0], masked.logits[0])
    allowed = masked.scores[0].isfinite()
    assert allowed.sum() == len(automaton.allowed(automaton.start))
    assert torch.equal(masked.scores[0][allowed], plain.logits[0][allowed])
