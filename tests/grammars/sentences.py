"""Sentences of a Lark grammar and small changes to texts, both by a seeded random number generator."""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from lark import Lark
from lark.exceptions import UnexpectedInput
from lark.grammar import NonTerminal, Rule, Symbol
from lark.lexer import PatternStr

ROOT = Path(__file__).parents[2]
TEXTS = Path(__file__).parent / "texts"


def load(name: str, start: str | list[str] = "start") -> Lark:
    """Return the parser that lark makes of one of our grammars; conflicts and collisions are errors."""
    return Lark((ROOT / "grammars" / f"{name}.lark").read_text(), parser="lalr", start=start, strict=True)


def parses(parser: Lark, text: str, start: str | None = None) -> bool:
    """Say whether lark parses a text."""
    try:
        parser.parse(text, start=start)
    except UnexpectedInput:
        return False
    return True


def texts(name: str, separator: str) -> list[str]:
    """Return the texts of a corpus, which stand between lines that are equal to `separator`."""
    found = (TEXTS / name).read_text().split(f"{separator}\n" if separator else "\n")
    return [text for text in found if text]


class Sentences:
    """Random sentences of a grammar, as lists of lexemes.

    Parameters
    ----------
    parser
        The grammar.
    samples
        Texts for each terminal that is not a plain string.
    """

    def __init__(self, parser: Lark, samples: Mapping[str, Sequence[str]]) -> None:
        self._rules: dict[Symbol, list[Rule]] = {}
        for rule in parser.rules:
            self._rules.setdefault(rule.origin, []).append(rule)
        self._samples = {
            t.name: [t.pattern.value] if isinstance(t.pattern, PatternStr) else samples[t.name]
            for t in parser.terminals
            if t.name not in parser.ignore_tokens
        }
        self._height: dict[Symbol, int] = {}
        changed = True
        while changed:
            changed = False
            for origin, rules in self._rules.items():
                height = min(1 + self._height_of(rule) for rule in rules)
                if height < self._height.get(origin, 1_000):
                    self._height[origin] = height
                    changed = True

    def _height_of(self, rule: Rule) -> int:
        return max((self._height.get(s, 1_000) for s in rule.expansion if not s.is_term), default=0)

    def make(self, rng: random.Random, start: str = "start", size: int = 60) -> list[str]:
        """Return the lexemes of a sentence: freely chosen rules for `size` steps, then the shortest."""
        lexemes: list[str] = []
        pending: list[Symbol] = [NonTerminal(start)]
        while pending:
            symbol = pending.pop()
            if symbol.is_term:
                lexemes.append(rng.choice(self._samples[symbol.name]))
                continue
            rules = self._rules[symbol]
            if size <= 0:
                lowest = min(map(self._height_of, rules))
                rules = [rule for rule in rules if self._height_of(rule) == lowest]
            size -= 1
            pending.extend(reversed(rng.choice(rules).expansion))
        return lexemes


def mutate(rng: random.Random, text: str, pieces: Sequence[str]) -> str:
    """Return `text` with one to three small changes, some of which insert one of `pieces`."""
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        start = rng.randrange(len(text) + 1)
        end = min(len(text), start + rng.choice([1, 1, 2, 5]))
        change = rng.randrange(5)
        if change == 0:
            text = text[:start] + text[end:]
        elif change == 1:
            text = text[:start] + rng.choice(pieces) + text[end:]
        elif change == 2:
            text = text[:end] + text[start:]
        elif change == 3:
            other = rng.randrange(len(text) + 1)
            text = text[:other] + text[start:end] + text[other:]
        else:
            text = text[:start] + rng.choice(pieces) + text[start:]
    return text
