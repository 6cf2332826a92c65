"""Free text first: masks against the definition, token by token, and whole generations."""

import random

import pytest
import torch

from structgen import DEAD, Vocabulary
from structgen.hf import AutomatonLogitsProcessor
from tests.hf.conftest import EOS, OTHER_EOS, PAD, PADDED, Generate, build_vocabulary, encode, ids_of
from tests.hf.fake_automaton import START, FakeAutomaton

MARKER = "</think>"
LANGUAGE = ["yes!", "no", "abc"]
PROMPT = [40, 41]


def allowed(processor: AutomatonLogitsProcessor, suffix: list[int]) -> list[int]:
    out = processor(torch.tensor([PROMPT + suffix], dtype=torch.int64), torch.zeros(1, PADDED))
    return out[0].isfinite().nonzero().flatten().tolist()


def by_definition(automaton: FakeAutomaton, marker: bytes, suffix: list[int]) -> list[int]:
    """Return what may follow `suffix`, from the meaning of the marker alone."""
    vocabulary = automaton.vocabulary
    text = b""
    for i, token in enumerate(suffix):
        text += vocabulary.tokens[token]
        if marker in text:
            state = automaton.advance_bytes(START, text[text.index(marker) + len(marker) :])
            for later in suffix[i + 1 :]:
                state = automaton._next(state, later)
            return sorted(automaton.allowed(state))
    tokens = []
    for token in range(len(vocabulary)):
        longer = text + vocabulary.tokens[token]
        if token in vocabulary.eos_token_ids:
            continue
        if marker in longer:
            if automaton.advance_bytes(START, longer[longer.index(marker) + len(marker) :]) != DEAD:
                tokens.append(token)
        else:
            tokens.append(token)
    return tokens


@pytest.mark.parametrize("marker", [MARKER, ">", "aab", "abab"])
def test_masks_follow_the_definition(vocabulary: Vocabulary, marker: str) -> None:
    random.seed(1)
    automaton = FakeAutomaton.of_strings(vocabulary, LANGUAGE)
    processor = AutomatonLogitsProcessor(automaton, start_after=marker, prompt_length=2)
    # Tokens that make markers, whole, in part and with more behind them; now and then a whole marker.
    likely = [i for i, token in enumerate(vocabulary.tokens) if token and set(token) <= set(b"</think>aby")]
    whole = encode(vocabulary, marker)
    completed = 0
    for _ in range(150):
        suffix: list[int] = []
        for _ in range(random.randint(0, 8)):
            options = by_definition(automaton, marker.encode(), suffix)
            if options == [EOS]:
                suffix.append(EOS)
                break
            started = len(options) < 200
            if not started and random.random() < 0.3:
                suffix += whole[: random.randint(1, len(whole))]
            else:
                suffix.append(random.choice([i for i in options if i in likely] or options))
        if EOS in suffix:
            assert allowed(processor, suffix) == [EOS]
        else:
            assert allowed(processor, suffix) == by_definition(automaton, marker.encode(), suffix)
        completed += marker.encode() in b"".join(vocabulary.tokens[i] for i in suffix)
    assert completed >= 10


def test_tokens_that_hold_the_markers_end_and_more(vocabulary: Vocabulary) -> None:
    automaton = FakeAutomaton.of_strings(vocabulary, LANGUAGE)
    processor = AutomatonLogitsProcessor(automaton, start_after=MARKER, prompt_length=2)
    open_marker = ids_of(vocabulary, "</", "th", "ink")
    after = allowed(processor, open_marker)
    good_y, good_a, bad_x, plain = ids_of(vocabulary, ">y", ">a", ">x", ">")
    assert {good_y, good_a, plain} <= set(after)
    assert bad_x not in after
    assert bad_x in allowed(processor, open_marker[:2])
    assert allowed(processor, [*open_marker, good_a]) == sorted(ids_of(vocabulary, "b", "bc"))
    # A marker whose beginning overlaps itself: "</</think>".
    overlapping = [*ids_of(vocabulary, "</"), *open_marker]
    assert allowed(processor, overlapping) == after


