"""Small worlds in which every sequence can be enumerated: a vocabulary, a model by tables, a constraint."""

import functools
import math
import random
import re
from collections.abc import Callable, Mapping

import numpy as np

from structgen import Vocabulary, compile_regex
from structgen.samplers._context import Context
from structgen.samplers._language_models import TableModel
from structgen.samplers._potentials import BasePotential
from structgen.samplers._results import SamplingResult
from structgen.samplers._token_samplers import AWRS, MaskSampler

END = 0
LETTERS = ("a", "b", "ab")
TWO_ENDS = (0, 4)

Tokens = tuple[int, ...]


def vocabulary(ends: tuple[int, ...] = (END,)) -> Vocabulary:
    """Return an end token, ``a``, ``b``, ``ab`` and, where there are two end tokens, another."""
    tokens = [b"", *(letter.encode() for letter in LETTERS), *[b""] * (len(ends) - 1)]
    return Vocabulary(tokens, eos_token_ids=list(ends))


class World:
    """A model and a regular language, of sequences up to a length.

    Parameters
    ----------
    pattern : str
        What the text has to match.
    max_tokens : int
        The longest sequence, end token included.
    seed : int
        Of the model's probabilities.
    ends : tuple of int
        End tokens of the vocabulary.
    """

    def __init__(
        self,
        pattern: str,
        max_tokens: int,
        seed: int = 0,
        ends: tuple[int, ...] = (END,),
        table: Mapping[Tokens, list[float]] | None = None,
    ) -> None:
        self.vocabulary = vocabulary(ends)
        self.max_tokens = max_tokens
        self._pattern = re.compile(pattern)
        self._seed = seed
        self._table = table or {}
        self.automaton = compile_regex(pattern, self.vocabulary)
        self.model = TableModel(self.vocabulary, self.logprobs)

    def logprobs(self, tokens: Tokens) -> list[float]:
        if tokens in self._table:
            return [math.log(p) if p else -math.inf for p in self._table[tokens]]
        rng = random.Random(f"{self._seed} {tokens}")
        logits = np.array([rng.gauss(0, 1.5) for _ in self.vocabulary.tokens])
        return (logits - np.logaddexp.reduce(logits)).tolist()

    def accepts(self, text: str) -> bool:
        return self._pattern.fullmatch(text) is not None

    @functools.cached_property
    def joint(self) -> dict[Tokens, float]:
        """The model's probability of every sequence that conforms."""
        found: dict[Tokens, float] = {}
        ends = self.vocabulary.eos_token_ids

        def visit(tokens: Tokens, text: str, p: float) -> None:
            for token, log_p in enumerate(self.logprobs(tokens)):
                if token in ends:
                    if self.accepts(text) and log_p > -math.inf:
                        found[(*tokens, token)] = p * math.exp(log_p)
                elif len(tokens) + 1 < self.max_tokens:
                    piece = self.vocabulary.tokens[token].decode()
                    visit((*tokens, token), text + piece, p * math.exp(log_p))

        visit((), "", 1.0)
        return found

    @property
    def evidence(self) -> float:
        return sum(self.joint.values())

    @property
    def posterior(self) -> dict[Tokens, float]:
        return {tokens: p / self.evidence for tokens, p in self.joint.items()}

    def masks(self) -> MaskSampler:
        return MaskSampler(self.automaton)

    def awrs(self) -> AWRS:
        return AWRS(Matches(self))


class Matches(BasePotential):
    """The world's language as a potential without masks, by its texts; `refuse` narrows it."""

    boolean = True

    def __init__(self, world: World, refuse: Callable[[str], bool] = lambda text: False) -> None:
        tokens = world.vocabulary.tokens
        texts = {b"".join(tokens[t] for t in sequence).decode() for sequence in world.joint}
        self.texts = {text for text in texts if not refuse(text)}

    def prefix(self, context: Context) -> float:
        if context.ended:
            return self.complete(context)
        return 0.0 if any(text.startswith(context.text) for text in self.texts) else -math.inf

    def complete(self, context: Context) -> float:
        return 0.0 if context.text in self.texts else -math.inf


def trap() -> World:
    """A world where what is likely at first leads to what is unlikely: nine in ten begin, few end, with a."""
    return World(
        "aab|b",
        4,
        table={
            (): [0.0, 0.9, 0.08, 0.02],
            (1,): [0.9, 0.04, 0.03, 0.03],
            (1, 1): [0.5, 0.3, 0.1, 0.1],
            (1, 1, 2): [0.5, 0.2, 0.2, 0.1],
            (1, 3): [0.5, 0.2, 0.2, 0.1],
            (2,): [0.6, 0.2, 0.1, 0.1],
        },
    )


def bound(truth: Mapping[Tokens, float], samples: float) -> float:
    """Return what the total variation of independent samples exceeds with probability 1e-5 at most.

    The mean is at most half of the summed standard errors; a sample changes the distance by 1 / n at most,
    and so it exceeds its mean by e with probability exp(-2 n e^2) at most (McDiarmid's inequality).
    """
    mean = sum(math.sqrt(p * (1 - p) / samples) for p in truth.values()) / 2
    return mean + math.sqrt(math.log(1e5) / (2 * samples))


def total_variation(results: SamplingResult | list[SamplingResult], truth: Mapping[Tokens, float]) -> float:
    """Return half of the summed differences between the sequences' weights and their probabilities."""
    found: dict[Tokens, float] = {}
    results = results if isinstance(results, list) else [results]
    for result in results:
        for sequence in result.sequences:
            found[sequence.tokens] = found.get(sequence.tokens, 0.0) + sequence.weight / len(results)
    return sum(abs(found.get(t, 0.0) - truth.get(t, 0.0)) for t in {*found, *truth}) / 2
