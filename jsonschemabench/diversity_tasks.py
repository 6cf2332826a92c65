"""What diverse decoding is tried on: captions by an n-gram model, JSON objects under a schema, SQL."""

from __future__ import annotations

import functools
import itertools
import json
import math
import random
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import structgen
from jsonschemabench.diversity_metrics import bleu, words
from jsonschemabench.tasks import DOMAINS, Task
from structgen import Vocabulary
from structgen.samplers import AWRS, HuggingFaceModel, MaskSampler, Product, TableModel


@dataclass(frozen=True)
class Instance:
    """One prompt: who continues it, under what constraint, and what the outputs are worth."""

    model: Callable[[], Any]
    """Makes the language model after the prompt; nothing of it is computed yet."""
    token_sampler: Any
    max_tokens: int
    score: Callable[[str], float] | None
    """From a text to its quality, 0 to 1; None where there is no reference."""


class Field(ABC):
    """A kind of prompts."""

    name: str
    is_json: bool = False

    @abstractmethod
    def instances(self, count: int, seed: int) -> list[Instance]:
        """Return so many prompts; those of other seeds are others."""


# -- captions ----------------------------------------------------------------------------------------------

_SUBJECTS = {
    "dog": ("dog", "puppy"),
    "cat": ("cat", "kitten"),
    "man": ("man", "person"),
    "woman": ("woman", "lady"),
    "child": ("child", "kid"),
    "horse": ("horse", "pony"),
}
_LOOKS = {
    "brown": ("brown", "dark"),
    "white": ("white", "pale"),
    "small": ("small", "little"),
    "old": ("old", "elderly"),
    "wet": ("wet", "soaked"),
}
_ACTIONS = {
    "run": ("running", "racing"),
    "sit": ("sitting", "resting"),
    "play": ("playing", "having fun"),
    "walk": ("walking", "strolling"),
    "jump": ("jumping", "leaping"),
    "wait": ("waiting", "standing"),
}
_THINGS = {
    "ball": ("with a ball", "next to a red ball"),
    "umbrella": ("under an umbrella", "with an umbrella"),
    "bench": ("beside a bench", "near a wooden bench"),
    "bicycle": ("near a bicycle", "beside a bike"),
    "bag": ("with a bag", "carrying a bag"),
}
_PLACES = {
    "beach": ("on the beach", "by the sea"),
    "park": ("in the park", "on the green grass"),
    "street": ("on the street", "on a busy road"),
    "snow": ("in the snow", "on a white hill"),
    "station": ("at the station", "on a platform"),
    "yard": ("in the yard", "behind a house"),
}
_SLOTS: dict[str, Mapping[str, tuple[str, str]]] = {
    "subject": _SUBJECTS,
    "look": _LOOKS,
    "action": _ACTIONS,
    "thing": _THINGS,
    "place": _PLACES,
}
#: the more frequent ones first
_TEMPLATES = (
    "a {look} {subject} {action} {place}",
    "a {look} {subject} is {action} {place}",
    "a {subject} {action} {thing}",
    "a {look} {subject} {thing} {place}",
    "there is a {look} {subject} {action} {place}",
    "{place} a {subject} is {action} {thing}",
    "a picture of a {look} {subject} {thing}",
    "someone watches a {subject} {action} {place}",
)
_WEIGHTS = tuple(rank**-0.5 for rank in range(1, len(_TEMPLATES) + 1))
_REFERENCES = 5
_CORPUS = 250
#: how often the model's captions are wrong about a part of the scene
_UNSURE = 0.4

Scene = dict[str, str]


def scene(rng: random.Random) -> Scene:
    """Return what can be seen on a made picture."""
    return {slot: rng.choice(sorted(values)) for slot, values in _SLOTS.items()}


def caption(seen: Scene, rng: random.Random) -> str:
    """Return a caption of a scene: a template, and for each thing one of its names."""
    (template,) = rng.choices(_TEMPLATES, _WEIGHTS)
    names = {slot: rng.choices(_SLOTS[slot][value], (3, 2))[0] for slot, value in seen.items()}
    return template.format(**names)


