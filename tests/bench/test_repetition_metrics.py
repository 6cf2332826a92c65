"""The metrics of repetition, by hand and against naive ones."""

from __future__ import annotations

import io
import sysconfig
import tokenize
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jsonschemabench.repetition_metrics import (
    Share,
    compiles,
    final_copies,
    logical_lines,
    loops,
    loops_in_structure,
    python_tokens,
    repeated,
    shapes,
    tr_n,
    tr_s,
)

LIBRARY = Path(sysconfig.get_path("stdlib"))


def tokens_of_python(text: str) -> list[str]:
    """Return the tokens by Python's own tokenizer, named as the released code names them."""
    tokens = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.INDENT, tokenize.DEDENT):
            tokens.append("")
        elif token.type == tokenize.NEWLINE:
            tokens.append("\n")
        elif token.type not in (tokenize.COMMENT, tokenize.NL, tokenize.ENDMARKER):
            tokens.append(token.string)
    while tokens and not tokens[-1]:
        tokens.pop()
    return tokens


@pytest.mark.parametrize(
    "name", ["ast.py", "string.py", "textwrap.py", "contextlib.py", "decimal.py", "json/decoder.py"]
)
def test_tokens_are_those_of_python(name: str) -> None:
    text = (LIBRARY / name).read_text(encoding="utf-8")
    if name == "decimal.py":
        text += "x = 0x_ff + 1e-5j + .5 + 1_0.0 ; y = rb'\\'' ; z = '''a\n\"'''\nif x: (\n  y) # c\n"
    try:
        expected = tokens_of_python(text)
    except tokenize.TokenError:  # pragma: no cover - the library is correct
        pytest.fail(name)
    assert python_tokens(text) == expected


def test_tokens_by_hand() -> None:
    assert python_tokens("if a:\n    b = 'c d'  # e\n\nf") == [
        *("if", "a", ":", "\n"),
        *("", "b", "=", "'c d'", "\n"),
        *("", "f"),
    ]
    # The end of the last line is a token if it is there; dedents at the end are not.
    assert python_tokens("if a:\n    b\n") == ["if", "a", ":", "\n", "", "b", "\n"]
    assert python_tokens("f(\n  1,\n)\n") == ["f", "(", "1", ",", ")", "\n"]
    assert python_tokens("") == python_tokens("\n\n# nothing\n") == []


def test_tokens_of_what_is_no_python() -> None:
    assert python_tokens("x = 'open\ny") == ["x", "=", "'open", "\n", "y"]
    assert python_tokens('x = """open\ny') == ["x", "=", '"""open\ny']
    assert python_tokens(") ] x\ny") == [")", "]", "x", "\n", "y"]


@given(st.text(st.sampled_from("ab 1.'\"#()\\\n\t=é"), max_size=40))
def test_no_text_is_refused_and_no_sign_lost(text: str) -> None:
    kept = "".join(token for line in logical_lines(text) for _, token in line.tokens)
    if "#" not in text:
        blanks = str.maketrans("", "", " \t\n\\")
        assert kept.translate(blanks) == text.translate(blanks)
    assert tr_n(text).part <= tr_n(text).whole


def test_tr_n_by_hand() -> None:
    # a b a b a b: three 4-grams, "abab", "baba", "abab".
    assert tr_n("a b a b a b") == Share(1, 3)
    assert tr_n("a b c") == Share(0, 0)
    assert tr_n("a b c").value == 0
    assert tr_n("a b c d e") == Share(0, 2)
    assert tr_n("a a a a", n=2) == Share(2, 3)
    # Line ends are tokens: "x = 1 \n" twice, and what stands across.
    assert tr_n("x = 1\nx = 1\n") == Share(1, 5)


def test_tr_s_by_hand() -> None:
    assert tr_s("x = 1\ny = 2\nx = 1\nx  =  1 # again\n") == Share(2, 4)
    assert tr_s("") == Share(0, 0)
    # Deeper down it is another statement; blank lines and comments are none.
    assert tr_s("if x:\n    y()\n\n\n# y()\ny()\n") == Share(0, 3)
    assert tr_s("f(1,\n  2)\nf(1, 2)") == Share(1, 2)


@given(st.lists(st.integers(0, 3), max_size=12))
def test_repeated_against_a_naive_count(items: list[int]) -> None:
    again = sum(item in items[:i] for i, item in enumerate(items))
    assert repeated(items) == Share(again, len(items))


def test_compiling_both_ways(tmp_path: Path) -> None:
    assert compiles("def f():\n    return 1\n")
    assert compiles("x = '\\d'")
    assert compiles("")
    assert not compiles("return 1")
    assert not compiles("if x:\n    y\n    else:\n    z")
    assert not compiles("x = '")
    assert not compiles("x\0")
    assert not compiles("(" * 500 + ")" * 500)
    file = tmp_path / "file"
    assert compiles(f"open({str(file)!r}, 'w')")
    assert not file.exists()


def naive_copies(items: list[int]) -> int:
    """Return the most copies of a unit in front of a beginning of one more, by trying all."""
    most = min(len(items), 1)
    for period in range(1, len(items) + 1):
        for rest in range(period):
            whole = items[: len(items) - rest]
            unit = whole[-period:]
            count = 0
            while len(unit) == period and whole[len(whole) - period * (count + 1) :][:period] == unit:
                count += 1
                if len(whole) < period * (count + 1):
                    break
            if items[len(whole) :] == unit[:rest]:
                most = max(most, count)
    return most


@given(st.lists(st.integers(0, 2), max_size=14))
def test_final_copies_against_a_naive_search(items: list[int]) -> None:
    assert final_copies(items) == naive_copies(items)


def test_final_copies_by_hand() -> None:
    assert final_copies("") == 0
    assert final_copies("abc") == 1
    assert final_copies("cabab") == 2
    assert final_copies("cababa") == 2
    assert final_copies("cababab") == 3
    assert final_copies("ababc") == 1
    assert final_copies("abaaaa") == 4


def test_loops_of_content_both_ways() -> None:
    prompt = "def f(x):\n    x = 1"
    assert loops(prompt, "\n    x = 1" * 4)
    assert loops(prompt, "\n    return g(a, a, a, a, a")
    assert not loops(prompt, "\n    x = 1" * 3)
    # What the prompt repeats is not the model's.
    assert not loops(prompt + "\n    x = 1" * 9, "\n    return x")
    assert not loops(prompt, "".join(f"\n    x = {i}" for i in range(9)))
    assert not loops(prompt, "\n    x = 1" * 9 + "\n    return x")


def test_loops_of_structure_both_ways() -> None:
    prompt = "def f(x):"
    assert loops_in_structure(prompt, "".join(f"\n    x{i} = {i}" for i in range(4)))
    assert loops_in_structure(prompt, "".join(f"\n    if a == {i}:\n        return b{i}" for i in range(4)))
    assert loops_in_structure(prompt, "".join(f"\n    x{i} = {i}" for i in range(4)) + "\n    x4 =")
    assert not loops_in_structure(prompt, "".join(f"\n    x{i} = {i}" for i in range(3)))
    assert not loops_in_structure(prompt, "\n    x = 1\n    x += 1\n    x -= 1\n    return x")
    assert not loops_in_structure(prompt + "\n    x = 1" * 9, "\n    return x")


def test_shapes_keep_keywords_operators_and_indentation() -> None:
    first, second = shapes("    return a + 1\n"), shapes("    return bc + 2.5\n")
    assert first == second
    for other in ("return a + 1", "    yield a + 1", "    return a - 1", "    return a + 'x'"):
        assert shapes(other) != first
