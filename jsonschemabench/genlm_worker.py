"""genlm-control's AWRS sampler in an interpreter of its own; started by path, without this package.

The first line of standard input says where the row and the mask lie, every other asks for draws; one line of
standard output answers each. Only the standard library is imported here, for :class:`BusyWait` and
:class:`Peer` are used by the benchmark itself.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


class BusyWait:
    """Keeps the processor busy for so many microseconds, the call itself included.

    Attributes
    ----------
    measured_us : float
        How long a call takes, by a measurement after the calibration.
    """

    def __init__(self, microseconds: float) -> None:
        self._ns = int(microseconds * 1000)
        if self._ns:
            # What a call takes longer than asked for, it waits less.
            self._ns -= max(0, int(self._median_ns() - self._ns))
        self.measured_us = self._median_ns() / 1000

    def __call__(self) -> None:
        if self._ns:
            clock = time.perf_counter_ns
            end = clock() + self._ns
            while clock() < end:
                pass

    def _median_ns(self) -> float:
        times = []
        for _ in range(501):
            begin = time.perf_counter_ns()
            self()
            times.append(time.perf_counter_ns() - begin)
        return statistics.median(times)


class Peer:
    """The worker as the benchmark sees it.

    Parameters
    ----------
    python : path
        Interpreter that has genlm-control.
    row, mask : path
        Files that hold the log-probabilities (float32) and the allowed tokens (bytes 0 and 1) at every
        request.
    size, eos : int
        Number of tokens, and the end token.

    Raises
    ------
    RuntimeError
        The worker does not start; the message is the last line of its own.
    """

    def __init__(self, python: str, row: Path, mask: Path, size: int, eos: int, seed: int) -> None:
        self._process = subprocess.Popen(
            [python, "-P", str(Path(__file__).resolve())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        start = {"row": str(row), "mask": str(mask), "size": size, "eos": eos, "seed": seed}
        self.versions: dict[str, str] = self._ask(start)

    def draw(self, microseconds: float, draws: int, length: int) -> tuple[list[int], list[int]]:
        """Return nanoseconds and predicate calls of so many draws."""
        answer = self._ask({"us": microseconds, "draws": draws, "length": length})
        return answer["ns"], answer["calls"]

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        line = ""
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            pass
        if not line:
            lines = self._process.stderr.read().strip().splitlines()
            self.close()
            raise RuntimeError(lines[-1] if lines else f"exited with status {self._process.returncode}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the worker."""
        self._process.kill()
        self._process.communicate()


def main() -> None:
    """Answer requests until standard input ends."""
    import asyncio
    import importlib.metadata

    import numpy as np
    import torch
    from genlm.control import AWRS, Potential

    torch.set_num_threads(1)
    start = json.loads(sys.stdin.readline())
    size, eos = start["size"], start["eos"]
    torch.manual_seed(start["seed"])
    row = np.memmap(start["row"], dtype=np.float32, mode="r", shape=(size,))
    mask = np.memmap(start["mask"], dtype=np.uint8, mode="r", shape=(size,))
    vocabulary = [token for token in range(size) if token != eos]
    # genlm-control has the end token last.
    order = np.array([*vocabulary, eos])

    class Model(Potential):  # type: ignore[misc]
        weights: Any = None

        async def prefix(self, context: list[int]) -> float:
            return 0.0

        async def complete(self, context: list[int]) -> float:
            return 0.0

        async def logw_next(self, context: list[int]) -> Any:
            return self.make_lazy_weights(self.weights)

    class Condition(Potential):  # type: ignore[misc]
        calls = 0
        allowed: Any = b""
        wait: Any = None

        async def prefix(self, context: list[int]) -> float:
            return self._answer(context[-1])

        async def complete(self, context: list[int]) -> float:
            return self._answer(eos)

        def _answer(self, token: int) -> float:
            self.calls += 1
            self.wait()
            return 0.0 if self.allowed[token] else -float("inf")

    model = Model(vocabulary)
    condition = Condition(vocabulary)
    # Without batching and pruning: both only cost time here, where one row is asked about all tokens.
    sampler = AWRS(model, condition, seed=start["seed"], prune_logws=False, autobatch=False)
    waits: dict[float, BusyWait] = {}

    async def draws(request: dict[str, Any]) -> dict[str, Any]:
        model.weights = torch.from_numpy(row[order])
        condition.allowed = bytes(mask)
        if request["us"] not in waits:
            waits[request["us"]] = BusyWait(request["us"])
        condition.wait = waits[request["us"]]
        context = vocabulary[: request["length"]]
        times, calls = [], []
        for _ in range(request["draws"]):
            condition.calls = 0
            begin = time.perf_counter_ns()
            await sampler.sample(context)
            times.append(time.perf_counter_ns() - begin)
            calls.append(condition.calls)
        return {"ns": times, "calls": calls}

    async def serve() -> None:
        for line in sys.stdin:
            print(json.dumps(await draws(json.loads(line))), flush=True)

    names = ("genlm-control", "torch", "numpy")
    print(json.dumps({name: importlib.metadata.version(name) for name in names}), flush=True)
    asyncio.run(serve())


if __name__ == "__main__":
    main()
