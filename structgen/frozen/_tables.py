"""All states and transitions of a finite automaton as NumPy arrays."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from structgen._core import DEAD, FINISHED, TokenAutomaton
from structgen._errors import LimitError

Ints = npt.NDArray[np.int32]

START = FINISHED + 1
"""The number of every frozen automaton's first state."""

MAX_STATES = 20_000
MAX_BYTES = 256 << 20
MAX_SECONDS = 60.0
DENSE_BYTES = 32 << 20

_FORMAT = 1


@dataclass(frozen=True, slots=True, eq=False)
class FrozenTables:
    """A finite automaton over classes of tokens: S states, C classes, logits V wide.

    States are numbered from 0: ``DEAD``, ``FINISHED``, the start, then by the tokens that lead there. They
    are not the numbers of the automaton that was frozen. Tokens that no state tells apart are one class;
    class 0 is that of tokens which no state allows, and every state leads from it to ``DEAD``.

    Attributes
    ----------
    class_of_token : ndarray of int32, shape (V,)
        The class of each token id.
    allowed : ndarray of int32, shape (S, ceil(C / 32))
        A packed mask over classes for each state: bit ``c % 32`` of word ``c // 32``.
    accepting : ndarray of bool, shape (S,)
        Whether the text may end.
    classes : int
        C.
    next_state : ndarray of int32, shape (S, C), or None
        Where a class leads from a state. None where that would be too large: then there are sparse rows.
    row_begin : ndarray of int32, shape (S + 1,), or None
        Of sparse rows: the row of state ``s`` is entries ``row_begin[s]`` up to ``row_begin[s + 1]``.
    row_class, row_next : ndarray of int32, shape (E,), or None
        The classes of each row, in ascending order, and where they lead. Classes that a row lacks lead to
        ``DEAD``.
    """

    class_of_token: Ints
    allowed: Ints
    accepting: npt.NDArray[np.bool_]
    classes: int
    next_state: Ints | None = None
    row_begin: Ints | None = None
    row_class: Ints | None = None
    row_next: Ints | None = None

    @property
    def start(self) -> int:
        """The state before the first token."""
        return START

    @property
    def states(self) -> int:
        """Number of states, ``DEAD`` and ``FINISHED`` among them."""
        return len(self.accepting)

    @property
    def logits_size(self) -> int:
        """Number of token ids, V."""
        return len(self.class_of_token)

    @property
    def layout(self) -> str:
        """How transitions are held: ``"dense"`` or ``"sparse"``."""
        return "sparse" if self.next_state is None else "dense"

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for array in self.arrays().values())

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays that there are, by name."""
        names = ("class_of_token", "allowed", "accepting", "next_state", "row_begin", "row_class", "row_next")
        found = {name: getattr(self, name) for name in names}
        return {name: array for name, array in found.items() if array is not None}

    def step(self, state: int, token: int) -> int:
        """Return the next state; ``DEAD`` where the token is not allowed, ids out of range among them."""
        self._check(state)
        of = int(self.class_of_token[token]) if 0 <= token < self.logits_size else 0
        if self.next_state is not None:
            return int(self.next_state[state, of])
        assert self.row_begin is not None
        assert self.row_class is not None
        assert self.row_next is not None
        begin, end = self.row_begin[state], self.row_begin[state + 1]
        at = begin + int(np.searchsorted(self.row_class[begin:end], of))
        return int(self.row_next[at]) if at < end and self.row_class[at] == of else DEAD

    def mask(self, state: int) -> Ints:
        """Return the allowed tokens as a packed mask, int32 of shape (ceil(V / 32),)."""
        self._check(state)
        words = self.allowed[state][self.class_of_token >> 5]
        bits = (words >> (self.class_of_token & 31)) & 1
        padded = np.pad(bits.astype(bool), (0, -len(bits) % 32))
        packed: Ints = np.packbits(padded, bitorder="little").view("<i4").astype(np.int32)
        return packed

    def accepts(self, state: int) -> bool:
        """Return whether the text may end in a state."""
        self._check(state)
        return bool(self.accepting[state])

    def _check(self, state: int) -> None:
        if not 0 <= state < self.states:
            raise ValueError(f"not a state of these tables: {state}, outside 0 to {self.states - 1}")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the arrays to a file of NumPy's, ``.npz``."""
        with open(path, "wb") as file:
            np.savez(file, format=_FORMAT, classes=self.classes, **self.arrays())  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> FrozenTables:
        """Read what :meth:`save` wrote.

        Raises
        ------
        ValueError
            The file is none of these, or of another version.
        """
        with np.load(path, allow_pickle=False) as content:
            found = dict(content)
        if int(found.pop("format", -1)) != _FORMAT:
            raise ValueError(f"{os.fspath(path)!r} holds no frozen automaton of this version: freeze it anew")
        return cls(**{**found, "classes": int(found["classes"])})


