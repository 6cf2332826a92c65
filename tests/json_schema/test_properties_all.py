"""Random schemas with every keyword: the language, walks over masks, and the laws of the boolean keywords."""

import functools
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

import structgen
from structgen.testing import vocabularies
from structgen.testing.schemas import HARD_KEYWORDS, instances, json_schemas, spellings
from tests.json_schema.support import VALIDATORS, oracle, small_vocabulary

_SETTINGS = settings(deadline=None, suppress_health_check=list(HealthCheck))

# The share of schemas that may be refused, by test: what is refused is not tested. Documented limits and
# schemas that refer to themselves for one value are all there is.
MOST_REFUSED = 0.05

# Guards decide these where automata cannot; only then may a walk end in GuardDeadEnd.
_GUARDED = ("uniqueItems", "format")

_counts: Counter[str] = Counter()


class _RefusedError(Exception):
    """The front end refuses a schema: there is nothing to compare."""


@pytest.fixture(autouse=True)
def _few_refusals() -> Iterator[None]:
    _counts.clear()
    yield
    total = _counts.total()
    assert not total or _counts["refused"] / total <= MOST_REFUSED, dict(_counts)


def _compile(schema: Any, vocabulary: Any = None, **options: Any) -> Any:
    """Compile; None when no value satisfies the schema."""
    fixed = {"formats": "annotate", "property_order": "any", "max_compile_seconds": 10.0}
    options = fixed | options
    try:
        automaton = structgen.compile_json_schema(schema, vocabulary or small_vocabulary(), **options)
    except structgen.UnsatisfiableSchemaError:
        automaton = None
    except structgen.SchemaError as error:
        _counts["refused"] += 1
        event(f"refused: {error.keyword}: {error.reason}")
        raise _RefusedError from error
    except structgen.LimitError as error:
        _counts["refused"] += 1
        event(f"refused: {error}")
        raise _RefusedError from error
    _counts["compiled"] += 1
    return automaton


def _unless_refused(test: Callable[..., None]) -> Callable[..., None]:
    """Let a refused schema pass; how many there are is counted and limited."""

    @functools.wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        try:
            test(*arguments, **named)
        except _RefusedError:
            return

    return run


def _holds(automaton: Any, text: str) -> bool:
    if automaton is None:
        return False
    session = automaton.session()
    state = session.advance_bytes(session.start, text.encode())
    return bool(state != structgen.DEAD and session.accepts(state))


# -- what is drawn -------------------------------------------------------------------------


@pytest.mark.parametrize("draft", ["4", "6", "7", "2019-09", "2020-12"])
@settings(_SETTINGS, max_examples=30)
@given(data=st.data())
def test_schemas_are_valid(draft: Any, data: st.DataObject) -> None:
    """What is drawn for a draft keeps to its metaschema, and the oracle can read it."""
    schema = data.draw(json_schemas(keywords="all", max_depth=2, draft=draft))
    VALIDATORS[draft].check_schema(schema)
    assert oracle(schema, draft)("1") in (True, False)


@pytest.mark.parametrize("keyword", HARD_KEYWORDS)
def test_keywords_are_drawn(keyword: str) -> None:
    """Every hard keyword is at the root when asked for, and decides about some instance."""
    seen = set()

    @settings(_SETTINGS, max_examples=30)
    @given(data=st.data())
    def draw(data: st.DataObject) -> None:
        schema = data.draw(json_schemas(keywords=[keyword], max_depth=2))
        text = json.dumps(schema)
        assert f'"{keyword}"' in text
        assert not any(f'"{other}"' in text for other in HARD_KEYWORDS if other not in (keyword, "format"))
        without = {key: value for key, value in schema.items() if key != keyword}
        without_it, with_it = oracle(without), oracle(schema)
        for _ in range(4):
            text = data.draw(spellings(data.draw(instances(schema)), whitespace=False))
            seen.add((without_it(text), with_it(text)))

    draw()
    if keyword not in ("format", "$dynamicRef"):
        assert (True, True) in seen
        assert (True, False) in seen


# -- (a) the language ----------------------------------------------------------------------


