"""The grammars are LALR(1) as they stand: lark resolves nothing by itself."""

import logging

import lark
import pytest

from tests.grammars.support import GRAMMARS


def conflicts(text: str, caplog: pytest.LogCaptureFixture) -> list[str]:
    """What lark says about the conflicts that it resolves by shifting."""
    caplog.clear()
    with caplog.at_level(logging.DEBUG, logger=lark.logger.name):
        lark.Lark(text, parser="lalr", debug=True)
    return [record.getMessage() for record in caplog.records if "conflict" in record.getMessage()]


@pytest.mark.parametrize("name", ["arithmetic", "csv", "json", "sql"])
def test_none(name: str, caplog: pytest.LogCaptureFixture) -> None:
    assert conflicts((GRAMMARS / f"{name}.lark").read_text(), caplog) == []


def test_a_conflict_is_seen(caplog: pytest.LogCaptureFixture) -> None:
    assert conflicts('start: "a" start | "a" start "b" start | "c"', caplog)
