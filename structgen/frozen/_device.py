"""Frozen automata on a device: states as a tensor, masks and steps without the host."""

from __future__ import annotations

from typing import Literal

try:
    import torch
except ImportError as error:
    raise ImportError(
        f"frozen automata on a device need PyTorch ({error}): pip install torch, or 'structgen[hf]'; "
        "structgen.frozen.freeze_tables does without"
    ) from error
from torch import Tensor

from structgen._core import FINISHED, TokenAutomaton
from structgen.frozen._tables import (
    DENSE_BYTES,
    MAX_BYTES,
    MAX_SECONDS,
    MAX_STATES,
    FrozenTables,
    freeze_tables,
)
from structgen.kernels import _frozen

Backend = Literal["auto", "torch", "triton"]


class DeviceAutomaton:
    """A frozen automaton on a device, with the state of each row in a tensor.

    No method waits for the device or reads from it, so a decode step can be captured in a CUDA graph. For
    the same reason nothing is checked that only the device knows: states and tokens out of range lead to
    ``DEAD``, and a mask of such a state is that of ``DEAD``, without any token.

    Parameters
    ----------
    tables : FrozenTables
        All states and transitions.
    device : torch.device or str
        Where to keep them.
    backend : {"auto", "torch", "triton"}
        As for :func:`structgen.kernels.apply_masks`.

    Attributes
    ----------
    tables : FrozenTables
        The tables on the host.
    device : torch.device
        Where the tensors are, with its number.
    """

    def __init__(
        self, tables: FrozenTables, device: torch.device | str = "cpu", *, backend: Backend = "auto"
    ) -> None:
        if backend not in ("auto", "torch", "triton"):
            raise ValueError(f'backend is "auto", "torch" or "triton", not {backend!r}')
        self.tables = tables
        self.device = _numbered(device)
        self.backend: Backend = backend
        self._tensors = _frozen.Tensors(
            **{name: torch.from_numpy(array).to(self.device) for name, array in tables.arrays().items()},
            classes=tables.classes,
        )

    @property
    def states(self) -> int:
        """Number of states, ``DEAD`` and ``FINISHED`` among them."""
        return self.tables.states

    @property
    def classes(self) -> int:
        """Number of classes of tokens."""
        return self.tables.classes

    @property
    def logits_size(self) -> int:
        """Number of token ids; logits may be wider, and their further columns are never allowed."""
        return self.tables.logits_size

    @property
    def nbytes(self) -> int:
        """Bytes on the device."""
        return self.tables.nbytes

    def to(self, device: torch.device | str) -> DeviceAutomaton:
        """Return the same automaton on a device; this one, if it is there."""
        target = _numbered(device)
        return self if target == self.device else DeviceAutomaton(self.tables, target, backend=self.backend)

    def start(self, batch: int) -> Tensor:
        """Return the states before the first token, int32 of shape ``(B,)``."""
        return torch.full((batch,), self.tables.start, dtype=torch.int32, device=self.device)

    def step(self, states: Tensor, tokens: Tensor, *, out: Tensor | None = None) -> Tensor:
        """Advance each row by a token.

        Parameters
        ----------
        states : Tensor
            int32, shape ``(B,)``, on the automaton's device.
        tokens : Tensor
            int32 or int64, shape ``(B,)``. Ids out of range lead to ``DEAD``.
        out : Tensor, optional
            Where to write, int32 of shape ``(B,)``; `states` itself will do.

        Returns
        -------
        Tensor
            The next states, int32 of shape ``(B,)``: `out` if it was given.

        Raises
        ------
        TypeError, ValueError
            Dtypes, shapes or devices do not go together.
        """
        self._check_states(states)
        if tokens.dtype not in (torch.int32, torch.int64):
            raise TypeError(f"tokens are int32 or int64, not {tokens.dtype}")
        if tokens.shape != states.shape:
            raise ValueError(f"tokens have shape {tuple(states.shape)}, as states, not {tuple(tokens.shape)}")
        if tokens.device != states.device:
            raise ValueError(f"tokens are on {tokens.device}, states on {states.device}")
        if out is None:
            out = torch.empty_like(states)
        elif out.dtype != torch.int32 or out.shape != states.shape or out.device != states.device:
            raise ValueError("out must have the dtype, shape and device of states")
        _frozen.step(self._tensors, states, tokens, out, self.backend)
        return out

    def apply_(self, logits: Tensor, states: Tensor, *, fill: float = -torch.inf) -> Tensor:
        """Write `fill` to the logits of all tokens that the states of their rows do not allow, in place.

        Parameters
        ----------
        logits : Tensor
            float32, float16, bfloat16 or float64, shape ``(B, V)``. Columns behind the vocabulary are
            excluded.
        states : Tensor
            int32, shape ``(B,)``, on the automaton's device.
        fill : float
            The logit of excluded tokens.

        Returns
        -------
        Tensor
            `logits`.

        Raises
        ------
        TypeError, ValueError
            Dtypes, shapes or devices do not go together.
        """
        self._check_states(states)
        if not logits.is_floating_point():
            raise TypeError(f"logits are floating point, not {logits.dtype}")
        if logits.dim() != 2 or len(logits) != len(states):
            raise ValueError(f"logits have shape ({len(states)}, V), not {tuple(logits.shape)}")
        if logits.shape[1] < self.logits_size:
            raise ValueError(
                f"the logits are {logits.shape[1]} wide, but the vocabulary has {self.logits_size} tokens: "
                "it belongs to another model"
            )
        if logits.device != states.device:
            raise ValueError(f"logits are on {logits.device}, states on {states.device}")
        _frozen.apply(self._tensors, logits, states, fill, self.backend)
        return logits

    def accepts(self, states: Tensor) -> Tensor:
        """Return whether the text of each row may end, bool of shape ``(B,)``."""
        self._check_states(states)
        return _frozen.accepts(self._tensors, states)

    def finished(self, states: Tensor) -> Tensor:
        """Return whether each row is at its end, ``FINISHED`` or ``DEAD``: bool of shape ``(B,)``."""
        self._check_states(states)
        return states <= FINISHED

    def _check_states(self, states: Tensor) -> None:
        if states.dtype != torch.int32:
            raise TypeError(f"states are int32, not {states.dtype}")
        if states.dim() != 1:
            raise ValueError(f"states have shape (B,), not {tuple(states.shape)}")
        if states.device != self.device:
            raise ValueError(f"states are on {states.device}, the automaton on {self.device}: .to(device)")

    def __repr__(self) -> str:
        return (
            f"<DeviceAutomaton: {self.states} states, {self.classes} classes, {self.tables.layout}, "
            f"{self.nbytes} bytes on {self.device}>"
        )


