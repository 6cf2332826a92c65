"""``json.lark`` against the ``json`` module."""

import json
import random
from typing import Any

import lark
import pytest

from tests.grammars.support import SentenceMaker, examples, load, mutations, one_of, parses


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def judge(text: str) -> bool:
    """Whether the ``json`` module reads the text, NaN and the infinities aside."""
    try:
        json.loads(text, parse_constant=_refuse)
    except ValueError:
        return False
    return True


def value(tree: lark.Tree[lark.Token]) -> Any:
    """The value that a parse tree stands for."""
    children = [child for child in tree.children if child is not None]
    match tree.data:
        case "object":
            return {
                json.loads(member.children[0].children[0]): value(member.children[1]) for member in children
            }
        case "array":
            return [value(child) for child in children]
        case "true" | "false" | "null":
            return {"true": True, "false": False, "null": None}[tree.data]
        case _:
            return json.loads(children[0])


@pytest.mark.parametrize("text", examples("json")["accepted"])
def test_accepted(text: str) -> None:
    assert value(load("json").parse(text)) == json.loads(text)


@pytest.mark.parametrize("text", examples("json")["rejected"])
def test_rejected(text: str) -> None:
    assert not judge(text)
    assert not parses("json", text)


@pytest.mark.parametrize(
    "character", [*map(chr, range(0x21)), "\x7f", "\x80", "\xa0", "\u2028", "\ud800", "\ufeff", "😀"]
)
def test_characters(character: str) -> None:
    for text in (character, f'"{character}"', f"[{character}1]", f'"\\{character}"', f"1{character}"):
        assert parses("json", text) == judge(text), text


def test_every_escape() -> None:
    for code in range(0x80):
        text = f'"\\{chr(code)}"'
        assert parses("json", text) == judge(text), text
    for digits in ("0000", "ffFF", "D800", "12g4", "123", "+123", "1_23", " 123", "0x12", "١٢٣٤"):
        text = f'"\\u{digits}"'
        assert parses("json", text) == judge(text), text


SAMPLERS = {
    "STRING": one_of('""', '"a"', '"\\u00e9\\n"', '"\\ud800"', '"é😀\x7f"', '"\\\\"', '"\\""'),
    "NUMBER": one_of("0", "-0", "12", "-1.50", "1E5", "2e-0", "0.0e+00"),
}


def test_generated() -> None:
    maker = SentenceMaker("json", SAMPLERS)
    rng = random.Random(0)
    texts = set()
    for _ in range(1000):
        text = "".join(rng.choice(("", "", " ", "\n\t", "\r")) + lexeme for lexeme in maker.make(rng, 60))
        assert value(load("json").parse(text)) == json.loads(text)
        texts.add(text)
    assert len(texts) > 200


@pytest.mark.parametrize("seed", range(4))
def test_mutated(seed: int) -> None:
    rng = random.Random(seed)
    pieces = (
        "true",
        "false",
        "null",
        "NaN",
        "-Infinity",
        '"a"',
        '"a":1',
        "\\u00",
        "\\ud83d",
        "1e",
        ".0",
        "[]",
        "{}",
    )
    for example in examples("json")["accepted"]:
        for text in mutations(example, rng, 40, "\"\\[]{},:0123.eE+- \n\t\x0b\x00atrufnls'/é", pieces):
            assert parses("json", text) == judge(text), text
