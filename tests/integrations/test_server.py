"""The example with transformers' own server, over HTTP."""

import ast
import asyncio
import json
import re
import runpy
import shutil
import sys
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonschema
import pytest

pytest.importorskip("fastapi", reason="FastAPI is not installed: pip install 'structgen[server]'")
pytest.importorskip("uvicorn", reason="uvicorn is not installed: pip install 'structgen[server]'")
pytest.importorskip("openai", reason="openai is not installed: pip install 'structgen[server]'")
pytest.importorskip("accelerate", reason="accelerate is not installed: pip install 'structgen[server]'")
pytest.importorskip("transformers.cli.serving", reason="this version of transformers has no such server")

from structgen.testing import tiny_model

# The server's own: httpx in its client, event loops in threads.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

EXAMPLE = Path(__file__).parents[2] / "examples" / "server.py"
SIZES = {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 3}
TEMPLATE = "{% for m in messages %}{{ m['content'] }}\n{% endfor %}"


def form(schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "it", "schema": schema}}


@contextmanager
def restored() -> Iterator[None]:
    """Take the example's handlers out again, and close event loops that the server leaves open."""
    from transformers.cli.serving import chat_completion, completion

    loops: list[asyncio.AbstractEventLoop] = []
    make = asyncio.new_event_loop

    def recorded() -> asyncio.AbstractEventLoop:
        loops.append(make())
        return loops[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio, "new_event_loop", recorded)
        patch.setattr(chat_completion, "ChatCompletionHandler", chat_completion.ChatCompletionHandler)
        patch.setattr(completion, "CompletionHandler", completion.CompletionHandler)
        yield
    for thread in threading.enumerate():
        if thread.name == "uvicorn-thread":
            thread.join(timeout=60)
    for loop in loops:
        loop.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Return what asks: path, body -> status, answer."""
    # The tiny model has no chat template.
    model = tmp_path_factory.mktemp("model")
    shutil.copytree(tiny_model.path(), model, dirs_exist_ok=True)
    (model / "chat_template.jinja").write_text(TEMPLATE)
    example = runpy.run_path(str(EXAMPLE))
    with restored():
        example["install"]()
        running, port = example["started"](str(model))
        try:
            yield lambda path, body: example["ask"](port, body, path), port
        finally:
            running.kill_server()


def text(answer: tuple[int, dict[str, Any]]) -> str:
    status, content = answer
    assert status == 200, content
    (choice,) = content["choices"]
    return choice["text"] if "text" in choice else choice["message"]["content"]


def test_the_example_runs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["server.py"])
    with restored():
        runpy.run_path(str(EXAMPLE), run_name="__main__")
    sizes, answer, refusal = [line for line in capsys.readouterr().out.splitlines() if " -> " in line]
    jsonschema.validate(json.loads(ast.literal_eval(sizes.split(" -> 200 ")[1])), SIZES)
    assert answer.endswith(("200 'yes'", "200 'no'"))
    assert "-> 400 'structgen: " in refusal


def test_a_schema_by_openai_s_response_format(server: Any) -> None:
    ask, _ = server
    for path, body in (
        ("completions", {"prompt": "Sizes as JSON:\n"}),
        ("chat/completions", {"messages": [{"role": "user", "content": "Sizes as JSON:"}]}),
    ):
        got = text(ask(path, {**body, "response_format": form(SIZES), "max_tokens": 40}))
        jsonschema.validate(json.loads(got), SIZES)


def test_requests_at_the_same_time_have_their_own_constraints(server: Any) -> None:
    ask, _ = server
    patterns = [None, "yes|no", "[ab]{5}", "x{3}"]
    bodies = [
        {"prompt": "Once ", "max_tokens": 12, **({} if p is None else {"structgen": {"regex": p}})}
        for p in patterns
    ]
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda body: text(ask("completions", body)), bodies))
    assert [p is None or re.fullmatch(p, t) is not None for p, t in zip(patterns, got, strict=True)] == [
        True
    ] * 4
    # The one without a constraint is the model's own.
    assert not any(p and re.fullmatch(p, got[0]) for p in patterns)


def test_a_stream(server: Any) -> None:
    _, port = server
    body = {"prompt": "A: ", "structgen": {"regex": "[ab]{6}"}, "max_tokens": 20, "stream": True}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/completions",
        json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        events = [line[6:] for line in answer.read().decode().splitlines() if line.startswith("data: {")]
    got = "".join(json.loads(event)["choices"][0]["text"] for event in events)
    assert re.fullmatch("[ab]{6}", got)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"response_format": form(False)}, "no value satisfies the schema"),
        ({"response_format": form({"type": "inf"})}, "/type"),
        ({"response_format": {"type": "json_schema"}}, "no such response_format"),
        ({"structgen": {"regexp": "a"}}, "exactly one of"),
        ({"structgen": {"regex": "a{90}"}, "max_tokens": 2}, "finish_by"),
    ],
)
def test_what_cannot_be_enforced_is_refused(server: Any, body: dict[str, Any], said: str) -> None:
    ask, _ = server
    status, answer = ask("completions", {"prompt": "A", **body})
    assert (status, answer["detail"][:10]) == (400, "structgen:")
    assert said in answer["detail"]
