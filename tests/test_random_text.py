"""Random texts: every one is in the language, by other judges than the automaton; and uniform ones are."""

import itertools
import json
import re
from collections import Counter
from pathlib import Path

import jsonschema
import lark
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import structgen
from structgen.testing.schemas import json_schemas

BYTES = structgen.Vocabulary.of_bytes()
SCHEMAS = sorted((Path(__file__).parents[1] / "examples" / "demo" / "schemas").glob("*.json"))


def _validator(schema):
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.stem)
def test_texts_of_a_schema_validate_and_vary(path):
    schema = json.loads(path.read_text())
    automaton = structgen.compile_json_schema(schema, BYTES, whitespace="compact")
    texts = structgen.random_texts(automaton, 20, seed=1)
    assert [text for text in texts if not _validator(schema).is_valid(json.loads(text))] == []
    assert len(set(texts)) == 20
    assert not any("\n" in text for text in texts)


def test_optional_properties_and_branches_come_and_go():
    schema = {
        "type": "object",
        "properties": {
            "a": {"type": ["integer", "null"]},
            "b": {"enum": ["x", "yy"]},
            "c": {"type": "array"},
        },
        "required": ["b"],
        "additionalProperties": False,
    }
    automaton = structgen.compile_json_schema(schema, BYTES, whitespace="compact")
    values = [json.loads(text) for text in structgen.random_texts(automaton, 60, seed=0)]
    assert {frozenset(value) for value in values} == {
        frozenset("b"), frozenset("ab"), frozenset("bc"), frozenset("abc")
    }  # fmt: skip
    assert {value["b"] for value in values} == {"x", "yy"}
    assert {type(value["a"]) for value in values if "a" in value} == {int, type(None)}
    assert len({len(value["c"]) for value in values if "c" in value}) > 2


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(json_schemas(), st.integers(0, 9))
def test_texts_of_any_schema_validate(schema, seed):
    try:
        automaton = structgen.compile_json_schema(schema, BYTES, whitespace="compact")
    except (structgen.SchemaError, structgen.LimitError):
        return
    shortest = len(automaton.shortest(automaton.start))
    for text in structgen.random_texts(automaton, 5, seed=seed, max_bytes=shortest + 30):
        assert len(text.encode()) <= shortest + 30
        assert _validator(schema).is_valid(json.loads(text))


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "format": "hostname"},
        {"type": "array", "uniqueItems": True, "items": {"type": "object"}, "minItems": 3},
        {
            "not": {"required": ["a"], "properties": {"a": {"type": "object", "minProperties": 1}}},
            "type": "object",
        },
    ],
)
def test_what_is_checked_at_the_end_holds(schema):
    automaton = structgen.compile_json_schema(schema, BYTES, whitespace="compact")
    validator = jsonschema.Draft202012Validator(
        schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )
    texts = structgen.random_texts(automaton, 4, seed=0)
    assert all(validator.is_valid(json.loads(text)) for text in texts)


@pytest.mark.parametrize("name", ["arithmetic", "json", "sql", "csv", "smiles"])
def test_texts_of_a_grammar_parse(name):
    source = structgen.load_grammar(name)
    parser = lark.Lark(source, parser="lalr")
    automaton = structgen.compile_lark(f"grammars:{name}", BYTES)
    texts = structgen.random_texts(automaton, 10, seed=3, max_bytes=100)
    for text in texts:
        parser.parse(text)
    assert len(set(texts)) > 3


def test_texts_of_a_regex_match_and_are_reproducible():
    pattern = r"[a-z]{2,20}(-[0-9]+)*@[a-z]+\.(com|org)"
    automaton = structgen.compile_regex(pattern, BYTES)
    texts = structgen.random_texts(automaton, 40, seed=5)
    assert all(re.fullmatch(pattern, text) for text in texts)
    assert texts == structgen.random_texts(automaton, 40, seed=5)
    assert texts != structgen.random_texts(automaton, 40, seed=6)
    assert {text[-3:] for text in texts} == {"com", "org"}


def test_recursion_without_bounds_ends():
    tree = {"type": "array", "items": {"$ref": "#"}, "minItems": 0}
    automaton = structgen.compile_json_schema(tree, BYTES, whitespace="compact")
    texts = structgen.random_texts(automaton, 50, seed=0, max_bytes=60)
    assert all(len(text) <= 60 and _validator(tree).is_valid(json.loads(text)) for text in texts)
    assert max(map(len, texts)) > 20


@pytest.mark.parametrize(
    ("pattern", "longest"), [("(a|bb|[xyz]c*)*", 5), ("é|e|[a-c]{2}", 2), ("", 0), ("a*", 4)]
)
def test_uniform_texts_have_the_same_chance(pattern, longest):
    alphabet = "abcexyzé"
    members = {
        text
        for length in range(longest + 1)
        for text in map("".join, itertools.product(alphabet, repeat=length))
        if len(text.encode()) <= longest and re.fullmatch(pattern, text)
    }
    automaton = structgen.compile_regex(pattern, BYTES)
    n = 100 * len(members)
    counts = Counter(structgen.random_texts(automaton, n, seed=0, max_bytes=longest, method="uniform"))
    assert set(counts) == members
    # Pearson's statistic is below its mean plus five standard deviations.
    statistic = sum((count - 100) ** 2 / 100 for count in counts.values())
    freedom = len(members) - 1
    assert statistic <= freedom + 5 * (2 * freedom) ** 0.5


@pytest.mark.parametrize("method", ["varied", "uniform"])
def test_refused(method):
    automaton = structgen.compile_regex("abc|abcd", BYTES)
    assert set(structgen.random_texts(automaton, 30, seed=0, max_bytes=3, method=method)) == {"abc"}
    assert structgen.random_texts(automaton, 0, method=method, max_bytes=4) == []
    with pytest.raises(ValueError, match="the shortest text has 3 bytes"):
        structgen.random_texts(automaton, 1, max_bytes=2, method=method)
    with pytest.raises(ValueError, match="must not be negative"):
        structgen.random_texts(automaton, -1, method=method)
    small = structgen.Vocabulary([b"a", b"b", b""], eos_token_ids=2)
    with pytest.raises(ValueError, match="a token for every byte"):
        structgen.random_texts(structgen.compile_regex("a", small), 1, method=method)


def test_uniform_has_a_limit_and_methods_have_names(monkeypatch):
    monkeypatch.setattr("structgen._random_text._MAX_STATES", 500)
    automaton = structgen.compile_json_schema({"type": "array"}, BYTES, whitespace="compact")
    with pytest.raises(structgen.LimitError, match="smaller max_bytes"):
        structgen.random_texts(automaton, 1, max_bytes=400, method="uniform")
    with pytest.raises(ValueError, match="'varied' or 'uniform'"):
        structgen.random_texts(automaton, 1, method="other")
