"""Frozen automata in Transformers next to the lazy processor and to a plain loop."""

import inspect
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from unittest.mock import MagicMock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaForCausalLM

import structgen
from structgen.hf import AutomatonLogitsProcessor, FrozenLogitsProcessor, generate_frozen
from structgen.hf._frozen import _Loop
from tests.hf.conftest import EOS, FIRST_BYTE, OTHER_EOS, PAD, Generate, build_vocabulary, decode, finished
from tests.hf.small import VOCABULARY as SMALL_VOCABULARY
from tests.hf.test_speculative import MODEL as SMALL
from tests.hf.test_speculative import REGEXES, speculation
from tests.hf.test_speculative import prompts as small_prompts

PATTERN = r"(ab|yes|no|é)(,(ab|yes|no|é)){0,4}!?"
PROMPTS = [[40, 41, 42], [50], [60, 61, 62, 63, 64]]


@pytest.fixture(scope="module", params=[(EOS,), (OTHER_EOS, EOS)], ids=["one end", "two ends"])
def lazy(request: pytest.FixtureRequest) -> structgen.TokenAutomaton:
    return structgen.compile_regex(PATTERN, build_vocabulary(request.param))


def padded(prompts: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(map(len, prompts))
    ids = torch.tensor([[PAD] * (width - len(p)) + p for p in prompts])
    return ids, torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])


def plain_loop(
    model: LlamaForCausalLM, prompt: list[int], automaton: structgen.TokenAutomaton, limit: int
) -> list[int]:
    """Greedy search of one row with the lazy automaton and no cache."""
    state, output = automaton.start, []
    while len(output) < limit and state != structgen.FINISHED:
        with torch.no_grad():
            logits = model(torch.tensor([prompt + output])).logits[0, -1]
        allowed = [t for t in range(len(logits)) if automaton.step(state, t) != structgen.DEAD]
        output.append(max(allowed, key=lambda t: float(logits[t])))
        state = automaton.step(state, output[-1])
    return output


@pytest.mark.parametrize("check_every", [0, 1, 5])
def test_the_loop_is_greedy_search(
    model: LlamaForCausalLM, lazy: structgen.TokenAutomaton, check_every: int
) -> None:
    ids, attention = padded(PROMPTS)
    found = generate_frozen(
        model, ids, lazy.freeze(), attention_mask=attention, max_new_tokens=24, check_every=check_every
    )
    assert torch.equal(found[:, : ids.shape[1]], ids)
    length = found.shape[1] - ids.shape[1]
    assert length == 24 if not check_every else length <= 24
    for row, prompt in zip(found[:, ids.shape[1] :].tolist(), PROMPTS, strict=True):
        wanted = plain_loop(model, prompt, lazy, 24)
        assert row == wanted + [PAD] * (length - len(wanted))
        assert any(token in lazy.vocabulary.eos_token_ids for token in wanted)


def test_it_stops_at_the_limit(model: LlamaForCausalLM) -> None:
    automaton = structgen.compile_regex("a{40}", build_vocabulary())
    ids, _ = padded(PROMPTS[:1])
    for limit in (1, 2, 7):
        row = generate_frozen(model, ids, automaton.freeze(), max_new_tokens=limit)[
            0, ids.shape[1] :
        ].tolist()
        assert row == plain_loop(model, PROMPTS[0], automaton, limit)
        assert len(row) == limit


def test_sampling_follows_the_masked_distribution(model: LlamaForCausalLM) -> None:
    vocabulary = build_vocabulary()
    automaton = structgen.compile_regex("[a-d]", vocabulary)
    ids = torch.tensor([PROMPTS[0]] * 4000)
    found = generate_frozen(
        model,
        ids,
        automaton.freeze(),
        max_new_tokens=2,
        do_sample=True,
        temperature=6.0,
        generator=torch.Generator().manual_seed(0),
    )
    counts = Counter(found[:, 3].tolist())
    with torch.no_grad():
        logits = model(ids[:1]).logits[0, -1] / 6.0
    tokens = [FIRST_BYTE + byte for byte in b"abcd"]
    wanted = torch.softmax(logits[tokens], -1)
    assert set(counts) <= set(tokens)
    for token, p in zip(tokens, wanted.tolist(), strict=True):
        # Five standard deviations.
        assert abs(counts[token] / 4000 - p) < 5 * (p * (1 - p) / 4000) ** 0.5 + 1e-4
    assert (found[:, 4] == EOS).all()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"cache_implementation": "static"},
        {"do_sample": True},
        {"do_sample": True, "num_return_sequences": 3},
        {"num_beams": 3},
        {"num_beams": 4, "num_return_sequences": 2},
    ],
    ids=str,
)
def test_the_processor_is_the_lazy_one(
    lazy: structgen.TokenAutomaton, generate: Generate, options: dict[str, object]
) -> None:
    processor = FrozenLogitsProcessor(lazy.freeze())
    for prompts in (PROMPTS, PROMPTS, PROMPTS[:2]):
        frozen = generate(processor, prompts, **options)
        assert frozen == generate(AutomatonLogitsProcessor(lazy), prompts, **options)
    for row in frozen:
        assert finished(lazy.vocabulary, row)
        assert lazy.accepts(lazy.advance_bytes(lazy.start, decode(lazy.vocabulary, row).encode()))


