"""A report as one HTML page that needs nothing from elsewhere, in light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from jsonschemabench import features, statistics, suite
from jsonschemabench.features import Counts
from jsonschemabench.reports import charts
from jsonschemabench.reports.sections import Point, Table, collect, quality_points
from jsonschemabench.results import Row, Status
from jsonschemabench.runs.reading import Part

_LIGHT = "#1f6fb4 #c2510a #15803d #9333a8 #8a6d00 #0e7c86 #be185d #555555".split()
_DARK = "#6db3f2 #ff9d5c #5fd38a #d59bea #e6c84f #4fd1d9 #ff8fb8 #bbbbbb".split()
_HEAT = "Coverage by keyword: share of the schemas using it that pass"
_DASHES = ("none", "none", "none", "none", "6 3", "6 3", "6 3", "6 3")


def _style() -> str:
    light = "".join(f"--c{i}:{colour};" for i, colour in enumerate(_LIGHT))
    dark = "".join(f"--c{i}:{colour};" for i, colour in enumerate(_DARK))
    series = "".join(
        f"path.c{i}{{stroke:var(--c{i});stroke-dasharray:{dash}}}circle.c{i}{{fill:var(--c{i})}}"
        for i, dash in enumerate(_DASHES)
    )
    return f"""
:root{{color-scheme:light dark;--fg:#1b1f24;--bg:#ffffff;--soft:#57606a;--rule:#d0d7de;--head:#f3f5f7;
--right:#8fbfe8;--wrong:#f4b183;{light}}}
@media (prefers-color-scheme:dark){{:root{{--fg:#e6edf3;--bg:#0f1319;--soft:#9aa7b4;
--rule:#343b44;--head:#1a2029;--right:#1c5688;--wrong:#8a4a1c;{dark}}}}}
*{{box-sizing:border-box}}
body{{margin:0 auto;padding:1.5rem;max-width:1180px;font:15px/1.5 system-ui,sans-serif;color:var(--fg);
background:var(--bg)}}
h1{{font-size:1.5rem}}h2{{font-size:1.25rem;margin-top:2.5rem;border-bottom:1px solid var(--rule)}}
h3{{font-size:1rem;margin:1.6rem 0 .4rem}}
p{{margin:.2rem 0;color:var(--soft);overflow-wrap:anywhere}}
.wide{{overflow-x:auto}}
table{{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.86rem}}
th,td{{padding:.2rem .6rem;border-bottom:1px solid var(--rule);text-align:right;vertical-align:top}}
th{{background:var(--head);font-weight:600}}
th:first-child,td:first-child{{text-align:left;max-width:34rem;overflow-wrap:anywhere}}
.plots{{display:grid;gap:1rem 2rem;margin:1rem 0;
grid-template-columns:repeat(auto-fill,minmax(min(100%,440px),1fr))}}
figure{{margin:0}}figcaption{{font-weight:600;margin-bottom:.3rem}}
svg{{width:100%;height:auto;display:block}}
svg text{{fill:var(--soft);font-size:12px}}svg text.title,svg text.name{{fill:var(--fg)}}
.mid{{text-anchor:middle}}.end{{text-anchor:end}}
.grid{{stroke:var(--rule);stroke-width:1;fill:none}}.line{{stroke-width:2;fill:none;stroke-linejoin:round}}
.legend{{list-style:none;display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;padding:0;margin:.6rem 0}}
.legend li{{display:flex;align-items:center;gap:.4rem}}.legend svg{{width:28px;height:8px}}
.heat td.share{{background:color-mix(in oklab,var(--right) var(--share),var(--wrong))}}
{series}
"""


def page(parts: Sequence[Part], title: str, *, reference: str | None = None) -> str:
    """Write a report.

    Parameters
    ----------
    parts
        Of one run or of several.
    title
        Of the page.
    reference
        The engine that others are compared with; by default the first.

    Returns
    -------
    str
        An HTML document without scripts, which loads nothing.
    """
    body = "".join(_part(part, reference) for part in parts)
    # The policy has the browser hold to what the page claims.
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_style()}</style></head>"
        f"<body><h1>{escape(title)}</h1>{body}</body></html>\n"
    )


def _part(part: Part, reference: str | None) -> str:
    found = collect(part, reference=reference)
    lines = [item for item in found if isinstance(item, str)]
    tables = [item for item in found if isinstance(item, Table)]
    text = [f"<section><h2>{escape(part.title)}</h2>", *(f"<p>{escape(line)}</p>" for line in lines)]
    text += [_table(table) for table in tables[:1]]
    text.append(_plots(part))
    text += [_table(table) for table in tables[1:]]
    return "".join([*text, "</section>"])


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.header)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows
    )
    return (
        f'<h3>{escape(table.title)}</h3><div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _plots(part: Part) -> str:
    if part.kind == "quality":
        points = quality_points(part)
        plot = charts.scatter(points, "tokens that the model was run on", "posterior accuracy")
        return _figures([("Quality against cost", plot)])
    groups = statistics.by_engine(part.rows, part.manifest.engines)
    if part.kind == "suite":
        return _suite_heat(part)
    ran = {engine: [row for row in rows if row.status is Status.OK] for engine, rows in groups.items()}
    compile_ms = {name: statistics.first_mask_ms(rows) for name, rows in ran.items()}
    figures = [
        (
            "Mask and step, by percentile",
            charts.percentile_curves({name: statistics.step_us(rows) for name, rows in ran.items()}, "µs"),
        ),
        ("Schema to first mask", charts.histogram(compile_ms, "ms", "schemas")),
        (
            "Empirical coverage against the mean time of a mask",
            charts.scatter(_engine_points(groups), "µs per mask and step", "empirical coverage"),
        ),
    ]
    return charts.legend(list(ran)) + _figures(figures) + _heat(groups)


def _engine_points(groups: dict[str, list[Row]]) -> list[Point]:
    points = []
    for engine, rows in groups.items():
        times = statistics.step_us(row for row in rows if row.status is Status.OK)
        if len(times):
            share = statistics.coverage(rows).empirical_share
            points.append(Point(engine, float(times.mean()), share, share, share))
    return points


def _figures(figures: Sequence[tuple[str, str]]) -> str:
    shown = "".join(
        f"<figure><figcaption>{escape(caption)}</figcaption>{plot}</figure>"
        for caption, plot in figures
        if plot
    )
    return f'<div class="plots">{shown}</div>' if shown else ""


def _heat(groups: dict[str, list[Row]]) -> str:
    found = features.count(groups)
    rows = []
    for keyword, counts in found.items():
        used = max(count.schemas for count in counts.values())
        cells = [_share_cell(_passing(counts.get(engine)), _tip(counts.get(engine))) for engine in groups]
        rows.append((keyword, used, cells))
    return _heat_table(_HEAT, "schemas", list(groups), rows)


def _passing(counts: Counts | None) -> float | None:
    return counts.passing / counts.schemas if counts else None


def _tip(counts: Counts | None) -> str:
    if counts is None:
        return ""
    return (
        f"{counts.passing} of {counts.schemas} pass; under-constrained {counts.under}, over-constrained "
        f"{counts.over}, refused {counts.refused}, failed {counts.failed}"
    )


def _suite_heat(part: Part) -> str:
    text = ""
    for draft, engines, cells in suite.tables(part.rows, part.manifest.engines, "group"):
        rows = []
        for name, counts in cells.items():
            tests = max(count.total() for count in counts.values())
            shares = []
            for engine in engines:
                total = counts[engine].total()
                tip = ", ".join(f"{outcome} {counts[engine][outcome]}" for outcome in suite.OUTCOMES)
                shares.append(_share_cell(counts[engine]["right"] / total if total else None, tip))
            rows.append((name, tests, shares))
        text += _heat_table(f"Draft {draft}: share of the tests that come out right", "tests", engines, rows)
    return text


def _share_cell(share: float | None, tip: str) -> str:
    if share is None:
        return "<td>-</td>"
    # 99.96 % is not all.
    shown = "100%" if share == 1 else f"{min(share, 0.999):.1%}"
    return f'<td class="share" style="--share:{share:.0%}" title="{escape(tip)}">{shown}</td>'


def _heat_table(
    title: str, counted: str, engines: Sequence[str], rows: Sequence[tuple[str, int, list[str]]]
) -> str:
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in ("", counted, *engines))
    body = "".join(
        f"<tr><td>{escape(name)}</td><td>{number:,}</td>{''.join(cells)}</tr>" for name, number, cells in rows
    )
    return (
        f'<h3>{escape(title)}</h3><div class="wide"><table class="heat"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )
