"""Random sentences of a Lark grammar, as lists of terminal names, and random mutations of texts."""

import random
from collections import defaultdict
from collections.abc import Sequence
from math import inf

from lark import Lark
from lark.grammar import Rule, Symbol


class Sentences:
    """Leftmost derivations that grow until a budget of terminals is used up and then end quickly."""

    def __init__(self, parser: Lark) -> None:
        self.rules: defaultdict[str, list[Rule]] = defaultdict(list)
        for rule in parser.rules:
            self.rules[rule.origin.name].append(rule)
        self._shortest: dict[str, float] = dict.fromkeys(self.rules, inf)
        changed = True
        while changed:
            changed = False
            for name, rules in self.rules.items():
                best = min(self._cost(rule) for rule in rules)
                if best < self._shortest[name]:
                    self._shortest[name] = best
                    changed = True

    def _cost(self, rule: Rule) -> float:
        return 1 + sum(1 if symbol.is_term else self._shortest[symbol.name] for symbol in rule.expansion)

    def sentence(self, start: str, budget: int, source: random.Random) -> list[str]:
        """Terminal names of one sentence, of about `budget` terminals."""
        names: list[str] = []
        stack: list[tuple[str, bool]] = [(start, False)]
        pending = self._shortest[start]
        while stack:
            name, is_terminal = stack.pop()
            if is_terminal:
                names.append(name)
                continue
            rules = self.rules[name]
            pending -= self._shortest[name]
            if len(names) + pending > budget:
                best = min(self._cost(rule) for rule in rules)
                rules = [rule for rule in rules if self._cost(rule) == best]
            expansion: Sequence[Symbol] = source.choice(rules).expansion
            pending += sum(0 if symbol.is_term else self._shortest[symbol.name] for symbol in expansion)
            stack.extend((symbol.name, symbol.is_term) for symbol in reversed(expansion))
        return names


def mutations(text: str, count: int, source: random.Random, alphabet: Sequence[str]) -> list[str]:
    """Texts that differ from `text` in one place: something taken out, put in, swapped or doubled."""
    lines = text.split("\n")
    result = []
    for _ in range(count):
        at = source.randrange(len(text))
        end = min(len(text), at + source.randint(1, 6))
        row = source.randrange(len(lines))
        other = source.randrange(len(lines))
        changed = list(lines)
        match source.randrange(8):
            case 0:
                result.append(text[:at] + text[at + 1 :])
            case 1:
                result.append(text[:at] + source.choice(alphabet) + text[at:])
            case 2:
                result.append(text[:at] + source.choice(alphabet) + text[at + 1 :])
            case 3:
                result.append(text[:at] + text[end:])
            case 4:
                result.append(text[:end] + text[at:])
            case 5:
                del changed[row]
                result.append("\n".join(changed))
            case 6:
                changed.insert(row, lines[other])
                result.append("\n".join(changed))
            case _:
                changed[row], changed[other] = changed[other], changed[row]
                result.append("\n".join(changed))
    return result
