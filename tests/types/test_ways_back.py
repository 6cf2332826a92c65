"""Every output of a type's automaton parses into the type, and nothing that its schema refuses does."""

import datetime as dt
import json
import re
from typing import Any

import jsonschema
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

import structgen
from tests.types.examples import OWN, SHARED, Colour, Level, Order, Tree
from tests.types.support import CHOICES, automaton_of, exact, parses, validates, walk


@pytest.mark.parametrize("type_", SHARED + OWN, ids=repr)
def test_the_schema_is_a_schema(type_: Any) -> None:
    schema = structgen.schema_of(type_)
    jsonschema.Draft202012Validator.check_schema(json.loads(json.dumps(schema)))
    assert structgen.schema_of(type_) == schema
    assert structgen.schema_of(type_) is not schema


@pytest.mark.parametrize("type_", SHARED, ids=repr)
@settings(max_examples=25)
@given(choices=CHOICES)
def test_outputs_parse_to_what_pydantic_reads(type_: Any, choices: list[int]) -> None:
    text = walk(automaton_of(type_), choices)
    value = structgen.parse_output(text, type_)
    expected = TypeAdapter(type_).validate_json(text)
    assert value == expected
    # 1, 1.0 and True are equal; Pydantic has names of its own for UTC, and makes frozen sets.
    if not isinstance(value, (dt.datetime, dt.time, set)):
        assert repr(value) == repr(expected)


@pytest.mark.parametrize("type_", OWN, ids=repr)
@settings(max_examples=25)
@given(choices=CHOICES)
def test_outputs_parse(type_: Any, choices: list[int]) -> None:
    text = walk(automaton_of(type_), choices)
    assume(not re.search("[eE].?[0-9]{7}", text))  # Decimal's own limit is some 18 digits
    assert validates(type_, exact(text))
    structgen.parse_output(text, type_)


# Values near those of the examples: keys and words that occur in them, at any place.
WORDS = "a b c x y red green half true id items name price title year value children key aa 12 xx".split()
SCALARS = st.none() | st.booleans() | st.integers(-3, 25) | st.sampled_from([0.5, 1.0, 3.25, *WORDS])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("type_", SHARED + OWN, ids=repr)
@settings(max_examples=60)
@given(data=st.data())
def test_parsing_takes_what_the_schema_takes(type_: Any, data: st.DataObject) -> None:
    value = data.draw(VALUES)
    text = json.dumps(value)
    if not isinstance(value, str | bool | None) and data.draw(st.booleans()):
        # A valid text with one value in it replaced: much closer to the type.
        document = json.loads(walk(automaton_of(type_), data.draw(CHOICES)))
        text = json.dumps(_replaced(document, value, data))
        assume("Infinity" not in text)
    assert parses(type_, text) == validates(type_, exact(text))


def _replaced(document: Any, value: Any, data: st.DataObject) -> Any:
    if document and isinstance(document, list):
        place = data.draw(st.integers(0, len(document) - 1))
        return [_replaced(item, value, data) if i == place else item for i, item in enumerate(document)]
    if document and isinstance(document, dict):
        place = data.draw(st.sampled_from(sorted(document)))
        if data.draw(st.booleans()):
            return {key: item for key, item in document.items() if key != place}
        return {key: _replaced(item, value, data) if key == place else item for key, item in document.items()}
    return value


def test_every_option_of_the_compiler_is_passed_on() -> None:
    vocabulary = structgen.Vocabulary([bytes([b]) for b in range(256)] + [b"<eos>"], eos_token_ids=256)
    text = b'{"items":[],"id":1.0}'
    for options, accepted in (({}, False), ({"property_order": "any", "numbers": "all"}, True)):
        automaton = structgen.compile_type(Order, vocabulary, **options)
        assert automaton.accepts(automaton.advance_bytes(automaton.start, text)) is accepted
    assert structgen.parse_output(text.decode(), Order) == Order(id=1, items=[])
    with pytest.raises(TypeError, match="draft"):
        structgen.compile_type(Order, vocabulary, draft="7")


def test_a_nested_output_comes_back_whole() -> None:
    text = """{"id": 7, "items": [{"name": "ink", "price": 2, "colour": "green"}], "tags": {"a": 2}}"""
    order = structgen.parse_output(text, Order)
    assert order.items[0].colour is Colour.GREEN
    assert isinstance(order.items[0].price, float)
    assert order.tags == {"a": Level.HIGH}
    assert order.note is None


def test_a_deep_recursive_output() -> None:
    depth = 100
    text = '{"value":1,"children":[' * depth + '{"value":2}' + "]}" * depth
    automaton = automaton_of(Tree)
    assert automaton.accepts(automaton.advance_bytes(automaton.start, text.encode()))
    tree = structgen.parse_output(text, Tree)
    for _ in range(depth):
        (tree,) = tree.children
    assert tree == Tree(2)
    with pytest.raises(ValueError, match="nests too deeply"):
        structgen.parse_output("[" * 100_000, list)
