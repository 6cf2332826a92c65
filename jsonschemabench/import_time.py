"""How long an import takes in a fresh interpreter."""

from __future__ import annotations

import statistics
import subprocess
import sys

_PROGRAM = (
    "import time; begin = time.perf_counter_ns(); import {module}; print(time.perf_counter_ns() - begin)"
)


class ImportTimeError(Exception):
    """The module can't be imported; the message holds what the interpreter said."""


def measure(module: str, runs: int) -> list[float]:
    """Import ``module`` in fresh interpreters, one after the other.

    Parameters
    ----------
    module
        Its dotted name.
    runs
        How many times; a first run more, which fills the file caches, is not counted.

    Returns
    -------
    list of float
        Milliseconds, in the order measured.

    Raises
    ------
    ImportTimeError
        If the import fails or takes over a minute.
    ValueError
        If ``module`` is no dotted name, or ``runs`` is not positive.
    """
    if not all(part.isidentifier() for part in module.split(".")):
        raise ValueError(f"{module!r} is not the name of a module")
    if runs < 1:
        raise ValueError(f"runs must be positive, not {runs}")
    times = []
    for _ in range(runs + 1):
        try:
            done = subprocess.run(
                [sys.executable, "-c", _PROGRAM.format(module=module)],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ImportTimeError(f"import {module} takes over a minute") from error
        if done.returncode:
            raise ImportTimeError(f"import {module} fails:\n{done.stderr.strip()}")
        times.append(int(done.stdout.split()[-1]) / 1e6)
    return times[1:]


def median(times: list[float]) -> float:
    """The middle value, in the unit of ``times``."""
    return statistics.median(times)
