"""Helpers for tests, demos and benchmarks of structgen and of what is built on it."""
