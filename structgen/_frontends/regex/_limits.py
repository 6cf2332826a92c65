"""Limits of the regex front ends. Reaching one raises ``LimitError`` with its name and value.

==================== ========= =================================================================
name                 value     what it bounds
==================== ========= =================================================================
max_pattern_length   65,536    code points of a pattern
max_nesting          100       groups inside groups, so that no recursion runs away
max_count            2**30     a number inside ``{m,n}``
max_same_name        256       groups of one name in different options of an alternation
max_expansion        10,000    steps that assertions cause: a counted repetition is unrolled where
                               an assertion is inside, an atomic group becomes lookaheads
max_cells            256       kinds of code points that the assertions of a pattern tell apart
max_left_states      100       states that the lookbehinds of a pattern need
max_loop_states      100       states of an unbounded repetition that has assertions inside
max_lookaround_steps 2,000,000 steps through the bodies of lookarounds to find those states
==================== ========= =================================================================

Patterns without assertions are bounded by their length and by the limits of the core alone.
"""

from structgen._errors import LimitError

MAX_PATTERN_LENGTH = 65_536
MAX_NESTING = 100
MAX_COUNT = 2**30
MAX_SAME_NAME = 256
MAX_EXPANSION = 10_000
MAX_CELLS = 256
MAX_LEFT_STATES = 100
MAX_LOOP_STATES = 100
MAX_LOOKAROUND_STEPS = 2_000_000


def limit_error(what: str, limit: str, value: int) -> LimitError:
    """Make the error for one of the limits above."""
    return LimitError(f"{what} ({limit} is {value:,})", limit=limit, value=value)


class Budget:
    """Counts work against one of the limits above."""

    def __init__(self, what: str, limit: str, value: int) -> None:
        self._what = what
        self._limit = limit
        self._value = value
        self._left = value

    def spend(self, amount: int = 1) -> None:
        """Count some work; raise ``LimitError`` when that was too much."""
        self._left -= amount
        if self._left < 0:
            raise limit_error(self._what, self._limit, self._value)


def check_length(pattern: str) -> None:
    """Refuse a pattern that is too long before any work is done on it."""
    if len(pattern) > MAX_PATTERN_LENGTH:
        what = f"the regular expression has {len(pattern):,} characters"
        raise limit_error(what, "max_pattern_length", MAX_PATTERN_LENGTH)


def lookaround_budget() -> Budget:
    """A fresh budget of steps through the bodies of lookarounds."""
    return Budget("the lookarounds are too large", "max_lookaround_steps", MAX_LOOKAROUND_STEPS)
