"""Random patterns mean what ``re`` and ``regress`` say they mean."""

import re
from collections.abc import Callable

import pytest
import regress
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from structgen import LimitError, RegexError
from structgen._frontends.regex import RegexBuilder, lower_ecma, lower_python
from structgen._frontends.regex._ast import Alternation, Concat, Look, Node, Repeat, nullable
from structgen._frontends.regex.ecma import parse
from tests.regex import strategies
from tests.regex.builders import every_builder
from tests.regex.oracles import OLD_REGRESS, has_flags_of_groups, possessive

MakeBuilder = Callable[[], RegexBuilder]

_SETTINGS = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


_UNSUPPORTED = ("an assertion inside", "this atomic group", "a possessive quantifier")


def _lower_or_reject(lower: Callable[[], int]) -> int:
    """Lower, or drop the example where the refusal is a documented one (shown by Hypothesis' statistics)."""
    try:
        return lower()
    except LimitError as error:
        event(f"limit: {error.limit}")
    except RegexError as error:
        event(f"refused: {error.reason}")
        if not error.reason.startswith(_UNSUPPORTED):
            raise
    assume(False)
    raise AssertionError


def _check_python(make_builder: MakeBuilder, pattern: str, flags: int, seed: int) -> None:
    try:
        oracle = re.compile(pattern, flags)
    except re.error:
        assume(False)
    builder = make_builder()
    regex = _lower_or_reject(lambda: lower_python(pattern, builder, flags))
    for text in strategies.strings_near(builder, regex, seed):
        expected = oracle.fullmatch(text) is not None
        assert builder.re_matches(regex, text) == expected, text


@every_builder
@given(
    pattern=strategies.python_patterns,
    flags=st.sampled_from([0, re.I, re.M, re.S, re.A, re.I | re.M, re.I | re.A]),
    seed=st.integers(0, 2**32),
)
@_SETTINGS
def test_python_patterns(make_builder: MakeBuilder, pattern: str, flags: int, seed: int) -> None:
    _check_python(make_builder, pattern, flags, seed)


@possessive
@every_builder
@given(pattern=strategies.atomic_patterns, seed=st.integers(0, 2**32))
@_SETTINGS
def test_python_atomic_groups(make_builder: MakeBuilder, pattern: str, seed: int) -> None:
    _check_python(make_builder, pattern, 0, seed)


@every_builder
@pytest.mark.parametrize("search", [True, False])
@given(pattern=strategies.ecma_patterns, seed=st.integers(0, 2**32))
@_SETTINGS
def test_ecma_patterns(make_builder: MakeBuilder, search: bool, pattern: str, seed: int) -> None:
    assume(not (OLD_REGRESS and has_flags_of_groups(pattern)))
    assume(not _has_nullable_loop(parse(pattern)))
    whole = pattern if search else f"^(?:{pattern})$"
    oracle = _regress(whole)
    builder = make_builder()
    regex = _lower_or_reject(lambda: lower_ecma(pattern, builder, search=search))
    for text in strategies.strings_near(builder, regex, seed):
        assert builder.re_matches(regex, text) == (oracle.find(text) is not None), text


def _has_nullable_loop(node: Node) -> bool:
    """Whether a loop of the pattern may do nothing in a round: some of those make regress run out of memory.

    The Python flavour, whose oracle copes, covers them.
    """
    match node:
        case Repeat(body=body, high=high):
            return (high < 0 and nullable(body)) or _has_nullable_loop(body)
        case Concat(parts=nodes) | Alternation(options=nodes):
            return any(map(_has_nullable_loop, nodes))
        case Look(body=body):
            return _has_nullable_loop(body)
    return False


def _regress(pattern: str) -> regress.Regex:
    try:
        return regress.Regex(pattern, "u")
    except regress.RegressError:
        return regress.Regex(pattern)


@every_builder
@given(pattern=strategies.plain_patterns, seed=st.integers(0, 2**32))
@_SETTINGS
def test_flavours_agree_on_plain_ascii_patterns(make_builder: MakeBuilder, pattern: str, seed: int) -> None:
    # What the flavours define differently is left out: other line terminators, Unicode classes.
    builder = make_builder()
    ecma = lower_ecma(pattern, builder, search=False)
    python = lower_python(pattern, builder, re.ASCII)
    for text in strategies.strings_near(builder, python, seed):
        if text.isascii() and "\r" not in text and not set(text) & set("\x1c\x1d\x1e\x1f"):
            assert builder.re_matches(ecma, text) == builder.re_matches(python, text), text


@pytest.mark.filterwarnings(
    "ignore:Possible (nested set|set difference|set inter|set symm|set union):FutureWarning"
)
@every_builder
@given(text=st.text(alphabet=r"ab01\[](){}*+?|^$.-,:=!<>PkupUdwsbBnx", max_size=14))
@settings(max_examples=400, deadline=None)
def test_arbitrary_text_is_lowered_or_refused_as_the_oracle_does(
    make_builder: MakeBuilder, text: str
) -> None:
    builder = make_builder()
    for lower, valid in ((lower_python, _valid_python(text)), (lower_ecma, _valid_ecma(text))):
        outcome = _outcome(lower, text, builder)
        event(outcome)
        assert valid or outcome != "lowered"
        assert not valid or outcome != "invalid"


def _outcome(lower: Callable[[str, RegexBuilder], int], text: str, builder: RegexBuilder) -> str:
    try:
        lower(text, builder)
    except LimitError:
        return "beyond a limit"
    except RegexError as error:
        documented = ("not regular", "not supported", "Unicode mode", "ambiguous")
        return "not representable" if any(words in error.reason for words in documented) else "invalid"
    return "lowered"


def _valid_python(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError):
        return False
    return True


def _valid_ecma(pattern: str) -> bool:
    try:
        _regress(pattern)
    except regress.RegressError:
        return False
    return True
