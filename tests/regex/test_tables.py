"""Tricky patterns with strings that they accept and strings that they reject.

The tables are checked against ``re`` and ``regress`` too, so that they cannot drift into our own opinion.
"""

import re
from collections.abc import Callable
from typing import Any

import pytest
import regress

from structgen import RegexError
from structgen._frontends.regex import RegexBuilder, lower_ecma, lower_python
from tests.regex.builders import every_builder
from tests.regex.oracles import flags_at_the_start, modern_regress, possessive

MakeBuilder = Callable[[], RegexBuilder]
Lower = Callable[[str, RegexBuilder], int]

# pattern, flags, accepted by re.fullmatch, rejected
PYTHON: list[Any] = [
    ("", 0, [""], ["a", "\n"]),
    ("a$", 0, ["a"], ["a\n", "", "ab"]),
    ("a$\\n?", 0, ["a", "a\n"], ["a\n\n", "\n"]),
    ("a$\\n*", 0, ["a", "a\n"], ["a\n\n"]),
    ("a\\Z\\n?", 0, ["a"], ["a\n"]),
    ("(?m)a$\\n^b", 0, ["a\nb"], ["ab", "a\n\nb"]),
    ("(?m)(^a$\\n?)+", 0, ["a", "a\na", "a\na\n"], ["aa", "a\n\na", ""]),
    ("\\Aa|b\\A", 0, ["a"], ["b", "ba"]),
    (".", 0, ["a", "\r", "\u2028", "😀"], ["\n", "", "ab"]),
    (".", re.S, ["\n", "a"], ["", "ab"]),
    (r"\bfoo\b.*", 0, ["foo", "foo bar", "foo-"], ["foobar", "foo_", "fooé", " foo"]),
    (r"\bfoo\b.*", re.A, ["foo", "fooé"], ["foobar"]),
    (r".*\Bo\B.*", 0, ["foob", "xox"], ["o", "a o", "xo", ""]),
    (r"(?:\b\w+\b ?)+", 0, ["a", "ab cd", "a b c "], ["", " a", "a  b"]),
    (r"\d+", 0, ["0", "٣4"], ["", "a", "²"]),
    (r"\d+", re.A, ["09"], ["٣"]),
    (r"\w", 0, ["é", "_", "字", "²"], ["-", "\u0301", ""]),
    (r"\s", 0, ["\x1c", "\x85", "\u2003", "\u00a0"], ["\ufeff", "\u200b", ""]),
    ("k", re.I, ["k", "K", "\u212a"], ["ķ", "kk"]),
    ("[j-l]s", re.I, ["\u212as", "Kſ", "JS"], ["ms", "k"]),
    ("k", re.I | re.A, ["k", "K"], ["\u212a"]),
    ("[^k]", re.I, ["a", "ſ"], ["k", "K", "\u212a"]),
    ("ß", re.I, ["ß", "ẞ"], ["ss", "SS"]),
    ("µ", re.I, ["µ", "μ", "Μ"], ["m"]),
    ("İ", re.I, ["İ", "i", "ı"], ["j", "i̇"]),
    ("(?i:a)b", 0, ["ab", "Ab"], ["aB", "AB"]),
    ("(?i)a(?-i:b)", 0, ["ab", "Ab"], ["aB"]),
    ("(?x) a b # c", 0, ["ab"], ["a b", "ab # c"]),
    ("a|", 0, ["a", ""], ["aa"]),
    ("(?:a|)+", 0, ["", "aaa"], ["b"]),
    ("(?:a*)*", 0, ["", "aa"], ["ab"]),
    ("(a{2}){2,3}", 0, ["a" * 4, "a" * 6], ["aa", "a" * 5, "a" * 8]),
    ("a{0}", 0, [""], ["a"]),
    ("a*?b??", 0, ["", "aab"], ["abb"]),
    pytest.param("a*+a", 0, [], ["", "a", "aa"], marks=possessive),
    pytest.param("a*+b", 0, ["b", "aab"], ["aaba"], marks=possessive),
    pytest.param("(?>a|ab)b", 0, ["ab"], ["abb"], marks=possessive),
    pytest.param("(?>ab|a)b?", 0, ["ab", "abb", "a"], ["b"], marks=possessive),
    pytest.param("(?>a*b|a)c", 0, ["aabc", "bc", "ac"], ["aac"], marks=possessive),
    ("(?=a).*", 0, ["a", "ab"], ["", "ba"]),
    ("(?!.*b)[ab]*", 0, ["", "aa"], ["b", "aab"]),
    ("(?:(?!ab)[abc])*", 0, ["", "ba", "acb"], ["ab", "cab"]),
    ("a(?<=a)b", 0, ["ab"], ["a", "b"]),
    ("[ab]+(?<!ab)c", 0, ["aac", "bbac"], ["abc", "c"]),
    ("(?:(?<=a)b|a)*", 0, ["", "ab", "aab"], ["b", "abb"]),
    ("(?!)|a", 0, ["a"], [""]),
    ("(?:a(?=b|$)|b)*\\n?", 0, ["", "aba", "ba\n", "bb"], ["aa", "aab", "\n\n"]),
    ("(?:a(?!b*$)|b)*", 0, ["", "bb", "b"], ["a", "abb", "aa"]),
    ("(?:[ab](?!a(?:b|$)))*a?", 0, ["", "a", "ab", "bb"], ["aab", "ba", "bab"]),
    (r"[]a]", 0, ["]", "a"], ["[]", ""]),
    (r"[^\]]", 0, ["a"], ["]"]),
    (r"[\d-]+", 0, ["1-2"], ["a"]),
]

