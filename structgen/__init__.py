"""Structured generation: a language model's output always conforms to a JSON Schema, a grammar or a regex."""

import typing as _typing

from structgen._compile import compile_json_schema, compile_regex
from structgen._compile_gbnf import compile_gbnf
from structgen._compile_lark import compile_lark
from structgen._core import DEAD, FINISHED, Session, TokenAutomaton
from structgen._errors import (
    AllParticlesDeadError,
    BudgetError,
    FreezeError,
    GrammarError,
    GuardDeadEnd,
    LimitError,
    NothingSatisfiesError,
    PotentialError,
    RegexError,
    SamplingError,
    SchemaError,
    StructgenError,
    UnsatisfiableSchemaError,
    VocabularyError,
)
from structgen._formats import register_format, unregister_format
from structgen._grammars import load_grammar
from structgen._structure import Event
from structgen._tool_calls import tool_calls
from structgen._vocabulary import Vocabulary

if _typing.TYPE_CHECKING:
    from structgen._cache import AutomatonCache
    from structgen._drafts import VerifiedDraft, verify_draft
    from structgen._explain import Explanation, explain
    from structgen._generate import generate
    from structgen._random_text import random_texts
    from structgen._types import compile_type, parse_output, schema_of

__version__ = "0.1.0"

__all__ = [
    "DEAD",
    "FINISHED",
    "AllParticlesDeadError",
    "AutomatonCache",
    "BudgetError",
    "Event",
    "Explanation",
    "FreezeError",
    "GrammarError",
    "GuardDeadEnd",
    "LimitError",
    "NothingSatisfiesError",
    "PotentialError",
    "RegexError",
    "SamplingError",
    "SchemaError",
    "Session",
    "StructgenError",
    "TokenAutomaton",
    "UnsatisfiableSchemaError",
    "VerifiedDraft",
    "Vocabulary",
    "VocabularyError",
    "__version__",
    "compile_gbnf",
    "compile_json_schema",
    "compile_lark",
    "compile_regex",
    "compile_type",
    "explain",
    "generate",
    "load_grammar",
    "parse_output",
    "random_texts",
    "register_format",
    "schema_of",
    "tool_calls",
    "unregister_format",
    "verify_draft",
]


def __getattr__(name: str) -> _typing.Any:
    # Imported by their first use: they need modules that nothing else does (generate: PyTorch).
    if name in {"compile_type", "parse_output", "schema_of"}:
        from structgen import _types

        return globals().setdefault(name, getattr(_types, name))
    if name == "AutomatonCache":
        from structgen._cache import AutomatonCache

        return globals().setdefault(name, AutomatonCache)
    if name in {"Explanation", "explain"}:
        from structgen import _explain

        return globals().setdefault(name, getattr(_explain, name))
    if name in {"VerifiedDraft", "verify_draft"}:
        from structgen import _drafts

        return globals().setdefault(name, getattr(_drafts, name))
    if name == "generate":
        from structgen._generate import generate

        return globals().setdefault(name, generate)
    if name == "random_texts":
        from structgen._random_text import random_texts

        return globals().setdefault(name, random_texts)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
