"""Adapter of llama.cpp's grammars: pushdown stacks over characters, tried against every token (C++)."""

from __future__ import annotations

import ctypes
import tempfile
from array import array
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter_ns
from typing import Any, ClassVar

import numpy as np

from jsonschemabench.engines.base import CompileError, Engine, EngineUnavailableError, SchemaInput
from jsonschemabench.gguf import write_vocabulary
from jsonschemabench.vocabularies import BenchVocabulary

# The library holds its callback for the life of the process.
_callbacks: list[Any] = []


class LlamaCppEngine(Engine):
    """llama.cpp's grammar sampler on GBNF that llama-cpp-python's own converter makes of a schema.

    Its masks are candidates whose logits it sets to minus infinity: a mask's time holds resetting the logits
    and packing the bits, both small beside it. llama.cpp itself asks its grammar about all tokens only where
    the token that it has drawn is refused. A schema's grammar is parsed once, and cloned for its instances.
    """

    name: ClassVar[str] = "llama_cpp"
    distributions: ClassVar[tuple[str, ...]] = ("llama-cpp-python",)

    def __init__(self, vocabulary: BenchVocabulary) -> None:
        super().__init__(vocabulary)
        try:
            import llama_cpp
            from llama_cpp import llama_grammar
        # A library that does not fit to the machine shows as an OSError or RuntimeError.
        except (ImportError, OSError, RuntimeError) as error:
            raise EngineUnavailableError(
                f"llama-cpp-python can't be imported ({error}): pip install 'structgen[llama-cpp]'"
            ) from error
        self._llama = llama_cpp
        self._to_gbnf = llama_grammar.json_schema_to_gbnf
        self._log: list[str] = []

        def log(level: int, text: bytes, data: object) -> None:
            self._log.append(text.decode(errors="replace"))

        _callbacks.append(llama_cpp.llama_log_callback(log))
        llama_cpp.llama_log_set(_callbacks[-1], ctypes.c_void_p(None))
        self._vocabulary_of_llama = self._load(vocabulary)
        self._candidates = np.zeros(
            vocabulary.size, np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
        )
        self._candidates["id"] = np.arange(vocabulary.size)
        self._logits = self._candidates["logit"]
        self._array = llama_cpp.llama_token_data_array(
            data=self._candidates.ctypes.data_as(llama_cpp.llama_token_data_p),
            size=vocabulary.size,
            selected=-1,
            sorted=False,
        )
        self._pointer = ctypes.pointer(self._array)
        self._bytes = self.mask.view(np.uint8)[0, : (vocabulary.size + 7) // 8]
        # At the start of the output, and where a walk is.
        self._start: Any = None
        self._sampler: Any = None

    def _load(self, vocabulary: BenchVocabulary) -> Any:
        parameters = self._llama.llama_model_default_params()
        parameters.vocab_only = True
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "vocabulary.gguf"
            write_vocabulary(vocabulary, file)
            self._model = self._llama.llama_model_load_from_file(str(file).encode(), parameters)
        if not self._model:
            raise EngineUnavailableError(f"llama.cpp refuses the vocabulary: {''.join(self._log)}")
        return self._llama.llama_model_get_vocab(self._model)

    def compile(self, schema: SchemaInput) -> None:
        """Convert the schema and parse the grammar; see the base class."""
        try:
            grammar = self._to_gbnf(schema.text)
        except Exception as error:
            # It has no type of error for what it does not support.
            raise CompileError(f"{type(error).__name__}: {error}") from error
        self._log.clear()
        self._start = self._llama.llama_sampler_init_grammar(
            self._vocabulary_of_llama, grammar.encode(), b"root"
        )
        if not self._start:
            # Where in the grammar goes to the standard error.
            raise CompileError(f"llama.cpp: {''.join(self._log).strip() or 'it does not take the grammar'}")
        self.begin()

    def release(self) -> None:
        """Let go of the compiled schema; see the base class."""
        for sampler in (self._start, self._sampler):
            if sampler:
                self._llama.llama_sampler_free(sampler)
        self._start = self._sampler = None

    def first_mask(self) -> None:
        """Fill the first mask; see the base class."""
        self.fill()

    def walk(self, tokens: Sequence[int], times: array[int]) -> int:
        """Walk ``tokens``; see the base class."""
        self.begin()
        fill, step, sampler = self.fill, self._llama.llama_sampler_accept, self._sampler
        bits, clock, eos = self.bits, perf_counter_ns, self.vocabulary.eos_token_id
        for position, token in enumerate(tokens):
            begin = clock()
            fill()
            filled = clock()
            if not bits[token >> 5] >> (token & 31) & 1:
                times.append(filled - begin)
                return position
            resumed = clock()
            step(sampler, token)
            stepped = clock()
            times.append(filled - begin + stepped - resumed)
        begin = clock()
        fill()
        times.append(clock() - begin)
        return len(tokens) + (bits[eos >> 5] >> (eos & 31) & 1)

    def begin(self) -> None:
        """Go to the start of an output; see the base class."""
        if self._sampler:
            self._llama.llama_sampler_free(self._sampler)
        self._sampler = self._llama.llama_sampler_clone(self._start)

    def fill(self) -> None:
        """Fill the mask; see the base class."""
        self._logits.fill(0)
        self._llama.llama_sampler_apply(self._sampler, self._pointer)
        self._bytes[:] = np.packbits(self._logits == 0, bitorder="little")

    def take(self, token: int) -> None:
        """Go on by a token; see the base class."""
        self._llama.llama_sampler_accept(self._sampler, token)