def test_rows_are_found_again_and_others_are_dead() -> None:
    vocabulary = build_vocabulary()
    automaton = structgen.compile_regex("ab|cd|e{5}", vocabulary)
    processor = FrozenLogitsProcessor(automaton.freeze())
    a, b, c, d, x = (FIRST_BYTE + byte for byte in b"abcdx")
    scores = torch.zeros((2, 320))

    def allowed(*rows: list[int]) -> list[set[int]]:
        masked = processor(torch.tensor(rows), scores[: len(rows)])
        return [set(row.isfinite().nonzero().flatten().tolist()) for row in masked]

    first = {vocabulary.tokens.index(word) for word in (b"a", b"ab", b"c", b"e")}
    assert allowed([9, 9], [9, 9]) == [first, first]
    # Rows have changed places; one has left the language.
    assert allowed([9, 9, c], [9, 9, a]) == [{d}, {b}]
    assert allowed([9, 9, a, b], [9, 9, c, x]) == [{EOS}, {EOS}]
    # A row that goes on with none of the last.
    assert allowed([9, 9, c, d, EOS]) == [{EOS}]
    with pytest.raises(ValueError, match="a token, and one"):
        allowed([9, 9, a, b, EOS, EOS, EOS])
    processor.reset()
    assert allowed([9] * 8) == [first]


def test_a_row_alone_may_be_rewound() -> None:
    vocabulary = build_vocabulary()
    lazy = structgen.compile_regex("ab|c(d|e)|e{5}", vocabulary)
    processor = FrozenLogitsProcessor(lazy.freeze())
    a, b, c, d, e, x = (FIRST_BYTE + byte for byte in b"abcdex")

    def allowed(*row: int) -> set[int]:
        masked = processor(torch.tensor([row]), torch.zeros((1, 320)))[0]
        return set(masked.isfinite().nonzero().flatten().tolist())

    first = allowed(9, 9)
    assert {a, c, e} < first
    assert allowed(9, 9, c) == {d, e}
    # A draft that leaves the language, and is taken back; another, that does not.
    assert allowed(9, 9, c, x) == {EOS}
    assert allowed(9, 9, c, x, d) == {EOS}
    assert allowed(9, 9, c, e) == {EOS}
    assert allowed(9, 9, e) == {e}
    assert allowed(9, 9, e, e) == {e}
    assert allowed(9, 9, e, e, e) == {e}
    # Back to where the draft began: tokens that were taken back do not count.
    assert allowed(9, 9, a) == {b}
    with pytest.raises(ValueError, match="a token, and one"):
        allowed(9, 9, a, b, EOS)
    # The beginning of a row that was never there.
    assert allowed(9, 9, a, b) == {EOS}
    assert allowed(9, 9, c, d) == {EOS}
    assert allowed(9, 9) == first
    processor.reset()
    for rows in ([[9], [9]], [[9, a], [9, c]], [[9, a, b], [9, c, d]]):
        processor(torch.tensor(rows), torch.zeros((2, 320)))
    with pytest.raises(ValueError, match="one alone may be rewound"):
        processor(torch.tensor([[9, a], [9, c]]), torch.zeros((2, 320)))


@settings(max_examples=40)
@given(
    st.sampled_from(REGEXES),
    small_prompts,
    speculation,
    st.booleans(),
)
def test_drafts_are_followed_as_by_the_lazy_processor(
    regex: str, prompt: list[int], options: dict[str, object], do_sample: bool
) -> None:
    lazy = structgen.compile_regex(regex, SMALL_VOCABULARY)
    frozen = lazy.freeze()
    rows = []
    for processor in (AutomatonLogitsProcessor(lazy), FrozenLogitsProcessor(frozen)):
        torch.manual_seed(0)
        output = SMALL.generate(
            torch.tensor([prompt]),
            logits_processor=[processor],
            do_sample=do_sample,
            max_new_tokens=14,
            **options,
        )
        rows.append(output[0, len(prompt) :].tolist())
    assert rows[0] == rows[1]
    state = lazy.start
    for token in rows[1]:
        state = lazy.step(state, token)
    assert state != structgen.DEAD


