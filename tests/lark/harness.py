"""What every test of Lark grammars needs: lark as the oracle, tokenisations, walks, mutations.

lark itself says which texts are in a grammar's language: those that ``Lark(grammar, ...).parse`` takes.
"""

import functools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from unittest import mock

import lark
import lark.lexer
import numpy as np
import numpy.typing as npt

from structgen import DEAD, FINISHED, Vocabulary

TOKENISATIONS = ("greedy", "bytes", "random")


class Automaton(Protocol):
    """The part of a token automaton that the tests use, so that they can be tested with another one."""

    @property
    def start(self) -> int: ...
    def step(self, state: int, token: int) -> int: ...
    def mask(self, state: int) -> npt.NDArray[np.int32]: ...
    def accepts(self, state: int) -> bool: ...
    def shortest(self, state: int) -> bytes: ...
    def advance_bytes(self, state: int, data: bytes) -> int: ...


# -- the oracle --------------------------------------------------------------------------------------------


class Oracle:
    """lark's own parser of a grammar.

    Parameters
    ----------
    grammar : str
        The text of the grammar.
    **options
        Of :class:`lark.Lark`.

    Raises
    ------
    lark.exceptions.LarkError
        lark refuses the grammar.
    """

    def __init__(self, grammar: str, **options: Any) -> None:
        if options.get("parser") == "earley":
            # What is parsed does not depend on it, and a tree of an ambiguous text can take exponential time.
            options.setdefault("ambiguity", "forest")
        # The collision warnings of lark's lexers take up to 0.2 s each and change nothing.
        with mock.patch.object(lark.lexer, "has_interegular", False):
            self._parser = lark.Lark(grammar, **options)
        self._start = self._parser.options.start[0]

    def accepts(self, text: str) -> bool:
        """Whether lark parses the text."""
        verdict = self.verdict(text)
        assert verdict is not None, f"lark fails on {text!r}"
        return verdict

    def verdict(self, text: str) -> bool | None:
        """Whether lark parses the text; None where it stumbles over itself.

        With its dynamic lexers it does where a text is complete both before and after ignored characters:
        "Earley should not generate multiple start symbol items! Please report this bug."
        """
        try:
            self._parser.parse(text, start=self._start)
        except lark.exceptions.LarkError:
            return False
        except RuntimeError as error:
            if "multiple start symbol items" not in str(error):
                raise
            return None
        except (AssertionError, IndexError) as error:
            # The indenter asserts that brackets are balanced, and wants a line feed in every newline
            # terminal, which a comment at the end of a Python file lacks. It fails: the text isn't parsed.
            if not _raised_by_indenter(error):
                raise
            return False
        return True


