"""The ``kernels`` run: masks applied to logits on a GPU, next to the bytes to move and to xgrammar."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jsonschemabench.engines import EngineUnavailableError
from jsonschemabench.gpu_parts import Clock, Report, environment, reason
from jsonschemabench.sampler_quality import Progress
from jsonschemabench.studies import counts, names

# What GPUs write at least: a sector of a cache line.
SECTOR = 32

# What masks look like, by the share of tokens that they exclude: a structural position, where a few tokens go
# on; a free string, where few tokens do not; and bits at random, the worst case for the number of stores.
MASKS = {"few allowed": 0.9998, "few excluded": 0.01, "random": 0.5}

DTYPES = ("float32", "bfloat16")
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
SHORT_BATCHES = (1, 16, 128)
VOCABULARY = 131072

# The plain fill of as many bytes, which the others are compared with.
BOUND = 1.3
FILL = "fill"
OURS = "structgen"

# Differences this small between two kernels are noise.
_NOISE = 1.05

# Takes logits and masks.
Kernel = Callable[[Any, Any], None]


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a call takes: on the device and on the host, in microseconds."""

    device: float
    host: float


@dataclass(frozen=True, slots=True)
class Row:
    """One shape of logits, one kind of mask.

    Attributes
    ----------
    dtype, masks, batch
        Of the logits; a name of :data:`MASKS`; rows.
    bytes : int
        Of the masks, and of the sectors of the logits that something is excluded in.
    timings : dict
        By kernel, :data:`FILL` among them; a text says why a kernel has none.
    """

    dtype: str
    masks: str
    batch: int
    bytes: int
    timings: Mapping[str, Timing | str]

    def ratio(self, kernel: str) -> float | None:
        """Return how many times the fill's time a kernel takes."""
        found, fill = self.timings.get(kernel), self.timings.get(FILL)
        if not isinstance(found, Timing) or not isinstance(fill, Timing):
            return None
        return found.device / fill.device


# Times kernels side by side, each over the same copies of logits and masks.
Timer = Callable[[Mapping[str, Callable[[int], None]], int], dict[str, "Timing | str"]]


