"""Reports of ``structgen validate``: text, JSON, SARIF and the annotations of GitHub.

Each writes what it is given at once and keeps nothing, so that memory does not grow with the violations.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import IO, Any
from urllib.parse import quote

import click

import structgen
from structgen.cli._common import EXIT_OK, EXIT_PROBLEMS, EXIT_UNUSABLE, UnusableInputError, printable
from structgen.cli._validate_messages import Violation

_TEXT_CAUSES = 10

SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


@dataclass(frozen=True, slots=True)
class Problem:
    """An input that cannot be used, or (as a warning) what is doubtful about one."""

    file: str
    line: int | None
    column: int | None
    message: str
    hint: str | None = None

    @classmethod
    def of(cls, error: UnusableInputError) -> Problem:
        """Take over an error."""
        return cls(error.file, error.line, error.column, error.reason, error.hint)

    @property
    def place(self) -> str:
        """File, line and column, as far as they are known."""
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)

    @property
    def text(self) -> str:
        """Message and hint."""
        return f"{self.message}; {self.hint}" if self.hint else self.message

    def as_json(self) -> dict[str, Any]:
        """Return what ``--format json`` prints."""
        return {
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "message": self.message,
            "hint": self.hint,
        }


@dataclass
class Outcome:
    """What came of some documents of a file."""

    documents: int = 0
    violations: list[Violation] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)


class Report:
    """Counts outcomes and writes them.

    Parameters
    ----------
    stream : text file
        Where to.
    """

    def __init__(self, stream: IO[str]) -> None:
        self.stream = stream
        self.documents = self.violations = self.problems = self.warnings = 0
        self._whole: set[Problem] = set()

    def begin(self) -> None:
        """Write what comes first."""

    def add(self, outcome: Outcome) -> None:
        """Count and write an outcome."""
        self.documents += outcome.documents
        for problem in outcome.problems:
            self.problems += 1
            # What is wrong with the schema comes up with every document.
            if problem in self._whole:
                continue
            if problem.line is None:
                self._whole.add(problem)
            self.problem(problem)
        for warning in outcome.warnings:
            self.warnings += 1
            self.warning(warning)
        for violation in outcome.violations:
            self.violations += 1
            self.violation(violation)
        # Somebody may be watching a stream of JSON lines.
        if outcome.problems or outcome.warnings or outcome.violations:
            self.stream.flush()

    def end(self) -> None:
        """Write what comes last."""

    def violation(self, violation: Violation) -> None:
        """Write a violation."""

    def problem(self, problem: Problem) -> None:
        """Write an unusable input."""

    def warning(self, problem: Problem) -> None:
        """Write a warning."""

    def exit_code(self, strict: bool) -> int:
        """Return the exit code: unusable inputs come before violations."""
        if self.problems:
            return EXIT_UNUSABLE
        return EXIT_PROBLEMS if self.violations or (strict and self.warnings) else EXIT_OK

    def summary(self) -> str:
        """Return the outcome in one line."""
        counts = [
            _count(self.documents, "document"),
            _count(self.violations, "violation"),
            *([_count(self.problems, "unusable input")] if self.problems else []),
            *([_count(self.warnings, "warning")] if self.warnings else []),
        ]
        return ", ".join(counts)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


class TextReport(Report):
    """For people: place, message, pointers, the line with a caret."""

    def violation(self, violation: Violation) -> None:
        document = "" if violation.document is None else f" of document {violation.document}"
        place = f"{violation.file}:{violation.line}:{violation.column}:"
        pointers = f"  {violation.instance or 'the root'}{document}, by {violation.schema or 'the schema'}"
        line, carets = violation.excerpt
        number = f"{violation.line:>5} | "
        lines = [
            f"{click.style(place, bold=True)} {printable(violation.message)}",
            click.style(printable(pointers), dim=True),
            f"{number}{line}",
            " " * (len(number) - 2) + "| " + click.style(carets, fg="red"),
        ]
        for cause in violation.causes[:_TEXT_CAUSES]:
            text = f"      branch {cause.branch}: {cause.instance or 'the root'}: {cause.message}"
            lines.append(printable(text))
        if len(violation.causes) > _TEXT_CAUSES:
            lines.append(f"      and {len(violation.causes) - _TEXT_CAUSES} more")
        click.echo("\n".join(lines), file=self.stream)

    def problem(self, problem: Problem) -> None:
        self._message("error", "red", problem)

    def warning(self, problem: Problem) -> None:
        self._message("warning", "yellow", problem)

    def _message(self, kind: str, colour: str, problem: Problem) -> None:
        label = click.style(f"{kind}: ", fg=colour, bold=True)
        click.echo(label + printable(f"{problem.place}: {problem.text}"), err=True)


class JSONReport(Report):
    """One JSON object."""

    def begin(self) -> None:
        self.stream.write('{"violations": [')
        self._problems: list[tuple[str, Problem]] = []

    def violation(self, violation: Violation) -> None:
        self.stream.write(("\n  " if self.violations == 1 else ",\n  ") + json.dumps(violation.as_json()))

    def problem(self, problem: Problem) -> None:
        self._problems.append(("errors", problem))

    def warning(self, problem: Problem) -> None:
        self._problems.append(("warnings", problem))

    def end(self) -> None:
        self.stream.write("\n ]" if self.violations else "]")
        for name in ("errors", "warnings"):
            found = [json.dumps(problem.as_json()) for kind, problem in self._problems if kind == name]
            inner = "\n  " + ",\n  ".join(found) + "\n " if found else ""
            self.stream.write(f',\n "{name}": [{inner}]')
        valid = not self.violations and not self.problems
        self.stream.write(f',\n "documents": {self.documents},\n "valid": {json.dumps(valid)}}}\n')


class SARIFReport(Report):
    """Static Analysis Results Interchange Format 2.1.0 (OASIS), one run."""

    def begin(self) -> None:
        self._rules: Counter[str] = Counter()
        self._notifications: list[dict[str, Any]] = []
        self._results = 0
        self.stream.write(
            f'{{"$schema": "{SARIF_SCHEMA}", "version": "2.1.0",\n'
            ' "runs": [{"columnKind": "unicodeCodePoints",\n "results": ['
        )

    def violation(self, violation: Violation) -> None:
        self._result(
            "error",
            violation.keyword,
            violation.message,
            _region(
                violation.file, violation.line, violation.column, violation.end_line, violation.end_column
            )
            | {"logicalLocations": [{"fullyQualifiedName": violation.instance, "kind": "value"}]},
            {"schema": violation.schema},
        )

    def warning(self, problem: Problem) -> None:
        self._result(
            "warning", "input", problem.text, _region(problem.file, problem.line, problem.column), {}
        )

    def problem(self, problem: Problem) -> None:
        self._notifications.append(
            {
                "level": "error",
                "message": {"text": problem.text},
                "locations": [_region(problem.file, problem.line, problem.column)],
            }
        )

    def _result(
        self, level: str, rule: str, text: str, location: dict[str, Any], properties: dict[str, Any]
    ) -> None:
        self._rules[rule] += 1
        result = {"ruleId": rule, "level": level, "message": {"text": text}, "locations": [location]}
        if properties:
            result["properties"] = properties
        self.stream.write((",\n  " if self._results else "\n  ") + json.dumps(result))
        self._results += 1

    def end(self) -> None:
        tool = {
            "driver": {
                "name": "structgen validate",
                "semanticVersion": structgen.__version__,
                "rules": [
                    {"id": rule, "shortDescription": {"text": _rule(rule)}} for rule in sorted(self._rules)
                ],
            }
        }
        invocation: dict[str, Any] = {"executionSuccessful": not self.problems}
        if self._notifications:
            invocation["toolExecutionNotifications"] = self._notifications
        self.stream.write(
            f'],\n "invocations": [{json.dumps(invocation)}],\n "tool": {json.dumps(tool)}}}]}}\n'
        )


def _rule(name: str) -> str:
    if name == "input":
        return "The text of a document is doubtful."
    if name == "false":
        return "No value satisfies the schema false."
    return f"A value does not satisfy the JSON Schema keyword {name}."


def _region(
    file: str,
    line: int | None,
    column: int | None,
    end_line: int | None = None,
    end_column: int | None = None,
) -> dict[str, Any]:
    uri = "stdin" if file == "<stdin>" else quote(file)
    location: dict[str, Any] = {"artifactLocation": {"uri": uri}}
    parts = {"startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column}
    region = {name: value for name, value in parts.items() if value is not None}
    if region:
        location["region"] = region
    return {"physicalLocation": location}


class GitHubReport(Report):
    """Workflow commands, which GitHub Actions shows beside the lines of a pull request."""

    def violation(self, violation: Violation) -> None:
        end = {"endLine": violation.end_line}
        if violation.line == violation.end_line:
            # GitHub ignores columns of what spans lines.
            end["endColumn"] = violation.end_column
        text = (
            f"{violation.message} ({violation.instance or 'the root'}, by {violation.schema or 'the schema'})"
        )
        self._command("error", violation.file, {"line": violation.line, "col": violation.column, **end}, text)

    def problem(self, problem: Problem) -> None:
        self._command("error", problem.file, {"line": problem.line, "col": problem.column}, problem.text)

    def warning(self, problem: Problem) -> None:
        self._command("warning", problem.file, {"line": problem.line, "col": problem.column}, problem.text)

    def _command(self, kind: str, file: str, place: dict[str, int | None], text: str) -> None:
        known = {name: str(value) for name, value in place.items() if value is not None}
        known = {"file": file, **known, "title": "structgen validate"}
        properties = ",".join(f"{name}={_escaped(value, ',:')}" for name, value in known.items())
        click.echo(f"::{kind} {properties}::{_escaped(text)}", file=self.stream)


def _escaped(text: str, more: str = "") -> str:
    """Escape as the commands' own toolkit does: percent first."""
    for character in "%\r\n" + more:
        text = text.replace(character, f"%{ord(character):02X}")
    return printable(text)


REPORTS = {"github": GitHubReport, "json": JSONReport, "sarif": SARIFReport, "text": TextReport}
