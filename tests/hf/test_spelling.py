"""Tokens that spell a text, against a look at all of them."""

from hypothesis import given
from hypothesis import strategies as st

from structgen import Vocabulary

texts = st.text("ab\xff", max_size=6).map(lambda text: text.encode("latin-1"))


@given(st.lists(texts, max_size=40), texts, st.integers(0, 4))
def test_tokens_are_those_that_spell_the_text(tokens: list[bytes], text: bytes, beyond: int) -> None:
    vocabulary = Vocabulary([*tokens, b"<end>"], eos_token_ids=[len(tokens)]).native
    begin = [t for t, data in enumerate(tokens) if len(data) > beyond and data and text.startswith(data)]
    longer = [t for t, data in enumerate(tokens) if len(data) > len(text) and data.startswith(text)]
    found = vocabulary.beginnings(text, beyond)
    assert sorted(found) == begin
    assert [len(tokens[token]) for token in found] == sorted(len(tokens[token]) for token in begin)
    both = vocabulary.beginnings_and_longer(text, beyond)
    assert both[: len(found)] == found
    assert sorted(both[len(found) :]) == longer
    assert vocabulary.beginnings(text) == vocabulary.beginnings(text, 0)
