"""Random Lark grammars over a few characters, made to be misread.

Terminals overlap on purpose (strings and regexes, keywords and names, prefixes of each other), and their
meaning depends on the order of alternatives, on greed, on priorities and on what stands around them.
"""

import string
from dataclasses import dataclass
from typing import Any

import lark
from hypothesis import strategies as st

from tests.lark.harness import Oracle

Draw = Any

ALPHABETS = ("ab", "abc", "abA", "ab ", "ab\n", 'a"b', "a1.", "abcd", "a\nB", "a é")


@dataclass(frozen=True)
class GrammarCase:
    """A grammar and the characters that texts for it are made of."""

    text: str
    alphabet: str

    def __str__(self) -> str:
        return f"alphabet {self.alphabet!r}\n{self.text}"


# -- terminals ---------------------------------------------------------------------------------------------


def _in_regex(character: str) -> str:
    return {"\n": "\\n", ".": "\\.", "/": "\\/"}.get(character, character)


def _quoted(text: str) -> str:
    return '"' + "".join({"\n": "\\n", '"': '\\"'}.get(c, c) for c in text) + '"'


def _character_class(draw: Draw, alphabet: str) -> str:
    members = draw(st.lists(st.sampled_from(alphabet), min_size=1, max_size=2, unique=True))
    negated = "^" if draw(st.integers(0, 3)) == 0 else ""
    return f"[{negated}{''.join(map(_in_regex, members))}]"


def _regex(draw: Draw, alphabet: str, depth: int, around: bool) -> str:
    """A regex in Python's syntax. Only with ``around`` does it look around."""
    kind = draw(st.integers(0, 11)) if depth else draw(st.integers(0, 3))
    if kind <= 1:
        return _in_regex(draw(st.sampled_from(alphabet)))
    if kind == 2:
        return _character_class(draw, alphabet)
    if kind == 3:
        return draw(st.sampled_from([".", "\\w", "\\d", "\\s", "[a-c]", "\\W"]))
    if kind <= 5:
        parts = [_regex(draw, alphabet, depth - 1, around) for _ in range(draw(st.integers(2, 3)))]
        return "".join(parts)
    if kind <= 7:
        options = [_regex(draw, alphabet, depth - 1, around) for _ in range(draw(st.integers(2, 3)))]
        if draw(st.integers(0, 5)) == 0:
            options.append("")
        return f"(?:{'|'.join(options)})"
    if kind <= 9 or not around:
        body = _regex(draw, alphabet, depth - 1, around)
        count = draw(st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "{0,2}", "{2,}"]))
        return f"(?:{body}){count}{draw(st.sampled_from(['', '', '?']))}"
    if kind == 10:
        inner = _regex(draw, alphabet, 1, False)
        return f"(?{draw(st.sampled_from('=!'))}{inner})"
    character = _in_regex(draw(st.sampled_from(alphabet)))
    return draw(st.sampled_from(["$", "\\b", "\\B", "\\Z", "^", f"(?<!{character})", f"(?<={character})"]))


def _regex_literal(draw: Draw, alphabet: str) -> str:
    """A regex as Lark writes it, most of them of at least one character."""
    body = _regex(draw, alphabet, draw(st.integers(0, 3)), draw(st.integers(0, 3)) == 0)
    tail = draw(st.integers(0, 9))
    character = _in_regex(draw(st.sampled_from(alphabet)))
    if tail == 0:
        body += f"(?={character})"
    elif tail == 1:
        body += f"(?!{character})"
    elif tail == 2:
        body = f"(?<!{character}){body}"
    flags = draw(st.sampled_from(["", "", "", "", "i", "s", "m"]))
    return f"/{body}/{flags}"


def _string_literal(draw: Draw, alphabet: str) -> str:
    text = draw(st.text(st.sampled_from(alphabet), min_size=1, max_size=3))
    return _quoted(text) + draw(st.sampled_from(["", "", "", "i"]))


_ORDERED = (
    "/a|ab/",
    "/ab?/",
    "/ab??/",
    "/a|[b-z]{3}/",
    "/a+?/",
    "/a*b/",
    "/(a|ab)(b|a)?/",
    "/[ab]+/",
    "/ab|a/",
)


def _terminal_body(draw: Draw, alphabet: str, earlier: list[str]) -> str:
    kind = draw(st.integers(0, 9))
    if kind <= 2:
        return _string_literal(draw, alphabet)
    if kind <= 5:
        return _regex_literal(draw, alphabet)
    if kind == 6:
        return draw(st.sampled_from(_ORDERED))
    if kind == 7:
        return f'"{min(alphabet[0], "b")}".."{max(alphabet[0], "b")}"'
    parts = [
        draw(st.sampled_from(earlier))
        if earlier and draw(st.booleans())
        else (_string_literal if draw(st.booleans()) else _regex_literal)(draw, alphabet)
        for _ in range(draw(st.integers(1, 3)))
    ]
    marks = ["", "", "", "?", "+", "*", "~1..2"]
    return draw(st.sampled_from([" ", " | "])).join(part + draw(st.sampled_from(marks)) for part in parts)


