"""The cache of compiled automata."""

from __future__ import annotations

import os
import threading
import weakref
from collections import Counter, OrderedDict
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

from structgen._building import new_builder
from structgen._cache._files import Files
from structgen._cache._keys import COMPILERS, Key, UncacheableError, code_version, key_of, snapshot
from structgen._cache._recording import Recorder, recording, replay
from structgen._compile import (
    MASK_CACHE_BYTES,
    MAX_COMPILE_SECONDS,
    MAX_EMPTINESS_STEPS,
    MAX_REGEX_NODES,
    MAX_STATES,
)
from structgen._core import TokenAutomaton
from structgen._errors import LimitError
from structgen._vocabulary import Vocabulary

# Automata grow while they are used: whenever one comes, those that were handed out since the last time are
# measured anew, and after so many look-ups all are.
_ALL_MEASURED_EVERY = 256

_COUNTS = (
    "hits",
    "waits",
    "loads",
    "compilations",
    "failures",
    "bypasses",
    "evictions",
    "memory_only",
)

_caches: weakref.WeakSet[AutomatonCache] = weakref.WeakSet()


class _Entry:
    """An automaton that is kept."""

    def __init__(self, automaton: TokenAutomaton, held: tuple[Any, ...], generation: int) -> None:
        self.automaton = automaton
        self.held = held
        self.generation = generation
        self.bytes = automaton.stats()["bytes"]


class _Flight:
    """A compilation that is waited for, and done by who claims it first."""

    def __init__(self, key: Key, kind: str, source: Any, options: dict[str, Any]) -> None:
        self.key = key
        self.kind = kind
        self.source = source
        self.options = options
        self.future: Future[TokenAutomaton] = Future()
        # It is shared: nobody can cancel it for the others.
        self.future.set_running_or_notify_cancel()
        self._unclaimed = threading.Lock()

    def claim(self) -> bool:
        return self._unclaimed.acquire(blocking=False)


class _AbandonedError(Exception):
    """Who compiled was interrupted: those who wait do it themselves."""


