"""llama.cpp through llama-cpp-python: constrained ``Llama`` (extra ``structgen[llama-cpp]``).

The processor itself needs NumPy alone.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from structgen._core import FINISHED
from structgen._outputs.interfaces import Automaton
from structgen._outputs.single import SingleOutput

__all__ = ["AutomatonLogitsProcessor"]

_logger = logging.getLogger(__name__)

# As of structgen.hf: what other processors have removed comes back here, if nothing else is allowed.
_LOWEST_ALLOWED_SCORE = np.float32(-1e6)


class AutomatonLogitsProcessor:
    """Keep the output of a ``llama_cpp.Llama`` inside the language of an automaton.

    Pass it in a ``LogitsProcessorList``. Where the output stands is told from the tokens that it is shown, so
    one object serves any number of generations, one after the other; use one for each ``Llama`` and thread.

    Parameters
    ----------
    automaton : TokenAutomaton
        Over ``Vocabulary.from_llama_cpp(llm)``.
    start_after : str, bytes, int or sequence of int, optional
        The output begins with free text up to and including this marker; see
        :class:`structgen.hf.AutomatonLogitsProcessor`.
    finish_by : int, optional
        Let the output end, with its end token, within this many tokens: the ``max_tokens`` of the generation.
    prompt_length : int, optional
        Number of leading tokens that are the prompt, to go on with an unfinished output. By default a call
        begins a generation, and shows its prompt, unless it shows one token more than the last.

    Raises
    ------
    TypeError
        `automaton` is none.
    ValueError
        ``start_after`` is empty or holds an end token, or ``finish_by`` is less than the shortest output
        takes.

    Notes
    -----
    llama-cpp-python calls processors from C, where an exception would be printed and the token be drawn
    *without* constraint. What goes wrong is therefore kept in :attr:`error` and logged, and the output ends
    at once, with nothing but the end tokens allowed.

    Not supported: ``Llama(draft_model=...)``, which shows drafts and accepted tokens alike (:attr:`error`
    says so), and ``logit_bias`` in the same call, for which llama-cpp-python (0.3.36) drops all processors.

    Examples
    --------
    ::

        llm = llama_cpp.Llama(model_path)
        vocabulary = structgen.Vocabulary.from_llama_cpp(llm)
        automaton = structgen.compile_json_schema(schema, vocabulary)
        processor = AutomatonLogitsProcessor(automaton, finish_by=200)
        answer = llm(prompt, max_tokens=200, logits_processor=llama_cpp.LogitsProcessorList([processor]))
    """

    def __init__(
        self,
        automaton: Automaton,
        *,
        start_after: str | bytes | int | Sequence[int] | None = None,
        finish_by: int | None = None,
        prompt_length: int | None = None,
    ) -> None:
        self._output = SingleOutput(automaton, start_after, finish_by, prompt_length, drafts=False)
        self._tokens = len(automaton.vocabulary)
        # What has ended may be followed by the end tokens alone.
        self._ends = automaton.mask(FINISHED)
        self._mask = np.zeros((1, len(self._ends)), dtype=np.int32)
        self._error: BaseException | None = None
        # The tokens that were shown last, since the error.
        self._shown: npt.NDArray[np.intc] | None = None

    @property
    def error(self) -> BaseException | None:
        """What ended the output too early, as of the last call; None if nothing has."""
        return self._error

    @property
    def dead(self) -> bool:
        """Whether the tokens leave the language, as of the last call; those that were allowed never do."""
        return self._output.dead

    def reset(self) -> None:
        """Forget the output: the next call begins a generation."""
        self._output.reset()
        self._error = self._shown = None

    def __call__(
        self, input_ids: npt.NDArray[np.intc], scores: npt.NDArray[np.single]
    ) -> npt.NDArray[np.single]:
        """Set the scores of all tokens that are not allowed to minus infinity.

        Parameters
        ----------
        input_ids : ndarray
            Prompt and output so far, shape ``(L,)``.
        scores : ndarray
            Logits, float32, shape ``(V,)``. Changed in place, as by llama-cpp-python's own processors.

        Returns
        -------
        ndarray
            `scores`.
        """
        mask = self._ends
        if self._shown is not None and not np.array_equal(input_ids[:-1], self._shown):
            # Another generation than the one that failed.
            self.reset()
        if self._error is None:
            try:
                self._check(scores)
                self._output.fill(np.asarray(input_ids), self._mask)
                mask = self._mask[0]
            except BaseException as error:  # an interrupt would be lost, too, and its token be drawn freely
                _logger.error("the output ends at once: %s", error)
                self._error = error
        self._shown = None if self._error is None else np.array(input_ids)
        allowed = np.unpackbits(mask.view(np.uint8), bitorder="little", count=len(scores)).view(np.bool_)
        np.maximum(scores, _LOWEST_ALLOWED_SCORE, out=scores)
        scores[~allowed] = -np.inf
        return scores

    def _check(self, scores: npt.NDArray[np.single]) -> None:
        if scores.ndim != 1 or len(scores) < self._tokens:
            raise ValueError(
                f"the scores have shape {scores.shape}, but the vocabulary has {self._tokens} tokens: "
                "it belongs to another model"
            )