# -- rules -------------------------------------------------------------------------------------------------


def _atom(draw: Draw, alphabet: str, terminals: list[str], rules: list[str], depth: int) -> str:
    kind = draw(st.integers(0, 11))
    if kind <= 4:
        return draw(st.sampled_from(terminals))
    if kind <= 6 and rules:
        return draw(st.sampled_from(rules))
    if kind == 7:
        return _regex_literal(draw, alphabet)
    if kind == 8 and depth:
        return f"({_expansions(draw, alphabet, terminals, rules, depth - 1)})"
    if kind == 9 and depth:
        return f"[{_expansions(draw, alphabet, terminals, rules, depth - 1)}]"
    if kind == 10:
        first, second = draw(st.sampled_from(terminals)), draw(st.sampled_from(terminals))
        return f"_separated{{{first}, {second}}}"
    return _string_literal(draw, alphabet)


def _expansion(draw: Draw, alphabet: str, terminals: list[str], rules: list[str], depth: int) -> str:
    size = draw(st.sampled_from([1, 1, 2, 2, 3, 0]))
    marks = ["", "", "", "", "", "?", "*", "+", "~2", "~0..2"]
    atoms = []
    for _ in range(size):
        atom = _atom(draw, alphabet, terminals, rules, depth)
        atoms.append(atom if atom.startswith("[") else atom + draw(st.sampled_from(marks)))
    return " ".join(atoms)


def _expansions(draw: Draw, alphabet: str, terminals: list[str], rules: list[str], depth: int) -> str:
    count = draw(st.sampled_from([1, 1, 2, 2, 3]))
    # lark refuses a rule that says the same twice.
    return " | ".join(
        dict.fromkeys(_expansion(draw, alphabet, terminals, rules, depth) for _ in range(count))
    )


@st.composite
def lark_grammars(draw: Draw) -> GrammarCase:
    """Grammars that lark can at least read; most of them are LALR(1), too."""
    alphabet = draw(st.sampled_from(ALPHABETS))
    terminals: list[str] = []
    lines = []
    for name in string.ascii_uppercase[: draw(st.integers(1, 4))]:
        body = _terminal_body(draw, alphabet, terminals)
        priority = draw(st.sampled_from(["", "", "", "", ".1", ".2", ".-1"]))
        terminals.append(f"{name}{name}")
        lines.append(f"{terminals[-1]}{priority}: {body}")
    names = ["start", "one", "_two", "three"][: draw(st.integers(1, 4))]
    rules = []
    for number, name in enumerate(names):
        mark = draw(st.sampled_from(["", "", "", "?", "!"])) if name != "_two" else ""
        priority = draw(st.sampled_from(["", "", "", ".2"]))
        forward = names[number + 1 :]
        body = _expansion(draw, alphabet, terminals, forward, 1)
        if draw(st.integers(0, 3)):
            # References backwards are recursion, which now has an end.
            body += " | " + _expansions(draw, alphabet, terminals, forward * 2 + names[: number + 1], 2)
        alias = " -> alias" if mark != "?" and name != "_two" and draw(st.integers(0, 5)) == 0 else ""
        rules.append(f"{mark}{name}{priority}: {body}{alias}")
    # Nothing that looks ahead: it could be followed by itself for ever, which no proof of ours finds.
    ignored = draw(st.sampled_from(["", "", '" "', "/\\s+/", '"a"', "/[ b]+/"]))
    lines = [*rules, *lines]
    if any("_separated" in rule for rule in rules):
        lines.append("_separated{item, mark}: item (mark item)*")
    if ignored:
        lines.append(f"%ignore {ignored}")
    return GrammarCase("\n".join(lines) + "\n", alphabet)


def _lark_takes(case: GrammarCase, parser: str, lexer: str) -> bool:
    try:
        Oracle(case.text, parser=parser, lexer=lexer)
        if lexer == "contextual":
            # It alone does not look at the terminals of rules that use each other and are used by no other.
            Oracle(case.text, parser=parser, lexer="basic")
    except (lark.exceptions.LarkError, AssertionError):
        return False
    return True


def grammars_for(parser: str, lexer: str) -> st.SearchStrategy[GrammarCase]:
    """Random grammars that lark takes with these options."""
    return lark_grammars().filter(lambda case: _lark_takes(case, parser, lexer))
