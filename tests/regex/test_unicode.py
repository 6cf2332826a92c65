"""The Unicode tables agree with ``re``, ``unicodedata`` and ``regress``, code point by code point."""

import re
import sys
import unicodedata
from collections.abc import Callable

import pytest
import regress

from structgen._frontends.regex import _charset, _unicode, lower_python
from structgen._frontends.regex._charset import Ranges
from tests.regex.oracles import modern_regress
from tests.regex.reference import ReferenceBuilder

SCALARS = [chr(i) for i in range(sys.maxunicode + 1) if not 0xD800 <= i <= 0xDFFF]


def _members(ranges: Ranges) -> list[str]:
    return [chr(i) for low, high in ranges for i in range(low, high + 1)]


@pytest.mark.parametrize(
    ("escape", "predicate"),
    [
        (r"\d", str.isdecimal),
        (r"\s", str.isspace),
        (r"\w", lambda c: c.isalnum() or c == "_"),
        (r"\W", lambda c: not (c.isalnum() or c == "_")),
    ],
)
def test_python_classes(escape: str, predicate: Callable[[str], bool]) -> None:
    assert _members(_unicode.python_class(escape, False)) == [c for c in SCALARS if predicate(c)]
    in_ascii = re.findall(escape, "".join(SCALARS), re.ASCII)
    assert _members(_unicode.python_class(escape, True)) == in_ascii


@pytest.mark.parametrize("category", ["L", "Lu", "LC", "N", "Nd", "P", "Pc", "S", "Z", "Zs", "C", "Cc", "M"])
def test_categories(category: str) -> None:
    wanted = ("Lu", "Ll", "Lt") if category == "LC" else (category,)
    expected = [c for c in SCALARS if unicodedata.category(c).startswith(wanted)]
    assert _members(_unicode.property_ranges(category)) == expected
    assert _unicode.property_ranges(f"gc={category}") == _unicode.property_ranges(category)


@pytest.mark.parametrize(
    ("expression", "below"),
    [
        ("Letter", 0x250),
        ("Lt", 0x11000),
        ("Any", 0x11000),
        ("Assigned", 0x250),
        ("ASCII", 0x11000),
        ("AHex", 0x11000),
        ("White_Space", 0x11000),
        ("Uppercase", 0x250),
        ("Lowercase", 0x250),
    ],
)
def test_properties_agree_with_regress(expression: str, below: int) -> None:
    # regress may know a later Unicode version, which moved a few letters: stay where nothing changed.
    oracle = regress.Regex(rf"^\p{{{expression}}}$", "u")
    members = set(_members(_unicode.property_ranges(expression)))
    known = [c for c in SCALARS[:below] if unicodedata.category(c) != "Cn"]
    assert [c for c in known if (c in members) != (oracle.find(c) is not None)] == []


@pytest.mark.parametrize(
    "name", ["", "Lx", "lu", "Script=Han", "sc=Latn", "Emoji", "gc=", "gc=Any", "Foo=Lu"]
)
def test_unknown_properties(name: str) -> None:
    with pytest.raises(KeyError):
        _unicode.property_ranges(name)


def test_no_cased_character_lies_beyond_the_scanned_planes() -> None:
    cased = {c for c in SCALARS if c.lower() != c or c.upper() != c or c.casefold() != c}
    assert cased <= set(_unicode.cased_characters())


@pytest.mark.parametrize(
    ("pattern", "flags"),
    [
        ("[a-z]", 0),
        ("[^a-z]", 0),
        ("k", 0),
        ("[kſ]", re.A),
        ("[^a-z]", re.A),
        (r"[\W_k]", re.A),
        ("[\u0100-\U0001e943Z]", re.A),
        ("[^\u00c0-\u017fZ]", re.A),
        ("[^İ]", 0),
        ("[\u0390-\u03ff]", 0),
        ("[^\u1f00-\u1fff]", 0),
        ("[\U00010400-\U00010427x]", 0),
        (r"[\d\u1c80-\u1c88]", 0),
        (r"[^\Wk]", 0),
        ("[\u0100-\U0001e943]", 0),
    ],
)
def test_ignoring_case_agrees_with_re_on_every_character(pattern: str, flags: int) -> None:
    builder = ReferenceBuilder()
    regex = lower_python(pattern, builder, flags | re.I)
    runs = [m.group() for m in re.finditer(f"(?:{pattern})+", "".join(SCALARS), flags | re.I)]
    assert regex == builder.re_chars([(ord(run[0]), ord(run[-1])) for run in runs])


@modern_regress
def test_simple_case_folding_agrees_with_regress() -> None:
    cased = _unicode.cased_characters()
    encoded = cased.encode()
    for character in cased:
        point = ord(character)
        folded = _members(_unicode.simple_fold_closure(((point, point),)))
        oracle = regress.Regex(rf"(?i:\u{{{point:x}}})", "u")
        found = sorted(encoded[match.range()].decode() for match in oracle.find_iter(cased) or ())
        assert folded == found, character


def test_set_algebra() -> None:
    evens = _charset.normalise((i, i) for i in range(0, 0xE100, 2))
    outside = _charset.complement(evens)
    assert _charset.intersection(evens, outside) == ()
    assert _charset.union(evens, outside) == _charset.ALL
    assert _charset.complement(outside) == evens
    assert _charset.normalise([(0xD700, 0xE00F), (5, 6), (1, 4)]) == (
        (1, 6),
        (0xD700, 0xD7FF),
        (0xE000, 0xE00F),
    )
    assert [_charset.contains(((2, 3), (6, 6)), i) for i in range(1, 8)] == [
        False,
        True,
        True,
        False,
        False,
        True,
        False,
    ]
    cells = _charset.partition(((1, 5),), ((3, 9),))
    assert sorted(cells)[:3] == [((0, 0), (10, 0xD7FF), (0xE000, 0x10FFFF)), ((1, 2),), ((3, 5),)]
