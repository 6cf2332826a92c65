"""The vLLM plug-in in simulated server loops, by both of vLLM's interfaces."""

import functools
import importlib
import json
import re
import types

import jsonschema
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import structgen
from structgen.testing import tiny_model
from tests.integrations import contracts

BYTES = structgen.Vocabulary.of_bytes()
END = 256
WIDTH = 260  # padded
VOCABULARY = structgen.Vocabulary(BYTES.tokens, eos_token_ids=END, logits_size=WIDTH)
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer", "minimum": 0, "maximum": 99}, "b": {"enum": ["x", "yy"]}},
    "required": ["a", "b"],
    "additionalProperties": False,
}
REQUESTS = {
    "schema": {"json_schema": SCHEMA, "whitespace": "compact"},
    "regex": {"regex": "[ab]{1,4}c"},
    "lark": {"lark": 'start: "(" start? ")"', "finish_by": 12},
    "gbnf": {"gbnf": 'root ::= "x" ("y" | "zz") "!"'},
    "text": json.dumps({"regex": "yes|no"}),
    "thinking": {"regex": "[01]{3}", "start_after": "#"},
    None: None,
}


def conforms(name, text):
    if name == "schema":
        return jsonschema.Draft202012Validator(SCHEMA).is_valid(json.loads(text))
    if name == "lark":
        half = len(text) // 2
        return half > 0 and text == "(" * half + ")" * half
    pattern = {
        "regex": "[ab]{1,4}c",
        "gbnf": "x(y|zz)!",
        "text": "yes|no",
        "thinking": "(?s)[^#]*#[01]{3}",
    }[name]
    return re.fullmatch(pattern, text) is not None


def params(name):
    extra = None if REQUESTS[name] is None else {"structgen": REQUESTS[name], "other": 1}
    return types.SimpleNamespace(extra_args=extra)


def config(*, asynchronous=False, listed=None):
    return types.SimpleNamespace(
        model_config=types.SimpleNamespace(logits_processors=listed),
        scheduler_config=types.SimpleNamespace(async_scheduling=asynchronous),
    )


@pytest.fixture(autouse=True)
def byte_tokens(vllm_plugin, monkeypatch):
    monkeypatch.setattr(vllm_plugin, "_vocabulary", lambda config: VOCABULARY)


@pytest.fixture
def of_batch(vllm_plugin):
    return lambda **options: vllm_plugin.StructgenLogitsProcessor(
        config(**options), torch.device("cpu"), False
    )


def sample(row, generator):
    """Draw a token; prefer the end, and the bytes that bring free text to its end."""
    weights = torch.softmax(row, -1)
    return int(torch.multinomial(weights, 1, generator=generator))


def update(size, removed=(), added=(), moved=()):
    from vllm.v1.sample.logits_processor import BatchUpdate

    return BatchUpdate(batch_size=size, removed=list(removed), added=list(added), moved=list(moved))


def scores(rows, generator):
    logits = torch.randn((rows, WIDTH), generator=generator)
    logits[:, END] += 3
    # Free text ends soon.
    logits[:, ord("#")] += 6
    return logits


@functools.cache
def compiled(name):
    request = REQUESTS[name]
    request = json.loads(request) if isinstance(request, str) else dict(request)
    options = {k: v for k, v in request.items() if k not in ("start_after", "finish_by")}
    kind, source = next(iter(options.items()))
    del options[kind]
    return getattr(structgen, f"compile_{kind}")(source, VOCABULARY, **options)


def reference(name, output):
    """The allowed tokens after `output`, read from the start each time."""
    automaton = compiled(name)
    state = automaton.start
    for token in output:
        state = automaton.step(state, token)
    return np.flatnonzero(np.unpackbits(automaton.mask(state).view(np.uint8), bitorder="little")).tolist()


