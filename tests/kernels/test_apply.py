"""``apply_masks`` next to a loop over tokens, with both backends; an interpreter stands in for a GPU."""

import math
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch import Tensor  # noqa: E402

import structgen.kernels  # noqa: E402
from structgen.kernels import apply_masks  # noqa: E402

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
GPU = torch.cuda.is_available()
# Pairs of a backend and the device of its tensors.
PLACES = [("torch", "cpu")]
if GPU:
    PLACES += [("torch", "cuda"), ("triton", "cuda"), ("auto", "cuda")]
if INTERPRETED:
    PLACES += [("triton", "cpu")]
DTYPES = [torch.float32, torch.float16, torch.bfloat16]

places = pytest.mark.parametrize(("backend", "device"), PLACES)


def naive(
    logits: list[list[float]], masks: list[list[int]], rows: list[int], width: int, fill: float
) -> list[list[float]]:
    """Return what `logits` become, by looking at one bit after the other."""
    found = [list(row) for row in logits]
    for mask, row in zip(masks, rows, strict=True):
        for token in range(len(found[row])):
            word, bit = divmod(token, 32)
            inside = token < width and word < len(mask)
            if not (inside and (mask[word] & 0xFFFFFFFF) >> bit & 1):
                found[row][token] = fill
    return found


def same(found: Tensor, wanted: list[list[float]]) -> bool:
    return torch.equal(found.cpu().double(), torch.tensor(wanted, dtype=torch.float64).reshape(found.shape))


# Words as constraints make them: all allowed, all excluded, a few of either, and the sign bit alone.
words = st.one_of(
    st.sampled_from([-1, 0, 1, -2, -(2**31), 2**31 - 1]), st.integers(min_value=-(2**31), max_value=2**31 - 1)
)


