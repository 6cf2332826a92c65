"""The metrics of diverse decoding, by worked-out examples."""

import itertools
import math
import random
from fractions import Fraction

import pytest

from jsonschemabench.diversity_metrics import (
    bleu,
    distinct,
    distinct_fields,
    distinct_per_field,
    field_values,
    mean_log_probability,
    oracle,
    words,
)


def test_words() -> None:
    assert words("a red dog's  tail.") == ["a", "red", "dog", "'", "s", "tail", "."]
    assert words(" \n") == []


def test_distinct_by_hand() -> None:
    """Seven words; different ones: a, b, c. Bigrams: ab, ba (twice), bc; trigrams: aba, abc."""
    lists = ["aba", "abc", "b"]
    assert distinct(lists, 1) == 3 / 7
    assert distinct(lists, 2) == 3 / 7
    assert distinct(lists, 3) == 2 / 7
    assert distinct(lists, 4) == 0
    assert distinct([], 1) == distinct(["", ""], 2) == 0
    with pytest.raises(ValueError, match="n is 0"):
        distinct(lists, 0)


def test_distinct_of_copies_is_that_of_one_over_their_number() -> None:
    one = ["the", "dog", "sees", "the", "cat"]
    for n, copies in itertools.product(range(1, 5), range(1, 4)):
        assert distinct([one] * copies, n) == pytest.approx(distinct([one], n) / copies)


def test_oracle() -> None:
    scores = [0.2, 0.5, 0.1, 0.9]
    assert [oracle(scores, k) for k in range(1, 7)] == [0.2, 0.5, 0.5, 0.9, 0.9, 0.9]
    assert oracle([], 3) == 0
    with pytest.raises(ValueError, match="k is 0"):
        oracle(scores, 0)


def test_fields_by_hand() -> None:
    values = [
        {"name": "a", "tags": ["x", "y"], "at": {"x/y": 1}},
        {"name": "a", "tags": [], "at": {"x/y": 1.5}},
        {"name": "b", "tags": ["x"], "at": None},
    ]
    assert list(field_values(values[0])) == [
        ("/name", '"a"'),
        ("/tags/*", '"x"'),
        ("/tags/*", '"y"'),
        ("/at/x~1y", "1"),
    ]
    assert distinct_fields(values) == {"/name": 2, "/tags/*": 2, "/tags": 1, "/at/x~1y": 2, "/at": 1}
    assert distinct_per_field(values) == 8 / 5
    assert distinct_per_field([]) == 0
    assert distinct_fields([3, 3, "3"]) == {"": 2}


def test_bleu_by_hand() -> None:
    """Two of three words match (of "a a", one); one of two bigrams and no trigram; the length is right."""
    assert bleu("aab", ["abc"]) == pytest.approx(((2 / 3) * (2 / 3) * (1 / 2) * (1 / 1)) ** (1 / 4))
    assert bleu("aab", ["abc"], order=1) == pytest.approx(2 / 3)
    # A short one pays for it, by the nearest length; a long one does not.
    assert bleu("ab", ["abcd", "abcdefgh"], order=1) == pytest.approx(math.exp(1 - 4 / 2))
    assert bleu("abcde", ["abcd"], order=1) == pytest.approx(4 / 5)
    assert bleu("abcd", ["xyz", "abcd"]) == pytest.approx(1)
    assert bleu("abcd", ["wxyz"]) == bleu("", ["a"]) == 0
    with pytest.raises(ValueError, match="reference"):
        bleu("a", [])


def test_bleu_against_counting_by_hand_loops() -> None:
    rng = random.Random(0)
    for _ in range(200):
        candidate = [rng.choice("abc") for _ in range(rng.randint(1, 7))]
        references = [[rng.choice("abc") for _ in range(rng.randint(1, 7))] for _ in range(rng.randint(1, 3))]
        product = Fraction(1)
        for n in range(1, 5):
            grams = [candidate[i : i + n] for i in range(len(candidate) - n + 1)]
            left = {id(r): [r[i : i + n] for i in range(len(r) - n + 1)] for r in references}
            matches = 0
            for gram in [list(g) for g in {tuple(g) for g in grams}]:
                matches += min(grams.count(gram), max(found.count(gram) for found in left.values()))
            more = int(n > 1)
            product *= Fraction(matches + more, len(grams) + more)
        nearest = sorted(references, key=lambda r: (abs(len(r) - len(candidate)), len(r)))[0]
        brevity = min(1.0, math.exp(1 - len(nearest) / len(candidate)))
        assert bleu(candidate, references) == pytest.approx(brevity * float(product) ** 0.25)


def test_mean_log_probability() -> None:
    assert mean_log_probability([-2.0, -6.0], [2, 3]) == (-4.0, -1.5)
    for arguments in ([], []), ([-1.0], [1, 2]):
        with pytest.raises(ValueError, match="lengths"):
            mean_log_probability(*arguments)
