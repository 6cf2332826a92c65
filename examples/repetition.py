"""A loop that greedy decoding never leaves, and the penalty on repeated structure that ends it.

The tiny model goes on listing measurements until the token limit: another number is always allowed. The
penalty lowers the comma in front of the next number a little more for each that came before.
"""

import json

import structgen
from structgen.hf import AutomatonLogitsProcessor, GrammarRepetitionPenalty
from structgen.testing import tiny_model

SCHEMA = {"type": "array", "items": {"type": "number"}, "minItems": 2}
LIMIT = 200


def main() -> None:
    """Decode greedily with the constraint alone, and with penalties besides."""
    model, tokenizer = tiny_model.load()
    vocabulary = structgen.Vocabulary.from_huggingface(tokenizer, model.config.vocab_size)
    automaton = structgen.compile_json_schema(SCHEMA, vocabulary, whitespace="compact")
    prompt = tokenizer("Measurements as JSON:\n", return_tensors="pt")
    for decay in (1.0, 0.9, 0.7):
        constraint = AutomatonLogitsProcessor(automaton)
        penalty = GrammarRepetitionPenalty(automaton, decay=decay)
        output = model.generate(
            **prompt, logits_processor=[constraint, penalty], max_new_tokens=LIMIT, do_sample=False
        )
        row = output[0, prompt.input_ids.shape[1] :]
        text = tokenizer.decode(row, skip_special_tokens=True)
        end = f"{len(json.loads(text))} numbers" if len(row) < LIMIT else "cut off at the limit"
        print(f"decay {decay}: {len(row):3} tokens, {end}: {text[:40]} ...")


if __name__ == "__main__":
    main()
