"""The files of a grammar: where they come from, and what Lark's loader gets to see of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from lark.load_grammar import PackageResource, stdlib_loader

from structgen._errors import GrammarError, LimitError
from structgen._frontends.lark._directives import _TOKEN, Directives, Prepared, place
from structgen._frontends.lark._options import Import
from structgen._frontends.lark._size import MAX_PARTS
from structgen._grammars import grammar_file

_BY_NAME = re.compile(r"grammars:(\S+)")
_WORD = re.compile(r"_?[A-Za-z][A-Za-z0-9_]*")
_TERMINAL = re.compile(r"_?[A-Z][A-Z0-9_]*")
_TERMINAL_DEFINITION = re.compile(r"^(_?[A-Z][A-Z0-9_]*)(?:\.\d+)?[ \t]*:", re.MULTILINE)
_IMPORT = re.compile(
    r"^[ \t]*%import[ \t]+(\.?)((?:[A-Za-z0-9_]+\.)*)([A-Za-z0-9_]+)(?:[ \t]*\(([^)]*)\))?", re.MULTILINE
)
_NAMING = re.compile(r"^[ \t]*%(?:import|declare)\b[^\n]*", re.MULTILINE)

# Libraries of Lark that hold nothing but terminals, of which a grammar needs a few.
_TERMINAL_LIBRARIES = ("common.lark", "unicode.lark")


def read_grammar(grammar: str | Path) -> tuple[str | None, str]:
    """Return the name and the text of a grammar that is given as text, as a path or by name."""
    if isinstance(grammar, str):
        named = _BY_NAME.fullmatch(grammar)
        if named is not None:
            grammar = grammar_file(named[1])
        elif grammar.endswith(".lark") and "\n" not in grammar:
            grammar = Path(grammar)
    if isinstance(grammar, Path):
        try:
            return str(grammar), grammar.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise GrammarError(f"the file is not UTF-8: {error}", name=str(grammar)) from None
    return None, grammar


class Sources:
    """Lark's loader asks this for every import; it remembers what was read."""

    def __init__(
        self, name: str | None, text: str, import_paths: tuple[Import, ...], plain: bool = False
    ) -> None:
        self.directives = Directives()
        # Nothing but Lark's own language, and no Lark that needs care: files are read as they are.
        self._plain = plain
        self.main = self._prepared(name, text)
        # Every file that was read, in this order. The last one is the one whose syntax is wrong, if any is.
        self.files = [self.main]
        # Files outside any package, which may change.
        self.paths: dict[str, str] = {}
        self.reusable = not any(callable(path) for path in import_paths)
        self._import_paths = import_paths

    def unchanged(self) -> bool:
        """Say whether every imported file still reads the same."""
        try:
            return all(Path(path).read_text(encoding="utf-8") == text for path, text in self.paths.items())
        except (OSError, UnicodeDecodeError):
            return False

    def __call__(self, base_path: Any, grammar_path: str) -> tuple[Any, str]:
        """Find a file as Lark's loader does: import paths, the importing file's folder, Lark's library."""
        for folder in (*self._import_paths, *(() if base_path is None else (base_path,))):
            try:
                if callable(folder):
                    joined, text = folder(base_path, grammar_path)
                elif isinstance(folder, str):
                    joined = str(Path(folder) / grammar_path)
                    text = Path(joined).read_text(encoding="utf-8")
                    self.paths[joined] = text
                else:
                    continue
            except OSError:
                continue
            except UnicodeDecodeError as error:
                raise GrammarError(f"the file is not UTF-8: {error}", name=joined) from None
            return joined, self._prepare(str(joined), text)
        joined, text = stdlib_loader(base_path, grammar_path)
        if base_path is None and grammar_path in _TERMINAL_LIBRARIES and not self._plain:
            names = self._imported(grammar_path)
            # Lark wants equal texts of equal files.
            joined = PackageResource(joined.pkg_name, f"{joined.path}#{','.join(names)}")
            text = _extract(text, names)
        return joined, self._prepare(f"lark/{grammar_path}", text)

    def _prepare(self, name: str, text: str) -> str:
        prepared = self._prepared(name, text)
        self.files.append(prepared)
        return prepared.text

    def _prepared(self, name: str | None, text: str) -> Prepared:
        if self._plain:
            return Prepared(name, text)
        _check_nesting(text)
        return self.directives.prepare(name, text)

    def _imported(self, grammar_path: str) -> tuple[str, ...]:
        """Return the names that any file so far imports from a library."""
        library = grammar_path.removesuffix(".lark")
        names = set()
        for file in self.files:
            for statement in _IMPORT.finditer(file.text):
                path = statement[2].rstrip(".")
                if path == library and statement[4] is None:
                    names.add(statement[3])
                elif f"{path}.{statement[3]}".lstrip(".") == library:
                    names.update(_WORD.findall(statement[4] or ""))
        return tuple(sorted(names))

    # -- places, for errors ----------------------------------------------------------------

    def definition(self, name: str) -> tuple[Prepared, int, int] | None:
        """Return where a rule or terminal is defined: the file, the line and the column."""
        for spelling in (name, name.rpartition("__")[2]):
            for file in self.files:
                for word, offset, definition in _words(file.original):
                    if word == definition == spelling:
                        return file, *place(file.original, offset)
        return None

    def use(self, name: str, within: str | None = None) -> tuple[Prepared, int, int] | None:
        """Return where a name is used, in the definition of another if that is known."""
        spelling = name.rpartition("__")[2] if "__" in name else name
        inside = None if within is None else within.rpartition("__")[2] if "__" in within else within
        for file in self.files:
            for word, offset, definition in _words(file.original):
                if word == spelling and definition != spelling and inside in (None, definition):
                    return file, *place(file.original, offset)
        return None

    def spelling(self, text: str) -> tuple[Prepared, int, int] | None:
        """Return where a string or regular expression is written."""
        for file in self.files:
            for token in _TOKEN.finditer(file.original):
                if (token["string"] or token["regexp"] or "").startswith(text):
                    return file, *place(file.original, token.start())
        return None

    def defined_names(self) -> list[str]:
        """Return the names that the main file defines, imports or declares."""
        text = self.main.original
        names = [word for word, _, definition in _words(text) if word == definition]
        for statement in _NAMING.finditer(text):
            names += _WORD.findall(statement[0])[1:]
        return list(dict.fromkeys(names))


