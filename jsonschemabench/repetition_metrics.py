"""How much a Python text repeats itself: the metrics of the paper on RPG, and whether it runs in a loop.

The paper is Dong et al., "Rethinking Repetition Problems of LLMs in Code Generation" (ACL 2025), section on
the metrics of CodeRepetEval: end-of-sentence generation percentage (EGP), token repetition by n-grams
(TR-N), by statements (TR-S), compiler correctness percentage (CCP). Where its text leaves something open,
its released code (LYC127/RPG, folder ``metric``) decides:

- TR-N and TR-S and CCP are of the prompt together with what was generated.
- TR-N counts over all texts of a run together, repeated n-grams by n-grams. TR-S and the others are means
  of texts.
- A statement is a line. Its indentation counts, so the same line deeper down is another statement.

Two things differ on purpose. TR-S leaves blank lines and comments out and compares whole lines; the
released code counts blank ones, leaves the first line out, and cuts the last character off. CCP compiles
the whole text; the released code leaves out the first line.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Hashable, Sequence
from typing import NamedTuple

NGRAM = 4
"""Tokens of an n-gram of TR-N."""

_TOKEN = re.compile(
    r"""
    (?P<string>(?:[rRuUbBfF]|[bB][rR]|[rR][bBfF]|[fF][rR])?
        (?: (?P<triple>'{3}|\"{3})(?:\\.|(?!(?P=triple)).)*(?:(?P=triple)|\Z)
          | '(?:\\.|[^'\\\n])*'? | "(?:\\.|[^"\\\n])*"? ) )
    | (?P<name>[^\W\d]\w*)
    | (?P<number>0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+
        |(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?[\d_]+)?[jJ]?)
    | (?P<comment>\#[^\n]*)
    | (?P<line>\r?\n)
    | (?P<blank>[ \t\f]+|\\\r?\n)
    | (?P<operator>\*\*=?|//=?|>>=?|<<=?|->|:=|\.\.\.|[-+*/%&|^@=!<>]=|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")
_KEYWORDS = frozenset(
    "False None True and as assert async await break class continue def del elif else except finally for "
    "from global if import in is lambda nonlocal not or pass raise return try while with yield".split()
)


class Share(NamedTuple):
    """A ratio that can be summed over texts: of how many, how many."""

    part: float
    whole: float

    @property
    def value(self) -> float:
        """The ratio; 0 of nothing."""
        return self.part / self.whole if self.whole else 0.0


class Line(NamedTuple):
    """A logical line: the column where it begins, and its tokens as (kind, text)."""

    column: int
    tokens: tuple[tuple[str, str], ...]


def logical_lines(text: str) -> list[Line]:
    """Split a Python text, correct or not, into logical lines without blank ones and comments.

    A line goes on where a bracket is open; a closing bracket without an opening one counts as a token only.
    Strings that never end take the rest of their line, triple-quoted ones the rest of the text.
    """
    lines: list[Line] = []
    tokens: list[tuple[str, str]] = []
    column = start = depth = 0
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup if match.lastgroup != "triple" else "string"
        assert kind is not None
        if kind == "line":
            if depth == 0 and tokens:
                lines.append(Line(column, tuple(tokens)))
                tokens = []
            start = match.end()
        elif kind not in ("blank", "comment"):
            if not tokens:
                column = match.start() - start
            tokens.append((kind, match[0]))
            depth += (match[0] in _OPENING) - (match[0] in _CLOSING and depth > 0)
    if tokens:
        lines.append(Line(column, tuple(tokens)))
    return lines


def python_tokens(text: str) -> list[str]:
    """Return the tokens of a Python text, correct or not, as the released code has them.

    A logical line ends with a token that is a line feed (the last line only if the text has one there), and
    an indent or dedent is an empty token; the dedents at the end are left out, and so are comments.
    """
    tokens: list[str] = []
    columns = [0]
    lines = logical_lines(text)
    for line in lines:
        if line.column > columns[-1]:
            columns.append(line.column)
            tokens.append("")
        while line.column < columns[-1]:
            columns.pop()
            tokens.append("")
        tokens += [token for _, token in line.tokens]
        tokens.append("\n")
    if lines and "\n" not in text[len(text.rstrip()) :]:
        tokens.pop()
    return tokens


def repeated(items: Sequence[Hashable]) -> Share:
    """Return how many items have occurred before, of all: total less unique, by total."""
    return Share(len(items) - len(set(items)), len(items))


def tr_n(text: str, n: int = NGRAM) -> Share:
    """Return the n-grams of Python tokens that have occurred before in the text: 1 - unique / total.

    Parameters
    ----------
    text : str
        Prompt and generated text.
    n : int, default 4
        Tokens of an n-gram.

    Notes
    -----
    A run's figure is the sum of parts by the sum of wholes, as in the released code.
    """
    tokens = python_tokens(text)
    return repeated([tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)])


def tr_s(text: str) -> Share:
    """Return the statements that have occurred before in the text: 1 - unique / total.

    Statements are logical lines with their indentation, compared token by token.
    """
    return repeated(logical_lines(text))


def compiles(text: str) -> bool:
    """Return whether Python compiles the text (CCP is the share of such texts). Nothing is run."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(text, "<generated>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError):
        return False
    return True


def final_copies(items: Sequence[Hashable]) -> int:
    """Return how often the end of a sequence is its last unit, for the unit where that is most often.

    Copies stand next to each other; the sequence may end in the middle of one, which does not count, and any
    number of items may stand in front. 1 where nothing is repeated, 0 for an empty sequence.
    """
    most = min(len(items), 1)
    for period in range(1, len(items) // 2 + 1):
        matched = 0
        while matched + period < len(items) and items[-1 - matched] == items[-1 - matched - period]:
            matched += 1
        most = max(most, matched // period + 1)
    return most


def shapes(text: str) -> list[Hashable]:
    """Return of each logical line its indentation and its tokens without names' and literals' contents."""
    return [
        (
            line.column,
            tuple(
                kind if kind in ("string", "number") or (kind == "name" and token not in _KEYWORDS) else token
                for kind, token in line.tokens
            ),
        )
        for line in logical_lines(text)
    ]


def loops(prompt: str, generated: str, copies: int = 4) -> bool:
    """Return whether the generated text ends in a loop of content, with `copies` of its unit or more."""
    before, after = python_tokens(prompt), python_tokens(prompt + generated)
    return final_copies(after[len(before) :]) >= copies


def loops_in_structure(prompt: str, generated: str, copies: int = 4) -> bool:
    """Return whether the generated text ends in a loop of structure: copies of a unit of :func:`shapes`.

    The last line, which may be cut off, may be left out.
    """
    lines = shapes(prompt + generated)[len(shapes(prompt)) :]
    return max(final_copies(lines), final_copies(lines[:-1])) >= copies