@st.composite
def cases(draw: st.DrawFn) -> dict[str, object]:
    batch = draw(st.integers(1, 4))
    columns = draw(st.one_of(st.integers(1, 100), st.integers(1000, 2100)))
    count = draw(st.integers(0, batch))
    rows = draw(st.none() | st.permutations(range(batch)).map(lambda found: found[:count]))
    needed = -(-columns // 32)
    held = max(1, needed + draw(st.integers(-3, 2)))
    # A run of equal words makes blocks that are wholly allowed or wholly excluded.
    run = draw(st.sampled_from([1, 8, 32, held]))
    masks = [
        list(draw(st.lists(words, min_size=-(-held // run), max_size=-(-held // run))))
        for _ in range(batch if rows is None else len(rows))
    ]
    masks = [[word for word in mask for _ in range(run)][:held] for mask in masks]
    return {
        "batch": batch,
        "columns": columns,
        "rows": rows,
        "masks": masks,
        "held": held,
        "vocabulary_size": draw(st.none() | st.integers(max(1, 32 * held - 70), 32 * held)),
        "dtype": draw(st.sampled_from(DTYPES)),
        "index": draw(st.sampled_from([torch.int32, torch.int64])),
        "layout": draw(st.sampled_from(["plain", "padded rows", "every other", "transposed"])),
        "fill": draw(st.sampled_from([-math.inf, -1000.0, 0.0])),
    }


def laid_out(plain: Tensor, layout: str) -> Tensor:
    """Return the numbers of `plain` in memory of another shape; around them are NaNs."""
    batch, columns = plain.shape
    if layout == "padded rows":
        found = plain.new_full((batch, columns + 3), math.nan)[:, 1 : columns + 1]
    elif layout == "every other":
        found = plain.new_full((2 * batch, 2 * columns), math.nan)[1::2, ::2]
    elif layout == "transposed":
        found = plain.new_empty((columns, batch)).T
    else:
        found = torch.empty_like(plain)
    return found.copy_(plain)


@places
@settings(max_examples=60, deadline=None)
@given(case=cases())
def test_it_is_the_loop_over_tokens(backend: str, device: str, case: dict[str, object]) -> None:
    batch, columns, held, fill = case["batch"], case["columns"], case["held"], case["fill"]
    generator = torch.Generator().manual_seed(columns)
    plain = torch.randn((batch, columns), generator=generator).to(case["dtype"])
    masks = torch.tensor(case["masks"], dtype=torch.int32).reshape(-1, held)
    logits = laid_out(plain.to(device), case["layout"])
    strided = masks.to(device)
    if case["layout"] == "transposed":
        strided = laid_out(strided, "transposed")
    rows = None if case["rows"] is None else torch.tensor(case["rows"], dtype=case["index"], device=device)
    around = logits._base.clone() if logits._base is not None else None
    apply_masks(logits, strided, rows, vocabulary_size=case["vocabulary_size"], backend=backend, fill=fill)
    listed = range(batch) if case["rows"] is None else case["rows"]
    width = case["vocabulary_size"] or 32 * held
    assert same(logits, naive(plain.double().tolist(), case["masks"], list(listed), width, fill))
    if around is not None:
        logits.copy_(plain.to(device))
        assert torch.equal(logits._base.nan_to_num(7.5), around.nan_to_num(7.5))


@places
@pytest.mark.parametrize("dtype", DTYPES)
def test_allowed_logits_keep_nan_and_infinities(backend: str, device: str, dtype: "torch.dtype") -> None:
    logits = torch.tensor([[math.nan, math.inf, -math.inf, math.nan, 1.0]], dtype=dtype, device=device)
    apply_masks(logits, torch.tensor([[0b00111]], dtype=torch.int32, device=device), backend=backend)
    assert logits[0].isnan().tolist() == [True, False, False, False, False]
    assert logits[0, 1:].tolist() == [math.inf, -math.inf, -math.inf, -math.inf]


@places
def test_padding_is_excluded_whatever_the_masks_say(backend: str, device: str) -> None:
    logits = torch.zeros((2, 70), device=device)
    masks = torch.full((2, 2), -1, dtype=torch.int32, device=device)
    apply_masks(logits, masks, backend=backend)
    assert (logits == 0).sum(1).tolist() == [64, 64]
    # Each call excludes one token more, at the ends of words too.
    for size in range(64, 0, -1):
        apply_masks(logits, masks, vocabulary_size=size, backend=backend)
        assert (logits[:, :size] == 0).all()
        assert logits[:, size:].isinf().all()


@places
def test_nothing_to_do(backend: str, device: str) -> None:
    none = torch.zeros((0, 3), dtype=torch.int32, device=device)
    logits = torch.ones((2, 70), device=device)
    apply_masks(logits, none, torch.zeros(0, dtype=torch.int64, device=device), backend=backend)
    assert logits.eq(1).all()
    apply_masks(logits[:0], none, backend=backend)
    apply_masks(logits[:, :0], torch.zeros((2, 3), dtype=torch.int32, device=device), backend=backend)
    assert logits.eq(1).all()


@pytest.mark.parametrize(("backend", "device"), [place for place in PLACES if place[0] == "triton"])
def test_the_kernel_leaves_out_rows_that_are_not_there(backend: str, device: str) -> None:
    from structgen.kernels import _triton

    storage = torch.ones((4, 40), device=device)
    masks = torch.zeros((3, 2), dtype=torch.int32, device=device)
    rows = torch.tensor([2, -1, 1], device=device)
    _triton.apply(storage[1:3], masks, rows, 64, -math.inf)
    assert storage.isinf().all(1).tolist() == [False, False, True, False]
    assert storage[[0, 1, 3]].eq(1).all()


@pytest.mark.parametrize(("backend", "device"), [place for place in PLACES if place[0] == "triton"])
@pytest.mark.parametrize(("block", "warps"), [(128, 1), (4096, 4)])
def test_other_blocks_give_the_same(backend: str, device: str, block: int, warps: int) -> None:
    from structgen.kernels import _triton

    words = [-1] * 130 + [0] * 130 + list(range(-20, 20))
    masks = torch.tensor([words, words[::-1]], dtype=torch.int32, device=device)
    logits = torch.randn((2, 9590), device=device).half()
    wanted = logits.clone()
    apply_masks(wanted, masks, backend="torch", vocabulary_size=9500)
    assert 0 < int(wanted.isinf().sum()) < wanted.numel()
    _triton.apply(logits, masks, None, 9500, -math.inf, block=block, warps=warps)
    assert torch.equal(logits, wanted)


def test_gradients_flow_to_allowed_logits_alone() -> None:
    leaf = torch.ones((1, 3), requires_grad=True)
    logits = leaf * 2
    apply_masks(logits, torch.tensor([[0b101]], dtype=torch.int32), fill=0.0)
    logits.sum().backward()
    assert leaf.grad.tolist() == [[2, 0, 2]]


def refused(
    kind: type[Exception],
    match: str,
    logits: Tensor,
    masks: Tensor,
    rows: Tensor | None = None,
    **options: object,
) -> None:
    before = logits.clone()
    with pytest.raises(kind, match=match):
        apply_masks(logits, masks, rows, **options)
    assert torch.equal(before, logits)


def test_what_does_not_go_together_is_refused() -> None:
    logits = torch.zeros((2, 40))
    masks = torch.zeros((2, 2), dtype=torch.int32)
    refused(TypeError, r"not torch.int64", logits.long(), masks)
    refused(TypeError, r"masks.view\(torch.int32\)", logits, masks.view(torch.uint32))
    refused(ValueError, r"logits\[None\]", logits[0], masks[0])
    refused(ValueError, r"1 masks for 2 rows", logits, masks[:1])
    refused(ValueError, r"masks are on meta", logits, masks.to("meta"))
    refused(ValueError, r"from 1 to the 64 bits", logits, masks, vocabulary_size=65)
    refused(ValueError, r"from 1 to the 64 bits", logits, masks, vocabulary_size=0)
    refused(ValueError, r"backend is", logits, masks, backend="cuda")
    refused(ValueError, r"beyond torch.float16", logits.half(), masks, fill=-1e9)
    refused(ValueError, r"fill is nan", logits, masks, fill=math.nan)
    refused(TypeError, r"rows are int32 or int64", logits, masks, torch.tensor([True, False]))
    refused(ValueError, r"one for each mask", logits, masks, torch.tensor([1]))
    refused(ValueError, r"rows are on meta", logits, masks, torch.tensor([1, 0], device="meta"))
    for wrong in ([1, 1], [0, 2], [-1, 0]):
        refused(ValueError, r"different ones from 0 to 1", logits, masks, torch.tensor(wrong))
    apply_masks(logits.double(), masks, torch.tensor([1, 0]), vocabulary_size=64, fill=-1e300)


@pytest.mark.skipif(INTERPRETED, reason="the interpreter takes tensors on a CPU")
def test_triton_refuses_tensors_on_a_cpu() -> None:
    pytest.importorskip("triton")
    logits, masks = torch.zeros((1, 32)), torch.zeros((1, 1), dtype=torch.int32)
    refused(ValueError, r'backend="torch".*TRITON_INTERPRET', logits, masks, backend="triton")
    refused(ValueError, r"float64", logits.double(), masks, backend="triton")


def test_without_triton_the_torch_path_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "structgen.kernels._triton", raising=False)
    monkeypatch.delattr(structgen.kernels, "_triton", raising=False)
    monkeypatch.setitem(sys.modules, "triton", None)
    logits, masks = torch.zeros((1, 32)), torch.zeros((1, 1), dtype=torch.int32)
    refused(ImportError, r"pip install triton", logits, masks, backend="triton")
    apply_masks(logits, masks)
    assert logits.isinf().all()


@pytest.mark.skipif(INTERPRETED, reason="this is the run that it starts")
def test_the_kernel_in_tritons_interpreter() -> None:
    pytest.importorskip("triton")
    # The interpreter is chosen when triton is imported, so a process of its own runs the tests of this file.
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "triton-cpu", __file__],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    assert " passed" in found.stdout
    assert " failed" not in found.stdout


def test_where_triton_fails_pytorch_takes_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine with a GPU, but without the C compiler that Triton calls."""
    from structgen.kernels import _apply

    calls = []

    class Broken:
        @staticmethod
        def apply(*arguments: object) -> None:
            calls.append(arguments)
            raise RuntimeError("Failed to find C compiler.\nPlease specify via CC")

    monkeypatch.setattr(_apply, "_gave_up", False)
    monkeypatch.setattr(_apply, "fits_triton", lambda logits: True)
    monkeypatch.setattr(_apply, "_triton_installed", lambda: True)
    monkeypatch.setattr(_apply, "_triton", lambda: Broken)
    masks = torch.tensor([[5]], dtype=torch.int32)
    logits = torch.zeros((1, 4))
    with pytest.warns(RuntimeWarning, match=r"Failed to find C compiler\.\): masks are"):
        apply_masks(logits, masks)
    assert logits.isfinite().tolist() == [[True, False, True, False]]
    # Once is enough.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        apply_masks(torch.zeros((1, 4)), masks)
    assert len(calls) == 1
    with pytest.raises(RuntimeError, match="C compiler"):
        apply_masks(logits, masks, backend="triton")
