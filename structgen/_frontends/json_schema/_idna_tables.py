"""The character sets of IDNA2008 (RFC 5892, RFC 5893), from the running Python's Unicode database.

What Python has no data for (scripts, joining types, default ignorable code points) is listed; Unicode 17.
Code points that the running Python does not know are unassigned, and so are disallowed.
"""

from __future__ import annotations

import functools
import unicodedata
from dataclasses import dataclass

from structgen._frontends.regex import _charset
from structgen._frontends.regex._charset import Ranges
from structgen._frontends.regex._unicode import property_ranges


def _ranges(text: str) -> Ranges:
    pairs = (item.partition("-") for item in text.split())
    return _charset.normalise((int(low, 16), int(high or low, 16)) for low, _, high in pairs)


GREEK = _ranges(
    "370-373 375-377 37A-37D 37F 384 386 388-38A 38C 38E-3A1 3A3-3E1 3F0-3FF 1D26-1D2A 1D5D-1D61 "
    "1D66-1D6A 1DBF 1F00-1F15 1F18-1F1D 1F20-1F45 1F48-1F4D 1F50-1F57 1F59 1F5B 1F5D 1F5F-1F7D "
    "1F80-1FB4 1FB6-1FC4 1FC6-1FD3 1FD6-1FDB 1FDD-1FEF 1FF2-1FF4 1FF6-1FFE 2126 AB65 10140-1018E 101A0 "
    "1D200-1D245"
)
HEBREW = _ranges("591-5C9 5D0-5EA 5EF-5F4 FB1D-FB36 FB38-FB3C FB3E FB40-FB41 FB43-FB44 FB46-FB4F")
HIRAGANA_KATAKANA_HAN = _ranges(
    "3041-3096 309D-309F 1B001-1B11F 1B123 1B132 1B150-1B152 1F200 30A1-30FA 30FD-30FF 31F0-31FF "
    "32D0-32FE 3300-3357 FF66-FF6F FF71-FF9D 1AFF0-1AFF3 1AFF5-1AFFB 1AFFD-1AFFE 1B000 1B120-1B122 "
    "1B124-1B128 1B155 1B164-1B167 2E80-2E99 2E9B-2EF3 2F00-2FD5 3005 3007 3021-3029 3038-303B "
    "3400-4DBF 4E00-9FFF F900-FA6D FA70-FAD9 16FE2-16FE3 16FF0-16FF6 20000-2A6DF 2A700-2B81D "
    "2B820-2CEAD 2CEB0-2EBE0 2EBF0-2EE5D 2F800-2FA1D 30000-3134A 31350-33479"
)
JOINS_BOTH_SIDES = _ranges(
    "620 626 628 62A-62E 633-63F 641-647 649-64A 66E-66F 678-687 69A-6BF 6C1-6C2 6CC 6CE 6D0-6D1 "
    "6FA-6FC 6FF 712-714 71A-71D 71F-727 729 72B 72D-72E 74E-758 75C-76A 76D-770 772 775-777 77A-77F "
    "7CA-7EA 841-845 848 84A-853 855 860 862-865 868 886 889-88D 88F 8A0-8A9 8AF-8B0 8B3-8B8 8BA-8C8 "
    "1807 1820-1878 1887-18A8 18AA A840-A871 10AC0-10AC4 10AD3-10AD6 10AD8-10ADC 10ADE-10AE0 "
    "10AEB-10AEE 10B80 10B82 10B86-10B88 10B8A-10B8B 10B8D 10B90 10BAD-10BAE 10D01-10D21 10D23 "
    "10EC3-10EC4 10EC6-10EC7 10F30-10F32 10F34-10F44 10F51-10F53 10F70-10F73 10F76-10F81 10FB0 "
    "10FB2-10FB3 10FB8 10FBB-10FBC 10FBE-10FBF 10FC1 10FC4 10FCA 1E900-1E943"
)
JOINS_LEFT = _ranges("A872 10ACD 10AD7 10D00 10FCB")  # "left" and "right" as the Unicode property has them
JOINS_RIGHT = _ranges(
    "622-625 627 629 62F-632 648 671-673 675-677 688-699 6C0 6C3-6CB 6CD 6CF 6D2-6D3 6D5 6EE-6EF 710 "
    "715-719 71E 728 72A 72C 72F 74D 759-75B 76B-76C 771 773-774 778-779 840 846-847 849 854 856-858 "
    "867 869-86A 870-882 88E 8AA-8AC 8AE 8B1-8B2 8B9 10AC5 10AC7 10AC9-10ACA 10ACE-10AD2 10ADD 10AE1 "
    "10AE4 10AEF 10B81 10B83-10B85 10B89 10B8C 10B8E-10B8F 10B91 10BA9-10BAC 10D22 10EC2 10F33 10F54 "
    "10F74-10F75 10FB4-10FB6 10FB9-10FBA 10FBD 10FC2-10FC3 10FC9"
)
ARABIC_DIGITS = _ranges("660-669")
EXTENDED_ARABIC_DIGITS = _ranges("6F0-6F9")

