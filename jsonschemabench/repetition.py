"""The ``repetition`` run: decoding methods side by side on code that has begun to repeat itself."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jsonschemabench import repetition_prompts, results
from jsonschemabench.engines import EngineUnavailableError
from jsonschemabench.progress import Progress
from jsonschemabench.repetition_metrics import Share
from jsonschemabench.repetition_prompts import Prompt
from jsonschemabench.report import Printer, figure
from jsonschemabench.studies import RowFile, names, repository_model

WEIGHTS = Path("examples", "tiny_model", "code_weights")
REFERENCE = "greedy"
"""The method that differences are taken to."""
RESAMPLES = 2000
_LEVEL = 95
_SAMPLED = {"do_sample": True, "top_k": 0}


@dataclass(frozen=True)
class Method:
    """A way to decode.

    Attributes
    ----------
    what
        In words.
    options
        Of ``generate``; greedy where nothing else is said.
    penalty
        Arguments of :class:`structgen.hf.GrammarRepetitionPenalty`, or None to do without.
    constrained
        Whether the output is held to Python's grammar.
    """

    what: str
    options: Mapping[str, Any] = field(default_factory=dict)
    penalty: Mapping[str, Any] | None = None
    constrained: bool = False

    @property
    def sampled(self) -> bool:
        """Whether it draws, so that seeds matter."""
        return bool(self.options.get("do_sample"))


_TEMPERATURE = {**_SAMPLED, "temperature": 0.8}

METHODS = {
    "greedy": Method("the most probable token"),
    "temperature": Method("temperature 0.8", _TEMPERATURE),
    "top-p": Method("top-p 0.95", {**_SAMPLED, "top_p": 0.95}),
    "repetition-penalty": Method("repetition penalty 1.2, greedy", {"repetition_penalty": 1.2}),
    "no-repeat-ngram": Method("no 8 tokens twice, greedy", {"no_repeat_ngram_size": 8}),
    # 0.9 is the paper's figure, for logits. On log-probabilities it is a mild penalty.
    "rpg": Method("RPG, greedy", penalty={"decay": 0.9}),
    "rpg-0.3": Method("RPG with decay 0.3, greedy", penalty={"decay": 0.3}),
    "rpg-0.1": Method("RPG with decay 0.1, greedy", penalty={"decay": 0.1}),
    "rpg-end": Method("the same, end boosted by 10", penalty={"decay": 0.1, "end_boost": 10.0}),
    "rpg-temperature": Method("RPG with decay 0.1, temperature 0.8", _TEMPERATURE, {"decay": 0.1}),
    "grammar": Method("constrained, greedy", constrained=True),
    "grammar-rpg": Method("constrained, RPG, greedy", {}, {"decay": 0.9}, True),
    "grammar-rpg-0.1": Method("constrained, RPG with decay 0.1, greedy", {}, {"decay": 0.1}, True),
    "grammar-temperature": Method("constrained, temperature 0.8", _TEMPERATURE, None, True),
    "grammar-rpg-temperature": Method(
        "constrained, RPG with decay 0.1, temperature 0.8", _TEMPERATURE, {"decay": 0.1}, True
    ),
}
"""What is compared, by the name that ``--methods`` takes."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What must be the same for rows to be comparable.

    Attributes
    ----------
    model
        Digest of the weights.
    prompts
        Digest of all prompts.
    max_new_tokens
        Tokens after which a generation was stopped.
    """

    model: str
    prompts: str
    max_new_tokens: int


@dataclass(frozen=True, slots=True)
class RepetitionRow:
    """One method on one prompt with one seed.

    Attributes
    ----------
    kind, number, method, seed
        Which run it is; the prompt by its kind and number.
    copies
        Of the pattern at the prompt's end.
    ended
        Whether the model ended by itself (EGP).
    tokens
        Generated tokens, the end token included (the released code counts the prompt's, too).
    ngrams, statements
        TR-N and TR-S of prompt and generated text.
    compiles
        Whether prompt and generated text compile together (CCP).
    loops, structure_loops
        Whether generation was stopped in a loop of content, of structure.
    seconds, cpu_seconds
        Of ``generate``: on the wall's clock and on the processor's.
    text
        What was generated.
    """

    kind: str
    number: int
    method: str
    seed: int
    copies: int
    ended: bool
    tokens: int
    ngrams: Share
    statements: Share
    compiles: bool
    loops: bool
    structure_loops: bool
    seconds: float
    cpu_seconds: float
    text: str

    @property
    def key(self) -> tuple[str, int, str, int]:
        """Which run it is."""
        return self.kind, self.number, self.method, self.seed


MEASURES: dict[str, Callable[[RepetitionRow], Share]] = {
    "EGP": lambda row: Share(row.ended, 1),
    # Of all texts together, and the mean of texts, as in the released code.
    "TR-N": lambda row: row.ngrams,
    "TR-S": lambda row: Share(row.statements.value, 1),
    "CCP": lambda row: Share(row.compiles, 1),
    "loops": lambda row: Share(row.loops, 1),
    "structural loops": lambda row: Share(row.structure_loops, 1),
    "tokens": lambda row: Share(row.tokens, 1),
    "s": lambda row: Share(row.seconds, 1),
    "ms CPU a token": lambda row: Share(1e3 * row.cpu_seconds, row.tokens),
}
"""What the tables show: sums of parts by sums of wholes."""
_WITH_INTERVALS = ("EGP", "TR-N", "TR-S", "CCP", "loops", "structural loops")


# -- intervals ---------------------------------------------------------------------------------------------


class Interval(NamedTuple):
    """A figure with the ends of its confidence interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"

    @property
    def signed(self) -> str:
        """The interval of a difference, as text."""
        return f"{self.value:+.2f} [{self.low:+.2f}, {self.high:+.2f}]"


_Sums = dict[tuple[str, int], Share]


def by_prompt(rows: Iterable[RepetitionRow], measure: Callable[[RepetitionRow], Share]) -> _Sums:
    """Return a measure summed over the seeds of each prompt."""
    groups: dict[tuple[str, int], list[Share]] = defaultdict(list)
    for row in rows:
        groups[row.kind, row.number].append(measure(row))
    return {
        key: Share(sum(share.part for share in group), sum(share.whole for share in group))
        for key, group in sorted(groups.items())
    }


def interval(mine: _Sums, others: _Sums | None = None, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """Return the sum of parts by the sum of wholes, with a percentile bootstrap interval of 95 percent.

    Parameters
    ----------
    mine
        A measure by prompt. Prompts are drawn again within their kind; seeds are no samples of their own.
    others
        The measure of another method, which is taken off; only prompts of both count.
    resamples, seed
        Of the bootstrap.

    References
    ----------
    Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), sections 13.3 and 8.3.
    """
    keys = [key for key in mine if others is None or key in others]
    if not keys:
        raise ValueError("a bootstrap needs at least one prompt")
    sides = [mine] if others is None else [mine, others]
    # One column each for parts and wholes, of every side.
    table = np.array([[x for side in sides for x in side[key]] for key in keys], dtype=np.float64)
    kinds = [kind for kind, _ in keys]
    rng = np.random.default_rng(seed)
    sums = np.zeros((resamples, table.shape[1]))
    for kind in dict.fromkeys(kinds):
        rows = table[[i for i, name in enumerate(kinds) if name == kind]]
        sums += rows[rng.integers(len(rows), size=(resamples, len(rows)))].sum(1)
    tail = (100 - _LEVEL) / 2
    low, high = np.percentile(_ratio(sums), [tail, 100 - tail])
    return Interval(float(_ratio(table.sum(0, keepdims=True))[0]), float(low), float(high))


def _ratio(sums: Any) -> Any:
    """Return the ratio of every row, of two sides their difference; nothing of nothing is 0."""
    ratios = np.divide(sums[:, ::2], sums[:, 1::2], out=np.zeros_like(sums[:, ::2]), where=sums[:, 1::2] > 0)
    return ratios[:, 0] - (ratios[:, 1] if ratios.shape[1] > 1 else 0)


# -- files -------------------------------------------------------------------------------------------------


def _file(path: Path) -> RowFile[Settings, RepetitionRow]:
    # A row has a kind of its own.
    return RowFile(path, "repetition", Settings, _row, tag="record")


def _row(content: dict[str, Any]) -> RepetitionRow:
    for name in ("ngrams", "statements"):
        content[name] = Share(*content[name])
    return RepetitionRow(**content)


def read(path: Path) -> tuple[Settings | None, list[RepetitionRow]]:
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
    prompts, methods
        Of them all pairs.
    seeds
        How many, for methods that draw; the others have the seed 0.
    """

    prompts: Sequence[Prompt]
    methods: Sequence[str]
    seeds: int

    def runs(self) -> list[tuple[Prompt, str, int]]:
        """Return all runs; the method that goes first moves on by one with each prompt."""
        runs = []
        for i, prompt in enumerate(self.prompts):
            turn = i % len(self.methods)
            for method in (*self.methods[turn:], *self.methods[:turn]):
                runs += [
                    (prompt, method, seed) for seed in range(self.seeds if METHODS[method].sampled else 1)
                ]
        return runs


def run(
    plan: Plan,
    bench: Any,
    done: Sequence[RepetitionRow] = (),
    report: Callable[[RepetitionRow], None] = lambda _: None,
) -> list[RepetitionRow]:
    """Do the runs of a plan that are not done yet.

    Parameters
    ----------
    plan
        The runs.
    bench : jsonschemabench.repetition_methods.Bench
        The model.
    done
        Rows of earlier runs, which are kept if they are of the plan.
    report
        Called with every row.
    """
    known = {row.key: row for row in done}
    rows = []
    for prompt, method, seed in plan.runs():
        row = known.get((prompt.kind, prompt.number, method, seed)) or bench.run(prompt, method, seed)
        rows.append(row)
        report(row)
    return rows


# -- tables ------------------------------------------------------------------------------------------------


def tables(rows: Sequence[RepetitionRow]) -> list[tuple[str, list[str], list[list[str]]]]:
    """Return titles, headers and cells: of each kind of prompt, of all together, and of differences there."""
    kinds = list(dict.fromkeys(row.kind for row in rows))
    groups = [(kind, [row for row in rows if row.kind == kind]) for kind in kinds]
    if len(kinds) > 1:
        groups.append(("all prompts", list(rows)))
    made = [_table(name, group) for name, group in groups]
    if len(methods := _methods(rows)) > 1 and REFERENCE in methods:
        made.append(_differences(f"{groups[-1][0]}, minus {REFERENCE}", rows, methods))
    return made


def _methods(rows: Sequence[RepetitionRow]) -> list[str]:
    found = {row.method for row in rows}
    return [name for name in METHODS if name in found]


def _table(title: str, rows: Sequence[RepetitionRow]) -> tuple[str, list[str], list[list[str]]]:
    table = []
    for method in _methods(rows):
        mine = [row for row in rows if row.method == method]
        cells = []
        for name, measure in MEASURES.items():
            sums = by_prompt(mine, measure)
            if name in _WITH_INTERVALS:
                cells.append(str(interval(sums)))
            else:
                parts, wholes = zip(*sums.values(), strict=True)
                cells.append(figure(Share(sum(parts), sum(wholes)).value))
        table.append([method, *cells, str(len(mine))])
    return title, ["", *MEASURES, "runs"], table


def _differences(
    title: str, rows: Sequence[RepetitionRow], methods: Sequence[str]
) -> tuple[str, list[str], list[list[str]]]:
    table = []
    for method in methods:
        if method == REFERENCE:
            continue
        cells = []
        for name in _WITH_INTERVALS:
            mine, others = (
                by_prompt([row for row in rows if row.method == one], MEASURES[name])
                for one in (method, REFERENCE)
            )
            cells.append(interval(mine, others).signed if mine.keys() & others.keys() else "-")
        table.append([method, *cells])
    return title, ["", *_WITH_INTERVALS], table


def markdown(rows: Sequence[RepetitionRow]) -> str:
    """Return the tables as Markdown."""
    text = []
    for title, header, table in tables(rows):
        lines = [[title, *header[1:]], ["---"] * len(header), *table]
        text.append("".join(f"| {' | '.join(cells)} |\n" for cells in lines))
    return "\n".join(text)


# -- the command -------------------------------------------------------------------------------------------


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command to those of the command line."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "repetition", help="decoding methods on code that has begun to repeat itself (CodeRepetEval)"
    )
    makers = repetition_prompts.MAKERS
    parser.add_argument("--methods", default=",".join(METHODS), help="comma-separated (default: %(default)s)")
    parser.add_argument(
        "--kinds", default=",".join(makers), help="of prompts, comma-separated (default: all)"
    )
    parser.add_argument("--prompts", type=int, default=40, help="of each kind (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="of methods that draw (default: %(default)s)")
    parser.add_argument(
        "--max-new-tokens", type=int, default=320, help="where generation is stopped (default: %(default)s)"
    )
    parser.add_argument("--quick", action="store_true", help="2 prompts of each kind, one seed, 160 tokens")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="PATH",
        help="prompts of CodeRepetEval in place of ours: a folder or a file of JSON lines, as published",
    )
    parser.add_argument(
        "--model", type=Path, metavar="DIR", help=f"model and tokenizer (default: {WEIGHTS} of the checkout)"
    )
    parser.add_argument("--device", default="cpu", help="of torch (default: %(default)s)")
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
    DatasetError
        `--data` has no prompts.
    EngineUnavailableError
        Something is not installed, or there is no model.
    """
    if options.quick:
        options.prompts, options.seeds, options.max_new_tokens = 2, 1, 160
    if min(options.prompts, options.seeds, options.max_new_tokens) < 1:
        raise ValueError("--prompts, --seeds and --max-new-tokens are 1 at least")
    methods = names(options.methods, METHODS, "--methods")
    prompts = _prompts(options)
    folder = options.model or default_model()
    try:
        from jsonschemabench.repetition_methods import Bench
    except ImportError as error:
        raise EngineUnavailableError(
            f"the repetition run needs PyTorch and transformers ({error}): pip install 'structgen[hf]'"
        ) from error
    bench = Bench.load(folder, options.max_new_tokens, options.device)
    printer = Printer(plain=options.plain)
    fitting = [prompt for prompt in prompts if bench.fits(prompt)]
    if not fitting:
        raise ValueError("no prompt fits the model's context together with --max-new-tokens; ask for fewer")
    if len(fitting) < len(prompts):
        printer.line(f"{len(prompts) - len(fitting)} prompts are left out: too long for the model's context")
    outside = [prompt for prompt in fitting if not bench.is_python(prompt)]
    if outside:
        # All methods are to run on the same prompts.
        printer.line(f"{len(outside)} prompts are left out: no beginnings of texts of the grammar")
        fitting = [prompt for prompt in fitting if prompt not in outside]
    plan = Plan(fitting, methods, options.seeds)
    settings = Settings(_digest(folder), _digest_of(fitting), options.max_new_tokens)
    file = _file(options.out) if options.out is not None else None
    done = file.resume(settings) if file is not None else []
    with progress(len(plan.runs())) as bar:
        kept = {row.key for row in done}

        def report(row: RepetitionRow) -> None:
            if file is not None and row.key not in kept:
                file.append(row)
            bar.advance(f"{row.kind} {row.number} {row.method}")

        rows = run(plan, bench, done, report)
    printer.line(f"{results.cpu_name()}; model {settings.model}, {options.max_new_tokens} new tokens at most")
    printer.line(
        f"{len(fitting)} prompts, {options.seeds} seeds of methods that draw; "
        f"[{_LEVEL} percent intervals over prompts]"
    )
    for title, header, table in tables(rows):
        printer.table(title, header, table)
    if options.markdown is not None:
        options.markdown.write_text(markdown(rows), encoding="utf-8")
    return 0


def _prompts(options: argparse.Namespace) -> list[Prompt]:
    if options.data is None:
        kinds = names(options.kinds, repetition_prompts.MAKERS, "--kinds")
        return [prompt for kind in kinds for prompt in repetition_prompts.make(kind, options.prompts)]
    loaded = repetition_prompts.load(options.data)
    return [prompt for prompt in loaded if prompt.number < options.prompts]


def default_model() -> Path:
    """Return the folder of the model that the repository trains for this.

    Raises
    ------
    EngineUnavailableError
        It is not there.
    """
    return repository_model(WEIGHTS, "examples/tiny_model/train_code.py")


def _digest(folder: Path) -> str:
    files = sorted(folder.glob("*.safetensors"))
    digest = hashlib.sha256()
    for file in files:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:12]


def _digest_of(prompts: Sequence[Prompt]) -> str:
    texts = json.dumps([[prompt.kind, prompt.number, prompt.text] for prompt in prompts])
    return hashlib.sha256(texts.encode()).hexdigest()[:12]
