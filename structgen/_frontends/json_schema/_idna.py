"""The formats ``hostname`` and ``idn-hostname``: RFC 1123, RFC 5890 to 5893.

Host names are regular but for labels that begin with ``xn--``: a predicate decides whether these are the
Punycode of valid labels. For ``idn-hostname`` the regex has the allowed characters and the places of hyphens
and marks, and the predicate has the rest. (Contexts, directions and lengths are regular as well, but each
multiplies the states of an automaton that tells a thousand ranges of characters apart.)
"""

from __future__ import annotations

import functools
import re
import unicodedata
from typing import TYPE_CHECKING

from structgen._frontends.regex import _charset, lower_ecma

from . import _idna_tables
from ._idna_tables import tables

if TYPE_CHECKING:
    from structgen._frontends.regex import RegexBuilder
    from structgen._frontends.regex._charset import Ranges

MAX_LABEL = 63
MAX_NAME = 253
_SEPARATORS = "[.\u3002\uff0e\uff61]"
_ACE_PREFIX = "xn--"

_ASCII_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9\\-]{0,61}[A-Za-z0-9])?"
_HOSTNAME = f"{_ASCII_LABEL}(?:\\.{_ASCII_LABEL})*"
# RFC 1123, section 2.1: a host name never has the form of an IPv4 address.
_DOTTED_DECIMAL = "[0-9]+(?:\\.[0-9]+){3}"


def lower_hostname(builder: RegexBuilder) -> int:
    """Lower the format ``hostname``, with any text behind ``xn--``."""
    names = lower_ecma(_HOSTNAME, builder, search=False)
    address = lower_ecma(_DOTTED_DECIMAL, builder, search=False)
    length = builder.re_repeat(builder.re_any(), 1, MAX_NAME)
    return builder.re_intersection([names, length, builder.re_complement(address)])


def lower_idn_hostname(builder: RegexBuilder) -> int:
    """Lower the format ``idn-hostname``, with labels and names of any length and in any context."""
    label = f"(?:[A-Za-z0-9](?:[A-Za-z0-9\\-]*[A-Za-z0-9])?|{_u_label()})"
    return lower_ecma(f"{label}(?:{_SEPARATORS}{label})*", builder, search=False)


def is_hostname(text: str) -> bool:
    """Whether a string is valid as ``hostname``."""
    return (
        re.fullmatch(_HOSTNAME, text) is not None
        and len(text) <= MAX_NAME
        and re.fullmatch(_DOTTED_DECIMAL, text) is None
        and all(_decoded(label) is not None for label in text.split(".") if _is_ace(label))
    )


def is_idn_hostname(text: str) -> bool:
    """Whether a string is valid as ``idn-hostname``: as ``hostname``, or with U-labels too."""
    if text.isascii():
        return is_hostname(text)
    u_labels: list[str] = []
    length = -1
    for label in re.split(_SEPARATORS, text):
        u_label = _as_u_label(label)
        if u_label is None:
            return False
        u_labels.append(u_label)
        length += 1 + len(label if label.isascii() else _encoded(label))
    if length > MAX_NAME:
        return False
    right_to_left = any(_rule("RTL").search(label) for label in u_labels)
    return not right_to_left or all(_rule("bidi").fullmatch(label) for label in u_labels)


def _as_u_label(label: str) -> str | None:
    """What a label of an internationalised name stands for, or None where it is invalid."""
    if not label.isascii():
        return label if is_u_label(label) else None
    if _is_ace(label):
        return _decoded(label)
    # Other labels with hyphens in the third and fourth place are reserved.
    valid = re.fullmatch(_ASCII_LABEL, label) is not None and label[2:4] != "--"
    return label.lower() if valid else None


def is_u_label(label: str) -> bool:
    """Whether a label beyond ASCII is valid in IDNA2008, read on its own."""
    return (
        len(label) < MAX_LABEL  # Punycode takes at least one character for each; first, because it is quick
        and _rule("label").fullmatch(label) is not None
        and label[2:4] != "--"
        and _rule("context").search(label) is None
        and (_rule("RTL").search(label) is None or _rule("bidi").fullmatch(label) is not None)
        and unicodedata.is_normalized("NFC", label)
        and len(_encoded(label)) <= MAX_LABEL
    )


