"""Adapter of xgrammar: an Earley parser with token masks precomputed at compile time (C++)."""

from __future__ import annotations

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

CACHE_BYTES = 1 << 30
"""Bound of the compiler's cache, which has none by default: what a server would have to set."""


class XGrammarEngine(Engine):
    """xgrammar with what JSON Schema means: any white space, and open objects stay open.

    Its compiler uses one thread like every other engine here. Its cache is on, as by default: no schema
    comes twice in a run, but parts of schemas do, and sharing their masks halves its compile times.
    Masks go into a NumPy buffer, which it fills as fast as a tensor.
    """

    strict_mode: ClassVar[bool] = False
    name: ClassVar[str] = "xgrammar"
    distributions: ClassVar[tuple[str, ...]] = ("xgrammar", "torch")

    def __init__(self, vocabulary: BenchVocabulary) -> None:
        super().__init__(vocabulary)
        try:
            import xgrammar
        except ImportError as error:
            raise EngineUnavailableError(
                f"xgrammar can't be imported ({error}): pip install 'structgen[peers]'"
            ) from error
        # Its special tokens are the empty ones.
        info = xgrammar.TokenizerInfo(
            list(vocabulary.tokens),
            xgrammar.VocabType.RAW,
            vocab_size=vocabulary.size,
            stop_token_ids=[vocabulary.eos_token_id],
        )
        self._compiler = xgrammar.GrammarCompiler(info, max_threads=1, cache_limit_bytes=CACHE_BYTES)
        self._matcher_class = xgrammar.GrammarMatcher
        self._matcher: Any = None

    def compile(self, schema: SchemaInput) -> None:
        """Compile the grammar and make a matcher; see the base class."""
        try:
            grammar = self._compiler.compile_json_schema(
                schema.text, any_whitespace=True, strict_mode=self.strict_mode
            )
        except (RuntimeError, ValueError, TypeError) as error:
            # A part that nothing satisfies is refused, too, but that says nothing about the whole.
            nothing = "unsatisfiable" in str(error).lower() or schema.value is False
            raise (UnsatisfiableError if nothing else CompileError)(str(error)) from error
        self._matcher = self._matcher_class(grammar)

    def release(self) -> None:
        """Let go of the compiled schema; see the base class."""
        self._matcher = None

    def first_mask(self) -> None:
        """Fill the first mask; see the base class."""
        self._matcher.fill_next_token_bitmask(self.mask)

    def walk(self, tokens: Sequence[int], times: array[int]) -> int:
        """Walk ``tokens``; see the base class."""
        self._matcher.reset()
        fill, step = self._matcher.fill_next_token_bitmask, self._matcher.accept_token
        mask, bits, clock, eos = self.mask, self.bits, perf_counter_ns, self.vocabulary.eos_token_id
        for position, token in enumerate(tokens):
            begin = clock()
            fill(mask)
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
        fill(mask)
        times.append(clock() - begin)
        return len(tokens) + (bits[eos >> 5] >> (eos & 31) & 1)

    def begin(self) -> None:
        """Go to the start of an output; see the base class."""
        self._matcher.reset()

    def fill(self) -> None:
        """Fill the mask; see the base class."""
        self._matcher.fill_next_token_bitmask(self.mask)

    def take(self, token: int) -> None:
        """Go on by a token; see the base class."""
        if not self._matcher.accept_token(token):
            raise RuntimeError(f"xgrammar does not take token {token}, which its mask allows")


class XGrammarDefaultEngine(XGrammarEngine):
    """xgrammar with its own defaults: objects and arrays hold nothing that their schema does not name."""

    strict_mode: ClassVar[bool] = True
    name: ClassVar[str] = "xgrammar_default"
