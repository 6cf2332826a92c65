"""The builders that front ends lower into."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

from structgen._core import Builder
from structgen._vocabulary import Vocabulary

# What stands between a front end and its builder, while a cache records what is built.
wrapping: ContextVar[Callable[[Builder], Builder] | None] = ContextVar("wrapping", default=None)


def new_builder(
    vocabulary: Vocabulary,
    *,
    max_regex_nodes: int,
    max_emptiness_steps: int,
    max_compile_seconds: float,
) -> Builder:
    """Return a builder for one grammar."""
    builder = Builder(
        vocabulary.native,
        max_regex_nodes=max_regex_nodes,
        max_emptiness_steps=max_emptiness_steps,
        max_seconds=max_compile_seconds,
    )
    wrap = wrapping.get()
    return builder if wrap is None else wrap(builder)
