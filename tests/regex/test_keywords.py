"""A keyword with a lookahead behind it is parsed in two parts, and is what it would be in one."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from structgen import RegexError, StructgenError
from structgen._frontends.regex import python
from structgen._frontends.regex._ast import Node
from structgen._frontends.regex._python_tree import Converter
from structgen._frontends.regex._standard import EMPTY_LOOKAHEAD_FAILS, parser
from tests.regex.oracles import flags_at_the_start

SPLIT = [
    "auto(?!x)",
    "a(?![0-9A-Za-z_$])",
    "(?ai:abort)(?![a-z]|é)",
    "(?i:k)(?=s|t)",
    "x(?=(?=y)z)",
    "x(?!(?P<n>a)(?P=n)b)",
    r"12(?!\d)",
    "(?s:ab)(?!.)",
    "(?sia:Ks_1)(?!.)",
    "(?a:K)(?!.)",
    "a(?!)",
    r":ab\-c\\(?!x)",
    r"\(\((?!=)",
    "=(?!=)",
    "\\\n(?!x)",
    "\\é(?!x)",
]
WHOLE = [
    "if(?!a)|b",
    "if(?!a)(?!b)",
    "if(?:a)(?!b)",
    "ab(?!c)+",
    "ab(?!c){2}",
    r"a\b(?!c)",
    r"\d(?!c)",
    "a+(?!b)",
    "a(?=(?<!c)d)",
    "é(?!x)",
    "(?i:İ)(?!a)",
    "(?x:a b)(?!c)",
]


def in_one(pattern: str) -> Node:
    return Converter(pattern, parser.parse(pattern, 0)).convert()


@pytest.mark.parametrize("pattern", SPLIT + WHOLE)
def test_tree_and_width(pattern: str) -> None:
    assert (python._keyword(pattern) is not None) is (
        pattern in SPLIT and not (pattern == "a(?!)" and EMPTY_LOOKAHEAD_FAILS)
    )
    if "(?P=" not in pattern:
        assert python.parse(pattern, 0) == in_one(pattern)
    assert python.width(pattern) == tuple(map(int, parser.parse(pattern, 0).getwidth()))


def test_flags_are_for_all_of_a_pattern() -> None:
    assert python.parse("ab(?!c)", 2) == Converter("ab(?!c)", parser.parse("ab(?!c)", 2)).convert()
    assert python.parse("ab(?!c)", 2) != python.parse("ab(?!c)", 0)


@pytest.mark.parametrize(
    "pattern",
    [
        "a(?!b",
        pytest.param("a(?i)b", marks=flags_at_the_start),
        r"a(?!(x)\2)",
        r"a(?!(x)\1)",
        "a(?!b))",
        "a(?=*)",
    ],
)
def test_errors_are_about_the_whole(pattern: str) -> None:
    with pytest.raises(RegexError) as caught:
        python.parse(pattern, 0)
    assert caught.value.pattern == pattern


@pytest.mark.filterwarnings("ignore:Flags not at the start:DeprecationWarning")
@pytest.mark.parametrize("pattern", ["ab(?!(?i)b)", "a(?=(?s).)", r"é(?!(?a)\w)", "a(?!(?:(?x) b))"])
def test_flags_in_the_lookahead(pattern: str) -> None:
    """Python refuses them, or before 3.11 takes them as those of the whole pattern."""
    try:
        expected = in_one(pattern)
    except re.error:
        with pytest.raises(RegexError) as caught:
            python.parse(pattern, 0)
        assert caught.value.pattern == pattern
    else:
        assert python.parse(pattern, 0) == expected


@pytest.mark.filterwarnings("ignore:Possible (nested set|set difference):FutureWarning")
@given(
    st.text(st.sampled_from("ab1_:\\-+*?|(){}.=!$ i"), max_size=5),
    st.text(st.sampled_from("ab|()[]^?:=!<\\d+"), max_size=6),
)
def test_any(head: str, body: str) -> None:
    for pattern in (f"{head}(?!{body})", f"(?i:{head})(?={body})"):
        try:
            expected = in_one(pattern)
        except Exception:
            with pytest.raises(StructgenError):
                python.parse(pattern, 0)
            continue
        assert python.parse(pattern, 0) == expected
        assert python.width(pattern) == tuple(map(int, parser.parse(pattern, 0).getwidth()))


@given(
    st.text(st.sampled_from("ab|()[]^-?*+:=!\\d."), max_size=8),
    st.sampled_from("abA^-1 "),
    st.sampled_from([0, 2]),
)
def test_beginnings(pattern: str, character: str, flags: int) -> None:
    """What cannot begin with a character does not match any text that does."""

    try:
        compiled = re.compile(pattern, flags)
    except (re.error, FutureWarning):
        return
    for text in (character, character + "a", character + "b-"):
        found = compiled.match(text)
        if found is not None and found[0]:
            assert python.may_begin(pattern, flags, text)
