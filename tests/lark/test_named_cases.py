"""Grammars that any wrong reading of Lark fails, each with texts on both sides.

lark says first that the texts are what we think they are; then the automaton must agree under every
tokenisation, and whatever is alive after a piece of any of them must be completed to a text that lark parses.
"""

import functools
import random
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import lark
import pytest
from lark.indenter import PythonIndenter

import structgen
from structgen import DEAD, LimitError, StructgenError
from tests.lark.harness import (
    TOKENISATIONS,
    Automaton,
    Oracle,
    accepts_text,
    byte_vocabulary,
    check_texts,
    mutations,
    random_vocabulary,
    random_walk,
)

PYTHON = (Path(lark.__file__).parent / "grammars" / "python.lark").read_text(encoding="utf-8")


def check(automaton: Any, vocabulary: Any, oracle: Oracle, texts: dict[str, bool], mutants: int = 4) -> None:
    """The texts are what they are said to be for lark and for the automaton, and so are texts near them."""
    rng = random.Random(0)
    verdicts: dict[str, bool | None] = dict(texts)
    for text, expected in texts.items():
        assert oracle.accepts(text) == expected, f"lark does not say {expected} to {text!r}"
    alphabet = "".join(sorted(set("".join(texts)))) or "a"
    for text in texts:
        for other in mutations(text, rng, alphabet, mutants):
            verdicts[other] = oracle.verdict(other)
    for text, verdict in verdicts.items():
        for how in TOKENISATIONS:
            accepted = accepts_text(automaton, vocabulary, text, how, rng)
            assert verdict is None or accepted == verdict, f"{text!r} ({how}): lark says {verdict}"
    pieces = {text[:i] for text in texts for i in range(len(text) + 1)}
    check_texts(automaton, oracle, {piece: oracle.verdict(piece) for piece in sorted(pieces)[:300]})
    for _ in range(3):
        walk = random_walk(automaton, vocabulary, rng, 12, set(alphabet.encode()).issuperset)
        assert oracle.verdict(walk) is not False, f"lark does not parse the walk {walk!r}"


def check_grammar(grammar: str, parsed: Iterable[str], refused: Iterable[str], **options: Any) -> None:
    options = {"parser": "lalr", "lexer": "auto"} | options
    texts = dict.fromkeys(parsed, True) | dict.fromkeys(refused, False)
    oracle = Oracle(grammar, **options)
    vocabulary = random_vocabulary(random.Random(0), list(texts))
    check(structgen.compile_lark(grammar, vocabulary, **options), vocabulary, oracle, texts)


# -- lexing ------------------------------------------------------------------------------------------------

