"""Formats of JSON Schema that the user registers."""

import threading
from collections.abc import Callable
from typing import NamedTuple

BUILT_IN_FORMATS = frozenset(
    """
    date date-time duration email hostname idn-email idn-hostname ipv4 ipv6 iri iri-reference json-pointer
    regex relative-json-pointer time uri uri-reference uri-template uuid
    """.split()
)


class RegisteredFormat(NamedTuple):
    """What a registered format asserts of a string; at least one of the two is given."""

    pattern: str | None
    predicate: Callable[[str], bool] | None


_lock = threading.Lock()
_registered: dict[str, RegisteredFormat] = {}


def register_format(
    name: str,
    *,
    pattern: str | None = None,
    predicate: Callable[[str], bool] | None = None,
    replace: bool = False,
) -> None:
    """Make a value of the keyword ``format`` assert something, in later compilations of this process.

    Where both a pattern and a predicate are given, a string has to satisfy both.

    Parameters
    ----------
    name : str
        The format.
    pattern : str, optional
        An ECMA-262 pattern that the whole string matches.
    predicate : callable, optional
        Tells whether a string is valid. It must answer at once, without side effects, always the same for a
        string, from any thread. A pattern beside it that is nearly as strict keeps the output from
        running into strings that the predicate can only refuse.
    replace : bool, optional
        Replace a format that is built in or registered.

    Raises
    ------
    TypeError
        The name or the pattern is not a string, or the predicate cannot be called.
    ValueError
        Neither a pattern nor a predicate is given, or the format exists and ``replace`` is false.
    RegexError
        The pattern is invalid or not regular.
    LimitError
        The pattern reaches a limit of the regex front end.
    """
    if not isinstance(name, str):
        raise TypeError(f"the name of a format must be a string, not {type(name).__name__}")
    if pattern is not None and not isinstance(pattern, str):
        raise TypeError(f"the pattern of a format must be a string, not {type(pattern).__name__}")
    if predicate is not None and not callable(predicate):
        raise TypeError(f"the predicate of a format must be callable, not {type(predicate).__name__}")
    if pattern is None and predicate is None:
        raise ValueError("a format needs a pattern or a predicate")
    if pattern is not None:
        _check_pattern(pattern)
    with _lock:
        if not replace and (name in _registered or name in BUILT_IN_FORMATS):
            raise ValueError(f"the format {name!r} exists; pass replace=True to replace it")
        _registered[name] = RegisteredFormat(pattern, predicate)


def unregister_format(name: str) -> None:
    """Forget a registered format; a built-in one that it replaced is back.

    Parameters
    ----------
    name : str
        The format.

    Raises
    ------
    ValueError
        No format of this name is registered.
    """
    with _lock:
        if _registered.pop(name, None) is None:
            raise ValueError(f"no format {name!r} is registered")


def registered_format(name: str) -> RegisteredFormat | None:
    """Look a registered format up."""
    with _lock:
        return _registered.get(name)


def registered_formats() -> dict[str, RegisteredFormat]:
    """Return all that are registered now."""
    with _lock:
        return dict(_registered)


def _check_pattern(pattern: str) -> None:
    """Lower the pattern once, so that what is wrong with it is said where it is registered."""
    from structgen._core import Builder, NativeVocabulary
    from structgen._frontends.regex import lower_ecma

    lower_ecma(pattern, Builder(NativeVocabulary([b"a", b""], [1], [], 2)), search=False)
