"""A trie of prefixes with the probability that is not yet proven invalid: what CARS and ASAp share."""

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from structgen.samplers._context import Context
from structgen.samplers._draws import awrs_draw, fit, mask_draws, unpack
from structgen.samplers._forced import ForcedText
from structgen.samplers._language_models import LanguageModel
from structgen.samplers._potentials import Potential, complete_score, prefix_score
from structgen.samplers._race import uniform
from structgen.samplers._run import Lanes, Run, automaton_part

_NEVER = -math.inf


class Node:
    """A prefix that was reached."""

    __slots__ = ("children", "context", "known", "log_p", "log_rest", "log_valid")

    def __init__(self, context: Context, log_p: float, log_valid: float = 0.0) -> None:
        self.context = context
        self.log_p = log_p
        """The model's log-probability of the last token."""
        self.log_valid = log_valid
        """Log of the model's probability, from here, of what is not proven invalid."""
        self.log_rest = 0.0
        """The part of it that lies outside the children."""
        self.known = False
        """Whether the tokens that may not follow are taken account of."""
        self.children: dict[int, Node] = {}

    def update(self) -> None:
        terms = [self.log_rest, *(child.log_p + child.log_valid for child in self.children.values())]
        # A sum of what is left, not a difference from what is lost: that keeps small probabilities exact.
        self.log_valid = min(0.0, float(torch.tensor(terms, dtype=torch.float64).logsumexp(0)))


@dataclasses.dataclass(slots=True)
class Walk:
    """One sequence drawn from the trie."""

    node: Node
    context: Context
    accepted: bool = False
    dead: bool = False
    log_weight: float = 0.0
    """Log of the model's probability of the sequence over the probability that it was drawn with."""
    log_probability: float = 0.0


