"""The methods that ``quality`` compares, and one run of one of them (needs PyTorch and transformers)."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from jsonschemabench.sampler_quality import QualityRow
from jsonschemabench.tasks import Domain, Task
from structgen import AllParticlesDeadError, BudgetError, TokenAutomaton, Vocabulary
from structgen.samplers import (
    AWRS,
    SMC,
    AutomatonPotential,
    BasePotential,
    Context,
    HuggingFaceModel,
    LocallyConstrained,
    MaskSampler,
    MaskThenAWRS,
    Potential,
    Product,
    SampleAndRerank,
    SamplingResult,
    TokenSampler,
)


class TaskPredicate(BasePotential):
    """The predicate of a task, as a potential that counts how often Python was asked.

    Parameters
    ----------
    domain, task
        Whose ``possible`` judges unfinished texts, and ``permitted`` finished ones.
    """

    boolean = True

    def __init__(self, domain: Domain, task: Task) -> None:
        self._domain = domain
        self._task = task
        self.calls = 0

    def prefix(self, context: Context) -> float:
        """Return 0 where the predicate may still come to hold."""
        if context.ended:
            return self.complete(context)
        # An unfinished character is not judged yet.
        return self._score(context, self._domain.possible, context.text.rstrip("\ufffd"))

    def complete(self, context: Context) -> float:
        """Return 0 where the predicate holds."""
        if context.ended and context.parent is not None:
            context = context.parent
        if self.prefix(context) == -math.inf:
            return -math.inf
        return self._score(context, self._domain.permitted, context.text)

    def _score(self, context: Context, judge: Callable[[Task, str], bool], text: str) -> float:
        key = (self, judge.__name__)
        score: float | None = context.memo.get(key)
        if score is None:
            self.calls += 1
            score = context.memo[key] = 0.0 if judge(self._task, text) else -math.inf
        return score

    def __repr__(self) -> str:
        return f"the predicate of {self._domain.name}"


@dataclass
class CountingModel:
    """A language model that counts the tokens it is run on, one per row and step; the prompt counts once."""

    model: Any
    evaluations: int = 1

    @property
    def vocabulary(self) -> Vocabulary:
        """The model's vocabulary."""
        vocabulary: Vocabulary = self.model.vocabulary
        return vocabulary

    def begin(self, rows: int, *, max_tokens: int) -> _CountingRows:
        """Begin rows as the model does."""
        return _CountingRows(self, self.model.begin(rows, max_tokens=max_tokens))


@dataclass
class _CountingRows:
    owner: CountingModel
    rows: Any

    def __len__(self) -> int:
        return len(self.rows)

    def logprobs(self) -> Any:
        return self.rows.logprobs()

    def append(self, tokens: Sequence[int]) -> None:
        self.owner.evaluations += len(tokens)
        self.rows.append(tokens)

    def select(self, index: Sequence[int]) -> None:
        self.rows.select(index)


@dataclass(frozen=True)
class Setting:
    """What a method works on: a number of particles, the syntax and the predicate."""

    particles: int
    automaton: TokenAutomaton
    predicate: Potential

    @property
    def both(self) -> Potential:
        """Syntax and predicate, the cheap one first."""
        return Product(AutomatonPotential(self.automaton), self.predicate)


Method = Callable[[Setting], tuple[Any, TokenSampler, Potential | None]]
"""From the setting to the sequence sampler, its token sampler, and its critic."""

RUNS: dict[str, Method] = {
    "unconstrained": lambda s: (SampleAndRerank(s.particles), AWRS(Product()), None),
    "local": lambda s: (LocallyConstrained(s.particles), MaskSampler(s.automaton), None),
    "local-predicate": lambda s: (
        LocallyConstrained(s.particles),
        MaskThenAWRS(s.automaton, s.predicate),
        None,
    ),
    "rerank": lambda s: (SampleAndRerank(s.particles), AWRS(s.both), None),
    "mask-smc": lambda s: (SMC(s.particles), MaskSampler(s.automaton), s.predicate),
    "awrs-smc": lambda s: (SMC(s.particles), AWRS(s.both), None),
    "mask-awrs-smc": lambda s: (SMC(s.particles), MaskThenAWRS(s.automaton, s.predicate), None),
}
"""How each of :data:`sampler_quality.METHODS` is set up."""

