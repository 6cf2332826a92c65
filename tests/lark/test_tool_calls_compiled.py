"""What the grammars of ``tool_calls`` let through, once compiled."""

import json
import time
from typing import Any

import pytest

import structgen
from structgen import DEAD, TokenAutomaton, Vocabulary, tool_calls
from tests.core.grammars import bits
from tests.lark.test_tool_calls import ALL

TAG, CALLS, END = "<|python_tag|>", "[TOOL_CALLS]", 258
VOCABULARY = Vocabulary(
    [bytes([i]) for i in range(256)]
    + [TAG.encode(), CALLS.encode(), b"</s>", b'call>\n{"', b'"}', b"<tool_call"],
    eos_token_ids=[END],
    special_token_ids=[256, 257],
)
TOKENS = {TAG: 256, CALLS: 257}


def accepts(automaton: TokenAutomaton, pieces: list[str]) -> bool:
    """Tell whether an output is accepted; a piece that names a special token is that token."""
    state = automaton.start
    for piece in pieces:
        for token in [TOKENS[piece]] if piece in TOKENS else list(piece.encode()):
            allowed = token in bits(automaton.mask(state))
            state = automaton.step(state, token)
            assert allowed == (state != DEAD)
    return automaton.accepts(state)


def call(name: str, arguments: Any, key: str = "arguments") -> str:
    return json.dumps({"name": name, key: arguments})


OSLO = call("get_weather", {"city": "Oslo"})
TIME = call("time", {})
BAD = call("get_weather", {"town": "Oslo"})
P_OSLO, P_TIME, P_BAD = (text.replace("arguments", "parameters") for text in (OSLO, TIME, BAD))


def hermes(*calls: str) -> str:
    return "\n".join(f"<tool_call>\n{text}\n</tool_call>" for text in calls)


# Outputs in pieces, and what has to be granted for them: text, none, one, two calls. Empty: never members.
_OUTPUTS: dict[str, list[tuple[list[str], set[str]]]] = {
    "json": [
        ([f"[{OSLO}]"], {"one"}),
        ([f"[{OSLO}, {TIME}]"], {"two"}),
        (["[]"], {"none"}),
        (["Hello [1]"], {"text"}),
        ([""], {"text"}),
        ([f"[{BAD}]"], set()),
        ([f"[{OSLO}"], set()),
        ([f"[{OSLO}] done"], set()),
        ([" [1]"], set()),
        ([f"[{P_OSLO}]"], set()),
    ],
    "hermes": [
        ([hermes(OSLO)], {"one"}),
        ([hermes(OSLO, TIME)], {"two"}),
        ([""], {"none"}),
        (["Let me see.\n" + hermes(OSLO)], {"text", "one"}),
        ([hermes(OSLO) + "\nDone <tool_cal"], {"text", "one"}),
        (["a" + hermes(TIME) + "b" + hermes(OSLO) + "c"], {"text", "two"}),
        (["Just < text </tool_call> [1]"], {"text", "none"}),
        ([hermes(BAD)], set()),
        (["a <tool_call> b"], set()),
        (["<tool_call>"], set()),
        ([hermes(OSLO)[:-1]], set()),
        ([hermes(OSLO) + "<tool_call>"], set()),
        ([f"<tool_call>\n{OSLO} {OSLO}\n</tool_call>"], set()),
    ],
    "llama3": [
        ([TAG, P_OSLO], {"one"}),
        ([TAG, f"{P_OSLO}; {P_TIME}"], {"two"}),
        ([""], {"none"}),
        (["Let me see. ", TAG, P_TIME], {"text", "one"}),
        (["Just <|python_tag|> as text; {"], {"text", "none"}),
        ([P_OSLO], {"text", "none"}),
        ([TAG], set()),
        ([TAG, P_BAD], set()),
        ([TAG, OSLO], set()),
        ([TAG, f"{P_OSLO}{P_OSLO}"], set()),
        ([TAG, P_OSLO, TAG, P_OSLO], set()),
        ([TAG, P_OSLO, " and text"], set()),
        ([CALLS, P_OSLO], set()),
    ],
    "mistral": [
        ([CALLS, f"[{OSLO}]"], {"one"}),
        ([CALLS, f" [{OSLO}, {TIME}]"], {"two"}),
        ([""], {"none"}),
        (["Let me see.", CALLS, f"[{TIME}]"], {"text", "one"}),
        (["Just [TOOL_CALLS] as text"], {"text", "none"}),
        ([CALLS], set()),
        ([CALLS, "[]"], set()),
        ([CALLS, f"[{BAD}]"], set()),
        ([CALLS, f"[{OSLO}] and text"], set()),
        ([TAG, f"[{OSLO}]"], set()),
    ],
}


