"""The comparison of decoding methods on code that has begun to repeat itself."""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from jsonschemabench import repetition
from jsonschemabench.cli import main
from jsonschemabench.repetition import (
    METHODS,
    Interval,
    Method,
    Plan,
    RepetitionRow,
    Settings,
    Share,
    interval,
)
from jsonschemabench.repetition_methods import Bench
from jsonschemabench.repetition_prompts import Prompt
from structgen import DEAD

ROOT = Path(__file__).parents[2]
LOOPING = Prompt("synthetic", 0, "def f(self):\n    self.x = None\n    self.x = None\n    self.x = None", 3)

LOOPS = [
    LOOPING.text,
    "def up(self):\n" + "\n".join(["    self._level = self._level + 1"] * 4),
    "def f(self, transport):\n" + "\n".join(["    self._transport = transport"] * 3),
    "def f(self):\n    self.start = '.'\n    self.pattern = 'test*.py'\n    self.top = None",
]


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    threads = torch.get_num_threads()
    yield Bench.load(repetition.default_model(), 48)
    torch.set_num_threads(threads)


def run(
    bench: Bench, method: str, prompt: Prompt = LOOPING, tokens: int = 48, seed: int = 0
) -> RepetitionRow:
    bench.max_new_tokens = tokens
    return bench.run(prompt, method, seed)


# -- methods -----------------------------------------------------------------------------------------------


def test_greedy_is_the_most_probable_token_at_each_step(bench: Bench) -> None:
    tokens, special = bench.encode(LOOPING)
    assert (tokens[0], special) == (bench.tokenizer.bos_token_id, 1)
    assert bench.tokenizer.decode(tokens[1:]) == LOOPING.text
    row = list(tokens)
    with torch.inference_mode():
        for _ in range(20):
            row.append(int(bench.model(torch.tensor([row])).logits[0, -1].argmax()))
    assert bench.tokenizer.eos_token_id not in row[len(tokens) :]
    assert run(bench, "greedy", tokens=20).text == bench.tokenizer.decode(row[len(tokens) :])


@pytest.mark.parametrize("method", METHODS)
def test_every_method_runs_and_is_measured(bench: Bench, method: str) -> None:
    row = run(bench, method)
    assert row.key == ("synthetic", 0, method, 0)
    assert row.copies == 3
    assert 0 < row.tokens <= 48
    assert row.ended or row.tokens == 48
    assert row.statements.whole >= 4
    # At least the two copies in the prompt that have occurred before.
    assert row.statements.part >= 2
    assert 0 < row.ngrams.value < 1
    assert row.seconds > 0
    if METHODS[method].constrained:
        ids = bench.tokenizer(LOOPING.text + row.text)["input_ids"]
        state = bench.automaton.start
        for token in ids:
            state = bench.automaton.step(state, token)
        assert state != DEAD
        if row.ended:
            ast.parse(LOOPING.text + row.text)


def test_constrained_output_that_ends_is_python(bench: Bench) -> None:
    rows = [run(bench, "grammar-temperature", tokens=160, seed=seed) for seed in range(4)]
    ended = [row for row in rows if row.ended]
    assert ended
    for row in ended:
        ast.parse(LOOPING.text + row.text)


