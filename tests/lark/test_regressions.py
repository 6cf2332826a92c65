"""Small grammars that were once misread, each compared with lark on all short texts, walks and mutations."""

import pytest

from tests.lark.grammars import GrammarCase
from tests.lark.test_against_lark import check_grammar

LONG_WAY = r"""
start: one? CC two [BB two+ AA? three two CC BB] BB
one: BB BB* | /[ab]/ | "ba"i+ one+
two: BB (AA BB)*
three: BB (BB BB)*
AA.1: "a"
BB.-1: AA "aab" /(?:(?:[\na]){0,2})+/s*
CC.2: /\W(?=[b]a)/
"""

# Where it went wrong -> parser, lexer, alphabet, grammar.
CASES: dict[str, tuple[str, str, str, str]] = {
    # The name of the regex decides what is ignored, before the text is known to be the string.
    "an ignored string that a regex matches, too": (
        "lalr",
        "contextual",
        "ab ",
        'start: (/[ ]/ | "ab") BB? "a"\nBB.1: " b"\n%ignore " "',
    ),
    "the same, in a row": ("lalr", "contextual", "ab", 'start: AA AA |\nAA: /a/\n%ignore "a"'),
    "the same with the basic lexer": ("lalr", "basic", "a .", 'start: CC\nCC: /\\s/\n%ignore " "'),
    "the same under earley": ("earley", "basic", "abc", 'start: AA*\nAA: /(a)/\n%ignore "a"'),
    "the same with a look ahead": ("earley", "basic", "abc ", 'start: AA\nAA: /(?!b)(\\s|a)/\n%ignore "a"'),
    "only an ignored terminal": ("lalr", "contextual", "ab", "start: AA\nAA: /ab/\n%ignore AA"),
    "an ignored terminal inside": (
        "lalr",
        "contextual",
        "a\nB",
        "start: AA BB /B/ |\nAA.1: /a/\nBB: /\\n/\n%ignore BB",
    ),
    "an ignored terminal is a terminal for the dynamic lexers": (
        "earley",
        "dynamic",
        "ab",
        'start: ["b" /a/]\nAA: "b"\n%ignore AA',
    ),
    "what is ignored is ignored as far as it goes": (
        "earley",
        "dynamic",
        'a"b',
        'start: CC\nCC: "b\\"b"\n%ignore /[b]+/',
    ),
    "nothing but the empty text, with earley": ("earley", "dynamic", "ab", "start:\n"),
    "nothing but the empty text, with earley's basic lexer": (
        "earley",
        "basic",
        "ab",
        "start: one |\none:\n",
    ),
    "what precedes forbids the rest": ("lalr", "contextual", ".a", "start: BB~2\nBB: /(?<!\\.)\\W/"),
    "the same, one lexer for all": ("lalr", "basic", ".a", "start: BB~2\nBB: /(?<!\\.)\\W/"),
    "a long way to the end": (
        "earley",
        "dynamic_complete",
        "ab\n",
        LONG_WAY,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_grammars_that_were_misread(name: str) -> None:
    parser, lexer, alphabet, grammar = CASES[name]
    check_grammar(GrammarCase(grammar, alphabet), parser, lexer, 0)
