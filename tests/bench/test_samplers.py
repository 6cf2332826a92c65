"""The ``samplers`` command, end to end, and what it is made of."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from jsonschemabench import genlm_worker, sampler_bench, sampler_inputs, vocabularies
from jsonschemabench.cli import main
from jsonschemabench.genlm_worker import BusyWait, Peer
from jsonschemabench.sampler_bench import ALL, AUTOMATON, ESTIMATORS, GENLM, MASK, Calls, Sample
from jsonschemabench.sampler_inputs import FAMILIES
from structgen.samplers._estimators import geometric, recursive, two_loop
from tests.samplers.enumerated import Expectation

QUICK = ["samplers", "--vocabulary", "bytes", "--plain", "--positions", "3", "--draws", "2"]
QUICK += ["--predicate-draws", "2", "--asked", "5", "--predicates-us", "0,3"]


def lines_of(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_every_method_at_every_position(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.jsonl"
    cases = "schema:person,grammar:json"
    assert main([*QUICK, "--cases", cases, "--families", "peaked,flat", "--out", str(out)]) in (0, 1)
    text = capsys.readouterr().out
    for title in (
        "predicate calls per token",
        "peaked, the automaton: µs per token",
        "flat, a Python predicate of 3 µs: µs per token",
    ):
        assert title in text
    manifest, *samples = lines_of(out)
    assert manifest["kind"] == "manifest"
    assert manifest["settings"]["cases"] == cases.split(",")  # type: ignore[index]
    found = {(s["case"], s["family"], s["text"], s["position"], s["method"], s["predicate"]) for s in samples}
    assert len(found) == len(samples) == 2 * 2 * 3 * (1 + 3 + 2 * 4)
    for sample in samples:
        draws = 1 if sample["method"] == ALL else 2
        assert len(sample["ns"]) == draws <= len(sample["calls"])  # type: ignore[arg-type]
        assert min(sample["ns"]) > 0  # type: ignore[call-overload]
        assert 0 < sample["z"] <= 1 + 1e-6  # type: ignore[operator]
        assert (sample["expected_calls"] is None) == (sample["method"] in (MASK, ALL))
        if sample["method"] in ESTIMATORS:
            assert min(sample["calls"]) >= 1  # type: ignore[call-overload]


def test_a_seed_decides(tmp_path: Path) -> None:
    def calls(seed: int) -> list[object]:
        out = tmp_path / "out.jsonl"
        main(
            [*QUICK, "--cases", "schema:event", "--families", "flat", "--seed", str(seed), "--out", str(out)]
        )
        # Asking all is the same for every seed.
        return [sample["calls"] for sample in lines_of(out)[1:] if sample["method"] != ALL]

    assert calls(3) == calls(3)
    assert calls(3) != calls(4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cases", "schema:nothing"], "no case 'schema:nothing'"),
        (["--families", "odd"], "no family 'odd'"),
        (["--positions", "0"], "must be positive"),
    ],
)
def test_what_is_not_there_is_named(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*QUICK, *arguments]) == 2
    assert message in capsys.readouterr().err


def test_exact_calls_are_those_of_all_outcomes() -> None:
    probabilities = [Fraction(n, 64) for n in (32, 16, 8, 6, 2)]
    floats = np.array([float(p) for p in probabilities])
    for allowed in ({0, 3}, {2, 3, 4}, {1}, set(range(5)), set()):
        mask = np.array([token in allowed for token in range(5)])
        two = Expectation(probabilities, allowed, partial(two_loop, max_rejects=None))
        assert sampler_bench.expected_calls("two_loop", floats, mask) == pytest.approx(float(two.calls))
        one = Expectation(probabilities, allowed, partial(recursive, max_rejects=None))
        exact = sampler_bench.expected_calls("recursive", floats, mask)
        # It counts a look at the next token, which there is none of where the last one is accepted.
        assert float(one.calls) - 1e-9 <= exact <= float(one.calls) + 1


def test_exact_calls_of_the_geometric_estimator() -> None:
    probabilities = [Fraction(1, 2), Fraction(1, 4), Fraction(1, 4)]
    floats = np.array([float(p) for p in probabilities])
    for allowed in ({1, 2}, {0, 1}):
        mask = np.array([token in allowed for token in range(3)])
        found = Expectation(
            probabilities,
            allowed,
            partial(geometric, max_rejects=None, max_accepts=2),
            most_repeats=10,
        )
        exact = sampler_bench.expected_calls("geometric", floats, mask)
        assert found.tail < 0.01
        assert float(found.calls) <= exact <= float(found.calls + 5 * found.tail) + 1e-9


def test_means_are_judged_by_the_bar_and_by_their_error() -> None:
    def mean(value: float, error: float) -> Calls:
        return Calls("peaked", "recursive", 100, value, error, 2.0)

    assert mean(2.09, 0.0).near
    assert not mean(2.11, 0.0).near
    assert not mean(1.89, 0.03).near
    assert mean(2.11, 0.04).near


def test_calls_are_gathered_by_family_and_method() -> None:
    def sample(method: str, place: int, calls: list[int], expected: float | None, predicate: str) -> Sample:
        return Sample("c", "flat", 0, place, method, predicate, [1], calls, expected, 0.5, 1, 0.5)

    (found,) = sampler_bench.calls(
        [
            sample("recursive", 0, [1, 3], 2.5, AUTOMATON),
            sample("recursive", 0, [1, 3], 2.5, "10"),
            sample("recursive", 1, [6], 5.5, AUTOMATON),
            sample(MASK, 0, [0, 0], None, AUTOMATON),
        ]
    )
    # Positions count the same, however many draws they have.
    assert (found.draws, found.mean, found.expected) == (5, 4.0, 4.0)
    # The variance of 1, 3, 1, 3 is 4 / 3, that of their mean 1 / 3; there are two positions.
    assert found.error == pytest.approx((1 / 3) ** 0.5 / 2)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
@pytest.mark.parametrize("token", [0, 7, 99])
def test_probabilities_of_a_family(family: sampler_inputs.Family, token: int) -> None:
    tops = 0
    for seed in range(100):
        row = family.logprobs(token, 100, np.random.default_rng(seed))
        assert row.dtype == np.float32
        assert np.exp(row, dtype=np.float64).sum() == pytest.approx(1, abs=1e-4)
        assert np.array_equal(row, family.logprobs(token, 100, np.random.default_rng(seed)))
        tops += int(row.argmax()) == token
        if family.name != "flat":
            # The text's token is never far down.
            assert (row > row[token]).sum() <= 10
    assert (tops > 80) == (family.name != "flat")


def test_texts_are_accepted_and_positions_spread() -> None:
    import structgen

    bench = vocabularies.load("bytes")
    tokens = structgen.Vocabulary(
        bench.tokens, eos_token_ids=(bench.eos_token_id,), special_token_ids=bench.special_token_ids
    )
    for name in sampler_inputs.CASES:
        constraint = sampler_inputs.load(name, tokens, bench)
        for text in constraint.texts:
            state = constraint.automaton.start
            for token in text:
                state = constraint.automaton.step(state, token)
            assert constraint.automaton.accepts(state)
        places = list(sampler_inputs.positions(constraint, bench.eos_token_id, 7))
        assert len(places) == 7
        assert places[0].before == ()
        assert (places[-1].before, places[-1].token) == (constraint.texts[-1], bench.eos_token_id)
        everywhere = sum(len(text) + 1 for text in constraint.texts)
        assert len(list(sampler_inputs.positions(constraint, bench.eos_token_id, None))) == everywhere


def test_busy_waits_are_calibrated(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = iter(range(10**9))
    # A clock that goes on by a microsecond whenever it is read.
    monkeypatch.setattr(genlm_worker.time, "perf_counter_ns", lambda: next(reads) * 1000)
    assert BusyWait(0).measured_us == 1
    assert BusyWait(50).measured_us == 50
    assert BusyWait(7).measured_us == 7


# -- the peer's worker, on a stand-in for the peer ----------------------------------------------------------

STAND_IN = '''
class Potential:
    def __init__(self, vocabulary):
        self.vocabulary = vocabulary

    def make_lazy_weights(self, weights):
        return weights


class AWRS:
    """Asks about tokens by falling probability; the end token comes last among the weights."""

    def __init__(self, model, condition, seed, prune_logws, autobatch):
        self.model, self.condition = model, condition

    async def sample(self, context):
        weights = (await self.model.logw_next(context)).tolist()
        for at in sorted(range(len(weights)), key=lambda at: -weights[at]):
            if at == len(weights) - 1:
                score = await self.condition.complete(context)
            else:
                score = await self.condition.prefix([*context, self.condition.vocabulary[at]])
            if score == 0:
                return
'''


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def write(code: str) -> None:
        package = tmp_path / "genlm" / "control"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(code)
        about = tmp_path / "genlm_control-0.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: genlm-control\nVersion: 0.0\n")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    return write


def test_the_peer_sees_the_row_and_the_mask(stand_in: Callable[[str], None], tmp_path: Path) -> None:
    stand_in(STAND_IN)
    row, mask = tmp_path / "row", tmp_path / "mask"
    np.log(np.array([0.1, 0.2, 0.4, 0.3], np.float32)).tofile(row)
    np.zeros(4, np.uint8).tofile(mask)
    peer = Peer(sys.executable, row, mask, 4, 2, seed=0)
    try:
        assert peer.versions["genlm-control"] == "0.0"
        # By falling probability: the end token 2, then 3, 1, 0.
        for token, calls in ((2, 1), (3, 2), (1, 3), (0, 4)):
            (np.arange(4) == token).astype(np.uint8).tofile(mask)
            times, counts = peer.draw(0, 2, 1)
            assert counts == [calls, calls]
            assert min(times) > 0
    finally:
        peer.close()


def test_the_peer_runs_on_the_same_rows(
    stand_in: Callable[[str], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in(STAND_IN)
    out = tmp_path / "out.jsonl"
    arguments = ["--cases", "schema:event", "--families", "peaked", "--genlm-python", sys.executable]
    assert main([*QUICK, *arguments, "--out", str(out)]) in (0, 1)
    text = capsys.readouterr().out
    assert "genlm-control 0.0" in text
    assert "genlm-control / that" in text
    manifest, *samples = lines_of(out)
    assert manifest["versions"]["genlm-control"] == "0.0"  # type: ignore[index]
    assert sum(sample["method"] == GENLM for sample in samples) == 3 * 2


def test_a_peer_that_does_not_start_is_left_out(
    stand_in: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in("raise ImportError('broken here')")
    arguments = ["--cases", "schema:event", "--families", "peaked"]
    main([*QUICK, *arguments, "--genlm-python", sys.executable])
    assert "genlm-control is left out: ImportError: broken here" in capsys.readouterr().out
    main([*QUICK, *arguments, "--genlm-python", "/nowhere/python"])
    assert "genlm-control is left out: [Errno 2]" in capsys.readouterr().out
