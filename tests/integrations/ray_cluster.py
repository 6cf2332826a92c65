"""Ray Data on a local cluster, for test_ray.py: ``ray_cluster.py FOLDER``.

A program of its own, so that what Ray leaves in a process does not reach other tests. It exits with 77 where
no cluster can be started, and else prints a line of JSON with what it saw. With ``FOLDER first`` it is a run
that is there to be killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil

ROWS = 36
UNREADABLE = 5
UNSATISFIABLE = 6


def slow_model() -> tuple[Any, Any]:
    """Return the tiny model, and a tokenizer that takes its time."""
    from structgen.testing import tiny_model

    model, tokenizer = tiny_model.load()
    encode = type(tokenizer).__call__

    class Tokenizer(type(tokenizer)):
        def __call__(self, text: Any, *args: Any, **options: Any) -> Any:
            time.sleep(0.05)
            return encode(self, text, *args, **options)

    tokenizer.__class__ = Tokenizer
    return model, tokenizer


def rows() -> list[dict[str, Any]]:
    constraints = [{"regex": f"[a-{'ef'[i % 2]}]{{2}}"} for i in range(ROWS)]
    found = [
        {"id": i, "prompt": f"Row {i}: ", "constraint": json.dumps(c)} for i, c in enumerate(constraints)
    ]
    found[UNREADABLE]["constraint"] = json.dumps({"regexp": "a"})
    found[UNSATISFIABLE]["constraint"] = json.dumps({"json_schema": False})
    return found


def start() -> Any:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray
        import ray.data

        ray.init(
            num_cpus=2,
            include_dashboard=False,
            object_store_memory=80 << 20,
            log_to_driver=False,
            logging_level="ERROR",
        )
    except Exception as error:
        print(f"{type(error).__name__}: {error}")
        raise SystemExit(77) from error
    ray.data.DataContext.get_current().enable_progress_bars = False
    return ray


def run(ray: Any, out: Path, workers: int) -> Any:
    from structgen.integrations.ray import generate

    dataset = ray.data.from_items(rows(), override_num_blocks=6)
    return generate(
        dataset,
        out,
        model=slow_model,
        constraint_column="constraint",
        max_tokens=8,
        batch_size=3,
        workers=workers,
    )


def written(out: Path) -> int:
    return len(list(out.glob("rows/*.jsonl")))


def kill_a_worker(out: Path, killed: list[int]) -> None:
    """Kill the process of an actor, once it is known to be at work."""
    while not killed:
        time.sleep(0.02)
        if written(out) < 2:
            continue
        for process in psutil.process_iter(["name"]):
            with contextlib.suppress(psutil.Error):
                if "MapWorker" in " ".join(process.cmdline()[:1]):
                    process.kill()
                    killed.append(written(out))
                    return


def main() -> None:
    out = Path(sys.argv[1])
    if sys.argv[2:] == ["first"]:
        run(start(), out / "resumed", workers=1)
        raise AssertionError("nobody killed this run")
    # The first run of the second folder dies with its driver, its actors and its cluster.
    first = subprocess.Popen([sys.executable, __file__, str(out), "first"], start_new_session=True)
    while written(out / "resumed") < 2 and first.poll() is None:
        time.sleep(0.02)
    os.killpg(first.pid, signal.SIGKILL)
    if first.wait() != -signal.SIGKILL:
        raise SystemExit(first.returncode)
    at_kill = written(out / "resumed")

    ray = start()
    killed: list[int] = []
    killer = threading.Thread(target=kill_a_worker, args=(out / "killed", killed), daemon=True)
    killer.start()
    summary = run(ray, out / "killed", workers=1)
    resumed = run(ray, out / "resumed", workers=1)
    # Last, because it shuts the cluster down.
    sys.argv = ["ray_batch.py", "--rows", "3", "--output", str(out / "example")]
    runpy.run_path(str(Path(__file__).parents[2] / "examples" / "ray_batch.py"), run_name="__main__")
    print(
        json.dumps(
            {
                "killed": killed,
                "summary": vars(summary),
                "at_kill": at_kill,
                "resumed": vars(resumed),
            }
        )
    )


if __name__ == "__main__":
    main()
