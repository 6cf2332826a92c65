"""From a Lark grammar and a vocabulary to a token automaton."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

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

if TYPE_CHECKING:
    from pathlib import Path

    import lark

    from structgen._frontends.lark import Loaded


def compile_lark(
    grammar: str | Path | lark.Lark,
    vocabulary: Vocabulary,
    start: str | Sequence[str] | None = None,
    *,
    parser: Literal["lalr", "earley"] | None = None,
    lexer: Literal["auto", "contextual", "basic", "dynamic", "dynamic_complete"] | None = None,
    postlex: Any = None,
    g_regex_flags: int = 0,
    import_paths: Sequence[str | Path | Callable[[Any, str], tuple[Any, str]]] = (),
    strict: bool = False,
    json_options: Mapping[str, Any] | None = None,
    max_states: int = MAX_STATES,
    mask_cache_bytes: int = MASK_CACHE_BYTES,
    max_regex_nodes: int = MAX_REGEX_NODES,
    max_emptiness_steps: int = MAX_EMPTINESS_STEPS,
    max_compile_seconds: float = MAX_COMPILE_SECONDS,
) -> TokenAutomaton:
    r"""Compile a Lark grammar: the outputs are the texts that Lark parses.

    Parameters
    ----------
    grammar : str, pathlib.Path or lark.Lark
        The text of a grammar; the path of a file (a `str` that ends in ``.lark`` and has no line break, too);
        ``"grammars:NAME"`` for a grammar of the package; or a ``Lark`` object, whose options count.
    vocabulary : Vocabulary
        The tokens of the model.
    start : str or sequence of str, optional
        The start rule. The default is ``"start"``, for a ``Lark`` object all of its own. With
        several, a text is parsed from any of them.
    parser : {"lalr", "earley"}, optional
        ``"lalr"``, the default: Lark's LALR(1) parser, with its way of resolving shift/reduce conflicts.
        ``"earley"``: any grammar, however ambiguous.
    lexer : {"auto", "contextual", "basic", "dynamic", "dynamic_complete"}, optional
        As for ``lark.Lark``. ``"auto"``, the default, is ``"contextual"`` for LALR, and for Earley
        ``"dynamic"``, or ``"basic"`` with a `postlex`.
    postlex : lark.indenter.Indenter or "python", optional
        What makes the terminals for indentation; ``"python"`` is ``lark.indenter.PythonIndenter``. Other
        postlexers have no automaton.
    g_regex_flags : int
        Flags of :mod:`re` for all terminals.
    import_paths : sequence of str, pathlib.Path or callable
        Where ``%import`` looks first, as for ``lark.Lark``.
    strict : bool
        Refuse what Lark's strict mode refuses: shift/reduce conflicts and terminals that collide; besides,
        rules that no start rule reaches.
    json_options : mapping, optional
        Options of :func:`compile_json_schema` for all ``%json`` items, such as ``{"whitespace": "compact"}``.
    max_states, mask_cache_bytes, max_regex_nodes, max_emptiness_steps : int
        Limits, see :func:`compile_json_schema`.
    max_compile_seconds : float
        Time for the lowering of the grammar, in seconds.

    Returns
    -------
    TokenAutomaton
        The automaton over the tokens of ``vocabulary``.

    Raises
    ------
    GrammarError
        The grammar is wrong, has something that no automaton can follow, or no text can be parsed: with the
        line and column of the culprit, and often a hint.
    LimitError
        A limit was reached. Besides those above: 200,000 alternatives once the rules are written out, 10,000
        terminals inside a terminal, and those of regular expressions.
    ValueError
        An option has no such value.

    Notes
    -----
    Inside a rule, a grammar may have items beyond Lark's own, with any parser and lexer. A terminal can be
    defined as one of them, too (where it is never empty). Each is a language: every way to split a text
    between it and its neighbours counts.

    ``%json {...}``
        A JSON text whose value validates against this schema.
    ``%regex /.../flags``
        Any text that :func:`re.fullmatch` matches, while a terminal is the first match that a lexer finds.
    ``%text "stop"``
        Free text, maybe empty, that does not hold ``stop``. With the same string directly behind it, that is
        the first ``stop`` in the text, even where ``stop`` could overlap itself (``%text "aba" "aba"``
        does not match ``ababa``).
    ``%text``, ``%text <|name|>``
        Free text, any at all: the second says that a special token stops it, which no text holds.
    ``<|name|>``, ``<name>``, ``<[17]>``
        The special token that is spelt so, or ``name`` without the brackets (``<[TOOL_CALLS]>`` is the token
        ``[TOOL_CALLS]``), or that has this id. It adds no bytes to the output.

    See ``docs/lark.md``.
    """
    from structgen._frontends.lark import GrammarLowering

    loaded = _load(grammar, start, parser, lexer, postlex, g_regex_flags, import_paths, strict)
    builder = new_builder(
        vocabulary,
        max_regex_nodes=max_regex_nodes,
        max_emptiness_steps=max_emptiness_steps,
        max_compile_seconds=max_compile_seconds,
    )
    lowering = GrammarLowering(
        loaded, builder, vocabulary, {"max_compile_seconds": max_compile_seconds, **(json_options or {})}
    )
    automaton = builder.finish(lowering.lower(), max_states=max_states, mask_cache_bytes=mask_cache_bytes)
    if automaton is None:
        raise lowering.nothing()
    automaton.vocabulary = vocabulary
    if lowering.asking:
        automaton.lowering = lowering.asking
    return automaton


def _load(
    grammar: str | Path | lark.Lark,
    start: str | Sequence[str] | None,
    parser: str | None,
    lexer: str | None,
    postlex: Any,
    g_regex_flags: int,
    import_paths: Sequence[Any],
    strict: bool,
) -> Loaded:
    from pathlib import Path

    from structgen._frontends.lark import load_lark, load_text, options_of_lark, options_of_text, read_grammar

    if isinstance(grammar, (str, Path)):
        options = options_of_text(start, parser, lexer, postlex, g_regex_flags, import_paths, strict)
        return load_text(*read_grammar(grammar), options)
    import lark

    if not isinstance(grammar, lark.Lark):
        raise TypeError(f"grammar must be a str, a Path or a lark.Lark, not {type(grammar).__name__}")
    if parser or lexer or postlex is not None or g_regex_flags or import_paths or strict:
        raise ValueError("a Lark object has its options already: only start can be chosen")
    return load_lark(grammar, options_of_lark(grammar, start))
