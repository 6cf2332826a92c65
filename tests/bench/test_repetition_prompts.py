"""Prompts that repeat something at their end, and the loader of the published ones."""

from __future__ import annotations

import ast
import json
import random
from pathlib import Path

import pytest

from jsonschemabench import repetition_prompts
from jsonschemabench.datasets import DatasetError
from jsonschemabench.repetition_metrics import final_copies, shapes
from jsonschemabench.repetition_prompts import COPIES, MAKERS, TASKS, Prompt, load, make, shape
from jsonschemabench.repetition_sources import functions, library_functions


@pytest.mark.parametrize("kind", MAKERS)
def test_prompts_are_different_python_with_two_to_four_copies(kind: str) -> None:
    prompts = make(kind, 70)
    assert len({prompt.text for prompt in prompts}) == 70
    assert [prompt.number for prompt in prompts] == list(range(70))
    for prompt in prompts:
        assert prompt.kind == kind
        ast.parse(prompt.text)
        assert prompt.text == prompt.text.rstrip()
        assert COPIES[0] <= prompt.copies <= COPIES[1]
    assert {prompt.copies for prompt in prompts} == {2, 3, 4}


@pytest.mark.parametrize("kind", MAKERS)
def test_prompts_are_a_function_of_kind_and_seed(kind: str) -> None:
    assert make(kind, 8) == make(kind, 8) == make(kind, 12)[:8]
    assert make(kind, 8, seed=1) != make(kind, 8)


def test_synthetic_prompts_repeat_lines_word_for_word() -> None:
    for prompt in make("synthetic", 40):
        assert final_copies(prompt.text.splitlines()) >= prompt.copies, prompt.text


def test_benchmark_prompts_repeat_a_structure_with_other_contents() -> None:
    for i, task in enumerate(TASKS):
        for copies in (2, 3, 4):
            text = task(random.Random(i), copies)
            assert ast.unparse(ast.parse(text)).replace("\n\n", "\n") == text
            assert final_copies(shapes(text)) >= copies, text
            assert final_copies(text.splitlines()) < copies, text


def test_repository_prompts_end_with_statements_of_one_shape() -> None:
    for prompt in make("repository", 40):
        lines = [ast.parse(line.strip()).body[0] for line in prompt.text.splitlines()[-prompt.copies :]]
        kinds = [[type(node) for node in ast.walk(line)] for line in lines]
        assert all(kind == kinds[0] for kind in kinds), prompt.text


def test_shapes_of_statements_both_ways() -> None:
    def of(text: str) -> str:
        return shape(ast.parse(text).body[0])

    assert of("self.x = a.b(1)") == of("other.y = c.d('e')")
    assert of("x = a + b") != of("x = a - b")
    assert of("x = f(a, b)") != of("x = f(a)")
    assert of("f(a)(b)") != of("f(a(b))")


def test_there_may_be_too_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MAKERS, "one", lambda rng: ("x = 1\nx = 1", 2))
    assert make("one", 1) == [Prompt("one", 0, "x = 1\nx = 1", 2)]
    with pytest.raises(ValueError, match="ask for fewer"):
        make("one", 2)


# -- sources -----------------------------------------------------------------------------------------------


def test_functions_are_in_normal_form() -> None:
    source = (
        'def long_name(a, b = 1):\n  """Doc."""\n  # why\n  return {"k": a, "l": b, "m": long_name}\n'
        "class C:\n  def method_of_it(self):\n    def inner():\n      '''Doc.'''\n"
        "    return self, inner, 12345678\n"
        "def short(): pass\nx = lambda: 1\n"
        "def é_function_with_other_letters(a, b):\n  return a + b + a + b + a + b\n"
    )
    assert list(functions(source)) == [
        "def long_name(a, b=1):\n    return {'k': a, 'l': b, 'm': long_name}\n",
        "def method_of_it(self):\n\n    def inner():\n        pass\n    return (self, inner, 12345678)\n",
    ]
    assert list(functions("def f(:\n")) == list(functions("x\0")) == []


def test_nothing_held_out_is_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    held_out = library_functions(held_out=True)
    assert len(held_out) == len(set(held_out)) > 300
    for text in held_out[:50]:
        assert list(functions(text)) == [text]
    # The files alone would share functions that occur twice.
    parts = {True: ["a", "b", "b"], False: ["b", "c", "c"]}
    monkeypatch.setattr("jsonschemabench.repetition_sources._functions", parts.__getitem__)
    library_functions.cache_clear()
    try:
        assert library_functions(held_out=True) == ("a", "b")
        assert library_functions() == ("c",)
    finally:
        library_functions.cache_clear()


# -- the published dataset ---------------------------------------------------------------------------------

LINES = [
    {
        "prompt": "def f(x):\n    x += 1\n    x += 1",
        "samples": ["\n    x += 1"],
        "repetition": {"repeated_phrase": "\n    x += 1", "repeated_times": 3, "repeated_phrase_length": 7},
    },
    {"prompt": "def g(é):\n    pass", "samples": [""], "time": 1.5, "eos": False, "len": 1024},
]


def write(path: Path, lines: list[object]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def test_published_files_are_read(tmp_path: Path) -> None:
    file = write(tmp_path / "ArtificialSynthesis.jsonl", [*LINES])
    first = [
        Prompt("synthetic", 0, str(LINES[0]["prompt"]), 0),
        Prompt("synthetic", 1, str(LINES[1]["prompt"]), 0),
    ]
    assert load(file) == first
    write(tmp_path / "CodeGenerationBenchmarks.jsonl", LINES[:1])
    write(tmp_path / "Real-worldRepositories.jsonl", LINES[1:])
    write(tmp_path / "mine.jsonl", LINES[:1])
    (tmp_path / "README.md").write_text("nothing of ours")
    assert [(prompt.kind, prompt.number) for prompt in load(tmp_path)] == [
        ("synthetic", 0),
        ("synthetic", 1),
        ("benchmark", 0),
        ("repository", 0),
        ("mine", 0),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no prompts"),
        ("{\n", "line 1: not JSON"),
        ('{"prompt": "x"}\n\n[]\n', "line 3: wants an object"),
        ('{"samples": []}\n', 'as its "prompt"'),
        ('{"prompt": 1}\n', 'as its "prompt"'),
        ('{"prompt": "  "}\n', 'as its "prompt"'),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "ArtificialSynthesis.jsonl"
    file.write_text(text)
    with pytest.raises(DatasetError, match=message):
        load(file)


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="neither a file nor a folder"):
        load(tmp_path / "none")
    with pytest.raises(DatasetError, match=r"such as ArtificialSynthesis\.jsonl"):
        load(tmp_path)
    file = tmp_path / "latin.jsonl"
    file.write_bytes(b'{"prompt": "\xe9"}\n')
    with pytest.raises(DatasetError, match="cannot be read"):
        load(file)


def test_kinds_of_published_files_are_those_of_the_makers() -> None:
    assert set(repetition_prompts.PUBLISHED.values()) == set(MAKERS)
