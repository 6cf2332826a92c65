"""Assistants that have another tokenizer than the model they draft for."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from structgen.hf._processor import AutomatonLogitsProcessor


class AssistantConstraint:
    """Keeps an assistant's drafts in the language, as far as its tokens tell where the output stands.

    ``generate`` hands the model's logits processors to such an assistant, too: with the assistant's scores,
    and with the text so far in the assistant's tokens. A draft is a proposal, so that wherever the text does
    not fit (it was not spelled alike, or the prompt ends elsewhere) the assistant is free.

    Parameters
    ----------
    vocabulary : Vocabulary
        The assistant's.
    model : Vocabulary
        The model's.
    make : callable
        Makes the assistant's processor, given the length of the prompt in its tokens.

    Raises
    ------
    ValueError
        Model and assistant have scores of the same width.
    """

    def __init__(
        self, vocabulary: Any, model: Any, make: "Callable[[int], AutomatonLogitsProcessor]"
    ) -> None:
        self._width: int = vocabulary.logits_size
        self._least = len(model)
        if self._width == model.logits_size:
            raise ValueError(
                f"the scores of model and assistant are both {self._width} wide: either they have one "
                "tokenizer, and assistant_automaton is not needed, or a vocabulary was made without its "
                "model's logits_size"
            )
        self._make = make
        self._prompt = torch.empty((1, 0), dtype=torch.int64)
        self._processor: AutomatonLogitsProcessor | None = None

    def asks(self, scores: Tensor) -> bool:
        """Return whether these are the assistant's scores and not the model's."""
        # Sampling, generate prunes the assistant's scores to the tokens that both vocabularies have.
        width: int = scores.shape[-1]
        return width == self._width or width < self._least

    def reset(self) -> None:
        """Forget the prompt."""
        self._processor = None

    def __call__(self, input_ids: torch.LongTensor, scores: Tensor) -> Tensor:
        """Return a copy of `scores` without what the constraint forbids, or `scores` themselves."""
        if scores.shape[-1] != self._width:
            return scores
        if self._processor is None or not torch.equal(input_ids[:, : self._prompt.shape[1]], self._prompt):
            self._prompt = input_ids.clone()
            self._processor = self._make(input_ids.shape[1])
        masked = self._processor(input_ids, scores)
        return scores if self._processor.dead_rows else masked


def check_width(width: int, last: int | None, tokens: int, hint: str) -> None:
    """Raise unless scores that are `width` wide belong to the model of the last call and the vocabulary."""
    if width < tokens:
        raise ValueError(
            f"the scores are {width} wide, but the vocabulary has {tokens} tokens: "
            f"it belongs to another model ({hint})"
        )
    if last is not None and width != last:
        raise ValueError(
            f"the scores are {width} wide, and those of the last call were {last}: they come from another "
            f"model ({hint}); call reset() in between to serve another model"
        )
