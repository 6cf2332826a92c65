"""Several start rules: the texts that lark parses from any of them, with tables that they share."""

import itertools
from collections.abc import Iterator

import lark
import pytest
from lark.indenter import Indenter

from structgen import GrammarError, Vocabulary, compile_lark
from tests.lark.recorder import accepts
from tests.lark.reference import parses_from

VOCABULARY = Vocabulary([*(bytes([i]) for i in range(256)), b""], eos_token_ids=256)


class _Indenter(Indenter):
    NL_type = "_NL"
    OPEN_PAREN_types: list[str] = []  # noqa: RUF012
    CLOSE_PAREN_types: list[str] = []  # noqa: RUF012
    INDENT_type = "_INDENT"
    DEDENT_type = "_DEDENT"
    tab_len = 2


# Each with its start rules and an alphabet.
_GRAMMARS = {
    # Behind w, lark tries Y, which wins on x, whichever rule it began with.
    "lookaheads": ('a: w X\nb: w Y\nw: "w"\nX: /x|z/\nY.2: /x|y/', "ab", "wxyz"),
    "keywords": ('a: "i" NAME\nb: NAME "j"\nNAME: /[ijk]+/\n%ignore " "', "ab", "ijk "),
    "shifts": ('a: x "b" | "a" "b" "c"\nb: "a" b? "c"\nx: "a"', "ab", "abc"),
    "one in the other": ('a: "(" b ")" | "x"\nb: a ("," a)*', "ba", "(x,)"),
    "empty": ('a: "x"*\nb: "y"\nc: "z" c "z" |', "abc", "xyz"),
    "only empty": ('a:\nb: "y"\n%ignore "x"', "ab", "xy"),
    "ambiguous": ('a: a a | "x"\nb: "x" b "y" | a', "ab", "xy"),
}


def _texts(alphabet: str) -> Iterator[str]:
    for length in range(6):
        yield from map("".join, itertools.product(alphabet, repeat=length))


@pytest.mark.parametrize(
    "options",
    [
        {"parser": "lalr"},
        {"parser": "lalr", "lexer": "basic"},
        {"parser": "earley"},
        {"parser": "earley", "lexer": "basic"},
    ],
    ids=lambda options: " ".join(options.values()),
)
@pytest.mark.parametrize("name", _GRAMMARS)
def test_texts_of_any_start(name: str, options: dict[str, str]) -> None:
    text, rules, alphabet = _GRAMMARS[name]
    starts = list(rules)
    try:
        parser = lark.Lark(text, start=starts, **options)  # type: ignore[arg-type]
    except lark.exceptions.GrammarError:
        assert (name, options["parser"]) == ("ambiguous", "lalr")
        with pytest.raises(GrammarError, match="not LALR"):
            compile_lark(text, VOCABULARY, start=starts, **options)
        return
    expected = {s: {t for t in _texts(alphabet) if parses_from(parser, t, s)} for s in starts}
    assert len(set(map(frozenset, expected.values()))) == len(starts)
    for chosen in (starts, *([s] for s in starts)):
        automaton = compile_lark(parser, VOCABULARY, start=chosen)
        found = {t for t in _texts(alphabet) if accepts(automaton, t)}
        assert found == set().union(*(expected[s] for s in chosen))
    automaton = compile_lark(text, VOCABULARY, start=starts, **options)
    assert {t for t in _texts(alphabet) if accepts(automaton, t)} == set().union(*expected.values())


def test_tables_are_shared() -> None:
    """Made with both rules, lark refuses from one what it parses when made with that one alone."""
    text, _, _ = _GRAMMARS["lookaheads"]
    shared = lark.Lark(text, start=["a", "b"], parser="lalr")
    automaton = compile_lark(shared, VOCABULARY, start="a")
    assert accepts(automaton, "wz")
    assert not accepts(automaton, "wx")
    assert accepts(compile_lark(shared, VOCABULARY, start="b"), "wx")
    assert accepts(compile_lark(text, VOCABULARY, start="a"), "wx")


def test_indentation() -> None:
    text = 'a: "x" _NL _INDENT b+ _DEDENT\nb: "y" _NL\n_NL: /(\\n *)+/\n%declare _INDENT _DEDENT'
    parser = lark.Lark(text, start=["a", "b"], parser="lalr", postlex=_Indenter())
    automaton = compile_lark(parser, VOCABULARY)
    expected = {t: parses_from(parser, t, "a") or parses_from(parser, t, "b") for t in _texts("xy\n ")}
    assert {t: accepts(automaton, t) for t in expected} == expected
    assert expected["y\n"]
    assert accepts(automaton, "x\n y\n y\n")


def test_tables_that_vary() -> None:
    """Lark resolves such conflicts one way or another, as its sets happen to be ordered."""
    text = 'start: p q | "a"\np:\nq: r start | "b"\nr:\n'
    expected = r"not LALR\(1\): rule 'p' can be empty, and can then come again"
    with pytest.raises(GrammarError, match=expected) as caught:
        compile_lark(text, VOCABULARY)
    assert caught.value.line == 2
    assert caught.value.hint is not None
    assert "earley" in caught.value.hint
    automaton = compile_lark(text, VOCABULARY, parser="earley")
    assert accepts(automaton, "b")
    assert accepts(automaton, "a")
    assert not accepts(automaton, "ab")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('start: a "!" | b "!"\na: "x"\nb: "x"\n', "before BANG, between <a: X> and <b: X>"),
        ('start: a | b\na: "x"\nb: "x"\n', "before the end, between <a: X> and <b: X>"),
    ],
)
def test_reductions_that_collide(text: str, reason: str) -> None:
    with pytest.raises(lark.exceptions.GrammarError, match="Reduce/Reduce collision"):
        lark.Lark(text, parser="lalr")
    with pytest.raises(GrammarError, match=rf"not LALR\(1\), reduce/reduce conflicts: {reason}") as caught:
        compile_lark(text, VOCABULARY)
    assert caught.value.line == 2
    assert caught.value.hint is not None
    assert "earley" in caught.value.hint
    parsed = "x!" if "!" in text else "x"
    assert accepts(compile_lark(text, VOCABULARY, parser="earley"), parsed)
    assert accepts(compile_lark(text.replace("b:", "b.1:"), VOCABULARY), parsed)
