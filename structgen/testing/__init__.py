"""Helpers for tests, demos and benchmarks of structgen and of what is built on it."""

from structgen.testing._potential_laws import PotentialLaws

__all__ = ["PotentialLaws"]
