"""Large schemas: they compile, or a limit says where; in bounded time and memory.

Each schema is compiled in a process of its own, which may not map more than ``MEMORY`` bytes.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

import structgen
from tests.json_schema.support import small_vocabulary

MEMORY = 2 << 30
COMPILE_SECONDS = 10.0
# What a compilation takes beyond its limit, on a busy machine: the last step before the clock is looked at.
GRACE = 2.0


class Large(NamedTuple):
    """A large schema with a member of its language and a text outside, or with the limit that it reaches."""

    schema: Callable[[], Any]
    accepted: str = ""
    rejected: str = ""
    limit: str = ""


def nest(depth: int, wrap: Callable[[Any], Any], leaf: Any) -> Any:
    for _ in range(depth):
        leaf = wrap(leaf)
    return leaf


def reference(number: int) -> dict[str, str]:
    return {"$ref": f"#/$defs/d{number}"}


def definitions(count: int, make: Callable[[int], Any]) -> dict[str, Any]:
    return {"$defs": {f"d{i}": make(i) for i in range(count)}}


def recursive(count: int) -> dict[str, Any]:
    """Make definitions that overlap and lead to each other."""
    return definitions(
        count,
        lambda i: {
            "type": "object",
            "properties": {
                "a": reference((i + 1) % count),
                "b": {"items": reference(i * 3 % count)},
                "c": {"maxLength": i},
            },
            "required": ["a"] if i % 3 else [],
        },
    )


def tree(depth: int) -> dict[str, Any]:
    leaf = {"type": "string", "pattern": "^a+$"}
    children = {f"k{i}": tree(depth - 1) if depth else leaf for i in range(6)}
    return {"type": "object", "properties": children, "required": ["k1"]}


def conditions(count: int, make: Callable[[int], Any]) -> dict[str, Any]:
    return {"type": "object", "allOf": [make(i) for i in range(count)]}


LARGE = {
    "a megabyte of properties": Large(
        lambda: {
            "properties": {
                f"k{i}": {"type": "string", "minLength": i % 9, "title": "x" * 80} for i in range(9000)
            }
        },
        '{"k8":"12345678"}',
        '{"k8":"1234567"}',
    ),
    "a megabyte of nested objects": Large(lambda: tree(5), '{"k1":' * 6 + '"a"' + "}" * 6, "{}"),
    "a megabyte of constants": Large(
        lambda: {"enum": [f"value number {i} of the enumeration" for i in range(25_000)]},
        '"value number 24999 of the enumeration"',
        '"value number 25000 of the enumeration"',
    ),
    "5,000 definitions in a circle": Large(
        lambda: {
            **reference(0),
            **definitions(
                5000,
                lambda i: {
                    "type": "object",
                    "properties": {"a": reference((i + 1) % 5000), "b": {"maximum": i}},
                },
            ),
        },
        '{"a":{"a":{"b":2}}}',
        '{"a":{"a":{"b":3}}}',
    ),
    "5,000 definitions for one value": Large(
        lambda: {**reference(0), **definitions(5000, lambda i: reference(i + 1) if i < 4999 else {})},
        limit="more than 64 schemas inside each other",
    ),
    "5,000 definitions of one object": Large(
        lambda: {
            "properties": {f"k{i}": reference(i) for i in range(5000)},
            **definitions(5000, lambda i: {"type": "object", "properties": {"n": {"maximum": i}}}),
        },
        '{"k7":{"n":7}}',
        '{"k7":{"n":8}}',
    ),
    "5,000 tagged branches": Large(
        lambda: {
            "oneOf": [reference(i) for i in range(5000)],
            **definitions(
                5000,
                lambda i: {
                    "type": "object",
                    "properties": {"t": {"const": f"t{i}"}, "v": {"maximum": i}},
                    "required": ["t"],
                },
            ),
        },
        '{"t":"t7","v":7}',
        '{"t":"t7","v":8}',
    ),
    "5,000 constants as branches": Large(
        lambda: {"oneOf": [{"const": i, "title": str(i)} for i in range(5000)]}, "4999", "5000"
    ),
    "5,000 branches, two of them alike": Large(
        lambda: {"oneOf": [{"const": f"c{i % 4999}"} for i in range(5000)]}, '"c1"', '"c0"'
    ),
    "100 optional properties with schemas that depend on them": Large(
        lambda: {
            "dependentSchemas": {
                f"k{i}": {"properties": {f"k{(i * 7 + 1) % 100}": {"minimum": i}}} for i in range(100)
            }
        },
        '{"k5":1,"k36":5}',
        '{"k5":1,"k36":4}',
    ),
    "not and oneOf, 30 deep": Large(
        lambda: nest(
            30,
            lambda inner: {"oneOf": [{"not": inner}, {"required": ["a"]}, {"minimum": 2}]},
            {"type": "integer"},
        ),
        "1",
        "2",
    ),
    "oneOf of negated properties, 30 deep": Large(
        lambda: nest(
            30,
            lambda inner: {"oneOf": [{"not": {"properties": {"a": inner}}}, {"required": ["b"]}]},
            {"type": "integer"},
        ),
        '{"b":1}',
        "{}",
    ),
    "the opposite of a large recursive schema": Large(
        lambda: {"not": reference(0), **recursive(300)}, '{"a":{}}', "{}"
    ),
    "a recursive schema and its opposite": Large(
        lambda: {
            "type": "object",
            "properties": {"x": {"not": {"$ref": "#"}}, "y": reference(0)},
            "not": reference(1),
            **recursive(30),
        },
        '{"x":1}',
        '{"y":1}',
    ),
    "30 overlapping recursive branches": Large(
        lambda: {"oneOf": [reference(i) for i in range(30)], **recursive(30)},
        '{"c":"' + "x" * 27 + '"}',
        '{"c":"x"}',
    ),
    "30 overlapping intervals": Large(
        lambda: {"oneOf": [{"minimum": i, "maximum": i * 2 + 3} for i in range(30)]}, "61", "10"
    ),
    "200 conditions about one property": Large(
        lambda: conditions(
            200,
            lambda i: {
                "required": ["kind"],
                "if": {"properties": {"kind": {"const": f"v{i}"}}},
                "then": {"required": [f"k{i}"]},
            },
        ),
        '{"kind":"v3","k3":1}',
        '{"kind":"v3","k4":1}',
    ),
    "200 conditions that share properties": Large(
        lambda: conditions(
            200,
            lambda i: {
                "if": {"properties": {f"k{i % 50}": {"const": i}}, "required": [f"k{i % 50}"]},
                "then": {"required": [f"k{i * 3 % 50}"]},
                "else": {"properties": {f"k{i * 7 % 50}": {"type": ["integer", "string"]}}},
            },
        ),
        limit="max_compile_seconds",
    ),
    "anyOf in anyOf, 2,048 paths": Large(
        lambda: nest(
            11, lambda inner: {"anyOf": [inner, {"allOf": [inner, {"maxLength": 3}]}]}, {"minimum": 3}
        ),
        "3",
        "2",
    ),
    "two to the twenty-four combinations of branches": Large(
        lambda: conditions(24, lambda i: {"anyOf": [{"required": [f"a{i}"]}, {"required": [f"b{i}"]}]}),
        json.dumps({f"a{i}": 1 for i in range(24)}),
        json.dumps({f"a{i}": 1 for i in range(23)}),
    ),
    "three to the thirty combinations of branches": Large(
        lambda: {
            "type": "array",
            "allOf": [
                {"anyOf": [{"items": {"maximum": i}}, {"items": {"maxLength": i}}, {"minItems": i}]}
                for i in range(30)
            ],
        },
        "[0]",
        '[31,"' + "a" * 31 + '"]',
    ),
    "20 overlapping counts": Large(
        lambda: {
            "type": "array",
            "allOf": [{"contains": {"minimum": i, "maximum": i + 5}, "maxContains": 3} for i in range(20)],
        },
        "[5,10,15,20]",
        "[5,10,15]",
    ),
    "unevaluated properties below 25 choices": Large(
        lambda: {
            "type": "object",
            "unevaluatedProperties": False,
            "allOf": [
                {
                    "anyOf": [
                        {"properties": {f"a{i}": {"type": "null"}}, "required": [f"a{i}"]},
                        {"properties": {f"b{i}": {}}},
                    ]
                }
                for i in range(25)
            ],
        },
        '{"a3":null,"b4":1}',
        '{"a3":1,"b4":1}',
    ),
    "9 patterns of keys": Large(
        lambda: {"patternProperties": {chr(97 + i): {"minimum": i} for i in range(9)}}, limit="256 classes"
    ),
    "2,000 objects, one by one": Large(
        lambda: {
            "enum": [{"a": i, "b": [i]} for i in range(2000)],
            "not": {"properties": {"a": {"multipleOf": 3}}},
        },
        '{"a":1,"b":[1]}',
        '{"a":3,"b":[3]}',
    ),
}


def compile_one(name: str) -> None:
    """Compile one of the schemas and print what comes of it."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    large = LARGE[name]
    text = json.dumps(large.schema())
    outcomes = []
    for order in ("schema", "any"):
        begin, error, accepts = time.process_time(), "", []
        try:
            automaton = structgen.compile_json_schema(
                text, small_vocabulary(), property_order=order, max_compile_seconds=COMPILE_SECONDS
            )
        except structgen.LimitError as caught:
            error = str(caught)
        seconds = time.process_time() - begin
        if not error:
            session = automaton.session()
            session.mask(session.start)
            for example in (large.accepted, large.rejected):
                state = session.advance_bytes(session.start, example.encode())
                accepts.append(state != structgen.DEAD and session.accepts(state))
        outcomes.append((error, seconds, accepts))
    print(json.dumps(outcomes))


@pytest.mark.parametrize("name", LARGE)
def test_large_schemas(name: str) -> None:
    program = f"from tests.json_schema.test_size import compile_one; compile_one({name!r})"
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr[-2000:]
    for error, seconds, accepts in json.loads(finished.stdout):
        assert seconds < COMPILE_SECONDS + GRACE
        if LARGE[name].limit:
            assert LARGE[name].limit in error
            assert error.startswith(("at '/", "at the root"))
        else:
            assert error == ""
            assert accepts == [True, False]


def test_shared_python_objects_are_read_once() -> None:
    """Two to the thirty paths lead through the first schema, two to the hundred through the second."""
    inner: Any = {"minimum": 3}
    for _ in range(30):
        inner = {"anyOf": [inner, {"allOf": [inner, {"maxLength": 3}]}]}
    begin = time.process_time()
    with pytest.raises(structgen.LimitError):
        structgen.compile_json_schema(inner, small_vocabulary())
    inner = {"type": "null"}
    for _ in range(100):
        inner = {"properties": {"a": inner, "b": inner}, "unevaluatedProperties": inner}
    structgen.compile_json_schema(inner, small_vocabulary())
    assert time.process_time() - begin < 5
