"""Patterns of :mod:`re`, with the meaning of :func:`re.fullmatch`."""

import contextlib
import functools
import re
from typing import Any

from structgen._errors import RegexError, StructgenError
from structgen._frontends.regex import _ast
from structgen._frontends.regex._ast import Node
from structgen._frontends.regex._beginning import may_begin_with
from structgen._frontends.regex._builder import RegexBuilder
from structgen._frontends.regex._charset import Ranges
from structgen._frontends.regex._limits import MAX_COUNT, MAX_NESTING, check_length, limit_error
from structgen._frontends.regex._lower import Lowering
from structgen._frontends.regex._python_tree import Converter, keyword
from structgen._frontends.regex._standard import constants, parser

# Whether the core's own parser of patterns tells widths as this Python does (since 3.11.7).
NATIVE = hasattr(parser, "MAXWIDTH")

# Plain numbers: arithmetic on the flags of re is slow, and its parser does much of it.
_UNICODE = int(re.UNICODE)
_ACCEPTED_FLAGS = int(
    re.IGNORECASE | re.MULTILINE | re.DOTALL | re.UNICODE | re.VERBOSE | re.ASCII | re.LOCALE
)

# Characters that stand for themselves, escaped or not, in any case or not; then a lookahead.
_KEYWORD = re.compile(
    r"(?P<head>(?:[\w:,;=<>!@%&'\"~`/]|\\[^\w])+|\(\?(?P<flags>[ais]+):(?P<word>\w+)\))(?P<test>\(\?[!=].*)",
    re.ASCII | re.DOTALL,
)


def lower_python(pattern: str, builder: RegexBuilder, flags: int = 0) -> int:
    """Lower a pattern of :mod:`re` into a builder.

    The standard library's own parser reads the pattern: syntax and Unicode data are the running Python's.

    Parameters
    ----------
    pattern : str
        The pattern.
    builder : RegexBuilder
        Where the regex is made.
    flags : int, optional
        Flags of :mod:`re`; ``DEBUG`` has no effect.

    Returns
    -------
    int
        Handle of the regex: the strings for which ``re.fullmatch(pattern, string, flags)`` matches.

    Raises
    ------
    RegexError
        The pattern is invalid or not regular; with the position and the reason.
    LimitError
        One of the limits of ``_limits`` was reached.
    """
    return Lowering(builder, pattern).full(parse(pattern, int(flags)))


@functools.lru_cache(maxsize=1024)
def parse(pattern: str, flags: int) -> Node:
    """Parse a pattern of :mod:`re`; raises what :func:`lower_python` raises."""
    check_length(pattern)
    found = None if flags else _keyword(pattern)
    if found is not None:
        changed, word, test = found
        # What is wrong with a part is said about the whole.
        with contextlib.suppress(StructgenError):
            return _ast.concat([keyword(word, changed), parse(test, 0)])
    try:
        tree = syntax_tree(pattern, flags)
    except re.error as error:
        raise RegexError(error.msg, pattern=pattern, position=error.pos) from None
    except OverflowError:
        raise limit_error("a count of a quantifier is too large", "max_count", MAX_COUNT) from None
    except RecursionError:
        raise limit_error("groups are nested too deeply", "max_nesting", MAX_NESTING) from None
    except ValueError as error:
        raise RegexError(str(error), pattern=pattern) from None
    return Converter(pattern, tree).convert()


def width(pattern: str) -> tuple[int, int]:
    """Return the least and the greatest width of a pattern; raises what :func:`syntax_tree` raises."""
    found = _keyword(pattern)
    low, high = syntax_tree(pattern, 0).getwidth() if found is None else (len(found[1]),) * 2
    return int(low), int(high)


def members(item: str, flags: int) -> Ranges:
    """Return the characters that a pattern of one item, such as ``[\\w-]``, matches."""
    node = parse(item, flags)
    if isinstance(node, _ast.Literal):
        return ((ord(node.text),) * 2,)
    assert isinstance(node, _ast.Chars)
    return node.ranges


def _keyword(pattern: str) -> tuple[str, str, str] | None:
    """Split a pattern like ``(?i:if)(?!\\w)``: the flags of the word, the word, and the lookahead.

    Grammars have many such, whose lookahead is the same.
    """
    found = _KEYWORD.fullmatch(pattern)
    if found is None or "(?<" in found["test"]:
        return None
    try:
        tree = syntax_tree(found["test"], 0)
    except (re.error, OverflowError, RecursionError, ValueError):
        return None
    if len(tree.data) != 1 or tree.data[0][0] not in (constants.ASSERT, constants.ASSERT_NOT):
        return None
    # Before Python 3.11, flags inside are the whole pattern's.
    if tree.state.flags != _UNICODE:
        return None
    word = found["word"] or re.sub(r"\\(.)", r"\1", found["head"], flags=re.DOTALL)
    return found["flags"] or "", word, found["test"]


@functools.lru_cache(maxsize=512)
def syntax_tree(pattern: str, flags: int) -> Any:
    """Return what the standard library's parser makes of a pattern; raises what that does."""
    return parser.parse(pattern, flags & _ACCEPTED_FLAGS)


def may_begin(pattern: str, flags: int, text: str) -> bool:
    """Say no only if no match of a pattern at the start of this text is longer than the empty one."""
    return may_begin_with(syntax_tree(pattern, flags), ord(text[0]))
