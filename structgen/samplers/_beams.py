"""Diverse beam search: groups of beams, each kept away from what the groups before it chose."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from structgen._errors import AllParticlesDeadError
from structgen.samplers._context import Context
from structgen.samplers._dissimilarity import (
    Dissimilarity,
    DissimilarityName,
    check_dissimilarity,
    named_dissimilarity,
)
from structgen.samplers._language_models import LanguageModel
from structgen.samplers._potentials import (
    AutomatonPotential,
    Potential,
    Product,
    complete_score,
    prefix_score,
)
from structgen.samplers._results import SamplingResult
from structgen.samplers._results import Sequence as SampledSequence
from structgen.samplers._run import Progress, Run, budget_error, check_positive, check_start
from structgen.samplers._token_samplers import MaskSampler, TokenSampler, _masks

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


@dataclasses.dataclass(frozen=True, slots=True)
class BeamSequence(SampledSequence):
    """A sequence that a beam search found."""

    score: float = 0.0
    """What the sequences are ordered by: the log-probability with the diversity terms, over the length to the
    power of the length penalty."""


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
    """

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
    ) -> None:
        self._beams = beams
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
        found = [hypothesis for group in self._prompts[prompt] for hypothesis in group.finished]
        return sorted(found, key=lambda hypothesis: -hypothesis.score)

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
            taken: set[tuple[int, ...]] = set()
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
                taken.update(hypothesis.tokens for hypothesis in group.finished)
                first += self._beams
        return sources, tokens, penalised

    def _penalise(
        self, group: _Group, block: Tensor, forced: Sequence[bool], earlier: Sequence[Hypothesis]
    ) -> None:
        if not earlier or self._strength == 0:
            return
        for row, beam, is_forced in zip(block, group.beams, forced, strict=True):
            if beam is None or is_forced:
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
        taken: set[tuple[int, ...]],
    ) -> None:
        """Let a group's candidates run on or finish."""
        # What a group before has finished leaves its place to the next best.
        pairs = [
            (c, ends)
            for c, ends in zip(candidates, finished, strict=True)
            if not ends or c.tokens not in taken
        ]
        running = [candidate for candidate, ends in pairs if not ends][: self._beams]
        # Only the best may finish: the others are there to have enough that run on.
        ended = [c for c, ends in pairs[: self._beams] if ends]
        if ended:
            scores = group.scores.new_tensor([c.score for c in ended]) / self._norm(self._length)
            ended = [
                dataclasses.replace(c, score=score) for c, score in zip(ended, scores.tolist(), strict=True)
            ]
            merged = sorted([*group.finished, *ended], key=lambda hypothesis: -hypothesis.score)
            group.finished = merged[: self._beams]
        group.beams = [*running, *[None] * (self._beams - len(running))]
        group.scores = group.scores.new_tensor(
            [_NEVER if beam is None else beam.score for beam in group.beams]
        )
        group.done = not running or (len(group.finished) == self._beams and self._is_full(group))

    def _is_full(self, group: _Group) -> bool:
        """Return whether a group with as many finished hypotheses as beams stops."""
        if self._early_stopping is True:
            return True
        longest = self._early_stopping == "never" and self._length_penalty > 0
        length = self._max_tokens if longest else self._length
        return bool(group.scores[0] / self._norm(length) <= group.finished[-1].score)

    def _norm(self, length: int) -> float:
        return float(length**self._length_penalty)


