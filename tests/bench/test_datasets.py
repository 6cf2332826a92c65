"""The package's own schemas, JSON lines, plain schemas, and datasets of the hub."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import jsonschema
import pytest
from jsonschema_specifications import REGISTRY

from jsonschemabench import datasets
from jsonschemabench.cli import main
from jsonschemabench.datasets import Case, DatasetError, Instance
from jsonschemabench.keywords import KEYWORDS, keywords

OWN = datasets.load(datasets.SMALL)


def test_the_own_schemas_use_every_keyword_and_label_both_ways() -> None:
    assert len(OWN) >= 100
    assert {keyword for case in OWN for keyword in keywords(case.schema)} == KEYWORDS
    for case in OWN:
        wanted = {True, False} - ({not case.schema} if isinstance(case.schema, bool) else set())
        assert {instance.valid for instance in case.instances} == wanted, case.name


@pytest.mark.parametrize("case", OWN, ids=lambda case: case.name)
def test_the_own_instances_are_labelled_as_jsonschema_judges_them(case: Case) -> None:
    kind = jsonschema.validators.validator_for(case.schema, default=jsonschema.Draft202012Validator)
    kind.check_schema(case.schema)
    validator = kind(case.schema, format_checker=kind.FORMAT_CHECKER, registry=REGISTRY)
    for instance in case.instances:
        assert validator.is_valid(instance.data) is instance.valid, instance.data


def test_without_data_the_own_schemas_are_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(datasets.DATA_VARIABLE, raising=False)
    assert datasets.find(None) == datasets.find("small") == datasets.SMALL
    flags = ["--engines", "structgen", "--vocabulary", "bytes", "--sample", "4", "--plain"]
    assert main(["run", *flags, "--out", "out"]) == 0
    assert main(["masks", *flags]) == 0
    assert "4 schemas of small.jsonl" in capsys.readouterr().out
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["data"]["masks"]["source"] == "small.jsonl"
    assert manifest["data"]["masks"]["units"] == 4


def test_a_bare_name_is_found_beside_the_default_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.jsonl").write_text("")
    monkeypatch.setenv(datasets.DATA_VARIABLE, str(tmp_path))
    assert datasets.find("mine.jsonl") == tmp_path / "mine.jsonl"
    with pytest.raises(DatasetError, match=r"yours\.jsonl does not exist, neither here nor in"):
        datasets.find("yours.jsonl")


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_json_lines_are_read_in_all_their_forms(tmp_path: Path) -> None:
    path = write(
        tmp_path / "mine.jsonl",
        '{"name": "a", "schema": {"type": "integer"}, "valid": [1], "invalid": ["x\u2028y"]}',
        "",
        '{"schema": true}',
        '{"json_schema": "{\\"maximum\\": 1.0}", "unique_id": "o123"}',
    )
    found = {case.name: case for case in datasets.load(path)}
    assert found == {
        "a": Case("a", {"type": "integer"}, (Instance(1, True), Instance("x\u2028y", False))),
        "line 3": Case("line 3", True, ()),
        "o123": Case("o123", {"maximum": 1.0}, (), '{"maximum": 1.0}'),
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: Expecting property name"),
        ("3", "line 2: an object is wanted, not int"),
        ('{"valid": []}', "either 'schema' or 'json_schema'"),
        ('{"schema": true, "json_schema": "true"}', "either 'schema' or 'json_schema'"),
        ('{"schema": true, "tests": []}', "no key 'tests'"),
        ('{"schema": true, "valid": {}}', "'valid' is a list of instances"),
        ('{"schema": true, "name": 3}', "'name' is a text, not 3"),
        ('{"schema": "{"}', "line 2: Expecting property name"),
        ('{"schema": true, "name": "first"}', "a second schema is named 'first'"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = write(tmp_path / "mine.jsonl", '{"name": "first", "schema": true}', line)
    with pytest.raises(DatasetError) as caught:
        datasets.load(path)
    assert message in str(caught.value)


def test_a_folder_of_plain_schemas_has_no_instances(tmp_path: Path) -> None:
    (tmp_path / "Github_easy").mkdir()
    (tmp_path / "Github_easy" / "o1.json").write_text('{"type": "object"}')
    (tmp_path / "case.json").write_text('{"schema": true, "tests": [{"data": 1, "valid": true}]}')
    found = {case.name: case for case in datasets.load(tmp_path)}
    assert found == {
        "Github_easy/o1": Case("Github_easy/o1", {"type": "object"}, (), '{"type": "object"}'),
        "case": Case("case", True, (Instance(1, True),)),
    }


# -- the hub -----------------------------------------------------------------------------------------------


def test_offline_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(DatasetError, match=r"can't be downloaded .* --data small"):
        datasets.find("hub:epfl-dlab/JSONSchemaBench")
    with pytest.raises(DatasetError, match="hub:OWNER/NAME"):
        datasets.find("hub:JSONSchemaBench")


def test_a_dataset_of_the_hub_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub")
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    asked: dict[str, Any] = {}

    def snapshot(repository: str, **options: Any) -> str:
        asked.update(options, repository=repository)
        return str(tmp_path)

    (tmp_path / "Github_easy").mkdir()
    rows = {"json_schema": ['{"type": "null"}', "true"], "unique_id": ["o1", "o2"]}
    parquet.write_table(pyarrow.table(rows), tmp_path / "Github_easy" / "test-0.parquet")
    monkeypatch.setattr(hub, "snapshot_download", snapshot)
    path = datasets.find("hub:epfl-dlab/JSONSchemaBench/Github_easy")
    assert (path, asked["repository"]) == (tmp_path / "Github_easy", "epfl-dlab/JSONSchemaBench")
    found = {case.name: case.schema for case in datasets.load(path)}
    assert found == {"test-0/0-o1": {"type": "null"}, "test-0/1-o2": True}
    assert len(datasets.digest(path)) == 64
    with pytest.raises(DatasetError, match="no folder 'Github_hard'"):
        datasets.find("hub:epfl-dlab/JSONSchemaBench/Github_hard")


def test_rows_of_a_parquet_table_become_cases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As above, where pyarrow is not installed: its reader stands in for it.
    rows = [{"json_schema": '{"type": "null"}', "unique_id": "o1"}]
    table = SimpleNamespace(to_pylist=lambda: rows)
    stub, reader = ModuleType("pyarrow"), ModuleType("pyarrow.parquet")
    stub.ArrowException = RuntimeError  # type: ignore[attr-defined]
    stub.parquet = reader  # type: ignore[attr-defined]
    reader.read_table = lambda file, columns: table  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pyarrow", stub)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", reader)
    (tmp_path / "test-0.parquet").touch()
    assert datasets.load(tmp_path) == [Case("test-0/0-o1", {"type": "null"}, (), '{"type": "null"}')]
    rows[0]["json_schema"] = "{"
    with pytest.raises(DatasetError, match="is not a file of JSONSchemaBench"):
        datasets.load(tmp_path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DatasetError, match=r"Parquet files need pyarrow"):
        datasets.load(tmp_path)
