"""The plot of repetition in docs/benchmarks.md: ``python docs/plot_repetition.py ROWS`` draws it.

ROWS is what ``python -m jsonschemabench repetition --out ROWS`` has written.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import matplotlib

from jsonschemabench.repetition import MEASURES, METHODS, RepetitionRow, by_prompt, interval, read

matplotlib.use("svg")
import matplotlib.pyplot as plt

IMAGES = Path(__file__).parent / "images"
SHOWN = ("EGP", "TR-N", "TR-S", "CCP", "structural loops")
COLOURS = {"others": "#555", "RPG": "#1f5fa8", "grammar": "#2a7d2a", "grammar and RPG": "#e08a00"}


def family(method: str) -> str:
    """Return which of the colours a method has."""
    penalised = METHODS[method].penalty is not None
    if METHODS[method].constrained:
        return "grammar and RPG" if penalised else "grammar"
    return "RPG" if penalised else "others"


def plot_methods(rows: Sequence[RepetitionRow]) -> plt.Figure:
    """Each measure of each method, with its 95 percent interval."""
    methods = [name for name in METHODS if any(row.method == name for row in rows)][::-1]
    size = (11, 0.25 * len(methods) + 0.8)
    figure, axes = plt.subplots(1, len(SHOWN), figsize=size, sharey=True, layout="constrained")
    for axis, name in zip(axes, SHOWN, strict=True):
        for place, method in enumerate(methods):
            found = interval(by_prompt([row for row in rows if row.method == method], MEASURES[name]))
            colour = COLOURS[family(method)]
            axis.plot([found.low, found.high], [place, place], color=colour, linewidth=1.5)
            axis.plot([found.value], [place], "o", color=colour, markersize=4)
        axis.set(title=name, xlim=(-0.03, 1.03), xticks=(0, 0.5, 1), yticks=range(len(methods)))
        axis.grid(axis="x", color="#ddd", linewidth=0.6)
    axes[0].set_yticklabels(methods)
    return figure


def main() -> None:
    """Write the plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", type=Path, help="of python -m jsonschemabench repetition --out")
    parser.add_argument("--into", type=Path, default=IMAGES, help="folder of the plot")
    options = parser.parse_args()
    rows = read(options.rows)[1]
    if not rows:
        parser.error(f"{options.rows} has no rows: python -m jsonschemabench repetition --out {options.rows}")
    options.into.mkdir(parents=True, exist_ok=True)
    # Text stays text, and equal numbers make equal files.
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "structgen", "axes.spines.top": False})
    plt.rcParams.update({"axes.spines.right": False, "font.size": 9})
    plot_methods(rows).savefig(options.into / "repetition.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
