"""GBNF, the grammar format of llama.cpp, lowered straight into builder calls."""

from typing import TYPE_CHECKING

from structgen._errors import GrammarError, LimitError

from ._ast import references
from ._lower import Lowering
from ._parser import parse_gbnf, place
from ._recursion import endless_rules, nullable_rules, order_of_beginnings, with_loops

if TYPE_CHECKING:
    from structgen._core import Builder

__all__ = ["find_useless", "lower_gbnf", "nothing_matches"]


def lower_gbnf(grammar: str, builder: "Builder", root: str = "root") -> int:
    """Lower a GBNF grammar; return its start expression.

    Raises
    ------
    GrammarError
        The text is no GBNF grammar, a rule is missing or begins with itself, or something is not supported.
    LimitError
        A limit of this front end or of the builder was reached.
    """
    try:
        rules = {name: with_loops(rule) for name, rule in parse_gbnf(grammar, root).items()}
        nullable = nullable_rules(rules)
        order = order_of_beginnings(grammar, rules, nullable)
        lowering = Lowering(builder, rules, nullable)
        start = lowering.lower(root)
        lowering.check_beginnings(order)
    except RecursionError:
        raise LimitError("the grammar nests too deeply") from None
    return start


def nothing_matches(grammar: str, root: str) -> GrammarError:
    """Make the error for a grammar that has no text, naming the rules that never end where there are any."""
    rules = parse_gbnf(grammar, root)
    endless = endless_rules(rules)
    if root not in endless:
        reason = f"rule {root!r} has no text that this vocabulary can spell"
        line, column = place(grammar, rules[root].position)
        return GrammarError(reason, source=grammar, line=line, column=column)
    # Naming the last of them names the one that the others need, as a rule.
    first = endless[-1]
    reason = f"rule {first!r} has no text: every option needs a rule that never ends"
    line, column = place(grammar, rules[first].position)
    hint = "these never end: " + ", ".join(endless[:10]) + (", …" if len(endless) > 10 else "")
    return GrammarError(reason, source=grammar, line=line, column=column, hint=hint)


def find_useless(grammar: str, root: str) -> list[tuple[str, str, int, int]]:
    """Return the rules that no text needs: name, reason, line and column of each, in the order of the text.

    Raises
    ------
    GrammarError, LimitError
        As :func:`lower_gbnf`.
    """
    rules = parse_gbnf(grammar, root)
    reached = {root}
    waiting = [root]
    while waiting:
        for reference in references(rules[waiting.pop()].body):
            if reference.name not in reached:
                reached.add(reference.name)
                waiting.append(reference.name)
    reasons = dict.fromkeys(endless_rules(rules), "has no text: every option needs a rule that never ends")
    reasons |= {name: f"is never reached from {root!r}" for name in rules if name not in reached}
    found = [(name, reason, *place(grammar, rules[name].position)) for name, reason in reasons.items()]
    return sorted(found, key=lambda one: one[2:])
