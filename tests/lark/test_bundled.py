"""The grammars that lark ships, and those of its tutorials, on real texts."""

import functools
import random
import sysconfig
from pathlib import Path
from typing import Any

import lark
import pytest
from lark.indenter import PythonIndenter

import structgen
from structgen import DEAD
from structgen.testing import vocabularies
from tests.lark.harness import (
    Automaton,
    Oracle,
    accepts_text,
    allowed,
    mutations,
    random_vocabulary,
    random_walk,
    tokenise,
)

GRAMMARS = Path(lark.__file__).parent / "grammars"
LIBRARY = Path(sysconfig.get_paths()["stdlib"])


def agree(automaton: Automaton, vocabulary: Any, oracle: Oracle, text: str, seed: int, mutants: int) -> None:
    """The text and texts near it are accepted exactly when lark parses them."""
    rng = random.Random(seed)
    alphabet = "".join(sorted(set(text))) + "\n \"'()#"
    for other in [text, *mutations(text, rng, alphabet, mutants)]:
        expected = oracle.accepts(other)
        for how in ("greedy", "random"):
            accepted = accepts_text(automaton, vocabulary, other, how, rng, sample=4)
            assert accepted == expected, f"lark says {expected} ({how}) to:\n{other}"


# -- python.lark -------------------------------------------------------------------------------------------

MODULES = ("this", "keyword", "bisect", "colorsys", "sched", "nturl2path")


@functools.cache
def python_parser() -> tuple[Any, Oracle]:
    vocabulary, _ = vocabularies.tekken()
    grammar = (GRAMMARS / "python.lark").read_text(encoding="utf-8")
    options: Any = {"parser": "lalr", "start": "file_input", "postlex": PythonIndenter()}
    return structgen.compile_lark(grammar, vocabulary, **options), Oracle(grammar, **options)


@pytest.mark.parametrize("name", MODULES)
def test_modules_of_the_standard_library(name: str) -> None:
    vocabulary, encode = vocabularies.tekken()
    automaton, oracle = python_parser()
    text = (LIBRARY / f"{name}.py").read_text(encoding="utf-8")
    assert oracle.accepts(text)
    # Under the model's own tokenisation, every one of whose states must allow the token that comes.
    state = automaton.start
    for token in encode(text):
        assert automaton.mask(state)[token >> 5] >> (token & 31) & 1, vocabulary.tokens[token]
        state = automaton.step(state, token)
        assert state != DEAD
    assert automaton.accepts(state)
    agree(automaton, vocabulary, oracle, text, len(text), 12)


def test_walks_are_python() -> None:
    vocabulary, _ = vocabularies.tekken()
    automaton, oracle = python_parser()
    rng = random.Random(7)
    for _ in range(20):
        walk = random_walk(automaton, vocabulary, rng, 25, bytes.isascii)
        assert oracle.accepts(walk), walk


def test_masks_of_python_are_exact() -> None:
    """Every bit of the masks along a piece of code is what step says."""
    vocabulary, _ = vocabularies.tekken()
    automaton, _ = python_parser()
    rng = random.Random(8)
    text = b'def f(a, b=1.5):\n    """doc"""\n    if a:\n        return [x for x in b]\n    # end\n'
    state = automaton.start
    for token in tokenise(vocabulary, text, "random", rng):
        mask = set(allowed(automaton, state))
        sample = {
            *rng.sample(range(len(vocabulary.tokens)), 300),
            *rng.sample(sorted(mask), min(300, len(mask))),
        }
        for other in sample:
            assert (other in mask) == (automaton.step(state, other) != DEAD), vocabulary.tokens[other]
        state = automaton.step(state, token)
    assert automaton.accepts(state)


