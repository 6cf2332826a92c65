"""The logits processor."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from transformers import LogitsProcessor

from structgen._core import FINISHED
from structgen._outputs.constraint import Node, RowConstraint, Unconstrained
from structgen._outputs.interfaces import Automaton
from structgen._outputs.marker import make_marker
from structgen.hf._apply import MaskBuffer, masked_scores
from structgen.hf._assistant import AssistantConstraint, check_width
from structgen.hf._drafts import RecentMasks
from structgen.hf._history import RowHistory

_HINT = "for an assistant with another tokenizer, pass assistant_automaton"


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
    assistant_automaton : TokenAutomaton, optional
        The same constraint for the vocabulary of an assistant that has another tokenizer than the model, or
        wider or narrower scores. Both vocabularies must know how wide their models' scores are
        (``logits_size``), which must differ. An assistant with the model's own tokenizer needs none.

    Raises
    ------
    ValueError
        The automata have different vocabularies, ``start_after`` is empty or holds an end token,
        ``finish_by`` is less than the shortest output takes, or model and assistant have scores of one width.
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

    Drafts of assisted and prompt-lookup decoding keep to the constraint, and the masks of their positions
    are made once, in as few calls as their tokens are known (all in one, where ``finish_by`` is not near). A
    draft may break the constraint or run past an end token: that is rejected. Dead ends of guards raise
    inside drafts, too, which the model might have rejected; pass ``on_dead_end="mark"`` to go on.

    Not supported: continuous batching (``cache_implementation="paged"`` or ``generate_batch``), which ignores
    logits processors passed to it.

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
        assistant_automaton: Automaton | None = None,
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
        words = 0 if first is None else first.mask(FINISHED).shape[-1]
        self._buffer = None if first is None else MaskBuffer(words)
        self._recent = RecentMasks(words)
        self._history = RowHistory(constraints, prompt_length)
        self._free_slots = [one is None for one in automata]
        self._dead_rows: tuple[int, ...] = ()
        self._width: int | None = None
        self._assistant: AssistantConstraint | None = None
        if assistant_automaton is not None and first is not None:
            self._check([assistant_automaton])
            text = start_after.encode() if isinstance(start_after, str) else start_after
            if text is None or isinstance(text, bytes):
                self._assistant = AssistantConstraint(assistant_automaton, first, text)
            else:
                raise ValueError("with an assistant_automaton, start_after must be a text: tokens differ")

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
        self._recent.clear()
        self._width = None
        if self._assistant is not None:
            self._assistant.reset()
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
            `scores` is narrower than the vocabulary, or not as wide as at the last call; or the batch is no
            multiple of the number of automata.
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
        if self._assistant is not None and self._assistant.asks(scores):
            return self._assistant(input_ids, scores)
        check_width(scores.shape[-1], self._width, self._tokens, _HINT)
        self._width = scores.shape[-1]
        nodes = self._history.update(input_ids)
        masks = self._masks(nodes, input_ids, scores.device)
        self._dead_rows = tuple(row for row, node in enumerate(nodes) if node.dead)
        masked = masked_scores(scores, masks)
        if any(self._free_slots):
            free = torch.tensor(self._free_slots, device=scores.device)
            free = free.repeat_interleave(len(nodes) // len(self._free_slots))
            # Rows without constraint keep what a mask can't say: padded logits, and bans of other processors.
            masked = torch.where(free.unsqueeze(-1), scores, masked)
        return masked

    def _masks(self, nodes: Sequence[Node], input_ids: Tensor, device: torch.device) -> Tensor:
        """Return the masks of `nodes` in host memory, int32 of shape ``(B, W)``."""
        assert self._buffer is not None
        slots = self._history.slots(len(nodes))
        if len(nodes) == 1 and isinstance(alone := slots[0][0], RowConstraint):
            return self._recent.get(alone, nodes[0], self._history.draft(input_ids), device)
        masks = self._buffer.rows(len(nodes), device)
        for constraint, rows in slots:
            constraint.fill(nodes[rows], masks[rows])
        return self._buffer.tensor(len(nodes))
