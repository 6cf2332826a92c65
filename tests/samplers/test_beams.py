"""Diverse beam search against a plain implementation, and its terms by hand."""

import collections
import functools
import itertools
import math
import re
from collections.abc import Sequence
from typing import Any

import pytest
import torch

import structgen
from structgen import AllParticlesDeadError, BudgetError, NothingSatisfiesError, compile_regex
from structgen.samplers import (
    Cumulative,
    DiverseBeamSearch,
    Embedding,
    Hypothesis,
    NGram,
    Predicate,
    Structural,
    TableModel,
)
from structgen.samplers._dissimilarity import hamming
from tests.hf.small import VOCABULARY, small_model
from tests.samplers.worlds import END, LETTERS, TWO_ENDS, Tokens, World, vocabulary


def plain_search(
    world: World,
    pattern: str,
    groups: int,
    beams: int,
    strength: float,
    length_penalty: float,
    early_stopping: Any = "never",
) -> list[tuple[Tokens, float, float]]:
    """Return texts, scores and log-probabilities of Hamming search.

    Written from the paper's algorithm 1: per group a list of (text, sum with terms, sum); what ends among the
    best leaves it.
    """
    ends = world.vocabulary.eos_token_ids
    language = in_language(pattern, tuple(ends), world.max_tokens)
    running: list[list[tuple[Tokens, float, float]]] = [[((), 0.0, 0.0)] for _ in range(groups)]
    finished: list[dict[Tokens, tuple[float, float]]] = [{} for _ in range(groups)]
    for length in range(1, world.max_tokens + 1):
        chosen: collections.Counter[int] = collections.Counter()
        for g in range(groups):
            candidates = []
            for text, score, log_p in running[g]:
                row = world.logprobs(text)
                allowed = [t for t in range(len(row)) if (*text, t) in language]
                for t in allowed:
                    term = 0 if t in ends or len(allowed) == 1 else chosen[t]
                    candidates.append(((*text, t), score + row[t] - strength * term, log_p + row[t]))
            candidates.sort(key=lambda candidate: -candidate[1])
            kept = candidates[: (1 + len(ends)) * beams]
            # What groups before have finished, with other tokens or another end, can't finish again.
            shown = {spelling(world, text) for before in finished[:g] for text in before}
            kept = [c for c in kept if c[0][-1] not in ends or spelling(world, c[0]) not in shown]
            for text, score, log_p in kept[:beams]:
                if text[-1] in ends:
                    finished[g][text] = (score / length**length_penalty, log_p)
            best: dict[str, Tokens] = {}
            for text in sorted(finished[g], key=lambda text: -finished[g][text][0]):
                best.setdefault(spelling(world, text), text)
            finished[g] = {text: finished[g][text] for text in list(best.values())[:beams]}
            running[g] = [c for c in kept if c[0][-1] not in ends][:beams]
            chosen.update(text[-1] for text, _, _ in running[g])
            # A group that stops no longer chooses anything: later groups must not see it go on.
            if len(finished[g]) == beams and running[g]:
                worst = min(score for score, _ in finished[g].values())
                # "never" takes the length at which the sum, below 0, weighs least.
                limit = world.max_tokens if early_stopping == "never" and length_penalty > 0 else length
                if early_stopping is True or running[g][0][1] / limit**length_penalty <= worst:
                    running[g] = []
    entries = [(text, *values) for group in finished for text, values in group.items()]
    found: dict[str, tuple[Tokens, float, float]] = {}
    for entry in sorted(entries, key=lambda entry: -entry[1]):
        found.setdefault(spelling(world, entry[0]), entry)
    return list(found.values())


def spelling(world: World, tokens: Tokens) -> str:
    return "".join(world.vocabulary.tokens[token].decode() for token in tokens)


