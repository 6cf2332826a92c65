"""The official JSON Schema Test Suite passes, but for the exceptions that the baseline names with reasons."""

import random
from typing import Any

import pytest

from jsonschemabench.official_suite import compact, parse
from tests.json_schema import official
from tests.json_schema.spell import varied
from tests.json_schema.support import oracle

_ABSENT = "the official suite is not here: json-schema-test-suite.tar.xz in $STRUCTGEN_DATA or ../shared/data"
_FILES: list[Any] = (
    [(draft, file) for draft in official.DRAFTS for file in official.files(draft)]
    if official.archive()
    else [pytest.param("", "", marks=pytest.mark.skip(reason=_ABSENT))]
)


@pytest.fixture(scope="session")
def baseline() -> official.Baseline:
    return official.read_baseline()


@pytest.mark.parametrize(("draft", "file"), _FILES)
def test_file(draft: str, file: str, baseline: official.Baseline) -> None:
    """Every test comes out as the suite or else the baseline says; `--update` rewrites the baseline."""
    surprises = []
    for case in official.cases(draft, file):
        found = {deviation.test.description: deviation for deviation in official.judge(case)}
        listed = official.expected(baseline, case)
        for test in case.tests:
            deviation, entry = found.get(test.description), listed.get(test.description, "passes: ")
            kind = deviation.kind if deviation else "passes"
            if kind != entry.partition(": ")[0]:
                detail = deviation.detail if deviation else "remove it from the baseline"
                surprises.append(
                    f"{case.description} / {test.description}: {kind}, listed {entry!r}: {detail}"
                )
    assert not surprises, "\n".join(surprises)


@pytest.mark.skipif(official.archive() is None, reason=_ABSENT)
def test_baseline_names_what_exists(baseline: official.Baseline) -> None:
    """An entry for a case or a test that the suite does not have would never be noticed otherwise."""
    known = {
        (case.section, draft, file, case.description): {test.description for test in case.tests}
        for draft, file in _FILES
        for case in official.cases(draft, file)
    }
    listed = {
        (section, draft, file, case): set() if isinstance(entry, str) else set(entry)
        for section, drafts in baseline.items()
        for draft, files in drafts.items()
        for file, entries in files.items()
        for case, entry in entries.items()
    }
    assert [place for place, tests in listed.items() if not tests <= known.get(place, set())] == []
    assert listed.keys() <= known.keys()


# -- the harness itself --------------------------------------------------------------------


def _case(schema: Any, **labels: bool) -> official.Case:
    tests = tuple(official.Test(text, parse(text), valid) for text, valid in labels.items())
    return official.Case("2020-12", "made up", "made up", schema, tests)


@pytest.mark.parametrize(
    ("schema", "labels", "kinds"),
    [
        ({"type": "integer"}, {"1": True, '"a"': False}, []),
        ({"type": "integer"}, {"1": False, '"a"': True}, ["accepted", "rejected"]),
        (False, {"1": False, "{}": True}, ["rejected"]),
        ({"minimum": "not a number"}, {"1": True, "2": False}, ["refused", "refused"]),
        ({"properties": {"a": {"maximum": 5}}}, {'{"a": 6}': True, '{"b": 6}': True}, ["rejected"]),
    ],
)
def test_deviations_are_seen(schema: Any, labels: dict[str, bool], kinds: list[str]) -> None:
    assert [deviation.kind for deviation in official.judge(_case(schema, **labels))] == kinds


def test_a_crash_is_a_deviation(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: Any, **__: Any) -> None:
        raise KeyError("no such rule")

    monkeypatch.setattr("structgen.compile_json_schema", crash)
    [deviation] = official.judge(_case(True, **{"1": True}))
    assert (deviation.kind, deviation.detail) == ("crashed", "KeyError('no such rule')")


def test_written_reasons_are_kept_while_the_kind_stays() -> None:
    case = _case({"type": "integer"}, **{"1": False, '"a"': True})
    judged = [(case, official.judge(case))]
    first = official.updated({}, judged)
    entries = first["required"]["2020-12"]["made up"]["made up"]
    assert entries == {"1": "accepted: so far, 1", '"a"': 'rejected: so far, "a"'}
    entries.update({"1": "accepted: a reason", '"a"': "accepted: a stale reason"})
    again = official.updated(first, judged)["required"]["2020-12"]["made up"]["made up"]
    assert again == {"1": "accepted: a reason", '"a"': 'rejected: so far, "a"'}
    assert official.updated(first, [(case, [])]) == {section: {} for section in official.SECTIONS}


@pytest.mark.parametrize(
    "text", ['{"a": [1, -0.5, {"é\\"": null}], "b": "\\u20ac😀"}', "[]", "1e30", "-12.50"]
)
def test_spellings_keep_the_value(text: str) -> None:
    value = parse(text)
    assert parse(compact(value)) == value
    texts = {varied(value, random.Random(seed), escapes=True, numbers=True) for seed in range(20)}
    assert len(texts) > 2
    assert all(parse(spelled) == value for spelled in texts)


# -- the oracle of the other tests ---------------------------------------------------------

# Vocabularies do not concern schemas that the tests draw.
_REQUIRED = [
    place
    for place in _FILES
    if not isinstance(place, tuple) or not place[1].startswith(("optional/", "vocabulary"))
]


@pytest.mark.parametrize(("draft", "file"), _REQUIRED)
def test_oracle(draft: str, file: str) -> None:
    """What random schemas are compared with agrees with the suite itself."""
    for case in official.cases(draft, file):
        valid = oracle(case.schema, draft, registry=official.remotes(draft))
        wrong = [test.description for test in case.tests if valid(compact(test.data)) != test.valid]
        assert not wrong, case.description
