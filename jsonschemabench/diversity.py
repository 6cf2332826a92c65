"""The ``diversity`` run: diverse beam search next to plain beams and sampling, on captions, JSON and SQL."""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from time import thread_time
from typing import Any

from jsonschemabench import results, sampler_quality, studies
from jsonschemabench.diversity_metrics import (
    distinct,
    distinct_per_field,
    mean_log_probability,
    oracle,
    words,
)
from jsonschemabench.engines import EngineUnavailableError
from jsonschemabench.report import Printer, figure
from jsonschemabench.sampler_quality import Interval, Progress, bootstrap

METHODS = {
    "beams": "plain beam search",
    "hamming": "diverse beam search, Hamming",
    "cumulative": "diverse beam search, cumulative: what is shared counts less and less",
    "fading": "diverse beam search, cumulative: texts that have gone apart are left alone",
    "ngram": "diverse beam search, bigrams",
    "embedding": "diverse beam search, the model's input embeddings",
    "structural": "diverse beam search, values and choices by their number",
    "sampling": "independent samples, with the mask",
}
"""What is compared, by the name that ``--methods`` takes."""

REFERENCE = "beams"
"""The method that differences and times are taken to."""

FIELDS = ("captions", "objects", "records", "sql")
_LONGEST = 4


@dataclass(frozen=True, slots=True)
class Settings:
    """What must be the same for rows to be comparable.

    Attributes
    ----------
    beams
        Number of outputs of every method, and of groups of diverse beam search, unless `groups` is another.
    groups
        Number of groups.
    strength
        Diversity strength.
    """

    beams: int = 6
    groups: int = 6
    strength: float = 0.5


@dataclass(frozen=True, slots=True)
class DiversityRow:
    """One method on one prompt.

    Attributes
    ----------
    field, seed, task, method
        Which run it is.
    scores
        Of the outputs, the best ranked first; empty where the field has no reference.
    distinct
        Distinct-1 to distinct-4 of the outputs' words. Where a method finds fewer outputs than it may, its
        best one stands for the others: else the one that finds a single output would have most variety.
    fields
        Different values per field of the JSON outputs, the mean over fields; None where they are no JSON.
    log_probability, per_token
        Means over outputs, nats; None where there are no outputs.
    tokens
        Tokens chosen, over all rows.
    seconds
        Processor time of the thread, the model's included, the compilation of the constraint not.
    texts
        The outputs.
    """

    field: str
    seed: int
    task: int
    method: str
    scores: list[float]
    distinct: list[float]
    fields: float | None
    log_probability: float | None
    per_token: float | None
    tokens: int
    seconds: float
    texts: list[str]

    @property
    def prompt(self) -> tuple[int, int]:
        """Which prompt of the field it is."""
        return self.seed, self.task


# -- the run -----------------------------------------------------------------------------------------------


def sampler_of(method: str, settings: Settings) -> Any:
    """Return the sampler of a method."""
    from structgen.samplers import Cumulative, DiverseBeamSearch, LocallyConstrained

    if method == "sampling":
        return LocallyConstrained(settings.beams)
    if method == "beams":
        return DiverseBeamSearch(1, settings.beams, 0.0)
    each = settings.beams // settings.groups
    dissimilarity: Any = Cumulative(counted="different") if method == "fading" else method
    return DiverseBeamSearch(settings.groups, each, settings.strength, dissimilarity)


def usable(field: str, methods: Iterable[str]) -> list[str]:
    """Return the methods that a field's model can be searched with: n-grams have no embeddings."""
    return [method for method in methods if (field, method) != ("captions", "embedding")]


def measured(field: Any, seed: int, number: int, instance: Any, method: str, settings: Settings) -> Any:
    """Run a method on a prompt, and measure what comes out."""
    from structgen import AllParticlesDeadError, BudgetError

    sampler = sampler_of(method, settings)
    began = thread_time()
    try:
        result = sampler.run(
            instance.model(), instance.token_sampler, max_tokens=instance.max_tokens, seed=seed
        )
    except (AllParticlesDeadError, BudgetError) as error:
        result = error.result
    seconds = thread_time() - began
    outputs = [s for s in result.sequences if s.finished] if result is not None else []
    texts = [s.text for s in outputs]
    listed = [words(text) for text in texts]
    listed += listed[:1] * (settings.beams - len(listed))
    means: tuple[float | None, float | None] = (None, None)
    if outputs:
        means = mean_log_probability([s.log_probability for s in outputs], [len(s.tokens) for s in outputs])
    return DiversityRow(
        field=field.name,
        seed=seed,
        task=number,
        method=method,
        scores=[] if instance.score is None else [instance.score(text) for text in texts],
        distinct=[distinct(listed, n) for n in range(1, _LONGEST + 1)],
        fields=distinct_per_field([json.loads(text) for text in texts]) if field.is_json else None,
        log_probability=means[0],
        per_token=means[1],
        tokens=result.drawn if result is not None else 0,
        seconds=seconds,
        texts=texts,
    )


