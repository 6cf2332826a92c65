"""The logits processor."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from transformers import LogitsProcessor

from structgen._core import FINISHED
from structgen._outputs.constraint import RowConstraint, Unconstrained
from structgen._outputs.interfaces import Automaton
from structgen._outputs.marker import make_marker
from structgen.hf._apply import MaskBuffer, masked_scores
from structgen.hf._history import RowHistory


class AutomatonLogitsProcessor(LogitsProcessor):  # type: ignore[misc]
    """Keep ``model.generate`` inside the language of an automaton.

    Works with greedy search, sampling, beam search, ``num_return_sequences``, left-padded batches,
    prompt-lookup and assisted decoding. What a row may do next depends on its generated tokens alone, so rows
    may be reordered, dropped or rewound between calls, and one object serves any number of generations.

    Parameters
    ----------
    automaton : TokenAutomaton or sequence of (TokenAutomaton or None)
        One automaton for all rows, or one for each prompt of the batch, None for a prompt without constraint.
        With ``num_beams`` or ``num_return_sequences`` pass one for each *prompt*: a prompt's rows share it.
    start_after : str, bytes, int or sequence of int, optional
        The output begins with free text up to and including this marker; the constraint starts right after
        it. A text (``"</think>"``) is found however tokens split it, and a token that holds the marker's
        end and more is allowed only where the rest of it fits the constraint. Token ids mean exactly these
        tokens. End tokens are not allowed before the constraint is satisfied. The prompt is not searched.
    finish_by : int, optional
        Let every output end, with its end token, within this many generated tokens; pass the
        ``max_new_tokens`` of the generation. A token is kept only if the shortest completion after it
        still fits, one byte a token, so the vocabulary must have a token for every byte.
    on_dead : {"end", "mask"}, default "end"
        What a dead row gets, see :attr:`dead_rows`. "end": only the end tokens, so that it ends soon and no
        sampler meets a row without any token. "mask": no token at all (every score is minus infinity), for
        loops that look for that.
    on_dead_end : {"raise", "mark"}, default "raise"
        What happens where guards (keywords that are checked when a value ends) leave a row no token. "raise":
        :class:`structgen.GuardDeadEnd`. "mark": the row is dead from there on, so that the rest of the batch
        goes on; its output is not valid.
    prompt_length : int, optional
        Number of leading columns of ``input_ids`` that are the prompt, padding included. The default is the
        number of columns at the first call of a generation. Give it to resume an unfinished output:
        the tokens after it count as generated.

    Raises
    ------
    ValueError
        The automata have different vocabularies, ``start_after`` is empty or holds an end token, or
        ``finish_by`` is less than the shortest output takes.
    TypeError
        ``automaton`` is no automaton.

    Notes
    -----
    A generation is told from the one before by its prompt. If the next prompt is the last prompt plus a
    beginning of its output, and that beginning is to count as prompt, call :meth:`reset` in between.

    Beams that beam search has dropped to minus infinity hold arbitrary tokens. Their rows are dead; end
    tokens added to minus infinity stay there, so such a beam never wins. Rows past their end token
    are offered the end tokens, whatever padding follows.

    Scores of allowed tokens are returned as they came, but where another processor has set them to minus
    infinity they count as -1e6: if that processor and the constraint have no token in common, the
    constraint wins.

    Not supported: assistants with another tokenizer than the model's, and continuous batching
    (``cache_implementation="paged"`` or ``generate_batch``), which ignores logits processors passed to it.

    An object serves one generation at a time; use one object per thread (the automaton can be shared).

    Examples
    --------
    >>> import structgen
    >>> from structgen.hf import AutomatonLogitsProcessor
    >>> from structgen.testing import tiny_model
    >>> model, tokenizer = tiny_model.load()
    >>> vocabulary = structgen.Vocabulary.from_huggingface(tokenizer)
    >>> automaton = structgen.compile_regex(r"(yes|no)!", vocabulary)
    >>> processor = AutomatonLogitsProcessor(automaton, finish_by=8)
    >>> prompt = tokenizer("Is it so? ", return_tensors="pt")
    >>> output = model.generate(**prompt, logits_processor=[processor], max_new_tokens=8, do_sample=False)
    >>> text = tokenizer.decode(output[0, prompt.input_ids.shape[1] :], skip_special_tokens=True)
    >>> text in ("yes!", "no!")
    True
    """

    # Continuous batching drops processors that say so, with a warning; it would run others on packed rows.
    supports_continuous_batching = False

    def __init__(
        self,
        automaton: Automaton | Sequence[Automaton | None],
        *,
        start_after: str | bytes | int | Sequence[int] | None = None,
        finish_by: int | None = None,
        on_dead: Literal["end", "mask"] = "end",
        on_dead_end: Literal["raise", "mark"] = "raise",
        prompt_length: int | None = None,
    ) -> None:
        if on_dead not in ("end", "mask"):
            raise ValueError(f"on_dead must be 'end' or 'mask', not {on_dead!r}")
        if on_dead_end not in ("raise", "mark"):
            raise ValueError(f"on_dead_end must be 'raise' or 'mark', not {on_dead_end!r}")
        if finish_by is not None and finish_by < 1:
            raise ValueError(f"finish_by must be positive, not {finish_by}")
        if prompt_length is not None and prompt_length < 0:
            raise ValueError(f"prompt_length must not be negative, but is {prompt_length}")
        automata = list(automaton) if isinstance(automaton, Sequence) else [automaton]
        self._check(automata)
        # An automaton given several times has one constraint: one session, one set of marker tables.
        made: dict[int, RowConstraint | Unconstrained] = {}
        for one in automata:
            if one is None:
                made[id(one)] = Unconstrained()
            elif id(one) not in made:
                marker = None if start_after is None else make_marker(start_after, one)
                made[id(one)] = RowConstraint(one, marker, finish_by, on_dead == "end", on_dead_end == "mark")
        constraints = [made[id(one)] for one in automata]
        first = next((one for one in automata if one is not None), None)
        self._tokens = 0 if first is None else len(first.vocabulary)
        self._buffer = None if first is None else MaskBuffer(first.mask(FINISHED).shape[-1])
        self._history = RowHistory(constraints, prompt_length)
        self._free_slots = [one is None for one in automata]
        self._dead_rows: tuple[int, ...] = ()

    @staticmethod
    def _check(automata: Sequence[Automaton | None]) -> None:
        """Raise unless these are automata of one vocabulary."""
        if not automata:
            raise ValueError("the list of automata is empty")
        vocabulary = None
        for one in automata:
            if one is None:
                continue
            if not hasattr(one, "fill_masks") or not hasattr(one, "vocabulary"):
                raise TypeError(f"expected a TokenAutomaton or None, not {type(one).__name__}")
            if vocabulary is not None and one.vocabulary != vocabulary:
                raise ValueError("the automata of a batch must have the same vocabulary")
            vocabulary = one.vocabulary

    @property
    def dead_rows(self) -> tuple[int, ...]:
        """Rows whose generated tokens leave the language (or overdraw the budget), as of the last call.

        Tokens that this processor allowed never get there, but for the dead ends of guards
        (``on_dead_end="mark"``). Beams at minus infinity do, rejected drafts, and rows into which another
        processor forced a token.
        """
        return self._dead_rows

    def reset(self) -> None:
        """Forget all rows: the next call starts a generation."""
        self._history.reset()
        self._dead_rows = ()

    def __call__(self, input_ids: torch.LongTensor, scores: Tensor) -> Tensor:
        """Return a copy of `scores` in which every token that is not allowed is minus infinity.

        Parameters
        ----------
        input_ids : LongTensor
            Prompt and generated tokens, shape ``(B, L)``.
        scores : Tensor
            Logits or log-probabilities of the next token, floating point, shape ``(B, V)``.

        Returns
        -------
        Tensor
            Shape, dtype and device of `scores`.

        Raises
        ------
        ValueError
            `scores` is narrower than the vocabulary, or the batch is no multiple of the number of automata.
        GuardDeadEnd
            Guards leave a row no token, and `on_dead_end` is "raise".
        """
        if self._buffer is None:
            return scores
        if input_ids.dim() != 2 or scores.dim() != 2 or len(input_ids) != len(scores):
            raise ValueError(
                "expected input_ids of shape (B, L) and scores of shape (B, V), "
                f"not {tuple(input_ids.shape)} and {tuple(scores.shape)}"
            )
        if scores.shape[-1] < self._tokens:
            raise ValueError(
                f"the scores are {scores.shape[-1]} wide, but the vocabulary has {self._tokens} tokens: "
                "it belongs to another model"
            )
        nodes = self._history.update(input_ids)
        masks = self._buffer.rows(len(nodes), scores.device)
        for constraint, rows in self._history.slots(len(nodes)):
            constraint.fill(nodes[rows], masks[rows])
        self._dead_rows = tuple(row for row, node in enumerate(nodes) if node.dead)
        masked = masked_scores(scores, self._buffer.tensor(len(nodes)))
        if any(self._free_slots):
            free = torch.tensor(self._free_slots, device=scores.device)
            free = free.repeat_interleave(len(nodes) // len(self._free_slots))
            # Rows without constraint keep what a mask can't say: padded logits, and bans of other processors.
            masked = torch.where(free.unsqueeze(-1), scores, masked)
        return masked
