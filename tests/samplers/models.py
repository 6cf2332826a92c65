"""Small vocabularies, language models and contexts."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from structgen import Vocabulary
from structgen.samplers import Context

END, A, B, AB, BRACE, CLOSE, QUOTE, E1, E2, END2, PAD = range(11)
VOCABULARY = Vocabulary(
    [b"", b"a", b"b", b"ab", b"[", b"]", b'"', b"\xc3", b"\xa9", b"</s>", b"<pad>"],
    eos_token_ids=[END, END2],
    special_token_ids=[PAD],
    logits_size=13,
)


def context_of(*tokens: int) -> Context:
    return Context.root(VOCABULARY).extend_all(tokens)


class TableRows:
    """Texts of a :class:`TableModel`, which counts the steps it is asked for."""

    def __init__(self, model: "TableModel", rows: int) -> None:
        self.model = model
        self.texts: list[tuple[int, ...]] = [()] * rows

    def logprobs(self) -> Tensor:
        self.model.steps += 1
        return torch.stack([self.model.function(text) for text in self.texts])

    def append(self, tokens: Sequence[int]) -> None:
        self.texts = [(*text, token) for text, token in zip(self.texts, tokens, strict=True)]

    def select(self, index: Sequence[int]) -> None:
        self.texts = [self.texts[i] for i in index]


class TableModel:
    """A language model by a function from tokens to log-probabilities."""

    vocabulary = VOCABULARY

    def __init__(self, function: Callable[[tuple[int, ...]], Tensor]) -> None:
        self.function = function
        self.steps = 0

    def begin(self, rows: int, *, max_tokens: int) -> TableRows:
        return TableRows(self, rows)


def hashed_model(forbidden: Sequence[int] = ()) -> TableModel:
    """Return a model whose probabilities depend on all tokens before."""

    def function(text: tuple[int, ...]) -> Tensor:
        generator = torch.Generator().manual_seed(sum((t + 1) * 31**i for i, t in enumerate(text)) % 2**31)
        logits = torch.randn(len(VOCABULARY), dtype=torch.float64, generator=generator)
        logits[list(forbidden)] = -math.inf
        return logits.log_softmax(dim=0)

    return TableModel(function)
