"""The penalty on repeated structure, by hand and in generation."""

import math
from typing import Any

import numpy as np
import pytest
import torch

import structgen
from structgen import TokenAutomaton, Vocabulary
from structgen.hf import AutomatonLogitsProcessor, GrammarRepetitionPenalty
from structgen.hf._repetition import penalised_on_device, penalised_on_host
from tests.hf.conftest import EOS, PADDED, Generate, build_vocabulary, encode

PROMPT = [40, 41]

# Statements end with their semicolon, lists don't tell where their numbers end.
GRAMMAR = r"""
start: statement+
statement: NAME "=" (NUMBER | STRING) ";" | "call" "(" NAME ")" ";"
NAME: /[a-z]+/
NUMBER: /[0-9]+/
STRING: /"[^"]*"/
%ignore " "
%ignore "\n"
"""


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return build_vocabulary()


@pytest.fixture(scope="module")
def automaton(vocabulary: Vocabulary) -> TokenAutomaton:
    return structgen.compile_lark(GRAMMAR, vocabulary)


def changes(penalty: GrammarRepetitionPenalty, *rows: list[int]) -> list[dict[int, float]]:
    """Return, for each row, by how much each score that changes does."""
    scores = torch.randn(len(rows), PADDED, dtype=torch.float64)
    before = scores.clone()
    out = penalty(torch.tensor([PROMPT + row for row in rows]), scores)
    assert torch.equal(scores, before)
    return [{int(t): float(row[t]) for t in row.nonzero()} for row in out - scores]


def after(automaton: TokenAutomaton, text: str, **options: Any) -> dict[str, int]:
    """Return the critical texts after `text`, read byte by byte, and their counts."""
    penalty = GrammarRepetitionPenalty(automaton, prompt_length=len(PROMPT), **options)
    (change,) = changes(penalty, encode(automaton.vocabulary, text))
    tokens = automaton.vocabulary.tokens
    return {tokens[t].decode("latin-1"): round(c / math.log(0.9)) for t, c in change.items()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=1;a=2;", {"a": 1, "ab": 1, "abc": 1, "aa": 1}),
        ("a=1;a=2;a=3;", {"a": 2, "ab": 2, "abc": 2, "aa": 2}),
        ("call(b);no=1;no=2;", {"n": 1, "no": 1}),  # C A A
        ("a=1;call(b);no=2;call(d);no=2;", {}),  # A B A B A: the copy has begun
        ('no="x";call(b);no=2;call(d);no=2;', {"c": 1}),
        ("a=1;call(b);a=2;", {}),
        ("a=1;", {}),
        ("a=1;a=2;a", {}),
        ("a=1;a=2;a=", {}),
        ("a=1;a=2; ", {"a": 1, "ab": 1, "abc": 1, "aa": 1}),
        ("a=1; a=2;", {"a": 1, "ab": 1, "abc": 1, "aa": 1}),
    ],
)
def test_statements(automaton: TokenAutomaton, text: str, expected: dict[str, int]) -> None:
    assert after(automaton, text) == expected


def test_terminals_that_the_next_token_ends(vocabulary: Vocabulary) -> None:
    numbers = structgen.compile_lark('start: "<" ("," NUMBER)*\nNUMBER: /[0-9]+/', vocabulary)
    # The unit is ", NUMBER": its second copy is complete only with the comma that begins a third.
    assert after(numbers, "<,2", level="terminal") == {}
    assert after(numbers, "<,2,3", level="terminal") == {",": 1}
    assert after(numbers, "<,2,3,4", level="terminal") == {",": 2}
    assert after(numbers, "<,2,3,", level="terminal") == {}
    # By the rule's name nothing is told before the end.
    assert after(numbers, "<,2,3", level="start") == {}


def test_text_repeated_inside_a_lexeme(automaton: TokenAutomaton) -> None:
    assert after(automaton, 'a="yes yes ') == {"y": 1, "ye": 1, "yes": 1}
    assert after(automaton, 'a="yes yes yes ') == {"y": 2, "ye": 2, "yes": 2}
    assert after(automaton, 'a="yes yes ', content=False) == {}
    assert after(automaton, 'a="yes yes y') == {}
    assert after(automaton, 'a="-- -- -- -- ') == {}
    assert after(automaton, 'a="abab') == {}
    assert after(automaton, 'a="yes yes "') == {}


