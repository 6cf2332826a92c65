"""The two public functions: what they return, and the errors of compile_regex."""

import pytest

import structgen
from structgen import LimitError, RegexError
from tests.json_schema.support import small_vocabulary


def _holds(automaton: structgen.TokenAutomaton, text: str) -> bool:
    state = automaton.advance_bytes(automaton.start, text.encode())
    return state != structgen.DEAD and automaton.accepts(state)


def test_automata_know_their_vocabulary() -> None:
    vocabulary = small_vocabulary()
    assert structgen.compile_json_schema({}, vocabulary).vocabulary is vocabulary
    assert structgen.compile_regex("a", vocabulary).vocabulary is vocabulary


def test_regex_has_to_match_the_whole_text() -> None:
    for flavor in ("python", "ecma"):
        automaton = structgen.compile_regex("a+b?", small_vocabulary(), flavor=flavor)
        assert [text for text in ("a", "aab", "", "b", "abb", "xa") if _holds(automaton, text)] == [
            "a",
            "aab",
        ]


def test_flavors_differ() -> None:
    python = structgen.compile_regex(r"\d", small_vocabulary())
    ecma = structgen.compile_regex(r"\d", small_vocabulary(), flavor="ecma")
    assert _holds(python, "٣")
    assert not _holds(ecma, "٣")
    assert _holds(python, "3")
    assert _holds(ecma, "3")


def test_flags() -> None:
    import re

    automaton = structgen.compile_regex("a", small_vocabulary(), flags=re.IGNORECASE)
    assert _holds(automaton, "A")
    assert not _holds(structgen.compile_regex("a", small_vocabulary()), "A")
    with pytest.raises(ValueError, match="flags"):
        structgen.compile_regex("a", small_vocabulary(), flavor="ecma", flags=re.IGNORECASE)


def test_regex_errors() -> None:
    with pytest.raises(RegexError, match="position"):
        structgen.compile_regex("(", small_vocabulary())
    with pytest.raises(RegexError, match="no text"):
        structgen.compile_regex("(?!)a", small_vocabulary())
    with pytest.raises(ValueError, match="flavor"):
        structgen.compile_regex("a", small_vocabulary(), flavor="perl")  # type: ignore[arg-type]


def test_limits_reach_the_core() -> None:
    with pytest.raises(LimitError):
        structgen.compile_regex(
            "".join(f"(a{i}|b)" for i in range(300)), small_vocabulary(), max_regex_nodes=50
        )
    assert _holds(structgen.compile_regex("(a|b)c", small_vocabulary(), max_regex_nodes=500), "ac")
