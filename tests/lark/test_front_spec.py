"""What the core is handed is what ``lark.Lark`` ends up with: bundled grammars, and feature by feature."""

import re
from pathlib import Path
from typing import Any

import lark
import pytest
from lark.indenter import PythonIndenter
from lark.lexer import BasicLexer, ContextualLexer

from structgen._frontends.lark._load import load_lark
from structgen._frontends.lark._options import options_of_lark
from structgen._frontends.lark._spec import Spec
from tests.lark.front import load

BUNDLED = Path(lark.__file__).parent / "grammars"

JSON = r"""
?start: value
?value: object | array | ESCAPED_STRING | SIGNED_NUMBER -> number | "true" | "false" | "null"
array: "[" [value ("," value)*] "]"
object: "{" [pair ("," pair)*] "}"
pair: ESCAPED_STRING ":" value
%import common (ESCAPED_STRING, SIGNED_NUMBER)
%import common.WS
%ignore WS
"""

FEATURES = {
    "json": JSON,
    "templates": 'start: sep{x, ","} sep{Y, ";"}\nx: "x"\nY: /y+/\nsep{item, by}: item (by item)*\n',
    "counts": 'start: "a"~3 b~2..4 ["c"] ("d" | "e")~0..2\nb: "b"~60\n',
    "aliases": 'start: "a" x -> first\n    | "b" -> second\nx: "x" | "y" -> z\n',
    "modifiers": '?start: _inner keep maybe\n_inner: "i"+\n!keep: "k"*\n?maybe: ("m" "n")?\n',
    "rule priorities": 'start: a | b\na.2: "x" "y"\nb.-1: "x" "y" "z"\n',
    "terminal priorities": 'start: (IF NAME)*\nIF.2: "if"\nNAME: /[a-z]+/\n',
    "keywords": 'start: ("if" NAME | "else" | OTHER)*\nNAME: /[a-z]+/\nOTHER: /[a-z0-9]{2,}/\n',
    "keywords in some states": 'start: "let" NAME "=" ("let" | "in") NAME ";"\nNAME: /[a-z]+/\n',
    "keywords of any case": 'start: "if"i NAME | "IF" WORD | "Else"i\nNAME: /[a-z]+/\nWORD: /[A-Za-z]+/\n',
    "keywords and flags": 'start: "if"i NAME | /a|ab/ "ab"\nNAME: /[a-z]+/i\n',
    "keywords of other priorities": 'start: NAME "if" | "else"\nNAME.1: /[a-z]+/\nELSE.1: "else"\n',
    "flags": 'start: A B C\nA: /a.b/s\nB: /x y/x\nC: "c"i "d"\n',
    "ranges": 'start: A B\nA: "a".."f"\nB: A ("0".."9")+ "_"?\n',
    "composed terminals": 'start: X+\nX: A | "bc" [B] | (A B)~2..3\nA: "a"\nB: /b/\n',
    "named anonymous": 'start: "+" "-" "(" ")" "abc" "+=" "ABC" /x/ "\\n"\nABC: "ABC"\n',
    "renamed imports": "start: N W\n%import common.INT -> N\n%import common.CNAME -> W\n",
    "unused rules": 'start: "a"\nunused: other\nother: "b" unused\n',
    "unused terminals": 'start: "a"\nB: "b"\n',
    "override": "start: NUMBER\n%import common.NUMBER\n%override NUMBER: /[0-9]/\n",
    "extend": 'start: INT a\na: "a"\n%import common.INT\n%extend INT: "nan"\n%extend a: "s"\n',
    "ignore": 'start: "a" "b"\n%ignore " "\n%ignore /#[^\\n]*/\nWS: /\\s/\n%ignore WS\n',
    "empty rules": 'start: a b\na: | "a"\nb: "b"?\n',
    "several lines": 'start: "a"\n    | "b"  // comment with "quote\n    | "/" /\\//\n# another\n\n',
    "lookarounds": "start: A B\nA: /a(?!b)/\nB: /(?<=a)c|b/\n",
}


def scanned(spec: Spec) -> list[str]:
    return [terminal.name for terminal in spec.terminals if terminal.kind == 0]


