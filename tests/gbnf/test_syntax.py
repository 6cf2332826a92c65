"""What GBNF texts mean, and how those that mean nothing are refused."""

import pytest

import structgen
from structgen import GrammarError, LimitError
from tests.gbnf.support import BYTES, check


@pytest.mark.parametrize(
    ("grammar", "members", "others"),
    [
        ('root ::= "ab"', ["ab"], ["", "a", "abb", "AB"]),
        ('root ::= "a" "b" | "c"', ["ab", "c"], ["a", "ac", "abc", "a b"]),
        ("root ::=", [""], ["a"]),
        ('root ::= | "a"', ["", "a"], ["|", "aa"]),
        ('root ::= ("a" |) "b"', ["b", "ab"], ["a"]),
        ('root ::= ""', [""], [" "]),
        ('root::="a"|"b"', ["a", "b"], ["ab"]),
        # No white space of its own: not between items either.
        ('root ::= "a"   "b"', ["ab"], ["a b"]),
        # Classes.
        ("root ::= [a-c]", ["a", "b", "c"], ["d", "", "-", "ab"]),
        ("root ::= [^a-c]", ["d", "é", "\n", "😀", "^"], ["a", "b", "c", "", "dd"]),
        ("root ::= [a-]", ["a", "-"], ["b", "]"]),
        ("root ::= [-a]", ["a", "-"], ["b"]),
        ("root ::= [+--]", ["+", ",", "-"], ["*", "."]),
        ("root ::= [a-b-d]", ["a", "b", "-", "d"], ["c"]),
        ("root ::= [a^]", ["a", "^"], ["b"]),
        ("root ::= [^^]", ["a"], ["^"]),
        (r"root ::= [\]\[]", ["[", "]"], ["\\"]),
        (r"root ::= [\]-a]", ["]", "^", "`", "a"], ["\\", "-", "b"]),
        (r"root ::= [a\-z]", ["a", "-", "z"], ["b"]),
        ('root ::= ["]', ['"'], ["a"]),
        ("root ::= [|)#;]", ["|", ")", "#", ";"], [""]),
        ("root ::= [a\nb]", ["a", "\n", "b"], ["c"]),
        (r"root ::= [ぁ-ゟ]+", ["ひらがな"], ["カ", "a", ""]),
        (r"root ::= [\u3041-\U0000309F]+", ["ひらがな"], ["カ", "a", ""]),
        (r"root ::= [\x00-\uFFFF]", ["a", "\x00", "\uffff", "é"], ["😀"]),
        ("root ::= .", ["a", "\n", "é", "😀"], ["", "ab"]),
        # Escapes: always code points, never bytes.
        (r'root ::= "\x41\u00e9\U0001F600\n\r\t\\\"\[\]\-"', ['Aé😀\n\r\t\\"[]-'], ["A"]),
        (r'root ::= "\x80"', ["\x80"], ["\x00"]),
        (r'root ::= "\x414"', ["A4"], ["䄴"]),
        ('root ::= "it\'s # no comment"', ["it's # no comment"], ["it's "]),
        ('root ::= "a\nb"', ["a\nb"], ["ab"]),
        # Operators.
        ('root ::= "ab"*', ["", "ab", "abab"], ["a", "abb"]),
        ('root ::= "ab" +', ["ab", "abab"], ["", "a"]),
        ('root ::= "a" [bc]?', ["a", "ab", "ac"], ["abc", ""]),
        ('root ::= "a"{2}', ["aa"], ["a", "aaa"]),
        ('root ::= "a"{ 2 , }', ["aa", "aaaa"], ["a"]),
        ('root ::= "a" {1,3}', ["a", "aa", "aaa"], ["", "aaaa"]),
        ('root ::= "a"{0,2}', ["", "a", "aa"], ["aaa"]),
        ('root ::= "a"{0} "b"', ["b"], ["ab"]),
        ('root ::= "ab"{2}?', ["", "abab"], ["ab"]),
        ('root ::= "a"{2}{3}', ["aaaaaa"], ["aaaaa", "aaaaaaa"]),
        ('root ::= ("a"?)* "b"', ["b", "aab"], ["a"]),
        ('root ::= ("a" | )+ "b"', ["b", "aab"], ["a"]),
        ('root ::= "a"{0,3000}', ["", "a" * 3000], ["a" * 3001]),
        # Line ends.
        ('root ::=\n"a"', ["a"], [""]),
        ('root ::= "a" |\n "b"', ["a", "b"], ["ab"]),
        ('root ::= ("a"\n"b"\n# why\n*)', ["a", "abb"], ["b"]),
        ('root ::= x y # and so on\nx ::= "a"\r\ny ::= "b"\r', ["ab"], ["a"]),
        ('# "\n\n  root ::= "a" # )\n\t# end', ["a"], [""]),
        ('  root\t ::= "a"', ["a"], [""]),
        # Names.
        ('root ::= a-B_9 1\na-B_9 ::= "x"\n1 ::= "y"', ["xy"], ["x"]),
        ('root ::= roots\nroots ::= "x"', ["x"], [""]),
        # Recursion.
        ('root ::= "(" root ")" | ""', ["", "(())"], ["(", "(()"]),
        ('root ::= "a" root "b" | "a" root "c" | "a"', ["a", "aab", "aaabc"], ["", "ab", "aabb"]),
        ('root ::= ws "a" ws\nws ::= ([ \\n] ws)?', ["a", " a\n  "], ["", "b"]),
        ('root ::= [0-9] root | "."', ["12.", "."], ["", "1"]),
        # A loop whose turns may be empty: directly, by a rule, of a rule that is recursive.
        ('root ::= a root | "b"\na ::= "a"*', ["b", "aab"], ["", "a"]),
        ('root ::= p* "."\np ::= "(" p ")" | ""', [".", "(())()."], ["(.", ""]),
        ('root ::= p{2,3} "."\np ::= "(" p ")" | ""', [".", "()()().", "()."], ["()()()().", ""]),
        ('root ::= (p q)+ "."\np ::= "(" p ")" | ""\nq ::= "[" q "]" | ""', [".", "[](())[]."], ["([])."]),
        # Rules that never end, where nothing needs them.
        ('root ::= "a" | x\nx ::= "b" x', ["a"], ["b", "bb"]),
    ],
)
def test_meaning(grammar: str, members: list[str], others: list[str]) -> None:
    check(grammar, members, others)


