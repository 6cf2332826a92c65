"""Fixtures of the benchmark's tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _fake_engines_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    # Workers inherit the path, so "fake_engines:Name" can be imported there too.
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


@pytest.fixture
def write_cases(tmp_path: Path) -> Callable[[dict[str, dict[str, Any]]], Path]:
    """Write MaskBench files; the argument maps names to a schema under "schema" and texts by label."""

    def write(cases: dict[str, dict[str, Any]]) -> Path:
        folder = tmp_path / "cases"
        folder.mkdir()
        for name, case in cases.items():
            tests = [
                {"description": f"{name} {label}", "valid": label == "valid", "data": data}
                for label in ("valid", "invalid")
                for data in case.get(label, [])
            ]
            content = {"schema": case["schema"], "meta": {}, "tests": tests}
            (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
        return folder

    return write