# -- lark.lark ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parser", ["lalr", "earley"])
@pytest.mark.parametrize("name", ["lark", "common", "unicode"])
def test_grammars_are_in_the_grammar_of_grammars(name: str, parser: str) -> None:
    grammar = (GRAMMARS / "lark.lark").read_text(encoding="utf-8")
    text = (GRAMMARS / f"{name}.lark").read_text(encoding="utf-8")
    if parser == "earley":
        # lark takes seconds for the whole of it.
        text = "".join(text.splitlines(keepends=True)[:12])
    vocabulary = random_vocabulary(random.Random(0), text.splitlines(keepends=True), 300)
    automaton = structgen.compile_lark(grammar, vocabulary, parser=parser)
    oracle = Oracle(grammar, parser=parser)
    assert oracle.accepts(text)
    agree(automaton, vocabulary, oracle, text, 1, 12)


# -- common.lark -------------------------------------------------------------------------------------------

TERMINALS = {
    "DIGIT": ["0", "9", "", "00", "a", "٣"],
    "HEXDIGIT": ["a", "F", "0", "g", "aa"],
    "INT": ["0", "0123", "", "-1", "1.", "٣"],
    "SIGNED_INT": ["-1", "+1", "1", "--1", "+", "1-"],
    "DECIMAL": ["1.", ".5", "1.5", ".", "1", "1.5.", "1e5"],
    "FLOAT": ["1e5", "1.5E-3", "1.", ".5e+1", "1", "e5", "1e", "1.e5"],
    "SIGNED_FLOAT": ["-1.5", "+.5e1", "-1", "1.5-"],
    "NUMBER": ["1", "1.5", "1e5", "-1", "1.5e", "1.5e5.5"],
    "SIGNED_NUMBER": ["-1", "+1.5e5", "1", "-", "1-"],
    "ESCAPED_STRING": [
        '""',
        '"a"',
        '"a\\"b"',
        '"\\\\"',
        '"',
        '"a',
        '"a"b"',
        '"\\"',
        '"a\nb"',
        '"\\\\\\"x"',
        'x""',
    ],
    "LCASE_LETTER": ["a", "z", "A", "", "é"],
    "UCASE_LETTER": ["A", "Z", "a", "AB"],
    "LETTER": ["a", "A", "1", "ab"],
    "WORD": ["abC", "a", "", "a1", "a b"],
    "CNAME": ["_", "a1", "_A_1", "1a", "", "a-b", "é"],
    "WS_INLINE": [" ", "\t \t", "\n", "", " a"],
    "WS": [" ", "\n\t\f\r", "", "\x0b", " a"],
    "CR": ["\r", "\n", "\r\r"],
    "LF": ["\n", "\r", "\n\n"],
    "NEWLINE": ["\n", "\r\n\n", "\r", "\n\r", ""],
    "SH_COMMENT": ["#", "# a b", "#\n", "a#", "##"],
    "CPP_COMMENT": ["//", "// a", "/", "//\n", "///"],
    "C_COMMENT": ["/**/", "/*a\n*b*/", "/*/", "/*a*/*/", "/***/", "/* * / */"],
    "SQL_COMMENT": ["--", "-- a", "-", "--\n", "---"],
}


@pytest.mark.parametrize("name", TERMINALS)
def test_common_terminals(name: str) -> None:
    grammar = f"%import common.{name}\nstart: {name}\n"
    oracle = Oracle(grammar, parser="lalr")
    texts = TERMINALS[name]
    verdicts = [oracle.accepts(text) for text in texts]
    assert True in verdicts
    assert False in verdicts
    vocabulary = random_vocabulary(random.Random(0), texts)
    automaton = structgen.compile_lark(grammar, vocabulary)
    for seed, text in enumerate(texts):
        agree(automaton, vocabulary, oracle, text, seed, 10)
    for seed in range(5):
        walk = random_walk(automaton, vocabulary, random.Random(seed), 8)
        assert oracle.accepts(walk), walk


def test_every_common_terminal_is_tested() -> None:
    lines = (GRAMMARS / "common.lark").read_text(encoding="utf-8").splitlines()
    names = {line.split(":")[0].strip() for line in lines if line[:1].isupper()}
    assert names == set(TERMINALS)