def test_outside_the_language_and_back(automaton: TokenAutomaton) -> None:
    critical = {"a", "ab", "abc", "aa"}
    assert set(after(automaton, "a=1;a=2;")) == critical
    assert after(automaton, "!a=1;a=2;") == {}
    assert after(automaton, "a=1;!!\na=2;") == {}
    assert set(after(automaton, "a=1;!!\na=2;a=3;")) == critical


@pytest.fixture(scope="module")
def python() -> TokenAutomaton:
    joined = [b"\n    ", b":\n    ", b"\n    y", b"!\n    y", b"\n    return", b"\n        "]
    vocabulary = Vocabulary([*(bytes([byte]) for byte in range(256)), b"", *joined], eos_token_ids=[256])
    return structgen.compile_lark("grammars:python", vocabulary, start="file_input", postlex="python")


def lexemes(automaton: TokenAutomaton, row: list[int], **options: Any) -> set[str]:
    """Return the critical texts after a row, without the white space around them."""
    penalty = GrammarRepetitionPenalty(automaton, prompt_length=len(PROMPT), **options)
    scores = torch.zeros(1, automaton.vocabulary.logits_size, dtype=torch.float64)
    out = penalty(torch.tensor([PROMPT + row]), scores)[0]
    return {automaton.vocabulary.tokens[int(token)].decode().strip() for token in out.nonzero()}


def joined_tokens(vocabulary: Vocabulary, text: str) -> list[int]:
    """Return the tokens of a text, the longest first."""
    tokens = []
    data = text.encode()
    while data:
        tokens.append(max(filter(data.startswith, filter(None, vocabulary.tokens)), key=len))
        data = data[len(tokens[-1]) :]
    return [vocabulary.tokens.index(token) for token in tokens]


@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def f():\n    x = 1 1\n    y = 2\n    y = 3\n", {"y"}),
        ("def f():\n    x!!\n\n    y = 2\n    y = 3\n", {"y"}),  # a blank line between
        ("x!\n    y = 2\n    y = 3\n", {"y"}),  # the rest of a token is the line's beginning
        ("def f(:\n        y = 2\n        y = 3\n", {"y"}),  # no header was read
        ("def f(:\n    if x:\n        y = 2\n        y = 3\n", {"y"}),
        ("def f(:\n    if x:\n        z()\n    y = 2\n    y = 3\n", {"y"}),
        ("x = (1\n    y = 2\n    y = 3\n    y = 4\n", {"y"}),  # the bracket ends with its error
        ("In prose:\ny = 2\ny = 3\n", {"y"}),
        ("    y = 2\n    y = 3\n    y = 4\n", {"y"}),  # no text begins with an indented line
        # What was in front of the error, or in its line, does not count.
        ("y = 1\ny = 1 1\ny = 2\n", set()),
        ("def f():\n    y = 1\n    y!!\n    y = 3\n", set()),
        ("def f():\n    x = 1 1; y = 2; y = 3; ", set()),
        # The second line does not fit: all begins anew with it.
        ("x!\n    y = 2\n  y = 3\n", set()),
        ("x!\n    y = 2\n      y = 3\n", set()),
        ("x!\n    y 2\n    y 3\n", set()),
    ],
)
def test_outside_python_and_back(python: TokenAutomaton, text: str, expected: set[str], joined: bool) -> None:
    row = joined_tokens(python.vocabulary, text) if joined else list(text.encode())
    assert lexemes(python, row) == expected


def test_lines_that_cannot_be_spelled(vocabulary: Vocabulary) -> None:
    """Behind the line feed of a token there may be bytes that are no tokens."""
    grammar = 'start: ("a" ";")+\n%ignore /\\n/'
    for spelled in (True, False):
        row = [1, 2, 3, 2] if spelled else [1, 2, 3]
        texts = [b"", b"!\na", b";", *([b"a"] if spelled else [b"a;"])]
        automaton = structgen.compile_lark(grammar, Vocabulary(texts, eos_token_ids=[0]))
        penalty = GrammarRepetitionPenalty(automaton, level="terminal", prompt_length=0)
        out = penalty(torch.tensor([row]), torch.zeros(1, automaton.vocabulary.logits_size))
        assert out.nonzero().tolist() == ([[0, 3]] if spelled else [])


