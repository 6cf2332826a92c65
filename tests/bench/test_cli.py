"""The commands, end to end."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jsonschemabench import import_time, results
from jsonschemabench.cli import main
from jsonschemabench.results import Status

Write = Callable[[dict[str, dict[str, Any]]], Path]
FAKE, SLOW = "fake_engines:FakeEngine", "fake_engines:SlowEngine"
CASES = {
    "good": {"schema": {"language": ["1", "22"]}, "valid": [1, 22], "invalid": [2]},
    "refused": {"schema": {"compile": "refuse"}, "valid": [1]},
    "dead": {"schema": {"compile": "exit"}, "valid": [1]},
    "lost": {"schema": {"language": ["1"]}, "valid": [1, 10]},
}


def run_masks(data: Path, *more: str) -> int:
    return main(["masks", "--data", str(data), "--vocabulary", "bytes", "--plain", *more])


def cells(text: str, label: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(label))
    return line.removeprefix(label).split()


def test_masks_prints_engines_side_by_side(write_cases: Write, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_masks(write_cases(CASES), "--engines", f"{FAKE},{SLOW}", "--list", "2") == 0
    text = capsys.readouterr().out
    assert cells(text, "schemas ") == ["4", "4"]
    assert cells(text, "passing: every instance as labelled") == ["1", "1"]
    assert cells(text, "compile errors ") == ["1", "1"]
    assert cells(text, "valid rejected: schemas (instances)") == ["1", "(1)", "1", "(1)"]
    assert cells(text, "crashes") == ["1", "1"]
    assert "on the 1 schemas that both pass" in text
    # Steps of 1 and 2, 1 to 3, 1 and 2 units.
    assert cells(text, f"mask+step, µs: {FAKE}") == ["7", "1.71", "2.00", "2.40", "2.94", "2.99", "3.00"]
    assert cells(text, f"    {SLOW} / {FAKE}")[:6] == ["10.00x"] * 6
    assert "1 >>0<<" in text
    assert "exited with status 3" in text


def test_results_are_kept_and_read_back(
    write_cases: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results.jsonl"
    missing = "fake_engines:MissingEngine"
    assert (
        run_masks(write_cases(CASES), "--engines", f"{FAKE},{missing}", "--seed", "4", "--out", str(out)) == 0
    )
    printed = capsys.readouterr()
    assert f"{missing} is left out" in printed.err
    manifest, rows = results.read(out)
    assert (manifest.seed, manifest.schemas, manifest.vocabulary) == (4, 4, "bytes")
    assert list(manifest.unavailable) == [missing]
    assert manifest.versions["numpy"] != "not installed"
    assert sorted(row.schema for row in rows) == sorted(CASES)
    assert [list(row.step_ns) for row in rows if row.schema == "good"] == [
        [1000, 2000, 1000, 2000, 3000, 1000, 2000]
    ]
    assert [row.status for row in rows if row.schema == "dead"] == [Status.CRASH]
    assert main(["report", str(out), "--plain"]) == 0
    assert capsys.readouterr().out == printed.out


def test_every_failure_is_listed_by_reason(write_cases: Write, tmp_path: Path) -> None:
    cases = CASES | {
        "misjudged": {"schema": {"language": ["2"]}, "invalid": [2]},
        "swapped": {"schema": {"language": [], "any_order": ["1"]}, "valid": [1]},
        "none": {"schema": {"compile": "unsatisfiable"}, "valid": [1]},
    }
    out, listed, again = (tmp_path / name for name in ("results.jsonl", "failures", "again"))
    assert run_masks(write_cases(cases), "--engines", FAKE, "--out", str(out), "--failures", str(listed)) == 0
    lines = listed.read_text(encoding="utf-8").splitlines()
    assert lines[0] == f"{FAKE}: 6 of 7 schemas do not pass"
    groups: list[list[str]] = []
    for line in filter(None, lines[1:]):
        if line.startswith("    "):
            groups[-1].append(line.strip().partition("\t")[0])
        else:
            groups.append([line.strip()])
    assert {reason: schemas for reason, *schemas in groups} == {
        "1 compile error: this process has compiled N": ["refused"],
        "1 crash (compile): exited with status N": ["dead"],
        "1 invalid accepted": ["misjudged"],
        "1 valid rejected": ["lost"],
        "1 valid rejected by the order of keys alone": ["swapped"],
        "1 valid rejected: taken for unsatisfiable": ["none"],
    }
    assert main(["report", str(out), "--plain", "--failures", str(again)]) == 0
    assert again.read_text(encoding="utf-8") == listed.read_text(encoding="utf-8")


def test_the_order_of_keys_can_be_freed(write_cases: Write, tmp_path: Path) -> None:
    schema = {"properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}
    data = write_cases({"swapped": {"schema": schema, "valid": [{"b": 1, "a": 2}], "invalid": [{"b": "1"}]}})
    for order, engine, passes in (("schema", "structgen", False), ("any", "structgen_any_order", True)):
        out = tmp_path / f"{order}.jsonl"
        assert run_masks(data, "--engines", "structgen", "--property-order", order, "--out", str(out)) == 0
        _, [row] = results.read(out)
        assert (row.engine, row.status, row.passes) == (engine, Status.OK, passes)
        assert row.passes_but_order is not passes


def test_a_broken_results_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "results.jsonl"
    assert main(["report", str(file)]) == 2
    file.write_text('{"kind":"row"}\n')
    assert main(["report", str(file)]) == 2
    file.write_text("")
    assert main(["report", str(file)]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert "No such file" in errors[0]
    assert "line 1: not a line of a results file" in errors[1]
    assert "has no manifest" in errors[2]


def test_rich_tables_carry_the_same_figures(write_cases: Write, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("rich", reason="rich is not installed: pip install 'structgen[bench]'")
    data = write_cases({"good": CASES["good"]})
    assert main(["masks", "--data", str(data), "--vocabulary", "bytes", "--engines", FAKE]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if "passing: every" in line)
    assert line.replace("│", " ").split()[-1] == "1"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--engines", f"{FAKE},{FAKE}"], "different names"),
        (["--engines", ","], "different names"),
        (["--engines", FAKE, "--timeout", "0"], "must be positive"),
        (["--engines", FAKE, "--data", "nowhere"], "does not exist"),
    ],
)
def test_what_can_not_run_says_so(
    write_cases: Write, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run_masks(write_cases(CASES), *arguments) == 2
    assert message in capsys.readouterr().err


def test_a_run_without_any_engine_fails(write_cases: Write, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_masks(write_cases(CASES), "--engines", "no_such_engine") == 2
    assert "no engine ran" in capsys.readouterr().out


def run_memory(data: Path, *more: str) -> int:
    return main(["memory", "--engine", FAKE, "--data", str(data), "--vocabulary", "bytes", "--plain", *more])


def test_memory_of_one_process(write_cases: Write, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_cases({f"case{i}": CASES["good"] for i in range(20)})
    assert run_memory(data, "--limit", "2000") == 0
    text = capsys.readouterr().out
    assert "20 of 20 schemas" in text
    assert "20 compiled and walked (140 masks), 0 compile errors" in text
    assert "MiB; steady" in text
    assert run_memory(data, "--limit", "1") == 1


def test_memory_of_refused_schemas_alone_proves_nothing(
    write_cases: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_cases({f"case{i}": CASES["refused"] for i in range(20)})
    assert run_memory(data, "--limit", "2000") == 1
    text = capsys.readouterr().out
    assert "0 compiled and walked (0 masks), 20 compile errors" in text
    assert "MiB; not steady" in text


def test_memory_stops_when_the_process_dies(write_cases: Write, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_memory(write_cases({"dead": CASES["dead"]})) == 2
    assert "stopped: dead: crash, exited with status 3" in capsys.readouterr().out


def test_import_time(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import-time", "--module", "json", "--runs", "3", "--limit", "10000"]) == 0
    assert "of 3 fresh interpreters" in capsys.readouterr().out
    assert main(["import-time", "--module", "json", "--runs", "1", "--limit", "0.001"]) == 1
    assert main(["import-time", "--module", "no_such_module_anywhere", "--runs", "1"]) == 2
    assert main(["import-time", "--module", "os; print(1)", "--runs", "1"]) == 2
    assert main(["import-time", "--runs", "0"]) == 2
    with pytest.raises(ValueError, match="positive"):
        import_time.measure("json", 0)


def test_the_module_runs_as_a_program(write_cases: Write) -> None:
    command = [sys.executable, "-m", "jsonschemabench", "masks", "--data", str(write_cases(CASES))]
    path = {"PYTHONPATH": f"{Path(__file__).parent}:{Path(__file__).parents[2]}", "PATH": ""}
    done = subprocess.run(
        [*command, "--vocabulary", "bytes", "--engines", FAKE, "--plain"],
        capture_output=True,
        text=True,
        timeout=120,
        env=path,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert cells(done.stdout, "crashes") == ["1"]


def test_rows_are_one_line_each(write_cases: Write, tmp_path: Path) -> None:
    out = tmp_path / "results.jsonl"
    assert run_masks(write_cases(CASES), "--engines", FAKE, "--out", str(out)) == 0
    kinds = [json.loads(line)["kind"] for line in out.read_text(encoding="utf-8").splitlines()]
    assert kinds == ["manifest", "row", "row", "row", "row"]
