"""The ``gpu`` and ``forced`` runs: that ways do what they are compared for, and what is made of times."""

import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from jsonschemabench import decoding_ways, forced, gpu, gpu_checks, gpu_frozen, vocabularies  # noqa: E402
from jsonschemabench.cli import main  # noqa: E402
from jsonschemabench.decoding_ways import BASELINES, LLGUIDANCE, LOOP, LOOP_FREE, PROCESSOR, XGRAMMAR  # noqa: E402
from jsonschemabench.forced import Output  # noqa: E402
from jsonschemabench.gpu import Cell, lessons, missed, ratio, table  # noqa: E402
from jsonschemabench.gpu_parts import Clock  # noqa: E402

SCHEMA = {
    "title": "Thing",
    "type": "object",
    "properties": {"name": {"enum": ["cat", "dog"]}, "legs": {"type": "integer", "maximum": 9}},
    "required": ["name", "legs"],
    "additionalProperties": False,
}
TEXTS = ['{"name": "cat", "legs": 4}', '{"name": "dog", "legs": 3}', '{"name": "dog", "legs": -7}']


@pytest.fixture(autouse=True)
def eager() -> Iterator[None]:
    # llguidance's kernel is compiled, which takes longer than all of this.
    with torch.compiler.set_stance("force_eager"):
        yield


@pytest.fixture(scope="module")
def engines() -> decoding_ways.Engines:
    return decoding_ways.Engines(vocabularies.load("tekken"))


@pytest.fixture(scope="module")
def model() -> Any:
    return gpu.build("tiny", vocabularies.load("tekken").size, "cpu", "float32", 0)


def test_the_model_has_the_shape_and_is_the_same_for_a_seed(model: Any) -> None:
    again = gpu.build("tiny", 131072, "cpu", "float32", 0)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    with torch.device("meta"):
        from transformers import LlamaConfig, LlamaForCausalLM

        large = LlamaForCausalLM(LlamaConfig(vocab_size=128256, **gpu.SHAPES["llama-3-8b"]))
    # As published: 8.03 billion.
    assert sum(p.numel() for p in large.parameters()) == 8_030_261_248
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize("name", BASELINES)
def test_every_way_decodes_what_it_is_taught(name: str, engines: Any, model: Any) -> None:
    if name in (XGRAMMAR, LLGUIDANCE):
        pytest.importorskip(name.partition(",")[0])
    texts = lessons(TEXTS, vocabularies.load("tekken"), 8)
    read: list[list[int]] = []

    def note(module: Any, arguments: Any, options: Any) -> None:
        read.append(options["input_ids"][:, -1].tolist())

    handle = model.register_forward_pre_hook(note, with_kwargs=True)
    ways = engines.ways([name], SCHEMA, texts)
    assert list(ways) == [BASELINES[name], name]
    prompt = torch.tensor([[5, 6, 7]])
    for way in ways.values():
        read.clear()
        way(model, prompt, texts)
        columns = [list(column) for column in zip(*texts, strict=True)]
        # The last token is read by the loop only, which would go on to an end token.
        assert read[1:8] == columns[:7]
        assert read[8:] == (columns[7:] if way in (ways.get(LOOP), ways.get(LOOP_FREE)) else [])
    handle.remove()


@pytest.mark.parametrize("name", BASELINES)
def test_ways_refuse_what_their_constraint_does_not_allow(name: str, engines: Any) -> None:
    if name in (XGRAMMAR, LLGUIDANCE):
        pytest.importorskip(name.partition(",")[0])
    wrong = lessons(['{"name": "cow", "legs": 4}'], vocabularies.load("tekken"), 8)
    with pytest.raises(decoding_ways.RefusedError, match=name.partition(",")[0]):
        engines.ways([name], SCHEMA, wrong)


