"""Diverse beam search: groups of beams, each kept away from what the groups before it chose."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from structgen._errors import AllParticlesDeadError
from structgen.samplers._beam_groups import BeamGroups, EarlyStopping, Hypothesis
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
from structgen.samplers._token_samplers import MaskSampler, TokenSampler, allowed_by_masks

_NEVER = -math.inf


@dataclasses.dataclass(frozen=True, slots=True)
class BeamSequence(SampledSequence):
    """A sequence that a beam search found."""

    score: float = 0.0
    """What the sequences are ordered by: the log-probability with the diversity terms, over the length to the
    power of the length penalty."""


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

    The texts of the sequences are all different: of those that differ only in how a text is cut into tokens,
    a group keeps the best, and it does not finish what one before it has finished. Where the constraint
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
            There is a critic, or the model has several prompts (see :meth:`run_prompts`).
        NothingSatisfiesError
            The constraint refuses every text.
        BudgetError
            `max_tokens` is too small for the shortest output.
        AllParticlesDeadError
            No beam came to an end that the constraint takes.
        """
        if getattr(model, "prompts", 1) != 1:
            raise ValueError("the model has several prompts; this takes one, and run_prompts any number")
        with Run(seed, generator, progress, max_tokens) as run:
            (result,) = self._search(model, token_sampler, max_tokens, critic, run)
        if not result.sequences:
            potential = token_sampler.potential
            raise budget_error(potential, Context.root(model.vocabulary), max_tokens, result) or (
                AllParticlesDeadError(
                    f"none of {self.groups * self.beams_per_group} beams came to an end within "
                    f"max_tokens={max_tokens}: raise max_tokens, or use more beams",
                    result=result,
                )
            )
        return result

    def run_prompts(
        self,
        model: LanguageModel,
        token_sampler: TokenSampler,
        *,
        max_tokens: int,
        seed: int | None = None,
        generator: torch.Generator | None = None,
        progress: Progress | None = None,
        critic: Potential | None = None,
    ) -> list[SamplingResult]:
        """Search for sequences after each of the model's prompts, all as one batch.

        Parameters
        ----------
        model : LanguageModel
            With an attribute `prompts`, their number P. It begins P times as many rows as it is asked for.
        token_sampler, max_tokens, seed, generator, progress, critic
            As of :meth:`run`, and for all prompts.

        Returns
        -------
        list of SamplingResult
            One per prompt. Where no beam came to an end there are no sequences, and `log_evidence` is -inf.
            Each has the `seconds` of the whole batch.

        Raises
        ------
        ValueError, NothingSatisfiesError, BudgetError
            As of :meth:`run`; a `BudgetError` only where it is certain without trying.
        """
        with Run(seed, generator, progress, max_tokens) as run:
            return self._search(model, token_sampler, max_tokens, critic, run)

    def _search(
        self,
        model: LanguageModel,
        token_sampler: TokenSampler,
        max_tokens: int,
        critic: Potential | None,
        run: Run,
    ) -> list[SamplingResult]:
        if critic is not None:
            raise ValueError("beam search has no use for a critic; use SMC")
        potential = token_sampler.potential
        vocabulary = model.vocabulary
        root = Context.root(vocabulary)
        check_start(root, (potential,), max_tokens)
        count = self.groups * self.beams_per_group
        texts = [_Texts(potential, root, count) for _ in range(getattr(model, "prompts", 1))]
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
            prompts=len(texts),
            key=vocabulary.decode,
        )

        def allows(row: int, token: int) -> bool:
            return texts[row // count].allows(row % count, token)

        with run.timed("model"):
            rows = model.begin(count, max_tokens=max_tokens)
        for length in range(1, max_tokens + 1):
            with run.timed("model"):
                logprobs = rows.logprobs()
            with run.timed("constraint"):
                parts = zip(texts, logprobs.split(count), strict=True)
                logprobs = torch.cat([t.restrict(part, last=length == max_tokens) for t, part in parts])
            sources, tokens, _ = search.step(
                logprobs, lambda _, beams: [beam[-1] in ends for beam in beams], allows
            )
            run.progress(length)
            if search.done:
                break
            for i, one in enumerate(texts):
                block = slice(i * count, (i + 1) * count)
                one.advance([source - i * count for source in sources[block]], tokens[block])
            with run.timed("model"):
                rows.select(sources)
                rows.append([ends[0] if token is None else token for token in tokens])
        run.progress(max_tokens)
        return [self._result(search.results(i), one, run) for i, one in enumerate(texts)]

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
            allowed &= allowed_by_masks(self._masks, self._rows, logprobs)
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
