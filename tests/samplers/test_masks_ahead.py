"""Masks that threads fill while the model runs, against those filled when they are asked for."""

import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from structgen import compile_regex
from structgen.samplers import (
    SMC,
    AutomatonPotential,
    Context,
    LocallyConstrained,
    MaskSampler,
    MaskThenAWRS,
    Predicate,
    Proposal,
)
from structgen.samplers import _smc as smc_module
from structgen.samplers._masks import MasksAhead, packed_masks
from structgen.samplers._token_samplers import for_run, masks_ahead
from structgen.testing.vocabularies import tekken
from tests.samplers.worlds import World

CPU = torch.device("cpu")
TEXT = '{"a":[1,2,3],"b":"some words"}'


def contexts_of(count: int, taken: int) -> list[Context]:
    """Return texts of different lengths, all of them beginnings of one text."""
    vocabulary, encode = tekken()
    tokens = encode(TEXT)
    root = Context.root(vocabulary)
    return [root.extend_all(tokens[: (taken + i) % len(tokens)]) for i in range(count)]


@pytest.mark.parametrize("count", [1, 15, 16, 17, 70])
def test_masks_are_those_filled_at_once(count: int) -> None:
    vocabulary, _ = tekken()
    automaton = compile_regex(r'\{"a":\[[0-9,]*\],"b":"[a-z ]*"\}', vocabulary)
    ahead, alone = MasksAhead(AutomatonPotential(automaton)), AutomatonPotential(automaton)
    for step in range(6):
        # Fewer rows and more of them, as particles end and are resampled.
        contexts = contexts_of(max(1, count - 3 * step % 7), step)
        if step != 3:
            ahead.start(contexts)
            ahead.send()
        found = ahead(contexts, CPU)
        assert torch.equal(found, packed_masks(alone, contexts, CPU))
        assert found.any()


def test_other_texts_than_were_expected_have_their_own_masks() -> None:
    vocabulary, _ = tekken()
    automaton = compile_regex(r'\{"a":\[[0-9,]*\],"b":"[a-z ]*"\}', vocabulary)
    ahead, alone = MasksAhead(AutomatonPotential(automaton)), AutomatonPotential(automaton)
    expected, others = contexts_of(40, 0), contexts_of(30, 5)
    ahead(expected, CPU)
    for sends in (False, True):
        ahead.start(expected)
        if sends:
            ahead.send()
        assert torch.equal(ahead(others, CPU), packed_masks(alone, others, CPU))
        assert torch.equal(ahead(expected, CPU), packed_masks(alone, expected, CPU))
    assert not torch.equal(packed_masks(alone, expected[:5], CPU), packed_masks(alone, others[:5], CPU))


def samplers(world: World) -> dict[str, Any]:
    guard = Predicate(lambda text: "bbb" not in text)
    return {
        "mask": MaskSampler(world.automaton),
        "guarded": MaskThenAWRS(world.automaton, guard),
        "proposal": Proposal(MaskSampler(world.automaton), temperature=0.7),
        "nested": Proposal(Proposal(MaskThenAWRS(world.automaton, guard), top_k=3), temperature=0.9),
    }


@pytest.mark.parametrize("name", ["mask", "guarded", "proposal", "nested"])
@pytest.mark.parametrize("method", [LocallyConstrained(40), SMC(40)], ids=["mask", "smc"])
def test_runs_are_the_same_with_and_without(name: str, method: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World("(a|b)*b", 8)
    sampler = samplers(world)[name]
    assert masks_ahead(sampler) is None
    assert isinstance(masks_ahead(for_run(sampler)), MasksAhead)
    started = []
    start = MasksAhead.start
    monkeypatch.setattr(MasksAhead, "start", lambda self, c: (started.append(len(c)), start(self, c))[1])
    found = method.run(world.model, sampler, max_tokens=8, seed=5)
    assert len(started) > 3
    monkeypatch.setattr(smc_module, "for_run", lambda sampler: sampler)
    started.clear()
    wanted = method.run(world.model, sampler, max_tokens=8, seed=5)
    assert not started
    assert found.sequences == wanted.sequences
    assert found.log_weights == wanted.log_weights


class Watched(AutomatonPotential):
    """Says when masks have been filled, and may fail then."""

    def __init__(self, automaton: Any, error: Exception | None = None) -> None:
        super().__init__(automaton)
        self.filled = threading.Event()
        self.error = error

    def fill_masks(self, contexts: Sequence[Context], out: Any) -> None:
        if contexts[0].length and self.error is not None:
            raise self.error
        super().fill_masks(contexts, out)
        self.filled.set()


def test_masks_are_filled_while_the_model_runs() -> None:
    world = World("bab", 9)
    potential = Watched(world.automaton)
    rows = world.model.begin(3, max_tokens=9)
    waits = []

    class Model:
        vocabulary = world.vocabulary

        def begin(self, count: int, *, max_tokens: int) -> Any:
            return rows

    class Sampler(MaskSampler):
        def draw(self, *arguments: Any) -> Any:
            found = super().draw(*arguments)
            potential.filled.clear()
            return found

    append = rows.append

    def wait(tokens: Sequence[int]) -> None:
        # A forward pass that does not end before the masks of what it reads are there.
        waits.append(potential.filled.wait(60))
        append(tokens)

    rows.append = wait  # type: ignore[method-assign]
    result = LocallyConstrained(3).run(Model(), Sampler(potential), max_tokens=9, seed=0)
    assert waits in ([True] * 2, [True] * 3)
    assert {sequence.text for sequence in result.sequences} == {"bab"}


def test_errors_in_threads_are_those_of_the_run() -> None:
    world = World("(a|b)*b", 6)
    potential = Watched(world.automaton, error=RuntimeError("no more states"))
    with pytest.raises(RuntimeError, match="no more states"):
        LocallyConstrained(3).run(world.model, MaskSampler(potential), max_tokens=6, seed=0)


def test_child_processes_have_threads_of_their_own() -> None:
    script = """
import os, sys, torch
from structgen import Vocabulary, compile_regex
from structgen.samplers import AutomatonPotential, Context
from structgen.samplers._masks import MasksAhead

vocabulary = Vocabulary([b"", b"a", b"b"], eos_token_ids=0)
potential = AutomatonPotential(compile_regex("ab", vocabulary))
root = Context.root(vocabulary)
wanted = MasksAhead(potential)([root], torch.device("cpu")).tolist()
child = os.fork()
if child == 0:
    found = MasksAhead(potential)([root.extend(1)], torch.device("cpu")).tolist()
    os._exit(0 if (wanted, found) == ([[0b010]], [[0b100]]) else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
