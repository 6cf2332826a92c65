"""Items beyond Lark's own: where they may stand, what they mean, and what is wrong with them."""

import itertools
import json
import re

import jsonschema
import lark
import pytest

from structgen import GrammarError, Vocabulary
from structgen._frontends.lark import load_lark, options_of_lark
from tests.lark.front import load
from tests.lark.recorder import accepts, record

SPECIAL = ["</s>", "<|tool_call|>", "<|end|>", "<think>", "[TOOL_CALLS]"]
TOKENS = [bytes([i]) for i in range(256)] + [name.encode() for name in SPECIAL] + [b"<note>"]
VOCABULARY = Vocabulary(TOKENS, eos_token_ids=256, special_token_ids=range(256, 261))


def item_texts(text: str) -> dict[str, str]:
    """Return what the terminals of items are written as."""
    return {t.name: t.item.spelling for t in load(text).spec.terminals if t.item is not None}


def rules(text: str) -> list[tuple[str, ...]]:
    spec = load(text).spec
    return [
        (spec.nonterminals[p.origin], *(spec.symbol(symbol) for symbol in p.symbols))
        for p in spec.productions
    ]


def test_items_stand_in_rules() -> None:
    assert rules('start: "a" %json {"type": "null"} <|end|>\n    | %regex /x+/ "b" <[259]>\n') == [
        ("start", "A", '%json {"type": "null"}', "<|end|>"),
        ("start", "%regex /x+/", "B", "<[259]>"),
    ]


def test_items_that_may_be_empty_are_optional() -> None:
    assert rules('start: %text "stop"\n') == [("start", '%text "stop"'), ("start",)]
    assert rules("start: %regex /x*/ x\nx: %regex /x/\n") == [
        ("start", "%regex /x*/", "x"),
        ("start", "x"),
        ("x", "%regex /x/"),
    ]


def test_items_in_groups_repetitions_templates_and_imports(tmp_path) -> None:
    assert rules('start: ("a" | <|end|>)~2 x{<think>}\nx{y}: y+ | [%json true]\n')[:2] == [
        ("start", "A", "A", "x{NAME_ITEM_1}"),
        ("start", "A", "<|end|>", "x{NAME_ITEM_1}"),
    ]
    (tmp_path / "lib.lark").write_text('call: "(" %json {"type": "integer"} ")" ANSWER\nANSWER: <|end|>\n')
    text = "start: call %json false\n%import lib.call\n"
    spec = load(text, import_paths=[tmp_path]).spec
    assert sorted(t.item.spelling for t in spec.terminals if t.item) == [
        "%json false",
        '%json {"type": "integer"}',
        "<|end|>",
    ]
    integers = next(t.item for t in spec.terminals if t.item and "integer" in t.item.spelling)
    assert (integers.source, integers.line, integers.column) == (str(tmp_path / "lib.lark"), 1, 11)


def test_equal_items_share_a_terminal() -> None:
    schemas = ['{"a": 1.0}', '{ "a":1.0 }', '{"a": 1}', '{"a": "1.0"}']
    assert len(item_texts("start: " + " | ".join(f'"{i}" %json {s}' for i, s in enumerate(schemas)))) == 3
    assert len(item_texts("start: <|end|> <|end|> <think>\n")) == 2
    assert len(item_texts('start: "a" %text "x" | "b" %text "x" | "c" %text "x" "x" | "d" %text "y"\n')) == 3
    assert len(item_texts("start: %regex /a/ %regex /a/i\n")) == 2


def test_terminals_defined_as_items() -> None:
    text = 'start: CALL ARGS | ARGS _END  // "both"\n'
    text += 'CALL: <|tool_call|>\nARGS: %json {\n  "type": "null"\n}\n_END: <|end|>\n'
    assert item_texts(text) == {
        "CALL": "<|tool_call|>",
        "ARGS": '%json {\n  "type": "null"\n}',
        "_END": "<|end|>",
    }


def test_items_are_not_read_in_strings_patterns_and_comments() -> None:
    text = 'start: "%json {}" /<|end|>%text/ | "<|end|>" /%regex/ // <|end|> %json {\n# %text\n'
    assert item_texts(text) == {}
    assert {t.literal for t in load(text).spec.terminals} == {"%json {}", "<|end|>", None}


