"""Adapter of outlines-core: the schema as one regex, the regex as one table over tokens (Rust)."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from time import perf_counter_ns
from typing import Any, ClassVar

from jsonschemabench.engines.base import CompileError, Engine, EngineUnavailableError, SchemaInput
from jsonschemabench.vocabularies import BenchVocabulary


class OutlinesCoreEngine(Engine):
    """outlines-core with its default white space (at most one space between lexemes).

    The whole table is built at compile time, which takes seconds to hours and gigabytes with a large
    vocabulary: expect time-outs, and bound them with ``--timeout`` and ``--memory-limit``.
    """

    name: ClassVar[str] = "outlines_core"
    distributions: ClassVar[tuple[str, ...]] = ("outlines-core",)

    def __init__(self, vocabulary: BenchVocabulary) -> None:
        super().__init__(vocabulary)
        try:
            import outlines_core
        except ImportError as error:
            raise EngineUnavailableError(
                f"outlines-core can't be imported ({error}): pip install 'structgen[peers]'"
            ) from error
        ids: dict[bytes, list[int]] = {}
        for token, data in enumerate(vocabulary.tokens):
            if data:
                ids.setdefault(data, []).append(token)
        self._core = outlines_core
        self._tokens = outlines_core.Vocabulary(vocabulary.eos_token_id, ids)
        self._guide: Any = None
        self._buffer = (self.mask.ctypes.data, self.mask.size, self.mask.itemsize)

    def compile(self, schema: SchemaInput) -> None:
        """Write the regex and build its table; see the base class."""
        try:
            regex = self._core.json_schema.build_regex_from_schema(schema.text)
            index = self._core.Index(regex, self._tokens)
        except (ValueError, TypeError, RuntimeError) as error:
            raise CompileError(str(error)) from error
        self._guide = self._core.Guide(index)

    def release(self) -> None:
        """Let go of the compiled schema; see the base class."""
        self._guide = None

    def first_mask(self) -> None:
        """Fill the first mask; see the base class."""
        self._guide.write_mask_into(*self._buffer)

    def walk(self, tokens: Sequence[int], times: array[int]) -> int:
        """Walk ``tokens``; see the base class."""
        self._guide.reset()
        fill, step = self._guide.write_mask_into, self._guide.advance
        pointer, words, width = self._buffer
        bits, clock, eos = self.bits, perf_counter_ns, self.vocabulary.eos_token_id
        for position, token in enumerate(tokens):
            begin = clock()
            fill(pointer, words, width)
            filled = clock()
            if not bits[token >> 5] >> (token & 31) & 1:
                times.append(filled - begin)
                return position
            resumed = clock()
            step(token, False)
            stepped = clock()
            times.append(filled - begin + stepped - resumed)
        begin = clock()
        fill(pointer, words, width)
        times.append(clock() - begin)
        return len(tokens) + (bits[eos >> 5] >> (eos & 31) & 1)

    def begin(self) -> None:
        """Go to the start of an output; see the base class."""
        self._guide.reset()

    def fill(self) -> None:
        """Fill the mask; see the base class."""
        self._guide.write_mask_into(*self._buffer)

    def take(self, token: int) -> None:
        """Go on by a token; see the base class."""
        self._guide.advance(token, False)
