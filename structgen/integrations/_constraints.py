"""What a request to a server asks for, and the automata made of it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import threading
from collections.abc import Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

from structgen import AutomatonCache, TokenAutomaton, Vocabulary

# A request may choose what the language is. Limits, files and code are the server's: a grammar that names a
# file, an import path or a postlexer object would reach into its machine.
_OPTIONS: dict[str, frozenset[str]] = {
    "json_schema": frozenset(
        (
            "whitespace",
            "property_order",
            "escapes",
            "numbers",
            "duplicate_keys",
            "formats",
            "draft",
            "nullable",
        )
    ),
    "regex": frozenset(("flavor", "flags")),
    "lark": frozenset(("start", "parser", "lexer", "g_regex_flags", "strict", "json_options")),
    "gbnf": frozenset(("root",)),
}
_OF_ROW = frozenset(("start_after", "finish_by"))

# The environment variable that names a directory for automata.
DIRECTORY = "STRUCTGEN_CACHE_DIR"

# Seconds for one compilation. A server's other requests may wait for it.
MAX_COMPILE_SECONDS = 20.0


@dataclasses.dataclass(frozen=True)
class Constraint:
    """One request's constraint.

    Parameters
    ----------
    kind : {"json_schema", "regex", "lark", "gbnf"}
        What `source` is.
    source : str or bytes or bool or dict
        The schema, pattern or grammar.
    options : mapping
        Options of the compiler.
    start_after : str or int or list of int, optional
        As of :class:`structgen.hf.AutomatonLogitsProcessor`.
    finish_by : int, optional
        Likewise.
    """

    kind: str
    source: Any
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    start_after: str | int | list[int] | None = None
    finish_by: int | None = None

    @classmethod
    def read(cls, request: Any) -> Constraint:
        """Read ``{"json_schema": {...}, "whitespace": "compact", "finish_by": 200}`` and the like.

        Raises
        ------
        ValueError
            It is not of that form.
        """
        if not isinstance(request, Mapping):
            raise ValueError(
                f"'structgen' must be a mapping with one of {', '.join(_OPTIONS)}, "
                f"not {type(request).__name__}"
            )
        kinds = [kind for kind in _OPTIONS if kind in request]
        if len(kinds) != 1:
            raise ValueError(
                f"'structgen' must have exactly one of {', '.join(_OPTIONS)}, "
                f"but has {' and '.join(kinds) or 'none'}"
            )
        (kind,) = kinds
        rest = {name: value for name, value in request.items() if name != kind}
        if unknown := sorted(set(rest) - _OPTIONS[kind] - _OF_ROW):
            raise ValueError(
                f"'structgen' has no option {unknown[0]!r} with {kind}; "
                f"there are {', '.join(sorted(_OPTIONS[kind] | _OF_ROW))}"
            )
        source = request[kind]
        if kind == "json_schema":
            if not isinstance(source, (Mapping, str, bool)):
                raise ValueError(f"'json_schema' must be a schema or its text, not {type(source).__name__}")
        elif not isinstance(source, str):
            raise ValueError(f"{kind!r} must be a str, not {type(source).__name__}")
        if kind == "lark" and source.endswith(".lark") and "\n" not in source:
            raise ValueError("'lark' must be the text of a grammar or 'grammars:NAME', not a file's name")
        budget = rest.pop("finish_by", None)
        if budget is not None and (isinstance(budget, bool) or not isinstance(budget, int) or budget < 1):
            raise ValueError(f"'finish_by' must be a positive number of tokens, not {budget!r}")
        return cls(kind, source, rest, rest.pop("start_after", None), budget)

    @property
    def key(self) -> str:
        """SHA-256 of all that the automaton depends on, besides the vocabulary."""
        # The order of a schema's properties counts, that of options doesn't.
        content = [self.kind, self.source, sorted(self.options.items())]
        return hashlib.sha256(json.dumps(content, default=repr).encode()).hexdigest()

    def compiled(self, cache: AutomatonCache) -> TokenAutomaton:
        """Return the automaton from a cache.

        Raises
        ------
        StructgenError
            The schema, pattern or grammar is wrong or cannot be enforced, or a limit was reached.
        ValueError, TypeError
            An option has no such value.
        """
        return cache.get(self.kind, self.source, max_compile_seconds=MAX_COMPILE_SECONDS, **self.options)

    def submitted(self, cache: AutomatonCache, executor: Executor) -> Future[TokenAutomaton]:
        """Return what will become of it: a thread of the executor makes it, where it is not there."""
        return cache.submit(
            executor, self.kind, self.source, max_compile_seconds=MAX_COMPILE_SECONDS, **self.options
        )


def new_cache(vocabulary: Vocabulary) -> AutomatonCache:
    """Return a cache for a server: on disk, too, where the environment names a directory."""
    return AutomatonCache(vocabulary, directory=os.environ.get(DIRECTORY) or None)


class AutomatonStore:
    """Compiles in worker threads, with a cache for each vocabulary.

    Parameters
    ----------
    workers : int
        Number of threads that compile.
    """

    def __init__(self, workers: int = 2) -> None:
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="structgen-compile")
        self._caches: dict[str, AutomatonCache] = {}
        self._lock = threading.Lock()

    def submit(self, constraint: Constraint, vocabulary: Vocabulary) -> Future[TokenAutomaton]:
        """Return the automaton, or what will become of it."""
        with self._lock:
            cache = self._caches.get(vocabulary.content_hash)
            if cache is None:
                cache = self._caches[vocabulary.content_hash] = new_cache(vocabulary)
        return constraint.submitted(cache, self._executor)
