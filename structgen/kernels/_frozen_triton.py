"""Masks and steps of frozen automata as Triton kernels: one launch each, nothing read by the host."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from structgen.kernels._frozen import Tensors
from structgen.kernels._triton import check_logits, device_of

# Tokens per program of the mask, and rows per program of the step; their warps.
BLOCK, WARPS = 1024, 4
ROWS = 128


def apply(
    tables: Tensors, logits: Tensor, states: Tensor, fill: float, *, block: int = BLOCK, warps: int = WARPS
) -> None:
    """Write `fill` to the logits that the states of their rows do not allow; shapes have been checked.

    Raises
    ------
    ValueError
        The logits are not on a GPU, and Triton does not interpret; or they are float64, or autograd follows
        them.
    """
    check_logits(logits)
    if not logits.numel():
        return
    columns = logits.shape[1]
    with device_of(logits, "logits"):
        _apply_kernel[(triton.cdiv(columns, block) * len(logits),)](
            logits,
            states,
            tables.class_of_token,
            tables.allowed,
            columns,
            tables.class_of_token.shape[0],
            tables.states,
            tables.allowed.shape[1],
            *logits.stride(),
            states.stride(0),
            fill,
            block=block,
            num_warps=warps,
        )


def step(tables: Tensors, states: Tensor, tokens: Tensor, out: Tensor) -> None:
    """Write the states after `tokens` to `out`; shapes have been checked.

    Raises
    ------
    ValueError
        The states are not on a GPU, and Triton does not interpret.
    """
    if not len(states):
        return
    with device_of(states, "the states"):
        _step_kernel[(triton.cdiv(len(states), ROWS),)](
            states,
            tokens,
            out,
            tables.class_of_token,
            tables.next_state,
            tables.row_begin,
            tables.row_class,
            tables.row_next,
            len(states),
            tables.class_of_token.shape[0],
            tables.states,
            tables.classes,
            states.stride(0),
            tokens.stride(0),
            out.stride(0),
            halvings=tables.halvings,
            block=ROWS,
            num_warps=WARPS,
        )


@triton.jit(  # type: ignore[untyped-decorator]
    do_not_specialize=["size", "state_count", "words", "states_step"]
)
def _apply_kernel(  # type: ignore[no-untyped-def]
    logits,
    states,
    class_of_token,
    allowed,
    columns,
    size,
    state_count,
    words,
    logits_stride,
    logits_step,
    states_step,
    fill,
    block: tl.constexpr,
):
    blocks = tl.cdiv(columns, block)
    # Offsets into logits of many rows, and into masks of many states, pass 2**31.
    row = (tl.program_id(0) // blocks).to(tl.int64)
    state = tl.load(states + row * states_step).to(tl.int64)
    # What is no state is DEAD.
    state = tl.where((state >= 0) & (state < state_count), state, 0)
    tokens = tl.program_id(0) % blocks * block + tl.arange(0, block)
    # Told that places are not aligned, the compiler gives a lane a token at a time, not four or eight: stores
    # with a condition per token are not widened, and so a warp's store is one run of memory.
    of = tl.load(tl.multiple_of(class_of_token + tokens, [1]), mask=tokens < size, other=0)
    word = tl.load(allowed + state * words + (of >> 5))
    # Class 0, that of columns behind the vocabulary, is never allowed.
    unset = ((word >> (of & 31)) & 1) == 0
    values = tl.full((block,), fill, logits.dtype.element_ty)
    places = tl.multiple_of(logits + row * logits_stride + tokens * logits_step, [1])
    tl.store(places, values, mask=unset & (tokens < columns))


@triton.jit(  # type: ignore[untyped-decorator]
    do_not_specialize=["rows", "size", "state_count", "classes", "states_step", "tokens_step", "out_step"]
)
def _step_kernel(  # type: ignore[no-untyped-def]
    states,
    tokens,
    out,
    class_of_token,
    next_state,
    row_begin,
    row_class,
    row_next,
    rows,
    size,
    state_count,
    classes,
    states_step,
    tokens_step,
    out_step,
    halvings: tl.constexpr,
    block: tl.constexpr,
):
    row = tl.program_id(0) * block + tl.arange(0, block)
    inside = row < rows
    state = tl.load(states + row * states_step, mask=inside, other=0).to(tl.int64)
    state = tl.where((state >= 0) & (state < state_count), state, 0)
    token = tl.load(tokens + row * tokens_step, mask=inside, other=-1).to(tl.int64)
    of = tl.load(class_of_token + token, mask=(token >= 0) & (token < size), other=0)
    if next_state is None:
        low = tl.load(row_begin + state)
        end = tl.load(row_begin + state + 1)
        high = end
        for _ in range(halvings):
            middle = (low + high) // 2
            open_ = low < high
            behind = open_ & (tl.load(row_class + middle, mask=open_, other=0) < of)
            low = tl.where(behind, middle + 1, low)
            high = tl.where(behind, high, middle)
        found = low < end
        same = found & (tl.load(row_class + low, mask=found, other=-1) == of)
        to = tl.load(row_next + low, mask=same, other=0)
    else:
        to = tl.load(next_state + state * classes + of)
    tl.store(out + row * out_step, to, mask=inside)
