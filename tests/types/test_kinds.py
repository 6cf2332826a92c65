"""What each kind of type takes and refuses, case by case."""

import datetime
import enum
import math
import re
import uuid
from dataclasses import InitVar, dataclass, field
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

import annotated_types as at
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import TypeAliasType

import structgen
from tests.types.examples import Bare, Colour, Crate, Level, Mixed, Narrowed, Order, Point, Tree, starred
from tests.types.support import exact, parses, validates


@dataclass
class Account:
    kind: ClassVar[str] = "account"
    owner: str
    secret: InitVar[int]
    balance: int = field(init=False, default=0)
    nickname: str = field(default="", metadata={"description": "as shown"})

    def __post_init__(self, secret: int) -> None:
        if secret < 0:
            raise ValueError("a secret is not negative")
        self.balance = secret


CASES: list[tuple[Any, dict[str, Any], list[str]]] = [
    (None, {"null": None}, ["0", '""', "false"]),
    (bool, {"true": True, " false ": False}, ["0", "1", '"true"', "null"]),
    (
        int,
        {"0": 0, "-12": -12, "3.0": 3, "1e2": 100, "0e999999999": 0},
        ["true", '"1"', "1.5", "null", "1e-1"],
    ),
    (float, {"1": 1.0, "0.5": 0.5, "1e3": 1000.0}, ["true", '"1"', "NaN", "Infinity", "null"]),
    (Decimal, {"19.990": Decimal("19.990"), "3": Decimal(3)}, ["true", '"1"', "NaN"]),
    (str, {'"a\\u0062"': "ab", '""': ""}, ["1", "null", '["a"]']),
    (bytes, {'"AAEC"': b"\0\1\2", '""': b"", '"AA=="': b"\0"}, ['"AB=="', '"A"', '"AAE"', '"AA-_"']),
    (Literal[True, "true", 1], {"true": True, '"true"': "true", "1": 1, "1.0": 1}, ["false", "0", "null"]),
    (Literal[1], {"1": 1}, ["true", "2"]),
    (Colour, {'"red"': Colour.RED}, ['"RED"', '"blue"', "0"]),
    (Level, {"2": Level.HIGH}, ["3", '"HIGH"']),
    (Mixed, {"null": Mixed.NOTHING, "0.50": Mixed.HALF, "true": Mixed.YES}, ["1", "false"]),
    (list[int], {"[]": [], "[1,2]": [1, 2]}, ["{}", "[null]", "[true]", "1"]),
    (set[int], {"[2,1]": {1, 2}}, ["[1,1]", "[1,1.0]"]),
    (frozenset[Point], {'[{"x":1,"y":2}]': frozenset({Point(1, 2)})}, ['[{"x":1}]']),
    (tuple[int, str], {'[1,"a"]': (1, "a")}, ["[1]", '[1,"a",2]', '["a",1]']),
    (tuple[()], {"[]": ()}, ["[1]"]),
    (tuple[int, starred(tuple[str, ...])], {"[1]": (1,), '[1,"a"]': (1, "a")}, ["[]", "[1,2]"]),
    (Bare, {"[1]": Bare(1), '[1,"x"]': Bare(1, "x")}, ["[]", "[1,2,3]", '{"a":1}']),
    (dict[int, bool], {'{"-3":true}': {-3: True}}, ['{"03":true}', '{"-0":true}', '{"a":true}', '{"3":1}']),
    (dict[Colour, int], {'{"red":1}': {Colour.RED: 1}}, ['{"blue":1}']),
    (float | int, {"1": 1, "1.0": 1.0}, ['"1"']),
    (float | str, {"1": 1.0, '"1"': "1"}, ["true"]),
    (list[int] | list[float], {"[1,2]": [1, 2], "[1,2.5]": [1.0, 2.5], "[1.0]": [1.0]}, ['[1,"a"]']),
    (str | Colour, {'"red"': "red"}, ["0"]),
    (Colour | str, {'"red"': Colour.RED, '"blue"': "blue"}, ["0"]),
    (
        Crate[int],
        {'{"content":[1],"label":2}': Crate([1], [], 2)},
        ['{"content":1}', '{"content":[1],"label":"a"}'],
    ),
    (
        Account,
        {'{"owner":"x","secret":5}': Account("x", 5)},
        ['{"owner":"x"}', '{"owner":"x","secret":1,"balance":2}', '{"owner":"x","secret":1,"kind":"a"}'],
    ),
    (
        Annotated[Decimal, at.Lt(Decimal("0.3"))],
        {"0.29999999999999999999": Decimal("0.29999999999999999999")},
        ["0.3"],
    ),
    (Annotated[float, at.Ge(0.1)], {"0.1": 0.1}, ["0.0999999999999999999999"]),
    (
        Annotated[Decimal, at.MultipleOf(Decimal("0.01"))],
        {"19.99": Decimal("19.99")},
        ["19.999", "1e-9999999"],
    ),
    (Annotated[str | list[int], at.MinLen(2)], {'"ab"': "ab", "[1,2]": [1, 2]}, ['"a"', "[1]"]),
    (Annotated[int, at.Ge(2), at.Ge(1)], {"2": 2}, ["1"]),
    (Annotated[str, re.compile("[0-9]{2}|x+")], {'"12"': "12", '"xxx"': "xxx"}, ['"123"', '"12\\n"', '""']),
    (
        datetime.date,
        {'"2024-02-29"': datetime.date(2024, 2, 29)},
        ['"2023-02-29"', '"20240101"', '"2024-W01-1"'],
    ),
    (
        datetime.datetime,
        {'"2024-01-02T03:04:05.5Z"': datetime.datetime(2024, 1, 2, 3, 4, 5, 500000, datetime.timezone.utc)},
        ['"2024-01-02"', '"2024-01-02T03:04:05"', '"2024-01-02 03:04:05Z"', '"2016-12-31T23:59:60Z"'],
    ),
    (
        datetime.time,
        {'"03:04:05Z"': datetime.time(3, 4, 5, tzinfo=datetime.timezone.utc)},
        ['"03:04"', '"24:00:00Z"'],
    ),
    (
        datetime.timedelta,
        {'"P1DT2H3M4S"': datetime.timedelta(1, 4, 0, 0, 3, 2), '"P2W"': datetime.timedelta(14)},
        ['"P1Y"', '"P"', '"PT"', '"PT1H1S"', '"1 day"', '"P1DT"'],
    ),
    (uuid.UUID, {f'"{uuid.UUID(int=5)}"': uuid.UUID(int=5)}, ['"5"', f'"{uuid.UUID(int=5).hex}"']),
]


