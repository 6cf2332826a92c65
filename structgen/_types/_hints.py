"""Type hints made explicit: forward references resolved, type variables replaced by what they stand for."""

import inspect
import sys
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, Generic, TypeVar, get_args, get_origin

Environment = Mapping[Any, Any]


def is_typed_dict(cls: Any) -> bool:
    """Return whether ``cls`` is a ``TypedDict`` of :mod:`typing` or ``typing_extensions``."""
    return isinstance(cls, type) and issubclass(cls, dict) and hasattr(cls, "__required_keys__")


def is_alias(hint: Any) -> bool:
    """Return whether ``hint`` is a ``type`` statement's alias, of Python or ``typing_extensions``."""
    return type(hint).__name__ == "TypeAliasType"


def special_form(origin: Any) -> str | None:
    """Return the name of ``Required``, ``NotRequired``, ``ReadOnly``, ``Final`` or ``ClassVar``.

    By name, as ``typing_extensions`` has its own before the Python that has them.
    """
    name = getattr(origin, "_name", None)
    return name if name in {"Required", "NotRequired", "ReadOnly", "Final", "ClassVar"} else None


def fallback(variable: Any) -> Any:
    """Return what a type variable that nobody bound stands for."""
    if not isinstance(variable, TypeVar) and type(variable).__name__ != "TypeVar":
        raise TypeError(f"{variable} is not supported")
    if getattr(variable, "has_default", lambda: False)():
        return variable.__default__
    if variable.__bound__ is not None:
        return variable.__bound__
    if variable.__constraints__:
        return typing.Union[variable.__constraints__]  # noqa: UP007 - a tuple
    return Any


def substitute(hint: Any, environment: Environment) -> Any:
    """Replace the type variables in ``hint``."""
    if type(hint).__name__ == "TypeVar":
        return environment.get(hint, fallback(hint))
    parameters = getattr(hint, "__parameters__", ())
    if parameters and not isinstance(hint, type):
        return hint[tuple(environment.get(p) or fallback(p) for p in parameters)]
    return hint


def bind(generic: Any, arguments: Iterable[Any]) -> Environment:
    """Return what the type parameters of a generic class or alias stand for."""
    parameters: Any = getattr(generic, "__parameters__", ()) or getattr(generic, "__type_params__", ())
    return dict(zip(parameters, list(arguments) or map(fallback, parameters), strict=False))


def hints_of(cls: Any, arguments: Iterable[Any]) -> dict[str, Any]:
    """Return the annotations of a class with its bases', every type variable replaced.

    Raises
    ------
    NameError
        A forward reference cannot be resolved.
    """
    names = {p.__name__: p for p in getattr(cls, "__type_params__", ())}
    hints = typing.get_type_hints(cls, localns={**names, cls.__name__: cls}, include_extras=True)
    environments = _environments(cls, bind(cls, arguments))
    return {name: substitute(hint, environments.get(name, {})) for name, hint in hints.items()}


def _environments(cls: type, environment: Environment) -> dict[str, Environment]:
    """Return, for each annotated name, what type variables stand for in the class that annotates it."""
    found: dict[str, Environment] = {}
    for base in reversed(cls.__dict__.get("__orig_bases__", cls.__bases__)):
        origin = get_origin(base) or base
        if isinstance(origin, type) and origin is not Generic:
            arguments = [substitute(argument, environment) for argument in get_args(base)]
            found.update(_environments(origin, bind(origin, arguments)))
    for name in inspect.get_annotations(cls):
        if not (is_typed_dict(cls) and name in found):  # a TypedDict copies its bases' annotations
            found[name] = environment
    return found


def alias_value(alias: Any, arguments: Iterable[Any]) -> Any:
    """Return what a ``type`` alias stands for; strings in it are names of its module."""
    holder = types.SimpleNamespace(__annotations__={"value": alias.__value__})
    module = sys.modules.get(alias.__module__)
    names = {alias.__name__: alias} | {p.__name__: p for p in alias.__type_params__}
    hints = typing.get_type_hints(holder, vars(module) if module else {}, names, include_extras=True)
    return substitute(hints["value"], bind(alias, arguments))
