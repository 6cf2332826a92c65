"""Random walks under an engine's masks: outputs without a model, the same choices for every engine.

At every token a walk is either loose, and takes any allowed token with equal probability, or closes, and
takes one of the best allowed kind: the end token, then quotation marks, then what closes brackets, then what
opens nothing, then anything else. It closes with probability :data:`CLOSING`, and always in the second half of the
token bound: under uniform choices alone a string would go on for as many tokens as there are in the
vocabulary. The random numbers depend on the seed, the name of the schema and the number of the walk, two to
each token, so that engines with the same masks write the same texts.
"""

from __future__ import annotations

import random
from array import array
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from jsonschemabench.vocabularies import BenchVocabulary

CLOSING = 0.25
"""Probability of closing at a token in the first half of the bound."""

_END, _QUOTES, _CLOSES, _PLAIN, _OPENS = range(5)

Finish = Literal["end", "bound", "stuck", "refused"]
"""How an output ended: by the end token, at the token bound, with no token allowed, or with a refusal."""


@dataclass(frozen=True, slots=True)
class OutputRequest:
    """What is asked of an engine for a schema.

    Attributes
    ----------
    name
        Of the schema.
    count
        How many outputs.
    max_tokens
        Bound of an output, the end token included.
    seed
        Of all random choices.
    """

    name: str
    count: int
    max_tokens: int
    seed: int


@dataclass(slots=True)
class Produced:
    """An output as an engine wrote it.

    Attributes
    ----------
    data
        Its bytes.
    tokens
        How many tokens it has, the end token included.
    finish
        How it ended.
    ns
        Nanoseconds that the engine took, or the server.
    detail
        What there is to say of the ending.
    """

    data: bytes
    tokens: int
    finish: Finish
    ns: int
    detail: str = ""


class Masked(Protocol):
    """What a walk needs of an engine."""

    mask: npt.NDArray[np.int32]

    def begin(self) -> None:
        """Go to the start of an output."""

    def fill(self) -> None:
        """Fill the mask."""

    def take(self, token: int) -> None:
        """Go on by a token."""


class Walker:
    """Walks over a vocabulary.

    Parameters
    ----------
    vocabulary
        That of the masks.
    """

    def __init__(self, vocabulary: BenchVocabulary) -> None:
        self._tokens = vocabulary.tokens
        self._eos = vocabulary.eos_token_id
        self._kinds = np.array([_kind(data) for data in vocabulary.tokens], dtype=np.int8)
        self._kinds[self._eos] = _END

    def walk(self, engine: Masked, request: OutputRequest, number: int, times: array[int]) -> Produced:
        """Write the output of a number; ``times`` receives nanoseconds per mask and step."""
        choices = random.Random(f"{request.seed}/{request.name}/{number}")
        engine.begin()
        written: list[bytes] = []
        total = 0
        for position in range(request.max_tokens):
            begin = perf_counter_ns()
            engine.fill()
            filled = perf_counter_ns() - begin
            closes = choices.random() < CLOSING or 2 * position >= request.max_tokens
            token = self._choose(engine.mask, closes, choices.random())
            stepped = 0
            if token is not None and token != self._eos:
                begin = perf_counter_ns()
                engine.take(token)
                stepped = perf_counter_ns() - begin
            times.append(filled + stepped)
            total += filled + stepped
            if token is None:
                return Produced(b"".join(written), position, "stuck", total, "no token is allowed")
            if token == self._eos:
                return Produced(b"".join(written), position + 1, "end", total)
            written.append(self._tokens[token])
        detail = f"no end within {request.max_tokens} tokens"
        return Produced(b"".join(written), request.max_tokens, "bound", total, detail)

    def _choose(self, mask: npt.NDArray[np.int32], closes: bool, number: float) -> int | None:
        bits = np.unpackbits(mask.view(np.uint8).ravel(), bitorder="little", count=len(self._tokens))
        allowed = np.flatnonzero(bits)
        if not len(allowed):
            return None
        if closes:
            kinds = self._kinds[allowed]
            allowed = allowed[kinds == kinds.min()]
        return int(allowed[int(number * len(allowed))])


def _kind(data: bytes) -> int:
    if data and not data.strip(b'"]}'):
        # Within a string, brackets close nothing.
        return _QUOTES if data.startswith(b'"') else _CLOSES
    # White space and special tokens lead nowhere.
    return _OPENS if not data.strip() or any(byte in b"{[,:" for byte in data) else _PLAIN