def test_lines_stay_where_they_are() -> None:
    text = 'start: "a" %json {\n  "type":\n  "null" } "b" cc\n'
    with pytest.raises(GrammarError, match="'cc' is used but not defined") as caught:
        load(text)
    assert (caught.value.line, caught.value.column) == (3, 16)
    with pytest.raises(GrammarError, match="cannot stand here") as caught:
        load('start: "a" %json {\n  "type":\n  "null" } "b" )\n\n')
    assert (caught.value.line, caught.value.column) == (3, 16)
    assert '\n    "null" } "b" )\n                 ^' in str(caught.value)


@pytest.mark.parametrize(
    ("text", "line", "column", "reason"),
    [
        ('start: "a"\n | %json {"a": }\n', 2, 16, "the schema of %json is no JSON"),
        ("start: %json 3\n", 1, 14, "%json takes a JSON Schema"),
        ("start: %json\n", 2, 1, "the schema of %json is no JSON"),
        ("start: %regex x\n", 1, 15, "%regex takes a regular expression"),
        ("start: %regex /(/\n", 1, 15, "the pattern of %regex is wrong: missing \\)"),
        ('start: %text "a"i\n', 1, 14, "matched as it is spelt"),
        ('A: "a" <|end|>\nstart: A\n', 1, 8, "<|end|> can only be all of a terminal"),
        ('A: <|end|> "a"\nstart: A\n', 1, 4, "<|end|> can only be all of a terminal"),
        ('A: <|end|>\n | "a"\nstart: A\n', 1, 4, "<|end|> can only be all of a terminal"),
        ("A.2: <|end|>\nstart: A\n", 1, 6, "'A' is not scanned and can have no priority"),
        ('A: %text "x"\nstart: A\n', 1, 4, "'A' could be empty"),
        ("A: <|end|>\nA: <think>\nstart: A\n", 2, 4, "'A' defined more than once"),
        ('A: <|end|>\nA: "a"\nstart: A\n', 1, 1, "'A' defined more than once"),
        ("start: <|end\n", 1, 8, "'<' cannot stand here"),
    ],
)
def test_items_in_wrong_places(text: str, line: int, column: int, reason: str) -> None:
    with pytest.raises(GrammarError, match=reason.replace("|", "\\|")) as caught:
        load(text)
    assert (caught.value.line, caught.value.column) == (line, column)


# -- special tokens ----------------------------------------------------------------------------


def test_special_tokens_by_name_and_by_id() -> None:
    recorder = record(load("start: <|tool_call|> <think> <[TOOL_CALLS]> <[258]>\n"), VOCABULARY)
    assert sorted(recorder.terminals().values()) == [(3, 257), (3, 258), (3, 259), (3, 260)]


@pytest.mark.parametrize(
    ("item", "reason", "hint"),
    [
        ("<|tool_calls|>", "there is no special token <|tool_calls|>", "did you mean <|tool_call|>"),
        ("<|nothing_like_it|>", "there is no special token <|nothing_like_it|>", None),
        ("<note>", "there is no special token <note>", "write the string '<note>'"),
        ("</s>", "</s> ends the output", None),
        ("<[256]>", "token 256 is no special token", "written as a string"),
        ("<[65]>", "token 65 is no special token", "written as a string"),
        ("<[9999]>", "token 9999 is no special token", None),
        ("%text <|wrong|>", "there is no special token <|wrong|>", None),
    ],
)
def test_special_tokens_that_there_are_not(item: str, reason: str, hint: str | None) -> None:
    with pytest.raises(GrammarError, match=re.escape(reason)) as caught:
        record(load(f'start: "a"\n  | {item}\n'), VOCABULARY)
    assert (caught.value.line, caught.value.column) == (2, 5)
    if hint is not None:
        assert caught.value.hint is not None
        assert hint in caught.value.hint