def test_another_root() -> None:
    grammar = 'a ::= "x" b\nb ::= "y"'
    automaton = structgen.compile_gbnf(grammar, BYTES, root="b")
    assert automaton.accepts(automaton.advance_bytes(automaton.start, b"y"))
    with pytest.raises(GrammarError, match="the grammar has no rule 'root'"):
        structgen.compile_gbnf(grammar, BYTES)


@pytest.mark.parametrize(
    ("grammar", "line", "column", "reason", "hint"),
    [
        ("", None, None, "the grammar has no rule 'root', where every text begins", None),
        ('Root ::= "a"', None, None, "the grammar has no rule 'root', where every text begins", "'Root'"),
        ('root ::= "a" itm\nitem ::= "b"', 1, 14, "rule 'itm' is not defined", "did you mean 'item'?"),
        # Even where the root does not need it.
        ('root ::= "a"\nx ::= y', 2, 7, "rule 'y' is not defined", None),
        ('root ::= "a"\r\nroot ::= "b"', 2, 1, "rule 'root' is defined twice, in line 1 and here", None),
        ('root = "a"', 1, 6, "expected '::=' after the name of rule 'root', not '='", None),
        (
            'root\n::= "a"',
            1,
            5,
            "expected '::=' after the name of rule 'root', not the end of the line",
            None,
        ),
        ('"a"', 1, 1, "expected the name of a rule, not '\"'", None),
        ('root ::= "a"\n  "b"', 2, 3, "expected the name of a rule, not '\"'", "where its line ends"),
        (
            'root ::= "a" |\nx ::= "b"',
            2,
            3,
            "expected an item, '|' or the end of the line, not ':'",
            "after '|'",
        ),
        ("root ::= 'a'", 1, 10, "expected an item, '|' or the end of the line, not \"'\"", "double quotes"),
        ('root ::= "a")', 1, 13, "expected an item, '|' or the end of the line, not ')'", "nothing opened"),
        ('root ::= "a" \0', 1, 14, "expected an item, '|' or the end of the line, not '\\x00'", None),
        ('root ::= ("a"\n', 1, 10, "nothing closes this group", None),
        ('root ::= ("a"\nx ::= "b")', 2, 3, "expected an item, '|' or the end of the line, not ':'", None),
        ('root ::= "é" "a', 1, 14, "nothing closes this literal", None),
        ("root ::= [a", 1, 10, "nothing closes this class", None),
        ("root ::= [a-", 1, 10, "nothing closes this class", None),
        ("root ::= [a\\]", 1, 10, "nothing closes this class", None),
        ("root ::= []", 1, 10, "this class has no characters", None),
        ("root ::= [^]", 1, 10, "this class has no characters", "'.' is any character"),
        ("root ::= [z-a]", 1, 11, "the ends of this range are the wrong way round", None),
        (r'root ::= "\q"', 1, 11, "this escape is unknown", r"\UXXXXXXXX"),
        ('root ::= "\\', 1, 11, "this escape is unknown", None),
        (r'root ::= "\x4"', 1, 11, r"expected 2 hexadecimal digits after \x", None),
        (r"root ::= [\u00g0]", 1, 11, r"expected 4 hexadecimal digits after \u", None),
        (r'root ::= "\U00110000"', 1, 11, "there is no such code point", None),
        (r'root ::= "a\ud83d\ude00"', 1, 12, "a surrogate is no character, so that no text holds it", None),
        ('root ::= * "a"', 1, 10, "nothing stands before this operator that it could repeat", None),
        ('root ::= "a" | +', 1, 16, "nothing stands before this operator that it could repeat", None),
        ('root ::= ""*', 1, 12, "nothing stands before this operator that it could repeat", None),
        ('root ::= "a"{}', 1, 14, "expected a number, not '}'", None),
        ('root ::= "a"{,3}', 1, 14, "expected a number, not ','", None),
        ('root ::= "a"{1', 1, 15, "expected '}', or a comma and an upper count, not the end", None),
        ('root ::= "a"{1;2}', 1, 15, "expected '}', or a comma and an upper count, not ';'", None),
        ('root ::= "a"{3,2}', 1, 13, "at least 3 and at most 2 times is impossible", None),
        ("root ::= <think>", 1, 10, "references to tokens are not supported", "literal"),
        ("root ::= !<[7]>", 1, 10, "references to tokens are not supported", "literal"),
        ('root ::= root "a" | "b"', 1, 10, "left recursion: rule 'root' may begin with 'root'", "list ::="),
        ('root ::= root | "b"', 1, 10, "left recursion: rule 'root' may begin with 'root'", None),
        ('root ::= root? "b"', 1, 10, "left recursion: rule 'root' may begin with 'root'", None),
        ('root ::= (root "b")*', 1, 11, "left recursion: rule 'root' may begin with 'root'", None),
        (
            'root ::= "a"\nx ::= y "b"\ny ::= z x\nz ::= "c"?',
            3,
            9,
            "left recursion: rule 'x' may begin with 'y' may begin with 'x'",
            None,
        ),
        ('root ::= "a" x\nx ::= y root\ny ::= "b" y', 3, 1, "rule 'y' has no text", "root, x, y"),
        (r"root ::= [\ud800-\udfff]", 1, 1, "rule 'root' has no text", None),
    ],
)
def test_errors(grammar: str, line: int | None, column: int | None, reason: str, hint: str | None) -> None:
    with pytest.raises(GrammarError) as caught:
        structgen.compile_gbnf(grammar, BYTES)
    error = caught.value
    assert (error.line, error.column) == (line, column)
    assert error.reason.startswith(reason)
    assert error.source == grammar
    if hint is not None:
        assert error.hint is not None
        assert hint in error.hint
    if line is not None:
        place, shown, caret, *_ = str(error)[len(error.reason) :].split("\n")
        assert place == f" at line {line}, column {column}"
        assert caret == " " * (1 + (column or 0)) + "^"
        assert shown[2:].startswith(grammar.splitlines()[line - 1].split("\0")[0][:20])


