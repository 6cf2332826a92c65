"""The Python grammar against ast.parse: what lark parses with it is what Python parses."""

import logging
import random
import re
import sys
import sysconfig
from collections import Counter
from pathlib import Path

import lark
import pytest

from tests.grammars._generation import Sentences, mutations
from tests.grammars._python_support import GRAMMAR, TEXTS, lark_accepts, parser, python_accepts

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 11), reason="the grammar is that of Python 3.11, and older ones refuse some of it"
)

FILES = sorted(TEXTS.glob("*.txt"))

# Snippets, one a line; "\n" and the like are spelled out. Python's parser says which of them are right.
SNIPPETS = [
    line.encode().decode("unicode_escape")
    for line in (TEXTS / "snippets.tsv").read_text().splitlines()
    if line
]


def test_there_are_no_conflicts(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger=lark.logger.name):
        lark.Lark(GRAMMAR.read_text(), start="file_input", parser="lalr", debug=True)
    messages = [record.getMessage() for record in caplog.records]
    assert any("Unused terminals" in message for message in messages)
    assert not [message for message in messages if "conflict" in message]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_texts_are_parsed(file: Path) -> None:
    text = file.read_text()
    assert python_accepts(text)
    assert lark_accepts(text)


def test_line_ends_of_two_characters() -> None:
    text = (TEXTS / "syntax.txt").read_text().replace("\n", "\r\n")
    assert python_accepts(text)
    assert lark_accepts(text)


@pytest.mark.parametrize("end", ["", "\n", "\n\n"], ids=["open", "line end", "blank line"])
def test_snippets_are_judged_as_by_python(end: str) -> None:
    verdicts = Counter[bool]()
    for snippet in SNIPPETS:
        text = snippet + end
        expected = python_accepts(text)
        assert lark_accepts(text) == expected, text
        verdicts[expected] += 1
    assert min(verdicts.values()) > 150


@pytest.mark.parametrize(
    "text",
    [
        'f"{lambda x: 1}"',
        'f"{a b}"',
        "f'''{if}'''",
        "9" * 5000,
        "(" * 201 + ")" * 201,
    ],
)
def test_what_is_accepted_though_python_refuses_it(text: str) -> None:
    assert not python_accepts(text)
    assert lark_accepts(text)


@pytest.mark.parametrize(
    "text",
    [
        '"\\N{EM DASH}"',
        'f"\\{x}"',
        'rf"{x:\\d}"',
        'f"{a[b[c[d[e]]]]}"',
        'f"{x:{{}}}"',
        "if x:\n\ty\n",
        "(x,\n\ty)",
        "  \nx",
        " # comment\f\n\fx",
        "x\f= 1",
        "x\ry",
        "x\n    ",
        "if x:\n    y\n  # end",
        "x\n  # end",
        "\\\nx",
        "if x:\n    \\\n    y\n",
        "(x,\n\\\ny)",
        "變 = 1",
        "1if x else y",
        "match \\\n (x):\n case 1: pass\n",
        "match not \\\n x:\n case 1: pass\n",
    ],
)
def test_what_is_refused_though_python_accepts_it(text: str) -> None:
    assert python_accepts(text)
    assert not lark_accepts(text)


def test_names_hold_letters_that_python_takes() -> None:
    pattern = next(terminal.pattern for terminal in parser().terminals if terminal.name == "NAME")
    name = re.compile(pattern.to_regexp())
    letters = [chr(code) for code in range(0x80, 0x11_0000) if name.fullmatch(chr(code))]
    assert len(letters) > 500
    assert all(letter.isidentifier() for letter in letters)


# ---------------------------------------------------------------- sentences of the grammar

SAMPLES = {
    "NAME": ["x", "y1", "_", "match", "case", "iff", "é"],
    "CAPTURE_NAME": ["x", "match", "__"],
    "WILDCARD": ["_"],
    "INTEGER": ["0", "1_0", "0xF", "0b1", "0o7"],
    "FLOAT": ["1.5", ".5", "1e3", "2."],
    "IMAGINARY": ["1j", ".5J"],
    "STRING": ["'a'", '"""b"""', "r'\\d'"],
    "BYTES": ["b'a'"],
    "FSTRING": ["f'{x}'"],
}


