"""Adapters that compile Lark grammars in place of schemas; all else is as for schemas.

The text of the schema is the grammar. Its value, where it is not None, is a dictionary: ``"llguidance"`` is
the grammar in the dialect of llguidance, ``"indenter": "python"`` stands for lark's ``PythonIndenter``, and
all else are options of :func:`structgen.compile_lark`.
"""

from __future__ import annotations

import importlib
from typing import ClassVar

from jsonschemabench.engines.base import CompileError, EngineUnavailableError, SchemaInput
from jsonschemabench.engines.llguidance import LLGuidanceEngine
from jsonschemabench.engines.structgen import StructgenEngine
from jsonschemabench.vocabularies import BenchVocabulary


class StructgenLarkEngine(StructgenEngine):
    """structgen's automata of Lark grammars, with Lark's own meaning."""

    name: ClassVar[str] = "structgen_lark"
    distributions: ClassVar[tuple[str, ...]] = ("structgen", "lark")

    def __init__(self, vocabulary: BenchVocabulary) -> None:
        super().__init__(vocabulary)
        try:
            # Imports are not what is measured.
            importlib.import_module("structgen._frontends.lark")
            indenters = importlib.import_module("lark.indenter")
        except ImportError as error:
            raise EngineUnavailableError(f"structgen can't read Lark grammars: {error}") from error
        self._indenter = indenters.PythonIndenter

    def compile(self, schema: SchemaInput) -> None:
        """Compile the grammar; see the base class."""
        options = dict(schema.value or {})
        options.pop("llguidance", None)
        if options.pop("indenter", None) == "python":
            options["postlex"] = self._indenter()
        try:
            self._automaton = self._structgen.compile_lark(schema.text, self._tokens, **options)
        except self._structgen.StructgenError as error:
            raise CompileError(str(error)) from error

    def stats(self) -> dict[str, int]:
        """What the automaton says of itself."""
        stats: dict[str, int] = self._automaton.stats()
        return stats


class LLGuidanceLarkEngine(LLGuidanceEngine):
    """llguidance's matcher of a grammar in its dialect of Lark."""

    name: ClassVar[str] = "llguidance_lark"

    def compile(self, schema: SchemaInput) -> None:
        """Build the grammar and a matcher; see the base class."""
        text = (schema.value or {}).get("llguidance", schema.text)
        self._matcher = self._matcher_class(self._tokenizer, self._grammar(text), log_level=0)
        if self._matcher.is_error():
            raise CompileError(self._matcher.get_error())
        self._text = text

    def _grammar(self, text: str) -> str:
        grammar: str = self._matcher_class.grammar_from_lark(text)
        return grammar
