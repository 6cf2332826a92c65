"""The exception tree: where the culprit is shown, and that errors survive pickling."""

import pickle

import pytest

from structgen import (
    LimitError,
    RegexError,
    SchemaError,
    StructgenError,
    UnsatisfiableSchemaError,
    VocabularyError,
)

ERRORS = [
    StructgenError("plain"),
    SchemaError("unknown keyword", pointer="/properties/a~1b", keyword="frobnicate", hint="remove it"),
    UnsatisfiableSchemaError("no integer is both", keyword="minimum"),
    RegexError("backreferences are not regular", pattern=r"(a)\1", position=3),
    LimitError("too many states", limit="max_states", value=1000),
    VocabularyError("must be bytes", token_id=3),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_pickles_whole(error: StructgenError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


def test_tree() -> None:
    assert issubclass(UnsatisfiableSchemaError, SchemaError)
    for kind in (SchemaError, RegexError, LimitError, VocabularyError):
        assert kind.__base__ is StructgenError
    assert not issubclass(StructgenError, ValueError)


def test_schema_error_says_where_and_what() -> None:
    assert str(ERRORS[1]) == (
        "at '/properties/a~1b', keyword 'frobnicate': unknown keyword (hint: remove it)"
    )
    assert str(ERRORS[2]) == "at the root, keyword 'minimum': no integer is both"
    assert str(SchemaError("is no schema", pointer="/items")) == "at '/items': is no schema"


def test_limit_error_from_a_message_alone() -> None:
    error = LimitError("max_states reached")
    assert (str(error), error.limit, error.value) == ("max_states reached", None, None)


@pytest.mark.parametrize(
    ("pattern", "position"),
    [
        (r"(a)\1", 3),
        ("a" * 500 + "(" + "b" * 500, 500),
        ("line\nbreak\t(", 11),
        ("(", 0),
        ("abc", 3),
        ("\ud800(", 1),
        ("", 0),
    ],
)
def test_caret_stands_under_the_culprit(pattern: str, position: int) -> None:
    text = str(RegexError("wrong", pattern=pattern, position=position))
    first, shown, caret = text.split("\n")
    assert first == f"wrong at position {position}"
    assert len(shown) < 200
    assert caret.strip() == "^"
    assert shown[caret.index("^") :][:1] == pattern[position : position + 1]
    text.encode()  # printable everywhere, lone surrogates too


def test_regex_error_without_a_position() -> None:
    assert str(RegexError("too long", pattern="ab")) == "too long\n  ab"
