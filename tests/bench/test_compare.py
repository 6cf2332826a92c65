"""Comparisons of two runs: what was planted is found, and noise is not."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jsonschemabench import compare, results
from jsonschemabench.cli import main
from jsonschemabench.compare import Bootstrap, Change, Comparison, Limits
from jsonschemabench.results import Manifest, Outcome, Row, Status, Verdict
from jsonschemabench.runs.reading import Part
from jsonschemabench.sampler_quality import QualityRow

QUICK = Bootstrap(resamples=400)
SCHEMAS = 60


def part(rows: list[Row]) -> Part:
    engines = list(dict.fromkeys(row.engine for row in rows))
    about = Manifest(engines, ["run"], "bytes", 257, "data", len(rows), 0, 1.0, 1 << 30, 0)
    return Part("run", "masks", "masks", about, rows)


def run(
    seed: int,
    *,
    factor: float = 1.0,
    noise: float = 0.3,
    engine: str = "ours",
    failing: frozenset[int] = frozenset(),
    peak: int = 100 << 20,
) -> list[Row]:
    """Return rows of schemas whose times spread over two decades, with noise of their own in every run."""
    scales = np.random.default_rng(99).lognormal(8.0, 1.5, SCHEMAS)
    rng = np.random.default_rng(seed)
    rows = []
    for number, scale in enumerate(scales):
        times = scale * factor * rng.lognormal(0.0, noise, 20)
        outcome = Outcome.REJECTED if number in failing else Outcome.ACCEPTED
        row = Row(engine, f"s{number}", Status.OK, verdicts=[Verdict(True, outcome)])
        row.step_ns = array("q", [max(1, int(time)) for time in times])
        row.first_mask_ns = int(1e6 * factor * rng.lognormal(0.0, noise))
        row.peak_bytes = peak
        rows.append(row)
    return rows


def compared(before: list[Row], after: list[Row], **more: str) -> Comparison:
    [found] = compare.compare([part(before)], [part(after)], Limits(), QUICK, **more)  # type: ignore[arg-type]
    return found


def change(found: Comparison, what: str) -> Change:
    return next(one for one in found.changes if one.what.startswith(what))


def test_noise_is_no_regression() -> None:
    for seed in range(30):
        found = compared(run(2 * seed), run(2 * seed + 1))
        assert not found.regression, seed


@pytest.mark.parametrize(
    ("planted", "what"),
    [
        ({"factor": 1.4}, "mean mask and step"),
        ({"factor": 1.4}, "schema to first mask"),
        ({"failing": frozenset({17})}, "schemas passing"),
        ({"peak": 140 << 20}, "peak memory"),
    ],
)
def test_what_was_planted_is_found(planted: dict[str, object], what: str) -> None:
    for seed in range(15):
        found = compared(run(2 * seed), run(2 * seed + 1, **planted))  # type: ignore[arg-type]
        assert change(found, what).regression, seed
    # The other way round it is an improvement.
    assert not compared(run(0, **planted), run(1)).regression  # type: ignore[arg-type]


def test_a_slowdown_within_the_limit_is_none() -> None:
    # Without noise the ratio is known to the last digit, whatever is drawn.
    before, after = run(0, noise=0.0), run(0, noise=0.0, factor=1.09)
    found = change(compared(before, after), "mean mask")
    assert found.change == "1.090x [1.090, 1.090]"
    assert not found.regression
    assert change(compared(before, run(0, noise=0.0, factor=1.11)), "mean mask").regression


def test_lost_and_gained_schemas_are_named() -> None:
    found = compared(run(0, failing=frozenset({1, 2})), run(1, failing=frozenset({2, 3, 4})))
    assert (found.lost, found.gained) == (["s3", "s4"], ["s1"])
    shown = change(found, "schemas passing")
    assert (shown.before, shown.after, shown.pairs) == ("96.67%", "95.00%", SCHEMAS)
    assert shown.change.startswith("-1.67% [")
    allowed = compare.engines(part(run(0)), part(run(1, failing=frozenset({3, 4}))), Limits(lost=2), QUICK)[0]
    assert not change(allowed, "schemas passing").regression


def test_a_slower_machine_is_taken_out() -> None:
    def both(seed: int, ours: float, theirs: float) -> list[Row]:
        return run(seed, factor=ours) + run(seed + 1000, factor=theirs, engine="theirs")

    slow_day = both(0, 1.0, 1.0), both(1, 1.5, 1.5)
    assert all(one.regression for one in compare.compare(*([part(r)] for r in slow_day), Limits(), QUICK))
    assert not compared(*slow_day, reference="theirs").regression
    assert compared(both(0, 1.0, 1.0), both(1, 1.5, 1.0), reference="theirs").regression
    # Hidden by a faster machine, too.
    hidden = both(0, 1.0, 1.0), both(1, 1.0, 0.5)
    assert not any(one.regression for one in compare.compare(*([part(r)] for r in hidden), Limits(), QUICK))
    assert compared(*hidden, reference="theirs").regression


def test_only_shared_schemas_are_compared() -> None:
    before, after = run(0), run(1)[20:]
    found = compared(before, after)
    assert found.missing == 20
    assert {one.pairs for one in found.changes} == {40}
    # Memory depends on all schemas that a process has seen.
    assert not any(one.what == "peak memory" for one in found.changes)
    few = compared(run(0)[:5], run(1, factor=9.0)[:5])
    assert change(few, "mean mask").change.endswith("too few to judge")
    assert not few.regression


def test_schemas_that_did_not_run_have_no_time() -> None:
    after = run(1, noise=0.0)
    after[0] = replace(after[0], status=Status.TIMEOUT, step_ns=array("q"), verdicts=[])
    found = compared(run(0, noise=0.0), after)
    assert found.lost == ["s0"]
    assert change(found, "mean mask").pairs == SCHEMAS - 1


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(5)
    for level, low, high in ((95.0, 0.92, 0.98), (60.0, 0.54, 0.66)):
        how = Bootstrap(level, 400)
        held = 0
        for _ in range(400):
            mean, least, most = compare.mean_interval(rng.exponential(1.0, 150), how)
            assert least <= mean <= most
            held += least <= 1.0 <= most
        assert low < held / 400 < high


def test_large_samples_are_resampled_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(3).normal(size=200)
    whole = compare.mean_interval(values, Bootstrap())
    monkeypatch.setattr(compare, "_CHUNK", 200 * 7)
    assert compare.mean_interval(values, Bootstrap()) == whole
    # The interval of a mean is about two standard errors to each side.
    assert whole[2] - whole[1] == pytest.approx(4 * values.std() / math.sqrt(200), rel=0.1)


def quality(shares: Callable[[int], float], method: str = "mask-smc") -> Part:
    rows = [
        QualityRow("sql", task, method, seed, 1.0, shares(task), 1.0, 10, 5, 0.1, False, "")
        for task in range(25)
        for seed in range(2)
    ]
    about = Manifest([method], ["run"], "", 0, "sql", 25, 0, 0.0, 0, 0)
    return Part("run", "quality", "quality", about, quality=rows)


def test_accuracy_of_samplers() -> None:
    before = quality(lambda task: 0.5 + 0.02 * (task % 5))
    [same] = compare.compare([before], [before], Limits(), QUICK)
    [worse] = compare.compare([before], [quality(lambda task: 0.3)], Limits(), QUICK)
    mixed = quality(lambda task: 0.5 + 0.02 * (task % 5) + (0.1 if task % 2 else -0.1))
    [noisy] = compare.compare([before], [mixed], Limits(), QUICK)
    assert [one.regression for one in (same, worse, noisy)] == [False, True, False]
    assert worse.changes[0].change.startswith("-0.240 [")
    assert worse.changes[0].pairs == 25


def write(path: Path, rows: list[Row]) -> str:
    about = part(rows).manifest
    lines = [results.to_json(about), *map(results.to_json, rows)]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return str(path)


def test_the_exit_status_guards(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = write(tmp_path / "before.jsonl", run(0))
    same = write(tmp_path / "same.jsonl", run(1))
    slower = write(tmp_path / "slower.jsonl", run(2, factor=1.5, failing=frozenset({7})))
    assert main(["compare", before, same, "--plain"]) == 0
    assert "no regression" in capsys.readouterr().out
    text = tmp_path / "compare.md"
    assert main(["compare", before, slower, "--plain", "--markdown", str(text)]) == 1
    printed = capsys.readouterr().out
    assert "regressions: masks: ours" in printed
    assert "lost: s7" in printed
    assert "REGRESSION" in text.read_text(encoding="utf-8")
    assert main(["compare", before, slower, "--plain", "--max-slower", "90", "--max-lost", "1"]) == 0
    assert main(["compare", before, same, "--engines", "theirs"]) == 2
    assert "theirs is not in both runs; there are ours" in capsys.readouterr().err
    other = write(tmp_path / "other.jsonl", run(1, engine="other"))
    assert main(["compare", before, other]) == 2
    assert "in common" in capsys.readouterr().err
    assert main(["compare", before, same, "--level", "100"]) == 2
    assert main(["compare", before, str(tmp_path / "none")]) == 2


def test_what_was_not_alike_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = write(tmp_path / "before.jsonl", run(0))
    rows = run(1)
    about = replace(part(rows).manifest, cpu="another", timeout_s=2.0)
    lines = [results.to_json(about), *map(results.to_json, rows)]
    (tmp_path / "after.jsonl").write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    assert main(["compare", before, str(tmp_path / "after.jsonl"), "--plain"]) == 0
    printed = capsys.readouterr().out
    assert "masks not alike, cpu:" in printed
    assert "masks not alike, timeout_s: 1.0, then 2.0" in printed
