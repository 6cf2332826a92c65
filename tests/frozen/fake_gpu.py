"""Run by a process of its own: code for GPUs on fake tensors, which have a device and a shape but no values.

Tensors of several devices in one operation raise there, and so does a value that the host reads.
"""

import sys

import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from transformers import LlamaForCausalLM

import structgen
from jsonschemabench import gpu
from structgen.frozen import DeviceAutomaton, freeze_tables
from structgen.hf import FrozenLogitsProcessor
from structgen.hf._frozen import _Loop
from structgen.kernels import apply_masks


def raises(error: type[Exception], call: object) -> bool:
    try:
        call()  # type: ignore[operator]
    except error:
        return True
    return False


def decode(model: LlamaForCausalLM, automaton: DeviceAutomaton, batch: int) -> None:
    """Steps of the loop, as they are captured."""
    ids = torch.zeros((batch, 5), dtype=torch.long, device="cuda")
    for temperature in (0.0, 1.0):
        loop = _Loop(model, ids, torch.ones_like(ids), automaton, 12, temperature, None, 0)
        with torch.no_grad():
            loop._forward_and_choose(ids)
            loop.positions = loop.positions[:, -1:].clone()
            for _ in range(3):
                loop.step()
        changed = (loop.states, loop.tokens, loop.output, loop.written, loop.attention, loop.positions)
        assert {tensor.device for tensor in changed} == {automaton.device}
        # This waits, and is no part of a step.
        assert raises(DataDependentOutputException, loop._ended)


def process(automaton: DeviceAutomaton) -> None:
    """A logits processor's rows, which are reordered, dropped and rewound."""
    processor = FrozenLogitsProcessor(automaton)
    for calls in ([(3, 4), (3, 5), (3, 6), (1, 7)], [(1, 4), (1, 5), (1, 6), (1, 5), (1, 6)]):
        processor.reset()
        for rows, length in calls:
            ids = torch.zeros((rows, length), dtype=torch.long, device="cuda")
            scores = torch.zeros((rows, 320), dtype=torch.bfloat16, device="cuda")
            assert processor(ids, scores).device == automaton.device


def main() -> None:
    vocabulary = structgen.Vocabulary(
        [b"", *(bytes([b]) for b in range(256))], eos_token_ids=0, logits_size=320
    )
    lazy = structgen.compile_regex("(ab|yes|no)*", vocabulary)
    assert not torch.cuda.is_available()
    with FakeTensorMode():
        ones = torch.ones(3, device="cuda")
        assert raises(RuntimeError, lambda: ones + torch.ones(3))
        assert raises(DataDependentOutputException, ones.sum().item)
        model = gpu.build("tiny", 320, "cuda", "bfloat16", 0)
        for dense_bytes in (1 << 30, 0):
            automaton = DeviceAutomaton(freeze_tables(lazy, dense_bytes=dense_bytes), "cuda", backend="torch")
            assert str(automaton.device) == "cuda:0"
            decode(model, automaton, 3)
            process(automaton)
        logits, masks = ones.new_zeros((4, 70)), torch.zeros((2, 3), dtype=torch.int32, device="cuda")
        apply_masks(logits, masks, torch.arange(2, device="cuda"), backend="torch")
        # The benchmark's model: 8 billion parameters that are made on the device.
        large = gpu.build("llama-3-8b", 131072, "cuda", "bfloat16", 0)
        kinds = {(str(p.device), p.dtype) for p in (*large.parameters(), *large.buffers())}
        assert kinds == {("cuda:0", torch.bfloat16), ("cuda:0", torch.float32)}, kinds
        assert sum(p.nbytes for p in large.parameters()) < 17e9


if __name__ == "__main__":
    torch.ops.load_library(sys.argv[1])
    main()
