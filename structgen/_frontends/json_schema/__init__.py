"""JSON Schema, drafts 4 to 2020-12, lowered straight into builder calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from structgen._errors import LimitError

from ._guards import known_regexes
from ._lower import Lowering
from ._options import WHITESPACE_LIMIT, Options
from ._resolve import Document, parse_document

if TYPE_CHECKING:
    from structgen._core import Builder

__all__ = [
    "WHITESPACE_LIMIT",
    "Options",
    "lower_json_schema",
    "lower_start",
    "new_lowering",
    "parse_document",
]

_WHITESPACE = [(0x20, 0x20), (0x0A, 0x0A), (0x0D, 0x0D), (0x09, 0x09)]


def lower_json_schema(schema: Any, builder: Builder, options: Options) -> tuple[int, Lowering]:
    """Lower a schema; return its start expression and the lowering, which can name culprits.

    Parameters
    ----------
    schema : dict, str, bytes or bool
        The schema, or its JSON text.
    builder : Builder
        A builder that nothing has been lowered into yet.
    options : Options
        Which spellings of a value the language holds.

    Raises
    ------
    SchemaError
        The schema is invalid or cannot be enforced exactly.
    UnsatisfiableSchemaError
        No value satisfies the schema.
    LimitError
        A limit of the options or of the builder was reached.
    """
    lowering = new_lowering(parse_document(schema), builder, options)
    start = lower_start(lowering)
    # The lowering has the builder, which must not have it in turn.
    document, nodes_of = lowering.document, lowering.nodes_of
    builder.name_nodes(lambda: _named_nodes(document, nodes_of))
    return start, lowering


def _named_nodes(document: Document, nodes_of: dict[int, tuple[Any, ...]]) -> list[tuple[int, list[str]]]:
    from ._node_names import node_names

    return node_names(document, nodes_of)


def new_lowering(document: Any, builder: Builder, options: Options) -> Lowering:
    """Return the lowering of a parsed document, to be run by :func:`lower_start`."""
    whitespace = _whitespace(builder, options.whitespace)
    return Lowering(Document(document, options.draft, options.registry), builder, options, whitespace)


def lower_start(lowering: Lowering) -> int:
    """Lower everything; return the start expression."""
    builder = lowering.builder
    try:
        value = lowering.lower_document()
    except RecursionError:
        raise lowering.located(LimitError("the schema or a constant is nested too deeply")) from None
    except LimitError as error:
        raise lowering.located(error) from error
    if lowering.whitespace == builder.re_epsilon():
        return value
    return builder.sequence([builder.text(lowering.whitespace), value])


def _whitespace(builder: Builder, whitespace: str) -> int:
    """Return the regex of the white space before a document and after a lexeme."""
    if whitespace == "compact":
        return builder.re_epsilon()
    known = known_regexes(builder.tables)
    if whitespace == "flexible" and whitespace in known:
        return int(known[whitespace])
    blank = builder.re_chars(_WHITESPACE)
    if whitespace == "flexible":
        known[whitespace] = builder.re_repeat(blank, 0, WHITESPACE_LIMIT)
        return int(known[whitespace])
    from structgen._frontends.regex import lower_python

    regex = lower_python(whitespace, builder)
    other = builder.re_intersection([regex, builder.re_complement(builder.re_repeat(blank, 0, -1))])
    if not builder.re_is_empty(other):
        found = builder.re_shortest(other)
        raise ValueError(f"whitespace={whitespace!r} matches {found!r}, which is no JSON white space")
    if builder.re_is_empty(regex):
        raise ValueError(f"whitespace={whitespace!r} matches nothing, not even the empty string")
    return regex
