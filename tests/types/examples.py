"""Types of every kind, by what is in them."""

import collections
import datetime
import enum
import re
import sys
import typing
import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, Optional, TypeVar

import annotated_types as at
import typing_extensions

T = TypeVar("T")


def starred(hint: Any) -> Any:
    """Return what ``*hint`` gives among the items of a tuple; Python 3.10 has ``Unpack`` alone."""
    return next(iter(hint)) if sys.version_info >= (3, 11) else typing_extensions.Unpack[hint]


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"
    ROUGE = "red"  # noqa: PIE796 - an alias is no member of its own


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Mixed(enum.Enum):
    NOTHING = None
    YES = True
    HALF = 0.5
    WORD = "half"


@dataclass
class Item:
    name: Annotated[str, at.MinLen(1), at.MaxLen(4)]
    price: Annotated[float, at.Ge(0)]
    colour: Colour = Colour.RED


@dataclass
class Order:
    id: int
    items: list[Item]
    note: str | None = None
    tags: dict[str, Level] = field(default_factory=dict)


@dataclass(frozen=True)
class Point:
    x: int
    y: int


@dataclass
class Tree:
    value: int
    children: "list[Tree]" = field(default_factory=list)
    parent: "Optional[Tree]" = None  # noqa: UP045 - this spelling too


@dataclass
class Empty:
    pass


@dataclass
class Box(Generic[T]):
    content: T
    more: list[T] = field(default_factory=list)


@dataclass
class Crate(Box[list[T]], Generic[T]):
    label: T | None = None


@dataclass
class Named(Box[str]):
    pass


class Movie(typing_extensions.TypedDict):
    title: str
    year: typing_extensions.NotRequired[int]


class Partial(typing_extensions.TypedDict, total=False):
    a: typing_extensions.Required[int]
    b: Annotated[typing_extensions.NotRequired[str], "which"]
    c: bool


class Frozen(typing_extensions.TypedDict):
    key: typing_extensions.ReadOnly[int]
    other: typing_extensions.NotRequired[typing_extensions.ReadOnly[None]]


class Plain(typing.TypedDict):
    a: int
    b: typing_extensions.NotRequired["list[Plain]"]


class Pair(typing_extensions.TypedDict, Generic[T]):
    first: T
    second: list[T]


class IntPair(Pair[int]):
    third: bool


class Narrowed(Pair[int]):
    first: typing_extensions.ReadOnly[Literal[1]]  # type: ignore[misc]


class Row(NamedTuple):
    key: str
    value: int = 0


class GenericRow(typing_extensions.NamedTuple, Generic[T]):
    key: T
    others: list[T]


Bare = collections.namedtuple("Bare", "a b", defaults=[None])

UserId = NewType("UserId", int)
Json = typing_extensions.TypeAliasType("Json", "dict[str, Json] | list[Json] | str | int | None")
Pairs = typing_extensions.TypeAliasType("Pairs", "list[tuple[T, T]]", type_params=(T,))

# Those that Pydantic reads as we do.
SHARED: list[Any] = [
    None,
    bool,
    int,
    float,
    str,
    Any,
    Literal["a", "b", 1, None],
    Literal[True, "true"],
    Colour,
    Level,
    Mixed,
    int | None,
    int | str | None,
    float | int,
    int | float,
    bool | int,
    list[int | None],
    list,
    list[list[bool]],
    tuple[int, str],
    tuple[()],
    tuple[int, ...],
    tuple,
    typing.Sequence[int],
    dict[str, int],
    dict,
    dict[Literal["x", "y"], bool],
    dict[Colour, int],
    typing.Mapping[str, list[int]],
    Annotated[int, at.Gt(3), at.Le(20)],
    Annotated[int | None, at.Interval(ge=0, lt=5)],
    Annotated[list[bool], at.Len(1, 3)],
    Annotated[dict[str, int], at.MaxLen(2)],
    Annotated[str, "an annotation"],
    Item,
    Order,
    Point,
    Tree,
    Empty,
    Box[int],
    Box,
    Named,
    Movie,
    Partial,
    Pair[bool],
    IntPair,
    Row,
    GenericRow[int],
    UserId,
    Json,
    Pairs[int],
    list[Point] | Point | None,
    Item | Order | Point,
    set[int],
    frozenset[Point],
    typing.AbstractSet[Colour],
    Annotated[int, at.MultipleOf(5)],
    datetime.date,
    datetime.datetime,
    datetime.time,
    datetime.timedelta,
    uuid.UUID,
    dict[uuid.UUID, int],
    dict[datetime.date, bool],
    datetime.date | int | None,
]

# Those that Pydantic reads otherwise, or whose values it compares otherwise.
OWN: list[Any] = [
    Decimal,
    bytes,
    Literal[Colour.RED, 7],
    list[int] | list[float],
    Frozen,
    Plain,
    Narrowed,
    dict[int, str],
    dict[Annotated[str, re.compile("[a-z]{2}")], int],
    Annotated[str, re.compile("[0-9]{2}|x+")],
    Annotated[Decimal, at.Ge(0), at.Lt(1)],
    tuple[int, starred(tuple[str, ...])],
    Crate[int],
    Bare,
]
