"""``csv.lark`` against the ``csv`` module."""

import csv
import io
import random
import re
import sys

import pytest

from tests.grammars.support import SentenceMaker, examples, load, mutations, one_of, parses

pytestmark = pytest.mark.skipif(sys.version_info < (3, 11), reason="before 3.11, csv refuses the character 0")


def read(text: str) -> list[list[str]] | None:
    """The records that the ``csv`` module reads, or None where it refuses."""
    try:
        return list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error:
        return None


def out_of_scope(text: str) -> str | None:
    """What the ``csv`` module takes and RFC 4180 does not, or None."""
    # Quoted fields first, so that what is left of them is looked at as a whole.
    bare = re.sub(r'(?:(?<=[,\n])|\A)"(?:[^"]|"")*"(?=,|\r?\n|\Z)', "quoted", text)
    if '"' in bare:
        return "a quotation mark within a field that is not quoted"
    if re.search(r"\r(?!\n)", bare):
        return "a carriage return alone as a line break"
    return None


def records(text: str) -> list[list[str]]:
    """The records of the parse tree as the ``csv`` module counts them."""
    found = []
    for record in load("csv").parse(text).children:
        lexemes = [str(field.children[0]) if field.children else "" for field in record.children]
        if lexemes == [""]:
            # An empty line has no field for the module, and no line begins at the end of the text.
            found.append([])
        else:
            found.append([s[1:-1].replace('""', '"') if s.startswith('"') else s for s in lexemes])
    if found[-1] == []:
        found.pop()
    return found


@pytest.mark.parametrize("text", examples("csv")["accepted"])
def test_accepted(text: str) -> None:
    assert out_of_scope(text) is None
    assert records(text) == read(text)


@pytest.mark.parametrize("text", examples("csv")["rejected"])
def test_rejected(text: str) -> None:
    assert read(text) is None or out_of_scope(text)
    assert not parses("csv", text)


def test_ragged_records() -> None:
    assert records("a,b\nc\nd,e,f") == [["a", "b"], ["c"], ["d", "e", "f"]]


def test_line_breaks() -> None:
    for text in ("a\nb", "a\r\nb", "a\nb\r\nc\n"):
        assert records(text) == read(text)
    for text in ("a\rb", "a\n\rb", "a\r\r\nb"):
        assert out_of_scope(text)
        assert not parses("csv", text)
    assert records('"a\rb"') == [["a\rb"]]


SAMPLERS = {
    "TEXT": one_of("a", " b ", "é", "1.5", "it's", "\t", "\x00"),
    "QUOTED_TEXT": one_of('""', '"a"', '"a,b"', '"""a"""', '"\r\n"', '"\r"', '"\n\n"'),
    "_LINE_BREAK": one_of("\n", "\r\n"),
}


def test_generated() -> None:
    maker = SentenceMaker("csv", SAMPLERS)
    rng = random.Random(0)
    texts = set()
    for _ in range(1000):
        text = "".join(maker.make(rng, 40))
        assert out_of_scope(text) is None
        assert records(text) == read(text)
        texts.add(text)
    assert len(texts) > 300


@pytest.mark.parametrize("seed", range(4))
def test_mutated(seed: int) -> None:
    rng = random.Random(seed)
    accepted = rejected = 0
    for example in examples("csv")["accepted"]:
        for text in mutations(
            example, rng, 40, '",\r\n ab"\t\x00é', ('""', '"a"', "\r\n", ',"', '",', '"\n')
        ):
            if parses("csv", text):
                assert records(text) == read(text), text
                accepted += 1
            else:
                assert read(text) is None or out_of_scope(text), text
                rejected += 1
    assert min(accepted, rejected) > 500
