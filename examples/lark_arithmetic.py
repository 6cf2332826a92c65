"""Random expressions of a Lark grammar, each parsed and evaluated by lark.

A uniform choice among the allowed tokens stands in for a language model. After a while the shortest ending is
taken, so that every output is finished.
"""

import random

import lark
import numpy as np

import structgen

GRAMMAR = r"""
?start: sum
?sum: product | sum "+" product -> add | sum "-" product -> sub
?product: atom | product "*" atom -> mul
?atom: INT -> number | "-" atom -> neg | "(" sum ")"
INT: /0|[1-9][0-9]{0,3}/
%ignore / {1,2}/
"""


@lark.v_args(inline=True)
class Evaluate(lark.Transformer):  # type: ignore[type-arg]
    """Python's arithmetic, to show that an output is what it seems to be."""

    from operator import add, mul, neg, sub  # type: ignore[assignment]

    number = int


def sample(automaton: structgen.TokenAutomaton, tokens: int, rng: random.Random) -> bytes:
    """Take some random tokens, then the shortest ending."""
    vocabulary = automaton.vocabulary
    state, output = automaton.start, []
    for _ in range(tokens):
        words = automaton.mask(state).view(np.uint32)
        allowed = [t for t in range(len(vocabulary)) if words[t // 32] >> (t % 32) & 1]
        token = rng.choice(allowed)
        if token in vocabulary.eos_token_ids:
            return vocabulary.decode(output)
        output.append(token)
        state = automaton.step(state, token)
    return vocabulary.decode(output) + automaton.shortest(state)


def main() -> None:
    """Print expressions and their values."""
    pieces = [bytes([i]) for i in range(256)] + [b"12", b") * (", b" + ", b"((", b"))", b"-1"]
    vocabulary = structgen.Vocabulary([*pieces, b"</s>"], eos_token_ids=len(pieces))
    automaton = structgen.compile_lark(GRAMMAR, vocabulary)
    parser = lark.Lark(GRAMMAR, parser="lalr")
    rng = random.Random(7)
    for _ in range(8):
        text = sample(automaton, 12, rng).decode()
        print(f"{text!r} = {Evaluate().transform(parser.parse(text))}")


if __name__ == "__main__":
    main()
