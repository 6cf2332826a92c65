"""Unbiased samples of a language model, given that the output conforms (needs PyTorch)."""

from structgen.samplers._context import Context
from structgen.samplers._potentials import AutomatonPotential, BasePotential, Potential, Product

__all__ = ["AutomatonPotential", "BasePotential", "Context", "Potential", "Product"]