class Trie:
    """Prefixes, and what the constraint was found to exclude.

    Parameters
    ----------
    potential : Potential
        The constraint. An automaton in it excludes all tokens of its masks at once; what else there is, the
        one token that it was asked about.
    root : Context
        The empty text.
    max_tokens : int
        Longer sequences are excluded.
    forced : ForcedText, optional
        Tells tokens whose draw needs no more of the model than their own probability.
    """

    def __init__(
        self, potential: Potential, root: Context, max_tokens: int, forced: ForcedText | None = None
    ) -> None:
        self._forced = forced
        self._potential = potential
        self._automaton = automaton_part(potential)
        self._masks_tell_all = self._automaton is potential
        self._max_tokens = max_tokens
        self._ends = frozenset(root.vocabulary.eos_token_ids)
        self.root = Node(root, 0.0)
        self.calls = 0
        self.drawn = 0

    def round(self, model: LanguageModel, count: int, run: Run, *, masked: bool) -> list[Walk]:
        """Draw sequences, all of them by what was known before, and learn from them.

        Parameters
        ----------
        model : LanguageModel
            The model.
        count : int
            Number of sequences: the rows of one batch.
        run : Run
            Random numbers and clock.
        masked : bool
            Draw tokens that the constraint allows only (ASAp). Else, where a prefix is new, draw as the model
            does, and stop at a token that the constraint does not allow (CARS).

        Returns
        -------
        list of Walk
        """
        walks = [Walk(self.root, self.root.context) for _ in range(count)]
        touched: list[Node] = []
        lanes = Lanes(model, count, 1, self._max_tokens, run)
        pieces: dict[int, list[int]] = {}
        live = list(range(count))
        if self._forced is not None:
            # All begin at the root.
            piece = self._piece(self.root, run)
            if piece:
                pieces = dict.fromkeys(live, piece)
                first = float(lanes.logprobs(live)[0, piece[0]])
                logs = {i: [first, *more] for i, more in lanes.extend(pieces).items()}
                touched += self._take(walks, pieces, logs, run, masked)
                live = [i for i in live if not walks[i].dead]
        while live:
            logprobs = lanes.logprobs(live)
            nodes = list(dict.fromkeys(walks[i].node for i in live))
            self._step([walks[i] for i in live], nodes, logprobs, run, masked)
            touched += nodes
            live = [i for i in live if not walks[i].accepted and not walks[i].dead]
            if not live:
                break
            tokens = {i: walks[i].context.token for i in live}
            if self._forced is None:
                lanes.advance(tokens)
                continue
            pieces = {i: self._piece(walks[i].node, run) for i in live}
            logs = lanes.extend({i: [token, *pieces[i]] for i, token in tokens.items()})
            touched += self._take(walks, pieces, logs, run, masked)
            live = [i for i in live if not walks[i].dead]
        for node in reversed(touched):
            node.known = True
            node.update()
        return walks

    def _piece(self, node: Node, run: Run) -> list[int]:
        """Return the tokens that are forced behind a prefix; one more token has room."""
        assert self._forced is not None
        with run.timed("constraint"):
            return self._forced.after(node.context, self._max_tokens - 1 - node.context.length)

    def _take(
        self,
        walks: Sequence[Walk],
        pieces: Mapping[int, Sequence[int]],
        logs: Mapping[int, Sequence[float]],
        run: Run,
        masked: bool,
    ) -> list[Node]:
        """Draw forced tokens from their log-probabilities; return the nodes in front of them.

        A draw by the model takes any other token with the rest of the probability, and the walk is dead then.
        """
        touched: dict[Node, None] = {}
        count = sum(map(len, pieces.values()))
        shares = iter(uniform((count,), torch.device("cpu"), run.generator).tolist())
        for i, piece in pieces.items():
            walk = walks[i]
            for token, log_p in zip(piece, logs[i], strict=True):
                share = next(shares)
                if walk.dead:
                    continue
                node = walk.node
                touched[node] = None
                child = node.children.get(token)
                norm = log_p + (child.log_valid if child is not None else 0.0)
                if not masked and not node.known:
                    drawn, norm = share < math.exp(log_p), 0.0
                else:
                    drawn = norm > _NEVER
                with run.timed("constraint"):
                    drawn = drawn and self._is_allowed(node, {token: log_p}, token)
                if drawn:
                    self._follow(walk, token, log_p, norm)
                else:
                    walk.dead = True
                node.log_rest = _NEVER if token in node.children else log_p
        return list(touched)

    def _step(self, walks: list[Walk], nodes: list[Node], logprobs: Tensor, run: Run, masked: bool) -> None:
        """Give a token to each walk; `nodes` are where they stand, each once."""
        generator = run.generator
        place = {node: i for i, node in enumerate(nodes)}
        first = {place[walk.node]: row for row, walk in reversed(list(enumerate(walks)))}
        rows = torch.tensor([first[i] for i in range(len(nodes))], device=logprobs.device)
        base = logprobs.index_select(0, rows)
        base = base.to("cpu" if base.device.type == "mps" else base.device, torch.float64).log_softmax(1)
        with run.timed("constraint"):
            allowed = self._allowed(nodes, base)
        valid = base.masked_fill(~allowed, _NEVER)
        sees_mask = torch.tensor([masked or node.known for node in nodes], device=base.device)
        proposal = torch.where(sees_mask.unsqueeze(1), valid, base)
        proposal = _add(proposal, [{t: c.log_valid for t, c in node.children.items()} for node in nodes])
        total = proposal.logsumexp(1)
        with run.timed("constraint"):
            where = [place[walk.node] for walk in walks]
            if masked and not self._masks_tell_all:
                self._ask_and_draw(walks, where, proposal, total, base, generator)
            else:
                self._draw_and_ask(walks, where, proposal, total, base, allowed, generator)
        taken = _add(valid, [dict.fromkeys(node.children, _NEVER) for node in nodes])
        for node, rest in zip(nodes, taken.logsumexp(1).tolist(), strict=True):
            node.log_rest = rest

    def _allowed(self, nodes: Sequence[Node], base: Tensor) -> Tensor:
        """Return which tokens may follow as far as masks and the length tell, (len(nodes), V) of bool."""
        allowed = torch.ones(base.shape, dtype=torch.bool)
        if self._automaton is not None:
            words = -(-self.root.context.vocabulary.logits_size // 32)
            masks = torch.zeros((len(nodes), words), dtype=torch.int32)
            self._automaton.fill_masks([node.context for node in nodes], masks.numpy())
            allowed = fit(unpack(masks), base.shape[1])
        last = [row for row, node in enumerate(nodes) if node.context.length == self._max_tokens - 1]
        if last:
            ends = torch.zeros(base.shape[1], dtype=torch.bool)
            ends[list(self._ends)] = True
            allowed[last] &= ends
        return allowed.to(base.device)

    def _draw_and_ask(
        self,
        walks: list[Walk],
        where: list[int],
        proposal: Tensor,
        total: Tensor,
        base: Tensor,
        allowed: Tensor,
        generator: torch.Generator,
    ) -> None:
        """Draw from the proposal, then find out whether the token is allowed."""
        index = torch.tensor(where, device=proposal.device)
        by_walk = proposal[index]
        draws = mask_draws(by_walk, by_walk > _NEVER, generator)
        tokens = torch.tensor([max(draw.token, 0) for draw in draws], device=proposal.device)
        told = allowed[index, tokens].tolist()
        log_ps = base[index, tokens].tolist()
        totals = total[index].tolist()
        for walk, row, draw, may, log_p, norm in zip(walks, where, draws, told, log_ps, totals, strict=True):
            if draw.token >= 0 and may and self._is_allowed(walk.node, base[row], draw.token):
                self._follow(walk, draw.token, log_p, norm)
            else:
                walk.dead = True

    def _ask_and_draw(
        self,
        walks: list[Walk],
        where: list[int],
        proposal: Tensor,
        total: Tensor,
        base: Tensor,
        generator: torch.Generator,
    ) -> None:
        """Draw the first token from the proposal that is allowed; the weight estimates their total."""
        for walk, row in zip(walks, where, strict=True):
            norm = float(total[row])
            if norm == _NEVER:
                walk.dead = True
                continue
            allowed = functools.partial(self._is_allowed, walk.node, base[row])
            draw = awrs_draw(proposal[row] - norm, allowed, generator=generator)
            if draw.log_weight == _NEVER:
                walk.dead = True
            else:
                self._follow(walk, draw.token, float(base[row, draw.token]), norm + draw.log_weight)

    def _is_allowed(self, node: Node, log_ps: Tensor | Mapping[int, float], token: int) -> bool:
        """Ask the constraint about a token that masks allow, once; a refusal is remembered."""
        child = node.children.get(token)
        if child is not None:
            return child.log_valid > _NEVER
        if self._masks_tell_all:
            return True
        self.calls += 1
        if token in self._ends:
            score = complete_score(self._potential, node.context)
        else:
            score = prefix_score(self._potential, node.context.extend(token))
        if score == _NEVER:
            node.children[token] = Node(node.context, float(log_ps[token]), _NEVER)
        return score > _NEVER

    def _follow(self, walk: Walk, token: int, log_p: float, norm: float) -> None:
        """Extend a walk; `norm` is the log of what the proposals of allowed tokens sum to."""
        self.drawn += 1
        walk.log_probability += log_p
        walk.log_weight += norm
        if token in self._ends:
            walk.context = walk.node.context.extend(token)
            walk.accepted = True
            return
        child = walk.node.children.get(token)
        if child is None:
            child = walk.node.children[token] = Node(walk.node.context.extend(token), log_p)
        walk.log_weight -= child.log_valid
        walk.node, walk.context = child, child.context


def _add(scores: Tensor, changes: Sequence[dict[int, float]]) -> Tensor:
    """Return scores (n, V) with something added to some tokens of each row."""
    entries = [
        (row, token, change)
        for row, row_changes in enumerate(changes)
        for token, change in row_changes.items()
    ]
    if not entries:
        return scores
    rows, tokens, values = zip(*entries, strict=True)
    added = torch.zeros_like(scores)
    added[list(rows), list(tokens)] = torch.tensor(values, dtype=scores.dtype, device=scores.device)
    return scores + added
