"""Contexts, and potentials against their laws and against what they should say."""

import copy
import itertools
import math
import pickle
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pytest

import structgen
from structgen import Vocabulary, VocabularyError
from structgen._errors import PotentialError
from structgen.samplers import (
    AutomatonPotential,
    BasePotential,
    Context,
    JsonSchemaGuard,
    LanguageModelPotential,
    Potential,
    Predicate,
    Product,
    SuffixRegex,
)
from structgen.testing import PotentialLaws
from tests.samplers.models import (
    AB,
    BRACE,
    CLOSE,
    E1,
    E2,
    END,
    END2,
    PAD,
    QUOTE,
    VOCABULARY,
    A,
    B,
    context_of,
    hashed_model,
)

# -- contexts -------------------------------------------------------------------------------


def test_a_context_is_its_tokens() -> None:
    root = context_of()
    assert (root.parent, root.token, root.length, root.tokens, root.data) == (None, -1, 0, (), b"")
    context = root.extend(AB).extend(PAD).extend(E1)
    assert context.tokens == (AB, PAD, E1)
    assert context.length == 3
    assert context.data == b"ab\xc3"
    assert context.text == "ab\ufffd"
    assert context.extend(E2).text == "abé"
    assert context.parent is not None
    assert context.parent.data == b"ab"
    assert not context.ended
    ended = context.extend(E2).extend(END2)
    assert ended.ended
    assert ended.text == "abé"


def test_contexts_are_equal_when_they_are_the_same() -> None:
    assert context_of(A) != context_of(A)
    root = context_of()
    assert root.extend(A) is not root.extend(A)
    assert root.memo is not root.extend(A).memo


def test_contexts_that_cannot_be() -> None:
    with pytest.raises(VocabularyError, match="token 11: out of range for 11 tokens"):
        context_of(len(VOCABULARY))
    with pytest.raises(VocabularyError, match="token -1"):
        context_of(-1)
    with pytest.raises(ValueError, match="nothing follows end token 0"):
        context_of(A, END, A)


def test_long_contexts() -> None:
    potential = AutomatonPotential(structgen.compile_regex("(ab)*", VOCABULARY))
    guard = SuffixRegex("ba", forbidden=True)
    context = context_of(*[A] * 5000)
    assert context.data == b"a" * 5000
    assert potential.prefix(context) == -math.inf
    long = context_of(*[AB] * 5000)
    assert (potential.prefix(long), guard.prefix(long)) == (0.0, -math.inf)


# -- laws -----------------------------------------------------------------------------------

SEQUENCES = [
    [],
    [A, B, A],
    [AB, AB, B],
    [BRACE, CLOSE],
    [BRACE, QUOTE, A, QUOTE, CLOSE, CLOSE],
    [QUOTE, E1, E2, QUOTE],
    [E2, A, PAD],
]


class SmallLaws(PotentialLaws):
    def vocabulary(self) -> Vocabulary:
        return VOCABULARY

    def sequences(self) -> Iterable[Sequence[int]]:
        return SEQUENCES


class TestAutomaton(SmallLaws):
    def potential(self) -> Potential:
        return AutomatonPotential(structgen.compile_regex('(ab?)*|"é"', VOCABULARY))


class TestProduct(SmallLaws):
    def potential(self) -> Potential:
        automaton = AutomatonPotential(structgen.compile_regex("(ab?)*", VOCABULARY))
        return automaton * LanguageModelPotential(hashed_model(), 0.5) * SuffixRegex("aa")


class TestEmptyProduct(SmallLaws):
    def potential(self) -> Potential:
        return Product()


class TestPredicateOnText(SmallLaws):
    def potential(self) -> Potential:
        return Predicate(lambda text: text.isascii() and "b" not in text)


class TestPredicateOnValues(SmallLaws):
    def potential(self) -> Potential:
        return Predicate(lambda value: value == [], on="value")


class TestPredicateWithScores(SmallLaws):
    def potential(self) -> Potential:
        return Predicate(lambda tokens: -0.5 * len(tokens), on="tokens", boolean=False)