LEXING = {
    "a keyword with priority, then a name": (
        'start: IF NAME\nIF.2: "if"\nNAME: /[a-z]+/\n%ignore " "',
        ["iffy", "if fy", "iff", "if if", "ififif"],
        ["if", "i", "i fy", "fy", "fy if"],
    ),
    "keywords are names otherwise": (
        'start: "if" NAME | NAME "=" NAME\nNAME: /[a-z]+/\n%ignore " "',
        ["if fy", "iffy = x", "if iff", "x=iffy", "if if", "x = if"],
        ["iffy", "if = x", "if", "if x = y"],
    ),
    "a keyword that only counts in its place": (
        'start: "a" NAME "b"\nNAME: /[a-z]+/\n%ignore " "',
        ["a a b", "ab b", "aab b", "a x b"],
        ["a b", "a b b b", "axb", "ab"],
    ),
    "case-insensitive keywords": (
        'start: ("select"i NAME ";")+\nNAME: /[A-Za-z]+/\n%ignore /\\s+/',
        ["SELECT x;", "sElEcT\nselected;", "select a;SELECT b;", "selectx;", "SELECT select;"],
        ["SELECTED x;", "select X", "SELECT;"],
    ),
    "an optional character, or three of another kind": (
        "start: X | Y\nX: /ab?/\nY: /a|[b-z]{3}/",
        ["a", "xyz", "bcd"],
        ["ab", "abc", "b", "aa", "abcd"],
    ),
    "the same in a row": (
        "start: (X|Y)+\nX: /ab?/\nY: /a|[b-z]{3}/",
        ["a", "aa", "abcd", "abbb", "abbba", "bcdbcda"],
        ["ab", "abc", "abbbb", "abbbbb", "bcdb"],
    ),
    "the first alternative wins": ('start: A "c"\nA: /a|ab/', ["ac"], ["abc", "ab", "a"]),
    "and the rest is for the next terminal": ('start: A "b"?\nA: /a|ab/', ["a", "ab"], ["abb", "b"]),
    "a longer first alternative": ('start: A "b"?\nA: /ab|a/', ["a", "ab", "abb"], ["b", "abbb"]),
    "numbers give back what they have half read": (
        'start: (INT|FLOAT|DOT|NAME)+\nINT: /[0-9]+/\nFLOAT: /[0-9]+\\.[0-9]+/\nDOT: "."\nNAME: /[a-z]+/',
        ["12.x", "1..2", "1.2", "1.2.3", "1.", ".", "12.34x"],
        ["", "1.X", "12 x"],
    ),
    "and what they have read whole, they keep": (
        'start: INT D NAME | INT D D INT | FLOAT\nINT: /\\d+/\nFLOAT: /\\d+\\.\\d+/\nD: "."\nNAME: /[a-z]+/',
        ["12.x", "1..2", "1.2", "1.x"],
        ["1.2x", "1..", "1...2", "12.3.4"],
    ),
    "lazy, up to the first end": (
        'start: (COMMENT|NAME)+\nCOMMENT: "/*" /(.|\\n)*?/ "*/"\nNAME: /[a-z]/',
        ["/**/", "/*a*/b", "/* * / */x/***/", "/*\n*/"],
        ["/*/", "/*a", "/*a*/*/", "*/"],
    ),
    "lazy, but a match must follow": (
        "start: A B\nA: /a+?b/\nB: /b*?c/",
        ["abc", "aabbc"],
        ["ab", "abb", "ac"],
    ),
    "possible ends that a later character takes back": (
        'start: (A | B)+\nA: /a(bbb)?/\nB: "b"',
        ["a", "ab", "abb", "abbb", "abbbb", "babb"],
        ["", "c"],
    ),
    "taken back, where only one of both goes on": (
        'start: A B B | A "!"\nA: /a(bbb)?/\nB: "b"',
        ["abb", "a!", "abbb!", "abbbbb"],
        ["abbb", "ab!", "abbbb", "abb!"],
    ),
    "a look ahead": (
        'start: (A | B | NUMBER)+\nA: /a(?=b)/\nB: "b"\nNUMBER: /\\d+(?![a.])/',
        ["ab", "abab", "1b", "12", "b1"],
        ["a", "aa", "ba", "1a", "1.", "12ab"],
    ),
    "a look behind, which sees the text before the terminal": (
        'start: (A | B)+\nA: /(?<!b)a/\nB: "b"',
        ["a", "aab", "bb", "aabb"],
        ["ba", "aba", "bab"],
    ),
    "words": (
        'start: (IF | NAME | "-")+\nIF.2: /if\\b/\nNAME: /[a-z]+?/',
        ["if", "iffy", "if-x", "xif"],
        ["", "if x"],
    ),
    "the end of the text": (
        'start: (A | "b" | NL)+\nA: /a$/\nNL: "\\n"',
        ["ba", "a\n", "b\na"],
        ["ab", "aa", "a\nb", "a\n\n"],
    ),
    "an ignored terminal takes part in the lexing": (
        'start: "a" B\nB: "b"\nC.2: "bc"\n%ignore C',
        ["ab", "abcb", "bcabcbcb"],
        ["abc", "bc", "abb"],
    ),
    "the first of two equals, by name": (
        'start: A "1" | B "2"\nA: /x+/\nB: /[x]+/',
        ["x2", "xx2"],
        ["x1", "x", "2"],
    ),
    "the longer pattern first, by width": (
        'start: ("ab" | A | "b")* "!"\nA: "a"',
        ["!", "ab!", "aab!", "bab!"],
        ["ab", "c!"],
    ),
    "characters of several bytes": (
        "start: (A | B)+\nA: /é+ü/\nB: /[^a]/",
        ["é", "éü", "éé", "😀ü", "ü"],
        ["a", "éa", "aü"],
    ),
    "flags": ("start: (A | B)+\nA: /a.b/s\nB: /[xy]/i", ["a\nb", "XyaXb", "aab"], ["ab", "A b", "z"]),
    "ranges and compositions": (
        'start: HEX ("," HEX)*\nHEX: "0x" D~2..4\nD: "0".."9" | "a".."c"',
        ["0x1a", "0xabc,0x0000"],
        ["0x1", "0x12345", "0x1d", "0x1a,", "0X1a"],
    ),
}


