"""Codes that match a pattern and have a property, from a description of both."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING

from jsonschemabench.tasks.base import Domain, Task

if TYPE_CHECKING:
    from structgen import TokenAutomaton, Vocabulary

_CLASSES = {"capitals": ("A-Z", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"), "digits": ("0-9", "0123456789")}
_SEPARATORS = {"dash": "-", "slash": "/", "dot": ".", "colon": ":"}
_PROPERTIES = ("rising", "distinct", "even")


class Patterns(Domain):
    """Codes of a pattern; the predicate is a property of the whole code.

    The properties: digits never fall from left to right ("rising"), no character twice but separators
    ("distinct"), an even sum of all digits ("even"; only seen at the end). The first and last character are
    asked for in the prompt alone.
    """

    name = "patterns"
    max_tokens = 24

    def make(self, rng: random.Random) -> Task:
        """Return the description of a random code, which is the reference."""
        parts: list[tuple[str, int]] = []
        separators: list[str] = []
        for _ in range(rng.randint(2, 3)):
            parts.append((rng.choice(sorted(_CLASSES)), rng.randint(2, 4)))
            separators.append(rng.choice(sorted(_SEPARATORS)))
        parts[rng.randrange(len(parts))] = ("digits", rng.randint(2, 4))
        separators.pop()
        # Each property leaves some code of each pattern, but for more than ten different digits.
        distinct = sum(count for kind, count in parts if kind == "digits") <= 10
        quality = rng.choice(_PROPERTIES if distinct else ("rising", "even"))
        pieces = _code(rng, parts, quality)
        pattern, words, code = "", [], ""
        for (kind, count), piece, separator in zip(parts, pieces, [*separators, ""], strict=True):
            words += [f"{count} {kind}", *([separator] if separator else [])]
            mark = _SEPARATORS.get(separator, "")
            pattern += f"[{_CLASSES[kind][0]}]{{{count}}}{re.escape(mark)}"
            code += piece + mark
        prompt = f"CODE {', '.join(words)}\n{quality}, from {code[0]} to {code[-1]}\n"
        data = {"pattern": pattern, "property": quality, "first": code[0], "last": code[-1]}
        return Task(prompt, code, data)

    def constraint(self, task: Task, vocabulary: Vocabulary) -> TokenAutomaton:
        """Return the automaton of the pattern."""
        import structgen

        return structgen.compile_regex(task.data["pattern"], vocabulary)

    def possible(self, task: Task, text: str) -> bool:
        """Return whether the code may still get the property."""
        return task.data["property"] == "even" or holds(task.data["property"], text)

    def permitted(self, task: Task, text: str) -> bool:
        """Return whether the code has the property."""
        return holds(task.data["property"], text)

    def correct(self, task: Task, text: str) -> bool:
        """Return whether pattern, property, first and last character are as asked for."""
        matches = re.fullmatch(task.data["pattern"], text) is not None
        ends = text[:1] == task.data["first"] and text[-1:] == task.data["last"]
        return matches and ends and holds(task.data["property"], text)


def holds(quality: str, text: str) -> bool:
    """Return whether a text has a property."""
    digits = [c for c in text if c in "0123456789"]
    if quality == "rising":
        return digits == sorted(digits)
    if quality == "distinct":
        characters = [c for c in text if c.isalnum()]
        return len(set(characters)) == len(characters)
    return sum(map(int, digits)) % 2 == 0


def _code(rng: random.Random, parts: list[tuple[str, int]], quality: str) -> list[str]:
    """Return the parts of a code with the property."""
    counts = {kind: sum(count for other, count in parts if other == kind) for kind in _CLASSES}
    drawn = {
        kind: rng.sample(alphabet, counts[kind])
        if quality == "distinct"
        else rng.choices(alphabet, k=counts[kind])
        for kind, (_, alphabet) in _CLASSES.items()
    }
    if quality == "rising":
        drawn["digits"].sort()
    elif quality == "even" and sum(map(int, drawn["digits"])) % 2:
        place = rng.randrange(counts["digits"])
        drawn["digits"][place] = str((int(drawn["digits"][place]) + 1) % 10)
    taken = {kind: iter(characters) for kind, characters in drawn.items()}
    return ["".join(next(taken[kind]) for _ in range(count)) for kind, count in parts]
