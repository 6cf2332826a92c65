"""The token budget: every output ends in time, and no token is refused that could still end in time."""

import random

import pytest
import torch

from structgen import DEAD, FINISHED, Vocabulary
from structgen._outputs.constraint import fewest_tokens
from structgen.hf import AutomatonLogitsProcessor
from tests.hf.conftest import EOS, PAD, PADDED, Generate, build_vocabulary, decode, encode, finished, ids_of
from tests.hf.fake_automaton import START, FakeAutomaton

PROMPT = [40, 41]


def recursive(vocabulary: Vocabulary) -> FakeAutomaton:
    """Return ``( a | y{bbbb} )* !``: a cheap way on and one that owes five bytes."""
    a, b, y, end = b"aby!"
    transitions = {
        START: {a: START, y: 11, end: 15},
        11: {b: 12},
        12: {b: 13},
        13: {b: 14},
        14: {b: START},
        15: {},
    }
    return FakeAutomaton(vocabulary, transitions, [15])


def allowed(processor: AutomatonLogitsProcessor, suffix: list[int]) -> list[int]:
    out = processor(torch.tensor([PROMPT + suffix], dtype=torch.int64), torch.zeros(1, PADDED))
    return out[0].isfinite().nonzero().flatten().tolist()


def after(automaton: FakeAutomaton, suffix: list[int]) -> int:
    state = automaton.start
    for token in suffix:
        state = automaton._next(state, token)
    return state


def growth(automaton: FakeAutomaton) -> int:
    """Return the most bytes by which a token lengthens the shortest completion."""
    return max(
        len(automaton.shortest(automaton._next(state, token))) - len(automaton.shortest(state))
        for state in automaton.transitions
        for token in automaton.allowed(state)
        if token != EOS
    )


@pytest.mark.parametrize("known_growth", [False, True])
@pytest.mark.parametrize("budget", [2, 3, 7, 12, 40])
def test_masks_follow_the_definition(vocabulary: Vocabulary, budget: int, known_growth: bool) -> None:
    random.seed(budget)
    automaton = recursive(vocabulary)
    if known_growth:
        automaton.max_growth = growth(automaton)  # type: ignore[attr-defined]
    processor = AutomatonLogitsProcessor(automaton, finish_by=budget, prompt_length=2)
    lengths = set()
    for _ in range(40):
        suffix: list[int] = []
        while EOS not in suffix:
            state = after(automaton, suffix)
            left = budget - len(suffix)
            assert left > 0
            definition = [
                token
                for token in automaton.allowed(state)
                if token == EOS or len(automaton.shortest(automaton._next(state, token))) + 1 <= left - 1
            ]
            assert definition
            assert allowed(processor, suffix) == sorted(definition)
            assert processor.dead_rows == ()
            suffix.append(random.choice(definition))
        lengths.add(len(suffix))
    assert budget in lengths or budget > 12
    assert budget < 7 or len(lengths) > 1


def test_the_budget_is_only_looked_at_when_it_may_bind(vocabulary: Vocabulary) -> None:
    automaton = recursive(vocabulary)
    automaton.max_growth = growth(automaton)  # type: ignore[attr-defined]
    tight: list[int] = []
    within = automaton.fill_mask_within

    def spy(state: int, out: object, max_bytes: int) -> None:
        tight.append(max_bytes)
        within(state, out, max_bytes)  # type: ignore[arg-type]

    automaton.fill_mask_within = spy  # type: ignore[method-assign]
    processor = AutomatonLogitsProcessor(automaton, finish_by=60)
    for length in range(59):
        allowed(processor, encode(vocabulary, "a" * length))
    assert tight == list(range(4, -1, -1))


def test_an_overdrawn_row_is_dead(vocabulary: Vocabulary) -> None:
    automaton = recursive(vocabulary)
    processor = AutomatonLogitsProcessor(automaton, finish_by=6, prompt_length=2)
    for text, dead in (("aaaa", False), ("aaaaa", True), ("ay", True), ("aaaa!", False), ("yb", True)):
        allowed(processor, encode(vocabulary, text))
        assert bool(processor.dead_rows) == dead, text
    assert allowed(processor, encode(vocabulary, "aaaaaaaa")) == [EOS]
    assert processor.dead_rows == (0,)
    assert allowed(processor, [*encode(vocabulary, "aaaa!"), EOS, PAD, PAD]) == [EOS]
    assert processor.dead_rows == ()


