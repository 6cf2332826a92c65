"""Tables of tokens that end within characters or are no text: every bit against the steps byte by byte."""

from itertools import product

import pytest
from lark.indenter import PythonIndenter

import structgen
from structgen.testing import vocabularies
from tests.lark.test_bundled import GRAMMARS as FOLDER

PIECES = [
    b"a",
    b"Z",
    b"_",
    b"1",
    b'"',
    b"\\",
    b" ",
    b"\n",
    b"/",
    b"+",
    b"\xc3\xa9",
    b"\xe4\xb8\xad",
    b"\xf0\x9f\x98\x80",
    b"\xe4\xb8",
    b"\xb8",
    b"\xff",
]
GRAMMARS = [
    r"""
    start: (STRING | NAME "+"? | COMMENT)+
    STRING: /"[^"\\\n]*"/
    NAME: /[a-zA-Z_][a-zA-Z_0-9]*/
    COMMENT: /\/\/[^\n]*\n/
    %ignore " "
    """,
    r"""
    start: WORD ("+" WORD)*
    WORD: /[^\x00-\x2f\x3a-\x40"]+(?![0-9])/
    %ignore /[ \n]+/
    """,
]


@pytest.mark.parametrize("grammar", GRAMMARS)
def test_masks_are_the_steps_of_bytes(grammar: str) -> None:
    texts = {b"".join(p) for length in (1, 2, 3) for p in product(PIECES, repeat=length)}
    single = [bytes([b]) for b in range(256)]
    tokens = single + sorted(texts - set(single))
    automaton = structgen.compile_lark(
        grammar, structgen.Vocabulary([*tokens, b"</s>"], eos_token_ids=len(tokens))
    )
    allowed = refused = 0
    for prefix in (b"", b'"', b'"a', b'"\xe4', b"a", b"a1 ", b"//", b"\xe4\xb8", b"\xc3\xa9"):
        state = automaton.start
        for byte in prefix:
            state = automaton.step(state, byte) if state else 0
        if not state:
            continue
        mask = automaton.mask(state)
        for token, text in enumerate(tokens):
            to = state
            for byte in text:
                to = automaton.step(to, byte) if to else 0
            assert bool(int(mask[token >> 5]) >> (token & 31) & 1) == bool(to), (prefix, text)
            allowed, refused = allowed + bool(to), refused + (not to)
    assert allowed > 1000 < refused


def test_tables_made_from_others_lose_what_ends_elsewhere() -> None:
    """Behind a quote in a long string, `\"\"\"` and a newline would leave one quote over."""
    vocabulary, _ = vocabularies.tekken()
    grammar = (FOLDER / "python.lark").read_text(encoding="utf-8")
    automaton = structgen.compile_lark(grammar, vocabulary, postlex=PythonIndenter(), start="file_input")
    quotes = [i for i, token in enumerate(vocabulary.tokens) if b'"""' in token or b"'''" in token]
    assert vocabulary.tokens.index(b'"""\n') in quotes
    for text in (b'x = """abc', b'x = """abc "', b'x = """abc "d"', b'x = """abc ""', b"x = '''a'"):
        state = automaton.advance_bytes(automaton.start, text)
        allowed = automaton.mask(state)
        taken = [automaton.step(state, token) != structgen.DEAD for token in quotes]
        assert [bool(allowed[token >> 5] >> (token & 31) & 1) for token in quotes] == taken
