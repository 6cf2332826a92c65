"""From what users name (a schema, a function, "smc") to potentials, token samplers and sequence samplers."""

from __future__ import annotations

import functools
import json
import typing
from collections.abc import Callable
from typing import Any, Literal, Protocol, runtime_checkable

from structgen._compile import compile_json_schema
from structgen._vocabulary import Vocabulary
from structgen.samplers._guards import Predicate
from structgen.samplers._mcmc import SuffixMCMC
from structgen.samplers._methods import ExactRejection, GrammarAligned, LocallyConstrained, SampleAndRerank
from structgen.samplers._potentials import AutomatonPotential, Potential, Product
from structgen.samplers._results import SamplingResult
from structgen.samplers._smc import SMC
from structgen.samplers._token_samplers import AWRS, MaskSampler, MaskThenAWRS, TokenSampler

Name = Literal["mask", "smc", "awrs", "rerank", "rejection", "asap", "mcmc"]


@runtime_checkable
class SequenceSampler(Protocol):
    """What all sequence samplers have in common; see :meth:`SMC.run`."""

    def run(self, model: Any, token_sampler: TokenSampler, *, max_tokens: int) -> SamplingResult: ...


_SAMPLERS: dict[str, Callable[[int], SequenceSampler]] = {
    "mask": LocallyConstrained,
    "smc": SMC,
    "awrs": SMC,
    "rerank": SampleAndRerank,
    "rejection": ExactRejection,
    "asap": GrammarAligned,
    "mcmc": SuffixMCMC,
}


def named_sampler(name: str, particles: int | None) -> SequenceSampler:
    """Return the sampler of a name; plain masking gives one sequence by default, the others five.

    Raises
    ------
    ValueError
        There is no sampler of this name.
    """
    if name not in _SAMPLERS:
        raise ValueError(
            f"there is no sampler {name!r}; the names are {', '.join(_SAMPLERS)}, and objects like "
            "structgen.samplers.SMC(particles=20) will do"
        )
    return _SAMPLERS[name](particles if particles is not None else 1 if name == "mask" else 5)


def vocabulary_of(constraint: Any) -> Vocabulary | None:
    """Return the vocabulary that a constraint was compiled for; None where it has no automaton."""
    if isinstance(constraint, TokenSampler):
        constraint = constraint.potential
    if isinstance(constraint, Product):
        constraint = list(constraint.factors)
    if isinstance(constraint, list | tuple):
        return next((v for v in map(vocabulary_of, constraint) if v is not None), None)
    automaton = constraint.automaton if isinstance(constraint, AutomatonPotential) else constraint
    vocabulary = getattr(automaton, "vocabulary", None)
    return vocabulary if isinstance(vocabulary, Vocabulary) else None


def as_potential(constraint: Any, vocabulary: Vocabulary) -> Potential:
    """Return the potential that a constraint stands for.

    Parameters
    ----------
    constraint : Potential, TokenAutomaton, Session, dict, str, bytes, bool, type, callable, or list of these
        As of :func:`structgen.generate`.
    vocabulary : Vocabulary
        What schemas and types are compiled for.

    Raises
    ------
    TypeError
        It is none of these.
    """
    if isinstance(constraint, Potential):
        return constraint
    if hasattr(constraint, "fill_masks"):
        return AutomatonPotential(constraint)
    if isinstance(constraint, list | tuple):
        return Product(*(as_potential(part, vocabulary) for part in constraint))
    if isinstance(constraint, dict | str | bytes | bool):
        return AutomatonPotential(compile_json_schema(constraint, vocabulary))
    if _is_type(constraint):
        from structgen._types import compile_type

        return AutomatonPotential(compile_type(constraint, vocabulary))
    if callable(constraint):
        return Predicate(constraint, finished_only=True)
    raise TypeError(
        f"the constraint is {type(constraint).__name__}, and must be an automaton, a JSON Schema, a type, a "
        "potential, a function of the finished text, or a list of these"
    )


def parser_of(constraint: Any) -> Callable[[str], Any] | None:
    """Return what makes a value of the outputs; None where nothing says that they are JSON texts."""
    if isinstance(constraint, TokenSampler):
        constraint = constraint.potential
    if isinstance(constraint, Product):
        constraint = list(constraint.factors)
    if isinstance(constraint, list | tuple):
        return next((p for p in map(parser_of, constraint) if p is not None), None)
    if isinstance(constraint, dict | str | bytes | bool):
        return json.loads
    if isinstance(constraint, Predicate) and constraint.on == "value":
        return json.loads
    if _is_type(constraint):
        from structgen._types import parse_output

        return functools.partial(parse_output, type_=constraint)
    return None


def _is_type(constraint: Any) -> bool:
    return isinstance(constraint, type) or typing.get_origin(constraint) is not None


def token_sampler_for(potential: Potential, *, masks: bool = True) -> tuple[TokenSampler, Potential | None]:
    """Return the token sampler that fits a constraint, and what is left for a critic.

    Parameters
    ----------
    potential : Potential
        The constraint.
    masks : bool
        Whether the mask of its first automaton is used. Without, everything is asked token by token.

    Returns
    -------
    token_sampler : TokenSampler
        Masks where there is an automaton; adaptive weighted rejection for all else that is boolean.
    critic : Potential or None
        The factors that are scores, which no token sampler sees.
    """
    factors = potential.factors if isinstance(potential, Product) else (potential,)
    hard = [factor for factor in factors if getattr(factor, "boolean", False)]
    soft = [factor for factor in factors if not getattr(factor, "boolean", False)]
    critic = _product(soft) if soft else None
    automaton = next((f for f in hard if isinstance(f, AutomatonPotential)), None) if masks else None
    if automaton is None:
        return AWRS(_product(hard)), critic
    hard.remove(automaton)
    return MaskThenAWRS(automaton, _product(hard)) if hard else MaskSampler(automaton), critic


def _product(factors: list[Potential]) -> Potential:
    return factors[0] if len(factors) == 1 else Product(*factors)
