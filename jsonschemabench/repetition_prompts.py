"""Prompts that end after two to four copies of a pattern, and the loader of the published dataset.

CodeRepetEval (Dong et al., "Rethinking Repetition Problems of LLMs in Code Generation", ACL 2025, section
on the dataset) has three scenarios: artificial synthesis, code generation benchmarks and real-world
repositories. The makers here imitate them with code of our own and of the standard library; figures on them
are no figures on CodeRepetEval.
"""

from __future__ import annotations

import ast
import functools
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from jsonschemabench.datasets import DatasetError
from jsonschemabench.repetition_sources import library_functions

COPIES = (2, 4)
"""The least and the most copies of a pattern at the end of a prompt."""

PUBLISHED = {
    "ArtificialSynthesis": "synthetic",
    "CodeGenerationBenchmarks": "benchmark",
    "Real-worldRepositories": "repository",
}
"""The files of the published dataset, without ``.jsonl``, and the kinds of their prompts."""

_LONGEST_UNIT = 160
_LONGEST_PROMPT = 600
_LEAVING = (ast.Return, ast.Raise, ast.Break, ast.Continue, ast.Pass)


@dataclass(frozen=True, slots=True)
class Prompt:
    """Code to be continued.

    Attributes
    ----------
    kind
        "synthetic", "benchmark" or "repository", or the name of the file it comes from.
    number
        Among those of its kind.
    text
        Python code that ends with a whole statement, without the line feed.
    copies
        How often the pattern at its end occurs there; 0 where nobody said.
    """

    kind: str
    number: int
    text: str
    copies: int


# -- synthetic: the last statements of a function once more ----------------------------------------------


def synthetic(rng: random.Random) -> tuple[str, int]:
    """Return a function up to some statement, repeated word for word, and the number of its copies.

    The pattern is one statement or two next to each other, of a function of the standard library that no
    model of ours was trained on. It is none that leaves a block.
    """
    sources = library_functions(held_out=True)
    while True:
        source = rng.choice(sources)
        lines = source.splitlines()
        units = [
            body[i : i + size]
            for body in _bodies(ast.parse(source))
            for size in (1, 2)
            for i in range(len(body) - size + 1)
            if not isinstance(body[i + size - 1], _LEAVING)
        ]
        if not units:
            continue
        unit = rng.choice(units)
        pattern = lines[unit[0].lineno - 1 : unit[-1].end_lineno]
        copies = rng.randint(*COPIES)
        text = "\n".join(lines[: unit[-1].end_lineno] + pattern * (copies - 1))
        if len("\n".join(pattern)) <= _LONGEST_UNIT and len(text) <= _LONGEST_PROMPT and _parses(text):
            return text, copies


def _parses(text: str) -> bool:
    """Whether a prompt is Python as it is: what was cut inside ``try`` or repeats ``else`` is none."""
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


