"""``structgen generate``."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from structgen._errors import SamplingError, StructgenError
from structgen.cli._common import (
    EXIT_PROBLEMS,
    STDIN,
    UnusableInputError,
    atomic_output,
    decode,
    display_name,
    open_input,
)
from structgen.cli._constraints import Constraint, Kind, constraint_options, load, refusals
from structgen.cli._models import load_model, vocabulary_of

if TYPE_CHECKING:
    from structgen._core import TokenAutomaton
    from structgen.samplers import SamplingResult

SAMPLERS = ("mask", "smc", "awrs", "rerank", "rejection", "asap", "mcmc", "dbs", "rpg")

_EPILOG = """\b
Examples:
  structgen generate --schema schema.json 'An invoice as JSON: '
  structgen generate --grammar grammars:sql --sampler smc --particles 10 --seed 1 'SELECT all names: '
  structgen generate --regex '[0-9]{4}' --model path/to/model --prompts prompts.txt -o out.jsonl
  cat prompts.jsonl | structgen generate --schema schema.json --sampler dbs --particles 4
  structgen generate --grammar grammars:json --sampler rpg --text 'A list: '

\b
Samplers:
  mask       plain constrained decoding
  smc, awrs  sequential Monte Carlo, with masks and with rejection
  rerank, rejection, asap, mcmc   others of structgen.samplers
  dbs        diverse beam search; --particles is the number of groups
  rpg        plain, with a penalty on what repeats the grammar's structures

