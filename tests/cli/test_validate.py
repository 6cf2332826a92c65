"""``structgen validate``: exit codes, inputs that cannot be used, options."""

import json
import os
from pathlib import Path

import pytest

from tests.cli.support import DATA, Ran, run

SCHEMA = DATA / "product.schema.json"


def validate(schema: object, text: str | bytes, *options: str, suffix: str = "json", folder: Path) -> Ran:
    """Validate a text in a file."""
    file, schema_file = folder / f"data.{suffix}", folder / "schema.json"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    schema_file.write_text(schema if isinstance(schema, str) else json.dumps(schema))
    return run("validate", schema_file, file, *options)


# -- exit codes ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "code"),
    [
        (["good.json"], 0),
        (["good.json", "good.json"], 0),
        (["bad.json"], 1),
        (["good.json", "bad.json"], 1),
        (["absent.json"], 2),
        (["bad.json", "absent.json", "good.json"], 2),
    ],
)
def test_the_worst_input_decides_the_exit_code(files: list[str], code: int) -> None:
    assert run("validate", SCHEMA, *[DATA / file for file in files]).code == code


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["schema.json"], "Missing argument 'FILE...'"),
        (["-", "-"], "can be read once only"),
        (["schema.json", "x.json", "--draft", "3"], "'3' is not one of"),
        (["schema.json", "x.json", "--ref", "http://x/y"], "--ref wants URI=FILE"),
        (["schema.json", "x.json", "--jobs", "0"], "--jobs"),
        (["schema.json", "x.json", "--nope"], "No such option"),
    ],
)
def test_wrong_usage_ends_with_2(arguments: list[str], said: str) -> None:
    ran = run("validate", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err


def test_an_output_that_cannot_be_written(tmp_path: Path) -> None:
    ran = run("validate", SCHEMA, DATA / "good.json", "-o", tmp_path / "absent" / "report")
    assert ran.code == 2
    assert "cannot be written (No such file or directory)" in ran.err


# -- inputs that cannot be used ------------------------------------------------------------

UNUSABLE = {
    "empty": (b"", "data.json:1:1: is empty"),
    "not JSON": (b"nope", "data.json:1:1: is not JSON: expecting value"),
    "trailing comma": (b'{"a": 1,\n}', "remove the comma before it"),
    "single quotes": (b"{'a': 1}", "strings stand in double quotes"),
    "comment": (b"// x\n1", "JSON has no comments"),
    "two values": (b"1\n2", "data.json:2:1: is not JSON: a second value follows the first"),
    "NaN": (b'["NaN", NaN]', "data.json:1:9: is not JSON: NaN is no JSON number"),
    "infinite": (b"[-Infinity]", "data.json:1:2: is not JSON: -Infinity is no JSON number"),
    "control character": (b'"a\x07b"', "write it as an escape"),
    "Latin-1": ('{"name":\n "café"}'.encode("latin-1"), "data.json:2:6: is not UTF-8 (byte 0xe9)"),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), "is UTF-16, not UTF-8"),
    "encoded surrogate": (b'"\xed\xa0\x80"', "data.json:1:2: is not UTF-8"),
    "deep": (b"[" * 100_000, "is nested too deeply"),
    "exponent": (b"[1e99999999999999999999]", "out of range"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_what_is_no_json_is_said_with_its_place(name: str, tmp_path: Path) -> None:
    text, said = UNUSABLE[name]
    ran = validate({}, text, folder=tmp_path)
    assert ran.code == 2
    assert said in ran.err
    # The same in lines: it spoils its line alone.
    if b"\n" not in text and text and not text.startswith(b"\xff"):
        ran = validate({"type": "string"}, b'"a"\n' + text + b"\n1\n", suffix="jsonl", folder=tmp_path)
        assert ran.code == 2
        assert "data.jsonl:2" in ran.err
        assert "data.jsonl:3:1: expected a string, found 1" in ran.out


UNUSABLE_YAML = {
    "empty": ("# nothing\n", "is empty"),
    "tab": ("a:\n\t- 1", "data.yaml:2:1: is not YAML"),
    "unclosed": ("[1", "is not YAML"),
    "infinite": ("a: .inf", "data.yaml:1:4: has the number .inf"),
    "tag": ("a: !Ref b", "data.yaml:1:4: has the tag !Ref"),
    "unknown alias": ("a: *b", "*b has no anchor"),
    "recursive": ("a: &a [*a]", "inside of what it stands for"),
    "key": ("? [1]\n: 2", "has a key that is no scalar"),
    "merge": ("a: &a 1\nb: {<<: *a}", "merge key"),
    "deep": ("[" * 200_000 + "]" * 200_000, "nested more than 1000 levels"),
    "laughs": (
        "a0: &a0 [x, x]\n"
        + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)),
        "aliases that stand for more than 1,000,000 values",
    ),
}


