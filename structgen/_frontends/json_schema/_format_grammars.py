"""The formats that are regular languages, as ECMA-262 patterns that follow the grammars of their RFCs.

All of these patterns match whole strings. Where an RFC leaves a choice, a comment says what was chosen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from structgen._frontends.regex import lower_ecma

if TYPE_CHECKING:
    from structgen._frontends.regex import RegexBuilder


def _either(options: list[str]) -> str:
    return f"(?:{'|'.join(options)})"


# -- RFC 3339: date, time, date-time; its appendix A: duration -----------------------------

# Of the Gregorian calendar; the year 0000 is one.
_LEAP_YEAR = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)"
DATE = _either(
    [
        "[0-9]{4}-(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])",
        "[0-9]{4}-(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)",
        "[0-9]{4}-02-(?:0[1-9]|1[0-9]|2[0-8])",
        f"{_LEAP_YEAR}-02-29",
    ]
)
_HOUR = "(?:[01][0-9]|2[0-3])"
_MINUTE = "[0-5][0-9]"
_FRACTION = r"(?:\.[0-9]+)?"
_TIME = f"{_HOUR}:{_MINUTE}:{_MINUTE}{_FRACTION}(?:[Zz]|[+-]{_HOUR}:{_MINUTE})"


def _leap(pairs: list[tuple[str, str]], sign: str) -> str:
    """A leap second of the local time and offset of each pair."""
    return _either([rf"{local}:60{_FRACTION}{sign}{offset}" for local, offset in pairs])


# A leap second is 23:59:60 in UTC: the local time less its offset is 23:59. Parts of the offset are functions
# of parts of the local time, so that an intersection of small patterns says it: each remembers one part.
_LEAP_UTC = _leap([("23:59", "")], "[Zz]")
_LEAP_BEHIND = [  # the offset is 23:59 less the local time, without a borrow
    _leap([(f"{hour:02}:{_MINUTE}", f"{23 - hour:02}:{_MINUTE}") for hour in range(24)], "-"),
    _leap([(f"{_HOUR}:{tens}[0-9]", f"{_HOUR}:{5 - tens}[0-9]") for tens in range(6)], "-"),
    _leap([(f"{_HOUR}:[0-5]{ones}", f"{_HOUR}:[0-5]{9 - ones}") for ones in range(10)], "-"),
]
_LEAP_AHEAD = [  # the offset is the local time and a minute; here the minute carries into no hour
    _leap([(f"{hour:02}:{_MINUTE}", f"{hour:02}:{_MINUTE}") for hour in range(24)], r"\+"),
    _leap([(f"{_HOUR}:{minute:02}", f"{_HOUR}:{minute + 1:02}") for minute in range(59)], r"\+"),
]
_LEAP_AHEAD_CARRY = _leap([(f"{hour:02}:59", f"{(hour + 1) % 24:02}:00") for hour in range(24)], r"\+")

# The designators of ISO 8601 are capitals. (The informative grammar of RFC 3339 is in ABNF, where letters
# match in both cases; it says so of "T" and "Z" in date-time only.)
_DURATION_TIME = "T(?:[0-9]+H(?:[0-9]+M(?:[0-9]+S)?)?|[0-9]+M(?:[0-9]+S)?|[0-9]+S)"
_DURATION_DATE = "(?:[0-9]+Y(?:[0-9]+M(?:[0-9]+D)?)?|[0-9]+M(?:[0-9]+D)?|[0-9]+D)"
DURATION = f"P(?:{_DURATION_DATE}(?:{_DURATION_TIME})?|{_DURATION_TIME}|[0-9]+W)"


def lower_time(builder: RegexBuilder) -> int:
    """Lower the format ``time``: RFC 3339's ``full-time``."""

    def lower(pattern: str) -> int:
        return lower_ecma(pattern, builder, search=False)

    return builder.re_union(
        [
            lower(_either([_TIME, _LEAP_UTC, _LEAP_AHEAD_CARRY])),
            builder.re_intersection([lower(pattern) for pattern in _LEAP_BEHIND]),
            builder.re_intersection([lower(pattern) for pattern in _LEAP_AHEAD]),
        ]
    )


