"""Random programs run over all of their outcomes, in rational arithmetic."""

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import TypeVar

from structgen.samplers._estimators import NONE, Outcome

Result = TypeVar("Result")


class Tail(Exception):  # noqa: N818 - an outcome, not an error
    """A number drawn without limit went beyond what is enumerated."""


class Chooser:
    """Follows a script of choices, and then takes first options, noting what else there was."""

    def __init__(self, script: Sequence[int]) -> None:
        self.path = list(script)
        self.at = 0
        self.probability = Fraction(1)
        self.alternatives: list[list[int]] = []

    def choose(self, probabilities: Sequence[Fraction]) -> int:
        possible = [i for i, p in enumerate(probabilities) if p]
        if self.at == len(self.path):
            self.alternatives += [[*self.path, other] for other in possible[1:]]
            self.path.append(possible[0])
        choice = self.path[self.at]
        self.at += 1
        self.probability *= probabilities[choice]
        return choice


def outcomes(program: Callable[[Chooser], Result]) -> Iterator[tuple[Fraction, Result | None]]:
    """Yield every outcome of a random program with its probability; None for :class:`Tail`."""
    scripts: list[list[int]] = [[]]
    while scripts:
        chooser = Chooser(scripts.pop())
        try:
            result: Result | None = program(chooser)
        except Tail:
            result = None
        yield chooser.probability, result
        scripts += chooser.alternatives


class EnumeratedRace:
    """A race whose every draw is a choice."""

    whole = Fraction(1)

    def __init__(self, probabilities: Sequence[Fraction], chooser: Chooser, most_repeats: int = 0) -> None:
        self._probabilities = probabilities
        self._chooser = chooser
        self._most_repeats = most_repeats
        self._left = {token for token, p in enumerate(probabilities) if p}
        self._rest = Fraction(1)

    def next(self) -> int:
        left = sorted(self._left)
        if not left:
            return NONE
        total = sum(self._probabilities[t] for t in left)
        token = left[self._chooser.choose([self._probabilities[t] / total for t in left])]
        self._left.remove(token)
        return token

    def put_back(self, token: int) -> None:
        self._left.add(token)

    def reject(self, token: int) -> None:
        self._rest -= self._probabilities[token]

    def mass(self, token: int) -> Fraction:
        return self._probabilities[token]

    def rest(self) -> Fraction:
        return self._rest

    def repeats(self, at_most: int | None) -> int:
        most = self._most_repeats if at_most is None else at_most
        again = 1 - self._rest
        count = self._chooser.choose([again**k * self._rest for k in range(most)] + [again**most])
        if at_most is None and count == most and again:
            raise Tail
        return count


Estimate = Callable[[EnumeratedRace, Callable[[int], bool]], Outcome[Fraction]]


class Expectation:
    """What an estimator does on average, exactly."""

    def __init__(
        self,
        probabilities: Sequence[Fraction],
        allowed: set[int],
        estimate: Estimate,
        most_repeats: int = 0,
    ) -> None:
        self.weights = [Fraction(0)] * len(probabilities)
        """E[w 1(token = x)] for every x."""
        self.calls = Fraction(0)
        self.tail = Fraction(0)
        """Probability of what is not enumerated."""
        self.most_asked = 0
        """How often the same token was asked about at most."""

        def program(chooser: Chooser) -> tuple[Outcome[Fraction], list[int]]:
            asked: list[int] = []

            def ask(token: int) -> bool:
                asked.append(token)
                return token in allowed

            return estimate(EnumeratedRace(probabilities, chooser, most_repeats), ask), asked

        total = Fraction(0)
        for probability, result in outcomes(program):
            total += probability
            if result is None:
                self.tail += probability
                continue
            outcome, asked = result
            if outcome.numerator:
                weight = outcome.mass * Fraction(outcome.numerator, outcome.denominator)
                self.weights[outcome.token] += probability * weight
            self.calls += probability * len(asked)
            self.most_asked = max(self.most_asked, *(asked.count(t) for t in asked), 0)
        assert total == 1
