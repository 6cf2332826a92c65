"""Regular expressions: two flavours, one syntax tree, one lowering.

``python`` and ``ecma`` parse their flavour into the tree of ``_ast``; ``_lower`` turns the tree into builder
calls, so that anchors and lookarounds mean the same thing in both. ``_prioritised`` makes patterns instead,
in which it matters which match is preferred. ``_limits`` documents every limit.
"""

from structgen._frontends.regex._builder import PatternBuilder, RegexBuilder
from structgen._frontends.regex._ecma_syntax import is_valid_ecma
from structgen._frontends.regex._prioritised import Prioritised
from structgen._frontends.regex.ecma import lower_ecma
from structgen._frontends.regex.python import lower_python

__all__ = ["PatternBuilder", "Prioritised", "RegexBuilder", "is_valid_ecma", "lower_ecma", "lower_python"]
