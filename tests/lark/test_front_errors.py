"""Wrong grammars are refused with the place, the reason and, where there is one, a way out."""

import pickle
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lark
import pytest
from lark.indenter import Indenter, PythonIndenter
from lark.lexer import BasicLexer

import structgen
from structgen import GrammarError, LimitError
from structgen._frontends.lark import load_lark, options_of_lark
from tests.lark.front import load

# The grammar, and the line, the column, the reason and the hint of the error.
WRONG: dict[str, tuple[str, int | None, int | None, str, str | None]] = {
    "undefined rule": ('start: "a" sunn\nsum: "b"\n', 1, 12, "rule 'sunn' is used but not defined", "'sum'"),
    "undefined terminal": (
        "start: NUM\nNUMB: /1/\n",
        1,
        8,
        "terminal 'NUM' is used but not defined",
        "'NUMB'",
    ),
    "undefined in a terminal": ("start: A\nA: BB\n", 2, 4, "terminal 'BB' is used but not defined", None),
    "undefined in a template": ('start: x{"a"}\nx{y}: y z\n', 2, 9, "rule 'z' is used but not defined", None),
    "undefined template": ('start: y{"a"}\nx{z}: z\n', 1, 8, "'y' used but not defined|'y' is used", None),
    "undefined import": ("start: A\n%import common.A\n", 1, 8, "terminal 'A' is used but not defined", None),
    "ignored": ('start: "a"\n%ignore FOO\n', 2, 9, "terminal 'FOO' is used but not defined", None),
    "unknown library": ("start: A\n%import no.such.A\n", 2, 1, "no grammar 'no/such.lark'", None),
    "no start": ('strat: "a"\n', None, None, "no rule 'start' to start from", "start='strat'"),
    "defined twice": ('start: "a"\nstart: "b"\n', 1, 1, "defined more than once", None),
    "stray bracket": ('start: "a" )\n', 1, 12, "'\\)' cannot stand here", None),
    "open bracket": ('start: (("a"\n', 1, 13, "the end of the line cannot stand here", None),
    "open string": ('start: "a\n', 1, 8, "cannot stand here", None),
    "missing colon": ('start "a"\n', 1, 7, "missing colon", None),
    "two operators": ('start: "a"\nb: a??\n', 2, 6, "expecting a value", None),
    "recursion in a terminal": ("start: A\nA: A\n", 2, 1, "recursion in terminal 'A'", None),
    "rule in a terminal": (
        'start: A\nA: b\nb: "b"\n',
        None,
        None,
        "rules aren't allowed inside terminals",
        None,
    ),
    "alias in a terminal": ('start: A\nA: "a" -> b\n', None, None, "aliasing not allowed in terminals", None),
    "empty string": ('start: "a"\nb: ""\n', 2, 4, "empty terminals are not allowed", None),
    "rules that are equal": ('!start: ["a"] "b" | "b"\n', None, None, "defined twice", None),
    "zero width": ("start: A\n\nA: /a*/\n", 3, 1, "terminal A can match the empty string", "optional"),
    "zero width, unnamed": ('start: "x" /a?/\n', 1, 12, "terminal /a\\?/ can match the empty string", None),
    "invalid pattern": ("start: A\nA: /a(/\n", 2, 1, "pattern of terminal A is invalid: missing \\)", None),
    "invalid part": ('start: A\nA: /a(/ | "b"\n', 2, 4, "is invalid: missing \\)", None),
    "lookbehind": ("start: A\nA: /(?<=a+)b/\n", 2, 1, "look-behind requires fixed-width", None),
    "flags inside": ("start: A\nA: /(?i)a/\n", 2, 1, "begins with flags", "/i"),
    "groups of one name": ("start: A B\nA: /(?P<x>a)/\nB: /(?P<x>b)/\n", None, None, "group named 'x'", None),
    "group named like a terminal": ("start: A\nA: /(?P<A>a)/\n", 2, 1, "group named 'A'", None),
    "unproductive": ('start: "a" | b\nb: "b" c\nc: b\n', 2, 1, "rule 'b' derives no finite text", "itself"),
    "unproductive repetition": ('start: "a" x+\nx: "b" x\n', 2, 1, "rule 'x' derives no finite text", None),
    "unproductive start": ('start: "a" start\n', 1, 1, "rule 'start' derives no finite text", None),
    "declared": ('start: "a" | _INDENT\n%declare _INDENT\n', 1, 14, "nothing makes it", "postlex"),
    "declared rule": ("start: a\n%declare a\n", 1, 8, "declared, and not defined", None),
    "declared and ignored": (
        'start: "x"\n%declare A\n%ignore A\n',
        2,
        10,
        "ignored, and has no pattern",
        None,
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_grammars(case: str) -> None:
    text, line, column, reason, hint = WRONG[case]
    with pytest.raises(GrammarError, match=reason) as caught:
        load(text)
    error = caught.value
    if line is not None:
        assert (error.line, error.column) == (line, column)
        lines = str(error).split("\n")
        assert lines[0].endswith(f"at line {line}, column {column}")
        assert lines[1] == "  " + text.split("\n")[line - 1]
        assert column is not None
        assert lines[2] == " " * (column + 1) + "^"
    if hint is None:
        assert error.hint is None or hint is None
    else:
        assert error.hint is not None
        assert hint in error.hint
        assert str(error).endswith(f"hint: {error.hint}")
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.line, copy.reason) == (str(error), error.line, error.reason)


def test_lark_refuses_most_of_them_too() -> None:
    """What only we refuse would be a dead end, or fails in lark when it first parses."""
    only_ours = {
        "flags inside",
        "groups of one name",
        "group named like a terminal",
        "declared",
        *(case for case in WRONG if case.startswith("unproductive")),
    }
    for case, (text, *_) in WRONG.items():
        if case == "flags inside" and sys.version_info < (3, 11):
            continue  # re warns, and goes on
        if case in only_ours:
            parser = lark.Lark(text, parser="lalr")
            with pytest.raises((re.error, lark.exceptions.LarkError)):
                parser.parse("b")
        else:
            with pytest.raises(Exception, match=r"."):
                lark.Lark(text, parser="lalr")


def test_what_was_expected() -> None:
    with pytest.raises(GrammarError) as caught:
        load('start: a b\na: "x" -> A\n')
    assert caught.value.expected == ("a rule's name",)
    assert "\n  expected: a rule's name" in str(caught.value)
    with pytest.raises(GrammarError) as caught:
        load('first: "a"\nsecond: "b"\n')
    assert caught.value.expected == ("first", "second")


def test_errors_in_imported_files(tmp_path: Path) -> None:
    (tmp_path / "lib.lark").write_text('a: "a" b\n\nc: d\nd: (\n')
    with pytest.raises(GrammarError) as caught:
        load("start: a\n%import lib.a\n", import_paths=[tmp_path])
    assert (caught.value.line, caught.value.name) == (4, str(tmp_path / "lib.lark"))
    (tmp_path / "lib.lark").write_text('a: "a" b\n\nb: cc\n')
    with pytest.raises(GrammarError, match="cc' is used but not defined") as caught:
        load("start: a\n%import lib.a\n", import_paths=[tmp_path])
    assert (caught.value.line, caught.value.column) == (3, 4)
    assert caught.value.name == str(tmp_path / "lib.lark")
    assert f"at line 3, column 4 of {tmp_path}" in str(caught.value)


STRICT = {
    "shift/reduce": ('start: e\ne: e "+" e | "1"\n', "before PLUS, rule 'e' could end or go on"),
    "collision": ("start: A | B\nA: /a+/\nB: /[ab]c?/\n", "terminals A and B collide: .*a"),
    "unused rule": ('start: "a"\n\nother: "b"\n', "no start rule reaches rule 'other'"),
}


@pytest.mark.parametrize("case", STRICT)
def test_strict(case: str) -> None:
    text, reason = STRICT[case]
    load(text)
    with pytest.raises(GrammarError, match=reason) as caught:
        load(text, strict=True)
    assert caught.value.line is not None
    if case != "unused rule":
        with pytest.raises(lark.exceptions.LarkError):
            lark.Lark(text, parser="lalr", strict=True)


@pytest.mark.parametrize(
    "text",
    [
        'start: "a" | "b" c\nc: /c+/\n%ignore " "\n',
        'start: n ("+" n)*\nn: INT\n%import common.INT\n',
    ],
)
def test_strict_takes_what_lark_takes(text: str) -> None:
    for parser, lexer in (
        ("lalr", "contextual"),
        ("lalr", "basic"),
        ("earley", "basic"),
        ("earley", "dynamic"),
    ):
        lark.Lark(text, parser=parser, lexer=lexer, strict=True)  # type: ignore[arg-type]
        assert (
            load(text, parser=parser, lexer=lexer, strict=True).spec
            == load(text, parser=parser, lexer=lexer).spec
        )


def test_sizes() -> None:
    load('start: ("a" | "b")~10\n')
    load('start: "a"~100000\n')
    load('start: ("a" | "b")~100000\n')
    with pytest.raises(LimitError, match="rule 'x', the rules have more than 200000 alternatives"):
        load('start: x\nx: ("a" | "b")~40\n')
    with pytest.raises(LimitError, match="more than 200000 alternatives"):
        load('start: "a"~0..49 ("b"~0..49 ("c" "d"?)~0..49)\n')
    doubling = "".join(f"A{i}: A{i + 1} A{i + 1}\n" for i in range(40))
    with pytest.raises(LimitError, match=r"terminal 'A.*' has more than 10000 terminals inside"):
        load(f'start: A0\n{doubling}A40: "a"\n')
    nested = "(" * 5000 + '"a"' + ")" * 5000
    with pytest.raises(LimitError, match="nested too deeply"):
        load(f"start: {nested}\n")


class Callbacks(BasicLexer):
    """A lexer of a user's own."""


class Loud(PythonIndenter):
    def handle_NL(self, token: Any) -> Iterator[Any]:  # noqa: N802 - lark's name
        return super().handle_NL(token)


class Everywhere(PythonIndenter):
    always_accept = ("_NEWLINE", "NAME")  # type: ignore[assignment]


class Upper:
    always_accept = ()

    def process(self, stream: Iterator[Any]) -> Iterator[Any]:
        return stream


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"lexer_callbacks": {"A": lambda token: token}}, "lexer_callbacks"),
        ({"use_bytes": True}, "use_bytes"),
        ({"regex": True}, "option regex"),
        ({"lexer": Callbacks}, "a lexer of its own, Callbacks"),
        ({"parser": "cyk"}, "parser='cyk'"),
        ({"parser": None, "lexer": "basic"}, "parser=None"),
        ({"postlex": Upper()}, "the postlexer Upper has no automaton"),
        ({"postlex": Loud()}, "Loud has its own handle_NL"),
        ({"postlex": Everywhere()}, "Everywhere accepts other terminals"),
    ],
)
def test_lark_objects_without_automaton(options: dict[str, Any], reason: str) -> None:
    text = 'start: A "b"\nA: "a"\n'
    parser = lark.Lark(text, **{"parser": "lalr", **options})
    with pytest.raises(GrammarError, match=reason):
        options_of_lark(parser, None)


