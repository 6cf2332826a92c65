"""``structgen generate``, with the small model."""

import json
import re

import jsonschema
import lark
import pytest
from click.testing import CliRunner

import structgen
from structgen.cli import cli
from structgen.testing import tiny_model

SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer", "minimum": 0, "maximum": 99}, "b": {"enum": ["x", "y"]}},
    "required": ["a", "b"],
    "additionalProperties": False,
}


@pytest.fixture(autouse=True)
def _load_once(monkeypatch, model_and_tokenizer):
    monkeypatch.setattr(tiny_model, "load", lambda: model_and_tokenizer)


@pytest.fixture(scope="module")
def model_and_tokenizer():
    return tiny_model.load()


def run(*arguments, text=None):
    return CliRunner().invoke(cli, ["generate", *arguments], input=text)


def records(*arguments, text=None):
    result = run(*arguments, text=text)
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_line_for_each_prompt(tmp_path):
    path = tmp_path / "schema.json"
    path.write_text(json.dumps(SCHEMA))
    (tmp_path / "more.jsonl").write_text('"three"\n\n{"prompt": "four", "id": 4}\n')
    arguments = ["--schema", str(path), "-O", "whitespace=compact", "--max-tokens", "40", "--seed", "7"]
    found = records(*arguments, "one", "two", "--prompts", str(tmp_path / "more.jsonl"))
    assert [record["prompt"] for record in found] == ["one", "two", "three", "four"]
    assert [record["seed"] for record in found] == [7, 8, 9, 10]
    validator = jsonschema.Draft202012Validator(SCHEMA)
    for record in found:
        (output,) = record["outputs"]
        assert validator.is_valid(output["value"])
        assert json.loads(output["text"]) == output["value"]
        assert output["weight"] == 1
        assert output["log_probability"] < 0
    # The standard input is read where there is no prompt; the seed says it all.
    again = records(*arguments, text="one\ntwo\n")
    assert again == found[:2]
    assert records(*arguments[:-1], "8", "one") != again[:1]


@pytest.mark.parametrize("sampler", ["mask", "smc", "awrs", "asap", "mcmc", "dbs", "rpg"])
def test_samplers(sampler):
    parser = lark.Lark('start: WORD ("," WORD)*\nWORD: /[a-z]{1,3}/', parser="lalr")
    grammar = 'root ::= word ("," word)*\nword ::= [a-z] [a-z]? [a-z]?'
    if sampler == "rpg":
        arguments = ["--grammar", "grammars:csv"]
        parser = lark.Lark(structgen.load_grammar("csv"), parser="lalr")
    else:
        arguments = ["--grammar", "-", "--kind", "gbnf"]
    (record,) = records(
        *arguments, "--sampler", sampler, "--particles", "3", "--seed", "0", "--max-tokens", "30", "Words: ",
        text=grammar,
    )  # fmt: skip
    assert 1 <= len(record["outputs"]) <= 3
    for output in record["outputs"]:
        parser.parse(output["text"])
    weights = [output["weight"] for output in record["outputs"]]
    assert weights == sorted(weights, reverse=True)
    assert sum(weights) == pytest.approx(1)


def test_text_and_output_file(tmp_path):
    target = tmp_path / "out.txt"
    arguments = ["--regex", "[0-9]{4}", "--text", "--seed", "0", "-o", str(target)]
    result = run(*arguments, "Year: ", "Zip: ")
    assert (result.exit_code, result.stdout) == (0, "")
    assert all(re.fullmatch("[0-9]{4}", line) for line in target.read_text().splitlines())
    assert len(target.read_text().splitlines()) == 2


