"""The ``quality`` run: sampling methods side by side on the tasks of five domains."""

from __future__ import annotations

import argparse
import hashlib
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from jsonschemabench import results
from jsonschemabench.engines import EngineUnavailableError
from jsonschemabench.report import Printer, figure
from jsonschemabench.studies import RowFile, names, repository_model
from jsonschemabench.tasks import DOMAINS

METHODS = {
    "unconstrained": "the model alone",
    "local": "mask, no weights: plain constrained decoding",
    "local-predicate": "mask and predicate, no weights",
    "rerank": "sample-and-rerank by syntax and predicate",
    "mask-smc": "SMC: mask as proposal, predicate as critic",
    "awrs-smc": "SMC: AWRS by syntax and predicate together",
    "mask-awrs-smc": "SMC: mask as proposal, AWRS by the predicate",
}
"""What is compared, by the name that ``--methods`` takes."""

REFERENCE = "local"
"""The method that differences are taken to."""

WEIGHTS = Path("examples", "tiny_model", "quality_weights")
RESAMPLES = 2000
_LEVEL = 95


class Progress(Protocol):
    """A progress bar."""

    def advance(self, text: str) -> None:
        """Note that one more run is done."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What must be the same for rows to be comparable.

    Attributes
    ----------
    model
        Digest of the weights.
    particles
        Of every method.
    """

    model: str
    particles: int


@dataclass(frozen=True, slots=True)
class QualityRow:
    """One method on one task with one seed.

    Attributes
    ----------
    domain, task, method, seed
        Which run it is; the task by its number.
    accuracy
        Whether one sequence drawn by the weights is right, 1 or 0.
    posterior
        Weight of all right sequences together.
    conforming
        Weight of all sequences that satisfy syntax and predicate.
    evaluations
        Tokens that the model was run on, over all particles, the prompt counted as one.
    predicate_calls
        How often the predicate was computed.
    seconds
        Wall-clock time, the model's included, the compilation of the constraint not.
    dead
        Whether there was no sequence at all, which counts as wrong.
    text
        The sequence that was drawn.
    """

    domain: str
    task: int
    method: str
    seed: int
    accuracy: float
    posterior: float
    conforming: float
    evaluations: int
    predicate_calls: int
    seconds: float
    dead: bool
    text: str

    @property
    def key(self) -> tuple[str, int, str, int]:
        """Which run it is."""
        return self.domain, self.task, self.method, self.seed


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with the ends of its confidence interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.2f} [{self.low:.2f}, {self.high:.2f}]"


