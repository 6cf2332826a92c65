"""From a grammar and a vocabulary to a token automaton."""

import functools
from typing import TYPE_CHECKING, Any, Literal

from structgen._building import new_builder
from structgen._core import TokenAutomaton
from structgen._errors import RegexError
from structgen._vocabulary import Vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable

    from referencing import Registry

    from structgen._frontends.json_schema import Options
    from structgen._frontends.json_schema._lower import Lowering

# The front ends are imported by the first compilation: they are most of what `import structgen` would take.

MAX_STATES = 4_000_000
MASK_CACHE_BYTES = 64 << 20
MAX_REGEX_NODES = 2_000_000
MAX_EMPTINESS_STEPS = 2_000_000
MAX_COMPILE_SECONDS = 60.0


@functools.cache
def _json_schema() -> "tuple[type[Options], Callable[..., tuple[int, Lowering]]]":
    from structgen._frontends.json_schema import Options, lower_json_schema

    return Options, lower_json_schema


def compile_regex(
    pattern: str,
    vocabulary: Vocabulary,
    *,
    flavor: Literal["python", "ecma"] = "python",
    flags: int = 0,
    max_states: int = MAX_STATES,
    mask_cache_bytes: int = MASK_CACHE_BYTES,
    max_regex_nodes: int = MAX_REGEX_NODES,
    max_emptiness_steps: int = MAX_EMPTINESS_STEPS,
    max_compile_seconds: float = MAX_COMPILE_SECONDS,
) -> TokenAutomaton:
    """Compile a regular expression: the whole output matches it.

    Parameters
    ----------
    pattern : str
        The pattern.
    vocabulary : Vocabulary
        The tokens of the model.
    flavor : {"python", "ecma"}
        ``"python"`` reads the syntax of :mod:`re`, ``"ecma"`` that of ECMA-262.
        In both, the whole text has to match, as in :func:`re.fullmatch`.
    flags : int
        Flags of :mod:`re`; only for the Python flavor.
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
    RegexError
        The pattern is invalid, is not regular (a backreference, say), or no text matches it.
    LimitError
        A limit was reached.
    """
    from structgen._frontends.regex import lower_ecma, lower_python

    builder = new_builder(
        vocabulary,
        max_regex_nodes=max_regex_nodes,
        max_emptiness_steps=max_emptiness_steps,
        max_compile_seconds=max_compile_seconds,
    )
    if flavor == "python":
        regex = lower_python(pattern, builder, flags)
    elif flavor == "ecma":
        if flags:
            raise ValueError("flags belong to the Python flavor")
        regex = lower_ecma(pattern, builder, search=False)
    else:
        raise ValueError(f"flavor must be 'python' or 'ecma', not {flavor!r}")
    automaton = builder.finish(builder.text(regex), max_states=max_states, mask_cache_bytes=mask_cache_bytes)
    if automaton is None:
        raise RegexError("no text of this vocabulary matches the pattern", pattern=pattern)
    automaton.vocabulary = vocabulary
    return automaton


