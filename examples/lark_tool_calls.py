"""Free text and calls of tools whose arguments satisfy their schemas, as one grammar."""

import structgen

GRAMMAR = r"""
start: %text <|call|> (call %text)*
call: <|call|> (weather | timer) <|end|>
weather: "weather " %json {
    "type": "object",
    "properties": {"city": {"type": "string", "minLength": 1}, "days": {"type": "integer", "minimum": 1}},
    "required": ["city"],
    "additionalProperties": false
}
timer: "timer " %json {
    "type": "object",
    "properties": {"seconds": {"type": "integer", "minimum": 1, "maximum": 3600}},
    "required": ["seconds"],
    "additionalProperties": false
}
"""

CALL, END = 257, 258
OUTPUTS: list[list[str | int]] = [
    ["No tool is needed."],
    ["Let me see. ", CALL, 'weather {"city": "Oslo", "days": 3}', END, " It will rain."],
    [CALL, 'timer {"seconds": 60}', END, CALL, 'timer {"seconds": 90}', END],
    [CALL, 'timer {"seconds": 0}', END],
    [CALL, 'timer {"city": "Oslo"}', END],
    [CALL, 'alarm {"seconds": 60}', END],
    ["Let me see. ", CALL, 'weather {"city": "Oslo"}'],
]


def verdict(automaton: structgen.TokenAutomaton, output: list[str | int]) -> str:
    """Say whether an output may end here, or where it went wrong; the vocabulary's other tokens are bytes."""
    state, read = automaton.start, ""
    for part in output:
        for token in [part] if isinstance(part, int) else part.encode():
            read += f"<{token}>" if token > 255 else chr(token)
            state = automaton.step(state, token)
            if state == structgen.DEAD:
                return f"refused after {read[-30:]!r}"
    return "accepted" if automaton.accepts(state) else "unfinished"


def main() -> None:
    """Print what becomes of some outputs."""
    tokens = [*(bytes([i]) for i in range(256)), b"</s>", b"<|call|>", b"<|end|>"]
    vocabulary = structgen.Vocabulary(tokens, eos_token_ids=256, special_token_ids=[CALL, END])
    automaton = structgen.compile_lark(GRAMMAR, vocabulary)
    for output in OUTPUTS:
        print(f"{verdict(automaton, output):50} {output}")


if __name__ == "__main__":
    main()
