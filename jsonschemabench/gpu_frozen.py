"""Steps of ``generate_frozen`` on a large model: what a frozen automaton adds to them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

import structgen
from jsonschemabench.gpu_parts import Clock, Report, reason
from structgen.frozen import DeviceAutomaton
from structgen.hf._frozen import _Loop

LAYOUTS = {"dense": "compact", "sparse": "flexible"}
"""Layouts of tables, and the white space under which the schema's have them."""

_FREE = "unconstrained"


@dataclass(frozen=True, slots=True)
class FrozenRow:
    """Steps of one loop.

    Attributes
    ----------
    batch, automaton, captured
        Which loop.
    seconds : tuple of float
        Of a step of the whole batch, one for each repeat; empty where it failed.
    failure : str
        Why.
    """

    batch: int
    automaton: str
    captured: bool
    seconds: tuple[float, ...]
    failure: str = ""


class _Unconstrained:
    """What a loop asks of an automaton, without any constraint: its steps have nothing else less."""

    def __init__(self, device: str) -> None:
        self._device = torch.device(device)

    def start(self, batch: int) -> Any:
        return torch.full((batch,), 2, dtype=torch.int32, device=self._device)

    def apply_(self, logits: Any, states: Any) -> Any:
        return logits

    def step(self, states: Any, tokens: Any, *, out: Any) -> Any:
        return out

    def finished(self, states: Any) -> Any:
        return states <= structgen.FINISHED


def automata(schema: Any, vocabulary: structgen.Vocabulary, device: str) -> dict[str, Any]:
    """Return the loop's automata by name: none, and the schema's by layout."""
    found: dict[str, Any] = {_FREE: _Unconstrained(device)}
    for layout, whitespace in LAYOUTS.items():
        frozen = structgen.compile_json_schema(schema, vocabulary, whitespace=whitespace).freeze(
            device=device, dense_bytes=1 << 30 if layout == "dense" else 0
        )
        found[f"{layout}, {frozen.states:,} states"] = frozen
    return found


@torch.no_grad()  # type: ignore[untyped-decorator]
def time_steps(
    model: Any, prompt: Any, automaton: DeviceAutomaton, batch: int, steps: int, captured: bool
) -> float:
    """Return the seconds of a step, the prompt and the capture not counted."""
    ids = prompt.expand(batch, -1).contiguous()
    loop = _Loop(model, ids, torch.ones_like(ids), automaton, steps + 4, 0.0, None, 0)
    loop._forward_and_choose(ids)
    loop.positions = loop.positions[:, -1:].clone()
    step: Callable[[], None] = loop._captured() if captured else loop.step
    step()
    if not ids.is_cuda:
        begin = time.perf_counter()
        for _ in range(steps):
            step()
        return (time.perf_counter() - begin) / steps
    begin_event, end_event = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    begin_event.record()
    for _ in range(steps):
        step()
    end_event.record()
    end_event.synchronize()
    return float(begin_event.elapsed_time(end_event)) / 1e3 / steps


def run(
    model: Any,
    prompt: Any,
    found: Mapping[str, Any],
    batches: Sequence[int],
    steps: int,
    repeats: int,
    report: Report,
    clock: Clock,
) -> list[FrozenRow]:
    """Time all loops, in turns; print a table for each batch."""
    rows: list[FrozenRow] = []
    ways = [(name, captured) for captured in ([True, False] if prompt.is_cuda else [False]) for name in found]
    for batch in batches:
        if clock.over:
            report.line(f"frozen, batch {batch}: left out, the time is up")
            continue
        times: dict[tuple[str, bool], list[float]] = {way: [] for way in ways}
        failures: dict[tuple[str, bool], str] = {}
        for turn in range(repeats + 1):
            for way in ways:
                if way in failures or (clock.over and turn > 1):
                    continue
                try:
                    seconds = time_steps(model, prompt, found[way[0]], batch, steps, way[1])
                except Exception as error:
                    failures[way] = reason(error)
                    report.failed(f"frozen, batch {batch}, {way[0]}, captured: {way[1]}")
                    continue
                # The first fills caches: of compiled kernels, of memory.
                if turn:
                    times[way].append(seconds)
        part = [FrozenRow(batch, *way, tuple(times[way]), failures.get(way, "")) for way in ways]
        for row in part:
            report.row(row)
        report.table(f"steps of generate_frozen, batch {batch}", *table(part))
        rows += part
    return rows


def table(rows: Sequence[FrozenRow]) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows of one batch."""
    free = {
        row.captured: statistics.median(row.seconds)
        for row in rows
        if row.automaton == _FREE and row.seconds and not row.failure
    }
    cells = []
    for row in rows:
        name = f"{row.automaton}, {'one graph' if row.captured else 'no graph'}"
        if row.failure or not row.seconds:
            cells.append([name, "-", "-", row.failure[:80] or "the time was up"])
            continue
        seconds = statistics.median(row.seconds)
        ratio = f"{seconds / free[row.captured]:.4f}" if row.captured in free else "-"
        cells.append([name, f"{1e3 * seconds:.3f}", ratio, ""])
    return ["automaton", "ms a step", "over unconstrained", "failure"], cells