# pattern, accepted by an unanchored search, rejected
ECMA: list[Any] = [
    ("", ["", "a", "\n"], []),
    ("^a|b$", ["a", "ax", "b", "xb", "ab"], ["xa", "bx", "", "b\n"]),
    ("^(a|b)$", ["a", "b"], ["", "ab", "a\n", "\na"]),
    ("^$", [""], ["\n", "a"]),
    ("a$", ["a", "ba"], ["a\n", "ab"]),
    ("$a|^b^|a^", [], ["a", "b", "ab", ""]),
    ("(^|[^a])b", ["b", "cb", "abb"], ["ab", "aab", ""]),
    ("^.$", ["a", "\x85", "😀"], ["\n", "\r", "\u2028", "\u2029", "", "ab"]),
    ("^[^]$", ["\n", "a", "\u2028"], ["", "ab"]),
    ("[]", [], ["", "a", "[]"]),
    ("^[^\\n]$", ["a", "\r"], ["\n", ""]),
    (r"^\d$", ["0", "9"], ["٣", "a", ""]),
    (r"^\w$", ["_", "Z", "5"], ["é", "-", ""]),
    (r"^\s$", ["\ufeff", "\u2028", "\u00a0", "\u3000", "\x0b"], ["\x85", "\u180e", "\u200b", "\x1c"]),
    (r"\bfoo\b", ["foo", "a foo b", "éfooé", "foo-"], ["foob", "afoo", "foo_", ""]),
    (r"\B", ["", "ab", "  "], ["a"]),
    (r"^\B$", [""], ["a", " a"]),
    (r"^(?:\w+\b[ ,]*)+$", ["a", "ab, cd"], ["", ",a", "a;"]),
    ("^(?=.*a)(?=.*b).{2,3}$", ["ab", "ba", "cab"], ["aa", "b", "aabb"]),
    ("^(?!.*--)[a-z-]+$", ["a-b", "-"], ["a--b", "--", ""]),
    ("^((?!mode)(?!Mode).)*$", ["", "mod", "odeM"], ["mode", "a Mode", "\n"]),
    ("^([^,]+(,|$)){3,}$", ["a,b,c", "a,b,c,", "aaa,b,c"], ["a,b", ",,,", "abc"]),
    ("(?<=a)b", ["ab", "cab"], ["b", "ba", "cb"]),
    ("(?<!a)b", ["b", "cb", "abb"], ["ab", "a"]),
    ("^(?<=^)a(?<!b)$", ["a"], ["b", "ba"]),
    ("(?<=^|,)x(?=,|$)", ["x", "a,x", "x,a"], ["ax", "xa", ""]),
    ("(?<=ab+)c", ["abc", "xabbc"], ["ac", "c", "bbc"]),
    ("^(?:(?<=b)a|b)+$", ["b", "ba", "bab"], ["a", "baa", ""]),
    ("^(?:a(?=(b|$))|b(?=.?c|$)|c)+$", ["a", "b", "abc", "bbc"], ["aa", "bb", "ba"]),
    ("^(?:[ab](?!a(?:b|$)))*a?$", ["", "a", "ab", "bb"], ["aab", "ba", "bab"]),
    ("^(?:a(?=b(?=c|d))|[bcd])*$", ["abc", "babd", "bb"], ["ab", "aba", "acb"]),
    ("^(?<year>\\d{4})$", ["2024"], ["24"]),
    pytest.param("^(?:(?<a>x)|(?<a>y))$", ["x", "y"], ["xy"], marks=modern_regress),
    ("^a*?b+?c??$", ["b", "aabbc"], ["a", "bcc"]),
    (r"^\x41\u0042\u{43}\cJ\0$", ["ABC\n\0"], ["ABC\n0", "ABC"]),
    (r"^\ud83d\ude00$", ["😀"], ["", "\ufffd"]),
    (r"^[\ud83d\ude00]$", ["😀"], [""]),
    (r"^\u{1F600}$", ["😀"], ["\uf600"]),
    (r"^[\ud800-\udfff]?$", [""], ["a", "\ue000"]),
    (r"^[^\ud800-\udfff]$", ["a", "😀"], [""]),
    (r"^\p{Lu}\P{Lu}$", ["Aa", "É0"], ["AA", "aA"]),
    (r"^[\p{L}\p{Nd}_-]+$", ["aé字3-", "٣"], ["", "a b", "²"]),
    (r"^\p{General_Category=Letter}\p{gc=Zs}$", ["a "], ["  ", "a\t"]),
    (r"^\p{ASCII}\p{Any}$", ["a😀"], ["éa"]),
    (r"^[\b\-\/\$]$", ["\b", "-", "/", "$"], ["b", "\\"]),
    (r"^[a\-c]$", ["a", "-", "c"], ["b"]),
    pytest.param(r"^(?i:straße)$", ["STRAẞE", "straße", "ſtraße"], ["strasse"], marks=modern_regress),
    pytest.param(r"^(?i:[^k])$", ["a"], ["k", "K", "\u212a"], marks=modern_regress),
    pytest.param(r"^(?i:\w)$", ["\u017f", "\u212a", "a"], ["é"], marks=modern_regress),
    pytest.param(r"^(?s:.)(?m:a$)", ["\na", "\na\nb"], ["\nab", "a"], marks=modern_regress),
    # legacy syntax
    (r"^\-\_\:\%$", ["-_:%"], ["\\-_:%"]),
    ("^{a}]$", ["{a}]"], ["a"]),
    ("^a{,3}$", ["a{,3}"], ["aaa", ""]),
    ("^x{a$", ["x{a"], ["xa"]),
    (r"^\101\8$", ["A8"], ["A"]),
    (r"^[\w-a]$", ["-", "b"], ["."]),
    ("^[a-\\d]$", ["a", "-", "3"], ["b"]),
    (r"\Aa", ["Aa", "xAa"], ["a"]),
    (r"a\Z", ["aZ"], ["a"]),
    (r"^\c$", ["\\c"], ["c"]),
    ("(?=a)*b", ["b", "ab"], ["a"]),
    (r"^\k$", ["k"], [""]),
    (r"^a\b+ ?\B?$", ["a", "a "], ["ab"]),
]