def _numbered(device: torch.device | str) -> torch.device:
    """Return a device with its number, as tensors have it: "cuda" is the current one."""
    return torch.empty(0, device=device).device


def freeze(
    automaton: TokenAutomaton,
    *,
    max_states: int = MAX_STATES,
    max_bytes: int = MAX_BYTES,
    max_seconds: float = MAX_SECONDS,
    dense_bytes: int = DENSE_BYTES,
    device: torch.device | str = "cpu",
    backend: Backend = "auto",
) -> DeviceAutomaton:
    """Enumerate a finite automaton and put it on a device; what ``automaton.freeze(...)`` calls.

    Parameters
    ----------
    automaton : TokenAutomaton
        Of any front end.
    max_states, max_bytes, max_seconds, dense_bytes
        As for :func:`freeze_tables`.
    device, backend
        As for :class:`DeviceAutomaton`.

    Returns
    -------
    DeviceAutomaton

    Raises
    ------
    LimitError
        The automaton is infinite, or too large: the message says how many states were reached.
    FreezeError
        Its states remember text.
    """
    tables = freeze_tables(
        automaton,
        max_states=max_states,
        max_bytes=max_bytes,
        max_seconds=max_seconds,
        dense_bytes=dense_bytes,
    )
    return DeviceAutomaton(tables, device, backend=backend)
