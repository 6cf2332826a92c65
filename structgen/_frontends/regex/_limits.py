"""Limits of the regex front ends. Reaching one raises ``LimitError`` with its name and value.

================== ======== ====================================================================
name               default  what it bounds
================== ======== ====================================================================
max_pattern_length 65,536   code points of a pattern
max_nesting        100      groups inside groups, so that no recursion runs away
max_count          2**30    a number inside ``{m,n}``
max_expansion      20,000   nodes visited while assertions are pushed through what follows them;
                            only patterns with anchors, boundaries or lookarounds inside counted
                            repetitions come near it
max_loop_states    100      states of an unbounded repetition that has assertions inside
max_left_states    100      states that the lookbehinds of a pattern need
================== ======== ====================================================================
"""

from structgen._errors import LimitError

MAX_PATTERN_LENGTH = 65_536
MAX_NESTING = 100
MAX_COUNT = 2**30
MAX_EXPANSION = 20_000
MAX_LOOP_STATES = 100
MAX_LEFT_STATES = 100


def limit_error(what: str, limit: str, value: int) -> LimitError:
    """Make the error for one of the limits above."""
    return LimitError(f"{what} ({limit} is {value:,})", limit=limit, value=value)


def check_length(pattern: str) -> None:
    """Refuse a pattern that is too long before any work is done on it."""
    if len(pattern) > MAX_PATTERN_LENGTH:
        what = f"the regular expression has {len(pattern):,} characters"
        raise limit_error(what, "max_pattern_length", MAX_PATTERN_LENGTH)