def rendered(names: list[str], source: random.Random) -> str:
    spellings = {terminal.name: terminal.pattern.value for terminal in parser().terminals}
    words, level = [], 0
    for number, name in enumerate(names):
        if name == "_NEWLINE":
            for later in names[number + 1 :]:
                if later not in ("_INDENT", "_DEDENT"):
                    break
                level += 1 if later == "_INDENT" else -1
            words.append("\n" + "  " * level)
        elif name not in ("_INDENT", "_DEDENT"):
            # Keywords are patterns: a word, and what must not follow it.
            words.append(source.choice(SAMPLES.get(name) or [spellings[name].split("(?")[0]]))
            words.append(" ")
    return "".join(words)


def test_sentences_are_python() -> None:
    sentences = Sentences(parser())
    for rules in sentences.rules.values():
        # Without a line end only the end of the text makes a dedent: not what a random derivation knows.
        rules[:] = [
            rule
            for rule in rules
            if not rule.expansion
            or rule.expansion[-1].name != "_DEDENT"
            or "open" not in rule.expansion[-2].name
        ]
    seen = Counter[str]()
    for seed in range(2400):
        source = random.Random(seed)
        names = sentences.sentence("file_input", source.choice([8, 20, 60, 120]), source)
        text = rendered(names, source)
        assert python_accepts(text), text
        assert lark_accepts(text), text
        seen.update(names)
    assert {terminal.name for terminal in parser().terminals} - set(seen) == {
        "WHITE_SPACE",
        "LINE_CONTINUATION",
        "COMMENT",
    }


# ---------------------------------------------------------------- mutations

ALPHABET = [
    *" \n;,(){}[]*&+-=<>!:.'\"\\@a1_#",
    *(
        "    ",
        "\n  ",
        " if ",
        " else ",
        "not ",
        "for ",
        "in ",
        "lambda ",
        "**",
        ":=",
        "==",
        "match ",
        "case ",
    ),
    *("yield ", "await ", "async ", "as ", "f'", "except ", "pass\n"),
]


def without_fields(text: str) -> str:
    """The text with empty strings instead of its f-strings."""
    tokens = parser().parse_interactive(text).exhaust_lexer()
    for token in reversed(tokens):
        if token.type == "FSTRING":
            text = text[: token.start_pos] + "''" + text[token.end_pos :]
    return text


def is_known_difference(text: str, *, by_python: bool) -> bool:
    """Whether a difference is one that the grammar's header lists."""
    if not by_python:
        return without_fields(text) != text and python_accepts(without_fields(text))
    last = text.rstrip().rsplit("\n", 1)[-1]
    return (
        "\t" in text
        or re.search(r"^[ \t]*\\$", text, re.MULTILINE) is not None
        or re.match(r"\s", text) is not None
        or "\\{" in text
        or last.lstrip().startswith("#")
        or re.search(r"\n +\Z", text) is not None
        or re.search(r"\d(?:if|else|for|in|is|and|or|not)", text) is not None
    )


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_mutations_are_judged_as_by_python(file: Path) -> None:
    text = file.read_text()
    source = random.Random(file.stem)
    verdicts = Counter[bool]()
    for mutation in mutations(text, 150, source, ALPHABET):
        expected = python_accepts(mutation)
        if lark_accepts(mutation) != expected:
            assert is_known_difference(mutation, by_python=expected), mutation
            continue
        verdicts[expected] += 1
    assert min(verdicts[True], verdicts[False]) > 10


# ---------------------------------------------------------------- the standard library

LIBRARY = Path(sysconfig.get_paths()["stdlib"])


def test_standard_library() -> None:
    files = sorted(LIBRARY.glob("*.py"))
    for file in random.Random(1).sample(files, 25):
        text = file.read_text(encoding="utf-8")
        if len(text) < 40_000:
            assert python_accepts(text)
            assert lark_accepts(text), file