def test_a_prompt_without_output_is_told():
    result = run("--regex", "(abc){9}", "--max-tokens", "3", "x")
    assert result.exit_code == 1
    record = json.loads(result.stdout)
    assert record["outputs"] == []
    assert "max_tokens=3 is too small" in record["error"]
    assert "prompt 1: max_tokens=3 is too small" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x"], "one of --schema, --grammar and --regex"),
        (["--regex", "a", "--schema", "s.json", "x"], "one of --schema, --grammar and --regex"),
        (["--regex", "a", "--kind", "lark", "x"], "--kind is for --grammar"),
        (["--regex", "a(", "x"], "missing )"),
        (["--grammar", "s.json", "x"], "no such file"),
        (["--grammar", '{"a": 1}', "x"], "is no grammar"),
        (["--schema", "missing.json", "x"], "no such file"),
        (["--schema", '{"type": "integer", "minimum": 2, "maximum": 1}', "x"], "no value satisfies"),
        (["--regex", "a", "--sampler", "best", "x"], "'best' is not one of"),
        (["--regex", "a", "--particles", "0", "x"], "--particles"),
        (["--regex", "a", "--prompts", "missing.txt"], "no such file"),
        (
            ["--regex", "a", "--model", "no/such/folder/at/all", "x"],
            "cannot be loaded as a causal language model",
        ),
        (["--regex", "a", "--sampler", "rpg", "x"], "no structure events"),
    ],
)
def test_unusable(arguments, message, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_prompt_files_have_places(tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text('"a"\n{"text": "b"}\n')
    result = run("--regex", "a", "--prompts", str(path))
    assert result.exit_code == 2
    assert f"{path}:2: is neither a string nor an object" in result.stderr
    path.write_bytes(b'"a"\n"\xff"\n')
    result = run("--regex", "a", "--prompts", str(path))
    assert result.exit_code == 2
    assert "is not UTF-8" in result.stderr


def test_a_model_that_is_not_there(monkeypatch):
    def load():
        raise FileNotFoundError("the tiny model was not found; set STRUCTGEN_TINY_MODEL to its folder")

    monkeypatch.setattr(tiny_model, "load", load)
    result = run("--regex", "a", "x")
    assert result.exit_code == 2
    assert "STRUCTGEN_TINY_MODEL" in result.stderr


def test_help_has_examples():
    assert "structgen generate --schema schema.json" in run("--help").stdout


# -- batches and forced text -----------------------------------------------------------------

PROMPTS = ["one", "a second, longer prompt: ", "3", "four and five"]


@pytest.mark.parametrize(
    "options",
    [
        ["--sampler", "mask"],
        ["--sampler", "mask", "--forced", "canonical"],
        ["--sampler", "smc", "--particles", "3"],
        ["--sampler", "smc", "--particles", "3", "--forced", "single"],
        ["--sampler", "awrs", "--particles", "2"],
        ["--sampler", "mcmc", "--particles", "2", "--forced", "single"],
        ["--sampler", "dbs", "--particles", "2"],
    ],
    ids=" ".join,
)
def test_batches_change_no_output(options, model_and_tokenizer):
    passes = []
    hook = model_and_tokenizer[0].register_forward_hook(lambda *_: passes.append(1))
    arguments = ["--schema", json.dumps(SCHEMA), "-O", "whitespace=compact", "--max-tokens", "40"]
    arguments += ["--seed", "7", *options]
    found, counts = [], []
    for size in ("1", "2", "3", "8"):
        passes.clear()
        found.append(records(*arguments, "--batch-size", size, *PROMPTS))
        counts.append(len(passes))
    hook.remove()
    assert [record["prompt"] for record in found[0]] == PROMPTS
    assert [record["seed"] for record in found[0]] == [7, 8, 9, 10]
    for other in found[1:]:
        for record, wanted in zip(other, found[0], strict=True):
            # The model's own numbers differ in their last digits.
            for output in (*record["outputs"], *wanted["outputs"]):
                for name in ("weight", "log_probability"):
                    output[name] = round(output[name], 2)
            assert record["outputs"] == wanted["outputs"]
            assert (record["method"], record["seed"]) == (wanted["method"], wanted["seed"])
    if "mcmc" in options:
        assert len(set(counts)) == 1
    else:
        assert counts[0] > counts[1] > counts[3]


def test_a_prompt_without_output_leaves_the_others_of_its_batch(monkeypatch):
    arguments = ["--regex", "[0-9]{1,3}", "--seed", "0"]
    wanted = records(*arguments, *PROMPTS)
    from structgen.cli import _generate as command

    together = command._Runner.together

    def fail_second(self, batch):
        found = together(self, batch)
        return {number: record for number, record in found.items() if number != 1}

    def alone(self, number, prompt):
        assert number == 1
        return {"prompt": prompt, "outputs": [], "error": "all dead"}

    monkeypatch.setattr(command._Runner, "together", fail_second)
    monkeypatch.setattr(command._Runner, "alone", alone)
    result = run(*arguments, "--batch-size", "4", *PROMPTS)
    assert result.exit_code == 1
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["prompt"] for line in lines] == PROMPTS
    assert [bool(line["outputs"]) for line in lines] == [True, False, True, True]
    assert [lines[i]["outputs"][0]["text"] for i in (0, 2, 3)] == [
        wanted[i]["outputs"][0]["text"] for i in (0, 2, 3)
    ]
    assert "prompt 2: all dead" in result.stderr


def test_what_fails_together_is_told_alone():
    arguments = ["--regex", "(abc){9}", "--max-tokens", "3", "x", "y"]
    results = [run(*arguments, "--batch-size", size) for size in ("1", "2")]
    assert results[0].stdout == results[1].stdout
    assert results[0].stderr == results[1].stderr
    assert [result.exit_code for result in results] == [1, 1]
    assert "prompt 2: max_tokens=3 is too small" in results[1].stderr


def test_forced_text_saves_forward_passes(model_and_tokenizer):
    passes = []
    hook = model_and_tokenizer[0].register_forward_hook(lambda *_: passes.append(1))
    arguments = ["--schema", json.dumps(SCHEMA), "-O", "whitespace=compact", "--seed", "3", "x"]
    counts, texts = [], []
    for forced in ([], ["--forced", "single"], ["--forced", "canonical"]):
        passes.clear()
        (record,) = records(*arguments, *forced)
        counts.append(len(passes))
        texts.append(record["outputs"][0]["text"])
        assert ("forced" in record["method"]) == bool(forced)
    hook.remove()
    assert texts[0] == texts[1]
    assert counts[0] > counts[1] > counts[2]


def test_models_that_cannot_pad_take_forced_prompts_one_by_one(monkeypatch):
    from structgen.cli import _generate as command
    from structgen.samplers import HuggingFaceModel

    def refuse(self):
        raise ValueError("no positions")

    monkeypatch.setattr(HuggingFaceModel, "check_ragged", refuse)
    monkeypatch.setattr(command._Runner, "together", None)
    arguments = ["--regex", "(abc|d){3}", "--forced", "single", "--seed", "1", "--batch-size", "4"]
    assert [record["prompt"] for record in records(*arguments, *PROMPTS)] == PROMPTS


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--forced", "canonical", "--sampler", "smc"], "would change the distribution that smc samples"),
        (["--forced", "single", "--sampler", "rerank"], "--forced is not for --sampler rerank"),
        (["--forced", "single", "--sampler", "dbs"], "--forced is not for --sampler dbs"),
        (["--forced", "single", "--sampler", "rpg"], "--forced is not for --sampler rpg"),
        (["--forced", "all"], "'all' is not one of"),
        (["--batch-size", "0"], "--batch-size"),
    ],
)
def test_what_forced_and_batches_refuse(options, message):
    result = run("--regex", "ab", *options, "x")
    assert result.exit_code == 2
    assert message in result.stderr