def test_copies_that_begin_differently(automaton: TokenAutomaton, python: TokenAutomaton) -> None:
    """Critical are the spellings of all copies, not only the last one's."""
    assert after(automaton, "a=1;no=2;a=3;") == dict.fromkeys(("a", "ab", "abc", "aa", "n", "no"), 2)
    assert after(automaton, 'x="1";a=1;no=2;') == dict.fromkeys(("a", "ab", "abc", "aa", "n", "no"), 1)
    assert after(automaton, "call(b);a=1;call(b);no=1;") == {"c": 1}
    # A run is no older than its first copy.
    assert after(automaton, 'no=1;a="x";a=1;a=2;') == {"a": 1, "ab": 1, "abc": 1, "aa": 1}
    assert lexemes(python, list(b"i = j - 1\nj = j - 1\n")) == {"i", "j"}
    assert lexemes(python, list(b"i = j - 1\nj = j\n")) == set()
    # Units of two symbols, of which the last ends with the next token; the copy has begun with the first.
    assert lexemes(python, list(b"x()\ny = 1\nz()\ny = 1\n")) == {"x", "z"}
    assert lexemes(python, list(b"x()\ny = 1\nz()\ny = 1\nu()\n")) == set()


def test_rows_are_what_their_suffixes_are(automaton: TokenAutomaton, vocabulary: Vocabulary) -> None:
    penalty = GrammarRepetitionPenalty(automaton)
    good, bad = encode(vocabulary, "a=1;a=2;"), encode(vocabulary, 'a=1;c="x')
    assert changes(penalty, [], []) == [{}, {}]
    for length in range(1, 8):
        assert changes(penalty, good[:length], bad[:length]) == [{}, {}]
    first, second = changes(penalty, bad, good)  # reordered
    assert first == {}
    assert min(second.values()) == pytest.approx(math.log(0.9))
    assert set(second) == {vocabulary.tokens.index(t) for t in (b"a", b"ab", b"abc", b"aa")}
    assert changes(penalty, [*good, EOS], [*good, 1]) == [{}, {}]
    assert changes(penalty, [*good, EOS, 1], [*good, 1, 319]) == [{}, {}]
    assert changes(penalty, good[:5], good[:5]) == [{}, {}]  # shrunk
    penalty.reset()
    assert changes(penalty, good) == [{}]  # all of it is prompt now


def test_options(automaton: TokenAutomaton, vocabulary: Vocabulary) -> None:
    row = encode(vocabulary, "a=1;a=2;a=3;")
    boosted = GrammarRepetitionPenalty(automaton, decay=0.5, end_boost=1.25, prompt_length=2)
    (change,) = changes(boosted, row)
    assert change.pop(EOS) == pytest.approx(2 * math.log(1.25))
    assert list(change.values()) == pytest.approx([2 * math.log(0.5)] * 4)
    assert changes(GrammarRepetitionPenalty(automaton, window=2, prompt_length=2), row) != [{}]
    two = encode(vocabulary, "a=1;call(b);a=2;call(b);")
    assert changes(GrammarRepetitionPenalty(automaton, window=3, prompt_length=2), two) == [{}]
    assert changes(GrammarRepetitionPenalty(automaton, window=4, prompt_length=2), two) != [{}]


def test_forced_tokens_are_spared(vocabulary: Vocabulary) -> None:
    forced = structgen.compile_lark('start: "a" "b" "a" "b" "a" "b"', vocabulary)
    assert after(forced, "abab", level="terminal") == {}
    free = structgen.compile_lark('start: "a" "b" "a" "b" ("a" "b" | "c")', vocabulary)
    assert set(after(free, "abab", level="terminal")) == {"a", "ab", "abc", "aa"}
    penalty = GrammarRepetitionPenalty(free, level="terminal", prompt_length=0)
    scores = torch.full((1, PADDED), -math.inf)
    scores[0, encode(vocabulary, "a")] = 1.0
    rows = torch.tensor([encode(vocabulary, "abab")])
    assert torch.equal(penalty(rows, scores), scores)
    scores[0, encode(vocabulary, "c")] = -100.0
    assert float(penalty(rows, scores)[0, encode(vocabulary, "a")]) == pytest.approx(1 + math.log(0.9))


