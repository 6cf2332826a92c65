"""Frozen automata in Transformers: a logits processor and a decode loop that never wait for the device."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessor, StaticCache

from structgen._core import DEAD, FINISHED
from structgen.frozen import DeviceAutomaton
from structgen.hf._apply import LOWEST_ALLOWED_SCORE


class FrozenLogitsProcessor(LogitsProcessor):  # type: ignore[misc]
    """Keep ``model.generate`` inside the language of a frozen automaton, without reading from the device.

    For greedy search, sampling and beam search, ``num_return_sequences``, left-padded batches, assisted and
    prompt-lookup decoding. A row's state is that of the row in the last call which it goes on with, found by
    comparing tokens on the device, so rows may be reordered or dropped; a row alone may also be rewound, as
    it is when a draft is verified. For ``start_after``, ``finish_by`` and an assistant with another tokenizer
    there is :class:`AutomatonLogitsProcessor`.

    Parameters
    ----------
    automaton : DeviceAutomaton
        On the device of the scores.

    Notes
    -----
    A call whose rows are no longer than the last prompt begins a new generation; before one with a longer
    prompt call :meth:`reset`. Rows that go on with no row of the last call, or that have left the language,
    are dead: they are offered the end tokens alone.

    Scores below -1e6 of allowed tokens are raised to that, as :class:`AutomatonLogitsProcessor` does.
    """

    supports_continuous_batching = False

    def __init__(self, automaton: DeviceAutomaton) -> None:
        if not isinstance(automaton, DeviceAutomaton):
            raise TypeError(
                f"expected a DeviceAutomaton, not {type(automaton).__name__}: automaton.freeze(device=...)"
            )
        self._automaton = automaton
        self.reset()

    def reset(self) -> None:
        """Forget all rows: the next call starts a generation."""
        self._ids: Tensor | None = None
        self._prompt_length = 0
        # The states after 0, 1, 2, ... generated tokens, up to the last call's.
        self._trail: list[Tensor] = []

    def __call__(self, input_ids: torch.LongTensor, scores: Tensor) -> Tensor:
        """Return a copy of `scores` in which every token that is not allowed is minus infinity.

        Parameters
        ----------
        input_ids : LongTensor
            Prompt and generated tokens, shape ``(B, L)``.
        scores : Tensor
            Shape ``(B, V)``, on the automaton's device.

        Raises
        ------
        ValueError
            Rows have grown by more than a token, several rows have been rewound, or shapes or devices do not
            go together.
        """
        length = input_ids.shape[1]
        if self._ids is None or length <= self._prompt_length:
            self._prompt_length = length
            self._trail = [self._automaton.start(len(input_ids))]
        else:
            self._follow(input_ids, self._ids)
        self._ids = input_ids
        states = self._trail[-1]
        masked = scores.clamp(min=max(LOWEST_ALLOWED_SCORE, torch.finfo(scores.dtype).min))
        return self._automaton.apply_(masked, torch.where(states == DEAD, FINISHED, states))

    def _follow(self, ids: Tensor, last: Tensor) -> None:
        """Find what the rows go on with in those of the last call, or in their beginnings, and step."""
        before = ids.shape[1] - 1
        is_rewound = before < last.shape[1]
        if before > last.shape[1] or (is_rewound and (len(ids) > 1 or len(last) > 1)):
            raise ValueError(
                f"{len(ids)} rows of {before + 1} tokens after {len(last)} of {last.shape[1]}: rows grow by "
                "a token, and one alone may be rewound; before another generation, call reset()"
            )
        del self._trail[before - self._prompt_length + 1 :]
        same = (ids[:, None, :-1] == last[None, :, :before]).all(-1)
        states = self._trail[-1][same.int().argmax(1)]
        states = torch.where(same.any(1), states, DEAD)
        self._trail.append(self._automaton.step(states, ids[:, -1]))


@torch.no_grad()  # type: ignore[untyped-decorator]
def generate_frozen(
    model: Any,
    input_ids: Tensor,
    automaton: DeviceAutomaton,
    *,
    attention_mask: Tensor | None = None,
    max_new_tokens: int = 256,
    do_sample: bool = False,
    temperature: float = 1.0,
    generator: torch.Generator | None = None,
    pad_token_id: int | None = None,
    check_every: int = 16,
    capture: bool | None = None,
) -> Tensor:
    """Decode under a frozen automaton; on a GPU, a whole step of it is one CUDA graph.

    A step is the forward pass with a static cache, the mask, the choice of a token and the automaton's step.
    The host only launches it: it waits for the device once in `check_every` steps, to see whether all rows
    have ended.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        A causal language model that runs with a `StaticCache`, of Transformers 5.
    input_ids : Tensor
        Prompts, padded on the left, shape ``(B, P)``, on the device of the model and the automaton.
    automaton : DeviceAutomaton
        ``automaton.freeze(device=model.device)``.
    attention_mask : Tensor, optional
        0 for padding, shape ``(B, P)``; no padding by default.
    max_new_tokens : int
        The longest output, the end token included.
    do_sample : bool
        Sample instead of taking the most likely token.
    temperature : float
        Divides the logits, for sampling.
    generator : torch.Generator, optional
        For sampling, of the model's device.
    pad_token_id : int, optional
        What follows the end token; by default the model's padding, else its first end token.
    check_every : int
        Steps between two looks at whether all rows have ended; 0 never looks.
    capture : bool, optional
        Whether to capture the step in a CUDA graph; by default on a GPU. The same code runs either way.

    Returns
    -------
    Tensor
        Prompts and outputs, int64, shape ``(B, P + T)``, T at most `max_new_tokens`.

    Raises
    ------
    ValueError
        An argument is out of range, shapes or devices do not go together, or a step with layers of sliding
        windows is to be captured.
    """
    if input_ids.dim() != 2 or not input_ids.shape[1]:
        raise ValueError(f"input_ids have shape (B, P), and a prompt a token, not {tuple(input_ids.shape)}")
    if max_new_tokens < 1 or check_every < 0:
        raise ValueError("max_new_tokens is positive, and check_every is not negative")
    if do_sample and not temperature > 0:
        raise ValueError(f"temperature is positive, not {temperature}: for greedy search, do_sample=False")
    if attention_mask is None:
        attention_mask = torch.ones_like(input_ids)
    if attention_mask.shape != input_ids.shape:
        raise ValueError("attention_mask has the shape of input_ids")
    if pad_token_id is None:
        pad_token_id = _padding(model)
    if capture is None:
        capture = input_ids.is_cuda
    if capture and not input_ids.is_cuda:
        raise ValueError("only steps on a GPU can be captured in a CUDA graph")
    temperature = temperature if do_sample else 0.0
    loop = _Loop(
        model, input_ids, attention_mask, automaton, max_new_tokens, temperature, generator, pad_token_id
    )
    # Streams, graphs and generators are those of the current device.
    with torch.cuda.device(input_ids.device) if input_ids.is_cuda else nullcontext():
        return loop.run(check_every, capture)


def _padding(model: Any) -> int:
    config = model.generation_config
    if config.pad_token_id is not None:
        return int(config.pad_token_id)
    ends = config.eos_token_id
    if ends is None:
        raise ValueError("the model has neither padding nor end token: give pad_token_id")
    return int(ends if isinstance(ends, int) else ends[0])


class _Loop:
    """The tensors of a decode loop, which steps change in place."""

    def __init__(
        self,
        model: Any,
        input_ids: Tensor,
        attention_mask: Tensor,
        automaton: DeviceAutomaton,
        max_new_tokens: int,
        temperature: float,
        generator: torch.Generator | None,
        pad: int,
    ) -> None:
        batch, prompt = input_ids.shape
        device = input_ids.device
        self.model, self.automaton, self.temperature = model, automaton, temperature
        self.generator, self.pad = generator, pad
        self.prompt, self.limit = input_ids, max_new_tokens
        self.cache = StaticCache(config=model.config, max_cache_len=prompt + max_new_tokens)
        self.states = automaton.start(batch)
        self.tokens = torch.full((batch, 1), pad, dtype=torch.long, device=device)
        self.output = torch.full((batch, max_new_tokens), pad, dtype=torch.long, device=device)
        self.written = torch.zeros(1, dtype=torch.long, device=device)
        self.attention = torch.nn.functional.pad(attention_mask, (0, max_new_tokens))
        self.positions = (attention_mask.cumsum(-1) - 1).clamp(min=0)
        # The logits of the prompt's other tokens are not needed, and may be large.
        keeps = "logits_to_keep" in inspect.signature(model.forward).parameters
        self.options: dict[str, Any] = {"logits_to_keep": 1} if keeps else {}

    def run(self, check_every: int, capture: bool) -> Tensor:
        """Decode; return prompts and outputs."""
        self._forward_and_choose(self.prompt)
        self.positions = self.positions[:, -1:].clone()
        step = self.step
        done = 1
        while done < self.limit and not (check_every and done % check_every == 0 and self._ended()):
            if capture and done == 1:
                step = self._captured()
            step()
            done += 1
        return torch.cat([self.prompt, self.output[:, :done]], 1)

    def step(self) -> None:
        """Read the last tokens and choose the next ones: all on the device, all in place."""
        column = self.written + (self.prompt.shape[1] - 1)
        self.attention.index_fill_(1, column, 1)
        self.positions.add_(1)
        self._forward_and_choose(self.tokens)

    def _forward_and_choose(self, ids: Tensor) -> None:
        found = self.model(
            input_ids=ids,
            attention_mask=self.attention,
            position_ids=self.positions,
            past_key_values=self.cache,
            use_cache=True,
            **self.options,
        )
        # As in the logits processors: what is allowed is finite, or the -inf row would choose token 0.
        logits = found.logits[:, -1].float().clamp(min=LOWEST_ALLOWED_SCORE)
        self.automaton.apply_(logits, self.states)
        if self.temperature:
            # The largest of p_i / e_i with exponential e_i is a draw from p (exponential race).
            race = torch.empty_like(logits).exponential_(generator=self.generator)
            chosen = (torch.softmax(logits / self.temperature, -1) / race).argmax(-1)
        else:
            chosen = logits.argmax(-1)
        ended = self.automaton.finished(self.states)
        self.automaton.step(self.states, chosen, out=self.states)
        self.tokens.copy_(torch.where(ended, self.pad, chosen)[:, None])
        self.output.index_copy_(1, self.written, self.tokens)
        self.written.add_(1)

    def _ended(self) -> bool:
        return bool(self.automaton.finished(self.states).all())

    def _captured(self) -> Callable[[], None]:
        """Return what replays a step. Capturing wants steps before it, whose traces are wiped out."""
        if any(getattr(layer, "is_sliding", False) for layer in self.cache.layers):
            raise ValueError("the cache of sliding windows counts on the host: capture=False")
        changed = [self.states, self.tokens, self.output, self.written, self.attention, self.positions]
        changed += [layer.cumulative_length for layer in self.cache.layers]
        kept = [tensor.clone() for tensor in changed]
        generator = self.generator or torch.cuda.default_generators[torch.cuda.current_device()]
        random = generator.get_state()
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            # With one step left, a second would write behind the end.
            for _ in range(min(2, self.limit - 1)):
                self.step()
        torch.cuda.current_stream().wait_stream(side)
        for tensor, value in zip(changed, kept, strict=True):
            tensor.copy_(value)
        generator.set_state(random)
        graph = torch.cuda.CUDAGraph()
        if self.temperature and self.generator is not None:
            graph.register_generator_state(self.generator)
        # What other threads do on the device, such as reserving memory, is no business of this capture.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self.step()
        replay: Callable[[], None] = graph.replay
        return replay
