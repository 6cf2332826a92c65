"""Patterns of both flavours, grown from a grammar, and strings that may or may not match them."""

import itertools
import random

from hypothesis import strategies as st

from structgen._frontends.regex import RegexBuilder

# Few characters, so that random strings meet random patterns; one of each kind that assertions tell apart.
ALPHABET = "ab_0 -\né😀"

_CHARACTERS = st.sampled_from(["a", "b", "a", "b", "_", "0", " ", "-", "é", "😀"])
_CLASSES = st.sampled_from(
    r". \d \D \w \W \s \S [ab] [^ab] [\w-] [a-c_] [^\s] \n [^\W\d] [\x61] \u00e9 [é😀]".split()
)
_QUANTIFIERS = st.sampled_from(
    ["*", "+", "?", "{2}", "{0,2}", "{1,}", "{1,3}", "*?", "+?", "??", "{0}", "{0,2}?"]
)
_POSSESSIVE = st.sampled_from(["*+", "++", "?+", "{1,2}+", "{0,2}+"])


def _extend(inner: st.SearchStrategy[str], groups: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    sequences = st.lists(inner, max_size=4).map("".join)
    wrapped = st.builds(lambda group, body: group.format(body), groups, sequences)
    quantified = st.builds(lambda body, quantifier: f"(?:{body}){quantifier}", sequences, _QUANTIFIERS)
    alternatives = st.lists(sequences, min_size=2, max_size=3).map(lambda options: f"(?:{'|'.join(options)})")
    return st.one_of(sequences, wrapped, quantified, alternatives)


def _patterns(atoms: st.SearchStrategy[str], groups: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    repeated = st.builds(str.__add__, _CHARACTERS | _CLASSES, _QUANTIFIERS)
    tree = st.recursive(
        _CHARACTERS | _CLASSES | repeated | atoms, lambda x: _extend(x, groups), max_leaves=10
    )
    return st.lists(tree, min_size=1, max_size=3).map("|".join) | tree


_PYTHON_ATOMS = st.sampled_from(
    ["^", "$", r"\A", r"\Z", r"\b", r"\B", r"(?<=a)", r"(?<!a)", r"(?<=ab)", r"(?<!b\w)"]
)
_PYTHON_GROUPS = st.sampled_from(
    ["({})", "(?P<n>{})", "(?i:{})", "(?s:{})", "(?m:{})", "(?a:{})", "(?={})", "(?!{})"]
)
_ECMA_ATOMS = st.sampled_from(
    [
        "^",
        "$",
        r"\b",
        r"\B",
        r"(?<=a)",
        r"(?<!a)",
        r"(?<=ab|_)",
        r"(?<!ba*)",
        r"(?<=^a)",
        r"(?=,|$)",
        "(?!a(?:b|$))",
        "(?=.*b$)",
    ]
)
_ECMA_GROUPS = st.sampled_from(["({})", "(?i:{})", "(?s:{})", "(?m:{})", "(?={})", "(?!{})"])

python_patterns = _patterns(_PYTHON_ATOMS, _PYTHON_GROUPS)
ecma_patterns = _patterns(_ECMA_ATOMS, _ECMA_GROUPS)
plain_patterns = _patterns(st.nothing(), st.just("(?:{})"))
atomic_patterns = st.builds(
    lambda head, body, tail: head + body + tail,
    plain_patterns,
    st.builds("(?>{})".format, plain_patterns)
    | st.builds(str.__add__, _CHARACTERS | _CLASSES, _POSSESSIVE)
    | st.builds(
        "(?:{}){}".format, st.sampled_from(["ab", "a|b", "ab|ba", "a|ab", "ab|a", "a?b"]), _POSSESSIVE
    ),
    plain_patterns,
)

_NARROW_ATOMS = st.sampled_from(
    r"a b ab ba [ab] (?:) (?=a) (?!a) (?=b|$) (?<=a) (?<!a) (?<=ab) \b \B ^ $ (?!ab\b) (?=a\Z)".split()
)
_LOOPS = st.sampled_from("* *? + +? ? ?? {0,2} {1,3}? {2,} {2}".split())


def _grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return (
        st.lists(inner, min_size=2, max_size=3).map("".join)
        | st.lists(inner, min_size=2, max_size=3).map(lambda options: f"(?:{'|'.join(options)})")
        | st.builds("(?:{}){}".format, inner, _LOOPS)
    )


# Over two letters nearly every order of ways to match ends in different places.
narrow_patterns = st.recursive(_NARROW_ATOMS, _grow, max_leaves=8)

SHORT_STRINGS = ["".join(t) for n in range(4) for t in itertools.product("ab\n", repeat=n)]


def strings_near(builder: RegexBuilder, regex: int, seed: int) -> list[str]:
    """Strings for a membership test: a shortest member and non-member, mutations of them, and random ones."""
    rng = random.Random(seed)
    strings = SHORT_STRINGS + ["".join(rng.choices(ALPHABET, k=rng.randint(1, 7))) for _ in range(12)]
    for side in (regex, builder.re_complement(regex)):
        strings += around_shortest(builder, side, rng)
    return strings


def around_shortest(builder: RegexBuilder, regex: int, rng: random.Random) -> list[str]:
    """A shortest member and mutations of it; nothing when there is no member."""
    if builder.re_is_empty(regex):
        return []
    shortest = builder.re_shortest(regex)
    assert builder.re_matches(regex, shortest)
    return [shortest, *(_mutate(rng, shortest) for _ in range(12))]


def _mutate(rng: random.Random, text: str) -> str:
    characters = list(text)
    for _ in range(rng.randint(1, 3)):
        place = rng.randint(0, len(characters))
        kind = rng.randrange(3)
        if kind == 0:
            characters.insert(place, rng.choice(ALPHABET))
        elif characters and kind == 1:
            characters[place % len(characters)] = rng.choice(ALPHABET)
        elif characters:
            del characters[place % len(characters)]
    return "".join(characters)