def test_carets_under_escapes() -> None:
    with pytest.raises(GrammarError) as caught:
        structgen.compile_gbnf('root ::= "\x1b" ' + "x" * 100 + " nowhere?", BYTES)
    shown, caret = str(caught.value).split("\n")[1:3]
    assert shown[len(caret) - 1 :].startswith("x" * 40)
    assert "\\x1b" in shown


def test_a_vocabulary_that_cannot_spell_it() -> None:
    vocabulary = structgen.Vocabulary([b"a", b""], eos_token_ids=[1])
    with pytest.raises(GrammarError, match="rule 'root' has no text that this vocabulary can spell"):
        structgen.compile_gbnf('root ::= "b"', vocabulary)
    # It narrows the language to what it can spell.
    automaton = structgen.compile_gbnf('root ::= "b" | "a"', vocabulary)
    assert automaton.accepts(automaton.advance_bytes(automaton.start, b"a"))


_LIMITS = {
    "max_grammar_length": 'root ::= "a"' + " " * (4 << 20),
    "max_nesting": "root ::= " + "(" * 65 + '"a"' + ")" * 65,
    "max_count": 'root ::= "a"{1073741825}',
    "max_copies": 'root ::= p{100,20001}\np ::= "(" p ")" | "x"',
    # Each rule begins with either of two that begin alike: 2**30 ways.
    "max_choices": "root ::= a0\n"
    + "".join(f'a{i} ::= a{i + 1} "x" | a{i + 1} "y" root\n' for i in range(30))
    + 'a30 ::= "(" root ")"',
    "max_depth": "root ::= a0\n"
    + "".join(f"a{i} ::= a{i + 1} | a{i + 1} root\n" for i in range(5))
    + "a5 ::= b0\n"
    + "".join(f'b{i} ::= b{i + 1} | "{i}" root\n' for i in range(1000))
    + 'b1000 ::= "(" root ")"',
}


