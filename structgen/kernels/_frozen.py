"""Masks and steps of frozen automata: the choice of a backend, and the reference in PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import torch
from torch import Tensor

from structgen.kernels import _apply, _torch


@dataclass(frozen=True, slots=True, eq=False)
class Tensors:
    """The arrays of :class:`structgen.frozen.FrozenTables` on a device."""

    class_of_token: Tensor
    allowed: Tensor
    accepting: Tensor
    classes: int
    next_state: Tensor | None = None
    row_begin: Tensor | None = None
    row_class: Tensor | None = None
    row_next: Tensor | None = None

    @property
    def states(self) -> int:
        """Number of states."""
        return len(self.accepting)

    @property
    def halvings(self) -> int:
        """How many times a sparse row has to be halved until one entry is left: the same for all rows."""
        return self.classes.bit_length()


def step(tables: Tensors, states: Tensor, tokens: Tensor, out: Tensor, backend: str) -> None:
    """Write the states after `tokens` to `out`; shapes have been checked."""
    if not _apply.by_triton(backend, states.is_cuda, lambda: _triton().step(tables, states, tokens, out)):
        out.copy_(next_states(tables, states, tokens))


def apply(tables: Tensors, logits: Tensor, states: Tensor, fill: float, backend: str) -> None:
    """Write `fill` to the logits that are not allowed; shapes have been checked."""
    fits = _apply.fits_triton(logits)
    if not _apply.by_triton(backend, fits, lambda: _triton().apply(tables, logits, states, fill)):
        logits.masked_fill_(excluded(tables, states, logits.shape[1]), fill)


def accepts(tables: Tensors, states: Tensor) -> Tensor:
    """Return whether each state accepts."""
    return tables.accepting[_valid(tables, states)]


def _triton() -> ModuleType:
    _apply._triton()  # raises ImportError with what to do
    from structgen.kernels import _frozen_triton

    return _frozen_triton


def _valid(tables: Tensors, states: Tensor) -> Tensor:
    """Return the states as indices; those out of range are DEAD."""
    states = states.long()
    return torch.where((states >= 0) & (states < tables.states), states, 0)


def next_states(tables: Tensors, states: Tensor, tokens: Tensor) -> Tensor:
    """Return the states after `tokens`, int32 of shape ``(B,)``."""
    states, tokens = _valid(tables, states), tokens.long()
    size = tables.class_of_token.shape[0]
    known = (tokens >= 0) & (tokens < size)
    of = torch.where(known, tables.class_of_token[tokens.clamp(0, size - 1)], 0)
    if tables.next_state is not None:
        return tables.next_state[states, of]
    assert tables.row_begin is not None
    assert tables.row_class is not None
    assert tables.row_next is not None
    low, end = tables.row_begin[states], tables.row_begin[states + 1]
    high, last = end, tables.row_class.shape[0] - 1
    # As many halvings for every row: none of them is asked whether it is done.
    for _ in range(tables.halvings):
        middle = (low + high) // 2
        behind = (low < high) & (tables.row_class[middle.clamp(max=last)] < of)
        low, high = torch.where(behind, middle + 1, low), torch.where(behind, high, middle)
    at = low.clamp(max=last)
    return torch.where((low < end) & (tables.row_class[at] == of), tables.row_next[at], 0)


def excluded(tables: Tensors, states: Tensor, columns: int) -> Tensor:
    """Return which logits are excluded, bool of shape ``(B, columns)``."""
    # The words of classes are inverted before they become bits, and bits before they are spread over tokens.
    found = _torch.unpack_on_device(~tables.allowed[_valid(tables, states)])[:, tables.class_of_token]
    missing = columns - found.shape[1]
    return torch.nn.functional.pad(found, (0, missing), value=True) if missing else found
