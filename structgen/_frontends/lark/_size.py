"""How large Lark's loader will make a grammar, before it does.

Lark writes ``(a | b)~9`` out as 512 alternatives and terminals out inside each other, so that a short grammar
can become endlessly large. The sizes follow from its trees.
"""

from __future__ import annotations

from typing import Any

from lark import Tree
from lark.load_grammar import REPEAT_BREAK_THRESHOLD, Grammar

from structgen._errors import LimitError

MAX_ALTERNATIVES = 200_000
MAX_PATTERN_LENGTH = 1 << 20
MAX_PARTS = 10_000


def check_sizes(grammar: Grammar) -> None:
    """Refuse a grammar that becomes too large.

    Raises
    ------
    LimitError
        A rule has too many alternatives once it is written out, or a terminal's pattern is too long.
    """
    for name, (tree, _) in grammar.term_defs:
        if tree is not None and _Lengths().of(tree) > MAX_PATTERN_LENGTH:
            raise LimitError(
                f"the pattern of terminal {str(name)!r} is longer than {MAX_PATTERN_LENGTH} characters",
                limit="max_pattern_length",
                value=MAX_PATTERN_LENGTH,
            )
    total = 0
    for name, _, tree, _ in grammar.rule_defs:
        if tree is None:
            continue
        count = _Alternatives()
        total += count.of(tree) + count.helpers
        if total > MAX_ALTERNATIVES:
            raise LimitError(
                f"with rule {str(name)!r}, the rules have more than {MAX_ALTERNATIVES} alternatives",
                limit="max_alternatives",
                value=MAX_ALTERNATIVES,
            )


class _Alternatives:
    """Counts the alternatives of a rule's tree, each product of groups written out."""

    def __init__(self) -> None:
        self.helpers = 0  # alternatives of the rules that Lark adds for repetitions

    def of(self, node: Any) -> int:
        if not isinstance(node, Tree) or node.data in ("value", "pattern", "literal", "range"):
            return 1
        if node.data == "expansions":
            return min(sum(self.of(child) for child in node.children), MAX_ALTERNATIVES + 1)
        if node.data == "maybe":
            return self.of(node.children[0]) + 1
        if node.data == "expr":
            return self._repeated(self.of(node.children[0]), *map(str, node.children[1:]))
        if node.data == "alias":
            return self.of(node.children[0])
        product = 1
        for child in node.children if node.data == "expansion" else ():
            product = min(product * self.of(child), MAX_ALTERNATIVES + 1)
        return product

    def _repeated(self, inner: int, operator: str, *counts: str) -> int:
        if operator == "?":
            return inner + 1
        if operator in ("+", "*"):
            self.helpers += 2 * inner
            return 1 if operator == "+" else 2
        low, high = int(counts[0]), int(counts[-1])
        total = 0
        # Longer repetitions are split into rules of at most five copies each.
        for count in range(low, high + 1) if high < REPEAT_BREAK_THRESHOLD else (5,):
            total += inner ** min(count, 64) if inner > 1 else 1
            if total > MAX_ALTERNATIVES:
                break
        if high >= REPEAT_BREAK_THRESHOLD:
            self.helpers += total * (high.bit_length() + 1)
            return 1
        return total


class _Lengths:
    """Adds up the lengths of patterns; terminals in terminals are shared trees."""

    def __init__(self) -> None:
        self._known: dict[int, int] = {}

    def of(self, node: Any) -> int:
        if not isinstance(node, Tree):
            return len(str(node)) + 4
        known = self._known.get(id(node))
        if known is None:
            known = 4 + sum(self.of(child) for child in node.children)
            self._known[id(node)] = known
        return known
