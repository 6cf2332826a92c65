"""The C grammar against pycparser, which parses all that lark parses with it; what is left out is listed."""

import logging
import random
import re
import sys
from collections import Counter
from pathlib import Path

import lark
import pytest

from tests.grammars._c_support import GRAMMAR, TEXTS, TYPEDEF_NAMES, lark_accepts, parser, pycparser_accepts
from tests.grammars._generation import Sentences, mutations

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 11), reason="the last pycparser for Python 3.10 refuses some of C"
)

FILES = sorted(TEXTS.glob("*.c"))


def test_there_are_no_conflicts(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger=lark.logger.name):
        lark.Lark(GRAMMAR.read_text(), start="translation_unit", parser="lalr", debug=True)
    messages = [record.getMessage() for record in caplog.records]
    assert any("Unused terminals" in message for message in messages)
    assert not [message for message in messages if "conflict" in message]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_texts_are_parsed(file: Path) -> None:
    text = file.read_text()
    assert pycparser_accepts(text)
    assert lark_accepts(text)


def body(text: str) -> str:
    return "int f(int a, int *b) { " + text + " }"


ACCEPTED = [
    "",
    "/* only a comment */ // and another",
    "int x;",
    "struct s { int x; };",
    "const struct s { int x : 3, : 0; } static x;",
    "enum { a, b = 1, };",
    "int (*f(int x))(void) { return 0; }",
    "int ((f))(void) {}",
    "int (*(*x)(void))[3];",
    "void f(int, char *[], size_t (*)(void), ...);",
    "size_t f(FILE *file, bool flag) {}",
    "unsigned long long int const x = 1ull;",
    "int iff, sizeofx, intx, size_t_;",
    body("if (a) if (*b) a = 1; else a = 2;"),
    body("if (a) while (a) if (a) ; else ; else ;"),
    body("x: a = a ? b[1] : - -a & ~*b && a; goto x;"),
    body("a = a / *b; a = a &&*b; a = (int)a * (int)(a); a = (a) * (a);"),
    body("a = sizeof(int) + sizeof (a)++ + (struct s){1}.x;"),
    body("for (int i = 0, j; i < 1; i++, j--) ; for (;;) ; do ; while (a);"),
    body("a = 'a' + '\\'' + '\"' + L'\\x1'; \"\" \"a\\\\\"; L\"\\n\";"),
    body("a = 0x1p3 + 0xFul + 017 + .5e-3f + 1.;"),
]
REJECTED = [
    "x;",
    "int",
    "int;",
    "size_t;",
    "intx;",
    "int x",
    "int if;",
    "struct s struct t x;",
    "struct { };" + "int",
    "int f(void) { return }",
    "int f(int a b);",
    "int x = { };" + "}",
    "int x == 1;",
    "int x = 08;",
    "int x = 1x;",
    "int x = 0x;",
    "int x = 1ulu;",
    "int x = '';",
    "int x = 'a;",
    'char *x = "a;',
    'char *x = "\\%";',
    'char *x = "a" L"b" 1;',
    "int x = 1 /* comment;",
    "int x = 1; */",
    body("else ;"),
    body("if (a) ; else ; else ;"),
    body("a = &&a;"),
    body("a = a + ;"),
    body("a b;"),
    body("a = while;"),
    body("size_t = 1;"),
    body("int size_t = 1 2;"),
    body("(int) = 1;"),
    body("a = (int);"),
    body("case: ;"),
    body("for (;) ;"),
    body("do ; while (a)"),
    body("a = {1};"),
    body("a.1;"),
    body("a->b->;"),
    body("(int){};" + "{"),
]


@pytest.mark.parametrize("text", ACCEPTED)
def test_accepted(text: str) -> None:
    assert pycparser_accepts(text)
    assert lark_accepts(text)


@pytest.mark.parametrize("text", REJECTED)
def test_rejected(text: str) -> None:
    assert not pycparser_accepts(text)
    assert not lark_accepts(text)


