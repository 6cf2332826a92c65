"""Which characters a match can begin with: enough to know that a pattern does not match a text."""

import re
from collections.abc import Iterable
from re import _constants
from typing import Any

_IGNORECASE = int(re.IGNORECASE)
_REPEATS = (_constants.MAX_REPEAT, _constants.MIN_REPEAT, _constants.POSSESSIVE_REPEAT)
_TESTS = (_constants.AT, _constants.ASSERT, _constants.ASSERT_NOT)


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
    if operation is _constants.LITERAL:
        return bool(argument == code)
    if operation is _constants.NOT_LITERAL:
        return bool(argument != code)
    if operation is _constants.IN:
        return _in(argument, code)
    if operation is _constants.SUBPATTERN:
        _, added, _, inner = argument
        return True if added & _IGNORECASE else _sequence(inner, code)
    if operation is _constants.BRANCH:
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
        if kind is _constants.NEGATE:
            negative = True
        elif kind is _constants.LITERAL:
            if value == code:
                return not negative
        elif kind is _constants.RANGE:
            if value[0] <= code <= value[1]:
                return not negative
        else:
            return True  # a class such as \w
    return negative
