"""Runs into folders: run files, kills and what they leave, lost workers, resuming."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from jsonschemabench import cli
from jsonschemabench.cli import main
from jsonschemabench.engines import ENGINES, GROUP
from jsonschemabench.runs import drive, plan, store, units
from jsonschemabench.runs.executors import End, ExecutorError
from jsonschemabench.runs.plan import PlanError
from jsonschemabench.runs.store import RunFolder, RunManifest, StoreError
from jsonschemabench.runs.units import Finished, Unit, UnitWorker
from jsonschemabench.sampler_quality import QualityRow

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Write = Callable[[dict[str, dict[str, Any]]], Path]
FAKE, SLOW = "fake_engines:FakeEngine", "fake_engines:SlowEngine"
HERE = Path(__file__).parent
GOOD = {"schema": {"language": ["1", "22"]}, "valid": [1, 22], "invalid": [2]}
CASES = {
    "good": GOOD,
    "dead": {"schema": {"compile": "exit"}, "valid": [1]},
    "lost": {"schema": {"language": ["1"]}, "valid": [1, 10]},
}


def keyed(folder: Path) -> dict[units.Key, Any]:
    """Return what must be the same in every run, by key; no key may come twice."""
    found: dict[units.Key, Any] = {}
    for record in store.read_rows(folder):
        key = units.key_of(record)
        assert key not in found, f"{key} is there twice"
        found[key] = [record[name] for name in ("status", "detail", "verdicts", "step_ns", "keywords")]
    return found


def run(data: Path, out: Path, *more: str, engines: str = f"{FAKE},{SLOW}") -> int:
    flags = ["--engines", engines, "--data", str(data), "--vocabulary", "bytes", "--plain"]
    return main(["run", *flags, "--out", str(out), *more])


# -- run files ---------------------------------------------------------------------------------------------

TOML = """
name = "both"
out = "somewhere"
seed = 3
engines = ["structgen", "llguidance"]
[[measure]]
kind = "masks"
sample = 10
[[measure]]
kind = "suite"
engines = ["structgen"]
drafts = ["2020-12"]
"""
YAML = """
name: both
out: somewhere
seed: 3
engines: [structgen, llguidance]
measure:
  - {kind: masks, sample: 10}
  - {kind: suite, engines: [structgen], drafts: ["2020-12"]}