def random_masks(excluded: float, shape: tuple[int, ...], vocabulary: int, device: str) -> Any:
    """Return packed masks that exclude this share of the tokens, each token by itself.

    Parameters
    ----------
    excluded
        From 0 to 1.
    shape
        Of the masks, without the words.
    vocabulary
        Tokens; a multiple of 32.
    device
        Where to make them.

    Returns
    -------
    Tensor
        int32, shape ``(*shape, vocabulary / 32)``.
    """
    import torch

    generator = torch.Generator(device).manual_seed(0)
    found = torch.zeros((*shape, vocabulary // 32), dtype=torch.int32, device=device)
    for bit in range(32):
        allowed = torch.rand(found.shape, generator=generator, device=device) >= excluded
        found |= allowed.int() << bit
    return found


def bytes_to_move(masks: Any, item: int) -> int:
    """Return the bytes of masks, and of the sectors of logits of `item` bytes each that they exclude from."""
    from structgen.kernels._torch import unpack_on_device

    tokens = SECTOR // item
    touched = sum(
        int((~unpack_on_device(part)).unflatten(1, (-1, tokens)).any(-1).sum()) for part in masks.split(8)
    )
    return int(4 * masks.numel() + SECTOR * touched)


def kernels(blocks: Sequence[tuple[int, int]]) -> dict[str, Kernel]:
    """Return what is timed: ours, ours with other blocks, and xgrammar's where it is installed."""
    from structgen.kernels import _triton, apply_masks

    # "auto" would hide that Triton fails.
    found: dict[str, Kernel] = {OURS: lambda logits, masks: apply_masks(logits, masks, backend="triton")}

    def with_block(block: int, warps: int) -> Kernel:
        def call(logits: Any, masks: Any) -> None:
            _triton.apply(logits, masks, None, 32 * masks.shape[1], -float("inf"), block=block, warps=warps)

        return call

    for block, warps in blocks:
        found[f"{OURS} {block}/{warps}"] = with_block(block, warps)
    try:
        import xgrammar
    except ImportError:
        return found

    def of_xgrammar(backend: Any) -> Kernel:
        return lambda logits, masks: xgrammar.apply_token_bitmask_inplace(logits, masks, backend=backend)

    found["xgrammar triton"] = of_xgrammar("triton")
    found["xgrammar cuda"] = of_xgrammar("cuda")
    return found


def measure(
    dtype: str,
    kind: str,
    batch: int,
    found: Mapping[str, Kernel],
    timer: Timer,
    *,
    device: str,
    vocabulary: int = VOCABULARY,
    cache: int = 0,
) -> Row:
    """Time kernels on one shape.

    Parameters
    ----------
    dtype
        Of the logits.
    kind
        One of :data:`MASKS`.
    batch
        Rows of logits.
    found
        Kernels by name. One that fails, or whose result is not that of PyTorch, is not timed.
    timer
        Times them.
    device
        Where the tensors are.
    vocabulary
        Columns of logits, a multiple of 32.
    cache
        Bytes of the device's cache: calls take turns on copies (256 at most) that it can't hold together.
    """
    import torch

    from structgen.kernels import apply_masks

    plain = torch.randn((batch, vocabulary), device=device).to(getattr(torch, dtype))
    item = plain.element_size()
    masks = random_masks(MASKS[kind], (batch,), vocabulary, device)
    size = bytes_to_move(masks, item)
    # Bytes of the copies that are in use, not of those that lie there.
    copies = min(max(1, -(-2 * cache // size)), 256)
    all_logits = plain.expand(copies, -1, -1).contiguous()
    all_masks = masks.expand(copies, -1, -1).contiguous()
    filled = torch.empty((copies, size), dtype=torch.uint8, device=device)
    wanted = plain.clone()
    apply_masks(wanted, masks, backend="torch")

    calls: dict[str, Callable[[int], None]] = {FILL: lambda copy: filled[copy].fill_(255)}
    failed: dict[str, Timing | str] = {}
    for name, kernel in found.items():
        one = plain.clone()
        try:
            kernel(one, masks)
        except Exception as error:  # whatever another project's kernel or its build raises
            failed[name] = reason(error)
            continue
        if not torch.equal(one, wanted):
            failed[name] = "another result than PyTorch's"
            continue
        calls[name] = lambda copy, kernel=kernel: kernel(all_logits[copy], all_masks[copy])  # type: ignore[misc]
    return Row(dtype, kind, batch, size, {**timer(calls, copies), **failed})


def time_on_gpu(calls: Mapping[str, Callable[[int], None]], copies: int) -> dict[str, Timing | str]:
    """Time calls as CUDA graphs that go through all copies, in turns; the medians of the rounds.

    A graph has no launches by the host in it, which take longer than the smaller of these kernels. They are
    timed for themselves, without a graph.
    """
    import torch

    repeats = max(copies, 32)
    graphs, found = {}, {}
    failed: dict[str, Timing | str] = {}
    for name, call in calls.items():
        try:
            graph = torch.cuda.CUDAGraph()
            # A capture that fails leaves its stream the current one.
            with torch.cuda.stream(torch.cuda.current_stream()), torch.cuda.graph(graph):
                for index in range(repeats):
                    call(index % copies)
        except Exception as error:  # a kernel that waits for the host can't be captured
            torch.cuda.synchronize()
            failed[name] = f"no CUDA graph: {reason(error)}"
            continue
        graphs[name] = graph
        found[name] = list[float]()
    for turn in range(23):
        for name, graph in graphs.items():
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            graph.replay()
            end.record()
            end.synchronize()
            if turn >= 3:
                found[name].append(begin.elapsed_time(end) * 1e3 / repeats)
    return {
        **{name: Timing(statistics.median(times), _host_time(calls[name])) for name, times in found.items()},
        **failed,
    }


def _host_time(call: Callable[[int], None]) -> float:
    """Return the processor time of the host for a call, in microseconds."""
    import torch

    times = []
    for _ in range(5):
        torch.cuda.synchronize()
        # As many as fit into the queue of the device: a full one would make the host wait.
        start = time.thread_time_ns()
        for _ in range(100):
            call(0)
        times.append((time.thread_time_ns() - start) / 1e5)
    torch.cuda.synchronize()
    return statistics.median(times)


def tables(rows: Sequence[Row]) -> list[tuple[str, list[str], list[list[str]]]]:
    """Return tables of title, header and cells, one for each dtype and kind of mask."""
    found = []
    for dtype, kind in dict.fromkeys((row.dtype, row.masks) for row in rows):
        part = [row for row in rows if (row.dtype, row.masks) == (dtype, kind)]
        others = list(dict.fromkeys(name for row in part for name in row.timings if name != FILL))
        header = ["batch", "MB to move", "fill µs"]
        for name in others:
            header += [f"{name} µs", "of the fill", "host µs"]
        cells = []
        for row in part:
            fill = row.timings.get(FILL)
            line = [str(row.batch), f"{row.bytes / 1e6:.3f}"]
            line.append(f"{fill.device:.2f}" if isinstance(fill, Timing) else "-")
            for name in others:
                timing, ratio = row.timings.get(name), row.ratio(name)
                if isinstance(timing, Timing):
                    line += [
                        f"{timing.device:.2f}",
                        "-" if ratio is None else f"{ratio:.2f}",
                        f"{timing.host:.1f}",
                    ]
                else:
                    line += ["-", "-", "-"]
            cells.append(line)
        found.append((f"{dtype}, masks: {kind}", header, cells))
    return found


def missed(rows: Sequence[Row], bound: float) -> list[str]:
    """Return where ours takes over `bound` times the fill's time, or longer than a kernel of xgrammar."""
    found = []
    for row in rows:
        where = f"{row.dtype}, {row.masks}, batch {row.batch}"
        ours, ratio = row.timings.get(OURS, "not timed"), row.ratio(OURS)
        if not isinstance(ours, Timing):
            found.append(f"{where}: {ours}")
            continue
        if ratio is not None and ratio > bound:
            found.append(f"{where}: {ratio:.2f} times the fill's time, over {bound:g}")
        for name, timing in row.timings.items():
            slower = isinstance(timing, Timing) and ours.device > _NOISE * timing.device
            if name.startswith("xgrammar") and slower:
                found.append(f"{where}: slower than {name}")
    return found


@dataclass(frozen=True, slots=True)
class Shapes:
    """What is timed: dtypes and kinds of masks by name, batches, and our kernel's other sizes of programs."""

    dtypes: Sequence[str]
    kinds: Sequence[str]
    batches: Sequence[int]
    blocks: Sequence[tuple[int, int]] = ()
    leave_out: Sequence[str] = ()


def shapes(*, short: bool) -> Shapes:
    """Return those of a whole run, or of a short one, without a kernel that takes a minute to compile."""
    if short:
        return Shapes(DTYPES, tuple(MASKS), SHORT_BATCHES, leave_out=("xgrammar cuda",))
    return Shapes(DTYPES, tuple(MASKS), BATCHES)


def run(
    what: Shapes,
    bound: float,
    report: Report,
    clock: Clock,
    progress: Callable[[int], AbstractContextManager[Progress]],
) -> list[str]:
    """Time kernels on the current GPU; print tables as they come, and return what :func:`missed` does."""
    import torch

    cache = torch.cuda.get_device_properties(torch.cuda.current_device()).L2_cache_size
    found = {name: kernel for name, kernel in kernels(what.blocks).items() if name not in what.leave_out}
    report.line(f"vocabulary {VOCABULARY}")
    rows: list[Row] = []
    with progress(len(what.dtypes) * len(what.kinds) * len(what.batches)) as bar:
        for dtype in what.dtypes:
            for kind in what.kinds:
                part = []
                for batch in what.batches:
                    if clock.over:
                        report.line(f"{dtype}, {kind}, batch {batch}: left out, the time is up")
                        continue
                    try:
                        row = measure(dtype, kind, batch, found, time_on_gpu, device="cuda", cache=cache)
                    except Exception as error:
                        report.failed(f"kernels, {dtype}, {kind}, batch {batch}")
                        row = Row(dtype, kind, batch, 0, dict.fromkeys((FILL, *found), reason(error)))
                    part.append(row)
                    report.row(row)
                    bar.advance(f"{dtype} {kind} {batch}")
                for title, header, cells in tables(part):
                    report.table(title, header, cells)
                rows += part
    reasons = {(name, why) for row in rows for name, why in row.timings.items() if isinstance(why, str)}
    for name, why in sorted(reasons):
        report.line(f"{name}: {why}")
    return missed(rows, bound)


# -- the command -------------------------------------------------------------------------------------------


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command to those of the command line."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "kernels",
        help="masks applied to logits on a GPU, next to the bytes to move and to xgrammar",
    )
    parser.add_argument("--dtypes", help=f"comma-separated (default: {','.join(DTYPES)})")
    parser.add_argument("--masks", help=f"comma-separated (default: {','.join(MASKS)})")
    parser.add_argument("--batches", help=f"(default: {','.join(map(str, BATCHES))})")
    parser.add_argument(
        "--short", action="store_true", help="in half a minute: three batches, without xgrammar's CUDA kernel"
    )
    parser.add_argument(
        "--blocks",
        default="",
        metavar="TOKENS:WARPS",
        help="comma-separated: also our kernel with these, such as 2048:2,4096:4",
    )
    parser.add_argument(
        "--bound",
        type=float,
        default=BOUND,
        help="fail over this multiple of the fill (default: %(default)s)",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="keep there what is printed, and rows as JSON lines"
    )
    parser.add_argument("--plain", action="store_true", help="plain text even where rich is installed")
    return parser


def command(options: argparse.Namespace, progress: Callable[[int], AbstractContextManager[Progress]]) -> int:
    """Run the command.

    Returns
    -------
    int
        0, or 1 if ours missed the bound, was slower than xgrammar, or could not be timed.

    Raises
    ------
    ValueError
        An option is wrong.
    EngineUnavailableError
        There is no GPU, or no PyTorch or Triton.
    """
    what = shapes(short=options.short)
    if options.dtypes is not None:
        what = replace(what, dtypes=names(options.dtypes, (*DTYPES, "float16"), "--dtypes"))
    if options.masks is not None:
        what = replace(what, kinds=names(options.masks, MASKS, "--masks"))
    if options.batches is not None:
        what = replace(what, batches=counts(options.batches, "--batches"))
    try:
        what = replace(what, blocks=[_block(part) for part in options.blocks.split(",") if part])
    except ValueError:
        raise ValueError("--blocks wants TOKENS:WARPS, separated by commas") from None
    try:
        import torch
        import triton  # noqa: F401
    except ImportError as error:
        raise EngineUnavailableError(f"the kernels run needs PyTorch and Triton ({error})") from error
    if not torch.cuda.is_available():
        raise EngineUnavailableError("no GPU: this run times kernels on one, and PyTorch finds none")
    report = Report("kernels", options.out, plain=options.plain)
    for line in environment("cuda"):
        report.line(line)
    misses = run(what, options.bound, report, Clock(), progress)
    for miss in misses:
        report.line(f"missed: {miss}")
    return int(bool(misses or report.failures))


def _block(text: str) -> tuple[int, int]:
    block, warps = map(int, text.split(":"))
    # Triton's blocks are powers of two, and ours of whole words.
    if block < 32 or block & (block - 1) or warps not in (1, 2, 4, 8, 16, 32):
        raise ValueError
    return block, warps
