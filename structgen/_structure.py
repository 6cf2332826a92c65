"""What automata of Lark grammars and JSON Schemas tell of the structure of a text."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Event(NamedTuple):
    """Something that happened in the structure of a grammar, or of JSON, while a token was read.

    Attributes
    ----------
    kind : {"terminal", "ignored", "open", "close", "unknown"}
        ``"terminal"``: a terminal is complete and the parser has taken it; also the indents and dedents that
        an indenter adds. ``"ignored"``: a terminal is complete that the parser is not shown. ``"open"``: from
        here on it is certain that this rule is being read. ``"close"``: the rule is complete.
        ``"unknown"``: what happened depends on what follows. It is not told later, either. In JSON, rules are
        the schemas of objects and arrays.
    name : str
        Of a terminal: its name, or how the grammar writes it where it has none. Of a rule: its alias, or its
        name. Of a schema: where it stands, as in ``$ref``. Empty for ``"unknown"``.
    position : int
        The bytes of the token up to the end of the lexeme that decided the event. A lexeme whose end is known
        only by what follows it ends in front of that: ``0`` is the end of the text before the token.
    """

    kind: Literal["terminal", "ignored", "open", "close", "unknown"]
    name: str
    position: int
