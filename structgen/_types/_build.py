"""From a type hint to its node."""

import collections.abc as abc
import dataclasses
import enum
import functools
import inspect
import types
import typing
from collections.abc import Callable, Iterable
from typing import Annotated, Any, get_args, get_origin

from structgen._types import _hints
from structgen._types._constraints import constrained
from structgen._types._nodes import (
    Anything,
    Array,
    Constant,
    Formatted,
    Map,
    Named,
    Node,
    Object,
    Scalar,
    Tuple,
    Union,
    hashable,
)
from structgen._types._pydantic import Foreign, is_pydantic, is_pydantic_metadata
from structgen._types._scalars import INTEGER_KEY, SCALARS

_ADVICE = (
    "use a dataclass, TypedDict, NamedTuple, Enum, Literal, a Pydantic model, or types made of them, str, "
    "int, float, bool, None, list, dict and so on"
)
# Generic classes by what makes them: the abstract ones become the concrete one that is meant.
_ARRAYS: dict[Any, Callable[[list[Any]], Any]] = {
    list: list,
    abc.Sequence: list,
    abc.MutableSequence: list,
    abc.Collection: list,
    abc.Iterable: list,
    set: set,
    abc.Set: set,
    abc.MutableSet: set,
    frozenset: frozenset,
}
_SETS = {set, abc.Set, abc.MutableSet, frozenset}
_MAPS = {dict, abc.Mapping, abc.MutableMapping}