LOOKING_AROUND = {
    "a look ahead",
    "a look behind, which sees the text before the terminal",
    "words",
    "the end of the text",
}


@pytest.mark.parametrize("name", LEXING)
def test_lexing(name: str) -> None:
    check_grammar(*LEXING[name])


@pytest.mark.parametrize("lexer", ["basic", "dynamic", "dynamic_complete"])
@pytest.mark.parametrize("name", LEXING)
def test_lexing_under_earley(name: str, lexer: str) -> None:
    """The same texts: lark says what becomes of them with each lexer."""
    grammar, parsed, refused = LEXING[name]
    if lexer == "dynamic_complete" and name in LOOKING_AROUND:
        # This lexer cuts the text off behind each lexeme that it tries, so that nothing is around it.
        with pytest.raises(StructgenError, match="looks at the text around it"):
            structgen.compile_lark(grammar, byte_vocabulary(), parser="earley", lexer=lexer)
        return
    oracle = Oracle(grammar, parser="earley", lexer=lexer)
    verdicts = {text: oracle.accepts(text) for text in [*parsed, *refused]}
    taken = [text for text, verdict in verdicts.items() if verdict]
    check_grammar(grammar, taken, verdicts.keys() - taken, parser="earley", lexer=lexer)


def test_the_dynamic_lexers_tell_apart_what_the_others_do_not() -> None:
    grammar = 'start: IF NAME | NAME\nIF.2: "if"\nNAME: /[a-z]+/'
    check_grammar(grammar, ["iffy", "if"], ["i f"], parser="earley", lexer="dynamic")
    check_grammar(grammar, ["iffy"], ["if"])
    grammar = 'start: A "b"\nA: /ab?/'
    check_grammar(grammar, ["abb"], ["ac"], parser="earley", lexer="dynamic")
    check_grammar(grammar, ["ab", "abb"], ["a", "abbb"], parser="earley", lexer="dynamic_complete")


# -- parsing -----------------------------------------------------------------------------------------------

PARSING = {
    "a conflict is resolved by shifting": ('start: x "b" | "a" "b" "c"\nx: "a"', ["abc"], ["ab", "a", "abb"]),
    "the else belongs to the inner if": (
        'start: s\ns: "i" s ["e" s] | "x"',
        ["x", "ix", "ixex", "iixex", "iixexex"],
        ["ixexex", "i", "xe"],
    ),
    "left recursion": ('start: start "," A | A\nA: "a"', ["a", "a,a,a"], ["", "a,", ",a"]),
    "counts": ('start: "a"~2..3 ("b" "c")~2', ["aabcbc", "aaabcbc"], ["abcbc", "aabc", "aaaabcbc"]),
    "nothing at all": ("start: x x\nx: |", [""], ["a", " "]),
    "optional parts": ('start: ["a"] ["b" ["c"]] "d"?', ["", "a", "bc", "abcd", "bd"], ["c", "ac", "ba"]),
    "templates": (
        'start: list{A, ","} ";" list{B, "-"}\nlist{x, y}: x (y x)*\nA: "a"\nB: "b"',
        ["a;b", "a,a;b-b"],
        ["a-a;b", "a;", ";b"],
    ),
    "brackets": (
        'start: value\n?value: "(" value* ")" | "[" value* "]"\n%ignore " "',
        ["()", "([] ())", "[[[]]]"],
        ["(]", "", "(", "())"],
    ),
}


