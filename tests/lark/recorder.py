"""A builder that keeps what the parser of a grammar is made of, and makes everything else for real."""

from typing import Any

from structgen import TokenAutomaton, Vocabulary
from structgen._core import Builder
from structgen._frontends.lark import GrammarLowering, Loaded


class Recorder:
    """Patterns are tuples; regexes and expressions are handles of a real builder."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.real = Builder(vocabulary.native)
        self.parsers: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("pat_") or name == "left_context":
            return lambda *arguments: (name, *arguments)
        return getattr(self.real, name)

    def lr_parser(self, *arguments: Any) -> int:
        self.parsers.append(arguments)
        return self.real.empty()

    def loaded_parser(self, *_: Any) -> None:
        """Have Python make everything, which tells what it makes."""

    python_patterns = loaded_parser

    def terminals(self) -> dict[str, tuple[int, Any]]:
        """Return kind and handle of every terminal."""
        return {name: (kind, handle) for name, kind, handle in self.parsers[0][0]}

    def automaton(self, expression: int) -> TokenAutomaton:
        """Compile one expression."""
        made = self.real.finish(expression)
        assert made is not None
        return made


def record(loaded: Loaded, vocabulary: Vocabulary, **json_options: Any) -> Recorder:
    """Lower a grammar into a recorder."""
    recorder = Recorder(vocabulary)
    GrammarLowering(loaded, recorder, vocabulary, json_options).lower()  # type: ignore[arg-type]
    return recorder


def accepts(automaton: TokenAutomaton, text: str) -> bool:
    """Say whether a text is in the language, a character or a byte at a time."""
    return automaton.accepts(automaton.advance_bytes(automaton.start, text.encode()))
