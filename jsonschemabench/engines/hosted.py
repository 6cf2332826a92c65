"""Adapters of models behind HTTP that take a JSON Schema: OpenAI's and Gemini's interfaces, and the like.

They have no masks: their outputs alone are measured. Everything about them comes from the environment, with
``OPENAI_`` or ``GEMINI_`` in front:

``API_KEY``, ``MODEL``
    Which must be set; the key may be left out when ``BASE_URL`` is set, for servers of one's own.
``BASE_URL``
    Where else than the provider's own place.
``REQUESTS_PER_MINUTE``
    Bound of the rate of requests of one engine's process; none by default.
``TIMEOUT_S``
    Seconds for the answer to one request (default 60).

What a server can't do now (429, 5xx, no connection, a time-out) is tried :data:`ATTEMPTS` times, after waits
that double from :data:`BACK_OFF_S`, or as long as ``Retry-After`` says. The time-out of the measure bounds
all requests of a schema together.
"""

from __future__ import annotations

import http.client
import json
import math
import os
import random
import time
import urllib.error
import urllib.parse
import urllib.request
from abc import abstractmethod
from array import array
from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from jsonschemabench.engines.base import Adapter, CompileError, EngineUnavailableError, SchemaInput
from jsonschemabench.vocabularies import BenchVocabulary
from jsonschemabench.walks import Finish, OutputRequest, Produced

ATTEMPTS = 5
"""How often a request is tried."""

BACK_OFF_S = 1.0
"""Seconds before the second attempt; each further wait is twice as long, and up to half as long again."""

_LONGEST_WAIT_S = 120.0
_DETAIL_CHARACTERS = 500
_PROMPT = "Write a JSON value that conforms to this JSON Schema. Write nothing else.\n\n"


class HostedError(Exception):
    """A server that gave no usable answer, after all attempts."""


class HostedEngine(Adapter):
    """A model behind HTTP; see the module for what it reads from the environment.

    Raises
    ------
    EngineUnavailableError
        If a variable is missing or wrong.
    """

    distributions: ClassVar[tuple[str, ...]] = ()
    prefix: ClassVar[str]
    """Of the names of the variables."""

    home: ClassVar[str]
    """The provider's own place."""

    def __init__(self, vocabulary: BenchVocabulary) -> None:
        super().__init__(vocabulary)
        self._key = os.environ.get(f"{self.prefix}_API_KEY", "")
        self._model = os.environ.get(f"{self.prefix}_MODEL", "")
        base = os.environ.get(f"{self.prefix}_BASE_URL", "")
        if not self._model:
            raise EngineUnavailableError(f"{self.name}: name a model in the variable {self.prefix}_MODEL")
        if not (self._key or base):
            raise EngineUnavailableError(f"{self.name}: put a key into the variable {self.prefix}_API_KEY")
        self._base = (base or self.home).rstrip("/")
        if urllib.parse.urlsplit(self._base).scheme not in ("http", "https"):
            raise EngineUnavailableError(f"{self.name}: {self.prefix}_BASE_URL is no http or https address")
        self._timeout_s = self._seconds("TIMEOUT_S", 60.0)
        self._between_s = 60.0 / self._seconds("REQUESTS_PER_MINUTE", math.inf)
        self._next = 0.0
        self._schema: SchemaInput | None = None

    @classmethod
    def labels(cls) -> dict[str, str]:
        """Name the model and the server; see the base class."""
        base = os.environ.get(f"{cls.prefix}_BASE_URL") or cls.home
        return {
            cls.name: f"{os.environ.get(f'{cls.prefix}_MODEL')} at {urllib.parse.urlsplit(base).hostname}"
        }

    def _seconds(self, name: str, default: float) -> float:
        text = os.environ.get(f"{self.prefix}_{name}", "")
        try:
            value = float(text) if text else default
        except ValueError:
            value = 0.0
        if not value > 0:
            raise EngineUnavailableError(
                f"{self.name}: {self.prefix}_{name} is a number over 0, not {text!r}"
            )
        return value

    def compile(self, schema: SchemaInput) -> None:
        """Keep the schema: whether it is refused, the first request says."""
        self._schema = schema

    def release(self) -> None:
        """Let go of the schema; see the base class."""
        self._schema = None

    def outputs(self, request: OutputRequest, times: array[int]) -> Iterator[Produced]:
        """Send one request for each output; see the base class."""
        assert self._schema is not None
        for number in range(request.count):
            path, body = self.request(self._schema, request, request.seed + number)
            answer, ns = self._post(path, body)
            try:
                text, tokens, finish, detail = self.read(answer)
            except (KeyError, IndexError, TypeError, AttributeError) as error:
                raise HostedError(f"an answer of another form: {error!r} in {_short(answer)}") from error
            yield Produced(text.encode(errors="surrogatepass"), tokens, finish, ns, detail)

    @abstractmethod
    def request(self, schema: SchemaInput, asked: OutputRequest, seed: int) -> tuple[str, dict[str, Any]]:
        """Return path and body of a request."""

    @abstractmethod
    def read(self, answer: Any) -> tuple[str, int, Finish, str]:
        """Return text, number of tokens, ending and its detail of an answer.

        Raises
        ------
        KeyError, IndexError, TypeError, AttributeError
            If it has another form.
        """

    @abstractmethod
    def headers(self, key: str) -> dict[str, str]:
        """Return the headers that carry the key."""

    def _post(self, path: str, body: dict[str, Any]) -> tuple[Any, int]:
        content = json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **(self.headers(self._key) if self._key else {})}
        said = ""
        for attempt in range(ATTEMPTS):
            self._wait_for_turn()
            asked = urllib.request.Request(self._base + path, content, headers, method="POST")
            begin = time.perf_counter_ns()
            try:
                with urllib.request.urlopen(asked, timeout=self._timeout_s) as reply:
                    return json.loads(reply.read()), time.perf_counter_ns() - begin
            except urllib.error.HTTPError as error:
                said = self._hide(f"HTTP {error.code}: {_message(error)}")
                if error.code in (400, 422):
                    raise CompileError(said) from None
                if error.code != 429 and error.code < 500:
                    raise HostedError(said) from None
                named = error.headers.get("Retry-After")
            except (OSError, http.client.HTTPException, ValueError) as error:
                # URLError and time-outs are errors of the system; what is cut off is no JSON.
                said, named = self._hide(f"{type(error).__name__}: {error}"), None
            if attempt + 1 < ATTEMPTS:
                time.sleep(_wait_s(attempt, named))
        raise HostedError(f"{ATTEMPTS} attempts failed, the last with {said}")

    def _wait_for_turn(self) -> None:
        now = time.monotonic()
        if now < self._next:
            time.sleep(self._next - now)
        self._next = max(now, self._next) + self._between_s

    def _hide(self, text: str) -> str:
        # Some servers repeat the key that they refuse.
        return text.replace(self._key, "***") if self._key else text


