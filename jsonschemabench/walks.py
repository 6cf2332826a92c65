"""Random walks under an engine's masks: outputs without a model, the same choices for every engine.

At every token a walk is loose, and takes any allowed token with equal probability, white space seldom; or it
closes, and takes one of the best allowed kind: the end token, then quotation marks, what closes brackets,
commas and colons, what opens nothing, anything else, white space. It closes with probability :data:`CLOSING`,
and always in the second half of the token bound: under uniform choices alone a string would go on for as many
tokens as there are in the vocabulary. Nor would they ever write the name of a property that an object must
have: where text after a quotation mark can become a name that stands in the schema, the walk goes on with it
when it closes, else with probability :data:`NAMING`.

The random numbers depend on the seed, the name of the schema and the number of the walk, three to each token,
so that engines with the same masks write the same texts.
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

NAMING = 0.5
"""Probability of going on with the name of a property, in the first half of the bound."""

SPACING = 0.1
"""Probability of taking white space like any other token, where there is something else."""

_END, _QUOTES, _CLOSES, _SEPARATES, _PLAIN, _OPENS, _SPACE = range(7)

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
    properties
        Names of properties in the schema, as they stand between quotation marks.
    """

    name: str
    count: int
    max_tokens: int
    seed: int
    properties: tuple[str, ...] = ()


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
        self._vocabulary = vocabulary
        self._tokens = vocabulary.tokens
        self._first: dict[bytes, int] = {}
        self._eos = vocabulary.eos_token_id
        self._kinds = np.array([_kind(data) for data in vocabulary.tokens], dtype=np.int8)
        self._kinds[self._eos] = _END

    def walk(self, engine: Masked, request: OutputRequest, number: int, times: array[int]) -> Produced:
        """Write the output of a number; ``times`` receives nanoseconds per mask and step."""
        choices = random.Random(f"{request.seed}/{request.name}/{number}")
        engine.begin()
        names = [name.encode() for name in request.properties]
        written = b""
        total = 0
        for position in range(request.max_tokens):
            begin = perf_counter_ns()
            engine.fill()
            filled = perf_counter_ns() - begin
            mood = choices.random() if 2 * position < request.max_tokens else 0.0
            pick, naming = choices.random(), choices.random()
            going_on = self._named(engine.mask, names, written)
            if going_on and (mood < CLOSING or naming < NAMING):
                token: int | None = going_on[int(pick * len(going_on))]
            else:
                token = self._choose(engine.mask, mood, pick)
            stepped = 0
            if token is not None and token != self._eos:
                begin = perf_counter_ns()
                engine.take(token)
                stepped = perf_counter_ns() - begin
            times.append(filled + stepped)
            total += filled + stepped
            if token is None:
                return Produced(written, position, "stuck", total, "no token is allowed")
            if token == self._eos:
                return Produced(written, position + 1, "end", total)
            written += self._tokens[token]
        detail = f"no end within {request.max_tokens} tokens"
        return Produced(written, request.max_tokens, "bound", total, detail)

    def _named(self, mask: npt.NDArray[np.int32], names: list[bytes], written: bytes) -> list[int]:
        """Return the allowed tokens that go on with a name, begun after the last quotation mark."""
        _, quoted, begun = written.rpartition(b'"')
        if not quoted or len(begun) > max(map(len, names), default=0):
            return []
        found = {self._first_token(name[len(begun) :] + b'"') for name in names if name.startswith(begun)}
        words = mask[0]
        return sorted(token for token in found if int(words[token >> 5]) >> (token & 31) & 1)

    def _first_token(self, data: bytes) -> int:
        if data not in self._first:
            try:
                self._first[data] = self._vocabulary.encode(data.decode())[0]
            except UnicodeDecodeError:
                # Within a character, there are only single bytes.
                self._first[data] = self._tokens.index(data[:1])
        return self._first[data]

    def _choose(self, mask: npt.NDArray[np.int32], mood: float, number: float) -> int | None:
        bits = np.unpackbits(mask.view(np.uint8).ravel(), bitorder="little", count=len(self._tokens))
        allowed = np.flatnonzero(bits)
        if not len(allowed):
            return None
        if mood < 1 - SPACING:
            kinds = self._kinds[allowed]
            best = kinds.min()
            if mood < CLOSING:
                allowed = allowed[kinds == best]
            elif best < _SPACE:
                allowed = allowed[kinds < _SPACE]
        return int(allowed[int(number * len(allowed))])


def _kind(data: bytes) -> int:
    data = data.strip(b" \t\r\n")
    if not data:
        return _SPACE
    if data == b'"':
        return _QUOTES
    if not data.strip(b"]}"):
        return _CLOSES
    if data in (b",", b":"):
        return _SEPARATES
    return _OPENS if any(byte in b"{[,:" for byte in data) else _PLAIN
