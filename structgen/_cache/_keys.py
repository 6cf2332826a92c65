"""What an automaton depends on, as a key: a hash of the constraint's content."""

from __future__ import annotations

import copy
import hashlib
import marshal
import re
import sys
import unicodedata
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache, lru_cache
from inspect import signature
from pathlib import Path
from typing import Any, NamedTuple

import structgen
from structgen._compile import compile_json_schema, compile_regex
from structgen._compile_gbnf import compile_gbnf
from structgen._compile_lark import compile_lark
from structgen._formats import registered_formats

COMPILERS: dict[str, Callable[..., structgen.TokenAutomaton]] = {
    "json_schema": compile_json_schema,
    "regex": compile_regex,
    "lark": compile_lark,
    "gbnf": compile_gbnf,
}

# It decides whether there is an automaton, not which.
_NO_MATTER = "max_compile_seconds"
# `%import common.WORD` is of the library of Lark. Anything else may be of a file, which may change.
_FILE_IMPORT = re.compile(r"%import(?![ \t]+[A-Za-z_])")


# What a source may hold when what is shared in it counts each time: nesting as `marshal` allows it, and more
# objects and arrays than any schema compiles with.
_MAX_LEVELS = 2000
_MAX_CONTAINERS = 1 << 20

_SIMPLE = frozenset((str, int, float, bool, type(None)))


class UncacheableError(Exception):
    """There is something that has no content to compare: a file that may change, an object."""


class Key(NamedTuple):
    """What is looked up.

    Attributes
    ----------
    digest
        Hash of the content, in hexadecimal.
    storable
        Whether it means the same in other processes.
    held
        Objects that are in the hash by identity, and must live as long as it is used.
    """

    digest: str
    storable: bool
    held: tuple[Any, ...]


@cache
def _defaults(kind: str) -> dict[str, Any]:
    parameters = list(signature(COMPILERS[kind]).parameters.values())[2:]
    return {one.name: one.default for one in parameters}


def key_of(kind: str, source: Any, options: Mapping[str, Any], vocabulary: str, version: bytes) -> Key:
    """Return the key of a constraint.

    Parameters
    ----------
    kind : {"json_schema", "regex", "lark", "gbnf"}
        What `source` is.
    source : object
        As the compiler takes it.
    options : mapping
        Options of the compiler; those that are left out have their defaults.
    vocabulary : str
        Hash of the vocabulary.
    version : bytes
        Hash of the code.

    Raises
    ------
    UncacheableError
        It has no key.
    TypeError
        The compiler has no such option.
    """
    content: Any = source
    if kind == "lark":
        content = _grammar(source, options)
    _check_size(content)
    held: list[Any] = []
    if all(type(value) in _SIMPLE for value in options.values()):
        chosen = _chosen_simply(kind, tuple((name, type(value), value) for name, value in options.items()))
    else:
        chosen = _chosen(kind, options, held)
    formats = []
    for name, (pattern, predicate) in sorted(registered_formats().items()):
        formats.append((name, pattern, predicate and id(predicate)))
        if predicate is not None:
            held.append(predicate)
    digest = hashlib.blake2b(version, digest_size=20)
    digest.update(_bytes((kind, vocabulary, chosen, formats, _bytes(content))))
    # Lark grammars are quick to compile, most of it in the core: see docs/decisions.md.
    return Key(digest.hexdigest(), kind != "lark" and not held, tuple(held))


def _chosen(kind: str, options: Mapping[str, Any], held: list[Any]) -> bytes:
    """Return bytes of all options, defaults included."""
    defaults = _defaults(kind)
    for name in options:
        if name not in defaults:
            raise TypeError(f"compile_{kind} has no option {name!r}; there are {', '.join(sorted(defaults))}")
    chosen = {**defaults, **options}
    return _bytes(
        [(name, _option(name, value, held)) for name, value in sorted(chosen.items()) if name != _NO_MATTER]
    )


@lru_cache(maxsize=256)
def _chosen_simply(kind: str, options: tuple[tuple[str, type, Any], ...]) -> bytes:
    # The types tell 1 from True.
    return _chosen(kind, {name: value for name, _, value in options}, [])


def snapshot(source: Any) -> Any:
    """Return a copy of a source, which its owner may change before it is compiled."""
    if isinstance(source, (str, bytes, bool, Path)):
        return source
    try:
        return marshal.loads(marshal.dumps(source))
    except ValueError:
        return copy.deepcopy(source)  # something that is not plain data


def _check_size(content: Any) -> None:
    """Refuse what is small only because its parts are shared, as with aliases of YAML.

    A few dozen objects, each twice in the next, would be hashed for ever.
    """
    level = [content] if isinstance(content, (dict, list, tuple)) else []
    count = 0
    for _ in range(_MAX_LEVELS):
        if not level:
            return
        count += len(level)
        if count > _MAX_CONTAINERS:
            break
        level = [
            part
            for one in level
            for part in (one.values() if isinstance(one, dict) else one)
            if isinstance(part, (dict, list, tuple))
        ]
    raise UncacheableError("the schema is too large, or nested too deeply")


def _bytes(value: Any) -> bytes:
    """Return bytes that differ where values do, types and the order of keys included."""
    # Version 0 has no references and no interned strings: equal values have equal bytes.
    try:
        return marshal.dumps(value, 0)
    except ValueError:
        pass  # something that is not plain data
    try:
        return b"plain" + marshal.dumps(_plain(value), 0)
    except (ValueError, RecursionError):
        raise UncacheableError("the schema is nested too deeply") from None


def _plain(value: Any) -> Any:
    """Return plain data for subclasses of plain types and for decimals."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, str):
        return "".join(value)
    if isinstance(value, Decimal):
        return b"decimal", str(value)
    if isinstance(value, (list, tuple)):
        return type(value) is tuple, [_plain(one) for one in value]
    if isinstance(value, Mapping):
        return b"mapping", [(_plain(key), _plain(one)) for key, one in value.items()]
    raise UncacheableError(f"a {type(value).__name__} has no content to compare")


def _option(name: str, value: Any, held: list[Any]) -> Any:
    if name == "registry" and value is not None:
        # Immutable, and not to be compared otherwise.
        held.append(value)
        return b"registry", id(value)
    if name == "json_options" and isinstance(value, Mapping):
        return [(key, _option(key, one, held)) for key, one in sorted(value.items())]
    return _plain(value)


def _grammar(source: Any, options: Mapping[str, Any]) -> tuple[str | None, str]:
    """Return the name and the text of a grammar that reads no file but itself."""
    if options.get("import_paths"):
        raise UncacheableError("files of import_paths may change")
    if not isinstance(source, (str, Path)):
        raise UncacheableError("a Lark object has no content to compare")
    from structgen._frontends.lark import read_grammar

    try:
        name, text = read_grammar(source)
    except (OSError, structgen.GrammarError) as error:
        # To be raised where errors of grammars are.
        raise UncacheableError(str(error)) from None
    if _FILE_IMPORT.search(text):
        raise UncacheableError("imported files may change")
    return name, text


@cache
def code_version() -> bytes:
    """Return a hash of all code that decides what a front end builds; 5 ms, once a process."""
    digest = hashlib.blake2b(digest_size=20)
    digest.update(repr((structgen.__version__, sys.version_info, unicodedata.unidata_version)).encode())
    package = Path(structgen.__file__).parent
    for folder in ("_frontends", "_types", "_cache"):
        for file in sorted((package / folder).rglob("*.py")):
            digest.update(str(file.relative_to(package)).encode() + b"\0" + file.read_bytes())
    for file in sorted(package.glob("_*.py")):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.digest()
