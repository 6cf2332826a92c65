"""``structgen check``."""

import json

import pytest
from click.testing import CliRunner

from structgen.cli import cli


def run(*arguments, text=None):
    return CliRunner().invoke(cli, ["check", *arguments], input=text)


def findings(schema, *arguments):
    """Return level, place and message of what is found in a schema, and the exit status."""
    result = run("-", "--no-cost", "--format", "json", *arguments, text=json.dumps(schema))
    report = json.loads(result.stdout)
    return [(f["level"], f["place"], f["message"]) for f in report["findings"]], result.exit_code


def test_nothing_to_find():
    schema = {
        "type": "object",
        "properties": {
            "a": {"type": "string", "default": "x", "examples": ["y"]},
            "b": {"anyOf": [{"type": "integer"}, {"type": "string", "minLength": 2}]},
            "c": False,
            "d": {"not": {}},
            "e": {"enum": [1, "a"]},
            "f": {"type": "array", "items": {"$ref": "#/$defs/item"}},
        },
        "required": ["a"],
        "$defs": {"item": {"type": "integer"}},
    }
    assert findings(schema) == ([], 0)


@pytest.mark.parametrize(
    ("schema", "place", "words"),
    [
        (
            {"properties": {"a": {"type": "integer", "minimum": 2, "maximum": 1}}, "type": "object"},
            "/properties/a",
            "never be present",
        ),
        (
            {"type": "string", "anyOf": [{"type": "number"}, {"minLength": 2}]},
            "/anyOf/0",
            "can never hold here",
        ),
        (
            {"type": "string", "oneOf": [{"maxLength": 2}, {"minimum": 1, "type": "number"}]},
            "/oneOf/1",
            "can never hold",
        ),
        ({"type": "string", "enum": ["a", 1]}, "/enum/1", "the constant 1 can never hold"),
        ({"type": "array", "items": {"allOf": [{"type": "string"}, {"type": "null"}]}}, "/items", "no items"),
        ({"type": "array", "prefixItems": [{}, {"enum": []}]}, "/prefixItems/1", "ends before this item"),
        ({"type": "integer", "default": "x"}, "/default", "'x' is not of type 'integer'"),
        ({"type": "integer", "examples": [1, 1.5]}, "/examples/1", "1.5 is not of type 'integer'"),
        (
            {"type": "object", "properties": {"colour": {}}, "required": ["color"]},
            "/required/0",
            "not declared",
        ),
        ({"type": "string", "maxlength": 3}, "/maxlength", "constrains nothing"),
        (
            {"$ref": "#/$defs/a~1%25", "$defs": {"a/%": {"type": "integer", "default": ""}}},
            "/$defs/a~1%/default",
            "not valid",
        ),
        (
            {
                "$schema": "http://json-schema.org/draft-04/schema#",
                "type": "integer",
                "enum": [1, 2],
                "maximum": 1,
            },
            "/enum/1",
            "the constant 2",
        ),
    ],
)
def test_warnings(schema, place, words):
    found, code = findings(schema)
    assert code == 1
    assert [(level, at) for level, at, _ in found if level != "note"] == [("warning", place)]
    assert words in next(message for level, _, message in found if level == "warning")


@pytest.mark.parametrize(
    ("schema", "place", "words"),
    [
        ({"type": "integer", "$defs": {"a": {"type": "null"}}}, "/$defs/a", "nothing refers"),
        ({"minLength": 2}, "", "they are all allowed"),
        ({"type": "string", "format": "hostname"}, "/format", "checked when the string ends"),
        ({"type": "string", "example": "a"}, "/example", "constrains nothing"),
    ],
)
def test_notes_are_no_problems(schema, place, words):
    found, code = findings(schema)
    assert code == 0
    assert [(level, at) for level, at, _ in found] == [("note", place)]
    assert words in found[0][2]


@pytest.mark.parametrize(
    ("schema", "place", "words"),
    [
        ({"type": "integer", "minimum": 2, "maximum": 1}, "", "no value satisfies"),
        ({"properties": {"a": {"type": "strin"}}}, "/properties/a/type", "must be one of"),
        ({"type": "string", "pattern": "(a)\\1"}, "/pattern", "not regular"),
        ([1], "", "schema"),
    ],
)
def test_errors(schema, place, words):
    found, code = findings(schema)
    assert code == 1
    errors = [(at, message) for level, at, message in found if level == "error"]
    assert [at for at, _ in errors] == [place]
    assert words in errors[0][1]


def test_checks_that_nothing_passes():
    schema = {"type": "array", "uniqueItems": True, "items": {"type": "object", "maxProperties": 0}}
    found, code = findings(schema | {"minItems": 2})
    assert code == 1
    assert ("warning", "", "no text was found that passes the checks of uniqueItems") in found
    assert findings(schema | {"minItems": 1})[1] == 0


def test_repeated_keys():
    result = run('{"type": "string", "$defs": {}, "type": "integer"}', "--no-cost")
    assert result.exit_code == 1
    assert "warning (whole): an object repeats the key 'type': the last one counts" in result.stdout
    assert run('{"anyOf": [{"type": "string"}, {"type": "integer"}]}', "--no-cost").exit_code == 0


