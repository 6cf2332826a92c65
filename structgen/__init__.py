"""Structured generation: a language model's output always conforms to a JSON Schema or regular expression."""

from structgen._compile import compile_json_schema, compile_regex
from structgen._core import DEAD, FINISHED, Session, TokenAutomaton
from structgen._errors import (
    LimitError,
    RegexError,
    SchemaError,
    StructgenError,
    UnsatisfiableSchemaError,
    VocabularyError,
)
from structgen._formats import register_format, unregister_format
from structgen._vocabulary import Vocabulary

__version__ = "0.1.0"

__all__ = [
    "DEAD",
    "FINISHED",
    "LimitError",
    "RegexError",
    "SchemaError",
    "Session",
    "StructgenError",
    "TokenAutomaton",
    "UnsatisfiableSchemaError",
    "Vocabulary",
    "VocabularyError",
    "__version__",
    "compile_json_schema",
    "compile_regex",
    "register_format",
    "unregister_format",
]
