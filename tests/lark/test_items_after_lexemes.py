"""Items behind lexemes that oblige them: where a lexeme ends can depend on how the item begins.

The oracle is Python's ``re`` with possessive quantifiers: a lexeme takes all that it can, an item is split
off in every way. What is ignored is a lexeme, too, but an item may begin in front of it.
"""

import itertools
import re
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import structgen
from structgen import DEAD

ALPHABET = "ab1 "
TEXTS = ["".join(text) for length in range(6) for text in itertools.product(ALPHABET, repeat=length)]


def byte_vocabulary() -> structgen.Vocabulary:
    tokens = ["a", "b", "1", " ", "ab", "a1", "1 ", " a", "b 1", "a b"]
    return structgen.Vocabulary([t.encode() for t in tokens] + [b"<eos>"], eos_token_ids=len(tokens))


VOCABULARY = byte_vocabulary()


def check(grammar: str, oracle: str, **options: str) -> None:
    language = {text for text in TEXTS if re.fullmatch(oracle, text)}
    if not language:  # the grammars that are tried have short texts, or none
        with pytest.raises(structgen.GrammarError, match="no text"):
            structgen.compile_lark(grammar, VOCABULARY, **options)
        return
    automaton = structgen.compile_lark(grammar, VOCABULARY, **options)
    for text in TEXTS:
        state = automaton.advance_bytes(automaton.start, text.encode())
        assert (state != DEAD and automaton.accepts(state)) == (text in language), text
        if state == DEAD:
            assert not any(member.startswith(text) for member in language), text
            continue
        if len(text) > 3:
            continue
        completion = automaton.shortest(state).decode()
        assert re.fullmatch(oracle, text + completion), (text, completion)
        mask = automaton.mask(state)
        for token, data in enumerate(VOCABULARY.tokens[:-1]):
            allowed = automaton.advance_bytes(state, data) != DEAD
            assert bool(int(mask[token >> 5]) >> (token & 31) & 1) == allowed, (text, data)
            assert (automaton.step(state, token) != DEAD) == allowed


possessive = pytest.mark.skipif(sys.version_info < (3, 11), reason="the oracle has possessive quantifiers")


@pytest.mark.parametrize(
    ("item", "pattern"),
    [
        ('%json {"type": "integer", "minimum": 1, "maximum": 11}', "11|1"),
        ("%regex /b*a/", "b*a"),
        ("%regex /[ab]b?/", "[ab]b?"),
        ("%regex / ?1/", " ?1"),
        ("%regex /[^1]*1/", "[^1]*1"),
    ],
)
@pytest.mark.parametrize("lexer", ["contextual", "basic"])
@possessive
def test_item_behind_what_is_ignored(item: str, pattern: str, lexer: str) -> None:
    check(f'start: "a" {item}\n%ignore / +/', rf" *+a(?: ++)?(?:{pattern}) *+", lexer=lexer)


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("/a+/", "a++"),
        ("/a+?/", "a"),
        ("/[ab]+/", "[ab]++"),
        ("/ab?|b/", "(?>ab?|b)"),
        ("/a(?=b)/", "a(?=b)"),
        ("/a+(?!1)/", "(?>a+(?!1))"),
    ],
)
@pytest.mark.parametrize("item", ["b*a", "[ab]*1", "1+", "a?b", "[^b]+"])
@possessive
def test_item_behind_a_lexeme(name: str, pattern: str, item: str) -> None:
    check(f"start: NAME %regex /{item}/\nNAME: {name}", f"(?:{pattern})(?:{item})")


@possessive
def test_items_between_lexemes() -> None:
    check(
        "start: (NAME | %regex /1[ab]?/)+\nNAME: /[ab]+/\n%ignore / +/",
        r" *+(?:[ab]++ *+|1[ab]? *+)+",
    )


def test_special_token_behind_a_bound_item() -> None:
    vocabulary = structgen.Vocabulary(
        [b"a", b"b", b"1", b"<go>", b"<eos>"], eos_token_ids=4, special_token_ids=[3]
    )
    automaton = structgen.compile_lark("start: NAME %regex /b?1*/ <go>\nNAME: /a+(?!1)/", vocabulary)

    def accepts(*tokens: int) -> bool:
        state = automaton.start
        for token in tokens:
            allowed = bool(int(automaton.mask(state)[0]) >> token & 1)
            state = automaton.step(state, token)
            assert allowed == (state != DEAD)
        return state != DEAD and automaton.accepts(state)

    assert accepts(0, 0, 1, 2, 3)
    assert accepts(0, 3)
    assert not accepts(0, 2, 3)  # "a1": the lookahead forbids it
    assert not accepts(0, 1, 2)


@pytest.mark.parametrize(
    ("text", "accepted"),
    [("a[1,2]", True), ("a[11,1]", True), ("a[1,1]", False), ("a[11,11]", False), ("a[2,;]", False)],
)
def test_checked_item_under_a_lasting_obligation(text: str, accepted: bool) -> None:
    vocabulary = structgen.Vocabulary([bytes([i]) for i in range(256)] + [b""], eos_token_ids=256)
    item = '%json {"type": "array", "uniqueItems": true, "items": {"type": "integer"}}'
    automaton = structgen.compile_lark(f"start: NAME {item}\nNAME: /a+(?!.*;)/", vocabulary).session()
    state = automaton.start
    for byte in text.encode():
        state = automaton.step(state, byte)
    assert (state != DEAD and automaton.accepts(state)) == accepted


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    name=st.sampled_from(["a", "b", "ab", "[ab]+", "a+", "a*b", "1a?", "[a1]+"]),
    ahead=st.sampled_from(["", "(?!a)", "(?=.)", "(?!.1)", "(?=b| 1)"]),
    item=st.sampled_from(["a", "b+", "[ab]*1", "1?b", ".1", "[^ ]+", "a|1 ?b"]),
    ignored=st.booleans(),
)
@possessive
def test_any_lexeme_and_item(name: str, ahead: str, item: str, ignored: bool) -> None:
    spaces = " *+" if ignored else ""
    before = "(?: ++)?" if ignored else ""  # the item may begin with spaces, too
    grammar = f"start: NAME %regex /{item}/\nNAME: /{name}{ahead}/" + ("\n%ignore / +/" if ignored else "")
    check(grammar, f"{spaces}(?>{name}{ahead}){before}(?:{item}){spaces}")