The exit status is 0, 1 if there is a prompt without any output, 2 if an input cannot be used.
"""


@dataclass(frozen=True)
class _Settings:
    sampler: str
    particles: int | None
    max_tokens: int
    seed: int | None
    temperature: float


@click.command(epilog=_EPILOG)
@click.argument("prompts", nargs=-1, metavar="[PROMPT]...")
@click.option("--schema", metavar="FILE", help="The output is JSON that this schema allows.")
@click.option(
    "--grammar", metavar="FILE", help="The output is a text of this grammar: .lark, .gbnf or grammars:NAME."
)
@click.option("--regex", metavar="PATTERN", help="The output matches this pattern.")
@click.option(
    "--model",
    "model_name",
    default="tiny",
    show_default=True,
    metavar="MODEL",
    help="tiny: the model of the demo. Else the folder, or the name, of a causal model of transformers.",
)
@click.option(
    "--sampler",
    type=click.Choice(SAMPLERS),
    default="mask",
    show_default=True,
    metavar="NAME",
    help="See below.",
)
@click.option(
    "--particles",
    type=click.IntRange(1),
    help="Outputs per prompt.  [default: 1 for mask and rpg, 4 for dbs, else 5]",
)
@click.option(
    "--max-tokens", type=click.IntRange(1), default=256, show_default=True, help="The longest output."
)
@click.option("--seed", type=int, help="Makes the run reproducible; prompts count up from it.")
@click.option(
    "--temperature",
    type=click.FloatRange(0, min_open=True),
    default=1.0,
    show_default=True,
    help="Divides the model's logits.",
)
@click.option(
    "--prompts",
    "prompt_files",
    multiple=True,
    metavar="FILE",
    help='A prompt per line; *.jsonl: JSON strings, or objects with a member "prompt". - is the standard '
    "input, which is read too where there is no prompt at all.",
)
@click.option("--text", "as_text", is_flag=True, help="Write the best output of each prompt, nothing else.")
@click.option("-o", "--output", metavar="FILE", help="Write there instead of the standard output.")
@constraint_options
def generate(
    prompts: tuple[str, ...],
    schema: str | None,
    grammar: str | None,
    regex: str | None,
    model_name: str,
    sampler: str,
    particles: int | None,
    max_tokens: int,
    seed: int | None,
    temperature: float,
    prompt_files: tuple[str, ...],
    as_text: bool,
    output: str | None,
    kind: Kind | None,
    compile_options: dict[str, Any],
) -> int:
    """Outputs of a language model that a schema, a grammar or a pattern allows, as JSON lines.

    Each line has the prompt and its outputs, the one of most weight first: text, value (of JSON), weight,
    log-probability and number of tokens.
    """
    constraint = _constraint(schema, grammar, regex, kind, compile_options)
    if not prompts and not prompt_files:
        if sys.stdin.isatty():
            raise click.UsageError(
                "there is no prompt: write it behind the options, or name a file with --prompts"
            )
        prompt_files = (STDIN,)
    settings = _Settings(sampler, particles, max_tokens, seed, temperature)
    model, tokenizer = load_model(model_name)
    with refusals(constraint.name):
        automaton = constraint.compile(vocabulary_of(model, tokenizer))
    failed = False
    is_json = constraint.kind == "schema"
    with atomic_output(output) as stream:
        for number, prompt in enumerate(_all_prompts(prompts, prompt_files)):
            try:
                record = _run(model, tokenizer, automaton, is_json, prompt, settings, number)
            except SamplingError as error:
                failed = True
                click.echo(f"prompt {number + 1}: {error}", err=True)
                record = {"prompt": prompt, "outputs": [], "error": str(error)}
            except (StructgenError, ValueError) as error:
                raise UnusableInputError(constraint.name, str(error)) from None
            if as_text:
                text = record["outputs"][0]["text"] if record["outputs"] else ""
            else:
                text = json.dumps(record, ensure_ascii=False)
            stream.write(text + "\n")
            stream.flush()
    return EXIT_PROBLEMS if failed else 0


def _constraint(
    schema: str | None, grammar: str | None, regex: str | None, kind: Kind | None, options: dict[str, Any]
) -> Constraint:
    if sum(one is not None for one in (schema, grammar, regex)) != 1:
        raise click.UsageError("give one of --schema, --grammar and --regex")
    if kind is not None and grammar is None:
        raise click.UsageError("--kind is for --grammar")
    if schema is not None:
        return load(schema, "schema", options)
    if regex is not None:
        return load(regex, "regex", options)
    assert grammar is not None
    constraint = load(grammar, kind, options)
    if constraint.kind not in ("lark", "gbnf"):
        raise UnusableInputError(grammar, "is no grammar", "pass it with --schema or --regex")
    return constraint


def _all_prompts(prompts: tuple[str, ...], files: tuple[str, ...]) -> Iterator[str]:
    yield from prompts
    for path in files:
        name = display_name(path)
        with open_input(path) as stream:
            for number, line in enumerate(stream, 1):
                text = decode(line, name, number).rstrip("\r\n")
                if Path(path).suffix == ".jsonl":
                    text = _prompt_of(text, f"{name}:{number}")
                if text:
                    yield text


def _prompt_of(line: str, place: str) -> str:
    """Return the prompt on a line of a JSON lines file."""
    if not line.strip():
        return ""
    try:
        value = json.loads(line)
    except ValueError as error:
        raise UnusableInputError(place, f"is not JSON ({error})") from None
    if isinstance(value, dict):
        value = value.get("prompt")
    if not isinstance(value, str):
        raise UnusableInputError(place, 'is neither a string nor an object with a string as "prompt"')
    return value


def _run(
    model: Any,
    tokenizer: Any,
    automaton: TokenAutomaton,
    is_json: bool,
    prompt: str,
    settings: _Settings,
    number: int,
) -> dict[str, Any]:
    seed = None if settings.seed is None else settings.seed + number
    if settings.sampler == "rpg":
        outputs = _penalised(model, tokenizer, automaton, prompt, settings, seed)
        return {"prompt": prompt, "method": "rpg", "seed": seed, "outputs": _with_values(outputs, is_json)}
    from structgen._generate import generate as run
    from structgen.samplers import DiverseBeamSearch

    sampler: Any = settings.sampler
    if sampler == "dbs":
        sampler = DiverseBeamSearch(groups=settings.particles or 4)
    result = run(
        model,
        tokenizer,
        prompt,
        automaton,
        sampler,
        max_tokens=settings.max_tokens,
        particles=None if settings.sampler == "dbs" else settings.particles,
        seed=seed,
        temperature=settings.temperature,
        progress=False,
    )
    return _record(prompt, result, is_json)  # type: ignore[arg-type]  # one prompt has one result


def _record(prompt: str, result: SamplingResult, is_json: bool) -> dict[str, Any]:
    sequences = sorted(result.sequences, key=lambda one: -one.weight)
    outputs = [
        {
            "text": one.text,
            "weight": one.weight,
            "log_probability": one.log_probability,
            "tokens": one.steps,
        }
        for one in sequences
        if one.weight > 0 and one.finished
    ]
    evidence = result.log_evidence
    return {
        "prompt": prompt,
        "method": result.method,
        "seed": result.seed,
        "log_evidence": evidence if math.isfinite(evidence) else None,
        "outputs": _with_values(outputs, is_json),
    }


def _with_values(outputs: list[dict[str, Any]], is_json: bool) -> list[dict[str, Any]]:
    if is_json:
        return [{"text": one["text"], "value": json.loads(one["text"]), **one} for one in outputs]
    return outputs


def _penalised(
    model: Any, tokenizer: Any, automaton: TokenAutomaton, prompt: str, settings: _Settings, seed: int | None
) -> list[dict[str, Any]]:
    """Sample with masks and the penalty on repeated structures."""
    import torch

    from structgen.hf import AutomatonLogitsProcessor, GrammarRepetitionPenalty

    processors = [
        AutomatonLogitsProcessor(automaton, finish_by=settings.max_tokens),
        GrammarRepetitionPenalty(automaton),
    ]
    inputs = tokenizer(prompt, return_tensors="pt")
    count = settings.particles or 1
    if seed is not None:
        torch.manual_seed(seed)
    rows = model.generate(
        **inputs,
        logits_processor=processors,
        do_sample=True,
        temperature=settings.temperature,
        top_k=0,
        num_return_sequences=count,
        max_new_tokens=settings.max_tokens,
    )[:, inputs["input_ids"].shape[1] :].tolist()
    ends = set(automaton.vocabulary.eos_token_ids)
    outputs = []
    for row in rows:
        length = next((i for i, token in enumerate(row) if token in ends), len(row))
        text = automaton.vocabulary.decode(row[:length]).decode("utf-8", "replace")
        outputs.append({"text": text, "weight": 1 / count, "tokens": length + 1})
    return outputs
