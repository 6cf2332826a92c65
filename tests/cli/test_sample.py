"""``structgen sample``."""

import json
import re

import jsonschema
import lark
import pytest
from click.testing import CliRunner

import structgen
from structgen.cli import cli
from structgen.cli._sample import indented

SCHEMA = {
    "type": "object",
    "properties": {
        "id": {"type": "integer", "minimum": 1},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["id"],
    "additionalProperties": False,
}


def run(*arguments, text=None):
    return CliRunner().invoke(cli, ["sample", *arguments], input=text)


@pytest.fixture
def schema_file(tmp_path):
    path = tmp_path / "schema.json"
    path.write_text(json.dumps(SCHEMA))
    return str(path)


def test_one_compact_json_text_a_line(schema_file):
    result = run(schema_file, "-n", "20", "--seed", "1")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert len(lines) == 20
    validator = jsonschema.Draft202012Validator(SCHEMA)
    assert all(validator.is_valid(json.loads(line)) for line in lines)
    assert all(not re.search(r"[:,] ", re.sub(r'"[^"]*"', "", line)) for line in lines)
    assert run(schema_file, "-n", "20", "--seed", "1").stdout == result.stdout
    assert run(schema_file, "-n", "20", "--seed", "2").stdout != result.stdout


def test_yaml_standard_input_and_arguments_are_read(tmp_path):
    (tmp_path / "s.yaml").write_text("type: integer\nminimum: 5\nmaximum: 5\n")
    assert run(str(tmp_path / "s.yaml")).stdout == "5\n"
    assert run("-", text='{"const": "é"}').stdout == '"é"\n'
    assert run('{"enum": ["x"]}').stdout == '"x"\n'
    assert run("-", "--kind", "gbnf", text='root ::= "ab"').stdout == "ab\n"


def test_grammars_and_patterns():
    parser = lark.Lark(structgen.load_grammar("arithmetic"), parser="lalr")
    for line in run(
        "grammars:arithmetic", "-n", "10", "--seed", "0", "--max-bytes", "60", "--json"
    ).stdout.splitlines():
        parser.parse(json.loads(line))
    lines = run("regex:[ab]{2}", "-n", "60", "--seed", "0", "--method", "uniform", "--max-bytes", "2").stdout
    assert set(lines.split()) == {"aa", "ab", "ba", "bb"}
    assert run("regex:(?i)yes", "-O", "flags=2", "--seed", "0").exit_code == 0


def test_line_breaks_are_told(tmp_path):
    result = run(r"regex:a\nb", "-n", "2")
    assert result.stdout == "a\nb\na\nb\n"
    assert "--json" in result.stderr
    result = run(r"regex:a\nb", "-n", "2", "--json")
    assert result.stdout == '"a\\nb"\n"a\\nb"\n'
    assert result.stderr == ""


def test_start_rule(tmp_path):
    path = tmp_path / "g.lark"
    path.write_text('start: "x" other\nother: "y"\n')
    assert run(str(path)).stdout == "xy\n"
    assert run(str(path), "-O", "start=other").stdout == "y\n"


def test_pretty_changes_white_space_only():
    text = '{"a":[1.0,{},[],"x,{\\"}"],"b":{"c":[[null]]}}'
    assert indented(text) == json.dumps(json.loads(text), indent=2)
    result = run('{"type":"array","minItems":2,"items":{"const":"a"}}', "--pretty", "--seed", "0")
    assert result.stdout.startswith('[\n  "a",\n  "a"')


def test_output_file(tmp_path, schema_file):
    target = tmp_path / "out.jsonl"
    result = run(schema_file, "-n", "3", "-o", str(target))
    assert (result.exit_code, result.stdout) == (0, "")
    assert len(target.read_text().splitlines()) == 3
    assert run(schema_file, "-o", str(tmp_path / "no" / "out")).exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.json"], "no such file"),
        (["."], "does not tell what it is"),
        ([".", "--kind", "schema"], "is a directory"),
        (['{"type": 1}'], "the value must be one of"),
        (['{"type": "integer", "minimum": 2, "maximum": 1}'], "no value satisfies"),
        (["{"], "<argument>:1:2: is not JSON"),
        (["regex:a("], "missing )"),
        (["grammars:sqll"], "did you mean 'sql'"),
        (["regex:abc", "--max-bytes", "2"], "the shortest text has 3 bytes; raise --max-bytes"),
        (["regex:a", "-O", "start=b"], "compiling a regex has no option 'start'"),
        (["{}", "-O", "whitespace=7"], "whitespace must be"),
        (["{}", "-O", "whitespace"], "write NAME=VALUE"),
        (["regex:a", "--pretty"], "--pretty indents JSON"),
        (["{}", "--pretty", "--json"], "exclude each other"),
        (["{}", "-n", "-1"], "-1"),
    ],
)
def test_unusable(arguments, message):
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""


def test_not_utf8(tmp_path):
    path = tmp_path / "s.json"
    path.write_bytes(b'{"const": "\xff"}')
    result = run(str(path))
    assert result.exit_code == 2
    assert "is not UTF-8" in result.stderr


def test_help_has_examples():
    assert "structgen sample schema.json -n 5" in run("--help").stdout
