"""Adapter of llguidance: a lazy Earley parser over a derivative-based lexer (Rust)."""

from __future__ import annotations

import json
from array import array
from collections.abc import Sequence
from time import perf_counter_ns
from typing import Any, ClassVar

from jsonschemabench.engines.base import (
    CompileError,
    Engine,
    EngineUnavailableError,
    SchemaInput,
    UnsatisfiableError,
)
from jsonschemabench.vocabularies import BenchVocabulary


class LLGuidanceEngine(Engine):
    """llguidance through ``LLMatcher``, with its own tiktoken tokenizer and its default slices.

    One matcher serves all instances of a schema through ``reset()``, which keeps its lexer warm: the
    fastest of its documented ways.
    """

    name: ClassVar[str] = "llguidance"
    distributions: ClassVar[tuple[str, ...]] = ("llguidance",)

    def __init__(self, vocabulary: BenchVocabulary) -> None:
        super().__init__(vocabulary)
        try:
            import llguidance
            import llguidance.tiktoken
        except ImportError as error:
            raise EngineUnavailableError(
                f"llguidance can't be imported ({error}): pip install 'structgen[peers]'"
            ) from error
        self._matcher_class = llguidance.LLMatcher
        self._tokenizer = llguidance.tiktoken.lltokenizer_from_encoding(
            vocabulary.encoding, n_vocab=vocabulary.size, eos_token=vocabulary.eos_token_id
        )
        self._text = ""
        self._matcher: Any = None
        self._pointer: int = self.mask.ctypes.data
        self._bytes: int = self.mask.nbytes

    def compile(self, schema: SchemaInput) -> None:
        """Build the grammar and a matcher; see the base class."""
        text = _with_dialect(schema)
        try:
            grammar = self._grammar(text)
        except ValueError as error:
            raise CompileError(str(error)) from error
        self._matcher = self._matcher_class(self._tokenizer, grammar, log_level=0)
        if self._matcher.is_error():
            reason = self._matcher.get_error()
            kind = UnsatisfiableError if "Unsatisfiable schema" in reason else CompileError
            raise kind(reason)
        self._text = text

    def release(self) -> None:
        """Let go of the compiled schema; see the base class."""
        self._matcher = None

    def first_mask(self) -> None:
        """Fill the first mask; see the base class."""
        self._matcher.unsafe_compute_mask_ptr(self._pointer, self._bytes)

    def walk(self, tokens: Sequence[int], times: array[int]) -> int:
        """Walk ``tokens``; see the base class."""
        self._rewind()
        fill, step = self._matcher.unsafe_compute_mask_ptr, self._matcher.consume_token
        pointer, size, bits, clock, eos = (
            self._pointer,
            self._bytes,
            self.bits,
            perf_counter_ns,
            self.vocabulary.eos_token_id,
        )
        for position, token in enumerate(tokens):
            begin = clock()
            fill(pointer, size)
            filled = clock()
            if not bits[token >> 5] >> (token & 31) & 1:
                times.append(filled - begin)
                return position
            resumed = clock()
            taken = step(token)
            stepped = clock()
            times.append(filled - begin + stepped - resumed)
            if not taken:
                return position
        begin = clock()
        fill(pointer, size)
        times.append(clock() - begin)
        return len(tokens) + (bits[eos >> 5] >> (eos & 31) & 1)

    def begin(self) -> None:
        """Go to the start of an output; see the base class."""
        self._rewind()

    def fill(self) -> None:
        """Fill the mask; see the base class."""
        self._matcher.unsafe_compute_mask_ptr(self._pointer, self._bytes)

    def take(self, token: int) -> None:
        """Go on by a token; see the base class."""
        if not self._matcher.consume_token(token):
            raise RuntimeError(self._matcher.get_error())

    def _rewind(self) -> None:
        # A matcher never leaves its error state (a limit it ran into), not even by reset().
        if self._matcher.is_error() or not self._matcher.reset():
            self._matcher = self._matcher_class(self._tokenizer, self._grammar(self._text), log_level=0)

    def _grammar(self, text: str) -> str:
        grammar: str = self._matcher_class.grammar_from_json_schema(text)
        return grammar


def _with_dialect(schema: SchemaInput) -> str:
    """Have the schema name its draft, which is the only way to tell the engine."""
    reading, value = schema.reading, schema.value
    if reading is None or not isinstance(value, dict) or "$schema" in value:
        return schema.text
    head = f'{{"$schema":{json.dumps(reading.dialect)}'
    return f"{head},{schema.text[1:]}" if value else head + "}"
