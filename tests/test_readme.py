"""The examples of README.md run as they are printed."""

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

README = Path(__file__).parents[1] / "README.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_the_first_example_runs() -> None:
    exec(compile(EXAMPLES[0], str(README), "exec"), {})


def test_the_hugging_face_example_runs() -> None:
    from structgen.testing import tiny_model

    model, tokenizer = tiny_model.load()
    names: dict[str, Any] = {
        "model": model,
        "tokenizer": tokenizer,
        "schema": {"enum": ["red", "green"]},
        "inputs": tokenizer("A colour: ", return_tensors="pt"),
    }
    exec(compile(EXAMPLES[1], str(README), "exec"), names)
    prompt = names["inputs"]["input_ids"].shape[1]
    text = tokenizer.decode(names["output"][0, prompt:], skip_special_tokens=True)
    assert json.loads(text) in names["schema"]["enum"]


def test_the_sampling_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    from structgen.testing import tiny_model

    model, tokenizer = tiny_model.load()
    names: dict[str, Any] = {"model": model, "tokenizer": tokenizer, "schema": {"enum": ["red", "green"]}}
    exec(compile(EXAMPLES[2], str(README), "exec"), names)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10
    assert math.isclose(sum(float(line.split()[0]) for line in lines), 1, abs_tol=0.1)
    assert {line.split()[1] for line in lines} <= {"red", "green", "None"}
