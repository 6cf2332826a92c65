"""The core's parser of Python's patterns makes what Python's own and our lowering make, or nothing."""

import re
import warnings
from pathlib import Path
from typing import Any

import lark
import pytest
from hypothesis import HealthCheck, assume, event, example, given, settings
from hypothesis import strategies as st
from lark.load_grammar import load_grammar

from structgen import StructgenError, Vocabulary
from structgen._core import Builder
from structgen._core._native import pattern_matches, pattern_width
from structgen._frontends.regex import Prioritised, _charset
from structgen._frontends.regex.python import NATIVE, members, width
from tests.regex import strategies
from tests.regex.test_patterns_in_the_wild import patterns_of_real_schemas

pytestmark = pytest.mark.skipif(not NATIVE, reason="before 3.11.7, Python tells widths in another way")

_SETTINGS = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
_VOCABULARY = Vocabulary([b"a", b""], eos_token_ids=1)
_HALF = 1 << 32


class _Builder:
    """A builder that keeps the left context that it is told."""

    def __init__(self) -> None:
        self.real = Builder(_VOCABULARY.native)
        self.context: Any = ((_charset.ALL,), [[0]])

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def left_context(self, *context: Any) -> None:
        self.context = context


def _agree(*patterns: str) -> bool:
    """Hold what the core makes of patterns against what Python makes of them; return whether it made them.

    Equal patterns have equal handles in one builder.
    """
    builder = _Builder()
    with warnings.catch_warnings():
        # Errors and warnings are Python's: whatever leads to one, the core must not have read.
        warnings.simplefilter("error")
        found = builder.real.python_patterns(patterns, members)
        if found is None:
            return False
        handles, (cells, following) = found
        assert Prioritised([(pattern, 0) for pattern in patterns]).lower(builder) == handles  # type: ignore[arg-type]
    context = (tuple(map(tuple, cells)), following)
    assert context == builder.context
    for pattern in patterns:
        ours = pattern_width(pattern)
        assert ours is not None
        assert tuple(high * _HALF + low for high, low in ours) == width(pattern)
    return True


def _check_matches(pattern: str, text: str) -> None:
    found = pattern_matches(pattern, text, members)
    if found is not None:
        match = re.match(pattern, text)
        assert found == (match is not None and match[0] == text), (pattern, text)
        event(f"matches: {found}")


_TEXTS = st.lists(st.text(strategies.ALPHABET, max_size=7), min_size=2, max_size=5)


@given(patterns=st.lists(strategies.python_patterns, min_size=1, max_size=3), texts=_TEXTS)
@_SETTINGS
def test_random_patterns(patterns: list[str], texts: list[str]) -> None:
    try:
        event(f"read: {_agree(*patterns)}")
    except StructgenError:
        assume(False)
    for pattern in patterns:
        for text in texts:
            _check_matches(pattern, text)


@given(
    patterns=st.lists(strategies.narrow_patterns, min_size=1, max_size=2),
    texts=st.lists(st.text("ab"), max_size=5),
)
@example(patterns=["(?:|aaa|a){0,2}b"], texts=["aaaaab", "aaab"])
@example(patterns=["(?:a(?=b)|b|ab)*?(?:ab|$)"], texts=["abab", "aab"])
@_SETTINGS
def test_order_of_matches(patterns: list[str], texts: list[str]) -> None:
    event(f"read: {_agree(*patterns)}")
    for pattern in patterns:
        for text in texts:
            _check_matches(pattern, text)


# Pieces that mean something to a parser of patterns, where they are and a character further.
_PIECES = st.sampled_from(
    [
        " ",
        "\n",
        *r"a b i k 1 - 0 9 , : = ! < > # & ~ | [ ] ( ) ^ $ \ ? * + { } . é (? [^ (?i: (?x: (?- (?a".split(),
        *r"(?s-i: (?u: {1,2} {,2} {2,} {,} \d \x41 \u00e9 \U0001f600 \07 \b \8 \N{DIGIT (?P<n> (?#".split(),
        *r"(?<! (?<= (?! (?= a-z \] \w- || -- [[ (?> \Z \A \B \ud800".split(),
    ]
)


@given(pieces=st.lists(_PIECES, max_size=12))
@example(pieces=["(?x:", "a", "#", "\\", "\n", "b", "\n", "c", ")"])
@example(pieces=["[", "a", "-", "]", "{", "}"])
@example(pieces=["a", "{", "1", ",", "}", "?"])
@example(pieces=["(?i:", "[^", "k", "a-z", "]", ")"])
@settings(_SETTINGS, max_examples=2000)
def test_whatever_is_read_is_right(pieces: list[str]) -> None:
    event(f"read: {_agree(''.join(pieces))}")


@pytest.mark.parametrize("flags", ["i", "ai", "ui", "a", "s", "m", "x", "is", "ai-s"])
def test_every_character_of_ascii_under_flags(flags: str) -> None:
    for code in range(128):
        for pattern in (
            f"\\x{code:02x}",
            f"[^\\x{code:02x}]",
            f"[\\x{code:02x}-\\x7f]",
            f"[^\\x00-\\x{code:02x}é]",
        ):
            assert _agree(f"(?{flags}:{pattern})")


