"""The penalty on repeated elements of JSON arrays: by hand, against a parser of JSON, and in generation."""

import importlib.util
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import structgen
from structgen import DEAD, TokenAutomaton, Vocabulary
from structgen.hf import AutomatonLogitsProcessor, GrammarRepetitionPenalty
from structgen.testing.schemas import json_values, spellings

EOS = 256
MERGED = ['",', '","', "},", '"},{"', "],[", "]],", "],", ", ", "1,", "e,", "ue,", "} ,\n", ",,"]
BYTES = [bytes([byte]) for byte in range(256)]
VOCABULARY = Vocabulary([*BYTES, b"", *map(str.encode, MERGED)], eos_token_ids=[EOS])


def compiled(schema: Any, **options: Any) -> TokenAutomaton:
    return structgen.compile_json_schema(schema, VOCABULARY, **options)


def after(automaton: TokenAutomaton, text: str, **options: Any) -> dict[str, int]:
    """Return the critical texts after `text`, read byte by byte, and their counts."""
    penalty = GrammarRepetitionPenalty(automaton, prompt_length=0, **options)
    scores = torch.zeros(1, VOCABULARY.logits_size, dtype=torch.float64)
    change = penalty(torch.tensor([list(text.encode())]), scores)[0] / math.log(0.9)
    return {
        VOCABULARY.tokens[t].decode("latin-1"): round(float(change[t]))
        for t in change.nonzero()[:, 0].tolist()
    }


def commas(*texts: str, count: int = 1) -> dict[str, int]:
    return dict.fromkeys((",", ", ", *texts), count)


ANY = compiled(True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[true,false", commas()),
        ("[true", {}),
        ("[1,2", commas("1,")),  # the number may have ended
        ("[1,2 ", commas()),
        ("[1,2,3,4", commas("1,", count=3)),
        ("[1,2,", {}),  # the copy has begun
        ('[1,"a",2,"b"', commas()),
        ('[1,"a",2', {}),
        ('[0,1,"a",2,"b"', commas()),  # C A B A B
        ('["a","b', dict.fromkeys(['",', '","'], 1)),
        ('["a","b"', commas()),
        ('["a","b\\', {}),  # the quote would be escaped
        ("[true,t", {}),
        ("[true,tru", {"e,": 1}),
        ("[true,tr", {"ue,": 1}),
        ('[{"a":1},{"a":2}', commas()),
        ('[{"a":1},{"b":2}', {}),  # other keys
        ('[{"a":1},{"a":"x"}', {}),  # other kinds
        ('[{"a":"x"},{"a":"y"', {"},": 1, "} ,\n": 1}),
        ('[{"a":"x"},{"a":"y', {'"},{"': 1}),
        ("[[1],[2]", commas()),
        ("[[true],[true", {"],": 1, "],[": 1}),
        ("[[[1]],[[2]", {"],": 1, "],[": 1}),
        ("[[1,2],[3,4", {"1,": 1, **commas()} | {"],": 1, "],[": 1}),
        ("[[1],[2,3]", {}),
        ('{"a":1,"b":2', {}),  # members are no elements
        ('[{"a":1,"b":2', {}),
        ('{"a":[1,2],"b":[3', {}),  # each array on its own
        ('["a","b","c]', dict.fromkeys(['",', '","'], 2)),
        ("12", {}),
    ],
)
def test_elements(text: str, expected: dict[str, int]) -> None:
    assert after(ANY, text) == expected


def test_closing_brackets_and_what_is_forced_are_spared() -> None:
    least = compiled({"type": "array", "items": {"type": "boolean"}, "minItems": 4})
    assert after(least, "[true,false,true") == {}  # it may not end
    assert after(least, "[true,false,true,true") == commas(count=3)
    most = compiled({"type": "array", "items": {"type": "boolean"}, "maxItems": 3})
    assert after(most, "[true,false,true") == {}
    words = compiled({"type": "array", "items": {"const": "a"}}, whitespace="compact")
    # The quote is forced, the comma behind it is not.
    assert after(words, '["a","a') == dict.fromkeys(['",', '","'], 1)
    assert not {"]", "}", '"'} & set(after(ANY, "[[[1]],[[2]]"))
    deep = "[[[[1]]],[[[1]]]"
    for level in ("statement", "terminal"):
        for length in range(len(deep)):
            assert not {"]", "}", '"'} & set(after(ANY, deep[:length], level=level))


def test_text_inside_strings() -> None:
    assert after(ANY, '["yes yes ') == {"y": 1}
    assert after(ANY, '{"yes yes yes ') == {"y": 2}
    assert after(ANY, '["yes yes ', content=False) == {}
    assert after(ANY, '["-- -- -- -- ') == {}
    assert after(ANY, '["yes yes "') == {}


def test_terminals() -> None:
    assert after(ANY, '{"a":{"a":', level="terminal") == {"{": 1}
    assert after(ANY, '{"a":{"b":', level="terminal") == {}
    assert after(ANY, "[true,true,", level="terminal") == {"t": 1}
    assert after(ANY, "[true,true", level="terminal") == {}
    assert after(ANY, "[[", level="terminal") == {"[": 1}