@every_builder
@pytest.mark.parametrize(("pattern", "flags", "accepted", "rejected"), PYTHON)
def test_python(
    make_builder: MakeBuilder, pattern: str, flags: int, accepted: list[str], rejected: list[str]
) -> None:
    builder = make_builder()
    regex = lower_python(pattern, builder, flags)
    assert [builder.re_matches(regex, text) for text in accepted] == [True] * len(accepted)
    assert [builder.re_matches(regex, text) for text in rejected] == [False] * len(rejected)
    oracle = re.compile(pattern, flags)
    assert all(oracle.fullmatch(text) for text in accepted)
    assert not any(oracle.fullmatch(text) for text in rejected)


@every_builder
@pytest.mark.parametrize(("pattern", "accepted", "rejected"), ECMA)
def test_ecma(make_builder: MakeBuilder, pattern: str, accepted: list[str], rejected: list[str]) -> None:
    builder = make_builder()
    regex = lower_ecma(pattern, builder)
    assert [builder.re_matches(regex, text) for text in accepted] == [True] * len(accepted)
    assert [builder.re_matches(regex, text) for text in rejected] == [False] * len(rejected)
    try:
        oracle = regress.Regex(pattern, "u")
    except regress.RegressError:
        oracle = regress.Regex(pattern)
    assert all(oracle.find(text) is not None for text in accepted)
    assert all(oracle.find(text) is None for text in rejected)