#: without weights: each particle is one draw, and a wrong one if it comes to no end
UNWEIGHTED = frozenset(("unconstrained", "local", "local-predicate"))


@dataclass
class Bench:
    """A model with its tokenizer, on which methods are run."""

    model: Any
    tokenizer: Any
    vocabulary: Vocabulary = field(init=False)

    def __post_init__(self) -> None:
        self.vocabulary = Vocabulary.from_tokenizer(
            self.tokenizer, self.model.config.vocab_size, eos_token_ids=self.tokenizer.eos_token_id
        )

    @classmethod
    def load(cls, folder: Path) -> Bench:
        """Read a model and its tokenizer from a folder; the model computes in float32, on one thread."""
        from transformers import AutoModelForCausalLM, AutoTokenizer

        torch.set_num_threads(1)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
        return cls(model.eval(), tokenizer)

    def prompt(self, task: Task) -> list[int]:
        """Return the tokens of the prompt, an end token before them, as in training."""
        return [self.tokenizer.eos_token_id, *self.tokenizer.encode(task.prompt, add_special_tokens=False)]

    def run(
        self,
        domain: Domain,
        number: int,
        task: Task,
        automaton: TokenAutomaton,
        method: str,
        particles: int,
        seed: int,
    ) -> QualityRow:
        """Run a method once on a task and judge what comes out.

        Parameters
        ----------
        domain, number, task
            The task and its number among those of the domain.
        automaton
            The task's constraint.
        method
            A key of :data:`RUNS`.
        particles, seed
            Of the sampler; the seed also draws the one sequence of the accuracy.
        """
        predicate = TaskPredicate(domain, task)
        sampler, token_sampler, critic = RUNS[method](Setting(particles, automaton, predicate))
        options = {} if critic is None else {"critic": critic}
        began = perf_counter()
        model = CountingModel(HuggingFaceModel(self.model, self.vocabulary, self.prompt(task)))
        try:
            result = sampler.run(model, token_sampler, max_tokens=domain.max_tokens, seed=seed, **options)
        except (AllParticlesDeadError, BudgetError) as error:
            result = error.result
        seconds = perf_counter() - began
        calls = predicate.calls
        outcomes = judged(result, domain, task, weighted=method not in UNWEIGHTED)
        drawn = draw(outcomes, random.Random(f"{domain.name} {number} {method} {seed}"))
        checker = Product(AutomatonPotential(automaton), TaskPredicate(domain, task))
        root = Context.root(self.vocabulary)
        conforming = sum(
            outcome.weight
            for outcome in outcomes
            if checker.complete(root.extend_all(outcome.tokens)) > -math.inf
        )
        return QualityRow(
            domain=domain.name,
            task=number,
            method=method,
            seed=seed,
            accuracy=float(drawn is not None and drawn.correct),
            posterior=sum(outcome.weight for outcome in outcomes if outcome.correct),
            conforming=conforming,
            evaluations=model.evaluations,
            predicate_calls=calls,
            seconds=seconds,
            dead=not outcomes,
            text="" if drawn is None else drawn.text,
        )


@dataclass(frozen=True)
class Outcome:
    """A finished sequence, its weight, and whether it is right."""

    text: str
    tokens: tuple[int, ...]
    weight: float
    correct: bool


def judged(result: SamplingResult | None, domain: Domain, task: Task, *, weighted: bool) -> list[Outcome]:
    """Return the finished sequences with weights that sum to 1, or to less.

    Without weights of its own, each particle weighs the same, and those that came to no end keep their share.
    """
    sequences = result.sequences if result is not None else []
    return [
        Outcome(s.text, s.tokens, weight, domain.correct(task, s.text))
        for s in sequences
        if s.finished and (weight := s.weight if weighted else 1 / len(sequences)) > 0
    ]


def draw(outcomes: Sequence[Outcome], rng: random.Random) -> Outcome | None:
    """Draw an outcome by its weight; None with what is missing to 1."""
    point = rng.random()
    for outcome in outcomes:
        point -= outcome.weight
        # Weights that sum to 1 may fall short of it by rounding.
        if point < 1e-12:
            return outcome
    return None
