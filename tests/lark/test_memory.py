"""Stacks that only masks have tried are forgotten, and nothing that can be asked changes by it."""

import random
from typing import Any

import pytest
from lark.indenter import PythonIndenter

import structgen
from structgen import DEAD
from structgen.testing import vocabularies
from tests.lark.harness import random_vocabulary, tokenise
from tests.lark.test_bundled import GRAMMARS, LIBRARY

_AMBIGUOUS = """
start: list
list: item | list item
item: "(" list ")" | pair | WORD | NUMBER
pair: (WORD | NUMBER) ":" (item | list)
WORD: /[a-z]+/
NUMBER: /[0-9a-f]+/
%ignore " "
"""


def _nested(rng: random.Random, depth: int) -> str:
    kind = rng.randrange(5) if depth else 3
    if kind == 0:
        return f"({' '.join(_nested(rng, depth - 1) for _ in range(rng.randint(1, 4)))})"
    if kind == 1:
        return f"{rng.choice(['abc', 'zz', '12'])}: {_nested(rng, depth - 1)}"
    return rng.choice(["abc", "xyz", "12", "0f"])


def _module() -> tuple[str, Any, Any, Any]:
    vocabulary, encode = vocabularies.tekken()
    text = (LIBRARY / "sched.py").read_text(encoding="utf-8")
    return (GRAMMARS / "python.lark").read_text(encoding="utf-8"), vocabulary, encode(text), PythonIndenter()


def _ambiguous() -> tuple[str, Any, Any, Any]:
    rng = random.Random(3)
    vocabulary = random_vocabulary(rng, ["(abc: 12)", " xyz 0f", ": ab "], 400)
    text = " ".join(_nested(rng, 6) for _ in range(400))
    return _AMBIGUOUS, vocabulary, tokenise(vocabulary, text.encode(), "random", rng), None


@pytest.mark.parametrize("make", [_module, _ambiguous])
def test_forgotten_stacks_change_nothing(make: Any) -> None:
    grammar, vocabulary, tokens, postlex = make()
    options: dict[str, Any] = (
        {"postlex": postlex, "start": "file_input"} if postlex else {"parser": "earley", "lexer": "dynamic"}
    )
    roomy = structgen.compile_lark(grammar, vocabulary, **options)
    tight = structgen.compile_lark(grammar, vocabulary, **options, mask_cache_bytes=1 << 20)
    rng = random.Random(5)
    pairs = [(roomy.start, tight.start)]
    most = 0
    for token in tokens:
        mine, other = pairs[-1]
        assert (tight.mask(other) == roomy.mask(mine)).all()
        assert tight.accepts(other) == roomy.accepts(mine)
        wild = rng.randrange(len(vocabulary.tokens))
        assert (tight.step(other, wild) == DEAD) == (roomy.step(mine, wild) == DEAD)
        pairs.append((roomy.step(mine, token), tight.step(other, token)))
        assert DEAD not in pairs[-1]
        most = max(most, tight.stats()["stack_sets"])
    assert tight.stats()["stack_sets"] < min(most, roomy.stats()["stack_sets"])
    # States from before lead where they did.
    for (mine, other), token, after in zip(pairs, tokens, pairs[1:], strict=False):
        assert (roomy.step(mine, token), tight.step(other, token)) == after
        assert (tight.mask(other) == roomy.mask(mine)).all()
    assert tight.stats()["states"] == roomy.stats()["states"]
