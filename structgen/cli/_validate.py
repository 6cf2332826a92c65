"""``structgen validate``."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from structgen.cli._common import (
    STDIN,
    UnusableInputError,
    atomic_output,
    decode,
    display_name,
    open_input,
)

if TYPE_CHECKING:
    from structgen.cli._validate_reports import Outcome
    from structgen.cli._validate_schema import Checker

_MAX_BYTES = 64 << 20
_BATCH_BYTES = 256 << 10
_RECURSION_LIMIT = 5000
"""Frames: a level of a document takes about six. The main thread's stack holds four times as many."""

_PATH = click.Path(readable=False)
"""What shells complete as files. Whether they can be read is said when they are."""

_EPILOG = """
Examples:

\b
  structgen validate schema.json data.json
  structgen validate schema.yaml config/*.yaml --assert-formats
  structgen validate schema.json events.jsonl --jobs 4
  generate | structgen validate schema.json - --input-format jsonl
  structgen validate schema.json *.json --format sarif --output report.sarif
  structgen validate api.json data.json --ref https://example.com/schemas/=schemas/

The exit status is 0 if all is valid, 1 if something is not, 2 if an input (or the schema) cannot be used.
"""


@dataclass(frozen=True, slots=True)
class _Task:
    """What is checked at once: a file, its bytes if they have been read, or some of its lines by number."""

    path: str
    form: str
    data: bytes | None = None
    lines: tuple[tuple[int, bytes | None], ...] = ()


@click.command(epilog=_EPILOG)
@click.argument("schema", type=_PATH)
@click.argument("files", nargs=-1, required=True, type=_PATH, metavar="FILE...")
@click.option(
    "--format",
    "report_format",
    type=click.Choice(["text", "json", "sarif", "github"]),
    default="text",
    show_default=True,
    help="How violations are reported.",
)
@click.option(
    "--output", "-o", type=_PATH, metavar="FILE", help="Write the report to a file, once it is complete."
)
@click.option(
    "--input-format",
    type=click.Choice(["json", "jsonl", "yaml", "toml"]),
    help="Format of all inputs.  [default: by suffix; JSON where that says nothing]",
)
@click.option(
    "--draft",
    type=click.Choice(["4", "6", "7", "2019-09", "2020-12"]),
    help="Draft of the schema.  [default: what $schema says, else 2020-12]",
)
@click.option("--assert-formats", is_flag=True, help="Strings have to satisfy the keyword format.")
@click.option(
    "--ref",
    "references",
    multiple=True,
    metavar="URI=FILE",
    help="A document that the schema refers to; with URI/=DIR/, all below a folder. Nothing is downloaded.",
)
@click.option(
    "--ref-dir",
    "folders",
    multiple=True,
    type=_PATH,
    metavar="DIR",
    help="A folder of schemas, known by their $id; relative references lead into it, too.",
)
@click.option(
    "--jobs", "-j", type=click.IntRange(min=1), default=1, show_default=True, metavar="N", help="Processes."
)
@click.option(
    "--max-bytes",
    type=click.IntRange(min=1),
    default=_MAX_BYTES,
    show_default=True,
    metavar="N",
    help="Longest document, or line of JSON lines; longer ones are refused unread.",
)
@click.option(
    "--strict", is_flag=True, help="Warnings (keys that an object repeats) make a document invalid."
)
@click.option("--quiet", "-q", is_flag=True, help="No summary on the standard error.")
def validate(
    schema: str,
    files: tuple[str, ...],
    report_format: str,
    output: str | None,
    input_format: str | None,
    draft: str | None,
    assert_formats: bool,
    references: tuple[str, ...],
    folders: tuple[str, ...],
    jobs: int,
    max_bytes: int,
    strict: bool,
    quiet: bool,
) -> int:
    """Validate documents against a JSON Schema.

    SCHEMA is a file in JSON, YAML or TOML. FILE is JSON, JSON lines (.jsonl, .ndjson), YAML or TOML;
    - is the standard input. Every violation is reported with line and column, the JSON Pointers of the value
    and of the keyword, what was expected and what was found.
    """
    if [schema, *files].count(STDIN) > 1:
        raise click.UsageError("the standard input (-) can be read once only")
    from structgen.cli._validate_reports import REPORTS, Outcome, Problem

    arguments = (schema, draft, _mapping(references), folders, assert_formats)
    # With a schema from the standard input, other processes cannot read it again.
    checker = _prepare(*arguments)
    with atomic_output(output) as stream:
        report = REPORTS[report_format](stream)
        report.begin()
        for warning in checker.warnings:
            report.add(Outcome(warnings=[Problem(display_name(schema), None, None, warning)]))
        tasks = _tasks(files, input_format, max_bytes, _BATCH_BYTES if jobs > 1 else 1)
        if jobs == 1 or schema == STDIN:
            for task in tasks:
                report.add(_check(checker, task, max_bytes))
        else:
            for outcome in _in_parallel(tasks, jobs, arguments, max_bytes):
                report.add(outcome)
        report.end()
    if not quiet and report_format == "text":
        click.echo(report.summary(), err=True)
    return report.exit_code(strict)


def _mapping(references: tuple[str, ...]) -> dict[str, str]:
    mapping = {}
    for reference in references:
        # The address may hold "=" in its query, a file hardly.
        uri, equals, path = reference.rpartition("=")
        if not equals or not uri or not path:
            raise click.UsageError(f"--ref wants URI=FILE, not {reference!r}")
        mapping[uri] = path
    return mapping


