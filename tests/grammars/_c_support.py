"""The C grammar as lark parses it, and pycparser, which has to be told type names and takes no comments."""

import functools
import re
from pathlib import Path

import pycparser
import pycparser.c_parser
from lark import Lark
from lark.exceptions import LarkError

GRAMMAR = Path(__file__).parents[2] / "grammars" / "c.lark"
TEXTS = Path(__file__).parent / "texts" / "c"

TYPEDEF_NAMES = (
    "size_t ptrdiff_t ssize_t wchar_t bool FILE time_t va_list int8_t int16_t int32_t int64_t uint8_t"
    " uint16_t uint32_t uint64_t intptr_t uintptr_t intmax_t uintmax_t"
).split()
_PRELUDE = "".join(f"typedef int {name};\n" for name in TYPEDEF_NAMES)
_COMMENT = re.compile(
    r"""("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|/\*.*?\*/|//[^\n]*""",
    re.DOTALL,
)


@functools.cache
def parser() -> Lark:
    return Lark(GRAMMAR.read_text(), start="translation_unit", parser="lalr", maybe_placeholders=False)


def lark_accepts(text: str) -> bool:
    try:
        parser().parse(text)
    except LarkError:
        return False
    return True


def pycparser_accepts(text: str) -> bool:
    without_comments = _COMMENT.sub(lambda found: found[1] or " ", text)
    try:
        pycparser.CParser().parse(_PRELUDE + without_comments)
    except pycparser.c_parser.ParseError:
        return False
    return True
