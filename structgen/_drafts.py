"""Drafts of speculative decoding, outside of any generation loop."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from structgen._core import DEAD, FINISHED
from structgen._errors import GuardDeadEnd

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from structgen._core import Session, TokenAutomaton

__all__ = ["VerifiedDraft", "verify_draft"]


class VerifiedDraft(NamedTuple):
    """What an automaton says about a draft of n tokens."""

    masks: npt.NDArray[np.int32]
    """Packed masks, shape ``(n + 1, W)``: row i is what may follow the first i tokens of the draft. Rows
    behind `allowed` are never needed; they allow the end tokens, so that no softmax meets an empty row."""
    states: list[int]
    """The state after 0, 1, ... `allowed` tokens: go on from ``states[k]`` where k tokens were accepted."""
    allowed: int
    """How many tokens at the draft's beginning the automaton allows, at most n."""


def verify_draft(
    automaton: TokenAutomaton | Session,
    state: int,
    tokens: Sequence[int],
    out: npt.NDArray[np.int32] | None = None,
) -> VerifiedDraft:
    """Step through a draft and make the masks of all its positions, in one call of the core each.

    For one's own loops and servers: a model verifies a draft in one forward pass, with the masks on its
    logits, and keeps k tokens and one of its own. Nothing has to be taken back, since states are integers.

    Parameters
    ----------
    automaton : TokenAutomaton or Session
        The constraint.
    state : int
        A state of it: where the output stands in front of the draft.
    tokens : sequence of int
        The draft, n token ids. It may leave the language and run past an end token, and negative ids (with
        which servers pad drafts) are never allowed.
    out : ndarray of int32, shape (n + 1, W), optional
        Where to write the masks, C-contiguous, with ``W = ceil(logits_size / 32)``; for instance pinned
        memory. A new array by default.

    Returns
    -------
    VerifiedDraft
        `masks`, `states` and `allowed`.

    Raises
    ------
    ValueError
        `out` has another shape.
    GuardDeadEnd
        Guards leave `state` itself no token. Where they leave none behind a token of the draft, that token
        is not counted as allowed, though the mask in front of it has it.

    Examples
    --------
    >>> import structgen
    >>> vocabulary = structgen.Vocabulary([b"", b"a", b"b", b"ab"], eos_token_ids=0)
    >>> automaton = structgen.compile_regex("a?b*", vocabulary)
    >>> draft = structgen.verify_draft(automaton, automaton.start, [3, 2, 1, 2])
    >>> draft.allowed, draft.masks[:, 0].tolist()
    (2, [15, 5, 5, 1, 1])
    >>> automaton.step(draft.states[1], 0) == structgen.FINISHED
    True
    """
    width = automaton.mask(FINISHED).shape[-1]
    shape = (len(tokens) + 1, width)
    masks = np.empty(shape, dtype=np.int32) if out is None else out
    if masks.shape != shape:
        raise ValueError(f"out must have shape {shape}, not {masks.shape}")
    states = [state]
    for one in automaton.step_many(state, list(itertools.takewhile(_is_token, tokens))):
        if one == DEAD or states[-1] == FINISHED:
            break
        states.append(one)
    rest = len(masks) - len(states)
    try:
        automaton.fill_masks(states + [FINISHED] * rest, masks)
    except GuardDeadEnd:
        states = _fill_one_by_one(automaton, states, masks)
    return VerifiedDraft(masks, states, len(states) - 1)


def _is_token(token: int) -> bool:
    return token >= 0


def _fill_one_by_one(
    automaton: TokenAutomaton | Session, states: list[int], masks: npt.NDArray[np.int32]
) -> list[int]:
    """Return the states in front of a dead end; the masks from there on are those of an end."""
    automaton.fill_mask(states[0], masks[0])
    for i, state in enumerate(states[1:], 1):
        try:
            automaton.fill_mask(state, masks[i])
        except GuardDeadEnd:
            automaton.fill_masks([FINISHED] * (len(masks) - i), masks[i:])
            return states[:i]
    raise AssertionError("one of these states is a dead end")
