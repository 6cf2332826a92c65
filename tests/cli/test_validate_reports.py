"""Reports for machines: SARIF, annotations of GitHub, JSON; and for terminals."""

import json
import re
import tarfile
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from jsonschemabench import datasets
from structgen.cli._documents import parse
from structgen.cli._excerpts import excerpt
from structgen.cli._validate_messages import brief
from tests.cli.support import DATA, REPOSITORY, run

ALL = [
    DATA / name for name in ("bad.json", "good.json", "lines.jsonl", "two.yaml", "table.toml", "absent.json")
]
SCHEMA = DATA / "product.schema.json"


def sarif_schema() -> Any:
    """Return the schema of SARIF 2.1.0, which is one of MaskBench's."""
    archive = datasets.default_data()
    archive = archive or REPOSITORY.parent / "shared" / "data" / datasets.MASKBENCH_ARCHIVE
    name = "JsonSchemaStore---sarif-2.1.0.json"
    if archive.is_dir() and (archive / name).is_file():
        return json.loads((archive / name).read_text(encoding="utf-8"))["schema"]
    if not archive.is_file():
        pytest.skip(f"no {datasets.MASKBENCH_ARCHIVE} in $STRUCTGEN_DATA or ../shared/data")
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.name.endswith(name):
                content = tar.extractfile(member)
                assert content is not None
                return json.load(content)["schema"]
    raise AssertionError(f"no {name} in {archive}")


def test_sarif_is_sarif() -> None:
    validator = jsonschema.Draft7Validator(sarif_schema())
    for files in (ALL, [DATA / "good.json"], [DATA / "absent.json"], [DATA / "bad.json"]):
        report = json.loads(run("validate", SCHEMA, *files, "--format", "sarif").out)
        assert not list(validator.iter_errors(report))
        [ran] = report["runs"]
        rules = {rule["id"] for rule in ran["tool"]["driver"]["rules"]}
        assert {result["ruleId"] for result in ran["results"]} == rules
        assert ran["invocations"][0]["executionSuccessful"] == (DATA / "absent.json" not in files)
    # The oracle tells the difference.
    report["runs"][0]["columnKind"] = "bytes"
    assert list(validator.iter_errors(report))


