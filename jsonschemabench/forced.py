"""The ``forced`` run: how many forward passes forced text saves, on the demo's schemas with a small model."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from jsonschemabench import demo_schemas
from jsonschemabench.engines import EngineUnavailableError
from jsonschemabench.report import Printer
from jsonschemabench.sampler_quality import Interval, Progress, bootstrap

Whitespace = Literal["compact", "flexible"]
Sampler = Literal["mask", "smc", "asap", "mcmc"]
FORCED: tuple[Literal["single", "canonical"] | None, ...] = (None, "single", "canonical")


@dataclass(frozen=True, slots=True)
class Output:
    """One output, or all of a run of a sampler that makes several.

    Attributes
    ----------
    schema, whitespace, forced, sampler
        What it was asked for, and how.
    tokens
        Of the longest sequence, the end token included.
    passes
        Forward passes of the model, that of the prompt included.
    """

    schema: str
    whitespace: str
    forced: str | None
    tokens: int
    passes: int
    sampler: str = "mask"


def ways(sampler: str) -> tuple[Literal["single", "canonical"] | None, ...]:
    """Return what a sampler takes as `forced`: plain masking all, and the others what changes no weight."""
    return FORCED if sampler == "mask" else FORCED[:2]


def measure(
    schemas: dict[str, Any],
    samples: int,
    max_tokens: int,
    seed: int,
    done: Callable[[str], None],
    samplers: Sequence[Sampler] = ("mask",),
) -> list[Output]:
    """Return finished outputs of the repository's tiny model, each generated alone.

    Parameters
    ----------
    schemas
        By name.
    samples
        Outputs for each schema and way.
    max_tokens
        The longest output; those that do not end by then are left out.
    seed
        Of the first output; the others count up from it.
    done
        Called with the schema's name after each way.
    samplers
        Plain masking makes one sequence; the others make five. Sequential Monte Carlo does not resample, so
        that no sequence was longer than those that there are; MCMC makes three proposals.
    """
    import structgen
    from structgen.samplers import SMC, SuffixMCMC
    from structgen.testing import tiny_model

    settings: dict[str, Any] = {"smc": SMC(ess_threshold=0.0), "mcmc": SuffixMCMC(steps=3)}

    model, tokenizer = tiny_model.load()
    vocabulary = structgen.Vocabulary.from_huggingface(tokenizer, model.config.vocab_size)
    passes = 0

    def count(*_: object) -> None:
        nonlocal passes
        passes += 1

    model.register_forward_hook(count)
    found = []
    for name, schema in schemas.items():
        for whitespace in get_args(Whitespace):
            automaton = structgen.compile_json_schema(schema, vocabulary, whitespace=whitespace)
            for sampler, forced in [(name, way) for name in samplers for way in ways(name)]:
                for sample in range(samples):
                    passes = 0
                    try:
                        result: Any = structgen.generate(
                            model,
                            tokenizer,
                            demo_schemas.prompt_of(name, schema),
                            automaton,
                            settings.get(sampler, sampler),
                            forced=forced,
                            max_tokens=max_tokens,
                            seed=seed + sample,
                            progress=False,
                        )
                    except structgen.AllParticlesDeadError:
                        continue
                    tokens = max(sequence.steps for sequence in result.sequences)
                    found.append(Output(name, whitespace, forced, tokens, passes, sampler))
                done(f"{name}, {whitespace}, {sampler}, {forced}")
    return found


def passes_per_token(outputs: Sequence[Output]) -> Interval:
    """Return forward passes by tokens, mean over outputs, with its bootstrap interval of 95 percent."""
    return bootstrap([[output.passes / output.tokens for output in outputs]])


def table(outputs: Sequence[Output]) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows, one for each schema, white space and way."""
    header = [
        "schema",
        "white space",
        "sampler",
        "forced",
        "outputs",
        "tokens",
        "forward passes",
        "passes a token",
    ]
    rows = []
    for key in dict.fromkeys((o.schema, o.whitespace, o.sampler, o.forced) for o in outputs):
        part = [o for o in outputs if (o.schema, o.whitespace, o.sampler, o.forced) == key]
        rows.append(
            [
                *(str(value) for value in key),
                str(len(part)),
                str(sum(output.tokens for output in part)),
                str(sum(output.passes for output in part)),
                str(passes_per_token(part)),
            ]
        )
    return header, rows


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command to those of the command line."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "forced", help="how many forward passes forced text saves, with the repository's tiny model"
    )
    parser.add_argument("--schemas", type=Path, help="a folder of JSON Schemas (default: the demo's)")
    parser.add_argument("--samples", type=int, default=20, help="outputs for each way (default: %(default)s)")
    parser.add_argument(
        "--samplers", nargs="+", choices=get_args(Sampler), default=["mask"], help="(default: mask)"
    )
    parser.add_argument("--max-tokens", type=int, default=384, help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    parser.add_argument("--plain", action="store_true", help="plain text even where rich is installed")
    return parser


def command(options: argparse.Namespace, progress: Callable[[int], AbstractContextManager[Progress]]) -> int:
    """Run the command, and return 0.

    Raises
    ------
    ValueError
        An option is wrong.
    EngineUnavailableError
        PyTorch or transformers is missing.
    """
    if min(options.samples, options.max_tokens) < 1:
        raise ValueError("--samples and --max-tokens are 1 at least")
    try:
        import torch
        import transformers  # noqa: F401  without it the tiny model fails later
    except ImportError as error:
        raise EngineUnavailableError(f"the forced run needs PyTorch and transformers ({error})") from error
    schemas = demo_schemas.load(options.schemas)
    steps = len(schemas) * len(get_args(Whitespace)) * sum(len(ways(name)) for name in options.samplers)
    with progress(steps) as bar:
        outputs = measure(
            schemas, options.samples, options.max_tokens, options.seed, bar.advance, options.samplers
        )
    printer = Printer(plain=options.plain)
    printer.line(f"tiny model, PyTorch {torch.__version__}; one output at a time, first seed {options.seed}")
    printer.table("Forward passes with forced text", *table(outputs))
    printer.line("[means over outputs and their 95 percent bootstrap intervals]")
    return 0
