"""Unbiased samples of a language model, given that the output conforms (needs PyTorch)."""

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise ImportError(f"structgen.samplers needs PyTorch ({error}): pip install 'structgen[hf]'") from error

from structgen.samplers._beam_groups import Hypothesis
from structgen.samplers._beams import BeamSequence, DiverseBeamSearch
from structgen.samplers._context import Context
from structgen.samplers._dissimilarity import Cumulative, Embedding, NGram, Structural
from structgen.samplers._draws import Draw, awrs_draw, mask_draw
from structgen.samplers._guards import JsonSchemaGuard, LanguageModelPotential, Predicate, SuffixRegex
from structgen.samplers._language_models import HuggingFaceModel, LanguageModel, Rows, TableModel
from structgen.samplers._mcmc import SuffixMCMC
from structgen.samplers._methods import ExactRejection, GrammarAligned, LocallyConstrained, SampleAndRerank
from structgen.samplers._potentials import AutomatonPotential, BasePotential, Potential, Product
from structgen.samplers._results import Death, SamplingResult, Sequence
from structgen.samplers._smc import SMC
from structgen.samplers._token_samplers import AWRS, MaskSampler, MaskThenAWRS, Proposal, TokenSampler

__all__ = [
    "AWRS",
    "SMC",
    "AutomatonPotential",
    "BasePotential",
    "BeamSequence",
    "Context",
    "Cumulative",
    "Death",
    "DiverseBeamSearch",
    "Draw",
    "Embedding",
    "ExactRejection",
    "GrammarAligned",
    "HuggingFaceModel",
    "Hypothesis",
    "JsonSchemaGuard",
    "LanguageModel",
    "LanguageModelPotential",
    "LocallyConstrained",
    "MaskSampler",
    "MaskThenAWRS",
    "NGram",
    "Potential",
    "Predicate",
    "Product",
    "Proposal",
    "Rows",
    "SampleAndRerank",
    "SamplingResult",
    "Sequence",
    "Structural",
    "SuffixMCMC",
    "SuffixRegex",
    "TableModel",
    "TokenSampler",
    "awrs_draw",
    "mask_draw",
]