def lower_date_time(builder: RegexBuilder) -> int:
    """Lower the format ``date-time``."""
    return builder.re_concat([lower_ecma(f"{DATE}[Tt]", builder, search=False), lower_time(builder)])


# -- RFC 2673: ipv4; RFC 4291: ipv6; RFC 4122: uuid ----------------------------------------

_HEX = "[0-9A-Fa-f]"
_GROUP = f"{_HEX}{{1,4}}"
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
IPV4 = rf"{_OCTET}(?:\.{_OCTET}){{3}}"


def _compressed(ends: list[str]) -> list[str]:
    """Addresses with ``::``: up to as many groups precede it as ends precede an end."""
    starts = ["", *(f"(?:(?:{_GROUP}:){{0,{most}}}{_GROUP})?" for most in range(len(ends) - 1))]
    return [f"{start}::{end}" for start, end in zip(starts, ends, strict=True)]


# As the rule IPv6address of RFC 3986 counts them: "::" stands for at least one group.
_LAST = f"(?:{_GROUP}:{_GROUP}|{IPV4})"
IPV6 = _either(
    [
        f"(?:{_GROUP}:){{6}}{_LAST}",
        *_compressed([f"(?:{_GROUP}:){{{n}}}{_LAST}" for n in range(5, -1, -1)] + [_GROUP, ""]),
    ]
)
UUID = f"{_HEX}{{8}}(?:-{_HEX}{{4}}){{3}}-{_HEX}{{12}}"

# -- RFC 5321, RFC 6531: email, idn-email --------------------------------------------------


def _mailbox(other: str) -> str:
    """The rule ``Mailbox``, where ``other`` are the characters beyond ASCII.

    The rule has no limits on lengths. A general address literal needs a registered tag, and none is
    registered beside IPv6. The official suite takes labels that are not normalised, so that any character
    beyond ASCII may occur in a label.
    """
    text = rf"[A-Za-z0-9!#$%&'*+\-/=?^_`\{{|\}}~{other}]+"
    quoted = rf'"(?:[ !#-\[\]-~{other}]|\\[ -~])*"'
    label = f"[A-Za-z0-9{other}](?:[A-Za-z0-9{other}\\-]*[A-Za-z0-9{other}])?"
    octet = "(?:25[0-5]|2[0-4][0-9]|[01]?[0-9]{1,2})"  # of one to three digits
    ipv4 = rf"{octet}(?:\.{octet}){{3}}"
    # Here "::" stands for at least two groups.
    full = f"(?:{_GROUP}:){{6}}(?:{_GROUP}:{_GROUP}|{ipv4})"
    compressed = [
        f"(?:{_GROUP}(?::{_GROUP}){{0,{before - 1}}})?::(?:{_GROUP}(?::{_GROUP}){{0,{5 - before}}})?"
        if before and before < 6
        else (f"::(?:{_GROUP}(?::{_GROUP}){{0,5}})?" if not before else f"{_GROUP}(?::{_GROUP}){{5}}::")
        for before in range(7)
    ]
    mixed = [
        (f"{_GROUP}(?::{_GROUP}){{0,{before - 1}}}" if before else "")
        + f"::(?:{_GROUP}:){{0,{4 - before}}}{ipv4}"
        for before in range(5)
    ]
    ipv6 = _either([full, *compressed, *mixed])
    literal = rf"\[(?:{ipv4}|[Ii][Pp][Vv]6:{ipv6})\]"
    return rf"(?:{text}(?:\.{text})*|{quoted})@(?:{label}(?:\.{label})*|{literal})"


EMAIL = _mailbox("")
IDN_EMAIL = _mailbox("\x80-\ud7ff\ue000-\U0010ffff")

# -- RFC 3986: uri, uri-reference; RFC 3987: iri, iri-reference ----------------------------