def test_arguments(automaton: TokenAutomaton, vocabulary: Vocabulary) -> None:
    options: Any
    for options in ({"decay": 0}, {"decay": 1.1}, {"end_boost": 0.5}, {"window": 1}, {"level": ""}):
        with pytest.raises(ValueError, match=next(iter(options))):
            GrammarRepetitionPenalty(automaton, **options)
    with pytest.raises(ValueError, match="no structure events"):
        GrammarRepetitionPenalty(structgen.compile_regex("a+", vocabulary))
    with pytest.raises(TypeError, match="TokenAutomaton"):
        GrammarRepetitionPenalty("a+")


@pytest.mark.parametrize("options", [{}, {"num_beams": 3}, {"do_sample": True, "num_return_sequences": 3}])
def test_generation_with_the_constraint(
    automaton: TokenAutomaton, generate: Generate, model: Any, options: dict[str, Any]
) -> None:
    """Every call in a generation changes what a processor that starts afresh changes."""
    seen = 0

    class Checked(GrammarRepetitionPenalty):
        def __call__(self, input_ids: Any, scores: torch.Tensor) -> torch.Tensor:
            nonlocal seen
            masked = constraint(input_ids, scores)
            out = super().__call__(input_ids, masked)
            fresh = GrammarRepetitionPenalty(automaton, decay=0.5, prompt_length=3)
            assert torch.equal(out, fresh(input_ids, masked))
            assert bool((out <= masked).all())
            seen += not torch.equal(out, masked)
            return out

    constraint = AutomatonLogitsProcessor(automaton)
    penalty: Any = Checked(automaton, decay=0.5)
    generate(penalty, max_new_tokens=40, **options)
    generate(penalty, prompts=((50, 51, 52), (53, 54)), max_new_tokens=30, **options)
    assert seen


def test_ends_of_lines_belong_to_no_statement(vocabulary: Vocabulary) -> None:
    """As in Python, where the line's end is told only with the next line."""
    lines = structgen.compile_lark(
        "start: statement+\nstatement: simple_stmt NEWLINE\nsimple_stmt: NAME | NAME EQ NAME\n"
        'NAME: /[a-z]+/\nEQ: "="\nNEWLINE: /\\n[ \\n]*/',
        vocabulary,
    )
    critical = {"n": 1, "no": 1}
    assert after(lines, "x=y\nno\nno\n") == critical
    assert after(lines, "no\nx=y\nno\nx=y\n") == critical
    assert after(lines, "no\nx=y\nno\n") == {}
    assert after(lines, "no\nx=y\nno\nx=y") == {}


def test_statements_within_statements(vocabulary: Vocabulary) -> None:
    """What is in front of the first inner statement belongs to it; what is behind the last is a symbol."""
    nested = structgen.compile_lark(
        'start: statement+\nstatement: NAME ";" | "{" statement+ "}"\nNAME: /[a-z]+/', vocabulary
    )
    # { a ;   b ;   }   { c ;   d ;   }: the unit has three symbols.
    assert after(nested, "{a;b;}{c;d;}") == {"{": 1}
    assert after(nested, "x;{a;b;}{c;d;}") == {"{": 1}
    # Another body is another unit; two of its statements alike are a unit themselves.
    assert after(nested, "{a;b;}{c;}") == {}
    assert after(nested, "{a;b;c;") == {"b": 1, "bc": 1, "c": 1}
    # Headers alike in front of bodies that differ are no repeats, and closing brackets never are.
    assert after(nested, "{a;}{{b;}}") == {}


def test_closing_brackets_are_spared(vocabulary: Vocabulary) -> None:
    brackets = structgen.compile_lark('start: "x" | "(" start+ ")" | start "!"', vocabulary)
    assert after(brackets, "((", level="terminal") == {"(": 1}
    assert after(brackets, "((xx!!", level="terminal") == {"!": 1}
    assert after(brackets, "((((x))", level="terminal") == {}


