"""From packed masks to scores: one vectorised operation for the whole batch."""

import torch
from torch import Tensor

from structgen._outputs.interfaces import MaskArray
from structgen.kernels import apply_masks

# Where other processors have removed every token that the constraint allows, these tokens come back at this
# score: far below any real logit, yet finite, so that sampling and beam search go on with conforming tokens.
# (The -inf row would make greedy search emit token 0 and sampling raise.) Beam search starts its
# spare beams at -1e9, so a beam may meet this score hundreds of times before it falls behind those.
LOWEST_ALLOWED_SCORE = -1e6


class MaskBuffer:
    """A packed mask per row, in memory that is reused between steps.

    Parameters
    ----------
    words : int
        32-bit words per mask.
    """

    def __init__(self, words: int) -> None:
        self._words = words
        self._storage = torch.empty((0, words), dtype=torch.int32)

    def rows(self, count: int, device: torch.device) -> MaskArray:
        """Return an array of shape ``(count, words)`` to fill; it is pinned for CUDA devices."""
        pinned = device.type == "cuda"
        if len(self._storage) < count or (pinned and not self._storage.is_pinned()):
            self._storage = torch.empty((count, self._words), dtype=torch.int32, pin_memory=pinned)
        array: MaskArray = self._storage[:count].numpy()
        return array

    def tensor(self, count: int, start: int = 0) -> Tensor:
        """Return `count` rows from `start` on as a tensor over the same memory."""
        return self._storage[start : start + count]


def masked_scores(scores: Tensor, masks: Tensor) -> Tensor:
    """Return a copy of `scores` with minus infinity wherever `masks` has no bit.

    Parameters
    ----------
    scores : Tensor
        Floating point, shape ``(B, V)``. It is left as it is.
    masks : Tensor
        int32, shape ``(B, W)`` in host memory. Tokens from ``32 W`` on are not allowed.

    Returns
    -------
    Tensor
        Shape, dtype and device of `scores`. Allowed tokens keep their score, but for scores below
        :data:`LOWEST_ALLOWED_SCORE` (or below the least number of a narrower dtype), which are raised to it.
    """
    floor = max(LOWEST_ALLOWED_SCORE, torch.finfo(scores.dtype).min)
    masked = scores.clamp(min=floor)
    apply_masks(masked, masks.to(scores.device, non_blocking=True))
    return masked
