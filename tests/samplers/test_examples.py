"""The examples and the plots of samplers do what they say."""

import importlib.util
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import jsonschema
import pytest

ROOT = Path(__file__).parents[2]


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_objects_satisfy_the_schema_and_the_predicate(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    page = tmp_path / "view.html"
    load(ROOT / "examples" / "smc_json.py").main([str(page)])
    lines = capsys.readouterr().out.splitlines()
    found = [re.fullmatch(r"(0\.\d{3})  (\{.*\})", line) for line in lines]
    weights = [float(match[1]) for match in found if match]
    values = [json.loads(match[2]) for match in found if match]
    assert len(values) == 5
    assert weights == sorted(weights, reverse=True)
    assert all(0 <= value["min"] < value["max"] <= 99 for value in values)
    assert "resampled after steps [" in lines[-1]
    assert "<svg" in page.read_text(encoding="utf-8")


def test_the_trap_catches_masks_alone(capsys: pytest.CaptureFixture[str]) -> None:
    load(ROOT / "examples" / "masking_bias.py").main()
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    truth, masks, _, smc = ([float(number) for number in row[-3:]] for row in rows)
    assert truth[:2] == [0.101, 0.899]
    assert masks[0] > 0.85
    assert smc == pytest.approx(truth, abs=0.02)


def test_diverse_beams_have_more_values(capsys: pytest.CaptureFixture[str]) -> None:
    module = load(ROOT / "examples" / "diverse_beams.py")
    module.main()
    found: dict[str, list[list[str]]] = {}
    for line in capsys.readouterr().out.splitlines():
        if not line.startswith(" "):
            found[line] = shown = []
        else:
            shown.append(line.split(maxsplit=1))
    assert list(found) == list(module.SEARCHES)
    names = {}
    for search, lines in found.items():
        *objects, (_, counts) = lines
        values = [json.loads(text) for _, text in objects]
        for value in values:
            jsonschema.validate(value, module.SCHEMA)
        assert len({json.dumps(value) for value in values}) == len(values) >= 4
        names[search] = len({value["name"] for value in values})
        assert f" {names[search]} of name" in counts
    assert names["diverse beams, by value"] > names["plain beams"]


@pytest.fixture
def diversity_plots() -> Iterator[ModuleType]:
    yield load(ROOT / "docs" / "plot_diversity.py")
    sys.modules["matplotlib.pyplot"].close("all")


def test_the_plots_of_diversity_are_made(
    diversity_plots: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diversity_plots, "STRENGTHS", (0.0, 0.5))
    monkeypatch.setattr(sys, "argv", ["plot", "--tasks", "2", "--seeds", "1", "--into", str(tmp_path)])
    diversity_plots.main()
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {path.name for path in (ROOT / "docs" / "images").glob("diversity-*.svg")}
    for name in names:
        drawn = (ROOT / "docs" / "images" / name).read_bytes()
        assert b"<svg" in drawn
        assert len(drawn) < 100_000


@pytest.fixture
def plots() -> Iterator[ModuleType]:
    yield load(ROOT / "docs" / "plot_samplers.py")
    for figure in ("matplotlib.pyplot",):
        sys.modules[figure].close("all")


def test_the_plots_are_made(plots: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["plot", "--runs", "2", "--draws", "5", "--into", str(tmp_path)])
    plots.main()
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {path.name for path in (ROOT / "docs" / "images").glob("samplers-*.svg")}
    for name in names:
        drawn = (ROOT / "docs" / "images" / name).read_bytes()
        assert b"<svg" in drawn
        assert len(drawn) < 100_000


def test_the_worlds_of_the_plots_are_what_their_text_says(plots: ModuleType) -> None:
    trap, wide = plots.trap(), plots.wide()
    assert trap.joint == pytest.approx({"b": 0.048, "aab": 0.9 * 0.04 * 0.1 * 0.5 + 0.9 * 0.03 * 0.5})
    assert 1 / 13 < wide.evidence < 1 / 11
    assert all(re.fullmatch("(a|bb)*b", text) for text in wide.truth)
