"""Sets of Unicode scalar values as sorted, disjoint, non-adjacent, inclusive ranges."""

import bisect
import functools
from collections.abc import Iterable

from structgen._frontends.regex._limits import MAX_CELLS, limit_error

Ranges = tuple[tuple[int, int], ...]

MAX_CODE_POINT = 0x10FFFF
NONE: Ranges = ()
ALL: Ranges = ((0, 0xD7FF), (0xE000, MAX_CODE_POINT))


def normalise(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Sort and merge ranges that may overlap, and drop surrogates, which no string contains."""
    merged: list[tuple[int, int]] = []
    last = -2
    for low, high in sorted(ranges):
        if low <= last + 1:
            if high > last:
                merged[-1] = (merged[-1][0], high)
                last = high
        else:
            merged.append((low, high))
            last = high
    if not merged or last < 0xD800:
        return tuple(merged)
    return _without_surrogates(merged)


def _without_surrogates(ranges: list[tuple[int, int]]) -> Ranges:
    kept: list[tuple[int, int]] = []
    for low, high in ranges:
        if high < 0xD800 or low > 0xDFFF:
            kept.append((low, high))
            continue
        if low < 0xD800:
            kept.append((low, 0xD7FF))
        if high > 0xDFFF:
            kept.append((0xE000, high))
    return tuple(kept)


@functools.lru_cache(maxsize=1024)
def complement(ranges: Ranges) -> Ranges:
    """All scalar values outside ``ranges``."""
    gaps: list[tuple[int, int]] = []
    following = 0
    for low, high in ranges:
        if low > following:
            gaps.append((following, low - 1))
        following = high + 1
    if following <= MAX_CODE_POINT:
        gaps.append((following, MAX_CODE_POINT))
    return _without_surrogates(gaps)


@functools.lru_cache(maxsize=1024)
def union(*sets: Ranges) -> Ranges:
    """The scalar values in at least one of the sets."""
    return normalise([pair for ranges in sets for pair in ranges])


@functools.lru_cache(maxsize=1024)
def intersection(left: Ranges, right: Ranges) -> Ranges:
    """The scalar values in both sets."""
    shared: list[tuple[int, int]] = []
    i = j = 0
    while i < len(left) and j < len(right):
        low = max(left[i][0], right[j][0])
        high = min(left[i][1], right[j][1])
        if low <= high:
            shared.append((low, high))
        if left[i][1] < right[j][1]:
            i += 1
        else:
            j += 1
    return tuple(shared)


@functools.lru_cache(maxsize=256)
def partition(*sets: Ranges) -> tuple[Ranges, ...]:
    """The coarsest partition of all scalar values in which every set is a union of cells."""
    cells = [ALL]
    for ranges in sets:
        outside = complement(ranges)
        split: list[Ranges] = []
        for cell in cells:
            split += [part for part in (intersection(cell, ranges), intersection(cell, outside)) if part]
        if len(split) > MAX_CELLS:
            raise limit_error("assertions tell too many sets of characters apart", "max_cells", MAX_CELLS)
        cells = split
    return tuple(cells)


def contains(ranges: Ranges, code_point: int) -> bool:
    """Whether the scalar value is in the set."""
    index = bisect.bisect_right(ranges, (code_point, MAX_CODE_POINT))
    return index > 0 and code_point <= ranges[index - 1][1]
