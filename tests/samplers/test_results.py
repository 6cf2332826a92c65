"""What can be read off a result."""

import dataclasses
import json
import math
import sys
import types
from typing import Any

import pytest

from structgen.samplers import SMC, Death, SamplingResult, Sequence
from tests.samplers.worlds import World


def sequence(text: str, weight: float, finished: bool = True) -> Sequence:
    return Sequence(
        tokens=(5, 6),
        text=text,
        log_weight=math.log(weight) if weight else -math.inf,
        weight=weight,
        log_probability=-2.5,
        finished=finished,
    )


@pytest.fixture
def result() -> SamplingResult:
    return SamplingResult(
        sequences=[
            sequence("[1]", 0.2),
            sequence("[2, 3]", 0.5),
            sequence("[1]", 0.3),
            sequence("[1", 0.0, finished=False),
        ],
        log_evidence=-1.5,
        method="SMC",
        seed=3,
        ess=[4.0, math.nan],
        deaths=[Death(1, 3, "token", "[1")],
        calls=30,
        drawn=12,
        seconds={"model": 1.0},
    )


def test_posterior_adds_up_equal_texts(result: SamplingResult) -> None:
    assert result.posterior() == pytest.approx({"[1]": 0.5, "[2, 3]": 0.5})
    heavier = dataclasses.replace(result, sequences=[sequence("a", 0.1), sequence("b", 0.9)])
    assert list(heavier.posterior()) == ["b", "a"]


def test_values_are_parsed_where_there_is_weight(result: SamplingResult) -> None:
    assert [s.value for s in result.sequences] == [None] * 4
    assert [s.value for s in result.parsed().sequences] == [[1], [2, 3], [1], None]
    assert [s.value for s in result.parsed(len).sequences] == [3, 6, 3, None]
    broken = dataclasses.replace(result, sequences=[sequence("{", 1.0)])
    with pytest.raises(json.JSONDecodeError):
        broken.parsed()


def test_json_has_everything_and_no_infinities(result: SamplingResult) -> None:
    read = json.loads(result.parsed().to_json(), parse_constant=pytest.fail)
    fields = {f.name for f in dataclasses.fields(SamplingResult)}
    assert set(read) == (fields - {"vocabulary"}) | {"calls_per_token"}
    assert read["calls_per_token"] == 2.5
    assert read["ess"] == [4.0, None]
    assert read["deaths"] == [{"step": 1, "particle": 3, "cause": "token", "text": "[1"}]
    assert read["sequences"][1] == {
        "tokens": [5, 6],
        "text": "[2, 3]",
        "log_weight": math.log(0.5),
        "weight": 0.5,
        "log_probability": -2.5,
        "finished": True,
        "value": [2, 3],
        "steps": 2,
    }
    assert read["sequences"][3]["log_weight"] is None
    assert "\n" in result.to_json(indent=1)
    own = json.loads(result.parsed(complex_of).to_json())
    assert own["sequences"][0]["value"] == "(3+0j)"


def complex_of(text: str) -> complex:
    return complex(len(text))


def test_json_of_a_run() -> None:
    world = World("(a|b){1,3}", 4, seed=21)
    ran = SMC(6).run(world.model, world.awrs(), max_tokens=4, seed=0)
    read = json.loads(ran.to_json())
    assert read["tokens"] == ran.tokens
    assert read["seed"] == 0
    assert set(read["seconds"]) == {"model", "constraint", "sampler"}
    assert ran.calls_per_token == ran.calls / ran.drawn > 1


def test_calls_per_token_of_nothing(result: SamplingResult) -> None:
    assert dataclasses.replace(result, drawn=0).calls_per_token == 0


def test_pandas_gets_a_row_for_each_sequence(result: SamplingResult, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    stand_in = types.ModuleType("pandas")
    stand_in.DataFrame = lambda records: given.append(records) or "frame"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pandas", stand_in)
    assert result.to_pandas() == "frame"
    assert given == [result.to_records()]
    assert [record["text"] for record in given[0]] == ["[1]", "[2, 3]", "[1]", "[1"]


def test_pandas_is_asked_for_by_name(result: SamplingResult, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ModuleNotFoundError, match="to_pandas needs pandas"):
        result.to_pandas()
