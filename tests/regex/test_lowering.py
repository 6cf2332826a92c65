"""Lowering is canonical where it matters for speed, and bounded everywhere."""

import itertools
import re
from collections.abc import Callable

import pytest

from structgen import DEAD, LimitError, Vocabulary, compile_regex
from structgen._frontends.regex import RegexBuilder, _limits, lower_ecma, lower_python
from tests.regex.builders import core_builder, every_builder

MakeBuilder = Callable[[], RegexBuilder]
Lower = Callable[[str, RegexBuilder], int]

both_flavours = pytest.mark.parametrize("lower", [lower_python, lower_ecma])


def _letters(builder: RegexBuilder) -> int:
    return builder.re_chars([(ord("a"), ord("z"))])


@every_builder
def test_anchored_pattern_is_the_bare_repetition(make_builder: MakeBuilder) -> None:
    builder = make_builder()
    expected = builder.re_repeat(_letters(builder), 1, -1)
    assert lower_ecma("^[a-z]+$", builder) == expected
    assert lower_ecma("[a-z]+", builder, search=False) == expected
    assert lower_ecma("^(?:[a-z]+?)$", builder) == expected
    assert lower_python("^[a-z]+$", builder) == expected
    assert lower_ecma("^[a-y]+$", builder) != expected


@every_builder
def test_unanchored_pattern_floats(make_builder: MakeBuilder) -> None:
    builder = make_builder()
    anything = builder.re_repeat(builder.re_any(), 0, -1)
    letters = builder.re_repeat(_letters(builder), 1, -1)
    assert lower_ecma("[a-z]+", builder) == builder.re_concat([anything, letters, anything])
    assert lower_ecma("^[a-z]+", builder) == builder.re_concat([letters, anything])
    assert lower_ecma("[a-z]+$", builder) == builder.re_concat([anything, letters])
    assert lower_ecma("", builder) == lower_ecma("^", builder) == lower_ecma("$", builder) == anything


@every_builder
def test_each_option_keeps_its_own_anchors(make_builder: MakeBuilder) -> None:
    builder = make_builder()
    anything = builder.re_repeat(builder.re_any(), 0, -1)
    first = builder.re_concat([builder.re_literal("a"), anything])
    last = builder.re_concat([anything, builder.re_literal("b")])
    assert lower_ecma("^a|b$", builder) == builder.re_union([first, last])
    assert lower_ecma("^a$|^b$", builder) == builder.re_union(
        [builder.re_literal("a"), builder.re_literal("b")]
    )


@every_builder
def test_impossible_patterns_are_nothing(make_builder: MakeBuilder) -> None:
    builder = make_builder()
    for pattern in ("[]", "a^", "$a", r"^\ud800$", "(?!)", "^(?:a[])+$"):
        assert lower_ecma(pattern, builder) == builder.re_none(), pattern
    assert lower_python("(?!)", builder) == builder.re_none()
    assert lower_ecma("[]?", builder) != builder.re_none()


@every_builder
@both_flavours
def test_counts_are_not_unrolled(make_builder: MakeBuilder, lower: Lower) -> None:
    builder = make_builder()
    regex = lower("^(?:[a-z]{1000,2000}-){3,100000}$", builder)
    assert not builder.re_is_nullable(regex)
    regex = lower("^[a-z]{2,300}$", builder)
    assert builder.re_matches(regex, "a" * 300)
    assert not builder.re_matches(regex, "a" * 301)