def fields_of(names: Sequence[str]) -> list[Any]:
    """Return the fields of these names, with their models.

    Raises
    ------
    EngineUnavailableError
        Something is not installed, or a model is not there.
    """
    try:
        from jsonschemabench import diversity_tasks as tasks
        from structgen.testing import tiny_model

        made: dict[str, Callable[[], Any]] = {
            "captions": tasks.Captions,
            "objects": lambda: tasks.Objects(tasks.Small(tiny_model.path())),
            "records": lambda: tasks.Answers("records", answering(), tasks.agreement),
            "sql": lambda: tasks.Answers("sql", answering(), tasks.correct_sql),
        }

        def answering() -> Any:
            return tasks.Small(sampler_quality.default_model())

        return [made[name]() for name in names]
    except ImportError as error:
        raise EngineUnavailableError(
            f"the diversity run needs PyTorch and transformers ({error}): pip install 'structgen[hf]'"
        ) from error
    except FileNotFoundError as error:
        raise EngineUnavailableError(str(error)) from error


def run(
    fields: Sequence[Any],
    methods: Sequence[str],
    tasks: int,
    seeds: int,
    settings: Settings,
    report: Callable[[DiversityRow], None] = lambda _: None,
) -> list[DiversityRow]:
    """Run methods on prompts.

    Parameters
    ----------
    fields : sequence of jsonschemabench.diversity_tasks.Field
        Where the prompts come from.
    methods
        Keys of :data:`METHODS`; the one that goes first changes from prompt to prompt.
    tasks, seeds
        Prompts of a field and seed, and seeds.
    settings
        Of the methods.
    report
        Called with every row.
    """
    rows = []
    for field in fields:
        able = usable(field.name, methods)
        for seed in range(seeds):
            for number, instance in enumerate(field.instances(tasks, seed)):
                turn = number % len(able)
                for method in (*able[turn:], *able[:turn]):
                    rows.append(measured(field, seed, number, instance, method, settings))
                    report(rows[-1])
    return rows


def read(path: Path) -> tuple[Settings, list[DiversityRow]]:
    """Read what ``--out`` has written.

    Raises
    ------
    ValueError
        The file is none of this command's.
    """
    try:
        first, *rest = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        if first.pop("kind") != "diversity":
            raise ValueError("the first line is not the settings")
        rows = [DiversityRow(**{k: v for k, v in line.items() if k != "kind"}) for line in rest]
        return Settings(**first["settings"]), rows
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path} is not a file of the diversity run ({error!r})") from error


# -- tables ------------------------------------------------------------------------------------------------

Value = Callable[[DiversityRow], float | None]


def interval(rows: Sequence[DiversityRow], value: Value) -> Interval | None:
    """Return the mean over prompts and its bootstrap interval; None where there are no values."""
    values = [found for row in rows if (found := value(row)) is not None]
    return bootstrap([values]) if values else None


def difference(rows: Sequence[DiversityRow], others: Sequence[DiversityRow], value: Value) -> Interval | None:
    """Return how much higher a value is than another method's on the same prompts."""
    theirs = {row.prompt: value(row) for row in others}
    pairs = [(value(row), theirs[row.prompt]) for row in rows if row.prompt in theirs]
    both = [a - b for a, b in pairs if a is not None and b is not None]
    return bootstrap([both]) if both else None


def oracle_at(k: int) -> Value:
    """Return what gives the oracle@k of a row, None where it has no scores for want of a reference."""
    return lambda row: None if not row.scores and row.texts else oracle(row.scores, k)


def _cost(rows: Sequence[DiversityRow]) -> float:
    """Return microseconds of processor time per token."""
    return 1e6 * sum(row.seconds for row in rows) / max(1, sum(row.tokens for row in rows))


def tables(rows: Sequence[DiversityRow], settings: Settings) -> list[tuple[str, list[list[str]]]]:
    """Return titles and rows of cells, the header first: two tables for each field."""
    found = []
    for name in FIELDS:
        mine = [row for row in rows if row.field == name]
        groups = {m: [row for row in mine if row.method == m] for m in METHODS}
        groups = {method: group for method, group in groups.items() if group}
        if groups:
            found.append((f"{name}: quality and cost", _quality(groups, settings)))
            found.append((f"{name}: variety", _variety(groups)))
    return found


def _quality(groups: dict[str, list[DiversityRow]], settings: Settings) -> list[list[str]]:
    last = oracle_at(settings.beams)
    others = groups.get(REFERENCE, [])
    table = [
        [
            "",
            "oracle@1",
            f"oracle@{settings.beams}",
            f"minus {REFERENCE}",
            "log-probability",
            "per token",
            "outputs",
            "us per token",
            f"over {REFERENCE}",
        ]
    ]
    for method, rows in groups.items():
        is_other = method != REFERENCE
        table.append(
            [
                method,
                _cell(interval(rows, oracle_at(1))),
                _cell(interval(rows, last)),
                _signed(difference(rows, others, last) if is_other else None),
                _cell(interval(rows, lambda row: row.log_probability)),
                _cell(interval(rows, lambda row: row.per_token)),
                f"{statistics.fmean(len(row.texts) for row in rows):.1f}",
                figure(_cost(rows)),
                f"{_cost(rows) / _cost(others):.2f}" if is_other and others else "",
            ]
        )
    return table