@pytest.mark.parametrize("name", UNUSABLE_YAML)
def test_what_is_no_yaml_is_said_with_its_place(name: str, tmp_path: Path) -> None:
    text, said = UNUSABLE_YAML[name]
    ran = validate({}, text, suffix="yaml", folder=tmp_path)
    assert ran.code == 2
    assert said in ran.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = ", "data.toml:1:5: is not TOML"),
        ("a = 1\na = 2", "data.toml:2:6: is not TOML"),
        ("a = inf", "inf is no JSON number"),
        ("a = 1" + "0" * 5000, "cannot be read"),
    ],
)
def test_what_is_no_toml_is_said_with_its_place(text: str, said: str, tmp_path: Path) -> None:
    ran = validate({}, text, suffix="toml", folder=tmp_path)
    assert ran.code == 2
    assert said in ran.err


def test_directories_and_missing_files(tmp_path: Path) -> None:
    ran = run("validate", SCHEMA, tmp_path, tmp_path / "absent.json", DATA / "good.json")
    assert ran.code == 2
    assert f"{tmp_path}: is a directory" in ran.err
    assert "absent.json: no such file or directory" in ran.err
    assert "1 document, 0 violations, 2 unusable inputs" in ran.err


def test_files_without_rights(tmp_path: Path) -> None:
    file = tmp_path / "data.json"
    file.write_text("1")
    file.chmod(0)
    if os.access(file, os.R_OK):
        pytest.skip("this user may read everything")
    ran = run("validate", SCHEMA, file)
    assert (ran.code, ran.err.count("permission denied")) == (2, 1)


@pytest.mark.parametrize(
    ("suffix", "text"), [("json", '{"name": "A"}'), ("yaml", "name: A"), ("toml", 'name = "A"')]
)
def test_the_longest_document(suffix: str, text: str, tmp_path: Path) -> None:
    schema = {"required": ["name"]}
    size = str(len(text))
    assert validate(schema, text, "--max-bytes", size, suffix=suffix, folder=tmp_path).code == 0
    ran = validate(schema, text + " ", "--max-bytes", size, suffix=suffix, folder=tmp_path)
    assert ran.code == 2
    assert f"is longer than {size} bytes; allow more with --max-bytes" in ran.err


def test_the_longest_line(tmp_path: Path) -> None:
    text = '"' + "a" * 98 + '"\n"' + "a" * 99 + '"\r\n"b"\n' + '"' + "c" * 98 + '"'
    ran = validate({"maxLength": 1}, text, "--max-bytes", "100", suffix="jsonl", folder=tmp_path)
    assert ran.code == 2
    assert "data.jsonl:2:1: is longer than 100 bytes" in ran.err
    assert [line.split(":")[1] for line in ran.out.splitlines() if line.startswith(str(tmp_path))] == [
        "1",
        "4",
    ]


# -- schemas that cannot be used -----------------------------------------------------------

