"""Reports as Markdown, and rows as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from statistics import fmean, median

from jsonschemabench.reports.sections import Table, collect
from jsonschemabench.results import Outcome, OutputOutcome, Row
from jsonschemabench.runs.reading import Part

CSV_COLUMNS = (
    *("run", "measure", "engine", "name", "status", "phase", "passes", "instances"),
    *("valid_rejected", "valid_rejected_by_order", "invalid_accepted"),
    *("compile_ms", "first_mask_ms", "masks", "mask_mean_us", "mask_median_us", "mask_max_us"),
    *("outputs", "outputs_valid", "outputs_invalid"),
    *("peak_mib", "keywords", "accuracy", "posterior", "conforming", "evaluations", "predicate_calls"),
    *("seconds", "detail"),
)
"""Columns of the CSV: rows of engines leave those of sampling methods empty, and the other way round."""


def markdown(parts: Sequence[Part], title: str, *, reference: str | None = None) -> str:
    """Write a report as Markdown: how each part was run, and its tables."""
    text = [f"# {_escape(title)}\n"]
    text += [items(part.title, collect(part, reference=reference)) for part in parts]
    return "\n".join(text)


def items(title: str, content: Iterable[str | Table]) -> str:
    """Write lines and tables under a title as Markdown."""
    text = [f"## {_escape(title)}"]
    lines: list[str] = []
    for item in [*content, None]:
        if isinstance(item, str):
            lines.append(f"- {_escape(item)}")
            continue
        if lines:
            text.append("\n".join(lines))
            lines = []
        if item is not None:
            text += [f"**{_escape(item.title)}**", _table(item)]
    return "\n\n".join(text) + "\n"


def _table(table: Table) -> str:
    rules = ["---", *["---:"] * (len(table.header) - 1)]
    rows = [table.header, rules, *table.rows]
    rows = [row if row is rules else [_escape(cell) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _escape(text: str) -> str:
    """Have Markdown show a text as it is: no markup, one line."""
    text = " ".join(text.split())
    for character in "\\`*_[]<>|~$":
        text = text.replace(character, f"\\{character}")
    return text


def rows_csv(parts: Sequence[Part]) -> str:
    """Write all rows as CSV (RFC 4180) with the columns :data:`CSV_COLUMNS`; times are ms, µs, s as named."""
    out = io.StringIO()
    writer = csv.DictWriter(out, CSV_COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    for part in parts:
        about = {"run": part.run, "measure": part.measure}
        for row in part.rows:
            writer.writerow(about | _engine_row(row))
        for sample in part.quality:
            writer.writerow(
                about
                | {
                    "engine": sample.method,
                    "name": f"{sample.domain}/{sample.task}/{sample.seed}",
                    "status": "dead" if sample.dead else "ok",
                    "accuracy": sample.accuracy,
                    "posterior": sample.posterior,
                    "conforming": sample.conforming,
                    "evaluations": sample.evaluations,
                    "predicate_calls": sample.predicate_calls,
                    "seconds": sample.seconds,
                }
            )
        for (method, name), reason in part.failures.items():
            writer.writerow(about | {"engine": method, "name": name, "status": "crash", "detail": reason})
    return out.getvalue()


def _engine_row(row: Row) -> dict[str, object]:
    wrong = [verdict for verdict in row.verdicts if not verdict.right]
    found: dict[str, object] = {
        "engine": row.engine,
        "name": row.schema,
        "status": row.status,
        "phase": row.phase,
        "passes": int(row.passes),
        "instances": row.instances,
        "valid_rejected": sum(v.valid and v.outcome is Outcome.REJECTED for v in wrong),
        "valid_rejected_by_order": sum(v.outcome is Outcome.ORDER for v in wrong),
        "invalid_accepted": sum(not v.valid for v in wrong),
        "outputs": len(row.outputs),
        "outputs_valid": sum(output.outcome is OutputOutcome.VALID for output in row.outputs),
        "outputs_invalid": sum(output.outcome is OutputOutcome.INVALID for output in row.outputs),
        "peak_mib": round(row.peak_bytes / (1 << 20), 1),
        "keywords": " ".join(row.keywords),
        "detail": row.detail,
    }
    if row.compile_ns:
        found |= {"compile_ms": row.compile_ns / 1e6, "first_mask_ms": row.first_mask_ns / 1e6}
    if row.step_ns:
        found |= {
            "masks": len(row.step_ns),
            "mask_mean_us": round(fmean(row.step_ns) / 1e3, 3),
            "mask_median_us": median(row.step_ns) / 1e3,
            "mask_max_us": max(row.step_ns) / 1e3,
        }
    return found