def compile_json_schema(
    schema: dict[str, Any] | str | bytes | bool,
    vocabulary: Vocabulary,
    *,
    whitespace: str = "flexible",
    property_order: Literal["schema", "any"] = "schema",
    escapes: Literal["minimal", "all"] = "minimal",
    numbers: Literal["plain", "all"] = "plain",
    duplicate_keys: Literal["undeclared", "forbid"] = "undeclared",
    formats: Literal["assert", "annotate"] = "assert",
    draft: Literal["4", "6", "7", "2019-09", "2020-12"] | None = None,
    registry: "Registry[Any] | None" = None,
    nullable: bool = False,
    max_states: int = MAX_STATES,
    mask_cache_bytes: int = MASK_CACHE_BYTES,
    max_regex_nodes: int = MAX_REGEX_NODES,
    max_emptiness_steps: int = MAX_EMPTINESS_STEPS,
    max_schema_nodes: int = 1_000_000,
    max_branches: int = 4096,
    max_compile_seconds: float = MAX_COMPILE_SECONDS,
) -> TokenAutomaton:
    r"""Compile a JSON Schema: the output is a JSON text whose value validates.

    A JSON value has many spellings; the options say which of them the language holds, exactly.

    Parameters
    ----------
    schema : dict, str, bytes or bool
        The schema, or its JSON text (whose numbers are read as exact decimals).
    vocabulary : Vocabulary
        The tokens of the model.
    whitespace : str
        ``"flexible"``: up to 64 characters of JSON white space before the document and after every lexeme.
        ``"compact"``: none. Anything else is a regular expression (Python flavor) for the text in these
        places; it may match nothing but space, tab, line feed and carriage return.
    property_order : {"schema", "any"}
        ``"schema"``: declared keys in the order of the schema, then keys that are required but not
        declared; other keys anywhere between. ``"any"``: any order.
    escapes : {"minimal", "all"}
        ``"minimal"``: strings as ``json.dumps(..., ensure_ascii=False)`` writes them. ``"all"``: every
        legal escape. Keys are compared decoded in both. No string holds a lone surrogate.
    numbers : {"plain", "all"}
        ``"plain"``: integers as digits, other numbers with an optional fraction, and with an exponent
        where the number has neither bounds nor an enumeration. ``"all"``: every spelling of an allowed
        value; where there are bounds, an enumeration or the type integer, with exponents from -20 to 20
        (zero: any exponent).
    duplicate_keys : {"undeclared", "forbid"}
        A declared key never repeats. ``"undeclared"``: other keys may, unless their number, or which of them
        there are, decides something. ``"forbid"``: no key repeats.
    formats : {"assert", "annotate"}
        ``"assert"``: ``format`` is enforced, in every draft with the formats of 2020-12 and those of
        :func:`register_format`. ``"annotate"``: it is ignored. Unknown formats never constrain anything.
    draft : {"4", "6", "7", "2019-09", "2020-12"}, optional
        The draft of the schema. By default ``$schema`` says it, else it is 2020-12. Where ``$schema`` names a
        metaschema of the registry, that says the draft and, by ``$vocabulary``, which keywords count.
    registry : referencing.Registry, optional
        Where references that leave the document lead. Nothing is fetched unless its retriever does. The
        metaschemas of all drafts are always there.
    nullable : bool
        Read ``nullable: true`` next to ``type`` as OpenAPI 3.0 does: null is allowed, too.
    max_states : int
        States that the automaton may reach.
    mask_cache_bytes : int
        Memory for masks, in bytes; masks beyond it are evicted and made again.
    max_regex_nodes : int
        Regex residuals that may be made.
    max_emptiness_steps : int
        Steps of the search that decides whether an intersection of patterns is empty.
    max_schema_nodes : int
        Conjunctions of subschemas that may be made.
    max_branches : int
        Combinations of ``anyOf`` branches that may be made for one value.
    max_compile_seconds : float
        Time for the lowering of the schema, in seconds.

    Returns
    -------
    TokenAutomaton
        The automaton over the tokens of ``vocabulary``.

    Raises
    ------
    SchemaError
        The schema is invalid, or uses something that cannot be enforced exactly: with the JSON Pointer of the
        culprit, the keyword, the reason, and often a hint.
    UnsatisfiableSchemaError
        No value satisfies the schema.
    LimitError
        A limit was reached. Besides those above: numeric bounds and constants of at most 1,100 digits,
        counts below 2**31 - 1 (larger upper counts are no bound), 64 nested schemas for one and the same
        value, 256 classes of keys made by the patterns of an object.

    Notes
    -----
    ``format`` with an unknown name, unknown keywords and annotations constrain nothing, as the specification
    says. Every keyword, and every limit, is described in ``docs/json-schema.md``.
    """
    options_of, lower_json_schema = _json_schema()
    options = options_of(
        whitespace=whitespace,
        property_order=property_order,
        escapes=escapes,
        numbers=numbers,
        duplicate_keys=duplicate_keys,
        formats=formats,
        draft=draft,
        registry=registry,
        nullable=nullable,
        max_schema_nodes=max_schema_nodes,
        max_branches=max_branches,
        max_compile_seconds=max_compile_seconds,
    )
    builder = new_builder(
        vocabulary,
        max_regex_nodes=max_regex_nodes,
        max_emptiness_steps=max_emptiness_steps,
        max_compile_seconds=max_compile_seconds,
    )
    start, lowering = lower_json_schema(schema, builder, options)
    automaton = builder.finish(start, max_states=max_states, mask_cache_bytes=mask_cache_bytes)
    if automaton is None:
        raise lowering.unsatisfiable()
    automaton.vocabulary = vocabulary
    if lowering.asks:
        automaton.lowering = lowering
    return automaton