@dataclasses.dataclass(frozen=True)
class DiverseBeamSearch:
    """Diverse beam search: the most probable sequences that are not all alike.

    The beams form groups. At each step the groups choose one after the other, and every token's
    log-probability has a term added that is lower the more like it what the groups before have chosen is. The
    first group is plain beam search, and so is all of it with ``groups=1``.

    Parameters
    ----------
    groups : int
        Number of groups.
    beams_per_group : int
        Number of beams in each; all of them are rows of one batch.
    diversity_strength : float
        Factor of the terms, in nats; 0.2 to 0.8 is usual. With 0 all groups search for the same.
    dissimilarity : {"hamming", "cumulative", "ngram", "embedding", "structural"} or callable
        What is added to a token's log-probability for each beam of the groups before:

        * ``"hamming"``: -1 where it chose the token at this step;
        * ``"cumulative"``: what its term exp(-n / 4) falls by if the token makes n, the number of positions
          where both have the same token, one more (see :class:`Cumulative`);
        * ``"ngram"``: -1 for each time that the pair of the last token and this one occurs in it;
        * ``"embedding"``: minus the cosine of the model's input embeddings of the token and of what it
          chose at this step, where that is positive;
        * ``"structural"``: -1 where the token is its choice of the same number as this beam's next: of the
          tokens, only those count that the constraint did not force and that are more than punctuation and
          space.

        Or a callable from a :class:`Hypothesis` and a list of those of the groups before, which are one token
        longer, to a mapping from tokens to terms, or a tensor of a term for each token.
    length_penalty : float
        Scores are divided by the length (end token included) to this power: above 0 favours long texts.
    early_stopping : bool or "never"
        When a group ends that has as many finished sequences as beams: at once; by a guess whether its best
        running beam can become better; or, ``"never"``, when it can't at any length. As in transformers.

    Notes
    -----
    Tokens that the constraint excludes have no probability, and those of the others are not normalised again,
    so that sequences are ranked by the model's own probabilities. There is no term where the constraint
    leaves one token only, and none for end tokens and special tokens.

    Sequences are all different: a group does not finish what one before it has finished. Where the constraint
    or `max_tokens` leave fewer than there are beams, there are fewer. The terms that a beam had stay in its
    score, as in the paper's algorithm 1 and in version 4 of transformers.

    References
    ----------
    Vijayakumar et al., "Diverse Beam Search" (arXiv 1610.02424v2), algorithm 1 and section 5.
    """

    groups: int = 4
    beams_per_group: int = 1
    diversity_strength: float = 0.5
    dissimilarity: DissimilarityName | Dissimilarity = "hamming"
    length_penalty: float = 1.0
    early_stopping: EarlyStopping = False

    def __post_init__(self) -> None:
        check_positive("groups", self.groups)
        check_positive("beams_per_group", self.beams_per_group)
        if not 0 <= self.diversity_strength < math.inf:
            raise ValueError(f"diversity_strength is {self.diversity_strength}, and must not be negative")
        if self.early_stopping not in (True, False, "never"):
            raise ValueError(f'early_stopping is {self.early_stopping!r}, and must be a bool or "never"')
        check_dissimilarity(self.dissimilarity)

    def run(
        self,
        model: LanguageModel,
        token_sampler: TokenSampler,
        *,
        max_tokens: int,
        seed: int | None = None,
        generator: torch.Generator | None = None,
        progress: Progress | None = None,
        critic: Potential | None = None,
    ) -> SamplingResult:
        """Search for sequences; see :meth:`SMC.run`. Nothing is random, and a seed changes nothing.

        Returns
        -------
        SamplingResult
            Its sequences are `BeamSequence`, the best score first, at most as many as there are beams. The
            log-weights are the log-probabilities, so that weights are probabilities given that it is one of
            the sequences found, and `log_evidence` is a lower bound.

        Raises
        ------
        ValueError
            There is a critic, or the model has several prompts.
        NothingSatisfiesError
            The constraint refuses every text.
        BudgetError
            `max_tokens` is too small for the shortest output.
        AllParticlesDeadError
            No beam came to an end that the constraint takes.
        """
        if critic is not None:
            raise ValueError("beam search has no use for a critic; use SMC")
        if getattr(model, "prompts", 1) != 1:
            raise ValueError("the model has several prompts, and beam search takes one")
        potential = token_sampler.potential
        vocabulary = model.vocabulary
        check_start(Context.root(vocabulary), (potential,), max_tokens)
        count = self.groups * self.beams_per_group
        texts = _Texts(potential, Context.root(vocabulary), count)
        ends = list(vocabulary.eos_token_ids)
        search = BeamGroups(
            self.groups,
            self.beams_per_group,
            self.diversity_strength,
            named_dissimilarity(self.dissimilarity, vocabulary, getattr(model, "input_embeddings", None)),
            length_penalty=self.length_penalty,
            early_stopping=self.early_stopping,
            max_tokens=max_tokens,
            never_penalised=[*ends, *vocabulary.special_token_ids],
            ends=len(ends),
        )
        with Run(seed, generator, progress, max_tokens) as run:
            with run.timed("model"):
                rows = model.begin(count, max_tokens=max_tokens)
            for length in range(1, max_tokens + 1):
                with run.timed("model"):
                    logprobs = rows.logprobs()
                with run.timed("constraint"):
                    logprobs = texts.restrict(logprobs, last=length == max_tokens)
                sources, tokens, _ = search.step(
                    logprobs, lambda _, beams: [beam[-1] in ends for beam in beams], texts.allows
                )
                run.progress(length)
                if search.done:
                    break
                texts.advance(sources, tokens)
                with run.timed("model"):
                    rows.select(sources)
                    rows.append([ends[0] if token is None else token for token in tokens])
            run.progress(max_tokens)
            result = self._result(search.results(), texts, run)
        if not result.sequences:
            raise budget_error(potential, Context.root(vocabulary), max_tokens, result) or (
                AllParticlesDeadError(
                    f"none of {count} beams came to an end within max_tokens={max_tokens}: raise "
                    "max_tokens, or use more beams",
                    result=result,
                )
            )
        return result

    def _result(self, found: Sequence[Hypothesis], texts: _Texts, run: Run) -> SamplingResult:
        log_probabilities = torch.tensor([h.log_probability for h in found], dtype=torch.float64)
        weights = log_probabilities.softmax(0).tolist()
        root = texts.root
        return SamplingResult(
            sequences=[
                BeamSequence(
                    tokens=h.tokens,
                    text=root.extend_all(h.tokens).text,
                    log_weight=h.log_probability,
                    weight=weight,
                    log_probability=h.log_probability,
                    finished=True,
                    score=h.score,
                )
                for h, weight in zip(found, weights, strict=True)
            ],
            log_evidence=float(log_probabilities.logsumexp(0)) if found else _NEVER,
            method=repr(self),
            seed=run.seed,
            calls=texts.calls,
            drawn=texts.drawn,
            seconds=run.seconds(),
            vocabulary=root.vocabulary,
        )


