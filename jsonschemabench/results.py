"""Rows of a run and its manifest, kept as JSON lines: one object a line, the manifest first."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from array import array
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from enum import Enum
from pathlib import Path
from typing import Any


class _Word(str, Enum):
    """A word that is written as its value, as the ``StrEnum`` of Python 3.11."""

    def __str__(self) -> str:
        return str.__str__(self)

    def __format__(self, format_spec: str) -> str:
        return str.__format__(self, format_spec)


class Status(_Word):
    """How an engine ended on a schema."""

    OK = "ok"
    UNSATISFIABLE = "unsatisfiable"
    COMPILE_ERROR = "compile error"
    CRASH = "crash"
    TIMEOUT = "time-out"
    MEMORY = "memory limit"


class Outcome(_Word):
    """How an engine judged an instance."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    ORDER = "order"
    """Rejected, but accepted once properties may come in any order."""


@dataclass(slots=True)
class Verdict:
    """One instance as an engine judged it.

    Attributes
    ----------
    valid
        The label.
    outcome
        The judgement.
    accepted_tokens
        How many tokens were allowed, the end token included.
    description
        What the dataset says of the instance; for a rejected valid one the text before the refusal.
    """

    valid: bool
    outcome: Outcome
    accepted_tokens: int = 0
    description: str = ""

    @property
    def right(self) -> bool:
        """Whether the judgement is the label."""
        return self.valid == (self.outcome is Outcome.ACCEPTED)


class OutputOutcome(_Word):
    """What an output is."""

    VALID = "valid"
    INVALID = "invalid"
    """It is JSON that the schema does not allow, or no JSON."""
    UNFINISHED = "unfinished"
    """It reached the bound of tokens, or a place where no token is allowed."""
    REFUSED = "refused"
    """The model declined."""
    UNDECIDED = "undecided"
    """The validator could not tell."""


@dataclass(slots=True)
class Output:
    """One text that an engine wrote for a schema.

    Attributes
    ----------
    outcome
        What it is.
    text
        What was written; bytes that are not UTF-8 are replaced.
    tokens
        How many tokens it has, the end token included.
    ns
        Nanoseconds that it took.
    detail
        Why it is not valid.
    """

    outcome: OutputOutcome
    text: str
    tokens: int
    ns: int
    detail: str = ""


@dataclass(slots=True)
class Row:
    """One schema under one engine.

    Attributes
    ----------
    engine, schema
        Names.
    status
        How it ended.
    detail
        The reason when not ok.
    phase
        What was going on when it crashed, timed out or took too much memory.
    compile_ns
        Nanoseconds from the schema to the compiled grammar.
    first_mask_ns
        Nanoseconds from the schema to its first mask.
    step_ns
        Nanoseconds per mask and step, in the order they were taken.
    first_visit
        How many leading entries of ``step_ns`` belong to the first walk.
    verdicts
        One per instance that can be written as UTF-8; none when the engine did not judge.
    rss_bytes, peak_bytes
        Resident memory of the worker process after this schema, and its highest so far.
    instances
        How many instances there were to judge.
    keywords
        What the schema uses, see :func:`jsonschemabench.keywords.keywords`; none in files of before.
    outputs
        Texts that were written, where those are measured.
    """

    engine: str
    schema: str
    status: Status
    detail: str = ""
    phase: str = ""
    compile_ns: int = 0
    first_mask_ns: int = 0
    step_ns: array[int] = field(default_factory=lambda: array("q"))
    first_visit: int = 0
    verdicts: list[Verdict] = field(default_factory=list)
    rss_bytes: int = 0
    peak_bytes: int = 0
    instances: int = 0
    keywords: list[str] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)

    @property
    def judged(self) -> bool:
        """Whether the engine came to a judgement of every instance."""
        return self.status in (Status.OK, Status.UNSATISFIABLE)

    @property
    def passes(self) -> bool:
        """Whether every instance was judged as it is labelled; or some output is valid, and none is not."""
        if self.outputs:
            outcomes = {output.outcome for output in self.outputs}
            wrong = outcomes & {OutputOutcome.INVALID, OutputOutcome.REFUSED}
            return self.judged and OutputOutcome.VALID in outcomes and not wrong
        return self.judged and all(verdict.right for verdict in self.verdicts)

    @property
    def passes_but_order(self) -> bool:
        """Whether the order of keys is the only thing that keeps it from passing."""
        wrong = [verdict for verdict in self.verdicts if not verdict.right]
        return self.judged and bool(wrong) and all(verdict.outcome is Outcome.ORDER for verdict in wrong)


