"""The ``gpu`` and ``forced`` runs: that ways do what they are compared for, and what is made of times."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from jsonschemabench import decoding_ways, forced, gpu, vocabularies  # noqa: E402
from jsonschemabench.cli import main  # noqa: E402
from jsonschemabench.decoding_ways import BASELINES, LLGUIDANCE, LOOP, LOOP_FREE, PROCESSOR, XGRAMMAR  # noqa: E402
from jsonschemabench.forced import Output  # noqa: E402
from jsonschemabench.gpu import Cell, lessons, missed, ratio, table  # noqa: E402

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
    assert main(["gpu", *small, "--schemas", str(tmp_path), "--ways", ",".join(ways), "--plain"]) == 0
    out = capsys.readouterr().out
    for line in ("CPU", "seed 0", "torch ", "transformers ", "no verdict"):
        assert line in out
    for name in (LOOP, LOOP_FREE, PROCESSOR):
        assert out.count(f"\n{name} ") == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
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
            assert [o.passes for o in plain] == [o.tokens for o in plain]
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