@functools.cache
def in_language(pattern: str, ends: tuple[int, ...], max_tokens: int) -> set[Tokens]:
    """Return the texts that a mask lets through: beginnings of what is right, if need be beyond the limit."""
    pieces = vocabulary(ends).tokens
    found: set[Tokens] = set()
    for length in range(max_tokens + 3):
        for text in itertools.product(range(1, 1 + len(LETTERS)), repeat=length):
            if re.fullmatch(pattern, b"".join(pieces[t] for t in text).decode()):
                found |= {text[:i] for i in range(min(length, max_tokens - 1) + 1)}
                if length < max_tokens:
                    found |= {(*text, end) for end in ends}
    return found


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("ends", [(END,), TWO_ENDS])
@pytest.mark.parametrize(("groups", "beams"), [(1, 1), (1, 3), (2, 2), (3, 1), (4, 2)])
@pytest.mark.parametrize(
    ("strength", "length_penalty", "early_stopping"),
    [
        (0.0, 1.0, "never"),
        (0.7, 0.0, "never"),
        (3.0, 1.5, "never"),
        (0.7, -0.5, "never"),
        (0.7, 1.0, True),
        (0.7, 1.5, False),
        (3.0, -0.5, False),
    ],
)
def test_search_is_that_of_a_plain_implementation(
    seed: int,
    ends: tuple[int, ...],
    groups: int,
    beams: int,
    strength: float,
    length_penalty: float,
    early_stopping: Any,
) -> None:
    pattern = "a(b|ab)*a?|b+"
    world = World(pattern, 5, seed, ends)
    expected = plain_search(world, pattern, groups, beams, strength, length_penalty, early_stopping)
    sampler = DiverseBeamSearch(
        groups, beams, strength, length_penalty=length_penalty, early_stopping=early_stopping
    )
    result = sampler.run(world.model, world.masks(), max_tokens=5)
    found = result.sequences
    assert [s.tokens for s in found] == [text for text, _, _ in expected]
    assert [s.score for s in found] == pytest.approx([score for _, score, _ in expected], rel=1e-5)
    assert [s.log_probability for s in found] == pytest.approx([p for _, _, p in expected], rel=1e-5)
    assert len({s.text for s in found}) == len(found)
    assert sum(s.weight for s in found) == pytest.approx(1)
    total = sum(math.exp(p) for _, _, p in expected)
    assert result.log_evidence == pytest.approx(math.log(total))


@pytest.mark.parametrize("seed", range(3))
def test_enough_beams_find_the_most_probable_texts(seed: int) -> None:
    world = World("(a|b)*b", 4, seed)
    # Of the ways to cut a text into tokens, the most probable one.
    best: dict[str, Tokens] = {}
    for text, _ in sorted(world.joint.items(), key=lambda item: -item[1]):
        best.setdefault(spelling(world, text), text)
    sampler = DiverseBeamSearch(1, 30, length_penalty=0.0, early_stopping="never")
    result = sampler.run(world.model, world.masks(), max_tokens=4)
    assert [s.tokens for s in result.sequences] == list(best.values())


def test_first_group_is_plain_beam_search_whatever_the_others_do() -> None:
    world = World("(a|b)*", 5, 1)
    plain = DiverseBeamSearch(1, 2).run(world.model, world.masks(), max_tokens=5).sequences
    diverse = DiverseBeamSearch(3, 2, 2.0).run(world.model, world.masks(), max_tokens=5).sequences
    assert {(s.tokens, s.score) for s in plain} <= {(s.tokens, s.score) for s in diverse}
    assert len(diverse) == 6


def beam(*tokens: int, choices: Sequence[int] | None = None) -> Hypothesis:
    return Hypothesis(tokens, tuple(tokens if choices is None else choices))


def test_hamming_counts() -> None:
    earlier = [beam(1, 2, 3), beam(1, 1, 3), beam(3, 3, 1)]
    assert hamming(beam(9, 9), earlier) == {3: -2.0, 1: -1.0}


def test_cumulative_terms_add_up_to_the_loss_of_the_sum() -> None:
    earlier = [beam(1, 2, 3), beam(1, 1, 3)]
    text = (1, 2, 3)
    for gamma in (0.5, 4.0):
        terms = Cumulative(gamma)
        total = 0.0
        for i, token in enumerate(text):
            shown = [beam(*other.tokens[: i + 1]) for other in earlier]
            total += terms(beam(*text[:i]), shown).get(token, 0.0)  # type: ignore[union-attr]
        assert total == pytest.approx(math.exp(-3 / gamma) + math.exp(-2 / gamma) - 2)


def test_cumulative_terms_fade_as_texts_go_apart() -> None:
    """Two of three positions differ from the first beam, none from the second."""
    terms = Cumulative(2.0, counted="different")(beam(1, 2, 3), [beam(1, 5, 5, 4), beam(1, 2, 3, 6)])
    assert terms == pytest.approx({4: -math.exp(-1.0), 6: -1.0})
    same = Cumulative(2.0, counted="different")(beam(1), [beam(1, 4), beam(2, 4)])
    assert same == pytest.approx({4: -1.0 - math.exp(-0.5)})
    with pytest.raises(ValueError, match="counted"):
        Cumulative(counted="both")  # type: ignore[arg-type]


