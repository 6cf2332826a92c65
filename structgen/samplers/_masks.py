"""The masks of a batch: filled by threads while the model runs, and moved to its device in one copy."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from structgen.samplers._context import Context
from structgen.samplers._potentials import AutomatonPotential

Masks = Callable[[Sequence[Context], torch.device], Tensor]
"""From texts and a device to packed masks on that device, int32 of shape (n, W)."""

# Rows that a thread takes at least: to hand work over takes about as long as to fill so many masks.
_ROWS = 16
_THREADS = min(4, os.cpu_count() or 1)

_pool: ThreadPoolExecutor | None = None


def _threads() -> ThreadPoolExecutor:
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="structgen-masks")
    return _pool


def _forget_threads() -> None:
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):
    # A child process has none of its parent's threads.
    os.register_at_fork(after_in_child=_forget_threads)


def words(context: Context) -> int:
    """Return the number of 32-bit words of a mask."""
    return (context.vocabulary.logits_size + 31) // 32


def packed_masks(potential: AutomatonPotential, contexts: Sequence[Context], device: torch.device) -> Tensor:
    """Return the packed masks of texts, int32 of shape (n, W), at least one text."""
    packed = torch.empty((len(contexts), words(contexts[0])), dtype=torch.int32)
    potential.fill_masks(contexts, packed.numpy())
    return packed.to(device)


class MasksAhead:
    """Masks for one run of a sampler, made while the model reads the tokens before.

    :meth:`start` has threads step the automaton and fill the masks, which the core does without the GIL,
    into a buffer that is kept; for a GPU it is pinned memory. :meth:`send` waits for them and begins one copy
    to the device, on a stream of its own, so that it does not wait for the model. A call returns what was
    sent, if it is asked for the same texts, and else fills the masks then.

    Parameters
    ----------
    potential : AutomatonPotential
        Whose masks they are.
    """

    def __init__(self, potential: AutomatonPotential) -> None:
        self._potential = potential
        self._device: torch.device | None = None
        self._buffer = torch.empty((0, 0), dtype=torch.int32)
        self._stream: torch.cuda.Stream | None = None
        self._contexts: list[Context] = []
        self._tasks: list[Future[None]] = []
        self._sent: Tensor | None = None

    def start(self, contexts: Sequence[Context]) -> None:
        """Begin to fill the masks of texts; nothing happens before the first call has told the device."""
        if self._device is None or not contexts:
            return
        self._contexts = list(contexts)
        self._sent = None
        out = self._rows(self._contexts).numpy()
        count = len(self._contexts)
        size = max(_ROWS, -(-count // _THREADS))
        self._tasks = [
            _threads().submit(
                self._potential.fill_masks, self._contexts[first : first + size], out[first : first + size]
            )
            for first in range(0, count, size)
        ]

    def send(self) -> None:
        """Begin the copy of the masks that were started, once they are filled.

        What the automaton raises comes from the call that asks for the masks.
        """
        failed = [task for task in self._tasks if task.exception() is not None]
        if failed or not self._tasks:
            return
        assert self._device is not None
        filled = self._buffer[: len(self._contexts)]
        if self._device.type != "cuda":
            self._sent = filled.to(self._device)
            return
        if self._stream is None:
            self._stream = torch.cuda.Stream(self._device)
        with torch.cuda.stream(self._stream):
            self._sent = filled.to(self._device, non_blocking=True)

    def __call__(self, contexts: Sequence[Context], device: torch.device) -> Tensor:
        """Return the masks of texts on a device."""
        self._device = device
        if not self._tasks or self._contexts != list(contexts):
            # Threads may still write into the buffer.
            for task in self._tasks:
                task.exception()
            self.start(contexts)
        if self._sent is None:
            self.send()
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.result()
        assert self._sent is not None
        if self._stream is not None:
            current = torch.cuda.current_stream(device)
            current.wait_stream(self._stream)
            # Else its memory could be given away while it is read.
            self._sent.record_stream(current)
        return self._sent

    def _rows(self, contexts: Sequence[Context]) -> Tensor:
        """Return the rows of the buffer to fill; the copy of those before has ended, as its reader has."""
        shape = (len(contexts), words(contexts[0]))
        if len(self._buffer) < shape[0]:
            pinned = self._device is not None and self._device.type == "cuda"
            self._buffer = torch.empty(shape, dtype=torch.int32, pin_memory=pinned)
        return self._buffer[: shape[0]]