def test_lark_objects_with_harmless_options() -> None:
    text = 'start: A "b"\nA: "a"\n'
    parser = lark.Lark(
        text, parser="lalr", propagate_positions=True, maybe_placeholders=False, keep_all_tokens=True
    )
    assert load_lark(parser, options_of_lark(parser, None)).spec == load(text).spec
    with pytest.raises(GrammarError, match="not made with the start rule 'other'"):
        options_of_lark(parser, "other")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"parser": "cyk"}, "parser must be 'lalr' or 'earley', not 'cyk'"),
        ({"lexer": "dynamic"}, "with parser='lalr', lexer must be one of 'auto', 'contextual', 'basic'"),
        ({"parser": "earley", "lexer": "contextual"}, "with parser='earley', lexer must be one of"),
        ({"parser": "earley", "lexer": "dynamic", "postlex": "python"}, "postlex needs lexer='basic'"),
        ({"start": []}, "start must be the name of a rule"),
    ],
)
def test_wrong_options(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        load('start: "a"\n', options.pop("start", None), **options)


def test_postlexers() -> None:
    text = 'start: "a"\n'
    assert load(text, parser="earley", postlex="python").spec.mode == "basic"
    with pytest.raises(GrammarError, match="the postlexer Upper has no automaton"):
        load(text, postlex=Upper())
    with pytest.raises(GrammarError, match="has no automaton"):
        load(text, postlex="ruby")
    assert issubclass(PythonIndenter, Indenter)


def test_grammars_of_the_package() -> None:
    with pytest.raises(GrammarError, match="no grammar 'jsno' in the package"):
        structgen.load_grammar("jsno")