def test_ngram_counts_occurrences_anywhere() -> None:
    earlier = [beam(1, 2, 1, 2, 3), beam(4, 4, 4, 1, 3)]
    assert NGram(2)(beam(0, 0, 0, 1), earlier) == {2: -2.0, 3: -1.0}
    assert NGram(3)(beam(0, 0, 4, 4), earlier) == {4: -1.0, 1: -1.0}
    assert NGram(1)(beam(), earlier) == {1: -3.0, 2: -2.0, 3: -2.0, 4: -3.0}
    assert NGram(3)(beam(4), earlier) == {}


def test_embedding_takes_positive_cosines() -> None:
    vectors = torch.tensor([[2.0, 0.0], [0.0, 3.0], [1.0, 1.0], [-1.0, 0.0]])
    terms = Embedding(vectors)(beam(), [beam(0), beam(2)])
    root = math.sqrt(0.5)
    assert terms.tolist() == pytest.approx([-1 - root, -root, -root - 1, 0.0])  # type: ignore[union-attr]


def test_structural_compares_values_by_number() -> None:
    words = structgen.Vocabulary([b"", b"{", b'", "', b"red", b"blue", b" \n"], eos_token_ids=0)
    earlier = [beam(1, 3, 2, 4), beam(1, 4, 2, 4, choices=(4, 2))]
    assert Structural(words)(beam(1, 2, 5), earlier) == {3: -1.0, 4: -1.0}
    assert Structural(words)(beam(3), earlier) == {4: -1.0}
    assert Structural()(beam(3), earlier) == {3: -1.0, 2: -1.0}


def two_step_model(first: Sequence[float], second: Sequence[float]) -> TableModel:
    tables = [first, second, [1.0, 0.0, 0.0, 0.0]]

    def function(tokens: Tokens) -> list[float]:
        return [math.log(p) if p else -math.inf for p in tables[min(len(tokens), 2)]]

    return TableModel(vocabulary(), function)


def test_hamming_by_hand() -> None:
    """Group 1 takes a; the second gets b where 0.6 falls below 0.4, and ends are not penalised."""
    model = two_step_model([0.0, 0.6, 0.4, 0.0], [0.5, 0.3, 0.2, 0.0])
    a, b = (1, 0), (2, 0)
    # One candidate of two beats the end only where it is the better: the end comes first in both groups.
    options: dict[str, Any] = {"length_penalty": 0.0, "early_stopping": True}
    automaton = compile_regex("[ab]", model.vocabulary)
    for strength, expected in [(0.3, [a]), (0.5, [a, b])]:
        result = DiverseBeamSearch(2, 1, strength, **options).run(
            model, structgen.samplers.MaskSampler(automaton), max_tokens=4
        )
        assert [s.tokens for s in result.sequences] == expected
        # The ends are forced by the constraint, and have no term; nor has b, which nobody chose before.
        assert [s.score for s in result.sequences] == pytest.approx(
            [math.log(p * 0.5) for p in (0.6, 0.4)[: len(expected)]]
        )


def test_forced_tokens_have_no_term() -> None:
    model = two_step_model([0.0, 0.6, 0.4, 0.0], [0.0, 0.9, 0.1, 0.0])
    automaton = compile_regex("[ab]b", model.vocabulary)
    result = DiverseBeamSearch(2, 1, 9.0, length_penalty=0.0).run(
        model, structgen.samplers.MaskSampler(automaton), max_tokens=4
    )
    assert [(s.tokens, s.score) for s in result.sequences] == [
        ((1, 2, 0), pytest.approx(math.log(0.06))),
        ((2, 2, 0), pytest.approx(math.log(0.04))),
    ]


def test_guards_without_masks_are_asked_about_candidates() -> None:
    world = World("(a|b)*", 5, 2)
    guard = Predicate(lambda text: "bb" not in text)
    masked = DiverseBeamSearch(2, 2).run(
        world.model, structgen.samplers.MaskSampler(compile_regex("b?(ab?)*", world.vocabulary)), max_tokens=5
    )
    guarded = structgen.generate(
        world.model,
        None,
        None,
        [world.automaton, guard],
        DiverseBeamSearch(2, 2),
        max_tokens=5,
        progress=False,
    )
    alone = structgen.generate(
        world.model, None, None, guard, DiverseBeamSearch(2, 2), max_tokens=5, progress=False
    )
    assert [s.tokens for s in guarded.sequences] == [s.tokens for s in masked.sequences]
    assert [s.tokens for s in alone.sequences] == [s.tokens for s in masked.sequences]
    assert guarded.calls > 0 == masked.calls


