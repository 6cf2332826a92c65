"""lark's indenter: indentation and brackets, with every short text of a few lexemes."""

import itertools
import random
from typing import Any

import pytest
from lark.indenter import Indenter

import structgen
from tests.lark.harness import (
    TOKENISATIONS,
    Oracle,
    accepts_text,
    check_texts,
    mutations,
    random_vocabulary,
    random_walk,
)


class Blocks(Indenter):
    NL_type = "_NL"
    OPEN_PAREN_types = ["LPAR"]  # noqa: RUF012 - the interface of lark
    CLOSE_PAREN_types = ["RPAR"]  # noqa: RUF012
    INDENT_type = "_INDENT"
    DEDENT_type = "_DEDENT"
    tab_len = 3


class Plain(Blocks):
    OPEN_PAREN_types: list[str] = []  # noqa: RUF012
    CLOSE_PAREN_types: list[str] = []  # noqa: RUF012
    tab_len = 1


BLOCKS = r"""
start: (_NL | statement)*
statement: "a" arguments? _NL | "b" _NL _INDENT statement+ _DEDENT
arguments: LPAR (arguments | "a")* RPAR
LPAR: "("
RPAR: ")"
_NL: /(\n[\t ]*)+/
%ignore /[ \t]/
%declare _INDENT _DEDENT
"""

# Comments are newlines, with or without a line feed; brackets may be closed that were never opened.
COMMENTS = r"""
start: (_NL | statement)*
statement: ("a" | LPAR | RPAR)+ _NL | "b" _NL block
block: _INDENT statement+ _DEDENT
LPAR: "("
RPAR: ")"
_NL: /(\n[\t ]*|#)+/
%ignore " "
%declare _INDENT _DEDENT
"""

# What may follow a newline depends on the indentation alone.
TREE = r"""
start: node
node: "a" _NL [_INDENT node+ _DEDENT] | "b" node
_NL: /(\r?\n[\t ]*)+/
%declare _INDENT _DEDENT
"""

# Indentation without a newline before it, a terminal that competes with the newline.
COMPETING = r"""
start: (_NL | line)*
line: "a" (_NL | END) | "b" _NL _INDENT line* _DEDENT
END: ";\n"
_NL: /;?\n */
%declare _INDENT _DEDENT
"""

CASES: dict[str, tuple[str, Indenter, list[str], int]] = {
    "blocks": (BLOCKS, Blocks(), ["a", "b", "(", ")", "\n", " ", "\n  ", "\n\t"], 5),
    "comments": (COMMENTS, Blocks(), ["a", "b", "(", ")", "\n", "\n ", "#"], 5),
    "tree": (TREE, Plain(), ["a", "b", "\n", " ", "\t", "\r\n"], 6),
    "competing": (COMPETING, Plain(), ["a", "b", "\n", ";", " "], 6),
}


@pytest.mark.parametrize("lexer", ["contextual", "basic"])
@pytest.mark.parametrize("name", CASES)
def test_indentation(name: str, lexer: str) -> None:
    grammar, indenter, pieces, length = CASES[name]
    options: Any = {"parser": "lalr", "lexer": lexer, "postlex": indenter}
    rng = random.Random(f"{name} {lexer}")
    oracle = Oracle(grammar, **options)
    texts = ("".join(parts) for size in range(length + 1) for parts in itertools.product(pieces, repeat=size))
    verdicts = {text: oracle.verdict(text) for text in dict.fromkeys(texts)}
    members = [text for text, verdict in verdicts.items() if verdict]
    assert len(members) > 20
    vocabulary = random_vocabulary(rng, members, 40)
    automaton = structgen.compile_lark(grammar, vocabulary, **options)
    sampled = rng.sample(sorted(verdicts), min(8000, len(verdicts)))
    check_texts(automaton, oracle, dict.fromkeys(members, True) | {text: verdicts[text] for text in sampled})
    long = [
        random_walk(automaton, vocabulary, rng, 40, set("".join(pieces).encode()).issuperset)
        for _ in range(20)
    ]
    for text in [*long, *rng.sample(members, 20)]:
        assert oracle.accepts(text)
        for other in [text, *mutations(text, rng, "".join(pieces), 8)]:
            expected = oracle.accepts(other)
            for how in TOKENISATIONS:
                assert accepts_text(automaton, vocabulary, other, how, rng) == expected, (other, how)


@pytest.mark.parametrize("depth", [50, 500])
def test_deep_indentation(depth: int) -> None:
    """Every level of indentation is remembered."""
    options: Any = {"parser": "lalr", "postlex": Blocks()}
    vocabulary = random_vocabulary(random.Random(0), ["a\n", "b\n  "])
    automaton = structgen.compile_lark(BLOCKS, vocabulary, **options)
    oracle = Oracle(BLOCKS, **options)
    lines = [" " * (2 * level) + "b" for level in range(depth)] + [" " * (2 * depth) + "a"]
    whole = "\n".join(lines) + "\n"
    for text, expected in {
        whole: True,
        whole + " " * (2 * depth - 20) + "a\n": True,
        whole + "a\n": True,
        whole + " " * (2 * depth - 19) + "a\n": False,
        whole[:-1]: False,
        whole + " " * (2 * depth + 2) + "a\n": False,
    }.items():
        assert oracle.accepts(text) == expected
        assert accepts_text(automaton, vocabulary, text) == expected
