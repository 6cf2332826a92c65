"""Unicode sets from the running Python's database (``unicodedata.unidata_version``), made on first use."""

import array
import bisect
import functools
import itertools
import re
import unicodedata
from collections.abc import Callable

from structgen._frontends.regex import _charset, _ecma_classes
from structgen._frontends.regex._charset import Ranges

# No cased character lives beyond the Supplementary Multilingual Plane; a test checks it.
_CASED_LIMIT = 0x20000
_BLOCK = 64

# Long names of General_Category values, as PropertyValueAliases.txt has them.
_CATEGORY_NAMES = {
    "C": "Other",
    "Cc": "Control cntrl",
    "Cf": "Format",
    "Cn": "Unassigned",
    "Co": "Private_Use",
    "Cs": "Surrogate",
    "L": "Letter",
    "LC": "Cased_Letter",
    "Ll": "Lowercase_Letter",
    "Lm": "Modifier_Letter",
    "Lo": "Other_Letter",
    "Lt": "Titlecase_Letter",
    "Lu": "Uppercase_Letter",
    "M": "Mark Combining_Mark",
    "Mc": "Spacing_Mark",
    "Me": "Enclosing_Mark",
    "Mn": "Nonspacing_Mark",
    "N": "Number",
    "Nd": "Decimal_Number digit",
    "Nl": "Letter_Number",
    "No": "Other_Number",
    "P": "Punctuation punct",
    "Pc": "Connector_Punctuation",
    "Pd": "Dash_Punctuation",
    "Pe": "Close_Punctuation",
    "Pf": "Final_Punctuation",
    "Pi": "Initial_Punctuation",
    "Po": "Other_Punctuation",
    "Ps": "Open_Punctuation",
    "S": "Symbol",
    "Sc": "Currency_Symbol",
    "Sk": "Modifier_Symbol",
    "Sm": "Math_Symbol",
    "So": "Other_Symbol",
    "Z": "Separator",
    "Zl": "Line_Separator",
    "Zp": "Paragraph_Separator",
    "Zs": "Space_Separator",
}
CATEGORIES = {name: short for short, names in _CATEGORY_NAMES.items() for name in (short, *names.split())}


@functools.cache
def _all_characters(end: int = _charset.MAX_CODE_POINT + 1) -> str:
    """Every code point below ``end`` in order, surrogates included, so that an index is a code point."""
    return array.array("I", range(end)).tobytes().decode("utf-32", "surrogatepass")


@functools.lru_cache(maxsize=64)
def python_class(escape: str, ascii_only: bool) -> Ranges:
    """The set of a class escape of :mod:`re`, such as ``\\w``, asked of :mod:`re` itself."""
    flags = re.ASCII if ascii_only else 0
    text = _all_characters()[:128] if ascii_only and escape[1].islower() else _all_characters()
    return _charset.normalise((m.start(), m.end() - 1) for m in re.finditer(f"{escape}+", text, flags))


@functools.cache
def _categories() -> dict[str, list[tuple[int, int]]]:
    ranges: dict[str, list[tuple[int, int]]] = {}
    start = 0
    for category, run in itertools.groupby(map(unicodedata.category, _all_characters())):
        length = sum(1 for _ in run)
        ranges.setdefault(category, []).append((start, start + length - 1))
        start += length
    return ranges


@functools.lru_cache(maxsize=256)
def property_ranges(expression: str) -> Ranges:
    """The set of ``\\p{expression}``.

    Parameters
    ----------
    expression : str
        A General_Category value, with or without ``gc=`` or ``General_Category=``, or one of the binary
        properties ``Any``, ``ASCII``, ``Assigned``, ``ASCII_Hex_Digit``, ``White_Space``.

    Raises
    ------
    KeyError
        The property is unknown, or Python's standard library has no data for it (scripts, emoji).
    """
    name, equals, value = expression.partition("=")
    if equals and name not in ("gc", "General_Category"):
        raise KeyError(expression)
    if not equals:
        value = name
        binary = _binary_property(name)
        if binary is not None:
            return binary
    short = CATEGORIES[value]
    members = ("Lu", "Ll", "Lt") if short == "LC" else None
    return _charset.normalise(
        pair
        for category, ranges in _categories().items()
        if (category in members if members else category.startswith(short))
        for pair in ranges
    )


def _binary_property(name: str) -> Ranges | None:
    match name:
        case "Any":
            return _charset.ALL
        case "ASCII":
            return ((0, 0x7F),)
        case "Assigned":
            return _charset.complement(property_ranges("Cn"))
        case "ASCII_Hex_Digit" | "AHex":
            return ((0x30, 0x39), (0x41, 0x46), (0x61, 0x66))
        case "White_Space" | "space":
            # ECMAScript's white space is White_Space without U+0085 and with the byte order mark.
            return _charset.union(_ecma_classes.SPACE[:-1], ((0x85, 0x85),))
        case "Uppercase" | "Upper":
            return _where(str.isupper)
        case "Lowercase" | "Lower":
            return _where(str.islower)
    return None


def _where(predicate: Callable[[str], bool]) -> Ranges:
    return _charset.normalise((i, i) for i, c in enumerate(_all_characters(_CASED_LIMIT)) if predicate(c))


@functools.cache
def cased_characters() -> str:
    """Every character that some case mapping changes or produces, each once."""
    found: set[str] = set()
    characters = _all_characters(_CASED_LIMIT)
    for start in range(0, _CASED_LIMIT, _BLOCK):
        block = characters[start : start + _BLOCK]
        # No mapping makes a character empty: where none changes the block, none changes any of it.
        if block == block.lower() == block.upper() == block.casefold():
            continue
        for character in block:
            for mapped in (character.lower(), character.upper(), character.casefold()):
                if mapped != character:
                    found.add(character)
                    found.update(mapped)
    return "".join(sorted(found))


@functools.cache
def _simple_folds() -> dict[int, frozenset[int]]:
    """Equivalence classes of more than one member under simple case folding, by member.

    Python only has full folding, in which single characters are equal exactly when simple folding makes
    them equal (as of Unicode 15.1, which folds the last pairs such as U+0390 and U+1FD3).
    """
    classes: dict[str, set[int]] = {}
    for character in cased_characters():
        classes.setdefault(character.casefold(), set()).add(ord(character))
    return {member: frozenset(group) for group in classes.values() if len(group) > 1 for member in group}


@functools.cache
def _fold_members() -> list[int]:
    return sorted(_simple_folds())


def simple_fold_closure(ranges: Ranges) -> Ranges:
    """Add every scalar value that differs from a member only by simple case folding."""
    folds = _simple_folds()
    members = _fold_members()
    extra: set[int] = set()
    for low, high in ranges:
        for index in range(bisect.bisect_left(members, low), bisect.bisect_right(members, high)):
            extra |= folds[members[index]]
    return _charset.normalise([*ranges, *((other, other) for other in extra)])
