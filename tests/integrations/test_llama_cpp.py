"""llama-cpp-python's logits processor: by contract always, on a real model where the package is installed."""

import json
import re
import subprocess
import sys

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import structgen
from structgen._core import Builder
from structgen.integrations.llama_cpp import AutomatonLogitsProcessor
from structgen.testing import tiny_model
from tests.integrations.contracts import LlamaLoop

END = 256
WIDTH = 300  # padded
VOCABULARY = structgen.Vocabulary(
    structgen.Vocabulary.of_bytes().tokens, eos_token_ids=END, logits_size=WIDTH
)
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer", "minimum": 0, "maximum": 99}, "b": {"enum": ["x", "yy"]}},
    "required": ["a", "b"],
    "additionalProperties": False,
}
AUTOMATA = {
    "schema": structgen.compile_json_schema(SCHEMA, VOCABULARY, whitespace="compact"),
    "regex": structgen.compile_regex("[ab]{1,4}c", VOCABULARY),
    "lark": structgen.compile_lark('start: "(" start? ")"', VOCABULARY),
}


def conforms(name, text):
    if name == "schema":
        return jsonschema.Draft202012Validator(SCHEMA).is_valid(json.loads(text))
    if name == "lark":
        half = len(text) // 2
        return half > 0 and text == "(" * half + ")" * half
    return re.fullmatch("[ab]{1,4}c", text) is not None


def one_of_the_best(random):
    """Draw among the candidates that are left, as a sampler with a temperature does."""

    def draw(candidates):
        left = candidates[candidates["logit"] > -np.inf]
        weights = np.exp(left["logit"].astype(float) - left["logit"].max())
        return random.choice(left["id"], p=weights / weights.sum())

    return draw


def texts(loop, prompt, processor, draw, most=60):
    """Return the tokens before the end token."""
    output = []
    for token in loop.generate(prompt, [processor], draw):
        if token == END or len(output) == most:
            return output
        output.append(token)
    raise AssertionError("the loop never ends by itself")


@settings(max_examples=25, deadline=None)
@given(
    name=st.sampled_from([*AUTOMATA]),
    prompts=st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=4), min_size=1, max_size=4),
    finish_by=st.none() | st.integers(17, 30),
    seed=st.integers(0, 2**32),
)
def test_every_output_conforms(name, prompts, finish_by, seed):
    random = np.random.default_rng(seed)
    loop = LlamaLoop(lambda ids: random.normal(size=WIDTH).astype(np.float32))
    processor = AutomatonLogitsProcessor(
        AUTOMATA[name], finish_by=finish_by or (40 if name == "lark" else None)
    )
    for prompt in prompts:
        output = texts(loop, prompt, processor, one_of_the_best(random))
        assert conforms(name, bytes(output).decode())
        assert finish_by is None or len(output) < finish_by
        assert processor.error is None
        assert not processor.dead


def test_allowed_scores_stay_and_all_others_go():
    processor = AutomatonLogitsProcessor(AUTOMATA["regex"])
    scores = np.linspace(-5, 5, WIDTH, dtype=np.float32)
    before = scores.copy()
    assert processor(np.array([7], np.intc), scores) is scores
    left = np.flatnonzero(scores > -np.inf)
    assert left.tolist() == sorted(b"ab")
    assert np.array_equal(scores[left], before[left])


def test_the_constraint_wins_over_other_processors():
    processor = AutomatonLogitsProcessor(AUTOMATA["regex"])
    scores = np.full(WIDTH, -np.inf, np.float32)
    assert np.flatnonzero(processor(np.array([7], np.intc), scores) > -np.inf).tolist() == sorted(b"ab")


def guarded():
    b = Builder(VOCABULARY.native)
    value = b.text(b.re_concat([b.re_repeat(b.re_chars([(97, 98)]), 1, 3), b.re_literal("!")]))
    automaton = b.finish(b.guarded(value, b.guard("two a", lambda text: text == "aa!")))
    automaton.vocabulary = VOCABULARY
    return automaton


def test_errors_end_the_output_and_are_kept(caplog):
    """An exception in C would let the next token be drawn without constraint."""
    loop = LlamaLoop(lambda ids: (np.arange(WIDTH) == ord("b")).astype(np.float32))
    processor = AutomatonLogitsProcessor(guarded())
    greedy = lambda candidates: candidates["id"][candidates["logit"].argmax()]  # noqa: E731
    assert texts(loop, [1], processor, greedy) == [*b"bbb"]
    assert isinstance(processor.error, structgen.GuardDeadEnd)
    assert "the output ends at once" in caplog.text
    # Also if the runtime goes on; the next generation is a new one.
    ids = np.array([1, *b"bbb", END], np.intc)
    assert np.flatnonzero(processor(ids, np.zeros(WIDTH, np.float32)) > -np.inf).tolist() == [END]
    loop.logits = lambda ids: (np.arange(WIDTH) == (1, *b"aa!", END)[len(ids)]).astype(np.float32)
    assert texts(loop, [1], processor, greedy) == [*b"aa!"]
    assert processor.error is None


