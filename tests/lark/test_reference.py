"""The model does what lark does, and finds completions where there are some."""

import itertools
from collections.abc import Iterator
from typing import Any

import lark
import pytest
from lark.indenter import Indenter, PythonIndenter

from tests.lark.reference import Model, parses, viable


class _Indenter(Indenter):
    NL_type = "_NL"
    OPEN_PAREN_types = ["LPAR"]  # noqa: RUF012
    CLOSE_PAREN_types = ["RPAR"]  # noqa: RUF012
    INDENT_type = "_INDENT"
    DEDENT_type = "_DEDENT"
    tab_len = 2


# Each with an alphabet, and how long the texts are that are tried.
_GRAMMARS = {
    "priority": ('start: (IF | NAME)+\nIF.2: "if"\nNAME: /[a-z]+/', "ify", 5),
    "keyword": ('start: "if" NAME | NAME\nNAME: /[a-z]+/\n%ignore " "', "ify ", 6),
    "widest first": ("start: (X | Y)+\nX: /ab?/\nY: /a|[b-z]{3}/", "abc", 6),
    "order of options": ('start: X "b"? "c"\nX: /a|ab/', "abc", 4),
    "numbers": (
        'start: (INT | FLOAT | DOT | "x")+\nINT: /[0-9]+/\nFLOAT: /[0-9]+\\.[0-9]+/\nDOT: "."',
        "1.x",
        6,
    ),
    "contextual": ('start: x "b" | "a" "b" "c"\nx: "a"', "abc", 4),
    "lookahead": ('start: (A | B)+\nA: /a(?=b|$)/\nB: /b(?!b)|aab\\b/\n%ignore "-"', "ab-", 6),
    "lookbehind": ("start: (S | A)+\nS: /'.*?(?<!~)(~~)*?'/\nA: /a/", "'~a", 6),
    "ahead only": ("start: (A | B)+\nA: /a(?=b)/\nB: /b(?!bb)/", "ab", 6),
    "far behind": ("start: (A | B)+\nA: /[ax]/\nB: /bc*(?<=abc)d/", "axbcd", 5),
    "lazy": ("start: (C | STAR | A)+\nC: /<.*?>/\nSTAR: /[<>]/\nA: /a+?/", "<>a", 5),
    "brackets": ('start: s\ns: "(" s ")" s |', "()", 8),
    "ignored keyword": ('start: NAME+ "if"?\nNAME: /[a-z]+/\n_I: /i-?/\n%ignore _I', "if-", 5),
    "lines": ("start: (_NL | LINE)+\nLINE: /^a+$/m\n_NL: /\\n/", "a\n-", 6),
}
_INDENTED = """
start: (_NL | stmt)*
stmt: "a" _NL | "b" _NL _INDENT stmt+ _DEDENT | LPAR start RPAR _NL
LPAR: "("
RPAR: ")"
_NL: /(\\r?\\n *)+|#/
%declare _INDENT _DEDENT
"""


def _parser(name: str, **options: Any) -> tuple[lark.Lark, str, int]:
    if name == "indented":
        return lark.Lark(_INDENTED, parser="lalr", postlex=_Indenter(), **options), "ab\n ()#", 5
    grammar, alphabet, size = _GRAMMARS[name]
    return lark.Lark(grammar, parser="lalr", **options), alphabet, size


def _texts(alphabet: str, size: int) -> Iterator[str]:
    for length in range(size + 1):
        yield from map("".join, itertools.product(alphabet, repeat=length))


every_grammar = pytest.mark.parametrize("name", [*_GRAMMARS, "indented"])


@every_grammar
def test_model_parses_what_lark_parses(name: str) -> None:
    parser, alphabet, size = _parser(name)
    model = Model(parser)
    verdicts = {text: parses(parser, text) for text in _texts(alphabet, size)}
    assert {text: model.parses(text) for text in verdicts} == verdicts
    assert len(set(verdicts.values())) == 2


@pytest.mark.parametrize("name", ["priority", "keyword", "numbers", "brackets"])
def test_model_of_the_basic_lexer(name: str) -> None:
    parser, alphabet, size = _parser(name, lexer="basic")
    model = Model(parser)
    for text in _texts(alphabet, size):
        assert model.parses(text) == parses(parser, text), text


@every_grammar
def test_viable_prefixes_are_the_prefixes_of_what_parses(name: str) -> None:
    parser, alphabet, size = _parser(name)
    completed = {text for text in _texts(alphabet, size) if parses(parser, text)}
    prefixes = {text[:length] for text in completed for length in range(len(text) + 1)}
    for text in _texts(alphabet, size):
        assert viable(parser, text, alphabet, size - len(text)) == (text in prefixes), text


def test_completions_far_away() -> None:
    parser, alphabet, _ = _parser("brackets")
    assert viable(parser, "(" * 9, alphabet, 9)
    assert not viable(parser, "(" * 9, alphabet, 8)
    # Ends at once, since nothing helps: there are more completions than could be tried.
    assert not viable(parser, "())", alphabet, 99)


_PYTHON = {
    "def f(a, *b):\n    return a[0] + 1.5e3  # x\n": True,
    "if a:\n  b\n  if c: d\nelse:\n\te = 'it\\'s'\n": True,
    'x = (1,\n  2)\ny = """a\nb\\""""\n': True,
    "match x:\n  case [1, *y]: pass\n": True,
    "match + 1\n": False,
    "if a:\n    b\n  c\n": False,
    "x = 1 # no newline": False,
    "x = )\n": False,
}


def test_model_of_python() -> None:
    options: dict[str, Any] = {"parser": "lalr", "start": "file_input", "postlex": PythonIndenter()}
    parser = lark.Lark.open_from_package("lark", "python.lark", ["grammars"], **options)
    model = Model(parser)
    assert {text: parses(parser, text) for text in _PYTHON} == _PYTHON
    assert {text: model.parses(text) for text in _PYTHON} == _PYTHON
    assert all(model.settle(text) is not None for text, parsed in _PYTHON.items() if parsed)
    assert model.settle("x = ) ") is None


def test_texts_that_lark_does_not_take_in_parts() -> None:
    assert parses(_parser("priority")[0], "iffy")
    assert parses(_parser("numbers")[0], "1.x")
    assert not parses(_parser("contextual")[0], "ab")
    assert parses(_parser("contextual")[0], "abc")
    indented = _parser("indented")[0]
    assert parses(indented, "b\n a\n")
    assert not parses(indented, "b\na\n")
    assert not parses(indented, "#")  # IndexError of the indenter
    assert not parses(indented, "())")
