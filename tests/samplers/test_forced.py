"""Forced text against enumeration in small worlds, and against plain forward passes of small models."""

import json
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import jsonschema
import pytest
import torch

import structgen
from structgen import Vocabulary, compile_json_schema, compile_regex
from structgen.samplers import (
    SMC,
    AutomatonPotential,
    Context,
    DiverseBeamSearch,
    HuggingFaceModel,
    LocallyConstrained,
    MaskSampler,
    Predicate,
    Proposal,
    TableModel,
)
from structgen.samplers._forced import ForcedText, encoder_of
from structgen.testing import tiny_model, vocabularies
from tests.samplers.test_language_models import PROMPTS, build, plain, words
from tests.samplers.worlds import Tokens, bound, total_variation

END = 0
TOKENS = [b"", b"a", b"b", b"c", b"ab", b"bc", b"cab"]
VOCABULARY = Vocabulary(TOKENS, eos_token_ids=END)
# Forced at the beginning, in the middle and up to the end; with and without a choice of tokens.
TEXTS = {
    "abc(a|b)": ["abca", "abcb"],
    "(a|ba)cab": ["acab", "bacab"],
    "ab(c|)": ["abc", "ab"],
    "(b|c)abcabcab": ["babcabcab", "cabcabcab"],
    "bbb|bba": ["bbb", "bba"],
}


def greedy(text: str) -> list[int]:
    """Return the longest tokens from the left: a tokenizer, to which a line break is the end token."""
    found = [END] * text.startswith("\n")
    text = text.removeprefix("\n")
    while text:
        token = max((t for t in range(1, len(TOKENS)) if text.startswith(TOKENS[t].decode())), key=length)
        found.append(token)
        text = text[length(token) :]
    return found


def length(token: int) -> int:
    return len(TOKENS[token])


def forced_by(texts: Sequence[str], text: str, canonical: bool) -> list[int]:
    """Return the forced tokens after a text of a finite language, from the list of its texts alone."""
    allowed = allowed_by(texts, text)
    if allowed == [END]:
        return []
    if len(allowed) == 1:
        return [allowed[0], *forced_by(texts, text + TOKENS[allowed[0]].decode(), canonical)]
    left = [other[len(text) :] for other in texts if other.startswith(text)]
    least, greatest = min(left), max(left)
    same = [a == b for a, b in zip(least, greatest, strict=False)]
    common = least[: [*same, False].index(False)]
    if not canonical or not common:
        return []
    crossed = [
        begin
        for begin in range(len(common))
        if any(begin + length(t) > len(common) for t in allowed_by(texts, text + common[:begin]))
    ]
    cut = min(crossed, default=len(common))
    found, end = [], 0
    for token in greedy(common):
        end += length(token)
        if end <= cut:
            found.append(token)
    return found


def allowed_by(texts: Sequence[str], text: str) -> list[int]:
    pieces = [token.decode() for token in TOKENS]
    return [
        token
        for token, piece in enumerate(pieces)
        if (text in texts if token == END else any(other.startswith(text + piece) for other in texts))
    ]


def logprobs(tokens: Tokens) -> list[float]:
    generator = torch.Generator().manual_seed(hash(tokens) % 2**31)
    row = torch.randn(len(TOKENS), dtype=torch.float64, generator=generator) * 1.5
    found: list[float] = row.log_softmax(0).tolist()
    return found


def law(texts: Sequence[str], forced: Callable[[str], list[int]]) -> tuple[dict[Tokens, float], float]:
    """Return the probability of each sequence where tokens are forced or drawn, and the evidence."""
    found: dict[Tokens, float] = {}
    evidence = 0.0

    def visit(tokens: Tokens, q: float, p: float) -> None:
        nonlocal evidence
        text = b"".join(TOKENS[t] for t in tokens).decode()
        for token in forced(text):
            p *= math.exp(logprobs(tokens)[token])
            tokens = (*tokens, token)
            text += TOKENS[token].decode()
        row = [math.exp(x) for x in logprobs(tokens)]
        allowed = allowed_by(texts, text)
        total = sum(row[t] for t in allowed)
        for token in allowed:
            share, chance = q * row[token] / total, p * row[token]
            if token == END:
                found[(*tokens, END)] = share
                evidence += chance
            else:
                visit((*tokens, token), share, chance)

    visit((), 1.0, 1.0)
    return found, evidence