@pytest.mark.parametrize("limit", _LIMITS)
def test_limits(limit: str) -> None:
    with pytest.raises(LimitError) as caught:
        structgen.compile_gbnf(_LIMITS[limit], BYTES)
    assert caught.value.limit == limit
    assert limit in str(caught.value)


@pytest.mark.parametrize("operators", ["?" * 65, "*" * 10_000, "{2}" * 65])
def test_operators_nest(operators: str) -> None:
    with pytest.raises(LimitError, match="max_nesting is 64"):
        structgen.compile_gbnf(f'root ::= "a"{operators}', BYTES)


def _chain(rule: str, last: str, length: int = 5000) -> str:
    """Rules a0, a1, ... that use the next one, called ``next`` in ``rule``."""
    rules = [f"a{i} ::= {rule.replace('next', f'a{i + 1}')}" for i in range(length)]
    return "\n".join([*rules, f"a{length} ::= {last}"])


_LARGE = [
    ('root ::= "a"{1000}{1000}', "a" * 10**6, "a" * (10**6 - 1)),
    ('root ::= ("a"{0,1000} "b"){1000}', "ab" * 1000, "ab" * 999),
    ('root ::= (p{100}){100}\np ::= "(" p ")" | "x"', "x(x)" * 5000, "x(x)" * 5001),
    ("root ::= " + "(" * 63 + '"a" root "b" | ""' + ")" * 63, "a" * 500 + "b" * 500, "a" * 500 + "b" * 499),
    ("root ::= " + " ".join(['"ab"'] * 20_000), "ab" * 20_000, "ab" * 19_999),
    ("root ::= " + " | ".join(f'"word {i}"' for i in range(20_000)), "word 19999", "word 20000"),
    ('root ::= "' + "x" * 1_000_000 + '"', "x" * 1_000_000, "x" * 999_999),
    # 5,000 rules in a row, regular ones and some of a recursion.
    ("root ::= a0\n" + _chain('"x" next | "y"', '"z"'), "x" * 5000 + "z", "x" * 5000),
    ('root ::= a0 | "!"\n' + _chain('"x" next | "y" root', '"(" root ")"'), "xxy!", "xxy"),
    # As much text as 2**12 letters.
    ("root ::= a0\n" + _chain("next next", '"x"', 12), "x" * 4096, "x" * 4095),
    ('root ::= "a" root "b" | "a" root "c" | "a"', "a" * 1001 + "bc" * 500, "a" * 1001 + "bc" * 499),
]


@pytest.mark.parametrize(("grammar", "member", "other"), _LARGE, ids=range(len(_LARGE)))
def test_large_grammars(grammar: str, member: str, other: str) -> None:
    automaton = structgen.compile_gbnf(grammar, BYTES)
    for text, fits in ((member, True), (other, False)):
        session = automaton.session()
        assert session.accepts(session.advance_bytes(automaton.start, text.encode())) == fits
