"""Whether the code for GPUs does there what it does on a CPU: short checks, each of which fails alone."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

import structgen
from jsonschemabench.gpu_parts import Report, reason
from structgen.frozen import DeviceAutomaton, FrozenTables, freeze_tables
from structgen.hf import AutomatonLogitsProcessor, FrozenLogitsProcessor, generate_frozen
from structgen.kernels import apply_masks

LAYOUTS = {"dense": 1 << 30, "sparse": 0}
_DTYPES = (torch.float32, torch.bfloat16, torch.float16)
_SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"enum": ["cat", "dog"]},
        "legs": {"type": "integer", "minimum": 0, "maximum": 99},
    },
    "required": ["name", "legs"],
    "additionalProperties": False,
}
_TOKENS = 32


@dataclass(frozen=True, slots=True)
class Check:
    """What became of a check: `result` is "ok", or why it failed."""

    name: str
    result: str
    seconds: float


class _MismatchError(Exception):
    """The device did something else."""


def _same(found: Any, wanted: Any, what: str) -> None:
    if not (torch.equal(found, wanted) if isinstance(found, torch.Tensor) else found == wanted):
        raise _MismatchError(f"{what}: found {found}, wanted {wanted}".replace("\n", " ")[:2000])


def _backend(device: str) -> Literal["torch", "triton"]:
    # "auto" would hide what Triton can't do.
    return "triton" if device.startswith("cuda") else "torch"


# -- kernels -----------------------------------------------------------------------------------------------


def masks_of_every_shape(device: str) -> None:
    """Masks on the device and PyTorch's on the host."""
    generator = torch.Generator().manual_seed(0)
    for dtype in _DTYPES:
        for batch, width, words in ((1, 131072, 4096), (5, 1000, 32), (3, 1003, 31), (130, 2048, 64)):
            masks = torch.randint(-(2**31), 2**31, (batch, words), generator=generator).int()
            masks[0], masks[-1, : words // 2] = -1, 0
            logits = torch.randn((batch, width), generator=generator).to(dtype)
            for index in (None, torch.int32, torch.int64):
                rows = None if index is None else torch.randperm(batch, generator=generator).to(index)
                wanted = logits.clone()
                apply_masks(wanted, masks, rows, vocabulary_size=32 * words - 5)
                found = logits.to(device)
                there = None if rows is None else rows.to(device)
                apply_masks(
                    found, masks.to(device), there, vocabulary_size=32 * words - 5, backend=_backend(device)
                )
                _same(found.cpu(), wanted, f"{dtype}, {batch} x {width}, rows {index}")


def _frozen_tables(dense_bytes: int) -> FrozenTables:
    tokens = [*(bytes([b]) for b in range(256)), b"ab", b"10", b"", b"0b"]
    vocabulary = structgen.Vocabulary(tokens, eos_token_ids=258, logits_size=300)
    automaton = structgen.compile_regex('a(b|0)*(1[0-9]|"){0,3}|b{4}', vocabulary)
    return freeze_tables(automaton, dense_bytes=dense_bytes)


def frozen_kernels(device: str) -> None:
    """Masks and steps of every state, by every token."""
    for layout, dense_bytes in LAYOUTS.items():
        tables = _frozen_tables(dense_bytes)
        automaton = DeviceAutomaton(tables, device, backend=_backend(device))
        every = torch.arange(tables.states, dtype=torch.int32, device=device)
        for token in range(-1, tables.logits_size + 1):
            for dtype in (torch.int32, torch.int64):
                tokens = torch.full(every.shape, token, dtype=dtype, device=device)
                wanted = [tables.step(state, token) for state in range(tables.states)]
                _same(automaton.step(every, tokens).tolist(), wanted, f"{layout}, token {token}")
        for dtype in _DTYPES:
            logits = torch.zeros((tables.states, 1030), dtype=dtype, device=device)
            automaton.apply_(logits, every)
            bits = np.stack([tables.mask(state) for state in range(tables.states)])
            allowed = np.unpackbits(bits.view(np.uint8), axis=1, bitorder="little")
            kept = np.zeros((tables.states, 1030), bool)
            kept[:, : tables.logits_size] = allowed[:, : tables.logits_size]
            _same(logits.isfinite().cpu(), torch.from_numpy(kept), f"{layout}, masks of {dtype}")


def kernels_in_a_graph(device: str) -> None:
    """A mask and a step captured and replayed: the second time by other values."""
    if not device.startswith("cuda"):
        return
    tables = _frozen_tables(LAYOUTS["sparse"])
    automaton = DeviceAutomaton(tables, device, backend="triton")
    states, tokens = automaton.start(3), torch.full((3,), ord("a"), device=device)
    logits = torch.zeros((3, 300), device=device)
    masks = torch.full((3, 10), -1, dtype=torch.int32, device=device)

    def work() -> None:
        logits.zero_()
        apply_masks(logits, masks, backend="triton")
        automaton.apply_(logits, states)
        automaton.step(states, tokens, out=states)

    side = torch.cuda.Stream(device)
    side.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(side):
        work()
    torch.cuda.current_stream(device).wait_stream(side)
    states.copy_(automaton.start(3))
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    _same(states.tolist(), [tables.start] * 3, "a capture runs nothing")
    state = tables.start
    for token in b"ab0":
        tokens.fill_(token)
        graph.replay()
        wanted = [tables.step(state, t) != structgen.DEAD for t in range(300)]
        _same(logits[1].isfinite().tolist(), wanted, f"the mask before {token}")
        state = tables.step(state, token)
        _same(states.tolist(), [state] * 3, f"the state behind {token}")


# -- decoding ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Decoder:
    """The repository's tiny model on the device, with automata of its vocabulary."""

    model: Any
    tokenizer: Any
    ids: torch.Tensor
    attention: torch.Tensor
    lazy: Any
    frozen: Mapping[str, DeviceAutomaton]

    @classmethod
    def on(cls, device: str) -> _Decoder:
        from structgen.testing import tiny_model

        model, tokenizer = tiny_model.load()
        model = copy.deepcopy(model).to(device).eval()
        vocabulary = structgen.Vocabulary.from_huggingface(tokenizer, model.config.vocab_size)
        lazy = structgen.compile_json_schema(_SCHEMA, vocabulary, whitespace="compact")
        prompts = [tokenizer(text).input_ids for text in ("A pet:\n", "Another pet, as JSON:\n", "JSON\n")]
        width = max(map(len, prompts))
        pad = model.generation_config.pad_token_id or 0
        ids = torch.tensor([[pad] * (width - len(p)) + p for p in prompts], device=device)
        attention = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=device)
        frozen = {name: lazy.freeze(dense_bytes=size, device=device) for name, size in LAYOUTS.items()}
        return cls(model, tokenizer, ids, attention, lazy, frozen)

    def generate(self, processor: Any, rows: slice = slice(None), **options: Any) -> Any:
        found = self.model.generate(
            self.ids[rows],
            attention_mask=self.attention[rows],
            logits_processor=[processor],
            max_new_tokens=_TOKENS,
            do_sample=False,
            **options,
        )
        return found[:, self.ids.shape[1] :]

    def check_valid(self, rows: Any, what: str) -> None:
        """Raise unless all rows are texts of the schema."""
        for row in rows.tolist():
            state = self.lazy.start
            for token in row:
                if state == structgen.FINISHED:
                    break
                state = self.lazy.step(state, token)
            _same(state, structgen.FINISHED, f"{what}: {self.tokenizer.decode(row)!r}")


