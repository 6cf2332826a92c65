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
class ExtensibleRows(Rows, Protocol):
    """Rows that take several tokens at once, and not all as many: forced text needs it."""

    def extend(self, tokens: Sequence[Sequence[int]]) -> list[list[float]]:
        """Add tokens to each row, one at least; return the log-probabilities of all but each row's first."""


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

    def extend(self, tokens: Sequence[Sequence[int]]) -> list[list[float]]:
        found = []
        for i, row in enumerate(tokens):
            before = [(*self._tokens[i], *row[:end]) for end in range(1, len(row))]
            found.append(
                [float(self._model.next_logprobs(b)[t]) for b, t in zip(before, row[1:], strict=True)]
            )
            self._tokens[i] = (*self._tokens[i], *row)
        return found

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
        A prompt is empty or no row of tokens, it has a token that the model does not know, or the temperature
        is not positive.
    TypeError
        The model keeps no cache whose rows can be reordered, or the tokens of a prompt are no integers.

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
        # Outside of the embeddings a CPU raises what tells nothing, and a GPU is lost to the process.
        known = model.get_input_embeddings().weight.shape[0]
        self._prompt, self._mask = _padded(prompt_ids, known, model.device)
        self.prompts = len(self._prompt)
        """Number of prompts."""
        self._temperature = temperature
        self._cache = cache
        self._read: dict[int, tuple[Any, Tensor]] = {}
        parameters = inspect.signature(model.forward).parameters
        # The logits of the prompt's other tokens are not needed, and may be large.
        self._keeps_logits = "logits_to_keep" in parameters
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
        return HuggingFaceRows(self, copy.deepcopy(cache), logprobs, self._mask, self._prompt.shape[1], rows)

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
        cache, logits = self.logits(tokens, cache, mask, 1)
        return cache, self.logprobs_of(logits[:, -1])

    def logits(self, tokens: Tensor, cache: Any, mask: Tensor | None, keep: int) -> tuple[Any, Tensor]:
        """Read tokens as :meth:`forward`; return the cache and the model's logits after the last `keep`."""
        options: dict[str, Any] = {"logits_to_keep": keep} if self._keeps_logits else {}
        if mask is not None:
            options["attention_mask"] = mask
            if self._takes_positions:
                positions = (mask.cumsum(1) - 1).clamp(min=0)
                options["position_ids"] = positions[:, -tokens.shape[1] :]
        with torch.no_grad():
            output = self._model(input_ids=tokens, past_key_values=cache, use_cache=True, **options)
        return getattr(output, "past_key_values", None), output.logits[:, -keep:]

    def logprobs_of(self, logits: Tensor) -> Tensor:
        """Return the log-probabilities (n, V) that logits of the model stand for, float32."""
        return (logits[:, : len(self._vocabulary.tokens)].float() / self._temperature).log_softmax(-1)

    def check_ragged(self) -> None:
        """Raise ValueError where rows of the batch cannot take different numbers of tokens at once."""
        check_ragged(self._model, self._takes_positions)


class Chunk:
    """Tokens that rows of a batch are given at once, padded in front of those rows that get fewer.

    Parameters
    ----------
    tokens : sequence of sequence of int
        Of each row, at least one; of some row, two.
    device : torch.device

    Attributes
    ----------
    tokens, mask : Tensor
        Integers, shape (n, `width`): the tokens, and 1 where they are no padding.
    width : int
        Number of tokens of the longest row.
    ragged : bool
        Whether there is any padding.
    """

    def __init__(self, tokens: Sequence[Sequence[int]], device: torch.device) -> None:
        self.width = max(map(len, tokens))
        self._lengths = [len(row) for row in tokens]
        padding = [self.width - length for length in self._lengths]
        self.ragged = any(padding)
        self.tokens = torch.tensor(
            [[row[0]] * p + list(row) for p, row in zip(padding, tokens, strict=True)], device=device
        )
        self.mask = torch.tensor([[0] * p + [1] * (self.width - p) for p in padding], device=device)

    def logprobs(self, logits: Tensor, logprobs_of: Callable[[Tensor], Tensor]) -> list[list[float]]:
        """Return the log-probabilities of all tokens but each row's first.

        Parameters
        ----------
        logits : Tensor
            Shape (n, width, V): the model's after each token.
        logprobs_of : callable
            From logits (k, V) to log-probabilities.
        """
        # The logits in front of each token but a row's first.
        ends = self.width - 1
        places = [(i, j) for i, length in enumerate(self._lengths) for j in range(ends - length + 1, ends)]
        rows, columns = torch.tensor(places, device=self.tokens.device).unbind(1)
        found = logprobs_of(logits[rows.to(logits.device), columns.to(logits.device)])
        wanted = self.tokens[rows, columns + 1].unsqueeze(1).to(found.device)
        given = iter(found.gather(1, wanted).squeeze(1).tolist())
        return [[next(given) for _ in range(length - 1)] for length in self._lengths]


