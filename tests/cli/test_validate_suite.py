"""``structgen validate`` next to the official test suite, to jsonschema and to check-jsonschema."""

import functools
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from check_jsonschema import main as check_jsonschema
from click.testing import CliRunner
from jsonschema.exceptions import SchemaError

from jsonschemabench import datasets, official_suite
from structgen.cli import _validate_dialect as dialect
from structgen.cli._documents import Document, parse
from structgen.cli._validate_schema import Checker
from tests.cli.support import REPOSITORY, run
from tests.json_schema import official

pytestmark = pytest.mark.skipif(
    official.archive() is None, reason="no json-schema-test-suite.tar.xz in $STRUCTGEN_DATA or ../shared/data"
)

# What the library does not do, file by file: content and the old "dependencies" are optional.
DEVIATIONS = {
    ("7", "optional/content"): 4,
    ("2019-09", "optional/dependencies-compatibility"): 14,
    ("2019-09", "unevaluatedProperties"): 1,
    ("2020-12", "optional/dependencies-compatibility"): 14,
}


def read(value: Any) -> Any:
    return parse(official_suite.compact(value), "x", "json")[0].value


def checker(case: official_suite.Case, monkeypatch: pytest.MonkeyPatch) -> Checker:
    """Make the checker of a case, whose references lead into the suite."""
    import structgen.cli._validate_schema as module

    class Remotes:
        def __init__(self, *_arguments: Any) -> None:
            self.registry = official.remotes(case.draft)

        def places(self) -> list[Any]:
            return []

    monkeypatch.setattr(module, "References", Remotes)
    schema = Document("schema", "", read(case.schema), lambda _text, paths: dict.fromkeys(paths))  # type: ignore[arg-type]
    return Checker(schema, None, draft=case.option, formats=case.section == "format")


@pytest.mark.parametrize("draft", official.DRAFTS)
def test_the_official_suite(draft: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong: dict[tuple[str, str], int] = {}
    tests = 0
    for file in official.files(draft):
        for case in official.cases(draft, file):
            found = checker(case, monkeypatch)
            assert found.draft == draft
            for test in case.tests:
                tests += 1
                [document] = parse(official_suite.compact(test.data), "x", "json")
                violations = found.violations(document)
                if (not violations) != test.valid:
                    wrong[draft, file] = wrong.get((draft, file), 0) + 1
                for violation in violations:
                    assert violation.file == "x"
                    assert violation.message
                    assert resolve(document.value, violation.instance)
    assert tests > 900
    assert wrong == {key: count for key, count in DEVIATIONS.items() if key[0] == draft}


def resolve(value: Any, pointer: str) -> bool:
    """Tell whether a JSON Pointer leads somewhere."""
    for step in pointer.split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        try:
            value = value[int(step)] if isinstance(value, list) else value[step]
        except (KeyError, IndexError):
            return False
    return True


@pytest.mark.parametrize("draft", official.DRAFTS)
def test_jsonschema_finds_the_same_violations(draft: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the dialect of patterns and exact numbers make no difference: all but the optional part."""
    compared = 0
    for file in official.files(draft):
        if "/" in file or file == "vocabulary":
            continue
        for case in official.cases(draft, file):
            found = checker(case, monkeypatch)
            plain = dialect.DRAFTS[draft](plainly(case.schema), registry=official.remotes(draft))
            for test in case.tests:
                [document] = parse(official_suite.compact(test.data), "x", "json")
                try:
                    errors = list(plain.iter_errors(plainly(test.data)))
                except re.error:
                    continue
                ours = sorted((v.instance, v.keyword) for v in found.violations(document))
                theirs = sorted(
                    (
                        "".join(f"/{str(s).replace('~', '~0').replace('/', '~1')}" for s in e.absolute_path),
                        e.validator or "false",
                    )
                    for e in errors
                )
                assert ours == theirs or file in ("multipleOf", "float-overflow"), (file, case.description)
                compared += 1
    assert compared > 500


def plainly(value: Any) -> Any:
    return json.loads(official_suite.compact(value))


@functools.cache
def _sample() -> list[tuple[official_suite.Case, official_suite.Test]]:
    """Take one valid and one invalid test of every fourth case without references."""
    found = []
    for draft in ("7", "2020-12"):
        for file in official.files(draft):
            if "/" in file or file in (
                "vocabulary",
                "refRemote",
                "ref",
                "id",
                "anchor",
                "dynamicRef",
                "defs",
                "definitions",
            ):
                continue
            # It refuses schemas that are booleans.
            for case in [c for c in official.cases(draft, file) if isinstance(c.schema, dict)][::4]:
                for valid in (True, False):
                    found += [(case, test) for test in case.tests if test.valid == valid][:1]
    return found


def test_check_jsonschema_agrees(tmp_path: Path) -> None:
    sample = _sample()[::3]
    assert len(sample) > 50
    for case, test in sample:
        schema, data = tmp_path / "schema.json", tmp_path / "data.json"
        # Both take the draft from the schema.
        value = {"$schema": official_suite.DIALECTS[case.draft], **case.schema}
        schema.write_text(official_suite.compact(value))
        data.write_text(official_suite.compact(test.data))
        theirs = CliRunner().invoke(check_jsonschema, ["--schemafile", str(schema), str(data)]).exit_code
        ours = run("validate", schema, data).code
        assert ours == theirs == (0 if test.valid else 1), (case.file, case.description, test.description)


def test_schemas_in_the_wild_get_the_verdicts_of_jsonschema() -> None:
    data = datasets.default_data() or REPOSITORY.parent / "shared" / "data" / datasets.MASKBENCH_ARCHIVE
    if not data.exists():
        pytest.skip(f"no {datasets.MASKBENCH_ARCHIVE} in $STRUCTGEN_DATA or ../shared/data")
    verdicts = {True: 0, False: 0}
    for case in datasets.load(data, sample=60):
        schema = parse(json.dumps(case.schema), case.name, "json")[0]
        found = Checker(schema, None)
        # The draft that both read from the schema.
        plain = dialect.DRAFTS[found.draft](case.schema)
        for instance in case.instances:
            try:
                verdict = plain.is_valid(instance.data)
            except re.error:
                continue
            [document] = parse(json.dumps(instance.data), "x", "json")
            assert (not found.violations(document)) == verdict, case.name
            verdicts[verdict] += 1
    assert min(verdicts.values()) > 20


@pytest.mark.parametrize("draft", official.DRAFTS)
def test_schemas_are_checked_as_jsonschema_does(draft: str) -> None:
    cls, plain = dialect.validator_class(draft), dialect.DRAFTS[draft]
    schemas: list[Any] = [
        {"type": 1},
        {"required": "a"},
        {"minLength": -1},
        {"items": 3},
        {"enum": 1},
        {"$ref": 1},
        5,
        {},
        [],
    ]
    for schema in schemas:
        try:
            plain.check_schema(schema)
            valid = True
        except SchemaError:
            valid = False
        assert (not list(cls(cls.META_SCHEMA).iter_errors(schema))) == valid


def test_formats_do_not_depend_on_what_is_installed() -> None:
    checked = dialect.format_checker()
    assert set(checked.checkers) >= {"iri", "uri", "regex", "uuid", "idn-hostname", "json-pointer"}
    assert not jsonschema.Draft202012Validator({"format": "uri"}, format_checker=checked).is_valid("::")