def check_lexer(spec: Spec, lexer: BasicLexer) -> None:
    """Compare one of lark's scanners with what the specification says about its terminals."""
    names = {terminal.name for terminal in lexer.terminals}
    assert [terminal.name for terminal in lexer.terminals] == [n for n in scanned(spec) if n in names]
    ours: dict[str, list[str]] = {}
    embedded = set()
    for unless in spec.unless:
        regex, string = spec.terminals[unless.regex].name, spec.terminals[unless.string].name
        if regex in names and string in names:
            ours.setdefault(regex, []).append(string)
            if unless.embedded:
                embedded.add(string)
    scanner = lexer.scanner
    theirs = {
        name: [terminal.name for terminal in callback.scanner.terminals]
        for name, callback in lexer.callback.items()
    }
    assert ours == theirs
    assert [t.name for t in scanner.terminals] == [n for n in scanned(spec) if n in names - embedded]
    assert {spec.terminals[i].name for i in spec.ignore} == set(lexer.ignore_types)


def check(spec: Spec, reference: lark.Lark) -> None:
    """Compare a specification with a parser of lark's."""
    by_name = {terminal.name: terminal for terminal in spec.terminals}
    for terminal in reference.terminals:
        assert by_name[terminal.name].regexp == terminal.pattern.to_regexp()
    assert len(scanned(spec)) == len(reference.terminals)
    theirs = [
        (rule.origin.name, [symbol.name for symbol in rule.expansion], rule.options.priority or 0)
        for rule in reference.rules
    ]
    ours = [
        (
            spec.nonterminals[p.origin],
            [spec.terminals[s].name if s >= 0 else spec.nonterminals[~s] for s in p.symbols],
            p.priority,
        )
        for p in spec.productions
    ]
    assert ours == theirs
    assert [spec.nonterminals[start] for start in spec.starts] == reference.options.start
    lexer = getattr(reference.parser, "lexer", None)
    lexer = getattr(lexer, "lexer", lexer)  # behind a postlexer
    if isinstance(lexer, ContextualLexer):
        check_lexer(spec, lexer.root_lexer)
        for one in lexer.lexers.values():
            check_lexer(spec, one)
    elif isinstance(lexer, BasicLexer):
        check_lexer(spec, lexer)
    else:
        assert not spec.unless
        assert {spec.terminals[i].name for i in spec.ignore} == set(reference.lexer_conf.ignore)


