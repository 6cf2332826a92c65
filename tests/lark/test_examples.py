"""The examples of Lark grammars do what they say."""

import importlib.util
from pathlib import Path
from types import ModuleType

import lark
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_arithmetic(capsys: pytest.CaptureFixture[str]) -> None:
    example("lark_arithmetic").main()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 8
    for line in lines:
        text, value = line[1:].split("' = ")
        # Python reads these expressions alike.
        assert eval(text.strip()) == int(value)


def test_tool_calls(capsys: pytest.CaptureFixture[str]) -> None:
    example("lark_tool_calls").main()
    verdicts = [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()]
    assert verdicts == [
        "accepted",
        "accepted",
        "accepted",
        "refused after '<257>timer {\"seconds\": 0'",
        "refused after '<257>timer {\"c'",
        "refused after '<257>a'",
        "unfinished",
    ]


def test_indentation(capsys: pytest.CaptureFixture[str]) -> None:
    module = example("lark_indentation")
    parser = lark.Lark(module.GRAMMAR, parser="lalr", postlex=module.Blocks())
    expected = []
    for text in module.TEXTS:
        try:
            parser.parse(text)
        except lark.exceptions.LarkError:
            expected.append("no ")
        else:
            expected.append("yes")
    module.main()
    assert [line[:3] for line in capsys.readouterr().out.splitlines()] == expected
    assert set(expected) == {"yes", "no "}
