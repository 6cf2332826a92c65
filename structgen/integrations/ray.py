"""Ray Data: structured generation over large datasets (extras ``structgen[ray,hf]``).

Every worker is an actor with a model and the automata that it has compiled. Rows are written by the workers,
a batch at a time and at once, so that a run that was killed goes on where it stopped, and no row is lost or
doubled when a worker dies.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

import structgen
from structgen._errors import StructgenError
from structgen._vocabulary import Vocabulary
from structgen.integrations._constraints import AutomatonStore, Constraint
from structgen.integrations._parts import Parts, Record

try:
    import ray.data
except ImportError as _error:
    raise ImportError(
        f"structgen.integrations.ray needs Ray Data ({_error}): pip install 'structgen[ray]'"
    ) from _error

__all__ = ["Summary", "generate", "read_rows"]

MAX_ATTEMPTS = 2
"""How often a batch is begun before its rows are done one by one, and a row before it counts as failed."""


class WorkerDiedError(RuntimeError):
    """The worker died over this row, more than once; its name stands in the row's ``error_type``."""


@dataclass(frozen=True)
class Summary:
    """What is in the output folder after a run.

    Attributes
    ----------
    succeeded : int
        Rows with a text.
    failed : int
        Rows with an error.
    skipped : int
        Rows of the dataset that were there before.
    """

    succeeded: int
    failed: int
    skipped: int


def generate(
    dataset: Any,
    output: str | os.PathLike[str],
    *,
    model: str | Callable[[], tuple[Any, Any]],
    constraint: Mapping[str, Any] | None = None,
    constraint_column: str | None = None,
    prompt_column: str = "prompt",
    id_column: str = "id",
    sampler: Any = "mask",
    particles: int | None = None,
    max_tokens: int = 256,
    temperature: float = 1.0,
    seed: int = 0,
    batch_size: int = 16,
    workers: int | tuple[int, int] = 1,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    retry_failed: bool = False,
) -> Summary:
    """Generate an output that satisfies a constraint for every row of a dataset.

    Called again after it was interrupted, with the same folder, it leaves out what is there.

    Parameters
    ----------
    dataset : ray.data.Dataset
        Rows with an id, a prompt and, with `constraint_column`, a constraint.
    output : path-like
        A folder that all nodes see. ``rows/*.jsonl`` in it has a line for each row of the dataset, in no
        order: ``id``, ``text`` (None where it failed), ``log_probability`` of the text under the model,
        ``error_type`` and ``error`` (None where it did not fail).
    model : str or callable
        What ``from_pretrained`` of transformers takes; or a function without arguments that returns a model
        and its tokenizer, called once in each worker.
    constraint : mapping, optional
        Of all rows: one of ``json_schema``, ``regex``, ``lark`` and ``gbnf``, and options of its ``compile_``
        function, as in ``{"json_schema": {...}, "whitespace": "compact"}``.
    constraint_column : str, optional
        The column that has each row's own, as such a mapping or its JSON text. Schemas of different shapes
        do not fit into one column of Arrow's other than as text.
    prompt_column : str
        The column with the prompt: a text or token ids.
    id_column : str
        The column with the id: a text or an integer, each once.
    sampler : str or sequence sampler
        As of :func:`structgen.generate`.
    particles, max_tokens, temperature
        Likewise. Of several particles, the text is that of one drawn by the weights.
    seed : int
        Of the whole run. A row's text depends on it and on the other rows of its batch.
    batch_size : int
        Rows that a worker takes at a time; those with the same constraint are one batch of the model.
    workers : int or (int, int)
        Number of workers, or the least and greatest.
    num_cpus, num_gpus : float, optional
        Of each worker, as Ray counts them. With a GPU, a model given by its name is put there.
    retry_failed : bool
        Do the rows again that failed before.

    Returns
    -------
    Summary
        What the folder has now.

    Raises
    ------
    ValueError
        The folder has rows of a run with other settings, rows share an id, or arguments do not fit together.
    ray.exceptions.RayError
        The model can't be loaded, or the dataset can't be read.

    Notes
    -----
    A row fails, and the others go on, where its constraint can't be read or compiled, or can't be satisfied
    within `max_tokens`, or where the model raises an error on it. A batch over which a worker dies is given
    to another by Ray; after :data:`MAX_ATTEMPTS` its rows are done one by one, so that a row that kills
    its worker each time fails alone.
    """
    if (constraint is None) == (constraint_column is None):
        raise ValueError("give either the constraint of all rows or the column that has each row's")
    if batch_size < 1:
        raise ValueError(f"batch_size must be positive, not {batch_size}")
    if constraint is not None:
        Constraint.read(constraint)
    settings = {
        "model": model if isinstance(model, str) else getattr(model, "__qualname__", repr(model)),
        "constraint": constraint if constraint is None else Constraint.read(constraint).key,
        "constraint_column": constraint_column,
        "prompt_column": prompt_column,
        "sampler": sampler if isinstance(sampler, str) else repr(sampler),
        "particles": particles,
        "max_tokens": max_tokens,
        "temperature": temperature,
        "seed": seed,
    }
    parts = Parts(os.path.abspath(output))
    before = parts.begin(settings, retry_failed=retry_failed)
    options = {
        "sampler": sampler,
        "particles": particles,
        "max_tokens": max_tokens,
        "temperature": temperature,
    }
    columns = _Columns(id_column, prompt_column, constraint_column)
    mapped = dataset.map_batches(
        _Worker,
        batch_size=batch_size,
        batch_format="numpy",
        compute=ray.data.ActorPoolStrategy(**_pool(workers)),
        fn_constructor_args=(
            parts.folder, model, columns, constraint, options, seed, bool(num_gpus)
        ),
        num_cpus=num_cpus,
        num_gpus=num_gpus,
    )  # fmt: skip
    seen = skipped = 0
    for row in mapped.iter_rows():
        seen, skipped = seen + int(row["rows"]), skipped + int(row["skipped"])
    parts.tidy()
    failed = [record["error"] is not None for record in parts.records()]
    if missing := before + seen - skipped - len(failed):
        raise ValueError(
            f"{missing} of the dataset's rows have an id that another has, too: only one of each is in "
            f"{parts.folder}; name a column by id_column that is different in every row"
        )
    return Summary(len(failed) - sum(failed), sum(failed), skipped)