@pytest.mark.parametrize("name", PARSING)
def test_parsing(name: str) -> None:
    check_grammar(*PARSING[name])


@pytest.mark.parametrize("name", PARSING)
def test_parsing_under_earley(name: str) -> None:
    grammar, parsed, refused = PARSING[name]
    oracle = Oracle(grammar, parser="earley")
    verdicts = {text: oracle.accepts(text) for text in [*parsed, *refused]}
    taken = [text for text, verdict in verdicts.items() if verdict]
    check_grammar(grammar, taken, verdicts.keys() - taken, parser="earley")
    if name == "a conflict is resolved by shifting":
        assert "ab" in taken


NESTED = 'start: "a" start "b" | "a" start "c" | "a"'

EARLEY = {
    "two ways to nest": (NESTED, ["a", "aab", "aac", "aaabc"], ["ab", "aaab", "aabc"]),
    "direct left recursion": ('start: start "a" | "a"', ["a", "aaa"], ["", "ab"]),
    "indirect left recursion": (
        'start: x "a" | "a"\nx: start "b" | "c"',
        ["a", "ca", "aba", "cababa"],
        ["ab", "c", "cb", "aa"],
    ),
    "hidden left recursion": (
        'start: opt start "a" | "b"\nopt: "x"?',
        ["b", "ba", "xba", "xxbaa"],
        ["xb", "xxxbaa", "xxba", "a"],
    ),
    "recursion through what may be empty": (
        'start: start start | "a" | ',
        ["", "a", "aaaa"],
        ["b", "ab"],
    ),
    "a cycle": ('start: x\nx: start | "a" x | "b"', ["b", "aab"], ["a", "ba", ""]),
    "ambiguous sums": (
        'start: start "+" start | start "*" start | "(" start ")" | /[0-9]/',
        ["1", "1+2*3", "(1+2)*3+4"],
        ["1+", "()", "12", "(1"],
    ),
    "palindromes": (
        'start: "a" start "a" | "b" start "b" | "a" | "b" | ',
        ["", "aba", "abba"],
        ["ab", "aab"],
    ),
    "not LALR(1)": (
        'start: x "c" | y "d"\nx: A x | A\ny: A y | A\nA: "a"',
        ["ac", "aad", "aaaac"],
        ["a", "acd", "d"],
    ),
    "reduce conflicts": ('start: x | y\nx: "a"\ny: "a"', ["a"], ["", "aa"]),
}


@pytest.mark.parametrize("lexer", ["dynamic", "dynamic_complete", "basic"])
@pytest.mark.parametrize("name", EARLEY)
def test_earley(name: str, lexer: str) -> None:
    check_grammar(*EARLEY[name], parser="earley", lexer=lexer)


@pytest.mark.parametrize("name", ["not LALR(1)", "reduce conflicts", "ambiguous sums"])
def test_what_is_not_lalr(name: str) -> None:
    """Refused where lark refuses it, and what it resolves, it resolves as lark does."""
    grammar, parsed, refused = EARLEY[name]
    try:
        oracle = Oracle(grammar, parser="lalr")
    except lark.exceptions.GrammarError:
        with pytest.raises(StructgenError):
            structgen.compile_lark(grammar, byte_vocabulary(), parser="lalr")
        return
    taken = [text for text in [*parsed, *refused] if oracle.accepts(text)]
    check_grammar(grammar, taken, [text for text in [*parsed, *refused] if text not in taken])