def test_end_tokens_wait_for_the_constraint(vocabulary: Vocabulary) -> None:
    automaton = FakeAutomaton.of_strings(vocabulary, LANGUAGE)
    processor = AutomatonLogitsProcessor(automaton, start_after=MARKER, prompt_length=2)
    assert EOS not in allowed(processor, [])
    done = [*encode(vocabulary, "hm" + MARKER + "no")]
    for length in range(len(done)):
        assert EOS not in allowed(processor, done[:length])
    assert allowed(processor, done) == [EOS]
    # An end token forced into the free text makes the row dead, whatever follows.
    assert allowed(processor, [*encode(vocabulary, "hm"), EOS]) == [EOS]
    assert processor.dead_rows == (0,)


@pytest.mark.parametrize(
    ("ids", "as_list"), [([PAD], False), ([OTHER_EOS, 200], True), ([200, 200, 201], True)]
)
def test_token_ids(vocabulary: Vocabulary, ids: list[int], as_list: bool) -> None:
    automaton = FakeAutomaton.of_strings(vocabulary, LANGUAGE)
    start_after = ids if as_list else ids[0]
    processor = AutomatonLogitsProcessor(automaton, start_after=start_after, prompt_length=2)
    free = [i for i in range(len(vocabulary)) if i != EOS]
    constrained = sorted(automaton.allowed(START))
    assert allowed(processor, []) == free
    for cut in range(len(ids)):
        assert allowed(processor, [90, *ids[:cut]]) == free
    assert allowed(processor, [90, *ids]) == constrained
    if len(ids) > 1:
        # The first of a run of equal ids does not hide the marker.
        assert allowed(processor, [ids[0], *ids]) == constrained
    yes = ids_of(vocabulary, "yes")
    assert allowed(processor, [90, *ids, *yes]) == ids_of(vocabulary, "!")


def test_generation(generate: Generate, vocabulary: Vocabulary) -> None:
    automaton = FakeAutomaton.of_strings(vocabulary, LANGUAGE)
    for options in ({"do_sample": True, "top_k": 0}, {"num_beams": 4, "do_sample": True}, {"num_beams": 3}):
        processor = AutomatonLogitsProcessor(automaton, start_after="a", finish_by=40)
        rows = generate(processor, [[40]] * 4, max_new_tokens=40, temperature=9.0, **options)
        for row in rows:
            text = b"".join(vocabulary.tokens[i] for i in row[: row.index(EOS)])
            assert text[text.index(b"a") + 1 :].decode() in LANGUAGE


def test_wrong_markers(vocabulary: Vocabulary) -> None:
    automaton = FakeAutomaton.of_strings(vocabulary, LANGUAGE)
    for empty in ("", b"", []):
        with pytest.raises(ValueError, match="start_after is empty"):
            AutomatonLogitsProcessor(automaton, start_after=empty)
    for token in (-1, len(vocabulary)):
        with pytest.raises(ValueError, match=f"token {token} is outside the vocabulary"):
            AutomatonLogitsProcessor(automaton, start_after=[50, token])
    with pytest.raises(ValueError, match="token 0 is an end token or an unused id"):
        AutomatonLogitsProcessor(automaton, start_after=EOS)


def test_unused_ids_stay_unused_in_free_text() -> None:
    used = build_vocabulary()
    tokens = list(used.tokens)
    tokens[100] = b""
    vocabulary = Vocabulary(tokens, eos_token_ids=[EOS], special_token_ids=[EOS, PAD], logits_size=PADDED)
    automaton = FakeAutomaton.of_strings(vocabulary, LANGUAGE)
    processor = AutomatonLogitsProcessor(automaton, start_after=MARKER)
    free = allowed(processor, [])
    assert 100 not in free
    assert PAD in free
