"""Distances from an exact conditional, the enumeration of the small world, and methods in it."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import pytest

from jsonschemabench import exact
from jsonschemabench.cli import main

HALVES = {"x": 0.5, "y": 0.5}


@pytest.mark.parametrize(
    ("drawn", "variation", "divergence"),
    [
        (HALVES, 0.0, 0.0),
        ({"x": 1.0}, 0.5, math.log(2)),
        ({"x": 0.25, "y": 0.75}, 0.25, 0.25 * math.log(0.5) + 0.75 * math.log(1.5)),
        ({"x": 0.5, "z": 0.5}, 0.5, math.inf),
        ({"x": 0.5, "y": 0.5, "z": 0.0}, 0.0, 0.0),
    ],
)
def test_distances_by_hand(drawn: dict[str, float], variation: float, divergence: float) -> None:
    assert exact.total_variation(drawn, HALVES) == pytest.approx(variation)
    assert exact.divergence(drawn, HALVES) == pytest.approx(divergence)


def test_the_world_is_enumerated_whole() -> None:
    joint = {}
    for length in range(exact.LONGEST + 1):
        for letters in itertools.product(exact.LETTERS, repeat=length):
            text = "".join(letters)
            if not text or "aa" in text or text.count("b") % 2:
                assert not exact.conforms(text)
                continue
            assert exact.conforms(text)
            probability = Fraction(1)
            for position, letter in enumerate((*text, "end")):
                shares = exact.next_probabilities(text[:position], 7)
                probability *= Fraction(shares[(*exact.LETTERS, "end").index(letter)])
            joint[text] = probability
    total = sum(joint.values())
    found, evidence = exact.exact(7)
    assert evidence == pytest.approx(float(total))
    assert found == {text: pytest.approx(float(share / total)) for text, share in joint.items()}
    assert not exact.conforms("abbac"[: exact.LONGEST] + "c")
    assert exact.exact(8)[0] != found


def test_weighted_methods_come_close_and_others_do_not() -> None:
    pytest.importorskip("torch")
    methods = ["unconstrained", "local", "local-predicate", "rerank", "mask-smc", "awrs-smc", "mask-awrs-smc"]
    found = {one.method: one for one in exact.measure(methods, runs=4, particles=300)}
    for method in methods[:2]:
        assert found[method].variation > 0.4
        assert found[method].divergence == math.inf
        assert found[method].evidence_bias is found[method].evidence_error is None
        assert found[method].ess == pytest.approx(1)
    for method in methods[3:]:
        one = found[method]
        assert one.variation < 0.15
        assert one.divergence < 0.1
        assert one.evidence_bias is not None
        assert one.evidence_error is not None
        # One run is off by 0.09 (standard deviation, over 30 runs), the mean of four by half of that.
        assert abs(one.evidence_bias) < 0.2
        assert one.evidence_error < 0.25
        assert 0.1 < one.ess < 1
        assert one.dead == 0
    assert found["mask-smc"].calls_per_token < found["awrs-smc"].calls_per_token


def test_runs_that_die_are_counted() -> None:
    pytest.importorskip("torch")
    [one] = exact.measure(["rerank"], runs=40, particles=1)
    assert 0 < one.dead < 1
    assert one.ess == pytest.approx(1)
    conditional, evidence = exact.exact(0)
    none = exact.accuracy("rerank", [None, None], conditional, evidence)
    assert (none.variation, none.divergence, none.dead, none.ess) == (1.0, math.inf, 1.0, 0.0)
    assert (none.evidence_bias, none.evidence_error) == (-math.inf, math.inf)


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    assert main(["exact", "--methods", "local,rerank", "--runs", "3", "--plain"]) == 0
    said = capsys.readouterr().out
    assert "3 runs of 5 particles" in said
    assert [line.split()[0] for line in said.splitlines()[-2:]] == ["local", "rerank"]
    assert main(["exact", "--methods", "locl"]) == 2
    assert "no locl; there are" in capsys.readouterr().err