def test_another_models_scores_and_drafts_are_refused():
    processor = AutomatonLogitsProcessor(AUTOMATA["regex"])
    assert not (processor(np.array([7], np.intc), np.zeros(200, np.float32)) > -np.inf).any()
    assert "belongs to another model" in str(processor.error)
    processor.reset()
    processor(np.array([7], np.intc), np.zeros(WIDTH, np.float32))
    drafted = processor(np.array([7, *b"ab"], np.intc), np.zeros(WIDTH, np.float32))
    assert np.flatnonzero(drafted > -np.inf).tolist() == [END]
    assert "go without a draft model" in str(processor.error)


class Library:
    """The functions of ``llama_cpp`` about tokens; a token is its bytes and its attribute."""

    LLAMA_TOKEN_ATTR_UNKNOWN, LLAMA_TOKEN_ATTR_NORMAL, LLAMA_TOKEN_ATTR_CONTROL = 1, 4, 8

    def __init__(self, tokens, ends):
        self.tokens, self.ends = tokens, ends

    def llama_model_get_vocab(self, model):
        assert model == "model"
        return "vocab"

    def llama_vocab_n_tokens(self, vocab):
        return len(self.tokens)

    def llama_vocab_get_attr(self, vocab, token):
        return self.tokens[token][1]

    def llama_vocab_is_eog(self, vocab, token):
        return token in self.ends

    def llama_token_to_piece(self, vocab, token, buffer, size, lstrip, special):
        data, attribute = self.tokens[token]
        data = data if special or attribute == self.LLAMA_TOKEN_ATTR_NORMAL else b""
        if len(data) > size:
            return -len(data)
        buffer[: len(data)] = data
        return len(data)

    def detokenize(self, tokens):
        """``Llama.detokenize``, whose buffer has 32 bytes."""
        data = [self.tokens[token][0] for token in tokens]
        return b"".join(d[: -len(d)] if len(d) > 32 else d for d in data)


@pytest.fixture
def library(monkeypatch):
    def make(tokens, ends):
        library = Library(tokens, ends)
        monkeypatch.setitem(sys.modules, "llama_cpp", library)
        llama = type("Llama", (), {"__module__": "llama_cpp.llama"})()
        llama.model, llama.detokenize = "model", library.detokenize
        return llama

    return make


def test_vocabularies_by_contract(library):
    tokens = [
        (b"<s>", 8),
        (b"</s>", 8),
        (b"<unk>", 1),
        (b"\x00a\xff", 4),
        (b" " * 40, 4),
        (b"-" * 70, 8),
        (b"", 4),
    ]
    llama = library(tokens, {1, 5})
    vocabulary = structgen.Vocabulary.from_tokenizer(llama, 10)
    # A long piece is read whole, and left out where llama-cpp-python's texts leave it out.
    expected = [b"<s>", b"</s>", b"<unk>", b"\x00a\xff", b"", b"-" * 70, b""]
    assert vocabulary.tokens == tuple(expected)
    assert (vocabulary.eos_token_ids, vocabulary.special_token_ids) == ((1, 5), (0, 1, 2, 5))
    assert vocabulary.logits_size == 10
    assert structgen.Vocabulary.from_llama_cpp(llama, eos_token_ids=0).eos_token_ids == (0,)
    with pytest.raises(structgen.VocabularyError, match="no end-of-generation token"):
        structgen.Vocabulary.from_llama_cpp(library(tokens, set()))


