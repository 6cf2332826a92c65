"""The constraint of one row: free text, the automaton after it, and the token budget over both."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from structgen._core import DEAD, FINISHED
from structgen._errors import GuardDeadEnd
from structgen._outputs.interfaces import Automaton, MaskArray, States
from structgen._outputs.marker import NEVER, Marker, pack

# UTF-8 never uses these bytes, so a vocabulary may lack them and still spell every text.
_UNUSED_IN_UTF8 = frozenset((0xC0, 0xC1, *range(0xF5, 0x100)))

# `matched` of a node whose constraint has begun.
_BEGUN = -1


class Node:
    """What is known after one generated prefix. Nodes form a tree, so equal prefixes share one."""

    __slots__ = ("bound", "children", "depth", "matched", "plan", "state")

    def __init__(self, state: int, matched: int, depth: int, bound: int, plan: Sequence[int]) -> None:
        self.state = state
        self.matched = matched
        """Progress through the free text's end marker, or -1 when the constraint has begun."""
        self.depth = depth
        """Tokens generated so far."""
        self.bound = bound
        """An upper bound on the bytes of a shortest completion; used with a budget only."""
        self.plan = plan
        """Tokens that complete the output where bytes would not fit into the budget; else empty."""
        self.children: dict[int, Node] = {}

    @property
    def dead(self) -> bool:
        return self.matched == _BEGUN and self.state == DEAD

    @property
    def ended(self) -> bool:
        return self.matched == _BEGUN and self.state in (DEAD, FINISHED)


class Unconstrained:
    """The constraint of rows that have none: it only keeps track of which prefixes were seen."""

    def root(self) -> Node:
        return Node(0, 0, 0, 0, ())

    def child(self, node: Node, token: int) -> Node:
        if token not in node.children:
            node.children[token] = Node(0, 0, node.depth + 1, 0, ())
        return node.children[token]

    def fill(self, nodes: Sequence[Node], out: MaskArray) -> None:
        out[...] = -1


