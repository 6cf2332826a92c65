"""The ``diversity`` run: its tasks, its rows and tables, and its command line."""

import collections
import dataclasses
import json
import random
from fractions import Fraction
from pathlib import Path

import jsonschema
import pytest

from jsonschemabench import diversity, diversity_tasks
from jsonschemabench.cli import main
from jsonschemabench.diversity import DiversityRow, Settings, run, tables, usable
from jsonschemabench.diversity_metrics import bleu, distinct, oracle, words
from jsonschemabench.diversity_tasks import Captions, NGramModel, agreement, caption, correct_sql, scene
from jsonschemabench.tasks import DOMAINS, Task
from structgen.samplers import DiverseBeamSearch
from structgen.testing import tiny_model


def test_ngram_model_by_hand() -> None:
    """Two lines, "1 2 0" and "1 0", and a vocabulary of four.

    Of five tokens 1 is two, 2 one, 0 two: with the discount 1/2, 1 has (2 - 1/2) / 5, and each of the four
    a quarter of the three halves over 5 that were taken: 1.5 / 5 + 1.5 / 20 = 3/8. After 1 come 2 and 0, once
    each: half of the mass is left to the row before.
    """
    model = NGramModel([[1, 2, 0], [1, 0]], 4, order=2)
    base = [Fraction(3, 8), Fraction(3, 8), Fraction(1, 10) + Fraction(3, 40), Fraction(3, 40)]
    after_1 = [b / 2 + Fraction(n, 4) for b, n in zip(base, (1, 0, 1, 0), strict=True)]
    assert model.probabilities([1]) == pytest.approx([float(p) for p in after_1])
    # Both lines begin with 1: 2 - 1/2 of 2 for it, a quarter for the rest.
    begin = [b / 4 + Fraction(n, 4) for b, n in zip(base, (0, 3, 0, 0), strict=True)]
    assert model.probabilities([]) == pytest.approx([float(p) for p in begin])
    # Nothing is known of what follows 3.
    assert model.probabilities([1, 3]) == pytest.approx([float(p) for p in base])


def test_ngram_model_is_normalised_and_prefers_what_it_saw() -> None:
    rng = random.Random(0)
    lines = [[*rng.choices(range(1, 6), k=rng.randint(0, 6)), 0] for _ in range(40)]
    model = NGramModel(lines, 7)
    for line in lines:
        for i in range(len(line)):
            row = model.probabilities(line[:i])
            assert sum(row) == pytest.approx(1)
            assert row[line[i]] > row[6] > 0


def test_captions_name_what_is_seen() -> None:
    seen = {"subject": "dog", "look": "old", "action": "run", "thing": "bag", "place": "snow"}
    rng = random.Random(1)
    found = collections.Counter(caption(seen, rng) for _ in range(300))
    assert "a old dog running in the snow" in found
    for text in found:
        assert {"dog", "puppy"} & set(text.split())
        assert "cat" not in text.split()
    assert len({tuple(scene(rng).items()) for _ in range(50)}) > 40


def test_captions_are_the_same_again_and_others_with_another_seed() -> None:
    search = DiverseBeamSearch(1, 2, 0.0)

    def found(seed: int) -> list[str]:
        instances = Captions().instances(3, seed)
        results = [search.run(i.model(), i.token_sampler, max_tokens=20) for i in instances]
        return [sequence.text for result in results for sequence in result.sequences]

    assert found(0) == found(0)
    assert found(0) != found(1)


def test_agreement_by_hand() -> None:
    task = Task("", '{"name":"Ann","age":30}')
    assert agreement(task, '{"age": 30, "name": "Ann"}') == 1
    assert agreement(task, '{"name":"Ann","age":31}') == 0.5
    assert agreement(task, '{"name":"Ann","age":30,"city":"Oslo","job":"pilot"}') == pytest.approx(4 / 6)
    assert agreement(task, '{"name":"Ann"}') == pytest.approx(2 / 3)
    for text in ("{}", "[]", '{"name":', "30"):
        assert agreement(task, text) == 0


def test_sql_is_judged_by_its_rows() -> None:
    task = DOMAINS["sql"].test_tasks(1)[0]
    assert correct_sql(task, task.reference) == 1
    assert correct_sql(task, "SELECT 1, 2, 3, 4, 5") == correct_sql(task, "SELECT") == 0


@pytest.fixture(scope="module")
def rows() -> list[DiversityRow]:
    methods = usable("captions", diversity.METHODS)
    return run([Captions()], methods, 3, 2, Settings())


def test_rows_are_complete_and_measured_as_the_metrics_say(rows: list[DiversityRow]) -> None:
    methods = set(diversity.METHODS) - {"embedding"}
    assert {(row.seed, row.task, row.method) for row in rows} == {
        (seed, task, method) for seed in range(2) for task in range(3) for method in methods
    }
    assert len(rows) == 6 * len(methods)
    instances = {seed: Captions().instances(3, seed) for seed in range(2)}
    for row in rows:
        score = instances[row.seed][row.task].score
        assert score is not None
        assert row.scores == [score(text) for text in row.texts]
        listed = [words(text) for text in row.texts]
        listed += [listed[0]] * (6 - len(listed))
        assert row.distinct == [distinct(listed, n) for n in (1, 2, 3, 4)]
        assert row.fields is None
        assert row.tokens > 0 < row.seconds
        if row.method != "sampling":
            assert len(set(row.texts)) == len(row.texts)