def freeze_tables(
    automaton: TokenAutomaton,
    *,
    max_states: int = MAX_STATES,
    max_bytes: int = MAX_BYTES,
    max_seconds: float = MAX_SECONDS,
    dense_bytes: int = DENSE_BYTES,
) -> FrozenTables:
    """Enumerate a finite automaton: every state, and where every token leads.

    The automaton itself stays as it is, and other threads may go on using it meanwhile.

    Parameters
    ----------
    automaton : TokenAutomaton
        Of any front end. Its vocabulary stays that of the tables.
    max_states : int
        Give up when more states than this are reached: the automaton may be infinite.
    max_bytes : int
        Give up when the tables need more bytes than this, or what they are made from does.
    max_seconds : float
        Give up after this time.
    dense_bytes : int
        Make rows sparse if dense ones need more bytes than this.

    Raises
    ------
    LimitError
        The automaton is infinite, or too large. Wherever a schema allows any JSON value (an object without
        ``additionalProperties: false``, an array without ``items``), values nest without end, and it is.
    FreezeError
        A guard is reached, or an array of distinct items that are not few scalar values: such states remember
        text without end.
    TypeError
        `automaton` is no automaton; a session can't be frozen either.
    ValueError
        A limit is negative.
    """
    if not isinstance(automaton, TokenAutomaton):
        raise TypeError(f"only a TokenAutomaton can be frozen, not {type(automaton).__name__}")
    for name, value in (("max_states", max_states), ("max_bytes", max_bytes), ("dense_bytes", dense_bytes)):
        if value < 0:
            raise ValueError(f"{name} must not be negative, but is {value}")
    found = automaton._tables(max_states, max_bytes, max_seconds)
    class_of_token, begin, row_class, row_next, accepting, classes = found
    states = len(accepting)
    words, dense_size = -(-classes // 32), 4 * states * classes
    is_dense = dense_size <= dense_bytes
    size = 4 * len(class_of_token) + (4 * words + 1) * states
    size += dense_size if is_dense else 4 * (states + 1) + 8 * len(row_class)
    if size > max_bytes:
        raise LimitError(
            f"the tables of {states} states and {classes} classes of tokens need {size} bytes, more than "
            f"max_bytes = {max_bytes}: give freeze() a larger one, or use the automaton as it is, which "
            "needs no tables",
            limit="max_bytes",
            value=max_bytes,
        )
    row_of = np.repeat(np.arange(states), np.diff(begin))
    allowed = np.zeros((states, words), np.uint32)
    np.bitwise_or.at(allowed, (row_of, row_class >> 5), np.uint32(1) << (row_class & 31).astype(np.uint32))
    tables = {"class_of_token": class_of_token, "allowed": allowed.view(np.int32)}
    if is_dense:
        dense = np.full((states, classes), DEAD, np.int32)
        dense[row_of, row_class] = row_next
        tables["next_state"] = dense
    else:
        tables |= {"row_begin": begin.astype(np.int32), "row_class": row_class, "row_next": row_next}
    return FrozenTables(**tables, accepting=accepting.astype(bool), classes=classes)
