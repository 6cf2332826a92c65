"""JSON values as they are read: numbers keep their text, so that every type reads them exactly."""

import json
from collections.abc import Hashable
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

# `int` of a decimal with an exponent writes all of its digits; texts of the automaton stay far below.
_MAX_DIGITS = 4300


class Number:
    """A JSON number with a fraction or an exponent."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def decimal(self) -> Decimal:
        try:
            return Decimal(self.text)
        except InvalidOperation:
            raise Mismatch(f"the exponent of {shown(self)} is out of range") from None


class Mismatch(Exception):  # noqa: N818 - never leaves the package
    """A value that its type does not hold; ``path`` leads from where it was raised down to the culprit."""

    def __init__(self, reason: str, path: tuple[str | int, ...] = (), cause: Exception | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path = path
        self.cause = cause

    def below(self, step: str | int) -> "Mismatch":
        """Return this mismatch as seen from one level up."""
        return Mismatch(self.reason, (step, *self.path), self.cause)

    def error(self) -> Exception:
        """Return the exception for the caller of :func:`structgen.parse_output`."""
        if self.cause is not None and not self.path:
            return self.cause
        pointer = "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in self.path)
        error = ValueError(f"at {pointer!r}: {self.reason}" if pointer else f"at the root: {self.reason}")
        error.__cause__ = self.cause
        return error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def read(text: str) -> Any:
    """Parse a JSON text; numbers with a fraction or an exponent become :class:`Number`."""
    try:
        return json.loads(text, parse_float=Number, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("the text nests too deeply to be read") from None


def write(value: Any) -> str:
    """Return a JSON text of what :func:`read` returned, its numbers as they were written."""
    if isinstance(value, Number):
        return value.text
    if isinstance(value, list):
        return f"[{','.join(map(write, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{json.dumps(key)}:{write(item)}' for key, item in value.items())}}}"
    return json.dumps(value)


def plain(value: Any) -> Any:
    """Return what ``json.loads`` would have returned."""
    if isinstance(value, Number):
        return float(value.text)
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


def identity(value: Any) -> Hashable:
    """Return a key that two JSON values share exactly when they are equal as JSON Schema defines it."""
    if value is None or isinstance(value, bool | str):
        return type(value), value
    if isinstance(value, Number):
        return value.decimal()
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, list):
        return "array", tuple(map(identity, value))
    if isinstance(value, dict):
        return "object", frozenset((key, identity(item)) for key, item in value.items())
    return int(value)


def integer(value: Any) -> int | None:
    """Return the integer that ``value`` is, whatever its spelling."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, Number):
        number = value.decimal()
        if not number:
            return 0
        if number.adjusted() > _MAX_DIGITS:
            raise Mismatch(f"{shown(value)} has more than {_MAX_DIGITS} digits")
        # Whole numbers of any length: nothing here rounds.
        if number.as_tuple().exponent >= 0 or number == number.to_integral_value():  # type: ignore[operator]
            return int(number)
    return None


def shown(value: Any) -> str:
    """Spell ``value`` for a message, cut to a readable length."""
    text = write(value)
    return text if len(text) <= 80 else text[:77] + "..."
