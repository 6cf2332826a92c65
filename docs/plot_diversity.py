"""The plots of diverse beam search: ``python docs/plot_diversity.py`` writes them into docs/images.

``--rows FILE`` takes what ``python -m jsonschemabench diversity --out FILE`` has measured; the rest, and
without it everything, is measured as that command does it.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib

from jsonschemabench.diversity import (
    DiversityRow,
    Settings,
    Value,
    fields_of,
    interval,
    oracle_at,
    read,
    run,
)

matplotlib.use("svg")
import matplotlib.pyplot as plt

IMAGES = Path(__file__).parent / "images"
COLOURS = {
    "beams": "#555",
    "hamming": "#1f5fa8",
    "ngram": "#2a7d2a",
    "structural": "#e08a00",
    "sampling": "#c22",
}
GROUPS = {2: "#8fb8dd", 3: "#4f8cc9", 6: "#1f5fa8"}
STRENGTHS = (0.0, 0.2, 0.5, 0.8, 1.2, 2.0, 3.0)
TITLES = {"captions": "captions", "records": "JSON records", "sql": "SQL"}

Run = Callable[[str, Sequence[str], Settings], list[DiversityRow]]


def plot_oracle(measure: Run) -> plt.Figure:
    """Oracle@k by k, for plain beams, diverse beams and samples."""
    figure, panels = plt.subplots(1, 3, figsize=(9.5, 3), layout="constrained")
    ks = range(1, 7)
    for axis, (field, title) in zip(panels, TITLES.items(), strict=True):
        rows = measure(field, list(COLOURS), Settings())
        for method, colour in COLOURS.items():
            mine = [row for row in rows if row.method == method]
            means, lows, highs = _bands(mine, [oracle_at(k) for k in ks])
            axis.plot(ks, means, "o-", color=colour, markersize=3, label=method)
            axis.fill_between(ks, lows, highs, color=colour, alpha=0.1, linewidth=0)
        axis.set(title=title, xlabel="k", ylabel="oracle@k")
    panels[0].legend(frameon=False, fontsize=8)
    return figure


def plot_strength(measure: Run) -> plt.Figure:
    """Oracle@6, distinct-4 and log-probability by the strength and the number of groups, on captions."""
    figure, panels = plt.subplots(1, 3, figsize=(9.5, 3), layout="constrained")
    values: dict[str, Value] = {
        "oracle@6": oracle_at(6),
        "distinct-4": lambda row: row.distinct[3],
        "log-probability per token": lambda row: row.per_token,
    }
    plain = measure("captions", ["beams"], Settings())
    for axis, value in zip(panels, values.values(), strict=True):
        (mean,), (low,), (high,) = _bands(plain, [value])
        axis.axhline(mean, color=COLOURS["beams"], linestyle=":", label="plain beams")
        axis.axhspan(low, high, color=COLOURS["beams"], alpha=0.1, linewidth=0)
    for groups, colour in GROUPS.items():
        swept = [measure("captions", ["hamming"], Settings(6, groups, s)) for s in STRENGTHS]
        for axis, value in zip(panels, values.values(), strict=True):
            bands = [_bands(rows, [value]) for rows in swept]
            means, lows, highs = ([band[i][0] for band in bands] for i in range(3))
            axis.plot(STRENGTHS, means, "o-", color=colour, markersize=3, label=f"{groups} groups")
            axis.fill_between(STRENGTHS, lows, highs, color=colour, alpha=0.1, linewidth=0)
    for axis, name in zip(panels, values, strict=True):
        axis.set(xlabel="diversity strength", ylabel=name)
    panels[0].legend(frameon=False, fontsize=8)
    return figure


def _bands(
    rows: Sequence[DiversityRow], values: Sequence[Value]
) -> tuple[list[float], list[float], list[float]]:
    """Return means and the ends of their intervals."""
    found = [i for value in values if (i := interval(rows, value)) is not None]
    return [i.mean for i in found], [i.low for i in found], [i.high for i in found]


def main() -> None:
    """Write the plots."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=Path, metavar="FILE", help="what has been measured already")
    parser.add_argument("--tasks", type=int, default=20, help="prompts per field and seed")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--into", type=Path, default=IMAGES, help="folder of the plots")
    options = parser.parse_args()
    options.into.mkdir(parents=True, exist_ok=True)
    fields: dict[str, Any] = {}
    known, rows = (None, []) if options.rows is None else read(options.rows)

    def measure(field: str, methods: Sequence[str], settings: Settings) -> list[DiversityRow]:
        found = [row for row in rows if row.field == field and row.method in methods]
        if settings == known and {row.method for row in found} == set(methods):
            return found
        if field not in fields:
            (fields[field],) = fields_of([field])
        return run([fields[field]], methods, options.tasks, options.seeds, settings)

    # Text stays text, and equal numbers make equal files.
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "structgen", "axes.spines.top": False})
    plt.rcParams.update({"axes.spines.right": False, "font.size": 9})
    for name, figure in (
        ("diversity-oracle", plot_oracle(measure)),
        ("diversity-strength", plot_strength(measure)),
    ):
        figure.savefig(options.into / f"{name}.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
