"""Processes that share a directory."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import pytest

from tests.cache.support import expected, worker


@pytest.mark.parametrize("max_disk_bytes", [1 << 30, 15_000])
def test_processes_share_a_directory(tmp_path, max_disk_bytes):
    """With the small budget they remove each other's files all the time."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(3, mp_context=context) as processes:
        jobs = [processes.submit(worker, str(tmp_path), seed, max_disk_bytes, 4) for seed in range(3)]
        results = [job.result(timeout=250) for job in jobs]
    names = {name for made, _ in results for name in made}
    right = {name: expected(name) for name in names}
    for made, stats in results:
        assert made == {name: right[name] for name in made}
        assert stats["damaged"] == stats["failures"] == 0
    files = list((tmp_path / "automata").iterdir())
    assert all(file.suffix == ".structgen" for file in files)
    assert len(files) > 5
    # None of them is damaged, and all are found.
    made, stats = worker(str(tmp_path), 9, max_disk_bytes, 1)
    assert made == {name: right.get(name) or expected(name) for name in made}
    assert stats["damaged"] == 0
    assert stats["loads"] > 0