@dataclass(slots=True)
class Manifest:
    """What is needed to judge and repeat a run."""

    engines: list[str]
    command: list[str]
    vocabulary: str
    vocabulary_size: int
    data: str
    schemas: int
    seed: int
    timeout_s: float
    memory_limit_bytes: int
    fresh_process_every: int
    versions: dict[str, str] = field(default_factory=dict)
    unavailable: dict[str, str] = field(default_factory=dict)
    python: str = field(default_factory=platform.python_version)
    system: str = field(default_factory=platform.platform)
    cpu: str = field(default_factory=lambda: cpu_name())
    cpus: int = field(default_factory=lambda: os.cpu_count() or 0)
    commit: str = field(default_factory=lambda: commit())
    started: str = field(default_factory=lambda: datetime.now(timezone.utc).isoformat(timespec="seconds"))


def versions(distributions: Iterable[str]) -> dict[str, str]:
    """Versions of installed distributions; "not installed" where there is none.

    structgen itself may run from its tree, without an installed distribution.
    """
    found = {}
    for name in distributions:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
            if name == "structgen":
                import structgen  # workers of the peers don't load it

                found[name] = structgen.__version__
    return found


def cpu_name() -> str:
    """The processor's name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"
    )


def commit() -> str:
    """The commit of the checkout that this module is in, "-dirty" when it is changed, else "unknown"."""
    here = Path(__file__).resolve().parent
    try:
        found = subprocess.run(
            ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return found.stdout.strip() if found.returncode == 0 and found.stdout.strip() else "unknown"


def gpu_names() -> list[str]:
    """The names of the graphics processors that NVIDIA's driver tells of."""
    try:
        found = subprocess.run(
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return (
        [line.strip() for line in found.stdout.splitlines() if line.strip()] if not found.returncode else []
    )


def command_line() -> list[str]:
    """The command that is running, as ``python -m`` takes it."""
    # The benchmarks have no command of that name: it is `structgen bench`.
    module = "structgen" if sys.argv[1:2] == ["bench"] else "jsonschemabench"
    return [Path(sys.executable).name, "-m", module, *sys.argv[1:]]


def to_json(item: Row | Manifest) -> str:
    """One line of a results file, without the newline."""
    kind = "manifest" if isinstance(item, Manifest) else "row"
    return json.dumps({"kind": kind, **asdict(item)}, default=list, ensure_ascii=False, separators=(",", ":"))


def read(path: Path) -> tuple[Manifest, list[Row]]:
    """Read a results file.

    Raises
    ------
    ValueError
        If a line is not of a results file, or the manifest is missing.
    """
    manifest: Manifest | None = None
    rows = []
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                content = json.loads(line)
                if content.pop("kind") == "manifest":
                    manifest = Manifest(**content)
                else:
                    rows.append(row(content))
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise ValueError(
                    f"{path}, line {number}: not a line of a results file ({error!r})"
                ) from error
    if manifest is None:
        raise ValueError(f"{path} has no manifest")
    return manifest, rows


def row(content: dict[str, Any]) -> Row:
    """Make a row of what :func:`to_json` has written, without its kind.

    Raises
    ------
    ValueError, TypeError, KeyError
        If it is none.
    """
    verdicts = [
        Verdict(**{**verdict, "outcome": Outcome(verdict["outcome"])}) for verdict in content["verdicts"]
    ]
    outputs = [
        Output(**{**output, "outcome": OutputOutcome(output["outcome"])})
        for output in content.get("outputs", [])
    ]
    return Row(
        **{
            **content,
            "outputs": outputs,
            "status": Status(content["status"]),
            "step_ns": array("q", content["step_ns"]),
            "verdicts": verdicts,
        }
    )
