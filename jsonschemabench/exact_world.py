"""One run of a method in the small world of :mod:`jsonschemabench.exact` (needs PyTorch)."""

from __future__ import annotations

import functools
import math

from jsonschemabench.exact import LETTERS, LONGEST, next_probabilities
from jsonschemabench.sampler_quality_methods import RUNS, Setting
from structgen import AllParticlesDeadError, BudgetError, TokenAutomaton, Vocabulary, compile_regex
from structgen.samplers import BasePotential, Context, SamplingResult, TableModel

_END = len(LETTERS)
_VOCABULARY = Vocabulary([*(letter.encode() for letter in LETTERS), b""], eos_token_ids=_END)


class _Predicate(BasePotential):
    """No two ``a`` in a row, and an even number of ``b``."""

    boolean = True

    def prefix(self, context: Context) -> float:
        if context.ended:
            return self.complete(context)
        return -math.inf if "aa" in context.text else 0.0

    def complete(self, context: Context) -> float:
        if context.ended and context.parent is not None:
            context = context.parent
        return -math.inf if "aa" in context.text or context.text.count("b") % 2 else 0.0


@functools.cache
def _automaton() -> TokenAutomaton:
    return compile_regex(f"[{LETTERS}]{{1,{LONGEST}}}", _VOCABULARY)


def run(method: str, particles: int, model_seed: int, seed: int) -> SamplingResult | None:
    """Run a method once; None when all of its particles died."""
    sampler, token_sampler, critic = RUNS[method](Setting(particles, _automaton(), _Predicate()))

    def logprobs(tokens: tuple[int, ...]) -> list[float]:
        # The rows of sequences that have ended go on being asked for; nothing is drawn there.
        prefix = "".join(LETTERS[token] for token in tokens if token != _END)
        return [math.log(share) for share in next_probabilities(prefix, model_seed)]

    options = {} if critic is None else {"critic": critic}
    model = TableModel(_VOCABULARY, logprobs)
    try:
        result: SamplingResult = sampler.run(
            model, token_sampler, max_tokens=LONGEST + 1, seed=seed, **options
        )
    except (AllParticlesDeadError, BudgetError):
        return None
    return result
