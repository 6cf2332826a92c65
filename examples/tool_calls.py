"""Tool calls in the format of Mistral's models: what the automaton lets through.

Run with ``python examples/tool_calls.py``; the vocabulary comes with mistral-common.
"""

import json
from typing import Literal

import structgen
from structgen.testing.vocabularies import tekken


def get_weather(city: str, unit: Literal["celsius", "fahrenheit"] = "celsius") -> str:
    """Return the weather of a city."""
    raise NotImplementedError


SEARCH = {
    "type": "function",
    "function": {
        "name": "search",
        "parameters": {
            "type": "object",
            "properties": {"query": {"type": "string", "minLength": 1}, "limit": {"enum": [10, 20, 50]}},
            "required": ["query"],
            "additionalProperties": False,
        },
    },
}


def main() -> None:
    """Compile the grammar and try outputs."""
    vocabulary, encode = tekken()
    grammar = structgen.tool_calls([get_weather, SEARCH], style="mistral")
    print(grammar)
    automaton = structgen.compile_lark(grammar, vocabulary)
    marker = vocabulary.special_tokens["[TOOL_CALLS]"]

    outputs: list[tuple[str, list[dict[str, object]]]] = [
        ("Nothing to call.", []),
        ("", [{"name": "search", "arguments": {"query": "tin openers", "limit": 20}}]),
        ("Both at once.", [{"name": "get_weather", "arguments": {"city": c}} for c in ("Oslo", "Bergen")]),
        ("", [{"name": "search", "arguments": {"query": "", "limit": 20}}]),
        ("", [{"name": "get_weather", "arguments": {"town": "Oslo"}}]),
        ("", [{"name": "delete_all", "arguments": {}}]),
    ]
    for text, calls in outputs:
        tokens = encode(text) + ([marker, *encode(json.dumps(calls))] if calls else [])
        state = automaton.start
        for token in tokens:
            state = automaton.step(state, token)
        verdict = "allowed" if automaton.accepts(state) else "refused"
        print(f"{verdict}: {text} {json.dumps(calls) if calls else ''}".rstrip())


if __name__ == "__main__":
    main()