class Batch:
    """A server's persistent batch, with vLLM's rules for adding, removing, condensing and swapping."""

    def __init__(self, processor):
        self.processor = processor
        self.names, self.outputs, self.done = [], [], []

    def step(self, generator, *, add=(), preempt=(), swap=None):
        from vllm.v1.sample.logits_processor import MoveDirectionality

        removed = {i for i, output in enumerate(self.outputs) if output and output[-1] == END} | {*preempt}
        again = [
            (self.names[i], list(self.outputs[i])) for i in sorted(preempt) if self.outputs[i][-1:] != [END]
        ]
        for i in sorted(removed):
            if self.outputs[i][-1:] == [END]:
                self.done.append((self.names[i], self.outputs[i]))
        names = {i: n for i, n in enumerate(self.names) if i not in removed}
        outputs = {i: o for i, o in enumerate(self.outputs) if i not in removed}
        free = sorted(removed)
        added, moved = [], []
        for name, output in [*again, *((name, []) for name in add)]:
            index = free.pop(0) if free else (max(names, default=-1) + 1)
            names[index], outputs[index] = name, output
            added.append((index, params(name), [1, 2], output))
        # Condense: the last request moves into the lowest free place.
        gaps = set(free)
        while free and names and max(names) > free[0]:
            last = max(names)
            hole = free.pop(0)
            names[hole], outputs[hole] = names.pop(last), outputs.pop(last)
            gaps.discard(hole)
            moved.append((last, hole, MoveDirectionality.UNIDIRECTIONAL))
        size = len(names)
        if swap is not None and size > 1:
            a, b = swap[0] % size, swap[1] % size
            if a != b:
                names[a], names[b] = names[b], names[a]
                outputs[a], outputs[b] = outputs[b], outputs[a]
                moved.append((a, b, MoveDirectionality.SWAP))
        self.names = [names[i] for i in range(size)]
        self.outputs = [outputs[i] for i in range(size)]
        change = update(size, sorted(gaps, reverse=True), added, moved)
        self.processor.update_state(change if removed or added or moved else None)
        if not size:
            return
        logits = scores(size, generator)
        before = logits.clone()
        masked = self.processor.apply(logits)
        for i, name in enumerate(self.names):
            if name is None:
                assert torch.equal(masked[i], before[i])
            elif name not in ("lark", "thinking"):
                allowed = torch.nonzero(masked[i] > -torch.inf).flatten().tolist()
                assert allowed == reference(name, self.outputs[i])
            token = sample(masked[i], generator)
            self.outputs[i].append(token if name is not None or len(self.outputs[i]) < 4 else END)


_STEPS = st.lists(
    st.tuples(
        st.lists(st.sampled_from([*REQUESTS]), max_size=2),
        st.lists(st.integers(0, 5), max_size=1),
        st.none() | st.tuples(st.integers(0, 5), st.integers(0, 5)),
    ),
    min_size=3,
    max_size=12,
)


@settings(max_examples=15, deadline=None)
@given(steps=_STEPS, seed=st.integers(0, 2**32))
def test_batches_that_change(vllm_plugin, steps, seed):
    processor = vllm_plugin.StructgenLogitsProcessor(config(), torch.device("cpu"), False)
    generator = torch.Generator().manual_seed(seed)
    batch = Batch(processor)
    for add, preempt, swap in steps:
        running = {p for p in preempt if p < len(batch.names)}
        batch.step(generator, add=add, preempt=running, swap=swap)
    for _ in range(400):
        if not batch.names:
            break
        batch.step(generator)
    assert not batch.names
    for name, output in batch.done:
        if name is not None:
            text = VOCABULARY.decode(output)
            assert conforms(name, text.decode("utf-8", "replace"))
            assert output.count(END) == 1


class _Slots:
    """Request states as vLLM's new model runner has them."""

    def __init__(self, slots, length):
        self.prompt_len = types.SimpleNamespace(np=np.zeros(slots, np.int32))
        self.all_token_ids = types.SimpleNamespace(gpu=torch.zeros((slots, length), dtype=torch.int32))


def context(rows, drafts):
    """`rows`: (slot, token fed, position, number of the row among its request's)."""
    from vllm.v1.worker.gpu.sample.logits_processor import LogitsContext

    slots = list(dict.fromkeys(slot for slot, *_ in rows))
    columns = [torch.tensor(column) for column in zip(*rows, strict=True)]
    return LogitsContext(
        expanded_idx_mapping=columns[0].int(),
        idx_mapping=torch.tensor(slots).int(),
        idx_mapping_np=np.array(slots, np.int32),
        expanded_local_pos=columns[3].int(),
        input_ids=columns[1].int(),
        pos=columns[2].long(),
        seq_lens_upper_bound_np=np.zeros(len(slots), np.int32),
    )


