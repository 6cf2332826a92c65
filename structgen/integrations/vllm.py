"""vLLM: structgen's constraints for single requests (extra ``structgen[vllm]``).

vLLM has two interfaces for logits processors, one for each of its model runners, and loads the plug-ins of
the entry point ``vllm.logits_processors`` with either. :class:`StructgenLogitsProcessor` is a class of
all those that are installed, and becomes the one that its constructor is called for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from structgen._errors import GrammarError, StructgenError
from structgen._vocabulary import Vocabulary
from structgen.integrations._constraints import AutomatonStore, Constraint
from structgen.integrations._rows import BatchMasks, Row

try:
    import vllm as _vllm  # noqa: F401
except ImportError as _error:
    raise ImportError(
        f"structgen.integrations.vllm needs vLLM ({_error}): pip install 'structgen[vllm]'"
    ) from _error

_bases: list[Any] = []
try:
    from vllm.v1.sample.logits_processor import LogitsProcessor as _BatchInterface
    from vllm.v1.sample.logits_processor import MoveDirectionality

    _bases.append(_BatchInterface)
except ImportError:
    pass
try:
    from vllm.v1.worker.gpu.sample.logits_processor import LogitsProcessor as _SlotInterface

    _bases.append(_SlotInterface)
except ImportError:
    pass
if not _bases:
    raise ImportError(
        "this version of vLLM has neither of the interfaces for logits processors that we know "
        "(vllm.v1.sample.logits_processor, vllm.v1.worker.gpu.sample.logits_processor): install another"
    )

__all__ = ["StructgenLogitsProcessor"]

_NAME = "structgen.integrations.vllm:StructgenLogitsProcessor"

_store = AutomatonStore()
# The frontend has no vocabulary at hand: it asks whether the constraint can be enforced at all.
_checked = AutomatonStore(workers=1)
_bytes = Vocabulary.of_bytes()
_SPECIAL = re.compile(r"<[|\[\w]")


class StructgenLogitsProcessor(*_bases):  # type: ignore[misc]
    """Keeps the output of each request inside the language that the request asks for.

    A request asks in ``SamplingParams(extra_args={"structgen": {...}})`` with one of ``json_schema``,
    ``regex``, ``lark`` and ``gbnf``, the options of its ``compile_`` function, and ``start_after`` and
    ``finish_by`` as of :class:`structgen.hf.AutomatonLogitsProcessor`. Other requests are left as they are.

    Raises
    ------
    ValueError
        From :meth:`validate_params`, which vLLM calls when a request comes in: what it asks for is not
        of that form, or cannot be compiled.

    Notes
    -----
    See ``docs/integrations.md`` for what works with which model runner.
    """

    def __new__(cls, vllm_config: Any, *rest: Any) -> Any:
        # The old model runner passes device and is_pin_memory, the new one its request states.
        return super().__new__(_OfBatch if len(rest) == 2 else _OfSlots)

    @classmethod
    def validate_params(cls, sampling_params: Any) -> None:
        """Raise ValueError unless the request's constraint can be compiled."""
        constraint = _read(sampling_params)
        if constraint is None:
            return
        try:
            _checked.submit(constraint, _bytes).result()
        except GrammarError as error:
            # Bytes have no special tokens; those of the model show in the worker.
            if constraint.kind != "lark" or not _SPECIAL.search(constraint.source):
                raise ValueError(f"structgen: {error}") from error
        except (StructgenError, ValueError, TypeError) as error:
            raise ValueError(f"structgen: {error}") from error

    def _prepare(self, vllm_config: Any) -> None:
        self._config = vllm_config
        self._vocabulary: Vocabulary | None = None
        self._masks: BatchMasks | None = None

    def _row(self, sampling_params: Any) -> Row | None:
        constraint = _read(sampling_params)
        if constraint is None:
            return None
        # Made by the first request that needs it: the plug-in is loaded for models without tokenizer, too.
        if self._vocabulary is None:
            self._vocabulary = _vocabulary(self._config)
            self._masks = BatchMasks(self._vocabulary)
        return Row(constraint, _store.submit(constraint, self._vocabulary), self._vocabulary)

    def is_argmax_invariant(self) -> bool:
        """Tell that greedy sampling needs the masks, too."""
        return False


