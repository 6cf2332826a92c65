"""What an engine adapter is: compile a schema, hand out the first mask, walk token sequences, write outputs.

An :class:`Adapter` says in :attr:`Adapter.abilities` what it can do. All of them write outputs; those of
engines that hand out masks are :class:`Engine`.

Every such adapter writes its own ``walk`` instead of sharing one that calls back: a Python call per token
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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np

from jsonschemabench.datasets import Reading
from jsonschemabench.vocabularies import BenchVocabulary
from jsonschemabench.walks import OutputRequest, Produced, Walker

Ability = Literal["masks", "outputs"]
"""``masks``: it says which tokens may come next. ``outputs``: it writes texts for a schema."""


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


class Adapter(ABC):
    """Whatever writes texts for a schema, holding one schema at a time.

    Parameters
    ----------
    vocabulary
        The vocabulary of masks, or to count tokens with. What depends on it alone is built here, outside all
        measured times.

    Raises
    ------
    EngineUnavailableError
        If the engine's package is not installed, or what it needs is not set.
    """

    name: ClassVar[str]
    distributions: ClassVar[tuple[str, ...]]
    """Distributions whose versions go into the manifest."""

    abilities: ClassVar[frozenset[Ability]] = frozenset({"outputs"})

    def __init__(self, vocabulary: BenchVocabulary) -> None:
        self.vocabulary = vocabulary

    @classmethod
    def labels(cls) -> dict[str, str]:
        """Return what the manifest says beside the versions of distributions, by name."""
        return {}

    @abstractmethod
    def compile(self, schema: SchemaInput) -> None:
        """Take ``schema``; engines with masks go so far that the first can be asked for. Timed.

        Raises
        ------
        CompileError
            If the engine refuses the schema.
        UnsatisfiableError
            If the engine finds that nothing matches.
        """

    @abstractmethod
    def outputs(self, request: OutputRequest, times: array[int]) -> Iterator[Produced]:
        """Write texts for the schema.

        Parameters
        ----------
        request
            How many, how long, and the seed.
        times
            Receives nanoseconds per mask and step, where there are masks.

        Raises
        ------
        CompileError
            If the schema is refused only now.
        """

    @abstractmethod
    def release(self) -> None:
        """Let go of the schema. Not timed, and called after every schema, refused ones too."""


class Engine(Adapter):
    """An engine that says which tokens may come next; see :class:`Adapter` for the parameters."""

    abilities: ClassVar[frozenset[Ability]] = frozenset({"masks", "outputs"})

    def __init__(self, vocabulary: BenchVocabulary) -> None:
        super().__init__(vocabulary)
        self.mask = np.zeros((1, vocabulary.mask_words), dtype=np.int32)
        # A memoryview yields Python ints several times faster than indexing the array.
        self.bits = memoryview(self.mask[0])

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

    def begin(self) -> None:
        """Go to the start of an output, for :meth:`fill` and :meth:`take`.

        What is here for adapters that have nothing better walks all tokens again for every mask.
        """
        self._taken: list[int] = []

    def fill(self) -> None:
        """Fill ``mask`` with the tokens that may come next. Timed."""
        # A walk that is not refused ends with the mask after its last token.
        self.walk(self._taken, array("q"))

    def take(self, token: int) -> None:
        """Go on by a token that the mask allows, other than the end token. Timed."""
        self._taken.append(token)

    def outputs(self, request: OutputRequest, times: array[int]) -> Iterator[Produced]:
        """Walk at random under the masks, see :mod:`jsonschemabench.walks`; see the base class."""
        for number in range(request.count):
            yield self._walker.walk(self, request, number, times)

    @cached_property
    def _walker(self) -> Walker:
        return Walker(self.vocabulary)

    def accepts_any_order(self, schema: SchemaInput, tokens: Sequence[int]) -> bool:
        """Tell whether ``tokens`` are accepted once properties may come in any order.

        Not timed. Asked about rejected valid instances only, to tell the order of keys, which an
        engine may fix on purpose, from real losses. Engines without such a mode say no.
        """
        return False
