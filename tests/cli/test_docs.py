"""The commands of docs/cli.md and README.md: run as they are printed, with what they print.

A block of the language ``json title="NAME"`` (or another, with a title) is a file. In a ``console`` block,
lines after ``$`` are commands, and the others what they print, standard error included; a line ``...`` stands
for any lines. The blocks of a page run in order, in one folder.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.cli.support import REPOSITORY, environment

_BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```', re.MULTILINE | re.DOTALL)
_MARK = "-- end of command --"


def blocks(page: str) -> list[tuple[str, str, str]]:
    """Return language, title and text of the blocks of a page."""
    return _BLOCK.findall((REPOSITORY / page).read_text(encoding="utf-8"))


def commands(text: str) -> list[tuple[str, str]]:
    """Return the commands of a block with what they print."""
    parts = re.split(r"^\$ ", text, flags=re.MULTILINE)
    assert parts[0] == ""
    return [(command, printed) for command, _, printed in (part.partition("\n") for part in parts[1:])]


def matches(printed: str, expected: str) -> bool:
    pieces = [re.escape(piece) for piece in re.split(r"^\.\.\.\n", expected, flags=re.MULTILINE)]
    return re.fullmatch("(?s:.*)".join(pieces), printed) is not None


@pytest.mark.parametrize("page", ["docs/cli.md", "README.md"])
def test_commands_print_what_the_page_says(page: str, tmp_path: Path) -> None:
    programs, folder = tmp_path / "bin", tmp_path / "folder"
    programs.mkdir()
    folder.mkdir()
    program = programs / "structgen"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m structgen "$@"\n')
    program.chmod(0o755)
    ran = 0
    script, wanted = "", []
    for language, title, text in blocks(page):
        if title:
            (folder / title).parent.mkdir(parents=True, exist_ok=True)
            (folder / title).write_text(text, encoding="utf-8")
        elif language == "console":
            for command, printed in commands(text):
                wanted.append((command, printed))
                # The next command sees the exit status, as in a shell.
                script += f"{{ {command}\n}} 2>&1; code=$?; echo '{_MARK}'; (exit $code)\n"
    result = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=environment(PATH=f"{programs}{os.pathsep}{os.environ['PATH']}", OMP_NUM_THREADS="1"),
        capture_output=True,
        timeout=280,
    )
    outputs = result.stdout.decode().split(f"{_MARK}\n")
    assert len(outputs) == len(wanted) + 1, result.stderr.decode()
    for (command, expected), printed in zip(wanted, outputs, strict=False):
        assert matches(printed, expected), f"$ {command}\n{printed}\nbut the page says\n{expected}"
        ran += 1
    assert ran > 0


def test_the_example_of_pre_commit_names_a_hook() -> None:
    [text] = [text for language, title, text in blocks("docs/cli.md") if title == ".pre-commit-config.yaml"]
    hooks = yaml.safe_load((REPOSITORY / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    used = {hook["id"] for repository in yaml.safe_load(text)["repos"] for hook in repository["hooks"]}
    assert used <= {hook["id"] for hook in hooks}


def test_dots_stand_for_any_lines() -> None:
    assert matches("a\nb\nc\n", "a\n...\nc\n")
    assert matches("a\n", "a\n...\n")
    assert not matches("a\nb\n", "a\n")
    assert not matches("ax\n", "a.\n")