def test_ambiguity_at_depth() -> None:
    """Two thousand choices that only the end decides."""
    rng = random.Random(1)
    automaton = structgen.compile_lark(NESTED, byte_vocabulary(), parser="earley")
    oracle = Oracle(NESTED, parser="earley")
    ends = "".join(rng.choice("bc") for _ in range(1000))
    for text in ["a" * 1001 + ends, "a" * 1001 + ends[1:], "a" * 1001 + ends + "b", "a" * 1002 + ends]:
        begin = time.monotonic()
        state = automaton.advance_bytes(automaton.start, text.encode())
        assert time.monotonic() - begin < 5
        assert automaton.accepts(state) == (len(text) == 2001) == oracle.accepts(text)


@pytest.mark.parametrize(
    "grammar",
    [
        'start: start start | "a"',
        'start: start start start | start start | "a"',
        'start: start "a"* start | "a"',
    ],
)
def test_ambiguity_is_polynomial(grammar: str) -> None:
    automaton = structgen.compile_lark(grammar, byte_vocabulary(), parser="earley")
    oracle = Oracle(grammar, parser="earley")
    for text in ("a", "aa", "aaaaa", "", "aab"):
        state = automaton.advance_bytes(automaton.start, text.encode())
        assert automaton.accepts(state) == oracle.accepts(text)
    begin = time.process_time()
    state = automaton.advance_bytes(automaton.start, b"a" * 800)
    assert automaton.accepts(state)
    assert automaton.advance_bytes(state, b"b") == DEAD
    assert time.process_time() - begin < 10


# -- Python ------------------------------------------------------------------------------------------------

PYTHON_TEXTS = {
    "soft keywords": (
        ["match = 1\n", "x = match\n", "case\n", "_\n", "match x:\n    case 1:\n        pass\n"],
        ["match + 1\n", "match(x)\n", "match[0]\n", "match x:\n    pass\n", "type X = int\n"],
    ),
    "ends": (
        ["", "\n", "\n\n", "x = 1\n", "# c\n", "x = 1 # c\n", "x;y\n", "x\r\ny\r\n", "x\n# c\n"],
        ["x = 1", "# c", "x = 1 # c", "x;;y\n", "\r"],
    ),
    "strings": (
        [
            "'a\\'b'\n",
            "'''a\nb'''\n",
            "'a' 'b'\n",
            "rb'x'\n",
            "ur'x'\n",
            "f'{x}'\n",
            "'\\N{DASH}'\n",
            '"""a"b""c"""\n',
            '"a""b"\n',
            '""""""\n',
            '"" ""\n',
            '"""\\""""\n',
            "'''\\\\'''\n",
        ],
        ["'a\n'\n", "'a\\\nb'\n", "'''a\n", '"""a""""\n', "'a\"\n", "'\\'\n", '"""\\"""\n', "''''\n"],
    ),
    "brackets and lines": (
        [
            "(\n  1,\n 2)\n",
            "x = [\n1\n]\n",
            "x = 1 + \\\n 2\n",
            "x = 1 \\\n\n",
            "x \\ \n\n",
            "f(\n# c\n)\n",
            "{\n\n}\n",
        ],
        ["(]\n", "(\n", "x = [\n1\n", ")\n", "x = 1 + \n 2\n", "x \\ a\n\n", "f(\\)\n"],
    ),
    "indentation": (
        [
            "if x:\n    y\nz\n",
            "if x:\n\ty\n        z\n",
            "  x\n",
            "\tx\n",
            "x\n\n  # indented\ny\n",
            "x\n  # indented\n",
            "if x: y\nelse: z\n",
            "if x:\n\n    y\n\n\nz\n",
            "if x:\n if y:\n  z\n",
            "class A:\n  def f(self):\n    return 1\n\n  # c\n  x = 2\n",
        ],
        [
            "if x:\n    y\n  z\n",
            "if x:\n    y",
            "if x:\n",
            "if x:\ny\n",
            "x\n  y\n",
            "if x:\n  y\n    z\n",
            "if x:\n    if y:\n        z\n      a\n",
        ],
    ),
    "numbers and names": (
        [
            "0x1F\n",
            "1.5e3\n",
            "1_000\n",
            "1j\n",
            "not x\n",
            "notx\n",
            "1if x else 2\n",
            "a if b else c\n",
            "é = 1\n",
        ],
        ["1x\n", "0b2\n", "a if b\n", "1 2\n", "not\n", "x = = 1\n", "$\n"],
    ),
    "statements": (
        [
            "async def f(): await x\n",
            "x: int = 1\n",
            "def f(a, /, b, *, c): pass\n",
            "@a\nclass B: pass\n",
            "with a as b, c: pass\n",
            "lambda: x\n",
            "try:\n  x\nexcept A as b:\n  y\nfinally:\n  z\n",
            "for x in y:\n  pass\nelse:\n  z\n",
            "from . import (a, b,)\n",
            "x = yield\n",
        ],
        ["print 1\n", "def f(: pass\n", "class\n", "for x\n", "try:\n  x\n", "x\nelse:\n  x\n", "import\n"],
    ),
}