@settings(max_examples=15, deadline=None)
@given(
    names=st.lists(st.sampled_from([*REQUESTS]), min_size=1, max_size=4),
    drafts=st.integers(0, 3),
    seed=st.integers(0, 2**32),
    preemptions=st.sets(st.tuples(st.integers(0, 15), st.integers(0, 3)), max_size=4),
)
def test_slots_with_drafts_and_preemption(vllm_plugin, names, drafts, seed, preemptions):
    """Drafts are a request's own tokens, right or wrong; every accepted output conforms."""
    states = _Slots(8, 600)
    processor = vllm_plugin.StructgenLogitsProcessor(config(), states)
    generator = torch.Generator().manual_seed(seed)
    picks = np.random.default_rng(seed)
    prompts = [[7] * int(picks.integers(1, 4)) for _ in names]
    outputs = [[] for _ in names]
    slots = [int(slot) for slot in picks.permutation(8)[: len(names)]]

    def enter(i):
        states.prompt_len.np[slots[i]] = len(prompts[i])
        tokens = prompts[i] + outputs[i]
        states.all_token_ids.gpu[slots[i], : len(tokens)] = torch.tensor(tokens).int()
        assert processor.add_request(slots[i], params(names[i])) == (names[i] is not None)

    for i in range(len(names)):
        enter(i)
    for step in range(400):
        running = [i for i in range(len(names)) if END not in outputs[i]]
        if not running:
            break
        for i in running:
            if (step, i) in preemptions:
                free = sorted(set(range(8)) - {slots[j] for j in running})
                slots[i] = free[0]
                enter(i)
        picks.shuffle(running)
        rows, owners = [], []
        for i in running:
            tokens = prompts[i] + outputs[i]
            fed = [tokens[-1], *picks.choice([*b'{"a":1(x)yb0#'], drafts)]
            for k, token in enumerate(fed):
                rows.append((slots[i], int(token), len(tokens) - 1 + k, k))
                owners.append(i)
        logits = scores(len(rows), generator)
        before = logits.clone()
        masked = processor.apply(logits, context(rows, drafts))
        for i in running:
            own = [r for r, owner in enumerate(owners) if owner == i]
            for place, r in enumerate(own):
                if names[i] is None:
                    assert torch.equal(masked[r], before[r])
                elif names[i] not in ("lark", "thinking"):
                    allowed = torch.nonzero(masked[r] > -torch.inf).flatten().tolist()
                    assert allowed == reference(names[i], outputs[i])
                token = sample(masked[r], generator)
                if names[i] is None and len(outputs[i]) > 4:
                    token = END
                outputs[i].append(token)
                # The next draft counts only where it is what was sampled.
                if token == END or place + 1 == len(own) or rows[own[place + 1]][1] != token:
                    break
            tokens = prompts[i] + outputs[i]
            states.all_token_ids.gpu[slots[i], : len(tokens)] = torch.tensor(tokens).int()
    for name, output in zip(names, outputs, strict=True):
        assert output[-1] == END
        if name is not None:
            assert conforms(name, VOCABULARY.decode(output).decode("utf-8", "replace"))


def test_rows_inside_the_prompt_are_left_alone(vllm_plugin):
    states = _Slots(2, 20)
    states.prompt_len.np[1] = 5
    processor = vllm_plugin.StructgenLogitsProcessor(config(), states)
    assert processor.add_request(1, params("regex"))
    logits = torch.zeros((1, WIDTH))
    assert torch.equal(processor.apply(logits, context([(1, 7, 2, 0)], 0)), torch.zeros((1, WIDTH)))
    assert (processor.apply(logits, context([(1, 7, 4, 0)], 0)) > -torch.inf).sum() == 2


def test_class_of_both_interfaces(vllm_plugin):
    cls = vllm_plugin.StructgenLogitsProcessor
    assert issubclass(cls, importlib.import_module("vllm.v1.sample.logits_processor").LogitsProcessor)
    slots = importlib.import_module("vllm.v1.worker.gpu.sample.logits_processor")
    assert issubclass(cls, slots.LogitsProcessor)
    assert isinstance(cls(config(), torch.device("cpu"), False), cls)
    assert not cls(config(), _Slots(1, 1)).is_argmax_invariant()


