"""Generations told apart by their token ids."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import structgen
from structgen._outputs.single import SingleOutput

BYTES = structgen.Vocabulary.of_bytes()
END = 256
AUTOMATON = structgen.compile_regex("[ab]{1,4}c|d", BYTES)


def allowed(output, ids):
    mask = np.zeros((1, 9), np.int32)
    output.fill(np.array(ids, np.intc), mask)
    return np.flatnonzero(np.unpackbits(mask.view(np.uint8), bitorder="little")).tolist()


def reference(tokens):
    """Read from the start; nothing but the end follows what is dead or has ended."""
    state = AUTOMATON.start
    for token in tokens:
        state = AUTOMATON.step(state, token)
    if state == structgen.DEAD:
        return [END]
    return np.flatnonzero(np.unpackbits(AUTOMATON.mask(state).view(np.uint8), bitorder="little")).tolist()


def output_of(**options):
    given = [options.get(name) for name in ("start_after", "finish_by", "prompt_length")]
    return SingleOutput(AUTOMATON, *given, drafts=options.get("drafts", True))


@settings(max_examples=60, deadline=None)
@given(data=st.data(), drafts=st.booleans())
def test_steps_drafts_and_generations(data, drafts):
    """Any number of generations that go on, go back and try again are followed."""
    output = output_of(drafts=drafts)
    for _ in range(data.draw(st.integers(1, 4))):
        # Without drafts, the prompts may be beginnings of each other; a token of output tells them apart.
        prompt = data.draw(st.lists(st.integers(0, 96), min_size=1, max_size=3))
        if drafts:
            prompt.append(data.draw(st.integers(104, 255)))
        seen = []
        assert allowed(output, prompt) == reference([])
        for _ in range(data.draw(st.integers(0 if drafts else 1, 6))):
            if drafts:
                del seen[data.draw(st.integers(0, len(seen))) :]
            # A draft's tokens are allowed ones.
            choices = reference(seen) if drafts else [*b"abcdx", END]
            seen = [*seen, data.draw(st.sampled_from(choices))]
            assert allowed(output, prompt + seen) == reference(seen)
            assert output.dead == (reference(seen) == [END] and not is_whole(seen))


def is_whole(tokens):
    text = bytes(token for token in tokens if token != END).decode()
    ends = [i for i, token in enumerate(tokens) if token == END]
    accepted = text in ("d", *(f"{head}c" for head in HEADS))
    return accepted and (not ends or ends[0] == len(text))


HEADS = {"".join("ab"[n >> i & 1] for i in range(length)) for length in range(1, 5) for n in range(2**length)}


def test_a_prompt_of_known_length():
    output = output_of(prompt_length=2)
    assert allowed(output, [1, 2, *b"ab"]) == reference(b"ab")
    # Several tokens at once, and fewer again.
    assert allowed(output, [1, 2, *b"abab"]) == [ord("c")]
    assert allowed(output, [1, 2]) == reference(b"")
    assert allowed(output, [1, 3, *b"a"]) == reference(b"a")
    with pytest.raises(ValueError, match="prompt_length is 2, but there are 1"):
        allowed(output, [1])


def test_drafts_that_came_with_accepted_tokens_are_refused():
    output = output_of()
    allowed(output, [1, 2])
    allowed(output, [1, 2, ord("a")])
    with pytest.raises(ValueError, match="several tokens have come at once"):
        allowed(output, [1, 2, *b"abc"])
    # A prompt that holds the last prompt, then other text or an end token, is one.
    assert allowed(output, [1, 2, ord("a"), 0, 0]) == reference(b"")
    allowed(output, [1, 2])
    assert allowed(output, [1, 2, END, 7]) == reference(b"")
    allowed(output, [1, 2])
    output.reset()
    assert allowed(output, [1, 2, *b"abc"]) == reference(b"")


@pytest.mark.parametrize("second", [[1, 2], [5]])
def test_generations_that_take_turns_are_refused(second):
    output = output_of()
    allowed(output, [1, 2])
    allowed(output, [1, 2, ord("a")])
    allowed(output, second)
    allowed(output, [*second, ord("b")])
    with pytest.raises(ValueError, match="one logits processor for each generation"):
        allowed(output, [1, 2, *b"aa"])


def test_after_a_failed_step_a_generation_begins(monkeypatch):
    output = output_of(prompt_length=1)
    allowed(output, [1, ord("a")])

    def fail(*_):
        raise structgen.LimitError("too many")

    with monkeypatch.context() as patched:
        patched.setattr(output._rules, "child", fail)
        with pytest.raises(structgen.LimitError):
            allowed(output, [1, *b"ab"])
    assert allowed(output, [1, *b"ab"]) == reference(b"ab")


def test_markers_and_budgets():
    output = output_of(start_after="#", finish_by=4)
    assert ord("z") in allowed(output, [9])
    assert ord("z") not in allowed(output, [9, ord("z")])
    assert allowed(output, [9, *b"z#"]) == [ord("d")]
    assert allowed(output, [9, *b"z#d"]) == [END]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"finish_by": 0}, "finish_by must be positive"),
        ({"finish_by": 1}, "the shortest output takes 1 tokens and an end token"),
        ({"prompt_length": -1}, "prompt_length must not be negative"),
        ({"start_after": ""}, "start_after is empty"),
    ],
)
def test_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        output_of(**options)
    with pytest.raises(TypeError, match="expected a TokenAutomaton, not str"):
        SingleOutput("x", None, None, None, drafts=True)
