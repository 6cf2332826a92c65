"""The entry: checks that cost no synchronisation, and the choice of a backend."""

import warnings
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from types import ModuleType
from typing import Literal, get_args

import torch
from torch import Tensor

from structgen.kernels import _torch

Backend = Literal["auto", "torch", "triton"]

_DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


def apply_masks(
    logits: Tensor,
    masks: Tensor,
    rows: Tensor | None = None,
    *,
    vocabulary_size: int | None = None,
    backend: Backend = "auto",
    fill: float = -torch.inf,
) -> None:
    """Write `fill` to the logits of all tokens that packed masks exclude, in place.

    Token ``t`` is allowed by a mask where bit ``t % 32`` of its word ``t // 32`` is set. Tokens behind the
    end of the masks, or of the vocabulary, are excluded. Logits of allowed tokens stay as they are, NaN too.
    On a GPU nothing waits: the call puts work on the current stream and can be captured in a CUDA graph.

    Parameters
    ----------
    logits : Tensor
        float32, float16, bfloat16 or float64, shape ``(B, V)``, with any strides. Changed in place.
    masks : Tensor
        int32, shape ``(B, W)``, on the device of the logits; shape ``(N, W)`` if there are `rows`. Bits of
        tokens from ``V`` on are ignored.
    rows : Tensor, optional
        int32 or int64, shape ``(N,)``, on the device of the logits: mask ``i`` applies to row ``rows[i]``,
        and rows that are not listed stay as they are. They must be different, from 0 to ``B - 1``. All rows
        by default.
    vocabulary_size : int, optional
        Tokens from here on are excluded, whatever the masks say: the padding of logits that are wider than
        the vocabulary. From 1 to ``32 W``; ``32 W`` by default.
    backend : str
        ``"triton"``: one kernel that reads the masks and writes what they exclude, for GPUs (and for CPU
        tensors in Triton's interpreter). ``"torch"``: operations of PyTorch on any device, recorded by
        autograd. ``"auto"`` takes Triton on a GPU where it is installed and applies, else PyTorch; where
        Triton can't compile on this machine (it needs a C compiler), it says so once, and takes PyTorch.
    fill : float
        The logit of excluded tokens; minus infinity by default. Must be finite in the dtype, or infinite.

    Raises
    ------
    TypeError
        A dtype is none of these.
    ValueError
        Shapes or devices do not go together, `fill` overflows, an option is none of these, or, for logits on
        a CPU, `rows` lists a row twice or one that is not there. (On a GPU that is not checked, for it would
        wait; the Triton kernel leaves out rows that are not there.)
    ImportError
        The backend is ``"triton"`` and Triton is not installed.
    """
    width = _checked(logits, masks, rows, vocabulary_size, backend, fill)
    if not masks.shape[0] or not logits.shape[1]:
        return
    if not by_triton(backend, fits_triton(logits), lambda: _triton().apply(logits, masks, rows, width, fill)):
        _torch.apply(logits, masks, rows, width, fill)


def fits_triton(logits: Tensor) -> bool:
    """Return whether a kernel may write to logits: autograd would not see what it writes."""
    return logits.is_cuda and logits.dtype != torch.float64 and not logits.requires_grad


_gave_up = False


def by_triton(backend: str, fits: bool, call: Callable[[], None]) -> bool:
    """Call what launches a kernel, if the backend is Triton; return whether it was.

    ``"auto"`` is where it `fits`, until Triton has failed once: it compiles with the machine's C compiler,
    which need not be there.
    """
    global _gave_up
    if backend == "triton":
        call()
        return True
    if backend == "torch" or not fits or _gave_up or not _triton_installed():
        return False
    try:
        call()
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # of Triton, of the compiler that it calls, or of the driver
        _gave_up = True
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        warnings.warn(
            f"Triton does not run here ({reason}): masks are applied with operations of PyTorch, which take "
            'longer; backend="triton" shows the whole error',
            RuntimeWarning,
            stacklevel=4,
        )
        return False
    return True


def _checked(
    logits: Tensor,
    masks: Tensor,
    rows: Tensor | None,
    vocabulary_size: int | None,
    backend: str,
    fill: float,
) -> int:
    """Raise if the arguments do not go together; return the number of tokens that masks can allow."""
    if backend not in get_args(Backend):
        raise ValueError(f'backend is "auto", "torch" or "triton", not {backend!r}')
    if logits.dtype not in _DTYPES:
        raise TypeError(f"logits are float32, float16, bfloat16 or float64, not {logits.dtype}")
    if masks.dtype != torch.int32:
        raise TypeError(f"masks are packed in int32 words, not {masks.dtype}: masks.view(torch.int32)")
    if logits.dim() != 2 or masks.dim() != 2:
        raise ValueError(
            f"logits have shape (B, V) and masks (B, W), not {tuple(logits.shape)} and {tuple(masks.shape)}; "
            "logits[None] makes a row a batch"
        )
    if masks.device != logits.device:
        raise ValueError(
            f"masks are on {masks.device}, logits on {logits.device}: "
            f"masks.to({str(logits.device)!r}, non_blocking=True)"
        )
    if rows is None:
        if len(masks) != len(logits):
            raise ValueError(f"{len(masks)} masks for {len(logits)} rows of logits: `rows` says for which")
    else:
        _check_rows(logits, masks, rows)
    limit = 32 * masks.shape[1]
    if vocabulary_size is None:
        vocabulary_size = limit
    elif not 0 < vocabulary_size <= limit:
        raise ValueError(f"vocabulary_size is from 1 to the {limit} bits of a mask, not {vocabulary_size}")
    largest = torch.finfo(logits.dtype).max
    if fill != fill or largest < abs(fill) < torch.inf:
        raise ValueError(f"fill is {fill}, beyond {logits.dtype}: at least {-largest}, or -inf")
    return vocabulary_size


def _check_rows(logits: Tensor, masks: Tensor, rows: Tensor) -> None:
    if rows.dtype not in (torch.int32, torch.int64):
        raise TypeError(f"rows are int32 or int64, not {rows.dtype}")
    if rows.shape != masks.shape[:1]:
        raise ValueError(f"rows have shape ({len(masks)},), one for each mask, not {tuple(rows.shape)}")
    if rows.device != logits.device:
        raise ValueError(
            f"rows are on {rows.device}, logits on {logits.device}: rows.to({str(logits.device)!r})"
        )
    if rows.device.type == "cpu":
        listed = rows.tolist()
        if len(set(listed)) < len(listed) or not all(0 <= row < len(logits) for row in listed):
            raise ValueError(f"rows are different ones from 0 to {len(logits) - 1}, not {listed}")


@cache
def _triton_installed() -> bool:
    return find_spec("triton") is not None


def _triton() -> ModuleType:
    try:
        from structgen.kernels import _triton as module
    except ImportError as error:
        raise ImportError(
            f'backend="triton" needs Triton ({error}): pip install triton, or take backend="torch"'
        ) from error
    return module
