"""What the tests of the JSON Schema front end share: two engines and an oracle."""

import functools
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import jsonschema
import regress
from jsonschema.protocols import Validator

from structgen._frontends.json_schema import Options, lower_json_schema
from tests.json_schema import exact_keywords
from tests.json_schema.reference import ExpressionBuilder

Language = Callable[[str], bool]

ENGINES = ("reference", "core")

VALIDATORS = {
    "4": jsonschema.Draft4Validator,
    "6": jsonschema.Draft6Validator,
    "7": jsonschema.Draft7Validator,
    "2019-09": jsonschema.Draft201909Validator,
    "2020-12": jsonschema.Draft202012Validator,
}


@functools.cache
def small_vocabulary() -> Any:
    """Every byte, some longer tokens and an end token."""
    from structgen import Vocabulary

    longer = [
        b'{"',
        b'":',
        b'", "',
        b'"}',
        b"}}",
        b"]}",
        b"tr",
        b"ue",
        b"null",
        b"a1",
        b"\xc3\xa9",
        b"10",
        b".5",
    ]
    tokens = [bytes([byte]) for byte in range(256)] + longer + [b"</s>"]
    return Vocabulary(tokens, eos_token_ids=[len(tokens) - 1])


def language(schema: Any, engine: str = "core", **options: Any) -> Language:
    """Compile a schema; the result tells whether a text is in its language."""
    if engine == "reference":
        builder = ExpressionBuilder()
        start, _ = lower_json_schema(schema, builder, Options(**options))
        return lambda text: builder.matches(start, text)
    import structgen

    automaton = structgen.compile_json_schema(schema, small_vocabulary(), **options)

    def holds(text: str) -> bool:
        state = automaton.advance_bytes(automaton.start, text.encode())
        return state != structgen.DEAD and automaton.accepts(state)

    return holds


def compiles(schema: Any, **options: Any) -> bool:
    """Tell whether a schema compiles, where the alternative is to say why not."""
    import structgen

    try:
        structgen.compile_json_schema(schema, small_vocabulary(), **options)
    except (structgen.SchemaError, structgen.LimitError):
        return False
    return True


def check(schema: Any, engine: str, accepted: list[str], rejected: list[str], **options: Any) -> None:
    """Assert which texts a schema's language holds."""
    holds = language(schema, engine, **options)
    assert [text for text in accepted if not holds(text)] == []
    assert [text for text in rejected if holds(text)] == []


# -- the oracle ----------------------------------------------------------------------------


def _pattern(validator: Validator, pattern: str, instance: Any, schema: Any) -> Any:
    if isinstance(instance, str) and regress.Regex(pattern, "u").find(instance) is None:
        yield jsonschema.ValidationError(f"{instance!r} does not match {pattern!r}")


def _matching(patterns: Any, key: str) -> bool:
    return any(regress.Regex(pattern, "u").find(key) is not None for pattern in patterns)


def _pattern_properties(validator: Any, patterns: Any, instance: Any, schema: Any) -> Any:
    if isinstance(instance, dict):
        for pattern, subschema in patterns.items():
            for key, value in instance.items():
                if _matching([pattern], key):
                    yield from validator.descend(value, subschema, path=key, schema_path=pattern)


def _additional_properties(validator: Any, additional: Any, instance: Any, schema: Any) -> Any:
    if isinstance(instance, dict):
        for key, value in instance.items():
            if key not in schema.get("properties", {}) and not _matching(
                schema.get("patternProperties", {}), key
            ):
                yield from validator.descend(value, additional, path=key)


def _is_integer(_: Any, instance: Any) -> bool:
    whole = isinstance(instance, Decimal) and instance == instance.to_integral_value()
    return whole or (isinstance(instance, int) and not isinstance(instance, bool))


_UNEVALUATED = {
    "unevaluatedProperties": exact_keywords.unevaluated_properties,
    "unevaluatedItems": exact_keywords.unevaluated_items,
}


@functools.cache
def _validator(draft: str) -> Any:
    base = VALIDATORS[draft]
    checker = base.TYPE_CHECKER
    return jsonschema.validators.extend(
        base,
        {
            "pattern": _pattern,
            "patternProperties": _pattern_properties,
            "additionalProperties": _additional_properties,
            "multipleOf": exact_keywords.multiple_of,
            "uniqueItems": exact_keywords.unique_items,
            **(_UNEVALUATED if draft in ("2019-09", "2020-12") else {}),
        },
        type_checker=checker if draft == "4" else checker.redefine("integer", _is_integer),
    )


def oracle(schema: Any, draft: str = "2020-12", registry: Any = None) -> Callable[[str], bool]:
    """Validate texts with ``jsonschema``: exact decimals, patterns by an ECMA-262 engine, no formats."""
    exact = json.loads(json.dumps(schema, default=float), parse_float=Decimal)
    validator = _validator(draft)(exact, **({} if registry is None else {"registry": registry}))
    return lambda text: bool(validator.is_valid(json.loads(text, parse_float=Decimal)))
