"""The ``repetition-overhead`` run: what is read, counted and reported; not how long it takes."""

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from jsonschemabench import repetition_overhead  # noqa: E402
from jsonschemabench.cli import main  # noqa: E402
from jsonschemabench.repetition_overhead import CASES, GRAMMARS, LEVELS, measure, summed_up  # noqa: E402
from structgen import DEAD  # noqa: E402
from structgen.testing.vocabularies import tekken  # noqa: E402


def test_calls_are_those_of_generate() -> None:
    ids = torch.arange(10).reshape(2, 5)
    seen: list[list[list[int]]] = []
    made = []

    def make() -> Any:
        made.append(len(seen))

        def lower(so_far: Any, scores: Any) -> Any:
            seen.append(so_far.tolist())
            assert torch.equal(scores[:, 0], torch.full((2,), 7.0))
            if so_far.shape[1] % 2:
                return scores
            lowered = scores.clone()
            lowered[1, 3] -= 1
            return lowered

        return lower

    def before(so_far: Any, scores: Any) -> Any:
        return scores.index_fill(1, torch.tensor([0]), 7.0)

    times, penalised = measure(make, ids, 6, repeats=3, before=before)
    assert made == [0, 4, 8]
    assert seen == 3 * [ids[:, :end].tolist() for end in range(1, 5)]
    # One row of two, in every other call.
    assert penalised == 0.25
    assert times.shape == (4,)
    assert (times > 0).all()


def test_rows_sum_times_up() -> None:
    row = summed_up("a", "statement", 8, (torch.arange(101.0).numpy(), 0.5))
    assert (row.tokens, row.mean, row.p50, row.p90, row.p99, row.highest) == (101, 50, 50, 90, 99, 100)
    [cells] = repetition_overhead.cells([row])
    assert cells == ["a", "statement", "8", "0.50", "50.0", "50.0", "90.0", "99.0", "100.0"]


@pytest.mark.parametrize("grammar", GRAMMARS)
def test_texts_are_of_their_grammars(grammar: str) -> None:
    vocabulary, encode = tekken()
    automaton = GRAMMARS[grammar](vocabulary)
    cases = [case for case in CASES if case.grammar == grammar]
    assert cases
    for case in cases:
        assert not case.rule or case.rule in automaton.rule_names
        rows = [encode(case.text(row)) for row in (0, 7)]
        assert rows[0] != rows[1]
        for tokens in rows:
            assert len(tokens) > repetition_overhead.TOKENS
            state = automaton.start
            for token in tokens[: repetition_overhead.TOKENS]:
                state = automaton.step(state, token)
                if state == DEAD:
                    break
            # All of them but what is called prose.
            assert (state == DEAD) == case.name.startswith("prose"), case.name


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    short = "repetition-overhead --plain --tokens 12 --repeats 1 --batches 1,2".split()
    options = [*short, "--only", "a table of"]
    assert main([*options, "--limit", "1e9"]) == 0
    text = capsys.readouterr().out
    for level in ("statement", "terminal", "#/items"):
        assert text.count(level) == 2
    assert "no-op" in text
    assert "over" not in text
    assert main([*options, "--limit", "0", "--levels", LEVELS[0]]) == 1
    text = capsys.readouterr().out
    assert text.count("over 0 µs: JSON: a table of numbers, statement, ") == 2
    assert main([*short, "--only", "a table, constrained", "--limit", "0", "--levels", LEVELS[0]]) == 1
    assert "over 0 µs: JSON: a table, constrained, statement, 1 rows" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--levels", "word"], "--levels wants"),
        (["--batches", "x"], "--batches wants numbers"),
        (["--batches", "0"], "1 at least"),
        (["--tokens", "1"], "--tokens 2"),
        (["--only", "nothing"], "no case has 'nothing'"),
    ],
)
def test_options_that_are_wrong(options: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["repetition-overhead", *options]) == 2
    assert message in capsys.readouterr().err