def test_masks_are_made_for_every_token(engines: Any, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A way that taught tokens without its constraint would cost nothing."""
    texts = lessons(TEXTS, vocabularies.load("tekken"), 6)
    # The second row leaves the language at its third token.
    spoilt = [texts[0], [*texts[1][:2], *texts[1][3:], 2000], texts[2]]
    way = engines.ways([LOOP], SCHEMA, texts)[LOOP]
    with pytest.raises(RuntimeError, match="not every text goes on"):
        way(model, torch.tensor([[5, 6]]), spoilt)
    free = engines.ways([LOOP], SCHEMA, texts)[LOOP_FREE]
    free(model, torch.tensor([[5, 6]]), spoilt)


def test_lessons_are_beginnings_of_one_length() -> None:
    vocabulary = vocabularies.load("tekken")
    found = lessons([*TEXTS, "{"], vocabulary, 5)
    assert found == [vocabulary.encode(text)[:5] for text in TEXTS]
    with pytest.raises(ValueError, match="--tokens 500: the longest text has"):
        lessons(TEXTS, vocabulary, 500)


def test_ratios_are_of_pairs() -> None:
    cells = [
        Cell(1, "a", LOOP_FREE, (1.0, 2.0, 4.0)),
        Cell(1, "a", LOOP, (1.1, 2.2, 4.4)),
        Cell(1, "b", LOOP_FREE, (1.0, 1.0, 1.0)),
        Cell(1, "b", LOOP, (1.1, 1.0, 1.2)),
        Cell(16, "a", LOOP_FREE, (1.0, 1.0)),
        Cell(16, "a", LOOP, (), "no"),
    ]
    found = ratio(cells, LOOP, LOOP_FREE, 1)
    assert found is not None
    assert found.mean == pytest.approx(math.sqrt(1.1 * (1.1 * 1.0 * 1.2) ** (1 / 3)))
    # Schema a has no spread, for its repeats drifted with their baseline.
    assert found.low == pytest.approx(math.sqrt(1.1 * 1.0))
    assert found.high == pytest.approx(math.sqrt(1.1 * 1.2))
    assert ratio(cells, LOOP, LOOP_FREE, 16) is None
    header, rows = table(cells)
    assert all(len(row) == len(header) for row in rows)
    assert rows[1][:4] == [LOOP, "1", "2", f"{1e3 * (2.2 + 1.1) / 2:.3f}"]
    assert rows[3] == [LOOP, "16", "0", "-", "-", "-"]
    assert len(missed(cells, 1.04)) == 1
    assert missed(cells, 1.06) == []


def test_the_command_on_a_small_shape(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thing.json").write_text(json.dumps(SCHEMA))
    ways = ["loop", "processor"]
    for way, module in (("xgrammar", "xgrammar"), ("llguidance", "llguidance")):
        try:
            __import__(module)
        except ImportError:
            continue
        ways.append(way)
    small = ["--shape", "tiny", "--batches", "1,3", "--tokens", "4", "--texts", "2", "--repeats", "1"]
    folder = tmp_path / "results"
    options = ["--schemas", str(tmp_path), "--ways", ",".join(ways), "--plain", "--out", str(folder)]
    assert main(["gpu", *small, *options]) == 0
    out = capsys.readouterr().out
    for line in (
        "CPU",
        "seed 0",
        "torch ",
        "transformers ",
        "no verdict",
        "steps of generate_frozen, batch 3",
    ):
        assert line in out
    assert (folder / "gpu.txt").read_text() == out
    rows = [json.loads(line) for line in (folder / "gpu.jsonl").read_text().splitlines()]
    assert all(row["result"] == "ok" for row in rows if row["kind"] == "Check")
    kinds = Counter(row["kind"] for row in rows)
    assert kinds == {"Check": 6, "FrozenRow": 2 * 3, "Cell": 2 * (len(ways) + 2)}
    for name in (LOOP, LOOP_FREE, PROCESSOR):
        assert out.count(f"\n{name} ") == 2


def test_a_part_that_fails_leaves_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(device: str) -> None:
        raise RuntimeError(f"no such kernel on {device}\nand more")

    (tmp_path / "thing.json").write_text(json.dumps(SCHEMA))
    monkeypatch.setattr(gpu_checks, "CHECKS", (broken, gpu_checks.masks_of_every_shape))
    time_steps = gpu_frozen.time_steps
    calls: list[int] = []

    def fails_once(*arguments: Any) -> float:
        calls.append(1)
        if len(calls) == 2:
            raise MemoryError("too large")
        return time_steps(*arguments)

    monkeypatch.setattr(gpu_frozen, "time_steps", fails_once)
    options = ["--shape", "tiny", "--batches", "2", "--tokens", "60", "--texts", "1", "--repeats", "1"]
    assert (
        main(["gpu", *options, "--schemas", str(tmp_path), "--out", str(tmp_path / "a" / "b"), "--plain"])
        == 1
    )
    out = capsys.readouterr().out
    assert "FAILED: check broken" in out
    assert 'raise RuntimeError(f"no such kernel' in out
    assert "masks of every shape" in out
    assert "MemoryError: too large" in out
    assert "\nunconstrained, no graph " in out
    # No text is as long.
    assert "ValueError: --tokens 60" in out
    *_, first, second, third, _ = out.splitlines()
    assert first == "failed: check broken"
    assert second.startswith("failed: frozen, batch 2, dense")
    assert third == "failed: ways"
    rows = (tmp_path / "a" / "b" / "gpu.jsonl").read_text()
    assert '"result": "RuntimeError: no such kernel on cpu"' in rows


def test_ways_that_fail_are_left_out() -> None:
    calls: list[str] = []

    def way(name: str, good: int) -> Any:
        def decode(model: object, prompt: object, texts: object) -> None:
            calls.append(name)
            if calls.count(name) > good:
                raise RuntimeError(name)

        return decode

    failed: list[tuple[str, str]] = []
    ways = {"a": way("a", 0), "b": way("b", 9), "c": way("c", 2)}
    arguments = (None, ways, torch.zeros(1), [[1, 2]], 3)
    found = gpu.time_ways(*arguments, failed=lambda name, error: failed.append((name, str(error))))
    assert {name: len(seconds) for name, seconds in found.items()} == {"b": 3}
    assert failed == [("a", "a"), ("c", "c")]
    with pytest.raises(RuntimeError, match="a"):
        gpu.time_ways(*arguments)
    # When the time is up, each has been timed once.
    over = gpu.time_ways(None, {"b": ways["b"]}, torch.zeros(1), [[1, 2]], 3, Clock(-1.0))
    assert {name: len(seconds) for name, seconds in over.items()} == {"b": 1}
    assert not Clock().over


def test_steps_are_compared_with_those_that_run_alike() -> None:
    rows = [
        gpu_frozen.FrozenRow(1, "unconstrained", True, (0.001, 0.002, 0.009)),
        gpu_frozen.FrozenRow(1, "dense", True, (0.003,)),
        gpu_frozen.FrozenRow(1, "unconstrained", False, (0.004,)),
        gpu_frozen.FrozenRow(1, "dense", False, (0.005,)),
        gpu_frozen.FrozenRow(1, "sparse", False, (), "no memory"),
    ]
    header, cells = gpu_frozen.table(rows)
    assert all(len(line) == len(header) for line in cells)
    assert cells[1] == ["dense, one graph", "3.000", "1.5000", ""]
    assert cells[3] == ["dense, no graph", "5.000", "1.2500", ""]
    assert cells[4] == ["sparse, no graph", "-", "-", "no memory"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--parts", "all"], "--parts"),
        (["--batches", "0"], "--batches"),
        (["--batches", "one"], "--batches wants numbers"),
        (["--ways", "magic"], "--ways"),
        (["--tokens", "0"], "--tokens"),
        (["--schemas", "/nowhere", "--shape", "tiny"], "no schema"),
    ],
)
def test_wrong_options_are_refused(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["gpu", *options]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gpu"]) == 2
    assert "no GPU" in capsys.readouterr().err


# -- forced text -----------------------------------------------------------------------------


def test_passes_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thing.json").write_text(json.dumps(SCHEMA))
    outputs = forced.measure({"thing": SCHEMA}, 3, 60, 0, lambda name: None)
    for whitespace in ("compact", "flexible"):
        plain, single, canonical = (
            [o for o in outputs if (o.whitespace, o.forced) == (whitespace, way)] for way in forced.FORCED
        )
        assert len(plain) == len(single) == len(canonical) == 3
        # Each token takes a pass but the end token: the first is that of the prompt.
        assert [o.passes for o in plain] == [o.tokens for o in plain]
        assert all(o.passes <= o.tokens for o in single)
        assert all(o.passes < o.tokens for o in canonical)
    assert main(["forced", "--schemas", str(tmp_path), "--samples", "1", "--plain"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("\nthing ") == 6
    assert printed.count(" mask ") == 6
    assert main(["forced", "--samples", "0"]) == 2
    assert "--samples" in capsys.readouterr().err


def test_passes_of_samplers_that_weigh_tokens_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = forced.measure({"thing": SCHEMA}, 2, 60, 0, lambda name: None, ["smc", "mcmc"])
    for sampler in ("smc", "mcmc"):
        plain, single = (
            [o for o in outputs if (o.whitespace, o.sampler, o.forced) == ("compact", sampler, way)]
            for way in (None, "single")
        )
        assert sum(o.passes / o.tokens for o in single) < sum(o.passes / o.tokens for o in plain)
        if sampler == "smc":
            # A sequence that the limit cuts off has drawn a token more than it keeps.
            assert all(o.passes - o.tokens in (0, int(o.passes == 60)) for o in plain)
            assert any(o.passes < 60 for o in plain)
    assert all(o.forced != "canonical" for o in outputs)
    (tmp_path / "thing.json").write_text(json.dumps(SCHEMA))
    options = ["--schemas", str(tmp_path), "--samples", "1", "--max-tokens", "60", "--plain"]
    assert main(["forced", "--samplers", "smc", *options]) == 0
    assert capsys.readouterr().out.count(" smc ") == 4


def test_passes_per_token() -> None:
    outputs = [Output("a", "compact", None, 10, 10), Output("a", "compact", None, 20, 10)]
    found = forced.passes_per_token(outputs)
    assert (found.mean, found.low, found.high) == (0.75, 0.5, 1.0)
    _, [row] = forced.table(outputs)
    assert row == ["a", "compact", "mask", "None", "2", "30", "20", "0.75 [0.50, 1.00]"]