def test_elements_that_one_schema_reads() -> None:
    automaton = compiled(
        {
            "properties": {
                "a": {"type": "array", "items": {"$ref": "#/$defs/x"}},
                "b": {"type": "array", "items": {"anyOf": [{"$ref": "#/$defs/x"}, {"type": "boolean"}]}},
                "c": {"type": "array", "items": {"type": "object", "properties": {"k": {}}}},
                "d": {
                    "type": "array",
                    "items": {"anyOf": [{"items": {}, "type": "array"}, {"items": {"type": "null"}}]},
                },
            },
            "type": "object",
            "$defs": {"x": {"type": "object", "properties": {"k": {"type": "null"}}}},
        }
    )
    assert after(automaton, '{"a":[{},{}', level="#/$defs/x") == commas()
    assert after(automaton, '{"b":[{},{}', level="#/$defs/x") == commas()
    assert after(automaton, '{"b":[true,true', level="#/$defs/x") == {}
    assert after(automaton, '{"b":[true,true', level="statement") == commas()
    assert after(automaton, '{"b":[{},true,{}', level="#/$defs/x") == {}
    assert after(automaton, '{"c":[{},{}', level="#/$defs/x") == {}
    assert after(automaton, '{"c":[{},{}', level="#/properties/c/items") == commas()
    # Which alternative reads an empty array stays unknown.
    assert after(automaton, '{"d":[[],[]', level="#/properties/d/items/anyOf/0") == {}
    assert after(automaton, '{"d":[[1],[1]', level="#/properties/d/items/anyOf/0") == commas()


def test_levels_that_there_are_not() -> None:
    automaton = compiled({"type": "array", "items": {"properties": {"a": {}}}})
    with pytest.raises(
        ValueError, match=r"no schema of objects or arrays of this name: did you mean '#/items'\?"
    ):
        GrammarRepetitionPenalty(automaton, level="/items")
    with pytest.raises(ValueError, match="pass 'statement', 'terminal' or the name of one"):
        GrammarRepetitionPenalty(automaton, level="zzzzzz")
    for level in ("statement", "terminal", "#", "#/items", "array"):
        GrammarRepetitionPenalty(automaton, level=level)
    lark = structgen.compile_lark('start: line+\nline: "a"', VOCABULARY)
    with pytest.raises(ValueError, match=r"no rule of this name: did you mean 'line'\?"):
        GrammarRepetitionPenalty(lark, level="lines")
    GrammarRepetitionPenalty(lark, level="line")
    # Only content could be repeated.
    GrammarRepetitionPenalty(lark)
    with pytest.raises(ValueError, match="no rule is called stmt or statement"):
        GrammarRepetitionPenalty(lark, content=False)


# -- against a parser ------------------------------------------------------------------------


def shape(value: Any) -> Any:
    """Return what counts of a value: the kinds of scalars, the keys, the order."""
    if isinstance(value, list):
        return [shape(item) for item in value]
    if isinstance(value, tuple):  # an object's pairs
        return tuple((key, shape(item)) for key, item in value)
    return (
        "literal"
        if isinstance(value, bool) or value is None
        else "string"
        if isinstance(value, str)
        else "number"
    )


