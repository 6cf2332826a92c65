"""The suite: what is read, how tests are judged, and what becomes of engines that break."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from jsonschemabench import official_suite, results, suite
from jsonschemabench.cli import main
from jsonschemabench.datasets import DATA_VARIABLE, DatasetError
from jsonschemabench.official_suite import compact, parse

FAKE, MISJUDGING, MISSING = (f"fake_engines:{name}Engine" for name in ("Fake", "Misjudging", "Missing"))

Write = Callable[[dict[str, Any]], Path]


def case(schema: Any, valid: list[Any] | None = None, invalid: list[Any] | None = None) -> dict[str, Any]:
    tests = [{"description": f"{item}", "data": item, "valid": True} for item in valid or []]
    tests += [{"description": f"{item}", "data": item, "valid": False} for item in invalid or []]
    return {"description": "made up", "schema": schema, "tests": tests}


@pytest.fixture
def write_suite(tmp_path: Path) -> Write:
    """Write files of a suite; the argument maps paths without suffix to contents."""

    def write(files: dict[str, Any]) -> Path:
        folder = tmp_path / "suite"
        for name, content in files.items():
            file = folder / f"{name}.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return folder

    return write


FILES: dict[str, Any] = {
    "tests/draft7/type": [case({"type": "integer"}, [1, -3], ["a", 1.5])],
    "tests/draft7/refRemote": [case({"$ref": "http://localhost:1234/whole.json"}, [4], ["x"])],
    "tests/draft7/optional/format/date": [case({"format": "date"}, ["2024-02-29"], ["2023-02-29"])],
    "tests/draft7/optional/bignum": [case({"type": "integer"}, [1 << 80])],
    "tests/draft2020-12/format": [case({"format": "date"}, ["2023-02-29"])],
    "tests/draft4/type": [case({"type": "integer"}, [1], [1.0])],
    "tests/draft3/type": [case({"type": "any"}, [1])],
    "remotes/whole": {"type": "integer"},
}


def run(data: Path, *more: str) -> int:
    return main(["suite", "--data", str(data), "--plain", "--timeout", "30", *more])


def test_structgen_is_told_draft_formats_and_remotes(write_suite: Write, tmp_path: Path) -> None:
    out = tmp_path / "results.jsonl"
    assert run(write_suite(FILES), "--engines", "structgen", "--out", str(out)) == 0
    manifest, rows = results.read(out)
    assert {row.schema: (row.passes, row.detail) for row in rows} == {
        f"{name}#1 made up": (True, "")
        for name in ("4/type", "7/optional/format/date", "7/refRemote", "7/type", "2020-12/format")
    }
    assert (manifest.schemas, manifest.vocabulary) == (5, "bytes")


def test_peers_are_told_the_draft(write_suite: Write, tmp_path: Path) -> None:
    """A keyword of 2019-09 means nothing in draft 7, and the schema does not say which draft it is of."""
    unknown = case({"dependentRequired": {"a": ["b"]}}, [{"a": 1}])
    out = tmp_path / "results.jsonl"
    assert (
        run(write_suite({"tests/draft7/ref": [unknown]}), "--engines", "llguidance", "--out", str(out)) == 0
    )
    _, [row] = results.read(out)
    assert (row.detail, row.passes) == ("", True)


def test_what_engines_do_is_counted_per_test(write_suite: Write, tmp_path: Path) -> None:
    """Wrong judgements, refusals, crashes and hangs; the run goes on after each."""
    files = {
        "tests/draft7/enum": [case({"language": ["1", "22"]}, [1, 22], [2])],
        "tests/draft7/not": [case({"language": ["1"]}, [1, 5], [1])],
        "tests/draft7/if-then-else": [case({"compile": "refuse"}, [1], [2])],
        "tests/draft7/ref": [
            case({"compile": "abort"}, [1], [2]),
            case({"compile": "unsatisfiable"}, [1], [2]),
        ],
        "tests/draft7/refRemote": [case({"language": [], "walk": "hang"}, [1])],
        "tests/draft7/required": [case({"language": ["1"]}, [1])],
        "tests/draft2020-12/made-up": [case({"language": ["3"]}, [3], [4])],
    }
    out, listed, again = (tmp_path / name for name in ("results.jsonl", "failures", "again.md"))
    markdown = tmp_path / "tables.md"
    engines = f"{FAKE},{MISSING},{MISJUDGING}"
    more = ["--engines", engines, "--timeout", "2", "--out", str(out), "--failures", str(listed)]
    data = write_suite(files)
    assert run(data, *more, "--markdown", str(markdown), "--by", "group") == 0
    manifest, rows = results.read(out)
    tables = {draft: cells for draft, _, cells in suite.tables(rows, manifest.engines, "file")}
    assert list(tables) == ["7", "2020-12"]
    found = {line: counts[FAKE] for line, counts in tables["7"].items()}
    assert {line: {name: n for name, n in counts.items() if n} for line, counts in found.items()} == {
        "enum": {"right": 3},
        "not": {"right": 1, "valid rejected": 1, "invalid accepted": 1},
        "if-then-else": {"refused": 2},
        "ref": {"crash or time-out": 2, "right": 1, "valid rejected": 1},
        "refRemote": {"crash or time-out": 1},
        "required": {"right": 1},
        "total": {
            "right": 6,
            "valid rejected": 2,
            "invalid accepted": 1,
            "refused": 2,
            "crash or time-out": 3,
        },
    }
    assert tables["2020-12"]["made-up"][MISJUDGING] == {"right": 1, "invalid accepted": 1}
    assert "over 2 s" in listed.read_text(encoding="utf-8")

    # A table of numbers that differ from line to line: the cells can't have been mixed up.
    lines = markdown.read_text(encoding="utf-8").splitlines()
    assert f"{MISSING} did not run: missing: pip install 'structgen[peers]'" in lines
    grouped = {line.split(" | ")[0]: line.split(" | ")[1:] for line in lines if line.startswith("| ")}
    assert grouped["| types and constants"][:2] == ["3", "**3** / 0 / 0 / 0"]
    assert grouped["| not, if"][:2] == ["5", "**1** / 1 / 1 / 2"]
    assert grouped["| references"][:2] == ["4", "**1** / 0 / 1 / 0 / 2"]
    assert grouped["| made-up"] == ["2", "**2** / 0 / 0 / 0", "**1** / 1 / 0 / 0 |"]
    assert [line for line in grouped if not line.startswith("| ---")][1:6] == [
        *("| types and constants", "| objects", "| not, if", "| references"),
        "| references to other documents",
    ]

    # The same from the file, without running anything.
    reread = ["suite", "--results", str(out), "--by", "group", "--markdown", str(again), "--plain"]
    assert main(reread) == 0
    assert again.read_text(encoding="utf-8") == markdown.read_text(encoding="utf-8")


def test_drafts_and_sections_can_be_chosen(write_suite: Write) -> None:
    data = write_suite(FILES)

    def names(drafts: tuple[str, ...], sections: tuple[str, ...]) -> list[str]:
        return [read.name.partition("#")[0] for read in suite.cases(data, drafts, sections)]

    assert names(("7",), ("optional",)) == ["7/optional/bignum"]
    assert names(("7",), ("format",)) == ["7/optional/format/date"]
    assert names(("4", "2020-12"), ("required",)) == ["4/type", "2020-12/format"]
    assert names(official_suite.DRAFTS, official_suite.SECTIONS) == [
        *("4/type", "7/optional/bignum", "7/optional/format/date", "7/refRemote", "7/type"),
        "2020-12/format",
    ]


def test_numbers_keep_their_spelling(write_suite: Write) -> None:
    raw = """[{"description": "", "schema": {"const": 1.50, "minimum": 10000000000000000000000.1},
               "tests": [{"description": "", "data": [1.0, "é", "\\ud800"], "valid": false}]}]"""
    [read] = suite.cases(write_suite({"tests/draft6/const": raw}), ["6"], ["required"])
    assert read.text == '{"const":1.50,"minimum":10000000000000000000000.1}'
    assert read.instances[0].text == '[1.0,"é","\\ud800"]'
    assert (read.schema["const"], parse(read.text)) == (Decimal("1.5"), read.schema)


def test_an_archive_gives_what_its_folder_gives(
    write_suite: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_suite(FILES)
    archive = tmp_path / official_suite.ARCHIVE
    with tarfile.open(archive, "w:xz") as tar:
        tar.add(folder, arcname=".")
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    assert official_suite.default_data(tmp_path / "nowhere") is None
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    assert official_suite.default_data() == archive
    packed, plain = official_suite.load(archive), official_suite.load(folder)
    assert (
        packed.files("7")
        == plain.files("7")
        == ["optional/bignum", "optional/format/date", "refRemote", "type"]
    )
    assert packed.cases("7", "type") == plain.cases("7", "type")
    assert packed.registry("7").contents("http://localhost:1234/whole.json") == {"type": "integer"}


def test_data_that_is_no_suite_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "case.json").write_text("{}")
    with pytest.raises(DatasetError, match="does not hold the JSON Schema Test Suite"):
        official_suite.load(tmp_path)
    assert run(tmp_path / "nowhere") == 2
    assert "does not exist" in capsys.readouterr().err


@pytest.mark.parametrize("value", [{"a": [1, True, None, {}], "é\n": []}, "", 0, -1, "\ud800x"])
def test_compact_texts_are_json(value: Any) -> None:
    assert json.loads(compact(value)) == value
    assert " " not in compact(value)
    compact(value).encode()