@pytest.mark.parametrize("style", _OUTPUTS)
@pytest.mark.parametrize("choice", ["auto", "required"])
@pytest.mark.parametrize("parallel", [True, False])
@pytest.mark.parametrize("free_text", [True, False])
def test_outputs(style: Any, choice: str, parallel: bool, free_text: bool) -> None:
    grammar = tool_calls(ALL, style=style, tool_choice=choice, parallel=parallel, free_text=free_text)
    automaton = structgen.compile_lark(grammar, VOCABULARY)
    granted = {"one"}
    if parallel:
        granted.add("two")
    if choice == "auto":
        granted.add("none")
    if free_text and not (style == "json" and choice == "required"):
        granted.add("text")
    for pieces, needs in _OUTPUTS[style]:
        assert accepts(automaton, pieces) == (bool(needs) and needs <= granted), pieces


def test_a_chosen_tool() -> None:
    automaton = structgen.compile_lark(tool_calls(ALL, tool_choice="time"), VOCABULARY)
    assert accepts(automaton, [f"[{TIME}]"])
    for other in (f"[{OSLO}]", "[]", "text"):
        assert not accepts(automaton, [other])


def test_tokens_across_the_parts() -> None:
    automaton = structgen.compile_lark(tool_calls(ALL, style="hermes"), VOCABULARY)
    state = automaton.start
    # "<tool_call", "call>" and the JSON's beginning in tokens that cross the ends of the parts.
    for token in [ord("x"), 261, ord(">"), *b"\n", *b'{"name": "time', 0]:
        previous, state = state, automaton.step(state, token)
    assert state == DEAD
    assert automaton.advance_bytes(previous, b'", "arguments": {}}\n</tool_call>') != DEAD
    state = automaton.advance_bytes(automaton.start, b"x <tool_")
    state = automaton.step(state, 259)
    assert state != DEAD
    assert automaton.advance_bytes(state, b"tower") == DEAD
    assert automaton.advance_bytes(state, b'name": "time", "arguments": {}}') != DEAD


def test_compact_calls() -> None:
    grammar = tool_calls(ALL, style="mistral")
    automaton = structgen.compile_lark(grammar, VOCABULARY, json_options={"whitespace": "compact"})
    assert accepts(automaton, [CALLS, '[{"name":"time","arguments":{}}]'])
    assert not accepts(automaton, [CALLS, f"[{TIME}]"])


@pytest.mark.parametrize("style", _OUTPUTS)
def test_128_tools(style: Any) -> None:
    tools = [
        {
            "name": f"tool_{i}",
            "parameters": {
                "type": "object",
                "properties": {
                    "query": {"type": "string", "maxLength": 100 + i},
                    "limit": {"type": "integer", "minimum": 0, "maximum": i},
                    "mode": {"enum": ["fast", "slow", f"mode {i}"]},
                    "node": {"$ref": "#/$defs/node"},
                },
                "required": ["query"],
                "additionalProperties": False,
                "$defs": {"node": {"type": "array", "items": {"$ref": "#/$defs/node"}}},
            },
        }
        for i in range(128)
    ]
    best = float("inf")
    for _ in range(5):
        begin = time.thread_time()
        automaton = structgen.compile_lark(tool_calls(tools, style=style), VOCABULARY)
        automaton.mask(automaton.start)
        best = min(best, time.thread_time() - begin)
    assert best < 0.1
    key = "parameters" if style == "llama3" else "arguments"
    for limit, fits in ((127, True), (128, False)):
        text = call("tool_127", {"query": "a", "limit": limit, "node": [[]]}, key)
        output = {"json": [f"[{text}]"], "hermes": [hermes(text)], "llama3": [TAG, text]}
        assert accepts(automaton, output.get(style, [CALLS, f"[{text}]"])) == fits
