"""Potentials: what a text should be, as log scores of its prefixes and of the whole."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from structgen._core import DEAD, FINISHED
from structgen._errors import GuardDeadEnd, PotentialError, VocabularyError
from structgen.samplers._context import Context


@runtime_checkable
class Potential(Protocol):
    """A log score of texts, finished and unfinished.

    Scores are floats, ``-inf`` (impossible) included, NaN and ``+inf`` excluded. The laws, which
    :class:`structgen.testing.PotentialLaws` checks:

    * where ``prefix`` is ``-inf``, ``complete`` is, and so is ``prefix`` of every continuation;
    * ``prefix(context.extend(end))`` is ``complete(context)`` for every end token, and ``complete`` pays no
      heed to an end token that is there already;
    * batched answers equal single ones, and no answer depends on what was asked before.

    A potential whose scores are all 0 or ``-inf`` has an attribute ``boolean`` that is true.
    """

    def prefix(self, context: Context) -> float:
        """Return the log score of an unfinished text; ``-inf`` where no continuation is possible."""

    def complete(self, context: Context) -> float:
        """Return the log score of the text as a finished one."""

    def prefix_many(self, contexts: Sequence[Context]) -> list[float]:
        """Return :meth:`prefix` of each."""

    def complete_many(self, contexts: Sequence[Context]) -> list[float]:
        """Return :meth:`complete` of each."""


class BasePotential(ABC):
    """A potential by its two scores: batches are loops, and ``*`` makes products."""

    boolean: bool = False
    """Whether all scores are 0 or ``-inf``."""

    @abstractmethod
    def prefix(self, context: Context) -> float:
        """Return the log score of an unfinished text; ``-inf`` where no continuation is possible."""

    @abstractmethod
    def complete(self, context: Context) -> float:
        """Return the log score of the text as a finished one."""

    def prefix_many(self, contexts: Sequence[Context]) -> list[float]:
        """Return :meth:`prefix` of each."""
        return [self.prefix(context) for context in contexts]

    def complete_many(self, contexts: Sequence[Context]) -> list[float]:
        """Return :meth:`complete` of each."""
        return [self.complete(context) for context in contexts]

    def __mul__(self, other: Potential) -> Product:
        return Product(self, other)


class Product(BasePotential):
    """All of several potentials: their log scores add up.

    Parameters
    ----------
    *potentials : Potential
        Asked in this order, and not any further than the first ``-inf``: put the cheap ones first. Factors
        that are products themselves are opened.

    Notes
    -----
    A product without factors scores every text 0.
    """

    def __init__(self, *potentials: Potential) -> None:
        factors: list[Potential] = []
        for potential in potentials:
            factors.extend(potential.factors if isinstance(potential, Product) else (potential,))
        self.factors: tuple[Potential, ...] = tuple(factors)
        self.boolean = all(getattr(factor, "boolean", False) for factor in factors)

    def prefix(self, context: Context) -> float:
        """Return the sum of the factors' scores of an unfinished text."""
        return self.prefix_many([context])[0]

    def complete(self, context: Context) -> float:
        """Return the sum of the factors' scores of a finished text."""
        return self.complete_many([context])[0]

    def prefix_many(self, contexts: Sequence[Context]) -> list[float]:
        """Return :meth:`prefix` of each; every factor is asked once, about the texts that are left."""
        return self._sums(contexts, "prefix_many")

    def complete_many(self, contexts: Sequence[Context]) -> list[float]:
        """Return :meth:`complete` of each; every factor is asked once, about the texts that are left."""
        return self._sums(contexts, "complete_many")

    def _sums(self, contexts: Sequence[Context], method: str) -> list[float]:
        sums = [0.0] * len(contexts)
        alive = list(range(len(contexts)))
        for factor in self.factors:
            if not alive:
                break
            scores = getattr(factor, method)([contexts[i] for i in alive])
            for i, score in zip(alive, scores, strict=True):
                sums[i] += checked_score(score, factor, contexts[i])
            alive = [i for i in alive if sums[i] != -math.inf]
        return sums

    def __repr__(self) -> str:
        return " * ".join(map(repr, self.factors)) or "Product()"