def sample(pattern: str, forced: Any, particles: int = 3000) -> Any:
    sampler = LocallyConstrained(particles, forced, greedy if forced == "canonical" else None)
    model = TableModel(VOCABULARY, logprobs)
    return sampler.run(model, MaskSampler(compile_regex(pattern, VOCABULARY)), max_tokens=12, seed=1)


@pytest.mark.parametrize("pattern", TEXTS)
def test_single_tokens_change_no_probability(pattern: str) -> None:
    texts = TEXTS[pattern]
    truth, evidence = law(texts, lambda text: [])
    assert truth == pytest.approx(law(texts, lambda text: forced_by(texts, text, False))[0])
    result = sample(pattern, "single")
    assert total_variation(result, truth) < bound(truth, 3000)
    assert math.exp(result.log_evidence) == pytest.approx(evidence, rel=0.15)


@pytest.mark.parametrize("pattern", TEXTS)
def test_canonical_tokens_have_the_law_that_is_documented(pattern: str) -> None:
    texts = TEXTS[pattern]
    truth, evidence = law(texts, lambda text: forced_by(texts, text, True))
    result = sample(pattern, "canonical")
    assert total_variation(result, truth) < bound(truth, 3000)
    assert math.exp(result.log_evidence) == pytest.approx(evidence, rel=0.15)
    assert {sequence.text for sequence in result.sequences} == set(texts)


def test_canonical_tokens_change_the_law_and_single_ones_do_not() -> None:
    """The laws above differ, or the tests could not tell one from the other."""
    pattern = "(b|c)abcabcab"
    texts = TEXTS[pattern]
    plain_law, _ = law(texts, lambda text: [])
    canonical, _ = law(texts, lambda text: forced_by(texts, text, True))
    assert set(canonical) < set(plain_law)
    assert total_variation(sample(pattern, "canonical"), plain_law) > 2 * bound(plain_law, 3000)


@pytest.mark.parametrize("forced", [None, "single", "canonical"])
def test_probabilities_of_sequences_are_the_models(forced: Any) -> None:
    result = sample("(b|c)abcabcab", forced, 50)
    for sequence in result.sequences:
        truth = sum(logprobs(sequence.tokens[:i])[t] for i, t in enumerate(sequence.tokens))
        assert sequence.log_probability == pytest.approx(truth)
    steps = {None: 9, "single": 9, "canonical": 3}[forced]
    assert len(result.tokens) <= steps


def test_what_the_model_finds_impossible_dies_where_it_is_forced() -> None:
    def never_c(tokens: Tokens) -> list[float]:
        row = [math.log(1 / 5)] * len(TOKENS)
        row[3] = row[5] = -math.inf
        return row

    # The only token after "bb" is "c"; the vocabulary has no "bbc".
    model = TableModel(VOCABULARY, never_c)
    automaton = MaskSampler(compile_regex("bb(c|a)(a|b)", VOCABULARY))
    result = LocallyConstrained(200, "single").run(model, automaton, max_tokens=9, seed=0)
    assert all(sequence.text.startswith("bba") for sequence in result.sequences if sequence.weight)
    dead = MaskSampler(compile_regex("aca", VOCABULARY))
    with pytest.raises(structgen.AllParticlesDeadError) as caught:
        LocallyConstrained(2, "single").run(model, dead, max_tokens=9, seed=0)
    assert [(death.step, death.cause) for death in caught.value.result.deaths] == [(0, "token")] * 2


