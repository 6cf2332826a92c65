"""Whether a text conforms to a schema, as the library ``jsonschema`` judges it, formats included."""

from __future__ import annotations

import contextlib
import json
import signal
import threading
from collections.abc import Iterator
from decimal import Decimal
from types import FrameType
from typing import Any

import jsonschema
from jsonschema_specifications import REGISTRY

from jsonschemabench.results import OutputOutcome

TIMEOUT_S = 10.0
"""Seconds for a text: patterns of schemas may take exponential time."""

_DETAIL_CHARACTERS = 300
_EXACT_EXPONENT = 4_000


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
        self._validator = kind(schema, format_checker=kind.FORMAT_CHECKER, registry=REGISTRY)

    def __call__(self, data: bytes) -> tuple[OutputOutcome, str]:
        """Return valid, invalid or undecided, and why."""
        try:
            value = _parse(data.decode())
        except RecursionError:
            return OutputOutcome.UNDECIDED, "nested too deeply to be read"
        except ValueError as error:
            return OutputOutcome.INVALID, f"not JSON: {error}"[:_DETAIL_CHARACTERS]
        try:
            with _time_out():
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


@contextlib.contextmanager
def _time_out() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        # Signals reach the main thread only.
        yield
        return

    def expired(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"not judged within {TIMEOUT_S:g} s")

    before = signal.signal(signal.SIGALRM, expired)
    others = signal.setitimer(signal.ITIMER_REAL, TIMEOUT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *others)
        signal.signal(signal.SIGALRM, before)
