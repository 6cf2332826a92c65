"""Grammars and texts of the ``lark`` runs."""

from __future__ import annotations

import ast
import json
import sqlite3
from pathlib import Path

import pytest

from jsonschemabench import lark_inputs
from jsonschemabench.cli import main
from jsonschemabench.datasets import DatasetError


def test_texts_are_what_they_are_called_and_always_the_same() -> None:
    for name, read in {"json": json.loads, "arithmetic": lambda text: ast.parse(text, mode="eval")}.items():
        texts = lark_inputs.texts(name)
        assert len(set(texts)) > 50
        assert texts == lark_inputs.texts(name)
        for text in texts:
            read(text)


def test_statements_are_sqlite() -> None:
    statements = lark_inputs.texts("sql")
    assert len(statements) > 30
    for statement in statements:
        with pytest.raises((sqlite3.Error, sqlite3.Warning)) as caught:
            # Whatever is missing in the empty database, it is no syntax that is.
            sqlite3.connect(":memory:").execute(f"EXPLAIN {statement}; SELECT 1 FROM nowhere")
        assert "no such" in str(caught.value) or "one statement" in str(caught.value), statement


def test_programs_are_balanced() -> None:
    programs = lark_inputs.texts("c")
    assert len(programs) > 10
    for program in programs:
        for opening, closing in ("()", "[]", "{}"):
            assert program.count(opening) == program.count(closing), program


def test_what_is_missing_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DatasetError, match="no texts of 'cobol'"):
        lark_inputs.texts("cobol")
    with pytest.raises(DatasetError, match="no grammar 'cobol'"):
        lark_inputs.grammar_text("cobol")
    with pytest.raises(DatasetError, match="no grammar 'json'"):
        lark_inputs.grammar_text("json", tmp_path)
    (tmp_path / "json.lark").write_text("start: /a/")
    assert lark_inputs.grammar_text("json", tmp_path) == "start: /a/"
    assert main(["lark", "peers", "--grammars", "sql", "--folder", str(tmp_path)]) == 2
    assert "no grammar 'sql'" in capsys.readouterr().err
    assert main(["lark", "pascal"]) == 2
    assert "not pascal" in capsys.readouterr().err


def test_what_llguidance_does_not_know_is_left_out() -> None:
    grammar = "\n".join(
        [
            "?start.2: SELECT NAME",
            "KEYWORD_END: /(?![a-z])/",
            "SELECT.1: /(?ai:select)/ KEYWORD_END",
            "NAME: /(?!(?ai:",
            "        as | select",
            "      )(?![a-z]))[a-z]+/x",
            "OTHER: /b/",
        ]
    )
    lines = [line.rstrip() for line in lark_inputs.llguidance_dialect("sql", grammar).splitlines()]
    assert lines[0] == "?start: SELECT NAME"
    assert "SELECT: /(?i:select)/" in lines
    assert "RESERVED: /(?i:as|select)/" in lines
    assert "OTHER: /b/" in lines
    assert not any("(?!" in line or "KEYWORD_END" in line for line in lines)
    assert lark_inputs.llguidance_dialect("json", "start: A\nA: /a/") == "start: A\nA: /a/\n"
    assert "start: translation_unit" in lark_inputs.llguidance_dialect("c", "translation_unit: A")
