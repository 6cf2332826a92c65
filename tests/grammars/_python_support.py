"""The Python grammar as lark parses it, and Python's own parser."""

import ast
import functools
import warnings
from pathlib import Path

from lark import Lark
from lark.exceptions import LarkError
from lark.indenter import PythonIndenter

GRAMMAR = Path(__file__).parents[2] / "grammars" / "python.lark"
TEXTS = Path(__file__).parent / "texts" / "python"


@functools.cache
def parser() -> Lark:
    return Lark(
        GRAMMAR.read_text(),
        start="file_input",
        parser="lalr",
        postlex=PythonIndenter(),
        maybe_placeholders=False,
    )


def lark_accepts(text: str) -> bool:
    try:
        parser().parse(text)
    except LarkError:
        return False
    return True


def python_accepts(text: str) -> bool:
    with warnings.catch_warnings():
        # Unknown escapes and the like are accepted, with a warning.
        warnings.simplefilter("ignore")
        try:
            ast.parse(text, feature_version=(3, 11))
        except (SyntaxError, ValueError):
            return False
    return True
