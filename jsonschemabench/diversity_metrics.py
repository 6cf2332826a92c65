"""How good and how different the outputs of one prompt are: the metrics of diverse decoding."""

from __future__ import annotations

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

Item = TypeVar("Item")

_WORD = re.compile(r"\w+|[^\w\s]")


def words(text: str) -> list[str]:
    """Split a text into words and punctuation marks, without white space."""
    return _WORD.findall(text)


def ngrams(items: Sequence[Item], n: int) -> list[tuple[Item, ...]]:
    """Return the n-grams of a sequence, in order and with repeats."""
    return [tuple(items[i : i + n]) for i in range(len(items) - n + 1)]


def distinct(lists: Sequence[Sequence[Any]], n: int) -> float:
    """Return distinct-n: the number of different n-grams in all lists together, over that of words.

    Parameters
    ----------
    lists
        The words of each output of one prompt.
    n
        At least 1.

    Returns
    -------
    float
        0 to 1; 0 without any word.

    Raises
    ------
    ValueError
        `n` is less than 1.

    References
    ----------
    Li et al., "A Diversity-Promoting Objective Function for Neural Conversation Models" (NAACL 2016), with
    n-grams over words as in Vijayakumar et al. (arXiv 1610.02424v2, section 5).
    """
    if n < 1:
        raise ValueError(f"n is {n}, and must be at least 1")
    total = sum(map(len, lists))
    return len({gram for items in lists for gram in ngrams(items, n)}) / total if total else 0.0


def oracle(scores: Sequence[float], k: int) -> float:
    """Return oracle@k: the best of the first k scores.

    Parameters
    ----------
    scores
        Of the outputs of one prompt, the one that the decoder ranks first being first.
    k
        At least 1; there may be fewer outputs.

    Returns
    -------
    float
        0 where there are no outputs: an output that is missing is worth nothing.

    Raises
    ------
    ValueError
        `k` is less than 1.

    References
    ----------
    Vijayakumar et al. (arXiv 1610.02424v2, section 5).
    """
    if k < 1:
        raise ValueError(f"k is {k}, and must be at least 1")
    return max(scores[:k], default=0.0)


def field_values(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the place of each scalar of a JSON value, and the scalar as JSON.

    Places are JSON Pointers with ``*`` for the index of an item, so that items of one array share a place.
    Empty objects and arrays count as scalars.
    """
    if isinstance(value, dict) and value:
        for key, member in value.items():
            escaped = key.replace("~", "~0").replace("/", "~1")
            yield from field_values(member, f"{path}/{escaped}")
    elif isinstance(value, list) and value:
        for item in value:
            yield from field_values(item, f"{path}/*")
    else:
        yield path, json.dumps(value, sort_keys=True)


def distinct_fields(values: Sequence[Any]) -> dict[str, int]:
    """Return how many different values each field has in the outputs of one prompt.

    Parameters
    ----------
    values
        The JSON value of each output.

    Returns
    -------
    dict
        By the place of the field, as of :func:`field_values`.
    """
    found: dict[str, set[str]] = defaultdict(set)
    for value in values:
        for path, scalar in field_values(value):
            found[path].add(scalar)
    return {path: len(scalars) for path, scalars in found.items()}


def distinct_per_field(values: Sequence[Any]) -> float:
    """Return the mean over all fields of the number of different values; 0 without any field."""
    counts = distinct_fields(values)
    return sum(counts.values()) / len(counts) if counts else 0.0


def bleu(candidate: Sequence[Any], references: Sequence[Sequence[Any]], order: int = 4) -> float:
    """Return the BLEU of one sentence, its precisions above the first smoothed by adding 1 to both counts.

    Parameters
    ----------
    candidate
        Words.
    references
        The words of each reference, at least one.
    order
        The longest n-grams that count.

    Returns
    -------
    float
        0 to 1.

    Raises
    ------
    ValueError
        There are no references.

    References
    ----------
    Papineni et al., "BLEU" (ACL 2002); Lin and Och, "ORANGE" (COLING 2004), section 4, for the smoothing.
    """
    if not references:
        raise ValueError("BLEU needs a reference")
    if not candidate:
        return 0.0
    logs = 0.0
    for n in range(1, order + 1):
        counts = Counter(ngrams(candidate, n))
        most: Counter[tuple[Any, ...]] = Counter()
        for reference in references:
            most |= Counter(ngrams(reference, n))
        added = 0 if n == 1 else 1
        matches, total = (counts & most).total() + added, counts.total() + added
        if matches == 0:
            return 0.0
        logs += math.log(matches / total)
    # Of two references that are equally near in length, the shorter one.
    length = min((abs(len(r) - len(candidate)), len(r)) for r in references)[1]
    return math.exp(min(0.0, 1 - length / len(candidate)) + logs / order)


def mean_log_probability(log_probabilities: Sequence[float], lengths: Sequence[int]) -> tuple[float, float]:
    """Return the mean log-probability of the outputs, in nats, whole and per token.

    Parameters
    ----------
    log_probabilities
        The model's own, of each output, without the terms of a search; at least one.
    lengths
        Their numbers of tokens, end tokens included.

    Raises
    ------
    ValueError
        There are no outputs, or not as many lengths.
    """
    if not log_probabilities or len(lengths) != len(log_probabilities):
        raise ValueError(f"{len(log_probabilities)} log-probabilities and {len(lengths)} lengths")
    count = len(log_probabilities)
    per_token = sum(p / length for p, length in zip(log_probabilities, lengths, strict=True)) / count
    return sum(log_probabilities) / count, per_token
