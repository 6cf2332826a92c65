"""The quality run: metrics against numbers worked by hand, and all methods with an untrained model."""

from __future__ import annotations

import dataclasses
import json
import math
import random
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from jsonschemabench import sampler_quality
from jsonschemabench.cli import main
from jsonschemabench.sampler_quality import METHODS, Interval, Plan, QualityRow, Settings, bootstrap
from jsonschemabench.sampler_quality_methods import RUNS, Bench, TaskPredicate, draw, judged
from jsonschemabench.tasks import DOMAINS, Task
from structgen.samplers import Context, SamplingResult
from structgen.samplers import Sequence as Sampled

END = "<end>"
PATTERNS = DOMAINS["patterns"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an untrained model whose tokens are the bytes."""
    alphabet = {symbol: 1 + i for i, symbol in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    backend = Tokenizer(models.BPE({END: 0, **alphabet}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token=END, clean_up_tokenization_spaces=False
    )
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
    )
    path = tmp_path_factory.mktemp("untrained")
    LlamaForCausalLM(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def bench(folder: Path) -> Bench:
    threads = torch.get_num_threads()
    loaded = Bench.load(folder)
    torch.set_num_threads(threads)
    return loaded


# -- metrics -----------------------------------------------------------------------------------------------

TASK = Task("", "12", {"pattern": "[0-9]{2}", "property": "rising", "first": "1", "last": "2"})


def result(*sequences: tuple[str, float, bool]) -> SamplingResult:
    particles = [
        Sampled((), text, math.log(weight) if weight else -math.inf, weight, 0.0, finished)
        for text, weight, finished in sequences
    ]
    return SamplingResult(particles, 0.0, "by hand", 0)


def test_weights_are_kept_where_there_are_some() -> None:
    found = judged(
        result(("12", 0.5, True), ("13", 0.3, True), ("12", 0.2, True), ("1", 0.0, False)),
        PATTERNS,
        TASK,
        weighted=True,
    )
    assert [(o.text, o.weight, o.correct) for o in found] == [
        ("12", 0.5, True),
        ("13", 0.3, False),
        ("12", 0.2, True),
    ]


def test_without_weights_every_particle_counts_the_same() -> None:
    # The weight of a sampler that renormalises over what has ended would be a half each.
    found = judged(
        result(("12", 0.5, True), ("13", 0.5, True), ("1", 0.0, False), ("1", 0.0, False)),
        PATTERNS,
        TASK,
        weighted=False,
    )
    assert [(o.text, o.weight, o.correct) for o in found] == [("12", 0.25, True), ("13", 0.25, False)]
    assert judged(None, PATTERNS, TASK, weighted=False) == []


def test_one_sequence_is_drawn_by_weight() -> None:
    outcomes = judged(
        result(("12", 0.25, True), ("13", 0.25, True), ("1", 0.0, False), ("1", 0.0, False)),
        PATTERNS,
        TASK,
        weighted=False,
    )
    rng = random.Random(0)
    drawn = [outcome and outcome.text for outcome in (draw(outcomes, rng) for _ in range(4000))]
    # Four standard deviations of a share of 4,000 draws are at most 0.032.
    assert abs(drawn.count("12") / 4000 - 0.25) < 0.032
    assert abs(drawn.count("13") / 4000 - 0.25) < 0.032
    assert abs(drawn.count(None) / 4000 - 0.5) < 0.032


def test_weights_that_fall_short_by_rounding_lose_no_draw() -> None:
    class Last(random.Random):
        def random(self) -> float:
            return math.nextafter(1.0, 0.0)

    outcomes = judged(result(*[("12", 0.1, True)] * 10), PATTERNS, TASK, weighted=True)
    assert sum(outcome.weight for outcome in outcomes) < 1
    assert draw(outcomes, Last()) is outcomes[-1]


def row(task: int, method: str, posterior: float, seed: int = 0, domain: str = "sql") -> QualityRow:
    return QualityRow(
        domain, task, method, seed, float(posterior > 0.5), posterior, 1.0, 10, 4, 0.002, False, "x"
    )


def test_bootstrap_of_few_values_by_hand() -> None:
    assert bootstrap([[0.5, 0.5, 0.5]]) == Interval(0.5, 0.5, 0.5)
    assert bootstrap([[0.0], [1.0], [0.5]]) == Interval(0.5, 0.5, 0.5)
    # Both drawn again: 0, 1/2 or 1 with probabilities 1/4, 1/2 and 1/4.
    assert bootstrap([[0.0, 1.0]]) == Interval(0.5, 0.0, 1.0)
    # Beside a domain without spread, half of that.
    assert bootstrap([[0.0, 1.0], [1.0]]) == Interval(0.75, 0.5, 1.0)
    with pytest.raises(ValueError, match="at least one value"):
        bootstrap([[1.0], []])


def test_bootstrap_of_many_values_is_the_normal_interval() -> None:
    found = bootstrap([[0.0, 1.0] * 200])
    half = 1.96 * 0.5 / math.sqrt(400)
    assert found.mean == 0.5
    assert found.low == pytest.approx(0.5 - half, abs=0.01)
    assert found.high == pytest.approx(0.5 + half, abs=0.01)


def test_seeds_are_averaged_before_tasks_and_domains() -> None:
    rows = [row(0, "local", 0.0), row(0, "local", 1.0, seed=1), row(1, "local", 1.0)]
    assert sampler_quality.interval(rows, lambda r: r.posterior).mean == 0.75
    rows += [row(0, "local", 0.25, domain="records")]
    assert sampler_quality.interval(rows, lambda r: r.posterior).mean == 0.5


def test_differences_are_between_the_same_tasks() -> None:
    local = [row(0, "local", 0.0), row(1, "local", 0.5), row(2, "local", 1.0)]
    other = [row(0, "rerank", 0.25), row(1, "rerank", 0.75), row(3, "rerank", 0.0)]
    # A constant gain has no spread, however much the tasks differ.
    assert sampler_quality.difference(other, local, lambda r: r.posterior) == Interval(0.25, 0.25, 0.25)
    assert sampler_quality.difference(other[2:], local, lambda r: r.posterior) is None


def test_tables_have_a_line_per_method_and_one_table_for_all() -> None:
    rows = [
        row(task, method, posterior, domain=domain)
        for domain in ("sql", "records")
        for task in range(2)
        for method, posterior in (("local", 0.25), ("awrs-smc", 0.75))
    ]
    tables = dict(sampler_quality.tables(rows))
    assert list(tables) == ["sql", "records", "all domains"]
    assert tables["all domains"] == [
        ["local", "0.00 [0.00, 0.00]", "0.25 [0.25, 0.25]", "", "1.00", "10.0", "4.00", "2.00", "0%"],
        [
            "awrs-smc",
            "1.00 [1.00, 1.00]",
            "0.75 [0.75, 0.75]",
            "+0.50 [+0.50, +0.50]",
            "1.00",
            "10.0",
            "4.00",
            "2.00",
            "0%",
        ],
    ]
    lines = sampler_quality.markdown(rows).splitlines()
    assert lines[0].startswith("| sql | accuracy | posterior accuracy | minus local |")
    assert "| awrs-smc | 1.00 [1.00, 1.00] | 0.75 [0.75, 0.75] |" in lines[3]


# -- runs --------------------------------------------------------------------------------------------------


def runs(bench: Bench, methods: Sequence[str], domain: str = "patterns") -> dict[str, QualityRow]:
    rows = sampler_quality.run(Plan([domain], methods, 1, 1, 3), bench)
    return {row.method: row for row in rows}


def test_every_method_runs_and_does_what_its_name_says(bench: Bench) -> None:
    assert list(RUNS) == list(METHODS)
    rows = runs(bench, list(METHODS))
    task = PATTERNS.test_tasks(1)[0]
    # An untrained model does not find the pattern by itself.
    for method in ("unconstrained", "rerank"):
        assert rows[method].posterior == rows[method].conforming == rows[method].accuracy == 0
    assert rows["rerank"].dead
    assert rows["unconstrained"].predicate_calls == rows["local"].predicate_calls == 0
    assert re.fullmatch(task.data["pattern"], rows["local"].text)
    # Each of 3 particles has as many tokens as the pattern has characters; none follows the end token.
    assert rows["local"].evaluations == 1 + 3 * len(task.reference)
    for method in ("awrs-smc", "mask-awrs-smc"):
        assert rows[method].conforming == pytest.approx(1)
        assert rows[method].predicate_calls > rows["mask-smc"].predicate_calls > 0
        assert PATTERNS.permitted(task, rows[method].text)


@pytest.mark.parametrize("domain", list(DOMAINS))
def test_every_domain_runs(bench: Bench, domain: str) -> None:
    rows = runs(bench, ["local", "mask-awrs-smc"], domain)
    for found in rows.values():
        assert found.domain == domain
        assert 0 <= found.posterior <= found.conforming + 1e-9 or found.method == "local"
        assert found.evaluations > 1
        assert found.seconds > 0


def test_runs_are_reproducible(bench: Bench) -> None:
    first, second = (runs(bench, ["awrs-smc"])["awrs-smc"] for _ in range(2))
    assert dataclasses.replace(first, seconds=0) == dataclasses.replace(second, seconds=0)


def test_the_predicate_is_asked_once_per_text(bench: Bench) -> None:
    potential = TaskPredicate(PATTERNS, TASK)
    context = Context.root(bench.vocabulary).extend_all(bench.tokenizer.encode("21"))
    for _ in range(2):
        assert potential.prefix(context) == -math.inf
        assert potential.complete(context) == -math.inf
    # A text that is impossible is not judged as a finished one.
    assert potential.calls == 1
    context = Context.root(bench.vocabulary).extend_all(bench.tokenizer.encode("12"))
    for _ in range(2):
        assert potential.prefix(context.extend(0)) == potential.complete(context) == 0
    assert potential.calls == 3


def test_methods_take_turns_in_going_first() -> None:
    keys = Plan(["sql", "records"], ["local", "rerank"], 2, 1, 1).keys()
    assert keys == [
        ("sql", 0, "local", 0),
        ("sql", 0, "rerank", 0),
        ("records", 0, "local", 0),
        ("records", 0, "rerank", 0),
        ("sql", 1, "rerank", 0),
        ("sql", 1, "local", 0),
        ("records", 1, "rerank", 0),
        ("records", 1, "local", 0),
    ]


# -- the command -------------------------------------------------------------------------------------------


def quality(folder: Path, *more: str) -> int:
    return main(["quality", "--model", str(folder), "--domains", "patterns", "--plain", *more])


def test_the_command_resumes_where_it_was_interrupted(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, table = tmp_path / "rows.jsonl", tmp_path / "table.md"
    options = ("--methods", "local,rerank", "--tasks", "2", "--seeds", "1", "--out", str(out))
    assert quality(folder, *options, "--markdown", str(table)) == 0
    printed = capsys.readouterr().out
    assert "2 tasks per domain, 1 seeds" in printed
    assert table.read_text().startswith("| patterns | accuracy |")
    settings, rows = sampler_quality.read(out)
    assert settings is not None
    assert settings.particles == 5
    assert len(rows) == 4
    # Interrupted in the middle of the last line.
    out.write_text(out.read_text()[:-20])
    again: list[str] = []
    original = Bench.run

    def noted(self: Bench, *arguments: object) -> QualityRow:
        again.append(str(arguments[4]))
        return original(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Bench, "run", noted)
    assert quality(folder, *options) == 0
    assert again == [rows[-1].method]
    resumed = sampler_quality.read(out)[1]
    assert [dataclasses.replace(r, seconds=0) for r in resumed] == [
        dataclasses.replace(r, seconds=0) for r in rows
    ]
    assert quality(folder, *options) == 0
    assert len(again) == 1


def test_the_command_refuses_rows_of_another_run(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "rows.jsonl"
    options = ("--methods", "local", "--tasks", "1", "--seeds", "1", "--out", str(out))
    assert quality(folder, *options) == 0
    before = out.read_text()
    assert quality(folder, *options, "--particles", "2") == 2
    assert "name another file" in capsys.readouterr().err
    out.write_text('{"kind":"manifest"}\n')
    assert quality(folder, *options) == 2
    assert "line 1" in capsys.readouterr().err
    out.write_text(before.split("\n", 1)[1])
    assert quality(folder, *options) == 2
    assert "does not begin with" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--methods", "nope"], "--methods wants"),
        (["--domains", "sql,sql"], "--domains wants"),
        (["--particles", "0"], "1 at least"),
    ],
)
def test_wrong_options_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert main(["quality", "--model", str(folder), *options]) == 2
    assert message in capsys.readouterr().err


def test_a_model_that_is_missing_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (sampler_quality.default_model() / "config.json").is_file()
    monkeypatch.setattr(sampler_quality, "WEIGHTS", Path("no", "such", "folder"))
    monkeypatch.chdir(tmp_path)
    assert main(["quality"]) == 2
    assert "train_quality.py" in capsys.readouterr().err


def test_settings_are_the_first_line_of_a_file(tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    assert sampler_quality.read(out) == (None, [])
    settings = Settings("abc", 5)
    lines = [
        {"kind": "quality", "settings": dataclasses.asdict(settings)},
        {"kind": "row", **dataclasses.asdict(row(0, "local", 1.0))},
    ]
    out.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert sampler_quality.read(out) == (settings, [row(0, "local", 1.0)])


# -- the model of the repository ---------------------------------------------------------------------------


def test_the_model_of_the_repository_is_small_and_has_learned_its_tasks() -> None:
    folder = sampler_quality.default_model()
    assert sum(path.stat().st_size for path in folder.iterdir()) < 2_000_000
    threads = torch.get_num_threads()
    bench = Bench.load(folder)
    torch.set_num_threads(threads)
    for name, domain in DOMAINS.items():
        for task in domain.test_tasks(25):
            used = 1 + len(bench.tokenizer.encode(task.reference, add_special_tokens=False))
            assert used < domain.max_tokens, (name, task)
    rows = sampler_quality.run(Plan(["planning", "records"], ["awrs-smc", "local"], 10, 1, 5), bench)
    shares = {
        method: sampler_quality.interval([r for r in rows if r.method == method], lambda r: r.posterior).mean
        for method in ("awrs-smc", "local")
    }
    # Far from what an untrained model does, which is nothing; and the predicate helps.
    assert shares["awrs-smc"] > max(0.3, shares["local"])