MODES = {
    "contextual": ("lalr", "contextual"),
    "lalr_basic": ("lalr", "basic"),
    "basic": ("earley", "basic"),
    "dynamic": ("earley", "dynamic"),
    "dynamic_complete": ("earley", "dynamic_complete"),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("feature", FEATURES)
def test_features(feature: str, mode: str) -> None:
    parser, lexer = MODES[mode]
    reference = lark.Lark(FEATURES[feature], parser=parser, lexer=lexer)  # type: ignore[arg-type]
    spec = load(FEATURES[feature], parser=parser, lexer=lexer).spec
    assert spec.mode == mode
    check(spec, reference)
    assert load_lark(reference, options_of_lark(reference, None)).spec[:-1] == spec[:-1]


def test_python() -> None:
    text = (BUNDLED / "python.lark").read_text()
    starts = ["file_input", "single_input", "eval_input"]
    reference = lark.Lark(text, parser="lalr", start=starts, postlex=PythonIndenter())
    for postlex in (PythonIndenter(), PythonIndenter, "python"):
        spec = load(text, starts, postlex=postlex).spec
        check(spec, reference)
    assert spec.indenter is not None
    newline, indent, dedent, opening, closing, tab_len = spec.indenter
    assert [spec.terminals[i].name for i in (newline, indent, dedent)] == ["_NEWLINE", "_INDENT", "_DEDENT"]
    assert [spec.terminals[i].kind for i in (newline, indent, dedent)] == [0, 1, 1]
    assert [spec.terminals[i].name for i in opening] == ["LPAR", "LSQB", "LBRACE"]
    assert [spec.terminals[i].name for i in closing] == ["RPAR", "RSQB", "RBRACE"]
    assert tab_len == 8
    taken = load_lark(reference, options_of_lark(reference, "eval_input")).spec
    assert taken.indenter == spec.indenter
    assert [taken.nonterminals[start] for start in taken.starts] == ["eval_input"]
    assert taken.productions == spec.productions


def test_lark_itself() -> None:
    text = (BUNDLED / "lark.lark").read_text()
    check(load(text).spec, lark.Lark(text, parser="lalr"))


def test_a_library_is_read_in_part_and_means_the_same() -> None:
    names = re.findall(r"^([A-Z]\w*)\s*:", (BUNDLED / "common.lark").read_text(), re.MULTILINE)
    assert len(names) > 20
    imports = "".join(f"%import common.{name}\n" for name in names)
    for text in (
        f"start: ({' | '.join(names)})*\n{imports}",
        f"start: ({' | '.join(names)})*\n%import common ({', '.join(names)})\n",
        "start: INT\n%import common.INT\n%import common.FLOAT\n",
        "start: W\n%import unicode.WS -> W\n",
    ):
        check(load(text, parser="earley").spec, lark.Lark(text, parser="earley"))


def test_relative_imports(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "main.lark").write_text(
        "start: first second\n%import .numbers.pair -> first\n%import .deep.words (second, WORD)\n"
    )
    (tmp_path / "numbers.lark").write_text('pair: INT "," _sep INT\n_sep: "_"\n%import common.INT\n')
    (tmp_path / "deep" / "words.lark").write_text("second: WORD+ end\nend: END\n%import .more (WORD, END)\n")
    (tmp_path / "deep" / "more.lark").write_text('WORD: /[a-z]+/\nEND: "."\n')
    text = (tmp_path / "main.lark").read_text()
    reference = lark.Lark.open(str(tmp_path / "main.lark"), parser="lalr")
    check(load(text, name=str(tmp_path / "main.lark")).spec, reference)
    away = "start: pair\n%import numbers.pair\n"
    reference = lark.Lark(away, parser="lalr", import_paths=[str(tmp_path)])
    check(load(away, import_paths=[tmp_path]).spec, reference)


def test_an_imported_file_that_changes_is_read_again(tmp_path: Path) -> None:
    text = "start: A\n%import letters.A\n"
    (tmp_path / "letters.lark").write_text('A: "a"\n')
    first = load(text, import_paths=[tmp_path])
    assert load(text, import_paths=[tmp_path]) is first
    (tmp_path / "letters.lark").write_text('A: "b"\n')
    assert [t.literal for t in load(text, import_paths=[tmp_path]).spec.terminals] == ["b"]


def test_import_functions() -> None:
    def library(base: Any, path: str) -> tuple[str, str]:
        if path != "lib.lark":
            raise OSError
        return path, 'A: "a"\n'

    text = "start: A INT\n%import lib.A\n%import common.INT\n"
    check(load(text, import_paths=[library]).spec, lark.Lark(text, parser="lalr", import_paths=[library]))


@pytest.mark.parametrize("flags", [re.IGNORECASE, re.DOTALL | re.VERBOSE])
def test_flags_of_all_terminals(flags: int) -> None:
    text = 'start: ("if" | "IF" | NAME | ANY)*\nNAME: /[a-z] +/\nANY: /../\n'
    check(load(text, g_regex_flags=flags).spec, lark.Lark(text, parser="lalr", g_regex_flags=flags))


@pytest.mark.parametrize("priority", ["normal", "invert", None])
def test_priorities_of_a_lark_object(priority: str | None) -> None:
    text = 'start: a | b\na.2: IF\nb.3: NAME\nIF.2: "if"\nNAME: /[a-z]+/\n'
    reference = lark.Lark(text, parser="earley", lexer="basic", priority=priority)  # type: ignore[arg-type]
    spec = load_lark(reference, options_of_lark(reference, None)).spec
    check(spec, reference)
    assert scanned(spec) == (["IF", "NAME"] if priority == "normal" else ["NAME", "IF"])


def test_a_lark_object_from_its_cache(tmp_path: Path) -> None:
    cache = str(tmp_path / "cache")
    for _ in range(2):
        reference = lark.Lark(JSON, parser="lalr", cache=cache)
    check(load_lark(reference, options_of_lark(reference, None)).spec, reference)


def test_brackets_and_newlines_that_a_grammar_lacks() -> None:
    text = '%declare _INDENT _DEDENT\nstart: "(" A ")"\nLPAR: "("\nA: "a"\n'
    spec = load(text, postlex="python").spec
    assert spec.indenter is not None
    newline, indent, dedent, opening, closing, _ = spec.indenter
    assert [spec.terminals[i] for i in (newline, indent, dedent)] == [
        spec.terminals[-3],
        spec.terminals[-2],
        spec.terminals[-1],
    ]
    assert [spec.terminals[i].name for i in (*opening, *closing)] == ["LPAR", "RPAR"]
