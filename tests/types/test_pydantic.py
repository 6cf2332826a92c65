"""Pydantic's types: its own schema, closed, and its own validation."""

import subprocess
import sys
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pydantic
import pytest
from hypothesis import given, settings
from pydantic import BaseModel, ConfigDict, Field, RootModel, TypeAdapter

import structgen
from tests.types.support import CHOICES, accepts, automaton_of, walk


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int = Field(9, ge=0, le=9)


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str = Field(alias="dogName", max_length=5)


class Home(BaseModel):
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]
    rooms: "list[Home]" = []


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    a: int


class Numbers(RootModel[dict[str, int]]):
    pass


@pydantic.dataclasses.dataclass
class Size:
    width: int
    height: int = 1


@dataclass
class Mixed:
    home: Home
    sizes: list[Size]
    again: list["Mixed"]
    small: Annotated[int, Field(gt=3)] = 4
    either: Cat | Size | int = 0


TYPES: list[Any] = [
    Cat,
    Dog,
    Home,
    Open,
    Numbers,
    Size,
    Mixed,
    list[Home],
    Cat | None,
    Annotated[int, Field(gt=3)],
]


@pytest.mark.parametrize("type_", TYPES, ids=repr)
@settings(max_examples=30)
@given(choices=CHOICES)
def test_outputs_parse_to_what_pydantic_reads(type_: Any, choices: list[int]) -> None:
    text = walk(automaton_of(type_), choices)
    assert structgen.parse_output(text, type_) == TypeAdapter(type_).validate_json(text)


def test_models_are_closed_unless_they_say_otherwise() -> None:
    assert accepts(Cat, '{"lives":3}')
    assert not accepts(Cat, '{"lives":3,"x":1}')
    assert not accepts(Cat, '{"lives":10}')
    assert accepts(Open, '{"a":3,"x":1}')
    assert accepts(Numbers, '{"x":1}')
    assert accepts(Mixed, '{"home":{"pet":{"kind":"dog","dogName":"Rex"}},"sizes":[{"width":1}],"again":[]}')


def test_a_tag_tells_the_branches_apart() -> None:
    assert accepts(Home, '{"pet":{"kind":"dog","dogName":"Rex"}}')
    assert accepts(Home, '{"pet":{"kind":"cat"},"rooms":[{"pet":{"kind":"cat","lives":1}}]}')
    assert not accepts(Home, '{"pet":{"kind":"dog","lives":1}}')
    assert not accepts(Home, '{"pet":{"lives":1}}')  # Pydantic needs the tag, default or not


def test_errors_are_pydantics_own() -> None:
    with pytest.raises(pydantic.ValidationError, match="lives"):
        structgen.parse_output('{"lives":10}', Cat)
    text = '{"home":{"pet":{"kind":"cat"}},"sizes":[{"width":1},{"width":"w"}],"again":[]}'
    with pytest.raises(ValueError, match=r"at '/sizes/1': 1 validation error for Size") as caught:
        structgen.parse_output(text, Mixed)
    assert isinstance(caught.value.__cause__, pydantic.ValidationError)


def test_a_union_prefers_what_fits_exactly() -> None:
    class Inches(BaseModel):
        value: float

    class Pixels(BaseModel):
        value: int

    assert structgen.parse_output('{"value":1}', list[Inches] | Pixels) == Pixels(value=1)
    assert structgen.parse_output('{"value":1.5}', Pixels | Inches) == Inches(value=1.5)


def test_what_pydantic_has_no_schema_for() -> None:
    class Odd(BaseModel):
        model_config = ConfigDict(arbitrary_types_allowed=True)
        held: subprocess.Popen  # type: ignore[type-arg]

    @dataclass
    class Holder:
        odd: Odd

    with pytest.raises(TypeError, match=r"Holder\.odd: "):
        structgen.schema_of(Holder)


def test_plain_types_need_no_pydantic() -> None:
    program = (
        "import sys; sys.modules['pydantic'] = None; sys.modules['annotated_types'] = None\n"
        "import structgen, dataclasses\n"
        "A = dataclasses.make_dataclass('A', [('x', int), ('y', 'float | None', 1.0)])\n"
        "print(structgen.parse_output('{\"x\": 1}', A), structgen.schema_of(list[A])['items'])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert printed == "A(x=1, y=1.0) {'$ref': '#/$defs/A'}\n"
