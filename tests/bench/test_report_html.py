"""Reports of runs: figures against those worked out by hand, escaping, what a browser makes of the page."""

from __future__ import annotations

import csv
import io
import itertools
import re
import shutil
import subprocess
from array import array
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from jsonschemabench import features, statistics
from jsonschemabench.cli import main
from jsonschemabench.keywords import keywords
from jsonschemabench.reports import charts, export, page, sections
from jsonschemabench.results import Manifest, Outcome, Row, Status, Verdict
from jsonschemabench.runs import store
from jsonschemabench.runs.reading import Part, read, read_all
from jsonschemabench.runs.store import RunFolder, RunManifest
from jsonschemabench.sampler_quality import QualityRow

ACCEPTED, REJECTED, ORDER = Outcome.ACCEPTED, Outcome.REJECTED, Outcome.ORDER
NASTY = '<script>alert("x")</script>&|`*'


def row(
    engine: str, name: str, used: str, *verdicts: tuple[bool, Outcome], status: Status = Status.OK
) -> Row:
    steps = array("q", [1000, 2000, 3000]) if status is Status.OK else array("q")
    found = Row(engine, name, status, verdicts=[Verdict(*verdict) for verdict in verdicts], step_ns=steps)
    found.keywords = used.split()
    found.compile_ns, found.first_mask_ns = 1_000_000, 2_000_000
    return found


def part(*rows: Row, kind: str = "masks") -> Part:
    engines = list(dict.fromkeys(row.engine for row in rows))
    about = Manifest(engines, ["run"], "bytes", 257, "data", len(rows), 0, 1.0, 1 << 30, 0)
    return Part("a run", "masks", kind, about, list(rows))


ROWS = [
    row("one", "s1", "type enum", (True, ACCEPTED), (False, REJECTED)),
    row("one", "s2", "type", (False, ACCEPTED), (True, REJECTED)),
    row("one", "s3", "type not", status=Status.COMPILE_ERROR),
    row("one", "s4", "not", status=Status.TIMEOUT),
    row("two", "s1", "type enum", (True, ORDER), (False, REJECTED)),
]


# -- figures -----------------------------------------------------------------------------------------------


def test_keywords_are_told_from_names_and_values() -> None:
    schema = {
        "$schema": "x",
        "title": "pattern",
        "properties": {"minimum": {"type": "string"}, "enum": {"items": [{"minLength": 1}]}},
        "const": {"maximum": 1},
        "default": {"uniqueItems": True},
        "enum": [{"format": "date"}],
        "$defs": {"pattern": {"oneOf": [True, {"not": {"multipleOf": 2}}]}},
        "dependencies": {"required": ["allOf"], "if": {"contains": {"$ref": "#"}}},
        "additionalProperties": False,
        "anyOf": "not a list",
    }
    wanted = "$ref additionalProperties anyOf const contains dependencies enum items minLength multipleOf not"
    assert keywords(schema) == [*wanted.split(), "oneOf", "properties", "type"]
    assert keywords(True) == []
    deep: object = {"not": {}}
    for _ in range(50_000):
        deep = {"items": deep}
    assert keywords(deep) == ["items", "not"]


def test_outcomes_by_keyword() -> None:
    found = features.count({"one": ROWS[:4], "two": ROWS[4:]})
    assert list(found) == ["type", "not", "enum"]
    assert found["type"]["one"] == features.Counts(3, passing=1, under=1, over=1, refused=1, failed=0)
    assert found["not"]["one"] == features.Counts(2, passing=0, under=0, over=0, refused=1, failed=1)
    assert found["enum"]["two"] == features.Counts(1, passing=0, under=0, over=1, refused=0, failed=0)
    assert "two" not in found["not"]


def test_coverage() -> None:
    coverage = statistics.coverage(ROWS[:4])
    assert (coverage.declared_share, coverage.empirical_share, coverage.compliance) == (0.5, 0.25, 0.5)
    assert statistics.coverage(ROWS[2:4]).compliance is None


def points_of(svg: str, number: int) -> list[tuple[float, float]]:
    path = re.search(rf'<path class="line c{number}" d="M([^"]*)"', svg)
    assert path is not None
    return [(float(x), float(y)) for x, y in (pair.split() for pair in path[1].split("L"))]


def ticks_of(svg: str, kind: str) -> dict[str, float]:
    where = r'x="([-\d.]+)" y="[-\d.]+"' if kind == "mid" else r'x="[-\d.]+" y="([-\d.]+)"'
    return {text: float(at) for at, text in re.findall(rf'<text {where} class="{kind}">([^<]*)<', svg)}


