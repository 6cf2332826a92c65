"""Python functions of the standard library, for a small model to learn and for prompts to be cut from."""

from __future__ import annotations

import ast
import functools
import sysconfig
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

HELD_OUT_FILES = 12
"""One file in this many is never trained on: prompts come from there."""
_SHORTEST, _LONGEST = 60, 1200
_SKIPPED_FOLDERS = frozenset(
    ("test", "tests", "idlelib", "lib2to3", "site-packages", "dist-packages", "encodings", "pydoc_data")
)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@functools.cache
def library_functions(held_out: bool = False) -> tuple[str, ...]:
    """Return functions and methods of the running interpreter's standard library in a normal form.

    The normal form is ``ast.unparse``'s, without docstrings and comments: one statement a line, four spaces a
    level, single quotes. Each text ends with a line feed. None occurs twice.

    Parameters
    ----------
    held_out
        Those of the files kept for evaluation instead of those for training, where these are left out.
    """
    known = () if held_out else set(library_functions(held_out=True))
    return tuple(text for text in dict.fromkeys(_functions(held_out)) if text not in known)


def _functions(held_out: bool) -> Iterator[str]:
    root = Path(sysconfig.get_path("stdlib"))
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root)
        if _SKIPPED_FOLDERS.intersection(name.parts):
            continue
        if (zlib.crc32(name.as_posix().encode()) % HELD_OUT_FILES == 0) == held_out:
            yield from functions(path.read_text(encoding="utf-8", errors="ignore"))


def functions(source: str) -> Iterator[str]:
    """Yield the top-level functions and the methods of top-level classes in a source, in normal form.

    Nothing is yielded of a source that this interpreter cannot parse, nor of functions of less than 60 or
    more than 1,200 characters or with other characters than ASCII.
    """
    try:
        with warnings.catch_warnings():
            # Old files have escapes that are deprecated.
            warnings.simplefilter("ignore")
            module = ast.parse(source)
    except (SyntaxError, ValueError):
        return
    for node in module.body:
        for inner in node.body if isinstance(node, ast.ClassDef) else [node]:
            if isinstance(inner, _FUNCTIONS):
                text = ast.unparse(_WithoutDocstrings().visit(inner)) + "\n"
                if _SHORTEST <= len(text) <= _LONGEST and text.isascii():
                    yield text


class _WithoutDocstrings(ast.NodeTransformer):
    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        return node
