"""Outputs: walks under masks, their judgement, coverage and compliance, runs and reports of them."""

from __future__ import annotations

import io
import json
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from jsonschemabench import datasets, judge, masks, statistics, vocabularies
from jsonschemabench.cli import main
from jsonschemabench.datasets import Case
from jsonschemabench.engines import EngineUnavailableError, engine_class
from jsonschemabench.judge import Judge
from jsonschemabench.keywords import property_names
from jsonschemabench.masks import Limits, Outputs
from jsonschemabench.results import Output, OutputOutcome, Row, Status
from jsonschemabench.runs import store
from jsonschemabench.walks import OutputRequest, Walker

Write = Callable[[dict[str, dict[str, Any]]], Path]
BYTES = vocabularies.load_bytes()
WRITING, MASKLESS, FAKE = (f"fake_engines:{name}Engine" for name in ("Writing", "Maskless", "Fake"))
VALID, INVALID, UNFINISHED, REFUSED, UNDECIDED = OutputOutcome


# -- the judge ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", datasets.load(datasets.SMALL), ids=lambda case: case.name)
def test_labelled_instances_are_judged_as_labelled(case: Case) -> None:
    judged = Judge(json.dumps(case.schema))
    for instance in case.instances:
        assert judged(json.dumps(instance.data).encode())[0] is (VALID if instance.valid else INVALID)


@pytest.mark.parametrize(
    ("schema", "text", "outcome", "detail"),
    [
        ("true", "{", INVALID, "not JSON"),
        ("true", "NaN", INVALID, "not JSON: NaN"),
        ("true", "", INVALID, "not JSON"),
        ('{"type": "integer"}', "1.0", VALID, ""),
        ('{"type": "integer"}', "1e3", VALID, ""),
        ('{"type": "integer"}', "1e-3", INVALID, "is not of type"),
        ('{"multipleOf": 0.1}', "0.3", VALID, ""),
        ('{"multipleOf": 0.1}', "0.35", INVALID, "$: "),
        ('{"maximum": 9007199254740992}', "9007199254740993", INVALID, "greater than"),
        ('{"items": {"maximum": 1}}', "[0, 2]", INVALID, "$[1]: "),
        ('{"format": "date"}', '"2024-02-30"', INVALID, "is not a 'date'"),
        ('{"format": "time"}', '"23:59:60Z"', VALID, ""),
        ('{"format": "time"}', '"00:29:60.5+00:30"', VALID, ""),
        ('{"format": "time"}', '"15:59:60-08:00"', VALID, ""),
        ('{"format": "time"}', '"23:59:60+00:30"', INVALID, "is not a 'time'"),
        ('{"format": "time"}', '"22:59:60Z"', INVALID, "is not a 'time'"),
        ('{"format": "time"}', '"23:59:61Z"', INVALID, "is not a 'time'"),
        ('{"format": "time"}', '"2016-12-31T23:59:60Z"', INVALID, "is not a 'time'"),
        ('{"format": "date-time"}', '"2016-12-31T23:59:60Z"', VALID, ""),
        ('{"format": "date-time"}', '"2016-12-32T23:59:60Z"', INVALID, "is not a 'date-time'"),
        ('{"format": "date-time"}', '"23:59:60Z"', INVALID, "is not a 'date-time'"),
        ('{"format": "date-time"}', "60", VALID, ""),
        ('{"$ref": "https://example.org/elsewhere"}', "1", UNDECIDED, "elsewhere"),
        ('{"type": "strin"}', "1", UNDECIDED, "strin"),
        ("true", "[" * 100_000, UNDECIDED, "nested too deeply"),
    ],
)
def test_what_the_judge_says(schema: str, text: str, outcome: OutputOutcome, detail: str) -> None:
    found = Judge(schema)(text.encode())
    assert found[0] is outcome
    assert detail in found[1]


def test_bytes_that_are_no_text_are_invalid() -> None:
    assert Judge("true")(b'"\xff"')[0] is INVALID


def test_a_pattern_that_takes_for_ever_is_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "TIMEOUT_S", 0.2)
    outcome, detail = Judge('{"pattern": "^(a+)+$"}')(json.dumps("a" * 60 + "b").encode())
    assert (outcome, "not judged within 0.2 s" in detail) == (UNDECIDED, True)


# -- walks -------------------------------------------------------------------------------------------------


