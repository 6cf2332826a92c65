"""mlx-lm's logits processor: by contract always, in mlx-lm's own loops where they are installed."""

import importlib
import json
import re
import sys
import types

import jsonschema
import numpy as np
import pytest

import structgen
from structgen.testing import tiny_model
from tests.integrations import contracts

END = 256
BYTES = structgen.Vocabulary.of_bytes()
PATTERN = "[ab]{1,4}c"
AUTOMATON = structgen.compile_regex(PATTERN, BYTES)
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer", "minimum": 0, "maximum": 99}, "b": {"enum": ["x", "yy"]}},
    "required": ["a", "b"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def plugin():
    """structgen.integrations.mlx, over MLX or its stand-in."""
    contracts.install_mlx()
    yield importlib.import_module("structgen.integrations.mlx")
    contracts.uninstall_mlx()


@pytest.fixture
def mx(plugin):
    return sys.modules["mlx.core"]


def numbers(array):
    return np.array(array.tolist(), np.float64)


def left(masked):
    return np.flatnonzero(numbers(masked)[0] > -np.inf).tolist()


def generate_step(mx, prompt, processor, logits, choose):
    """mlx_lm.generate.generate_step, as far as a processor meets it; it computes a step ahead."""
    tokens = mx.array(prompt)
    while True:
        masked = processor(tokens, logits(tokens))
        token = choose(numbers(masked)[0])
        yield token
        tokens = mx.array([*tokens.tolist(), token])


@pytest.mark.parametrize("width", [257, 260, 288, 289, 300])
@pytest.mark.parametrize("dtype", ["float32", "float16", *(["bfloat16"] if contracts.MLX_IS_REAL else [])])
def test_allowed_logits_stay_and_all_others_go(plugin, mx, width, dtype):
    processor = plugin.AutomatonLogitsProcessor(AUTOMATON)
    logits = mx.array(np.linspace(-5, 5, width, dtype=np.float32)[None]).astype(getattr(mx, dtype))
    masked = processor(mx.array([7]), logits)
    assert masked.dtype == logits.dtype
    assert left(masked) == sorted(b"ab")
    assert np.array_equal(numbers(masked)[0, left(masked)], numbers(logits)[0, left(masked)])


def test_the_constraint_wins_over_other_processors(plugin, mx):
    processor = plugin.AutomatonLogitsProcessor(AUTOMATON)
    assert left(processor(mx.array([7]), mx.array(np.full((1, 257), -np.inf, np.float32)))) == sorted(b"ab")


def test_every_output_conforms(plugin, mx):
    random = np.random.default_rng(5)
    processor = plugin.AutomatonLogitsProcessor(AUTOMATON)
    for prompt in ([1], [1, 2], [1, 2], [2]):
        steps = generate_step(
            mx,
            prompt,
            processor,
            lambda tokens: mx.array(random.normal(size=(1, 257)).astype(np.float32)),
            lambda row: int(random.choice(np.flatnonzero(row > -np.inf))),
        )
        output = []
        while END not in output:
            output.append(next(steps))
        assert re.fullmatch(PATTERN, bytes(output[:-1]).decode())
        # The loop is one step ahead.
        assert next(steps) == END


def test_misuse_is_refused(plugin, mx):
    processor = plugin.AutomatonLogitsProcessor(AUTOMATON)
    with pytest.raises(ValueError, match="one processor for each sequence"):
        processor(mx.array([7]), mx.array(np.zeros((2, 257), np.float32)))
    with pytest.raises(ValueError, match="belongs to another model"):
        processor(mx.array([7]), mx.array(np.zeros((1, 256), np.float32)))
    logits = mx.array(np.zeros((1, 257), np.float32))
    for tokens in ([7], [7, ord("a")], [8], [8, ord("a")]):
        processor(mx.array(tokens), logits)
    with pytest.raises(ValueError, match="for each generation at a time"):
        processor(mx.array([7, *b"aa"]), logits)
    processor.reset()
    assert left(processor(mx.array([7, *b"aa"]), logits)) == sorted(b"ab")


def test_tokenizers_of_mlx_lm():
    """The wrapper has the end tokens of the model's settings."""
    _, tokenizer = tiny_model.load()
    wrapper_class = type("TokenizerWrapper", (), {"__module__": "mlx_lm.tokenizer_utils"})
    wrapper = wrapper_class()
    wrapper._tokenizer, wrapper.eos_token_ids = tokenizer, {5, 0}
    vocabulary = structgen.Vocabulary.from_tokenizer(wrapper, 5000)
    assert vocabulary == structgen.Vocabulary.from_huggingface(tokenizer, 5000, eos_token_ids=[0, 5])
    assert structgen.Vocabulary.from_tokenizer(wrapper, eos_token_ids=0).eos_token_ids == (0,)


@pytest.mark.skipif(contracts.MLX_IS_REAL, reason="MLX is installed")
def test_without_mlx():
    contracts.uninstall_mlx()
    with pytest.raises(ImportError, match=re.escape("pip install 'structgen[mlx]'")):
        importlib.import_module("structgen.integrations.mlx")


# -- the real package ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real():
    """mlx_lm, the tiny model and its tokenizer in it."""
    mlx_lm = pytest.importorskip("mlx_lm", reason="mlx-lm is not installed")
    model, tokenizer = mlx_lm.load(str(tiny_model.path()))
    vocabulary = structgen.Vocabulary.from_tokenizer(tokenizer, model.args.vocab_size)
    return types.SimpleNamespace(mlx_lm=mlx_lm, model=model, tokenizer=tokenizer, vocabulary=vocabulary)


PROMPT = "Write a record as JSON:\n"


def test_the_real_vocabulary(real):
    model, tokenizer = tiny_model.load()
    expected = structgen.Vocabulary.from_huggingface(tokenizer, model.config.vocab_size)
    assert real.vocabulary == expected


@pytest.mark.parametrize("draft", [False, True])
def test_real_outputs_conform(plugin, real, draft):
    sampler = importlib.import_module("mlx_lm.sample_utils").make_sampler(temp=1.5)
    automaton = structgen.compile_json_schema(SCHEMA, real.vocabulary, whitespace="compact")
    processor = plugin.AutomatonLogitsProcessor(automaton, finish_by=40)
    options = {"draft_model": real.model, "num_draft_tokens": 3} if draft else {}
    for _ in range(4):
        text = real.mlx_lm.generate(
            real.model,
            real.tokenizer,
            PROMPT,
            max_tokens=40,
            sampler=sampler,
            logits_processors=[processor],
            **options,
        )
        assert jsonschema.Draft202012Validator(SCHEMA).is_valid(json.loads(text))


@pytest.mark.parametrize("draft", [False, True])
def test_real_outputs_are_those_of_transformers(plugin, real, draft):
    """Greedy search by another runtime, with the same constraint."""
    from structgen.hf import AutomatonLogitsProcessor

    model, tokenizer = tiny_model.load()
    automaton = structgen.compile_json_schema(
        {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}},
        real.vocabulary,
    )
    ids = tokenizer(PROMPT, return_tensors="pt")
    expected = model.generate(
        **ids,
        logits_processor=[AutomatonLogitsProcessor(automaton, finish_by=48)],
        max_new_tokens=48,
        do_sample=False,
    )[0, ids.input_ids.shape[1] :].tolist()
    options = {"draft_model": real.model, "num_draft_tokens": 3} if draft else {}
    responses = real.mlx_lm.stream_generate(
        real.model,
        real.tokenizer,
        ids.input_ids[0].tolist(),
        max_tokens=48,
        logits_processors=[plugin.AutomatonLogitsProcessor(automaton, finish_by=48)],
        **options,
    )
    assert [response.token for response in responses] == expected