def processors_agree(device: str) -> None:
    """``model.generate`` with the lazy processor and the frozen one."""
    decoder = _Decoder.on(device)
    one: dict[str, Any] = {"rows": slice(1, 2), "prompt_lookup_num_tokens": 3}
    for options in ({}, {"num_beams": 3}, one):
        wanted = decoder.generate(AutomatonLogitsProcessor(decoder.lazy), **options)
        decoder.check_valid(wanted, f"the lazy processor, {options}")
        for name, frozen in decoder.frozen.items():
            found = decoder.generate(FrozenLogitsProcessor(frozen), **options)
            _same(found.tolist(), wanted.tolist(), f"{name}, {options}")


def captured_steps_agree(device: str) -> None:
    """``generate_frozen`` with its step captured in a graph, and without: greedy, and sampled by one seed."""
    decoder = _Decoder.on(device)
    capture = device.startswith("cuda")
    for do_sample in (False, True):
        rows = []
        for captured in (False, capture):
            generator = torch.Generator(device).manual_seed(7) if do_sample else None
            found = generate_frozen(
                decoder.model,
                decoder.ids,
                decoder.frozen["dense"],
                attention_mask=decoder.attention,
                max_new_tokens=_TOKENS,
                do_sample=do_sample,
                generator=generator,
                capture=captured,
            )
            rows.append(found[:, decoder.ids.shape[1] :])
        decoder.check_valid(rows[0], f"not captured, do_sample={do_sample}")
        decoder.check_valid(rows[1], f"captured, do_sample={do_sample}")
        _same(rows[1].tolist(), rows[0].tolist(), f"captured and not, do_sample={do_sample}")


def own_loop(device: str) -> None:
    """The sampler whose masks are filled ahead and copied on a stream of their own."""
    from structgen.samplers import LocallyConstrained

    decoder = _Decoder.on(device)
    sampler = LocallyConstrained(20)
    result: Any = structgen.generate(
        decoder.model,
        decoder.tokenizer,
        "A pet:\n",
        _SCHEMA,
        sampler,
        max_tokens=_TOKENS,
        seed=0,
        progress=False,
        parse=str,
    )
    # Texts may break off where the tokens end.
    automaton = structgen.compile_json_schema(_SCHEMA, decoder.lazy.vocabulary)
    for sequence in result.sequences:
        state = automaton.advance_bytes(automaton.start, sequence.text.encode())
        if state == structgen.DEAD:
            raise _MismatchError(f"no beginning of a text of the schema: {sequence.text!r}")


CHECKS: tuple[Callable[[str], None], ...] = (
    masks_of_every_shape,
    frozen_kernels,
    kernels_in_a_graph,
    processors_agree,
    captured_steps_agree,
    own_loop,
)


def run(device: str, report: Report) -> list[Check]:
    """Run all checks; print a table, and the traceback of each that fails."""
    found = []
    for check in CHECKS:
        begin = time.monotonic()
        result = "ok"
        try:
            check(device)
        except Exception as error:
            result = reason(error)
            report.failed(f"check {check.__name__}")
        found.append(Check(check.__name__.replace("_", " "), result, time.monotonic() - begin))
        report.row(found[-1])
    rows = [[check.name, check.result[:100], f"{check.seconds:.1f}"] for check in found]
    report.table(f"checks on {device}", ["check", "result", "seconds"], rows)
    return found
