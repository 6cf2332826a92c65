"""Language models as samplers see them: the rows of one batch, one forward pass a step."""

import copy
import inspect
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from structgen._vocabulary import Vocabulary


class Rows(Protocol):
    """Texts of one length that grow together, as the rows of one batch."""

    def __len__(self) -> int: ...

    def logprobs(self) -> Tensor:
        """Return normalised log-probabilities of the next token of each row, (n, V); not to be changed."""

    def append(self, tokens: Sequence[int]) -> None:
        """Add one token to each row. What a row is given after an end token does not matter."""

    def select(self, index: Sequence[int]) -> None:
        """Make row i a copy of what row ``index[i]`` was. There may be fewer rows than before, or more."""


@runtime_checkable
class LanguageModel(Protocol):
    """What sequence samplers ask of a language model and its prompt."""

    @property
    def vocabulary(self) -> Vocabulary: ...

    def begin(self, rows: int, *, max_tokens: int) -> Rows:
        """Return that many rows right after the prompt, for at most `max_tokens` more tokens."""


class TableModel:
    """A language model that is a function: for tests, and for back ends that keep their own cache.

    Parameters
    ----------
    vocabulary : Vocabulary
        The vocabulary, of V tokens.
    function : callable
        From the tokens so far (a tuple) to the log-probabilities of the next, a 1-D tensor or sequence of V
        floats. It is called once for each tuple.

    Notes
    -----
    Log-probabilities are float64. `begin` and the rows raise ``ValueError`` where the function returns
    anything but V normalised log-probabilities.
    """

    def __init__(
        self, vocabulary: Vocabulary, function: Callable[[tuple[int, ...]], Tensor | Sequence[float]]
    ) -> None:
        self._vocabulary = vocabulary
        self._function = function
        self._known: dict[tuple[int, ...], Tensor] = {}

    @property
    def vocabulary(self) -> Vocabulary:
        return self._vocabulary

    def begin(self, rows: int, *, max_tokens: int) -> "TableRows":
        return TableRows(self, rows)

    def next_logprobs(self, tokens: tuple[int, ...]) -> Tensor:
        """Return the log-probabilities after `tokens`, (V,) of float64."""
        known = self._known.get(tokens)
        if known is None:
            known = torch.as_tensor(self._function(tokens), dtype=torch.float64)
            if known.shape != (len(self._vocabulary.tokens),):
                raise ValueError(
                    f"after {tokens} the model returned shape {tuple(known.shape)} for a vocabulary of "
                    f"{len(self._vocabulary.tokens)} tokens"
                )
            if not abs(float(known.logsumexp(0))) < 1e-6:
                raise ValueError(f"after {tokens} the model's log-probabilities are not normalised")
            self._known[tokens] = known
        return known


class TableRows:
    """The rows of a `TableModel`."""

    def __init__(self, model: TableModel, rows: int) -> None:
        self._model = model
        self._tokens: list[tuple[int, ...]] = [()] * rows

    def __len__(self) -> int:
        return len(self._tokens)

    def logprobs(self) -> Tensor:
        place = {tokens: i for i, tokens in enumerate(dict.fromkeys(self._tokens))}
        table = torch.stack([self._model.next_logprobs(tokens) for tokens in place])
        return table[torch.tensor([place[tokens] for tokens in self._tokens])]

    def append(self, tokens: Sequence[int]) -> None:
        ended = self._model.vocabulary.eos_token_ids
        self._tokens = [
            row if row and row[-1] in ended else (*row, token)
            for row, token in zip(self._tokens, tokens, strict=True)
        ]

    def select(self, index: Sequence[int]) -> None:
        self._tokens = [self._tokens[i] for i in index]