def test_the_penalty_is_on_what_repeats(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    greedy = run(bench, "greedy")
    assert greedy.loops
    assert greedy.structure_loops
    monkeypatch.setitem(METHODS, "none", Method("no penalty", penalty={"decay": 1.0}))
    assert run(bench, "none").text == greedy.text
    penalised = run(bench, "rpg-0.1")
    assert not penalised.loops
    assert penalised.statements.value < greedy.statements.value
    # A text without repeats is left as it is.
    plain = Prompt("synthetic", 1, "def f(self, key, default=None):\n    if key in self.data:", 0)
    assert run(bench, "rpg-0.1", plain, 16).text == run(bench, "greedy", plain, 16).text


def test_seeds_are_for_methods_that_draw(bench: Bench) -> None:
    first, again, other = (run(bench, "temperature", seed=seed).text for seed in (0, 0, 1))
    assert first == again != other
    assert run(bench, "greedy").text == run(bench, "greedy", seed=1).text
    runs = Plan([LOOPING, dataclasses.replace(LOOPING, number=1)], ["greedy", "top-p"], 2).runs()
    assert [(prompt.number, method, seed) for prompt, method, seed in runs] == [
        (0, "greedy", 0),
        (0, "top-p", 0),
        (0, "top-p", 1),
        # The method that goes first moves on.
        (1, "top-p", 0),
        (1, "top-p", 1),
        (1, "greedy", 0),
    ]


def test_the_end_token_counts_and_is_no_text(bench: Bench) -> None:
    prompt = Prompt("synthetic", 0, "def value(self):\n    self.x = 1\n    return None", 0)
    row = run(bench, "greedy", prompt)
    assert row.ended
    assert not row.loops
    assert row.text == "\n"
    assert row.tokens == 2
    assert row.compiles
    cut = run(bench, "greedy", prompt, tokens=1)
    assert (cut.ended, cut.tokens, cut.text) == (False, 1, "\n")


def test_what_is_no_python_or_too_long_is_known(bench: Bench) -> None:
    assert bench.is_python(LOOPING)
    assert not bench.is_python(Prompt("x", 0, "if a:\n    b\nelse:\n    c\nelse:\n    d", 0))
    bench.max_new_tokens = 48
    assert bench.fits(LOOPING)
    assert not bench.fits(Prompt("x", 0, "x = 1\n" * 400, 0))


def test_the_model_of_the_repository_is_small_and_loops_under_greedy(bench: Bench) -> None:
    folder = repetition.default_model()
    assert sum(path.stat().st_size for path in folder.iterdir()) < 2_000_000
    prompts = [Prompt("x", i, text, 3) for i, text in enumerate(LOOPS)]
    rows = {m: [run(bench, m, prompt, 128) for prompt in prompts] for m in ("greedy", "rpg-0.1")}
    assert sum(row.structure_loops for row in rows["greedy"]) >= len(LOOPS) - 1
    assert not any(row.structure_loops for row in rows["rpg-0.1"])
    # It is a model of code: what it writes by itself can end and compile.
    row = run(bench, "greedy", Prompt("x", 0, "def value(self, key):\n    if key in self.data:", 0), 64)
    assert row.ended
    assert row.compiles


# -- figures -----------------------------------------------------------------------------------------------


def row(
    number: int,
    method: str = "greedy",
    ngrams: tuple[int, int] = (1, 2),
    ended: bool = True,
    seed: int = 0,
    kind: str = "synthetic",
) -> RepetitionRow:
    return RepetitionRow(
        kind,
        number,
        method,
        seed,
        2,
        ended,
        10,
        Share(*ngrams),
        Share(1, 4),
        True,
        False,
        False,
        0.5,
        0.25,
        "x",
    )


def test_figures_are_sums_by_sums_over_prompts_and_seeds() -> None:
    rows = [row(0, ngrams=(1, 2)), row(0, ngrams=(3, 8), seed=1), row(1, ngrams=(0, 10))]
    sums = repetition.by_prompt(rows, repetition.MEASURES["TR-N"])
    assert sums == {("synthetic", 0): Share(4, 10), ("synthetic", 1): Share(0, 10)}
    found = interval(sums)
    assert found.value == 0.2
    # Both prompts drawn again: 0, 0.2 or 0.4.
    assert (found.low, found.high) == (0.0, 0.4)
    # TR-S is the mean of texts.
    assert interval(repetition.by_prompt(rows, repetition.MEASURES["TR-S"])) == Interval(0.25, 0.25, 0.25)


def test_prompts_are_drawn_again_within_their_kind() -> None:
    sums = {("a", 0): Share(0, 1), ("a", 1): Share(0, 1), ("b", 0): Share(1, 1), ("b", 1): Share(1, 1)}
    assert interval(sums) == Interval(0.5, 0.5, 0.5)
    mixed = {("a", number): share for number, share in enumerate(sums.values())}
    assert interval(mixed).low < 0.5 < interval(mixed).high


def test_intervals_of_many_prompts_are_normal_ones() -> None:
    found = interval({("a", i): Share(i % 2, 1) for i in range(400)})
    half = 1.96 * 0.5 / 20
    assert found.low == pytest.approx(0.5 - half, abs=0.01)
    assert found.high == pytest.approx(0.5 + half, abs=0.01)


def test_differences_are_between_the_same_prompts() -> None:
    mine = {("a", 0): Share(3, 4), ("a", 1): Share(1, 4), ("a", 2): Share(9, 9)}
    others = {("a", 0): Share(2, 4), ("a", 1): Share(0, 4), ("a", 3): Share(0, 9)}
    assert interval(mine, others) == Interval(0.25, 0.25, 0.25)
    assert interval(mine, others).signed == "+0.25 [+0.25, +0.25]"
    with pytest.raises(ValueError, match="at least one prompt"):
        interval(mine, {("b", 0): Share(1, 1)})
    assert interval({("a", 0): Share(0, 0)}) == Interval(0, 0, 0)


def test_tables_have_a_line_per_method() -> None:
    rows = [row(0), row(1, ended=False), row(0, "rpg", (0, 2)), row(1, "rpg", (0, 2))]
    rows += [dataclasses.replace(one, kind="benchmark") for one in rows]
    tables = {title: (header, cells) for title, header, cells in repetition.tables(rows)}
    assert list(tables) == ["synthetic", "benchmark", "all prompts", "all prompts, minus greedy"]
    header, cells = tables["synthetic"]
    assert header[:5] == ["", "EGP", "TR-N", "TR-S", "CCP"]
    assert cells[0][:4] == ["greedy", "0.50 [0.00, 1.00]", "0.50 [0.50, 0.50]", "0.25 [0.25, 0.25]"]
    assert cells[0][header.index("ms CPU a token")] == "25.0"
    assert cells[0][header.index("s")] == "0.50"
    assert [line[0] for line in cells] == ["greedy", "rpg"]
    header, cells = tables["all prompts, minus greedy"]
    assert cells[0][0] == "rpg"
    assert cells[0][1].startswith("+0.50 [+0.")
    assert cells[0][2] == "-0.50 [-0.50, -0.50]"
    assert "| rpg | 1.00 [1.00, 1.00] | 0.00 [0.00, 0.00] |" in repetition.markdown(rows)
    assert len(repetition.tables(rows[:2])) == 1


# -- the command -------------------------------------------------------------------------------------------

QUICK = ("repetition", "--plain", "--kinds", "benchmark", "--prompts", "2", "--max-new-tokens", "4")


def test_the_command_resumes_where_it_was_interrupted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, table = tmp_path / "rows.jsonl", tmp_path / "table.md"
    options = (*QUICK, "--methods", "greedy,temperature", "--seeds", "2", "--out", str(out))
    assert main([*options, "--markdown", str(table)]) == 0
    printed = capsys.readouterr().out
    assert "2 prompts, 2 seeds" in printed
    assert table.read_text().startswith("| benchmark | EGP | TR-N | TR-S | CCP |")
    settings, rows = repetition.read(out)
    assert settings is not None
    assert settings.max_new_tokens == 4
    assert [found.key[1:] for found in rows] == [
        (0, "greedy", 0),
        (0, "temperature", 0),
        (0, "temperature", 1),
        (1, "temperature", 0),
        (1, "temperature", 1),
        (1, "greedy", 0),
    ]
    # Interrupted in the middle of the last line.
    out.write_text(out.read_text()[:-20])
    again: list[tuple[int, str, int]] = []
    original = Bench.run

    def noted(self: Bench, prompt: Prompt, method: str, seed: int) -> RepetitionRow:
        again.append((prompt.number, method, seed))
        return original(self, prompt, method, seed)

    monkeypatch.setattr(Bench, "run", noted)
    assert main(list(options)) == 0
    assert again == [(1, "greedy", 0)]
    timeless = {"seconds": 0.0, "cpu_seconds": 0.0}
    assert [dataclasses.replace(found, **timeless) for found in repetition.read(out)[1]] == [
        dataclasses.replace(found, **timeless) for found in rows
    ]
    assert main([*options, "--max-new-tokens", "5"]) == 2
    assert "name another file" in capsys.readouterr().err
    out.write_text('{"record":"other"}\n')
    assert main(list(options)) == 2
    assert "line 1" in capsys.readouterr().err


def test_the_command_takes_the_published_prompts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = [LOOPING.text, "else:\n    x", "x = 1\n" * 400, "def g():\n    pass\n    pass"]
    file = tmp_path / "ArtificialSynthesis.jsonl"
    file.write_text("".join(json.dumps({"prompt": text, "samples": []}) + "\n" for text in texts))
    options = (
        "repetition",
        "--plain",
        "--methods",
        "greedy",
        "--max-new-tokens",
        "4",
        "--data",
        str(tmp_path),
    )
    assert main(list(options)) == 0
    printed = capsys.readouterr().out
    assert "1 prompts are left out: too long" in printed
    assert "1 prompts are left out: no beginnings" in printed
    assert "2 prompts, 3 seeds" in printed
    assert main([*options, "--prompts", "1"]) == 0
    assert "1 prompts, 3 seeds" in capsys.readouterr().out
    file.write_text(json.dumps({"prompt": "x = 1\n" * 400}) + "\n")
    assert main(list(options)) == 2
    assert "no prompt fits" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--methods", "nope"], "--methods wants"),
        (["--kinds", "synthetic,synthetic"], "--kinds wants"),
        (["--seeds", "0"], "1 at least"),
        (["--data", "no/such/folder"], "neither a file nor a folder"),
    ],
)
def test_wrong_options_are_refused(
    capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert main(["repetition", *options]) == 2
    assert message in capsys.readouterr().err


def test_a_model_that_is_missing_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repetition, "WEIGHTS", Path("no", "such", "folder"))
    monkeypatch.chdir(tmp_path)
    assert main(["repetition", "--prompts", "1"]) == 2
    assert "train_code.py" in capsys.readouterr().err


