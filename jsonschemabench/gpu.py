"""The ``gpu`` run: what a constraint adds to the time of a token of a language model with random weights.

It runs alone on a machine with a GPU and prints one table, after which come those of the ``kernels`` run. The
shape ``tiny`` runs anywhere, to see that it runs: its ratios say nothing about a large model.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structgen
from jsonschemabench import demo_schemas, kernels, vocabularies
from jsonschemabench.engines import EngineUnavailableError
from jsonschemabench.report import Printer
from jsonschemabench.sampler_quality import Interval, Progress, bootstrap
from jsonschemabench.studies import counts, names

if TYPE_CHECKING:
    from jsonschemabench.decoding_ways import Way
    from jsonschemabench.vocabularies import BenchVocabulary

BATCHES = (1, 16, 128)
BOUND = 1.01

# Configurations of transformers' Llama. The first is that of Llama 3 8B, but for the vocabulary.
SHAPES: dict[str, dict[str, Any]] = {
    "llama-3-8b": {
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "max_position_embeddings": 8192,
        "rms_norm_eps": 1e-5,
        "rope_parameters": {"rope_type": "default", "rope_theta": 500000.0},
    },
    "tiny": {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 1024,
    },
}

WAYS = ("loop", "processor", "xgrammar", "llguidance")
_PACKAGES = ("torch", "transformers", "triton", "xgrammar", "llguidance")


@dataclass(frozen=True, slots=True)
class Cell:
    """One way on one schema and batch.

    Attributes
    ----------
    batch, schema, way
        Which.
    seconds : tuple of float
        Of a decoded step of the whole batch, one for each repeat; empty where the engine refused.
    refusal : str
        Why there are no times.
    """

    batch: int
    schema: str
    way: str
    seconds: tuple[float, ...]
    refusal: str = ""


def build(shape: str, vocabulary: int, device: str, dtype: str, seed: int) -> Any:
    """Return a Llama with random weights, in evaluation mode, without end tokens."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(vocab_size=vocabulary, eos_token_id=None, bos_token_id=None, **SHAPES[shape])
    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, dtype))
    try:
        with torch.device(device):
            model = LlamaForCausalLM(config)
    finally:
        torch.set_default_dtype(before)
    return model.eval()


def time_ways(
    model: Any, ways: Mapping[str, Way], prompt: Any, texts: Sequence[Sequence[int]], repeats: int
) -> dict[str, tuple[float, ...]]:
    """Return the seconds of a step by way, one for each repeat.

    The ways take turns, each first as often as the others, so that what changes over time changes all. Before
    that, each is run once, which fills caches: of masks, of compiled kernels, of memory.
    """
    import torch

    def wait() -> None:
        if prompt.is_cuda:
            torch.cuda.synchronize(prompt.device)

    found: dict[str, list[float]] = {name: [] for name in ways}
    order = list(ways)
    for turn in range(repeats + 1):
        for name in order:
            wait()
            begin = time.perf_counter()
            ways[name](model, prompt, texts)
            wait()
            if turn:
                found[name].append((time.perf_counter() - begin) / len(texts[0]))
        order = [*order[1:], order[0]]
    return {name: tuple(seconds) for name, seconds in found.items()}


def lessons(texts: Sequence[str], vocabulary: BenchVocabulary, tokens: int) -> list[list[int]]:
    """Return the first tokens of those texts that have so many.

    Raises
    ------
    ValueError
        No text has.
    """
    encoded = [vocabulary.encode(text) for text in texts]
    found = [ids[:tokens] for ids in encoded if len(ids) >= tokens]
    if not found:
        raise ValueError(f"--tokens {tokens}: the longest text has {max(map(len, encoded))} tokens")
    return found


def ratio(cells: Sequence[Cell], way: str, baseline: str, batch: int) -> Interval | None:
    """Return how many times the baseline's time a way takes: geometric mean, and its interval of 95 percent.

    Pairs of one repeat are the samples, drawn again within their schema; every schema counts the same.
    """
    by = {(cell.schema, cell.way): cell for cell in cells if cell.batch == batch}
    groups = [
        [math.log(a / b) for a, b in zip(cell.seconds, by[schema, baseline].seconds, strict=True)]
        for (schema, name), cell in by.items()
        if name == way and cell.seconds
    ]
    if not groups:
        return None
    log = bootstrap(groups)
    return Interval(math.exp(log.mean), math.exp(log.low), math.exp(log.high))


