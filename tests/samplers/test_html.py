"""The view of the genealogy says what the result says, loads nothing, and shows texts as texts."""

import dataclasses
import math
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from structgen import Vocabulary
from structgen.samplers import (
    AWRS,
    SMC,
    Death,
    ExactRejection,
    Predicate,
    SamplingResult,
    Sequence,
    TableModel,
)
from tests.samplers.worlds import World, trap

SVG = "{http://www.w3.org/2000/svg}"


def tree(result: SamplingResult) -> ElementTree.Element:
    return ElementTree.fromstring(result._repr_html_())


def having(root: ElementTree.Element, *kinds: str) -> list[ElementTree.Element]:
    return [node for node in root.iter() if set(kinds) <= set(node.get("class", "").split())]


def title(node: ElementTree.Element) -> str:
    found = node.find(f"{SVG}title")
    assert found is not None
    return found.text or ""


@pytest.fixture(scope="module")
def run() -> SamplingResult:
    world = World("(a|b){2,5}", 6, seed=4)
    # Particles die at a step, and are resampled from the others.
    refuses = Predicate(lambda text: "bab" not in text)
    sampler = AWRS(world.awrs().potential * refuses)
    result = SMC(12, 1.0).run(world.model, sampler, max_tokens=6, seed=5)
    assert result.resampled
    return result


def test_lines_are_the_genealogy(run: SamplingResult) -> None:
    edges = having(tree(run), "edge")
    found = {
        (int(e.attrib["data-step"]), int(e.attrib["data-from"]), int(e.attrib["data-to"])) for e in edges
    }
    steps = len(run.tokens)
    expected = {(0, i, i) for i in range(12)}
    for t in range(1, steps):
        for i, ancestor in enumerate(run.ancestors[t - 1]):
            if run.log_weights[t - 1][ancestor] > -math.inf:
                expected.add((t, ancestor, i))
    expected |= {(steps, run.ancestors[-1][i], i) for i, s in enumerate(run.sequences) if s.weight}
    assert found == expected
    assert any(source != i for _, source, i in found)


def test_width_and_size_grow_with_the_weight(run: SamplingResult) -> None:
    root = tree(run)
    for t, row in enumerate(run.log_weights):
        widths = {
            int(e.attrib["data-to"]): float(e.attrib["stroke-width"])
            for e in having(root, "edge")
            if e.attrib["data-step"] == str(t)
        }
        order = sorted(widths, key=lambda i: row[i])
        assert [widths[i] for i in order] == sorted(widths.values())
        radii = {
            int(n.attrib["data-particle"]): float(n.find(f"{SVG}circle").attrib["r"])  # type: ignore[union-attr]
            for n in having(root, "node")
            if n.get("data-step") == str(t)
        }
        order = sorted(radii, key=lambda i: row[i])
        assert [radii[i] for i in order] == sorted(radii.values())


def test_tokens_are_told_where_one_points(run: SamplingResult) -> None:
    assert run.vocabulary is not None
    told = {
        (int(n.attrib["data-step"]), int(n.attrib["data-particle"])): (title(n), n.get("class", ""))
        for n in having(tree(run), "node")
        if "data-step" in n.attrib
    }
    drawn = {(t, i): token for t, row in enumerate(run.tokens) for i, token in enumerate(row) if token >= 0}
    assert set(told) == set(drawn)
    for place, token in drawn.items():
        text, kinds = told[place]
        ends = token in run.vocabulary.eos_token_ids
        spelled = "end" if ends else run.vocabulary.tokens[token].decode()
        assert f"token {token}: {spelled}\n" in text
        assert f"step {place[0]}, particle {place[1]}\n" in text
        assert ("end" in kinds.split()) == ends


def test_blue_is_what_survived(run: SamplingResult) -> None:
    kept = {
        (int(n.attrib["data-step"]), int(n.attrib["data-particle"]))
        for n in having(tree(run), "node", "kept")
        if "data-step" in n.attrib
    }
    expected = set()
    for i, sequence in enumerate(run.sequences):
        particle = i
        for t in reversed(range(len(run.tokens))):
            particle = run.ancestors[t][particle]
            if sequence.weight and run.tokens[t][particle] >= 0:
                expected.add((t, particle))
    assert kept == expected
    assert len(kept) < sum(token >= 0 for row in run.tokens for token in row)


