"""The algorithm of diverse beam search, without a model: scores go in, rows and tokens come out."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Hashable, Sequence
from typing import Literal

import torch
from torch import Tensor

from structgen.samplers._dissimilarity import Dissimilarity

_NEVER = -math.inf

EarlyStopping = bool | Literal["never"]


@dataclasses.dataclass(frozen=True, slots=True)
class Hypothesis:
    """A beam, running or finished."""

    tokens: tuple[int, ...] = ()
    """What was generated; of a finished one the end token included."""
    choices: tuple[int, ...] = ()
    """Those of the tokens that were chosen among several that the constraint allowed."""
    log_probability: float = 0.0
    """The sum of the tokens' log-probabilities, without penalties."""
    score: float = 0.0
    """The sum with penalties; of a finished one divided by its length to the power of the length penalty."""
    rows: tuple[int, ...] = ()
    """Of each token, the row of the batch that it was predicted in."""


class _Group:
    """The beams of one group of one prompt. Running beams without any probability are None."""

    def __init__(self, beams: int) -> None:
        self.beams: list[Hypothesis | None] = [Hypothesis(), *[None] * (beams - 1)]
        self.scores = torch.tensor([0.0, *[_NEVER] * (beams - 1)])
        self.finished: list[Hypothesis] = []
        self.done = False


