"""Engines for tests of the benchmark itself, which misbehave as the schema asks.

A schema is an object: ``language`` (the accepted texts), ``any_order`` (accepted besides when properties may
come in any order), ``compile`` and ``walk`` (what to do wrong there).
"""

from __future__ import annotations

import os
import signal
import time
from array import array
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from jsonschemabench.engines import (
    Adapter,
    CompileError,
    Engine,
    EngineUnavailableError,
    SchemaInput,
    UnsatisfiableError,
)
from jsonschemabench.vocabularies import BenchVocabulary
from jsonschemabench.walks import OutputRequest, Produced


class FakeEngine(Engine):
    """Accepts the texts of the schema; step number n of a walk takes n * ``unit_ns``."""

    name: ClassVar[str] = "fake"
    distributions: ClassVar[tuple[str, ...]] = ("numpy",)
    unit_ns: ClassVar[int] = 1_000

    def __init__(self, vocabulary: BenchVocabulary) -> None:
        super().__init__(vocabulary)
        self.schema: dict[str, Any] = {}
        self.compiled = 0

    def compile(self, schema: SchemaInput) -> None:
        self.schema = schema.value
        self.compiled += 1
        match self.schema.get("compile"):
            case "abort":
                print("about to abort", flush=True)
                os.abort()
            case "exit":
                os._exit(3)
            case "hang":
                time.sleep(600)
            case "grow":
                hoard = []
                for _ in range(200):
                    hoard.append(bytearray(b"x" * (16 << 20)))
                    time.sleep(0.02)
            case "nap":
                time.sleep(0.05)
            case "raise":
                raise KeyError("not declared by the interface")
            case "refuse":
                raise CompileError(f"this process has compiled {self.compiled}")
            case "unsatisfiable":
                raise UnsatisfiableError("nothing matches")

    def first_mask(self) -> None:
        self.mask[:] = 0

    def walk(self, tokens: Sequence[int], times: array[int]) -> int:
        match self.schema.get("walk"):
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "hang":
                time.sleep(600)
        return self._walk(self.schema["language"], tokens, times)

    def accepts_any_order(self, schema: SchemaInput, tokens: Sequence[int]) -> bool:
        return self._walk(schema.value.get("any_order", []), tokens, array("q")) == len(tokens) + 1

    def release(self) -> None:
        self.schema = {}

    def _walk(self, language: list[str], tokens: Sequence[int], times: array[int]) -> int:
        texts = [self.vocabulary.encode(text) for text in language]
        for position, token in enumerate(tokens):
            times.append((position + 1) * self.unit_ns)
            if not any(
                text[:position] == tokens[:position] and text[position : position + 1] == [token]
                for text in texts
            ):
                return position
        times.append((len(tokens) + 1) * self.unit_ns)
        return len(tokens) + (list(tokens) in texts)


class WritingEngine(FakeEngine):
    """Hands out masks of the texts of the schema, and takes steps by the base class."""

    name: ClassVar[str] = "writing"

    def walk(self, tokens: Sequence[int], times: array[int]) -> int:
        accepted = super().walk(tokens, times)
        self.mask[:] = 0
        texts = [self.vocabulary.encode(text) for text in self.schema["language"]]
        for text in texts:
            if text[: len(tokens)] == list(tokens):
                token = text[len(tokens)] if len(text) > len(tokens) else self.vocabulary.eos_token_id
                self.mask[0, token >> 5] |= np.uint32(1 << (token & 31)).astype(np.int32)
        return accepted


class MasklessEngine(Adapter):
    """Writes the texts of the schema one after the other, without masks."""

    name: ClassVar[str] = "maskless"
    distributions: ClassVar[tuple[str, ...]] = ()

    def compile(self, schema: SchemaInput) -> None:
        self.schema = schema.value

    def outputs(self, request: OutputRequest, times: array[int]) -> Iterator[Produced]:
        if "refuse late" in self.schema:
            raise CompileError("refused on asking")
        for text in self.schema["language"][: request.count]:
            refused = text == "no"
            yield Produced(text.encode(), 1, "refused" if refused else "end", 5_000)

    def release(self) -> None:
        self.schema = {}


class SlowEngine(FakeEngine):
    """The same at a tenth of the speed."""

    name: ClassVar[str] = "slow"
    unit_ns: ClassVar[int] = 10_000


class MisjudgingEngine(FakeEngine):
    """Takes every text whatever the schema says."""

    name: ClassVar[str] = "misjudging"

    def _walk(self, language: list[str], tokens: Sequence[int], times: array[int]) -> int:
        times.append(self.unit_ns)
        return len(tokens) + 1


class MissingEngine(FakeEngine):
    """Is not installed."""

    def __init__(self, vocabulary: BenchVocabulary) -> None:
        raise EngineUnavailableError("missing: pip install 'structgen[peers]'")


class DyingEngine(FakeEngine):
    """Dies while it is loaded."""

    def __init__(self, vocabulary: BenchVocabulary) -> None:
        print("out of luck", flush=True)
        os._exit(7)
