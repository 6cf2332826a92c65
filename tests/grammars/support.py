"""What the grammars' tests share: lark as the reference, example texts, random sentences, mutations."""

import functools
import json
import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import lark
from lark.grammar import NonTerminal, Rule, Terminal
from lark.lexer import PatternStr

GRAMMARS = Path(__file__).parents[2] / "grammars"
TEXTS = Path(__file__).parent / "texts"

#: Makes a random text of a terminal.
Sampler = Callable[[random.Random], str]


@functools.cache
def load(name: str) -> lark.Lark:
    """The parser that lark makes of one of our grammars with its defaults for LALR(1)."""
    return lark.Lark((GRAMMARS / f"{name}.lark").read_text(), parser="lalr")


def parses(name: str, text: str) -> bool:
    """Whether lark parses the text."""
    try:
        load(name).parse(text)
    except lark.exceptions.UnexpectedInput:
        return False
    return True


@functools.cache
def examples(name: str) -> dict[str, tuple[str, ...]]:
    """Texts of the language (``accepted``) and texts that only look like it (``rejected``)."""
    corpus = json.loads((TEXTS / f"{name}.json").read_text())
    return {verdict: tuple(texts) for verdict, texts in corpus.items()}


def one_of(*texts: str) -> Sampler:
    """A sampler of one of the texts."""
    return lambda rng: rng.choice(texts)


class SentenceMaker:
    """Random sentences of a grammar, made from lark's own rules.

    Parameters
    ----------
    name : str
        The grammar.
    samplers : Mapping[str, Sampler]
        How a terminal that is no plain string is written.
    default : Callable[[str], str], optional
        What writes the terminals without a sampler, given their names.
    calm : float
        How often the flattest rules are taken although there is depth left.
    """

    def __init__(
        self,
        name: str,
        samplers: Mapping[str, Sampler],
        default: Callable[[str], str] | None = None,
        calm: float = 0.0,
    ) -> None:
        self._calm = calm
        parser = load(name)
        self._samplers = dict(samplers)
        for terminal in parser.terminals:
            if terminal.name in self._samplers:
                continue
            if isinstance(terminal.pattern, PatternStr):
                self._samplers[terminal.name] = one_of(terminal.pattern.value)
            elif default is not None:
                self._samplers[terminal.name] = one_of(default(terminal.name))
        rules: dict[str, list[Rule]] = {}
        for rule in parser.rules:
            rules.setdefault(rule.origin.name, []).append(rule)
        depths = self._least_depths(rules)
        self._all = {origin: [rule.expansion for rule in some] for origin, some in rules.items()}
        self._flattest = {
            origin: [rule.expansion for rule in some if self._rule_depth(rule, depths) == depths[origin]]
            for origin, some in rules.items()
        }

    @classmethod
    def _least_depths(cls, rules: Mapping[str, list[Rule]]) -> dict[str, int]:
        """How deep the flattest derivation of every nonterminal is."""
        depths: dict[str, int] = {}
        while True:
            before = dict(depths)
            for origin, some in rules.items():
                known = [
                    cls._rule_depth(rule, before)
                    for rule in some
                    if all(symbol.is_term or symbol.name in before for symbol in rule.expansion)
                ]
                if known:
                    depths[origin] = min(known)
            if depths == before:
                return depths

    @staticmethod
    def _rule_depth(rule: Rule, depths: Mapping[str, int]) -> int:
        return 1 + max((0 if symbol.is_term else depths[symbol.name] for symbol in rule.expansion), default=0)

    def make(self, rng: random.Random, size: int, start: str = "start") -> list[str]:
        """A random sentence as a list of lexemes.

        Parameters
        ----------
        rng : random.Random
            The source of randomness.
        size : int
            From how many symbols on, written and to be written, only the flattest rules are taken.
        start : str
            The rule to start from.
        """
        lexemes: list[str] = []
        pending: list[Terminal | NonTerminal] = [NonTerminal(start)]
        while pending:
            symbol = pending.pop()
            if symbol.is_term:
                lexemes.append(self._samplers[symbol.name](rng))
                continue
            calm = len(lexemes) + len(pending) >= size or rng.random() < self._calm
            rules = self._flattest if calm else self._all
            pending.extend(reversed(rng.choice(rules[symbol.name])))
        return lexemes


def mutations(
    text: str, rng: random.Random, count: int, alphabet: str, lexemes: tuple[str, ...]
) -> Iterator[str]:
    """Texts a few edits away: characters and words dropped, doubled, swapped, put in or replaced.

    Parameters
    ----------
    text : str
        Where to start.
    rng : random.Random
        The source of randomness.
    count : int
        How many texts to make.
    alphabet : str
        Characters to put in.
    lexemes : tuple of str
        Longer pieces to put in.
    """
    for _ in range(count):
        mutated = text
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            mutated = _mutate(mutated, rng, alphabet, lexemes)
        yield mutated


def _mutate(text: str, rng: random.Random, alphabet: str, lexemes: tuple[str, ...]) -> str:
    place = rng.randint(0, len(text))
    match rng.randrange(7):
        case 0:  # a character less
            return text[:place] + text[place + 1 :]
        case 1:  # a piece less
            return text[:place] + text[place + rng.randint(1, 12) :]
        case 2:  # a character more
            return text[:place] + rng.choice(alphabet) + text[place:]
        case 3:  # a piece more
            return text[:place] + rng.choice(lexemes) + text[place:]
        case 4:  # a piece from elsewhere
            source = rng.randint(0, len(text))
            return text[:place] + text[source : source + rng.randint(1, 12)] + text[place:]
        case 5:  # the end missing
            return text[:place]
        case _:  # words exchanged
            words = text.split(" ")
            first, second = rng.randrange(len(words)), rng.randrange(len(words))
            words[first], words[second] = words[second], words[first]
            return " ".join(words)
