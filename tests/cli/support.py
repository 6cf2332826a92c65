"""Running the command line: in this process, or in one of its own."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from structgen.cli import cli

HERE = Path(__file__).parent
DATA = HERE / "data"
REPOSITORY = HERE.parents[1]


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str


def run(*arguments: str | Path, stdin: bytes | str | None = None, **options: Any) -> Ran:
    """Run a command in this process; an exception that is not an exit is raised."""
    result = CliRunner().invoke(
        cli, [str(a) for a in arguments], input=stdin, prog_name="structgen", **options
    )
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ran(result.exit_code, result.stdout, result.stderr)


def environment(**more: str) -> dict[str, str]:
    """Return what a process of its own needs to find this tree."""
    return {**os.environ, "PYTHONPATH": str(REPOSITORY), **more}


def command(*arguments: str | Path) -> list[str]:
    """Return the command for a process of its own."""
    return [sys.executable, "-m", "structgen", *map(str, arguments)]


def spawn(*arguments: str | Path, stdin: bytes = b"", cwd: Path | None = None, **more: str) -> Ran:
    """Run a command in a process of its own."""
    result = subprocess.run(
        command(*arguments), input=stdin, capture_output=True, cwd=cwd, env=environment(**more), timeout=120
    )
    return Ran(result.returncode, result.stdout.decode(), result.stderr.decode())
