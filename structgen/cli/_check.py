"""``structgen check``."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import click

from structgen._errors import GrammarError, GuardDeadEnd, LimitError, RegexError, SchemaError, StructgenError
from structgen.cli._common import EXIT_PROBLEMS, EXIT_UNUSABLE, UnusableInputError, printable
from structgen.cli._constraints import ARGUMENT_HELP, Constraint, Kind, constraint_options, load
from structgen.cli._findings import Finding
from structgen.cli._vocabularies import HELP as VOCABULARY_HELP
from structgen.cli._vocabularies import Named, load_vocabulary

if TYPE_CHECKING:
    from structgen._core import TokenAutomaton
    from structgen._explain import Explanation

_EPILOG = """\b
Examples:
  structgen check schema.json
  structgen check schemas/*.json --no-cost
  structgen check grammar.lark -O start=expr
  structgen check api.yaml --explain
  structgen check schema.json --format json | jq .findings

The exit status is 0 if nothing is found but notes, 1 if there are errors or warnings, 2 if an input cannot
be used (a missing file, a text that is not JSON).
"""

_COLORS = {"error": "red", "warning": "yellow", "note": "cyan"}
_NAMES = {
    "schema": "JSON Schema",
    "lark": "Lark grammar",
    "gbnf": "GBNF grammar",
    "regex": "regular expression",
}

# Random texts whose masks are timed, and the longest of them.
_WALKS = 5
_WALK_BYTES = 400


@dataclass
class Report:
    """What is said of one constraint."""

    name: str
    kind: Kind
    findings: list[Finding] = field(default_factory=list)
    enforcement: dict[str, int] | None = None
    """Keywords of a schema by how they are enforced."""
    draft: str | None = None
    complete: bool = True
    """Whether all parts were looked at in time."""
    cost: dict[str, Any] | None = None
    explanation: Explanation | None = None

    @property
    def has_problems(self) -> bool:
        return any(finding.level != "note" for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """Return it as a value for JSON."""
        out: dict[str, Any] = {
            "name": self.name,
            "kind": self.kind,
            "ok": not self.has_problems,
            "complete": self.complete,
            "findings": [asdict(finding) for finding in self.findings],
        }
        if self.draft is not None:
            out |= {"draft": self.draft, "enforcement": self.enforcement}
        if self.explanation is not None:
            out["keywords"] = [asdict(entry) for entry in self.explanation.entries]
        if self.cost is not None:
            out["cost"] = self.cost
        return out


@click.command(
    epilog=_EPILOG,
    help="Whether X is well-formed and satisfiable, what is enforced how, what of it is unreachable or "
    f"contradicts itself, and what it costs.\n\n{ARGUMENT_HELP}",
)
@click.argument("constraints", nargs=-1, required=True, metavar="X...")
@click.option(
    "--format",
    "report_format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="json: one object per line.",
)
@click.option(
    "--explain", "explains", is_flag=True, help="Tell of every keyword of a schema how it is enforced."
)
@click.option(
    "--cost/--no-cost", default=True, help="Whether compilation and masks are timed.  [default: cost]"
)
@click.option("--vocabulary", default="auto", show_default=True, metavar="NAME", help=VOCABULARY_HELP)
@click.option(
    "--max-seconds",
    type=click.FloatRange(0),
    default=10.0,
    show_default=True,
    help="Time for looking for contradictions, per schema.",
)
@constraint_options
def check(
    constraints: tuple[str, ...],
    report_format: str,
    explains: bool,
    cost: bool,
    vocabulary: str,
    max_seconds: float,
    kind: Kind | None,
    compile_options: dict[str, Any],
) -> int:
    """Run ``structgen check``."""
    named = load_vocabulary(vocabulary) if cost else None
    code = 0
    for argument in constraints:
        try:
            report = check_constraint(load(argument, kind, compile_options), named, explains, max_seconds)
        except UnusableInputError as error:
            error.show()
            code = EXIT_UNUSABLE
            continue
        if report_format == "json":
            click.echo(json.dumps(report.as_json(), ensure_ascii=False))
        else:
            for line in _lines(report):
                click.echo(line)
        code = max(code, EXIT_PROBLEMS if report.has_problems else 0)
    return code


def check_constraint(
    constraint: Constraint, named: Named | None, explains: bool, max_seconds: float
) -> Report:
    """Look into one constraint.

    Parameters
    ----------
    constraint : Constraint
        What is checked.
    named : Named or None
        The vocabulary whose cost is told; None to leave that out.
    explains : bool
        Whether the report has all keywords of a schema.
    max_seconds : float
        Time for looking for contradictions.

    Raises
    ------
    UnusableInputError
        An option has no such value.
    """
    from structgen._vocabulary import Vocabulary

    report = Report(constraint.name, constraint.kind)
    vocabulary = Vocabulary.of_bytes()
    if constraint.kind == "schema":
        _check_schema(constraint, report, explains, max_seconds)
    automaton = None
    if not any(finding.level == "error" for finding in report.findings):
        try:
            automaton = constraint.compile(vocabulary, whitespace="compact")
        except StructgenError as error:
            report.findings.append(_error_finding(error))
    if automaton is None:
        return report
    try:
        automaton.shortest(automaton.start)
    except GuardDeadEnd as error:
        names = ", ".join(error.guard)
        report.findings.append(Finding("warning", "", f"no text was found that passes the checks of {names}"))
    except LimitError as error:
        report.findings.append(Finding("note", "", str(error)))
    if constraint.kind in ("lark", "gbnf"):
        report.findings += _grammar_findings(constraint)
    if named is not None:
        try:
            report.cost = _cost(constraint, automaton, named)
        except StructgenError as error:
            reason = str(error)
            report.findings.append(Finding("warning", "", f"cannot be compiled for {named.label}: {reason}"))
    return report


def _check_schema(constraint: Constraint, report: Report, explains: bool, max_seconds: float) -> None:
    from structgen._explain import explain
    from structgen._vocabulary import Vocabulary
    from structgen.cli._check_schema import (
        SchemaChecker,
        explanation_findings,
        repeated_keys,
        schema_error_finding,
    )

    options = dict(constraint.options)
    if isinstance(constraint.source, str):
        report.findings += repeated_keys(constraint.source)
    try:
        explanation = explain(constraint.source, **options)
    except SchemaError as error:
        report.findings.append(schema_error_finding(error))
        return
    except LimitError as error:
        report.findings.append(_error_finding(error))
        return
    except (ValueError, TypeError) as error:
        raise UnusableInputError(constraint.name, str(error)) from None
    report.draft = explanation.draft
    statuses = [entry.status for entry in explanation.entries]
    report.enforcement = {
        status: statuses.count(status) for status in ("exact", "guarded", "annotation", "refused")
    }
    report.explanation = explanation if explains else None
    report.findings += explanation_findings(explanation)
    report.complete = explanation.complete
    if explanation.enforceable:
        checker = SchemaChecker(constraint.schema(), explanation, options, Vocabulary.of_bytes(), max_seconds)
        report.findings += checker.findings()
        report.complete = checker.complete


def _error_finding(error: StructgenError) -> Finding:
    if isinstance(error, GrammarError):
        place = "" if error.line is None else f"{error.line}:{error.column or 1}"
        reason = error.reason
        if error.expected:
            reason += f" (expected {', '.join(error.expected[:10])})"
        return Finding("error", place, reason, error.hint)
    if isinstance(error, RegexError) and error.position is not None:
        return Finding("error", f"position {error.position}", error.reason)
    if isinstance(error, LimitError) and error.pointer:
        return Finding("error", error.pointer, str(error))
    return Finding("error", "", str(error))


def _grammar_findings(constraint: Constraint) -> Iterator[Finding]:
    """Yield rules that nothing leads to, and what Lark's strict mode finds."""
    text = constraint.text()
    if constraint.kind == "gbnf":
        from structgen._frontends.gbnf import find_useless

        for name, reason, line, column in find_useless(text, str(constraint.options.get("root", "root"))):
            yield Finding("warning", f"{line}:{column}", f"rule {name!r} {reason}", "remove it")
        return
    from structgen._frontends.lark._options import starts_of
    from structgen._frontends.lark._unused import find_unused
    from structgen._vocabulary import Vocabulary

    found = find_unused(text, starts_of(constraint.options.get("start")))
    for name, line, column in found:
        what = "terminal" if name.isupper() else "rule"
        yield Finding("warning", f"{line}:{column}", f"no start rule leads to {what} {name!r}", "remove it")
    if not found and not constraint.options.get("strict"):
        strict = Constraint(
            constraint.name, "lark", constraint.source, {**constraint.options, "strict": True}
        )
        try:
            strict.compile(Vocabulary.of_bytes())
        except GrammarError as error:
            finding = _error_finding(error)
            yield Finding("note", finding.place, f"Lark's strict mode: {finding.message}")
        except StructgenError:
            pass  # it compiles without


# -- cost ----------------------------------------------------------------------------------


def _cost(constraint: Constraint, by_bytes: TokenAutomaton, named: Named) -> dict[str, Any]:
    """Compile for a vocabulary and walk along random texts; times are of the thread, in seconds."""
    import numpy as np

    from structgen._core import DEAD
    from structgen._random_text import random_texts

    native = named.vocabulary.native  # its tables are built once, for all constraints
    began = time.thread_time_ns()
    automaton = constraint.compile(named.vocabulary)
    compile_time = (time.thread_time_ns() - began) / 1e9
    try:
        longest = max(_WALK_BYTES, 2 * len(by_bytes.shortest(by_bytes.start)))
    except (GuardDeadEnd, LimitError):
        longest = _WALK_BYTES
    texts: list[str] = []
    dead_ends = 0
    for seed in range(_WALKS):
        try:
            texts += random_texts(by_bytes, 1, seed=seed, max_bytes=longest)
        except (GuardDeadEnd, LimitError):
            dead_ends += 1
    mask = np.zeros(native.mask_words, np.int32)
    times = []
    for text in texts:
        state = automaton.start
        for token in [*named.encode(text), None]:
            began = time.thread_time_ns()
            automaton.fill_mask(state, mask)
            times.append((time.thread_time_ns() - began) / 1e9)
            if token is None or (state := automaton.step(state, token)) == DEAD:
                break
    stats = automaton.stats()
    out: dict[str, Any] = {
        "vocabulary": named.label,
        "compile_seconds": compile_time,
        "states": stats["states"],
        "bytes": stats["bytes"],
        "walks": len(texts),
        "walks_dead": dead_ends,
        "masks": len(times),
    }
    if times:
        p50, p99, most = np.quantile(times, [0.5, 0.99, 1.0]).tolist()
        out["mask_seconds"] = {"p50": p50, "p99": p99, "max": most}
    return out


# -- text ----------------------------------------------------------------------------------


def _lines(report: Report) -> Iterator[str]:
    what = _NAMES[report.kind] + (f", draft {report.draft}" if report.draft else "")
    yield click.style(printable(report.name), bold=True) + f": {what}"
    if report.enforcement is not None:
        counts = [f"{count} {status}" for status, count in report.enforcement.items() if count]
        yield f"  keywords: {', '.join(counts) or 'none'}"
    if report.explanation is not None:
        for line in str(report.explanation).splitlines()[1:]:
            yield f"  {line}"
    for finding in report.findings:
        level = click.style(finding.level, fg=_COLORS[finding.level], bold=finding.level == "error")
        text = " ".join(finding.message.split())
        hint = f" (hint: {finding.hint})" if finding.hint else ""
        yield f"  {level} {printable(finding.place or '(whole)')}: {printable(text + hint)}"
    if not report.complete:
        yield "  not all parts were looked at in time: there may be more to find"
    if report.cost is not None:
        yield f"  cost: {_cost_text(report.cost)}"
    counted = [f.level for f in report.findings if f.level != "note"]
    errors, warnings = counted.count("error"), counted.count("warning")
    yield "  " + (f"{_plural(errors, 'error')}, {_plural(warnings, 'warning')}" if counted else "fine")


def _cost_text(cost: dict[str, Any]) -> str:
    text = (
        f"{cost['vocabulary']}: compiled in {_time(cost['compile_seconds'])}; "
        f"after {cost['walks']} random texts {cost['states']:,} states, {cost['bytes'] / 2**20:.1f} MiB"
    )
    if "mask_seconds" in cost:
        times = ", ".join(f"{name} {_time(value)}" for name, value in cost["mask_seconds"].items())
        text += f"; {cost['masks']} masks: {times}"
    if cost["walks_dead"]:
        text += f"; {cost['walks_dead']} random texts ran into a dead end"
    return text


def _time(seconds: float) -> str:
    for factor, unit in ((1.0, "s"), (1e3, "ms")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")
