"""JSON texts of a value, seeded: re-spaced, with shuffled keys, escapes and other numbers."""

import json
import random
from decimal import Decimal
from typing import Any

_BLANKS = ("", "", " ", "\n", "\t", "  ", "\r\n")


def varied(value: Any, rng: random.Random, *, escapes: bool = False, numbers: bool = False) -> str:
    """Write a random text of the value: white space and order of keys vary.

    Parameters
    ----------
    value : Any
        A JSON value as :func:`jsonschemabench.official_suite.parse` gives it.
    rng : random.Random
        Where the choices come from.
    escapes : bool
        Whether characters may be escaped that need not be.
    numbers : bool
        Whether numbers may have exponents and needless zeros.
    """
    blank = rng.choice(_BLANKS)
    return blank + _spell(value, rng, escapes=escapes, numbers=numbers)


def _spell(value: Any, rng: random.Random, *, escapes: bool, numbers: bool) -> str:
    def blank() -> str:
        return rng.choice(_BLANKS)

    def spell(item: Any) -> str:
        if isinstance(item, dict):
            keys = list(item)
            rng.shuffle(keys)
            members = [f"{blank()}{spell(key)}:{blank()}{spell(item[key])}" for key in keys]
            text = "{" + (",".join(members) or blank()) + "}"
        elif isinstance(item, list):
            text = "[" + (",".join(blank() + spell(part) for part in item) or blank()) + "]"
        elif isinstance(item, str):
            text = _string(item, rng if escapes else None)
        elif isinstance(item, (int, Decimal)) and not isinstance(item, bool):
            text = _number(Decimal(item), rng) if numbers else str(item)
        else:
            text = json.dumps(item)
        return text + blank()

    return spell(value)


def _string(value: str, rng: random.Random | None) -> str:
    return '"' + "".join(_character(char, rng is not None and rng.random() < 0.4) for char in value) + '"'


def _character(char: str, escape: bool) -> str:
    if not escape and not "\ud800" <= char <= "\udfff":
        return json.dumps(char, ensure_ascii=False)[1:-1]
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02X}" for i in range(0, len(units), 2))


def _number(value: Decimal, rng: random.Random) -> str:
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    shift = rng.randint(-3, 3)
    # Made from the digits: arithmetic would round to the precision of the context.
    mantissa = f"{Decimal((sign, digits, exponent - shift)):f}"
    if "." in mantissa:
        mantissa += "0" * rng.randint(0, 2)
    elif rng.random() < 0.5:
        mantissa += ".0"
    if shift == 0 and rng.random() < 0.5:
        return mantissa
    return f"{mantissa}{rng.choice('eE')}{rng.choice(('', '+')) if shift >= 0 else ''}{shift}"
