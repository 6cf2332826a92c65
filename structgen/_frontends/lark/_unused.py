"""What of a Lark grammar nothing leads to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from structgen._frontends.lark._directives import place
from structgen._frontends.lark._sources import _WORD, _words

_IGNORE = re.compile(r"^[ \t]*%ignore\b([^\n]*)", re.MULTILINE)


class Unused(NamedTuple):
    """A rule or terminal that nothing leads to, and where it is defined; both counted from 1."""

    name: str
    line: int
    column: int


def find_unused(text: str, starts: Sequence[str]) -> list[Unused]:
    """Return the rules and terminals, defined in the text of a grammar, that no start rule leads to.

    What is ignored is used, and so is what changes an imported definition (``%extend``, ``%override``).
    """
    uses: dict[str, set[str]] = {}
    places: dict[str, int] = {}
    roots = set(starts)
    for statement in _IGNORE.finditer(text):
        roots.update(_WORD.findall(statement[1]))
    for word, offset, definition in _words(text):
        if definition is None:
            continue
        if word == definition and word not in places:
            places[word] = offset
            uses[word] = set()
            if "%" in text[text.rfind("\n", 0, offset) + 1 : offset]:
                roots.add(word)
        else:
            uses[definition].add(word)
    reached: set[str] = set()
    waiting = list(roots)
    while waiting:
        one = waiting.pop()
        if one not in reached:
            reached.add(one)
            waiting += uses.get(one, ())
    return [Unused(name, *place(text, offset)) for name, offset in places.items() if name not in reached]