class _Texts:
    """The texts of the rows, and what the constraint says of their continuations."""

    def __init__(self, potential: Potential, root: Context, rows: int) -> None:
        factors = potential.factors if isinstance(potential, Product) else (potential,)
        automaton = next((f for f in factors if isinstance(f, AutomatonPotential)), None)
        self._masks = None if automaton is None else MaskSampler(automaton).potential
        rest = [factor for factor in factors if factor is not automaton]
        self._rest = Product(*rest) if rest else None
        self.root = root
        self.calls = 0
        self.drawn = 0
        self._rows = [root] * rows
        self._next: dict[tuple[int, int], Context] = {}
        self._known: dict[tuple[int, int], bool] = {}

    def restrict(self, logprobs: Tensor, last: bool) -> Tensor:
        """Return the log-probabilities of what may follow; as the last token, of ends only."""
        size = len(self.root.vocabulary)
        allowed = torch.zeros(logprobs.shape, dtype=torch.bool, device=logprobs.device)
        allowed[:, list(self.root.vocabulary.eos_token_ids) if last else slice(size)] = True
        if self._masks is not None:
            allowed &= _masks(self._masks, self._rows, logprobs).to(allowed.device)
        return logprobs.masked_fill(~allowed, _NEVER)

    def allows(self, row: int, token: int) -> bool:
        """Return what the part of the constraint that has no masks says of a token."""
        if self._rest is None:
            return True
        key = row, token
        if key not in self._known:
            self.calls += 1
            context = self._extended(row, token)
            if context.ended:
                score = complete_score(self._rest, self._rows[row])
            else:
                score = prefix_score(self._rest, context)
            self._known[key] = score > _NEVER
        return self._known[key]

    def _extended(self, row: int, token: int) -> Context:
        # The same object each time, because potentials remember what they know of it.
        return self._next.setdefault((row, token), self._rows[row].extend(token))

    def advance(self, sources: Sequence[int], tokens: Sequence[int | None]) -> None:
        """Let every row be its source's text and its token; a row without one stays what it was."""
        self._rows = [
            self._rows[row] if token is None else self._extended(source, token)
            for row, (source, token) in enumerate(zip(sources, tokens, strict=True))
        ]
        self.drawn += sum(token is not None for token in tokens)
        self._next.clear()
        self._known.clear()
