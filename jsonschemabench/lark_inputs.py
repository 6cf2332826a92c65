"""What the ``lark`` runs read: grammars, the dialect that llguidance wants, and texts."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jsonschemabench.datasets import DatasetError

GRAMMARS = ("json", "sql", "c", "arithmetic")
"""The grammars that both engines can read."""

_CORPORA = Path(__file__).parent / "corpora"
_SEPARATOR = "\n====\n"


def grammar_text(name: str, folder: Path | None = None) -> str:
    """Read a grammar of the project.

    Parameters
    ----------
    name
        Without the suffix ``.lark``.
    folder
        Where the grammars are; by default in the installed package or next to it, as in a checkout.

    Raises
    ------
    DatasetError
        If there is no such grammar.
    """
    package = Path(__file__).parents[1]
    folders = [folder] if folder else [package / "structgen" / "grammars", package / "grammars"]
    for place in folders:
        if (place / f"{name}.lark").is_file():
            return (place / f"{name}.lark").read_text(encoding="utf-8")
    raise DatasetError(f"no grammar {name!r} in {', '.join(map(str, folders))}")


# -- llguidance's dialect ----------------------------------------------------------------------------------

_NAMES = r"[^\x00-#%-\/:-@\[-^`{-\x7f]"
_ADAPTED: dict[str, dict[str, str]] = {
    "sql": {
        "KEYWORD_END": "",
        "NAME": "/[A-Za-z_\\x{80}-\\x{10FFFF}][A-Za-z0-9_$\\x{80}-\\x{10FFFF}]*/ & ~RESERVED"
        ' | /"([^"]|"")*"/ | /`([^`]|``)*`/ | /\\[[^\\]]*\\]/',
        "STRING": "/'([^']|'')*'/",
        "NUMBER": "/0[xX][0-9a-fA-F]+|([0-9]+(\\.[0-9]*)?|\\.[0-9]+)([eE][+-]?[0-9]+)?/",
        "NUMBERED_VARIABLE": "/\\?[0-9]*/",
    },
}
"""Terminals of our grammars in words that llguidance knows: it has no look around."""

_DEFINITION = re.compile(
    r"^(?P<name>_?[A-Z][_A-Z0-9]*)(?:\.-?\d+)?[ \t]*:[ \t]*(?P<body>.*(?:\n[ \t]+.*)*)", re.MULTILINE
)
_RULE_PRIORITY = re.compile(r"^([!?_a-z][_a-z0-9]*)\.-?\d+[ \t]*:", re.MULTILINE)
_RESERVED = re.compile(r"^NAME:.*?\(\?!\(\?ai:(?P<words>[a-z|\s]+?)\)", re.MULTILINE | re.DOTALL)


def llguidance_dialect(name: str, text: str) -> str:
    """Write one of our grammars as llguidance reads it.

    It has neither priorities nor look around. Without them its language is a bit larger than ours: it may end
    a name where a letter follows, say. None of that is in the texts, and it spares llguidance work.

    Parameters
    ----------
    name
        Of the grammar.
    text
        As Lark reads it.
    """
    adapted = dict(_ADAPTED.get(name, {}))
    reserved = _RESERVED.search(text)

    def define(match: re.Match[str]) -> str:
        body = adapted.get(match["name"], match["body"])
        if not body:
            return ""
        # A word in any case, which ends where no further letter follows.
        body = re.sub(r"\(\?ai:", "(?i:", re.sub(r"[ \t]+KEYWORD_END\b", "", body))
        return f"{match['name']}: {body}"

    text = _RULE_PRIORITY.sub(r"\1:", _DEFINITION.sub(define, text))
    if reserved is not None:
        words = "|".join(word.strip() for word in reserved["words"].split("|"))
        text += f"\nRESERVED: /(?i:{words})/\n"
    return text


# -- texts -------------------------------------------------------------------------------------------------


def texts(name: str) -> list[str]:
    """Texts of a language, the same in every run.

    Raises
    ------
    DatasetError
        If there are none.
    """
    if name in _MADE:
        rng = random.Random(f"{name} texts")
        return [_MADE[name](rng) for _ in range(60)]
    file = _CORPORA / f"{name}.txt"
    if not file.is_file():
        raise DatasetError(f"no texts of {name!r}")
    return file.read_text(encoding="utf-8").rstrip("\n").split(_SEPARATOR)


_WORDS = "name id value price city street items user count total active email note tag status date".split()


def _value(rng: random.Random, depth: int) -> Any:
    kind = rng.randrange(9 if depth else 6)
    if kind == 0:
        return rng.choice([True, False, None])
    if kind == 1:
        return rng.randint(-1000, 100_000)
    if kind == 2:
        return round(rng.uniform(-100, 100), rng.randint(1, 6))
    if kind < 6:
        text = " ".join(rng.choices(_WORDS, k=rng.randint(1, 6)))
        return text.title() + rng.choice(["", "", "", ' "quoted"', "\n", " é", " \\", " 日本", "!"])
    if kind == 6:
        return [_value(rng, depth - 1) for _ in range(rng.randint(0, 5))]
    return {rng.choice(_WORDS): _value(rng, depth - 1) for _ in range(rng.randint(1, 6))}


def _json(rng: random.Random) -> str:
    value = {rng.choice(_WORDS): _value(rng, 3) for _ in range(rng.randint(3, 8))}
    return json.dumps(value, indent=rng.choice([None, None, 2]), ensure_ascii=rng.random() < 0.3)


def _arithmetic(rng: random.Random) -> str:
    return _sum(rng, rng.randint(2, 5))


def _sum(rng: random.Random, depth: int) -> str:
    kind = rng.randrange(12) if depth else rng.randrange(4)
    if kind < 2:
        return rng.choice(_WORDS) + rng.choice(["", "", "_1", "X"])
    if kind == 2:
        return str(rng.randint(0, 10_000))
    if kind == 3:
        return f"{rng.uniform(0, 100):.{rng.randint(1, 5)}f}" + rng.choice(["", "", "e-3", "E+10"])
    if kind == 4:
        return f"-{_sum(rng, 0)}"
    if kind == 5:
        arguments = ", ".join(_sum(rng, depth - 1) for _ in range(rng.randint(0, 3)))
        return f"{rng.choice(['max', 'sqrt', 'f', 'log10'])}({arguments})"
    if kind == 6:
        return f"({_sum(rng, depth - 1)})"
    operator = rng.choice(["+", "+", "-", "*", "*", "/", "//", "%", "**"])
    space = rng.choice([" ", " ", ""])
    return f"{_sum(rng, depth - 1)}{space}{operator}{space}{_sum(rng, depth - 1)}"


_MADE: dict[str, Callable[[random.Random], str]] = {"json": _json, "arithmetic": _arithmetic}
