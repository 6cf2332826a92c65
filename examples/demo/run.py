"""Generate JSON objects that conform to real schemas, with a small language model, and check every one.

For each schema in ``schemas`` the tiny model of ``examples/tiny_model`` writes objects twice from the same
prompt, with and without the constraint. jsonschema, which shares no code with structgen, judges the results.
The exit status is 1 if any constrained object is invalid.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import torch
from tqdm import tqdm
from transformers import LlamaForCausalLM, LogitsProcessor, PreTrainedTokenizerFast, set_seed
from transformers.utils import logging

import structgen
from structgen.hf import AutomatonLogitsProcessor
from structgen.testing import tiny_model

SCHEMAS = Path(__file__).parent / "schemas"
NOT_JSON = "not JSON"


class Timed(LogitsProcessor):
    """Runs a processor, if there is one, adds up its time and moves a progress bar on by one step."""

    def __init__(self, processor: LogitsProcessor | None, bar: "tqdm[Any]") -> None:
        self.processor = processor
        self.bar = bar
        self.seconds = 0.0

    def __call__(self, input_ids: torch.LongTensor, scores: torch.Tensor) -> torch.Tensor:
        self.bar.update()
        if self.processor is None:
            return scores
        start = time.perf_counter()
        scores = self.processor(input_ids, scores)
        self.seconds += time.perf_counter() - start
        return scores


@dataclass
class Run:
    """What one way of generating made of one schema."""

    texts: list[str]
    errors: list[str | None]
    tokens: int
    model_seconds: float
    mask_seconds: float

    @property
    def valid(self) -> int:
        return sum(error is None for error in self.errors)

    @property
    def parsed(self) -> int:
        return sum(error is None or not error.startswith(NOT_JSON) for error in self.errors)


@dataclass
class Result:
    """One schema: its name, the time to compile it, and both ways of generating."""

    name: str
    compile_seconds: float
    constrained: Run
    free: Run


def problem(text: str, validator: jsonschema.protocols.Validator) -> str | None:
    """Return why `text` is not a valid document, None if it is one."""
    try:
        error = next(iter(validator.iter_errors(json.loads(text))), None)
    except ValueError as broken:
        return f"{NOT_JSON}: {broken}"
    return None if error is None else f"{error.json_path}: {error.message}"


def generate(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    prompt: str,
    validator: jsonschema.protocols.Validator,
    processor: LogitsProcessor | None,
    options: argparse.Namespace,
    label: str,
) -> Run:
    """Sample ``options.samples`` texts after `prompt` as one batch and validate each."""
    inputs = tokenizer(prompt, return_tensors="pt")
    set_seed(options.seed)
    with tqdm(total=options.max_new_tokens, desc=label, unit="step", leave=False) as bar:
        timed = Timed(processor, bar)
        start = time.perf_counter()
        output = model.generate(
            **inputs,
            logits_processor=[timed],
            do_sample=True,
            temperature=options.temperature,
            top_k=0,
            num_return_sequences=options.samples,
            max_new_tokens=options.max_new_tokens,
            pad_token_id=tokenizer.pad_token_id,
        )
        seconds = time.perf_counter() - start
    new = output[:, inputs.input_ids.shape[1] :]
    texts = tokenizer.batch_decode(new, skip_special_tokens=True)
    return Run(
        texts=texts,
        errors=[problem(text, validator) for text in texts],
        tokens=int((new != tokenizer.pad_token_id).sum()),
        model_seconds=seconds - timed.seconds,
        mask_seconds=timed.seconds,
    )


def run_schema(
    path: Path,
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    vocabulary: structgen.Vocabulary,
    options: argparse.Namespace,
) -> Result:
    """Compile a schema, generate with and without it, and print the first objects."""
    schema = json.loads(path.read_text())
    validator = jsonschema.Draft202012Validator(schema)
    prompt = f"{schema['title']} as JSON:\n"
    start = time.perf_counter()
    automaton = structgen.compile_json_schema(schema, vocabulary)
    compile_seconds = time.perf_counter() - start
    processor = AutomatonLogitsProcessor(automaton, finish_by=options.max_new_tokens)
    constrained = generate(
        model, tokenizer, prompt, validator, processor, options, f"{path.stem}, constrained"
    )
    free = generate(model, tokenizer, prompt, validator, None, options, f"{path.stem}, unconstrained")
    print(f"== {path.stem} ".ljust(100, "="))
    for text in constrained.texts[: options.show]:
        print(text.strip())
    for text, error in zip(constrained.texts, constrained.errors, strict=True):
        if error is not None:
            print(f"INVALID: {error}\n{text}", file=sys.stderr)
    return Result(path.stem, compile_seconds, constrained, free)


def report(results: Sequence[Result]) -> None:
    """Print the shares of valid objects and the times."""
    columns = ("schema", "valid", "without: valid", "without: JSON", "tokens", "compile ms", "model us/token")
    columns += ("mask us/token",)
    print("\n" + "  ".join(column.rjust(16 if i == 0 else 14) for i, column in enumerate(columns)))
    for result in results:
        run = result.constrained
        cells = (
            result.name,
            f"{run.valid}/{len(run.texts)}",
            f"{result.free.valid}/{len(result.free.texts)}",
            f"{result.free.parsed}/{len(result.free.texts)}",
            f"{run.tokens}",
            f"{1e3 * result.compile_seconds:.1f}",
            f"{1e6 * run.model_seconds / run.tokens:.0f}",
            f"{1e6 * run.mask_seconds / run.tokens:.0f}",
        )
        print("  ".join(cell.rjust(16 if i == 0 else 14) for i, cell in enumerate(cells)))
    total = sum(len(result.constrained.texts) for result in results)
    valid = sum(result.constrained.valid for result in results)
    free = sum(result.free.valid for result in results)
    print(
        f"\nvalid with the constraint: {valid} of {total} ({100 * valid / total:.1f} %); "
        f"without: {free} of {total} ({100 * free / total:.1f} %)"
    )
    print("'without' is the same model, prompt and seed without the constraint; 'JSON' counts what parses.")
    print("Mask time is all that the processor does: steps, masks, the token budget, and their application.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; return 1 if a constrained object is invalid."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=16, help="objects per schema (default: 16)")
    parser.add_argument("--max-new-tokens", type=int, default=384, help="token budget (default: 384)")
    parser.add_argument("--temperature", type=float, default=0.8, help="sampling temperature (default: 0.8)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the sampling (default: 0)")
    parser.add_argument("--show", type=int, default=1, help="objects to print per schema (default: 1)")
    options = parser.parse_args(arguments)
    if min(options.samples, options.max_new_tokens) < 1:
        parser.error("--samples and --max-new-tokens must be positive")
    # A model this small is no faster on more threads, and much slower where other programs want them, too.
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    model, tokenizer = tiny_model.load()
    vocabulary = structgen.Vocabulary.from_huggingface(tokenizer, model.config.vocab_size)
    paths = sorted(SCHEMAS.glob("*.json"))
    try:
        results = [run_schema(path, model, tokenizer, vocabulary, options) for path in paths]
    except ValueError as error:
        # The budget is less than the shortest object of a schema takes.
        parser.error(str(error))
    report(results)
    return 0 if all(result.constrained.valid == len(result.constrained.texts) for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