@pytest.mark.parametrize("most", range(3, 10))
def test_forced_text_keeps_to_max_tokens(most: int) -> None:
    sampler = LocallyConstrained(40, "canonical", greedy)
    model = TableModel(VOCABULARY, logprobs)
    constraint = MaskSampler(compile_regex("(abc)*(ab|ba)", VOCABULARY))
    result = sampler.run(model, constraint, max_tokens=most, seed=0)
    for sequence in result.sequences:
        assert len(sequence.tokens) <= most
        if sequence.finished:
            assert re.fullmatch("(abc)*(ab|ba)", sequence.text)


# -- what is healed --------------------------------------------------------------------------


def after(tokens: Sequence[bytes], pattern: str, encode: Callable[[str], Sequence[int]]) -> list[bytes]:
    vocabulary = Vocabulary([b"", *tokens], eos_token_ids=0)
    potential = AutomatonPotential(compile_regex(pattern, vocabulary))
    forced = ForcedText(potential, vocabulary, "canonical", encode)
    return [vocabulary.tokens[t] for t in forced.after(Context.root(vocabulary), 100)]


@pytest.mark.parametrize(
    ("crossing", "wanted"),
    [
        ([], [b"xy", b"z", b"a", b"b"]),
        # The last token may be part of a longer one.
        ([b"bc"], [b"xy", b"z", b"a"]),
        # One that begins within the canonical tokens takes what it overlaps with it.
        ([b"zabd"], [b"xy"]),
        ([b"yzabc"], []),
        # It is no text of the language.
        ([b"be"], [b"xy", b"z", b"a", b"b"]),
        # It ends with the forced text.
        ([b"zab"], [b"xy", b"z", b"a", b"b"]),
    ],
)
def test_the_end_of_forced_text_is_left_to_the_model_where_tokens_cross_it(
    crossing: list[bytes], wanted: list[bytes]
) -> None:
    tokens = [b"x", b"y", b"z", b"a", b"b", b"c", b"d", b"xy", *crossing]
    ids = {"x": 1, "y": 2, "z": 3, "a": 4, "b": 5}

    def encode(text: str) -> list[int]:
        # What is no letter of the text is the line break in front of it.
        return [
            8 if part == "xy" else ids.get(part, 99)
            for part in re.findall("xy|.", text.strip("\n"), re.DOTALL)
        ]

    assert after(tokens, "xyzab(c|d)", encode) == wanted


def test_a_tokenizer_that_gives_back_other_bytes_forces_nothing() -> None:
    tokens = [b"x", b"y", b"xy"]
    assert after(tokens, "xyx", lambda text: [3, 1]) == [b"xy", b"x"]
    assert after(tokens, "xyx", lambda text: [3, 2]) == []
    assert after(tokens, "xyx", lambda text: [7]) == []
    # An end token within, and a token over the boundary in front.
    assert after(tokens, "xyx", lambda text: [3, 0]) == []


@pytest.mark.parametrize("kind", ["tekken", "sentencepiece_32k"])
def test_forced_text_is_written_as_the_tokenizer_writes_it(kind: str) -> None:
    vocabulary, encode = getattr(vocabularies, kind)()
    text = json.dumps({"a long constant": ["größer", "than", 12345, "tokens"]}, ensure_ascii=False)
    automaton = compile_regex(re.escape(text), vocabulary)
    forced = ForcedText(AutomatonPotential(automaton), vocabulary, "canonical", encode)
    tokens = forced.after(Context.root(vocabulary), 1000)
    assert b"".join(vocabulary.tokens[t] for t in tokens).decode() == text
    behind_a_line_break = list(encode("\n" + text))
    assert tokens == behind_a_line_break[-len(tokens) :]
    assert len(tokens) < len(text) / 2
    assert forced.after(Context.root(vocabulary), 3) == tokens[:3]