BAD_SCHEMAS = {
    "not JSON": ("nope", "schema.json:1:1: is not JSON"),
    "no schema": ("[1]", "expected an object or a boolean, found [1]"),
    "type": ('{"type": "strin"}', "schema.json:1:10: is no valid schema of draft 2020-12: at '/type'"),
    "negative": (
        '{"a": 1,\n"minItems": -1}',
        "schema.json:2:13: is no valid schema of draft 2020-12: at '/minItems'",
    ),
    "pattern": (
        '{"properties": {"a": {"pattern": "("}}}',
        "at '/properties/a/pattern' expected a string of the format",
    ),
    "key pattern": ('{"patternProperties": {"[b-a]": {}}}', "is no valid schema"),
    "metaschema": ('{"$schema": "http://example.com/x"}', "names the metaschema"),
    "metaschema's type": ('{"$schema": 5}', "names the metaschema 5"),
    "reference": ('{"$ref": "http://example.com/x"}', "nothing is downloaded"),
    "pointer": ('{"$ref": "#/nope"}', "the reference '#/nope' leads to nothing in its document"),
    "endless": ('{"$ref": "#"}', "refers to itself without end"),
    "outside": ('{"$ref": "../schema.json"}', "nothing is downloaded"),
}


@pytest.mark.parametrize("name", BAD_SCHEMAS)
def test_what_is_no_schema_is_said_with_its_place(name: str, tmp_path: Path) -> None:
    schema, said = BAD_SCHEMAS[name]
    ran = validate(schema, "1\n2\n", suffix="jsonl", folder=tmp_path)
    assert (ran.code, ran.out) == (2, "")
    # However many documents there are, it is said once.
    assert ran.err.count(said) == 1


def test_a_reference_to_what_is_no_schema(tmp_path: Path) -> None:
    ran = validate({"$ref": "#/default", "default": 5}, "1", folder=tmp_path)
    assert ran.code == 2
    assert "refers to something that is no schema" in ran.err


# -- values as they are written ------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "text", "valid"),
    [
        ({"multipleOf": 0.1}, "0.3", True),
        ({"multipleOf": 0.1}, "0.35", False),
        ({"multipleOf": 0.01}, "1e400000000", True),
        ({"multipleOf": 3}, "1e400000000", False),
        ({"multipleOf": 1e-300}, "5e-301", False),
        ({"type": "integer"}, "1.0", True),
        ({"type": "integer"}, "1e2", True),
        ({"type": "integer"}, "1.5", False),
        ({"type": "integer"}, "1" + "0" * 5000, True),
        ({"maximum": 10}, "1" + "0" * 5000, False),
        ({"const": 100000000000000000000001}, "100000000000000000000001", True),
        ({"const": 100000000000000000000001}, "100000000000000000000002", False),
        ({"const": 0.1}, "0.1000000000000000000000000001", False),
        ({"const": 1}, "true", False),
        ({"const": 1}, "1.0", True),
        ({"uniqueItems": True}, "[1, true, 1.5]", True),
        ({"uniqueItems": True}, "[1, 1.0]", False),
        ({"maxLength": 1}, '"\\ud83d\\ude00"', True),
        ({"maxLength": 1}, '"\\ud800"', True),
        ({"pattern": "^.$"}, '"\\ud800"', True),
        ({"pattern": "^a$"}, '"a\\n"', False),
        ({"pattern": "^\\p{Lu}$"}, '"É"', True),
        ({"pattern": "^\\d$"}, '"٣"', False),
        ({"pattern": "^(a|b)\\1$"}, '"aa"', True),
        ({"pattern": "^(a|b)\\1$"}, '"ab"', False),
        ({"patternProperties": {"^\\p{L}$": False}}, '{"é": 1}', False),
        ({"patternProperties": {"^\\p{L}$": True}, "additionalProperties": False}, '{"é": 1}', True),
        ({"patternProperties": {"^\\p{L}$": True}, "additionalProperties": False}, '{"1": 1}', False),
        ({"patternProperties": {"^\\p{L}$": True}, "unevaluatedProperties": False}, '{"é": 1}', True),
        ({"patternProperties": {"^\\p{L}$": True}, "unevaluatedProperties": False}, '{"1": 1}', False),
        ({}, b"\xef\xbb\xbf1", True),
    ],
)
def test_values_are_exact_and_patterns_those_of_ecmascript(
    schema: object, text: str | bytes, valid: bool, tmp_path: Path
) -> None:
    assert validate(schema, text, folder=tmp_path).code == (0 if valid else 1)