@pytest.mark.parametrize("flags", ["", "i", "a", "ai"])
@pytest.mark.parametrize(
    "item", r"\d \D \w \W \s \S [\w-] [^\W\d_] [\s\S] [\x00-\U0010ffff] [^ß-ÿ] [K-Ω]".split()
)
def test_classes(item: str, flags: str) -> None:
    assert _agree(f"(?{flags}:{item}+)" if flags else f"{item}+")


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "a|b|[cd]|e",
        "ab|ac|ad",
        "abc|abd|abc",
        "(?:auto|break|case)(?![a-z])[a-z]+",
        r'"(?:[^"\\]|\\.)*?(?<!\\)(\\\\)*?"',
        r"(?!(?:if|else|for)(?!\w)|[xX]')\w+",
        r"(?<=[,^])a",
        r"(?<![^a])(?<!b)c$",
        r"\bword\b",
        r"(?m:^#.*$)",
        r"a{3}b{2,}?c{,4}d{0}e{1}",
        r"(?:a{2,3}){4,}(b*)*",
        "(?x: a b \\  [ ] # comment (\n c )",
        "(?=a)(?=)(?!)",
        r"(?=a(?=b))(?=a(?!b)c)(?=a|(?=b|$))",
        r"(?s:.)(?-s:.).",
        r"(?i:a(?-i:b)c)",
        "a" * 40,
        "(?:" * 25 + "a" + ")" * 25,
    ],
)
def test_what_is_read(pattern: str) -> None:
    assert _agree(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        # wrong
        *r"( ) a) [ [] a** * ^* \ [b-a] a{2,1} (?<=a+) (?<=a|bc) \q \8 [\8] (? (?z:a) (?i-i:a)".split(),
        *r"(?au:a) (?-a:a) (?i-:a) [\777] \xg1 a{99999999999} (?L:a) [\d-a]".split(),
        # with warnings
        *"[[a] [a--b] [a&&b] [a~~b] [a||b]".split(),
        # Python's alone
        *r"(?P<n>a) (?i)a (a)\1 (?>a) a*+ a?+ (?(1)a) (?#a) \N{DIGIT\040ONE} \B \ud800 (?<=ab)c".split(),
        "(?!(?:a(?!b))*c)d",
        "\ud800",
        "(?:" * 200 + ")" * 200,
        "a" * 70_000,
    ],
)
def test_what_is_left_to_python(pattern: str) -> None:
    assert not _agree(pattern)


def test_widths_at_their_limit() -> None:
    """Widths saturate where Python's do, however loops are nested."""
    for pattern in (
        "(?:a+)+b",
        "(?:a{1000}){1000}",
        "((a{1000000}){1000000}){1000000}",
        "(a*){7}",
        "()*",
        "(?:a|b*)c",
    ):
        assert _agree(pattern)
    nested = "a"
    for _ in range(6):
        nested = f"(?:{nested}b){{99999}}"
        ours = pattern_width(nested)
        assert ours is not None
        assert tuple(high * _HALF + low for high, low in ours) == width(nested)


def test_matches_of_words() -> None:
    for pattern, text, expected in [
        ("[a-z]+", "if", True),
        ("[a-z]+?", "if", False),
        ("i|if", "if", False),
        ("if|i", "if", True),
        ("(?!if)[a-z]+", "if", False),
        ("(?:a|ab)(?:c|bcd)?", "abcd", True),
        (r"\w{2}$", "if", True),
        ("(?i:if)", "IF", True),
        ("a*?b*?$", "aabb", True),
    ]:
        match = re.match(pattern, text)
        assert pattern_matches(pattern, text, members) is expected is (match is not None and match[0] == text)
    # Where a loop goes on from where it was is Python's to say.
    assert pattern_matches("(?:|a)+", "a", members) is None
    assert pattern_matches("(?:a|b|ab)*c", "ab" * 3000, members) is None


def test_terminals_of_lark() -> None:
    """Most terminals of Lark's own grammars are read."""
    found = set()
    for path in (Path(lark.__file__).parent / "grammars").glob("*.lark"):
        if path.name != "unicode.lark":  # which is for the third-party module regex
            grammar, _ = load_grammar(path.read_text(), str(path), [], False)  # type: ignore[no-untyped-call]
            found |= {terminal.pattern.to_regexp() for terminal in grammar.compile([], "*")[0]}
    unread = [pattern for pattern in sorted(found) if not _agree(pattern)]
    assert len(found) > 100
    assert len(unread) <= 2, unread


def test_patterns_of_real_schemas() -> None:
    """They are another dialect, and as good as any where both can read them."""
    patterns = patterns_of_real_schemas()
    if not patterns:
        pytest.skip("no schemas; set STRUCTGEN_DATA to a folder of them")
    read = 0
    for pattern in patterns[:: max(1, len(patterns) // 400)]:
        try:
            read += _agree(pattern)
        except StructgenError:
            # A limit of Python's lowering, which is the same language's.
            continue
    assert read > 200
