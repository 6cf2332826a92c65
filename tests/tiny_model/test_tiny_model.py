"""The committed small model, its corpus and its training script."""

import importlib
import json
import math
import sys
import time
from itertools import islice
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

from structgen.testing import tiny_model

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "tiny_model"
LIMIT = 8_000_000  # bytes on disk, tokenizer included
NOT_JSON = ("sql", "python")


def example_module(name: str) -> ModuleType:
    """Import a module of the example, whose folder is not a package."""
    sys.path.insert(0, str(EXAMPLE))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(EXAMPLE))


corpus = example_module("corpus")
shapes = example_module("shapes")


@pytest.fixture(scope="module")
def loaded():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tiny_model.load()
    torch.set_num_threads(threads)


def generate(loaded, prompt: str, **options) -> str:
    model, tokenizer = loaded
    inputs = tokenizer(prompt, return_tensors="pt")
    output = model.generate(**inputs, **options)
    return tokenizer.decode(output[0, inputs.input_ids.shape[1] :])


def mean_loss(loaded, texts: list[str]) -> float:
    model, tokenizer = loaded
    total, count = 0.0, 0
    for text in texts:
        row = tokenizer(tokenizer.bos_token + text + tokenizer.eos_token, return_tensors="pt").input_ids[
            :, :1024
        ]
        with torch.no_grad():
            total += float(model(input_ids=row, labels=row).loss) * (row.shape[1] - 1)
        count += row.shape[1] - 1
    return total / count


def test_size_on_disk():
    assert sum(file.stat().st_size for file in tiny_model.path().rglob("*")) <= LIMIT