def test_callables_and_names_are_taken() -> None:
    world = World("(a|b)*", 5, 1)
    calls = []

    def away_from_a(beam: Hypothesis, earlier: Sequence[Hypothesis]) -> torch.Tensor:
        calls.append((beam, list(earlier)))
        return torch.tensor([0.0, -50.0, 0.0, -50.0])

    model = two_step_model([0.0, 0.6, 0.1, 0.3], [0.0, 0.6, 0.1, 0.3])
    sampler = DiverseBeamSearch(2, 1, 1.0, away_from_a)
    result = sampler.run(model, world.masks(), max_tokens=5)
    assert [s.tokens for s in result.sequences] == [(1, 1, END), (2, 2, END)]
    # The end is all that the model leaves at the third token, so that nobody is asked.
    assert [(beam.tokens, [h.tokens for h in earlier]) for beam, earlier in calls] == [
        ((), [(1,)]),
        ((2,), [(1, 1)]),
    ]
    for name in ("hamming", "cumulative", "ngram", "structural"):
        found = DiverseBeamSearch(3, 1, 1.0, name).run(world.model, world.masks(), max_tokens=5)  # type: ignore[arg-type]
        assert len(found.sequences) == len({s.tokens for s in found.sequences}) > 1


def test_fewer_texts_than_beams() -> None:
    world = World("a|b", 3)
    for groups, beams in itertools.product([1, 3], [1, 4]):
        result = DiverseBeamSearch(groups, beams).run(world.model, world.masks(), max_tokens=3)
        assert {s.tokens for s in result.sequences} <= set(world.joint)
        assert all(math.isfinite(s.score) for s in result.sequences)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_prompts_of_a_batch_are_searched_as_alone(early_stopping: bool) -> None:
    """One prompt is shorter, one ends sooner, and a guard that masks don't know is asked about rows."""
    model = small_model()
    automaton = compile_regex("([abcd]{0,3}b)+", VOCABULARY)
    guard = Predicate(lambda text: "aa" not in text)
    prompts = [[1, 2, 5, 4], [2, 1], [4, 4, 5]]
    sampler = DiverseBeamSearch(2, 2, 1.0, early_stopping=early_stopping)
    options: dict[str, Any] = {"max_tokens": 7, "progress": False}
    several = structgen.generate(model, VOCABULARY, prompts, [automaton, guard], sampler, **options)
    alone = [
        structgen.generate(model, VOCABULARY, prompt, [automaton, guard], sampler, **options)
        for prompt in prompts
    ]
    assert isinstance(several, list)
    assert [[s.tokens for s in r.sequences] for r in several] == [
        [s.tokens for s in r.sequences] for r in alone
    ]
    for together, single in zip(several, alone, strict=True):
        scores = [s.score for s in single.sequences]
        assert [s.score for s in together.sequences] == pytest.approx(scores, rel=1e-4)
        assert together.calls == single.calls > 0
        assert "aa" not in " ".join(s.text for s in together.sequences)
    assert len({tuple(s.tokens for s in r.sequences) for r in several}) == 3


def test_prompts_without_an_end_have_no_sequences() -> None:
    prompts = [[1, 2, 5, 4], [2, 1]]
    never = Predicate(lambda text: False, finished_only=True)
    results = structgen.generate(
        small_model(), VOCABULARY, prompts, never, DiverseBeamSearch(2), max_tokens=3, progress=False
    )
    assert [(r.sequences, r.log_evidence) for r in results] == [([], -math.inf)] * 2


def test_refusals() -> None:
    world = World("aaaa|bbbb", 5)
    search = DiverseBeamSearch(2)
    with pytest.raises(BudgetError) as error:
        search.run(world.model, world.masks(), max_tokens=4)
    assert error.value.needed == 5
    never = Predicate(lambda text: False)
    with pytest.raises(NothingSatisfiesError):
        structgen.generate(world.model, None, None, never, search, progress=False)
    guard = Predicate(lambda text: False, finished_only=True)
    with pytest.raises(AllParticlesDeadError, match="none of 2 beams"):
        structgen.generate(world.model, None, None, guard, search, max_tokens=3, progress=False)
    with pytest.raises(ValueError, match="use SMC"):
        search.run(world.model, world.masks(), max_tokens=5, critic=Predicate(lambda text: True))
    with pytest.raises(ValueError, match="no input embeddings"):
        DiverseBeamSearch(2, dissimilarity="embedding").run(world.model, world.masks(), max_tokens=5)
    with pytest.raises(ValueError, match="no dissimilarity 'hammin'"):
        DiverseBeamSearch(dissimilarity="hammin")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        DiverseBeamSearch(dissimilarity=3)  # type: ignore[arg-type]
    for options in ({"groups": 0}, {"beams_per_group": 0}, {"diversity_strength": -1.0}):
        with pytest.raises(ValueError, match="must"):
            DiverseBeamSearch(**options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="early_stopping"):
        DiverseBeamSearch(early_stopping="soon")  # type: ignore[arg-type]