def test_files_begin_with_their_settings(tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    assert repetition.read(out) == (None, [])
    settings = Settings("abc", "def", 5)
    lines = [
        {"record": "repetition", "settings": dataclasses.asdict(settings)},
        {"record": "row", **{f.name: getattr(row(0), f.name) for f in dataclasses.fields(RepetitionRow)}},
    ]
    out.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert repetition.read(out) == (settings, [row(0)])
    out.write_text(json.dumps(lines[1]) + "\n")
    with pytest.raises(ValueError, match="does not begin with"):
        repetition.read(out)


def test_the_plot_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "rows.jsonl"
    options = ("--methods", "greedy,rpg,grammar,grammar-rpg", "--out", str(out))
    assert main([*QUICK, *options]) == 0
    spec = importlib.util.spec_from_file_location("plot_repetition", ROOT / "docs" / "plot_repetition.py")
    assert spec is not None
    assert spec.loader is not None
    plots = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(plots)
    monkeypatch.setattr(sys, "argv", ["plot", str(out), "--into", str(tmp_path)])
    plots.main()
    drawn = (tmp_path / "repetition.svg").read_text()
    assert all(f">{name}</text>" in drawn for name in ("EGP", "greedy", "rpg", "grammar-rpg"))
    assert ">top-p</text>" not in drawn
    assert {plots.family(method) for method in METHODS} == set(plots.COLOURS)
    assert (ROOT / "docs" / "images" / "repetition.svg").is_file()
    out.unlink()
    with pytest.raises(SystemExit):
        plots.main()
    plots.plt.close("all")