class TestJsonSchemaGuard(SmallLaws):
    def potential(self) -> Potential:
        return JsonSchemaGuard({"type": "array", "maxItems": 0})


class TestForbiddenSuffix(SmallLaws):
    def potential(self) -> Potential:
        return SuffixRegex(r"a$|é")


class TestRequiredSuffix(SmallLaws):
    def potential(self) -> Potential:
        return SuffixRegex("b+", forbidden=False)


class TestLanguageModel(SmallLaws):
    def potential(self) -> Potential:
        return LanguageModelPotential(hashed_model(forbidden=[B]), 2.0)


class Broken(BasePotential):
    """Right, but for what is given."""

    def __init__(self, **wrong: Any) -> None:
        self.wrong = wrong
        self.boolean = wrong.get("boolean", False)
        self.asked = 0

    def prefix(self, context: Context) -> float:
        self.asked += 1
        if "prefix" in self.wrong and not context.ended:
            return self.wrong["prefix"](context, self.asked)
        return -1.0

    def complete(self, context: Context) -> float:
        if "complete" in self.wrong:
            return self.wrong["complete"](context, self.asked)
        return -1.0

    def prefix_many(self, contexts: Sequence[Context]) -> list[float]:
        return [s + self.wrong.get("offset", 0) for s in super().prefix_many(contexts)][
            : self.wrong.get("cut")
        ]


def broken(**wrong: Any) -> type[PotentialLaws]:
    class Laws(SmallLaws):
        def potential(self) -> Potential:
            return Broken(**wrong)

    return Laws


@pytest.mark.parametrize(
    ("wrong", "law"),
    [
        ({"prefix": lambda c, n: math.nan}, "test_scores_are_numbers"),
        ({"complete": lambda c, n: math.inf}, "test_scores_are_numbers"),
        ({"prefix": lambda c, n: None}, "test_scores_are_numbers"),
        ({"boolean": True}, "test_scores_are_numbers"),
        ({"prefix": lambda c, n: -math.inf}, "test_what_is_impossible_stays_impossible"),
        (
            {
                "prefix": lambda c, n: -math.inf if c.length == 1 else 0.0,
                "complete": lambda c, n: -math.inf,
            },
            "test_what_is_impossible_stays_impossible",
        ),
        ({"complete": lambda c, n: 0.0}, "test_end_tokens_complete"),
        ({"complete": lambda c, n: float(-c.length)}, "test_end_tokens_complete"),
        ({"offset": 1.0}, "test_batches_equal_single_questions"),
        ({"cut": 3}, "test_batches_equal_single_questions"),
        ({"prefix": lambda c, n: float(-n)}, "test_answers_do_not_depend_on_what_was_asked"),
    ],
    ids=lambda wrong: wrong if isinstance(wrong, str) else "-".join(wrong),
)
def test_broken_potentials_break_a_law(wrong: dict[str, Any], law: str) -> None:
    with pytest.raises(AssertionError):
        getattr(broken(**wrong)(), law)()
    getattr(broken()(), law)()


def test_the_mixin_says_what_is_missing() -> None:
    for method in ("vocabulary", "potential", "sequences"):
        with pytest.raises(NotImplementedError, match=rf"define {method}\(\)"):
            getattr(PotentialLaws(), method)()


# -- what they say --------------------------------------------------------------------------


def texts(length: int) -> Iterable[Context]:
    root = context_of()
    for n in range(length + 1):
        for tokens in itertools.product([A, B, AB, BRACE, CLOSE, QUOTE], repeat=n):
            yield root.extend_all(tokens)


def test_automaton_against_re() -> None:
    potential = AutomatonPotential(structgen.compile_regex(r"(ab)*|\[a\]", VOCABULARY))
    language = {c.text for c in texts(4) if re.fullmatch(r"(ab)*|\[a\]", c.text)}
    for context in texts(2):
        assert (potential.complete(context) == 0) == (context.text in language)
        assert (potential.prefix(context) == 0) == any(t.startswith(context.text) for t in language)


