"""The native core: token trie, regex residuals, lazy lexers, parser and token masks."""

from structgen._core._native import (
    DEAD,
    FINISHED,
    Builder,
    LrConflictError,
    NativeVocabulary,
    Repeats,
    Session,
    SymbolReader,
    TokenAutomaton,
)

__all__ = [
    "DEAD",
    "FINISHED",
    "Builder",
    "LrConflictError",
    "NativeVocabulary",
    "Repeats",
    "Session",
    "SymbolReader",
    "TokenAutomaton",
]