def _is_ace(label: str) -> bool:
    return label[:4].lower() == _ACE_PREFIX


def _encoded(label: str) -> str:
    return _ACE_PREFIX + label.encode("punycode").decode("ascii")


def _decoded(label: str) -> str | None:
    """The U-label that an A-label stands for, if it is valid and this its only spelling."""
    label = label.lower()
    try:
        decoded = label[4:].encode("ascii").decode("punycode")
        valid = not decoded.isascii() and is_u_label(decoded) and _encoded(decoded) == label
    except ValueError:  # of the codec; UnicodeError is one
        return None
    return decoded if valid else None


# -- the rules for U-labels as patterns -----------------------------------------------------


def _set(*sets: Ranges, negative: bool = False) -> str:
    """Spell a character class."""
    spelled = (
        f"{_point(low)}-{_point(high)}" if high > low else _point(low) for low, high in _charset.union(*sets)
    )
    return f"[{'^' if negative else ''}{''.join(spelled)}]"


def _point(code_point: int) -> str:
    return "\\-" if code_point == ord("-") else chr(code_point)


@functools.cache
def _u_label() -> str:
    """RFC 5891, section 4.2: allowed characters, no hyphen at the ends, no mark at the start."""
    hyphen: Ranges = ((0x2D, 0x2D),)
    allowed = tables().allowed
    inner = _charset.intersection(allowed, _charset.complement(hyphen))
    first = _charset.intersection(inner, _charset.complement(tables().marks))
    return f"{_set(first)}(?:{_set(allowed)}*{_set(inner)})?"


@functools.cache
def _out_of_context() -> str:
    """RFC 5892, appendix A: a place in a label where a character is outside the context that it needs."""
    t, own = tables(), _idna_tables
    joiners = t.transparent, t.viramas
    left = _set(own.JOINS_BOTH_SIDES, own.JOINS_LEFT, *joiners, negative=True)
    right = _set(own.JOINS_BOTH_SIDES, own.JOINS_RIGHT, *joiners, negative=True)
    through, no_virama = f"{_set(t.transparent)}*", f"(?:^|{_set(t.viramas, negative=True)})"
    after_virama = f"(?<!{_set(t.viramas)})"
    no_kana = _set(own.HIRAGANA_KATAKANA_HAN, negative=True)
    arabic, extended = _set(own.ARABIC_DIGITS), _set(own.EXTENDED_ARABIC_DIGITS)
    return "|".join(
        [
            f"(?:^|{left}){through}{after_virama}\u200c",
            f"{after_virama}\u200c{through}(?:{right}|$)",
            f"{no_virama}\u200d",
            "(?:^|[^l])\xb7|\xb7(?:[^l]|$)",
            f"\u0375(?:{_set(own.GREEK, negative=True)}|$)",
            f"(?:^|{_set(own.HEBREW, negative=True)})[\u05f3\u05f4]",
            f"^{no_kana}*\u30fb{no_kana}*$",
            f"{arabic}.*{extended}|{extended}.*{arabic}",
        ]
    )


@functools.cache
def _bidi_label() -> str:
    """RFC 5893, section 2: a label of a name in which some label has right-to-left characters."""
    classes = tables().bidi
    european, arabic, nonspacing = classes["EN"], classes["AN"], classes["NSM"]
    neutral = [classes.get(name, ()) for name in ("ES", "CS", "ET", "ON", "BN", "NSM")]
    rtl = classes["R"], classes["AL"]

    def right_to_left(digits: Ranges) -> str:
        last = f"(?:{_set(*rtl, *neutral, digits)}*{_set(*rtl, digits)})?"
        return f"{_set(*rtl)}{last}{_set(nonspacing)}*"

    left = classes["L"]
    last = f"(?:{_set(left, european, *neutral)}*{_set(left, european)})?"
    left_to_right = f"{_set(left)}{last}{_set(nonspacing)}*"
    return f"(?:{right_to_left(european)}|{right_to_left(arabic)}|{left_to_right})"


@functools.cache
def _rule(name: str) -> re.Pattern[str]:
    classes = tables().bidi
    match name:
        case "label":
            return re.compile(_u_label())
        case "context":
            return re.compile(_out_of_context())
        case "bidi":
            return re.compile(_bidi_label())
    return re.compile(_set(classes["R"], classes["AL"], classes["AN"]))