_UCSCHAR = "\xa0-\ud7ff\uf900-\ufdcf\ufdf0-\uffef" + "".join(
    f"{chr(plane * 0x10000 + (0x1000 if plane == 14 else 0))}-{chr(plane * 0x10000 + 0xFFFD)}"
    for plane in range(1, 15)
)
_PRIVATE = "\ue000-\uf8ff\U000f0000-\U000ffffd\U00100000-\U0010fffd"
# RFC 3987, section 4.1: an IRI must not contain bidirectional formatting characters.
_UCSCHAR_OF_IRI = _UCSCHAR.replace("\xa0-\ud7ff", "\xa0-\u200d\u2010-\u2029\u202f-\ud7ff")
_ENCODED = f"%{_HEX}{{2}}"


def _identifier(other: str, private: str, relative: bool) -> str:
    """The rule ``URI`` or ``URI-reference``, with ``other`` and ``private`` characters beyond ASCII."""
    subdelims = "!$&'()*+,;="
    unreserved = rf"A-Za-z0-9._~\-{other}"
    segment_character = f"(?:[{unreserved}{subdelims}:@]|{_ENCODED})"
    future = rf"[Vv]{_HEX}+\.[A-Za-z0-9._~\-{subdelims}:]+"
    host = rf"(?:\[(?:{IPV6}|{future})\]|(?:[{unreserved}{subdelims}]|{_ENCODED})*)"
    authority = f"(?:(?:[{unreserved}{subdelims}:]|{_ENCODED})*@)?{host}(?::[0-9]*)?"
    segments = f"(?:/{segment_character}*)*"
    from_slash = f"/(?:/{authority}{segments}|(?:{segment_character}+{segments})?)"
    tail = (
        rf"(?:\?(?:[{unreserved}{subdelims}:@/?{private}]|{_ENCODED})*)?"
        rf"(?:#(?:[{unreserved}{subdelims}:@/?]|{_ENCODED})*)?"
    )
    absolute = rf"[A-Za-z][A-Za-z0-9+.\-]*:(?:{from_slash}|{segment_character}+{segments})?"
    if not relative:
        return absolute + tail
    no_colon = f"(?:[{unreserved}{subdelims}@]|{_ENCODED})+{segments}"
    return f"(?:{absolute}|(?:{from_slash}|{no_colon})?){tail}"


URI = _identifier("", "", relative=False)
URI_REFERENCE = _identifier("", "", relative=True)
IRI = _identifier(_UCSCHAR_OF_IRI, _PRIVATE, relative=False)
IRI_REFERENCE = _identifier(_UCSCHAR_OF_IRI, _PRIVATE, relative=True)

# -- RFC 6570: uri-template ----------------------------------------------------------------

# With the apostrophe, as erratum 6937 and the official suite have it.
_LITERAL = rf"(?:[!#$&-;=?-\[\]_a-z~{_UCSCHAR}{_PRIVATE}]|{_ENCODED})"
_NAME = rf"(?:[A-Za-z0-9_]|{_ENCODED})(?:\.?(?:[A-Za-z0-9_]|{_ENCODED}))*"
_VARIABLE = rf"{_NAME}(?::[1-9][0-9]{{0,3}}|\*)?"
URI_TEMPLATE = rf"(?:{_LITERAL}|\{{[+#./;?&=,!@|]?{_VARIABLE}(?:,{_VARIABLE})*\}})*"

# -- RFC 6901: json-pointer; draft-handrews-relative-json-pointer-01 -----------------------

JSON_POINTER = "(?:/(?:[^~/]|~[01])*)*"
RELATIVE_JSON_POINTER = f"(?:0|[1-9][0-9]*)(?:#|{JSON_POINTER})"

PATTERNS = {
    "date": DATE,
    "duration": DURATION,
    "email": EMAIL,
    "idn-email": IDN_EMAIL,
    "ipv4": IPV4,
    "ipv6": IPV6,
    "uri": URI,
    "uri-reference": URI_REFERENCE,
    "iri": IRI,
    "iri-reference": IRI_REFERENCE,
    "uuid": UUID,
    "uri-template": URI_TEMPLATE,
    "json-pointer": JSON_POINTER,
    "relative-json-pointer": RELATIVE_JSON_POINTER,
}