@pytest.mark.parametrize(("type_", "taken", "refused"), CASES, ids=lambda value: repr(value)[:40])
def test_values(type_: Any, taken: dict[str, Any], refused: list[str]) -> None:
    for text, expected in taken.items():
        value = structgen.parse_output(text, type_)
        assert (type(value), repr(value), value) == (type(expected), repr(expected), expected)
        if "e99" not in text:
            assert validates(type_, exact(text)), text
    for text in refused:
        with pytest.raises(ValueError, match=r":|JSON"):
            structgen.parse_output(text, type_)
        # Not JSON; and where the validator rounds, and lets $ match before a final newline.
        if text not in {"NaN", "Infinity", "1e-9999999", '"12\\n"'}:
            assert not validates(type_, exact(text)), text


SHAPES = {
    datetime.date: r"\d{4}-\d{2}-\d{2}",
    datetime.time: r"\d{2}:\d{2}:[0-6]\d(\.\d{1,7})?([Zz]|[+-]\d{2}:\d{2})",
    datetime.datetime: r"\d{4}-[01]\d-\d{2}[Tt ][012]\d:[0-5]\d:[0-6]\d(\.\d{1,7})?(Z|[+-][0-2]\d:[0-6]\d)",
    datetime.timedelta: r"P(\d{1,9}[YWD])?(T(\d{1,10}H)?(\d{1,9}M)?(\d{1,9}(\.5)?S)?)?",
    uuid.UUID: "[0-9a-fA-F]{8}(-?[0-9a-f]{4}){3}-[0-9a-f]{12}",
    bytes: "[A-Za-z+/]{0,6}={0,2}",
}