@pytest.mark.parametrize(
    "options", [{"do_sample": True, "top_k": 0, "temperature": 5.0}, {"num_beams": 3}, {}]
)
@pytest.mark.parametrize("budget", [2, 5, 16])
def test_generations_cut_at_the_budget_are_whole(
    generate: Generate, vocabulary: Vocabulary, budget: int, options: dict[str, object]
) -> None:
    processor = AutomatonLogitsProcessor(recursive(vocabulary), finish_by=budget)
    rows = generate(processor, [[40, 41, 42]] * 4, max_new_tokens=budget, **options)
    for row in rows:
        assert finished(vocabulary, row)
        assert decode(vocabulary, row).endswith("!")


def test_generations_without_the_budget_are_cut(generate: Generate, vocabulary: Vocabulary) -> None:
    rows = generate(
        AutomatonLogitsProcessor(recursive(vocabulary)), [[40, 41, 42]] * 8, max_new_tokens=6, do_sample=True
    )
    assert not all(finished(vocabulary, row) for row in rows)


def test_prompt_lookup_within_the_budget(generate: Generate, vocabulary: Vocabulary) -> None:
    prompt = encode(vocabulary, "aaaaybbbbaaaaybbbbaaaa")
    for seed in range(6):
        processor = AutomatonLogitsProcessor(recursive(vocabulary), finish_by=9)
        options = {"prompt_lookup_num_tokens": 4, "max_new_tokens": 9, "do_sample": True, "seed": seed}
        row = generate(processor, [prompt], **options)[0]
        assert finished(vocabulary, row)
        assert decode(vocabulary, row).endswith("!")


def test_a_plan_of_long_tokens_where_bytes_do_not_fit(generate: Generate, vocabulary: Vocabulary) -> None:
    text = "yesabcyesabc!"
    automaton = FakeAutomaton.of_strings(vocabulary, [text, text + "aaaa"])
    # yes abc yes abc ! and the end token.
    processor = AutomatonLogitsProcessor(automaton, finish_by=6)
    rows = generate(processor, [[40]] * 3, do_sample=True, max_new_tokens=6)
    assert rows == [[*ids_of(vocabulary, "yes", "abc", "yes", "abc", "!"), EOS]] * 3
    with pytest.raises(ValueError, match=r"finish_by=5 is too small: .* takes 5 tokens and an end token"):
        AutomatonLogitsProcessor(automaton, finish_by=5)
    # With more room the plan is one way among others.
    processor = AutomatonLogitsProcessor(automaton, finish_by=13)
    rows = generate(processor, [[40]] * 8, do_sample=True, max_new_tokens=13, temperature=5.0, top_k=0)
    assert len({tuple(row) for row in rows}) > 1
    for row in rows:
        assert finished(vocabulary, row)
        assert decode(vocabulary, row) in (text, text + "aaaa")


def test_the_fewest_tokens(vocabulary: Vocabulary) -> None:
    automaton = FakeAutomaton.of_strings(vocabulary, ["a"])
    plan = fewest_tokens(b"abcyes!abbc", automaton)
    assert b"".join(vocabulary.tokens[i] for i in plan) == b"abcyes!abbc"
    # abc ye s! ab bc (or yes !): greedy from the left happens to do as well here, not in "aabc".
    assert len(plan) == 5
    assert len(fewest_tokens(b"aabc", automaton)) == 2
    assert fewest_tokens(b"", automaton) == []