def read_rows(output: str | os.PathLike[str]) -> Iterator[Record]:
    """Yield the rows of an output folder, each id once, also while a run goes on.

    Parameters
    ----------
    output : path-like
        As of :func:`generate`.

    Yields
    ------
    dict
        ``id``, ``text``, ``log_probability``, ``error_type`` and ``error``.
    """
    return Parts(output).records()


def _pool(workers: int | tuple[int, int]) -> dict[str, Any]:
    if isinstance(workers, int):
        return {"size": workers}
    return {"min_size": workers[0], "max_size": workers[1]}


@dataclass(frozen=True)
class _Columns:
    """Names of columns."""

    id: str
    prompt: str
    constraint: str | None


class _Worker:
    """The actor: a model, its automata, and the function over batches."""

    def __init__(
        self,
        folder: str | os.PathLike[str],
        model: str | Callable[[], tuple[Any, Any]],
        columns: _Columns,
        constraint: Mapping[str, Any] | None,
        options: dict[str, Any],
        seed: int,
        cuda: bool,
    ) -> None:
        self._parts = Parts(folder)
        self._columns = columns
        self._constraint = constraint
        self._options = options
        self._seed = seed
        self._before = self._parts.before()
        self._model, self._tokenizer = _loaded(model, cuda) if isinstance(model, str) else model()
        self._vocabulary = Vocabulary.from_tokenizer(
            self._tokenizer,
            self._model.config.get_text_config().vocab_size,
            eos_token_ids=getattr(self._model.generation_config, "eos_token_id", None),
        )
        self._store = AutomatonStore()

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        rows = [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]
        for row in rows:
            row[self._columns.id] = _id(row[self._columns.id])
        new = [row for row in rows if row[self._columns.id] not in self._before]
        if new:
            self._do(new)
        return {"rows": np.array([len(rows)]), "skipped": np.array([len(rows) - len(new)])}

    def _do(self, rows: list[Record]) -> None:
        """Write the outputs of rows, unless they are there, from a worker that died afterwards."""
        ids = [row[self._columns.id] for row in rows]
        name = self._parts.name(ids)
        if self._parts.has(name):
            return
        if self._parts.attempt(name) <= MAX_ATTEMPTS:
            self._parts.write(name, self._records(rows))
        elif len(rows) > 1:
            for row in rows:
                self._do([row])
        else:
            error = WorkerDiedError(f"the worker died {MAX_ATTEMPTS} times while it did this row alone")
            self._parts.write(name, [_failed(ids[0], error)])

    def _records(self, rows: list[Record]) -> list[Record]:
        found: dict[int, Record] = {}
        groups: dict[str, tuple[Any, list[int]]] = {}
        for i, row in enumerate(rows):
            try:
                constraint = Constraint.read(self._wanted(row))
            except ValueError as error:
                found[i] = _failed(row[self._columns.id], error)
                continue
            # All compile at the same time, while the first of them generate.
            future = self._store.submit(constraint, self._vocabulary)
            groups.setdefault(constraint.key, (future, []))[1].append(i)
        for future, members in groups.values():
            chosen = [rows[i] for i in members]
            try:
                records = self._generated(chosen, future.result())
            except (StructgenError, ValueError, TypeError) as error:
                records = [_failed(row[self._columns.id], error) for row in chosen]
            found.update(zip(members, records, strict=True))
        return [found[i] for i in range(len(rows))]

    def _wanted(self, row: Record) -> Any:
        if self._columns.constraint is None:
            return self._constraint
        wanted = row[self._columns.constraint]
        return json.loads(wanted) if isinstance(wanted, str) else wanted

    def _generated(self, rows: list[Record], automaton: structgen.TokenAutomaton) -> list[Record]:
        """Return the outputs of rows of one constraint; where they fail together, each is tried alone."""
        ids = [row[self._columns.id] for row in rows]
        prompts = [row[self._columns.prompt] for row in rows]
        digest = hashlib.sha256(json.dumps([self._seed, ids]).encode()).digest()
        seed = int.from_bytes(digest[:4], "little")
        try:
            results = structgen.generate(
                self._model,
                self._tokenizer,
                [p if isinstance(p, str) else [int(token) for token in p] for p in prompts],
                automaton,
                seed=seed,
                progress=False,
                **self._options,
            )
        except Exception as error:
            # Whatever it is: it is told in the row, and the next row is another matter.
            if len(rows) == 1:
                return [_failed(ids[0], error)]
            return [self._generated([row], automaton)[0] for row in rows]
        assert isinstance(results, list)
        return [_record(i, result, seed + n) for n, (i, result) in enumerate(zip(ids, results, strict=True))]


def _loaded(name: str, cuda: bool) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(name)
    return model.to("cuda" if cuda else "cpu").eval(), AutoTokenizer.from_pretrained(name)


def _id(value: Any) -> str | int:
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"an id must be a text or an integer, not {value!r}: name another id_column")
    return value


def _record(row: str | int, result: structgen.samplers.SamplingResult, seed: int) -> Record:
    weights = np.array([sequence.weight for sequence in result.sequences])
    if not weights.sum() > 0:
        deaths = sorted({death.cause for death in result.deaths})
        causes = f" ({', '.join(deaths)})" if deaths else ""
        return _failed(row, structgen.SamplingError(f"no output satisfies the constraint{causes}"))
    chosen = result.sequences[np.random.default_rng(seed).choice(len(weights), p=weights / weights.sum())]
    if not chosen.finished:
        return _failed(row, structgen.SamplingError("the output has not ended within max_tokens"))
    return {
        "id": row,
        "text": chosen.text,
        "log_probability": chosen.log_probability,
        "error_type": None,
        "error": None,
    }


def _failed(row: str | int, error: BaseException) -> Record:
    return {
        "id": row,
        "text": None,
        "log_probability": None,
        "error_type": type(error).__name__,
        "error": str(error),
    }
