"""The adapters of real engines, over schemas that all of them can express."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Any

import pytest

from jsonschemabench import datasets, masks, statistics, vocabularies
from jsonschemabench.datasets import Case, Instance
from jsonschemabench.engines import (
    ENGINES,
    GROUP,
    HOSTED_ENGINES,
    EngineUnavailableError,
    engine_class,
    names,
)
from jsonschemabench.masks import Limits
from jsonschemabench.results import Row, Status
from jsonschemabench.vocabularies import VocabularyError

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
SCHEMAS: list[tuple[dict[str, Any], list[Any], list[Any]]] = [
    (
        PERSON,
        [{"name": "Ada", "age": 36}, {"name": "日本 👩‍🚀", "age": -1}],
        [{"name": "Ada"}, {"name": 1, "age": 2}],
    ),
    ({"type": "array", "items": {"type": "boolean"}}, [[], [True, False]], [[1], {"a": True}, True]),
    ({"enum": ["red", "green", 3]}, ["red", "green", 3], ["blue", 4]),
    ({"type": "string", "minLength": 2, "maxLength": 3}, ["ab", "abc"], ["a", "abcd", 12]),
    ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, [None, 7], ["null", 7.5]),
]

REFUSED = {"lm_format_enforcer": ["2"]}
"""What can't be expressed after all: enumerations of values of several types."""


def run(engine: str, cases: list[Case]) -> list[Row]:
    missing: dict[str, str] = {}
    try:
        vocabulary = vocabularies.load_tekken()
        vocabulary.encode("")
    except VocabularyError as error:
        pytest.skip(str(error))
    rows = list(masks.run(cases, [engine], vocabulary, Limits(120), unavailable=missing.__setitem__))
    if missing:
        pytest.skip(missing[engine])
    return rows


@pytest.mark.parametrize("engine", list(ENGINES))
def test_real_engines_judge_simple_schemas(engine: str) -> None:
    cases = [
        Case(
            str(number),
            schema,
            tuple([Instance(data, True) for data in valid] + [Instance(data, False) for data in invalid]),
        )
        for number, (schema, valid, invalid) in enumerate(SCHEMAS)
    ]
    rows = run(engine, cases)
    assert [row.schema for row in rows if not row.passes] == REFUSED.get(engine, [])
    rows = [row for row in rows if row.passes]
    judged = [schema for number, schema in enumerate(SCHEMAS) if str(number) not in REFUSED.get(engine, [])]
    for row, (_, valid, invalid) in zip(rows, judged, strict=True):
        assert len(row.verdicts) == len(valid) + len(invalid)
        assert 0 < row.compile_ns < row.first_mask_ns
        # Every walk times at least one mask; accepted ones a mask per token and one for the end.
        assert len(row.step_ns) >= len(row.verdicts)
        assert row.first_visit == row.verdicts[0].accepted_tokens
        assert min(row.step_ns) > 0


@pytest.mark.parametrize("engine", list(ENGINES))
def test_real_engines_refuse_what_is_no_schema(engine: str) -> None:
    [row] = run(engine, [Case("bad", {"type": "strin"}, (Instance(1, True),))])
    assert row.status is Status.COMPILE_ERROR
    assert row.detail


@pytest.mark.parametrize("engine", ["structgen", "llguidance", "xgrammar"])
def test_the_schema_that_nothing_satisfies_is_recognised(engine: str) -> None:
    [row] = run(engine, [Case("none", False, (Instance(1, False),))])
    assert (row.status, row.passes) == (Status.UNSATISFIABLE, True)


@pytest.mark.parametrize("engine", ["structgen", "llguidance"])
def test_unsatisfiable_schemas_are_recognised(engine: str) -> None:
    schema = {"type": "object", "properties": {"a": False}, "required": ["a"]}
    [row] = run(engine, [Case("none", schema, (Instance({"a": 1}, False),))])
    assert (row.status, row.passes) == (Status.UNSATISFIABLE, True)


class Points(dict[str, str]):
    """Entry points by name."""

    def __call__(self, group: str, name: str | None = None) -> list[EntryPoint]:
        assert group == GROUP
        return [EntryPoint(key, self[key], group) for key in self if name in (None, key)]


def test_packages_add_engines_by_entry_points(monkeypatch: pytest.MonkeyPatch) -> None:
    points = Points(
        mine="fake_engines:FakeEngine", structgen="fake_engines:SlowEngine", gone="nowhere:Engine"
    )
    monkeypatch.setattr("importlib.metadata.entry_points", points)
    assert engine_class("mine").name == "fake"
    assert names()[-2:] == ["gone", "mine"]
    # What is ours stays ours.
    assert engine_class("structgen").name == "structgen"
    assert names().count("structgen") == 1
    with pytest.raises(EngineUnavailableError, match="'gone' can't be imported"):
        engine_class("gone")
    with pytest.raises(EngineUnavailableError, match=r"no engine 'yours'; there are .*, mine, or name one"):
        engine_class("yours")
    twice = [EntryPoint("mine", place, GROUP) for place in ("a:A", "b:B")]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group, name: twice)
    with pytest.raises(EngineUnavailableError, match=r"several packages have an engine 'mine' \(a:A, b:B\)"):
        engine_class("mine")


def test_adapters_say_what_they_can_do() -> None:
    assert all(engine_class(name).abilities == {"masks", "outputs"} for name in ENGINES)
    assert all(engine_class(name).abilities == {"outputs"} for name in HOSTED_ENGINES)
    with pytest.raises(EngineUnavailableError, match="is not a subclass of"):
        engine_class("jsonschemabench.datasets:Case")


def test_xgrammar_by_default_closes_objects() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    case = Case("open", schema, (Instance({"a": 1, "b": 2}, True),))
    assert [run(name, [case])[0].passes for name in ("xgrammar", "xgrammar_default")] == [True, False]


def test_llguidance_on_five_schemas_of_the_data() -> None:
    data = datasets.default_data()
    if data is None:
        pytest.skip(f"no data: name it in {datasets.DATA_VARIABLE}")
    rows = run("llguidance", datasets.load(data, sample=5, seed=1))
    assert len(rows) == 5
    counts = statistics.count(rows)
    assert counts.crashes + counts.timeouts + counts.memory_limits == 0
    assert counts.passing >= 3
    assert statistics.summarise(statistics.step_us(rows)) is not None
