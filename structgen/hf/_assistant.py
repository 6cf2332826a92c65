"""Assistants that have another tokenizer than the model they draft for."""

from torch import Tensor

from structgen._core import DEAD
from structgen._errors import GuardDeadEnd
from structgen._outputs.interfaces import Automaton, States
from structgen.hf._apply import MaskBuffer, masked_scores


class AssistantConstraint:
    """Keeps an assistant's drafts in the language, as far as its tokens tell where the output stands.

    ``generate`` hands the model's logits processors to such an assistant, too: with the assistant's scores,
    and with the text so far in the assistant's tokens. These come from decoded text and change where the
    prompt ends, so that it is the text that tells where the constraint begins. A draft is a proposal: where
    the text does not fit, the assistant is free.

    Parameters
    ----------
    automaton : Automaton
        The constraint, for the assistant's vocabulary.
    model : Automaton
        The constraint, for the model's vocabulary.
    marker : bytes or None
        The end of the free text in front of the constraint.

    Raises
    ------
    ValueError
        Model and assistant have scores of the same width.
    """

    def __init__(self, automaton: Automaton, model: Automaton, marker: bytes | None) -> None:
        self._width: int = automaton.vocabulary.logits_size
        self._least = len(model.vocabulary)
        if self._width == model.vocabulary.logits_size:
            raise ValueError(
                f"the scores of model and assistant are both {self._width} wide: either they have one "
                "tokenizer, and assistant_automaton is not needed, or a vocabulary was made without its "
                "model's logits_size"
            )
        self._automaton = automaton
        self._tokens: list[bytes] = automaton.vocabulary.tokens
        self._marker = marker
        self._buffer = MaskBuffer(automaton.mask(DEAD).shape[-1])
        self.reset()

    def reset(self) -> None:
        """Forget the prompt."""
        self._prompt: bytes | None = None
        self._states: States = self._automaton
        # The constrained text of the last call, and the state behind it.
        self._text = b""
        self._state = DEAD

    def asks(self, scores: Tensor) -> bool:
        """Return whether these are the assistant's scores and not the model's."""
        # Sampling, generate prunes the assistant's scores to the tokens that both vocabularies have.
        width: int = scores.shape[-1]
        return width == self._width or width < self._least

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return a copy of `scores` without what the constraint forbids, or `scores` themselves."""
        if scores.shape[-1] != self._width or len(input_ids) != 1:
            return scores
        known = len(self._tokens)
        try:
            state = self._state_behind(b"".join(self._tokens[i] for i in input_ids[0].tolist() if i < known))
            if state == DEAD:
                return scores
            self._states.fill_masks([state], self._buffer.rows(1, scores.device))
        except GuardDeadEnd:
            return scores
        return masked_scores(scores, self._buffer.tensor(1))

    def _state_behind(self, text: bytes) -> int:
        """Return the state behind prompt and output; DEAD where the constraint has not begun."""
        if self._prompt is None or not text.startswith(self._prompt):
            self._prompt = text
            self._states = self._automaton.session()
            self._text, self._state = b"", self._states.start
        output = text[len(self._prompt) :]
        if self._marker is not None:
            _, found, output = output.partition(self._marker)
            if not found:
                return DEAD
        if not output.startswith(self._text):
            self._text, self._state = b"", self._states.start
        self._state = self._states.advance_bytes(self._state, output[len(self._text) :])
        self._text = output
        return self._state


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
