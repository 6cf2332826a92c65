"""The run: judgements, crashes, hangs, restarts, alternation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from jsonschemabench import masks, statistics, vocabularies
from jsonschemabench.datasets import Case, Instance
from jsonschemabench.engines import EngineUnavailableError
from jsonschemabench.masks import Limits
from jsonschemabench.pool import EngineProcess
from jsonschemabench.results import Outcome, Row, Status

FAKE, SLOW, MISJUDGING, MISSING, DYING = (
    f"fake_engines:{name}Engine" for name in ("Fake", "Slow", "Misjudging", "Missing", "Dying")
)
BYTES = vocabularies.load_bytes()


def case(name: str, schema: dict[str, Any], valid: Sequence[Any] = (), invalid: Sequence[Any] = ()) -> Case:
    instances = [Instance(data, True) for data in valid] + [Instance(data, False) for data in invalid]
    return Case(name, {"language": [], **schema}, tuple(instances))


GOOD = case("good", {"language": ["1", "22"]}, valid=[1, 22], invalid=[2, 12])


def run(cases: Sequence[Case], engines: Sequence[str] = (FAKE,), limits: Limits | None = None) -> list[Row]:
    missing: dict[str, str] = {}
    rows = list(masks.run(cases, engines, BYTES, limits or Limits(30), unavailable=missing.__setitem__))
    assert not missing
    return rows


def test_judgements_follow_the_end_token() -> None:
    [row] = run([GOOD])
    assert (row.engine, row.schema, row.status, row.passes) == (FAKE, "good", Status.OK, True)
    assert [verdict.outcome for verdict in row.verdicts] == [
        Outcome.ACCEPTED,
        Outcome.ACCEPTED,
        Outcome.REJECTED,
        Outcome.REJECTED,
    ]
    # "2" is a prefix of "22": its one token is allowed, its end token is not.
    assert [verdict.accepted_tokens for verdict in row.verdicts] == [2, 3, 1, 1]
    assert 0 < row.compile_ns <= row.first_mask_ns
    assert row.rss_bytes > 1 << 20
    assert row.peak_bytes >= row.rss_bytes


def test_times_are_kept_in_order_with_the_first_walk_marked() -> None:
    [row] = run([GOOD])
    assert list(row.step_ns) == [1000, 2000, 1000, 2000, 3000, 1000, 2000, 1000, 2000]
    assert row.first_visit == 2
    assert list(statistics.first_visit_us([row])) == [1.0, 2.0]


def test_the_order_of_keys_is_told_from_other_rejections() -> None:
    swapped = '{"b": 1, "a": 2}'
    rows = run(
        [
            case("order", {"language": ["1"], "any_order": [swapped]}, valid=[1, {"b": 1, "a": 2}]),
            case("lost", {"language": ["1"], "any_order": ["1"]}, valid=[1, {"b": 1, "a": 2}]),
        ]
    )
    assert [[verdict.outcome for verdict in row.verdicts] for row in rows] == [
        [Outcome.ACCEPTED, Outcome.ORDER],
        [Outcome.ACCEPTED, Outcome.REJECTED],
    ]
    assert [row.passes for row in rows] == [False, False]
    assert [row.passes_but_order for row in rows] == [True, False]
    # The place of the refusal is named, for those who want to know why.
    assert rows[1].verdicts[1].description == " >>{<<"


def test_an_unsatisfiable_schema_rejects_everything() -> None:
    nothing = {"compile": "unsatisfiable"}
    right, wrong = run(
        [case("right", nothing, invalid=[1, 2]), case("wrong", nothing, valid=[1], invalid=[2])]
    )
    assert (right.status, right.passes) == (Status.UNSATISFIABLE, True)
    assert (wrong.status, wrong.passes) == (Status.UNSATISFIABLE, False)
    assert not right.step_ns


def test_an_engine_that_takes_everything_is_caught() -> None:
    rows = run([GOOD, case("only valid", {}, valid=[1])], [MISJUDGING])
    assert [row.passes for row in rows] == [False, True]
    counts = statistics.count(rows)
    assert (counts.invalid_accepted_schemas, counts.invalid_accepted, counts.valid_rejected) == (1, 2, 0)


@pytest.mark.parametrize(
    ("schema", "status", "phase", "detail"),
    [
        ({"compile": "abort"}, Status.CRASH, "compile", "killed by SIGABRT"),
        ({"compile": "exit"}, Status.CRASH, "compile", "exited with status 3"),
        ({"compile": "raise"}, Status.CRASH, "compile", "KeyError: 'not declared by the interface'"),
        ({"walk": "kill"}, Status.CRASH, "walk", "killed by SIGKILL"),
        ({"compile": "refuse"}, Status.COMPILE_ERROR, "", "this process has compiled 2"),
    ],
)
def test_a_failure_is_a_row_and_the_run_goes_on(
    schema: dict[str, Any], status: Status, phase: str, detail: str
) -> None:
    before, failed, after = run([GOOD, case("bad", schema, valid=[1]), GOOD])
    assert (failed.status, failed.phase) == (status, phase)
    assert failed.detail.startswith(detail)
    assert not failed.passes
    assert not failed.verdicts
    assert before.passes
    assert after.passes


def test_what_the_engine_printed_explains_its_crash() -> None:
    [row] = run([case("bad", {"compile": "abort"})])
    assert "about to abort" in row.detail


@pytest.mark.parametrize("phase", ["compile", "walk"])
def test_a_hang_ends_at_the_time_out(phase: str) -> None:
    failed, after = run([case("bad", {phase: "hang"}, valid=[1]), GOOD], limits=Limits(timeout_s=1.0))
    assert (failed.status, failed.phase, failed.detail) == (Status.TIMEOUT, phase, "over 1 s")
    assert after.passes


def test_unbounded_memory_ends_at_the_limit() -> None:
    limit = 400 << 20
    failed, after = run([case("bad", {"compile": "grow"}), GOOD], limits=Limits(30, memory_limit_bytes=limit))
    assert (failed.status, failed.phase) == (Status.MEMORY, "compile")
    assert failed.peak_bytes > limit
    assert after.passes


def test_engines_take_turns_in_going_first() -> None:
    rows = run([GOOD] * 4, [FAKE, SLOW, MISJUDGING])
    assert [row.engine for row in rows] == [
        *(FAKE, SLOW, MISJUDGING),
        *(SLOW, MISJUDGING, FAKE),
        *(MISJUDGING, FAKE, SLOW),
        *(FAKE, SLOW, MISJUDGING),
    ]


@pytest.mark.parametrize(("every", "compiled"), [(0, "12345"), (2, "12121"), (1, "11111")])
def test_processes_are_renewed_when_asked(every: int, compiled: str) -> None:
    rows = run([case("count", {"compile": "refuse"})] * 5, limits=Limits(30, fresh_process_every=every))
    assert "".join(row.detail[-1] for row in rows) == compiled


def test_an_engine_that_is_missing_or_dies_while_loading_is_left_out() -> None:
    missing: dict[str, str] = {}
    engines = [MISSING, FAKE, DYING, "no_such_engine"]
    rows = list(masks.run([GOOD], engines, BYTES, Limits(30), unavailable=missing.__setitem__))
    assert [row.engine for row in rows] == [FAKE]
    assert missing[MISSING] == "missing: pip install 'structgen[peers]'"
    assert "exited with status 7: out of luck" in missing[DYING]
    assert "no engine 'no_such_engine'" in missing["no_such_engine"]


def test_a_class_that_is_no_adapter_is_refused() -> None:
    with (
        EngineProcess("pathlib:Path", "bytes", timeout_s=1, memory_limit_bytes=1 << 30) as process,
        pytest.raises(EngineUnavailableError, match="not a subclass"),
    ):
        process.start()


def test_text_that_is_not_utf8_is_left_out() -> None:
    prepared = masks.prepare(
        Case("surrogate", {"const": "\ud800"}, (Instance("\ud800", True), Instance("é", True))), BYTES
    )
    assert prepared.task.schema.text == '{"const": "\\ud800"}'
    assert prepared.task.instances == [(True, [byte + 1 for byte in '"é"'.encode()])]
