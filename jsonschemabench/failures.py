"""Every schema that does not pass, grouped by why."""

from __future__ import annotations

from collections.abc import Iterable

from jsonschemabench.results import Outcome, Row, Status
from jsonschemabench.statistics import fold

_DETAIL_CHARACTERS = 200


def text(rows: Iterable[Row]) -> str:
    """Write a list for people: engine, reason and number of schemas, then a line per schema.

    Parameters
    ----------
    rows
        Rows of any engines. A schema that passes is not named; one that fails is named once, by the
        worst that befell it.

    Returns
    -------
    str
        Groups with the most schemas first.
    """
    engines: dict[str, list[Row]] = {}
    for row in rows:
        engines.setdefault(row.engine, []).append(row)
    lines = []
    for engine, all_rows in engines.items():
        groups: dict[str, list[tuple[str, str]]] = {}
        failing = [row for row in all_rows if not row.passes]
        for row in failing:
            reason, detail = _why(row)
            groups.setdefault(reason, []).append((row.schema, detail))
        lines.append(f"{engine}: {len(failing)} of {len(all_rows)} schemas do not pass")
        for reason, schemas in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
            lines.append(f"\n  {len(schemas)} {reason}")
            lines.extend(f"    {name}\t{_one_line(detail)}".rstrip() for name, detail in sorted(schemas))
        lines.append("")
    return "\n".join(lines)


def _why(row: Row) -> tuple[str, str]:
    """Return the kind of a failure, which groups, and what is particular to the schema."""
    if not row.judged:
        phase = f" ({row.phase})" if row.phase else ""
        return f"{row.status}{phase}: {fold(row.detail)}", row.detail
    wrong = [verdict for verdict in row.verdicts if not verdict.right]
    # Accepting what is invalid is worst, refusing what another order would allow is least.
    for valid, outcome, kind in (
        (False, Outcome.ACCEPTED, "invalid accepted"),
        (True, Outcome.REJECTED, "valid rejected"),
        (True, Outcome.ORDER, "valid rejected by the order of keys alone"),
    ):
        found = [verdict for verdict in wrong if verdict.valid is valid and verdict.outcome is outcome]
        if found:
            if row.status is Status.UNSATISFIABLE:
                return f"{kind}: taken for unsatisfiable", row.detail
            return kind, f"{len(found)} of {len(row.verdicts)} instances; {found[0].description}"
    raise AssertionError(f"{row.schema} passes")


def _one_line(detail: str) -> str:
    return " ".join(detail.split())[:_DETAIL_CHARACTERS]