class HuggingFaceModel:
    """A causal language model of transformers after its prompt, with its key-value cache.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        The model, in evaluation mode, on any device.
    vocabulary : Vocabulary or tokenizer
        The vocabulary, or a tokenizer to read it from; its end tokens are then those of the model's
        generation configuration, where that has any.
    prompt_ids : sequence of int or Tensor, or sequence of these
        The tokens of the prompt, at least one; or several prompts without padding, for
        :meth:`SMC.run_prompts`.
    temperature : float
        Divides the logits. The model with its temperature is what samplers take as the truth.
    cache : {"dynamic", "static"} or callable
        The model's own cache that grows; a static one of the length that is needed; or a callable from that
        length (prompt and new tokens) to an empty cache of transformers.

    Raises
    ------
    ValueError
        A prompt is empty or no row of tokens, or the temperature is not positive.
    TypeError
        The model keeps no cache whose rows can be reordered.

    Notes
    -----
    A prompt is read once, as one row, and its cache is kept: every `begin` copies it. All rows have the same
    length, so that only prompts of different lengths need padding (on the left, with an attention mask and
    position ids). Resampling is ``cache.reorder_cache``. A cache that grows follows the number of rows; one
    of fixed size (with an attribute ``is_compileable`` that is true) keeps as many as it began with, the
    surplus rows being copies that nobody reads, because a compiled model must not see another shape.

    Logits beyond the vocabulary's tokens (padding of the model) are cut off before they are normalised.
    Log-probabilities are float32.
    """

    def __init__(
        self,
        model: Any,
        vocabulary: Any,
        prompt_ids: Sequence[int] | Tensor | Sequence[Sequence[int] | Tensor],
        *,
        temperature: float = 1.0,
        cache: str | Callable[[int], Any] = "dynamic",
    ) -> None:
        if not temperature > 0:
            raise ValueError(f"the temperature is {temperature}, and must be positive")
        if isinstance(cache, str) and cache not in ("dynamic", "static"):
            raise ValueError(f'cache is {cache!r}, and must be "dynamic", "static" or a callable')
        if not isinstance(vocabulary, Vocabulary):
            vocabulary = Vocabulary.from_tokenizer(
                vocabulary,
                model.config.get_text_config().vocab_size,
                eos_token_ids=getattr(model.generation_config, "eos_token_id", None),
            )
        self._vocabulary: Vocabulary = vocabulary
        self._model = model
        self._prompt, self._mask = _padded(prompt_ids, model.device)
        self.prompts = len(self._prompt)
        """Number of prompts."""
        self._temperature = temperature
        self._cache = cache
        self._read: dict[int, tuple[Any, Tensor]] = {}
        parameters = inspect.signature(model.forward).parameters
        # The logits of the prompt's other tokens are not needed, and may be large.
        self._options: dict[str, Any] = {"logits_to_keep": 1} if "logits_to_keep" in parameters else {}
        self._takes_positions = "position_ids" in parameters

    @property
    def vocabulary(self) -> Vocabulary:
        return self._vocabulary

    def begin(self, rows: int, *, max_tokens: int) -> "HuggingFaceRows":
        length = self._prompt.shape[1] + max_tokens
        key = 0 if self._cache == "dynamic" else length
        if key not in self._read:
            self._read = {key: self._read_prompt(length)}
        cache, logprobs = self._read[key]
        return HuggingFaceRows(self, copy.deepcopy(cache), logprobs, self._mask, rows)

    def input_embeddings(self) -> Tensor:
        """Return the model's vectors of the tokens, (V, d)."""
        weight: Tensor = self._model.get_input_embeddings().weight
        return weight

    def _read_prompt(self, length: int) -> tuple[Any, Tensor]:
        empty = None
        if callable(self._cache):
            empty = self._cache(length)
        elif self._cache == "static":
            from transformers import StaticCache

            empty = StaticCache(config=self._model.config, max_cache_len=length)
        cache, logprobs = self.forward(self._prompt, empty, self._mask)
        if not hasattr(cache, "reorder_cache"):
            raise TypeError(
                f"{type(self._model).__name__} returns {type(cache).__name__} where a cache that can be "
                "reordered is needed; a model without one can be used through TableModel"
            )
        return cache, logprobs

    def forward(self, tokens: Tensor, cache: Any, mask: Tensor | None) -> tuple[Any, Tensor]:
        """Read tokens (n, L) after what the cache holds; return it and log-probabilities (n, V).

        The mask says which of all tokens are no padding; None is all.
        """
        options = dict(self._options)
        if mask is not None:
            options["attention_mask"] = mask
            if self._takes_positions:
                positions = (mask.cumsum(1) - 1).clamp(min=0)
                options["position_ids"] = positions[:, -tokens.shape[1] :]
        with torch.no_grad():
            output = self._model(input_ids=tokens, past_key_values=cache, use_cache=True, **options)
        logits = output.logits[:, -1, : len(self._vocabulary.tokens)].float() / self._temperature
        return getattr(output, "past_key_values", None), logits.log_softmax(-1)


