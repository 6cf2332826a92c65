"""The masks of a draft in speculative decoding."""

from collections.abc import Sequence

import torch
from torch import Tensor

from structgen._errors import GuardDeadEnd
from structgen._outputs.constraint import Node, RowConstraint
from structgen.hf._apply import MaskBuffer
from structgen.hf._history import MAX_DRAFT

# Masks that are kept: of a draft and the position behind it.
_ROWS = MAX_DRAFT + 1


class RecentMasks:
    """The masks of a row alone, kept while a draft is written, verified and partly taken back.

    Every position of a draft is asked for twice or more: by the assistant (or by prompt lookup, which leaves
    out what the constraint forbids) and to verify it.

    Parameters
    ----------
    words : int
        32-bit words per mask.
    """

    def __init__(self, words: int) -> None:
        self._buffer = MaskBuffer(words)
        self._places: dict[Node | int, int] = {}
        self._used = 0
        self._device: torch.device | None = None

    def clear(self) -> None:
        """Forget all masks."""
        self._places = {}
        self._used = 0

    def get(
        self, constraint: RowConstraint, node: Node, draft: Sequence[Node], device: torch.device
    ) -> Tensor:
        """Return the mask of `node`, shape ``(1, W)``; the same call makes those of the draft behind it."""
        if device != self._device:
            # The buffer may move to pinned memory.
            self.clear()
            self._device = device
        key = _key(node)
        if key not in self._places:
            wanted = {key: node}
            for one in draft:
                if _key(one) not in self._places:
                    wanted.setdefault(_key(one), one)
            try:
                self._make(constraint, wanted, device)
            except GuardDeadEnd:
                if len(wanted) == 1:
                    raise
                # Which of them has no token is told when its turn comes, unless the draft is rejected before.
                self._make(constraint, {key: node}, device)
        return self._buffer.tensor(1, self._places[key])

    def _make(self, constraint: RowConstraint, wanted: dict[Node | int, Node], device: torch.device) -> None:
        if self._used + len(wanted) > _ROWS:
            self.clear()
        rows = self._buffer.rows(_ROWS, device)
        end = self._used + len(wanted)
        constraint.fill(list(wanted.values()), rows[self._used : end])
        self._places.update(zip(wanted, range(self._used, end), strict=True))
        self._used = end


def _key(node: Node) -> Node | int:
    """Return what nodes with the same mask share: all that have ended alike have one."""
    return node.state if node.ended else node
