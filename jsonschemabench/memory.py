"""Resident memory of one process over many schemas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from jsonschemabench.results import Row

PARTS = 10
"""Into how many parts of equal length the run is cut."""

GROWTH_RATIO = 0.05
GROWTH_BYTES = 16 << 20
"""Growth between the middle and the end of a run that still counts as steady: the larger of the two."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the run: schemas seen by its end, median and highest resident memory after a schema."""

    schemas: int
    median_bytes: float
    highest_bytes: int


def parts(rows: Sequence[Row]) -> list[Part]:
    """Cut the rows of one process, in the order they were run, into :data:`PARTS`."""
    bounds = np.linspace(0, len(rows), min(PARTS, len(rows)) + 1, dtype=int)
    found = []
    for low, high in pairwise(bounds):
        resident = [row.rss_bytes for row in rows[low:high]]
        found.append(Part(int(high), float(np.median(resident)), max(resident)))
    return found


def steady(cut: Sequence[Part]) -> bool:
    """Whether memory stopped growing: the last part lies no higher than the middle one, within tolerance."""
    if len(cut) < PARTS:
        return False
    middle, last = cut[PARTS // 2].median_bytes, cut[-1].median_bytes
    return last - middle <= max(GROWTH_BYTES, GROWTH_RATIO * middle)