class AutomatonPotential(BasePotential):
    """Whether an automaton takes the text: 0 or ``-inf``.

    Parameters
    ----------
    automaton : TokenAutomaton or Session
        States that are new once the automaton's table is full belong to a session of this object's own.
    """

    boolean = True

    def __init__(self, automaton: Any) -> None:
        self.automaton = automaton
        self.states = automaton.session() if hasattr(automaton, "session") else automaton
        """Where the states that :meth:`state` returns are valid."""

    def state(self, context: Context) -> int:
        """Return the automaton's state after the text, an end token included.

        Raises
        ------
        VocabularyError
            The context's vocabulary is not the automaton's.
        LimitError
            The automaton reached a limit.
        """
        state: int | None = context.memo.get(self)
        if state is not None:
            return state
        # Not recursive: a text may be longer than the interpreter's stack is deep.
        path = []
        while state is None:
            path.append(context)
            if context.parent is None:
                state = self._start(context)
                break
            context = context.parent
            state = context.memo.get(self)
        for context in reversed(path):
            if context.parent is not None:
                state = DEAD if state in (DEAD, FINISHED) else self.states.step(state, context.token)
            context.memo[self] = state
        assert state is not None
        return state

    def _start(self, root: Context) -> int:
        vocabulary = getattr(self.automaton, "vocabulary", root.vocabulary)
        if vocabulary != root.vocabulary:
            raise VocabularyError("the automaton was compiled for another vocabulary than the model's")
        start: int = self.states.start
        return start

    def prefix(self, context: Context) -> float:
        """Return 0 unless the automaton is dead after the text."""
        return -math.inf if self.state(context) == DEAD else 0.0

    def complete(self, context: Context) -> float:
        """Return 0 where the text may end."""
        state = self.state(context)
        return 0.0 if state == FINISHED or (state != DEAD and self.states.accepts(state)) else -math.inf

    def fill_masks(self, contexts: Sequence[Context], out: npt.NDArray[np.int32]) -> None:
        """Write the masks of the tokens that may follow.

        Parameters
        ----------
        contexts : sequence of Context
            ``n`` of them.
        out : ndarray of int32, shape (n, ceil(logits_size / 32))
            Bit ``t % 32`` of word ``t // 32`` says whether token ``t`` may follow. A row where guards of the
            automaton leave no token is empty.
        """
        states = [self.state(context) for context in contexts]
        # FINISHED has a mask of its own, the end tokens again; here nothing follows the end.
        states = [DEAD if state == FINISHED else state for state in states]
        try:
            self.states.fill_masks(states, out)
        except GuardDeadEnd:
            for row, state in enumerate(states):
                try:
                    self.states.fill_masks([state], out[row : row + 1])
                except GuardDeadEnd:
                    out[row] = 0

    def __repr__(self) -> str:
        return f"AutomatonPotential({self.automaton!r})"


def checked_score(score: float, potential: object, context: Context) -> float:
    """Return a score that a potential gave, if it is one.

    Raises
    ------
    PotentialError
        It is NaN or positive infinity.
    """
    if score < math.inf:
        return score
    reason = "the log score is NaN" if math.isnan(score) else "the log score is positive infinity"
    hint = "; answer a finite number, or -inf for what is impossible"
    raise PotentialError(reason + hint, potential=name_of(potential), context=context.text)


def name_of(potential: object) -> str:
    """Return what to call a potential or a predicate in a message."""
    name = getattr(potential, "__qualname__", None)
    return name if isinstance(name, str) else repr(potential)


def prefix_score(potential: Potential, context: Context) -> float:
    """Return ``potential.prefix(context)``, checked by :func:`checked_score`."""
    return checked_score(potential.prefix(context), potential, context)


def complete_score(potential: Potential, context: Context) -> float:
    """Return ``potential.complete(context)``, checked by :func:`checked_score`."""
    return checked_score(potential.complete(context), potential, context)