def test_encoders_add_no_special_tokens() -> None:
    _, tokenizer = tiny_model.load()
    wanted = tokenizer('{"name":', add_special_tokens=False)["input_ids"]
    for one in (tokenizer, tokenizer.backend_tokenizer):
        encode = encoder_of(one)
        assert encode is not None
        assert list(encode('{"name":')) == wanted
    assert encoder_of(VOCABULARY) is None


# -- several tokens at once ------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
@pytest.mark.parametrize("prompts", [[[3, 4, 5]], PROMPTS], ids=["one", "several"])
def test_rows_that_grow_by_different_numbers_of_tokens_equal_plain_forward_passes(
    kind: str, prompts: list[list[int]]
) -> None:
    model = build(kind)
    each = 6 // len(prompts)
    rows = HuggingFaceModel(model, words(), prompts, temperature=0.7).begin(each, max_tokens=20)
    texts = [list(prompt) for prompt in prompts for _ in range(each)]
    for index, added in [
        (None, [[1], [2, 3, 4], [5, 6], [7], [8, 9, 10, 1], [2]]),
        ([5, 4, 4, 0, 1, 2], [[3], [4], [5], [6], [7], [8]]),
        ([0, 3, 1], [[9, 1, 2], [3, 4, 5], [6, 7, 8]]),
        ([2, 2, 0, 1], [[1, 2], [3], [4, 5, 6, 7], [8]]),
    ]:
        if index is not None:
            rows.select(index)
            texts = [list(texts[i]) for i in index]
        found = rows.extend(added)
        for text, more, given in zip(texts, added, found, strict=True):
            truth = [float(plain(model, [more[:i]], 0.7, text)[0, more[i]]) for i in range(1, len(more))]
            assert given == pytest.approx(truth, abs=1e-4)
            text += more
        wanted = torch.cat([plain(model, [[]], 0.7, text) for text in texts])
        assert torch.allclose(rows.logprobs(), wanted, atol=1e-4)
    assert (rows.logprobs()[0] - rows.logprobs()[1]).abs().max() > 0.01


def test_models_that_cannot_have_padding_within_take_as_many_tokens_for_each_row() -> None:
    model = build("sliding")
    rows = HuggingFaceModel(model, words(), [3, 4, 5], temperature=0.7).begin(2, max_tokens=20)
    texts: list[list[int]] = [[], []]
    for added in ([[1, 2, 3], [4, 5, 6]], [[7, 8], [9, 10]], [[1, 2, 3, 4], [5, 6, 7, 8]]):
        rows.extend(added)
        texts = [[*text, *more] for text, more in zip(texts, added, strict=True)]
        assert torch.allclose(rows.logprobs(), plain(model, texts, 0.7), atol=1e-4)
    with pytest.raises(ValueError, match=r"sliding window.*forced=None"):
        rows.extend([[1], [2, 3]])
    static = HuggingFaceModel(build("llama"), words(), [3], cache="static").begin(2, max_tokens=8)
    with pytest.raises(ValueError, match='cache="dynamic"'):
        static.extend([[1, 2], [3, 4]])


# -- the plain entry -------------------------------------------------------------------------

