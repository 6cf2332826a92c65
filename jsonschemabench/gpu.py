"""The ``gpu`` run: what a constraint adds to the time of a token of a language model with random weights.

It runs alone on a machine with a GPU, in parts that fail alone: checks that the code for GPUs does what it
should, the ``kernels`` run, steps under frozen automata, and decoding next to other engines. The shape
``tiny`` runs anywhere, to see that it runs: its ratios say nothing about a large model.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonschemabench import demo_schemas, kernels, vocabularies
from jsonschemabench.engines import EngineUnavailableError
from jsonschemabench.gpu_parts import Clock, Report, environment, reason
from jsonschemabench.sampler_quality import Interval, Progress, bootstrap
from jsonschemabench.studies import counts, names

if TYPE_CHECKING:
    from jsonschemabench.decoding_ways import Way
    from jsonschemabench.vocabularies import BenchVocabulary

BOUND = 1.01

PARTS = ("checks", "kernels", "frozen", "ways")
_FROZEN_SCHEMA = "invoice"
# Tokens of the tiny model: no text of the demo's schemas takes more, at the least.
_LONG_ENOUGH = 144

# What options are that were not given: in a whole run, and in one of a few minutes.
_WHOLE: dict[str, Any] = {"batches": "1,16,128", "tokens": 64, "texts": 32, "repeats": 10, "seconds": None}
_SHORT: dict[str, Any] = {"batches": "1,16,128", "tokens": 24, "texts": 4, "repeats": 3, "seconds": 180.0}

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
    model: Any,
    ways: Mapping[str, Way],
    prompt: Any,
    texts: Sequence[Sequence[int]],
    repeats: int,
    clock: Clock | None = None,
    failed: Callable[[str, Exception], None] | None = None,
) -> dict[str, tuple[float, ...]]:
    """Return the seconds of a step by way, one for each repeat.

    The ways take turns, each first as often as the others, so that what changes over time changes all. Before
    that, each is run once, which fills caches: of masks, of compiled kernels, of memory. When the time is up,
    no further turn begins, once there is one. A way that fails is told to `failed`, and left out.
    """
    import torch

    def wait() -> None:
        if prompt.is_cuda:
            torch.cuda.synchronize(prompt.device)

    found: dict[str, list[float]] = {name: [] for name in ways}
    order = list(ways)
    for turn in range(repeats + 1):
        if clock is not None and clock.over and turn > 1:
            break
        for name in list(order):
            try:
                wait()
                begin = time.perf_counter()
                ways[name](model, prompt, texts)
                wait()
            except Exception as error:
                if failed is None:
                    raise
                failed(name, error)
                order.remove(name)
                del found[name]
                continue
            if turn:
                found[name].append((time.perf_counter() - begin) / len(texts[0]))
        order = [*order[1:], *order[:1]]
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
        if name == way and cell.seconds and (schema, baseline) in by and by[schema, baseline].seconds
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


def compare(
    model: Any,
    prompt: Any,
    vocabulary: BenchVocabulary,
    schemas: Mapping[str, Any],
    chosen: Sequence[str],
    batches: Sequence[int],
    options: argparse.Namespace,
    report: Report,
    clock: Clock,
) -> list[Cell]:
    """Time all ways on all schemas and batches; print each as it is done, and a table at the end."""
    from jsonschemabench import decoding_ways

    texts = demo_schemas.write(
        dict(schemas), options.texts, max(6 * options.tokens, _LONG_ENOUGH), options.seed
    )
    report.line(f"texts written, {clock.passed:.0f} s")
    engines = decoding_ways.Engines(vocabulary)
    all_ways = dict(zip(WAYS, decoding_ways.BASELINES, strict=True))
    cells: list[Cell] = []
    for name, schema in schemas.items():
        taught = lessons(texts[name], vocabulary, options.tokens)
        ways: dict[str, Way] = {}
        for way in chosen:
            try:
                ways |= engines.ways([all_ways[way]], schema, taught)
            except (decoding_ways.RefusedError, EngineUnavailableError) as error:
                cells += [Cell(batch, name, all_ways[way], (), str(error)) for batch in batches]
            except Exception as error:  # whatever another project's compiler raises
                report.failed(f"{name}, {all_ways[way]}")
                cells += [Cell(batch, name, all_ways[way], (), reason(error)) for batch in batches]
        for batch in batches:
            if clock.over:
                report.line(f"{name}, batch {batch}: left out, the time is up")
                continue
            rows = [taught[row % len(taught)] for row in range(batch)]
            part: list[Cell] = []

            def failed(way: str, error: Exception, where: tuple[int, str] = (batch, name)) -> None:
                report.failed(f"{where[1]}, batch {where[0]}, {way}")
                part.append(Cell(*where, way, (), reason(error)))  # noqa: B023

            times = time_ways(model, ways, prompt, rows, options.repeats, clock, failed)
            part += [Cell(batch, name, way, seconds) for way, seconds in times.items()]
            for cell in part:
                report.row(cell)
            shown = ", ".join(f"{c.way} {1e3 * statistics.median(c.seconds):.3f}" for c in part if c.seconds)
            report.line(f"{clock.passed:.0f} s; {name}, batch {batch}, ms a token: {shown}")
            cells += part
    cells.sort(key=lambda cell: cell.batch)
    report.table("Time of a token, with and without a constraint", *table(cells))
    for refusal in sorted({f"{cell.schema}: {cell.way}: {cell.refusal}" for cell in cells if cell.refusal}):
        report.line(refusal)
    return cells


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
    parser.add_argument("--parts", default=",".join(PARTS), help="comma-separated (default: %(default)s)")
    parser.add_argument(
        "--short", action="store_true", help="all parts in a few minutes: fewer tokens, texts and repeats"
    )
    parser.add_argument("--batches", help=_default("batches"))
    parser.add_argument("--ways", default=",".join(WAYS), help="comma-separated (default: %(default)s)")
    parser.add_argument("--schemas", type=Path, help="a folder of JSON Schemas (default: the demo's)")
    parser.add_argument("--vocabulary", default="tekken", help="(default: %(default)s)")
    parser.add_argument("--tokens", type=int, help=f"of each text {_default('tokens')}")
    parser.add_argument("--texts", type=int, help=f"to write for each schema {_default('texts')}")
    parser.add_argument("--repeats", type=int, help=_default("repeats"))
    parser.add_argument(
        "--seconds", type=float, help=f"begin no measurement after these {_default('seconds')}"
    )
    parser.add_argument("--seed", type=int, default=0, help="of weights and texts (default: %(default)s)")
    parser.add_argument(
        "--bound",
        type=float,
        default=BOUND,
        help="fail where our own loop is surely over this ratio, on a GPU (default: %(default)s)",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="keep there what is printed, and rows as JSON lines"
    )
    parser.add_argument("--plain", action="store_true", help="plain text even where rich is installed")
    return parser


def _default(name: str) -> str:
    whole, short = _WHOLE[name], _SHORT[name]
    whole = "no limit" if whole is None else whole
    return f"(default: {whole})" if whole == short else f"(default: {whole}; {short:g} with --short)"


def command(options: argparse.Namespace, progress: Callable[[int], AbstractContextManager[Progress]]) -> int:
    """Run the command.

    Returns
    -------
    int
        0, or 1 if a part failed, or our own loop or our kernel missed its bound on a GPU.

    Raises
    ------
    ValueError
        An option is wrong.
    EngineUnavailableError
        There is no GPU for a shape that needs one, or a library is missing.
    """
    for name, value in (_SHORT if options.short else _WHOLE).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    parts = names(options.parts, PARTS, "--parts")
    chosen = names(options.ways, WAYS, "--ways")
    batches = counts(options.batches, "--batches")
    if min(options.tokens, options.texts, options.repeats) < 1:
        raise ValueError("--tokens, --texts and --repeats are 1 at least")
    try:
        import torch

        from jsonschemabench import gpu_checks
    except ImportError as error:
        raise EngineUnavailableError(f"the gpu run needs PyTorch and transformers ({error})") from error
    device = options.device or ("cpu" if options.shape == "tiny" else "cuda")
    on_gpu = device.startswith("cuda")
    if on_gpu and not torch.cuda.is_available():
        raise EngineUnavailableError("no GPU: PyTorch finds none; --shape tiny runs on the CPU")
    schemas = demo_schemas.load(options.schemas)
    clock = Clock(options.seconds)
    report = Report("gpu", options.out, plain=options.plain)
    for line in environment(device):
        report.line(line)
    misses: list[str] = []
    if "checks" in parts:
        gpu_checks.run(device, report)
    if "kernels" in parts and on_gpu:
        with report.part("kernels"):
            misses += kernels.run(kernels.shapes(short=options.short), kernels.BOUND, report, clock, progress)
    if "frozen" in parts or "ways" in parts:
        with report.part("model"):
            misses += _with_model(schemas, parts, chosen, batches, device, options, report, clock)
    for miss in misses if on_gpu else []:
        report.line(f"missed: {miss}")
    if not on_gpu:
        report.line("on a CPU: no verdict, and no kernels")
    for failure in report.failures:
        report.line(f"failed: {failure}")
    report.line(f"{clock.passed:.0f} seconds")
    return int(bool(report.failures or (on_gpu and misses)))


def _with_model(
    schemas: Mapping[str, Any],
    parts: Sequence[str],
    chosen: Sequence[str],
    batches: Sequence[int],
    device: str,
    options: argparse.Namespace,
    report: Report,
    clock: Clock,
) -> list[str]:
    """Run the parts that need the large model; return where our own loop missed its bound."""
    import torch

    from jsonschemabench import decoding_ways, gpu_frozen

    vocabulary = vocabularies.load(options.vocabulary)
    dtype = options.dtype or ("bfloat16" if device.startswith("cuda") else "float32")
    model = build(options.shape, vocabulary.size, device, dtype, options.seed)
    report.line(
        f"shape {options.shape}, {dtype}, random weights, made in {clock.passed:.0f} s; vocabulary "
        f"{options.vocabulary}; {options.tokens} tokens, {options.repeats} repeats, seed {options.seed}"
    )
    prompt = torch.tensor([vocabulary.encode("As JSON:\n")], device=device)
    if "frozen" in parts:
        with report.part("frozen"):
            # The demo's others have too many states, or none that are few enough.
            schema = schemas.get(_FROZEN_SCHEMA, next(iter(schemas.values())))
            own = decoding_ways.Engines(vocabulary).structgen_vocabulary
            found = gpu_frozen.automata(schema, own, device)
            gpu_frozen.run(model, prompt, found, batches, options.tokens, options.repeats, report, clock)
    if "ways" not in parts:
        return []
    with report.part("ways"):
        cells = compare(model, prompt, vocabulary, schemas, chosen, batches, options, report, clock)
        return missed(cells, options.bound)
    return []
