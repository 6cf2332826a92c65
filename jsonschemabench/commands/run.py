"""The ``run`` command: measurements into a folder, resumable."""

from __future__ import annotations

import argparse
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from jsonschemabench import vocabularies
from jsonschemabench.commands.options import split_names
from jsonschemabench.commands.report import write as write_report
from jsonschemabench.progress import progress
from jsonschemabench.report import Printer
from jsonschemabench.runs import drive, plan, reading
from jsonschemabench.runs.plan import Plan
from jsonschemabench.runs.store import MANIFEST, RunFolder

_MEASURED = (
    "engines data sample seed vocabulary timeout_s memory_limit_mib fresh_process_every outputs max_tokens"
).split()

_EPILOG = """\
examples:
  run examples/bench/maskbench-600.toml --workers 4
  run --engines structgen,llguidance --sample 200 --out runs/today
  run examples/bench/maskbench-full.toml --resume
"""


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command to those of the command line."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "run",
        help="measure into a folder what a run file or flags say; resumable, on a machine or a Ray cluster",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "file",
        nargs="?",
        type=Path,
        metavar="FILE",
        help="a run file (.toml, .yaml); flags override what it says",
    )
    parser.add_argument(
        "--measure",
        metavar="KINDS",
        help=f"without a run file: {', '.join(plan.KINDS)}, comma-separated (default: masks)",
    )
    parser.add_argument("--engines", metavar="NAMES", help="comma-separated; names or module:Class")
    parser.add_argument(
        "--data", metavar="DATA", help="folder, archive, JSON lines, hub:OWNER/NAME, or small"
    )
    parser.add_argument("--sample", type=int, metavar="N", help="how many schemas are drawn")
    parser.add_argument("--seed", type=int, help="of the sample and its order")
    parser.add_argument("--vocabulary", choices=list(vocabularies.VOCABULARIES))
    parser.add_argument("--timeout", dest="timeout_s", type=float, metavar="S", help="seconds a schema")
    parser.add_argument(
        "--memory-limit",
        dest="memory_limit_mib",
        type=int,
        metavar="MIB",
        help="resident memory of an engine",
    )
    parser.add_argument(
        "--fresh-process-every", type=int, metavar="K", help="start engines again after K schemas"
    )
    parser.add_argument(
        "--outputs", type=int, metavar="N", help="with --measure outputs: how many for each schema"
    )
    parser.add_argument("--max-tokens", type=int, metavar="N", help="bound of an output")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the results (default: runs/NAME)")
    parser.add_argument("--resume", action="store_true", help="go on with what the folder holds")
    parser.add_argument(
        "--workers", type=int, metavar="N", help="schemas at a time (default: 1; with Ray, one a CPU)"
    )
    parser.add_argument("--ray", metavar="ADDRESS", help='work on a Ray cluster: "auto" or HOST:PORT')
    parser.add_argument(
        "--report", type=Path, metavar="DIR", help="write report.html, report.md and manifest.json there"
    )
    parser.add_argument("--plain", action="store_true", help="plain text even where rich is installed")
    parser.set_defaults(run=_run)
    return parser


def _plan(options: argparse.Namespace) -> Plan:
    flags = {name: value for name in _MEASURED if (value := getattr(options, name)) is not None}
    if "engines" in flags:
        flags["engines"] = list(split_names(flags["engines"]))
    if options.file is None:
        kinds = split_names(options.measure) or ("masks",)
        found = plan.check({"measure": [{"kind": kind} for kind in kinds]}, default_name="-".join(kinds))
    elif options.measure:
        raise plan.PlanError("--measure is for runs without a run file: the file says what is measured")
    else:
        found = plan.check(plan.read(options.file), default_name=options.file.stem)
    found = plan.override(found, flags)
    for name in ("out", "report", "workers", "ray"):
        if (value := getattr(options, name)) is not None:
            found = replace(found, **{name: value})
    if found.workers is not None and found.workers < 1:
        raise plan.PlanError("--workers: a whole number, 1 or more")
    return found


def _run(options: argparse.Namespace) -> int:
    todo = _plan(options)
    found, manifest = drive.prepare(todo)
    units = [unit for part in found for unit in part.units]
    with RunFolder(todo.out, manifest, resume=options.resume) as folder:
        rows = drive.count(units, folder)
        if rows.done:
            print(f"{rows.done} of {rows.wanted} rows are there already", file=sys.stderr)
        try:
            with progress(rows.wanted, rows.done) as bar:
                drive.drive(todo, units, folder, lambda: drive.executor(todo), bar)
        except KeyboardInterrupt:
            print(f"what is done is in {todo.out}; --resume goes on with it", file=sys.stderr)
            raise
        rows = drive.count(units, folder)
    printer = Printer(plain=options.plain)
    printer.line(f"{todo.out}: {rows.done} of {rows.wanted} rows")
    for measure, missing in folder.manifest.unavailable.items():
        for name, reason in missing.items():
            printer.line(f"{measure}: {name} did not run: {reason}")
    if todo.report is not None and rows.done:
        todo.report.mkdir(parents=True, exist_ok=True)
        parts = reading.read(todo.out)
        write_report(parts, todo.name, html=todo.report / "report.html", markdown=todo.report / "report.md")
        shutil.copyfile(todo.out / MANIFEST, todo.report / MANIFEST)
        printer.line(f"report in {todo.report}")
    return 0 if rows.done or not rows.wanted else 2
