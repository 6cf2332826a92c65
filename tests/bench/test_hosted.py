"""Models behind HTTP, against a server of the test's own: answers, refusals, waits, limits, failures."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from jsonschemabench import masks, vocabularies
from jsonschemabench.cli import main
from jsonschemabench.datasets import Case
from jsonschemabench.engines import EngineUnavailableError, engine_class, hosted
from jsonschemabench.masks import Outputs
from jsonschemabench.results import OutputOutcome, Row, Status

KEY = "sk-not-a-key"
BYTES = vocabularies.load_bytes()
SCHEMA = {"type": "integer"}
Reply = tuple[int, Any, dict[str, str]]


class Server(ThreadingHTTPServer):
    """Answers with what is in ``replies``, its last for ever; a number is a wait before the next in order."""

    daemon_threads = True

    def __init__(self) -> None:
        self.replies: list[Reply | float] = []
        self.asked: list[tuple[str, dict[str, str], Any, float]] = []
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, dict(self.headers), body, time.monotonic()))
        replies = self.server.replies
        reply = replies.pop(0) if len(replies) > 1 else replies[0]
        if isinstance(reply, float):
            time.sleep(reply)
            return
        code, content, headers = reply
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(hosted, "BACK_OFF_S", 0.001)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        for prefix in ("OPENAI", "GEMINI"):
            monkeypatch.setenv(f"{prefix}_BASE_URL", f"http://127.0.0.1:{running.server_port}/base/")
            monkeypatch.setenv(f"{prefix}_API_KEY", KEY)
            monkeypatch.setenv(f"{prefix}_MODEL", "some/model")
            for name in ("TIMEOUT_S", "REQUESTS_PER_MINUTE"):
                monkeypatch.delenv(f"{prefix}_{name}", raising=False)
        yield running
        running.shutdown()
        thread.join()


def openai(text: str | None, finish: str = "stop", refusal: str | None = None) -> Reply:
    message = {"role": "assistant", "content": text, "refusal": refusal}
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return 200, {"choices": [choice], "usage": {"completion_tokens": 7}}, {}


def gemini(text: str, finish: str = "STOP") -> Reply:
    parts = [{"text": "hm", "thought": True}, {"text": text[:1]}, {"text": text[1:]}]
    candidate = {"content": {"parts": parts}, "finishReason": finish}
    return 200, {"candidates": [candidate], "usageMetadata": {"candidatesTokenCount": 7}}, {}


def error(code: int, message: str, **headers: str) -> Reply:
    return code, {"error": {"message": message}}, {name.replace("_", "-"): v for name, v in headers.items()}


BLOCKED: Reply = (200, {"promptFeedback": {"blockReason": "SAFETY"}}, {})


def ask(name: str, count: int = 1, schema: Any = SCHEMA) -> Row:
    case = Case("one", schema, ())
    return masks.judge(case, engine_class(name)(BYTES), Outputs(count=count, max_tokens=50, seed=3))


@pytest.mark.parametrize(
    ("name", "reply", "outcome", "detail"),
    [
        ("openai", openai("12"), OutputOutcome.VALID, ""),
        ("openai", openai('"12"'), OutputOutcome.INVALID, "not of type"),
        ("openai", openai("Sure! 12"), OutputOutcome.INVALID, "not JSON"),
        ("openai", openai("1", "length"), OutputOutcome.UNFINISHED, "length"),
        ("openai", openai(None, refusal="I can't"), OutputOutcome.REFUSED, "I can't"),
        ("openai", openai("", "content_filter"), OutputOutcome.REFUSED, "content_filter"),
        ("gemini", gemini("12"), OutputOutcome.VALID, ""),
        ("gemini", gemini('"12"'), OutputOutcome.INVALID, "not of type"),
        ("gemini", gemini("1", "MAX_TOKENS"), OutputOutcome.UNFINISHED, "MAX_TOKENS"),
        ("gemini", gemini("", "SAFETY"), OutputOutcome.REFUSED, "SAFETY"),
        ("gemini", BLOCKED, OutputOutcome.REFUSED, "SAFETY"),
    ],
)
def test_answers_are_judged(
    server: Server, name: str, reply: Reply, outcome: OutputOutcome, detail: str
) -> None:
    server.replies = [reply]
    row = ask(name, count=2)
    assert row.status is Status.OK
    assert [output.outcome for output in row.outputs] == [outcome] * 2
    assert detail in row.outputs[0].detail
    assert row.outputs[0].tokens == (0 if reply is BLOCKED else 7)
    assert row.outputs[0].ns > 0
    assert not row.step_ns


def test_what_openai_is_asked(server: Server) -> None:
    server.replies = [openai("1")]
    ask("openai", count=2)
    ask("openai_strict")
    (path, headers, first, _), (_, _, second, _), (_, _, strict, _) = server.asked
    assert path == "/base/chat/completions"
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert (first["model"], first["max_completion_tokens"]) == ("some/model", 50)
    form = {"name": "output", "schema": SCHEMA, "strict": False}
    assert first["response_format"] == {"type": "json_schema", "json_schema": form}
    assert (first["seed"], second["seed"]) == (3, 4)
    assert json.dumps(SCHEMA) in first["messages"][0]["content"]
    assert strict["response_format"]["json_schema"]["strict"] is True


def test_what_gemini_is_asked(server: Server) -> None:
    server.replies = [gemini("1")]
    ask("gemini")
    [(path, headers, body, _)] = server.asked
    assert path == "/base/models/some%2Fmodel:generateContent"
    assert {name.lower(): value for name, value in headers.items()}["x-goog-api-key"] == KEY
    assert body["generationConfig"]["responseJsonSchema"] == SCHEMA
    assert body["generationConfig"]["maxOutputTokens"] == 50


@pytest.mark.parametrize("code", [400, 422])
def test_a_schema_that_the_server_refuses_is_a_compile_error(server: Server, code: int) -> None:
    server.replies = [error(code, "Invalid schema for response_format")]
    row = ask("openai")
    assert (row.status, len(server.asked)) == (Status.COMPILE_ERROR, 1)
    assert row.detail == f"HTTP {code}: Invalid schema for response_format"


@pytest.mark.parametrize("passing", [error(429, "slow down"), error(503, "later"), (200, b'{"cut', {}), 0.01])
def test_what_passes_is_tried_again(server: Server, passing: Reply | float) -> None:
    server.replies = [passing, passing, openai("5")]
    row = ask("openai")
    assert (row.status, len(server.asked)) == (Status.OK, 3)
    assert row.outputs[0].outcome is OutputOutcome.VALID


def test_waits_double_and_the_server_may_say_how_long(
    monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(hosted.time, "sleep", waits.append)
    server.replies = [error(503, "a"), error(503, "b"), error(429, "c", Retry_After="7"), openai("5")]
    assert ask("openai").status is Status.OK
    assert 0.001 <= waits[0] <= 0.0015
    assert 0.002 <= waits[1] <= 0.003
    assert waits[2] == 7
    server.replies = [error(429, "c", Retry_After="Wed, 21 Oct 2015 07:28:00 GMT"), openai("5")]
    assert ask("openai").status is Status.OK
    assert 0.001 <= waits[3] <= 0.0015


def test_attempts_come_to_an_end(server: Server) -> None:
    server.replies = [error(500, "broken")]
    row = ask("openai")
    assert (row.status, len(server.asked)) == (Status.CRASH, hosted.ATTEMPTS)
    assert "5 attempts failed, the last with HTTP 500: broken" in row.detail


def test_a_wrong_key_is_not_tried_again_nor_repeated(server: Server) -> None:
    server.replies = [error(401, f"Incorrect API key provided: {KEY}")]
    row = ask("openai")
    assert (row.status, len(server.asked)) == (Status.CRASH, 1)
    assert "HTTP 401: Incorrect API key provided: ***" in row.detail
    assert KEY not in row.detail


def test_a_server_that_does_not_answer_times_out(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_TIMEOUT_S", "0.1")
    monkeypatch.setattr(hosted, "ATTEMPTS", 2)
    server.replies = [1.0]
    row = ask("openai")
    assert row.status is Status.CRASH
    assert "2 attempts failed" in row.detail
    assert "imed out" in row.detail


def test_an_answer_of_another_form_is_a_crash(server: Server) -> None:
    server.replies = [(200, {"choices": []}, {})]
    row = ask("openai")
    assert row.status is Status.CRASH
    assert "an answer of another form" in row.detail


def test_the_rate_of_requests_is_bounded(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_REQUESTS_PER_MINUTE", "1200")
    server.replies = [openai("5")]
    ask("openai", count=5)
    times = [asked[3] for asked in server.asked]
    # Requests leave 50 ms apart; on their way, one may take a little longer than the next.
    assert times[-1] - times[0] >= 4 * 0.05 - 0.03


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"OPENAI_MODEL": None}, "name a model in the variable OPENAI_MODEL"),
        ({"OPENAI_API_KEY": None, "OPENAI_BASE_URL": None}, "put a key into the variable OPENAI_API_KEY"),
        ({"OPENAI_BASE_URL": "file:///etc"}, "OPENAI_BASE_URL is no http or https address"),
        ({"OPENAI_TIMEOUT_S": "soon"}, "OPENAI_TIMEOUT_S is a number over 0, not 'soon'"),
        ({"OPENAI_REQUESTS_PER_MINUTE": "0"}, "OPENAI_REQUESTS_PER_MINUTE is a number over 0"),
    ],
)
def test_what_is_not_set_is_named(
    server: Server, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str | None], message: str
) -> None:
    for name, value in variables.items():
        if value is None:
            monkeypatch.delenv(name)
        else:
            monkeypatch.setenv(name, value)
    with pytest.raises(EngineUnavailableError, match=message):
        engine_class("openai")(BYTES)


def test_a_server_of_ones_own_needs_no_key(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    server.replies = [openai("5")]
    assert ask("openai").passes
    assert "Authorization" not in server.asked[0][1]


def test_a_run_of_a_hosted_model(
    server: Server,
    write_cases: Callable[[dict[str, dict[str, Any]]], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = write_cases({"one": {"schema": SCHEMA}, "two": {"schema": {"type": "string"}}})
    server.replies = [openai("5")]
    flags = ["--engines", "openai", "--data", str(data), "--vocabulary", "bytes", "--plain"]
    out = tmp_path / "out"
    assert main(["run", "--measure", "outputs", *flags, "--outputs", "2", "--out", str(out)]) == 0
    rows = [json.loads(line) for line in (out / "rows.jsonl").read_text().splitlines()]
    assert {row["schema"]: [output["outcome"] for output in row["outputs"]] for row in rows} == {
        "one": ["valid"] * 2,
        "two": ["invalid"] * 2,
    }
    versions = json.loads((out / "manifest.json").read_text())["versions"]
    assert versions["openai"] == "some/model at 127.0.0.1"
    assert not any(KEY in file.read_text() for file in out.iterdir() if file.is_file())
    assert main(["report", str(out), "--plain"]) == 0
    # Without masks, nothing can be said of masks.
    capsys.readouterr()
    assert main(["masks", *flags]) == 2
    assert "openai has no masks: measure its outputs" in capsys.readouterr().err
