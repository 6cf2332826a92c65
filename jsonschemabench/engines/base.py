"""What an engine adapter is: compile a schema, hand out the first mask, walk token sequences.

Every adapter writes its own ``walk`` instead of sharing one that calls back: a Python call per token
costs as much as the fastest engines take, and engines with and without a state argument would pay it
unequally. The loops must keep this shape (the clock runs while the mask is computed and while the
state advances, not while the bit is looked up; the mask of a refused token and the last mask, where the
end token is looked up, count as entries without a step)::

    for position, token in enumerate(tokens):
        begin = clock()
        FILL()
        filled = clock()
        if not bits[token >> 5] >> (token & 31) & 1:
            times.append(filled - begin)
            return position
        resumed = clock()
        STEP(token)
        stepped = clock()
        times.append(filled - begin + stepped - resumed)
    begin = clock()
    FILL()
    times.append(clock() - begin)
    return len(tokens) + (bits[eos >> 5] >> (eos & 31) & 1)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from jsonschemabench.datasets import Reading
from jsonschemabench.vocabularies import BenchVocabulary


class EngineUnavailableError(Exception):
    """The engine can't be used here; the message says what to install."""


class CompileError(Exception):
    """The engine refuses the schema, with its reason."""


class UnsatisfiableError(Exception):
    """The engine says that the schema allows nothing."""


@dataclass(frozen=True, slots=True)
class SchemaInput:
    """A schema in both forms, so that no engine's time holds the conversion into what it takes.

    Attributes
    ----------
    text
        JSON text.
    value
        The same as Python objects.
    reading
        How the schema is meant, where the dataset says so; None leaves every engine its defaults.
    """

    text: str
    value: Any
    reading: Reading | None = None


class Engine(ABC):
    """An engine under test, holding one compiled schema at a time.

    Parameters
    ----------
    vocabulary
        The vocabulary to compute masks over. What depends on it alone is built here, outside all
        measured times.

    Raises
    ------
    EngineUnavailableError
        If the engine's package is not installed.
    """

    name: ClassVar[str]
    distributions: ClassVar[tuple[str, ...]]
    """Distributions whose versions go into the manifest."""

    def __init__(self, vocabulary: BenchVocabulary) -> None:
        self.vocabulary = vocabulary
        self.mask = np.zeros((1, vocabulary.mask_words), dtype=np.int32)
        # A memoryview yields Python ints several times faster than indexing the array.
        self.bits = memoryview(self.mask[0])

    @abstractmethod
    def compile(self, schema: SchemaInput) -> None:
        """Compile ``schema``, so far that the first mask can be asked for. Timed.

        Raises
        ------
        CompileError
            If the engine refuses the schema.
        UnsatisfiableError
            If the engine finds that nothing matches.
        """

    @abstractmethod
    def first_mask(self) -> None:
        """Fill ``mask`` for the start of the output. Timed, right after :meth:`compile`."""

    @abstractmethod
    def walk(self, tokens: Sequence[int], times: array[int]) -> int:
        """Walk ``tokens`` from the start.

        Parameters
        ----------
        tokens
            Token ids, without the end token.
        times
            Receives nanoseconds per mask and step, in the shape that the module describes.

        Returns
        -------
        int
            How many tokens were allowed, the end token included: ``len(tokens) + 1`` when the
            sequence is accepted.
        """

    @abstractmethod
    def release(self) -> None:
        """Let go of the compiled schema. Not timed, and called after every schema, refused ones too."""

    def accepts_any_order(self, schema: SchemaInput, tokens: Sequence[int]) -> bool:
        """Tell whether ``tokens`` are accepted once properties may come in any order.

        Not timed. Asked about rejected valid instances only, to tell the order of keys, which an
        engine may fix on purpose, from real losses. Engines without such a mode say no.
        """
        return False
