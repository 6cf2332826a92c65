"""The formats that the front end asserts: those of draft 2020-12, in every draft, and registered ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from structgen._formats import registered_format
from structgen._frontends.regex import is_valid_ecma, lower_ecma

from ._format_grammars import PATTERNS, lower_date_time, lower_time
from ._format_regex import lower_regex
from ._idna import is_hostname, is_idn_hostname, lower_hostname, lower_idn_hostname

if TYPE_CHECKING:
    from collections.abc import Callable

    from structgen._frontends.regex import RegexBuilder


@dataclass(frozen=True, slots=True)
class Format:
    """What a format asserts of a string: both of what is given here.

    Attributes
    ----------
    name : str
        The value of the keyword ``format``.
    pattern : str or None
        An ECMA-262 pattern for the whole string.
    lower : callable or None
        What lowers the format into a builder, where that is more than one pattern.
    predicate : callable or None
        What the language of ``regex`` leaves open, of a whole decoded string in that language.
    """

    name: str
    pattern: str | None = None
    lower: Callable[[RegexBuilder], int] | None = None
    predicate: Callable[[str], bool] | None = None

    def regex(self, builder: RegexBuilder) -> int | None:
        """Lower the format: the decoded strings that it allows, or more where there is a predicate."""
        if self.lower is not None:
            return self.lower(builder)
        return None if self.pattern is None else lower_ecma(self.pattern, builder, search=False)


_BUILT_IN = {
    **{name: Format(name, pattern) for name, pattern in PATTERNS.items()},
    "time": Format("time", lower=lower_time),
    "date-time": Format("date-time", lower=lower_date_time),
    "hostname": Format("hostname", lower=lower_hostname, predicate=is_hostname),
    "idn-hostname": Format("idn-hostname", lower=lower_idn_hostname, predicate=is_idn_hostname),
    "regex": Format("regex", lower=lower_regex, predicate=is_valid_ecma),
}


def format_of(name: str) -> Format | None:
    """Look a format up; registered ones come first. An unknown format asserts nothing: None."""
    registered = registered_format(name)
    if registered is not None:
        return Format(name, registered.pattern, predicate=registered.predicate)
    return _BUILT_IN.get(name)
