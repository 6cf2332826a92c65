"""Plots as inline SVG: marks have classes, colours come from the page, so that they follow its theme."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape

import numpy as np
import numpy.typing as npt

from jsonschemabench.report import figure
from jsonschemabench.reports.sections import Point

Values = npt.NDArray[np.float64]

COLOURS = 8
"""Series have the classes ``c0`` to ``c7``, and then again."""

WIDTH, HEIGHT = 640, 380
# On the left there is room for ten million and the title of the axis.
_LEFT, _RIGHT, _TOP, _BOTTOM = 96, 30, 14, 50
_POINTS = 160
_BINS = 48
# Of a label, about.
_CHARACTER, _LINE = 7.0, 13.0


class _Frame:
    """Axes, and where values lie between them."""

    def __init__(self, x: tuple[float, float], y: tuple[float, float], label: str) -> None:
        self._x, self._y = x, y
        self.parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">']

    def x(self, value: float) -> float:
        low, high = self._x
        return _LEFT + (value - low) / (high - low) * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        low, high = self._y
        return HEIGHT - _BOTTOM - (value - low) / (high - low) * (HEIGHT - _TOP - _BOTTOM)

    def axes(
        self, xs: Iterable[tuple[float, str]], ys: Iterable[tuple[float, str]], x_title: str, y_title: str
    ) -> None:
        bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
        for value, text in xs:
            at = self.x(value)
            self.parts.append(f'<path class="grid" d="M{at:.1f} {_TOP}V{bottom}"/>')
            self.parts.append(f'<text x="{at:.1f}" y="{bottom + 18}" class="mid">{escape(text)}</text>')
        for value, text in ys:
            at = self.y(value)
            self.parts.append(f'<path class="grid" d="M{_LEFT} {at:.1f}H{right}"/>')
            self.parts.append(f'<text x="{_LEFT - 8}" y="{at + 4:.1f}" class="end">{escape(text)}</text>')
        middle = (_LEFT + right) / 2
        self.parts.append(f'<text x="{middle}" y="{HEIGHT - 8}" class="mid title">{escape(x_title)}</text>')
        self.parts.append(
            f'<text transform="translate(14 {(_TOP + bottom) / 2}) rotate(-90)" class="mid title">'
            f"{escape(y_title)}</text>"
        )

    def line(self, number: int, points: Iterable[tuple[float, float]], name: str) -> None:
        path = "L".join(f"{self.x(x):.1f} {self.y(y):.1f}" for x, y in points)
        self.parts.append(
            f'<path class="line c{number % COLOURS}" d="M{path}"><title>{escape(name)}</title></path>'
        )

    def done(self) -> str:
        return "".join(self.parts) + "</svg>"


def legend(names: Sequence[str]) -> str:
    """Return the names of the series, each with its mark."""
    items = "".join(
        f'<li><svg viewBox="0 0 28 8" aria-hidden="true"><path class="line c{number % COLOURS}" d="M0 4H28"/>'
        f"</svg>{escape(name)}</li>"
        for number, name in enumerate(names)
    )
    return f'<ul class="legend">{items}</ul>'


def percentile_curves(series: Mapping[str, Values], unit: str) -> str:
    """Plot percentiles, from the least value to the greatest; equal steps right are equal factors of rarity.

    Parameters
    ----------
    series
        Positive values by name, shape (n,) each.
    unit
        Of the values.

    Returns
    -------
    str
        SVG; empty where there are no values.
    """
    shown = {name: np.maximum(values, 1e-6) for name, values in series.items() if len(values)}
    if not shown:
        return ""
    most = max(1.0, max(math.log10(len(values)) for values in shown.values()))
    low, high = _log_range(shown.values())
    frame = _Frame((0.0, most), (low, high), f"percentiles, {unit}")
    # A percentile p lies at -log10(1 - p): 90, 99 and 99.9 are one apart.
    ticks = [(0.0, "min"), (-math.log10(0.5), "p50")]
    ticks += [(float(count), _nines(count)) for count in range(1, int(most) + 1)]
    frame.axes(ticks, _decades(low, high), "percentile", unit)
    for number, (name, values) in enumerate(series.items()):
        if name not in shown:
            continue
        at = np.linspace(0.0, max(1e-9, math.log10(len(values))), _POINTS)
        heights = np.quantile(shown[name], 1.0 - 10.0**-at)
        heights[-1] = shown[name].max()
        frame.line(number, zip(at, np.log10(heights), strict=True), name)
    return frame.done()


def _nines(count: int) -> str:
    return "p90" if count == 1 else "p99" + ("." + "9" * (count - 2) if count > 2 else "")


def histogram(series: Mapping[str, Values], unit: str, counted: str) -> str:
    """Plot how often which values are, in equal steps of their logarithm, as outlines over each other."""
    shown = {name: np.maximum(values, 1e-6) for name, values in series.items() if len(values)}
    if not shown:
        return ""
    low, high = _log_range(shown.values())
    edges = np.linspace(low, high, _BINS + 1)
    counts = {name: np.histogram(np.log10(values), edges)[0] for name, values in shown.items()}
    top = max(1, max(int(count.max()) for count in counts.values()))
    frame = _Frame((low, high), (0.0, top * 1.05), f"histogram, {unit}")
    frame.axes(_decades(low, high), _round_steps(top), unit, counted)
    for number, name in enumerate(series):
        if name in counts:
            steps = [(edges[0], 0.0)]
            for i, count in enumerate(counts[name]):
                steps += [(edges[i], float(count)), (edges[i + 1], float(count))]
            frame.line(number, [*steps, (edges[-1], 0.0)], name)
    return frame.done()


def scatter(points: Sequence[Point], cost: str, quality: str) -> str:
    """Plot quality against cost, with intervals; the upper left is best. Shares from 0 to 1."""
    if not points:
        return ""
    low, high = _log_range([np.array([max(point.cost, 1e-6) for point in points])])
    frame = _Frame((low, high), (0.0, 1.05), f"{quality} against {cost}")
    frame.axes(_decades(low, high), [(i / 5, f"{i * 20}%") for i in range(6)], cost, quality)
    marks = []
    for number, point in enumerate(points):
        x, y = frame.x(math.log10(max(point.cost, 1e-6))), frame.y(point.quality)
        name = f"{point.name}: {point.quality:.1%} at {figure(point.cost)}"
        colour = f"c{number % COLOURS}"
        if point.low < point.high:
            ends = f"M{x:.1f} {frame.y(point.low):.1f}V{frame.y(point.high):.1f}"
            frame.parts.append(f'<path class="line {colour}" d="{ends}"/>')
        frame.parts.append(
            f'<circle class="{colour}" cx="{x:.1f}" cy="{y:.1f}" r="5"><title>{escape(name)}</title></circle>'
        )
        marks.append((x, y, point.name))
    frame.parts += _labels(marks)
    return frame.done()


def _labels(marks: Sequence[tuple[float, float, str]]) -> list[str]:
    """Write names beside their marks, inside the plot, each moved down until it is clear of those above."""
    parts = []
    taken: list[tuple[float, float, float]] = []
    for x, y, name in sorted(marks, key=lambda mark: mark[1]):
        width = _CHARACTER * len(name)
        at_left = x + 9 + width > WIDTH
        left = x - 9 - width if at_left else x + 9
        while any(
            left < right and begin < left + width and abs(y - other) < _LINE for begin, right, other in taken
        ):
            y += 1
        taken.append((left, left + width, y))
        where = f'class="name end" x="{x - 9:.1f}"' if at_left else f'class="name" x="{left:.1f}"'
        parts.append(f'<text {where} y="{y + 4:.1f}">{escape(name)}</text>')
    return parts


def _log_range(series: Iterable[Values]) -> tuple[float, float]:
    parts = list(series)
    low = math.floor(min(math.log10(float(values.min())) for values in parts) * 2) / 2
    high = math.ceil(max(math.log10(float(values.max())) for values in parts) * 2) / 2
    return low, max(high, low + 1.0)


def _decades(low: float, high: float) -> list[tuple[float, str]]:
    # Between few powers of ten there is room for more.
    factors = (1, 2, 5) if high - low <= 2 else (1,)
    ticks = []
    for power in range(math.floor(low), math.floor(high) + 1):
        for factor in factors:
            at = power + math.log10(factor)
            if low <= at <= high:
                ticks.append((at, f"{factor * 10**power:,}" if power >= 0 else f"{factor * 10.0**power:g}"))
    return ticks


def _round_steps(top: int) -> list[tuple[float, str]]:
    rough = max(1.0, top / 5)
    base = 10 ** math.floor(math.log10(rough))
    step = next(factor * base for factor in (1, 2, 5, 10) if factor * base >= rough)
    return [(float(value), f"{value:,}") for value in range(0, top + 1, step)]