def _raised_by_indenter(error: BaseException) -> bool:
    """Whether the innermost frame of the error is in lark's indenter."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code.co_filename.endswith("indenter.py")


# -- vocabularies and tokenisations ------------------------------------------------------------------------


@dataclass(frozen=True)
class _Index:
    ids: Mapping[bytes, int]
    longest: int


@functools.lru_cache(maxsize=8)
def _index(vocabulary: Vocabulary) -> _Index:
    special = {*vocabulary.special_token_ids, *vocabulary.eos_token_ids}
    ids: dict[bytes, int] = {}
    for token, data in enumerate(vocabulary.tokens):
        if data and token not in special:
            ids.setdefault(data, token)
    return _Index(ids, max(map(len, ids)))


def byte_vocabulary() -> Vocabulary:
    """The 256 bytes and an end token: the smallest vocabulary that spells everything."""
    return make_vocabulary(())


def make_vocabulary(words: Sequence[bytes]) -> Vocabulary:
    """All bytes, the words, an unused id, a special token and, last, the end token."""
    tokens = [bytes([i]) for i in range(256)]
    tokens += sorted({word for word in words if len(word) > 1})
    tokens += [b"", b"<special>", b""]
    return Vocabulary(tokens, eos_token_ids=len(tokens) - 1, special_token_ids=[len(tokens) - 2])


def random_vocabulary(rng: random.Random, texts: Sequence[str], size: int = 24) -> Vocabulary:
    """A vocabulary with random pieces of the texts, some of which split characters or join two texts."""
    words = set()
    source = [text.encode() for text in texts if text] or [b"ab"]
    for _ in range(size):
        data = rng.choice(source)
        if rng.random() < 0.2:
            data += rng.choice(source)
        first = rng.randrange(len(data))
        words.add(data[first : first + rng.choice((2, 2, 3, 4, 8))])
    return make_vocabulary(sorted(words))


def tokenise(vocabulary: Vocabulary, data: bytes, how: str, rng: random.Random) -> list[int]:
    """Token ids of ``data``, none of them special.

    ``how`` is "greedy" (the longest token first, again and again), "bytes" or "random" (any token that fits).
    """
    index = _index(vocabulary)
    found, position = [], 0
    while position < len(data):
        longest = min(index.longest, len(data) - position)
        lengths = [1] if how == "bytes" else list(range(longest, 0, -1))
        if how == "random":
            rng.shuffle(lengths)
        for length in lengths:
            token = index.ids.get(data[position : position + length])
            if token is not None:
                break
        else:
            raise ValueError(f"the vocabulary can't spell {data[position : position + 1]!r}")
        found.append(token)
        position += length
    return found


def allowed(automaton: Automaton, state: int) -> list[int]:
    """The token ids whose bits are set in the mask, end tokens included."""
    packed = np.ascontiguousarray(automaton.mask(state)).view(np.uint8)
    ids: list[int] = np.flatnonzero(np.unpackbits(packed, bitorder="little")).tolist()
    return ids


# -- what is checked ---------------------------------------------------------------------------------------


def check_state(automaton: Automaton, vocabulary: Vocabulary, state: int, tokens: Sequence[int]) -> None:
    """The mask and ``step`` agree on ``tokens``, and the end tokens are in it where the output may end."""
    mask = automaton.mask(state)
    end = set(vocabulary.eos_token_ids)
    for token in {*tokens, *end}:
        bit = bool(int(mask[token >> 5]) >> (token & 31) & 1)
        after = automaton.step(state, token)
        place = f"state {state}, token {token} {vocabulary.tokens[token]!r}"
        assert bit == (after != DEAD), f"mask says {bit}, step says {after}: {place}"
        if token in end:
            assert after in (FINISHED, DEAD), place
            assert bit == automaton.accepts(state), place
    assert bool(mask.any()) == (state != DEAD), f"empty mask: state {state}"


def accepts_text(
    automaton: Automaton,
    vocabulary: Vocabulary,
    text: str,
    tokenisation: str = "greedy",
    rng: random.Random | None = None,
    sample: int = 8,
) -> bool:
    """Feed the text token by token; mask and step must agree on each token and a sample of others."""
    rng = rng or random.Random(0)
    state = automaton.start
    for token in tokenise(vocabulary, text.encode(), tokenisation, rng):
        others = [rng.randrange(len(vocabulary.tokens)) for _ in range(sample)]
        check_state(automaton, vocabulary, state, [token, *others])
        state = automaton.step(state, token)
        if state == DEAD:
            return False
    check_state(automaton, vocabulary, state, [])
    return automaton.accepts(state)


def check_texts(automaton: Automaton, oracle: Oracle, verdicts: dict[str, bool | None]) -> None:
    """Every text is accepted as lark says, and whatever is alive after it can be completed."""
    completed = set()
    for text, verdict in verdicts.items():
        state = automaton.advance_bytes(automaton.start, text.encode())
        if verdict is not None:
            assert automaton.accepts(state) == verdict, f"{text!r}: lark says {verdict}"
        if state == DEAD or state in completed:
            continue
        completed.add(state)
        rest = automaton.shortest(state)
        whole = text.encode() + rest
        completed_state = automaton.advance_bytes(state, rest)
        assert automaton.accepts(completed_state), f"{text!r} is not complete with {rest!r}"
        assert oracle.verdict(whole.decode()) is not False, (
            f"alive after {text!r}, but lark rejects {whole!r}"
        )


def random_walk(
    automaton: Automaton,
    vocabulary: Vocabulary,
    rng: random.Random,
    max_tokens: int = 30,
    preferred: Callable[[bytes], bool] = lambda _: True,
) -> str:
    """A text of the language: random allowed tokens, then the shortest way to the end.

    Most tokens are taken from those that are ``preferred``, where there are any. A dead end on the way fails.
    """
    state, data = automaton.start, b""
    end = set(vocabulary.eos_token_ids)
    for _ in range(max_tokens):
        live = allowed(automaton, state)
        assert live, f"no token is allowed after {data!r}"
        if end.intersection(live) and rng.random() < 0.15:
            break
        tokens = [token for token in live if token not in end]
        if not tokens:
            break
        liked = [token for token in tokens if preferred(vocabulary.tokens[token])]
        token = rng.choice(liked if liked and rng.random() < 0.95 else tokens)
        after = automaton.step(state, token)
        assert after != DEAD, f"the mask allows {vocabulary.tokens[token]!r} after {data!r}, step does not"
        state, data = after, data + vocabulary.tokens[token]
    rest = automaton.shortest(state)
    for token in tokenise(vocabulary, rest, rng.choice(TOKENISATIONS), rng):
        check_state(automaton, vocabulary, state, [token])
        state = automaton.step(state, token)
        assert state != DEAD, f"{data!r} can't be completed by {rest!r}"
    assert automaton.accepts(state), f"{data!r} is not complete with {rest!r}"
    return (data + rest).decode()


def mutations(text: str, rng: random.Random, alphabet: str, count: int = 10) -> Iterator[str]:
    """Texts that differ in one place: something deleted, inserted, replaced, swapped, doubled, cut off."""
    for _ in range(count):
        size = len(text)
        i, j = sorted((rng.randint(0, size), rng.randint(0, size)))
        j = min(j, i + 12)
        k = min(i + 1, size)
        match rng.randrange(6 if size else 1):
            case 0:
                yield text[:i] + rng.choice(alphabet) + text[i:]
            case 1:
                yield text[:i] + text[k:]
            case 2:
                yield text[:i] + rng.choice(alphabet) + text[k:]
            case 3:
                yield text[:i] + text[k : k + 1] + text[i:k] + text[k + 1 :]
            case 4:
                yield text[:j] + text[i:j] + text[j:]
            case _:
                yield text[:i]