@pytest.mark.parametrize("draft", ["6", "7", "2019-09", "2020-12"])
def test_no_draft_reads_patterns_as_python_does(draft: str, tmp_path: Path) -> None:
    names = {"patternProperties": {"^\\p{L}$": True}}
    schemas: list[dict[str, object]] = [{"additionalProperties": False}]
    if draft[0] == "2":
        schemas.append({"unevaluatedProperties": False})
    for more in schemas:
        # Below a reference and a "$schema", where jsonschema chooses its own class.
        for schema in (
            {**names, **more},
            {"allOf": [{"$ref": "#/definitions/x"}], "definitions": {"x": {**names, **more}}},
        ):
            assert validate(schema, '{"é": 1}', "--draft", draft, folder=tmp_path).code == 0
            assert validate(schema, '{"_": 1}', "--draft", draft, folder=tmp_path).code == 1


def test_an_embedded_dialect_is_read_as_exactly(tmp_path: Path) -> None:
    inner = {
        "$id": "x:inner",
        "$schema": "http://json-schema.org/draft-07/schema#",
        "pattern": "^\\p{Lu}$",
        "multipleOf": 0.1,
    }
    schema = {"$ref": "x:inner", "$defs": {"inner": inner}}
    assert validate(schema, '"É"', folder=tmp_path).code == 0
    assert validate(schema, '"é"', folder=tmp_path).code == 1
    assert validate(schema, "0.3", folder=tmp_path).code == 0
    assert validate(schema, "0.35", folder=tmp_path).code == 1


def test_patterns_that_are_not_regular_are_named(tmp_path: Path) -> None:
    ran = validate({"properties": {"a": {"pattern": "^(a)\\1$"}}}, "{}", folder=tmp_path)
    assert ran.code == 0
    assert "warning: " in ran.err
    assert "the pattern at '/properties/a/pattern' is not regular" in ran.err


def test_repeated_keys_are_a_warning_and_the_last_one_counts(tmp_path: Path) -> None:
    text = '{"b": {"a": 1},\n "a": "x", "a": 1}'
    for schema, code in (
        ({"properties": {"a": {"type": "integer"}}}, 0),
        ({"properties": {"a": {"type": "string"}}}, 1),
    ):
        ran = validate(schema, text, folder=tmp_path)
        assert ran.code == code
        assert "data.json:2:12: the key 'a' comes again; the last one counts" in ran.err
    assert validate({}, text, "--strict", folder=tmp_path).code == 1
    assert validate({}, '{"a": 1, "b": {"a": 1}}', "--strict", folder=tmp_path).code == 0
    ran = validate({"properties": {"a": {"const": 2}}}, "a: 1\na: 2\n", suffix="yaml", folder=tmp_path)
    assert (ran.code, "data.yaml:2:1: the key 'a' comes again" in ran.err) == (0, True)


def test_formats_are_asserted_on_request(tmp_path: Path) -> None:
    schema, text = {"format": "date"}, '"2024-02-30"'
    assert validate(schema, text, folder=tmp_path).code == 0
    assert validate(schema, text, "--assert-formats", folder=tmp_path).code == 1
    assert validate(schema, '"2024-02-29"', "--assert-formats", folder=tmp_path).code == 0
    assert validate({"format": "nothing we know"}, text, "--assert-formats", folder=tmp_path).code == 0