@pytest.mark.parametrize(
    "text",
    [
        "typedef int number; number x;",
        "int f(a) int a; { }",
        "int int x;",
        "float int x;",
        "int x { }",
        "int *x { }",
        "int x[3] { }",
        "int (*x)(void) { }",
        "f() { }",
        "int f(a, b);",
        "int unsigned x;",
        "long const int x;",
        "void f(int x[static 3], int y[*]);",
        "struct { };",
        "struct s { struct { int x; }; };",
        ";",
        "#pragma once\nint x;",
        '_Static_assert(1, "one");',
        "int x = 'ab';",
        'char *x = u8"text";',
        "_Noreturn void f(void);",
        body("a + 1 = 2;"),
        body("x: int c;"),
        body("offsetof(struct s, x);"),
        body("int size_t;"),
        body("int x[] = {};"),
    ],
)
def test_what_is_left_out(text: str) -> None:
    assert pycparser_accepts(text)
    assert not lark_accepts(text)


def test_type_names() -> None:
    pattern = next(terminal.pattern for terminal in parser().terminals if terminal.name == "TYPEDEF_NAME")
    assert set(re.findall(r"\w+_t\b|bool|FILE|va_list", pattern.value)) == set(TYPEDEF_NAMES)
    for name in TYPEDEF_NAMES:
        assert lark_accepts(f"{name} x; int {name}_;")
        assert not lark_accepts(f"int {name};")


SAMPLES = {
    "IDENTIFIER": ["x", "y1", "_z", "iff", "sizeofx"],
    "TYPEDEF_NAME": ["size_t", "FILE", "uint8_t"],
    "INTEGER": ["0", "1", "017", "0xFFu", "12ll"],
    "FLOATING": ["1.5", ".5f", "1e3", "0x1p3", "2."],
    "CHARACTER": ["'a'", "'\\n'", "L'x'"],
    "STRING": ['""', '"a\\"b"'],
    "WIDE_STRING": ['L"a"'],
    "AMPERSAND": ["&"],
    "SLASH": ["/"],
}


def test_sentences_are_c() -> None:
    spellings = {terminal.name: terminal.pattern.value for terminal in parser().terminals}
    sentences = Sentences(parser())
    seen = Counter[str]()
    for seed in range(1500):
        source = random.Random(seed)
        start = source.choice(["translation_unit", "compound_statement"])
        names = sentences.sentence(start, source.choice([8, 20, 60, 120]), source)
        if start == "compound_statement":
            names = ["VOID", "IDENTIFIER", "LPAR", "RPAR", *names]
        # Keywords are patterns: a word, and what must not follow it.
        text = " ".join(
            source.choice(SAMPLES.get(name) or [spellings[name].split("(?")[0]]) for name in names
        )
        assert pycparser_accepts(text), text
        assert lark_accepts(text), text
        seen.update(names)
    ignored = {"WHITE_SPACE", "COMMENT", "LINE_COMMENT"}
    assert {terminal.name for terminal in parser().terminals} - set(seen) == ignored


ALPHABET = [
    *" \n;,(){}[]*&+-=<>!?:.'\"\\/a1_",
    *(
        "int ",
        "if (a) ",
        "else ",
        "struct ",
        "case 1: ",
        "/*",
        "*/",
        "return ",
        "sizeof ",
        "static ",
        "->",
        "== ",
    ),
]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_mutations(file: Path) -> None:
    """All that lark accepts pycparser accepts; a few mutations of C are outside the subset."""
    text = file.read_text()
    verdicts = Counter[tuple[bool, bool]]()
    for mutation in mutations(text, 150, random.Random(file.stem), ALPHABET):
        by_lark, by_pycparser = lark_accepts(mutation), pycparser_accepts(mutation)
        assert by_pycparser or not by_lark, mutation
        verdicts[by_lark, by_pycparser] += 1
    assert min(verdicts[True, True], verdicts[False, False]) > 20
    assert verdicts[False, True] <= 8
