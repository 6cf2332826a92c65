"""The ``kernels`` run, without a GPU: what is counted, compared and reported."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")

from jsonschemabench import kernels  # noqa: E402
from jsonschemabench.cli import main  # noqa: E402
from jsonschemabench.gpu_parts import Clock, Report  # noqa: E402
from jsonschemabench.kernels import FILL, OURS, Row, Timing, bytes_to_move, measure, random_masks  # noqa: E402
from jsonschemabench.progress import progress  # noqa: E402
from structgen.kernels import apply_masks  # noqa: E402


def test_masks_exclude_the_share_that_they_should() -> None:
    for share in (0.0, 0.2, 1.0):
        masks = random_masks(share, (4,), 3200, "cpu")
        assert masks.shape == (4, 100)
        excluded = 12800 - sum(int(word & 0xFFFFFFFF).bit_count() for word in masks.flatten().tolist())
        assert excluded / 12800 == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize("item", [2, 4])
def test_sectors_are_counted_once(item: int) -> None:
    masks = random_masks(0.03, (11,), 640, "cpu")
    touched = {
        (row, (32 * index + bit) * item // 32)
        for row, words in enumerate(masks.tolist())
        for index, word in enumerate(words)
        for bit in range(32)
        if not word >> bit & 1
    }
    assert 0 < len(touched) < 11 * 640 * item // 32
    assert bytes_to_move(masks, item) == 11 * 20 * 4 + 32 * len(touched)


def test_kernels_that_fail_or_err_are_not_timed() -> None:
    def fails(logits: object, masks: object) -> None:
        raise RuntimeError("no compiler\nat all")

    found = {
        OURS: apply_masks,
        "xgrammar cuda": fails,
        "wrong": lambda logits, masks: logits.zero_(),
    }
    timed: list[str] = []

    def timer(calls: dict, copies: int) -> dict:
        assert copies > 1
        for name, call in calls.items():
            call(copies - 1)
            timed.append(name)
        return {name: Timing(2.0 if name == FILL else 3.0, 1.0) for name in calls}

    row = measure("bfloat16", "random", 3, found, timer, device="cpu", vocabulary=96, cache=1000)
    assert timed == [FILL, OURS]
    assert row.timings["xgrammar cuda"] == "RuntimeError: no compiler"
    assert row.timings["wrong"] == "another result than PyTorch's"
    assert row.ratio(OURS) == 1.5
    assert row.ratio("wrong") is None
    [(title, header, [cells])] = kernels.tables([row])
    assert title == "bfloat16, masks: random"
    assert len(header) == len(cells) == 3 + 3 * 3
    assert cells[2:6] == ["2.00", "3.00", "1.50", "1.0"]
    assert cells[6:] == ["-"] * 6


def test_kernels_to_time() -> None:
    pytest.importorskip("triton")
    pytest.importorskip("xgrammar")
    assert list(kernels.kernels([(2048, 2)])) == [OURS, f"{OURS} 2048/2", "xgrammar triton", "xgrammar cuda"]


def test_what_misses_the_bar_is_named() -> None:
    def row(ours: float, other: float) -> Row:
        timings = {FILL: Timing(10, 1), OURS: Timing(ours, 1), "xgrammar triton": Timing(other, 1)}
        return Row("float32", "random", 8, 100, timings)

    assert kernels.missed([row(12.9, 12.9), row(10, 30)], 1.3) == []
    [bound] = kernels.missed([row(14, 14)], 1.3)
    assert "1.40 times the fill's time" in bound
    [slower] = kernels.missed([row(12, 11)], 1.3)
    assert slower.endswith("batch 8: slower than xgrammar triton")
    failed = Row("float32", "random", 8, 100, {FILL: Timing(10, 1), OURS: "no"})
    assert kernels.missed([failed], 1.3) == ["float32, random, batch 8: no"]


def test_shapes_that_fail_leave_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("triton")

    def measured(dtype: str, kind: str, batch: int, found: dict, *_: object, **__: object) -> Row:
        if batch == 2:
            raise MemoryError("128 GiB")
        assert "xgrammar cuda" not in found
        return Row(dtype, kind, batch, 7, {FILL: Timing(10, 1), OURS: Timing(12, 1)})

    monkeypatch.setattr(kernels, "measure", measured)
    device = SimpleNamespace(L2_cache_size=1)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: device)
    what = replace(kernels.shapes(short=True), dtypes=["float32"], kinds=["random"], batches=[1, 2, 4])
    report = Report("kernels", tmp_path, plain=True)
    misses = kernels.run(what, 1.3, report, Clock(), progress)
    assert misses == ["float32, random, batch 2: MemoryError: 128 GiB"]
    assert report.failures == ["kernels, float32, random, batch 2"]
    out = capsys.readouterr().out
    assert "Traceback" in out
    lines = [line.split()[:6] for line in out.splitlines()]
    assert ["1", "0.000", "10.00", "12.00", "1.20", "1.0"] in lines
    assert ["2", "0.000", "-", "-", "-", "-"] in lines
    assert ["4", "0.000", "10.00", "12.00", "1.20", "1.0"] in lines
    assert (tmp_path / "kernels.jsonl").read_text().count('"kind": "Row"') == 3
    # Nothing begins when the time is up.
    assert kernels.run(what, 1.3, report, Clock(-1.0), progress) == []
    assert capsys.readouterr().out.count("the time is up") == 3


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("triton")
    assert main(["kernels"]) == 2
    assert "no GPU" in capsys.readouterr().err


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_on_a_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kernels", "--batches", "2", "--bound", "1000", "--blocks", "2048:2", "--plain"]) in (0, 1)
    assert f"{OURS} 2048/2" in capsys.readouterr().out


@pytest.mark.parametrize(
    "options",
    [
        ["--batches", "0"],
        ["--batches", "one"],
        ["--blocks", "1000:1"],
        ["--blocks", "1024"],
        ["--masks", "none"],
        ["--dtypes", "int8"],
    ],
)
def test_wrong_options_are_refused(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kernels", *options]) == 2
    assert options[0] in capsys.readouterr().err