@both_flavours
@every_builder
def test_nesting_limit(make_builder: MakeBuilder, lower: Lower) -> None:
    # Groups alternate with something to match, so that neither parser can flatten them.
    def nested(depth: int) -> str:
        return "^" + "(?:a|b" * depth + ")*" * depth + "$"

    builder = make_builder()
    regex = lower(nested(_limits.MAX_NESTING // 2 - 1), builder)
    assert builder.re_matches(regex, "baa")
    assert not builder.re_matches(regex, "c")
    for depth in (_limits.MAX_NESTING + 1, 5_000):
        with pytest.raises(LimitError) as caught:
            lower(nested(depth), builder)
        assert caught.value.limit == "max_nesting"
        assert caught.value.value == _limits.MAX_NESTING


@both_flavours
@every_builder
@pytest.mark.parametrize(
    ("pattern", "limit"),
    [
        ("a" * (_limits.MAX_PATTERN_LENGTH + 1), "max_pattern_length"),
        (f"a{{{_limits.MAX_COUNT + 1}}}", "max_count"),
        ("a{0,99999999999999999999}", "max_count"),
        (r"(?:\b\w?\b.){100000}x", "max_expansion"),
        (r"(?:a(?=.{1,50}b)|c(?=.{1,60}d))*", "max_loop_states"),
        (r"(?:a|b)*(?<=a.............)c", "max_left_states"),
    ],
)
def test_limits(make_builder: MakeBuilder, lower: Lower, pattern: str, limit: str) -> None:
    with pytest.raises(LimitError, match=f"{getattr(_limits, limit.upper()):,}") as caught:
        lower(pattern, make_builder())
    assert caught.value.limit == limit


@both_flavours
@every_builder
def test_long_flat_patterns_stay_within_the_recursion_limit(make_builder: MakeBuilder, lower: Lower) -> None:
    builder = make_builder()
    words = [f"w{i}x" for i in range(5_000)]
    regex = lower(f"^(?:{'|'.join(words)})$", builder)
    assert builder.re_matches(regex, "w4999x")
    assert not builder.re_matches(regex, "w5000x")
    lower(r"\ba" * 1_000, builder)


@pytest.mark.parametrize(
    "pattern",
    [
        r"[ab]{0,3}(?<!ab)c{1,2}",
        r"(?:ab?|b){1,4}(?<!bab)c?",
        r"(?:[ab]{2}c?){2}(?<=ac)a*",
        r"(?:(?:a|bc){0,2}b){1,2}(?<!cb)",
        r"(?:a{2}|b){3}(?<=aab)",
        r"(?:a(?=b|$)|b(?!bb)){2,5}(?<!aba)",
        r"(?:(?:a(?!a)|b){0,2}c)*",
        r"(?:a?(?<!c)){2,3}(?:bc){0,2}(?<=[ac])",
    ],
)
def test_counted_repetitions_that_are_unrolled(pattern: str) -> None:
    builder = core_builder()
    regex = lower_python(pattern, builder)
    texts = ("".join(letters) for n in range(8) for letters in itertools.product("abc", repeat=n))
    for text in texts:
        assert builder.re_matches(regex, text) == (re.fullmatch(pattern, text) is not None), text


def test_derivatives_of_counted_repetitions_before_a_lookbehind_are_small() -> None:
    vocabulary = Vocabulary.of_bytes()
    automaton = compile_regex(r"\w{1,200}(?<!foo)", vocabulary)
    state = automaton.start
    for byte in b"_foo_foo":
        automaton.mask(state)
        state = automaton.step(state, byte)
    assert not automaton.accepts(state)
    assert automaton.accepts(automaton.step(state, ord("o")))
    assert automaton.accepts(automaton.advance_bytes(automaton.start, b"fo" * 100))
    assert automaton.advance_bytes(automaton.start, b"fo" * 100 + b"o") == DEAD
    # Derivatives that hold all the copies to come take ten times as much.
    assert vocabulary.native.stats()["table_bytes"] < 16 << 20


@both_flavours
@every_builder
def test_lookbehinds_with_an_empty_option(make_builder: MakeBuilder, lower: Lower) -> None:
    builder = make_builder()
    regex = lower("^(?<=(?:|))a$" if lower is lower_ecma else "(?<=(?:|))a", builder)
    assert builder.re_matches(regex, "a")
    assert not builder.re_matches(regex, "aa")
    assert lower("(?<!(?:|))a", builder) == builder.re_none()