def table(cells: Sequence[Cell]) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows: one for each batch and way."""
    from jsonschemabench.decoding_ways import BASELINES

    header = ["way", "batch", "schemas", "ms a token", "over unconstrained", "95 percent"]
    rows = []
    for batch, way in dict.fromkeys((cell.batch, cell.way) for cell in cells):
        part = [cell for cell in cells if (cell.batch, cell.way) == (batch, way) and cell.seconds]
        line = [way, str(batch), str(len(part))]
        line.append(
            f"{1e3 * statistics.fmean(statistics.median(c.seconds) for c in part):.3f}" if part else "-"
        )
        found = ratio(cells, way, BASELINES[way], batch) if way in BASELINES else None
        line += ["-", "-"] if found is None else [f"{found.mean:.4f}", f"[{found.low:.4f}, {found.high:.4f}]"]
        rows.append(line)
    return header, rows


def missed(cells: Sequence[Cell], bound: float) -> list[str]:
    """Return where our own loop is over the bound: where all of the interval is."""
    from jsonschemabench.decoding_ways import LOOP, LOOP_FREE

    found = []
    for batch in dict.fromkeys(cell.batch for cell in cells):
        interval = ratio(cells, LOOP, LOOP_FREE, batch)
        if interval is not None and interval.low > bound:
            found.append(f"batch {batch}: {interval.mean:.4f} times the unconstrained time, over {bound:g}")
    return found


# -- the command -------------------------------------------------------------------------------------------


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command to those of the command line."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "gpu",
        help="what a constraint adds to the time of a token of a large model, next to other engines",
    )
    parser.add_argument("--shape", choices=SHAPES, default="llama-3-8b", help="(default: %(default)s)")
    parser.add_argument("--device", default=None, help="cuda by default, cpu for the shape tiny")
    parser.add_argument("--dtype", default=None, help="bfloat16 by default, float32 on the CPU")
    parser.add_argument("--batches", default=",".join(map(str, BATCHES)), help="(default: %(default)s)")
    parser.add_argument("--ways", default=",".join(WAYS), help="comma-separated (default: %(default)s)")
    parser.add_argument("--schemas", type=Path, help="a folder of JSON Schemas (default: the demo's)")
    parser.add_argument("--vocabulary", default="tekken", help="(default: %(default)s)")
    parser.add_argument("--tokens", type=int, default=64, help="of each text (default: %(default)s)")
    parser.add_argument(
        "--texts", type=int, default=32, help="to write for each schema (default: %(default)s)"
    )
    parser.add_argument("--repeats", type=int, default=10, help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of weights and texts (default: %(default)s)")
    parser.add_argument(
        "--bound",
        type=float,
        default=BOUND,
        help="fail where our own loop is surely over this ratio, on a GPU (default: %(default)s)",
    )
    parser.add_argument("--no-kernels", action="store_true", help="leave out the kernels run")
    parser.add_argument("--plain", action="store_true", help="plain text even where rich is installed")
    return parser


def command(options: argparse.Namespace, progress: Callable[[int], AbstractContextManager[Progress]]) -> int:
    """Run the command.

    Returns
    -------
    int
        0, or 1 if our own loop or our kernel missed its bound on a GPU.

    Raises
    ------
    ValueError
        An option is wrong.
    EngineUnavailableError
        There is no GPU for a shape that needs one, or a library is missing.
    """
    chosen = names(options.ways, WAYS, "--ways")
    batches = counts(options.batches, "--batches")
    if min(options.tokens, options.texts, options.repeats) < 1:
        raise ValueError("--tokens, --texts and --repeats are 1 at least")
    try:
        import torch

        from jsonschemabench import decoding_ways
    except ImportError as error:
        raise EngineUnavailableError(f"the gpu run needs PyTorch and transformers ({error})") from error
    device = options.device or ("cpu" if options.shape == "tiny" else "cuda")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise EngineUnavailableError("no GPU: PyTorch finds none; --shape tiny runs on the CPU")
    on_gpu = device.startswith("cuda")
    vocabulary = vocabularies.load(options.vocabulary)
    schemas = demo_schemas.load(options.schemas)
    texts = demo_schemas.write(schemas, options.texts, 6 * options.tokens, options.seed)
    taught = {name: lessons(texts[name], vocabulary, options.tokens) for name in schemas}
    dtype = options.dtype or ("bfloat16" if on_gpu else "float32")
    model = build(options.shape, vocabulary.size, device, dtype, options.seed)
    prompt = torch.tensor([vocabulary.encode("As JSON:\n")], device=device)
    engines = decoding_ways.Engines(vocabulary)
    all_ways = dict(zip(WAYS, decoding_ways.BASELINES, strict=True))
    cells = []
    with progress(len(schemas) * len(batches)) as bar:
        for name, schema in schemas.items():
            ways: dict[str, Way] = {}
            for way in chosen:
                try:
                    ways |= engines.ways([all_ways[way]], schema, taught[name])
                except decoding_ways.RefusedError as error:
                    cells += [Cell(batch, name, all_ways[way], (), str(error)) for batch in batches]
            for batch in batches:
                rows = [taught[name][row % len(taught[name])] for row in range(batch)]
                times = time_ways(model, ways, prompt, rows, options.repeats)
                cells += [Cell(batch, name, way, seconds) for way, seconds in times.items()]
                bar.advance(f"{name} {batch}")
    printer = Printer(plain=options.plain)
    where = torch.cuda.get_device_name(device) if on_gpu else f"CPU, {torch.get_num_threads()} threads"
    found = ", ".join(f"{name} {_version(name)}" for name in _PACKAGES)
    printer.line(f"{where}; structgen {structgen.__version__}, {found}")
    printer.line(
        f"shape {options.shape}, {dtype}, random weights; vocabulary {options.vocabulary}; "
        f"{options.tokens} tokens taught, {options.repeats} repeats, seed {options.seed}"
    )
    cells.sort(key=lambda cell: cell.batch)
    printer.table("Time of a token, with and without a constraint", *table(cells))
    for refusal in sorted({f"{cell.schema}: {cell.refusal}" for cell in cells if cell.refusal}):
        printer.line(refusal)
    if not on_gpu:
        printer.line("on a CPU: no verdict, and no kernels")
        return 0
    misses = missed(cells, options.bound)
    for miss in misses:
        printer.line(f"missed: {miss}")
    if options.no_kernels:
        return int(bool(misses))
    parser = argparse.ArgumentParser()
    arguments = ["kernels", *(["--plain"] if options.plain else [])]
    kernels.add_parser(parser.add_subparsers())
    return max(int(bool(misses)), kernels.command(parser.parse_args(arguments), progress))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"
