"""Masks applied with operations of PyTorch: the reference, and the way on a CPU."""

import numpy as np
import torch
from torch import Tensor


def apply(logits: Tensor, masks: Tensor, rows: Tensor | None, width: int, fill: float) -> None:
    """Apply masks whose shapes have been checked; tokens from `width` on are excluded."""
    # The words are inverted before they become bits: 32 times less to invert.
    excluded = unpack(~masks)[:, : min(width, logits.shape[1])]
    missing = logits.shape[1] - excluded.shape[1]
    if missing:
        excluded = torch.nn.functional.pad(excluded, (0, missing), value=True)
    if rows is None:
        logits.masked_fill_(excluded, fill)
    else:
        logits[rows] = logits[rows].masked_fill_(excluded, fill)


def unpack(masks: Tensor) -> Tensor:
    """Unpack int32 masks of shape ``(B, W)`` to bool ``(B, 32 W)``."""
    return unpack_on_host(masks) if masks.device.type == "cpu" else unpack_on_device(masks)


def unpack_on_host(masks: Tensor) -> Tensor:
    """Unpack int32 masks of shape ``(B, W)`` to bool ``(B, 32 W)`` with NumPy, the faster way on a CPU."""
    octets = np.ascontiguousarray(masks.numpy(), dtype="<i4").view(np.uint8)
    return torch.from_numpy(np.unpackbits(octets, axis=1, bitorder="little")).view(torch.bool)


def unpack_on_device(masks: Tensor) -> Tensor:
    """Unpack int32 masks of shape ``(B, W)`` to bool ``(B, 32 W)`` by shifts, on whatever device they are."""
    shifts = torch.arange(32, dtype=torch.int32, device=masks.device)
    return ((masks.unsqueeze(-1) >> shifts) & 1).to(torch.bool).flatten(1)
