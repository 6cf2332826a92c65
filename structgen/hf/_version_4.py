"""Group beam search by the rules of version 4 of transformers, where they are others than ours."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from torch import Tensor

from structgen.samplers._beam_groups import BeamGroups, Hypothesis, _Group


class Version4Groups(BeamGroups):
    """What ``generate(num_beam_groups=...)`` did until version 5.

    Other than in :class:`structgen.samplers._beam_groups.BeamGroups`

    * groups may finish the same, and the results have it several times;
    * every token is penalised, end tokens, special tokens and forced ones too, and the beams of a group that
      is done count as choosing the padding (which often is the end token);
    * only an end token finishes a hypothesis. When the stopping criteria hold for all beams, those of the
      groups that are not done finish, the others' are left out, however good they are;
    * whether a group can become better is asked of the best candidate, which may be one that has just ended;
    * every finished sequence has the first of the end tokens, whichever it ended with.

    References
    ----------
    ``_group_beam_search``, ``BeamSearchScorer`` and ``HammingDiversityLogitsProcessor`` of transformers 4.46.
    """

    penalises_forced = True

    def __init__(self, *arguments: Any, end_tokens: Sequence[int], padding: int, **options: Any) -> None:
        super().__init__(*arguments, never_penalised=(), ends=len(end_tokens), **options)
        self._end_tokens = list(end_tokens)
        self._padding = padding
        self._halted: dict[_Group, bool] = {}

    def step(
        self,
        logprobs: Tensor,
        finishes: Callable[[int, Sequence[tuple[int, ...]]], Sequence[bool]],
        allows: Callable[[int, int], bool] | None = None,
    ) -> tuple[list[int], list[int | None], Tensor]:
        """Choose a token for every row, and finish the open hypotheses if all beams halt."""
        found = super().step(logprobs, finishes, allows)
        groups = [group for groups in self._prompts for group in groups if not group.done]
        if all(self._halted[group] for group in groups):
            for group in groups:
                self._finish(group, [beam for beam in group.beams if beam is not None])
                group.done = True
        return found

    def _different(self, hypotheses: Sequence[Hypothesis]) -> list[Hypothesis]:
        return sorted(hypotheses, key=lambda hypothesis: -hypothesis.score)

    def _of_done(self, group: _Group) -> list[Hypothesis]:
        return [Hypothesis((self._padding,) * self._length)] * self._beams

    def _advance(
        self,
        group: _Group,
        candidates: Sequence[Hypothesis],
        finished: Sequence[bool],
        taken: set[Hashable],
    ) -> None:
        ended = [c.tokens[-1] in self._end_tokens for c in candidates]
        pairs = [(c, halts) for c, halts, ends in zip(candidates, finished, ended, strict=True) if not ends]
        running = [candidate for candidate, _ in pairs][: self._beams]
        self._halted[group] = all(halts for _, halts in pairs[: self._beams])
        self._finish(
            group,
            [
                dataclasses.replace(c, tokens=(*c.tokens[:-1], self._end_tokens[0]))
                for c, ends in zip(candidates[: self._beams], ended, strict=False)
                if ends
            ],
        )
        self._run(group, running)
        # Without any candidate nothing can run on.
        best = candidates[0].score if candidates else None
        group.done = not running or (
            best is not None and len(group.finished) == self._beams and self._is_full(group, best)
        )

    def _finish(self, group: _Group, hypotheses: Sequence[Hypothesis]) -> None:
        norm = self._norm(self._length)
        ended = [dataclasses.replace(h, score=h.score / norm) for h in hypotheses]
        group.finished = self._different([*group.finished, *ended])[: self._beams]