def _words(text: str) -> Iterator[tuple[str, int, str | None]]:
    """Yield every name outside strings and comments, its offset, and the definition that it stands in."""
    definition: str | None = None
    here = 0
    for token in _TOKEN.finditer(text):
        for word in _WORD.finditer(text, here, token.start()):
            yield word[0], word.start(), definition
        here = token.end()
        if token["header"] is not None:
            definition = token["name"]
            yield definition, token.start("name"), definition
    for word in _WORD.finditer(text, here):
        yield word[0], word.start(), definition


def _check_nesting(text: str) -> None:
    """Refuse terminals that become endless when they are written out inside each other, as Lark does."""
    uses: dict[str, list[str]] = {}
    for word, _, definition in _words(text):
        if definition is None or definition.islower():
            continue
        if word == definition:
            uses.setdefault(word, [])
        else:
            uses[definition].append(word)
    sizes: dict[str, int] = {}

    def size(name: str) -> int:
        if name not in sizes:
            sizes[name] = 1  # a terminal inside itself, which Lark's loader refuses
            sizes[name] = 1 + sum(size(used) for used in uses.get(name, ()))
            if sizes[name] > MAX_PARTS:
                raise LimitError(
                    f"terminal {name!r} has more than {MAX_PARTS} terminals inside each other",
                    limit="max_parts",
                    value=MAX_PARTS,
                )
        return sizes[name]

    for name in uses:
        size(name)


@cache
def _definitions(text: str) -> dict[str, tuple[str, frozenset[str]]]:
    """Split a library of terminals: each definition's text, and the names in it."""
    heads = list(_TERMINAL_DEFINITION.finditer(text))
    found = {}
    for head, following in zip(heads, [*heads[1:], None], strict=True):
        body = text[head.start() : len(text) if following is None else following.start()]
        found[head[1]] = body, frozenset(_TERMINAL.findall(body)) - {head[1]}
    return found


@cache
def _extract(text: str, names: tuple[str, ...]) -> str:
    """Cut a library of terminals down to some of them and what they need: reading all of it takes longest."""
    definitions = _definitions(text)
    if not names or not definitions.keys() >= set(names):
        return text
    needed: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in definitions and name not in needed:
            needed.add(name)
            waiting.extend(definitions[name][1])
    return "".join(body for name, (body, _) in definitions.items() if name in needed)
