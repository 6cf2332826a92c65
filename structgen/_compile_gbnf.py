"""From a GBNF grammar and a vocabulary to a token automaton."""

from structgen._building import new_builder
from structgen._compile import (
    MASK_CACHE_BYTES,
    MAX_COMPILE_SECONDS,
    MAX_EMPTINESS_STEPS,
    MAX_REGEX_NODES,
    MAX_STATES,
)
from structgen._core import TokenAutomaton
from structgen._vocabulary import Vocabulary


def compile_gbnf(
    grammar: str,
    vocabulary: Vocabulary,
    *,
    root: str = "root",
    max_states: int = MAX_STATES,
    mask_cache_bytes: int = MASK_CACHE_BYTES,
    max_regex_nodes: int = MAX_REGEX_NODES,
    max_emptiness_steps: int = MAX_EMPTINESS_STEPS,
    max_compile_seconds: float = MAX_COMPILE_SECONDS,
) -> TokenAutomaton:
    r"""Compile a GBNF grammar, the format of llama.cpp: the whole output is a text of its root rule.

    Parameters
    ----------
    grammar : str
        The grammar.
    vocabulary : Vocabulary
        The tokens of the model.
    root : str
        The rule that the whole output matches.
    max_states, mask_cache_bytes, max_regex_nodes, max_emptiness_steps : int
        Limits, see :func:`compile_json_schema`.
    max_compile_seconds : float
        Time for the compilation, in seconds.

    Returns
    -------
    TokenAutomaton
        The automaton over the tokens of ``vocabulary``.

    Raises
    ------
    GrammarError
        The grammar is invalid, is left-recursive, refers to tokens (``<think>``), or no text matches it: with
        the line and the column of the culprit, where there is one.
    LimitError
        A limit was reached.

    Notes
    -----
    GBNF describes characters: there is no lexer and no white space of its own, every derivation counts, and
    any tokenisation of a text will do. What is read how, and the limits, is in ``docs/gbnf.md``.
    """
    # Imported by the first compilation, as all front ends.
    from structgen._frontends.gbnf import lower_gbnf, nothing_matches

    builder = new_builder(
        vocabulary,
        max_regex_nodes=max_regex_nodes,
        max_emptiness_steps=max_emptiness_steps,
        max_compile_seconds=max_compile_seconds,
    )
    start = lower_gbnf(grammar, builder, root)
    automaton = builder.finish(start, max_states=max_states, mask_cache_bytes=mask_cache_bytes)
    if automaton is None:
        raise nothing_matches(grammar, root)
    automaton.vocabulary = vocabulary
    return automaton
