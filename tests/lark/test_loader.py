"""The core's loader makes exactly what Lark's makes, or nothing."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lark
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lark.load_grammar import GrammarBuilder, stdlib_loader

from structgen._core._native import lark_load
from structgen._frontends.lark._options import options_of_text
from structgen._frontends.lark._plain import Plain, load_plain
from structgen._frontends.lark._sources import Sources
from structgen._frontends.lark._spec import make_plain_spec, scan_key
from structgen._frontends.regex import python
from tests.lark.test_front_spec import BUNDLED, FEATURES

OURS = Path(__file__).parent.parent.parent / "grammars"
# Features that are Lark's own loader's alone.
NOT_PLAIN = {"templates", "override", "extend", "counts"}
STARTS = {"python": "file_input", "c": "translation_unit"}


def ours(text: str, starts: Sequence[str] = ("start",)) -> Plain | None:
    return load_plain(
        Sources(None, text, (), plain=True), options_of_text(starts, None, None, None, 0, (), False)
    )


def theirs(text: str, starts: Sequence[str] = ("start",), keep: Sequence[str] = ()) -> Any:
    """Run Lark's loader; numbers are replaced by names on both sides."""
    builder = GrammarBuilder(False, [])
    builder.load_grammar(text, "<string>")
    terminals, rules, ignore = builder.build().compile(list(starts), set(keep))
    assert all(any(rule.origin.name == start for rule in rules) for start in starts)
    return (
        [(t.name, t.pattern, t.pattern.raw, t.priority) for t in sorted(terminals, key=scan_key)],
        [
            (
                rule.origin.name,
                [(symbol.is_term, str(symbol.name)) for symbol in rule.expansion],
                rule.options.priority or 0,
                str(rule.alias or rule.origin.name),
            )
            for rule in rules
        ],
        ignore,
    )


def named(plain: Plain) -> Any:
    terminals = [terminal.name for terminal in plain.terminals] + plain.declared
    rules = [
        (
            plain.nonterminals[origin],
            [(s >= 0, terminals[s] if s >= 0 else plain.nonterminals[~s]) for s in symbols],
            priority,
            name,
        )
        for origin, symbols, priority, name in plain.productions
    ]
    return [(t.name, t.pattern, t.pattern.raw, t.priority) for t in plain.terminals], rules, plain.ignore


def assert_never_differs(text: str, starts: Sequence[str] = ("start",)) -> bool:
    """Whatever ours reads, Lark's reads, and the same way; return whether ours did."""
    found = ours(text, starts)
    if found is None:
        return False
    assert_scanned_alike(found, starts)
    expected = theirs(text, starts)
    assert named(found) == expected
    for terminal, (_, pattern, _, _) in zip(found.terminals, expected[0], strict=True):
        assert (terminal.pattern.min_width, terminal.pattern.max_width) == (
            pattern.min_width,
            pattern.max_width,
        )
    return True


def assert_scanned_alike(found: Plain, starts: Sequence[str]) -> None:
    """If the core has read the terminals, it has decided about them as Python does."""
    if found.native.scanned:
        options = options_of_text(starts, None, None, None, 0, (), False)
        spec = make_plain_spec(found, options, lambda name: None)
        assert found.native.unless == [tuple(pair) for pair in spec.unless]
        assert found.native.shown == [terminal.shown for terminal in spec.terminals]
        asserts = any("(?=" in t.regexp or "(?!" in t.regexp or "(?<" in t.regexp for t in spec.terminals)
        assert found.native.asserts or not asserts


native = pytest.mark.skipif(not python.NATIVE, reason="before 3.11.7, terminals are left to Python")


@pytest.mark.parametrize("feature", FEATURES)
def test_features(feature: str) -> None:
    assert assert_never_differs(FEATURES[feature]) is (feature not in NOT_PLAIN)


