"""Every launch that the wrappers make, compiled as Triton would compile it for GPUs that need not be there.

Triton's own launcher looks at the arguments (dtypes, alignments, ones, None) and compiles; only the launch
itself is left out.
"""

import re
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
triton = pytest.importorskip("triton")

from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.runtime.driver import driver  # noqa: E402
from triton.runtime.jit import JITFunction  # noqa: E402

import structgen  # noqa: E402
from structgen.frozen import DeviceAutomaton, freeze_tables  # noqa: E402
from structgen.kernels import _frozen_triton, _triton, apply_masks  # noqa: E402

pytestmark = [
    pytest.mark.skipif(not isinstance(_triton._kernel, JITFunction), reason="Triton interprets"),
    # Triton says what its defaults will be in its next versions.
    pytest.mark.filterwarnings("ignore:.*FP_FUSION.*"),
]

KERNELS = (_triton._kernel, _frozen_triton._apply_kernel, _frozen_triton._step_kernel)


class NoGpu:
    """What Triton asks of a driver before it launches."""

    def __init__(self, capability: int) -> None:
        self._target = GPUTarget("cuda", capability, 32)

    def get_current_target(self) -> GPUTarget:
        return self._target

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0


# A100; H100 and H200.
@pytest.fixture(params=[80, 90], ids="sm_{}".format)
def compiled(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list]:
    """Compile instead of launching; the list gets what was compiled, and its grid."""
    found: list[tuple[object, tuple[int, ...]]] = []

    def launch(kernel: JITFunction, grid: tuple[int, ...]) -> object:
        return lambda *arguments, **options: found.append(
            (kernel.run(*arguments, grid=grid, warmup=True, **options), grid)
        )

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(JITFunction, "__getitem__", launch)
    for module in (_triton, _frozen_triton):
        monkeypatch.setattr(module, "device_of", lambda tensor, what: nullcontext())
    for kernel in KERNELS:
        kernel.device_caches.clear()
    before = driver._active
    driver.set_active(NoGpu(request.param))
    yield found
    driver.set_active(before)
    for kernel in KERNELS:
        kernel.device_caches.clear()
    assert found
    for kernel, grid in found:
        assert f"sm_{request.param}" in kernel.asm["ptx"]
        assert kernel.asm["cubin"]
        # What a GPU's first axis takes, and its programs' shared memory without asking for more.
        assert 0 < grid[0] < 2**31
        assert kernel.metadata.shared <= 48 << 10


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_masks(dtype: torch.dtype, compiled: list) -> None:
    for batch, columns, words in ((1, 131072, 4096), (4, 131072, 4096), (3, 1003, 32), (2, 1, 1)):
        logits = torch.zeros((batch, columns), dtype=dtype)
        masks = torch.zeros((batch, words), dtype=torch.int32)
        apply_masks(logits, masks, backend="triton")
    # Rows, strides and widths as others have them.
    for index in (torch.int32, torch.int64):
        apply_masks(logits[:0].new_zeros((5, 1003)), masks, torch.arange(2).to(index), backend="triton")
    apply_masks(
        torch.zeros((1003, 3), dtype=dtype).T,
        torch.zeros((3, 64), dtype=torch.int32)[:, ::2],
        backend="triton",
    )
    apply_masks(
        torch.zeros((3, 2006), dtype=dtype)[:, 1::2], masks[:1].expand(3, -1), backend="triton", fill=-1e4
    )


@pytest.mark.parametrize("dense_bytes", [1 << 30, 0], ids=["dense", "sparse"])
def test_frozen_automata(dense_bytes: int, compiled: list) -> None:
    vocabulary = structgen.Vocabulary([b"a", b"b", b"ab", b"c", b""], eos_token_ids=4, logits_size=70)
    for pattern in ("(ab)*c?", "a(b|c){3}(a|b)*"):
        lazy = structgen.compile_regex(pattern, vocabulary)
        automaton = DeviceAutomaton(freeze_tables(lazy, dense_bytes=dense_bytes), backend="triton")
        for batch in (1, 3, 200):
            states = automaton.start(batch)
            for index in (torch.int32, torch.int64):
                automaton.step(states, torch.zeros(batch, dtype=index), out=states)
            automaton.step(automaton.start(2 * batch)[::2], torch.zeros(2 * batch, dtype=torch.long)[::2])
            for dtype in (torch.float32, torch.bfloat16, torch.float16):
                for width in (70, 1024):
                    automaton.apply_(torch.zeros((batch, width), dtype=dtype), states)
        automaton.apply_(torch.zeros((70, 3)).T, automaton.start(6)[::2], fill=-1e4)
    masks = [kernel for kernel, _ in compiled if "_apply_kernel" in kernel.name]
    assert masks
    for kernel in masks:
        # A lane has a token at a time, so that the lanes of a store are neighbours.
        assert set(re.findall(r"sizePerThread = \[(\d+)\]", kernel.asm["ttgir"])) == {"1"}


def test_a_kernel_that_does_not_compile_is_told(compiled: list) -> None:
    # Blocks are powers of two.
    with pytest.raises(Exception, match="power of 2"):
        _triton.apply(torch.zeros((2, 96)), torch.zeros((2, 3), dtype=torch.int32), None, 96, 0.0, block=96)
    apply_masks(torch.zeros((2, 96)), torch.zeros((2, 3), dtype=torch.int32), backend="triton")
