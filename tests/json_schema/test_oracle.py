"""The language of a random schema is what ``jsonschema`` says, in every option and on both engines."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from structgen import UnsatisfiableSchemaError
from structgen.testing.schemas import instances, json_schemas, json_values, spellings
from tests.json_schema.support import ENGINES, Language, language, oracle

_SETTINGS = settings(deadline=None, suppress_health_check=list(HealthCheck))
_OPTIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "escapes": {"escapes": "all"},
    "numbers": {"numbers": "all"},
    "no repeats": {"duplicate_keys": "forbid"},
}


def _compile(schema: Any, engine: str, **options: Any) -> Language:
    try:
        return language(schema, engine, property_order="any", **options)
    except UnsatisfiableSchemaError:
        return lambda text: False


@pytest.mark.parametrize("options", _OPTIONS)
@pytest.mark.parametrize("engine", ENGINES)
@settings(_SETTINGS, max_examples=40)
@given(data=st.data())
def test_language(engine: str, options: str, data: st.DataObject) -> None:
    schema = data.draw(json_schemas())
    holds, valid = _compile(schema, engine, **_OPTIONS[options]), oracle(schema)
    for _ in range(4):
        value = data.draw(instances(schema))
        text = data.draw(spellings(value, escapes=options == "escapes", numbers=options == "numbers"))
        assert holds(text) == valid(text), text


@settings(_SETTINGS, max_examples=40)
@given(data=st.data())
def test_order(data: st.DataObject) -> None:
    """The schema's order holds fewer texts than any order, and only valid ones."""
    schema = data.draw(json_schemas())
    try:
        ordered = language(schema)
    except UnsatisfiableSchemaError:
        return
    free, valid = language(schema, property_order="any"), oracle(schema)
    for _ in range(4):
        text = data.draw(spellings(data.draw(instances(schema))))
        assert free(text) == valid(text)
        assert free(text) or not ordered(text)
        if "," not in text:
            assert ordered(text) == free(text)


@settings(_SETTINGS, max_examples=40)
@given(data=st.data())
def test_constants(data: st.DataObject) -> None:
    """A constant holds exactly the spellings of its value."""
    value = data.draw(json_values())
    schema = data.draw(st.sampled_from([{"const": value}, {"enum": [value, "other"]}]))
    holds = _compile(schema, "core")
    assert holds(data.draw(spellings(value)))
    other = data.draw(json_values())
    text = data.draw(spellings(other))
    assert holds(text) == oracle({"enum": [value, *schema.get("enum", [])]})(text)


@settings(_SETTINGS, max_examples=40)
@given(data=st.data())
def test_shortest_output_is_valid(data: st.DataObject) -> None:
    """What the automaton can always be completed to is an instance."""
    import structgen
    from tests.json_schema.support import small_vocabulary

    schema = data.draw(json_schemas())
    try:
        automaton = structgen.compile_json_schema(schema, small_vocabulary())
    except UnsatisfiableSchemaError:
        return
    assert oracle(schema)(automaton.shortest(automaton.start).decode())
