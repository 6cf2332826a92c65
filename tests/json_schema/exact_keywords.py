"""Keywords that ``jsonschema`` gets wrong or inexact: multiples, unique items, what is unevaluated."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import regress
from jsonschema import ValidationError


def multiple_of(validator: Any, divisor: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    """``multipleOf`` without rounding."""
    if validator.is_type(instance, "number") and (Fraction(instance) / Fraction(divisor)).denominator != 1:
        yield ValidationError(f"{instance} is no multiple of {divisor}")


def unique_items(validator: Any, unique: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    """``uniqueItems`` by comparing every pair."""
    if unique and isinstance(instance, list) and len({_canonical(item) for item in instance}) < len(instance):
        yield ValidationError(f"{instance} holds an item twice")


def _canonical(value: Any) -> Any:
    """Make a key that is equal for equal JSON values: 1 is 1.0 and not true."""
    if isinstance(value, dict):
        return "object", frozenset((key, _canonical(item)) for key, item in value.items())
    if isinstance(value, list):
        return "array", tuple(map(_canonical, value))
    if value is None or isinstance(value, (bool, str)):
        return type(value).__name__, value
    return "number", Fraction(value)


def unevaluated_properties(
    validator: Any, rest: Any, instance: Any, schema: Any
) -> Iterator[ValidationError]:
    """``unevaluatedProperties`` by the annotations of the specification."""
    if isinstance(instance, dict):
        evaluated = _evaluated(validator, instance, _without(schema, "unevaluatedProperties"))
        for key in instance.keys() - evaluated:
            yield from validator.descend(instance[key], rest, path=key)


def unevaluated_items(validator: Any, rest: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    """``unevaluatedItems`` by the annotations of the specification."""
    if isinstance(instance, list):
        evaluated = _evaluated(validator, instance, _without(schema, "unevaluatedItems"))
        for index in set(range(len(instance))) - evaluated:
            yield from validator.descend(instance[index], rest, path=index)


def _without(schema: dict[str, Any], keyword: str) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key != keyword}


def _evaluated(validator: Any, instance: Any, schema: Any) -> set[Any]:
    """Collect the keys or indices that a schema evaluates, taking for granted that the instance is valid."""
    if not isinstance(schema, dict):
        return set()
    found = _evaluated_here(validator, instance, schema)
    for keyword, resolve in _RESOLVERS.items():
        if keyword in schema:
            resolved = resolve(validator, schema[keyword])
            inside = validator.evolve(schema=resolved.contents, _resolver=resolved.resolver)
            found |= _evaluated(inside, instance, resolved.contents)
    branches = [*schema.get("allOf", ()), *schema.get("anyOf", ()), *schema.get("oneOf", ())]
    if isinstance(instance, dict):
        branches += [child for key, child in schema.get("dependentSchemas", {}).items() if key in instance]
    if "if" in schema:
        holds = validator.evolve(schema=schema["if"]).is_valid(instance)
        branches += [schema["if"], schema.get("then", True)] if holds else [schema.get("else", True)]
    for branch in branches:
        inside = validator.evolve(schema=branch)
        if inside.is_valid(instance):
            found |= _evaluated(inside, instance, branch)
    return found


def _evaluated_here(validator: Any, instance: Any, schema: dict[str, Any]) -> set[Any]:
    if isinstance(instance, dict):
        if "additionalProperties" in schema or "unevaluatedProperties" in schema:
            return set(instance)
        patterns = [regress.Regex(pattern, "u") for pattern in schema.get("patternProperties", ())]
        return {
            key
            for key in instance
            if key in schema.get("properties", ()) or any(pattern.find(key) for pattern in patterns)
        }
    newest = "prefixItems" in validator.VALIDATORS
    everything, items = set(range(len(instance))), schema.get("items")
    prefix = schema.get("prefixItems", []) if newest else items if isinstance(items, list) else []
    if "unevaluatedItems" in schema or ("items" in schema and (newest or not isinstance(items, list))):
        return everything
    if isinstance(items, list) and "additionalItems" in schema:
        return everything
    found = everything & set(range(len(prefix)))
    if newest and "contains" in schema:
        child = validator.evolve(schema=schema["contains"])
        found |= {index for index in everything if child.is_valid(instance[index])}
    return found


def _lookup(validator: Any, reference: str) -> Any:
    return validator._resolver.lookup(reference)


def _lookup_recursive(validator: Any, reference: str) -> Any:
    from referencing.jsonschema import lookup_recursive_ref

    return lookup_recursive_ref(validator._resolver)


_RESOLVERS = {"$ref": _lookup, "$dynamicRef": _lookup, "$recursiveRef": _lookup_recursive}