def test_loads_with_the_auto_classes_offline(monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("network access")

    monkeypatch.setattr("socket.socket.connect", refuse)
    model = AutoModelForCausalLM.from_pretrained(tiny_model.path(), local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(tiny_model.path(), local_files_only=True)
    assert isinstance(model, LlamaForCausalLM)
    assert model.config.max_position_embeddings >= 1024
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight
    assert model.dtype == torch.float32
    assert len(tokenizer) == model.config.vocab_size == model.get_output_embeddings().weight.shape[0]
    assert tokenizer.bos_token == tokenizer.eos_token == "<|endoftext|>"
    assert tokenizer.pad_token_id != tokenizer.eos_token_id
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert model.generation_config.pad_token_id == tokenizer.pad_token_id


@settings(max_examples=200, deadline=None)
@given(text=st.text())
def test_tokenizer_gives_back_any_text(loaded, text):
    _, tokenizer = loaded
    ids = tokenizer(text).input_ids
    # Text such as "<|pad|>" would become a special token, which is decoded all the same.
    assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == text


def test_every_byte_is_a_token(loaded):
    _, tokenizer = loaded
    single = [token for token in tokenizer.get_vocab() if len(token) == 1]
    assert len(single) == 256


def test_json_documents_parse_and_prompts_stay_outside():
    documents = list(corpus.documents(7, 400_000))
    kinds = {document.kind for document in documents}
    assert kinds == {*shapes.KINDS, "schema", *NOT_JSON}
    spacings = set()
    for document in documents:
        if document.kind not in NOT_JSON:
            value = json.loads(document.body)
            spacings.update(
                name
                for name, options in (
                    ("compact", {"separators": (",", ":")}),
                    ("default", {}),
                    ("indented", {"indent": 2}),
                )
                if document.body == json.dumps(value, ensure_ascii=False, **options)
            )
            assert document.text == document.prompt + document.body
    assert spacings == {"compact", "default", "indented"}


def test_schemas_of_the_corpus_hold_for_their_documents():
    rng = corpus.random.Random("schemas")
    refused = 0
    for make, _, _ in shapes.KINDS.values():
        for _ in range(20):
            value = make(rng)
            schema = shapes.schema_of(value, rng)
            Draft202012Validator.check_schema(schema)
            if isinstance(value, list) or '"items"' in json.dumps(schema):
                continue  # items are described by the first one only, so others may differ
            assert Draft202012Validator(schema).is_valid(value)
            refused += not Draft202012Validator(schema).is_valid([value])
    assert refused > 20


def test_corpus_is_a_function_of_the_seed():
    def first(seed, **options):
        return list(islice(corpus.documents(seed, 10**9, **options), 60))

    assert first(1) == first(1)
    assert first(1) != first(2)
    assert first(1) != first(1, held_out=True)


def test_held_out_files_are_not_trained_on():
    trained = {document.prompt for document in corpus.python_documents()}
    held_out = {document.prompt for document in corpus.python_documents(held_out=True)}
    assert trained
    assert held_out
    assert not trained & held_out


def test_shares_of_the_sources():
    sizes = dict.fromkeys(corpus.SHARES, 0)
    for document in corpus.documents(5, 300_000):
        sizes[document.kind if document.kind in NOT_JSON else "json"] += len(document.text)
    for source, share in corpus.SHARES.items():
        assert sizes[source] / sum(sizes.values()) == pytest.approx(share, abs=0.03)


def test_loss_on_held_out_documents(loaded):
    rng = corpus.random.Random("a seed that the training does not use")
    documents = [corpus.json_document(rng) for _ in range(40)]
    uniform = math.log(len(loaded[1]))
    loss = mean_loss(loaded, [document.text for document in documents])
    assert loss < uniform / 3
    # Letters in random order are no JSON: a model that has learnt nothing but frequencies would not mind.
    shuffled = ["".join(rng.sample(document.text, len(document.text))) for document in documents[:10]]
    assert mean_loss(loaded, shuffled) > 2 * loss


def test_greedy_generation_is_deterministic(loaded):
    options = {"max_new_tokens": 60, "do_sample": False}
    first = generate(loaded, "Invoice as JSON:\n", **options)
    assert first == generate(loaded, "Invoice as JSON:\n", **options)
    assert first.lstrip().startswith(("{", "["))
    assert first != generate(loaded, "SQL:\n", **options)


def test_batches_with_left_padding(loaded):
    model, tokenizer = loaded
    prompts = ["Person as JSON:\n", "Package manifest as JSON:\n{\n  "]
    options = {"max_new_tokens": 12, "do_sample": False}
    rows = tokenizer(prompts, return_tensors="pt", padding=True, padding_side="left")
    texts = tokenizer.batch_decode(model.generate(**rows, **options)[:, rows.input_ids.shape[1] :])
    assert texts == [generate(loaded, prompt, **options) for prompt in prompts]


def test_folder_from_the_environment(monkeypatch, tmp_path):
    folder = tiny_model.path()
    monkeypatch.setenv("STRUCTGEN_TINY_MODEL", str(folder))
    assert tiny_model.path() == folder
    monkeypatch.setenv("STRUCTGEN_TINY_MODEL", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="train it with") as caught:
        tiny_model.path()
    assert str(tmp_path) in str(caught.value)


def test_folder_from_the_working_directory(monkeypatch, tmp_path):
    expected = tiny_model.path()
    monkeypatch.delenv("STRUCTGEN_TINY_MODEL", raising=False)
    monkeypatch.setattr(
        tiny_model, "__file__", str(tmp_path / "site-packages/structgen/testing/tiny_model.py")
    )
    monkeypatch.chdir(EXAMPLE)
    assert tiny_model.path() == expected
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors"):
        tiny_model.path()


def test_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModuleNotFoundError, match=r"structgen\[hf\]"):
        tiny_model.load()


def test_schedule_ends_by_steps_or_by_the_clock():
    schedule = example_module("train").Schedule
    now = time.monotonic()
    by_steps = schedule(steps=100, seconds=10**6, start=now)
    assert by_steps.progress(50) == 0.5
    assert by_steps.progress(100) == 1
    by_clock = schedule(steps=10**6, seconds=100, start=now - 75)
    assert 0.75 <= by_clock.progress(0) < 0.8
    assert schedule(steps=10**6, seconds=1, start=now - 75).progress(0) == 1
    rates = [schedule.rate(i / 100) for i in range(101)]
    assert 0 < rates[0] < rates[1] < rates[10] == 1
    assert rates[75] == pytest.approx(0.5)
    assert rates[100] == 0


def test_windows_cover_the_tokens_in_a_seeded_order():
    windows = example_module("train").windows
    tokens = np.arange(1000, dtype=np.uint16)
    drawn = list(islice(windows(tokens, 50, seed=0), 19))
    assert len({int(row[0]) for row in drawn}) == 19  # none twice before all have been drawn
    assert all(np.array_equal(row, np.arange(row[0], row[0] + 50)) for row in drawn)
    again = list(islice(windows(tokens, 50, seed=0), 19))
    other = list(islice(windows(tokens, 50, seed=1), 19))
    assert np.array_equal(drawn, again)
    assert not np.array_equal(drawn, other)


def test_training_script_in_a_few_steps(tmp_path, capsys):
    train = example_module("train")
    output = tmp_path / "weights"
    options = ["--steps=4", "--characters=150000", "--batch-tokens=512", "--threads=1", "--minutes=1"]
    threads = torch.get_num_threads()
    try:
        train.main([*options, f"--output={output}"])
    finally:
        torch.set_num_threads(threads)
    assert "held-out JSON loss" in capsys.readouterr().out
    names = {file.name for file in output.iterdir()}
    assert names >= {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert sum(file.stat().st_size for file in output.iterdir()) <= LIMIT
    tokenizer = AutoTokenizer.from_pretrained(output, local_files_only=True)
    assert tokenizer.decode(tokenizer('{"a": "ü"}').input_ids) == '{"a": "ü"}'
    model = AutoModelForCausalLM.from_pretrained(output, local_files_only=True)
    assert model.config.vocab_size == len(tokenizer)
