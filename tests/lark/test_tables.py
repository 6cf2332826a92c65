"""Tables of tokens that end within characters or are no text: every bit against the steps byte by byte."""

from itertools import product

import pytest

import structgen

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
