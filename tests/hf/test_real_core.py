"""The processor over compiled automata: against the plain Python automaton, and with the small model."""

import json
import random
from typing import Any

import jsonschema
import pytest
import torch

import structgen
from structgen import Vocabulary
from structgen.hf import AutomatonLogitsProcessor
from structgen.testing import tiny_model
from tests.hf.conftest import EOS, PADDED
from tests.hf.fake_automaton import START, FakeAutomaton

PROMPT = [40, 41]
LANGUAGE = ["yes!", "no!", "abcbc", "a", "abab", "né€😀"]

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 20},
        "tags": {"type": "array", "items": {"enum": ["red", "green", "blue"]}, "maxItems": 4},
        "child": {"$ref": "#"},
        "size": {"type": "integer", "minimum": 1, "maximum": 500},
    },
    "required": ["name", "size"],
    "additionalProperties": False,
}


def pairs(vocabulary: Vocabulary) -> list[tuple[FakeAutomaton, structgen.TokenAutomaton]]:
    """Return the same languages, written down by hand and compiled."""
    a, b, y, end = b"aby!"
    loops = {START: {a: START, y: 11, end: 15}, 11: {b: 12}, 12: {b: 13}, 13: {b: 14}, 14: {b: START}, 15: {}}
    return [
        (
            FakeAutomaton.of_strings(vocabulary, LANGUAGE),
            structgen.compile_regex("|".join(LANGUAGE), vocabulary),
        ),
        (FakeAutomaton(vocabulary, loops, [15]), structgen.compile_regex("(a|ybbbb)*!", vocabulary)),
    ]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"finish_by": 9},
        {"start_after": "</a"},
        {"start_after": "<", "finish_by": 10},
        {"on_dead": "mask"},
    ],
    ids=str,
)
@pytest.mark.parametrize("language", [0, 1])
def test_compiled_and_plain_automata_agree(
    vocabulary: Vocabulary, options: dict[str, Any], language: int
) -> None:
    random.seed(0)
    plain, compiled = (
        AutomatonLogitsProcessor(one, prompt_length=2, **options) for one in pairs(vocabulary)[language]
    )
    likely = [i for i, token in enumerate(vocabulary.tokens) if token and set(token) <= set(b"aby!<nose/")]
    for _ in range(40):
        suffix: list[int] = []
        for _ in range(12):
            ids = torch.tensor([PROMPT + suffix], dtype=torch.int64)
            expected = plain(ids, torch.zeros(1, PADDED))
            assert torch.equal(compiled(ids, torch.zeros(1, PADDED)), expected)
            assert compiled.dead_rows == plain.dead_rows
            allowed = expected[0].isfinite().nonzero().flatten().tolist()
            # One token in ten is none of the allowed ones, so that dead rows are met, too.
            wrong = random.random() < 0.1 or not allowed
            choices = range(len(vocabulary)) if wrong else [i for i in allowed if i in likely] or allowed
            suffix.append(random.choice(choices))
            if suffix[-1] == EOS and random.random() < 0.5:
                break


@pytest.fixture(scope="module")
def tiny() -> tuple[Any, Any, Vocabulary]:
    model, tokenizer = tiny_model.load()
    return model, tokenizer, Vocabulary.from_huggingface(tokenizer, model.config.vocab_size)


DECODING = {
    "greedy": {"do_sample": False},
    "sampling": {"do_sample": True, "top_k": 0, "num_return_sequences": 6},
    "hot": {"do_sample": True, "top_k": 0, "temperature": 3.0, "num_return_sequences": 6},
    "beams": {"do_sample": False, "num_beams": 4, "num_return_sequences": 4},
    "sampled beams": {"do_sample": True, "num_beams": 3, "num_return_sequences": 3},
    "prompt lookup": {"do_sample": False, "prompt_lookup_num_tokens": 5},
    "sampled prompt lookup": {"do_sample": True, "prompt_lookup_num_tokens": 5},
}


@pytest.mark.parametrize("decoding", DECODING)
def test_every_output_validates(tiny: tuple[Any, Any, Vocabulary], decoding: str) -> None:
    model, tokenizer, vocabulary = tiny
    automaton = structgen.compile_json_schema(SCHEMA, vocabulary)
    processor = AutomatonLogitsProcessor(automaton, finish_by=60)
    inputs = tokenizer('{"name":"kernel","size":7}\n{"name":"river","size":12}\nJSON: ', return_tensors="pt")
    torch.manual_seed(0)
    options = {"max_new_tokens": 60, "pad_token_id": tokenizer.pad_token_id, **DECODING[decoding]}
    output = model.generate(**inputs, logits_processor=[processor], **options)
    new = output[:, inputs.input_ids.shape[1] :]
    for row, text in zip(new, tokenizer.batch_decode(new, skip_special_tokens=True), strict=True):
        assert tokenizer.eos_token_id in row
        jsonschema.validate(json.loads(text), SCHEMA)


def test_the_budget_is_what_ends_them_in_time(tiny: tuple[Any, Any, Vocabulary]) -> None:
    model, tokenizer, vocabulary = tiny
    automaton = structgen.compile_json_schema(SCHEMA, vocabulary)
    inputs = tokenizer("Data as JSON:\n", return_tensors="pt")
    cut = {}
    for finish_by in (None, 24):
        torch.manual_seed(0)
        processor = AutomatonLogitsProcessor(automaton, finish_by=finish_by)
        options = {"do_sample": True, "num_return_sequences": 8, "max_new_tokens": 24}
        output = model.generate(**inputs, logits_processor=[processor], pad_token_id=1, **options)
        cut[finish_by] = sum(tokenizer.eos_token_id not in row[inputs.input_ids.shape[1] :] for row in output)
    assert cut[None] > 0
    assert cut[24] == 0


def test_reasoning_then_json(tiny: tuple[Any, Any, Vocabulary]) -> None:
    model, tokenizer, vocabulary = tiny
    automaton = structgen.compile_json_schema(SCHEMA, vocabulary)
    processor = AutomatonLogitsProcessor(automaton, start_after="\n---\n", finish_by=90)
    inputs = tokenizer("SELECT", return_tensors="pt")
    torch.manual_seed(0)
    options = {"do_sample": True, "num_return_sequences": 4, "max_new_tokens": 90, "pad_token_id": 1}
    output = model.generate(**inputs, logits_processor=[processor], **options)
    for text in tokenizer.batch_decode(output[:, inputs.input_ids.shape[1] :], skip_special_tokens=True):
        free, _, constrained = text.partition("\n---\n")
        assert free
        jsonschema.validate(json.loads(constrained), SCHEMA)
