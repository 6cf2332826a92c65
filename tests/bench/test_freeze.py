"""The ``freeze`` run: outcomes, shares and costs."""

import json
from pathlib import Path

import pytest

from jsonschemabench import frozen
from jsonschemabench.cli import main
from jsonschemabench.datasets import Case
from structgen import Vocabulary

VOCABULARY = Vocabulary([b"", *(bytes([byte]) for byte in range(256))], eos_token_ids=0)

CLOSED = {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": False}
OPEN = {"type": "object", "properties": {"a": {"type": "integer"}}}
SCHEMAS = {
    "closed": CLOSED,
    "open": OPEN,
    "unique": {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
    "nothing": {"type": "integer", "minimum": 2, "maximum": 1},
}
OUTCOMES = {
    "closed": frozen.FROZEN,
    "open": frozen.LIMIT,
    "unique": frozen.REMEMBERS,
    "nothing": frozen.REFUSED,
}
LIMITS = (2000, 1 << 28, 60.0)


def test_outcomes() -> None:
    cases = [Case(name, schema, ()) for name, schema in SCHEMAS.items()]
    seen: list[str] = []
    rows = frozen.run(cases, VOCABULARY, "compact", LIMITS, report=lambda row: seen.append(row.schema))
    assert {row.schema: row.outcome for row in rows} == OUTCOMES
    assert seen == list(SCHEMAS)
    assert [row.states > 0 for row in rows] == [True, False, False, False]
    assert rows[0].classes > 2
    assert rows[0].bytes > 4 * 257
    rows = frozen.run(cases[:2], VOCABULARY, "compact", LIMITS, close=True)
    assert rows[0].outcome == rows[1].outcome == frozen.FROZEN
    assert rows[0].states == rows[1].states


def test_closed_schemas() -> None:
    kept = {"properties": {"x": {"type": "string"}}, "additionalProperties": {"type": "null"}}
    assert frozen.closed(OPEN) == CLOSED
    assert frozen.closed({"anyOf": [OPEN, kept, True]}) == {"anyOf": [CLOSED, kept, True]}
    assert frozen.closed({"const": OPEN, "enum": [OPEN]}) == {"const": OPEN, "enum": [OPEN]}
    # A property of that name.
    assert frozen.closed({"properties": {"properties": OPEN}})["properties"]["properties"] == CLOSED


def row(states: int) -> frozen.FreezeRow:
    return frozen.FreezeRow("", frozen.FROZEN, 0.001 * states, states, 7, 2048)


def test_shares_and_costs() -> None:
    rows = [row(50), row(100), row(101), row(9999), frozen.FreezeRow("", frozen.LIMIT, 2.0)]
    assert frozen.shares(rows, 20_000) == [
        ["≤ 100", "2", "40.0%"],
        ["≤ 1,000", "3", "60.0%"],
        ["≤ 10,000", "4", "80.0%"],
        ["≤ 20,000", "4", "80.0%"],
    ]
    assert frozen.shares(rows, 100)[-1] == ["≤ 100", "2", "40.0%"]
    costs = {line[0]: line[1:] for line in frozen.costs(rows)}
    assert costs["states"][-1] == "9,999"
    assert costs["classes of tokens"] == ["7.00"] * 4
    assert costs["KiB of tables"] == ["2.00"] * 4
    assert costs["ms to give up"] == ["2,000"] * 4
    assert frozen.costs([]) == []


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, schema in SCHEMAS.items():
        (tmp_path / f"{name}.json").write_text(json.dumps({"schema": schema, "tests": []}))
    options = ["--data", str(tmp_path), "--vocabulary", "bytes", "--max-states", "2000", "--plain"]
    assert main(["freeze", *options]) == 0
    printed = capsys.readouterr().out
    assert "4 schemas, white space flexible" in printed
    assert "4 schemas, white space compact" in printed
    for outcome in frozen.OUTCOMES:
        assert f"{outcome} " in printed
    assert printed.count("25.0%") >= 8
    assert main(["freeze", *options, "--closed", "--whitespace", "compact"]) == 0
    printed = capsys.readouterr().out
    assert "white space flexible" not in printed
    assert "50.0%" in printed
    assert main(["freeze", *options, "--whitespace", ","]) == 2
    assert "--whitespace" in capsys.readouterr().err
