"""Ways into and out of a type: random outputs of its automaton, and validators that are not ours."""

import functools
import json
from decimal import Decimal
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import strategies as st

import structgen

BYTES = structgen.Vocabulary([bytes([byte]) for byte in range(256)] + [b"<eos>"], eos_token_ids=256)
LATER = {"format", "propertyNames", "uniqueItems", "multipleOf"}


@functools.lru_cache(maxsize=256)
def _compiled(schema: str) -> structgen.TokenAutomaton:
    return structgen.compile_json_schema(schema, BYTES, whitespace="compact")


def automaton_of(type_: Any) -> structgen.TokenAutomaton:
    """Return the automaton of a type; skip where the front end does not compile a keyword yet."""
    try:
        return _compiled(json.dumps(structgen.schema_of(type_)))
    except structgen.SchemaError as error:
        if error.keyword in LATER:
            pytest.skip(f"{error.keyword} is not compiled yet")
        raise


def accepts(type_: Any, text: str) -> bool:
    automaton = automaton_of(type_)
    return automaton.accepts(automaton.advance_bytes(automaton.start, text.encode()))


def walk(automaton: structgen.TokenAutomaton, choices: list[int]) -> str:
    """Return the output that these choices among the allowed bytes make, completed the shortest way."""
    state, text = automaton.start, b""
    for choice in choices:
        allowed = np.flatnonzero(np.unpackbits(automaton.mask(state).view(np.uint8), bitorder="little"))
        # Structure and digits come first: among all bytes of a string they would hardly come up.
        likely = [token for token in allowed if token < 256 and chr(token) in '"{}[]:,0123456789-.eEtfn\\']
        pool = likely if likely and choice % 4 else [token for token in allowed if token < 256]
        if not pool:
            break
        token = int(pool[choice // 4 % len(pool)])
        text += bytes([token])
        state = automaton.step(state, token)
    return (text + automaton.shortest(state)).decode()


CHOICES = st.lists(st.integers(0, 1023), max_size=60)


def exact(text: str) -> Any:
    """Read JSON for ``jsonschema``: numbers are exact, and 1.0 is an integer."""
    return json.loads(text, parse_float=_number)


def _number(text: str) -> Decimal | int:
    number = Decimal(text)
    return int(number) if number.adjusted() < 400 and number == number.to_integral_value() else number


def validates(type_: Any, value: Any) -> bool:
    """Return whether ``jsonschema`` finds the value valid, formats included."""
    validator = jsonschema.Draft202012Validator(
        exact(json.dumps(structgen.schema_of(type_))),
        format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER,
    )
    return bool(validator.is_valid(value))


def parses(type_: Any, text: str) -> bool:
    try:
        structgen.parse_output(text, type_)
    except ValueError:
        return False
    return True
