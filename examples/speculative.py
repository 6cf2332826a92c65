"""Speculative decoding under a JSON Schema: the same outputs in fewer forward passes.

Drafts come from the prompt (prompt lookup) or from an assistant, here the first two layers of the tiny
model. The assistant writes under the constraint, too; how much that is worth, the last row tells.
"""

import copy
import json
from typing import Any

import torch
from transformers import LlamaForCausalLM, LogitsProcessor

import structgen
from structgen.hf import AutomatonLogitsProcessor
from structgen.testing import tiny_model

SCHEMA = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 16}, "size": {"type": "integer"}},
        "required": ["name", "size"],
        "additionalProperties": False,
    },
    "minItems": 3,
    "maxItems": 5,
}
PROMPT = 'Kernels as JSON:\n[{"name":"kernel","size":7},{"name":"river","size":12}]\nFiles as JSON:\n'
SAMPLES = 4
LIMIT = 120


class OnlyForTheModel(LogitsProcessor):
    """The constraint for the model, and none for its assistant."""

    def __init__(self, constraint: LogitsProcessor, assistant: Any) -> None:
        self._constraint = constraint
        self._generate = assistant.generate
        self._drafting = False
        assistant.generate = self._draft

    def _draft(self, *arguments: Any, **options: Any) -> Any:
        self._drafting = True
        try:
            return self._generate(*arguments, **options)
        finally:
            self._drafting = False

    def __call__(self, input_ids: torch.LongTensor, scores: torch.Tensor) -> torch.Tensor:
        return scores if self._drafting else self._constraint(input_ids, scores)


def first_layers(model: LlamaForCausalLM, layers: int) -> LlamaForCausalLM:
    """Return a model of the first layers of `model`."""
    config = copy.deepcopy(model.config)
    config.num_hidden_layers = layers
    assistant = LlamaForCausalLM(config).eval()
    assistant.load_state_dict(model.state_dict(), strict=False)
    return assistant


def main() -> None:
    """Decode greedily and sample, plainly and with drafts, and count the model's forward passes."""
    model, tokenizer = tiny_model.load()
    vocabulary = structgen.Vocabulary.from_huggingface(tokenizer, model.config.vocab_size)
    automaton = structgen.compile_json_schema(SCHEMA, vocabulary, whitespace="compact")
    prompt = tokenizer(PROMPT, return_tensors="pt")
    length = prompt.input_ids.shape[1]
    assistant, free = first_layers(model, 2), first_layers(model, 2)
    ways: dict[str, dict[str, Any]] = {
        "plain": {},
        "prompt lookup": {"prompt_lookup_num_tokens": 6},
        "assistant": {"assistant_model": assistant},
        "assistant, free": {"assistant_model": free},
    }
    passes = drafted = 0

    def count(_: Any, arguments: Any, options: dict[str, Any]) -> None:
        nonlocal passes, drafted
        ids = options["input_ids"]
        passes += 1
        # The first pass reads the prompt, and later ones a token that was not drafted.
        drafted += ids.shape[1] - (length if ids.shape[1] >= length else 1)

    model.register_forward_pre_hook(count, with_kwargs=True)
    print(f"{'':18}{'tokens':>8}{'passes':>8}{'a pass':>8}{'drafted':>9}{'accepted':>10}")
    for do_sample in (False, True):
        print("sampled" if do_sample else "greedy")
        greedy = set()
        for name, options in ways.items():
            processor: LogitsProcessor = AutomatonLogitsProcessor(automaton)
            if name == "assistant, free":
                processor = OnlyForTheModel(processor, free)
            tokens = passes = drafted = 0
            for seed in range(SAMPLES if do_sample else 1):
                torch.manual_seed(seed)
                output = model.generate(
                    **prompt,
                    logits_processor=[processor],
                    max_new_tokens=LIMIT,
                    do_sample=do_sample,
                    pad_token_id=tokenizer.pad_token_id,
                    **options,
                )
                row = output[0, length:]
                tokens += len(row)
                text = tokenizer.decode(row, skip_special_tokens=True)
                if len(row) < LIMIT:
                    json.loads(text)
                if not do_sample:
                    greedy.add(text)
            # Every pass gives one token of its own.
            share = f"{(tokens - passes) / drafted:.0%}" if drafted else ""
            print(f"  {name:16}{tokens:8}{passes:8}{tokens / passes:8.2f}{drafted:9}{share:>10}")
        if not do_sample:
            print(f"  {len(greedy)} text: {greedy.pop()}")


if __name__ == "__main__":
    main()
