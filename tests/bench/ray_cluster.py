"""Run the benchmark on a Ray cluster of two nodes, and kill one: ``ray_cluster.py DATA OUT FLAGS``.

A program of its own, so that what Ray leaves in a process does not reach other tests. It exits with 77 where
no cluster can be started, and else prints a line of JSON: the status of the run, and how many rows were there
when the node died.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil

STORE_BYTES = 80 << 20


def start() -> tuple[Any, Any]:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": STORE_BYTES}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        node = cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES)
        cluster.wait_for_nodes(timeout=120)
    except Exception as error:
        print(f"{type(error).__name__}: {error}")
        raise SystemExit(77) from error
    return cluster, node


def busy_workers() -> int:
    """Count the workers that have engines: both nodes must be at work when one dies."""
    found = 0
    for process in psutil.process_iter(["name"]):
        with contextlib.suppress(psutil.Error):
            if process.cmdline()[:1] == ["ray::_Actor.run"]:
                found += any("spawn_main" in " ".join(child.cmdline()) for child in process.children())
    return found


def main() -> None:
    from jsonschemabench import cli

    data, out, *flags = sys.argv[1:]
    cluster, node = start()
    rows_at_kill: list[int] = []
    over = threading.Event()

    def kill() -> None:
        rows = Path(out, "rows.jsonl")
        while not over.is_set():
            time.sleep(0.1)
            found = rows.read_bytes().count(b"\n") if rows.exists() else 0
            if found >= 10 and busy_workers() == 2:
                cluster.remove_node(node, allow_graceful=False)
                rows_at_kill.append(found)
                return

    killer = threading.Thread(target=kill)
    killer.start()
    code = cli.main(["run", "--data", data, "--out", out, "--plain", "--ray", cluster.address, *flags])
    over.set()
    killer.join()
    cluster.shutdown()
    print(json.dumps({"code": code, "rows_at_kill": rows_at_kill[0] if rows_at_kill else 0}))


# Workers import this module again under another name: they must not run it.
if __name__ == "__main__":
    main()