@pytest.mark.parametrize(
    ("schema", "options", "valid"),
    [
        # Draft 4 takes a boolean, later ones a number.
        ({"minimum": 1, "exclusiveMinimum": True}, ["--draft", "4"], False),
        ({"minimum": 1, "exclusiveMinimum": False}, ["--draft", "4"], True),
        (
            {"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 1, "exclusiveMinimum": True},
            [],
            False,
        ),
        ({"exclusiveMinimum": 1}, [], False),
        ({"exclusiveMinimum": 0}, ["--draft", "7"], True),
        # Beside a reference: ignored to draft 7.
        ({"$ref": "#/$defs/any", "$defs": {"any": {}}, "type": "string"}, ["--draft", "7"], True),
        ({"$ref": "#/$defs/any", "$defs": {"any": {}}, "type": "string"}, ["--draft", "2019-09"], False),
        (
            {"$schema": "http://json-schema.org/draft-07/schema#", "$ref": "#/x", "x": {}, "const": 2},
            [],
            True,
        ),
        ({"$schema": "x:unknown", "const": 2}, ["--draft", "2020-12"], False),
    ],
)
def test_the_draft_is_said_by_the_schema_or_the_option(
    schema: object, options: list[str], valid: bool, tmp_path: Path
) -> None:
    assert validate(schema, "1", *options, folder=tmp_path).code == (0 if valid else 1)


def test_the_option_holds_wherever_references_lead(tmp_path: Path) -> None:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "properties": {"next": {"$ref": "#"}},
        "dependencies": {"a": ["b"]},
    }
    text = '{"next": {"next": {"a": 1}}}'
    assert validate(schema, text, folder=tmp_path).code == 0
    ran = validate(schema, text, "--draft", "7", folder=tmp_path)
    assert ran.code == 1
    assert "/next/next, by /dependencies" in ran.out


def test_a_draft_of_another_syntax_is_refused(tmp_path: Path) -> None:
    ran = validate({"minimum": 1, "exclusiveMinimum": True}, "1", "--draft", "7", folder=tmp_path)
    assert ran.code == 2
    assert "is no valid schema of draft 7: at '/exclusiveMinimum' expected a number, found true" in ran.err


# -- where inputs come from ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "good", "bad"),
    [
        ("json", '{"name": "A"}', '{"name": "a"}'),
        ("jsonl", '{"name": "A"}\n{"name": "B"}', '{"name": "A"}\n{"name": "b"}'),
        ("yaml", "name: A\n---\nname: B", "name: A\n---\nname: b"),
        ("toml", 'name = "A"', 'name = "a"'),
    ],
)
def test_the_standard_input_in_every_format(form: str, good: str, bad: str) -> None:
    assert run("validate", SCHEMA, "-", "--input-format", form, stdin=good).code == 0
    ran = run("validate", SCHEMA, "-", "--input-format", form, stdin=bad)
    assert ran.code == 1
    assert ran.out.startswith("<stdin>:")


def test_the_schema_from_the_standard_input() -> None:
    schema = SCHEMA.read_bytes()
    assert run("validate", "-", DATA / "good.json", "--jobs", "2", stdin=schema).code == 0
    assert run("validate", "-", DATA / "bad.json", stdin=schema).code == 1


@pytest.mark.parametrize(
    ("suffix", "schema"),
    [("yaml", "type: [string]\nmaxLength: 1"), ("toml", 'type = "string"\nmaxLength = 1')],
)
def test_schemas_in_other_formats(suffix: str, schema: str, tmp_path: Path) -> None:
    file = tmp_path / f"schema.{suffix}"
    file.write_text(schema)
    assert run("validate", file, "-", stdin='"a"').code == 0
    assert run("validate", file, "-", stdin='"ab"').code == 1
