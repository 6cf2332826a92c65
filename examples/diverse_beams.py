"""Six objects that are not all alike: plain beams next to diverse ones, under one JSON Schema.

The most probable objects differ in their last field and hardly anywhere else. Diverse beam search has groups
of beams that choose one after the other, and lowers what the groups before have chosen; by "structural" it
compares values with values only, whatever tokens the schema forces between them.
"""

import json

import structgen
from structgen.samplers import DiverseBeamSearch
from structgen.testing import tiny_model

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 3, "maxLength": 20},
        "age": {"type": "integer", "minimum": 18, "maximum": 99},
        "married": {"type": "boolean"},
    },
    "required": ["name", "age", "married"],
    "additionalProperties": False,
}
PROMPT = "Person as JSON with the keys name, age, married:\n"
SEARCHES = {
    "plain beams": DiverseBeamSearch(groups=1, beams_per_group=6),
    "diverse beams, by token": DiverseBeamSearch(groups=6, diversity_strength=1.0),
    "diverse beams, by value": DiverseBeamSearch(
        groups=6, diversity_strength=1.0, dissimilarity="structural"
    ),
}


def main() -> None:
    """Print what each search finds, and how many different values each field has."""
    model, tokenizer = tiny_model.load()
    vocabulary = structgen.Vocabulary.from_huggingface(tokenizer, model.config.vocab_size)
    automaton = structgen.compile_json_schema(SCHEMA, vocabulary, whitespace="compact")
    for name, search in SEARCHES.items():
        result = structgen.generate(
            model, tokenizer, PROMPT, automaton, search, max_tokens=40, progress=False
        )
        assert isinstance(result, structgen.samplers.SamplingResult)
        print(name)
        for sequence in result.sequences:
            print(f"  {sequence.log_probability:7.2f}  {sequence.text}")
        values = [json.loads(sequence.text) for sequence in result.sequences]
        counts = [f"{len({value[field] for value in values})} of {field}" for field in SCHEMA["properties"]]
        print(f"  different values: {', '.join(counts)}")


if __name__ == "__main__":
    main()
