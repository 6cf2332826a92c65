"""Validators of the ``jsonschema`` library, with what JSON Schema says and Python does otherwise.

``jsonschema`` decides validity. Three things are put in its hands: exact numbers (``0.3`` is a multiple of
``0.1``, ``1.0`` an integer), patterns in the dialect of ECMA-262 (``\\p{L}`` means something, ``$`` does not
match before a line feed), and formats by the grammars that structgen enforces.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from types import CodeType, FunctionType
from typing import Any

import attrs
import jsonschema
from jsonschema import validators

from structgen._formats import BUILT_IN_FORMATS
from structgen.cli import _patterns

DRAFTS = {
    "4": jsonschema.Draft4Validator,
    "6": jsonschema.Draft6Validator,
    "7": jsonschema.Draft7Validator,
    "2019-09": jsonschema.Draft201909Validator,
    "2020-12": jsonschema.Draft202012Validator,
}


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _with_ecma(function: Any, known: dict[Any, Any]) -> Any:
    """Copy a keyword of ``jsonschema``, and what it calls there, with ECMA-262 patterns, where it has any.

    There is no hook for the dialect, and the keywords that read ``patternProperties`` are many. What takes
    the place of :mod:`re` there has its ``search``.
    """
    if function in known:
        return known[function]
    known[function] = function
    mine = function.__globals__
    used = {name: mine[name] for name in _names(function.__code__) if name in mine}
    called = {
        name: value
        for name, value in used.items()
        if isinstance(value, FunctionType)
        and value.__module__.startswith("jsonschema.")
        and value is not function
    }
    replaced = {name: _with_ecma(value, known) for name, value in called.items()}
    if used.get("re") is not re and all(replaced[name] is value for name, value in called.items()):
        return function
    copied = FunctionType(
        function.__code__,
        {**mine, **replaced, "re": _patterns},
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    # It may call itself.
    if mine.get(function.__name__) is function:
        copied.__globals__[function.__name__] = copied
    known[function] = copied
    return copied


def _multiple_of(validator: Any, divisor: Any, instance: Any, _schema: Any) -> Iterator[Any]:
    if validator.is_type(instance, "number") and not _is_multiple(Decimal(instance), Decimal(divisor)):
        yield jsonschema.ValidationError(f"{instance!r} is not a multiple of {divisor!r}")


def _is_multiple(number: Decimal, divisor: Decimal) -> bool:
    """Decide exactly, with no number of more digits than the two have: exponents can be huge."""
    (_, digits, exponent), (_, by, power) = number.as_tuple(), divisor.as_tuple()
    assert isinstance(exponent, int)
    assert isinstance(power, int)
    coefficient, modulus = int(Decimal((0, digits, 0))), int(Decimal((0, by, 0)))
    shift = exponent - power
    if shift >= 0:
        return coefficient * pow(10, shift, modulus) % modulus == 0
    # Then the coefficient is a multiple of 10**-shift, too.
    return coefficient == 0 or (-shift < len(digits) and coefficient % (modulus * 10**-shift) == 0)


def _required(validator: Any, required: Any, instance: Any, _schema: Any) -> Iterator[Any]:
    if validator.is_type(instance, "object"):
        for name in required:
            if name not in instance:
                # The violation names the property; jsonschema would say it in prose alone.
                error = jsonschema.ValidationError(f"{name!r} is a required property")
                error.missing = name
                yield error


def _is_integer(_checker: Any, instance: Any) -> bool:
    if isinstance(instance, Decimal):
        return instance == instance.to_integral_value()
    return isinstance(instance, int) and not isinstance(instance, bool)


def _is_integer_literal(_checker: Any, instance: Any) -> bool:
    """Draft 4: 1.0 is no integer. Literals that are too long for ``int`` are decimals here."""
    if isinstance(instance, Decimal):
        return instance.as_tuple().exponent == 0
    return isinstance(instance, int) and not isinstance(instance, bool)


def _evolve(original: Callable[..., Any]) -> Callable[..., Any]:
    def evolve(self: Any, **changes: Any) -> Any:
        evolved = original(self, **changes)
        # A "$schema" below the root has jsonschema choose one of its own classes.
        ours = _OURS.get(type(evolved))
        if ours is None:
            return evolved
        fields = {f.alias: getattr(evolved, f.name) for f in attrs.fields(type(evolved)) if f.init}
        return ours(**fields)

    return evolve


@functools.cache
def validator_class(draft: str, ignored: frozenset[str] = frozenset()) -> Any:
    """Return the class of the validators of a draft, less some keywords."""
    base = DRAFTS[draft]
    known: dict[Any, Any] = {}
    keywords = {name: _with_ecma(function, known) for name, function in base.VALIDATORS.items()}
    keywords["multipleOf"] = _multiple_of
    keywords["required"] = _required
    integer = _is_integer_literal if draft == "4" else _is_integer
    made = validators.create(
        meta_schema=base.META_SCHEMA,
        validators={name: function for name, function in keywords.items() if name not in ignored},
        type_checker=base.TYPE_CHECKER.redefine("integer", integer),
        format_checker=None,
        id_of=base.ID_OF,
        applicable_validators=_applicable(draft),
    )
    made.evolve = _evolve(made.evolve)
    return made


def _applicable(draft: str) -> Callable[[Any], Any]:
    def items(schema: dict[str, Any]) -> Any:
        return schema.items()

    def reference_alone(schema: dict[str, Any]) -> Any:
        return [("$ref", schema["$ref"])] if "$ref" in schema else schema.items()

    return reference_alone if draft in ("4", "6", "7") else items


_OURS = {base: validator_class(draft) for draft, base in DRAFTS.items()}


def format_checker() -> Any:
    """Make a checker of formats: of all that structgen enforces, in every draft."""
    checker = jsonschema.FormatChecker(formats=())
    for name in sorted(BUILT_IN_FORMATS):
        checker.checks(name)(functools.partial(_patterns.has_format, name))
    return checker


def pattern_checker() -> Any:
    """Make a checker for schemas: patterns are such that can be matched, in legacy syntax, too."""
    checker = jsonschema.FormatChecker(formats=())
    checker.checks("regex")(_patterns.is_pattern)
    return checker