class RowConstraint:
    """Makes nodes and fills masks for the rows of one automaton.

    Parameters
    ----------
    automaton : Automaton
        The constraint.
    marker : Marker or None
        The end of the free text before the constraint; None when there is none.
    budget : int or None
        Tokens within which the output has to end, the end token included.
    end_dead_rows : bool
        Whether dead rows are offered the end tokens; else nothing.
    mark_dead_ends : bool
        Whether a row dies where guards leave it no token; else the error passes.

    Raises
    ------
    ValueError
        The budget does not fit, or the vocabulary cannot spell every text byte by byte.
    """

    def __init__(
        self,
        automaton: Automaton,
        marker: Marker | None,
        budget: int | None,
        end_dead_rows: bool,
        mark_dead_ends: bool = False,
    ) -> None:
        self._automaton = automaton
        self._states: States = automaton
        self._marker = marker
        self._budget = budget
        self._end_dead_rows = end_dead_rows
        self._mark_dead_ends = mark_dead_ends
        self._tokens: Sequence[bytes] = automaton.vocabulary.tokens
        self._free_masks: dict[int, tuple[int, MaskArray]] = {}
        self._growth: int | None = getattr(automaton, "max_growth", None)
        self._plan: Sequence[int] = ()
        if budget is not None:
            if missing := missing_bytes(automaton):
                raise ValueError(
                    f"finish_by needs a token for every byte, and this vocabulary has none for {missing!r}"
                )
            self._plan = self._first_plan(budget)

    def root(self) -> Node:
        """Open a new session and return the node of the empty prefix."""
        self._states = self._automaton.session()
        free = self._marker is not None
        return Node(self._states.start, 0 if free else _BEGUN, 0, NEVER, self._plan)

    def child(self, node: Node, token: int) -> Node:
        """Return the node after one more token, whatever the token is."""
        if token not in node.children:
            node.children[token] = self._step(node, token)
        return node.children[token]

    def follow(self, node: Node, tokens: Sequence[int]) -> list[Node]:
        """Return the nodes after each token of a draft, up to the first that is dead or has ended."""
        nodes: list[Node] = []
        states: Iterator[int] | None = None
        for i, token in enumerate(tokens):
            if node.ended:
                break
            if states is None and node.matched == _BEGUN and token not in node.children:
                # The automaton's states of all that is left, in one call.
                known = itertools.takewhile(lambda one: 0 <= one < len(self._tokens), tokens[i:])
                states = iter(self._states.step_many(node.state, list(known)))
            state = None if states is None else next(states, DEAD)
            if token not in node.children:
                node.children[token] = self._step(node, token, state)
            node = node.children[token]
            nodes.append(node)
        return nodes

    def fill(self, nodes: Sequence[Node], out: MaskArray) -> None:
        """Write the masks of `nodes`, one per row of `out`."""
        try:
            self._fill(nodes, out)
        except GuardDeadEnd:
            if not self._mark_dead_ends:
                raise
            for row, node in enumerate(nodes):
                try:
                    self._fill([node], out[row : row + 1])
                except GuardDeadEnd:
                    self._kill(node)
                    self._fill([node], out[row : row + 1])

    def _fill(self, nodes: Sequence[Node], out: MaskArray) -> None:
        dead_as = FINISHED if self._end_dead_rows else DEAD
        special = []
        states = []
        for row, node in enumerate(nodes):
            if node.ended:
                states.append(FINISHED if node.state == FINISHED else dead_as)
            elif node.matched != _BEGUN or self._is_tight(node):
                special.append(row)
                states.append(dead_as)
            else:
                states.append(node.state)
        if len(special) < len(nodes):
            self._states.fill_masks(states, out)
        for row in special:
            if nodes[row].matched == _BEGUN:
                self._fill_tight(nodes[row], out[row])
            else:
                self._fill_free(nodes[row], out[row])

    @staticmethod
    def _kill(node: Node) -> None:
        node.state, node.matched = DEAD, _BEGUN

    # -- stepping --------------------------------------------------------------------------

    def _step(self, node: Node, token: int, state: int | None = None) -> Node:
        """Make the node after `token`; `state` is that of the automaton there, where it is known."""
        state, matched = self._next_state(node, token) if state is None else (state, _BEGUN)
        plan: Sequence[int] = node.plan[1:] if node.plan and node.plan[0] == token else ()
        bound = NEVER
        if self._growth is not None and node.matched == _BEGUN and node.bound != NEVER:
            bound = node.bound + self._growth
        child = Node(state, matched, node.depth + 1, bound, plan)
        if self._budget is None or child.ended or plan:
            return child
        try:
            if self._overdrawn(child):
                self._kill(child)
        except GuardDeadEnd:
            if not self._mark_dead_ends:
                raise
            self._kill(child)
        return child

    def _next_state(self, node: Node, token: int) -> tuple[int, int]:
        """Return the state and the marker progress after `token`."""
        if node.ended:
            return node.state, _BEGUN
        if not 0 <= token < len(self._tokens):
            return DEAD, _BEGUN
        if node.matched == _BEGUN:
            return self._states.step(node.state, token), _BEGUN
        assert self._marker is not None
        if self._marker.needs(node.matched)[token] == NEVER:
            return DEAD, _BEGUN
        matched, rest = self._marker.advance(node.matched, token)
        if rest is None:
            return node.state, matched
        return self._states.advance_bytes(self._states.start, rest), _BEGUN

    # -- free text -------------------------------------------------------------------------

    def _fill_free(self, node: Node, out: MaskArray) -> None:
        assert self._marker is not None
        needs = self._marker.needs(node.matched)
        if node.matched not in self._free_masks:
            allowed = needs < NEVER
            self._free_masks[node.matched] = int(needs[allowed].max(initial=0)), pack(allowed, out.shape[-1])
        most, mask = self._free_masks[node.matched]
        if self._budget is None or most <= self._budget - node.depth - 2:
            out[:] = mask
        else:
            out[:] = pack(needs <= self._budget - node.depth - 2, out.shape[-1])
            self._add_plan(node, out)

    # -- the token budget ------------------------------------------------------------------

    def _shortest(self, node: Node) -> int:
        if node.matched == _BEGUN:
            return len(self._states.shortest(node.state))
        assert self._marker is not None
        return self._marker.shortest(node.matched)

    def _overdrawn(self, node: Node) -> bool:
        """Whether a live node can no longer end within the budget, one byte a token."""
        assert self._budget is not None
        room = self._budget - node.depth - 1
        if node.bound > room:
            node.bound = self._shortest(node)
        return node.bound > room

    def _is_tight(self, node: Node) -> bool:
        """Whether some token that the automaton allows might lead to a node that overdraws the budget."""
        if self._budget is None:
            return False
        if self._growth is None:
            return True
        room = self._budget - node.depth - 2 - self._growth
        if node.bound > room:
            node.bound = self._shortest(node)
        return node.bound > room

    def _fill_tight(self, node: Node, out: MaskArray) -> None:
        assert self._budget is not None
        left = self._budget - node.depth
        if left >= 2:
            self._states.fill_mask_within(node.state, out, left - 2)
        elif self._states.accepts(node.state):
            self._states.fill_mask(FINISHED, out)
        else:
            out[:] = 0
        self._add_plan(node, out)

    def _add_plan(self, node: Node, out: MaskArray) -> None:
        if node.plan:
            word, bit = divmod(node.plan[0], 32)
            out[word] |= np.uint32(1 << bit).astype(np.int32)

    def _first_plan(self, budget: int) -> Sequence[int]:
        """Return a plan for the whole output where it does not fit byte by byte, else an empty one."""
        prefix: tuple[int, ...] = ()
        text = self._automaton.shortest(self._automaton.start)
        if self._marker is not None:
            prefix, marker_text = self._marker.plan()
            text = marker_text + text
        if len(prefix) + len(text) + 1 <= budget:
            return ()
        plan = (*prefix, *fewest_tokens(text, self._automaton))
        if len(plan) + 1 > budget:
            raise ValueError(
                f"finish_by={budget} is too small: "
                f"the shortest output takes {len(plan)} tokens and an end token"
            )
        return plan


