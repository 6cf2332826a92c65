"""Patterns prefer the match that :func:`re.match` prefers."""

import random
import re
from pathlib import Path

import lark
import pytest
from hypothesis import HealthCheck, assume, event, example, given, settings
from hypothesis import strategies as st
from lark.load_grammar import load_grammar

from structgen import LimitError, RegexError
from structgen._frontends.regex import Prioritised
from tests.regex import strategies
from tests.regex.oracles import possessive
from tests.regex.patterns import PatternRecorder

_SETTINGS = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
_UNSUPPORTED = ("an assertion inside", "this atomic group", "a possessive quantifier")


def _check(patterns: list[tuple[str, int]], texts: list[str]) -> None:
    recorder = PatternRecorder()
    handles = Prioritised(patterns).lower(recorder)
    for (pattern, flags), handle in zip(patterns, handles, strict=True):
        oracle = re.compile(pattern, flags)
        for text in texts:
            for start in range(len(text) + 1):
                expected = oracle.match(text, start)
                found = recorder.match(handle, text, start)
                assert found == (expected and expected.end()), (pattern, flags, text, start)


def _check_or_reject(patterns: list[tuple[str, int]], texts: list[str]) -> None:
    for pattern, flags in patterns:
        try:
            re.compile(pattern, flags)
        except re.error:
            assume(False)
    try:
        _check(patterns, texts)
    except LimitError as error:
        event(f"limit: {error.limit}")
        assume(False)
    except RegexError as error:
        event(f"refused: {error.reason}")
        if not error.reason.startswith(_UNSUPPORTED):
            raise
        assume(False)
    except TimeoutError:
        event("too many ways to backtrack")
        assume(False)


_TEXTS = st.lists(st.text(strategies.ALPHABET, max_size=7), min_size=2, max_size=5)
_NARROW_TEXTS = st.lists(st.text("ab", max_size=7), min_size=3, max_size=5)
_FLAGS = st.sampled_from([0, re.I, re.M, re.S, re.A, re.M | re.S])


@given(patterns=st.lists(st.tuples(strategies.python_patterns, _FLAGS), min_size=1, max_size=2), texts=_TEXTS)
@_SETTINGS
def test_random_patterns(patterns: list[tuple[str, int]], texts: list[str]) -> None:
    _check_or_reject(patterns, texts)


@given(pattern=strategies.narrow_patterns, texts=_NARROW_TEXTS)
@example(pattern="(?:|aaa|a){0,2}b", texts=["aaaaab", "aaab"])
@example(pattern="(?:|a)*", texts=["aab"])
@example(pattern="(?:a(?=b)|b|ab)*?(?:ab|$)", texts=["abab", "aab"])
@_SETTINGS
def test_order_of_matches(pattern: str, texts: list[str]) -> None:
    _check_or_reject([(pattern, 0)], texts)


@possessive
@given(pattern=strategies.atomic_patterns, texts=_TEXTS)
@_SETTINGS
def test_atomic_groups(pattern: str, texts: list[str]) -> None:
    _check_or_reject([(pattern, 0)], texts)


_HANDMADE = [
    (r"a|ab", 0),
    (r"ab?", 0),
    (r"ab??", 0),
    (r'"(?:[^"\\]|\\.)*?"', re.S),
    (r'".*?(?<!\\)(\\\\)*?"', re.S),
    (r"/\*(?:(?!\*/).)*\*/", re.S),
    (r"(?m:^#.*$)", 0),
    (r"\b\w+?\b", 0),
    (r"(?:a(?!b)|ab(?=a|$))+", 0),
    (r"(?:(?:a\b|b)*-)*?a", 0),
    (r"(?:a(?=.*b)|b){1,3}?-", 0),
    (r"(?:(?:a(?!#))*b){0,3}-", 0),
    (r"(?:(?:a(?!#))*?b){1,3}?-", 0),
    (r"(?:(?:a(?!#))*b){2}-", 0),
    (r"b(?:(?:a(?!#))+-)??a", 0),
    (r"(?<!a)(?:ab|a)+(?<=b)", 0),
    (r"a(?:b$)?", 0),
    (r"\Aa|b\Z", 0),
]


def test_handmade_patterns() -> None:
    rng = random.Random(0)
    texts = ["", "a", "ab\n", "a\n", '"\\""', '"a\\\\" "', "/*a*/*/", "#a\n#b", "a-b"]
    texts += ["abaab-a", "abab-", "bbb-", "baa-a"]
    texts += ["".join(rng.choices('ab-"\\/*#\n ', k=8)) for _ in range(60)]
    _check(_HANDMADE, texts)


@pytest.fixture(scope="module")
def terminals() -> list[tuple[str, int]]:
    found = set()
    for path in (Path(lark.__file__).parent / "grammars").glob("*.lark"):
        if path.name != "unicode.lark":  # which is for the third-party module regex
            grammar, _ = load_grammar(path.read_text(), str(path), [], False)  # type: ignore[no-untyped-call]
            found |= {terminal.pattern.to_regexp() for terminal in grammar.compile([], "*")[0]}
    assert len(found) > 100
    return [(pattern, 0) for pattern in sorted(found)]


_LARK_TEXTS = [
    '"a\\"b" rb"\\x" ""',
    "'''a''b''' '' '''\\''''",
    '"""a"b\\""""+"""',
    'f"a\nb" "',
    "0x1F 0b12 0o78 00 01 1_000 1__0",
    "1.5e10 1.e-5 .5j 1e+ 1j 12.x 1..2",
    "name é9 _a A1b",
    "\n   \t# comment\n  # x\n\tif",
    "\\\n \\ \n /* a */ // b\r\n",
    "not  in is \n not",
    "/a\\/b[/]/imx // /",
    "%import -> ~ 1..3 -> RULE_A _x !y ?z",
    "-12 +3.5E-3 'it''s'",
    "<<= >>= ** //= != == -> @= ... := +",
]


def test_terminals_of_lark(terminals: list[tuple[str, int]]) -> None:
    rng = random.Random(1)
    texts = list(_LARK_TEXTS)
    for text in _LARK_TEXTS:
        for _ in range(2):
            place = rng.randrange(len(text))
            texts.append(text[:place] + rng.choice(_LARK_TEXTS)[:6] + text[place + 1 :])
    _check(terminals, texts)


def test_one_left_context_for_all_patterns() -> None:
    recorder = PatternRecorder()
    behind, word, plain = Prioritised([("(?<=ab)c", 0), (r"c\b", 0), ("c", 0)]).lower(recorder)
    assert [recorder.match(handle, "abc-c", 2) for handle in (behind, word, plain)] == [3, 3, 3]
    assert [recorder.match(handle, "abc-c", 4) for handle in (behind, word, plain)] == [None, 5, 5]
    assert [recorder.match(handle, "abcc", 2) for handle in (behind, word, plain)] == [3, None, 3]


@pytest.mark.parametrize(
    ("pattern", "position", "reason"),
    [
        (r"(a)b\1", 4, "a backreference is not regular"),
        (r"a(b", 1, "missing ), unterminated subpattern"),
        (r"a(?<=b+)", 1, "look-behind requires fixed-width pattern"),
        (r"a(?<=\bb)", 1, "an assertion inside a lookbehind is not supported"),
    ],
)
def test_refusals(pattern: str, position: int | None, reason: str) -> None:
    with pytest.raises(RegexError) as caught:
        Prioritised([("a", 0), (pattern, 0)]).lower(PatternRecorder())
    assert caught.value.pattern == pattern
    assert caught.value.position == position
    assert caught.value.reason.startswith(reason)