def _variety(groups: dict[str, list[DiversityRow]]) -> list[list[str]]:
    others = groups.get(REFERENCE, [])
    table = [
        ["", *(f"distinct-{n}" for n in range(1, _LONGEST + 1)), f"minus {REFERENCE}", "values per field"]
    ]
    for method, rows in groups.items():
        ns = [interval(rows, lambda row, n=n: row.distinct[n]) for n in range(_LONGEST)]  # type: ignore[misc]
        gain = difference(rows, others, lambda row: row.distinct[-1]) if method != REFERENCE else None
        table.append([method, *map(_cell, ns), _signed(gain), _cell(interval(rows, lambda row: row.fields))])
    return table


def _cell(found: Interval | None) -> str:
    return "" if found is None else str(found)


def _signed(found: Interval | None) -> str:
    return "" if found is None else f"{found.mean:+.2f} [{found.low:+.2f}, {found.high:+.2f}]"


def markdown(rows: Sequence[DiversityRow], settings: Settings) -> str:
    """Return the tables as Markdown."""
    text = []
    for title, (header, *body) in tables(rows, settings):
        lines = [[title, *header[1:]], ["---"] * len(header), *body]
        text.append("".join(f"| {' | '.join(cells)} |\n" for cells in lines))
    return "\n".join(text)


# -- the command -------------------------------------------------------------------------------------------


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command to those of the command line."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "diversity", help="diverse beam search next to plain beams and sampling: quality, variety, time"
    )
    defaults = Settings()
    parser.add_argument("--fields", default=",".join(FIELDS), help="comma-separated (default: %(default)s)")
    parser.add_argument("--methods", default=",".join(METHODS), help="comma-separated (default: %(default)s)")
    parser.add_argument(
        "--tasks", type=int, default=20, help="prompts per field and seed (default: %(default)s)"
    )
    parser.add_argument(
        "--seeds", type=int, default=3, help="of the prompts and samples (default: %(default)s)"
    )
    parser.add_argument(
        "--beams", type=int, default=defaults.beams, help="outputs per prompt (default: %(default)s)"
    )
    parser.add_argument("--groups", type=int, help="of diverse beam search (default: one per beam)")
    parser.add_argument(
        "--strength", type=float, default=defaults.strength, help="diversity strength (default: %(default)s)"
    )
    parser.add_argument("--quick", action="store_true", help="4 prompts per field and one seed")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write settings and rows as JSON lines")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the tables as Markdown")
    parser.add_argument("--plain", action="store_true", help="plain text even where rich is installed")
    return parser


def command(options: argparse.Namespace, progress: Callable[[int], AbstractContextManager[Progress]]) -> int:
    """Run the command.

    Raises
    ------
    ValueError
        An option is wrong.
    EngineUnavailableError
        Something is not installed, or a model is not there.
    """
    names = studies.names(options.fields, FIELDS, "--fields")
    methods = studies.names(options.methods, METHODS, "--methods")
    settings = Settings(options.beams, options.groups or options.beams, options.strength)
    tasks, seeds = (4, 1) if options.quick else (options.tasks, options.seeds)
    if min(tasks, seeds, settings.beams, settings.groups) < 1:
        raise ValueError("--tasks, --seeds, --beams and --groups are 1 at least")
    if settings.beams % settings.groups:
        raise ValueError(f"{settings.beams} beams cannot be shared by {settings.groups} groups alike")
    if any(not usable(name, methods) for name in names):
        raise ValueError("the model of captions has no embeddings: leave it out of --fields")
    fields = fields_of(names)
    total = tasks * seeds * sum(len(usable(name, methods)) for name in names)
    with progress(total) as bar:
        rows = run(
            fields, methods, tasks, seeds, settings, lambda r: bar.advance(f"{r.field} {r.task} {r.method}")
        )
    if options.out is not None:
        manifest = {"settings": asdict(settings), "cpu": results.cpu_name(), "commit": results.commit()}
        lines = [{"kind": "diversity", **manifest}, *({"kind": "row", **asdict(row)} for row in rows)]
        options.out.write_text(
            "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8"
        )
    printer = Printer(plain=options.plain)
    printer.line(
        f"{results.cpu_name()}; {settings.beams} outputs, {settings.groups} groups, strength "
        f"{settings.strength}; {tasks} prompts per field and seed, {seeds} seeds"
    )
    printer.line("[95 percent intervals, bootstrap over prompts]")
    for title, (header, *body) in tables(rows, settings):
        printer.table(title, header, body)
    if options.markdown is not None:
        options.markdown.write_text(markdown(rows, settings), encoding="utf-8")
    return 0
