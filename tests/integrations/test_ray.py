"""Ray Data: the worker by itself, and a local cluster whose workers and drivers are killed."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

pytest.importorskip("ray", reason="Ray is not installed: pip install 'structgen[ray]'")
pytest.importorskip("pandas", reason="pandas is not installed: pip install 'structgen[ray]'")
pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install 'structgen[ray]'")
pytest.importorskip("torch")

from structgen.integrations import ray as of_ray
from structgen.integrations._parts import Parts
from structgen.testing import tiny_model
from tests.integrations import ray_cluster

SCHEMA = {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 2}


def batch(*rows: tuple[Any, Any, Any]) -> dict[str, Any]:
    columns = list(zip(*rows, strict=True))
    return {
        name: np.array([*column, None], dtype=object)[:-1]
        for name, column in zip(("id", "prompt", "constraint"), columns, strict=True)
    }


def worker(folder: Path, **options: Any) -> Any:
    options = {"sampler": "mask", "particles": None, "max_tokens": 40, "temperature": 1.0, **options}
    columns = of_ray._Columns("id", "prompt", "constraint")
    return of_ray._Worker(folder, tiny_model.load, columns, None, options, 0, False)


def results(folder: Path) -> dict[Any, dict[str, Any]]:
    return {row["id"]: row for row in of_ray.read_rows(folder)}


def test_rows_that_fail_say_why_and_the_others_conform(tmp_path: Path) -> None:
    parts = Parts(tmp_path)
    parts.begin({})
    schema = json.dumps({"json_schema": SCHEMA, "whitespace": "compact"})
    long = json.dumps({"regex": "a{60}"})
    rows = [
        ("a", "Sizes: ", schema),
        ("b", "Sizes: ", {"regex": "[ab]{3}"}),
        (3, "Sizes: ", '{"regexp": "a"}'),
        (np.int64(4), "Sizes: ", json.dumps({"json_schema": {"type": "inf"}})),
        (5, "Sizes: ", "{"),
        (6, "More: ", schema),
        (7, "More: ", long),
        (8, None, schema),
        (9, [5, 6, 7], schema),
    ]
    assert {name: list(found) for name, found in worker(tmp_path)(batch(*rows)).items()} == {
        "rows": [9],
        "skipped": [0],
    }
    found = results(tmp_path)
    assert list(found) == ["a", "b", 3, 4, 5, 6, 7, 8, 9]
    for row in ("a", 6, 9):
        jsonschema.validate(json.loads(found[row]["text"]), SCHEMA)
        assert found[row]["error"] is None
        assert found[row]["log_probability"] < 0
    assert re.fullmatch("[ab]{3}", found["b"]["text"])
    errors = {row: found[row]["error_type"] for row in found if found[row]["error"] is not None}
    assert errors == {
        3: "ValueError", 4: "SchemaError", 5: "JSONDecodeError", 7: "SamplingError", 8: "TypeError"
    }  # fmt: skip
    assert "exactly one of json_schema, regex, lark, gbnf" in found[3]["error"]
    assert all(found[row]["text"] is None for row in errors)


def test_rows_that_are_there_are_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = Parts(tmp_path)
    parts.begin({})
    rows = [(row, "A: ", {"regex": "[ab]"}) for row in range(4)]
    worker(tmp_path)(batch(*rows[:2]))
    parts.begin({})
    again = worker(tmp_path)
    assert [n.item() for n in again(batch(*rows)).values()] == [4, 2]
    before = results(tmp_path)
    assert set(before) == {0, 1, 2, 3}
    # A batch that Ray gives to another worker, because it could not know that it was done.
    monkeypatch.setattr(of_ray.structgen, "generate", None)
    assert [n.item() for n in again(batch(*rows)).values()] == [4, 2]
    assert results(tmp_path) == before


class Killed(BaseException):
    """Stands for the end of the process: nothing of the worker runs after it."""


def test_a_row_that_kills_its_worker_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = Parts(tmp_path)
    parts.begin({})
    rows = batch(*((row, "die" if row == 1 else "A: ", {"regex": "[ab]"}) for row in range(3)))
    generate = of_ray.structgen.generate

    def deadly(model: Any, tokenizer: Any, prompts: Any, *rest: Any, **options: Any) -> Any:
        if "die" in prompts:
            raise Killed
        return generate(model, tokenizer, prompts, *rest, **options)

    monkeypatch.setattr(of_ray.structgen, "generate", deadly)
    again = worker(tmp_path)
    deaths = 0
    while len(results(tmp_path)) < 3:
        try:
            again(rows)
        except Killed:
            deaths += 1
    assert deaths == 2 * of_ray.MAX_ATTEMPTS
    found = results(tmp_path)
    assert {row: found[row]["error_type"] for row in found} == {0: None, 1: "WorkerDiedError", 2: None}


def test_several_particles(tmp_path: Path) -> None:
    Parts(tmp_path).begin({})
    rows = [(row, "A: ", {"regex": "[ab]{2}"}) for row in range(3)]
    worker(tmp_path, sampler="smc", particles=4)(batch(*rows))
    assert all(re.fullmatch("[ab]{2}", row["text"]) for row in results(tmp_path).values())


@pytest.mark.parametrize("value", [1.5, None, True, [1]])
def test_ids_are_texts_or_integers(value: Any, tmp_path: Path) -> None:
    Parts(tmp_path).begin({})
    with pytest.raises(ValueError, match="an id must be a text or an integer"):
        worker(tmp_path)(batch((value, "A: ", {"regex": "a"})))


def test_arguments_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="either the constraint of all rows or the column"):
        of_ray.generate(None, tmp_path, model="m")
    with pytest.raises(ValueError, match="either the constraint of all rows or the column"):
        of_ray.generate(None, tmp_path, model="m", constraint={"regex": "a"}, constraint_column="c")
    with pytest.raises(ValueError, match="'structgen' has no option"):
        of_ray.generate(None, tmp_path, model="m", constraint={"regex": "a", "whitespace": "compact"})
    with pytest.raises(ValueError, match="batch_size must be positive"):
        of_ray.generate(None, tmp_path, model="m", constraint={"regex": "a"}, batch_size=0)
    assert list(tmp_path.iterdir()) == []


def test_killed_workers_and_drivers_lose_and_double_nothing(tmp_path: Path) -> None:
    pytest.importorskip("psutil", reason="psutil is not installed: pip install 'structgen[bench]'")
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, ray_cluster.__file__, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=290,
        env={**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    if done.returncode == 77:
        pytest.skip(f"no Ray cluster can be started here: {done.stdout.strip()[-300:]}")
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(done.stdout.splitlines()[-1])
    batches = ray_cluster.ROWS // 3
    # Both were killed when some batches were written and others were not.
    assert 0 < said["killed"][0] < batches
    assert 0 < said["at_kill"] < batches
    assert said["summary"] == {"succeeded": ray_cluster.ROWS - 2, "failed": 2, "skipped": 0}
    assert said["resumed"]["skipped"] >= 3 * said["at_kill"]
    assert "2 succeeded, 1 failed, 0 were there" in done.stdout
    for name in ("killed", "resumed"):
        lines = [
            json.loads(line)
            for file in (tmp_path / name / "rows").iterdir()
            for line in file.read_text().splitlines()
        ]
        assert sorted(row["id"] for row in lines) == list(range(ray_cluster.ROWS))
        for row in lines:
            if row["id"] == ray_cluster.UNREADABLE:
                assert row["error_type"] == "ValueError"
            elif row["id"] == ray_cluster.UNSATISFIABLE:
                assert row["error_type"] == "UnsatisfiableSchemaError"
            else:
                assert re.fullmatch(f"[a-{'ef'[row['id'] % 2]}]{{2}}", row["text"])