def test_real_batches_conform(plugin, real):
    schemas = [SCHEMA, {"enum": ["red", "green"]}, {"type": "array", "items": {"type": "boolean"}}]
    processors = [
        plugin.AutomatonLogitsProcessor(
            structgen.compile_json_schema(schema, real.vocabulary, whitespace="compact"), finish_by=40
        )
        for schema in schemas
    ]
    prompts = [real.tokenizer.encode(PROMPT)] * 3
    ends = [[token] for token in real.tokenizer.eos_token_ids]
    batch = importlib.import_module("mlx_lm.generate").BatchGenerator(real.model, stop_tokens=ends)
    ids = batch.insert(prompts, [40] * 3, logits_processors=[[processor] for processor in processors])
    outputs = {i: [] for i in ids}
    while responses := batch.next_generated():
        for response in responses:
            outputs[response.uid].append(response.token)
    batch.close()
    for schema, i in zip(schemas, ids, strict=True):
        text = real.vocabulary.decode(outputs[i])
        assert jsonschema.Draft202012Validator(schema).is_valid(json.loads(text))
    # Its simpler interface has one list for all sequences.
    prompts = [real.tokenizer.encode(text) for text in (PROMPT, "SELECT ", "def ")]
    with pytest.raises(ValueError, match="for each generation at a time"):
        real.mlx_lm.batch_generate(
            real.model, real.tokenizer, prompts, max_tokens=40, logits_processors=processors[:1]
        )
