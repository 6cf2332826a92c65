"""What a front end builds, as bytes that are built again without the front end.

A record holds the calls that made expressions, in their order, and the regexes that these calls were given.
What the front end asked of regexes on its way, and the regexes that it made for that alone, are not in it.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from structgen._building import wrapping

if TYPE_CHECKING:
    from collections.abc import Iterator

    from structgen._core import Builder, TokenAutomaton

# Kinds of arguments. Expressions, goals and guards stand in a record as the number of the call that made
# them, regexes as their number among the regexes; everything else stands for itself.
_PLAIN, _RE, _RES, _EXPR, _EXPRS, _GOAL, _GOALS, _GUARD, _CELLS, _CELL_LISTS = range(10)

# The calls: the kinds of their arguments. Their order is part of the format (`VERSION` in _files.py).
_CALLS: dict[str, tuple[int, ...]] = {
    "json_style": (_RE, _PLAIN),
    "text": (_RE,),
    "lexeme": (_RE,),
    "string": (_RE,),
    "nothing": (),
    "empty": (),
    "choice": (_EXPRS,),
    "sequence": (_EXPRS,),
    "rule": (),
    "define": (_EXPR, _EXPR),
    "object": (_PLAIN, _EXPRS, _PLAIN, _RES, _EXPRS, _PLAIN, _PLAIN, _PLAIN, _PLAIN),
    "array": (_EXPRS, _EXPR, _PLAIN, _PLAIN, _PLAIN),
    "guard": (_PLAIN, _PLAIN),
    "guarded": (_EXPR, _GUARD, _PLAIN),
    "goal": (_PLAIN, _PLAIN, _PLAIN),
    "goal_all": (_GOALS,),
    "goal_any": (_GOALS,),
    "tallied_object": (_PLAIN, _CELL_LISTS, _PLAIN, _RES, _CELL_LISTS, _PLAIN, _PLAIN, _GOAL),
    "tallied_array": (_CELL_LISTS, _CELLS, _GOAL, _PLAIN),
}
_NAMES = tuple(_CALLS)
_NUMBERS = {name: number for number, name in enumerate(_NAMES)}
_KINDS = tuple(_CALLS.values())
_SIZES = struct.Struct("<III")

_Names = list[tuple[int, list[str]]]
_Find = Callable[[Any], int]


def _mapped(kind: int, value: Any, regex: _Find, expr: _Find, goal: _Find, guard: _Find) -> Any:
    """Return an argument with its handles replaced."""
    if kind == _PLAIN:
        return value
    if kind == _EXPRS:
        return [expr(one) for one in value]
    if kind == _EXPR:
        return expr(value)
    if kind == _RE:
        return regex(value)
    if kind == _RES:
        return [regex(one) for one in value]
    if kind == _GOAL:
        return goal(value)
    if kind == _GOALS:
        return [goal(one) for one in value]
    if kind == _GUARD:
        return guard(value)
    if kind == _CELLS:
        return [(expr(one), counters) for one, counters in value]
    return [[(expr(one), counters) for one, counters in cells] for cells in value]


class Recorder:
    """A builder that remembers what is built.

    Parameters
    ----------
    builder : Builder
        What does the work.
    """

    def __init__(self, builder: Builder) -> None:
        self._builder = builder
        self._calls: list[list[Any]] = []
        # Numbers by handle.
        self._regexes: dict[int, int] = {}
        self._exprs: dict[int, int] = {}
        self._goals: dict[int, int] = {}
        self._guards: dict[int, int] = {}
        self._names: Callable[[], _Names] | None = None
        self._start: int | None = None
        self._recordable = True

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._builder, name)
        if name in _CALLS:
            method = self._recorded(name, method)
        elif not name.startswith("re_") and name != "tables":
            # Lark's parser, patterns: not recorded.
            self._recordable = False
        if name != "tables":
            self.__dict__[name] = method  # found at once by the next call
        return method

    def _recorded(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        kinds, number = _CALLS[name], _NUMBERS[name]
        made = {
            "goal": self._goals,
            "goal_all": self._goals,
            "goal_any": self._goals,
            "guard": self._guards,
        }.get(name, self._exprs)

        def call(*arguments: Any) -> Any:
            result = method(*arguments)
            if self._recordable:
                try:
                    line = [number, *(self._written(*pair) for pair in zip(kinds, arguments, strict=False))]
                except KeyError:
                    self._recordable = False  # a handle that no recorded call has made
                    return result
                if result is not None:
                    made.setdefault(result, len(self._calls))
                self._calls.append(line)
            return result

        return call

    def _written(self, kind: int, value: Any) -> Any:
        return _mapped(
            kind,
            value,
            self._regex,
            self._exprs.__getitem__,
            self._goals.__getitem__,
            self._guards.__getitem__,
        )

    def _regex(self, handle: int) -> int:
        return self._regexes.setdefault(handle, len(self._regexes))

    def guard(self, name: str, predicate: Any) -> int:
        """Make a guard. With a predicate, which is code, nothing is recorded."""
        if predicate is not None:
            self._recordable = False
        return cast(int, self._recorded("guard", self._builder.guard)(name, predicate))

    def name_nodes(self, names: Callable[[], _Names]) -> None:
        """Remember the names of nodes, which are made when the record is."""
        self._names = names
        self._builder.name_nodes(names)

    def finish(self, start: int, **limits: int) -> TokenAutomaton | None:
        """Make the automaton."""
        self._start = self._exprs.get(start)
        return self._builder.finish(start, **limits)

    def record(self) -> bytes | None:
        """Return what was built; nothing where a part of it is code or has no form as bytes."""
        if not self._recordable or self._start is None:
            return None
        try:
            regexes = self._builder.re_write(list(self._regexes))
        except ValueError:
            return None
        names = [] if self._names is None else self._names()
        named = [(self._exprs[handle], texts) for handle, texts in names if handle in self._exprs]
        calls, notes = (
            json.dumps(part, separators=(",", ":")).encode() for part in ([self._start, self._calls], named)
        )
        return _SIZES.pack(len(regexes), len(calls), len(notes)) + regexes + calls + notes


@contextmanager
def recording() -> Iterator[list[Recorder]]:
    """Record the builders of this thread, which the list then holds."""
    recorders: list[Recorder] = []

    def wrap(builder: Builder) -> Builder:
        recorders.append(Recorder(builder))
        return cast("Builder", recorders[-1])

    token = wrapping.set(wrap)
    try:
        yield recorders
    finally:
        wrapping.reset(token)


def replay(record: bytes, builder: Builder, **limits: int) -> TokenAutomaton:
    """Build what was recorded.

    Parameters
    ----------
    record : bytes
        Made by :meth:`Recorder.record`.
    builder : Builder
        A builder that nothing has been lowered into yet, with the vocabulary of the record.
    **limits
        Of :meth:`Builder.finish`.

    Raises
    ------
    Exception
        The bytes are no record: whatever the builder or the parser of JSON says of them. All that is in a
        record goes through calls that check what they are given.
    """
    sizes = _SIZES.unpack_from(record)
    if _SIZES.size + sum(sizes) != len(record):
        raise ValueError("the parts of the record do not fill it")
    calls_at = _SIZES.size + sizes[0]
    names_at = calls_at + sizes[1]
    # Dictionaries: a number out of range is an error, a negative one, too.
    regexes = dict(enumerate(builder.re_read(record[_SIZES.size : calls_at]))).__getitem__
    start, calls = json.loads(record[calls_at:names_at])
    methods = [getattr(builder, name) for name in _NAMES]
    made: dict[int, Any] = {}
    result = made.__getitem__
    for number, (code, *arguments) in enumerate(calls):
        kinds = _KINDS[code]
        if len(arguments) > len(kinds):
            raise ValueError("a call has too many arguments")
        given = [
            _mapped(k, a, regexes, result, result, result) for k, a in zip(kinds, arguments, strict=False)
        ]
        made[number] = methods[code](*given)
    builder.name_nodes(lambda: _read_names(record[names_at:], result))
    automaton = builder.finish(result(start), **limits)
    if automaton is None:
        raise ValueError("the record is of an empty language")
    return automaton


def _read_names(notes: bytes, expr: Callable[[int], int]) -> Sequence[tuple[int, list[str]]]:
    return [(expr(number), texts) for number, texts in json.loads(notes)]