"""


def test_toml_and_yaml_say_the_same(tmp_path: Path) -> None:
    plans = []
    for name, text in (("run.toml", TOML), ("run.yaml", YAML)):
        (tmp_path / name).write_text(text)
        plans.append(plan.check(plan.read(tmp_path / name)))
    assert plans[0] == plans[1]
    masks, suite = plans[0].measures
    assert (masks.engines, masks.sample, masks.seed) == (("structgen", "llguidance"), 10, 3)
    assert (masks.vocabulary, masks.timeout_s) == ("tekken", 60.0)
    assert (suite.engines, suite.drafts, suite.sections) == (
        ("structgen",),
        ("2020-12",),
        ("required", "format"),
    )
    assert (suite.vocabulary, suite.timeout_s) == ("bytes", 20.0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"measures": []}, "no key 'measures' (did you mean 'measure'?)"),
        ({"measure": []}, "with at least one"),
        ({"measure": [{"kind": "mask"}]}, "not 'mask' (did you mean 'masks'?)"),
        ({"measure": [{"smaple": 3}]}, "measure 1 (masks) has no key 'smaple' (did you mean 'sample'?)"),
        ({"measure": [{"kind": "suite", "sample": 3}]}, "measure 1 (suite) has no key 'sample'"),
        ({"measure": [{"kind": "suite", "drafts": ["3"]}]}, "no '3'"),
        ({"measure": [{"kind": "quality", "methods": ["locl"]}]}, "did you mean 'local'?"),
        ({"measure": [{"sample": "ten"}]}, "measure 1, sample: a whole number, 1 or more, not 'ten'"),
        ({"measure": [{"sample": True}]}, "not True"),
        ({"measure": [{"timeout_s": 0}]}, "a number of seconds over 0, not 0"),
        ({"measure": [{"vocabulary": "words"}]}, "one of tekken, bytes, not 'words'"),
        ({"engines": ["structgen", "structgen"]}, "a list of different names"),
        ({"measure": [{}, {}]}, "two measures are named 'masks'"),
        ({"measure": [3]}, "measure 1: a table of keys, not 3"),
        ({"workers": 0}, "the run file, workers: a whole number, 1 or more, not 0"),
    ],
)
def test_a_wrong_run_file_is_explained(content: dict[str, Any], message: str) -> None:
    with pytest.raises(PlanError) as caught:
        plan.check(content)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("run.toml", "name = ", "run.toml: "),
        ("run.yaml", "a: [", "not YAML"),
        ("run.yaml", "- 1", "not a list"),
        ("run.json", "{}", "end in .toml, .yaml or .yml"),
    ],
)
def test_an_unreadable_run_file_is_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(PlanError, match=message.replace(".", r"\.")):
        plan.read(tmp_path / name)


def test_flags_change_what_a_run_file_says(write_cases: Write, tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    data = write_cases(CASES)
    file.write_text(f'engines = ["{FAKE}"]\n[[measure]]\ndata = "{data}"\nvocabulary = "bytes"\n')
    out = tmp_path / "out"
    assert main(["run", str(file), "--sample", "2", "--engines", SLOW, "--out", str(out), "--plain"]) == 0
    found = keyed(out)
    assert len(found) == 2
    assert {engine for _, engine, _ in found} == {SLOW}
    manifest = store.read_manifest(out)
    assert manifest.name == "run"
    assert manifest.complete
    assert manifest.plan[0]["sample"] == 2
    assert manifest.data["masks"]["units"] == 2
    assert len(manifest.data["masks"]["sha256"]) == 64
    assert manifest.versions["numpy"] != "not installed"
    assert manifest.sessions[0]["machines"][0]["cpus"] == os.cpu_count()


def test_a_flag_that_nothing_takes_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--measure", "quality", "--sample", "3"]) == 2
    assert "nothing that this run measures (quality) takes sample" in capsys.readouterr().err


# -- rows --------------------------------------------------------------------------------------------------


def test_failures_are_rows(write_cases: Write, tmp_path: Path) -> None:
    cases = {
        **CASES,
        "hang": {"schema": {"compile": "hang"}, "valid": [1]},
        "grow": {"schema": {"compile": "grow"}, "valid": [1]},
    }
    assert run(write_cases(cases), tmp_path / "out", "--timeout", "6", "--memory-limit", "400") == 0
    found = keyed(tmp_path / "out")
    assert len(found) == 2 * len(cases)
    statuses = {schema: found["masks", FAKE, schema][0] for schema in cases}
    wanted = {"good": "ok", "dead": "crash", "lost": "ok", "hang": "time-out", "grow": "memory limit"}
    assert statuses == wanted


def test_several_workers_give_the_same_rows(write_cases: Write, tmp_path: Path) -> None:
    data = write_cases({**CASES, **{f"more{i}": GOOD for i in range(6)}})
    assert run(data, tmp_path / "one") == 0
    assert run(data, tmp_path / "three", "--workers", "3") == 0
    assert keyed(tmp_path / "one") == keyed(tmp_path / "three")


def test_a_method_that_hangs_on_a_task_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    class Bench:
        vocabulary = None

        def run(
            self, domain: Any, number: int, task: Any, automaton: Any, method: str, *_: int
        ) -> QualityRow:
            while method == "local":
                time.sleep(0.01)
            return QualityRow("made-up", number, method, 1, 1.0, 1.0, 1.0, 3, 0, 0.1, False, "a")

    class Domain:
        def test_tasks(self, count: int) -> list[str]:
            return ["task"] * count

        def constraint(self, task: str, vocabulary: None) -> None:
            return None

    monkeypatch.setattr(units, "_load_bench", lambda measure: Bench())
    monkeypatch.setitem(units.DOMAINS, "made-up", Domain())
    measure = plan.Quality("q", domains=("made-up",), methods=("local", "smc"), tasks=1, timeout_s=0.2)
    unit = Unit("q", "made-up/0/1", ("local", "smc"), units.Task("made-up", 0, 1))
    worker = UnitWorker([measure])
    found = worker.run(unit)
    assert found.rows["local"] == {
        "kind": "failure",
        "measure": "q",
        "engine": "local",
        "name": "made-up/0/1",
        "detail": "not done within 0.2 s",
    }
    assert found.rows["smc"]["kind"] == "quality"
    assert [units.key_of(row) for row in found.rows.values()] == unit.row_keys()


def test_an_engine_that_is_missing_is_named_and_tried_again(
    write_cases: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = write_cases(CASES), tmp_path / "out"
    missing = "fake_engines:MissingEngine"
    assert run(data, out, engines=f"{FAKE},{missing}") == 0
    assert "3 of 6 rows" in capsys.readouterr().out
    manifest = store.read_manifest(out)
    assert list(manifest.unavailable["masks"]) == [missing]
    assert run(data, out, "--resume", engines=f"{FAKE},{missing}") == 0
    assert "pip install" in store.read_manifest(out).unavailable["masks"][missing]
    assert len(store.read_manifest(out).sessions) == 2
    assert run(data, tmp_path / "none", engines=missing) == 2


# -- resuming ----------------------------------------------------------------------------------------------


def test_a_run_is_resumed_only_when_asked_and_only_if_it_is_the_same(
    write_cases: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = write_cases(CASES), tmp_path / "out"
    assert run(data, out) == 0
    before = (out / store.ROWS).read_bytes()
    assert run(data, out) == 2
    assert "--resume goes on with it" in capsys.readouterr().err
    assert run(data, out, "--resume", "--timeout", "7") == 2
    assert "another plan: there timeout_s 60.0, now timeout_s 7.0" in capsys.readouterr().err
    (data / "good.json").write_text((data / "good.json").read_text().replace("22", "23"))
    assert run(data, out, "--resume") == 2
    assert "another data" in capsys.readouterr().err
    assert (out / store.ROWS).read_bytes() == before


def manifest() -> RunManifest:
    return RunManifest("test", [], {}, {}, {}, "unknown", [])


RECORDS = [
    {"kind": "row", "measure": "masks", "engine": "one", "schema": f"s{i}", "detail": "é\n"} for i in range(5)
]


def test_a_file_cut_anywhere_goes_on_where_it_was_whole(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with RunFolder(out, manifest()) as folder:
        assert folder.add(RECORDS) == 5
        assert folder.add(RECORDS[:2]) == 0
    whole = (out / store.ROWS).read_bytes()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    for size in range(len(whole) + 1):
        (out / store.ROWS).write_bytes(whole[:size])
        with RunFolder(out, manifest(), resume=True) as folder:
            done = sum(end <= size for end in ends)
            assert folder.done == {units.key_of(record) for record in RECORDS[:done]}
            assert folder.add(RECORDS) == 5 - done
        assert (out / store.ROWS).read_bytes() == whole


def test_a_line_that_is_no_row_is_named(tmp_path: Path) -> None:
    with RunFolder(tmp_path, manifest()) as folder:
        folder.add(RECORDS)
    with (tmp_path / store.ROWS).open("a") as out:
        out.write('{"kind": "none"}\n')
    with pytest.raises(StoreError, match=r"line 6: not a row"):
        RunFolder(tmp_path, manifest(), resume=True)


def test_half_a_surrogate_pair_survives(tmp_path: Path) -> None:
    record = {**RECORDS[0], "detail": "\ud800"}
    with RunFolder(tmp_path, manifest()) as folder:
        folder.add([record])
    assert list(store.read_rows(tmp_path)) == [record]


def test_two_runs_in_one_folder_are_kept_apart(tmp_path: Path) -> None:
    with RunFolder(tmp_path, manifest()), pytest.raises(StoreError, match="another process"):
        RunFolder(tmp_path, manifest(), resume=True)
    RunFolder(tmp_path, manifest(), resume=True).close()


def start(data: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "jsonschemabench", "run", "--engines", f"{FAKE},{SLOW}", "--resume"]
    command += ["--data", str(data), "--vocabulary", "bytes", "--plain", "--out", str(out), *more]
    path = os.pathsep.join([str(HERE), str(HERE.parents[1])])
    # Into files: a pipe that nobody reads any more would hold up what survives its parent.
    with (out.parent / "log").open("a") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "PYTHONPATH": path})


def test_kills_at_any_moment_lose_and_repeat_nothing(write_cases: Write, tmp_path: Path) -> None:
    nap = {"schema": {"compile": "nap", "language": ["1"]}, "valid": [1], "invalid": [2]}
    data = write_cases({**CASES, **{f"nap{i}": nap for i in range(30)}})
    assert run(data, tmp_path / "whole", "--workers", "2") == 0
    out = tmp_path / "out"
    randomness = random.Random(7)
    before: dict[units.Key, Any] = {}
    cut_short = 0
    for wanted in (0, 1, 9, 20, 41):
        process = start(data, out, "--workers", "2")
        try:
            # A moment after so many rows are there, whatever the machine takes for the beginning.
            while process.poll() is None and rows_in(out) < wanted:
                time.sleep(0.01)
            time.sleep(randomness.uniform(0, 0.15) if wanted else randomness.uniform(0, 1))
        finally:
            process.kill()
        cut_short += process.wait() == -signal.SIGKILL
        after = keyed(out) if out.exists() else {}
        assert before.items() <= after.items()
        before = after
    assert cut_short >= 3
    assert 0 < len(before) < 66
    assert start(data, out).wait(timeout=120) == 0
    assert keyed(out) == keyed(tmp_path / "whole")
    assert store.read_manifest(out).complete


def rows_in(out: Path) -> int:
    file = out / store.ROWS
    return file.read_bytes().count(b"\n") if file.exists() else 0


def test_no_process_outlives_a_killed_run(write_cases: Write, tmp_path: Path) -> None:
    psutil = pytest.importorskip("psutil")
    data = write_cases({"hang": {"schema": {"compile": "hang"}}})
    process = start(data, tmp_path / "out")
    try:
        watched = psutil.Process(process.pid)
        deadline = time.monotonic() + 60
        # The worker, and the engine that hangs; beside them multiprocessing's own tracker of resources.
        while len(spawned(watched)) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        children = spawned(watched)
        assert len(children) >= 2
    finally:
        process.kill()
        process.wait()
    _, alive = psutil.wait_procs(children, timeout=20)
    for left in alive:
        left.kill()
    assert not alive


def spawned(process: Any) -> list[Any]:
    return [
        child
        for child in process.children(recursive=True)
        if any("spawn_main" in word for word in child.cmdline())
    ]


# -- lost workers ------------------------------------------------------------------------------------------


class Unsteady:
    """An executor that loses its worker over units of a name."""

    def __init__(self, worker: UnitWorker, loses: str, times: int) -> None:
        self.machines: list[dict[str, Any]] = []
        self._worker, self._loses, self.left = worker, loses, times
        self._unit: Unit | None = None

    def free(self) -> int:
        return int(self._unit is None)

    def start(self, unit: Unit) -> None:
        self._unit = unit

    def wait(self) -> list[End]:
        assert self._unit is not None
        unit, self._unit = self._unit, None
        if unit.name == self._loses and self.left:
            self.left -= 1
            return [End(unit, None, "its node is gone")]
        return [End(unit, self._worker.run(unit))]

    def close(self) -> None:
        self._worker.close()


class Silent:
    def advance(self, label: str) -> None:
        pass


def driven(data: Path, out: Path, loses: str, times: int) -> tuple[dict[units.Key, Any], list[str]]:
    measure = {"data": str(data), "engines": [FAKE], "vocabulary": "bytes"}
    todo = plan.check({"out": str(out), "measure": [measure]})
    [part], about = drive.prepare(todo)
    said: list[str] = []
    with RunFolder(out, about) as folder:
        executor = Unsteady(UnitWorker(todo.measures), loses, times)
        drive.drive(todo, part.units, folder, lambda: executor, Silent(), said.append)
    return keyed(out), said


def test_a_unit_whose_worker_is_lost_is_done_again(write_cases: Write, tmp_path: Path) -> None:
    data = write_cases(CASES)
    steady, _ = driven(data, tmp_path / "steady", "", 0)
    found, said = driven(data, tmp_path / "out", "good", drive.ATTEMPTS - 1)
    assert found == steady
    assert said == ["good is done again: its node is gone"] * 2


def test_a_unit_that_keeps_losing_workers_is_a_crash(write_cases: Write, tmp_path: Path) -> None:
    found, _ = driven(write_cases(CASES), tmp_path / "out", "good", 99)
    assert found["masks", FAKE, "good"][:2] == ["crash", "3 workers were lost over it: its node is gone"]
    assert found["masks", FAKE, "lost"][0] == "ok"


def test_a_worker_that_dies_is_replaced(write_cases: Write, tmp_path: Path) -> None:
    psutil = pytest.importorskip("psutil")
    nap = {"schema": {"compile": "nap", "language": ["1"]}, "valid": [1]}
    data, out = write_cases({f"nap{i}": nap for i in range(30)}), tmp_path / "out"
    process = start(data, out)
    try:
        while rows_in(out) < 4:
            assert process.poll() is None
            time.sleep(0.01)
        # The worker is the one that has children of its own.
        [worker] = [child for child in psutil.Process(process.pid).children() if spawned(child)]
        worker.kill()
        assert process.wait(timeout=120) == 0
    finally:
        process.kill()
        process.wait()
    assert {entry[0] for entry in keyed(out).values()} == {"ok"}
    assert len(keyed(out)) == 60
    assert "is done again: its worker ended with status -9" in (tmp_path / "log").read_text()


def test_workers_that_can_not_start_end_the_run(
    write_cases: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    todo = plan.check({"measure": [{"data": str(write_cases(CASES)), "engines": [FAKE]}]})
    executor = drive.executor(todo)
    try:
        monkeypatch.setattr(executor, "_measures", "no measures")
        executor._end(executor._slots[0])  # type: ignore[attr-defined]
        executor._slots[0] = executor._slot()  # type: ignore[attr-defined]
        with pytest.raises(ExecutorError, match="can't start"):
            executor.wait()
    finally:
        executor.close()


# -- Ray ---------------------------------------------------------------------------------------------------


def ray_run(data: Path, out: Path, more: Sequence[str]) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(HERE), str(HERE.parents[1])])
    return subprocess.run(
        [sys.executable, str(HERE / "ray_cluster.py"), str(data), str(out), *more],
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )


def test_a_node_of_a_ray_cluster_dies_mid_run(write_cases: Write, tmp_path: Path) -> None:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed: pip install 'structgen[ray]'")
    pytest.importorskip("psutil", reason="psutil is not installed: pip install 'structgen[bench]'")
    nap = {"schema": {"compile": "nap", "language": ["1"]}, "valid": [1], "invalid": [2]}
    data = write_cases({**CASES, **{f"nap{i}": nap for i in range(110)}})
    done = ray_run(data, tmp_path / "ray", ["--engines", f"{FAKE},{SLOW}", "--vocabulary", "bytes"])
    if done.returncode == 77:
        pytest.skip(f"no Ray cluster can be started here: {done.stdout.strip()[-300:]}")
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(done.stdout.splitlines()[-1])
    assert 0 < said["rows_at_kill"] < 226
    assert said["code"] == 0
    assert run(data, tmp_path / "whole", "--workers", "2") == 0
    assert keyed(tmp_path / "ray") == keyed(tmp_path / "whole")
    assert store.read_manifest(tmp_path / "ray").complete


def test_finished_says_what_is_missing() -> None:
    unit = Unit("masks", "name", ("a", "b"), units.Case("name", {}, ()))
    measure = plan.Masks("masks", "masks", ("a", "b"))
    rows = units.failed(unit, measure, "why", Finished({"a": {}}, {}))
    assert list(rows) == ["b"]
    assert (rows["b"]["status"], rows["b"]["detail"]) == ("crash", "why")


# -- examples and documents --------------------------------------------------------------------------------

ROOT = HERE.parents[1]


@pytest.mark.parametrize("path", sorted((ROOT / "examples" / "bench").iterdir()), ids=lambda path: path.name)
def test_examples_are_run_files(path: Path) -> None:
    found = plan.check(plan.read(path), path.stem)
    assert found.name == path.stem
    for measure in found.measures:
        assert set(getattr(measure, "engines", ())) <= set(ENGINES)


def test_the_document_names_every_key_and_flag() -> None:
    text = (ROOT / "docs" / "benchmark-module.md").read_text(encoding="utf-8")
    toml, points = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    assert list(tomllib.loads(points)["project"]["entry-points"]) == [GROUP]
    assert [measure.kind for measure in plan.check(tomllib.loads(toml)).measures] == ["masks", "suite"]
    for kind in plan.KINDS:
        for key in plan.keys_of(kind):
            assert f"`{key}`" in text, key
    for command in re.findall(r"^python -m jsonschemabench (.*)$", text, re.MULTILINE):
        parsed = cli.parser().parse_args(command.split())
        assert callable(parsed.run)
    [actions] = [one for one in cli.parser()._actions if one.choices]
    assert isinstance(actions.choices, dict)
    for action in actions.choices["run"]._actions:
        for flag in action.option_strings:
            assert flag in ("-h", "--help", "--plain") or f"`{flag}" in text, flag
