"""Dissimilarities of diverse beam search: what a token gets for what the groups before have chosen."""

from __future__ import annotations

import collections
import math
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import torch
from torch import Tensor

from structgen._vocabulary import Vocabulary

if TYPE_CHECKING:
    from structgen.samplers._beam_groups import Hypothesis

DissimilarityName = Literal["hamming", "cumulative", "ngram", "embedding", "structural"]

Terms: TypeAlias = Mapping[int, float] | Tensor

Dissimilarity = Callable[["Hypothesis", Sequence["Hypothesis"]], Terms]


def hamming(beam: Hypothesis, earlier: Sequence[Hypothesis]) -> Terms:
    """Return minus how many of the beams before chose each token at this step."""
    place = len(beam.tokens)
    counts = collections.Counter(other.tokens[place] for other in earlier)
    return {token: -float(count) for token, count in counts.items()}


class Cumulative:
    """What the beams before have in common with this one so far, so that the terms of a step fade.

    With ``counted="equal"`` the dissimilarity is the sum of exp(-n / gamma) over the beams before, n being
    the number of positions with equal tokens. The terms are by how much the sum falls with the token; so all
    that a beam got add up to the sum of its text, less that of the empty text. The more two beams share, the
    less one token more counts.

    With ``counted="different"`` a term is that of Hamming, times exp(-n / gamma), n being the number of
    positions so far with different tokens: texts that have gone apart are left alone.

    Parameters
    ----------
    gamma : float
        Positive: the number of tokens after which the terms have fallen to 1 / e.
    counted : {"equal", "different"}
        Which positions n counts.

    References
    ----------
    Vijayakumar et al. (arXiv 1610.02424v2, section 5) reason for the second, and their released code has
    it, with the share of different positions in place of n / gamma.
    """

    def __init__(self, gamma: float = 4.0, *, counted: Literal["equal", "different"] = "equal") -> None:
        if not gamma > 0:
            raise ValueError(f"gamma is {gamma}, and must be positive")
        if counted not in ("equal", "different"):
            raise ValueError(f'counted is {counted!r}, and must be "equal" or "different"')
        self._gamma = gamma
        self._counted = counted

    def __call__(self, beam: Hypothesis, earlier: Sequence[Hypothesis]) -> Terms:
        """Return the terms."""
        terms: dict[int, float] = collections.defaultdict(float)
        for other in earlier:
            equal = sum(a == b for a, b in zip(beam.tokens, other.tokens, strict=False))
            if self._counted == "equal":
                before, after = (math.exp(-n / self._gamma) for n in (equal, equal + 1))
            else:
                before, after = math.exp((equal - len(beam.tokens)) / self._gamma), 0.0
            terms[other.tokens[len(beam.tokens)]] += after - before
        return terms


class NGram:
    """Minus how often the n-gram that a token completes occurs in the beams before.

    Parameters
    ----------
    n : int
        Number of tokens, at least 1.
    """

    def __init__(self, n: int = 2) -> None:
        if n < 1:
            raise ValueError(f"n is {n}, and must be at least 1")
        self._n = n

    def __call__(self, beam: Hypothesis, earlier: Sequence[Hypothesis]) -> Terms:
        """Return the terms."""
        before = self._n - 1
        if len(beam.tokens) < before:
            return {}
        stem = beam.tokens[len(beam.tokens) - before :]
        counts = collections.Counter(
            other.tokens[i + before]
            for other in earlier
            for i in range(len(other.tokens) - before)
            if other.tokens[i : i + before] == stem
        )
        return {token: -float(count) for token, count in counts.items()}


class Embedding:
    """Minus the positive part of the cosines of a token and of what the beams before chose at this step.

    Parameters
    ----------
    embeddings : Tensor
        Shape ``(V, d)``: a vector for each token.
    """

    def __init__(self, embeddings: Tensor) -> None:
        self._units = torch.nn.functional.normalize(embeddings.detach().float(), dim=1)

    def __call__(self, beam: Hypothesis, earlier: Sequence[Hypothesis]) -> Terms:
        """Return the terms."""
        chosen = self._units[[other.tokens[len(beam.tokens)] for other in earlier]]
        terms: Tensor = -(self._units @ chosen.T).clamp(min=0).sum(1)
        return terms


class Structural:
    """Minus how many of the beams before made each token their choice of the same number as the next one.

    Tokens that the constraint forced are no choices, and those of punctuation and space only are left out,
    too: brackets, commas and quotes are neither penalised nor counted, and texts whose punctuation differs
    are compared value by value.

    Parameters
    ----------
    vocabulary : Vocabulary, optional
        Says what tokens are punctuation; without it, none is.
    """

    def __init__(self, vocabulary: Vocabulary | None = None) -> None:
        self._vocabulary = vocabulary
        self._known: dict[int, bool] = {}

    def __call__(self, beam: Hypothesis, earlier: Sequence[Hypothesis]) -> Terms:
        """Return the terms."""
        place = len(self._values(beam))
        values = [self._values(other) for other in earlier]
        counts = collections.Counter(other[place] for other in values if len(other) > place)
        return {token: -float(count) for token, count in counts.items()}

    def _values(self, beam: Hypothesis) -> list[int]:
        return [token for token in beam.choices if not self._is_punctuation(token)]

    def _is_punctuation(self, token: int) -> bool:
        if self._vocabulary is None or token >= len(self._vocabulary):
            return False
        if token not in self._known:
            text = self._vocabulary.tokens[token].decode("utf-8", errors="replace")
            self._known[token] = all(
                c.isspace() or (unicodedata.category(c).startswith("P") and c != "_") for c in text
            )
        return self._known[token]


def named_dissimilarity(
    dissimilarity: DissimilarityName | Dissimilarity,
    vocabulary: Vocabulary | None,
    embeddings: Callable[[], Tensor] | None,
) -> Dissimilarity:
    """Return the dissimilarity of a name.

    Raises
    ------
    ValueError
        There is none of this name, or it needs embeddings and the model has none.
    TypeError
        It is neither a name nor a callable.
    """
    if dissimilarity == "hamming":
        return hamming
    if dissimilarity == "cumulative":
        return Cumulative()
    if dissimilarity == "ngram":
        return NGram()
    if dissimilarity == "structural":
        return Structural(vocabulary)
    if dissimilarity == "embedding":
        if embeddings is not None:
            return Embedding(embeddings())
        raise ValueError(
            "the model has no input embeddings: pass structgen.samplers.Embedding(vectors) as the "
            "dissimilarity"
        )
    check_dissimilarity(dissimilarity)
    return dissimilarity


def check_dissimilarity(dissimilarity: object) -> None:
    """Refuse what is no dissimilarity.

    Raises
    ------
    ValueError
        There is none of this name.
    TypeError
        It is neither a name nor a callable.
    """
    names = get_args(DissimilarityName)
    if isinstance(dissimilarity, str) and dissimilarity not in names:
        raise ValueError(f"there is no dissimilarity {dissimilarity!r}; the names are {', '.join(names)}")
    if not isinstance(dissimilarity, str) and not callable(dissimilarity):
        raise TypeError(
            f"the dissimilarity is {type(dissimilarity).__name__}, and must be a name or a callable"
        )
