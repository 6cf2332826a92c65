"""The command line as a whole: help, exit codes, interruption, completion, man pages."""

import ast
import importlib.util
import multiprocessing
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

import structgen
from structgen.cli import _COMMANDS, _validate, cli
from structgen.cli._common import UnusableInputError, atomic_output
from tests.cli.support import DATA, REPOSITORY, command, environment, run, spawn

SCHEMA = DATA / "product.schema.json"


def test_help_names_every_command() -> None:
    ran = run("--help")
    assert ran.code == 0
    for name in _COMMANDS:
        assert re.search(rf"^  {name} ", ran.out, re.MULTILINE)
        assert run(name, "--help").code == 0
    assert run("-h").out == ran.out


def test_version() -> None:
    assert run("--version").out == f"structgen, version {structgen.__version__}\n"


@pytest.mark.parametrize("arguments", [["nope"], ["--nope"], ["validate", "--nope"]])
def test_wrong_usage_ends_with_2(arguments: list[str]) -> None:
    ran = run(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert "Usage: structgen" in ran.err


def test_help_imports_no_model() -> None:
    code = (
        "import sys; from structgen.cli import cli; cli(['validate', '--help'], standalone_mode=False); "
        "print([name for name in ('torch', 'transformers', 'jsonschema') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment(), timeout=60)
    assert ran.stdout.splitlines()[-1] == b"[]"


# -- benchmarks ----------------------------------------------------------------------------


def test_bench_is_the_benchmark_module(capfd: pytest.CaptureFixture[str]) -> None:
    assert run("bench", "--nope").code == 2
    ran = spawn("bench", "masks", "--help")
    assert ran.code == 0
    module = subprocess.run(
        [sys.executable, "-m", "jsonschemabench", "masks", "--help"],
        capture_output=True,
        env=environment(),
        timeout=60,
    )
    assert ran.out == module.stdout.decode()


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "jsonschemabench.cli", raising=False)

    class Finder:
        @staticmethod
        def find_spec(name: str, *_arguments: Any) -> None:
            if name == "jsonschemabench.cli":
                raise ModuleNotFoundError("No module named 'psutil'", name="psutil")

    monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])
    ran = run("bench", "--help")
    assert (ran.code, ran.out) == (2, "")
    assert "need psutil; install them with pip install 'structgen[bench]'" in ran.err


# -- interruption --------------------------------------------------------------------------


def test_ctrl_c_ends_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(type(cli), "get_command", lambda *_: interrupted)
    ran = run("validate")
    assert ran.code == 130
    assert ran.err.endswith("structgen: interrupted\n")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_signals_leave_no_half_written_file(number: int, code: int, jobs: str, tmp_path: Path) -> None:
    target = tmp_path / "report.txt"
    target.write_text("as it was")
    # Lines come for ever: the command cannot end by itself.
    process = subprocess.Popen(
        command("validate", SCHEMA, "-", "--input-format", "jsonl", "-o", target, "--jobs", jobs),
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        start_new_session=True,
    )
    assert process.stdin is not None
    try:
        while len(list(tmp_path.iterdir())) < 2 and process.poll() is None:
            time.sleep(0.05)
        for _ in range(20 if jobs == "2" else 1):
            process.stdin.write(b'{"name": "b"}\n' * 2000)
        process.stdin.flush()
        os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
        errors = process.communicate(timeout=60)[1]
    finally:
        process.kill()
    assert process.returncode == code, errors
    assert b"Traceback" not in errors
    assert target.read_text() == "as it was"
    assert [path.name for path in tmp_path.iterdir()] == ["report.txt"]


def test_a_process_that_is_killed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Each of its tasks is longer than what a pipe holds: somebody is at writing one when a reader is gone.
    data = tmp_path / "data.jsonl"
    data.write_text('{"name": "B"}\n' * 100_000)
    others = multiprocessing.active_children()
    tasks = _validate._tasks

    def killing(*arguments: Any) -> Iterator[Any]:
        for number, task in enumerate(tasks(*arguments)):
            if number == 3:
                next(process for process in multiprocessing.active_children() if process not in others).kill()
            yield task

    monkeypatch.setattr(_validate, "_tasks", killing)
    ran = run("validate", SCHEMA, data, "--jobs", "2")
    assert ran.code == 2
    assert "2 processes: one of them was killed" in ran.err
    assert multiprocessing.active_children() == others


