"""What "match" is at the start of a statement: lines made by combination, against ast.parse."""

import functools
import random
import re
import sys
from collections import Counter

import pytest

from structgen import TokenAutomaton, Vocabulary, compile_lark
from tests.grammars._python_support import GRAMMAR, lark_accepts, python_accepts

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 11), reason="the grammar is that of Python 3.11, and older ones refuse some of it"
)

# fmt: off
# What stands behind "match": in brackets, behind a sign, and what tells a keyword or a name at once.
PARENTHESES = [
    "", "a", "a,", "a, b", "(a)", "*a", "*a,", "*a, b", "*a or b,", "*a < b", "*lambda: a", "a, *b",
    "*not a, b", "a=1", "a, b=1", "*a, b=1", "a=1, *b", "a=1, b", "**a", "a, **b", "*a if b else c, **d",
    "*a or b, c, d=1", "a := 1", "a := 1, b", "a, b := 1, *c", "yield", "yield a", "yield from a", "a, yield",
    "lambda: a", "not a", "a for a in b", "a for a in b, c", "a := b for b in c", "*a for a in b",
    "a if b else c", "a: b", "a b", ",",
]
SQUARES = [
    "", "a", "a,", "a, b", "*a", "*a,", "*a, b", "*a or b", "*a < b, c", "a, *b", "a, *b or c", "(a, b)", ",",
    ":", "a:b", "a:b:c", "::c", "a, b:c", "*a, :", ":, *a", ":a, *b or c", "a := 1", "a := 1, b", "a, b := 1",
    "a for a in b", "a for a in b if c for d in e", "a := b for b in c", "*a for a in b", "a=1", "**a",
    "yield",
]
SIGNS = [
    "-a", "+ a", "- -a", "-a ** b", "-a.b[c](d)", "-(a, b)", "-await a", "- not a", "-lambda: a", "-", "-*a",
    "*a", "* a.b", "*-a", "*a ** b", "*a | b", "*(a, b)", "*[*a]", "*a < b", "*a in b", "*a or b",
    "*a if b else c", "*not a", "*lambda: a", "*", "**a", "** -a", "*(*a, b)", "*yield", "-=", "*= a",
    "**= a", "->", "@a", "-a in b", "-a := 1",
]
WORDS = [
    "a", "match", "match(a)", "case", "a := 1", "a b", "in a", "in", "in_a", "in1", "is a", "is not a", "isa",
    "if a else b", "iff", "and a", "and_", "or a", "or not a", "orb", "not a", "not(a)", "not in a",
    "not\tin a", "not in_a", "not not a", "not", "nota", "not-a", "not (a), b", "not in(a)", "lambda: a",
    "lambda", "await a", "yield a", "None", "True", "as a", "for a in b", "else a", "import a", "é", "0",
    "1.5", ".5", "...", ".a", "..", ". a", "'a'", 'f"{a}"', "b'a'", "~a", "{}", "{a}", "{a: b}", "{**a}",
    "{a for a in b}", "", "== a", "< a", ">> a", "/ a", "% a", "^ a", "!", ", a", ";", "\\",
]
BEGINNINGS = [
    *(f"match{blank}({content})" for content in PARENTHESES for blank in ("", " ")),
    *(f"match{blank}[{content}]" for content in SQUARES for blank in (" ", "\t")),
    *(f"match{blank}{operand}" for operand in SIGNS for blank in ("", "  ")),
    *(f"match {words}" for words in WORDS),
    "match\\\n(a)", "match \\\n + a", "match \\\n in a", "match not \\\n in a", "match (\n a, # :\n b)",
    "match", "match'a'", "match{}", "match~a", "match.a", "match...", "match.5", "match[a][b]",
    "match (a).b(c)[d]",
]
CONTINUATIONS = [
    "", ".b", "[0]", "[0:1]", "(c)", "(c=1)", "()", ".b(c)[d, *e].f", " [*c or d]", "(c for c in d)", " + c",
    " - c * d ** e", " ** c", " ** -c << d", " * c", " | c < d", " == c", " not in c", " is not c != d",
    " and c", " or not c", " | c in d and not e or f", " if c else d", " < c if d else lambda: e", " := c",
    " c", ",", ", c", ", *c", ", *c or d", ", c.d, ", ", c := 1", ", *c, d := 1, e", ", not c, d",
    ", (*c, d), [e]", ", (yield)", ", -c, *d, (e)", ".b, c[0]", "[0], *c",
]
CASES = "\n case 1: pass"
ENDS = [
    "", "; c", " # c:", " = 1", " = c = yield", " = *c, d", " += 1", ": int", ": int = 1", ": lambda: 1",
    ": pass", " =", f":{CASES}", f": # c{CASES}\n case _: pass", ":\n pass", ":", f" = c:{CASES}",
    f"; c:{CASES}",
]
# fmt: on


@functools.cache
def automaton() -> TokenAutomaton:
    vocabulary = Vocabulary([*(bytes([byte]) for byte in range(256)), b"</s>"], eos_token_ids=[256])
    return compile_lark(GRAMMAR, vocabulary, start="file_input", postlex="python")


@functools.cache
def step(state: int, byte: int) -> int | None:
    if not allows(state, byte):
        return None
    return automaton().step(state, byte)


@functools.cache
def allows(state: int, token: int) -> bool:
    return bool(automaton().mask(state)[token // 32] >> token % 32 & 1)


def automaton_accepts(text: str) -> bool:
    state: int | None = automaton().start
    for byte in text.encode():
        if state is None:
            return False
        state = step(state, byte)
    return state is not None and allows(state, 256)


# Behind these the grammar takes "match" for a name, and so refuses match statements.
CONTINUED = re.compile(r"match[ \t]*(?:not[ \t]*)?\\\n")


def check(text: str) -> bool:
    expected = python_accepts(text) and not (CONTINUED.match(text) and CASES in text)
    assert lark_accepts(text) == expected, text
    assert automaton_accepts(text) == expected, text
    return expected


def test_lines() -> None:
    # All 207,090 agree, and take minutes.
    lines = [f"{b}{c}{e}\n" for b in BEGINNINGS for c in CONTINUATIONS for e in ENDS]
    verdicts = Counter(check(line) for line in random.Random(1).sample(lines, 15_000))
    assert min(verdicts[True], verdicts[False]) > 2000


@pytest.mark.parametrize("end", ENDS)
def test_beginnings(end: str) -> None:
    for beginning in BEGINNINGS:
        check(beginning + end)


@pytest.mark.parametrize("text", ["match\\\n(a):", "match \\\n -a:", "match \\\n a:", "match not \\\n a:"])
def test_statements_refused_behind_a_backslash(text: str) -> None:
    text += CASES + "\n"
    assert python_accepts(text)
    assert not lark_accepts(text)
    assert not automaton_accepts(text)
    once = text.replace("\\\n", "")
    assert check(once)


def test_no_search_for_dead_ends() -> None:
    assert not automaton().stats()["searches_dead_ends"]