@functools.cache
def python_parser() -> tuple[Automaton, Any, Oracle]:
    texts = [text for parsed, refused in PYTHON_TEXTS.values() for text in [*parsed, *refused]]
    vocabulary = random_vocabulary(random.Random(0), texts, 200)
    automaton = structgen.compile_lark(PYTHON, vocabulary, start="file_input", postlex=PythonIndenter())
    oracle = Oracle(PYTHON, parser="lalr", start="file_input", postlex=PythonIndenter())
    return automaton, vocabulary, oracle


@pytest.mark.parametrize("name", PYTHON_TEXTS)
def test_python(name: str) -> None:
    parsed, refused = PYTHON_TEXTS[name]
    check(*python_parser(), dict.fromkeys(parsed, True) | dict.fromkeys(refused, False))


# -- worst cases -------------------------------------------------------------------------------------------


def compile_or_limit(grammar: str, seconds: float = 30.0, **options: Any) -> Any:
    """Compile, within seconds; a limit that says what it is will do, too."""
    begin = time.monotonic()
    try:
        return structgen.compile_lark(grammar, byte_vocabulary(), **options)
    except LimitError:
        return None
    finally:
        assert time.monotonic() - begin < seconds


def chain(rules: int) -> str:
    lines = [f'r{i}: "k{i};" r{i + 1} | "e{i};"' for i in range(rules)]
    return "\n".join(["start: r0", *lines, f'r{rules}: "end"'])


def fan(rules: int) -> str:
    choice = " | ".join(f"r{i}" for i in range(rules))
    return "\n".join([f"start: ({choice})*", *(f'r{i}: "k{i}" ";"' for i in range(rules))])


@pytest.mark.timeout(90)
@pytest.mark.parametrize("parser", ["lalr", "earley"])
@pytest.mark.parametrize("shape", [chain, fan])
def test_many_rules(shape: Any, parser: str) -> None:
    automaton = compile_or_limit(shape(5000), 60, parser=parser)
    if automaton is not None:
        for text, expected in {
            "k0;k1;e2;": shape is chain,
            "k7;k4999;": shape is fan,
            "k5000;": False,
        }.items():
            state = automaton.advance_bytes(automaton.start, text.encode())
            assert (
                automaton.accepts(state)
                == expected
                == Oracle(shape(30), parser=parser).accepts(text.replace("4999", "29").replace("5000", "30"))
            )