def test_a_reader_that_leaves_is_no_failure_of_ours(tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    data.write_text('{"name": "b"}\n' * 5000)
    process = subprocess.Popen(
        command("validate", SCHEMA, data, "-q"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith(str(data).encode())
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr:
        assert process.stderr.read() == b""
    # As if SIGPIPE had ended it: no verdict on the documents.
    assert process.wait(60) == 141


def test_output_appears_when_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with atomic_output(str(target)) as stream:
        stream.write("é\udc80")
        stream.flush()
        assert not target.exists()
    assert target.read_bytes() == "é\\udc80".encode()
    assert target.stat().st_mode & 0o077 == 0o066 & ~current_umask()
    with pytest.raises(KeyboardInterrupt):
        write_half(target)
    assert target.read_bytes() == "é\\udc80".encode()
    with pytest.raises(UnusableInputError, match="cannot be written"), atomic_output(str(tmp_path)):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def write_half(target: Path) -> None:
    with atomic_output(str(target)) as stream:
        stream.write("half")
        raise KeyboardInterrupt


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


# -- bounded memory ------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["json", "jsonl", "yaml", "toml"])
def test_a_line_of_a_gigabyte_takes_bounded_memory(form: str) -> None:
    limit = 1 << 30  # of addresses, of which the libraries take a good part

    process = subprocess.Popen(
        command("validate", SCHEMA, "-", "--input-format", form, "--max-bytes", str(16 << 20)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(OMP_NUM_THREADS="1"),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    assert process.stdin is not None
    piece = b"x" * (1 << 20)
    try:
        process.stdin.write(b'{"name": "A"}\n{"name": "')
        for _ in range(1 << 10):
            process.stdin.write(piece)
        process.stdin.write(b'"}\n{"name": "b"}\n')
    except BrokenPipeError:
        # One document that is too long is not read to its end.
        assert form != "jsonl"
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 2
    assert b"is longer than 16,777,216 bytes; allow more with --max-bytes" in errors
    if form == "jsonl":
        assert b"<stdin>:2:1: is longer" in errors
        assert out.startswith(b"<stdin>:3:10: expected a string that matches")
        assert b"2 documents, 1 violation, 1 unusable input" in errors


# -- what goes with the commands -----------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("structgen val", "plain,validate"),
        ("structgen validate --ass", "plain,--assert-formats"),
        ("structgen validate --format s", "plain,sarif"),
        ("structgen validate sch", "file,sch"),
    ],
)
def test_shells_complete(words: str, offered: str) -> None:
    last = str(len(words.split()) - 1)
    ran = spawn(COMP_WORDS=words, COMP_CWORD=last, _STRUCTGEN_COMPLETE="bash_complete")
    assert (ran.code, ran.out.split()) == (0, [offered])


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_are_told_how_to_complete(shell: str) -> None:
    ran = spawn(_STRUCTGEN_COMPLETE=f"{shell}_source")
    assert ran.code == 0
    assert f"_STRUCTGEN_COMPLETE={shell}_complete" in ran.out


def test_man_pages_are_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("man_pages", REPOSITORY / "docs" / "man_pages.py")
    assert spec is not None
    assert spec.loader is not None
    man_pages = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(man_pages)
    committed = {file.name: file.read_text(encoding="utf-8") for file in man_pages.FOLDER.glob("*.1")}
    assert man_pages.pages() == committed, "run `make man`"
    assert set(committed) == {"structgen.1", *(f"structgen-{name}.1" for name in _COMMANDS)}


def test_hooks_call_commands_with_options_that_exist() -> None:
    import yaml

    hooks = yaml.safe_load((REPOSITORY / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert {hook["id"] for hook in hooks} == {"structgen-check", "structgen-validate"}
    for hook in hooks:
        program, name, *options = hook["entry"].split()
        assert program == "structgen"
        if name in _COMMANDS:
            found = cli.get_command(click.Context(cli), name)
            assert found is not None
            known = {option for one in found.params for option in (*one.opts, *one.secondary_opts)}
            assert set(options) <= known


def test_files_of_the_command_line_stay_short() -> None:
    for file in (REPOSITORY / "structgen" / "cli").glob("*.py"):
        assert ast.parse(file.read_text(encoding="utf-8"))
        assert len(file.read_text(encoding="utf-8").splitlines()) < 600


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device here is always full")
@pytest.mark.parametrize("count", [1, 5000])
def test_a_full_disk_is_told(count: int) -> None:
    """With little output it shows at the end only, with much of it in between."""
    with open("/dev/full", "wb") as full:
        process = subprocess.run(
            command("sample", SCHEMA, "-n", str(count)),
            stdout=full,
            stderr=subprocess.PIPE,
            env=environment(),
            timeout=60,
            check=False,
        )
    assert process.returncode == 2
    assert process.stderr == b"structgen: the output cannot be written: No space left on device\n"