def check_ragged(model: Any, takes_positions: bool) -> None:
    """Raise ValueError where rows of a model of transformers cannot have padding between their tokens."""
    if not takes_positions:
        raise ValueError(
            f"{type(model).__name__} takes no position_ids, which rows with forced texts of different "
            "lengths need: use one sequence at a time, or forced=None"
        )
    config = model.config.get_text_config()
    # The window counts padding, so that it would reach less far back than it should.
    if getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True):
        raise ValueError(
            f"{type(model).__name__} has a sliding window, and rows with forced texts of different lengths "
            "would have padding in it: use one sequence at a time, or forced=None"
        )


class HuggingFaceRows:
    """The rows of a `HuggingFaceModel`; the first ones of its batch, where the batch has a fixed size."""

    def __init__(
        self,
        model: HuggingFaceModel,
        cache: Any,
        logprobs: Tensor,
        mask: Tensor | None,
        length: int,
        rows: int,
    ) -> None:
        self._model = model
        self._cache = cache
        self._logprobs = logprobs
        self._mask = mask
        self._length = length
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
        self._length += 1
        self._cache, self._logprobs = self._model.forward(column, self._cache, self._mask)
        self._order = None

    def extend(self, tokens: Sequence[Sequence[int]]) -> list[list[float]]:
        """Add tokens to each row in one forward pass; see :class:`ExtensibleRows`.

        Rows with fewer tokens than the longest have padding in front of them, which stays in the cache and
        which the attention mask leaves out.

        Raises
        ------
        ValueError
            The cache has a fixed size; or rows get different numbers of tokens, and the model takes no
            positions, or has a sliding window.
        """
        if self._fixed:
            raise ValueError(
                'a cache of fixed size cannot take padding: use cache="dynamic" with forced text'
            )
        if max(map(len, tokens)) == 1:
            self.append([row[0] for row in tokens])
            return [[] for _ in tokens]
        device = self._logprobs.device
        chunk = Chunk(tokens, device)
        if chunk.ragged:
            self._model.check_ragged()
            if self._mask is None:
                self._mask = torch.ones((self._batch, self._length), dtype=torch.long, device=device)
        if self._mask is not None:
            self._mask = torch.cat([self._mask, chunk.mask], 1)
        self._length += chunk.width
        self._cache, logits = self._model.logits(chunk.tokens, self._cache, self._mask, chunk.width)
        self._logprobs = self._model.logprobs_of(logits[:, -1])
        self._order = None
        return chunk.logprobs(logits, self._model.logprobs_of)

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


def _padded(prompt_ids: Any, known: int, device: torch.device) -> tuple[Tensor, Tensor | None]:
    """Return prompts as rows of one length, and where they are no padding; None if there is none.

    The model knows the tokens below `known`.
    """
    several = len(prompt_ids) > 0 and torch.as_tensor(prompt_ids[0]).dim() > 0
    prompts = [torch.as_tensor(row) for row in (prompt_ids if several else [prompt_ids])]
    for prompt in prompts:
        if prompt.dim() != 1 or len(prompt) == 0:
            raise ValueError(
                f"a prompt has shape {tuple(prompt.shape)}, and must be one row of at least one token (for "
                "an empty prompt give the begin-of-sequence token)"
            )
        if prompt.is_floating_point() or prompt.is_complex():
            raise TypeError(f"the tokens of a prompt are {prompt.dtype}, and must be integers")
        if not 0 <= int(prompt.min()) <= int(prompt.max()) < known:
            unknown = prompt[(prompt < 0) | (prompt >= known)]
            raise ValueError(f"a prompt has token {int(unknown[0])}, and the model knows 0 to {known - 1}")
    prompts = [prompt.long() for prompt in prompts]
    length = max(map(len, prompts))
    tokens = torch.stack([torch.nn.functional.pad(row, (length - len(row), 0)) for row in prompts])
    lengths = torch.tensor([len(row) for row in prompts])
    mask = (torch.arange(length) >= length - lengths.unsqueeze(1)).long()
    return tokens.to(device), None if mask.all() else mask.to(device)