class Language:
    """Masks of a finite set of texts over bytes, by the definition."""

    def __init__(self, texts: Sequence[bytes], allow_end: bool = True) -> None:
        self.mask = np.zeros((1, BYTES.mask_words), dtype=np.int32)
        self._texts, self._allow_end, self._taken = texts, allow_end, b""

    def begin(self) -> None:
        self._taken = b""

    def fill(self) -> None:
        bits = np.zeros(self.mask.size * 32, dtype=np.uint8)
        for text in self._texts:
            if text[: len(self._taken)] != self._taken:
                continue
            if len(text) > len(self._taken):
                bits[text[len(self._taken)] + 1] = 1
            elif self._allow_end:
                bits[0] = 1
        self.mask[0] = np.packbits(bits, bitorder="little").view(np.int32)

    def take(self, token: int) -> None:
        self._taken += BYTES.tokens[token]


def request(count: int = 1, max_tokens: int = 64, seed: int = 0, name: str = "schema") -> OutputRequest:
    return OutputRequest(name, count, max_tokens, seed)


def test_walks_stay_in_the_language_and_reach_all_of_it() -> None:
    texts = [b'"a"', b'"ab"', b"[1]", b"[12]", b"7"]
    times: array[int] = array("q")
    found = [Walker(BYTES).walk(Language(texts), request(), number, times) for number in range(200)]
    assert Counter(one.data for one in found).keys() == set(texts)
    assert {one.finish for one in found} == {"end"}
    assert all(one.tokens == len(one.data) + 1 for one in found)
    assert len(times) == sum(one.tokens for one in found)
    assert sum(times) == sum(one.ns for one in found)


def test_walks_depend_on_seed_schema_and_number_alone() -> None:
    texts = [bytes([a, b]) for a in b"abcdefgh" for b in b"ABCDEFGH"]

    def walk(seed: int, name: str, number: int) -> bytes:
        asked = request(seed=seed, name=name)
        return Walker(BYTES).walk(Language(texts), asked, number, array("q")).data

    assert walk(1, "a", 2) == walk(1, "a", 2)
    assert len({walk(1, "a", number) for number in range(20)}) > 5
    assert len({walk(seed, "a", 0) for seed in range(20)}) > 5
    assert len({walk(1, name, 0) for name in "abcdefghijklmnop"}) > 5


def test_a_walk_ends_at_its_bound_and_where_nothing_is_allowed() -> None:
    long = Walker(BYTES).walk(Language([b"x" * 50]), request(max_tokens=20), 0, array("q"))
    assert (long.finish, long.tokens, long.data) == ("bound", 20, b"x" * 20)
    stuck = Walker(BYTES).walk(Language([b"xy"], allow_end=False), request(), 0, array("q"))
    assert (stuck.finish, stuck.tokens, stuck.data) == ("stuck", 2, b"xy")


def test_the_second_half_of_the_bound_closes() -> None:
    class Strings(Language):
        """A string of any characters."""

        def fill(self) -> None:
            bits = np.zeros(self.mask.size * 32, dtype=np.uint8)
            if not self._taken:
                bits[ord('"') + 1] = 1
            elif len(self._taken) > 1 and self._taken.endswith(b'"'):
                bits[0] = 1
            else:
                bits[33:128] = 1
            self.mask[0] = np.packbits(bits, bitorder="little").view(np.int32)

    found = [
        Walker(BYTES).walk(Strings([]), request(max_tokens=16), number, array("q")) for number in range(50)
    ]
    assert {one.finish for one in found} == {"end"}
    assert max(one.tokens for one in found) <= 11
    assert len({one.data for one in found}) > 20


def test_names_of_properties_are_found_among_many_tokens() -> None:
    names = ["born", "né", "born in"]

    class Open(Language):
        """An object that may hold any key with a true value, and must hold one of the names."""

        def fill(self) -> None:
            bits = np.zeros(self.mask.size * 32, dtype=np.uint8)
            done = any(f'"{name}":1'.encode() in self._taken for name in names)
            if not self._taken:
                bits[ord("{") + 1] = 1
            elif self._taken.endswith(b"}"):
                bits[0] = 1
            elif self._taken.endswith((b"{", b",")):
                bits[ord('"') + 1] = 1
            elif self._taken.endswith(b'":'):
                bits[ord("1") + 1] = 1
            elif self._taken.endswith(b"1"):
                bits[ord(",") + 1] = 1
                bits[ord("}") + 1] = done
            elif self._taken.endswith(b'"') and self._taken[-2:-1] not in b"{,":
                bits[ord(":") + 1] = 1
            else:
                bits[33:] = 1
                bits[[ord(character) + 1 for character in "{,}"]] = 0
            self.mask[0] = np.packbits(bits, bitorder="little").view(np.int32)

    asked = OutputRequest("schema", 1, 60, 0, tuple(names))
    found = [Walker(BYTES).walk(Open([]), asked, number, array("q")) for number in range(60)]
    assert Counter(one.finish for one in found)["end"] >= 55
    assert all(any(f'"{name}":1'.encode() in one.data for one in found) for name in names)
    lost = [Walker(BYTES).walk(Open([]), request(max_tokens=60), number, array("q")) for number in range(60)]
    assert Counter(one.finish for one in lost)["bound"] == 60