def blurred(seen: Scene, rng: random.Random) -> Scene:
    """Return a scene as an unsure captioner takes it."""
    other = scene(rng)
    return {slot: other[slot] if rng.random() < _UNSURE else value for slot, value in seen.items()}


class NGramModel:
    """A trigram model of words, with absolute discounting down to all words alike.

    Parameters
    ----------
    lines : sequence of sequence of int
        What it is estimated from, the end token included.
    size : int
        Number of tokens.
    order, discount
        Longest n-grams, and what is taken from each count.

    References
    ----------
    Ney, Essen and Kneser, "On Structuring Probabilistic Dependences in Stochastic Language Modelling"
    (Computer Speech and Language, 1994): absolute discounting, interpolated.
    """

    def __init__(
        self, lines: Sequence[Sequence[int]], size: int, order: int = 3, discount: float = 0.5
    ) -> None:
        self._size = size
        self._order = order
        self._discount = discount
        self._counts: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
        for line in lines:
            begun = self._begun(line)
            for i in range(order - 1, len(begun)):
                for n in range(order):
                    self._counts[tuple(begun[i - n : i])][begun[i]] += 1

    def _begun(self, tokens: Sequence[int]) -> list[int]:
        """Return tokens after marks of the beginning, which no token is equal to."""
        return [*[-1] * (self._order - 1), *tokens]

    def probabilities(self, tokens: Sequence[int]) -> list[float]:
        """Return the probability of every token after some."""
        row = [1 / self._size] * self._size
        begun = self._begun(tokens)
        for n in range(self._order):
            counts = self._counts.get(tuple(begun[len(begun) - n :]))
            if counts is None:
                break
            total = counts.total()
            rest = self._discount * len(counts) / total
            row = [rest * p for p in row]
            for token, count in counts.items():
                row[token] += (count - self._discount) / total
        return row


class Captions(Field):
    """Captions of made scenes; the model is a trigram model of captions of about the same scene.

    The score is BLEU-4 against five captions of the scene. There is no constraint.
    """

    name = "captions"

    def __init__(self) -> None:
        templates = " ".join(_TEMPLATES).replace("{", " ").replace("}", " ").split()
        names = " ".join(itertools.chain(*(n for values in _SLOTS.values() for n in values.values()))).split()
        vocabulary = sorted({*templates, *names} - set(_SLOTS))
        self._vocabulary = Vocabulary([b"", *(f"{word} ".encode() for word in vocabulary)], eos_token_ids=0)
        self._ids = {word: i for i, word in enumerate(vocabulary, 1)}

    def instances(self, count: int, seed: int) -> list[Instance]:
        """Return scenes with what is seen on them."""
        return [self._instance(random.Random(f"captions {seed} {number}")) for number in range(count)]

    def _instance(self, rng: random.Random) -> Instance:
        seen = scene(rng)
        corpus = [caption(blurred(seen, rng), rng) for _ in range(_CORPUS)]
        references = [words(caption(seen, rng)) for _ in range(_REFERENCES)]
        lines = [[*(self._ids[word] for word in line.split()), 0] for line in corpus]
        ngrams = NGramModel(lines, len(self._vocabulary))

        def logprobs(tokens: tuple[int, ...]) -> list[float]:
            return [math.log(p) for p in ngrams.probabilities(tokens)]

        return Instance(
            lambda: TableModel(self._vocabulary, logprobs),
            AWRS(Product()),
            20,
            lambda text: bleu(words(text), references),
        )


# -- what the small models write ---------------------------------------------------------------------------


