"""The server of transformers (``transformers serve``), OpenAI's protocol, with outputs that conform.

A request says what its output has to be as OpenAI's do, or by structgen's own field:

    "response_format": {"type": "json_schema", "json_schema": {"name": "sizes", "schema": {...}}}
    "structgen": {"regex": "yes|no"}

The server's handlers are replaced by subclasses; nothing of transformers is changed otherwise. Without
arguments: a server with the tiny model on a free port, three requests, and the end. With arguments: those of
``transformers serve``, as in ``python examples/server.py Qwen/Qwen3-0.6B --port 8000``.
Needs structgen[server]. It was run with transformers 5.23.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
import urllib.error
import urllib.request
from contextvars import ContextVar
from typing import Any

import typer
from fastapi import HTTPException
from transformers.cli.serve import Serve
from transformers.cli.serving import chat_completion, completion

from structgen import StructgenError, TokenAutomaton, Vocabulary
from structgen.hf import AutomatonLogitsProcessor
from structgen.integrations._constraints import AutomatonStore, Constraint
from structgen.testing import tiny_model

_store = AutomatonStore()
_vocabularies: dict[int, tuple[Any, Vocabulary]] = {}
_wanted: ContextVar[Constraint | None] = ContextVar("_wanted", default=None)


def read_constraint(body: dict[str, Any]) -> Constraint | None:
    """Take what a request asks for out of its body, where the server would not know or ignore it."""
    own, form = body.pop("structgen", None), body.pop("response_format", None) or {"type": "text"}
    if own is not None:
        return Constraint.read(own)
    match form:
        case {"type": "text"}:
            return None
        case {"type": "json_object"}:
            return Constraint.read({"json_schema": {"type": "object"}, "whitespace": "compact"})
        case {"type": "json_schema", "json_schema": {"schema": schema}}:
            return Constraint.read({"json_schema": schema, "whitespace": "compact"})
    raise ValueError(f"no such response_format: {json.dumps(form)}")


def vocabulary_of(model: Any, processor: Any) -> Vocabulary:
    """Return the vocabulary of a model that the server has loaded."""
    # Kept with the model: its id may be another's once it is gone.
    kept, vocabulary = _vocabularies.get(id(model), (None, None))
    if kept is not model or vocabulary is None:
        vocabulary = Vocabulary.from_tokenizer(
            getattr(processor, "tokenizer", processor),
            model.config.get_text_config().vocab_size,
            eos_token_ids=model.generation_config.eos_token_id,
        )
        _vocabularies.clear()
        _vocabularies[id(model)] = model, vocabulary
    return vocabulary


class Constrained:
    """What the handlers of both kinds of completion get in addition."""

    async def handle_request(self, body: dict[str, Any], request_id: str) -> Any:
        """Read the constraint, and compile it in a thread while other requests go on."""
        try:
            constraint = read_constraint(body)
            if constraint is not None:
                _, model, processor = self._resolve_model(body)  # type: ignore[attr-defined]
                await asyncio.wrap_future(_store.submit(constraint, vocabulary_of(model, processor)))
        except (StructgenError, ValueError, TypeError) as error:
            raise HTTPException(status_code=400, detail=f"structgen: {error}") from error
        _wanted.set(constraint)
        return await super().handle_request(body, request_id)  # type: ignore[misc]

    # Both get (request_id, model, processor, model_id, inputs, generation config, ...).
    def _streaming(self, *given: Any, **named: Any) -> Any:
        return super()._streaming(*with_rules(*given), **named)  # type: ignore[misc]

    async def _non_streaming(self, *given: Any, **named: Any) -> Any:
        return await super()._non_streaming(*with_rules(*given), **named)  # type: ignore[misc]


def with_rules(
    request_id: str, model: Any, processor: Any, model_id: str, inputs: Any, config: Any, *rest: Any
) -> tuple[Any, ...]:
    """Add the request's logits processor to `inputs`, with which ``model.generate`` is called."""
    constraint = _wanted.get()
    if constraint is not None:
        if isinstance(inputs["input_ids"], list):
            raise HTTPException(400, "structgen: --continuous-batching knows no logits processors")
        automaton: TokenAutomaton = _store.submit(constraint, vocabulary_of(model, processor)).result()
        try:
            budget = constraint.finish_by or config.max_new_tokens
            rules = AutomatonLogitsProcessor(automaton, start_after=constraint.start_after, finish_by=budget)
        except (StructgenError, ValueError) as error:
            raise HTTPException(400, f"structgen: {error}") from error
        inputs = {**inputs, "logits_processor": [rules]}
    return request_id, model, processor, model_id, inputs, config, *rest


def install() -> None:
    """Put our handlers into the place of the server's own."""
    for module, name in ((chat_completion, "ChatCompletionHandler"), (completion, "CompletionHandler")):
        setattr(module, name, type(name, (Constrained, getattr(module, name)), {}))


def ask(port: int, body: dict[str, Any], path: str = "completions") -> tuple[int, dict[str, Any]]:
    """Send a request; return the status and the answer."""
    url = f"http://127.0.0.1:{port}/v1/{path}"
    request = urllib.request.Request(
        url, json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def started(model: str) -> tuple[Serve, int]:
    """Start a server on a free port, and wait until it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Serve(model, device="cpu", host="127.0.0.1", port=port, non_blocking=True, log_level="error")
    for _ in range(600):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
            return server, port
        except OSError:
            time.sleep(0.1)
    raise TimeoutError("the server does not answer")


def main() -> None:
    install()
    if len(sys.argv) > 1:
        typer.run(Serve)
        return
    sizes = {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 3}
    form = {"type": "json_schema", "json_schema": {"name": "sizes", "schema": sizes}}
    server, port = started(str(tiny_model.path()))
    try:
        for request in (
            {"prompt": "Sizes as JSON:\n", "response_format": form, "max_tokens": 40},
            {"prompt": "Is it so? ", "structgen": {"regex": "yes|no"}, "max_tokens": 8},
            {"prompt": "Never: ", "structgen": {"json_schema": False}},
        ):
            status, answer = ask(port, request)
            text = answer["choices"][0]["text"] if status == 200 else answer["detail"]
            print(f"{request['prompt']!r} -> {status} {text!r}")
    finally:
        server.kill_server()


if __name__ == "__main__":
    main()
