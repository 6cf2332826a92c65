"""Whether a text conforms to a schema, as the library ``jsonschema`` judges it, formats included.

Leap seconds are judged here: RFC 3339 and the official suite allow them, the format checker does not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import jsonschema
from jsonschema_specifications import REGISTRY

from jsonschemabench.results import OutputOutcome
from jsonschemabench.timeouts import time_out

TIMEOUT_S = 10.0
"""Seconds for a text: patterns of schemas may take exponential time."""

_DETAIL_CHARACTERS = 300
_EXACT_EXPONENT = 4_000
# RFC 3339, section 5.6, with the second that is there now and then only.
_LEAP_SECOND = re.compile(
    r"(|[^Tt ]+[Tt ])([01][0-9]|2[0-3]):([0-5][0-9]):60"
    r"((?:\.[0-9]+)?(?:[Zz]|([+-])([01][0-9]|2[0-3]):([0-5][0-9])))"
)


class Judge:
    """Judges texts by one schema, its draft that of ``$schema``, else 2020-12.

    Numbers are exact, and nothing is fetched: a reference to a document outside of the schema leaves its
    texts undecided.

    Parameters
    ----------
    text
        JSON text of the schema.
    """

    def __init__(self, text: str) -> None:
        schema = _parse(text)
        kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
        self._validator = kind(schema, format_checker=_format_checker(kind.FORMAT_CHECKER), registry=REGISTRY)

    def __call__(self, data: bytes) -> tuple[OutputOutcome, str]:
        """Return valid, invalid or undecided, and why."""
        try:
            value = _parse(data.decode())
        except RecursionError:
            return OutputOutcome.UNDECIDED, "nested too deeply to be read"
        except ValueError as error:
            return OutputOutcome.INVALID, f"not JSON: {error}"[:_DETAIL_CHARACTERS]
        try:
            with time_out(TIMEOUT_S, "not judged"):
                wrong = jsonschema.exceptions.best_match(self._validator.iter_errors(value))
        except Exception as error:
            return OutputOutcome.UNDECIDED, f"{type(error).__name__}: {error}"[:_DETAIL_CHARACTERS]
        if wrong is None:
            return OutputOutcome.VALID, ""
        return OutputOutcome.INVALID, f"{wrong.json_path}: {wrong.message}"[:_DETAIL_CHARACTERS]


def _parse(text: str) -> Any:
    return json.loads(text, parse_float=_number, parse_constant=_refuse)


def _number(text: str) -> int | Decimal:
    number = Decimal(text)
    # 1.0 is an integer; what is too long to be written out stays as it is.
    if -_EXACT_EXPONENT < number.adjusted() < _EXACT_EXPONENT and number == number.to_integral_value():
        return int(number)
    return number


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _format_checker(checker: jsonschema.FormatChecker) -> jsonschema.FormatChecker:
    """Return a checker that also takes the leap seconds of RFC 3339, which the library's refuses."""
    copy = jsonschema.FormatChecker(())
    copy.checkers = dict(checker.checkers)
    for name in ("time", "date-time"):
        if name in copy.checkers:
            check, raises = copy.checkers[name]
            copy.checkers[name] = (_with_leap_seconds(check), raises)
    return copy


def _with_leap_seconds(check: Callable[[object], bool]) -> Callable[[object], bool]:
    def checked(instance: object) -> bool:
        leap = _LEAP_SECOND.fullmatch(instance) if isinstance(instance, str) else None
        if leap is None:
            return check(instance)
        before, hour, minute, after, sign, hours, minutes = leap.groups()
        offset = int(f"{sign}{int(hours) * 60 + int(minutes)}") if sign else 0
        # They come at the end of a day of UTC, wherever on Earth the clock hangs.
        utc = (int(hour) * 60 + int(minute) - offset) % (24 * 60)
        return utc == 24 * 60 - 1 and check(f"{before}{hour}:{minute}:59{after}")

    return checked