class _OfBatch(StructgenLogitsProcessor):
    """For the old model runner, which says how its batch changes."""

    def __init__(self, vllm_config: Any, device: Any, is_pin_memory: bool) -> None:
        self._prepare(vllm_config)
        self._rows: dict[int, tuple[Row, list[int]]] = {}

    def update_state(self, batch_update: Any) -> None:
        if batch_update is None:
            return
        rows = self._rows
        for index in batch_update.removed:
            rows.pop(index, None)
        for index, sampling_params, _, output in batch_update.added:
            rows.pop(index, None)
            if (row := self._row(sampling_params)) is not None:
                if _hides_tokens(self._config):
                    row.fail(
                        "with asynchronous scheduling vLLM shows the tokens only to processors that it was "
                        f"given by name; pass logits_processors=[{_NAME!r}] to the engine "
                        f"(--logits-processors {_NAME}), or async_scheduling=False"
                    )
                # The list is vLLM's own, and grows.
                rows[index] = row, output
        for a, b, direction in batch_update.moved:
            left, right = rows.pop(a, None), rows.pop(b, None)
            if left is not None:
                rows[b] = left
            if right is not None and direction == MoveDirectionality.SWAP:
                rows[a] = right

    def apply(self, logits: Tensor) -> Tensor:
        if self._rows:
            assert self._masks is not None
            for row, output in self._rows.values():
                row.follow(output)
            rows = ((i, row, len(output)) for i, (row, output) in sorted(self._rows.items()))
            self._masks.apply(logits, rows, len(self._rows))
        return logits


class _OfSlots(StructgenLogitsProcessor):
    """For the new model runner, whose requests have slots, and a row of logits per draft token."""

    def __init__(self, vllm_config: Any, req_states: Any) -> None:
        self._prepare(vllm_config)
        self._states = req_states
        self._rows: dict[int, Row] = {}

    def update_state(self, batch_update: Any) -> None:
        raise NotImplementedError("this is the interface of the other model runner")

    def add_request(self, req_idx: int, sampling_params: Any) -> bool:
        self._rows.pop(req_idx, None)
        if (row := self._row(sampling_params)) is None:
            return False
        self._rows[req_idx] = row
        return True

    def apply(self, logits: Tensor, ctx: Any) -> Tensor:
        if not any(slot in self._rows for slot in ctx.idx_mapping_np.tolist()):
            return logits
        assert self._masks is not None
        # One transfer from the device: whose row is fed which token, at which position.
        layout = torch.stack([t.long() for t in (ctx.expanded_idx_mapping, ctx.input_ids, ctx.pos)]).tolist()
        self._masks.apply(logits, self._located(*layout), len(logits))
        return logits

    def _located(
        self, slots: list[int], tokens: list[int], positions: list[int]
    ) -> Iterator[tuple[int, Row, int]]:
        for i, (slot, token, position) in enumerate(zip(slots, tokens, positions, strict=True)):
            if (row := self._rows.get(slot)) is None:
                continue
            prompt = int(self._states.prompt_len.np[slot])
            length = position + 1 - prompt
            # Inside the prompt: what is sampled there is thrown away.
            if length < 0:
                continue
            if length > len(row) + 1:
                # A request that comes back with the tokens that it had.
                row.follow(self._states.all_token_ids.gpu[slot, prompt : prompt + length - 1].tolist())
            if length:
                row.extend(length - 1, [token])
            yield i, row, length


def _read(sampling_params: Any) -> Constraint | None:
    wanted = (getattr(sampling_params, "extra_args", None) or {}).get("structgen")
    if isinstance(wanted, str):
        # The OpenAI-compatible server takes no nested values in vllm_xargs.
        try:
            wanted = json.loads(wanted)
        except json.JSONDecodeError as error:
            raise ValueError(f"'structgen' is a text, but no JSON: {error}") from error
    return None if wanted is None else Constraint.read(wanted)


def _hides_tokens(config: Any) -> bool:
    """Tell whether the lists of output tokens that vLLM hands out hold placeholders."""
    if not getattr(config.scheduler_config, "async_scheduling", False):
        return False
    # InputBatch(logitsprocs_need_output_token_ids=bool(custom_logitsprocs)): plug-ins don't count.
    return not config.model_config.logits_processors


def _vocabulary(config: Any) -> Vocabulary:
    """Return the vocabulary of the model."""
    model = config.model_config
    try:
        from vllm.tokenizers import cached_tokenizer_from_config
    except ImportError:  # older than 0.13
        from vllm.transformers_utils.tokenizer import cached_tokenizer_from_config
    tokenizer = cached_tokenizer_from_config(model)
    if tokenizer is None:
        raise ValueError("structgen needs the model's tokenizer: run vLLM without skip_tokenizer_init")
    ends = {tokenizer.eos_token_id}
    more = (model.try_get_generation_config() or {}).get("eos_token_id")
    ends |= set(more) if isinstance(more, list) else {more}
    return Vocabulary.from_tokenizer(
        # vLLM's own wrapper around mistral-common.
        getattr(tokenizer, "mistral", tokenizer),
        model.get_vocab_size(),
        eos_token_ids=sorted(ends - {None}),
    )