def test_property_names_of_a_schema() -> None:
    schema = {
        "properties": {'a"': {"items": {"anyOf": [{"required": ["z"]}]}}, "é": True},
        "required": ["b", 3],
        "enum": [1],
    }
    assert property_names(schema) == ('a\\"', "b", "z", "é")
    assert property_names({"properties": {"\ud800": True}}) == ("\\ud800",)
    assert property_names({"properties": {str(n): True for n in range(9)}}, most=2) == ("0", "1")
    assert property_names(True) == property_names({"properties": 3, "required": "ab"}) == ()


@pytest.mark.parametrize("name", ["structgen", "llguidance", "xgrammar", "lm_format_enforcer"])
def test_real_engines_write_what_jsonschema_takes(name: str) -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"enum": ["x", "y"]}, "n": {"type": "integer"}},
        "required": ["a", "n"],
        "additionalProperties": False,
    }
    try:
        engine = engine_class(name)(BYTES)
    except EngineUnavailableError as error:
        pytest.skip(str(error))
    row = masks.judge(Case("one", schema, ()), engine, Outputs(count=8, max_tokens=64))
    assert row.status is Status.OK
    assert len(row.outputs) == 8
    for output in row.outputs:
        if output.outcome is VALID:
            # 1E400 is an integer.
            jsonschema.validate(json.loads(output.text, parse_float=lambda text: int(Decimal(text))), schema)
    outcomes = Counter(output.outcome for output in row.outputs)
    assert outcomes[VALID] + outcomes[INVALID] >= 6
    # The last lets control characters through, which are no JSON.
    if name != "lm_format_enforcer":
        assert outcomes[INVALID] == 0
        assert row.passes
    assert len(row.step_ns) == sum(output.tokens for output in row.outputs)


def test_engines_with_the_same_masks_write_the_same() -> None:
    schema = {"type": "array", "items": {"enum": [0, 1, "a"]}, "minItems": 3, "maxItems": 3}
    texts = []
    for name in ("structgen", "structgen_any_order"):
        row = masks.judge(Case("one", schema, ()), engine_class(name)(BYTES), Outputs(count=5))
        texts.append([output.text for output in row.outputs])
    assert texts[0] == texts[1]
    assert len(set(texts[0])) > 1


# -- rows, coverage ----------------------------------------------------------------------------------------


def run(cases: Sequence[Case], engines: Sequence[str], outputs: Outputs | None = None) -> list[Row]:
    missing: dict[str, str] = {}
    asked = outputs or Outputs(count=4)
    rows = list(masks.run(cases, engines, BYTES, Limits(30), unavailable=missing.__setitem__, outputs=asked))
    assert not missing
    return rows


def test_outputs_of_engines_are_judged_and_failures_are_rows() -> None:
    cases = [
        Case("good", {"language": ["1", "22"], "type": "integer"}, ()),
        Case("wrong", {"language": ['"1"'], "type": "integer"}, ()),
        Case("dead", {"language": ["1"], "compile": "exit"}, ()),
        Case("refused", {"compile": "refuse"}, ()),
    ]
    good, wrong, dead, refused = run(cases, [WRITING])
    assert (good.status, good.passes, len(good.outputs)) == (Status.OK, True, 4)
    assert {(output.outcome, output.text) for output in good.outputs} == {(VALID, "1"), (VALID, "22")}
    assert (wrong.status, wrong.passes) == (Status.OK, False)
    assert {output.outcome for output in wrong.outputs} == {INVALID}
    assert "is not of type" in wrong.outputs[0].detail
    assert (dead.status, refused.status) == (Status.CRASH, Status.COMPILE_ERROR)
    assert statistics.output_coverage([good, wrong, dead, refused]) == statistics.Coverage(4, 2, 1)


