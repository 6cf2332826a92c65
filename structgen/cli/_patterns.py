"""Patterns of ECMA-262 and formats, matched in time linear in the text and in bounded memory."""

from __future__ import annotations

import functools
import math
import re
import warnings
from collections.abc import Callable
from typing import Any

from structgen._core import Builder, NativeVocabulary
from structgen._errors import LimitError, RegexError
from structgen._frontends.json_schema._formats import format_of
from structgen._frontends.regex import is_valid_ecma, lower_ecma

_MAX_NODES = 300_000
"""Of all regexes and what is left of them after texts; about 70 MB."""

_SURROGATES = re.compile("[\ud800-\udfff]")


class PatternError(Exception):
    """A pattern that cannot be matched: invalid, or beyond what both engines can do."""


class _Regexes:
    """Regexes and the derivatives that matching makes of them; all is thrown away when that is too much."""

    def __init__(self) -> None:
        self._known: dict[Any, int] = {}
        self._renew()

    def _renew(self) -> None:
        # A vocabulary of one byte: only the regexes of the builder are used, and they are its tables'.
        tables = NativeVocabulary([b"a", b""], [1], [], 2)
        self._builder = Builder(tables, max_regex_nodes=_MAX_NODES, max_seconds=math.inf)
        self._known = {}

    def regex(self, key: Any, lower: Callable[[Any], int]) -> int:
        """Return the regex of a key, made now or before.

        Raises
        ------
        LimitError
            If it alone is too large.
        """
        try:
            return self._regex(key, lower)
        except LimitError:
            self._renew()
            return self._regex(key, lower)

    def _regex(self, key: Any, lower: Callable[[Any], int]) -> int:
        if key not in self._known:
            self._known[key] = lower(self._builder)
        return self._known[key]

    def matches(self, key: Any, lower: Callable[[Any], int], text: str) -> bool:
        """Tell whether the whole text is of a regex; raises as :meth:`regex` does."""
        # Regexes know no lone surrogates. U+FFFD stands for them, as in what encoders write.
        text = _SURROGATES.sub("\ufffd", text)
        try:
            return bool(self._builder.re_matches(self._regex(key, lower), text))
        except LimitError:
            self._renew()
            return bool(self._builder.re_matches(self._regex(key, lower), text))


@functools.cache
def _regexes() -> _Regexes:
    return _Regexes()


class _Pattern:
    """An ECMA-262 pattern.

    Attributes
    ----------
    exact : bool
        Whether its dialect is; otherwise :mod:`re` matches it.
    """

    def __init__(self, pattern: str) -> None:
        self._key = ("pattern", pattern)
        self._lower = functools.partial(lower_ecma, pattern)
        self._fallback: re.Pattern[str] | None = None
        try:
            _regexes().regex(self._key, self._lower)
        except RegexError as error:
            if not is_valid_ecma(pattern):
                raise PatternError(f"the pattern {pattern!r} is not valid: {error.reason}") from None
            self._fall_back(error.reason)
        except LimitError as error:
            self._fall_back(str(error))

    @property
    def exact(self) -> bool:
        return self._fallback is None

    def _fall_back(self, reason: str) -> None:
        pattern = self._key[1]
        try:
            with warnings.catch_warnings():
                # Of syntax that may mean something else some day.
                warnings.simplefilter("ignore", FutureWarning)
                self._fallback = re.compile(pattern)
        except re.error:
            raise PatternError(f"the pattern {pattern!r} cannot be matched: {reason}") from None

    def search(self, text: str) -> bool:
        """Tell whether the pattern matches anywhere in a text."""
        if self._fallback is None:
            try:
                return _regexes().matches(self._key, self._lower, text)
            except LimitError as error:
                self._fall_back(str(error))
        assert self._fallback is not None
        return self._fallback.search(text) is not None


@functools.lru_cache(maxsize=4096)
def compile_pattern(pattern: str) -> _Pattern:
    """Compile an ECMA-262 pattern.

    Patterns that are not regular (backreferences) or too large are left to :mod:`re`.

    Raises
    ------
    PatternError
        If neither can match it.
    """
    return _Pattern(pattern)


def search(pattern: str, text: str) -> bool:
    """Tell whether an ECMA-262 pattern matches anywhere in a text; raises as :func:`compile_pattern` does."""
    return compile_pattern(pattern).search(text)


def is_pattern(instance: Any) -> bool:
    """Tell whether a string is a pattern that can be matched; True for what is no string."""
    if not isinstance(instance, str):
        return True
    try:
        compile_pattern(instance)
    except PatternError:
        return False
    return True


def has_format(name: str, instance: Any) -> bool:
    """Tell whether a string has a format that structgen enforces; True for what is no string.

    Raises
    ------
    LimitError
        If that takes too much for the text.
    """
    form = format_of(name)
    if form is None or not isinstance(instance, str):
        return True

    def lower(builder: Any) -> int:
        regex = form.regex(builder)
        assert regex is not None
        return regex

    has_regex = form.lower is not None or form.pattern is not None
    if has_regex and not _regexes().matches(("format", name), lower, instance):
        return False
    return form.predicate is None or form.predicate(instance)