def test_deaths_and_resamplings_are_marked() -> None:
    # Three texts in ten begin with aa, and these have no continuation.
    likely = {(): [0.0, 0.5, 0.4, 0.1], (1,): [0.1, 0.6, 0.2, 0.1]}
    world = World("(a|b){3,4}", 5, table=likely)
    sampler = AWRS(world.awrs().potential * Predicate(lambda text: len(text) < 3 or text[:2] != "aa"))
    result = SMC(40, 0.9).run(world.model, sampler, max_tokens=5, seed=0)
    assert result.deaths
    assert result.resampled
    root = tree(result)
    crosses = having(root, "death")
    assert {(int(c.attrib["data-step"]), int(c.attrib["data-particle"])) for c in crosses} == {
        (death.step, death.particle) for death in result.deaths
    }
    for cross in crosses:
        assert re.search("no token is allowed|may not end here", title(cross))
    lines = [title(line) for line in having(root, "resampling")]
    assert [int(re.findall(r"step (\d+)", line)[0]) for line in lines] == result.resampled
    (curve,) = having(root, "ess")
    assert len(curve.attrib["points"].split()) == len(result.ess)
    world = trap()
    critic = Predicate(lambda text: text != "b")
    result = SMC(40).run(world.model, world.masks(), max_tokens=4, seed=0, critic=critic)
    assert any("the critic refuses it\nb" in title(c) for c in having(tree(result), "death"))


HOSTILE = "<script>alert(1)</script>\"'&]]><!--\u202e\x00\x1b\n"


def hostile() -> SamplingResult:
    vocabulary = Vocabulary([b"", HOSTILE.encode(), b"\xff\xfe"], eos_token_ids=0)
    result = SMC(20).run(
        TableModel(vocabulary, lambda tokens: [math.log(p) for p in (0.4, 0.3, 0.3)]),
        AWRS(Predicate(lambda text: True)),
        max_tokens=3,
        seed=1,
    )
    sequence = Sequence((1, 0), HOSTILE, 0.0, 1.0, -1.0, True)
    return dataclasses.replace(
        result,
        method=HOSTILE,
        sequences=[sequence, *result.sequences[1:]],
        deaths=[Death(0, 0, "token", HOSTILE)],
    )


@pytest.mark.parametrize("rounds", [False, True])
def test_untrusted_text_is_shown_as_text(rounds: bool) -> None:
    result = hostile()
    if rounds:
        result = dataclasses.replace(result, tokens=[], ancestors=[], log_weights=[], ess=[])
    page = result.to_html()
    assert "<script" not in page
    assert "<!--" not in page
    for character in "\u202e\x00\x1b":
        assert character not in page
    # It is well-formed, so that nothing was broken open, and the text is all there.
    root = tree(result)
    told = [text for text in root.itertext() if "alert(1)" in text]
    visible = "<script>alert(1)</script>\"'&]]><!--\\u202e\\x00\\x1b"
    assert told
    assert all(visible in text for text in told)
    names = {node.tag.removeprefix(SVG) for node in root.iter()}
    assert names <= set(
        "div style table tr th td span svg text polyline line path g circle title p ul li".split()
    )
    if not rounds:
        assert any("\\xff\\xfe" in text for text in root.itertext())


def test_nothing_is_loaded(run: SamplingResult) -> None:
    page = run.to_html().replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?:|//|url\(|@import|src=|href=|<script|<link|<img|\son\w+=", page)
    assert "default-src 'none'" in page


def test_the_page_is_written(run: SamplingResult, tmp_path: Path) -> None:
    path = tmp_path / "view.html"
    page = run.to_html(path)
    assert path.read_bytes().decode("utf-8") == page
    assert page.startswith("<!DOCTYPE html>")
    assert run._repr_html_() in page
    assert '<meta charset="utf-8"/>' in page


def test_sequences_are_listed_by_weight(run: SamplingResult) -> None:
    rows = [["".join(cell.itertext()) for cell in row] for row in having(tree(run), "sequence")]
    assert len(rows) == 12
    weights = [float(row[1]) for row in rows]
    assert weights == sorted(weights, reverse=True)
    for row in rows:
        assert row[-1] == run.sequences[int(row[0])].text


def test_samplers_in_rounds_have_no_genealogy() -> None:
    world = trap()
    result = ExactRejection(5).run(world.model, world.masks(), max_tokens=4, seed=0)
    root = tree(result)
    assert root.find(f".//{SVG}svg") is None
    assert "no genealogy" in "".join(root.itertext())
    assert len(having(root, "death")) == min(len(result.deaths), 50) > 0
    assert len(having(root, "sequence")) == 5
    assert "accepted" in "".join(root.itertext())


def test_without_a_vocabulary_tokens_are_numbers(run: SamplingResult) -> None:
    (first, *_) = having(tree(dataclasses.replace(run, vocabulary=None)), "node")
    token: Any = run.tokens[0][0]
    assert f"token {token}: #{token}" in title(first)
