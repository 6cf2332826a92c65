"""The processor called by hand: each thing that generation loops do to it."""

import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import Tensor

from structgen import Vocabulary
from structgen.hf import AutomatonLogitsProcessor
from structgen.hf._apply import MaskBuffer, masked_scores
from structgen.kernels._torch import unpack_on_device, unpack_on_host
from tests.hf.conftest import EOS, OTHER_EOS, PAD, PADDED, build_vocabulary, encode
from tests.hf.fake_automaton import START, FakeAutomaton

PROMPT = [40, 41, 42]


@pytest.fixture
def automaton(vocabulary: Vocabulary) -> FakeAutomaton:
    return FakeAutomaton.of_strings(vocabulary, ["yes!", "no!", "abcbc", "a", "aaaaaaaa"])


def call(
    processor: AutomatonLogitsProcessor, rows: list[list[int]], scores: Tensor | None = None
) -> list[list[int]]:
    """Return the tokens that each row is left with."""
    if scores is None:
        scores = torch.randn(len(rows), PADDED)
    out = processor(torch.tensor(rows, dtype=torch.int64), scores)
    assert out.shape == scores.shape
    return [row.isfinite().nonzero().flatten().tolist() for row in out]


def expected(automaton: FakeAutomaton, suffix: list[int]) -> list[int]:
    state = automaton.start
    for token in suffix:
        state = automaton._next(state, token)
    return sorted(automaton.allowed(state)) or list(automaton.vocabulary.eos_token_ids)


def test_lengths_seven_eight_nine_and_seven_again(vocabulary: Vocabulary, automaton: FakeAutomaton) -> None:
    processor = AutomatonLogitsProcessor(automaton)
    start = [50, 60, 70, 80, 90, 100]
    for suffix in ("", "a", "ab", "abc", "a", "ab", "", "n", "no"):
        tokens = encode(vocabulary, suffix)
        assert call(processor, [start + tokens]) == [expected(automaton, tokens)], suffix


def test_rewinding_onto_another_path(vocabulary: Vocabulary, automaton: FakeAutomaton) -> None:
    processor = AutomatonLogitsProcessor(automaton)
    for text in ("", "a", "ab", "abc", "aa", "aaa", "abc", "abcb", "aaaa", "y", "ye"):
        tokens = encode(vocabulary, text)
        assert call(processor, [PROMPT + tokens]) == [expected(automaton, tokens)], text


def test_reordered_duplicated_and_dropped_rows(vocabulary: Vocabulary, automaton: FakeAutomaton) -> None:
    random.seed(0)
    processor = AutomatonLogitsProcessor(automaton)
    for _ in range(20):
        rows: list[list[int]] = [[] for _ in range(6)]
        prompt = [random.randrange(3, 200) for _ in range(4)]
        for _ in range(9):
            masks = call(processor, [prompt + row for row in rows])
            assert masks == [expected(automaton, row) for row in rows]
            rows = [[*row, random.choice(mask)] for row, mask in zip(rows, masks, strict=True)]
            rows = [random.choice(rows) for _ in range(random.randint(1, len(rows)))]