# flavour, pattern, position of the caret, part of the reason
REFUSED: list[Any] = [
    (lower_python, r"(a)\1", 3, "backreference"),
    (lower_python, r"[\1](?P<x>a)(?P=x)", 12, "backreference"),
    (lower_python, r"(?#\1)(a)\1", 9, "backreference"),
    (lower_python, r"(a)?(?(1)b|c)", 4, "conditional"),
    pytest.param(lower_python, "(?:a?){1,2}+b", 11, "possessive", marks=possessive),
    pytest.param(lower_python, "x(?>(?:a|ab)*b)", 1, "ambiguous", marks=possessive),
    (lower_python, r"a(?<=\bb\b.)", 1, "assertion inside a lookbehind"),
    (lower_python, r"(?=a)(?:(?=b\b)b)*", 8, "assertion inside a lookahead"),
    (lower_python, "a(?=b)(?<=a*)b", 6, "fixed-width"),
    (lower_python, "a{2,1}", 2, "min repeat"),
    (lower_python, "(", 0, "unterminated"),
    (lower_python, "*", 0, "nothing to repeat"),
    pytest.param(lower_python, "a(?i)", 1, "global flags", marks=flags_at_the_start),
    (lower_ecma, r"(a)\1", 3, "backreference"),
    (lower_ecma, r"(?<n>a)\k<n>", 7, "backreference"),
    (lower_ecma, r"\-(a)\1", 5, "backreference"),
    (lower_ecma, r"(?<n>a)\k<m>", 7, "no group named"),
    (lower_ecma, "(?i)a", 0, "inline flags"),
    (lower_ecma, "x(?P<n>a)", 1, "(?<name>...)"),
    (lower_ecma, "x(?#c)", 1, "comments"),
    (lower_ecma, "(?>a)", 0, "atomic"),
    (lower_ecma, "a++", 2, "possessive"),
    (lower_ecma, "a**", 2, "nothing to repeat"),
    (lower_ecma, "a|*", 2, "nothing to repeat"),
    (lower_ecma, "^*", 1, "nothing to repeat"),
    (lower_ecma, "{1}", 0, "nothing to repeat"),
    (lower_ecma, "a{2,1}", 1, "out of order"),
    (lower_ecma, "[b-a]", 1, "out of order"),
    (lower_ecma, "x[ab", 1, "never closed"),
    (lower_ecma, "x(a", 1, "never closed"),
    (lower_ecma, "a)", 1, "unmatched"),
    (lower_ecma, "a\\", 1, "backslash"),
    (lower_ecma, r"(?<1>a)", 0, "name"),
    (lower_ecma, r"(?<a>x)(?<a>y)", 7, "twice"),
    (lower_ecma, r"\p{Script=Klingon}", 0, "Script=Klingon"),
    (lower_ecma, r"a\p{Foo}", 1, "'Foo'"),
    (lower_ecma, r"a\-\p{L}", 3, "Unicode mode"),
    (lower_ecma, r"\u{110000}", 0, "U+10FFFF"),
    (lower_ecma, r"^(?:(?=a\b)a)*$", 4, "assertion inside a lookahead"),
    (lower_ecma, r"(?<=a\b)b", 0, "assertion inside a lookbehind"),
]


@pytest.mark.parametrize(("lower", "pattern", "position", "reason"), REFUSED)
@every_builder
def test_refusals_show_the_place(
    make_builder: MakeBuilder,
    lower: Lower,
    pattern: str,
    position: int,
    reason: str,
) -> None:
    with pytest.raises(RegexError) as caught:
        lower(pattern, make_builder())
    assert caught.value.position == position
    assert caught.value.pattern == pattern
    assert reason in caught.value.reason
    assert str(caught.value).splitlines()[-1] == "  " + " " * position + "^"
