"""What the load test is made of: requests that walk under masks, and automata from a cache."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from time import perf_counter_ns
from typing import Any

import numpy as np
import numpy.typing as npt

import structgen
from jsonschemabench.datasets import Case
from jsonschemabench.vocabularies import BenchVocabulary

Mask = npt.NDArray[np.int32]

SHORTEST_WALK, LONGEST_WALK = 8, 512
"""Bound of the tokens of a random walk: log-uniform between these."""

LONGEST_INSTANCE = 2048
"""Tokens; longer ones would not be written under a server's bound."""

MAX_COMPILE_SECONDS = 20.0
"""As in the integrations with servers."""

REASONS = ("finished", "cut", "departed", "refused", "dead end", "limit")
"""How a request ends: with its end token; at its bound of tokens; where a recorded instance is not in the
language of the default options; for its schema does not compile; where a guard leaves no token; at a limit.
"""


class Compiled:
    """Automata by schema from a cache within a budget of bytes; worker threads compile.

    Parameters
    ----------
    vocabulary : structgen.Vocabulary
        Of all automata.
    budget_bytes
        Of all automata that are kept.
    workers
        Number of threads.

    Attributes
    ----------
    cache
        What is kept.
    compile_ns
        Of each request whose automaton was not there at once, until it was: the wait for a worker included.
    """

    def __init__(self, vocabulary: structgen.Vocabulary, budget_bytes: int, workers: int) -> None:
        self.cache = structgen.AutomatonCache(vocabulary, max_bytes=budget_bytes)
        self.compile_ns: list[int] = []
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="load-compile")

    def submit(self, case: Case) -> Future[structgen.TokenAutomaton]:
        """Return the automaton of a case, or what will become of it."""
        begin = perf_counter_ns()
        future = self.cache.submit(
            self._executor, "json_schema", case.schema, max_compile_seconds=MAX_COMPILE_SECONDS
        )

        def done(future: Future[structgen.TokenAutomaton]) -> None:
            if not future.cancelled() and future.exception() is None:
                self.compile_ns.append(perf_counter_ns() - begin)

        if not future.done():
            future.add_done_callback(done)
        return future

    def close(self) -> None:
        """End the threads."""
        self._executor.shutdown(cancel_futures=True)


class Traffic:
    """Which schema is asked for next, and by what kind of request.

    Schemas are drawn by Zipf's law (the n-th most popular with probability proportional to 1/n) among those
    that no other request has at the moment. Half of the requests write an instance that the dataset calls
    valid, if there is one; all others take random tokens up to a bound.

    Parameters
    ----------
    cases
        In the order of their popularity, more than there are requests at a time.
    vocabulary
        Tokenises the instances.
    seed
        Of all choices.
    """

    def __init__(self, cases: Sequence[Case], vocabulary: BenchVocabulary, seed: int) -> None:
        self._cases = cases
        self._vocabulary = vocabulary
        self._rng = random.Random(seed)
        self._total = list(np.cumsum(1.0 / np.arange(1, len(cases) + 1)))
        self._running: set[str] = set()

    def next(self, compiled: Compiled) -> Request:
        """Return a request for a schema that no other has now."""
        while True:
            (case,) = self._rng.choices(self._cases, cum_weights=self._total)
            if case.name not in self._running:
                break
        self._running.add(case.name)
        valid = [instance for instance in case.instances if instance.valid]
        tokens = None
        if valid and self._rng.random() < 0.5:
            instance = self._rng.choice(valid)
            try:
                tokens = self._vocabulary.encode(
                    instance.text or json.dumps(instance.data, ensure_ascii=False)
                )
            except UnicodeEncodeError:
                # Lone surrogates are not UTF-8.
                tokens = None
        return Request(case.name, compiled.submit(case), tokens, self._rng, self._vocabulary.eos_token_id)

    def over(self, request: Request) -> None:
        """Let the schema of a request be asked for again."""
        self._running.discard(request.name)


class Request:
    """One request: its automaton, once that is compiled, its place, and where it goes from there.

    Parameters
    ----------
    name
        Of its schema.
    future
        Its automaton.
    tokens
        The recorded instance that it writes; None for a random walk.
    rng
        Of the random walk.
    eos
        The end token.
    """

    __slots__ = (
        "_left", "_planned", "_rng", "_session", "end", "future", "name", "state", "tokens"
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        future: Future[structgen.TokenAutomaton],
        tokens: list[int] | None,
        rng: random.Random,
        eos: int,
    ) -> None:
        self.name = name
        self.future = future
        self.tokens = 0
        self.state = 0
        self.end: str | None = None
        self._rng = rng
        self._session: Any = None
        self._left = 0
        # Backwards: the next token is the last.
        self._planned: list[int] | None = None
        if tokens is None or len(tokens) > LONGEST_INSTANCE:
            self._left = round(math.exp(rng.uniform(math.log(SHORTEST_WALK), math.log(LONGEST_WALK))))
        else:
            self._planned = [eos, *reversed(tokens)]

    def begin(self) -> None:
        """Open the session; a schema that does not compile ends the request."""
        try:
            self._session = self.future.result().session()
        except structgen.StructgenError:
            self.end = "refused"
            return
        self.state = self._session.start

    def fill(self, out: Mask) -> None:
        """Write the mask of what may come next; `out` has shape (W,)."""
        try:
            self._session.fill_mask(self.state, out)
        except structgen.StructgenError as error:
            self.end = "dead end" if isinstance(error, structgen.GuardDeadEnd) else "limit"

    def choose(self, mask: Mask) -> int | None:
        """Return the next token: what a model would be for. None where the request is cut off."""
        if self._planned is not None:
            return self._planned.pop()
        if not self._left:
            self.end = "cut"
            return None
        self._left -= 1
        return self._drawn(mask)

    def _drawn(self, mask: Mask) -> int:
        words = np.flatnonzero(mask)
        if not len(words):
            raise AssertionError(f"{self.name}: no token is allowed in a state that is not dead")
        word = int(words[int(self._rng.random() * len(words))])
        bits = int(mask[word]) & 0xFFFFFFFF
        chosen = int(self._rng.random() * bits.bit_count())
        for _ in range(chosen):
            bits &= bits - 1
        return 32 * word + (bits & -bits).bit_length() - 1

    def step(self, token: int) -> None:
        """Go on by a token."""
        try:
            self.state = self._session.step(self.state, token)
        except structgen.StructgenError:
            self.end = "limit"
            return
        self.tokens += 1
        if self.state == structgen.FINISHED:
            self.end = "finished"
        elif self.state == structgen.DEAD:
            self.end = "departed"
