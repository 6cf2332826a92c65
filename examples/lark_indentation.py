"""A language whose blocks are indented: the automaton follows the indentation as lark's postlexer does."""

from lark.indenter import Indenter

import structgen

GRAMMAR = r"""
start: (_NEWLINE | statement)*
?statement: NAME _NEWLINE | "if" NAME ":" _NEWLINE _INDENT statement+ _DEDENT
NAME: /[a-z]+/
_NEWLINE: /\n[ ]*/
%ignore " "
%declare _INDENT _DEDENT
"""


class Blocks(Indenter):
    """Which terminals make blocks."""

    NL_type = "_NEWLINE"
    OPEN_PAREN_types: list[str] = []  # noqa: RUF012 - lark declares an instance's attribute
    CLOSE_PAREN_types: list[str] = []  # noqa: RUF012
    INDENT_type = "_INDENT"
    DEDENT_type = "_DEDENT"
    tab_len = 8


TEXTS = [
    "a\nb\n",
    "if a:\n  b\n  c\nd\n",
    "if a:\n  if b:\n      c\n  d\n",
    "if a:\nb\n",
    "if a:\n    b\n  c\n",
    "a\n  b\n",
]


def main() -> None:
    """Print which texts are in the language."""
    tokens = [*(bytes([i]) for i in range(256)), b"</s>"]
    vocabulary = structgen.Vocabulary(tokens, eos_token_ids=256)
    automaton = structgen.compile_lark(GRAMMAR, vocabulary, postlex=Blocks())
    for text in TEXTS:
        state = automaton.advance_bytes(automaton.start, text.encode())
        print("yes" if automaton.accepts(state) else "no ", repr(text))


if __name__ == "__main__":
    main()