def test_special_tokens_of_a_vocabulary() -> None:
    assert dict(VOCABULARY.special_tokens) == {name: 256 + i for i, name in enumerate(SPECIAL)}
    several = Vocabulary([b"a", b"<x>", b"<x>", b"", b"</s>"], eos_token_ids=4, special_token_ids=[1, 2, 3])
    assert dict(several.special_tokens) == {"<x>": 1, "</s>": 4}
    with pytest.raises(TypeError):
        several.special_tokens["<y>"] = 0  # type: ignore[index]


# -- languages ---------------------------------------------------------------------------------


def expression(item: str) -> tuple[object, bool]:
    """Compile the one item of a grammar; say whether the grammar may leave it out."""
    loaded = load(f"start: {item}\n")
    recorder = record(loaded, VOCABULARY)
    (handle,) = [handle for kind, handle in recorder.terminals().values() if kind == 2]
    return recorder.automaton(handle), any(not p.symbols for p in loaded.spec.productions)


def words(alphabet: str, longest: int) -> list[str]:
    return ["".join(w) for n in range(longest + 1) for w in itertools.product(alphabet, repeat=n)]


@pytest.mark.parametrize("stop", ["a", "ab", "aa", "aba", "abab", "aab", "```"])
def test_free_text_before_a_string(stop: str) -> None:
    alphabet = "`x" if stop == "```" else "ab"
    plain, optional = expression(f'%text "{stop}"')
    assert optional
    first, _ = expression(f'%text "{stop}" "{stop}"')
    refused = 0
    for word in words(alphabet, 7)[1:]:
        assert accepts(plain, word) == (stop not in word), word
        assert accepts(first, word) == ((word + stop).index(stop) == len(word)), word
        refused += (stop in word) != ((word + stop).index(stop) != len(word))
    # The two differ exactly where the string overlaps itself.
    overlaps = any(stop.startswith(stop[i:]) for i in range(1, len(stop)))
    assert (refused > 0) == overlaps


@pytest.mark.parametrize(
    "item", ['%text "aba" "aba"?', '%text "aba" "aba"*', '%text "aba" "x"', '%text "aba" "aba"~0..2']
)
def test_only_a_string_directly_behind_it_is_the_first(item: str) -> None:
    automaton, _ = expression(item)
    assert accepts(automaton, "ab")


def test_free_text_without_end() -> None:
    for item in ("%text", "%text <|end|>"):
        automaton, optional = expression(item)
        assert optional
        assert not accepts(automaton, "")
        assert accepts(automaton, "é\n<|end|>")


@pytest.mark.parametrize("pattern", ["a|ab", "(a|ab)(c|bcd)?", "a*?b?", "A(?!b)b*|bb"])
def test_regexes_are_languages(pattern: str) -> None:
    automaton, optional = expression(f"%regex /{pattern}/i")
    compiled = re.compile(pattern, re.IGNORECASE)
    assert optional == (compiled.fullmatch("") is not None)
    for word in words("abcD", 4)[1:]:
        assert accepts(automaton, word) == (compiled.fullmatch(word) is not None), word
    assert not accepts(automaton, "")


def test_schemas() -> None:
    schema = {"type": "object", "properties": {"a": {"enum": [1, None]}}, "additionalProperties": False}
    automaton, optional = expression(f"%json {json.dumps(schema)}")
    assert not optional
    for text in ("{}", '{"a": 1}', '{"a": null}', '{"a": 2}', '{"b": 1}', "[]", "{", ""):
        try:
            jsonschema.validate(json.loads(text), schema)
        except (jsonschema.ValidationError, json.JSONDecodeError):
            assert not accepts(automaton, text), text
        else:
            assert accepts(automaton, text), text


