"""The standard library's own parser and compiler of patterns, which Python 3.10 has under other names."""

import sys
from typing import Any

compiler: Any
constants: Any
parser: Any
if sys.version_info >= (3, 11):
    from re import _compiler as compiler  # type: ignore[attr-defined,no-redef]
    from re import _constants as constants  # type: ignore[no-redef]
    from re import _parser as parser  # type: ignore[no-redef]
else:
    import sre_compile as compiler
    import sre_constants as constants
    import sre_parse as parser

# Python 3.10 has neither atomic groups nor possessive quantifiers: no item of its trees is one.
ATOMIC_GROUP = getattr(constants, "ATOMIC_GROUP", None)
POSSESSIVE_REPEAT = getattr(constants, "POSSESSIVE_REPEAT", None)
# Whether ``(?!)`` is read as what never matches, and not as a lookahead.
EMPTY_LOOKAHEAD_FAILS = parser.parse("(?!)").data[0][0] is constants.FAILURE

__all__ = ["ATOMIC_GROUP", "EMPTY_LOOKAHEAD_FAILS", "POSSESSIVE_REPEAT", "compiler", "constants", "parser"]
