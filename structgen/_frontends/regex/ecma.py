"""ECMA-262 patterns, as JSON Schema uses them."""

import functools

from structgen._errors import RegexError
from structgen._frontends.regex._ast import Node
from structgen._frontends.regex._builder import RegexBuilder
from structgen._frontends.regex._ecma_parser import IrregularError, Parser, ProblemError
from structgen._frontends.regex._limits import check_length
from structgen._frontends.regex._lower import Lowering


def lower_ecma(pattern: str, builder: RegexBuilder, *, search: bool = True) -> int:
    """Lower an ECMA-262 pattern into a builder.

    The pattern is read in Unicode mode. Where its syntax is invalid there, the legacy syntax of Annex B is
    tried (``\\-``, a lone ``{`` or ``]``, octal escapes), which schemas in the wild use. Strings are code
    points in both.

    Parameters
    ----------
    pattern : str
        The pattern, without delimiters and flags.
    builder : RegexBuilder
        Where the regex is made.
    search : bool, optional
        A match anywhere in the string counts, as JSON Schema asks; otherwise the whole string has to match.

    Returns
    -------
    int
        Handle of the regex.

    Raises
    ------
    RegexError
        The pattern is invalid in both syntaxes or not regular; with the position and the reason.
    LimitError
        One of the limits of ``_limits`` was reached.
    """
    check_length(pattern)
    node = parse(pattern)
    lowering = Lowering(builder, pattern)
    return lowering.search(node) if search else lowering.full(node)


@functools.lru_cache(maxsize=1024)
def parse(pattern: str) -> Node:
    """Parse a pattern, in Unicode mode or else in legacy syntax; for a pattern of acceptable length."""
    try:
        try:
            return Parser(pattern, unicode=True).parse()
        except ProblemError:
            return Parser(pattern, unicode=False).parse()
    except (ProblemError, IrregularError) as error:
        raise RegexError(error.reason, pattern=pattern, position=error.position) from None
