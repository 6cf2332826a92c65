"""A token automaton in plain Python, slow and obvious: what the processor's tests are judged by.

It is a deterministic automaton over bytes, written down in full, with the methods of
:class:`structgen.TokenAutomaton` that the processor uses.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from structgen import DEAD, FINISHED, Vocabulary

Transitions = dict[int, dict[int, int]]

START = 100


class FakeAutomaton:
    """An automaton over tokens made from one over bytes.

    Parameters
    ----------
    vocabulary : Vocabulary
        Tokens.
    transitions : dict of int to dict of int to int
        Next state by state and byte. :data:`START` is the start; the numbers of DEAD and FINISHED must not
        be used. Every state must reach an accepting one.
    accepting : iterable of int
        States in which the output may end.
    """

    def __init__(self, vocabulary: Vocabulary, transitions: Transitions, accepting: Iterable[int]) -> None:
        self.vocabulary: Any = vocabulary
        self.transitions = transitions
        self.accepting = frozenset(accepting)
        self.start = START
        self.steps = 0
        self.sessions = 0
        self._excluded = frozenset(vocabulary.special_token_ids) | frozenset(vocabulary.eos_token_ids)
        self._words = -(-vocabulary.logits_size // 32)

    @classmethod
    def of_strings(cls, vocabulary: Vocabulary, strings: Iterable[str]) -> "FakeAutomaton":
        """Return the automaton of a finite language."""
        transitions: Transitions = {START: {}}
        accepting = set()
        for string in strings:
            state = START
            for byte in string.encode():
                if byte not in transitions[state]:
                    transitions[state][byte] = START + len(transitions)
                    transitions[transitions[state][byte]] = {}
                state = transitions[state][byte]
            accepting.add(state)
        return cls(vocabulary, transitions, accepting)

    def session(self) -> "FakeAutomaton":
        self.sessions += 1
        return self

    def advance_bytes(self, state: int, data: bytes) -> int:
        for byte in data:
            state = self.transitions.get(state, {}).get(byte, DEAD)
        return state

    def step(self, state: int, token: int) -> int:
        self.steps += 1
        return self._next(state, token)

    def step_many(self, state: int, tokens: Sequence[int]) -> list[int]:
        states: list[int] = []
        for token in tokens:
            states.append(self.step(states[-1] if states else state, token))
            if states[-1] == DEAD:
                break
        return states

    def _next(self, state: int, token: int) -> int:
        if state in (DEAD, FINISHED):
            return state
        if token in self.vocabulary.eos_token_ids:
            return FINISHED if state in self.accepting else DEAD
        data = self.vocabulary.tokens[token]
        if token in self._excluded or not data:
            return DEAD
        return self.advance_bytes(state, data)

    def accepts(self, state: int) -> bool:
        return state in self.accepting

    def shortest(self, state: int) -> bytes:
        reached: list[tuple[int, bytes]] = [(state, b"")]
        seen = {state}
        for now, text in reached:
            if now in self.accepting:
                return text
            for byte, after in self.transitions[now].items():
                if after not in seen:
                    seen.add(after)
                    reached.append((after, text + bytes([byte])))
        raise AssertionError("a state without completion")

    def allowed(self, state: int, max_bytes: int | None = None) -> list[int]:
        """Return the tokens of the mask."""
        if state == DEAD:
            return []
        ends = list(self.vocabulary.eos_token_ids)
        if state == FINISHED:
            return ends
        tokens = ends if state in self.accepting else []
        for token in range(len(self.vocabulary)):
            after = DEAD if token in self._excluded else self._next(state, token)
            if after != DEAD and (max_bytes is None or len(self.shortest(after)) <= max_bytes):
                tokens.append(token)
        return tokens

    def mask(self, state: int) -> npt.NDArray[np.int32]:
        return self._pack(self.allowed(state))

    def fill_mask(self, state: int, out: npt.NDArray[np.int32]) -> None:
        out[:] = self.mask(state)

    def fill_masks(self, states: Sequence[int], out: npt.NDArray[np.int32]) -> None:
        assert out.shape == (len(states), self._words)
        for row, state in zip(out, states, strict=True):
            self.fill_mask(state, row)

    def fill_mask_within(self, state: int, out: npt.NDArray[np.int32], max_bytes: int) -> None:
        assert max_bytes >= 0
        out[:] = self._pack(self.allowed(state, max_bytes))

    def _pack(self, tokens: Iterable[int]) -> npt.NDArray[np.int32]:
        words = np.zeros(self._words, dtype=np.uint32)
        for token in tokens:
            words[token // 32] |= np.uint32(1 << token % 32)
        return words.view(np.int32)