# The hyphen, the exceptions of RFC 5892, and the only capitals that case folding keeps: those of Cherokee.
_ALWAYS_ALLOWED = _ranges("2D DF 3C2 6FD-6FE F0B 3007 13A0-13F5")
_IN_CONTEXT = _ranges("B7 375 5F3-5F4 660-669 6F0-6F9 30FB 200C-200D")
_NEVER_ALLOWED = _ranges(
    "640 7FA 302E-302F 3031-3035 303B "  # exceptions
    "20D0-20FF 1D100-1D1FF 1D200-1D24F "  # ignorable blocks
    "34F 115F-1160 17B4-17B5 180B-180F 3164 FE00-FE0F FFA0 E0000-E0FFF "  # default ignorable code points
    "1100-11FF A960-A97C D7B0-D7C6 D7CB-D7FB"  # old Hangul jamo
)


@dataclass(frozen=True, slots=True)
class Tables:
    """The sets that the rules for labels speak of, each within ``allowed``.

    Attributes
    ----------
    allowed : Ranges
        What may occur in a U-label: protocol-valid, or valid in some contexts.
    marks, viramas, transparent : Ranges
        Combining marks; those of combining class 9; those that joining looks through.
    bidi : dict of str to Ranges
        By bidirectional class.
    """

    allowed: Ranges
    marks: Ranges
    viramas: Ranges
    transparent: Ranges
    bidi: dict[str, Ranges]


@functools.cache
def tables() -> Tables:
    """Derive the sets, once."""
    letters = _charset.union(*map(property_ranges, ("Ll", "Lo", "Lm", "Mn", "Mc", "Nd")))
    candidates = _charset.intersection(letters, _charset.complement(_NEVER_ALLOWED))
    stable = [c for low, high in candidates for c in map(chr, range(low, high + 1)) if _is_stable(c)]
    valid = _charset.normalise((ord(c), ord(c)) for c in stable)
    allowed = _charset.union(valid, _ALWAYS_ALLOWED, _IN_CONTEXT)
    bidi: dict[str, list[tuple[int, int]]] = {}
    viramas: list[tuple[int, int]] = []
    for low, high in allowed:
        for point in range(low, high + 1):
            bidi.setdefault(unicodedata.bidirectional(chr(point)), []).append((point, point))
            if unicodedata.combining(chr(point)) == 9:
                viramas.append((point, point))
    return Tables(
        allowed=allowed,
        marks=_charset.intersection(allowed, property_ranges("M")),
        viramas=_charset.normalise(viramas),
        transparent=_charset.intersection(allowed, _charset.union(property_ranges("Mn"), _ranges("1E94B"))),
        bidi={name: _charset.normalise(points) for name, points in bidi.items()},
    )


def _is_stable(character: str) -> bool:
    """Whether normalisation and case folding keep the character (RFC 5892, section 2.2)."""
    if not unicodedata.is_normalized("NFKC", character):
        return False
    folded = character.casefold()
    return folded == character or unicodedata.normalize("NFKC", folded) == character
