"""Weighted samples of a small model, given a JSON Schema and a predicate that no schema expresses.

The schema becomes a mask. The predicate, that the range is not empty, is asked about single tokens, and
sequential Monte Carlo weights and resamples what is left, so that the weighted objects are samples of the
model itself among all objects that satisfy both. ``python examples/smc_json.py view.html`` writes the
genealogy, too.
"""

import sys

import structgen
from structgen.samplers import SMC, Predicate
from structgen.testing import tiny_model

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"enum": ["width", "height", "speed", "weight"]},
        "min": {"type": "integer", "minimum": 0, "maximum": 99},
        "max": {"type": "integer", "minimum": 0, "maximum": 99},
    },
    "required": ["name", "min", "max"],
    "additionalProperties": False,
}
PROMPT = '{"name":"width","min":2,"max":40}\n{"name":"speed","min":10,"max":70}\n'


def main(arguments: list[str]) -> None:
    """Print the heaviest objects, with their weights."""
    model, tokenizer = tiny_model.load()
    vocabulary = structgen.Vocabulary.from_huggingface(tokenizer, model.config.vocab_size)
    schema = structgen.compile_json_schema(SCHEMA, vocabulary, whitespace="compact")
    not_empty = Predicate(lambda value: value["min"] < value["max"], on="value")
    result = structgen.generate(
        model,
        tokenizer,
        PROMPT,
        [schema, not_empty],
        SMC(particles=32),
        max_tokens=48,
        seed=0,
        progress=False,
    )
    assert isinstance(result, structgen.samplers.SamplingResult)
    for text, weight in list(result.posterior().items())[:5]:
        print(f"{weight:.3f}  {text}")
    print(f"log-probability that the model alone conforms: {result.log_evidence:.1f}")
    print(f"resampled after steps {result.resampled}; the predicate was asked {result.calls} times")
    if arguments:
        result.to_html(arguments[0])


if __name__ == "__main__":
    main(sys.argv[1:])
