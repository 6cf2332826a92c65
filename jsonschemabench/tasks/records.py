"""JSON records with the fields that the prompt asks for, taken from a sentence."""

from __future__ import annotations

import json
import random
import re
from typing import TYPE_CHECKING, Any

from jsonschemabench.tasks.base import Domain, Task

if TYPE_CHECKING:
    from structgen import TokenAutomaton, Vocabulary

_FIRST = ("Anna", "Otto", "Ines", "Hugo", "Vera", "Paul", "Nora", "Emil", "Rita", "Karl", "Lena", "Igor")
_ONSETS = ("Ber", "Lin", "Mor", "Sand", "Tal", "Vik", "Hol", "Kra", "Dun", "Fel")
_CODAS = ("gen", "berg", "ton", "ski", "ado", "mann", "ley", "ova")
_CITIES = ("Oslo", "Lima", "Kent", "Riga", "Bern", "Porto", "Turin", "Malmo", "Cairo", "Osaka")
_JOBS = ("baker", "pilot", "nurse", "clerk", "tailor", "painter", "teacher", "farmer")

_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "pattern": "^[A-Z]"},
        "age": {"type": "integer", "minimum": 18, "maximum": 99},
        "city": {"type": "string", "minLength": 3},
        "job": {"type": "string", "minLength": 3},
        "since": {"type": "integer", "minimum": 1950, "maximum": 2030},
    },
    "minProperties": 1,
    "additionalProperties": False,
}
_LEXEME = re.compile(r'"([^"]*)("?)|(-?[0-9][0-9.eE+-]*)')


class Records(Domain):
    """JSON of a schema; the predicate is that values are taken from the prompt, not made up.

    Every string and number has to be in the sentence, strings as any part of it, numbers whole. Which fields
    are asked for, and what belongs into which, is in the prompt alone.
    """

    name = "records"
    max_tokens = 72

    def make(self, rng: random.Random) -> Task:
        """Return a sentence about a person and some of its fields."""
        values: dict[str, Any] = {
            "name": f"{rng.choice(_FIRST)} {rng.choice(_ONSETS)}{rng.choice(_CODAS)}",
            "age": rng.randint(19, 80),
            "city": rng.choice(_CITIES),
            "job": rng.choice(_JOBS),
            "since": rng.randint(1960, 2020),
        }
        sentence = rng.choice(
            (
                "{name}, {age}, has been a {job} in {city} since {since}.",
                "Since {since} the {job} {name} has lived in {city}; the age is {age}.",
                "A {job} from {city}, aged {age}: {name}, with us since {since}.",
                "{city} has had a {job} of {age} since {since}, {name}.",
            )
        ).format(**values)
        asked = sorted(rng.sample(list(values), rng.randint(2, 4)), key=list(values).index)
        reference = json.dumps({field: values[field] for field in asked}, separators=(",", ":"))
        return Task(f"JSON {', '.join(asked)}\n{sentence}\n", reference, {"sentence": sentence})

    def constraint(self, task: Task, vocabulary: Vocabulary) -> TokenAutomaton:
        """Return the automaton of the schema, in compact JSON."""
        import structgen

        return structgen.compile_json_schema(_SCHEMA, vocabulary, whitespace="compact", property_order="any")

    def possible(self, task: Task, text: str) -> bool:
        """Return whether all values so far are in the sentence, or may become so."""
        return _extracted(task.data["sentence"], text, finished=False)

    def permitted(self, task: Task, text: str) -> bool:
        """Return whether all values are in the sentence."""
        return _extracted(task.data["sentence"], text, finished=True)

    def correct(self, task: Task, text: str) -> bool:
        """Return whether the value is the reference's."""
        try:
            return bool(json.loads(text) == json.loads(task.reference))
        except (ValueError, RecursionError):
            return False


def _extracted(sentence: str, text: str, *, finished: bool) -> bool:
    numbers = re.findall(r"[0-9]+", sentence)
    for found in _LEXEME.finditer(text):
        content, closing, number = found.groups()
        last = found.end() == len(text) and not finished
        if number is not None:
            if number not in numbers and not (last and any(known.startswith(number) for known in numbers)):
                return False
        elif not text[: found.start()].rstrip().endswith(":"):
            continue  # a key, which is the schema's affair
        elif content not in sentence or (closing and not content):
            return False
    return True