@pytest.mark.parametrize("feature", sorted(FEATURES.keys() - NOT_PLAIN))
def test_without_the_parser_of_patterns(feature: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where widths are counted in another way, Python is asked for them, and all else stays the same."""
    with_it = ours(FEATURES[feature])
    monkeypatch.setattr(python, "NATIVE", False)
    without = ours(FEATURES[feature])
    assert with_it is not None
    assert without is not None
    assert not without.native.scanned
    assert named(without) == named(with_it)
    widths = [[(t.pattern.min_width, t.pattern.max_width) for t in p.terminals] for p in (with_it, without)]
    assert widths[0] == widths[1]


@pytest.mark.parametrize("file", sorted([*OURS.glob("*.lark"), BUNDLED / "lark.lark"]), ids=lambda f: f.stem)
def test_grammars(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    starts = (STARTS.get(file.stem, "start"),)
    assert assert_never_differs(text, starts)
    found = ours(text, starts)
    # The indenter makes terminals that are declared in python.lark.
    assert found is not None
    assert found.native.scanned is (python.NATIVE and file.stem != "python")


@pytest.mark.parametrize(
    ("text", "scanned"),
    [
        ('start: A "if"i "b"\nA: /[a-z]+/\n%ignore " "\n', True),
        ("start: A\nA: /(?P<n>a)/\n", False),  # a name that may be taken
        ("start: A\nA: /(?i)a/\n", False),
        ("start: A\nA: /a?/\n", False),  # may be empty
        ("start: A\nA: /a(/\n", False),
        ("start: A B\nA: /a/\n%declare B\n", False),
        ("start: a\na: a\n", False),  # derives no text
    ],
)
def test_terminals_are_read_or_left_to_python(text: str, scanned: bool) -> None:
    found = ours(text)
    assert (found is not None and found.native.scanned) is (scanned and python.NATIVE)


@native
def test_strings_that_are_keywords() -> None:
    """Which strings take over a pattern's texts depends on the match that it prefers, and on priorities."""
    text = """
start: (NAME | LAZY | OTHER | HIGH | "if" | "else"i | "for"i | "x9")*
NAME: /(?!else)[a-z]+/i
LAZY: /[a-z]+?/
OTHER: /i|if|f.*(?<=r)$/
HIGH.1: /[a-z]+/
"""
    found = ours(text)
    assert found is not None
    assert found.native.scanned
    assert_scanned_alike(found, ("start",))
    names = {(found.native.shown[a], found.native.shown[b], how) for a, b, how in found.native.unless}
    assert names == {("NAME", "IF", True), ("NAME", "FOR", True), ("OTHER", "FOR", False)}


@pytest.mark.parametrize("library", ["common", "unicode", "python", "lark"])
def test_imports_of_everything(library: str) -> None:
    """Every name that a library defines, alone and under another name."""
    text = (BUNDLED / f"{library}.lark").read_text(encoding="utf-8")
    builder = GrammarBuilder(False, [])
    builder.load_grammar(text, "<string>")
    for name, definition in builder._definitions.items():
        if "__" in name or (definition.params and not definition.is_term):
            continue
        new = "OTHER" if definition.is_term else "other"
        assert_never_differs(f"start: {name}\n%import {library}.{name}\n")
        assert_never_differs(f"start: {new}\n%import {library}.{name} -> {new}\n")
    assert assert_never_differs("start: INT CNAME ws\nws: WS\n%import common (INT, CNAME, WS)\n")


def test_files_are_asked_for() -> None:
    """Imports of imports; names are prefixed with where they come from."""
    files = {
        "a/b.lark": 'x: _y "x" | z+\n_y: W\n%import c.z\nW: "w" V\nV: "v"\nunused: "u"\n',
        "c.lark": 'z: "z" _inner\n_inner: [Q] -> q\nQ: "q"i\n',
    }
    asked = []

    def find(path: str) -> str:
        asked.append(path)
        return files[path]

    found = lark_load(
        'start: x\n%import a.b.x\n%ignore " "\n',
        ["start"],
        set(),
        lambda regexp: ((0, 1), (0, len(regexp))),
        find,
        None,
    )
    assert asked == ["a/b.lark", "c.lark"]
    # Lark refuses the alias of a rule whose name begins with "_".
    assert found is None
    files["c.lark"] = files["c.lark"].replace(" -> q", "")
    found = lark_load(
        'start: x\n%import a.b.x\n%ignore " "\n',
        ["start"],
        set(),
        lambda regexp: ((0, 1), (0, len(regexp))),
        find,
        None,
    )
    assert found is not None
    described = found.described()
    assert {name for name, *_ in described[0]} == {"a__b__W", "X", "Z", "a__b__c__Q", "__IGNORE_0"}
    assert set(described[2]) == {"start", "x", "__x_plus_0", "_a__b__y", "a__b__z", "_a__b__c__inner"}


@pytest.mark.parametrize(
    "text",
    [
        'start: "a" b\n',  # undefined
        'start: "a"\nstart: "b"\n',
        'start: "a" | "a" -> x\n',  # rules defined twice
        'start: [A] A~0..1\nA: "a"\n',
        "start: A\nA: B\nB: A\n",
        'start: A\nA: start\nB: "b"\n',
        'start: A\nA: "a" |\n',
        "start: A\nA: /a\n",
        'start: "a\n',
        "start: a\na: A B\n%declare A\n",
        'start: "a"\n%ignore WS\n',
        'start: "a" -> start -> x\n',
        '_start: "a" -> x\nstart: _start\n',
        '?_start: "a"\nstart: _start\n',
        'start: ("a" -> x) "b"\n',
        'start: "a"~3..2\n',
        'start: "\\x4"\n',
        'start: "" \n',
        "start: /a\nb/\n",
        'start: "a"..\n',
        'start: "ab".."c"\n',
        "start: a\n%declare a\n",
        'start: "a"\n%import common.NUMBER\nNUMBER: "1"\n',
        "start: NUMBER\n%import common.NUMBER\n%import common.INT -> NUMBER\n",
        'start: __a\n__a: "a"\n',
        'start: x{"a"}\nx{y}: y\n',
        'other: "a"\n',
        "start: N\n%import nowhere.N\n",
        "start: (((\n",
        'start: "a" %json {}\n',
        "",
    ],
)
def test_what_is_wrong_is_left_to_lark(text: str) -> None:
    assert ours(text) is None


def test_limits_are_left_to_lark() -> None:
    assert ours(f"start: {'(' * 5000}'a'{')' * 5000}\n".replace("'", '"')) is None
    assert ours('start: ("a" | "b")~18 ("c" | "d")~18\n') is None
    assert (
        ours("start: A0\n" + "".join(f"A{i}: A{i + 1} A{i + 1}\n" for i in range(60)) + 'A60: "a"\n') is None
    )
    assert ours("start: A0\n" + "".join(f"A{i}: A{i + 1}\n" for i in range(9000)) + 'A9000: "a"\n') is None
    assert ours('start: "a"~60\n') is None


def test_widths_beyond_64_bits() -> None:
    """Python's widths of loops in loops differ where a machine's integers would not tell them apart."""
    assert assert_never_differs(
        "start: A | B | C | D\nA: /(a*aa)*bcd/\nB: /(a+)+bcdefgh/\nC: /((a+)+)+b/\nD: /(a+|a{3})+bcdefghij/\n"
    )
    assert assert_never_differs(
        "start: (A | /(a+)+b/ | B)\nB: /(a*aa)*bc/ | /((a+)+)+/ | /(a+)+bcd/\nA: /(a+)+bc/\n"
    )


# -- made grammars -----------------------------------------------------------------------------------------

RULES = ["start", "one", "_two", "three", "_four"]
TERMINALS = ["A", "_B", "C_1", "DD", "PLUS"]
LITERALS = [
    '"a"',
    '"b"i',
    '"a b"',
    '"+"',
    '"++"',
    '"A"',
    '"if"',
    '"ab"',
    '"\\n"',
    '"\\""',
    '"é"',
    '"_x1"',
    '"1x"',
]
REGEXPS = [
    "/a/",
    "/[a-z]+/",
    "/a|bc/",
    "/x y/x",
    r"/\//",
    r"/\\/",
    "/a{2,3}?/i",
    r"/\u00e9\x41/",
    "/(?=a)b/",
    '/"/',
]
RANGES = ['"a".."z"', r'"\x00".."\x1f"']


def _atoms(symbols: list[str]) -> st.SearchStrategy[str]:
    return st.sampled_from([*symbols, *LITERALS, *REGEXPS, *RANGES])


def _expansions(symbols: list[str], counts: list[str], empty: bool) -> st.SearchStrategy[str]:
    operators = st.sampled_from(["", "", "", "?", "*", "+", *counts])

    def groups(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        item = st.builds("{}{}".format, inner, operators)
        sequence = st.lists(item, min_size=0 if empty else 1, max_size=3).map(" ".join)
        choice = st.lists(sequence, min_size=1, max_size=3).map(" | ".join)
        return st.builds("{}{}{}".format, st.just("("), choice, st.just(")")) | choice.map(lambda c: f"[{c}]")

    item = st.builds("{}{}".format, st.recursive(_atoms(symbols), groups, max_leaves=3), operators)
    return st.lists(item, min_size=0 if empty else 1, max_size=3).map(" ".join)


BLANKS = st.sampled_from([" ", "\n    | ", "  |  ", " | ", "\n // why\n | ", " # so\n|"])


@st.composite
def grammars(draw: st.DrawFn) -> str:
    lines = []
    for name in RULES:
        modifier = draw(st.sampled_from(["", "", "!", "?", "?!"]))
        if name[0] == "_":
            modifier = modifier.replace("?", "")
        options = draw(
            st.lists(_expansions(RULES[1:] + TERMINALS, ["~2", "~0..2"], True), min_size=1, max_size=3)
        )
        aliases = draw(
            st.lists(st.sampled_from(["", "", "", " -> made", " -> other"]), min_size=3, max_size=3)
        )
        body = draw(BLANKS.filter(lambda b: "|" in b)).join(
            option + (alias if name[0] != "_" else "")
            for option, alias in zip(options, aliases, strict=False)
        )
        priority = draw(st.sampled_from(["", "", ".2", ".-1"]))
        lines.append(f"{modifier}{name}{priority}: {body}\n")
    for number, name in enumerate(TERMINALS):
        options = draw(
            st.lists(_expansions(TERMINALS[number + 1 :], ["~2", "~1..3"], False), min_size=1, max_size=3)
        )
        priority = draw(st.sampled_from(["", "", "", ".3", ".-2"]))
        lines.append(f"{name}{priority}: {' | '.join(options)}\n")
    lines += draw(
        st.lists(
            st.sampled_from(["%ignore A\n", '%ignore " "\n', "%ignore (A | /x/)+\n", "\n", "// c\n", "# c\n"])
        )
    )
    return "".join(draw(st.permutations(lines)))


@native
def test_made_grammars() -> None:
    read = []

    @settings(max_examples=60)
    @given(grammars())
    def compare(text: str) -> None:
        if assert_never_differs(text):
            read.append(text)
            return
        # Equal alternatives, and names that begin with "_" and are empty, are refused by Lark, too.
        with pytest.raises(Exception):  # noqa: B017, PT011
            theirs(text)

    compare()
    assert len(read) > 10


PIECES = [
    *'"/\\|:?*+~.()[]!%#, \t\n',
    "->",
    "..",
    "_",
    "a",
    "A",
    "1",
    "\\\n",
    "//",
    "\r\n",
    "\x0b",
    "é",
    "%ignore",
    "{",
    "}",
    "i",
    "<",
]


@given(st.data())
def test_edited_grammars(data: st.DataObject) -> None:
    """Grammars with a few characters changed are what Lark takes them for, too."""
    text = data.draw(st.sampled_from([FEATURES[name] for name in sorted(FEATURES)]))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        length = data.draw(st.integers(0, 2))
        text = text[:at] + data.draw(st.sampled_from(["", *PIECES])) + text[at + length :]
    assert_never_differs(text)


@given(
    st.text(st.sampled_from("ab\\\"'/ nrtxuU0419fF[]-é\n\t{}."), max_size=12),
    st.sampled_from(["", "i", "x", "s"]),
)
def test_literals(body: str, flag: str) -> None:
    assert_never_differs(f'start: "{body}"{flag if flag == "i" else ""}\n')
    assert_never_differs(f"start: /{body}/{flag}\n")
    assert_never_differs(f'start: A\nA: "x" /{body}/{flag} "y"\n')


def test_edited_libraries() -> None:
    """Lark's larger grammars, with lines left out and swapped."""
    rng = random.Random(7)
    names = ["lark"]
    texts = [(BUNDLED / f"{name}.lark").read_text(encoding="utf-8") for name in names]
    texts += [file.read_text(encoding="utf-8") for file in sorted(OURS.glob("*.lark"))][:3]
    read = 0
    for _ in range(60):
        lines = rng.choice(texts).splitlines(keepends=True)
        for _ in range(rng.randint(1, 3)):
            i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
            if rng.random() < 0.5:
                lines[i], lines[j] = lines[j], lines[i]
            else:
                del lines[i]
        read += assert_never_differs("".join(lines))
    assert read > 5


def test_lark_is_what_is_compared_with() -> None:
    assert lark.__version__.startswith("1.")
    assert stdlib_loader(None, "common.lark")[1]
