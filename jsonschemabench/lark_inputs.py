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
    """Read a grammar.

    Parameters
    ----------
    name
        Without the suffix ``.lark``.
    folder
        Where the grammars are; by default those of structgen.

    Raises
    ------
    DatasetError
        If there is no such grammar.
    """
    if folder is None:
        import structgen

        try:
            return structgen.load_grammar(name)
        except structgen.StructgenError as error:
            raise DatasetError(str(error)) from error
    file = folder / f"{name}.lark"
    if not file.is_file():
        raise DatasetError(f"no grammar {name!r} in {folder}")
    return file.read_text(encoding="utf-8")


START = {"c": "translation_unit"}
"""Start rules that are not called ``start``."""

# -- llguidance's dialect ----------------------------------------------------------------------------------

_ADAPTED: dict[str, dict[str, str]] = {
    "sql": {
        "NAME": "/[A-Za-z_\\x{80}-\\x{10FFFF}][A-Za-z0-9_$\\x{80}-\\x{10FFFF}]*/ & ~RESERVED"
        ' | /"([^"]|"")*"/ | /`([^`]|``)*`/ | /\\[[^\\]]*\\]/',
        "STRING": "/'([^']|'')*'/",
        "NUMBER": "/0[xX][0-9a-fA-F]+|([0-9]+(\\.[0-9]*)?|\\.[0-9]+)([eE][+-]?[0-9]+)?/",
        "NUMBERED_VARIABLE": "/\\?[0-9]*/",
    },
    "c": {
        "IDENTIFIER": "/[A-Za-z_][0-9A-Za-z_]*/ & ~RESERVED",
        "AMPERSAND": '"&"',
        "SLASH": '"/"',
    },
}
"""Terminals of our grammars in words that llguidance knows: it has no look around."""

_DEFINITION = re.compile(
    r"^(?P<name>_?[A-Z][_A-Z0-9]*)(?:\.-?\d+)?[ \t]*:[ \t]*(?P<body>.*(?:\n[ \t]+.*)*)\n?", re.MULTILINE
)
_LOOK_AHEAD = re.compile(r"/\(\?!(?:[^()\[\]]|\[(?:[^\]\\]|\\.)*\])*\)/")
_RULE_PRIORITY = re.compile(r"^([!?_a-z][_a-z0-9]*)\.-?\d+[ \t]*:", re.MULTILINE)
_RESERVED = re.compile(r"\(\?!\((?P<flags>\?(?:ai)?:)\s*(?P<words>\w+(?:\s*\|\s*\w+)+)\s*\)")


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
    reserved = _RESERVED.search(text)
    written = _DEFINITION.sub(lambda match: _definition(match, _ADAPTED.get(name, {})), text)
    # What only looks ahead is no terminal of its own any more.
    for match in _DEFINITION.finditer(text):
        if _LOOK_AHEAD.fullmatch(match["body"].strip()):
            written = re.sub(rf"[ \t]*\b{match['name']}\b", "", written)
    written = _RULE_PRIORITY.sub(r"\1:", written)
    if reserved is not None:
        words = re.sub(r"\s+", "", reserved["words"])
        written += f"RESERVED: /({'?i:' if 'i' in reserved['flags'] else '?:'}{words})/\n"
    if name in START:
        written += f"start: {START[name]}\n"
    return written


def _definition(match: re.Match[str], adapted: dict[str, str]) -> str:
    body = match["body"].strip()
    if _LOOK_AHEAD.fullmatch(body):
        return ""
    body = adapted.get(match["name"], body).replace("(?ai:", "(?i:")
    return f"{match['name']}: {body}\n"


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
