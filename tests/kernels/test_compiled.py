"""The Triton kernel compiled for a GPU that need not be there: what an interpreter can't show."""

import re
from pathlib import Path

import pytest

triton = pytest.importorskip("triton")

from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.compiler import ASTSource  # noqa: E402

from structgen.kernels import _triton  # noqa: E402

pytestmark = [
    pytest.mark.skipif(not isinstance(_triton._kernel, triton.JITFunction), reason="Triton interprets"),
    # Triton says what its defaults will be in its next versions.
    pytest.mark.filterwarnings("ignore:.*FP_FUSION.*"),
]

# The strides of contiguous tensors are multiples of 16, and their steps 1.
ALIGNED = ("logits", "masks", "columns", "logits_stride", "masks_stride")


def compiled(dtype: str, index: str | None, columns: bool) -> dict[str, str]:
    """Compile for logits of a dtype and rows of type `index`; with `columns`, these are a multiple of 16."""
    kernel = _triton._kernel
    signature = dict.fromkeys(kernel.arg_names, "i32") | {
        "logits": f"*{dtype}",
        "masks": "*i32",
        "fill": "fp32",
    }
    constants = {"logits_step": 1, "masks_step": 1, "block": _triton.BLOCK}
    if index is None:
        constants["rows"] = None
    else:
        signature["rows"] = f"*{index}"
    signature |= dict.fromkeys(constants, "constexpr")
    names = [name for name in ALIGNED if columns or name not in ("columns", "logits_stride")]
    divisible = {(kernel.arg_names.index(name),): [["tt.divisibility", 16]] for name in names}
    source = ASTSource(kernel, signature, constexprs=constants, attrs=divisible)
    found = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": _triton.WARPS})
    return {stage: found.asm[stage] for stage in ("ttgir", "ptx")}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))


@pytest.mark.parametrize(("dtype", "bits"), [("fp32", 32), ("bf16", 16), ("fp16", 16)])
def test_it_reads_masks_alone_and_writes_wide(dtype: str, bits: int) -> None:
    stages = compiled(dtype, None, True)
    ptx = stages["ptx"]
    # One word of the mask a lane, and nothing of the logits.
    assert re.findall(r"ld\.global\S*", ptx) == ["ld.global.b32"]
    stores = re.findall(r"st\.global\S*", ptx)
    # An excluded block: 16 bytes a lane at a time. A mixed one: a token a lane at a time.
    assert stores.count("st.global.v4.b32") == _triton.BLOCK * bits // 8 // 16 // 32
    assert stores.count(f"st.global.b{bits}") == _triton.BLOCK // 32
    assert len(set(stores)) == 2
    # There, the lanes of a store are neighbours.
    assert "sizePerThread = [1, 1], threadsPerWarp = [1, 32]" in stages["ttgir"]
    assert "bar.sync" not in ptx


@pytest.mark.parametrize("index", ["i32", "i64"])
def test_rows_and_odd_widths_compile(index: str) -> None:
    ptx = compiled("bf16", index, False)["ptx"]
    assert sorted(re.findall(r"ld\.global\S*", ptx)) == sorted(["ld.global.b32", f"ld.global.b{index[1:]}"])
    assert "st.global.v4.b32" not in ptx