def test_sarif_quotes_names_of_files(tmp_path: Path) -> None:
    file = tmp_path / "a b%ä.json"
    file.write_text("1")
    report = json.loads(run("validate", SCHEMA, file, "--format", "sarif").out)
    location = report["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert location["artifactLocation"]["uri"].endswith("/a%20b%25%C3%A4.json")


def test_github_commands_are_escaped(tmp_path: Path) -> None:
    file = tmp_path / "a,b:c.json"
    file.write_text(json.dumps({"name": "50% \r\n::error::x"}))
    ran = run("validate", SCHEMA, file, "--format", "github")
    [line] = ran.out.splitlines()
    command = re.fullmatch(r"::error ((?:[a-zA-Z]+=[^,:]*,?)+)::(.*)", line)
    assert command is not None
    properties = dict(part.split("=", 1) for part in command[1].split(","))
    assert properties["file"].endswith("a%2Cb%3Ac.json")
    assert (properties["line"], properties["col"]) == ("1", "10")
    assert "50%25 " in command[2]
    # GitHub reads line by line; the value's own line feed is spelt as JSON spells it.
    assert "\\r\\n::error::x" in command[2]


def test_json_reports_hold_what_texts_say() -> None:
    report = json.loads(run("validate", SCHEMA, *ALL, "--format", "json").out)
    text = run("validate", SCHEMA, *ALL).out
    assert report["valid"] is False
    assert report["documents"] == 8
    for violation in report["violations"]:
        head = f"{violation['file']}:{violation['line']}:{violation['column']}: {violation['message']}\n"
        assert head in text
        assert violation["message"] == f"expected {violation['expected']}, found {violation['found']}"
        assert (violation["line"], violation["column"]) < (violation["end_line"], violation["end_column"])
    valid = json.loads(run("validate", SCHEMA, DATA / "good.json", "--format", "json").out)
    assert valid == {"violations": [], "errors": [], "warnings": [], "documents": 1, "valid": True}


def test_pointers_lead_to_the_keyword_and_to_the_value() -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    data = json.loads((DATA / "bad.json").read_text(encoding="utf-8"))
    report = json.loads(run("validate", SCHEMA, DATA / "bad.json", "--format", "json").out)
    for violation in report["violations"]:
        parent, _, keyword = violation["schema"].rpartition("/")
        assert keyword == violation["keyword"]
        assert keyword in follow(schema, parent)
        follow(data, violation["instance"])


def follow(value: Any, pointer: str) -> Any:
    for step in pointer.split("/")[1:]:
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value


def test_colours_are_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = run("validate", SCHEMA, DATA / "bad.json")
    assert "\x1b" not in plain.out + plain.err
    coloured = run("validate", SCHEMA, DATA / "bad.json", color=True)
    assert "\x1b[31m" in coloured.out
    assert re.sub(r"\x1b\[\d*m", "", coloured.out) == plain.out
    monkeypatch.setenv("NO_COLOR", "1")
    assert run("validate", SCHEMA, DATA / "bad.json", color=True).out == plain.out


def test_what_a_terminal_would_act_upon_is_escaped(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text('{"name": "\u202e\\u001b[2J\u009b31m"}', encoding="utf-8")
    ran = run("validate", SCHEMA, file)
    assert ran.code == 1
    assert ran.out.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    "keyword", [{"anyOf": [{"const": n} for n in range(300)]}, {"oneOf": [{}, {}, False]}]
)
def test_many_branches_are_cut(keyword: Any, tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text(json.dumps(keyword))
    ran = run("validate", schema, "-", stdin="-1")
    assert ran.code == 1
    assert len(ran.out.splitlines()) < 20
    if "oneOf" in keyword:
        assert "expected exactly one of 3 schemas to hold, found that several hold" in ran.out


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "null"),
        ({"a": [1, True, "é"]}, '{"a": [1, true, "é"]}'),
        ({str(n): n for n in range(99)}, "an object with 99 properties"),
        ([0] * 99, "an array of 99 items"),
        ("x" * 99, '"' + "x" * 59 + "…"),
        (10**99, "1" + "0" * 59 + "…"),
    ],
)
def test_values_are_shown_on_less_than_a_line(value: Any, shown: str) -> None:
    assert brief(value) == shown


@pytest.mark.parametrize(
    ("text", "part", "shown"),
    [
        ('{"a": 12}', "12", ('{"a": 12}', "      ^~")),
        ('{"é": 12}', "12", ('{"é": 12}', "      ^~")),
        ('{"日": 12}', "12", ('{"日": 12}', "       ^~")),
        ('{"日": "本"}', '"本"', ('{"日": "本"}', "       ^~~~")),
        ("\t[12]", "12", (" [12]", "  ^~")),
        ('{"a":\n {"b": 1},\n "c": 2}', '{"b": 1}', (' {"b": 1},', " ^")),
        ('{"e\u0301": 1}', "1", ('{"e\u0301": 1}', "      ^")),
    ],
)
def test_carets_stand_below_what_is_meant(text: str, part: str, shown: tuple[str, str]) -> None:
    [document] = parse(text, "x", "json")
    start = text.index(part)
    assert excerpt(document, start, start + len(part)) == shown


def test_excerpts_of_long_lines_are_bounded() -> None:
    text = "[" + "1, " * 100_000 + '"here", ' + "2, " * 100_000 + "3]"
    [document] = parse(text, "x", "json")
    start = text.index('"here"')
    line, carets = excerpt(document, start, start + 6)
    assert len(line) < 90
    assert line[carets.index("^") : len(carets)] == '"here"'
