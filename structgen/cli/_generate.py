"""``structgen generate``."""

from __future__ import annotations

import itertools
import json
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

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
_ONE_BY_ONE = ("rejection", "asap", "mcmc", "rpg")
_NEVER_FORCED = ("rerank", "dbs", "rpg")

_EPILOG = """\b
Examples:
  structgen generate --schema schema.json 'An invoice as JSON: '
  structgen generate --grammar grammars:sql --sampler smc --particles 10 --seed 1 'SELECT all names: '
  structgen generate --regex '[0-9]{4}' --model path/to/model --prompts prompts.txt -o out.jsonl
  cat prompts.jsonl | structgen generate --schema schema.json --sampler dbs --particles 4
  structgen generate --schema schema.json --forced canonical --batch-size 16 --prompts prompts.txt
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
    forced: Literal["single", "canonical"] | None


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
    "--forced",
    type=click.Choice(["single", "canonical"]),
    help="Append text that has no alternative without a forward pass for each token. single: tokens that are "
    "the only ones allowed, which changes no probability. canonical, with mask: besides, forced text as the "
    "tokenizer writes it.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    metavar="N",
    help="Prompts that run together, with mask, smc, awrs, rerank and dbs.",
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
    forced: Literal["single", "canonical"] | None,
    batch_size: int,
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
    _check_forced(forced, sampler)
    if not prompts and not prompt_files:
        if sys.stdin.isatty():
            raise click.UsageError(
                "there is no prompt: write it behind the options, or name a file with --prompts"
            )
        prompt_files = (STDIN,)
    settings = _Settings(sampler, particles, max_tokens, seed, temperature, forced)
    model, tokenizer = load_model(model_name)
    with refusals(constraint.name):
        automaton = constraint.compile(vocabulary_of(model, tokenizer))
    failed = False
    run = _Runner(model, tokenizer, automaton, constraint, settings)
    size = run.batch_size(batch_size)
    with atomic_output(output) as stream:
        for record in _records(run, _all_prompts(prompts, prompt_files), size):
            failed = failed or "error" in record
            if as_text:
                text = record["outputs"][0]["text"] if record["outputs"] else ""
            else:
                text = json.dumps(record, ensure_ascii=False)
            stream.write(text + "\n")
            stream.flush()
    return EXIT_PROBLEMS if failed else 0


def _check_forced(forced: str | None, sampler: str) -> None:
    if forced is not None and sampler in _NEVER_FORCED:
        raise click.UsageError(f"--forced is not for --sampler {sampler}, which takes every token as it is")
    if forced == "canonical" and sampler != "mask":
        raise click.UsageError(
            f"--forced canonical would change the distribution that {sampler} samples; --forced single is "
            "exact"
        )


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


def _records(run: _Runner, prompts: Iterable[str], size: int) -> Iterator[dict[str, Any]]:
    """Return the record of each prompt, in their order."""
    numbered = enumerate(prompts)
    while batch := list(itertools.islice(numbered, size)):
        found = run.together(batch) if len(batch) > 1 else {}
        for number, prompt in batch:
            record = found.get(number) or run.alone(number, prompt)
            if "error" in record:
                click.echo(f"prompt {number + 1}: {record['error']}", err=True)
            yield record


@dataclass(frozen=True)
class _Runner:
    """Runs prompts under one constraint."""

    model: Any
    tokenizer: Any
    automaton: TokenAutomaton
    constraint: Constraint
    settings: _Settings

    def batch_size(self, wanted: int) -> int:
        """Return how many prompts can run together; that changes no output."""
        if self.settings.sampler in _ONE_BY_ONE:
            return 1
        if self.settings.forced is not None and wanted > 1:
            from structgen.samplers import HuggingFaceModel

            try:
                HuggingFaceModel(self.model, self.automaton.vocabulary, [0]).check_ragged()
            except ValueError:
                return 1
        return wanted

    def together(self, batch: Sequence[tuple[int, str]]) -> dict[int, dict[str, Any]]:
        """Return the records of those prompts of a batch that got any output.

        The others say what is wrong when they run alone.
        """
        try:
            results = self._generate([prompt for _, prompt in batch], batch[0][0])
        except (StructgenError, ValueError):
            return {}
        return {
            number: self._record(number, prompt, result)
            for (number, prompt), result in zip(batch, results, strict=True)
            if result.log_evidence > -math.inf
        }

    def alone(self, number: int, prompt: str) -> dict[str, Any]:
        """Return the record of one prompt; its ``error`` where it got no output."""
        try:
            if self.settings.sampler == "rpg":
                return self._penalised(number, prompt)
            return self._record(number, prompt, self._generate(prompt, number))
        except SamplingError as error:
            return {"prompt": prompt, "outputs": [], "error": str(error)}
        except (StructgenError, ValueError) as error:
            raise UnusableInputError(self.constraint.name, str(error)) from None

    def _generate(self, prompt: str | list[str], number: int) -> Any:
        """Return the result of a prompt, or of several, of which `number` is the first one's."""
        from structgen._generate import generate as run
        from structgen.samplers import DiverseBeamSearch

        settings = self.settings
        sampler: Any = settings.sampler
        if sampler == "dbs":
            sampler = DiverseBeamSearch(groups=settings.particles or 4)
        return run(
            self.model,
            self.tokenizer,
            prompt,
            self.automaton,
            sampler,
            max_tokens=settings.max_tokens,
            particles=None if settings.sampler == "dbs" else settings.particles,
            seed=self._seed(number),
            temperature=settings.temperature,
            forced=settings.forced,
            progress=False,
        )

    def _seed(self, number: int) -> int | None:
        return None if self.settings.seed is None else self.settings.seed + number

    def _record(self, number: int, prompt: str, result: SamplingResult) -> dict[str, Any]:
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
        seed = self._seed(number)
        return {
            "prompt": prompt,
            "method": result.method,
            # Beams of a batch have one seed, which they do not need.
            "seed": result.seed if seed is None else seed,
            "log_evidence": evidence if math.isfinite(evidence) else None,
            "outputs": self._with_values(outputs),
        }

    def _with_values(self, outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if self.constraint.kind == "schema":
            return [{"text": one["text"], "value": json.loads(one["text"]), **one} for one in outputs]
        return outputs

    def _penalised(self, number: int, prompt: str) -> dict[str, Any]:
        """Sample with masks and the penalty on repeated structures."""
        import torch

        from structgen.hf import AutomatonLogitsProcessor, GrammarRepetitionPenalty

        settings, vocabulary = self.settings, self.automaton.vocabulary
        processors = [
            AutomatonLogitsProcessor(self.automaton, finish_by=settings.max_tokens),
            GrammarRepetitionPenalty(self.automaton),
        ]
        inputs = self.tokenizer(prompt, return_tensors="pt")
        count = settings.particles or 1
        seed = self._seed(number)
        if seed is not None:
            torch.manual_seed(seed)
        rows = self.model.generate(
            **inputs,
            logits_processor=processors,
            do_sample=True,
            temperature=settings.temperature,
            top_k=0,
            num_return_sequences=count,
            max_new_tokens=settings.max_tokens,
        )[:, inputs["input_ids"].shape[1] :].tolist()
        ends = set(vocabulary.eos_token_ids)
        outputs = []
        for row in rows:
            length = next((i for i, token in enumerate(row) if token in ends), len(row))
            text = vocabulary.decode(row[:length]).decode("utf-8", "replace")
            outputs.append({"text": text, "weight": 1 / count, "tokens": length + 1})
        return {"prompt": prompt, "method": "rpg", "seed": seed, "outputs": self._with_values(outputs)}