def _bodies(tree: ast.AST) -> Iterator[list[ast.stmt]]:
    """Yield the blocks of statements inside functions."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module):
            for name in ("body", "orelse", "finalbody"):
                body = getattr(node, name, None)
                # A lambda and a conditional expression have bodies that are no statements.
                if isinstance(body, list) and body:
                    yield body


# -- repository: repetition as it is found ---------------------------------------------------------------


def repository(rng: random.Random) -> tuple[str, int]:
    """Return a function up to where statements of the same shape stand next to each other, and how many do.

    The functions are those of the standard library that no model of ours was trained on, as they are. The
    shape of a statement is its syntax tree without names, attributes and values of constants.
    """
    text, first, length = rng.choice(_repetitive_functions())
    copies = rng.randint(COPIES[0], min(COPIES[1], length))
    return "\n".join(text.splitlines()[: first + copies]), copies


@functools.cache
def _repetitive_functions() -> tuple[tuple[str, int, int], ...]:
    """Return functions with a run of lines of the same shape: the lines in front of it, and its length."""
    found = []
    for text in library_functions(held_out=True):
        for body in _bodies(ast.parse(text)):
            for _, group in groupby(body, shape):
                run = list(group)
                # One-line statements only: what is cut off after one is a prefix that can go on.
                if len(run) >= COPIES[0] and all(node.lineno == node.end_lineno for node in run):
                    first = run[0].lineno - 1
                    cut = "\n".join(text.splitlines()[: first + COPIES[1]])
                    if len(cut) <= _LONGEST_PROMPT and _parses(
                        "\n".join(text.splitlines()[: first + len(run)])
                    ):
                        found.append((text, first, len(run)))
    return tuple(found)


def shape(node: ast.AST) -> str:
    """Return the syntax tree of a statement without names, attributes and values of constants."""
    return f"{type(node).__name__}({','.join(map(shape, ast.iter_child_nodes(node)))})"


# -- benchmark: small tasks, answered in the way that models get stuck in --------------------------------

_WORDS = (
    "items values numbers words names prices scores letters totals counts records entries points edges nodes "
    "lines fields rows keys weights"
).split()
_VERBS = "check count find group filter merge sort split parse encode compare convert update collect".split()
_KEYS = "red green blue north south east west small large first second third left right open closed".split()


def _elif_chain(rng: random.Random, copies: int) -> str:
    name = rng.choice(_WORDS)[:-1]
    bounds = sorted(rng.sample(range(5, 100, 5), copies + 1), reverse=True)
    grades = rng.sample("ABCDEFGH", copies + 1)
    branches = [
        f"    {'elif' if i else 'if'} {name} >= {bound}:\n        return '{grade}'"
        for i, (bound, grade) in enumerate(zip(bounds, grades, strict=True))
    ]
    return f"def grade_{name}({name}):\n" + "\n".join(branches)


def _guards(rng: random.Random, copies: int) -> str:
    n = rng.choice("nxk")
    checks = [
        f"    if {n} % {p} == 0:\n        return False"
        for p in sorted(rng.sample((2, 3, 5, 7, 11, 13), copies))
    ]
    return f"def is_{rng.choice(('prime', 'coprime', 'rough'))}({n}):\n" + "\n".join(checks)


def _replacements(rng: random.Random, copies: int) -> str:
    text = rng.choice(("text", "line", "name", "s"))
    pairs = [rng.sample("abcdefghij", 2) for _ in range(copies)]
    body = [f"    {text} = {text}.replace('{old}', '{new}')" for old, new in pairs]
    return f"def {rng.choice(('clean', 'encode', 'normalize'))}_{text}({text}):\n" + "\n".join(body)


def _assignments(rng: random.Random, copies: int) -> str:
    table = rng.choice(_WORDS)
    body = [f"    {table}['{key}'] = {rng.randint(0, 20)}" for key in rng.sample(_KEYS, copies)]
    return f"def {rng.choice(_VERBS)}_{table}():\n    {table} = {{}}\n" + "\n".join(body)


def _appends(rng: random.Random, copies: int) -> str:
    items = rng.choice(_WORDS)
    body = [f"    result.append({items}[{i}])" for i in range(copies)]
    return f"def {rng.choice(_VERBS)}_{items}({items}):\n    result = []\n" + "\n".join(body)


def _loops(rng: random.Random, copies: int) -> str:
    items = rng.choice(_WORDS)
    body = [
        f"    for {items[:-1]} in {items}:\n        if {items[:-1]} == '{key}':\n            total += {i + 1}"
        for i, key in enumerate(rng.sample(_KEYS, copies))
    ]
    return f"def {rng.choice(_VERBS)}_{items}({items}):\n    total = 0\n" + "\n".join(body)


def _prints(rng: random.Random, copies: int) -> str:
    name = f"{rng.choice(_VERBS)}_{rng.choice(_WORDS)}"
    calls = [f"print({name}({rng.sample(range(1, 10), 3)}))" for _ in range(copies)]
    return f"def {name}(values):\n    return sorted(set(values))\n" + "\n".join(calls)


def _asserts(rng: random.Random, copies: int) -> str:
    name = f"{rng.choice(_VERBS)}_{rng.choice(_WORDS)}"
    checks = [
        f"    assert {name}({a}, {b}) == {a + b}"
        for a, b in (rng.sample(range(1, 50), 2) for _ in range(copies))
    ]
    return f"def test_{name}():\n" + "\n".join(checks)


TASKS: tuple[Callable[[random.Random, int], str], ...] = (
    _elif_chain,
    _guards,
    _replacements,
    _assignments,
    _appends,
    _loops,
    _prints,
    _asserts,
)


def benchmark(rng: random.Random) -> tuple[str, int]:
    """Return the answer to a small task as far as copies of one structure, and their number.

    The copies have different contents, as where a model is stuck in a structure: branches, guards,
    replacements, assignments, appends, loops, calls, assertions.
    """
    copies = rng.randint(*COPIES)
    return rng.choice(TASKS)(rng, copies), copies


# -- all of them -----------------------------------------------------------------------------------------

MAKERS: dict[str, Callable[[random.Random], tuple[str, int]]] = {
    "synthetic": synthetic,
    "benchmark": benchmark,
    "repository": repository,
}
"""Makers of prompts, by kind."""


def make(kind: str, count: int, seed: int = 0) -> list[Prompt]:
    """Return different prompts of a kind.

    Parameters
    ----------
    kind
        A key of :data:`MAKERS`.
    count
        How many; the first ones are the same for every count.
    seed
        Of the makers. Prompts from the standard library depend on the running interpreter's, too.

    Raises
    ------
    ValueError
        There are not so many.
    """
    rng = random.Random(f"{kind} {seed}")
    texts: dict[str, int] = {}
    for _ in range(100 * count):
        if len(texts) == count:
            break
        text, copies = MAKERS[kind](rng)
        texts.setdefault(text, copies)
    if len(texts) < count:
        raise ValueError(f"there are no {count} different prompts of the kind {kind!r}: ask for fewer")
    return [Prompt(kind, number, text, copies) for number, (text, copies) in enumerate(texts.items())]


def load(path: Path) -> list[Prompt]:
    """Read the published dataset.

    Parameters
    ----------
    path
        A file of JSON lines, or a folder with some: of the published ``ArtificialSynthesis.jsonl``,
        ``CodeGenerationBenchmarks.jsonl`` and ``Real-worldRepositories.jsonl``, or files of one's own. Each
        line is an object whose ``"prompt"`` is the code to be continued; other members (``"samples"``,
        ``"repetition"``, ``"time"``, ``"eos"``, ``"len"``: what models made of it) are not used.

    Raises
    ------
    DatasetError
        There is nothing, or something else.
    """
    if path.is_dir():
        files = sorted(path.glob("*.jsonl"))
        if not files:
            raise DatasetError(f"{path} has no files *.jsonl, such as {next(iter(PUBLISHED))}.jsonl")
    elif path.is_file():
        files = [path]
    else:
        raise DatasetError(f"{path} is neither a file nor a folder")
    prompts = [prompt for file in files for prompt in _read(file)]
    if not prompts:
        raise DatasetError(f"{path} has no prompts")
    return prompts


def _read(path: Path) -> Iterator[Prompt]:
    kind = PUBLISHED.get(path.stem, path.stem)
    try:
        lines: Sequence[str] = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} cannot be read: {error}") from error
    number = 0
    for line_number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            content = json.loads(line)
        except ValueError as error:
            raise DatasetError(f"{path}, line {line_number}: not JSON ({error})") from error
        text = content.get("prompt") if isinstance(content, dict) else None
        if not isinstance(text, str) or not text.strip():
            raise DatasetError(f'{path}, line {line_number}: wants an object with a text as its "prompt"')
        yield Prompt(kind, number, text, 0)
        number += 1
