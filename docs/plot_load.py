"""The plot of a load test: ``python docs/plot_load.py load.json`` writes load.svg into docs/images."""

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

IMAGES = Path(__file__).parent / "images"
MIB = 1 << 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="what `python -m jsonschemabench load --out` has written")
    parser.add_argument("--into", type=Path, default=IMAGES, help="folder (default: docs/images)")
    options = parser.parse_args()
    run = json.loads(options.file.read_text(encoding="utf-8"))
    samples, settings = run["samples"], run["settings"]
    minutes = [sample["step"] * settings["step_ms"] / 60_000 for sample in samples]

    # The same file for the same figures.
    plt.rcParams.update({"svg.hashsalt": "load", "font.size": 9, "axes.grid": True, "grid.alpha": 0.3})
    figure, (memory, latency) = plt.subplots(2, 1, figsize=(7.5, 5.6), sharex=True, layout="constrained")
    for name, colour, label in (
        ("rss_bytes", "#1f5fa8", "resident"),
        ("table_bytes", "#e08a00", "shared tables of the newest generation"),
        ("automata_bytes", "#2a7d2a", "automata that are kept"),
    ):
        memory.plot(
            minutes, [sample[name] / MIB for sample in samples], color=colour, label=label, linewidth=1
        )
    memory.set(ylabel="MiB", ylim=(0, None))
    memory.legend(loc="lower right", bbox_to_anchor=(1.0, 0.13))
    for name, colour, label in (
        ("max_us", "#c22", "slowest"),
        ("p99_us", "#e08a00", "p99"),
        ("p50_us", "#1f5fa8", "median"),
    ):
        latency.plot(
            minutes, [sample[name] / 1000 for sample in samples], color=colour, label=label, linewidth=0.8
        )
    latency.set(
        yscale="log",
        xlabel="simulated minutes",
        ylabel=f"ms for the masks and steps\nof {settings['requests']} requests",
    )
    latency.legend(loc="upper right")
    options.into.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.into / "load.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
