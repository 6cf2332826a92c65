"""Limits of the GBNF front end. Reaching one raises ``LimitError`` with its name and value.

================== ========= ===================================================================
name               value     what it bounds
================== ========= ===================================================================
max_grammar_length 4,194,304 code points of a grammar
max_nesting        64        groups and repetitions inside one another, so that no recursion runs away
max_count          2**30     a number inside ``{m,n}``
max_copies         20,000    copies of what is repeated ``{m,n}`` times and holds a recursive rule;
                             other repetitions are counters, never unrolled
max_choices        100,000   ways to begin one rule, over all rules that it begins with
max_depth          900       rules that begin with one another
================== ========= ===================================================================
"""

from structgen._errors import LimitError

MAX_GRAMMAR_LENGTH = 4 << 20
MAX_NESTING = 64
MAX_COUNT = 2**30
MAX_COPIES = 20_000
MAX_CHOICES = 100_000
MAX_DEPTH = 900


def limit_error(what: str, limit: str, value: int) -> LimitError:
    """Make the error for one of the limits above."""
    return LimitError(f"{what} ({limit} is {value:,})", limit=limit, value=value)