def test_several_schemas_in_one_grammar() -> None:
    tree = '{"$defs": {"t": {"type": "array", "items": {"$ref": "#/$defs/t"}}}, "$ref": "#/$defs/t"}'
    text = (
        f'start: "a" %json {tree} | "b" %json {{"$ref": "#/$defs/t", "$defs": {{"t": {{"type": "null"}}}}}}\n'
    )
    automata = []
    for number in range(2):
        recorder = record(load(text), VOCABULARY, whitespace="compact")
        handles = [handle for kind, handle in recorder.terminals().values() if kind == 2]
        automata.append(recorder.automaton(handles[number]))
    trees, nulls = automata
    assert accepts(trees, "[[],[[]]]")
    assert not accepts(trees, "[ ]")
    assert not accepts(trees, "null")
    assert accepts(nulls, "null")
    assert not accepts(nulls, "[]")


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        (
            '{"properties": {"a": {"pattern": "("}}}',
            "%json, at '/properties/a/pattern': the group is never closed at position 0 at line 3",
        ),
        ('{"type": "string", "const": 1}', "%json, at '/const': no value satisfies"),
        ("false", "%json: "),
    ],
)
def test_schemas_that_cannot_be_enforced(schema: str, reason: str) -> None:
    with pytest.raises(GrammarError, match=re.escape(reason)) as caught:
        record(load(f'start: "a"\n\n | "b" %json {schema}\n'), VOCABULARY)
    assert (caught.value.line, caught.value.column) == (3, 8)
    assert caught.value.__cause__ is not None


def test_expressions_without_texts() -> None:
    for item in ("%regex /a(?!a)a/", "%regex /(?!.)/s"):
        with pytest.raises(GrammarError, match="matches no text, or only the empty one"):
            record(load(f"start: {item}\n"), VOCABULARY)
    with pytest.raises(GrammarError, match="cannot be represented") as caught:
        record(load('start: "a" %regex /(a)b\\1/\n'), VOCABULARY)
    assert (caught.value.line, caught.value.column) == (1, 12)


def test_terminals_that_are_not_regular() -> None:
    with pytest.raises(GrammarError, match=r"terminal A cannot be represented: .*backreference") as caught:
        record(load("start: A\n\nA: /(a|b)x\\1/\n"), VOCABULARY)
    assert (caught.value.line, caught.value.column) == (3, 1)


def test_what_the_core_is_handed() -> None:
    text = 'start: "if"i NAME "=" %json true\nNAME: /[a-z]+/\nIN: "in"\n'
    text += '%ignore " "\n%extend start: IN x\nx.3: "y"\n'
    recorder = record(load(text), VOCABULARY)
    (made,) = recorder.parsers
    terminals, unless, ignore, nonterminals, productions, starts, shared, mode, indenter = made
    names = [name for name, _, _ in terminals]
    assert names == ["NAME", "IF", "IN", "EQUAL", "Y", '" "', "%json true"]
    assert [kind for _, kind, _ in terminals] == [0, 0, 0, 0, 0, 0, 2]
    assert [(names[a], names[b], embedded) for a, b, _, embedded in unless] == [
        ("NAME", "IF", False),
        ("NAME", "IN", True),
        ("NAME", "Y", True),
    ]
    assert [[w for w in ("if", "IF", "in", "y") if recorder.re_matches(u[2], w)] for u in unless] == [
        ["if", "IF"],
        ["in"],
        ["y"],
    ]
    assert [names[i] for i in ignore] == ['" "']
    assert (nonterminals, starts, shared, mode, indenter) == (["start", "x"], [0], [], "contextual", None)
    assert productions == [
        (0, [2, ~1], 0, "start"),
        (0, [1, 0, 3, 6], 0, "start"),
        (1, [4], 3, "x"),
    ]


def test_several_starts() -> None:
    loaded = load('a: "a"\nb: "b"\n', ["b", "a"])
    ((_, _, _, nonterminals, _, starts, shared, _, _),) = record(loaded, VOCABULARY).parsers
    assert nonterminals == ["a", "b"]
    assert (starts, shared) == ([1, 0], [])


def test_some_starts_of_a_lark_object() -> None:
    parser = lark.Lark('a: "a"\nb: "b"\nc: "c"\n', start=["c", "a", "b"], parser="lalr")
    cases: list[tuple[str | list[str] | None, list[str], list[str]]] = [
        ("a", ["a"], ["c", "b"]),
        (["b", "c"], ["b", "c"], ["a"]),
        (None, ["c", "a", "b"], []),
    ]
    for start, chosen, others in cases:
        loaded = load_lark(parser, options_of_lark(parser, start))
        ((_, _, _, nonterminals, _, starts, shared, _, _),) = record(loaded, VOCABULARY).parsers
        assert [nonterminals[i] for i in starts] == chosen
        assert [nonterminals[i] for i in shared] == others