# -- tutorials ---------------------------------------------------------------------------------------------

JSON = r"""
?start: value
?value: object | array | string | SIGNED_NUMBER -> number | "true" -> true | "false" -> false | "null" -> null
array  : "[" [value ("," value)*] "]"
object : "{" [pair ("," pair)*] "}"
pair   : string ":" value
string : ESCAPED_STRING
%import common.ESCAPED_STRING
%import common.SIGNED_NUMBER
%import common.WS
%ignore WS
"""

CALCULATOR = r"""
?start: sum | NAME "=" sum -> assign_var
?sum: product | sum "+" product -> add | sum "-" product -> sub
?product: atom | product "*" atom -> mul | product "/" atom -> div
?atom: NUMBER -> number | "-" atom -> neg | NAME -> var | "(" sum ")"
%import common.CNAME -> NAME
%import common.NUMBER
%import common.WS_INLINE
%ignore WS_INLINE
"""

TURTLE = r"""
start: instruction+
instruction: MOVEMENT NUMBER -> movement | "c" COLOR [COLOR] -> change_color
           | "fill" code_block -> fill | "repeat" NUMBER code_block -> repeat
code_block: "{" instruction+ "}"
MOVEMENT: "f"|"b"|"l"|"r"
COLOR: LETTER+
%import common.LETTER
%import common.INT -> NUMBER
%import common.WS
%ignore WS
"""

INDENTED = r"""
?start: _NL* tree
tree: NAME _NL [_INDENT tree+ _DEDENT]
%import common.CNAME -> NAME
%import common.WS_INLINE
%declare _INDENT _DEDENT
%ignore WS_INLINE
_NL: /(\r?\n[\t ]*)+/
"""


class TreeIndenter(lark.indenter.Indenter):
    NL_type = "_NL"
    OPEN_PAREN_types: list[str] = []  # noqa: RUF012 - the interface of lark
    CLOSE_PAREN_types: list[str] = []  # noqa: RUF012
    INDENT_type = "_INDENT"
    DEDENT_type = "_DEDENT"
    tab_len = 8


TUTORIALS: dict[str, tuple[str, list[str], dict[str, Any]]] = {
    "json": (JSON, ['{"a": [1, -2.5e3, null], "b\\"": {}}', " [true,false , []]", "1", '""'], {}),
    "calculator": (CALCULATOR, ["x = 1 + 2*(3 - -y)", "1.5/x-2", "-(a)", "a1 = (b)*2"], {}),
    "turtle": (
        TURTLE,
        ["c red yellow fill { repeat 36 { f 200 l 170 } }", "f1b2", "cred c blue black f 90"],
        {},
    ),
    "indented": (
        INDENTED,
        ["a\n  b\n  c\n    d\n  e\n", "a\n", "\n\na\n\tb\n        c\n", "a\n b\n\n\n c\n"],
        {"postlex": TreeIndenter()},
    ),
}


@pytest.mark.parametrize("parser", ["lalr", "earley"])
@pytest.mark.parametrize("name", TUTORIALS)
def test_tutorials(name: str, parser: str) -> None:
    grammar, texts, options = TUTORIALS[name]
    options = {"parser": parser, "lexer": "auto"} | options
    if options.get("postlex") and parser == "earley":
        options["lexer"] = "basic"
    oracle = Oracle(grammar, **options)
    vocabulary = random_vocabulary(random.Random(0), texts, 40)
    automaton = structgen.compile_lark(grammar, vocabulary, **options)
    for seed, text in enumerate(texts):
        assert oracle.accepts(text), text
        agree(automaton, vocabulary, oracle, text, seed, 25)
    for seed in range(10):
        walk = random_walk(automaton, vocabulary, random.Random(seed), 20, bytes.isascii)
        assert oracle.accepts(walk), walk
