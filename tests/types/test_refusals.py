"""Types without a schema are refused with their place in the type."""

import collections.abc as abc
import enum
import fractions
import re
import typing
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypedDict

import annotated_types as at
import pytest
import typing_extensions

import structgen
from tests.types.examples import Item, Point, Tree, starred


class Opaque:
    pass


class Odd(enum.Enum):
    PAIR = (1, 2)


class NoMembers(enum.Enum):
    pass


@dataclass
class Line:
    price: complex


@dataclass
class Basket:
    items: list[Line]


class Holder(TypedDict):
    tags: dict[str, tuple[int, Opaque]]


@dataclass
class Lost:
    where: "Nowhere"  # type: ignore[name-defined]  # noqa: F821


REFUSED: list[tuple[Any, str]] = [
    (complex, r"complex: complex has no JSON Schema; use a dataclass"),
    (Opaque, r"Opaque: Opaque has no"),
    (fractions.Fraction, r"Fraction has no"),
    (Basket, r"Basket\.items\[\]\.price: complex has no"),
    (Holder, r"Holder\.tags\{\}\[1\]: Opaque has no"),
    (list[Basket | None], r"list\[.*\]\[\]\.items\[\]\.price: complex"),
    (abc.Callable[[int], int], r"Callable\[.* has no"),
    (Odd, r"the value \(1, 2\) of Odd.PAIR is no JSON value"),
    (NoMembers, r"has no members"),
    (Literal[b"x"], r"the literal b'x' is no JSON value"),
    (Lost, r"Lost: name 'Nowhere' is not defined"),
    (list["Later"], r"list\[.*\]\[\]: the name 'Later' is not resolved"),  # type: ignore[name-defined]  # noqa: F821
    (set[list[int]], r"set\[.*\]\[\]: a set's elements need a hash"),
    (set[Any], r"need a hash"),
    (set[Item], r"need a hash"),
    (frozenset[tuple[Tree, ...]], r"need a hash"),
    (dict[float, int], r"\{key\}: the keys of a JSON object are strings, not float"),
    (dict[int | None, int], r"the keys of a JSON object are strings"),
    (dict[Literal[1], int], r"the keys of a JSON object are strings"),
    (tuple[starred(tuple[int, ...]), str], r"\[0\]: only the last item may be"),
    (Annotated[str, at.Gt(1)], r"Gt\(gt=1\) cannot be enforced here"),
    (Annotated[int, at.MinLen(1)], r"MinLen.* cannot be enforced"),
    (Annotated[int, at.Predicate(bool)], r"Predicate.* cannot be enforced"),
    (Annotated[float, at.Gt(float("inf"))], r"not finite"),
    (Annotated[int, at.Gt("a")], r"the bound 'a' is not a number"),  # type: ignore[arg-type]
    (Annotated[int, at.MultipleOf(0)], r"greater than 0"),
    (Annotated[int, re.compile("a")], r"no constraint of this type"),
    (Annotated[str, re.compile(rb"a")], r"no constraint of this type"),
    (Annotated[str, re.compile(r"\d+")], r"disagree on '.'"),
    (Annotated[str, re.compile("a", re.IGNORECASE)], r"disagree on '[aA]'"),
    (Annotated[str, re.compile("(?P<n>a)")], r"disagree on 'a'"),
    (3, r"3: 3 has no JSON Schema"),
]


@pytest.mark.parametrize(("type_", "message"), REFUSED, ids=lambda value: str(value)[:40])
def test_refused(type_: Any, message: str) -> None:
    for use in (structgen.schema_of, lambda type_: structgen.parse_output("1", type_)):
        with pytest.raises(TypeError, match=message):
            use(type_)


def test_patterns_that_mean_the_same_are_taken() -> None:
    for pattern in (re.compile(r"\d+", re.ASCII), re.compile("^[a-z]+$"), re.compile(r"(a|b)*?c\.")):
        structgen.schema_of(Annotated[str, pattern])


def test_unknown_metadata_is_an_annotation() -> None:
    assert structgen.schema_of(Annotated[int, "note", object(), []]) == {"type": "integer"}
    assert structgen.schema_of(Annotated[int, at.doc("how many")]) == {
        "type": "integer",
        "description": "how many",
    }


def test_a_type_that_grows_without_end_is_refused() -> None:
    t = typing.TypeVar("t")
    growing = typing_extensions.TypeAliasType("growing", "list[growing[list[t]]]", type_params=(t,))
    with pytest.raises(TypeError, match="nests too deeply"):
        structgen.schema_of(growing[int])


def test_a_type_that_no_text_has() -> None:
    @dataclass
    class Endless:
        again: "Endless"

    assert structgen.schema_of(Endless)["$ref"] == "#/$defs/Endless"
    vocabulary = structgen.Vocabulary([b"{", b"<eos>"], eos_token_ids=1)
    with pytest.raises(structgen.UnsatisfiableSchemaError):
        structgen.compile_type(Endless, vocabulary)
    assert structgen.schema_of(Point)["required"] == ["x", "y"]
