"""structgen on schemas of MaskBench, in this process: a sample, or all with ``STRUCTGEN_MASKBENCH=all``."""

from __future__ import annotations

import os
from collections import Counter

import pytest

from jsonschemabench import datasets, failures, masks, statistics, vocabularies
from jsonschemabench.engines import engine_class
from jsonschemabench.results import Row, Status

SAMPLE = 150

# The share of schemas that may be refused: their patterns are not regular, or their references lead nowhere.
MOST_REFUSED = 0.01


def _rows(engine_name: str) -> list[Row]:
    data = datasets.default_data()
    if data is None:
        pytest.skip(f"no data: name its folder in {datasets.DATA_VARIABLE}")
    everything = os.environ.get("STRUCTGEN_MASKBENCH") == "all"
    try:
        vocabulary = vocabularies.load_tekken()
        vocabulary.encode("")
    except vocabularies.VocabularyError:
        vocabulary = vocabularies.load_bytes()
    engine = engine_class(engine_name)(vocabulary)
    return [masks.judge(case, engine) for case in datasets.load(data, sample=None if everything else SAMPLE)]


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("engine", ["structgen", "structgen_any_order"])
def test_labels(engine: str) -> None:
    rows = _rows(engine)
    counts = statistics.count(rows)
    statuses = Counter(row.status for row in rows)
    report = failures.text(rows)
    assert (counts.invalid_accepted, counts.valid_rejected) == (0, 0), report
    assert statuses.keys() <= {Status.OK, Status.UNSATISFIABLE, Status.COMPILE_ERROR}, report
    print(f"{engine}: {counts.passing} of {counts.schemas} pass, {counts.compile_errors} are refused")
    assert counts.compile_errors <= MOST_REFUSED * len(rows), report
    if engine == "structgen_any_order":
        assert counts.passing == len(rows) - counts.compile_errors, report
