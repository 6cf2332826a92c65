"""Random grammars, vocabularies and walks for the laws of the core."""

import os
import random
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from structgen._core import DEAD, FINISHED, Builder, NativeVocabulary, TokenAutomaton
from tests.core.reference import (
    ANY,
    EMPTY,
    EPSILON,
    NOTHING,
    Array,
    Cells,
    Expr,
    Goal,
    Grammar,
    Object,
    Re,
    TalliedArray,
    TalliedObject,
    build_grammar,
    chars,
    choice,
    complement,
    concat,
    intersection,
    literal,
    one_of,
    repeat,
    residue,
    sequence,
    union,
)

# A run on demand draws new examples; the usual one is the same every time.
_EXAMPLES = os.environ.get("STRUCTGEN_EXAMPLES")


def laws(examples: int) -> settings:
    """Settings of a property test; STRUCTGEN_EXAMPLES asks for another number of fresh examples."""
    return settings(
        max_examples=int(_EXAMPLES or examples),
        derandomize=_EXAMPLES is None,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


# -- regexes -----------------------------------------------------------------------------------------------

# Few characters, each for a reason: JSON's own marks, escapes, white space, every length of UTF-8.
CHARACTERS = 'ab0 ,:"\\\n}é€😀'

leaves: st.SearchStrategy[Re] = st.one_of(
    st.sampled_from([ANY, EPSILON, one_of("ab"), one_of("0123456789"), chars((0x80, 0x10FFFF))]),
    st.sampled_from([chars((0xD000, 0xE000)), chars((0x10000, 0x10FFFF)), one_of('"\\'), chars((0, 0x1F))]),
    st.text(st.sampled_from(CHARACTERS), max_size=4).map(literal),
    st.lists(st.text(st.sampled_from(CHARACTERS), max_size=4), max_size=4).map(lambda w: ("words", tuple(w))),
    st.sampled_from([residue(1), residue(3), residue(10)]),
)
_counts = st.tuples(st.integers(0, 4), st.integers(-1, 5)).map(
    lambda c: (c[0], c[1] if c[1] < 0 else c[0] + c[1])
)


def _extend(inner: st.SearchStrategy[Re]) -> st.SearchStrategy[Re]:
    parts = st.lists(inner, max_size=3)
    return st.one_of(
        st.lists(inner, min_size=1, max_size=4).map(lambda p: concat(*p)),
        parts.map(lambda p: union(*p)),
        parts.map(lambda p: intersection(*p)),
        inner.map(complement),
        st.builds(lambda body, count: repeat(body, *count), inner, _counts),
    )


regexes: st.SearchStrategy[Re] = st.recursive(leaves, _extend, max_leaves=7)


# -- grammars ----------------------------------------------------------------------------------------------

_words = st.sampled_from(["a", "ab", "b", "true", "null", "aba", "é", "😀", "a,", "a:", "12", "{", "]"])
_numbers = concat(
    repeat(literal("-"), 0, 1), union(literal("0"), concat(one_of("123"), repeat(one_of("0123"))))
)
# Not empty: a recursion may follow.
_solid = st.one_of(
    _words.map(lambda w: ("lexeme", literal(w))),
    st.just(("lexeme", _numbers)),
    _words.map(lambda w: ("string", literal(w))),
    st.just(("string", repeat(ANY))),
    regexes.map(lambda r: ("string", r)),
)
_terminals = st.one_of(
    _solid,
    regexes.map(lambda r: ("text", r)),
    regexes.map(lambda r: ("lexeme", r)),
    st.sampled_from([NOTHING, EMPTY, ("text", repeat(one_of(" \n"), 0, 3))]),
)
_keys = st.sampled_from(["a", "ab", "b", "", "é", '"', "\n", "\\", "😀", "aa", "null", "k1", "k2", "k3"])
_extra_keys = st.one_of(regexes, st.just(repeat(ANY)), st.just(repeat(one_of("abk12"), 1, 2)))


def _expressions(draw: Any, depth: int, rules: int, guarded: bool) -> Any:
    """Draw an expression. Rules are referred to only where a lexeme has been read since the rule began."""
    kind = draw(st.integers(1, 14)) if depth > 0 else 0
    if guarded and rules and draw(st.integers(0, 3)) == 0:
        return ("rule", draw(st.integers(0, rules - 1)))
    if kind <= 3:
        return draw(_terminals)
    if kind == 4:
        return choice(
            *(_expressions(draw, depth - 1, rules, guarded) for _ in range(draw(st.integers(1, 3))))
        )
    if kind == 5:
        head = draw(_solid)
        tail = [_expressions(draw, depth - 1, rules, True) for _ in range(draw(st.integers(0, 2)))]
        return sequence(head, *tail)
    if kind == 6:
        return sequence(
            *(_expressions(draw, depth - 1, rules, False) for _ in range(draw(st.integers(0, 3))))
        )
    if kind in (7, 8):
        return _array(draw, depth, rules)
    if kind == 13:
        return _tallied_object(draw, depth, rules)
    if kind == 14:
        return _tallied_array(draw, depth, rules)
    return _object(draw, depth, rules)


def _bounds(draw: Any, largest: int) -> tuple[int, int]:
    low = draw(st.sampled_from([0, 0, 0, 1, 2, largest]))
    high = draw(st.sampled_from([-1, -1, low, low + 1, largest]))
    return low, high


def _array(draw: Any, depth: int, rules: int) -> Array:
    prefix = [_expressions(draw, depth - 1, rules, True) for _ in range(draw(st.integers(0, 2)))]
    rest = _expressions(draw, depth - 1, rules, True) if draw(st.booleans()) else NOTHING
    return Array(tuple(prefix), rest, *_bounds(draw, 4))


def _extra_classes(draw: Any, keys: list[str]) -> list[Re]:
    """Up to two regexes, disjoint from the keys and from each other."""
    extra_keys: list[Re] = []
    taken: Re = ("words", tuple(keys))
    for _ in range(draw(st.integers(0, 2))):
        extra = intersection(draw(_extra_keys), complement(taken))
        taken = union(taken, extra)
        extra_keys.append(extra)
    return extra_keys


def _object(draw: Any, depth: int, rules: int) -> Object:
    keys = draw(st.lists(_keys, max_size=4, unique=True))
    values = [_expressions(draw, depth - 1, rules, True) for _ in keys]
    required = [draw(st.booleans()) for _ in keys]
    extra_keys = _extra_classes(draw, keys)
    extra_values = [_expressions(draw, depth - 1, rules, True) for _ in extra_keys]
    ordered, distinct = draw(st.booleans()), draw(st.booleans())
    return Object(
        tuple(keys),
        tuple(values),
        tuple(required),
        tuple(extra_keys),
        tuple(extra_values),
        ordered,
        *_bounds(draw, 5),
        distinct,
    )


_COUNTERS = 3


def _cells(draw: Any, depth: int, rules: int) -> Cells:
    counters = st.lists(st.integers(0, _COUNTERS - 1), max_size=2).map(tuple)
    return tuple(
        (_expressions(draw, depth - 1, rules, True), draw(counters))
        for _ in range(draw(st.integers(0, 2)) or 1)
    )


def _goal(draw: Any) -> Goal:
    """A formula whose parts are shared: each may use all those before it."""
    parts: list[Goal] = []
    for _ in range(draw(st.integers(1, 4))):
        low = draw(st.integers(0, 2))
        high = draw(st.sampled_from([-1, -1, low, low + 1]))
        parts.append(("count", draw(st.integers(0, _COUNTERS - 1)), low, high))
    for _ in range(draw(st.integers(0, 3))):
        kind = draw(st.sampled_from(["all", "any", "any"]))
        some = draw(st.lists(st.integers(0, len(parts) - 1), min_size=1, max_size=3))
        parts.append((kind, tuple(parts[i] for i in some)))
    return parts[-1]


def _tallied_object(draw: Any, depth: int, rules: int) -> TalliedObject:
    keys = draw(st.lists(_keys, max_size=4, unique=True))
    extra_keys = _extra_classes(draw, keys)
    return TalliedObject(
        tuple(keys),
        tuple(_cells(draw, depth, rules) for _ in keys),
        tuple(draw(st.integers(0, 3)) == 0 for _ in keys),
        tuple(extra_keys),
        tuple(_cells(draw, depth, rules) for _ in extra_keys),
        draw(st.booleans()),
        draw(st.booleans()),
        _goal(draw),
    )


def _tallied_array(draw: Any, depth: int, rules: int) -> TalliedArray:
    prefix = tuple(_cells(draw, depth, rules) for _ in range(draw(st.integers(0, 3))))
    rest = _cells(draw, depth, rules) if draw(st.booleans()) else ()
    return TalliedArray(prefix, rest, _goal(draw))


_whitespace = st.sampled_from([EPSILON, repeat(one_of(" \n"), 0, 2), repeat(one_of(" \t\r\n")), literal(" ")])


@st.composite
def grammars(draw: Any, json: bool = True) -> Grammar:
    """Draw a grammar of the JSON kind (objects, arrays, white space), or one of bare text."""
    count = draw(st.integers(0, 2))
    if not json:
        return Grammar(_text(draw, 3, 1), (_text(draw, 3, 1),), None)
    rules = tuple(_expressions(draw, 2, count, False) for _ in range(count))
    return Grammar(_expressions(draw, 3, count, True), rules, draw(_whitespace), draw(st.booleans()))


@st.composite
def tallied_grammars(draw: Any) -> Grammar:
    """Draw a tallied object or array, with a rule that it may refer to."""
    draw_node = draw(st.sampled_from([_tallied_object, _tallied_array]))
    rule = _expressions(draw, 1, 1, False)
    return Grammar(draw_node(draw, 2, 1), (rule,), draw(_whitespace), draw(st.booleans()))


def _text(draw: Any, depth: int, rules: int) -> Expr:
    kind = draw(st.integers(0, 3)) if depth > 0 else 0
    if kind == 0:
        return ("text", draw(regexes))
    if kind == 1:
        return choice(*(_text(draw, depth - 1, rules) for _ in range(draw(st.integers(1, 3)))))
    if kind == 2:
        return sequence(*(_text(draw, depth - 1, rules) for _ in range(draw(st.integers(1, 3)))))
    # A rule between two texts that are not empty, as brackets are: a language that is not regular.
    opening, closing = draw(_words), draw(_words)
    inner = choice(("rule", 0), _text(draw, depth - 1, rules))
    return sequence(("text", literal(opening)), inner, ("text", literal(closing)))


# -- vocabularies ------------------------------------------------------------------------------------------

_POOL = [
    b'":1,"', b'"}', b'"},', b"}}", b"]}", b'":"', b'","', b'{"', b'{"a":', b"[[", b"],[", b"[]", b"{}",
    b'",', b'":', b"true", b"ull", b"12", b"1,", b",1", b" \n", b", ", b": ", b"\xc3", b"\xc3\xa9\xe2",
    b"\xf0\x9f", b"\x98\x80", b"\xa9\"", b"\\\"", b'\\\\"', b"\\u00", b"\\ud83d", b"\\ude00", b"0a", b'\\n"',
    b"\\udE", b"D\\uDC", b"\\ud8", b"3d\\u", b"\\uD83d\\uD", b"\\u000",
    b"ab", b"aba", b"a\"", b"\xff", b"\xed\xa0\x80", b"\xc0\xaf", b"aaaaaaaaaaaa", b"\xf4\x90\x80\x80",
]  # fmt: skip


@dataclass
class Tokens:
    """A vocabulary, and what went into it."""

    tokens: list[bytes]
    end: list[int]
    special: list[int]
    logits_size: int
    native: NativeVocabulary

    @property
    def ordinary(self) -> list[int]:
        excluded = {*self.end, *self.special}
        return [i for i, token in enumerate(self.tokens) if token and i not in excluded]


def byte_vocabulary() -> NativeVocabulary:
    """256 single bytes, and one end token."""
    return NativeVocabulary([bytes([i]) for i in range(256)] + [b""], [256], [], 257)


def make_tokens(rng: random.Random, texts: list[bytes], size: int = 60) -> Tokens:
    """All single bytes, pieces of texts, pieces of JSON, and all that is awkward about vocabularies."""
    tokens = [bytes([i]) for i in range(256)] + rng.sample(_POOL, k=min(len(_POOL), size // 3))
    sources = [text for text in texts if len(text) > 1]
    for _ in range(size if sources else 0):
        text = rng.choice(sources)
        begin = rng.randrange(len(text) - 1)
        tokens.append(text[begin : begin + rng.randint(2, 8)])
    tokens += [*rng.choices(tokens, k=4), b"", b""]
    rng.shuffle(tokens)
    # End and special tokens take the place of nothing: their bytes are those of ordinary tokens, or none.
    end, special = [], []
    for kind in (end, special, end, special):
        place = rng.randrange(len(tokens) + 1)
        end[:] = [i + (i >= place) for i in end]
        special[:] = [i + (i >= place) for i in special]
        kind.append(place)
        tokens.insert(place, rng.choice([b"", b"a", b'"', b"{", b"}", b"</s>"]))
    logits_size = len(tokens) + rng.choice([0, 1, 31, 32, 70])
    native = NativeVocabulary(tokens, end, special, logits_size)
    return Tokens(tokens, end, special, logits_size, native)


def compile_grammar(grammar: Grammar, native: NativeVocabulary, **limits: int) -> TokenAutomaton | None:
    builder = Builder(native)
    return builder.finish(build_grammar(builder, grammar), **limits)


def bits(mask: Any) -> set[int]:
    """Token ids whose bits are set."""
    packed = np.ascontiguousarray(mask).view(np.uint8)
    return set(np.flatnonzero(np.unpackbits(packed, bitorder="little")).tolist())


def texts_of(automaton: TokenAutomaton, rng: random.Random, count: int, steps: int = 25) -> list[bytes]:
    """Random members: a random walk over single bytes, then the shortest way out."""
    found = []
    for _ in range(count):
        state, text = automaton.start, b""
        for _ in range(rng.randrange(steps)):
            live = sorted(bits(automaton.mask(state)) - {256})
            if not live:
                break
            # Bytes of ASCII lead on, bytes of longer characters would drown them.
            ascii_bytes = [b for b in live if b < 0x80]
            text += bytes([rng.choice(ascii_bytes if ascii_bytes and rng.random() < 0.8 else live)])
            state = automaton.advance_bytes(automaton.start, text)
        found.append(text + automaton.shortest(state))
    return found


def tokenise(rng: random.Random, tokens: Tokens, text: bytes) -> list[int]:
    """A random tokenisation; single bytes are always there."""
    by_bytes: dict[bytes, list[int]] = {}
    for i in tokens.ordinary:
        by_bytes.setdefault(tokens.tokens[i], []).append(i)
    longest = max(map(len, by_bytes))
    out, at = [], 0
    while at < len(text):
        options = [n for n in range(1, longest + 1) if text[at : at + n] in by_bytes and at + n <= len(text)]
        length = rng.choice(options)
        out.append(rng.choice(by_bytes[text[at : at + length]]))
        at += length
    return out


def mutate(rng: random.Random, text: bytes) -> bytes:
    """One to three edits, mostly of the kinds that JSON and UTF-8 care about."""
    data = bytearray(text)
    for _ in range(rng.randint(1, 3)):
        place = rng.randint(0, len(data))
        kind = rng.randrange(4)
        if kind == 0:
            data[place:place] = rng.choice(
                [b",", b'"', b"a", b" ", b"{", b"}", b"\\", b"\xc3\xa9", b"0", b":"]
            )
        elif kind == 1 and data:
            del data[place % len(data)]
        elif kind == 2 and data:
            data[place % len(data)] = rng.choice(b'ab"\\,:{}[]01 \n\xc3')
        elif data:
            begin = rng.randrange(len(data))
            data[place:place] = data[begin : begin + rng.randint(1, 6)]
    return bytes(data)


def is_live(state: int) -> bool:
    return state not in (DEAD, FINISHED)