def _compare(data: st.DataObject, schema: Any, draft: Any = "2020-12") -> None:
    # Draft 4 tells 1 from 1.0: another spelling of a number can be another value there.
    options = data.draw(
        st.sampled_from([{}, {"escapes": "all"}, {"numbers": "all"}, {"duplicate_keys": "forbid"}])
    )
    numbers = "numbers" in options and draft != "4"
    automaton, valid = _compile(schema, draft=draft, **options), oracle(schema, draft)
    for _ in range(6):
        value = data.draw(instances(schema))
        text = data.draw(spellings(value, escapes="escapes" in options, numbers=numbers))
        expected = valid(text)
        event(f"valid: {expected}")
        assert _holds(automaton, text) == expected, text


@pytest.mark.parametrize("keyword", HARD_KEYWORDS)
@settings(_SETTINGS, max_examples=25)
@given(data=st.data())
@_unless_refused
def test_language_of_one_keyword(keyword: str, data: st.DataObject) -> None:
    _compare(data, data.draw(json_schemas(keywords=[keyword], max_depth=2)))


@pytest.mark.parametrize("draft", ["4", "6", "7", "2019-09", "2020-12"])
@settings(_SETTINGS, max_examples=40)
@given(data=st.data())
@_unless_refused
def test_language_of_all_keywords(draft: Any, data: st.DataObject) -> None:
    _compare(data, data.draw(json_schemas(keywords="all", max_depth=2, draft=draft)), draft)


# -- (b) walks -----------------------------------------------------------------------------


@functools.cache
def _vocabulary(name: str) -> Any:
    return small_vocabulary() if name == "small" else vocabularies.tekken()[0]


def _uniform(rng: random.Random, allowed: list[int], tokens: Any, end: int) -> int:
    return rng.choice(allowed)


def _long(rng: random.Random, allowed: list[int], tokens: Any, end: int) -> int:
    """Go on while it can, with long tokens."""
    found = [token for token in rng.sample(allowed, min(8, len(allowed))) if token != end]
    return max(found or allowed, key=lambda token: len(tokens[token]))


def _structural(rng: random.Random, allowed: list[int], tokens: Any, end: int) -> int:
    """Leave strings soon: brackets, commas and quotes where they are allowed."""
    found = [token for token in allowed if token != end and tokens[token][-1:] in b'{}[],:"0']
    return rng.choice(found or allowed)


_STYLES = {"uniform": _uniform, "long": _long, "structural": _structural}


def _walk(automaton: Any, rng: random.Random, choose: Callable[..., int], steps: int) -> bytes:
    """Choose tokens by the masks, then finish by the shortest way; never a dead end."""
    vocabulary, session = automaton.vocabulary, automaton.session()
    [end], tokens = vocabulary.eos_token_ids, vocabulary.tokens
    state, text = session.start, b""
    for _ in range(steps):
        bits = np.unpackbits(session.mask(state).view(np.uint8), bitorder="little")
        allowed = np.flatnonzero(bits).tolist()
        assert allowed, f"dead end after {text!r}"
        assert bool(bits[end]) == session.accepts(state)
        for token in rng.sample(range(len(tokens)), 3):
            if tokens[token] and token != end:
                assert bool(bits[token]) == (session.step(state, token) != structgen.DEAD), (text, token)
        token = choose(rng, allowed, tokens, end)
        if token == end:
            return text
        state, text = session.step(state, token), text + tokens[token]
        assert state != structgen.DEAD
    rest = session.shortest(state)
    assert session.accepts(session.advance_bytes(state, rest))
    return text + rest


@pytest.mark.parametrize("style", _STYLES)
@pytest.mark.parametrize("name", ["small", "tekken"])
@settings(_SETTINGS, max_examples=25)
@given(data=st.data())
@_unless_refused
def test_walks_end_valid(name: str, style: str, data: st.DataObject) -> None:
    schema = data.draw(json_schemas(keywords=data.draw(st.sampled_from(("plain", "all"))), max_depth=2))
    duplicates = data.draw(st.sampled_from(("undeclared", "forbid")))
    automaton = _compile(schema, _vocabulary(name), duplicate_keys=duplicates)
    if automaton is None:
        return
    rng, valid = random.Random(data.draw(st.integers(0, 1000))), oracle(schema)
    for _ in range(3):
        try:
            text = _walk(automaton, rng, _STYLES[style], 30)
        except structgen.GuardDeadEnd:
            assert any(f'"{keyword}"' in json.dumps(schema) for keyword in _GUARDED)
            event("ended by a guard")
        else:
            if re.search(rb"[eE][+-]?0*[1-9][0-9]{3}", text):
                event("an exponent that the oracle cannot reckon with")
            else:
                assert valid(text.decode()), text


