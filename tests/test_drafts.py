"""Drafts verified by an automaton, next to its states and masks one by one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import structgen
from structgen import DEAD, FINISHED, GuardDeadEnd, Vocabulary
from tests.hf.conftest import EOS, build_vocabulary, encode
from tests.hf.test_dead_ends import automaton_of

TOKENS = [b"", b"a", b"b", b"ab", b"ba", b"!", b"b!", b""]
VOCABULARY = Vocabulary(TOKENS, eos_token_ids=0, special_token_ids=7, logits_size=40)
REGEXES = ["(ab)*!", "a?b*", "(a|b){2,5}", "a(ba)*b!", ""]


@given(st.sampled_from(REGEXES), st.lists(st.integers(-1, 7), max_size=8), st.booleans())
def test_masks_and_states_are_those_of_single_steps(regex: str, draft: list[int], in_session: bool) -> None:
    compiled = structgen.compile_regex(regex, VOCABULARY)
    automaton = compiled.session() if in_session else compiled
    out = np.full((len(draft) + 1, 2), 77, dtype=np.int32)
    got = structgen.verify_draft(automaton, automaton.start, draft, out)
    assert got.masks is out
    states = [automaton.start]
    for token in draft:
        after = automaton.step(states[-1], token) if token >= 0 else DEAD
        if after == DEAD or states[-1] == FINISHED:
            break
        states.append(after)
    assert got.states == states
    assert got.allowed == len(states) - 1
    for i, row in enumerate(got.masks):
        assert np.array_equal(row, automaton.mask(states[i] if i < len(states) else FINISHED))
    # The mask in front of a token says whether it is one of those allowed.
    for i, token in enumerate(draft[: got.allowed + 1]):
        in_mask = token >= 0 and bool(got.masks[i, 0] >> token & 1)
        # Behind the end, masks have the end tokens.
        assert in_mask == (i < got.allowed or (states[-1] == FINISHED and token == 0))


def test_a_token_that_leads_to_a_dead_end_is_not_allowed() -> None:
    # Texts of a and b up to a mark, of which a guard refuses all but two a: after three b, nothing is left.
    vocabulary = build_vocabulary()
    automaton = automaton_of(vocabulary)
    beyond = automaton.step_many(automaton.start, encode(vocabulary, "bbb"))[-1]
    with pytest.raises(GuardDeadEnd):
        automaton.mask(beyond)
    got = structgen.verify_draft(automaton, automaton.start, [*encode(vocabulary, "bbb!"), EOS])
    assert got.allowed == len(got.states) - 1 == 2
    ends = automaton.mask(FINISHED)
    assert [np.array_equal(row, ends) for row in got.masks] == [False, False, False, True, True, True]
    wanted = [*encode(vocabulary, "aa!"), EOS]
    assert structgen.verify_draft(automaton, automaton.start, [*wanted, EOS]).allowed == len(wanted)
    with pytest.raises(GuardDeadEnd):
        structgen.verify_draft(automaton, beyond, encode(vocabulary, "!"))


def test_the_array_must_fit() -> None:
    automaton = structgen.compile_regex("a*", VOCABULARY)
    with pytest.raises(ValueError, match=r"shape \(3, 2\), not \(2, 2\)"):
        structgen.verify_draft(automaton, automaton.start, [1, 1], np.empty((2, 2), dtype=np.int32))
