"""Adapter of lm-format-enforcer: a parser of characters walks the vocabulary's prefix tree (Python)."""

from __future__ import annotations

import copy
from array import array
from collections.abc import Sequence
from time import perf_counter_ns
from typing import Any, ClassVar

from jsonschemabench.engines.base import CompileError, Engine, EngineUnavailableError, SchemaInput
from jsonschemabench.vocabularies import BenchVocabulary


class LMFormatEnforcerEngine(Engine):
    """lm-format-enforcer with its default limits, such as 20 items of an array without ``maxItems``.

    It knows no bytes: tokens that are not UTF-8 by themselves are held to be U+FFFD, as its own adapters do.
    It keeps the state after every prefix that it has seen and finds it by all of the prefix's tokens. Its
    bit mask is copied into the buffer.
    """

    name: ClassVar[str] = "lm_format_enforcer"
    distributions: ClassVar[tuple[str, ...]] = ("lm-format-enforcer", "torch")

    def __init__(self, vocabulary: BenchVocabulary) -> None:
        super().__init__(vocabulary)
        try:
            import lmformatenforcer
            from lmformatenforcer import tokenenforcer
        except ImportError as error:
            raise EngineUnavailableError(
                f"lm-format-enforcer can't be imported ({error}): pip install 'structgen[peers]'"
            ) from error
        tokens = vocabulary.tokens

        def decode(ids: list[int]) -> str:
            return b"".join(tokens[token] for token in ids).decode(errors="replace")

        # No token begins a word by itself: bytes of a character may be spread over tokens.
        regular = [(token, decode([token]), False) for token, data in enumerate(tokens) if data]
        try:
            self._data = tokenenforcer.TokenEnforcerTokenizerData(
                regular, decode, vocabulary.eos_token_id, True, vocabulary.size
            )
        except ValueError as error:
            raise EngineUnavailableError(f"lm-format-enforcer: {error}") from error
        self._enforcer_class = tokenenforcer.TokenEnforcer
        self._parser_class = lmformatenforcer.JsonSchemaParser
        self._enforcer: Any = None
        self._row = self.mask[0]
        self._prefix: list[int] = []

    def compile(self, schema: SchemaInput) -> None:
        """Make the parser; see the base class."""
        if not isinstance(schema.value, dict):
            raise CompileError("true and false are no schemas to it")
        if not schema.value:
            raise CompileError("it takes the empty schema for none")
        try:
            # It changes the schema that it is given.
            parser = self._parser_class(copy.deepcopy(schema.value))
        except Exception as error:
            # It has no type of error for what it does not support.
            raise CompileError(f"{type(error).__name__}: {error}") from error
        self._enforcer = self._enforcer_class(self._data, parser)

    def release(self) -> None:
        """Let go of the compiled schema; see the base class."""
        self._enforcer = None

    def first_mask(self) -> None:
        """Fill the first mask; see the base class."""
        self._row[:] = self._enforcer.get_allowed_tokens([]).allowed_tokens.numpy()

    def walk(self, tokens: Sequence[int], times: array[int]) -> int:
        """Walk ``tokens``; see the base class."""
        allowed, row, bits = self._enforcer.get_allowed_tokens, self._row, self.bits
        clock, eos, prefix = perf_counter_ns, self.vocabulary.eos_token_id, list[int]()
        for position, token in enumerate(tokens):
            begin = clock()
            row[:] = allowed(prefix).allowed_tokens.numpy()
            filled = clock()
            if not bits[token >> 5] >> (token & 31) & 1:
                times.append(filled - begin)
                return position
            resumed = clock()
            # The state itself moves when the next mask is asked for.
            prefix.append(token)
            stepped = clock()
            times.append(filled - begin + stepped - resumed)
        begin = clock()
        row[:] = allowed(prefix).allowed_tokens.numpy()
        times.append(clock() - begin)
        return len(tokens) + (bits[eos >> 5] >> (eos & 31) & 1)

    def begin(self) -> None:
        """Go to the start of an output; see the base class."""
        self._prefix = []

    def fill(self) -> None:
        """Fill the mask; see the base class."""
        self._row[:] = self._enforcer.get_allowed_tokens(self._prefix).allowed_tokens.numpy()

    def take(self, token: int) -> None:
        """Go on by a token; see the base class."""
        self._prefix.append(token)
