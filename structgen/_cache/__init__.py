"""Compiled automata that are kept, in memory and on disk."""

from structgen._cache._automata import AutomatonCache

__all__ = ["AutomatonCache"]
