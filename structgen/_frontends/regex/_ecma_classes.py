"""The character classes that ECMA-262 names."""

from structgen._frontends.regex import _charset
from structgen._frontends.regex._charset import Ranges

NEWLINE: Ranges = ((0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029))
DOT: Ranges = _charset.complement(NEWLINE)
DIGIT: Ranges = ((0x30, 0x39),)
WORD: Ranges = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
# WhiteSpace and LineTerminator: the space separators (category Zs) and the byte order mark included.
SPACE: Ranges = (
    (0x09, 0x0D),
    (0x20, 0x20),
    (0xA0, 0xA0),
    (0x1680, 0x1680),
    (0x2000, 0x200A),
    (0x2028, 0x2029),
    (0x202F, 0x202F),
    (0x205F, 0x205F),
    (0x3000, 0x3000),
    (0xFEFF, 0xFEFF),
)
ESCAPES: dict[str, Ranges] = {
    "d": DIGIT,
    "D": _charset.complement(DIGIT),
    "s": SPACE,
    "S": _charset.complement(SPACE),
    "w": WORD,
    "W": _charset.complement(WORD),
}
CONTROLS = {"t": 9, "n": 10, "v": 11, "f": 12, "r": 13}