def test_masks_are_the_tokens_that_may_follow() -> None:
    potential = AutomatonPotential(structgen.compile_regex(r"(ab)*", VOCABULARY))
    contexts = [context_of(), context_of(A), context_of(B), context_of(AB, END), context_of(AB)]
    masks = np.full((5, 1), -1, np.int32)
    potential.fill_masks(contexts, masks)
    for context, (mask,) in zip(contexts, masks.tolist(), strict=True):
        for token in range(VOCABULARY.logits_size):
            allowed = False
            if token < len(VOCABULARY) and not context.ended:
                allowed = potential.prefix(context.extend(token)) == 0
            assert bool(mask >> token & 1) == allowed


def test_an_automaton_of_another_vocabulary() -> None:
    other = Vocabulary([b"", b"a"], eos_token_ids=0)
    potential = AutomatonPotential(structgen.compile_regex("a", other))
    with pytest.raises(VocabularyError, match="another vocabulary"):
        potential.prefix(context_of())
    equal = Vocabulary([b"", b"a"], eos_token_ids=0)
    assert potential.prefix(Context.root(equal)) == 0


def test_products_add_up_and_stop_at_the_impossible() -> None:
    asked = []

    def score(text: str) -> float:
        asked.append(text)
        return -0.25

    first = Predicate(lambda text: "b" not in text)
    product = first * Predicate(score, boolean=False) * Product(Predicate(score, boolean=False))
    assert len(product.factors) == 3
    assert product.prefix_many([context_of(A), context_of(B), context_of()]) == [-0.5, -math.inf, -0.5]
    assert sorted(asked) == ["", "", "a", "a"]
    assert not product.boolean
    assert Product(first, first).boolean


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_scores_that_are_no_log_scores(wrong: float) -> None:
    potential = Predicate(lambda text: wrong, boolean=False)
    message = "NaN" if math.isnan(wrong) else "positive infinity"
    for ask in (potential.prefix, potential.complete, (potential * potential).prefix):
        with pytest.raises(PotentialError, match=f"the log score is {message}") as caught:
            ask(context_of(A))
        assert caught.value.context == "a"
        assert "Predicate" in str(caught.value.potential)
        for other in (pickle.loads(pickle.dumps(caught.value)), copy.copy(caught.value)):
            assert str(other) == str(caught.value)
    with pytest.raises(PotentialError, match=message):
        Product(Broken(prefix=lambda c, n: wrong)).prefix(context_of(A))


def test_predicates_see_what_they_ask_for() -> None:
    seen: list[Any] = []

    def note(subject: Any) -> bool:
        seen.append(subject)
        return True

    context = context_of(QUOTE, E1)
    for on in ("text", "bytes", "tokens"):
        Predicate(note, on=on).prefix(context)
        Predicate(note, on=on).complete(context.extend(E2).extend(END))
    assert seen == ['"', '"é', b'"\xc3', b'"\xc3\xa9', (QUOTE, E1), (QUOTE, E1, E2)]
    seen.clear()
    value = Predicate(note, on="value")
    assert value.prefix(context_of(BRACE)) == 0
    assert value.complete(context_of(BRACE)) == -math.inf
    assert value.complete(context_of(BRACE, QUOTE, A, QUOTE, CLOSE)) == 0
    assert seen == [["a"]]
    finished = Predicate(lambda text: text == "ab", finished_only=True)
    assert (finished.prefix(context_of(B)), finished.complete(context_of(B))) == (0, -math.inf)
    assert finished.complete(context_of(A, B)) == 0


def test_predicates_are_asked_once() -> None:
    asked = []
    potential = Predicate(lambda text: not asked.append(text), finished_only=True)
    context = context_of(A)
    for _ in range(3):
        potential.complete(context)
        potential.complete(context.extend(END))
        potential.prefix(context.extend(END2))
    assert asked == ["a"]