class HuggingFaceRows:
    """The rows of a `HuggingFaceModel`; the first ones of its batch, where the batch has a fixed size."""

    def __init__(
        self, model: HuggingFaceModel, cache: Any, logprobs: Tensor, mask: Tensor | None, rows: int
    ) -> None:
        self._model = model
        self._cache = cache
        self._logprobs = logprobs
        self._mask = mask
        # The rows of one prompt lie together.
        order = torch.arange(len(logprobs), device=logprobs.device).repeat_interleave(rows)
        self._rows = self._batch = len(order)
        self._fixed = bool(getattr(cache, "is_compileable", False))
        self._order: Tensor | None = None
        self._reorder(order)

    def __len__(self) -> int:
        return self._rows

    def logprobs(self) -> Tensor:
        if self._order is not None:
            self._logprobs = self._logprobs.index_select(0, self._order)
            self._order = None
        return self._logprobs[: self._rows]

    def append(self, tokens: Sequence[int]) -> None:
        if len(tokens) != self._rows:
            raise ValueError(f"{len(tokens)} tokens for {self._rows} rows")
        padded = [*tokens, *[tokens[0]] * (self._batch - self._rows)]
        column = torch.tensor(padded, dtype=torch.long, device=self._logprobs.device).unsqueeze(1)
        if self._mask is not None:
            self._mask = torch.cat([self._mask, torch.ones_like(column)], 1)
        self._cache, self._logprobs = self._model.forward(column, self._cache, self._mask)
        self._order = None

    def select(self, index: Sequence[int]) -> None:
        if self._fixed and len(index) > self._batch:
            raise ValueError(f"{len(index)} rows of a cache with a fixed size of {self._batch}")
        self._rows = len(index)
        if not self._fixed:
            self._batch = self._rows
        padded = [*index, *[index[0]] * (self._batch - self._rows)]
        self._reorder(torch.tensor(padded, dtype=torch.long, device=self._logprobs.device))

    def _reorder(self, order: Tensor) -> None:
        self._cache.reorder_cache(order)
        if self._mask is not None:
            self._mask = self._mask.index_select(0, order)
        # The log-probabilities may never be asked for; so they are reordered when they are.
        self._order = order if self._order is None else self._order.index_select(0, order)


def _padded(prompt_ids: Any, device: torch.device) -> tuple[Tensor, Tensor | None]:
    """Return prompts as rows of one length, and where they are no padding; None if there is none."""
    several = len(prompt_ids) > 0 and torch.as_tensor(prompt_ids[0]).dim() > 0
    prompts = [torch.as_tensor(row, dtype=torch.long) for row in (prompt_ids if several else [prompt_ids])]
    for prompt in prompts:
        if prompt.dim() != 1 or len(prompt) == 0:
            raise ValueError(
                f"a prompt has shape {tuple(prompt.shape)}, and must be one row of at least one token (for "
                "an empty prompt give the begin-of-sequence token)"
            )
    length = max(map(len, prompts))
    tokens = torch.stack([torch.nn.functional.pad(row, (length - len(row), 0)) for row in prompts])
    lengths = torch.tensor([len(row) for row in prompts])
    mask = (torch.arange(length) >= length - lengths.unsqueeze(1)).long()
    return tokens.to(device), None if mask.all() else mask.to(device)