def test_reordering_inside_each_prompts_rows(vocabulary: Vocabulary) -> None:
    automata = [FakeAutomaton.of_strings(vocabulary, [f"{c}ab", f"{c}b", "aaa"]) for c in "xy"]
    processor = AutomatonLogitsProcessor(automata)
    prompts = [[40], [40]]  # the same prompt twice: only the position tells whose constraint it is
    x, y, a, b = encode(vocabulary, "xyab")
    rows: list[list[int]]
    for rows in (
        [[], [], [], []],
        [[x], [a], [a], [y]],
        [[a, a], [x, a], [y, a], [y, b]],
        [[x, a, b], [a, a, a], [y, a, b], [y, a, b]],
    ):
        masks = call(processor, [prompts[i // 2] + row for i, row in enumerate(rows)])
        assert masks == [expected(automata[i // 2], row) for i, row in enumerate(rows)]


def test_finished_rows_are_called_with_end_and_padding(
    vocabulary: Vocabulary, automaton: FakeAutomaton
) -> None:
    processor = AutomatonLogitsProcessor(automaton)
    a = encode(vocabulary, "a")
    rows = [[], []]
    for pair in zip([*a, EOS, PAD, PAD, 319], encode(vocabulary, "aaaaa"), strict=True):
        call(processor, [PROMPT + row for row in rows])
        rows = [[*row, token] for row, token in zip(rows, pair, strict=True)]
    masks = call(processor, [PROMPT + row for row in rows])
    assert masks == [[EOS], expected(automaton, rows[1])]
    assert processor.dead_rows == ()


def test_dead_rows_never_raise_and_are_told(vocabulary: Vocabulary, automaton: FakeAutomaton) -> None:
    for wrong in (encode(vocabulary, "z")[0], PAD, EOS, len(vocabulary), PADDED - 1):
        processor = AutomatonLogitsProcessor(automaton)
        call(processor, [PROMPT, PROMPT])
        good = encode(vocabulary, "n")[0]
        masks = call(processor, [[*PROMPT, wrong], [*PROMPT, good]])
        assert masks == [[EOS], expected(automaton, [good])]
        assert processor.dead_rows == (0,)
        masks = call(processor, [[*PROMPT, wrong, good], [*PROMPT, good, wrong]])
        assert masks == [[EOS], [EOS]]
        assert processor.dead_rows == (0, 1)
        processor.reset()
        assert processor.dead_rows == ()


def test_dead_rows_masked_whole_on_request(vocabulary: Vocabulary, automaton: FakeAutomaton) -> None:
    processor = AutomatonLogitsProcessor(automaton, on_dead="mask")
    call(processor, [PROMPT])
    assert call(processor, [[*PROMPT, PAD]]) == [[]]
    call(processor, [PROMPT])
    a = encode(vocabulary, "a")
    call(processor, [PROMPT + a])
    assert call(processor, [[*PROMPT, *a, EOS]]) == [[EOS]]


def test_a_dead_beam_stays_at_minus_infinity(vocabulary: Vocabulary, automaton: FakeAutomaton) -> None:
    processor = AutomatonLogitsProcessor(automaton)
    ids, log_probabilities = torch.tensor([PROMPT]), torch.randn(1, PADDED).log_softmax(-1)
    total = processor(ids, log_probabilities)[0, PAD]
    ids = torch.tensor([[*PROMPT, PAD]])
    assert torch.isneginf(total + processor(ids, log_probabilities)).all()


def test_no_row_is_all_minus_infinity(vocabulary: Vocabulary, automaton: FakeAutomaton) -> None:
    # Another processor has banned all that the constraint allows (min_new_tokens bans the end tokens, say).
    processor = AutomatonLogitsProcessor(automaton)
    allowed = expected(automaton, [])
    scores = torch.randn(1, PADDED)
    scores[0, allowed] = -torch.inf
    out = processor(torch.tensor([PROMPT]), scores)
    assert out.isfinite().nonzero()[:, 1].tolist() == allowed
    assert out.softmax(-1).isfinite().all()
    assert out.argmax().item() in allowed
    # A ban that leaves something is respected: the banned token's probability is zero.
    scores = torch.zeros(1, PADDED)
    scores[0, allowed[0]] = -torch.inf
    assert processor(torch.tensor([PROMPT]), scores).softmax(-1)[0, allowed[0]] == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_scores_are_copied_in_every_dtype(
    vocabulary: Vocabulary, automaton: FakeAutomaton, dtype: torch.dtype
) -> None:
    processor = AutomatonLogitsProcessor(automaton)
    scores = torch.randn(2, PADDED).to(dtype)
    before = scores.clone()
    out = processor(torch.tensor([PROMPT, PROMPT]), scores)
    assert torch.equal(scores, before)
    assert out.dtype == dtype
    allowed = expected(automaton, [])
    assert torch.equal(out[:, allowed], before[:, allowed])
    rest = [i for i in range(PADDED) if i not in allowed]
    assert torch.isneginf(out[:, rest]).all()
    scores.fill_(-torch.inf)
    assert processor(torch.tensor([PROMPT, PROMPT]), scores)[:, allowed].isfinite().all()
    assert torch.isneginf(scores).all()


@pytest.mark.parametrize("width", [320, 352, 353, 1000])
def test_the_padded_tail_is_masked(automaton: FakeAutomaton, width: int) -> None:
    scores = torch.zeros(1, width)
    scores[0, -1] = 100.0
    assert call(AutomatonLogitsProcessor(automaton), [PROMPT], scores) == [expected(automaton, [])]


def test_narrow_scores_are_refused(vocabulary: Vocabulary, automaton: FakeAutomaton) -> None:
    processor = AutomatonLogitsProcessor(automaton)
    exact = torch.zeros(1, len(vocabulary))
    assert call(processor, [PROMPT], exact) == [expected(automaton, [])]
    with pytest.raises(ValueError, match=r"the scores are 273 wide, but the vocabulary has 274 tokens"):
        processor(torch.tensor([PROMPT]), exact[:, :-1])


def test_rows_without_constraint_are_left_alone(vocabulary: Vocabulary, automaton: FakeAutomaton) -> None:
    processor = AutomatonLogitsProcessor([None, automaton])
    scores = torch.randn(4, PADDED + 50)
    scores[0, 7] = -torch.inf
    out = processor(torch.tensor([PROMPT] * 4), scores)
    assert torch.equal(out[:2], scores[:2])
    assert out[2:].isfinite().sum(-1).tolist() == [len(expected(automaton, []))] * 2
    scores = torch.randn(2, 5)
    assert torch.equal(AutomatonLogitsProcessor([None, None])(torch.tensor([PROMPT] * 2), scores), scores)


def test_several_end_tokens_are_allowed_together() -> None:
    vocabulary = build_vocabulary([EOS, OTHER_EOS])
    automaton = FakeAutomaton.of_strings(vocabulary, ["a"])
    processor = AutomatonLogitsProcessor(automaton)
    a = encode(vocabulary, "a")[0]
    assert call(processor, [PROMPT] * 2) == [[a], [a]]
    assert call(processor, [[*PROMPT, a]] * 2) == [[EOS, OTHER_EOS]] * 2
    assert call(processor, [[*PROMPT, a, EOS], [*PROMPT, a, OTHER_EOS]]) == [[EOS, OTHER_EOS]] * 2


def test_a_step_costs_one_step(vocabulary: Vocabulary) -> None:
    automaton = FakeAutomaton(vocabulary, {START: {ord("a"): START}}, [START])
    processor = AutomatonLogitsProcessor(automaton)
    rows = [[40, 41], [50, 51], [60, 61]]
    call(processor, rows)
    for length in range(1, 60):
        rows = [[*row, *encode(vocabulary, "a")] for row in rows]
        call(processor, rows)
        # The rows are alike, so they share their states.
        assert automaton.steps == length
    # Rewinding and reordering step nothing that was stepped before.
    call(processor, [row[:30] for row in reversed(rows)])
    assert automaton.steps == 59


def test_reset_and_new_prompts(vocabulary: Vocabulary, automaton: FakeAutomaton) -> None:
    processor = AutomatonLogitsProcessor(automaton)
    a, b, n = encode(vocabulary, "abn")
    call(processor, [PROMPT])
    call(processor, [[*PROMPT, a]])
    # One more token than before, but after another prompt: a new generation.
    assert call(processor, [[99, 41, 42, a, b]]) == [expected(automaton, [])]
    # The old prompt with an answer that was not seen.
    call(processor, [PROMPT])
    assert call(processor, [[*PROMPT, a, b, n, n]]) == [expected(automaton, [])]
    # The same tokens as a continuation, and as a prompt.
    call(processor, [PROMPT])
    assert call(processor, [[*PROMPT, a]]) == [expected(automaton, [a])]
    processor.reset()
    assert call(processor, [[*PROMPT, a]]) == [expected(automaton, [])]
    assert automaton.sessions == 6


def test_prompt_length_resumes_an_output(vocabulary: Vocabulary, automaton: FakeAutomaton) -> None:
    processor = AutomatonLogitsProcessor(automaton, prompt_length=3)
    for text in ("ab", "abc", "a", "n", "", "abcb", "z"):
        tokens = encode(vocabulary, text)
        assert call(processor, [PROMPT + tokens, [7, 8, 9, *tokens]]) == [expected(automaton, tokens)] * 2
    with pytest.raises(ValueError, match="prompt_length is 3, but the rows have 2 tokens"):
        call(processor, [PROMPT[:2]])


def test_empty_prompts(vocabulary: Vocabulary, automaton: FakeAutomaton) -> None:
    # Generation from embeddings starts with rows of no tokens.
    processor = AutomatonLogitsProcessor(automaton)
    for _ in range(2):
        assert call(processor, [[], []]) == [expected(automaton, [])] * 2
        for text in ("a", "ab", "abc"):
            tokens = encode(vocabulary, text)
            assert call(processor, [tokens, tokens]) == [expected(automaton, tokens)] * 2


def test_long_outputs_are_freed_without_recursion(vocabulary: Vocabulary) -> None:
    automaton = FakeAutomaton(vocabulary, {START: {ord("a"): START}}, [START])
    processor = AutomatonLogitsProcessor(automaton, prompt_length=1)
    call(processor, [[40, *encode(vocabulary, "a" * 100_000)]])
    processor.reset()
    assert call(processor, [[40]]) == [expected(automaton, [])]


def test_wrong_arguments(vocabulary: Vocabulary, automaton: FakeAutomaton) -> None:
    with pytest.raises(TypeError, match="expected a TokenAutomaton or None, not str"):
        AutomatonLogitsProcessor(["a"])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="the list of automata is empty"):
        AutomatonLogitsProcessor([])
    with pytest.raises(ValueError, match="the same vocabulary"):
        AutomatonLogitsProcessor([automaton, FakeAutomaton.of_strings(build_vocabulary([OTHER_EOS]), ["a"])])
    with pytest.raises(ValueError, match="on_dead must be"):
        AutomatonLogitsProcessor(automaton, on_dead="raise")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="finish_by must be positive"):
        AutomatonLogitsProcessor(automaton, finish_by=0)
    with pytest.raises(ValueError, match="prompt_length must not be negative"):
        AutomatonLogitsProcessor(automaton, prompt_length=-1)
    processor = AutomatonLogitsProcessor([automaton, automaton])
    with pytest.raises(ValueError, match="2 automata for 3 rows"):
        call(processor, [PROMPT] * 3)
    with pytest.raises(ValueError, match="expected input_ids of shape"):
        processor(torch.tensor([PROMPT]), torch.zeros(2, PADDED))
    with pytest.raises(ValueError, match="expected input_ids of shape"):
        processor(torch.tensor(PROMPT), torch.zeros(PADDED))


def test_continuous_batching_is_declined() -> None:
    from transformers.generation.continuous_batching.cb_logits_processors import (
        ContinuousBatchingLogitsProcessorList,
    )

    processor = AutomatonLogitsProcessor(FakeAutomaton.of_strings(build_vocabulary(), ["a"]))
    kept = ContinuousBatchingLogitsProcessorList([processor]).logits_processor
    assert list(kept) == []


def test_both_ways_to_unpack_agree() -> None:
    random_masks = np.random.default_rng(0).integers(-(2**31), 2**31, size=(5, 9), dtype=np.int64)
    buffer = MaskBuffer(9)
    buffer.rows(5, torch.device("cpu"))[:] = random_masks.astype(np.int32)
    masks = buffer.tensor(5)
    bits = unpack_on_host(masks)
    assert torch.equal(bits, unpack_on_device(masks))
    for row, token in ((0, 0), (1, 31), (2, 32), (4, 287)):
        assert bits[row, token] == bool(random_masks[row, token // 32] >> token % 32 & 1)
    scores = torch.randn(5, 288)
    assert torch.equal(masked_scores(scores, masks), torch.where(bits, scores, -torch.inf))


def test_the_buffer_is_reused() -> None:
    buffer = MaskBuffer(4)
    cpu = torch.device("cpu")
    address = buffer.rows(3, cpu).ctypes.data
    assert buffer.rows(2, cpu).ctypes.data == address
    assert buffer.tensor(2).shape == (2, 4)


def test_importing_without_torch_names_the_extra() -> None:
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "import structgen\n"
        "try: import structgen.hf\n"
        "except ImportError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "pip install 'structgen[hf]'" in done.stdout
