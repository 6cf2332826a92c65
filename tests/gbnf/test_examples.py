"""Grammars of the kinds that people write."""

import json
import random

import structgen
from structgen.testing.vocabularies import tekken
from tests.core.grammars import texts_of
from tests.gbnf.support import BYTES, accepts, check

JSON = r"""
# A JSON value with white space after every lexeme
root   ::= value
value  ::= (object | array | string | number | "true" | "false" | "null") blank
object ::= "{" blank ( member ( "," blank member )* )? "}"
member ::= string blank ":" blank value
array  ::= "[" blank (
    value
    ("," blank value)*
  )? "]"
string ::= "\"" (
    [^"\\\x00-\x1F] |
    "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4})   # escapes
  )* "\""
number ::= "-"? ("0" | [1-9] [0-9]*) ("." [0-9]+)? ([eE] [-+]? [0-9]+)?
blank  ::= ([ \t\r\n] blank)?
"""

ARITHMETIC = """
root ::= (sum "=" blank term "\\n")+
sum  ::= term ([-+*/] blank term)*
term ::= name | number | "(" blank sum ")" blank
name ::= [a-z] [a-z0-9_]* blank
number ::= [0-9]+ blank
blank ::= [ \\t]*
"""

CHESS = """
root ::= ( [1-9] [0-9]? ". " ply " " ply "\\n" )+
ply  ::= (pawn | piece | "O-O" "-O"?) [+#]?
pawn ::= ([a-h] "x")? square ("=" [NBRQ])?
piece ::= [NBRQK] [a-h]? [1-8]? "x"? square
square ::= [a-h] [1-8]
"""

LIST = 'root ::= ("- " [^\\n\\x0b\\x85\\u2028]+ "\\n")+'

JAPANESE = """
root ::= word ([ 　] word)* [。、]?
word ::= hiragana+ | katakana+ | kanji+ hiragana*
hiragana ::= [ぁ-ゟ]
katakana ::= [ァ-ヿ]
kanji ::= [一-鿿]
"""


def _is_json(text: str) -> bool:
    def refuse(name: str) -> None:
        raise ValueError(name)

    try:
        json.loads(text, parse_constant=refuse)
    except ValueError:
        return False
    return not text[:1].isspace()  # the grammar has no white space before the value


def test_json() -> None:
    values = ["{}", '{"a" : [1, -2.5e+3,{"é\\u00e9😀\\n": null}],\n "b":[ ] } ', '"\\""', "0 ", "true"]
    others = ["", "{", '{"a"}', "[1,]", "01", '"\n"', "'a'", "+1", "1.", "nul", "{} {}", '"\\x"', " 1", "NaN"]
    assert all(map(_is_json, values))
    assert not any(map(_is_json, others))
    check(JSON, values, others)


def test_json_against_json() -> None:
    rng = random.Random(1)
    automaton = structgen.compile_gbnf(JSON, BYTES)
    members = 0
    for data in texts_of(automaton, rng, 300):
        text = data.decode()
        assert _is_json(text), text
        for _ in range(4):
            at = rng.randrange(len(text) + 1)
            edited = text[:at] + rng.choice(["", *'{}[]",:0-\\ \ne']) + text[at + rng.randrange(2) :]
            members += _is_json(edited)
            assert accepts(automaton, edited) == _is_json(edited), edited
    assert members > 100


def test_arithmetic() -> None:
    members = ["1=2\n", "a_1 + (b*3)/ x = (y)\n1=1\n", "((((7))))=7\n"]
    check(ARITHMETIC, members, ["", "1=2", "1+=2\n", "(1=2\n", "1=2+3\n", "1 2=3\n", "A=1\n", " 1=1\n"])


def test_chess() -> None:
    members = ["1. e4 e5\n", "1. e4 e5\n2. Nf3 Nc6\n10. O-O O-O-O+\n99. exd8=Q# R1xa1\n"]
    check(
        CHESS,
        members,
        ["", "1. e4\n", "0. e4 e5\n", "1. e9 e5\n", "1. e4 e5", "1. O-O-O-O e5\n", "1.e4 e5\n"],
    )


def test_list() -> None:
    check(
        LIST,
        ["- a\n", "- é 😀 - b\n- c\n"],
        ["", "-a\n", "- \n", "- a", "- a\n\n", "- a\x85b\n", "- \u2028\n"],
    )


def test_japanese() -> None:
    members = ["こんにちは", "日本語を 話す。", "カタカナ　ひらがな", "一"]
    check(JAPANESE, members, ["", "日本カ", "hello", "日本 ", "日本  語", "。"])


def test_with_a_real_vocabulary() -> None:
    vocabulary, encode = tekken()
    automaton = structgen.compile_gbnf(JSON, vocabulary)
    text = json.dumps(
        {"name": "Zoë 日本", "list": [1, 2.5, {"deep": [[], {}]}], "t": True}, ensure_ascii=False
    )
    state = automaton.start
    for token in encode(text):
        assert automaton.mask(state)[token // 32] >> (token % 32) & 1
        state = automaton.step(state, token)
    assert automaton.accepts(state)
    assert automaton.step(automaton.start, encode("}")[0]) == structgen.DEAD