class Small:
    """A small model with its tokenizer, computing in float32 on one thread."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        torch.set_num_threads(1)
        self.tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self.model = AutoModelForCausalLM.from_pretrained(
            folder, local_files_only=True, dtype=torch.float32
        ).eval()
        end = self.tokenizer.eos_token_id
        self.vocabulary = Vocabulary.from_tokenizer(
            self.tokenizer, self.model.config.vocab_size, eos_token_ids=end
        )

    def after(self, prompt: str) -> Callable[[], HuggingFaceModel]:
        """Return what makes the model after a prompt; as in training, an end token comes before it."""
        encoded = self.tokenizer.encode(prompt, add_special_tokens=False)
        ids = [self.tokenizer.eos_token_id, *encoded]
        return lambda: HuggingFaceModel(self.model, self.vocabulary, ids)


_WORDS: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": 30}
#: keys in the order in which the model has seen them
_OBJECTS: dict[str, dict[str, Any]] = {
    "Person": {
        "name": _WORDS,
        "age": {"type": "integer", "minimum": 1, "maximum": 99},
        "email": {"type": "string", "pattern": "^[a-z._]{2,16}@[a-z]{2,10}\\.(com|org|net)$"},
        "married": {"type": "boolean"},
        "occupation": _WORDS,
    },
    "Product": {
        "name": _WORDS,
        "price": {"type": "number", "minimum": 0, "maximum": 999, "multipleOf": 0.01},
        "in_stock": {"type": "boolean"},
        "colors": {"type": "array", "items": _WORDS, "minItems": 1, "maxItems": 2},
        "rating": {"type": "number", "minimum": 1, "maximum": 5, "multipleOf": 0.1},
    },
    "Event": {
        "title": _WORDS,
        "start": {"type": "string", "pattern": "^20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])$"},
        "location": _WORDS,
        "all_day": {"type": "boolean"},
        "priority": {"enum": ["low", "high"]},
    },
}


class Objects(Field):
    """Objects with some keys, whatever the values: there is nothing right or wrong within the schema."""

    name = "objects"
    is_json = True

    def __init__(self, small: Small) -> None:
        self._small = small

    def instances(self, count: int, seed: int) -> list[Instance]:
        """Return prompts that name a kind of object and three or four of its keys."""
        rng = random.Random(f"objects {seed}")
        made = []
        for _ in range(count):
            kind = rng.choice(sorted(_OBJECTS))
            chosen = rng.sample(sorted(_OBJECTS[kind]), rng.choice((3, 4)))
            keys = [key for key in _OBJECTS[kind] if key in chosen]
            schema = {
                "type": "object",
                "properties": {key: _OBJECTS[kind][key] for key in keys},
                "required": keys,
                "additionalProperties": False,
            }
            automaton = structgen.compile_json_schema(schema, self._small.vocabulary, whitespace="compact")
            prompt = f"{kind} as JSON with the keys {', '.join(keys)}:\n"
            made.append(Instance(self._small.after(prompt), MaskSampler(automaton), 80, None))
        return made


class Answers(Field):
    """Held-out tasks of a domain of the ``quality`` run, under their syntax alone."""

    def __init__(self, name: str, small: Small, score: Callable[[Task, str], float]) -> None:
        self.name = name
        self.is_json = name == "records"
        self._small = small
        self._score = score

    def instances(self, count: int, seed: int) -> list[Instance]:
        """Return tasks of the domain."""
        domain = DOMAINS[self.name]
        made = []
        for task in domain.test_tasks(count, seed):
            made.append(
                Instance(
                    self._small.after(task.prompt),
                    MaskSampler(domain.constraint(task, self._small.vocabulary)),
                    domain.max_tokens,
                    functools.partial(self._score, task),
                )
            )
        return made


def agreement(task: Task, text: str) -> float:
    """Return the F1 of an answer's members, key and value together, against the reference's."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return 0.0
    if not isinstance(found, dict):
        return 0.0
    wanted = json.loads(task.reference)
    right: int = sum(key in found and found[key] == value for key, value in wanted.items())
    return 2.0 * right / (len(found) + len(wanted))


def correct_sql(task: Task, text: str) -> float:
    """Return 1 where a query gives the rows of the reference, else 0."""
    right: bool = DOMAINS["sql"].correct(task, text)
    return float(right)
