"""MLX through mlx-lm: constrained ``mlx_lm.generate`` (extra ``structgen[mlx]``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from structgen._core import FINISHED
from structgen._outputs.interfaces import Automaton
from structgen._outputs.single import SingleOutput

try:
    import mlx.core as mx
except ImportError as _error:
    raise ImportError(
        f"structgen.integrations.mlx needs MLX ({_error}): pip install 'structgen[mlx]', and on Linux "
        "MLX itself, 'mlx[cpu]' or 'mlx[cuda12]'"
    ) from _error

__all__ = ["AutomatonLogitsProcessor"]

# As of structgen.hf: what other processors have removed comes back here, if nothing else is allowed.
_LOWEST_ALLOWED_SCORE = -1e6


class AutomatonLogitsProcessor:
    """Keep what ``mlx_lm.generate`` and its kin write inside the language of an automaton.

    Pass it in ``logits_processors``. Where the output stands is told from the tokens that it is shown, so one
    object serves any number of generations, one after the other; batches need one for each sequence.

    Parameters
    ----------
    automaton : TokenAutomaton
        Over ``Vocabulary.from_tokenizer(tokenizer, model.args.vocab_size)``.
    start_after : str, bytes, int or sequence of int, optional
        The output begins with free text up to and including this marker; see
        :class:`structgen.hf.AutomatonLogitsProcessor`.
    finish_by : int, optional
        Let the output end, with its end token, within this many tokens: the ``max_tokens`` of the generation.
    prompt_length : int, optional
        Number of leading tokens that are the prompt, to go on with an unfinished output. By default a call
        begins a generation, and shows its prompt, unless it goes on with the last or with a draft of it.

    Raises
    ------
    TypeError
        `automaton` is none.
    ValueError
        ``start_after`` is empty or holds an end token, or ``finish_by`` is less than the shortest output
        takes.

    Notes
    -----
    Works with a draft model (``speculative_generate_step``): the same object masks draft and model. A
    generation is told from the one before by its prompt; if the next prompt is the last prompt plus a
    beginning of its output, call :meth:`reset` in between.

    The tokens are needed on the host, so a step waits for the one before; mlx-lm would otherwise queue it.

    Examples
    --------
    ::

        model, tokenizer = mlx_lm.load(path)
        vocabulary = structgen.Vocabulary.from_tokenizer(tokenizer, model.args.vocab_size)
        automaton = structgen.compile_json_schema(schema, vocabulary)
        processor = AutomatonLogitsProcessor(automaton, finish_by=200)
        text = mlx_lm.generate(model, tokenizer, prompt, max_tokens=200, logits_processors=[processor])
    """

    def __init__(
        self,
        automaton: Automaton,
        *,
        start_after: str | bytes | int | Sequence[int] | None = None,
        finish_by: int | None = None,
        prompt_length: int | None = None,
    ) -> None:
        self._output = SingleOutput(automaton, start_after, finish_by, prompt_length, drafts=True)
        self._tokens = len(automaton.vocabulary)
        self._mask = np.zeros((1, automaton.mask(FINISHED).shape[-1]), dtype=np.int32)

    @property
    def dead(self) -> bool:
        """Whether the tokens leave the language, as of the last call; those that were allowed never do."""
        return self._output.dead

    def reset(self) -> None:
        """Forget the output: the next call begins a generation."""
        self._output.reset()

    def __call__(self, tokens: Any, logits: Any) -> Any:
        """Return the logits with minus infinity in place of those of tokens that are not allowed.

        Parameters
        ----------
        tokens : mlx.core.array
            Prompt and output so far, integers, shape ``(L,)``.
        logits : mlx.core.array
            Floating point, shape ``(1, V)``.

        Returns
        -------
        mlx.core.array
            Shape and dtype of `logits`.

        Raises
        ------
        ValueError
            There are several rows, or the logits are narrower than the vocabulary; or the tokens are those
            of another generation than the one under way, and the message says what to do.
        GuardDeadEnd
            Guards leave no token.
        """
        width = logits.shape[-1]
        if logits.size != width:
            raise ValueError(
                f"the logits have shape {tuple(logits.shape)}: pass one processor for each sequence"
            )
        if width < self._tokens:
            raise ValueError(
                f"the logits are {width} wide, but the vocabulary has {self._tokens} tokens: "
                "it belongs to another model"
            )
        self._output.fill(np.array(tokens).astype(np.int64, copy=False), self._mask)
        # Of the packed words, a copy: the buffer is written again while this may still wait in MLX's queue.
        words = mx.array(self._mask[0].view(np.uint32))
        bits = mx.right_shift(words[:, None], mx.arange(32, dtype=mx.uint32)).reshape(-1) & 1
        missing = width - bits.size
        allowed = mx.pad(bits, (0, missing)) if missing > 0 else bits[:width]
        floor = max(_LOWEST_ALLOWED_SCORE, float(mx.finfo(logits.dtype).min))
        return mx.where(allowed.astype(mx.bool_), mx.maximum(logits, floor), -mx.inf)