def test_text_report():
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string", "enum": ["x", None]}},
        "require": ["a"],
    }
    result = run("-", "--no-cost", text=json.dumps(schema))
    assert result.exit_code == 1
    assert result.stdout == (
        "<stdin>: JSON Schema, draft 2020-12\n"
        "  keywords: 4 exact, 1 annotation\n"
        "  warning /require: no draft has this keyword: it constrains nothing (hint: required)\n"
        "  warning /properties/a/enum/1: the constant null can never hold here: no value satisfies the other "
        "keywords\n"
        "  0 errors, 2 warnings\n"
    )


def test_explain_lists_every_keyword():
    result = run("-", "--no-cost", "--explain", text='{"type": "string", "format": "hostname"}')
    assert result.exit_code == 0
    assert "guarded  (root)  format  the format 'hostname' is checked" in result.stdout
    keywords = json.loads(run("{}", "--no-cost", "--explain", "--format", "json").stdout)["keywords"]
    assert keywords == []


def test_cost_is_told_for_a_vocabulary():
    result = run(
        '{"type": "array", "items": {"type": "integer"}}', "--vocabulary", "bytes", "--format", "json"
    )
    cost = json.loads(result.stdout)["cost"]
    assert cost["vocabulary"] == "single bytes"
    assert cost["states"] > 2
    assert cost["masks"] > cost["walks"] == 5
    assert 0 < cost["mask_seconds"]["p50"] <= cost["mask_seconds"]["p99"] <= cost["mask_seconds"]["max"]
    assert "masks: p50" in run("regex:a+", "--vocabulary", "bytes").stdout
    assert run("regex:a", "--vocabulary", "nowhere").exit_code == 2


def test_lark_rules_that_nothing_leads_to(tmp_path):
    path = tmp_path / "g.lark"
    path.write_text(
        'start: a | "x"\na: "b" WORD\nlost: "c" lost NAME\nNAME: /n/\nWORD: /w/\n%ignore GAP\nGAP: " "\n'
    )
    result = run(str(path), "--no-cost", "--format", "json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)["findings"]
    assert [(f["place"], f["message"]) for f in found] == [
        ("3:1", "no start rule leads to rule 'lost'"),
        ("4:1", "no start rule leads to terminal 'NAME'"),
    ]
    # From there, other parts are out of reach.
    found = json.loads(run(str(path), "--no-cost", "--format", "json", "-O", "start=a").stdout)["findings"]
    assert [f["message"].rpartition(" ")[2] for f in found] == ["'start'", "'lost'", "'NAME'"]


def test_lark_conflicts_are_notes(tmp_path):
    path = tmp_path / "g.lark"
    path.write_text('start: s\ns: "i" s | "i" s "e" s | "x"\n')
    result = run(str(path), "--no-cost")
    assert result.exit_code == 0
    assert "shift/reduce" in result.stdout


@pytest.mark.parametrize("name", ["arithmetic", "csv", "json", "smiles", "sql"])
def test_grammars_of_the_package_are_fine(name):
    result = run(f"grammars:{name}", "--no-cost")
    assert (result.exit_code, result.stdout.splitlines()[-1].strip()) == (0, "fine")


def test_gbnf(tmp_path):
    path = tmp_path / "g.gbnf"
    path.write_text('root ::= "a" | b\nb ::= "x" b\nc ::= "d"\n')
    found = json.loads(run(str(path), "--no-cost", "--format", "json").stdout)["findings"]
    assert [(f["level"], f["place"], f["message"].partition(":")[0]) for f in found] == [
        ("warning", "2:1", "rule 'b' has no text"),
        ("warning", "3:1", "rule 'c' is never reached from 'root'"),
    ]
    path.write_text('root ::= "a" b?\nb ::= "x"\n')
    assert run(str(path), "--no-cost").exit_code == 0
    path.write_text('root ::= "a\n')
    result = run(str(path), "--no-cost")
    assert result.exit_code == 1
    assert "error 1:10" in result.stdout


def test_patterns():
    assert run("regex:a+", "--no-cost").exit_code == 0
    result = run("regex:a(", "--no-cost")
    assert result.exit_code == 1
    assert "error position 1: missing )" in result.stdout


def test_exit_status_of_several(tmp_path):
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text("{}")
    bad.write_text('{"type": 3}')
    assert run(str(good), str(good), "--no-cost").exit_code == 0
    assert run(str(good), str(bad), "--no-cost").exit_code == 1
    result = run(str(tmp_path / "no.json"), str(bad), "--no-cost")
    assert result.exit_code == 2
    assert "no such file" in result.stderr
    assert "1 error" in result.stdout  # the others are checked all the same


@pytest.mark.parametrize(
    ("text", "message"), [("{", "<stdin>:1:2: is not JSON"), ("[" * 100_000, "nested too deeply")]
)
def test_unusable(text, message):
    result = run("-", "--no-cost", text=text)
    assert result.exit_code == 2
    assert message in result.stderr


def test_time_for_contradictions_is_limited():
    schema = {"type": "string", "enum": ["a", 1]}
    found, code = findings(schema, "--max-seconds", "0")
    assert (found, code) == ([], 0)
    result = run("-", "--no-cost", "--max-seconds", "0", text=json.dumps(schema))
    assert "not all parts were looked at" in result.stdout


def test_help_has_examples():
    assert "structgen check schemas/*.json --no-cost" in run("--help").stdout