class AutomatonCache:
    """Compiled automata of one vocabulary, in memory and, where a directory is given, on disk.

    Automata are found by content: equal constraints with equal options share one automaton. Threads that ask
    for the same at the same time wait for one compilation, and hold no other up.

    Parameters
    ----------
    vocabulary : Vocabulary
        The tokens of the model.
    max_bytes : int
        Memory for automata; those that were used least recently go. Automata that are in use elsewhere live
        on, and the one that was asked for last is never dropped. The tables that all automata of a
        vocabulary share are not counted: they have a budget of their own, above which new ones are begun. The
        old ones live as long as an automaton that uses them, so those of before are dropped then.
    directory : str or os.PathLike, optional
        Where automata are kept for other processes and later ones; several processes may share it. It is made
        if need be. Where it cannot be written, everything works without, and a warning is logged.
    max_disk_bytes : int
        Size of the files there; those that were used least recently are removed.

    Raises
    ------
    ValueError
        A budget is negative.

    Notes
    -----
    What is wrong with a constraint is raised as by its ``compile_`` function, each time that it is asked for:
    errors are not kept. Every file has a checksum. One that is damaged, truncated, of another version or of
    something else is made anew, with a warning of the logger ``structgen.cache``. The checksum protects from
    accidents, not from people: whoever can write into the directory decides what the automata allow.

    Kept in memory alone are automata of Lark grammars, those that ask Python (formats that no regular
    expression decides, schemas with guards), those with a ``registry``, and all while a format with a
    predicate is registered. Lark grammars that import files, and ``lark.Lark`` objects, are compiled each
    time. See ``docs/caching.md``.

    A cache is safe to share between threads, works in the child of a process that forks, and is pickled
    without its automata.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        *,
        max_bytes: int = 512 << 20,
        directory: str | os.PathLike[str] | None = None,
        max_disk_bytes: int = 1 << 30,
    ) -> None:
        if max_bytes < 0 or max_disk_bytes < 0:
            raise ValueError("max_bytes and max_disk_bytes must not be negative")
        self._vocabulary = vocabulary
        self._max_bytes = max_bytes
        folder = None if directory is None else Path(directory) / "automata"
        self._use(None if folder is None else Files(folder, max_disk_bytes))
        self._kept: OrderedDict[str, _Entry] = OrderedDict()
        self._bytes = 0
        self._added = 0
        self._generation = 0
        self._flights: dict[str, _Flight] = {}
        # What was handed out since it was measured.
        self._grown: dict[str, _Entry] = {}
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        _caches.add(self)

    def _use(self, files: Files | None) -> None:
        self._files = files
        # In memory all is made by this code.
        self._version = b"" if files is None else code_version()

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self._vocabulary, self._max_bytes, self._files)

    def __len__(self) -> int:
        """Return the number of automata in memory."""
        return len(self._kept)

    @property
    def vocabulary(self) -> Vocabulary:
        """The vocabulary of all automata."""
        return self._vocabulary

    def json_schema(self, schema: dict[str, Any] | str | bytes | bool, **options: Any) -> TokenAutomaton:
        """Return the automaton of :func:`compile_json_schema`.

        Parameters
        ----------
        schema : dict, str, bytes or bool
            The schema. The order of its keys counts.
        **options
            Options of :func:`compile_json_schema`.

        Returns
        -------
        TokenAutomaton
            Shared with everybody who asked for the same.

        Raises
        ------
        SchemaError, UnsatisfiableSchemaError, LimitError
            As :func:`compile_json_schema`.
        """
        return self.get("json_schema", schema, **options)

    def regex(self, pattern: str, **options: Any) -> TokenAutomaton:
        """Return the automaton of :func:`compile_regex`; see :meth:`json_schema`."""
        return self.get("regex", pattern, **options)

    def lark(self, grammar: Any, **options: Any) -> TokenAutomaton:
        """Return the automaton of :func:`compile_lark`; see :meth:`json_schema`."""
        return self.get("lark", grammar, **options)

    def gbnf(self, grammar: str, **options: Any) -> TokenAutomaton:
        """Return the automaton of :func:`compile_gbnf`; see :meth:`json_schema`."""
        return self.get("gbnf", grammar, **options)

    def type(self, type_: Any, **options: Any) -> TokenAutomaton:
        """Return the automaton of :func:`compile_type`; see :meth:`json_schema`."""
        return self.get("type", type_, **options)

    def get(self, kind: str, source: Any, **options: Any) -> TokenAutomaton:
        """Return an automaton, from memory, from disk or compiled.

        Parameters
        ----------
        kind : {"json_schema", "regex", "lark", "gbnf", "type"}
            What `source` is.
        source : object
            As the function ``compile_`` and `kind` takes it.
        **options
            Its options.

        Returns
        -------
        TokenAutomaton
            Shared with everybody who asked for the same.

        Raises
        ------
        ValueError
            There is no such kind.
        TypeError
            There is no such option.
        StructgenError
            As the function says.
        """
        kind, source, options = _schema(kind, source, options)
        key = self._key(kind, source, options)
        if key is None:
            return COMPILERS[kind](source, self._vocabulary, **options)
        while True:
            found = self._begin(key, kind, source, options)
            if not isinstance(found, _Flight):
                return found
            if found.claim():
                self._run(found)
            try:
                return found.future.result()
            except _AbandonedError:
                continue

    def submit(self, executor: Executor, kind: str, source: Any, **options: Any) -> Future[TokenAutomaton]:
        """Return what will become of :meth:`get`, which a thread of an executor runs.

        Parameters
        ----------
        executor : concurrent.futures.Executor
            Of threads.
        kind, source, **options
            As of :meth:`get`.

        Returns
        -------
        concurrent.futures.Future
            Done already where the automaton is in memory.

        Raises
        ------
        ValueError, TypeError
            There is no such kind, or no such option.
        """
        kind, source, options = _schema(kind, source, options)
        key = self._key(kind, source, options)
        if key is None:
            return executor.submit(COMPILERS[kind], source, self._vocabulary, **options)
        # Whoever submits may change it before a thread gets there, and it would be kept for what it was.
        found = self._begin(key, kind, snapshot(source), options)
        if not isinstance(found, _Flight):
            done: Future[TokenAutomaton] = Future()
            done.set_result(found)
            return done
        flight = found

        def run() -> None:
            if flight.claim():
                self._run(flight)

        executor.submit(run)
        return flight.future

    def stats(self) -> dict[str, int]:
        """Measure the automata anew, and return sizes and counts since the cache was made.

        Returns
        -------
        dict[str, int]
            In memory: ``automata`` and their ``bytes``. On disk: ``files`` and ``file_bytes``, of all
            processes. Of look-ups: ``hits`` (in memory), ``waits`` (for a compilation under way), ``loads``
            (from disk), ``compilations``, ``failures`` (constraints that are wrong), ``bypasses`` (compiled
            without a look: there is no content to compare). Besides, ``evictions`` from memory; ``writes``
            to disk, ``memory_only`` compilations of what has no form on disk, and ``damaged`` files that
            were made anew.
        """
        self._measure(all_of_them=True)
        files, file_bytes = (0, 0) if self._files is None else self._files.sizes()
        with self._lock:
            return {
                "automata": len(self._kept),
                "bytes": self._bytes,
                "files": files,
                "file_bytes": file_bytes,
                **{name: self._counts[name] for name in _COUNTS},
                "writes": 0 if self._files is None else self._files.written,
                "damaged": 0 if self._files is None else self._files.damaged,
            }

    def clear(self, *, disk: bool = False) -> None:
        """Forget all automata.

        Parameters
        ----------
        disk : bool
            Remove the files, too, for all processes.
        """
        with self._lock:
            forgotten = list(self._kept.values())  # they go when the lock is free
            self._kept.clear()
            self._grown.clear()
            self._bytes = 0
        del forgotten
        if disk and self._files is not None:
            self._files.clear()

    # -- looking up ------------------------------------------------------------------------

    def _key(self, kind: str, source: Any, options: dict[str, Any]) -> Key | None:
        try:
            return key_of(kind, source, options, self._vocabulary.content_hash, self._version)
        except UncacheableError:
            with self._lock:
                self._counts["bypasses"] += 1
            return None

    def _begin(self, key: Key, kind: str, source: Any, options: dict[str, Any]) -> TokenAutomaton | _Flight:
        """Return the automaton, or else the flight that will bring it."""
        with self._lock:
            entry = self._kept.get(key.digest)
            if entry is None:
                flight = self._flights.get(key.digest)
                if flight is None:
                    flight = self._flights[key.digest] = _Flight(key, kind, source, options)
                else:
                    self._counts["waits"] += 1
                return flight
            self._kept.move_to_end(key.digest)
            self._grown[key.digest] = entry
            self._counts["hits"] += 1
            due = self._counts["hits"] % _ALL_MEASURED_EVERY == 0
        if due:
            self._measure(all_of_them=True)
        return entry.automaton

    def _run(self, flight: _Flight) -> None:
        """Load or compile what a flight is for."""
        try:
            recorders: list[Recorder] = []
            # Before: new tables may be begun meanwhile, and the automaton still use the old ones.
            generation = self._vocabulary.native.stats()["generations"]
            automaton = self._loaded(flight)
            if automaton is None:
                automaton, recorders = self._compiled(flight)
            self._keep(flight.key, automaton, generation)
        except Exception as error:
            self._land(flight, "failures")
            flight.future.set_exception(error)
            return
        except BaseException:
            self._land(flight)
            flight.future.set_exception(_AbandonedError())
            raise
        self._land(flight)
        flight.future.set_result(automaton)
        if recorders:
            self._write(flight.key, recorders)

    def _land(self, flight: _Flight, count: str | None = None) -> None:
        with self._lock:
            # A child that was forked meanwhile has forgotten its parent's.
            if self._flights.get(flight.key.digest) is flight:
                del self._flights[flight.key.digest]
            if count is not None:
                self._counts[count] += 1

    def _loaded(self, flight: _Flight) -> TokenAutomaton | None:
        if self._files is None or not flight.key.storable:
            return None
        record = self._files.read(flight.key.digest)
        if record is None:
            return None
        options = flight.options
        builder = new_builder(
            self._vocabulary,
            max_regex_nodes=options.get("max_regex_nodes", MAX_REGEX_NODES),
            max_emptiness_steps=options.get("max_emptiness_steps", MAX_EMPTINESS_STEPS),
            max_compile_seconds=options.get("max_compile_seconds", MAX_COMPILE_SECONDS),
        )
        try:
            automaton = replay(
                record,
                builder,
                max_states=options.get("max_states", MAX_STATES),
                mask_cache_bytes=options.get("mask_cache_bytes", MASK_CACHE_BYTES),
            )
        except LimitError:
            return None  # compiling will say which
        except Exception as error:
            self._files.discard(flight.key.digest, f"it cannot be built ({error!r})")
            return None
        automaton.vocabulary = self._vocabulary
        with self._lock:
            self._counts["loads"] += 1
        return automaton

    def _compiled(self, flight: _Flight) -> tuple[TokenAutomaton, list[Recorder]]:
        compiler = COMPILERS[flight.kind]
        recorders: list[Recorder] = []
        if self._files is None or not flight.key.storable:
            automaton = compiler(flight.source, self._vocabulary, **flight.options)
        else:
            with recording() as recorders:
                automaton = compiler(flight.source, self._vocabulary, **flight.options)
        with self._lock:
            self._counts["compilations"] += 1
            self._counts["memory_only"] += self._files is not None and not recorders
        return automaton, recorders

    def _write(self, key: Key, recorders: list[Recorder]) -> None:
        assert self._files is not None
        record = recorders[0].record() if len(recorders) == 1 else None
        if record is not None:
            self._files.write(key.digest, record)
        else:
            with self._lock:
                self._counts["memory_only"] += 1

    # -- memory ----------------------------------------------------------------------------

    def _keep(self, key: Key, automaton: TokenAutomaton, generation: int) -> None:
        entry = _Entry(automaton, key.held, generation)
        dropped = []
        with self._lock:
            self._kept[key.digest] = self._grown[key.digest] = entry
            self._bytes += entry.bytes
            self._added += 1
            due = self._added % _ALL_MEASURED_EVERY == 0
            if generation > self._generation:
                self._generation = generation
                old = [digest for digest, kept in self._kept.items() if kept.generation < generation]
                dropped = [self._drop(digest) for digest in old]  # they go when the lock is free
        del dropped
        self._measure(all_of_them=due)

    def _measure(self, *, all_of_them: bool) -> None:
        """Measure what was handed out since it was measured, or everything, and drop what is too much."""
        with self._lock:
            grown, self._grown = self._grown, {}
            if all_of_them:
                grown = dict(self._kept)
        # An automaton at work is waited for: not with the lock.
        sizes = {digest: entry.automaton.stats()["bytes"] for digest, entry in grown.items()}
        dropped = []
        with self._lock:
            for digest, entry in grown.items():
                if self._kept.get(digest) is entry:
                    self._bytes += sizes[digest] - entry.bytes
                    entry.bytes = sizes[digest]
            while self._bytes > self._max_bytes and len(self._kept) > 1:
                dropped.append(self._drop(next(iter(self._kept))))  # it goes when the lock is free
        del dropped

    def _drop(self, digest: str) -> _Entry:
        entry = self._kept.pop(digest)
        self._grown.pop(digest, None)
        self._bytes -= entry.bytes
        self._counts["evictions"] += 1
        return entry

    def _renew(self) -> None:
        """Forget what other threads were at: in the child of a process that has forked."""
        self._lock = threading.Lock()
        self._flights = {}
        if self._files is not None:
            self._files.renew_lock()


def _schema(kind: str, source: Any, options: dict[str, Any]) -> tuple[str, Any, dict[str, Any]]:
    """Return the schema of a type in place of the type."""
    if kind == "type":
        from structgen._types import schema_of

        if "draft" in options:
            raise TypeError("the schema of a type is of draft 2020-12: there is no option 'draft'")
        return "json_schema", schema_of(source), {**options, "draft": "2020-12"}
    if kind not in COMPILERS:
        raise ValueError(f"kind must be one of {', '.join((*COMPILERS, 'type'))}, not {kind!r}")
    return kind, source, options


def _restored(vocabulary: Vocabulary, max_bytes: int, files: Files | None) -> AutomatonCache:
    cache = AutomatonCache(vocabulary, max_bytes=max_bytes)
    cache._use(files)
    return cache


def _renew_all() -> None:
    for cache in list(_caches):
        cache._renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
