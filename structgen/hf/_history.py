"""Which node each row is at, told from ``input_ids`` alone.

Generation loops reorder, drop, rewind and restart rows without saying so. Every row is therefore looked up by
its generated tokens; the usual case, the rows of the last call with one token more, is recognised by
comparing their bytes, or by one comparison on the device and one transfer to the host.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from structgen.hf._constraint import Node, RowConstraint, Unconstrained

_Ids = npt.NDArray[np.int64]


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

    def update(self, ids: Tensor) -> list[Node]:
        """Return the node of every row of `ids` (int64, shape ``(B, L)``)."""
        if ids.device.type == "cpu":
            host: _Ids = ids.detach().numpy()
            rows = _bytes_of_rows(host)
            self._nodes = self._follow_on_host(host, rows) or self._look_up(host)
            self._rows, self._last = rows, None
        else:
            self._nodes = self._follow_on_device(ids) or self._look_up(ids.detach().cpu().numpy())
            self._rows, self._last = [], ids.clone()
        return self._nodes

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
        for constraint, rows in self.slots(len(tokens)):
            child = constraint.child
            nodes += [child(node, token) for node, token in zip(self._nodes[rows], tokens[rows], strict=True)]
        return nodes

    def _look_up(self, ids: _Ids) -> list[Node]:
        return self._resume(ids) or self._begin(ids)

    def _resume(self, ids: _Ids) -> list[Node] | None:
        """Return the nodes if `ids` may belong to the generation under way, else None.

        Inside one generation every row, without its last token, has been a row before.
        """
        start = self._prompt_length
        if not self._nodes or ids.shape[1] <= start or not self._fits(len(ids)):
            return None
        if any(row[:start].tobytes() not in self._prompts for row in ids):
            return None
        recent = self._recent()
        nodes: list[Node] = []
        each = len(ids) // len(self._constraints)
        for i, row in enumerate(ids):
            slot = i // each
            node = recent.get((slot, row[:-1].tobytes())) or self._walk(slot, row[start:-1].tolist())
            if node is None:
                return None
            nodes.append(self._constraints[slot].child(node, int(row[-1])))
        return nodes

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
            if self._fixed_prompt_length is None:
                node = node.children.get(token)
                if node is None:
                    return None
            else:
                node = self._constraints[slot].child(node, token)
        return node

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
            node = self._roots[i // each]
            for token in row[length:].tolist():
                node = self._constraints[i // each].child(node, token)
            nodes.append(node)
        return nodes


def _bytes_of_rows(ids: _Ids) -> list[bytes]:
    # Two calls for the whole batch: a forward pass leaves little of NumPy's code in the caches.
    data, width = ids.tobytes(), ids.shape[1] * ids.itemsize
    return [data[i * width : (i + 1) * width] for i in range(len(ids))]
