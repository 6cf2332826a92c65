"""Patterns of schemas: next to regress, and within bounds."""

import random
import re

import pytest
import regress

from structgen.cli import _patterns
from structgen.cli._patterns import PatternError, compile_pattern, has_format, is_pattern, search

PATTERNS = r"""
a ^a$ ^a|b$ \d+ ^[^\s]$ ^\w+$ \bx\b (?=ab)a (?!ab)a (?<=a)b (?<!a)b ^.$ [\u0041-\u005a] \p{Lu} ^(?:ab?){2,3}$
^\S*$ \u{1f600}
""".split()
TEXTS = [
    "",
    "a",
    "b",
    "ab",
    "aab",
    "ba",
    "x",
    "x y",
    "A",
    "É",
    "٣",
    "7",
    "a\n",
    "\n",
    "\u2028",
    "😀",
    "ababa",
    "_",
    "\xa0",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_match_as_in_ecmascript(pattern: str) -> None:
    other = regress.Regex(pattern, flags="u")
    verdicts = {text: other.find(text) is not None for text in TEXTS}
    assert len(set(verdicts.values())) == 2
    assert {text: search(pattern, text) for text in TEXTS} == verdicts
    assert compile_pattern(pattern).exact


@pytest.mark.parametrize("pattern", ["^PUBMED:\\{d}", "^[[a-z]*[-]?[a-z]*]*$", "\\-", "a{", "]", "\\8"])
def test_patterns_in_legacy_syntax_are_patterns(pattern: str) -> None:
    assert regress.Regex(pattern) is not None
    assert is_pattern(pattern)


@pytest.mark.parametrize("pattern", ["(", "[b-a]", "a{2,1}", "*", "(?<n>a)(?<n>b)", "\\"])
def test_what_is_no_pattern(pattern: str) -> None:
    with pytest.raises(regress.RegressError):
        regress.Regex(pattern)
    assert not is_pattern(pattern)
    with pytest.raises(PatternError, match="is not valid"):
        compile_pattern(pattern)


def test_lone_surrogates_stand_for_the_replacement_character() -> None:
    assert search("^.$", "\ud800")
    assert not search("^a*$", "a\ud800")
    assert has_format("json-pointer", "/\ud800")
    assert not has_format("date", "\ud800")


def test_tables_that_are_full_are_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_patterns, "_MAX_NODES", 1000)
    regexes = _patterns._Regexes()
    monkeypatch.setattr(_patterns, "_regexes", lambda: regexes)
    renewals = []
    renew = regexes._renew
    monkeypatch.setattr(regexes, "_renew", lambda: (renewals.append(1), renew()))
    rng = random.Random(0)
    pattern = _patterns._Pattern("(?:a|b)*a(?:a|b){6}$")
    for _ in range(300):
        text = "".join(rng.choices("ab", k=12))
        assert pattern.search(text) == (re.search("a[ab]{6}$", text) is not None)
        assert search(f"^{text}$", text)
        assert not search(f"^{text}$", text + "a")
    assert renewals
    assert pattern.exact


def test_what_is_too_large_is_left_to_the_other_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_patterns, "_MAX_NODES", 2000)
    regexes = _patterns._Regexes()
    monkeypatch.setattr(_patterns, "_regexes", lambda: regexes)
    large = _patterns._Pattern("^" + "|".join(f"k{n}x{n * n}" for n in range(3000)) + "$")
    assert not large.exact
    assert large.search("k5x25")
    exploding = _patterns._Pattern("(?:a|b)*a(?:a|b){18}$")
    assert exploding.exact
    rng = random.Random(0)
    text = "".join(rng.choices("ab", k=4000))
    assert exploding.search(text + "a" + "b" * 18)
    assert not exploding.exact
    assert not exploding.search("b" * 40)
    with pytest.raises(PatternError, match="cannot be matched"):
        # Neither regular here nor of Python's syntax.
        compile_pattern("(?<n>\\p{L})\\k<n>")
