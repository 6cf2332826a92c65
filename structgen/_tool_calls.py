"""Grammars for tool calls, in the formats that chat models are trained on."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple

from structgen._errors import SchemaError

Tool = Mapping[str, Any] | type | Callable[..., Any]

# Drafts in which everything beside a reference is ignored, an identifier too.
_OLD_DRAFTS = tuple(f"json-schema.org/draft-0{number}/schema" for number in (3, 4, 6, 7))


def tool_calls(
    tools: Iterable[Tool],
    *,
    style: Literal["json", "hermes", "llama3", "mistral"] = "json",
    tool_choice: str = "auto",
    parallel: bool = True,
    free_text: bool = True,
) -> str:
    r"""Make a Lark grammar of calls of these tools, for :func:`compile_lark`.

    Parameters
    ----------
    tools : iterable of dict, type or callable
        OpenAI's ``{"type": "function", "function": {"name": ..., "parameters": schema}}``, or the inner part
        alone; other keys are ignored, missing parameters are none. Or a dataclass, Pydantic model, function
        or other type, which :func:`schema_of` reads and whose name is the tool's.
    style : {"json", "hermes", "llama3", "mistral"}
        How calls are written:

        ``"json"``
            ``[{"name": ..., "arguments": {...}}, ...]``, the whole output.
        ``"hermes"``
            ``<tool_call>\n{"name": ..., "arguments": {...}}\n</tool_call>``, any number of them, with text
            before, between and after them (Hermes 2 Pro, Qwen 2.5 and 3).
        ``"llama3"``
            The special token ``<|python_tag|>``, then ``{"name": ..., "parameters": {...}}``, several of them
            separated by ``"; "``; text comes before (Llama 3.1 to 3.3).
        ``"mistral"``
            The special token ``[TOOL_CALLS]``, then ``[{"name": ..., "arguments": {...}}, ...]``; text comes
            before.
    tool_choice : str
        ``"auto"``: the output may do without a call. ``"required"``: it has at least one. Anything else is
        the name of a tool: at least one call, all of this tool.
    parallel : bool
        Several calls may be made; otherwise at most one.
    free_text : bool
        Text may stand around calls, where the style has a place for it. With ``"json"``, and the tool choice
        ``"auto"``, it may be the whole output; it does not begin with a bracket then, which begins a list of
        calls.

    Returns
    -------
    str
        The text of the grammar, whose start rule is ``start``.

    Raises
    ------
    TypeError
        A tool is of no supported kind, or its type has no JSON Schema.
    ValueError
        There is no tool, two have one name, the tool choice names none of them, or the style is unknown.
    SchemaError
        The parameters of a tool are no JSON Schema of an object; the pointer leads from the list of tools to
        the culprit. What is wrong inside of them is found by :func:`compile_lark`.

    See Also
    --------
    compile_lark : Compiles the grammar; its ``json_options`` apply to the calls.
    """
    if style not in _STYLES:
        raise ValueError(f"style must be one of {', '.join(map(repr, _STYLES))}, not {style!r}")
    read = [_read(tool, number) for number, tool in enumerate(tools)]
    if not read:
        raise ValueError("there are no tools to call")
    names: set[str] = set()
    for tool in read:
        if tool.name in names:
            raise ValueError(f"two tools are named {tool.name!r}")
        names.add(tool.name)
    required = tool_choice != "auto"
    if tool_choice not in {"auto", "required"}:
        read = [tool for tool in read if tool.name == tool_choice]
        if not read:
            choices = "'auto', 'required' or the name of a tool"
            raise ValueError(f"tool_choice is {choices}, and no tool is named {tool_choice!r}")
    return _STYLES[style](read, required, parallel, free_text)


class _Tool(NamedTuple):
    name: str
    parameters: dict[str, Any]


# -- reading tools --------------------------------------------------------------------------------------


def _read(tool: Tool, number: int) -> _Tool:
    if not isinstance(tool, Mapping):
        if not callable(tool):
            kinds = "a dict, a type or a function"
            raise TypeError(f"tool {number} must be {kinds}, not {type(tool).__name__}")
        name = getattr(tool, "__name__", None)
        if not isinstance(name, str) or not name.isidentifier():  # such as "<lambda>"
            raise TypeError(f"tool {number}, {tool!r}, has no name: describe it by a dict")
        from structgen._types import schema_of

        return _Tool(name, _parameters(schema_of(tool), number, ""))
    place = ""
    if "function" in tool:
        place, tool = "/function", tool["function"]
        if not isinstance(tool, Mapping):
            raise TypeError(f"'function' of tool {number} must be a dict, not {type(tool).__name__}")
    name = tool.get("name")
    if not isinstance(name, str) or not name:
        raise ValueError(f"tool {number} has no name")
    parameters = tool.get("parameters")
    if parameters is None:
        parameters = {"type": "object", "additionalProperties": False}
    return _Tool(name, _parameters(parameters, number, f"{place}/parameters"))


def _parameters(schema: Any, number: int, place: str) -> dict[str, Any]:
    """Return the schema of the arguments as a schema resource, so that its references stay inside of it."""
    pointer = f"/{number}{place}"
    if not isinstance(schema, Mapping):
        reason = f"the parameters of a tool are a JSON Schema, not {type(schema).__name__}"
        raise SchemaError(reason, pointer=pointer)
    kind = schema.get("type", "object")
    if kind != "object" and not (isinstance(kind, list) and "object" in kind):
        raise SchemaError("the arguments of a tool are an object", pointer=f"{pointer}/type", keyword="type")
    if "$ref" in schema and any(draft in str(schema.get("$schema")) for draft in _OLD_DRAFTS):
        kept = {key: schema[key] for key in ("$schema", "definitions", "$defs") if key in schema}
        schema = {**kept, "allOf": [{"$ref": schema["$ref"]}]}
    return {"$id": f"https://tools.invalid/{number}/parameters", **schema, "type": "object"}


# -- writing grammars -----------------------------------------------------------------------------------


def _call(tools: list[_Tool], arguments: str = "arguments") -> dict[str, Any]:
    """Return the schema of one call."""
    calls = [
        {
            "type": "object",
            "properties": {"name": {"const": tool.name}, arguments: tool.parameters},
            "required": ["name", arguments],
            "additionalProperties": False,
        }
        for tool in tools
    ]
    return calls[0] if len(calls) == 1 else {"anyOf": calls}


def _list(tools: list[_Tool], required: bool, parallel: bool) -> dict[str, Any]:
    """Return the schema of a list of calls."""
    schema = {"type": "array", "items": _call(tools), "minItems": int(required)}
    return schema if parallel else schema | {"maxItems": 1}


def _item(schema: dict[str, Any]) -> str:
    try:
        # Imported by the first use, as it makes the import of structgen longer.
        import json

        return "%json " + json.dumps(schema, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise SchemaError(f"the parameters of a tool are no JSON: {error}") from None


def _json(tools: list[_Tool], required: bool, parallel: bool, free_text: bool) -> str:
    calls = f"calls: {_item(_list(tools, required, parallel))}\n"
    if required or not free_text:
        return "start: calls\n" + calls
    return "start: calls | text\n" + calls + "text: %regex /([^ \\t\\r\\n\\[].*)?/s\n"


def _hermes(tools: list[_Tool], required: bool, parallel: bool, free_text: bool) -> str:
    body = f'{_item(_call(tools))} "\\n</tool_call>"\n'
    if free_text:
        times = ("+" if required else "*") if parallel else ("" if required else "?")
        return f'start: call{times} %text "<tool_call>"\ncall: %text "<tool_call>" "<tool_call>" "\\n" {body}'
    calls = 'call ("\\n" call)*' if parallel else "call"
    return f'start: {calls if required else f"[{calls}]"}\ncall: "<tool_call>" "\\n" {body}'


def _llama3(tools: list[_Tool], required: bool, parallel: bool, free_text: bool) -> str:
    more = ' ("; " call)*' if parallel else ""
    return (
        _after_text("<|python_tag|>", required, free_text)
        + f"calls: <|python_tag|> call{more}\n"
        + f"call: {_item(_call(tools, 'parameters'))}\n"
    )


def _mistral(tools: list[_Tool], required: bool, parallel: bool, free_text: bool) -> str:
    return (
        _after_text("<[TOOL_CALLS]>", required, free_text)
        + f"calls: <[TOOL_CALLS]> {_item(_list(tools, True, parallel))}\n"
    )


def _after_text(token: str, required: bool, free_text: bool) -> str:
    text = f"%text {token} " if free_text else ""
    return f"start: {text}calls{'' if required else '?'}\n"


_STYLES: dict[str, Callable[[list[_Tool], bool, bool, bool], str]] = {
    "json": _json,
    "hermes": _hermes,
    "llama3": _llama3,
    "mistral": _mistral,
}