@pytest.mark.parametrize("answer", [1, 0.5, "yes", None])
def test_predicates_that_answer_something_else(answer: Any) -> None:
    with pytest.raises(PotentialError, match="neither a truth value"):
        Predicate(lambda text: answer).prefix(context_of(A))
    assert Predicate(lambda text: np.bool_(False)).prefix(context_of(A)) == -math.inf
    with pytest.raises(ValueError, match="not one of text, bytes"):
        Predicate(bool, on="words")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="only a finished text has a value"):
        Predicate(bool, on="value", finished_only=False)


def test_json_schema_guard() -> None:
    guard = JsonSchemaGuard({"type": "array", "uniqueItems": True})
    item = [QUOTE, A, QUOTE]
    assert guard.complete(context_of(BRACE, *item, CLOSE)) == 0
    assert guard.complete(context_of(BRACE, *item)) == -math.inf
    assert guard.complete(context_of(*item)) == -math.inf
    assert JsonSchemaGuard({"format": "date"}).complete(context_of(*item)) == -math.inf
    assert JsonSchemaGuard({"format": "date"}, formats="annotate").complete(context_of(*item)) == 0
    # In draft 4, exclusiveMinimum is a boolean; in the newest it is a number.
    JsonSchemaGuard({"minimum": 1, "exclusiveMinimum": True}, draft="4")
    with pytest.raises(Exception, match="True is not of type 'number'"):
        JsonSchemaGuard({"minimum": 1, "exclusiveMinimum": True})
    with pytest.raises(ValueError, match="draft is '3'"):
        JsonSchemaGuard({}, draft="3")


def test_suffixes() -> None:
    for context in texts(3):
        text = context.text
        assert (SuffixRegex("ba+").prefix(context) == 0) == (not re.search("ba+", text))
        assert (SuffixRegex("ba+", forbidden=False).complete(context) == 0) == bool(re.search("ba+$", text))
        assert SuffixRegex("ba+", forbidden=False).prefix(context) == 0
    assert SuffixRegex("(?i)B", forbidden=False).complete(context_of(A, B)) == 0
    # An unfinished character is not there yet; one that can't be finished is.
    strange = SuffixRegex("\ufffd")
    assert (strange.prefix(context_of(E1)), strange.complete(context_of(E1))) == (0, -math.inf)
    assert strange.prefix(context_of(E1, E2)) == 0
    assert strange.prefix(context_of(E1, A)) == -math.inf


def test_another_language_model() -> None:
    model = hashed_model(forbidden=[PAD])
    potential = LanguageModelPotential(model, 0.5)
    texts = [context_of(A, B), context_of(), context_of(AB, A, A), context_of(A, PAD, A)]
    for context, prefix, complete in zip(
        texts, potential.prefix_many(texts), potential.complete_many(texts), strict=True
    ):
        tokens = context.tokens
        log_p = sum(float(model.function(tokens[:i])[t]) for i, t in enumerate(tokens))
        assert prefix == pytest.approx(0.5 * log_p)
        ends = model.function(tokens)[[END, END2]].exp().sum().log()
        assert complete == pytest.approx(0.5 * (log_p + float(ends)))
    with pytest.raises(ValueError, match="positive and finite"):
        LanguageModelPotential(model, 0.0)
    other = Vocabulary([b"", b"a"], eos_token_ids=0)
    with pytest.raises(VocabularyError, match="another vocabulary"):
        potential.prefix(Context.root(other))


def test_another_language_model_takes_a_step_a_token() -> None:
    model = hashed_model()
    potential = LanguageModelPotential(model)
    particles = [context_of() for _ in range(3)]
    for step, tokens in enumerate([(A, B, AB), (A, A, A), (B, AB, B)]):
        # Resampling: copies of rows, in another order.
        particles = [particles[2], particles[0], particles[0]]
        particles = [c.extend(t) for c, t in zip(particles, tokens, strict=True)]
        potential.prefix_many(particles)
        assert model.steps == step + 1
