"""Which node each row is at, told from ``input_ids`` alone.

Generation loops reorder, drop, rewind and restart rows without saying so. Every row is therefore looked up by
its generated tokens; the usual case, the rows of the last call with one token more, is recognised by
comparing their bytes, or by one comparison on the device and one transfer to the host. A row alone keeps its
nodes by position, so that walking back from a rejected draft takes a comparison with the row of the last call
and no steps.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from structgen._errors import GuardDeadEnd
from structgen._outputs.constraint import Node, RowConstraint, Unconstrained

_Ids = npt.NDArray[np.int64]

# Tokens behind a row that are taken for its draft: more are looked up when they come.
MAX_DRAFT = 63


def tokens_behind(ids: Tensor) -> list[int]:
    """Return the tokens that follow the only row of `ids` in memory, at most `MAX_DRAFT`.

    Verifying a draft, ``generate`` hands out beginnings of the candidate sequence, which are views of one
    tensor: behind them lies the rest of the draft. This is a hint and no more, since elsewhere anything may
    lie there.
    """
    width, step = ids.stride()
    start = ids.shape[1]
    if width <= start or step != 1 or ids.shape[0] != 1:
        return []
    start += ids.storage_offset()
    # The stride of a single row can be anything.
    rest = min(width - ids.shape[1], ids.untyped_storage().nbytes() // ids.element_size() - start)
    if rest < 1:
        return []
    tokens: list[int] = ids.as_strided((min(rest, MAX_DRAFT),), (1,), start).tolist()
    return tokens


class RowHistory:
    """Maps ``input_ids`` to nodes.

    Parameters
    ----------
    constraints : sequence of RowConstraint or Unconstrained
        One for all rows, or one for each prompt in the batch.
    prompt_length : int or None
        Columns that belong to the prompt; None to learn it from the first call of each generation.
    """

    def __init__(
        self, constraints: Sequence[RowConstraint | Unconstrained], prompt_length: int | None
    ) -> None:
        self._constraints = constraints
        self._fixed_prompt_length = prompt_length
        self.reset()

    def reset(self) -> None:
        """Forget every row: the next call starts a new generation."""
        self._prompt_length = 0
        self._prompts: set[bytes] = set()
        self._batch = 0
        self._roots: list[Node] = []
        # The rows of the last call: on the host their bytes, on a device the tensor.
        self._rows: list[bytes] = []
        self._last: Tensor | None = None
        self._nodes: list[Node] = []
        # Of a row alone: its node after 0, 1, 2, ... generated tokens, up to the last call's.
        self._trail: list[Node] = []

    def update(self, ids: Tensor) -> list[Node]:
        """Return the node of every row of `ids` (int64, shape ``(B, L)``)."""
        if ids.device.type == "cpu":
            host: _Ids = ids.detach().numpy()
            rows = _bytes_of_rows(host)
            self._nodes = self._follow_on_host(host, rows) or self._look_up(host, bool(tokens_behind(ids)))
            self._rows, self._last = rows, None
        else:
            self._nodes = self._follow_on_device(ids) or self._look_up(
                ids.detach().cpu().numpy(), bool(tokens_behind(ids))
            )
            self._rows, self._last = [], ids.clone()
        return self._nodes

    def draft(self, ids: Tensor) -> list[Node]:
        """Return the nodes of the draft behind the only row of `ids`, as far as it stays in the language.

        To be asked after :meth:`update`, with the same `ids`.
        """
        tokens = tokens_behind(ids)
        constraint = self._constraints[0]
        if not tokens or isinstance(constraint, Unconstrained):
            return []
        try:
            return constraint.follow(self._nodes[0], tokens)
        except GuardDeadEnd:
            # Not yet, and not at all if the draft is rejected before.
            return []

    def slots(self, rows: int) -> list[tuple[RowConstraint | Unconstrained, slice]]:
        """Return each constraint with its rows; generation expands a prompt to rows next to each other."""
        each = rows // len(self._constraints)
        return [(c, slice(i * each, (i + 1) * each)) for i, c in enumerate(self._constraints)]

    def _follow_on_host(self, ids: _Ids, rows: list[bytes]) -> list[Node] | None:
        """Return the nodes if `rows`, the bytes of `ids`, are the last ones with a token more, else None."""
        last = self._rows
        if len(last) != len(rows) or not rows or len(rows[0]) != len(last[0]) + ids.itemsize:
            return None
        return self._children(ids[:, -1].tolist()) if all(map(bytes.startswith, rows, last)) else None

    def _follow_on_device(self, ids: Tensor) -> list[Node] | None:
        """Return the nodes if `ids` is the last call's with a column more, else None."""
        last = self._last
        if last is None or ids.shape != (last.shape[0], last.shape[1] + 1) or ids.device != last.device:
            return None
        same = (ids[:, :-1] == last).all().to(ids.dtype)
        *tokens, is_same = torch.cat((ids[:, -1], same.unsqueeze(0))).tolist()
        return self._children(tokens) if is_same else None

    def _children(self, tokens: list[int]) -> list[Node]:
        """Return the nodes behind those of the last call, by one token each."""
        nodes: list[Node] = []
        if len(self._constraints) == 1:
            nodes = list(map(self._constraints[0].child, self._nodes, tokens))
        else:
            for constraint, rows in self.slots(len(tokens)):
                nodes += map(constraint.child, self._nodes[rows], tokens[rows])
        if self._trail:
            self._trail += nodes
        return nodes

    def _look_up(self, ids: _Ids, is_draft: bool) -> list[Node]:
        return self._resume(ids, is_draft) or self._begin(ids)

    def _resume(self, ids: _Ids, is_draft: bool) -> list[Node] | None:
        """Return the nodes if `ids` may belong to the generation under way, else None.

        Inside one generation every row, without its last token, has been a row before.
        """
        start = self._prompt_length
        # The prompt alone begins a generation, but for the first draft of one: an assistant had it before.
        least = start if is_draft and self._trail else start + 1
        if not self._nodes or ids.shape[1] < least or not self._fits(len(ids)):
            return None
        if self._trail and len(ids) == 1:
            return self._rewind(ids[0])
        self._trail = []
        if any(row[:start].tobytes() not in self._prompts for row in ids):
            return None
        recent = self._recent()
        nodes: list[Node] = []
        each = len(ids) // len(self._constraints)
        for i, row in enumerate(ids):
            slot = i // each
            node = recent.get((slot, row[:-1].tobytes()))
            if node is None:
                node = self._walk(slot, row[start:-1].tolist())
            if node is None:
                return None
            nodes.append(self._constraints[slot].child(node, int(row[-1])))
        return nodes

    def _rewind(self, row: _Ids) -> list[Node] | None:
        """Return the node of a row alone: from where it leaves the last call's row, it is walked anew."""
        last = np.frombuffer(self._rows[0], row.dtype) if self._last is None else self._last[0].cpu().numpy()
        length = min(len(last), len(row))
        differences = np.flatnonzero(last[:length] != row[:length])
        kept = int(differences[0]) if len(differences) else length
        if kept < self._prompt_length:
            return None
        trail = self._trail[: kept - self._prompt_length + 1]
        *inner, newest = row[kept:].tolist() or [None]
        for token in inner:
            node = self._seen(0, trail[-1], token)
            if node is None:
                return None
            trail.append(node)
        if newest is not None:
            trail.append(self._constraints[0].child(trail[-1], newest))
        self._trail = trail
        return trail[-1:]

    def _fits(self, rows: int) -> bool:
        """Whether the generation under way can have `rows` rows; only one constraint for all allows drops."""
        return rows == self._batch or len(self._constraints) == 1

    def _recent(self) -> dict[tuple[int, bytes], Node]:
        """Return the nodes of the last call by slot and the bytes of the row."""
        rows = self._rows if self._last is None else _bytes_of_rows(self._last.cpu().numpy())
        each = len(self._nodes) // len(self._constraints)
        return {(i // each, row): self._nodes[i] for i, row in enumerate(rows)}

    def _walk(self, slot: int, tokens: Sequence[int]) -> Node | None:
        """Follow `tokens` from the root; None if they were not seen and the prompt length is a guess."""
        node: Node | None = self._roots[slot]
        for token in tokens:
            assert node is not None
            node = self._seen(slot, node, token)
            if node is None:
                return None
        return node

    def _seen(self, slot: int, node: Node, token: int) -> Node | None:
        """Return the node after `token`; None if it was not seen and the prompt length is a guess."""
        if self._fixed_prompt_length is None:
            return node.children.get(token)
        return self._constraints[slot].child(node, token)

    def _begin(self, ids: _Ids) -> list[Node]:
        """Start a new generation: everything so far is prompt, unless the prompt's length was given."""
        if len(ids) % len(self._constraints):
            raise ValueError(
                f"{len(self._constraints)} automata for {len(ids)} rows: "
                "pass one for each prompt of the batch, or one for all"
            )
        length = self._fixed_prompt_length
        if length is None:
            length = ids.shape[1]
        elif ids.shape[1] < length:
            raise ValueError(f"prompt_length is {length}, but the rows have {ids.shape[1]} tokens")
        self._prompt_length = length
        self._prompts = {row[:length].tobytes() for row in ids}
        self._batch = len(ids)
        # Slots with the same constraint share a root: a node does not depend on the prompt.
        roots = {constraint: constraint.root() for constraint in set(self._constraints)}
        self._roots = [roots[constraint] for constraint in self._constraints]
        each = len(ids) // len(self._constraints)
        nodes = []
        for i, row in enumerate(ids):
            trail = [self._roots[i // each]]
            for token in row[length:].tolist():
                trail.append(self._constraints[i // each].child(trail[-1], token))
            nodes.append(trail[-1])
        self._trail = trail if len(ids) == 1 else []
        return nodes


def _bytes_of_rows(ids: _Ids) -> list[bytes]:
    # Two calls for the whole batch: a forward pass leaves little of NumPy's code in the caches.
    data, width = ids.tobytes(), ids.shape[1] * ids.itemsize
    return [data[i * width : (i + 1) * width] for i in range(len(ids))]
