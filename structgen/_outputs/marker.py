"""The free text before a constraint, up to and including its end marker."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from structgen._core import DEAD
from structgen._outputs.interfaces import Automaton, MaskArray

# Bytes that a token which must not be generated "needs": more than any budget.
NEVER = int(np.iinfo(np.int32).max)

Needs = npt.NDArray[np.int32]


def pack(bits: npt.NDArray[np.bool_], words: int) -> MaskArray:
    """Pack one bool per token into `words` 32-bit words, token 0 in the lowest bit of the first."""
    padded = np.zeros(32 * words, dtype=np.bool_)
    padded[: len(bits)] = bits
    packed: MaskArray = np.packbits(padded, bitorder="little").view("<i4").astype(np.int32)
    return packed


class Marker(Protocol):
    """Progress through the free text is an int: how much of the marker the text so far ends with."""

    def advance(self, matched: int, token: int) -> tuple[int, bytes | None]:
        """Return the new progress, and, when `token` completes the marker, the bytes after the marker."""
        ...

    def needs(self, matched: int) -> Needs:
        """Return, for every token, the length in bytes of a shortest way to end the whole output after it."""
        ...

    def shortest(self, matched: int) -> int:
        """Return the length in bytes of a shortest way to end the whole output."""
        ...

    def plan(self) -> tuple[tuple[int, ...], bytes]:
        """Return tokens and bytes that, one after the other, make a shortest marker."""
        ...


class _MarkerBase:
    def __init__(self, automaton: Automaton) -> None:
        self._automaton = automaton
        vocabulary = automaton.vocabulary
        self._tokens: Sequence[bytes] = vocabulary.tokens
        special = frozenset(vocabulary.special_token_ids)
        ends = frozenset(vocabulary.eos_token_ids)
        # End tokens and unused ids.
        self._forbidden = np.array(
            [i in ends or (not token and i not in special) for i, token in enumerate(self._tokens)]
        )
        self._tail = len(automaton.shortest(automaton.start))
        self._needs: dict[int, Needs] = {}

    def needs(self, matched: int) -> Needs:
        if matched not in self._needs:
            needs = self._compute_needs(matched)
            needs[self._forbidden] = NEVER
            needs.setflags(write=False)
            self._needs[matched] = needs
        return self._needs[matched]

    def _compute_needs(self, matched: int) -> Needs:
        raise AssertionError("a marker class defines this")


class TextMarker(_MarkerBase):
    """A marker that is a byte string, however tokens split it.

    Parameters
    ----------
    marker : bytes
        Not empty.
    automaton : Automaton
        The constraint that starts after the marker.
    """

    def __init__(self, marker: bytes, automaton: Automaton) -> None:
        super().__init__(automaton)
        self._marker = marker
        self._prefixes = tuple(marker[:length] for length in range(len(marker) - 1, 0, -1))
        self._after: dict[bytes, int] = {}

    def advance(self, matched: int, token: int) -> tuple[int, bytes | None]:
        text = self._marker[:matched] + self._tokens[token]
        found = text.find(self._marker)
        if found >= 0:
            return len(self._marker), text[found + len(self._marker) :]
        return self._overlap(text), None

    def shortest(self, matched: int) -> int:
        return len(self._marker) - matched + self._tail

    def plan(self) -> tuple[tuple[int, ...], bytes]:
        return (), self._marker

    def _overlap(self, text: bytes) -> int:
        if not text.endswith(self._prefixes):
            return 0
        return next(len(prefix) for prefix in self._prefixes if text.endswith(prefix))

    def _compute_needs(self, matched: int) -> Needs:
        head, marker, prefixes = self._marker[:matched], self._marker, self._prefixes
        needs = np.full(len(self._tokens), self.shortest(0), dtype=np.int32)
        for token, data in enumerate(self._tokens):
            text = head + data
            if marker in text:
                needs[token] = self._need_after(text[text.find(marker) + len(marker) :])
            elif text.endswith(prefixes):
                needs[token] = self.shortest(self._overlap(text))
        return needs

    def _need_after(self, rest: bytes) -> int:
        """Return how many bytes complete the constraint after `rest`, what a token holds after the marker."""
        if rest not in self._after:
            state = self._automaton.advance_bytes(self._automaton.start, rest)
            self._after[rest] = NEVER if state == DEAD else len(self._automaton.shortest(state))
        return self._after[rest]


class TokenMarker(_MarkerBase):
    """A marker that is a sequence of token ids; the constraint starts with the token after it.

    Parameters
    ----------
    ids : sequence of int
        Not empty.
    automaton : Automaton
        The constraint that starts after the marker.

    Raises
    ------
    ValueError
        An id is outside the vocabulary, or an end token.
    """

    def __init__(self, ids: Sequence[int], automaton: Automaton) -> None:
        super().__init__(automaton)
        self._ids = tuple(ids)
        for token in self._ids:
            if not 0 <= token < len(self._tokens):
                raise ValueError(f"start_after: token {token} is outside the vocabulary")
            if self._forbidden[token]:
                raise ValueError(f"start_after: token {token} is an end token or an unused id")

    def advance(self, matched: int, token: int) -> tuple[int, bytes | None]:
        text = (*self._ids[:matched], token)
        if text == self._ids:
            return len(self._ids), b""
        return next(n for n in range(len(text), -1, -1) if text[len(text) - n :] == self._ids[:n]), None

    def shortest(self, matched: int) -> int:
        return len(self._ids) - matched + self._tail

    def plan(self) -> tuple[tuple[int, ...], bytes]:
        return self._ids, b""

    def _compute_needs(self, matched: int) -> Needs:
        needs = np.full(len(self._tokens), self.shortest(0), dtype=np.int32)
        for token in set(self._ids):
            needs[token] = self.shortest(self.advance(matched, token)[0])
        return needs


def make_marker(start_after: str | bytes | int | Sequence[int], automaton: Automaton) -> Marker:
    """Return the marker for the ``start_after`` argument of the processor."""
    if isinstance(start_after, str):
        start_after = start_after.encode()
    if isinstance(start_after, int):
        start_after = [start_after]
    if not start_after:
        raise ValueError("start_after is empty")
    if isinstance(start_after, bytes):
        return TextMarker(start_after, automaton)
    return TokenMarker(start_after, automaton)
