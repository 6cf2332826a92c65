"""Adapter of structgen itself."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from time import perf_counter_ns
from typing import Any, ClassVar, Literal

from jsonschemabench import official_suite
from jsonschemabench.engines.base import (
    CompileError,
    Engine,
    EngineUnavailableError,
    SchemaInput,
    UnsatisfiableError,
)
from jsonschemabench.vocabularies import BenchVocabulary


class StructgenEngine(Engine):
    """structgen with its default options; every instance is a session, as a request in a server is.

    A schema that comes with a reading is compiled as that says, for every order of keys.
    """

    name: ClassVar[str] = "structgen"
    distributions: ClassVar[tuple[str, ...]] = ("structgen",)
    property_order: ClassVar[Literal["schema", "any"]] = "schema"

    def __init__(self, vocabulary: BenchVocabulary) -> None:
        super().__init__(vocabulary)
        try:
            import structgen

            # The front end is loaded by the first compilation; imports are not what is measured.
            import structgen._frontends.json_schema
        except ImportError as error:
            raise EngineUnavailableError(
                f"structgen can't be imported ({error}): pip install structgen"
            ) from error
        self._structgen = structgen
        self._tokens = structgen.Vocabulary(
            vocabulary.tokens,
            eos_token_ids=(vocabulary.eos_token_id,),
            special_token_ids=vocabulary.special_token_ids,
        )
        # The tables of the vocabulary alone, as the peers build theirs with their tokenizers.
        _ = self._tokens.native
        self._automaton: Any = None
        self._any_order: Any = None
        self._session: Any = None
        self._state = 0
        self._row = self.mask[0]

    def compile(self, schema: SchemaInput) -> None:
        """Compile the automaton; see the base class."""
        try:
            self._automaton = self._structgen.compile_json_schema(
                schema.value, self._tokens, **self._options(schema)
            )
        except self._structgen.UnsatisfiableSchemaError as error:
            raise UnsatisfiableError(str(error)) from error
        except self._structgen.StructgenError as error:
            raise CompileError(str(error)) from error

    def release(self) -> None:
        """Let go of the compiled schema; see the base class."""
        self._automaton = self._any_order = self._session = None

    def first_mask(self) -> None:
        """Fill the first mask; see the base class."""
        self._automaton.fill_mask(self._automaton.start, self._row)

    def walk(self, tokens: Sequence[int], times: array[int]) -> int:
        """Walk ``tokens``; see the base class."""
        session = self._automaton.session()
        fill, step, state, dead = session.fill_mask, session.step, session.start, self._structgen.DEAD
        row, bits, clock, eos = self._row, self.bits, perf_counter_ns, self.vocabulary.eos_token_id
        for position, token in enumerate(tokens):
            begin = clock()
            fill(state, row)
            filled = clock()
            if not bits[token >> 5] >> (token & 31) & 1:
                times.append(filled - begin)
                return position
            resumed = clock()
            state = step(state, token)
            stepped = clock()
            times.append(filled - begin + stepped - resumed)
            if state == dead:
                return position
        begin = clock()
        fill(state, row)
        times.append(clock() - begin)
        return len(tokens) + (bits[eos >> 5] >> (eos & 31) & 1)

    def begin(self) -> None:
        """Go to the start of an output; see the base class."""
        self._session = self._automaton.session()
        self._state = self._session.start

    def fill(self) -> None:
        """Fill the mask; see the base class."""
        self._session.fill_mask(self._state, self._row)

    def take(self, token: int) -> None:
        """Go on by a token; see the base class."""
        self._state = self._session.step(self._state, token)
        if self._state == self._structgen.DEAD:
            raise RuntimeError(f"structgen does not take token {token}, which its mask allows")

    def accepts_any_order(self, schema: SchemaInput, tokens: Sequence[int]) -> bool:
        """Compile with ``property_order="any"`` and walk; see the base class."""
        if self._options(schema)["property_order"] == "any":
            return False
        if self._any_order is None:
            try:
                self._any_order = self._structgen.compile_json_schema(
                    schema.value, self._tokens, property_order="any"
                )
            except self._structgen.StructgenError:
                return False
        automaton = self._any_order
        states = automaton.step_many(automaton.start, tokens)
        state = states[-1] if states else automaton.start
        return len(states) == len(tokens) and bool(automaton.accepts(state))

    def _options(self, schema: SchemaInput) -> dict[str, Any]:
        reading = schema.reading
        if reading is None:
            return {"property_order": self.property_order}
        # What counts is which values are in the language: every order of keys and spelling of numbers.
        return {
            "property_order": "any",
            "numbers": "all",
            "formats": "assert" if reading.assert_formats else "annotate",
            "draft": reading.draft,
            "registry": official_suite.load(reading.suite).registry(reading.remotes),
        }


class StructgenAnyOrderEngine(StructgenEngine):
    """structgen with ``property_order="any"``, else its default options."""

    name: ClassVar[str] = "structgen_any_order"
    property_order: ClassVar[Literal["schema", "any"]] = "any"