class Builder:
    """Makes the nodes of one type.

    Attributes
    ----------
    foreign : list of Foreign
        The types in it that are Pydantic's.
    """

    def __init__(self) -> None:
        self.foreign: list[Foreign] = []
        self._named: dict[Any, Named] = {}
        self._elements: list[tuple[Node, str]] = []

    def build(self, hint: Any, path: str) -> Node:
        """Return the node of ``hint``; ``path`` is its place in the type, for messages.

        Raises
        ------
        TypeError
            A type without a JSON Schema, with its place and what to do.
        """
        if hint is Any or hint is object:
            return Anything()
        if (scalar := _scalar(hint)) is not None:
            return scalar
        if isinstance(hint, str | typing.ForwardRef):
            raise TypeError(f"{path}: the name {_forward(hint)!r} is not resolved; give the type itself")
        if type(hint).__name__ == "TypeVar":
            return self.build(_hints.fallback(hint), path)
        origin, arguments = get_origin(hint), get_args(hint)
        if origin is Annotated:
            return self._annotated(hint, path)
        if origin is typing.Literal:
            return Constant([_constant(value, path) for value in arguments])
        if origin is typing.Union or origin is types.UnionType:
            return Union([self.build(argument, path) for argument in arguments])
        if _hints.special_form(origin) is not None:
            return self.build(arguments[0], path)
        if hasattr(hint, "__supertype__"):
            return self.build(hint.__supertype__, path)
        if _hints.is_alias(origin or hint):
            return self._alias(hint, origin or hint, arguments, path)
        cls = origin or hint
        if isinstance(cls, type):
            return self._class(hint, cls, arguments, path)
        if isinstance(hint, functools.partial) or inspect.isroutine(hint):
            return self._function(hint, path)
        raise _unsupported(hint, path)

    def check(self) -> None:
        """Check what can be checked only once every class is built.

        Raises
        ------
        TypeError
            A set of values that have no hash.
        """
        for node, path in self._elements:
            if not hashable(node):
                raise TypeError(f"{path}: a set's elements need a hash; use a list, or a frozen dataclass")

    # -- hints ---------------------------------------------------------------------------------

    def _annotated(self, hint: Any, path: str) -> Node:
        if any(is_pydantic_metadata(item) for item in hint.__metadata__):
            return self._foreign(hint, path)
        return constrained(self.build(hint.__origin__, path), hint.__metadata__, path)

    def _alias(self, hint: Any, alias: Any, arguments: Iterable[Any], path: str) -> Node:
        def value() -> Node:
            return self.build(_hints.alias_value(alias, arguments), path)

        return self._once(hint, path, value)

    def _class(self, hint: Any, cls: type, arguments: tuple[Any, ...], path: str) -> Node:
        if is_pydantic(cls):
            return self._once(hint, path, lambda: self._foreign(hint, path))
        if issubclass(cls, enum.Enum):
            members = [(_enum_value(member, path), member) for member in cls]
            if not members:
                raise TypeError(f"{path}: the enumeration {cls.__qualname__} has no members")
            return Constant(members)
        if cls in _ARRAYS:
            return self._array(cls, arguments, path)
        if cls in _MAPS:
            return self._map(arguments, path)
        if cls is tuple:
            return self._tuple(hint, arguments, path)
        if dataclasses.is_dataclass(cls):
            return self._once(hint, path, lambda: self._dataclass(cls, arguments, path))
        if _hints.is_typed_dict(cls):
            return self._once(hint, path, lambda: self._typed_dict(cls, arguments, path))
        if issubclass(cls, tuple) and hasattr(cls, "_fields"):
            return self._once(hint, path, lambda: self._named_tuple(cls, arguments, path))
        raise _unsupported(hint, path)

    def _once(self, hint: Any, path: str, make: Callable[[], Node]) -> Node:
        """Return the definition of a class or alias, made once: it may refer to itself."""
        # Equal unions may list their branches in another order, so the spelling counts too.
        key = (hint, repr(hint)) if isinstance(hint, abc.Hashable) else repr(hint)
        try:
            named = self._named.get(key)
        except TypeError:  # unhashable within
            key, named = repr(hint), self._named.get(repr(hint))
        if named is None:
            named = self._named[key] = Named(name_of(hint))
            try:
                named.target = make()
            except NameError as error:
                raise TypeError(
                    f"{path}: {error}; forward references are looked up in the module of {named.name}"
                ) from None
        return named

    def _foreign(self, hint: Any, path: str) -> Node:
        node = Foreign(hint, path)
        self.foreign.append(node)
        return node

    # -- containers ----------------------------------------------------------------------------

    def _array(self, cls: type, arguments: tuple[Any, ...], path: str) -> Node:
        item = self.build(arguments[0] if arguments else Any, f"{path}[]")
        unique = cls in _SETS
        if unique:
            self._elements.append((item, f"{path}[]"))
        return Array(item, _ARRAYS[cls], unique=unique, hashes=cls is frozenset)

    def _tuple(self, hint: Any, arguments: tuple[Any, ...], path: str) -> Node:
        if hint is tuple or hint is typing.Tuple:  # noqa: UP006
            arguments = (Any, ...)
        items: list[Node] = []
        rest: Node | None = None
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            rest = self.build(arguments[0], f"{path}[]")
            return Array(rest, tuple, unique=False, hashes=True)
        for place, argument in enumerate(arguments):
            inner = get_args(argument)[0] if _hints.is_unpacked(argument) else argument
            if inner is not argument or getattr(argument, "__unpacked__", False):
                of = get_args(inner)
                if place < len(arguments) - 1 or get_origin(inner) is not tuple or of[-1:] != (Ellipsis,):
                    raise TypeError(f"{path}[{place}]: only the last item may be a *tuple[X, ...]")
                rest = self.build(of[0], f"{path}[]")
            else:
                items.append(self.build(argument, f"{path}[{place}]"))
        return Tuple(tuple, items, len(items), rest)

    def _map(self, arguments: tuple[Any, ...], path: str) -> Node:
        key_hint, value_hint = arguments or (str, Any)
        value = self.build(value_hint, f"{path}{{}}")
        if key_hint is int:
            return Map(INTEGER_KEY, value)
        key = self.build(key_hint, f"{path}{{key}}") if key_hint is not Any else SCALARS[str]
        if not _is_text(key):
            raise TypeError(
                f"{path}{{key}}: the keys of a JSON object are strings, not {name_of(key_hint)}; use str, "
                "int, a Literal or Enum of strings, UUID or a date, or a list of pairs"
            )
        return Map(key, value)

    # -- classes -------------------------------------------------------------------------------

    def _dataclass(self, cls: Any, arguments: Iterable[Any], path: str) -> Node:
        node = Object(cls, hashes=cls.__hash__ is not None)
        hints = _hints.hints_of(cls, arguments)
        for name, field in cls.__dataclass_fields__.items():
            hint = hints.get(name, field.type)
            if _hints.special_form(get_origin(hint) or hint) == "ClassVar" or not field.init:
                continue
            if isinstance(hint, dataclasses.InitVar):
                hint = hint.type
            node.fields[name] = self.build(hint, f"{path}.{name}")
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                node.required.append(name)
            if isinstance(description := field.metadata.get("description"), str):
                node.descriptions[name] = description
        return node

    def _typed_dict(self, cls: Any, arguments: Iterable[Any], path: str) -> Node:
        node = Object(dict)
        for name, hint in _hints.hints_of(cls, arguments).items():
            # Postponed annotations hide these forms from Python 3.11: it takes every key for required.
            required = name in cls.__required_keys__
            inner = hint
            while (form := _hints.special_form(get_origin(inner))) is not None or get_origin(
                inner
            ) is Annotated:
                required = {"Required": True, "NotRequired": False}.get(form or "", required)
                inner = get_args(inner)[0]
            node.fields[name] = self.build(hint, f"{path}.{name}")
            if required:
                node.required.append(name)
        return node

    def _named_tuple(self, cls: Any, arguments: Iterable[Any], path: str) -> Node:
        hints = _hints.hints_of(cls, arguments)
        items = [self.build(hints.get(name, Any), f"{path}.{name}") for name in cls._fields]
        return Tuple(lambda values: cls(*values), items, len(items) - len(cls._field_defaults))

    def _function(self, function: Any, path: str) -> Node:
        bare = function.func if isinstance(function, functools.partial) else function
        try:
            signature = inspect.signature(function)
            hints = _hints.hints_of_function(bare)
        except (NameError, ValueError) as error:
            raise TypeError(f"{path}: {error}") from None
        node = Object(dict)
        for name, parameter in signature.parameters.items():
            hint = _hints.substitute(hints.get(name, Any), {})
            if parameter.kind is parameter.POSITIONAL_ONLY:
                raise TypeError(f"{path}.{name}: a positional-only parameter cannot be passed by name")
            if parameter.kind is parameter.VAR_KEYWORD:
                node.rest = self.build(hint, f"{path}{{}}")
            elif parameter.kind is not parameter.VAR_POSITIONAL:
                node.fields[name] = self.build(hint, f"{path}.{name}")
                if parameter.default is parameter.empty:
                    node.required.append(name)
        return node


