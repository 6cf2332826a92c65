"""The demo runs, and notices what is invalid."""

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import pytest
import torch

ROOT = Path(__file__).parents[2]


@pytest.fixture
def demo() -> Iterator[ModuleType]:
    specification = importlib.util.spec_from_file_location("demo_run", ROOT / "examples" / "demo" / "run.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["demo_run"] = module
    threads = torch.get_num_threads()
    specification.loader.exec_module(module)
    yield module
    torch.set_num_threads(threads)
    del sys.modules["demo_run"]


def test_the_demo_generates_valid_objects(demo: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.main(["--samples", "2", "--max-new-tokens", "128", "--seed", "3"]) == 0
    printed = capsys.readouterr().out
    assert "valid with the constraint: 8 of 8 (100.0 %)" in printed
    for name in ("file_tree", "geojson", "invoice", "package_manifest"):
        _, _, rest = printed.partition(f"== {name} ")
        text = rest.split("\n", 1)[1].split("\n== ")[0].split("\n\n")[0]
        schema = json.loads((ROOT / "examples" / "demo" / "schemas" / f"{name}.json").read_text())
        jsonschema.validate(json.JSONDecoder().raw_decode(text)[0], schema)


def test_an_invalid_object_fails_the_demo(
    demo: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_processor(*_: Any, **__: Any) -> None:
        return None

    monkeypatch.setattr(demo, "AutomatonLogitsProcessor", no_processor)
    assert demo.main(["--samples", "2", "--max-new-tokens", "48"]) == 1
    assert "INVALID: not JSON" in capsys.readouterr().err


def test_problem_tells_valid_from_invalid(demo: ModuleType) -> None:
    validator = jsonschema.Draft202012Validator({"type": "object", "required": ["a"]})
    assert demo.problem('{"a": 1}', validator) is None
    assert demo.problem('{"b": 1}', validator) == "$: 'a' is a required property"
    assert demo.problem('{"a": 1', validator).startswith("not JSON")


def test_a_budget_too_small_is_told(demo: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        demo.main(["--max-new-tokens", "10"])
    assert "finish_by=10 is too small" in capsys.readouterr().err
