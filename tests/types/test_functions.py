"""Functions: an object of their parameters, back as arguments."""

import functools
from typing import Annotated, Any

import annotated_types as at
import pytest

import structgen
from tests.types.examples import Colour, Point
from tests.types.support import accepts


def paint(
    where: Point, colour: Colour = Colour.RED, *more: Point, times: Annotated[int, at.Ge(1)] = 1
) -> str:
    return f"{where.x} {colour.name} {times}"


def loose(a, b=2, **rest: int) -> Any:  # type: ignore[no-untyped-def]
    return a, b, rest


class Robot:
    def move(self, to: "Point") -> int:
        return to.x


def test_arguments_call_the_function() -> None:
    text = '{"where":{"x":3,"y":4},"colour":"green","times":2}'
    assert accepts(paint, text)
    assert paint(**structgen.parse_output(text, paint)) == "3 GREEN 2"
    assert paint(**structgen.parse_output('{"where":{"x":3,"y":4}}', paint)) == "3 RED 1"
    for wrong in ("{}", '{"where":{"x":3,"y":4},"more":[]}', '{"where":{"x":3,"y":4},"times":0}'):
        assert not accepts(paint, wrong)
        with pytest.raises(ValueError, match="at "):
            structgen.parse_output(wrong, paint)


def test_unannotated_parameters_and_keywords() -> None:
    assert structgen.schema_of(loose) == {
        "type": "object",
        "properties": {"a": {}, "b": {}},
        "required": ["a"],
        "additionalProperties": {"type": "integer"},
    }
    assert loose(**structgen.parse_output('{"a":[1.5],"c":3}', loose)) == ([1.5], 2, {"c": 3})
    with pytest.raises(ValueError, match="at '/c'"):
        structgen.parse_output('{"a":1,"c":"x"}', loose)


def test_methods_and_partial_functions() -> None:
    robot = Robot()
    assert robot.move(**structgen.parse_output('{"to":{"x":1,"y":2}}', robot.move)) == 1
    some = functools.partial(paint, colour=Colour.GREEN)
    assert structgen.schema_of(some)["required"] == ["where"]
    assert some(**structgen.parse_output('{"where":{"x":3,"y":4}}', some)) == "3 GREEN 1"


def test_positional_only_parameters_are_refused() -> None:
    def positional(a: int, /) -> None: ...

    with pytest.raises(TypeError, match=r"positional\.a: a positional-only parameter"):
        structgen.schema_of(positional)