def test_a_score_of_minus_infinity_does_not_end_a_row() -> None:
    automaton = structgen.compile_regex("a", build_vocabulary())
    scores = torch.full((1, 320), -torch.inf)
    masked = FrozenLogitsProcessor(automaton.freeze())(torch.tensor([[9]]), scores)
    assert masked.isfinite().sum() == 1
    assert masked.argmax() == FIRST_BYTE + ord("a")
    assert scores.isneginf().all()


def test_what_does_not_fit_is_refused(model: LlamaForCausalLM, lazy: structgen.TokenAutomaton) -> None:
    with pytest.raises(TypeError, match="freeze"):
        FrozenLogitsProcessor(lazy)
    ids, frozen = torch.tensor([[9, 9]]), lazy.freeze()
    for options, text in [
        ({"max_new_tokens": 0}, "max_new_tokens"),
        ({"do_sample": True, "temperature": 0.0}, "temperature"),
        ({"attention_mask": torch.ones((1, 3))}, "attention_mask"),
        ({"capture": True}, "GPU"),
    ]:
        with pytest.raises(ValueError, match=text):
            generate_frozen(model, ids, frozen, **options)
    with pytest.raises(ValueError, match="shape"):
        generate_frozen(model, ids[0], frozen)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_step_reads_nothing_on_the_host(
    model: LlamaForCausalLM, lazy: structgen.TokenAutomaton, temperature: float
) -> None:
    """A whole step, with the forward pass, as one graph: a value that the host reads would break it."""
    ids, attention = padded(PROMPTS)
    rows = []
    for compiled in (False, True):
        loop = _Loop(model, ids, attention, lazy.freeze(), 12, temperature, None, PAD)
        with torch.no_grad():
            torch.manual_seed(0)
            loop._forward_and_choose(ids)
            loop.positions = loop.positions[:, -1:].clone()
            torch._dynamo.reset()
            step = torch.compile(loop.step, fullgraph=True, backend="eager") if compiled else loop.step
            for _ in range(11):
                step()
        rows.append(loop.output.tolist())
    assert rows[0] == rows[1]


class StandIns:
    """Streams and graphs for a CPU. What a capture runs leaves no trace, as on a GPU; a replay runs it."""

    def __init__(self, loop: _Loop, generator: torch.Generator) -> None:
        self._loop, self._generator = loop, generator
        self.registered: list[torch.Generator] = []
        self.captures = 0

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stream = MagicMock()
        for name in ("Stream", "current_stream"):
            monkeypatch.setattr(torch.cuda, name, lambda: stream)
        monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
        monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
        monkeypatch.setattr(torch.cuda, "default_generators", (self._generator,))
        monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: self)
        # Its options are those of the real one.
        signature = inspect.signature(torch.cuda.graph.__init__)
        assert signature.bind(None, self, capture_error_mode="thread_local")
        monkeypatch.setattr(torch.cuda, "graph", self._capture)

    def register_generator_state(self, generator: torch.Generator) -> None:
        self.registered.append(generator)

    def replay(self) -> None:
        self._loop.step()

    @contextmanager
    def _capture(self, graph: object, capture_error_mode: str) -> Iterator[None]:
        loop = self._loop
        tensors = [loop.states, loop.tokens, loop.output, loop.written, loop.attention, loop.positions]
        tensors += [layer.cumulative_length for layer in loop.cache.layers]
        kept, state = [tensor.clone() for tensor in tensors], self._generator.get_state()
        yield
        for tensor, value in zip(tensors, kept, strict=True):
            tensor.copy_(value)
        self._generator.set_state(state)
        self.captures += 1


@pytest.mark.parametrize("limit", [1, 2, 3, 12])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("own_generator", [False, True])
def test_what_precedes_a_capture_leaves_no_trace(
    model: LlamaForCausalLM,
    lazy: structgen.TokenAutomaton,
    limit: int,
    temperature: float,
    own_generator: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ids, attention = padded(PROMPTS)
    frozen = lazy.freeze()
    rows = []
    for capture in (False, True):
        generator = torch.Generator().manual_seed(3)
        mine = generator if own_generator else None
        torch.manual_seed(3)
        loop = _Loop(model, ids, attention, frozen, limit, temperature, mine, PAD)
        with torch.no_grad(), monkeypatch.context() as patch:
            stand_ins = StandIns(loop, generator if own_generator else torch.default_generator)
            if capture:
                stand_ins.install(patch)
            rows.append(loop.run(0, capture).tolist())
        assert stand_ins.captures == (capture and limit > 1)
        assert stand_ins.registered == ([generator] if mine and temperature and stand_ins.captures else [])
    assert rows[0] == rows[1]
