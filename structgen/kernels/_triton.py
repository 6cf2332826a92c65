"""Masks applied by one Triton kernel, which reads the masks and writes only what they exclude."""

from contextlib import AbstractContextManager, nullcontext

import torch
import triton
import triton.language as tl
from torch import Tensor

# Tokens per program, and its warps. One warp holds its block's 32 words in one register of each lane, so that
# telling whether the block is allowed, excluded or mixed takes shuffles and no barrier.
BLOCK = 1024
WARPS = 1


def check_logits(logits: Tensor) -> None:
    """Raise ValueError for logits that no kernel writes to."""
    if logits.dtype == torch.float64 or logits.requires_grad:
        raise ValueError('logits of float64, or with gradients: backend="torch"')


def device_of(tensor: Tensor, what: str) -> AbstractContextManager[object]:
    """Return the context in which kernels are launched on the device of a tensor.

    Raises
    ------
    ValueError
        It is not on a GPU, and Triton does not interpret; the message calls it `what`.
    """
    if tensor.is_cuda:
        # Triton launches on the current device.
        device: AbstractContextManager[object] = torch.cuda.device(tensor.device)
        return device
    if isinstance(_kernel, triton.JITFunction):
        raise ValueError(
            f'{what} are on {tensor.device}, and Triton compiles for GPUs: backend="torch", or set '
            "TRITON_INTERPRET=1 before Python starts to run the kernels in Triton's interpreter"
        )
    return nullcontext()


def apply(
    logits: Tensor,
    masks: Tensor,
    rows: Tensor | None,
    width: int,
    fill: float,
    *,
    block: int = BLOCK,
    warps: int = WARPS,
) -> None:
    """Apply masks whose shapes have been checked; tokens from `width` on are excluded.

    Raises
    ------
    ValueError
        The logits are not on a GPU, and Triton does not interpret; or they are float64, or autograd follows
        them.
    """
    check_logits(logits)
    count, columns = len(masks), logits.shape[1]
    with device_of(logits, "logits"):
        # Programs of a row are neighbours, and the second axis of a grid ends at 65535.
        _kernel[(triton.cdiv(columns, block) * count,)](
            logits,
            masks,
            rows,
            len(logits),
            columns,
            masks.shape[1],
            width,
            *logits.stride(),
            *masks.stride(),
            1 if rows is None else rows.stride(0),
            fill,
            block=block,
            num_warps=warps,
        )


# What differs between calls is not compiled into the kernel; strides and widths of a model are.
@triton.jit(  # type: ignore[untyped-decorator]
    do_not_specialize=["row_count", "mask_words", "width", "rows_step"]
)
def _kernel(  # type: ignore[no-untyped-def]
    logits,
    masks,
    rows,
    row_count,
    columns,
    mask_words,
    width,
    logits_stride,
    logits_step,
    masks_stride,
    masks_step,
    rows_step,
    fill,
    block: tl.constexpr,
):
    blocks = tl.cdiv(columns, block)
    # Offsets into logits of many rows pass 2**31.
    mask = (tl.program_id(0) // blocks).to(tl.int64)
    start = tl.program_id(0) % blocks * block
    row = mask if rows is None else tl.load(rows + mask * rows_step).to(tl.int64)
    if (row < 0) | (row >= row_count):
        return
    index = start // 32 + tl.arange(0, block // 32)
    words = tl.load(masks + mask * masks_stride + index * masks_step, mask=index < mask_words, other=0)
    # Of the word that the vocabulary ends in, the first bits count; of those behind it, none.
    left = tl.minimum(tl.maximum(width - index * 32, 0), 32)
    words = tl.where(left == 32, words, words & ((1 << (left & 31)) - 1))
    least = tl.min(words, axis=0)
    most = tl.max(words, axis=0)
    allowed = (least == -1) & (most == -1)
    excluded = (least == 0) & (most == 0)
    base = logits + row * logits_stride
    if excluded:
        # Without a condition per token, each lane stores 16 bytes at a time.
        tokens = start + tl.arange(0, block)
        values = tl.full((block,), fill, logits.dtype.element_ty)
        tl.store(base + tokens * logits_step, values, mask=tokens < columns)
    elif not allowed:
        bits = tl.arange(0, 32)[None, :]
        tokens = index[:, None] * 32 + bits
        unset = ((words[:, None] >> bits) & 1) == 0
        # Stores with a condition per token are not widened. Told that places are not aligned, the compiler
        # gives a lane one token rather than four or eight, and a warp's store is one run of memory.
        places = tl.multiple_of(base + tokens * logits_step, [1, 1])
        values = tl.full((block // 32, 32), fill, logits.dtype.element_ty)
        tl.store(places, values, mask=unset & (tokens < columns))
