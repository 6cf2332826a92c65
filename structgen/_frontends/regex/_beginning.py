"""Which characters a match can begin with: enough to know that a pattern does not match a text."""

import re
from collections.abc import Iterable
from typing import Any

from structgen._frontends.regex._standard import POSSESSIVE_REPEAT, constants

_IGNORECASE = int(re.IGNORECASE)
_REPEATS = (constants.MAX_REPEAT, constants.MIN_REPEAT, POSSESSIVE_REPEAT)
_TESTS = (constants.AT, constants.ASSERT, constants.ASSERT_NOT)


def may_begin_with(tree: Any, code: int) -> bool:
    """Say no only if no match of a parsed pattern that is not empty begins with this character."""
    return bool(tree.state.flags & _IGNORECASE) or _sequence(tree, code) is not False


def _sequence(items: Iterable[tuple[Any, Any]], code: int) -> bool | None:
    """Whether a match can begin so; None: only behind the items, which can match the empty string."""
    for operation, argument in items:
        if operation in _TESTS:
            continue
        found = _item(operation, argument, code)
        if found is not None:
            return found
    return None


def _item(operation: Any, argument: Any, code: int) -> bool | None:
    if operation is constants.LITERAL:
        return bool(argument == code)
    if operation is constants.NOT_LITERAL:
        return bool(argument != code)
    if operation is constants.IN:
        return _in(argument, code)
    if operation is constants.SUBPATTERN:
        _, added, _, inner = argument
        return True if added & _IGNORECASE else _sequence(inner, code)
    if operation is constants.BRANCH:
        options = [_sequence(option, code) for option in argument[1]]
        return True if True in options else None if None in options else False
    if operation in _REPEATS:
        low, _, body = argument
        found = _sequence(body, code)
        return found if low or found else None
    return True  # anything, as far as is known here


def _in(items: list[tuple[Any, Any]], code: int) -> bool:
    negative = False
    for kind, value in items:
        if kind is constants.NEGATE:
            negative = True
        elif kind is constants.LITERAL:
            if value == code:
                return not negative
        elif kind is constants.RANGE:
            if value[0] <= code <= value[1]:
                return not negative
        else:
            return True  # a class such as \w
    return negative
