"""SGLang: the grammar backend ``structgen`` (extra ``structgen[sglang]``).

SGLang calls :func:`register` in every process by the entry point ``sglang.srt.plugins``;
``--grammar-backend structgen`` chooses the backend.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from structgen._core import DEAD, FINISHED, TokenAutomaton
from structgen._errors import GuardDeadEnd, StructgenError
from structgen._vocabulary import Vocabulary
from structgen.integrations._constraints import Constraint, new_cache
from structgen.kernels._torch import unpack

try:
    from sglang.srt.constrained.base_grammar_backend import (
        BaseGrammarBackend,
        BaseGrammarObject,
        InvalidGrammarObject,
        register_grammar_backend,
    )
except ImportError as _error:
    raise ImportError(
        f"structgen.integrations.sglang needs SGLang ({_error}): pip install 'structgen[sglang]'"
    ) from _error

__all__ = ["StructgenGrammar", "StructgenGrammarBackend", "register"]

_LARK = "// structgen: lark"


class StructgenGrammar(BaseGrammarObject):  # type: ignore[misc]
    """Where the output of one request stands: the states after each of its tokens.

    Parameters
    ----------
    automaton : TokenAutomaton
        Shared by all requests with this constraint.
    """

    def __init__(self, automaton: TokenAutomaton) -> None:
        super().__init__()
        self._automaton = automaton
        self._session = automaton.session()
        self._states = [self._session.start]

    def accept_token(self, token: int) -> None:
        """Take one token.

        Raises
        ------
        ValueError
            The output cannot go on like this. SGLang aborts the request.
        """
        state = self._states[-1]
        after = FINISHED if state == FINISHED else self._session.step(state, token)
        if after == DEAD:
            raise ValueError(f"token {token} is not allowed after {len(self._states) - 1} tokens of output")
        self._states.append(after)

    def rollback(self, k: int) -> None:
        """Forget the last `k` tokens."""
        if not 0 <= k < len(self._states):
            raise ValueError(f"cannot roll back {k} of {len(self._states) - 1} tokens")
        del self._states[len(self._states) - k :]

    def is_terminated(self) -> bool:
        """Tell whether the end token has come."""
        return self._states[-1] == FINISHED

    def allocate_vocab_mask(self, vocab_size: int, batch_size: int, device: Any) -> Tensor:
        """Return masks that allow everything, int32, in host memory."""
        words = (self._automaton.vocabulary.logits_size + 31) // 32
        return torch.full((batch_size, words), -1, dtype=torch.int32, pin_memory=torch.cuda.is_available())

    def fill_vocab_mask(self, vocab_mask: Tensor, idx: int) -> None:
        """Write the mask of the next token into row `idx`."""
        row = vocab_mask[idx].numpy()
        try:
            self._session.fill_mask(self._states[-1], row)
        except GuardDeadEnd:
            # Nothing conforms any more: the end token, which accept_token then refuses, aborts the request.
            self._session.fill_mask(FINISHED, row)

    @staticmethod
    def reset_vocab_mask(vocab_mask: Tensor) -> None:
        """Allow everything again."""
        vocab_mask.fill_(-1)

    @staticmethod
    def move_vocab_mask(vocab_mask: Tensor, device: Any) -> Tensor:
        """Return the masks on `device`."""
        return vocab_mask.to(device, non_blocking=True)

    @staticmethod
    def apply_vocab_mask(logits: Tensor, vocab_mask: Tensor) -> None:
        """Set what is not allowed to minus infinity, in place."""
        allowed = unpack(vocab_mask).to(logits.device)
        width = min(logits.shape[-1], allowed.shape[-1])
        logits[..., :width].masked_fill_(~allowed[..., :width], -torch.inf)

    def copy(self) -> StructgenGrammar:
        """Return the same constraint at its start."""
        return StructgenGrammar(self._automaton)

    def try_jump_forward(self, tokenizer: Any) -> None:
        """Tell SGLang to sample every token."""


class StructgenGrammarBackend(BaseGrammarBackend):  # type: ignore[misc]
    """Compiles what requests ask for, in the threads of SGLang's own executor.

    Parameters
    ----------
    vocabulary : Vocabulary
        The tokens of the model; its ``logits_size`` is the width of the logits.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        super().__init__()
        self._cache = new_cache(vocabulary)

    def _compiled(self, constraint: Constraint) -> Any:
        try:
            return StructgenGrammar(constraint.compiled(self._cache))
        except (StructgenError, ValueError) as error:
            return InvalidGrammarObject(str(error))

    def dispatch_json(self, key_string: str) -> Any:
        """Compile a JSON Schema; ``$$ANY$$`` stands for any object."""
        schema: Any = {"type": "object"} if key_string == "$$ANY$$" else key_string
        return self._compiled(Constraint("json_schema", schema))

    def dispatch_regex(self, key_string: str) -> Any:
        """Compile a regular expression in Python's syntax."""
        return self._compiled(Constraint("regex", key_string))

    def dispatch_ebnf(self, key_string: str) -> Any:
        """Compile a GBNF grammar, or a Lark grammar whose first line is ``// structgen: lark``."""
        is_lark = key_string.lstrip().startswith(_LARK + "\n")
        return self._compiled(Constraint("lark" if is_lark else "gbnf", key_string))

    def dispatch_structural_tag(self, key_string: str) -> Any:
        """Refuse: such a request has a Lark grammar with ``%text`` and ``%json`` instead."""
        return InvalidGrammarObject(
            "structgen has no structural tags: write a Lark grammar with %text and %json (as ebnf, with "
            f"{_LARK!r} as its first line)"
        )


def create(
    server_args: Any, tokenizer: Any, vocab_size: int, eos_token_ids: set[int] | None = None
) -> StructgenGrammarBackend:
    """Return the backend for a model, as SGLang asks for it.

    Raises
    ------
    VocabularyError
        The bytes of the tokens cannot be recovered.
    """
    ends = sorted({*(eos_token_ids or ()), tokenizer.eos_token_id} - {None})
    return StructgenGrammarBackend(Vocabulary.from_tokenizer(tokenizer, vocab_size, eos_token_ids=ends))


def register() -> None:
    """Make ``structgen`` a grammar backend of SGLang in this process, and a choice of its command line."""
    register_grammar_backend("structgen", create)
    from sglang.srt import server_args

    choices = getattr(server_args, "GRAMMAR_BACKEND_CHOICES", None)
    if choices is not None and "structgen" not in choices:
        choices.append("structgen")
