"""Packed masks applied to logits in place, on whatever device these are (needs PyTorch; Triton for GPUs)."""

try:
    import torch as _pytorch  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"structgen.kernels needs PyTorch ({error}): pip install torch, or 'structgen[hf]'"
    ) from error

from structgen.kernels._apply import apply_masks

__all__ = ["apply_masks"]