def name_of(hint: Any) -> str:
    """Return a short name of a type, for definitions and messages."""
    if isinstance(hint, functools.partial):
        hint = hint.func
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is not None and arguments and hasattr(origin, "__name__"):
        return f"{origin.__name__}[{', '.join(map(name_of, arguments))}]"
    name = getattr(hint, "__name__", None)
    return name if isinstance(name, str) else repr(hint)


def _scalar(hint: Any) -> Node | None:
    try:
        return SCALARS.get(hint)
    except TypeError:  # unhashable metadata
        return None


def _forward(hint: Any) -> str:
    return hint if isinstance(hint, str) else hint.__forward_arg__


def _is_text(node: Node) -> bool:
    """Return whether every value of the type is a JSON string, as the keys of an object are."""
    if isinstance(node, Named):
        return "target" in node.__dict__ and _is_text(node.target)
    if isinstance(node, Union):
        return all(map(_is_text, node.branches))
    if isinstance(node, Constant):
        return all(isinstance(value, str) for value, _ in node.values.values())
    inner = getattr(node, "node", node)
    return isinstance(node, Formatted) or (isinstance(inner, Scalar) and inner.json_type == "string")


def _constant(value: Any, path: str) -> tuple[Any, Any]:
    if isinstance(value, enum.Enum):
        return _enum_value(value, path), value
    if value is None or isinstance(value, bool | int | str):
        return value, value
    raise TypeError(f"{path}: the literal {value!r} is no JSON value; use a string for it")


def _enum_value(member: enum.Enum, path: str) -> Any:
    value = member.value
    if isinstance(value, float) and value - value == 0:  # finite
        return float(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str):
        return str(value)
    raise TypeError(
        f"{path}: the value {value!r} of {member} is no JSON value; give the member a string or number"
    )


def _unsupported(hint: Any, path: str) -> TypeError:
    return TypeError(f"{path}: {name_of(hint)} has no JSON Schema; {_ADVICE}")