@pytest.mark.timeout(60)
@pytest.mark.parametrize("parser", ["lalr", "earley"])
@pytest.mark.parametrize("count", [8, 24])
def test_many_optional_symbols(count: int, parser: str) -> None:
    """lark writes a rule out for every choice of optional symbols."""
    grammar = "start: " + " ".join(f'"k{i};"?' for i in range(count))
    automaton = compile_or_limit(grammar, parser=parser)
    assert automaton is not None or count > 8
    if automaton is not None:
        for text, expected in {"": True, "k0;k3;k7;": True, "k3;k2;": False, "k1;k1;": False}.items():
            state = automaton.advance_bytes(automaton.start, text.encode())
            assert automaton.accepts(state) == expected
            assert count > 8 or Oracle(grammar, parser=parser).accepts(text) == expected


WORST_TERMINALS = {
    "nested counts": ("((a{1,100}){1,100}){1,100}", ["a", "a" * 5000], ["", "ab", "a" * 500 + "b"]),
    "a subset construction": ("(a|b)*a(a|b){20}", ["ab" * 20 + "a", "a" * 300], ["ab" * 10, "b" * 50]),
    "stars in stars": ("((a*)*b)*(a*a*)*c", ["c", "aabac", "a" * 500 + "c"], ["a" * 500, "ac" * 2]),
    "many ways to read it": ("(a|a?a|aa)*b", ["b", "aaab", "a" * 500 + "b"], ["a" * 500, "ba"]),
    "a far look ahead": ("(a(?=a*b))*[ab]", ["a" * 300 + "b", "b"], ["a" * 300, "ab" * 2]),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", WORST_TERMINALS)
def test_terminals_that_look_exponential(name: str) -> None:
    pattern, parsed, refused = WORST_TERMINALS[name]
    automaton = compile_or_limit(f"start: /{pattern}/")
    assert automaton is not None
    begin = time.monotonic()
    for text in [*parsed, *refused]:
        # Python's own engine takes exponential time for some of them.
        if len(text) < 12:
            assert bool(re.match(pattern + r"\Z", text)) == (text in parsed)
        state = automaton.advance_bytes(automaton.start, text.encode())
        assert automaton.accepts(state) == (text in parsed), text
    assert time.monotonic() - begin < 10


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ["string", "regex", "words"])
def test_terminals_of_a_megabyte(kind: str) -> None:
    words = [f"w{i * 7919 % 1000003}" for i in range(125_000)]
    body, text = {
        "string": ('"' + "ab" * 500_000 + '"', "ab" * 500_000),
        "regex": ("/" + "(a|b)" * 200_000 + "/", "ab" * 100_000),
        "words": ("/(" + "|".join(words) + ");/", words[100_000] + ";"),
    }[kind]
    automaton = compile_or_limit(f"start: {body}", 60)
    if automaton is not None:
        begin = time.monotonic()
        assert automaton.accepts(automaton.advance_bytes(automaton.start, text.encode()))
        assert not automaton.accepts(automaton.advance_bytes(automaton.start, text.encode() + b"a"))
        assert time.monotonic() - begin < 30


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "grammar", ['start: ("a" | "b" "c")~0..1000', 'start: A~5000\nA: "a"', 'start: ("a"~1..60)~1..60']
)
def test_large_counts(grammar: str) -> None:
    automaton = compile_or_limit(grammar)
    if automaton is not None:
        inside = "a" * (5000 if "5000" in grammar else 60)
        state = automaton.advance_bytes(automaton.start, inside.encode())
        assert automaton.accepts(state)
        assert not automaton.accepts(automaton.advance_bytes(state, b"a" * 5000))


def test_deep_nesting() -> None:
    grammar = 'start: value\nvalue: "[" (value ("," value)*)? "]" | "1"'
    for parser in ("lalr", "earley"):
        automaton = structgen.compile_lark(grammar, byte_vocabulary(), parser=parser)
        depth = 4_000
        state = automaton.advance_bytes(automaton.start, b"[" * depth + b"1")
        assert state != DEAD
        assert automaton.shortest(state) == b"]" * depth
        assert not automaton.accepts(state)
        assert automaton.accepts(automaton.advance_bytes(state, b"]" * depth))
        assert automaton.advance_bytes(state, b"]" * (depth + 1)) == DEAD