def _prepare(
    schema: str, draft: str | None, mapping: dict[str, str], folders: tuple[str, ...], formats: bool
) -> Checker:
    from structgen.cli._documents import read_schema_document
    from structgen.cli._validate_schema import Checker

    sys.setrecursionlimit(max(sys.getrecursionlimit(), _RECURSION_LIMIT))
    document = read_schema_document(schema)
    folder = os.getcwd() if schema == STDIN else os.path.dirname(os.path.abspath(schema))
    return Checker(document, folder, draft=draft, mapping=mapping, folders=folders, formats=formats)


# -- what there is to do -------------------------------------------------------------------


def _tasks(files: tuple[str, ...], form: str | None, max_bytes: int, batch: int) -> Iterator[_Task]:
    from structgen.cli._documents import format_of

    for path in files:
        kind = form or format_of(path)
        if kind == "jsonl":
            yield from _batches(path, max_bytes, batch)
        elif path == STDIN:
            yield _Task(path, kind, data=sys.stdin.buffer.read(max_bytes + 1))
        else:
            yield _Task(path, kind)


def _batches(path: str, max_bytes: int, batch: int) -> Iterator[_Task]:
    """Read JSON lines, some at a time; None stands for a line that is too long to hold."""
    try:
        with open_input(path) as stream:
            lines: list[tuple[int, bytes | None]] = []
            size = number = 0
            while line := stream.readline(max_bytes + 2):
                number += 1
                content: bytes | None = line.rstrip(b"\r\n")
                if len(line.removesuffix(b"\n")) > max_bytes:
                    content = None
                    while line and not line.endswith(b"\n"):
                        line = stream.readline(1 << 20)
                if content == b"" or (content is not None and content.isspace()):
                    continue
                lines.append((number, content))
                size += len(content or b"")
                if size >= batch or content is None:
                    yield _Task(path, "jsonl", lines=tuple(lines))
                    lines, size = [], 0
            if lines:
                yield _Task(path, "jsonl", lines=tuple(lines))
    except UnusableInputError:
        # The check opens it again, and reports why it cannot.
        yield _Task(path, "json")


def _check(checker: Checker, task: _Task, max_bytes: int) -> Outcome:
    """Do a task; what cannot be used is a part of the outcome."""
    from structgen.cli._validate_reports import Outcome, Problem

    outcome = Outcome()
    name = display_name(task.path)
    pieces: Any = task.lines
    if task.form != "jsonl":
        pieces = [(1, task.data)]
    for number, data in pieces:
        try:
            if data is None and task.form == "jsonl":
                raise UnusableInputError(name, *_too_long(max_bytes), line=number, column=1)
            if data is None:
                with open_input(task.path) as stream:
                    data = stream.read(max_bytes + 1)
            if len(data) > max_bytes:
                raise UnusableInputError(name, *_too_long(max_bytes))
            _check_text(checker, decode(data, name, number), name, task.form, number, outcome)
        except UnusableInputError as error:
            outcome.problems.append(Problem.of(error))
    return outcome


def _too_long(max_bytes: int) -> tuple[str, str]:
    return f"is longer than {max_bytes:,} bytes", "allow more with --max-bytes"


def _check_text(checker: Checker, text: str, name: str, form: str, line: int, outcome: Outcome) -> None:
    from structgen.cli._documents import parse
    from structgen.cli._validate_reports import Problem

    for document in parse(text, name, "json" if form == "jsonl" else form, line):
        outcome.documents += 1
        for key, offset in document.repeated:
            message = f"the key {key!r} comes again; the last one counts"
            outcome.warnings.append(Problem(name, *document.position(offset), message))
        outcome.violations.extend(checker.violations(document))


# -- several processes ---------------------------------------------------------------------

_worker: Checker | None = None


def _start_worker(*arguments: Any) -> None:
    global _worker
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    # Ctrl-C reaches all processes of a terminal; this one's parent ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _worker = _prepare(*arguments)


@contextlib.contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Interrupts come after the block; processes that start in it never get any."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(task: _Task, max_bytes: int) -> Outcome:
    assert _worker is not None
    return _check(_worker, task, max_bytes)


def _stop_feeding(executor: ProcessPoolExecutor) -> None:
    """Let the executor's thread end although the workers that were to read its tasks have.

    Before Python 3.11.5, our own end of their pipe stays open, and who writes to a full one waits for ever.
    """
    if sys.version_info < (3, 11, 5) and (tasks := getattr(executor, "_call_queue", None)) is not None:
        tasks._reader.close()


def _in_parallel(tasks: Iterator[_Task], jobs: int, arguments: Any, max_bytes: int) -> Iterator[Outcome]:
    """Do the tasks in processes; outcomes come in the order of the tasks, and few are held at once."""
    # Not forked: a fork of a process with threads may hang.
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(jobs, mp_context=context, initializer=_start_worker, initargs=arguments)
    pending: deque[Future[Outcome]] = deque()
    try:
        for task in tasks:
            with _interrupts_held_back():
                pending.append(executor.submit(_work, task, max_bytes))
            if len(pending) > 2 * jobs:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    except BrokenProcessPool:
        _stop_feeding(executor)
        raise UnusableInputError(
            f"{jobs} processes", "one of them was killed", "if memory ran out, use fewer --jobs"
        ) from None
    except BaseException:
        for future in pending:
            future.cancel()
        # Whatever a worker is at, nobody waits for it.
        for process in list((getattr(executor, "_processes", None) or {}).values()):
            with contextlib.suppress(OSError):
                process.terminate()
        _stop_feeding(executor)
        raise
    finally:
        # The workers have ended or been ended. The executor's thread is waited for, since it would otherwise
        # close its pipe while the interpreter, at its end, writes to it.
        executor.shutdown(wait=True, cancel_futures=True)
