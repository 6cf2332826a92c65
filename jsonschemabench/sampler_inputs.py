"""What the ``samplers`` run reads: constraints with valid texts, and a family of next-token distributions."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from jsonschemabench import lark_inputs
from jsonschemabench.datasets import DatasetError
from jsonschemabench.vocabularies import BenchVocabulary

if TYPE_CHECKING:
    import structgen

_PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "role": {"enum": ["admin", "editor", "viewer"]},
        "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 5},
    },
    "required": ["name", "age", "role"],
    "additionalProperties": False,
}
_EVENT = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{4}$"},
        "day": {"type": "string", "format": "date"},
        "place": {
            "type": "object",
            "properties": {"lat": {"type": "number"}, "lon": {"type": "number"}},
            "required": ["lat", "lon"],
            "additionalProperties": False,
        },
        "seats": {"type": ["integer", "null"]},
    },
    "required": ["id", "day", "place"],
    "additionalProperties": False,
}
_ORDER = {
    "type": "object",
    "properties": {
        "items": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": {
                    "sku": {"type": "string"},
                    "count": {"type": "integer", "minimum": 1},
                    "note": {"type": "string"},
                },
                "required": ["sku", "count"],
            },
        },
        "paid": {"type": "boolean"},
    },
    "required": ["items", "paid"],
}

SCHEMAS: dict[str, tuple[dict[str, Any], tuple[Any, ...]]] = {
    "person": (
        _PERSON,
        (
            {"name": "Ada Lovelace", "age": 36, "role": "editor", "tags": ["mathematics", "engines"]},
            {"name": "Karl-Heinz Müller", "age": 71, "role": "viewer"},
        ),
    ),
    "event": (
        _EVENT,
        (
            {
                "id": "BX-2041",
                "day": "2024-02-29",
                "place": {"lat": 52.5163, "lon": 13.3777},
                "seats": None,
            },
            {"id": "QQ-0007", "day": "1999-12-31", "place": {"lat": -33.9, "lon": 151.2}, "seats": 1200},
        ),
    ),
    "order": (
        _ORDER,
        (
            {
                "items": [
                    {
                        "sku": "chair-oak",
                        "count": 4,
                        "note": "Please deliver to the back door, after 9.",
                    },
                    {"sku": "lamp-3", "count": 1},
                ],
                "paid": False,
            },
        ),
    ),
}
"""Schemas, each with instances that conform."""

CASES = ("schema:person", "schema:event", "schema:order", "grammar:sql", "grammar:json")
"""Names of all constraints."""


@dataclass(frozen=True)
class Constraint:
    """An automaton and token sequences that it accepts, without their end token."""

    name: str
    automaton: structgen.TokenAutomaton
    texts: tuple[tuple[int, ...], ...]


def load(name: str, tokens: structgen.Vocabulary, vocabulary: BenchVocabulary) -> Constraint:
    """Compile a constraint and tokenise its texts.

    Raises
    ------
    DatasetError
        There is no constraint of this name.
    """
    import structgen

    kind, _, which = name.partition(":")
    if name not in CASES:
        raise DatasetError(f"no case {name!r}; there are {', '.join(CASES)}")
    if kind == "schema":
        schema, values = SCHEMAS[which]
        automaton = structgen.compile_json_schema(schema, tokens)
        texts: Sequence[str] = [json.dumps(value, ensure_ascii=False) for value in values]
    else:
        automaton = structgen.compile_lark(lark_inputs.grammar_text(which), tokens)
        texts = lark_inputs.texts(which)
    return Constraint(name, automaton, tuple(tuple(vocabulary.encode(text)) for text in texts))


@dataclass(frozen=True, slots=True)
class Family:
    """Distributions as a language model's look along a valid text, made from random numbers.

    A favourite token has a share c, and the others share the rest as Zipf and Mandelbrot have it: the r-th of
    them in a random order has weight (r + 2.7) ** -exponent. The favourite is the text's next token; or, with
    probability `trap`, a random one, and the text's is then among the first ten of the others. c has the beta
    distribution of `confidence`. At last, all are raised to the power 1 / `temperature`.
    """

    name: str
    confidence: tuple[float, float]
    trap: float
    exponent: float
    temperature: float = 1.0

    def logprobs(self, token: int, size: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
        """Return normalised log-probabilities, shape ``(size,)``, for a text that goes on with `token`."""
        weights = (np.arange(1, size, dtype=np.float64) + 2.7) ** -self.exponent
        share = float(np.clip(rng.beta(*self.confidence), 1e-6, 1 - 1e-6))
        order = rng.permutation(size - 1)
        favourite = token
        if rng.random() < self.trap:
            favourite = int((token + 1 + rng.integers(size - 1)) % size)
            # Tokens after the favourite are counted one lower.
            at = int(np.flatnonzero(order == token - (token > favourite))[0])
            first = int(rng.integers(min(10, size - 1)))
            order[at], order[first] = order[first], order[at]
        logits = np.empty(size)
        logits[favourite] = np.log(share)
        others = np.delete(np.arange(size), favourite)[order]
        logits[others] = np.log(weights * ((1 - share) / weights.sum()))
        logits /= self.temperature
        top = logits.max()
        normalised: npt.NDArray[np.float32] = (logits - (top + np.log(np.exp(logits - top).sum()))).astype(
            np.float32
        )
        return normalised


FAMILIES = {
    family.name: family
    for family in (
        Family("peaked", (8, 1), trap=0.05, exponent=1.5),
        Family("flat", (1, 2), trap=0.1, exponent=1.1),
        Family("hot", (8, 1), trap=0.05, exponent=1.5, temperature=1.5),
    )
}
"""``peaked`` is a model that knows what comes, ``flat`` one that doesn't, ``hot`` the first at 1.5."""


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a text: the tokens before it, and the one that follows (the end token at the end)."""

    case: str
    text: int
    before: tuple[int, ...]
    token: int

    def rng(self, family: str, seed: int) -> np.random.Generator:
        """Return the source of this position's random numbers, the same for every method."""
        return np.random.default_rng(
            [seed, zlib.crc32(f"{self.case} {family}".encode()), self.text, len(self.before)]
        )


def positions(constraint: Constraint, eos: int, count: int | None) -> Iterator[Position]:
    """Yield positions of a constraint's texts, `count` of them evenly spread, or all."""
    places = [(i, j) for i, text in enumerate(constraint.texts) for j in range(len(text) + 1)]
    if count is not None and count < len(places):
        places = [places[k] for k in np.linspace(0, len(places) - 1, count, dtype=int)]
    for i, j in places:
        text = constraint.texts[i]
        yield Position(constraint.name, i, text[:j], text[j] if j < len(text) else eos)
