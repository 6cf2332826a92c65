"""Structured generation inside other runtimes: one module each, which says what has to be installed."""