class OpenAIEngine(HostedEngine):
    """Chat completions with ``response_format`` of type ``json_schema``, not strict.

    Strict mode takes a subset of JSON Schema and changes what optional properties mean:
    :class:`OpenAIStrictEngine`.
    """

    name: ClassVar[str] = "openai"
    prefix: ClassVar[Literal["OPENAI"]] = "OPENAI"
    home: ClassVar[str] = "https://api.openai.com/v1"
    strict: ClassVar[bool] = False

    def headers(self, key: str) -> dict[str, str]:
        """See the base class."""
        return {"Authorization": f"Bearer {key}"}

    def request(self, schema: SchemaInput, asked: OutputRequest, seed: int) -> tuple[str, dict[str, Any]]:
        """See the base class."""
        form = {"name": "output", "schema": schema.value, "strict": self.strict}
        return "/chat/completions", {
            "model": self._model,
            "messages": [{"role": "user", "content": _PROMPT + schema.text}],
            "response_format": {"type": "json_schema", "json_schema": form},
            "max_completion_tokens": asked.max_tokens,
            "seed": seed,
        }

    def read(self, answer: Any) -> tuple[str, int, Finish, str]:
        """See the base class."""
        choice = answer["choices"][0]
        tokens = int((answer.get("usage") or {}).get("completion_tokens", 0))
        message, reason = choice["message"], choice.get("finish_reason")
        text = message.get("content") or ""
        if message.get("refusal") or reason == "content_filter":
            return text, tokens, "refused", str(message.get("refusal") or reason)[:_DETAIL_CHARACTERS]
        return (text, tokens, "bound", str(reason)) if reason == "length" else (text, tokens, "end", "")


class OpenAIStrictEngine(OpenAIEngine):
    """The same with ``strict``, which has the schema enforced, and refused where that is not supported."""

    name: ClassVar[str] = "openai_strict"
    strict: ClassVar[bool] = True


class GeminiEngine(HostedEngine):
    """``generateContent`` with ``responseJsonSchema``."""

    name: ClassVar[str] = "gemini"
    prefix: ClassVar[Literal["GEMINI"]] = "GEMINI"
    home: ClassVar[str] = "https://generativelanguage.googleapis.com/v1beta"

    def headers(self, key: str) -> dict[str, str]:
        """See the base class."""
        return {"x-goog-api-key": key}

    def request(self, schema: SchemaInput, asked: OutputRequest, seed: int) -> tuple[str, dict[str, Any]]:
        """See the base class."""
        model = urllib.parse.quote(self._model.removeprefix("models/"), safe="")
        return f"/models/{model}:generateContent", {
            "contents": [{"role": "user", "parts": [{"text": _PROMPT + schema.text}]}],
            "generationConfig": {
                "responseMimeType": "application/json",
                "responseJsonSchema": schema.value,
                "maxOutputTokens": asked.max_tokens,
                "seed": seed,
            },
        }

    def read(self, answer: Any) -> tuple[str, int, Finish, str]:
        """See the base class."""
        tokens = int((answer.get("usageMetadata") or {}).get("candidatesTokenCount", 0))
        blocked = (answer.get("promptFeedback") or {}).get("blockReason")
        if blocked:
            return "", tokens, "refused", str(blocked)
        candidate = answer["candidates"][0]
        reason = candidate.get("finishReason")
        parts = (candidate.get("content") or {}).get("parts") or []
        text = "".join(part.get("text", "") for part in parts if not part.get("thought"))
        if reason == "MAX_TOKENS":
            return text, tokens, "bound", str(reason)
        return (
            (text, tokens, "end", "") if reason in ("STOP", None) else (text, tokens, "refused", str(reason))
        )


def _wait_s(attempt: int, named: str | None) -> float:
    try:
        wait = float(named or "")
    except ValueError:
        # A date, or nothing.
        wait = BACK_OFF_S * 2**attempt * random.uniform(1, 1.5)
    return min(max(wait, 0.0), _LONGEST_WAIT_S)


def _message(error: urllib.error.HTTPError) -> str:
    try:
        raw = error.read()
    except (OSError, http.client.HTTPException):
        return error.reason
    try:
        return str(json.loads(raw)["error"]["message"])[:_DETAIL_CHARACTERS]
    except (ValueError, KeyError, TypeError):
        return raw.decode(errors="replace")[:_DETAIL_CHARACTERS]


def _short(answer: Any) -> str:
    return json.dumps(answer)[:_DETAIL_CHARACTERS]