def test_beams_are_plain_beam_search(rows: list[DiversityRow]) -> None:
    instance = Captions().instances(1, 0)[0]
    plain = DiverseBeamSearch(1, 6).run(instance.model(), instance.token_sampler, max_tokens=20)
    row = next(row for row in rows if (row.seed, row.task, row.method) == (0, 0, "beams"))
    assert row.texts == [sequence.text for sequence in plain.sequences]
    lengths = [len(s.tokens) for s in plain.sequences]
    logs = [s.log_probability for s in plain.sequences]
    assert row.log_probability == pytest.approx(sum(logs) / 6)
    assert row.per_token == pytest.approx(sum(p / n for p, n in zip(logs, lengths, strict=True)) / 6)


def made(method: str, task: int, scores: list[float], last: float, field: str = "sql") -> DiversityRow:
    return DiversityRow(
        field=field,
        seed=0,
        task=task,
        method=method,
        scores=scores,
        distinct=[0.5, 0.5, 0.5, last],
        fields=None,
        log_probability=-2.0,
        per_token=-0.5,
        tokens=10,
        seconds=0.001 if method == "beams" else 0.002,
        texts=["x"] * max(1, len(scores)),
    )


def test_tables_by_hand() -> None:
    """Oracle@2 is 0.4 and 0.8 for beams, 0.6 and 1.0 for Hamming: 0.2 more on both prompts."""
    found = [
        made("beams", 0, [0.4, 0.1], 0.25),
        made("beams", 1, [0.2, 0.8], 0.25),
        made("hamming", 0, [0.4, 0.6], 0.5),
        made("hamming", 1, [0.2, 1.0], 0.75),
    ]
    (quality, first), (variety, second) = tables(found, Settings(beams=2, groups=2))
    assert (quality, variety) == ("sql: quality and cost", "sql: variety")
    assert [row[0] for row in first[1:]] == ["beams", "hamming"]
    assert first[1][1:4] == ["0.30 [0.20, 0.40]", "0.60 [0.40, 0.80]", ""]
    assert first[2][1:4] == ["0.30 [0.20, 0.40]", "0.80 [0.60, 1.00]", "+0.20 [+0.20, +0.20]"]
    assert first[2][4:] == ["-2.00 [-2.00, -2.00]", "-0.50 [-0.50, -0.50]", "2.0", "200", "2.00"]
    assert second[2][4:] == ["0.62 [0.50, 0.75]", "+0.38 [+0.25, +0.50]", ""]
    text = diversity.markdown(found, Settings(beams=2, groups=2))
    assert "| hamming | 0.30 [0.20, 0.40] | 0.80 [0.60, 1.00] | +0.20 [+0.20, +0.20] |" in text
    assert text.count("| --- |") > 0


def test_missing_outputs_are_worth_nothing_and_missing_references_are_no_scores() -> None:
    none = made("beams", 0, [], 0.0)
    assert diversity.oracle_at(2)(none) is None
    assert diversity.oracle_at(2)(dataclasses.replace(none, texts=[])) == 0


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, table = tmp_path / "rows.jsonl", tmp_path / "table.md"
    arguments = ["diversity", "--fields", "captions", "--methods", "beams,hamming", "--quick", "--plain"]
    arguments += ["--beams", "4", "--groups", "2", "--out", str(out), "--markdown", str(table)]
    assert main(arguments) == 0
    settings, rows = diversity.read(out)
    assert settings == Settings(beams=4, groups=2, strength=0.5)
    assert len(rows) == 4 * 2
    for row in rows:
        assert 1 <= len(row.scores) == len(row.texts) <= 4
    shown = capsys.readouterr().out
    assert "captions: variety" in shown
    mean = sum(oracle(row.scores, 4) for row in rows if row.method == "hamming") / 4
    line = next(x for x in table.read_text(encoding="utf-8").splitlines() if x.startswith("| hamming"))
    assert line.split(" | ")[2].startswith(f"{mean:.2f} [")
    for text in ("", "[]", '{"kind": "row"}', '{"kind": "diversity"}', "no"):
        table.write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match="not a file of the diversity run"):
            diversity.read(table)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--beams", "6", "--groups", "4"], "shared by 4 groups"),
        (["--beams", "0"], "1 at least"),
        (["--methods", "beams,nonsense"], "--methods wants"),
        (["--fields", "captions", "--methods", "embedding"], "no embeddings"),
        (["--strength", "-1", "--fields", "captions"], "must not be negative"),
    ],
)
def test_refusals(options: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diversity", "--quick", *options]) == 2
    assert message in capsys.readouterr().err


def test_objects_are_of_their_schema() -> None:
    small = diversity_tasks.Small(tiny_model.path())
    field = diversity_tasks.Objects(small)
    found = run([field], ["structural", "embedding", "fading"], 2, 1, Settings(3, 3, 0.5))
    assert len(found) == 6
    for row in found:
        assert row.scores == []
        assert row.fields is not None
        for text in row.texts:
            value = json.loads(text)
            members = next(m for m in diversity_tasks._OBJECTS.values() if set(value) <= set(m))
            jsonschema.validate(value, {"properties": members, "additionalProperties": False})
            # Keys come in the order of the schema.
            assert list(value) == [key for key in members if key in value]


def test_answers_are_judged_against_their_own_task() -> None:
    small = diversity_tasks.Small(Path(__file__).parents[2] / "examples" / "tiny_model" / "quality_weights")
    field = diversity_tasks.Answers("records", small, agreement)
    tasks = DOMAINS["records"].test_tasks(3, 5)
    instances = field.instances(3, 5)
    for i, instance in enumerate(instances):
        assert instance.score is not None
        assert [instance.score(task.reference) == 1 for task in tasks] == [j == i for j in range(3)]
    (row, *_) = run([field], ["hamming"], 1, 1, Settings(2, 2, 0.5))
    assert row.fields is not None
    assert bleu(words(row.texts[0]), [words(row.texts[0])]) == pytest.approx(1)
