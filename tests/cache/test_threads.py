"""Threads that ask at the same time, and processes that fork."""

import functools
import os
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor

import pytest

import structgen
from structgen import AutomatonCache, compile_regex
from structgen._cache import _keys
from tests.cache.support import VOCABULARY, allowed

WAIT = 60.0


class Compiler:
    """A compiler that says when it has begun, and goes on when it is told to."""

    def __init__(self) -> None:
        self.begun, self.may_end = threading.Event(), threading.Event()
        self.calls = 0
        self.error: BaseException | None = None

    def __call__(self, pattern, vocabulary, **options):
        self.calls += 1
        if pattern == "slow":
            error, self.error = self.error, None
            self.begun.set()
            assert self.may_end.wait(WAIT)
            if error is not None:
                raise error
        return compile_regex(pattern, vocabulary, **options)


@pytest.fixture
def compiler(monkeypatch):
    made = Compiler()
    monkeypatch.setitem(_keys.COMPILERS, "regex", functools.wraps(compile_regex)(made))
    return made


def waiting(cache: AutomatonCache, count: int) -> bool:
    """Return once so many look-ups wait."""
    for _ in range(int(WAIT * 100)):
        if cache.stats()["waits"] >= count:
            return True
        threading.Event().wait(0.01)
    return False


def test_threads_wait_for_one_compilation_and_others_do_not(compiler):
    cache = AutomatonCache(VOCABULARY)
    with ThreadPoolExecutor(4) as threads:
        results = [threads.submit(cache.regex, "slow") for _ in range(4)]
        assert compiler.begun.wait(WAIT)
        assert waiting(cache, 3)
        # Others are neither found late nor made late.
        quick = cache.regex("quick")
        assert cache.regex("quick") is quick
        assert not any(result.done() for result in results)
        compiler.may_end.set()
        made = {id(result.result(WAIT)) for result in results}
    assert len(made) == 1
    assert compiler.calls == 2
    assert cache.stats()["compilations"] == 2


def test_threads_share_a_failure(compiler):
    cache = AutomatonCache(VOCABULARY)
    compiler.error = structgen.RegexError("too slow", pattern="slow")
    with ThreadPoolExecutor(3) as threads:
        results = [threads.submit(cache.regex, "slow") for _ in range(3)]
        assert compiler.begun.wait(WAIT)
        assert waiting(cache, 2)
        compiler.may_end.set()
        for result in results:
            with pytest.raises(structgen.RegexError, match="too slow"):
                result.result(WAIT)
    assert compiler.calls == 1
    assert cache.regex("slow") is cache.regex("slow")


def test_who_waits_for_an_interrupted_thread_compiles_itself(compiler):
    cache = AutomatonCache(VOCABULARY)
    compiler.error = KeyboardInterrupt()
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(cache.regex, "slow")
        assert compiler.begun.wait(WAIT)
        second = threads.submit(cache.regex, "slow")
        assert waiting(cache, 1)
        compiler.may_end.set()
        with pytest.raises(KeyboardInterrupt):
            first.result(WAIT)
        assert second.result(WAIT) is cache.regex("slow")
    assert compiler.calls == 2


def test_submit(compiler):
    cache = AutomatonCache(VOCABULARY)
    with ThreadPoolExecutor(1) as threads:
        first = cache.submit(threads, "regex", "slow")
        assert compiler.begun.wait(WAIT)
        second = cache.submit(threads, "regex", "slow")
        behind = cache.submit(threads, "regex", "behind")
        assert not first.cancel()
        # What still waits for a thread is compiled by who needs it now.
        assert cache.regex("behind").vocabulary is VOCABULARY
        assert behind.done()
        assert not first.done()
        compiler.may_end.set()
        assert first.result(WAIT) is second.result(WAIT)
        assert cache.submit(threads, "regex", "slow").done()
        wrong = cache.submit(threads, "regex", "(")
        with pytest.raises(structgen.RegexError):
            wrong.result(WAIT)
        with pytest.raises(TypeError):
            cache.submit(threads, "regex", "a", flavour="ecma")
        bypass = cache.submit(threads, "lark", 'start: "a"', import_paths=["/nowhere"])
        assert bypass.result(WAIT) is not cache.lark('start: "a"')
    assert compiler.calls == 3


@pytest.mark.parametrize("kind", [dict, OrderedDict])
def test_what_is_submitted_may_change_afterwards(kind):
    cache = AutomatonCache(VOCABULARY)
    schema = kind(enum=[1, 2])
    may_begin = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        threads.submit(may_begin.wait, WAIT)
        submitted = cache.submit(threads, "json_schema", schema)
        schema["enum"][0] = 3
        may_begin.set()
        made = submitted.result(WAIT)
    assert made.advance_bytes(made.start, b"1") != structgen.DEAD
    assert made.advance_bytes(made.start, b"3") == structgen.DEAD
    assert cache.json_schema(kind(enum=[1, 2])) is made
    assert cache.json_schema(schema) is not made


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_does_not_wait_for_its_parents_threads(compiler, tmp_path):
    cache = AutomatonCache(VOCABULARY, directory=tmp_path)
    kept = cache.regex("kept")
    with ThreadPoolExecutor(1) as threads:
        result = threads.submit(cache.regex, "slow")
        assert compiler.begun.wait(WAIT)
        cache._lock.acquire()
        child = os.fork()
        if child == 0:
            try:
                compiler.may_end.set()
                made = cache.regex("slow")
                right = cache.regex("kept") is kept and allowed(made, made.start) == [ord("s")]
                os._exit(0 if right else 1)
            except BaseException:
                os._exit(2)
        cache._lock.release()
        assert os.waitpid(child, 0)[1] == 0
        compiler.may_end.set()
        assert result.result(WAIT) is cache.regex("slow")