def test_an_adapter_without_masks_writes_outputs_only() -> None:
    cases = [Case("mixed", {"language": ["1", "no", "[]"]}, ()), Case("late", {"refuse late": 1}, ())]
    mixed, late = run(cases, [MASKLESS])
    assert [output.outcome for output in mixed.outputs] == [VALID, REFUSED, VALID]
    assert (mixed.passes, list(mixed.step_ns)) == (False, [])
    assert (late.status, late.detail) == (Status.COMPILE_ERROR, "refused on asking")
    missing: dict[str, str] = {}
    assert not list(masks.run(cases, [MASKLESS], BYTES, Limits(30), unavailable=missing.__setitem__))
    assert "has no masks: measure its outputs" in missing[MASKLESS]


def row(*outcomes: OutputOutcome, status: Status = Status.OK) -> Row:
    outputs = [Output(outcome, "1", 2, 3_000) for outcome in outcomes]
    return Row("e", "s", status, outputs=outputs)


@pytest.mark.parametrize(
    ("found", "declared", "empirical"),
    [
        (row(VALID, VALID), 1, 1),
        (row(VALID, UNFINISHED, UNDECIDED), 1, 1),
        (row(VALID, INVALID), 1, 0),
        (row(UNFINISHED), 1, 0),
        (row(VALID, REFUSED), 0, 0),
        (row(status=Status.COMPILE_ERROR), 0, 0),
        (row(status=Status.TIMEOUT), 0, 0),
        (row(status=Status.UNSATISFIABLE), 0, 0),
    ],
)
def test_coverage_by_outputs(found: Row, declared: int, empirical: int) -> None:
    assert statistics.output_coverage([found]) == statistics.Coverage(1, declared, empirical)


def test_counts_of_outputs() -> None:
    counts = statistics.count_outputs([row(VALID, VALID, INVALID), row(UNFINISHED, REFUSED, UNDECIDED)])
    assert counts == statistics.OutputCounts(6, 2, 1, 1, 1, 1, tokens=12, nanoseconds=18_000)
    assert counts.compliance == 2 / 3
    assert statistics.count_outputs([row(UNFINISHED)]).compliance is None


# -- runs --------------------------------------------------------------------------------------------------


def test_a_run_of_outputs_is_kept_resumed_and_reported(
    write_cases: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_cases(
        {
            "good": {"schema": {"language": ["1", "22"], "type": "integer"}},
            "wrong": {"schema": {"language": ['"1"'], "type": "integer"}},
        }
    )
    out, page, table = tmp_path / "out", tmp_path / "r.html", tmp_path / "r.csv"
    flags = ["--engines", f"{WRITING},{MASKLESS}", "--data", str(data), "--vocabulary", "bytes"]
    flags += ["--outputs", "2", "--max-tokens", "8", "--out", str(out), "--plain"]
    assert main(["run", "--measure", "outputs", *flags]) == 0
    lines = (out / store.ROWS).read_text().splitlines()
    assert len(lines) == 4
    (out / store.ROWS).write_text("\n".join(lines[:3]) + "\n" + lines[3][:20])
    assert main(["run", "--measure", "outputs", *flags, "--resume"]) == 0
    again = [json.loads(line) for line in (out / store.ROWS).read_text().splitlines()]

    def texts(record: dict[str, Any]) -> Any:
        return record["engine"], record["schema"], [output["text"] for output in record["outputs"]]

    assert [texts(record) for record in again] == [texts(json.loads(line)) for line in lines]
    # Another number of outputs is another plan.
    flags[flags.index("--outputs") + 1] = "3"
    assert main(["run", "--measure", "outputs", *flags, "--resume"]) == 2
    capsys.readouterr()
    assert main(["report", str(out), "--html", str(page), "--csv", str(table), "--plain", "--list", "3"]) == 0
    said = capsys.readouterr().out
    assert "coverage by what engines write" in said
    assert "invalid outputs of fake_engines:WritingEngine" in said
    line = next(line for line in said.splitlines() if line.startswith(WRITING))
    assert line.split()[1:] == ["2", "100.0%", "50.0%", "50.0%"]
    assert "coverage by what engines write" in page.read_text()
    import csv

    rows = list(csv.DictReader(io.StringIO(table.read_text())))
    assert {(one["engine"], one["name"], one["outputs_invalid"]) for one in rows if one["passes"] == "0"} == {
        (WRITING, "wrong", "2"),
        (MASKLESS, "wrong", "1"),
    }