# -- (c) laws ------------------------------------------------------------------------------


def _no(schema: Any) -> Any:
    return {"not": schema}


def _all(*schemas: Any) -> Any:
    return {"allOf": list(schemas)}


def _any(*schemas: Any) -> Any:
    return {"anyOf": list(schemas)}


def _one(*schemas: Any) -> Any:
    return {"oneOf": list(schemas)}


_HAS_A = {"type": "object", "required": ["a"]}
_TEXT, _OTHER = {"type": ["string", "array"]}, {"type": ["object", "number"]}

# From three schemas, two that mean the same.
_LAWS: dict[str, Callable[[Any, Any, Any], tuple[Any, Any]]] = {
    "double negation": lambda s, t, u: (_no(_no(s)), s),
    "not both": lambda s, t, u: (_no(_all(s, t)), _any(_no(s), _no(t))),
    "neither": lambda s, t, u: (_no(_any(s, t)), _all(_no(s), _no(t))),
    "contradiction": lambda s, t, u: (_all(s, _no(s)), False),
    "excluded middle": lambda s, t, u: (_any(s, _no(s)), True),
    "exactly one of two": lambda s, t, u: (_one(s, t), _any(_all(s, _no(t)), _all(t, _no(s)))),
    "one of the same": lambda s, t, u: (_one(s, s), False),
    "disjoint": lambda s, t, u: (
        _one(_all(_TEXT, s), _all(_OTHER, t)),
        _any(_all(_TEXT, s), _all(_OTHER, t)),
    ),
    "conditional": lambda s, t, u: (
        {"if": s, "then": t, "else": u},
        _any(_all(s, t), _all(_no(s), u)),
    ),
    "some item": lambda s, t, u: (
        {"type": "array", "contains": s},
        _all({"type": "array"}, _no({"items": _no(s)})),
    ),
    "dependent schema": lambda s, t, u: (
        {"dependentSchemas": {"a": s}},
        {"if": _HAS_A, "then": s},
    ),
    "dependent keys": lambda s, t, u: (
        _all(s, {"dependentRequired": {"a": ["b"]}}),
        _all(s, _any(_no(_HAS_A), {"required": ["b"]})),
    ),
    "names": lambda s, t, u: (
        {"type": "object", "propertyNames": _all(s, t)},
        _all({"type": "object", "propertyNames": s}, {"propertyNames": t}),
    ),
}

# What refers to the root means something else below a combination.
_MOVABLE = [keyword for keyword in HARD_KEYWORDS if keyword != "$dynamicRef"]


@pytest.mark.parametrize("keywords", ["plain", "all"])
@pytest.mark.parametrize("law", _LAWS)
@settings(_SETTINGS, max_examples=15)
@given(data=st.data())
@_unless_refused
def test_laws(law: str, keywords: Any, data: st.DataObject) -> None:
    chosen = _MOVABLE if keywords == "all" else keywords
    s, t, u = (
        data.draw(json_schemas(keywords=chosen, max_depth=1 + first, references=first))
        for first in (True, False, False)
    )
    definitions = s.pop("$defs", {}) if isinstance(s, dict) else {}
    sides = [{"$defs": definitions, "allOf": [side]} for side in _LAWS[law](s, t, u)]
    left, right = (_compile(side, numbers="all") for side in sides)
    if not any(f'"{keyword}"' in json.dumps(sides) for keyword in _GUARDED):
        assert (left is None) == (right is None)
    near = {"$defs": definitions, "anyOf": [s, t, u]}
    for _ in range(5):
        text = data.draw(spellings(data.draw(instances(near)), numbers=True))
        assert _holds(left, text) == _holds(right, text), text
