"""Adjacent repeats at the end of a growing sequence, of any period, found as soon as they are complete.

A *run* of period p is a stretch in which every symbol equals the one p before it, as long to both sides as
that holds; it counts from two copies of its unit on, and only under its least period. In ``C A B A B`` the
unit is ``A B``: the run begins where the repeating does, and that is where its copies are counted from.

A run of period p is first seen when its second copy is complete. For periods from m to 2m - 1, m a power of
two, that is looked for at every (m / 2)-th symbol: one Z-function of the reversed last 4m symbols (Main and
Lorentz, 1984) says how far the end repeats what is p before it, for all p at once. Where less than m / 2
symbols are missing to a second copy, a check is scheduled for when they are there. That is a constant
number of steps per symbol and power of two: O(log window), amortised. A check compares the texts
themselves, no hashes.
"""

from typing import NamedTuple


class Run(NamedTuple):
    """A run that reaches the end of the sequence.

    Attributes
    ----------
    period : int
        Symbols of the unit, the least possible.
    matched : int
        Symbols that equal the one `period` before them: what follows the first copy.
    """

    period: int
    matched: int

    @property
    def repeats(self) -> int:
        """Complete copies of the unit after the first."""
        return self.matched // self.period

    @property
    def position(self) -> int:
        """Where in the unit the next symbol stands; 0 where the next copy would begin."""
        return self.matched % self.period


class Repeats(NamedTuple):
    """The end of a sequence and the runs there. Immutable, so that branches share what came before.

    Symbols are characters. Two copies of a unit must fit into the window for a run to be found; afterwards it
    is followed for as long as it goes on. Appending copies the window, one ``memcpy`` of `window` characters.
    """

    window: int
    text: str = ""
    """The last symbols, at least `window` of them if there were as many."""
    length: int = 0
    """Symbols so far."""
    runs: tuple[Run, ...] = ()
    due: tuple[tuple[int, int, int], ...] = ()
    """Squares that may come: (length at which the second copy is complete, period, missing symbols)."""

    def append(self, symbol: str) -> "Repeats":
        """Return the sequence with one more symbol."""
        text = (self.text + symbol)[-self.window - 1 :]
        length = self.length + 1
        runs = [Run(p, n + 1) for p, n in self.runs if text[-p - 1] == symbol]
        now = {period: missing for at, period, missing in self.due if at == length}
        later = [entry for entry in self.due if entry[0] > length]
        for period, missing in sorted(now.items()):
            end = len(text)
            if text[end - missing :] == text[end - missing - period : end - period]:
                _add(runs, period)
        later += _expected(text, length, self.window)
        return Repeats(self.window, text, length, tuple(runs), tuple(later))

    def expected(self, run: Run) -> str:
        """Return the symbol that would continue `run`."""
        return self.text[-run.period]

    def nearly(self) -> list[Run]:
        """Return what is one symbol short of a complete copy: runs, and squares that would be new."""
        near = [run for run in self.runs if run.position == run.period - 1]
        known = {run.period for run in self.runs}
        end = len(self.text)
        for at, period, missing in self.due:
            done = missing - 1
            if at != self.length + 1 or period in known:
                continue
            if self.text[end - done :] == self.text[end - done - period : end - period]:
                known.add(period)
                near.append(Run(period, period - 1))
        return near


def _add(runs: list[Run], period: int) -> None:
    """Add the run of a square just complete, unless a run of a shorter period explains it."""
    if any(period % p == 0 and n + p >= 2 * period for p, n in runs):
        return
    runs.append(Run(period, period))


def _expected(text: str, length: int, window: int) -> list[tuple[int, int, int]]:
    """Return the squares that may be complete soon: (length then, period, missing symbols)."""
    found = []
    least = 1
    while 2 * least <= window:
        step = max(1, least // 2)
        if length % step == 0:
            # Symbols before the second copy's end that must be there already.
            block = least - step
            highest = min(2 * least - 1, window // 2)
            begin = max(0, len(text) - highest - block)
            if len(text) >= least + block and (
                block == 0 or text.find(text[-block:], begin, len(text) - least) >= 0
            ):
                reach = _common_suffixes(text[-2 * highest - 1 :], highest)
                for period in range(least, highest + 1):
                    missing = period - reach[period]
                    if 0 < missing <= step:
                        found.append((length + missing, period, missing))
        least *= 2
    return found


def _common_suffixes(text: str, highest: int) -> list[int]:
    """Return, for each p up to `highest`, how many symbols at the end of `text` equal those p before."""
    reverse = text[::-1]
    size = len(reverse)
    z = [0] * (max(highest, size) + 1)
    left = right = 0
    for i in range(1, min(highest, size - 1) + 1):
        k = min(right - i, z[i - left]) if i < right else 0
        while i + k < size and reverse[k] == reverse[i + k]:
            k += 1
        z[i] = k
        if i + k > right:
            left, right = i, i + k
    return z
