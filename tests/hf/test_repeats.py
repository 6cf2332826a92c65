"""Repeats found symbol by symbol, against a search over all periods."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from structgen._core import Repeats


def reference(text: str, window: int) -> set[tuple[int, int]]:
    """Return the runs at the end of `text` by trying every period, from the definition."""
    found: dict[int, int] = {}
    for period in range(1, min(len(text), window) // 2 + 1):
        matched = 0
        while matched + period < len(text) and text[-1 - matched] == text[-1 - matched - period]:
            matched += 1
        if matched >= period and not any(period % p == 0 and n + p >= 2 * period for p, n in found.items()):
            found[period] = matched
    return set(found.items())


def build(text: str, window: int) -> Repeats:
    repeats = Repeats(window)
    for symbol in text:
        repeats = repeats.append(ord(symbol))
    return repeats


def test_a_repeat_behind_something_else_is_found() -> None:
    assert build("CABAB", 16).runs == [(2, 2)]
    assert build("CABABAB", 16).runs == [(2, 4)]
    assert build("CABABABA", 16).runs == [(2, 5)]
    assert build("CABABC", 16).runs == []
    assert build("CABA", 16).runs == []


# Copies of units with small changes: random texts have few long repeats.
units = st.text("abc", min_size=1, max_size=9)
texts = st.lists(st.tuples(units, st.integers(1, 4)), max_size=8).map(
    lambda parts: "".join(unit * times for unit, times in parts)
)


@given(st.one_of(texts, st.text("ab", max_size=60)), st.sampled_from([8, 13, 32, 200]))
@example("ab" * 30, 32)
@example("xaaaaaaaa" * 5, 64)
def test_runs_are_those_of_the_definition(text: str, window: int) -> None:
    repeats = Repeats(window)
    for length, symbol in enumerate(text, 1):
        near = {(p, n) for p, n in repeats.nearly() if chr(repeats.last(p)[0]) == symbol}
        repeats = repeats.append(ord(symbol))
        assert set(repeats.runs) == reference(text[:length], window), text[:length]
        # What is complete now was announced one symbol before.
        assert {(p, n - 1) for p, n in repeats.runs if n % p == 0} <= near
    assert repeats.length == len(text)
    assert bytes(repeats.last(window)) == text[-window:].encode()
    known = min(len(text), window)
    assert [repeats.ago(count) for count in range(known, 0, -1)] == repeats.last(window)
    for count in (0, window + 2):
        with pytest.raises(IndexError, match="count"):
            repeats.ago(count)
    assert told(Repeats(window).extend(text.encode())) == told(repeats)


def told(repeats: Repeats) -> tuple[object, ...]:
    return repeats.window, repeats.length, repeats.runs, repeats.nearly(), repeats.last(repeats.window)


@given(texts, texts)
def test_branches_do_not_meet(one: str, two: str) -> None:
    stem = build("abab", 32)
    first, second = stem, stem
    for symbol in one:
        first = first.append(ord(symbol))
    for symbol in two:
        second = second.append(ord(symbol))
    assert told(first) == told(build("abab" + one, 32))
    assert told(second) == told(build("abab" + two, 32))
