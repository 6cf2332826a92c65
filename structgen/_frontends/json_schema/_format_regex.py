"""The format ``regex``: the tokens of ECMA-262 patterns and the nesting of their groups.

A predicate decides the rest: bounds in order in ``[b-a]`` and ``{2,1}``, references to groups that exist,
names of groups that do not repeat.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from structgen._frontends.regex import lower_ecma
from structgen._frontends.regex._ecma_syntax import BINARY_PROPERTIES, GENERAL_CATEGORIES, SCRIPTS
from structgen._frontends.regex._limits import MAX_NESTING

if TYPE_CHECKING:
    from structgen._frontends.regex import RegexBuilder

_NAME = r"<[A-Za-z_$\x80-\u{10ffff}][A-Za-z0-9_$\x80-\u{10ffff}]*>"
_ASSERTION = r"[\^$]|\\[bB]"
# Without Unicode mode, a backslash may stand before whatever cannot continue an identifier.
_ESCAPE = (
    r"\\(?:[dDsSwWfnrtv]|0(?![0-9])|c[A-Za-z]|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|[^A-Za-z0-9_]"
    r"|u\{0*(?:10|[0-9A-Fa-f])?[0-9A-Fa-f]{1,4}\})"
)
_REFERENCE = rf"\\(?:[1-9][0-9]*|k{_NAME})"
_QUANTIFIER = r"(?:[*+?]|\{[0-9]+(?:,[0-9]*)?\})\??"
_GROUP = rf"\((?:\?(?::|{_NAME}|[ims]*(?:-[ims]*)?:))?"
_LOOKAROUND = r"\(\?<?[=!]"


def lower_regex(builder: RegexBuilder) -> int:
    """Lower the format ``regex``."""

    def lower(pattern: str) -> int:
        return lower_ecma(pattern, builder, search=False)

    def words(prefixes: list[str], names: frozenset[str]) -> int:
        return builder.re_concat([builder.re_words(prefixes), builder.re_words(sorted(names))])

    named = builder.re_union(
        [
            builder.re_words(sorted(BINARY_PROPERTIES | GENERAL_CATEGORIES)),
            words(["gc=", "General_Category="], GENERAL_CATEGORIES),
            words(["sc=", "Script=", "scx=", "Script_Extensions="], SCRIPTS),
        ]
    )
    escape = builder.re_union(
        [lower(_ESCAPE), builder.re_concat([lower(r"\\[pP]\{"), named, builder.re_literal("}")])]
    )
    member = builder.re_union([lower(r"[^\]\\]|\\b"), escape])
    in_brackets = builder.re_concat([lower(r"\[\^?"), builder.re_repeat(member, 0, -1), lower(r"\]")])
    atom = builder.re_union([lower(rf"[^\\^$*+?()\[\]\{{\}}|]|{_REFERENCE}"), escape, in_brackets])
    quantifier = builder.re_repeat(lower(_QUANTIFIER), 0, 1)
    closed, looked = builder.re_concat([lower(r"\)"), quantifier]), lower(r"\)")
    group, lookaround = lower(_GROUP), lower(_LOOKAROUND)
    flat = builder.re_union([builder.re_concat([atom, quantifier]), lower(rf"{_ASSERTION}|\|")])
    pattern = builder.re_repeat(flat, 0, -1)
    for _ in range(MAX_NESTING):
        nested = [
            builder.re_concat([group, pattern, closed]),
            builder.re_concat([lookaround, pattern, looked]),
        ]
        pattern = builder.re_repeat(builder.re_union([flat, *nested]), 0, -1)
    return pattern