def test_percentile_curves_go_through_the_percentiles() -> None:
    values = np.arange(1, 10_001, dtype=np.float64)
    svg = charts.percentile_curves({"a": values, "none": np.empty(0), "b": values * 10}, "µs")
    xs, ys = ticks_of(svg, "mid"), ticks_of(svg, "end")
    first, last = points_of(svg, 0), points_of(svg, 2)
    assert list(xs)[:4] == ["min", "p50", "p90", "p99"]
    per_decade = (ys["1"] - ys["100,000"] - 4 + 4) / 5
    for name, share in (("min", 0.0), ("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)):
        x, y = min(first, key=lambda point: abs(point[0] - xs[name]))
        height = ys["1"] - 4 - np.log10(np.quantile(values, share)) * per_decade
        # Curves are drawn with a finite number of points, and to a tenth of a unit.
        assert abs(y - height) < 3, name
        assert abs(x - xs[name]) < 3
    assert first[-1][1] == pytest.approx(ys["10,000"] - 4, abs=0.2)
    assert last[-1][1] == pytest.approx(first[-1][1] - per_decade, abs=0.2)
    assert charts.percentile_curves({"none": np.empty(0)}, "µs") == ""


def test_histograms_count_everything() -> None:
    values = np.array([1.0, 1.0, 1.0, 100.0])
    svg = charts.histogram({"a": values}, "ms", "schemas")
    ys = ticks_of(svg, "end")
    unit = ys["0"] - ys["1"]
    steps = points_of(svg, 0)
    heights = [round((ys["0"] - 4 - y) / unit) for _, y in steps[1:-1:2]]
    assert sorted(heights)[-2:] == [1, 3]
    assert sum(heights) == 4


def test_points_lie_where_quality_and_cost_are() -> None:
    points = [sections.Point("cheap", 10.0, 0.5, 0.4, 0.6), sections.Point("dear", 1000.0, 1.0, 1.0, 1.0)]
    svg = charts.scatter(points, "cost", "quality")
    xs, ys = ticks_of(svg, "mid"), ticks_of(svg, "end")
    centres = [(float(x), float(y)) for x, y in re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', svg)]
    assert centres[0] == pytest.approx((xs["10"], (ys["40%"] + ys["60%"]) / 2 - 4), abs=0.2)
    assert centres[1] == pytest.approx((xs["1,000"], ys["100%"] - 4), abs=0.2)
    assert len(re.findall(r'<text class="name', svg)) == 2
    # Only what has an interval gets a whisker.
    assert len(re.findall(r'class="line c', svg)) == 1


def test_names_of_neighbouring_points_do_not_overlap() -> None:
    points = [sections.Point(f"method {i}", 100.0 + i, 0.5, 0.5, 0.5) for i in range(6)]
    svg = charts.scatter(points, "cost", "quality")
    heights = sorted(float(y) for y in re.findall(r'class="name"[^>]* y="([\d.]+)"', svg))
    assert len(heights) == 6
    assert min(b - a for a, b in itertools.pairwise(heights)) >= 12


# -- pages -------------------------------------------------------------------------------------------------


class Checker(HTMLParser):
    """Notes tags, texts and what would be loaded; tags must be closed in their order."""

    VOID = frozenset(("meta", "br", "hr", "img", "input", "link"))

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.text: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_a_page_is_whole_and_loads_nothing() -> None:
    rows = [
        *ROWS,
        row(NASTY, NASTY, "type", (True, ACCEPTED)),
        row("one", NASTY, "type", status=Status.CRASH),
    ]
    rows[-1].detail = NASTY
    found = page.page([part(*rows)], NASTY)
    checker = Checker()
    checker.feed(found)
    assert not checker.open
    assert {"script", "img", "link", "iframe"}.isdisjoint(checker.seen)
    assert {"src", "href", "onload"}.isdisjoint(name for name, _ in checker.attributes)
    assert "url(" not in found
    assert "@import" not in found
    assert "".join(checker.text).count(NASTY) >= 3
    assert checker.seen.count("svg") >= 3
    # Heat map: one of the four schemas with "type" passes.
    assert '<td class="share" style="--share:25%"' in found
    assert "1 of 4 pass; under-constrained 1, over-constrained 1, refused 1, failed 1" in found


def test_a_page_of_every_kind() -> None:
    suite_rows = [row("one", "7/not#1 x", "not", (True, ACCEPTED), (False, ACCEPTED))]
    samples = [
        QualityRow("sql", task, method, 0, 1.0, share, 1.0, 10 * cost, 5, 0.1, False, NASTY)
        for task in range(3)
        for method, share, cost in (("local", 0.25, 1), ("mask-smc", 0.75, 10))
    ]
    quality = part(kind="quality")
    quality.quality, quality.failures = samples, {("local", "sql/9/0"): NASTY}
    parts = [part(*ROWS), part(*suite_rows, kind="suite"), quality]
    found = page.page(parts, "all")
    assert "Draft 7: share of the tests that come out right" in found
    assert '<td class="share" style="--share:50%"' in found
    assert "mask-smc: 75.0% at 100" in found
    text = export.markdown(parts, "all")
    assert "**draft 7: right / tests**" in text
    assert "| not, if | 1/2 |" in text
    assert "\\<script\\>" in text
    assert "<script>" not in text
    # Every table has rows as wide as its head.
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


def test_rows_as_csv() -> None:
    nasty = row("one", 'a, "b"\nc', "type", (False, ACCEPTED), (True, ORDER))
    nasty.detail = NASTY
    found = list(csv.DictReader(io.StringIO(export.rows_csv([part(*ROWS, nasty)]), newline="")))
    assert len(found) == 6
    assert list(found[0]) == list(export.CSV_COLUMNS)
    assert [line["passes"] for line in found] == ["1", "0", "0", "0", "0", "0"]
    last = found[-1]
    assert (last["name"], last["detail"]) == ('a, "b"\nc', NASTY)
    counts = ("valid_rejected", "valid_rejected_by_order", "invalid_accepted")
    assert [last[name] for name in counts] == ["0", "1", "1"]
    assert (float(last["compile_ms"]), float(last["first_mask_ms"])) == (1.0, 2.0)
    assert (last["masks"], last["mask_mean_us"], last["mask_max_us"]) == ("3", "2.0", "3.0")


# -- runs read back ----------------------------------------------------------------------------------------


def write_run(folder: Path, name: str, *rows: Row) -> Path:
    plan = [{"name": "masks", "kind": "masks", "engines": ["one", "two"], "vocabulary": "bytes", "seed": 0}]
    data = {"masks": {"source": "data", "sha256": "0", "units": 4}}
    about = RunManifest(name, plan, data, {"bytes": 257}, {"numpy": "2"}, "unknown", ["run", name])
    with RunFolder(folder / name, about) as out:
        for item in rows:
            content = {field: getattr(item, field) for field in ("engine", "schema", "status", "keywords")}
            verdicts = [{"valid": v.valid, "outcome": v.outcome} for v in item.verdicts]
            content |= {"step_ns": list(item.step_ns), "verdicts": verdicts, "detail": item.detail}
            out.add([{"kind": "row", "measure": "masks", **content}])
    return folder / name


def test_runs_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = write_run(tmp_path, "old", *ROWS), write_run(tmp_path, "new", *ROWS[:1])
    [one] = read(first)
    assert (one.kind, one.title, len(one.rows)) == ("masks", "old: masks", 5)
    [both] = read_all([first, second])
    assert both.manifest.engines == ["one (old)", "two (old)", "one (new)", "two (new)"]
    assert [row.engine for row in both.rows].count("one (new)") == 1
    html, text, table = tmp_path / "r.html", tmp_path / "r.md", tmp_path / "r.csv"
    flags = ["--html", str(html), "--markdown", str(text), "--csv", str(table), "--plain"]
    assert main(["report", str(first), str(second), *flags]) == 0
    printed = capsys.readouterr().out
    line = next(line for line in printed.splitlines() if line.startswith("schemas "))
    assert line.split() == ["schemas", "4", "1", "1"]
    assert "run old" in printed
    assert "run new" in printed
    assert "one (new)" in html.read_text(encoding="utf-8")
    assert "one (new)" in text.read_text(encoding="utf-8")
    assert len(table.read_text(encoding="utf-8").splitlines()) == 7
    assert main(["report", str(first), "--quiet"]) == 0
    assert capsys.readouterr().out == ""


def test_a_folder_that_holds_no_run_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path)]) == 2
    assert "holds no run" in capsys.readouterr().err
    (tmp_path / store.MANIFEST).write_text('{"format": 99}')
    assert main(["report", str(tmp_path)]) == 2
    assert "has format 99" in capsys.readouterr().err


def browser() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    return found


def test_a_browser_shows_the_page(tmp_path: Path) -> None:
    program = browser()
    rows = [*ROWS, row(NASTY, "s1", "type", (True, ACCEPTED))]
    (tmp_path / "report.html").write_text(page.page([part(*rows)], "A report"), encoding="utf-8")
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync --dump-dom"
    flags += " --disable-background-networking --disable-component-update --disable-dev-shm-usage"
    command = [
        program,
        *flags.split(),
        f"--user-data-dir={tmp_path / 'profile'}",
        "--virtual-time-budget=2000",
    ]
    done = subprocess.run(
        [*command, (tmp_path / "report.html").as_uri()], capture_output=True, timeout=120, check=False
    )
    if not done.stdout:
        pytest.skip(f"Chromium does not run here: {done.stderr.decode(errors='replace')[-300:]}")
    checker = Checker()
    checker.feed(done.stdout.decode())
    assert "script" not in checker.seen
    assert checker.seen.count("figure") == 3
    assert checker.seen.count("svg") == 3 + 3
    assert "A report" in checker.text
    assert NASTY in checker.text
