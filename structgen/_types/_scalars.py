"""The types whose JSON values are scalars."""

import base64
import datetime
import re
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from structgen._types._nodes import Formatted, Node, Scalar, only, to_decimal, to_float, to_int

# Where Python's values are fewer than the format's: its years start at 1, its minutes have 60 seconds and its
# seconds 10**6 parts, its timedelta has no months and years and at most 10**9 days. All in one spelling.
_DATE = "(?!0000)[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME = r"[0-9]{2}:[0-9]{2}:[0-5][0-9](?:\.[0-9]{1,6})?(?:Z|[+-][0-9]{2}:[0-9]{2})"
_SECONDS = "[0-9]{1,9}S"
_MINUTES = f"[0-9]{{1,9}}M(?:{_SECONDS})?"
_CLOCK = f"T(?:[0-9]{{1,9}}H(?:{_MINUTES})?|{_MINUTES}|{_SECONDS})"
_DURATION = f"P(?:[0-9]{{1,7}}W|[0-9]{{1,8}}D(?:{_CLOCK})?|{_CLOCK})"
_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
# The last character before the padding has no bits to spare: one text for each value.
_BASE64 = "(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?"
_INTEGER = "(?:0|-?[1-9][0-9]*)"

_UNITS = {"W": "weeks", "D": "days", "H": "hours", "M": "minutes", "S": "seconds"}


def _shaped(shape: str, read: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return ``read`` for the texts of this shape alone: Python's own readers take more."""
    compiled = re.compile(shape, re.ASCII)

    def shaped(text: str) -> Any:
        if compiled.fullmatch(text) is None:
            raise ValueError(text)
        return read(text)

    return shaped


def _of_clock(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return ``fromisoformat`` with ``Z`` and every length of fraction, which Python 3.10 does not take."""

    def spelt_out(text: str) -> Any:
        text = re.sub(r"\.[0-9]+", lambda fraction: fraction[0].ljust(7, "0"), text)
        return read(text.replace("Z", "+00:00"))

    return spelt_out


def _timedelta(text: str) -> datetime.timedelta:
    return datetime.timedelta(**{_UNITS[unit]: int(n) for n, unit in re.findall("([0-9]+)([A-Z])", text)})


def _formatted(name: str, shape: str, read: Callable[[str], Any], **keywords: str) -> Node:
    return Formatted({"type": "string", **keywords, "pattern": f"^{shape}$"}, name, _shaped(shape, read))


SCALARS: dict[Any, Node] = {
    None: Scalar("null", only(type(None))),
    type(None): Scalar("null", only(type(None))),
    bool: Scalar("boolean", only(bool)),
    int: Scalar("integer", to_int),
    float: Scalar("number", to_float),
    Decimal: Scalar("number", to_decimal),
    str: Scalar("string", only(str)),
    datetime.date: _formatted("date", _DATE, datetime.date.fromisoformat, format="date"),
    datetime.time: _formatted("time", _TIME, _of_clock(datetime.time.fromisoformat), format="time"),
    datetime.datetime: _formatted(
        "date-time", f"{_DATE}T{_TIME}", _of_clock(datetime.datetime.fromisoformat), format="date-time"
    ),
    datetime.timedelta: _formatted("duration", _DURATION, _timedelta, format="duration"),
    uuid.UUID: _formatted("UUID", _UUID, uuid.UUID, format="uuid"),
    bytes: _formatted("base64 text", _BASE64, base64.b64decode, contentEncoding="base64"),
}

INTEGER_KEY = _formatted("integer", _INTEGER, int)
