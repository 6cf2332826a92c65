"""Type hints made explicit: forward references resolved, type variables replaced by what they stand for."""

import inspect
import sys
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, Generic, Literal, TypeVar, get_args, get_origin

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


def is_unpacked(hint: Any) -> bool:
    """Return whether ``hint`` is ``Unpack[...]``, of :mod:`typing` or ``typing_extensions``."""
    return getattr(get_origin(hint), "_name", None) == "Unpack"


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
    # In Python 3.10, list[T] passes for a class.
    if parameters and (isinstance(hint, types.GenericAlias) or not isinstance(hint, type)):
        return hint[tuple(environment.get(p) or fallback(p) for p in parameters)]
    return hint


def parameters_of(owner: Any) -> dict[str, Any]:
    """Return the type parameters of a class or function by name, as its forward references use them."""
    return {parameter.__name__: parameter for parameter in getattr(owner, "__type_params__", ())}


def bind(generic: Any, arguments: Iterable[Any]) -> Environment:
    """Return what the type parameters of a generic class or alias stand for."""
    parameters: Any = getattr(generic, "__parameters__", ()) or getattr(generic, "__type_params__", ())
    return dict(zip(parameters, list(arguments) or map(fallback, parameters), strict=False))


def evaluated(owner: Any, module: dict[str, Any], names: dict[str, Any]) -> dict[str, Any]:
    """Return :func:`typing.get_type_hints` with extras, ``X`` of ``list["X"]`` resolved in Python 3.10, too.

    Raises
    ------
    NameError
        A forward reference cannot be resolved.
    """
    hints = typing.get_type_hints(owner, module, names, include_extras=True)
    if sys.version_info >= (3, 11):
        return hints
    while True:
        marked = {name: _with_references(hint) for name, hint in hints.items()}
        if marked == hints:
            return hints
        holder = types.SimpleNamespace(__annotations__=marked)
        hints = typing.get_type_hints(holder, module, names, include_extras=True)


def hints_of_function(function: Any) -> dict[str, Any]:
    """Return the annotations of a function.

    Raises
    ------
    NameError
        A forward reference cannot be resolved.
    """
    names = parameters_of(function)
    if sys.version_info >= (3, 11):
        return typing.get_type_hints(function, localns=names, include_extras=True)
    # The annotations alone: to a parameter with the default None, Python 3.10 adds None as a type.
    holder = types.SimpleNamespace(__annotations__=dict(getattr(function, "__annotations__", {})))
    return evaluated(holder, getattr(inspect.unwrap(function), "__globals__", {}), names)


def _with_references(hint: Any) -> Any:
    """Make forward references of the strings in ``list["X"]``."""
    arguments = get_args(hint)
    if not arguments or get_origin(hint) is Literal:
        return hint
    if isinstance(hint, types.GenericAlias):
        made = (typing.ForwardRef(a) if isinstance(a, str) else _with_references(a) for a in arguments)
        return types.GenericAlias(get_origin(hint), tuple(made))
    if isinstance(hint, types.UnionType):
        return typing.Union[tuple(map(_with_references, arguments))]  # noqa: UP007 - a tuple
    return hint.copy_with(tuple(map(_with_references, hint.__args__)))


def hints_of(cls: Any, arguments: Iterable[Any]) -> dict[str, Any]:
    """Return the annotations of a class with its bases', every type variable replaced.

    Class by class, as type variables of one name can mean different things in two of them.

    Raises
    ------
    NameError
        A forward reference cannot be resolved.
    """
    return _with_bases(cls, bind(cls, arguments))


def _with_bases(cls: type, environment: Environment) -> dict[str, Any]:
    hints: dict[str, Any] = {}
    inherited: dict[str, Any] = {}
    for base in reversed(cls.__dict__.get("__orig_bases__", cls.__bases__)):
        origin = get_origin(base) or base
        if isinstance(origin, type) and origin is not Generic:
            arguments = [substitute(argument, environment) for argument in get_args(base)]
            hints |= _with_bases(origin, bind(origin, arguments))
            inherited |= inspect.get_annotations(origin)
    own = inspect.get_annotations(cls)
    if is_typed_dict(cls):  # it has its bases' annotations, too
        own = {name: hint for name, hint in own.items() if name not in hints or hint != inherited[name]}
    if own:
        module = vars(sys.modules[cls.__module__]) if cls.__module__ in sys.modules else {}
        # A class for these annotations alone, with the names that they may use: those of the class come
        # after those of its module, as typing.get_type_hints has it, and the class itself: it may be local.
        holder = type(cls.__name__, (), {"__annotations__": own, "__module__": cls.__module__})
        names = {**vars(cls), **module, cls.__name__: cls, **parameters_of(cls)}
        for name, hint in evaluated(holder, module, names).items():
            hints[name] = substitute(hint, environment)
    return hints


def alias_value(alias: Any, arguments: Iterable[Any]) -> Any:
    """Return what a ``type`` alias stands for; strings in it are names of its module."""
    holder = types.SimpleNamespace(__annotations__={"value": alias.__value__})
    module = sys.modules.get(alias.__module__)
    names = {alias.__name__: alias, **parameters_of(alias)}
    hints = evaluated(holder, vars(module) if module else {}, names)
    return substitute(hints["value"], bind(alias, arguments))