def test_pytorch_is_not_needed():
    code = (
        "import sys; sys.modules.update(torch=None, transformers=None)\n"
        "import structgen, structgen.integrations.llama_cpp as m\n"
        "automaton = structgen.compile_regex('a', structgen.Vocabulary.of_bytes())\n"
        "m.AutomatonLogitsProcessor(automaton, start_after='#', finish_by=9)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


# -- the real package ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def llm(tmp_path_factory):
    """The tiny model in llama.cpp."""
    llama_cpp = pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
    pytest.importorskip("gguf", reason="gguf, which writes the model, is not installed")
    from tests.integrations import tiny_gguf

    file = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    tiny_gguf.write(file)
    model = llama_cpp.Llama(str(file), **SETTINGS)
    yield model
    model.close()


SETTINGS = {"n_ctx": 512, "n_threads": 1, "verbose": False, "seed": 1}
PROMPT = "Write a record as JSON:\n"


@pytest.fixture(scope="module")
def vocabulary(llm):
    return structgen.Vocabulary.from_llama_cpp(llm)


def test_the_real_vocabulary(llm, vocabulary):
    model, tokenizer = tiny_model.load()
    expected = structgen.Vocabulary.from_huggingface(tokenizer, model.config.vocab_size)
    # What llama-cpp-python's texts lack must not be drawn.
    lost = [i for i, token in enumerate(expected.tokens) if len(token) > 32]
    assert lost
    assert all(llm.detokenize([i]) == b"" for i in lost)
    assert vocabulary.tokens == tuple(b"" if i in lost else t for i, t in enumerate(expected.tokens))
    assert vocabulary.eos_token_ids == expected.eos_token_ids
    assert set(vocabulary.special_token_ids) == set(expected.special_token_ids)
    assert structgen.Vocabulary.from_tokenizer(llm) == vocabulary
    text = 'SELECT "naïve" 日本 👩‍🚀\t'
    tokens = llm.tokenize(text.encode(), add_bos=False)
    assert vocabulary.decode(tokens) == llm.detokenize(tokens) == text.encode()


def test_a_real_sentencepiece_vocabulary(tmp_path):
    llama_cpp = pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
    pytest.importorskip("gguf", reason="gguf, which writes the model, is not installed")
    from tests.integrations import tiny_gguf
    from tests.vocabulary.tokenizers_at_hand import processor as load

    processor = load()
    tiny_gguf.write_sentencepiece(tmp_path / "mistral.gguf", processor)
    llm = llama_cpp.Llama(str(tmp_path / "mistral.gguf"), vocab_only=True, verbose=False)
    vocabulary = structgen.Vocabulary.from_llama_cpp(llm)
    assert vocabulary == structgen.Vocabulary.from_sentencepiece(processor)
    for token in range(len(vocabulary)):
        assert llm.detokenize([token]) == vocabulary.decode([token])
    llm.close()


@pytest.mark.parametrize("whole", ["completion", "chat"])
def test_real_completions_conform(llm, vocabulary, whole):
    import llama_cpp

    automaton = structgen.compile_json_schema(SCHEMA, vocabulary, whitespace="compact")
    processor = AutomatonLogitsProcessor(automaton, finish_by=40)
    for seed in range(6):
        options = {
            "max_tokens": 40,
            "seed": seed,
            "temperature": 1.5,
            "logits_processor": llama_cpp.LogitsProcessorList([processor]),
        }
        if whole == "completion":
            choice = llm.create_completion(PROMPT, **options)["choices"][0]
            text = choice["text"]
        else:
            messages = [{"role": "user", "content": PROMPT}]
            choice = llm.create_chat_completion(messages, **options)["choices"][0]
            text = choice["message"]["content"]
        assert choice["finish_reason"] == "stop"
        assert processor.error is None
        assert jsonschema.Draft202012Validator(SCHEMA).is_valid(json.loads(text))


def test_real_outputs_are_those_of_transformers(llm, vocabulary):
    """Greedy search by another runtime, with the same constraint."""
    import llama_cpp
    import torch

    from structgen.hf import AutomatonLogitsProcessor as HuggingFaceProcessor

    model, tokenizer = tiny_model.load()
    automaton = structgen.compile_json_schema(
        {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}}, vocabulary
    )
    ids = tokenizer(PROMPT, return_tensors="pt")
    other = model.generate(
        **ids,
        logits_processor=[HuggingFaceProcessor(automaton, finish_by=48)],
        max_new_tokens=48,
        do_sample=False,
    )[0, ids.input_ids.shape[1] :]
    assert isinstance(other, torch.Tensor)
    answer = llm.create_completion(
        ids.input_ids[0].tolist(),
        max_tokens=48,
        temperature=0,
        logits_processor=llama_cpp.LogitsProcessorList([AutomatonLogitsProcessor(automaton, finish_by=48)]),
    )
    assert answer["choices"][0]["text"].encode() == vocabulary.decode(other.tolist())


def test_a_real_draft_model_is_refused(llm, vocabulary):
    import llama_cpp
    from llama_cpp.llama_speculative import LlamaPromptLookupDecoding

    processor = AutomatonLogitsProcessor(structgen.compile_regex("(ab){3,40}", vocabulary), finish_by=90)
    drafter = LlamaPromptLookupDecoding(max_ngram_size=2, num_pred_tokens=4)
    other = llama_cpp.Llama(llm.model_path, draft_model=drafter, **SETTINGS)
    answer = other.create_completion(
        "abababababab",
        max_tokens=60,
        temperature=0,
        logits_processor=llama_cpp.LogitsProcessorList([processor]),
    )
    other.close()
    assert re.fullmatch("(ab)*a?", answer["choices"][0]["text"])
    assert "go without a draft model" in str(processor.error)
