"""Lark grammars, with Lark's own meaning.

``_sources`` finds files, ``_directives`` replaces what Lark's loader does not know, ``_load`` runs that
loader, ``_spec`` makes the decisions of Lark's lexer, ``_checks`` refuses what is undefined, dead or
ambiguous, ``_translate`` gives errors a place, and ``_lower`` calls the builder.
"""

from structgen._frontends.lark._load import Loaded, load_lark, load_text
from structgen._frontends.lark._lower import GrammarLowering
from structgen._frontends.lark._options import Options, options_of_lark, options_of_text
from structgen._frontends.lark._sources import read_grammar

__all__ = [
    "GrammarLowering",
    "Loaded",
    "Options",
    "load_lark",
    "load_text",
    "options_of_lark",
    "options_of_text",
    "read_grammar",
]