class BeamGroups:
    """The algorithm, without a model: scores of the next tokens go in, rows and tokens come out.

    Row ``(p * groups + g) * beams + b`` of the batch is beam ``b`` of group ``g`` of prompt ``p``. Without
    penalties every group does what ``generate(num_beams=beams)`` of transformers 5 does, in the same
    precision, save that beams without any probability neither run nor finish.

    No two finished hypotheses of a prompt have the same `key`, which is made of their tokens.
    """

    penalises_forced = False
    """Whether there are terms where the constraint leaves one token only."""

    def __init__(
        self,
        groups: int,
        beams: int,
        strength: float,
        dissimilarity: Dissimilarity,
        *,
        length_penalty: float,
        early_stopping: EarlyStopping,
        max_tokens: int,
        never_penalised: Sequence[int],
        ends: int,
        prompts: int = 1,
        key: Callable[[tuple[int, ...]], Hashable] = tuple,
    ) -> None:
        self._beams = beams
        self._key = key
        self._strength = strength
        self._dissimilarity = dissimilarity
        self._length_penalty = length_penalty
        self._early_stopping = early_stopping
        self._max_tokens = max_tokens
        self._never_penalised = list(never_penalised)
        # So many that as many as there are beams are left when all that can end do.
        self._candidates = max(2, 1 + ends) * beams
        self._prompts = [[_Group(beams) for _ in range(groups)] for _ in range(prompts)]
        self._length = 0

    @property
    def done(self) -> bool:
        """Whether no group can find anything better."""
        return all(group.done for groups in self._prompts for group in groups)

    def results(self, prompt: int = 0) -> list[Hypothesis]:
        """Return the finished hypotheses of a prompt, all different, the best score first."""
        # A group may finish what one after it has finished before, with fewer tokens.
        return self._different([h for group in self._prompts[prompt] for h in group.finished])

    def _different(self, hypotheses: Sequence[Hypothesis]) -> list[Hypothesis]:
        """Return hypotheses with different keys, the best score first."""
        best: dict[Hashable, Hypothesis] = {}
        for hypothesis in sorted(hypotheses, key=lambda hypothesis: -hypothesis.score):
            best.setdefault(self._key(hypothesis.tokens), hypothesis)
        return list(best.values())

    def step(
        self,
        logprobs: Tensor,
        finishes: Callable[[int, Sequence[tuple[int, ...]]], Sequence[bool]],
        allows: Callable[[int, int], bool] | None = None,
    ) -> tuple[list[int], list[int | None], Tensor]:
        """Choose a token for every row.

        Parameters
        ----------
        logprobs : Tensor
            Floating point, shape ``(rows, V)``: log-probabilities of the next token, ``-inf`` where the
            constraint excludes it. They are left as they are.
        finishes : callable
            From a prompt's number and the tokens of hypotheses to whether they are finished.
        allows : callable, optional
            From a row and a token to whether the constraint takes it, where that is not known before.

        Returns
        -------
        sources : list of int
            The row that each row goes on from.
        tokens : list of int or None
            The token that each row gets; None where it holds no beam any longer.
        penalised : Tensor
            The log-probabilities with the diversity terms.
        """
        self._length += 1
        forced = ((logprobs > _NEVER).sum(1) <= 1).tolist()
        penalised = logprobs.clone()
        sources = list(range(len(logprobs)))
        tokens: list[int | None] = [None] * len(logprobs)
        first = 0
        for prompt, groups in enumerate(self._prompts):
            earlier: list[Hypothesis] = []
            taken: set[Hashable] = set()
            for group in groups:
                if not group.done:
                    block = slice(first, first + self._beams)
                    self._penalise(group, penalised[block], forced[block], earlier)
                    chosen = self._candidates_of(group, first, logprobs, penalised, forced, allows)
                    self._advance(group, chosen, finishes(prompt, [c.tokens for c in chosen]), taken)
                    for row, beam in enumerate(group.beams, first):
                        if beam is not None:
                            sources[row], tokens[row] = beam.rows[-1], beam.tokens[-1]
                            earlier.append(beam)
                else:
                    earlier += self._of_done(group)
                taken.update(self._key(hypothesis.tokens) for hypothesis in group.finished)
                first += self._beams
        return sources, tokens, penalised

    def _penalise(
        self, group: _Group, block: Tensor, forced: Sequence[bool], earlier: Sequence[Hypothesis]
    ) -> None:
        if not earlier or self._strength == 0:
            return
        for row, beam, is_forced in zip(block, group.beams, forced, strict=True):
            if beam is None or (is_forced and not self.penalises_forced):
                continue
            terms = self._dissimilarity(beam, earlier)
            if isinstance(terms, Tensor):
                added = row.new_zeros(len(row))
                size = min(len(row), len(terms))
                added[:size] = terms[:size].to(added)
            else:
                added = row.new_zeros(len(row))
                if terms:
                    added[list(terms)] = torch.tensor(list(terms.values())).to(added)
            added[self._never_penalised] = 0.0
            row += self._strength * added

    def _of_done(self, group: _Group) -> list[Hypothesis]:
        """Return what later groups see of a group that is done."""
        return []

    def _candidates_of(
        self,
        group: _Group,
        first: int,
        logprobs: Tensor,
        penalised: Tensor,
        forced: Sequence[bool],
        allows: Callable[[int, int], bool] | None,
    ) -> list[Hypothesis]:
        """Return the best continuations, the best first; fewer where fewer have any probability."""
        size = logprobs.shape[1]
        block = penalised[first : first + self._beams]
        totals = (block + group.scores.to(block).unsqueeze(1)).flatten()
        while True:
            scores, index = totals.topk(min(self._candidates, len(totals)))
            found = [
                (score, first + i // size, i % size)
                for score, i in zip(scores.tolist(), index.tolist(), strict=True)
                if score > _NEVER
            ]
            refused = [] if allows is None else [(r, t) for _, r, t in found if not allows(r, t)]
            if not refused:
                break
            totals[[(row - first) * size + token for row, token in refused]] = _NEVER
        candidates = []
        for score, row, token in found:
            beam = group.beams[row - first]
            assert beam is not None
            candidates.append(
                Hypothesis(
                    (*beam.tokens, token),
                    beam.choices if forced[row] else (*beam.choices, token),
                    beam.log_probability + float(logprobs[row, token]),
                    score,
                    (*beam.rows, row),
                )
            )
        # The precision is the model's, as it is that of the sums.
        group.scores = group.scores.to(dtype=totals.dtype)
        return candidates

    def _advance(
        self,
        group: _Group,
        candidates: Sequence[Hypothesis],
        finished: Sequence[bool],
        taken: set[Hashable],
    ) -> None:
        """Let a group's candidates run on or finish."""
        # What a group before has finished leaves its place to the next best.
        pairs = [
            (c, ends)
            for c, ends in zip(candidates, finished, strict=True)
            if not ends or self._key(c.tokens) not in taken
        ]
        running = [candidate for candidate, ends in pairs if not ends][: self._beams]
        # Only the best may finish: the others are there to have enough that run on.
        ended = [c for c, ends in pairs[: self._beams] if ends]
        if ended:
            scores = group.scores.new_tensor([c.score for c in ended]) / self._norm(self._length)
            ended = [
                dataclasses.replace(c, score=score) for c, score in zip(ended, scores.tolist(), strict=True)
            ]
            group.finished = self._different([*group.finished, *ended])[: self._beams]
        self._run(group, running)
        group.done = not running or (
            len(group.finished) == self._beams and self._is_full(group, group.scores[0])
        )

    def _run(self, group: _Group, running: Sequence[Hypothesis]) -> None:
        group.beams = [*running, *[None] * (self._beams - len(running))]
        group.scores = group.scores.new_tensor(
            [_NEVER if beam is None else beam.score for beam in group.beams]
        )

    def _is_full(self, group: _Group, best: Tensor | float) -> bool:
        """Return whether a group with as many finished hypotheses as beams stops at this best open score."""
        if self._early_stopping is True:
            return True
        longest = self._early_stopping == "never" and self._length_penalty > 0
        length = self._max_tokens if longest else self._length
        return bool(best / self._norm(length) <= group.finished[-1].score)

    def _norm(self, length: int) -> float:
        return float(length**self._length_penalty)
