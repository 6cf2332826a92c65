"""One request of a server: its automaton once that is compiled, and where its output stands."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import Future

import torch
from torch import Tensor

from structgen._core import TokenAutomaton
from structgen._errors import StructgenError
from structgen._outputs.constraint import Node, RowConstraint
from structgen._outputs.interfaces import MaskArray
from structgen._outputs.marker import make_marker
from structgen._vocabulary import Vocabulary
from structgen.hf._apply import MaskBuffer, masked_scores
from structgen.integrations._constraints import Constraint

_logger = logging.getLogger(__name__)


class Row:
    """The output of one request, token by token.

    Its position is told from its tokens: those given that begin like the tokens before are not read
    again, and from where they differ (a rejected draft, an output computed anew) the states are made again.

    Parameters
    ----------
    constraint : Constraint
        What was asked for.
    future : Future
        Its automaton.
    vocabulary : Vocabulary
        The vocabulary of all automata of the batch.
    """

    def __init__(
        self, constraint: Constraint, future: Future[TokenAutomaton], vocabulary: Vocabulary
    ) -> None:
        self._constraint = constraint
        self._future = future
        self._vocabulary = vocabulary
        self._rules: RowConstraint | None = None
        self._failed = False
        self._tokens: list[int] = []
        self._nodes: list[Node] = []

    def __len__(self) -> int:
        """Return the number of tokens that are known."""
        return len(self._tokens)

    def extend(self, at: int, tokens: Sequence[int]) -> None:
        """Say that the output's tokens from number `at` on are `tokens`; those before stay as they are."""
        while tokens and at < len(self._tokens) and self._tokens[at] == tokens[0]:
            at, tokens = at + 1, tokens[1:]
        if tokens:
            del self._tokens[at:], self._nodes[at + 1 :]
            self._tokens.extend(tokens)

    def follow(self, tokens: Sequence[int]) -> None:
        """Say that the whole output so far is `tokens`."""
        known = len(self._tokens)
        if tokens[:known] == self._tokens:
            self.extend(known, tokens[known:])
        else:
            self.extend(0, tokens)

    def fail(self, reason: str) -> None:
        """Let the output end here: what was asked for cannot be done."""
        self._failed = True
        _logger.error("a request ends at once: %s", reason)

    def fill(self, length: int, out: MaskArray) -> None:
        """Write the mask of what may follow the first `length` tokens; `out` has shape ``(1, W)``.

        Waits for the compilation. Where that failed, only the end tokens are allowed: a server cannot be told
        about one request from here, and an unconstrained output would look as if it conformed.
        """
        rules = self._started()
        if rules is None:
            out[...] = 0
            for token in self._vocabulary.eos_token_ids:
                out.view("uint32")[0, token // 32] |= 1 << token % 32
            return
        while len(self._nodes) <= length:
            node = self._nodes[-1]
            self._nodes.append(rules.child(node, self._tokens[len(self._nodes) - 1]))
            # What was dropped by `extend` must not live on in the tree.
            node.children.clear()
        rules.fill(self._nodes[length : length + 1], out)

    def _started(self) -> RowConstraint | None:
        if self._rules is None and not self._failed:
            wanted = self._constraint
            try:
                automaton = self._future.result()
                marker = None if wanted.start_after is None else make_marker(wanted.start_after, automaton)
                self._rules = RowConstraint(automaton, marker, wanted.finish_by, True, True)
                self._nodes = [self._rules.root()]
            except (StructgenError, ValueError, TypeError) as error:
                self.fail(f"its {wanted.kind} cannot be compiled: {error}")
        return self._rules


class BatchMasks:
    """Fills the masks of some rows of a batch and applies them.

    Parameters
    ----------
    vocabulary : Vocabulary
        That of the rows' automata.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._buffer = MaskBuffer((vocabulary.logits_size + 31) // 32)

    def apply(self, logits: Tensor, rows: Iterable[tuple[int, Row, int]], most: int) -> None:
        """Mask `logits`, shape ``(B, V)``, in place.

        Parameters
        ----------
        logits : Tensor
            Floating point.
        rows : iterable of (int, Row, int)
            The row of `logits`, the request it belongs to, and the number of output tokens before it. Each is
            filled before the next is asked for.
        most : int
            At most so many rows.
        """
        masks = self._buffer.rows(most, logits.device)
        indices: list[int] = []
        for index, row, length in rows:
            row.fill(length, masks[len(indices) : len(indices) + 1])
            indices.append(index)
        if not indices:
            return
        packed = self._buffer.tensor(len(indices))
        if indices == list(range(len(logits))):
            logits.copy_(masked_scores(logits, packed))
        else:
            at = torch.tensor(indices, device=logits.device)
            logits[at] = masked_scores(logits[at], packed)
