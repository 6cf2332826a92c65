"""The load test: traffic, automata under a budget, and whether memory is flat."""

from __future__ import annotations

import json
from concurrent.futures import wait
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("psutil", reason="psutil is not installed: pip install 'structgen[bench]'")

import structgen
from jsonschemabench import cli, datasets, load, vocabularies
from jsonschemabench.datasets import Case, Instance
from jsonschemabench.load_requests import Compiled, Request, Traffic

BYTES = vocabularies.load("bytes")
VOCABULARY = structgen.Vocabulary(BYTES.tokens, eos_token_ids=(0,), special_token_ids=(0,))


def case(name: str, schema: Any = None, *valid: Any) -> Case:
    return Case(name, {} if schema is None else schema, tuple(Instance(data, True) for data in valid))


def written(request: Request) -> bytes:
    """Walk a request to its end; return its text."""
    mask = np.zeros((VOCABULARY.logits_size + 31) // 32, np.int32)
    wait([request.future])
    request.begin()
    text = b""
    while request.end is None:
        request.fill(mask)
        token = request.choose(mask)
        if token is not None:
            assert mask[token // 32] >> token % 32 & 1 or request._planned is not None
            request.step(token)
            text += BYTES.tokens[token]
    return text


def test_requests_end_as_they_should() -> None:
    compiled = Compiled(VOCABULARY, 1 << 30, workers=1)
    cases = {
        "finished": case("a", {"enum": [[1, 2]]}, [1, 2]),
        "departed": case("b", {"enum": [[1, 2]]}, [1, 3]),
        "refused": case("c", False, 1),
    }
    try:
        for end, one in cases.items():
            text = json.dumps(one.instances[0].data)
            request = Request(one.name, compiled.submit(one), BYTES.encode(text), None, 0)  # type: ignore[arg-type]
            got = written(request)
            assert request.end == end
            if end == "finished":
                assert got.decode() == text
        # Random walks conform, too: they are cut off, or their end token comes at the end of a whole text.
        traffic = Traffic([case("d", {"enum": ["ab", "ac"]})], BYTES, seed=1)
        ends = set()
        for _ in range(20):
            request = traffic.next(compiled)
            got = written(request)
            traffic.over(request)
            ends.add(request.end)
            if request.end == "finished":
                assert json.loads(got) in ("ab", "ac")
        assert ends <= {"finished", "cut"}
        assert "finished" in ends
    finally:
        compiled.close()


def test_no_two_requests_have_the_same_schema_at_a_time() -> None:
    compiled = Compiled(VOCABULARY, 1 << 30, workers=1)
    cases = [case(str(i), {"const": i}) for i in range(8)]
    traffic = Traffic(cases, BYTES, seed=0)
    try:
        running = [traffic.next(compiled) for _ in range(7)]
        for _ in range(50):
            assert len({request.name for request in running}) == 7
            traffic.over(running.pop(0))
            running.append(traffic.next(compiled))
        counts: dict[str, int] = {}
        for request in running:
            traffic.over(request)
        for _ in range(500):
            request = traffic.next(compiled)
            counts[request.name] = counts.get(request.name, 0) + 1
            traffic.over(request)
        # Zipf's law: the first is asked for twice as often as the second, eight times as often as the last.
        assert counts["0"] > counts["1"] > counts["7"]
        assert counts["0"] > 4 * counts["7"]
    finally:
        compiled.close()


def test_equal_schemas_are_compiled_once() -> None:
    compiled = Compiled(VOCABULARY, 1 << 30, workers=1)
    schemas = {"a": {"const": 1}, "b": {"const": 2}, "c": False, "d": {"const": 1}}
    try:
        for name in "abcaacbd":
            wait([compiled.submit(case(name, schemas[name]))])
    finally:
        compiled.close()
    # Refusals are not kept, and equal schemas are one.
    kept = compiled.cache.stats()
    assert (kept["hits"], kept["compilations"], kept["automata"], kept["failures"]) == (4, 2, 2, 2)
    assert len(compiled.compile_ns) <= 2


def samples(mib: list[float]) -> list[load.Sample]:
    return [
        load.Sample(step, round(value * load.MIB), 0, 0, 0, 1, 0, 0, 0) for step, value in enumerate(mib, 1)
    ]


def test_memory_is_flat_where_it_stops_growing() -> None:
    def flat(mib: list[float]) -> bool:
        return load.flat(load.quarters(samples(mib)))

    sawtooth = [500 + i % 10 * 20 for i in range(400)]
    assert flat(sawtooth)
    assert flat([100 + min(i, 150) for i in range(400)])
    assert not flat([100 + i / 4 for i in range(400)])
    assert not flat([value + i / 4 for i, value in enumerate(sawtooth)])
    # What is too short says nothing.
    assert not flat([100] * 7)
    (part, *_) = load.quarters(samples([100 + 2 * i for i in range(8)]))
    assert (part.median_bytes, part.highest_bytes) == (101 * load.MIB, 102 * load.MIB)
    assert part.slope_per_step == pytest.approx(2 * load.MIB)


def test_a_run_accounts_for_every_request_and_token() -> None:
    cases = datasets.load(datasets.SMALL, sample=1 << 30)
    settings = load.Settings(requests=10, steps=200, budget_mib=64)
    record = load.run(settings, cases, BYTES)
    assert len(record.wall_ns) == len(record.cpu_ns) == 200
    assert 0 < record.running <= 10
    assert 0 < record.tokens <= 10 * 200
    assert sum(record.ends.values()) > 10
    # Its instances are in the language of the default options.
    assert record.ends["departed"] == record.ends["dead end"] == record.ends["limit"] == 0
    assert record.ends["finished"] > 0
    assert [sample.step for sample in record.samples] == list(range(1, 201))


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "load.json"
    flags = "load --quick --data small --vocabulary bytes --plain --out".split()
    assert cli.main([*flags, str(out)]) == 0
    said = capsys.readouterr().out
    assert "20 requests at a time out of 111 schemas, 400 steps of 30 ms" in said
    content = json.loads(out.read_text())
    assert content["settings"]["requests"] == 20
    assert len(content["samples"]) == 400
    assert len(content["wall_ns"]) == len(content["percentiles"])
    assert sorted(content["wall_ns"]) == content["wall_ns"]
    assert f"{content['tokens']:,} tokens" in said
    assert cli.main("load --data small --vocabulary bytes --requests 100".split()) == 2
    assert "want 200 schemas, not 111" in capsys.readouterr().err
    assert cli.main("load --data small --vocabulary bytes --requests 0".split()) == 2