def missing_bytes(automaton: Automaton) -> bytes:
    """Return the bytes of UTF-8 text that no ordinary token spells alone."""
    vocabulary = automaton.vocabulary
    excluded = frozenset(vocabulary.special_token_ids) | frozenset(vocabulary.eos_token_ids)
    single = {token[0] for i, token in enumerate(vocabulary.tokens) if len(token) == 1 and i not in excluded}
    return bytes(sorted(set(range(256)) - single - _UNUSED_IN_UTF8))


def fewest_tokens(text: bytes, automaton: Automaton) -> list[int]:
    """Split `text` into the fewest ordinary tokens; every byte of it must be a token."""
    vocabulary = automaton.vocabulary
    excluded = frozenset(vocabulary.special_token_ids) | frozenset(vocabulary.eos_token_ids)
    ids = {token: i for i, token in enumerate(vocabulary.tokens) if token and i not in excluded}
    longest = max(map(len, ids))
    # best[i]: the fewest tokens for text[i:], and the first of them.
    best: list[tuple[int, int]] = [(0, -1)] * (len(text) + 1)
    for start in range(len(text) - 1, -1, -1):
        ends = range(start + 1, min(start + longest, len(text)) + 1)
        best[start] = min((best[end][0] + 1, ids[text[start:end]]) for end in ends if text[start:end] in ids)
    plan: list[int] = []
    position = 0
    while position < len(text):
        token = best[position][1]
        plan.append(token)
        position += len(vocabulary.tokens[token])
    return plan
