"""Documents that schemas refer to: from files only, and from those only that the user names."""

import json
from pathlib import Path

import pytest

from tests.cli.support import run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with schemas, one of them beyond the folder of the main one."""
    main = tmp_path / "main"
    (main / "parts").mkdir(parents=True)
    (main / "parts" / "small.yaml").write_text("$defs: {n: {type: integer, maximum: 9}}\n")
    (main / "parts" / "chain.json").write_text('{"$ref": "small.yaml#/$defs/n"}')
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "known.json").write_text(
        '{"$id": "https://example.com/known", "type": "string", "$ref": "#/$defs/s", '
        '"$defs": {"s": {"maxLength": 1}}}'
    )
    (tmp_path / "elsewhere" / "notes.json").write_text("not JSON, and no matter")
    (tmp_path / "secret.json").write_text('{"const": 1}')
    return tmp_path


def check(folder: Path, reference: str, text: str, *options: str | Path, **schema: object) -> tuple[int, str]:
    file = folder / "main" / "schema.json"
    file.write_text(json.dumps({**schema, "$ref": reference}))
    ran = run("validate", file, "-", *options, stdin=text)
    return ran.code, ran.out + ran.err


def test_relative_references_lead_into_the_folder_of_the_schema(folder: Path) -> None:
    for reference in ("parts/small.yaml#/$defs/n", "parts/chain.json", "./parts/../parts/chain.json"):
        assert check(folder, reference, "9")[0] == 0
        code, said = check(folder, reference, "10")
        assert code == 1
        assert "by parts/small.yaml#/$defs/n/maximum" in said


def test_references_do_not_leave_the_folders_that_are_named(folder: Path) -> None:
    for reference in ("../secret.json", (folder / "secret.json").as_uri(), str(folder / "secret.json")):
        code, said = check(folder, reference, "1")
        assert code == 2
        assert "nothing is downloaded" in said
    (folder / "main" / "link.json").symlink_to(folder / "secret.json")
    assert check(folder, "link.json", "1")[0] == 2
    # Named, it is read.
    mapped = f"x:secret={folder / 'secret.json'}"
    assert check(folder, "x:secret", "1", "--ref", mapped)[0] == 0
    assert check(folder, "x:secret", "2", "--ref", mapped)[0] == 1


def test_a_folder_of_schemas_is_known_by_identifiers(folder: Path) -> None:
    options = ["--ref-dir", folder / "elsewhere"]
    assert check(folder, "https://example.com/known", '"a"')[0] == 2
    assert check(folder, "https://example.com/known", '"a"', *options)[0] == 0
    code, said = check(folder, "https://example.com/known", '"ab"', *options)
    assert (code, "by https://example.com/known#/$defs/s/maxLength" in said) == (1, True)
    # Relative references lead into it, too.
    assert check(folder, "known.json", '"a"', *options)[0] == 0
    assert check(folder, "known.json", "1", *options)[0] == 1


def test_addresses_stand_for_files_and_folders(folder: Path) -> None:
    for option in (
        f"https://example.com/v1/={folder / 'main' / 'parts'}",
        f"https://example.com/v1/small.yaml={folder / 'main' / 'parts' / 'small.yaml'}",
    ):
        assert check(folder, "https://example.com/v1/small.yaml#/$defs/n", "9", "--ref", option)[0] == 0
        assert check(folder, "https://example.com/v1/small.yaml#/$defs/n", "10", "--ref", option)[0] == 1
    option = f"https://example.com/v1/={folder / 'main' / 'parts'}"
    assert (
        check(folder, "small.yaml#/$defs/n", "10", "--ref", option, **{"$id": "https://example.com/v1/main"})[
            0
        ]
        == 1
    )
    assert check(folder, "https://example.com/v1/../../secret.json", "1", "--ref", option)[0] == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--ref", "x:y=absent.json"], "absent.json: no such file or directory"),
        (["--ref-dir", "absent"], "absent: is no directory"),
    ],
)
def test_what_is_named_has_to_be_there(options: list[str], said: str, folder: Path) -> None:
    code, printed = check(folder, "x:y", "1", *options)
    assert code == 2
    assert said in printed


def test_documents_that_are_no_schemas(folder: Path) -> None:
    for content in ("5", '{"$defs": 5}', '{"$id": "x:other", "items": "a", "properties": ["b"]}'):
        (folder / "odd.json").write_text(content)
        code, said = check(folder, "x:odd", "[1]", "--ref", f"x:odd={folder / 'odd.json'}")
        assert code in (0, 2)
        assert "Traceback" not in said


def test_a_broken_document_is_named(folder: Path) -> None:
    (folder / "main" / "broken.json").write_text('{"a": ')
    code, said = check(folder, "broken.json", "1")
    assert code == 2
    assert "broken.json:1:7: is not JSON" in said


def test_a_metaschema_of_ones_own_says_the_draft_and_what_counts(folder: Path) -> None:
    meta = {
        "$id": "https://example.com/meta",
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$vocabulary": {
            "https://json-schema.org/draft/2020-12/vocab/core": True,
            "https://json-schema.org/draft/2020-12/vocab/applicator": True,
        },
    }
    (folder / "meta.json").write_text(json.dumps(meta))
    schema = folder / "schema.json"
    schema.write_text(
        '{"$schema": "https://example.com/meta", "properties": {"a": false, "b": {"minimum": 3}}}'
    )
    options = ["--ref", f"https://example.com/meta={folder / 'meta.json'}"]
    assert run("validate", schema, "-", stdin='{"b": 1}').code == 2
    assert run("validate", schema, "-", *options, stdin='{"b": 1}').code == 0
    assert run("validate", schema, "-", *options, stdin='{"a": 1}').code == 1
    assert run("validate", schema, "-", "--draft", "2020-12", stdin='{"b": 1}').code == 1