def test_finish_by_with_start_after(generate: Generate, vocabulary: Vocabulary) -> None:
    automaton = FakeAutomaton.of_strings(vocabulary, ["yes!", "no!", "abcbc"])
    # "</think>" and "no!" byte by byte, and the end token.
    for budget in (12, 13, 30):
        processor = AutomatonLogitsProcessor(automaton, start_after="</think>", finish_by=budget)
        rows = generate(processor, [[40]] * 4, do_sample=True, max_new_tokens=budget, temperature=3.0)
        for row in rows:
            text = b"".join(vocabulary.tokens[i] for i in row[: row.index(EOS)])
            assert text.split(b"</think>", 1)[1] in (b"yes!", b"no!", b"abcbc")
    # </ th ink > no ! and the end token ("yes" for "no" fits, too).
    ends = [[*ids_of(vocabulary, word, "!"), EOS] for word in ("yes", "no")]
    processor = AutomatonLogitsProcessor(automaton, start_after="</think>", finish_by=7)
    row = generate(processor, [[40]], do_sample=True, max_new_tokens=7)[0]
    assert row in [[*ids_of(vocabulary, "</", "th", "ink", ">"), *end] for end in ends]
    # With the marker as a token id, three tokens fewer.
    processor = AutomatonLogitsProcessor(automaton, start_after=[70], finish_by=4)
    assert generate(processor, [[40]], max_new_tokens=4)[0] in [[70, *end] for end in ends]
    with pytest.raises(ValueError, match="finish_by=6 is too small"):
        AutomatonLogitsProcessor(automaton, start_after="</think>", finish_by=6)


def test_free_text_under_a_budget_by_definition(vocabulary: Vocabulary) -> None:
    random.seed(3)
    automaton = recursive(vocabulary)
    budget = 9
    processor = AutomatonLogitsProcessor(automaton, start_after="ab", finish_by=budget, prompt_length=2)

    def least(text: bytes) -> int | None:
        """Return the bytes that complete `text`, None if nothing does."""
        if b"ab" in text:
            state = automaton.advance_bytes(START, text[text.index(b"ab") + 2 :])
            return None if state == DEAD else len(automaton.shortest(state))
        return (1 if text.endswith(b"a") else 2) + len(automaton.shortest(START))

    for _ in range(60):
        suffix: list[int] = []
        while EOS not in suffix:
            text = b"".join(vocabulary.tokens[i] for i in suffix)
            left = budget - len(suffix)
            definition = []
            for token in range(1, len(vocabulary)):
                need = least(text + vocabulary.tokens[token])
                special_inside = token in (1, 2) and b"ab" in text
                if need is not None and need + 1 <= left - 1 and not special_inside:
                    definition.append(token)
            if b"ab" in text and automaton.accepts(
                automaton.advance_bytes(START, text[text.index(b"ab") + 2 :])
            ):
                definition = [EOS, *definition]
            assert allowed(processor, suffix) == definition, text
            likely = [
                i for i in definition if vocabulary.tokens[i] and set(vocabulary.tokens[i]) <= set(b"aby!")
            ]
            suffix.append(random.choice(likely or definition))
        assert len(suffix) <= budget


def test_a_vocabulary_without_some_bytes_is_refused() -> None:
    full = build_vocabulary()
    tokens = list(full.tokens)
    tokens[3 + ord("z")] = b"zz"
    vocabulary = Vocabulary(tokens, eos_token_ids=[EOS], special_token_ids=[EOS, PAD])
    automaton = FakeAutomaton.of_strings(vocabulary, ["a"])
    with pytest.raises(ValueError, match=r"finish_by needs a token for every byte, .* none for b'z'"):
        AutomatonLogitsProcessor(automaton, finish_by=5)
    # Bytes that UTF-8 never uses may be missing.
    tokens = [token for token in full.tokens if token not in (b"\xc0", b"\xff")]
    vocabulary = Vocabulary(tokens, eos_token_ids=[EOS], special_token_ids=[EOS, PAD])
    AutomatonLogitsProcessor(FakeAutomaton.of_strings(vocabulary, ["a"]), finish_by=5)


def test_the_fake_automaton_keeps_its_word(vocabulary: Vocabulary) -> None:
    automaton = recursive(vocabulary)
    a, y, end = encode(vocabulary, "ay!")
    assert automaton._next(START, a) == START
    assert automaton._next(START, EOS) == DEAD
    assert automaton._next(automaton._next(START, end), EOS) == FINISHED
    assert automaton.shortest(automaton._next(START, y)) == b"bbbb!"
    assert growth(automaton) == 4