@pytest.mark.parametrize("type_", SHAPES, ids=repr)
@given(data=st.data())
def test_formats_agree_with_the_validator(type_: Any, data: st.DataObject) -> None:
    text = data.draw(st.from_regex(re.compile(SHAPES[type_], re.ASCII), fullmatch=True))
    assert parses(type_, f'"{text}"') == validates(type_, text)


def test_numbers_at_the_edge_of_what_python_has() -> None:
    assert structgen.parse_output("1e999", float) == math.inf
    assert structgen.parse_output("-" + "9" * 400, float) == -math.inf
    for text, type_ in (("1e99999", int), ("1e9999999999999999999", Decimal), ("9" * 5000, int)):
        with pytest.raises(ValueError, match=r"digits|out of range"):
            structgen.parse_output(text, type_)


@pytest.mark.parametrize(
    ("type_", "text", "message"),
    [
        (Order, '{"id":1,"items":[{"name":"a","price":"x"}]}', r"at '/items/0/price': .x. is not a number"),
        (Order, '{"id":1,"items":[{"name":"a","price":-1}]}', "at '/items/0/price': -1 violates"),
        (Order, '{"id":1}', "at the root: the key 'items' is missing"),
        (Order, '{"id":1,"items":[],"extra":1}', "at the root: the key 'extra' is unknown"),
        (dict[str, int], '{"a/b~c":null}', "at '/a~1b~0c': null is not an integer"),
        (int | Order, '{"id":1,"items":[0]}', "at '/items/0': 0 is not an object"),
        (int | str, "[]", r"at the root: \[\] fits no branch of the union"),
        (Account, '{"owner":"x","secret":-5}', "a secret is not negative"),
        (list[Account], '[{"owner":"x","secret":-5}]', "at '/0': a secret is not negative"),
        (Colour, '"blue"', 'none of "red", "green"'),
        (int, "[1", "delimiter"),
        (Any, "NaN", "NaN is not JSON"),
    ],
)
def test_messages_name_the_place(type_: Any, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        structgen.parse_output(text, type_)


def test_nested_unions_take_polynomial_time() -> None:
    wide = TypeAliasType("Json", "list[Json] | tuple[Json, ...] | None")  # noqa: F821
    with pytest.raises(ValueError, match=r"at '(/0){60}': 1 fits no branch of the union"):
        structgen.parse_output("[" * 60 + "1" + "]" * 60, wide)


def test_branches_keep_the_order_they_were_written_in() -> None:
    @dataclass
    class A:
        x: int

    @dataclass
    class B:
        x: int

    assert structgen.parse_output('{"x":1}', A | B) == A(1)
    assert structgen.parse_output('{"x":1}', B | A) == B(1)


def test_inherited_type_variables_are_those_of_their_class() -> None:
    assert structgen.schema_of(Crate[int])["properties"] == {
        "content": {"type": "array", "items": {"type": "integer"}},
        "more": {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}},
        "label": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
    }
    assert structgen.schema_of(Narrowed)["properties"] == {
        "first": {"const": 1},
        "second": {"type": "array", "items": {"type": "integer"}},
    }


def test_definitions_of_one_name_are_kept_apart() -> None:
    def make(type_: Any) -> Any:
        @dataclass
        class Same:
            x: type_

        return Same

    one, two = make(int), make(str)
    schema = structgen.schema_of(tuple[one, two])  # type: ignore[valid-type]
    assert sorted(schema["$defs"]) == ["Same", "Same_2"]
    assert structgen.parse_output('[{"x":1},{"x":"a"}]', tuple[one, two]) == (one(1), two("a"))  # type: ignore[valid-type]


def test_descriptions_and_definitions() -> None:
    schema = structgen.schema_of(list[Account])
    assert schema["$defs"]["Account"]["properties"]["nickname"] == {
        "type": "string",
        "description": "as shown",
    }
    assert "$defs" not in structgen.schema_of(Account)
    assert structgen.schema_of(Tree)["$ref"] == "#/$defs/Tree"


def test_flags_of_an_enumeration_are_its_members() -> None:
    class Bits(enum.IntFlag):
        ONE = 1
        TWO = 2

    assert structgen.schema_of(Bits) == {"enum": [1, 2]}
    assert structgen.parse_output("2", Bits) is Bits.TWO