def bootstrap(groups: Sequence[Sequence[float]], resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """Return the mean over groups of their means, with a percentile bootstrap interval of 95 percent.

    Parameters
    ----------
    groups
        One value per task, for each domain; tasks are drawn again within their domain. Seeds are no
        samples of their own: they belong to the value of a task.
    resamples, seed
        Of the bootstrap.

    References
    ----------
    Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), sections 13.3 and 8.3.
    """
    if not groups or not all(len(group) for group in groups):
        raise ValueError("a bootstrap needs at least one value in each group")
    rng = np.random.default_rng(seed)
    means = np.zeros(resamples)
    for group in groups:
        values = np.asarray(group, dtype=np.float64)
        means += values[rng.integers(len(values), size=(resamples, len(values)))].mean(1)
    tail = (100 - _LEVEL) / 2
    low, high = np.percentile(means / len(groups), [tail, 100 - tail])
    mean = statistics.fmean(statistics.fmean(group) for group in groups)
    return Interval(mean, float(low), float(high))


def by_task(rows: Iterable[QualityRow], value: Callable[[QualityRow], float]) -> dict[tuple[str, int], float]:
    """Return the mean over seeds of a value, by domain and task."""
    values = defaultdict(list)
    for row in rows:
        values[row.domain, row.task].append(value(row))
    return {key: statistics.fmean(group) for key, group in values.items()}


def interval(rows: Sequence[QualityRow], value: Callable[[QualityRow], float]) -> Interval:
    """Return the mean of a value over the tasks of each domain, and over the domains."""
    return bootstrap(_grouped(by_task(rows, value)))


def difference(
    rows: Sequence[QualityRow], others: Sequence[QualityRow], value: Callable[[QualityRow], float]
) -> Interval | None:
    """Return how much higher a value is than another method's on the same tasks; None if there are none."""
    mine, theirs = by_task(rows, value), by_task(others, value)
    both = {key: mine[key] - theirs[key] for key in mine if key in theirs}
    return bootstrap(_grouped(both)) if both else None


def _grouped(values: dict[tuple[str, int], float]) -> list[list[float]]:
    groups = defaultdict(list)
    for (domain, _), value in sorted(values.items()):
        groups[domain].append(value)
    return list(groups.values())


# -- files -------------------------------------------------------------------------------------------------


def _file(path: Path) -> RowFile[Settings, QualityRow]:
    return RowFile(path, "quality", Settings, lambda content: QualityRow(**content))


def read(path: Path) -> tuple[Settings | None, list[QualityRow]]:
    """Read the rows of a file; a last line that was cut off is left out.

    Raises
    ------
    ValueError
        The file is none of this command's.
    """
    return _file(path).read()


# -- the run -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """Which runs to do.

    Attributes
    ----------
    domains, methods
        Names.
    tasks, seeds
        How many per domain, and per task and method.
    particles
        Of every method.
    """

    domains: Sequence[str]
    methods: Sequence[str]
    tasks: int
    seeds: int
    particles: int

    def keys(self) -> list[tuple[str, int, str, int]]:
        """Return all runs: domains alternate, and so does the method that goes first on a task."""
        keys = []
        for task in range(self.tasks):
            turn = task % len(self.methods)
            for domain in self.domains:
                for seed in range(self.seeds):
                    keys += [(domain, task, m, seed) for m in (*self.methods[turn:], *self.methods[:turn])]
        return keys


def run(
    plan: Plan,
    bench: Any,
    done: Sequence[QualityRow] = (),
    report: Callable[[QualityRow], None] = lambda _: None,
) -> list[QualityRow]:
    """Do the runs of a plan that are not done yet.

    Parameters
    ----------
    plan
        The runs.
    bench : jsonschemabench.sampler_quality_methods.Bench
        The model.
    done
        Rows of earlier runs, which are kept if they are of the plan.
    report
        Called with every row, old ones first.

    Raises
    ------
    EngineUnavailableError
        A domain needs a package that is not installed.
    """
    for name in plan.domains:
        DOMAINS[name].require()
    tasks = {name: DOMAINS[name].test_tasks(plan.tasks) for name in plan.domains}
    keys = plan.keys()
    known = {row.key: row for row in done}
    rows = [known[key] for key in keys if key in known]
    for row in rows:
        report(row)
    at, automaton = None, None
    for domain, number, method, seed in keys:
        if (domain, number, method, seed) in known:
            continue
        task = tasks[domain][number]
        if at != (domain, number):
            at, automaton = (domain, number), DOMAINS[domain].constraint(task, bench.vocabulary)
        row = bench.run(DOMAINS[domain], number, task, automaton, method, plan.particles, seed)
        rows.append(row)
        report(row)
    return rows


# -- tables ------------------------------------------------------------------------------------------------

HEADER = (
    "",
    "accuracy",
    "posterior accuracy",
    f"minus {REFERENCE}",
    "conforming",
    "evaluations",
    "predicate calls",
    "ms",
    "dead",
)


def tables(rows: Sequence[QualityRow]) -> list[tuple[str, list[list[str]]]]:
    """Return a table for each domain and, of several, one for all of them: titles and rows of cells."""
    domains = [name for name in DOMAINS if any(row.domain == name for row in rows)]
    groups = [(name, [row for row in rows if row.domain == name]) for name in domains]
    if len(domains) > 1:
        groups.append(("all domains", list(rows)))
    return [(name, _table(group)) for name, group in groups]


def _table(rows: Sequence[QualityRow]) -> list[list[str]]:
    found = dict.fromkeys(row.method for row in rows)
    methods = [name for name in METHODS if name in found] + [name for name in found if name not in METHODS]
    others = [row for row in rows if row.method == REFERENCE]
    table = []
    for name in methods:
        mine = [row for row in rows if row.method == name]
        gain = difference(mine, others, lambda row: row.posterior) if name != REFERENCE else None
        table.append(
            [
                name,
                str(interval(mine, lambda row: row.accuracy)),
                str(interval(mine, lambda row: row.posterior)),
                "" if gain is None else f"{gain.mean:+.2f} [{gain.low:+.2f}, {gain.high:+.2f}]",
                f"{statistics.fmean(row.conforming for row in mine):.2f}",
                figure(statistics.fmean(row.evaluations for row in mine)),
                figure(statistics.fmean(row.predicate_calls for row in mine)),
                figure(1e3 * statistics.fmean(row.seconds for row in mine)),
                f"{statistics.fmean(row.dead for row in mine):.0%}",
            ]
        )
    return table


def markdown(rows: Sequence[QualityRow]) -> str:
    """Return the tables as Markdown."""
    text = []
    for title, table in tables(rows):
        lines = [(title, *HEADER[1:]), ("---",) * len(HEADER), *table]
        text.append("".join(f"| {' | '.join(cells)} |\n" for cells in lines))
    return "\n".join(text)


# -- the command -------------------------------------------------------------------------------------------


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command to those of the command line."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "quality", help="sampling methods on five domains of tasks: accuracy, cost, confidence intervals"
    )
    parser.add_argument("--domains", default=",".join(DOMAINS), help="comma-separated (default: %(default)s)")
    parser.add_argument("--methods", default=",".join(METHODS), help="comma-separated (default: %(default)s)")
    parser.add_argument("--tasks", type=int, default=25, help="tasks per domain (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="seeds per task (default: %(default)s)")
    parser.add_argument("--particles", type=int, default=5, help="of every method (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="4 tasks per domain and one seed")
    parser.add_argument(
        "--model", type=Path, metavar="DIR", help=f"model and tokenizer (default: {WEIGHTS} of the checkout)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="keep rows as JSON lines; what is there already is not run again",
    )
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the tables as Markdown")
    parser.add_argument("--plain", action="store_true", help="plain text even where rich is installed")
    return parser


def command(options: argparse.Namespace, progress: Callable[[int], AbstractContextManager[Progress]]) -> int:
    """Run the command.

    Raises
    ------
    ValueError
        An option is wrong, or `--out` is a file of another run.
    EngineUnavailableError
        Something is not installed, or there is no model.
    """
    plan = Plan(
        names(options.domains, DOMAINS, "--domains"),
        names(options.methods, METHODS, "--methods"),
        4 if options.quick else options.tasks,
        1 if options.quick else options.seeds,
        options.particles,
    )
    if min(plan.tasks, plan.seeds, plan.particles) < 1:
        raise ValueError("--tasks, --seeds and --particles are 1 at least")
    folder = options.model or default_model()
    try:
        from jsonschemabench.sampler_quality_methods import Bench
    except ImportError as error:
        raise EngineUnavailableError(
            f"the quality run needs PyTorch and transformers ({error}): pip install 'structgen[hf]'"
        ) from error
    bench = Bench.load(folder)
    settings = Settings(digest(folder), plan.particles)
    file = _file(options.out) if options.out is not None else None
    done = file.resume(settings) if file is not None else []
    with progress(len(plan.keys())) as bar:
        kept = {row.key for row in done}

        def report(row: QualityRow) -> None:
            if file is not None and row.key not in kept:
                file.append(row)
            bar.advance(f"{row.domain} {row.task} {row.method}")

        rows = run(plan, bench, done, report)
    printer = Printer(plain=options.plain)
    printer.line(f"{results.cpu_name()}; model {settings.model}, {plan.particles} particles")
    printer.line(
        f"{plan.tasks} tasks per domain, {plan.seeds} seeds; [{_LEVEL} percent intervals over tasks]"
    )
    for title, table in tables(rows):
        printer.table(title, HEADER, table)
    if options.markdown is not None:
        options.markdown.write_text(markdown(rows), encoding="utf-8")
    return 0


def default_model() -> Path:
    """Return the folder of the model that the repository trains for this.

    Raises
    ------
    EngineUnavailableError
        It is not there.
    """
    return repository_model(WEIGHTS, "examples/tiny_model/train_quality.py")


def digest(folder: Path) -> str:
    """Return the beginning of the SHA-256 of a model's weights."""
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()[:12]