@pytest.mark.parametrize("boost", [0.0, 0.25])
@pytest.mark.parametrize("free", [[], [4, 5], [6, 0]])
def test_host_and_device_do_the_same(boost: float, free: list[int]) -> None:
    scores = torch.randn(4, 9, dtype=torch.float64)
    scores[1] = -math.inf
    scores[2, [0, 1, 2, 3, 6, 7, 8]] = -math.inf
    # The greater count of 5 holds.
    critical = [(1, np.array([4, 5])), (3, np.array([5]))]
    rows, found = [0, 1, 2], [critical] * 3
    out = penalised_on_host(scores, rows, found, -0.5, boost, [7, 8], known := [*free])
    # What row 0 had to choose is known then, and critical tokens are no choice.
    assert known[0] not in (4, 5)
    assert known[1:] == (free if free != [6, 0] else [0])
    torch.testing.assert_close(penalised_on_device(scores, rows, found, -0.5, boost, [7, 8]), out)
    # Rows 1 and 2 have nothing but critical tokens; row 3 has none.
    assert torch.equal(out[1:], scores[1:])
    expected = [0, 0, 0, 0, -0.5, -1.5, 0, 3 * boost, 3 * boost]
    assert (out - scores)[0].tolist() == pytest.approx(expected)


ROWS = r"""
start: "rows" row ("," row)*
row: "(" item ("," item)* ")"
item: NUMBER | STRING
NUMBER: /[0-9]+/
STRING: /'([^']|'')*'/
%ignore " "
"""


@pytest.fixture(scope="module")
def rows() -> TokenAutomaton:
    joined = [b"),", b"),(", b"'),", b"'), (", b")", b"7),", b") , (", b"',"]
    return structgen.compile_lark(
        ROWS, Vocabulary([*(bytes([byte]) for byte in range(256)), b"", *joined], eos_token_ids=[256])
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Rows but for the first begin with their comma. A number or string can go on: the token ends it.
        ("rows(1,2),(3,4),(5,6", {"),", "),("}),
        ("rows(1,'a'),(3,'b'),(5,'c'", {"),", "),("}),
        ("rows(1,'a'),(3,'b'),(5,'c", {"'),", "'), ("}),
        ("rows(1,'a'), (3,'b'), (5,'c", {"'),", "'), ("}),
        ("rows(1,2),(3,4),(5,6)", {","}),
        ("rows(1,2),(3,4),(5,7", {"),", "),("}),
        # What spells the end of the last row counts, too.
        ("rows(1,7),(3,7),(5,", {"7),"}),
        # One copy is none, and other rows are not copies.
        ("rows(1,2),(3,4", set()),
        ("rows(1,2),(3,4),(5,'c", set()),
        ("rows(1,2),(3,4),(5", set()),
        ("rows(1,2),(3,4),(5,6,7", set()),
    ],
)
def test_tokens_that_end_a_copy_and_begin_another(
    rows: TokenAutomaton, text: str, expected: set[str]
) -> None:
    assert lexemes(rows, list(text.encode()), level="row", content=False) == expected


def test_a_token_that_ends_a_copy_begins_none(vocabulary: Vocabulary) -> None:
    """With white space under way, the next token is the second copy and not the third."""
    brackets = structgen.compile_lark('start: "x" | "(" start+ ")"\n%ignore " "', vocabulary)
    assert after(brackets, "( ", level="terminal") == {}
    assert after(brackets, "(( ", level="terminal") == {"(": 1}


def test_long_lexemes(rows: TokenAutomaton) -> None:
    """Of a long lexeme the two ends are kept: what repeats in it, and how it ends, is found all the same."""
    text = b"rows('" + b"-" * 1500 + b"yes yes "
    assert lexemes(rows, list(text), level="row") == {"y"}
    long = b"'" + b"x" * 3000
    row = list(b"rows(%b'),(%b'),(%b" % (long, long, long))
    assert lexemes(rows, row, level="row", content=False) == {"'),", "'), ("}
    path = GrammarRepetitionPenalty(rows, level="row")._path
    place = path.root()
    for token in row:
        place = path.child(place, token)
    assert (len(place.pending), place.content.length) == (1025, 3001)