def repeats(shapes: list[Any]) -> int:
    """Return how often a unit at the end repeats what is in front of it, by trying every period."""
    best = 0
    for period in range(1, len(shapes) // 2 + 1):
        matched = 0
        while matched + period < len(shapes) and shapes[-1 - matched] == shapes[-1 - matched - period]:
            matched += 1
        if matched >= period and matched % period == 0:
            best = max(best, matched // period)
    return best


def critical_comma(text: str) -> int:
    """Return the count of a comma after a text that ends with an element, from the text alone."""
    depth = [
        match.group()
        for match in re.finditer(r'"(?:[^"\\]|\\.)*"|[][{}]', text)
        if match.group()[0] in "[]{}"
    ]
    closing: list[str] = []
    for bracket in depth:
        if bracket in "[{":
            closing.append("]" if bracket == "[" else "}")
        else:
            closing.pop()
    if not closing or closing[-1] == "}":
        return 0
    try:
        value = json.loads(text + "".join(reversed(closing)), object_pairs_hook=tuple)
    except ValueError:
        return 0
    for bracket in closing[:-1]:
        value = value[-1] if bracket == "]" else value[-1][1]
    return repeats([shape(item) for item in value])


LOOPS = st.recursive(
    st.sampled_from([1, -2.5, "a", "]", True, None, [], {}]),
    lambda inner: (
        st.lists(inner, max_size=2).flatmap(lambda unit: st.integers(1, 3).map(lambda times: unit * times))
        | st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
    ),
    max_leaves=8,
)


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_commas_against_a_parser(data: st.DataObject) -> None:
    value = data.draw(st.one_of(LOOPS, json_values(8)))
    text = data.draw(spellings(value, order=False))
    penalty = GrammarRepetitionPenalty(ANY, content=False, prompt_length=0)
    commas_seen = 0
    for length in range(1, len(text) + 1):
        row = list(text[:length].encode())
        scores = torch.zeros(1, VOCABULARY.logits_size, dtype=torch.float64)
        change = penalty(torch.tensor([row]), scores)[0]
        state = ANY.advance_bytes(ANY.start, text[:length].encode())
        # Within a string, a comma is text.
        if ANY.step(state, ord(",")) != DEAD and ANY.events(state, ord(",")):
            assert round(float(change[ord(",")]) / math.log(0.9)) == critical_comma(text[:length]), text[
                :length
            ]
            commas_seen += 1
        assert bool((change <= 0).all())
    assert commas_seen >= len([match for match in re.findall(r'"(?:[^"\\]|\\.)*"|,', text) if match == ","])


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_tokenisations_make_no_difference(data: st.DataObject) -> None:
    text = data.draw(spellings(data.draw(LOOPS), order=False)).encode()
    text = text[: data.draw(st.integers(1, len(text)))]
    level = data.draw(st.sampled_from(["statement", "terminal", "array"]))
    row: list[int] = []
    while (position := len(VOCABULARY.decode(row))) < len(text):
        here = [i for i, token in enumerate(VOCABULARY.tokens) if token and text.startswith(token, position)]
        row.append(data.draw(st.sampled_from(here)))
    penalty = GrammarRepetitionPenalty(ANY, level=level, prompt_length=0)
    scores = torch.zeros(1, VOCABULARY.logits_size)
    changed = [penalty(torch.tensor([tokens]), scores) for tokens in (row, list(text))]
    assert torch.equal(*changed)


# -- in generation ---------------------------------------------------------------------------


class Looping:
    """A model that always wants the next byte of a text, for ever going back into it."""

    def __init__(self, text: bytes, back: int, second: bytes = b"") -> None:
        self.text, self.back, self.second = text, back, second

    def scores(self, row: list[int]) -> torch.Tensor:
        scores = torch.full((1, VOCABULARY.logits_size), -9.0)
        at = len(row)
        while at >= len(self.text):
            at -= self.back
        scores[0, self.text[at]] = 3.0
        for byte in self.second:
            scores[0, byte] = 1.0
        return scores


def decode(automaton: TokenAutomaton, model: Looping, penalty: GrammarRepetitionPenalty | None) -> list[int]:
    constraint = AutomatonLogitsProcessor(automaton)
    row: list[int] = []
    while len(row) < 400:
        # A prompt of one token.
        ids = torch.tensor([[EOS, *row]])
        masked = constraint(ids, model.scores(row))
        scores = masked
        if penalty is not None:
            scores = penalty(ids, masked)
            assert bool((scores <= masked).all())
            for token in (scores != masked)[0].nonzero()[:, 0].tolist():
                assert b"," in VOCABULARY.tokens[token]
        token = int(scores.argmax())
        if token == EOS:
            break
        row.append(token)
    return row


RECORDS = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"id": {"type": "integer"}, "tags": {"type": "array", "items": {"type": "string"}}},
        "required": ["id", "tags"],
        "additionalProperties": False,
    },
}


@pytest.mark.parametrize(
    ("schema", "text", "back"),
    [
        (RECORDS, b'[{"id":1,"tags":["a"]},', 22),
        (RECORDS, b'[{"id":1,"tags":["a","b",', 4),
        ({"type": "array", "items": {"type": "boolean"}}, b"[true,", 5),
    ],
)
def test_greedy_decoding_finishes(schema: Any, text: bytes, back: int) -> None:
    automaton = compiled(schema, whitespace="compact")
    model = Looping(text, back, b"]")
    assert len(decode(automaton, model, None)) == 400
    row = decode(automaton, model, GrammarRepetitionPenalty(automaton, decay=0.8))
    assert len(row) < 400
    value = json.loads(VOCABULARY.decode(row))
    longest = max(value, value[0]["tags"] if isinstance(value[0], dict) else [], key=len)
    # The penalty grows by -log(0.8) for each copy after the first; it has to make up for a difference of 2.
    assert len(longest) == 1 + math.ceil(2 / -math.log(0.8))


def test_rows_are_told_apart() -> None:
    penalty = GrammarRepetitionPenalty(ANY, prompt_length=0)
    rows = [list(b"[true,true"), list(b"[true,null"), list(b'["a","b"]')]
    width = max(map(len, rows))
    ids = torch.tensor([[*row, *b" " * (width - len(row))] for row in rows])
    out = penalty(ids, torch.zeros(3, VOCABULARY.logits_size))
    alone = [penalty(ids[i : i + 1], torch.zeros(1, VOCABULARY.logits_size)) for i in range(3)]
    assert torch.equal(out, torch.cat(alone))


def test_the_example_ends(capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(__file__).parents[2] / "examples" / "repetition.py"
    spec = importlib.util.spec_from_file_location("repetition", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main()
    lines = capsys.readouterr().out.splitlines()
    tokens = [int(line.split()[2]) for line in lines]
    assert ["cut off" in line for line in lines] == [True, False, False]
    assert module.LIMIT == tokens[0] > tokens[1] > tokens[2]
