"""Counts and percentiles against values worked out by hand."""

from __future__ import annotations

from array import array

import numpy as np
import pytest

from jsonschemabench import memory, statistics
from jsonschemabench.results import Outcome, Row, Status, Verdict

ACCEPTED, REJECTED, ORDER = Outcome.ACCEPTED, Outcome.REJECTED, Outcome.ORDER


def row(
    name: str, *verdicts: tuple[bool, Outcome], status: Status = Status.OK, engine: str = "a", **more: object
) -> Row:
    return Row(engine, name, status, verdicts=[Verdict(*verdict) for verdict in verdicts], **more)  # type: ignore[arg-type]


def test_percentiles_interpolate_between_ranks() -> None:
    summary = statistics.summarise(np.arange(1001, dtype=np.float64)[::-1])
    assert summary is not None
    assert summary.count == 1001
    assert summary.figures == pytest.approx((500.0, 500.0, 900.0, 990.0, 999.0, 1000.0), rel=1e-12)
    between = statistics.summarise(np.array([4.0, 8.0]))
    assert between is not None
    assert between.percentiles[0] == 6.0
    assert statistics.summarise(np.empty(0)) is None


def test_times_are_converted() -> None:
    rows = [row("x", step_ns=array("q", [1500, 2500, 500]), first_visit=2, first_mask_ns=3_000_000)]
    assert list(statistics.step_us(rows)) == [1.5, 2.5, 0.5]
    assert list(statistics.first_visit_us(rows)) == [1.5, 2.5]
    assert list(statistics.first_mask_ms(rows)) == [3.0]
    assert len(statistics.step_us([])) == 0


def test_counts() -> None:
    rows = [
        row("pass", (True, ACCEPTED), (False, REJECTED)),
        row("lost", (True, REJECTED), (True, REJECTED), (True, ORDER)),
        row("order", (True, ACCEPTED), (True, ORDER)),
        row("loose", (False, ACCEPTED), (False, REJECTED)),
        row("nothing", (False, REJECTED), status=Status.UNSATISFIABLE),
        row("refused", status=Status.COMPILE_ERROR),
        row("dead", status=Status.CRASH),
        row("late", status=Status.TIMEOUT),
        row("late too", status=Status.TIMEOUT),
        row("fat", status=Status.MEMORY),
    ]
    assert statistics.count(rows) == statistics.Counts(
        schemas=10,
        passing=2,
        passing_but_order=1,
        unsatisfiable=1,
        compile_errors=1,
        valid_rejected_schemas=1,
        valid_rejected=2,
        valid_rejected_by_order=2,
        invalid_accepted_schemas=1,
        invalid_accepted=1,
        crashes=1,
        timeouts=2,
        memory_limits=1,
    )


def test_a_comparison_takes_what_both_pass_and_have_timed() -> None:
    first = [
        row("both"),
        row("mine"),
        row("theirs", (True, REJECTED)),
        row("void", status=Status.UNSATISFIABLE),
    ]
    second = [row("void"), row("theirs"), row("mine", status=Status.CRASH), row("both", engine="b")]
    left, right = statistics.shared(first, second)
    assert [(one.schema, other.engine) for one, other in zip(left, right, strict=True)] == [("both", "b")]


@pytest.mark.parametrize(
    ("reason", "folded"),
    [
        ("#/properties/a~1b/items: pattern is not regular\nmore", "<pointer>: pattern is not regular"),
        ("at '/oneOf', keyword 'oneOf': no", "at '<pointer>', keyword 'oneOf': no"),
        (f"at '/a b/{'x' * 30}', keyword 'oneOf': no", "at '<pointer>', keyword 'oneOf': no"),
        ('[00:20:18] /project/cpp/json.cc:4944: Unsupported type "strin"', 'Unsupported type "strin"'),
        ("at most 2000 items", "at most N items"),
        ("", ""),
    ],
)
def test_reasons_are_folded(reason: str, folded: str) -> None:
    assert statistics.fold(reason) == folded


def test_reasons_are_counted_for_compile_errors_alone() -> None:
    rows = [
        row("a", status=Status.COMPILE_ERROR, detail="limit of 10"),
        row("b", status=Status.COMPILE_ERROR, detail="limit of 20"),
        row("c", status=Status.COMPILE_ERROR, detail="not implemented"),
        row("d", status=Status.CRASH, detail="not implemented"),
    ]
    assert statistics.reasons(rows) == [("limit of N", 2), ("not implemented", 1)]


@pytest.mark.parametrize(
    ("sizes_mib", "steady"),
    [
        ([100] * 40, True),
        ([10 * i for i in range(10)] + [100] * 30, True),
        ([100 + 5 * i for i in range(40)], False),
        ([100] * 9, False),  # too short to tell
    ],
)
def test_growth_is_told_from_a_steady_size(sizes_mib: list[int], steady: bool) -> None:
    cut = memory.parts([row("x", rss_bytes=size << 20) for size in sizes_mib])
    assert cut[-1].schemas == len(sizes_mib)
    assert memory.steady(cut) is steady


def test_memory_of_no_rows() -> None:
    assert memory.parts([]) == []
    assert not memory.steady([])