SCHEMA = {
    "type": "object",
    "properties": {"colour": {"enum": ["red", "green"]}, "quantity": {"type": "integer", "maximum": 999}},
    "required": ["colour", "quantity"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("prompts", [["Things: "], ["Things: ", "A longer list of things as JSON: "]])
def test_outputs_are_valid_and_take_fewer_forward_passes(prompts: list[str]) -> None:
    model, tokenizer = tiny_model.load()
    vocabulary = Vocabulary.from_huggingface(tokenizer, model.config.vocab_size)
    automaton = compile_json_schema(SCHEMA, vocabulary, whitespace="compact")
    passes = 0

    def count(*_: Any) -> None:
        nonlocal passes
        passes += 1

    model.register_forward_hook(count)
    results = structgen.generate(
        model,
        tokenizer,
        prompts,
        automaton,
        particles=4,
        max_tokens=60,
        seed=3,
        forced="canonical",
        progress=False,
    )
    assert isinstance(results, list)
    sequences = [sequence for result in results for sequence in result.sequences]
    assert 3 * passes < 2 * max(len(sequence.tokens) for sequence in sequences)
    validator = jsonschema.Draft202012Validator(SCHEMA)
    for prompt, result in zip(prompts, results, strict=True):
        ids = tokenizer(prompt)["input_ids"]
        for sequence in result.sequences:
            assert sequence.finished
            assert validator.is_valid(json.loads(sequence.text))
            with torch.no_grad():
                logits = model(torch.tensor([[*ids, *sequence.tokens]])).logits[0, len(ids) - 1 : -1]
            rows = logits.log_softmax(-1)
            truth = sum(float(row[t]) for row, t in zip(rows, sequence.tokens, strict=True))
            assert sequence.log_probability == pytest.approx(truth, abs=1e-2)


def test_what_forced_text_does_not_go_with_is_refused() -> None:
    model, tokenizer = tiny_model.load()
    vocabulary = Vocabulary.from_huggingface(tokenizer, model.config.vocab_size)
    ask: dict[str, Any] = {"max_tokens": 20, "progress": False}
    for sampler in ("rerank", DiverseBeamSearch(2)):
        with pytest.raises(ValueError, match="takes every token from the model: leave out forced='single'"):
            structgen.generate(model, tokenizer, "x", SCHEMA, sampler, forced="single", **ask)
    for sampler in ("smc", "awrs", "asap", "rejection", "mcmc", SMC(2)):
        with pytest.raises(ValueError, match=r'would change the distribution that .* samples: use "single"'):
            structgen.generate(model, tokenizer, "x", SCHEMA, sampler, forced="canonical", **ask)
    with pytest.raises(ValueError, match="needs the tokenizer's encoder"):
        structgen.generate(model, vocabulary, [1, 2], SCHEMA, forced="canonical", **ask)
    with pytest.raises(ValueError, match='must be "single", "canonical" or None'):
        structgen.generate(model, tokenizer, "x", SCHEMA, forced="all", **ask)  # type: ignore[arg-type]
    both = [compile_regex("a*", vocabulary), Predicate(lambda text: len(text) < 3)]
    with pytest.raises(ValueError, match="one automaton as the constraint, and there is more to ask"):
        structgen.generate(model, tokenizer, "x", both, forced="canonical", **ask)
    with pytest.raises(ValueError, match="finds forced text by an automaton, and the constraint has none"):
        structgen.generate(model, tokenizer, "x", Predicate(lambda text: True), "smc", forced="single", **ask)
    cut = Proposal(MaskSampler(compile_regex("a*", vocabulary)), top_k=2)
    with pytest.raises(ValueError, match="Proposal may cut forced tokens off"):
        structgen.generate(model, tokenizer, "x", cut, "smc", forced="single", **ask)
    with pytest.raises(ValueError, match='must be "single", "canonical" or None'):
        SMC(forced="both")  # type: ignore[arg-type]


def test_a_model_whose_rows_take_one_token_at_a_time_is_refused() -> None:
    class Rows:
        def __init__(self, rows: Any) -> None:
            self.logprobs, self.append, self.select = rows.logprobs, rows.append, rows.select

        def __len__(self) -> int:
            return 1

    class Model:
        vocabulary = VOCABULARY

        def begin(self, rows: int, *, max_tokens: int) -> Rows:
            return Rows(TableModel(VOCABULARY, logprobs).begin(rows, max_tokens=max_tokens))

    constraint = MaskSampler(compile_regex("ba", VOCABULARY))
    with pytest.raises(ValueError, match="Rows has no method extend"):
        LocallyConstrained(1, "single").run(Model(), constraint, max_tokens=5, seed=0)
