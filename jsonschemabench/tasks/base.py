"""What a task is, and what a domain of tasks has to say about texts."""

from __future__ import annotations

import random
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from structgen import TokenAutomaton, Vocabulary

#: one prompt in this many is never trained on
HELD_OUT = 16


@dataclass(frozen=True, slots=True)
class Task:
    """One prompt and what counts as an answer.

    Attributes
    ----------
    prompt
        What the model reads; it ends with a line break.
    reference
        An answer that is right. There may be others.
    data
        What the domain needs to judge texts.
    """

    prompt: str
    reference: str
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def held_out(self) -> bool:
        """Whether the prompt is kept for tests: a function of the prompt alone."""
        return zlib.crc32(self.prompt.encode()) % HELD_OUT == 0


class Domain(ABC):
    """A kind of task: how tasks are made, what constrains their answers, and which answers are right.

    An answer is judged at three levels. The constraint is syntax, compiled to an automaton. The predicate is
    meaning that no automaton of the package knows, in Python, and asked about prefixes too. Whether the
    answer is right is only known to the checker, which no sampler sees.
    """

    name: str
    max_tokens: int
    """The longest answer in tokens of the bench's own model, the end token included."""

    @abstractmethod
    def make(self, rng: random.Random) -> Task:
        """Return a random task."""

    @abstractmethod
    def constraint(self, task: Task, vocabulary: Vocabulary) -> TokenAutomaton:
        """Return the automaton of the texts that are well-formed."""

    @abstractmethod
    def possible(self, task: Task, text: str) -> bool:
        """Return whether the predicate may hold for a continuation of an unfinished text.

        Once it is False, it is False for all continuations.
        """

    @abstractmethod
    def permitted(self, task: Task, text: str) -> bool:
        """Return whether the predicate holds for a finished text."""

    @abstractmethod
    def correct(self, task: Task, text: str) -> bool:
        """Return whether a finished text is a right answer. It may be any text."""

    def require(self) -> None:  # noqa: B027  most domains need nothing
        """Import what the domain needs beyond the package.

        Raises
        ------
        EngineUnavailableError
            Something is not installed; the message says how to get it.
        """

    def training_tasks(self, seed: int) -> Iterator[Task]:
        """Yield tasks that are not held out, without end."""
        rng = random.Random(f"train {self.name} {seed}")
        while True:
            task = self.make(rng)
            if not task.held_out:
                yield task

    def test_tasks(self, count: int, seed: int = 0) -> list[Task]:
        """Return different tasks that are held out; those of a smaller count come first in a larger one."""
        rng = random.Random(f"test {self.name} {seed}")
        tasks: dict[str, Task] = {}
        while len(tasks) < count:
            task = self.make(rng)
            if task.held_out:
                tasks.setdefault(task.prompt, task)
        return list(tasks.values())
