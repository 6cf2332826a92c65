"""Reports as they are printed: compared with files, which ``STRUCTGEN_UPDATE_GOLDEN=1`` writes again."""

import os
from pathlib import Path

import pytest

from tests.cli.support import DATA, HERE, run

GOLDEN = HERE / "golden"
FILES = ["bad.json", "good.json", "lines.jsonl", "two.yaml", "table.toml", "absent.json"]
CASES = {
    "text": ["--assert-formats"],
    "json": ["--format", "json", "--assert-formats"],
    "sarif": ["--format", "sarif", "--assert-formats"],
    "github": ["--format", "github", "--assert-formats"],
    "annotated": ["--quiet"],
}


@pytest.mark.parametrize("name", CASES)
def test_reports_are_as_committed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(DATA)
    ran = run("validate", "product.schema.json", *FILES, *CASES[name])
    assert ran.code == 2
    shown = f"{ran.out}--- standard error\n{ran.err}"
    file = GOLDEN / f"validate_{name}.txt"
    if os.environ.get("STRUCTGEN_UPDATE_GOLDEN"):
        file.write_text(shown, encoding="utf-8")
    assert shown == file.read_text(encoding="utf-8")


def test_processes_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(DATA)
    one = run("validate", "product.schema.json", *FILES)
    two = run("validate", "product.schema.json", *FILES, "--jobs", "2")
    assert one == two


def test_a_report_goes_to_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(DATA)
    target = tmp_path / "report.json"
    printed = run("validate", "product.schema.json", "bad.json", "--format", "json")
    written = run("validate", "product.schema.json", "bad.json", "--format", "json", "-o", target)
    assert (written.code, written.out) == (1, "")
    assert target.read_text(encoding="utf-8") == printed.out
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]
