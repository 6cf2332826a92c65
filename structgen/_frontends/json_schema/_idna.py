"""The formats ``hostname`` and ``idn-hostname``: RFC 1123, RFC 5890 to 5893.

Host names of ASCII labels are regular. So are nearly all rules of IDNA2008 for labels of other characters,
which are patterns here, read by both the front end and :mod:`re`. What is left to a predicate: that a label is
normalised and at most 63 characters long in Punycode, and that a label that begins with ``xn--`` is the
Punycode of a valid one.
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
# RFC 1123, section 2.1: a host name never has the form of an IPv4 address.
_DOTTED_DECIMAL = f"[0-9]+(?:{_SEPARATORS}[0-9]+){{3}}"
# In IDNA, labels with hyphens in the third and fourth place are reserved unless they are A-labels.
_RESERVED = f"(?:.*{_SEPARATORS})?(?![Xx][Nn])[^.\u3002\uff0e\uff61]{{2}}--.*"


def lower_hostname(builder: RegexBuilder) -> int:
    """Lower the format ``hostname``, with any text behind ``xn--``."""
    names = lower_ecma(f"{_ASCII_LABEL}(?:\\.{_ASCII_LABEL})*", builder, search=False)
    return _bounded(builder, names)


def lower_idn_hostname(builder: RegexBuilder) -> int:
    """Lower the format ``idn-hostname``: host names as above, and internationalised ones."""
    label = f"(?:{_ASCII_LABEL}|{_u_label()})"
    name = lower_ecma(f"{label}(?:{_SEPARATORS}{label})*", builder, search=False)
    excluded = [lower_ecma(_out_of_context(), builder), lower_ecma(_RESERVED, builder, search=False)]
    rules = [*map(builder.re_complement, excluded), _in_direction(builder)]
    international = builder.re_intersection([_bounded(builder, name), *rules])
    return builder.re_union([lower_hostname(builder), international])


def _bounded(builder: RegexBuilder, names: int) -> int:
    address = lower_ecma(_DOTTED_DECIMAL, builder, search=False)
    length = builder.re_repeat(builder.re_any(), 1, MAX_NAME)
    return builder.re_intersection([names, length, builder.re_complement(address)])


def is_hostname(text: str) -> bool:
    """Whether the A-labels of a string that ``lower_hostname`` takes are valid."""
    return all(_decoded(label) is not None for label in text.split(".") if _is_ace(label))


def is_idn_hostname(text: str) -> bool:
    """Whether a string that ``lower_idn_hostname`` takes is valid in Punycode too."""
    if text.isascii():
        return is_hostname(text)
    decoded, encoded_length = [], -1
    for label in re.split(_SEPARATORS, text):
        u_label = _decoded(label) if _is_ace(label) else label
        if u_label is None or (not label.isascii() and not is_u_label(label)):
            return False
        decoded.append(u_label)
        encoded_length += 1 + (len(label) if label.isascii() else len(_encoded(label)))
    if encoded_length > MAX_NAME:
        return False
    right_to_left = any(_rule("RTL").search(label) for label in decoded)
    return not right_to_left or all(_rule("bidi").fullmatch(label.lower()) for label in decoded)


def is_u_label(label: str) -> bool:
    """Whether a label beyond ASCII is valid in IDNA2008, read on its own."""
    return (
        _rule("label").fullmatch(label) is not None
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


# -- the rules as patterns ------------------------------------------------------------------


def _set(*sets: Ranges, negative: bool = False) -> str:
    """A character class; it holds separators of labels exactly where it is negative."""
    spelled = (
        f"{_point(low)}-{_point(high)}" if high > low else _point(low) for low, high in _charset.union(*sets)
    )
    return f"[{'^' if negative else ''}{''.join(spelled)}]"


def _point(code_point: int) -> str:
    return "\\-" if code_point == ord("-") else chr(code_point)


@functools.cache
def _u_label() -> str:
    """RFC 5891, section 4.2: allowed characters, no hyphen at the ends, no mark at the start.

    Punycode takes at least one character for each, so that 59 are the most.
    """
    hyphen: Ranges = ((0x2D, 0x2D),)
    allowed = tables().allowed
    inner = _charset.intersection(allowed, _charset.complement(hyphen))
    first = _charset.intersection(inner, _charset.complement(tables().marks))
    return f"{_set(first)}(?:{_set(allowed)}{{0,57}}{_set(inner)})?"


@functools.cache
def _out_of_context() -> str:
    """RFC 5892, appendix A: a place where a character is outside the context that it needs."""
    t, own = tables(), _idna_tables
    joiners = t.transparent, t.viramas
    left = _set(own.JOINS_BOTH_SIDES, own.JOINS_LEFT, *joiners, negative=True)
    right = _set(own.JOINS_BOTH_SIDES, own.JOINS_RIGHT, *joiners, negative=True)
    through, no_virama = f"{_set(t.transparent)}*", f"(?:^|{_set(t.viramas, negative=True)})"
    after_virama = f"(?<!{_set(t.viramas)})"
    points: Ranges = ((0x2E, 0x2E), (0x3002, 0x3002), (0xFF0E, 0xFF0E), (0xFF61, 0xFF61))
    no_kana = _set(own.HIRAGANA_KATAKANA_HAN, points, negative=True)
    arabic, extended = _set(own.ARABIC_DIGITS), _set(own.EXTENDED_ARABIC_DIGITS)
    within = _set(points, negative=True)
    return "|".join(
        [
            f"(?:^|{left}){through}{after_virama}\u200c",
            f"{after_virama}\u200c{through}(?:{right}|$)",
            f"{no_virama}\u200d",
            "(?:^|[^l])\xb7|\xb7(?:[^l]|$)",
            f"\u0375(?:{_set(own.GREEK, negative=True)}|$)",
            f"(?:^|{_set(own.HEBREW, negative=True)})[\u05f3\u05f4]",
            f"(?:^|{_SEPARATORS}){no_kana}*\u30fb{no_kana}*(?:{_SEPARATORS}|$)",
            f"{arabic}{within}*{extended}|{extended}{within}*{arabic}",
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


def _in_direction(builder: RegexBuilder) -> int:
    """Names without right-to-left characters, and names whose labels follow the rule for names with some."""
    classes = tables().bidi
    outside = _set(classes["R"], classes["AL"], classes["AN"], negative=True)
    # Capitals are valid in labels of ASCII only.
    label = f"(?:{_bidi_label()}|[A-Z][A-Za-z0-9\\-]*|[a-z][A-Za-z0-9\\-]*)"
    plain = lower_ecma(f"{outside}*", builder, search=False)
    mixed = lower_ecma(f"{label}(?:{_SEPARATORS}{label})*", builder, search=False)
    return builder.re_union([plain, mixed])


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