@pytest.mark.parametrize("name", REQUESTS)
def test_good_requests_are_taken(vllm_plugin, name):
    vllm_plugin.StructgenLogitsProcessor.validate_params(params(name))


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"json_schema": {"type": "strin"}}, "strin"),
        ({"json_schema": {"allOf": [{"type": "string"}, {"type": "null"}]}}, "no value"),
        ({"regex": "("}, "structgen:"),
        ({"regex": "a", "lark": "start: "}, "exactly one"),
        ({}, "exactly one"),
        ({"regex": "a", "max_states": 5}, "no option 'max_states'"),
        ({"regex": 5}, "must be a str"),
        ({"lark": "/etc/some.lark"}, "not a file"),
        ({"lark": "start: a"}, "structgen:"),
        ({"gbnf": "root ::= ("}, "structgen:"),
        ({"regex": "a", "finish_by": 0}, "finish_by"),
        ("{", "no JSON"),
        (5, "must be a mapping"),
    ],
)
def test_bad_requests_are_refused(vllm_plugin, request_, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        vllm_plugin.StructgenLogitsProcessor.validate_params(
            types.SimpleNamespace(extra_args={"structgen": request_})
        )


def test_special_tokens_are_the_workers_to_know(vllm_plugin):
    request = types.SimpleNamespace(extra_args={"structgen": {"lark": 'start: <|call|> "x"'}})
    vllm_plugin.StructgenLogitsProcessor.validate_params(request)


def test_a_request_that_fails_in_the_worker_ends(of_batch, caplog):
    processor = of_batch()
    bad = types.SimpleNamespace(extra_args={"structgen": {"lark": 'start: <|call|> "x"'}})
    processor.update_state(update(2, added=[(0, bad, [1], []), (1, params("text"), [1], [])]))
    masked = processor.apply(torch.zeros((2, WIDTH)))
    assert torch.nonzero(masked[0] > -torch.inf).flatten().tolist() == [END]
    assert torch.nonzero(masked[1] > -torch.inf).flatten().tolist() == sorted(b"yn")
    assert "no special token <|call|>" in caplog.text


@pytest.mark.parametrize("listed", [None, ["structgen.integrations.vllm:StructgenLogitsProcessor"]])
def test_hidden_tokens(of_batch, caplog, listed):
    """With asynchronous scheduling the tokens are shown only if the class is listed."""
    processor = of_batch(asynchronous=True, listed=listed)
    processor.update_state(update(1, added=[(0, params("text"), [1], [])]))
    masked = processor.apply(torch.zeros((1, WIDTH)))
    allowed = torch.nonzero(masked[0] > -torch.inf).flatten().tolist()
    assert allowed == ([END] if listed is None else sorted(b"yn"))
    assert ("--logits-processors" in caplog.text) == (listed is None)


def test_real_vocabulary(vllm_plugin, monkeypatch):
    monkeypatch.undo()
    model, tokenizer = tiny_model.load()
    monkeypatch.setattr("vllm.tokenizers.cached_tokenizer_from_config", lambda model_config: tokenizer)
    asked = types.SimpleNamespace(
        model_config=types.SimpleNamespace(
            get_vocab_size=lambda: model.config.vocab_size,
            try_get_generation_config=lambda: {"eos_token_id": [tokenizer.eos_token_id]},
        )
    )
    expected = structgen.Vocabulary.from_huggingface(tokenizer, model.config.vocab_size)
    assert vllm_plugin._vocabulary(asked) == expected
    monkeypatch.setattr("vllm.tokenizers.cached_tokenizer_from_config", lambda model_config: None)
    with pytest.raises(ValueError, match="skip_tokenizer_init"):
        vllm_plugin._vocabulary(asked)


@pytest.mark.skipif(contracts.VLLM_IS_REAL, reason="vLLM is installed")
def test_without_vllm():
    contracts.uninstall()
    with pytest.raises(ImportError, match=re.escape("pip install 'structgen[vllm]'")):
        importlib.import_module("structgen.integrations.vllm")
