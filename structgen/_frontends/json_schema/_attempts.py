"""Budgets for claims with many cases: what would take too long is taken back, and becomes a guard."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._lower import Lowering

# Cases of one value's claims that are looked at. A number of cases, not a time: results must not vary.
_CASES = 20_000

# What every attempt may look at, however many others it is within.
_FEW_CASES = 256


class _TooManyCases(Exception):  # noqa: N818
    """The claims of a value have more cases than an attempt looks at."""


class Attempts:
    """Counts the cases of claims for one document."""

    def __init__(self, lowering: Lowering) -> None:
        self._lowering = lowering
        self._cases = 0
        # The number of cases at which the present attempt ends.
        self._last_case = sys.maxsize

    def spend(self) -> None:
        """Note one more case of a claim; ends the attempt when it has become too many."""
        self._cases += 1
        if self._cases > self._last_case:
            raise _TooManyCases
        if not self._cases & 255:
            self._lowering.check_time()

    def attempt(self, work: Callable[[], int]) -> int | None:
        """Lower something that may have very many cases; None, and nothing done, when it has too many."""
        outer = self._last_case
        # An attempt within another one leaves it half of what is left; but the few cases that each level of a
        # deep schema has are never too many.
        allowed = _CASES if outer == sys.maxsize else max((outer - self._cases) // 2, _FEW_CASES)
        self._last_case = self._cases + allowed
        state = self._lowering.state()
        try:
            return work()
        except _TooManyCases:
            self._lowering.take_back(state)
            return None
        finally:
            self._last_case = outer
